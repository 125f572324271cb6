/*
 * reference_matrix.h: a quantized matrix as the reference implementation of SINQ (huawei-csl/SINQ) stores it: several tensors of a
 * safetensors file, which begin with the layer's name.
 *
 *   W_q                        codes, groups of a row one behind the other as rows of `group` columns. These rows are cut into
 *                              slices; one row of each slice shares a container, the first slice in its highest bits
 *   meta.scale, meta.zero      f16, one a group; or with 8-bit codes ("quantAux")
 *   meta.scale.x, .s, .m       u8 codes x, f16 steps s and minima m: a scale is x * s + m. Entry i * groups / 32 + j has the step j
 *   meta.zero.x, .s, .m        the same with one step for all
 *                              methods without zero points of their own (noz) have one value as meta.zero, without a dimension
 *   meta.scale2                f16, the column scale: 1 everywhere for methods without one
 *
 * In 2-D tiling scales, zeros and column scales lie tile by tile. The rest is in a text beside the files: sinq_print_reference_meta.
 */
#ifndef SINQ_TENSOR_REFERENCE_MATRIX_H
#define SINQ_TENSOR_REFERENCE_MATRIX_H

#include "base/text.h"
#include "tensor/plain_matrix.h"

/* ---- packing of codes ---- */

struct sinq_reference_packing {
    const char *name;
    uint32_t bits, slices;
    enum sinq_dtype dtype; /* of a container: U8 or I32 */
};

/* NULL: there is none. */
const struct sinq_reference_packing *sinq_find_reference_packing(uint32_t bits);
const struct sinq_reference_packing *sinq_find_reference_packing_named(const char *name);

/* Rows of W_q that hold `rows` rows of codes. */
uint64_t sinq_count_packed_rows(const struct sinq_reference_packing *packing, uint64_t rows);
void sinq_pack_reference_codes(const struct sinq_reference_packing *packing, uint64_t rows, uint64_t width,
                               const uint8_t *codes, uint8_t *packed);
/* `count` codes of one slice, from as many containers. */
void sinq_unpack_reference_slice(const struct sinq_reference_packing *packing, uint64_t slice, uint64_t count,
                                 const uint8_t *packed, uint8_t *codes);

/* ---- 8-bit scales and zeros ---- */

/*
 * `count` values, a multiple of `columns`; value i * columns + j is of column j, which has steps[j] and lows[j], f16 numbers. The
 * values then become what a reader makes of them, which computes in f16. Those with is_free (NULL: none) take no part.
 */
void sinq_encode_reference_aux(float *values, const bool *is_free, uint64_t count, uint64_t columns, uint8_t *codes,
                               uint16_t *steps, uint16_t *lows);
float sinq_decode_reference_aux(uint8_t code, float step, float low);

/* ---- a matrix to be written ---- */

#define SINQ_MOST_REFERENCE_PARTS 8u

struct sinq_reference_matrix {
    uint64_t rows, cols;
    uint32_t bits;
    uint64_t group;      /* columns that share a scale: they divide the row */
    uint64_t group_size; /* as asked for, of which `group` may be a part */
    enum sinq_method method;
    bool has_codes; /* scales and zeros are 8-bit */
    bool is_tiled;  /* 2-D */
    /*
     * Of a matrix that came from our layout and can get there again unchanged: scales are those stored times 2^factor_exponent times
     * 2^shift, the column scale is that stored times 2^-shift.
     */
    bool has_exponents;
    int factor_exponent, shift;
};

/* One of its tensors: they lie one behind the other, without holes. */
struct sinq_reference_part {
    const char *suffix; /* behind the layer's name */
    enum sinq_dtype dtype;
    uint32_t rank;
    uint64_t shape[3];
    uint64_t offset, bytes;
};

struct sinq_reference_parts {
    struct sinq_reference_part parts[SINQ_MOST_REFERENCE_PARTS];
    size_t count;
    uint64_t bytes; /* of all: at most 2^53 */
};

/* Why the layout cannot hold such a matrix (static text); NULL where it can. */
const char *sinq_find_reference_obstacle(const struct sinq_reference_matrix *matrix);
/* Of a matrix without an obstacle. */
void sinq_measure_reference(const struct sinq_reference_matrix *matrix, struct sinq_reference_parts *parts);

/*
 * All parts, from plain values whose scales are to be multiplied by `factor`; `plain` then holds what a reader makes of what was
 * stored, the factor included. With `is_kept`, values that f16 holds exactly are stored so, and the exponents that lead back are
 * noted. SINQ_FAILED where f16 numbers cannot hold the values; `where` begins the message.
 */
int sinq_pack_reference(struct sinq_reference_matrix *matrix, struct sinq_plain_matrix *plain, float factor,
                        bool is_kept, const char *where, uint8_t *bytes, struct sinq_error *error);

/* A key of ours: factor_exponent and shift, which other readers pass over. */
#define SINQ_REFERENCE_EXPONENTS "dual_scale_exponents"

/* The JSON object that the sidecar has under "meta". */
void sinq_print_reference_meta(const struct sinq_reference_matrix *matrix, const char *compute_dtype,
                               struct sinq_text *text);

#endif
