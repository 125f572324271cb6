/*
 * operation.h: what a model's graph is made of. A family builds a list of operations once; a backend carries them out.
 *
 * Activations are f32 and live in slots: a slot has a width, and holds one row of that many values for each token of the
 * batch. A view is a part of each row. Operations name slots, weights and caches by number, never by address: the list belongs
 * to the immutable model, what the numbers stand for to a session. Operations run in order; the input and the output of one
 * may overlap only where it says so.
 */
#ifndef SINQ_MODEL_OPERATION_H
#define SINQ_MODEL_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

/* A part of each token's row: values [offset, ...) of slot `slot`. */
struct sinq_view {
    uint32_t slot;
    uint32_t offset;
};

#define SINQ_NO_WEIGHT UINT32_MAX /* in place of a weight's number: there is none */
#define SINQ_NO_VIEW   UINT32_MAX /* in place of a view's slot: there is none */

enum sinq_operation_kind {
    SINQ_OP_EMBED,         /* rows of the embedding */
    SINQ_OP_NORM,          /* root mean square norm, of the row or of each head */
    SINQ_OP_LINEAR,        /* y = W x + b */
    SINQ_OP_HEAD_LINEAR,   /* a matrix's own rows for each head (latent attention) */
    SINQ_OP_ROTATION,      /* cosines and sines of the batch's positions */
    SINQ_OP_ROPE,          /* turns heads by them */
    SINQ_OP_STORE,         /* keys and values into the cache */
    SINQ_OP_ATTENTION,     /* softmax(q k^T) v over the cache */
    SINQ_OP_ACTIVATE,      /* activation(gate) * up */
    SINQ_OP_ADD,           /* out += in */
    SINQ_OP_SOFTCAP,       /* x = cap * tanh(x / cap) */
    SINQ_OP_ROUTE,         /* chooses experts and their shares */
    SINQ_OP_EXPERT_LINEAR, /* y = W[expert] x + b[expert], for each choice */
    SINQ_OP_COMBINE,       /* sum over choices of share * y */
    SINQ_OP_KIND_COUNT
};

enum sinq_activation {
    SINQ_ACTIVATION_SILU,      /* silu(gate) * up, silu(x) = x / (1 + exp(-x)) */
    SINQ_ACTIVATION_GELU_TANH, /* gelu, its tanh form */
    SINQ_ACTIVATION_GELU,      /* x/2 (1 + erf(x / sqrt 2)) */
    SINQ_ACTIVATION_GPT_OSS /* g = min(gate, limit), u = clamp(up, -limit, limit): (u + 1) g sigmoid(alpha g); 1.702, 7 */
};

enum sinq_routing {
    SINQ_ROUTING_SOFTMAX,     /* softmax over all experts, then the best; shares are their probabilities */
    SINQ_ROUTING_TOP_SOFTMAX, /* the best logits, then softmax over those (gpt_oss; Mixtral's is the same) */
    SINQ_ROUTING_SIGMOID      /* sigmoid scores; chosen by score + bias, shares are the scores (DeepSeek-V3) */
};

