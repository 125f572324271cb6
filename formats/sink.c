#define _GNU_SOURCE /* sync_file_range */
#include "sink_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"

#define DEFAULT_SHARD_BYTES ((uint64_t)4 << 30)
/* A group commit is due after so much output or so long: what a kill may cost, against the cost of waiting for the disk. */
#define GROUP_BYTES   ((uint64_t)256 << 20)
#define GROUP_SECONDS 5.0
/* Hashed, then written while still in cache. */
#define SLICE_BYTES ((uint64_t)512 << 10)
/* The kernel starts writing back after so much, so that a group commit finds little left to wait for. */
#define FLUSH_BYTES ((uint64_t)16 << 20)

static struct sinq_file_sink *to_file_sink(struct sinq_sink *sink) { return (struct sinq_file_sink *)sink; }

static double read_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int sinq_sink_sync(struct sinq_file_sink *sink, int fd, const char *path, struct sinq_error *error) {
    const double start = read_clock();
    const int failed = fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
    const int status = failed ? sinq_fail_errno(error, "%s: cannot sync", path) : SINQ_OK;
    sink->base.seconds_sync += read_clock() - start;
    return status;
}

/* Once writing or syncing failed, nothing more is recorded: a second fsync may report success for lost pages. */
static int add_advice(struct sinq_file_sink *sink, struct sinq_error *error) {
    sink->failed = true;
    if (error == NULL || sink->recorded == 0) return SINQ_FAILED;
    char reason[sizeof error->message];
    (void)snprintf(reason, sizeof reason, "%s", error->message);
    return sinq_fail(error, SINQ_FAILED, "%.700s; %zu of %zu tensors are kept, go on with --resume", reason,
                     sink->recorded, sink->layout->count);
}

/* ---- group commit ---- */

static struct sinq_journal_record make_record(const struct sinq_file_sink *sink, size_t index) {
    const struct sinq_layout_tensor *const tensor = &sink->layout->tensors[index];
    return (struct sinq_journal_record){.index = index,
                                        .name = tensor->name,
                                        .shard = tensor->shard,
                                        .offset = tensor->offset,
                                        .bytes = tensor->bytes,
                                        .checksum = tensor->checksum,
                                        .note = sink->notes[index]};
}

static int append_records(struct sinq_file_sink *sink, struct sinq_error *error) {
    const size_t count = sink->layout->finished - sink->recorded;
    struct sinq_journal_record *const records = calloc(count, sizeof *records);
    if (records == NULL) return sinq_fail_memory(error, "the journal", count * sizeof *records);
    for (size_t i = 0; i < count; i++) records[i] = make_record(sink, sink->recorded + i);
    const double start = read_clock();
    const int status = sinq_journal_append(sink->journal, records, count, error);
    sink->base.seconds_sync += read_clock() - start;
    free(records);
    return status;
}

int sinq_sink_record(struct sinq_file_sink *sink, struct sinq_error *error) {
    if (sink->layout->finished == sink->recorded) return SINQ_OK;
    if (sink->failed) return sinq_fail(error, SINQ_FAILED, "%s: an earlier write failed", sink->staging.folder);
    /* Tensors of earlier shards were recorded when their shard was left. */
    int status = sinq_sink_sync(sink, sink->shard_fd, sink->shard_path, error);
    if (status == SINQ_OK && sink->folder_changed) {
        status = sinq_sink_sync(sink, sink->staging.folder_fd, sink->staging.folder, error);
    }
    if (status == SINQ_OK) status = append_records(sink, error);
    if (status != SINQ_OK) {
        sink->failed = true;
        return status;
    }
    sink->recorded = sink->layout->finished;
    sink->keep = true;
    sink->folder_changed = false;
    sink->unsynced = 0;
    sink->last_sync = read_clock();
    return SINQ_OK;
}

