/* dense_template.h: products in f32 and the packing of dense rows; a part of compute_template.h. */
#ifndef SINQ_KERNELS_DENSE_TEMPLATE_H
#define SINQ_KERNELS_DENSE_TEMPLATE_H

#include "kernels/template_basics.h"

/*
 * sums[t][16] += sum over columns of panel[k][16] * x[k * x_column + t * x_token]. A narrow tile takes several columns at once,
 * each with sums of its own, so that the additions do not wait for each other.
 */
ALWAYS_INLINE void multiply_tile(const unsigned width, const size_t x_column, const size_t x_token, const float *panel,
                                 size_t stride, const float *x, size_t count, float *sums, size_t sums_stride) {
    const unsigned steps = width == 1 ? 4 : width <= 3 ? 2 : 1;
    v16 total[SINQ_MOST_TILE][4];
    for (unsigned t = 0; t < width; t++) {
        for (unsigned s = 0; s < steps; s++) total[t][s] = v_set(0.0f);
    }
    size_t k = 0;
    for (; k + steps <= count; k += steps) {
        for (unsigned s = 0; s < steps; s++) {
            const v16 weights = v_load(panel + (k + s) * stride);
            for (unsigned t = 0; t < width; t++) {
                total[t][s] = v_fma(weights, v_set(x[(k + s) * x_column + t * x_token]), total[t][s]);
            }
        }
    }
    for (; k < count; k++) {
        for (unsigned t = 0; t < width; t++) {
            total[t][0] = v_fma(v_load(panel + k * stride), v_set(x[k * x_column + t * x_token]), total[t][0]);
        }
    }
    for (unsigned t = 0; t < width; t++) {
        for (unsigned s = 1; s < steps; s++) total[t][0] = v_add(total[t][0], total[t][s]);
        /* Not added one by one: so that errors grow with the columns of one call and the number of calls, not their product. */
        v_store(sums + sums_stride * t, v_add(v_load(sums + sums_stride * t), total[t][0]));
    }
}

#define MULTIPLY_COLUMNS(WIDTH, ...) multiply_tile(WIDTH, WIDTH, 1, __VA_ARGS__)
#define MULTIPLY_SHARES(WIDTH, ...)  multiply_tile(WIDTH, 1, SINQ_ATTENTION_POSITIONS, __VA_ARGS__)

static void multiply_f32(const float *panel, size_t stride, const float *x, size_t count, unsigned width, float *sums,
                         size_t sums_stride) {
    CALL_WITH_WIDTH(F32_TILE, MULTIPLY_COLUMNS, width, panel, stride, x, count, sums, sums_stride)
}

static void multiply_shares(const float *panel, size_t stride, const float *x, size_t count, unsigned width,
                            float *sums, size_t sums_stride){
    CALL_WITH_WIDTH(F32_TILE, MULTIPLY_SHARES, width, panel, stride, x, count, sums, sums_stride)}

/* Elements as sixteen lanes; addresses are aligned to the element at least. */
ALWAYS_INLINE v16 load_f32(const uint8_t *from) {
    return v_load((const float *)(const void *)from);
}
ALWAYS_INLINE v16 load_f16(const uint8_t *from) { return v_load_f16((const uint16_t *)(const void *)from); }
ALWAYS_INLINE v16 load_bf16(const uint8_t *from) { return v_load_bf16((const uint16_t *)(const void *)from); }
ALWAYS_INLINE v16 load_i8(const uint8_t *from) { return v_load_i8(from); }