struct sinq_operation {
    enum sinq_operation_kind kind;
    bool
        for_logits; /* of the head: runs only on the rows whose logits are asked for, which its slots hold from row 0 on */
    union {
        struct {
            uint32_t weight;
            struct sinq_view out;
            float scale;
        } embed;
        /*
         * Each of `groups` runs of `width` values, `stride` apart, is divided by sqrt(mean(x^2) + eps) and multiplied by the
         * weight (a row of `width`; families with 1 + w have it added when it is loaded). in == out is allowed. Where
         * `gather` is set (for_logits), rows are read from the batch's rows that are asked for and written from row 0 on.
         */
        struct {
            uint32_t weight;
            struct sinq_view in, out;
            uint32_t groups, width, stride;
            float eps;
            bool gather;
        } norm;
        /* [rows, cols] of the weight; `bias` is a vector or none; with `accumulate` the product is added to out. */
        struct {
            uint32_t weight, bias;
            struct sinq_view in, out;
            bool accumulate;
        } linear;
        /*
         * For each head h, with the rows R_h = [first_row + h * row_stride, + rows) of the weight:
         *   transposed:  out_h[cols] = sum over i of in_h[i] * W[R_h + i]     (in_h has `rows` values)
         *   otherwise:   out_h[rows] = W[R_h] in_h                            (in_h has `cols` values)
         * Heads are in_stride and out_stride values apart.
         */
        struct {
            uint32_t weight;
            struct sinq_view in, out;
            uint32_t heads, in_stride, out_stride, first_row, row_stride, rows;
            bool transposed;
        } head_linear;
        /* `rope` is the number of one of the model's ropes; out gets dims / 2 cosines, then dims / 2 sines. */
        struct {
            uint32_t rope;
            struct sinq_view out;
        } rotation;
        /*
         * The first `dims` values of each head are turned: pairs (i, i + dims / 2), or (2 i, 2 i + 1) where `interleaved`;
         * `copy` further ones behind them are copied. in == out (with equal strides) is allowed.
         */
        struct {
            struct sinq_view in, out, rotation;
            uint32_t heads, in_stride, out_stride, dims, copy;
            bool interleaved;
        } rope;
        /* Keys are cache.kv_heads runs of key_dim, values of value_dim; `values` is none where the cache shares them. */
        struct {
            uint32_t cache;
            struct sinq_view keys, values;
        } store;
        /*
         * Head h of `heads` reads the cache's head h * kv_heads / heads. scores = scale * q k, then cap * tanh(scores / cap)
         * where cap is not 0. A token sees positions p - window + 1 .. p, or all up to p where window is 0. `sinks` (a vector
         * of `heads`, or none) are logits that take part in the softmax and have no value.
         */
        struct {
            uint32_t cache, sinks;
            struct sinq_view queries, out;
            uint32_t heads, window;
            float scale, cap;
        } attention;
        /* `segments` runs of `width` values: gate and up are in_stride apart from run to run, and out out_stride; within a
         * run a gate's (up's) values are `step` apart (2 where gate and up are interleaved). out == gate or up is allowed where
         * strides and step are the same. */
        struct {
            enum sinq_activation activation;
            struct sinq_view gate, up, out;
            uint32_t segments, width, step, in_stride, out_stride;
        } activate;
        struct {
            struct sinq_view in, out;
            uint32_t width;
        } add;
        struct {
            struct sinq_view in_out;
            uint32_t width;
            float cap;
        } softcap;
        /*
         * From `experts` router logits: `chosen` numbers of experts (as f32, exact), then their shares, go to choices[0 ..
         * 2 chosen), best first; ties go to the lower number. Where `groups` > 1 only experts of the best `top_groups` groups
         * may be chosen, a group's score being its best expert's (groups_by_two: the sum of its two best). `bias` (or none)
         * is added for choosing alone. Shares are divided by their sum (+ 1e-20) where `normalized`, then times `scale`.
         */
        struct {
            enum sinq_routing routing;
            uint32_t bias;
            struct sinq_view logits, choices;
            uint32_t experts, chosen, groups, top_groups;
            bool groups_by_two, normalized;
            float scale;
        } route;
        /*
         * Weights first_weight + e (and biases first_bias + e, or none) of expert e. in holds a row a token, or a run of cols
         * for each choice where `per_choice`; out holds a run of rows for each choice.
         */
        struct {
            uint32_t first_weight, first_bias, experts, chosen;
            struct sinq_view choices, in, out;
            bool per_choice;
        } expert_linear;
        /* out (+)= sum over choices of share * in, a run of `width` for each choice. */
        struct {
            struct sinq_view choices, in, out;
            uint32_t chosen, width;
            bool accumulate;
        } combine;
    };
};

#endif
