/*
 * test_gguf_source.c: a Hugging Face checkpoint written as GGUF and opened again shows the same tensors and is the same model, for
 * every family; matrices of blocks in our layout are what their blocks decode to; split files; files that contradict themselves.
 */
#include "checkpoint/roles.h"
#include "gguf_source.h"
#include "gguf_writer.h"
#include "model/tensor_names.h"
#include "reference_files.h"
#include "reference_forward.h"
#include "tensor/dtype.h"

#define POSITIONS 24
#define BOUND     1e-5 /* of the logits' standard deviation */

#define COMMON                                                                                                         \
    "\"hidden_size\":64,\"vocab_size\":96,\"num_hidden_layers\":3,\"num_attention_heads\":4,\"intermediate_size\":96," \
    "\"rms_norm_eps\":1e-5,\"max_position_embeddings\":256,\"rope_theta\":10000.0,"
#define SILU   "\"hidden_act\":\"silu\","
#define UNTIED "\"tie_word_embeddings\":false}"
#define DEEPSEEK                                                                                                       \
    "\"first_k_dense_replace\":1,\"n_routed_experts\":8,\"n_shared_experts\":2,\"num_experts_per_tok\":3,"             \
    "\"moe_intermediate_size\":32,\"q_lora_rank\":32,\"kv_lora_rank\":32,\"qk_nope_head_dim\":16,"                     \
    "\"qk_rope_head_dim\":8,\"v_head_dim\":24,\"num_key_value_heads\":4,\"n_group\":4,\"topk_group\":2,"               \
    "\"norm_topk_prob\":true,\"routed_scaling_factor\":2.5,"

static const struct made_case {
    const char *name, *config;
    bool has_stacks; /* of experts, which a GGUF source shows one by one */
} made_cases[] = {
    {"llama with biases",
     "{\"model_type\":\"llama\"," COMMON SILU
     "\"num_key_value_heads\":2,\"attention_bias\":true,\"mlp_bias\":true," UNTIED,
     false},
    {"llama, linear",
     "{\"model_type\":\"llama\"," COMMON SILU "\"num_key_value_heads\":1,\"head_dim\":32,"
     "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5},\"tie_word_embeddings\":true}",
     false},
    {"llama 3",
     "{\"model_type\":\"llama\"," COMMON SILU "\"num_key_value_heads\":2,\"rope_scaling\":{\"rope_type\":\"llama3\","
     "\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":64}," UNTIED,
     false},
    {"mixtral with stacks of experts",
     "{\"model_type\":\"mixtral\"," COMMON SILU
     "\"num_key_value_heads\":2,\"num_local_experts\":5,\"num_experts_per_tok\":2,\"sliding_window\":null," UNTIED,
     true},
    {"gemma2",
     "{\"model_type\":\"gemma2\"," COMMON "\"num_key_value_heads\":2,\"head_dim\":24,\"query_pre_attn_scalar\":24,"
     "\"sliding_window\":12,\"attn_logit_softcapping\":5.0,\"final_logit_softcapping\":3.0,"
     "\"hidden_activation\":\"gelu_pytorch_tanh\",\"attention_bias\":false}",
     false},
    {"phi3, longrope",
     "{\"model_type\":\"phi3\"," COMMON SILU "\"num_key_value_heads\":2,\"original_max_position_embeddings\":64,"
     "\"sliding_window\":null,\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1.05,1.1,1.2,1.4,1.7,2.1,2.5]"
     ","
     "\"long_factor\":[1,2,3,4,5,6,7,8]}," UNTIED,
     false},
    {"olmo2", "{\"model_type\":\"olmo2\"," COMMON SILU "\"num_key_value_heads\":2,\"attention_bias\":false," UNTIED,
     false},
    {"deepseek_v3", "{\"model_type\":\"deepseek_v3\"," COMMON SILU DEEPSEEK "\"rope_scaling\":null," UNTIED, false},
    {"deepseek_v3 with yarn",
     "{\"model_type\":\"deepseek_v3\"," COMMON SILU DEEPSEEK "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,"
     "\"original_max_position_embeddings\":40,\"beta_fast\":32,\"beta_slow\":1,\"mscale\":1.0,\"mscale_all_dim\":1.0}"
     "," UNTIED,
     false},
    {"gpt_oss",
     "{\"model_type\":\"gpt_oss\"," COMMON SILU "\"num_key_value_heads\":2,\"head_dim\":32,\"num_local_experts\":6,"
     "\"num_experts_per_tok\":2,\"attention_bias\":true,\"sliding_window\":12,"
     "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":8,\"beta_fast\":32.0,\"beta_slow\":1.0,\"truncate\":false,"
     "\"original_max_position_embeddings\":32}," UNTIED,
     false},
};

