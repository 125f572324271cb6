#include "quant/recipe/budget.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "quant/recipe/allocation.h"
#include "quant/recipe/damage.h"
#include "tensor/method.h"

/* ---- options ---- */

bool sinq_has_budget(const struct sinq_quantize_options *options) {
    return options->budget_bits > 0 || options->budget_bytes > 0;
}

int sinq_check_budget(const struct sinq_quantize_options *options, struct sinq_error *error) {
    const bool is_ours = options->type == NULL && options->format == SINQ_FORMAT_NATIVE;
    const char *const name = options->budget_bits > 0 ? "--bpw" : "--size";
    if (!isfinite(options->budget_bits) || options->budget_bits < 0) {
        return sinq_fail(error, SINQ_USAGE, "--bpw %g: expected a number of bits above 0", options->budget_bits);
    }
    if (!sinq_has_budget(options)) return SINQ_OK;
    if (options->budget_bits > 0 && options->budget_bytes > 0) {
        return sinq_fail(error, SINQ_USAGE, "--bpw and a size: either of them says how large the result may be");
    }
    if (options->bits != 0) return sinq_fail(error, SINQ_USAGE, "%s chooses the bits: --bits has no meaning", name);
    if (!is_ours) return sinq_fail(error, SINQ_USAGE, "%s: is for our own layout alone", name);
    return SINQ_OK;
}

/* ---- where tensors are ---- */

/* What damage.h wants to know of a model's tensors. */
struct places {
    struct sinq_tensor_role *roles; /* one a tensor */
    uint64_t *experts;              /* tensors that experts of one role have in one layer: layers x SINQ_ROLE_COUNT */
    size_t layers;
    bool has_head;
};

static void free_places(struct places *places) {
    free(places->roles);
    free(places->experts);
}

/* A layer beyond the number of tensors is a name's invention. */
static bool is_layer(const struct places *places, int layer) { return layer >= 0 && (size_t)layer < places->layers; }

static int find_places(const struct sinq_recipe *recipe, struct places *places, struct sinq_error *error) {
    const char *const model_type = sinq_source_model_type(recipe->source);
    *places = (struct places){.layers = 1};
    places->roles = calloc(recipe->count + 1, sizeof *places->roles);
    if (places->roles == NULL) return sinq_fail_memory(error, "roles", recipe->count * sizeof *places->roles);
    for (size_t i = 0; i < recipe->count; i++) {
        const struct sinq_tensor_role role = sinq_classify_tensor(model_type, sinq_source_origin(recipe->source, i));
        places->roles[i] = role;
        places->has_head = places->has_head || role.role == SINQ_ROLE_LM_HEAD;
        if (role.layer < 0 || role.is_vision || (size_t)role.layer >= recipe->count) continue;
        places->layers = (size_t)role.layer >= places->layers ? (size_t)role.layer + 1 : places->layers;
    }
    places->experts = calloc(places->layers, SINQ_ROLE_COUNT * sizeof *places->experts);
    if (places->experts == NULL) return sinq_fail_memory(error, "layers", places->layers * SINQ_ROLE_COUNT);
    for (size_t i = 0; i < recipe->count; i++) {
        const struct sinq_tensor_role *const role = &places->roles[i];
        if (role->expert < 0 || !is_layer(places, role->layer)) continue;
        places->experts[(size_t)role->layer * SINQ_ROLE_COUNT + role->role]++;
    }
    return SINQ_OK;
}

static double find_sensitivity(const struct sinq_recipe *recipe, const struct places *places, size_t tensor) {
    if (recipe->sensitivities != NULL && recipe->sensitivities[tensor] > 0) return recipe->sensitivities[tensor];
    const struct sinq_tensor_role *const role = &places->roles[tensor];
    struct sinq_tensor_place place = {
        .role = role->role,
        .layer = role->layer,
        .layers = (int)places->layers,
        .experts = 1,
        .is_tied = role->role == SINQ_ROLE_EMBEDDING && !places->has_head,
    };
    if (role->expert >= 0 && is_layer(places, role->layer)) {
        place.experts = places->experts[(size_t)role->layer * SINQ_ROLE_COUNT + role->role];
    }
    return sinq_expect_sensitivity(&place);
}

int sinq_predict_damage(const struct sinq_recipe *recipe, double *kl, struct sinq_error *error) {
    struct places places;
    *kl = 0;
    const int status = find_places(recipe, &places, error);
    for (size_t i = 0; i < recipe->count && status == SINQ_OK; i++) {
        const struct sinq_recipe_entry *const entry = &recipe->entries[i];
        if (entry->action != SINQ_QUANTIZE || entry->type != NULL) continue;
        *kl += find_sensitivity(recipe, &places, i) * sinq_expect_error(entry->method, entry->bits, entry->group_size);
    }
    free_places(&places);
    return status;
}

