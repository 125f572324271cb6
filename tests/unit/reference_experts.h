/* reference_experts.h: gated layers and mixtures of experts for the reference pass. */
#ifndef SINQ_TESTS_REFERENCE_EXPERTS_H
#define SINQ_TESTS_REFERENCE_EXPERTS_H

#include "reference_model.h"

#define MAX_REFERENCE_EXPERTS 64

/* down(activation(gate(x)) * up(x)), added to out with `share`. */
static inline void add_gated(struct reference *r, const char *prefix, const char *gate_name, const char *up_name,
                             const char *down_name, bool has_bias, size_t width, double share, const double *x,
                             double *out) {
    char name[REFERENCE_NAME];
    double *const gate = allocate(width), *const up = allocate(width), *const down = allocate(r->hidden);
    write_name(name, "%s.%s", prefix, gate_name);
    apply_linear(r, name, has_bias, width, r->hidden, x, gate);
    write_name(name, "%s.%s", prefix, up_name);
    apply_linear(r, name, has_bias, width, r->hidden, x, up);
    for (size_t i = 0; i < width; i++) gate[i] = activate(r, gate[i]) * up[i];
    write_name(name, "%s.%s", prefix, down_name);
    apply_linear(r, name, has_bias, r->hidden, width, gate, down);
    for (size_t i = 0; i < r->hidden; i++) out[i] += share * down[i];
    free(gate);
    free(up);
    free(down);
}

/* Phi-3: gate and up are one matrix, one above the other. */
static inline void add_fused_gated(struct reference *r, const char *prefix, size_t width, const double *x,
                                   double *out) {
    char name[REFERENCE_NAME];
    double *const both = allocate(2 * width);
    write_name(name, "%s.gate_up_proj", prefix);
    apply_linear(r, name, false, 2 * width, r->hidden, x, both);
    for (size_t i = 0; i < width; i++) both[i] = activate(r, both[i]) * both[width + i];
    write_name(name, "%s.down_proj", prefix);
    apply_linear(r, name, false, r->hidden, width, both, out);
    free(both);
}

/* The `chosen` largest values, by repeated search; the first of equals. Remembers how close a choice was. */
static inline void choose_largest(struct reference *r, const double *values, size_t count, size_t chosen,
                                  size_t *choices) {
    bool is_taken[MAX_REFERENCE_EXPERTS] = {false};
    for (size_t c = 0; c < chosen; c++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < count; i++) {
            if (!is_taken[i] && (best == SIZE_MAX || values[i] > values[best])) best = i;
        }
        is_taken[best] = true;
        choices[c] = best;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_taken[i]) r->closest = fmin(r->closest, values[choices[chosen - 1]] - values[i]);
    }
}

/* Experts outside the best groups cannot be chosen. A group counts its best expert, or its two best. */
static inline void mask_groups(struct reference *r, size_t experts, bool by_two, double *scores) {
    const size_t groups = count_of(r, "n_group"), kept = count_of(r, "topk_group"), size = experts / groups;
    double group_scores[MAX_REFERENCE_EXPERTS];
    size_t best[MAX_REFERENCE_EXPERTS];
    bool is_kept[MAX_REFERENCE_EXPERTS] = {false};
    for (size_t g = 0; g < groups; g++) {
        choose_largest(r, scores + g * size, size, by_two ? 2 : 1, best);
        group_scores[g] = scores[g * size + best[0]] + (by_two ? scores[g * size + best[1]] : 0.0);
    }
    choose_largest(r, group_scores, groups, kept, best);
    for (size_t g = 0; g < kept; g++) is_kept[best[g]] = true;
    for (size_t i = 0; i < experts; i++) {
        if (!is_kept[i / size]) scores[i] = -INFINITY;
    }
}

static inline void normalize_shares(size_t chosen, double *shares) {
    double sum = 1e-20;
    for (size_t c = 0; c < chosen; c++) sum += shares[c];
    for (size_t c = 0; c < chosen; c++) shares[c] /= sum;
}

/* DeepSeek-V3: sigmoid scores; a bias takes part in choosing alone. */
static inline void route_v3(struct reference *r, const char *layer, size_t experts, size_t chosen, double *scores,
                            size_t *choices, double *shares) {
    const double *const bias = get_tensor(r, 0.0, 0.05, experts, 0, 0, "%s.mlp.gate.e_score_correction_bias", layer);
    double for_choice[MAX_REFERENCE_EXPERTS];
    for (size_t i = 0; i < experts; i++) {
        scores[i] = sigmoid(scores[i]);
        for_choice[i] = scores[i] + bias[i];
    }
    mask_groups(r, experts, true, for_choice);
    choose_largest(r, for_choice, experts, chosen, choices);
    for (size_t c = 0; c < chosen; c++) shares[c] = scores[choices[c]];
    if (flag_or(r->config, "norm_topk_prob", true)) normalize_shares(chosen, shares);
}

