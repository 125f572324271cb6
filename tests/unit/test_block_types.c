/* test_block_types.c: GGUF's tensor types: the table, blocks worked out by hand, and blocks taken apart and put together. */
#include "tensor/block_types.h"

#include <math.h>
#include <string.h>

#include "tensor/block_parts.h"
#include "unit.h"

/* A block of zero bytes with some others, and what some of its values are by the type's definition. */
static const struct {
    const char *name, *type;
    struct {
        unsigned at, byte;
    } bytes[12];
    struct {
        unsigned at;
        float value;
    } values[6];
} blocks[] = {
    {"low nibbles come first", "q4_0", {{1, 0x3c}, {2, 0xf1}}, {{0, -7}, {16, 7}, {1, -8}, {31, -8}}},
    {"the minimum is added", "q4_1", {{1, 0x38}, {3, 0xbc}, {4, 0x2f}}, {{0, 6.5f}, {16, 0}, {1, -1}}},
    {"fifth bits by value", "q5_0", {{1, 0x3c}, {2, 1}, {4, 1}, {6, 0x31}}, {{0, 1}, {16, 3}, {1, -16}}},
    {"fifth bit of the last", "q5_1", {{1, 0x3c}, {3, 0x40}, {7, 0x80}, {23, 0xa0}}, {{31, 28}, {15, 2}}},
    {"two's complement", "q8_0", {{1, 0x40}, {2, 0xff}, {3, 0x80}, {33, 0x7f}}, {{0, -2}, {1, -256}, {31, 254}}},
    {"quarters of a half",
     "q2_k",
     {{81, 0x3c}, {83, 0x38}, {0, 0x23}, {2, 0x01}, {4, 0x12}, {6, 0x0f}, {16, 0xe4}, {9, 0xf1}, {64, 0x02}},
     {{0, -1}, {32, 1}, {64, 3.5f}, {96, 45}, {144, -5.5f}}},
    {"first and last group, high bit set and not",
     "q3_k",
     {{109, 0x3c}, {96, 1}, {104, 2}, {32, 3}, {0, 1}, {103, 0x50}, {107, 0x80}, {95, 0xc0}},
     {{0, 3}, {1, -4}, {255, -5}}},
    {"scales of 6 bits in one byte and in two",
     "q4_k",
     {{1, 0x3c}, {3, 0x3c}, {4, 5}, {8, 3}, {16, 0x42}, {5, 0x80}, {9, 0x40}, {13, 0x21}, {80, 0xf0}},
     {{0, 7}, {32, 0}, {160, 477}, {161, -18}}},
    {"fifth bits by group",
     "q5_k",
     {{1, 0x3c}, {3, 0x3c}, {15, 0x11}, {16, 0x80}, {144, 0x30}},
     {{224, 18}, {225, -1}}},
    {"signed scales",
     "q6_k",
     {{209, 0x3c}, {0, 0x0f}, {128, 0xc3}, {192, 2}, {32, 0x10}, {198, 0xff}, {64, 5}, {200, 0x80}},
     {{0, 62}, {96, -17}, {128, 3456}}},
    {"a scale in f32", "q8_k", {{2, 0xc0}, {3, 0x3f}, {4, 0xfe}, {259, 2}}, {{0, -3}, {255, 3}}},
    {"levels", "iq4_nl", {{1, 0x3c}, {2, 0x0f}}, {{0, 113}, {16, -127}}},
    {"levels under scales of 6 bits",
     "iq4_xs",
     {{1, 0x3c}, {2, 2}, {4, 1}, {8, 0x8f}, {7, 0x30}, {3, 0x80}, {135, 0x10}},
     {{0, 113}, {16, 1}, {255, -312}}},
    {"twice E2M1, half the scale", "mxfp4", {{0, 128}, {1, 0x97}}, {{0, 12}, {16, -1}, {1, 0}}},
    {"the smallest exponent", "mxfp4", {{0, 0}, {1, 0x91}}, {{0, 0x1p-128f}, {16, -0x1p-128f}}},
    {"the next exponent", "mxfp4", {{0, 1}, {1, 0x91}}, {{0, 0x1p-127f}, {16, -0x1p-127f}}},
    {"f64", "f64", {{6, 0xf8}, {7, 0xbf}}, {{0, -1.5f}}},
    {"i64", "i64", {{0, 0xfe}, {1, 0xff}, {2, 0xff}, {3, 0xff}, {4, 0xff}, {5, 0xff}, {6, 0xff}, {7, 0xff}}, {{0, -2}}},
    {"i32", "i32", {{1, 1}}, {{0, 256}}},
    {"i16", "i16", {{1, 0x80}}, {{0, -32768}}},
    {"i8", "i8", {{0, 0x80}}, {{0, -128}}},
    {"f32", "f32", {{3, 0x40}}, {{0, 2}}},
    {"f16", "f16", {{1, 0x3c}}, {{0, 1}}},
    {"bf16", "bf16", {{0, 0x80}, {1, 0x3f}}, {{0, 1}}},
};

