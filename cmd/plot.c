#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canvas.h"
#include "describe.h"
#include "grid.h"
#include "memory.h"

#define MARGIN       24u
#define LINE         24u  /* from one line of text to the next */
#define LEAST_SIDE   384u /* small matrices are magnified to about this */
#define MOST_ZOOM    48u
#define BAR_WIDTH    24u
#define LABEL_WIDTH  (10u * SINQ_LETTER_WIDTH)
#define LEAST_WIDTH  760u
#define CAPTION_SIZE 200u

static const struct sinq_color ink = {32, 32, 32}, gray = {150, 150, 150}, nonfinite_color = {230, 0, 200},
                               empty_color = {224, 224, 224};

/* Colours from low to high, evenly spaced: blue to red through white, and dark violet to yellow. */
static const struct sinq_color diverging[] = {{5, 48, 97},    {33, 102, 172}, {103, 169, 207}, {247, 247, 247},
                                              {239, 138, 98}, {178, 24, 43},  {103, 0, 31}};
static const struct sinq_color sequential[] = {
    {68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};

struct scale {
    double low, high; /* what the first and the last colour stand for */
    const struct sinq_color *colors;
    size_t color_count;
};

static uint8_t mix(uint8_t from, uint8_t to, double share) {
    return (uint8_t)((1.0 - share) * (double)from + share * (double)to + 0.5);
}

static struct sinq_color find_color(const struct scale *scale, double value) {
    double place = scale->high > scale->low ? (value - scale->low) / (scale->high - scale->low) : 0.5;
    place = (place < 0.0 ? 0.0 : place > 1.0 ? 1.0 : place) * (double)(scale->color_count - 1);
    size_t index = (size_t)place;
    if (index + 1 >= scale->color_count) index = scale->color_count - 2;
    const struct sinq_color a = scale->colors[index], b = scale->colors[index + 1];
    const double share = place - (double)index;
    return (struct sinq_color){mix(a.red, b.red, share), mix(a.green, b.green, share), mix(a.blue, b.blue, share)};
}

/* One outlier must not wash out all the rest: the ends of the scale are where nearly all cells lie. */
static struct scale choose_scale(const struct sinq_grid *grid, enum sinq_plot_kind kind) {
    if (grid->is_logarithm)
        return (struct scale){sinq_grid_quantile(grid, 0.002, false), sinq_grid_quantile(grid, 0.998, false),
                              sequential, sizeof sequential / sizeof sequential[0]};
    /* Values of one sign, such as a norm's, have no middle to diverge from. */
    if (kind == SINQ_PLOT_VALUES && (grid->minimum > 0.0 || grid->maximum < 0.0))
        return (struct scale){sinq_grid_quantile(grid, 0.002, false), sinq_grid_quantile(grid, 0.998, false),
                              sequential, sizeof sequential / sizeof sequential[0]};
    double end = sinq_grid_quantile(grid, 0.998, true);
    if (end == 0.0) end = fmax(fabs(grid->minimum), fabs(grid->maximum));
    if (!(end > 0.0) || !isfinite(end)) end = 1.0;
    return (struct scale){-end, end, diverging, sizeof diverging / sizeof diverging[0]};
}

static size_t choose_zoom(size_t cells) {
    const size_t zoom = LEAST_SIDE / cells;
    return zoom < 1 ? 1 : zoom > MOST_ZOOM ? MOST_ZOOM : zoom;
}

static void draw_cells(struct sinq_canvas *canvas, const struct sinq_grid *grid, const struct scale *scale, size_t x,
                       size_t y, size_t zoom_x, size_t zoom_y) {
    sinq_draw_rectangle(canvas, x - 1, y - 1, grid->cols * zoom_x + 2, grid->rows * zoom_y + 2, gray);
    for (size_t r = 0; r < grid->rows; r++) {
        for (size_t c = 0; c < grid->cols; c++) {
            const float value = grid->cells[r * grid->cols + c];
            const struct sinq_color missing = grid->is_logarithm ? empty_color : nonfinite_color;
            const struct sinq_color color = isnan(value) ? missing : find_color(scale, value);
            sinq_draw_rectangle(canvas, x + c * zoom_x, y + r * zoom_y, zoom_x, zoom_y, color);
        }
    }
}

static void draw_label(struct sinq_canvas *canvas, size_t x, size_t y, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    sinq_draw_text(canvas, x, y, text, ink);
}

static void draw_bar(struct sinq_canvas *canvas, const struct sinq_grid *grid, const struct scale *scale, size_t x,
                     size_t y, size_t height) {
    sinq_draw_rectangle(canvas, x - 1, y - 1, BAR_WIDTH + 2, height + 2, gray);
    for (size_t i = 0; i < height; i++) {
        const double place = 1.0 - (double)i / (double)(height > 1 ? height - 1 : 1);
        sinq_draw_rectangle(canvas, x, y + i, BAR_WIDTH, 1,
                            find_color(scale, scale->low + place * (scale->high - scale->low)));
    }
    for (int i = 0; i <= 4; i++) {
        const size_t at = y + (size_t)i * (height - 1) / 4;
        const double value = scale->high - (double)i / 4.0 * (scale->high - scale->low);
        sinq_draw_rectangle(canvas, x + BAR_WIDTH, at, 5, 1, ink);
        draw_label(canvas, x + BAR_WIDTH + 9, at < SINQ_TEXT_HEIGHT / 2 ? 0 : at - SINQ_TEXT_HEIGHT / 2,
                   grid->is_logarithm ? pow(10.0, value) : value);
    }
}

/* A line no wider than `width`, the middle of a longer one left out. */
static void draw_line(struct sinq_canvas *canvas, size_t y, const char *text, struct sinq_color color) {
    const size_t most = (canvas->width - 2 * MARGIN) / SINQ_LETTER_WIDTH, length = strlen(text);
    char *const line = length <= most ? sinq_format("%s", text)
                                      : sinq_format("%.*s...%s", (int)((most - 3) / 2), text,
                                                    text + length - (most - 3 - (most - 3) / 2));
    sinq_draw_text(canvas, MARGIN, y, line, color);
    free(line);
}

static void describe_subject(const struct sinq_plot *plot, char *text, size_t size) {
    static const char *const kinds[] = {"values", "scales (logarithmic)", "error: model minus reference"};
    const struct sinq_tensor *const tensor = sinq_source_tensor(plot->source, plot->tensor);
    char shape[SINQ_DESCRIPTION_SIZE], coding[SINQ_DESCRIPTION_SIZE] = "";
    struct sinq_matrix_info info;
    struct sinq_error ignored;
    snprintf(coding, sizeof coding, "%s", sinq_dtype_name(tensor->dtype));
    if (tensor->dtype == SINQ_DUAL_SCALE &&
        sinq_source_matrix_info(plot->source, plot->tensor, 0, &info, &ignored) == SINQ_OK)
        sinq_describe_storage(coding, &info);
    snprintf(text, size, "%s, %.80s, %.60s", kinds[plot->kind], sinq_describe_shape(shape, tensor), coding);
}

static void draw_captions(struct sinq_canvas *canvas, const struct sinq_plot *plot, const struct sinq_grid *grid,
                          size_t below) {
    char text[CAPTION_SIZE];
    draw_line(canvas, MARGIN, sinq_source_tensor(plot->source, plot->tensor)->name, ink);
    describe_subject(plot, text, sizeof text);
    draw_line(canvas, MARGIN + LINE, text, gray);
    snprintf(text, sizeof text, "%llu row%s down, %llu %s across%s", (unsigned long long)grid->data_rows,
             grid->data_rows == 1 ? "" : "s", (unsigned long long)grid->data_cols,
             grid->is_logarithm ? "groups" : "columns",
             grid->data_rows == grid->rows && grid->data_cols == grid->cols ? ""
             : grid->is_logarithm                                           ? "; a dot is a mean of several"
                                                                            : "; a dot is the largest of several");
    draw_line(canvas, below, text, gray);
    if (grid->minimum <= grid->maximum) {
        snprintf(text, sizeof text, "smallest %.4g, largest %.4g", grid->minimum, grid->maximum);
    } else {
        snprintf(text, sizeof text, "no finite value");
    }
    draw_line(canvas, below + LINE, text, gray);
    if (grid->nonfinite == 0) return;
    snprintf(text, sizeof text, "%llu not finite", (unsigned long long)grid->nonfinite);
    draw_line(canvas, below + 2 * LINE, text, nonfinite_color);
}

int sinq_plot_tensor(const struct sinq_plot *plot, struct sinq_error *error) {
    struct sinq_grid grid;
    struct sinq_canvas canvas = {.pixels = NULL};
    int status = sinq_fill_grid(plot, &grid, error);
    if (status != SINQ_OK) goto done;
    const size_t zoom_x = choose_zoom(grid.cols), zoom_y = choose_zoom(grid.rows);
    const size_t plot_width = grid.cols * zoom_x, plot_height = grid.rows * zoom_y;
    size_t width = MARGIN + plot_width + MARGIN + BAR_WIDTH + LABEL_WIDTH + MARGIN;
    if (width < LEAST_WIDTH) width = LEAST_WIDTH;
    const size_t top = MARGIN + 2 * LINE + LINE / 2;
    const size_t bar_height = plot_height < 160 ? 160 : plot_height;
    const size_t below = top + bar_height + LINE / 2;
    const struct scale scale = choose_scale(&grid, plot->kind);
    sinq_canvas_create(&canvas, width, below + (grid.nonfinite > 0 ? 3u : 2u) * LINE + MARGIN / 2);
    draw_cells(&canvas, &grid, &scale, MARGIN, top, zoom_x, zoom_y);
    draw_bar(&canvas, &grid, &scale, MARGIN + plot_width + MARGIN, top, bar_height);
    draw_captions(&canvas, plot, &grid, below);
    status = sinq_write_png(&canvas, plot->file, plot->force, error);
done:
    sinq_canvas_free(&canvas);
    sinq_free_grid(&grid);
    return status;
}
