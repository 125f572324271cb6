/*
 * job_reference.c: layers on their way into the reference implementation's layout, quantized, or taken over from our own; and from that
 * layout into ours. One matrix is in memory at a time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "checkpoint/source.h"
#include "quant/job_state.h"
#include "quant/matrix/rounding.h"
#include "tensor/method.h"

/* A layer in hand. */
struct layer {
    struct sinq_quantize_job *job;
    size_t position;
    struct sinq_reference_matrix *matrix;
    struct sinq_unit_matrix units;
    struct sinq_plain_matrix plain;
    uint8_t *bytes;
    uint64_t size;
    struct sinq_matrix_bytes found; /* of a layer that is taken over, in place of units */
    float *weights;                 /* a panel of rows for each thread */
    double *row_errors, *row_norms;
};

static uint64_t count_row_groups(const struct layer *layer) { return layer->matrix->cols / layer->matrix->group; }

static int allocate(struct layer *layer) {
    const struct sinq_reference_matrix *const m = layer->matrix;
    const char *const name = sinq_job_tensor(layer->job, layer->position)->name;
    struct sinq_reference_parts parts;
    sinq_measure_reference(m, &parts);
    layer->size = parts.bytes;
    layer->bytes = malloc((size_t)parts.bytes);
    layer->weights = malloc((size_t)(SINQ_PANEL_ROWS * m->cols * layer->job->recipe->threads) * sizeof *layer->weights);
    layer->row_errors = calloc((size_t)m->rows, sizeof *layer->row_errors);
    layer->row_norms = calloc((size_t)m->rows, sizeof *layer->row_norms);
    if (layer->bytes == NULL || layer->weights == NULL || layer->row_errors == NULL || layer->row_norms == NULL) {
        return sinq_fail_memory(layer->job->error, name, parts.bytes);
    }
    return sinq_allocate_plain(m->rows, m->cols, count_row_groups(layer), m->is_tiled ? m->rows / m->group : 1, name,
                               &layer->plain, layer->job->error);
}

static void free_layer(struct layer *layer) {
    sinq_free_units(&layer->units);
    sinq_free_plain(&layer->plain);
    free(layer->found.owned);
    free(layer->bytes);
    free(layer->weights);
    free(layer->row_errors);
    free(layer->row_norms);
}

static int pack(struct layer *layer, float factor, bool is_kept) {
    struct sinq_quantize_job *const job = layer->job;
    struct sinq_tensor_note *const note = &job->notes[layer->position];
    char where[400];
    (void)snprintf(where, sizeof where, "%.150s: tensor %.200s", sinq_source_path(job->source),
                   sinq_job_tensor(job, layer->position)->name);
    const int status =
        sinq_pack_reference(layer->matrix, &layer->plain, factor, is_kept, where, layer->bytes, job->error);
    note->has_exponents = layer->matrix->has_exponents;
    note->factor_exponent = layer->matrix->factor_exponent;
    note->shift = layer->matrix->shift;
    note->bytes = layer->size;
    return status;
}

/* ---- errors ---- */

/* Rows [first, first + count) of the weights as the source has them. */
static void read_weights(const struct layer *layer, uint64_t first, uint64_t count, float *weights) {
    const struct sinq_unit_matrix *const units = &layer->units;
    if (layer->found.bytes != NULL) {
        sinq_dual_scale_decode(&layer->found.matrix, &layer->found.sizes, layer->found.bytes, first, count, weights);
        return;
    }
    for (uint64_t u = 0; u < units->unit_count; u++) {
        const struct sinq_tile tile = sinq_unit_tile(units, u);
        for (uint64_t i = 0; i < count * tile.cols; i++) {
            const size_t row = (size_t)(i / tile.cols), j = (size_t)(i % tile.cols);
            weights[row * units->cols + u * units->unit_cols + j] =
                ldexpf(sinq_tile_value(&tile, (size_t)first + row, j), units->exponent);
        }
    }
}

/* The squared error of one row as it is stored, and its norm. */
static void measure_row(const struct layer *layer, uint64_t row, const float *weights) {
    const struct sinq_reference_matrix *const m = layer->matrix;
    unsigned count;
    const float *const levels = sinq_method_levels(m->method, &count);
    const float *const column = layer->plain.column + (m->is_tiled ? row / m->group * m->cols : 0);
    double error = 0, norm = 0;
    for (uint64_t k = 0; k < m->cols; k++) {
        const uint64_t entry = row * count_row_groups(layer) + k / m->group;
        const uint8_t code = layer->plain.codes[row * m->cols + k];
        const float level = levels != NULL ? levels[code] : (float)code;
        const float value = layer->plain.scale[entry] * (level - layer->plain.zero[entry]) * column[k];
        const double weight = (double)weights[k], difference = weight - (double)value;
        error += difference * difference;
        norm += weight * weight;
    }
    layer->row_errors[row] = error;
    layer->row_norms[row] = norm;
}

