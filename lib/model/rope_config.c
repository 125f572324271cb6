/* rope_config.c: frequencies of each type, as transformers' modeling_rope_utils computes them, in f64. */
#include "model/rope_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define PI             3.14159265358979323846
#define LARGEST_NUMBER 1e12

static const struct {
    const char *name;
    enum sinq_rope_type type;
} type_names[] = {
    {"default", SINQ_ROPE_DEFAULT}, {"linear", SINQ_ROPE_LINEAR}, {"dynamic", SINQ_ROPE_DYNAMIC},
    {"yarn", SINQ_ROPE_YARN},       {"su", SINQ_ROPE_LONGROPE},   {"longrope", SINQ_ROPE_LONGROPE},
    {"llama3", SINQ_ROPE_LLAMA3},
};

double sinq_yarn_scale(double factor, double mscale) { return factor <= 1.0 ? 1.0 : 0.1 * mscale * log(factor) + 1.0; }

static void read_type(struct sinq_config_reader *parameters, struct sinq_rope *rope) {
    const char *const old_name = sinq_config_word(parameters, "type", "default");
    const char *const name = sinq_config_word(parameters, "rope_type", old_name);
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++) {
        if (strcmp(name, type_names[i].name) != 0) continue;
        rope->type = type_names[i].type;
        return;
    }
    sinq_config_fail(parameters,
                     "%srope_type is \"%.60s\", expected default, linear, dynamic, yarn, longrope or llama3",
                     parameters->inside, name);
}

/* How many values of a head turn. */
static void read_dims(struct sinq_config_reader *parameters, const struct sinq_rope_model *model,
                      struct sinq_rope *rope) {
    const double share = sinq_config_number(parameters, "partial_rotary_factor", 0.0, 1.0, model->rotary_share);
    rope->dims = (uint32_t)(model->width * share);
    const uint32_t least = rope->type == SINQ_ROPE_DYNAMIC ? 4 : 2;
    if (rope->dims >= least && rope->dims % 2 == 0 && rope->dims / 2 <= SINQ_MAX_ROPE_PAIRS) return;
    sinq_config_fail(parameters, "%u of a head's %u values turn, expected an even number from %u to %u", rope->dims,
                     model->width, least, 2 * SINQ_MAX_ROPE_PAIRS);
}

static void read_contexts(struct sinq_config_reader *parameters, const struct sinq_rope_model *model,
                          struct sinq_rope *rope) {
    rope->context = model->context;
    rope->original_context =
        sinq_config_count(parameters, "original_max_position_embeddings", 2, UINT32_MAX, model->context);
    if (model->original_context != 0) rope->original_context = model->original_context;
    /* Only these two types may leave the factor to the contexts. */
    const bool is_implied = rope->type == SINQ_ROPE_YARN || rope->type == SINQ_ROPE_LONGROPE;
    const double implied = (double)rope->context / (double)rope->original_context;
    rope->factor = sinq_config_number(parameters, "factor", 1e-3, 1e6, is_implied ? implied : 0.0);
    if (rope->type == SINQ_ROPE_DEFAULT) rope->factor = 1.0;
    if (rope->factor == 0.0) {
        sinq_config_fail(parameters, "%sfactor is missing, expected a number from 0.001 to 1e+06", parameters->inside);
    }
}

static double *make_frequencies(struct sinq_config_reader *parameters, const struct sinq_rope *rope) {
    double *const frequencies = malloc(rope->dims / 2 * sizeof *frequencies);
    if (frequencies == NULL) {
        parameters->status = sinq_fail_memory(parameters->error, "a rope", rope->dims / 2 * sizeof *frequencies);
        return NULL;
    }
    for (uint32_t i = 0; i < rope->dims / 2; i++) frequencies[i] = pow(rope->theta, -2.0 * i / rope->dims);
    return frequencies;
}

/* The dimension whose wave turns `rotations` times in the original context. */
static double find_dimension(const struct sinq_rope *rope, double rotations) {
    const double positions = (double)rope->original_context;
    return rope->dims * log(positions / (rotations * 2.0 * PI)) / (2.0 * log(rope->theta));
}

