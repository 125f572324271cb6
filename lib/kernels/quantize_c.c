#include "kernels/simd_c.h"
#define KERNELS sinq_quantize_kernels_c
#include "kernels/quantize_template.h"
