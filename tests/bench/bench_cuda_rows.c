/*
 * bench_cuda_rows.c: how fast a CUDA device multiplies many rows, in the shapes of Qwen3-32B's layers with random bytes: what making
 * the input's tiles, the weights' tiles and the products take, and attention. Beside it the rate of cuBLAS in bf16, where its library is.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cuda_bench.h"
#include "sinq.h"
#include "tensor/dual_scale.h"
#include "tensor/kv_cache.h"

enum { ROWS = 2048, TIMES = 10, HIDDEN = 5120, FFN = 25600, HEADS = 8192, KV = 1024, LIMIT = 8192 };

typedef int create_handle(void **handle);
typedef int set_stream(void *handle, cudaStream_t stream);
typedef int multiply_matrices(void *handle, int turn_a, int turn_b, int m, int n, int k, const void *alpha,
                              const void *a, int a_type, int lda, const void *b, int b_type, int ldb, const void *beta,
                              void *c, int c_type, int ldc, int compute_type, int algorithm);

static float time_since(cudaStream_t stream, cudaEvent_t begin, cudaEvent_t end) {
    float milliseconds;
    require(cudaEventRecord(end, stream), "event");
    require(cudaEventSynchronize(end), "running");
    require(cudaEventElapsedTime(&milliseconds, begin, end), "time");
    return milliseconds;
}

/* Numbers between -1 and 1 in bf16. */
static void *make_numbers(uint64_t count) {
    uint16_t *const host = malloc((size_t)count * 2);
    void *const device = allocate(count * 2);
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < count; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        const float value = (float)(int32_t)(x >> 32) * 0x1p-31f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        host[i] = (uint16_t)(bits >> 16);
    }
    require(cudaMemcpy(device, host, (size_t)count * 2, cudaMemcpyHostToDevice), "numbers");
    free(host);
    return device;
}

/* Operations a second; 0 without the library. */
static double measure_limit(struct sinq_cuda_line line, cudaEvent_t begin, cudaEvent_t end) {
    static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
    enum { BF16 = 14, F32 = 68, DEFAULT = -1 };
    const float one = 1.0f, zero = 0.0f;
    void *library = NULL, *handle;
    for (int i = 0; i < 3 && library == NULL; i++) library = dlopen(names[i], RTLD_NOW);
    if (library == NULL) return 0;
    create_handle *create;
    set_stream *choose;
    multiply_matrices *multiply;
    *(void **)&create = dlsym(library, "cublasCreate_v2");
    *(void **)&choose = dlsym(library, "cublasSetStream_v2");
    *(void **)&multiply = dlsym(library, "cublasGemmEx");
    if (create == NULL || choose == NULL || multiply == NULL || create(&handle) != 0) return 0;
    if (choose(handle, line.stream) != 0) return 0;
    void *const a = make_numbers((uint64_t)LIMIT * LIMIT), *const b = make_numbers((uint64_t)LIMIT * LIMIT);
    void *const c = allocate((uint64_t)LIMIT * LIMIT * 2);
    double best = 0;
    for (int t = 0; t < 4; t++) {
        require(cudaEventRecord(begin, line.stream), "event");
        for (int i = 0; i < TIMES; i++) {
            if (multiply(handle, 1, 0, LIMIT, LIMIT, LIMIT, &one, a, BF16, LIMIT, b, BF16, LIMIT, &zero, c, BF16, LIMIT,
                         F32, DEFAULT) != 0)
                return 0;
        }
        const double rate = 2.0 * LIMIT * LIMIT * LIMIT * TIMES / ((double)time_since(line.stream, begin, end) * 1e-3);
        if (t > 0 && rate > best) best = rate;
    }
    require(cudaFree(a), "free");
    require(cudaFree(b), "free");
    require(cudaFree(c), "free");
    return best;
}

