/* config.json as a model's: what is read makes a graph that is sound, and ropes that are numbers. */
#include <math.h>

#include "../unit/graph_check.h"
#include "fuzz.h"
#include "model/config.h"

#define MOST_EXPERTS (1u << 14) /* of all layers, for graphs that are built: more only cost time */
#define MOST_VALUES  (1u << 20) /* of all slots, for graphs that are checked value by value */

/* Names as a checkpoint with stacks of experts has them, where `user` is not NULL. */
static bool has_stacks(const void *user, const char *name) {
    return user != NULL && strstr(name, "experts.gate_up_proj") != NULL;
}

static void check_rotations(const struct sinq_rope *rope) {
    static const uint64_t positions[] = {0, 1, 1000, INT32_MAX};
    float cosines[SINQ_MAX_ROPE_PAIRS], sines[SINQ_MAX_ROPE_PAIRS];
    require(rope->dims % 2 == 0 && rope->dims >= 2 && rope->dims / 2 <= SINQ_MAX_ROPE_PAIRS);
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        sinq_rope_rotation(rope, positions[i], positions[i] + 1, cosines, sines);
        for (uint32_t k = 0; k < rope->dims / 2; k++) require(isfinite(cosines[k]) && isfinite(sines[k]));
    }
}

static void check_config(const struct sinq_model_config *config) {
    require(config->family != NULL && config->model_type != NULL);
    require(config->rope_count >= 1 && config->rope_count <= SINQ_MAX_ROPES);
    for (uint32_t i = 0; i < config->rope_count; i++) check_rotations(&config->ropes[i]);
    require(config->heads % config->kv_heads == 0 && config->layers >= 1);
    require(config->context >= 1 && config->context <= INT32_MAX);
    require(isfinite(config->attention_scale) && isfinite(config->embedding_scale));
}

static void check_graph(const struct sinq_model_config *config, bool is_stacked) {
    struct sinq_error error = {0};
    uint32_t operation;
    uint64_t values = 0;
    struct sinq_graph *const graph = sinq_graph_create(config, has_stacks, is_stacked ? config : NULL);
    require(graph != NULL);
    config->family->build(graph, config);
    const int status = sinq_graph_finish(graph, &error);
    require_status(status, &error);
    for (uint32_t i = 0; i < graph->slot_count; i++) values += graph->slot_widths[i];
    if (status == SINQ_OK && values <= MOST_VALUES) {
        require(find_graph_fault(graph, 64 * MOST_VALUES, &operation) == NULL);
    }
    sinq_graph_free(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sinq_model_config config;
    struct sinq_error error = {0};
    char *const text = malloc(size + 1);
    require(text != NULL);
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    const int status = sinq_read_model_config("fuzz", text, &config, &error);
    require_status(status, &error);
    if (status == SINQ_OK) {
        check_config(&config);
        if ((uint64_t)config.layers * config.experts <= MOST_EXPERTS) check_graph(&config, size % 2 == 1);
    }
    sinq_model_config_free(&config);
    free(text);
    return 0;
}
