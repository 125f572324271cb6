/*
 * test_encode_blocks.c: f32 to GGUF's block types: how far values end from where they were, next to plain rounding; blocks made to
 * break the search; the same bytes from every instruction set.
 */
#include "quant/blocks/encode_blocks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu_levels.h"
#include "tensor/block_parts.h"
#include "tensor/dtype.h"
#include "unit.h"

#define COUNT 1024u

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* About normal: the sum of six. */
static void fill_normal(uint32_t seed, float *values) {
    for (size_t i = 0; i < COUNT; i++) {
        float sum = 0.0f;
        for (unsigned j = 0; j < 6; j++) sum += (float)next_random(&seed) * 0x1p-24f - 0.5f;
        values[i] = sum;
    }
}

static double find_error(const struct sinq_block_type *type, const float *values, const float *weights,
                         const uint8_t *bytes) {
    float decoded[COUNT];
    double error = 0.0;
    sinq_decode_blocks(type, bytes, COUNT, decoded);
    for (size_t i = 0; i < COUNT; i++) {
        const double difference = (double)values[i] - (double)decoded[i];
        error += (weights == NULL ? 1.0 : (double)weights[i]) * difference * difference;
    }
    return error;
}

/* ---- next to plain rounding ---- */

/* The error of evenly spaced codes over a group's own range, or over its largest magnitude, with scales that are not rounded. */
static double round_plainly(const struct sinq_block_type *type, const float *values) {
    const struct sinq_block_form *const form = sinq_block_form(type);
    const double top = (double)((1 << form->bits) - 1);
    double error = 0.0;
    for (size_t first = 0; first < COUNT; first += form->group) {
        double low = (double)values[first], high = low;
        for (size_t i = first; i < first + form->group; i++) {
            low = fmin(low, (double)values[i]);
            high = fmax(high, (double)values[i]);
        }
        if (!form->has_minimum) {
            high = fmax(-low, high);
            low = -high;
        }
        const double scale = form->has_minimum ? (high - low) / top : high / floor(top / 2.0);
        for (size_t i = first; i < first + form->group; i++) {
            const double place = form->has_minimum ? ((double)values[i] - low) / scale : (double)values[i] / scale;
            const double difference = (place - rint(place)) * scale;
            error += difference * difference;
        }
    }
    return error;
}

/* The error over that of plain rounding, at most. Real-valued scales are an advantage over those of 4 to 6 bits. */
static const struct {
    const char *type;
    double most;
} bounds[] = {
    {"q8_0", 0.87}, {"q4_0", 0.72}, {"q4_1", 0.81}, {"q5_0", 0.81}, {"q5_1", 0.81}, {"iq4_nl", 0.61},
    {"q4_k", 0.82}, {"q5_k", 0.85}, {"q6_k", 0.76}, {"q3_k", 0.54}, {"q2_k", 0.67},
};

START_TEST(errors_are_below_those_of_plain_rounding) {
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const struct sinq_block_type *const type = sinq_find_block_type_named(bounds[i].type);
        double error = 0.0, plain = 0.0;
        for (uint32_t seed = 1; seed <= 8; seed++) {
            float values[COUNT];
            uint8_t bytes[COUNT / 32 * 40];
            fill_normal(seed, values);
            sinq_encode_blocks(type, values, NULL, COUNT, bytes);
            error += find_error(type, values, NULL, bytes);
            plain += round_plainly(type, values);
        }
        ck_assert_msg(error <= bounds[i].most * plain, "%s: %.3f of plain rounding's error, expected %.3f",
                      bounds[i].type, error / plain, bounds[i].most);
    }
}
END_TEST

/* ---- weights ---- */

