/* limits.c: what the machine can do at most: reading memory, multiplying int8 and f32. Loops that do nothing else, the best of each. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/huge_memory.h"
#include "base/parallel.h"
#include "base/random_fill.h"
#include "kernels/limits.h"

#define DEFAULT_BUFFER ((uint64_t)1 << 30)
#define LEAST_SECONDS  0.02 /* of one measurement: threads have begun and ended within a fraction of it */
#define MULTIPLY_LOOPS 4
#define MEASUREMENTS   3 /* more of the loops that were best at first */
#define PROBES         5 /* of a probe, of which the median counts */
#define FILL_BYTES     ((uint64_t)1 << 20)

/* One loop, run by all threads at once. */
struct loop {
    const struct sinq_limit_kernels *kernels;
    enum sinq_limit kind;
    const uint8_t *data;
    uint64_t bytes; /* to read */
    uint64_t part;  /* bytes that a thread takes at a time; 0: all of its share at once */
    struct sinq_read_way way;
    uint64_t rounds;       /* of all of it */
    double amount;         /* bytes or operations of a round, of one thread where it multiplies */
    _Atomic uint64_t sink; /* where results go */
};

struct measurement {
    struct loop loop;
    unsigned threads;
    sinq_progress_fn *progress;
    void *user;
    unsigned done, count; /* loops */
};

struct sinq_limit_probe {
    uint8_t *buffer, *operands;
    uint64_t bytes; /* of the buffer */
};

/* ---- loops ---- */

static uint64_t read_share(const struct loop *loop, struct sinq_worker *worker) {
    const uint64_t units = loop->bytes / SINQ_LIMIT_READ_BYTES;
    const uint64_t first = units * worker->index / worker->size, end = units * (worker->index + 1) / worker->size;
    return loop->kernels->read(loop->data + first * SINQ_LIMIT_READ_BYTES,
                               (size_t)((end - first) * SINQ_LIMIT_READ_BYTES), loop->way);
}

static uint64_t read_parts(const struct loop *loop, struct sinq_worker *worker) {
    const uint64_t count = sinq_divide_up(loop->bytes, loop->part);
    uint64_t found = 0;
    for (uint64_t i; sinq_take_item(worker, count, &i);) {
        const uint64_t at = i * loop->part, size = sinq_min_u64(loop->part, loop->bytes - at);
        found ^= loop->kernels->read(loop->data + at, (size_t)size, loop->way);
    }
    sinq_meet(worker, count);
    return found;
}

static void run_loop(void *context, struct sinq_worker *worker) {
    struct loop *const loop = context;
    uint64_t found = 0;
    if (loop->kind == SINQ_LIMIT_INT8) {
        found = (uint64_t)loop->kernels->multiply_int8(loop->data, (size_t)loop->rounds);
    } else if (loop->kind == SINQ_LIMIT_F32) {
        const float *const values = (const float *)(const void *)(loop->data + SINQ_LIMIT_DATA_BYTES);
        found = loop->kernels->multiply_f32(values, (size_t)loop->rounds) > 0;
    }
    for (uint64_t i = 0; loop->kind == SINQ_LIMIT_READ && i < loop->rounds; i++)
        found ^= loop->part == 0 ? read_share(loop, worker) : read_parts(loop, worker);
    loop->sink ^= found;
}

static double time_loop(struct measurement *measurement) {
    const double start = sinq_read_clock();
    sinq_run_team(measurement->threads, run_loop, &measurement->loop);
    return sinq_read_clock() - start;
}

/* The rate of the loop as it is set up: of as many rounds as take the time. */
static double rate_loop(struct measurement *measurement) {
    struct loop *const loop = &measurement->loop;
    const double threads = loop->kind == SINQ_LIMIT_READ ? 1 : measurement->threads;
    double seconds;
    for (loop->rounds = 1; (seconds = time_loop(measurement)) < LEAST_SECONDS;) {
        const double factor = 1.2 * LEAST_SECONDS / (seconds > 1e-6 ? seconds : 1e-6);
        loop->rounds = (uint64_t)((double)loop->rounds * (factor > 2 ? factor : 2));
    }
    return threads * loop->amount * (double)loop->rounds / seconds;
}

