#include "cuda/describe.h"

struct sinq_cuda_rows sinq_cuda_find_rows(const struct sinq_cuda_step *step, struct sinq_view view) {
    if (view.slot == SINQ_NO_VIEW) return (struct sinq_cuda_rows){NULL, 0};
    float *const data = (float *)(void *)step->frame->slots[view.slot]->data;
    return (struct sinq_cuda_rows){data + view.offset, step->frame->slot_widths[view.slot]};
}

const struct sinq_cuda_matrix *sinq_cuda_find_matrix(const struct sinq_cuda_step *step, uint32_t weight) {
    const struct sinq_held *const held = weight == SINQ_NO_WEIGHT ? NULL : step->frame->weights[weight];
    return held == NULL ? NULL : &held->matrix;
}

const float *sinq_cuda_find_vector(const struct sinq_cuda_step *step, uint32_t weight) {
    const struct sinq_cuda_matrix *const vector = sinq_cuda_find_matrix(step, weight);
    return vector == NULL ? NULL : (const float *)(const void *)vector->elements;
}

struct sinq_cuda_norm sinq_cuda_describe_norm(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    return (struct sinq_cuda_norm){.in = sinq_cuda_find_rows(step, op->norm.in),
                                   .out = sinq_cuda_find_rows(step, op->norm.out),
                                   .weight = sinq_cuda_find_vector(step, op->norm.weight),
                                   .groups = op->norm.groups,
                                   .width = op->norm.width,
                                   .stride = op->norm.stride,
                                   .eps = op->norm.eps,
                                   .gather = op->norm.gather};
}

struct sinq_cuda_rope sinq_cuda_describe_rope(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    return (struct sinq_cuda_rope){.in = sinq_cuda_find_rows(step, op->rope.in),
                                   .out = sinq_cuda_find_rows(step, op->rope.out),
                                   .rotation = sinq_cuda_find_rows(step, op->rope.rotation),
                                   .heads = op->rope.heads,
                                   .in_stride = op->rope.in_stride,
                                   .out_stride = op->rope.out_stride,
                                   .dims = op->rope.dims,
                                   .copy = op->rope.copy,
                                   .interleaved = op->rope.interleaved};
}

struct sinq_cuda_activation sinq_cuda_describe_activation(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    return (struct sinq_cuda_activation){.gate = sinq_cuda_find_rows(step, op->activate.gate),
                                         .up = sinq_cuda_find_rows(step, op->activate.up),
                                         .out = sinq_cuda_find_rows(step, op->activate.out),
                                         .activation = (int)op->activate.activation,
                                         .segments = op->activate.segments,
                                         .width = op->activate.width,
                                         .step = op->activate.step,
                                         .in_stride = op->activate.in_stride,
                                         .out_stride = op->activate.out_stride};
}

struct sinq_cuda_route sinq_cuda_describe_route(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    return (struct sinq_cuda_route){.logits = sinq_cuda_find_rows(step, op->route.logits),
                                    .choices = sinq_cuda_find_rows(step, op->route.choices),
                                    .bias = sinq_cuda_find_vector(step, op->route.bias),
                                    .routing = (int)op->route.routing,
                                    .experts = op->route.experts,
                                    .chosen = op->route.chosen,
                                    .groups = op->route.groups,
                                    .top_groups = op->route.top_groups,
                                    .groups_by_two = op->route.groups_by_two,
                                    .normalized = op->route.normalized,
                                    .scale = op->route.scale};
}

struct sinq_cuda_cache sinq_cuda_describe_cache(const struct sinq_cuda_step *step, uint32_t number) {
    const struct sinq_cache *const cache = &step->frame->caches[number];
    const struct sinq_cache_layout *const layout = &cache->layout;
    uint8_t *const data = cache->buffer->data;
    return (struct sinq_cuda_cache){.keys = data + layout->key_offset,
                                    .values = data + layout->value_offset,
                                    .key_scales = (float *)(void *)(data + layout->key_scale_offset),
                                    .value_scales = (float *)(void *)(data + layout->value_scale_offset),
                                    .kv_heads = layout->shape.kv_heads,
                                    .key_dim = layout->shape.key_dim,
                                    .value_dim = layout->shape.value_dim,
                                    .capacity = layout->capacity,
                                    .type = (int)layout->type,
                                    .shared = layout->shape.shared};
}

struct sinq_cuda_combine sinq_cuda_describe_combine(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    return (struct sinq_cuda_combine){.choices = sinq_cuda_find_rows(step, op->combine.choices),
                                      .in = sinq_cuda_find_rows(step, op->combine.in),
                                      .out = sinq_cuda_find_rows(step, op->combine.out),
                                      .chosen = op->combine.chosen,
                                      .width = op->combine.width,
                                      .accumulate = op->combine.accumulate};
}

struct sinq_cuda_head_product sinq_cuda_describe_heads(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    return (struct sinq_cuda_head_product){.matrix = *sinq_cuda_find_matrix(step, op->head_linear.weight),
                                           .in = sinq_cuda_find_rows(step, op->head_linear.in),
                                           .out = sinq_cuda_find_rows(step, op->head_linear.out),
                                           .heads = op->head_linear.heads,
                                           .in_stride = op->head_linear.in_stride,
                                           .out_stride = op->head_linear.out_stride,
                                           .first_row = op->head_linear.first_row,
                                           .row_stride = op->head_linear.row_stride,
                                           .rows = op->head_linear.rows,
                                           .transposed = op->head_linear.transposed};
}

struct sinq_cuda_values sinq_cuda_describe_values(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    if (op->kind == SINQ_OP_NORM) {
        return (struct sinq_cuda_values){.origin = SINQ_CUDA_NORMED,
                                         .in = sinq_cuda_find_rows(step, op->norm.in),
                                         .out = sinq_cuda_find_rows(step, op->norm.out),
                                         .weight = sinq_cuda_find_vector(step, op->norm.weight),
                                         .eps = op->norm.eps,
                                         .gather = op->norm.gather};
    }
    if (op->kind == SINQ_OP_ACTIVATE) {
        return (struct sinq_cuda_values){.origin = SINQ_CUDA_ACTIVATED,
                                         .in = sinq_cuda_find_rows(step, op->activate.gate),
                                         .out = sinq_cuda_find_rows(step, op->activate.out),
                                         .up = sinq_cuda_find_rows(step, op->activate.up),
                                         .activation = (int)op->activate.activation};
    }
    return (struct sinq_cuda_values){.origin = SINQ_CUDA_PLAIN, .in = sinq_cuda_find_rows(step, op->linear.in)};
}
