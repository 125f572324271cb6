/* test_golden_logits.c: every architecture of the golden checkpoints: logits, greedy continuation, any division into batches. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "formats.h"
#include "unit.h"

#define POSITIONS  160
#define MAX_GREEDY 64

/* Worst difference to the golden logits, as a share of their standard deviation. */
#define BOUND 2e-4
/*
 * Between two divisions of the same tokens into batches: single tokens and batches add in different orders, each as far from the
 * golden logits as from the other. Measured: 1.6e-5 at most with the plain-C kernels, 2.3e-5 with AVX-512's.
 */
#define DIVISION_BOUND 5e-5

static const char *const families[] = {"llama",      "llama3_rope", "mistral", "mixtral",     "qwen2",      "qwen3",
                                       "qwen3_yarn", "qwen3_moe",   "phi3",    "gemma3_text", "deepseek_v2"};

struct golden {
    struct sinq_source *source, *outputs;
    struct sinq_model *model;
    int32_t tokens[POSITIONS], greedy[MAX_GREEDY]; /* the continuation of the first greedy_prompt tokens */
    size_t greedy_prompt, greedy_count;
    size_t positions; /* of the tokens, that are fed */
    uint32_t vocabulary;
    float *logits; /* [POSITIONS][vocabulary] */
    double deviation;
};

static size_t read_ids(const cJSON *json, const char *key, int32_t *ids, size_t most) {
    size_t count = 0;
    const cJSON *id;
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(json, key)) {
        ck_assert_uint_lt(count, most);
        ids[count++] = (int32_t)id->valuedouble;
    }
    return count;
}

static double find_deviation(const float *values, size_t count) {
    double sum = 0, square = 0;
    for (size_t i = 0; i < count; i++) sum += values[i];
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) square += (values[i] - mean) * (values[i] - mean);
    return sqrt(square / (double)count);
}

static cJSON *read_json(const char *path) {
    char *text;
    size_t size;
    struct sinq_error error;
    ck_assert_msg(sinq_read_file(path, 1 << 20, &text, &size, &error) == SINQ_OK, "%s", error.message);
    cJSON *const json = cJSON_Parse(text);
    ck_assert_ptr_nonnull(json);
    free(text);
    return json;
}

