#include "model/families/decoder.h"

#include <stdio.h>

#include "base/checked.h"

struct sinq_view sinq_view_of(uint32_t slot, uint64_t offset) {
    return (struct sinq_view){.slot = slot, .offset = (uint32_t)offset};
}

struct sinq_view sinq_decoder_target(const struct sinq_decoder *decoder) {
    return sinq_view_of(decoder->form->is_post_normed ? decoder->branch : decoder->stream, 0);
}

bool sinq_decoder_accumulates(const struct sinq_decoder *decoder) { return !decoder->form->is_post_normed; }

void sinq_add_linear(struct sinq_decoder *decoder, uint32_t weight, uint32_t bias, struct sinq_view in,
                     struct sinq_view out, bool accumulate) {
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){
                           .kind = SINQ_OP_LINEAR,
                           .linear = {.weight = weight, .bias = bias, .in = in, .out = out, .accumulate = accumulate}});
}

void sinq_add_norm(struct sinq_decoder *decoder, uint32_t weight, struct sinq_view in_out, uint32_t groups,
                   uint32_t width, float eps) {
    sinq_add_operation(decoder->graph, (struct sinq_operation){.kind = SINQ_OP_NORM,
                                                               .norm = {.weight = weight,
                                                                        .in = in_out,
                                                                        .out = in_out,
                                                                        .groups = groups,
                                                                        .width = width,
                                                                        .stride = width,
                                                                        .eps = eps}});
}

/* ---- mlp ---- */

static void add_activation(struct sinq_decoder *decoder, uint32_t ffn) {
    const struct sinq_view gate = sinq_view_of(decoder->wide, 0);
    sinq_add_operation(decoder->graph, (struct sinq_operation){.kind = SINQ_OP_ACTIVATE,
                                                               .activate = {.activation = decoder->config->activation,
                                                                            .gate = gate,
                                                                            .up = sinq_view_of(decoder->wide, ffn),
                                                                            .out = gate,
                                                                            .segments = 1,
                                                                            .width = ffn,
                                                                            .step = 1,
                                                                            .in_stride = ffn,
                                                                            .out_stride = ffn}});
}

void sinq_add_gated_mlp(struct sinq_decoder *decoder, const char *module, uint32_t ffn, bool accumulate) {
    struct sinq_graph *const graph = decoder->graph;
    const uint32_t hidden = decoder->config->hidden;
    const bool has_bias = decoder->config->mlp_bias;
    const struct sinq_view in = sinq_view_of(decoder->input, 0), gate = sinq_view_of(decoder->wide, 0);
    if (decoder->form->is_fused) {
        const uint32_t both = sinq_want_matrix(graph, 2 * (uint64_t)ffn, hidden, "%s.gate_up_proj", module);
        sinq_add_linear(decoder, both, SINQ_NO_WEIGHT, in, gate, false);
    } else {
        const uint32_t gates = sinq_want_matrix(graph, ffn, hidden, "%s.gate_proj", module);
        const uint32_t gate_bias = sinq_want_bias(graph, has_bias, ffn, "%s.gate_proj", module);
        const uint32_t ups = sinq_want_matrix(graph, ffn, hidden, "%s.up_proj", module);
        const uint32_t up_bias = sinq_want_bias(graph, has_bias, ffn, "%s.up_proj", module);
        sinq_add_linear(decoder, gates, gate_bias, in, gate, false);
        sinq_add_linear(decoder, ups, up_bias, in, sinq_view_of(decoder->wide, ffn), false);
    }
    add_activation(decoder, ffn);
    const uint32_t down = sinq_want_matrix(graph, hidden, ffn, "%s.down_proj", module);
    const uint32_t down_bias = sinq_want_bias(graph, has_bias, hidden, "%s.down_proj", module);
    sinq_add_linear(decoder, down, down_bias, gate, sinq_decoder_target(decoder), accumulate);
}

void sinq_add_mlp(struct sinq_decoder *decoder, uint32_t layer) {
    char module[32];
    (void)snprintf(module, sizeof module, "layers.%u.mlp", layer);
    sinq_add_gated_mlp(decoder, module, decoder->config->ffn, sinq_decoder_accumulates(decoder));
}

/* ---- layers ---- */

static void add_input_norm(struct sinq_decoder *decoder, const char *name, uint32_t layer) {
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t weight =
        sinq_want_norm(decoder->graph, config->hidden, decoder->form->norm_plus, "layers.%u.%s", layer, name);
    sinq_add_operation(decoder->graph, (struct sinq_operation){.kind = SINQ_OP_NORM,
                                                               .norm = {.weight = weight,
                                                                        .in = sinq_view_of(decoder->stream, 0),
                                                                        .out = sinq_view_of(decoder->normed, 0),
                                                                        .groups = 1,
                                                                        .width = config->hidden,
                                                                        .stride = config->hidden,
                                                                        .eps = config->eps}});
}

static void add_part(struct sinq_decoder *decoder, uint32_t layer, const char *norm, const char *post_norm,
                     sinq_decoder_part_fn *part) {
    const struct sinq_model_config *const config = decoder->config;
    const struct sinq_view branch = sinq_view_of(decoder->branch, 0);
    decoder->input = norm == NULL ? decoder->stream : decoder->normed;
    if (norm != NULL) add_input_norm(decoder, norm, layer);
    part(decoder, layer);
    if (!decoder->form->is_post_normed) return;
    const uint32_t weight =
        sinq_want_norm(decoder->graph, config->hidden, decoder->form->norm_plus, "layers.%u.%s", layer, post_norm);
    sinq_add_norm(decoder, weight, branch, 1, config->hidden, config->eps);
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){
                           .kind = SINQ_OP_ADD,
                           .add = {.in = branch, .out = sinq_view_of(decoder->stream, 0), .width = config->hidden}});
}

