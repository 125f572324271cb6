/* bench.h: what the files of `sinq bench` share: its arguments, and what it measures. */
#ifndef SINQ_CMD_BENCH_H
#define SINQ_CMD_BENCH_H

#include "json.h"
#include "options.h"
#include "progress.h"
#include "spread.h"

struct sinq_bench_arguments {
    struct sinq_common_options common; /* its threads are the list's first where that is not given */
    const char *shape;
    struct sinq_number_list prompts, depths, threads;
    unsigned predict, repeat, batch;
    const char *bits, *group_size, *method, *recipe, *scale_type, *head_bits;
    const char *kv, *device;
    bool exact, small_pages;
    bool no_limits, profile;
    uint64_t buffer; /* 0: the library's */
    uint64_t gpu_memory;
};

/* bench_options.c: the table, its defaults, and what the library is told. */
extern const struct sinq_option sinq_bench_options[];
extern const struct sinq_bench_arguments sinq_default_bench_arguments;
/* NULL, or why these options cannot be together. */
const char *sinq_find_bench_conflict(const struct sinq_bench_arguments *arguments, bool has_model);
/* Lists that were not given get their defaults. */
void sinq_complete_bench_arguments(struct sinq_bench_arguments *arguments);
struct sinq_quantize_options sinq_read_bench_quantizing(const struct sinq_bench_arguments *arguments);
struct sinq_session_options sinq_read_bench_session(const struct sinq_bench_arguments *arguments, unsigned threads);

/* One phase at one number of threads. */
struct sinq_bench_case {
    enum sinq_bench_phase { SINQ_BENCH_PROMPT, SINQ_BENCH_DECODE } phase;
    unsigned threads, tokens, depth; /* tokens of a repetition; depth: positions before them */
    struct sinq_spread rate;         /* tokens a second */
    double *rates;                   /* of each repetition, in order */
    double *limits;                  /* what the machine could do right after each, a second; NULL: not measured */
    struct sinq_work work;           /* of a token, on average */
    /* With --profile: seconds of a token, on average; `total` is all of it, `choosing` the sampler's. */
    struct sinq_profile_entry *profile;
    size_t profile_count;
    double choosing, total;
};

/* What the machine can do with one number of threads. */
struct sinq_bench_limits {
    struct sinq_limits machine;
    double
        resident_bytes; /* read a second from a buffer as large as what a token reads; 0 where that is larger than caches */
};

struct sinq_bench {
    const struct sinq_bench_arguments *arguments;
    struct sinq_source *source; /* NULL: only limits are measured */
    struct sinq_model *model;
    struct sinq_model_facts facts;
    uint64_t context;    /* of sessions */
    double load_seconds; /* from the path to a model that can run; made-up weights are there before */
    struct sinq_bench_limits limits[SINQ_MOST_NUMBERS]; /* one a number of threads */
    struct sinq_limit_probe *probe;                     /* of them all; NULL with --no-limits */
    struct sinq_bench_case *cases;
    size_t case_count, case_capacity;
    struct sinq_meter meter;
};

/* bench_limits.c: fills limits, of the machine before there is a model, and of what stays in caches after. */
int sinq_measure_machine(struct sinq_bench *bench, struct sinq_error *error);
int sinq_measure_resident(struct sinq_bench *bench, struct sinq_error *error);
/*
 * What a repetition that has just been measured is held to; 0 where that would disturb the next one, there are no limits, or the
 * model runs on a device, to which the processor's do not apply.
 */
double sinq_probe_bench_limit(const struct sinq_bench *bench, const struct sinq_bench_case *measured);
/*
 * The limit that a case is held to: bytes a second at decode, operations at a prompt. Never below what the case itself reaches; 0: not measured.
 * `paired` is the median of each repetition's share of the limit that was measured right after it, 1 at most; 0: not measured.
 */
struct sinq_bench_share {
    double reached, limit, resident_limit, paired; /* resident_limit is 0 where it does not apply */
};
struct sinq_bench_share sinq_find_bench_share(const struct sinq_bench *bench, const struct sinq_bench_case *found);

/* bench_measure.c: all cases. */
int sinq_measure_cases(struct sinq_bench *bench, struct sinq_error *error);

/* bench_profile.c: where a token's time went, in parts, the largest first. */
struct sinq_bench_part {
    const char *name;
    double seconds;
};
size_t sinq_list_bench_parts(const struct sinq_bench_case *found, struct sinq_bench_part **parts); /* free them */
void sinq_report_bench_profiles(const struct sinq_bench *bench);
void sinq_write_bench_profile(struct sinq_json_writer *json, const struct sinq_bench_case *found);

/* bench_report.c: on stdout, for people and as JSON. */
void sinq_report_bench(const struct sinq_bench *bench);
void sinq_report_bench_json(const struct sinq_bench *bench);

#endif
