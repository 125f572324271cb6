/* cpu_rows.c: operations that compute each row by itself. */
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/rowwise.h"
#include "model/cpu_operations.h"
#include "model/routing.h"

static void embed_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_weight *const weight = sinq_cpu_weight(step, step->operation->embed.weight);
    const int32_t *const tokens = (const int32_t *)(const void *)step->frame->tokens->data;
    const float scale = step->operation->embed.scale;
    for (uint32_t r = first; r < first + count; r++) {
        float *const out = sinq_cpu_row(step, step->operation->embed.out, r);
        sinq_weight_decode(weight, (uint64_t)tokens[r], 1, out);
        if (scale == 1.0f) continue;
        for (uint64_t i = 0; i < weight->cols; i++) out[i] *= scale;
    }
}

static void norm_heads(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const float *const weight = sinq_cpu_vector(step, op->norm.weight);
    const float *const in = sinq_cpu_row(step, op->norm.in, row + (op->norm.gather ? step->frame->first_row : 0));
    float *const out = sinq_cpu_row(step, op->norm.out, row);
    for (uint32_t g = first; g < first + count; g++) {
        const size_t at = (size_t)g * op->norm.stride;
        sinq_norm_row(in + at, weight, op->norm.width, op->norm.eps, out + at);
    }
}

static void norm_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    for (uint32_t r = first; r < first + count; r++) norm_heads(step, r, 0, step->operation->norm.groups);
}

static void rotation_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_rope *const rope = &step->frame->ropes[op->rotation.rope];
    for (uint32_t r = first; r < first + count; r++) {
        float *const out = sinq_cpu_row(step, op->rotation.out, r);
        sinq_rope_rotation(rope, sinq_row_position(step->frame, r), step->frame->length, out, out + rope->dims / 2);
    }
}

static void rope_heads(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const uint32_t dims = op->rope.dims;
    const float *const in = sinq_cpu_row(step, op->rope.in, row);
    const float *const cosines = sinq_cpu_row(step, op->rope.rotation, row);
    float *const out = sinq_cpu_row(step, op->rope.out, row);
    for (uint32_t h = first; h < first + count; h++) {
        const float *const from = in + (size_t)h * op->rope.in_stride;
        float *const to = out + (size_t)h * op->rope.out_stride;
        sinq_rotate_head(from, cosines, cosines + dims / 2, dims, op->rope.interleaved, to);
        if (from != to) memmove(to + dims, from + dims, op->rope.copy * sizeof *to);
    }
}

static void rope_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    for (uint32_t r = first; r < first + count; r++) rope_heads(step, r, 0, step->operation->rope.heads);
}

static void store_heads(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_cache *const cache = &step->frame->caches[op->store.cache];
    const struct sinq_cache_shape *const shape = &cache->layout.shape;
    const float *const keys = sinq_cpu_row(step, op->store.keys, row);
    const float *const values = shape->shared ? NULL : sinq_cpu_row(step, op->store.values, row);
    uint8_t *const at = cache->buffer->data + sinq_row_sequence(step->frame, row) * cache->layout.bytes;
    for (uint32_t h = first; h < first + count; h++) {
        sinq_store_key_value(&cache->layout, at, h, sinq_row_position(step->frame, row),
                             keys + (size_t)h * shape->key_dim,
                             values == NULL ? NULL : values + (size_t)h * shape->value_dim);
    }
}

static void store_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const uint32_t heads = step->frame->caches[step->operation->store.cache].layout.shape.kv_heads;
    for (uint32_t r = first; r < first + count; r++) store_heads(step, r, 0, heads);
}

/* Of a share's rows few values each are read, of pages far apart: those of a later row are called for. */
#define ROWS_AHEAD 2u

static void call_ahead(const float *values, size_t count) {
    for (size_t i = 0; i < count; i += 16) __builtin_prefetch(values + i, 0, 3);
}

void sinq_cpu_activate_values(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count) {
    static void (*const functions[])(const float *, const float *, uint32_t, uint32_t, float *) = {
        [SINQ_ACTIVATION_SILU] = sinq_silu_row,
        [SINQ_ACTIVATION_GELU_TANH] = sinq_gelu_tanh_row,
        [SINQ_ACTIVATION_GELU] = sinq_gelu_row,
        [SINQ_ACTIVATION_GPT_OSS] = sinq_gpt_oss_row,
    };
    const struct sinq_operation *const op = step->operation;
    const float *const gate = sinq_cpu_row(step, op->activate.gate, row);
    const float *const up = sinq_cpu_row(step, op->activate.up, row);
    float *const out = sinq_cpu_row(step, op->activate.out, row);
    for (uint32_t s = 0; s < op->activate.segments; s++) {
        const size_t from = (size_t)s * op->activate.in_stride + (size_t)first * op->activate.step;
        const size_t to = (size_t)s * op->activate.out_stride + first;
        if (row + ROWS_AHEAD < step->rows) {
            const size_t values = (size_t)count * op->activate.step;
            call_ahead(gate + ROWS_AHEAD * sinq_cpu_stride(step, op->activate.gate) + from, values);
            call_ahead(up + ROWS_AHEAD * sinq_cpu_stride(step, op->activate.up) + from, values);
        }
        functions[op->activate.activation](gate + from, up + from, count, op->activate.step, out + to);
    }
}

