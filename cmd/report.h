/* report.h: the labelled lines under a heading that reports are made of. */
#ifndef SINQ_CMD_REPORT_H
#define SINQ_CMD_REPORT_H

#include "sinq.h"

/* A line in bold, made printable. */
void sinq_print_heading(const char *format, ...) SINQ_PRINTF(1, 2);

/* "  label        value", made printable. */
void sinq_print_fact(const char *label, const char *format, ...) SINQ_PRINTF(2, 3);

#endif
