#include "kernels/matmul.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "tensor/dtype.h"

/* Columns that share an activation scale where a group is the whole row. */
#define ROW_GROUP_COLUMNS 64u

/* How the input of one weight lies: [tokens] of codes, scales and sums, or of f32. */
struct input_plan {
    bool is_int8;
    uint64_t cols, padded;             /* padded: to whole blocks */
    uint64_t group, groups;            /* columns that share a scale, those that have columns */
    uint64_t token_bytes;              /* of one token */
    uint64_t scale_offset, sum_offset; /* within a token */
};

static struct input_plan plan_input(const struct sinq_weight *weight, bool exact) {
    struct input_plan plan = {.cols = weight->cols, .is_int8 = weight->dtype == SINQ_DUAL_SCALE && !exact};
    plan.padded = sinq_round_up(weight->cols, SINQ_BLOCK_COLUMNS);
    if (!plan.is_int8) {
        plan.token_bytes = sinq_round_up(weight->cols * sizeof(float), 64);
        return plan;
    }
    plan.group = weight->matrix.group_size == 0 ? ROW_GROUP_COLUMNS : weight->matrix.group_size;
    plan.groups = sinq_divide_up(weight->cols, plan.group);
    plan.scale_offset = sinq_round_up(plan.padded, 64);
    plan.sum_offset = plan.scale_offset + sinq_round_up(plan.groups * sizeof(float), 64);
    plan.token_bytes = plan.sum_offset + sinq_round_up(plan.groups * sizeof(float), 64);
    return plan;
}

size_t sinq_prepared_bytes(const struct sinq_weight *weight, uint32_t tokens, bool exact) {
    return (size_t)(plan_input(weight, exact).token_bytes * tokens);
}

size_t sinq_multiply_scratch(const struct sinq_weight *weight, uint32_t tokens, bool exact) {
    (void)tokens;
    const struct input_plan plan = plan_input(weight, exact);
    return (size_t)sinq_round_up(SINQ_PANEL_ROWS * (plan.is_int8 ? plan.padded : weight->cols * sizeof(float)), 64);
}

/* ---- input ---- */

static uint16_t load_u16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static float column_scale(const struct sinq_weight *weight, uint64_t k) {
    if (!weight->matrix.has_column_scale) return 1.0f;
    return sinq_half_to_float(load_u16(weight->bytes + weight->sizes.column_scale_offset + 2 * k));
}

/* What is not finite must show: such a group's scale is NaN. What is below 2^-100 counts as zero. */
static void quantize_group(const struct sinq_weight *weight, const float *x, uint64_t first, uint64_t count,
                           int8_t *codes, float *scale, float *sum) {
    float scaled[128], largest = 0.0f;
    bool is_finite = true;
    for (uint64_t i = 0; i < count; i++) {
        scaled[i] = x[first + i] * column_scale(weight, first + i);
        is_finite = is_finite && isfinite(scaled[i]);
        largest = fmaxf(largest, fabsf(scaled[i]));
    }
    const float inverse = largest >= 0x1p-100f && is_finite ? 127.0f / largest : 0.0f;
    int32_t total = 0;
    for (uint64_t i = 0; i < count; i++) {
        codes[first + i] = is_finite ? (int8_t)lrintf(scaled[i] * inverse) : 0;
        total += codes[first + i];
    }
    *scale = !is_finite ? NAN : inverse == 0.0f ? 0.0f : largest / 127.0f;
    *sum = (float)total;
}

static void quantize_token(const struct sinq_weight *weight, const struct input_plan *plan, const float *x,
                           uint8_t *token) {
    float *const scales = (float *)(void *)(token + plan->scale_offset);
    float *const sums = (float *)(void *)(token + plan->sum_offset);
    memset(token, 0, plan->padded);
    for (uint64_t g = 0; g < plan->groups; g++) {
        const uint64_t first = g * plan->group, count = sinq_min_u64(plan->group, plan->cols - first);
        quantize_group(weight, x, first, count, (int8_t *)token, scales + g, sums + g);
    }
}

void sinq_prepare_input(const struct sinq_weight *weight, const float *x, size_t stride, uint32_t tokens,
                        uint32_t first, uint32_t count, bool exact, void *prepared) {
    (void)tokens;
    const struct input_plan plan = plan_input(weight, exact);
    for (uint32_t t = first; t < first + count; t++) {
        uint8_t *const token = (uint8_t *)prepared + t * plan.token_bytes;
        if (plan.is_int8) {
            quantize_token(weight, &plan, x + t * stride, token);
        } else {
            memcpy(token, x + t * stride, plan.cols * sizeof(float));
        }
    }
}

