#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "model/load_weight.h"
#include "model/split_backend.h"
#include "model/tensor_names.h"

int sinq_find_model_config(const struct sinq_source *source, struct sinq_model_config *config,
                           struct sinq_error *error) {
    *config = (struct sinq_model_config){0};
    if (source->config == NULL) {
        return sinq_fail(error, SINQ_FAILED, "%s: has no config.json, which says what the model is", source->path);
    }
    char path[600];
    (void)snprintf(path, sizeof path, "%.500s: config.json", source->path);
    return sinq_read_model_config(path, source->config, config, error);
}

int sinq_build_model_graph(const struct sinq_model_config *config, const struct sinq_name_index *names,
                           struct sinq_graph **graph, struct sinq_error *error) {
    *graph = sinq_graph_create(config, sinq_has_tensor, names);
    if (*graph == NULL) return sinq_fail_memory(error, "a model's graph", sizeof **graph);
    config->family->build(*graph, config);
    return sinq_graph_finish(*graph, error);
}

/* ---- weights ---- */

/* Parts of a quantized tensor are held with the size of the whole. */
static struct sinq_weight_facts describe_weight(const struct sinq_want *want, const struct sinq_weight *weight) {
    const bool is_quantized = weight->dtype == SINQ_DUAL_SCALE;
    const double share = is_quantized && want->tensor_rows != 0 ? (double)want->rows / (double)want->tensor_rows : 1.0;
    return (struct sinq_weight_facts){.bytes = (uint64_t)(share * (double)weight->size), .is_quantized = is_quantized};
}

/* Bytes of weights after which a device is made to have them: then their pages need not stay in memory. */
#define FLUSH_BYTES ((uint64_t)1 << 30)

static int flush_weights(struct sinq_model *model, const struct sinq_source *source, struct sinq_error *error) {
    const struct sinq_backend_ops *const ops = model->backend->ops;
    if (ops->flush_weights == NULL) return SINQ_OK;
    const double since = sinq_read_clock();
    const int status = ops->flush_weights(model->backend, error);
    model->upload_seconds += sinq_read_clock() - since;
    if (status == SINQ_OK && source->ops->forget != NULL) source->ops->forget(source);
    return status;
}

static int hold_weight(struct sinq_model *model, struct sinq_weight_loader *loader, uint32_t number,
                       struct sinq_error *error) {
    const struct sinq_want *const want = &model->graph->wants[number];
    struct sinq_weight weight = {.rows = 0};
    bool is_there;
    int status = sinq_load_weight(loader, want, &weight, &is_there, error);
    if (status != SINQ_OK || !is_there) return status;
    status = model->backend->ops->hold_weight(model->backend, number, &weight, &model->held[number], error);
    model->facts.weight_bytes += weight.size;
    model->weights[number] = describe_weight(want, &weight);
    return status;
}

static int hold_weights(struct sinq_model *model, struct sinq_weight_loader *loader, struct sinq_error *error) {
    const struct sinq_graph *const graph = model->graph;
    uint64_t flushed = 0;
    model->held = calloc(graph->want_count + 1, sizeof *model->held);
    model->weights = calloc(graph->want_count + 1, sizeof *model->weights);
    if (model->held == NULL || model->weights == NULL) {
        return sinq_fail_memory(error, "weights", graph->want_count * sizeof *model->weights);
    }
    for (uint32_t i = 0; i < graph->want_count; i++) {
        int status = hold_weight(model, loader, i, error);
        if (status == SINQ_OK && model->facts.weight_bytes - flushed >= FLUSH_BYTES) {
            status = flush_weights(model, loader->source, error);
            flushed = model->facts.weight_bytes;
        }
        if (status != SINQ_OK) return status;
    }
    return flush_weights(model, loader->source, error);
}

/* Bytes of weights that one token's pass reads: of a tied embedding all, of one that is only looked up a row; of experts the chosen. */
static uint64_t count_active_bytes(const struct sinq_graph *graph, const uint64_t *bytes) {
    double total = 0;
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        const struct sinq_operation *const op = &graph->operations[i];
        if (op->kind == SINQ_OP_LINEAR) total += (double)bytes[op->linear.weight];
        /* A head's rows of one matrix are read by two operations, half of them each. */
        if (op->kind == SINQ_OP_HEAD_LINEAR) {
            const struct sinq_want *const want = &graph->wants[op->head_linear.weight];
            total += (double)bytes[op->head_linear.weight] * op->head_linear.heads * op->head_linear.rows /
                     (double)want->rows;
        }
        if (op->kind == SINQ_OP_EXPERT_LINEAR) {
            total += (double)bytes[op->expert_linear.first_weight] * op->expert_linear.chosen;
        }
    }
    return (uint64_t)total;
}

static int measure_weights(const struct sinq_graph *graph, const struct sinq_weight_loader *loader, uint64_t *bytes,
                           uint64_t *total, uint64_t *owned, struct sinq_error *error) {
    *total = *owned = 0;
    for (uint32_t i = 0; i < graph->want_count; i++) {
        uint64_t rebuilt;
        const int status = sinq_measure_weight(loader, &graph->wants[i], &bytes[i], &rebuilt, error);
        if (status != SINQ_OK) return status;
        *total += bytes[i];
        *owned += rebuilt;
    }
    return SINQ_OK;
}

