/*
 * synthetic.c: a checkpoint that is made up. The graph of the shape's configuration says which tensors there are, a recipe what
 * becomes of each; their bytes lie one behind the other in memory and are used in place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/huge_memory.h"
#include "base/parallel.h"
#include "base/random_fill.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "eval/shapes.h"
#include "eval/synthetic_weights.h"
#include "model/graph.h"
#include "model/model.h"
#include "quant/recipe/recipe.h"
#include "tensor/dtype.h"

#define FILL_BYTES ((uint64_t)4 << 20)

/* What filling a tensor needs to know besides the tensor. */
struct plan {
    struct sinq_dual_scale matrix; /* of quantized ones, and of a stack each of its matrices */
    bool is_vector;
    float less; /* of norms */
};

struct synthetic {
    struct sinq_source base;
    struct sinq_shard shard;
    struct plan *plans;
    uint8_t *memory;
    uint64_t bytes;
};

static const struct synthetic *get(const struct sinq_source *source) {
    return (const struct synthetic *)(const void *)source;
}

/* ---- as a source ---- */

static int read_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error) {
    (void)error;
    memcpy(out, get(source)->memory + source->tensors[tensor].offset + offset, (size_t)size);
    return SINQ_OK;
}

static int map(const struct sinq_source *source, size_t tensor, const uint8_t **bytes, struct sinq_error *error) {
    (void)error;
    *bytes = get(source)->memory + source->tensors[tensor].offset;
    return SINQ_OK;
}

static void close_synthetic(struct sinq_source *source) {
    struct synthetic *const made = (struct synthetic *)(void *)source;
    for (size_t i = 0; source->tensors != NULL && i < source->tensor_count; i++) {
        free((void *)(uintptr_t)source->tensors[i].name);
    }
    sinq_unmap_memory(made->memory, made->bytes);
    sinq_name_index_free(source->names);
    free(source->tensors);
    free(source->checksums);
    free(source->config);
    free(source->model_type);
    free(source->path);
    free(made->plans);
    free(made);
}

/* ---- tensors ---- */

/* The tensor that a want is part of, as it would be in bf16. */
static void describe_tensor(const struct sinq_source *source, const struct sinq_want *want,
                            struct sinq_tensor *tensor) {
    const uint64_t rows = want->tensor_rows != 0 ? want->tensor_rows : want->rows;
    const uint64_t sides[2] = {rows, want->cols};
    tensor->dtype = want->is_vector ? SINQ_F32 : SINQ_BF16;
    tensor->scale_tensor = -1;
    if (want->expert >= 0) tensor->shape[tensor->rank++] = want->experts;
    const uint32_t lead = tensor->rank;
    for (int i = want->is_vector ? 1 : 0; i < 2; i++) tensor->shape[tensor->rank++] = sides[i];
    if (!want->is_vector && sinq_classify_tensor(source->model_type, tensor).is_transposed) {
        tensor->shape[lead] = sides[1];
        tensor->shape[lead + 1] = sides[0];
    }
    tensor->bytes = sinq_dtype_size(tensor->dtype);
    for (uint32_t i = 0; i < tensor->rank; i++) tensor->bytes *= tensor->shape[i];
}

/* One tensor for each name; several wants may be parts of it. */
static int add_tensor(struct synthetic *made, const struct sinq_want *want, struct sinq_error *error) {
    struct sinq_source *const source = &made->base;
    char name[200];
    (void)snprintf(name, sizeof name, "%s%.159s%.15s", strcmp(want->module, "lm_head") == 0 ? "" : "model.",
                   want->module, want->suffix);
    if (sinq_name_index_find(source->names, name) >= 0) return SINQ_OK;
    const size_t i = source->tensor_count;
    char *const copy = strdup(name);
    if (copy == NULL) return sinq_fail_memory(error, name, strlen(name));
    source->tensors[i].name = copy;
    source->tensor_count++;
    describe_tensor(source, want, &source->tensors[i]);
    made->plans[i].is_vector = want->is_vector;
    made->plans[i].less = strcmp(want->suffix, ".weight") == 0 ? want->plus : 1.0f; /* biases are around 0 */
    (void)sinq_name_index_add(source->names, copy, i);
    return SINQ_OK;
}

