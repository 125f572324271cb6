/*
 * program.h: the operations of a batch as kernels with all that they need. What belongs together becomes one kernel: products of one
 * input; the norm, activation or joining of attention's parts that makes the input, with its rounding to integers; norms and ropes of
 * heads with the cache.
 *
 * A program depends on operations, weights, buffers and numbers of rows alone, not on tokens and positions (struct
 * sinq_cuda_state).
 */
#ifndef SINQ_CUDA_PROGRAM_H
#define SINQ_CUDA_PROGRAM_H

#include "cuda/cuda_backend.h"

/* An operation that was enqueued. */
struct sinq_cuda_step {
    const struct sinq_operation *operation;
    const struct sinq_frame *frame;
    uint32_t rows;
};

enum sinq_cuda_action_kind {
    SINQ_CUDA_EMBED,
    SINQ_CUDA_NORM,
    SINQ_CUDA_ROTATION,
    SINQ_CUDA_ROPE,
    SINQ_CUDA_STORE,
    SINQ_CUDA_TURN,
    SINQ_CUDA_ATTEND,
    SINQ_CUDA_JOIN,
    SINQ_CUDA_ACTIVATE,
    SINQ_CUDA_ADD,
    SINQ_CUDA_SOFTCAP,
    SINQ_CUDA_ROUTE,
    SINQ_CUDA_COMBINE,
    SINQ_CUDA_PREPARE,
    SINQ_CUDA_MULTIPLY,
    SINQ_CUDA_MULTIPLY_DENSE,
    SINQ_CUDA_MULTIPLY_HEADS,
    SINQ_CUDA_MULTIPLY_EXPERTS,
    SINQ_CUDA_MULTIPLY_TILED,
    SINQ_CUDA_ATTEND_ROWS
};

/* One kernel, or a few that belong together. */
struct sinq_cuda_action {
    enum sinq_cuda_action_kind kind;
    const struct sinq_operation *operation; /* the last of those that it carries out */
    uint32_t rows;
    union {
        struct {
            struct sinq_cuda_matrix matrix;
            const int32_t *tokens;
            struct sinq_cuda_rows out;
            float scale;
        } embed;
        struct sinq_cuda_norm norm;
        struct {
            const double *frequencies;
            uint32_t pairs;
            double factor;
            struct sinq_cuda_rows out;
        } rotation;
        struct sinq_cuda_rope rope;
        struct {
            struct sinq_cuda_cache cache;
            struct sinq_cuda_rows keys, values;
        } store;
        struct sinq_cuda_turn turn;
        struct sinq_cuda_attention attention; /* attend, attend rows, join */
        struct sinq_cuda_activation activation;
        struct {
            struct sinq_cuda_rows in, out;
            uint32_t width;
            float cap;
        } plain; /* add, softcap */
        struct sinq_cuda_route route;
        struct sinq_cuda_combine combine;
        struct sinq_cuda_preparation preparation;
        struct sinq_cuda_products products;
        struct {
            struct sinq_cuda_matrix matrix;
            struct sinq_cuda_rows in, y;
            const float *bias;
            bool accumulate;
        } dense;
        struct sinq_cuda_tiled_products tiled;
        struct sinq_cuda_head_product heads;
        struct {
            struct sinq_cuda_expert_products products;
            bool is_dense;
        } experts;
    };
};

struct sinq_cuda_program {
    struct sinq_cuda_step *steps;
    struct sinq_cuda_action *actions;
    uint32_t step_count, action_count, action_capacity;
    uint64_t scratch_bytes; /* that its kernels need */
    cudaGraphExec_t graph;  /* NULL: not recorded */
    bool was_run;
};

/* Descriptions of an operation's experts in the device's memory; the queue keeps them. */
struct sinq_cuda_experts {
    const struct sinq_operation *operation;
    uint8_t *memory; /* matrices, then biases */
    uint64_t bytes;
    const struct sinq_cuda_matrix *matrices;
    const float *const *biases;
    bool is_dense; /* of several forms, or of one that only dense.cu can do */
};

/* Frequencies of a rope in the device's memory. */
struct sinq_cuda_frequencies {
    const struct sinq_rope *rope;
    uint8_t *memory;
    double *host; /* what memory holds */
};

struct sinq_queue {
    struct sinq_cuda_backend *backend;
    struct sinq_queue_options options;
    struct sinq_cuda_step *steps;
    uint32_t step_count, step_capacity;
    struct sinq_cuda_program *programs; /* kept ones */
    unsigned next_program;              /* to make room for a new one */
    struct sinq_buffer scratch;
    struct sinq_cuda_state *state;       /* of the device */
    struct sinq_cuda_state *host_states; /* pinned: of each batch that was submitted since the last wait */
    unsigned submitted;                  /* so many */
    struct sinq_buffer finished;         /* for products whose columns are shared out among blocks */
    struct sinq_cuda_experts *experts;
    uint32_t expert_count;
    struct sinq_cuda_frequencies *frequencies;
    uint32_t frequency_count;
};

/*
 * Makes a program of steps, which it copies, with its scratch memory at `scratch` (NULL: to find out how much it needs). Empty it
 * with sinq_cuda_empty_program, also after a failure.
 */
int sinq_cuda_compile(struct sinq_queue *queue, const struct sinq_cuda_step *steps, uint32_t count, uint8_t *scratch,
                      struct sinq_cuda_program *program, struct sinq_error *error);
void sinq_cuda_empty_program(struct sinq_cuda_program *program);

/* Puts one action's kernels on the line. */
cudaError_t sinq_cuda_run_action(struct sinq_cuda_line line, const struct sinq_cuda_action *action,
                                 const struct sinq_cuda_state *state);

/* Experts of an operation, found or made. */
int sinq_cuda_find_experts(struct sinq_queue *queue, const struct sinq_cuda_step *step,
                           const struct sinq_cuda_experts **experts, struct sinq_error *error);
/* Frequencies of a rope, found or made; sinq_cuda_update_frequencies fills them in for a batch. */
int sinq_cuda_find_frequencies(struct sinq_queue *queue, const struct sinq_rope *rope, const double **frequencies,
                               struct sinq_error *error);
int sinq_cuda_update_frequencies(struct sinq_queue *queue, uint64_t length, struct sinq_error *error);
void sinq_cuda_free_tables(struct sinq_queue *queue);

#endif
