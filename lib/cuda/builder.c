#include "cuda/builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

struct sinq_cuda_action *sinq_cuda_add_action(struct sinq_cuda_builder *builder, enum sinq_cuda_action_kind kind,
                                              const struct sinq_cuda_step *step) {
    struct sinq_cuda_program *const program = builder->program;
    if (program->action_count == program->action_capacity) {
        const uint32_t capacity = program->action_capacity == 0 ? 256 : 2 * program->action_capacity;
        struct sinq_cuda_action *const grown = realloc(program->actions, capacity * sizeof *grown);
        if (grown == NULL) {
            (void)sinq_fail_memory(builder->error, "kernels", capacity * sizeof *grown);
            return NULL;
        }
        program->actions = grown;
        program->action_capacity = capacity;
    }
    struct sinq_cuda_action *const action = &program->actions[program->action_count++];
    memset(action, 0, sizeof *action);
    action->kind = kind;
    action->operation = step->operation;
    action->rows = step->rows;
    return action;
}

void *sinq_cuda_take_scratch(struct sinq_cuda_builder *builder, uint64_t bytes) {
    void *const taken = builder->scratch == NULL ? NULL : builder->scratch + builder->used;
    builder->used += sinq_round_up(bytes, 256);
    builder->program->scratch_bytes = sinq_max_u64(builder->program->scratch_bytes, builder->used);
    return taken;
}

struct sinq_cuda_input sinq_cuda_take_input(struct sinq_cuda_builder *builder, uint32_t cols, uint64_t rows,
                                            uint32_t group_size) {
    struct sinq_cuda_input input = {.padded = (uint32_t)sinq_round_up(cols, SINQ_CUDA_PADDING),
                                    .group = sinq_cuda_input_group(group_size)};
    input.digits = sinq_cuda_take_scratch(builder, rows * 2 * input.padded);
    input.scales = sinq_cuda_take_scratch(builder, rows * (input.padded / input.group) * 2 * sizeof(float));
    return input;
}
