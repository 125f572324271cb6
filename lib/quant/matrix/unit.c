#include "quant/matrix/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/past_caches.h"
#include "quant/matrix/rounding.h"
#include "quant/matrix/unit_block.h"
#include "tensor/dtype.h"

#define BLOCK_ROWS SINQ_SCALE_BLOCK_ROWS

#define SMALLEST_COLUMN_SCALE 0x1p-14f
#define LARGEST_COLUMN_SCALE  65504.0f

void sinq_free_unit_work(struct sinq_unit_work *work) {
    sinq_sinkhorn_free(work->sinkhorn);
    free(work->row_scale);
    free(work->col_scale);
    free(work->weights);
    free(work->x);
    free(work->values);
    free(work->codes);
}

bool sinq_create_unit_work(const struct sinq_unit_job *job, struct sinq_unit_work *work) {
    const size_t stride = sinq_pad_lanes((size_t)sinq_min_u64(job->units->unit_cols, job->units->cols));
    const size_t tiles = (size_t)sinq_divide_up(stride, sinq_unit_group_width(job->units));
    const size_t rows = (size_t)job->units->padded_rows;
    work->sinkhorn = sinq_sinkhorn_create(rows, stride);
    work->row_scale = malloc(tiles * rows * sizeof(float));
    work->col_scale = malloc(sinq_count_row_tiles(job) * stride * sizeof(float));
    work->weights = malloc(stride * sizeof(float));
    work->x = aligned_alloc(SINQ_LINE_BYTES, BLOCK_ROWS * stride * sizeof(float));
    work->codes = aligned_alloc(SINQ_LINE_BYTES, BLOCK_ROWS * stride);
    const bool is_searched = sinq_method_is_searched(job->method) || job->has_byte_levels;
    if (is_searched) work->values = aligned_alloc(SINQ_LINE_BYTES, 2 * BLOCK_ROWS * stride * sizeof(float));
    return work->sinkhorn != NULL && work->row_scale != NULL && work->col_scale != NULL && work->weights != NULL &&
           work->x != NULL && work->codes != NULL && (!is_searched || work->values != NULL);
}

static struct sinq_unit_group find_group(const struct sinq_unit_job *job, struct sinq_unit_work *work, uint64_t unit,
                                         size_t index) {
    const struct sinq_tile whole = sinq_unit_tile(job->units, unit);
    const size_t width = sinq_unit_group_width(job->units), first = index * width;
    struct sinq_unit_group group = {.tile = whole, .in_unit = first, .unit_stride = whole.stride};
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
static void divide_column_scales(const struct sinq_unit_job *job, const struct sinq_unit_group *group,
                                 float *col_scale) {
    const float *const factors = job->column_factors + group->index * sinq_unit_group_width(job->units);
    for (size_t j = 0; j < group->tile.cols; j++) {
        col_scale[j] = fminf(fmaxf(col_scale[j] / factors[j], SMALLEST_COLUMN_SCALE), LARGEST_COLUMN_SCALE);
    }
}

static void normalize_group(const struct sinq_unit_job *job, struct sinq_unit_work *work,
                            const struct sinq_unit_group *group) {
    const size_t stride = sinq_pad_lanes(group->tile.cols);
    set_ones(group->row_scale, (size_t)job->units->padded_rows);
    for (size_t tile_index = 0; tile_index < sinq_count_row_tiles(job); tile_index++) {
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

/* Calls for the lines that scales and zero points of these rows will be written to. */
static void call_for_entries(const struct sinq_unit_job *job, uint64_t unit, size_t first, size_t rows) {
    const uint64_t group = unit * sinq_divide_up(job->units->unit_cols, sinq_unit_group_width(job->units));
    const struct sinq_dual_scale *const description = job->description;
    const uint64_t scale_bytes = description->scale_type == SINQ_AUX_F16 ? 2 : 1;
    const uint64_t zero_bytes = description->zero_type == SINQ_AUX_F16 ? 2 : 1;
    for (uint64_t row = first; row < first + rows; row += SINQ_PANEL_ROWS) {
        const uint64_t entry = sinq_locate_entry(job->sizes, row, group);
        __builtin_prefetch(job->blob + job->sizes->scale_offset + entry * scale_bytes, 1);
        __builtin_prefetch(job->blob + job->sizes->zero_offset + entry * zero_bytes, 1);
    }
}

static void pack_rows(const struct sinq_unit_job *job, const struct sinq_unit_work *work, uint64_t unit, size_t first,
                      size_t rows) {
    const struct sinq_tile tile = sinq_unit_tile(job->units, unit);
    const uint64_t first_block = unit * sinq_divide_up(job->units->unit_cols, SINQ_BLOCK_COLUMNS);
    uint8_t lines[8 * SINQ_LINE_BYTES];
    for (size_t r = 0; r < rows; r += SINQ_PANEL_ROWS) {
        const uint32_t count = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, rows - r);
        for (size_t j = 0; j < tile.cols; j += SINQ_BLOCK_COLUMNS) {
            uint8_t *const to =
                job->blob + sinq_block_offset(job->description, job->sizes, (first + r) / SINQ_PANEL_ROWS,
                                              first_block + j / SINQ_BLOCK_COLUMNS);
            sinq_pack_block(job->bits, count, (uint32_t)sinq_min_u64(SINQ_BLOCK_COLUMNS, tile.cols - j),
                            work->codes + r * tile.stride + j, tile.stride, lines);
            sinq_copy_past_caches(to, lines, job->bits * SINQ_LINE_BYTES);
        }
    }
}

static void write_column_scales(const struct sinq_unit_job *job, const struct sinq_unit_work *work, uint64_t unit) {
    const struct sinq_tile tile = sinq_unit_tile(job->units, unit);
    const uint64_t first = unit * job->units->unit_cols;
    if (job->blob == NULL) {
        for (size_t i = 0; i < sinq_count_row_tiles(job); i++) {
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
    const size_t groups = (size_t)sinq_divide_up(tile.cols, sinq_unit_group_width(job->units));
    for (size_t g = 0; g < groups; g++) {
        const struct sinq_unit_group group = find_group(job, work, unit, g);
        normalize_group(job, work, &group);
    }
    struct sinq_unit_block block = {.stride = tile.stride};
    for (size_t first = 0; first < tile.rows; first += BLOCK_ROWS) {
        const size_t rows = (size_t)sinq_min_u64(BLOCK_ROWS, tile.rows - first);
        if (job->blob != NULL) call_for_entries(job, unit, first, rows);
        for (size_t g = 0; g < groups; g++) {
            const struct sinq_unit_group group = find_group(job, work, unit, g);
            block.group = &group;
            block.first = first;
            block.rows = rows;
            block.x = work->x + group.in_unit;
            block.codes = work->codes + group.in_unit;
            block.row_scale = group.row_scale + first;
            sinq_round_block(job, work, &block, &job->outcomes[unit]);
        }
        if (job->blob != NULL) pack_rows(job, work, unit, first, rows);
    }
    write_column_scales(job, work, unit);
    sinq_settle_copies();
}
