/* weight_map.h: model.safetensors.index.json, which says what file holds each tensor. */
#ifndef SINQ_FORMATS_WEIGHT_MAP_H
#define SINQ_FORMATS_WEIGHT_MAP_H

#include "arena.h"
#include "base/input.h"
#include "base/name_index.h"

#define SINQ_MAX_SHARDS ((size_t)10000)

struct sinq_weight {
    const char *name;
    size_t shard;
    bool is_found; /* for whoever compares the map with the files */
};

/* All zero when empty. Shards are sorted by name. */
struct sinq_weight_map {
    struct sinq_weight *weights;
    size_t weight_count, weight_capacity;
    const char **shards; /* plain file names */
    size_t shard_count, shard_capacity;
    struct sinq_name_index *names; /* of the weights */
    struct sinq_arena arena;
};

/* Reads and checks a whole index; sinq_weight_map_free in any case. */
int sinq_read_weight_map(const struct sinq_input *input, struct sinq_weight_map *map, struct sinq_error *error);

void sinq_weight_map_free(struct sinq_weight_map *map);

#endif
