/*
 * search_template.h: the search for scales of GGUF's block types, a part of quantize_template.h. A lane is a group: lanes never
 * meet, so all versions give the same bits.
 */
#ifndef SINQ_KERNELS_SEARCH_TEMPLATE_H
#define SINQ_KERNELS_SEARCH_TEMPLATE_H

#define UNROLL _Pragma("GCC unroll 4")

/* Below this a group counts as zero: the smallest scale that f16 holds is far above. */
#define SMALLEST_VALUE 0x1p-60f

INLINE v16 v_where_positive(v16 condition, v16 then, v16 otherwise) {
    return v_where_greater(condition, v_set(0.0f), then, otherwise);
}

INLINE v16 find_largest(const struct sinq_lane_groups *groups) {
    v16 largest = v_set(0.0f);
    for (size_t i = 0; i < groups->count; i++) {
        const v16 x = v_load(groups->values + SINQ_LANES * i);
        largest = v_max(largest, v_max(x, v_sub(v_set(0.0f), x)));
    }
    return largest;
}

/* 1 / v, or 0 where v counts as zero. */
INLINE v16 invert(v16 v) { return v_where_greater(v, v_set(SMALLEST_VALUE), v_div(v_set(1.0f), v), v_set(0.0f)); }
/* The same of scales, which may be negative. */
INLINE v16 invert_scale(v16 scale) {
    const v16 magnitude = v_max(scale, v_sub(v_set(0.0f), scale));
    return v_where_greater(magnitude, v_set(0x1p-100f), v_div(v_set(1.0f), scale), v_set(0.0f));
}

INLINE v16 round_within(v16 place, v16 lowest, v16 highest) { return v_round(v_min(v_max(place, lowest), highest)); }

/* ---- scale ---- */

/* The best scale so far and by how much it lessens the error. */
struct best_scale {
    v16 gain, scale;
};

/* Sums of weight * value * code and weight * code^2: their quotient is the best scale for these codes. */
struct scale_sums {
    v16 cross, square;
};

INLINE void offer_scale(struct best_scale *best, const struct scale_sums *sums) {
    const v16 scale = v_div(sums->cross, sums->square), gain = v_mul(scale, sums->cross);
    best->scale = v_where_greater(gain, best->gain, scale, best->scale);
    best->gain = v_where_greater(gain, best->gain, gain, best->gain);
}

INLINE void add_weighted(struct scale_sums *sums, v16 x, v16 weighted, v16 code) {
    sums->cross = v_add(sums->cross, v_mul(weighted, x));
    sums->square = v_add(sums->square, v_mul(weighted, code));
}

INLINE void add_to_scale(struct scale_sums *sums, v16 x, v16 weight, v16 code) {
    add_weighted(sums, x, v_mul(weight, code), code);
}

INLINE struct scale_sums sum_codes(const struct sinq_lane_groups *groups, v16 by, v16 lowest, v16 highest) {
    struct scale_sums sums = {v_set(0.0f), v_set(0.0f)};
    for (size_t i = 0; i < groups->count; i++) {
        const v16 x = v_load(groups->values + SINQ_LANES * i);
        add_to_scale(&sums, x, v_load(groups->weights + SINQ_LANES * i), round_within(v_mul(x, by), lowest, highest));
    }
    return sums;
}

/* Rounds of rounding with the best scale for the codes of the round before. */
#define REFINEMENTS 2

static void search_scale(const struct sinq_lane_groups *groups, const float *steps, size_t step_count,
                         struct sinq_lane_codes *codes) {
    const v16 lowest = v_set(codes->lowest), highest = v_set(codes->highest);
    const v16 by_largest = invert(find_largest(groups));
    struct best_scale best = {v_set(0.0f), v_set(0.0f)};
    for (size_t j = 0; j < step_count; j += 2) {
        v16 by[4];
        struct scale_sums sums[4];
        UNROLL
        for (unsigned c = 0; c < 4; c++) {
            by[c] = v_mul(by_largest, v_set(c % 2 == 0 ? steps[j + c / 2] : -steps[j + c / 2]));
            sums[c] = (struct scale_sums){v_set(0.0f), v_set(0.0f)};
        }
        for (size_t i = 0; i < groups->count; i++) {
            const v16 x = v_load(groups->values + SINQ_LANES * i), w = v_load(groups->weights + SINQ_LANES * i);
            UNROLL
            for (unsigned c = 0; c < 4; c++) {
                add_to_scale(&sums[c], x, w, round_within(v_mul(x, by[c]), lowest, highest));
            }
        }
        UNROLL
        for (unsigned c = 0; c < 4; c++) offer_scale(&best, &sums[c]);
    }
    for (unsigned i = 0; i < REFINEMENTS; i++) {
        const struct scale_sums sums = sum_codes(groups, invert_scale(best.scale), lowest, highest);
        offer_scale(&best, &sums);
    }
    v_store(codes->scale, best.scale);
    v_store(codes->minimum, v_set(0.0f));
}