/* All others: softmax. */
static inline void route_softmax(struct reference *r, size_t experts, size_t chosen, double *scores, size_t *choices,
                                 double *shares) {
    double for_choice[MAX_REFERENCE_EXPERTS];
    soften(scores, experts);
    memcpy(for_choice, scores, experts * sizeof *scores);
    if (strcmp(word_or(r->config, "topk_method", "greedy"), "group_limited_greedy") == 0) {
        mask_groups(r, experts, false, for_choice);
    }
    choose_largest(r, for_choice, experts, chosen, choices);
    for (size_t c = 0; c < chosen; c++) shares[c] = scores[choices[c]];
    if (is_type(r, "mixtral") || (is_type(r, "qwen3_moe") && flag_or(r->config, "norm_topk_prob", false))) {
        normalize_shares(chosen, shares);
    }
}

/* gate_up_proj [experts, gates and then ups, hidden], down_proj [experts, hidden, width]. */
static inline void add_stacked(struct reference *r, const char *layer, size_t experts, size_t expert, size_t width,
                               double share, const double *x, double *out) {
    const double *const both = get_tensor(r, 0.0, 1.5 / sqrt((double)r->hidden), experts, 2 * width, r->hidden,
                                          "%s.mlp.experts.gate_up_proj", layer);
    const double *const down =
        get_tensor(r, 0.0, 1.5 / sqrt((double)width), experts, r->hidden, width, "%s.mlp.experts.down_proj", layer);
    double *const inner = allocate(2 * width), *const given = allocate(r->hidden);
    multiply(both + expert * 2 * width * r->hidden, NULL, 2 * width, r->hidden, x, inner);
    for (size_t i = 0; i < width; i++) inner[i] = activate(r, inner[i]) * inner[width + i];
    if (r->watch != NULL && !r->is_unseen) {
        char name[REFERENCE_NAME];
        write_name(name, "%s.mlp.experts.%zu.gate_up_proj", layer, expert);
        r->watch(r, name, x, r->hidden);
        write_name(name, "%s.mlp.experts.%zu.down_proj", layer, expert);
        r->watch(r, name, inner, width);
    }
    multiply(down + expert * r->hidden * width, NULL, r->hidden, width, inner, given);
    for (size_t i = 0; i < r->hidden; i++) out[i] += share * given[i];
    free(inner);
    free(given);
}

/* Those that were not chosen with a share of 0: all must be made up. */
static inline void add_experts(struct reference *r, const char *layer, const char *module, size_t experts, size_t width,
                               const double *share_of, const double *x, double *out) {
    const bool is_mixtral = is_type(r, "mixtral");
    char name[REFERENCE_NAME];
    for (size_t e = 0; e < experts; e++) {
        write_name(name, "%s.%s.experts.%zu", layer, module, e);
        r->is_unseen = share_of[e] == 0.0;
        if (r->has_stacks) {
            add_stacked(r, layer, experts, e, width, share_of[e], x, out);
        } else {
            add_gated(r, name, is_mixtral ? "w1" : "gate_proj", is_mixtral ? "w3" : "up_proj",
                      is_mixtral ? "w2" : "down_proj", false, width, share_of[e], x, out);
        }
    }
    r->is_unseen = false;
}

static inline void add_mixture(struct reference *r, const char *layer, const double *x, double *out) {
    const bool is_mixtral = is_type(r, "mixtral"), is_deepseek = is_latent(r);
    const char *const module = is_mixtral && !r->has_stacks ? "block_sparse_moe" : "mlp";
    const size_t experts = (size_t)number_or(r->config, is_deepseek ? "n_routed_experts" : "num_local_experts", 0);
    const size_t chosen = count_of(r, "num_experts_per_tok");
    const size_t width = count_of(r, is_mixtral ? "intermediate_size" : "moe_intermediate_size");
    double scores[MAX_REFERENCE_EXPERTS], shares[MAX_REFERENCE_EXPERTS], share_of[MAX_REFERENCE_EXPERTS] = {0.0};
    size_t choices[MAX_REFERENCE_EXPERTS];
    char name[REFERENCE_NAME];
    write_name(name, "%s.%s.gate", layer, module);
    apply_linear(r, name, false, experts, r->hidden, x, scores);
    if (is_type(r, "deepseek_v3")) {
        route_v3(r, layer, experts, chosen, scores, choices, shares);
    } else {
        route_softmax(r, experts, chosen, scores, choices, shares);
    }
    for (size_t c = 0; c < chosen; c++) {
        share_of[choices[c]] = shares[c] * number_or(r->config, "routed_scaling_factor", 1);
    }
    add_experts(r, layer, module, experts, width, share_of, x, out);
    if (!is_deepseek || number_or(r->config, "n_shared_experts", 0) == 0) return;
    write_name(name, "%s.mlp.shared_experts", layer);
    add_gated(r, name, "gate_proj", "up_proj", "down_proj", false, width * count_of(r, "n_shared_experts"), 1.0, x,
              out);
}

/* ---- gpt-oss: stacks of experts with biases, gate and up interleaved ---- */

/*
 * MXFP4 (OCP Microscaling): 32 values share an E8M0 exponent, 4-bit values E2M1, the low half of a byte first. Stored as
 * blocks [experts, out, in / 32, 16] and scales [experts, out, in / 32]; the values come back as [experts, in, out].
 */
