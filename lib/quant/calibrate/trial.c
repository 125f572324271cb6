/* trial.c: a source that quantizes and rebuilds what it is asked for. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoint/source.h"
#include "quant/calibrate/trial.h"
#include "quant/matrix/level_search.h"
#include "quant/matrix/load.h"
#include "quant/matrix/matrix.h"
#include "quant/recipe/recipe.h"

struct trial {
    struct sinq_source base;
    const struct sinq_source *origin;
    const struct sinq_recipe *recipe;
    /* One matrix is quantized at a time; the threads that ask for rows of it wait. */
    pthread_mutex_t lock;
    struct sinq_loader loader;
    struct sinq_unit_matrix units;
    struct sinq_blob blob;
    uint64_t blob_bytes;
    float *rebuilt; /* of the matrix below, in the orientation of the named tensor */
    uint64_t rebuilt_capacity;
    bool has_matrix, has_values; /* as a blob; as numbers, too */
    size_t tensor;
    uint64_t index;
    const float *gram;
    uint64_t gram_width;
};

static int read_origin_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                             struct sinq_error *error) {
    return sinq_read_bytes(((const struct trial *)(const void *)source)->origin, tensor, offset, size, out, error);
}

static int read_origin_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                               struct sinq_error *error) {
    return sinq_source_read_sidecar(((const struct trial *)(const void *)source)->origin, index, data, size, error);
}

static void close_trial(struct sinq_source *source) {
    struct trial *const trial = (struct trial *)(void *)source;
    sinq_free_loader(&trial->loader);
    sinq_free_units(&trial->units);
    free(trial->blob.bytes);
    free(trial->rebuilt);
    free(trial->base.tensors);
    pthread_mutex_destroy(&trial->lock);
    free(trial);
}

/* ---- rebuilding ---- */

/* [rows][cols] to [cols][rows], in place of what `rebuilt` holds. */
static int transpose(float *rebuilt, uint64_t rows, uint64_t cols, struct sinq_error *error) {
    float *const copy = malloc((size_t)(rows * cols) * sizeof *copy);
    if (copy == NULL) return sinq_fail_memory(error, "a transposed matrix", rows * cols * sizeof *copy);
    memcpy(copy, rebuilt, (size_t)(rows * cols) * sizeof *copy);
    for (uint64_t r = 0; r < rows; r++) {
        for (uint64_t k = 0; k < cols; k++) rebuilt[k * rows + r] = copy[r * cols + k];
    }
    free(copy);
    return SINQ_OK;
}

static int rebuild_stored(struct trial *trial, const struct sinq_matrix_method *method,
                          const struct sinq_recipe_entry *entry, bool has_values, struct sinq_error *error) {
    struct sinq_dual_scale description;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_matrix_outcome outcome;
    sinq_describe_matrix(entry, trial->units.rows, trial->units.cols, &description);
    const int status = sinq_quantize_packed(&trial->units, method, &description, &trial->blob, &outcome, error);
    if (status != SINQ_OK) return status;
    if (!sinq_dual_scale_measure(&description, &sizes)) return SINQ_FAILED;
    trial->blob_bytes = sizes.bytes;
    if (has_values)
        sinq_dual_scale_decode(&description, &sizes, trial->blob.bytes, 0, description.rows, trial->rebuilt);
    return SINQ_OK;
}

static void combine_plain(struct trial *trial, enum sinq_method method, unsigned bits,
                          const struct sinq_plain_matrix *plain) {
    const uint64_t cols = trial->units.cols;
    const uint64_t group = trial->units.group_size == 0 ? cols : trial->units.group_size;
    const uint64_t groups = sinq_divide_up(cols, group);
    unsigned count;
    struct sinq_byte_levels bytes;
    const float *levels = sinq_method_levels(method, &count);
    if (sinq_method_has_byte_levels(method)) {
        sinq_find_byte_levels(bits, trial->units.group_size, &bytes);
        levels = bytes.above_centre.level;
    }
    for (uint64_t r = 0; r < trial->units.rows; r++) {
        const float *const column = plain->column + r / group * cols;
        for (uint64_t k = 0; k < cols; k++) {
            const uint64_t at = r * cols + k, entry = r * groups + k / group;
            const float level = levels != NULL ? levels[plain->codes[at]] : (float)plain->codes[at];
            trial->rebuilt[at] = (level - plain->zero[entry]) * plain->scale[entry] * column[k];
        }
    }
}

