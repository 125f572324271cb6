/* verify.c: whether a checkpoint's bytes are what was written, and all its values finite. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "checkpoint/source.h"
#include "eval/chunk.h"
#include "eval/finite.h"
#include "tensor/dtype.h"

#define CHUNK_BYTES ((uint64_t)4 << 20)

/* What is wrong with one tensor: at most one complaint is kept, the others are counted. */
struct finding {
    uint64_t bad_checksums;
    bool is_nonfinite;
    char what[200]; /* of the first */
};

struct verification {
    const struct sinq_source *source;
    unsigned threads;
    sinq_progress_fn *progress;
    void *user;
    struct sinq_progress report;
    uint8_t *buffer; /* one chunk a thread */
    uint8_t *blob;   /* a quantized matrix; grows */
    uint64_t blob_capacity;
    struct sinq_verify_summary summary;
    uint64_t bad_tensors;
    char first[600]; /* the first complaint, with file and tensor */
};

static int report_progress(struct verification *v, uint64_t bytes, struct sinq_error *error) {
    v->report.bytes += bytes;
    if (v->progress == NULL || v->progress(v->user, &v->report) == 0) return SINQ_OK;
    return sinq_fail(error, SINQ_INTERRUPTED, "%s: checking was interrupted", v->source->path);
}

static void note_nonfinite(struct finding *finding, const struct sinq_tensor *tensor, uint64_t element) {
    const struct sinq_position position = sinq_find_position(tensor, element);
    if (finding->what[0] == '\0') {
        (void)snprintf(finding->what, sizeof finding->what, "the value at row %llu, column %llu is not finite",
                       (unsigned long long)position.row, (unsigned long long)position.col);
    }
    finding->is_nonfinite = true;
}

static void note_checksum(struct finding *finding, const char *what) {
    if (finding->what[0] == '\0') (void)snprintf(finding->what, sizeof finding->what, "%s", what);
    finding->bad_checksums++;
}

/* ---- plain tensors ---- */

/* Up to `threads` chunks, read and scanned side by side. */
struct batch {
    const struct verification *v;
    size_t tensor;
    uint64_t offset, size;
    struct batch_chunk {
        int status;
        int64_t bad; /* the first element that is not finite, or -1 */
        struct sinq_error error;
    } * chunks;
};

static void scan_chunk(void *context, uint64_t i, unsigned worker) {
    const struct batch *const batch = context;
    const struct verification *const v = batch->v;
    const struct sinq_tensor *const tensor = &v->source->tensors[batch->tensor];
    const uint64_t at = i * CHUNK_BYTES, now = sinq_min_u64(CHUNK_BYTES, batch->size - at);
    const uint64_t element = sinq_dtype_size(tensor->dtype);
    struct batch_chunk *const chunk = &batch->chunks[i];
    (void)worker;
    chunk->bad = -1;
    chunk->status = sinq_read_bytes(v->source, batch->tensor, batch->offset + at, now, v->buffer + at, &chunk->error);
    if (chunk->status != SINQ_OK || !sinq_dtype_is_float(tensor->dtype)) return;
    chunk->bad = sinq_find_nonfinite(tensor->dtype, v->buffer + at, (size_t)(now / element));
    if (chunk->bad >= 0) chunk->bad += (int64_t)((batch->offset + at) / element);
}

/* *bad is the first element that is not finite, or -1. */
static int scan_batch(const struct verification *v, size_t index, uint64_t offset, uint64_t size, int64_t *bad,
                      struct sinq_error *error) {
    const uint64_t chunks = sinq_divide_up(size, CHUNK_BYTES);
    struct batch batch = {v, index, offset, size, calloc((size_t)chunks, sizeof *batch.chunks)};
    int status = SINQ_OK;
    *bad = -1;
    if (batch.chunks == NULL) return sinq_fail_memory(error, "verifying", chunks * sizeof *batch.chunks);
    sinq_parallel_for(v->threads, chunks, scan_chunk, &batch);
    for (uint64_t i = 0; i < chunks && status == SINQ_OK && *bad < 0; i++) {
        status = batch.chunks[i].status;
        *bad = batch.chunks[i].bad;
        if (status != SINQ_OK && error != NULL) *error = batch.chunks[i].error;
    }
    free(batch.chunks);
    return status;
}

static bool has_checksum(const struct sinq_source *source, size_t index) {
    static const uint8_t none[16] = {0};
    return source->checksums != NULL && memcmp(source->checksums[index], none, sizeof none) != 0;
}