START_TEST(what_counts_more_is_nearer) {
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const struct sinq_block_type *const type = sinq_find_block_type_named(bounds[i].type);
        float values[COUNT], weights[COUNT], nothing[COUNT] = {0};
        uint8_t plain[COUNT / 32 * 40], weighted[COUNT / 32 * 40], other[COUNT / 32 * 40];
        fill_normal(7, values);
        for (size_t k = 0; k < COUNT; k++) weights[k] = k % 5 == 0 ? 4.0f : 0.05f;
        sinq_encode_blocks(type, values, NULL, COUNT, plain);
        sinq_encode_blocks(type, values, weights, COUNT, weighted);
        ck_assert_msg(find_error(type, values, weights, weighted) < 0.95 * find_error(type, values, weights, plain),
                      "%s: weights change nothing", type->name);
        /* A power of two in all weights, or no weight at all, changes nothing. */
        for (size_t k = 0; k < COUNT; k++) weights[k] *= 0x1p-70f;
        sinq_encode_blocks(type, values, weights, COUNT, other);
        ck_assert_msg(memcmp(weighted, other, COUNT / type->values * type->bytes) == 0, "%s", type->name);
        sinq_encode_blocks(type, values, nothing, COUNT, other);
        ck_assert_msg(memcmp(plain, other, COUNT / type->values * type->bytes) == 0, "%s", type->name);
    }
}
END_TEST

/* ---- blocks made to break the search ---- */

enum shape { ALL_ZERO, ONE_HUGE, ALL_EQUAL, ALL_NEGATIVE, TINY, HUGE_VALUES, LARGEST, ONE_GROUP, STEPS, SHAPE_COUNT };

static const struct {
    const char *name;
    double most[2]; /* relative error, of types of 4 bits and more, and of others */
} shapes[SHAPE_COUNT] = {
    [ALL_ZERO] = {"all zero", {0.0, 0.0}},
    [ONE_HUGE] = {"one huge", {0.05, 0.02}},
    [ALL_EQUAL] = {"all equal", {0.04, 0.08}},
    [ALL_NEGATIVE] = {"all negative", {0.08, 0.35}},
    [TINY] = {"scales in f16's subnormal range", {0.4, 0.6}},
    [HUGE_VALUES] = {"near the largest f16", {0.12, 0.4}},
    [LARGEST] = {"beyond what f16 scales reach", {1.0, 1.0}},
    [ONE_GROUP] = {"one group among zeros", {0.12, 0.4}},
    [STEPS] = {"groups of very different size", {0.15, 0.4}},
};

static void fill_shape(enum shape shape, float *values) {
    fill_normal(3, values);
    for (size_t i = 0; i < COUNT; i++) {
        switch (shape) {
        case ALL_ZERO:
            values[i] = i % 3 == 0 ? -0.0f : 0.0f;
            break;
        case ONE_HUGE:
            values[i] = i % 256 == 77 ? -1000.0f : values[i];
            break;
        case ALL_EQUAL:
            values[i] = i % 512 < 256 ? 0.37f : -0.37f;
            break;
        case ALL_NEGATIVE:
            values[i] = -2.0f - values[i];
            break;
        case TINY:
            values[i] *= 2e-6f;
            break;
        case HUGE_VALUES:
            values[i] *= 20000.0f;
            break;
        case LARGEST:
            values[i] = i % 2 == 0 ? FLT_MAX : -FLT_MAX;
            break;
        case ONE_GROUP:
            values[i] = i % 256 / 32 == 3 ? values[i] : 0.0f;
            break;
        default:
            values[i] *= i / 16 % 3 == 0 ? 100.0f : 0.01f;
            break;
        }
    }
}

START_TEST(adversarial_blocks_end_near_their_values) {
    const struct sinq_block_type *type;
    for (size_t t = 0; (type = sinq_list_block_type(t)) != NULL; t++) {
        if (type->is_plain || !type->is_written) continue;
        const bool is_coarse = sinq_block_form(type)->bits < 4;
        for (unsigned shape = 0; shape < SHAPE_COUNT; shape++) {
            float values[COUNT], decoded[COUNT];
            uint8_t bytes[COUNT / 32 * 40];
            double norm = 0.0;
            fill_shape((enum shape)shape, values);
            sinq_encode_blocks(type, values, NULL, COUNT, bytes);
            sinq_decode_blocks(type, bytes, COUNT, decoded);
            for (size_t i = 0; i < COUNT; i++) {
                ck_assert_msg(isfinite(decoded[i]), "%s, %s: not finite", type->name, shapes[shape].name);
                norm += (double)values[i] * (double)values[i];
            }
            const double error = sqrt(find_error(type, values, NULL, bytes));
            ck_assert_msg(error <= shapes[shape].most[is_coarse] * sqrt(norm), "%s, %s: relative error %.4f",
                          type->name, shapes[shape].name, error / sqrt(norm));
        }
    }
}
END_TEST

