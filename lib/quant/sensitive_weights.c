#include "quant/sensitive_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/backend.h"

/* Matrices [*first, + *count) of an operation that has any. */
static bool find_matrices(const struct sinq_graph *graph, const struct sinq_operation *op, uint32_t *first,
                          uint32_t *count) {
    *first = sinq_main_weight(op);
    *count = op->kind == SINQ_OP_EXPERT_LINEAR ? op->expert_linear.experts : 1;
    return *first != SINQ_NO_WEIGHT && !graph->wants[*first].is_vector;
}

/* The last ones are the likeliest: layers follow each other. */
static size_t find_subject(struct sinq_sensitive_weights *weights, const struct sinq_want *want) {
    char name[sizeof *weights->names];
    (void)snprintf(name, sizeof name, "%.150s%.15s" SINQ_SENSITIVITY_SUFFIX, want->module, want->suffix);
    for (size_t i = weights->count; i-- > 0;) {
        if (strcmp(weights->names[i], name) == 0) return i;
    }
    memcpy(weights->names[weights->count], name, sizeof name);
    return weights->count++;
}

static bool is_known(const struct sinq_sensitive_weights *weights, struct sinq_sensitive_use use) {
    for (size_t i = weights->use_count; i-- > 0 && weights->uses[i].part == use.part;) {
        if (weights->uses[i].want == use.want) return true;
    }
    return false;
}

static int add_use(struct sinq_sensitive_weights *weights, struct sinq_sensitive_use use, struct sinq_error *error) {
    if (weights->use_count == weights->use_capacity) {
        const size_t capacity = weights->use_capacity == 0 ? 256 : 2 * weights->use_capacity;
        struct sinq_sensitive_use *const uses = realloc(weights->uses, capacity * sizeof *uses);
        if (uses == NULL) return sinq_fail_memory(error, "a model's weights", capacity * sizeof *uses);
        weights->uses = uses;
        weights->use_capacity = capacity;
    }
    weights->uses[weights->use_count++] = use;
    return SINQ_OK;
}

int sinq_find_sensitive_weights(const struct sinq_graph *graph, const uint32_t *parts,
                                struct sinq_sensitive_weights *weights, struct sinq_error *error) {
    *weights = (struct sinq_sensitive_weights){.names = calloc(graph->operation_count + 1, sizeof *weights->names)};
    int status =
        weights->names == NULL ? sinq_fail_memory(error, "a model's weights", graph->operation_count) : SINQ_OK;
    for (uint32_t i = 0; i < graph->operation_count && status == SINQ_OK; i++) {
        uint32_t first, count;
        if (!find_matrices(graph, &graph->operations[i], &first, &count)) continue;
        const size_t subject = find_subject(weights, &graph->wants[first]);
        for (uint32_t w = 0; w < count && status == SINQ_OK; w++) {
            const struct sinq_sensitive_use use = {subject, first + w, parts[i]};
            if (!is_known(weights, use)) status = add_use(weights, use, error);
        }
    }
    return status;
}

void sinq_free_sensitive_weights(struct sinq_sensitive_weights *weights) {
    free(weights->names);
    free(weights->uses);
    *weights = (struct sinq_sensitive_weights){.count = 0};
}
