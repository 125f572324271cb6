#include "tensor/block_matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "tensor/block_parts.h"
#include "tensor/dtype.h"

/* Groups of the layout are no wider: a block of one such group is two of them. */
#define WIDEST_GROUP 128u

/* Blocks whose own scale is no f16, or whose groups have codes of scales. */
static bool has_supers(const struct sinq_block_type *type) {
    return type->id == SINQ_BLOCK_Q8_K || type->values != sinq_block_form(type)->group;
}

static enum sinq_aux_type choose_zero_type(const struct sinq_block_type *type) {
    if (sinq_block_form(type)->has_minimum) return has_supers(type) ? SINQ_AUX_I8 : SINQ_AUX_F16;
    return has_supers(type) ? SINQ_AUX_NONE : SINQ_AUX_U8; /* u8: what kernels read as it is stored */
}

bool sinq_describe_block_matrix(const struct sinq_block_matrix *blocks, struct sinq_dual_scale *matrix,
                                struct sinq_dual_scale_sizes *sizes) {
    if (blocks->type->is_plain || blocks->cols % blocks->type->values != 0) return false;
    const struct sinq_block_form *const form = sinq_block_form(blocks->type);
    *matrix = (struct sinq_dual_scale){.rows = blocks->rows,
                                       .cols = blocks->cols,
                                       .group_size = (uint32_t)sinq_min_u64(form->group, WIDEST_GROUP),
                                       .bits = form->bits,
                                       .stack_index = blocks->stack_index,
                                       .stack_count = blocks->stack_count,
                                       .transposed = blocks->transposed,
                                       .method = form->levels != NULL ? SINQ_METHOD_NF4 : SINQ_METHOD_RTN,
                                       .scale_type = has_supers(blocks->type) ? SINQ_AUX_I8 : SINQ_AUX_F16,
                                       .zero_type = choose_zero_type(blocks->type),
                                       .has_minima = form->has_minimum,
                                       .zero_low = (float)form->zero,
                                       .levels = form->levels != NULL ? SINQ_LEVELS_F32 : SINQ_LEVELS_UNIFORM,
                                       .factor = 1.0f};
    return sinq_dual_scale_measure(matrix, sizes);
}

/* A blob that is being filled, panel by panel. */
struct filling {
    const struct sinq_block_matrix *blocks;
    const struct sinq_block_form *form;
    const struct sinq_dual_scale *matrix;
    const struct sinq_dual_scale_sizes *sizes;
    uint8_t *blob;
};

/* The scales of MXFP4 are powers of two, more than f16 has: the largest in use becomes the factor. */
static float find_factor(const struct sinq_block_matrix *blocks) {
    uint8_t highest = 0;
    for (uint64_t r = 0; r < blocks->rows; r++) {
        for (uint64_t b = 0; b < blocks->cols / blocks->type->values; b++) {
            const uint8_t exponent = blocks->row_bytes[r][b * blocks->type->bytes];
            highest = exponent > highest ? exponent : highest;
        }
    }
    struct sinq_block_parts parts;
    uint8_t block[SINQ_MOST_BLOCK_BYTES] = {highest};
    sinq_read_block(blocks->type, block, &parts);
    return parts.scale;
}

static void store_half(uint8_t *entries, uint64_t entry, float value) {
    const uint16_t half = sinq_float_to_half(value);
    memcpy(entries + entry * sizeof half, &half, sizeof half);
}

/* The scales of one block of one row: where a block is one group. False where f16 times the factor is not the scale. */
static bool store_single(const struct filling *f, uint64_t row, uint64_t block, const struct sinq_block_parts *parts) {
    const uint64_t entry = (row / SINQ_PANEL_ROWS * f->sizes->groups + block) * SINQ_PANEL_ROWS + row % SINQ_PANEL_ROWS;
    const float scale = parts->scale / f->matrix->factor;
    store_half(f->blob + f->sizes->scale_offset, entry, scale);
    if (f->matrix->has_minima) store_half(f->blob + f->sizes->zero_offset, entry, parts->minimum);
    const float stored = sinq_half_to_float(sinq_float_to_half(scale)) * f->matrix->factor;
    return isnan(parts->scale) || stored == parts->scale;
}

