/* Rows of tensors as f32: plain ones, with block scales, quantized; the accessors' bounds. */
#include <math.h>

#include "checkpoint/source.h"
#include "checkpoint_files.h"
#include "tensor/dtype.h"
#include "tensor/dual_scale.h"
#include "unit.h"

static uint64_t state = 88172645463325252u;

static uint32_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

/* A file that grows tensor by tensor. */
struct builder {
    char header[8192];
    uint8_t *data;
    size_t size;
};

static uint8_t *add_tensor(struct builder *b, const char *name, const char *dtype, const char *shape, size_t bytes) {
    const size_t used = strlen(b->header);
    (void)snprintf(b->header + used, sizeof b->header - used,
                   "%c\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", used == 0 ? '{' : ',', name,
                   dtype, shape, b->size, b->size + bytes);
    b->data = realloc(b->data, b->size + bytes);
    ck_assert_ptr_nonnull(b->data);
    b->size += bytes;
    return b->data + b->size - bytes;
}

/* Random bytes whose exponents are moderate in every type. */
static void fill_random(uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(draw() & 0x3f);
}

static void finish_file(struct builder *b, const char *name) {
    strcat(b->header, "}");
    write_safetensors(name, b->header, b->data, b->size);
    free(b->data);
    *b = (struct builder){0};
}

static size_t find(const struct sinq_source *source, const char *name) {
    const int64_t index = sinq_source_find(source, name);
    ck_assert_int_ge(index, 0);
    return (size_t)index;
}

START_TEST(rows_of_every_dtype_are_converted) {
    enum { ROWS = 700, COLS = 301 }; /* several chunks */
    static float rows[ROWS * COLS], expected[ROWS * COLS];
    static uint8_t bytes[ROWS * COLS * 8];
    make_folder();
    struct builder b = {0};
    for (int dtype = 0; dtype < SINQ_DUAL_SCALE; dtype++) {
        const size_t size = ROWS * COLS * sinq_dtype_size((enum sinq_dtype)dtype);
        uint8_t *const to = add_tensor(&b, sinq_dtype_name((enum sinq_dtype)dtype),
                                       sinq_dtype_name((enum sinq_dtype)dtype), "[7,100,301]", size);
        fill_random(to, size);
    }
    finish_file(&b, "x");
    struct sinq_source *const source = open_good(path_of("x"));
    static const uint64_t ranges[][2] = {{0, ROWS}, {0, 1}, {ROWS - 1, 1}, {99, 2}, {350, 333}, {ROWS, 0}, {0, 0}};
    for (int dtype = 0; dtype < SINQ_DUAL_SCALE; dtype++) {
        const size_t t = find(source, sinq_dtype_name((enum sinq_dtype)dtype));
        const uint64_t size = sinq_source_tensor(source, t)->bytes;
        ck_assert_int_eq(sinq_read_bytes(source, t, 0, size, bytes, NULL), SINQ_OK);
        sinq_convert_to_float((enum sinq_dtype)dtype, bytes, ROWS * COLS, expected);
        for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
            const size_t count = (size_t)ranges[r][1] * COLS;
            memset(rows, 0, sizeof rows);
            ck_assert_int_eq(sinq_read_rows(source, t, ranges[r][0], ranges[r][1], rows, NULL), SINQ_OK);
            ck_assert_int_eq(memcmp(rows, expected + ranges[r][0] * COLS, count * sizeof *rows), 0);
            ck_assert(count == ROWS * COLS || rows[count] == 0);
        }
    }
    sinq_source_close(source);
    remove_folder();
}
END_TEST

