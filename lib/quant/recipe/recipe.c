#include "quant/recipe/recipe.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "quant/absorb/absorb_plan.h"
#include "quant/matrix/rounding.h"
#include "quant/recipe/budget.h"
#include "quant/recipe/peak_memory.h"
#include "quant/recipe/recipe_maker.h"
#include "quant/recipe/reference_recipe.h"
#include "quant/recipe/statistics_memory.h"
#include "quant/statistics/sensitivity_index.h"
#include "tensor/method.h"

/* ---- making ---- */

static bool has_head(const struct sinq_recipe_maker *maker) {
    for (size_t i = 0; i < maker->recipe->count; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(maker->source, i);
        if (sinq_classify_tensor(maker->model_type, tensor).role == SINQ_ROLE_LM_HEAD) return true;
    }
    return false;
}

/* Compiles the rules and settles what each --tensor rule means on top of the recipe. */
static int prepare_rules(struct sinq_recipe_maker *maker, struct sinq_error *error) {
    const struct sinq_quantize_options *const options = maker->options;
    struct sinq_recipe *const recipe = maker->recipe;
    int status = sinq_compile_rules(options->rules, options->rule_count, &recipe->rules, error);
    if (status != SINQ_OK) return status;
    maker->uses = calloc(options->rule_count + 1, sizeof *maker->uses);
    if (maker->uses == NULL) return sinq_fail_memory(error, "rules", options->rule_count * sizeof *maker->uses);
    for (size_t i = 0; i < options->rule_count && status == SINQ_OK; i++) {
        maker->uses[i].first_unfit = -1;
        if (options->rules[i].kind != SINQ_RULE_TENSOR) continue;
        const char *const text = sinq_rule_text(recipe->rules, i);
        status = sinq_check_block_rule(sinq_rule_get_setting(recipe->rules, i), options->format, text, error);
        if (status != SINQ_OK) continue;
        status = sinq_apply_setting(&maker->base, sinq_rule_get_setting(recipe->rules, i),
                                    sinq_rule_text(recipe->rules, i), &maker->uses[i].settings, error);
    }
    maker->has_include = sinq_rule_set_has_include(recipe->rules);
    return status;
}

static bool is_calibrated(const struct sinq_quantize_options *options) {
    return options->statistics != NULL || options->calibration_tokens != 0;
}

static int check_calibration(const struct sinq_recipe_maker *maker, struct sinq_error *error) {
    const enum sinq_method method = maker->base.method;
    if (maker->options->format != SINQ_FORMAT_NATIVE || maker->options->absorb) {
        return sinq_fail(error, SINQ_USAGE, "statistics of inputs are for sinq's own layout, without --absorb");
    }
    if (maker->options->scales_inputs && !sinq_method_normalizes(method)) {
        return sinq_fail(error, SINQ_USAGE, "method %s has no column scales for statistics to choose",
                         sinq_method_name(method));
    }
    if (!maker->options->scales_inputs && !sinq_method_can_feed_back(method)) {
        return sinq_fail(
            error, SINQ_USAGE,
            "method %s does not search, expected one that does to calibrate (sinq-levels, levels, sinq-search, search)",
            sinq_method_name(method));
    }
    return SINQ_OK;
}

/* Of making the statistics, where that is done in the same run. */
static int measure_calibration(struct sinq_recipe_maker *maker, struct sinq_error *error) {
    struct sinq_recipe *const recipe = maker->recipe;
    const uint64_t tokens = maker->options->calibration_tokens;
    uint64_t memory = 0;
    if (tokens == 0) return SINQ_OK;
    const int status = sinq_estimate_statistics_memory(maker->source, tokens, recipe->threads, &memory, error);
    memory = sinq_max_u64(memory, maker->options->calibration_memory);
    recipe->summary.peak_memory = sinq_max_u64(recipe->summary.peak_memory, memory);
    return status;
}

static int read_sensitivities(struct sinq_recipe_maker *maker, struct sinq_error *error) {
    struct sinq_recipe *const recipe = maker->recipe;
    if (recipe->statistics == NULL) return SINQ_OK;
    recipe->sensitivities = calloc(recipe->count + 1, sizeof *recipe->sensitivities);
    if (recipe->sensitivities == NULL) return sinq_fail_memory(error, "sensitivities", recipe->count * sizeof(double));
    return sinq_read_sensitivities(maker->source, recipe->statistics, recipe->sensitivities,
                                   &recipe->summary.is_measured, error);
}