/* And where it is several: a block is as wide as what one super-scale covers. */
static void store_super(const struct filling *f, uint64_t row, uint64_t block, const struct sinq_block_parts *parts) {
    const uint64_t panel = row / SINQ_PANEL_ROWS, lane = row % SINQ_PANEL_ROWS;
    const uint64_t super = (panel * f->sizes->supers + block) * SINQ_PANEL_ROWS + lane;
    const uint32_t groups = f->blocks->type->values / f->matrix->group_size;
    memcpy(f->blob + f->sizes->scale_range_offset + super * sizeof(float), &parts->scale, sizeof(float));
    if (f->matrix->has_minima) {
        memcpy(f->blob + f->sizes->zero_range_offset + super * sizeof(float), &parts->minimum, sizeof(float));
    }
    for (uint32_t g = 0; g < groups; g++) {
        const uint64_t entry = (panel * f->sizes->groups + block * groups + g) * SINQ_PANEL_ROWS + lane;
        const uint32_t from = g * f->matrix->group_size / f->form->group;
        f->blob[f->sizes->scale_offset + entry] = (uint8_t)parts->scale_codes[from];
        if (f->matrix->has_minima) f->blob[f->sizes->zero_offset + entry] = parts->minimum_codes[from];
    }
}

/* One block of each row of a panel: false where a scale cannot be stored exactly. */
static bool fill_panel_block(const struct filling *f, uint64_t panel, uint64_t block) {
    const struct sinq_block_type *const type = f->blocks->type;
    const uint32_t rows = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, f->matrix->rows - panel * SINQ_PANEL_ROWS);
    struct sinq_block_parts parts[SINQ_PANEL_ROWS];
    for (uint32_t r = 0; r < rows; r++) {
        const uint64_t row = panel * SINQ_PANEL_ROWS + r;
        sinq_read_block(type, f->blocks->row_bytes[row] + block * type->bytes, &parts[r]);
        if (f->matrix->scale_type == SINQ_AUX_I8) {
            store_super(f, row, block, &parts[r]);
        } else if (!store_single(f, row, block, &parts[r])) {
            return false;
        }
    }
    for (uint32_t k = 0; k < type->values; k += SINQ_BLOCK_COLUMNS) {
        const uint64_t column_block = (block * type->values + k) / SINQ_BLOCK_COLUMNS;
        sinq_pack_block(f->matrix->bits, rows, SINQ_BLOCK_COLUMNS, parts[0].codes + k, sizeof parts[0],
                        f->blob + sinq_block_offset(f->matrix, f->sizes, panel, column_block));
    }
    return true;
}

static bool fill_blob(const struct filling *f) {
    for (uint64_t p = 0; p < f->sizes->panels; p++) {
        for (uint64_t b = 0; b < f->matrix->cols / f->blocks->type->values; b++) {
            if (!fill_panel_block(f, p, b)) return false;
        }
    }
    if (f->form->levels != NULL) {
        float levels[16];
        for (unsigned i = 0; i < 16; i++) levels[i] = (float)f->form->levels[i];
        memcpy(f->blob + f->sizes->levels_offset, levels, sizeof levels);
    }
    return true;
}

int sinq_convert_block_matrix(const struct sinq_block_matrix *blocks, const char *name, uint8_t **blob,
                              uint64_t *blob_bytes, struct sinq_error *error) {
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    *blob = NULL;
    *blob_bytes = 0;
    if (!sinq_describe_block_matrix(blocks, &matrix, &sizes)) return SINQ_OK;
    if (blocks->type->id == SINQ_BLOCK_MXFP4) matrix.factor = find_factor(blocks);
    uint8_t *const bytes = aligned_alloc(SINQ_LINE_BYTES, (size_t)sizes.bytes);
    if (bytes == NULL) return sinq_fail_memory(error, name, sizes.bytes);
    memset(bytes, 0, (size_t)sizes.bytes);
    const struct filling filling = {blocks, sinq_block_form(blocks->type), &matrix, &sizes, bytes};
    if (!fill_blob(&filling)) {
        free(bytes);
        return SINQ_OK;
    }
    sinq_dual_scale_seal(&matrix, bytes);
    *blob = bytes;
    *blob_bytes = sizes.bytes;
    return SINQ_OK;
}
