/*
 * test_quantized_models.c: models run from quantized matrices as from the same weights rebuilt in f32, for every architecture of
 * the golden checkpoints, every width and form of levels; and int8 activations stay near.
 */
#include <math.h>
#include <string.h>

#include "checkpoint/source.h"
#include "formats.h"
#include "model/model.h"
#include "unit.h"

enum { TOKENS = 48 };

/* How far int8 activations may be off: with experts a token may go to another one. */
static const struct {
    const char *name;
    double int8_rms;
} families[] = {{"llama", 0.06},  {"qwen2", 0.06},    {"qwen3", 0.06},       {"mistral", 0.06},   {"phi3", 0.06},
                {"mixtral", 0.5}, {"qwen3_moe", 0.5}, {"gemma3_text", 0.06}, {"deepseek_v2", 0.5}};

/* A view of a source whose quantized tensors can be read as rows alone. */
struct rebuilt_source {
    struct sinq_source base;
    const struct sinq_source *origin;
};

static const struct sinq_source *origin_of(const struct sinq_source *source) {
    return ((const struct rebuilt_source *)(const void *)source)->origin;
}

static int read_origin_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                             struct sinq_error *error) {
    return sinq_read_bytes(origin_of(source), tensor, offset, size, out, error);
}

static int read_origin_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count, float *out,
                            struct sinq_error *error) {
    return sinq_read_rows(origin_of(source), tensor, first, count, out, error);
}

static int read_origin_info(const struct sinq_source *source, size_t tensor, uint64_t index,
                            struct sinq_matrix_info *info, struct sinq_error *error) {
    return sinq_source_matrix_info(origin_of(source), tensor, index, info, error);
}

static struct rebuilt_source rebuild(const struct sinq_source *origin) {
    static const struct sinq_source_ops ops = {
        .read_bytes = read_origin_bytes, .read_rows = read_origin_rows, .matrix_info = read_origin_info};
    struct rebuilt_source rebuilt = {.base = *origin, .origin = origin};
    rebuilt.base.ops = &ops;
    return rebuilt;
}

/* Logits of the last token and all before it. */
static float *find_logits(const struct sinq_source *source, bool exact) {
    const struct sinq_session_options options = {.exact = exact, .kv_type = SINQ_KV_F32, .context = 64, .threads = 2};
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    int32_t tokens[TOKENS];
    ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s", error.message);
    const uint32_t vocabulary = sinq_model_facts(model).vocabulary;
    for (int i = 0; i < TOKENS; i++) tokens[i] = (i * 37 + 1) % (int)vocabulary;
    float *const logits = malloc((size_t)TOKENS * vocabulary * sizeof *logits);
    ck_assert_msg(sinq_open_session(model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_session_feed(session, tokens, TOKENS, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_session_logits(session, 0, TOKENS, logits, &error) == SINQ_OK, "%s", error.message);
    sinq_session_close(session);
    sinq_model_free(model);
    return logits;
}

struct distance {
    double worst, rms; /* as shares of the deviation */
};

static struct distance measure(const float *a, const float *b, size_t count) {
    double worst = 0, square = 0, sum = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)a[i] - b[i]);
        if (!(difference <= worst)) worst = difference;
        square += difference * difference;
        sum += b[i];
        norm += (double)b[i] * b[i];
    }
    const double n = (double)count, deviation = sqrt(norm / n - sum / n * (sum / n));
    return (struct distance){worst / deviation, sqrt(square / n) / deviation};
}

/* All of them for the first family, every third for the others. */
static const char *const settings[] = {
    "bits:4",
    "bits:2",
    "bits:3",
    "bits:5",
    "bits:6",
    "bits:8",
    "bits:4,group:32",
    "bits:4,group:row",
    "bits:4,method:sinq-nf4",
    "bits:3,method:nf3",
    "bits:4,method:rtn,scale:f16",
    "bits:4,method:hqq,group:128",
};

static void compare_setting(size_t f, const struct sinq_source *source, const char *setting) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_recipe *recipe;
    struct sinq_source *trial;
    struct sinq_error error;
    options.is_trial = true;
    const bool has_own_levels = strstr(setting, "nf") != NULL; /* their bits are given by the method */
    options.head_bits = has_own_levels ? 0 : 6;
    options.embed_bits = has_own_levels ? 0 : 8;
    ck_assert_msg(sinq_parse_quantize_setting(setting, &options, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_make_recipe(source, &options, &recipe, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_open_trial(source, recipe, &trial, &error) == SINQ_OK, "%s", error.message);
    struct rebuilt_source rebuilt = rebuild(trial);
    struct sinq_model *model;
    ck_assert_msg(sinq_load_model(trial, &model, &error) == SINQ_OK, "%s", error.message);
    const size_t count = (size_t)TOKENS * sinq_model_facts(model).vocabulary;
    sinq_model_free(model);
    float *const dense = find_logits(&rebuilt.base, true), *const exact = find_logits(trial, true);
    float *const quick = find_logits(trial, false);
    const struct distance exactly = measure(exact, dense, count), quickly = measure(quick, dense, count);
    if (getenv("SINQ_VERBOSE") != NULL) {
        printf("%-12s %-28s exact: worst %.2g; int8: rms %.2g\n", families[f].name, setting, exactly.worst,
               quickly.rms);
    }
    ck_assert_msg(exactly.worst <= 5e-5, "%s, %s: off by %g", families[f].name, setting, exactly.worst);
    ck_assert_msg(quickly.rms <= families[f].int8_rms, "%s, %s: int8 off by %g", families[f].name, setting,
                  quickly.rms);
    free(dense);
    free(exact);
    free(quick);
    sinq_source_close(trial);
    sinq_recipe_free(recipe);
}

START_TEST(quantized_matrices_run_as_the_weights_they_stand_for) {
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        char name[200];
        struct sinq_source *source;
        struct sinq_error error;
        snprintf(name, sizeof name, "golden/arch/%s/config.json", families[f].name);
        char *const path = find_shared(name);
        if (path == NULL) return;
        *strrchr(path, '/') = '\0';
        ck_assert_msg(sinq_open_checkpoint(path, &source, &error) == SINQ_OK, "%s", error.message);
        for (size_t s = 0; s < sizeof settings / sizeof settings[0]; s++) {
            if (f == 0 || (s + f) % 3 == 0) compare_setting(f, source, settings[s]);
        }
        sinq_source_close(source);
        free(path);
    }
}
END_TEST

UNIT_MAIN("quantized models", quantized_matrices_run_as_the_weights_they_stand_for)
