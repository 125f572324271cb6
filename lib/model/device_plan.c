#include "model/device_plan.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"

/* What a driver's context, kernels' code and recorded graphs take, at most, as measured (docs/speed.md), and some more. */
#define RESERVE_BYTES ((uint64_t)768 << 20)
/* Positions that are fed at once where no one says how many: as few as these, and more where there is room; beyond, little is gained (docs/speed.md). */
#define LEAST_BATCH 256u
#define MOST_BATCH  2048u
/* Of a description of an expert in a device's memory. */
#define EXPERT_BYTES 256u

/* ---- scratch memory ---- */

#define MOST_PRODUCTS     4u /* of one input that are carried out together */
#define TILE_ROWS         128u
#define TILE_COLS         64u
#define MOST_TILE_WEIGHTS ((uint64_t)256 << 20) /* that are unpacked into tiles at a time */
#define MOST_SPLIT_ROWS   1024u                 /* matrices with fewer may be in three parts */

/* Inputs of products as integers of two bytes, a scale and a sum for each group of at least 16 of them. */
static uint64_t count_digits(const struct sinq_want *want, uint64_t rows) {
    return MOST_PRODUCTS * rows * 3 * sinq_round_up(want->cols, 512);
}

/* Many rows: inputs and some of the weights in tiles of f16, with a scale a row; of experts, each one's rows fill tiles of their own. */
static uint64_t count_tiles(const struct sinq_want *want, uint64_t rows, uint64_t experts) {
    const uint64_t input_tiles = rows / TILE_ROWS + 1 + sinq_min_u64(experts, rows);
    const uint64_t across = sinq_divide_up(want->cols, TILE_COLS) * (want->rows <= MOST_SPLIT_ROWS ? 3 : 1);
    const uint64_t tile = across * TILE_ROWS * TILE_COLS * 2 + TILE_ROWS * 2 * sizeof(float);
    const uint64_t pairs = (sinq_divide_up(want->rows, 2 * TILE_ROWS) + 1) * sinq_max_u64(experts, MOST_PRODUCTS);
    return input_tiles * tile + sinq_min_u64(MOST_TILE_WEIGHTS, pairs * 2 * tile) + 2 * tile;
}

static uint64_t count_attention(const struct sinq_graph *graph, const struct sinq_operation *op, uint32_t batch) {
    const struct sinq_cache_shape *const cache = &graph->caches[op->attention.cache];
    const uint64_t row = (uint64_t)op->attention.heads * (cache->value_dim + 5) * sizeof(float);
    return row * sinq_max_u64(batch, 256);
}

uint64_t sinq_device_queue_bytes(const struct sinq_graph *graph, const struct sinq_queue_options *options) {
    uint64_t most = 0, descriptions = 0;
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        const struct sinq_operation *const op = &graph->operations[i];
        const bool is_expert = op->kind == SINQ_OP_EXPERT_LINEAR;
        if (op->kind == SINQ_OP_ATTENTION) most = sinq_max_u64(most, count_attention(graph, op, options->batch));
        if (op->kind != SINQ_OP_LINEAR && !is_expert) continue;
        const struct sinq_want *const want = &graph->wants[sinq_main_weight(op)];
        const uint64_t rows = (uint64_t)options->batch * (is_expert ? op->expert_linear.chosen : 1);
        const uint64_t experts = is_expert ? op->expert_linear.experts : 0;
        most = sinq_max_u64(most, sinq_max_u64(count_digits(want, rows), count_tiles(want, rows, experts)));
        descriptions += experts * EXPERT_BYTES;
    }
    return most + descriptions;
}

/* ---- sizes ---- */

/* Of parts: 0 what comes before the layers, 1 + layer, layers + 1 the head. */
struct parts {
    uint32_t count;
    uint64_t *weights, *caches;
    uint64_t shared; /* weights that the head and what comes before the layers both need: counted as the head's */
};

struct counting {
    uint8_t *counted; /* of each want */
    const uint64_t *want_bytes;
    uint64_t bytes, shared;
    bool is_embedding;
};

enum { IN_EMBEDDING = 1, IN_OTHERS = 2 };

