/* add_products.c: products of one input as one kernel, and the kernel that makes the input, with the operation before it where it can be. */
#include "base/checked.h"
#include "cuda/builder.h"
#include "cuda/describe.h"

int sinq_cuda_add_dense(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    struct sinq_cuda_action *const action = sinq_cuda_add_action(builder, SINQ_CUDA_MULTIPLY_DENSE, step);
    if (action == NULL) return SINQ_FAILED;
    action->dense.matrix = *sinq_cuda_find_matrix(step, op->linear.weight);
    action->dense.in = sinq_cuda_find_rows(step, op->linear.in);
    action->dense.y = sinq_cuda_find_rows(step, op->linear.out);
    action->dense.bias = sinq_cuda_find_vector(step, op->linear.bias);
    action->dense.accumulate = op->linear.accumulate;
    return SINQ_OK;
}

bool sinq_cuda_is_quantized_product(const struct sinq_cuda_step *step) {
    return step->operation->kind == SINQ_OP_LINEAR &&
           sinq_cuda_can_multiply(sinq_cuda_find_matrix(step, step->operation->linear.weight));
}

uint32_t sinq_cuda_count_alike(const struct sinq_cuda_step *steps, uint32_t left, sinq_cuda_alike *are_alike) {
    const struct sinq_operation *const first = steps[0].operation;
    uint32_t count = 1;
    if (first->linear.out.slot == first->linear.in.slot) return 1;
    for (; count < left && count < SINQ_CUDA_MOST_PRODUCTS; count++) {
        const struct sinq_cuda_step *const step = &steps[count];
        const struct sinq_operation *const op = step->operation;
        if (step->rows != steps[0].rows || op->kind != SINQ_OP_LINEAR) break;
        if (!sinq_cuda_same_view(op->linear.in, first->linear.in) || op->linear.out.slot == op->linear.in.slot) break;
        if (!are_alike(sinq_cuda_find_matrix(&steps[0], first->linear.weight),
                       sinq_cuda_find_matrix(step, op->linear.weight))) {
            break;
        }
    }
    return count;
}

/* One kernel does both. */
static bool are_alike(const struct sinq_cuda_matrix *a, const struct sinq_cuda_matrix *b) {
    return sinq_cuda_can_multiply(b) && a->bits == b->bits && a->group_size == b->group_size && a->cols == b->cols &&
           sinq_cuda_is_usual(a) == sinq_cuda_is_usual(b);
}

/* One kernel does both, where it can do all together (sinq_cuda_share_mixed). */
static bool have_one_width(const struct sinq_cuda_matrix *a, const struct sinq_cuda_matrix *b) {
    return sinq_cuda_can_multiply(b) && a->cols == b->cols;
}

static void describe_matrices(const struct sinq_cuda_step *steps, struct sinq_cuda_products *products) {
    for (uint32_t i = 0; i < products->count; i++) {
        struct sinq_cuda_matrix *const matrix = &products->products[i].matrix;
        *matrix = *sinq_cuda_find_matrix(&steps[i], steps[i].operation->linear.weight);
        products->first_pair[i + 1] = products->first_pair[i] + (uint32_t)sinq_divide_up(matrix->panels, 2);
    }
}

/* Whether one block a multiprocessor finds room to exchange sums. */
static bool can_exchange(const struct sinq_cuda_builder *builder) {
    return builder->queue->backend->line.processors * 32 <= builder->queue->finished.bytes / sizeof(uint32_t);
}

uint32_t sinq_cuda_count_products(const struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps,
                                  uint32_t left) {
    const uint32_t alike = sinq_cuda_count_alike(steps, left, are_alike);
    struct sinq_cuda_products all = {.count = sinq_cuda_count_alike(steps, left, have_one_width)};
    if (steps[0].rows != 1 || all.count <= alike || !can_exchange(builder)) return alike;
    describe_matrices(steps, &all);
    return sinq_cuda_share_mixed(builder->queue->backend->line, &all, false) ? all.count : alike;
}

static bool are_of_one_form(const struct sinq_cuda_products *products) {
    for (uint32_t i = 1; i < products->count; i++) {
        if (!are_alike(&products->products[0].matrix, &products->products[i].matrix)) return false;
    }
    return true;
}

/* One row: blocks share out the columns as suits the device. */
static void share_columns(struct sinq_cuda_builder *builder, struct sinq_cuda_products *products, uint32_t rows,
                          bool is_made) {
    const uint32_t pairs = products->first_pair[products->count];
    const struct sinq_cuda_line line = builder->queue->backend->line;
    products->exchange = products->finished = (uint32_t *)(void *)builder->queue->finished.data;
    if (rows == 1 && can_exchange(builder)) {
        if (are_of_one_form(products) && sinq_cuda_share_tiles(line, products)) return;
        if (sinq_cuda_share_mixed(line, products, is_made)) return;
    }
    sinq_cuda_share_columns(line.processors, products);
    if (rows != 1 || pairs > builder->queue->finished.bytes / sizeof(uint32_t)) products->splits = 1;
    if (products->splits == 1) return;
    products->partial = sinq_cuda_take_scratch(builder, (uint64_t)pairs * products->splits * 32 * sizeof(float));
}

