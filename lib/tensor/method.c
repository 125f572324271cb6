/* method.c: methods: their names and those of the types of scales and zeros, as options, files and reports spell them; their levels. */
#include "tensor/method.h"

#include <string.h>

static const char *const method_names[SINQ_METHOD_COUNT] = {
    [SINQ_METHOD_SINQ] = "sinq",
    [SINQ_METHOD_RTN] = "rtn",
    [SINQ_METHOD_SINQ_NF4] = "sinq-nf4",
    [SINQ_METHOD_SINQ_NF3] = "sinq-nf3",
    [SINQ_METHOD_SINQ_HQQ] = "sinq-hqq",
    [SINQ_METHOD_NF4] = "nf4",
    [SINQ_METHOD_NF3] = "nf3",
    [SINQ_METHOD_HQQ] = "hqq",
    [SINQ_METHOD_SINQ_SEARCH] = "sinq-search",
    [SINQ_METHOD_SEARCH] = "search",
    [SINQ_METHOD_SINQ_NOZ] = "sinq-noz",
    [SINQ_METHOD_NOZ] = "noz",
    [SINQ_METHOD_SINQ_LEVELS] = "sinq-levels",
    [SINQ_METHOD_LEVELS] = "levels",
};

static const char *const aux_type_names[SINQ_AUX_COUNT] = {
    [SINQ_AUX_NONE] = "none", [SINQ_AUX_F16] = "f16", [SINQ_AUX_U8] = "u8",
    [SINQ_AUX_U6] = "u6",     [SINQ_AUX_U4] = "u4",   [SINQ_AUX_I8] = "i8",
};

const char *sinq_method_name(enum sinq_method method) {
    return (unsigned)method < SINQ_METHOD_COUNT ? method_names[method] : "unknown";
}

int sinq_method_from_name(const char *name) {
    for (int i = 0; i < SINQ_METHOD_COUNT; i++) {
        if (strcmp(name, method_names[i]) == 0) return i;
    }
    return -1;
}

const char *sinq_aux_type_name(enum sinq_aux_type type) {
    return (unsigned)type < SINQ_AUX_COUNT ? aux_type_names[type] : "unknown";
}

/* NormalFloat levels: QLoRA's table for 4 bits (bitsandbytes), the reference's for 3. */
static const float nf4_levels[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};
static const float nf3_levels[8] = {
    -1.0f,
    -0.5350227355957031f,
    -0.2469314038753510f,
    0.0f,
    0.1833375245332718f,
    0.3819939494132996f,
    0.6229856610298157f,
    1.0f,
};

const float *sinq_method_levels(enum sinq_method method, unsigned *count) {
    const bool is_nf4 = method == SINQ_METHOD_NF4 || method == SINQ_METHOD_SINQ_NF4;
    const bool is_nf3 = method == SINQ_METHOD_NF3 || method == SINQ_METHOD_SINQ_NF3;
    *count = is_nf4 ? 16 : is_nf3 ? 8 : 0;
    return is_nf4 ? nf4_levels : is_nf3 ? nf3_levels : NULL;
}

bool sinq_method_normalizes(enum sinq_method method) {
    return method == SINQ_METHOD_SINQ || method == SINQ_METHOD_SINQ_NF4 || method == SINQ_METHOD_SINQ_NF3 ||
           method == SINQ_METHOD_SINQ_HQQ || method == SINQ_METHOD_SINQ_SEARCH || method == SINQ_METHOD_SINQ_NOZ ||
           method == SINQ_METHOD_SINQ_LEVELS;
}

bool sinq_method_is_symmetric(enum sinq_method method) {
    return method == SINQ_METHOD_SINQ_NOZ || method == SINQ_METHOD_NOZ;
}

bool sinq_method_has_byte_levels(enum sinq_method method) {
    return method == SINQ_METHOD_SINQ_LEVELS || method == SINQ_METHOD_LEVELS;
}