/* ---- writing and opening ---- */

static void write_gguf(const struct sinq_source *source, const char *type, const char *path) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_source *view;
    struct sinq_recipe *recipe;
    struct sinq_sink *sink;
    struct sinq_quantize_summary summary;
    struct sinq_error error = {0};
    options.format = SINQ_FORMAT_GGUF;
    options.type = type;
    options.fallback = "bf16";
    options.threads = 1;
    ck_assert_msg(sinq_open_gguf_view(source, &view, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_make_recipe(view, &options, &recipe, &error) == SINQ_OK, "%s", error.message);
    const struct sinq_create_options create = {
        .path = path, .format = SINQ_FORMAT_GGUF, .type = type, .source = view, .force = true};
    ck_assert_msg(sinq_create_checkpoint(&create, &sink, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_quantize(view, recipe, sink, NULL, NULL, &summary, &error) == SINQ_OK, "%s", error.message);
    sinq_sink_close(sink);
    sinq_recipe_free(recipe);
    sinq_source_close(view);
}

static float *read_values(const struct sinq_source *source, size_t tensor, uint64_t *count) {
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(sinq_source_tensor(source, tensor));
    struct sinq_error error;
    *count = shape.count * shape.rows * shape.cols;
    float *const values = malloc((size_t)*count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_assert_msg(sinq_read_rows(source, tensor, 0, shape.count * shape.rows, values, &error) == SINQ_OK, "%s",
                  error.message);
    return values;
}

/* ---- the same tensors ---- */

static void compare_tensor(const char *name, const struct sinq_source *gguf, size_t tensor,
                           const struct sinq_source *original, size_t other) {
    const struct sinq_tensor *const a = sinq_source_tensor(gguf, tensor), *const b =
                                                                              sinq_source_tensor(original, other);
    uint64_t count, other_count;
    ck_assert_msg(a->rank == b->rank && memcmp(a->shape, b->shape, sizeof a->shape) == 0, "%s: the shape of %s", name,
                  a->name);
    float *const values = read_values(gguf, tensor, &count), *const expected =
                                                                 read_values(original, other, &other_count);
    for (uint64_t i = 0; i < count; i++) {
        check_often(fabsf(values[i] - expected[i]) <= 1e-6f, "%s: %s: value %llu is %g, expected %g", name, a->name,
                    (unsigned long long)i, (double)values[i], (double)expected[i]);
    }
    free(values);
    free(expected);
}

static void compare_tensors(const char *name, const struct sinq_source *gguf, const struct sinq_source *original) {
    struct sinq_name_index *const names = sinq_index_tensors(original);
    ck_assert_ptr_nonnull(names);
    for (size_t i = 0; i < sinq_source_tensor_count(gguf); i++) {
        const char *const stripped = sinq_skip_wrappers(sinq_source_tensor(gguf, i)->name);
        const int64_t other = sinq_name_index_find(names, stripped);
        ck_assert_msg(other >= 0, "%s: the checkpoint has no %s", name, stripped);
        compare_tensor(name, gguf, i, original, (size_t)other);
    }
    ck_assert_uint_eq(sinq_source_tensor_count(gguf), sinq_source_tensor_count(original));
    sinq_name_index_free(names);
}

/* Any stretch of bytes is that of the whole. */
static void check_bytes(const struct sinq_source *source) {
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const uint64_t size = sinq_source_tensor(source, i)->bytes, first = size / 3, count = size / 2;
        struct sinq_error error;
        uint8_t *const whole = malloc((size_t)size), *const part = malloc((size_t)size);
        const uint8_t *mapped;
        ck_assert(whole != NULL && part != NULL);
        ck_assert_int_eq(sinq_read_bytes(source, i, 0, size, whole, &error), SINQ_OK);
        ck_assert_int_eq(sinq_read_bytes(source, i, first, count, part, &error), SINQ_OK);
        ck_assert_mem_eq(part, whole + first, (size_t)count);
        ck_assert_int_eq(sinq_map_tensor(source, i, &mapped, &error), SINQ_OK);
        if (mapped != NULL) ck_assert_mem_eq(mapped, whole, (size_t)size);
        free(whole);
        free(part);
    }
}

/* ---- the same model ---- */

static float *run_model(const struct sinq_source *source, uint32_t *vocabulary) {
    const struct sinq_session_options options = {
        .exact = true, .kv_type = SINQ_KV_F32, .batch = POSITIONS, .threads = 1};
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    int32_t tokens[POSITIONS];
    ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s", error.message);
    *vocabulary = sinq_model_facts(model).vocabulary;
    for (int32_t i = 0; i < POSITIONS; i++) tokens[i] = (i * 37 + 11) % 96;
    float *const logits = malloc(POSITIONS * *vocabulary * sizeof *logits);
    ck_assert_ptr_nonnull(logits);
    ck_assert_int_eq(sinq_open_session(model, &options, &session, &error), SINQ_OK);
    ck_assert_int_eq(sinq_session_feed(session, tokens, POSITIONS, &error), SINQ_OK);
    ck_assert_int_eq(sinq_session_logits(session, 0, POSITIONS, logits, &error), SINQ_OK);
    sinq_session_close(session);
    sinq_model_free(model);
    return logits;
}

static void compare_models(const char *name, const struct sinq_source *gguf, const struct sinq_source *original) {
    uint32_t vocabulary, other;
    double square = 0.0, worst = 0.0;
    float *const expected = run_model(original, &vocabulary), *const logits = run_model(gguf, &other);
    ck_assert_uint_eq(vocabulary, other);
    for (size_t i = 0; i < POSITIONS * vocabulary; i++) {
        square += (double)expected[i] * (double)expected[i];
        worst = fmax(worst, fabs((double)logits[i] - (double)expected[i]));
    }
    worst /= sqrt(square / (POSITIONS * vocabulary));
    ck_assert_msg(worst <= BOUND, "%s: logits are %.3g deviations off", name, worst);
    free(expected);
    free(logits);
}

/* ---- matrices of blocks ---- */

static void check_matrix(const char *name, const struct sinq_source *source, size_t tensor, uint64_t index,
                         const float *values) {
    const struct sinq_tensor *const t = sinq_source_tensor(source, tensor);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(t);
    struct sinq_matrix_bytes m;
    struct sinq_matrix_info info;
    struct sinq_error error;
    ck_assert_int_eq(sinq_source_matrix_info(source, tensor, index, &info, &error), SINQ_OK);
    ck_assert_int_eq(sinq_fetch_matrix(source, tensor, index, NULL, &m, &error), SINQ_OK);
    ck_assert_msg(m.bytes != NULL, "%s: %s has no matrix", name, t->name);
    ck_assert_uint_eq(m.size, info.native_bytes);
    ck_assert_uint_eq(m.matrix.transposed, info.transposed);
    ck_assert_uint_eq(m.matrix.rows, info.transposed ? shape.cols : shape.rows);
    float *const row = malloc((size_t)m.matrix.cols * sizeof *row);
    for (uint64_t r = 0; r < m.matrix.rows; r++) {
        sinq_dual_scale_decode(&m.matrix, &m.sizes, m.bytes, r, 1, row);
        for (uint64_t k = 0; k < m.matrix.cols; k++) {
            const float expected = info.transposed ? values[k * shape.cols + r] : values[r * shape.cols + k];
            check_often(row[k] == expected, "%s: %s: row %llu", name, t->name, (unsigned long long)r);
        }
    }
    free(row);
    free(m.owned);
}

/* How many tensors are in blocks. */
static size_t check_matrices(const char *name, const struct sinq_source *source) {
    size_t found = 0;
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const struct sinq_tensor *const t = sinq_source_tensor(source, i);
        const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(t);
        uint64_t count;
        if (t->dtype != SINQ_DUAL_SCALE) continue;
        found++;
        float *const values = read_values(source, i, &count);
        for (uint64_t m = 0; m < shape.count; m++)
            check_matrix(name, source, i, m, values + m * shape.rows * shape.cols);
        free(values);
    }
    return found;
}

