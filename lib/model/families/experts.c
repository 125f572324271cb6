#include "model/families/experts.h"

#include "base/checked.h"

/*
 * Parts of the wide slot, with a run for each choice: activated values; then gates and ups, and in their place later what the
 * experts give.
 */
struct layout {
    struct sinq_view activated, gates, ups, given;
    uint32_t stride, step; /* of gates and ups: from choice to choice, from value to value */
};

static struct layout lay_out(const struct sinq_decoder *decoder, const struct sinq_expert_form *form, bool is_stack) {
    const struct sinq_model_config *const config = decoder->config;
    const uint64_t ffn = config->expert_ffn, all = config->experts_chosen * ffn;
    const uint64_t up_offset = !is_stack ? all : form->is_stack ? 1 : ffn;
    return (struct layout){
        .activated = sinq_view_of(decoder->wide, 0),
        .gates = sinq_view_of(decoder->wide, all),
        .ups = sinq_view_of(decoder->wide, all + up_offset),
        .given = sinq_view_of(decoder->wide, all),
        .stride = (uint32_t)(is_stack ? 2 * ffn : ffn),
        .step = form->is_stack ? 2 : 1,
    };
}

uint64_t sinq_expert_width(const struct sinq_model_config *config) {
    const uint64_t ffn = config->expert_ffn;
    const uint64_t chosen = config->experts_chosen * (ffn + sinq_max_u64(2 * ffn, config->hidden));
    return sinq_max_u64(chosen, 2 * ffn * config->shared_experts);
}

/* ---- weights: the number of the first expert's ---- */

static uint32_t want_modules(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form,
                             const char *name, uint64_t rows, uint64_t cols) {
    const uint32_t first = decoder->graph->want_count;
    for (uint32_t e = 0; e < decoder->config->experts && decoder->graph->error.status == SINQ_OK; e++) {
        (void)sinq_want_matrix(decoder->graph, rows, cols, "layers.%u.%s.%u.%s", layer, form->experts, e, name);
    }
    return first;
}

static uint32_t want_stack(struct sinq_decoder *decoder, struct sinq_want want) {
    const uint32_t first = decoder->graph->want_count;
    want.experts = decoder->config->experts;
    for (uint32_t e = 0; e < decoder->config->experts && decoder->graph->error.status == SINQ_OK; e++) {
        want.expert = e;
        (void)sinq_want_add(decoder->graph, &want);
    }
    return first;
}

static const char *stack_of(const struct sinq_expert_form *form) {
    return form->stack == NULL ? form->experts : form->stack;
}

/* Stacks are parameters: their name has ".weight" behind it in few checkpoints. */
static uint32_t want_stacked_matrices(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form,
                                      const char *name, uint64_t rows, uint64_t cols) {
    struct sinq_want want = {.rows = rows, .cols = cols};
    const bool has_suffix = sinq_graph_has(decoder->graph, "layers.%u.%s.%s.weight", layer, stack_of(form), name);
    sinq_name_want(&want, has_suffix ? ".weight" : "", "layers.%u.%s.%s", layer, stack_of(form), name);
    return want_stack(decoder, want);
}

static uint32_t want_stacked_biases(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form,
                                    const char *name, uint64_t width) {
    struct sinq_want want = {.rows = 1, .cols = width, .is_vector = true};
    if (!form->is_stack) return SINQ_NO_WEIGHT;
    sinq_name_want(&want, "_bias", "layers.%u.%s.%s", layer, stack_of(form), name);
    return want_stack(decoder, want);
}

/* ---- operations ---- */

static uint32_t want_choice_bias(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form) {
    struct sinq_want want = {.rows = 1, .cols = decoder->config->experts, .is_vector = true, .expert = -1};
    if (form->choice_bias == NULL) return SINQ_NO_WEIGHT;
    sinq_name_want(&want, "", "layers.%u.%s", layer, form->choice_bias);
    return sinq_want_add(decoder->graph, &want);
}

static void add_router(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form,
                       bool is_stack) {
    const struct sinq_model_config *const config = decoder->config;
    const char *const name = is_stack && form->stack_router != NULL ? form->stack_router : form->router;
    const struct sinq_view logits = sinq_view_of(decoder->router, 0);
    const uint32_t weight =
        sinq_want_matrix(decoder->graph, config->experts, config->hidden, "layers.%u.%s", layer, name);
    const uint32_t bias =
        sinq_want_bias(decoder->graph, config->router_bias, config->experts, "layers.%u.%s", layer, name);
    sinq_add_linear(decoder, weight, bias, sinq_view_of(decoder->input, 0), logits, false);
    sinq_add_operation(decoder->graph, (struct sinq_operation){.kind = SINQ_OP_ROUTE,
                                                               .route = {.routing = config->routing,
                                                                         .bias = want_choice_bias(decoder, layer, form),
                                                                         .logits = logits,
                                                                         .choices = sinq_view_of(decoder->choices, 0),
                                                                         .experts = config->experts,
                                                                         .chosen = config->experts_chosen,
                                                                         .groups = config->expert_groups,
                                                                         .top_groups = config->expert_top_groups,
                                                                         .groups_by_two = config->groups_by_two,
                                                                         .normalized = config->shares_normalized,
                                                                         .scale = config->share_scale}});
}

