/* dtype.h: element types and their conversion to f32. */
#ifndef SINQ_TENSOR_DTYPE_H
#define SINQ_TENSOR_DTYPE_H

#include "sinq.h"

/* The dtype of that safetensors name, or -1. */
int sinq_dtype_from_name(const char *name);

bool sinq_dtype_is_float(enum sinq_dtype dtype);

float sinq_half_to_float(uint16_t half);
/* Round to nearest, ties to even; overflow gives infinity. */
uint16_t sinq_float_to_half(float value);
float sinq_bfloat_to_float(uint16_t bfloat);
/* As sinq_float_to_half. */
uint16_t sinq_float_to_bfloat(float value);
float sinq_f8_e4m3_to_float(uint8_t value);
float sinq_f8_e5m2_to_float(uint8_t value);

/* `count` little-endian elements to f32; F64 and 64-bit integers are rounded, BOOL is 0 or 1. Not for SINQ_DUAL_SCALE. */
void sinq_convert_to_float(enum sinq_dtype dtype, const void *elements, size_t count, float *out);

/* The other way, for F32, F16 and BF16: rounded to nearest, ties to even; `out` may be `values` themselves. */
void sinq_convert_from_float(enum sinq_dtype dtype, const float *values, size_t count, void *out);

/* Index of the first element that is NaN or infinite, or -1. */
int64_t sinq_find_nonfinite(enum sinq_dtype dtype, const void *elements, size_t count);

#endif
