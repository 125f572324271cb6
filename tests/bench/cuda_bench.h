/* cuda_bench.h: what measurements of CUDA kernels share. */
#ifndef CUDA_BENCH_H
#define CUDA_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cuda/device.h"
#include "tensor/dual_scale.h"

static void require(cudaError_t status, const char *what) {
    if (status == cudaSuccess) return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
    exit(1);
}

static void *allocate(uint64_t bytes) {
    void *memory;
    require(cudaMalloc(&memory, (size_t)bytes), "memory");
    return memory;
}

/* Random bytes, 64 MiB of them again and again. */
static void fill(uint8_t *memory, uint64_t bytes) {
    static uint8_t *random;
    const uint64_t size = (uint64_t)64 << 20;
    if (random == NULL) {
        random = malloc((size_t)size);
        uint64_t x = 88172645463325252u;
        for (uint64_t i = 0; i < size; i += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            memcpy(random + i, &x, 8);
        }
    }
    for (uint64_t at = 0; at < bytes; at += size) {
        require(cudaMemcpy(memory + at, random, (size_t)sinq_min_u64(size, bytes - at), cudaMemcpyHostToDevice),
                "fill");
    }
}

static struct sinq_cuda_matrix make_matrix(uint32_t rows, uint32_t cols, unsigned bits, uint64_t *bytes) {
    const struct sinq_dual_scale m = {.rows = rows,
                                      .cols = cols,
                                      .group_size = 64,
                                      .bits = bits,
                                      .scale_type = SINQ_AUX_U8,
                                      .zero_type = SINQ_AUX_U8,
                                      .has_column_scale = true,
                                      .factor = 1.0f};
    struct sinq_dual_scale_sizes s;
    if (!sinq_dual_scale_measure(&m, &s)) exit(1);
    uint8_t *const blob = allocate(s.bytes);
    fill(blob, s.bytes);
    require(cudaMemset(blob + s.scale_range_offset, 0x11, (size_t)(s.column_scale_offset - s.scale_range_offset)),
            "ranges");
    require(cudaMemset(blob + s.column_scale_offset, 0x3c, cols * 2), "column scale");
    *bytes += s.bytes;
    return (struct sinq_cuda_matrix){.codes = blob + s.code_offset,
                                     .scales = blob + s.scale_offset,
                                     .scale_ranges = blob + s.scale_range_offset,
                                     .column_scale = blob + s.column_scale_offset,
                                     .zeros = blob + s.zero_offset,
                                     .rows = rows,
                                     .cols = cols,
                                     .panels = (uint32_t)s.panels,
                                     .column_blocks = (uint32_t)s.column_blocks,
                                     .groups = (uint32_t)s.groups,
                                     .group_size = 64,
                                     .bits = bits,
                                     .dtype = SINQ_DUAL_SCALE,
                                     .factor = 1e-4f,
                                     .zero_low = 0.0f,
                                     .zero_step = 0.01f};
}

/* Numbers between -1 and 1. */
static inline float *make_input(uint64_t count) {
    float *const host = malloc((size_t)count * sizeof *host), *const device = allocate(count * sizeof *host);
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < count; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        host[i] = (float)(int32_t)(x >> 32) * 0x1p-31f;
    }
    require(cudaMemcpy(device, host, (size_t)count * sizeof *host, cudaMemcpyHostToDevice), "input");
    free(host);
    return device;
}

#endif
