#include "quant/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/group_search.h"
#include "quant/rounding.h"
#include "quant/signed_scales.h"
#include "quant/sinkhorn.h"
#include "quant/storage.h"
#include "tensor/dtype.h"

#define BLOCK_ROWS SINQ_SCALE_BLOCK_ROWS

#define SMALLEST_COLUMN_SCALE 0x1p-14f
#define LARGEST_COLUMN_SCALE  65504.0f

/* A stored scale further from the wished one than this share may cost something: then the cost is measured. */
#define HARMLESS_DEVIATION 0.02f
/* One group's excess counts at most this much: an error that was zero would count without end. */
#define LARGEST_EXCESS 100.0

/* A scale stored too small clips the ends of its groups: by this many steps at most, else it is stored too large. */
#define ALLOWED_CLIPPING 0.25f

/* Stands for the scale of a group that is all zeros: everything rounds to its zero point. */
#define SCALE_OF_NOTHING 1e30f
/* The same without zero points, where a level may be near zero but none is zero. */
#define SIGNED_SCALE_OF_NOTHING 0x1p-120f

void sinq_free_unit_work(struct sinq_unit_work *work) {
    sinq_sinkhorn_free(work->sinkhorn);
    free(work->row_scale);
    free(work->col_scale);
    free(work->weights);
    free(work->x);
    free(work->values);
    free(work->codes);
}

static size_t group_width(const struct sinq_unit_matrix *units) {
    return units->group_size == 0 ? (size_t)units->cols : units->group_size;
}

static size_t count_row_tiles(const struct sinq_unit_job *job) {
    return (size_t)sinq_divide_up(job->units->rows, job->row_tile);
}

bool sinq_create_unit_work(const struct sinq_unit_job *job, struct sinq_unit_work *work) {
    const size_t stride = sinq_pad_lanes((size_t)sinq_min_u64(job->units->unit_cols, job->units->cols));
    const size_t tiles = (size_t)sinq_divide_up(stride, group_width(job->units));
    const size_t rows = (size_t)job->units->padded_rows;
    work->sinkhorn = sinq_sinkhorn_create(rows, stride);
    work->row_scale = malloc(tiles * rows * sizeof(float));
    work->col_scale = malloc(count_row_tiles(job) * stride * sizeof(float));
    work->weights = malloc(stride * sizeof(float));
    work->x = aligned_alloc(SINQ_LINE_BYTES, BLOCK_ROWS * stride * sizeof(float));
    work->codes = aligned_alloc(SINQ_LINE_BYTES, BLOCK_ROWS * stride);
    const bool is_searched = sinq_method_is_searched(job->method) || job->has_byte_levels;
    if (is_searched) work->values = aligned_alloc(SINQ_LINE_BYTES, 2 * BLOCK_ROWS * stride * sizeof(float));
    return work->sinkhorn != NULL && work->row_scale != NULL && work->col_scale != NULL && work->weights != NULL &&
           work->x != NULL && work->codes != NULL && (!is_searched || work->values != NULL);
}

/* One group's columns within a unit. */
struct group {
    struct sinq_tile tile;
    size_t in_unit; /* first column within the unit */
    uint64_t index; /* in the matrix */
    float *row_scale;
    float *col_scale; /* of the first row tile */
    size_t unit_stride;
};

static struct group find_group(const struct sinq_unit_job *job, struct sinq_unit_work *work, uint64_t unit,
                               size_t index) {
    const struct sinq_tile whole = sinq_unit_tile(job->units, unit);
    const size_t width = group_width(job->units), first = index * width;
    struct group group = {.tile = whole, .in_unit = first, .unit_stride = whole.stride};
    group.tile.cols = (size_t)sinq_min_u64(width, whole.cols - first);
    group.tile.values =
        whole.is_bf16 ? (const void *)sinq_tile_bf16(&whole, 0, first) : (const void *)sinq_tile_f32(&whole, 0, first);
    group.index = unit * sinq_divide_up(job->units->unit_cols, width) + index;
    group.row_scale = work->row_scale + index * (size_t)job->units->padded_rows;
    group.col_scale = work->col_scale + first;
    return group;
}

/* ---- normalization ---- */

static void set_ones(float *array, size_t count) {
    for (size_t i = 0; i < count; i++) array[i] = 1.0f;
}

