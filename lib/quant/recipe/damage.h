/*
 * damage.h: what quantizing a tensor is expected to cost, before any weight is read: its relative squared error times how much the
 * model's predictions suffer from such an error there. In nats of KL divergence a token.
 *
 * The errors are those of normally distributed weights, which groups of trained ones are close to once they are normalized. The
 * sensitivities, where calibration has not measured the model's own (sensitivities.h), are those of a model of 12 layers
 * (docs/quality.md, "Which width for which tensor"): each tensor quantized by itself. They add up: all tensors together cost within a tenth of the sum. What is taken from them is what other models share:
 * the kind of a tensor, that the first and the last layer suffer more, and that a layer of a deep model matters less in proportion. The number
 * of weights does not enter: so a small tensor, as the value projection of grouped-query attention, is worth more bits.
 */
#ifndef SINQ_QUANT_DAMAGE_H
#define SINQ_QUANT_DAMAGE_H

#include "checkpoint/roles.h"
#include "sinq.h"

/* |W - W'|^2 / |W|^2. Group sizes between those measured count as the next larger one. */
double sinq_expect_error(enum sinq_method method, int bits, uint32_t group_size);

/* Where in its model a tensor is. */
struct sinq_tensor_place {
    enum sinq_role role;
    int layer;        /* -1: outside the layers */
    int layers;       /* of the model, at least 1 */
    uint64_t experts; /* among how many tensors of that role in that layer tokens are shared out; else 1 */
    bool is_tied;     /* an embedding that is the output head, too */
};

/* Nats of KL divergence for each unit of relative squared error. */
double sinq_expect_sensitivity(const struct sinq_tensor_place *place);

#endif
