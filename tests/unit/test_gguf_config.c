/*
 * test_gguf_config.c: config.json to GGUF's metadata and back gives the same model, for every family; names go both ways; what
 * llama.cpp cannot do is refused.
 */
#include <math.h>
#include <string.h>

#include "model/gguf_config.h"
#include "unit.h"

#define SIZES                                                                                                          \
    "\"hidden_size\":128,\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":2,"                 \
    "\"intermediate_size\":192,\"vocab_size\":320,\"max_position_embeddings\":256,\"bos_token_id\":1,"                 \
    "\"rms_norm_eps\":1e-5"
#define EXPERTS "\"num_experts_per_tok\":2,\"moe_intermediate_size\":64"
#define LATENT                                                                                                         \
    "\"kv_lora_rank\":64,\"qk_nope_head_dim\":32,\"qk_rope_head_dim\":16,\"v_head_dim\":24,\"head_dim\":16,\"first_k_" \
    "dense_replace\":"                                                                                                 \
    "1,"                                                                                                               \
    "\"n_routed_experts\":8,\"n_shared_experts\":2,\"num_key_value_heads\":4," EXPERTS

static const struct {
    const char *name, *json, *architecture;
    uint64_t context; /* that is written; 0: 256, or what a yarn makes of it */
} models[] = {
    {"llama", "{\"model_type\":\"llama\"," SIZES ",\"tie_word_embeddings\":true}", "llama", 0},
    {"llama with biases", "{\"model_type\":\"llama\"," SIZES ",\"attention_bias\":true,\"mlp_bias\":true}", "llama", 0},
    {"llama with a long head", "{\"model_type\":\"llama\"," SIZES ",\"head_dim\":64}", "llama", 0},
    {"llama 3",
     "{\"model_type\":\"llama\"," SIZES
     ",\"rope_theta\":500000,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
     "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":64}}",
     "llama", 0},
    {"llama with other frequencies",
     "{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
     "\"low_freq_factor\":1.5,\"high_freq_factor\":5,\"original_max_position_embeddings\":100}}",
     "llama", 0},
    {"linear", "{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}}", "llama",
     0},
    {"mistral", "{\"model_type\":\"mistral\"," SIZES ",\"sliding_window\":16}", "llama", 16},
    {"mixtral", "{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":4,\"num_experts_per_tok\":2}", "llama", 0},
    {"qwen2", "{\"model_type\":\"qwen2\"," SIZES ",\"rope_theta\":1000000}", "qwen2", 0},
    {"qwen3", "{\"model_type\":\"qwen3\"," SIZES ",\"head_dim\":64}", "qwen3", 0},
    {"yarn",
     "{\"model_type\":\"qwen3\"," SIZES ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4,"
     "\"original_max_position_embeddings\":64,\"beta_fast\":16,\"attention_factor\":1.25}}",
     "qwen3", 0},
    {"qwen3_moe", "{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_experts\":8,\"norm_topk_prob\":true," EXPERTS "}",
     "qwen3moe", 0},
    {"phi3", "{\"model_type\":\"phi3\"," SIZES ",\"sliding_window\":64,\"partial_rotary_factor\":0.5}", "phi3", 64},
    {"phi3, long",
     "{\"model_type\":\"phi3\"," SIZES ",\"head_dim\":8,\"original_max_position_embeddings\":64,"
     "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1.5,2,3],\"long_factor\":[1,4,9,16]}}",
     "phi3", 0},
    {"gemma2", "{\"model_type\":\"gemma2\"," SIZES ",\"head_dim\":32,\"query_pre_attn_scalar\":32}", "gemma2", 0},
    {"gemma3",
     "{\"model_type\":\"gemma3_text\"," SIZES ",\"head_dim\":32,\"query_pre_attn_scalar\":32,\"sliding_window\":16,"
     "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8}}",
     "gemma3", 0},
    {"olmo2", "{\"model_type\":\"olmo2\"," SIZES "}", "olmo2", 0},
    {"gpt_oss",
     "{\"model_type\":\"gpt_oss\"," SIZES ",\"head_dim\":32,\"num_local_experts\":4,\"num_experts_per_tok\":2}",
     "gpt-oss", 0},
    {"deepseek_v2",
     "{\"model_type\":\"deepseek_v2\"," SIZES ",\"num_hidden_layers\":27,\"q_lora_rank\":null," LATENT "}", "deepseek2",
     0},
    {"deepseek_v3",
     "{\"model_type\":\"deepseek_v3\"," SIZES ",\"q_lora_rank\":48,\"n_group\":4,\"topk_group\":2," LATENT
     ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":40,\"original_max_position_embeddings\":4096,\"mscale\":1.0,"
     "\"mscale_all_dim\":1.0}}",
     "deepseek2", 0},
};

