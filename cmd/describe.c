#include "describe.h"

#include <stdio.h>

const char *sinq_describe_group(char *buffer, uint32_t group_size) {
    if (group_size == SINQ_GROUP_ROW) {
        snprintf(buffer, SINQ_DESCRIPTION_SIZE, "row");
    } else {
        snprintf(buffer, SINQ_DESCRIPTION_SIZE, "%u", (unsigned)group_size);
    }
    return buffer;
}

const char *sinq_describe_coding(char *buffer, enum sinq_method method, unsigned bits, uint32_t group_size,
                                 enum sinq_aux_type scale_type) {
    char group[SINQ_DESCRIPTION_SIZE];
    snprintf(buffer, SINQ_DESCRIPTION_SIZE, "%s %ub g%.20s %s", sinq_method_name(method), bits,
             sinq_describe_group(group, group_size), sinq_aux_type_name(scale_type));
    return buffer;
}

const char *sinq_describe_storage(char *buffer, const struct sinq_matrix_info *info) {
    if (info->block_type == NULL) {
        return sinq_describe_coding(buffer, info->method, info->bits, info->group_size, info->scale_type);
    }
    snprintf(buffer, SINQ_DESCRIPTION_SIZE, "%s", info->block_type);
    return buffer;
}

const char *sinq_describe_shape(char *buffer, const struct sinq_tensor *tensor) {
    int used = snprintf(buffer, SINQ_DESCRIPTION_SIZE, "%s", tensor->rank == 0 ? "scalar" : "");
    /* Eight dimensions of twenty digits fit. */
    for (uint32_t i = 0; i < tensor->rank && i < SINQ_MAX_RANK; i++)
        used += snprintf(buffer + used, SINQ_DESCRIPTION_SIZE - (size_t)used, "%s%llu", i > 0 ? "x" : "",
                         (unsigned long long)tensor->shape[i]);
    return buffer;
}
