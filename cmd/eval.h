/* eval.h: what the files of `sinq eval` share. */
#ifndef SINQ_CMD_EVAL_H
#define SINQ_CMD_EVAL_H

#include "json.h"
#include "options.h"

struct sinq_eval_arguments {
    struct sinq_common_options common;
    const char *reference, *as;
    bool weights;
    unsigned top;
    const char *text, *score, *kv, *device;
    uint64_t gpu_memory;
    bool token_ids, bos, exact;
    unsigned window, stride, max_windows;
    double max_error, max_ppl, max_ppl_increase, max_kl, min_same_top; /* negative where not given */
};

/* eval_options.c: the table, what the arguments are before it is read, and which of them cannot go together. */
extern const struct sinq_option sinq_eval_option_table[];
extern const struct sinq_eval_arguments sinq_default_eval_arguments;
int sinq_check_eval_arguments(const struct sinq_eval_arguments *arguments, struct sinq_error *error);

/* A limit that a result is held to. */
struct sinq_threshold {
    const char *option;  /* "max-ppl" */
    const char *measure; /* "the perplexity" */
    double found, allowed;
    bool is_least; /* found must be at least what is allowed, not at most */
    bool is_share; /* shown in per cent */
};
/* False also where what was found is not a number. */
bool sinq_is_met(const struct sinq_threshold *threshold);

#define SINQ_MOST_THRESHOLDS 5

/* What was measured, and of what. */
struct sinq_eval_result {
    const struct sinq_eval_arguments *arguments;
    const struct sinq_source *model, *reference; /* the latter may be NULL */
    struct sinq_weight_report weights;           /* with --weights */
    struct sinq_text_report text;                /* with --text */
    bool has_device;                             /* the model was on one, which `device` is about */
    struct sinq_device_memory device;
    struct sinq_threshold thresholds[SINQ_MOST_THRESHOLDS];
    unsigned threshold_count;
};

/* eval_text.c: runs both models over the text. */
int sinq_evaluate_text_file(struct sinq_eval_result *result, struct sinq_error *error);

/* eval_thresholds.c: fills in the thresholds that were asked for; says on stderr which are not met and how many. */
void sinq_collect_thresholds(struct sinq_eval_result *result);
unsigned sinq_report_unmet(const struct sinq_eval_result *result);

/* text_report.c: the evaluation of a text, on stdout, and as the fields of a JSON object that is open. */
void sinq_report_text(const struct sinq_eval_result *result);
void sinq_write_text_report(struct sinq_json_writer *json, const struct sinq_eval_result *result);

#endif
