#include "model/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* More than any model has; a hostile configuration must not fill the memory. */
#define MOST_WANTS  (1u << 18)
#define WIDEST_SLOT (1u << 28)
#define FIRST_ITEMS 64u

struct sinq_graph *sinq_graph_create(const struct sinq_model_config *config, sinq_has_tensor_fn *has_tensor,
                                     const void *user) {
    struct sinq_graph *const graph = calloc(1, sizeof *graph);
    if (graph == NULL) return NULL;
    graph->config = config;
    graph->has_tensor = has_tensor;
    graph->user = user;
    return graph;
}

void sinq_graph_free(struct sinq_graph *graph) {
    if (graph == NULL) return;
    free(graph->wants);
    free(graph->slot_widths);
    free(graph->slot_for_logits);
    free(graph->caches);
    free(graph->operations);
    free(graph);
}

void sinq_graph_fail(struct sinq_graph *graph, const char *format, ...) {
    char message[800];
    if (graph->error.status != SINQ_OK) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)sinq_fail(&graph->error, SINQ_FAILED, "%s", message);
}

int sinq_graph_finish(struct sinq_graph *graph, struct sinq_error *error) {
    if (graph->error.status == SINQ_OK) return SINQ_OK;
    if (error != NULL) *error = graph->error;
    return graph->error.status;
}

/* Room for one more item; false after a failure. */
static bool make_room(struct sinq_graph *graph, void *items, size_t item_bytes, uint32_t count, uint32_t *capacity) {
    if (graph->error.status != SINQ_OK) return false;
    if (count < *capacity) return true;
    const uint32_t wanted = *capacity == 0 ? FIRST_ITEMS : 2 * *capacity;
    void *grown;
    memcpy(&grown, items, sizeof grown);
    grown = realloc(grown, wanted * item_bytes);
    if (grown == NULL) {
        (void)sinq_fail_memory(&graph->error, "a graph", wanted * item_bytes);
        return false;
    }
    memcpy(items, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

/* ---- weights ---- */

uint32_t sinq_want_add(struct sinq_graph *graph, const struct sinq_want *want) {
    if (graph->want_count == MOST_WANTS) sinq_graph_fail(graph, "the model has more than %u weights", MOST_WANTS);
    if (!make_room(graph, &graph->wants, sizeof *graph->wants, graph->want_count, &graph->want_capacity)) return 0;
    graph->wants[graph->want_count] = *want;
    return graph->want_count++;
}

static void print_module(struct sinq_want *want, const char *suffix, const char *format, va_list arguments)
    SINQ_PRINTF(3, 0);
static void print_module(struct sinq_want *want, const char *suffix, const char *format, va_list arguments) {
    (void)vsnprintf(want->module, sizeof want->module, format, arguments);
    (void)snprintf(want->suffix, sizeof want->suffix, "%s", suffix);
}

void sinq_name_want(struct sinq_want *want, const char *suffix, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_module(want, suffix, format, arguments);
    va_end(arguments);
}

uint32_t sinq_want_matrix(struct sinq_graph *graph, uint64_t rows, uint64_t cols, const char *format, ...) {
    struct sinq_want want = {.rows = rows, .cols = cols, .expert = -1};
    va_list arguments;
    va_start(arguments, format);
    print_module(&want, ".weight", format, arguments);
    va_end(arguments);
    return sinq_want_add(graph, &want);
}

uint32_t sinq_want_rows(struct sinq_graph *graph, uint64_t first_row, uint64_t rows, uint64_t tensor_rows,
                        uint64_t cols, const char *format, ...) {
    struct sinq_want want = {
        .rows = rows, .cols = cols, .first_row = first_row, .tensor_rows = tensor_rows, .expert = -1};
    va_list arguments;
    va_start(arguments, format);
    print_module(&want, ".weight", format, arguments);
    va_end(arguments);
    return sinq_want_add(graph, &want);
}

uint32_t sinq_want_norm(struct sinq_graph *graph, uint64_t width, float plus, const char *format, ...) {
    struct sinq_want want = {.rows = 1, .cols = width, .is_vector = true, .plus = plus, .expert = -1};
    va_list arguments;
    va_start(arguments, format);
    print_module(&want, ".weight", format, arguments);
    va_end(arguments);
    return sinq_want_add(graph, &want);
}

uint32_t sinq_want_bias(struct sinq_graph *graph, bool present, uint64_t width, const char *format, ...) {
    struct sinq_want want = {.rows = 1, .cols = width, .is_vector = true, .expert = -1};
    if (!present) return SINQ_NO_WEIGHT;
    va_list arguments;
    va_start(arguments, format);
    print_module(&want, ".bias", format, arguments);
    va_end(arguments);
    return sinq_want_add(graph, &want);
}

bool sinq_graph_has(const struct sinq_graph *graph, const char *format, ...) {
    char name[sizeof graph->wants->module + sizeof graph->wants->suffix];
    if (graph->has_tensor == NULL) return false;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return graph->has_tensor(graph->user, name);
}

/* ---- slots, caches, operations ---- */

static uint32_t add_slot(struct sinq_graph *graph, uint64_t width, bool for_logits) {
    uint32_t flag_capacity = graph->slot_capacity;
    if (width == 0 || width > WIDEST_SLOT) {
        sinq_graph_fail(graph, "%llu values a token, expected 1 to %u", (unsigned long long)width, WIDEST_SLOT);
    }
    if (!make_room(graph, &graph->slot_for_logits, sizeof(bool), graph->slot_count, &flag_capacity) ||
        !make_room(graph, &graph->slot_widths, sizeof(uint32_t), graph->slot_count, &graph->slot_capacity)) {
        return 0;
    }
    graph->slot_widths[graph->slot_count] = (uint32_t)width;
    graph->slot_for_logits[graph->slot_count] = for_logits;
    return graph->slot_count++;
}

uint32_t sinq_add_slot(struct sinq_graph *graph, uint64_t width) { return add_slot(graph, width, false); }

uint32_t sinq_add_logits_slot(struct sinq_graph *graph, uint64_t width) { return add_slot(graph, width, true); }

uint32_t sinq_add_cache(struct sinq_graph *graph, struct sinq_cache_shape shape) {
    if (!make_room(graph, &graph->caches, sizeof *graph->caches, graph->cache_count, &graph->cache_capacity)) return 0;
    graph->caches[graph->cache_count] = shape;
    return graph->cache_count++;
}

void sinq_add_operation(struct sinq_graph *graph, struct sinq_operation operation) {
    if (!make_room(graph, &graph->operations, sizeof *graph->operations, graph->operation_count,
                   &graph->operation_capacity)) {
        return;
    }
    graph->operations[graph->operation_count++] = operation;
}