static int add_tensors(struct synthetic *made, struct sinq_error *error) {
    struct sinq_source *const source = &made->base;
    struct sinq_model_config config;
    struct sinq_graph *graph = NULL;
    int status = sinq_find_model_config(source, &config, error);
    if (status != SINQ_OK) return status;
    graph = sinq_graph_create(&config, NULL, NULL);
    if (graph == NULL) {
        status = sinq_fail_memory(error, "a graph", sizeof *graph);
        goto out;
    }
    config.family->build(graph, &config);
    status = sinq_graph_finish(graph, error);
    if (status != SINQ_OK) goto out;
    source->tensors = calloc(graph->want_count + 1, sizeof *source->tensors);
    source->checksums = calloc(graph->want_count + 1, sizeof *source->checksums);
    made->plans = calloc(graph->want_count + 1, sizeof *made->plans);
    source->names = sinq_name_index_create(graph->want_count);
    if (source->tensors == NULL || source->checksums == NULL || made->plans == NULL || source->names == NULL) {
        status = sinq_fail_memory(error, "tensors", graph->want_count * sizeof *source->tensors);
    }
    for (uint32_t i = 0; i < graph->want_count && status == SINQ_OK; i++) {
        if (!graph->wants[i].is_optional) status = add_tensor(made, &graph->wants[i], error);
    }
out:
    sinq_graph_free(graph);
    sinq_model_config_free(&config);
    return status;
}

/* ---- quantizing and placing ---- */

static void quantize_tensor(const struct sinq_recipe_entry *entry, struct sinq_tensor *tensor, struct plan *plan) {
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    const bool is_turned = entry->transposed;
    sinq_describe_matrix(entry, is_turned ? shape.cols : shape.rows, is_turned ? shape.rows : shape.cols,
                         &plan->matrix);
    plan->matrix.stack_count = tensor->rank == 3 ? (uint32_t)shape.count : 0;
    tensor->dtype = SINQ_DUAL_SCALE;
    tensor->bytes = entry->bytes_after;
}

static int place_tensors(struct synthetic *made, const struct sinq_synthetic_options *options,
                         struct sinq_error *error) {
    struct sinq_source *const source = &made->base;
    struct sinq_recipe *recipe;
    const int status = sinq_make_recipe(source, &options->quantize, &recipe, error);
    if (status != SINQ_OK) return status;
    for (size_t i = 0; i < source->tensor_count; i++) {
        struct sinq_tensor *const tensor = &source->tensors[i];
        const struct sinq_recipe_entry *const entry = sinq_recipe_entry(recipe, i);
        if (entry->action == SINQ_QUANTIZE) quantize_tensor(entry, tensor, &made->plans[i]);
        tensor->offset = made->bytes;
        made->bytes += sinq_round_up(tensor->bytes, SINQ_LINE_BYTES);
    }
    made->shard.bytes = made->bytes;
    sinq_recipe_free(recipe);
    if (options->memory != 0 && made->bytes > options->memory) {
        return sinq_fail(error, SINQ_FAILED, "%s: its weights take %.1f GB, and there is room for %.1f GB",
                         source->path, (double)made->bytes * 1e-9, (double)options->memory * 1e-9);
    }
    made->memory = options->small_pages ? sinq_map_small_pages(made->bytes) : sinq_map_memory(made->bytes);
    return made->memory == NULL ? sinq_fail_memory(error, source->path, made->bytes) : SINQ_OK;
}

/* ---- filling ---- */

struct stretch {
    const struct synthetic *made;
    uint64_t first; /* part */
};

static void fill_part(void *context, uint64_t item, unsigned worker) {
    const struct stretch *const stretch = context;
    const uint64_t part = stretch->first + item, at = part * FILL_BYTES;
    (void)worker;
    sinq_fill_random(part, stretch->made->memory + at, (size_t)sinq_min_u64(FILL_BYTES, stretch->made->bytes - at));
}

