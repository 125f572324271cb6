/*
 * patience.h: waiting until a number changes. Who waits spins for some tens of microseconds, then lets others have the
 * processor, then sleeps: between running threads it takes the time of a cache line's way, and a thread that waits long takes
 * no one's time.
 */
#ifndef SINQ_BASE_PATIENCE_H
#define SINQ_BASE_PATIENCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* A number that is waited for, and who sleeps for it. */
struct sinq_signal {
    _Alignas(64) atomic_uint_fast64_t value;
    _Alignas(64) atomic_uint sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

/* How long a thread spins, in nanoseconds: less after it had to sleep, more after it had not. Starts as 0. */
struct sinq_patience {
    unsigned spin;
};

void sinq_signal_init(struct sinq_signal *signal, uint64_t value);
void sinq_signal_destroy(struct sinq_signal *signal);

/* What was written before is seen by those who see the new value. */
void sinq_signal_set(struct sinq_signal *signal, uint64_t value);

/* Waits while (value >> shift) == `old`. */
void sinq_signal_wait(struct sinq_signal *signal, unsigned shift, uint64_t old, struct sinq_patience *patience);

#endif
