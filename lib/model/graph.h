/*
 * graph.h: the graph of a model: slots, caches, ropes, weights and the list of operations, as a family builds it.
 *
 * A family's build() sees only this header and its configuration (model/config.h). It names weights by module: "layers.3.mlp.up_proj";
 * what wraps the text model in a checkpoint's names ("model.", "language_model.") is left out. Every weight a family asks for
 * gives its shape, which the loader checks against the tensor's; a bias or a weight that may be missing is asked for as optional.
 *
 * Calling sequence: sinq_graph_create, a family's build, then the loader (load.h) resolves graph->wants into weights.
 * Errors are remembered: a builder call after a failure does nothing, and sinq_graph_finish reports the first.
 */
#ifndef SINQ_MODEL_GRAPH_H
#define SINQ_MODEL_GRAPH_H

#include "model/config.h"
#include "tensor/kv_cache.h"

/* A weight that the graph needs. */
struct sinq_want {
    char module[160];    /* "layers.0.self_attn.q_proj", "embed_tokens" */
    char suffix[16];     /* ".weight", ".bias", "_bias", or "" where the module's name is the tensor's */
    uint64_t rows, cols; /* as the kernel wants it, [out, in]; a vector has one row */
    bool is_vector;      /* held as f32 with `plus` added */
    bool is_optional;    /* may be missing: then the number stands for nothing, and what uses it is left out */
    float plus;          /* 1 for norms that are stored as w and used as 1 + w */
    /* Part of a tensor: rows [first_row, + rows) of a fused one; or, of a stack of experts [count, ., .], matrix `expert`. */
    uint64_t first_row, tensor_rows; /* tensor_rows: of the whole tensor, 0 where it is not fused */
    int64_t expert;                  /* -1: not part of a stack */
    uint64_t experts;                /* in the stack */
};

/* Whether the checkpoint has a tensor of that name (as struct sinq_want spells it: module and suffix). */
typedef bool sinq_has_tensor_fn(const void *user, const char *name);

struct sinq_graph {
    const struct sinq_model_config *config;
    struct sinq_want *wants;
    uint32_t want_count, want_capacity;
    uint32_t *slot_widths;
    bool *slot_for_logits; /* the slot has rows for wanted logits only */
    uint32_t slot_count, slot_capacity;
    struct sinq_cache_shape *caches;
    uint32_t cache_count, cache_capacity;
    struct sinq_operation *operations;
    uint32_t operation_count, operation_capacity;
    uint32_t logits_slot;
    sinq_has_tensor_fn *has_tensor;
    const void *user;
    struct sinq_error error;
};

/* `has_tensor` may be NULL: then of every weight the form that transformers saves is wanted. NULL when out of memory. */
struct sinq_graph *sinq_graph_create(const struct sinq_model_config *config, sinq_has_tensor_fn *has_tensor,
                                     const void *user);
void sinq_graph_free(struct sinq_graph *graph);

/* ---- for families ---- */

/* Numbers of weights. A name is printf-formatted. */
uint32_t sinq_want_matrix(struct sinq_graph *graph, uint64_t rows, uint64_t cols, const char *format, ...)
    SINQ_PRINTF(4, 5);
uint32_t sinq_want_rows(struct sinq_graph *graph, uint64_t first_row, uint64_t rows, uint64_t tensor_rows,
                        uint64_t cols, const char *format, ...) SINQ_PRINTF(6, 7);
uint32_t sinq_want_norm(struct sinq_graph *graph, uint64_t width, float plus, const char *format, ...)
    SINQ_PRINTF(4, 5);
/* A vector "MODULE.bias"; SINQ_NO_WEIGHT where `present` is false. */
uint32_t sinq_want_bias(struct sinq_graph *graph, bool present, uint64_t width, const char *format, ...)
    SINQ_PRINTF(4, 5);
/* For weights that checkpoints hold in several forms. */
bool sinq_graph_has(const struct sinq_graph *graph, const char *format, ...) SINQ_PRINTF(2, 3);
/* Puts module, printf-formatted, and suffix into a want. */
void sinq_name_want(struct sinq_want *want, const char *suffix, const char *format, ...) SINQ_PRINTF(3, 4);
/* The general form: fields as struct sinq_want. Returns its number. */
uint32_t sinq_want_add(struct sinq_graph *graph, const struct sinq_want *want);

uint32_t sinq_add_slot(struct sinq_graph *graph, uint64_t width);
uint32_t sinq_add_logits_slot(struct sinq_graph *graph, uint64_t width);
uint32_t sinq_add_cache(struct sinq_graph *graph, struct sinq_cache_shape shape);
void sinq_add_operation(struct sinq_graph *graph, struct sinq_operation operation);

/* A family's fault: what a configuration asks for and this version cannot do. */
void sinq_graph_fail(struct sinq_graph *graph, const char *format, ...) SINQ_PRINTF(2, 3);
int sinq_graph_finish(struct sinq_graph *graph, struct sinq_error *error);

#endif