/* Column scales are stored in f16: where codes are chosen for what is stored, they must be too. */
static void round_to_halves(float *array, size_t count) {
    for (size_t i = 0; i < count; i++) array[i] = sinq_half_to_float(sinq_float_to_half(array[i]));
}

/* A-SINQ: columns whose inputs are large become larger, and so more precise. What is stored must be a normal f16 number. */
static void divide_column_scales(const struct sinq_unit_job *job, const struct group *group, float *col_scale) {
    const float *const factors = job->column_factors + group->index * group_width(job->units);
    for (size_t j = 0; j < group->tile.cols; j++) {
        col_scale[j] = fminf(fmaxf(col_scale[j] / factors[j], SMALLEST_COLUMN_SCALE), LARGEST_COLUMN_SCALE);
    }
}

static void normalize_group(const struct sinq_unit_job *job, struct sinq_unit_work *work, const struct group *group) {
    const size_t stride = sinq_pad_lanes(group->tile.cols);
    set_ones(group->row_scale, (size_t)job->units->padded_rows);
    for (size_t tile_index = 0; tile_index < count_row_tiles(job); tile_index++) {
        float *const col_scale = group->col_scale + tile_index * group->unit_stride;
        set_ones(col_scale, stride);
        if (!sinq_method_normalizes(job->method)) continue;
        const size_t first = tile_index * job->row_tile;
        struct sinq_tile tile = group->tile;
        tile.rows = (size_t)sinq_min_u64(job->row_tile, job->units->rows - first);
        tile.values = tile.is_bf16 ? (const void *)sinq_tile_bf16(&group->tile, first, 0)
                                   : (const void *)sinq_tile_f32(&group->tile, first, 0);
        struct sinq_sinkhorn_result result;
        sinq_normalize_tile(work->sinkhorn, &tile, col_scale, group->row_scale + first, &result);
        if (job->column_factors != NULL) divide_column_scales(job, group, col_scale);
        /* With f16 scales the paper's codes stay as they are. */
        const bool is_paper = job->blob != NULL && job->description->scale_type == SINQ_AUX_F16;
        const bool is_chosen = !is_paper || sinq_method_is_searched(job->method) || job->has_byte_levels;
        if (job->blob != NULL && is_chosen) round_to_halves(col_scale, stride);
    }
}

/* ---- one block of 32 rows of one group ---- */

struct block {
    const struct group *group;
    size_t first, rows;
    float *x;
    uint8_t *codes;
    size_t stride;
    const float *row_scale;
    struct sinq_group_block values;
    struct sinq_group_parameters parameters;   /* as wished, normalized domain */
    float scale[BLOCK_ROWS], zero[BLOCK_ROWS]; /* as used, normalized domain */
};

static void normalize_block(const struct sinq_unit_job *job, struct block *block) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    const struct sinq_tile *const tile = &block->group->tile;
    for (size_t half = 0; half < BLOCK_ROWS; half += SINQ_LANES) {
        const size_t row = block->first + half;
        const size_t row_tile = row < job->units->rows ? row / job->row_tile : count_row_tiles(job) - 1;
        const float *const col_scale = block->group->col_scale + row_tile * block->group->unit_stride;
        float *const lowest = block->values.lowest + half, *const highest = block->values.highest + half;
        for (size_t j = 0; j < sinq_pad_lanes(tile->cols); j += SINQ_STRIP_COLUMNS) {
            const unsigned vectors = sinq_strip_vectors(tile, j);
            float more[2][SINQ_LANES], *const low = j == 0 ? lowest : more[0], *const high = j == 0 ? highest : more[1];
            float *const out = block->x + half * block->stride + j;
            if (tile->is_bf16) {
                kernels->normalize_rows_bf16(sinq_tile_bf16(tile, row, j), tile->stride, vectors, col_scale + j,
                                             block->row_scale + half, out, block->stride, low, high);
            } else {
                kernels->normalize_rows_f32(sinq_tile_f32(tile, row, j), tile->stride, vectors, col_scale + j,
                                            block->row_scale + half, out, block->stride, low, high);
            }
            for (size_t r = 0; j > 0 && r < SINQ_LANES; r++) {
                lowest[r] = fminf(lowest[r], low[r]);
                highest[r] = fmaxf(highest[r], high[r]);
            }
        }
    }
}