static int stream_tensor(struct verification *v, size_t index, struct sinq_hasher *hasher, struct finding *finding,
                         struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &v->source->tensors[index];
    const uint64_t batch = CHUNK_BYTES * v->threads;
    int64_t first_bad = -1;
    for (uint64_t offset = 0; offset < tensor->bytes; offset += batch) {
        const uint64_t size = sinq_min_u64(batch, tensor->bytes - offset);
        int64_t bad;
        int status = scan_batch(v, index, offset, size, &bad, error);
        if (status != SINQ_OK) return status;
        if (first_bad < 0) first_bad = bad;
        if (hasher != NULL) sinq_hasher_update(hasher, v->buffer, (size_t)size);
        status = report_progress(v, size, error);
        if (status != SINQ_OK) return status;
    }
    if (first_bad >= 0) note_nonfinite(finding, tensor, (uint64_t)first_bad);
    return SINQ_OK;
}

static int verify_plain(struct verification *v, size_t index, struct finding *finding, struct sinq_error *error) {
    struct sinq_hasher *hasher = NULL;
    if (has_checksum(v->source, index)) {
        hasher = sinq_hasher_create();
        if (hasher == NULL) return sinq_fail_memory(error, "a checksum", 0);
    }
    const int status = stream_tensor(v, index, hasher, finding, error);
    if (status != SINQ_OK || hasher == NULL) {
        sinq_hasher_free(hasher);
        return status;
    }
    const struct sinq_hash found = sinq_hasher_finish(hasher);
    struct sinq_hash expected;
    memcpy(expected.bytes, v->source->checksums[index], sizeof expected.bytes);
    v->summary.checksums++;
    if (sinq_hash_equal(found, expected)) return SINQ_OK;
    char found_text[33], expected_text[33], what[120];
    sinq_hash_to_text(found, found_text);
    sinq_hash_to_text(expected, expected_text);
    (void)snprintf(what, sizeof what, "its checksum is %s, expected %s", found_text, expected_text);
    note_checksum(finding, what);
    return SINQ_OK;
}

/* ---- tensors whose values are made of several numbers: finite FP8 values times finite scales may still be too large ---- */

static void find_nonfinite_in_chunk(const void *user, const struct sinq_chunk *chunks, void *partial) {
    int64_t *const place = partial; /* one more than the index; comes zeroed */
    (void)user;
    const int64_t found = sinq_find_nonfinite(chunks[0].dtype, chunks[0].elements, (size_t)chunks[0].count);
    if (found >= 0) *place = (int64_t)chunks[0].first + found + 1;
}

static int keep_first(void *user, const void *partial, uint64_t count, struct sinq_error *error) {
    int64_t *const first = user;
    const int64_t *const place = partial;
    (void)count;
    (void)error;
    if (*first == 0) *first = *place;
    return SINQ_OK;
}

static int verify_values(const struct verification *v, size_t index, struct finding *finding,
                         struct sinq_error *error) {
    int64_t first = 0;
    struct sinq_chunk_job job = {.sources = {v->source}, .tensors = {index}, .sides = 1, .threads = v->threads};
    sinq_select_all_rows(&job);
    job.measure = find_nonfinite_in_chunk;
    job.merge = keep_first;
    job.partial_bytes = sizeof first;
    job.user = &first;
    const int status = sinq_run_chunk_job(&job, error);
    if (status == SINQ_OK && first > 0) note_nonfinite(finding, &v->source->tensors[index], (uint64_t)first - 1);
    return status;
}

/* ---- quantized tensors ---- */

