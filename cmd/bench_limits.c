/* bench_limits.c: what the machine could do, and how near a model comes to it. */
#include "bench.h"

#include "machine_memory.h"

#define USUAL_BUFFER     ((uint64_t)1 << 30)
#define LARGEST_RESIDENT ((uint64_t)512 << 20) /* caches that are larger are not known of */

static int measure(struct sinq_bench *bench, const struct sinq_limits_options *options, struct sinq_limits *limits,
                   struct sinq_error *error) {
    return sinq_measure_limits(options, sinq_meter_report, &bench->meter, limits, error);
}

/* What was asked for, or as much as the library takes, but no more than a fraction of what there is. */
static uint64_t choose_buffer(const struct sinq_bench *bench) {
    const uint64_t available = sinq_available_memory();
    if (bench->arguments->buffer != 0) return bench->arguments->buffer;
    return available != 0 && available / 4 < USUAL_BUFFER ? available / 4 : USUAL_BUFFER;
}

int sinq_measure_machine(struct sinq_bench *bench, struct sinq_error *error) {
    const struct sinq_number_list *const threads = &bench->arguments->threads;
    int status = SINQ_OK;
    for (size_t i = 0; i < threads->count && status == SINQ_OK; i++) {
        const struct sinq_limits_options options = {.threads = threads->numbers[i],
                                                    .buffer_bytes = choose_buffer(bench)};
        status = measure(bench, &options, &bench->limits[i].machine, error);
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
        status = measure(bench, &options, &limits, error);
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

static double raise(double limit, double reached) { return limit != 0 && limit < reached ? reached : limit; }

struct sinq_bench_share sinq_find_bench_share(const struct sinq_bench *bench, const struct sinq_bench_case *found) {
    const struct sinq_bench_limits *const limits = find_limits(bench, found->threads);
    const struct sinq_work *const work = &found->work;
    struct sinq_bench_share share = {0};
    if (found->phase == SINQ_BENCH_DECODE) {
        share.reached = found->rate.median * (work->weight_bytes + work->kv_bytes + work->other_bytes);
        share.limit = raise(limits->machine.read_bytes, share.reached);
        share.resident_limit = raise(limits->resident_bytes, share.reached);
    } else if (work->int8_operations > work->f32_operations) {
        share.reached = found->rate.median * work->int8_operations;
        share.limit = raise(limits->machine.int8_operations, share.reached);
    } else {
        share.reached = found->rate.median * work->f32_operations;
        share.limit = raise(limits->machine.f32_operations, share.reached);
    }
    return share;
}
