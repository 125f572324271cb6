/* test_graph.c: the graphs of all families: sound in themselves, and fitting the tensors of the golden checkpoints. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "formats.h"
#include "graph_check.h"
#include "unit.h"

#define EVERYTHING UINT64_MAX

/* ---- graphs of made-up configurations ---- */

struct built {
    struct sinq_model_config config;
    struct sinq_graph *graph;
};

static void build(struct built *built, const char *name, const char *text, sinq_has_tensor_fn *has_tensor,
                  const void *user) {
    struct sinq_error error = {0};
    ck_assert_msg(sinq_read_model_config(name, text, &built->config, &error) == SINQ_OK, "%s", error.message);
    built->graph = sinq_graph_create(&built->config, has_tensor, user);
    ck_assert_ptr_nonnull(built->graph);
    built->config.family->build(built->graph, &built->config);
    ck_assert_msg(sinq_graph_finish(built->graph, &error) == SINQ_OK, "%s: %s", name, error.message);
}

static void free_built(struct built *built) {
    sinq_graph_free(built->graph);
    sinq_model_config_free(&built->config);
}

static void check_sound(const char *name, const struct built *built) {
    uint32_t operation = 0;
    const char *const fault = find_graph_fault(built->graph, EVERYTHING, &operation);
    ck_assert_msg(fault == NULL, "%s: operation %u of kind %d: %s", name, operation,
                  built->graph->operations[operation].kind, fault);
    ck_assert_uint_eq(built->graph->cache_count, built->config.layers);
}

#define SIZES                                                                                                          \
    "\"hidden_size\":48,\"num_hidden_layers\":6,\"num_attention_heads\":6,\"num_key_value_heads\":2,"                  \
    "\"intermediate_size\":80,\"vocab_size\":100"

#define LATENT                                                                                                         \
    "\"kv_lora_rank\":24,\"qk_nope_head_dim\":10,\"qk_rope_head_dim\":8,\"v_head_dim\":12,\"n_routed_experts\":8,"     \
    "\"num_experts_per_tok\":3,\"moe_intermediate_size\":20,\"first_k_dense_replace\":1,\"n_group\":2,\"topk_group\":" \
    "1"

static const struct {
    const char *name, *text;
} models[] = {
    {"llama", "{\"model_type\":\"llama\"," SIZES "}"},
    {"llama with biases, wide heads", "{\"model_type\":\"llama\"," SIZES ",\"attention_bias\":true,\"mlp_bias\":true,"
                                      "\"head_dim\":32,\"tie_word_embeddings\":true}"},
    {"mistral", "{\"model_type\":\"mistral\"," SIZES "}"},
    {"mixtral", "{\"model_type\":\"mixtral\"," SIZES "}"},
    {"qwen2", "{\"model_type\":\"qwen2\"," SIZES "}"},
    {"qwen3", "{\"model_type\":\"qwen3\"," SIZES "}"},
    {"qwen3_moe", "{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_experts\":9,\"num_experts_per_tok\":4,"
                  "\"moe_intermediate_size\":20,\"decoder_sparse_step\":2}"},
    {"qwen3_moe with narrow experts", "{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_experts\":9,"
                                      "\"num_experts_per_tok\":4,\"moe_intermediate_size\":3}"},
    {"phi3", "{\"model_type\":\"phi3\"," SIZES ",\"partial_rotary_factor\":0.5}"},
    {"gemma2", "{\"model_type\":\"gemma2\"," SIZES ",\"head_dim\":16}"},
    {"gemma3", "{\"model_type\":\"gemma3_text\"," SIZES ",\"head_dim\":4}"},
    {"deepseek_v2", "{\"model_type\":\"deepseek_v2\"," SIZES "," LATENT ",\"q_lora_rank\":null,"
                    "\"topk_method\":\"group_limited_greedy\",\"mlp_bias\":true,\"attention_bias\":true}"},
    {"deepseek_v3", "{\"model_type\":\"deepseek_v3\"," SIZES "," LATENT ",\"q_lora_rank\":14,\"n_shared_experts\":9}"},
    {"deepseek_v3 without shared experts", "{\"model_type\":\"deepseek_v3\"," SIZES "," LATENT ",\"q_lora_rank\":14,"
                                           "\"n_shared_experts\":null}"},
    {"deepseek_v2 without experts", "{\"model_type\":\"deepseek_v2\"," SIZES ",\"n_routed_experts\":null,"
                                    "\"kv_lora_rank\":24,\"q_lora_rank\":null}"},
    {"gpt_oss", "{\"model_type\":\"gpt_oss\"," SIZES ",\"num_local_experts\":5,\"num_experts_per_tok\":2}"},
    {"olmo2", "{\"model_type\":\"olmo2\"," SIZES "}"},
};

