/* test_sampler.c: sampling against distributions computed directly: by sorting everything, with libm's exp. */
#include <float.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/exponential.h"
#include "cpu_levels.h"
#include "sinq.h"
#include "unit.h"

#define MAX_VOCABULARY 300

static struct sinq_sampling plain_sampling(void) {
    return (struct sinq_sampling){.temperature = 1.0, .top_p = 1.0, .repeat_penalty = 1.0, .seed = 1};
}

static struct sinq_sampler *open_sampler(const struct sinq_sampling *options, uint32_t vocabulary) {
    struct sinq_sampler *sampler = NULL;
    struct sinq_error error;
    ck_assert_msg(sinq_open_sampler(options, vocabulary, &sampler, &error) == SINQ_OK, "%s", error.message);
    return sampler;
}

static int32_t sample_once(const struct sinq_sampling *options, uint32_t vocabulary, const float *logits,
                           const int32_t *history, size_t count) {
    struct sinq_sampler *const sampler = open_sampler(options, vocabulary);
    const int32_t id = sinq_sample(sampler, logits, history, count);
    sinq_sampler_close(sampler);
    return id;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void make_logits(float *logits, uint32_t count, uint64_t seed) {
    for (uint32_t i = 0; i < count; i++) logits[i] = (float)(next_random(&seed) % 800) / 100.0f - 4.0f;
}

/* ---- the direct computation ---- */

static const float *compared_logits;

static int compare_ids(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (compared_logits[x] != compared_logits[y]) return compared_logits[x] > compared_logits[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void normalize(double *shares, const uint32_t *order, uint32_t count) {
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++) sum += shares[order[i]];
    for (uint32_t i = 0; i < count; i++) shares[order[i]] /= sum;
}

/* Probabilities of all tokens, in the order of llama.cpp's stages. */
static void find_shares(const struct sinq_sampling *o, const float *logits, uint32_t vocabulary, double *shares) {
    uint32_t order[MAX_VOCABULARY], count = vocabulary;
    for (uint32_t i = 0; i < vocabulary; i++) order[i] = i;
    compared_logits = logits;
    qsort(order, vocabulary, sizeof order[0], compare_ids);
    if (o->top_k > 0 && o->top_k < count) count = o->top_k;
    for (uint32_t i = 0; i < count; i++) shares[order[i]] = exp((double)logits[order[i]]);
    normalize(shares, order, count);
    double reached = 0.0;
    for (uint32_t i = 0; i < count && o->top_p < 1.0; i++) {
        reached += shares[order[i]];
        if (reached >= o->top_p) count = i + 1;
    }
    while (count > 1 && shares[order[count - 1]] < o->min_p * shares[order[0]]) count--;
    for (uint32_t i = 0; i < vocabulary; i++) shares[i] = 0.0;
    for (uint32_t i = 0; i < count; i++) shares[order[i]] = exp((double)logits[order[i]] / o->temperature);
    normalize(shares, order, count);
}

/* ---- distributions ---- */

static const struct distribution_case {
    const char *name;
    double temperature;
    uint32_t top_k;
    double top_p, min_p;
    uint32_t vocabulary;
} distribution_cases[] = {
    {"temperature 1 alone", 1.0, 0, 1.0, 0.0, 40},
    {"cold", 0.3, 0, 1.0, 0.0, 40},
    {"hot", 3.0, 0, 1.0, 0.0, 40},
    {"top-k of few", 1.0, 5, 1.0, 0.0, 300},
    {"top-k of half and more", 1.0, 200, 1.0, 0.0, 300},
    {"top-k larger than the vocabulary", 1.0, 1000, 1.0, 0.0, 40},
    {"top-p alone", 1.0, 0, 0.7, 0.0, 300},
    {"top-p sees temperature 1", 0.5, 0, 0.7, 0.0, 300},
    {"min-p alone", 1.0, 0, 1.0, 0.2, 300},
    {"min-p sees temperature 1", 2.0, 0, 1.0, 0.2, 300},
    {"top-p after top-k", 1.0, 20, 0.5, 0.0, 300},
    {"all of them", 0.8, 40, 0.95, 0.05, 300},
};

/* Chi-squared over tokens that are expected often enough; one that cannot be must never come. */
static void check_distribution(const struct distribution_case *c) {
    enum { DRAWS = 40000 };
    static float logits[MAX_VOCABULARY];
    double shares[MAX_VOCABULARY], chi = 0.0, rest_expected = 0.0, rest_seen = 0.0;
    uint32_t seen[MAX_VOCABULARY] = {0}, freedom = 0;
    struct sinq_sampling options = plain_sampling();
    options.temperature = c->temperature;
    options.top_k = c->top_k;
    options.top_p = c->top_p;
    options.min_p = c->min_p;
    make_logits(logits, c->vocabulary, c->vocabulary);
    find_shares(&options, logits, c->vocabulary, shares);
    struct sinq_sampler *const sampler = open_sampler(&options, c->vocabulary);
    for (int i = 0; i < DRAWS; i++) seen[sinq_sample(sampler, logits, NULL, 0)]++;
    sinq_sampler_close(sampler);
    for (uint32_t i = 0; i < c->vocabulary; i++) {
        const double expected = shares[i] * DRAWS;
        ck_assert_msg(seen[i] == 0 || expected > 0.0, "%s: token %u must not be drawn", c->name, (unsigned)i);
        if (expected < 10.0) {
            rest_expected += expected;
            rest_seen += seen[i];
            continue;
        }
        chi += (seen[i] - expected) * (seen[i] - expected) / expected;
        freedom++;
    }
    if (rest_expected > 10.0) {
        chi += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
        freedom++;
    }
    const double limit = freedom + 5.0 * sqrt(2.0 * freedom) + 5.0;
    ck_assert_msg(chi < limit, "%s: chi squared %g of %u tokens, at most %g", c->name, chi, (unsigned)freedom, limit);
}

START_TEST(draws_follow_the_distribution) {
    for (size_t i = 0; i < sizeof distribution_cases / sizeof distribution_cases[0]; i++) {
        check_distribution(&distribution_cases[i]);
    }
}
END_TEST

/* ---- edges ---- */

static const struct set_case {
    const char *name;
    float logits[5];
    uint32_t top_k;
    double top_p, min_p;
    const char *possible; /* ids that can be drawn, and all of them must come in 2,000 draws */
} set_cases[] = {
    /* ln 1, ln 2, ln 4, ln 1, ln 2: shares 0.1 0.2 0.4 0.1 0.2 */
    {"top-p 0 is the best alone", {0.0f, 0.693147f, 1.386294f, 0.0f, 0.693147f}, 0, 0.0, 0.0, "2"},
    {"top-p just within the best", {0.0f, 0.693147f, 1.386294f, 0.0f, 0.693147f}, 0, 0.399, 0.0, "2"},
    {"top-p takes the one that reaches it", {0.0f, 0.693147f, 1.386294f, 0.0f, 0.693147f}, 0, 0.401, 0.0, "12"},
    {"top-p among equals: lower id first", {0.0f, 0.693147f, 1.386294f, 0.0f, 0.693147f}, 0, 0.85, 0.0, "0124"},
    {"top-p exactly reached by equals", {0.0f, 0.0f, 0.0f, 0.0f, -FLT_MAX}, 0, 0.5, 0.0, "01"},
    {"top-p 1 is all", {0.0f, 0.693147f, 1.386294f, 0.0f, 0.693147f}, 0, 1.0, 0.0, "01234"},
    {"min-p 1 keeps all that equal the best", {1.0f, 3.0f, 3.0f, 2.0f, 3.0f}, 0, 1.0, 1.0, "124"},
    {"min-p at a ratio", {0.0f, 0.693147f, 1.386294f, 0.0f, 0.693147f}, 0, 1.0, 0.499, "124"},
    {"top-k among equals: lower ids", {1.0f, 3.0f, 3.0f, 3.0f, 3.0f}, 3, 1.0, 0.0, "123"},
    {"top-k of 1", {1.0f, 3.0f, 3.0f, 2.0f, 3.0f}, 1, 1.0, 0.0, "1"},
    {"minus infinity cannot be drawn", {-INFINITY, 0.0f, -INFINITY, 0.0f, -INFINITY}, 0, 1.0, 0.0, "13"},
    {"not a number cannot be drawn", {NAN, 0.0f, NAN, 0.0f, NAN}, 0, 0.99, 0.01, "13"},
    {"plus infinity is the best", {0.0f, INFINITY, 0.0f, INFINITY, 1.0f}, 0, 1.0, 0.0, "13"},
    {"nothing is a number", {NAN, NAN, NAN, NAN, NAN}, 0, 1.0, 0.0, "01234"},
    {"zeros of both signs are equal", {-0.0f, 0.0f, -0.0f, -1.0f, 0.0f}, 2, 1.0, 0.0, "01"},
};

START_TEST(edges_of_the_stages) {
    for (size_t i = 0; i < sizeof set_cases / sizeof set_cases[0]; i++) {
        const struct set_case *const c = &set_cases[i];
        struct sinq_sampling options = plain_sampling();
        options.top_k = c->top_k;
        options.top_p = c->top_p;
        options.min_p = c->min_p;
        bool seen[5] = {false};
        char possible[6] = "";
        struct sinq_sampler *const sampler = open_sampler(&options, 5);
        for (int draw = 0; draw < 2000; draw++) seen[sinq_sample(sampler, c->logits, NULL, 0)] = true;
        sinq_sampler_close(sampler);
        for (int id = 0, n = 0; id < 5; id++) {
            if (seen[id]) possible[n++] = (char)('0' + id);
        }
        ck_assert_msg(strcmp(possible, c->possible) == 0, "%s: drawn were %s, expected %s", c->name, possible,
                      c->possible);
    }
}
END_TEST

START_TEST(temperature_zero_is_the_first_best) {
    static const struct {
        float logits[4];
        int32_t best;
    } cases[] = {
        {{0.0f, 2.0f, 1.0f, 2.0f}, 1},   {{NAN, NAN, -5.0f, NAN}, 2},   {{NAN, NAN, NAN, NAN}, 0},
        {{-INFINITY, NAN, NAN, NAN}, 0}, {{1.0f, INFINITY, NAN, 2}, 1}, {{-0.0f, 0.0f, 0.0f, -1.0f}, 0},
    };
    struct sinq_sampling options = sinq_default_sampling();
    options.temperature = 0.0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(sample_once(&options, 4, cases[i].logits, NULL, 0), cases[i].best);
    }
    options.temperature = 1e-300;
    ck_assert_int_eq(sample_once(&options, 4, (const float[]){0.0f, 1.0f, 2.0f, 1.9f}, NULL, 0), 2);
}
END_TEST

START_TEST(a_vocabulary_of_one) {
    struct sinq_sampling options = sinq_default_sampling();
    const float logits[] = {NAN}, finite[] = {-3.0f};
    ck_assert_int_eq(sample_once(&options, 1, logits, NULL, 0), 0);
    ck_assert_int_eq(sample_once(&options, 1, finite, NULL, 0), 0);
    options.top_p = 0.0;
    options.top_k = 1;
    ck_assert_int_eq(sample_once(&options, 1, finite, NULL, 0), 0);
    struct sinq_candidate best[2];
    sinq_find_candidates(finite, 1, 2, best);
    ck_assert(best[0].id == 0 && best[0].logprob == 0.0);
    ck_assert(best[1].id == -1 && best[1].logprob == -INFINITY);
}
END_TEST

/* ---- repeat penalty ---- */

START_TEST(repeats_are_penalized) {
    static const float logits[] = {4.0f, 3.5f, -1.0f, -1.5f};
    static const int32_t once[] = {0}, twice[] = {0, 0}, outside[] = {-1, 4, INT32_MAX, INT32_MIN}, old[] = {0, 2, 2};
    static const float negative[] = {-1.0f, -1.2f, -9.0f, -9.0f}, huge[] = {-FLT_MAX, -FLT_MAX, -FLT_MAX, -FLT_MAX};
    struct sinq_sampling options = sinq_default_sampling();
    options.temperature = 0.0;
    options.repeat_penalty = 1.1; /* 4 / 1.1 = 3.64 is still the best, 4 / 1.21 = 3.3 is not */
    ck_assert_int_eq(sample_once(&options, 4, logits, once, 1), 0);
    ck_assert_int_eq(sample_once(&options, 4, logits, twice, 2), 0);
    ck_assert_int_eq(sample_once(&options, 4, logits, outside, 4), 0);
    options.repeat_penalty = 1.2; /* 3.33 */
    ck_assert_int_eq(sample_once(&options, 4, logits, once, 1), 1);
    ck_assert_int_eq(sample_once(&options, 4, logits, NULL, 0), 0);
    options.repeat_last = 2;
    ck_assert_int_eq(sample_once(&options, 4, logits, old, 3), 0);
    ck_assert_int_eq(sample_once(&options, 4, logits, old, 1), 1);
    options.repeat_last = 0;
    ck_assert_int_eq(sample_once(&options, 4, logits, once, 1), 0);
    options.repeat_last = 64;
    options.repeat_penalty = 1.3; /* -1 becomes -1.3: negative logits are multiplied */
    ck_assert_int_eq(sample_once(&options, 4, negative, once, 1), 1);
    options.repeat_penalty = DBL_MAX;
    ck_assert_int_eq(sample_once(&options, 4, huge, once, 1), 0);
    options.repeat_penalty = 0.5; /* below 1 rewards */
    ck_assert_int_eq(sample_once(&options, 4, logits, (const int32_t[]){1}, 1), 1);
}
END_TEST

/* ---- seeds ---- */

/* Written down once from a run: any machine and compiler must give them again. */
START_TEST(a_seed_gives_the_same_tokens_everywhere) {
    static const int32_t expected[] = {241, 187, 198, 140, 38, 178, 75, 250, 115, 187, 59, 151, 252, 139, 176, 75};
    float logits[MAX_VOCABULARY];
    struct sinq_sampling options = sinq_default_sampling();
    options.seed = 42;
    options.top_k = 0;
    options.temperature = 1.5;
    options.min_p = 0.0;
    struct sinq_sampler *const sampler = open_sampler(&options, MAX_VOCABULARY);
    char line[400] = "";
    bool is_same = true;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        make_logits(logits, MAX_VOCABULARY, i);
        const int32_t id = sinq_sample(sampler, logits, NULL, 0);
        is_same = is_same && id == expected[i];
        (void)snprintf(line + strlen(line), sizeof line - strlen(line), "%d, ", (int)id);
    }
    sinq_sampler_close(sampler);
    ck_assert_msg(is_same, "the tokens are %s", line);
}
END_TEST

