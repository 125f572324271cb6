#include "eval/imbalance.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "checkpoint/roles.h"
#include "eval/chunk.h"
#include "quant/matrix/matrix.h"
#include "quant/matrix/sinkhorn.h"
#include "tensor/dtype.h"

/* f32 of a strip: columns of one matrix that are held at once. */
#define STRIP_BYTES ((uint64_t)128 << 20)
#define STACK_SIDE  32u

/* One strip of one matrix: columns [first_col, first_col + units.cols), all rows. */
struct strip {
    struct sinq_unit_matrix units;
    bool transposed; /* the tensor's rows are the matrix's columns */
    uint64_t tensor_cols;
    uint64_t first_row;  /* of the tensor */
    uint64_t first_col;  /* of the tensor; 0 where transposed */
    float *rows;         /* of each thread: one converted row */
    uint64_t row_values; /* from one thread's to the next one's */
};

/* ---- filling ---- */

static void clear_nonfinite(float *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) values[i] = isfinite(values[i]) ? values[i] : 0.0f;
}

static void fill_strip(const void *user, const struct sinq_chunk *chunks, void *partial) {
    const struct strip *const strip = user;
    const struct sinq_chunk *const chunk = &chunks[0];
    const uint64_t size = sinq_dtype_size(chunk->dtype), cols = strip->tensor_cols;
    const uint64_t width = strip->transposed ? cols : strip->units.cols;
    float *const row = strip->rows + (uint64_t)chunk->worker * strip->row_values;
    (void)partial;
    for (uint64_t i = 0; i < chunk->count / cols; i++) {
        const uint8_t *const from = chunk->elements + (i * cols + strip->first_col) * size;
        sinq_convert_to_float(chunk->dtype, from, (size_t)width, row);
        clear_nonfinite(row, width);
        const uint64_t to = chunk->first / cols + i - strip->first_row;
        if (strip->transposed) {
            sinq_put_column(&strip->units, to, row);
        } else {
            sinq_put_row(&strip->units, to, row);
        }
    }
}

/* ---- measuring ---- */

struct tile_scratch {
    struct sinq_sinkhorn *work;
    float *col_scale, *row_scale;
};

static void free_scratch(struct tile_scratch *scratch, unsigned threads) {
    if (scratch == NULL) return;
    for (unsigned i = 0; i < threads; i++) {
        sinq_sinkhorn_free(scratch[i].work);
        free(scratch[i].col_scale);
        free(scratch[i].row_scale);
    }
    free(scratch);
}

static struct tile_scratch *create_scratch(uint64_t rows, unsigned threads) {
    struct tile_scratch *const scratch = calloc(threads, sizeof *scratch);
    bool failed = scratch == NULL;
    for (unsigned i = 0; i < threads && !failed; i++) {
        scratch[i].work = sinq_sinkhorn_create((size_t)rows, SINQ_IMBALANCE_COLUMNS);
        scratch[i].col_scale = malloc(SINQ_IMBALANCE_COLUMNS * sizeof(float));
        scratch[i].row_scale = malloc(sinq_pad_lanes((size_t)rows) * sizeof(float));
        failed = scratch[i].work == NULL || scratch[i].col_scale == NULL || scratch[i].row_scale == NULL;
    }
    if (!failed) return scratch;
    free_scratch(scratch, threads);
    return NULL;
}

struct strip_job {
    const struct strip *strip;
    struct tile_scratch *scratch;
    struct sinq_sinkhorn_result *results;
};

static void normalize_tile(void *context, uint64_t i, unsigned worker) {
    const struct strip_job *const job = context;
    const struct sinq_tile tile = sinq_unit_tile(&job->strip->units, i);
    const struct tile_scratch *const mine = &job->scratch[worker];
    sinq_normalize_tile(mine->work, &tile, mine->col_scale, mine->row_scale, &job->results[i]);
}

/* Adds the imbalances of a filled strip's tiles. */
static int measure_strip(const struct strip *strip, unsigned threads, struct tile_scratch *scratch,
                         struct sinq_imbalance *sum, struct sinq_error *error) {
    const uint64_t tiles = strip->units.unit_count;
    struct sinq_sinkhorn_result *const results = calloc((size_t)tiles, sizeof *results);
    if (results == NULL) return sinq_fail_memory(error, "imbalances", tiles * sizeof *results);
    struct strip_job job = {strip, scratch, results};
    sinq_parallel_for(threads, tiles, normalize_tile, &job);
    for (uint64_t i = 0; i < tiles; i++) {
        sum->before += (double)results[i].imbalance_before;
        sum->after += (double)results[i].imbalance_after;
    }
    free(results);
    return SINQ_OK;
}

/* ---- walking ---- */

struct walk {
    const struct sinq_source *source;
    size_t tensor;
    unsigned threads;
    double largest;
    struct sinq_matrix_shape shape; /* of the tensor */
    uint64_t rows, cols;            /* of the matrix that is multiplied by */
    uint64_t strip_cols;
    struct strip strip;
    struct tile_scratch *scratch;
    struct sinq_imbalance sum;
};

