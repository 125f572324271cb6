/*
 * test_cuda_products.c: products on a CUDA device with every form of weight, against the plain decoder and sums in f64. All goes
 * through the backend seam.
 */
#include <math.h>
#include <string.h>

#include "../unit/random_blob.h"
#include "cuda_device.h"
#include "tensor/weight.h"

/* Rows of input, one, few and many: few are multiplied one by one with inputs of 15 bits and a sign, many by tiles of f16. */
static const struct {
    size_t rows;
    double bound;
} batches[] = {{1, 3e-4}, {3, 3e-4}, {9, 1e-3}, {133, 1e-3}};
enum { BATCHES = sizeof batches / sizeof batches[0], MOST_ROWS = 133 };

/* y = W x for a few rows, on the device. */
static void multiply(struct sinq_backend *backend, const struct sinq_weight *weight, const float *x, float *y,
                     size_t count) {
    const struct sinq_backend_ops *const ops = backend->ops;
    const uint32_t cols = (uint32_t)weight->cols, rows = (uint32_t)weight->rows;
    const uint32_t widths[2] = {cols, rows};
    struct sinq_error error = {.message = ""};
    struct sinq_held *held = NULL;
    struct sinq_buffer *slots[2] = {NULL, NULL};
    struct sinq_queue *queue = NULL;
    const struct sinq_queue_options options = {.threads = 1, .batch = (uint32_t)count};
    int status = ops->hold_weight(backend, 0, weight, &held, &error);
    if (status == SINQ_OK) status = ops->flush_weights(backend, &error);
    if (status == SINQ_OK)
        status = ops->create_buffer(backend, (struct sinq_use){SINQ_USE_SLOT, 0}, count * cols * sizeof(float),
                                    &slots[0], &error);
    if (status == SINQ_OK)
        status = ops->create_buffer(backend, (struct sinq_use){SINQ_USE_SLOT, 1}, count * rows * sizeof(float),
                                    &slots[1], &error);
    if (status == SINQ_OK) status = ops->create_queue(backend, &options, &queue, &error);
    if (status == SINQ_OK) status = ops->upload(backend, slots[0], 0, x, count * cols * sizeof(float), &error);
    for (size_t i = 0; i < count * (size_t)rows; i++) y[i] = NAN;
    if (status == SINQ_OK) status = ops->upload(backend, slots[1], 0, y, count * rows * sizeof(float), &error);
    const struct sinq_operation linear = {.kind = SINQ_OP_LINEAR,
                                          .linear = {.weight = 0, .bias = SINQ_NO_WEIGHT, .in = {0, 0}, .out = {1, 0}}};
    const struct sinq_frame frame = {.weights = &held, .slots = slots, .slot_widths = widths, .count = (uint32_t)count};
    if (status == SINQ_OK) status = ops->enqueue(queue, &linear, &frame, &error);
    if (status == SINQ_OK) status = ops->submit(queue, &error);
    if (status == SINQ_OK) status = ops->wait(queue, &error);
    if (status == SINQ_OK) status = ops->download(backend, slots[1], 0, y, count * rows * sizeof(float), &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    ops->close_queue(queue);
    ops->free_buffer(backend, slots[0]);
    ops->free_buffer(backend, slots[1]);
    ops->release_weight(backend, held);
}

/*
 * How far the device's product is from the plain one, in the worst row, as a share of the norm of all terms: they may cancel out. Rows of input are of very
 * different sizes, and so are their values.
 */
static double find_error(struct sinq_backend *backend, const struct sinq_weight *weight, size_t count) {
    const size_t rows = (size_t)weight->rows, cols = (size_t)weight->cols;
    float *const plain = malloc(rows * cols * sizeof *plain), *const x = malloc(count * cols * sizeof *x);
    float *const y = malloc(count * rows * sizeof *y);
    double worst = 0;
    for (size_t i = 0; i < count * cols; i++) {
        x[i] = random_value() * (i % 7 == 0 ? 10.0f : 1.0f) *
               (i / cols % 5 == 3   ? 1e12f
                : i / cols % 5 == 4 ? 1e-12f
                                    : 1.0f);
    }
    sinq_weight_decode(weight, 0, weight->rows, plain);
    multiply(backend, weight, x, y, count);
    for (size_t t = 0; t < count; t++) {
        double distance = 0, squares = 0;
        for (size_t r = 0; r < rows; r++) {
            double sum = 0;
            for (size_t k = 0; k < cols; k++) {
                const double term = (double)plain[r * cols + k] * x[t * cols + k];
                sum += term;
                squares += term * term;
            }
            distance += (sum - y[t * rows + r]) * (sum - y[t * rows + r]);
        }
        const double error = distance == 0 ? 0 : sqrt(distance / squares);
        worst = error <= worst ? worst : error; /* NaN stays */
    }
    free(plain);
    free(x);
    free(y);
    return worst;
}

static const struct {
    uint64_t rows, cols;
} shapes[] = {{1, 1}, {16, 32}, {17, 40}, {33, 100}, {48, 256}, {80, 520}, {160, 1056}, {5, 2100}};

static void check_quantized(struct sinq_backend *backend, const struct sinq_dual_scale *matrix) {
    struct sinq_weight weight = {
        .dtype = SINQ_DUAL_SCALE, .rows = matrix->rows, .cols = matrix->cols, .matrix = *matrix};
    uint8_t *const blob = make_random_blob(matrix, &weight.size);
    ck_assert(sinq_dual_scale_measure(matrix, &weight.sizes));
    weight.bytes = blob;
    for (size_t b = 0; b < BATCHES; b++) {
        const double error = find_error(backend, &weight, batches[b].rows);
        if (getenv("SINQ_VERBOSE") != NULL) {
            printf("%zu rows, %u bits, group %u, %llu x %llu: %.2g\n", batches[b].rows, matrix->bits,
                   matrix->group_size, (unsigned long long)matrix->rows, (unsigned long long)matrix->cols, error);
        }
        ck_assert_msg(error <= batches[b].bound,
                      "%zu rows, %llu x %llu, %u bits, group %u, scales %s, zeros %s%s, %s: differs by %g",
                      batches[b].rows, (unsigned long long)matrix->rows, (unsigned long long)matrix->cols, matrix->bits,
                      matrix->group_size, sinq_aux_type_name(matrix->scale_type), sinq_aux_type_name(matrix->zero_type),
                      matrix->zero_per_block ? " per block" : "",
                      matrix->levels == SINQ_LEVELS_F32 ? "levels" : "plain", error);
    }
    free(blob);
}

/*
 * Three products of one row with one input, which are carried out as one: matrices so large that each multiprocessor has some of each
 * (stream.cu). They add to what is there.
 */
enum { TOGETHER = 3, WIDTH = 1024 };
static const uint32_t heights[TOGETHER] = {4096, 640, 1312};

static void check_together(struct sinq_backend *backend, const struct sinq_dual_scale forms[TOGETHER]) {
    const struct sinq_backend_ops *const ops = backend->ops;
    struct sinq_error error = {.message = ""};
    struct sinq_weight weights[TOGETHER];
    struct sinq_held *held[TOGETHER] = {NULL};
    struct sinq_buffer *slots[1 + TOGETHER] = {NULL};
    struct sinq_operation products[TOGETHER];
    struct sinq_queue *queue = NULL;
    const uint32_t widths[1 + TOGETHER] = {WIDTH, heights[0], heights[1], heights[2]};
    const struct sinq_queue_options options = {.threads = 1, .batch = 1};
    float x[WIDTH], before[4096], y[4096];
    for (size_t i = 0; i < WIDTH; i++) x[i] = random_value() * (i % 7 == 0 ? 10.0f : 1.0f);
    for (size_t i = 0; i < 4096; i++) before[i] = random_value();
    int status = ops->create_queue(backend, &options, &queue, &error);
    for (uint32_t i = 0; i < 1 + TOGETHER && status == SINQ_OK; i++) {
        status = ops->create_buffer(backend, (struct sinq_use){SINQ_USE_SLOT, i}, widths[i] * sizeof(float), &slots[i],
                                    &error);
        if (status == SINQ_OK)
            status = ops->upload(backend, slots[i], 0, i == 0 ? x : before, widths[i] * sizeof(float), &error);
    }
    for (uint32_t i = 0; i < TOGETHER && status == SINQ_OK; i++) {
        struct sinq_dual_scale matrix = forms[i];
        matrix.rows = heights[i];
        matrix.cols = WIDTH;
        weights[i] =
            (struct sinq_weight){.dtype = SINQ_DUAL_SCALE, .rows = heights[i], .cols = WIDTH, .matrix = matrix};
        weights[i].bytes = make_random_blob(&matrix, &weights[i].size);
        ck_assert(sinq_dual_scale_measure(&matrix, &weights[i].sizes));
        status = ops->hold_weight(backend, i, &weights[i], &held[i], &error);
        products[i] = (struct sinq_operation){
            .kind = SINQ_OP_LINEAR,
            .linear = {.weight = i, .bias = SINQ_NO_WEIGHT, .in = {0, 0}, .out = {1 + i, 0}, .accumulate = i != 1}};
    }
    if (status == SINQ_OK) status = ops->flush_weights(backend, &error);
    const struct sinq_frame frame = {.weights = held, .slots = slots, .slot_widths = widths, .count = 1};
    for (uint32_t i = 0; i < TOGETHER && status == SINQ_OK; i++)
        status = ops->enqueue(queue, &products[i], &frame, &error);
    if (status == SINQ_OK) status = ops->submit(queue, &error);
    if (status == SINQ_OK) status = ops->wait(queue, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    for (uint32_t i = 0; i < TOGETHER; i++) {
        float *const plain = malloc((size_t)heights[i] * WIDTH * sizeof *plain);
        double distance = 0, squares = 0;
        ck_assert_int_eq(ops->download(backend, slots[1 + i], 0, y, heights[i] * sizeof(float), &error), SINQ_OK);
        sinq_weight_decode(&weights[i], 0, heights[i], plain);
        for (size_t r = 0; r < heights[i]; r++) {
            double sum = i != 1 ? before[r] : 0.0;
            for (size_t k = 0; k < WIDTH; k++) {
                const double term = (double)plain[r * WIDTH + k] * x[k];
                sum += term;
                squares += term * term;
            }
            distance += (sum - y[r]) * (sum - y[r]);
        }
        ck_assert_msg(sqrt(distance / squares) <= batches[0].bound, "%u bits, group %u, matrix %u: differs by %g",
                      forms[i].bits, forms[i].group_size, i, sqrt(distance / squares));
        free(plain);
        free((void *)(uintptr_t)weights[i].bytes);
        ops->free_buffer(backend, slots[1 + i]);
        ops->release_weight(backend, held[i]);
    }
    ops->free_buffer(backend, slots[0]);
    ops->close_queue(queue);
}

static void check_alike(struct sinq_backend *backend, const struct sinq_dual_scale *form) {
    const struct sinq_dual_scale forms[TOGETHER] = {*form, *form, *form};
    check_together(backend, forms);
}

START_TEST(products_of_one_row_that_are_carried_out_as_one) {
    static const uint32_t bits[] = {2, 3, 4, 5, 6, 8}, groups[] = {64, 128};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    for (unsigned turn = 0; turn < 12; turn++) {
        check_alike(backend, &(struct sinq_dual_scale){.group_size = groups[turn % 2],
                                                       .bits = bits[turn / 2],
                                                       .scale_type = turn % 3 == 0 ? SINQ_AUX_F16 : SINQ_AUX_U8,
                                                       .zero_type = turn % 4 == 1 ? SINQ_AUX_F16 : SINQ_AUX_U8,
                                                       .zero_per_block = turn % 4 == 2,
                                                       .has_column_scale = turn % 5 != 0,
                                                       .factor = 0.75f,
                                                       .zero_low = 1.5f,
                                                       .zero_step = 0.03f});
    }
    backend->ops->close(backend);
}
END_TEST

START_TEST(products_of_one_row_of_byte_levels) {
    static const uint32_t bits[] = {2, 3, 4}, groups[] = {16, 32, 64};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    for (unsigned turn = 0; turn < 36; turn++) {
        check_alike(backend, &(struct sinq_dual_scale){.group_size = groups[turn % 3],
                                                       .bits = bits[turn / 3 % 3],
                                                       .scale_type = turn < 18 ? SINQ_AUX_U6 : SINQ_AUX_U8,
                                                       .zero_type = SINQ_AUX_NONE,
                                                       .scale_signed = turn / 9 % 2 == 0,
                                                       .has_column_scale = turn % 2 == 0,
                                                       .levels = SINQ_LEVELS_BYTES,
                                                       .factor = 0.75f,
                                                       .zero_low = 64.0f});
    }
    backend->ops->close(backend);
}
END_TEST

/* A form by its number: all widths and groups, byte levels with signed scales or codes with zero points, all ways to store them. */
static struct sinq_dual_scale make_form(unsigned number) {
    static const uint32_t bits[] = {2, 3, 4, 5, 6, 8}, groups[] = {16, 32, 64, 128};
    static const enum sinq_aux_type types[] = {SINQ_AUX_U6, SINQ_AUX_U8, SINQ_AUX_F16};
    const uint32_t width = bits[number % 6];
    struct sinq_dual_scale form = {.group_size = groups[number / 6 % 4],
                                   .bits = width,
                                   .scale_type = types[number % 3],
                                   .zero_type = types[number / 3 % 3],
                                   .zero_per_block = number % 4 == 2 && types[number / 3 % 3] != SINQ_AUX_F16,
                                   .has_column_scale = number % 5 != 0,
                                   .factor = 0.75f,
                                   .zero_low = 1.5f,
                                   .zero_step = 0.03f};
    if (width > 4 || number / 2 % 2 == 0) return form;
    form.scale_type = types[number % 2];
    form.scale_signed = number % 7 != 0;
    form.zero_type = SINQ_AUX_NONE;
    form.levels = SINQ_LEVELS_BYTES;
    form.zero_low = 64.0f;
    form.zero_per_block = false;
    return form;
}

/* As the default recipe has them; single ones of forms that have no kernel of their own, too (mixed.cu). */
START_TEST(products_of_one_row_of_different_forms) {
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    for (unsigned number = 0; number < 72; number++) {
        const struct sinq_dual_scale forms[TOGETHER] = {make_form(number), make_form(number * 5 + 1),
                                                        make_form(number * 7 + 3)};
        check_together(backend, forms);
        check_alike(backend, &forms[0]);
    }
    backend->ops->close(backend);
}
END_TEST

START_TEST(quantized_matrices_of_every_form) {
    static const uint32_t bits[] = {2, 3, 4, 5, 6, 8}, groups[] = {0, 16, 32, 64, 128};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    unsigned turn = 0;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++) {
            for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++, turn++) {
                const bool has_u8_zeros = turn % 3 != 0;
                check_quantized(backend,
                                &(struct sinq_dual_scale){.rows = shapes[s].rows,
                                                          .cols = shapes[s].cols,
                                                          .group_size = groups[g],
                                                          .bits = bits[b],
                                                          .scale_type = turn % 2 == 0 ? SINQ_AUX_U8 : SINQ_AUX_F16,
                                                          .zero_type = has_u8_zeros ? SINQ_AUX_U8 : SINQ_AUX_F16,
                                                          .zero_per_block = turn % 3 == 1,
                                                          .has_column_scale = turn % 5 != 0,
                                                          .levels = bits[b] <= 4 && turn % 7 == 0 ? SINQ_LEVELS_F32
                                                                                                  : SINQ_LEVELS_UNIFORM,
                                                          .factor = 0.75f,
                                                          .zero_low = 1.5f,
                                                          .zero_step = 0.03f});
            }
        }
    }
    backend->ops->close(backend);
}
END_TEST