static void add_expert_linear(struct sinq_decoder *decoder, uint32_t weight, uint32_t bias, struct sinq_view in,
                              struct sinq_view out, bool per_choice) {
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_EXPERT_LINEAR,
                                               .expert_linear = {.first_weight = weight,
                                                                 .first_bias = bias,
                                                                 .experts = decoder->config->experts,
                                                                 .chosen = decoder->config->experts_chosen,
                                                                 .choices = sinq_view_of(decoder->choices, 0),
                                                                 .in = in,
                                                                 .out = out,
                                                                 .per_choice = per_choice}});
}

static void add_gates_and_ups(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form,
                              bool is_stack, const struct layout *at) {
    const uint64_t ffn = decoder->config->expert_ffn, hidden = decoder->config->hidden;
    const struct sinq_view in = sinq_view_of(decoder->input, 0);
    if (is_stack) {
        const uint32_t both = want_stacked_matrices(decoder, layer, form, "gate_up_proj", 2 * ffn, hidden);
        const uint32_t bias = want_stacked_biases(decoder, layer, form, "gate_up_proj", 2 * ffn);
        add_expert_linear(decoder, both, bias, in, at->gates, false);
    } else {
        const uint32_t gates = want_modules(decoder, layer, form, form->gate, ffn, hidden);
        const uint32_t ups = want_modules(decoder, layer, form, form->up, ffn, hidden);
        add_expert_linear(decoder, gates, SINQ_NO_WEIGHT, in, at->gates, false);
        add_expert_linear(decoder, ups, SINQ_NO_WEIGHT, in, at->ups, false);
    }
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_ACTIVATE,
                                               .activate = {.activation = decoder->config->activation,
                                                            .gate = at->gates,
                                                            .up = at->ups,
                                                            .out = at->activated,
                                                            .segments = decoder->config->experts_chosen,
                                                            .width = decoder->config->expert_ffn,
                                                            .step = at->step,
                                                            .in_stride = at->stride,
                                                            .out_stride = decoder->config->expert_ffn}});
}

static void add_downs(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form, bool is_stack,
                      const struct layout *at) {
    const uint64_t ffn = decoder->config->expert_ffn, hidden = decoder->config->hidden;
    if (is_stack) {
        const uint32_t downs = want_stacked_matrices(decoder, layer, form, "down_proj", hidden, ffn);
        const uint32_t bias = want_stacked_biases(decoder, layer, form, "down_proj", hidden);
        add_expert_linear(decoder, downs, bias, at->activated, at->given, true);
    } else {
        const uint32_t downs = want_modules(decoder, layer, form, form->down, hidden, ffn);
        add_expert_linear(decoder, downs, SINQ_NO_WEIGHT, at->activated, at->given, true);
    }
}

void sinq_add_experts(struct sinq_decoder *decoder, uint32_t layer, const struct sinq_expert_form *form) {
    const bool is_stack = form->is_stack ||
                          sinq_graph_has(decoder->graph, "layers.%u.%s.gate_up_proj", layer, stack_of(form)) ||
                          sinq_graph_has(decoder->graph, "layers.%u.%s.gate_up_proj.weight", layer, stack_of(form));
    const struct layout at = lay_out(decoder, form, is_stack);
    add_router(decoder, layer, form, is_stack);
    add_gates_and_ups(decoder, layer, form, is_stack, &at);
    add_downs(decoder, layer, form, is_stack, &at);
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_COMBINE,
                                               .combine = {.choices = sinq_view_of(decoder->choices, 0),
                                                           .in = at.given,
                                                           .out = sinq_decoder_target(decoder),
                                                           .chosen = decoder->config->experts_chosen,
                                                           .width = decoder->config->hidden,
                                                           .accumulate = sinq_decoder_accumulates(decoder)}});
}

/* ---- configuration ---- */

void sinq_check_experts(struct sinq_config_reader *reader, const struct sinq_model_config *config) {
    if (config->experts_chosen > config->experts) {
        sinq_config_fail(reader, "num_experts_per_tok %u is more than the %u experts there are", config->experts_chosen,
                         config->experts);
    }
    if (config->expert_groups <= 1) return;
    if (config->experts % config->expert_groups != 0) {
        sinq_config_fail(reader, "n_group %u does not divide the %u experts there are", config->expert_groups,
                         config->experts);
    } else if (config->expert_top_groups > config->expert_groups) {
        sinq_config_fail(reader, "topk_group %u is more than n_group %u", config->expert_top_groups,
                         config->expert_groups);
    } else if (config->groups_by_two && config->experts / config->expert_groups < 2) {
        sinq_config_fail(reader, "n_group %u leaves groups of less than two of the %u experts", config->expert_groups,
                         config->experts);
    } else if (config->experts_chosen > config->experts / config->expert_groups * config->expert_top_groups) {
        sinq_config_fail(reader, "num_experts_per_tok %u is more than the experts of topk_group %u groups",
                         config->experts_chosen, config->expert_top_groups);
    }
}
