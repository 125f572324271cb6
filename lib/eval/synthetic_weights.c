#include "eval/synthetic_weights.h"

#include <math.h>
#include <string.h>

#include "quant/matrix/matrix.h"
#include "tensor/dtype.h"

/* ---- scales and zeros ---- */

/* Values from low to low + span of random 16-bit numbers, as halves. */
static void finish_halves(uint8_t *bytes, uint64_t count, float low, float span) {
    for (uint64_t i = 0; i < count; i++) {
        uint16_t random;
        memcpy(&random, bytes + 2 * i, sizeof random);
        const uint16_t half = sinq_float_to_half(low + span * (float)random * 0x1p-16f);
        memcpy(bytes + 2 * i, &half, sizeof half);
    }
}

/* Ranges so that codes 0 to `most` stand for low to low + span. */
static void finish_ranges(uint8_t *bytes, uint64_t count, unsigned most, float low, float span) {
    const uint16_t range[2] = {sinq_float_to_half(low), sinq_float_to_half(span / (float)most)};
    for (uint64_t i = 0; i < count; i++) memcpy(bytes + sizeof range * i, range, sizeof range);
}

/* Scales from 0.5 to 1.5, or with signs. */
static void finish_scales(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                          uint8_t *bytes) {
    const uint64_t entries = sizes->panels * SINQ_PANEL_ROWS * sizes->groups;
    if (matrix->scale_type == SINQ_AUX_F16) {
        finish_halves(bytes + sizes->scale_offset, entries, 0.5f, 1.0f);
    } else {
        const uint64_t blocks = (matrix->rows + SINQ_SCALE_BLOCK_ROWS - 1) / SINQ_SCALE_BLOCK_ROWS;
        finish_ranges(bytes + sizes->scale_range_offset, blocks * sizes->groups,
                      sinq_most_entry(matrix->scale_type, matrix->scale_signed), 0.5f, 1.0f);
    }
}

/* Zeros around the middle of the codes' values, so that weights have a mean of 0: integers where zeros are codes of the matrix. */
static void finish_zeros(struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes, float middle,
                         uint8_t *bytes) {
    const uint64_t entries = sizes->panels * SINQ_PANEL_ROWS * sizes->groups;
    const float spread = middle == 0.0f ? 0.1f : 1.0f;
    if (matrix->zero_type == SINQ_AUX_F16) {
        finish_halves(bytes + sizes->zero_offset, entries, middle - spread / 2, spread);
    } else if (matrix->zero_per_block) {
        const uint64_t blocks = (matrix->rows + SINQ_SCALE_BLOCK_ROWS - 1) / SINQ_SCALE_BLOCK_ROWS;
        finish_ranges(bytes + sizes->zero_range_offset, blocks * sizes->groups,
                      sinq_most_entry(matrix->zero_type, false), middle - spread / 2, spread);
    } else if (matrix->zero_type == SINQ_AUX_NONE) {
        matrix->zero_low = middle;
    } else if (matrix->zero_type == SINQ_AUX_U6) {
        matrix->zero_low = middle - spread / 2;
        matrix->zero_step = spread / (float)sinq_most_entry(SINQ_AUX_U6, false);
    } else {
        matrix->zero_low = floorf(middle);
        matrix->zero_step = 1.0f;
        for (uint64_t i = 0; i < entries; i++) bytes[sizes->zero_offset + i] &= 1u;
    }
}

/* ---- whole tensors ---- */

/* A method's own levels, or bytes that are spaced evenly. */
static void finish_levels(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                          uint8_t *bytes) {
    unsigned count = 0;
    uint8_t *const table = bytes + sizes->levels_offset;
    if (matrix->levels == SINQ_LEVELS_UNIFORM) return;
    memset(table, 0, SINQ_LEVEL_COUNT * sizeof(float));
    if (matrix->levels == SINQ_LEVELS_F32) {
        const float *const levels = sinq_method_levels(matrix->method, &count);
        memcpy(table, levels, count * sizeof *levels);
        return;
    }
    const unsigned last = (1u << matrix->bits) - 1u;
    for (unsigned i = 0; i <= last; i++) table[i] = (uint8_t)(i * SINQ_MOST_LEVEL_BYTE / last);
}

/* What codes stand for: the middle and the standard deviation, all of them equally frequent. */
static void measure_levels(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                           const uint8_t *bytes, float *middle, float *deviation) {
    float levels[256];
    const unsigned count = 1u << matrix->bits;
    double sum = 0, squares = 0;
    sinq_dual_scale_levels(matrix, sizes, bytes, levels);
    for (unsigned i = 0; i < count; i++) {
        const double level = (double)levels[i];
        sum += level;
        squares += level * level;
    }
    const double mean = sum / count;
    *middle = matrix->levels == SINQ_LEVELS_F32 ? 0.0f : (float)mean;
    *deviation = (float)sqrt(squares / count - mean * mean);
}

void sinq_finish_synthetic_matrix(struct sinq_dual_scale *matrix, uint8_t *bytes) {
    struct sinq_dual_scale_sizes sizes;
    float middle, deviation;
    if (!sinq_dual_scale_measure(matrix, &sizes)) return;
    finish_levels(matrix, &sizes, bytes);
    measure_levels(matrix, &sizes, bytes, &middle, &deviation);
    matrix->factor = 1.0f / (deviation * sqrtf((float)matrix->cols));
    finish_scales(matrix, &sizes, bytes);
    finish_zeros(matrix, &sizes, middle, bytes);
    if (matrix->has_column_scale) {
        finish_halves(bytes + sizes.column_scale_offset, sizes.column_blocks * SINQ_BLOCK_COLUMNS, 0.75f, 0.5f);
    }
    sinq_dual_scale_seal(matrix, bytes);
}

/* Signs and fractions stay random; magnitudes are from 2^e to 2^(e + 1). */
void sinq_finish_synthetic_bf16(uint64_t cols, uint8_t *bytes, uint64_t size) {
    const int exponent = (int)floor(log2(1.0 / sqrt((double)cols) / 1.5));
    const uint16_t bits = (uint16_t)((exponent + 127) << 7);
    for (uint64_t i = 0; i + 1 < size; i += 2) {
        uint16_t value;
        memcpy(&value, bytes + i, sizeof value);
        value = (uint16_t)((value & 0x807fu) | bits);
        memcpy(bytes + i, &value, sizeof value);
    }
}

void sinq_finish_synthetic_norm(float less, uint8_t *bytes, uint64_t size) {
    for (uint64_t i = 0; i + 3 < size; i += 4) {
        uint32_t random;
        memcpy(&random, bytes + i, sizeof random);
        const float value = 0.75f + 0.5f * (float)(random >> 8) * 0x1p-24f - less;
        memcpy(bytes + i, &value, sizeof value);
    }
}
