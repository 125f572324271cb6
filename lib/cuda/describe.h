/* describe.h: from what an operation names by number to what kernels take: rows of slots, weights, caches, single operations. */
#ifndef SINQ_CUDA_DESCRIBE_H
#define SINQ_CUDA_DESCRIBE_H

#include "cuda/program.h"

/* A view's rows; no data where the view is none. */
struct sinq_cuda_rows sinq_cuda_find_rows(const struct sinq_cuda_step *step, struct sinq_view view);
/* A weight's description, NULL where there is none. */
const struct sinq_cuda_matrix *sinq_cuda_find_matrix(const struct sinq_cuda_step *step, uint32_t weight);
/* A vector's values, or NULL. */
const float *sinq_cuda_find_vector(const struct sinq_cuda_step *step, uint32_t weight);

struct sinq_cuda_norm sinq_cuda_describe_norm(const struct sinq_cuda_step *step);
struct sinq_cuda_rope sinq_cuda_describe_rope(const struct sinq_cuda_step *step);
struct sinq_cuda_activation sinq_cuda_describe_activation(const struct sinq_cuda_step *step);
struct sinq_cuda_route sinq_cuda_describe_route(const struct sinq_cuda_step *step);
struct sinq_cuda_combine sinq_cuda_describe_combine(const struct sinq_cuda_step *step);
struct sinq_cuda_head_product sinq_cuda_describe_heads(const struct sinq_cuda_step *step);
/* What an input is made of: of a norm or an activation its values, of a product what it reads. */
struct sinq_cuda_values sinq_cuda_describe_values(const struct sinq_cuda_step *step);
struct sinq_cuda_cache sinq_cuda_describe_cache(const struct sinq_cuda_step *step, uint32_t number);

#endif
