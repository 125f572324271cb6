/*
 * point_sums.h: sums of x x^T of one input of a model's layers (model/input_points.h), or of each expert's share of it.
 *
 * Calling sequence: sinq_make_point_sums; sinq_add_point_rows for each window; sinq_finish_point_sums; sinq_read_point_row.
 * An expert's matrix is mixed with the mean over all that the layer's experts were given, as if it had been given as many further rows
 * of that mean as it has columns: (S_e + width * F) / (n_e + width).
 */
#ifndef SINQ_QUANT_POINT_SUMS_H
#define SINQ_QUANT_POINT_SUMS_H

#include "model/input_points.h"

struct sinq_point_sums {
    const struct sinq_input_point *point; /* borrowed */
    size_t padded;                        /* width, whole panels of it */
    float *sums;      /* [matrices][padded][padded], of which panels on and right of the diagonal are filled */
    float *all;       /* experts': of all together, once they are finished */
    uint64_t *counts; /* rows of each matrix */
    uint64_t count;   /* of all */
};

/* sinq_free_point_sums in any case. */
int sinq_make_point_sums(const struct sinq_input_point *point, struct sinq_point_sums *sums, struct sinq_error *error);
void sinq_free_point_sums(struct sinq_point_sums *sums);

/* Rows of the slots that hold values and choices (or NULL), and their strides. */
struct sinq_point_rows {
    const float *values, *choices;
    size_t stride, choice_stride;
    size_t rows;
};
/* Working memory for as many rows of whole panels each: `panels`, aligned to 64, and `gathered`. */
void sinq_add_point_rows(struct sinq_point_sums *sums, const struct sinq_point_rows *rows, float *panels,
                         float *gathered, unsigned threads);
int sinq_finish_point_sums(struct sinq_point_sums *sums, struct sinq_error *error);

/* Row `row` of a matrix's E[x x^T]: `width` values. */
void sinq_read_point_row(const struct sinq_point_sums *sums, uint32_t matrix, size_t row, float *values);

/* What a point's sums take at most. */
uint64_t sinq_measure_point_sums(const struct sinq_input_point *point);

#endif