/* In memory alone: what GGUF's types become. */
START_TEST(matrices_of_gguf_types) {
    static const struct {
        uint32_t bits, group;
        enum sinq_aux_type scales, zeros;
        bool has_minima;
    } forms[] = {{4, 32, SINQ_AUX_F16, SINQ_AUX_NONE, false}, {8, 32, SINQ_AUX_F16, SINQ_AUX_NONE, false},
                 {4, 32, SINQ_AUX_I8, SINQ_AUX_I8, true},     {2, 16, SINQ_AUX_I8, SINQ_AUX_I8, true},
                 {6, 16, SINQ_AUX_I8, SINQ_AUX_NONE, false},  {5, 32, SINQ_AUX_F16, SINQ_AUX_F16, true}};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
            check_quantized(backend, &(struct sinq_dual_scale){.rows = shapes[s].rows,
                                                               .cols = shapes[s].cols,
                                                               .group_size = forms[f].group,
                                                               .bits = forms[f].bits,
                                                               .scale_type = forms[f].scales,
                                                               .zero_type = forms[f].zeros,
                                                               .has_minima = forms[f].has_minima,
                                                               .factor = 1.0f,
                                                               .zero_low = 2.0f});
        }
    }
    backend->ops->close(backend);
}
END_TEST

START_TEST(byte_levels_signed_scales_and_entries_of_six_bits) {
    static const struct {
        uint32_t bits, group;
        enum sinq_aux_type scales, zeros;
        bool is_signed, zero_per_block;
        enum sinq_levels_kind levels;
    } forms[] = {{4, 32, SINQ_AUX_U6, SINQ_AUX_NONE, true, false, SINQ_LEVELS_BYTES},
                 {3, 32, SINQ_AUX_U6, SINQ_AUX_NONE, true, false, SINQ_LEVELS_BYTES},
                 {2, 32, SINQ_AUX_U6, SINQ_AUX_NONE, true, false, SINQ_LEVELS_BYTES},
                 {4, 16, SINQ_AUX_U6, SINQ_AUX_NONE, true, false, SINQ_LEVELS_BYTES},
                 {4, 64, SINQ_AUX_U8, SINQ_AUX_NONE, true, false, SINQ_LEVELS_BYTES},
                 {3, 128, SINQ_AUX_U8, SINQ_AUX_NONE, false, false, SINQ_LEVELS_BYTES},
                 {2, 64, SINQ_AUX_F16, SINQ_AUX_NONE, false, false, SINQ_LEVELS_BYTES},
                 {5, 64, SINQ_AUX_U6, SINQ_AUX_U6, false, false, SINQ_LEVELS_UNIFORM},
                 {8, 64, SINQ_AUX_U6, SINQ_AUX_U6, false, true, SINQ_LEVELS_UNIFORM},
                 {6, 0, SINQ_AUX_U6, SINQ_AUX_F16, false, false, SINQ_LEVELS_UNIFORM},
                 {4, 32, SINQ_AUX_U6, SINQ_AUX_NONE, true, false, SINQ_LEVELS_F32}};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
            check_quantized(backend, &(struct sinq_dual_scale){.rows = shapes[s].rows,
                                                               .cols = shapes[s].cols,
                                                               .group_size = forms[f].group,
                                                               .bits = forms[f].bits,
                                                               .scale_type = forms[f].scales,
                                                               .zero_type = forms[f].zeros,
                                                               .zero_per_block = forms[f].zero_per_block,
                                                               .scale_signed = forms[f].is_signed,
                                                               .has_column_scale = f % 2 == 0,
                                                               .levels = forms[f].levels,
                                                               .factor = 0.75f,
                                                               .zero_low = 64.0f,
                                                               .zero_step = 0.03f});
        }
    }
    backend->ops->close(backend);
}
END_TEST

