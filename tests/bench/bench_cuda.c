/*
 * bench_cuda.c: how fast a CUDA device decodes one token's products: matrices in the shapes of Qwen3-32B's layers, with random bytes,
 * several layers of them, as one graph. Beside it the rate at which the device copies its own memory, reads and writes counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cuda_bench.h"
#include "tensor/dual_scale.h"

enum { LAYERS = 8, MOST_SPLITS = 8, TIMES = 20, HIDDEN = 5120, FFN = 25600, HEADS = 8192, KV = 1024 };

/* Products of one input, with the kernel that prepares it. */
struct stage {
    struct sinq_cuda_preparation preparation;
    struct sinq_cuda_products products;
};

static struct stage make_stage(const uint32_t *rows, uint32_t count, uint32_t cols, unsigned bits, float *x, float *y,
                               struct sinq_cuda_line line, uint64_t *bytes) {
    struct stage stage = {.preparation = {.values = {.in = {x, cols}}, .cols = cols, .count = count},
                          .products = {.count = count}};
    for (uint32_t i = 0; i < count; i++) {
        struct sinq_cuda_product *const p = &stage.products.products[i];
        const uint32_t padded = (uint32_t)sinq_round_up(cols, SINQ_CUDA_PADDING);
        p->matrix = make_matrix(rows[i], cols, bits, bytes);
        p->input = (struct sinq_cuda_input){allocate(2 * padded), allocate(padded / 64 * 8), padded, 64};
        p->y = (struct sinq_cuda_rows){y + i * FFN, FFN};
        stage.preparation.inputs[i] = p->input;
        stage.preparation.column_scales[i] = p->matrix.column_scale;
        stage.products.first_pair[i + 1] = stage.products.first_pair[i] + (rows[i] + 31) / 32;
    }
    const uint32_t pairs = stage.products.first_pair[count];
    sinq_cuda_share_columns(line.processors, &stage.products);
    (void)sinq_cuda_share_tiles(line, &stage.products);
    stage.products.exchange = allocate(line.processors * 32 * sizeof(uint32_t));
    require(cudaMemset(stage.products.exchange, 0, line.processors * 32 * sizeof(uint32_t)), "exchange");
    stage.products.partial = allocate((uint64_t)pairs * MOST_SPLITS * 32 * sizeof(float));
    stage.products.finished = allocate(pairs * sizeof(uint32_t));
    require(cudaMemset(stage.products.finished, 0, pairs * sizeof(uint32_t)), "counters");
    return stage;
}

static float time_graph(cudaStream_t stream, cudaGraphExec_t graph) {
    cudaEvent_t begin, end;
    float milliseconds;
    require(cudaEventCreate(&begin), "event");
    require(cudaEventCreate(&end), "event");
    for (int i = 0; i < 3; i++) require(cudaGraphLaunch(graph, stream), "graph");
    require(cudaEventRecord(begin, stream), "event");
    for (int i = 0; i < TIMES; i++) require(cudaGraphLaunch(graph, stream), "graph");
    require(cudaEventRecord(end, stream), "event");
    require(cudaEventSynchronize(end), "running");
    require(cudaEventElapsedTime(&milliseconds, begin, end), "time");
    return milliseconds / TIMES;
}

static cudaGraphExec_t record(struct sinq_cuda_line line, const struct stage *stages, int from, int step, int count,
                              bool with_preparing) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    require(cudaStreamBeginCapture(line.stream, cudaStreamCaptureModeThreadLocal), "capture");
    for (int i = from; i < count; i += step) {
        if (with_preparing) require(sinq_cuda_prepare(line, &stages[i].preparation, 1, NULL), "prepare");
        require(stages[i].products.blocks != 0 ? sinq_cuda_stream(line, &stages[i].products)
                                               : sinq_cuda_multiply(line, &stages[i].products, 1),
                "multiply");
    }
    require(cudaStreamEndCapture(line.stream, &graph), "capture");
    require(cudaGraphInstantiate(&exec, graph, 0), "graph");
    return exec;
}

static double measure_copy(cudaStream_t stream) {
    const uint64_t bytes = (uint64_t)4 << 30;
    uint8_t *const from = allocate(bytes), *const to = allocate(bytes);
    cudaEvent_t begin, end;
    float best = 1e9f;
    fill(from, bytes);
    require(cudaEventCreate(&begin), "event");
    require(cudaEventCreate(&end), "event");
    for (int i = 0; i < 10; i++) {
        float milliseconds;
        require(cudaEventRecord(begin, stream), "event");
        require(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToDevice, stream), "copy");
        require(cudaEventRecord(end, stream), "event");
        require(cudaEventSynchronize(end), "copy");
        require(cudaEventElapsedTime(&milliseconds, begin, end), "time");
        if (milliseconds < best) best = milliseconds;
    }
    require(cudaFree(from), "free");
    require(cudaFree(to), "free");
    return 2.0 * (double)bytes / (best * 1e-3);
}

