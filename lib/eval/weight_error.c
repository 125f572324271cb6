/* weight_error.c: how far a checkpoint's weights are from another's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "eval/chunk.h"
#include "eval/pairing.h"
#include "eval/same_bytes.h"
#include "tensor/dtype.h"

/* Sums over pairs of values; ends with the first pair that is not finite. */
struct sums {
    double error_square, model_square, reference_square, product;
    double max_error;
    uint64_t nonfinite_place[2]; /* one more than the index of each side's first; 0: none */
};

struct comparison {
    const struct sinq_source *sources[2]; /* the model and the reference */
    unsigned threads;
    sinq_progress_fn *progress;
    void *user;
    struct sinq_progress report;
    struct sums total, quantized;
};

/* What one tensor's job needs. */
struct tensor_comparison {
    struct comparison *comparison;
    uint64_t bytes_before; /* reported for earlier tensors */
    double bytes_a_value;  /* of the model */
    uint64_t values;       /* so far */
    struct sums sums;
};

static void add_sums(struct sums *to, const struct sums *from) {
    to->error_square += from->error_square;
    to->model_square += from->model_square;
    to->reference_square += from->reference_square;
    to->product += from->product;
    to->max_error = fmax(to->max_error, from->max_error);
    for (int side = 0; side < 2; side++) {
        if (to->nonfinite_place[side] == 0) to->nonfinite_place[side] = from->nonfinite_place[side];
    }
}

/* ---- one chunk ---- */

#define LANES 4u /* sums that run side by side */

static void compare_piece(const double *model, const double *reference, uint32_t count, struct sums *sums) {
    double error[LANES] = {0}, a[LANES] = {0}, b[LANES] = {0}, product[LANES] = {0}, most[LANES] = {0};
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t l = i % LANES;
        const double d = model[i] - reference[i], magnitude = fabs(d);
        error[l] += d * d;
        a[l] += model[i] * model[i];
        b[l] += reference[i] * reference[i];
        product[l] += model[i] * reference[i];
        most[l] = magnitude > most[l] ? magnitude : most[l];
    }
    sums->error_square += (error[0] + error[1]) + (error[2] + error[3]);
    sums->model_square += (a[0] + a[1]) + (a[2] + a[3]);
    sums->reference_square += (b[0] + b[1]) + (b[2] + b[3]);
    sums->product += (product[0] + product[1]) + (product[2] + product[3]);
    sums->max_error = fmax(sums->max_error, fmax(fmax(most[0], most[1]), fmax(most[2], most[3])));
}

static void compare_chunks(const void *user, const struct sinq_chunk *chunks, void *partial) {
    struct sums *const sums = partial;
    (void)user;
    for (int side = 0; side < 2; side++) {
        const struct sinq_chunk *const chunk = &chunks[side];
        const int64_t bad = sinq_find_nonfinite(chunk->dtype, chunk->elements, (size_t)chunk->count);
        if (bad >= 0) sums->nonfinite_place[side] = chunk->first + (uint64_t)bad + 1;
    }
    for (uint64_t first = 0; first < chunks[0].count; first += SINQ_PIECE_VALUES) {
        double model[SINQ_PIECE_VALUES], reference[SINQ_PIECE_VALUES];
        const uint64_t left = chunks[0].count - first;
        const uint32_t count = left < SINQ_PIECE_VALUES ? (uint32_t)left : SINQ_PIECE_VALUES;
        sinq_widen_piece(&chunks[0], first, count, model);
        sinq_widen_piece(&chunks[1], first, count, reference);
        compare_piece(model, reference, count, sums);
    }
}

static int report_progress(struct comparison *c, struct sinq_error *error) {
    if (c->progress == NULL || c->progress(c->user, &c->report) == 0) return SINQ_OK;
    return sinq_fail(error, SINQ_INTERRUPTED, "%s: comparing was interrupted", sinq_source_path(c->sources[0]));
}

