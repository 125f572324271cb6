/* route.cu: which experts a token goes to; lib/model/routing.c is the reference. One warp a token. */
#include "cuda/values.cuh"
#include "model/routing.h"

/* The largest of scores[0 .. count), the first of equals; what is not a number counts as -infinity. In every lane. */
static __device__ uint32_t find_best(const float *scores, uint32_t count) {
    uint32_t best = 0;
    float largest = -INFINITY;
    for (uint32_t i = threadIdx.x; i < count; i += 32) {
        if (!(scores[i] > largest)) continue;
        largest = scores[i];
        best = i;
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, largest, distance);
        const uint32_t at = __shfl_xor_sync(0xffffffffu, best, distance);
        if (!(other > largest) && !(other == largest && at < best)) continue;
        largest = other;
        best = at;
    }
    return largest == -INFINITY ? 0 : best;
}

static __device__ void softmax(float *values, uint32_t count) {
    float largest = -INFINITY;
    for (uint32_t i = threadIdx.x; i < count; i += 32) largest = fmaxf(largest, values[i]);
    largest = warp_largest(largest);
    double sum = 0;
    for (uint32_t i = threadIdx.x; i < count; i += 32) {
        values[i] = expf(values[i] - largest);
        sum += values[i];
    }
    const float inverse = (float)(1.0 / warp_sum(sum));
    for (uint32_t i = threadIdx.x; i < count; i += 32) values[i] *= inverse;
    __syncwarp();
}

/* A group's score: its best expert's, or the sum of its two best. */
static __device__ float score_group(const float *scores, uint32_t size, bool by_two) {
    float first = -INFINITY, second = -INFINITY;
    for (uint32_t i = 0; i < size; i++) {
        if (scores[i] > first) {
            second = first;
            first = scores[i];
        } else if (scores[i] > second) {
            second = scores[i];
        }
    }
    return by_two ? first + second : first;
}

/* Experts outside the best groups are out of the question. */
static __device__ void drop_groups(const struct sinq_cuda_route &route, float *scores, float *group_scores) {
    const uint32_t size = route.experts / route.groups;
    float *const kept = group_scores + route.groups;
    for (uint32_t g = threadIdx.x; g < route.groups; g += 32) {
        group_scores[g] = score_group(scores + g * size, size, route.groups_by_two);
        kept[g] = 0;
    }
    __syncwarp();
    for (uint32_t i = 0; i < route.top_groups; i++) {
        const uint32_t best = find_best(group_scores, route.groups);
        __syncwarp();
        if (threadIdx.x == 0) {
            kept[best] = 1;
            group_scores[best] = -INFINITY;
        }
        __syncwarp();
    }
    for (uint32_t e = threadIdx.x; e < route.experts; e += 32) {
        if (kept[e / size] == 0) scores[e] = -INFINITY;
    }
    __syncwarp();
}

static __device__ void choose(const struct sinq_cuda_route &route, const float *shares, float *scores, float *taken,
                              float *choices) {
    for (uint32_t e = threadIdx.x; e < route.experts; e += 32) taken[e] = 0;
    __syncwarp();
    for (uint32_t c = 0; c < route.chosen; c++) {
        uint32_t best = find_best(scores, route.experts);
        /* Where nothing is left that is a number, the lowest that is free. */
        for (uint32_t e = 0; taken[best] != 0 && e < route.experts; e++) best = e;
        __syncwarp();
        if (threadIdx.x == 0) {
            taken[best] = 1;
            scores[best] = -INFINITY;
            choices[c] = (float)best;
            choices[route.chosen + c] = shares[best];
        }
        __syncwarp();
    }
}

static __global__ void route_kernel(struct sinq_cuda_route route) {
    begin_kernel();
    extern __shared__ float memory[];
    float *const shares = memory, *const scores = memory + route.experts, *const taken = memory + 2 * route.experts;
    const float *const logits = route.logits.data + (size_t)blockIdx.x * route.logits.stride;
    float *const choices = route.choices.data + (size_t)blockIdx.x * route.choices.stride;
    const bool is_sigmoid = route.routing == SINQ_ROUTING_SIGMOID;
    for (uint32_t e = threadIdx.x; e < route.experts; e += 32) {
        shares[e] = is_sigmoid ? 1.0f / (1.0f + expf(-logits[e])) : logits[e];
    }
    __syncwarp();
    if (route.routing == SINQ_ROUTING_SOFTMAX) softmax(shares, route.experts);
    for (uint32_t e = threadIdx.x; e < route.experts; e += 32) {
        scores[e] = shares[e] + (route.bias == NULL ? 0.0f : route.bias[e]);
    }
    __syncwarp();
    if (route.groups > 1) drop_groups(route, scores, memory + 3 * route.experts);
    choose(route, shares, scores, taken, choices);
    float *const chosen_shares = choices + route.chosen;
    if (route.routing == SINQ_ROUTING_TOP_SOFTMAX) softmax(chosen_shares, route.chosen);
    float sum = 0;
    for (uint32_t c = threadIdx.x; c < route.chosen; c += 32) sum += chosen_shares[c];
    sum = warp_sum(sum) + 1e-20f;
    const float factor = route.normalized ? route.scale / sum : route.scale;
    for (uint32_t c = threadIdx.x; c < route.chosen; c += 32) chosen_shares[c] *= factor;
}

cudaError_t sinq_cuda_route(struct sinq_cuda_line line, const struct sinq_cuda_route *route, uint32_t rows) {
    const size_t shared = (3 * (size_t)route->experts + 2 * (size_t)route->groups + 2) * sizeof(float);
    if (shared > 48 * 1024) {
        const cudaError_t status =
            cudaFuncSetAttribute(route_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
        if (status != cudaSuccess) return status;
    }
    return launch(line, route_kernel, dim3(rows), 32, shared, *route);
}
