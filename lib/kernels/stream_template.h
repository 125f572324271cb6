/*
 * stream_template.h: a few queries against keys and values as they lie in the cache: read once, packed nowhere; a part of
 * compute_template.h.
 *
 * Where `type`, `width` and `together` are constant, so are the loops over registers, and only the code of that type is left.
 */
#ifndef SINQ_KERNELS_STREAM_TEMPLATE_H
#define SINQ_KERNELS_STREAM_TEMPLATE_H

#include "kernels/dense_template.h"

/* Sums in registers, and the most queries that share a row once it is loaded. */
#define STREAM_SUMS    (F32_TILE >= 12 ? 16u : F32_TILE)
#define STREAM_QUERIES (F32_TILE >= 12 ? 8u : F32_TILE >= 4 ? 4u : 2u)
/* Bytes ahead of what is read that are called for into the first cache, and lines of a page that begins, into the second. */
#define STREAM_NEAR       1024u
#define STREAM_PAGE_LINES 4u

typedef const enum sinq_kv_type kv_type;

ALWAYS_INLINE v16 load_stored(kv_type type, const uint8_t *from) {
    return type == SINQ_KV_F32 ? load_f32(from) : type == SINQ_KV_F16 ? load_f16(from) : load_i8(from);
}

ALWAYS_INLINE v16 load_last_stored(kv_type type, const uint8_t *from, size_t count) {
    if (type == SINQ_KV_F32) return load_some_f32(from, count);
    return type == SINQ_KV_F16 ? load_some_f16(from, count) : load_some_i8(from, count);
}

