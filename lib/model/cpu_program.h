/*
 * cpu_program.h: the operations of a batch as stages. Workers meet between stages, and within one where it says so.
 *
 * A stage is a run of row operations that lead in, then one thing that the team shares out:
 *   rows       nothing more
 *   products   matrices: those of consecutive products with the same input, and what can be done with their rows at once
 *   attention  keys and values of the cache
 *   heads      products with a matrix's own rows for each head
 *   experts    products with experts, of several tokens
 *
 * Row operations compute each row by itself. With several rows, workers take rows and carry out all that leads in on them, the
 * preparing of the products' inputs included; then they meet. One row is not worth that: whoever comes first does alone what
 * leads in, and they meet; but a last operation that makes the stage's input each worker carries out for itself, on a row of
 * its own, and none waits. Likewise, keys and values of one token are rotated and stored head by head by who attends to them.
 *
 * A program depends on its operations, weights and numbers of rows and workers alone, not on tokens and positions. Its results
 * are the same for any number of workers.
 */
#ifndef SINQ_MODEL_CPU_PROGRAM_H
#define SINQ_MODEL_CPU_PROGRAM_H

#include "model/cpu_queue.h"
#include "model/panel_shares.h"

enum sinq_cpu_stage_kind {
    SINQ_STAGE_ROWS,
    SINQ_STAGE_PRODUCTS,
    SINQ_STAGE_ATTENTION,
    SINQ_STAGE_HEADS,
    SINQ_STAGE_EXPERTS
};

/* The prepared input of a product; experts: of choice `place` of the row's. */
struct sinq_cpu_input {
    uint32_t step, place;
    size_t offset; /* in prepared memory */
};

/* Panels of a product's matrix; experts: of choice `place` of the row's. */
struct sinq_cpu_factor {
    uint32_t step, place, input;
    uint32_t first_panel, panels;
};

struct sinq_cpu_stage {
    enum sinq_cpu_stage_kind kind;
    uint32_t rows;
    uint32_t first, lead;  /* steps [first, first + lead) lead in */
    uint32_t main, mains;  /* steps of the stage itself */
    uint32_t finish;       /* the step that is carried out on the products' rows at once, or SINQ_NO_STEP */
    uint32_t panel_values; /* of it, for each panel */
    bool has_own_row;      /* each worker carries out the last step that leads in on a row of its own */
    bool is_own;           /* products: each worker prepares the inputs for itself */
    bool is_parallel;      /* products: a share is the same panels of every factor; else of one */
    bool by_head;          /* attention: what leads in is done head by head */
    uint32_t first_input, inputs, first_factor, factors, first_share, shares;
    uint32_t first_lane, lanes;
    size_t multiply_bytes,
        own_bytes; /* in a worker's scratch: the products', then its own row, then inputs where is_own */
};
#define SINQ_NO_STEP UINT32_MAX

struct sinq_cpu_program {
    struct sinq_cpu_step *steps;
    struct sinq_cpu_stage *stages;
    struct sinq_cpu_input *inputs;
    struct sinq_cpu_factor *factors;
    struct sinq_panel_share *shares;
    struct sinq_lane *lanes;
    uint32_t step_count, stage_count, input_count, factor_count, share_count, lane_count;
    uint32_t stage_capacity, input_capacity, factor_capacity, share_capacity, lane_capacity;
    unsigned workers;
    struct sinq_cpu_needs needs; /* without attention */
};

/* Steps are copied. Empty it afterwards, also on failure. Up to `threads` workers, as many as the work is worth. */
int sinq_cpu_compile(struct sinq_cpu_program *program, const struct sinq_cpu_step *steps, uint32_t count,
                     unsigned threads, struct sinq_error *error);
void sinq_cpu_empty_program(struct sinq_cpu_program *program);

/* Scratch memory for the positions that are at hand. */
struct sinq_cpu_needs sinq_cpu_find_needs(const struct sinq_cpu_program *program);

/* Carries it out: all workers of a team together, `program->workers` of them or fewer. */
void sinq_cpu_run(const struct sinq_cpu_program *program, const struct sinq_cpu_hand *hand);

#endif
