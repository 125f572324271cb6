/* inspect.h: what the files of `sinq inspect` share. */
#ifndef SINQ_CMD_INSPECT_H
#define SINQ_CMD_INSPECT_H

#include "inspection.h"
#include "options.h"

struct sinq_inspect_arguments {
    struct sinq_common_options common;
    bool tensors, stats, verify, force;
    const char *match, *plot_kind, *reference;
    const char *plot[2]; /* a tensor's name and a file */
};

/* Statistics of tensor i if measured[i]. */
struct sinq_measurements {
    bool *measured;
    struct sinq_tensor_stats *stats;
};

struct sinq_inspect_result {
    const struct sinq_inspect_arguments *arguments;
    const struct sinq_source *source;
    const struct sinq_inspection *inspection;
    const bool *selected;                         /* by --match */
    const struct sinq_measurements *measurements; /* NULL without --stats */
    const struct sinq_verify_summary *verified;   /* NULL without --verify */
    const char *verify_error;                     /* NULL if all is good */
};

/* inspect_report.c: on stdout. */
void sinq_report_inspection(const struct sinq_inspect_result *result);
/* inspect_json.c */
void sinq_report_inspection_json(const struct sinq_inspect_result *result);

#endif
