/* What tensors are to their models: by the families' tables, and by the rule for what no table knows. */
#include "checkpoint/roles.h"

#include <string.h>

#include "formats.h"
#include "unit.h"

/* Expected marks, besides the role. */
enum {
    LINEAR = 1,
    TRANSPOSED = 2,
    EXPERT = 4, /* of a routed expert or a stack of them */
    SHARED = 8,
    VISION = 16
};

struct role_case {
    const char *model_type, *name;
    enum sinq_dtype dtype;
    uint32_t rank;
    uint64_t shape[4];
    enum sinq_role role;
    int layer, expert;
    int marks;
    const char *reason; /* NULL: the role's name */
};

static struct sinq_tensor make_tensor(const struct role_case *c) {
    struct sinq_tensor tensor = {.name = c->name, .dtype = c->dtype, .rank = c->rank, .scale_tensor = -1};
    memcpy(tensor.shape, c->shape, sizeof c->shape);
    return tensor;
}

static int collect_marks(const struct sinq_tensor_role *role) {
    return role->is_linear * LINEAR + role->is_transposed * TRANSPOSED + role->is_expert * EXPERT +
           role->is_shared_expert * SHARED + role->is_vision * VISION;
}

static void check_case(const struct role_case *c, bool is_known) {
    const struct sinq_tensor tensor = make_tensor(c);
    const struct sinq_tensor_role role = sinq_classify_tensor(c->model_type, &tensor);
    const char *const family = c->model_type != NULL ? c->model_type : "(none)";
    const char *const reason = c->reason != NULL ? c->reason : sinq_role_name(c->role);
    ck_assert_msg(role.role == c->role, "%s %s: role %s, expected %s", family, c->name, sinq_role_name(role.role),
                  sinq_role_name(c->role));
    ck_assert_msg(collect_marks(&role) == c->marks, "%s %s: marks %d, expected %d", family, c->name,
                  collect_marks(&role), c->marks);
    ck_assert_msg(role.layer == c->layer && role.expert == c->expert, "%s %s: layer %d expert %d", family, c->name,
                  role.layer, role.expert);
    ck_assert_msg(strcmp(role.reason, reason) == 0, "%s %s: \"%s\", expected \"%s\"", family, c->name, role.reason,
                  reason);
    ck_assert_msg(role.is_known_family == is_known, "%s %s: known family %d", family, c->name, role.is_known_family);
}

#define W2                                                                                                             \
    2, { 4096, 4096 }
#define V1                                                                                                             \
    1, { 4096 }

