/* dual_scale_values.c: what the entries of a blob stand for, one value at a time. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "tensor/dtype.h"
#include "tensor/dual_scale.h"

static uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static float load_f32(const uint8_t *p) {
    float value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* The code of row and group: a byte, or six bits of a quad of groups. */
static unsigned load_code(const struct sinq_dual_scale_sizes *sizes, enum sinq_aux_type type, const uint8_t *section,
                          uint64_t row, uint64_t group) {
    if (type != SINQ_AUX_U6) return section[sinq_locate_entry(sizes, row, group)];
    const uint64_t panel_bytes = sinq_measure_entries(type, sizes->groups);
    return sinq_load_entry(section + row / SINQ_PANEL_ROWS * panel_bytes, group, (unsigned)(row % SINQ_PANEL_ROWS));
}

/* low + code * step of the range that covers (row, group). */
static float apply_range(const struct sinq_dual_scale_sizes *sizes, const uint8_t *ranges, uint64_t row, uint64_t group,
                         unsigned code) {
    const uint8_t *const range = ranges + (row / SINQ_SCALE_BLOCK_ROWS * sizes->groups + group) * 4;
    return sinq_half_to_float(load_u16(range)) + (float)code * sinq_half_to_float(load_u16(range + 2));
}

/* entry * super: the factor of the row's 256 columns around `group`. */
static float apply_super(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                         const uint8_t *supers, uint64_t row, uint64_t group, uint8_t entry) {
    const uint64_t super = group * matrix->group_size / SINQ_SUPER_COLUMNS;
    const uint64_t at = (row / SINQ_PANEL_ROWS * sizes->supers + super) * SINQ_PANEL_ROWS + row % SINQ_PANEL_ROWS;
    return load_f32(supers + 4 * at) * (float)(int8_t)entry;
}

float sinq_dual_scale_scale(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                            const uint8_t *blob, uint64_t row, uint64_t group) {
    const uint8_t *const section = blob + sizes->scale_offset, *const ranges = blob + sizes->scale_range_offset;
    if (matrix->scale_type == SINQ_AUX_F16) {
        return sinq_half_to_float(load_u16(section + 2 * sinq_locate_entry(sizes, row, group)));
    }
    const unsigned code = load_code(sizes, matrix->scale_type, section, row, group);
    if (matrix->scale_type == SINQ_AUX_I8) return apply_super(matrix, sizes, ranges, row, group, (uint8_t)code);
    if (!matrix->scale_signed) return apply_range(sizes, ranges, row, group, code);
    const unsigned most = sinq_most_entry(matrix->scale_type, true);
    const float magnitude = apply_range(sizes, ranges, row, group, code & most);
    return code > most ? -magnitude : magnitude;
}

float sinq_dual_scale_zero(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                           const uint8_t *blob, uint64_t row, uint64_t group) {
    const uint8_t *const section = blob + sizes->zero_offset, *const ranges = blob + sizes->zero_range_offset;
    if (matrix->zero_type == SINQ_AUX_NONE) return matrix->zero_low;
    if (matrix->zero_type == SINQ_AUX_F16) {
        return sinq_half_to_float(load_u16(section + 2 * sinq_locate_entry(sizes, row, group)));
    }
    const unsigned code = load_code(sizes, matrix->zero_type, section, row, group);
    if (matrix->zero_type == SINQ_AUX_I8) return apply_super(matrix, sizes, ranges, row, group, (uint8_t)code);
    if (matrix->zero_per_block) return apply_range(sizes, ranges, row, group, code);
    return matrix->zero_low + (float)code * matrix->zero_step;
}

void sinq_dual_scale_levels(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                            const uint8_t *blob, float levels[256]) {
    const uint8_t *const table = blob + sizes->levels_offset;
    for (unsigned code = 0; code < 1u << matrix->bits; code++) {
        levels[code] = matrix->levels == SINQ_LEVELS_F32     ? load_f32(table + 4 * code)
                       : matrix->levels == SINQ_LEVELS_BYTES ? (float)(table[code] & SINQ_MOST_LEVEL_BYTE)
                                                             : (float)code;
    }
}

