/*
 * draw_quality PNG TITLE: draws points that stdin has a line each, "SERIES <tab> LABEL <tab> BITS <tab> KL", with the bits to the right and
 * KL, in powers of ten, upwards. Each series has a colour of its own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/canvas.h"

#define WIDTH       1600u
#define HEIGHT      1000u
#define LEFT        110u
#define RIGHT       60u
#define TOP         70u
#define BOTTOM      80u
#define DOT         9u
#define LABEL_LINE  (SINQ_TEXT_HEIGHT + 4u)
#define MOST_POINTS 400
#define MOST_SERIES 4

struct point {
    char series[40], label[60];
    double bits, kl;
};

/* What is already taken by a label or a dot. */
struct box {
    double x, y, width, height;
};

static struct point points[MOST_POINTS];
static size_t point_count;
static struct box boxes[2 * MOST_POINTS];
static size_t box_count;
static double least_bits, most_bits, least_log, most_log;
static const struct sinq_color ink = {40, 40, 40}, faint = {225, 225, 225};
static const struct sinq_color colors[MOST_SERIES] = {{20, 90, 180}, {200, 60, 30}, {40, 140, 60}, {130, 60, 150}};

static size_t read_points(FILE *file) {
    char line[400];
    size_t count = 0;
    while (count < MOST_POINTS && fgets(line, sizeof line, file) != NULL) {
        struct point *const p = &points[count];
        if (sscanf(line, "%39[^\t]\t%59[^\t]\t%lf\t%lf", p->series, p->label, &p->bits, &p->kl) != 4) continue;
        count += isfinite(p->bits) && p->kl > 0;
    }
    return count;
}

static void find_ranges(void) {
    double least_kl = INFINITY, most_kl = 0;
    least_bits = INFINITY;
    most_bits = 0;
    for (size_t i = 0; i < point_count; i++) {
        least_bits = fmin(least_bits, points[i].bits);
        most_bits = fmax(most_bits, points[i].bits);
        least_kl = fmin(least_kl, points[i].kl);
        most_kl = fmax(most_kl, points[i].kl);
    }
    least_bits = floor(4 * least_bits - 0.2) / 4;
    most_bits = ceil(4 * most_bits + 0.8) / 4;
    least_log = log10(least_kl) - 0.08;
    most_log = log10(most_kl) + 0.08;
}

static double place_bits(double bits) {
    return LEFT + (WIDTH - LEFT - RIGHT) * (bits - least_bits) / (most_bits - least_bits);
}

static double place_kl(double kl) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(kl) - least_log) / (most_log - least_log);
}

static void draw_axes(struct sinq_canvas *canvas, const char *title) {
    char text[40];
    sinq_draw_text(canvas, LEFT, 24, title, ink);
    for (double bits = ceil(4 * least_bits) / 4; bits <= most_bits; bits += 0.25) {
        const size_t x = (size_t)place_bits(bits);
        sinq_draw_rectangle(canvas, x, TOP, 1, HEIGHT - TOP - BOTTOM, faint);
        (void)snprintf(text, sizeof text, "%.2f", bits);
        sinq_draw_text(canvas, x - 2 * SINQ_LETTER_WIDTH, HEIGHT - BOTTOM + 12, text, ink);
    }
    static const double steps[] = {1, 2, 3, 5, 7};
    for (int decade = -5; decade < 2; decade++) {
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            const double kl = steps[i] * pow(10, decade);
            if (log10(kl) < least_log || log10(kl) > most_log) continue;
            const size_t y = (size_t)place_kl(kl);
            sinq_draw_rectangle(canvas, LEFT, y, WIDTH - LEFT - RIGHT, 1, faint);
            (void)snprintf(text, sizeof text, "%g", kl);
            sinq_draw_text(canvas, 12, y - SINQ_TEXT_HEIGHT / 2, text, ink);
        }
    }
    sinq_draw_rectangle(canvas, LEFT, HEIGHT - BOTTOM, WIDTH - LEFT - RIGHT, 2, ink);
    sinq_draw_rectangle(canvas, LEFT, TOP, 2, HEIGHT - TOP - BOTTOM, ink);
    sinq_draw_text(canvas, WIDTH / 2 - 120, HEIGHT - 36, "bits per weight", ink);
    sinq_draw_text(canvas, 12, 44, "KL, nats", ink);
}

