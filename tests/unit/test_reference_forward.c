/*
 * test_reference_forward.c: the engine against an independent forward pass in f64. The pass is first held to the golden logits
 * of Hugging Face transformers; then families and options that have no golden file are made up with random weights, and the
 * engine's logits are held to the pass.
 */
#include "base/file.h"
#include "reference_cases.h"

#define BOUND 2e-4 /* of the logits' standard deviation */

static double find_deviation(const double *values, size_t count) {
    double sum = 0.0, square = 0.0;
    for (size_t i = 0; i < count; i++) sum += values[i];
    for (size_t i = 0; i < count; i++) square += pow(values[i] - sum / (double)count, 2.0);
    return sqrt(square / (double)count);
}

/* Largest difference at any position, as a share of the deviation. */
static double find_worst(const double *expected, const float *logits, size_t count) {
    double worst = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs(expected[i] - (double)logits[i]);
        if (!(difference <= worst)) worst = difference; /* not-a-number is worst */
    }
    return worst / find_deviation(expected, count);
}

static void report(const char *name, double worst) {
    if (getenv("SINQ_ERRORS") != NULL) printf("%-40s %.2g\n", name, worst);
    ck_assert_msg(worst <= BOUND, "%s: logits are %.3g deviations off", name, worst);
}

/* ---- the pass against the golden logits ---- */

static void check_golden(const char *family) {
    static const char *const files[] = {"config.json", "golden.safetensors", "golden.json"};
    struct sinq_source *source, *outputs;
    struct sinq_error error;
    struct reference *const r = calloc(1, sizeof *r);
    char name[100], *paths[3], *text;
    size_t size;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "golden/arch/%s/%s", family, files[i]);
        paths[i] = find_shared(name);
    }
    if (paths[0] == NULL || r == NULL) {
        free(r);
        return;
    }
    ck_assert_int_eq(sinq_read_file(paths[2], 1 << 20, &text, &size, &error), SINQ_OK);
    cJSON *const golden = parse_config(text);
    free(text);
    ck_assert_int_eq(sinq_open_checkpoint(paths[1], &outputs, &error), SINQ_OK);
    *strrchr(paths[0], '/') = '\0';
    ck_assert_int_eq(sinq_open_checkpoint(paths[0], &source, &error), SINQ_OK);
    cJSON *const config = parse_config(sinq_source_config(source));
    r->config = config;
    r->source = source;
    int32_t tokens[POSITIONS];
    const cJSON *const ids = cJSON_GetObjectItemCaseSensitive(golden, "input_ids");
    for (int i = 0; i < POSITIONS; i++) tokens[i] = (int32_t)cJSON_GetArrayItem(ids, i)->valuedouble;
    double *const logits = run_reference(r, tokens, POSITIONS);
    float *const expected = malloc(POSITIONS * r->vocabulary * sizeof *expected);
    ck_assert_int_eq(
        sinq_read_rows(outputs, (size_t)sinq_source_find(outputs, "logits"), 0, POSITIONS, expected, &error), SINQ_OK);
    (void)snprintf(name, sizeof name, "the pass, %s", family);
    report(name, find_worst(logits, expected, POSITIONS * r->vocabulary));
    free(expected);
    free(logits);
    close_reference(r);
    cJSON_Delete(config);
    cJSON_Delete(golden);
    sinq_source_close(source);
    sinq_source_close(outputs);
    for (int i = 0; i < 3; i++) free(paths[i]);
    free(r);
}

START_TEST(the_pass_agrees_with_transformers) {
    static const char *const families[] = {"llama",      "llama3_rope", "mistral", "mixtral",     "qwen2",      "qwen3",
                                           "qwen3_yarn", "qwen3_moe",   "phi3",    "gemma3_text", "deepseek_v2"};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) check_golden(families[i]);
}
END_TEST

/* ---- the engine against the pass ---- */

static void feed(struct sinq_session *session, const int32_t *tokens, const size_t *pieces, size_t vocabulary,
                 float *logits) {
    struct sinq_error error;
    for (size_t fed = 0, i = 0; fed < POSITIONS; fed += pieces[i++]) {
        ck_assert_msg(sinq_session_feed(session, tokens + fed, pieces[i], &error) == SINQ_OK, "%s", error.message);
        ck_assert_msg(sinq_session_logits(session, 0, (uint32_t)pieces[i], logits + fed * vocabulary, &error) ==
                          SINQ_OK,
                      "%s", error.message);
    }
}

static void check_engine(const struct made_case *c, struct reference *r, const int32_t *tokens,
                         const double *expected) {
    const size_t vocabulary = r->vocabulary;
    static const size_t whole[] = {POSITIONS}, uneven[] = {1, 62, 1, 31, 40, 7, 18};
    const struct sinq_session_options options = {
        .exact = true, .kv_type = SINQ_KV_F32, .batch = POSITIONS, .context = POSITIONS, .threads = 1};
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    struct sinq_source *const source = open_good(scratch);
    ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s: %s", c->name, error.message);
    ck_assert_uint_eq(sinq_model_facts(model).vocabulary, vocabulary);
    ck_assert_msg(sinq_open_session(model, &options, &session, &error) == SINQ_OK, "%s: %s", c->name, error.message);
    float *const logits = malloc(POSITIONS * vocabulary * sizeof *logits);
    ck_assert_ptr_nonnull(logits);
    feed(session, tokens, whole, vocabulary, logits);
    report(c->name, find_worst(expected, logits, POSITIONS * vocabulary));
    if (c->in_pieces && !IS_SANITIZED) { /* sanitizers are slow */
        sinq_session_reset(session);
        feed(session, tokens, uneven, vocabulary, logits);
        /* Before longrope changes at 64, positions have short frequencies; from there on all is as if fed at once. */
        const size_t first = strstr(c->config, "longrope") != NULL ? 64 : 0;
        report(c->name, find_worst(expected + first * vocabulary, logits + first * vocabulary,
                                   (POSITIONS - first) * vocabulary));
    }
    /* Where the length is known beforehand, pieces are as the whole with every rope. */
    sinq_session_reset(session);
    sinq_session_announce(session, POSITIONS);
    feed(session, tokens, uneven, vocabulary, logits);
    report(c->name, find_worst(expected, logits, POSITIONS * vocabulary));
    free(logits);
    sinq_session_close(session);
    sinq_model_free(model);
    sinq_source_close(source);
}

START_TEST(the_engine_agrees_with_the_pass) { for_each_made_model(check_engine); }
END_TEST

/* Base models are saved without "model.", the text part of others within more. */
START_TEST(names_may_be_wrapped_otherwise) {
    static const char *const wrappers[] = {"", "language_model.model.", "model.language_model.", "transformer."};
    const struct made_case *const made = &made_cases[0];
    struct reference *const r = malloc(sizeof *r);
    int32_t tokens[POSITIONS];
    ck_assert_ptr_nonnull(r);
    make_folder();
    cJSON *const config = parse_config(made->config);
    double *const logits = make_up(made, config, 1, r, tokens);
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++) {
        write_wrapped(r, wrappers[i], made->config);
        check_engine(made, r, tokens, logits);
    }
    free(logits);
    close_reference(r);
    cJSON_Delete(config);
    free(r);
    remove_folder();
}
END_TEST

UNIT_MAIN("reference_forward", the_pass_agrees_with_transformers, the_engine_agrees_with_the_pass,
          names_may_be_wrapped_otherwise)
