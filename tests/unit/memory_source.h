/* memory_source.h: a made-up checkpoint in memory, so that tests can hold any bytes at all. */
#ifndef SINQ_TESTS_MEMORY_SOURCE_H
#define SINQ_TESTS_MEMORY_SOURCE_H

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "checkpoint/source.h"
#include "tensor/dtype.h"
#include "unit.h"

#define MEMORY_TENSORS 32

struct memory_source {
    struct sinq_source base;
    struct sinq_shard shard;
    struct sinq_tensor tensors[MEMORY_TENSORS];
    uint8_t checksums[MEMORY_TENSORS][16];
    void *data[MEMORY_TENSORS];
    int64_t fail_at; /* tensor whose reading fails, or -1 */
};

static inline int read_memory(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size,
                              void *out, struct sinq_error *error) {
    const struct memory_source *const memory = (const struct memory_source *)(const void *)source;
    if (memory->fail_at == (int64_t)tensor) {
        return sinq_fail(error, SINQ_FAILED, "memory: %s cannot be read", source->tensors[tensor].name);
    }
    memcpy(out, (const uint8_t *)memory->data[tensor] + offset, (size_t)size);
    return SINQ_OK;
}

static inline void close_memory(struct sinq_source *source) {
    struct memory_source *const memory = (struct memory_source *)(void *)source;
    for (size_t i = 0; i < source->tensor_count; i++) free(memory->data[i]);
    sinq_name_index_free(source->names);
    free(memory);
}

static inline struct memory_source *create_memory(const char *path) {
    static const struct sinq_source_ops ops = {.read_bytes = read_memory, .close = close_memory};
    struct memory_source *const memory = calloc(1, sizeof *memory);
    ck_assert_ptr_nonnull(memory);
    memory->fail_at = -1;
    memory->base.ops = &ops;
    memory->base.path = memory->shard.path = (char *)(uintptr_t)path; /* never written to */
    memory->base.format = "memory";
    memory->base.tensors = memory->tensors;
    memory->base.checksums = memory->checksums;
    memory->base.shards = &memory->shard;
    memory->base.shard_count = 1;
    memory->base.names = sinq_name_index_create(MEMORY_TENSORS);
    ck_assert_ptr_nonnull(memory->base.names);
    return memory;
}

/* Adds a copy of the bytes; names are borrowed. Returns the tensor's index. */
static inline size_t add_tensor(struct memory_source *memory, const char *name, enum sinq_dtype dtype, uint32_t rank,
                                const uint64_t *shape, const void *data, uint64_t bytes) {
    const size_t i = memory->base.tensor_count++;
    ck_assert_uint_lt(i, MEMORY_TENSORS);
    memory->data[i] = malloc((size_t)bytes + 1);
    ck_assert_ptr_nonnull(memory->data[i]);
    if (bytes > 0) memcpy(memory->data[i], data, (size_t)bytes);
    memory->tensors[i] =
        (struct sinq_tensor){.name = name, .dtype = dtype, .rank = rank, .bytes = bytes, .scale_tensor = -1};
    for (uint32_t d = 0; d < rank; d++) memory->tensors[i].shape[d] = shape[d];
    ck_assert(sinq_name_index_add(memory->base.names, name, i));
    return i;
}

static inline size_t add_matrix(struct memory_source *memory, const char *name, uint64_t rows, uint64_t cols,
                                const float *values) {
    const uint64_t shape[2] = {rows, cols};
    return add_tensor(memory, name, SINQ_F32, 2, shape, values, rows * cols * sizeof *values);
}

static inline void set_checksum(struct memory_source *memory, size_t tensor) {
    const struct sinq_hash hash = sinq_hash_bytes(memory->data[tensor], (size_t)memory->tensors[tensor].bytes);
    memcpy(memory->checksums[tensor], hash.bytes, sizeof hash.bytes);
}

static inline uint32_t next_random(void) {
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* In [-1, 1), with f32's full mantissa. */
static inline float random_value(void) { return (float)((double)next_random() * 0x1p-30 - 1.0); }

#endif
