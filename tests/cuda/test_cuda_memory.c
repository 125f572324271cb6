/* test_cuda_memory.c: the cap on a CUDA device's memory, and models of which it holds a part. */
#include <math.h>
#include <string.h>

#include "cuda_device.h"
#include "formats.h"
#include "model/model.h"

enum { TOKENS = 40 };

static struct sinq_backend *open_capped(uint64_t limit, struct sinq_error *error) {
    const struct sinq_device_options options = {.device = "cuda", .memory_limit = limit};
    struct sinq_backend *backend = NULL;
    struct sinq_device_names names;
    return sinq_open_device(&options, &backend, &names, error) == SINQ_OK ? backend : NULL;
}

/* What a device has in use once it is open. A process's context stays: only the first time it counts. */
static uint64_t find_start(void) {
    struct sinq_backend *const backend = open_cuda();
    struct sinq_device_memory memory = {.start = 0};
    if (backend == NULL) return 0;
    backend->ops->measure_memory(backend, &memory);
    ck_assert_uint_ge(memory.total, memory.used);
    backend->ops->close(backend);
    return memory.start;
}

/* The first of all: once a process has a context, it does not count. */
START_TEST(a_cap_below_what_the_driver_takes) {
    struct sinq_error error = {.message = ""};
    ck_assert_ptr_null(open_capped((uint64_t)1 << 20, &error));
    const bool has_device = find_start() != 0;
    ck_assert_msg(!has_device || strstr(error.message, "its driver alone takes") != NULL, "%s", error.message);
}
END_TEST

START_TEST(nothing_is_allocated_beyond_the_cap) {
    const struct sinq_use use = {SINQ_USE_SLOT, 0};
    const uint64_t first = find_start(), start = find_start(), size = (uint64_t)64 << 20;
    struct sinq_buffer *buffer = NULL, *other = NULL;
    struct sinq_device_memory memory;
    struct sinq_error error = {.message = ""};
    if (first == 0) return;
    struct sinq_backend *const backend = open_capped(start + size + ((uint64_t)32 << 20), &error);
    ck_assert_msg(backend != NULL, "%s", error.message);
    ck_assert_int_eq(backend->ops->create_buffer(backend, use, size, &buffer, &error), SINQ_OK);
    ck_assert_int_eq(backend->ops->create_buffer(backend, use, size, &other, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "beyond the limit") != NULL, "%s", error.message);
    backend->ops->measure_memory(backend, &memory);
    ck_assert_uint_ge(memory.peak, memory.start + size);
    ck_assert_uint_le(memory.peak, memory.limit);
    backend->ops->free_buffer(backend, buffer);
    backend->ops->measure_memory(backend, &memory);
    ck_assert_uint_lt(memory.used, memory.peak);
    backend->ops->close(backend);
}
END_TEST

/* Logits of the last token of TOKENS, most of them fed at once. */
static void find_logits(const struct sinq_model *model, float *logits) {
    const struct sinq_session_options options = {.exact = true, .kv_type = SINQ_KV_F32, .context = 64, .threads = 2};
    struct sinq_session *session = NULL;
    struct sinq_error error = {.message = ""};
    int32_t tokens[TOKENS];
    for (size_t i = 0; i < TOKENS; i++) tokens[i] = (int32_t)((i * 37 + i * i) % 251);
    int status = sinq_open_session(model, &options, &session, &error);
    if (status == SINQ_OK) status = sinq_session_feed(session, tokens, TOKENS - 1, &error);
    if (status == SINQ_OK) status = sinq_session_feed(session, tokens + TOKENS - 1, 1, &error);
    if (status == SINQ_OK) status = sinq_session_logits(session, 0, 1, logits, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    sinq_session_close(session);
}

/* The same logits wherever the model is cut, but for rounding. */
START_TEST(a_part_on_the_device) {
    static const struct sinq_cut cuts[] = {
        {SINQ_ON_DEVICE, SINQ_ON_DEVICE, 0}, {SINQ_ON_CPU, SINQ_ON_DEVICE, 0}, {SINQ_ON_CPU, SINQ_ON_DEVICE, 2},
        {SINQ_ON_CPU, SINQ_ON_CPU, 5},       {SINQ_ON_CPU, SINQ_ON_DEVICE, 6},
    };
    const struct sinq_device_options options = {.device = "cuda"};
    struct sinq_source *source;
    struct sinq_model *model;
    struct sinq_error error;
    float *const expected = malloc(4096 * sizeof(float)), *const found = malloc(4096 * sizeof(float));
    ck_assert_msg(sinq_open_checkpoint(getenv("SINQ_EXAMPLE"), &source, &error) == SINQ_OK, "%s", error.message);
    ck_assert_int_eq(sinq_load_model(source, &model, &error), SINQ_OK);
    find_logits(model, expected);
    sinq_model_free(model);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct sinq_backend *const device = open_cuda();
        if (device == NULL) break;
        ck_assert_msg(sinq_load_model_beside(source, device, &options, &cuts[i], &model, &error) == SINQ_OK, "%s",
                      error.message);
        find_logits(model, found);
        const double difference = relative_norm(found, expected, 4096);
        ck_assert_msg(difference <= 1e-4, "cut %zu: logits differ by %g", i, difference);
        sinq_model_free(model);
    }
    free(expected);
    free(found);
    sinq_source_close(source);
}
END_TEST

/* Code and recorded graphs are what the reserve is for; all else is counted. */
START_TEST(a_plan_is_kept) {
    static const char *const shapes[] = {"tiny", "tiny-experts"};
    const struct sinq_device_options options = {.device = "cuda"};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct sinq_synthetic_options made = {.shape = shapes[s], .quantize = sinq_default_quantize_options()};
        struct sinq_device_memory memory;
        struct sinq_source *source;
        struct sinq_model *model;
        struct sinq_error error;
        struct sinq_backend *const device = open_cuda();
        if (device == NULL) return;
        ck_assert_msg(sinq_open_synthetic(&made, NULL, NULL, &source, &error) == SINQ_OK, "%s", error.message);
        ck_assert_msg(sinq_load_model_beside(source, device, &options, NULL, &model, &error) == SINQ_OK, "%s",
                      error.message);
        float *const logits = malloc(sinq_model_facts(model).vocabulary * sizeof *logits);
        const struct sinq_device_plan *const plan = sinq_model_device_plan(model);
        find_logits(model, logits);
        ck_assert(sinq_model_device_memory(model, &memory));
        const uint64_t taken = memory.peak - memory.start, counted = plan->total_bytes - plan->reserve_bytes;
        ck_assert_msg(taken <= counted + ((uint64_t)64 << 20), "%s: %llu bytes, and %llu were counted", shapes[s],
                      (unsigned long long)taken, (unsigned long long)counted);
        free(logits);
        sinq_model_free(model);
        sinq_source_close(source);
    }
}
END_TEST

UNIT_MAIN("CUDA memory", a_cap_below_what_the_driver_takes, nothing_is_allocated_beyond_the_cap, a_part_on_the_device,
          a_plan_is_kept)