/* ---- scale and minimum ---- */

/* Of weights w, codes q and values y above some base: what follows for the best line through them. */
struct line_sums {
    v16 w, wy, wq, wqq, wqy;
};

struct best_line {
    v16 gain, scale, base;
};

INLINE void sum_line(const struct sinq_lane_groups *groups, v16 base, v16 by, v16 from, v16 highest,
                     struct line_sums *sums) {
    sums->wq = sums->wqq = sums->wqy = v_set(0.0f);
    for (size_t i = 0; i < groups->count; i++) {
        const v16 y = v_sub(v_load(groups->values + SINQ_LANES * i), base);
        const v16 q = round_within(v_mul(v_sub(y, from), by), v_set(0.0f), highest);
        const v16 weighted = v_mul(v_load(groups->weights + SINQ_LANES * i), q);
        sums->wq = v_add(sums->wq, weighted);
        sums->wqq = v_add(sums->wqq, v_mul(weighted, q));
        sums->wqy = v_add(sums->wqy, v_mul(weighted, y));
    }
}

/* The best scale and base for these codes; a base no higher than `most`. Returns both through best where they gain most. */
INLINE void offer_line(struct best_line *best, const struct line_sums *s, v16 most, v16 *scale, v16 *base) {
    const v16 spread = v_sub(v_mul(s->w, s->wqq), v_mul(s->wq, s->wq));
    const v16 free_scale = v_div(v_sub(v_mul(s->w, s->wqy), v_mul(s->wq, s->wy)), spread);
    const v16 free_base = v_div(v_sub(s->wy, v_mul(free_scale, s->wq)), s->w);
    const v16 bound_scale = v_div(v_sub(s->wqy, v_mul(most, s->wq)), s->wqq);
    *scale = v_where_greater(free_base, most, bound_scale, free_scale);
    *base = v_where_greater(free_base, most, most, free_base);
    /* 2 S wqy + 2 B wy - S^2 wqq - 2 S B wq - B^2 w, where sums of y^2 are left out */
    const v16 by_scale = v_mul(*scale, v_sub(v_add(s->wqy, s->wqy), v_mul(*scale, s->wqq)));
    const v16 by_base = v_mul(*base, v_sub(v_add(s->wy, s->wy), v_mul(*base, s->w)));
    const v16 mixed = v_mul(v_mul(*scale, *base), s->wq);
    const v16 sum = v_sub(v_add(by_scale, by_base), v_add(mixed, mixed));
    const v16 gain = v_where_positive(*scale, sum, v_set(-1.0f));
    best->scale = v_where_greater(gain, best->gain, *scale, best->scale);
    best->base = v_where_greater(gain, best->gain, *base, best->base);
    best->gain = v_where_greater(gain, best->gain, gain, best->gain);
}

static void search_minimum(const struct sinq_lane_groups *groups, const float *steps, size_t step_count, bool is_below,
                           struct sinq_lane_codes *codes) {
    const v16 highest = v_set(codes->highest), zero = v_set(0.0f);
    v16 low = v_load(groups->values), high = low;
    for (size_t i = 1; i < groups->count; i++) {
        low = v_min(low, v_load(groups->values + SINQ_LANES * i));
        high = v_max(high, v_load(groups->values + SINQ_LANES * i));
    }
    if (is_below) low = v_min(low, zero);
    const v16 range = v_sub(high, low), by_range = invert(range);
    const v16 most = is_below ? v_sub(zero, low) : v_set(0x1p120f);
    struct line_sums sums = {zero, zero, zero, zero, zero};
    for (size_t i = 0; i < groups->count; i++) {
        const v16 w = v_load(groups->weights + SINQ_LANES * i);
        sums.w = v_add(sums.w, w);
        sums.wy = v_add(sums.wy, v_mul(w, v_sub(v_load(groups->values + SINQ_LANES * i), low)));
    }
    /* Where no line is found, values are all equal or nearly so: the highest code is the highest value. */
    struct best_line best = {zero, v_div(range, highest), zero};
    for (size_t j = 0; j < step_count; j++) {
        v16 by = v_mul(by_range, v_set(steps[j])), from = zero, scale, base;
        for (unsigned i = 0; i <= REFINEMENTS; i++) {
            sum_line(groups, low, by, from, highest, &sums);
            offer_line(&best, &sums, most, &scale, &base);
            by = v_where_greater(scale, v_set(SMALLEST_VALUE), v_div(v_set(1.0f), scale), zero);
            from = v_where_greater(base, v_set(-0x1p120f), base, zero);
        }
    }
    v_store(codes->scale, best.scale);
    v_store(codes->minimum, v_sub(v_set(0.0f), v_add(best.base, low)));
}

