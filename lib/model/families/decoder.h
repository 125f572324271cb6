/*
 * decoder.h: what the graphs of all families share: embedding, layers of attention and mlp with their norms, head. A family
 * says in a struct sinq_decoder_form how its layers differ, and brings its own attention or mlp where that is not enough.
 *
 * Slots are few, since each takes memory for every token of a batch:
 *   stream   the residual stream, [hidden]
 *   normed   the normed stream; then what the heads found
 *   branch   what is added to the stream, where it is normed first (else products are added to the stream at once)
 *   wide     queries, keys and values; then gates and ups
 */
#ifndef SINQ_MODEL_DECODER_H
#define SINQ_MODEL_DECODER_H

#include "model/graph.h"

enum sinq_query_key_norm {
    SINQ_QUERY_KEY_PLAIN,
    SINQ_QUERY_KEY_HEADS, /* each head is normed */
    SINQ_QUERY_KEY_WHOLE  /* all heads of a token together */
};

struct sinq_decoder;
typedef void sinq_decoder_part_fn(struct sinq_decoder *decoder, uint32_t layer);

struct sinq_decoder_form {
    float norm_plus;                       /* 1: norms are stored as w and used as 1 + w */
    bool is_post_normed;                   /* what attention and mlp give is normed before it is added */
    const char *attention_norm, *mlp_norm; /* of their input: "input_layernorm"; NULL: none */
    const char *attention_post_norm, *mlp_post_norm;
    enum sinq_query_key_norm query_key_norm;
    bool is_fused; /* one matrix for queries, keys and values, one for gates and ups */
    bool has_sinks;
    sinq_decoder_part_fn *attention, *mlp;                      /* NULL: sinq_add_attention, sinq_add_mlp */
    uint64_t (*widest)(const struct sinq_model_config *config); /* what a family's own parts need of `wide`; or NULL */
};

struct sinq_decoder {
    struct sinq_graph *graph;
    const struct sinq_model_config *config;
    const struct sinq_decoder_form *form;
    uint32_t stream, normed, branch, wide;
    uint32_t input; /* what the part at hand reads: normed, or stream where a family norms no inputs */
    uint32_t rotations[SINQ_MAX_ROPES];
    uint32_t router, choices;   /* slots, where there are experts */
    uint32_t queries, attended; /* slots, where attention is latent */
    uint32_t embedding;         /* a weight */
};

void sinq_build_decoder(struct sinq_graph *graph, const struct sinq_model_config *config,
                        const struct sinq_decoder_form *form);

/* ---- for parts: they read `input` and end with a product for sinq_decoder_target() ---- */

/* Where products that end a part go: to the branch, or added to the stream. */
struct sinq_view sinq_decoder_target(const struct sinq_decoder *decoder);
bool sinq_decoder_accumulates(const struct sinq_decoder *decoder);

struct sinq_view sinq_view_of(uint32_t slot, uint64_t offset);
void sinq_add_linear(struct sinq_decoder *decoder, uint32_t weight, uint32_t bias, struct sinq_view in,
                     struct sinq_view out, bool accumulate);
/* In place: `groups` runs of `width` values. */
void sinq_add_norm(struct sinq_decoder *decoder, uint32_t weight, struct sinq_view in_out, uint32_t groups,
                   uint32_t width, float eps);

sinq_decoder_part_fn sinq_add_attention; /* grouped queries, with all that a form can ask for */
sinq_decoder_part_fn sinq_add_mlp;       /* "layers.{L}.mlp" */
/* A gated mlp of that name and size. */
void sinq_add_gated_mlp(struct sinq_decoder *decoder, const char *module, uint32_t ffn, bool accumulate);

#endif