/* What is finished is recorded if the disk still takes a line; the unfinished tensor's bytes make room for it. */
static int give_up(struct sinq_file_sink *sink, struct sinq_error *error) {
    const struct sinq_layout *const layout = sink->layout;
    if (sink->shard_fd >= 0 && layout->finished > sink->recorded && sink->shard < layout->shard_count) {
        const struct sinq_layout_shard *const shard = &layout->shards[sink->shard];
        if (ftruncate(sink->shard_fd, (off_t)(shard->data_start + shard->bytes)) == 0)
            (void)sinq_sink_record(sink, NULL);
    }
    return add_advice(sink, error);
}

/* ---- shards ---- */

static int fill_spaces(const struct sinq_file_sink *sink, uint64_t bytes, struct sinq_error *error) {
    char spaces[4096];
    memset(spaces, ' ', sizeof spaces);
    int status = SINQ_OK;
    for (uint64_t at = 0; at < bytes && status == SINQ_OK; at += sizeof spaces) {
        const uint64_t size = sinq_min_u64(sizeof spaces, bytes - at);
        status = sinq_write_at(sink->shard_fd, sink->shard_path, at, size, spaces, error);
    }
    return status;
}

static void leave_shard(struct sinq_file_sink *sink) {
    if (sink->shard_fd >= 0) close(sink->shard_fd);
    sink->shard_fd = -1;
    free(sink->shard_path);
    sink->shard_path = NULL;
}

/* Opens the shard of the tensor just placed; a new one's header room is filled, so that the disk cannot lack it later. */
static int enter_shard(struct sinq_file_sink *sink, size_t shard, struct sinq_error *error) {
    if (sink->shard_fd >= 0 && sink->shard == shard) return SINQ_OK;
    int status = sinq_sink_record(sink, error);
    if (status != SINQ_OK) return status;
    leave_shard(sink);
    char name[SINQ_SHARD_NAME_BYTES];
    sinq_shard_growing_name(shard, name);
    sink->shard_path = sinq_join_path(sink->staging.folder, name);
    if (sink->shard_path == NULL) return sinq_fail_memory(error, "a shard's name", sizeof name);
    const bool is_new = sink->layout->shards[shard].count == 0;
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (is_new ? O_CREAT | O_TRUNC : 0);
    sink->shard_fd = openat(sink->staging.folder_fd, name, flags, (mode_t)0666);
    sink->shard = shard;
    if (sink->shard_fd < 0) return sinq_fail_errno(error, "%s: cannot open", sink->shard_path);
    if (!is_new) return SINQ_OK;
    sink->folder_changed = true;
    return fill_spaces(sink, sink->layout->shards[shard].data_start, error);
}

/* ---- the operations ---- */

static uint64_t measure_sidecars(const struct sinq_source *source) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < source->sidecar_count && source->is_directory; i++) {
        struct stat status;
        char *const path = sinq_join_path(source->path, source->sidecars[i]);
        if (path != NULL && stat(path, &status) == 0) bytes += (uint64_t)status.st_size;
        free(path);
    }
    return bytes;
}

static uint64_t measure_written(const struct sinq_layout *layout) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < layout->shard_count; i++) bytes += layout->shards[i].data_start + layout->shards[i].bytes;
    return bytes;
}

static int check_space(const struct sinq_file_sink *sink, struct sinq_error *error) {
    const uint64_t left = sinq_layout_predict_bytes(sink->layout) - measure_written(sink->layout);
    const uint64_t bytes = left + measure_sidecars(sink->source);
    return sinq_staging_check_space(&sink->staging, bytes + bytes / 100, error);
}

/* What a run that goes on must have in common: the plan, and what heads are made of before the tensors (nothing of safetensors). */
static void print_fingerprint(const struct sinq_file_sink *sink, const char *plan, struct sinq_text *text) {
    struct sinq_hasher *const hasher = sinq_hasher_create();
    char hex[33] = "";
    for (size_t i = 0; i < sink->metadata.count && hasher != NULL; i++) {
        const struct sinq_gguf_value *const value = &sink->metadata.values[i];
        sinq_hasher_update(hasher, value->key, strlen(value->key) + 1);
        sinq_hasher_update(hasher, value->bytes, (size_t)value->size);
    }
    if (hasher != NULL) sinq_hash_to_text(sinq_hasher_finish(hasher), hex);
    sinq_text_add(text, plan);
    if (sink->metadata.count > 0) sinq_text_print(text, "-%s", hex);
    text->failed |= hasher == NULL;
}

