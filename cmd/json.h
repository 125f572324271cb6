/*
 * json.h: a JSON writer. What it writes is valid whatever the values are: text that is not UTF-8 gets replacement
 * characters, numbers that JSON does not know (NaN, infinities) become null.
 *
 * Calling sequence: open an object or array, fields or items, close. Keys are NULL in arrays. Nesting is at most
 * SINQ_JSON_DEPTH. An inline object stays on one line.
 */
#ifndef SINQ_CMD_JSON_H
#define SINQ_CMD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SINQ_JSON_DEPTH 12

struct sinq_json_writer {
    FILE *out;
    int depth;
    bool filled[SINQ_JSON_DEPTH]; /* whether the value open at that depth has something in it */
    int inline_depth;             /* from this depth on everything is on one line; 0 is none */
};

void sinq_write_open(struct sinq_json_writer *json, const char *key, char bracket);
void sinq_write_open_inline(struct sinq_json_writer *json, const char *key, char bracket);
/* Closes with the bracket given; the outermost one ends the line. */
void sinq_write_close(struct sinq_json_writer *json, char bracket);
/* A NULL text is null. */
void sinq_write_text(struct sinq_json_writer *json, const char *key, const char *text);
/* The same for text that may hold NULs, which stay what they are. */
void sinq_write_sized_text(struct sinq_json_writer *json, const char *key, const char *text, size_t size);
void sinq_write_count(struct sinq_json_writer *json, const char *key, uint64_t count);
void sinq_write_real(struct sinq_json_writer *json, const char *key, double value);
void sinq_write_flag(struct sinq_json_writer *json, const char *key, bool value);
void sinq_write_null(struct sinq_json_writer *json, const char *key);

#endif