static bool has_stacks(const void *user, const char *name) {
    (void)user;
    return strstr(name, "mlp.experts.gate_up_proj") != NULL && strstr(name, ".weight") == NULL;
}

static bool has_named_stacks(const void *user, const char *name) {
    (void)user;
    return strstr(name, "mlp.experts.gate_up_proj.weight") != NULL || strstr(name, "experts.down_proj.weight") != NULL;
}

START_TEST(graphs_are_sound) {
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct built built;
        build(&built, models[i].name, models[i].text, NULL, NULL);
        check_sound(models[i].name, &built);
        free_built(&built);
        build(&built, models[i].name, models[i].text, has_stacks, NULL);
        check_sound(models[i].name, &built);
        free_built(&built);
    }
}
END_TEST

/* ---- wants ---- */

static const struct sinq_want *find_want(const struct sinq_graph *graph, const char *name, int64_t expert) {
    char wanted[200];
    const struct sinq_want *found = NULL;
    for (uint32_t i = 0; i < graph->want_count; i++) {
        snprintf(wanted, sizeof wanted, "%s%s", graph->wants[i].module, graph->wants[i].suffix);
        if (strcmp(wanted, name) != 0 || graph->wants[i].expert != expert) continue;
        ck_assert_msg(found == NULL, "%s is wanted twice", name);
        found = &graph->wants[i];
    }
    return found;
}