/* clang-format off */
static const struct role_case known[] = {
    {"llama", "model.embed_tokens.weight", SINQ_BF16, W2, SINQ_ROLE_EMBEDDING, -1, -1, 0, NULL},
    {"llama", "lm_head.weight", SINQ_BF16, W2, SINQ_ROLE_LM_HEAD, -1, -1, 0, NULL},
    {"llama", "model.norm.weight", SINQ_BF16, V1, SINQ_ROLE_NORM, -1, -1, 0, NULL},
    {"llama", "model.layers.79.self_attn.q_proj.weight", SINQ_BF16, W2, SINQ_ROLE_QUERY, 79, -1, LINEAR, NULL},
    {"llama", "model.layers.0.self_attn.rotary_emb.inv_freq", SINQ_F32, V1, SINQ_ROLE_OTHER, 0, -1, 0, NULL},
    {"llama", "model.layers.0.mlp.gate_proj.weight", SINQ_F16, W2, SINQ_ROLE_GATE, 0, -1, LINEAR, NULL},
    {"llama", "model.layers.0.mlp.up_proj.weight", SINQ_F64, W2, SINQ_ROLE_UP, 0, -1, LINEAR, NULL},
    {"llama", "model.layers.0.mlp.down_proj.weight", SINQ_F8_E4M3, W2, SINQ_ROLE_DOWN, 0, -1, LINEAR, NULL},
    {"llama", "model.layers.0.mlp.down_proj.weight", SINQ_I32, W2, SINQ_ROLE_DOWN, 0, -1, 0, "not a floating-point tensor"},
    {"llama", "model.layers.0.mlp.down_proj.weight", SINQ_DUAL_SCALE, W2, SINQ_ROLE_DOWN, 0, -1, LINEAR, NULL},
    {"llama", "model.layers.0.mlp.up_proj.weight", SINQ_BF16, 2, {3, 5}, SINQ_ROLE_UP, 0, -1, LINEAR, NULL},
    {"llama", "model.layers.0.mlp.up_proj.weight", SINQ_BF16, V1, SINQ_ROLE_UP, 0, -1, 0, "1-D"},
    {"llama", "model.layers.0.mlp.up_proj.weight", SINQ_BF16, 3, {2, 64, 64}, SINQ_ROLE_UP, 0, -1, 0, "3-D and not a stack of experts"},
    {"llama", "model.layers.0.mlp.up_proj.bias", SINQ_BF16, V1, SINQ_ROLE_BIAS, 0, -1, 0, NULL},
    {"llama", "model.layers.0.self_attn.new_proj.weight", SINQ_BF16, W2, SINQ_ROLE_OTHER_LINEAR, 0, -1, LINEAR, NULL},
    {"mistral", "model.layers.3.self_attn.o_proj.weight", SINQ_BF16, W2, SINQ_ROLE_ATTENTION_OUTPUT, 3, -1, LINEAR, NULL},
    {"mixtral", "model.layers.1.block_sparse_moe.gate.weight", SINQ_BF16, 2, {64, 4096}, SINQ_ROLE_ROUTER, 1, -1, 0, NULL},
    {"mixtral", "model.layers.1.block_sparse_moe.experts.7.w1.weight", SINQ_BF16, W2, SINQ_ROLE_GATE, 1, 7, LINEAR | EXPERT, NULL},
    {"mixtral", "model.layers.1.block_sparse_moe.experts.7.w2.weight", SINQ_BF16, W2, SINQ_ROLE_DOWN, 1, 7, LINEAR | EXPERT, NULL},
    {"mixtral", "model.layers.1.block_sparse_moe.experts.7.w3.weight", SINQ_BF16, W2, SINQ_ROLE_UP, 1, 7, LINEAR | EXPERT, NULL},
    {"mixtral", "model.layers.1.mlp.experts.gate_up_proj", SINQ_BF16, 3, {8, 28672, 4096}, SINQ_ROLE_GATE_UP, 1, -1, LINEAR | EXPERT, NULL},
    {"mixtral", "model.layers.1.mlp.experts.down_proj", SINQ_BF16, 3, {8, 4096, 14336}, SINQ_ROLE_DOWN, 1, -1, LINEAR | EXPERT, NULL},
    {"mixtral", "model.layers.1.mlp.gate.weight", SINQ_BF16, 2, {64, 4096}, SINQ_ROLE_ROUTER, 1, -1, 0, NULL},
    {"qwen2", "model.layers.0.self_attn.k_proj.bias", SINQ_BF16, V1, SINQ_ROLE_BIAS, 0, -1, 0, NULL},
    {"qwen2_moe", "model.layers.0.mlp.gate.weight", SINQ_BF16, 2, {60, 2048}, SINQ_ROLE_ROUTER, 0, -1, 0, NULL},
    {"qwen2_moe", "model.layers.0.mlp.experts.59.gate_proj.weight", SINQ_BF16, W2, SINQ_ROLE_GATE, 0, 59, LINEAR | EXPERT, NULL},
    {"qwen2_moe", "model.layers.0.mlp.shared_expert.up_proj.weight", SINQ_BF16, W2, SINQ_ROLE_UP, 0, -1, LINEAR | SHARED, NULL},
    {"qwen2_moe", "model.layers.0.mlp.shared_expert_gate.weight", SINQ_BF16, 2, {1, 2048}, SINQ_ROLE_ROUTER, 0, -1, 0, NULL},
    {"qwen3", "model.layers.0.self_attn.q_norm.weight", SINQ_BF16, V1, SINQ_ROLE_NORM, 0, -1, 0, NULL},
    {"qwen3", "model.layers.0.self_attn.v_proj.weight", SINQ_BF16, W2, SINQ_ROLE_VALUE, 0, -1, LINEAR, NULL},
    {"qwen3_moe", "model.layers.47.mlp.experts.127.down_proj.weight", SINQ_BF16, W2, SINQ_ROLE_DOWN, 47, 127, LINEAR | EXPERT, NULL},
    {"qwen3_moe", "model.layers.47.mlp.experts.gate_up_proj", SINQ_BF16, 3, {128, 1536, 2048}, SINQ_ROLE_GATE_UP, 47, -1, LINEAR | EXPERT, NULL},
    {"qwen3_moe", "model.layers.47.mlp.experts.down_proj", SINQ_BF16, 3, {128, 2048, 768}, SINQ_ROLE_DOWN, 47, -1, LINEAR | EXPERT, NULL},
    {"qwen3_moe", "model.layers.47.mlp.gate.weight", SINQ_BF16, 2, {128, 2048}, SINQ_ROLE_ROUTER, 47, -1, 0, NULL},
    {"olmoe", "model.layers.0.mlp.experts.63.up_proj.weight", SINQ_BF16, W2, SINQ_ROLE_UP, 0, 63, LINEAR | EXPERT, NULL},
    {"phi", "model.layers.0.self_attn.dense.weight", SINQ_F16, W2, SINQ_ROLE_ATTENTION_OUTPUT, 0, -1, LINEAR, NULL},
    {"phi", "model.layers.0.mlp.fc1.weight", SINQ_F16, W2, SINQ_ROLE_UP, 0, -1, LINEAR, NULL},
    {"phi", "model.layers.0.mlp.fc2.bias", SINQ_F16, V1, SINQ_ROLE_BIAS, 0, -1, 0, NULL},
    {"phi", "model.layers.0.self_attn.q_layernorm.bias", SINQ_F16, V1, SINQ_ROLE_NORM, 0, -1, 0, NULL},
    {"phi", "model.final_layernorm.bias", SINQ_F16, V1, SINQ_ROLE_NORM, -1, -1, 0, NULL},
    {"phi", "lm_head.bias", SINQ_F16, V1, SINQ_ROLE_BIAS, -1, -1, 0, NULL},
    {"phi3", "model.layers.0.self_attn.qkv_proj.weight", SINQ_BF16, W2, SINQ_ROLE_QUERY_KEY_VALUE, 0, -1, LINEAR, NULL},
    {"phi3", "model.layers.0.mlp.gate_up_proj.weight", SINQ_BF16, W2, SINQ_ROLE_GATE_UP, 0, -1, LINEAR, NULL},
    {"gemma", "model.layers.17.self_attn.k_proj.weight", SINQ_BF16, W2, SINQ_ROLE_KEY, 17, -1, LINEAR, NULL},
    {"gemma2", "model.layers.0.pre_feedforward_layernorm.weight", SINQ_BF16, V1, SINQ_ROLE_NORM, 0, -1, 0, NULL},
    {"gemma3_text", "model.layers.0.self_attn.q_norm.weight", SINQ_BF16, V1, SINQ_ROLE_NORM, 0, -1, 0, NULL},
    {"gemma3", "language_model.model.layers.5.mlp.gate_proj.weight", SINQ_BF16, W2, SINQ_ROLE_GATE, 5, -1, LINEAR, NULL},
    {"gemma3", "model.language_model.layers.5.mlp.gate_proj.weight", SINQ_BF16, W2, SINQ_ROLE_GATE, 5, -1, LINEAR, NULL},
    {"gemma3", "language_model.model.embed_tokens.weight", SINQ_BF16, W2, SINQ_ROLE_EMBEDDING, -1, -1, 0, NULL},
    {"gemma3", "vision_tower.vision_model.encoder.layers.2.self_attn.q_proj.weight", SINQ_BF16, W2, SINQ_ROLE_QUERY, 2, -1, VISION, "part of a vision or audio tower"},
    {"gemma3", "model.vision_tower.vision_model.encoder.layers.2.mlp.fc1.weight", SINQ_BF16, W2, SINQ_ROLE_OTHER_LINEAR, 2, -1, VISION, "part of a vision or audio tower"},
    {"gemma3", "multi_modal_projector.mm_input_projection_weight", SINQ_BF16, W2, SINQ_ROLE_UNKNOWN, -1, -1, VISION, "part of a vision or audio tower"},
    {"olmo2", "model.layers.0.post_feedforward_layernorm.weight", SINQ_BF16, V1, SINQ_ROLE_NORM, 0, -1, 0, NULL},
    {"deepseek_v2", "model.layers.1.self_attn.q_proj.weight", SINQ_BF16, W2, SINQ_ROLE_QUERY, 1, -1, LINEAR, NULL},
    {"deepseek_v3", "model.layers.1.self_attn.q_a_proj.weight", SINQ_F8_E4M3, W2, SINQ_ROLE_QUERY_A, 1, -1, LINEAR, NULL},
    {"deepseek_v3", "model.layers.1.self_attn.q_a_layernorm.weight", SINQ_BF16, V1, SINQ_ROLE_NORM, 1, -1, 0, NULL},
    {"deepseek_v3", "model.layers.1.self_attn.q_b_proj.weight", SINQ_F8_E4M3, W2, SINQ_ROLE_QUERY_B, 1, -1, LINEAR, NULL},
    {"deepseek_v3", "model.layers.1.self_attn.kv_a_proj_with_mqa.weight", SINQ_F8_E4M3, W2, SINQ_ROLE_KEY_VALUE_A, 1, -1, LINEAR, NULL},
    {"deepseek_v3", "model.layers.1.self_attn.kv_b_proj.weight", SINQ_F8_E4M3, W2, SINQ_ROLE_KEY_VALUE_B, 1, -1, LINEAR, NULL},
    {"deepseek_v3", "model.layers.3.mlp.gate.weight", SINQ_BF16, 2, {256, 7168}, SINQ_ROLE_ROUTER, 3, -1, 0, NULL},
    {"deepseek_v3", "model.layers.3.mlp.gate.e_score_correction_bias", SINQ_F32, V1, SINQ_ROLE_BIAS, 3, -1, 0, NULL},
    {"deepseek_v3", "model.layers.3.mlp.shared_experts.down_proj.weight", SINQ_F8_E4M3, W2, SINQ_ROLE_DOWN, 3, -1, LINEAR | SHARED, NULL},
    {"deepseek_v3", "model.layers.3.mlp.experts.255.up_proj.weight", SINQ_F8_E4M3, W2, SINQ_ROLE_UP, 3, 255, LINEAR | EXPERT, NULL},
    {"deepseek_v3", "model.layers.61.eh_proj.weight", SINQ_BF16, W2, SINQ_ROLE_OTHER_LINEAR, 61, -1, LINEAR, NULL},
    {"deepseek_v3", "model.layers.61.shared_head.head.weight", SINQ_BF16, W2, SINQ_ROLE_LM_HEAD, 61, -1, 0, NULL},
    {"kimi_k2", "model.layers.3.mlp.experts.383.gate_proj.weight", SINQ_BF16, W2, SINQ_ROLE_GATE, 3, 383, LINEAR | EXPERT, NULL},
    {"gpt_oss", "model.layers.0.self_attn.sinks", SINQ_BF16, V1, SINQ_ROLE_OTHER, 0, -1, 0, NULL},
    {"gpt_oss", "model.layers.0.mlp.router.weight", SINQ_BF16, 2, {32, 2880}, SINQ_ROLE_ROUTER, 0, -1, 0, NULL},
    {"gpt_oss", "model.layers.0.mlp.router.bias", SINQ_BF16, V1, SINQ_ROLE_BIAS, 0, -1, 0, NULL},
    {"gpt_oss", "model.layers.0.mlp.experts.gate_up_proj", SINQ_BF16, 3, {32, 2880, 5760}, SINQ_ROLE_GATE_UP, 0, -1, LINEAR | EXPERT | TRANSPOSED, NULL},
    {"gpt_oss", "model.layers.0.mlp.experts.down_proj", SINQ_BF16, 3, {32, 2880, 2880}, SINQ_ROLE_DOWN, 0, -1, LINEAR | EXPERT | TRANSPOSED, NULL},
    {"gpt_oss", "model.layers.0.mlp.experts.gate_up_proj_bias", SINQ_BF16, 2, {32, 5760}, SINQ_ROLE_BIAS, 0, -1, EXPERT, NULL},
    {"gpt_oss", "model.layers.0.mlp.experts.gate_up_proj_blocks", SINQ_U8, 4, {32, 5760, 90, 16}, SINQ_ROLE_UNKNOWN, 0, -1, EXPERT, "MXFP4 codes, quantized already"},
    {"gpt_oss", "model.layers.0.mlp.experts.gate_up_proj_scales", SINQ_U8, 3, {32, 5760, 90}, SINQ_ROLE_UNKNOWN, 0, -1, EXPERT, "MXFP4 scales, quantized already"},
    {"llama4", "language_model.model.layers.1.feed_forward.experts.gate_up_proj", SINQ_BF16, 3, {16, 5120, 16384}, SINQ_ROLE_GATE_UP, 1, -1, LINEAR | EXPERT | TRANSPOSED, NULL},
    {"llama4", "language_model.model.layers.1.feed_forward.shared_expert.gate_proj.weight", SINQ_BF16, W2, SINQ_ROLE_GATE, 1, -1, LINEAR | SHARED, NULL},
    {"llama4", "vision_model.model.layers.0.mlp.fc1.weight", SINQ_BF16, W2, SINQ_ROLE_OTHER_LINEAR, 0, -1, VISION, "part of a vision or audio tower"},
    {"gpt2", "h.0.attn.c_attn.weight", SINQ_F32, 2, {768, 2304}, SINQ_ROLE_QUERY_KEY_VALUE, 0, -1, LINEAR | TRANSPOSED, NULL},
    {"gpt2", "transformer.h.11.attn.c_proj.weight", SINQ_F32, 2, {768, 768}, SINQ_ROLE_ATTENTION_OUTPUT, 11, -1, LINEAR | TRANSPOSED, NULL},
    {"gpt2", "h.0.mlp.c_fc.weight", SINQ_F32, 2, {768, 3072}, SINQ_ROLE_UP, 0, -1, LINEAR | TRANSPOSED, NULL},
    {"gpt2", "h.0.mlp.c_proj.weight", SINQ_F32, 2, {3072, 768}, SINQ_ROLE_DOWN, 0, -1, LINEAR | TRANSPOSED, NULL},
    {"gpt2", "h.0.mlp.c_proj.bias", SINQ_F32, V1, SINQ_ROLE_BIAS, 0, -1, 0, NULL},
    {"gpt2", "h.0.attn.bias", SINQ_F32, 4, {1, 1, 1024, 1024}, SINQ_ROLE_OTHER, 0, -1, 0, NULL},
    {"gpt2", "h.0.ln_1.bias", SINQ_F32, V1, SINQ_ROLE_NORM, 0, -1, 0, NULL},
    {"gpt2", "transformer.ln_f.weight", SINQ_F32, V1, SINQ_ROLE_NORM, -1, -1, 0, NULL},
    {"gpt2", "wte.weight", SINQ_F32, W2, SINQ_ROLE_EMBEDDING, -1, -1, 0, NULL},
    {"gpt2", "wpe.weight", SINQ_F32, W2, SINQ_ROLE_POSITION_EMBEDDING, -1, -1, 0, NULL},
    {"gpt_neo", "transformer.h.0.attn.attention.q_proj.weight", SINQ_F32, W2, SINQ_ROLE_QUERY, 0, -1, LINEAR, NULL},
    {"gpt_neo", "transformer.h.0.mlp.c_fc.weight", SINQ_F32, W2, SINQ_ROLE_UP, 0, -1, LINEAR, NULL},
    {"gpt_neox", "gpt_neox.layers.0.attention.query_key_value.weight", SINQ_F16, W2, SINQ_ROLE_QUERY_KEY_VALUE, 0, -1, LINEAR, NULL},
    {"gpt_neox", "gpt_neox.layers.0.attention.bias", SINQ_BOOL, 4, {1, 1, 2048, 2048}, SINQ_ROLE_OTHER, 0, -1, 0, "not a floating-point tensor"},
    {"gpt_neox", "gpt_neox.embed_in.weight", SINQ_F16, W2, SINQ_ROLE_EMBEDDING, -1, -1, 0, NULL},
    {"gpt_neox", "embed_out.weight", SINQ_F16, W2, SINQ_ROLE_LM_HEAD, -1, -1, 0, NULL},
    {"opt", "model.decoder.embed_positions.weight", SINQ_F16, W2, SINQ_ROLE_POSITION_EMBEDDING, -1, -1, 0, NULL},
    {"opt", "model.decoder.layers.0.self_attn.out_proj.weight", SINQ_F16, W2, SINQ_ROLE_ATTENTION_OUTPUT, 0, -1, LINEAR, NULL},
    {"opt", "decoder.layers.0.fc1.weight", SINQ_F16, W2, SINQ_ROLE_UP, 0, -1, LINEAR, NULL},
    {"opt", "model.decoder.layers.0.self_attn_layer_norm.bias", SINQ_F16, V1, SINQ_ROLE_NORM, 0, -1, 0, NULL},
    {"opt", "model.decoder.project_in.weight", SINQ_F16, W2, SINQ_ROLE_OTHER_LINEAR, -1, -1, LINEAR, NULL},
    {"starcoder2", "model.layers.0.mlp.c_fc.weight", SINQ_BF16, W2, SINQ_ROLE_UP, 0, -1, LINEAR, NULL},
};