static void measure(struct sinq_cuda_line line, const char *name, const uint32_t *widths, uint32_t count, uint32_t cols,
                    unsigned bits, double limit, cudaEvent_t begin, cudaEvent_t end) {
    uint64_t bytes = 0;
    struct sinq_cuda_tiled_products p = {.count = count};
    const uint32_t across = (uint32_t)sinq_divide_up(cols, SINQ_CUDA_TILE_COLS);
    float *const x = make_input((uint64_t)ROWS * cols);
    p.values.in = (struct sinq_cuda_rows){x, cols};
    for (uint32_t i = 0; i < count; i++) {
        p.products[i].matrix = make_matrix(widths[i], cols, bits, &bytes);
        p.products[i].y = (struct sinq_cuda_rows){allocate((uint64_t)ROWS * widths[i] * 4), widths[i]};
        p.first_pair[i + 1] = p.first_pair[i] + (uint32_t)sinq_divide_up(widths[i], SINQ_CUDA_TILE_PAIR);
    }
    const uint32_t pairs = p.first_pair[count],
                   room = (uint32_t)(((uint64_t)256 << 20) / (across * 2 * SINQ_CUDA_TILE_BYTES));
    p.room = pairs < room ? pairs : room;
    p.input.across = p.weights.across = across;
    p.input.data = allocate((uint64_t)ROWS / SINQ_CUDA_TILE_ROWS * across * SINQ_CUDA_TILE_BYTES);
    p.input.scales = allocate(ROWS * sizeof(float));
    p.weights.data = allocate((uint64_t)p.room * across * 2 * SINQ_CUDA_TILE_BYTES);
    p.weights.scales = allocate((uint64_t)p.room * SINQ_CUDA_TILE_PAIR * sizeof(float));
    float times[3] = {0, 0, 0};
    for (int t = 0; t <= TIMES; t++) {
        require(cudaEventRecord(begin, line.stream), "event");
        require(sinq_cuda_tile_input(line, &p, ROWS, NULL), "input");
        const float input = time_since(line.stream, begin, end);
        if (t > 0) times[0] += input / TIMES;
        for (uint32_t first = 0; first < pairs; first += p.room) {
            const uint32_t taken = pairs - first < p.room ? pairs - first : p.room;
            require(cudaEventRecord(begin, line.stream), "event");
            require(sinq_cuda_tile_weights(line, &p, first, taken), "weights");
            const float weights = time_since(line.stream, begin, end);
            require(cudaEventRecord(begin, line.stream), "event");
            require(sinq_cuda_multiply_tiles(line, &p, first, taken, ROWS), "multiply");
            const float products = time_since(line.stream, begin, end);
            if (t == 0) continue;
            times[1] += weights / TIMES;
            times[2] += products / TIMES;
        }
    }
    uint64_t weights = 0;
    for (uint32_t i = 0; i < count; i++) weights += (uint64_t)widths[i] * cols;
    const double rate = 2.0 * (double)weights * ROWS / ((double)times[2] * 1e-3);
    const double whole = 2.0 * (double)weights * ROWS / ((double)(times[0] + times[1] + times[2]) * 1e-3);
    printf(
        "%u bits %-8s input %.3f ms, weights %.3f ms, products %.3f ms: %.0f TFLOP/s (%.1f %%), all %.0f (%.1f %%)\n",
        bits, name, (double)times[0], (double)times[1], (double)times[2], rate * 1e-12, 100 * rate / limit,
        whole * 1e-12, 100 * whole / limit);
    for (uint32_t i = 0; i < count; i++) {
        require(cudaFree((void *)(uintptr_t)(p.products[i].matrix.codes - SINQ_DUAL_SCALE_HEADER_BYTES)), "free");
        require(cudaFree(p.products[i].y.data), "free");
    }
    require(cudaFree(p.input.data), "free");
    require(cudaFree(p.input.scales), "free");
    require(cudaFree(p.weights.data), "free");
    require(cudaFree(p.weights.scales), "free");
    require(cudaFree(x), "free");
}

