#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoint/source.h"
#include "model/load_weight.h"
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

static int hold_weights(struct sinq_model *model, struct sinq_weight_loader *loader, struct sinq_error *error) {
    const struct sinq_graph *const graph = model->graph;
    struct sinq_backend *const backend = model->backend;
    model->held = calloc(graph->want_count + 1, sizeof *model->held);
    model->weights = calloc(graph->want_count + 1, sizeof *model->weights);
    if (model->held == NULL || model->weights == NULL) {
        return sinq_fail_memory(error, "weights", graph->want_count * sizeof *model->weights);
    }
    for (uint32_t i = 0; i < graph->want_count; i++) {
        struct sinq_weight weight = {.rows = 0};
        bool is_there;
        int status = sinq_load_weight(loader, &graph->wants[i], &weight, &is_there, error);
        if (status == SINQ_OK && is_there) {
            status = backend->ops->hold_weight(backend, &weight, &model->held[i], error);
            model->facts.weight_bytes += weight.size;
            model->weights[i] = describe_weight(&graph->wants[i], &weight);
        }
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
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

/* ---- the public half ---- */

static int load_model(const struct sinq_source *source, struct sinq_model *model, struct sinq_error *error) {
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

int sinq_load_model_on(const struct sinq_source *source, struct sinq_backend *backend, struct sinq_model **model,
                       struct sinq_error *error) {
    struct sinq_model *const made = calloc(1, sizeof *made);
    if (made == NULL) {
        backend->ops->close(backend);
        return sinq_fail_memory(error, "a model", sizeof *made);
    }
    made->backend = backend;
    const int status = load_model(source, made, error);
    if (status == SINQ_OK) {
        *model = made;
    } else {
        sinq_model_free(made);
    }
    return status;
}

/* On a device if it will do, else on the CPU: its memory may be too small for the model. */
static int load_on_optional(const struct sinq_source *source, struct sinq_backend *backend,
                            struct sinq_device_names *names, struct sinq_model **model, struct sinq_error *error) {
    struct sinq_error reason;
    if (sinq_load_model_on(source, backend, model, &reason) == SINQ_OK) return SINQ_OK;
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
    status = is_auto && strcmp(names.device, "cpu") != 0 ? load_on_optional(source, backend, &names, model, error)
                                                         : sinq_load_model_on(source, backend, model, error);
    if (status == SINQ_OK) (*model)->names = names;
    return status;
}

int sinq_load_model(const struct sinq_source *source, struct sinq_model **model, struct sinq_error *error) {
    return sinq_load_model_on_device(source, &(struct sinq_device_options){.device = "cpu"}, model, error);
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
    sinq_graph_free(model->graph);
    sinq_model_config_free(&model->config);
    model->backend->ops->close(model->backend);
    free(model);
}
