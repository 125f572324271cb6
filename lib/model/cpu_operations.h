/* cpu_operations.h: what the CPU backend's files know of single operations: weights, parts of slots, rows and heads. */
#ifndef SINQ_MODEL_CPU_OPERATIONS_H
#define SINQ_MODEL_CPU_OPERATIONS_H

#include "model/cpu_program.h"

/* Row operations: rows [first, first + count). NULL for kinds that are none. */
typedef void sinq_cpu_rows_fn(const struct sinq_cpu_step *step, uint32_t first, uint32_t count);
sinq_cpu_rows_fn *sinq_cpu_rows_of(enum sinq_operation_kind kind);

/* Heads [first, first + count) of one row, for norms, ropes and stores. NULL for other kinds. */
typedef void sinq_cpu_heads_fn(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count);
sinq_cpu_heads_fn *sinq_cpu_heads_of(enum sinq_operation_kind kind);

/* Values [first, first + count) of each run of one row. */
void sinq_cpu_activate_values(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count);
void sinq_cpu_combine_values(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count);

/* The expert that a token's choice `place` fell on. */
uint32_t sinq_cpu_chosen_expert(const struct sinq_cpu_step *step, uint32_t row, uint32_t place);

/* Rows [first, first + rows) through all steps, one after the other. */
void sinq_cpu_run_rows(const struct sinq_cpu_step *steps, uint32_t count, uint32_t first, uint32_t rows);
/* One row's steps, by whoever comes first; all meet. */
void sinq_cpu_run_solo(const struct sinq_cpu_step *steps, uint32_t count, const struct sinq_cpu_hand *hand);

/* Team operations: rounds of items, all workers together. */
void sinq_cpu_products(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage,
                       const struct sinq_cpu_hand *hand);
void sinq_cpu_head_linear(const struct sinq_cpu_step *step, const struct sinq_cpu_hand *hand);
void sinq_cpu_attention(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage,
                        const struct sinq_cpu_hand *hand);
void sinq_cpu_expert_linear(const struct sinq_cpu_step *step, const struct sinq_cpu_hand *hand);

/* Rows of an item where workers take rows: whole tiles of prepared input, if there are rows enough. */
uint32_t sinq_cpu_item_rows(uint32_t rows, unsigned workers);

struct sinq_cpu_needs sinq_cpu_head_linear_needs(const struct sinq_cpu_step *step);
struct sinq_cpu_needs sinq_cpu_attention_needs(const struct sinq_cpu_step *step);
struct sinq_cpu_needs sinq_cpu_expert_linear_needs(const struct sinq_cpu_step *step);

#endif
