/* method.h: what a method of quantizing means for how codes are read. */
#ifndef SINQ_TENSOR_METHOD_H
#define SINQ_TENSOR_METHOD_H

#include "sinq.h"

/* Levels of a method's table in ascending order, NULL for evenly spaced codes. */
const float *sinq_method_levels(enum sinq_method method, unsigned *count);
/* Whether a method normalizes first: whether its matrices have a column scale. */
bool sinq_method_normalizes(enum sinq_method method);
/* Whether a method has one zero point for a matrix. */
bool sinq_method_is_symmetric(enum sinq_method method);
/* Fitted byte levels with a signed scale and no zero point. */
bool sinq_method_has_byte_levels(enum sinq_method method);

#endif
