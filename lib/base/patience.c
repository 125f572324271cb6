#include "base/patience.h"

#include <sched.h>
#include <stdbool.h>
#include <time.h>

#define MOST_SPIN_NS  30000u
#define LEAST_SPIN_NS 500u
#define YIELDS        4u
#define PAUSES        16u /* between two looks at the clock */

void sinq_signal_init(struct sinq_signal *signal, uint64_t value) {
    atomic_init(&signal->value, value);
    atomic_init(&signal->sleepers, 0);
    (void)pthread_mutex_init(&signal->mutex, NULL);
    (void)pthread_cond_init(&signal->changed, NULL);
}

void sinq_signal_destroy(struct sinq_signal *signal) {
    (void)pthread_cond_destroy(&signal->changed);
    (void)pthread_mutex_destroy(&signal->mutex);
}

/*
 * Sequentially consistent: either the one who sets the value sees a sleeper, or the sleeper sees the value before it sleeps.
 */
void sinq_signal_set(struct sinq_signal *signal, uint64_t value) {
    atomic_store(&signal->value, value);
    if (atomic_load(&signal->sleepers) == 0) return;
    pthread_mutex_lock(&signal->mutex);
    pthread_cond_broadcast(&signal->changed);
    pthread_mutex_unlock(&signal->mutex);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* some ten nanoseconds; "yield" is none */
#endif
}

/* What is waited for. */
struct wait {
    struct sinq_signal *signal;
    unsigned shift;
    uint64_t old;
};

static bool is_over(const struct wait *wait) {
    return atomic_load_explicit(&wait->signal->value, memory_order_acquire) >> wait->shift != wait->old;
}

static unsigned long long now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

static bool pause_some(const struct wait *wait) {
    for (unsigned i = 0; i < PAUSES; i++) {
        if (is_over(wait)) return true;
        pause_briefly();
    }
    return false;
}

/* The clock is only looked at where the first pauses were not enough. */
static bool spin(const struct wait *wait, unsigned nanoseconds) {
    if (pause_some(wait)) return true;
    const unsigned long long end = now_ns() + nanoseconds;
    do {
        if (pause_some(wait)) return true;
    } while (now_ns() < end);
    return false;
}

static bool yield(const struct wait *wait) {
    for (unsigned i = 0; i < YIELDS; i++) {
        (void)sched_yield();
        if (is_over(wait)) return true;
    }
    return false;
}

static void sleep_until_over(const struct wait *wait) {
    struct sinq_signal *const signal = wait->signal;
    pthread_mutex_lock(&signal->mutex);
    atomic_fetch_add(&signal->sleepers, 1);
    while (atomic_load(&signal->value) >> wait->shift == wait->old) pthread_cond_wait(&signal->changed, &signal->mutex);
    atomic_fetch_sub(&signal->sleepers, 1);
    pthread_mutex_unlock(&signal->mutex);
}

void sinq_signal_wait(struct sinq_signal *signal, unsigned shift, uint64_t old, struct sinq_patience *patience) {
    const struct wait wait = {signal, shift, old};
    if (patience->spin == 0) patience->spin = MOST_SPIN_NS;
    if (spin(&wait, patience->spin)) {
        if (patience->spin < MOST_SPIN_NS) patience->spin *= 2;
    } else if (!yield(&wait)) {
        if (patience->spin > LEAST_SPIN_NS) patience->spin /= 2;
        sleep_until_over(&wait);
    }
}
