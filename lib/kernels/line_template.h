/*
 * line_template.h: the search for scale and zero point of our own layout's groups, a part of quantize_template.h, after
 * search_template.h. A lane is a group: lanes never meet, so all versions give the same bits.
 */
#ifndef SINQ_KERNELS_LINE_TEMPLATE_H
#define SINQ_KERNELS_LINE_TEMPLATE_H

#include "kernels/search_template.h"

/* The codes that base + code / by gives, into the sums. */
INLINE void sum_plain_line(const struct sinq_lane_line_search *search, v16 base, v16 by, struct line_sums *sums) {
    const v16 zero = v_set(0.0f), top = v_set(search->top);
    v16 q_sum = zero, qq_sum = zero, qy_sum = zero;
    for (size_t i = 0; i < search->count; i++) {
        const v16 y = v_load(search->values + SINQ_LANES * i);
        const v16 q = round_within(v_mul(v_sub(y, base), by), zero, top);
        q_sum = v_add(q_sum, q);
        qq_sum = v_add(qq_sum, v_mul(q, q));
        qy_sum = v_add(qy_sum, v_mul(q, y));
    }
    sums->wq = q_sum;
    sums->wqq = qq_sum;
    sums->wqy = qy_sum;
}

/* Rounds of rounding, each with the best line for the codes of the round before. */
INLINE void follow_line(const struct sinq_lane_line_search *search, v16 base, v16 scale, unsigned rounds,
                        struct line_sums *sums, struct best_line *best) {
    const v16 most = v_set(0x1p120f);
    for (unsigned i = 0; i < rounds; i++) {
        sum_plain_line(search, base, invert(scale), sums);
        offer_line(best, sums, most, &scale, &base);
        base = v_where_greater(base, v_set(-0x1p120f), base, v_set(0.0f)); /* where it is not a number */
    }
}

static void search_line(const struct sinq_lane_line_search *search, struct sinq_lane_line *line) {
    const v16 zero = v_set(0.0f), one = v_set(1.0f), by_top = v_set(1.0f / search->top);
    v16 sum = zero;
    for (size_t i = 0; i < search->count; i++) sum = v_add(sum, v_load(search->values + SINQ_LANES * i));
    const v16 mean = v_div(sum, v_set((float)search->count)), above = v_sub(one, mean);
    struct line_sums sums = {.w = v_set((float)search->count), .wy = sum};
    struct best_line best = {zero, v_load(line->scale), v_load(line->base)};
    follow_line(search, best.base, best.scale, 1 + search->each, &sums, &best);
    for (size_t c = 0; c < search->shrink_count; c++) {
        const v16 below = v_mul(mean, v_set(search->shrinks[c][0]));
        const v16 range = v_add(below, v_mul(above, v_set(search->shrinks[c][1])));
        follow_line(search, v_sub(mean, below), v_mul(range, by_top), 1 + search->each, &sums, &best);
    }
    for (unsigned i = 0; i < search->last; i++) follow_line(search, best.base, best.scale, 1, &sums, &best);
    v_store(line->scale, best.scale);
    v_store(line->base, best.base);
}

static void refit_scale(const struct sinq_lane_line_search *search, const float lowest[SINQ_LANES],
                        const float zero[SINQ_LANES], struct sinq_lane_line *line) {
    const v16 bottom = v_load(lowest), z = v_load(zero), least = v_set(0.0f), top = v_set(search->top);
    struct best_scale best = {least, v_load(line->scale)};
    for (unsigned i = 0; i <= search->last; i++) {
        const v16 by = invert(best.scale);
        struct scale_sums sums = {least, least};
        for (size_t j = 0; j < search->count; j++) {
            const v16 x = v_add(v_load(search->values + SINQ_LANES * j), bottom);
            const v16 place = v_sub(round_within(v_add(v_mul(x, by), z), least, top), z);
            sums.cross = v_add(sums.cross, v_mul(place, x));
            sums.square = v_add(sums.square, v_mul(place, place));
        }
        offer_scale(&best, &sums);
    }
    v_store(line->scale, best.scale);
}

#endif