static const struct role_case unknown[] = {
    {NULL, "model.layers.4.self_attn.q_proj.weight", SINQ_BF16, W2, SINQ_ROLE_QUERY, 4, -1, LINEAR, NULL},
    {"made_up", "blocks.4.mixer.weight", SINQ_BF16, 2, {32, 32}, SINQ_ROLE_OTHER_LINEAR, 4, -1, LINEAR, NULL},
    {"made_up", "blocks.4.mixer.weight", SINQ_BF16, 2, {31, 4096}, SINQ_ROLE_UNKNOWN, 4, -1, 0, "fewer than 32 rows"},
    {"made_up", "blocks.4.mixer.weight", SINQ_BF16, 2, {4096, 31}, SINQ_ROLE_UNKNOWN, 4, -1, 0, "fewer than 32 columns"},
    {"made_up", "blocks.4.mixer.kernel", SINQ_BF16, W2, SINQ_ROLE_UNKNOWN, 4, -1, 0, "not named as a weight"},
    {"made_up", "blocks.4.mixer.weight", SINQ_BF16, V1, SINQ_ROLE_UNKNOWN, 4, -1, 0, "1-D"},
    {"made_up", "blocks.4.mixer.weight", SINQ_BF16, 0, {0}, SINQ_ROLE_UNKNOWN, 4, -1, 0, "a single value"},
    {"made_up", "blocks.4.mixer.weight", SINQ_BF16, 3, {8, 64, 64}, SINQ_ROLE_UNKNOWN, 4, -1, 0, "3-D and not named as experts"},
    {"made_up", "blocks.4.mixer.weight", SINQ_BF16, 4, {8, 64, 64, 2}, SINQ_ROLE_UNKNOWN, 4, -1, 0, "more than 3 dimensions"},
    {"made_up", "blocks.4.mixer.weight", SINQ_U8, W2, SINQ_ROLE_UNKNOWN, 4, -1, 0, "not a floating-point tensor"},
    {"made_up", "blocks.4.experts.up", SINQ_BF16, 3, {8, 64, 64}, SINQ_ROLE_OTHER_LINEAR, 4, -1, LINEAR | EXPERT, NULL},
    {"made_up", "blocks.4.experts.9.gate.weight", SINQ_BF16, W2, SINQ_ROLE_OTHER_LINEAR, 4, 9, LINEAR | EXPERT, NULL},
    {"made_up", "blocks.4.experts.up_bias", SINQ_BF16, W2, SINQ_ROLE_BIAS, 4, -1, EXPERT, NULL},
    {"made_up", "blocks.4.moe.gate.weight", SINQ_BF16, W2, SINQ_ROLE_ROUTER, 4, -1, 0, NULL},
    {"made_up", "blocks.4.moe.router.layer.weight", SINQ_BF16, W2, SINQ_ROLE_ROUTER, 4, -1, 0, NULL},
    {"made_up", "blocks.4.moe.shared_expert_gate.weight", SINQ_BF16, W2, SINQ_ROLE_ROUTER, 4, -1, SHARED, NULL},
    {"made_up", "word_embeddings.weight", SINQ_BF16, W2, SINQ_ROLE_EMBEDDING, -1, -1, 0, NULL},
    {"made_up", "transformer.wte.weight", SINQ_BF16, W2, SINQ_ROLE_EMBEDDING, -1, -1, 0, NULL},
    {"made_up", "transformer.wpe.weight", SINQ_BF16, W2, SINQ_ROLE_POSITION_EMBEDDING, -1, -1, 0, NULL},
    {"made_up", "blocks.4.big_norm.weight", SINQ_BF16, W2, SINQ_ROLE_NORM, 4, -1, 0, NULL},
    {"made_up", "blocks.4.conv1d.weight", SINQ_BF16, W2, SINQ_ROLE_CONVOLUTION, 4, -1, 0, NULL},
    {"made_up", "blocks.4.relative_attention_bias.weight", SINQ_BF16, W2, SINQ_ROLE_BIAS, 4, -1, 0, NULL},
    {"made_up", "lm_head.weight", SINQ_BF16, W2, SINQ_ROLE_LM_HEAD, -1, -1, 0, NULL},
    {"made_up", "model.visual.blocks.0.attn.qkv.weight", SINQ_BF16, W2, SINQ_ROLE_OTHER_LINEAR, 0, -1, VISION, "part of a vision or audio tower"},
    {"made_up", "", SINQ_BF16, W2, SINQ_ROLE_UNKNOWN, -1, -1, 0, "not named as a weight"},
    {"llama mistral", "model.layers.999999999.mlp.up_proj.weight", SINQ_BF16, W2, SINQ_ROLE_UP, -1, -1, LINEAR, NULL},
};
/* clang-format on */

