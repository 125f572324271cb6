#include "eval/shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SINQ_SHAPES, in its order. 100m, 134m and 4b are the shapes that docs/speed.md compares with llama.cpp. */
static const struct sinq_shape shapes[] = {
    {"tiny", "llama", 256, 512, 2, 4, 2, 64, 1024, false, 0, 0, 0},
    {"tiny-experts", "qwen3_moe", 256, 512, 2, 4, 2, 64, 1024, false, 8, 2, 128},
    {"100m", "llama", 768, 2048, 12, 12, 4, 64, 16384, false, 0, 0, 0},
    {"134m", "llama", 768, 2048, 12, 12, 12, 64, 32000, false, 0, 0, 0},
    {"4b", "qwen3", 2560, 9728, 36, 32, 8, 128, 16384, true, 0, 0, 0},
    {"qwen3-0.6b", "qwen3", 1024, 3072, 28, 16, 8, 128, 151936, true, 0, 0, 0},
    {"qwen3-1.7b", "qwen3", 2048, 6144, 28, 16, 8, 128, 151936, true, 0, 0, 0},
    {"qwen3-4b", "qwen3", 2560, 9728, 36, 32, 8, 128, 151936, true, 0, 0, 0},
    {"qwen3-8b", "qwen3", 4096, 12288, 36, 32, 8, 128, 151936, false, 0, 0, 0},
    {"qwen3-14b", "qwen3", 5120, 17408, 40, 40, 8, 128, 151936, false, 0, 0, 0},
    {"qwen3-32b", "qwen3", 5120, 25600, 64, 64, 8, 128, 151936, false, 0, 0, 0},
    {"qwen3-30b-a3b", "qwen3_moe", 2048, 6144, 48, 32, 4, 128, 151936, false, 128, 8, 768},
    {"llama-1b", "llama", 2048, 8192, 16, 32, 8, 64, 128256, true, 0, 0, 0},
    {"llama-3b", "llama", 3072, 8192, 28, 24, 8, 128, 128256, true, 0, 0, 0},
    {"llama-8b", "llama", 4096, 14336, 32, 32, 8, 128, 128256, false, 0, 0, 0},
    {"gemma3-4b", "gemma3_text", 2560, 10240, 34, 8, 4, 256, 262208, true, 0, 0, 0},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };

const struct sinq_shape *sinq_find_shape(const char *name) {
    for (int i = 0; i < SHAPE_COUNT; i++) {
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    }
    return NULL;
}

/* Keys that a family does not have are not looked at. */
char *sinq_make_shape_config(const struct sinq_shape *shape) {
    enum { SIZE = 2000 };
    char *const text = malloc(SIZE), experts[300] = "";
    if (text == NULL) return NULL;
    if (shape->experts != 0) {
        (void)snprintf(experts, sizeof experts,
                       ", \"num_experts\": %u, \"num_experts_per_tok\": %u, \"moe_intermediate_size\": %u, "
                       "\"norm_topk_prob\": true",
                       shape->experts, shape->chosen, shape->expert_ffn);
    }
    (void)snprintf(
        text, SIZE,
        "{\"model_type\": \"%s\", \"hidden_size\": %u, \"intermediate_size\": %u, \"num_hidden_layers\": %u, "
        "\"num_attention_heads\": %u, \"num_key_value_heads\": %u, \"head_dim\": %u, \"vocab_size\": %u, "
        "\"tie_word_embeddings\": %s, \"max_position_embeddings\": 131072, \"rope_theta\": 1000000.0, "
        "\"sliding_window\": 1024, \"rms_norm_eps\": 1e-6%s}\n",
        shape->family, shape->hidden, shape->ffn, shape->layers, shape->heads, shape->kv_heads, shape->head_dim,
        shape->vocabulary, shape->tied ? "true" : "false", experts);
    return text;
}
