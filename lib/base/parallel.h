/*
 * parallel.h: the one way work is spread over threads.
 *
 * Items are handed out one by one, so what they compute must not depend on who computes it. OpenMP does it; under the thread
 * sanitizer, which cannot see into OpenMP's runtime, plain threads do, so that real races and no others are reported.
 */
#ifndef SINQ_BASE_PARALLEL_H
#define SINQ_BASE_PARALLEL_H

#include <stdint.h>

#include "base/barrier.h"

/* `worker` is below the number of threads asked for; no two items run at once with the same one. */
typedef void sinq_work_fn(void *context, uint64_t item, unsigned worker);

/* Runs items 0 .. count - 1 on up to `threads` threads and returns when all are done. */
void sinq_parallel_for(unsigned threads, uint64_t count, sinq_work_fn *work, void *context);

/*
 * A team: all its workers run the same function at once, meet at barriers and share out numbered items between them.
 *
 * Calling sequence, the same in every worker: sinq_next_item() until the item is not below the count, sinq_meet(), and so on: a
 * new round of items begins after each meeting.
 */
struct sinq_team;
struct sinq_worker {
    struct sinq_team *team;
    unsigned index, size; /* of the team */
    unsigned round;
    struct sinq_patience patience;
};
typedef void sinq_team_fn(void *context, struct sinq_worker *worker);

/* Returns when all workers have. Fewer than `threads` may run where the system gives no more. */
void sinq_run_team(unsigned threads, sinq_team_fn *work, void *context);
/* The next item of this round, each handed out once. */
uint64_t sinq_next_item(struct sinq_worker *worker);
/* Waits until all workers are here. What they wrote before is seen by all after. */
void sinq_meet(struct sinq_worker *worker);

#endif
