#include "base/parallel.h"

#include <stddef.h>

#if defined(__SANITIZE_THREAD__) || defined(_OPENMP)
static unsigned limit_threads(unsigned threads, uint64_t count) {
    const unsigned wanted = threads == 0 ? 1 : threads;
    return count < wanted ? (unsigned)count : wanted;
}
#endif

#if defined(__SANITIZE_THREAD__)

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct crew {
    sinq_work_fn *work;
    void *context;
    uint64_t count;
    atomic_uint_fast64_t next;
};

struct member {
    struct crew *crew;
    unsigned worker;
};

static void *run_member(void *argument) {
    const struct member *const member = argument;
    struct crew *const crew = member->crew;
    for (uint64_t item; (item = atomic_fetch_add(&crew->next, 1)) < crew->count;) {
        crew->work(crew->context, item, member->worker);
    }
    return NULL;
}

void sinq_parallel_for(unsigned threads, uint64_t count, sinq_work_fn *work, void *context) {
    enum { MOST_THREADS = 64 };
    struct crew crew = {.work = work, .context = context, .count = count};
    struct member members[MOST_THREADS];
    pthread_t handles[MOST_THREADS];
    const unsigned most = limit_threads(threads, count), crew_size = most < MOST_THREADS ? most : MOST_THREADS;
    unsigned started = 1;
    for (unsigned i = 0; i < crew_size; i++) members[i] = (struct member){&crew, i};
    while (started < crew_size && pthread_create(&handles[started], NULL, run_member, &members[started]) == 0)
        started++;
    run_member(&members[0]);
    for (unsigned i = 1; i < started; i++) pthread_join(handles[i], NULL);
}

#elif defined(_OPENMP)

#include <omp.h>

void sinq_parallel_for(unsigned threads, uint64_t count, sinq_work_fn *work, void *context) {
    if (limit_threads(threads, count) <= 1) {
        for (uint64_t item = 0; item < count; item++) work(context, item, 0);
        return;
    }
#pragma omp parallel for num_threads(limit_threads(threads, count)) schedule(dynamic, 1)
    for (uint64_t item = 0; item < count; item++) work(context, item, (unsigned)omp_get_thread_num());
}

#else

void sinq_parallel_for(unsigned threads, uint64_t count, sinq_work_fn *work, void *context) {
    (void)threads;
    for (uint64_t item = 0; item < count; item++) work(context, item, 0);
}

#endif
