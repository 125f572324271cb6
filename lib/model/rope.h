/*
 * rope.h: rotary position embeddings of every type, from config.json's rope_parameters (or rope_scaling and rope_theta) to the
 * angle of one position. The formulas are those of Hugging Face transformers' modeling_rope_utils.
 *
 * The angle of pair i at position p is p * frequency[i], computed in f64. Types "dynamic" and "longrope" depend on `length`:
 * how many positions the sequence has once the tokens at hand are fed (transformers: max(position_ids) + 1).
 */
#ifndef SINQ_MODEL_ROPE_H
#define SINQ_MODEL_ROPE_H

#include "sinq.h"

#define SINQ_MAX_ROPE_PAIRS 1024u

enum sinq_rope_type {
    SINQ_ROPE_DEFAULT,
    SINQ_ROPE_LINEAR,
    SINQ_ROPE_DYNAMIC,
    SINQ_ROPE_YARN,
    SINQ_ROPE_LONGROPE,
    SINQ_ROPE_LLAMA3
};

struct sinq_rope {
    enum sinq_rope_type type;
    uint32_t dims; /* values of a head that turn: even */
    bool interleaved;
    double theta, factor;
    uint64_t original_context;   /* positions it was trained for */
    uint64_t context;            /* max_position_embeddings */
    double beta_fast, beta_slow; /* yarn: rotations in the original context, between which it ramps */
    double attention_factor;     /* cosines and sines are multiplied by it; found when read */
    double *frequencies;         /* dims / 2, owned: of all types but dynamic beyond original_context */
    double *long_frequencies;    /* longrope beyond original_context, owned */
};

/* Angles are positions times these: dims / 2 of them, at most SINQ_MAX_ROPE_PAIRS. `length` as above. Thread safe. */
void sinq_rope_frequencies(const struct sinq_rope *rope, uint64_t length, double *frequencies);

/* Cosines and sines of one position: dims / 2 of each. `length` as above. Thread safe. */
void sinq_rope_rotation(const struct sinq_rope *rope, uint64_t position, uint64_t length, float *cosines, float *sines);

/* Whether keys that were turned when the sequence had `before` positions are of no use once it has `after` (longrope, crossing). */
bool sinq_rope_switches(const struct sinq_rope *rope, uint64_t before, uint64_t after);

void sinq_rope_free(struct sinq_rope *rope);

#endif
