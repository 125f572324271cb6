/* cpu_rows.c: operations that compute each row by itself. */
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/rowwise.h"
#include "model/cpu_queue.h"
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

static void norm_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const float *const weight = sinq_cpu_vector(step, op->norm.weight);
    const uint32_t shift = op->norm.gather ? step->frame->first_row : 0;
    for (uint32_t r = first; r < first + count; r++) {
        const float *const in = sinq_cpu_row(step, op->norm.in, r + shift);
        float *const out = sinq_cpu_row(step, op->norm.out, r);
        for (uint32_t g = 0; g < op->norm.groups; g++) {
            const size_t at = (size_t)g * op->norm.stride;
            sinq_norm_row(in + at, weight, op->norm.width, op->norm.eps, out + at);
        }
    }
}

static void rotation_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_rope *const rope = &step->frame->ropes[op->rotation.rope];
    for (uint32_t r = first; r < first + count; r++) {
        float *const out = sinq_cpu_row(step, op->rotation.out, r);
        sinq_rope_rotation(rope, step->frame->position + r, step->frame->length, out, out + rope->dims / 2);
    }
}

static void rope_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const uint32_t dims = op->rope.dims;
    for (uint32_t r = first; r < first + count; r++) {
        const float *const in = sinq_cpu_row(step, op->rope.in, r);
        const float *const cosines = sinq_cpu_row(step, op->rope.rotation, r);
        float *const out = sinq_cpu_row(step, op->rope.out, r);
        for (uint32_t h = 0; h < op->rope.heads; h++) {
            const float *const from = in + (size_t)h * op->rope.in_stride;
            float *const to = out + (size_t)h * op->rope.out_stride;
            sinq_rotate_head(from, cosines, cosines + dims / 2, dims, op->rope.interleaved, to);
            if (from != to) memmove(to + dims, from + dims, op->rope.copy * sizeof *to);
        }
    }
}

static void store_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_cache *const cache = &step->frame->caches[op->store.cache];
    const struct sinq_cache_shape *const shape = &cache->layout.shape;
    for (uint32_t r = first; r < first + count; r++) {
        const float *const keys = sinq_cpu_row(step, op->store.keys, r);
        const float *const values = shape->shared ? NULL : sinq_cpu_row(step, op->store.values, r);
        for (uint32_t h = 0; h < shape->kv_heads; h++) {
            sinq_store_key_value(&cache->layout, cache->buffer->data, h, (uint64_t)step->frame->position + r,
                                 keys + (size_t)h * shape->key_dim,
                                 values == NULL ? NULL : values + (size_t)h * shape->value_dim);
        }
    }
}

static void activate_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    static void (*const functions[])(const float *, const float *, uint32_t, uint32_t, float *) = {
        [SINQ_ACTIVATION_SILU] = sinq_silu_row,
        [SINQ_ACTIVATION_GELU_TANH] = sinq_gelu_tanh_row,
        [SINQ_ACTIVATION_GELU] = sinq_gelu_row,
        [SINQ_ACTIVATION_GPT_OSS] = sinq_gpt_oss_row,
    };
    const struct sinq_operation *const op = step->operation;
    for (uint32_t r = first; r < first + count; r++) {
        const float *const gate = sinq_cpu_row(step, op->activate.gate, r);
        const float *const up = sinq_cpu_row(step, op->activate.up, r);
        float *const out = sinq_cpu_row(step, op->activate.out, r);
        for (uint32_t s = 0; s < op->activate.segments; s++) {
            const size_t from = (size_t)s * op->activate.in_stride, to = (size_t)s * op->activate.out_stride;
            functions[op->activate.activation](gate + from, up + from, op->activate.width, op->activate.step, out + to);
        }
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

static void combine_rows(const struct sinq_cpu_step *step, uint32_t first, uint32_t count) {
    const struct sinq_operation *const op = step->operation;
    for (uint32_t r = first; r < first + count; r++) {
        const float *const shares = sinq_cpu_row(step, op->combine.choices, r) + op->combine.chosen;
        const float *const in = sinq_cpu_row(step, op->combine.in, r);
        float *const out = sinq_cpu_row(step, op->combine.out, r);
        if (!op->combine.accumulate) memset(out, 0, op->combine.width * sizeof *out);
        for (uint32_t c = 0; c < op->combine.chosen; c++) {
            sinq_add_row(in + (size_t)c * op->combine.width, shares[c], op->combine.width, out);
        }
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
