/* backend.c: opening a CUDA device as a backend: what the program finds in the plug-in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/cuda_backend.h"
#include "model/plugin.h"

static int create_buffer(struct sinq_backend *base, struct sinq_use use, uint64_t bytes, struct sinq_buffer **buffer,
                         struct sinq_error *error) {
    static const char *const purposes[] = {"activations", "keys and values", "tokens"};
    struct sinq_cuda_backend *const backend = sinq_cuda_of(base);
    *buffer = calloc(1, sizeof **buffer);
    if (*buffer == NULL) return sinq_fail_memory(error, "a buffer", sizeof **buffer);
    (*buffer)->bytes = bytes;
    int status = sinq_cuda_allocate(backend, bytes, purposes[use.kind], &(*buffer)->data, error);
    if (status == SINQ_OK) {
        const cudaError_t result = cudaMemsetAsync((*buffer)->data, 0, (size_t)bytes, backend->line.stream);
        status = sinq_cuda_check(backend, result, "clearing a buffer", error);
    }
    if (status == SINQ_OK) return SINQ_OK;
    sinq_cuda_free(backend, (*buffer)->data, bytes);
    free(*buffer);
    *buffer = NULL;
    return status;
}

static void free_buffer(struct sinq_backend *base, struct sinq_buffer *buffer) {
    if (buffer == NULL) return;
    sinq_cuda_free(sinq_cuda_of(base), buffer->data, buffer->bytes);
    free(buffer);
}

static int upload(struct sinq_backend *base, struct sinq_buffer *buffer, uint64_t offset, const void *bytes,
                  uint64_t size, struct sinq_error *error) {
    return sinq_cuda_copy_in(sinq_cuda_of(base), buffer->data + offset, bytes, size, error);
}

static int download(struct sinq_backend *base, const struct sinq_buffer *buffer, uint64_t offset, void *bytes,
                    uint64_t size, struct sinq_error *error) {
    return sinq_cuda_copy_out(sinq_cuda_of(base), bytes, buffer->data + offset, size, error);
}

static int find_best(struct sinq_backend *base, const struct sinq_buffer *buffer, uint64_t offset, uint32_t count,
                     struct sinq_best *best, struct sinq_error *error) {
    struct sinq_cuda_backend *const backend = sinq_cuda_of(base);
    const float *const values = (const float *)(const void *)(buffer->data + offset);
    cudaError_t result = sinq_cuda_find_largest(backend->line, values, count, backend->search, backend->found);
    if (result == cudaSuccess) result = cudaStreamSynchronize(backend->line.stream);
    *best = (struct sinq_best){.is_known = !backend->found->has_nan, .place = backend->found->place};
    return sinq_cuda_check(backend, result, "looking for the best token", error);
}

/* ---- opening and closing ---- */

static void close_backend(struct sinq_backend *base) {
    struct sinq_cuda_backend *const backend = sinq_cuda_of(base);
    if (backend->line.stream != NULL) (void)cudaStreamSynchronize(backend->line.stream);
    sinq_cuda_free_uploads(backend);
    sinq_cuda_free_blocks(backend);
    for (unsigned i = 0; i < SINQ_CUDA_STAGES; i++) {
        if (backend->stages[i] != NULL) (void)cudaFreeHost(backend->stages[i]);
        if (backend->stage_free[i] != NULL) (void)cudaEventDestroy(backend->stage_free[i]);
    }
    if (backend->search != NULL) (void)cudaFree(backend->search);
    if (backend->found != NULL) (void)cudaFreeHost(backend->found);
    if (backend->line.stream != NULL) (void)cudaStreamDestroy(backend->line.stream);
    free(backend);
}

static int create_stages(struct sinq_cuda_backend *backend, struct sinq_error *error) {
    cudaError_t status = cudaStreamCreateWithFlags(&backend->line.stream, cudaStreamNonBlocking);
    for (unsigned i = 0; i < SINQ_CUDA_STAGES && status == cudaSuccess; i++) {
        void *stage = NULL;
        status = cudaHostAlloc(&stage, SINQ_CUDA_STAGE_BYTES, cudaHostAllocDefault);
        backend->stages[i] = stage;
        if (status == cudaSuccess) status = cudaEventCreateWithFlags(&backend->stage_free[i], cudaEventDisableTiming);
    }
    void *search = NULL, *found = NULL;
    if (status == cudaSuccess) status = cudaMalloc(&search, sizeof *backend->search);
    backend->search = search;
    if (status == cudaSuccess) {
        status = cudaMemsetAsync(search, 0, sizeof *backend->search, backend->line.stream);
    }
    if (status == cudaSuccess) status = cudaHostAlloc(&found, sizeof *backend->found, cudaHostAllocDefault);
    backend->found = found;
    return sinq_cuda_check(backend, status, "setting it up", error);
}

