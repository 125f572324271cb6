#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "config_splice.h"
#include "folder.h"
#include "publish.h"
#include "shard_check.h"
#include "sink_state.h"

#define INDEX_NAME  "model.safetensors.index.json"
#define CONFIG_NAME "config.json"
#define WIDE_NAME   "shard-wide"
#define COPY_BYTES  ((uint64_t)1 << 20)

struct commit {
    struct sinq_file_sink *sink;
    const char *quantization;
    char **names; /* of the shards as they now are */
    sinq_progress_fn *progress;
    void *user;
};

static int report(const struct commit *commit, const char *activity, uint64_t bytes, uint64_t bytes_total,
                  struct sinq_error *error) {
    const struct sinq_layout *const layout = commit->sink->layout;
    const struct sinq_progress now = {.activity = activity,
                                      .item = layout->finished,
                                      .items = layout->count,
                                      .bytes = bytes,
                                      .bytes_total = bytes_total};
    if (commit->progress == NULL || commit->progress(commit->user, &now) == 0) return SINQ_OK;
    return sinq_fail(error, SINQ_INTERRUPTED, "%s: stopped while %s; go on with --resume",
                     commit->sink->staging.final_path, activity);
}

/* ---- headers ---- */

static int open_shard(const struct commit *commit, const char *name, int flags, int *fd, char **path,
                      struct sinq_error *error) {
    const struct sinq_staging *const staging = &commit->sink->staging;
    *path = sinq_join_path(staging->folder, name);
    if (*path == NULL) return sinq_fail_memory(error, "a shard's name", strlen(name));
    *fd = openat(staging->folder_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, (mode_t)0666);
    return *fd >= 0 ? SINQ_OK : sinq_fail_errno(error, "%s: cannot open", *path);
}

static int copy_data(const struct commit *commit, int from, const char *from_path, int to, const char *to_path,
                     uint64_t to_start, struct sinq_error *error) {
    const struct sinq_layout_shard *const shard = &commit->sink->layout->shards[0];
    char *const buffer = malloc(COPY_BYTES);
    int status = buffer == NULL ? sinq_fail_memory(error, "copying", COPY_BYTES) : SINQ_OK;
    for (uint64_t at = 0; at < shard->bytes && status == SINQ_OK; at += COPY_BYTES) {
        const uint64_t size = sinq_min_u64(COPY_BYTES, shard->bytes - at);
        status = sinq_read_at(from, from_path, shard->data_start + at, size, buffer, error);
        if (status == SINQ_OK) status = sinq_write_at(to, to_path, to_start + at, size, buffer, error);
        if (status == SINQ_OK) status = report(commit, "copying", at + size, shard->bytes, error);
    }
    free(buffer);
    return status;
}

/*
 * A lone file's quantization_config outgrew the room left for it: the data moves, once, into a file with more. The first file
 * stays, for another try, until the output is published.
 */
static int widen_header(struct commit *commit, uint64_t header_bytes, struct sinq_error *error) {
    struct sinq_layout_shard *const shard = &commit->sink->layout->shards[0];
    const uint64_t start = sinq_round_up(sizeof(uint64_t) + header_bytes, SINQ_SHARD_ALIGNMENT);
    int from = -1;
    int to = -1;
    char *from_path = NULL;
    char *to_path = NULL;
    char *const name = strdup(WIDE_NAME);
    int status = name == NULL ? sinq_fail_memory(error, "a shard's name", sizeof WIDE_NAME) : SINQ_OK;
    if (status == SINQ_OK) status = sinq_staging_check_space(&commit->sink->staging, start + shard->bytes, error);
    if (status == SINQ_OK) status = open_shard(commit, commit->names[0], O_RDONLY, &from, &from_path, error);
    if (status == SINQ_OK) {
        status = open_shard(commit, WIDE_NAME, O_RDWR | O_CREAT | O_TRUNC, &to, &to_path, error);
    }
    if (status == SINQ_OK) status = copy_data(commit, from, from_path, to, to_path, start, error);
    if (status == SINQ_OK) {
        free(commit->names[0]);
        commit->names[0] = name;
        shard->data_start = start;
    } else {
        free(name);
    }
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    free(from_path);
    free(to_path);
    return status;
}

static int write_header(struct commit *commit, size_t shard, const struct sinq_text *text, struct sinq_error *error) {
    const struct sinq_layout *const layout = commit->sink->layout;
    const uint64_t size = layout->shards[shard].data_start;
    int fd = -1;
    char *path = NULL;
    uint8_t *const head = malloc((size_t)size);
    if (head == NULL) return sinq_fail_memory(error, "a header", size);
    layout->ops->fill_head(&layout->shards[shard], text, head);
    int status = open_shard(commit, commit->names[shard], O_RDWR | O_CREAT, &fd, &path, error);
    if (status == SINQ_OK) status = sinq_write_at(fd, path, 0, size, head, error);
    if (status == SINQ_OK) status = sinq_sink_sync(commit->sink, fd, path, error);
    if (fd >= 0) close(fd);
    free(path);
    free(head);
    return status;
}