/* ---- all of it, for one checkpoint ---- */

static void check_verified(const struct sinq_source *source) {
    struct sinq_verify_summary summary;
    struct sinq_error error;
    ck_assert_msg(sinq_verify(source, 2, NULL, NULL, &summary, &error) == SINQ_OK, "%s", error.message);
    ck_assert_uint_eq(summary.tensors, source->tensor_count);
    ck_assert_uint_eq(summary.checksums, 0);
}

static void check_model(const char *name, const struct sinq_source *original, bool has_stacks) {
    static const char *const types[] = {"f32", "bf16", "q8_0"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char what[100];
        (void)snprintf(what, sizeof what, "%s as %s", name, types[i]);
        char path[sizeof scratch + 8];
        (void)snprintf(path, sizeof path, "%s.gguf", scratch);
        write_gguf(original, types[i], path);
        struct sinq_source *const gguf = open_good(path);
        check_bytes(gguf);
        check_verified(gguf);
        if (i < 2 && !has_stacks) compare_tensors(what, gguf, original);
        if (i < 2) compare_models(what, gguf, original);
        if (i == 2) {
            uint32_t vocabulary;
            ck_assert_uint_ge(check_matrices(what, gguf), 10);
            free(run_model(gguf, &vocabulary));
        }
        sinq_source_close(gguf);
        ck_assert_int_eq(remove(path), 0);
    }
}

