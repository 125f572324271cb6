#include "tensor/block_types.h"

#include <string.h>

#include "base/checked.h"

/* The command line's list of types is in this order: what is written first. */
static const struct sinq_block_type types[] = {
    {SINQ_BLOCK_F16, "f16", 1, 2, true, true},
    {SINQ_BLOCK_BF16, "bf16", 1, 2, true, true},
    {SINQ_BLOCK_Q8_0, "q8_0", 32, 34, false, true},
    {SINQ_BLOCK_Q4_0, "q4_0", 32, 18, false, true},
    {SINQ_BLOCK_Q4_1, "q4_1", 32, 20, false, true},
    {SINQ_BLOCK_Q5_0, "q5_0", 32, 22, false, true},
    {SINQ_BLOCK_Q5_1, "q5_1", 32, 24, false, true},
    {SINQ_BLOCK_IQ4_NL, "iq4_nl", 32, 18, false, true},
    {SINQ_BLOCK_Q4_K, "q4_k", 256, 144, false, true},
    {SINQ_BLOCK_Q5_K, "q5_k", 256, 176, false, true},
    {SINQ_BLOCK_Q6_K, "q6_k", 256, 210, false, true},
    {SINQ_BLOCK_Q3_K, "q3_k", 256, 110, false, true},
    {SINQ_BLOCK_Q2_K, "q2_k", 256, 84, false, true},
    {SINQ_BLOCK_F32, "f32", 1, 4, true, true},
    {SINQ_BLOCK_F64, "f64", 1, 8, true, false},
    {SINQ_BLOCK_I8, "i8", 1, 1, true, false},
    {SINQ_BLOCK_I16, "i16", 1, 2, true, false},
    {SINQ_BLOCK_I32, "i32", 1, 4, true, false},
    {SINQ_BLOCK_I64, "i64", 1, 8, true, false},
    {SINQ_BLOCK_Q8_K, "q8_k", 256, 292, false, false},
    {SINQ_BLOCK_IQ4_XS, "iq4_xs", 256, 136, false, false},
    {SINQ_BLOCK_MXFP4, "mxfp4", 32, 17, false, false},
};

#define TYPE_COUNT (sizeof types / sizeof types[0])

const struct sinq_block_type *sinq_list_block_type(size_t index) { return index < TYPE_COUNT ? &types[index] : NULL; }

const struct sinq_block_type *sinq_find_block_type(uint32_t id) {
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if ((uint32_t)types[i].id == id) return &types[i];
    }
    return NULL;
}

const struct sinq_block_type *sinq_find_block_type_named(const char *name) {
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(types[i].name, name) == 0) return &types[i];
    }
    return NULL;
}

enum sinq_dtype sinq_block_dtype(const struct sinq_block_type *type) {
    switch (type->id) {
    case SINQ_BLOCK_F64:
        return SINQ_F64;
    case SINQ_BLOCK_F32:
        return SINQ_F32;
    case SINQ_BLOCK_F16:
        return SINQ_F16;
    case SINQ_BLOCK_BF16:
        return SINQ_BF16;
    case SINQ_BLOCK_I8:
        return SINQ_I8;
    case SINQ_BLOCK_I16:
        return SINQ_I16;
    case SINQ_BLOCK_I32:
        return SINQ_I32;
    case SINQ_BLOCK_I64:
        return SINQ_I64;
    default:
        return SINQ_DUAL_SCALE;
    }
}

bool sinq_measure_block_row(const struct sinq_block_type *type, uint64_t values, uint64_t *bytes) {
    return values % type->values == 0 && sinq_multiply_u64(values / type->values, type->bytes, bytes);
}