static int do_strip(struct walk *walk, uint64_t matrix, uint64_t first, uint64_t width, struct sinq_error *error) {
    struct strip *const strip = &walk->strip;
    int status = sinq_shape_units(&strip->units, walk->rows, width, SINQ_IMBALANCE_COLUMNS, false, error);
    if (status != SINQ_OK) return status;
    strip->units.largest = walk->largest < FLT_MAX ? (float)walk->largest : FLT_MAX;
    strip->first_row = matrix * walk->shape.rows + (strip->transposed ? first : 0);
    strip->first_col = strip->transposed ? 0 : first;
    const struct sinq_chunk_job job = {
        .sources = {walk->source},
        .tensors = {walk->tensor},
        .sides = 1,
        .first_row = strip->first_row,
        .row_count = strip->transposed ? width : walk->shape.rows,
        .whole_rows = true,
        .threads = walk->threads,
        .measure = fill_strip,
        .user = strip,
    };
    status = sinq_run_chunk_job(&job, error);
    if (status != SINQ_OK) return status;
    sinq_finish_units(&strip->units, walk->threads);
    return measure_strip(strip, walk->threads, walk->scratch, &walk->sum, error);
}

static int walk_tensor(struct walk *walk, struct sinq_error *error) {
    struct strip *const strip = &walk->strip;
    strip->tensor_cols = walk->shape.cols;
    strip->row_values = sinq_round_up(walk->shape.cols, 16);
    strip->rows = malloc((size_t)(strip->row_values * walk->threads) * sizeof *strip->rows);
    walk->scratch = create_scratch(walk->rows, walk->threads);
    if (strip->rows == NULL || walk->scratch == NULL) {
        return sinq_fail_memory(error, "measuring imbalance", walk->rows * walk->threads * sizeof(float));
    }
    for (uint64_t matrix = 0; matrix < walk->shape.count; matrix++) {
        for (uint64_t first = 0; first < walk->cols; first += walk->strip_cols) {
            const uint64_t width = sinq_min_u64(walk->strip_cols, walk->cols - first);
            const int status = do_strip(walk, matrix, first, width, error);
            if (status != SINQ_OK) return status;
        }
    }
    return SINQ_OK;
}

static bool is_matrix(const struct sinq_tensor *tensor, struct sinq_matrix_shape shape) {
    const uint64_t least = tensor->rank == 3 ? STACK_SIDE : 2;
    const bool is_float = tensor->dtype == SINQ_DUAL_SCALE || sinq_dtype_is_float(tensor->dtype);
    return is_float && (tensor->rank == 2 || tensor->rank == 3) && shape.count > 0 && shape.rows >= least &&
           shape.cols >= least;
}

static int find_orientation(const struct sinq_source *source, size_t index, bool *transposed,
                            struct sinq_error *error) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, index);
    if (tensor->dtype != SINQ_DUAL_SCALE) {
        *transposed = sinq_classify_tensor(sinq_source_model_type(source), tensor).is_transposed;
        return SINQ_OK;
    }
    struct sinq_matrix_info info;
    const int status = sinq_source_matrix_info(source, index, 0, &info, error);
    if (status == SINQ_OK) *transposed = info.transposed;
    return status;
}

int sinq_measure_imbalance(const struct sinq_source *source, size_t tensor, double largest, unsigned threads,
                           struct sinq_imbalance *imbalance, struct sinq_error *error) {
    const struct sinq_tensor *const t = sinq_source_tensor(source, tensor);
    struct walk walk = {.source = source, .tensor = tensor, .largest = largest, .shape = sinq_tensor_matrix_shape(t)};
    *imbalance = (struct sinq_imbalance){0, 0};
    if (!is_matrix(t, walk.shape)) return SINQ_OK;
    int status = find_orientation(source, tensor, &walk.strip.transposed, error);
    if (status != SINQ_OK) return status;
    walk.threads = sinq_choose_threads(threads);
    walk.rows = walk.strip.transposed ? walk.shape.cols : walk.shape.rows;
    walk.cols = walk.strip.transposed ? walk.shape.rows : walk.shape.cols;
    const uint64_t tile_bytes = walk.rows * SINQ_IMBALANCE_COLUMNS * sizeof(float);
    walk.strip_cols = sinq_max_u64(1, STRIP_BYTES / tile_bytes) * SINQ_IMBALANCE_COLUMNS;
    status = walk_tensor(&walk, error);
    if (status == SINQ_OK) {
        const uint64_t tiles = walk.shape.count * sinq_divide_up(walk.cols, SINQ_IMBALANCE_COLUMNS);
        *imbalance = (struct sinq_imbalance){walk.sum.before / (double)tiles, walk.sum.after / (double)tiles};
    }
    sinq_free_units(&walk.strip.units);
    free_scratch(walk.scratch, walk.threads);
    free(walk.strip.rows);
    return status;
}
