/* pattern.h: a regular expression in Perl's syntax, searched in names. */
#ifndef SINQ_CMD_PATTERN_H
#define SINQ_CMD_PATTERN_H

#include <stdbool.h>

#include "sinq.h"

struct sinq_pattern;

/* SINQ_USAGE with the place of the mistake if it is none. Free with sinq_free_pattern, which accepts NULL. */
int sinq_compile_pattern(const char *text, struct sinq_pattern **pattern, struct sinq_error *error);
/* A NULL pattern matches every name. */
bool sinq_matches(const struct sinq_pattern *pattern, const char *name);
void sinq_free_pattern(struct sinq_pattern *pattern);

#endif
