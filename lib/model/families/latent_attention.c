#include "model/families/latent_attention.h"

#include <math.h>

#include "model/rope_config.h"

#define LATENT_EPS  1e-6f /* of the norms inside, whatever rms_norm_eps says */
#define MOST_VALUES (1u << 20)

/* Parts of the wide slot. */
struct layout {
    uint32_t query_dim; /* of a head: the part without a position, then the rotated one */
    struct sinq_view queries, latent, low;
};

static struct layout lay_out(const struct sinq_decoder *decoder) {
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t query_dim = config->nope_dim + config->rope_dim;
    const uint64_t queries = (uint64_t)config->heads * query_dim, latent = config->kv_rank + config->rope_dim;
    return (struct layout){
        .query_dim = query_dim,
        .queries = sinq_view_of(decoder->wide, 0),
        .latent = sinq_view_of(decoder->wide, queries),
        .low = sinq_view_of(decoder->wide, queries + latent),
    };
}

uint64_t sinq_latent_width(const struct sinq_model_config *config) {
    const uint64_t query_dim = (uint64_t)config->nope_dim + config->rope_dim;
    return config->heads * query_dim + config->kv_rank + config->rope_dim + config->q_rank;
}

static void add_projection(struct sinq_decoder *decoder, uint32_t layer, const char *name, bool has_bias, uint32_t rows,
                           uint32_t cols, struct sinq_view in, struct sinq_view out) {
    const uint32_t weight = sinq_want_matrix(decoder->graph, rows, cols, "layers.%u.self_attn.%s", layer, name);
    const uint32_t bias = sinq_want_bias(decoder->graph, has_bias, rows, "layers.%u.self_attn.%s", layer, name);
    sinq_add_linear(decoder, weight, bias, in, out, false);
}

static void add_inner_norm(struct sinq_decoder *decoder, uint32_t layer, const char *name, struct sinq_view in_out,
                           uint32_t width) {
    const uint32_t weight = sinq_want_norm(decoder->graph, width, 0.0f, "layers.%u.self_attn.%s", layer, name);
    sinq_add_norm(decoder, weight, in_out, 1, width, LATENT_EPS);
}

static void add_projections(struct sinq_decoder *decoder, uint32_t layer, const struct layout *at) {
    const struct sinq_model_config *const config = decoder->config;
    const struct sinq_view in = sinq_view_of(decoder->input, 0);
    const uint32_t width = config->heads * at->query_dim;
    if (config->q_rank == 0) {
        add_projection(decoder, layer, "q_proj", false, width, config->hidden, in, at->queries);
    } else {
        add_projection(decoder, layer, "q_a_proj", config->attention_bias, config->q_rank, config->hidden, in, at->low);
        add_inner_norm(decoder, layer, "q_a_layernorm", at->low, config->q_rank);
        add_projection(decoder, layer, "q_b_proj", false, width, config->q_rank, at->low, at->queries);
    }
    add_projection(decoder, layer, "kv_a_proj_with_mqa", config->attention_bias, config->kv_rank + config->rope_dim,
                   config->hidden, in, at->latent);
    add_inner_norm(decoder, layer, "kv_a_layernorm", at->latent, config->kv_rank);
}

static void add_rope(struct sinq_decoder *decoder, struct sinq_view in, struct sinq_view out, uint32_t heads,
                     uint32_t in_stride, uint32_t out_stride) {
    const struct sinq_rope *const rope = &decoder->config->ropes[0];
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_ROPE,
                                               .rope = {.in = in,
                                                        .out = out,
                                                        .rotation = sinq_view_of(decoder->rotations[0], 0),
                                                        .heads = heads,
                                                        .in_stride = in_stride,
                                                        .out_stride = out_stride,
                                                        .dims = rope->dims,
                                                        .copy = decoder->config->rope_dim - rope->dims,
                                                        .interleaved = rope->interleaved}});
}

/* Queries into the space of the cache: K_h^T of the part without a position, beside the rotated one. */
static void add_queries(struct sinq_decoder *decoder, uint32_t kv_b, const struct layout *at) {
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t key_dim = config->kv_rank + config->rope_dim;
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_HEAD_LINEAR,
                                               .head_linear = {.weight = kv_b,
                                                               .in = at->queries,
                                                               .out = sinq_view_of(decoder->queries, 0),
                                                               .heads = config->heads,
                                                               .in_stride = at->query_dim,
                                                               .out_stride = key_dim,
                                                               .row_stride = config->nope_dim + config->value_dim,
                                                               .rows = config->nope_dim,
                                                               .transposed = true}});
    add_rope(decoder, sinq_view_of(decoder->wide, config->nope_dim), sinq_view_of(decoder->queries, config->kv_rank),
             config->heads, at->query_dim, key_dim);
    const struct sinq_view key = {at->latent.slot, at->latent.offset + config->kv_rank};
    add_rope(decoder, key, key, 1, config->rope_dim, config->rope_dim);
}

