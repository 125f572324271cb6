/* bench_measure.c: runs a model and looks at the clock. Tokens are made up; each repetition does what `sinq run` would. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "memory.h"
#include "terminal.h"

#define MOST_ENTRIES 64u /* of a profile */

/* A session of one number of threads, and what steps need besides. */
struct runner {
    struct sinq_bench *bench;
    unsigned threads;
    struct sinq_session_options options;
    struct sinq_session *session;
    struct sinq_sampler *sampler;
    float *logits;
    int32_t *tokens; /* of a whole context */
    double choosing; /* seconds, with --profile */
};

static int check_interrupt(struct sinq_error *error) {
    if (sinq_caught_signal() == 0) return SINQ_OK;
    error->status = SINQ_INTERRUPTED;
    snprintf(error->message, sizeof error->message, "interrupted");
    return SINQ_INTERRUPTED;
}

/* ---- opening ---- */

/* Any tokens, all different for a while, so that experts are chosen as they come. */
static void make_up_tokens(int32_t *tokens, uint64_t count, uint32_t vocabulary) {
    uint32_t state = 1;
    for (uint64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((state >> 8) % vocabulary);
    }
}

static int open_runner(struct sinq_bench *bench, unsigned threads, struct runner *runner, struct sinq_error *error) {
    struct sinq_sampling sampling = sinq_default_sampling();
    sampling.temperature = 0;
    *runner = (struct runner){
        .bench = bench, .threads = threads, .options = sinq_read_bench_session(bench->arguments, threads)};
    int status = sinq_open_session(bench->model, &runner->options, &runner->session, error);
    if (status == SINQ_OK) status = sinq_open_sampler(&sampling, bench->facts.vocabulary, &runner->sampler, error);
    runner->logits = sinq_allocate(bench->facts.vocabulary, sizeof *runner->logits);
    runner->tokens = sinq_allocate(runner->options.context, sizeof *runner->tokens);
    make_up_tokens(runner->tokens, runner->options.context, bench->facts.vocabulary);
    return status;
}

static void close_runner(struct runner *runner) {
    sinq_session_close(runner->session);
    sinq_sampler_close(runner->sampler);
    free(runner->logits);
    free(runner->tokens);
}

/* ---- steps ---- */

/* The tokens of positions up to `end`, batch by batch. Adds what that takes to *work, which may be NULL. */
static int feed_to(struct runner *runner, uint64_t end, struct sinq_error *error) {
    const uint64_t batch = sinq_session_batch(runner->session);
    int status = SINQ_OK;
    for (uint64_t at; status == SINQ_OK && (at = sinq_session_position(runner->session)) < end;) {
        const uint64_t piece = end - at < batch ? end - at : batch;
        status = sinq_session_feed(runner->session, runner->tokens + at, (size_t)piece, error);
        if (status == SINQ_OK) status = check_interrupt(error);
    }
    return status;
}

/* The best token behind what was fed last. */
static int choose_token(struct runner *runner, struct sinq_error *error) {
    const uint32_t rows = sinq_session_rows(runner->session);
    const uint64_t position = sinq_session_position(runner->session);
    int32_t token;
    if (!runner->options.profile) {
        return sinq_session_choose(runner->session, rows - 1, runner->sampler, runner->tokens, (size_t)position,
                                   runner->logits, &token, error);
    }
    const int status = sinq_session_logits(runner->session, rows - 1, 1, runner->logits, error);
    if (status != SINQ_OK) return status;
    const double start = sinq_now();
    (void)sinq_sample(runner->sampler, runner->logits, runner->tokens, (size_t)position);
    runner->choosing += sinq_now() - start;
    return SINQ_OK;
}

/* What one repetition measures. The token that is fed next is made up: those of made-up weights may be all the same. */
static int run_phase(struct runner *runner, const struct sinq_bench_case *measured, struct sinq_error *error) {
    int status = SINQ_OK;
    if (measured->phase == SINQ_BENCH_PROMPT) {
        status = feed_to(runner, measured->tokens, error);
        return status == SINQ_OK ? choose_token(runner, error) : status;
    }
    for (unsigned i = 1; i <= measured->tokens && status == SINQ_OK; i++) {
        status = feed_to(runner, (uint64_t)measured->depth + i, error);
        if (status == SINQ_OK) status = choose_token(runner, error);
    }
    return status;
}

/* Back to where a repetition begins. */
static int prepare_phase(struct runner *runner, const struct sinq_bench_case *measured, struct sinq_error *error) {
    if (measured->phase == SINQ_BENCH_PROMPT || measured->depth == 0) {
        sinq_session_reset(runner->session);
        return SINQ_OK;
    }
    (void)sinq_session_rewind(runner->session, measured->depth);
    return feed_to(runner, measured->depth, error);
}

/* ---- cases ---- */

static void add_work(struct sinq_work *sum, const struct sinq_work *work, double share) {
    sum->weight_bytes += share * work->weight_bytes;
    sum->kv_bytes += share * work->kv_bytes;
    sum->other_bytes += share * work->other_bytes;
    sum->int8_operations += share * work->int8_operations;
    sum->f32_operations += share * work->f32_operations;
    sum->attention_operations += share * work->attention_operations;
}

