/*
 * score_blocks.h: a vocabulary's scores in blocks whose best score is known (kernels/rowwise.h), so that most blocks are never
 * looked into.
 */
#ifndef SINQ_MODEL_SCORE_BLOCKS_H
#define SINQ_MODEL_SCORE_BLOCKS_H

#include "kernels/rowwise.h"

static inline uint32_t sinq_count_blocks(uint32_t vocabulary) {
    return vocabulary / SINQ_SCORE_BLOCK + (vocabulary % SINQ_SCORE_BLOCK != 0);
}

static inline uint32_t sinq_end_of_block(uint32_t vocabulary, uint32_t block) {
    return block < vocabulary / SINQ_SCORE_BLOCK ? (block + 1) * SINQ_SCORE_BLOCK : vocabulary;
}

/* The best score of a block. */
static inline float sinq_find_peak(const float *scores, uint32_t vocabulary, uint32_t block) {
    const uint32_t first = block * SINQ_SCORE_BLOCK, end = sinq_end_of_block(vocabulary, block);
    float peak = scores[first];
    for (uint32_t i = first + 1; i < end; i++) peak = scores[i] > peak ? scores[i] : peak;
    return peak;
}

/* The first of all tokens with the best score. */
static inline uint32_t sinq_find_best(const float *scores, const float *peaks, uint32_t vocabulary) {
    uint32_t best = 0;
    for (uint32_t b = 1; b < sinq_count_blocks(vocabulary); b++) {
        if (peaks[b] > peaks[best]) best = b;
    }
    uint32_t id = best * SINQ_SCORE_BLOCK;
    while (scores[id] != peaks[best]) id++;
    return id;
}

#endif