/* For each type: load_some_TYPE, the first `count` of 16 elements (0 beyond them), and pack_TYPE. */
#define DEFINE_PACK(TYPE, SIZE)                                                                                        \
    ALWAYS_INLINE v16 load_some_##TYPE(const uint8_t *from, size_t count) {                                            \
        union {                                                                                                        \
            uint8_t bytes[16 * SIZE];                                                                                  \
            uint16_t halves[8 * SIZE]; /* what loads may read it as */                                                 \
            float floats[4 * SIZE];                                                                                    \
        } sixteen = {{0}};                                                                                             \
        memcpy(sixteen.bytes, from, count *SIZE);                                                                      \
        return load_##TYPE(sixteen.bytes);                                                                             \
    }                                                                                                                  \
    static void pack_##TYPE(const uint8_t *const rows[16], size_t count, float *out) {                                 \
        for (size_t k = 0; k < count; k += 16) {                                                                       \
            v16 block[16];                                                                                             \
            if (k + 16 <= count) {                                                                                     \
                for (unsigned r = 0; r < 16; r++) block[r] = load_##TYPE(rows[r] + k * SIZE);                          \
            } else {                                                                                                   \
                for (unsigned r = 0; r < 16; r++) block[r] = load_some_##TYPE(rows[r] + k * SIZE, count - k);          \
            }                                                                                                          \
            v_transpose(block);                                                                                        \
            for (unsigned i = 0; i < 16; i++) v_store(out + (k + i) * 16, block[i]);                                   \
        }                                                                                                              \
    }

DEFINE_PACK(f32, 4)
DEFINE_PACK(f16, 2)
DEFINE_PACK(bf16, 2)
DEFINE_PACK(i8, 1)

/* Columns are stored as sixteen lanes, of which the next column overwrites those beyond the width; the last ones as they are. */
static void pack_tile(const float *x, size_t stride, unsigned tokens, size_t count, unsigned width, float *tile) {
    const size_t end = count * width;
    for (size_t k = 0; k < count; k += 16) {
        const size_t some = count_some(k, count);
        v16 block[16];
        for (unsigned t = 0; t < 16; t++) {
            block[t] = t < tokens ? load_some(x + t * stride + k, some) : v_set(0.0f);
        }
        v_transpose(block);
        for (size_t i = 0; i < some; i++) {
            const size_t at = (k + i) * width;
            store_some(tile + at, at + 16 <= end ? 16 : width, block[i]);
        }
    }
}

/* For each type: dot_TYPE, rows times one vector. Four rows at once, two sums each, hide the latency of the additions. */
#define DEFINE_DOT(TYPE, SIZE)                                                                                         \
    ALWAYS_INLINE void dot_some_##TYPE(const unsigned count, const uint8_t *const *rows, const float *x, size_t cols,  \
                                       float *sums) {                                                                  \
        v16 even[4], odd[4];                                                                                           \
        for (unsigned r = 0; r < count; r++) even[r] = odd[r] = v_set(0.0f);                                           \
        size_t k = 0;                                                                                                  \
        for (; k + 32 <= cols; k += 32) {                                                                              \
            const v16 first = v_load(x + k), second = v_load(x + k + 16);                                              \
            for (unsigned r = 0; r < count; r++) {                                                                     \
                even[r] = v_fma(load_##TYPE(rows[r] + k * SIZE), first, even[r]);                                      \
                odd[r] = v_fma(load_##TYPE(rows[r] + (k + 16) * SIZE), second, odd[r]);                                \
            }                                                                                                          \
        }                                                                                                              \
        for (; k < cols; k += 16) {                                                                                    \
            const size_t some = cols - k < 16 ? cols - k : 16;                                                         \
            const v16 last = load_some(x + k, some);                                                                   \
            for (unsigned r = 0; r < count; r++) {                                                                     \
                even[r] = v_fma(load_some_##TYPE(rows[r] + k * SIZE, some), last, even[r]);                            \
            }                                                                                                          \
        }                                                                                                              \
        for (unsigned r = 0; r < count; r++) sums[r] += v_sum(v_add(even[r], odd[r]));                                 \
    }                                                                                                                  \
    static void dot_##TYPE(const uint8_t *const *rows, unsigned count, const float *x, size_t cols, float *sums) {     \
        if (count == 4) {                                                                                              \
            dot_some_##TYPE(4, rows, x, cols, sums);                                                                   \
        } else {                                                                                                       \
            for (unsigned r = 0; r < count; r++) dot_some_##TYPE(1, rows + r, x, cols, sums + r);                      \
        }                                                                                                              \
    }

DEFINE_DOT(f32, 4)
DEFINE_DOT(f16, 2)
DEFINE_DOT(bf16, 2)

#endif
