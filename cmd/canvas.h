/* canvas.h: a picture in memory, drawn on with rectangles and letters, written as a PNG. */
#ifndef SINQ_CMD_CANVAS_H
#define SINQ_CMD_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sinq.h"

struct sinq_color {
    uint8_t red, green, blue;
};

struct sinq_canvas {
    size_t width, height;
    struct sinq_color *pixels; /* owned */
};

/* A white canvas. */
void sinq_canvas_create(struct sinq_canvas *canvas, size_t width, size_t height);
void sinq_canvas_free(struct sinq_canvas *canvas);

/* What lies outside is left out. */
void sinq_draw_rectangle(struct sinq_canvas *canvas, size_t x, size_t y, size_t width, size_t height,
                         struct sinq_color color);
/* Letters are SINQ_TEXT_HEIGHT pixels high and SINQ_LETTER_WIDTH apart; what is not ASCII shows as '?'. */
#define SINQ_LETTER_WIDTH 12u
#define SINQ_TEXT_HEIGHT  14u
void sinq_draw_text(struct sinq_canvas *canvas, size_t x, size_t y, const char *text, struct sinq_color color);

/*
 * Writes the picture under a temporary name beside `path`, then renames it: a picture is whole or not there. An existing
 * file is refused unless `force`.
 */
int sinq_write_png(const struct sinq_canvas *canvas, const char *path, bool force, struct sinq_error *error);

#endif