/* ---- product ---- */

struct output {
    const float *bias;
    bool accumulate;
    float *y;
    size_t stride;
};

static void put(const struct output *output, uint32_t token, uint64_t row, float value) {
    float *const at = output->y + token * output->stride + row;
    const float bias = output->bias == NULL ? 0.0f : output->bias[row];
    *at = output->accumulate ? *at + (value + bias) : value + bias;
}

static void multiply_exact(const struct sinq_weight *weight, const struct input_plan *plan, const uint8_t *prepared,
                           uint32_t tokens, uint64_t first, uint64_t count, const struct output *output,
                           float *decoded) {
    sinq_weight_decode(weight, first, count, decoded);
    for (uint32_t t = 0; t < tokens; t++) {
        const float *const x = (const float *)(const void *)(prepared + t * plan->token_bytes);
        for (uint64_t r = 0; r < count; r++) {
            const float *const w = decoded + r * plan->cols;
            float lanes[16] = {0}, sum = 0.0f;
            for (uint64_t k = 0; k < plan->cols; k++) lanes[k % 16] += w[k] * x[k];
            for (int l = 0; l < 16; l++) sum += lanes[l];
            put(output, t, first + r, sum);
        }
    }
}

static void fill_levels(const struct sinq_weight *weight, float levels[256]) {
    for (unsigned code = 0; code < 256; code++) {
        levels[code] = (float)code;
        if (weight->matrix.levels == SINQ_LEVELS_F32 && code < 16) {
            memcpy(&levels[code], weight->bytes + weight->sizes.levels_offset + 4 * code, sizeof levels[code]);
        }
    }
}

static void multiply_int8(const struct sinq_weight *weight, const struct input_plan *plan, const uint8_t *prepared,
                          uint32_t tokens, uint64_t first, uint64_t count, const struct output *output,
                          uint8_t *codes) {
    float levels[256];
    fill_levels(weight, levels);
    for (uint64_t b = 0; b < weight->sizes.column_blocks; b++) {
        const uint64_t offset = sinq_block_offset(&weight->matrix, &weight->sizes, first / SINQ_PANEL_ROWS, b);
        sinq_unpack_block(weight->matrix.bits, SINQ_PANEL_ROWS, SINQ_BLOCK_COLUMNS, weight->bytes + offset,
                          codes + b * SINQ_BLOCK_COLUMNS, plan->padded);
    }
    for (uint64_t r = 0; r < count; r++) {
        for (uint32_t t = 0; t < tokens; t++) {
            const uint8_t *const token = prepared + t * plan->token_bytes;
            const float *const scales = (const float *)(const void *)(token + plan->scale_offset);
            const float *const sums = (const float *)(const void *)(token + plan->sum_offset);
            float total = 0.0f;
            for (uint64_t g = 0; g < plan->groups; g++) {
                const uint64_t end = sinq_min_u64((g + 1) * plan->group, plan->cols);
                const uint64_t group = weight->matrix.group_size == 0 ? 0 : g;
                float dot = 0.0f; /* exact where levels are codes */
                for (uint64_t k = g * plan->group; k < end; k++) {
                    dot += levels[codes[r * plan->padded + k]] * (float)(int8_t)token[k];
                }
                const float zero =
                    sinq_dual_scale_zero(&weight->matrix, &weight->sizes, weight->bytes, first + r, group);
                const float scale =
                    sinq_dual_scale_scale(&weight->matrix, &weight->sizes, weight->bytes, first + r, group);
                total += scale * scales[g] * (dot - zero * sums[g]);
            }
            put(output, t, first + r, weight->matrix.factor * total);
        }
    }
}

void sinq_multiply_panels(const struct sinq_weight *weight, const void *prepared, uint32_t tokens, uint64_t first_panel,
                          uint64_t panels, const float *bias, bool accumulate, bool exact, float *y, size_t stride,
                          void *scratch) {
    const struct input_plan plan = plan_input(weight, exact);
    const struct output output = {bias, accumulate, y, stride};
    for (uint64_t panel = first_panel; panel < first_panel + panels; panel++) {
        const uint64_t first = panel * SINQ_PANEL_ROWS;
        const uint64_t count = sinq_min_u64(SINQ_PANEL_ROWS, weight->rows - first);
        if (plan.is_int8) {
            multiply_int8(weight, &plan, prepared, tokens, first, count, &output, scratch);
        } else {
            multiply_exact(weight, &plan, prepared, tokens, first, count, &output, scratch);
        }
    }
}