START_TEST(known_families_follow_their_tables) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) check_case(&known[i], true);
}
END_TEST

START_TEST(unknown_families_follow_the_rule) {
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) check_case(&unknown[i], false);
}
END_TEST

START_TEST(block_scales_are_named_as_such) {
    const struct sinq_tensor tensor = {.name = "model.layers.0.mlp.up_proj.weight_scale_inv",
                                       .dtype = SINQ_F32,
                                       .rank = 2,
                                       .shape = {56, 112},
                                       .scale_tensor = -1,
                                       .is_block_scale = true};
    const struct sinq_tensor_role role = sinq_classify_tensor("deepseek_v3", &tensor);
    ck_assert(!role.is_linear);
    ck_assert_str_eq(role.reason, "block scale of an FP8 tensor");
}
END_TEST

/* ---- every tensor of the little checkpoints that transformers wrote ---- */

struct ending {
    const char *suffix;
    enum sinq_role role;
    bool is_linear;
};

/* Longer endings first where one ends in another. */
static const struct ending endings[] = {
    {"q_norm.weight", SINQ_ROLE_NORM, false},
    {"k_norm.weight", SINQ_ROLE_NORM, false},
    {"layernorm.weight", SINQ_ROLE_NORM, false},
    {"model.norm.weight", SINQ_ROLE_NORM, false},
    {"embed_tokens.weight", SINQ_ROLE_EMBEDDING, false},
    {"lm_head.weight", SINQ_ROLE_LM_HEAD, false},
    {"proj.bias", SINQ_ROLE_BIAS, false},
    {"mlp.gate.weight", SINQ_ROLE_ROUTER, false},
    {"block_sparse_moe.gate.weight", SINQ_ROLE_ROUTER, false},
    {"qkv_proj.weight", SINQ_ROLE_QUERY_KEY_VALUE, true},
    {"q_proj.weight", SINQ_ROLE_QUERY, true},
    {"k_proj.weight", SINQ_ROLE_KEY, true},
    {"v_proj.weight", SINQ_ROLE_VALUE, true},
    {"o_proj.weight", SINQ_ROLE_ATTENTION_OUTPUT, true},
    {"kv_a_proj_with_mqa.weight", SINQ_ROLE_KEY_VALUE_A, true},
    {"kv_b_proj.weight", SINQ_ROLE_KEY_VALUE_B, true},
    {"gate_up_proj.weight", SINQ_ROLE_GATE_UP, true},
    {"gate_proj.weight", SINQ_ROLE_GATE, true},
    {"up_proj.weight", SINQ_ROLE_UP, true},
    {"down_proj.weight", SINQ_ROLE_DOWN, true},
    {"w1.weight", SINQ_ROLE_GATE, true},
    {"w2.weight", SINQ_ROLE_DOWN, true},
    {"w3.weight", SINQ_ROLE_UP, true},
};