static void measure_panel(void *context, uint64_t panel, unsigned worker) {
    const struct layer *const layer = context;
    const uint64_t first = panel * SINQ_PANEL_ROWS, cols = layer->matrix->cols;
    const uint64_t count = sinq_min_u64(SINQ_PANEL_ROWS, layer->matrix->rows - first);
    float *const weights = layer->weights + worker * SINQ_PANEL_ROWS * cols;
    read_weights(layer, first, count, weights);
    for (uint64_t i = 0; i < count; i++) measure_row(layer, first + i, weights + i * cols);
}

static void measure_errors(struct layer *layer) {
    struct sinq_tensor_note *const note = &layer->job->notes[layer->position];
    const uint64_t panels = sinq_divide_up(layer->matrix->rows, SINQ_PANEL_ROWS);
    sinq_parallel_for(layer->job->recipe->threads, panels, measure_panel, layer);
    for (uint64_t row = 0; row < layer->matrix->rows; row++) {
        note->error_square += layer->row_errors[row];
        note->norm_square += layer->row_norms[row];
    }
}

/* ---- quantized ---- */

static int quantize_layer(struct layer *layer) {
    struct sinq_quantize_job *const job = layer->job;
    const struct sinq_recipe_entry *const entry = sinq_job_entry(job, layer->position);
    struct sinq_tensor_note *const note = &job->notes[layer->position];
    const uint64_t replaced = job->loader.nonfinite_replaced;
    struct sinq_matrix_outcome outcome;
    struct sinq_hash hash;
    int status = sinq_load_matrix(&job->loader, job->order[layer->position], 0, false, entry->group_size, &layer->units,
                                  &hash, job->error);
    if (status == SINQ_OK) status = allocate(layer);
    if (status != SINQ_OK) return status;
    struct sinq_hasher *const hasher = sinq_hasher_create();
    if (hasher == NULL) return sinq_fail_memory(job->error, "a hash", 1);
    sinq_hasher_update(hasher, &hash, sizeof hash);
    note->source_hash = sinq_hasher_finish(hasher);
    note->nonfinite = job->loader.nonfinite_replaced - replaced;
    const struct sinq_matrix_method method = {.method = entry->method,
                                              .bits = (unsigned)entry->bits,
                                              .tiling_2d = layer->matrix->is_tiled,
                                              .kurtosis_gate = job->recipe->kurtosis_gate,
                                              .threads = job->recipe->threads};
    status = sinq_quantize_plain(&layer->units, &method, &layer->plain, &outcome, job->error);
    if (status != SINQ_OK) return status;
    note->gated = outcome.was_gated;
    layer->matrix->method = outcome.method;
    status = pack(layer, 1.0F, false);
    if (status == SINQ_OK) measure_errors(layer);
    return status;
}

/* ---- taken over ---- */

/* What the reference's formula has no place for; NULL: nothing. */
static const char *find_obstacle(const struct sinq_matrix_bytes *found) {
    const struct sinq_dual_scale *const m = &found->matrix;
    unsigned count;
    const float *const levels = sinq_method_levels(m->method, &count);
    if (m->has_minima) return "it has no minima";
    if (m->transposed || m->stack_count != 0) return "it has no transposed matrices and no stacks";
    if ((m->levels != SINQ_LEVELS_UNIFORM) != (levels != NULL)) return "it has no levels but NF4's and NF3's";
    if (levels == NULL) return NULL;
    const bool is_known = count >= 1U << m->bits && memcmp(found->bytes + found->sizes.levels_offset, levels,
                                                           (1U << m->bits) * sizeof *levels) == 0;
    return is_known ? NULL : "it has no levels but NF4's and NF3's";
}

static int take_over_layer(struct layer *layer) {
    struct sinq_quantize_job *const job = layer->job;
    struct sinq_matrix_bytes *const found = &layer->found;
    const size_t tensor = job->order[layer->position];
    int status = sinq_fetch_matrix(job->source, tensor, 0, NULL, found, job->error);
    if (status != SINQ_OK) return status;
    const char *const why = find_obstacle(found);
    if (why != NULL) {
        return sinq_fail(job->error, SINQ_FAILED, "%s: tensor %s: the reference's layout cannot hold it: %s",
                         sinq_source_path(job->source), sinq_source_tensor(job->source, tensor)->name, why);
    }
    status = allocate(layer);
    if (status != SINQ_OK) return status;
    sinq_unpack_plain(&found->matrix, &found->sizes, found->bytes, &layer->plain);
    status = pack(layer, found->matrix.factor, true);
    if (status == SINQ_OK) measure_errors(layer);
    return status;
}

/* The source's bytes: a later run sees by them whether it is still the same. */
static int hash_source(struct sinq_quantize_job *job, size_t position) {
    return sinq_copy_tensor(&job->loader, job->order[position], NULL, NULL, &job->notes[position].source_hash,
                            job->error);
}