static int begin(struct sinq_sink *base, const struct sinq_sink_plan *plan, size_t *finished,
                 struct sinq_error *error) {
    struct sinq_file_sink *const sink = to_file_sink(base);
    const struct sinq_layout_options options = {.ops = sink->layout_ops,
                                                .facts = sink->layout_facts,
                                                .max_shard_bytes = sink->max_shard_bytes,
                                                .single_file = !sink->staging.is_directory};
    int status = sinq_layout_create(plan, &options, &sink->layout, error);
    if (status != SINQ_OK) return status;
    sink->notes = calloc(plan->count + 1, sizeof *sink->notes);
    if (sink->notes == NULL) return sinq_fail_memory(error, "notes", plan->count * sizeof *sink->notes);
    struct sinq_text fingerprint = {0};
    print_fingerprint(sink, plan->fingerprint, &fingerprint);
    if (fingerprint.failed) return sinq_fail_memory(error, "a fingerprint", 64);
    const struct sinq_journal_run run = {.program = SINQ_VERSION,
                                         .fingerprint = fingerprint.data,
                                         .max_shard_bytes = sink->max_shard_bytes,
                                         .tensors = plan->count};
    if (sink->journal != NULL) {
        status = sinq_journal_match(sink->journal, &run, error);
        if (status == SINQ_OK) status = sinq_sink_resume(sink, error);
        if (status == SINQ_OK) status = check_space(sink, error);
    } else {
        status = sinq_staging_clear(&sink->staging, NULL, NULL, error);
        if (status == SINQ_OK) status = check_space(sink, error);
        if (status == SINQ_OK) {
            status = sinq_journal_create(sink->staging.folder_fd, sink->staging.folder, &run, &sink->journal, error);
        }
    }
    sinq_text_free(&fingerprint);
    sink->last_sync = read_clock();
    *finished = sink->recorded;
    return status;
}

static int begin_tensor(struct sinq_sink *base, size_t index, struct sinq_error *error) {
    struct sinq_file_sink *const sink = to_file_sink(base);
    struct sinq_layout *const layout = sink->layout;
    if (layout == NULL || sink->failed || sink->hasher != NULL || index != layout->finished || index >= layout->count) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %zu is not the next to be written", sink->staging.folder,
                         index);
    }
    int status = sinq_layout_place(layout, error);
    if (status == SINQ_OK) status = enter_shard(sink, layout->tensors[index].shard, error);
    if (status != SINQ_OK) return add_advice(sink, error);
    sink->hasher = sinq_hasher_create();
    if (sink->hasher == NULL) return sinq_fail_memory(error, "a checksum", sizeof(struct sinq_hash));
    sink->written = sink->flushed = 0;
    return SINQ_OK;
}

/* Writing back begins early, without waiting; whether it can does not matter. */
static void start_writeback(struct sinq_file_sink *sink, uint64_t offset) {
#ifdef SYNC_FILE_RANGE_WRITE
    const double start = read_clock();
    (void)sync_file_range(sink->shard_fd, (off_t)(offset + sink->flushed), (off_t)(sink->written - sink->flushed),
                          SYNC_FILE_RANGE_WRITE);
    sink->base.seconds_sync += read_clock() - start;
#endif
    sink->flushed = sink->written;
}