START_TEST(what_is_out_of_bounds_is_refused) {
    make_folder();
    struct builder b = {0};
    (void)memset(add_tensor(&b, "x", "U8", "[2,3]", 6), 0, 6);
    (void)add_tensor(&b, "empty", "F32", "[4611686018427387904,0]", 0);
    finish_file(&b, "f");
    struct sinq_source *const source = open_good(path_of("f"));
    const size_t x = find(source, "x"), empty = find(source, "empty");
    uint8_t bytes[6];
    float rows[6];
    struct sinq_matrix_info info;
    struct sinq_error error;
    const struct {
        size_t tensor;
        uint64_t first, count;
    } cases[] = {{x, 0, 7}, {x, 7, 0}, {x, 6, 1}, {x, UINT64_MAX, 2}, {x, 1, UINT64_MAX}, {2, 0, 1}, {SIZE_MAX, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(sinq_read_bytes(source, cases[i].tensor, cases[i].first, cases[i].count, bytes, &error),
                         SINQ_USAGE);
        ck_assert_int_eq(sinq_read_rows(source, cases[i].tensor, cases[i].first, cases[i].count, rows, &error),
                         SINQ_USAGE);
        ck_assert_ptr_nonnull(strstr(error.message, "f: tensor "));
    }
    ck_assert_int_eq(sinq_read_rows(source, x, 2, 1, rows, &error), SINQ_USAGE);
    ck_assert_int_eq(sinq_read_rows(source, empty, 5, 1000, rows, &error), SINQ_OK);
    ck_assert_int_eq(sinq_source_matrix_info(source, x, 0, &info, &error), SINQ_USAGE);
    ck_assert_int_eq(sinq_source_matrix_info(source, 9, 0, &info, &error), SINQ_USAGE);
    ck_assert_ptr_null(sinq_source_shard_path(source, 1));
    ck_assert_uint_eq(sinq_source_shard_bytes(source, 1), 0);
    sinq_source_close(source);
    sinq_source_close(NULL);
    remove_folder();
}
END_TEST

START_TEST(tensors_are_seen_as_stacks_of_matrices) {
    static const struct {
        uint32_t rank;
        uint64_t shape[4];
        struct sinq_matrix_shape expected;
    } cases[] = {
        {0, {0}, {1, 1, 1}},       {1, {5}, {1, 1, 5}},           {2, {3, 5}, {1, 3, 5}},
        {3, {2, 3, 5}, {2, 3, 5}}, {4, {7, 2, 3, 5}, {14, 3, 5}}, {3, {0, 3, 5}, {0, 3, 5}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_tensor tensor = {.rank = cases[i].rank};
        memcpy(tensor.shape, cases[i].shape, sizeof cases[i].shape);
        const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&tensor);
        ck_assert_uint_eq(shape.count, cases[i].expected.count);
        ck_assert_uint_eq(shape.rows, cases[i].expected.rows);
        ck_assert_uint_eq(shape.cols, cases[i].expected.cols);
    }
}
END_TEST

/* ---- block scales ---- */

static const struct scale_case {
    const char *what, *config, *weight_dtype, *weight_shape, *suffix, *scale_dtype, *scale_shape;
    uint64_t count, rows, cols;
    uint64_t block_rows, block_cols; /* expected */
    size_t scales;
} scale_cases[] = {
    {"whole blocks", NULL, "F8_E4M3", "[256,384]", "_scale_inv", "F32", "[2,3]", 1, 256, 384, 128, 128, 6},
    {"short blocks at the edges", NULL, "F8_E4M3", "[300,129]", "_scale_inv", "BF16", "[3,2]", 1, 300, 129, 128, 128,
     6},
    {"smaller than a block", NULL, "F8_E5M2", "[3,7]", "_scale_inv", "F16", "[1,1]", 1, 3, 7, 128, 128, 1},
    {"block size from the config", "{\"quantization_config\":{\"weight_block_size\":[64,32]}}", "F8_E4M3", "[100,100]",
     "_scale_inv", "F32", "[2,4]", 1, 100, 100, 64, 32, 8},
    {"a stack of experts", NULL, "F8_E4M3", "[3,130,140]", "_scale_inv", "F32", "[3,2,2]", 3, 130, 140, 128, 128, 12},
    {"one scale for all", NULL, "F8_E4M3", "[200,300]", "_scale", "F32", "[]", 1, 200, 300, 200, 300, 1},
    {"one scale of shape 1", NULL, "F8_E4M3", "[200,300]", "_scale", "BF16", "[1]", 1, 200, 300, 200, 300, 1},
    {"one scale for a whole stack", NULL, "F8_E4M3", "[2,200,3]", "_scale", "F32", "[1]", 2, 200, 3, 200, 3, 1},
    {"one scale a matrix of a stack", NULL, "F8_E4M3", "[2,200,300]", "_scale", "F32", "[2,1,1]", 2, 200, 300, 200, 300,
     2},
    {"one scale a row", NULL, "F8_E4M3", "[200,300]", "_scale", "F32", "[200,1]", 1, 200, 300, 1, 300, 200},
    {"a list of one scale a row", NULL, "F8_E4M3", "[200,300]", "_scale", "F32", "[200]", 1, 200, 300, 1, 300, 200},
    {"blocks without inv", NULL, "F8_E4M3", "[200,300]", "_scale", "F32", "[2,3]", 1, 200, 300, 128, 128, 6},
};

static void write_scaled(const struct scale_case *c, size_t scale_size) {
    char name[64];
    struct builder b = {0};
    empty_folder();
    if (c->config != NULL) write_text("config.json", c->config);
    const size_t weight_bytes = (size_t)(c->count * c->rows * c->cols);
    fill_random(add_tensor(&b, "l.weight", c->weight_dtype, c->weight_shape, weight_bytes), weight_bytes);
    (void)snprintf(name, sizeof name, "l.weight%s", c->suffix);
    fill_random(add_tensor(&b, name, c->scale_dtype, c->scale_shape, c->scales * scale_size), c->scales * scale_size);
    finish_file(&b, "model.safetensors");
}

static size_t scale_size(const char *dtype) { return strcmp(dtype, "F32") == 0 ? 4 : 2; }

/* The scale of an element, by its definition. */
static size_t locate_scale(const struct scale_case *c, uint64_t matrix, uint64_t row, uint64_t col) {
    const uint64_t scale_rows = (c->rows + c->block_rows - 1) / c->block_rows;
    const uint64_t scale_cols = (c->cols + c->block_cols - 1) / c->block_cols;
    return c->scales == 1 ? 0
                          : (size_t)((matrix * scale_rows + row / c->block_rows) * scale_cols + col / c->block_cols);
}

static void check_scaled(const struct scale_case *c, const struct sinq_source *source, const uint8_t *weights,
                         const float *scales) {
    const size_t w = find(source, "l.weight");
    const enum sinq_dtype dtype = sinq_source_tensor(source, w)->dtype;
    const uint64_t rows = c->count * c->rows;
    float *const out = malloc((size_t)(rows * c->cols) * sizeof *out);
    ck_assert_ptr_nonnull(out);
    const uint64_t ranges[][2] = {{0, rows}, {rows - 1, 1}, {rows / 2, rows - rows / 2}, {rows / 3, 1}};
    for (size_t k = 0; k < sizeof ranges / sizeof ranges[0]; k++) {
        struct sinq_error error = {0};
        ck_assert_msg(sinq_read_rows(source, w, ranges[k][0], ranges[k][1], out, &error) == SINQ_OK, "%s: %s", c->what,
                      error.message);
        for (uint64_t i = 0; i < ranges[k][1] * c->cols; i++) {
            const uint64_t at = ranges[k][0] * c->cols + i, row = at / c->cols;
            const float weight =
                dtype == SINQ_F8_E4M3 ? sinq_f8_e4m3_to_float(weights[at]) : sinq_f8_e5m2_to_float(weights[at]);
            const float scale = scales[locate_scale(c, row / c->rows, row % c->rows, at % c->cols)];
            ck_assert_msg(out[i] == weight * scale, "%s: element %llu", c->what, (unsigned long long)at);
        }
    }
    free(out);
}

START_TEST(block_scales_are_found_and_applied) {
    make_folder();
    for (size_t k = 0; k < sizeof scale_cases / sizeof scale_cases[0]; k++) {
        const struct scale_case *const c = &scale_cases[k];
        write_scaled(c, scale_size(c->scale_dtype));
        struct sinq_source *const source = open_good(scratch);
        const struct sinq_tensor *const weight = sinq_source_tensor(source, 0), *const scale = weight + 1;
        ck_assert_msg(weight->scale_tensor == 1 && scale->is_block_scale && !weight->is_block_scale, "%s", c->what);
        ck_assert_uint_eq(weight->scale_block[0], c->block_rows);
        ck_assert_uint_eq(weight->scale_block[1], c->block_cols);
        uint8_t *const bytes = malloc((size_t)weight->bytes + scale->bytes);
        float scales[256];
        ck_assert_ptr_nonnull(bytes);
        ck_assert_int_eq(sinq_read_bytes(source, 0, 0, weight->bytes, bytes, NULL), SINQ_OK);
        ck_assert_int_eq(sinq_read_bytes(source, 1, 0, scale->bytes, bytes + weight->bytes, NULL), SINQ_OK);
        sinq_convert_to_float(scale->dtype, bytes + weight->bytes, c->scales, scales);
        check_scaled(c, source, bytes, scales);
        free(bytes);
        sinq_source_close(source);
    }
    remove_folder();
}
END_TEST

START_TEST(block_scales_that_do_not_fit_are_refused) {
    static const struct scale_case cases[] = {
        {"too few", NULL, "F8_E4M3", "[256,384]", "_scale_inv", "F32", "[2,2]", 1, 256, 384, 0, 0, 4},
        {"wrong rank", NULL, "F8_E4M3", "[256,384]", "_scale_inv", "F32", "[6]", 1, 256, 384, 0, 0, 6},
        {"one for all, as inv", NULL, "F8_E4M3", "[256,384]", "_scale_inv", "F32", "[1]", 1, 256, 384, 0, 0, 1},
        {"another block than the config's", "{\"quantization_config\":{\"weight_block_size\":[64,64]}}", "F8_E4M3",
         "[256,384]", "_scale_inv", "F32", "[2,3]", 1, 256, 384, 0, 0, 6},
        {"integers", NULL, "F8_E4M3", "[256,384]", "_scale_inv", "I32", "[2,3]", 1, 256, 384, 0, 0, 6},
        {"a vector's", NULL, "F8_E4M3", "[256]", "_scale", "F32", "[]", 1, 1, 256, 0, 0, 1},
        {"another stack", NULL, "F8_E4M3", "[2,130,140]", "_scale_inv", "F32", "[3,2,2]", 2, 130, 140, 0, 0, 12},
    };
    make_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_scaled(&cases[i], 4);
        expect_refused(cases[i].what, scratch, (const char *const[3]){"model.safetensors: tensor l.weight_scale"});
    }
    remove_folder();
}
END_TEST