static void activate_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    for (uint32_t r = first; r < first + count; r++) {
        sinq_cpu_activate_values(step, r, 0, step->operation->activate.width);
    }
}

static void add_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    for (uint32_t r = first; r < first + count; r++) {
        sinq_add_row(sinq_cpu_row(step, op->add.in, r), 1.0f, op->add.width, sinq_cpu_row(step, op->add.out, r));
    }
}

static void softcap_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    for (uint32_t r = first; r < first + count; r++) {
        sinq_softcap_row(sinq_cpu_row(step, op->softcap.in_out, r), op->softcap.width, op->softcap.cap);
    }
}

static void route_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const float *const bias = sinq_cpu_vector(step, op->route.bias);
    for (uint32_t r = first; r < first + count; r++) {
        sinq_route_row(op, sinq_cpu_row(step, op->route.logits, r), bias, sinq_cpu_row(step, op->route.choices, r));
    }
}

void sinq_cpu_combine_values(const struct sinq_cpu_step *step, uint32_t row, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const float *const shares = sinq_cpu_row(step, op->combine.choices, row) + op->combine.chosen;
    const float *const in = sinq_cpu_row(step, op->combine.in, row) + first;
    float *const out = sinq_cpu_row(step, op->combine.out, row) + first;
    if (!op->combine.accumulate) memset(out, 0, count * sizeof *out);
    for (uint32_t c = 0; c < op->combine.chosen; c++) {
        sinq_add_row(in + (size_t)c * op->combine.width, shares[c], count, out);
    }
}

static void combine_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    for (uint32_t r = first; r < first + count; r++) {
        sinq_cpu_combine_values(step, r, 0, step->operation->combine.width);
    }
}

sinq_cpu_rows_fn *sinq_cpu_rows_of(enum sinq_operation_kind kind) {
    static sinq_cpu_rows_fn *const functions[SINQ_OP_KIND_COUNT] = {
        [SINQ_OP_EMBED] = embed_rows,     [SINQ_OP_NORM] = norm_rows,       [SINQ_OP_ROTATION] = rotation_rows,
        [SINQ_OP_ROPE] = rope_rows,       [SINQ_OP_STORE] = store_rows,     [SINQ_OP_ACTIVATE] = activate_rows,
        [SINQ_OP_ADD] = add_rows,         [SINQ_OP_SOFTCAP] = softcap_rows, [SINQ_OP_ROUTE] = route_rows,
        [SINQ_OP_COMBINE] = combine_rows,
    };
    return functions[kind];
}

sinq_cpu_heads_fn *sinq_cpu_heads_of(enum sinq_operation_kind kind) {
    static sinq_cpu_heads_fn *const functions[SINQ_OP_KIND_COUNT] = {
        [SINQ_OP_NORM] = norm_heads, [SINQ_OP_ROPE] = rope_heads, [SINQ_OP_STORE] = store_heads};
    return functions[kind];
}

/* ---- running them ---- */

/* Whole tiles of prepared input, of which each instruction set's width is a divisor. */
#define MOST_ITEM_ROWS 24u

uint32_t sinq_cpu_item_rows(uint32_t rows, unsigned workers) {
    const uint32_t share = rows / (workers * 4);
    return share == 0 ? 1 : share < MOST_ITEM_ROWS ? share : MOST_ITEM_ROWS;
}

void sinq_cpu_run_rows(const struct sinq_cpu_step *steps, uint32_t count, uint32_t first, uint32_t rows) {
    for (uint32_t i = 0; i < count; i++) sinq_cpu_rows_of(steps[i].operation->kind)(&steps[i], first, rows);
}

void sinq_cpu_run_solo(const struct sinq_cpu_step *steps, uint32_t count, const struct sinq_cpu_hand *hand) {
    uint64_t item;
    if (count == 0) return;
    if (sinq_take_item(hand->worker, 1, &item)) sinq_cpu_run_rows(steps, count, 0, 1);
    sinq_meet(hand->worker, 1);
}
