#include "quant/matrix/load.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/huge_memory.h"
#include "base/parallel.h"
#include "tensor/dtype.h"

#define CHUNK_BYTES ((uint64_t)1 << 20)
#define PART_BYTES  ((uint64_t)256 << 10) /* of a chunk: what is read stays in the second cache until it is in units */
#define COPY_BYTES  ((uint64_t)4 << 20)

void sinq_free_loader(struct sinq_loader *loader) {
    free(loader->buffers);
    free(loader->hashes);
    loader->buffers = NULL;
    loader->hashes = NULL;
}

static int reserve(struct sinq_loader *loader, uint64_t buffer_bytes, uint64_t chunks, struct sinq_error *error) {
    uint64_t bytes;
    if (!sinq_multiply_u64(sinq_round_up(buffer_bytes, SINQ_LINE_BYTES), loader->threads, &bytes) ||
        bytes > SIZE_MAX / 2 || chunks > SIZE_MAX / 2 / sizeof(struct sinq_hash)) {
        return sinq_fail_memory(error, "reading buffers", UINT64_MAX);
    }
    if (bytes > loader->buffer_capacity) {
        free(loader->buffers);
        loader->buffer_capacity = 0;
        loader->buffers = sinq_allocate_huge(bytes);
        if (loader->buffers == NULL) return sinq_fail_memory(error, "reading buffers", bytes);
        loader->buffer_capacity = bytes;
    }
    if (chunks > loader->hash_capacity) {
        free(loader->hashes);
        loader->hash_capacity = 0;
        loader->hashes = malloc((size_t)chunks * sizeof *loader->hashes);
        if (loader->hashes == NULL) return sinq_fail_memory(error, "hashes of chunks", chunks);
        loader->hash_capacity = chunks;
    }
    return SINQ_OK;
}

/* ---- non-finite values ---- */

static int report_nonfinite(const struct sinq_tensor *tensor, const char *path, uint64_t element,
                            struct sinq_error *error) {
    const uint64_t width = tensor->rank == 0 ? 1 : tensor->shape[tensor->rank - 1];
    return sinq_fail(error, SINQ_FAILED,
                     "%s: tensor %s: the value at row %llu, column %llu is not finite (--nonfinite zero replaces such "
                     "values)",
                     path, tensor->name, (unsigned long long)(width == 0 ? 0 : element / width),
                     (unsigned long long)(width == 0 ? 0 : element % width));
}

/* Clears every non-finite element; all bits zero is zero in every dtype. */
static uint64_t clear_nonfinite(enum sinq_dtype dtype, uint8_t *elements, uint64_t count) {
    const size_t size = sinq_dtype_size(dtype);
    uint64_t cleared = 0;
    for (uint64_t first = 0; first < count;) {
        const int64_t found = sinq_find_nonfinite(dtype, elements + first * size, (size_t)(count - first));
        if (found < 0) break;
        first += (uint64_t)found;
        memset(elements + first * size, 0, size);
        cleared++;
    }
    return cleared;
}

/* Checks `count` elements, the first of which is number `first` of the tensor. */
static int check_finite(struct sinq_loader *loader, const struct sinq_tensor *tensor, enum sinq_dtype dtype,
                        uint8_t *elements, uint64_t first, uint64_t count, struct sinq_error *error) {
    const int64_t found = sinq_find_nonfinite(dtype, elements, (size_t)count);
    if (found < 0) return SINQ_OK;
    if (!loader->replace_nonfinite) {
        const char *const path = sinq_source_shard_path(loader->source, tensor->shard);
        return report_nonfinite(tensor, path, first + (uint64_t)found, error);
    }
    const uint64_t cleared = clear_nonfinite(dtype, elements, count);
    atomic_fetch_add(&loader->nonfinite_replaced, cleared);
    return SINQ_OK;
}

/* ---- matrices ---- */

