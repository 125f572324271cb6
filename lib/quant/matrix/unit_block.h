/*
 * unit_block.h: rounding 32 rows of one group of a unit: normalized, parameters chosen, stored, and codes for what is stored.
 *
 * Calling sequence for each block: sinq_round_block, which stores by block_storage.c. What a block becomes depends on the block alone.
 */
#ifndef SINQ_QUANT_UNIT_BLOCK_H
#define SINQ_QUANT_UNIT_BLOCK_H

#include "quant/matrix/sinkhorn.h"
#include "quant/matrix/unit.h"

/* One group's columns within a unit. */
struct sinq_unit_group {
    struct sinq_tile tile;
    size_t in_unit; /* first column within the unit */
    uint64_t index; /* in the matrix */
    float *row_scale;
    float *col_scale; /* of the first row tile */
    size_t unit_stride;
};

/* 32 rows of one group. */
struct sinq_unit_block {
    const struct sinq_unit_group *group;
    size_t first, rows;
    float *x;
    uint8_t *codes;
    size_t stride;
    const float *row_scale;
    struct sinq_group_block values;
    struct sinq_group_parameters parameters;                         /* as wished, normalized domain */
    float scale[SINQ_SCALE_BLOCK_ROWS], zero[SINQ_SCALE_BLOCK_ROWS]; /* as used, normalized domain */
};

/* Squared error and norm of a block's rows in the domain of W. */
struct sinq_block_error {
    double error[SINQ_SCALE_BLOCK_ROWS], norm[SINQ_SCALE_BLOCK_ROWS];
};

/* Columns of a whole group; of matrices without groups all. */
static inline size_t sinq_unit_group_width(const struct sinq_unit_matrix *units) {
    return units->group_size == 0 ? (size_t)units->cols : units->group_size;
}

static inline size_t sinq_count_row_tiles(const struct sinq_unit_job *job) {
    return (size_t)sinq_divide_up(job->units->rows, job->row_tile);
}

/* Codes go to block->codes, parameters into the job's blob or its plain arrays; what it costs is added to outcome. */
void sinq_round_block(const struct sinq_unit_job *job, const struct sinq_unit_work *work, struct sinq_unit_block *block,
                      struct sinq_unit_outcome *outcome);

/*
 * Parameters into the blob. block->scale and zero become what a reader will see, in the normalized domain, from
 * block->parameters.
 */

/* In f16, where the codes stay as they are for what was wished; block->scale is not set. */
void sinq_store_kept_scales(const struct sinq_unit_job *job, const struct sinq_unit_block *block);
/* Returns the largest relative difference to what was wished. */
float sinq_store_block_scales(const struct sinq_unit_job *job, struct sinq_unit_block *block);
/* Zero points for the scales as stored: integers are placed anew, real ones go into the blob here. */
void sinq_store_block_zeros(const struct sinq_unit_job *job, struct sinq_unit_block *block);
/* Searched zero points, then the best scales for those. */
void sinq_store_searched_block(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                               struct sinq_unit_block *block);

#endif