/* ---- what a tensor may become ---- */

/*
 * Whether entries of 6 bits are often too narrow for a form, so that quantizing would widen it beyond what was counted: those of searched
 * codes, in groups of 16, from 6 bits on, and with feedback (feedback.h), which moves zero points.
 */
static bool is_often_widened(const struct sinq_settings *form, bool is_calibrated) {
    if (form->scale_type != SINQ_AUX_U6 || sinq_method_has_byte_levels(form->method)) return false;
    return form->group_size == 16 || form->bits >= 6 || is_calibrated;
}

/* All widths and group sizes that the options leave open and the method has; the rest is what the recipe has at that width. */
static size_t list_forms(const struct sinq_settings *base, bool is_calibrated,
                         struct sinq_settings forms[SINQ_MOST_CHOICES]) {
    static const int widths[] = {2, 3, 4, 5, 6, 8}, groups[] = {16, 32, 64, 128};
    const size_t group_count = base->has_group_size ? 1 : sizeof groups / sizeof groups[0];
    size_t count = 0;
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (size_t g = 0; g < group_count; g++) {
            const struct sinq_rule_setting setting = {
                .bits = widths[w], .group_size = base->has_group_size ? -1 : groups[g], .method = -1, .scale_type = -1};
            struct sinq_settings *const form = &forms[count];
            struct sinq_error refused;
            if (sinq_apply_setting(base, &setting, "", form, &refused) != SINQ_OK) continue;
            if (is_often_widened(form, is_calibrated) && !base->has_scale_type) form->scale_type = SINQ_AUX_U8;
            count++;
        }
    }
    return count;
}

/* ---- the choice ---- */

struct spender {
    struct sinq_recipe *recipe;
    const bool *is_settled;
    struct places places;
    struct sinq_settings forms[SINQ_MOST_CHOICES];
    size_t form_count;
    struct sinq_allocation_item *items; /* of the tensors that are free; choice form_count is to keep it */
    size_t *tensors;                    /* which those are */
    size_t count;
    uint64_t fixed_bytes; /* of all others */
    bool is_linear_only;  /* embeddings and the head are not free */
};

static bool is_free(const struct spender *spender, size_t tensor) {
    const struct sinq_recipe_entry *const entry = &spender->recipe->entries[tensor];
    const struct sinq_tensor_role *const role = &spender->places.roles[tensor];
    if (spender->is_settled[tensor]) return false;
    if (spender->is_linear_only) return entry->action == SINQ_QUANTIZE && entry->is_linear;
    if (entry->action == SINQ_QUANTIZE) return true;
    const bool is_table = role->role == SINQ_ROLE_EMBEDDING || role->role == SINQ_ROLE_LM_HEAD;
    return entry->action == SINQ_KEEP && is_table && !role->is_vision;
}

static void take_form(struct sinq_recipe_entry *entry, const struct sinq_settings *form) {
    entry->action = SINQ_QUANTIZE;
    entry->bits = form->bits;
    entry->group_size = form->group_size;
    entry->method = form->method;
    entry->scale_type = form->scale_type;
}

static int list_choices(struct spender *spender, size_t tensor, struct sinq_allocation_item *item,
                        struct sinq_error *error) {
    const struct sinq_recipe *const recipe = spender->recipe;
    const struct sinq_tensor *const source = sinq_source_tensor(recipe->source, tensor);
    const double sensitivity = find_sensitivity(recipe, &spender->places, tensor);
    item->count = spender->form_count;
    for (size_t i = 0; i < spender->form_count; i++) {
        struct sinq_recipe_entry entry = recipe->entries[tensor];
        take_form(&entry, &spender->forms[i]);
        const int status = sinq_measure_entry(recipe, source, &entry, &item->choices[i].bytes, error);
        if (status != SINQ_OK) return status;
        item->choices[i].cost = sensitivity * sinq_expect_error(entry.method, entry.bits, entry.group_size);
    }
    if (recipe->entries[tensor].action != SINQ_KEEP) return SINQ_OK;
    item->choices[item->count++] = (struct sinq_allocation_choice){.bytes = recipe->entries[tensor].bytes_after};
    return SINQ_OK;
}

