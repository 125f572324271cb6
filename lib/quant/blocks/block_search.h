/*
 * block_search.h: blocks of one type on their way to codes, for the files behind encode_blocks.h alone.
 *
 * A batch is as many blocks as have sixteen groups together: a group is a lane of the inner loops (kernels/quantize.h). All values
 * of a block are divided by one power of two, so that nothing over- or underflows: its unit.
 */
#ifndef SINQ_QUANT_BLOCK_SEARCH_H
#define SINQ_QUANT_BLOCK_SEARCH_H

#include "kernels/quantize.h"
#include "tensor/block_parts.h"

struct sinq_block_batch {
    const struct sinq_block_type *type;
    const struct sinq_block_form *form;
    const struct sinq_quantize_kernels *kernels;
    uint32_t blocks, groups; /* groups: of a block; lane b * groups + g is group g of block b */
    float values[SINQ_MOST_GROUP_VALUES * SINQ_LANES], weights[SINQ_MOST_GROUP_VALUES * SINQ_LANES];
    float unit[SINQ_LANES]; /* by block */
    struct sinq_level_table levels;
    /* What is searched: each block's own scale and minimum, and the codes of its groups'. */
    float scale[SINQ_LANES], minimum[SINQ_LANES];
    int8_t scale_codes[SINQ_LANES];
    uint8_t minimum_codes[SINQ_LANES];
};

/* What a batch's lanes stand for. */
struct sinq_lane_groups sinq_batch_groups(const struct sinq_block_batch *batch);
/* The range of codes, with scales and minima of the batch's blocks and groups in each lane. */
struct sinq_lane_codes sinq_batch_codes(const struct sinq_block_batch *batch);

/* A number of block `block` as f16 holds it, and `steps` f16 numbers farther from zero; never infinite. */
float sinq_store_half(const struct sinq_block_batch *batch, uint32_t block, float value, int steps);

/* The best scales and minima of groups by themselves, before they are stored; see search_scale and its like. */
struct sinq_lane_codes sinq_search_groups(const struct sinq_block_batch *batch);

/* The nearest codes to stored[i][lane] (or NULL) and each lane's error. */
void sinq_round_batch(const struct sinq_block_batch *batch, const struct sinq_lane_codes *codes, uint8_t *stored,
                      float error[SINQ_LANES]);

/* Fill scales and minima of types whose blocks are one group, and of those with codes for groups. */
void sinq_search_single(struct sinq_block_batch *batch);
void sinq_search_super(struct sinq_block_batch *batch);

#endif
