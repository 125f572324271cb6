#include "kernels/level_table.h"

#include <math.h>

/* Quotients that a quick division gets wrong are below 2^-40 (quantize_template.h): they, and a zero point beside them, stay below this. */
#define SMALLEST_QUICK_MIDDLE 0x1p-10f

static unsigned find_cell(const struct sinq_level_table *table, float place) {
    const float on_line = place * table->by + table->from, last = SINQ_CELL_BASE + (float)(SINQ_LEVEL_CELLS - 1);
    return (unsigned)(fminf(fmaxf(on_line, SINQ_CELL_BASE), last) - SINQ_CELL_BASE);
}

/* False where two middles share a cell. */
static bool fill_cells(struct sinq_level_table *table) {
    const unsigned middles = table->count - 1;
    const float first = table->middle[0], range = table->middle[middles - 1] - first;
    table->by = range > 0 ? (float)(SINQ_LEVEL_CELLS - 1) / range : 0.0f;
    table->from = SINQ_CELL_BASE - first * table->by;
    unsigned next = 0;
    for (unsigned cell = 0; cell < SINQ_LEVEL_CELLS; cell++) {
        table->threshold[cell] = INFINITY;
        table->below[cell] = SINQ_CELL_BASE + (float)next;
        if (next == middles || find_cell(table, table->middle[next]) != cell) continue;
        table->threshold[cell] = table->middle[next++];
    }
    return next == middles;
}

void sinq_make_level_table(const float *levels, unsigned count, struct sinq_level_table *table) {
    *table = (struct sinq_level_table){.count = count};
    for (unsigned k = 0; k < SINQ_LEVEL_CELLS; k++) table->level[k] = levels[k < count ? k : count - 1];
    for (unsigned k = 0; k + 1 < count; k++) table->middle[k] = 0.5f * (levels[k] + levels[k + 1]);
    table->is_quick = true;
    for (unsigned k = 0; k + 1 < count; k++) table->is_quick &= fabsf(table->middle[k]) >= SMALLEST_QUICK_MIDDLE;
    table->has_cells = fill_cells(table);
}
