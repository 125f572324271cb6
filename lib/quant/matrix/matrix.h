/*
 * matrix.h: quantizing one matrix, column unit by column unit, thread by thread.
 *
 * A unit is a run of columns that is packed as a whole: one group of 32 columns or more, two of 16, the whole row. Its values
 * lie in one tile (tile.h). Each unit is normalized, rounded, stored and packed while it is in cache, by one thread; no
 * result depends on the number of threads.
 */
#ifndef SINQ_QUANT_MATRIX_H
#define SINQ_QUANT_MATRIX_H

#include "quant/matrix/tile.h"
#include "sinq.h"
#include "tensor/dual_scale.h"
#include "tensor/method.h"
#include "tensor/plain_matrix.h"

/* Rows are padded to this in a unit: rows that share a second-level range. */
#define SINQ_UNIT_ROW_MULTIPLE SINQ_SCALE_BLOCK_ROWS

/* A matrix in memory, laid out in units. Reused from matrix to matrix; grows as needed. */
struct sinq_unit_matrix {
    uint64_t rows, cols;
    uint32_t group_size; /* 0: whole row */
    uint64_t unit_cols;  /* of all units but a short last one */
    uint64_t unit_count;
    uint64_t padded_rows;
    uint64_t unit_bytes; /* from one unit's first value to the next one's */
    bool is_bf16;
    float largest;    /* magnitude */
    bool has_no_tiny; /* struct sinq_magnitudes: it is known that no value is tiny */
    /* Values are the matrix's times 2^-exponent: not 0 only where the matrix is so large or small as a whole that the
     * reference's fixed bounds (1e-4, 1e-3, 1e3) would spoil it. */
    int exponent;
    uint8_t *memory;
    uint64_t capacity;
};

/* Prepares `units` for a matrix; values are then stored with sinq_put_row. SINQ_FAILED only when out of memory. */
int sinq_shape_units(struct sinq_unit_matrix *units, uint64_t rows, uint64_t cols, uint32_t group_size, bool is_bf16,
                     struct sinq_error *error);
/* Stores columns of one row: `values` are f32 or bf16 as the matrix is. Threads may store different rows at once. */
void sinq_put_row(const struct sinq_unit_matrix *units, uint64_t row, const void *values);
/* The same for `count` rows that lie one behind the other: unit by unit, so that each is written in one run. */
void sinq_put_rows(const struct sinq_unit_matrix *units, uint64_t first, uint64_t count, const void *values);
/* Stores one column ([in, out] sources): values[i] goes to row i. */
void sinq_put_column(const struct sinq_unit_matrix *units, uint64_t col, const void *values);
/* After the last value: `largest` is set by the caller; pads, and scales extreme matrices. */
void sinq_finish_units(struct sinq_unit_matrix *units, unsigned threads);
void sinq_free_units(struct sinq_unit_matrix *units);

struct sinq_tile sinq_unit_tile(const struct sinq_unit_matrix *units, uint64_t unit);

/* Kurtosis of all values as the reference's gate has it (dossier 3.4): E[(w-mu)^4] / max(E[(w-mu)^2], 1e-6)^2. */
double sinq_measure_kurtosis(const struct sinq_unit_matrix *units, unsigned threads);

/* What to do with a matrix. */
struct sinq_matrix_method {
    enum sinq_method method;
    unsigned bits;
    enum sinq_effort effort;     /* of methods that search */
    bool tiling_2d;              /* one column scale per group_size rows: for results in plain arrays alone */
    double kurtosis_gate;        /* 0: none */
    const float *gram;           /* E[x x^T] of what the matrix reads, for methods that search; or NULL */
    const float *column_factors; /* by which column scales are divided (input_scales.h), of packed ones; or NULL */
    unsigned threads;
};

/* Without statistics; with errors weighted by the mean squares of inputs alone; with feedback (feedback.h). */
enum sinq_calibration { SINQ_CALIBRATED_NOT, SINQ_CALIBRATED_BY_WEIGHTS, SINQ_CALIBRATED_BY_FEEDBACK };

struct sinq_matrix_outcome {
    double error_square, norm_square; /* ||W - W'||^2 and ||W||^2 */
    double kurtosis;                  /* with a gate */
    bool was_gated;
    enum sinq_calibration calibration; /* what came of the method's gram */
    bool was_widened;                  /* scales or zeros needed a wider type than asked for */
    enum sinq_method method;           /* used: without normalization where gated */
};

int sinq_quantize_plain(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                        struct sinq_plain_matrix *plain, struct sinq_matrix_outcome *outcome, struct sinq_error *error);

/* Memory for blobs, reused from matrix to matrix. */
struct sinq_blob {
    uint8_t *bytes;
    uint64_t capacity;
};

/*
 * Quantizes into our own layout: *description comes with the wished scale and zero types and leaves with those used; the
 * blob is complete and sealed, description->... gives its size by sinq_dual_scale_measure.
 */
int sinq_quantize_packed(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                         struct sinq_dual_scale *description, struct sinq_blob *blob,
                         struct sinq_matrix_outcome *outcome, struct sinq_error *error);

#endif
