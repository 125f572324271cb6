#include "quant/matrix/weighted_search.h"

#include <math.h>

#define ROWS        SINQ_SEARCH_ROWS
#define REFINEMENTS 3
/* Added and subtracted, it rounds what is small to an integer. */
#define ROUNDER            8388608.0f
#define LARGEST_ZERO_ERROR 0.5f

struct extremes {
    float lowest[ROWS], highest[ROWS], mean[ROWS];
};

/* Of weights w, codes q and values y above the lowest. */
struct sums {
    float w, wy[ROWS], wq[ROWS], wqq[ROWS], wqy[ROWS];
};

struct best {
    float scale[ROWS], base[ROWS], gain[ROWS];
};

static void find_extremes(const struct sinq_search_group *g, struct extremes *e) {
    for (unsigned r = 0; r < ROWS; r++) {
        e->lowest[r] = e->highest[r] = g->values[r];
        e->mean[r] = 0.0f;
    }
    for (size_t j = 0; j < g->count; j++) {
        const float *const x = g->values + ROWS * j;
        for (unsigned r = 0; r < ROWS; r++) {
            e->lowest[r] = x[r] < e->lowest[r] ? x[r] : e->lowest[r];
            e->highest[r] = x[r] > e->highest[r] ? x[r] : e->highest[r];
            e->mean[r] += x[r];
        }
    }
    for (unsigned r = 0; r < ROWS; r++) e->mean[r] /= (float)g->count;
}

static void sum_codes(const struct sinq_search_group *g, const struct extremes *e, const float *from, const float *by,
                      struct sums *s) {
    const float top = (float)((1u << g->bits) - 1u);
    *s = (struct sums){.w = 0.0f};
    for (size_t j = 0; j < g->count; j++) {
        const float *const x = g->values + ROWS * j, w = g->weights[j];
        s->w += w;
        for (unsigned r = 0; r < ROWS; r++) {
            const float y = x[r] - e->lowest[r];
            float q = (y - from[r]) * by[r];
            q = q > 0.0f ? q : 0.0f;
            q = q < top ? q : top;
            q = (q + ROUNDER) - ROUNDER;
            s->wy[r] += w * y;
            s->wq[r] += w * q;
            s->wqq[r] += w * q * q;
            s->wqy[r] += w * q * y;
        }
    }
}

/* The best line for the codes: kept where it takes more off the error than the best so far. */
static void offer_line(const struct sums *s, struct best *best) {
    for (unsigned r = 0; r < ROWS; r++) {
        const float spread = s->w * s->wqq[r] - s->wq[r] * s->wq[r];
        const float scale = (s->w * s->wqy[r] - s->wq[r] * s->wy[r]) / spread;
        const float base = (s->wy[r] - scale * s->wq[r]) / s->w;
        const float gain = scale * (2.0f * s->wqy[r] - scale * s->wqq[r]) + base * (2.0f * s->wy[r] - base * s->w) -
                           2.0f * scale * base * s->wq[r];
        const _Bool is_better = scale > 0.0f && gain > best->gain[r];
        best->scale[r] = is_better ? scale : best->scale[r];
        best->base[r] = is_better ? base : best->base[r];
        best->gain[r] = is_better ? gain : best->gain[r];
    }
}

/* Of one end: docs/rounding.md. */
static const float *get_factors(unsigned bits) {
    static const float wide[5] = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f}, four[5] = {1.0f, 0.92f, 0.84f, 0.76f, 0.68f},
                       three[5] = {1.0f, 0.9f, 0.8f, 0.7f, 0.6f}, two[5] = {0.88f, 0.76f, 0.64f, 0.52f, 0.4f};
    return bits == 2 ? two : bits == 3 ? three : bits == 4 ? four : wide;
}

static void try_range(const struct sinq_search_group *g, const struct extremes *e, float below, float above,
                      struct best *best) {
    const float top = (float)((1u << g->bits) - 1u);
    float from[ROWS], by[ROWS];
    struct sums sums;
    for (unsigned r = 0; r < ROWS; r++) {
        const float mean = e->mean[r] - e->lowest[r], range = e->highest[r] - e->lowest[r];
        from[r] = mean - mean * below;
        const float width = mean + (range - mean) * above - from[r];
        by[r] = width > 0.0f ? top / width : 0.0f;
    }
    sum_codes(g, e, from, by, &sums);
    offer_line(&sums, best);
}