/* Raises *best to it. */
static int measure_loop(struct measurement *measurement, double *best, struct sinq_error *error) {
    const struct sinq_progress progress = {.activity = "measuring the machine",
                                           .bytes = measurement->done++,
                                           .bytes_total = measurement->count,
                                           .unit = "loops"};
    if (measurement->progress != NULL && measurement->progress(measurement->user, &progress) != 0) {
        return sinq_fail(error, SINQ_INTERRUPTED, "interrupted");
    }
    const double rate = rate_loop(measurement);
    if (rate > *best) *best = rate;
    return SINQ_OK;
}

/* ---- what is measured ---- */

static const struct sinq_read_way ways[] = {
    {0, false, false},   {2048, false, false}, {4096, false, false}, {8192, false, false}, {16384, false, false},
    {4096, true, false}, {8192, true, false},  {0, false, true},     {512, false, true},   {1024, false, true},
};
static const uint64_t parts[] = {0, (uint64_t)1 << 20};
enum { WAYS = sizeof ways / sizeof ways[0], READ_LOOPS = WAYS * (sizeof parts / sizeof parts[0]) };

static void choose_loop(const struct sinq_limit_probe *probe, enum sinq_limit kind, unsigned reading,
                        struct loop *loop) {
    const struct sinq_limit_kernels *const kernels = sinq_get_limit_kernels();
    *loop = (struct loop){
        .kernels = kernels,
        .kind = kind,
        .data = kind == SINQ_LIMIT_READ ? probe->buffer : probe->operands,
        .bytes = probe->bytes,
        .part = parts[reading / WAYS],
        .way = ways[reading % WAYS],
        .amount = kind == SINQ_LIMIT_READ   ? (double)probe->bytes
                  : kind == SINQ_LIMIT_INT8 ? kernels->int8_operations
                                            : kernels->f32_operations,
    };
}

/* Each loop once, then the best one again. */
static int measure_reading(const struct sinq_limit_probe *probe, struct measurement *measurement,
                           struct sinq_limits *limits, struct sinq_error *error) {
    int status = SINQ_OK;
    for (unsigned i = 0; i < READ_LOOPS && status == SINQ_OK; i++) {
        const double before = limits->read_bytes;
        choose_loop(probe, SINQ_LIMIT_READ, i, &measurement->loop);
        status = measure_loop(measurement, &limits->read_bytes, error);
        if (limits->read_bytes > before) limits->read_loop = i;
    }
    choose_loop(probe, SINQ_LIMIT_READ, limits->read_loop, &measurement->loop);
    for (int i = 0; i < MEASUREMENTS && status == SINQ_OK; i++) {
        status = measure_loop(measurement, &limits->read_bytes, error);
    }
    return status;
}

/* Codes of seven bits, then floats between 0 and 1/4096. */
static void fill_operands(uint8_t *data) {
    float *const values = (float *)(void *)(data + SINQ_LIMIT_DATA_BYTES);
    sinq_fill_random(1, data, 2 * SINQ_LIMIT_DATA_BYTES);
    for (size_t i = 0; i < SINQ_LIMIT_DATA_BYTES; i++) data[i] &= 0x7f;
    for (size_t i = 0; i < SINQ_LIMIT_DATA_BYTES / sizeof *values; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        values[i] = (float)(bits >> 8) * 0x1p-36f;
    }
}

static int measure_multiplying(const struct sinq_limit_probe *probe, enum sinq_limit kind,
                               struct measurement *measurement, double *best, struct sinq_error *error) {
    int status = SINQ_OK;
    choose_loop(probe, kind, 0, &measurement->loop);
    for (int i = 0; i < MULTIPLY_LOOPS && status == SINQ_OK; i++) status = measure_loop(measurement, best, error);
    return status;
}

/* ---- the buffer ---- */

struct fill {
    uint8_t *data;
    uint64_t bytes;
};

