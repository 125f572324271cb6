/* Budgets: kept, spent, better than equal widths, and what they leave alone. The source is made up here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recipe_source.h"

/* Two layers of usual proportions, with grouped-query attention. */
static const struct sinq_tensor two_layers[] = {
    T2("model.embed_tokens.weight", SINQ_BF16, 1024, 256),
    T2("model.layers.0.self_attn.q_proj.weight", SINQ_BF16, 256, 256),
    T2("model.layers.0.self_attn.k_proj.weight", SINQ_BF16, 64, 256),
    T2("model.layers.0.self_attn.v_proj.weight", SINQ_BF16, 64, 256),
    T2("model.layers.0.mlp.gate_proj.weight", SINQ_BF16, 768, 256),
    T2("model.layers.0.mlp.up_proj.weight", SINQ_BF16, 768, 256),
    T2("model.layers.0.mlp.down_proj.weight", SINQ_BF16, 256, 768),
    T2("model.layers.1.self_attn.q_proj.weight", SINQ_BF16, 256, 256),
    T2("model.layers.1.self_attn.v_proj.weight", SINQ_BF16, 64, 256),
    T2("model.layers.1.mlp.gate_proj.weight", SINQ_BF16, 768, 256),
    T2("model.layers.1.mlp.down_proj.weight", SINQ_BF16, 256, 768),
    T1("model.norm.weight", SINQ_BF16, 256),
    T2("lm_head.weight", SINQ_BF16, 1024, 256),
};
#define TWO_COUNT (sizeof two_layers / sizeof two_layers[0])

START_TEST(a_budget_is_kept_and_spent) {
    static const double budgets[] = {2.4, 2.6, 3.0, 3.5, 4.0, 4.5, 5, 6.5, 8};
    struct fake fake;
    double before = INFINITY;
    fill_fake(&fake, "qwen3", two_layers, TWO_COUNT);
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        struct sinq_quantize_options options = options_with(NULL);
        options.budget_bits = budgets[i];
        struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
        const struct sinq_recipe_summary summary = sinq_recipe_summary(recipe);
        ck_assert_double_le(summary.overall_bits_per_weight, budgets[i]);
        ck_assert_double_ge(summary.overall_bits_per_weight, budgets[i] - .15);
        ck_assert_double_lt(summary.predicted_kl, before);
        ck_assert(summary.has_budget);
        before = summary.predicted_kl;
        sinq_recipe_free(recipe);
    }
}
END_TEST

START_TEST(the_default_recipe_spends_a_quarter_of_a_bit) {
    static const int widths[] = {2, 3, 4, 5, 6, 8};
    struct fake fake;
    fill_fake(&fake, "qwen3", two_layers, TWO_COUNT);
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct sinq_quantize_options options = options_with(NULL);
        options.bits = widths[i];
        options.embed_bits = 8;
        struct sinq_recipe *const mixed = expect_recipe(&fake, &options);
        options.group_size = widths[i] <= 4 ? 32 : 64;
        struct sinq_recipe *const alike = expect_recipe(&fake, &options);
        const struct sinq_recipe_summary summary = sinq_recipe_summary(mixed);
        ck_assert(summary.is_mixed && !sinq_recipe_summary(alike).is_mixed);
        ck_assert_int_eq(summary.bits, widths[i]);
        ck_assert_double_le(summary.linear_bits_per_weight, widths[i] + .25);
        const struct sinq_recipe_summary flat = sinq_recipe_summary(alike);
        if (flat.linear_bits_per_weight <= widths[i] + .25)
            ck_assert_double_lt(summary.predicted_kl, flat.predicted_kl);
        ck_assert_int_eq(sinq_recipe_entry(mixed, 0)->bits, 8);
        ck_assert_int_eq((int)sinq_recipe_entry(mixed, 12)->action, SINQ_KEEP);
        sinq_recipe_free(mixed);
        sinq_recipe_free(alike);
    }
}
END_TEST

START_TEST(a_budget_beats_all_tensors_alike) {
    struct fake fake;
    fill_fake(&fake, "qwen3", two_layers, TWO_COUNT);
    for (int bits = 2; bits <= 4; bits++) {
        struct sinq_quantize_options options = options_with(NULL);
        options.bits = options.head_bits = options.embed_bits = bits;
        options.method = SINQ_METHOD_SINQ_LEVELS;
        options.scale_type = SINQ_AUX_U6;
        options.group_size = 32;
        struct sinq_recipe *const alike = expect_recipe(&fake, &options);
        options = options_with(NULL);
        options.budget_bytes = sinq_recipe_summary(alike).bytes_after;
        struct sinq_recipe *const chosen = expect_recipe(&fake, &options);
        ck_assert_uint_le(sinq_recipe_summary(chosen).bytes_after, options.budget_bytes);
        ck_assert_double_lt(sinq_recipe_summary(chosen).predicted_kl, .9 * sinq_recipe_summary(alike).predicted_kl);
        sinq_recipe_free(alike);
        sinq_recipe_free(chosen);
    }
}
END_TEST

