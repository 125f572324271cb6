/*
 * sampler.c: from logits to a token. Stages and their order are those of llama.cpp's default: repeat penalty, top-k, top-p,
 * min-p, temperature. Top-p and min-p see probabilities at temperature 1.
 *
 * Every step is made of exact comparisons and of IEEE operations in a fixed order (base/exponential.h in place of libm's
 * exp), so equal logits, options and seed give equal tokens everywhere.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/exponential.h"
#include "model/score_blocks.h"
#include "model/selection.h"
#include "model/session_parts.h"

struct sinq_sampler {
    struct sinq_sampling options;
    uint32_t vocabulary;
    uint64_t random;
    float *scores;
    float *peaks;           /* the best score of each block */
    uint32_t *last_penalty; /* a call's number for each token: penalized once a call however often it appears */
    uint32_t calls;
    struct sinq_choice *choices;
    size_t choice_capacity;
};

struct sinq_sampling sinq_default_sampling(void) {
    return (struct sinq_sampling){
        .temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05, .repeat_penalty = 1.0, .repeat_last = 64};
}

static int check_options(const struct sinq_sampling *o, uint32_t vocabulary, struct sinq_error *error) {
    if (vocabulary == 0 || vocabulary > INT32_MAX) {
        return sinq_fail(error, SINQ_USAGE, "a vocabulary of %u tokens cannot be sampled", (unsigned)vocabulary);
    }
    if (!(o->temperature >= 0.0 && o->temperature <= DBL_MAX)) {
        return sinq_fail(error, SINQ_USAGE, "temperature %g: expected 0 or more", o->temperature);
    }
    if (!(o->top_p >= 0.0 && o->top_p <= 1.0)) {
        return sinq_fail(error, SINQ_USAGE, "top-p %g: expected 0 to 1", o->top_p);
    }
    if (!(o->min_p >= 0.0 && o->min_p <= 1.0)) {
        return sinq_fail(error, SINQ_USAGE, "min-p %g: expected 0 to 1", o->min_p);
    }
    if (!(o->repeat_penalty > 0.0 && o->repeat_penalty <= DBL_MAX)) {
        return sinq_fail(error, SINQ_USAGE, "repeat penalty %g: expected more than 0", o->repeat_penalty);
    }
    return SINQ_OK;
}

int sinq_open_sampler(const struct sinq_sampling *options, uint32_t vocabulary, struct sinq_sampler **sampler,
                      struct sinq_error *error) {
    *sampler = NULL;
    const int status = check_options(options, vocabulary, error);
    if (status != SINQ_OK) return status;
    struct sinq_sampler *const s = calloc(1, sizeof *s);
    if (s == NULL) return sinq_fail_memory(error, "a sampler", sizeof *s);
    s->options = *options;
    s->vocabulary = vocabulary;
    s->random = options->seed;
    const bool takes_all = options->top_k == 0 || options->top_k > vocabulary / 2;
    s->choice_capacity = takes_all ? vocabulary : 2 * (size_t)options->top_k;
    s->scores = malloc(vocabulary * sizeof *s->scores);
    s->peaks = malloc(sinq_count_blocks(vocabulary) * sizeof *s->peaks);
    s->last_penalty = calloc(vocabulary, sizeof *s->last_penalty);
    s->choices = malloc(s->choice_capacity * sizeof *s->choices);
    if (s->scores == NULL || s->peaks == NULL || s->last_penalty == NULL || s->choices == NULL) {
        sinq_sampler_close(s);
        return sinq_fail_memory(error, "a sampler", (uint64_t)vocabulary * 24);
    }
    *sampler = s;
    return SINQ_OK;
}

void sinq_sampler_close(struct sinq_sampler *sampler) {
    if (sampler == NULL) return;
    free(sampler->choices);
    free(sampler->last_penalty);
    free(sampler->peaks);
    free(sampler->scores);
    free(sampler);
}

