/*
 * progress.h: how far long work is, on stderr and never on stdout. Also the place where a caught signal becomes the request
 * to stop.
 *
 * Calling sequence: sinq_meter_start, sinq_meter_report (a sinq_progress_fn, with the meter as its user pointer) any number
 * of times, sinq_meter_stop before anything else is printed.
 */
#ifndef SINQ_CMD_PROGRESS_H
#define SINQ_CMD_PROGRESS_H

#include "options.h"

enum sinq_meter_mode {
    SINQ_METER_OFF,
    SINQ_METER_REWRITE, /* one line, rewritten at most 6 times a second, once the work has taken half a second */
    SINQ_METER_LINES,   /* a line for each tensor */
    SINQ_METER_JSON     /* an event a line */
};

struct sinq_meter {
    enum sinq_meter_mode mode;
    const char *subject; /* the model, for events */
    double started, drawn;
    double phase_started;
    uint64_t phase_first_bytes, last_bytes, last_total, last_item;
    bool has_phase, is_shown;
};

void sinq_meter_start(struct sinq_meter *meter, const struct sinq_common_options *options, const char *subject);
int sinq_meter_report(void *meter, const struct sinq_progress *progress);
void sinq_meter_stop(struct sinq_meter *meter);

#endif
