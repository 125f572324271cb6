/* test_synthetic.c: made-up checkpoints: their sizes are those of the real models, they run, and what running them takes is counted right. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/source.h"
#include "eval/shapes.h"
#include "model/model.h"
#include "unit.h"

/* ---- shapes ---- */

/* Weights of all matrices and vectors, in thousands of millions; of a tied head once. */
static double count_parameters(const struct sinq_shape *shape) {
    struct sinq_model_config config;
    struct sinq_error error;
    char *const text = sinq_make_shape_config(shape);
    ck_assert_msg(sinq_read_model_config(shape->name, text, &config, &error) == SINQ_OK, "%s", error.message);
    struct sinq_graph *const graph = sinq_graph_create(&config, NULL, NULL);
    config.family->build(graph, &config);
    ck_assert_msg(sinq_graph_finish(graph, &error) == SINQ_OK, "%s", error.message);
    double parameters = 0;
    for (uint32_t i = 0; i < graph->want_count; i++) {
        parameters += (double)graph->wants[i].rows * (double)graph->wants[i].cols;
    }
    sinq_graph_free(graph);
    sinq_model_config_free(&config);
    free(text);
    return parameters * 1e-9;
}

/* As their makers say. */
START_TEST(shapes_have_the_sizes_of_the_real_models) {
    static const struct {
        const char *name;
        double billions;
        double within;
    } models[] = {
        {"tiny", 0, 0.01},         {"tiny-experts", 0, 0.01}, {"100m", 0.1007, 0.0001},  {"134m", 0.134, 0.001},
        {"4b", 3.67, 0.02},        {"qwen3-0.6b", 0.6, 0.01}, {"qwen3-1.7b", 1.7, 0.05}, {"qwen3-4b", 4.0, 0.05},
        {"qwen3-8b", 8.2, 0.05},   {"qwen3-14b", 14.8, 0.05}, {"qwen3-32b", 32.8, 0.05}, {"qwen3-30b-a3b", 30.5, 0.05},
        {"llama-1b", 1.24, 0.005}, {"llama-3b", 3.21, 0.005}, {"llama-8b", 8.03, 0.005}, {"gemma3-4b", 3.88, 0.01},
    };
    char all[400] = "";
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        const struct sinq_shape *const shape = sinq_find_shape(models[i].name);
        ck_assert_msg(shape != NULL, "%s is no shape", models[i].name);
        const double billions = count_parameters(shape);
        ck_assert_msg(fabs(billions - models[i].billions) <= models[i].within, "%s: %.4f billion parameters",
                      models[i].name, billions);
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i > 0 ? " " : "", models[i].name);
    }
    ck_assert_str_eq(all, SINQ_SHAPES);
    ck_assert_ptr_null(sinq_find_shape("huge"));
    ck_assert_ptr_null(sinq_find_shape(""));
}
END_TEST

/* ---- checkpoints ---- */

static struct sinq_synthetic_options describe(const char *shape, int bits) {
    struct sinq_synthetic_options options = {.shape = shape, .quantize = sinq_default_quantize_options()};
    options.quantize.bits = bits;
    options.quantize.method = SINQ_METHOD_SINQ; /* groups of 64, 8-bit scales and zero points */
    options.quantize.head_bits = options.quantize.embed_bits = bits;
    options.quantize.threads = 1;
    return options;
}

static struct sinq_source *open_synthetic(const struct sinq_synthetic_options *options) {
    struct sinq_source *source;
    struct sinq_error error;
    ck_assert_msg(sinq_open_synthetic(options, NULL, NULL, &source, &error) == SINQ_OK, "%s", error.message);
    return source;
}

/* Of all tensors' bytes. */
static struct sinq_hash hash_source(const struct sinq_source *source) {
    struct sinq_hash hashes[64];
    const size_t count = sinq_source_tensor_count(source);
    ck_assert_uint_le(count, 64);
    for (size_t i = 0; i < count; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        struct sinq_error error;
        char *const bytes = malloc(tensor->bytes);
        ck_assert_int_eq(sinq_read_bytes(source, i, 0, tensor->bytes, bytes, &error), SINQ_OK);
        hashes[i] = sinq_hash_bytes(bytes, tensor->bytes);
        free(bytes);
    }
    return sinq_hash_bytes(hashes, count * sizeof *hashes);
}