static void finish_tensor(void *context, uint64_t item, unsigned worker) {
    const struct synthetic *const made = context;
    const struct sinq_tensor *const tensor = &made->base.tensors[item];
    const struct plan *const plan = &made->plans[item];
    uint8_t *const bytes = made->memory + tensor->offset;
    (void)worker;
    if (plan->is_vector) {
        sinq_finish_synthetic_norm(plan->less, bytes, tensor->bytes);
    } else if (tensor->dtype == SINQ_BF16) {
        sinq_finish_synthetic_bf16(tensor->shape[tensor->rank - 1], bytes, tensor->bytes);
    } else {
        const uint32_t count = plan->matrix.stack_count == 0 ? 1 : plan->matrix.stack_count;
        struct sinq_dual_scale matrix = plan->matrix;
        for (uint32_t i = 0; i < count; i++) {
            matrix.stack_index = i;
            sinq_finish_synthetic_matrix(&matrix, bytes + tensor->bytes / count * i);
        }
    }
}

/* Stretch by stretch, so that it can be interrupted. */
static int fill(struct synthetic *made, unsigned threads, sinq_progress_fn *progress, void *user,
                struct sinq_error *error) {
    enum { PARTS_AT_ONCE = 32 };
    const uint64_t parts = sinq_divide_up(made->bytes, FILL_BYTES);
    const unsigned workers = threads != 0 ? threads : sinq_count_processors();
    struct stretch stretch = {.made = made};
    for (; stretch.first < parts; stretch.first += PARTS_AT_ONCE) {
        const struct sinq_progress report = {
            .activity = "making up weights", .bytes = stretch.first * FILL_BYTES, .bytes_total = made->bytes};
        if (progress != NULL && progress(user, &report) != 0) return sinq_fail(error, SINQ_INTERRUPTED, "interrupted");
        sinq_parallel_for(workers, sinq_min_u64(PARTS_AT_ONCE, parts - stretch.first), fill_part, &stretch);
    }
    sinq_parallel_for(workers, made->base.tensor_count, finish_tensor, made);
    return SINQ_OK;
}

/* ---- the public half ---- */

static int make(struct synthetic *made, const struct sinq_shape *shape, const struct sinq_synthetic_options *options,
                sinq_progress_fn *progress, void *user, struct sinq_error *error) {
    struct sinq_source *const source = &made->base;
    source->path = strdup(shape->name);
    source->model_type = strdup(shape->family);
    source->config = sinq_make_shape_config(shape);
    if (source->path == NULL || source->model_type == NULL || source->config == NULL) {
        return sinq_fail_memory(error, shape->name, 0);
    }
    made->shard.path = source->path;
    int status = add_tensors(made, error);
    if (status == SINQ_OK) status = place_tensors(made, options, error);
    if (status == SINQ_OK) status = fill(made, options->quantize.threads, progress, user, error);
    return status;
}

int sinq_open_synthetic(const struct sinq_synthetic_options *options, sinq_progress_fn *progress, void *user,
                        struct sinq_source **source, struct sinq_error *error) {
    static const struct sinq_source_ops ops = {.read_bytes = read_bytes, .map = map, .close = close_synthetic};
    const struct sinq_shape *const shape = sinq_find_shape(options->shape);
    if (shape == NULL) {
        return sinq_fail(error, SINQ_USAGE, "unknown shape \"%.60s\", expected one of: %s", options->shape,
                         SINQ_SHAPES);
    }
    struct synthetic *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a checkpoint", sizeof *made);
    made->base.ops = &ops;
    made->base.format = "made up in memory";
    made->base.shards = &made->shard;
    made->base.shard_count = 1;
    const int status = make(made, shape, options, progress, user, error);
    if (status == SINQ_OK) {
        *source = &made->base;
    } else {
        close_synthetic(&made->base);
    }
    return status;
}