/* 2-D tiling: the paper's quantities, as no layout of ours stores them. */
static int rebuild_plain(struct trial *trial, const struct sinq_matrix_method *method, struct sinq_error *error) {
    const uint64_t rows = trial->units.rows, cols = trial->units.cols;
    const uint64_t group = trial->units.group_size == 0 ? cols : trial->units.group_size;
    const size_t entries = (size_t)(rows * sinq_divide_up(cols, group)), tiles = (size_t)sinq_divide_up(rows, group);
    struct sinq_plain_matrix plain = {.codes = malloc((size_t)(rows * cols)),
                                      .scale = malloc(entries * sizeof(float)),
                                      .zero = malloc(entries * sizeof(float)),
                                      .column = malloc(tiles * (size_t)cols * sizeof(float))};
    struct sinq_matrix_outcome outcome;
    int status = SINQ_OK;
    if (plain.codes == NULL || plain.scale == NULL || plain.zero == NULL || plain.column == NULL) {
        status = sinq_fail_memory(error, "a quantized matrix", rows * cols);
    } else {
        status = sinq_quantize_plain(&trial->units, method, &plain, &outcome, error);
    }
    if (status == SINQ_OK) combine_plain(trial, outcome.method, method->bits, &plain);
    free(plain.codes);
    free(plain.scale);
    free(plain.zero);
    free(plain.column);
    return status;
}

/* Room for the values of a matrix. */
static int grow_rebuilt(struct trial *trial, uint64_t values, struct sinq_error *error) {
    if (values <= trial->rebuilt_capacity) return SINQ_OK;
    free(trial->rebuilt);
    trial->rebuilt_capacity = 0;
    trial->rebuilt = malloc((size_t)values * sizeof *trial->rebuilt);
    if (trial->rebuilt == NULL) return sinq_fail_memory(error, "a rebuilt matrix", values * sizeof(float));
    trial->rebuilt_capacity = values;
    return SINQ_OK;
}

/* As a blob and, with `has_values`, as numbers. Of 2-D tiling there is no blob. */
static int rebuild_matrix(struct trial *trial, size_t tensor, uint64_t index, bool has_values,
                          struct sinq_error *error) {
    const struct sinq_recipe_entry *const entry = sinq_recipe_entry(trial->recipe, tensor);
    struct sinq_hash hash;
    trial->has_matrix = false;
    int status = sinq_load_matrix(&trial->loader, tensor, index, entry->transposed, entry->group_size, &trial->units,
                                  &hash, error);
    if (status != SINQ_OK) return status;
    if (has_values) status = grow_rebuilt(trial, trial->units.rows * trial->units.cols, error);
    if (status != SINQ_OK) return status;
    const struct sinq_matrix_method method = {.method = entry->method,
                                              .bits = (unsigned)entry->bits,
                                              .effort = trial->recipe->effort,
                                              .tiling_2d = trial->recipe->tiling_2d,
                                              .kurtosis_gate = trial->recipe->kurtosis_gate,
                                              .gram = trial->gram_width == trial->units.cols ? trial->gram : NULL,
                                              .threads = trial->recipe->threads};
    status = method.tiling_2d ? rebuild_plain(trial, &method, error)
                              : rebuild_stored(trial, &method, entry, has_values, error);
    if (status == SINQ_OK && has_values && entry->transposed) {
        status = transpose(trial->rebuilt, trial->units.rows, trial->units.cols, error);
    }
    trial->has_matrix = status == SINQ_OK;
    trial->has_values = has_values;
    trial->tensor = tensor;
    trial->index = index;
    return status;
}

static int read_trial_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count, float *out,
                           struct sinq_error *error) {
    /* A source is const to its readers; what changes here is only what it remembers, under its lock. */
    struct trial *const trial = (struct trial *)(uintptr_t)source;
    if (sinq_recipe_entry(trial->recipe, tensor)->action != SINQ_QUANTIZE) {
        return sinq_read_rows(trial->origin, tensor, first, count, out, error);
    }
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&trial->base.tensors[tensor]);
    int status = SINQ_OK;
    pthread_mutex_lock(&trial->lock);
    while (count > 0) {
        const uint64_t index = first / shape.rows, row = first % shape.rows;
        const uint64_t now = sinq_min_u64(count, shape.rows - row);
        if (!trial->has_matrix || !trial->has_values || trial->tensor != tensor || trial->index != index) {
            status = rebuild_matrix(trial, tensor, index, true, error);
            if (status != SINQ_OK) break;
        }
        memcpy(out, trial->rebuilt + row * shape.cols, (size_t)(now * shape.cols) * sizeof *out);
        first += now;
        count -= now;
        out += now * shape.cols;
    }
    pthread_mutex_unlock(&trial->lock);
    return status;
}