START_TEST(the_same_options_give_the_same_bytes) {
    struct sinq_synthetic_options options = describe("tiny", 4);
    struct sinq_source *const one = open_synthetic(&options);
    options.quantize.threads = 3;
    struct sinq_source *const other = open_synthetic(&options);
    const struct sinq_hash a = hash_source(one), b = hash_source(other);
    ck_assert_mem_eq(a.bytes, b.bytes, sizeof a.bytes);
    sinq_source_close(one);
    sinq_source_close(other);
}
END_TEST

/* Logits behind `count` tokens. */
static float *run_model(const struct sinq_model *model, const int32_t *tokens, size_t count) {
    const struct sinq_session_options options = {.context = 16, .threads = 1};
    struct sinq_session *session;
    struct sinq_error error;
    float *const logits = malloc(sinq_model_facts(model).vocabulary * sizeof *logits);
    ck_assert_msg(sinq_open_session(model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    ck_assert_int_eq(sinq_session_feed(session, tokens, count, &error), SINQ_OK);
    ck_assert_int_eq(sinq_session_logits(session, sinq_session_rows(session) - 1, 1, logits, &error), SINQ_OK);
    sinq_session_close(session);
    return logits;
}

/* Of order 1, whatever the method, and other ones for other tokens. */
static void check_logits(const struct sinq_model *model, const char *name) {
    static const int32_t tokens[] = {3, 700, 12, 3}, others[] = {3, 701, 12, 3};
    const uint32_t vocabulary = sinq_model_facts(model).vocabulary;
    float *const logits = run_model(model, tokens, 4), *const changed = run_model(model, others, 4);
    double squares = 0, difference = 0;
    for (uint32_t i = 0; i < vocabulary; i++) {
        squares += (double)logits[i] * (double)logits[i];
        difference += fabs((double)logits[i] - (double)changed[i]);
    }
    const double size = sqrt(squares / vocabulary);
    ck_assert_msg(size > 0.3 && size < 3, "%s: logits of size %g", name, size);
    ck_assert_msg(difference > 0, "%s: another token changes nothing", name);
    free(logits);
    free(changed);
}

START_TEST(made_up_models_run_as_they_were_asked_for) {
    static const struct {
        const char *name, *shape;
        int bits;
        enum sinq_method method;
        int group_size;
        enum sinq_aux_type scale_type;
    } cases[] = {
        {"2 bits", "tiny", 2, SINQ_METHOD_SINQ, 64, SINQ_AUX_U8},
        {"3 bits without column scales", "tiny", 3, SINQ_METHOD_RTN, 32, SINQ_AUX_U8},
        {"4 bits", "tiny", 4, SINQ_METHOD_SINQ, 64, SINQ_AUX_U8},
        {"4 bits f16", "tiny", 4, SINQ_METHOD_SINQ, 16, SINQ_AUX_F16},
        {"levels", "tiny", 4, SINQ_METHOD_SINQ_NF4, 64, SINQ_AUX_U8},
        {"three levels f16", "tiny", 3, SINQ_METHOD_NF3, 64, SINQ_AUX_F16},
        {"real zeros", "tiny", 5, SINQ_METHOD_SINQ_HQQ, 128, SINQ_AUX_U8},
        {"whole rows", "tiny", 6, SINQ_METHOD_SINQ, 0, SINQ_AUX_U8},
        {"8 bits", "tiny", 8, SINQ_METHOD_SINQ, 64, SINQ_AUX_U8},
        {"experts", "tiny-experts", 4, SINQ_METHOD_SINQ, 64, SINQ_AUX_U8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_synthetic_options options = describe(cases[i].shape, cases[i].bits);
        options.quantize.method = (int)cases[i].method;
        options.quantize.group_size = cases[i].group_size;
        options.quantize.scale_type = (int)cases[i].scale_type;
        struct sinq_source *const source = open_synthetic(&options);
        struct sinq_matrix_info info;
        struct sinq_model *model;
        struct sinq_error error;
        const int64_t tensor = sinq_source_find(source, "model.layers.1.self_attn.q_proj.weight");
        ck_assert_int_ge(tensor, 0);
        ck_assert_int_eq(sinq_source_matrix_info(source, (size_t)tensor, 0, &info, &error), SINQ_OK);
        ck_assert_msg(info.bits == (uint32_t)cases[i].bits && info.method == cases[i].method &&
                          info.group_size == (uint32_t)cases[i].group_size && info.scale_type == cases[i].scale_type,
                      "%s", cases[i].name);
        ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s: %s", cases[i].name, error.message);
        check_logits(model, cases[i].name);
        sinq_model_free(model);
        sinq_source_close(source);
    }
}
END_TEST

static int stop_at_once(void *user, const struct sinq_progress *progress) {
    (void)user;
    (void)progress;
    return 1;
}

START_TEST(what_cannot_be_made_says_so) {
    struct sinq_synthetic_options options = describe("huge", 4);
    struct sinq_source *source;
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_synthetic(&options, NULL, NULL, &source, &error), SINQ_USAGE);
    ck_assert_ptr_nonnull(strstr(error.message, "qwen3-32b"));
    options = describe("qwen3-32b", 4);
    options.memory = (uint64_t)1 << 30;
    ck_assert_int_eq(sinq_open_synthetic(&options, NULL, NULL, &source, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "there is room for 1.1 GB"));
    options = describe("tiny", 3);
    options.quantize.method = SINQ_METHOD_NF4;
    ck_assert_int_eq(sinq_open_synthetic(&options, NULL, NULL, &source, &error), SINQ_USAGE);
    options = describe("tiny", 4);
    ck_assert_int_eq(sinq_open_synthetic(&options, stop_at_once, NULL, &source, &error), SINQ_INTERRUPTED);
}
END_TEST

/* ---- work ---- */

/* Bytes of a quantized matrix at 4 bits, group 64, u8: codes, scales, ranges, column scales, zeros, header. */
static double matrix_bytes(double rows, double cols) {
    return rows * cols / 2 + 2 * rows * cols / 64 + rows / 32 * cols / 64 * 4 + cols * 2 + 128;
}

/* tiny: hidden 256, ffn 512, 2 layers, 4 heads and 2 kv heads of 64, vocabulary 1024. */
START_TEST(work_is_what_it_is_on_paper) {
    static const struct {
        const char *name;
        struct sinq_session_options options;
        uint64_t position;
        uint32_t count, rows;
        double kv_entry;          /* bytes of a head's key and value */
        double seen, seen_by_all; /* positions that the last token sees, and that all tokens see together */
    } cases[] = {
        {"first token", {.kv_type = SINQ_KV_F16}, 0, 1, 1, 256, 1, 1},
        {"a token", {.kv_type = SINQ_KV_F16}, 99, 1, 1, 256, 100, 100},
        {"a token without logits", {.kv_type = SINQ_KV_F16}, 99, 1, 0, 256, 100, 100},
        {"f32 cache", {.kv_type = SINQ_KV_F32}, 99, 1, 1, 512, 100, 100},
        {"int8 cache", {.kv_type = SINQ_KV_I8}, 99, 1, 1, 136, 100, 100},
        {"exact", {.kv_type = SINQ_KV_F16, .exact = true}, 9, 1, 1, 256, 10, 10},
        {"prompt", {.kv_type = SINQ_KV_F16}, 0, 4, 1, 256, 4, 10},
        {"rest of a prompt", {.kv_type = SINQ_KV_F16}, 10, 3, 3, 256, 13, 36},
    };
    const struct sinq_synthetic_options made = describe("tiny", 4);
    struct sinq_source *const source = open_synthetic(&made);
    struct sinq_model *model;
    struct sinq_error error;
    ck_assert_int_eq(sinq_load_model(source, &model, &error), SINQ_OK);
    const double attention_weights = 256 * 256 * 2 + 256 * 128 * 2, layer_weights = attention_weights + 3 * 256 * 512;
    const double layer_bytes =
        2 * matrix_bytes(256, 256) + 2 * matrix_bytes(128, 256) + 2 * matrix_bytes(512, 256) + matrix_bytes(256, 512);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_work work =
            sinq_count_work(model, &cases[i].options, cases[i].position, cases[i].count, cases[i].rows);
        const double head = cases[i].rows > 0 ? matrix_bytes(1024, 256) : 0;
        const double norms = (cases[i].rows > 0 ? 5 : 4) * 256 * 4, row = matrix_bytes(1024, 256) / 1024;
        const double operations = 2 * (2 * layer_weights * cases[i].count + 1024.0 * 256 * cases[i].rows);
        const char *const name = cases[i].name;
        ck_assert_msg(fabs(work.weight_bytes - 2 * layer_bytes - head) < 1, "%s: %.1f bytes of weights", name,
                      work.weight_bytes);
        ck_assert_msg(work.kv_bytes == 2 * 2 * cases[i].kv_entry * cases[i].seen, "%s: %.1f bytes of keys and values",
                      name, work.kv_bytes);
        ck_assert_msg(fabs(work.other_bytes - norms - row * cases[i].count) < 1, "%s: %.1f other bytes", name,
                      work.other_bytes);
        ck_assert_msg(work.int8_operations == (cases[i].options.exact ? 0 : operations), "%s: %.1f int8", name,
                      work.int8_operations);
        ck_assert_msg(work.f32_operations == (cases[i].options.exact ? operations : 0), "%s: %.1f f32", name,
                      work.f32_operations);
        ck_assert_msg(work.attention_operations == 2 * 2.0 * 4 * 128 * cases[i].seen_by_all, "%s: %.1f of attention",
                      name, work.attention_operations);
    }
    ck_assert_uint_eq(sinq_model_facts(model).active_bytes, (uint64_t)(2 * layer_bytes + matrix_bytes(1024, 256)));
    sinq_model_free(model);
    sinq_source_close(source);
}
END_TEST

/* tiny-experts: 8 experts of 128, 2 of them for each token. */
START_TEST(only_chosen_experts_are_read) {
    const struct sinq_synthetic_options made = describe("tiny-experts", 4);
    const struct sinq_session_options options = {.kv_type = SINQ_KV_F16};
    struct sinq_source *const source = open_synthetic(&made);
    struct sinq_model *model;
    struct sinq_error error;
    ck_assert_int_eq(sinq_load_model(source, &model, &error), SINQ_OK);
    const double expert = 2 * matrix_bytes(128, 256) + matrix_bytes(256, 128), router = 8 * 256 * 2;
    const double attention = 2 * matrix_bytes(256, 256) + 2 * matrix_bytes(128, 256), head = matrix_bytes(1024, 256);
    const struct sinq_work one = sinq_count_work(model, &options, 0, 1, 1);
    const struct sinq_work many = sinq_count_work(model, &options, 0, 100, 1);
    ck_assert_double_eq_tol(one.weight_bytes, 2 * (attention + router + 2 * expert) + head, 1);
    ck_assert_double_eq_tol(many.weight_bytes, 2 * (attention + router + 8 * expert) + head, 1);
    ck_assert_double_eq(one.f32_operations, 2.0 * 2 * 8 * 256); /* routers stay bf16 */
    ck_assert_double_eq(one.int8_operations, 2 * (2 * (196608.0 + 2 * 3 * 128 * 256) + 1024 * 256));
    sinq_model_free(model);
    sinq_source_close(source);
}
END_TEST

/* ---- profiles ---- */

START_TEST(profiles_tell_where_time_goes) {
    static const char *const expected[] = {"embedding",     "norm",      "self_attn.q_proj",
                                           "mlp.down_proj", "attention", "head"};
    static const int32_t tokens[] = {1, 2, 3};
    enum { MOST = 64 };
    const struct sinq_synthetic_options made = describe("tiny", 4);
    struct sinq_source *const source = open_synthetic(&made);
    struct sinq_profile_entry entries[MOST];
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    float logits[1024];
    ck_assert_int_eq(sinq_load_model(source, &model, &error), SINQ_OK);
    for (int is_wanted = 0; is_wanted < 2; is_wanted++) {
        const struct sinq_session_options options = {.context = 8, .threads = 2, .profile = is_wanted != 0};
        ck_assert_int_eq(sinq_open_session(model, &options, &session, &error), SINQ_OK);
        ck_assert_int_eq(sinq_session_feed(session, tokens, 3, &error), SINQ_OK);
        ck_assert_int_eq(sinq_session_logits(session, 0, 1, logits, &error), SINQ_OK);
        const size_t count = sinq_session_profile(session, entries, MOST);
        ck_assert_uint_eq(count > 0, is_wanted != 0);
        double seconds = 0;
        for (size_t i = 0; i < count; i++) seconds += entries[i].seconds;
        for (size_t k = 0; is_wanted != 0 && k < sizeof expected / sizeof expected[0]; k++) {
            size_t i = 0;
            while (i < count && strcmp(entries[i].name, expected[k]) != 0) i++;
            ck_assert_msg(i < count, "%s is not there", expected[k]);
        }
        ck_assert(seconds > 0 || is_wanted == 0);
        ck_assert_uint_eq(sinq_session_profile(session, entries, 1), count); /* and starts anew */
        ck_assert(count == 0 || entries[0].seconds == 0);
        sinq_session_close(session);
    }
    sinq_model_free(model);
    sinq_source_close(source);
}
END_TEST

UNIT_MAIN("synthetic", shapes_have_the_sizes_of_the_real_models, the_same_options_give_the_same_bytes,
          made_up_models_run_as_they_were_asked_for, what_cannot_be_made_says_so, work_is_what_it_is_on_paper,
          only_chosen_experts_are_read, profiles_tell_where_time_goes)
