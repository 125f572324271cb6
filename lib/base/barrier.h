/*
 * barrier.h: where the workers of a team wait for each other. Who waits spins for some tens of microseconds, then lets others
 * have the processor, then sleeps: a meeting of running workers costs the time of a cache line's way, and workers that the
 * system holds up take no one's time.
 */
#ifndef SINQ_BASE_BARRIER_H
#define SINQ_BASE_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>

struct sinq_barrier {
    _Alignas(64) atomic_uint arrived;
    _Alignas(64) atomic_uint generation; /* how often all have met */
    atomic_uint sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t met;
};

/* How long a worker spins, in nanoseconds: less after it had to sleep, more after it had not. Starts as 0. */
struct sinq_patience {
    unsigned spin;
};

void sinq_barrier_init(struct sinq_barrier *barrier);
void sinq_barrier_destroy(struct sinq_barrier *barrier);

/* Waits until `size` workers are here. What they wrote before is seen by all after. `patience` is the worker's own. */
void sinq_barrier_wait(struct sinq_barrier *barrier, unsigned size, struct sinq_patience *patience);

#endif
