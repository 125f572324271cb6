/* tables.c: what a queue keeps in the device's memory besides weights and slots: descriptions of experts, frequencies of ropes. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/program.h"
#include "model/rope.h"

/* ---- experts ---- */

static const struct sinq_cuda_matrix *expert_matrix(const struct sinq_cuda_step *step, uint32_t expert) {
    const struct sinq_held *const held = step->frame->weights[step->operation->expert_linear.first_weight + expert];
    return held == NULL ? NULL : &held->matrix;
}

static const float *expert_bias(const struct sinq_cuda_step *step, uint32_t expert) {
    const uint32_t first = step->operation->expert_linear.first_bias;
    const struct sinq_held *const held = first == SINQ_NO_WEIGHT ? NULL : step->frame->weights[first + expert];
    return held == NULL ? NULL : (const float *)(const void *)held->matrix.elements;
}

static int fill_experts(struct sinq_queue *queue, const struct sinq_cuda_step *step, struct sinq_cuda_experts *made,
                        uint8_t *host, struct sinq_error *error) {
    const uint32_t count = step->operation->expert_linear.experts;
    struct sinq_cuda_matrix *const matrices = (struct sinq_cuda_matrix *)(void *)host;
    const float **const biases = (const float **)(void *)(host + count * sizeof *matrices);
    const struct sinq_cuda_matrix *const first = expert_matrix(step, 0);
    for (uint32_t e = 0; e < count; e++) {
        const struct sinq_cuda_matrix *const matrix = expert_matrix(step, e);
        if (matrix == NULL) return sinq_fail(error, SINQ_FAILED, "expert %u is missing", e);
        matrices[e] = *matrix;
        biases[e] = expert_bias(step, e);
        made->is_dense = made->is_dense || !sinq_cuda_can_multiply(matrix) || matrix->bits != first->bits ||
                         matrix->group_size != first->group_size ||
                         sinq_cuda_is_usual(matrix) != sinq_cuda_is_usual(first);
    }
    const int status = sinq_cuda_allocate(queue->backend, made->bytes, "descriptions of experts", &made->memory, error);
    if (status != SINQ_OK) return status;
    made->matrices = (const struct sinq_cuda_matrix *)(const void *)made->memory;
    if (biases[0] != NULL) {
        made->biases = (const float *const *)(const void *)(made->memory + count * sizeof *matrices);
    }
    return sinq_cuda_copy_in(queue->backend, made->memory, host, made->bytes, error);
}

int sinq_cuda_find_experts(struct sinq_queue *queue, const struct sinq_cuda_step *step,
                           const struct sinq_cuda_experts **experts, struct sinq_error *error) {
    for (uint32_t i = 0; i < queue->expert_count; i++) {
        *experts = &queue->experts[i];
        if (queue->experts[i].operation == step->operation) return SINQ_OK;
    }
    struct sinq_cuda_experts *const grown = realloc(queue->experts, (queue->expert_count + 1) * sizeof *queue->experts);
    if (grown == NULL) return sinq_fail_memory(error, "descriptions of experts", sizeof *grown);
    queue->experts = grown;
    struct sinq_cuda_experts *const made = &grown[queue->expert_count];
    *made = (struct sinq_cuda_experts){.operation = step->operation,
                                       .bytes = step->operation->expert_linear.experts *
                                                (sizeof(struct sinq_cuda_matrix) + sizeof(const float *))};
    uint8_t *const host = calloc(1, (size_t)made->bytes);
    const int status = host == NULL ? sinq_fail_memory(error, "descriptions of experts", made->bytes)
                                    : fill_experts(queue, step, made, host, error);
    free(host);
    if (status == SINQ_OK) {
        queue->expert_count++;
    } else {
        sinq_cuda_free(queue->backend, made->memory, made->bytes);
    }
    *experts = made;
    return status;
}

/* ---- ropes ---- */

static uint64_t frequency_bytes(const struct sinq_rope *rope) { return rope->dims / 2 * sizeof(double); }

int sinq_cuda_find_frequencies(struct sinq_queue *queue, const struct sinq_rope *rope, const double **frequencies,
                               struct sinq_error *error) {
    for (uint32_t i = 0; i < queue->frequency_count; i++) {
        *frequencies = (const double *)(const void *)queue->frequencies[i].memory;
        if (queue->frequencies[i].rope == rope) return SINQ_OK;
    }
    struct sinq_cuda_frequencies *const grown =
        realloc(queue->frequencies, (queue->frequency_count + 1) * sizeof *queue->frequencies);
    if (grown == NULL) return sinq_fail_memory(error, "a rope", sizeof *grown);
    queue->frequencies = grown;
    struct sinq_cuda_frequencies *const made = &grown[queue->frequency_count];
    *made = (struct sinq_cuda_frequencies){.rope = rope, .host = calloc(1, (size_t)frequency_bytes(rope) + 1)};
    if (made->host == NULL) return sinq_fail_memory(error, "a rope", frequency_bytes(rope));
    int status = sinq_cuda_allocate(queue->backend, frequency_bytes(rope), "a rope", &made->memory, error);
    if (status == SINQ_OK) {
        queue->frequency_count++;
    } else {
        free(made->host);
    }
    *frequencies = (const double *)(const void *)made->memory;
    return status;
}

int sinq_cuda_update_frequencies(struct sinq_queue *queue, uint64_t length, struct sinq_error *error) {
    double wanted[SINQ_MAX_ROPE_PAIRS];
    int status = SINQ_OK;
    for (uint32_t i = 0; i < queue->frequency_count && status == SINQ_OK; i++) {
        struct sinq_cuda_frequencies *const kept = &queue->frequencies[i];
        const size_t bytes = (size_t)frequency_bytes(kept->rope);
        sinq_rope_frequencies(kept->rope, length, wanted);
        if (memcmp(wanted, kept->host, bytes) == 0) continue;
        memcpy(kept->host, wanted, bytes);
        status = sinq_cuda_copy_in(queue->backend, kept->memory, wanted, bytes, error);
    }
    return status;
}

void sinq_cuda_free_tables(struct sinq_queue *queue) {
    for (uint32_t i = 0; i < queue->expert_count; i++) {
        sinq_cuda_free(queue->backend, queue->experts[i].memory, queue->experts[i].bytes);
    }
    for (uint32_t i = 0; i < queue->frequency_count; i++) {
        sinq_cuda_free(queue->backend, queue->frequencies[i].memory, frequency_bytes(queue->frequencies[i].rope));
        free(queue->frequencies[i].host);
    }
    free(queue->experts);
    free(queue->frequencies);
}