static const struct {
    const char *model, *name;
    sinq_has_tensor_fn *has_tensor;
    int64_t expert;
    uint64_t rows, cols, experts;
    bool is_vector;
    float plus;
} wanted[] = {
    {"llama", "embed_tokens.weight", NULL, -1, 100, 48, 0, false, 0},
    {"llama", "lm_head.weight", NULL, -1, 100, 48, 0, false, 0},
    {"llama", "norm.weight", NULL, -1, 1, 48, 0, true, 0},
    {"llama", "layers.5.self_attn.k_proj.weight", NULL, -1, 16, 48, 0, false, 0},
    {"llama with biases, wide heads", "layers.0.self_attn.q_proj.weight", NULL, -1, 192, 48, 0, false, 0},
    {"llama with biases, wide heads", "layers.0.self_attn.o_proj.weight", NULL, -1, 48, 192, 0, false, 0},
    {"llama with biases, wide heads", "layers.0.self_attn.o_proj.bias", NULL, -1, 1, 48, 0, true, 0},
    {"llama with biases, wide heads", "layers.0.mlp.up_proj.bias", NULL, -1, 1, 80, 0, true, 0},
    {"qwen2", "layers.1.self_attn.v_proj.bias", NULL, -1, 1, 16, 0, true, 0},
    {"qwen3", "layers.1.self_attn.q_norm.weight", NULL, -1, 1, 128, 0, true, 0},
    {"olmo2", "layers.1.self_attn.q_norm.weight", NULL, -1, 1, 48, 0, true, 0},
    {"olmo2", "layers.1.self_attn.k_norm.weight", NULL, -1, 1, 16, 0, true, 0},
    {"phi3", "layers.2.self_attn.qkv_proj.weight", NULL, -1, 80, 48, 0, false, 0},
    {"phi3", "layers.2.mlp.gate_up_proj.weight", NULL, -1, 160, 48, 0, false, 0},
    {"gemma2", "layers.3.pre_feedforward_layernorm.weight", NULL, -1, 1, 48, 0, true, 1},
    {"gemma3", "layers.3.self_attn.k_norm.weight", NULL, -1, 1, 4, 0, true, 1},
    {"gemma3", "norm.weight", NULL, -1, 1, 48, 0, true, 1},
    {"mixtral", "layers.4.block_sparse_moe.gate.weight", NULL, -1, 8, 48, 0, false, 0},
    {"mixtral", "layers.4.block_sparse_moe.experts.7.w2.weight", NULL, -1, 48, 80, 0, false, 0},
    {"mixtral", "layers.4.mlp.gate.weight", has_stacks, -1, 8, 48, 0, false, 0},
    {"mixtral", "layers.4.mlp.experts.gate_up_proj", has_stacks, 7, 160, 48, 8, false, 0},
    {"mixtral", "layers.4.mlp.experts.down_proj", has_stacks, 7, 48, 80, 8, false, 0},
    {"mixtral", "layers.4.mlp.experts.down_proj.weight", has_named_stacks, 0, 48, 80, 8, false, 0},
    {"qwen3_moe", "layers.0.mlp.down_proj.weight", NULL, -1, 48, 80, 0, false, 0},
    {"qwen3_moe", "layers.1.mlp.experts.8.up_proj.weight", NULL, -1, 20, 48, 0, false, 0},
    {"deepseek_v2", "layers.0.self_attn.q_proj.weight", NULL, -1, 108, 48, 0, false, 0},
    {"deepseek_v2", "layers.0.self_attn.kv_a_proj_with_mqa.weight", NULL, -1, 32, 48, 0, false, 0},
    {"deepseek_v2", "layers.0.self_attn.kv_a_proj_with_mqa.bias", NULL, -1, 1, 32, 0, true, 0},
    {"deepseek_v2", "layers.0.self_attn.kv_b_proj.weight", NULL, -1, 132, 24, 0, false, 0},
    {"deepseek_v2", "layers.0.self_attn.o_proj.weight", NULL, -1, 48, 72, 0, false, 0},
    {"deepseek_v3", "layers.0.self_attn.q_a_layernorm.weight", NULL, -1, 1, 14, 0, true, 0},
    {"deepseek_v3", "layers.0.self_attn.q_b_proj.weight", NULL, -1, 108, 14, 0, false, 0},
    {"deepseek_v3", "layers.0.mlp.gate_proj.weight", NULL, -1, 80, 48, 0, false, 0},
    {"deepseek_v3", "layers.1.mlp.gate.e_score_correction_bias", NULL, -1, 1, 8, 0, true, 0},
    {"deepseek_v3", "layers.1.mlp.shared_experts.down_proj.weight", NULL, -1, 48, 180, 0, false, 0},
    {"gpt_oss", "layers.1.self_attn.sinks", NULL, -1, 1, 6, 0, true, 0},
    {"gpt_oss", "layers.1.mlp.router.bias", NULL, -1, 1, 5, 0, true, 0},
    {"gpt_oss", "layers.1.mlp.experts.gate_up_proj", NULL, 4, 160, 48, 5, false, 0},
    {"gpt_oss", "layers.1.mlp.experts.gate_up_proj_bias", NULL, 4, 1, 160, 5, true, 0},
    {"gpt_oss", "layers.1.mlp.experts.down_proj_bias", NULL, 0, 1, 48, 5, true, 0},
};

static const char *find_model(const char *name) {
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (strcmp(models[i].name, name) == 0) return models[i].text;
    }
    ck_abort_msg("no model %s", name);
}

START_TEST(weights_are_wanted_by_name_and_shape) {
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct built built;
        build(&built, wanted[i].model, find_model(wanted[i].model), wanted[i].has_tensor, NULL);
        const struct sinq_want *const want = find_want(built.graph, wanted[i].name, wanted[i].expert);
        ck_assert_msg(want != NULL, "%s does not want %s", wanted[i].model, wanted[i].name);
        ck_assert_msg(want->rows == wanted[i].rows && want->cols == wanted[i].cols, "%s: %s is wanted as %llux%llu",
                      wanted[i].model, wanted[i].name, (unsigned long long)want->rows, (unsigned long long)want->cols);
        ck_assert_uint_eq(want->experts, wanted[i].experts);
        ck_assert(want->is_vector == wanted[i].is_vector && want->plus == wanted[i].plus && !want->is_optional);
        free_built(&built);
    }
}
END_TEST

