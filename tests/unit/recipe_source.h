/* recipe_source.h: a source without values, and what a recipe makes of it. Included by tests of recipes. */
#ifndef SINQ_TESTS_RECIPE_SOURCE_H
#define SINQ_TESTS_RECIPE_SOURCE_H

#include <string.h>

#include "checkpoint/source.h"
#include "quant/recipe/recipe.h"
#include "unit.h"

#define MOST_TENSORS 16

struct fake {
    struct sinq_source source;
    struct sinq_tensor tensors[MOST_TENSORS];
};

static inline uint64_t count_bytes(const struct sinq_tensor *tensor) {
    uint64_t bytes = tensor->dtype == SINQ_DUAL_SCALE ? 1 : sinq_dtype_size(tensor->dtype);
    for (uint32_t i = 0; i < tensor->rank; i++) bytes *= tensor->shape[i];
    return bytes;
}

static const struct sinq_source_ops ops = {.read_bytes = NULL};

static inline void fill_fake(struct fake *fake, const char *model_type, const struct sinq_tensor *tensors,
                             size_t count) {
    ck_assert_uint_le(count, MOST_TENSORS);
    *fake = (struct fake){0};
    for (size_t i = 0; i < count; i++) {
        fake->tensors[i] = tensors[i];
        fake->tensors[i].bytes = count_bytes(&tensors[i]);
        if (tensors[i].scale_tensor == 0) fake->tensors[i].scale_tensor = -1; /* tensor 0 is no block scale here */
    }
    fake->source = (struct sinq_source){
        .ops = &ops,
        .path = (char *)(uintptr_t) "made-up",
        .format = "made up",
        .tensors = fake->tensors,
        .tensor_count = count,
        .model_type = (char *)(uintptr_t)model_type,
    };
}

#define T2(name_, dtype_, rows, cols)                                                                                  \
    {                                                                                                                  \
        .name = (name_), .dtype = (dtype_), .rank = 2, .shape = {(rows), (cols) }                                      \
    }
#define T1(name_, dtype_, size)                                                                                        \
    {                                                                                                                  \
        .name = (name_), .dtype = (dtype_), .rank = 1, .shape = {(size) }                                              \
    }

/* "keep", or "quantize 4 64 sinq u8". */
static inline void describe_entry(const struct sinq_recipe_entry *entry, char text[80]) {
    if (entry->action != SINQ_QUANTIZE) {
        strcpy(text, entry->action == SINQ_DROP ? "drop" : "keep");
        return;
    }
    snprintf(text, 80, "quantize %d %u %s %s", entry->bits, entry->group_size, sinq_method_name(entry->method),
             sinq_aux_type_name(entry->scale_type));
}

/* "quantize" alone is any coding: within a budget it is chosen. */
static inline bool is_described(const struct sinq_recipe_entry *entry, const char *expected, char text[80]) {
    describe_entry(entry, text);
    return strcmp(text, expected) == 0 || (strcmp(expected, "quantize") == 0 && entry->action == SINQ_QUANTIZE);
}

static inline struct sinq_quantize_options options_with(const struct sinq_rule *rules) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    options.rules = rules;
    while (rules != NULL && rules[options.rule_count].pattern != NULL) options.rule_count++;
    options.threads = 2;
    return options;
}

static inline void expect_failure(const struct fake *fake, const struct sinq_quantize_options *options,
                                  const char *part) {
    struct sinq_recipe *recipe = (struct sinq_recipe *)(uintptr_t)1;
    struct sinq_error error = {0};
    const int status = sinq_make_recipe(&fake->source, options, &recipe, &error);
    ck_assert_msg(status == SINQ_USAGE && error.status == SINQ_USAGE, "status %d, expected a failure: %s", status,
                  part);
    ck_assert_msg(recipe == NULL, "a recipe in spite of: %s", error.message);
    ck_assert_msg(strstr(error.message, part) != NULL, "\"%s\" lacks \"%s\"", error.message, part);
}

static inline struct sinq_recipe *expect_recipe(const struct fake *fake, const struct sinq_quantize_options *options) {
    struct sinq_recipe *recipe = NULL;
    struct sinq_error error = {0};
    const int status = sinq_make_recipe(&fake->source, options, &recipe, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    return recipe;
}

#endif