static void count_weight(void *context, uint32_t weight) {
    struct counting *const counting = context;
    const uint64_t size = sinq_round_up(counting->want_bytes[weight], SINQ_DEVICE_ALIGNMENT);
    const uint8_t bit = counting->is_embedding ? IN_EMBEDDING : IN_OTHERS, before = counting->counted[weight];
    counting->counted[weight] |= bit;
    if ((before & IN_OTHERS) != 0 && counting->is_embedding) counting->shared += (before & bit) == 0 ? size : 0;
    if (before == 0) counting->bytes += size;
}

static uint64_t round_to_pages(uint64_t bytes) {
    return bytes < SINQ_DEVICE_PAGE / 2 ? bytes : sinq_round_up(bytes, SINQ_DEVICE_PAGE);
}

static int count_weights(const struct sinq_graph *graph, const uint64_t *want_bytes, const uint32_t *part_of,
                         struct parts *parts, struct sinq_error *error) {
    struct counting counting = {.counted = calloc(graph->want_count + 1, 1), .want_bytes = want_bytes};
    if (counting.counted == NULL) return sinq_fail_memory(error, "a plan", graph->want_count);
    /* From the end, so that a matrix that is head and embedding is the head's. */
    for (uint32_t i = graph->operation_count; i-- > 0;) {
        counting.is_embedding = part_of[i] == 0;
        counting.bytes = 0;
        sinq_visit_weights(&graph->operations[i], count_weight, &counting);
        parts->weights[part_of[i]] += counting.bytes;
    }
    parts->shared = counting.shared;
    free(counting.counted);
    return SINQ_OK;
}

static void count_caches(const struct sinq_graph *graph, const struct sinq_session_options *options,
                         const struct sinq_session_memory *memory, const uint32_t *part_of, struct parts *parts) {
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        struct sinq_cache_layout layout;
        if (graph->operations[i].kind != SINQ_OP_STORE) continue;
        if (!sinq_measure_cache(graph, graph->operations[i].store.cache, options->kv_type, memory, &layout)) continue;
        parts->caches[part_of[i]] += round_to_pages(layout.bytes);
    }
}

static int measure_parts(const struct sinq_graph *graph, const uint64_t *want_bytes,
                         const struct sinq_session_options *options, const struct sinq_session_memory *memory,
                         struct parts *parts, struct sinq_error *error) {
    uint32_t *const part_of = sinq_find_parts(graph);
    parts->count = graph->config->layers + 2;
    parts->weights = calloc(parts->count, sizeof *parts->weights);
    parts->caches = calloc(parts->count, sizeof *parts->caches);
    int status = SINQ_OK;
    if (part_of == NULL || parts->weights == NULL || parts->caches == NULL) {
        status = sinq_fail_memory(error, "a plan", graph->operation_count);
    }
    if (status == SINQ_OK) status = count_weights(graph, want_bytes, part_of, parts, error);
    if (status == SINQ_OK) count_caches(graph, options, memory, part_of, parts);
    free(part_of);
    return status;
}

static uint64_t measure_workspace(const struct sinq_graph *graph, const struct sinq_session_options *options,
                                  const struct sinq_session_memory *memory) {
    const struct sinq_queue_options queue = {.exact = options->exact, .threads = 1, .batch = memory->rows};
    uint64_t bytes = round_to_pages(sinq_device_queue_bytes(graph, &queue));
    for (uint32_t i = 0; i < graph->slot_count; i++) bytes += round_to_pages(sinq_slot_bytes(graph, i, memory));
    return bytes + SINQ_DEVICE_PAGE; /* what is small shares a page */
}

/* ---- choosing ---- */

static void cut_layers(const struct parts *parts, uint32_t first, struct sinq_device_plan *plan) {
    plan->device_layer_bytes = plan->cpu_layer_bytes = plan->device_kv_bytes = plan->cpu_kv_bytes = 0;
    for (uint32_t layer = 0; layer < plan->layers; layer++) {
        const bool is_on_cpu = layer < first;
        *(is_on_cpu ? &plan->cpu_layer_bytes : &plan->device_layer_bytes) += parts->weights[1 + layer];
        *(is_on_cpu ? &plan->cpu_kv_bytes : &plan->device_kv_bytes) += parts->caches[1 + layer];
    }
    plan->cpu_layers = first;
    const uint64_t weights =
        (plan->embedding_on_cpu ? 0 : plan->embedding_bytes) + plan->head_bytes + plan->device_layer_bytes;
    plan->total_bytes = plan->reserve_bytes + plan->workspace_bytes + round_to_pages(weights) + plan->device_kv_bytes;
}

