#include "quant/matrix/unit_block.h"

#include <math.h>
#include <string.h>

#include "quant/matrix/group_search.h"
#include "quant/matrix/rounding.h"
#include "quant/matrix/signed_scales.h"

#define BLOCK_ROWS SINQ_SCALE_BLOCK_ROWS

/* A stored scale further from the wished one than this share may cost something: then the cost is measured. */
#define HARMLESS_DEVIATION 0.02f
/* One group's excess counts at most this much: an error that was zero would count without end. */
#define LARGEST_EXCESS 100.0

/* Stands for the scale of a group that is all zeros: everything rounds to its zero point. */
#define SCALE_OF_NOTHING 1e30f
/* The same without zero points, where a level may be near zero but none is zero. */
#define SIGNED_SCALE_OF_NOTHING 0x1p-120f

static void normalize_block(const struct sinq_unit_job *job, struct sinq_unit_block *block) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    const struct sinq_tile *const tile = &block->group->tile;
    for (size_t half = 0; half < BLOCK_ROWS; half += SINQ_LANES) {
        const size_t row = block->first + half;
        const size_t row_tile = row < job->units->rows ? row / job->row_tile : sinq_count_row_tiles(job) - 1;
        const float *const col_scale = block->group->col_scale + row_tile * block->group->unit_stride;
        float *const lowest = block->values.lowest + half, *const highest = block->values.highest + half;
        for (size_t j = 0; j < sinq_pad_lanes(tile->cols); j += SINQ_STRIP_COLUMNS) {
            const unsigned vectors = sinq_strip_vectors(tile, j);
            float more[2][SINQ_LANES], *const low = j == 0 ? lowest : more[0], *const high = j == 0 ? highest : more[1];
            float *const out = block->x + half * block->stride + j;
            if (tile->is_bf16) {
                kernels->normalize_rows_bf16(sinq_tile_bf16(tile, row, j), tile->stride, vectors,
                                             job->units->has_no_tiny, col_scale + j, block->row_scale + half, out,
                                             block->stride, low, high);
            } else {
                kernels->normalize_rows_f32(sinq_tile_f32(tile, row, j), tile->stride, vectors, job->units->has_no_tiny,
                                            col_scale + j, block->row_scale + half, out, block->stride, low, high);
            }
            for (size_t r = 0; j > 0 && r < SINQ_LANES; r++) {
                lowest[r] = fminf(lowest[r], low[r]);
                highest[r] = fmaxf(highest[r], high[r]);
            }
        }
    }
}

/* Codes of the block for given scales and zeros, to `to` (or NULL), and what they cost. */
static void encode_block(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                         const struct sinq_unit_block *block, const float *scale, const float *zero, uint8_t *to,
                         struct sinq_block_error *result) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    const struct sinq_tile *const tile = &block->group->tile;
    const size_t padded = sinq_pad_lanes(tile->cols);
    float error[BLOCK_ROWS] = {0}, norm[BLOCK_ROWS] = {0};
    for (size_t half = 0; half < block->rows; half += SINQ_LANES) {
        const size_t row_tile = (block->first + half) / job->row_tile;
        const float *const col_scale = block->group->col_scale + row_tile * block->group->unit_stride;
        const float *weights = col_scale;
        if (tile->cols != padded) {
            memcpy(work->weights, col_scale, tile->cols * sizeof(float));
            memset(work->weights + tile->cols, 0, (padded - tile->cols) * sizeof(float));
            weights = work->weights;
        }
        for (size_t j = 0; j < padded; j += SINQ_STRIP_COLUMNS) {
            const unsigned vectors = sinq_strip_vectors(tile, j);
            const float *const x = block->x + half * block->stride + j;
            uint8_t *const codes = to == NULL ? NULL : to + half * block->stride + j;
            float row_error[SINQ_LANES], row_norm[SINQ_LANES];
            if (job->has_levels) {
                kernels->encode_levels(x, block->stride, vectors, scale + half, zero + half, &job->levels, weights + j,
                                       codes, block->stride, row_error, row_norm);
            } else {
                kernels->encode_uniform(x, block->stride, vectors, scale + half, zero + half,
                                        (float)((1u << job->bits) - 1u), weights + j, codes, block->stride, row_error,
                                        row_norm);
            }
            for (size_t r = 0; r < SINQ_LANES; r++) {
                error[half + r] += row_error[r];
                norm[half + r] += row_norm[r];
            }
        }
    }
    for (size_t r = 0; r < block->rows; r++) {
        const double u = (double)block->row_scale[r], square = u * u;
        result->error[r] = (double)error[r] * square;
        result->norm[r] = (double)norm[r] * square;
    }
}

