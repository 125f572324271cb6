/*
 * test_split_backend.c: a model shared between two backends gives what one gives, to the bit, wherever it is cut; and plans for a
 * device's memory. A second CPU backend stands in for the device.
 */
#include <string.h>

#include "base/error.h"
#include "formats.h"
#include "model/model.h"
#include "model/outline.h"
#include "unit.h"

enum { TOKENS = 23 };

static struct sinq_backend *open_processor(void) {
    struct sinq_backend *backend = NULL;
    ck_assert_int_eq(sinq_open_cpu_backend(&backend, NULL), SINQ_OK);
    return backend;
}

/* Logits of the last 3 tokens of each piece, one behind the other; malloc'ed. Frees the model. */
static float *find_logits(struct sinq_model *model, enum sinq_kv_type kv, size_t *count) {
    static const uint32_t pieces[] = {9, 1, 13}; /* more than a batch, one, a batch and more */
    const struct sinq_session_options options = {.kv_type = kv, .batch = 8, .context = 64, .threads = 2};
    const size_t vocabulary = sinq_model_facts(model).vocabulary;
    float *const logits = calloc(3 * 3 * vocabulary, sizeof *logits);
    struct sinq_session *session = NULL;
    struct sinq_error error = {.message = ""};
    int32_t tokens[TOKENS];
    for (size_t i = 0; i < TOKENS; i++) tokens[i] = (int32_t)((i * 37 + i * i) % vocabulary);
    int status = sinq_open_session(model, &options, &session, &error);
    size_t fed = 0, rows = 0;
    for (size_t p = 0; p < 3 && status == SINQ_OK; fed += pieces[p++]) {
        status = sinq_session_feed(session, tokens + fed, pieces[p], &error);
        const uint32_t there = status == SINQ_OK ? sinq_session_rows(session) : 0, asked = there < 3 ? there : 3;
        if (status == SINQ_OK)
            status = sinq_session_logits(session, there - asked, asked, logits + rows * vocabulary, &error);
        rows += asked;
    }
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    sinq_session_close(session);
    sinq_model_free(model);
    *count = rows * vocabulary;
    return logits;
}

static void compare_cuts(const struct sinq_source *source, const char *name, enum sinq_kv_type kv) {
    const struct sinq_device_options options = {.device = "cuda"};
    struct sinq_model *model = NULL;
    struct sinq_error error;
    size_t count, same;
    ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s: %s", name, error.message);
    const uint32_t layers = sinq_model_facts(model).layers;
    float *const expected = find_logits(model, kv, &count);
    const struct sinq_cut cuts[] = {
        {SINQ_ON_DEVICE, SINQ_ON_DEVICE, 0},   {SINQ_ON_CPU, SINQ_ON_DEVICE, 0},
        {SINQ_ON_CPU, SINQ_ON_DEVICE, 1},      {SINQ_ON_CPU, SINQ_ON_CPU, layers / 2},
        {SINQ_ON_CPU, SINQ_ON_DEVICE, layers}, {SINQ_ON_DEVICE, SINQ_ON_CPU, layers - 1},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        ck_assert_msg(sinq_load_model_beside(source, open_processor(), &options, &cuts[i], &model, &error) == SINQ_OK,
                      "%s, cut %zu: %s", name, i, error.message);
        float *const found = find_logits(model, kv, &same);
        ck_assert_uint_eq(same, count);
        ck_assert_msg(memcmp(found, expected, count * sizeof *found) == 0, "%s, cut %zu: other logits", name, i);
        free(found);
    }
    free(expected);
}

/* Experts, latent attention, sliding windows, post-norms, two ropes, fused matrices. */
START_TEST(logits_are_the_same_wherever_a_model_is_cut) {
    static const char *const families[] = {"qwen3_moe", "phi3", "gemma3_text", "deepseek_v2", "mixtral"};
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        char name[200];
        struct sinq_source *source;
        struct sinq_error error;
        snprintf(name, sizeof name, "golden/arch/%s/config.json", families[f]);
        char *const path = find_shared(name);
        if (path == NULL) continue;
        *strrchr(path, '/') = '\0';
        ck_assert_msg(sinq_open_checkpoint(path, &source, &error) == SINQ_OK, "%s", error.message);
        compare_cuts(source, families[f], f % 2 == 0 ? SINQ_KV_F16 : SINQ_KV_I8);
        sinq_source_close(source);
        free(path);
    }
}
END_TEST

static struct sinq_source *open_example(void) {
    struct sinq_source *source;
    struct sinq_error error;
    ck_assert_msg(sinq_open_checkpoint(getenv("SINQ_EXAMPLE"), &source, &error) == SINQ_OK, "%s", error.message);
    return source;
}

START_TEST(a_quantized_model_with_one_matrix_for_both_ends) {
    struct sinq_source *const source = open_example();
    compare_cuts(source, "classics-3m", SINQ_KV_F16);
    sinq_source_close(source);
}
END_TEST