static int write_bytes(struct sinq_sink *base, const void *bytes, uint64_t size, struct sinq_error *error) {
    struct sinq_file_sink *const sink = to_file_sink(base);
    if (sink->hasher == NULL || sink->failed) {
        return sinq_fail(error, SINQ_FAILED, "%s: no tensor is being written", sink->staging.folder);
    }
    const struct sinq_layout_tensor *const tensor = &sink->layout->tensors[sink->layout->finished];
    const uint64_t start = sink->layout->shards[tensor->shard].data_start + tensor->offset;
    const unsigned char *from = bytes;
    while (size > 0) {
        const uint64_t slice = sinq_min_u64(size, SLICE_BYTES);
        sinq_hasher_update(sink->hasher, from, (size_t)slice);
        const int status = sinq_write_at(sink->shard_fd, sink->shard_path, start + sink->written, slice, from, error);
        if (status != SINQ_OK) return give_up(sink, error);
        from += slice;
        size -= slice;
        sink->written += slice;
        sink->base.bytes_written += slice;
        if (sink->written - sink->flushed >= FLUSH_BYTES) start_writeback(sink, start);
    }
    return SINQ_OK;
}

/* The zeros behind the tensor being written. */
static int write_padding(struct sinq_file_sink *sink, struct sinq_error *error) {
    static const uint8_t zeros[SINQ_SHARD_ALIGNMENT];
    const struct sinq_layout_tensor *const tensor = &sink->layout->tensors[sink->layout->finished];
    const uint64_t end = sink->layout->shards[tensor->shard].data_start + tensor->offset + sink->written;
    const uint64_t padding = sinq_layout_padding(sink->layout, sink->written);
    if (padding == 0) return SINQ_OK;
    const int status = sinq_write_at(sink->shard_fd, sink->shard_path, end, padding, zeros, error);
    return status == SINQ_OK ? SINQ_OK : give_up(sink, error);
}

static int end_tensor(struct sinq_sink *base, const char *note, struct sinq_error *error) {
    struct sinq_file_sink *const sink = to_file_sink(base);
    struct sinq_layout *const layout = sink->layout;
    if (sink->hasher == NULL || sink->failed) {
        return sinq_fail(error, SINQ_FAILED, "%s: no tensor is being written", sink->staging.folder);
    }
    int status = write_padding(sink, error);
    if (status != SINQ_OK) return status;
    const size_t index = layout->finished;
    const struct sinq_layout_tensor *const tensor = &layout->tensors[index];
    char *const copy = note == NULL ? NULL : strdup(note);
    if (note != NULL && copy == NULL) return sinq_fail_memory(error, "a note", strlen(note));
    const struct sinq_hash checksum = sinq_hasher_finish(sink->hasher);
    sink->hasher = NULL;
    status = sinq_layout_finish(layout, sink->written, checksum, error);
    if (status != SINQ_OK) {
        free(copy);
        return status;
    }
    sink->notes[index] = copy;
    if (sink->written > sink->flushed) start_writeback(sink, layout->shards[tensor->shard].data_start + tensor->offset);
    sink->unsynced += sink->written;
    if (sink->unsynced < GROUP_BYTES && read_clock() - sink->last_sync < GROUP_SECONDS) return SINQ_OK;
    status = sinq_sink_record(sink, error);
    return status == SINQ_OK ? SINQ_OK : add_advice(sink, error);
}

static const char *note(const struct sinq_sink *base, size_t index) {
    const struct sinq_file_sink *const sink = (const struct sinq_file_sink *)base;
    return sink->layout == NULL || index >= sink->layout->count ? NULL : sink->notes[index];
}

static int suspend(struct sinq_sink *base, struct sinq_error *error) {
    struct sinq_file_sink *const sink = to_file_sink(base);
    if (sink->layout == NULL) return SINQ_OK;
    const int status = sinq_sink_record(sink, error);
    return status == SINQ_OK ? SINQ_OK : add_advice(sink, error);
}

