#include "quant/gram_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoint/source.h"
#include "model/input_points.h"
#include "model/outline.h"

static int find_matrix(const struct sinq_source *statistics, const struct sinq_input_point *point, int64_t *found,
                       struct sinq_error *error) {
    for (size_t i = 0; i < statistics->tensor_count; i++) {
        const struct sinq_tensor *const tensor = &statistics->tensors[i];
        if (strcmp(tensor->name, point->name) != 0) continue;
        if (tensor->dtype == SINQ_F32 && tensor->rank == 2 && tensor->shape[0] == point->width &&
            tensor->shape[1] == point->width) {
            *found = (int64_t)i;
            return SINQ_OK;
        }
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s is no f32 matrix of %u rows and columns", statistics->path,
                         tensor->name, point->width);
    }
    return sinq_fail(error, SINQ_FAILED, "%s: has no statistics of the input of %s", statistics->path, point->name);
}

static int match_tensors(const struct sinq_outline *outline, const struct sinq_input_points *points,
                         struct sinq_gram_index *index, struct sinq_error *error) {
    int64_t *const of_point = calloc(points->count + 1, sizeof *of_point);
    int status = of_point == NULL ? sinq_fail_memory(error, "statistics", points->count) : SINQ_OK;
    for (size_t i = 0; i < points->count && status == SINQ_OK; i++) {
        status = find_matrix(index->statistics, &points->points[i], &of_point[i], error);
    }
    for (uint32_t i = 0; i < outline->graph->want_count && status == SINQ_OK; i++) {
        char name[180];
        const struct sinq_want *const want = &outline->graph->wants[i];
        (void)snprintf(name, sizeof name, "%.159s%.15s", want->module, want->suffix);
        const int64_t tensor = sinq_name_index_find(outline->names, name);
        if (tensor >= 0 && points->of_want[i] >= 0) index->of_tensor[tensor] = of_point[points->of_want[i]];
    }
    free(of_point);
    return status;
}

int sinq_open_gram_index(const struct sinq_source *source, const struct sinq_source *statistics,
                         struct sinq_gram_index *index, struct sinq_error *error) {
    struct sinq_outline outline;
    struct sinq_input_points points = {.count = 0};
    *index = (struct sinq_gram_index){.statistics = statistics,
                                      .of_tensor = malloc((source->tensor_count + 1) * sizeof *index->of_tensor),
                                      .held = -1};
    if (index->of_tensor == NULL) return sinq_fail_memory(error, "statistics", source->tensor_count);
    for (size_t i = 0; i < source->tensor_count; i++) index->of_tensor[i] = -1;
    int status = sinq_outline_model(source, &outline, error);
    if (status == SINQ_OK) status = sinq_find_input_points(outline.graph, &points, error);
    if (status == SINQ_OK) status = match_tensors(&outline, &points, index, error);
    sinq_free_input_points(&points);
    sinq_free_outline(&outline);
    return status;
}

void sinq_free_gram_index(struct sinq_gram_index *index) {
    free(index->of_tensor);
    free(index->values);
    *index = (struct sinq_gram_index){.held = -1};
}

int sinq_read_gram(struct sinq_gram_index *index, size_t tensor, uint64_t cols, const float **gram,
                   struct sinq_error *error) {
    const int64_t wanted = index->of_tensor == NULL ? -1 : index->of_tensor[tensor];
    *gram = NULL;
    if (wanted < 0) return SINQ_OK;
    /* A model's config may say other widths than its tensors have. */
    if (index->statistics->tensors[wanted].shape[0] != cols) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s is of %llu inputs, expected %llu", index->statistics->path,
                         index->statistics->tensors[wanted].name,
                         (unsigned long long)index->statistics->tensors[wanted].shape[0], (unsigned long long)cols);
    }
    if (wanted != index->held) {
        const uint64_t bytes = index->statistics->tensors[wanted].bytes;
        free(index->values);
        index->held = -1;
        index->values = malloc((size_t)bytes);
        if (index->values == NULL) return sinq_fail_memory(error, "statistics of a layer", bytes);
        const int status =
            index->statistics->ops->read_bytes(index->statistics, (size_t)wanted, 0, bytes, index->values, error);
        if (status != SINQ_OK) return status;
        index->held = wanted;
    }
    *gram = index->values;
    return SINQ_OK;
}