START_TEST(only_fp8_tensors_have_block_scales) {
    make_folder();
    struct builder b = {0};
    fill_random(add_tensor(&b, "a.weight", "BF16", "[4,4]", 32), 32);
    fill_random(add_tensor(&b, "a.weight_scale_inv", "F32", "[1,1]", 4), 4);
    fill_random(add_tensor(&b, "b.weight", "F8_E4M3", "[1,2]", 2), 2);
    finish_file(&b, "x");
    struct sinq_source *const source = open_good(path_of("x"));
    for (size_t i = 0; i < 3; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        ck_assert(tensor->scale_tensor == -1 && !tensor->is_block_scale);
    }
    uint8_t bytes[2];
    float row[2];
    ck_assert_int_eq(sinq_read_bytes(source, 2, 0, 2, bytes, NULL), SINQ_OK);
    ck_assert_int_eq(sinq_read_rows(source, 2, 0, 1, row, NULL), SINQ_OK);
    ck_assert(row[0] == sinq_f8_e4m3_to_float(bytes[0]) && row[1] == sinq_f8_e4m3_to_float(bytes[1]));
    sinq_source_close(source);
    remove_folder();
}
END_TEST

/* ---- quantized matrices ---- */

/* A sealed blob of random contents; *size is set. */
static uint8_t *make_blob(struct sinq_dual_scale matrix, uint64_t *size) {
    struct sinq_dual_scale_sizes sizes;
    ck_assert(sinq_dual_scale_measure(&matrix, &sizes));
    uint8_t *const blob = malloc((size_t)sizes.bytes);
    ck_assert_ptr_nonnull(blob);
    fill_random(blob, (size_t)sizes.bytes);
    for (uint64_t i = sizes.code_offset; i < sizes.scale_offset; i++) blob[i] = (uint8_t)draw();
    sinq_dual_scale_seal(&matrix, blob);
    *size = sizes.bytes;
    return blob;
}