static bool open_golden(const char *family, struct golden *golden) {
    char name[200];
    struct sinq_error error;
    *golden = (struct golden){.positions = POSITIONS};
    snprintf(name, sizeof name, "golden/arch/%s/config.json", family);
    char *const config = find_shared(name);
    if (config == NULL) return false;
    *strrchr(config, '/') = '\0';
    ck_assert_msg(sinq_open_checkpoint(config, &golden->source, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_load_model(golden->source, &golden->model, &error) == SINQ_OK, "%s: %s", family, error.message);
    golden->vocabulary = sinq_model_facts(golden->model).vocabulary;
    snprintf(name, sizeof name, "golden/arch/%s/golden.safetensors", family);
    char *const outputs = find_shared(name);
    ck_assert_msg(sinq_open_checkpoint(outputs, &golden->outputs, &error) == SINQ_OK, "%s", error.message);
    golden->logits = malloc((size_t)POSITIONS * golden->vocabulary * sizeof(float));
    const int64_t tensor = sinq_source_find(golden->outputs, "logits");
    ck_assert_int_ge(tensor, 0);
    ck_assert_int_eq(sinq_read_rows(golden->outputs, (size_t)tensor, 0, POSITIONS, golden->logits, &error), SINQ_OK);
    golden->deviation = find_deviation(golden->logits, (size_t)POSITIONS * golden->vocabulary);
    snprintf(name, sizeof name, "golden/arch/%s/golden.json", family);
    char *const path = find_shared(name);
    cJSON *const json = read_json(path);
    ck_assert_uint_eq(read_ids(json, "input_ids", golden->tokens, POSITIONS), POSITIONS);
    golden->greedy_count = read_ids(json, "greedy", golden->greedy, MAX_GREEDY);
    golden->greedy_prompt = (size_t)cJSON_GetObjectItem(json, "greedy_prompt_len")->valuedouble;
    cJSON_Delete(json);
    free(config);
    free(outputs);
    free(path);
    return true;
}

static void close_golden(struct golden *golden) {
    sinq_model_free(golden->model);
    sinq_source_close(golden->source);
    sinq_source_close(golden->outputs);
    free(golden->logits);
}

static struct sinq_session *open_session(const struct golden *golden, uint32_t batch) {
    const struct sinq_session_options options = {
        .exact = true, .kv_type = SINQ_KV_F32, .batch = batch, .context = POSITIONS, .threads = 2};
    struct sinq_session *session;
    struct sinq_error error;
    ck_assert_msg(sinq_open_session(golden->model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    return session;
}

/* All logits, the tokens fed in pieces of sizes[0], sizes[1], ... in turn. */
static void feed_pieces(const struct golden *golden, uint32_t batch, const uint32_t *sizes, size_t size_count,
                        float *logits) {
    struct sinq_session *const session = open_session(golden, batch);
    struct sinq_error error;
    size_t fed = 0;
    for (size_t i = 0; fed < golden->positions; i++) {
        const size_t left = golden->positions - fed, size = sizes[i % size_count] < left ? sizes[i % size_count] : left;
        ck_assert_msg(sinq_session_feed(session, golden->tokens + fed, size, &error) == SINQ_OK, "%s", error.message);
        ck_assert_uint_eq(sinq_session_rows(session), size);
        ck_assert_msg(sinq_session_logits(session, 0, (uint32_t)size, logits + fed * golden->vocabulary, &error) ==
                          SINQ_OK,
                      "%s", error.message);
        fed += size;
    }
    sinq_session_close(session);
}

static double find_difference(const struct golden *golden, const float *a, const float *b) {
    double worst = 0;
    for (size_t i = 0; i < golden->positions * golden->vocabulary; i++) {
        const double difference = fabs((double)a[i] - b[i]);
        if (!(difference <= worst)) worst = difference;
    }
    return worst / golden->deviation;
}

START_TEST(logits_are_those_of_the_golden_files) {
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        struct golden golden;
        if (!open_golden(families[f], &golden)) return;
        float *const logits = malloc((size_t)POSITIONS * golden.vocabulary * sizeof *logits);
        feed_pieces(&golden, POSITIONS, (const uint32_t[]){POSITIONS}, 1, logits);
        const double difference = find_difference(&golden, logits, golden.logits);
        if (getenv("SINQ_VERBOSE") != NULL)
            printf("%-12s worst error %.2g of the deviation\n", families[f], difference);
        ck_assert_msg(difference <= BOUND, "%s: logits differ by %g of their deviation", families[f], difference);
        free(logits);
        close_golden(&golden);
    }
}
END_TEST

START_TEST(logits_do_not_depend_on_how_tokens_are_fed) {
    static const struct division {
        const char *name;
        uint32_t batch, sizes[6];
        size_t count;
    } divisions[] = {
        {"one at a time", 64, {1}, 1},
        {"uneven pieces", 64, {1, 7, 32, 3, 50, 2}, 6},
        {"pieces of the batch's size", 16, {16}, 1},
        {"a large batch, then single tokens", 128, {100, 1}, 2},
    };
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        struct golden golden;
        if (IS_SANITIZED && f % 3 != 0) continue; /* sanitizers are slow */
        if (!open_golden(families[f], &golden)) return;
        const size_t count = (size_t)POSITIONS * golden.vocabulary;
        float *const whole = malloc(count * sizeof *whole), *const parts = malloc(count * sizeof *parts);
        feed_pieces(&golden, POSITIONS, (const uint32_t[]){POSITIONS}, 1, whole);
        for (size_t d = 0; d < sizeof divisions / sizeof divisions[0]; d++) {
            feed_pieces(&golden, divisions[d].batch, divisions[d].sizes, divisions[d].count, parts);
            const double difference = find_difference(&golden, parts, whole);
            if (getenv("SINQ_VERBOSE") != NULL) {
                printf("%-12s %-34s differs by %.2g\n", families[f], divisions[d].name, difference);
            }
            ck_assert_msg(difference <= DIVISION_BOUND, "%s, %s: logits differ by %g of their deviation", families[f],
                          divisions[d].name, difference);
        }
        free(whole);
        free(parts);
        close_golden(&golden);
    }
}
END_TEST

/* The golden tokens, others, and others again, side by side: the logits of each as where it is alone. */
#define SEQUENCES      3u
#define SIDE_POSITIONS 42u /* of each */

static void feed_sequence(const struct golden *golden, uint32_t number, const uint32_t *sizes, size_t size_count,
                          float *logits) {
    struct golden turned = *golden;
    for (size_t i = 0; i < SIDE_POSITIONS; i++) turned.tokens[i] = golden->tokens[(i + 53 * number) % POSITIONS];
    feed_pieces(&turned, 16, sizes, size_count, logits);
}

static void feed_side_by_side(const struct golden *golden, const uint32_t *sizes, size_t size_count,
                              float *logits[SEQUENCES]) {
    const struct sinq_session_options options = {
        .exact = true, .kv_type = SINQ_KV_F32, .batch = 16, .sequences = SEQUENCES, .context = POSITIONS, .threads = 2};
    struct sinq_session *session;
    struct sinq_error error;
    const size_t vocabulary = golden->vocabulary;
    int32_t tokens[SEQUENCES * 16];
    float *const rows = malloc(SEQUENCES * 16 * vocabulary * sizeof *rows);
    ck_assert_msg(sinq_open_session(golden->model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    size_t fed = 0;
    for (size_t i = 0; fed < SIDE_POSITIONS; i++) {
        const size_t left = SIDE_POSITIONS - fed, size = sizes[i % size_count] < left ? sizes[i % size_count] : left;
        const size_t count = SEQUENCES * size;
        for (size_t r = 0; r < count; r++) {
            tokens[r] = golden->tokens[(fed + r / SEQUENCES + 53 * (r % SEQUENCES)) % POSITIONS];
        }
        ck_assert_msg(sinq_session_feed(session, tokens, count, &error) == SINQ_OK, "%s", error.message);
        ck_assert_uint_eq(sinq_session_rows(session), count);
        ck_assert_int_eq(sinq_session_logits(session, 0, (uint32_t)count, rows, &error), SINQ_OK);
        for (size_t r = 0; r < count; r++) {
            memcpy(logits[r % SEQUENCES] + (fed + r / SEQUENCES) * vocabulary, rows + r * vocabulary,
                   vocabulary * sizeof *rows);
        }
        fed += size;
    }
    ck_assert_uint_eq(sinq_session_position(session), SIDE_POSITIONS);
    ck_assert_int_eq(sinq_session_feed(session, tokens, 1, &error), SINQ_USAGE);
    free(rows);
    sinq_session_close(session);
}

START_TEST(sequences_side_by_side_are_as_each_alone) {
    static const uint32_t sizes[] = {16, 1, 1, 7, 16, 16};
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        struct golden golden;
        if (IS_SANITIZED && f % 3 != 2) continue; /* sanitizers are slow */
        if (!open_golden(families[f], &golden)) return;
        golden.positions = SIDE_POSITIONS;
        const size_t count = SIDE_POSITIONS * (size_t)golden.vocabulary;
        float *const alone = malloc(count * sizeof *alone), *together[SEQUENCES];
        for (uint32_t s = 0; s < SEQUENCES; s++) together[s] = malloc(count * sizeof *together[s]);
        feed_side_by_side(&golden, sizes, sizeof sizes / sizeof sizes[0], together);
        for (uint32_t s = 0; s < SEQUENCES; s++) {
            feed_sequence(&golden, s, sizes, sizeof sizes / sizeof sizes[0], alone);
            const double difference = find_difference(&golden, together[s], alone);
            if (getenv("SINQ_VERBOSE") != NULL)
                printf("%-12s sequence %u differs by %.2g\n", families[f], s, difference);
            ck_assert_msg(difference <= DIVISION_BOUND, "%s, sequence %u: logits differ by %g of their deviation",
                          families[f], s, difference);
            free(together[s]);
        }
        free(alone);
        close_golden(&golden);
    }
}
END_TEST

static void continue_greedily(const struct golden *golden, const char *family) {
    struct sinq_session *const session = open_session(golden, 64);
    struct sinq_error error;
    float *const logits = malloc(golden->vocabulary * sizeof *logits);
    ck_assert_int_eq(sinq_session_feed(session, golden->tokens, golden->greedy_prompt, &error), SINQ_OK);
    for (size_t i = 0; i < golden->greedy_count; i++) {
        struct sinq_candidate best;
        ck_assert_int_eq(sinq_session_logits(session, sinq_session_rows(session) - 1, 1, logits, &error), SINQ_OK);
        sinq_find_candidates(logits, golden->vocabulary, 1, &best);
        ck_assert_msg(best.id == golden->greedy[i], "%s: token %zu is %d, expected %d", family, i, best.id,
                      golden->greedy[i]);
        ck_assert_int_eq(sinq_session_feed(session, &best.id, 1, &error), SINQ_OK);
    }
    free(logits);
    sinq_session_close(session);
}

START_TEST(greedy_continuations_are_those_of_the_golden_files) {
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        struct golden golden;
        if (!open_golden(families[f], &golden)) return;
        continue_greedily(&golden, families[f]);
        close_golden(&golden);
    }
}
END_TEST

UNIT_MAIN("golden logits", logits_are_those_of_the_golden_files, logits_do_not_depend_on_how_tokens_are_fed,
          sequences_side_by_side_are_as_each_alone, greedy_continuations_are_those_of_the_golden_files)