static void measure_attention(struct sinq_cuda_line line, enum sinq_kv_type type, cudaEvent_t begin, cudaEvent_t end) {
    enum { DIM = 128, QUERY_HEADS = 64, KV_HEADS = 8 };
    struct sinq_cuda_state *const state = allocate(sizeof *state);
    require(cudaMemset(state, 0, sizeof *state), "state");
    struct sinq_cuda_attention a = {.cache = {.keys = allocate((uint64_t)ROWS * KV_HEADS * DIM * 2),
                                              .values = allocate((uint64_t)ROWS * KV_HEADS * DIM * 2),
                                              .key_scales = make_input(ROWS * KV_HEADS),
                                              .value_scales = make_input(ROWS * KV_HEADS),
                                              .kv_heads = KV_HEADS,
                                              .key_dim = DIM,
                                              .value_dim = DIM,
                                              .capacity = ROWS,
                                              .type = (int)type},
                                    .queries = {make_input((uint64_t)ROWS * QUERY_HEADS * DIM), QUERY_HEADS * DIM},
                                    .out = {allocate((uint64_t)ROWS * QUERY_HEADS * DIM * 4), QUERY_HEADS * DIM},
                                    .heads = QUERY_HEADS,
                                    .scale = 0.1f,
                                    .parts = 1};
    require(cudaMemset(a.cache.keys, 0x2c, (size_t)ROWS * KV_HEADS * DIM * 2), "keys");
    require(cudaMemset(a.cache.values, 0x2c, (size_t)ROWS * KV_HEADS * DIM * 2), "values");
    for (int t = 0; t <= TIMES; t++) {
        if (t == 1) require(cudaEventRecord(begin, line.stream), "event");
        require(sinq_cuda_attend_rows(line, &a, ROWS, state), "attention");
    }
    const double seconds = (double)time_since(line.stream, begin, end) * 1e-3 / TIMES;
    printf("attention of %d rows, %s: %.3f ms, %.0f TFLOP/s\n", ROWS, type == SINQ_KV_F16 ? "f16" : "int8",
           seconds * 1e3, 2.0 * ROWS * ROWS * QUERY_HEADS * DIM / seconds * 1e-12);
}

int main(int argc, char **argv) {
    static const uint32_t qkv[] = {HEADS, KV, KV}, out[] = {HIDDEN}, gate_up[] = {FFN, FFN}, down[] = {HIDDEN};
    struct cudaDeviceProp properties;
    struct sinq_cuda_line line = {.stream = NULL};
    cudaEvent_t begin, end;
    require(cudaGetDeviceProperties(&properties, 0), "no device");
    require(cudaStreamCreateWithFlags(&line.stream, cudaStreamNonBlocking), "stream");
    require(cudaEventCreate(&begin), "event");
    require(cudaEventCreate(&end), "event");
    line.processors = (uint32_t)properties.multiProcessorCount;
    line.overlaps = properties.major >= 9;
    require(sinq_cuda_find_groups(&line.has_groups), "code");
    line.has_groups = line.has_groups && getenv("SINGLE_WARPS") == NULL;
    const double limit = measure_limit(line, begin, end);
    printf("%s: cuBLAS bf16 8192^3 %.0f TFLOP/s\n", properties.name, limit * 1e-12);
    for (int a = 1; a < (argc > 1 ? argc : 2); a++) {
        const unsigned bits = argc > 1 ? (unsigned)atoi(argv[a]) : 4;
        measure(line, "q k v", qkv, 3, HIDDEN, bits, limit, begin, end);
        measure(line, "o", out, 1, HEADS, bits, limit, begin, end);
        measure(line, "gate up", gate_up, 2, HIDDEN, bits, limit, begin, end);
        measure(line, "down", down, 1, FFN, bits, limit, begin, end);
    }
    measure_attention(line, SINQ_KV_F16, begin, end);
    measure_attention(line, SINQ_KV_I8, begin, end);
    return 0;
}
