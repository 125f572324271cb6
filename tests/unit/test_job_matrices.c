/* Matrices that are read, quantized and written at once: whatever fails, the output is that of one after the other. */
#include <math.h>
#include <stdio.h>

#include "checkpoint/sink.h"
#include "memory_source.h"
#include "unit.h"

enum { TENSORS = 6, STACK = 3, ROWS = 64, COLS = 96, NEVER = 99, MOST_THREADS = 4 };

static const char *const names[TENSORS] = {
    "model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.experts.down_proj",
    "model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight",
    "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.up_proj.weight",
};

/* A sink that remembers what it was told, and fails at a tensor's `fail_at`th write. */
struct record {
    struct sinq_sink base;
    size_t begun, ended;
    uint64_t hash[TENSORS], bytes[TENSORS];
    char notes[TENSORS][400];
    size_t fail_at; /* tensor */
    bool is_open, is_misused, is_committed, is_suspended;
};

static struct record *to_record(struct sinq_sink *sink) { return (struct record *)(void *)sink; }

static int begin(struct sinq_sink *sink, const struct sinq_sink_plan *plan, size_t *finished,
                 struct sinq_error *error) {
    (void)sink, (void)error;
    ck_assert_uint_eq(plan->count, TENSORS);
    *finished = 0;
    return SINQ_OK;
}

static int begin_tensor(struct sinq_sink *sink, size_t index, struct sinq_error *error) {
    struct record *const record = to_record(sink);
    (void)error;
    record->is_misused |= record->is_open || index != record->begun;
    record->is_open = true;
    record->begun++;
    return SINQ_OK;
}

static int write_bytes_to(struct sinq_sink *sink, const void *bytes, uint64_t size, struct sinq_error *error) {
    struct record *const record = to_record(sink);
    const size_t tensor = record->begun - 1;
    record->is_misused |= !record->is_open;
    if (tensor == record->fail_at) return sinq_fail(error, SINQ_FAILED, "record: full at tensor %zu", tensor);
    const uint8_t *const from = bytes;
    for (uint64_t i = 0; i < size; i++) record->hash[tensor] = (record->hash[tensor] ^ from[i]) * 0x100000001b3u;
    record->bytes[tensor] += size;
    return SINQ_OK;
}

static int end_tensor(struct sinq_sink *sink, const char *note, struct sinq_error *error) {
    struct record *const record = to_record(sink);
    (void)error;
    record->is_misused |= !record->is_open;
    record->is_open = false;
    (void)snprintf(record->notes[record->ended++], sizeof record->notes[0], "%s", note);
    return SINQ_OK;
}

static const char *get_note(const struct sinq_sink *sink, size_t index) {
    (void)sink, (void)index;
    return NULL;
}

static int suspend(struct sinq_sink *sink, struct sinq_error *error) {
    (void)error;
    to_record(sink)->is_suspended = true;
    return SINQ_OK;
}

static int commit(struct sinq_sink *sink, const struct sinq_sink_final *final, sinq_progress_fn *progress, void *user,
                  struct sinq_error *error) {
    (void) final, (void)progress, (void)user, (void)error;
    to_record(sink)->is_committed = true;
    return SINQ_OK;
}

static const struct sinq_sink_ops record_ops = {.begin = begin,
                                                .begin_tensor = begin_tensor,
                                                .write = write_bytes_to,
                                                .end_tensor = end_tensor,
                                                .note = get_note,
                                                .suspend = suspend,
                                                .commit = commit};

static struct memory_source *make_source(void) {
    static float values[STACK * ROWS * COLS];
    struct memory_source *const memory = create_memory("made-up");
    uint32_t state = 7;
    for (size_t i = 0; i < TENSORS; i++) {
        const uint64_t shape[3] = {STACK, ROWS, COLS};
        const bool is_stack = i == 1;
        for (size_t k = 0; k < STACK * ROWS * COLS; k++) {
            state = state * 1664525u + 1013904223u;
            values[k] = ((float)(state >> 8) / 16777216.0f - 0.5f) * 0.1f;
        }
        if (i == 4) values[5] = values[77] = INFINITY;
        add_tensor(memory, names[i], SINQ_F32, is_stack ? 3 : 2, is_stack ? shape : shape + 1, values,
                   (size_t)(is_stack ? STACK : 1) * ROWS * COLS * sizeof *values);
    }
    return memory;
}

