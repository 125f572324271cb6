/* attention_template.h: widening of stored values and the online softmax; a part of compute_template.h. */
#ifndef SINQ_KERNELS_ATTENTION_TEMPLATE_H
#define SINQ_KERNELS_ATTENTION_TEMPLATE_H

#include "kernels/dense_template.h"
#include "kernels/math_template.h"

static void narrow_f16(const float *values, size_t count, uint8_t *to) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) v_store_f16((uint16_t *)(void *)(to + 2 * i), v_load(values + i));
    if (i == count) return;
    uint16_t last[16];
    v_store_f16(last, load_some(values + i, count - i));
    memcpy(to + 2 * i, last, 2 * (count - i));
}

static void narrow_i8(const float *values, size_t count, float by, uint8_t *to) {
    for (size_t i = 0; i < count; i += 16) {
        const size_t some = count_some(i, count);
        int8_t codes[16];
        v_store_i8(codes, v_mul(load_some(values + i, some), v_set(by)));
        memcpy(to + i, codes, some);
    }
}

static void widen_f16(const uint8_t *from, size_t count, float *out) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) v_store(out + i, load_f16(from + 2 * i));
    if (i < count) store_some(out + i, count - i, load_some_f16(from + 2 * i, count - i));
}

static void widen_i8(const uint8_t *from, size_t count, float scale, float *out) {
    const v16 by = v_set(scale);
    size_t i = 0;
    for (; i + 16 <= count; i += 16) v_store(out + i, v_mul(by, v_load_i8(from + i)));
    if (i < count) store_some(out + i, count - i, v_mul(by, load_some_i8(from + i, count - i)));
}

/*
 * F8 as halves: exponent and mantissa move into place. For e4m3 the difference of the biases, 2^8, is multiplied in, and NaN gets
 * its exponent by hand.
 */
ALWAYS_INLINE void widen_f8(const bool is_e4m3, const uint8_t *from, size_t count, float *out) {
    for (size_t i = 0; i < count; i += 16) {
        const size_t some = count_some(i, count);
        uint16_t halves[16];
        uint8_t bytes[16] = {0};
        memcpy(bytes, from + i, some);
        for (int l = 0; l < 16; l++) {
            const unsigned magnitude = bytes[l] & 0x7fu, sign = (bytes[l] & 0x80u) << 8;
            const unsigned e4m3 = magnitude << 7 | (magnitude == 0x7fu ? 0x7c00u : 0u);
            halves[l] = (uint16_t)(sign | (is_e4m3 ? e4m3 : magnitude << 8));
        }
        store_some(out + i, some, v_mul(v_load_f16(halves), v_set(is_e4m3 ? 256.0f : 1.0f)));
    }
}
static void widen_e4m3(const uint8_t *from, size_t count, float *out) { widen_f8(true, from, count, out); }
static void widen_e5m2(const uint8_t *from, size_t count, float *out) { widen_f8(false, from, count, out); }

/* Sixteen scores as the softmax takes them; those that the query does not see become minus infinity. */
ALWAYS_INLINE v16 finish_scores(const struct sinq_softmax_step *step, size_t at, v16 score) {
    score = v_mul(score, v_set(step->scale));
    if (step->key_scales != NULL) score = v_mul(score, v_load(step->key_scales + at));
    if (step->cap != 0.0f) score = v_mul(v_set(step->cap), v_tanh(v_div(score, v_set(step->cap))));
    if (at >= step->first && at + 16 <= step->end) return score;
    float scores[16];
    v_store(scores, score);
    for (size_t l = 0; l < 16; l++) {
        if (at + l < step->first || at + l >= step->end) scores[l] = -INFINITY;
    }
    return v_load(scores);
}

/* What was summed so far is expressed relative to a larger score. */
static void shrink_sums(const struct sinq_softmax_step *step, float largest, float *sums) {
    const v16 shrink = v_exp(v_set(*step->largest - largest));
    for (size_t i = 0; i < step->values; i += 16) v_store(sums + i, v_mul(v_load(sums + i), shrink));
    *step->total *= v_first(shrink);
    *step->largest = largest;
}

/* Shares may grow to e^8, which costs no accuracy: sums need to shrink but rarely. */
#define SHARE_ROOM 8.0f

static void update_softmax(const struct sinq_softmax_step *step, float *scores, float *sums) {
    const size_t begin = step->first / 16 * 16, end = (step->end + 15) / 16 * 16;
    v16 largest = v_set(-INFINITY), total = v_set(0.0f);
    for (size_t i = begin; i < end; i += 16) {
        const v16 score = finish_scores(step, i, v_load(scores + i));
        v_store(scores + i, score);
        largest = v_max(largest, score);
    }
    const float block_largest = v_largest(largest);
    if (block_largest > *step->largest + SHARE_ROOM) shrink_sums(step, block_largest, sums);
    const v16 top = v_set(*step->largest);
    for (size_t i = begin; i < end; i += 16) {
        const v16 share = v_exp_bounded(v_sub(v_load(scores + i), top));
        total = v_add(total, share);
        v_store(scores + i, step->value_scales == NULL ? share : v_mul(share, v_load(step->value_scales + i)));
    }
    *step->total += v_sum(total);
    for (size_t i = 0; i < begin; i += 16) v_store(scores + i, v_set(0.0f));
    for (size_t i = end; i < step->positions; i += 16) v_store(scores + i, v_set(0.0f));
}

#endif