int sinq_job_write_reference(struct sinq_quantize_job *job, size_t position) {
    struct layer layer = {.job = job, .position = position, .matrix = &job->references[position]};
    const bool repacks = job->recipe->repacks;
    int status = sinq_job_report(job, repacks ? "copying" : "quantizing", position);
    if (status == SINQ_OK) status = job->sink->ops->begin_tensor(job->sink, position, job->error);
    if (status == SINQ_OK) status = repacks ? take_over_layer(&layer) : quantize_layer(&layer);
    if (status == SINQ_OK && repacks) status = hash_source(job, position);
    if (status == SINQ_OK) status = job->sink->ops->write(job->sink, layer.bytes, layer.size, job->error);
    free_layer(&layer);
    if (status != SINQ_OK) return status;
    job->bytes_done += sinq_job_tensor(job, position)->bytes;
    return sinq_job_end_tensor(job, position, job->error);
}

int sinq_job_repack(struct sinq_quantize_job *job, size_t position) {
    const struct sinq_tensor *const tensor = sinq_job_tensor(job, position);
    struct sinq_matrix_bytes found = {.bytes = NULL};
    int status = sinq_job_report(job, "copying", position);
    if (status == SINQ_OK) status = job->sink->ops->begin_tensor(job->sink, position, job->error);
    if (status == SINQ_OK) {
        status = sinq_fetch_matrix(job->source, job->order[position], 0, NULL, &found, job->error);
    }
    if (status == SINQ_OK && found.bytes == NULL) {
        status = sinq_fail(job->error, SINQ_FAILED,
                           "%s: tensor %s: its codes or column scales are beyond what our layout holds",
                           sinq_source_path(job->source), tensor->name);
    }
    if (status == SINQ_OK) status = hash_source(job, position);
    if (status == SINQ_OK) status = job->sink->ops->write(job->sink, found.bytes, found.size, job->error);
    free(found.owned);
    if (status != SINQ_OK) return status;
    job->notes[position].bytes = found.size;
    job->bytes_done += tensor->bytes;
    return sinq_job_end_tensor(job, position, job->error);
}

/* ---- the plan, and the end ---- */

void sinq_job_plan_reference(struct sinq_quantize_job *job, size_t position) {
    struct sinq_sink_tensor *const planned = &job->planned[position];
    job->references[position] = sinq_describe_reference_layer(sinq_job_tensor(job, position),
                                                              sinq_job_entry(job, position), job->recipe->tiling_2d);
    planned->dtype = SINQ_U8; /* of bytes that are several tensors */
    planned->reference = &job->references[position];
}

void sinq_job_recall_reference(struct sinq_quantize_job *job, size_t position) {
    struct sinq_reference_matrix *const matrix = &job->references[position];
    const struct sinq_tensor_note *const note = &job->notes[position];
    if (note->gated > 0) matrix->method = sinq_drop_normalization(matrix->method);
    matrix->has_exponents = note->has_exponents;
    matrix->factor_exponent = note->factor_exponent;
    matrix->shift = note->shift;
}

/* Linear layers that are kept, as transformers wants them named. */
static void print_kept(const struct sinq_quantize_job *job, struct sinq_text *text) {
    bool is_first = true;
    for (size_t i = 0; i < job->count; i++) {
        const struct sinq_recipe_entry *const entry = sinq_job_entry(job, i);
        const char *const name = job->planned[i].name;
        const size_t size = strlen(name);
        const bool is_head = strcmp(name, "lm_head.weight") == 0;
        if (entry->action != SINQ_KEEP || (!entry->is_linear && !is_head) || size < 8) continue;
        if (strcmp(name + size - 7, ".weight") != 0) continue;
        struct sinq_text layer = {0};
        sinq_text_add_bytes(&layer, name, size - 7);
        sinq_text_add(text, is_first ? "" : ", ");
        sinq_text_add_json(text, layer.failed ? "" : layer.data);
        text->failed |= layer.failed;
        sinq_text_free(&layer);
        is_first = false;
    }
}

/* What transformers' SinqConfig and the reference's loader look for: a layer's own facts are in the sidecar. */
char *sinq_job_print_reference(const struct sinq_quantize_job *job) {
    const struct sinq_recipe_summary *const usual = &job->recipe->summary;
    unsigned long long group_size = usual->group_size;
    for (size_t i = 0; i < job->count && usual->group_size == SINQ_GROUP_ROW; i++) {
        group_size = sinq_max_u64(group_size, job->references[i].group_size);
    }
    struct sinq_text text = {0};
    sinq_text_print(&text,
                    "{\"quant_method\": \"sinq\", \"nbits\": %d, \"group_size\": %llu, \"tiling_mode\": \"%s\", "
                    "\"method\": \"sinq\", \"modules_to_not_convert\": [",
                    usual->bits, group_size, job->recipe->tiling_2d ? "2D" : "1D");
    print_kept(job, &text);
    sinq_text_add(&text, "], \"sinq\": true, \"backend\": \"sinq\", \"quantization_method\": \"sinq\", "
                         "\"sinq_version\": \"auto\"}");
    if (!text.failed) return text.data;
    sinq_text_free(&text);
    return NULL;
}