static int merge_chunk(void *user, const void *partial, uint64_t count, struct sinq_error *error) {
    struct tensor_comparison *const t = user;
    add_sums(&t->sums, partial);
    t->values += count;
    t->comparison->report.bytes = t->bytes_before + (uint64_t)(t->bytes_a_value * (double)t->values);
    return report_progress(t->comparison, error);
}

/* ---- one tensor ---- */

static const struct sinq_tensor *side_tensor(const struct comparison *c, const struct sinq_weight_error *e, int side) {
    return sinq_source_tensor(c->sources[side], side == 0 ? e->tensor : e->reference_tensor);
}

static int check_sums(const struct comparison *c, const struct sinq_weight_error *e, const struct sums *sums,
                      struct sinq_error *error) {
    for (int side = 0; side < 2; side++) {
        if (sums->nonfinite_place[side] == 0) continue;
        const struct sinq_tensor *const tensor = side_tensor(c, e, side);
        const struct sinq_position position = sinq_find_position(tensor, sums->nonfinite_place[side] - 1);
        return sinq_fail(error, SINQ_FAILED, "%.300s: tensor %.300s: the value at row %llu, column %llu is not finite",
                         sinq_source_shard_path(c->sources[side], tensor->shard), tensor->name,
                         (unsigned long long)position.row, (unsigned long long)position.col);
    }
    const double all = sums->error_square + sums->model_square + sums->reference_square;
    if (isfinite(all)) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%.300s: tensor %.300s: its values are too large to be compared",
                     sinq_source_path(c->sources[0]), side_tensor(c, e, 0)->name);
}

static double divide_norms(double error_square, double reference_square) {
    if (reference_square > 0) return sqrt(error_square) / sqrt(reference_square);
    return error_square > 0 ? INFINITY : 0.0;
}

static double find_cosine(const struct sums *sums) {
    const double norms = sqrt(sums->model_square) * sqrt(sums->reference_square);
    if (sums->error_square <= 0) return 1.0;
    return norms > 0 ? fmax(-1.0, fmin(1.0, sums->product / norms)) : 0.0;
}

static void fill_error(const struct sums *sums, struct sinq_weight_error *e) {
    e->relative_error = divide_norms(sums->error_square, sums->reference_square);
    e->snr_db = e->relative_error > 0 ? -20 * log10(e->relative_error) : INFINITY;
    e->cosine = find_cosine(sums);
    e->max_error = sums->max_error;
    e->reference_norm = sqrt(sums->reference_square);
    e->error_norm = sqrt(sums->error_square);
}

static bool holds_weights(const struct sinq_tensor *tensor) {
    return tensor->dtype == SINQ_DUAL_SCALE || sinq_dtype_is_float(tensor->dtype);
}

/* Integers and booleans are equal or not, there is no near. */
static int compare_bytes(const struct comparison *c, struct sinq_weight_error *e, struct sinq_error *error) {
    bool same = side_tensor(c, e, 0)->dtype == side_tensor(c, e, 1)->dtype;
    if (same) {
        const int status =
            sinq_is_same_bytes(c->sources[0], e->tensor, c->sources[1], e->reference_tensor, &same, error);
        if (status != SINQ_OK) return status;
    }
    e->relative_error = e->max_error = same ? 0.0 : INFINITY;
    e->snr_db = same ? INFINITY : -INFINITY;
    e->cosine = same ? 1.0 : 0.0;
    return SINQ_OK;
}

static int compare_values(struct comparison *c, struct sinq_weight_error *e, struct sinq_error *error) {
    struct tensor_comparison t = {.comparison = c, .bytes_before = c->report.bytes};
    if (e->values > 0) t.bytes_a_value = (double)side_tensor(c, e, 0)->bytes / (double)e->values;
    struct sinq_chunk_job job = {
        .sources = {c->sources[0], c->sources[1]},
        .tensors = {e->tensor, e->reference_tensor},
        .sides = 2,
        .threads = c->threads,
        .measure = compare_chunks,
        .merge = merge_chunk,
        .partial_bytes = sizeof t.sums,
        .user = &t,
    };
    sinq_select_all_rows(&job);
    int status = sinq_run_chunk_job(&job, error);
    if (status == SINQ_OK) status = check_sums(c, e, &t.sums, error);
    if (status != SINQ_OK) return status;
    fill_error(&t.sums, e);
    add_sums(&c->total, &t.sums);
    if (side_tensor(c, e, 0)->dtype == SINQ_DUAL_SCALE) add_sums(&c->quantized, &t.sums);
    return SINQ_OK;
}