/* How one matrix gets from a tensor's rows into units. */
struct transfer {
    struct sinq_loader *loader;
    size_t tensor_index;
    const struct sinq_tensor *tensor;
    struct sinq_matrix_shape shape;
    uint64_t first_row; /* of the matrix, counted through the tensor */
    uint64_t row_bytes; /* as stored; 0 where rows are not stored as such */
    uint64_t chunk_rows, part_rows;
    bool is_direct; /* stored as f32 or bf16, and nothing else to apply */
    bool transposed;
    struct sinq_unit_matrix *units;
};

static bool is_plain(const struct sinq_tensor *tensor) {
    return tensor->dtype != SINQ_DUAL_SCALE && tensor->scale_tensor < 0;
}

static struct transfer plan_transfer(struct sinq_loader *loader, size_t tensor, uint64_t index) {
    const struct sinq_tensor *const info = sinq_source_tensor(loader->source, tensor);
    struct transfer transfer = {.loader = loader, .tensor_index = tensor, .tensor = info};
    transfer.shape = sinq_tensor_matrix_shape(info);
    transfer.first_row = index * transfer.shape.rows;
    transfer.row_bytes = is_plain(info) ? transfer.shape.cols * sinq_dtype_size(info->dtype) : 0;
    transfer.is_direct = is_plain(info) && (info->dtype == SINQ_F32 || info->dtype == SINQ_BF16);
    const uint64_t row_bytes = transfer.row_bytes != 0 ? transfer.row_bytes : transfer.shape.cols * 4;
    transfer.chunk_rows = sinq_max_u64(1, CHUNK_BYTES / sinq_max_u64(1, row_bytes));
    /* What is decoded may be decoded whole for each part (sinq_read_rows). */
    transfer.part_rows = transfer.row_bytes == 0 ? transfer.chunk_rows : sinq_max_u64(1, PART_BYTES / row_bytes);
    return transfer;
}

static void put_rows(const struct transfer *t, uint64_t first, uint64_t count, const void *values) {
    const size_t row_bytes = (size_t)t->shape.cols * (t->units->is_bf16 ? 2 : 4);
    if (!t->transposed) {
        sinq_put_rows(t->units, first, count, values);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        sinq_put_column(t->units, first + i, (const uint8_t *)values + i * row_bytes);
    }
}

static float magnitude_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What is found out about values on their way. */
struct extremes {
    float largest; /* magnitude; infinity or NaN if one is not finite */
    bool has_tiny;
};

static struct extremes scan_values(const void *values, bool is_bf16, uint64_t count) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    const struct sinq_magnitudes found =
        is_bf16 ? kernels->scan_bf16(values, (size_t)count) : kernels->scan_f32(values, (size_t)count);
    return (struct extremes){magnitude_of_bits(found.largest), found.has_tiny};
}

static void join_extremes(struct extremes *all, struct extremes some) {
    all->largest = fmaxf(all->largest, some.largest);
    all->has_tiny |= some.has_tiny;
}

/*
 * Rows [first, first + count) of the matrix as the units want them, in `buffer`: stored bytes first, then what they become.
 * *values points into the buffer. Stored bytes are added to what `hasher` has.
 */
static int read_part(const struct transfer *t, uint64_t first, uint64_t count, uint8_t *buffer, void **values,
                     struct sinq_hasher *hasher, struct sinq_error *error) {
    const uint64_t row = t->first_row + first, elements = count * t->shape.cols;
    float *const floats = (float *)(void *)(buffer + sinq_round_up(t->part_rows * t->row_bytes, SINQ_LINE_BYTES));
    if (t->row_bytes == 0) {
        *values = floats;
        return sinq_read_rows(t->loader->source, t->tensor_index, row, count, floats, error);
    }
    const int status =
        sinq_read_bytes(t->loader->source, t->tensor_index, row * t->row_bytes, count * t->row_bytes, buffer, error);
    if (status != SINQ_OK) return status;
    sinq_hasher_update(hasher, buffer, (size_t)(count * t->row_bytes));
    *values = t->is_direct ? (void *)buffer : (void *)floats;
    if (!t->is_direct) sinq_convert_to_float(t->tensor->dtype, buffer, (size_t)elements, floats);
    return SINQ_OK;
}

