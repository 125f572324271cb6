/* super_blocks.c: scales of blocks whose groups have codes of scales of their own. */
#include <math.h>
#include <string.h>

#include "quant/blocks/block_search.h"

/* A choice of scales and minima, and its error, by lane. */
struct choice {
    struct sinq_lane_codes codes;
    float error[SINQ_LANES];
    int scale_code[SINQ_LANES], minimum_code[SINQ_LANES];
};

static int clamp_code(float place, int lowest, int highest) {
    if (!(place > (float)lowest)) return lowest;
    return place < (float)highest ? (int)rintf(place) : highest;
}

/* The nearest code (rank 0) or the one on its other side (rank 1) of what `value` is in `units`. */
static int choose_code(float value, float unit, unsigned rank, int lowest, int highest) {
    if (unit == 0.0f) return lowest > 0 ? lowest : 0;
    const float place = value / unit;
    const int nearest = clamp_code(place, lowest, highest);
    return rank == 0 ? nearest : clamp_code((float)nearest + (place > (float)nearest ? 1.0f : -1.0f), lowest, highest);
}

static void keep_better(const struct choice *offered, uint32_t lanes, struct choice *best) {
    for (uint32_t l = 0; l < lanes; l++) {
        if (!(offered->error[l] < best->error[l])) continue;
        best->error[l] = offered->error[l];
        best->scale_code[l] = offered->scale_code[l];
        best->minimum_code[l] = offered->minimum_code[l];
    }
}

/* Codes of minima at the scales at hand: each of the two around the best one is tried. */
static void try_minima(const struct sinq_block_batch *batch, const float minimum[SINQ_LANES], struct choice *offered,
                       struct choice *best) {
    const struct sinq_lane_groups groups = sinq_batch_groups(batch);
    const uint32_t lanes = batch->blocks * batch->groups;
    float error[SINQ_LANES], wanted[SINQ_LANES];
    batch->kernels->round_codes(&groups, &offered->codes, NULL, error, NULL, wanted);
    for (unsigned rank = 0; rank < 2; rank++) {
        for (uint32_t l = 0; l < lanes; l++) {
            const float unit = minimum[l / batch->groups];
            offered->minimum_code[l] = choose_code(wanted[l], unit, rank, 0, batch->form->highest_minimum);
            offered->codes.minimum[l] = unit * (float)offered->minimum_code[l];
        }
        sinq_round_batch(batch, &offered->codes, NULL, offered->error);
        keep_better(offered, lanes, best);
    }
}

/* The best codes of the groups' scales and minima under these scales and minima of blocks. */
static void choose_codes(const struct sinq_block_batch *batch, const struct sinq_lane_codes *found,
                         const float scale[SINQ_LANES], const float minimum[SINQ_LANES], struct choice *best) {
    const uint32_t lanes = batch->blocks * batch->groups;
    for (uint32_t l = 0; l < SINQ_LANES; l++) best->error[l] = INFINITY;
    for (unsigned rank = 0; rank < 2; rank++) {
        struct choice offered = {.codes = *found};
        for (uint32_t l = 0; l < lanes; l++) {
            const float unit = scale[l / batch->groups];
            offered.scale_code[l] =
                choose_code(found->scale[l], unit, rank, batch->form->lowest_scale, batch->form->highest_scale);
            offered.codes.scale[l] = unit * (float)offered.scale_code[l];
        }
        if (batch->form->has_minimum) {
            try_minima(batch, minimum, &offered, best);
        } else {
            sinq_round_batch(batch, &offered.codes, NULL, offered.error);
            keep_better(&offered, lanes, best);
        }
    }
}

/* Takes a choice for the blocks where it is better than what they have. */
static void settle(struct sinq_block_batch *batch, const struct choice *choice, const float scale[SINQ_LANES],
                   const float minimum[SINQ_LANES], float least[SINQ_LANES]) {
    for (uint32_t b = 0; b < batch->blocks; b++) {
        const uint32_t first = b * batch->groups;
        float error = 0.0f;
        for (uint32_t g = 0; g < batch->groups; g++) error += choice->error[first + g];
        if (!(error < least[b])) continue;
        least[b] = error;
        batch->scale[b] = scale[b];
        batch->minimum[b] = minimum[b];
        for (uint32_t l = first; l < first + batch->groups; l++) {
            batch->scale_codes[l] = (int8_t)choice->scale_code[l];
            batch->minimum_codes[l] = (uint8_t)choice->minimum_code[l];
        }
    }
}

/* Of a block's groups, the one farthest from 0. */
static float find_farthest(const float *values, uint32_t count) {
    float farthest = 0.0f;
    for (uint32_t i = 0; i < count; i++) farthest = fabsf(values[i]) > fabsf(farthest) ? values[i] : farthest;
    return farthest;
}

/* Blocks' scales with which the largest group's has a code of about `top`, a little more or less. */
static void propose(const struct sinq_block_batch *batch, const float *values, int top, float stretch, float *out) {
    for (uint32_t b = 0; b < batch->blocks; b++) {
        const float farthest = find_farthest(values + b * batch->groups, batch->groups);
        const float wanted = farthest / ((float)top * stretch);
        out[b] = sinq_store_half(batch, b, wanted, 0);
        if (out[b] == 0.0f && wanted != 0.0f) out[b] = sinq_store_half(batch, b, wanted, 1); /* with smaller codes */
    }
}

#define STRETCHES 2
#define STRETCH   0.012f

void sinq_search_super(struct sinq_block_batch *batch) {
    const struct sinq_lane_codes found = sinq_search_groups(batch);
    const struct sinq_block_form *const form = batch->form;
    /* A signed scale reaches one code farther below zero. */
    const int top = form->lowest_scale < 0 ? form->lowest_scale : form->highest_scale;
    float scale[SINQ_LANES], minimum[SINQ_LANES] = {0}, least[SINQ_LANES];
    struct choice choice;
    for (uint32_t b = 0; b < batch->blocks; b++) least[b] = INFINITY;
    if (form->has_minimum) propose(batch, found.minimum, form->highest_minimum, 1.0f, minimum);
    for (int i = -STRETCHES; i <= STRETCHES; i++) {
        propose(batch, found.scale, top, 1.0f + STRETCH * (float)i, scale);
        choose_codes(batch, &found, scale, minimum, &choice);
        settle(batch, &choice, scale, minimum, least);
    }
    for (int i = -STRETCHES; form->has_minimum && i <= STRETCHES; i++) {
        if (i == 0) continue;
        memcpy(scale, batch->scale, sizeof scale);
        propose(batch, found.minimum, form->highest_minimum, 1.0f + STRETCH * (float)i, minimum);
        choose_codes(batch, &found, scale, minimum, &choice);
        settle(batch, &choice, scale, minimum, least);
    }
}
