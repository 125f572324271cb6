/* shapes.h: sizes of well-known models, from their config.json files, for weights that are made up. */
#ifndef SINQ_EVAL_SHAPES_H
#define SINQ_EVAL_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

struct sinq_shape {
    const char *name;
    const char *family; /* config.json's model_type */
    uint32_t hidden, ffn, layers, heads, kv_heads, head_dim, vocabulary;
    bool tied;
    uint32_t experts, chosen, expert_ffn; /* 0 where there are none */
};

/* NULL for an unknown name. */
const struct sinq_shape *sinq_find_shape(const char *name);

/* Its config.json, malloc'ed; NULL when out of memory. */
char *sinq_make_shape_config(const struct sinq_shape *shape);

#endif
