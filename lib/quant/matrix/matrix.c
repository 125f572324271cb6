#include "quant/matrix/matrix.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/parallel.h"
#include "quant/matrix/rounding.h"
#include "quant/matrix/unit.h"

/* ---- threads and their working memory ---- */

int sinq_create_unit_crew(unsigned threads, struct sinq_unit_crew *crew, struct sinq_error *error) {
    *crew = (struct sinq_unit_crew){.threads = threads,
                                    .works = calloc(threads, sizeof *crew->works),
                                    .is_ready = calloc(threads, sizeof *crew->is_ready),
                                    .has_failed = calloc(threads, sizeof *crew->has_failed)};
    if (crew->works != NULL && crew->is_ready != NULL && crew->has_failed != NULL) return SINQ_OK;
    sinq_free_unit_crew(crew);
    return sinq_fail_memory(error, "the working memory of a matrix", threads * sizeof *crew->works);
}

void sinq_free_unit_crew(struct sinq_unit_crew *crew) {
    for (unsigned i = 0; crew->works != NULL && i < crew->threads; i++) sinq_free_unit_work(&crew->works[i]);
    free(crew->works);
    free(crew->is_ready);
    free(crew->has_failed);
    *crew = (struct sinq_unit_crew){0};
}

void sinq_run_unit(const struct sinq_unit_job *job, struct sinq_unit_crew *crew, uint64_t unit, unsigned worker) {
    if (!crew->is_ready[worker] && !crew->has_failed[worker]) {
        crew->is_ready[worker] = sinq_create_unit_work(job, &crew->works[worker]);
        crew->has_failed[worker] = !crew->is_ready[worker];
    }
    if (crew->is_ready[worker]) sinq_quantize_unit(job, &crew->works[worker], unit);
}

bool sinq_has_crew_failed(const struct sinq_unit_crew *crew) {
    bool has_failed = false;
    for (unsigned i = 0; i < crew->threads; i++) has_failed |= crew->has_failed[i];
    return has_failed;
}

/* ---- all units ---- */

void sinq_start_units(struct sinq_unit_job *job, const struct sinq_unit_matrix *units,
                      const struct sinq_matrix_method *method, struct sinq_matrix_outcome *outcome) {
    *outcome = (struct sinq_matrix_outcome){.method = method->method};
    if (method->kurtosis_gate > 0 && sinq_method_normalizes(method->method)) {
        outcome->kurtosis = sinq_measure_kurtosis(units, method->threads);
        outcome->was_gated = outcome->kurtosis > method->kurtosis_gate;
        if (outcome->was_gated) outcome->method = sinq_drop_normalization(method->method);
    }
    job->units = units;
    job->method = outcome->method;
    job->bits = method->bits;
    job->effort = method->effort;
    unsigned count;
    const float *const levels = sinq_method_levels(job->method, &count);
    job->has_levels = levels != NULL;
    if (levels != NULL) sinq_make_level_table(levels, count, &job->levels);
    job->has_byte_levels = sinq_method_has_byte_levels(job->method);
    if (job->has_byte_levels) {
        sinq_find_byte_levels(job->bits, units->group_size, &job->byte_levels);
        job->levels = job->byte_levels.above_centre;
        job->has_levels = true;
    }
    job->largest_factor = 1.0f;
    job->column_factors = sinq_method_normalizes(job->method) ? method->column_factors : NULL;
    for (uint64_t j = 0; job->column_factors != NULL && j < units->cols; j++) {
        job->largest_factor = fmaxf(job->largest_factor, job->column_factors[j]);
    }
    const size_t group = units->group_size == 0 ? (size_t)units->cols : units->group_size;
    job->row_tile = method->tiling_2d ? group : (size_t)units->padded_rows;
}

struct sinq_unit_outcome sinq_add_unit_outcomes(const struct sinq_unit_job *job) {
    struct sinq_unit_outcome total = {0};
    for (uint64_t unit = 0; unit < job->units->unit_count; unit++) {
        const struct sinq_unit_outcome *const one = &job->outcomes[unit];
        total.error_square += one->error_square;
        total.norm_square += one->norm_square;
        total.excess += one->excess;
        total.ideal_square += one->ideal_square;
        total.groups += one->groups;
        total.needs_exact_storage |= one->needs_exact_storage;
    }
    const double unit = ldexp(1.0, 2 * job->units->exponent);
    total.error_square *= unit;
    total.norm_square *= unit;
    total.ideal_square *= unit;
    return total;
}

struct plain_run {
    const struct sinq_unit_job *job;
    struct sinq_unit_crew *crew;
};

static void run_plain_unit(void *context, uint64_t unit, unsigned worker) {
    const struct plain_run *const run = context;
    sinq_run_unit(run->job, run->crew, unit, worker);
}

int sinq_quantize_plain(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                        struct sinq_plain_matrix *plain, struct sinq_matrix_outcome *outcome,
                        struct sinq_error *error) {
    struct sinq_unit_job job = {.plain = plain};
    struct sinq_unit_crew crew;
    int status = sinq_create_unit_crew(method->threads, &crew, error);
    if (status != SINQ_OK) return status;
    sinq_start_units(&job, units, method, outcome);
    job.outcomes = calloc((size_t)units->unit_count, sizeof *job.outcomes);
    if (job.outcomes == NULL) {
        status = sinq_fail_memory(error, "a matrix's units", units->unit_count);
        goto done;
    }
    struct plain_run run = {&job, &crew};
    sinq_parallel_for(method->threads, units->unit_count, run_plain_unit, &run);
    if (sinq_has_crew_failed(&crew)) {
        status = sinq_fail_memory(error, "the working memory of a matrix", units->padded_rows * 64);
    }
    const struct sinq_unit_outcome total = sinq_add_unit_outcomes(&job);
    outcome->error_square = total.error_square;
    outcome->norm_square = total.norm_square;
done:
    free(job.outcomes);
    sinq_free_unit_crew(&crew);
    return status;
}
