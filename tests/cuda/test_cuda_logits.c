/* test_cuda_logits.c: whole models on a CUDA device, against the CPU's exact path: golden checkpoints, and made-up quantized ones. */
#include <math.h>
#include <string.h>

#include "cuda_device.h"
#include "formats.h"
#include "model/model.h"

enum { POSITIONS = 160, MOST_PIECES = 4 };

#define BOUND    1e-2 /* relative norm of the difference */
#define RANDOM   3e-2 /* likewise, of random weights with keys and values in int8: see find_first_decile */
#define F32_KV   1e-2 /* where keys and values are in f32 on both sides */
#define DIVISION 1e-2 /* between two divisions of the same tokens into batches: large ones are multiplied in f16 */

static const char *const families[] = {"llama",      "llama3_rope", "mistral", "mixtral",     "qwen2",      "qwen3",
                                       "qwen3_yarn", "qwen3_moe",   "phi3",    "gemma3_text", "deepseek_v2"};

static struct sinq_model *load_on(const struct sinq_source *source, struct sinq_backend *backend, const char *name) {
    struct sinq_model *model = NULL;
    struct sinq_error error;
    ck_assert_msg(sinq_load_model_on(source, backend, &model, &error) == SINQ_OK, "%s: %s", name, error.message);
    return model;
}

static struct sinq_backend *open_processor(void) {
    struct sinq_backend *backend = NULL;
    ck_assert_int_eq(sinq_open_cpu_backend(&backend, NULL), SINQ_OK);
    return backend;
}

/* All logits of tokens 0 .. POSITIONS, fed in pieces of sizes[0], sizes[1], ... in turn. malloc'ed. */
static float *find_logits(const struct sinq_model *model, enum sinq_kv_type kv, const uint32_t *sizes, size_t count) {
    const struct sinq_session_options options = {
        .exact = true, .kv_type = kv, .batch = 64, .context = POSITIONS, .threads = 2};
    const size_t vocabulary = sinq_model_facts(model).vocabulary;
    float *const logits = malloc(POSITIONS * vocabulary * sizeof *logits);
    struct sinq_session *session = NULL;
    struct sinq_error error = {.message = ""};
    int32_t tokens[POSITIONS];
    for (size_t i = 0; i < POSITIONS; i++) tokens[i] = (int32_t)((i * 37 + i * i) % vocabulary);
    int status = sinq_open_session(model, &options, &session, &error);
    for (size_t fed = 0, i = 0; fed < POSITIONS && status == SINQ_OK; i++) {
        const size_t left = POSITIONS - fed, size = sizes[i % count] < left ? sizes[i % count] : left;
        status = sinq_session_feed(session, tokens + fed, size, &error);
        if (status == SINQ_OK) {
            status = sinq_session_logits(session, 0, (uint32_t)size, logits + fed * vocabulary, &error);
        }
        fed += size;
    }
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    sinq_session_close(session);
    return logits;
}

static const uint32_t whole[] = {64}, single[] = {1}, uneven[] = {1, 7, 32, 3};

/*
 * Batches are multiplied in f16, keys and values in int8 are rounded anew: where two experts are all but equal, a model may then choose
 * the other one, and all that follows differs. The error that a tenth of the positions do not exceed: those before.
 */
static double find_first_decile(const float *a, const float *b, size_t vocabulary) {
    size_t larger[POSITIONS] = {0};
    double errors[POSITIONS];
    for (size_t p = 0; p < POSITIONS; p++)
        errors[p] = relative_norm(a + p * vocabulary, b + p * vocabulary, vocabulary);
    for (size_t p = 0; p < POSITIONS; p++) {
        for (size_t o = 0; o < POSITIONS; o++) larger[p] += !(errors[o] <= errors[p]);
    }
    for (size_t p = 0; p < POSITIONS; p++) {
        if (larger[p] == POSITIONS - 1 - POSITIONS / 10) return errors[p];
    }
    return NAN;
}