/* A group is never narrower than this, and block edges are group edges or lie inside one group. */
#define RUN_COLUMNS 16u

/* Columns [k, k + count) of one row, all of one group, from their codes. */
static void decode_run(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                       const uint8_t *blob, const float levels[256], uint64_t row, uint64_t k, uint64_t count,
                       const uint8_t *codes, float *out) {
    const uint64_t group = matrix->group_size == 0 ? 0 : k / matrix->group_size;
    const float scale = sinq_dual_scale_scale(matrix, sizes, blob, row, group);
    const float zero = sinq_dual_scale_zero(matrix, sizes, blob, row, group);
    const uint8_t *const t = matrix->has_column_scale ? blob + sizes->column_scale_offset + 2 * k : NULL;
    for (uint64_t i = 0; i < count; i++) {
        const float level = levels[codes[i]];
        const float value = matrix->factor * (matrix->has_minima ? scale * level - zero : scale * (level - zero));
        const float column = t == NULL ? 1.0f : sinq_half_to_float(load_u16(t + 2 * i));
        const float weight = value * column;
        /* A step beyond the largest f32 is still that weight; what damaged scales give must show. */
        const double exact = (matrix->has_minima ? (double)scale * (double)level - (double)zero
                                                 : (double)scale * ((double)level - (double)zero)) *
                             (double)matrix->factor * (double)column;
        const bool is_beyond = isinf(weight) && fabs(exact) < 2.0 * (double)FLT_MAX;
        out[i] = is_beyond ? copysignf(FLT_MAX, weight) : weight;
    }
}

/* Rows [first, first + count) of one panel, one block of columns: out[count][...], rows `stride` apart. */
static void decode_block(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                         const uint8_t *blob, const float levels[256], uint64_t first, uint32_t count, uint64_t block,
                         float *out, uint64_t stride) {
    uint8_t codes[SINQ_PANEL_ROWS][SINQ_BLOCK_COLUMNS];
    const uint8_t *const lines = blob + sinq_block_offset(matrix, sizes, first / SINQ_PANEL_ROWS, block);
    sinq_unpack_block(matrix->bits, SINQ_PANEL_ROWS, SINQ_BLOCK_COLUMNS, lines, codes[0], SINQ_BLOCK_COLUMNS);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t c = 0; c < SINQ_BLOCK_COLUMNS; c += RUN_COLUMNS) {
            const uint64_t k = block * SINQ_BLOCK_COLUMNS + c;
            if (k >= matrix->cols) break;
            decode_run(matrix, sizes, blob, levels, first + i, k, sinq_min_u64(RUN_COLUMNS, matrix->cols - k),
                       codes[(first + i) % SINQ_PANEL_ROWS] + c, out + i * stride + c);
        }
    }
}

void sinq_dual_scale_decode_block(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                                  const uint8_t *blob, uint64_t panel, uint64_t block,
                                  float out[SINQ_PANEL_ROWS * SINQ_BLOCK_COLUMNS]) {
    float levels[256];
    const uint64_t first = panel * SINQ_PANEL_ROWS, rows = sinq_min_u64(SINQ_PANEL_ROWS, matrix->rows - first);
    sinq_dual_scale_levels(matrix, sizes, blob, levels);
    memset(out, 0, SINQ_PANEL_ROWS * SINQ_BLOCK_COLUMNS * sizeof *out);
    decode_block(matrix, sizes, blob, levels, first, (uint32_t)rows, block, out, SINQ_BLOCK_COLUMNS);
}

void sinq_dual_scale_decode(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                            const uint8_t *blob, uint64_t first, uint64_t count, float *out) {
    float levels[256];
    sinq_dual_scale_levels(matrix, sizes, blob, levels);
    while (count > 0) {
        const uint64_t rows = sinq_min_u64(count, SINQ_PANEL_ROWS - first % SINQ_PANEL_ROWS);
        for (uint64_t block = 0; block < sizes->column_blocks; block++) {
            decode_block(matrix, sizes, blob, levels, first, (uint32_t)rows, block, out + block * SINQ_BLOCK_COLUMNS,
                         matrix->cols);
        }
        first += rows;
        count -= rows;
        out += rows * matrix->cols;
    }
}
