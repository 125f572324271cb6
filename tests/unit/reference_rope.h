/*
 * reference_rope.h: rotary embeddings for the reference pass, as transformers' modeling_rope_utils describes them. Written
 * apart from lib/model/rope*.c, on purpose.
 */
#ifndef SINQ_TESTS_REFERENCE_ROPE_H
#define SINQ_TESTS_REFERENCE_ROPE_H

#include "reference_model.h"

struct reference_rope {
    size_t pairs;
    double frequency[128];
    double factor; /* of cosines and sines */
};

/* rope_parameters of transformers 5, of one kind of layers where there are two kinds, or rope_scaling of 4. */
static inline const cJSON *find_rope_object(const struct reference *r, bool is_sliding) {
    const cJSON *const all = cJSON_GetObjectItemCaseSensitive(r->config, "rope_parameters");
    const cJSON *const own = cJSON_GetObjectItemCaseSensitive(all, is_sliding ? "sliding_attention" : "full_attention");
    if (own != NULL) return own;
    if (is_type(r, "gemma3_text") && is_sliding) return NULL; /* rope_scaling is of the full layers */
    return all != NULL ? all : cJSON_GetObjectItemCaseSensitive(r->config, "rope_scaling");
}

static inline void stretch_yarn(const cJSON *o, double base, double dims, double original, double factor,
                                struct reference_rope *rope) {
    const double two_pi = 2.0 * 3.14159265358979323846;
    double low = dims * log(original / (number_or(o, "beta_fast", 32) * two_pi)) / (2.0 * log(base));
    double high = dims * log(original / (number_or(o, "beta_slow", 1) * two_pi)) / (2.0 * log(base));
    if (flag_or(o, "truncate", true)) {
        low = floor(low);
        high = ceil(high);
    }
    low = low < 0.0 ? 0.0 : low;
    high = high > dims - 1.0 ? dims - 1.0 : high;
    if (low == high) high += 0.001;
    for (size_t i = 0; i < rope->pairs; i++) {
        double interpolated = ((double)i - low) / (high - low);
        interpolated = interpolated < 0.0 ? 0.0 : interpolated > 1.0 ? 1.0 : interpolated;
        rope->frequency[i] *= interpolated / factor + (1.0 - interpolated);
    }
    const double mscale = number_or(o, "mscale", 0), all = number_or(o, "mscale_all_dim", 0);
    const double implied = factor <= 1.0 ? 1.0
                           : mscale != 0.0 && all != 0.0
                               ? (0.1 * mscale * log(factor) + 1.0) / (0.1 * all * log(factor) + 1.0)
                               : 0.1 * log(factor) + 1.0;
    rope->factor = number_or(o, "attention_factor", implied);
}

static inline void stretch_llama3(const cJSON *o, double original, double factor, struct reference_rope *rope) {
    const double low = number_or(o, "low_freq_factor", 1), high = number_or(o, "high_freq_factor", 4);
    for (size_t i = 0; i < rope->pairs; i++) {
        const double wavelength = 2.0 * 3.14159265358979323846 / rope->frequency[i];
        if (wavelength < original / high) continue;
        if (wavelength > original / low) {
            rope->frequency[i] /= factor;
            continue;
        }
        const double smooth = (original / wavelength - low) / (high - low);
        rope->frequency[i] = (1.0 - smooth) * rope->frequency[i] / factor + smooth * rope->frequency[i];
    }
}

static inline void stretch_longrope(const cJSON *o, bool is_long, double original, double factor,
                                    struct reference_rope *rope) {
    const cJSON *const divisors = cJSON_GetObjectItemCaseSensitive(o, is_long ? "long_factor" : "short_factor");
    ck_assert_uint_eq((size_t)cJSON_GetArraySize(divisors), rope->pairs);
    for (size_t i = 0; i < rope->pairs; i++) {
        rope->frequency[i] /= cJSON_GetArrayItem(divisors, (int)i)->valuedouble;
    }
    rope->factor = number_or(o, "attention_factor", factor <= 1.0 ? 1.0 : sqrt(1.0 + log(factor) / log(original)));
}

/* For a sequence of r->positions tokens. `width` values of a head may turn. */
static inline struct reference_rope make_reference_rope(const struct reference *r, size_t width, bool is_sliding) {
    const cJSON *const o = find_rope_object(r, is_sliding);
    const char *const type = word_or(o, "rope_type", word_or(o, "type", "default"));
    const double share = number_or(o, "partial_rotary_factor", number_or(r->config, "partial_rotary_factor", 1));
    const double dims = floor((double)width * share), context = number_or(r->config, "max_position_embeddings", 0);
    const double original = number_or(r->config, "original_max_position_embeddings",
                                      number_or(o, "original_max_position_embeddings", context));
    const double factor = number_or(o, "factor", context / original), length = (double)r->positions;
    const bool is_local = is_sliding && is_type(r, "gemma3_text");
    double base =
        number_or(o, "rope_theta", number_or(r->config, is_local ? "rope_local_base_freq" : "rope_theta", 10000));
    if (strcmp(type, "dynamic") == 0 && length > context) {
        base *= pow(factor * length / context - (factor - 1.0), dims / (dims - 2.0));
    }
    struct reference_rope rope = {.pairs = (size_t)dims / 2, .factor = 1.0};
    for (size_t i = 0; i < rope.pairs; i++) rope.frequency[i] = 1.0 / pow(base, 2.0 * (double)i / dims);
    if (strcmp(type, "linear") == 0) {
        for (size_t i = 0; i < rope.pairs; i++) rope.frequency[i] /= factor;
    } else if (strcmp(type, "yarn") == 0) {
        stretch_yarn(o, base, dims, original, factor, &rope);
    } else if (strcmp(type, "llama3") == 0) {
        stretch_llama3(o, original, factor, &rope);
    } else if (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0) {
        stretch_longrope(o, length > original, original, factor, &rope);
    } else {
        ck_assert_msg(strcmp(type, "default") == 0 || strcmp(type, "dynamic") == 0, "rope type %s", type);
    }
    return rope;
}

/* Turns pair i, values (i, i + pairs) or (2 i, 2 i + 1), by position * frequency. */
static inline void turn_head(const struct reference_rope *rope, size_t position, bool is_interleaved, double *head) {
    for (size_t i = 0; i < rope->pairs; i++) {
        const double angle = (double)position * rope->frequency[i];
        const double c = cos(angle) * rope->factor, s = sin(angle) * rope->factor;
        double *const first = head + (is_interleaved ? 2 * i : i);
        double *const second = head + (is_interleaved ? 2 * i + 1 : i + rope->pairs);
        const double a = *first, b = *second;
        *first = a * c - b * s;
        *second = b * c + a * s;
    }
}

#endif
