/*
 * test_long_context.c: 4,000 positions of small models with random weights against the reference pass in f64: sliding windows of
 * which the cache forgets what is behind, two ropes, latent attention, ropes that are stretched; keys and values in every type.
 */
#include "reference_files.h"
#include "reference_forward.h"

#define POSITIONS  4000
#define VOCABULARY 40

#define SIZES                                                                                                          \
    "\"hidden_size\":16,\"vocab_size\":40,\"num_attention_heads\":2,\"intermediate_size\":24,\"rms_norm_eps\":1e-6,"   \
    "\"max_position_embeddings\":8192,\"tie_word_embeddings\":false,"

static const struct long_case {
    const char *name, *config;
} cases[] = {
    {"gemma3: a window of 100, two ropes, one stretched",
     "{\"model_type\":\"gemma3_text\"," SIZES "\"num_hidden_layers\":3,\"num_key_value_heads\":1,\"head_dim\":8,"
     "\"query_pre_attn_scalar\":8,\"sliding_window\":100,\"sliding_window_pattern\":3,\"rope_theta\":1000000.0,"
     "\"rope_local_base_freq\":10000.0,\"hidden_activation\":\"gelu_pytorch_tanh\",\"rope_scaling\":"
     "{\"rope_type\":\"linear\",\"factor\":8.0}}"},
    {"mistral: a window of 513",
     "{\"model_type\":\"mistral\"," SIZES "\"num_hidden_layers\":2,\"num_key_value_heads\":2,\"hidden_act\":\"silu\","
     "\"sliding_window\":513,\"rope_theta\":10000.0}"},
    {"llama: llama3's rope",
     "{\"model_type\":\"llama\"," SIZES "\"num_hidden_layers\":2,\"num_key_value_heads\":1,\"hidden_act\":\"silu\","
     "\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
     "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":1024}}"},
    {"deepseek_v2: latent, yarn",
     "{\"model_type\":\"deepseek_v2\"," SIZES "\"num_hidden_layers\":2,\"num_key_value_heads\":2,"
     "\"hidden_act\":\"silu\",\"first_k_dense_replace\":2,\"n_routed_experts\":4,\"num_experts_per_tok\":2,"
     "\"moe_intermediate_size\":8,\"kv_lora_rank\":12,\"q_lora_rank\":null,\"qk_nope_head_dim\":8,"
     "\"qk_rope_head_dim\":8,\"v_head_dim\":8,\"rope_theta\":10000,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8,"
     "\"original_max_position_embeddings\":1024,\"beta_fast\":32,\"beta_slow\":1,\"mscale\":0.707,"
     "\"mscale_all_dim\":0.707}}"},
};

static const struct feeding {
    const char *name;
    uint32_t batch;
    enum sinq_kv_type kv_type;
    bool is_mean; /* the root mean square is held to the bound, not the worst */
    double bound; /* as a share of the logits' deviation */
} feedings[] = {
    {"f32, at once", POSITIONS, SINQ_KV_F32, false, 5e-5},
    {"f32, in batches of 129", 129, SINQ_KV_F32, false, 5e-5},
    {"f16, in batches of 256", 256, SINQ_KV_F16, true, 2e-3},
    {"int8, in batches of 200", 200, SINQ_KV_I8, true, 0.03},
};

/* Logits of all positions, asked for batch by batch. */
static void feed_all(const struct sinq_model *model, const struct feeding *feeding, const int32_t *tokens,
                     float *logits) {
    const struct sinq_session_options options = {
        .exact = true, .kv_type = feeding->kv_type, .batch = feeding->batch, .context = POSITIONS, .threads = 1};
    struct sinq_session *session;
    struct sinq_error error;
    ck_assert_msg(sinq_open_session(model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    for (size_t fed = 0; fed < POSITIONS;) {
        const size_t left = POSITIONS - fed, count = left < feeding->batch ? left : feeding->batch;
        ck_assert_msg(sinq_session_feed(session, tokens + fed, count, &error) == SINQ_OK, "%s", error.message);
        ck_assert_msg(sinq_session_logits(session, 0, (uint32_t)count, logits + fed * VOCABULARY, &error) == SINQ_OK,
                      "%s", error.message);
        fed += count;
    }
    sinq_session_close(session);
}

static double find_error(const double *expected, const float *logits, bool is_mean) {
    const size_t count = (size_t)POSITIONS * VOCABULARY;
    double sum = 0, square = 0, worst = 0, differences = 0;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs(expected[i] - (double)logits[i]);
        sum += expected[i];
        square += expected[i] * expected[i];
        differences += difference * difference;
        if (!(difference <= worst)) worst = difference; /* not-a-number is worst */
    }
    const double mean = sum / (double)count, deviation = sqrt(square / (double)count - mean * mean);
    return (is_mean && worst < INFINITY ? sqrt(differences / (double)count) : worst) / deviation;
}

static void check_feedings(const struct long_case *c, const int32_t *tokens, const double *expected) {
    struct sinq_model *model;
    struct sinq_error error;
    struct sinq_source *const source = open_good(scratch);
    float *const logits = malloc((size_t)POSITIONS * VOCABULARY * sizeof *logits);
    ck_assert_ptr_nonnull(logits);
    ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s: %s", c->name, error.message);
    for (size_t f = 0; f < sizeof feedings / sizeof feedings[0]; f++) {
        feed_all(model, &feedings[f], tokens, logits);
        const double found = find_error(expected, logits, feedings[f].is_mean);
        if (getenv("SINQ_ERRORS") != NULL) printf("%-52s %-24s %.2g\n", c->name, feedings[f].name, found);
        ck_assert_msg(found <= feedings[f].bound, "%s, %s: logits are %.3g deviations off", c->name, feedings[f].name,
                      found);
    }
    free(logits);
    sinq_model_free(model);
    sinq_source_close(source);
}

START_TEST(long_texts_agree_with_the_pass) {
    static int32_t tokens[POSITIONS];
    struct reference *const r = malloc(sizeof *r);
    ck_assert_ptr_nonnull(r);
    make_folder();
    const size_t count = IS_SANITIZED ? 1 : sizeof cases / sizeof cases[0]; /* sanitizers are slow */
    for (size_t i = 0; i < count; i++) {
        cJSON *const config = cJSON_Parse(cases[i].config);
        ck_assert_ptr_nonnull(config);
        *r = (struct reference){.config = config, .random = i + 1};
        for (int p = 0; p < POSITIONS; p++) tokens[p] = (int32_t)(draw_share(r) * VOCABULARY);
        double *const logits = run_reference(r, tokens, POSITIONS);
        write_reference(r, cases[i].config);
        check_feedings(&cases[i], tokens, logits);
        free(logits);
        close_reference(r);
        cJSON_Delete(config);
    }
    free(r);
    remove_folder();
}
END_TEST

UNIT_MAIN("long context", long_texts_agree_with_the_pass)
