/* test_cuda_best.c: the best token as a device finds it, against the sampler's choice. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "cuda_device.h"
#include "formats.h"
#include "model/model.h"
#include "sinq.h"

enum { MOST = 151936 };

/* What the device finds among `count` values from the `skipped`-th on. */
static struct sinq_best find_best(struct sinq_backend *backend, const float *values, uint32_t skipped, uint32_t count) {
    struct sinq_buffer *buffer = NULL;
    struct sinq_best best;
    struct sinq_error error = {.message = ""};
    const uint64_t bytes = ((uint64_t)skipped + count) * sizeof *values;
    int status = backend->ops->create_buffer(backend, (struct sinq_use){SINQ_USE_SLOT, 0}, bytes, &buffer, &error);
    if (status == SINQ_OK) status = backend->ops->upload(backend, buffer, 0, values, bytes, &error);
    if (status == SINQ_OK) {
        status = backend->ops->find_best(backend, buffer, skipped * sizeof *values, count, &best, &error);
    }
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    backend->ops->free_buffer(backend, buffer);
    return best;
}

static void compare(struct sinq_backend *backend, const float *values, uint32_t skipped, uint32_t count) {
    struct sinq_sampling sampling = sinq_default_sampling();
    struct sinq_sampler *sampler = NULL;
    struct sinq_error error;
    sampling.temperature = 0;
    ck_assert_int_eq(sinq_open_sampler(&sampling, count, &sampler, &error), SINQ_OK);
    const struct sinq_best best = find_best(backend, values, skipped, count);
    ck_assert(best.is_known);
    ck_assert_int_eq((int32_t)best.place, sinq_sample(sampler, values + skipped, NULL, 0));
    sinq_sampler_close(sampler);
}

START_TEST(the_first_of_the_largest) {
    static const uint32_t counts[] = {1, 2, 31, 33, 255, 256, 257, 16384, 16385, 32000, 151669, MOST - 3};
    static const float odd[] = {INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.0f, -0.0f, FLT_MIN, -1.0f};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    float *const values = malloc(MOST * sizeof *values);
    uint32_t state = 7;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (unsigned round = 0; round < 12; round++) {
            /* Ever fewer different values, and at last odd ones. */
            for (uint32_t i = 0; i < MOST; i++) {
                state = state * 1664525u + 1013904223u;
                const float value = (float)(state >> (2 + 2 * round)) - (float)(1u << (29 - 2 * round));
                values[i] = round < 10 ? value * 0x1p-20f : round == 10 ? odd[state >> 29] : odd[4 + (state >> 31)];
            }
            compare(backend, values, round % 3, counts[c]);
        }
        for (uint32_t i = 0; i < MOST; i++) values[i] = -INFINITY;
        compare(backend, values, 0, counts[c]);
    }
    free(values);
    backend->ops->close(backend);
}
END_TEST

START_TEST(what_is_not_a_number_is_told) {
    static const uint32_t places[] = {0, 1, 16383, 16384, 99998, 99999};
    struct sinq_backend *const backend = open_cuda();
    if (backend == NULL) return;
    float *const values = calloc(100000, sizeof *values);
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
        values[places[p]] = p % 2 == 0 ? NAN : -NAN;
        ck_assert(!find_best(backend, values, 0, 100000).is_known);
        values[places[p]] = 1;
        ck_assert(find_best(backend, values, 0, 100000).is_known); /* nothing is left behind */
    }
    free(values);
    backend->ops->close(backend);
}
END_TEST

/* A session's choices, one token after the other, are the best of its logits. */
START_TEST(sessions_choose_the_best) {
    struct sinq_backend *const backend = open_cuda();
    struct sinq_source *source;
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_sampler *sampler;
    struct sinq_error error = {.message = ""};
    struct sinq_sampling sampling = sinq_default_sampling();
    sampling.temperature = 0;
    if (backend == NULL) return;
    ck_assert_int_eq(sinq_open_checkpoint(getenv("SINQ_EXAMPLE"), &source, &error), SINQ_OK);
    ck_assert_msg(sinq_load_model_on(source, backend, &model, &error) == SINQ_OK, "%s", error.message);
    const uint32_t vocabulary = sinq_model_facts(model).vocabulary;
    const struct sinq_session_options options = {.context = 200};
    float *const logits = malloc(vocabulary * sizeof *logits);
    int32_t token = 1, tokens[200] = {1};
    ck_assert_int_eq(sinq_open_session(model, &options, &session, &error), SINQ_OK);
    ck_assert_int_eq(sinq_open_sampler(&sampling, vocabulary, &sampler, &error), SINQ_OK);
    for (size_t i = 0; i < 100; i++) {
        const size_t count = i % 7 == 6 ? 3 : 1; /* several at once, too */
        const uint32_t row = (uint32_t)count - 1;
        for (size_t k = 0; k < count; k++) tokens[k] = token;
        ck_assert_msg(sinq_session_feed(session, tokens, count, &error) == SINQ_OK, "%s", error.message);
        const bool asks_first = i % 2 == 0;
        if (asks_first) ck_assert_int_eq(sinq_session_logits(session, row, 1, logits, &error), SINQ_OK);
        ck_assert_int_eq(
            sinq_session_choose(session, row, sampler, NULL, 0, asks_first ? NULL : logits, &token, &error), SINQ_OK);
        if (!asks_first) ck_assert_int_eq(sinq_session_logits(session, row, 1, logits, &error), SINQ_OK);
        ck_assert_int_eq(token, sinq_sample(sampler, logits, NULL, 0));
    }
    free(logits);
    sinq_sampler_close(sampler);
    sinq_session_close(session);
    sinq_model_free(model);
    sinq_source_close(source);
}
END_TEST

UNIT_MAIN("CUDA best", the_first_of_the_largest, what_is_not_a_number_is_told, sessions_choose_the_best)
