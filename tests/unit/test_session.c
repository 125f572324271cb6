/* test_session.c: a session's timeline: what it refuses, going back, windows that forget, cache types, many threads. */
#include <math.h>
#include <string.h>

#include "formats.h"
#include "unit.h"

struct opened {
    struct sinq_source *source;
    struct sinq_model *model;
    uint32_t vocabulary;
};

static bool open_path(const char *path, struct opened *opened) {
    struct sinq_error error;
    ck_assert_msg(sinq_open_checkpoint(path, &opened->source, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_load_model(opened->source, &opened->model, &error) == SINQ_OK, "%s", error.message);
    opened->vocabulary = sinq_model_facts(opened->model).vocabulary;
    return true;
}

static bool open_golden(const char *family, struct opened *opened) {
    char name[200];
    snprintf(name, sizeof name, "golden/arch/%s/config.json", family);
    char *const path = find_shared(name);
    if (path == NULL) return false;
    *strrchr(path, '/') = '\0';
    const bool is_open = open_path(path, opened);
    free(path);
    return is_open;
}

static void close_opened(struct opened *opened) {
    sinq_model_free(opened->model);
    sinq_source_close(opened->source);
}

static struct sinq_session *open_session(const struct opened *opened, struct sinq_session_options options) {
    struct sinq_session *session;
    struct sinq_error error;
    ck_assert_msg(sinq_open_session(opened->model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    return session;
}

/* Made-up tokens; the seed gives different ones. */
static void make_tokens(const struct opened *opened, unsigned seed, int32_t *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((seed >> 8) % opened->vocabulary);
    }
}

static void feed(struct sinq_session *session, const int32_t *tokens, size_t count) {
    struct sinq_error error;
    ck_assert_msg(sinq_session_feed(session, tokens, count, &error) == SINQ_OK, "%s", error.message);
}

static float *last_logits(const struct opened *opened, struct sinq_session *session) {
    struct sinq_error error;
    float *const logits = malloc(opened->vocabulary * sizeof *logits);
    ck_assert_msg(sinq_session_logits(session, sinq_session_rows(session) - 1, 1, logits, &error) == SINQ_OK, "%s",
                  error.message);
    return logits;
}

/* Root mean square difference as a share of the deviation of b. */
static double find_distance(const float *a, const float *b, size_t count) {
    double square = 0, sum = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        square += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        sum += b[i];
        norm += (double)b[i] * b[i];
    }
    const double n = (double)count;
    return sqrt(square / n) / sqrt(norm / n - sum / n * (sum / n));
}

START_TEST(what_cannot_be_is_refused_and_changes_nothing) {
    struct opened opened;
    struct sinq_error error;
    open_path(getenv("SINQ_EXAMPLE"), &opened);
    struct sinq_session *session = NULL;
    const struct sinq_session_options large = {.context = 1u << 30};
    ck_assert_int_eq(sinq_open_session(opened.model, &large, &session, &error), SINQ_USAGE);
    ck_assert_ptr_nonnull(strstr(error.message, "more than the model's"));
    const struct sinq_session_options many = {.sequences = 5000};
    ck_assert_int_eq(sinq_open_session(opened.model, &many, &session, &error), SINQ_USAGE);
    ck_assert_str_eq(error.message, "5000 sequences side by side, expected 4096 at most");

    session = open_session(&opened, (struct sinq_session_options){.context = 8, .batch = 4, .exact = true});
    const int32_t tokens[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const int32_t bad[][2] = {{1, -1}, {1, (int32_t)opened.vocabulary}};
    feed(session, tokens, 3);
    float *const before = last_logits(&opened, session);
    ck_assert_int_eq(sinq_session_feed(session, tokens, 6, &error), SINQ_FAILED);
    ck_assert_str_eq(error.message, "6 tokens after 3 do not fit a context of 8");
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(sinq_session_feed(session, bad[i], 2, &error), SINQ_FAILED);
        ck_assert_ptr_nonnull(strstr(error.message, "outside the model's vocabulary of 4096"));
    }
    ck_assert_uint_eq(sinq_session_position(session), 3);
    float *const after = last_logits(&opened, session);
    ck_assert_mem_eq(before, after, opened.vocabulary * sizeof *before);
    ck_assert_int_eq(sinq_session_logits(session, 3, 1, after, &error), SINQ_USAGE);
    ck_assert_int_eq(sinq_session_logits(session, 0, 4, after, &error), SINQ_USAGE);
    feed(session, tokens, 5); /* the last position of the context */
    ck_assert_uint_eq(sinq_session_rows(session), 4);
    ck_assert_int_eq(sinq_session_feed(session, tokens, 1, &error), SINQ_FAILED);
    free(before);
    free(after);
    sinq_session_close(session);
    close_opened(&opened);
}
END_TEST

/* Feeding `first`, going back to `keep` and feeding `second` must be as feeding the two parts to a new session. */
static void compare_rewound(const struct opened *opened, struct sinq_session_options options, size_t first,
                            uint64_t keep, uint64_t expected, size_t second) {
    int32_t tokens[512], others[512];
    make_tokens(opened, 1, tokens, first);
    make_tokens(opened, 2, others, second);
    struct sinq_session *const session = open_session(opened, options), *const fresh = open_session(opened, options);
    feed(session, tokens, first);
    const uint64_t kept = sinq_session_rewind(session, keep);
    ck_assert_uint_eq(kept, expected);
    ck_assert_uint_eq(sinq_session_rows(session), 0);
    feed(session, others, second);
    if (kept > 0) feed(fresh, tokens, kept);
    feed(fresh, others, second);
    float *const a = last_logits(opened, session), *const b = last_logits(opened, fresh);
    ck_assert_double_le(find_distance(a, b, opened->vocabulary), 1e-5);
    free(a);
    free(b);
    sinq_session_close(session);
    sinq_session_close(fresh);
}

START_TEST(going_back_is_as_never_having_been_further) {
    const struct sinq_session_options options = {.context = 200, .batch = 16, .exact = true, .kv_type = SINQ_KV_F32};
    struct opened opened;
    open_path(getenv("SINQ_EXAMPLE"), &opened);
    compare_rewound(&opened, options, 50, 20, 20, 30);
    compare_rewound(&opened, options, 50, 50, 50, 3);
    compare_rewound(&opened, options, 50, 60, 50, 3);
    compare_rewound(&opened, options, 50, 0, 0, 3);
    close_opened(&opened);
    /* Windows of 16 positions in caches of 32: 5 positions back are still there, 40 are not. */
    if (!open_golden("mistral", &opened)) return;
    compare_rewound(&opened, options, 100, 95, 95, 30);
    compare_rewound(&opened, options, 100, 60, 0, 30);
    close_opened(&opened);
}
END_TEST

START_TEST(cache_types_and_threads_give_nearly_the_same) {
    static const struct {
        const char *name;
        struct sinq_session_options options;
        double bound;
    } cases[] = {
        {"f16", {.kv_type = SINQ_KV_F16, .exact = true}, 2e-3},
        {"int8", {.kv_type = SINQ_KV_I8, .exact = true}, 3e-2},
        {"7 threads", {.kv_type = SINQ_KV_F32, .exact = true, .threads = 7}, 1e-5},
        {"batches of 3", {.kv_type = SINQ_KV_F32, .exact = true, .batch = 3}, 1e-5},
    };
    struct opened opened;
    int32_t tokens[150];
    open_path(getenv("SINQ_EXAMPLE"), &opened);
    make_tokens(&opened, 3, tokens, 150);
    struct sinq_session *const plain =
        open_session(&opened, (struct sinq_session_options){.kv_type = SINQ_KV_F32, .exact = true, .threads = 1});
    feed(plain, tokens, 150);
    float *const expected = last_logits(&opened, plain);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_session *const session = open_session(&opened, cases[i].options);
        feed(session, tokens, 150);
        float *const found = last_logits(&opened, session);
        const double distance = find_distance(found, expected, opened.vocabulary);
        if (getenv("SINQ_VERBOSE") != NULL) printf("%s: %.2g\n", cases[i].name, distance);
        ck_assert_msg(distance <= cases[i].bound, "%s: off by %g", cases[i].name, distance);
        free(found);
        sinq_session_close(session);
    }
    free(expected);
    sinq_session_close(plain);
    close_opened(&opened);
}
END_TEST