static void add_blobs(struct builder *b, const char *name, uint8_t *const *blobs, const uint64_t *sizes, size_t count) {
    char shape[32];
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += sizes[i];
    (void)snprintf(shape, sizeof shape, "[%llu]", (unsigned long long)bytes);
    uint8_t *to = add_tensor(b, name, "U8", shape, (size_t)bytes);
    for (size_t i = 0; i < count; i++) {
        memcpy(to, blobs[i], (size_t)sizes[i]);
        to += sizes[i];
    }
}

/* All rows of the named tensor, from the blob as a whole. */
static void decode_all(const struct sinq_dual_scale *matrix, const uint8_t *blob, float *out) {
    struct sinq_dual_scale_sizes sizes;
    ck_assert(sinq_dual_scale_measure(matrix, &sizes));
    float *const rows = malloc((size_t)(matrix->rows * matrix->cols) * sizeof *rows);
    ck_assert_ptr_nonnull(rows);
    sinq_dual_scale_decode(matrix, &sizes, blob, 0, matrix->rows, rows);
    for (uint64_t r = 0; r < matrix->rows; r++) {
        for (uint64_t k = 0; k < matrix->cols; k++) {
            out[matrix->transposed ? k * matrix->rows + r : r * matrix->cols + k] = rows[r * matrix->cols + k];
        }
    }
    free(rows);
}

