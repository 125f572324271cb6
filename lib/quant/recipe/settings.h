/* settings.h: how a matrix is to be quantized, from named recipes, options and --tensor rules. */
#ifndef SINQ_QUANT_SETTINGS_H
#define SINQ_QUANT_SETTINGS_H

#include "quant/recipe/rule.h"
#include "sinq.h"

struct sinq_settings {
    int bits;
    uint32_t group_size;
    enum sinq_method method;
    enum sinq_aux_type scale_type;
    /* What was asked for. The rest of the default recipe follows from the bits. */
    bool has_method, has_group_size, has_scale_type;
};

/* The only width of a method with a table of levels; 0 for methods of any width. */
int sinq_method_bits(enum sinq_method method);

/*
 * `base` with what `setting` says instead; what neither asks for is the default recipe's at these bits. A method of one width brings that width along unless `setting` names another,
 * which is SINQ_USAGE. `who` begins the message.
 */
int sinq_apply_setting(const struct sinq_settings *base, const struct sinq_rule_setting *setting, const char *who,
                       struct sinq_settings *result, struct sinq_error *error);

/* Checks all options but the rules and settles what they mean: for linear layers, for lm_head and for embeddings. */
int sinq_settle_options(const struct sinq_quantize_options *options, struct sinq_settings *base,
                        struct sinq_settings *head, struct sinq_settings *embedding, struct sinq_error *error);

#endif