static void refine(const struct sinq_search_group *g, const struct extremes *e, struct best *best) {
    float from[ROWS], by[ROWS];
    struct sums sums;
    for (unsigned r = 0; r < ROWS; r++) {
        from[r] = best->base[r];
        by[r] = best->scale[r] > 0.0f ? 1.0f / best->scale[r] : 0.0f;
    }
    sum_codes(g, e, from, by, &sums);
    offer_line(&sums, best);
}

/* Groups whose values are all equal are one step from zero, and exact. */
static void finish_line(const struct extremes *e, const struct best *best, struct sinq_search_line *line) {
    for (unsigned r = 0; r < ROWS; r++) {
        const float lowest = e->lowest[r];
        const float scale = best->scale[r], zero = -(lowest + best->base[r]) / scale;
        const _Bool is_line = e->highest[r] > lowest && scale > 0.0f && isfinite(zero);
        line->scale[r] = is_line ? scale : fabsf(lowest);
        line->zero[r] = is_line ? zero : lowest < 0.0f ? 1.0f : 0.0f;
    }
}

void sinq_search_weighted(const struct sinq_search_group *g, struct sinq_search_line *line) {
    const float *const factors = get_factors(g->bits);
    const float top = (float)((1u << g->bits) - 1u);
    struct extremes e;
    struct best best;
    find_extremes(g, &e);
    for (unsigned r = 0; r < ROWS; r++) {
        best.scale[r] = (e.highest[r] - e.lowest[r]) / top;
        best.base[r] = 0.0f;
        best.gain[r] = -INFINITY;
    }
    try_range(g, &e, 1.0f, 1.0f, &best);
    for (unsigned a = 0; a < 5; a++) {
        for (unsigned c = a > 0 ? a - 1 : 0; c < 5 && c <= a + 1; c++) try_range(g, &e, factors[a], factors[c], &best);
    }
    for (unsigned i = 0; i < REFINEMENTS; i++) refine(g, &e, &best);
    finish_line(&e, &best, line);
}

/* Where a zero point was stored far from what was wished: the step that covers the values from it. */
static float cover_values(const struct extremes *e, unsigned row, float top, float zero) {
    const float above = zero < top ? e->highest[row] / (top - zero) : 0.0f;
    const float below = zero > 0.0f ? -e->lowest[row] / zero : 0.0f;
    return fmaxf(above, below);
}

void sinq_refit_weighted(const struct sinq_search_group *g, const float *zero, struct sinq_search_line *line) {
    const float top = (float)((1u << g->bits) - 1u);
    float by[ROWS], cross[ROWS] = {0.0f}, square[ROWS] = {0.0f};
    struct extremes e;
    find_extremes(g, &e);
    for (unsigned r = 0; r < ROWS; r++) {
        const _Bool is_off = fabsf(zero[r] - line->zero[r]) > LARGEST_ZERO_ERROR;
        if (is_off && e.highest[r] > e.lowest[r]) line->scale[r] = cover_values(&e, r, top, zero[r]);
        line->zero[r] = zero[r];
        by[r] = line->scale[r] > 0.0f ? 1.0f / line->scale[r] : 0.0f;
    }
    for (size_t j = 0; j < g->count; j++) {
        const float *const x = g->values + ROWS * j, w = g->weights[j];
        for (unsigned r = 0; r < ROWS; r++) {
            float q = x[r] * by[r] + zero[r];
            q = q > 0.0f ? q : 0.0f;
            q = q < top ? q : top;
            q = ((q + ROUNDER) - ROUNDER) - zero[r];
            cross[r] += w * q * x[r];
            square[r] += w * q * q;
        }
    }
    for (unsigned r = 0; r < ROWS; r++) {
        const float scale = cross[r] / square[r];
        if (scale > 0.0f && isfinite(scale)) line->scale[r] = scale;
    }
}