enum { MANY = 10000, MANY_DRAWS = 20 };

/* Draws from the 40 best of many tokens, a penalized one among them, which must be those that sorting finds. */
static void draw_from_many(const float *logits, const uint32_t *order, int32_t *drawn) {
    struct sinq_sampling options = plain_sampling();
    options.top_k = 40;
    options.repeat_penalty = 1e6;
    options.repeat_last = 1;
    const int32_t history[] = {(int32_t)order[0]};
    struct sinq_sampler *const sampler = open_sampler(&options, MANY);
    for (int draw = 0; draw < MANY_DRAWS; draw++) {
        drawn[draw] = sinq_sample(sampler, logits, history, 1);
        bool is_among = false;
        for (int i = 1; i <= 40; i++) is_among = is_among || order[i] == (uint32_t)drawn[draw];
        ck_assert_msg(is_among, "token %d is not among the best", (int)drawn[draw]);
    }
    sinq_sampler_close(sampler);
    options.temperature = 0.0;
    ck_assert_int_eq(sample_once(&options, MANY, logits, history, 1), (int32_t)order[1]);
}

START_TEST(many_tokens_on_every_instruction_set) {
    static float logits[MANY];
    static uint32_t order[MANY];
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < MANY; i++) order[i] = i;
        make_logits(logits, MANY, round); /* 800 values: many are equal */
        for (uint32_t i = 0; i < MANY; i++) {
            logits[i] += 5.0f + (round % 3 == 1 ? (float)i * 1e-3f : round % 3 == 2 ? (float)(MANY - i) * 1e-3f : 0.0f);
        }
        compared_logits = logits;
        qsort(order, MANY, sizeof order[0], compare_ids);
        int32_t first[MANY_DRAWS], drawn[MANY_DRAWS];
        for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
            if (!select_cpu_level(level)) continue;
            draw_from_many(logits, order, level == 0 ? first : drawn);
            if (level > 0) ck_assert_mem_eq(first, drawn, sizeof drawn);
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