static bool is_free(const struct box *box) {
    if (box->x < LEFT || box->y < TOP || box->x + box->width > WIDTH || box->y + box->height > HEIGHT - BOTTOM)
        return false;
    for (size_t i = 0; i < box_count; i++) {
        const struct box *const other = &boxes[i];
        if (box->x < other->x + other->width && other->x < box->x + box->width && box->y < other->y + other->height &&
            other->y < box->y + box->height) {
            return false;
        }
    }
    return true;
}

/* Beside the dot, or as near to it as there is room, above or below. */
static struct box place_label(const struct point *p) {
    const double x = place_bits(p->bits), y = place_kl(p->kl), width = (double)(strlen(p->label) * SINQ_LETTER_WIDTH);
    struct box box = {x + DOT, y - SINQ_TEXT_HEIGHT / 2.0, width, SINQ_TEXT_HEIGHT};
    for (int distance = 0; distance < 12; distance++) {
        for (int side = 0; side < 4; side++) {
            box.x = side < 2 ? x + DOT : x - DOT - width;
            box.y = y - SINQ_TEXT_HEIGHT / 2.0 + (side % 2 == 0 ? 1 : -1) * distance * (LABEL_LINE / 2.0);
            if (is_free(&box)) return box;
        }
    }
    return box;
}

static size_t find_series(char names[MOST_SERIES][40], size_t *count, const char *series) {
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(names[i], series) == 0) return i;
    }
    if (*count == MOST_SERIES) return MOST_SERIES - 1;
    (void)snprintf(names[*count], sizeof names[0], "%.39s", series);
    return (*count)++;
}

static void draw_points(struct sinq_canvas *canvas) {
    char names[MOST_SERIES][40];
    size_t series_count = 0;
    for (size_t i = 0; i < point_count; i++) {
        boxes[box_count++] =
            (struct box){place_bits(points[i].bits) - DOT / 2.0, place_kl(points[i].kl) - DOT / 2.0, DOT, DOT};
    }
    for (size_t i = 0; i < point_count; i++) {
        const struct point *const p = &points[i];
        const struct sinq_color color = colors[find_series(names, &series_count, p->series)];
        const struct box label = place_label(p);
        sinq_draw_rectangle(canvas, (size_t)(place_bits(p->bits) - DOT / 2.0), (size_t)(place_kl(p->kl) - DOT / 2.0),
                            DOT, DOT, color);
        sinq_draw_text(canvas, (size_t)label.x, (size_t)label.y, p->label, color);
        boxes[box_count++] = label;
    }
    for (size_t i = 0; i < series_count; i++) {
        sinq_draw_text(canvas, WIDTH - RIGHT - 200, TOP + 12 + i * (LABEL_LINE + 4), names[i], colors[i]);
    }
}

int main(int argc, char **argv) {
    struct sinq_canvas canvas;
    struct sinq_error error;
    if (argc != 3) {
        fprintf(stderr, "usage: draw_quality PNG TITLE <POINTS\n");
        return SINQ_USAGE;
    }
    point_count = read_points(stdin);
    if (point_count == 0) {
        fprintf(stderr, "draw_quality: no points\n");
        return SINQ_FAILED;
    }
    find_ranges();
    sinq_canvas_create(&canvas, WIDTH, HEIGHT);
    draw_axes(&canvas, argv[2]);
    draw_points(&canvas);
    const int status = sinq_write_png(&canvas, argv[1], true, &error);
    if (status != SINQ_OK) fprintf(stderr, "draw_quality: %s\n", error.message);
    sinq_canvas_free(&canvas);
    return status;
}