/* ---- what particular families are made of ---- */

static const struct sinq_operation *find_operation(const struct sinq_graph *graph, enum sinq_operation_kind kind,
                                                   uint32_t place) {
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        if (graph->operations[i].kind == kind && place-- == 0) return &graph->operations[i];
    }
    return NULL;
}

START_TEST(tied_heads_are_the_embedding) {
    struct built built;
    build(&built, "tied", find_model("llama with biases, wide heads"), NULL, NULL);
    const struct sinq_operation *const last = &built.graph->operations[built.graph->operation_count - 1];
    ck_assert_int_eq(last->kind, SINQ_OP_LINEAR);
    ck_assert_uint_eq(last->linear.weight, find_operation(built.graph, SINQ_OP_EMBED, 0)->embed.weight);
    ck_assert_ptr_null(find_want(built.graph, "lm_head.weight", -1));
    free_built(&built);
}
END_TEST

/* gemma3: layers 0 to 4 slide and turn by the second rope, layer 5 does neither. */
START_TEST(sliding_layers_have_their_window_and_rope) {
    struct built built;
    build(&built, "gemma3", find_model("gemma3"), NULL, NULL);
    for (uint32_t layer = 0; layer < 6; layer++) {
        const struct sinq_operation *const rope = find_operation(built.graph, SINQ_OP_ROPE, 2 * layer);
        const struct sinq_operation *const rotation = find_operation(built.graph, SINQ_OP_ROTATION, layer < 5 ? 1 : 0);
        ck_assert_uint_eq(rope->rope.rotation.slot, rotation->rotation.out.slot);
        ck_assert_uint_eq(built.graph->caches[layer].window, layer < 5 ? 4096 : 0);
    }
    free_built(&built);
}
END_TEST

START_TEST(caps_scales_and_routers_reach_their_operations) {
    struct built built;
    build(&built, "gemma2", find_model("gemma2"), NULL, NULL);
    const struct sinq_operation *const attention = find_operation(built.graph, SINQ_OP_ATTENTION, 1);
    ck_assert(attention->attention.cap == 50.0f && attention->attention.scale == 0.0625f);
    ck_assert_uint_eq(attention->attention.window, 0);
    ck_assert(find_operation(built.graph, SINQ_OP_SOFTCAP, 0)->softcap.cap == 30.0f);
    ck_assert(fabsf(find_operation(built.graph, SINQ_OP_EMBED, 0)->embed.scale - 6.9282032f) < 1e-6f);
    free_built(&built);
    build(&built, "deepseek_v3", find_model("deepseek_v3"), NULL, NULL);
    const struct sinq_operation *const route = find_operation(built.graph, SINQ_OP_ROUTE, 0);
    ck_assert(route->route.routing == SINQ_ROUTING_SIGMOID && route->route.groups_by_two && route->route.normalized);
    ck_assert(route->route.scale == 2.5f && route->route.groups == 2 && route->route.top_groups == 1);
    ck_assert_uint_ne(route->route.bias, SINQ_NO_WEIGHT);
    const struct sinq_operation *const latent = find_operation(built.graph, SINQ_OP_ATTENTION, 0);
    ck_assert_uint_eq(built.graph->caches[latent->attention.cache].key_dim, 32);
    ck_assert(built.graph->caches[latent->attention.cache].shared && latent->attention.heads == 6);
    ck_assert(find_operation(built.graph, SINQ_OP_ROPE, 0)->rope.interleaved);
    free_built(&built);
    build(&built, "gpt_oss", find_model("gpt_oss"), NULL, NULL);
    const struct sinq_operation *const activate = find_operation(built.graph, SINQ_OP_ACTIVATE, 0);
    ck_assert_uint_eq(activate->activate.step, 2);
    ck_assert_uint_eq(activate->activate.up.offset, activate->activate.gate.offset + 1);
    ck_assert_uint_ne(find_operation(built.graph, SINQ_OP_ATTENTION, 0)->attention.sinks, SINQ_NO_WEIGHT);
    free_built(&built);
}
END_TEST

