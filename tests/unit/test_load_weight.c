/* test_load_weight.c: every form in which checkpoints hold a weight becomes the matrix that was wanted. */
#include <math.h>

#include "model/load_weight.h"
#include "model/mxfp4.h"
#include "model/tensor_names.h"
#include "random_blob.h"
#include "tensor/dtype.h"

enum { ROWS = 96, COLS = 64, EXPERTS = 3 };

static struct sinq_want make_want(const char *module, const char *suffix, uint64_t rows, uint64_t cols) {
    struct sinq_want want = {.rows = rows, .cols = cols, .expert = -1};
    (void)snprintf(want.module, sizeof want.module, "%s", module);
    (void)snprintf(want.suffix, sizeof want.suffix, "%s", suffix);
    return want;
}

/* Loads and decodes; *out holds rows x cols. */
static int load(const struct memory_source *memory, const struct sinq_want *want, float *out, uint64_t *owned,
                struct sinq_error *error) {
    struct sinq_name_index *const names = sinq_index_tensors(&memory->base);
    struct sinq_weight_loader loader = {.source = &memory->base, .names = names};
    struct sinq_weight weight = {.rows = 0};
    bool is_there = false;
    const int status = sinq_load_weight(&loader, want, &weight, &is_there, error);
    if (status == SINQ_OK && is_there) {
        ck_assert_uint_eq(weight.rows, want->is_vector ? 1 : want->rows);
        ck_assert_uint_eq(weight.cols, want->cols);
        sinq_weight_decode(&weight, 0, weight.rows, out);
    }
    *owned = loader.owned_bytes;
    for (size_t i = 0; i < loader.owned_count; i++) free(loader.owned[i]);
    free(loader.owned);
    sinq_name_index_free(names);
    return status;
}

static void check_equal(const char *what, const float *found, const float *expected, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(memcmp(&found[i], &expected[i], sizeof found[i]) == 0, "%s: value %zu is %g, expected %g", what,
                      i, (double)found[i], (double)expected[i]);
    }
}

/* Elements of a dtype, random, as stored. */
static void fill_elements(enum sinq_dtype dtype, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        const float value = random_value();
        const uint16_t half = sinq_float_to_half(value);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        const uint16_t bfloat = (uint16_t)(bits >> 16);
        const double wide = (double)value * 1.000001;
        const uint8_t small = (uint8_t)(next_random() % 0x70); /* no NaN */
        switch (dtype) {
        case SINQ_F32:
            memcpy(out + i * 4, &value, 4);
            break;
        case SINQ_F16:
            memcpy(out + i * 2, &half, 2);
            break;
        case SINQ_BF16:
            memcpy(out + i * 2, &bfloat, 2);
            break;
        case SINQ_F64:
            memcpy(out + i * 8, &wide, 8);
            break;
        default:
            out[i] = small;
        }
    }
}

START_TEST(dense_weights_of_every_type_and_part) {
    static const enum sinq_dtype dtypes[] = {SINQ_F32, SINQ_F16, SINQ_BF16, SINQ_F64, SINQ_F8_E4M3, SINQ_F8_E5M2};
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        struct memory_source *const memory = create_memory("dense");
        const enum sinq_dtype dtype = dtypes[d];
        const size_t size = ROWS * COLS * sinq_dtype_size(dtype);
        uint8_t *const bytes = malloc(size);
        float *const values = malloc(ROWS * COLS * sizeof *values), *const found = malloc(ROWS * COLS * sizeof *found);
        struct sinq_error error = {.status = 0};
        uint64_t owned;
        fill_elements(dtype, ROWS * COLS, bytes);
        sinq_convert_to_float(dtype, bytes, ROWS * COLS, values);
        add_tensor(memory, "model.layers.0.mlp.gate_up_proj.weight", dtype, 2, (const uint64_t[]){ROWS, COLS}, bytes,
                   size);
        struct sinq_want want = make_want("layers.0.mlp.gate_up_proj", ".weight", ROWS, COLS);
        ck_assert_msg(load(memory, &want, found, &owned, &error) == SINQ_OK, "%s", error.message);
        check_equal(sinq_dtype_name(dtype), found, values, ROWS * COLS);
        want.first_row = 37;
        want.rows = 20;
        want.tensor_rows = ROWS;
        ck_assert_msg(load(memory, &want, found, &owned, &error) == SINQ_OK, "%s", error.message);
        check_equal("part", found, values + 37 * COLS, 20 * COLS);
        free(bytes);
        free(values);
        free(found);
        sinq_source_close(&memory->base);
    }
}
END_TEST