static int load_part(const struct transfer *t, uint64_t first, uint64_t count, uint8_t *buffer,
                     struct extremes *extremes, struct sinq_hasher *hasher, struct sinq_error *error) {
    const uint64_t elements = count * t->shape.cols;
    void *values;
    int status = read_part(t, first, count, buffer, &values, hasher, error);
    if (status != SINQ_OK) return status;
    struct extremes found = scan_values(values, t->units->is_bf16, elements);
    if (!isfinite(found.largest)) {
        const enum sinq_dtype dtype = t->units->is_bf16 ? SINQ_BF16 : SINQ_F32;
        status =
            check_finite(t->loader, t->tensor, dtype, values, (t->first_row + first) * t->shape.cols, elements, error);
        if (status != SINQ_OK) return status;
        found = scan_values(values, t->units->is_bf16, elements);
    }
    join_extremes(extremes, found);
    put_rows(t, first, count, values);
    return SINQ_OK;
}

static int load_chunk(const struct transfer *t, uint64_t chunk, uint8_t *buffer, struct extremes *extremes,
                      struct sinq_error *error) {
    const uint64_t end = sinq_min_u64((chunk + 1) * t->chunk_rows, t->shape.rows);
    struct sinq_hasher *const hasher = sinq_hasher_create();
    if (hasher == NULL) return sinq_fail_memory(error, "a hash", 1);
    int status = SINQ_OK;
    for (uint64_t first = chunk * t->chunk_rows; first < end && status == SINQ_OK; first += t->part_rows) {
        status = load_part(t, first, sinq_min_u64(t->part_rows, end - first), buffer, extremes, hasher, error);
    }
    t->loader->hashes[chunk] = sinq_hasher_finish(hasher);
    return status;
}

/* The chunks of one matrix, and what each thread has met among its own. */
struct sinq_matrix_load {
    struct transfer transfer;
    uint64_t chunks, buffer_bytes;
    struct extremes *extremes;
    uint64_t *failed; /* the first chunk that failed; UINT64_MAX: none */
    struct sinq_error *errors;
};

uint64_t sinq_load_chunk_count(const struct sinq_matrix_load *load) { return load->chunks; }

void sinq_load_chunk(struct sinq_matrix_load *load, uint64_t chunk, unsigned worker) {
    if (load->failed[worker] != UINT64_MAX) return; /* a thread's chunks come in order */
    uint8_t *const buffer = load->transfer.loader->buffers + worker * load->buffer_bytes;
    const int status = load_chunk(&load->transfer, chunk, buffer, &load->extremes[worker], &load->errors[worker]);
    if (status != SINQ_OK) load->failed[worker] = chunk;
}

/* The first failure in the file is the one reported, whichever thread met it. */
static int collect_chunks(const struct sinq_matrix_load *job, struct extremes *all, struct sinq_error *error) {
    unsigned first = 0;
    for (unsigned i = 0; i < job->transfer.loader->threads; i++) {
        join_extremes(all, job->extremes[i]);
        if (job->failed[i] < job->failed[first]) first = i;
    }
    if (job->failed[first] == UINT64_MAX) return SINQ_OK;
    if (error != NULL) *error = job->errors[first];
    return job->errors[first].status;
}

/* The stored bytes behind the matrices that are not read row by row: of the tensor and of its block scales. */
static int hash_with_scales(struct sinq_loader *loader, size_t tensor, struct sinq_hash *hash,
                            struct sinq_error *error) {
    const int64_t scales = sinq_source_tensor(loader->source, tensor)->scale_tensor;
    struct sinq_hash parts[2];
    int status = sinq_copy_tensor(loader, tensor, NULL, NULL, &parts[0], error);
    if (status != SINQ_OK) return status;
    parts[1] = parts[0];
    if (scales >= 0) status = sinq_copy_tensor(loader, (size_t)scales, NULL, NULL, &parts[1], error);
    *hash = sinq_hash_bytes(parts, sizeof parts);
    return status;
}

