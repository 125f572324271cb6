/*
 * weights.h: the source that reads safetensors files, one or the shards of a directory.
 *
 * Calling sequence
 *   sinq_weights_create()
 *   sinq_weights_add_shard() for each file, in the order of the shards
 *   sinq_weights_finish()           indexes names, pairs block scales; from here on &weights->base is a source
 * Whoever creates it closes it with sinq_source_close(&weights->base), finished or not.
 */
#ifndef SINQ_FORMATS_WEIGHTS_H
#define SINQ_FORMATS_WEIGHTS_H

#include "config.h"
#include "safetensors.h"
#include "shards.h"

struct sinq_weights {
    struct sinq_source base;
    struct sinq_tensor_list list;
    struct sinq_shards shards;
    char *header_quantization; /* from the last file's __metadata__, or NULL */
    uint64_t scale_block[2];   /* of FP8 tensors, from the config; 0 where it says none */
};

/* NULL when out of memory. `format` is static text. */
struct sinq_weights *sinq_weights_create(const char *path, const char *format, bool is_directory);

/* Opens a file and lists its tensors. */
int sinq_weights_add_shard(struct sinq_weights *weights, const char *path, struct sinq_error *error);

/* The same for a file in memory, which is borrowed. */
int sinq_weights_add_memory(struct sinq_weights *weights, const char *path, const uint8_t *bytes, size_t size,
                            struct sinq_error *error);

int sinq_weights_finish(struct sinq_weights *weights, struct sinq_error *error);

/* Finds each FP8 tensor's scales by their names, checks their shapes and links them. `block`: see struct sinq_weights. */
int sinq_pair_block_scales(struct sinq_source *source, const uint64_t block[2], struct sinq_error *error);

#endif
