#include "progress.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "memory.h"
#include "printable.h"
#include "quantity.h"
#include "terminal.h"

#define SECONDS_BETWEEN (1.0 / 6.0)
#define SECONDS_BEFORE  0.5
#define LINE_SIZE       512

void sinq_meter_start(struct sinq_meter *meter, const struct sinq_common_options *options, const char *subject) {
    memset(meter, 0, sizeof *meter);
    meter->subject = subject;
    meter->started = sinq_now();
    if (options->progress != NULL && strcmp(options->progress, "json") == 0) {
        meter->mode = SINQ_METER_JSON;
    } else if (options->quiet || (options->progress != NULL && strcmp(options->progress, "never") == 0)) {
        meter->mode = SINQ_METER_OFF;
    } else if (options->verbose) {
        meter->mode = SINQ_METER_LINES;
    } else {
        meter->mode = sinq_can_rewrite_lines() ? SINQ_METER_REWRITE : SINQ_METER_OFF;
    }
}

/* Rates count from where this phase began: a resumed run begins in the middle. */
static void follow_phase(struct sinq_meter *meter, const struct sinq_progress *progress, double now) {
    if (!meter->has_phase || progress->bytes < meter->last_bytes || progress->bytes_total != meter->last_total) {
        meter->has_phase = true;
        meter->phase_started = now;
        meter->phase_first_bytes = progress->bytes;
        meter->last_item = UINT64_MAX;
    }
    meter->last_bytes = progress->bytes;
    meter->last_total = progress->bytes_total;
}

static double measure_rate(const struct sinq_meter *meter, const struct sinq_progress *progress, double now) {
    const double seconds = now - meter->phase_started;
    return seconds > 0.05 ? (double)(progress->bytes - meter->phase_first_bytes) / seconds : 0.0;
}

/* The number of the tensor in hand; items done where none is. */
static unsigned long long count_item(const struct sinq_progress *progress) {
    return (unsigned long long)(progress->name != NULL && progress->item < progress->items ? progress->item + 1
                                                                                           : progress->item);
}

/* "1:05", "2:03:04" */
static void print_clock(char *buffer, size_t size, double seconds) {
    const unsigned long long whole = seconds < 1e9 ? (unsigned long long)(seconds + 0.5) : 999999999u;
    if (whole < 3600) {
        snprintf(buffer, size, "%llu:%02llu", whole / 60, whole % 60);
    } else {
        snprintf(buffer, size, "%llu:%02llu:%02llu", whole / 3600, whole / 60 % 60, whole % 60);
    }
}

/* "12.3 MB", or "812 tokens". */
static const char *format_amount(char *buffer, size_t size, const struct sinq_progress *progress, double amount) {
    char digits[SINQ_QUANTITY_SIZE];
    const uint64_t whole = (uint64_t)amount;
    if (progress->unit == NULL) {
        snprintf(buffer, size, "%s", sinq_format_bytes(digits, whole));
    } else {
        snprintf(buffer, size, "%s %s", sinq_format_count(digits, whole), progress->unit);
    }
    return buffer;
}

static void rewrite_line(struct sinq_meter *meter, const struct sinq_progress *progress, double now) {
    char line[LINE_SIZE], amount[2 * SINQ_QUANTITY_SIZE], left[32];
    const double rate = measure_rate(meter, progress, now);
    int used = snprintf(line, sizeof line, "%s", progress->activity);
    if (progress->items > 0)
        used += snprintf(line + used, sizeof line - (size_t)used, " %llu/%llu", count_item(progress),
                         (unsigned long long)progress->items);
    if (progress->bytes_total > 0)
        used += snprintf(line + used, sizeof line - (size_t)used, "  %3.0f %%",
                         100.0 * (double)progress->bytes / (double)progress->bytes_total);
    if (rate > 0.0) {
        print_clock(left, sizeof left, (double)(progress->bytes_total - progress->bytes) / rate);
        used += snprintf(line + used, sizeof line - (size_t)used, "  %s/s  ETA %s",
                         format_amount(amount, sizeof amount, progress, rate), left);
    }
    if (progress->name != NULL) {
        char *const name = sinq_copy_printable(progress->name);
        snprintf(line + used, sizeof line - (size_t)used, "  %s", name);
        free(name);
    }
    const size_t width = sinq_terminal_width(stderr);
    /* A name that is not ASCII may be cut inside a character at the line's end: the terminal shows a mark there. */
    fprintf(stderr, "\r%.*s\033[K", (int)(width > 1 && width < LINE_SIZE ? width - 1 : LINE_SIZE), line);
    fflush(stderr);
    meter->is_shown = true;
    meter->drawn = now;
}

static void print_tensor_line(struct sinq_meter *meter, const struct sinq_progress *progress) {
    if (progress->name == NULL || progress->item == meter->last_item) return;
    meter->last_item = progress->item;
    char *const name = sinq_copy_printable(progress->name);
    fprintf(stderr, "%s %llu/%llu %s\n", progress->activity, count_item(progress), (unsigned long long)progress->items,
            name);
    free(name);
}

static void print_event(struct sinq_meter *meter, const struct sinq_progress *progress, double now) {
    struct sinq_json_writer json = {.out = stderr};
    sinq_write_open_inline(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.progress/1");
    sinq_write_text(&json, "model", meter->subject);
    sinq_write_text(&json, "activity", progress->activity);
    sinq_write_text(&json, "tensor", progress->name);
    sinq_write_count(&json, "item", progress->item);
    sinq_write_count(&json, "items", progress->items);
    if (progress->unit == NULL) {
        sinq_write_count(&json, "bytes", progress->bytes);
        sinq_write_count(&json, "bytes_total", progress->bytes_total);
    } else {
        sinq_write_text(&json, "unit", progress->unit);
        sinq_write_count(&json, "units", progress->bytes);
        sinq_write_count(&json, "units_total", progress->bytes_total);
    }
    sinq_write_real(&json, "seconds", (double)(long long)((now - meter->started) * 1e3) / 1e3);
    sinq_write_close(&json, '}');
    meter->drawn = now;
}

int sinq_meter_report(void *user, const struct sinq_progress *progress) {
    struct sinq_meter *const meter = user;
    const int stop = sinq_caught_signal() != 0;
    if (meter->mode == SINQ_METER_OFF) return stop;
    const double now = sinq_now();
    const bool is_new_phase = !meter->has_phase || progress->bytes_total != meter->last_total;
    follow_phase(meter, progress, now);
    if (meter->mode == SINQ_METER_LINES) {
        print_tensor_line(meter, progress);
    } else if (meter->mode == SINQ_METER_REWRITE) {
        if (now - meter->started >= SECONDS_BEFORE && now - meter->drawn >= SECONDS_BETWEEN)
            rewrite_line(meter, progress, now);
    } else if (is_new_phase || now - meter->drawn >= SECONDS_BETWEEN) {
        print_event(meter, progress, now);
    }
    return stop;
}

void sinq_meter_stop(struct sinq_meter *meter) {
    if (meter->is_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    meter->is_shown = false;
}
