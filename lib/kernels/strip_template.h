/* strip_template.h: passes over a strip of a tile, and its rows normalized, a part of quantize_template.h. */
#ifndef SINQ_KERNELS_STRIP_TEMPLATE_H
#define SINQ_KERNELS_STRIP_TEMPLATE_H

/* Sixteen rows; the smallest of each column first, so that whole vectors are compared. */
#define DEFINE_TINY_TEST(SUFFIX, ELEMENT, BITS, MOST)                                                                  \
    INLINE bool has_tiny_##SUFFIX(const ELEMENT *values, size_t stride, unsigned vectors) {                            \
        BITS least[SINQ_STRIP_COLUMNS], smallest = MOST;                                                               \
        for (unsigned j = 0; j < SINQ_LANES * vectors; j++) least[j] = MOST;                                           \
        for (unsigned r = 0; r < SINQ_LANES; r++) {                                                                    \
            BITS bits[SINQ_STRIP_COLUMNS];                                                                             \
            memcpy(bits, values + r * stride, SINQ_LANES * vectors * sizeof *bits);                                    \
            for (unsigned j = 0; j < SINQ_LANES * vectors; j++) {                                                      \
                const BITS place = (BITS)((bits[j] & (MOST >> 1)) - 1u); /* zero comes last */                         \
                least[j] = place < least[j] ? place : least[j];                                                        \
            }                                                                                                          \
        }                                                                                                              \
        for (unsigned j = 0; j < SINQ_LANES * vectors; j++) smallest = least[j] < smallest ? least[j] : smallest;      \
        return smallest < TINY_##BITS - 1u;                                                                            \
    }
/* Values other than zero must reach this for v_divide_quick by two scales: 2^-70, as bits of f32 and of bf16. */
#define TINY_uint32_t (57u << 23)
#define TINY_uint16_t (57u << 7)
DEFINE_TINY_TEST(f32, float, uint32_t, UINT32_MAX)
DEFINE_TINY_TEST(bf16, uint16_t, uint16_t, UINT16_MAX)

/* Vector `v` of a row's `vectors`. */
INLINE v16 load_f32(const float *row, unsigned v, unsigned vectors) {
    (void)vectors;
    return v_load(row + SINQ_LANES * v);
}
INLINE v16 load_bf16(const uint16_t *row, unsigned v, unsigned vectors) {
#ifdef V_LOADS_PAIRS
    if ((v | 1) < vectors) return v_load_bf16_half(row + SINQ_LANES * (v & ~1u), v & 1);
#endif
    (void)vectors;
    return v_load_bf16(row + SINQ_LANES * v);
}

/* Of sixteen rows; returns whether a mean is dominant. */
INLINE bool put_deviations(const double *sum, const double *square, double values, float *deviation) {
    const double by_values = 1.0 / values;
    int dominant = 0;
    v_store(deviation, v_deviation(sum, square, by_values, 1.0 / (values - 1.0)));
    for (unsigned l = 0; l < SINQ_LANES; l++) dominant |= sum[l] * sum[l] * by_values > SINQ_DOMINANT_MEAN * square[l];
    return dominant != 0;
}

#define ROWS_AT_ONCE 8u
#define CACHE_LINE   64u

INLINE void put_row_sums(bool adds, const v8d *sums, double *to) {
    const v8d folded = v_fold_halves(sums);
    if (adds) {
        v_add_half_to(to, folded);
    } else {
        v_store_half(to, folded);
    }
}

