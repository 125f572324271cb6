/*
 * roles.h: what a tensor is to its model. One table per family, used by the recipe, the model graphs, GGUF naming and
 * absorbing; families.c holds the tables.
 */
#ifndef SINQ_CHECKPOINT_ROLES_H
#define SINQ_CHECKPOINT_ROLES_H

#include "sinq.h"

enum sinq_role {
    SINQ_ROLE_UNKNOWN,
    SINQ_ROLE_EMBEDDING,          /* token embeddings */
    SINQ_ROLE_POSITION_EMBEDDING, /* learned positions */
    SINQ_ROLE_LM_HEAD,
    SINQ_ROLE_NORM, /* any norm's weight or bias */
    SINQ_ROLE_BIAS, /* of a linear layer, of a router, of experts */
    SINQ_ROLE_QUERY,
    SINQ_ROLE_KEY,
    SINQ_ROLE_VALUE,
    SINQ_ROLE_QUERY_KEY_VALUE, /* fused */
    SINQ_ROLE_ATTENTION_OUTPUT,
    SINQ_ROLE_QUERY_A, /* latent attention's low-rank halves */
    SINQ_ROLE_QUERY_B,
    SINQ_ROLE_KEY_VALUE_A,
    SINQ_ROLE_KEY_VALUE_B,
    SINQ_ROLE_GATE,
    SINQ_ROLE_UP,
    SINQ_ROLE_GATE_UP, /* fused */
    SINQ_ROLE_DOWN,
    SINQ_ROLE_ROUTER,
    SINQ_ROLE_CONVOLUTION,
    SINQ_ROLE_OTHER_LINEAR, /* a linear layer of unknown purpose */
    SINQ_ROLE_OTHER,        /* attention sinks, rotary frequencies, ... */
    SINQ_ROLE_COUNT
};

/* "attention query", "norm", "router", ... for reports. */
const char *sinq_role_name(enum sinq_role role);

struct sinq_tensor_role {
    enum sinq_role role;
    int layer;      /* -1 outside layers */
    int expert;     /* -1: no expert's, or a stack of all of them */
    bool is_expert; /* of a routed expert or a stack of them */
    bool is_shared_expert;
    bool is_vision;     /* part of a vision or audio tower */
    bool is_transposed; /* stored [in, out] */
    bool is_linear;     /* a linear layer, or a stack of them: quantized by default */
    bool is_known_family;
    const char *reason; /* static text: why it is quantized or kept by default, e.g. "norm", "fewer than 32 columns" */
};

/*
 * Classifies one tensor. `model_type` is config.json's, NULL where there is none. Of an unknown family, and for names that
 * a known family's table lacks: a 2-D "*.weight" with both sides 32 or more is a linear layer stored [out, in], and so is a
 * 3-D tensor, with or without ".weight", whose name holds "experts"; unless its name matches a pattern of what is kept:
 *   embeddings   holds "embed", or has a component "wte" or "wpe"
 *   lm_head      holds "lm_head" or "embed_out"
 *   norms        holds "norm"
 *   routers      holds "router", or ends in ".gate.weight" (not an expert's own) or "shared_expert_gate.weight"
 *   convolutions holds "conv"
 *   biases       holds "bias" (tables of attention biases too)
 *   towers       begins with "vision", "visual", "audio", "multi_modal_projector", "mm_projector", "image_", "embed_vision"
 *                or "embed_audio", after "model." and "language_model."; kept in known families too
 */
struct sinq_tensor_role sinq_classify_tensor(const char *model_type, const struct sinq_tensor *tensor);

/* The name without what wraps the text model in multimodal and older checkpoints: "model.", "language_model.", ... */
const char *sinq_skip_wrappers(const char *name);

#endif