static const struct ending *find_ending(const char *name) {
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const size_t size = strlen(name), suffix = strlen(endings[i].suffix);
        if (size >= suffix && strcmp(name + size - suffix, endings[i].suffix) == 0) return &endings[i];
    }
    return NULL;
}

static void check_checkpoint(const char *path, const char *model_type, size_t expected_linear) {
    struct sinq_source *source = NULL;
    struct sinq_error error = {0};
    ck_assert_msg(sinq_open_checkpoint(path, &source, &error) == SINQ_OK, "%s: %s", path, error.message);
    size_t linear = 0;
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        const struct ending *const ending = find_ending(tensor->name);
        const struct sinq_tensor_role role = sinq_classify_tensor(model_type, tensor);
        ck_assert_msg(ending != NULL, "%s: a tensor this test does not know: %s", path, tensor->name);
        ck_assert_msg(role.role == ending->role, "%s: %s: %s", path, tensor->name, sinq_role_name(role.role));
        ck_assert_msg(role.is_linear == ending->is_linear, "%s: %s: linear %d", path, tensor->name, role.is_linear);
        ck_assert_msg(role.is_known_family && !role.is_transposed && !role.is_vision, "%s: %s", path, tensor->name);
        ck_assert_msg(role.is_expert == (strstr(tensor->name, ".experts.") != NULL), "%s: %s", path, tensor->name);
        ck_assert_msg((role.layer >= 0) == (strstr(tensor->name, "layers.") != NULL), "%s: %s", path, tensor->name);
        linear += role.is_linear;
    }
    ck_assert_msg(linear == expected_linear, "%s: %zu linear layers, expected %zu", path, linear, expected_linear);
    sinq_source_close(source);
}

