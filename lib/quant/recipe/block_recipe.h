/*
 * block_recipe.h: what becomes of a tensor in GGUF or in a plain checkpoint: its type, by its role, options and rules. The other half of
 * recipe.c's decisions.
 */
#ifndef SINQ_QUANT_BLOCK_RECIPE_H
#define SINQ_QUANT_BLOCK_RECIPE_H

#include "checkpoint/roles.h"
#include "quant/recipe/rule.h"
#include "sinq.h"
#include "tensor/block_types.h"

struct sinq_block_settings {
    enum sinq_format format;
    const struct sinq_block_type *type, *fallback; /* fallback: NULL where there is none */
};

/* Checks the options that such a format has, and that it has no others. SINQ_USAGE where something is wrong. */
int sinq_settle_block_options(const struct sinq_quantize_options *options, struct sinq_block_settings *settings,
                              struct sinq_error *error);
/* Of a --tensor rule: only a type that the format has, or keep. Our own layout has no types. */
int sinq_check_block_rule(const struct sinq_rule_setting *setting, enum sinq_format format, const char *rule,
                          struct sinq_error *error);

/* What is known of a tensor. */
struct sinq_block_case {
    const struct sinq_source *source;
    const struct sinq_tensor *tensor;     /* as the format has it */
    const struct sinq_tensor *origin;     /* what it is made of */
    const struct sinq_tensor_role *role;  /* of the origin */
    const struct sinq_rule_setting *rule; /* the --tensor rule that wins, or NULL */
    const char *rule_reason;              /* why, where it does */
    const char *kept_by;                  /* --exclude or --include, or NULL */
};
/* Fills action, reason, type and bytes_after. SINQ_FAILED of codes that a plain checkpoint cannot become. */
int sinq_decide_block(const struct sinq_block_settings *settings, const struct sinq_block_case *what,
                      struct sinq_recipe_entry *entry, struct sinq_error *error);

/* Rows that are read, encoded and written as one, of `cols` values each; and the memory that a job takes for it, an upper bound. */
uint64_t sinq_block_chunk_rows(uint64_t cols);
uint64_t sinq_estimate_block_memory(uint64_t cols, unsigned threads);
/* Chunks that are in memory at once for each thread. */
#define SINQ_BLOCK_CHUNKS 2u

#endif