START_TEST(a_plan_is_what_is_taken) {
    struct opened opened;
    struct sinq_plan small, large, side_by_side;
    struct sinq_error error;
    open_path(getenv("SINQ_EXAMPLE"), &opened);
    const struct sinq_session_options options[] = {{.context = 128, .kv_type = SINQ_KV_F16},
                                                   {.context = 256, .kv_type = SINQ_KV_F16},
                                                   {.context = 128, .kv_type = SINQ_KV_F16, .sequences = 3}};
    ck_assert_int_eq(sinq_plan_session(opened.source, &options[0], &small, &error), SINQ_OK);
    ck_assert_int_eq(sinq_plan_session(opened.source, &options[1], &large, &error), SINQ_OK);
    ck_assert_uint_eq(small.context, 128);
    ck_assert_uint_eq(small.batch, 128);
    ck_assert_uint_eq(large.kv_bytes, 2 * small.kv_bytes);
    ck_assert_int_eq(sinq_plan_session(opened.source, &options[2], &side_by_side, &error), SINQ_OK);
    ck_assert_uint_eq(side_by_side.kv_bytes, 3 * small.kv_bytes);
    ck_assert_uint_gt(side_by_side.scratch_bytes, 2 * small.scratch_bytes);
    ck_assert_uint_eq(small.weight_bytes, sinq_model_facts(opened.model).weight_bytes);
    ck_assert_uint_eq(small.total_bytes, small.weight_bytes + small.kv_bytes + small.scratch_bytes);
    /* 6 layers, keys and values, 2 heads of 32 values of 2 bytes, 128 positions. */
    ck_assert_uint_eq(small.kv_bytes, 6u * 2u * 2u * 32u * 2u * 128u);
    close_opened(&opened);
}
END_TEST