static struct sinq_model_config read_model(const char *name, const char *text) {
    struct sinq_model_config config;
    struct sinq_error error = {0};
    ck_assert_msg(sinq_read_model_config(name, text, &config, &error) == SINQ_OK, "%s: %s\n%s", name, error.message,
                  text);
    return config;
}

/* What general.* and tokenizer.* would be written by others. */
static void add_general(struct sinq_gguf_values *values, const char *architecture) {
    sinq_gguf_add_string(values, "general.architecture", architecture, strlen(architecture));
    sinq_gguf_add_u32(values, "tokenizer.ggml.bos_token_id", 1);
}

static struct sinq_model_config convert(const char *name, const struct sinq_model_config *config,
                                        const char *architecture) {
    struct sinq_gguf_values values = {0};
    struct sinq_gguf_facts facts = {.path = name,
                                    .vocabulary = config->vocabulary,
                                    .has_head = !config->tied,
                                    .has_attention_bias = config->attention_bias,
                                    .has_mlp_bias = config->mlp_bias};
    struct sinq_text json = {0};
    struct sinq_error error = {0};
    add_general(&values, architecture);
    ck_assert_msg(sinq_make_gguf_config(name, config, &values, &error) == SINQ_OK, "%s", error.message);
    ck_assert_int_eq(sinq_make_gguf_ropes(config, facts.ropes, &facts.rope_count, &error), SINQ_OK);
    ck_assert_msg(sinq_print_gguf_config(&values, &facts, &json, &error) == SINQ_OK, "%s", error.message);
    struct sinq_model_config back = read_model(name, json.data);
    for (uint32_t i = 0; i < facts.rope_count; i++) free(facts.ropes[i].factors);
    sinq_text_free(&json);
    sinq_gguf_values_free(&values);
    return back;
}