/* The same for each matrix of a stack, whose experts are many: the tensor is read once, not once for each of them. */
static int hash_indirect(struct sinq_loader *loader, size_t tensor, struct sinq_hash *hash, struct sinq_error *error) {
    if (!loader->has_indirect || loader->indirect_tensor != tensor) {
        loader->has_indirect = false;
        const int status = hash_with_scales(loader, tensor, &loader->indirect_hash, error);
        if (status != SINQ_OK) return status;
        loader->has_indirect = true;
        loader->indirect_tensor = tensor;
    }
    *hash = loader->indirect_hash;
    return SINQ_OK;
}

static void free_load(struct sinq_matrix_load *load) {
    free(load->extremes);
    free(load->errors);
    free(load->failed);
    free(load);
}

static int prepare_load(struct sinq_matrix_load *load, uint32_t group_size, struct sinq_error *error) {
    struct transfer *const t = &load->transfer;
    const uint64_t rows = t->transposed ? t->shape.cols : t->shape.rows;
    const uint64_t cols = t->transposed ? t->shape.rows : t->shape.cols;
    const bool is_bf16 = t->is_direct && t->tensor->dtype == SINQ_BF16;
    const unsigned threads = t->loader->threads;
    int status = sinq_shape_units(t->units, rows, cols, group_size, is_bf16, error);
    if (status != SINQ_OK) return status;
    load->chunks = sinq_divide_up(t->shape.rows, t->chunk_rows);
    const uint64_t float_bytes = t->is_direct ? 0 : t->part_rows * t->shape.cols * sizeof(float);
    load->buffer_bytes =
        sinq_round_up(t->part_rows * t->row_bytes, SINQ_LINE_BYTES) + sinq_round_up(float_bytes, SINQ_LINE_BYTES);
    status = reserve(t->loader, load->buffer_bytes, load->chunks, error);
    if (status != SINQ_OK) return status;
    load->extremes = calloc(threads, sizeof *load->extremes);
    load->errors = calloc(threads, sizeof *load->errors);
    load->failed = malloc(threads * sizeof *load->failed);
    if (load->extremes == NULL || load->errors == NULL || load->failed == NULL) {
        return sinq_fail_memory(error, "reading", threads * sizeof *load->errors);
    }
    for (unsigned i = 0; i < threads; i++) load->failed[i] = UINT64_MAX;
    return SINQ_OK;
}

int sinq_load_begin(struct sinq_loader *loader, size_t tensor, uint64_t index, bool transposed, uint32_t group_size,
                    struct sinq_unit_matrix *units, struct sinq_matrix_load **load, struct sinq_error *error) {
    struct sinq_matrix_load *const made = calloc(1, sizeof *made);
    *load = NULL;
    if (made == NULL) return sinq_fail_memory(error, "reading", sizeof *made);
    made->transfer = plan_transfer(loader, tensor, index);
    made->transfer.units = units;
    made->transfer.transposed = transposed;
    const int status = prepare_load(made, group_size, error);
    if (status == SINQ_OK) {
        *load = made;
    } else {
        free_load(made);
    }
    return status;
}

int sinq_load_end(struct sinq_matrix_load *load, struct sinq_hash *hash, struct sinq_error *error) {
    const struct transfer *const t = &load->transfer;
    struct extremes extremes = {0, false};
    int status = collect_chunks(load, &extremes, error);
    if (status != SINQ_OK) goto done;
    t->units->largest = extremes.largest;
    t->units->has_no_tiny = !extremes.has_tiny;
    sinq_finish_units(t->units, t->loader->threads);
    if (t->row_bytes == 0) {
        status = hash_indirect(t->loader, t->tensor_index, hash, error);
    } else {
        *hash = sinq_hash_bytes(t->loader->hashes, (size_t)load->chunks * sizeof *t->loader->hashes);
    }
done:
    free_load(load);
    return status;
}

static void run_chunk(void *context, uint64_t chunk, unsigned worker) { sinq_load_chunk(context, chunk, worker); }