void sinq_sampler_reseed(struct sinq_sampler *sampler, uint64_t seed) { sampler->random = seed; }

static void penalize_repeats(struct sinq_sampler *s, const int32_t *history, size_t count) {
    const double penalty = s->options.repeat_penalty;
    if (penalty == 1.0) return;
    const size_t last = count < s->options.repeat_last ? count : s->options.repeat_last;
    s->calls++;
    for (size_t i = count - last; i < count; i++) {
        const int64_t id = history[i];
        if (id < 0 || id >= (int64_t)s->vocabulary || s->last_penalty[id] == s->calls) continue;
        s->last_penalty[id] = s->calls;
        const double score = (double)s->scores[id], changed = score > 0.0 ? score / penalty : score * penalty;
        s->scores[id] = fabs(changed) < (double)FLT_MAX ? (float)changed : (float)copysign((double)FLT_MAX, changed);
        const uint32_t block = (uint32_t)id / SINQ_SCORE_BLOCK;
        s->peaks[block] = sinq_find_peak(s->scores, s->vocabulary, block);
    }
}

/* Forgets choices that are not among the best k; the score of the worst one left. */
static float drop_choices(struct sinq_sampler *s, size_t *count, size_t k) {
    float least = FLT_MAX;
    *count = sinq_gather_best(s->choices, *count, (double)k);
    for (size_t i = 0; i < *count; i++) least = fminf(least, sinq_key_score(s->choices[i].key));
    return least;
}

/* All tokens, or the top-k ones: what cannot be among them is not even noted. */
static size_t choose_top_k(struct sinq_sampler *s) {
    const size_t k = s->options.top_k == 0 || s->options.top_k > s->vocabulary ? s->vocabulary : s->options.top_k;
    size_t count = 0;
    float least = -FLT_MAX;
    for (uint32_t block = 0; block < sinq_count_blocks(s->vocabulary); block++) {
        if (s->peaks[block] < least) continue;
        const uint32_t end = sinq_end_of_block(s->vocabulary, block);
        for (uint32_t id = block * SINQ_SCORE_BLOCK; id < end; id++) {
            if (s->scores[id] < least) continue;
            if (count == s->choice_capacity) least = drop_choices(s, &count, k);
            if (s->scores[id] < least) continue;
            s->choices[count++] = (struct sinq_choice){.key = sinq_choice_key(s->scores[id], id), .weight = 1.0};
        }
    }
    return k < s->vocabulary ? sinq_gather_best(s->choices, count, (double)k) : count;
}

/* Weights become exp((score - best) / temperature); returns their sum. */
static double weigh(struct sinq_choice *choices, size_t count, double best, double temperature) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        choices[i].weight = sinq_exp_negative(((double)sinq_key_score(choices[i].key) - best) / temperature);
        sum += choices[i].weight;
    }
    return sum;
}

