/* run_report.h: what is said at the end of `sinq run`. */
#ifndef SINQ_CMD_RUN_REPORT_H
#define SINQ_CMD_RUN_REPORT_H

#include "run_output.h"

/* One line of speed, memory and outcome, on stderr. */
void sinq_report_run(const struct sinq_generator *generator, const struct sinq_answer *answer, const char *outcome);

/* The JSON object, on stdout. */
void sinq_report_run_json(const struct sinq_run_output *output, const int32_t *prompt,
                          const struct sinq_answer *answer);

#endif
