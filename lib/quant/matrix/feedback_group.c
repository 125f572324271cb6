#include "quant/matrix/feedback_group.h"

#include <math.h>
#include <string.h>

#include "quant/matrix/signed_scales.h"
#include "quant/matrix/storage.h"
#include "quant/matrix/weighted_search.h"
#include "tensor/dtype.h"

#define ROWS    SINQ_SCALE_BLOCK_ROWS
#define ROUNDER 8388608.0f
/* One group's excess counts at most this much: an error that was zero would count without end. */
#define LARGEST_EXCESS 100.0

/* ---- a column ---- */

static void round_evenly(unsigned bits, const struct sinq_feedback_line *line, const float *values, uint8_t *codes,
                         float *rounded) {
    const float top = (float)((1u << bits) - 1u);
    for (size_t r = 0; r < ROWS; r++) {
        const float scale = line->scale[r], place = scale > 0.0f ? values[r] / scale + line->zero[r] : line->zero[r];
        const float code = (fminf(fmaxf(place, 0.0f), top) + ROUNDER) - ROUNDER;
        codes[r] = (uint8_t)code;
        rounded[r] = (code - line->zero[r]) * scale;
    }
}

static void round_to_levels(const struct sinq_level_table *table, const struct sinq_feedback_line *line,
                            const float *values, uint8_t *codes, float *rounded) {
    float place[ROWS];
    int32_t code[ROWS] = {0};
    for (size_t r = 0; r < ROWS; r++) place[r] = line->scale[r] != 0.0f ? values[r] / line->scale[r] : 0.0f;
    for (unsigned k = 0; k + 1 < table->count; k++) {
        for (size_t r = 0; r < ROWS; r++) code[r] += place[r] > table->middle[k];
    }
    for (size_t r = 0; r < ROWS; r++) {
        codes[r] = (uint8_t)code[r];
        rounded[r] = table->level[code[r]] * line->scale[r];
    }
}

void sinq_round_feedback_column(const struct sinq_unit_job *job, const struct sinq_feedback_line *line,
                                const float *values, uint8_t *codes, float *rounded) {
    if (job->has_byte_levels) {
        round_to_levels(&job->levels, line, values, codes, rounded);
    } else {
        round_evenly(job->bits, line, values, codes, rounded);
    }
}

/* ---- what storing costs ---- */

/* The weighted squared error, each column by itself. */
static void measure_line(const struct sinq_feedback_group *g, const struct sinq_feedback_line *line, float *error) {
    memset(error, 0, ROWS * sizeof *error);
    for (size_t j = 0; j < g->count; j++) {
        uint8_t codes[ROWS];
        float rounded[ROWS];
        const float *const values = g->values + ROWS * j;
        sinq_round_feedback_column(g->job, line, values, codes, rounded);
        for (size_t r = 0; r < ROWS; r++) {
            const float left = values[r] - rounded[r];
            error[r] += g->weights[j] * left * left;
        }
    }
}

static void add_excess(const struct sinq_feedback_group *g, const struct sinq_feedback_line *ideal,
                       const struct sinq_feedback_line *stored, struct sinq_unit_outcome *outcome) {
    float most[ROWS], least[ROWS];
    measure_line(g, ideal, least);
    measure_line(g, stored, most);
    for (size_t r = 0; r < g->rows; r++) {
        const double more = (double)most[r] - (double)least[r], error = (double)least[r];
        if (more > 0) outcome->excess += more < LARGEST_EXCESS * error ? more / error : LARGEST_EXCESS;
    }
    outcome->groups += (double)g->rows;
}

/* ---- evenly spaced codes ---- */

static void store_zeros(const struct sinq_feedback_group *g, struct sinq_feedback_line *line) {
    const struct sinq_dual_scale *const description = g->job->description;
    const struct sinq_dual_scale_sizes *const sizes = g->job->sizes;
    const bool is_per_block = description->zero_per_block, none_free[ROWS] = {false};
    struct sinq_stored_column stored;
    float wished[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        wished[r] = fminf(fmaxf(line->zero[r], -SINQ_LARGEST_ZERO), SINQ_LARGEST_ZERO) + 0.0f;
    }
    if (description->zero_type == SINQ_AUX_U6) {
        const float most = (float)sinq_most_entry(SINQ_AUX_U6, false);
        for (size_t r = 0; r < ROWS; r++)
            wished[r] = fminf(wished[r], description->zero_low + description->zero_step * most);
    }
    if (description->zero_type != SINQ_AUX_F16 && !is_per_block) {
        sinq_store_codes(wished, g->rows, description->zero_low, description->zero_step, &stored);
    } else {
        sinq_store_column(description->zero_type, wished, none_free, g->rows, INFINITY, &stored);
    }
    if (g->job->zero_entries != NULL) {
        sinq_put_codes(sizes, stored.code, g->first_row, g->rows, g->index, g->job->zero_entries);
    } else {
        sinq_write_column(sizes, description->zero_type, &stored, g->first_row, g->rows, g->index, sizes->zero_offset,
                          is_per_block ? sizes->zero_range_offset : SINQ_NO_RANGES, g->job->blob);
    }
    memset(line->zero, 0, sizeof line->zero);
    memcpy(line->zero, stored.value, g->rows * sizeof *line->zero);
}

