/*
 * block_types.h: the tensor types of GGUF. A row is a run of blocks, each with the same number of values in the same number of
 * bytes; a plain type's block is one value.
 *
 * Blocks become f32 with the operations of the types' definition (ggml's dequantization), in their order, so the same values
 * to the last bit. Encoding is quant/blocks/encode_blocks.h's.
 */
#ifndef SINQ_TENSOR_BLOCK_TYPES_H
#define SINQ_TENSOR_BLOCK_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sinq.h"

/* Numbers as they stand in a file. */
enum sinq_block_type_id {
    SINQ_BLOCK_F32 = 0,
    SINQ_BLOCK_F16 = 1,
    SINQ_BLOCK_Q4_0 = 2,
    SINQ_BLOCK_Q4_1 = 3,
    SINQ_BLOCK_Q5_0 = 6,
    SINQ_BLOCK_Q5_1 = 7,
    SINQ_BLOCK_Q8_0 = 8,
    SINQ_BLOCK_Q2_K = 10,
    SINQ_BLOCK_Q3_K = 11,
    SINQ_BLOCK_Q4_K = 12,
    SINQ_BLOCK_Q5_K = 13,
    SINQ_BLOCK_Q6_K = 14,
    SINQ_BLOCK_Q8_K = 15,
    SINQ_BLOCK_IQ4_NL = 20,
    SINQ_BLOCK_IQ4_XS = 23,
    SINQ_BLOCK_I8 = 24,
    SINQ_BLOCK_I16 = 25,
    SINQ_BLOCK_I32 = 26,
    SINQ_BLOCK_I64 = 27,
    SINQ_BLOCK_F64 = 28,
    SINQ_BLOCK_BF16 = 30,
    SINQ_BLOCK_MXFP4 = 39,
    SINQ_BLOCK_ID_END = 40
};

#define SINQ_MOST_BLOCK_VALUES 256u
#define SINQ_MOST_BLOCK_BYTES  292u

struct sinq_block_type {
    enum sinq_block_type_id id;
    const char *name; /* as a command line writes it: "q4_k" */
    uint32_t values, bytes;
    bool is_plain;   /* one of sinq.h's dtypes: numbers, not codes */
    bool is_written; /* sinq_encode_blocks knows it */
};

/* NULL: not a type of ours. */
const struct sinq_block_type *sinq_find_block_type(uint32_t id);
const struct sinq_block_type *sinq_find_block_type_named(const char *name);
/* The type of table index 0, 1, ...; NULL behind the last. For lists of names. */
const struct sinq_block_type *sinq_list_block_type(size_t index);

/* What a plain type's values are; of other types SINQ_DUAL_SCALE, which they become. */
enum sinq_dtype sinq_block_dtype(const struct sinq_block_type *type);

/* Bytes of a row; false where `values` is not a multiple of the type's, or the size overflows. */
bool sinq_measure_block_row(const struct sinq_block_type *type, uint64_t values, uint64_t *bytes);

/* `count` values, whole blocks of them, from bytes of any alignment. 64-bit numbers are rounded to f32. Thread safe. */
void sinq_decode_blocks(const struct sinq_block_type *type, const uint8_t *bytes, size_t count, float *out);

#endif
