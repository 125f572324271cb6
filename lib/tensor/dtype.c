#include "tensor/dtype.h"

#include <assert.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoints are little-endian and read as they are");

static const struct {
    const char *name;
    size_t size;
    bool is_float;
} dtypes[SINQ_DTYPE_COUNT] = {
    [SINQ_F64] = {"F64", 8, true},         [SINQ_F32] = {"F32", 4, true},
    [SINQ_F16] = {"F16", 2, true},         [SINQ_BF16] = {"BF16", 2, true},
    [SINQ_F8_E4M3] = {"F8_E4M3", 1, true}, [SINQ_F8_E5M2] = {"F8_E5M2", 1, true},
    [SINQ_I64] = {"I64", 8, false},        [SINQ_I32] = {"I32", 4, false},
    [SINQ_I16] = {"I16", 2, false},        [SINQ_I8] = {"I8", 1, false},
    [SINQ_U64] = {"U64", 8, false},        [SINQ_U32] = {"U32", 4, false},
    [SINQ_U16] = {"U16", 2, false},        [SINQ_U8] = {"U8", 1, false},
    [SINQ_BOOL] = {"BOOL", 1, false},      [SINQ_DUAL_SCALE] = {"DUAL_SCALE", 0, false},
};

const char *sinq_dtype_name(enum sinq_dtype dtype) {
    return (unsigned)dtype < SINQ_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

size_t sinq_dtype_size(enum sinq_dtype dtype) { return (unsigned)dtype < SINQ_DTYPE_COUNT ? dtypes[dtype].size : 0; }

bool sinq_dtype_is_float(enum sinq_dtype dtype) { return (unsigned)dtype < SINQ_DTYPE_COUNT && dtypes[dtype].is_float; }

int sinq_dtype_from_name(const char *name) {
    for (int i = 0; i < SINQ_DTYPE_COUNT; i++) {
        if (i != SINQ_DUAL_SCALE && strcmp(dtypes[i].name, name) == 0) return i;
    }
    return -1;
}

/* ---- one value ---- */

static inline float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/*
 * Small floats become f32 by moving exponent and mantissa into place and multiplying by the difference of the biases: this
 * gets normal and subnormal values right without a branch. Infinities and NaN get their exponent by a mask.
 */
static inline float widen_half(uint16_t half) {
    const uint32_t magnitude = half & 0x7fffu;
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t finite = to_bits(from_bits(magnitude << 13) * 0x1p112f);
    const uint32_t is_special = 0u - (uint32_t)(magnitude >= 0x7c00u);
    return from_bits(sign | finite | (is_special & 0x7f800000u));
}

static inline float widen_bfloat(uint16_t bfloat) { return from_bits((uint32_t)bfloat << 16); }

static inline float widen_e4m3(uint8_t value) {
    const uint32_t magnitude = value & 0x7fu;
    const uint32_t sign = (uint32_t)(value & 0x80u) << 24;
    const uint32_t finite = to_bits(from_bits(magnitude << 20) * 0x1p120f);
    const uint32_t is_nan = 0u - (uint32_t)(magnitude == 0x7fu);
    return from_bits(sign | finite | (is_nan & 0x7fc00000u));
}

static inline float widen_e5m2(uint8_t value) { return widen_half((uint16_t)(value << 8)); }

float sinq_half_to_float(uint16_t half) { return widen_half(half); }
float sinq_bfloat_to_float(uint16_t bfloat) { return widen_bfloat(bfloat); }
float sinq_f8_e4m3_to_float(uint8_t value) { return widen_e4m3(value); }
float sinq_f8_e5m2_to_float(uint8_t value) { return widen_e5m2(value); }

uint16_t sinq_float_to_half(float value) {
    const uint32_t bits = to_bits(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more round to infinity */
    if (magnitude < 0x38800000u) {
        /* Below the smallest normal half: adding 0.5 leaves a multiple of 2^-24, rounded by the addition itself. */
        return (uint16_t)(sign | (to_bits(from_bits(magnitude) + 0.5f) - 0x3f000000u));
    }
    const uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

uint16_t sinq_float_to_bfloat(float value) {
    const uint32_t bits = to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* ---- many values ---- */

#ifdef __clang__
/* Under sanitizers clang does not vectorize, and says so: it is a wish, not a need. */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

/* The omp simd lines make compilers vectorize at -O2 too; the memcpys are loads that need no alignment. */
#define DEFINE_CONVERT(name, type, expression)                                                                         \
    static void convert_##name(const uint8_t *from, size_t count, float *out) {                                        \
        _Pragma("omp simd") for (size_t i = 0; i < count; i++) {                                                       \
            type value;                                                                                                \
            memcpy(&value, from + i * sizeof value, sizeof value);                                                     \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
    }

DEFINE_CONVERT(f64, double, (float)value)
DEFINE_CONVERT(f16, uint16_t, widen_half(value))
DEFINE_CONVERT(bf16, uint16_t, widen_bfloat(value))
DEFINE_CONVERT(e4m3, uint8_t, widen_e4m3(value))
DEFINE_CONVERT(e5m2, uint8_t, widen_e5m2(value))
DEFINE_CONVERT(i64, int64_t, (float)value)
DEFINE_CONVERT(i32, int32_t, (float)value)
DEFINE_CONVERT(i16, int16_t, (float)value)
DEFINE_CONVERT(i8, int8_t, (float)value)
DEFINE_CONVERT(u64, uint64_t, (float)value)
DEFINE_CONVERT(u32, uint32_t, (float)value)
DEFINE_CONVERT(u16, uint16_t, (float)value)
DEFINE_CONVERT(u8, uint8_t, (float)value)
DEFINE_CONVERT(bool, uint8_t, value != 0 ? 1.0f : 0.0f)

static void convert_f32(const uint8_t *from, size_t count, float *out) { memcpy(out, from, count * sizeof *out); }

void sinq_convert_to_float(enum sinq_dtype dtype, const void *elements, size_t count, float *out) {
    typedef void convert_fn(const uint8_t *from, size_t count, float *out);
    static convert_fn *const converters[SINQ_DTYPE_COUNT] = {
        [SINQ_F64] = convert_f64,   [SINQ_F32] = convert_f32,      [SINQ_F16] = convert_f16,
        [SINQ_BF16] = convert_bf16, [SINQ_F8_E4M3] = convert_e4m3, [SINQ_F8_E5M2] = convert_e5m2,
        [SINQ_I64] = convert_i64,   [SINQ_I32] = convert_i32,      [SINQ_I16] = convert_i16,
        [SINQ_I8] = convert_i8,     [SINQ_U64] = convert_u64,      [SINQ_U32] = convert_u32,
        [SINQ_U16] = convert_u16,   [SINQ_U8] = convert_u8,        [SINQ_BOOL] = convert_bool,
    };
    assert((unsigned)dtype < SINQ_DTYPE_COUNT && converters[dtype] != NULL);
    if (count > 0) converters[dtype](elements, count, out);
}

/* ---- non-finite values ---- */

/* Whether any of `count` elements is NaN or infinite: no early exit, so that it vectorizes. */
#define DEFINE_ANY_NONFINITE(name, type, condition)                                                                    \
    static bool any_nonfinite_##name(const uint8_t *from, size_t count) {                                              \
        type any = 0;                                                                                                  \
        _Pragma("omp simd reduction(| : any)") for (size_t i = 0; i < count; i++) {                                    \
            type bits;                                                                                                 \
            memcpy(&bits, from + i * sizeof bits, sizeof bits);                                                        \
            any = (type)(any | (type)(condition));                                                                     \
        }                                                                                                              \
        return any != 0;                                                                                               \
    }

DEFINE_ANY_NONFINITE(f64, uint64_t, (bits & 0x7ff0000000000000u) == 0x7ff0000000000000u)
DEFINE_ANY_NONFINITE(f32, uint32_t, (bits & 0x7f800000u) == 0x7f800000u)
DEFINE_ANY_NONFINITE(f16, uint16_t, (bits & 0x7c00u) == 0x7c00u)
DEFINE_ANY_NONFINITE(bf16, uint16_t, (bits & 0x7f80u) == 0x7f80u)
DEFINE_ANY_NONFINITE(e4m3, uint8_t, (bits & 0x7fu) == 0x7fu)
DEFINE_ANY_NONFINITE(e5m2, uint8_t, (bits & 0x7cu) == 0x7cu)

#define NONFINITE_BLOCK ((size_t)4096) /* elements; small enough to stay in the first cache while one is looked for */

void sinq_convert_from_float(enum sinq_dtype dtype, const float *values, size_t count, void *out) {
    uint8_t *const bytes = out;
    if (dtype == SINQ_F32) {
        memmove(out, values, count * sizeof *values);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const uint16_t narrow = dtype == SINQ_F16 ? sinq_float_to_half(values[i]) : sinq_float_to_bfloat(values[i]);
        memcpy(bytes + 2 * i, &narrow, sizeof narrow);
    }
}

int64_t sinq_find_nonfinite(enum sinq_dtype dtype, const void *elements, size_t count) {
    typedef bool any_nonfinite_fn(const uint8_t *from, size_t count);
    static any_nonfinite_fn *const tests[SINQ_DTYPE_COUNT] = {
        [SINQ_F64] = any_nonfinite_f64,   [SINQ_F32] = any_nonfinite_f32,      [SINQ_F16] = any_nonfinite_f16,
        [SINQ_BF16] = any_nonfinite_bf16, [SINQ_F8_E4M3] = any_nonfinite_e4m3, [SINQ_F8_E5M2] = any_nonfinite_e5m2,
    };
    if ((unsigned)dtype >= SINQ_DTYPE_COUNT || tests[dtype] == NULL) return -1;
    const size_t size = dtypes[dtype].size;
    const uint8_t *const from = elements;
    for (size_t i = 0; i < count; i += NONFINITE_BLOCK) {
        const size_t block = count - i < NONFINITE_BLOCK ? count - i : NONFINITE_BLOCK;
        if (!tests[dtype](from + i * size, block)) continue;
        for (size_t j = i; j < i + block; j++) {
            if (tests[dtype](from + j * size, 1)) return (int64_t)j;
        }
    }
    return -1;
}
