/*
 * gguf_config.h: what a model is, in GGUF's metadata ("ARCHITECTURE.block_count", ...) and in config.json: one table for both
 * directions. Names of keys: llama.cpp, gguf-py's constants.py.
 */
#ifndef SINQ_MODEL_GGUF_CONFIG_H
#define SINQ_MODEL_GGUF_CONFIG_H

#include "checkpoint/gguf_names.h"
#include "checkpoint/gguf_values.h"
#include "model/config.h"

/* ---- from config.json to GGUF ---- */

/*
 * Adds the keys of the model's architecture, without "general.*" and "tokenizer.*". `model_type` is config.json's. What llama.cpp
 * cannot express (another activation, layers that slide otherwise, dynamic ropes, ...) is SINQ_FAILED with the reason.
 */
int sinq_make_gguf_config(const struct sinq_model_config *config, struct sinq_gguf_values *values,
                          struct sinq_error *error);

/* Tensors that GGUF makes of the rope: their names (SINQ_GGUF_ROPE_...) and values, malloc'ed. At most two. */
struct sinq_gguf_rope {
    const char *name;
    float *factors;
    uint32_t count;
};
#define SINQ_GGUF_MOST_ROPES 2u
/* How many there are in *count. The caller frees their factors, after a failure too. */
int sinq_make_gguf_ropes(const struct sinq_model_config *config, struct sinq_gguf_rope ropes[SINQ_GGUF_MOST_ROPES],
                         uint32_t *count, struct sinq_error *error);

/* ---- from GGUF to config.json ---- */

/* What the tensors say. */
struct sinq_gguf_facts {
    const char *path;    /* for messages */
    uint64_t vocabulary; /* rows of the token embedding; 0: there is none */
    bool has_head, has_attention_bias, has_mlp_bias;
    bool has_choice_bias;                                  /* of experts (exp_probs_b) */
    struct sinq_gguf_rope ropes[SINQ_GGUF_MOST_ROPES + 1]; /* those tensors that are there */
    uint32_t rope_count;
};

/*
 * Appends config.json's text. Of an architecture that is not known it has the model_type alone, the architecture's name. A key that
 * is missing or of an unfit type is SINQ_FAILED.
 */
int sinq_print_gguf_config(const struct sinq_gguf_values *values, const struct sinq_gguf_facts *facts,
                           struct sinq_text *json, struct sinq_error *error);

/* The family whose names a file of these values has, or NULL: sinq_find_gguf_family of the model_type that config.json gets. */
const struct sinq_gguf_family *sinq_find_gguf_model(const struct sinq_gguf_values *values, bool has_choice_bias,
                                                    const char **model_type);

#endif