/* ---- limits ---- */

START_TEST(sizes_without_measure_are_refused) {
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":4096,\"num_hidden_layers\":4096}",
         "more than 262144 weights"},
        {"{\"model_type\":\"llama\"," SIZES ",\"num_attention_heads\":65536,\"num_key_value_heads\":65536,"
         "\"head_dim\":2048}",
         "values a token, expected 1 to 268435456"},
        {"{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":4096,\"num_experts_per_tok\":4096,"
         "\"hidden_size\":1048576,\"head_dim\":8}",
         "values a token"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sinq_model_config config;
        struct sinq_error error = {0};
        ck_assert_msg(sinq_read_model_config("config.json", bad[i].text, &config, &error) == SINQ_OK, "%s",
                      error.message);
        struct sinq_graph *const graph = sinq_graph_create(&config, NULL, NULL);
        config.family->build(graph, &config);
        ck_assert_int_eq(sinq_graph_finish(graph, &error), SINQ_FAILED);
        ck_assert_msg(strstr(error.message, bad[i].message) != NULL, "%s", error.message);
        ck_assert_uint_le(graph->want_count, 262144);
        sinq_graph_free(graph);
        sinq_model_config_free(&config);
    }
}
END_TEST

/* ---- golden checkpoints ---- */

static bool has_in_source(const void *user, const char *name) {
    char full[200];
    snprintf(full, sizeof full, "model.%s", name);
    return sinq_source_find(user, full) >= 0 || sinq_source_find(user, name) >= 0;
}

static void check_want(const char *family, const struct sinq_source *source, const struct sinq_want *want,
                       uint8_t *uses) {
    char name[200];
    snprintf(name, sizeof name, "model.%s%s", want->module, want->suffix);
    int64_t index = sinq_source_find(source, name);
    if (index < 0) index = sinq_source_find(source, name + strlen("model."));
    ck_assert_msg(index >= 0, "%s: there is no %s", family, name);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(sinq_source_tensor(source, (size_t)index));
    ck_assert_msg(shape.rows == want->rows && shape.cols == want->cols, "%s: %s is %llux%llu, wanted as %llux%llu",
                  family, name, (unsigned long long)shape.rows, (unsigned long long)shape.cols,
                  (unsigned long long)want->rows, (unsigned long long)want->cols);
    uses[index]++;
}

START_TEST(golden_checkpoints_have_what_is_wanted) {
    static const char *const names[] = {"llama", "llama3_rope", "mistral", "mixtral",     "qwen2",
                                        "qwen3", "qwen3_moe",   "phi3",    "gemma3_text", "deepseek_v2"};
    for (size_t f = 0; f < sizeof names / sizeof names[0]; f++) {
        char place[100];
        struct sinq_source *source;
        struct sinq_error error;
        snprintf(place, sizeof place, "golden/arch/%s/config.json", names[f]);
        char *const path = find_shared(place);
        if (path == NULL) return;
        *strrchr(path, '/') = '\0';
        ck_assert_msg(sinq_open_checkpoint(path, &source, &error) == SINQ_OK, "%s", error.message);
        struct built built;
        build(&built, names[f], sinq_source_config(source), has_in_source, source);
        check_sound(names[f], &built);
        const size_t count = sinq_source_tensor_count(source);
        uint8_t *const uses = calloc(count, 1);
        for (uint32_t i = 0; i < built.graph->want_count; i++) {
            check_want(names[f], source, &built.graph->wants[i], uses);
        }
        for (size_t i = 0; i < count; i++) {
            ck_assert_msg(uses[i] == 1, "%s: %s is wanted %d times", names[f], sinq_source_tensor(source, i)->name,
                          uses[i]);
        }
        free(uses);
        free_built(&built);
        sinq_source_close(source);
        free(path);
    }
}
END_TEST

UNIT_MAIN("graph", graphs_are_sound, weights_are_wanted_by_name_and_shape, tied_heads_are_the_embedding,
          sliding_layers_have_their_window_and_rope, caps_scales_and_routers_reach_their_operations,
          sizes_without_measure_are_refused, golden_checkpoints_have_what_is_wanted)