static void expect_rows(const char *what, const struct sinq_source *source, size_t tensor, const float *expected) {
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(sinq_source_tensor(source, tensor));
    const uint64_t rows = shape.count * shape.rows;
    float *const out = malloc((size_t)(rows * shape.cols) * sizeof *out);
    ck_assert_ptr_nonnull(out);
    const uint64_t ranges[][2] = {{0, rows}, {rows - 1, 1}, {rows / 2, 1}, {rows / 3, rows - rows / 3}, {0, rows / 2}};
    for (size_t k = 0; k < sizeof ranges / sizeof ranges[0]; k++) {
        struct sinq_error error = {0};
        const uint64_t first = ranges[k][0], count = ranges[k][1];
        ck_assert_msg(sinq_read_rows(source, tensor, first, count, out, &error) == SINQ_OK, "%s: %s", what,
                      error.message);
        ck_assert_msg(memcmp(out, expected + first * shape.cols, (size_t)(count * shape.cols) * sizeof *out) == 0,
                      "%s: rows %llu + %llu", what, (unsigned long long)first, (unsigned long long)count);
    }
    free(out);
}

START_TEST(rows_of_quantized_matrices_are_rebuilt) {
    static const uint32_t bits[] = {2, 3, 4, 5, 6, 8}, groups[] = {0, 16, 64, 128};
    static const uint64_t shapes[][2] = {{1, 1}, {100, 70}, {16, 130}, {37, 32}};
    make_folder();
    for (unsigned i = 0; i < 6 * 4 * 4 * 32; i++) {
        const unsigned flags = i / 96;
        struct sinq_dual_scale matrix = {
            .rows = shapes[i / 24 % 4][0],
            .cols = shapes[i / 24 % 4][1],
            .bits = bits[i % 6],
            .group_size = groups[i / 6 % 4],
            .factor = 0.5f,
            .scale_type = flags & 1 ? SINQ_AUX_F16 : SINQ_AUX_U8,
            .zero_type = flags & 2 ? SINQ_AUX_F16 : SINQ_AUX_U8,
            .zero_per_block = (flags & 2) == 0 && (flags & 8) != 0,
            .has_column_scale = (flags & 4) != 0,
            .transposed = (flags & 16) != 0,
            .levels = (flags & 8) != 0 && bits[i % 6] <= 4 ? SINQ_LEVELS_F32 : SINQ_LEVELS_UNIFORM,
            .zero_low = -3.0f,
            .zero_step = 0.25f,
        };
        uint64_t size;
        uint8_t *const blob = make_blob(matrix, &size);
        struct builder b = {0};
        add_blobs(&b, "w.weight.dual_scale", &blob, &size, 1);
        finish_file(&b, "q");
        struct sinq_source *const source = open_good(path_of("q"));
        const size_t w = find(source, "w.weight");
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, w);
        ck_assert(tensor->dtype == SINQ_DUAL_SCALE && tensor->rank == 2 && tensor->bytes == size);
        ck_assert_uint_eq(tensor->shape[0], matrix.transposed ? matrix.cols : matrix.rows);
        ck_assert_uint_eq(tensor->shape[1], matrix.transposed ? matrix.rows : matrix.cols);
        float *const expected = malloc((size_t)(matrix.rows * matrix.cols) * sizeof *expected);
        ck_assert_ptr_nonnull(expected);
        decode_all(&matrix, blob, expected);
        expect_rows("one matrix", source, w, expected);
        free(expected);
        free(blob);
        sinq_source_close(source);
    }
    remove_folder();
}
END_TEST