static inline const double *get_mxfp4(struct reference *r, size_t experts, size_t in, size_t out, const char *name) {
    static const double magnitudes[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
    char full[REFERENCE_NAME];
    struct reference_tensor *values = find_tensor(r, name);
    if (values != NULL) return values->values;
    values = add_reference(r, name, experts * in * out);
    write_name(full, "%s_blocks", name);
    struct reference_tensor *const blocks = add_reference(r, full, 1);
    write_name(full, "%s_scales", name);
    struct reference_tensor *const scales = add_reference(r, full, 1);
    blocks->dtype = scales->dtype = "U8";
    blocks->rank = 4;
    scales->rank = 3;
    blocks->shape[0] = scales->shape[0] = experts;
    blocks->shape[1] = scales->shape[1] = out;
    blocks->shape[2] = scales->shape[2] = in / 32;
    blocks->shape[3] = 16;
    blocks->size = experts * out * in / 2;
    scales->size = experts * out * in / 32;
    blocks->bytes = malloc(blocks->size);
    scales->bytes = malloc(scales->size);
    ck_assert(blocks->bytes != NULL && scales->bytes != NULL);
    for (size_t i = 0; i < blocks->size; i++) blocks->bytes[i] = (uint8_t)(draw_share(r) * 256.0);
    for (size_t i = 0; i < scales->size; i++) scales->bytes[i] = (uint8_t)(121.0 + draw_share(r) * 3.0);
    for (size_t i = 0; i < experts * out * in; i++) {
        const size_t e = i / (out * in), o = i / in % out, k = i % in;
        const unsigned code = (unsigned)blocks->bytes[i / 2] >> (i % 2 * 4) & 15u;
        const double value = (code & 8u) != 0 ? -magnitudes[code & 7u] : magnitudes[code & 7u];
        values->values[(e * in + k) * out + o] = ldexp(value, scales->bytes[i / 32] - 127);
    }
    return values->values;
}

static inline const double *get_stack(struct reference *r, size_t experts, size_t in, size_t out, const char *layer,
                                      const char *name) {
    char full[REFERENCE_NAME];
    write_name(full, "%s.mlp.experts.%s", layer, name);
    const cJSON *const quantization = cJSON_GetObjectItemCaseSensitive(r->config, "quantization_config");
    if (quantization != NULL) return get_mxfp4(r, experts, in, out, full);
    return get_tensor(r, 0.0, 1.5 / sqrt((double)in), experts, in, out, "%s", full);
}

static inline void add_gpt_oss_expert(struct reference *r, const char *layer, size_t experts, size_t expert,
                                      double share, const double *x, double *out) {
    const size_t width = count_of(r, "intermediate_size");
    const double *const both = get_stack(r, experts, r->hidden, 2 * width, layer, "gate_up_proj");
    const double *const down = get_stack(r, experts, width, r->hidden, layer, "down_proj");
    const double *const both_bias =
        get_tensor(r, 0.0, 0.5, experts, 2 * width, 0, "%s.mlp.experts.gate_up_proj_bias", layer);
    const double *const down_bias =
        get_tensor(r, 0.0, 0.2, experts, r->hidden, 0, "%s.mlp.experts.down_proj_bias", layer);
    double *const inner = allocate(width);
    for (size_t i = 0; i < width; i++) {
        double gate = both_bias[expert * 2 * width + 2 * i], up = both_bias[expert * 2 * width + 2 * i + 1];
        for (size_t k = 0; k < r->hidden; k++) {
            gate += x[k] * both[(expert * r->hidden + k) * 2 * width + 2 * i];
            up += x[k] * both[(expert * r->hidden + k) * 2 * width + 2 * i + 1];
        }
        gate = fmin(gate, 7.0);
        up = fmax(fmin(up, 7.0), -7.0);
        inner[i] = (up + 1.0) * gate * sigmoid(1.702 * gate);
    }
    for (size_t i = 0; i < r->hidden; i++) {
        double sum = down_bias[expert * r->hidden + i];
        for (size_t k = 0; k < width; k++) sum += inner[k] * down[(expert * width + k) * r->hidden + i];
        out[i] += share * sum;
    }
    free(inner);
}

static inline void add_gpt_oss_mixture(struct reference *r, const char *layer, const double *x, double *out) {
    const size_t experts = count_of(r, "num_local_experts"), chosen = count_of(r, "num_experts_per_tok");
    double scores[MAX_REFERENCE_EXPERTS], shares[MAX_REFERENCE_EXPERTS];
    size_t choices[MAX_REFERENCE_EXPERTS];
    char name[REFERENCE_NAME];
    write_name(name, "%s.mlp.router", layer);
    apply_linear(r, name, true, experts, r->hidden, x, scores);
    choose_largest(r, scores, experts, chosen, choices);
    for (size_t c = 0; c < chosen; c++) shares[c] = scores[choices[c]];
    soften(shares, chosen);
    for (size_t c = 0; c < chosen; c++) add_gpt_oss_expert(r, layer, experts, choices[c], shares[c], x, out);
}

#endif
