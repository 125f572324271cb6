#include "quant/recipe/recipe.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "quant/absorb/absorb_plan.h"
#include "quant/matrix/column_scales.h"
#include "quant/matrix/rounding.h"
#include "quant/recipe/block_recipe.h"
#include "quant/recipe/budget.h"
#include "quant/recipe/peak_memory.h"
#include "quant/recipe/reference_recipe.h"
#include "quant/recipe/settings.h"
#include "quant/recipe/statistics_memory.h"
#include "quant/statistics/sensitivity_index.h"
#include "tensor/dtype.h"

/* What making a recipe needs beside the recipe. */
struct maker {
    struct sinq_recipe *recipe;
    const struct sinq_source *source;
    const char *model_type;
    const struct sinq_quantize_options *options;
    struct sinq_settings base, head, embedding;
    struct sinq_block_settings blocks; /* of GGUF and plain checkpoints: type is NULL for our own layout */
    struct rule_use *uses;             /* one a rule */
    bool *is_settled;                  /* one a tensor: an option or a rule says what becomes of it */
    bool has_include;
    bool is_tied; /* no lm_head of its own */
};

struct rule_use {
    struct sinq_settings settings;
    size_t quantized;     /* tensors for which it was the last word */
    int64_t first_unfit;  /* the first that it asks to quantize but that cannot be, or -1 */
    const char *unfit_as; /* why */
};

/* ---- one tensor ---- */

/* Why a tensor cannot be quantized whatever a rule says; NULL if it can. */
static const char *find_unfit(const struct sinq_tensor *tensor) {
    if (tensor->dtype != SINQ_DUAL_SCALE && !sinq_dtype_is_float(tensor->dtype)) return "not a floating-point tensor";
    if (tensor->rank != 2 && tensor->rank != 3) return "neither 2-D nor 3-D";
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0) return "empty";
    }
    return NULL;
}

static void quantize_tensor(struct sinq_recipe_entry *entry, const struct sinq_settings *settings, const char *reason) {
    entry->action = SINQ_QUANTIZE;
    entry->reason = reason;
    entry->bits = settings->bits;
    entry->group_size = settings->group_size;
    entry->method = settings->method;
    entry->scale_type = settings->scale_type;
}

static void keep_tensor(struct sinq_recipe_entry *entry, const char *reason) {
    quantize_tensor(entry, &(struct sinq_settings){0}, reason);
    entry->action = SINQ_KEEP;
}

static void drop_tensor(struct sinq_recipe_entry *entry) {
    entry->action = SINQ_DROP;
    entry->bytes_after = 0;
}

/* The decision without rules. */
static void decide_by_role(const struct maker *maker, const struct sinq_tensor *tensor,
                           const struct sinq_tensor_role *role, struct sinq_recipe_entry *entry) {
    const struct sinq_quantize_options *const options = maker->options;
    const char *const unfit = find_unfit(tensor);
    const bool is_free = unfit == NULL && !role->is_vision;
    keep_tensor(entry, role->is_linear && unfit != NULL ? unfit : role->reason);
    if (role->is_linear && unfit == NULL) {
        quantize_tensor(entry, &maker->base, role->reason);
    } else if (role->role == SINQ_ROLE_LM_HEAD && is_free && options->head_bits != 0) {
        quantize_tensor(entry, &maker->head, role->reason);
    } else if (role->role == SINQ_ROLE_EMBEDDING && is_free && options->embed_bits != 0) {
        quantize_tensor(entry, &maker->embedding, role->reason);
    } else if (role->role == SINQ_ROLE_EMBEDDING && is_free && options->head_bits != 0 && maker->is_tied) {
        keep_tensor(entry, "token embedding and lm_head in one, for which --embed-bits is, not --head-bits");
    }
}

/* Whether a budget leaves it as it is. */
static bool is_settled(const struct maker *maker, const struct sinq_tensor_role *role,
                       const struct sinq_rule_match *match) {
    const bool is_included = match->filter_rule < 0
                                 ? !maker->has_include
                                 : sinq_rule_is_include(maker->recipe->rules, (size_t)match->filter_rule);
    if (match->tensor_rule >= 0 || !is_included) return true;
    if (role->role == SINQ_ROLE_LM_HEAD) return maker->options->head_bits != 0;
    return role->role == SINQ_ROLE_EMBEDDING && maker->options->embed_bits != 0;
}

static void apply_filters(const struct maker *maker, int64_t rule, struct sinq_recipe_entry *entry) {
    const struct sinq_rule_set *const rules = maker->recipe->rules;
    if (entry->action != SINQ_QUANTIZE) return;
    if (rule < 0 && maker->has_include) keep_tensor(entry, "matches no --include");
    if (rule >= 0 && !sinq_rule_is_include(rules, (size_t)rule)) {
        keep_tensor(entry, sinq_rule_reason(rules, (size_t)rule));
    }
}

/*
 * A rule such as 'layers\.0\.=bits:8' meets norms and biases too: they stay as they are. That a rule meets nothing but such
 * tensors is an error, found by check_rule_uses.
 */
