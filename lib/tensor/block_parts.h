/*
 * block_parts.h: blocks of GGUF's coded types, taken apart: what decoding, encoding and the conversion to our own layout have in
 * common. Every such type is a case of
 *
 *   value[k] = (scale * scale_codes[g]) * (level(code[k]) - zero) - minimum * minimum_codes[g],   g = k / group
 *
 * in which the products in brackets are exact in f32.
 */
#ifndef SINQ_TENSOR_BLOCK_PARTS_H
#define SINQ_TENSOR_BLOCK_PARTS_H

#include "tensor/block_types.h"

#define SINQ_MOST_BLOCK_GROUPS 16u

/* What holds for all blocks of a type. */
struct sinq_block_form {
    uint32_t group; /* values that share a scale */
    uint32_t bits;  /* of a code, 8 at most */
    int32_t zero;   /* the zero point of all codes */
    bool has_minimum;
    int32_t lowest_scale, highest_scale, highest_minimum; /* of the groups' codes; 1 and 1 where a block is one group */
    const int8_t *levels;                                 /* 16, or NULL where codes stand for themselves */
};

struct sinq_block_parts {
    float scale, minimum;
    int8_t scale_codes[SINQ_MOST_BLOCK_GROUPS];
    uint8_t minimum_codes[SINQ_MOST_BLOCK_GROUPS];
    uint8_t codes[SINQ_MOST_BLOCK_VALUES];
};

/* Of a type that is not plain. */
const struct sinq_block_form *sinq_block_form(const struct sinq_block_type *type);

/* One block from its bytes. */
void sinq_read_block(const struct sinq_block_type *type, const uint8_t *bytes, struct sinq_block_parts *parts);

/* And back; of types with is_written. Scale and minimum are rounded to what is stored. */
void sinq_write_block(const struct sinq_block_type *type, const struct sinq_block_parts *parts, uint8_t *bytes);

#endif