START_TEST(published_names_are_all_known) {
    static const struct {
        const char *file, *model_type;
        size_t linear;
    } cases[] = {
        {"golden/arch/deepseek_v2/model.safetensors", "deepseek_v2", 4 + 3 + 4 + 12 + 3},
        {"golden/arch/gemma3_text/model.safetensors", "gemma3_text", 6 * 7},
        {"golden/arch/llama/model.safetensors", "llama", 2 * 7},
        {"golden/arch/llama3_rope/model.safetensors", "llama", 2 * 7},
        {"golden/arch/mistral/model.safetensors", "mistral", 2 * 7},
        {"golden/arch/mixtral/model.safetensors", "mixtral", 2 * (4 + 12)},
        {"golden/arch/phi3/model.safetensors", "phi3", 2 * 4},
        {"golden/arch/qwen2/model.safetensors", "qwen2", 2 * 7},
        {"golden/arch/qwen3/model.safetensors", "qwen3", 2 * 7},
        {"golden/arch/qwen3_moe/model.safetensors", "qwen3_moe", 2 * (4 + 24)},
        {"golden/arch/qwen3_yarn/model.safetensors", "qwen3", 2 * 7},
        {"models/classics-45m/model.safetensors", "qwen3", 12 * 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *const path = find_shared(cases[i].file);
        if (path == NULL) continue;
        check_checkpoint(path, cases[i].model_type, cases[i].linear);
        free(path);
    }
}
END_TEST

UNIT_MAIN("roles", known_families_follow_their_tables, unknown_families_follow_the_rule, block_scales_are_named_as_such,
          published_names_are_all_known)