/* Products of one input, which `values` describes. */
static struct sinq_cuda_products describe_products(struct sinq_cuda_builder *builder,
                                                   const struct sinq_cuda_step *steps, uint32_t count,
                                                   const struct sinq_cuda_values *values) {
    struct sinq_cuda_products products = {.count = count};
    const bool is_made = values->origin == SINQ_CUDA_MADE;
    describe_matrices(steps, &products);
    share_columns(builder, &products, steps[0].rows, is_made);
    for (uint32_t i = 0; i < count; i++) {
        const struct sinq_operation *const op = steps[i].operation;
        struct sinq_cuda_product *const product = &products.products[i];
        const uint32_t group = product->matrix.group_size;
        product->input = is_made ? values->made
                                 : sinq_cuda_take_input(builder, product->matrix.cols, steps[i].rows,
                                                        products.is_mixed ? sinq_cuda_mixed_input_group(group) : group);
        product->y = sinq_cuda_find_rows(&steps[i], op->linear.out);
        product->bias = sinq_cuda_find_vector(&steps[i], op->linear.bias);
        product->accumulate = op->linear.accumulate;
    }
    return products;
}

static int add_described(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps,
                         struct sinq_cuda_products *products, const struct sinq_cuda_values *values) {
    const uint32_t count = products->count;
    if (values->origin != SINQ_CUDA_MADE &&
        !sinq_cuda_make_normed_input(builder->queue->backend->line, products, values)) {
        struct sinq_cuda_action *const prepare = sinq_cuda_add_action(builder, SINQ_CUDA_PREPARE, &steps[0]);
        if (prepare == NULL) return SINQ_FAILED;
        prepare->preparation.values = *values;
        prepare->preparation.cols = products->products[0].matrix.cols;
        prepare->preparation.count = count;
        for (uint32_t i = 0; i < count; i++) {
            prepare->preparation.column_scales[i] = products->products[i].matrix.column_scale;
            prepare->preparation.inputs[i] = products->products[i].input;
        }
    }
    struct sinq_cuda_action *const multiply = sinq_cuda_add_action(builder, SINQ_CUDA_MULTIPLY, &steps[count - 1]);
    if (multiply == NULL) return SINQ_FAILED;
    multiply->products = *products;
    return SINQ_OK;
}

int sinq_cuda_add_products(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t count,
                           const struct sinq_cuda_values *values) {
    struct sinq_cuda_products products = describe_products(builder, steps, count, values);
    return add_described(builder, steps, &products, values);
}

int sinq_cuda_add_gated_products(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps,
                                 const struct sinq_cuda_values *values) {
    const struct sinq_cuda_step *const down = &steps[3];
    struct sinq_cuda_products products = describe_products(builder, steps, 2, values);
    const struct sinq_cuda_matrix *const matrix = sinq_cuda_find_matrix(down, down->operation->linear.weight);
    const struct sinq_cuda_input input = sinq_cuda_take_input(builder, matrix->cols, down->rows, matrix->group_size);
    struct sinq_cuda_values activated = sinq_cuda_describe_values(&steps[2]);
    if (sinq_cuda_activate_products(builder->queue->backend->line, &products, &activated, matrix, &input,
                                    builder->queue->finished.bytes / sizeof(uint32_t))) {
        activated = (struct sinq_cuda_values){.origin = SINQ_CUDA_MADE, .made = input};
    }
    const int status = add_described(builder, steps, &products, values);
    return status == SINQ_OK ? sinq_cuda_add_products(builder, down, 1, &activated) : status;
}

bool sinq_cuda_are_gated_products(const struct sinq_cuda_step *steps, uint32_t products, uint32_t left) {
    if (products != 2 || left < 4 || steps[2].operation->kind != SINQ_OP_ACTIVATE || steps[2].rows != steps[0].rows) {
        return false;
    }
    return sinq_cuda_same_view(steps[2].operation->activate.gate, steps[0].operation->linear.out) &&
           sinq_cuda_same_view(steps[2].operation->activate.up, steps[1].operation->linear.out) &&
           sinq_cuda_is_quantized_product(&steps[3]) && sinq_cuda_makes_input(&steps[2], &steps[3], 1);
}

bool sinq_cuda_makes_input(const struct sinq_cuda_step *step, const struct sinq_cuda_step *next, uint32_t products) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_view in = next->operation->linear.in;
    const uint32_t cols = sinq_cuda_find_matrix(next, next->operation->linear.weight)->cols;
    if (step->rows != next->rows) return false;
    if (op->kind == SINQ_OP_NORM) {
        for (uint32_t i = 0; i < products; i++) {
            if (next[i].operation->linear.out.slot == op->norm.in.slot)
                return false; /* blocks may read it while others write */
        }
        return op->norm.groups == 1 && op->norm.width == cols && op->norm.in.slot != op->norm.out.slot &&
               sinq_cuda_same_view(op->norm.out, in);
    }
    if (op->kind != SINQ_OP_ACTIVATE || products != 1) return false;
    return op->activate.segments == 1 && op->activate.step == 1 && op->activate.width == cols &&
           sinq_cuda_same_view(op->activate.out, in);
}