#define CHECK_EQUAL(field) ck_assert_msg(a->field == b->field, "%s: " #field " differs", name)
#define CHECK_CLOSE(field)                                                                                             \
    ck_assert_msg(fabs((double)(a->field - b->field)) <= 1e-6 * fabs((double)b->field),                                \
                  "%s: " #field " is %.9g, was %.9g", name, (double)a->field, (double)b->field)

static void compare_ropes(const char *name, const struct sinq_rope *a, const struct sinq_rope *b) {
    CHECK_EQUAL(dims);
    CHECK_EQUAL(interleaved);
    CHECK_CLOSE(attention_factor);
    for (uint32_t i = 0; i < a->dims / 2; i++) {
        CHECK_CLOSE(frequencies[i]);
        if (b->long_frequencies != NULL) CHECK_CLOSE(long_frequencies[i]);
    }
}

static void compare(const char *name, const struct sinq_model_config *a, const struct sinq_model_config *b) {
    ck_assert_msg(a->family == b->family, "%s: became a %s", name, a->model_type);
    CHECK_EQUAL(hidden), CHECK_EQUAL(layers), CHECK_EQUAL(heads), CHECK_EQUAL(kv_heads), CHECK_EQUAL(ffn);
    CHECK_EQUAL(head_dim), CHECK_EQUAL(vocabulary), CHECK_EQUAL(context), CHECK_EQUAL(tied), CHECK_EQUAL(eps);
    CHECK_EQUAL(attention_bias), CHECK_EQUAL(output_bias), CHECK_EQUAL(mlp_bias), CHECK_EQUAL(activation);
    CHECK_EQUAL(embedding_scale), CHECK_EQUAL(attention_softcap), CHECK_EQUAL(final_softcap), CHECK_EQUAL(window);
    CHECK_EQUAL(rope_count), CHECK_EQUAL(experts), CHECK_EQUAL(experts_chosen), CHECK_EQUAL(shared_experts);
    CHECK_EQUAL(routing), CHECK_EQUAL(expert_groups), CHECK_EQUAL(expert_top_groups), CHECK_EQUAL(groups_by_two);
    CHECK_EQUAL(shares_normalized), CHECK_EQUAL(router_bias), CHECK_EQUAL(share_scale), CHECK_EQUAL(q_rank);
    CHECK_EQUAL(kv_rank), CHECK_EQUAL(nope_dim), CHECK_EQUAL(rope_dim), CHECK_EQUAL(value_dim), CHECK_EQUAL(bos);
    CHECK_EQUAL(expert_ffn);
    CHECK_CLOSE(attention_scale);
    ck_assert_msg(memcmp(a->is_sliding, b->is_sliding, a->layers) == 0, "%s: other layers slide", name);
    ck_assert_msg(memcmp(a->is_sparse, b->is_sparse, a->layers) == 0, "%s: other layers have experts", name);
    for (uint32_t i = 0; i < a->rope_count; i++) compare_ropes(name, &a->ropes[i], &b->ropes[i]);
}

START_TEST(metadata_and_back_is_the_same_model) {
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct sinq_model_config config = read_model(models[i].name, models[i].json);
        struct sinq_model_config back = convert(models[i].name, &config, models[i].architecture);
        if (models[i].context != 0) config.context = models[i].context;
        compare(models[i].name, &back, &config);
        sinq_model_config_free(&back);
        sinq_model_config_free(&config);
    }
}
END_TEST

static const struct {
    const char *json, *message;
} refused[] = {
    {"{\"model_type\":\"llama\"," SIZES ",\"hidden_act\":\"gelu\"}", "activation"},
    {"{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}", "dynamic"},
    {"{\"model_type\":\"qwen3\"," SIZES ",\"use_sliding_window\":true,\"sliding_window\":16,\"max_window_layers\":2}",
     "layer 2 has a sliding window"},
    {"{\"model_type\":\"gemma2\"," SIZES ",\"head_dim\":32,\"query_pre_attn_scalar\":99}", "1 / sqrt(32)"},
    {"{\"model_type\":\"gemma2\"," SIZES
     ",\"head_dim\":32,\"query_pre_attn_scalar\":32,\"layer_types\":[\"full_attention\",\"full_attention\","
     "\"full_attention\",\"full_attention\"]}",
     "layer 0 has not a sliding window"},
    {"{\"model_type\":\"deepseek_v2\"," SIZES ",\"q_lora_rank\":null," LATENT "}", "q_lora_rank is null"},
    {"{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_experts\":8,\"mlp_only_layers\":[1]," EXPERTS "}",
     "layer 1 has no experts"},
};

START_TEST(what_llama_cpp_cannot_do_is_refused) {
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sinq_model_config config = read_model("refused", refused[i].json);
        struct sinq_gguf_values values = {0};
        struct sinq_error error = {0};
        ck_assert_int_eq(sinq_make_gguf_config("m", &config, &values, &error), SINQ_FAILED);
        ck_assert_msg(strstr(error.message, refused[i].message) != NULL, "%s", error.message);
        sinq_gguf_values_free(&values);
        sinq_model_config_free(&config);
    }
}
END_TEST