/* From the place of any other matrix, before or behind it, or from none. */
static void fetch_in_any_order(const struct sinq_source *source, uint8_t *const *blobs, const uint64_t *sizes,
                               uint64_t count) {
    for (uint64_t i = 0; i < count * (count + 1); i++) {
        struct sinq_stack_place place = {0};
        struct sinq_matrix_bytes matrix;
        const uint64_t wanted = i % count, before = i / count;
        if (before < count) {
            ck_assert_int_eq(sinq_fetch_matrix(source, 0, before, &place, &matrix, NULL), SINQ_OK);
            free(matrix.owned);
        }
        ck_assert_int_eq(sinq_fetch_matrix(source, 0, wanted, before < count ? &place : NULL, &matrix, NULL), SINQ_OK);
        ck_assert_uint_eq(matrix.size, sizes[wanted]);
        ck_assert_mem_eq(matrix.bytes, blobs[wanted], sizes[wanted]);
        ck_assert(before == count || (place.index == wanted && place.tensor == 0));
        free(matrix.owned);
    }
}

START_TEST(stacks_of_quantized_matrices_are_one_tensor) {
    enum { MATRICES = 5, ROWS = 40, COLS = 48 };
    static float expected[MATRICES * ROWS * COLS];
    make_folder();
    for (int transposed = 0; transposed < 2; transposed++) {
        struct builder b = {0};
        uint8_t *blobs[MATRICES];
        uint64_t sizes[MATRICES];
        for (uint32_t i = 0; i < MATRICES; i++) {
            /* One of them is wider: its blob is larger than the others'. */
            const struct sinq_dual_scale matrix = {.rows = ROWS,
                                                   .cols = COLS,
                                                   .bits = 4,
                                                   .group_size = 16,
                                                   .factor = 1,
                                                   .stack_index = i,
                                                   .stack_count = MATRICES,
                                                   .scale_type = i == 2 ? SINQ_AUX_F16 : SINQ_AUX_U8,
                                                   .zero_type = SINQ_AUX_U8,
                                                   .transposed = transposed != 0};
            blobs[i] = make_blob(matrix, &sizes[i]);
            decode_all(&matrix, blobs[i], expected + i * ROWS * COLS);
        }
        ck_assert_uint_gt(sizes[2], sizes[1]);
        add_blobs(&b, "e.dual_scale", blobs, sizes, MATRICES);
        finish_file(&b, "q");
        struct sinq_source *const source = open_good(path_of("q"));
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, find(source, "e"));
        ck_assert(tensor->rank == 3 && tensor->shape[0] == MATRICES);
        ck_assert_uint_eq(tensor->shape[1], transposed ? COLS : ROWS);
        expect_rows("a stack", source, 0, expected);
        for (uint64_t i = 0; i < MATRICES; i++) {
            struct sinq_matrix_info info = {0};
            ck_assert_int_eq(sinq_source_matrix_info(source, 0, i, &info, NULL), SINQ_OK);
            ck_assert(info.rows == ROWS && info.cols == COLS && info.bits == 4 && info.group_size == 16);
            ck_assert_int_eq((int)info.scale_type, (int)(i == 2 ? SINQ_AUX_F16 : SINQ_AUX_U8));
            ck_assert(info.bytes == sizes[i] && info.transposed == (transposed != 0));
        }
        struct sinq_matrix_info info;
        ck_assert_int_eq(sinq_source_matrix_info(source, 0, MATRICES, &info, NULL), SINQ_USAGE);
        fetch_in_any_order(source, blobs, sizes, MATRICES);
        sinq_source_close(source);
        for (int i = 0; i < MATRICES; i++) free(blobs[i]);
    }
    remove_folder();
}
END_TEST

/* Changes to three good blobs of a stack, before they are written. */
enum fault {
    WRONG_INDEX,
    WRONG_COUNT,
    WRONG_SHAPE,
    LAST_MISSING,
    ONE_TOO_MANY,
    BYTES_BEHIND,
    PLAIN_IN_STACK,
    NEW_VERSION
};