static int compare_pair(struct comparison *c, struct sinq_weight_error *e, struct sinq_error *error) {
    const struct sinq_tensor *const a = side_tensor(c, e, 0), *const b = side_tensor(c, e, 1);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(a);
    const uint64_t bytes_before = c->report.bytes;
    e->values = shape.count * shape.rows * shape.cols;
    c->report.name = a->name;
    int status = holds_weights(a) && holds_weights(b) ? compare_values(c, e, error) : compare_bytes(c, e, error);
    if (status != SINQ_OK) return status;
    c->report.item++;
    c->report.bytes = bytes_before + a->bytes;
    return report_progress(c, error);
}

/* ---- the whole ---- */

struct named_error {
    struct sinq_weight_error error;
    const char *name;
};

static int compare_errors(const void *a, const void *b) {
    const struct named_error *const x = a, *const y = b;
    if (x->error.relative_error > y->error.relative_error) return -1;
    if (x->error.relative_error < y->error.relative_error) return 1;
    return strcmp(x->name, y->name);
}

/* Worst first, by name where errors are equal. */
static int sort_errors(const struct sinq_source *model, struct sinq_weight_report *report, struct sinq_error *error) {
    struct named_error *const named = malloc((report->count + 1) * sizeof *named);
    if (named == NULL) return sinq_fail_memory(error, "a comparison", report->count * sizeof *named);
    for (size_t i = 0; i < report->count; i++) {
        named[i].error = report->errors[i];
        named[i].name = sinq_source_tensor(model, report->errors[i].tensor)->name;
    }
    qsort(named, report->count, sizeof *named, compare_errors);
    for (size_t i = 0; i < report->count; i++) report->errors[i] = named[i].error;
    free(named);
    return SINQ_OK;
}

static void start_report(struct comparison *c, const struct sinq_weight_report *report) {
    c->report = (struct sinq_progress){.activity = "comparing", .items = report->count};
    for (size_t i = 0; i < report->count; i++) c->report.bytes_total += side_tensor(c, &report->errors[i], 0)->bytes;
}

int sinq_compare_weights(const struct sinq_source *model, const struct sinq_source *reference, unsigned threads,
                         sinq_progress_fn *progress, void *user, struct sinq_weight_report *report,
                         struct sinq_error *error) {
    struct comparison c = {.sources = {model, reference}, .threads = threads, .progress = progress, .user = user};
    struct sinq_pairing pairing;
    *report = (struct sinq_weight_report){0};
    int status = sinq_pair_tensors(model, reference, &pairing, error);
    if (status != SINQ_OK) return status;
    report->errors = pairing.pairs;
    report->count = pairing.count;
    report->missing = pairing.missing;
    report->first_missing = pairing.first_missing;
    start_report(&c, report);
    for (size_t i = 0; i < report->count && status == SINQ_OK; i++) {
        status = compare_pair(&c, &report->errors[i], error);
    }
    if (status == SINQ_OK) status = sort_errors(model, report, error);
    if (status != SINQ_OK) {
        sinq_weight_report_free(report);
        return status;
    }
    report->relative_error = divide_norms(c.total.error_square, c.total.reference_square);
    report->quantized_relative_error = divide_norms(c.quantized.error_square, c.quantized.reference_square);
    report->max_error = c.total.max_error;
    return SINQ_OK;
}

void sinq_weight_report_free(struct sinq_weight_report *report) {
    if (report == NULL) return;
    free(report->errors);
    *report = (struct sinq_weight_report){0};
}
