#include "quant/absorb/absorb_plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "model/outline.h"
#include "tensor/dtype.h"

#define KEPT_AS_STORED  "a tensor that is kept quantized would have to change with it"
#define SHARES_A_TENSOR "its tensor is part of several groups"

struct planner {
    const struct sinq_source *source;
    const struct sinq_recipe_entry *entries;
    const struct sinq_graph *graph;
    const struct sinq_name_index *names;
    struct sinq_absorb_plan *plan;
};

/* ---- where weights are ---- */

static void find_site(const struct planner *planner, uint32_t weight) {
    const struct sinq_want *const want = &planner->graph->wants[weight];
    struct sinq_absorb_site *const site = &planner->plan->sites[weight];
    char name[180];
    (void)snprintf(name, sizeof name, "%.159s%.15s", want->module, want->suffix);
    const int64_t index = sinq_name_index_find(planner->names, name);
    /* What is missing under its own name is optional, or held in codes of another kind: sinq_outline_model has checked. */
    if (index < 0) return;
    *site = (struct sinq_absorb_site){.is_there = want->tensor_rows == 0,
                                      .tensor = (size_t)index,
                                      .item = want->expert < 0 ? 0 : (uint64_t)want->expert};
    struct sinq_absorb_tensor *const tensor = &planner->plan->tensors[index];
    tensor->is_wanted = true;
    tensor->is_vector = want->is_vector;
    tensor->plus = want->plus;
    tensor->is_transposed =
        !want->is_vector &&
        sinq_classify_tensor(planner->source->model_type, &planner->source->tensors[index]).is_transposed;
}

/* The shape of what the graph asks for has been checked; that of other tensors says anything. */
static uint64_t count_items(const struct sinq_tensor *tensor, const struct sinq_absorb_tensor *planned) {
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    if (!planned->is_wanted) return 0;
    return planned->is_vector ? shape.count * shape.rows : shape.count;
}

static int add_items(const struct planner *planner, struct sinq_error *error) {
    struct sinq_absorb_plan *const plan = planner->plan;
    size_t count = 0;
    for (size_t i = 0; i < planner->source->tensor_count; i++) {
        plan->tensors[i].first_item = count;
        plan->tensors[i].read_group = SINQ_NO_GROUP;
        count += (size_t)count_items(&planner->source->tensors[i], &plan->tensors[i]);
    }
    plan->items = malloc((count + 1) * sizeof *plan->items);
    if (plan->items == NULL) return sinq_fail_memory(error, "a plan of column scales", count * sizeof *plan->items);
    for (size_t i = 0; i < count; i++) plan->items[i] = (struct sinq_absorb_item){SINQ_NO_GROUP, SINQ_NO_GROUP};
    return SINQ_OK;
}

/* ---- groups ---- */

static struct sinq_absorb_item *item_at(const struct planner *planner, const struct sinq_absorb_site *site) {
    return &planner->plan->items[planner->plan->tensors[site->tensor].first_item + site->item];
}

static bool is_quantized(const struct planner *planner, const struct sinq_absorb_site *site) {
    return planner->entries[site->tensor].action == SINQ_QUANTIZE;
}

/* Whether its values can be changed: they are numbers, or become others anyway. */
static const char *check_site(const struct planner *planner, const struct sinq_absorb_site *site, bool reads) {
    if (!site->is_there) return KEPT_AS_STORED;
    const struct sinq_tensor *const tensor = &planner->source->tensors[site->tensor];
    const bool is_plain = tensor->dtype != SINQ_DUAL_SCALE && sinq_dtype_is_float(tensor->dtype) &&
                          sinq_dtype_size(tensor->dtype) > 1 && tensor->scale_tensor < 0;
    if (!is_plain && !is_quantized(planner, site)) return KEPT_AS_STORED;
    const struct sinq_absorb_item *const item = item_at(planner, site);
    return (reads ? item->reads : item->writes) == SINQ_NO_GROUP ? NULL : SHARES_A_TENSOR;
}

static const struct sinq_absorb_site *reader_site(const struct planner *planner, const struct sinq_absorb_group *group,
                                                  size_t reader) {
    return &planner->plan->sites[planner->plan->groups.readers[group->first_reader + reader]];
}

static const struct sinq_absorb_site *bias_site(const struct planner *planner, const struct sinq_absorb_group *group) {
    const struct sinq_absorb_site *const site =
        group->bias == SINQ_NO_WEIGHT ? NULL : &planner->plan->sites[group->bias];
    return site != NULL && site->is_there ? site : NULL;
}

static const char *check_group(const struct planner *planner, const struct sinq_absorb_group *group) {
    const char *obstacle = check_site(planner, &planner->plan->sites[group->producer], false);
    const struct sinq_absorb_site *const bias = bias_site(planner, group);
    if (obstacle == NULL && bias != NULL) obstacle = check_site(planner, bias, false);
    for (size_t i = 0; i < group->reader_count && obstacle == NULL; i++) {
        obstacle = check_site(planner, reader_site(planner, group, i), true);
    }
    return obstacle;
}

