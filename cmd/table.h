/*
 * table.h: text in aligned columns. Fill it row by row, print it once: widths follow from the contents. On a terminal that
 * is too narrow the flexible column is shortened in the middle; in a pipe nothing is ever shortened.
 */
#ifndef SINQ_CMD_TABLE_H
#define SINQ_CMD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sinq.h"

enum sinq_alignment {
    SINQ_LEFT,
    SINQ_RIGHT,   /* for numbers */
    SINQ_FLEXIBLE /* left, and may be shortened */
};

struct sinq_column {
    const char *heading;
    enum sinq_alignment alignment;
};

struct sinq_table {
    const struct sinq_column *columns;
    size_t column_count;
    char **cells; /* row by row, owned */
    size_t cell_count, capacity;
};

/* The next cell, made printable. Cells run from left to right; a row is full when every column has one. */
void sinq_table_add(struct sinq_table *table, const char *text);
void sinq_table_print_cell(struct sinq_table *table, const char *format, ...) SINQ_PRINTF(2, 3);

/* Writes headings and rows. `bold` headings; `width` of the terminal, 0 for no limit. */
void sinq_table_write(const struct sinq_table *table, FILE *out, bool bold, size_t width);

void sinq_table_free(struct sinq_table *table);

#endif
