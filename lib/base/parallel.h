/*
 * parallel.h: the one way work is spread over threads.
 *
 * Items are handed out one by one, so what they compute must not depend on who computes it. OpenMP does it; under the thread
 * sanitizer, which cannot see into OpenMP's runtime, plain threads do, so that real races and no others are reported.
 */
#ifndef SINQ_BASE_PARALLEL_H
#define SINQ_BASE_PARALLEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/patience.h"

/* `worker` is below the number of threads asked for; no two items run at once with the same one. */
typedef void sinq_work_fn(void *context, uint64_t item, unsigned worker);

/* Runs items 0 .. count - 1 on up to `threads` threads and returns when all are done. */
void sinq_parallel_for(unsigned threads, uint64_t count, sinq_work_fn *work, void *context);

/*
 * A team: all its workers run the same function at once and share out numbered items between them, round by round. A round is
 * over when its items are done: a worker that the system holds up without an item is not waited for, and passes by the rounds
 * that it missed.
 *
 * Calling sequence, the same in every worker, with the same numbers of items:
 *   while (sinq_take_item(worker, count, &item)) do item;
 *   sinq_meet(worker, count);
 * What changes from round to round is only to be looked at while an item is held: another round may have begun.
 */
struct sinq_team;
struct sinq_worker {
    struct sinq_team *team;
    unsigned index, size; /* of the team */
    uint64_t round;
    uint64_t taken; /* items of this round */
    struct sinq_patience patience;
};
typedef void sinq_team_fn(void *context, struct sinq_worker *worker);

/* Returns when all workers have. Fewer than `threads` may run where the system gives no more. */
void sinq_run_team(unsigned threads, sinq_team_fn *work, void *context);
/* The next of this round's items [0, count), each handed out once; false where none is left. Below 2^32. */
bool sinq_take_item(struct sinq_worker *worker, uint64_t count, uint64_t *item);

/* A run of a round's items. */
struct sinq_lane {
    uint32_t first, count;
};
#define SINQ_MOST_LANES 64u
/*
 * The same for items that lie in lanes: a worker takes those of its own lane, one behind the other, then what is left in others'. All
 * items of a round are taken this way, or none.
 */
bool sinq_take_item_of_lanes(struct sinq_worker *worker, const struct sinq_lane *lanes, unsigned count, uint64_t *item);
/* Waits until all items of this round are done. What they wrote is seen by all after. Nothing happens where there are none. */
void sinq_meet(struct sinq_worker *worker, uint64_t count);

#endif