START_TEST(stacks_of_experts_stored_either_way) {
    struct memory_source *const memory = create_memory("stack");
    float *const values = malloc(EXPERTS * ROWS * COLS * sizeof *values);
    float *const found = malloc(ROWS * COLS * sizeof *found), *const turned = malloc(ROWS * COLS * sizeof *turned);
    struct sinq_error error = {.status = 0};
    uint64_t owned;
    for (size_t i = 0; i < EXPERTS * ROWS * COLS; i++) values[i] = random_value();
    memory->base.model_type = (char *)(uintptr_t) "gpt_oss"; /* whose experts are [expert, in, out] */
    add_tensor(memory, "model.layers.0.mlp.experts.down_proj", SINQ_F32, 3, (const uint64_t[]){EXPERTS, COLS, ROWS},
               values, EXPERTS * ROWS * COLS * sizeof *values);
    add_tensor(memory, "model.layers.0.mlp.experts.down_proj_bias", SINQ_F32, 2, (const uint64_t[]){EXPERTS, ROWS},
               values, EXPERTS * ROWS * sizeof *values);
    for (uint64_t e = 0; e < EXPERTS; e++) {
        struct sinq_want want = make_want("layers.0.mlp.experts.down_proj", "", ROWS, COLS);
        want.expert = (int64_t)e;
        want.experts = EXPERTS;
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t k = 0; k < COLS; k++) turned[r * COLS + k] = values[e * ROWS * COLS + k * ROWS + r];
        }
        ck_assert_msg(load(memory, &want, found, &owned, &error) == SINQ_OK, "%s", error.message);
        check_equal("transposed", found, turned, ROWS * COLS);
        struct sinq_want bias = make_want("layers.0.mlp.experts.down_proj", "_bias", 1, ROWS);
        bias.is_vector = true;
        bias.expert = (int64_t)e;
        bias.experts = EXPERTS;
        bias.plus = 1.0f;
        ck_assert_msg(load(memory, &bias, found, &owned, &error) == SINQ_OK, "%s", error.message);
        for (size_t r = 0; r < ROWS; r++) ck_assert(found[r] == values[e * ROWS + r] + 1.0f);
    }
    free(values);
    free(found);
    free(turned);
    sinq_source_close(&memory->base);
}
END_TEST

START_TEST(parts_of_quantized_matrices) {
    static const struct {
        const char *name;
        uint64_t first, rows;
        bool rebuilt;
    } parts[] = {{"all", 0, ROWS, false},
                 {"the first rows", 0, 32, false},
                 {"from a block of scales on", 32, 64, false},
                 {"a short end", 64, 20, false},
                 {"from within a block", 16, 40, true}};
    static const struct sinq_dual_scale forms[] = {
        {.bits = 4, .group_size = 32, .scale_type = SINQ_AUX_U8, .zero_type = SINQ_AUX_U8, .zero_per_block = true},
        {.bits = 3, .group_size = 64, .scale_type = SINQ_AUX_F16, .zero_type = SINQ_AUX_F16, .has_column_scale = true},
        {.bits = 4, .group_size = 0, .scale_type = SINQ_AUX_U8, .zero_type = SINQ_AUX_F16, .levels = SINQ_LEVELS_F32},
    };
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        struct sinq_dual_scale matrix = forms[f];
        struct sinq_dual_scale_sizes sizes;
        uint64_t bytes, owned;
        struct sinq_error error = {.status = 0};
        matrix.rows = ROWS;
        matrix.cols = COLS;
        matrix.factor = 0.5f;
        uint8_t *const blob = make_random_blob(&matrix, &bytes);
        float *const values = malloc(ROWS * COLS * sizeof *values), *const found = malloc(ROWS * COLS * sizeof *found);
        ck_assert(sinq_dual_scale_measure(&matrix, &sizes));
        sinq_dual_scale_decode(&matrix, &sizes, blob, 0, ROWS, values);
        struct memory_source *const memory = create_memory("quantized");
        add_blobs(memory, "model.layers.0.self_attn.qkv_proj.weight", &matrix, blob, bytes);
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
            struct sinq_want want = make_want("layers.0.self_attn.qkv_proj", ".weight", parts[p].rows, COLS);
            want.first_row = parts[p].first;
            want.tensor_rows = ROWS;
            ck_assert_msg(load(memory, &want, found, &owned, &error) == SINQ_OK, "%s", error.message);
            check_equal(parts[p].name, found, values + parts[p].first * COLS, parts[p].rows * COLS);
        }
        free(blob);
        free(values);
        free(found);
        sinq_source_close(&memory->base);
    }
}
END_TEST