/* Squared error and norm of a block's rows in the domain of W. */
struct block_error {
    double error[BLOCK_ROWS], norm[BLOCK_ROWS];
};

/* Codes of the block for given scales and zeros, to `to` (or NULL), and what they cost. */
static void encode_block(const struct sinq_unit_job *job, const struct sinq_unit_work *work, const struct block *block,
                         const float *scale, const float *zero, uint8_t *to, struct block_error *result) {
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
static void use_parameters(const struct block *block, const float *scale, const float *zero, float *used_scale,
                           float *used_zero) {
    for (size_t r = 0; r < BLOCK_ROWS; r++) {
        const bool is_nothing = r >= block->rows || !(scale[r] > 0.0f);
        used_scale[r] = is_nothing ? SCALE_OF_NOTHING : scale[r];
        used_zero[r] = r < block->rows ? zero[r] : 0.0f;
    }
}

/* ---- output ---- */

static void write_plain(const struct sinq_unit_job *job, const struct block *block) {
    const uint64_t cols = job->units->cols, groups = sinq_divide_up(cols, group_width(job->units));
    const uint64_t first_col = block->group->index * group_width(job->units);
    const float unit = ldexpf(1.0f, job->units->exponent);
    for (size_t r = 0; r < block->rows; r++) {
        const uint64_t row = block->first + r, entry = row * groups + block->group->index;
        memcpy(job->plain->codes + row * cols + first_col, block->codes + r * block->stride, block->group->tile.cols);
        job->plain->scale[entry] = block->parameters.scale[r] * block->row_scale[r] * unit;
        job->plain->zero[entry] = block->parameters.zero[r];
    }
}

static uint64_t locate_entry(const struct sinq_dual_scale_sizes *sizes, uint64_t row, uint64_t group) {
    return (row / SINQ_PANEL_ROWS * sizes->groups + group) * SINQ_PANEL_ROWS + row % SINQ_PANEL_ROWS;
}

/* Stores the block's scales; block->scale becomes what a reader will see, in the normalized domain. */
static float store_scales(const struct sinq_unit_job *job, struct block *block) {
    float wished[BLOCK_ROWS], deviation = 0.0f;
    bool is_free[BLOCK_ROWS];
    const float unit = ldexpf(1.0f, -job->scale_exponent);
    for (size_t r = 0; r < block->rows; r++) {
        wished[r] = block->parameters.scale[r] * block->row_scale[r] * unit;
        is_free[r] = block->parameters.scale[r] == 0.0f;
    }
    struct sinq_stored_column stored;
    /* What is searched clips on purpose. */
    const bool is_searched = sinq_method_is_searched(job->method);
    const float shortfall = is_searched ? INFINITY : ALLOWED_CLIPPING / (float)((1u << job->bits) - 1u);
    sinq_store_column(job->description->scale_type, wished, is_free, block->rows, shortfall, &stored);
    sinq_write_column(job->sizes, job->description->scale_type, &stored, block->first, block->rows, block->group->index,
                      job->sizes->scale_offset, job->sizes->scale_range_offset, job->blob);
    for (size_t r = 0; r < block->rows; r++) {
        block->scale[r] = is_free[r] ? 0.0f : stored.value[r] / unit / block->row_scale[r];
        if (!is_free[r]) deviation = fmaxf(deviation, fabsf(stored.value[r] - wished[r]) / wished[r]);
    }
    return deviation;
}

/* 6-bit codes of scales for the zero points as stored: of the nearest and those beside it the best. */
static void store_best_scales(const struct sinq_unit_job *job, const struct sinq_unit_work *work, struct block *block) {
    const float most = (float)sinq_most_entry(SINQ_AUX_U6, false), unit = ldexpf(1.0f, -job->scale_exponent);
    float wished[BLOCK_ROWS], by_row[BLOCK_ROWS];
    bool is_free[BLOCK_ROWS];
    struct sinq_stored_column stored;
    for (size_t r = 0; r < block->rows; r++) {
        by_row[r] = 1.0f / (block->row_scale[r] * unit);
        wished[r] = block->parameters.scale[r] * block->row_scale[r] * unit;
        is_free[r] = wished[r] == 0.0f;
    }
    sinq_choose_range(wished, is_free, block->rows, most, stored.range);
    const struct sinq_step_range range = {.low = sinq_half_to_float(stored.range[0]),
                                          .step = sinq_half_to_float(stored.range[1]),
                                          .most = most,
                                          .unit = by_row};
    memcpy(block->scale, block->parameters.scale, sizeof block->scale);
    sinq_choose_stored_steps(job->bits, &range, &block->values, work->values, block->zero, block->scale, stored.code);
    sinq_write_range(job->sizes, stored.range, block->first, block->group->index, job->sizes->scale_range_offset,
                     job->blob);
    sinq_put_codes(job->sizes, stored.code, block->first, block->rows, block->group->index, job->scale_entries);
}

static void store_zero_entries(const struct sinq_unit_job *job, struct block *block) {
    const struct sinq_dual_scale *const description = job->description;
    const float highest = description->zero_low + description->zero_step * (float)sinq_most_entry(SINQ_AUX_U6, false);
    struct sinq_stored_column stored;
    for (size_t r = 0; r < block->rows; r++) block->zero[r] = fminf(block->parameters.zero[r], highest);
    sinq_store_codes(block->zero, block->rows, description->zero_low, description->zero_step, &stored);
    sinq_put_codes(job->sizes, stored.code, block->first, block->rows, block->group->index, job->zero_entries);
    memcpy(block->zero, stored.value, sizeof block->zero);
}

/* Searched zero points as they are stored, then the best scales for those. */
static void store_searched_zeros(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                                 struct block *block) {
    const struct sinq_dual_scale *const description = job->description;
    const bool none_free[BLOCK_ROWS] = {false};
    struct sinq_stored_column stored;
    if (description->zero_type == SINQ_AUX_U6) {
        store_zero_entries(job, block);
        sinq_refit_scales(job->bits, &block->values, work->values, block->zero, &block->parameters);
        return;
    }
    if (description->zero_type == SINQ_AUX_U8 && !description->zero_per_block) {
        sinq_store_codes(block->parameters.zero, block->rows, description->zero_low, description->zero_step, &stored);
    } else {
        sinq_store_column(description->zero_type, block->parameters.zero, none_free, block->rows, INFINITY, &stored);
    }
    sinq_write_column(job->sizes, description->zero_type, &stored, block->first, block->rows, block->group->index,
                      job->sizes->zero_offset,
                      description->zero_per_block ? job->sizes->zero_range_offset : SINQ_NO_RANGES, job->blob);
    for (size_t r = 0; r < block->rows; r++) block->zero[r] = stored.value[r];
    sinq_refit_scales(job->bits, &block->values, work->values, block->zero, &block->parameters);
}

/* Zero points for the scales as stored: integers are placed anew, real ones go into the blob here. */
static void store_zeros(const struct sinq_unit_job *job, struct block *block) {
    const bool is_integer = sinq_method_has_integer_zeros(job->method);
    const bool is_kept = job->description->scale_type == SINQ_AUX_F16;
    const bool none_free[BLOCK_ROWS] = {false};
    if (sinq_method_is_symmetric(job->method)) {
        memcpy(block->zero, block->parameters.zero, sizeof block->zero);
        return;
    }
    for (size_t r = 0; r < block->rows; r++) {
        const bool is_placed = is_integer && !is_kept && block->scale[r] > 0 && !block->parameters.is_constant[r];
        block->zero[r] =
            is_placed ? sinq_place_zero(block->values.lowest[r], block->scale[r]) : block->parameters.zero[r];
        if (is_integer) {
            job->integer_zeros[locate_entry(job->sizes, block->first + r, block->group->index)] =
                (int16_t)block->zero[r];
        }
    }
    if (is_integer) return;
    struct sinq_stored_column stored;
    sinq_store_column(job->description->zero_type, block->zero, none_free, block->rows, INFINITY, &stored);
    sinq_write_column(job->sizes, job->description->zero_type, &stored, block->first, block->rows, block->group->index,
                      job->sizes->zero_offset, job->sizes->zero_range_offset, job->blob);
    for (size_t r = 0; r < block->rows; r++) block->zero[r] = stored.value[r];
}

/* Sums stay in registers: the compiler cannot know that nothing else holds an outcome. */
static void add_block(const struct block *block, const struct block_error *cost, struct sinq_unit_outcome *outcome) {
    double error = outcome->error_square, norm = outcome->norm_square;
    for (size_t r = 0; r < block->rows; r++) {
        error += cost->error[r];
        norm += cost->norm[r];
    }
    outcome->error_square = error;
    outcome->norm_square = norm;
    outcome->groups += (double)block->rows;
}

static void add_excess(const struct block *block, const struct block_error *cost, const struct block_error *ideal,
                       struct sinq_unit_outcome *outcome) {
    double excess = outcome->excess;
    for (size_t r = 0; r < block->rows; r++) {
        const double more = cost->error[r] - ideal->error[r];
        if (more <= 0) continue;
        excess += more < LARGEST_EXCESS * ideal->error[r] ? more / ideal->error[r] : LARGEST_EXCESS;
    }
    outcome->excess = excess;
}

static void add_ideal(const struct block *block, const struct block_error *ideal, struct sinq_unit_outcome *outcome) {
    double square = outcome->ideal_square;
    for (size_t r = 0; r < block->rows; r++) square += ideal->error[r];
    outcome->ideal_square = square;
}

/* Rounds one block for the blob: parameters first as stored, then codes for them. */
static void round_for_blob(const struct sinq_unit_job *job, const struct sinq_unit_work *work, struct block *block,
                           struct sinq_unit_outcome *outcome) {
    float scale[BLOCK_ROWS], zero[BLOCK_ROWS];
    struct block_error cost, ideal;
    const bool is_integer = sinq_method_has_integer_zeros(job->method);
    /* Scales of 11 bits change nothing worth rounding again for, and the codes stay those of the paper. */
    const bool is_kept = job->description->scale_type == SINQ_AUX_F16 && is_integer;
    const float deviation = store_scales(job, block);
    store_zeros(job, block);
    const bool may_cost = !is_kept && (deviation > HARMLESS_DEVIATION || !is_integer);
    if (may_cost || is_kept) {
        use_parameters(block, block->parameters.scale, block->parameters.zero, scale, zero);
        encode_block(job, work, block, scale, zero, block->codes, &ideal);
        cost = ideal;
    }
    if (!is_kept) {
        use_parameters(block, block->scale, block->zero, scale, zero);
        encode_block(job, work, block, scale, zero, block->codes, &cost);
    }
    if (may_cost) add_excess(block, &cost, &ideal, outcome);
    add_block(block, &cost, outcome);
}

/* Rounds one block for the blob: as searched, to know what storing costs, then as stored. */
static void round_searched(const struct sinq_unit_job *job, const struct sinq_unit_work *work, struct block *block,
                           struct sinq_unit_outcome *outcome) {
    float scale[BLOCK_ROWS], zero[BLOCK_ROWS];
    struct block_error cost, ideal;
    use_parameters(block, block->parameters.scale, block->parameters.zero, scale, zero);
    encode_block(job, work, block, scale, zero, NULL, &ideal);
    store_searched_zeros(job, work, block);
    if (job->scale_entries != NULL) {
        store_best_scales(job, work, block);
    } else {
        (void)store_scales(job, block);
    }
    use_parameters(block, block->scale, block->zero, scale, zero);
    encode_block(job, work, block, scale, zero, block->codes, &cost);
    add_excess(block, &cost, &ideal, outcome);
    add_ideal(block, &ideal, outcome);
    add_block(block, &cost, outcome);
}

/* ---- byte levels with signed scales ---- */

static void use_signed_scales(const struct block *block, const float *scale, float *used) {
    for (size_t r = 0; r < BLOCK_ROWS; r++) {
        used[r] = r < block->rows && scale[r] != 0.0f ? scale[r] : SIGNED_SCALE_OF_NOTHING;
    }
}

/* What storing scales costs, from errors in units of each row's own. */
static void add_storing(const struct block *block, const struct block_error *cost, const float *searched,
                        const float *stored, struct sinq_unit_outcome *outcome) {
    struct block_error ideal;
    for (size_t r = 0; r < block->rows; r++) {
        const bool is_dearer = stored[r] > searched[r];
        ideal.error[r] = is_dearer ? cost->error[r] * (double)(searched[r] / stored[r]) : cost->error[r];
    }
    add_excess(block, cost, &ideal, outcome);
    add_ideal(block, &ideal, outcome);
}

static void round_byte_levels(const struct sinq_unit_job *job, const struct sinq_unit_work *work, struct block *block,
                              struct sinq_unit_outcome *outcome) {
    const float zero[BLOCK_ROWS] = {0};
    float scale[BLOCK_ROWS], searched[BLOCK_ROWS], stored[BLOCK_ROWS];
    struct block_error cost;
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

static void round_block(const struct sinq_unit_job *job, const struct sinq_unit_work *work, struct block *block,
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
        for (size_t r = 0; r < block->rows; r++) {
            outcome->needs_exact_storage |=
                block->parameters.is_constant[r] || (has_real_zeros && block->parameters.scale[r] == 0.0f);
        }
        if (is_searched) {
            round_searched(job, work, block, outcome);
        } else {
            round_for_blob(job, work, block, outcome);
        }
        return;
    }
    struct block_error cost;
    use_parameters(block, block->parameters.scale, block->parameters.zero, block->scale, block->zero);
    encode_block(job, work, block, block->scale, block->zero, block->codes, &cost);
    add_block(block, &cost, outcome);
    write_plain(job, block);
}

static void pack_rows(const struct sinq_unit_job *job, const struct sinq_unit_work *work, uint64_t unit, size_t first,
                      size_t rows) {
    const struct sinq_tile tile = sinq_unit_tile(job->units, unit);
    const uint64_t first_block = unit * sinq_divide_up(job->units->unit_cols, SINQ_BLOCK_COLUMNS);
    for (size_t r = 0; r < rows; r += SINQ_PANEL_ROWS) {
        const uint32_t count = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, rows - r);
        for (size_t j = 0; j < tile.cols; j += SINQ_BLOCK_COLUMNS) {
            uint8_t *const lines =
                job->blob + sinq_block_offset(job->description, job->sizes, (first + r) / SINQ_PANEL_ROWS,
                                              first_block + j / SINQ_BLOCK_COLUMNS);
            sinq_pack_block(job->bits, count, (uint32_t)sinq_min_u64(SINQ_BLOCK_COLUMNS, tile.cols - j),
                            work->codes + r * tile.stride + j, tile.stride, lines);
        }
    }
}

