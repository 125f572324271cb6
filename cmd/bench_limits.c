/* bench_limits.c: what the machine could do, and how near a model comes to it. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "machine_memory.h"
#include "memory.h"

#define USUAL_BUFFER     ((uint64_t)1 << 30)
#define LARGEST_RESIDENT ((uint64_t)512 << 20) /* caches that are larger are not known of */

/* What was asked for, or as much as the library takes, but no more than a fraction of what there is. */
static uint64_t choose_buffer(const struct sinq_bench *bench) {
    const uint64_t available = sinq_available_memory();
    if (bench->arguments->buffer != 0) return bench->arguments->buffer;
    return available != 0 && available / 4 < USUAL_BUFFER ? available / 4 : USUAL_BUFFER;
}

int sinq_measure_machine(struct sinq_bench *bench, struct sinq_error *error) {
    const struct sinq_number_list *const threads = &bench->arguments->threads;
    struct sinq_limits_options options = {.buffer_bytes = choose_buffer(bench)};
    for (size_t i = 0; i < threads->count; i++) {
        if (threads->numbers[i] > options.threads) options.threads = threads->numbers[i];
    }
    int status = sinq_open_limit_probe(&options, &bench->probe, error);
    for (size_t i = 0; i < threads->count && status == SINQ_OK; i++) {
        status = sinq_probe_limits(bench->probe, threads->numbers[i], false, sinq_meter_report, &bench->meter,
                                   &bench->limits[i].machine, error);
    }
    return status;
}

int sinq_measure_resident(struct sinq_bench *bench, struct sinq_error *error) {
    const struct sinq_number_list *const threads = &bench->arguments->threads;
    const struct sinq_session_options session = sinq_read_bench_session(bench->arguments, 1);
    const struct sinq_work work = sinq_count_work(bench->model, &session, 0, 1, 1);
    const uint64_t bytes = (uint64_t)(work.weight_bytes + work.kv_bytes + work.other_bytes);
    int status = SINQ_OK;
    if (bytes > LARGEST_RESIDENT) return SINQ_OK;
    for (size_t i = 0; i < threads->count && status == SINQ_OK; i++) {
        const struct sinq_limits_options options = {
            .threads = threads->numbers[i], .buffer_bytes = bytes, .read_only = true};
        struct sinq_limits limits;
        status = sinq_measure_limits(&options, sinq_meter_report, &bench->meter, &limits, error);
        if (status == SINQ_OK) bench->limits[i].resident_bytes = limits.read_bytes;
    }
    return status;
}

static const struct sinq_bench_limits *find_limits(const struct sinq_bench *bench, unsigned threads) {
    const struct sinq_number_list *const list = &bench->arguments->threads;
    size_t i = 0;
    while (i + 1 < list->count && list->numbers[i] != threads) i++;
    return &bench->limits[i];
}

static enum sinq_limit choose_limit(const struct sinq_bench_case *measured) {
    if (measured->phase == SINQ_BENCH_DECODE) return SINQ_LIMIT_READ;
    return measured->work.int8_operations > measured->work.f32_operations ? SINQ_LIMIT_INT8 : SINQ_LIMIT_F32;
}

/* A token's part of what bounds it. */
static double count_amount(const struct sinq_bench_case *measured) {
    const struct sinq_work *const work = &measured->work;
    switch (choose_limit(measured)) {
    case SINQ_LIMIT_READ:
        return work->weight_bytes + work->kv_bytes + work->other_bytes;
    case SINQ_LIMIT_INT8:
        return work->int8_operations;
    default:
        return work->f32_operations;
    }
}

/* A device has limits of its own, which are not measured. */
static bool runs_here(const struct sinq_bench *bench) {
    return bench->facts.device == NULL || strcmp(bench->facts.device, "cpu") == 0;
}

double sinq_probe_bench_limit(const struct sinq_bench *bench, const struct sinq_bench_case *measured) {
    const struct sinq_bench_limits *const limits = find_limits(bench, measured->threads);
    const enum sinq_limit limit = choose_limit(measured);
    /* Reading would drive a small model out of the caches. */
    if (limit == SINQ_LIMIT_READ && limits->resident_bytes > 0) return 0;
    return bench->probe == NULL || !runs_here(bench) ? 0 : sinq_probe_limit(bench->probe, &limits->machine, limit);
}

static double find_paired(const struct sinq_bench *bench, const struct sinq_bench_case *found) {
    const unsigned repeat = bench->arguments->repeat;
    if (found->limits == NULL) return 0;
    double *const shares = sinq_allocate(repeat, sizeof *shares);
    for (unsigned i = 0; i < repeat; i++) {
        const double reached = found->rates[i] * count_amount(found);
        shares[i] = found->limits[i] > reached ? reached / found->limits[i] : 1;
    }
    const double median = sinq_find_spread(shares, repeat).median;
    free(shares);
    return median;
}

static double raise(double limit, double reached) { return limit != 0 && limit < reached ? reached : limit; }

struct sinq_bench_share sinq_find_bench_share(const struct sinq_bench *bench, const struct sinq_bench_case *found) {
    const struct sinq_bench_limits *const limits = find_limits(bench, found->threads);
    const struct sinq_limits *const machine = &limits->machine;
    const double of_machine[] = {[SINQ_LIMIT_READ] = machine->read_bytes,
                                 [SINQ_LIMIT_INT8] = machine->int8_operations,
                                 [SINQ_LIMIT_F32] = machine->f32_operations};
    const enum sinq_limit limit = choose_limit(found);
    const double reached = found->rate.median * count_amount(found);
    if (!runs_here(bench)) return (struct sinq_bench_share){.reached = reached};
    return (struct sinq_bench_share){
        .reached = reached,
        .limit = raise(of_machine[limit], reached),
        .resident_limit = limit == SINQ_LIMIT_READ ? raise(limits->resident_bytes, reached) : 0,
        .paired = find_paired(bench, found),
    };
}