/* A scale of zero, as wished or as it was stored, encodes everything as the zero point. */
static void use_parameters(const struct sinq_unit_block *block, const float *scale, const float *zero,
                           float *used_scale, float *used_zero) {
    for (size_t r = 0; r < BLOCK_ROWS; r++) {
        const bool is_nothing = r >= block->rows || !(scale[r] > 0.0f);
        used_scale[r] = is_nothing ? SCALE_OF_NOTHING : scale[r];
        used_zero[r] = r < block->rows ? zero[r] : 0.0f;
    }
}

static void write_plain(const struct sinq_unit_job *job, const struct sinq_unit_block *block) {
    const uint64_t cols = job->units->cols, groups = sinq_divide_up(cols, sinq_unit_group_width(job->units));
    const uint64_t first_col = block->group->index * sinq_unit_group_width(job->units);
    const float unit = ldexpf(1.0f, job->units->exponent);
    for (size_t r = 0; r < block->rows; r++) {
        const uint64_t row = block->first + r, entry = row * groups + block->group->index;
        memcpy(job->plain->codes + row * cols + first_col, block->codes + r * block->stride, block->group->tile.cols);
        job->plain->scale[entry] = block->parameters.scale[r] * block->row_scale[r] * unit;
        job->plain->zero[entry] = block->parameters.zero[r];
    }
}

/* Sums stay in registers: the compiler cannot know that nothing else holds an outcome. */
static void add_block(const struct sinq_unit_block *block, const struct sinq_block_error *cost,
                      struct sinq_unit_outcome *outcome) {
    double error = outcome->error_square, norm = outcome->norm_square;
    for (size_t r = 0; r < block->rows; r++) {
        error += cost->error[r];
        norm += cost->norm[r];
    }
    outcome->error_square = error;
    outcome->norm_square = norm;
    outcome->groups += (double)block->rows;
}

static void add_excess(const struct sinq_unit_block *block, const struct sinq_block_error *cost,
                       const struct sinq_block_error *ideal, struct sinq_unit_outcome *outcome) {
    double excess = outcome->excess;
    for (size_t r = 0; r < block->rows; r++) {
        const double more = cost->error[r] - ideal->error[r];
        if (more <= 0) continue;
        excess += more < LARGEST_EXCESS * ideal->error[r] ? more / ideal->error[r] : LARGEST_EXCESS;
    }
    outcome->excess = excess;
}

static void add_ideal(const struct sinq_unit_block *block, const struct sinq_block_error *ideal,
                      struct sinq_unit_outcome *outcome) {
    double square = outcome->ideal_square;
    for (size_t r = 0; r < block->rows; r++) square += ideal->error[r];
    outcome->ideal_square = square;
}

/* Scales of 11 bits change nothing worth rounding again for, and the codes stay those of the paper. */
static void round_kept(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                       struct sinq_unit_block *block, struct sinq_unit_outcome *outcome) {
    float scale[BLOCK_ROWS], zero[BLOCK_ROWS];
    struct sinq_block_error cost;
    sinq_store_kept_scales(job, block);
    sinq_store_block_zeros(job, block);
    use_parameters(block, block->parameters.scale, block->zero, scale, zero);
    encode_block(job, work, block, scale, zero, block->codes, &cost);
    add_block(block, &cost, outcome);
}

/* Rounds one block for the blob: parameters first as stored, then codes for them. */
static void round_for_blob(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                           struct sinq_unit_block *block, struct sinq_unit_outcome *outcome) {
    float scale[BLOCK_ROWS], zero[BLOCK_ROWS];
    struct sinq_block_error cost, ideal;
    const bool is_integer = sinq_method_has_integer_zeros(job->method);
    const float deviation = sinq_store_block_scales(job, block);
    sinq_store_block_zeros(job, block);
    const bool may_cost = deviation > HARMLESS_DEVIATION || !is_integer;
    if (may_cost) {
        use_parameters(block, block->parameters.scale, block->parameters.zero, scale, zero);
        encode_block(job, work, block, scale, zero, block->codes, &ideal);
    }
    use_parameters(block, block->scale, block->zero, scale, zero);
    encode_block(job, work, block, scale, zero, block->codes, &cost);
    if (may_cost) add_excess(block, &cost, &ideal, outcome);
    add_block(block, &cost, outcome);
}

