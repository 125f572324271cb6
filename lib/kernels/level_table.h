/*
 * level_table.h: ascending levels made ready for looking up the nearest one, once for many groups.
 *
 * Where the instruction set has a lookup of 32 places, the line is cut into 32 cells of equal width with at most one middle of two
 * levels in each: the cell tells how many middles lie below it, and one comparison does the rest. A cell is found by f32
 * operations that never decrease, for middles and for what is looked up alike, so the result is exactly that of comparing with
 * all middles.
 */
#ifndef SINQ_KERNELS_LEVEL_TABLE_H
#define SINQ_KERNELS_LEVEL_TABLE_H

#include <stdbool.h>

#define SINQ_LEVEL_CELLS 32u
/* Added to a whole number from 0 to 31 it leaves it in the lowest bits. */
#define SINQ_CELL_BASE 0x1.8p23f

struct sinq_level_table {
    unsigned count;                /* 2 to 16 */
    float level[SINQ_LEVEL_CELLS]; /* beyond count the last one again */
    float middle[15];
    bool
        is_quick; /* no middle is so near zero that it matters how quotients below the range of normal numbers are rounded */
    /* Cell of a place: place * by + from, held within SINQ_CELL_BASE and 31 more, where all numbers are whole. */
    bool has_cells;
    float by, from;
    float threshold[SINQ_LEVEL_CELLS]; /* the middle in a cell */
    float below[SINQ_LEVEL_CELLS];     /* the number of middles in the cells below, above SINQ_CELL_BASE */
};

void sinq_make_level_table(const float *levels, unsigned count, struct sinq_level_table *table);

#endif