START_TEST(dense_matrices_of_every_type) {
    static const enum sinq_dtype dtypes[] = {SINQ_F32, SINQ_F16, SINQ_BF16, SINQ_F8_E4M3, SINQ_F8_E5M2};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const size_t count = (size_t)(shapes[s].rows * shapes[s].cols), size = sinq_dtype_size(dtypes[d]);
            uint8_t *const bytes = malloc(count * size);
            for (size_t i = 0; i < count; i++) {
                const float value = random_value();
                const uint16_t half = sinq_float_to_half(value);
                uint32_t word;
                memcpy(&word, &value, sizeof word);
                if (size == 4) memcpy(bytes + 4 * i, &value, 4);
                if (dtypes[d] == SINQ_F16) memcpy(bytes + 2 * i, &half, 2);
                if (dtypes[d] == SINQ_BF16) memcpy(bytes + 2 * i, (const uint8_t *)&word + 2, 2);
                if (size == 1) bytes[i] = (uint8_t)(0x20u + (next_random() & 0x9fu)); /* no NaN, no infinity */
            }
            const struct sinq_weight weight = {.dtype = dtypes[d],
                                               .rows = shapes[s].rows,
                                               .cols = shapes[s].cols,
                                               .bytes = bytes,
                                               .size = count * size};
            for (size_t b = 0; b < BATCHES; b++) {
                const double error = find_error(backend, &weight, batches[b].rows);
                ck_assert_msg(error <= batches[b].bound, "%zu rows, %s, %llu x %llu: differs by %g", batches[b].rows,
                              sinq_dtype_name(dtypes[d]), (unsigned long long)shapes[s].rows,
                              (unsigned long long)shapes[s].cols, error);
            }
            free(bytes);
        }
    }
    backend->ops->close(backend);
}
END_TEST

UNIT_MAIN("CUDA products", products_of_one_row_that_are_carried_out_as_one, products_of_one_row_of_byte_levels,
          products_of_one_row_of_different_forms, quantized_matrices_of_every_form, matrices_of_gguf_types,
          byte_levels_signed_scales_and_entries_of_six_bits, dense_matrices_of_every_type)
