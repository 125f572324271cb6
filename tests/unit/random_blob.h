/* random_blob.h: quantized matrices full of random but possible contents. */
#ifndef SINQ_TESTS_RANDOM_BLOB_H
#define SINQ_TESTS_RANDOM_BLOB_H

#include <string.h>

#include "memory_source.h"
#include "tensor/dual_scale.h"

static inline void put_half(uint8_t *to, float value) {
    const uint16_t half = sinq_float_to_half(value);
    memcpy(to, &half, sizeof half);
}

static inline void fill_aux(uint8_t *blob, enum sinq_aux_type type, uint64_t offset, uint64_t end, float center) {
    for (uint64_t at = offset; at < end; at += type == SINQ_AUX_F16 ? 2 : 1) {
        if (type == SINQ_AUX_F16) {
            put_half(blob + at, center + random_value());
        } else {
            blob[at] = (uint8_t)next_random();
        }
    }
}

/* Of i8 entries: the factors of 256 columns. */
static inline void fill_supers(uint8_t *blob, uint64_t offset, uint64_t end, float center) {
    for (uint64_t at = offset; at < end; at += sizeof(float)) {
        const float value = center * (1.5f + random_value());
        memcpy(blob + at, &value, sizeof value);
    }
}

static inline void fill_ranges(uint8_t *blob, enum sinq_aux_type type, uint64_t offset, uint64_t end, float low,
                               float step) {
    if (type == SINQ_AUX_I8) {
        fill_supers(blob, offset, end, step);
        return;
    }
    for (uint64_t at = offset; at < end; at += 4) {
        put_half(blob + at, low + 0.1f * random_value());
        put_half(blob + at + 2, step * (1.5f + random_value()));
    }
}

/*
 * A sealed blob of that description, malloc'ed; *bytes is its size. Every byte of every section is random, padding included:
 * a reader must not depend on it.
 */
static inline uint8_t *make_random_blob(const struct sinq_dual_scale *matrix, uint64_t *bytes) {
    struct sinq_dual_scale_sizes sizes;
    ck_assert(sinq_dual_scale_measure(matrix, &sizes));
    uint8_t *const blob = malloc((size_t)sizes.bytes);
    ck_assert_ptr_nonnull(blob);
    for (uint64_t i = 0; i < sizes.bytes; i++) blob[i] = (uint8_t)next_random();
    fill_aux(blob, matrix->scale_type, sizes.scale_offset, sizes.scale_range_offset, 2.0f);
    fill_ranges(blob, matrix->scale_type, sizes.scale_range_offset, sizes.column_scale_offset, 0.5f, 0.01f);
    fill_aux(blob, SINQ_AUX_F16, sizes.column_scale_offset, sizes.levels_offset, 2.0f);
    for (uint64_t at = sizes.levels_offset; at < sizes.zero_offset && matrix->levels == SINQ_LEVELS_F32;
         at += sizeof(float)) {
        const float level = random_value();
        memcpy(blob + at, &level, sizeof level);
    }
    fill_aux(blob, matrix->zero_type, sizes.zero_offset, sizes.zero_range_offset, 7.0f);
    if (matrix->zero_type != SINQ_AUX_NONE)
        fill_ranges(blob, matrix->zero_type, sizes.zero_range_offset, sizes.bytes, 3.0f, 0.05f);
    sinq_dual_scale_seal(matrix, blob);
    *bytes = sizes.bytes;
    return blob;
}

/* The named tensor that one blob is, or that several of one stack are. */
static inline size_t add_blobs(struct memory_source *memory, const char *name, const struct sinq_dual_scale *matrix,
                               const void *bytes, uint64_t size) {
    uint64_t shape[3] = {matrix->stack_count, matrix->rows, matrix->cols};
    if (matrix->transposed) {
        shape[1] = matrix->cols;
        shape[2] = matrix->rows;
    }
    const bool is_stack = matrix->stack_count > 0;
    return add_tensor(memory, name, SINQ_DUAL_SCALE, is_stack ? 3 : 2, is_stack ? shape : shape + 1, bytes, size);
}

#endif