START_TEST(missing_and_unfit_keys_are_named) {
    static const struct {
        uint32_t type; /* of the architecture's value: 0 none, 1 a number, 2 "llama" */
        bool is_word;
        const char *message;
    } cases[] = {
        {0, false, "f: metadata: general.architecture is missing"},
        {1, false, "f: metadata: general.architecture is missing"},
        {2, false, "f: metadata: llama.context_length is missing, expected a number"},
        {2, true, "f: metadata: llama.context_length is of another type"},
    };
    const struct sinq_gguf_facts facts = {.path = "f"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_gguf_values values = {0};
        struct sinq_text json = {0};
        struct sinq_error error = {0};
        if (cases[i].type == 1) sinq_gguf_add_u32(&values, "general.architecture", 1);
        if (cases[i].type == 2) add_general(&values, "llama");
        if (cases[i].is_word) sinq_gguf_add_string(&values, "llama.context_length", "x", 1);
        ck_assert_int_eq(sinq_print_gguf_config(&values, &facts, &json, &error), SINQ_FAILED);
        ck_assert_msg(strstr(error.message, cases[i].message) != NULL, "%s", error.message);
        sinq_text_free(&json);
        sinq_gguf_values_free(&values);
    }
}
END_TEST

/* JSON has no word for them. */
START_TEST(numbers_beyond_f64_are_refused) {
    struct sinq_gguf_values values = {0};
    struct sinq_text json = {0};
    struct sinq_error error = {0};
    const struct sinq_gguf_facts facts = {.path = "f", .vocabulary = 8};
    static const char *const keys[] = {"llama.context_length", "llama.embedding_length", "llama.block_count",
                                       "llama.feed_forward_length"};
    static const uint8_t smallest[8] = {1}; /* as f64 */
    const struct sinq_gguf_value heads = {.key = "llama.attention.head_count",
                                          .type = SINQ_GGUF_F64,
                                          .count = 1,
                                          .bytes = smallest,
                                          .size = sizeof smallest};
    add_general(&values, "llama");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) sinq_gguf_add_u32(&values, keys[i], 64);
    sinq_gguf_add_value(&values, &heads);
    ck_assert_int_eq(sinq_print_gguf_config(&values, &facts, &json, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "f: metadata: what follows from llama.") != NULL, "%s", error.message);
    sinq_text_free(&json);
    sinq_gguf_values_free(&values);
}
END_TEST