static int finish_shard(struct commit *commit, size_t shard, struct sinq_error *error) {
    const struct sinq_layout *const layout = commit->sink->layout;
    struct sinq_text text = {0};
    int status = layout->ops->print_header(layout, shard, commit->quantization, &text, error);
    const uint64_t room = layout->shards[shard].data_start - layout->ops->head_overhead;
    if (status == SINQ_OK && text.size > (layout->single_file ? SINQ_HEADER_LIMIT - SINQ_SHARD_ALIGNMENT : room)) {
        status = sinq_fail(error, SINQ_FAILED, "%s: the header of shard %zu takes %zu bytes, expected at most %llu",
                           commit->sink->staging.folder, shard + 1, text.size, (unsigned long long)room);
    }
    if (status == SINQ_OK && text.size > room) status = widen_header(commit, text.size, error);
    if (status == SINQ_OK) status = write_header(commit, shard, &text, error);
    sinq_text_free(&text);
    return status;
}

/* ---- the files beside ---- */

static bool is_own_name(const char *name) {
    return strcmp(name, SINQ_LOCK_NAME) == 0 || strcmp(name, SINQ_JOURNAL_NAME) == 0 ||
           strncmp(name, "shard-", 6) == 0 || name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           strchr(name, '/') != NULL;
}

static int write_sidecar(const struct commit *commit, size_t index, struct sinq_error *error) {
    const struct sinq_source *const source = commit->sink->source;
    const char *const name = source->sidecars[index];
    if (strcmp(name, CONFIG_NAME) == 0 || strcmp(name, INDEX_NAME) == 0) return SINQ_OK;
    if (is_own_name(name)) {
        return sinq_fail(error, SINQ_FAILED, "%s/%s: a file of that name cannot be carried over", source->path, name);
    }
    char *data = NULL;
    size_t size = 0;
    int status = source->ops->read_sidecar(source, index, &data, &size, error);
    if (status == SINQ_OK) status = sinq_staging_write_file(&commit->sink->staging, name, data, size, error);
    free(data);
    return status;
}

static int write_text(const struct commit *commit, const char *name, const struct sinq_text *text,
                      struct sinq_error *error) {
    return sinq_staging_write_file(&commit->sink->staging, name, text->data, text->size, error);
}

/* The layout's mark is put into *text, too. */
static int mark_config(const struct commit *commit, struct sinq_text *text, struct sinq_error *error) {
    const char *const mark = commit->sink->layout->ops->config_mark;
    struct sinq_text marked = {0};
    if (mark == NULL) return SINQ_OK;
    const int status = sinq_splice_member(text->data, mark, "true", CONFIG_NAME, &marked, error);
    sinq_text_free(text);
    *text = marked;
    return status;
}

static int write_config(const struct commit *commit, struct sinq_error *error) {
    struct sinq_text text = {0};
    const char *const config = commit->sink->source->config;
    int status =
        commit->sink->plain_dtype != NULL
            ? sinq_splice_plain(config, commit->sink->plain_dtype, CONFIG_NAME, &text, error)
            : sinq_splice_member(config, "quantization_config", commit->quantization, CONFIG_NAME, &text, error);
    if (status == SINQ_OK) status = mark_config(commit, &text, error);
    if (status == SINQ_OK) status = write_text(commit, CONFIG_NAME, &text, error);
    sinq_text_free(&text);
    return status;
}

static int write_index(const struct commit *commit, struct sinq_error *error) {
    const struct sinq_layout *const layout = commit->sink->layout;
    if (layout->shard_count == 1 && !layout->ops->is_always_indexed) return SINQ_OK;
    struct sinq_text text = {0};
    int status = sinq_layout_print_index(layout, &text, error);
    if (status == SINQ_OK) status = write_text(commit, INDEX_NAME, &text, error);
    sinq_text_free(&text);
    return status;
}

/* What else a format has. */
static int write_beside(const struct commit *commit, struct sinq_error *error) {
    const struct sinq_layout *const layout = commit->sink->layout;
    if (layout->ops->print_beside == NULL) return SINQ_OK;
    struct sinq_text text = {0};
    int status = layout->ops->print_beside(layout, &text, error);
    if (status == SINQ_OK) status = write_text(commit, layout->ops->beside_name, &text, error);
    sinq_text_free(&text);
    return status;
}