/* Rows, or sixteens of columns, that fit the registers beside each other with that many queries. */
ALWAYS_INLINE unsigned count_together(const unsigned width) {
    const unsigned most = STREAM_SUMS / width;
    return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

/*
 * Called for line by line: what is read next, `apart` from what is read now (0: nothing is), so that it comes while this is worked on
 * (docs/speed.md, "Pages"); and the lines at hand once more, which need not have come so far.
 */
ALWAYS_INLINE void prefetch_stored(const uint8_t *at, const ptrdiff_t apart) {
    const uint8_t *const next = at + apart;
    __builtin_prefetch(next, 0, 2);
    if ((uintptr_t)next % SINQ_SMALL_PAGE < 64) {
        for (unsigned i = 0; i < STREAM_PAGE_LINES; i++) __builtin_prefetch(next + SINQ_SMALL_PAGE + 64 * i, 0, 2);
    }
    __builtin_prefetch(at + STREAM_NEAR, 0, 3);
}

/* ---- scores ---- */

/* sums[16 t + r]: lanes that add up to row r times query t, of whole sixteens of columns. */
ALWAYS_INLINE void dot_together(kv_type type, const unsigned width, const uint8_t *const *rows, size_t dim,
                                ptrdiff_t apart, const float *queries, size_t stride, v16 *sums) {
    const unsigned together = count_together(width);
    const size_t size = sinq_kv_value_bytes(type);
    v16 total[STREAM_QUERIES][8], keys[8];
    for (unsigned t = 0; t < width; t++) {
        for (unsigned r = 0; r < together; r++) total[t][r] = v_set(0.0f);
    }
    for (size_t k = 0; k + 16 <= dim; k += 16) {
        for (unsigned r = 0; r < together; r++) {
            keys[r] = load_stored(type, rows[r] + k * size);
            if (k * size % 64 == 0) prefetch_stored(rows[r] + k * size, apart);
        }
        for (unsigned t = 0; t < width; t++) {
            const v16 query = v_load(queries + t * stride + k);
            for (unsigned r = 0; r < together; r++) total[t][r] = v_fma(keys[r], query, total[t][r]);
        }
    }
    for (unsigned t = 0; t < width; t++) {
        for (unsigned r = 0; r < together; r++) sums[16 * t + r] = total[t][r];
    }
}

/* The columns beyond whole sixteens. */
static __attribute__((noinline)) void dot_rest(kv_type type, unsigned width, const uint8_t *row, size_t dim,
                                               const float *queries, size_t stride, v16 *sums) {
    const size_t k = dim / 16 * 16;
    const v16 last = load_last_stored(type, row + k * sinq_kv_value_bytes(type), dim - k);
    for (unsigned t = 0; t < width; t++) sums[16 * t] = v_fma(last, v_load(queries + t * stride + k), sums[16 * t]);
}

/* Sixteens of rows; those beyond the last one repeat it. */
ALWAYS_INLINE void score_some(kv_type type, const unsigned width, const struct sinq_stored_rows *keys,
                              const float *queries, size_t stride, float *scores) {
    const unsigned together = count_together(width);
    const size_t dim = keys->dim, row_bytes = keys->row_bytes;
    size_t left = keys->count - 1;
    const uint8_t *row = keys->bytes;
    for (size_t p = 0; p < keys->count; p += 16) {
        v16 sums[16 * STREAM_QUERIES];
        for (unsigned r = 0; r < 16; r += together) {
            const uint8_t *rows[8];
            for (unsigned i = 0; i < together; i++) {
                rows[i] = row;
                row += left > 0 ? row_bytes : 0;
                left -= left > 0 ? 1 : 0;
            }
            dot_together(type, width, rows, dim, keys->apart, queries, stride, sums + r);
            for (unsigned i = 0; dim % 16 != 0 && i < together; i++) {
                dot_rest(type, width, rows[i], dim, queries, stride, sums + r + i);
            }
        }
        for (unsigned t = 0; t < width; t++) {
            v_store(scores + t * SINQ_ATTENTION_POSITIONS + p, v_sum_rows(sums + 16 * t));
        }
    }
}

/* ---- sums ---- */

/* Columns [k, k + 16 * together), or the last ones of a row. */
ALWAYS_INLINE void add_columns(kv_type type, const unsigned width, const unsigned together, size_t k,
                               const struct sinq_stored_rows *values, const float *shares, float *sums, size_t stride) {
    const size_t size = sinq_kv_value_bytes(type), some = count_some(k, values->dim);
    const bool is_last = together == 1 && some < 16;
    v16 total[STREAM_QUERIES][8], columns[8];
    for (unsigned t = 0; t < width; t++) {
        for (unsigned c = 0; c < together; c++) total[t][c] = v_set(0.0f);
    }
    const uint8_t *row = values->bytes + k * size;
    for (size_t p = 0; p < values->count; p++, row += values->row_bytes) {
        for (unsigned c = 0; c < together; c++) {
            columns[c] = is_last ? load_last_stored(type, row, some) : load_stored(type, row + c * 16 * size);
            if (c * 16 * size % 64 == 0) prefetch_stored(row + c * 16 * size, values->apart);
        }
        for (unsigned t = 0; t < width; t++) {
            const v16 share = v_set(shares[t * SINQ_ATTENTION_POSITIONS + p]);
            for (unsigned c = 0; c < together; c++) total[t][c] = v_fma(share, columns[c], total[t][c]);
        }
    }
    for (unsigned t = 0; t < width; t++) {
        for (unsigned c = 0; c < together; c++) {
            float *const to = sums + t * stride + k + 16 * c;
            v_store(to, v_add(v_load(to), total[t][c]));
        }
    }
}

ALWAYS_INLINE void add_some(kv_type type, const unsigned width, const struct sinq_stored_rows *values,
                            const float *shares, float *sums, size_t stride) {
    const unsigned together = count_together(width);
    const size_t dim = values->dim;
    size_t k = 0;
    for (; together >= 8 && k + 128 <= dim; k += 128) add_columns(type, width, 8, k, values, shares, sums, stride);
    for (; together >= 4 && k + 64 <= dim; k += 64) add_columns(type, width, 4, k, values, shares, sums, stride);
    for (; together >= 2 && k + 32 <= dim; k += 32) add_columns(type, width, 2, k, values, shares, sums, stride);
    for (; k < dim; k += 16) add_columns(type, width, 1, k, values, shares, sums, stride);
}

/* ---- the table's functions ---- */

ALWAYS_INLINE unsigned choose_width(unsigned left) {
    return left >= STREAM_QUERIES ? STREAM_QUERIES : left >= 4 ? 4 : left;
}

/* For each type: queries by eights, fours and so on. */
#define DEFINE_STREAM(TYPE, KV_TYPE)                                                                                   \
    static void score_rows_##TYPE(const struct sinq_stored_rows *keys, const float *queries, size_t stride,            \
                                  unsigned count, float *scores) {                                                     \
        for (unsigned q = 0, width; q < count; q += width) {                                                           \
            const float *const some = queries + q * stride;                                                            \
            float *const out = scores + (size_t)q * SINQ_ATTENTION_POSITIONS;                                          \
            width = choose_width(count - q);                                                                           \
            CALL_WITH_WIDTH(STREAM_QUERIES, STREAM_SCORE, width, KV_TYPE, keys, some, stride, out)                     \
        }                                                                                                              \
    }                                                                                                                  \
    static void add_rows_##TYPE(const struct sinq_stored_rows *values, const float *shares, unsigned count,            \
                                float *sums, size_t stride) {                                                          \
        for (unsigned q = 0, width; q < count; q += width) {                                                           \
            const float *const some = shares + (size_t)q * SINQ_ATTENTION_POSITIONS;                                   \
            float *const out = sums + q * stride;                                                                      \
            width = choose_width(count - q);                                                                           \
            CALL_WITH_WIDTH(STREAM_QUERIES, STREAM_ADD, width, KV_TYPE, values, some, out, stride)                     \
        }                                                                                                              \
    }
/* Widths that are never chosen are left out. */
#define STREAM_HAS(WIDTH) ((WIDTH) <= 4 || (WIDTH) == STREAM_QUERIES)
#define STREAM_SCORE(WIDTH, TYPE, K, Q, STRIDE, OUT)                                                                   \
    if (STREAM_HAS(WIDTH)) score_some(TYPE, WIDTH, K, Q, STRIDE, OUT)
#define STREAM_ADD(WIDTH, TYPE, V, S, OUT, STRIDE)                                                                     \
    if (STREAM_HAS(WIDTH)) add_some(TYPE, WIDTH, V, S, OUT, STRIDE)

DEFINE_STREAM(f32, SINQ_KV_F32)
DEFINE_STREAM(f16, SINQ_KV_F16)
DEFINE_STREAM(i8, SINQ_KV_I8)

#endif
