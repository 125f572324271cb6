#include "quant/blocks/encode_blocks.h"

#include <string.h>

#include "base/checked.h"
#include "quant/blocks/block_search.h"
#include "tensor/dtype.h"

/* ---- plain types ---- */

static uint16_t round_to_bfloat(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static void encode_plain(enum sinq_block_type_id id, const float *values, size_t count, uint8_t *bytes) {
    if (id == SINQ_BLOCK_F32) {
        memcpy(bytes, values, count * sizeof *values);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const uint16_t half = id == SINQ_BLOCK_F16 ? sinq_float_to_half(values[i]) : round_to_bfloat(values[i]);
        memcpy(bytes + i * sizeof half, &half, sizeof half);
    }
}

/* ---- batches ---- */

/* The power of two that brings the largest of `count` magnitudes into [1, 2); 1 where all are tiny. */
static float find_unit(const float *values, size_t count) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits &= 0x7f800000u;
        largest = bits > largest ? bits : largest;
    }
    if (largest < 0x08000000u) largest = 0x3f800000u; /* below 2^-111 */
    float unit;
    memcpy(&unit, &largest, sizeof unit);
    return unit;
}

/* out[i][lane] of `lanes` groups that lie one behind the other. */
static void fill_lanes(const float *from, uint32_t lanes, uint32_t count, float by, float *out) {
    for (uint32_t l = 0; l < lanes; l++) {
        for (uint32_t i = 0; i < count; i++) out[i * SINQ_LANES + l] = from[l * count + i] * by;
    }
}

static void fill_weights(const float *importance, uint32_t lanes, uint32_t count, float *out) {
    const float unit = find_unit(importance, (size_t)lanes * count);
    float sum = 0.0f;
    for (uint32_t i = 0; i < lanes * count; i++) sum += importance[i] / unit;
    if (sum > 0.0f) {
        fill_lanes(importance, lanes, count, 1.0f / unit, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) { /* nothing counts: then all do */
        for (uint32_t l = 0; l < lanes; l++) out[i * SINQ_LANES + l] = 1.0f;
    }
}

/* Lanes without a group are zero, with weights of 1. */
static void fill_batch(struct sinq_block_batch *batch, const float *values, const float *importance) {
    const uint32_t count = batch->form->group;
    memset(batch->values, 0, sizeof batch->values);
    for (size_t i = 0; i < sizeof batch->weights / sizeof *batch->weights; i++) batch->weights[i] = 1.0f;
    for (uint32_t b = 0; b < batch->blocks; b++) {
        const size_t first = (size_t)b * batch->type->values;
        const uint32_t lane = b * batch->groups;
        batch->unit[b] = find_unit(values + first, batch->type->values);
        fill_lanes(values + first, batch->groups, count, 1.0f / batch->unit[b], batch->values + lane);
        if (importance != NULL) fill_weights(importance + first, batch->groups, count, batch->weights + lane);
    }
}

static void write_batch(const struct sinq_block_batch *batch, uint8_t *bytes) {
    uint8_t stored[SINQ_MOST_GROUP_VALUES * SINQ_LANES];
    float error[SINQ_LANES];
    const struct sinq_lane_codes codes = sinq_batch_codes(batch);
    const int offset = batch->form->zero + (int)codes.lowest; /* of what lowest is in a block */
    sinq_round_batch(batch, &codes, stored, error);
    for (uint32_t b = 0; b < batch->blocks; b++) {
        const uint32_t lane = b * batch->groups, count = batch->form->group;
        struct sinq_block_parts parts = {.scale = batch->scale[b] * batch->unit[b],
                                         .minimum = batch->minimum[b] * batch->unit[b]};
        memcpy(parts.scale_codes, batch->scale_codes + lane, batch->groups);
        memcpy(parts.minimum_codes, batch->minimum_codes + lane, batch->groups);
        for (uint32_t g = 0; g < batch->groups; g++) {
            for (uint32_t i = 0; i < count; i++) {
                parts.codes[g * count + i] = (uint8_t)(stored[i * SINQ_LANES + lane + g] + offset);
            }
        }
        sinq_write_block(batch->type, &parts, bytes + b * batch->type->bytes);
    }
}

void sinq_encode_blocks(const struct sinq_block_type *type, const float *values, const float *importance, size_t count,
                        uint8_t *bytes) {
    if (type->is_plain) {
        encode_plain(type->id, values, count, bytes);
        return;
    }
    const struct sinq_block_form *const form = sinq_block_form(type);
    struct sinq_block_batch batch = {
        .type = type, .form = form, .kernels = sinq_get_quantize_kernels(), .groups = type->values / form->group};
    float levels[16] = {0};
    for (unsigned i = 0; form->levels != NULL && i < 16; i++) levels[i] = (float)form->levels[i];
    if (form->levels != NULL) sinq_make_level_table(levels, 16, &batch.levels);
    const size_t most = SINQ_LANES / batch.groups;
    for (size_t block = 0, blocks = count / type->values; block < blocks; block += batch.blocks) {
        const size_t first = block * type->values;
        batch.blocks = (uint32_t)sinq_min_u64(most, blocks - block);
        fill_batch(&batch, values + first, importance == NULL ? NULL : importance + first);
        if (batch.groups == 1) {
            sinq_search_single(&batch);
        } else {
            sinq_search_super(&batch);
        }
        write_batch(&batch, bytes + block * type->bytes);
    }
}
