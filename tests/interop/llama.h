/*
 * llama.h: the few functions of llama.cpp's library that the tests call, found at run time: npm's packages carry it under changing
 * names. Structures that change from version to version are passed as memory larger than any of them; only their first fields, which
 * do not change, are set.
 */
#ifndef SINQ_TESTS_INTEROP_LLAMA_H
#define SINQ_TESTS_INTEROP_LLAMA_H

#include <stdbool.h>
#include <stdint.h>

struct llama_any {
    uint32_t words[256];
};
struct llama_batch_any {
    int32_t n_tokens;
    int32_t *token;
    float *embd;
    int32_t *pos, *n_seq_id, **seq_id;
    int8_t *logits;
};

struct llama {
    void (*llama_log_set)(void (*log)(int level, const char *text, void *user), void *user);
    void (*llama_backend_init)(void);
    struct llama_any (*llama_model_default_params)(void);
    struct llama_any (*llama_context_default_params)(void);
    void *(*llama_model_load_from_file)(const char *path, struct llama_any params);
    void (*llama_model_free)(void *model);
    const void *(*llama_model_get_vocab)(const void *model);
    int32_t (*llama_model_n_ctx_train)(const void *model);
    int32_t (*llama_vocab_n_tokens)(const void *vocab);
    int32_t (*llama_tokenize)(const void *vocab, const char *text, int32_t size, int32_t *tokens, int32_t most,
                              bool add_special, bool parse_special);
    void *(*llama_init_from_model)(void *model, struct llama_any params);
    void (*llama_free)(void *context);
    void (*llama_set_n_threads)(void *context, int32_t decode, int32_t batch);
    void *(*llama_get_memory)(const void *context);
    void (*llama_memory_clear)(void *memory, bool data);
    struct llama_batch_any (*llama_batch_init)(int32_t n_tokens, int32_t embd, int32_t n_seq_max);
    void (*llama_batch_free)(struct llama_batch_any batch);
    int32_t (*llama_decode)(void *context, struct llama_batch_any batch);
    float *(*llama_get_logits_ith)(void *context, int32_t index);
};

/* Loads the libraries of a folder; exits with a message where that fails. */
struct llama llama_open(const char *folder);

#endif