/* One model on both. */
static void compare(const struct sinq_source *source, const char *name, bool has_experts) {
    static const struct {
        const char *name;
        enum sinq_kv_type kv;
        double bound;
    } types[] = {{"f32", SINQ_KV_F32, F32_KV}, {"f16", SINQ_KV_F16, BOUND}, {"i8", SINQ_KV_I8, BOUND}};
    struct sinq_model *const cpu = load_on(source, open_processor(), name), *const cuda =
                                                                                load_on(source, open_cuda(), name);
    const size_t count = POSITIONS * (size_t)sinq_model_facts(cpu).vocabulary;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        float *const expected = find_logits(cpu, types[t].kv, whole, 1);
        float *const batches = find_logits(cuda, types[t].kv, whole, 1);
        float *const tokens = find_logits(cuda, types[t].kv, single, 1);
        float *const pieces = find_logits(cuda, types[t].kv, uneven, 4);
        const bool may_flip = has_experts; /* batches are multiplied in f16, see find_first_decile */
        const double error = may_flip ? find_first_decile(batches, expected, count / POSITIONS)
                                      : relative_norm(batches, expected, count);
        const double alone =
            may_flip ? find_first_decile(tokens, expected, count / POSITIONS) : relative_norm(tokens, expected, count);
        const double division = fmax(relative_norm(tokens, batches, count), relative_norm(pieces, batches, count));
        if (getenv("SINQ_VERBOSE") != NULL) {
            printf("%-16s %s: %.2g in batches, %.2g one by one, %.2g between them\n", name, types[t].name, error, alone,
                   division);
        }
        const double bound = may_flip && types[t].kv == SINQ_KV_I8 ? RANDOM : types[t].bound;
        ck_assert_msg(error <= bound && alone <= bound,
                      "%s, keys and values in %s: logits differ by %g in batches, by %g one by one", name,
                      types[t].name, error, alone);
        ck_assert_msg(may_flip || types[t].kv == SINQ_KV_I8 || division <= DIVISION,
                      "%s: divisions into batches differ by %g", name, division);
        free(expected);
        free(batches);
        free(tokens);
        free(pieces);
    }
    sinq_model_free(cuda);
    sinq_model_free(cpu);
}

static bool has_device(void) {
    struct sinq_backend *const backend = open_cuda();
    if (backend != NULL) backend->ops->close(backend);
    return backend != NULL;
}

START_TEST(golden_checkpoints) {
    if (!has_device()) return;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        char name[200];
        struct sinq_source *source;
        struct sinq_error error;
        snprintf(name, sizeof name, "golden/arch/%s/config.json", families[f]);
        char *const path = find_shared(name);
        if (path == NULL) return;
        *strrchr(path, '/') = '\0';
        ck_assert_msg(sinq_open_checkpoint(path, &source, &error) == SINQ_OK, "%s", error.message);
        compare(source, families[f], strstr("mixtral qwen3_moe deepseek_v2", families[f]) != NULL);
        sinq_source_close(source);
        free(path);
    }
}
END_TEST

/* A quantized checkpoint of 3 million weights comes with the sources. */
START_TEST(the_example) {
    struct sinq_source *source;
    struct sinq_error error;
    if (!has_device()) return;
    ck_assert_msg(sinq_open_checkpoint(getenv("SINQ_EXAMPLE"), &source, &error) == SINQ_OK, "%s", error.message);
    compare(source, "classics-3m", false);
    sinq_source_close(source);
}
END_TEST

/*
 * Matrices so large that each multiprocessor has tiles of all products (stream.cu), which then do without small kernels: tokens one by
 * one against batches, which are multiplied by tiles.
 */