/* Ways to share out the columns of stages from, from + 4, ... */
static void sweep(struct sinq_cuda_line line, uint32_t most_warps, struct stage *stages, int from, double bytes,
                  double copy) {
    for (uint32_t splits = 1; splits <= 4; splits *= 2) {
        for (uint32_t warps = 4; warps <= most_warps; warps++) {
            for (int s = from; s < 4 * LAYERS; s += 4) {
                stages[s].products.splits = splits;
                stages[s].products.warps = warps;
            }
            const cudaGraphExec_t graph = record(line, stages, from, 4, 4 * LAYERS, false);
            const double seconds = time_graph(line.stream, graph) * 1e-3;
            printf("  %ux%u %.2f us %.1f %%;", splits, warps, seconds * 1e6 / LAYERS, 100 * bytes / seconds / copy);
            require(cudaGraphExecDestroy(graph), "graph");
        }
    }
    printf("\n");
}

static void measure(struct sinq_cuda_line line, unsigned bits, double copy, bool is_swept) {
    static const uint32_t qkv[] = {HEADS, KV, KV}, out[] = {HIDDEN}, gate_up[] = {FFN, FFN}, down[] = {HIDDEN};
    static const char *const names[] = {"q k v", "o", "gate up", "down"};
    struct stage stages[4 * LAYERS];
    uint64_t bytes[4] = {0};
    float *const x = allocate(FFN * 4 * sizeof *x), *const y = allocate(4 * FFN * sizeof *y);
    fill((uint8_t *)x, FFN * 4 * sizeof *x);
    require(cudaMemset(x, 0x3c, FFN * 4 * sizeof *x), "input");
    for (int l = 0; l < LAYERS; l++) {
        stages[4 * l] = make_stage(qkv, 3, HIDDEN, bits, x, y, line, &bytes[0]);
        stages[4 * l + 1] = make_stage(out, 1, HEADS, bits, x, y, line, &bytes[1]);
        stages[4 * l + 2] = make_stage(gate_up, 2, HIDDEN, bits, x, y, line, &bytes[2]);
        stages[4 * l + 3] = make_stage(down, 1, FFN, bits, x, y, line, &bytes[3]);
    }
    for (int s = 0; s < 4; s++) {
        printf("%s: %u blocks a pair, %u warps each\n", names[s], stages[s].products.splits, stages[s].products.warps);
    }
    for (int s = 0; s < 6; s++) {
        const bool is_all = s >= 4;
        const cudaGraphExec_t graph = record(line, stages, is_all ? 0 : s, is_all ? 1 : 4, 4 * LAYERS, s == 5);
        const double total = is_all ? (double)(bytes[0] + bytes[1] + bytes[2] + bytes[3]) : (double)bytes[s];
        const double seconds = time_graph(line.stream, graph) * 1e-3, rate = total / seconds;
        printf("%u bits  %-20s %7.2f us a layer  %7.1f GB/s  %5.1f %% of copying\n", bits,
               s == 4   ? "all products"
               : s == 5 ? "with preparing"
                        : names[s],
               seconds * 1e6 / LAYERS, rate * 1e-9, 100 * rate / copy);
        require(cudaGraphExecDestroy(graph), "graph");
    }
    for (int s = 0; is_swept && s < 4; s++) {
        printf("%u bits %s:", bits, names[s]);
        sweep(line, (uint32_t)atoi(getenv("SWEEP")), stages, s, (double)bytes[s], copy);
    }
    for (int s = 0; s < 4 * LAYERS; s++) {
        for (uint32_t i = 0; i < stages[s].products.count; i++) {
            const struct sinq_cuda_product *const p = &stages[s].products.products[i];
            require(cudaFree((void *)(uintptr_t)(p->matrix.codes - SINQ_DUAL_SCALE_HEADER_BYTES)), "free");
            require(cudaFree(p->input.digits), "free");
            require(cudaFree(p->input.scales), "free");
        }
        require(cudaFree(stages[s].products.exchange), "free");
        require(cudaFree(stages[s].products.partial), "free");
        require(cudaFree(stages[s].products.finished), "free");
    }
    require(cudaFree(x), "free");
    require(cudaFree(y), "free");
}

int main(int argc, char **argv) {
    static const unsigned all[] = {4, 3, 2, 8, 5, 6};
    struct cudaDeviceProp properties;
    struct sinq_cuda_line line = {.stream = NULL};
    require(cudaGetDeviceProperties(&properties, 0), "no device");
    require(cudaStreamCreateWithFlags(&line.stream, cudaStreamNonBlocking), "stream");
    line.overlaps = properties.major >= 9;
    line.processors = (uint32_t)properties.multiProcessorCount;
    line.most_shared = (uint32_t)properties.sharedMemPerBlockOptin;
    const double copy = measure_copy(line.stream);
    printf("%s: copies %.1f GB/s\n", properties.name, copy * 1e-9);
    for (int i = 0; i < 6; i++) {
        bool is_wanted = argc < 2;
        for (int a = 1; a < argc; a++) is_wanted = is_wanted || (unsigned)atoi(argv[a]) == all[i];
        if (is_wanted) measure(line, all[i], copy, getenv("SWEEP") != NULL);
    }
    return 0;
}