int sinq_measure_wants(const struct sinq_source *source, const struct sinq_graph *graph,
                       const struct sinq_name_index *names, uint64_t *bytes, struct sinq_error *error) {
    const struct sinq_weight_loader loader = {.source = source, .names = names};
    uint64_t total, owned;
    return measure_weights(graph, &loader, bytes, &total, &owned, error);
}

int sinq_measure_model(const struct sinq_source *source, const struct sinq_graph *graph,
                       const struct sinq_name_index *names, struct sinq_model_size *size, struct sinq_error *error) {
    const struct sinq_weight_loader loader = {.source = source, .names = names};
    uint64_t *const bytes = calloc(graph->want_count + 1, sizeof *bytes);
    if (bytes == NULL) return sinq_fail_memory(error, "sizes of weights", graph->want_count * sizeof *bytes);
    const int status = measure_weights(graph, &loader, bytes, &size->weight_bytes, &size->owned_bytes, error);
    size->active_bytes = status == SINQ_OK ? count_active_bytes(graph, bytes) : 0;
    free(bytes);
    return status;
}

/* ---- a device and the CPU ---- */

/* What a model that is loaded onto a device is told. */
struct beside {
    const struct sinq_device_options *options;
    const struct sinq_cut *cut; /* NULL: as planned */
};

static bool is_split(const struct sinq_cut *cut) {
    return cut->first_layer > 0 || cut->embedding == SINQ_ON_CPU || cut->head == SINQ_ON_CPU;
}

/* The model's backend becomes one of the device and the CPU. */
static int split_model(struct sinq_model *model, const struct sinq_cut *cut, struct sinq_error *error) {
    struct sinq_backend *sides[SINQ_SIDE_COUNT] = {[SINQ_ON_DEVICE] = model->backend};
    int status = sinq_open_cpu_backend(&sides[SINQ_ON_CPU], error);
    if (status != SINQ_OK) return status;
    model->backend = NULL; /* the new one's in any case */
    return sinq_open_split_backend(model->graph, cut, sides, &model->backend, error);
}

static uint64_t count_device_weights(const struct sinq_device_plan *plan) {
    return plan->device_layer_bytes + plan->head_bytes + (plan->embedding_on_cpu ? 0 : plan->embedding_bytes);
}

static int plan_model(struct sinq_model *model, const struct beside *beside, const uint64_t *bytes,
                      struct sinq_cut *cut, struct sinq_error *error) {
    static const struct sinq_session_options usual = {.context = 0};
    const struct sinq_session_options *const session = beside->options->session;
    struct sinq_device_memory memory = {.limit = beside->options->memory_limit};
    if (model->backend->ops->measure_memory != NULL) model->backend->ops->measure_memory(model->backend, &memory);
    const uint64_t budget = memory.limit != 0 ? sinq_min_u64(memory.limit, memory.total) : memory.total;
    return sinq_choose_cut(model->graph, bytes, session == NULL ? &usual : session, budget, memory.start, cut,
                           &model->plan, error);
}

static int prepare_device(struct sinq_model *model, const struct sinq_weight_loader *loader,
                          const struct beside *beside, struct sinq_error *error) {
    uint64_t *const bytes = calloc(model->graph->want_count + 1, sizeof *bytes);
    struct sinq_cut cut = {.head = SINQ_ON_DEVICE};
    if (bytes == NULL) return sinq_fail_memory(error, "sizes of weights", model->graph->want_count * sizeof *bytes);
    int status = sinq_measure_wants(loader->source, model->graph, loader->names, bytes, error);
    if (status == SINQ_OK && beside->cut == NULL) status = plan_model(model, beside, bytes, &cut, error);
    free(bytes);
    if (status != SINQ_OK) return status;
    if (beside->cut != NULL) cut = *beside->cut;
    model->has_plan = beside->cut == NULL;
    if (is_split(&cut)) status = split_model(model, &cut, error);
    if (status != SINQ_OK || model->backend->ops->expect_weights == NULL) return status;
    model->uploaded_bytes = count_device_weights(&model->plan);
    return model->backend->ops->expect_weights(model->backend, model->uploaded_bytes, error);
}

/* ---- the public half ---- */