START_TEST(made_up_wide_model) {
    static const struct {
        int bits, group; /* -1: a form for each tensor, as the default recipe has it (mixed.cu) */
        enum sinq_kv_type kv;
    } ways[] = {{4, 64, SINQ_KV_F16}, {3, 64, SINQ_KV_F32}, {2, 64, SINQ_KV_F16}, {8, 64, SINQ_KV_F32},
                {4, -1, SINQ_KV_F32}, {3, -1, SINQ_KV_F16}, {2, -1, SINQ_KV_F32}};
    if (!has_device()) return;
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        struct sinq_synthetic_options options = {.shape = "4b"};
        options.quantize = sinq_default_quantize_options();
        options.quantize.bits = options.quantize.head_bits = options.quantize.embed_bits = ways[w].bits;
        options.quantize.group_size = ways[w].group;
        struct sinq_source *source;
        struct sinq_error error;
        ck_assert_msg(sinq_open_synthetic(&options, NULL, NULL, &source, &error) == SINQ_OK, "%s", error.message);
        struct sinq_model *const model = load_on(source, open_cuda(), "4b");
        float *const batches = find_logits(model, ways[w].kv, whole, 1), *const tokens =
                                                                             find_logits(model, ways[w].kv, single, 1);
        const double error_of_all =
            relative_norm(tokens, batches, POSITIONS * (size_t)sinq_model_facts(model).vocabulary);
        if (getenv("SINQ_VERBOSE") != NULL)
            printf("wide, %d bits, group %d: %.2g between one by one and batches\n", ways[w].bits, ways[w].group,
                   error_of_all);
        ck_assert_msg(error_of_all <= BOUND, "%d bits, group %d: one by one and in batches differ by %g", ways[w].bits,
                      ways[w].group, error_of_all);
        free(batches);
        free(tokens);
        sinq_model_free(model);
        sinq_source_close(source);
    }
}
END_TEST

START_TEST(made_up_models_of_every_width_and_method) {
    static const char *const shapes[] = {"tiny", "tiny-experts"};
    static const struct {
        int bits, group;
        enum sinq_method method;
        enum sinq_aux_type scales;
    } ways[] = {{2, 64, SINQ_METHOD_SINQ, SINQ_AUX_U8},     {3, 64, SINQ_METHOD_SINQ, SINQ_AUX_U8},
                {4, 64, SINQ_METHOD_SINQ, SINQ_AUX_U8},     {5, 32, SINQ_METHOD_RTN, SINQ_AUX_F16},
                {6, 128, SINQ_METHOD_HQQ, SINQ_AUX_F16},    {8, 64, SINQ_METHOD_SINQ, SINQ_AUX_U8},
                {4, 16, SINQ_METHOD_SINQ_HQQ, SINQ_AUX_U8}, {4, 64, SINQ_METHOD_SINQ_NF4, SINQ_AUX_U8},
                {3, 64, SINQ_METHOD_NF3, SINQ_AUX_F16},     {4, SINQ_GROUP_ROW, SINQ_METHOD_SINQ, SINQ_AUX_F16}};
    if (!has_device()) return;
    for (size_t s = 0; s < 2; s++) {
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
            struct sinq_synthetic_options options = {.shape = shapes[s]};
            options.quantize = sinq_default_quantize_options();
            options.quantize.bits = ways[w].bits;
            options.quantize.group_size = ways[w].group;
            options.quantize.method = (int)ways[w].method;
            options.quantize.scale_type = (int)ways[w].scales;
            options.quantize.head_bits = options.quantize.embed_bits = ways[w].bits;
            char name[80];
            struct sinq_source *source;
            struct sinq_error error;
            snprintf(name, sizeof name, "%s-%d-%d-%s", shapes[s], ways[w].bits, ways[w].group,
                     sinq_method_name(ways[w].method));
            ck_assert_msg(sinq_open_synthetic(&options, NULL, NULL, &source, &error) == SINQ_OK, "%s", error.message);
            compare(source, name, s == 1);
            sinq_source_close(source);
        }
    }
}
END_TEST

UNIT_MAIN("CUDA logits", golden_checkpoints, the_example, made_up_models_of_every_width_and_method, made_up_wide_model)
