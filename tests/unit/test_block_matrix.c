/* test_block_matrix.c: GGUF's blocks as matrices in our layout: the same values to the last bit, at about the same size. */
#include "tensor/block_matrix.h"

#include <math.h>
#include <string.h>

#include "unit.h"

#define ROWS 37u
#define COLS 512u

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Where a block's f16 numbers lie. Random bytes everywhere else. */
static const struct {
    const char *type;
    int halves[2];
} types[] = {
    {"q4_0", {0, -1}},  {"q4_1", {0, 2}},    {"q5_0", {0, -1}},   {"q5_1", {0, 2}},    {"q8_0", {0, -1}},
    {"q2_k", {80, 82}}, {"q3_k", {108, -1}}, {"q4_k", {0, 2}},    {"q5_k", {0, 2}},    {"q6_k", {208, -1}},
    {"q8_k", {2, -1}},  {"iq4_xs", {0, -1}}, {"iq4_nl", {0, -1}}, {"mxfp4", {-1, -1}},
};

struct matrix {
    struct sinq_block_matrix blocks;
    uint8_t *bytes;
    const uint8_t *rows[ROWS];
    uint64_t row_bytes;
};

static void make_matrix(const char *name, const int halves[2], uint32_t seed, struct matrix *m) {
    const struct sinq_block_type *const type = sinq_find_block_type_named(name);
    uint32_t state = seed;
    ck_assert(sinq_measure_block_row(type, COLS, &m->row_bytes));
    m->bytes = malloc(ROWS * m->row_bytes);
    ck_assert_ptr_nonnull(m->bytes);
    for (uint64_t i = 0; i < ROWS * m->row_bytes; i++) m->bytes[i] = (uint8_t)next_random(&state);
    for (uint8_t *block = m->bytes; block < m->bytes + ROWS * m->row_bytes; block += type->bytes) {
        for (unsigned h = 0; h < 2; h++) { /* finite: not the highest exponent */
            if (halves[h] >= 0) block[halves[h] + 1] &= 0xbf;
        }
        if (type->id == SINQ_BLOCK_MXFP4) block[0] = (uint8_t)(100 + next_random(&state) % 24);
    }
    for (unsigned r = 0; r < ROWS; r++) m->rows[r] = m->bytes + (ROWS - 1 - r) * m->row_bytes; /* in any order */
    m->blocks = (struct sinq_block_matrix){.type = type, .rows = ROWS, .cols = COLS, .row_bytes = m->rows};
}

static void compare_rows(const struct matrix *m, const uint8_t *blob, uint64_t size) {
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    ck_assert_int_eq(sinq_dual_scale_parse(blob, size, "blob", &matrix, &sizes, NULL), SINQ_OK);
    ck_assert(sinq_dual_scale_check(blob, size));
    for (unsigned r = 0; r < ROWS; r++) {
        float expected[COLS], found[COLS];
        sinq_decode_blocks(m->blocks.type, m->rows[r], COLS, expected);
        sinq_dual_scale_decode(&matrix, &sizes, blob, r, 1, found);
        for (unsigned k = 0; k < COLS; k++) {
            check_often(memcmp(&expected[k], &found[k], sizeof expected[k]) == 0, "%s: row %u, column %u is %a, not %a",
                        m->blocks.type->name, r, k, (double)found[k], (double)expected[k]);
        }
    }
}

START_TEST(matrices_have_the_values_of_their_blocks) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct matrix m;
        uint8_t *blob;
        uint64_t size;
        make_matrix(types[i].type, types[i].halves, 1 + (uint32_t)i, &m);
        ck_assert_int_eq(sinq_convert_block_matrix(&m.blocks, types[i].type, &blob, &size, NULL), SINQ_OK);
        ck_assert_msg(blob != NULL, "%s", types[i].type);
        compare_rows(&m, blob, size);
        free(blob);
        free(m.bytes);
    }
}
END_TEST

START_TEST(matrices_are_hardly_larger) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct sinq_block_matrix blocks = {
            .type = sinq_find_block_type_named(types[i].type), .rows = 512, .cols = 512};
        struct sinq_dual_scale matrix;
        struct sinq_dual_scale_sizes sizes;
        uint64_t row_bytes;
        ck_assert(sinq_describe_block_matrix(&blocks, &matrix, &sizes));
        ck_assert(sinq_measure_block_row(blocks.type, 512, &row_bytes));
        const double ratio = (double)sizes.bytes / (double)(512 * row_bytes);
        ck_assert_msg(ratio < 1.35, "%s: %.3f", types[i].type, ratio);
    }
}
END_TEST

START_TEST(exponents_too_far_apart_are_not_converted) {
    struct matrix m;
    uint8_t *blob;
    uint64_t size;
    make_matrix("mxfp4", (const int[2]){-1, -1}, 9, &m);
    m.bytes[0] = 123; /* 2^-5 */
    m.bytes[17] = 98; /* 2^-30: 25 below */
    ck_assert_int_eq(sinq_convert_block_matrix(&m.blocks, "mxfp4", &blob, &size, NULL), SINQ_OK);
    ck_assert_ptr_null(blob);
    free(m.bytes);
}
END_TEST

START_TEST(stacks_and_transposed_tensors_keep_their_place) {
    struct matrix m;
    uint8_t *blob;
    uint64_t size;
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    make_matrix("q8_0", (const int[2]){0, -1}, 3, &m);
    m.blocks.stack_index = 2;
    m.blocks.stack_count = 5;
    m.blocks.transposed = true;
    ck_assert_int_eq(sinq_convert_block_matrix(&m.blocks, "q8_0", &blob, &size, NULL), SINQ_OK);
    ck_assert_int_eq(sinq_dual_scale_parse(blob, size, "blob", &matrix, &sizes, NULL), SINQ_OK);
    ck_assert(matrix.stack_index == 2 && matrix.stack_count == 5 && matrix.transposed);
    free(blob);
    free(m.bytes);
}
END_TEST

UNIT_MAIN("block matrix", matrices_have_the_values_of_their_blocks, matrices_are_hardly_larger,
          exponents_too_far_apart_are_not_converted, stacks_and_transposed_tensors_keep_their_place)