static void apply_tensor_rule(const struct maker *maker, size_t tensor, int64_t rule, struct sinq_recipe_entry *entry) {
    if (rule < 0) return;
    const struct sinq_rule_set *const rules = maker->recipe->rules;
    struct rule_use *const use = &maker->uses[rule];
    if (sinq_rule_get_setting(rules, (size_t)rule)->keep) {
        keep_tensor(entry, sinq_rule_reason(rules, (size_t)rule));
        return;
    }
    const char *const unfit = find_unfit(sinq_source_tensor(maker->source, tensor));
    if (unfit == NULL) {
        quantize_tensor(entry, &use->settings, sinq_rule_reason(rules, (size_t)rule));
        use->quantized++;
    } else if (use->first_unfit < 0) {
        use->first_unfit = (int64_t)tensor;
        use->unfit_as = unfit;
    }
}

/* Of GGUF and plain checkpoints: the type that a tensor becomes. */
static int decide_type(const struct maker *maker, size_t index, const struct sinq_tensor_role *role,
                       const struct sinq_rule_match *match, struct sinq_recipe_entry *entry, struct sinq_error *error) {
    struct sinq_recipe *const recipe = maker->recipe;
    const struct sinq_rule_set *const rules = recipe->rules;
    const int64_t rule = match->tensor_rule, filter = match->filter_rule;
    struct sinq_block_case what = {.source = maker->source,
                                   .tensor = sinq_source_tensor(maker->source, index),
                                   .origin = sinq_source_origin(maker->source, index),
                                   .role = role};
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(what.tensor);
    if (filter < 0 && maker->has_include && role->is_linear) what.kept_by = "matches no --include";
    if (filter >= 0 && !sinq_rule_is_include(rules, (size_t)filter)) {
        what.kept_by = sinq_rule_reason(rules, (size_t)filter);
    }
    if (rule >= 0) {
        what.rule = sinq_rule_get_setting(rules, (size_t)rule);
        what.rule_reason = sinq_rule_reason(rules, (size_t)rule);
        struct rule_use *const use = &maker->uses[rule];
        if (what.tensor->rank >= 2 || maker->blocks.format == SINQ_FORMAT_PLAIN) {
            use->quantized++;
        } else if (use->first_unfit < 0 && !what.rule->keep) {
            use->first_unfit = (int64_t)index;
            use->unfit_as = "of one dimension, which llama.cpp wants in f32";
        }
    }
    uint64_t memory = sinq_estimate_block_memory(shape.cols, recipe->threads);
    if (recipe->weighs_columns && role->is_linear) {
        memory = sinq_add_saturating(memory, sinq_estimate_peak_memory(shape.rows, shape.cols, sizeof(float),
                                                                       SINQ_SCALE_RUN, 0, recipe->threads));
    }
    recipe->summary.peak_memory = sinq_max_u64(recipe->summary.peak_memory, memory);
    return sinq_decide_block(&maker->blocks, &what, entry, error);
}

/* Bytes of what a tensor is made of, in proportion to its values. */
static uint64_t measure_origin(const struct sinq_tensor *tensor, const struct sinq_tensor *origin) {
    if (tensor == origin) return tensor->bytes;
    const double share = (double)sinq_count_values(tensor) / (double)sinq_max_u64(1, sinq_count_values(origin));
    return (uint64_t)(share * (double)origin->bytes + 0.5);
}

/* GGUF's blocks are not ours to keep: such a tensor becomes f16. */
static void cast_blocks(const struct maker *maker, const struct sinq_tensor *tensor, struct sinq_recipe_entry *entry) {
    struct sinq_recipe *const recipe = maker->recipe;
    const uint64_t cols = sinq_tensor_matrix_shape(tensor).cols;
    entry->type = "f16";
    entry->bytes_after = sinq_multiply_saturating(sinq_count_values(tensor), 2);
    recipe->summary.peak_memory =
        sinq_max_u64(recipe->summary.peak_memory, sinq_estimate_block_memory(cols, recipe->threads));
}

