/* The layout: packing, headers, sizes, and refusal of what it cannot hold. */
#include <math.h>
#include <string.h>

#include "tensor/dual_scale.h"
#include "unit.h"

static const unsigned widths[] = {2, 3, 4, 5, 6, 8};
enum { WIDTHS = sizeof widths / sizeof widths[0] };

static uint32_t random_state = 7;
static uint32_t next_random(void) { return (random_state = random_state * 1664525u + 1013904223u) >> 8; }

START_TEST(blocks_survive_packing) {
    for (size_t w = 0; w < WIDTHS; w++) {
        for (uint32_t rows = 1; rows <= SINQ_PANEL_ROWS; rows++) {
            for (uint32_t cols = 1; cols <= SINQ_BLOCK_COLUMNS; cols++) {
                uint8_t codes[16 * 37], back[16 * 37], lines[8 * 64 + 64];
                for (size_t i = 0; i < sizeof codes; i++) codes[i] = (uint8_t)(next_random() & ((1u << widths[w]) - 1));
                memset(lines, 0xee, sizeof lines);
                memset(back, 0, sizeof back);
                sinq_pack_block(widths[w], rows, cols, codes, 37, lines);
                sinq_unpack_block(widths[w], rows, cols, lines, back, 37);
                for (uint32_t r = 0; r < rows; r++) ck_assert_mem_eq(codes + 37 * r, back + 37 * r, cols);
                for (size_t i = widths[w] * 64; i < sizeof lines; i++) ck_assert_uint_eq(lines[i], 0xee);
            }
        }
    }
}
END_TEST

/* A code's place, written out from docs/format.md for a few spots of each plane. */
START_TEST(codes_lie_where_the_format_says) {
    static const struct {
        unsigned bits;
        uint32_t row, col;
        uint8_t code;
        size_t byte;
        uint8_t value;
    } cases[] = {
        {8, 0, 0, 0xff, 0, 0xff},
        {8, 3, 6, 0x81, 64 + 4 * 3 + 2, 0x81},
        {4, 15, 3, 0xf, 63, 0x0f},
        {4, 15, 7, 0xf, 63, 0xf0},
        {4, 1, 8, 0x9, 64 + 4, 0x09},
        {2, 0, 5, 3, 1, 0x0c},
        {2, 2, 31, 2, 64 + 11, 0x80},
        {3, 0, 0, 4, 128, 0x01},
        {3, 0, 29, 7, 128 + 1, 0x80},
        {3, 0, 29, 7, 64 + 1, 0xc0},
        {5, 4, 12, 0x10, 256 + 16, 0x08},
        {5, 4, 12, 0x1f, 64 + 16, 0xf0},
        {6, 7, 20, 0x30, 256 + 64 + 28, 0x0c},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t codes[16 * 32] = {0}, lines[8 * 64];
        codes[cases[i].row * 32 + cases[i].col] = cases[i].code;
        sinq_pack_block(cases[i].bits, 16, 32, codes, 32, lines);
        ck_assert_msg(lines[cases[i].byte] == cases[i].value, "case %zu: byte %zu is %02x, not %02x", i, cases[i].byte,
                      lines[cases[i].byte], cases[i].value);
    }
}
END_TEST

static struct sinq_dual_scale plain(uint64_t rows, uint64_t cols, unsigned bits, uint32_t group,
                                    enum sinq_aux_type type) {
    return (struct sinq_dual_scale){.rows = rows,
                                    .cols = cols,
                                    .bits = bits,
                                    .group_size = group,
                                    .scale_type = type,
                                    .zero_type = type,
                                    .has_column_scale = true,
                                    .factor = 1.0f};
}

START_TEST(bits_per_weight_are_as_promised) {
    static const struct {
        unsigned bits;
        uint32_t group;
        enum sinq_aux_type type;
        double most;
    } cases[] = {{4, 64, SINQ_AUX_U8, 4.28},  {4, 64, SINQ_AUX_F16, 4.51}, {3, 64, SINQ_AUX_F16, 3.51},
                 {2, 64, SINQ_AUX_F16, 2.51}, {8, 64, SINQ_AUX_U8, 8.28},  {4, 128, SINQ_AUX_U8, 4.14}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_dual_scale m = plain(4096, 4096, cases[i].bits, cases[i].group, cases[i].type);
        struct sinq_dual_scale_sizes sizes;
        ck_assert(sinq_dual_scale_measure(&m, &sizes));
        const double bits = sinq_dual_scale_info(&m, &sizes).bits_per_weight;
        ck_assert_msg(bits <= cases[i].most, "case %zu: %.4f bits per weight", i, bits);
    }
}
END_TEST