static void fold_producer(const struct planner *planner, const struct sinq_absorb_site *site, uint32_t number) {
    item_at(planner, site)->writes = number;
    planner->plan->tensors[site->tensor].is_folded = true;
}

static int fold_group(const struct planner *planner, uint32_t number, struct sinq_error *error) {
    struct sinq_absorb_plan *const plan = planner->plan;
    const struct sinq_absorb_group *const group = &plan->groups.groups[number];
    const struct sinq_absorb_site *const producer = &plan->sites[group->producer];
    const struct sinq_absorb_site *const bias = bias_site(planner, group);
    plan->scales[number] = malloc(((size_t)group->width + 1) * sizeof **plan->scales);
    if (plan->scales[number] == NULL) return sinq_fail_memory(error, "column scales", group->width * sizeof(float));
    for (uint32_t c = 0; c < group->width; c++) plan->scales[number][c] = 1.0f;
    fold_producer(planner, producer, number);
    plan->tensors[producer->tensor].is_norm = group->is_norm;
    if (bias != NULL) fold_producer(planner, bias, number);
    for (size_t i = 0; i < group->reader_count; i++) {
        const struct sinq_absorb_site *const site = reader_site(planner, group, i);
        item_at(planner, site)->reads = number;
        plan->tensors[site->tensor].is_folded = true;
        plan->tensors[site->tensor].read_group = number;
    }
    return SINQ_OK;
}

static int settle_group(const struct planner *planner, uint32_t number, struct sinq_error *error) {
    struct sinq_absorb_group *const group = &planner->plan->groups.groups[number];
    bool has_quantized = false;
    for (size_t i = 0; i < group->reader_count; i++) {
        const struct sinq_absorb_site *const site = reader_site(planner, group, i);
        has_quantized = has_quantized || (site->is_there && is_quantized(planner, site));
    }
    if (!has_quantized) return SINQ_OK;
    if (group->obstacle == NULL) group->obstacle = check_group(planner, group);
    if (group->obstacle == NULL) return fold_group(planner, number, error);
    for (size_t i = 0; i < group->reader_count; i++) {
        const struct sinq_absorb_site *const site = reader_site(planner, group, i);
        if (site->is_there) planner->plan->tensors[site->tensor].obstacle = group->obstacle;
    }
    return SINQ_OK;
}

/* ---- the whole ---- */

static int make_plan(const struct planner *planner, struct sinq_error *error) {
    struct sinq_absorb_plan *const plan = planner->plan;
    int status = sinq_find_absorb_groups(planner->graph, &plan->groups, error);
    if (status != SINQ_OK) return status;
    plan->sites = calloc((size_t)planner->graph->want_count + 1, sizeof *plan->sites);
    plan->tensors = calloc(planner->source->tensor_count + 1, sizeof *plan->tensors);
    plan->scales = calloc(plan->groups.count + 1, sizeof *plan->scales);
    if (plan->sites == NULL || plan->tensors == NULL || plan->scales == NULL || plan->groups.count >= SINQ_NO_GROUP) {
        return sinq_fail_memory(error, "a plan of column scales", planner->graph->want_count * sizeof *plan->sites);
    }
    for (uint32_t i = 0; i < planner->graph->want_count; i++) find_site(planner, i);
    status = add_items(planner, error);
    for (uint32_t i = 0; i < plan->groups.count && status == SINQ_OK; i++) status = settle_group(planner, i, error);
    return status;
}

int sinq_plan_absorption(const struct sinq_source *source, const struct sinq_recipe_entry *entries,
                         struct sinq_absorb_plan **plan, struct sinq_error *error) {
    struct sinq_outline outline;
    *plan = calloc(1, sizeof **plan);
    if (*plan == NULL) return sinq_fail_memory(error, "a plan of column scales", sizeof **plan);
    int status = sinq_outline_model(source, &outline, error);
    if (status == SINQ_OK) {
        const struct planner planner = {source, entries, outline.graph, outline.names, *plan};
        status = make_plan(&planner, error);
    }
    sinq_free_outline(&outline);
    if (status == SINQ_OK) return SINQ_OK;
    sinq_absorb_plan_free(*plan);
    *plan = NULL;
    return status;
}

void sinq_absorb_plan_free(struct sinq_absorb_plan *plan) {
    if (plan == NULL) return;
    for (size_t i = 0; plan->scales != NULL && i < plan->groups.count; i++) free(plan->scales[i]);
    for (size_t i = 0; i < plan->reason_count; i++) free(plan->reasons[i]);
    free(plan->reasons);
    free(plan->scales);
    free(plan->items);
    free(plan->tensors);
    free(plan->sites);
    sinq_absorb_groups_free(&plan->groups);
    free(plan);
}
