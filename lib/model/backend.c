/* backend.c: what all backends ask of an operation that is enqueued. */
#include "model/backend.h"

#include "base/error.h"

uint32_t sinq_main_weight(const struct sinq_operation *operation) {
    switch (operation->kind) {
    case SINQ_OP_EMBED:
        return operation->embed.weight;
    case SINQ_OP_NORM:
        return operation->norm.weight;
    case SINQ_OP_LINEAR:
        return operation->linear.weight;
    case SINQ_OP_HEAD_LINEAR:
        return operation->head_linear.weight;
    case SINQ_OP_EXPERT_LINEAR:
        return operation->expert_linear.first_weight;
    default:
        return SINQ_NO_WEIGHT;
    }
}

int sinq_count_rows(const struct sinq_operation *operation, const struct sinq_frame *frame, uint32_t *rows,
                    struct sinq_error *error) {
    const uint32_t weight = sinq_main_weight(operation);
    *rows = operation->for_logits ? frame->row_count : frame->count;
    if (*rows == 0 || weight == SINQ_NO_WEIGHT || frame->weights[weight] != NULL) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "operation %d needs weight %u, which is missing", (int)operation->kind,
                     weight);
}
