#include "quant/blocks/block_search.h"

#include <math.h>

#include "tensor/dtype.h"

#define LARGEST_HALF 0x7bffu

struct sinq_lane_groups sinq_batch_groups(const struct sinq_block_batch *batch) {
    return (struct sinq_lane_groups){batch->values, batch->weights, batch->form->group};
}

/* Codes are 0 and more in a block; here zero points are taken off. q8_0 leaves out -128, as everybody does. */
static void set_range(const struct sinq_block_form *form, struct sinq_lane_codes *codes) {
    codes->lowest = (float)(form->bits == 8 ? 1 - form->zero : -form->zero);
    codes->highest = (float)((1 << form->bits) - 1 - form->zero);
}

struct sinq_lane_codes sinq_batch_codes(const struct sinq_block_batch *batch) {
    struct sinq_lane_codes codes = {0};
    set_range(batch->form, &codes);
    for (uint32_t lane = 0; lane < batch->blocks * batch->groups; lane++) {
        const uint32_t block = lane / batch->groups;
        codes.scale[lane] = batch->scale[block] * (float)batch->scale_codes[lane];
        codes.minimum[lane] = batch->minimum[block] * (float)batch->minimum_codes[lane];
    }
    return codes;
}

float sinq_store_half(const struct sinq_block_batch *batch, uint32_t block, float value, int steps) {
    const uint16_t half = sinq_float_to_half(value * batch->unit[block]);
    int magnitude = (half & 0x7fff) + steps;
    if (magnitude < 0) magnitude = 0;
    if (magnitude > (int)LARGEST_HALF) magnitude = (int)LARGEST_HALF;
    return sinq_half_to_float((uint16_t)((half & 0x8000) | magnitude)) / batch->unit[block];
}

/* ---- groups by themselves ---- */

#define STEP_COUNT 24u

/* `count` numbers from `from` to `to`. */
static void space_steps(float from, float to, unsigned count, float *steps) {
    for (unsigned i = 0; i < count; i++) steps[i] = from + (to - from) * ((float)i / (float)(count - 1));
}

struct sinq_lane_codes sinq_search_groups(const struct sinq_block_batch *batch) {
    const struct sinq_lane_groups groups = sinq_batch_groups(batch);
    struct sinq_lane_codes codes = {0};
    float steps[STEP_COUNT];
    set_range(batch->form, &codes);
    if (batch->form->levels != NULL) {
        space_steps(76.0f, 130.0f, STEP_COUNT, steps);
        batch->kernels->search_levels(&groups, &batch->levels, steps, STEP_COUNT, codes.scale, NULL);
    } else if (batch->form->has_minimum) {
        const float top = codes.highest;
        space_steps(top * 0.9f, top * 1.3f, 12, steps);
        batch->kernels->search_minimum(&groups, steps, 12, batch->groups > 1, &codes);
    } else {
        const float top = -codes.lowest;
        space_steps(top * 0.65f, top * 1.12f, STEP_COUNT, steps);
        batch->kernels->search_scale(&groups, steps, STEP_COUNT, &codes);
    }
    return codes;
}

void sinq_round_batch(const struct sinq_block_batch *batch, const struct sinq_lane_codes *codes, uint8_t *stored,
                      float error[SINQ_LANES]) {
    const struct sinq_lane_groups groups = sinq_batch_groups(batch);
    if (batch->form->levels != NULL) {
        batch->kernels->round_levels(&groups, &batch->levels, codes->scale, stored, error);
    } else {
        batch->kernels->round_codes(&groups, codes, stored, error, NULL, NULL);
    }
}

/* ---- blocks of one group ---- */

/* The best minimum at each lane's scale, as it is stored. */
static void place_minima(const struct sinq_block_batch *batch, struct sinq_lane_codes *codes) {
    const struct sinq_lane_groups groups = sinq_batch_groups(batch);
    float error[SINQ_LANES], best[SINQ_LANES];
    batch->kernels->round_codes(&groups, codes, NULL, error, NULL, best);
    for (uint32_t b = 0; b < batch->blocks; b++) codes->minimum[b] = sinq_store_half(batch, b, best[b], 0);
}

void sinq_search_single(struct sinq_block_batch *batch) {
    const struct sinq_lane_codes found = sinq_search_groups(batch);
    float least[SINQ_LANES];
    for (uint32_t b = 0; b < batch->blocks; b++) {
        batch->scale_codes[b] = 1;
        batch->minimum_codes[b] = 1;
        least[b] = INFINITY;
    }
    for (int steps = -1; steps <= 1; steps++) {
        struct sinq_lane_codes codes = found;
        float error[SINQ_LANES];
        for (uint32_t b = 0; b < batch->blocks; b++) codes.scale[b] = sinq_store_half(batch, b, found.scale[b], steps);
        if (batch->form->has_minimum) place_minima(batch, &codes);
        sinq_round_batch(batch, &codes, NULL, error);
        for (uint32_t b = 0; b < batch->blocks; b++) {
            if (!(error[b] < least[b])) continue;
            least[b] = error[b];
            batch->scale[b] = codes.scale[b];
            batch->minimum[b] = codes.minimum[b];
        }
    }
}