static int decide_tensor(const struct maker *maker, size_t index, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(maker->source, index);
    const struct sinq_tensor *const origin = sinq_source_origin(maker->source, index);
    struct sinq_recipe_entry *const entry = &maker->recipe->entries[index];
    const struct sinq_tensor_role role = sinq_classify_tensor(maker->model_type, origin);
    if (origin->dtype == SINQ_DUAL_SCALE && !maker->options->allow_requantize && !maker->recipe->repacks) {
        return sinq_fail(error, SINQ_USAGE,
                         "%s: tensor %s is quantized already, expected the original weights (or --allow-requantize)",
                         sinq_source_path(maker->source), origin->name);
    }
    *entry = (struct sinq_recipe_entry){
        .transposed = role.is_transposed,
        .is_linear = role.is_linear,
        .bytes_before = measure_origin(tensor, origin),
        .bytes_after = tensor->bytes,
    };
    if (tensor->is_block_scale) { /* follows its tensor: see follow_block_scales; with types all are cast */
        const bool is_cast = maker->blocks.type != NULL;
        keep_tensor(entry, is_cast ? "block scale of a tensor that is cast" : role.reason);
        if (is_cast) drop_tensor(entry);
        return SINQ_OK;
    }
    if (maker->recipe->repacks) {
        return sinq_decide_repacked(maker->source, index, &role, maker->options->format, maker->options->scale_type,
                                    entry, error);
    }
    struct sinq_rule_match match;
    const char *const other = tensor == origin ? NULL : tensor->name;
    const int status = sinq_match_rules(maker->recipe->rules, origin->name, other, &match, error);
    if (status != SINQ_OK) return status;
    if (maker->blocks.type != NULL) return decide_type(maker, index, &role, &match, entry, error);
    decide_by_role(maker, tensor, &role, entry);
    maker->is_settled[index] = is_settled(maker, &role, &match);
    apply_filters(maker, match.filter_rule, entry);
    apply_tensor_rule(maker, index, match.tensor_rule, entry);
    if (entry->action == SINQ_KEEP && sinq_is_in_blocks(maker->source, tensor)) cast_blocks(maker, tensor, entry);
    if (entry->action == SINQ_QUANTIZE && maker->options->format == SINQ_FORMAT_REFERENCE) {
        return sinq_fit_reference(maker->source, index, &role, maker->options->tiling_2d, entry, error);
    }
    return SINQ_OK;
}

/* ---- all tensors ---- */

static void follow_block_scales(const struct maker *maker) {
    struct sinq_recipe_entry *const entries = maker->recipe->entries;
    for (size_t i = 0; i < maker->recipe->count; i++) {
        const int64_t scale = sinq_source_tensor(maker->source, i)->scale_tensor;
        if (scale < 0 || (uint64_t)scale >= maker->recipe->count || entries[i].action != SINQ_QUANTIZE) continue;
        drop_tensor(&entries[scale]);
        entries[scale].reason = "block scale of a tensor that is quantized";
    }
}

static int check_rule_uses(const struct maker *maker, struct sinq_error *error) {
    const struct sinq_rule_set *const rules = maker->recipe->rules;
    for (size_t i = 0; i < sinq_rule_set_count(rules); i++) {
        const struct rule_use *const use = &maker->uses[i];
        if (use->quantized > 0 || use->first_unfit < 0) continue;
        return sinq_fail(error, SINQ_USAGE, "%s: cannot quantize tensor %s of %s: %s", sinq_rule_text(rules, i),
                         sinq_source_tensor(maker->source, (size_t)use->first_unfit)->name,
                         sinq_source_path(maker->source), use->unfit_as);
    }
    return sinq_check_rules_used(rules, sinq_source_path(maker->source), error);
}

/* ---- making ---- */

static bool has_head(const struct maker *maker) {
    for (size_t i = 0; i < maker->recipe->count; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(maker->source, i);
        if (sinq_classify_tensor(maker->model_type, tensor).role == SINQ_ROLE_LM_HEAD) return true;
    }
    return false;
}

/* Compiles the rules and settles what each --tensor rule means on top of the recipe. */
static int prepare_rules(struct maker *maker, struct sinq_error *error) {
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

static int check_calibration(const struct maker *maker, struct sinq_error *error) {
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
static int measure_calibration(struct maker *maker, struct sinq_error *error) {
    struct sinq_recipe *const recipe = maker->recipe;
    const uint64_t tokens = maker->options->calibration_tokens;
    uint64_t memory = 0;
    if (tokens == 0) return SINQ_OK;
    const int status = sinq_estimate_statistics_memory(maker->source, tokens, recipe->threads, &memory, error);
    memory = sinq_max_u64(memory, maker->options->calibration_memory);
    recipe->summary.peak_memory = sinq_max_u64(recipe->summary.peak_memory, memory);
    return status;
}

static int read_sensitivities(struct maker *maker, struct sinq_error *error) {
    struct sinq_recipe *const recipe = maker->recipe;
    if (recipe->statistics == NULL) return SINQ_OK;
    recipe->sensitivities = calloc(recipe->count + 1, sizeof *recipe->sensitivities);
    if (recipe->sensitivities == NULL) return sinq_fail_memory(error, "sensitivities", recipe->count * sizeof(double));
    return sinq_read_sensitivities(maker->source, recipe->statistics, recipe->sensitivities,
                                   &recipe->summary.is_measured, error);
}

static int prepare(struct maker *maker, struct sinq_error *error) {
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
static bool spends_on_linear(const struct maker *maker) {
    const struct sinq_settings *const base = &maker->base;
    return maker->options->format == SINQ_FORMAT_NATIVE && maker->blocks.type == NULL && !maker->recipe->repacks &&
           !base->has_method && !base->has_group_size && !base->has_scale_type;
}

/* What absorbing changes is measured as it then is. */
static int finish(struct maker *maker, struct sinq_error *error) {
    struct sinq_recipe *const recipe = maker->recipe;
    int status = check_rule_uses(maker, error);
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
    follow_block_scales(maker);
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
    struct maker maker = {.recipe = made, .source = source, .options = options};
    int status = prepare(&maker, error);
    for (size_t i = 0; i < made->count && status == SINQ_OK; i++) status = decide_tensor(&maker, i, error);
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
