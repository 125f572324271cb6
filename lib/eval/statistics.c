/* statistics.c: what the values of one tensor are like. */
#include <math.h>

#include "base/error.h"
#include "eval/chunk.h"
#include "eval/imbalance.h"
#include "eval/moments.h"

#define OUTLIER_DEVIATIONS 6.0

/* ---- the first pass: moments ---- */

static void measure_moments(const void *user, const struct sinq_chunk *chunks, void *partial) {
    struct sinq_moments *const moments = partial;
    (void)user;
    for (uint64_t first = 0; first < chunks[0].count; first += SINQ_PIECE_VALUES) {
        double piece[SINQ_PIECE_VALUES];
        const uint64_t left = chunks[0].count - first;
        const uint32_t count = left < SINQ_PIECE_VALUES ? (uint32_t)left : SINQ_PIECE_VALUES;
        sinq_widen_piece(&chunks[0], first, count, piece);
        sinq_add_values(moments, piece, count);
    }
}

static int merge_moments(void *user, const void *partial, uint64_t count, struct sinq_error *error) {
    (void)count;
    (void)error;
    sinq_merge_moments(user, partial);
    return SINQ_OK;
}

/* ---- the second pass: outliers ---- */

struct outliers {
    double lowest, highest; /* usual values lie between */
    uint64_t count;
};

static void measure_outliers(const void *user, const struct sinq_chunk *chunks, void *partial) {
    const struct outliers *const usual = user;
    uint64_t *const found = partial;
    for (uint64_t first = 0; first < chunks[0].count; first += SINQ_PIECE_VALUES) {
        double piece[SINQ_PIECE_VALUES];
        const uint64_t left = chunks[0].count - first;
        const uint32_t count = left < SINQ_PIECE_VALUES ? (uint32_t)left : SINQ_PIECE_VALUES;
        sinq_widen_piece(&chunks[0], first, count, piece);
        for (uint32_t i = 0; i < count; i++) {
            *found += isfinite(piece[i]) && (piece[i] < usual->lowest || piece[i] > usual->highest);
        }
    }
}

static int merge_outliers(void *user, const void *partial, uint64_t count, struct sinq_error *error) {
    struct outliers *const outliers = user;
    const uint64_t *const found = partial;
    (void)count;
    (void)error;
    outliers->count += *found;
    return SINQ_OK;
}

/* ---- both ---- */

static void fill_stats(const struct sinq_moments *moments, struct sinq_tensor_stats *stats) {
    *stats = (struct sinq_tensor_stats){.values = moments->count + moments->nonfinite, .nonfinite = moments->nonfinite};
    if (moments->count == 0) return;
    stats->minimum = moments->minimum;
    stats->maximum = moments->maximum;
    stats->mean = moments->mean;
    stats->deviation = sinq_find_deviation(moments);
    stats->kurtosis = sinq_find_kurtosis(moments);
}

int sinq_measure_tensor(const struct sinq_source *source, size_t tensor, unsigned threads,
                        struct sinq_tensor_stats *stats, struct sinq_error *error) {
    if (tensor >= sinq_source_tensor_count(source)) {
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %zu of %zu", sinq_source_path(source), tensor,
                         sinq_source_tensor_count(source));
    }
    struct sinq_moments moments = {0};
    struct sinq_chunk_job job = {.sources = {source}, .tensors = {tensor}, .sides = 1, .threads = threads};
    sinq_select_all_rows(&job);
    job.measure = measure_moments;
    job.merge = merge_moments;
    job.partial_bytes = sizeof moments;
    job.user = &moments;
    int status = sinq_run_chunk_job(&job, error);
    if (status != SINQ_OK) return status;
    fill_stats(&moments, stats);

    const double reach = OUTLIER_DEVIATIONS * stats->deviation;
    struct outliers outliers = {stats->mean - reach, stats->mean + reach, 0};
    if (stats->minimum < outliers.lowest || stats->maximum > outliers.highest) {
        job.measure = measure_outliers;
        job.merge = merge_outliers;
        job.partial_bytes = sizeof outliers.count;
        job.user = &outliers;
        status = sinq_run_chunk_job(&job, error);
        if (status != SINQ_OK) return status;
        stats->outlier_share = (double)outliers.count / (double)moments.count;
    }
    struct sinq_imbalance imbalance;
    const double largest = fmax(fabs(stats->minimum), fabs(stats->maximum));
    status = sinq_measure_imbalance(source, tensor, largest, threads, &imbalance, error);
    if (status != SINQ_OK) return status;
    stats->imbalance_before = imbalance.before;
    stats->imbalance_after = imbalance.after;
    return SINQ_OK;
}
