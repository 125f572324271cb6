#include "base/parallel.h"

#include <stdatomic.h>

/* Who takes an item holds up the round's end; who comes too late for a round passes it by. */
struct sinq_team {
    struct sinq_signal ticket;              /* the round, and the next item of it */
    _Alignas(64) atomic_uint_fast64_t done; /* items of the round */
    /* The round that last took items of the lane, plus one, and the next of them. */
    struct {
        _Alignas(64) atomic_uint_fast64_t ticket;
    } lanes[SINQ_MOST_LANES];
};
#define ROUND_SHIFT 32u

bool sinq_take_item(struct sinq_worker *worker, uint64_t count, uint64_t *item) {
    atomic_uint_fast64_t *const ticket = &worker->team->ticket.value;
    uint_fast64_t seen = atomic_load_explicit(ticket, memory_order_acquire);
    do {
        *item = seen & UINT32_MAX;
        if (seen >> ROUND_SHIFT != worker->round || *item >= count) return false;
    } while (
        !atomic_compare_exchange_weak_explicit(ticket, &seen, seen + 1, memory_order_acq_rel, memory_order_acquire));
    worker->taken++;
    return true;
}

/* In a round that is over, all items are taken: who comes too late finds none, whichever rounds followed. */
static bool take_from_lane(struct sinq_worker *worker, unsigned lane, uint64_t count, uint64_t *item) {
    atomic_uint_fast64_t *const ticket = &worker->team->lanes[lane].ticket;
    const uint_fast64_t begin = (worker->round + 1) << ROUND_SHIFT;
    uint_fast64_t seen = atomic_load_explicit(ticket, memory_order_acquire), next;
    do {
        next = seen < begin ? begin : seen;
        *item = next - begin;
        if (*item >= count) return false;
    } while (
        !atomic_compare_exchange_weak_explicit(ticket, &seen, next + 1, memory_order_acq_rel, memory_order_acquire));
    worker->taken++;
    return true;
}

bool sinq_take_item_of_lanes(struct sinq_worker *worker, const struct sinq_lane *lanes, unsigned count,
                             uint64_t *item) {
    for (unsigned i = 0; i < count; i++) {
        const unsigned lane = (worker->index + i) % count;
        if (!take_from_lane(worker, lane, lanes[lane].count, item)) continue;
        *item += lanes[lane].first;
        return true;
    }
    return false;
}

void sinq_meet(struct sinq_worker *worker, uint64_t count) {
    struct sinq_team *const team = worker->team;
    const uint64_t taken = worker->taken, round = worker->round;
    if (count == 0) return;
    worker->taken = 0;
    worker->round++;
    if (taken > 0 && atomic_fetch_add_explicit(&team->done, taken, memory_order_acq_rel) + taken == count) {
        atomic_store_explicit(&team->done, 0, memory_order_relaxed);
        sinq_signal_set(&team->ticket, (round + 1) << ROUND_SHIFT);
    } else {
        sinq_signal_wait(&team->ticket, ROUND_SHIFT, round, &worker->patience);
    }
}

static void init_team(struct sinq_team *team) {
    sinq_signal_init(&team->ticket, 0);
    atomic_init(&team->done, 0);
    for (unsigned i = 0; i < SINQ_MOST_LANES; i++) atomic_init(&team->lanes[i].ticket, 0);
}

static void run_alone(sinq_team_fn *work, void *context) {
    struct sinq_team team;
    init_team(&team);
    struct sinq_worker worker = {.team = &team, .size = 1};
    work(context, &worker);
    sinq_signal_destroy(&team.ticket);
}

#if defined(__SANITIZE_THREAD__) || defined(_OPENMP)
static unsigned limit_threads(unsigned threads, uint64_t count) {
    const unsigned wanted = threads == 0 ? 1 : threads;
    return count < wanted ? (unsigned)count : wanted;
}
#endif

#if defined(__SANITIZE_THREAD__)

#include <pthread.h>
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
    if (count == 0) return;
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

struct team_member {
    struct sinq_worker worker;
    sinq_team_fn *work;
    void *context;
    pthread_mutex_t *gate; /* held until the team's size is known */
};

static void *run_team_member(void *argument) {
    struct team_member *const member = argument;
    pthread_mutex_lock(member->gate);
    pthread_mutex_unlock(member->gate);
    member->work(member->context, &member->worker);
    return NULL;
}

void sinq_run_team(unsigned threads, sinq_team_fn *work, void *context) {
    enum { MOST_THREADS = 64 };
    struct sinq_team team;
    struct team_member members[MOST_THREADS];
    pthread_t handles[MOST_THREADS];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    const unsigned wanted = threads < MOST_THREADS ? threads : MOST_THREADS;
    unsigned started = 1;
    if (wanted <= 1) {
        run_alone(work, context);
        return;
    }
    init_team(&team);
    pthread_mutex_lock(&gate);
    for (unsigned i = 0; i < wanted; i++)
        members[i] = (struct team_member){{.team = &team, .index = i}, work, context, &gate};
    while (started < wanted && pthread_create(&handles[started], NULL, run_team_member, &members[started]) == 0)
        started++;
    for (unsigned i = 0; i < started; i++) members[i].worker.size = started;
    pthread_mutex_unlock(&gate);
    work(context, &members[0].worker);
    for (unsigned i = 1; i < started; i++) pthread_join(handles[i], NULL);
    sinq_signal_destroy(&team.ticket);
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

void sinq_run_team(unsigned threads, sinq_team_fn *work, void *context) {
    struct sinq_team team;
    if (threads <= 1) {
        run_alone(work, context);
        return;
    }
    init_team(&team);
#pragma omp parallel num_threads(threads)
    {
        struct sinq_worker worker = {
            .team = &team, .index = (unsigned)omp_get_thread_num(), .size = (unsigned)omp_get_num_threads()};
        work(context, &worker);
    }
    sinq_signal_destroy(&team.ticket);
}

#else

void sinq_parallel_for(unsigned threads, uint64_t count, sinq_work_fn *work, void *context) {
    (void)threads;
    for (uint64_t item = 0; item < count; item++) work(context, item, 0);
}

void sinq_run_team(unsigned threads, sinq_team_fn *work, void *context) {
    (void)threads;
    run_alone(work, context);
}

#endif
