#include "quant/statistics/gram_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoint/source.h"
#include "model/input_points.h"
#include "model/outline.h"

static bool is_of_shape(const struct sinq_tensor *tensor, const struct sinq_input_point *point) {
    const uint32_t rank = point->matrices > 1 ? 3 : 2;
    if (tensor->dtype != SINQ_F32 || tensor->rank != rank) return false;
    if (rank == 3 && tensor->shape[0] != point->matrices) return false;
    return tensor->shape[rank - 1] == point->width && tensor->shape[rank - 2] == point->width;
}

static int find_matrix(const struct sinq_source *statistics, const struct sinq_input_point *point, int64_t *found,
                       struct sinq_error *error) {
    *found = -1;
    for (size_t i = 0; i < statistics->tensor_count; i++) {
        const struct sinq_tensor *const tensor = &statistics->tensors[i];
        if (strcmp(tensor->name, point->name) != 0) continue;
        *found = (int64_t)i;
        if (is_of_shape(tensor, point)) return SINQ_OK;
        if (point->matrices > 1) {
            return sinq_fail(error, SINQ_FAILED, "%s: tensor %s is no stack of %u f32 matrices of %u rows and columns",
                             statistics->path, tensor->name, point->matrices, point->width);
        }
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s is no f32 matrix of %u rows and columns", statistics->path,
                         tensor->name, point->width);
    }
    if (point->is_optional) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: has no statistics of the input of %s", statistics->path, point->name);
}

static struct sinq_gram_place find_place(const struct sinq_graph *graph, const struct sinq_input_points *points,
                                         const int64_t *of_point, uint32_t want) {
    const int64_t number = points->of_want[want];
    const struct sinq_gram_place none = {-1, 0, false};
    if (number < 0) return none;
    const struct sinq_input_point *const point = &points->points[number];
    if (of_point[number] < 0) {
        return point->fallback < 0 ? none : (struct sinq_gram_place){of_point[point->fallback], 0, false};
    }
    if (point->matrices == 1) return (struct sinq_gram_place){of_point[number], 0, false};
    const bool is_stack = graph->wants[want].expert >= 0;
    return (struct sinq_gram_place){of_point[number], is_stack ? 0 : points->matrix_of_want[want], is_stack};
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
        if (tensor >= 0 && points->of_want[i] >= 0) {
            index->of_tensor[tensor] = find_place(outline->graph, points, of_point, i);
        }
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
                                      .held = {-1, 0, false}};
    if (index->of_tensor == NULL) return sinq_fail_memory(error, "statistics", source->tensor_count);
    for (size_t i = 0; i < source->tensor_count; i++) index->of_tensor[i] = (struct sinq_gram_place){-1, 0, false};
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
    *index = (struct sinq_gram_index){.held = {-1, 0, false}};
}

static int hold_matrix(struct sinq_gram_index *index, struct sinq_gram_place place, uint64_t cols,
                       struct sinq_error *error) {
    const struct sinq_source *const statistics = index->statistics;
    const uint64_t bytes = cols * cols * sizeof(float);
    if (place.tensor == index->held.tensor && place.first == index->held.first) return SINQ_OK;
    free(index->values);
    index->held.tensor = -1;
    index->values = malloc((size_t)bytes);
    if (index->values == NULL) return sinq_fail_memory(error, "statistics of a layer", bytes);
    const int status =
        statistics->ops->read_bytes(statistics, (size_t)place.tensor, place.first * bytes, bytes, index->values, error);
    if (status == SINQ_OK) index->held = place;
    return status;
}

int sinq_read_gram(struct sinq_gram_index *index, size_t tensor, uint64_t matrix, uint64_t cols, const float **gram,
                   struct sinq_error *error) {
    struct sinq_gram_place place = {-1, 0, false};
    if (index->of_tensor != NULL) place = index->of_tensor[tensor];
    *gram = NULL;
    if (place.tensor < 0) return SINQ_OK;
    const struct sinq_tensor *const found = &index->statistics->tensors[place.tensor];
    if (place.is_stack) place.first += matrix;
    /* A model's config may say other widths and numbers than its tensors have. */
    if (found->shape[found->rank - 1] != cols || (found->rank == 3 && place.first >= found->shape[0])) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s is of %llu inputs, expected %llu", index->statistics->path,
                         found->name, (unsigned long long)found->shape[found->rank - 1], (unsigned long long)cols);
    }
    const int status = hold_matrix(index, place, cols, error);
    if (status == SINQ_OK) *gram = index->values;
    return status;
}
