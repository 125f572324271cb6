/*
 * config.h: what config.json says of a model, for all families, as transformers 4 writes it (rope_theta, rope_scaling,
 * torch_dtype) and as 5 does (rope_parameters, dtype). Every number is checked: zero, negative or absurd sizes, more chosen
 * experts than there are, heads that do not divide: one line with the key and what was expected.
 */
#ifndef SINQ_MODEL_CONFIG_H
#define SINQ_MODEL_CONFIG_H

#include "model/operation.h"
#include "model/rope.h"

#define SINQ_MAX_ROPES 2u

struct sinq_config_reader;
struct sinq_family_graph;
struct sinq_graph;

struct sinq_model_config {
    const struct sinq_family_graph *family;
    const char *model_type; /* static */
    uint32_t hidden, layers, heads, kv_heads, head_dim, ffn, vocabulary;
    uint64_t context; /* max_position_embeddings */
    float eps;
    bool tied; /* the head is the embedding */
    bool attention_bias, output_bias, mlp_bias;
    enum sinq_activation activation;
    float embedding_scale;                  /* 1 but for Gemma */
    float attention_scale;                  /* 1 / sqrt(head_dim), or what the family makes of it */
    float attention_softcap, final_softcap; /* 0: none */
    uint32_t window;                        /* of sliding layers; 0: none */
    uint8_t *is_sliding;                    /* a byte a layer, owned */
    struct sinq_rope ropes[SINQ_MAX_ROPES]; /* [0] of full attention, [1] of sliding layers where they have their own */
    uint32_t rope_count;
    /* experts */
    uint32_t experts, experts_chosen, expert_ffn, shared_experts;
    uint8_t *is_sparse; /* a byte a layer, owned: its mlp is made of experts */
    enum sinq_routing routing;
    uint32_t expert_groups, expert_top_groups;
    bool groups_by_two, shares_normalized, router_bias;
    float share_scale;
    /* latent attention */
    uint32_t q_rank, kv_rank, nope_dim, rope_dim, value_dim;
    bool rope_interleaved; /* pairs (2 i, 2 i + 1) turn */
    /* tokens, from config.json and generation_config.json; -1: none */
    int64_t bos;
};

/* What a family's configuration says where config.json says nothing. 0: the key is needed, unless noted otherwise. */
struct sinq_config_defaults {
    uint32_t hidden, layers, heads, ffn, vocabulary;
    uint32_t kv_heads; /* 0: as many as heads */
    uint32_t head_dim; /* 0: hidden / heads */
    uint64_t context;
    double eps, theta;
    double sliding_theta; /* sliding layers have a rope of their own; 0: they have not */
    bool tied;
    const char *activation_key, *activation; /* NULL: "hidden_act", "silu" */
    const char *rope;                        /* parameters of a rope as JSON; NULL: the plain one */
};

/* A family: one file lib/model/families/NAME.c and a line in families/families.h. */
struct sinq_family_graph {
    struct sinq_config_defaults defaults;
    /* Takes over what is particular, after the sizes and before the ropes. May be NULL. */
    void (*configure)(struct sinq_config_reader *reader, struct sinq_model_config *config);
    void (*build)(struct sinq_graph *graph, const struct sinq_model_config *config);
};

/* From the text of config.json; `path` is for messages. On failure *config is empty. sinq_model_config_free otherwise. */
int sinq_read_model_config(const char *path, const char *text, struct sinq_model_config *config,
                           struct sinq_error *error);
void sinq_model_config_free(struct sinq_model_config *config);

#endif