/* ---- what a round trip keeps ---- */

START_TEST(values_of_blocks_keep_theirs) {
    const struct sinq_block_type *type;
    for (size_t t = 0; (type = sinq_list_block_type(t)) != NULL; t++) {
        if (type->is_plain || !type->is_written) continue;
        float values[COUNT], again[COUNT];
        uint8_t bytes[COUNT / 32 * 40];
        fill_normal(11, values);
        sinq_encode_blocks(type, values, NULL, COUNT, bytes);
        sinq_decode_blocks(type, bytes, COUNT, values);
        sinq_encode_blocks(type, values, NULL, COUNT, bytes);
        sinq_decode_blocks(type, bytes, COUNT, again);
        double error = 0.0, norm = 0.0;
        for (size_t i = 0; i < COUNT; i++) {
            error += pow((double)values[i] - (double)again[i], 2.0);
            norm += pow((double)values[i], 2.0);
        }
        ck_assert_msg(sqrt(error / norm) < 0.02, "%s: %.4f", type->name, sqrt(error / norm));
    }
}
END_TEST

START_TEST(plain_types_are_rounded_to_the_nearest) {
    const float values[4] = {1.0f, 1.00390625f, -1.01171875f, 0x1.002p0f};
    const uint16_t bfloats[4] = {0x3f80, 0x3f80, 0xbf82, 0x3f80}, halves[4] = {0x3c00, 0x3c04, 0xbc0c, 0x3c00};
    uint16_t found[4];
    sinq_encode_blocks(sinq_find_block_type_named("bf16"), values, NULL, 4, (uint8_t *)found);
    ck_assert_mem_eq(found, bfloats, sizeof found);
    sinq_encode_blocks(sinq_find_block_type_named("f16"), values, NULL, 4, (uint8_t *)found);
    ck_assert_mem_eq(found, halves, sizeof found);
}
END_TEST

/* ---- machines ---- */

START_TEST(bytes_do_not_depend_on_the_instruction_set) {
    static uint8_t first[SINQ_BLOCK_ID_END][COUNT / 32 * 40];
    bool is_first = true;
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        const struct sinq_block_type *type;
        for (size_t t = 0; (type = sinq_list_block_type(t)) != NULL; t++) {
            if (type->is_plain || !type->is_written) continue;
            float values[COUNT];
            uint8_t bytes[COUNT / 32 * 40] = {0};
            fill_normal(5, values);
            for (size_t i = 0; i < COUNT / 4; i++) values[i] *= (float)(i % 7);
            sinq_encode_blocks(type, values, NULL, COUNT, bytes);
            if (is_first) memcpy(first[type->id], bytes, sizeof bytes);
            ck_assert_msg(memcmp(bytes, first[type->id], COUNT / type->values * type->bytes) == 0, "%s with %s",
                          type->name, cpu_level_names[level]);
        }
        is_first = false;
    }
}
END_TEST

START_TEST(parts_of_a_row_are_encoded_alike) {
    const struct sinq_block_type *type;
    for (size_t t = 0; (type = sinq_list_block_type(t)) != NULL; t++) {
        if (type->is_plain || !type->is_written) continue;
        float values[COUNT];
        uint8_t whole[COUNT / 32 * 40], parts[COUNT / 32 * 40];
        fill_shape(STEPS, values);
        sinq_encode_blocks(type, values, NULL, COUNT, whole);
        for (size_t b = 0; b < COUNT / type->values; b++) {
            sinq_encode_blocks(type, values + b * type->values, NULL, type->values, parts + b * type->bytes);
        }
        ck_assert_msg(memcmp(whole, parts, COUNT / type->values * type->bytes) == 0, "%s", type->name);
    }
}
END_TEST

UNIT_MAIN("encode blocks", errors_are_below_those_of_plain_rounding, what_counts_more_is_nearer,
          adversarial_blocks_end_near_their_values, values_of_blocks_keep_theirs,
          plain_types_are_rounded_to_the_nearest, bytes_do_not_depend_on_the_instruction_set,
          parts_of_a_row_are_encoded_alike)
