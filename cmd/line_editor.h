/*
 * line_editor.h: lines that a person types, with editing and history, which lasts as long as the program. One at a time: the
 * terminal is one. A line that ends in a backslash goes on in the next.
 */
#ifndef SINQ_CMD_LINE_EDITOR_H
#define SINQ_CMD_LINE_EDITOR_H

#include "sinq.h"

struct sinq_line_editor;

int sinq_open_line_editor(struct sinq_line_editor **editor, struct sinq_error *error);
void sinq_close_line_editor(struct sinq_line_editor *editor);

enum sinq_line_result {
    SINQ_LINE_READ,
    SINQ_LINE_DROPPED, /* Ctrl-C while something was typed */
    SINQ_LINE_LEFT     /* Ctrl-C or Ctrl-D where nothing was, or a signal to end */
};
/* *line is NUL-terminated UTF-8 without a line feed at its end, owned by the editor until the next call. */
enum sinq_line_result sinq_read_line(struct sinq_line_editor *editor, const char **line);

#endif
