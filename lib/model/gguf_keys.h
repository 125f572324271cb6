/* gguf_keys.h: keys of GGUF's metadata beside those of config.json and where the model's configuration has them: one table an architecture. */
#ifndef SINQ_MODEL_GGUF_KEYS_H
#define SINQ_MODEL_GGUF_KEYS_H

#include "model/config.h"

enum sinq_gguf_kind { SINQ_GGUF_COUNT, SINQ_GGUF_CONTEXT /* a 64-bit count */, SINQ_GGUF_NUMBER, SINQ_GGUF_FLAG };

struct sinq_gguf_key {
    const char *gguf; /* behind "ARCHITECTURE."; NULL ends a table */
    const char *json; /* NULL: for writing alone */
    size_t field;     /* of struct sinq_model_config: uint32_t, uint64_t, float or bool */
    enum sinq_gguf_kind kind;
    bool is_needed; /* when reading */
};

/* Which layers of an architecture slide, as llama.cpp has it built in. */
enum sinq_gguf_sliding {
    SINQ_GGUF_NO_SLIDING,
    SINQ_GGUF_IGNORED_SLIDING, /* the window is written, and llama.cpp passes over it */
    SINQ_GGUF_SLIDING          /* all but each `period`-th */
};

#define SINQ_GGUF_KEY_TABLES 4

struct sinq_gguf_architecture {
    const char *model_type;
    const char *name;
    enum sinq_activation activation;
    enum sinq_gguf_sliding sliding;
    uint32_t period;
    bool is_latent;
    const struct sinq_gguf_key *keys[SINQ_GGUF_KEY_TABLES]; /* NULL ends them */
};

/* NULL where it is not known. */
const struct sinq_gguf_architecture *sinq_find_gguf_architecture(const char *model_type);

#endif
