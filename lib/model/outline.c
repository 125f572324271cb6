#include "model/outline.h"

#include "base/error.h"
#include "checkpoint/source.h"
#include "model/tensor_names.h"

int sinq_outline_model(const struct sinq_source *source, struct sinq_outline *outline, struct sinq_error *error) {
    *outline = (struct sinq_outline){.names = NULL};
    int status = sinq_find_model_config(source, &outline->config, error);
    if (status == SINQ_OK) status = sinq_check_layers(source, outline->config.layers, error);
    if (status != SINQ_OK) return status;
    outline->names = sinq_index_tensors(source);
    if (outline->names == NULL) return sinq_fail_memory(error, source->path, 32 * (uint64_t)source->tensor_count);
    status = sinq_build_model_graph(&outline->config, outline->names, &outline->graph, error);
    if (status != SINQ_OK) return status;
    return sinq_measure_model(source, outline->graph, outline->names, &outline->size, error);
}

void sinq_free_outline(struct sinq_outline *outline) {
    sinq_graph_free(outline->graph);
    sinq_name_index_free(outline->names);
    sinq_model_config_free(&outline->config);
}