/* Fast waves stay, slow ones are interpolated, with a ramp in between (arXiv 2309.00071). */
static void scale_yarn(struct sinq_config_reader *parameters, struct sinq_rope *rope) {
    const double fast = sinq_config_number(parameters, "beta_fast", 0.0, LARGEST_NUMBER, 32.0);
    const double slow = sinq_config_number(parameters, "beta_slow", 0.0, LARGEST_NUMBER, 1.0);
    rope->beta_fast = fast == 0.0 ? 32.0 : fast;
    rope->beta_slow = slow == 0.0 ? 1.0 : slow;
    double low = find_dimension(rope, rope->beta_fast), high = find_dimension(rope, rope->beta_slow);
    if (sinq_config_flag(parameters, "truncate", true)) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, rope->dims - 1.0);
    if (low == high) high += 0.001;
    for (uint32_t i = 0; i < rope->dims / 2; i++) {
        const double ramp = fmin(fmax((i - low) / (high - low), 0.0), 1.0), frequency = rope->frequencies[i];
        rope->frequencies[i] = frequency / rope->factor * ramp + frequency * (1.0 - ramp);
    }
    const double mscale = sinq_config_number(parameters, "mscale", 0.0, LARGEST_NUMBER, 0.0);
    const double all = sinq_config_number(parameters, "mscale_all_dim", 0.0, LARGEST_NUMBER, 0.0);
    const double implied = mscale != 0.0 && all != 0.0
                               ? sinq_yarn_scale(rope->factor, mscale) / sinq_yarn_scale(rope->factor, all)
                               : sinq_yarn_scale(rope->factor, 1.0);
    rope->attention_factor = sinq_config_number(parameters, "attention_factor", 0.0, LARGEST_NUMBER, implied);
}

/* Waves longer than the original context are stretched by the factor, short ones not, with a ramp in between. */
static void scale_llama3(struct sinq_config_reader *parameters, struct sinq_rope *rope) {
    const double low = sinq_config_number(parameters, "low_freq_factor", 1e-6, LARGEST_NUMBER, 1.0);
    const double high = sinq_config_number(parameters, "high_freq_factor", 1e-6, LARGEST_NUMBER, 4.0);
    const double positions = (double)rope->original_context;
    if (low >= high) {
        sinq_config_fail(parameters, "%slow_freq_factor is %g, expected less than high_freq_factor, which is %g",
                         parameters->inside, low, high);
        return;
    }
    for (uint32_t i = 0; i < rope->dims / 2; i++) {
        const double frequency = rope->frequencies[i], waves = positions * frequency / (2.0 * PI);
        const double smooth = fmin(fmax((waves - low) / (high - low), 0.0), 1.0);
        rope->frequencies[i] = (1.0 - smooth) * frequency / rope->factor + smooth * frequency;
    }
}

static void divide_frequencies(struct sinq_config_reader *parameters, const char *key, uint32_t pairs,
                               double *frequencies) {
    double *const divisors = sinq_config_numbers(parameters, key, pairs);
    for (uint32_t i = 0; divisors != NULL && i < pairs; i++) frequencies[i] /= divisors[i];
    free(divisors);
}

static void scale_longrope(struct sinq_config_reader *parameters, struct sinq_rope *rope) {
    const uint32_t pairs = rope->dims / 2;
    rope->long_frequencies = make_frequencies(parameters, rope);
    if (rope->long_frequencies == NULL) return;
    divide_frequencies(parameters, "short_factor", pairs, rope->frequencies);
    divide_frequencies(parameters, "long_factor", pairs, rope->long_frequencies);
    const double implied =
        rope->factor <= 1.0 ? 1.0 : sqrt(1.0 + log(rope->factor) / log((double)rope->original_context));
    rope->attention_factor = sinq_config_number(parameters, "attention_factor", 0.0, LARGEST_NUMBER, implied);
}

static void scale_frequencies(struct sinq_config_reader *parameters, struct sinq_rope *rope) {
    if (rope->type == SINQ_ROPE_LINEAR) {
        for (uint32_t i = 0; i < rope->dims / 2; i++) rope->frequencies[i] /= rope->factor;
    }
    if (rope->type == SINQ_ROPE_YARN) scale_yarn(parameters, rope);
    if (rope->type == SINQ_ROPE_LLAMA3) scale_llama3(parameters, rope);
    if (rope->type == SINQ_ROPE_LONGROPE) scale_longrope(parameters, rope);
}

void sinq_read_rope(struct sinq_config_reader *parameters, const struct sinq_rope_model *model,
                    struct sinq_rope *rope) {
    *rope = (struct sinq_rope){.interleaved = model->interleaved, .attention_factor = 1.0};
    read_type(parameters, rope);
    rope->theta = sinq_config_number(parameters, "rope_theta", 1.0 + 1e-6, LARGEST_NUMBER, model->theta);
    read_dims(parameters, model, rope);
    read_contexts(parameters, model, rope);
    if (parameters->status == SINQ_OK) rope->frequencies = make_frequencies(parameters, rope);
    if (parameters->status == SINQ_OK) scale_frequencies(parameters, rope);
    if (parameters->status != SINQ_OK) sinq_rope_free(rope);
}