/* Kernels are made for compute capability 8.0 and later. */
static int select_device(struct sinq_cuda_backend *backend, const struct sinq_plugin_options *options,
                         char name[SINQ_PLUGIN_NAME_BYTES], struct sinq_error *error) {
    struct cudaDeviceProp properties;
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && options->device >= count) {
        return sinq_fail(error, SINQ_FAILED, "CUDA device %d: there is none, %d are there, counted from 0",
                         options->device, count);
    }
    if (status == cudaSuccess) backend->others = sinq_cuda_find_used(options->device);
    if (status == cudaSuccess) status = cudaSetDevice(options->device);
    if (status == cudaSuccess) status = cudaGetDeviceProperties(&properties, options->device);
    if (status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice) {
        return sinq_fail(error, SINQ_FAILED, "CUDA: %s",
                         status == cudaErrorNoDevice ? "there is no device"
                                                     : "there is no driver, or one too old for this plug-in");
    }
    if (status != cudaSuccess) return sinq_cuda_check(backend, status, "looking for it", error);
    if (properties.major >= 8) status = sinq_cuda_find_groups(&backend->line.has_groups);
    if (status != cudaSuccess) return sinq_cuda_check(backend, status, "looking for its code", error);
    if (properties.major < 8) {
        return sinq_fail(error, SINQ_FAILED,
                         "CUDA device %d: %s has compute capability %d.%d, 8.0 is the least that will do",
                         options->device, properties.name, properties.major, properties.minor);
    }
    backend->line.overlaps = properties.major >= 9;
    backend->line.processors = (uint32_t)properties.multiProcessorCount;
    backend->line.most_shared = (uint32_t)properties.sharedMemPerBlockOptin;
    (void)snprintf(name, SINQ_PLUGIN_NAME_BYTES, "cuda:%d, %.200s", options->device, properties.name);
    return SINQ_OK;
}

SINQ_API int sinq_open_plugin(const struct sinq_plugin_options *options, struct sinq_backend **opened,
                              char name[SINQ_PLUGIN_NAME_BYTES], struct sinq_error *error) {
    static const struct sinq_backend_ops ops = {
        .name = "cuda",
        .submits_ahead = true,
        .hold_weight = sinq_cuda_hold_weight,
        .release_weight = sinq_cuda_release_weight,
        .expect_weights = sinq_cuda_expect_weights,
        .flush_weights = sinq_cuda_flush_weights,
        .create_buffer = create_buffer,
        .free_buffer = free_buffer,
        .upload = upload,
        .download = download,
        .find_best = find_best,
        .create_queue = sinq_cuda_create_queue,
        .enqueue = sinq_cuda_enqueue,
        .submit = sinq_cuda_submit,
        .wait = sinq_cuda_wait,
        .close_queue = sinq_cuda_close_queue,
        .measure_memory = sinq_cuda_measure_memory,
        .close = close_backend,
    };
    memset(name, 0, SINQ_PLUGIN_NAME_BYTES);
    if (options->interface != SINQ_PLUGIN_INTERFACE || options->layout != sinq_plugin_layout()) {
        return sinq_fail(error, SINQ_FAILED,
                         "the CUDA plug-in was built from other sources than the program: interface %u, layout %08x, "
                         "expected %u, %08x",
                         SINQ_PLUGIN_INTERFACE, sinq_plugin_layout(), options->interface, options->layout);
    }
    struct sinq_cuda_backend *const backend = calloc(1, sizeof *backend);
    if (backend == NULL) return sinq_fail_memory(error, "a backend", sizeof *backend);
    *backend =
        (struct sinq_cuda_backend){.base = {&ops}, .device = options->device, .memory_limit = options->memory_limit};
    int status = select_device(backend, options, name, error);
    if (status == SINQ_OK) status = create_stages(backend, error);
    if (status == SINQ_OK) backend->start = sinq_cuda_read_used(backend);
    if (status == SINQ_OK && options->memory_limit != 0 && backend->start > options->memory_limit) {
        status =
            sinq_fail(error, SINQ_FAILED, "CUDA device %d: its driver alone takes %llu bytes, beyond the limit of %llu",
                      options->device, (unsigned long long)backend->start, (unsigned long long)options->memory_limit);
    }
    if (status == SINQ_OK) {
        *opened = &backend->base;
    } else {
        close_backend(&backend->base);
    }
    return status;
}