static void round_codes(const struct sinq_lane_groups *groups, const struct sinq_lane_codes *codes, uint8_t *stored,
                        float error[SINQ_LANES], float best_scale[SINQ_LANES], float best_minimum[SINQ_LANES]) {
    const v16 lowest = v_set(codes->lowest), highest = v_set(codes->highest);
    const v16 scale = v_load(codes->scale), minimum = v_load(codes->minimum), by = invert_scale(scale);
    v16 errors = v_set(0.0f), w_sum = errors, rest_sum = errors, cross = errors, square = errors;
    for (size_t i = 0; i < groups->count; i++) {
        const v16 x = v_load(groups->values + SINQ_LANES * i), w = v_load(groups->weights + SINQ_LANES * i);
        const v16 above = v_add(x, minimum);
        const v16 code = round_within(v_mul(above, by), lowest, highest);
        const v16 part = v_mul(scale, code), difference = v_sub(above, part), weighted = v_mul(w, code);
        errors = v_add(errors, v_mul(w, v_mul(difference, difference)));
        w_sum = v_add(w_sum, w);
        rest_sum = v_add(rest_sum, v_mul(w, v_sub(part, x)));
        cross = v_add(cross, v_mul(weighted, above));
        square = v_add(square, v_mul(weighted, code));
        if (stored != NULL) v_store_u8(stored + SINQ_LANES * i, v_sub(code, lowest));
    }
    v_store(error, errors);
    if (best_scale != NULL) v_store(best_scale, v_where_positive(square, v_div(cross, square), scale));
    if (best_minimum != NULL) v_store(best_minimum, v_where_positive(w_sum, v_div(rest_sum, w_sum), minimum));
}

/* ---- levels ---- */

INLINE struct scale_sums sum_levels(bool has_cells, const struct sinq_lane_groups *groups,
                                    const struct sinq_level_table *table, v16 by) {
    struct scale_sums sums = {v_set(0.0f), v_set(0.0f)};
    for (size_t i = 0; i < groups->count; i++) {
        const v16 x = v_load(groups->values + SINQ_LANES * i);
        const struct level_found found = find_level(has_cells, table, v_mul(x, by));
        const float *const weights = groups->weights;
        const v16 level = found.level;
        add_weighted(&sums, x, weights == NULL ? level : v_mul(v_load(weights + SINQ_LANES * i), level), level);
    }
    return sums;
}

/* The share of a sum of squares in f32 that is not told from an error of zero. */
#define ERROR_FLOOR 0x1p-20f

/* What the best scale leaves of the sum of squares. */
static void store_error_left(const struct sinq_lane_groups *groups, v16 gain, float error[SINQ_LANES]) {
    v16 squares = v_set(0.0f);
    for (size_t i = 0; i < groups->count; i++) {
        const v16 x = v_load(groups->values + SINQ_LANES * i), square = v_mul(x, x);
        const float *const weights = groups->weights;
        squares = v_add(squares, weights == NULL ? square : v_mul(v_load(weights + SINQ_LANES * i), square));
    }
    v_store(error, v_max(v_sub(squares, gain), v_mul(squares, v_set(ERROR_FLOOR))));
}

INLINE void search_by_table(bool has_cells, const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                            const float *steps, size_t step_count, float scale[SINQ_LANES], float *error) {
    const v16 by_largest = invert(find_largest(groups));
    struct best_scale best = {v_set(0.0f), v_set(0.0f)};
    for (size_t j = 0; j < 2 * step_count; j++) {
        const v16 by = v_mul(by_largest, v_set(j % 2 == 0 ? steps[j / 2] : -steps[j / 2]));
        const struct scale_sums sums = sum_levels(has_cells, groups, table, by);
        offer_scale(&best, &sums);
    }
    /* Once more with the best scale for those codes; a second time would lessen the error by a hundred thousandth. */
    const struct scale_sums sums = sum_levels(has_cells, groups, table, invert_scale(best.scale));
    offer_scale(&best, &sums);
    v_store(scale, best.scale);
    if (error != NULL) store_error_left(groups, best.gain, error);
}

static void search_levels(const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                          const float *steps, size_t step_count, float scale[SINQ_LANES], float *error) {
    if (HAS_CELLS(table)) {
        search_by_table(true, groups, table, steps, step_count, scale, error);
    } else {
        search_by_table(false, groups, table, steps, step_count, scale, error);
    }
}