START_TEST(every_family_is_the_same_through_gguf) {
    struct reference *const r = malloc(sizeof *r);
    ck_assert_ptr_nonnull(r);
    make_folder();
    for (size_t i = 0; i < sizeof made_cases / sizeof made_cases[0]; i++) {
        if (IS_SANITIZED && i % 3 != 0) continue; /* sanitizers are slow */
        const int32_t tokens[3] = {1, 2, 3};
        cJSON *const config = cJSON_Parse(made_cases[i].config);
        ck_assert_msg(config != NULL, "%s", made_cases[i].name);
        *r = (struct reference){
            .config = config, .random = i + 1, .has_stacks = made_cases[i].has_stacks, .closest = (double)INFINITY};
        free(run_reference(r, tokens, 3));
        write_reference(r, made_cases[i].config);
        close_reference(r);
        cJSON_Delete(config);
        struct sinq_source *const source = open_good(scratch);
        check_model(made_cases[i].name, source, made_cases[i].has_stacks);
        sinq_source_close(source);
        empty_folder();
    }
    free(r);
    remove_folder();
}
END_TEST

START_TEST(golden_models_are_the_same_through_gguf) {
    static const char *const families[] = {"llama",      "llama3_rope", "mixtral", "qwen2",      "qwen3",
                                           "qwen3_yarn", "qwen3_moe",   "phi3",    "gemma3_text"};
    make_folder();
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (IS_SANITIZED && i % 3 != 0) continue; /* sanitizers are slow */
        char name[100];
        (void)snprintf(name, sizeof name, "golden/arch/%s/config.json", families[i]);
        char *const config = find_shared(name);
        if (config == NULL) break;
        *strrchr(config, '/') = '\0';
        struct sinq_source *const source = open_good(config);
        check_model(families[i], source, false);
        sinq_source_close(source);
        free(config);
    }
    remove_folder();
}
END_TEST

/* ---- files put together by hand ---- */

/* A llama of one layer, as far as opening needs it. */
static void add_llama(struct gguf_writer *w) {
    static const struct {
        const char *key;
        uint32_t number;
    } keys[] = {{"llama.context_length", 64},      {"llama.embedding_length", 8},
                {"llama.block_count", 1},          {"llama.feed_forward_length", 16},
                {"llama.attention.head_count", 2}, {"llama.attention.head_count_kv", 1}};
    add_key_string(w, "general.architecture", "llama");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) add_key_u32(w, keys[i].key, keys[i].number);
}

