#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/roles.h"
#include "quant/matrix/column_scales.h"
#include "quant/recipe/peak_memory.h"
#include "quant/recipe/recipe_maker.h"
#include "quant/recipe/reference_recipe.h"
#include "tensor/dtype.h"

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
static void decide_by_role(const struct sinq_recipe_maker *maker, const struct sinq_tensor *tensor,
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
static bool is_settled(const struct sinq_recipe_maker *maker, const struct sinq_tensor_role *role,
                       const struct sinq_rule_match *match) {
    const bool is_included = match->filter_rule < 0
                                 ? !maker->has_include
                                 : sinq_rule_is_include(maker->recipe->rules, (size_t)match->filter_rule);
    if (match->tensor_rule >= 0 || !is_included) return true;
    if (role->role == SINQ_ROLE_LM_HEAD) return maker->options->head_bits != 0;
    return role->role == SINQ_ROLE_EMBEDDING && maker->options->embed_bits != 0;
}

static void apply_filters(const struct sinq_recipe_maker *maker, int64_t rule, struct sinq_recipe_entry *entry) {
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
static void apply_tensor_rule(const struct sinq_recipe_maker *maker, size_t tensor, int64_t rule,
                              struct sinq_recipe_entry *entry) {
    if (rule < 0) return;
    const struct sinq_rule_set *const rules = maker->recipe->rules;
    struct sinq_rule_use *const use = &maker->uses[rule];
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
static int decide_type(const struct sinq_recipe_maker *maker, size_t index, const struct sinq_tensor_role *role,
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
        struct sinq_rule_use *const use = &maker->uses[rule];
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
static void cast_blocks(const struct sinq_recipe_maker *maker, const struct sinq_tensor *tensor,
                        struct sinq_recipe_entry *entry) {
    struct sinq_recipe *const recipe = maker->recipe;
    const uint64_t cols = sinq_tensor_matrix_shape(tensor).cols;
    entry->type = "f16";
    entry->bytes_after = sinq_multiply_saturating(sinq_count_values(tensor), 2);
    recipe->summary.peak_memory =
        sinq_max_u64(recipe->summary.peak_memory, sinq_estimate_block_memory(cols, recipe->threads));
}

int sinq_decide_tensor(const struct sinq_recipe_maker *maker, size_t index, struct sinq_error *error) {
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
    if (tensor->is_block_scale) { /* follows its tensor: see sinq_follow_block_scales; with types all are cast */
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

void sinq_follow_block_scales(const struct sinq_recipe_maker *maker) {
    struct sinq_recipe_entry *const entries = maker->recipe->entries;
    for (size_t i = 0; i < maker->recipe->count; i++) {
        const int64_t scale = sinq_source_tensor(maker->source, i)->scale_tensor;
        if (scale < 0 || (uint64_t)scale >= maker->recipe->count || entries[i].action != SINQ_QUANTIZE) continue;
        drop_tensor(&entries[scale]);
        entries[scale].reason = "block scale of a tensor that is quantized";
    }
}

int sinq_check_rule_uses(const struct sinq_recipe_maker *maker, struct sinq_error *error) {
    const struct sinq_rule_set *const rules = maker->recipe->rules;
    for (size_t i = 0; i < sinq_rule_set_count(rules); i++) {
        const struct sinq_rule_use *const use = &maker->uses[i];
        if (use->quantized > 0 || use->first_unfit < 0) continue;
        return sinq_fail(error, SINQ_USAGE, "%s: cannot quantize tensor %s of %s: %s", sinq_rule_text(rules, i),
                         sinq_source_tensor(maker->source, (size_t)use->first_unfit)->name,
                         sinq_source_path(maker->source), use->unfit_as);
    }
    return sinq_check_rules_used(rules, sinq_source_path(maker->source), error);
}