START_TEST(headers_survive_and_damage_is_seen) {
    struct sinq_dual_scale m = plain(33, 70, 5, 32, SINQ_AUX_U8), back;
    struct sinq_dual_scale_sizes sizes, back_sizes;
    struct sinq_error error;
    m.stack_index = 2;
    m.stack_count = 9;
    m.transposed = true;
    m.factor = 0.125f;
    m.zero_low = -3.0f;
    m.zero_step = 1.0f;
    ck_assert(sinq_dual_scale_measure(&m, &sizes));
    uint8_t *const blob = calloc(1, (size_t)sizes.bytes);
    for (uint64_t i = SINQ_DUAL_SCALE_HEADER_BYTES; i < sizes.bytes; i++) blob[i] = (uint8_t)next_random();
    sinq_dual_scale_seal(&m, blob);
    ck_assert(sinq_dual_scale_check(blob, sizes.bytes));
    ck_assert_int_eq(sinq_dual_scale_parse(blob, sizes.bytes, "x", &back, &back_sizes, &error), SINQ_OK);
    ck_assert_uint_eq(back.rows, 33);
    ck_assert_uint_eq(back.cols, 70);
    ck_assert_uint_eq(back.stack_index, 2);
    ck_assert_uint_eq(back.stack_count, 9);
    ck_assert(back.transposed && back.has_column_scale && !back.zero_per_block);
    ck_assert_float_eq(back.factor, 0.125f);
    ck_assert_float_eq(back.zero_low, -3.0f);
    ck_assert_uint_eq(back_sizes.bytes, sizes.bytes);
    for (int i = 0; i < 300; i++) {
        const uint64_t at = next_random() % sizes.bytes;
        blob[at] ^= 4;
        ck_assert(!sinq_dual_scale_check(blob, sizes.bytes));
        blob[at] ^= 4;
    }
    free(blob);
}
END_TEST

START_TEST(headers_it_cannot_hold_are_refused) {
    static const struct {
        const char *name;
        size_t at;
        uint8_t value;
        const char *expected;
    } cases[] = {
        {"magic", 0, 'X', "not a quantized matrix"},
        {"version 2", 8, 2, "version 2"},
        {"header size", 12, 64, "no matrix"},
        {"bytes", 16, 1, "claims"},
        {"7 bits", 52, 7, "no matrix"},
        {"9 bits", 52, 9, "no matrix"},
        {"group 48", 40, 48, "no matrix"},
        {"scale type", 53, 7, "no matrix"},
        {"zero type", 54, 4, "no matrix"},
        {"flags", 55, 0x90, "no matrix"},
        {"signed", 55, 2, "no matrix"},
        {"levels", 56, 2, "no matrix"},
        {"method", 57, 200, "no matrix"},
        {"factor not finite", 63, 0x7f, NULL},
        {"reserved", 80, 1, "no matrix"},
        {"rows 2^63", 31, 0x80, "no matrix"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_dual_scale m = plain(16, 32, 4, 32, SINQ_AUX_F16), back;
        struct sinq_dual_scale_sizes sizes;
        struct sinq_error error;
        ck_assert(sinq_dual_scale_measure(&m, &sizes));
        uint8_t *const blob = calloc(1, (size_t)sizes.bytes);
        sinq_dual_scale_seal(&m, blob);
        blob[cases[i].at] = cases[i].value;
        if (cases[i].expected == NULL) blob[cases[i].at - 1] = 0x80;
        const int status = sinq_dual_scale_parse(blob, sizes.bytes, "file: tensor t", &back, &sizes, &error);
        ck_assert_msg(status == SINQ_FAILED, "%s is not refused", cases[i].name);
        ck_assert_msg(strstr(error.message, cases[i].expected == NULL ? "no matrix" : cases[i].expected) != NULL,
                      "%s: %s", cases[i].name, error.message);
        ck_assert(strstr(error.message, "file: tensor t") != NULL);
        free(blob);
    }
}
END_TEST

START_TEST(sizes_that_overflow_are_refused) {
    static const struct {
        uint64_t rows, cols;
    } cases[] = {{0, 5}, {5, 0}, {UINT64_MAX, 1}, {1, UINT64_MAX}, {1ull << 40, 1ull << 40}, {1ull << 61, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_dual_scale m = plain(cases[i].rows, cases[i].cols, 8, 16, SINQ_AUX_F16);
        struct sinq_dual_scale_sizes sizes;
        ck_assert_msg(!sinq_dual_scale_measure(&m, &sizes), "case %zu", i);
    }
}
END_TEST

UNIT_MAIN("dual scale layout", blocks_survive_packing, codes_lie_where_the_format_says, bits_per_weight_are_as_promised,
          headers_survive_and_damage_is_seen, headers_it_cannot_hold_are_refused, sizes_that_overflow_are_refused)