static void add_split(struct gguf_writer *w, uint32_t number, uint32_t count, uint32_t tensors) {
    begin_key(w, "split.no", SINQ_GGUF_U16), put_number(&w->keys, number, 2);
    begin_key(w, "split.count", SINQ_GGUF_U16), put_number(&w->keys, count, 2);
    begin_key(w, "split.tensors.count", SINQ_GGUF_I32), put_u32(&w->keys, tensors);
}

static const uint8_t zeros[4096];

/* A file with one tensor, "t0", "t1", ... */
static void write_part(const char *name, uint32_t number, uint32_t said, uint32_t count, uint32_t tensors) {
    struct gguf_writer w = {0};
    const uint64_t shape[1] = {8};
    char tensor[8];
    if (number == 0) add_llama(&w);
    add_split(&w, said, count, tensors);
    (void)snprintf(tensor, sizeof tensor, "t%u", number);
    add_gguf_tensor(&w, tensor, 1, shape, SINQ_BLOCK_F32, zeros, 32);
    struct gguf_bytes bytes = finish_gguf(&w, 3);
    write_bytes(name, bytes.data, bytes.size);
    free(bytes.data);
}

START_TEST(split_files_are_opened_by_their_first_part) {
    make_folder();
    for (uint32_t i = 0; i < 3; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "m-%05u-of-00003.gguf", i + 1);
        write_part(name, i, i, 3, 3);
    }
    struct sinq_source *const source = open_good(path_of("m-00001-of-00003.gguf"));
    ck_assert_uint_eq(sinq_source_tensor_count(source), 3);
    ck_assert_uint_eq(sinq_source_shard_count(source), 3);
    ck_assert_int_eq(sinq_source_find(source, "t2"), 2);
    sinq_source_close(source);
    expect_refused("the second", path_of("m-00002-of-00003.gguf"),
                   (const char *[3]){"part 2 of 3", "open the first part"});
    write_part("other.gguf", 0, 0, 3, 3);
    expect_refused("another name", path_of("other.gguf"), (const char *[3]){"the first of 3 parts"});
    struct gguf_writer w = {0};
    add_llama(&w);
    add_key_u32(&w, "split.count", 70000);
    struct gguf_bytes bytes = finish_gguf(&w, 3);
    write_bytes("many.gguf", bytes.data, bytes.size);
    free(bytes.data);
    expect_refused("too many", path_of("many.gguf"), (const char *[3]){"split.count is 70000, expected at most 65535"});
    write_part("m-00003-of-00003.gguf", 2, 1, 3, 3);
    expect_refused("a wrong part", path_of("m-00001-of-00003.gguf"),
                   (const char *[3]){"m-00003-of-00003.gguf", "part 2 of 3, expected 3 of 3"});
    write_part("m-00003-of-00003.gguf", 1, 2, 3, 3);
    expect_refused("the same tensor", path_of("m-00001-of-00003.gguf"),
                   (const char *[3]){"tensor t1: an earlier part"});
    write_part("m-00003-of-00003.gguf", 2, 2, 3, 3);
    write_part("m-00001-of-00003.gguf", 0, 0, 3, 7);
    expect_refused("too few", path_of("m-00001-of-00003.gguf"),
                   (const char *[3]){"the parts have 3 tensors, the first one says 7"});
    ck_assert_int_eq(remove(path_of("m-00002-of-00003.gguf")), 0);
    expect_refused("a missing part", path_of("m-00001-of-00003.gguf"), (const char *[3]){"m-00002-of-00003.gguf"});
    remove_folder();
}
END_TEST

static const struct {
    const char *name, *tensor, *architecture, *message;
    uint64_t shape[3];
    uint32_t rank;
} contradictions[] = {
    {"heads that do not divide", "blk.0.attn_q.weight", "llama", "heads as the metadata counts them", {7, 8, 0}, 2},
    {"odd heads", "blk.0.attn_k.weight", "llama", "heads as the metadata counts them", {3, 8, 0}, 2},
    {"experts without a stack", "blk.0.ffn_up_exps.weight", "qwen3moe", "a stack of experts", {4, 8, 0}, 2},
    {"gates without ups", "blk.0.ffn_gate_exps.weight", "gpt-oss", "gates with ups beside them", {2, 4, 8}, 3},
    {"ups without gates", "blk.0.ffn_up_exps.weight", "gpt-oss", "ups with gates beside them", {2, 4, 8}, 3},
    {"keys without values", "blk.0.attn_k_b.weight", "deepseek2", "keys with values beside them", {2, 4, 8}, 3},
    {"ropes of two dimensions", "rope_freqs.weight", "llama", "values of one dimension", {2, 4, 0}, 2},
};

