#include "model/mxfp4.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "tensor/dtype.h"

#define BLOCK 32u

static const float levels[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                 -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

/* 2^(e - 127); 255 stands for not-a-number. */
static float scale_value(uint8_t exponent) { return exponent == 255 ? NAN : ldexpf(1.0f, (int)exponent - 127); }

static uint8_t code_of(const uint8_t *codes, uint64_t index) {
    const uint8_t pair = codes[index / 2];
    return index % 2 == 0 ? pair & 15 : pair >> 4;
}

void sinq_decode_mxfp4(const uint8_t *codes, const uint8_t *scales, uint64_t rows, uint64_t cols, float *out) {
    for (uint64_t i = 0; i < rows * cols; i++) out[i] = levels[code_of(codes, i)] * scale_value(scales[i / BLOCK]);
}

/* The largest exponent in use becomes the factor; f16 holds 2^0 down to 2^-24 under it. False where scales span more. */
static bool find_factor(const uint8_t *scales, uint64_t count, float *factor) {
    int low = 255, high = -1;
    for (uint64_t i = 0; i < count; i++) {
        if (scales[i] < low) low = scales[i];
        if (scales[i] > high) high = scales[i];
    }
    if (high == 255 || high - low > 24) return false;
    *factor = ldexpf(1.0f, high - 127);
    return *factor > 0.0f;
}

static void fill_codes(const uint8_t *codes, const struct sinq_dual_scale *matrix,
                       const struct sinq_dual_scale_sizes *sizes, uint8_t *blob) {
    uint8_t block[SINQ_PANEL_ROWS * SINQ_BLOCK_COLUMNS];
    for (uint64_t p = 0; p < sizes->panels; p++) {
        const uint32_t rows = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, matrix->rows - p * SINQ_PANEL_ROWS);
        for (uint64_t b = 0; b < sizes->column_blocks; b++) {
            for (uint32_t r = 0; r < rows; r++) {
                const uint64_t first = (p * SINQ_PANEL_ROWS + r) * matrix->cols + b * SINQ_BLOCK_COLUMNS;
                for (uint32_t k = 0; k < SINQ_BLOCK_COLUMNS; k++) {
                    block[r * SINQ_BLOCK_COLUMNS + k] = code_of(codes, first + k);
                }
            }
            sinq_pack_block(matrix->bits, rows, SINQ_BLOCK_COLUMNS, block, SINQ_BLOCK_COLUMNS,
                            blob + sinq_block_offset(matrix, sizes, p, b));
        }
    }
}

static void fill_scales(const uint8_t *scales, const struct sinq_dual_scale *matrix,
                        const struct sinq_dual_scale_sizes *sizes, uint8_t *blob) {
    for (uint64_t r = 0; r < matrix->rows; r++) {
        for (uint64_t g = 0; g < sizes->groups; g++) {
            const float scale = scale_value(scales[r * sizes->groups + g]) / matrix->factor;
            const uint16_t half = sinq_float_to_half(scale);
            const uint64_t entry = (r / SINQ_PANEL_ROWS * sizes->groups + g) * SINQ_PANEL_ROWS + r % SINQ_PANEL_ROWS;
            memcpy(blob + sizes->scale_offset + entry * sizeof half, &half, sizeof half);
        }
    }
}

int sinq_convert_mxfp4(const uint8_t *codes, const uint8_t *scales, uint64_t rows, uint64_t cols, const char *name,
                       uint8_t **blob, struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes,
                       struct sinq_error *error) {
    float factor;
    *blob = NULL;
    if (!find_factor(scales, rows * (cols / BLOCK), &factor)) return SINQ_OK;
    *matrix = (struct sinq_dual_scale){.rows = rows,
                                       .cols = cols,
                                       .group_size = BLOCK,
                                       .bits = 4,
                                       .method = SINQ_METHOD_NF4,
                                       .scale_type = SINQ_AUX_F16,
                                       .zero_type = SINQ_AUX_U8,
                                       .levels = SINQ_LEVELS_F32,
                                       .factor = factor};
    if (!sinq_dual_scale_measure(matrix, sizes)) {
        return sinq_fail(error, SINQ_FAILED, "tensor %.300s: %llu x %llu is too large", name, (unsigned long long)rows,
                         (unsigned long long)cols);
    }
    *blob = aligned_alloc(SINQ_LINE_BYTES, (size_t)sizes->bytes);
    if (*blob == NULL) return sinq_fail_memory(error, name, sizes->bytes);
    memset(*blob, 0, (size_t)sizes->bytes);
    fill_codes(codes, matrix, sizes, *blob);
    fill_scales(scales, matrix, sizes, *blob);
    memcpy(*blob + sizes->levels_offset, levels, sizeof levels);
    sinq_dual_scale_seal(matrix, *blob);
    return SINQ_OK;
}
