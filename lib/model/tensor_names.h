/* tensor_names.h: a checkpoint's tensors by their names without what wraps the text model. */
#ifndef SINQ_MODEL_TENSOR_NAMES_H
#define SINQ_MODEL_TENSOR_NAMES_H

#include "base/name_index.h"
#include "sinq.h"

/* An index from stripped names to tensors; NULL when out of memory. Names are the source's. */
struct sinq_name_index *sinq_index_tensors(const struct sinq_source *source);

/* A sinq_has_tensor_fn (model/graph.h); `index` is what sinq_index_tensors returned. */
bool sinq_has_tensor(const void *index, const char *name);

/*
 * A layer's tensor behind the last layer that the configuration knows means that they contradict each other. DeepSeek-V3's extra
 * layers, which predict further tokens, are known.
 */
int sinq_check_layers(const struct sinq_source *source, uint32_t layers, struct sinq_error *error);

#endif
