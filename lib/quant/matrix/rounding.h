/*
 * rounding.h: scale and zero point of each group, before storage. All in the normalized domain: x ~= scale * (level - zero).
 */
#ifndef SINQ_QUANT_ROUNDING_H
#define SINQ_QUANT_ROUNDING_H

#include "quant/matrix/tile.h"
#include "sinq.h"
#include "tensor/dual_scale.h"

/* Zero points stay within this, so that f16 holds the integers among them exactly. */
#define SINQ_LARGEST_ZERO 2047.0f

/* Up to 32 rows of one group. x[r * stride + j], columns padded as in a tile. */
struct sinq_group_block {
    const float *x;
    const float *weights; /* of columns, for levels; NULL: all count alike */
    size_t stride, rows, cols;
    float lowest[SINQ_SCALE_BLOCK_ROWS], highest[SINQ_SCALE_BLOCK_ROWS];
};

/* Scales and zeros of a block. A scale of 0 marks a group of zeros, which any scale serves. */
struct sinq_group_parameters {
    float scale[SINQ_SCALE_BLOCK_ROWS], zero[SINQ_SCALE_BLOCK_ROWS];
    bool is_constant[SINQ_SCALE_BLOCK_ROWS]; /* all values equal and not zero */
    bool is_searched[SINQ_SCALE_BLOCK_ROWS]; /* by group_search.h, for its own use */
};

/* Whether a method's scales and zeros are searched (group_search.h): then zeros are codes under one range of the matrix where that serves. */
bool sinq_method_is_searched(enum sinq_method method);
/* Whether a method can take statistics of inputs into account (feedback.h). */
bool sinq_method_can_feed_back(enum sinq_method method);
/* Whether a method's zero points are integers. */
bool sinq_method_has_integer_zeros(enum sinq_method method);
/* What becomes of a method that normalizes where a matrix must not be: see the kurtosis gate. */
enum sinq_method sinq_drop_normalization(enum sinq_method method);

void sinq_choose_parameters(enum sinq_method method, unsigned bits, const struct sinq_group_block *block,
                            struct sinq_group_parameters *parameters);

/* The one zero point of symmetric methods, which take 3 bits or more. */
float sinq_symmetric_zero(unsigned bits);

/* The zero point that min-max rounding takes when the scale is given. */
float sinq_place_zero(float lowest, float scale);

#endif
