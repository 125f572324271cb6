#include "kernels/level_table.h"

#include <math.h>

static unsigned find_cell(const struct sinq_level_table *table, float place) {
    return (unsigned)rintf(fminf(fmaxf(place * table->by + table->from, 0.0f), (float)(SINQ_LEVEL_CELLS - 1)));
}

/* False where two middles share a cell. */
static bool fill_cells(struct sinq_level_table *table) {
    const unsigned middles = table->count - 1;
    const float first = table->middle[0], range = table->middle[middles - 1] - first;
    table->by = range > 0 ? (float)(SINQ_LEVEL_CELLS - 1) / range : 0.0f;
    table->from = -first * table->by;
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
    table->has_cells = fill_cells(table);
}