static int load_model(const struct sinq_source *source, const struct beside *beside, struct sinq_model *model,
                      struct sinq_error *error) {
    struct sinq_model_size size = {0};
    int status = sinq_find_model_config(source, &model->config, error);
    if (status != SINQ_OK) return status;
    status = sinq_check_layers(source, model->config.layers, error);
    if (status != SINQ_OK) return status;
    struct sinq_name_index *const names = sinq_index_tensors(source);
    if (names == NULL) return sinq_fail_memory(error, source->path, 32 * (uint64_t)source->tensor_count);
    struct sinq_weight_loader loader = {.source = source, .names = names};
    status = sinq_build_model_graph(&model->config, names, &model->graph, error);
    if (status == SINQ_OK) status = sinq_measure_model(source, model->graph, names, &size, error);
    if (status == SINQ_OK && beside != NULL) status = prepare_device(model, &loader, beside, error);
    if (status == SINQ_OK) status = hold_weights(model, &loader, error);
    sinq_name_index_free(names);
    model->owned = loader.owned;
    model->owned_count = loader.owned_count;
    model->facts.family = model->config.model_type;
    model->facts.vocabulary = model->config.vocabulary;
    model->facts.layers = model->config.layers;
    model->facts.hidden = model->config.hidden;
    model->facts.context = model->config.context;
    model->facts.active_bytes = size.active_bytes;
    model->facts.owned_bytes = loader.owned_bytes;
    model->facts.bos = model->config.bos;
    return status;
}

static int make_model(const struct sinq_source *source, struct sinq_backend *backend, const struct beside *beside,
                      struct sinq_model **model, struct sinq_error *error) {
    struct sinq_model *const made = calloc(1, sizeof *made);
    if (made == NULL) {
        backend->ops->close(backend);
        return sinq_fail_memory(error, "a model", sizeof *made);
    }
    made->backend = backend;
    const int status = load_model(source, beside, made, error);
    if (status == SINQ_OK) {
        *model = made;
    } else {
        sinq_model_free(made);
    }
    return status;
}

int sinq_load_model_on(const struct sinq_source *source, struct sinq_backend *backend, struct sinq_model **model,
                       struct sinq_error *error) {
    return make_model(source, backend, NULL, model, error);
}

int sinq_load_model_beside(const struct sinq_source *source, struct sinq_backend *device,
                           const struct sinq_device_options *options, const struct sinq_cut *cut,
                           struct sinq_model **model, struct sinq_error *error) {
    const struct beside beside = {options, cut};
    return make_model(source, device, &beside, model, error);
}

/* On a device if it will do, else on the CPU: its memory may be too small for the model. */
static int load_on_optional(const struct sinq_source *source, struct sinq_backend *backend,
                            const struct sinq_device_options *device, struct sinq_device_names *names,
                            struct sinq_model **model, struct sinq_error *error) {
    struct sinq_error reason;
    if (sinq_load_model_beside(source, backend, device, NULL, model, &reason) == SINQ_OK) return SINQ_OK;
    const int status = sinq_open_device(&(struct sinq_device_options){.device = "cpu"}, &backend, names, error);
    (void)snprintf(names->reason, sizeof names->reason, "%.390s", reason.message);
    return status == SINQ_OK ? sinq_load_model_on(source, backend, model, error) : status;
}

int sinq_load_model_on_device(const struct sinq_source *source, const struct sinq_device_options *device,
                              struct sinq_model **model, struct sinq_error *error) {
    struct sinq_backend *backend;
    struct sinq_device_names names;
    const bool is_auto = device->device != NULL && strcmp(device->device, "auto") == 0;
    int status = sinq_open_device(device, &backend, &names, error);
    if (status != SINQ_OK) return status;
    if (strcmp(names.device, "cpu") == 0) {
        status = sinq_load_model_on(source, backend, model, error);
    } else if (is_auto) {
        status = load_on_optional(source, backend, device, &names, model, error);
    } else {
        status = sinq_load_model_beside(source, backend, device, NULL, model, error);
    }
    if (status == SINQ_OK) (*model)->names = names;
    return status;
}

int sinq_load_model(const struct sinq_source *source, struct sinq_model **model, struct sinq_error *error) {
    return sinq_load_model_on_device(source, &(struct sinq_device_options){.device = "cpu"}, model, error);
}

bool sinq_model_device_memory(const struct sinq_model *model, struct sinq_device_memory *memory) {
    *memory = (struct sinq_device_memory){.used = 0};
    if (model->backend->ops->measure_memory == NULL) return false;
    model->backend->ops->measure_memory(model->backend, memory);
    memory->weight_bytes = model->uploaded_bytes;
    memory->weight_seconds = model->upload_seconds;
    return true;
}

const struct sinq_device_plan *sinq_model_device_plan(const struct sinq_model *model) {
    return model->has_plan ? &model->plan : NULL;
}

struct sinq_model_facts sinq_model_facts(const struct sinq_model *model) {
    struct sinq_model_facts facts = model->facts;
    facts.device = model->names.device;
    facts.no_device = model->names.reason;
    return facts;
}

void sinq_model_free(struct sinq_model *model) {
    if (model == NULL) return;
    for (uint32_t i = 0; model->held != NULL && i < model->graph->want_count; i++) {
        if (model->held[i] != NULL) model->backend->ops->release_weight(model->backend, model->held[i]);
    }
    for (size_t i = 0; i < model->owned_count; i++) free(model->owned[i]);
    free(model->owned);
    free(model->held);
    free(model->weights);
    if (model->backend != NULL) model->backend->ops->close(model->backend);
    sinq_graph_free(model->graph);
    sinq_model_config_free(&model->config);
    free(model);
}
