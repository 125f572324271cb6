/*
 * column_scales.h: the column scales t of whole matrices, in runs of 256 columns: the most that share anything in a block of GGUF.
 *
 * What all columns of a run have in common is left to its rows: within a run t is 1 in the mean square. The same for any number of
 * threads and on every machine. A scaler belongs to one thread, and shares its work between as many as it is told.
 */
#ifndef SINQ_QUANT_COLUMN_SCALES_H
#define SINQ_QUANT_COLUMN_SCALES_H

#include "quant/matrix/load.h"
#include "quant/matrix/sinkhorn.h"

#define SINQ_SCALE_RUN 256u

struct sinq_column_scaler {
    struct sinq_loader loader;     /* source, threads and replace_nonfinite are the caller's to fill in */
    struct sinq_unit_matrix units; /* the matrix in hand; a unit is a run */
    float *scales;                 /* its column scales */
    struct sinq_sinkhorn **work;   /* one a thread, for tiles of work_rows */
    uint64_t work_rows;
    float *rows; /* row scales, which nobody wants: room for each thread */
    uint64_t capacity;
};

/* Reads matrix `index` of the stack that `tensor` is into units. */
int sinq_load_for_scales(struct sinq_column_scaler *scaler, size_t tensor, uint64_t index, bool transposed,
                         struct sinq_error *error);
/* Fills scales of the matrix that was read. */
void sinq_scale_columns(struct sinq_column_scaler *scaler);
void sinq_free_column_scaler(struct sinq_column_scaler *scaler);

/*
 * The implicit importance of a tensor's columns, 1 / t^2: `importance` receives a value for each column of each matrix. Rounding
 * W / t with one step for all columns, as SINQ does, is rounding W with errors that count so.
 */
int sinq_find_importance(const struct sinq_source *source, size_t tensor, unsigned threads, bool replace_nonfinite,
                         float *importance, struct sinq_error *error);

/* To within bounds of 1 in the mean square, 1 where nothing is known: a column of zeros must not push others out of range. */
void sinq_bound_scales(float *values, uint32_t count);

#endif
