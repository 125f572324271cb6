/* nearest_template.h: the nearest level of a table (level_table.h) to sixteen places, a part of quantize_template.h. */
#ifndef SINQ_KERNELS_NEAREST_TEMPLATE_H
#define SINQ_KERNELS_NEAREST_TEMPLATE_H

struct level_found {
    v16 code, level;
};

#ifdef V_HAS_LOOKUP
#define HAS_CELLS(table) ((table)->has_cells)

INLINE struct level_found look_up_level(const struct sinq_level_table *table, v16 place) {
    const v16 on_line = v_add(v_mul(place, v_set(table->by)), v_set(table->from));
    const v16 base = v_set(SINQ_CELL_BASE), last = v_set(SINQ_CELL_BASE + (float)(SINQ_LEVEL_CELLS - 1));
    const v16 cell = v_min(v_max(on_line, base), last);
    const v16 below = v_look_up(table->below, cell);
    const v16 code = v_where_greater(place, v_look_up(table->threshold, cell), v_add(below, v_set(1.0f)), below);
    return (struct level_found){v_sub(code, base), v_look_up(table->level, code)};
}
#else
#define HAS_CELLS(table) false

INLINE struct level_found look_up_level(const struct sinq_level_table *table, v16 place) {
    (void)table;
    return (struct level_found){place, place}; /* never called */
}
#endif

INLINE struct level_found find_level(bool has_cells, const struct sinq_level_table *table, v16 place) {
    if (has_cells) return look_up_level(table, place);
    struct level_found found = {v_set(0.0f), v_set(table->level[0])};
    for (unsigned k = 0; k + 1 < table->count; k++) {
        const v16 middle = v_set(table->middle[k]);
        found.code = v_add(found.code, v_where_greater(place, middle, v_set(1.0f), v_set(0.0f)));
        found.level = v_where_greater(place, middle, v_set(table->level[k + 1]), found.level);
    }
    return found;
}

#endif
