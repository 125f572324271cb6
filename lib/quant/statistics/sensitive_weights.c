#include "quant/statistics/sensitive_weights.h"

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

/* The subject of that name among those of a part, uses [from, to); SIZE_MAX where there is none. */
static size_t find_name(const struct sinq_sensitive_weights *weights, size_t from, size_t to, const char *name) {
    for (size_t i = from; i < to; i++) {
        if (strcmp(weights->names[weights->uses[i].subject], name) == 0) return weights->uses[i].subject;
    }
    return SIZE_MAX;
}

/* Of the part in hand, whose uses begin at `begin`; the head may read what came before the layers, too. */
static size_t find_subject(struct sinq_sensitive_weights *weights, const struct sinq_want *want, size_t begin) {
    char name[sizeof *weights->names];
    size_t first_end = 0;
    (void)snprintf(name, sizeof name, "%.150s%.15s" SINQ_SENSITIVITY_SUFFIX, want->module, want->suffix);
    while (first_end < weights->use_count && weights->uses[first_end].part == 0) first_end++;
    size_t found = find_name(weights, begin, weights->use_count, name);
    if (found == SIZE_MAX) found = find_name(weights, 0, first_end, name);
    if (found != SIZE_MAX) return found;
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
    size_t begin = 0;
    for (uint32_t i = 0; i < graph->operation_count && status == SINQ_OK; i++) {
        uint32_t first, count;
        if (i > 0 && parts[i] != parts[i - 1]) begin = weights->use_count;
        if (!find_matrices(graph, &graph->operations[i], &first, &count)) continue;
        const size_t subject = find_subject(weights, &graph->wants[first], begin);
        for (uint32_t w = 0; w < count && status == SINQ_OK; w++) {
            const struct sinq_sensitive_use use = {subject, first + w, parts[i]};
            /* Experts are read once. */
            if (count > 1 || !is_known(weights, use)) status = add_use(weights, use, error);
        }
    }
    return status;
}

void sinq_free_sensitive_weights(struct sinq_sensitive_weights *weights) {
    free(weights->names);
    free(weights->uses);
    *weights = (struct sinq_sensitive_weights){.count = 0};
}
