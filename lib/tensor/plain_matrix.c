#include "tensor/plain_matrix.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/method.h"

int sinq_allocate_plain(uint64_t rows, uint64_t cols, uint64_t groups, uint64_t tiles, const char *name,
                        struct sinq_plain_matrix *plain, struct sinq_error *error) {
    const size_t entries = (size_t)(rows * groups);
    *plain = (struct sinq_plain_matrix){.codes = malloc((size_t)(rows * cols)),
                                        .scale = malloc(entries * sizeof(float)),
                                        .zero = malloc(entries * sizeof(float)),
                                        .column = malloc((size_t)(tiles * cols) * sizeof(float))};
    if (plain->codes != NULL && plain->scale != NULL && plain->zero != NULL && plain->column != NULL) return SINQ_OK;
    return sinq_fail_memory(error, name, rows * cols + 8 * (uint64_t)entries);
}

void sinq_free_plain(struct sinq_plain_matrix *plain) {
    free(plain->codes);
    free(plain->scale);
    free(plain->zero);
    free(plain->column);
    *plain = (struct sinq_plain_matrix){.codes = NULL};
}

static float load_half(const uint8_t *halves, uint64_t entry) {
    uint16_t half;
    memcpy(&half, halves + 2 * entry, sizeof half);
    return sinq_half_to_float(half);
}

void sinq_unpack_plain(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                       const uint8_t *blob, struct sinq_plain_matrix *plain) {
    const uint64_t cols = matrix->cols;
    const uint64_t groups = matrix->group_size == 0 ? 1 : sinq_divide_up(cols, matrix->group_size);
    for (uint64_t row = 0; row < matrix->rows; row++) {
        for (uint64_t g = 0; g < groups; g++) {
            plain->scale[row * groups + g] = sinq_dual_scale_scale(matrix, sizes, blob, row, g);
            plain->zero[row * groups + g] = sinq_dual_scale_zero(matrix, sizes, blob, row, g);
        }
    }
    for (uint64_t k = 0; k < cols; k++) {
        plain->column[k] = matrix->has_column_scale ? load_half(blob + sizes->column_scale_offset, k) : 1.0F;
    }
    for (uint64_t row = 0; row < matrix->rows; row += SINQ_PANEL_ROWS) {
        const uint32_t rows = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, matrix->rows - row);
        for (uint64_t k = 0; k < cols; k += SINQ_BLOCK_COLUMNS) {
            sinq_unpack_block(matrix->bits, rows, (uint32_t)sinq_min_u64(SINQ_BLOCK_COLUMNS, cols - k),
                              blob + sinq_block_offset(matrix, sizes, row / SINQ_PANEL_ROWS, k / SINQ_BLOCK_COLUMNS),
                              plain->codes + row * cols + k, (size_t)cols);
        }
    }
}

/* ---- and back ---- */

/* False where the value is no f16 number. A signed zero is one, and so is what is not finite: it must show. */
static bool store_half(uint8_t *halves, uint64_t entry, float value) {
    const uint16_t half = sinq_float_to_half(value);
    const float stored = sinq_half_to_float(half);
    memcpy(halves + 2 * entry, &half, sizeof half);
    return stored == value || value != value;
}

/* Scales and zeros of one row. */
static bool store_row(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                      const struct sinq_plain_matrix *plain, uint64_t group, uint64_t row, uint8_t *blob) {
    const uint64_t cols = matrix->cols, width = matrix->group_size == 0 ? cols : matrix->group_size;
    const uint64_t plain_groups = sinq_divide_up(cols, group);
    bool is_exact = true;
    for (uint64_t k = 0; k < cols; k += width) {
        const uint64_t from = row * plain_groups + k / group;
        const uint64_t entry =
            (row / SINQ_PANEL_ROWS * sizes->groups + k / width) * SINQ_PANEL_ROWS + row % SINQ_PANEL_ROWS;
        is_exact &= store_half(blob + sizes->scale_offset, entry, plain->scale[from]);
        if (matrix->zero_type == SINQ_AUX_NONE) continue;
        is_exact &= store_half(blob + sizes->zero_offset, entry, plain->zero[from]);
    }
    return is_exact;
}

static void store_codes(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                        const uint8_t *codes, uint8_t *blob) {
    const uint64_t cols = matrix->cols;
    for (uint64_t row = 0; row < matrix->rows; row += SINQ_PANEL_ROWS) {
        const uint32_t rows = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, matrix->rows - row);
        for (uint64_t k = 0; k < cols; k += SINQ_BLOCK_COLUMNS) {
            sinq_pack_block(matrix->bits, rows, (uint32_t)sinq_min_u64(SINQ_BLOCK_COLUMNS, cols - k),
                            codes + row * cols + k, (size_t)cols,
                            blob + sinq_block_offset(matrix, sizes, row / SINQ_PANEL_ROWS, k / SINQ_BLOCK_COLUMNS));
        }
    }
}

static bool store_plain(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                        const struct sinq_plain_matrix *plain, uint64_t group, uint8_t *blob) {
    bool is_exact = true;
    for (uint64_t row = 0; row < matrix->rows; row++) is_exact &= store_row(matrix, sizes, plain, group, row, blob);
    for (uint64_t k = 0; k < matrix->cols && matrix->has_column_scale; k++) {
        is_exact &= store_half(blob + sizes->column_scale_offset, k, plain->column[k]);
    }
    if (!is_exact) return false;
    if (matrix->levels == SINQ_LEVELS_F32) {
        unsigned count;
        const float *const levels = sinq_method_levels(matrix->method, &count);
        memcpy(blob + sizes->levels_offset, levels, count * sizeof *levels);
    }
    store_codes(matrix, sizes, plain->codes, blob);
    return true;
}

int sinq_pack_plain(const struct sinq_dual_scale *matrix, const struct sinq_plain_matrix *plain, uint64_t group,
                    const char *name, uint8_t **blob, uint64_t *blob_bytes, struct sinq_error *error) {
    struct sinq_dual_scale_sizes sizes;
    *blob = NULL;
    *blob_bytes = 0;
    if (!sinq_dual_scale_measure(matrix, &sizes)) return SINQ_OK;
    uint8_t *const bytes = aligned_alloc(SINQ_LINE_BYTES, (size_t)sizes.bytes);
    if (bytes == NULL) return sinq_fail_memory(error, name, sizes.bytes);
    memset(bytes, 0, (size_t)sizes.bytes);
    if (!store_plain(matrix, &sizes, plain, group, bytes)) {
        free(bytes);
        return SINQ_OK;
    }
    sinq_dual_scale_seal(matrix, bytes);
    *blob = bytes;
    *blob_bytes = sizes.bytes;
    return SINQ_OK;
}