START_TEST(names_go_both_ways) {
    static const struct {
        const char *model_type, *gguf, *hf;
        enum sinq_gguf_change change;
    } names[] = {
        {"llama", "token_embd.weight", "model.embed_tokens.weight", SINQ_GGUF_SAME},
        {"llama", "output.weight", "lm_head.weight", SINQ_GGUF_SAME},
        {"llama", "output_norm.weight", "model.norm.weight", SINQ_GGUF_SAME},
        {"llama", "blk.11.attn_q.weight", "model.layers.11.self_attn.q_proj.weight", SINQ_GGUF_QUERY_ROWS},
        {"llama", "blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias", SINQ_GGUF_KEY_ROWS},
        {"qwen3", "blk.3.attn_q.weight", "model.layers.3.self_attn.q_proj.weight", SINQ_GGUF_SAME},
        {"gemma2", "blk.3.ffn_norm.weight", "model.layers.3.pre_feedforward_layernorm.weight", SINQ_GGUF_PLUS_ONE},
        {"olmo2", "blk.3.post_ffw_norm.weight", "model.layers.3.post_feedforward_layernorm.weight", SINQ_GGUF_SAME},
        {"phi3", "blk.3.ffn_up.weight", "model.layers.3.mlp.gate_up_proj.weight", SINQ_GGUF_SAME},
        {"deepseek_v3", "blk.3.exp_probs_b.bias", "model.layers.3.mlp.gate.e_score_correction_bias", SINQ_GGUF_SAME},
        {"deepseek_v2", "blk.3.attn_k_b.weight", "model.layers.3.self_attn.kv_b_proj.weight", SINQ_GGUF_KEY_HALF},
        {"gpt_oss", "blk.3.attn_sinks.weight", "model.layers.3.self_attn.sinks", SINQ_GGUF_SAME},
        {"gpt_oss", "blk.3.ffn_gate_exps.weight", "model.layers.3.mlp.experts.gate_up_proj", SINQ_GGUF_EVEN_COLUMNS},
        {"gpt_oss", "blk.3.ffn_down_exps.bias", "model.layers.3.mlp.experts.down_proj_bias", SINQ_GGUF_TRANSPOSED},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[SINQ_GGUF_NAME_BYTES];
        const struct sinq_gguf_family *const family = sinq_find_gguf_family(names[i].model_type);
        const struct sinq_gguf_match from = sinq_match_gguf_name(family, names[i].gguf, NULL);
        ck_assert_ptr_nonnull(from.pattern);
        ck_assert_int_eq(from.pattern->change, names[i].change);
        sinq_print_hf_name(&from, text);
        ck_assert_str_eq(text, names[i].hf);
        const struct sinq_gguf_match back = sinq_match_hf_name(family, names[i].hf, NULL);
        ck_assert_ptr_eq(back.pattern, from.pattern);
        sinq_print_gguf_name(&back, text);
        ck_assert_str_eq(text, names[i].gguf);
    }
    static const char *const strangers[] = {"blk.attn_q.weight",
                                            "blk.01.attn_q.weight",
                                            "blk.1.attn_q",
                                            "output",
                                            "blk.123456789.attn_q.weight",
                                            "blk.1.attn_q.weight.x",
                                            ""};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        ck_assert_ptr_null(sinq_match_gguf_name(sinq_find_gguf_family("llama"), strangers[i], NULL).pattern);
    }
    ck_assert_ptr_null(sinq_find_gguf_family("gpt2"));
}
END_TEST

START_TEST(a_fused_tensor_is_two_in_gguf) {
    const struct sinq_gguf_family *const family = sinq_find_gguf_family("qwen3_moe");
    const char *const fused = "model.layers.2.mlp.experts.gate_up_proj";
    const struct sinq_gguf_match gate = sinq_match_hf_name(family, fused, NULL);
    const struct sinq_gguf_match up = sinq_match_hf_name(family, fused, gate.pattern);
    ck_assert_int_eq(gate.pattern->change, SINQ_GGUF_FIRST_HALF);
    ck_assert_int_eq(up.pattern->change, SINQ_GGUF_SECOND_HALF);
    ck_assert_ptr_null(sinq_match_hf_name(family, fused, up.pattern).pattern);
    const struct sinq_gguf_match one = sinq_match_hf_name(family, "model.layers.2.mlp.experts.7.up_proj.weight", NULL);
    ck_assert_int_eq(one.expert, 7);
    ck_assert_int_eq(one.layer, 2);
}
END_TEST

START_TEST(rows_go_both_ways) {
    static const uint64_t expected[8] = {0, 2, 1, 3, 4, 6, 5, 7}; /* two heads of 4 */
    for (uint64_t row = 0; row < 8; row++) ck_assert_uint_eq(sinq_gguf_to_hf_row(row, 8, 2), expected[row]);
    for (uint64_t row = 0; row < 96; row++) {
        ck_assert_uint_eq(sinq_hf_to_gguf_row(sinq_gguf_to_hf_row(row, 96, 3), 96, 3), row);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {metadata_and_back_is_the_same_model,
                                  what_llama_cpp_cannot_do_is_refused,
                                  missing_and_unfit_keys_are_named,
                                  numbers_beyond_f64_are_refused,
                                  names_go_both_ways,
                                  a_fused_tensor_is_two_in_gguf,
                                  rows_go_both_ways};
    return run_unit_tests("gguf_config", tests, sizeof tests / sizeof tests[0]);
}
