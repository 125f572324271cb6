/*
 * chunk.h: passing through all values of a tensor, or of two at once, in pieces that fit the cache.
 *
 * Where chunks begin depends on the tensors alone and their results are combined in order, so that nothing depends on the
 * number of threads. Memory is a few MB a thread; only a quantized matrix that is stored transposed is held whole.
 */
#ifndef SINQ_EVAL_CHUNK_H
#define SINQ_EVAL_CHUNK_H

#include "sinq.h"

/* Consecutive values of one tensor as they are stored, or as f32 where quantized or scaled ones had to be rebuilt. */
struct sinq_chunk {
    enum sinq_dtype dtype; /* of `elements`, never SINQ_DUAL_SCALE */
    const uint8_t *elements;
    uint64_t first; /* index of the first value, counted through the whole tensor */
    uint64_t count;
    unsigned worker; /* below the job's threads: no two chunks are looked at at once with the same one */
};

#define SINQ_PIECE_VALUES 1024u

/* Values [first, first + count) of a chunk as f64, count <= SINQ_PIECE_VALUES: exact but for the largest 64-bit integers. */
void sinq_widen_piece(const struct sinq_chunk *chunk, uint64_t first, uint32_t count, double *out);

/* Row and column of value `index` counted through the tensor, for messages. */
struct sinq_position {
    uint64_t row, col;
};
struct sinq_position sinq_find_position(const struct sinq_tensor *tensor, uint64_t index);

struct sinq_chunk_job {
    const struct sinq_source *sources[2];
    size_t tensors[2];             /* of equal shape */
    size_t sides;                  /* 1 or 2 */
    uint64_t first_row, row_count; /* what to pass through; sinq_select_all_rows sets all of it */
    bool whole_rows;               /* chunks are made of whole rows */
    unsigned threads;

    /* Any thread: looks at one chunk of each side and fills *partial, which comes zeroed. */
    void (*measure)(const void *user, const struct sinq_chunk *chunks, void *partial);
    /*
     * The calling thread, in the order of the values; `count` is the chunk's. A status other than SINQ_OK ends the job with
     * it. NULL: nothing to combine.
     */
    int (*merge)(void *user, const void *partial, uint64_t count, struct sinq_error *error);
    size_t partial_bytes;
    void *user;
};

void sinq_select_all_rows(struct sinq_chunk_job *job);
int sinq_run_chunk_job(const struct sinq_chunk_job *job, struct sinq_error *error);

/* `threads`, or as many as there are processors where it is 0. */
unsigned sinq_choose_threads(unsigned threads);

#endif
