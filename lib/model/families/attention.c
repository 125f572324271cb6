/* attention.c: attention with grouped queries: q, k, v; norms of q and k; rope; the cache; softmax; the output product. */
#include "model/families/decoder.h"

/* Widths of a token's queries and keys (or values), and where they lie in `wide`. */
struct layout {
    uint32_t query_width, kv_width;
    struct sinq_view queries, keys, values;
};

static struct layout lay_out(const struct sinq_decoder *decoder) {
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t query_width = config->heads * config->head_dim, kv_width = config->kv_heads * config->head_dim;
    return (struct layout){
        .query_width = query_width,
        .kv_width = kv_width,
        .queries = sinq_view_of(decoder->wide, 0),
        .keys = sinq_view_of(decoder->wide, query_width),
        .values = sinq_view_of(decoder->wide, (uint64_t)query_width + kv_width),
    };
}

static void add_projection(struct sinq_decoder *decoder, uint32_t layer, const char *name, uint32_t width,
                           struct sinq_view out) {
    struct sinq_graph *const graph = decoder->graph;
    const uint32_t weight =
        sinq_want_matrix(graph, width, decoder->config->hidden, "layers.%u.self_attn.%s", layer, name);
    const uint32_t bias =
        sinq_want_bias(graph, decoder->config->attention_bias, width, "layers.%u.self_attn.%s", layer, name);
    sinq_add_linear(decoder, weight, bias, sinq_view_of(decoder->input, 0), out, false);
}

static void add_projections(struct sinq_decoder *decoder, uint32_t layer, const struct layout *at) {
    if (decoder->form->is_fused) {
        add_projection(decoder, layer, "qkv_proj", at->query_width + 2 * at->kv_width, at->queries);
        return;
    }
    add_projection(decoder, layer, "q_proj", at->query_width, at->queries);
    add_projection(decoder, layer, "k_proj", at->kv_width, at->keys);
    add_projection(decoder, layer, "v_proj", at->kv_width, at->values);
}

static void add_query_key_norm(struct sinq_decoder *decoder, uint32_t layer, const char *name, struct sinq_view in_out,
                               uint32_t heads) {
    const bool is_whole = decoder->form->query_key_norm == SINQ_QUERY_KEY_WHOLE;
    const uint32_t groups = is_whole ? 1 : heads;
    const uint32_t width = is_whole ? heads * decoder->config->head_dim : decoder->config->head_dim;
    const uint32_t weight =
        sinq_want_norm(decoder->graph, width, decoder->form->norm_plus, "layers.%u.self_attn.%s", layer, name);
    sinq_add_norm(decoder, weight, in_out, groups, width, decoder->config->eps);
}

static void add_rope(struct sinq_decoder *decoder, uint32_t layer, struct sinq_view in_out, uint32_t heads) {
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t rope = config->rope_count > 1 && config->is_sliding[layer] ? 1 : 0;
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_ROPE,
                                               .rope = {.in = in_out,
                                                        .out = in_out,
                                                        .rotation = sinq_view_of(decoder->rotations[rope], 0),
                                                        .heads = heads,
                                                        .in_stride = config->head_dim,
                                                        .out_stride = config->head_dim,
                                                        .dims = config->ropes[rope].dims,
                                                        .copy = config->head_dim - config->ropes[rope].dims,
                                                        .interleaved = config->ropes[rope].interleaved}});
}

static uint32_t want_sinks(struct sinq_decoder *decoder, uint32_t layer) {
    struct sinq_want want = {.rows = 1, .cols = decoder->config->heads, .is_vector = true, .expert = -1};
    if (!decoder->form->has_sinks) return SINQ_NO_WEIGHT;
    sinq_name_want(&want, "", "layers.%u.self_attn.sinks", layer);
    return sinq_want_add(decoder->graph, &want);
}

/* Stores keys and values, and lets the heads look at them: what they find goes to `normed`. */
static void add_heads(struct sinq_decoder *decoder, uint32_t layer, const struct layout *at) {
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t window = config->is_sliding[layer] ? config->window : 0;
    const uint32_t cache = sinq_add_cache(decoder->graph, (struct sinq_cache_shape){.kv_heads = config->kv_heads,
                                                                                    .key_dim = config->head_dim,
                                                                                    .value_dim = config->head_dim,
                                                                                    .window = window});
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_STORE,
                                               .store = {.cache = cache, .keys = at->keys, .values = at->values}});
    sinq_add_operation(decoder->graph, (struct sinq_operation){.kind = SINQ_OP_ATTENTION,
                                                               .attention = {.cache = cache,
                                                                             .sinks = want_sinks(decoder, layer),
                                                                             .queries = at->queries,
                                                                             .out = sinq_view_of(decoder->normed, 0),
                                                                             .heads = config->heads,
                                                                             .window = window,
                                                                             .scale = config->attention_scale,
                                                                             .cap = config->attention_softcap}});
}

void sinq_add_attention(struct sinq_decoder *decoder, uint32_t layer) {
    struct sinq_graph *const graph = decoder->graph;
    const struct sinq_model_config *const config = decoder->config;
    const struct layout at = lay_out(decoder);
    add_projections(decoder, layer, &at);
    if (decoder->form->query_key_norm != SINQ_QUERY_KEY_PLAIN) {
        add_query_key_norm(decoder, layer, "q_norm", at.queries, config->heads);
        add_query_key_norm(decoder, layer, "k_norm", at.keys, config->kv_heads);
    }
    add_rope(decoder, layer, at.queries, config->heads);
    add_rope(decoder, layer, at.keys, config->kv_heads);
    add_heads(decoder, layer, &at);
    const uint32_t weight =
        sinq_want_matrix(graph, config->hidden, at.query_width, "layers.%u.self_attn.o_proj", layer);
    const uint32_t bias =
        sinq_want_bias(graph, config->output_bias, config->hidden, "layers.%u.self_attn.o_proj", layer);
    sinq_add_linear(decoder, weight, bias, sinq_view_of(decoder->normed, 0), sinq_decoder_target(decoder),
                    sinq_decoder_accumulates(decoder));
}
