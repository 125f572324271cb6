/*
 * gguf_config.h: what a model is, in GGUF's metadata ("ARCHITECTURE.block_count", ...) and in config.json: one table for both
 * directions (gguf_keys.h). Names of keys: llama.cpp, gguf-py's constants.py.
 */
#ifndef SINQ_MODEL_GGUF_CONFIG_H
#define SINQ_MODEL_GGUF_CONFIG_H

#include "checkpoint/gguf_names.h"
#include "checkpoint/gguf_values.h"
#include "model/config.h"

/* A tensor that GGUF makes of the rope: its name (SINQ_GGUF_ROPE_...) and values. */
struct sinq_gguf_rope {
    const char *name;
    float *factors;
    uint32_t count;
};
#define SINQ_GGUF_MOST_ROPES 3u

/* ---- from config.json to GGUF ---- */

/*
 * Adds the keys of the model's architecture, without "general.*" and "tokenizer.*". What llama.cpp cannot express (another
 * activation, layers that slide otherwise, dynamic ropes, ...) is SINQ_FAILED with the reason; `path` is for messages.
 */
int sinq_make_gguf_config(const char *path, const struct sinq_model_config *config, struct sinq_gguf_values *values,
                          struct sinq_error *error);

/*
 * The rope's tensors, of which there may be none: their number in *count, factors malloc'ed, the caller's to free after a failure
 * too.
 */
int sinq_make_gguf_ropes(const struct sinq_model_config *config, struct sinq_gguf_rope ropes[SINQ_GGUF_MOST_ROPES],
                         uint32_t *count, struct sinq_error *error);

/* ---- from GGUF to config.json ---- */

/* What the tensors say. */
struct sinq_gguf_facts {
    const char *path;    /* for messages */
    uint64_t vocabulary; /* rows of the token embedding; 0: there is none */
    bool has_head, has_attention_bias, has_mlp_bias;
    struct sinq_gguf_rope ropes[SINQ_GGUF_MOST_ROPES]; /* those that are there, borrowed */
    uint32_t rope_count;
};

/* The model_type that config.json gets: static text, or the architecture's name where it is not known; NULL where none is said. */
const char *sinq_find_gguf_model_type(const struct sinq_gguf_values *values, char name[64]);

/*
 * Appends config.json's text. Of an architecture that is not known it has the model_type alone. A key that is missing or of an
 * unfit type is SINQ_FAILED.
 */
int sinq_print_gguf_config(const struct sinq_gguf_values *values, const struct sinq_gguf_facts *facts,
                           struct sinq_text *json, struct sinq_error *error);

#endif
