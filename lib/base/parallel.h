/*
 * parallel.h: the one way work is spread over threads.
 *
 * Items are handed out one by one, so what they compute must not depend on who computes it. OpenMP does it; under the thread
 * sanitizer, which cannot see into OpenMP's runtime, plain threads do, so that real races and no others are reported.
 */
#ifndef SINQ_BASE_PARALLEL_H
#define SINQ_BASE_PARALLEL_H

#include <stdint.h>

/* `worker` is below the number of threads asked for; no two items run at once with the same one. */
typedef void sinq_work_fn(void *context, uint64_t item, unsigned worker);

/* Runs items 0 .. count - 1 on up to `threads` threads and returns when all are done. */
void sinq_parallel_for(unsigned threads, uint64_t count, sinq_work_fn *work, void *context);

#endif