/* Of a token, on average over a repetition. */
static void count_work(const struct runner *runner, struct sinq_bench_case *measured) {
    const bool is_prompt = measured->phase == SINQ_BENCH_PROMPT;
    const uint64_t end = measured->depth + measured->tokens;
    const uint64_t batch = is_prompt ? sinq_session_batch(runner->session) : 1;
    for (uint64_t at = measured->depth; at < end;) {
        const uint64_t piece = end - at < batch ? end - at : batch;
        const uint32_t rows = !is_prompt || at + piece == end ? 1 : 0;
        const struct sinq_work work =
            sinq_count_work(runner->bench->model, &runner->options, at, (uint32_t)piece, rows);
        add_work(&measured->work, &work, 1.0 / measured->tokens);
        at += piece;
    }
}

static size_t count_cases(const struct sinq_bench_arguments *arguments) {
    size_t count = arguments->predict > 0 ? arguments->depths.count : 0;
    for (size_t i = 0; i < arguments->prompts.count; i++) count += arguments->prompts.numbers[i] > 0;
    return count * arguments->threads.count;
}

static const char *name_case(char name[80], const struct sinq_bench_case *measured) {
    const bool is_prompt = measured->phase == SINQ_BENCH_PROMPT;
    snprintf(name, 80, "%s %u, %u thread%s", is_prompt ? "prompt of" : "decoding at",
             is_prompt ? measured->tokens : measured->depth, measured->threads, measured->threads == 1 ? "" : "s");
    return name;
}

/* ---- profiles ---- */

/* What was done so far does not count. */
static void begin_profile(struct runner *runner) {
    (void)sinq_session_profile(runner->session, NULL, 0);
    runner->choosing = 0;
}

/* Adds what a repetition took. */
static void add_profile(struct runner *runner, double seconds, struct sinq_bench_case *measured) {
    const double share = 1.0 / ((double)measured->tokens * runner->bench->arguments->repeat);
    struct sinq_profile_entry entries[MOST_ENTRIES];
    const size_t found = sinq_session_profile(runner->session, entries, MOST_ENTRIES);
    if (found == 0) return;
    measured->profile_count = found < MOST_ENTRIES ? found : MOST_ENTRIES;
    if (measured->profile == NULL) measured->profile = sinq_allocate(MOST_ENTRIES, sizeof *measured->profile);
    for (size_t i = 0; i < measured->profile_count; i++) {
        entries[i].seconds = measured->profile[i].seconds + share * entries[i].seconds;
        measured->profile[i] = entries[i];
    }
    measured->choosing += share * runner->choosing;
    measured->total += share * seconds;
}

/* ---- measuring ---- */

/* The first time is to warm up: it does not count. */
static int measure_case(struct runner *runner, struct sinq_bench_case measured, struct sinq_error *error) {
    struct sinq_bench *const bench = runner->bench;
    const unsigned repeat = bench->arguments->repeat;
    char name[80];
    int status = SINQ_OK;
    count_work(runner, &measured);
    measured.rates = sinq_allocate(repeat, sizeof *measured.rates);
    measured.limits = sinq_allocate(repeat, sizeof *measured.limits);
    for (unsigned i = 0; i <= repeat && status == SINQ_OK; i++) {
        const struct sinq_progress progress = {.activity = "measuring",
                                               .name = name_case(name, &measured),
                                               .item = bench->case_count,
                                               .items = count_cases(bench->arguments),
                                               .bytes = i,
                                               .bytes_total = repeat + 1,
                                               .unit = "repetitions"};
        (void)sinq_meter_report(&bench->meter, &progress);
        status = prepare_phase(runner, &measured, error);
        begin_profile(runner);
        const double start = sinq_now();
        if (status == SINQ_OK) status = run_phase(runner, &measured, error);
        const double seconds = sinq_now() - start;
        if (i == 0) continue;
        measured.rates[i - 1] = seconds > 0 ? measured.tokens / seconds : 0;
        measured.limits[i - 1] = sinq_probe_bench_limit(bench, &measured);
        add_profile(runner, seconds, &measured);
    }
    measured.rate = sinq_find_spread(measured.rates, repeat);
    if (measured.limits[repeat - 1] == 0) {
        free(measured.limits);
        measured.limits = NULL;
    }
    sinq_reserve(&bench->cases, &bench->case_capacity, bench->case_count + 1, sizeof *bench->cases);
    bench->cases[bench->case_count++] = measured;
    return status;
}

static int measure_with(struct sinq_bench *bench, unsigned threads, struct sinq_error *error) {
    const struct sinq_number_list *const prompts = &bench->arguments->prompts, *const depths =
                                                                                   &bench->arguments->depths;
    const unsigned predict = bench->arguments->predict;
    struct runner runner;
    int status = open_runner(bench, threads, &runner, error);
    for (size_t i = 0; i < prompts->count && status == SINQ_OK; i++) {
        const struct sinq_bench_case measured = {
            .phase = SINQ_BENCH_PROMPT, .threads = threads, .tokens = prompts->numbers[i]};
        if (measured.tokens > 0) status = measure_case(&runner, measured, error);
    }
    for (size_t i = 0; predict > 0 && i < depths->count && status == SINQ_OK; i++) {
        const struct sinq_bench_case measured = {
            .phase = SINQ_BENCH_DECODE, .threads = threads, .tokens = predict, .depth = depths->numbers[i]};
        status = measure_case(&runner, measured, error);
    }
    close_runner(&runner);
    return status;
}

int sinq_measure_cases(struct sinq_bench *bench, struct sinq_error *error) {
    const struct sinq_number_list *const threads = &bench->arguments->threads;
    int status = SINQ_OK;
    for (size_t i = 0; i < threads->count && status == SINQ_OK; i++)
        status = measure_with(bench, threads->numbers[i], error);
    return status;
}
