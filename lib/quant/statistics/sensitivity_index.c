#include "quant/statistics/sensitivity_index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/name_index.h"
#include "checkpoint/source.h"
#include "model/outline.h"
#include "model/placement.h"
#include "quant/statistics/sensitive_weights.h"

static int read_value(const struct sinq_source *statistics, size_t tensor, double *value, struct sinq_error *error) {
    const struct sinq_tensor *const found = &statistics->tensors[tensor];
    float stored = -1;
    if (found->dtype == SINQ_F32 && sinq_count_values(found) == 1) {
        const int status = sinq_read_bytes(statistics, tensor, 0, sizeof stored, &stored, error);
        if (status != SINQ_OK) return status;
    }
    *value = (double)stored;
    if (isfinite(*value) && *value >= 0) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %s is no sensitivity, expected one f32 number from 0",
                     statistics->path, found->name);
}

/* An index from names to the statistics' tensors. */
static struct sinq_name_index *index_names(const struct sinq_source *statistics) {
    struct sinq_name_index *const names = sinq_name_index_create(statistics->tensor_count);
    for (size_t i = 0; names != NULL && i < statistics->tensor_count; i++) {
        (void)sinq_name_index_add(names, statistics->tensors[i].name, i);
    }
    return names;
}

/* of_subject[weights->count] */
static int read_values(const struct sinq_source *statistics, const struct sinq_sensitive_weights *weights,
                       double *of_subject, struct sinq_error *error) {
    struct sinq_name_index *const names = index_names(statistics);
    int status = names == NULL ? sinq_fail_memory(error, "sensitivities", statistics->tensor_count) : SINQ_OK;
    for (size_t i = 0; i < weights->count && status == SINQ_OK; i++) {
        const int64_t tensor = sinq_name_index_find(names, weights->names[i]);
        if (tensor >= 0) status = read_value(statistics, (size_t)tensor, &of_subject[i], error);
    }
    sinq_name_index_free(names);
    return status;
}

static int64_t find_tensor(const struct sinq_outline *outline, uint32_t number) {
    char name[180];
    const struct sinq_want *const want = &outline->graph->wants[number];
    (void)snprintf(name, sizeof name, "%.159s%.15s", want->module, want->suffix);
    return sinq_name_index_find(outline->names, name);
}

/* Tensors of one subject share its sensitivity. */
static int share_out(const struct sinq_outline *outline, const struct sinq_sensitive_weights *weights,
                     const double *of_subject, size_t tensor_count, double *of_tensor, struct sinq_error *error) {
    size_t *const subject_of = malloc((tensor_count + 1) * sizeof *subject_of);
    size_t *const tensors = calloc(weights->count + 1, sizeof *tensors);
    int status = SINQ_OK;
    if (subject_of == NULL || tensors == NULL) {
        status = sinq_fail_memory(error, "sensitivities", (tensor_count + weights->count) * sizeof *tensors);
    }
    for (size_t i = 0; i < tensor_count && status == SINQ_OK; i++) subject_of[i] = SIZE_MAX;
    for (size_t i = 0; i < weights->use_count && status == SINQ_OK; i++) {
        const int64_t tensor = find_tensor(outline, weights->uses[i].want);
        if (tensor < 0 || subject_of[tensor] != SIZE_MAX) continue;
        subject_of[tensor] = weights->uses[i].subject;
        tensors[weights->uses[i].subject]++;
    }
    for (size_t i = 0; i < tensor_count && status == SINQ_OK; i++) {
        const size_t subject = subject_of[i];
        of_tensor[i] = subject == SIZE_MAX ? 0 : of_subject[subject] / (double)tensors[subject];
    }
    free(subject_of);
    free(tensors);
    return status;
}

static int read_model(const struct sinq_source *source, const struct sinq_source *statistics,
                      const struct sinq_outline *outline, double *of_tensor, struct sinq_error *error) {
    struct sinq_sensitive_weights weights = {.count = 0};
    uint32_t *const parts = sinq_find_parts(outline->graph);
    double *of_subject = NULL;
    int status = parts == NULL ? sinq_fail_memory(error, "sensitivities", source->tensor_count) : SINQ_OK;
    if (status == SINQ_OK) status = sinq_find_sensitive_weights(outline->graph, parts, &weights, error);
    if (status == SINQ_OK) {
        of_subject = calloc(weights.count + 1, sizeof *of_subject);
        if (of_subject == NULL) status = sinq_fail_memory(error, "sensitivities", weights.count * sizeof *of_subject);
    }
    if (status == SINQ_OK) status = read_values(statistics, &weights, of_subject, error);
    if (status == SINQ_OK) status = share_out(outline, &weights, of_subject, source->tensor_count, of_tensor, error);
    free(of_subject);
    free(parts);
    sinq_free_sensitive_weights(&weights);
    return status;
}

int sinq_read_sensitivities(const struct sinq_source *source, const struct sinq_source *statistics, double *of_tensor,
                            bool *is_measured, struct sinq_error *error) {
    struct sinq_outline outline;
    *is_measured = false;
    int status = sinq_outline_model(source, &outline, error);
    if (status == SINQ_OK) status = read_model(source, statistics, &outline, of_tensor, error);
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) {
        *is_measured = *is_measured || of_tensor[i] > 0;
    }
    sinq_free_outline(&outline);
    return status;
}