INLINE void round_by_table(bool has_cells, const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                           const float scale[SINQ_LANES], uint8_t *stored, float error[SINQ_LANES]) {
    const v16 s = v_load(scale), by = invert_scale(s);
    v16 errors = v_set(0.0f);
    for (size_t i = 0; i < groups->count; i++) {
        const v16 x = v_load(groups->values + SINQ_LANES * i);
        const struct level_found found = find_level(has_cells, table, v_mul(x, by));
        const v16 difference = v_sub(x, v_mul(s, found.level)), square = v_mul(difference, difference);
        const float *const weights = groups->weights;
        errors = v_add(errors, weights == NULL ? square : v_mul(v_load(weights + SINQ_LANES * i), square));
        if (stored != NULL) v_store_u8(stored + SINQ_LANES * i, found.code);
    }
    v_store(error, errors);
}

static void round_levels(const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                         const float scale[SINQ_LANES], uint8_t *stored, float error[SINQ_LANES]) {
    if (HAS_CELLS(table)) {
        round_by_table(true, groups, table, scale, stored, error);
    } else {
        round_by_table(false, groups, table, scale, stored, error);
    }
}

/* ---- scales of levels among what can be stored ---- */

#define NEIGHBOURS 3

INLINE void choose_by_table(bool has_cells, const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                            const struct sinq_lane_range *range, struct sinq_lane_choice *choice) {
    static const float offsets[NEIGHBOURS] = {0.0f, -1.0f, 1.0f}; /* the nearest wins ties */
    const v16 zero = v_set(0.0f), low = v_set(range->low), step = v_set(range->step), most = v_set(range->most);
    const v16 unit = v_load(range->unit), by_values = v_load(range->by), wished = v_load(choice->scale);
    const v16 magnitude = v_max(wished, v_sub(zero, wished));
    const v16 place = v_round(v_min(v_max(v_div(v_sub(v_div(magnitude, unit), low), step), zero), most));
    v16 tried[NEIGHBOURS], scale[NEIGHBOURS], stored[NEIGHBOURS], by[NEIGHBOURS], errors[NEIGHBOURS];
    UNROLL
    for (unsigned c = 0; c < NEIGHBOURS; c++) {
        tried[c] = v_min(v_max(v_add(place, v_set(offsets[c])), zero), most);
        const v16 length = v_mul(v_add(low, v_mul(tried[c], step)), unit);
        scale[c] = v_where_greater(zero, wished, v_sub(zero, length), length);
        stored[c] = v_mul(scale[c], by_values);
        by[c] = invert_scale(stored[c]);
        errors[c] = zero;
    }
    for (size_t i = 0; i < groups->count; i++) {
        const v16 x = v_load(groups->values + SINQ_LANES * i);
        UNROLL
        for (unsigned c = 0; c < NEIGHBOURS; c++) {
            const v16 difference = v_sub(x, v_mul(stored[c], find_level(has_cells, table, v_mul(x, by[c])).level));
            const v16 square = v_mul(difference, difference);
            const float *const weights = groups->weights;
            errors[c] = v_add(errors[c], weights == NULL ? square : v_mul(v_load(weights + SINQ_LANES * i), square));
        }
    }
    for (unsigned c = 1; c < NEIGHBOURS; c++) {
        tried[0] = v_where_greater(errors[0], errors[c], tried[c], tried[0]);
        scale[0] = v_where_greater(errors[0], errors[c], scale[c], scale[0]);
        errors[0] = v_where_greater(errors[0], errors[c], errors[c], errors[0]);
    }
    v_store(choice->scale, scale[0]);
    v_store(choice->code, tried[0]);
    v_store(choice->error, errors[0]);
}

static void choose_level_scale(const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                               const struct sinq_lane_range *range, struct sinq_lane_choice *choice) {
    if (HAS_CELLS(table)) {
        choose_by_table(true, groups, table, range, choice);
    } else {
        choose_by_table(false, groups, table, range, choice);
    }
}

/* ---- groups spread over lanes ---- */

static void spread_rows(const float *x, size_t stride, size_t cols, const float by[SINQ_LANES], float *values) {
    size_t j = 0;
#ifdef V_HAS_TURN
    for (; j + SINQ_LANES <= cols; j += SINQ_LANES) {
        v16 rows[SINQ_LANES];
        for (unsigned l = 0; l < SINQ_LANES; l++) rows[l] = v_mul(v_load(x + l * stride + j), v_set(by[l]));
        v_turn(rows);
        for (unsigned i = 0; i < SINQ_LANES; i++) v_store(values + SINQ_LANES * (j + i), rows[i]);
    }
#endif
    for (; j < cols; j++) {
        for (unsigned l = 0; l < SINQ_LANES; l++) values[SINQ_LANES * j + l] = x[l * stride + j] * by[l];
    }
}

#endif