START_TEST(seeds_differ) {
    float logits[MAX_VOCABULARY] = {0.0f};
    struct sinq_sampling options = plain_sampling();
    int same = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        options.seed = seed;
        const int32_t first = sample_once(&options, MAX_VOCABULARY, logits, NULL, 0);
        ck_assert_int_eq(sample_once(&options, MAX_VOCABULARY, logits, NULL, 0), first);
        options.seed = seed + 1;
        same += sample_once(&options, MAX_VOCABULARY, logits, NULL, 0) == first;
        struct sinq_sampler *const sampler = open_sampler(&options, MAX_VOCABULARY);
        sinq_sampler_reseed(sampler, seed);
        ck_assert_int_eq(sinq_sample(sampler, logits, NULL, 0), first);
        sinq_sampler_close(sampler);
    }
    ck_assert_int_lt(same, 8);
}
END_TEST

START_TEST(own_exp_is_near_libm) {
    double worst = 0.0;
    for (double x = 0.0; x > -708.0; x -= 0.00217) {
        worst = fmax(worst, fabs(sinq_exp_negative(x) - exp(x)) / (exp(x) * DBL_EPSILON));
    }
    ck_assert_msg(worst < 2.0, "%g units in the last place", worst);
    ck_assert(sinq_exp_negative(0.0) == 1.0 && sinq_exp_negative(-0.0) == 1.0);
    ck_assert(sinq_exp_negative(-709.0) == 0.0 && sinq_exp_negative(-INFINITY) == 0.0 && sinq_exp_negative(NAN) == 0.0);
}
END_TEST