static int fail_budget(const struct sinq_device_plan *plan, struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED,
                     "%llu bytes of a device's memory leave no room for a layer: the driver, workspace and the head "
                     "take %llu",
                     (unsigned long long)plan->budget, (unsigned long long)plan->total_bytes);
}

/* The first layer that can be on the device: those behind it can, too. */
static int choose(const struct parts *parts, struct sinq_device_plan *plan, struct sinq_error *error) {
    const bool is_tied = parts->shared != 0; /* then the embedding is there with the head */
    cut_layers(parts, 0, plan);
    if (plan->total_bytes <= plan->budget) return SINQ_OK;
    plan->embedding_on_cpu = true;
    for (uint32_t first = is_tied ? 1 : 0; first < plan->layers; first++) {
        cut_layers(parts, first, plan);
        if (plan->total_bytes <= plan->budget) return SINQ_OK;
    }
    cut_layers(parts, plan->layers, plan);
    return fail_budget(plan, error);
}

static int plan_session(const struct sinq_graph *graph, const uint64_t *want_bytes,
                        const struct sinq_session_options *options, uint64_t budget, uint64_t start,
                        struct sinq_device_plan *plan, struct sinq_error *error) {
    struct sinq_session_memory memory;
    struct parts parts = {.count = 0};
    *plan = (struct sinq_device_plan){.budget = budget, .layers = graph->config->layers};
    int status = sinq_measure_session(graph, options, &memory, error);
    if (status == SINQ_OK) status = measure_parts(graph, want_bytes, options, &memory, &parts, error);
    if (status == SINQ_OK) {
        plan->reserve_bytes = sinq_max_u64(RESERVE_BYTES, start);
        plan->workspace_bytes = measure_workspace(graph, options, &memory);
        plan->batch = memory.batch;
        plan->embedding_bytes = parts.weights[0];
        plan->head_bytes = parts.weights[parts.count - 1];
        status = choose(&parts, plan, error);
    }
    free(parts.weights);
    free(parts.caches);
    return status;
}

/* Larger batches read prompts faster, as weights are unpacked once a batch: they may cost what no part of the model needs. */
static void enlarge_batch(const struct sinq_graph *graph, const uint64_t *want_bytes,
                          const struct sinq_session_options *options, uint64_t start, struct sinq_device_plan *plan) {
    struct sinq_session_options tried = *options;
    for (tried.batch = MOST_BATCH; tried.batch > plan->batch; tried.batch /= 2) {
        struct sinq_device_plan larger;
        struct sinq_error ignored;
        if (plan_session(graph, want_bytes, &tried, plan->budget, start, &larger, &ignored) != SINQ_OK) continue;
        if (larger.cpu_layers != plan->cpu_layers || larger.embedding_on_cpu != plan->embedding_on_cpu) continue;
        *plan = larger;
        return;
    }
}

int sinq_choose_cut(const struct sinq_graph *graph, const uint64_t *want_bytes,
                    const struct sinq_session_options *options, uint64_t budget, uint64_t start, struct sinq_cut *cut,
                    struct sinq_device_plan *plan, struct sinq_error *error) {
    struct sinq_session_options least = *options;
    if (least.batch == 0) least.batch = LEAST_BATCH;
    const int status = plan_session(graph, want_bytes, &least, budget, start, plan, error);
    if (status == SINQ_OK && options->batch == 0) enlarge_batch(graph, want_bytes, options, start, plan);
    *cut = (struct sinq_cut){.embedding = plan->embedding_on_cpu ? SINQ_ON_CPU : SINQ_ON_DEVICE,
                             .head = SINQ_ON_DEVICE,
                             .first_layer = plan->cpu_layers};
    return status;
}