/* 6-bit codes: the nearest ones. */
static void store_scale_codes(const struct sinq_feedback_group *g, const float *scaled, const bool *is_free,
                              struct sinq_stored_column *stored) {
    const struct sinq_dual_scale_sizes *const sizes = g->job->sizes;
    const float most = (float)sinq_most_entry(SINQ_AUX_U6, false);
    float wished[ROWS];
    sinq_choose_range(scaled, is_free, g->rows, most, stored->range);
    const float low = sinq_half_to_float(stored->range[0]), step = sinq_half_to_float(stored->range[1]);
    for (size_t r = 0; r < g->rows; r++) wished[r] = fminf(scaled[r], low + step * most);
    sinq_store_codes(wished, g->rows, low, step, stored);
    sinq_write_range(sizes, stored->range, g->first_row, g->index, sizes->scale_range_offset, g->job->blob);
    sinq_put_codes(sizes, stored->code, g->first_row, g->rows, g->index, g->job->scale_entries);
}

static void store_scales(const struct sinq_feedback_group *g, struct sinq_feedback_line *line) {
    const struct sinq_unit_job *const job = g->job;
    const float unit = ldexpf(1.0f, -job->scale_exponent);
    float scaled[ROWS];
    bool is_free[ROWS];
    struct sinq_stored_column stored;
    for (size_t r = 0; r < ROWS; r++) {
        scaled[r] = line->scale[r] * unit;
        is_free[r] = !(line->scale[r] > 0.0f);
    }
    if (job->scale_entries != NULL) {
        store_scale_codes(g, scaled, is_free, &stored);
    } else {
        sinq_store_column(job->description->scale_type, scaled, is_free, g->rows, INFINITY, &stored);
        sinq_write_column(job->sizes, job->description->scale_type, &stored, g->first_row, g->rows, g->index,
                          job->sizes->scale_offset, job->sizes->scale_range_offset, job->blob);
    }
    for (size_t r = 0; r < ROWS; r++) line->scale[r] = r < g->rows ? stored.value[r] / unit : 0.0f;
}

static void choose_evenly(const struct sinq_feedback_group *g, struct sinq_feedback_line *line,
                          struct sinq_feedback_line *ideal) {
    const struct sinq_search_group group = {
        .values = g->values, .weights = g->weights, .count = g->count, .bits = g->job->bits};
    struct sinq_search_line found;
    sinq_search_weighted(&group, &found);
    memcpy(ideal->scale, found.scale, sizeof ideal->scale);
    memcpy(ideal->zero, found.zero, sizeof ideal->zero);
    *line = *ideal;
    store_zeros(g, line);
    sinq_refit_weighted(&group, line->zero, &found);
    memcpy(line->scale, found.scale, sizeof line->scale);
    store_scales(g, line);
}

/* ---- levels ---- */

/* Rows one behind the other, as the search for levels has them. */
static void turn_values(const struct sinq_feedback_group *g, float *x, struct sinq_group_block *block) {
    const size_t stride = g->count;
    for (size_t r = 0; r < ROWS; r++) block->lowest[r] = block->highest[r] = g->values[r];
    for (size_t j = 0; j < g->count; j++) {
        const float *const values = g->values + ROWS * j;
        for (size_t r = 0; r < ROWS; r++) {
            x[r * stride + j] = values[r];
            block->lowest[r] = values[r] < block->lowest[r] ? values[r] : block->lowest[r];
            block->highest[r] = values[r] > block->highest[r] ? values[r] : block->highest[r];
        }
    }
    block->x = x;
    block->stride = stride;
    block->rows = g->rows;
    block->cols = g->count;
    block->weights = g->weights;
}

static void choose_levels(const struct sinq_feedback_group *g, struct sinq_feedback_line *line,
                          struct sinq_feedback_line *ideal) {
    const struct sinq_unit_job *const job = g->job;
    struct sinq_group_block block;
    float *const search = g->work + ROWS * g->count, row_scale[ROWS], error[ROWS];
    turn_values(g, g->work, &block);
    memset(ideal, 0, sizeof *ideal);
    for (size_t r = 0; r < ROWS; r++) row_scale[r] = 1.0f;
    sinq_search_signed_scales(job->effort, job->bits, &job->byte_levels, &block, search, ideal->scale, NULL);
    *line = *ideal;
    const struct sinq_signed_column column = {g->first_row, g->index, row_scale};
    sinq_store_signed_scales(job, &column, &block, search, line->scale, error);
}

/* A copy of all rows, and what the search for levels takes. */
size_t sinq_count_feedback_work(size_t count) { return 3 * ROWS * count; }

void sinq_choose_feedback_line(const struct sinq_feedback_group *group, struct sinq_feedback_line *line,
                               struct sinq_unit_outcome *outcome) {
    struct sinq_feedback_line ideal;
    if (group->job->has_byte_levels) {
        choose_levels(group, line, &ideal);
    } else {
        choose_evenly(group, line, &ideal);
    }
    add_excess(group, &ideal, line, outcome);
}