/* The stream and the rope's angles go over, once a token; nothing else. */
START_TEST(little_crosses_over) {
    struct sinq_source *const source = open_example();
    const struct sinq_cut cut = {SINQ_ON_CPU, SINQ_ON_DEVICE, 2};
    struct sinq_outline outline;
    struct sinq_placement placement;
    struct sinq_error error;
    ck_assert_int_eq(sinq_outline_model(source, &outline, &error), SINQ_OK);
    const struct sinq_graph *const graph = outline.graph;
    ck_assert_int_eq(sinq_place_graph(graph, &cut, &placement, &error), SINQ_OK);
    uint64_t crossings = 0, values = 0;
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        if (placement.crossing[i] == NULL) continue;
        crossings++;
        for (uint32_t s = 0; s < graph->slot_count; s++) values += placement.crossing[i][s] ? graph->slot_widths[s] : 0;
    }
    ck_assert_uint_eq(crossings, 1);
    ck_assert_uint_eq(values, outline.config.hidden + outline.config.ropes[0].dims);
    for (uint32_t c = 0; c < graph->cache_count; c++) {
        ck_assert_uint_eq(placement.caches[c], sinq_side_bit(c < 2 ? SINQ_ON_CPU : SINQ_ON_DEVICE));
    }
    sinq_free_placement(&placement);
    sinq_free_outline(&outline);
    sinq_source_close(source);
}
END_TEST

/* ---- plans ---- */

static int plan(const struct sinq_source *source, uint64_t budget, uint64_t context, uint32_t batch,
                struct sinq_device_plan *found, struct sinq_error *error) {
    const struct sinq_session_options session = {.context = context, .batch = batch};
    const struct sinq_device_options options = {.memory_limit = budget, .session = &session};
    return sinq_plan_device(source, &options, found, error);
}

START_TEST(plans_leave_on_the_cpu_what_does_not_fit) {
    struct sinq_source *const source = open_example();
    struct sinq_device_plan all, one, other;
    struct sinq_error error = {.message = ""};
    ck_assert_int_eq(plan(source, (uint64_t)24 << 30, 512, 256, &all, &error), SINQ_OK);
    ck_assert_uint_eq(all.cpu_layers, 0);
    ck_assert(!all.embedding_on_cpu);
    ck_assert_uint_eq(all.layers, 6);
    uint32_t last = 0;
    for (uint64_t budget = all.total_bytes; plan(source, budget, 512, 256, &one, &error) == SINQ_OK; budget -= 100000) {
        ck_assert_uint_le(one.total_bytes, budget);
        ck_assert_uint_eq(one.budget, budget);
        ck_assert_uint_ge(one.cpu_layers, last);
        ck_assert_uint_eq(one.cpu_layer_bytes + one.device_layer_bytes, all.device_layer_bytes);
        ck_assert_uint_eq(one.cpu_kv_bytes + one.device_kv_bytes, all.device_kv_bytes);
        last = one.cpu_layers;
    }
    ck_assert_uint_eq(last, 5);
    ck_assert_ptr_nonnull(strstr(error.message, "leave no room for a layer"));
    /* A longer context takes room from layers. */
    ck_assert_int_eq(plan(source, all.total_bytes, 2048, 256, &other, &error), SINQ_OK);
    ck_assert_uint_ge(other.cpu_layers, 1);
    ck_assert_int_eq(plan(source, (uint64_t)24 << 30, 4096, 256, &other, &error), SINQ_USAGE);
    sinq_source_close(source);
}
END_TEST

START_TEST(batches_take_what_no_layer_needs) {
    struct sinq_source *const source = open_example();
    struct sinq_device_plan least, found;
    struct sinq_error error;
    uint32_t before = 256;
    ck_assert_int_eq(plan(source, (uint64_t)24 << 30, 2048, 256, &least, &error), SINQ_OK);
    ck_assert_uint_eq(least.batch, 256);
    for (uint64_t budget = least.total_bytes; before < 2048; budget += (uint64_t)1 << 20) {
        ck_assert_int_eq(plan(source, budget, 2048, 0, &found, &error), SINQ_OK);
        ck_assert(found.batch == before || found.batch == 2 * before);
        ck_assert_uint_le(found.total_bytes, budget);
        ck_assert_uint_eq(found.cpu_layers, 0);
        ck_assert(!found.embedding_on_cpu);
        before = found.batch;
    }
    ck_assert_int_eq(plan(source, (uint64_t)24 << 30, 300, 0, &found, &error), SINQ_OK);
    ck_assert_uint_eq(found.batch, 300);
    /* Where layers have to stay on the CPU, batches are as small as they were. */
    ck_assert_int_eq(plan(source, least.total_bytes - 3000000, 2048, 256, &least, &error), SINQ_OK);
    ck_assert_int_eq(plan(source, least.budget, 2048, 0, &found, &error), SINQ_OK);
    ck_assert_uint_ge(least.cpu_layers, 1);
    ck_assert_uint_eq(found.cpu_layers, least.cpu_layers);
    sinq_source_close(source);
}
END_TEST

UNIT_MAIN("split_backend", logits_are_the_same_wherever_a_model_is_cut, a_quantized_model_with_one_matrix_for_both_ends,
          little_crosses_over, plans_leave_on_the_cpu_what_does_not_fit, batches_take_what_no_layer_needs)
