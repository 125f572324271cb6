#include "tensor/block_matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "tensor/block_parts.h"
#include "tensor/dtype.h"

bool sinq_describe_block_matrix(const struct sinq_block_matrix *blocks, struct sinq_dual_scale *matrix,
                                struct sinq_dual_scale_sizes *sizes) {
    if (blocks->type->is_plain || blocks->cols % blocks->type->values != 0) return false;
    const struct sinq_block_form *const form = sinq_block_form(blocks->type);
    if (form->has_minimum || blocks->type->values != form->group) return false;
    *matrix = (struct sinq_dual_scale){.rows = blocks->rows,
                                       .cols = blocks->cols,
                                       .group_size = form->group,
                                       .bits = form->bits,
                                       .stack_index = blocks->stack_index,
                                       .stack_count = blocks->stack_count,
                                       .transposed = blocks->transposed,
                                       .method = form->levels != NULL ? SINQ_METHOD_NF4 : SINQ_METHOD_RTN,
                                       .scale_type = SINQ_AUX_F16,
                                       .zero_type = SINQ_AUX_U8,
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

/* Whether the f16 that is stored times the factor is the scale again; NaN is. */
static bool store_scale(const struct filling *f, uint64_t row, uint64_t group, float scale) {
    const uint16_t half = sinq_float_to_half(scale / f->matrix->factor);
    const uint64_t entry = (row / SINQ_PANEL_ROWS * f->sizes->groups + group) * SINQ_PANEL_ROWS + row % SINQ_PANEL_ROWS;
    memcpy(f->blob + f->sizes->scale_offset + entry * sizeof half, &half, sizeof half);
    return isnan(scale) || sinq_half_to_float(half) * f->matrix->factor == scale;
}

/* One block of each row of a panel: false where a scale cannot be stored exactly. */
static bool fill_panel_block(const struct filling *f, uint64_t panel, uint64_t block) {
    const struct sinq_block_type *const type = f->blocks->type;
    const uint32_t rows = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, f->matrix->rows - panel * SINQ_PANEL_ROWS);
    struct sinq_block_parts parts[SINQ_PANEL_ROWS];
    bool is_exact = true;
    for (uint32_t r = 0; r < rows; r++) {
        const uint64_t row = panel * SINQ_PANEL_ROWS + r;
        sinq_read_block(type, f->blocks->row_bytes[row] + block * type->bytes, &parts[r]);
        is_exact = store_scale(f, row, block, parts[r].scale) && is_exact;
    }
    for (uint32_t k = 0; k < type->values; k += SINQ_BLOCK_COLUMNS) {
        const uint64_t column_block = (block * type->values + k) / SINQ_BLOCK_COLUMNS;
        sinq_pack_block(f->matrix->bits, rows, SINQ_BLOCK_COLUMNS, parts[0].codes + k, sizeof parts[0],
                        f->blob + sinq_block_offset(f->matrix, f->sizes, panel, column_block));
    }
    return is_exact;
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
