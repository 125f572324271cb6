/* Conversions of every small float against the formula of their definition. */
#include "tensor/dtype.h"

#include <math.h>
#include <string.h>

#include "unit.h"

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The value of sign, exponent and mantissa bits by definition; E4M3 has no infinities and NaN only where all bits are set. */
static double define_value(unsigned bits, int exponent_bits, int mantissa_bits, bool is_fn) {
    const unsigned mantissa = bits & ((1u << mantissa_bits) - 1), all_ones = (1u << exponent_bits) - 1;
    const unsigned exponent = bits >> mantissa_bits & all_ones;
    const int bias = (int)(all_ones >> 1);
    const double sign = bits >> (exponent_bits + mantissa_bits) & 1 ? -1.0 : 1.0;
    const double fraction = ldexp(mantissa, -mantissa_bits);
    const bool is_nan =
        is_fn ? exponent == all_ones && mantissa == (1u << mantissa_bits) - 1 : exponent == all_ones && mantissa != 0;
    if (is_nan) return NAN;
    if (exponent == all_ones && !is_fn) return sign * INFINITY;
    return exponent == 0 ? sign * ldexp(fraction, 1 - bias) : sign * ldexp(1.0 + fraction, (int)exponent - bias);
}

static bool is_same(float value, double defined) {
    if (isnan(defined)) return isnan(value);
    return (double)value == defined && !signbit(value) == !signbit(defined);
}

static const struct small_float {
    const char *name;
    enum sinq_dtype dtype;
    int exponent_bits, mantissa_bits;
    bool is_fn;
} small_floats[] = {
    {"F16", SINQ_F16, 5, 10, false},
    {"BF16", SINQ_BF16, 8, 7, false},
    {"F8_E4M3", SINQ_F8_E4M3, 4, 3, true},
    {"F8_E5M2", SINQ_F8_E5M2, 5, 2, false},
};

static float convert_one(enum sinq_dtype dtype, unsigned bits) {
    switch (dtype) {
    case SINQ_F16:
        return sinq_half_to_float((uint16_t)bits);
    case SINQ_BF16:
        return sinq_bfloat_to_float((uint16_t)bits);
    case SINQ_F8_E4M3:
        return sinq_f8_e4m3_to_float((uint8_t)bits);
    default:
        return sinq_f8_e5m2_to_float((uint8_t)bits);
    }
}

START_TEST(every_small_float_has_its_defined_value) {
    for (size_t f = 0; f < sizeof small_floats / sizeof small_floats[0]; f++) {
        const struct small_float *const s = &small_floats[f];
        const unsigned count = 1u << (1 + s->exponent_bits + s->mantissa_bits);
        for (unsigned bits = 0; bits < count; bits++) {
            const double defined = define_value(bits, s->exponent_bits, s->mantissa_bits, s->is_fn);
            const float value = convert_one(s->dtype, bits);
            ck_assert_msg(is_same(value, defined), "%s 0x%x: %a, defined as %a", s->name, bits, (double)value, defined);
        }
    }
}
END_TEST

START_TEST(bulk_conversion_equals_single_values_at_any_length_and_alignment) {
    static uint8_t bytes[2 * 65536 + 8];
    static float out[65536];
    for (size_t f = 0; f < sizeof small_floats / sizeof small_floats[0]; f++) {
        const struct small_float *const s = &small_floats[f];
        const size_t size = sinq_dtype_size(s->dtype), all = (size_t)1 << 8 * size;
        for (size_t shift = 0; shift < 4; shift++) {
            for (size_t i = 0; i < all; i++) memcpy(bytes + shift + i * size, &i, size);
            for (size_t count = 0; count <= all; count = count < 70 ? count + 1 : count == all ? all + 1 : all) {
                memset(out, 0, sizeof out);
                sinq_convert_to_float(s->dtype, bytes + shift, count, out);
                for (size_t i = 0; i < count; i++) {
                    const float one = convert_one(s->dtype, (unsigned)i);
                    ck_assert_msg(to_bits(out[i]) == to_bits(one) || (isnan(out[i]) && isnan(one)), "%s %zu of %zu",
                                  s->name, i, count);
                }
                ck_assert(count == 65536 || to_bits(out[count]) == 0);
            }
        }
    }
}
END_TEST

