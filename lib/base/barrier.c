#include "base/barrier.h"

#include <sched.h>
#include <stdbool.h>
#include <time.h>

#define MOST_SPIN_NS  30000u
#define LEAST_SPIN_NS 500u
#define YIELDS        4u
#define PAUSES        16u /* between two looks at the clock */

void sinq_barrier_init(struct sinq_barrier *barrier) {
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->generation, 0);
    atomic_init(&barrier->sleepers, 0);
    (void)pthread_mutex_init(&barrier->mutex, NULL);
    (void)pthread_cond_init(&barrier->met, NULL);
}

void sinq_barrier_destroy(struct sinq_barrier *barrier) {
    (void)pthread_cond_destroy(&barrier->met);
    (void)pthread_mutex_destroy(&barrier->mutex);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* some ten nanoseconds; "yield" is none */
#endif
}

static bool has_met(struct sinq_barrier *barrier, unsigned generation) {
    return atomic_load_explicit(&barrier->generation, memory_order_acquire) != generation;
}

static unsigned long long now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

static bool spin(struct sinq_barrier *barrier, unsigned generation, unsigned nanoseconds) {
    const unsigned long long end = now_ns() + nanoseconds;
    do {
        for (unsigned i = 0; i < PAUSES; i++) {
            if (has_met(barrier, generation)) return true;
            pause_briefly();
        }
    } while (now_ns() < end);
    return has_met(barrier, generation);
}

static bool yield(struct sinq_barrier *barrier, unsigned generation) {
    for (unsigned i = 0; i < YIELDS; i++) {
        (void)sched_yield();
        if (has_met(barrier, generation)) return true;
    }
    return false;
}

static void sleep_until_met(struct sinq_barrier *barrier, unsigned generation) {
    pthread_mutex_lock(&barrier->mutex);
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->generation) == generation) pthread_cond_wait(&barrier->met, &barrier->mutex);
    atomic_fetch_sub(&barrier->sleepers, 1);
    pthread_mutex_unlock(&barrier->mutex);
}

/*
 * Sequentially consistent where it matters: either the last to arrive sees a sleeper, or the sleeper sees the new generation
 * before it sleeps.
 */
static void let_go(struct sinq_barrier *barrier, unsigned generation) {
    atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
    atomic_store(&barrier->generation, generation + 1);
    if (atomic_load(&barrier->sleepers) == 0) return;
    pthread_mutex_lock(&barrier->mutex);
    pthread_cond_broadcast(&barrier->met);
    pthread_mutex_unlock(&barrier->mutex);
}

void sinq_barrier_wait(struct sinq_barrier *barrier, unsigned size, struct sinq_patience *patience) {
    const unsigned generation = atomic_load_explicit(&barrier->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 == size) {
        let_go(barrier, generation);
        return;
    }
    if (patience->spin == 0) patience->spin = MOST_SPIN_NS;
    if (spin(barrier, generation, patience->spin)) {
        if (patience->spin < MOST_SPIN_NS) patience->spin *= 2;
    } else if (!yield(barrier, generation)) {
        if (patience->spin > LEAST_SPIN_NS) patience->spin /= 2;
        sleep_until_met(barrier, generation);
    }
}
