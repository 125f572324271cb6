/*
 * outline.h: what a checkpoint's headers alone say of its model: the configuration, the graph, and that every weight the graph
 * asks for is there and of the right shape. No weight is read.
 */
#ifndef SINQ_MODEL_OUTLINE_H
#define SINQ_MODEL_OUTLINE_H

#include "model/model.h"

struct sinq_outline {
    struct sinq_model_config config;
    struct sinq_name_index *names; /* sinq_index_tensors */
    struct sinq_graph *graph;
    struct sinq_model_size size;
};

/* SINQ_FAILED, with the tensor, where checkpoint and configuration contradict each other. sinq_free_outline in any case. */
int sinq_outline_model(const struct sinq_source *source, struct sinq_outline *outline, struct sinq_error *error);
void sinq_free_outline(struct sinq_outline *outline);

#endif