/* ---- the whole ---- */

static uint64_t find_widest(const struct sinq_model_config *config, const struct sinq_decoder_form *form) {
    const uint64_t heads = (uint64_t)config->heads + 2u * (uint64_t)config->kv_heads;
    const uint64_t shared = sinq_max_u64(heads * config->head_dim, 2 * (uint64_t)config->ffn);
    return form->widest == NULL ? shared : sinq_max_u64(shared, form->widest(config));
}

static void add_slots(struct sinq_decoder *decoder) {
    const struct sinq_model_config *const config = decoder->config;
    struct sinq_graph *const graph = decoder->graph;
    const uint64_t value_dim = config->value_dim == 0 ? config->head_dim : config->value_dim;
    decoder->stream = sinq_add_slot(graph, config->hidden);
    decoder->normed = sinq_add_slot(graph, sinq_max_u64(config->hidden, config->heads * value_dim));
    decoder->wide = sinq_add_slot(graph, find_widest(config, decoder->form));
    if (decoder->form->is_post_normed) decoder->branch = sinq_add_slot(graph, config->hidden);
    for (uint32_t i = 0; i < config->rope_count; i++) {
        decoder->rotations[i] = sinq_add_slot(graph, config->ropes[i].dims);
    }
    if (config->kv_rank != 0) {
        decoder->queries = sinq_add_slot(graph, config->heads * ((uint64_t)config->kv_rank + config->rope_dim));
        decoder->attended = sinq_add_slot(graph, config->heads * (uint64_t)config->kv_rank);
    }
    if (config->experts != 0) {
        decoder->router = sinq_add_slot(graph, config->experts);
        decoder->choices = sinq_add_slot(graph, 2 * (uint64_t)config->experts_chosen);
    }
}

static void begin_decoder(struct sinq_decoder *decoder) {
    const struct sinq_model_config *const config = decoder->config;
    add_slots(decoder);
    decoder->embedding = sinq_want_matrix(decoder->graph, config->vocabulary, config->hidden, "embed_tokens");
    sinq_add_operation(decoder->graph, (struct sinq_operation){.kind = SINQ_OP_EMBED,
                                                               .embed = {.weight = decoder->embedding,
                                                                         .out = sinq_view_of(decoder->stream, 0),
                                                                         .scale = config->embedding_scale}});
    for (uint32_t i = 0; i < config->rope_count; i++) {
        sinq_add_operation(decoder->graph, (struct sinq_operation){
                                               .kind = SINQ_OP_ROTATION,
                                               .rotation = {.rope = i, .out = sinq_view_of(decoder->rotations[i], 0)}});
    }
}

/* The last norm and the head run only on rows whose logits are asked for. */
static void end_decoder(struct sinq_decoder *decoder) {
    struct sinq_graph *const graph = decoder->graph;
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t rows = sinq_add_logits_slot(graph, config->hidden);
    const uint32_t norm = sinq_want_norm(graph, config->hidden, decoder->form->norm_plus, "norm");
    const uint32_t head =
        config->tied ? decoder->embedding : sinq_want_matrix(graph, config->vocabulary, config->hidden, "lm_head");
    graph->logits_slot = sinq_add_logits_slot(graph, config->vocabulary);
    const struct sinq_view logits = sinq_view_of(graph->logits_slot, 0);
    sinq_add_operation(graph, (struct sinq_operation){.kind = SINQ_OP_NORM,
                                                      .for_logits = true,
                                                      .norm = {.weight = norm,
                                                               .in = sinq_view_of(decoder->stream, 0),
                                                               .out = sinq_view_of(rows, 0),
                                                               .groups = 1,
                                                               .width = config->hidden,
                                                               .stride = config->hidden,
                                                               .eps = config->eps,
                                                               .gather = true}});
    sinq_add_operation(
        graph, (struct sinq_operation){
                   .kind = SINQ_OP_LINEAR,
                   .for_logits = true,
                   .linear = {.weight = head, .bias = SINQ_NO_WEIGHT, .in = sinq_view_of(rows, 0), .out = logits}});
    if (config->final_softcap == 0.0f) return;
    sinq_add_operation(graph,
                       (struct sinq_operation){
                           .kind = SINQ_OP_SOFTCAP,
                           .for_logits = true,
                           .softcap = {.in_out = logits, .width = config->vocabulary, .cap = config->final_softcap}});
}

void sinq_build_decoder(struct sinq_graph *graph, const struct sinq_model_config *config,
                        const struct sinq_decoder_form *form) {
    struct sinq_decoder decoder = {.graph = graph, .config = config, .form = form};
    begin_decoder(&decoder);
    for (uint32_t layer = 0; layer < config->layers && graph->error.status == SINQ_OK; layer++) {
        add_part(&decoder, layer, form->attention_norm, form->attention_post_norm,
                 form->attention == NULL ? sinq_add_attention : form->attention);
        add_part(&decoder, layer, form->mlp_norm, form->mlp_post_norm, form->mlp == NULL ? sinq_add_mlp : form->mlp);
    }
    end_decoder(&decoder);
}