static void fill_part(void *context, uint64_t item, unsigned worker) {
    const struct fill *const fill = context;
    const uint64_t at = item * FILL_BYTES;
    (void)worker;
    sinq_fill_random(item + 1, fill->data + at, (size_t)sinq_min_u64(FILL_BYTES, fill->bytes - at));
}

static unsigned choose_threads(unsigned wanted) { return wanted != 0 ? wanted : sinq_count_processors(); }

int sinq_open_limit_probe(const struct sinq_limits_options *options, struct sinq_limit_probe **opened,
                          struct sinq_error *error) {
    const unsigned threads = choose_threads(options->threads);
    const uint64_t wanted = options->buffer_bytes != 0 ? options->buffer_bytes : DEFAULT_BUFFER;
    const uint64_t bytes = sinq_max_u64(wanted / SINQ_LIMIT_READ_BYTES, threads) * SINQ_LIMIT_READ_BYTES;
    struct sinq_limit_probe *const probe = calloc(1, sizeof *probe);
    *opened = probe;
    if (probe == NULL) return sinq_fail_memory(error, "a probe", sizeof *probe);
    probe->bytes = bytes;
    probe->buffer = sinq_map_memory(bytes);
    if (probe->buffer == NULL) return sinq_fail_memory(error, "measuring how fast memory is read", bytes);
    probe->operands = aligned_alloc(64, 2 * SINQ_LIMIT_DATA_BYTES);
    if (probe->operands == NULL) return sinq_fail_memory(error, "operands", 2 * SINQ_LIMIT_DATA_BYTES);
    struct fill fill = {.data = probe->buffer, .bytes = bytes};
    sinq_parallel_for(threads, sinq_divide_up(bytes, FILL_BYTES), fill_part, &fill);
    fill_operands(probe->operands);
    return SINQ_OK;
}

int sinq_probe_limits(struct sinq_limit_probe *probe, unsigned threads, bool read_only, sinq_progress_fn *progress,
                      void *user, struct sinq_limits *limits, struct sinq_error *error) {
    struct measurement measurement = {.threads = choose_threads(threads),
                                      .progress = progress,
                                      .user = user,
                                      .count = READ_LOOPS + MEASUREMENTS + (read_only ? 0 : 2 * MULTIPLY_LOOPS)};
    *limits = (struct sinq_limits){.threads = measurement.threads, .buffer_bytes = probe->bytes};
    int status = measure_reading(probe, &measurement, limits, error);
    if (read_only || status != SINQ_OK) return status;
    status = measure_multiplying(probe, SINQ_LIMIT_INT8, &measurement, &limits->int8_operations, error);
    if (status != SINQ_OK) return status;
    return measure_multiplying(probe, SINQ_LIMIT_F32, &measurement, &limits->f32_operations, error);
}

double sinq_probe_limit(struct sinq_limit_probe *probe, const struct sinq_limits *limits, enum sinq_limit limit) {
    struct measurement measurement = {.threads = limits->threads};
    double rates[PROBES];
    choose_loop(probe, limit, limits->read_loop, &measurement.loop);
    (void)rate_loop(&measurement); /* a first run after other work is 5 % slower, and more */
    for (int i = 0; i < PROBES; i++) {
        const double rate = rate_loop(&measurement);
        int at = i;
        for (; at > 0 && rates[at - 1] > rate; at--) rates[at] = rates[at - 1];
        rates[at] = rate;
    }
    return rates[PROBES / 2];
}

void sinq_limit_probe_close(struct sinq_limit_probe *probe) {
    if (probe == NULL) return;
    sinq_unmap_memory(probe->buffer, probe->bytes);
    free(probe->operands);
    free(probe);
}

int sinq_measure_limits(const struct sinq_limits_options *options, sinq_progress_fn *progress, void *user,
                        struct sinq_limits *limits, struct sinq_error *error) {
    struct sinq_limit_probe *probe = NULL;
    int status = sinq_open_limit_probe(options, &probe, error);
    if (status == SINQ_OK) {
        status = sinq_probe_limits(probe, options->threads, options->read_only, progress, user, limits, error);
    }
    sinq_limit_probe_close(probe);
    return status;
}