/* A kept tensor that is quantized already. */
static int copy_origin_matrix(const struct sinq_source *origin, size_t tensor, uint64_t index, uint8_t **blob,
                              uint64_t *bytes, struct sinq_error *error) {
    struct sinq_matrix_bytes matrix;
    const int status = sinq_fetch_matrix(origin, tensor, index, NULL, &matrix, error);
    if (status != SINQ_OK || matrix.bytes == NULL) return status;
    *bytes = matrix.size;
    *blob = matrix.owned != NULL ? matrix.owned : aligned_alloc(SINQ_LINE_BYTES, (size_t)matrix.size);
    if (*blob == NULL) return sinq_fail_memory(error, "a quantized matrix", matrix.size);
    if (matrix.owned == NULL) memcpy(*blob, matrix.bytes, (size_t)matrix.size);
    return SINQ_OK;
}

static int read_trial_matrix(const struct sinq_source *source, size_t tensor, uint64_t index, uint8_t **blob,
                             uint64_t *bytes, struct sinq_error *error) {
    struct trial *const trial = (struct trial *)(uintptr_t)source;
    *blob = NULL;
    if (sinq_recipe_entry(trial->recipe, tensor)->action != SINQ_QUANTIZE) {
        return copy_origin_matrix(trial->origin, tensor, index, blob, bytes, error);
    }
    if (trial->recipe->tiling_2d) return SINQ_OK;
    pthread_mutex_lock(&trial->lock);
    const bool is_there = trial->has_matrix && trial->tensor == tensor && trial->index == index;
    const int status = is_there ? SINQ_OK : rebuild_matrix(trial, tensor, index, false, error);
    if (status == SINQ_OK) {
        *bytes = trial->blob_bytes;
        *blob = aligned_alloc(SINQ_LINE_BYTES, (size_t)trial->blob_bytes); /* a blob is a multiple of a line */
        if (*blob != NULL) memcpy(*blob, trial->blob.bytes, (size_t)trial->blob_bytes);
    }
    pthread_mutex_unlock(&trial->lock);
    return status == SINQ_OK && *blob == NULL ? sinq_fail_memory(error, "a quantized matrix", *bytes) : status;
}

static int describe_trial_matrix(const struct sinq_source *source, size_t tensor, uint64_t index,
                                 struct sinq_matrix_info *info, struct sinq_error *error) {
    const struct trial *const trial = (const struct trial *)(const void *)source;
    const struct sinq_recipe_entry *const entry = sinq_recipe_entry(trial->recipe, tensor);
    if (entry == NULL || entry->action != SINQ_QUANTIZE) {
        return sinq_source_matrix_info(trial->origin, tensor, index, info, error);
    }
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&trial->base.tensors[tensor]);
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    sinq_describe_matrix(entry, entry->transposed ? shape.cols : shape.rows,
                         entry->transposed ? shape.rows : shape.cols, &matrix);
    if (!sinq_dual_scale_measure(&matrix, &sizes)) return SINQ_FAILED; /* the recipe measured it: it fits */
    *info = sinq_dual_scale_info(&matrix, &sizes);
    return SINQ_OK;
}

int sinq_open_trial(const struct sinq_source *source, const struct sinq_recipe *recipe, struct sinq_source **trial,
                    struct sinq_error *error) {
    static const struct sinq_source_ops ops = {.read_bytes = read_origin_bytes,
                                               .read_sidecar = read_origin_sidecar,
                                               .close = close_trial,
                                               .read_rows = read_trial_rows,
                                               .matrix_info = describe_trial_matrix,
                                               .read_matrix = read_trial_matrix};
    struct trial *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a trial", sizeof *made);
    made->base = *source;
    made->base.ops = &ops;
    made->base.checksums = NULL;
    made->base.tensors = malloc((source->tensor_count + 1) * sizeof *made->base.tensors);
    pthread_mutex_init(&made->lock, NULL);
    if (made->base.tensors == NULL) {
        close_trial(&made->base);
        return sinq_fail_memory(error, "a trial's tensors", source->tensor_count * sizeof *source->tensors);
    }
    memcpy(made->base.tensors, source->tensors, source->tensor_count * sizeof *source->tensors);
    for (size_t i = 0; i < source->tensor_count; i++) {
        if (sinq_recipe_entry(recipe, i)->action == SINQ_QUANTIZE) made->base.tensors[i].dtype = SINQ_DUAL_SCALE;
    }
    made->origin = source;
    made->recipe = recipe;
    made->loader = (struct sinq_loader){
        .source = source, .threads = recipe->threads, .replace_nonfinite = recipe->replace_nonfinite};
    *trial = &made->base;
    return SINQ_OK;
}

void sinq_set_trial_gram(struct sinq_source *source, const float *gram, uint64_t width) {
    struct trial *const trial = (struct trial *)(void *)source;
    trial->gram = gram;
    trial->gram_width = width;
    trial->has_matrix = false;
}