START_TEST(mxfp4_is_exact) {
    static const struct {
        const char *name;
        uint8_t low, span; /* of the scales' exponents */
        bool fits;
    } cases[] = {{"usual scales", 118, 8, true},
                 {"all of f16", 100, 24, true},
                 {"more than f16 holds", 90, 40, false},
                 {"tiny", 0, 3, true},
                 {"huge", 230, 22, true}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct memory_source *const memory = create_memory("mxfp4");
        uint8_t codes[EXPERTS * ROWS * COLS / 2], scales[EXPERTS * ROWS * COLS / 32];
        float *const values = malloc(ROWS * COLS * sizeof *values), *const found = malloc(ROWS * COLS * sizeof *found);
        struct sinq_error error = {.status = 0};
        uint64_t owned;
        for (size_t i = 0; i < sizeof codes; i++) codes[i] = (uint8_t)next_random();
        for (size_t i = 0; i < sizeof scales; i++) {
            scales[i] = (uint8_t)(cases[c].low + next_random() % (cases[c].span + 1u));
        }
        for (size_t e = 0; e < EXPERTS; e++) { /* both ends are there in each */
            scales[e * ROWS * COLS / 32] = cases[c].low;
            scales[e * ROWS * COLS / 32 + 1] = (uint8_t)(cases[c].low + cases[c].span);
        }
        add_tensor(memory, "layers.0.mlp.experts.down_proj_blocks", SINQ_U8, 4,
                   (const uint64_t[]){EXPERTS, ROWS, COLS / 32, 16}, codes, sizeof codes);
        add_tensor(memory, "layers.0.mlp.experts.down_proj_scales", SINQ_U8, 3,
                   (const uint64_t[]){EXPERTS, ROWS, COLS / 32}, scales, sizeof scales);
        struct sinq_want want = make_want("layers.0.mlp.experts.down_proj", "", ROWS, COLS);
        want.experts = EXPERTS;
        want.expert = 2;
        ck_assert_msg(load(memory, &want, found, &owned, &error) == SINQ_OK, "%s", error.message);
        sinq_decode_mxfp4(codes + 2 * ROWS * COLS / 2, scales + 2 * ROWS * COLS / 32, ROWS, COLS, values);
        for (size_t i = 0; i < ROWS * COLS; i++) {
            ck_assert_msg(found[i] == values[i], "%s: value %zu is %g, expected %g", cases[c].name, i, (double)found[i],
                          (double)values[i]);
        }
        ck_assert_msg((owned < ROWS * COLS) == cases[c].fits, "%s: %llu bytes", cases[c].name,
                      (unsigned long long)owned);
        free(values);
        free(found);
        sinq_source_close(&memory->base);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_named) {
    static const struct {
        const char *module, *suffix;
        uint64_t rows, cols;
        bool is_vector, is_optional;
        int status;
        const char *message;
    } cases[] = {
        {"layers.0.mlp.up_proj", ".weight", ROWS, COLS, false, false, SINQ_OK, ""},
        {"layers.0.mlp.up_proj", ".weight", ROWS, COLS + 1, false, false, SINQ_FAILED,
         "tensor model.layers.0.mlp.up_proj.weight is 96 x 64, but config.json asks for 96 x 65"},
        {"layers.0.mlp.up_proj", ".weight", 1, COLS, true, false, SINQ_FAILED,
         "is 96 x 64, but config.json asks for 64"},
        {"layers.0.mlp.down_proj", ".weight", ROWS, COLS, false, false, SINQ_FAILED,
         "tensor layers.0.mlp.down_proj.weight is missing"},
        {"layers.0.mlp.down_proj", ".weight", ROWS, COLS, false, true, SINQ_OK, ""},
        {"layers.0.mlp.gate_proj", ".weight", ROWS, COLS, false, false, SINQ_FAILED, "I32, expected floating-point"},
    };
    struct memory_source *const memory = create_memory("faults");
    float *const values = calloc(ROWS * COLS, sizeof *values), *const found = calloc(ROWS * COLS, sizeof *found);
    memory->base.model_type = (char *)(uintptr_t) "llama";
    add_matrix(memory, "model.layers.0.mlp.up_proj.weight", ROWS, COLS, values);
    add_tensor(memory, "model.layers.0.mlp.gate_proj.weight", SINQ_I32, 2, (const uint64_t[]){ROWS, COLS}, values,
               ROWS * COLS * 4);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct sinq_want want = make_want(cases[c].module, cases[c].suffix, cases[c].rows, cases[c].cols);
        struct sinq_error error = {.status = 0};
        uint64_t owned;
        want.is_vector = cases[c].is_vector;
        want.is_optional = cases[c].is_optional;
        ck_assert_int_eq(load(memory, &want, found, &owned, &error), cases[c].status);
        ck_assert_msg(strstr(error.message, cases[c].message) != NULL, "case %zu: %s", c, error.message);
    }
    free(values);
    free(found);
    sinq_source_close(&memory->base);
}
END_TEST

UNIT_MAIN("load weight", dense_weights_of_every_type_and_part, stacks_of_experts_stored_either_way,
          parts_of_quantized_matrices, mxfp4_is_exact, what_does_not_fit_is_named)