/* Rounds one block for the blob: as searched, to know what storing costs, then as stored. */
static void round_searched(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                           struct sinq_unit_block *block, struct sinq_unit_outcome *outcome) {
    float scale[BLOCK_ROWS], zero[BLOCK_ROWS];
    struct sinq_block_error cost, ideal;
    use_parameters(block, block->parameters.scale, block->parameters.zero, scale, zero);
    encode_block(job, work, block, scale, zero, NULL, &ideal);
    sinq_store_searched_block(job, work, block);
    use_parameters(block, block->scale, block->zero, scale, zero);
    encode_block(job, work, block, scale, zero, block->codes, &cost);
    add_excess(block, &cost, &ideal, outcome);
    add_ideal(block, &ideal, outcome);
    add_block(block, &cost, outcome);
}

/* ---- byte levels with signed scales ---- */

static void use_signed_scales(const struct sinq_unit_block *block, const float *scale, float *used) {
    for (size_t r = 0; r < BLOCK_ROWS; r++) {
        used[r] = r < block->rows && scale[r] != 0.0f ? scale[r] : SIGNED_SCALE_OF_NOTHING;
    }
}

/* What storing scales costs, from errors in units of each row's own. */
static void add_storing(const struct sinq_unit_block *block, const struct sinq_block_error *cost, const float *searched,
                        const float *stored, struct sinq_unit_outcome *outcome) {
    struct sinq_block_error ideal;
    for (size_t r = 0; r < block->rows; r++) {
        const bool is_dearer = stored[r] > searched[r];
        ideal.error[r] = is_dearer ? cost->error[r] * (double)(searched[r] / stored[r]) : cost->error[r];
    }
    add_excess(block, cost, &ideal, outcome);
    add_ideal(block, &ideal, outcome);
}

static void round_byte_levels(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                              struct sinq_unit_block *block, struct sinq_unit_outcome *outcome) {
    const float zero[BLOCK_ROWS] = {0};
    float scale[BLOCK_ROWS], searched[BLOCK_ROWS], stored[BLOCK_ROWS];
    struct sinq_block_error cost;
    memset(block->parameters.zero, 0, sizeof block->parameters.zero);
    sinq_search_signed_scales(job->effort, job->bits, &job->byte_levels, &block->values, work->values,
                              block->parameters.scale, searched);
    memcpy(block->scale, block->parameters.scale, sizeof block->scale);
    if (job->blob != NULL) {
        const struct sinq_signed_column column = {block->first, block->group->index, block->row_scale};
        sinq_store_signed_scales(job, &column, &block->values, work->values, block->scale, stored);
    }
    use_signed_scales(block, block->scale, scale);
    encode_block(job, work, block, scale, zero, block->codes, &cost);
    add_block(block, &cost, outcome);
    if (job->blob == NULL) {
        write_plain(job, block);
    } else if (job->description->scale_type != SINQ_AUX_F16) {
        add_storing(block, &cost, searched, stored, outcome);
    }
}

void sinq_round_block(const struct sinq_unit_job *job, const struct sinq_unit_work *work, struct sinq_unit_block *block,
                      struct sinq_unit_outcome *outcome) {
    normalize_block(job, block);
    block->values.x = block->x;
    block->values.stride = block->stride;
    block->values.rows = block->rows;
    block->values.cols = block->group->tile.cols;
    if (job->has_byte_levels) {
        round_byte_levels(job, work, block, outcome);
        return;
    }
    sinq_choose_parameters(job->method, job->bits, &block->values, &block->parameters);
    const bool is_searched = sinq_method_is_searched(job->method);
    if (is_searched) {
        sinq_search_parameters(job->effort, job->bits, &block->values, work->values, &block->parameters);
    }
    if (job->blob != NULL) {
        /* A group of zeros is exact with any scale if its zero point is. */
        const bool has_real_zeros = !sinq_method_has_integer_zeros(job->method) && !is_searched;
        unsigned exact = 0;
        for (size_t r = 0; r < block->rows; r++) {
            exact |= block->parameters.is_constant[r] | (has_real_zeros & (block->parameters.scale[r] == 0.0f));
        }
        outcome->needs_exact_storage |= exact != 0;
        const bool is_kept = job->description->scale_type == SINQ_AUX_F16 && sinq_method_has_integer_zeros(job->method);
        if (is_searched) {
            round_searched(job, work, block, outcome);
        } else if (is_kept) {
            round_kept(job, work, block, outcome);
        } else {
            round_for_blob(job, work, block, outcome);
        }
        return;
    }
    struct sinq_block_error cost;
    use_parameters(block, block->parameters.scale, block->parameters.zero, block->scale, block->zero);
    encode_block(job, work, block, block->scale, block->zero, block->codes, &cost);
    add_block(block, &cost, outcome);
    write_plain(job, block);
}