static int load_blob(struct verification *v, size_t index, uint64_t offset, struct sinq_dual_scale *matrix,
                     struct sinq_dual_scale_sizes *sizes, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &v->source->tensors[index];
    uint8_t header[SINQ_DUAL_SCALE_HEADER_BYTES];
    char where[600];
    (void)snprintf(where, sizeof where, "%.200s: tensor %.300s", sinq_source_shard_path(v->source, tensor->shard),
                   tensor->name);
    int status = sinq_read_bytes(v->source, index, offset, sizeof header, header, error);
    if (status != SINQ_OK) return status;
    status = sinq_dual_scale_parse(header, tensor->bytes - offset, where, matrix, sizes, error);
    if (status != SINQ_OK) return status;
    if (sizes->bytes > v->blob_capacity) {
        free(v->blob);
        v->blob_capacity = 0;
        v->blob = malloc((size_t)sizes->bytes);
        if (v->blob == NULL) return sinq_fail_memory(error, where, sizes->bytes);
        v->blob_capacity = sizes->bytes;
    }
    for (uint64_t at = 0; at < sizes->bytes; at += CHUNK_BYTES) {
        const uint64_t now = sinq_min_u64(CHUNK_BYTES, sizes->bytes - at);
        status = sinq_read_bytes(v->source, index, offset + at, now, v->blob + at, error);
        if (status == SINQ_OK) status = report_progress(v, now, error);
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

static int verify_quantized(struct verification *v, size_t index, struct finding *finding, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &v->source->tensors[index];
    struct sinq_dual_scale_sizes sizes;
    uint64_t matrix_index = 0;
    for (uint64_t offset = 0; offset < tensor->bytes; offset += sizes.bytes, matrix_index++) {
        struct sinq_dual_scale matrix;
        int status = load_blob(v, index, offset, &matrix, &sizes, error);
        if (status != SINQ_OK) return status;
        v->summary.checksums++;
        if (!sinq_dual_scale_check(v->blob, sizes.bytes)) {
            char what[100];
            (void)snprintf(what, sizeof what, "the checksum of matrix %llu does not fit its bytes",
                           (unsigned long long)matrix_index);
            note_checksum(finding, what);
        }
        struct sinq_position bad;
        bool is_finite;
        status = sinq_is_blob_finite(&matrix, &sizes, v->blob, v->threads, &is_finite, &bad, error);
        if (status != SINQ_OK) return status;
        if (is_finite) continue;
        /* In the named tensor's own rows and columns. */
        const uint64_t first = matrix_index * matrix.rows * matrix.cols;
        note_nonfinite(finding, tensor,
                       first + (matrix.transposed ? bad.col * matrix.rows + bad.row : bad.row * matrix.cols + bad.col));
    }
    return SINQ_OK;
}

/* GGUF's blocks have no checksums. */
static int verify_blocks(struct verification *v, size_t index, struct finding *finding, struct sinq_error *error) {
    const int status = verify_values(v, index, finding, error);
    return status == SINQ_OK ? report_progress(v, v->source->tensors[index].bytes, error) : status;
}

/* ---- the whole ---- */

static void add_finding(struct verification *v, const struct sinq_tensor *tensor, const struct finding *finding) {
    v->summary.bad_checksums += finding->bad_checksums;
    v->summary.nonfinite_tensors += finding->is_nonfinite;
    if (finding->what[0] == '\0') return;
    if (v->bad_tensors == 0) {
        (void)snprintf(v->first, sizeof v->first, "%.150s: tensor %.200s: %.200s",
                       sinq_source_shard_path(v->source, tensor->shard), tensor->name, finding->what);
    }
    v->bad_tensors++;
}

static int verify_tensor(struct verification *v, size_t index, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &v->source->tensors[index];
    struct finding finding = {0};
    v->report.name = tensor->name;
    v->report.item = index;
    const bool is_quantized = tensor->dtype == SINQ_DUAL_SCALE;
    int status = sinq_is_in_blocks(v->source, tensor) ? verify_blocks(v, index, &finding, error)
                 : is_quantized                       ? verify_quantized(v, index, &finding, error)
                                                      : verify_plain(v, index, &finding, error);
    if (status == SINQ_OK && tensor->scale_tensor >= 0 && !finding.is_nonfinite) {
        status = verify_values(v, index, &finding, error);
    }
    if (status != SINQ_OK) return status;
    v->summary.tensors++;
    add_finding(v, tensor, &finding);
    return SINQ_OK;
}

int sinq_verify(const struct sinq_source *source, unsigned threads, sinq_progress_fn *progress, void *user,
                struct sinq_verify_summary *summary, struct sinq_error *error) {
    struct verification v = {
        .source = source, .threads = sinq_choose_threads(threads), .progress = progress, .user = user};
    v.report = (struct sinq_progress){.activity = "verifying", .items = source->tensor_count};
    for (size_t i = 0; i < source->tensor_count; i++) v.report.bytes_total += source->tensors[i].bytes;
    int status = SINQ_OK;
    v.buffer = malloc((size_t)(CHUNK_BYTES * v.threads));
    if (v.buffer == NULL) status = sinq_fail_memory(error, "checking tensors", CHUNK_BYTES * v.threads);
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) status = verify_tensor(&v, i, error);
    free(v.buffer);
    free(v.blob);
    *summary = v.summary;
    if (status != SINQ_OK || v.bad_tensors == 0) return status;
    if (v.bad_tensors == 1) return sinq_fail(error, SINQ_CHECK_FAILED, "%s", v.first);
    return sinq_fail(error, SINQ_CHECK_FAILED, "%s; %llu more tensor%s bad", v.first,
                     (unsigned long long)(v.bad_tensors - 1), v.bad_tensors == 2 ? " is" : "s are");
}