struct stop {
    size_t at;
    const char *activity;
};

static int stop_at(void *user, const struct sinq_progress *progress) {
    const struct stop *const stop = user;
    return strcmp(progress->activity, "quantizing") == 0 && progress->item == stop->at;
}

static int run(unsigned threads, int64_t unreadable, size_t unwritable, size_t stopped, bool replaces,
               struct record *record, struct sinq_error *error) {
    struct memory_source *const memory = make_source();
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_recipe *recipe = NULL;
    struct sinq_quantize_summary summary;
    struct stop stop = {.at = stopped};
    options.threads = threads;
    options.replace_nonfinite = replaces;
    *record = (struct record){.base = {.ops = &record_ops}, .fail_at = unwritable};
    ck_assert_int_eq(sinq_make_recipe(&memory->base, &options, &recipe, error), SINQ_OK);
    memory->fail_at = unreadable;
    const int status = sinq_quantize(&memory->base, recipe, &record->base, stop_at, &stop, &summary, error);
    sinq_recipe_free(recipe);
    close_memory(&memory->base);
    ck_assert_msg(!record->is_misused, "the sink was called out of turn");
    ck_assert_int_eq(record->is_committed, status == SINQ_OK);
    ck_assert_int_eq(record->is_suspended, status != SINQ_OK);
    return status;
}

static struct record expected;

static void expect_first(const struct record *found, size_t count, unsigned threads) {
    ck_assert_msg(found->ended == count, "-t %u: %zu tensors are whole, expected %zu", threads, found->ended, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(found->hash[i] == expected.hash[i] && found->bytes[i] == expected.bytes[i],
                      "-t %u: other bytes of tensor %zu", threads, i);
        ck_assert_str_eq(found->notes[i], expected.notes[i]);
    }
}

START_TEST(any_number_of_threads_writes_the_same_in_the_same_order) {
    struct sinq_error error;
    for (unsigned threads = 1; threads <= MOST_THREADS; threads++) {
        struct record record;
        ck_assert_int_eq(run(threads, -1, NEVER, NEVER, true, &record, &error), SINQ_OK);
        if (threads == 1) expected = record;
        expect_first(&record, TENSORS, threads);
    }
    /* Replaced values are counted where they were. */
    for (size_t i = 0; i < TENSORS; i++) {
        ck_assert_ptr_nonnull(strstr(expected.notes[i], i == 4 ? "\"nonfinite\":2" : "\"nonfinite\":0"));
    }
}
END_TEST

START_TEST(what_comes_before_a_failure_is_kept) {
    struct sinq_error error;
    struct record record;
    ck_assert_int_eq(run(1, -1, NEVER, NEVER, true, &expected, &error), SINQ_OK);
    for (unsigned threads = 1; threads <= MOST_THREADS; threads++) {
        for (size_t at = 0; at < TENSORS; at++) {
            ck_assert_int_eq(run(threads, (int64_t)at, NEVER, NEVER, true, &record, &error), SINQ_FAILED);
            ck_assert_ptr_nonnull(strstr(error.message, "cannot be read"));
            expect_first(&record, at, threads);
            ck_assert_int_eq(run(threads, -1, at, NEVER, true, &record, &error), SINQ_FAILED);
            ck_assert_ptr_nonnull(strstr(error.message, "record: full"));
            expect_first(&record, at, threads);
            ck_assert_int_eq(run(threads, -1, NEVER, at, true, &record, &error), SINQ_INTERRUPTED);
            expect_first(&record, at, threads);
        }
        ck_assert_int_eq(run(threads, -1, NEVER, NEVER, false, &record, &error), SINQ_FAILED);
        ck_assert_ptr_nonnull(strstr(error.message, "row 0, column 5 is not finite"));
        expect_first(&record, 4, threads);
    }
}
END_TEST

UNIT_MAIN("matrices of a job", any_number_of_threads_writes_the_same_in_the_same_order,
          what_comes_before_a_failure_is_kept)