static void add_heads(struct sinq_decoder *decoder, const struct layout *at) {
    const struct sinq_model_config *const config = decoder->config;
    const uint32_t cache =
        sinq_add_cache(decoder->graph, (struct sinq_cache_shape){.kv_heads = 1,
                                                                 .key_dim = config->kv_rank + config->rope_dim,
                                                                 .value_dim = config->kv_rank,
                                                                 .shared = true});
    sinq_add_operation(
        decoder->graph,
        (struct sinq_operation){.kind = SINQ_OP_STORE,
                                .store = {.cache = cache, .keys = at->latent, .values = {.slot = SINQ_NO_VIEW}}});
    sinq_add_operation(decoder->graph,
                       (struct sinq_operation){.kind = SINQ_OP_ATTENTION,
                                               .attention = {.cache = cache,
                                                             .sinks = SINQ_NO_WEIGHT,
                                                             .queries = sinq_view_of(decoder->queries, 0),
                                                             .out = sinq_view_of(decoder->attended, 0),
                                                             .heads = config->heads,
                                                             .scale = config->attention_scale}});
}

void sinq_add_latent_attention(struct sinq_decoder *decoder, uint32_t layer) {
    struct sinq_graph *const graph = decoder->graph;
    const struct sinq_model_config *const config = decoder->config;
    const struct layout at = lay_out(decoder);
    const uint32_t head_rows = config->nope_dim + config->value_dim;
    const uint64_t width = (uint64_t)config->heads * config->value_dim;
    add_projections(decoder, layer, &at);
    const uint32_t kv_b = sinq_want_matrix(graph, (uint64_t)config->heads * head_rows, config->kv_rank,
                                           "layers.%u.self_attn.kv_b_proj", layer);
    add_queries(decoder, kv_b, &at);
    add_heads(decoder, &at);
    sinq_add_operation(graph, (struct sinq_operation){.kind = SINQ_OP_HEAD_LINEAR,
                                                      .head_linear = {.weight = kv_b,
                                                                      .in = sinq_view_of(decoder->attended, 0),
                                                                      .out = sinq_view_of(decoder->normed, 0),
                                                                      .heads = config->heads,
                                                                      .in_stride = config->kv_rank,
                                                                      .out_stride = config->value_dim,
                                                                      .first_row = config->nope_dim,
                                                                      .row_stride = head_rows,
                                                                      .rows = config->value_dim}});
    const uint32_t weight = sinq_want_matrix(graph, config->hidden, width, "layers.%u.self_attn.o_proj", layer);
    const uint32_t bias =
        sinq_want_bias(graph, config->attention_bias, config->hidden, "layers.%u.self_attn.o_proj", layer);
    sinq_add_linear(decoder, weight, bias, sinq_view_of(decoder->normed, 0), sinq_decoder_target(decoder),
                    sinq_decoder_accumulates(decoder));
}

/* ---- configuration ---- */

static uint32_t read_dim(struct sinq_config_reader *reader, const char *key, uint32_t most, uint32_t fallback) {
    return (uint32_t)sinq_config_count(reader, key, 1, most, fallback);
}

/* With yarn, scores are scaled by the square of what cosines and sines are not (transformers: yarn_apply_mscale). */
static double find_mscale(struct sinq_config_reader *reader) {
    struct sinq_config_reader rope = *reader;
    rope.inside = "rope_parameters.";
    rope.object = sinq_config_member(reader, "rope_parameters");
    if (rope.object == NULL) rope.object = sinq_config_member(reader, "rope_scaling");
    const double all = sinq_config_number(&rope, "mscale_all_dim", 0.0, 1e6, 0.0);
    const double factor = sinq_config_number(&rope, "factor", 1e-3, 1e6, 1.0);
    if (reader->status == SINQ_OK) reader->status = rope.status;
    return sinq_yarn_scale(factor, all);
}

void sinq_read_latent_attention(struct sinq_config_reader *reader, uint32_t q_rank, struct sinq_model_config *config) {
    const bool has_no_rank = sinq_config_is_null(reader, "q_lora_rank");
    config->q_rank = has_no_rank ? 0 : read_dim(reader, "q_lora_rank", MOST_VALUES, q_rank);
    config->kv_rank = read_dim(reader, "kv_lora_rank", MOST_VALUES, 512);
    config->nope_dim = read_dim(reader, "qk_nope_head_dim", 65536, 128);
    config->rope_dim = read_dim(reader, "qk_rope_head_dim", 65536, 64);
    config->value_dim = read_dim(reader, "v_head_dim", 65536, 128);
    config->rope_interleaved = sinq_config_flag(reader, "rope_interleave", true);
    const double mscale = find_mscale(reader);
    config->attention_scale = (float)(mscale * mscale / sqrt((double)config->nope_dim + config->rope_dim));
}