static void close_sink(struct sinq_sink *base) {
    struct sinq_file_sink *const sink = to_file_sink(base);
    if (sink->layout != NULL && sink->journal != NULL && !sink->failed) (void)sinq_sink_record(sink, NULL);
    leave_shard(sink);
    if (!sink->keep) sinq_staging_remove(&sink->staging);
    sinq_hasher_free(sink->hasher);
    for (size_t i = 0; sink->notes != NULL && i < sink->layout->count; i++) free(sink->notes[i]);
    free(sink->notes);
    sinq_layout_free(sink->layout);
    sinq_journal_close(sink->journal);
    sinq_staging_close(&sink->staging);
    sinq_gguf_values_free(&sink->metadata);
    free(sink);
}

static const struct sinq_sink_ops ops = {.begin = begin,
                                         .begin_tensor = begin_tensor,
                                         .write = write_bytes,
                                         .end_tensor = end_tensor,
                                         .note = note,
                                         .suspend = suspend,
                                         .commit = sinq_sink_commit,
                                         .close = close_sink};

/* What GGUF says of the model besides its tensors is known before any of them. */
static int prepare_gguf(struct sinq_file_sink *sink, const struct sinq_create_options *options,
                        struct sinq_error *error) {
    sink->layout_ops = &sinq_gguf_layout;
    sink->gguf = (struct sinq_gguf_layout_facts){.metadata = &sink->metadata, .stem = sink->staging.name};
    sink->layout_facts = &sink->gguf;
    return sinq_make_gguf_metadata(options->source, options->type, &sink->metadata, error);
}

static void prepare_reference(struct sinq_file_sink *sink) {
    sink->layout_ops = &sinq_reference_layout;
    sink->reference.compute_dtype = sinq_find_compute_dtype(sink->source->config);
    sink->layout_facts = &sink->reference;
}

/* What a format writes: a folder of files, or one file. */
static bool makes_directory(const struct sinq_create_options *options) {
    if (options->format == SINQ_FORMAT_GGUF) return options->max_shard_bytes != 0;
    return options->format == SINQ_FORMAT_REFERENCE || options->source->is_directory;
}

/* The name by which config.json knows a type; NULL: not one of a plain checkpoint's. */
static const char *name_plain_dtype(const char *type) {
    static const char *const names[][2] = {{"f32", "float32"}, {"f16", "float16"}, {"bf16", "bfloat16"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (type != NULL && strcmp(type, names[i][0]) == 0) return names[i][1];
    }
    return NULL;
}

int sinq_create_checkpoint(const struct sinq_create_options *options, struct sinq_sink **sink,
                           struct sinq_error *error) {
    const bool is_gguf = options->format == SINQ_FORMAT_GGUF;
    const bool is_directory = makes_directory(options);
    *sink = NULL;
    struct sinq_file_sink *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "the output", sizeof *made);
    made->base.ops = &ops;
    made->source = options->source;
    made->layout_ops = &sinq_safetensors_layout;
    if (options->format == SINQ_FORMAT_PLAIN) made->plain_dtype = name_plain_dtype(options->type);
    if (options->format == SINQ_FORMAT_REFERENCE) prepare_reference(made);
    made->shard_fd = -1;
    made->max_shard_bytes = options->max_shard_bytes == 0 ? DEFAULT_SHARD_BYTES : options->max_shard_bytes;
    made->max_shard_bytes = sinq_min_u64(made->max_shard_bytes, SINQ_LARGEST_SHARD);
    /* A lone file is never cut. */
    if (!is_directory) made->max_shard_bytes = SINQ_LARGEST_SHARD;
    int status = sinq_staging_open(options, is_directory, &made->staging, error);
    if (status == SINQ_OK && is_gguf) status = prepare_gguf(made, options, error);
    if (status == SINQ_OK && options->resume) {
        status = sinq_journal_open(made->staging.folder_fd, made->staging.folder, &made->journal, error);
    }
    /* Nothing is removed that could not be read, nor what a refused command would have gone on with. */
    made->keep =
        options->resume && (status != SINQ_OK || (made->journal != NULL && sinq_journal_count(made->journal) > 0));
    if (status != SINQ_OK) {
        close_sink(&made->base);
        return status;
    }
    *sink = &made->base;
    return SINQ_OK;
}
