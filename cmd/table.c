#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "printable.h"

#define GAP             2u  /* spaces between columns */
#define LEAST_FLEXIBLE  36u /* a name is not shortened below this */
#define ELLIPSIS        "..."
#define ELLIPSIS_LENGTH 3u

void sinq_table_add(struct sinq_table *table, const char *text) {
    sinq_reserve(&table->cells, &table->capacity, table->cell_count + 1, sizeof *table->cells);
    table->cells[table->cell_count++] = sinq_copy_printable(text);
}

void sinq_table_print_cell(struct sinq_table *table, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sinq_table_add(table, text);
}

/* The byte at which code point `index` of `text` begins. */
static size_t find_point(const char *text, size_t index) {
    size_t i = 0;
    for (; text[i] != '\0'; i++) {
        if (((unsigned char)text[i] & 0xc0) == 0x80) continue;
        if (index-- == 0) break;
    }
    return i;
}

static void write_spaces(FILE *out, size_t count) {
    while (count-- > 0) putc(' ', out);
}

/* `text` in `width` columns. Nothing trails the last column. */
static void write_cell(FILE *out, const char *text, size_t width, bool right, bool last) {
    const size_t length = sinq_text_width(text);
    const size_t padding = length < width ? width - length : 0;
    if (right) write_spaces(out, padding);
    if (length <= width) {
        fputs(text, out);
    } else {
        const size_t kept = width - ELLIPSIS_LENGTH;
        /* Names differ in their tails. */
        const size_t head = find_point(text, kept / 4);
        const size_t tail = find_point(text, length - (kept - kept / 4));
        fprintf(out, "%.*s%s%s", (int)head, text, ELLIPSIS, text + tail);
    }
    if (!right && !last) write_spaces(out, padding);
}

static void measure_columns(const struct sinq_table *table, size_t *widths, size_t limit) {
    const size_t columns = table->column_count;
    for (size_t c = 0; c < columns; c++) widths[c] = sinq_text_width(table->columns[c].heading);
    for (size_t i = 0; i < table->cell_count; i++) {
        const size_t width = sinq_text_width(table->cells[i]);
        if (width > widths[i % columns]) widths[i % columns] = width;
    }
    size_t total = GAP * (columns - 1);
    for (size_t c = 0; c < columns; c++) total += widths[c];
    for (size_t c = 0; c < columns && limit > 0 && total > limit; c++) {
        if (table->columns[c].alignment != SINQ_FLEXIBLE || widths[c] <= LEAST_FLEXIBLE) continue;
        const size_t spare = widths[c] - LEAST_FLEXIBLE;
        const size_t cut = spare < total - limit ? spare : total - limit;
        widths[c] -= cut;
        total -= cut;
    }
}

void sinq_table_write(const struct sinq_table *table, FILE *out, bool bold, size_t width) {
    const size_t columns = table->column_count;
    size_t *const widths = sinq_allocate(columns, sizeof *widths);
    measure_columns(table, widths, width);
    if (bold) fputs("\033[1m", out);
    for (size_t c = 0; c < columns; c++) {
        if (c > 0) write_spaces(out, GAP);
        write_cell(out, table->columns[c].heading, widths[c], table->columns[c].alignment == SINQ_RIGHT,
                   c + 1 == columns);
    }
    fputs(bold ? "\033[0m\n" : "\n", out);
    for (size_t i = 0; i < table->cell_count; i++) {
        const size_t c = i % columns;
        /* Empty cells at a row's end leave no spaces behind. */
        bool last = true;
        for (size_t k = i + 1; last && k % columns != 0 && k < table->cell_count; k++) last = *table->cells[k] == '\0';
        if (c > 0 && !(last && *table->cells[i] == '\0')) write_spaces(out, GAP);
        if (!(last && *table->cells[i] == '\0'))
            write_cell(out, table->cells[i], widths[c], table->columns[c].alignment == SINQ_RIGHT, last);
        if (c + 1 == columns) putc('\n', out);
    }
    free(widths);
}

void sinq_table_free(struct sinq_table *table) {
    for (size_t i = 0; i < table->cell_count; i++) free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->cell_count = table->capacity = 0;
}
