/* The names of methods and of the types of scales and zeros, as options, files and reports spell them. */
#include <string.h>

#include "sinq.h"

static const char *const method_names[SINQ_METHOD_COUNT] = {
    [SINQ_METHOD_SINQ] = "sinq",         [SINQ_METHOD_RTN] = "rtn",           [SINQ_METHOD_SINQ_NF4] = "sinq-nf4",
    [SINQ_METHOD_SINQ_NF3] = "sinq-nf3", [SINQ_METHOD_SINQ_HQQ] = "sinq-hqq", [SINQ_METHOD_NF4] = "nf4",
    [SINQ_METHOD_NF3] = "nf3",           [SINQ_METHOD_HQQ] = "hqq",
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