static int prepare(struct sinq_recipe_maker *maker, struct sinq_error *error) {
    const struct sinq_quantize_options *const options = maker->options;
    struct sinq_recipe *const recipe = maker->recipe;
    int status = sinq_settle_options(options, &maker->base, &maker->head, &maker->embedding, error);
    if (status == SINQ_OK && options->type != NULL &&
        (options->format == SINQ_FORMAT_NATIVE || options->format == SINQ_FORMAT_REFERENCE)) {
        status = sinq_fail(error, SINQ_USAGE, "--type: %s layout has none",
                           options->format == SINQ_FORMAT_NATIVE ? "our own" : "the reference's");
    } else if (status == SINQ_OK && options->type != NULL) {
        status = sinq_settle_block_options(options, &maker->blocks, error);
    } else if (status == SINQ_OK && (options->fallback != NULL || options->weighs_columns)) {
        status = sinq_fail(error, SINQ_USAGE, "%s: is for GGUF's types alone",
                           options->fallback != NULL ? "--fallback" : "--importance");
    } else if (status == SINQ_OK && options->format != SINQ_FORMAT_NATIVE && options->format != SINQ_FORMAT_REFERENCE) {
        status = sinq_fail(error, SINQ_USAGE, "--type: what numbers become, is missing");
    }
    if (status == SINQ_OK && is_calibrated(options)) status = check_calibration(maker, error);
    if (status == SINQ_OK && options->scales_inputs && !is_calibrated(options)) {
        status = sinq_fail(error, SINQ_USAGE, "column scales by inputs (asinq) need statistics of inputs");
    }
    if (status == SINQ_OK) status = sinq_check_budget(options, error);
    if (status == SINQ_OK) status = sinq_check_repacking(maker->source, options, &recipe->repacks, error);
    if (status != SINQ_OK) return status;
    recipe->source = maker->source;
    recipe->count = sinq_source_tensor_count(maker->source);
    recipe->kurtosis_gate = options->kurtosis_gate;
    recipe->replace_nonfinite = options->replace_nonfinite;
    recipe->weighs_columns = options->weighs_columns;
    recipe->tiling_2d = options->tiling_2d;
    recipe->effort = options->effort;
    recipe->statistics = options->statistics;
    recipe->is_calibrated = is_calibrated(options);
    recipe->scales_inputs = options->scales_inputs;
    recipe->threads = options->threads > 0 ? options->threads : sinq_count_processors();
    recipe->summary.peak_memory = sinq_estimate_peak_memory(0, 0, 0, SINQ_GROUP_ROW, 0, recipe->threads);
    recipe->entries = calloc(recipe->count + 1, sizeof *recipe->entries);
    maker->is_settled = calloc(recipe->count + 1, sizeof *maker->is_settled);
    if (recipe->entries == NULL || maker->is_settled == NULL) {
        return sinq_fail_memory(error, "a recipe", recipe->count * sizeof *recipe->entries);
    }
    status = prepare_rules(maker, error);
    if (status == SINQ_OK) status = read_sensitivities(maker, error);
    maker->model_type = sinq_source_model_type(maker->source);
    maker->is_tied = options->head_bits != 0 && !has_head(maker);
    return status;
}

/* Where tensors have their own: that of the largest, of equal ones the first. */
static void take_main_coding(struct sinq_recipe *recipe) {
    struct sinq_recipe_summary *const summary = &recipe->summary;
    uint64_t most = 0;
    for (size_t i = 0; i < recipe->count; i++) {
        const struct sinq_recipe_entry *const entry = &recipe->entries[i];
        const uint64_t values = sinq_count_values(sinq_source_tensor(recipe->source, i));
        if (entry->action != SINQ_QUANTIZE || !entry->is_linear || values <= most) continue;
        most = values;
        summary->bits = entry->bits;
        summary->group_size = entry->group_size;
        summary->method = entry->method;
        summary->scale_type = entry->scale_type;
    }
}