static int write_files_beside(const struct commit *commit, struct sinq_error *error) {
    const struct sinq_file_sink *const sink = commit->sink;
    if (!sink->staging.is_directory || !sink->layout->ops->has_files_beside) return SINQ_OK;
    int status = write_config(commit, error);
    for (size_t i = 0; i < sink->source->sidecar_count && status == SINQ_OK; i++) {
        status = write_sidecar(commit, i, error);
    }
    if (status == SINQ_OK) status = write_index(commit, error);
    return status == SINQ_OK ? write_beside(commit, error) : status;
}

/* ---- names ---- */

static int list_shards(struct commit *commit, struct sinq_error *error) {
    const size_t count = commit->sink->layout->shard_count;
    commit->names = calloc(count, sizeof *commit->names);
    bool failed = commit->names == NULL;
    for (size_t i = 0; i < count && !failed; i++) {
        char name[SINQ_SHARD_NAME_BYTES];
        sinq_shard_growing_name(i, name);
        commit->names[i] = strdup(name);
        failed = commit->names[i] == NULL;
    }
    return failed ? sinq_fail_memory(error, "names of shards", count * SINQ_SHARD_NAME_BYTES) : SINQ_OK;
}

static int rename_shards(const struct commit *commit, struct sinq_error *error) {
    const struct sinq_staging *const staging = &commit->sink->staging;
    const size_t count = commit->sink->layout->shard_count;
    for (size_t i = 0; i < count && staging->is_directory; i++) {
        char name[SINQ_SHARD_NAME_BYTES];
        commit->sink->layout->ops->name_shard(commit->sink->layout, i, count, name);
        if (renameat(staging->folder_fd, commit->names[i], staging->folder_fd, name) == 0) continue;
        return sinq_fail_errno(error, "%s/%s: cannot rename to %s", staging->folder, commit->names[i], name);
    }
    return SINQ_OK;
}

/* From here on nothing asks whether to stop: it is over in a moment. */
static int publish(const struct commit *commit, struct sinq_error *error) {
    struct sinq_file_sink *const sink = commit->sink;
    struct timespec start;
    struct timespec end;
    int status = rename_shards(commit, error);
    if (status == SINQ_OK) status = sinq_sink_sync(sink, sink->staging.folder_fd, sink->staging.folder, error);
    if (status != SINQ_OK) return status;
    clock_gettime(CLOCK_MONOTONIC, &start);
    status = sinq_publish_output(&sink->staging, sink->journal, commit->names[0], error);
    clock_gettime(CLOCK_MONOTONIC, &end);
    sink->base.seconds_sync += (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    if (status != SINQ_OK) return status;
    /* What was the folder is now the output. */
    sink->staging.is_ours = false;
    sink->keep = true;
    return SINQ_OK;
}

static int run_commit(struct commit *commit, struct sinq_error *error) {
    struct sinq_file_sink *const sink = commit->sink;
    int status = sinq_sink_record(sink, error);
    if (status == SINQ_OK) status = sinq_layout_require_shard(sink->layout, error);
    if (status == SINQ_OK) status = list_shards(commit, error);
    if (status == SINQ_OK) status = report(commit, "syncing", 0, 0, error);
    for (size_t i = 0; status == SINQ_OK && i < sink->layout->shard_count; i++) status = finish_shard(commit, i, error);
    if (status == SINQ_OK) status = write_files_beside(commit, error);
    if (status == SINQ_OK) {
        status = sinq_check_shards(sink->layout, &sink->staging, commit->names, commit->progress, commit->user, error);
    }
    if (status == SINQ_OK) status = report(commit, "syncing", 0, 0, error);
    return status == SINQ_OK ? publish(commit, error) : status;
}

int sinq_sink_commit(struct sinq_sink *base, const struct sinq_sink_final *final, sinq_progress_fn *progress,
                     void *user, struct sinq_error *error) {
    struct sinq_file_sink *const sink = (struct sinq_file_sink *)base;
    if (sink->layout == NULL || sink->failed || sink->hasher != NULL || sink->layout->finished < sink->layout->count) {
        return sinq_fail(error, SINQ_FAILED, "%s: not all tensors are written", sink->staging.folder);
    }
    struct commit commit = {.sink = sink, .quantization = final->quantization, .progress = progress, .user = user};
    const int status = run_commit(&commit, error);
    for (size_t i = 0; commit.names != NULL && i < sink->layout->shard_count; i++) free(commit.names[i]);
    free(commit.names);
    /* A failed commit is tried again by a run that resumes, not by this one. */
    sink->failed = true;
    return status;
}
