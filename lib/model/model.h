/* model.h: a loaded model, as sessions see it, and the steps that loading and planning share. The public half is in sinq.h. */
#ifndef SINQ_MODEL_MODEL_H
#define SINQ_MODEL_MODEL_H

#include "base/name_index.h"
#include "model/device_plan.h"
#include "model/open_device.h"

/* Of a weight as it is held; bytes 0 where an optional one is missing. */
struct sinq_weight_facts {
    uint64_t bytes; /* of its own rows, where it is a part of a tensor */
    bool is_quantized;
};

struct sinq_model {
    struct sinq_model_config config;
    struct sinq_graph *graph;
    struct sinq_backend *backend;
    struct sinq_held **held;           /* one a want; NULL where an optional one is missing */
    struct sinq_weight_facts *weights; /* one a want */
    void **owned;                      /* memory of weights that are not used in place */
    size_t owned_count;
    struct sinq_model_facts facts; /* but the device's names */
    struct sinq_device_names names;
    bool has_plan; /* it is on a device */
    struct sinq_device_plan plan;
    uint64_t uploaded_bytes;
    double upload_seconds;
};

/* As sinq_load_model, on a backend of the caller's choice, which the model closes (also on failure). */
int sinq_load_model_on(const struct sinq_source *source, struct sinq_backend *backend, struct sinq_model **model,
                       struct sinq_error *error);
/* Likewise, with what does not fit into the device's memory on the CPU; `cut` (or NULL) says what that is, else a plan does. */
int sinq_load_model_beside(const struct sinq_source *source, struct sinq_backend *device,
                           const struct sinq_device_options *options, const struct sinq_cut *cut,
                           struct sinq_model **model, struct sinq_error *error);

/* The configuration of a checkpoint, sinq_model_config_free it in any case. */
int sinq_find_model_config(const struct sinq_source *source, struct sinq_model_config *config,
                           struct sinq_error *error);

/* sinq_graph_free it in any case. */
int sinq_build_model_graph(const struct sinq_model_config *config, const struct sinq_name_index *names,
                           struct sinq_graph **graph, struct sinq_error *error);

/* What its weights take, from headers alone; checks that all are there and of the right shape. */
struct sinq_model_size {
    uint64_t weight_bytes, owned_bytes, active_bytes; /* as in struct sinq_model_facts */
};
/* Bytes of each want, from headers: bytes[graph->want_count]. */
int sinq_measure_wants(const struct sinq_source *source, const struct sinq_graph *graph,
                       const struct sinq_name_index *names, uint64_t *bytes, struct sinq_error *error);
int sinq_measure_model(const struct sinq_source *source, const struct sinq_graph *graph,
                       const struct sinq_name_index *names, struct sinq_model_size *size, struct sinq_error *error);

#endif