static size_t choose_min_p(struct sinq_choice *choices, size_t count, double min_p) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (choices[i].weight >= min_p) choices[kept++] = choices[i];
    }
    return kept;
}

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): 53 bits in [0, 1). */
static double draw_uniform(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* A choice with a probability in proportion to its weight, never one of weight 0. */
static uint32_t draw(const struct sinq_choice *choices, size_t count, double point) {
    double reached = 0.0;
    size_t drawn = 0;
    for (size_t i = 0; i < count; i++) {
        if (choices[i].weight == 0.0) continue;
        drawn = i;
        reached += choices[i].weight;
        if (reached > point) break;
    }
    return sinq_key_id(choices[drawn].key);
}

int32_t sinq_sample(struct sinq_sampler *sampler, const float *logits, const int32_t *history, size_t count) {
    struct sinq_sampler *const s = sampler;
    const struct sinq_sampling *const o = &s->options;
    sinq_copy_scores(logits, s->vocabulary, s->scores, s->peaks);
    penalize_repeats(s, history, count);
    const uint32_t best_id = sinq_find_best(s->scores, s->peaks, s->vocabulary);
    if (o->temperature == 0.0) return (int32_t)best_id;
    const double best = (double)s->scores[best_id];
    size_t left = choose_top_k(s);
    if (o->top_p < 1.0 || o->min_p > 0.0) {
        const double sum = weigh(s->choices, left, best, 1.0);
        if (o->top_p < 1.0) left = sinq_gather_best(s->choices, left, o->top_p * sum);
        left = choose_min_p(s->choices, left, o->min_p);
    }
    const double sum = weigh(s->choices, left, best, o->temperature);
    return (int32_t)draw(s->choices, left, draw_uniform(&s->random) * sum);
}

int sinq_session_choose(struct sinq_session *session, uint32_t row, struct sinq_sampler *sampler,
                        const int32_t *history, size_t count, float *logits, int32_t *token, struct sinq_error *error) {
    const bool wants_best = sampler->options.temperature == 0.0 && sampler->options.repeat_penalty == 1.0;
    const int status = sinq_session_read_row(session, row, wants_best, token, logits, error);
    if (status == SINQ_OK && *token < 0) *token = sinq_sample(sampler, logits, history, count);
    return status;
}

/* ---- candidates ---- */

static bool is_better(const struct sinq_candidate *a, const struct sinq_candidate *b) {
    return a->logprob > b->logprob || (a->logprob == b->logprob && a->id < b->id);
}

/* Of a heap with the worst candidate on top: moves `added` down from the top to its place. */
static void sift_down(struct sinq_candidate *heap, size_t count, struct sinq_candidate added) {
    size_t at = 0;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_better(&heap[child], &heap[child + 1])) child++;
        if (is_better(&heap[child], &added)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = added;
}

static double sum_exponentials(const float *logits, uint32_t vocabulary, double best) {
    double sum = 0.0;
    for (uint32_t b = 0; b < sinq_count_blocks(vocabulary); b++) {
        float scores[SINQ_SCORE_BLOCK], peak;
        const uint32_t first = b * SINQ_SCORE_BLOCK, count = sinq_end_of_block(vocabulary, b) - first;
        sinq_copy_scores(logits + first, count, scores, &peak);
        for (uint32_t i = 0; i < count; i++) sum += sinq_exp_negative((double)scores[i] - best);
    }
    return sum;
}

void sinq_find_candidates(const float *logits, uint32_t vocabulary, size_t count, struct sinq_candidate *best) {
    const struct sinq_candidate none = {.id = INT32_MAX, .logprob = -INFINITY};
    for (size_t i = 0; i < count; i++) best[i] = none;
    if (count == 0) return;
    for (uint32_t b = 0; b < sinq_count_blocks(vocabulary); b++) {
        float scores[SINQ_SCORE_BLOCK], peak;
        const uint32_t first = b * SINQ_SCORE_BLOCK, end = sinq_end_of_block(vocabulary, b);
        sinq_copy_scores(logits + first, end - first, scores, &peak);
        if ((double)peak < best[0].logprob) continue;
        for (uint32_t i = first; i < end; i++) {
            const struct sinq_candidate candidate = {.id = (int32_t)i, .logprob = (double)scores[i - first]};
            if (is_better(&candidate, &best[0])) sift_down(best, count, candidate);
        }
    }
    for (size_t left = count - 1; left > 0; left--) { /* heap sort: the worst goes to the end */
        const struct sinq_candidate worst = best[0];
        sift_down(best, left, best[left]);
        best[left] = worst;
    }
    const double top = best[0].logprob, log_sum = log(sum_exponentials(logits, vocabulary, top));
    for (size_t i = 0; i < count; i++) {
        if (best[i].id == INT32_MAX) {
            best[i].id = -1;
        } else {
            best[i].logprob -= top + log_sum;
        }
    }
}
