/*
 * builder.h: how a program is put together: actions one behind the other, their scratch memory, and what adds the actions of products
 * and of attention. Functions that add return SINQ_OK, or SINQ_FAILED with a message in builder->error; steps that they take
 * follow each other. For program.c, which begins with a new builder for each program.
 */
#ifndef SINQ_CUDA_BUILDER_H
#define SINQ_CUDA_BUILDER_H

#include "cuda/program.h"

struct sinq_cuda_builder {
    struct sinq_queue *queue;
    struct sinq_cuda_program *program;
    uint8_t *scratch; /* NULL: only measured */
    uint64_t used;    /* of scratch, by the actions that belong together */
    struct sinq_error *error;
};

/* A new action; NULL when out of memory. */
struct sinq_cuda_action *sinq_cuda_add_action(struct sinq_cuda_builder *builder, enum sinq_cuda_action_kind kind,
                                              const struct sinq_cuda_step *step);
/* Scratch memory, until builder->used is 0 again. */
void *sinq_cuda_take_scratch(struct sinq_cuda_builder *builder, uint64_t bytes);
struct sinq_cuda_input sinq_cuda_take_input(struct sinq_cuda_builder *builder, uint32_t cols, uint64_t rows,
                                            uint32_t group_size);

static inline bool sinq_cuda_same_view(struct sinq_view a, struct sinq_view b) {
    return a.slot == b.slot && a.offset == b.offset;
}

/* ---- add_products.c ---- */

/* Whether products with two matrices can be carried out as one. */
typedef bool sinq_cuda_alike(const struct sinq_cuda_matrix *first, const struct sinq_cuda_matrix *other);
/* How many products from this step on, a product, have one input and are alike. */
uint32_t sinq_cuda_count_alike(const struct sinq_cuda_step *steps, uint32_t left, sinq_cuda_alike *are_alike);

bool sinq_cuda_is_quantized_product(const struct sinq_cuda_step *step);
/* How many products from this step on, a quantized one, are carried out as one. */
uint32_t sinq_cuda_count_products(const struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps,
                                  uint32_t left);
/* Whether the values of a norm or an activation can be made together with the input of the products behind it. */
bool sinq_cuda_makes_input(const struct sinq_cuda_step *step, const struct sinq_cuda_step *next, uint32_t products);
/* The input of products, which `values` describes, and the products. */
int sinq_cuda_add_products(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t count,
                           const struct sinq_cuda_values *values);
/* Whether two products from this step on, carried out as one, are a gate and an up, which an activation makes the next product's input. */
bool sinq_cuda_are_gated_products(const struct sinq_cuda_step *steps, uint32_t products, uint32_t left);
/* These four steps. */
int sinq_cuda_add_gated_products(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps,
                                 const struct sinq_cuda_values *values);
int sinq_cuda_add_dense(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step);

/* ---- add_tiles.c ---- */

#define SINQ_CUDA_FEWEST_TILED_ROWS 8u /* fewer are multiplied as one token's are */
/* How many steps are products of many rows with one input, with what makes the input where it can; 0: they are none. */
uint32_t sinq_cuda_count_tiled_steps(const struct sinq_cuda_step *steps, uint32_t left);
int sinq_cuda_add_tiled(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t count);
bool sinq_cuda_are_tiled_experts(const struct sinq_cuda_step *step, bool is_dense);
int sinq_cuda_add_tiled_experts(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step,
                                const struct sinq_cuda_experts *experts);

/* ---- add_attention.c ---- */

/* How many steps, norms of queries and keys (or none), their ropes and the store, are one kernel; 0: they are none. */
uint32_t sinq_cuda_count_turn_steps(const struct sinq_cuda_step *steps, uint32_t left);
int sinq_cuda_add_turn(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t count);
/* Whether attention behind such steps does their work, too; `left` counts all steps. */
bool sinq_cuda_turns_in_attention(const struct sinq_cuda_step *steps, uint32_t turn_steps, uint32_t left);
/* Attention, with the `turn_steps` before it, of which sinq_cuda_turns_in_attention says so, and the product behind it. */
int sinq_cuda_add_attention(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t turn_steps,
                            bool with_product);
/* Whether these two are attention and a quantized product of what it gives, and nothing else. */
bool sinq_cuda_is_attended_product(const struct sinq_cuda_step *steps);

#endif