START_TEST(contradictions_are_named) {
    for (size_t i = 0; i < sizeof contradictions / sizeof contradictions[0]; i++) {
        struct gguf_writer w = {0};
        struct sinq_source *source = NULL;
        struct sinq_error error = {0};
        const bool is_llama = strcmp(contradictions[i].architecture, "llama") == 0;
        if (is_llama) add_llama(&w);
        if (!is_llama) add_key_string(&w, "general.architecture", contradictions[i].architecture);
        size_t size = sizeof(float);
        for (uint32_t d = 0; d < contradictions[i].rank; d++) size *= contradictions[i].shape[d];
        add_gguf_tensor(&w, contradictions[i].tensor, contradictions[i].rank, contradictions[i].shape, SINQ_BLOCK_F32,
                        zeros, size);
        struct gguf_bytes bytes = finish_gguf(&w, 3);
        ck_assert_int_eq(sinq_open_gguf_memory("f", bytes.data, bytes.size, &source, &error), SINQ_FAILED);
        ck_assert_msg(strstr(error.message, contradictions[i].message) != NULL, "%s: %s", contradictions[i].name,
                      error.message);
        free(bytes.data);
    }
}
END_TEST

START_TEST(factors_of_ropes_are_finite) {
    static const float bad[] = {NAN, INFINITY, -1.0f, 0.0f};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const float factors[2] = {1.0f, bad[i]};
        const uint64_t shape[1] = {2};
        struct gguf_writer w = {0};
        struct sinq_source *source = NULL;
        struct sinq_error error = {0};
        add_llama(&w);
        add_gguf_tensor(&w, "rope_freqs.weight", 1, shape, SINQ_BLOCK_F32, factors, sizeof factors);
        struct gguf_bytes bytes = finish_gguf(&w, 3);
        ck_assert_int_eq(sinq_open_gguf_memory("f", bytes.data, bytes.size, &source, &error), SINQ_FAILED);
        ck_assert_msg(strstr(error.message, "f: tensor rope_freqs.weight: value 1 is") != NULL, "%s", error.message);
        free(bytes.data);
    }
}
END_TEST

/* ---- tokenizers ---- */

static void begin_array(struct gguf_writer *w, const char *key, enum sinq_gguf_type type, uint64_t count) {
    begin_key(w, key, SINQ_GGUF_ARRAY);
    put_u32(&w->keys, type);
    put_u64(&w->keys, count);
}

/* An array of numbers 0, or of words "a", "b", ... */
static void add_array(struct gguf_writer *w, const char *key, bool has_words, uint64_t count) {
    begin_array(w, key, has_words ? SINQ_GGUF_STRING : SINQ_GGUF_U32, count);
    for (uint64_t i = 0; i < count; i++) {
        const char word[2] = {(char)('a' + i), '\0'};
        if (has_words) put_string(&w->keys, word);
        if (!has_words) put_u32(&w->keys, 0);
    }
}

/* Opens what the writer holds, and fails at its tokenizer.json. */
static void expect_bad_tokenizer(struct gguf_writer *w, const char *message) {
    struct sinq_source *source;
    struct sinq_error error = {0};
    char *data = NULL;
    size_t size;
    struct gguf_bytes bytes = finish_gguf(w, 3);
    ck_assert_msg(sinq_open_gguf_memory("f", bytes.data, bytes.size, &source, &error) == SINQ_OK, "%s", error.message);
    ck_assert_str_eq(sinq_source_sidecar_name(source, 1), "tokenizer.json");
    ck_assert_int_eq(sinq_source_read_sidecar(source, 1, &data, &size, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, message) != NULL, "%s, expected %s", error.message, message);
    sinq_source_close(source);
    free(bytes.data);
}

