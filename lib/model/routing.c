#include "model/routing.h"

#include <math.h>
#include <string.h>

#include "kernels/rowwise.h"

/* Index of the largest of scores[0..count), the first of equals; what is not a number counts as -infinity. */
static uint32_t find_best(const float *scores, uint32_t count) {
    uint32_t best = 0;
    float largest = -INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        if (!(scores[i] > largest)) continue;
        largest = scores[i];
        best = i;
    }
    return best;
}

/* A group's score: its best expert's, or the sum of its two best. */
static float score_group(const float *scores, uint32_t size, bool by_two) {
    float first = -INFINITY, second = -INFINITY;
    for (uint32_t i = 0; i < size; i++) {
        if (scores[i] > first) {
            second = first;
            first = scores[i];
        } else if (scores[i] > second) {
            second = scores[i];
        }
    }
    return by_two ? first + second : first;
}

/* Experts outside the best groups are out of the question. */
static void drop_groups(const struct sinq_operation *op, float *scores) {
    const uint32_t groups = op->route.groups, size = op->route.experts / groups;
    float group_scores[SINQ_MAX_EXPERT_GROUPS];
    bool is_kept[SINQ_MAX_EXPERT_GROUPS] = {false};
    for (uint32_t g = 0; g < groups; g++) {
        group_scores[g] = score_group(scores + g * size, size, op->route.groups_by_two);
    }
    for (uint32_t i = 0; i < op->route.top_groups; i++) {
        const uint32_t best = find_best(group_scores, groups);
        is_kept[best] = true;
        group_scores[best] = -INFINITY;
    }
    for (uint32_t e = 0; e < op->route.experts; e++) {
        if (!is_kept[e / size]) scores[e] = -INFINITY;
    }
}

/* What the shares are taken from: probabilities, or for top-softmax the logits. */
static void score_experts(const struct sinq_operation *op, const float *logits, float *shares) {
    memcpy(shares, logits, op->route.experts * sizeof *shares);
    if (op->route.routing == SINQ_ROUTING_SOFTMAX) sinq_softmax_row(shares, op->route.experts);
    if (op->route.routing == SINQ_ROUTING_SIGMOID) {
        for (uint32_t e = 0; e < op->route.experts; e++) shares[e] = 1.0f / (1.0f + expf(-logits[e]));
    }
}

void sinq_route_row(const struct sinq_operation *op, const float *logits, const float *bias, float *choices) {
    float shares[SINQ_MAX_EXPERTS], scores[SINQ_MAX_EXPERTS];
    const uint32_t experts = op->route.experts, chosen = op->route.chosen;
    float *const chosen_shares = choices + chosen;
    score_experts(op, logits, shares);
    for (uint32_t e = 0; e < experts; e++) scores[e] = bias == NULL ? shares[e] : shares[e] + bias[e];
    if (op->route.groups > 1) drop_groups(op, scores);
    bool is_taken[SINQ_MAX_EXPERTS] = {false};
    for (uint32_t c = 0; c < chosen; c++) {
        uint32_t best = find_best(scores, experts);
        /* Where nothing is left that is a number, the lowest that is free. */
        for (uint32_t e = 0; is_taken[best] && e < experts; e++) best = e;
        is_taken[best] = true;
        scores[best] = -INFINITY;
        choices[c] = (float)best;
        chosen_shares[c] = shares[best];
    }
    if (op->route.routing == SINQ_ROUTING_TOP_SOFTMAX) sinq_softmax_row(chosen_shares, chosen);
    float sum = 1e-20f;
    for (uint32_t c = 0; c < chosen; c++) sum += chosen_shares[c];
    const float factor = op->route.normalized ? op->route.scale / sum : op->route.scale;
    for (uint32_t c = 0; c < chosen; c++) chosen_shares[c] *= factor;
}
