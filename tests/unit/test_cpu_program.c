/*
 * test_cpu_program.c: operations that are fused give the same bits as one by one, with any number of workers, for prompts and
 * single tokens, for each architecture of the golden checkpoints; and what should be fused is.
 */
#include <string.h>

#include "base/error.h"
#include "checkpoint/source.h"
#include "checkpoint_files.h"
#include "formats.h"
#include "model/cpu_program.h"
#include "model/model.h"
#include "unit.h"

enum { PROMPT = 21, SINGLE = 5, TOKENS = PROMPT + SINGLE };

/* How a queue carries out what was submitted. */
static struct {
    bool one_by_one;
    bool
        is_last_alone; /* the last worker does it all, as where others come too late: its own lane, then the first one's */
    unsigned workers;
    struct sinq_cpu_program last; /* what was compiled for the last batch of one token */
} mode;

/* Stands in for the CPU backend's queue: the number of workers is given, however small the work is. */
struct sinq_queue {
    struct sinq_cpu_step steps[4096];
    uint32_t count;
    bool exact;
};

static int create_queue(struct sinq_backend *backend, const struct sinq_queue_options *options,
                        struct sinq_queue **queue, struct sinq_error *error) {
    (void)backend;
    (void)error;
    *queue = calloc(1, sizeof **queue);
    (*queue)->exact = options->exact;
    return SINQ_OK;
}

static void close_queue(struct sinq_queue *queue) { free(queue); }

static int enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                   struct sinq_error *error) {
    (void)error;
    ck_assert_uint_lt(queue->count, sizeof queue->steps / sizeof queue->steps[0]);
    queue->steps[queue->count++] =
        (struct sinq_cpu_step){.operation = operation,
                               .frame = frame,
                               .rows = operation->for_logits ? frame->row_count : frame->count,
                               .exact = queue->exact,
                               .own_slot = SINQ_NO_VIEW};
    return SINQ_OK;
}

struct run {
    const struct sinq_cpu_program *program;
    uint8_t *shared, *scratch;
    size_t scratch_bytes;
};

static void run_worker(void *context, struct sinq_worker *worker) {
    const struct run *const run = context;
    if (mode.is_last_alone) worker->index = mode.workers - 1;
    const struct sinq_cpu_hand hand = {worker, run->shared, run->scratch + worker->index * run->scratch_bytes};
    sinq_cpu_run(run->program, &hand);
}

static void run_steps(const struct sinq_cpu_step *steps, uint32_t count) {
    struct sinq_cpu_program program;
    struct sinq_error error;
    ck_assert_int_eq(sinq_cpu_compile(&program, steps, count, mode.workers, &error), SINQ_OK);
    const struct sinq_cpu_needs needs = sinq_cpu_find_needs(&program);
    const size_t each = (needs.scratch + 127) / 64 * 64;
    struct run run = {&program, aligned_alloc(64, (needs.shared + 127) / 64 * 64),
                      aligned_alloc(64, each * mode.workers), each};
    sinq_run_team(mode.is_last_alone ? 1 : mode.workers, run_worker, &run);
    free(run.shared);
    free(run.scratch);
    sinq_cpu_empty_program(&mode.last);
    mode.last = program;
}

static int submit(struct sinq_queue *queue, struct sinq_error *error) {
    (void)error;
    for (uint32_t i = 0; mode.one_by_one && i < queue->count; i++) run_steps(&queue->steps[i], 1);
    if (!mode.one_by_one) run_steps(queue->steps, queue->count);
    queue->count = 0;
    return SINQ_OK;
}

static struct sinq_backend *open_backend(void) {
    static struct sinq_backend_ops ops;
    struct sinq_backend *backend;
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_cpu_backend(&backend, &error), SINQ_OK);
    ops = *backend->ops;
    ops.create_queue = create_queue;
    ops.close_queue = close_queue;
    ops.enqueue = enqueue;
    ops.submit = submit;
    backend->ops = &ops;
    return backend;
}

