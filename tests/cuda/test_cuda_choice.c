/*
 * test_cuda_choice.c: which kernel products of one row are for, and whether its blocks make their input: descriptions alone, of an H200's
 * line, so that no device is needed. Whichever it is, results are right: what shows here is a shape that lost its fast path.
 */
#include <stdint.h>

#include "../unit/unit.h"
#include "cuda/device.h"

enum kernel { STREAM, MIXED, MULTIPLY };
static const char *const names[] = {"stream", "mixed", "multiply"};

/* A product's matrix. `is_odd`: its codes do not lie on 16 bytes. */
struct form {
    uint32_t rows, bits, group_size;
    bool has_levels, is_odd;
};

static const struct {
    const char *name;
    uint32_t cols, count;
    struct form forms[SINQ_CUDA_MOST_PRODUCTS];
    enum kernel kernel;
    bool makes_input;
} cases[] = {
    {"qwen3-32b, q k v at 2 bits",
     5120,
     3,
     {{8192, 2, 64, 0, 0}, {1024, 2, 64, 0, 0}, {1024, 2, 64, 0, 0}},
     STREAM,
     true},
    {"qwen3-32b, q k v at 3 bits",
     5120,
     3,
     {{8192, 3, 64, 0, 0}, {1024, 3, 64, 0, 0}, {1024, 3, 64, 0, 0}},
     STREAM,
     true},
    {"qwen3-32b, q k v at 4 bits",
     5120,
     3,
     {{8192, 4, 64, 0, 0}, {1024, 4, 64, 0, 0}, {1024, 4, 64, 0, 0}},
     STREAM,
     true},
    {"qwen3-32b, gate up at 5 bits", 5120, 2, {{25600, 5, 64, 0, 0}, {25600, 5, 64, 0, 0}}, STREAM, true},
    {"qwen3-32b, gate up at 6 bits", 5120, 2, {{25600, 6, 64, 0, 0}, {25600, 6, 64, 0, 0}}, STREAM, true},
    {"qwen3-32b, gate up at 8 bits", 5120, 2, {{25600, 8, 64, 0, 0}, {25600, 8, 64, 0, 0}}, STREAM, true},
    {"llama-70b, gate up at 2 bits", 8192, 2, {{28672, 2, 64, 0, 0}, {28672, 2, 64, 0, 0}}, STREAM, true},
    {"llama-70b, gate up at 3 bits", 8192, 2, {{28672, 3, 64, 0, 0}, {28672, 3, 64, 0, 0}}, STREAM, true},
    {"llama-70b, gate up at 4 bits", 8192, 2, {{28672, 4, 64, 0, 0}, {28672, 4, 64, 0, 0}}, STREAM, true},
    {"llama-70b, gate up at 8 bits", 8192, 2, {{28672, 8, 64, 0, 0}, {28672, 8, 64, 0, 0}}, STREAM, true},
    {"rows too long for a norm by blocks", 25600, 1, {{5120, 4, 64, 0, 0}}, STREAM, false},
    {"groups of 128", 5120, 1, {{8192, 4, 128, 0, 0}}, STREAM, true},
    {"byte levels in groups of 32", 5120, 1, {{8192, 4, 32, 1, 0}}, STREAM, true},
    {"q k v of three widths", 5120, 3, {{8192, 4, 64, 0, 0}, {1024, 5, 64, 0, 0}, {1024, 6, 64, 0, 0}}, MIXED, true},
    {"gate and up, one of byte levels", 5120, 2, {{25600, 4, 64, 0, 0}, {25600, 4, 32, 1, 0}}, MIXED, true},
    {"zero points in groups of 32", 5120, 1, {{8192, 4, 32, 0, 0}}, MIXED, true},
    {"pairs of panels for half of the multiprocessors", 5120, 1, {{2112, 4, 64, 0, 0}}, MULTIPLY, false},
    {"for three quarters of them", 5120, 1, {{3168, 4, 64, 0, 0}}, STREAM, true},
    {"part of a tile of columns", 5120 + 128, 1, {{8192, 4, 64, 0, 0}}, MULTIPLY, false},
    {"part of a pair of panels", 5120, 1, {{8192 + 16, 4, 64, 0, 0}}, MULTIPLY, false},
    {"codes that do not lie on 16 bytes", 5120, 1, {{8192, 4, 64, 0, 1}}, MULTIPLY, false},
    {"groups of a row", 5120, 1, {{8192, 4, 0, 0, 0}}, MULTIPLY, false},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* What is not read, only looked at. */
static void *place(uintptr_t offset) { return (void *)(((uintptr_t)1 << 20) + offset); }

static struct sinq_cuda_matrix make_matrix(const struct form *form, uint32_t cols) {
    return (struct sinq_cuda_matrix){.codes = place(form->is_odd),
                                     .scales = place(0),
                                     .scale_ranges = place(0),
                                     .column_scale = place(0),
                                     .levels = form->has_levels ? place(0) : NULL,
                                     .zeros = form->has_levels ? NULL : place(0),
                                     .zero_ranges = form->has_levels ? NULL : place(0),
                                     .rows = form->rows,
                                     .cols = cols,
                                     .panels = (form->rows + 15) / 16,
                                     .column_blocks = cols / 32,
                                     .groups = form->group_size == 0 ? 1 : cols / form->group_size,
                                     .group_size = form->group_size,
                                     .bits = form->bits,
                                     .factor = 1.0f,
                                     .has_byte_levels = form->has_levels};
}

static bool are_of_one_form(const struct sinq_cuda_products *p) {
    for (uint32_t i = 1; i < p->count; i++) {
        const struct sinq_cuda_matrix *const a = &p->products[0].matrix, *const b = &p->products[i].matrix;
        if (a->bits != b->bits || a->group_size != b->group_size || sinq_cuda_is_usual(a) != sinq_cuda_is_usual(b)) {
            return false;
        }
    }
    return true;
}

/* As add_products.c asks. */
static enum kernel choose(struct sinq_cuda_line line, struct sinq_cuda_products *p) {
    if (are_of_one_form(p) && sinq_cuda_share_tiles(line, p)) return STREAM;
    return sinq_cuda_share_mixed(line, p, false) ? MIXED : MULTIPLY;
}

static struct sinq_cuda_products describe(int i) {
    struct sinq_cuda_products p = {.count = cases[i].count};
    for (uint32_t k = 0; k < p.count; k++) {
        p.products[k].matrix = make_matrix(&cases[i].forms[k], cases[i].cols);
        p.products[k].input.group = cases[i].forms[k].group_size;
        p.first_pair[k + 1] = p.first_pair[k] + (cases[i].forms[k].rows + 31) / 32;
    }
    return p;
}

START_TEST(products_go_to_the_fastest_kernel) {
    const struct sinq_cuda_line line = {.overlaps = true, .processors = 132, .has_groups = true, .most_shared = 232448};
    for (int i = 0; i < CASES; i++) {
        const struct sinq_cuda_values values = {
            .origin = SINQ_CUDA_NORMED, .in = {place(0), cases[i].cols}, .weight = place(0), .eps = 1e-6f};
        struct sinq_cuda_products p = describe(i);
        const enum kernel kernel = choose(line, &p);
        ck_assert_msg(kernel == cases[i].kernel, "%s: goes to %s, not to %s", cases[i].name, names[kernel],
                      names[cases[i].kernel]);
        const bool makes_input = sinq_cuda_make_normed_input(line, &p, &values);
        ck_assert_msg(makes_input == cases[i].makes_input, "%s: blocks %s their input", cases[i].name,
                      makes_input ? "make" : "do not make");
    }
}
END_TEST

/* Below compute capability 9.0. */
START_TEST(older_devices_multiply) {
    const struct sinq_cuda_line line = {.processors = 132, .most_shared = 101376};
    for (int i = 0; i < CASES; i++) {
        struct sinq_cuda_products p = describe(i);
        ck_assert_msg(choose(line, &p) == MULTIPLY, "%s", cases[i].name);
    }
}
END_TEST

UNIT_MAIN("CUDA choice", products_go_to_the_fastest_kernel, older_devices_multiply)
