/* config.h: what opening a checkpoint needs from config.json. */
#ifndef SINQ_FORMATS_CONFIG_H
#define SINQ_FORMATS_CONFIG_H

#include "sinq.h"

#define SINQ_MAX_CONFIG_BYTES ((uint64_t)8 << 20)

/* Strings are owned: sinq_config_free. */
struct sinq_config {
    char *model_type;        /* or NULL */
    char *quantization;      /* text of the object quantization_config, or NULL */
    uint64_t scale_block[2]; /* its weight_block_size; 0 where it says none */
};

/* Checks all of `text` and reads it; `path` is for messages. On failure *config is empty. */
int sinq_read_config(const char *path, const char *text, size_t size, struct sinq_config *config,
                     struct sinq_error *error);

void sinq_config_free(struct sinq_config *config);

#endif