/* Logits of all tokens: of a prompt, then of one token after the other. */
static float *find_logits(const struct sinq_source *source, bool exact, bool one_by_one, unsigned workers,
                          size_t *count) {
    const struct sinq_session_options options = {.exact = exact, .context = 64, .threads = 1};
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    mode.one_by_one = one_by_one;
    mode.workers = workers;
    ck_assert_msg(sinq_load_model_on(source, open_backend(), &model, &error) == SINQ_OK, "%s", error.message);
    const uint32_t vocabulary = sinq_model_facts(model).vocabulary;
    float *const logits = malloc((size_t)TOKENS * vocabulary * sizeof *logits);
    ck_assert_msg(sinq_open_session(model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    int32_t tokens[TOKENS];
    for (int i = 0; i < TOKENS; i++) tokens[i] = (i * 37 + 1) % (int)vocabulary;
    ck_assert_int_eq(sinq_session_feed(session, tokens, PROMPT, &error), SINQ_OK);
    ck_assert_int_eq(sinq_session_logits(session, 0, PROMPT, logits, &error), SINQ_OK);
    for (int i = PROMPT; i < TOKENS; i++) {
        ck_assert_int_eq(sinq_session_feed(session, &tokens[i], 1, &error), SINQ_OK);
        ck_assert_int_eq(sinq_session_logits(session, 0, 1, logits + (size_t)i * vocabulary, &error), SINQ_OK);
    }
    sinq_session_close(session);
    sinq_model_free(model);
    *count = (size_t)TOKENS * vocabulary;
    return logits;
}

static void compare_with(const char *name, const struct sinq_source *source, bool exact, unsigned workers,
                         const float *expected) {
    size_t count;
    float *const logits = find_logits(source, exact, false, workers, &count);
    for (size_t i = 0; i < count; i++) {
        check_often(memcmp(&logits[i], &expected[i], sizeof(float)) == 0,
                    "%s, %u workers%s: logit %zu is %g, one operation after the other gives %g", name, workers,
                    mode.is_last_alone ? ", of which the last is alone" : "", i, (double)logits[i],
                    (double)expected[i]);
    }
    free(logits);
}

static void compare_ways(const char *name, const struct sinq_source *source, bool exact) {
    size_t count;
    float *const expected = find_logits(source, exact, true, 1, &count);
    for (unsigned workers = IS_SANITIZED ? 3 : 1; workers <= (IS_SANITIZED ? 3 : 4); workers++) {
        compare_with(name, source, exact, workers, expected);
    }
    mode.is_last_alone = true;
    compare_with(name, source, exact, 2, expected);
    mode.is_last_alone = false;
    free(expected);
}

static void compare_quantized(const char *name, const struct sinq_source *source) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_recipe *recipe;
    struct sinq_source *trial;
    struct sinq_error error;
    options.is_trial = true;
    options.head_bits = 6;
    ck_assert_msg(sinq_make_recipe(source, &options, &recipe, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_open_trial(source, recipe, &trial, &error) == SINQ_OK, "%s", error.message);
    compare_ways(name, trial, false);
    sinq_source_close(trial);
    sinq_recipe_free(recipe);
}

START_TEST(fused_operations_give_the_same_bits) {
    static const char *const families[] = {"llama",   "qwen2",     "qwen3",       "mistral",    "phi3",
                                           "mixtral", "qwen3_moe", "gemma3_text", "deepseek_v2"};
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        char name[200];
        struct sinq_source *source;
        struct sinq_error error;
        snprintf(name, sizeof name, "golden/arch/%s/config.json", families[f]);
        char *const path = find_shared(name);
        if (path == NULL) continue;
        *strrchr(path, '/') = '\0';
        ck_assert_msg(sinq_open_checkpoint(path, &source, &error) == SINQ_OK, "%s", error.message);
        if (!IS_SANITIZED) compare_ways(families[f], source, true);
        compare_quantized(families[f], source);
        sinq_source_close(source);
        free(path);
    }
}
END_TEST

/* The built-in model has query and key norms: 16 operations a layer. */
START_TEST(a_layer_of_one_token_has_five_stages) {
    enum { LAYERS = 6 };
    struct sinq_source *source;
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    const struct sinq_session_options options = {.context = 64, .threads = 1};
    const int32_t token = 5;
    mode.one_by_one = false;
    mode.workers = 2;
    ck_assert_msg(sinq_open_checkpoint(getenv("SINQ_EXAMPLE"), &source, &error) == SINQ_OK, "%s", error.message);
    ck_assert_int_eq(sinq_load_model_on(source, open_backend(), &model, &error), SINQ_OK);
    ck_assert_int_eq(sinq_open_session(model, &options, &session, &error), SINQ_OK);
    ck_assert_int_eq(sinq_session_feed(session, &token, 1, &error), SINQ_OK);
    ck_assert_uint_eq(mode.last.stage_count, 5 * LAYERS);
    for (uint32_t i = 0; i < 5 * LAYERS; i++) {
        const struct sinq_cpu_stage *const stage = &mode.last.stages[i];
        const bool has_norm = i % 5 == 0 || i % 5 == 3;
        ck_assert_int_eq(stage->kind, i % 5 == 1 ? SINQ_STAGE_ATTENTION : SINQ_STAGE_PRODUCTS);
        ck_assert(stage->kind == SINQ_STAGE_ATTENTION ? stage->by_head : stage->is_own);
        ck_assert(stage->has_own_row == has_norm);
        ck_assert((stage->finish != SINQ_NO_STEP) == (i % 5 == 3));
    }
    sinq_session_close(session);
    sinq_model_free(model);
    sinq_source_close(source);
    sinq_cpu_empty_program(&mode.last);
}
END_TEST

UNIT_MAIN("cpu program", fused_operations_give_the_same_bits, a_layer_of_one_token_has_five_stages)