/* The default recipe, of which nothing but the bits is said: which linear layer gets how many of them is chosen, too. */
static bool spends_on_linear(const struct sinq_recipe_maker *maker) {
    const struct sinq_settings *const base = &maker->base;
    return maker->options->format == SINQ_FORMAT_NATIVE && maker->blocks.type == NULL && !maker->recipe->repacks &&
           !base->has_method && !base->has_group_size && !base->has_scale_type;
}

/* What absorbing changes is measured as it then is. */
static int finish(struct sinq_recipe_maker *maker, struct sinq_error *error) {
    struct sinq_recipe *const recipe = maker->recipe;
    int status = sinq_check_rule_uses(maker, error);
    if (status == SINQ_OK && sinq_has_budget(maker->options)) {
        status = sinq_spend_budget(recipe, maker->options, &maker->base, maker->is_settled, error);
    } else if (status == SINQ_OK && spends_on_linear(maker)) {
        status = sinq_spend_on_linear(recipe, &maker->base, maker->is_settled, error);
    }
    recipe->absorbs = maker->options->absorb;
    /* What gets a type is made of the absorbed source already. */
    if (status == SINQ_OK && recipe->absorbs && maker->blocks.type == NULL) {
        status = sinq_plan_absorption(maker->source, recipe->entries, &recipe->absorb, error);
        if (status == SINQ_OK) status = sinq_apply_absorption(maker->source, recipe->absorb, recipe->entries, error);
    }
    for (size_t i = 0; i < recipe->count && status == SINQ_OK; i++) {
        struct sinq_recipe_entry *const entry = &recipe->entries[i];
        if (entry->action != SINQ_QUANTIZE || entry->type != NULL) continue;
        if (recipe->repacks || maker->options->format == SINQ_FORMAT_REFERENCE) {
            sinq_settle_layer(recipe, sinq_source_tensor(maker->source, i), entry);
            continue;
        }
        status = sinq_settle_entry(recipe, sinq_source_tensor(maker->source, i), entry, error);
    }
    if (status == SINQ_OK) status = measure_calibration(maker, error);
    if (status != SINQ_OK) return status;
    sinq_follow_block_scales(maker);
    recipe->summary.bits = maker->base.bits;
    recipe->summary.group_size = maker->base.group_size;
    recipe->summary.method = maker->base.method;
    recipe->summary.scale_type = maker->base.scale_type;
    recipe->summary.format = maker->options->format;
    recipe->summary.repacks = recipe->repacks;
    recipe->summary.has_budget = sinq_has_budget(maker->options);
    recipe->summary.is_mixed = recipe->summary.has_budget || spends_on_linear(maker);
    if (recipe->repacks || recipe->summary.has_budget) take_main_coding(recipe);
    recipe->summary.type = maker->blocks.type == NULL ? NULL : maker->blocks.type->name;
    sinq_sum_up_recipe(recipe);
    return sinq_predict_damage(recipe, &recipe->summary.predicted_kl, error);
}

int sinq_make_recipe(const struct sinq_source *source, const struct sinq_quantize_options *options,
                     struct sinq_recipe **recipe, struct sinq_error *error) {
    *recipe = NULL;
    struct sinq_recipe *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a recipe", sizeof *made);
    struct sinq_recipe_maker maker = {.recipe = made, .source = source, .options = options};
    int status = prepare(&maker, error);
    for (size_t i = 0; i < made->count && status == SINQ_OK; i++) status = sinq_decide_tensor(&maker, i, error);
    if (status == SINQ_OK) status = finish(&maker, error);
    if (status == SINQ_OK) {
        *recipe = made;
    } else {
        sinq_recipe_free(made);
    }
    free(maker.uses);
    free(maker.is_settled);
    return status;
}

const struct sinq_recipe_entry *sinq_recipe_entry(const struct sinq_recipe *recipe, size_t tensor) {
    return &recipe->entries[tensor];
}

struct sinq_recipe_summary sinq_recipe_summary(const struct sinq_recipe *recipe) {
    return recipe->summary;
}

void sinq_recipe_free(struct sinq_recipe *recipe) {
    if (recipe == NULL) return;
    sinq_absorb_plan_free(recipe->absorb);
    sinq_rule_set_free(recipe->rules);
    free(recipe->sensitivities);
    free(recipe->entries);
    free(recipe);
}
