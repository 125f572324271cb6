/*
 * rule.h: --tensor, --include and --exclude: regular expressions on tensor names and what they ask for.
 *
 * Patterns are PCRE2 searches in UTF-8 with limits on matching, so that no pattern runs for ever.
 */
#ifndef SINQ_QUANT_RULE_H
#define SINQ_QUANT_RULE_H

#include "sinq.h"
#include "tensor/block_types.h"

/* What a --tensor rule says; what it leaves open is the recipe's. */
struct sinq_rule_setting {
    bool keep;
    int bits;                           /* 0: open */
    int group_size;                     /* -1: open; SINQ_GROUP_ROW is the whole row */
    int method;                         /* -1: open */
    int scale_type;                     /* -1: open */
    const struct sinq_block_type *type; /* of GGUF; NULL: open */
};

bool sinq_is_bits(int bits);
bool sinq_is_group_size(int group_size);

/*
 * "keep", or a comma-separated list, in any order and part, of bits:2|3|4|5|6|8, group:16|32|64|128|row, method:NAME and
 * scale:f16|u8; or type:NAME alone, which is GGUF's. A failure is SINQ_USAGE and quotes the rule.
 */
int sinq_parse_rule_setting(const char *pattern, const char *text, struct sinq_rule_setting *setting,
                            struct sinq_error *error);

/* Compiled rules. Not thread safe: matching counts. */
struct sinq_rule_set;

/* Compiles all rules; their strings are copied. A wrong one is SINQ_USAGE. */
int sinq_compile_rules(const struct sinq_rule *rules, size_t count, struct sinq_rule_set **set,
                       struct sinq_error *error);

/* Indices of the last rules that match a name, -1 for none: among --tensor, and among --include and --exclude. */
struct sinq_rule_match {
    int64_t tensor_rule;
    int64_t filter_rule;
};
/* `other` is a second name that a rule may match as well, or NULL. */
int sinq_match_rules(struct sinq_rule_set *set, const char *name, const char *other, struct sinq_rule_match *match,
                     struct sinq_error *error);

/* SINQ_USAGE if a rule has matched nothing so far: a typing error must not pass in silence. `where` is the source's path. */
int sinq_check_rules_used(const struct sinq_rule_set *set, const char *where, struct sinq_error *error);

size_t sinq_rule_set_count(const struct sinq_rule_set *set);
bool sinq_rule_set_has_include(const struct sinq_rule_set *set);
bool sinq_rule_is_include(const struct sinq_rule_set *set, size_t rule);
const struct sinq_rule_setting *sinq_rule_get_setting(const struct sinq_rule_set *set, size_t rule);
/* As a user would type it: "--tensor 'q_proj=bits:3'". Owned by the set. */
const char *sinq_rule_text(const struct sinq_rule_set *set, size_t rule);
/* Why a tensor is treated as the rule says: "excluded by --exclude 'q_proj'". Owned by the set. */
const char *sinq_rule_reason(const struct sinq_rule_set *set, size_t rule);

void sinq_rule_set_free(struct sinq_rule_set *set);

#endif
