/* describe.h: tensors in a few words. Each fills a buffer of SINQ_DESCRIPTION_SIZE bytes and returns it. */
#ifndef SINQ_CMD_DESCRIBE_H
#define SINQ_CMD_DESCRIBE_H

#include "sinq.h"

#define SINQ_DESCRIPTION_SIZE 200

/* "sinq 4b g64 u8" */
const char *sinq_describe_coding(char *buffer, enum sinq_method method, unsigned bits, uint32_t group_size,
                                 enum sinq_aux_type scale_type);

/* The same of a matrix; "q4_k" where it is in GGUF's blocks. */
const char *sinq_describe_storage(char *buffer, const struct sinq_matrix_info *info);

/* "4096x1024", "scalar" */
const char *sinq_describe_shape(char *buffer, const struct sinq_tensor *tensor);

/* "64" or "row" */
const char *sinq_describe_group(char *buffer, uint32_t group_size);

#endif
