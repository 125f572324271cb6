#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "folder.h"
#include "sink_state.h"

/* The numbers in "...-00001-of-00003...", where the name has them. */
static void parse_numbers(const char *name, size_t *shard, size_t *count) {
    const char *of = NULL;
    for (const char *next = strstr(name, "-of-"); next != NULL; next = strstr(next + 1, "-of-")) of = next;
    if (of == NULL || of - name < 6 || sscanf(of - 6, "-%5zu-of-%5zu", shard, count) != 2) *shard = *count = 1;
}

/* A commit that was stopped near its end has given shards their final names: back to those they grow under. */
static int rename_back(void *user, int folder_fd, const char *name, struct sinq_error *error) {
    const struct sinq_file_sink *const sink = user;
    size_t shard, count;
    char final_name[SINQ_SHARD_NAME_BYTES];
    char growing_name[SINQ_SHARD_NAME_BYTES];
    parse_numbers(name, &shard, &count);
    if (shard == 0 || shard > count) return SINQ_OK;
    sink->layout->ops->name_shard(sink->layout, shard - 1, count, final_name);
    if (strcmp(name, final_name) != 0) return SINQ_OK;
    sinq_shard_growing_name(shard - 1, growing_name);
    struct stat status;
    if (fstatat(folder_fd, growing_name, &status, AT_SYMLINK_NOFOLLOW) == 0) return SINQ_OK;
    if (renameat(folder_fd, name, folder_fd, growing_name) == 0) return SINQ_OK;
    return sinq_fail_errno(error, "%s/%s: cannot rename", sink->staging.folder, name);
}

/* 0 where there is no such file. */
static uint64_t measure_shard_file(const struct sinq_file_sink *sink, size_t shard) {
    char name[SINQ_SHARD_NAME_BYTES];
    struct stat status;
    sinq_shard_growing_name(shard, name);
    if (fstatat(sink->staging.folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return 0;
    return (uint64_t)status.st_size;
}

/* *is_present is false where the bytes of the tensor are not all there: it is made again, and all behind it. */
static int take_over_tensor(struct sinq_file_sink *sink, const struct sinq_journal_record *record, bool *is_present,
                            struct sinq_error *error) {
    struct sinq_layout *const layout = sink->layout;
    const size_t index = layout->finished;
    int status = index < layout->count ? sinq_layout_place(layout, error) : SINQ_OK;
    if (status != SINQ_OK) return status;
    const struct sinq_layout_tensor *const tensor = &layout->tensors[index];
    if (index >= layout->count || strcmp(record->name, tensor->name) != 0 || record->shard != tensor->shard ||
        record->offset != tensor->offset) {
        return sinq_fail(error, SINQ_FAILED, "%s/%s: tensor %s does not lie where this run would put it; %s",
                         sink->staging.folder, SINQ_JOURNAL_NAME, record->name, "begin anew with --force");
    }
    const uint64_t end = layout->shards[tensor->shard].data_start + record->offset + record->bytes;
    *is_present = measure_shard_file(sink, tensor->shard) >= end;
    if (!*is_present) return SINQ_OK;
    if (record->note != NULL && (sink->notes[index] = strdup(record->note)) == NULL) {
        return sinq_fail_memory(error, "a note", strlen(record->note));
    }
    return sinq_layout_finish(layout, record->bytes, record->checksum, error);
}

static bool is_recorded_file(void *user, const char *name) {
    const struct sinq_layout *const layout = user;
    if (strcmp(name, SINQ_JOURNAL_NAME) == 0) return true;
    for (size_t i = 0; i < layout->shard_count; i++) {
        char shard_name[SINQ_SHARD_NAME_BYTES];
        sinq_shard_growing_name(i, shard_name);
        if (layout->shards[i].count > 0 && strcmp(name, shard_name) == 0) return true;
    }
    return false;
}

static int truncate_shards(const struct sinq_file_sink *sink, struct sinq_error *error) {
    for (size_t i = 0; i < sink->layout->shard_count; i++) {
        const struct sinq_layout_shard *const shard = &sink->layout->shards[i];
        if (shard->count == 0) continue;
        char name[SINQ_SHARD_NAME_BYTES];
        sinq_shard_growing_name(i, name);
        const int fd = openat(sink->staging.folder_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        const bool done = fd >= 0 && ftruncate(fd, (off_t)(shard->data_start + shard->bytes)) == 0;
        const int status = done ? SINQ_OK : sinq_fail_errno(error, "%s/%s: cannot shorten", sink->staging.folder, name);
        if (fd >= 0) close(fd);
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

int sinq_sink_resume(struct sinq_file_sink *sink, struct sinq_error *error) {
    const struct sinq_staging *const staging = &sink->staging;
    int status = sinq_visit_folder(staging->folder_fd, staging->folder, rename_back, sink, error);
    bool is_present = true;
    for (size_t i = 0; i < sinq_journal_count(sink->journal) && status == SINQ_OK && is_present; i++) {
        const struct sinq_journal_record record = sinq_journal_record(sink->journal, i);
        status = take_over_tensor(sink, &record, &is_present, error);
    }
    if (status != SINQ_OK) return status;
    sink->recorded = sink->layout->finished;
    sink->keep = sink->recorded > 0;
    /* The journal first: it never says more than the shards hold. */
    status = sinq_journal_truncate(sink->journal, sink->recorded, error);
    if (status == SINQ_OK) status = sinq_staging_clear(staging, is_recorded_file, sink->layout, error);
    return status == SINQ_OK ? truncate_shards(sink, error) : status;
}