START_TEST(blocks_worked_out_by_hand) {
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        const struct sinq_block_type *const type = sinq_find_block_type_named(blocks[i].type);
        ck_assert_ptr_nonnull(type);
        uint8_t bytes[2 * SINQ_MOST_BLOCK_BYTES] = {0};
        uint8_t *const second = bytes + type->bytes; /* the one before it is zero, and not aligned with it */
        float out[2 * SINQ_MOST_BLOCK_VALUES];
        for (unsigned j = 0; j < 12; j++) {
            if (blocks[i].bytes[j].byte != 0) second[blocks[i].bytes[j].at] = (uint8_t)blocks[i].bytes[j].byte;
        }
        sinq_decode_blocks(type, bytes, 2 * type->values, out);
        for (unsigned j = 0; j < 6; j++) {
            if (j > 0 && blocks[i].values[j].at == 0) break;
            const float value = out[type->values + blocks[i].values[j].at];
            ck_assert_msg(value == blocks[i].values[j].value, "%s, %s: value %u is %g, expected %g", blocks[i].type,
                          blocks[i].name, blocks[i].values[j].at, (double)value, (double)blocks[i].values[j].value);
        }
    }
}
END_TEST

START_TEST(types_are_found) {
    size_t count = 0;
    for (const struct sinq_block_type *type; (type = sinq_list_block_type(count)) != NULL; count++) {
        ck_assert_ptr_eq(sinq_find_block_type(type->id), type);
        ck_assert_ptr_eq(sinq_find_block_type_named(type->name), type);
        ck_assert_uint_le(type->values, SINQ_MOST_BLOCK_VALUES);
        ck_assert_uint_le(type->bytes, SINQ_MOST_BLOCK_BYTES);
    }
    ck_assert_uint_eq(count, 22);
    ck_assert_ptr_null(sinq_find_block_type(4)); /* removed from the format long ago */
    ck_assert_ptr_null(sinq_find_block_type(UINT32_MAX));
    ck_assert_ptr_null(sinq_find_block_type_named("q4_K"));
}
END_TEST

static const struct {
    const char *type;
    uint64_t values, bytes; /* 0: refused */
} rows[] = {
    {"q4_k", 512, 288},
    {"q4_k", 128, 0},
    {"q8_0", 96, 102},
    {"q8_0", 100, 0},
    {"f16", 3, 6},
    {"mxfp4", 320, 170},
    {"q6_k", UINT64_C(1) << 62, 210 * (UINT64_C(1) << 54)},
    {"f64", UINT64_MAX, 0},
    {"q8_0", UINT64_MAX - 31, 0},
};

START_TEST(rows_are_measured) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bytes = 0;
        const bool is_there = sinq_measure_block_row(sinq_find_block_type_named(rows[i].type), rows[i].values, &bytes);
        ck_assert_msg(is_there == (rows[i].bytes != 0), "%s of %llu", rows[i].type, (unsigned long long)rows[i].values);
        if (is_there) ck_assert_uint_eq(bytes, rows[i].bytes);
    }
}
END_TEST

START_TEST(blocks_are_put_together_again) {
    uint32_t state = 1;
    const struct sinq_block_type *type;
    for (size_t t = 0; (type = sinq_list_block_type(t)) != NULL; t++) {
        if (type->is_plain || !type->is_written) continue;
        for (unsigned i = 0; i < 200; i++) {
            uint8_t bytes[SINQ_MOST_BLOCK_BYTES], again[SINQ_MOST_BLOCK_BYTES];
            struct sinq_block_parts parts;
            for (uint32_t k = 0; k < type->bytes; k++) {
                state = state * 1664525u + 1013904223u;
                bytes[k] = (uint8_t)(state >> 24);
            }
            sinq_read_block(type, bytes, &parts);
            if (isnan(parts.scale) || isnan(parts.minimum)) continue;
            sinq_write_block(type, &parts, again);
            ck_assert_msg(memcmp(bytes, again, type->bytes) == 0, "%s, block %u", type->name, i);
        }
    }
}
END_TEST

UNIT_MAIN("block types", blocks_worked_out_by_hand, types_are_found, rows_are_measured, blocks_are_put_together_again)