static void expect_half(double value, uint16_t half) {
    const uint16_t rounded = sinq_float_to_half((float)value);
    ck_assert_msg(rounded == half, "%a becomes 0x%04x, expected 0x%04x", value, rounded, half);
}

START_TEST(halves_are_rounded_to_nearest_with_ties_to_even) {
    for (unsigned half = 0; half < 0x7c00; half++) {
        const double value = define_value(half, 5, 10, false);
        const double next = half == 0x7bff ? 65536.0 : define_value(half + 1, 5, 10, false);
        const float middle = (float)((value + next) / 2); /* exact: one bit more than a half has */
        const uint16_t up = (uint16_t)(half + 1), even = (half & 1) == 0 ? (uint16_t)half : up;
        expect_half(value, (uint16_t)half);
        expect_half((double)nextafterf((float)value, INFINITY), (uint16_t)half);
        expect_half((double)middle, even);
        expect_half((double)nextafterf(middle, 0), (uint16_t)half);
        expect_half((double)nextafterf(middle, INFINITY), up);
        expect_half(-value, (uint16_t)(0x8000 | half));
        expect_half(-(double)middle, (uint16_t)(0x8000 | even));
        expect_half(-(double)nextafterf(middle, INFINITY), (uint16_t)(0x8000 | up));
    }
}
END_TEST

