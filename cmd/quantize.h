/* quantize.h: what the files of `sinq quantize` share. */
#ifndef SINQ_CMD_QUANTIZE_H
#define SINQ_CMD_QUANTIZE_H

#include "json.h"
#include "options.h"

struct sinq_quantize_arguments {
    struct sinq_common_options common;
    const char *output, *recipe, *bits, *group_size, *method, *levels, *scale_type, *effort, *tiling, *head_bits,
        *embed_bits, *nonfinite;
    const char *format, *type, *fallback, *importance;
    double kurtosis_gate, budget_bits;
    uint64_t max_shard_bytes, size, fit, context;
    const char *kv;
    bool allow_requantize, absorb, force, resume, dry_run;
    struct sinq_rule_list rules;
    struct sinq_text_list calib;
    unsigned calib_tokens;
    const char *stats, *save_stats;
};

/* quantize_options.c: the table, and the library's options that the arguments mean. */
extern const struct sinq_option sinq_quantize_option_table[];
struct sinq_quantize_options sinq_read_quantize_options(const struct sinq_quantize_arguments *arguments);
enum sinq_format sinq_read_output_format(const struct sinq_quantize_arguments *arguments);

/*
 * quantize_budget.c: settles how large the result may be where --size or --fit say so; reads the headers of the model for --fit. Leaves the options
 * alone where neither is given.
 */
int sinq_settle_budget(const struct sinq_quantize_arguments *arguments, const struct sinq_source *source,
                       struct sinq_quantize_options *options, struct sinq_error *error);

/* What was made of one model. */
struct sinq_quantize_result {
    const char *input;
    const char *output;
    const struct sinq_source *source;
    const struct sinq_recipe *recipe;
    const struct sinq_source *original; /* what the source is made of, or the source itself */
    const struct sinq_recipe
        *folding; /* of --type with --absorb: where column scales go, over what the source is made of; or NULL */
    struct sinq_quantize_summary summary;
};

/* quantize_report.c: on stdout. */
void sinq_report_quantized(const struct sinq_quantize_result *result, bool brief);
void sinq_report_quantized_json(const struct sinq_quantize_result *result);

/* How most weights are coded, or their type. */
void sinq_write_coding(struct sinq_json_writer *json, const struct sinq_recipe_summary *recipe);

/* recipe_report.c: what --dry-run prints. `all` lists every tensor, else alike ones are folded into a line. */
void sinq_report_recipe(const struct sinq_quantize_result *result, bool all);
void sinq_report_recipe_json(const struct sinq_quantize_result *result);

#endif