/* On a CPU logits are always there. */
START_TEST(choosing_is_sampling_from_logits) {
    static const double temperatures[] = {0.0, 0.0, 0.8}, penalties[] = {1.0, 1.3, 1.0};
    struct opened opened;
    int32_t tokens[9], token;
    if (!open_golden("qwen3", &opened)) return;
    make_tokens(&opened, 3, tokens, 9);
    struct sinq_session *const session = open_session(&opened, (struct sinq_session_options){.context = 32});
    feed(session, tokens, 9);
    float *const expected = last_logits(&opened, session), *const logits = malloc(opened.vocabulary * sizeof *logits);
    for (size_t i = 0; i < 3; i++) {
        struct sinq_sampling sampling = sinq_default_sampling();
        struct sinq_sampler *one, *other;
        struct sinq_error error;
        sampling.temperature = temperatures[i];
        sampling.repeat_penalty = penalties[i];
        ck_assert_int_eq(sinq_open_sampler(&sampling, opened.vocabulary, &one, &error), SINQ_OK);
        ck_assert_int_eq(sinq_open_sampler(&sampling, opened.vocabulary, &other, &error), SINQ_OK);
        ck_assert_int_eq(sinq_session_choose(session, 8, one, tokens, 9, logits, &token, &error), SINQ_OK);
        ck_assert_int_eq(token, sinq_sample(other, expected, tokens, 9));
        ck_assert_mem_eq(logits, expected, opened.vocabulary * sizeof *logits);
        ck_assert_int_eq(sinq_session_choose(session, 9, one, tokens, 9, logits, &token, &error), SINQ_USAGE);
        sinq_sampler_close(one);
        sinq_sampler_close(other);
    }
    free(expected);
    free(logits);
    sinq_session_close(session);
    close_opened(&opened);
}
END_TEST

UNIT_MAIN("session", what_cannot_be_is_refused_and_changes_nothing, going_back_is_as_never_having_been_further,
          cache_types_and_threads_give_nearly_the_same, a_plan_is_what_is_taken, choosing_is_sampling_from_logits)
