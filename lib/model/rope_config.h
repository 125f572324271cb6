/* rope_config.h: a rope from its parameters in config.json, whether transformers 4 or 5 wrote them. */
#ifndef SINQ_MODEL_ROPE_CONFIG_H
#define SINQ_MODEL_ROPE_CONFIG_H

#include "model/config_reader.h"
#include "model/rope.h"

/* What a rope takes from its model, for keys that its parameters lack. */
struct sinq_rope_model {
    uint32_t width; /* of a head, or of the part of it that may turn */
    double theta, rotary_share;
    uint64_t context;          /* max_position_embeddings */
    uint64_t original_context; /* the model's own original_max_position_embeddings, which goes first; 0: none */
    bool interleaved;
};

/*
 * `parameters` reads rope_parameters, one layer type's of it, or rope_scaling; its object is NULL where there are none. On a
 * fault parameters->status is set and the rope is empty. Free it with sinq_rope_free.
 */
void sinq_read_rope(struct sinq_config_reader *parameters, const struct sinq_rope_model *model, struct sinq_rope *rope);

/* 0.1 * mscale * ln(factor) + 1, or 1 where factor <= 1: how yarn makes up for longer contexts. */
double sinq_yarn_scale(double factor, double mscale);

#endif