/* ---- options ---- */

START_TEST(options_that_cannot_be) {
    static const struct {
        const char *message;
        struct sinq_sampling options;
        uint32_t vocabulary;
    } cases[] = {
        {"temperature", {.temperature = -1.0, .top_p = 1.0, .repeat_penalty = 1.0}, 4},
        {"temperature", {.temperature = NAN, .top_p = 1.0, .repeat_penalty = 1.0}, 4},
        {"temperature", {.temperature = INFINITY, .top_p = 1.0, .repeat_penalty = 1.0}, 4},
        {"top-p", {.top_p = 1.5, .repeat_penalty = 1.0}, 4},
        {"top-p", {.top_p = -0.5, .repeat_penalty = 1.0}, 4},
        {"min-p", {.top_p = 1.0, .min_p = 1.1, .repeat_penalty = 1.0}, 4},
        {"min-p", {.top_p = 1.0, .min_p = NAN, .repeat_penalty = 1.0}, 4},
        {"penalty", {.top_p = 1.0, .repeat_penalty = 0.0}, 4},
        {"penalty", {.top_p = 1.0, .repeat_penalty = NAN}, 4},
        {"vocabulary", {.top_p = 1.0, .repeat_penalty = 1.0}, 0},
        {"vocabulary", {.top_p = 1.0, .repeat_penalty = 1.0}, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_sampler *sampler = NULL;
        struct sinq_error error;
        ck_assert_int_eq(sinq_open_sampler(&cases[i].options, cases[i].vocabulary, &sampler, &error), SINQ_USAGE);
        ck_assert_ptr_null(sampler);
        ck_assert_ptr_nonnull(strstr(error.message, cases[i].message));
    }
    sinq_sampler_close(NULL);
}
END_TEST

/* ---- speed ---- */

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A bound far above what is needed, for slow machines and sanitizers: a full sort or a quadratic case shows nevertheless. */
START_TEST(a_large_vocabulary_is_fast) {
    enum { VOCABULARY = 151936, DRAWS = 10 };
    static const struct {
        const char *name;
        uint32_t top_k;
        double top_p;
        int slope; /* of logits: 0 random, 1 ascending, 2 all equal */
    } cases[] = {
        {"default", 40, 0.95, 0},         {"ascending", 40, 0.95, 1},
        {"equal", 40, 0.95, 2},           {"top-p over all", 0, 0.95, 0},
        {"top-p, ascending", 0, 0.95, 1}, {"top-p, equal", 0, 0.95, 2},
        {"large top-k", 50000, 1.0, 0},   {"large top-k, ascending", 50000, 1.0, 1},
    };
    float *const logits = malloc(VOCABULARY * sizeof *logits);
    ck_assert_ptr_nonnull(logits);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_sampling options = sinq_default_sampling();
        options.top_k = cases[i].top_k;
        options.top_p = cases[i].top_p;
        uint64_t state = 7;
        for (uint32_t t = 0; t < VOCABULARY; t++) {
            const float random = (float)next_random(&state) * 0x1p-28f;
            logits[t] = cases[i].slope == 0 ? random : cases[i].slope == 1 ? (float)t * 1e-4f : 1.0f;
        }
        struct sinq_sampler *const sampler = open_sampler(&options, VOCABULARY);
        const double start = seconds_now();
        for (int draw = 0; draw < DRAWS; draw++) ck_assert_int_ge(sinq_sample(sampler, logits, NULL, 0), 0);
        const double seconds = (seconds_now() - start) / DRAWS;
        sinq_sampler_close(sampler);
        if (getenv("SINQ_TIMES") != NULL) printf("%s: %.3f ms\n", cases[i].name, 1e3 * seconds);
        ck_assert_msg(seconds < 0.2, "%s: %g s a token", cases[i].name, seconds);
    }
    free(logits);
}
END_TEST

UNIT_MAIN("sampler", draws_follow_the_distribution, edges_of_the_stages, temperature_zero_is_the_first_best,
          a_vocabulary_of_one, repeats_are_penalized, a_seed_gives_the_same_tokens_everywhere,
          many_tokens_on_every_instruction_set, seeds_differ, own_exp_is_near_libm, options_that_cannot_be,
          a_large_vocabulary_is_fast)