#define DEFINE_STRIP_KERNELS(SUFFIX, ELEMENT)                                                                          \
    /* Eight rows of a strip; those sixteen further on are called for. */                                              \
    INLINE void measure_rows_##SUFFIX(const ELEMENT *values, size_t stride, unsigned vectors, const v16 *inverse,      \
                                      const float *inverse_rows, v8d *row_sums, v8d *row_squares, v16d *sums,          \
                                      v16d *squares) {                                                                 \
        for (unsigned r = 0; r < ROWS_AT_ONCE; r++) {                                                                  \
            const ELEMENT *const row = values + r * stride;                                                            \
            const v16 by_row = v_set(inverse_rows[r]);                                                                 \
            v16d total, total_square;                                                                                  \
            for (unsigned v = 0; v < vectors; v++) {                                                                   \
                const v16 c = v_mul(v_mul(load_##SUFFIX(row, v, vectors), inverse[v]), by_row);                        \
                if (v % (CACHE_LINE / SINQ_LANES / sizeof(ELEMENT)) == 0) {                                            \
                    __builtin_prefetch(row + SINQ_LANES * (stride + v));                                               \
                }                                                                                                      \
                total = v == 0 ? v_widen(c) : v_add_value(total, c);                                                   \
                total_square = v == 0 ? v_square(c) : v_add_square(total_square, c);                                   \
                sums[v] = v_add_value(sums[v], c);                                                                     \
                squares[v] = v_add_square(squares[v], c);                                                              \
            }                                                                                                          \
            row_sums[r] = v_halve(total);                                                                              \
            row_squares[r] = v_halve(total_square);                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    INLINE void measure_vectors_##SUFFIX(const ELEMENT *values, size_t stride, size_t rows, unsigned vectors,          \
                                         const float *inverse_cols, const float *inverse_rows,                         \
                                         struct sinq_strip_sums *found) {                                              \
        v16 inverse[SINQ_STRIP_VECTORS];                                                                               \
        v16d sums[SINQ_STRIP_VECTORS], squares[SINQ_STRIP_VECTORS];                                                    \
        bool has_dominant = false;                                                                                     \
        for (unsigned v = 0; v < vectors; v++) {                                                                       \
            inverse[v] = v_load(inverse_cols + SINQ_LANES * v);                                                        \
            sums[v] = squares[v] = v_zero_sums();                                                                      \
        }                                                                                                              \
        for (size_t first = 0; first < rows; first += ROWS_AT_ONCE) {                                                  \
            v8d row_sums[ROWS_AT_ONCE], row_squares[ROWS_AT_ONCE];                                                     \
            measure_rows_##SUFFIX(values + first * stride, stride, vectors, inverse, inverse_rows + first, row_sums,   \
                                  row_squares, sums, squares);                                                         \
            put_row_sums(found->adds, row_sums, found->row_sum + first);                                               \
            put_row_sums(found->adds, row_squares, found->row_square + first);                                         \
            if (found->row_deviation == NULL || first % SINQ_LANES == 0) continue;                                     \
            const size_t pair = first - ROWS_AT_ONCE;                                                                  \
            has_dominant |= put_deviations(found->row_sum + pair, found->row_square + pair, found->row_values,         \
                                           found->row_deviation + pair);                                               \
        }                                                                                                              \
        for (unsigned v = 0; v < vectors; v++) {                                                                       \
            v_store_sums(found->col_sum + SINQ_LANES * v, sums[v]);                                                    \
            v_store_sums(found->col_square + SINQ_LANES * v, squares[v]);                                              \
        }                                                                                                              \
        found->has_dominant = has_dominant;                                                                            \
    }                                                                                                                  \
                                                                                                                       \
    static void measure_strip_##SUFFIX(const ELEMENT *values, size_t stride, size_t rows, unsigned vectors,            \
                                       const float *inverse_cols, const float *inverse_rows,                           \
                                       struct sinq_strip_sums *sums) {                                                 \
        /* A constant count keeps the sums in registers. */                                                            \
        if (vectors == SINQ_STRIP_VECTORS) {                                                                           \
            measure_vectors_##SUFFIX(values, stride, rows, SINQ_STRIP_VECTORS, inverse_cols, inverse_rows, sums);      \
        } else if (vectors == 2) { /* groups of 32 */                                                                  \
            measure_vectors_##SUFFIX(values, stride, rows, 2, inverse_cols, inverse_rows, sums);                       \
        } else if (vectors == 1) {                                                                                     \
            measure_vectors_##SUFFIX(values, stride, rows, 1, inverse_cols, inverse_rows, sums);                       \
        } else {                                                                                                       \
            measure_vectors_##SUFFIX(values, stride, rows, vectors, inverse_cols, inverse_rows, sums);                 \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static inline __attribute__((always_inline)) void normalize_vectors_##SUFFIX(                                      \
        bool is_quick, const ELEMENT *values, size_t stride, unsigned vectors, const float *col_scale,                 \
        const float *row_scale, float *out, size_t out_stride, float *lowest, float *highest) {                        \
        v16 low[SINQ_LANES], high[SINQ_LANES], by_col[SINQ_STRIP_VECTORS];                                             \
        float by_row[SINQ_LANES];                                                                                      \
        for (unsigned v = 0; v < vectors; v++) by_col[v] = v_div(v_set(1.0f), v_load(col_scale + SINQ_LANES * v));     \
        v_store(by_row, v_div(v_set(1.0f), v_load(row_scale)));                                                        \
        for (unsigned r = 0; r < SINQ_LANES; r++) {                                                                    \
            const v16 u = v_set(row_scale[r]), by_u = v_set(by_row[r]);                                                \
            for (unsigned v = 0; v < vectors; v++) {                                                                   \
                const v16 m = load_##SUFFIX(values + r * stride, v, vectors);                                          \
                const v16 t = v_load(col_scale + SINQ_LANES * v);                                                      \
                const v16 x = divide(is_quick, divide(is_quick, m, t, by_col[v]), u, by_u);                            \
                v_store(out + r * out_stride + SINQ_LANES * v, x);                                                     \
                low[r] = v == 0 ? x : v_min(low[r], x);                                                                \
                high[r] = v == 0 ? x : v_max(high[r], x);                                                              \
            }                                                                                                          \
        }                                                                                                              \
        v_store(lowest, v_min_rows(low));                                                                              \
        v_store(highest, v_max_rows(high));                                                                            \
    }                                                                                                                  \
                                                                                                                       \
    static void normalize_rows_##SUFFIX(const ELEMENT *values, size_t stride, unsigned vectors, bool has_no_tiny,      \
                                        const float *col_scale, const float *row_scale, float *out, size_t out_stride, \
                                        float *lowest, float *highest) {                                               \
        if (vectors == SINQ_STRIP_VECTORS &&                                                                           \
            (has_no_tiny || !has_tiny_##SUFFIX(values, stride, SINQ_STRIP_VECTORS))) {                                 \
            normalize_vectors_##SUFFIX(true, values, stride, SINQ_STRIP_VECTORS, col_scale, row_scale, out,            \
                                       out_stride, lowest, highest);                                                   \
        } else if (vectors == 2 && (has_no_tiny || !has_tiny_##SUFFIX(values, stride, 2))) {                           \
            normalize_vectors_##SUFFIX(true, values, stride, 2, col_scale, row_scale, out, out_stride, lowest,         \
                                       highest);                                                                       \
        } else if (vectors == 1 && (has_no_tiny || !has_tiny_##SUFFIX(values, stride, 1))) {                           \
            normalize_vectors_##SUFFIX(true, values, stride, 1, col_scale, row_scale, out, out_stride, lowest,         \
                                       highest);                                                                       \
        } else {                                                                                                       \
            normalize_vectors_##SUFFIX(false, values, stride, vectors, col_scale, row_scale, out, out_stride, lowest,  \
                                       highest);                                                                       \
        }                                                                                                              \
    }

DEFINE_STRIP_KERNELS(f32, float)
DEFINE_STRIP_KERNELS(bf16, uint16_t)

#endif