START_TEST(halves_of_extreme_values) {
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {
        {INFINITY, 0x7c00}, {-INFINITY, 0xfc00}, {3.4e38f, 0x7c00}, {65519.996f, 0x7bff},
        {65520.0f, 0x7c00}, {1e-40f, 0x0000},    {-1e-40f, 0x8000}, {0x1p-25f, 0},
        {0x1.8p-25f, 1},    {0x1p-24f, 1},       {-0.0f, 0x8000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect_half((double)cases[i].value, cases[i].half);
    static const uint32_t nans[] = {0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff};
    for (size_t i = 0; i < sizeof nans / sizeof nans[0]; i++) {
        const uint16_t half = sinq_float_to_half(from_bits(nans[i]));
        ck_assert(isnan(sinq_half_to_float(half)) && half >> 15 == nans[i] >> 31);
    }
}
END_TEST

START_TEST(wide_types_are_rounded_to_f32) {
    static const double f64[] = {1.5, -0.0, 0.1, 1e300, 1e-300};
    static const int64_t i64[] = {-1, INT64_MIN, INT64_MAX, 16777217};
    static const uint64_t u64[] = {0, UINT64_MAX, 16777219};
    static const int32_t i32[] = {-5, INT32_MIN};
    static const uint32_t u32[] = {5, UINT32_MAX};
    static const int16_t i16[] = {-5, INT16_MIN};
    static const uint16_t u16[] = {5, UINT16_MAX};
    static const int8_t i8[] = {-5, INT8_MIN};
    static const uint8_t u8[] = {5, 255}, flags[] = {0, 1, 255};
    static const float f32[] = {0.1f, INFINITY};
    static const struct {
        enum sinq_dtype dtype;
        const void *elements;
        size_t count;
        float expected[5];
    } cases[] = {
        {SINQ_F64, f64, 5, {1.5f, -0.0f, 0.1f, INFINITY, 0}},
        {SINQ_I64, i64, 4, {-1, -0x1p63f, 0x1p63f, 16777216}},
        {SINQ_U64, u64, 3, {0, 0x1p64f, 16777220}},
        {SINQ_I32, i32, 2, {-5, -0x1p31f}},
        {SINQ_U32, u32, 2, {5, 0x1p32f}},
        {SINQ_I16, i16, 2, {-5, -32768}},
        {SINQ_U16, u16, 2, {5, 65535}},
        {SINQ_I8, i8, 2, {-5, -128}},
        {SINQ_U8, u8, 2, {5, 255}},
        {SINQ_BOOL, flags, 3, {0, 1, 1}},
        {SINQ_F32, f32, 2, {0.1f, INFINITY}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        float out[5];
        sinq_convert_to_float(cases[c].dtype, cases[c].elements, cases[c].count, out);
        for (size_t i = 0; i < cases[c].count; i++) {
            ck_assert_msg(to_bits(out[i]) == to_bits(cases[c].expected[i]), "%s %zu: %a",
                          sinq_dtype_name(cases[c].dtype), i, (double)out[i]);
        }
    }
}
END_TEST

START_TEST(names_and_sizes_are_those_of_safetensors) {
    static const struct {
        enum sinq_dtype dtype;
        const char *name;
        size_t size;
        bool is_float;
    } cases[] = {
        {SINQ_F64, "F64", 8, true},   {SINQ_F32, "F32", 4, true},         {SINQ_F16, "F16", 2, true},
        {SINQ_BF16, "BF16", 2, true}, {SINQ_F8_E4M3, "F8_E4M3", 1, true}, {SINQ_F8_E5M2, "F8_E5M2", 1, true},
        {SINQ_I64, "I64", 8, false},  {SINQ_I32, "I32", 4, false},        {SINQ_I16, "I16", 2, false},
        {SINQ_I8, "I8", 1, false},    {SINQ_U64, "U64", 8, false},        {SINQ_U32, "U32", 4, false},
        {SINQ_U16, "U16", 2, false},  {SINQ_U8, "U8", 1, false},          {SINQ_BOOL, "BOOL", 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_str_eq(sinq_dtype_name(cases[i].dtype), cases[i].name);
        ck_assert_int_eq(sinq_dtype_from_name(cases[i].name), (int)cases[i].dtype);
        ck_assert_uint_eq(sinq_dtype_size(cases[i].dtype), cases[i].size);
        ck_assert_int_eq(sinq_dtype_is_float(cases[i].dtype), cases[i].is_float);
    }
    static const char *const unknown[] = {"", "bf16", "F4", "DUAL_SCALE", "F32 ", "C64"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        ck_assert_int_eq(sinq_dtype_from_name(unknown[i]), -1);
    }
    ck_assert_str_eq(sinq_dtype_name(SINQ_DUAL_SCALE), "DUAL_SCALE");
    ck_assert_uint_eq(sinq_dtype_size(SINQ_DUAL_SCALE), 0);
}
END_TEST

START_TEST(the_first_nonfinite_value_is_found_wherever_it_is) {
    static const struct {
        enum sinq_dtype dtype;
        uint64_t finite; /* the largest finite value */
        uint64_t bad[3];
    } cases[] = {
        {SINQ_F64, 0x7fefffffffffffff, {0x7ff0000000000000, 0xfff0000000000000, 0x7ff0000000000001}},
        {SINQ_F32, 0x7f7fffff, {0x7f800000, 0xff800000, 0x7fc00000}},
        {SINQ_F16, 0x7bff, {0x7c00, 0xfc00, 0x7e01}},
        {SINQ_BF16, 0x7f7f, {0x7f80, 0xff80, 0xffc0}},
        {SINQ_F8_E4M3, 0x7e, {0x7f, 0xff, 0x7f}},
        {SINQ_F8_E5M2, 0x7b, {0x7c, 0xfc, 0x7d}},
    };
    static const size_t counts[] = {1, 17, 4096, 4097, 9000};
    static uint8_t bytes[9000 * 8];
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const size_t size = sinq_dtype_size(cases[c].dtype);
        for (size_t n = 0; n < sizeof counts / sizeof counts[0]; n++) {
            const size_t count = counts[n];
            for (size_t i = 0; i < count; i++) memcpy(bytes + i * size, &cases[c].finite, size);
            ck_assert_int_eq(sinq_find_nonfinite(cases[c].dtype, bytes, count), -1);
            for (size_t i = 0; i < count; i += count < 100 ? 1 : 619) {
                memcpy(bytes + i * size, &cases[c].bad[i % 3], size);
                memcpy(bytes + (count - 1) * size, &cases[c].bad[0], size);
                ck_assert_int_eq(sinq_find_nonfinite(cases[c].dtype, bytes, count), (int64_t)i);
                memcpy(bytes + (count - 1) * size, &cases[c].finite, size);
                memcpy(bytes + i * size, &cases[c].finite, size);
            }
        }
    }
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_int_eq(sinq_find_nonfinite(SINQ_I32, bytes, 9000), -1);
    ck_assert_int_eq(sinq_find_nonfinite(SINQ_F32, bytes, 0), -1);
}
END_TEST

UNIT_MAIN("dtype", every_small_float_has_its_defined_value,
          bulk_conversion_equals_single_values_at_any_length_and_alignment,
          halves_are_rounded_to_nearest_with_ties_to_even, halves_of_extreme_values, wide_types_are_rounded_to_f32,
          names_and_sizes_are_those_of_safetensors, the_first_nonfinite_value_is_found_wherever_it_is)