START_TEST(arrays_of_tokens_fit_each_other) {
    static const struct {
        const char *model;
        bool has_word_tokens, has_merges, has_word_merges;
        uint64_t scores, kinds;
        const char *message;
    } cases[] = {
        {"gpt2", false, true, true, 3, 3, "tokenizer.ggml.tokens is of another type, expected an array of strings"},
        {"gpt2", true, false, true, 3, 3, "tokenizer.ggml.merges is missing, expected an array of strings"},
        {"llama", true, true, false, 3, 3, "tokenizer.ggml.merges is of another type, expected an array of strings"},
        {"llama", true, false, true, 2, 3, "tokenizer.ggml.scores: expected an array of 3 numbers"},
        {"llama", true, false, true, 3, 4, "tokenizer.ggml.token_type: expected an array of 3 numbers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_writer w = {0};
        add_llama(&w);
        add_key_string(&w, "tokenizer.ggml.model", cases[i].model);
        add_array(&w, "tokenizer.ggml.tokens", cases[i].has_word_tokens, 3);
        if (cases[i].has_merges) add_array(&w, "tokenizer.ggml.merges", cases[i].has_word_merges, 1);
        add_array(&w, "tokenizer.ggml.scores", false, cases[i].scores);
        add_array(&w, "tokenizer.ggml.token_type", false, cases[i].kinds);
        expect_bad_tokenizer(&w, cases[i].message);
    }
}
END_TEST

START_TEST(unknown_architectures_show_the_files_names) {
    struct gguf_writer w = {0};
    struct sinq_source *source;
    struct sinq_model *model;
    struct sinq_error error;
    const uint64_t shape[2] = {4, 32};
    add_key_string(&w, "general.architecture", "mamba");
    add_gguf_tensor(&w, "blk.0.ssm_in.weight", 2, shape, SINQ_BLOCK_Q8_0, zeros, 4 * 34);
    struct gguf_bytes bytes = finish_gguf(&w, 2);
    ck_assert_int_eq(sinq_open_gguf_memory("f", bytes.data, bytes.size, &source, &error), SINQ_OK);
    ck_assert_str_eq(sinq_source_tensor(source, 0)->name, "blk.0.ssm_in.weight");
    ck_assert_str_eq(sinq_source_model_type(source), "mamba");
    ck_assert_uint_eq(sinq_source_sidecar_count(source), 1);
    ck_assert_int_eq(sinq_load_model(source, &model, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "\"mamba\" cannot run") != NULL, "%s", error.message);
    sinq_source_close(source);
    free(bytes.data);
}
END_TEST

START_TEST(blocks_that_are_not_finite_are_found) {
    struct gguf_writer w = {0};
    struct sinq_source *source;
    struct sinq_verify_summary summary;
    struct sinq_error error;
    const uint64_t shape[2] = {4, 32};
    uint8_t blocks[4 * 34] = {0};
    blocks[2 * 34 + 1] = 0x7c; /* the scale of row 2 is infinite, and so is code 1 */
    blocks[2 * 34 + 2 + 5] = 1;
    add_key_string(&w, "general.architecture", "mamba");
    add_gguf_tensor(&w, "a", 2, shape, SINQ_BLOCK_Q8_0, zeros, 4 * 34);
    add_gguf_tensor(&w, "b", 2, shape, SINQ_BLOCK_Q8_0, blocks, sizeof blocks);
    struct gguf_bytes bytes = finish_gguf(&w, 3);
    ck_assert_int_eq(sinq_open_gguf_memory("f", bytes.data, bytes.size, &source, &error), SINQ_OK);
    ck_assert_int_eq(sinq_verify(source, 1, NULL, NULL, &summary, &error), SINQ_CHECK_FAILED);
    ck_assert_msg(strstr(error.message, "f: tensor b: the value at row 2, column 0 is not finite") != NULL, "%s",
                  error.message);
    ck_assert_uint_eq(summary.tensors, 2);
    ck_assert_uint_eq(summary.nonfinite_tensors, 1);
    sinq_source_close(source);
    free(bytes.data);
}
END_TEST

UNIT_MAIN("gguf_source", every_family_is_the_same_through_gguf, golden_models_are_the_same_through_gguf,
          split_files_are_opened_by_their_first_part, contradictions_are_named, factors_of_ropes_are_finite,
          arrays_of_tokens_fit_each_other, unknown_architectures_show_the_files_names,
          blocks_that_are_not_finite_are_found)