int sinq_load_matrix(struct sinq_loader *loader, size_t tensor, uint64_t index, bool transposed, uint32_t group_size,
                     struct sinq_unit_matrix *units, struct sinq_hash *hash, struct sinq_error *error) {
    struct sinq_matrix_load *load;
    const int status = sinq_load_begin(loader, tensor, index, transposed, group_size, units, &load, error);
    if (status != SINQ_OK) return status;
    sinq_parallel_for(loader->threads, load->chunks, run_chunk, load);
    return sinq_load_end(load, hash, error);
}

/* ---- hashes alone ---- */

static int hash_matrix(const struct transfer *t, struct sinq_hash *hash, struct sinq_error *error) {
    struct sinq_loader *const loader = t->loader;
    const uint64_t chunks = sinq_divide_up(t->shape.rows, t->chunk_rows), chunk_bytes = t->chunk_rows * t->row_bytes;
    int status = reserve(loader, chunk_bytes, chunks, error);
    if (status != SINQ_OK) return status;
    for (uint64_t chunk = 0; chunk < chunks; chunk++) {
        const uint64_t first = chunk * t->chunk_rows, count = sinq_min_u64(t->chunk_rows, t->shape.rows - first);
        status = sinq_read_bytes(loader->source, t->tensor_index, (t->first_row + first) * t->row_bytes,
                                 count * t->row_bytes, loader->buffers, error);
        if (status != SINQ_OK) return status;
        loader->hashes[chunk] = sinq_hash_bytes(loader->buffers, (size_t)(count * t->row_bytes));
    }
    *hash = sinq_hash_bytes(loader->hashes, (size_t)chunks * sizeof *loader->hashes);
    return SINQ_OK;
}

int sinq_hash_matrices(struct sinq_loader *loader, size_t tensor, struct sinq_hash *hash, struct sinq_error *error) {
    struct transfer t = plan_transfer(loader, tensor, 0);
    struct sinq_hasher *const hasher = sinq_hasher_create();
    if (hasher == NULL) return sinq_fail_memory(error, "a hash", 1);
    for (uint64_t index = 0; index < t.shape.count; index++) {
        struct sinq_hash one;
        t = plan_transfer(loader, tensor, index);
        const int status = t.row_bytes == 0 ? hash_indirect(loader, tensor, &one, error) : hash_matrix(&t, &one, error);
        if (status != SINQ_OK) {
            sinq_hasher_free(hasher);
            return status;
        }
        sinq_hasher_update(hasher, &one, sizeof one);
    }
    *hash = sinq_hasher_finish(hasher);
    return SINQ_OK;
}

int sinq_copy_tensor(struct sinq_loader *loader, size_t tensor, sinq_write_fn *write, void *user,
                     struct sinq_hash *hash, struct sinq_error *error) {
    const struct sinq_tensor *const info = sinq_source_tensor(loader->source, tensor);
    const size_t size = sinq_dtype_size(info->dtype);
    const bool is_checked = write != NULL && size != 0 && sinq_dtype_is_float(info->dtype);
    int status = reserve(loader, COPY_BYTES, 0, error);
    if (status != SINQ_OK) return status;
    struct sinq_hasher *const hasher = sinq_hasher_create();
    if (hasher == NULL) return sinq_fail_memory(error, "a hash", 1);
    for (uint64_t offset = 0; offset < info->bytes && status == SINQ_OK;) {
        const uint64_t bytes = sinq_min_u64(COPY_BYTES, info->bytes - offset);
        status = sinq_read_bytes(loader->source, tensor, offset, bytes, loader->buffers, error);
        if (status != SINQ_OK) break;
        sinq_hasher_update(hasher, loader->buffers, (size_t)bytes);
        if (is_checked) {
            status = check_finite(loader, info, info->dtype, loader->buffers, offset / size, bytes / size, error);
        }
        if (status == SINQ_OK && write != NULL) status = write(user, loader->buffers, bytes, error);
        offset += bytes;
    }
    *hash = sinq_hasher_finish(hasher);
    return status;
}
