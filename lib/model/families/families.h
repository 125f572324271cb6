/*
 * families.h: the families that can run. A new one is a file lib/model/families/NAME.c, which defines sinq_graph_of_NAME, and a
 * line here: config.json's model_type and NAME.
 */
#ifndef SINQ_MODEL_FAMILIES_H
#define SINQ_MODEL_FAMILIES_H

#include "model/config.h"

/* clang-format off */
#define SINQ_RUNNABLE_FAMILIES(FAMILY) \
    FAMILY(llama, llama)               \
    FAMILY(mistral, mistral)           \
    FAMILY(mixtral, mixtral)           \
    FAMILY(qwen2, qwen2)               \
    FAMILY(qwen3, qwen3)               \
    FAMILY(qwen3_moe, qwen3_moe)       \
    FAMILY(phi3, phi3)                 \
    FAMILY(gemma2, gemma2)             \
    FAMILY(gemma3, gemma3)             \
    FAMILY(gemma3_text, gemma3)        \
    FAMILY(deepseek_v2, deepseek_v2)   \
    FAMILY(deepseek_v3, deepseek_v3)   \
    FAMILY(kimi_k2, deepseek_v3)       \
    FAMILY(gpt_oss, gpt_oss)           \
    FAMILY(olmo2, olmo2)
/* clang-format on */

#define SINQ_DECLARE_FAMILY(model_type, name) extern const struct sinq_family_graph sinq_graph_of_##name;
SINQ_RUNNABLE_FAMILIES(SINQ_DECLARE_FAMILY)
#undef SINQ_DECLARE_FAMILY

#endif