static int list_items(struct spender *spender, struct sinq_error *error) {
    struct sinq_recipe *const recipe = spender->recipe;
    int status = find_places(recipe, &spender->places, error);
    if (status != SINQ_OK) return status;
    spender->items = calloc(recipe->count + 1, sizeof *spender->items);
    spender->tensors = calloc(recipe->count + 1, sizeof *spender->tensors);
    if (spender->items == NULL || spender->tensors == NULL) {
        return sinq_fail_memory(error, "a budget", recipe->count * sizeof *spender->items);
    }
    for (size_t i = 0; i < recipe->count && status == SINQ_OK; i++) {
        const struct sinq_recipe_entry *const entry = &recipe->entries[i];
        uint64_t bytes = entry->bytes_after;
        if (is_free(spender, i)) {
            spender->tensors[spender->count] = i;
            status = list_choices(spender, i, &spender->items[spender->count++], error);
            continue;
        }
        const bool is_coded = entry->action == SINQ_QUANTIZE;
        if (is_coded) status = sinq_measure_entry(recipe, sinq_source_tensor(recipe->source, i), entry, &bytes, error);
        spender->fixed_bytes = sinq_add_saturating(spender->fixed_bytes, bytes);
    }
    return status;
}

/* `budget` is for the free tensors. Where it is less than the `smallest` they can be, all stay as they are. */
static int spend(struct spender *spender, uint64_t budget, uint64_t *smallest, bool *fits, struct sinq_error *error) {
    const int status = sinq_allocate_bytes(spender->items, spender->count, budget, smallest, fits, error);
    for (size_t i = 0; i < spender->count && status == SINQ_OK && *fits; i++) {
        const size_t chosen = spender->items[i].chosen;
        struct sinq_recipe_entry *const entry = &spender->recipe->entries[spender->tensors[i]];
        if (chosen < spender->form_count) take_form(entry, &spender->forms[chosen]);
    }
    return status;
}

/* Bits per weight of all parameters, in bytes. */
static uint64_t count_budget(const struct sinq_recipe *recipe, const struct sinq_quantize_options *options) {
    if (options->budget_bits <= 0) return options->budget_bytes;
    uint64_t parameters = 0;
    for (size_t i = 0; i < recipe->count; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(recipe->source, i);
        parameters = sinq_add_saturating(parameters, tensor->is_block_scale ? 0 : sinq_count_values(tensor));
    }
    return (uint64_t)(options->budget_bits * (double)parameters / 8);
}

static void free_spender(struct spender *spender) {
    free_places(&spender->places);
    free(spender->items);
    free(spender->tensors);
}

int sinq_spend_budget(struct sinq_recipe *recipe, const struct sinq_quantize_options *options,
                      const struct sinq_settings *base, const bool *is_settled, struct sinq_error *error) {
    struct spender spender = {.recipe = recipe, .is_settled = is_settled};
    const uint64_t budget = count_budget(recipe, options);
    uint64_t smallest = 0;
    bool fits = true;
    spender.form_count = list_forms(base, recipe->is_calibrated, spender.forms);
    int status = list_items(&spender, error);
    const uint64_t fixed = spender.fixed_bytes;
    if (status == SINQ_OK) {
        status = spend(&spender, budget > fixed ? budget - fixed : 0, &smallest, &fits, error);
    }
    if (status == SINQ_OK && (!fits || budget < fixed)) {
        status =
            sinq_fail(error, SINQ_FAILED,
                      "%s: all tensors together should take no more than %" PRIu64 " bytes, but take at least %" PRIu64,
                      sinq_source_path(recipe->source), budget, sinq_add_saturating(smallest, fixed));
    }
    free_spender(&spender);
    return status;
}

/* A quarter of a bit beside the codes, everything counted. */
static uint64_t count_linear_budget(const struct spender *spender, int bits) {
    uint64_t weights = 0;
    for (size_t i = 0; i < spender->count; i++) {
        const uint64_t values = sinq_count_values(sinq_source_tensor(spender->recipe->source, spender->tensors[i]));
        weights = sinq_add_saturating(weights, values);
    }
    return (uint64_t)((bits + .25) * (double)weights / 8);
}

int sinq_spend_on_linear(struct sinq_recipe *recipe, const struct sinq_settings *base, const bool *is_settled,
                         struct sinq_error *error) {
    struct spender spender = {.recipe = recipe, .is_settled = is_settled, .is_linear_only = true};
    uint64_t smallest;
    bool fits;
    spender.form_count = list_forms(base, recipe->is_calibrated, spender.forms);
    int status = list_items(&spender, error);
    if (status == SINQ_OK) status = spend(&spender, count_linear_budget(&spender, base->bits), &smallest, &fits, error);
    free_spender(&spender);
    return status;
}
