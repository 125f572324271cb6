/* absorb_entries.c: what a plan of column scales means for a recipe, and its run. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "quant/absorb/absorb_plan.h"
#include "quant/absorb/absorb_scales.h"
#include "quant/absorb/folded_source.h"
#include "quant/recipe/recipe.h"
#include "tensor/dtype.h"

enum sinq_method sinq_drop_column_scale(enum sinq_method method) {
    switch (method) {
    case SINQ_METHOD_SINQ:
        return SINQ_METHOD_RTN;
    case SINQ_METHOD_SINQ_NF4:
        return SINQ_METHOD_NF4;
    case SINQ_METHOD_SINQ_NF3:
        return SINQ_METHOD_NF3;
    case SINQ_METHOD_SINQ_HQQ:
        return SINQ_METHOD_HQQ;
    case SINQ_METHOD_SINQ_SEARCH:
        return SINQ_METHOD_SEARCH;
    case SINQ_METHOD_SINQ_NOZ:
        return SINQ_METHOD_NOZ;
    case SINQ_METHOD_SINQ_LEVELS:
        return SINQ_METHOD_LEVELS;
    default:
        return method;
    }
}

/* Keeps a text, of which there are few; takes it over. */
static const char *keep_reason(struct sinq_absorb_plan *plan, struct sinq_text *text) {
    char *const made = text->failed ? NULL : text->data;
    for (size_t i = 0; i < plan->reason_count && made != NULL; i++) {
        if (strcmp(plan->reasons[i], made) != 0) continue;
        sinq_text_free(text);
        return plan->reasons[i];
    }
    char **const more = made == NULL ? NULL : realloc(plan->reasons, (plan->reason_count + 1) * sizeof *plan->reasons);
    if (more == NULL) {
        sinq_text_free(text);
        return NULL;
    }
    plan->reasons = more;
    plan->reasons[plan->reason_count++] = made;
    return made;
}

static const char *find_role(const struct sinq_source *source, size_t tensor) {
    return sinq_role_name(sinq_classify_tensor(source->model_type, &source->tensors[tensor]).role);
}

static int explain_entry(const struct sinq_source *source, struct sinq_absorb_plan *plan, size_t tensor,
                         struct sinq_recipe_entry *entry, struct sinq_error *error) {
    const struct sinq_absorb_tensor *const t = &plan->tensors[tensor];
    struct sinq_text text = {0};
    if (t->read_group == SINQ_NO_GROUP && t->obstacle == NULL) return SINQ_OK;
    sinq_text_add(&text, entry->reason);
    if (t->obstacle != NULL) {
        sinq_text_print(&text, ", column scale not absorbed: %s", t->obstacle);
    } else {
        sinq_text_print(&text, ", column scale in the %s before",
                        find_role(source, sinq_absorb_producer(plan, t->read_group)->tensor));
    }
    const char *const reason = keep_reason(plan, &text);
    if (reason == NULL) return sinq_fail_memory(error, "reasons", 100);
    entry->reason = reason;
    return SINQ_OK;
}

int sinq_apply_absorption(const struct sinq_source *source, struct sinq_absorb_plan *plan,
                          struct sinq_recipe_entry *entries, struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) {
        struct sinq_recipe_entry *const entry = &entries[i];
        const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&source->tensors[i]);
        entry->is_folded = plan->tensors[i].is_folded;
        if (entry->is_folded && entry->action == SINQ_KEEP) {
            entry->bytes_after =
                shape.count * shape.rows * shape.cols * sinq_dtype_size(sinq_folded_dtype(plan, source, i));
        }
        if (plan->tensors[i].read_group != SINQ_NO_GROUP) entry->method = sinq_drop_column_scale(entry->method);
        status = explain_entry(source, plan, i, entry, error);
    }
    return status;
}

int sinq_open_absorbed(const struct sinq_source *source, const struct sinq_recipe *recipe, sinq_progress_fn *progress,
                       void *user, struct sinq_source **absorbed, struct sinq_error *error) {
    struct sinq_absorb_plan *plan;
    *absorbed = NULL;
    if (recipe->absorb == NULL) return sinq_fail(error, SINQ_USAGE, "the recipe does not absorb column scales");
    int status = sinq_plan_absorption(source, recipe->entries, &plan, error);
    if (status != SINQ_OK) return status;
    const struct sinq_absorb_options options = {
        .entries = recipe->entries, .threads = recipe->threads, .replace_nonfinite = recipe->replace_nonfinite};
    status = sinq_find_absorbed_scales(source, plan, &options, progress, user, error);
    if (status == SINQ_OK) status = sinq_fold_source(source, plan, absorbed, error);
    if (status != SINQ_OK) sinq_absorb_plan_free(plan);
    return status;
}