START_TEST(a_budget_leaves_alone_what_is_settled) {
    static const struct sinq_rule rules[] = {
        {.pattern = "layers\\.0\\.mlp\\.gate", .kind = SINQ_RULE_TENSOR, .setting = "bits:8,group:128,method:rtn"},
        {.pattern = "layers\\.1\\.mlp\\.gate", .kind = SINQ_RULE_TENSOR, .setting = "keep"},
        {.pattern = "layers\\.1\\.self_attn", .kind = SINQ_RULE_EXCLUDE},
    };
    struct fake fake;
    fill_fake(&fake, "qwen3", two_layers, TWO_COUNT);
    struct sinq_quantize_options options = options_with(NULL);
    options.rules = rules;
    options.rule_count = sizeof rules / sizeof rules[0];
    options.head_bits = 6;
    options.budget_bits = 6.5;
    struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
    static const struct {
        size_t tensor;
        const char *expected;
    } cases[] = {
        {4, "quantize 8 128 rtn u8"}, {7, "keep"}, {8, "keep"}, {9, "keep"}, {12, "quantize 6 64 sinq-search u6"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[80];
        describe_entry(sinq_recipe_entry(recipe, cases[i].tensor), text);
        ck_assert_msg(strcmp(text, cases[i].expected) == 0, "%s: %s", two_layers[cases[i].tensor].name, text);
    }
    ck_assert_double_le(sinq_recipe_summary(recipe).overall_bits_per_weight, 6.5);
    sinq_recipe_free(recipe);
}
END_TEST

START_TEST(a_budget_keeps_to_the_method_and_group_that_are_named) {
    static const struct {
        const char *what;
        int group_size, method, scale_type;
    } cases[] = {{"a method", -1, SINQ_METHOD_SINQ_HQQ, -1},
                 {"a method of few widths", -1, SINQ_METHOD_LEVELS, SINQ_AUX_U8},
                 {"a group size", 64, -1, -1},
                 {"whole rows", (int)SINQ_GROUP_ROW, SINQ_METHOD_RTN, SINQ_AUX_F16}};
    struct fake fake;
    fill_fake(&fake, "qwen3", two_layers, TWO_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_quantize_options options = options_with(NULL);
        options.group_size = cases[i].group_size;
        options.method = cases[i].method;
        options.scale_type = cases[i].scale_type;
        options.budget_bits = 3.9;
        struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
        for (size_t k = 0; k < TWO_COUNT; k++) {
            const struct sinq_recipe_entry *const entry = sinq_recipe_entry(recipe, k);
            if (entry->action != SINQ_QUANTIZE) continue;
            if (cases[i].method >= 0) ck_assert_msg((int)entry->method == cases[i].method, "%s", cases[i].what);
            if (cases[i].scale_type >= 0) ck_assert_int_eq((int)entry->scale_type, cases[i].scale_type);
            if (cases[i].group_size >= 0) ck_assert_int_eq((int)entry->group_size, cases[i].group_size);
        }
        sinq_recipe_free(recipe);
    }
}
END_TEST

START_TEST(budgets_that_cannot_be_are_refused) {
    const struct sinq_quantize_options good = options_with(NULL);
    struct {
        struct sinq_quantize_options options;
        const char *part;
    } cases[] = {
        {good, "--bpw -1: expected a number of bits above 0"},
        {good, "--bpw nan: expected"},
        {good, "--bpw and a size: either of them"},
        {good, "--bpw chooses the bits: --bits has no meaning"},
        {good, "--bpw: is for our own layout alone"},
    };
    cases[0].options.budget_bits = -1;
    cases[1].options.budget_bits = (double)NAN;
    cases[2].options.budget_bits = 4, cases[2].options.budget_bytes = 1000000;
    cases[3].options.budget_bits = cases[3].options.bits = 4;
    cases[4].options.budget_bits = 4, cases[4].options.format = SINQ_FORMAT_REFERENCE;
    struct fake fake;
    fill_fake(&fake, "qwen3", two_layers, TWO_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect_failure(&fake, &cases[i].options, cases[i].part);
    struct sinq_quantize_options small = good;
    struct sinq_recipe *recipe;
    struct sinq_error error = {0};
    small.budget_bytes = 1000;
    ck_assert_int_eq(sinq_make_recipe(&fake.source, &small, &recipe, &error), SINQ_FAILED);
    const char *const part = "made-up: all tensors together should take no more than 1000 bytes, but take at least ";
    ck_assert_msg(strncmp(error.message, part, strlen(part)) == 0, "%s", error.message);
    small.budget_bytes = strtoull(error.message + strlen(part), NULL, 10);
    recipe = expect_recipe(&fake, &small); /* what it says is enough */
    ck_assert_uint_eq(sinq_recipe_summary(recipe).bytes_after, small.budget_bytes);
    sinq_recipe_free(recipe);
}
END_TEST

UNIT_MAIN("budget", a_budget_is_kept_and_spent, the_default_recipe_spends_a_quarter_of_a_bit,
          a_budget_beats_all_tensors_alike, a_budget_leaves_alone_what_is_settled,
          a_budget_keeps_to_the_method_and_group_that_are_named, budgets_that_cannot_be_are_refused)