static const struct {
    const char *what;
    enum fault fault;
    const char *reasons[3];
} bad_stacks[] = {
    {"wrong index", WRONG_INDEX, {"tensor e.dual_scale", "matrix 1 does not fit"}},
    {"wrong count", WRONG_COUNT, {"tensor e.dual_scale", "matrix 1 does not fit"}},
    {"wrong shape", WRONG_SHAPE, {"tensor e.dual_scale", "matrix 1 does not fit"}},
    {"last one missing", LAST_MISSING, {"tensor e.dual_scale", "0 bytes at its end"}},
    {"one too many", ONE_TOO_MANY, {"tensor e.dual_scale", "matrix 3 does not fit"}},
    {"bytes behind it", BYTES_BEHIND, {"tensor e.dual_scale", "64 bytes at its end"}},
    {"a plain matrix in a stack", PLAIN_IN_STACK, {"tensor e.dual_scale", "matrix 1 does not fit"}},
    {"a later version of the layout", NEW_VERSION, {"tensor e.dual_scale", "version 2", "knows version 1"}},
};

START_TEST(bad_stacks_are_refused_with_their_reason) {
    make_folder();
    for (size_t k = 0; k < sizeof bad_stacks / sizeof bad_stacks[0]; k++) {
        const enum fault fault = bad_stacks[k].fault;
        uint8_t *blobs[4];
        uint64_t sizes[4];
        for (uint32_t i = 0; i < 4; i++) {
            struct sinq_dual_scale matrix = {.rows = 3,
                                             .cols = 32,
                                             .bits = 4,
                                             .factor = 1,
                                             .stack_index = i,
                                             .stack_count = fault == ONE_TOO_MANY && i == 3 ? 4 : 3,
                                             .scale_type = SINQ_AUX_F16,
                                             .zero_type = SINQ_AUX_F16};
            if (i == 1 && fault == WRONG_INDEX) matrix.stack_index = 2;
            if (i == 1 && fault == WRONG_COUNT) matrix.stack_count = 4;
            if (i == 1 && fault == WRONG_SHAPE) matrix.cols = 31;
            if (i == 1 && fault == PLAIN_IN_STACK) matrix.stack_index = matrix.stack_count = 0;
            if (i == 3 && fault != ONE_TOO_MANY) matrix.stack_count = 4;
            blobs[i] = make_blob(matrix, &sizes[i]);
        }
        if (fault == NEW_VERSION) blobs[0][8] = 2;
        if (fault == BYTES_BEHIND) sizes[3] = 64;
        struct builder b = {0};
        add_blobs(&b, "e.dual_scale", blobs, sizes,
                  fault == LAST_MISSING                            ? 2
                  : fault == ONE_TOO_MANY || fault == BYTES_BEHIND ? 4
                                                                   : 3);
        finish_file(&b, "q");
        expect_refused(bad_stacks[k].what, path_of("q"), bad_stacks[k].reasons);
        for (int i = 0; i < 4; i++) free(blobs[i]);
    }
    remove_folder();
}
END_TEST

START_TEST(a_quantized_name_may_not_meet_a_plain_one) {
    make_folder();
    const struct sinq_dual_scale matrix = {
        .rows = 3, .cols = 5, .bits = 4, .factor = 1, .scale_type = SINQ_AUX_F16, .zero_type = SINQ_AUX_F16};
    uint64_t size;
    uint8_t *const blob = make_blob(matrix, &size);
    struct builder b = {0};
    add_blobs(&b, "w.dual_scale", &blob, &size, 1);
    fill_random(add_tensor(&b, "w", "U8", "[4]", 4), 4);
    finish_file(&b, "q");
    expect_refused("w and w.dual_scale", path_of("q"), (const char *const[3]){"two tensors", "w"});
    free(blob);
    remove_folder();
}
END_TEST

UNIT_MAIN("source", rows_of_every_dtype_are_converted, what_is_out_of_bounds_is_refused,
          tensors_are_seen_as_stacks_of_matrices, block_scales_are_found_and_applied,
          block_scales_that_do_not_fit_are_refused, only_fp8_tensors_have_block_scales,
          rows_of_quantized_matrices_are_rebuilt, stacks_of_quantized_matrices_are_one_tensor,
          bad_stacks_are_refused_with_their_reason, a_quantized_name_may_not_meet_a_plain_one)
