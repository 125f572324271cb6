/* experts.h: an mlp made of experts, of which a router chooses a few for each token. */
#ifndef SINQ_MODEL_EXPERTS_H
#define SINQ_MODEL_EXPERTS_H

#include "model/config_reader.h"
#include "model/families/decoder.h"

/*
 * Names within a layer. Experts are modules of their own ("mlp.experts.{E}.gate_proj"), or one stack of all: gate_up_proj
 * [expert, gates and then ups, hidden] and down_proj, which is what transformers 5 holds in memory.
 */
struct sinq_expert_form {
    const char *router, *experts;     /* "mlp.gate", "mlp.experts" */
    const char *gate, *up, *down;     /* of an expert that is a module of its own */
    const char *stack_router, *stack; /* where the experts are a stack; NULL: named the same */
    bool is_stack;                    /* always, gates and ups in turns and with biases (gpt_oss) */
    const char *choice_bias;          /* a parameter added to scores for choosing; NULL: none */
};

/* Adds the sum of the chosen experts to the stream. */
void sinq_add_experts(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form);

/* What experts, chosen and shared, need of a decoder's wide slot. */
uint64_t sinq_expert_width(const struct sinq_model_config *config);

/* More chosen than there are, groups that do not divide them, ...: config.json contradicts itself. */
void sinq_check_experts(struct sinq_config_reader *reader, const struct sinq_model_config *config);

#define SINQ_MOST_EXPERTS   4096u
#define SINQ_LARGEST_EXPERT (1u << 24)

#endif