static void write_column_scales(const struct sinq_unit_job *job, const struct sinq_unit_work *work, uint64_t unit) {
    const struct sinq_tile tile = sinq_unit_tile(job->units, unit);
    const uint64_t first = unit * job->units->unit_cols;
    if (job->blob == NULL) {
        for (size_t i = 0; i < count_row_tiles(job); i++) {
            memcpy(job->plain->column + i * job->units->cols + first, work->col_scale + i * tile.stride,
                   tile.cols * sizeof(float));
        }
        return;
    }
    if (!job->description->has_column_scale) return;
    uint8_t *const to = job->blob + job->sizes->column_scale_offset + 2 * first;
    for (size_t j = 0; j < tile.cols; j++) {
        const uint16_t half = sinq_float_to_half(work->col_scale[j]);
        to[2 * j] = (uint8_t)(half & 0xff);
        to[2 * j + 1] = (uint8_t)(half >> 8);
    }
}

void sinq_quantize_unit(const struct sinq_unit_job *job, struct sinq_unit_work *work, uint64_t unit) {
    const struct sinq_tile tile = sinq_unit_tile(job->units, unit);
    const size_t groups = (size_t)sinq_divide_up(tile.cols, group_width(job->units));
    for (size_t g = 0; g < groups; g++) {
        const struct group group = find_group(job, work, unit, g);
        normalize_group(job, work, &group);
    }
    for (size_t first = 0; first < tile.rows; first += BLOCK_ROWS) {
        const size_t rows = (size_t)sinq_min_u64(BLOCK_ROWS, tile.rows - first);
        for (size_t g = 0; g < groups; g++) {
            const struct group group = find_group(job, work, unit, g);
            struct block block = {.group = &group,
                                  .first = first,
                                  .rows = rows,
                                  .x = work->x + group.in_unit,
                                  .codes = work->codes + group.in_unit,
                                  .stride = tile.stride,
                                  .row_scale = group.row_scale + first};
            round_block(job, work, &block, &job->outcomes[unit]);
        }
        if (job->blob != NULL) pack_rows(job, work, unit, first, rows);
    }
    write_column_scales(job, work, unit);
}
