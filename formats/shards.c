#define _DEFAULT_SOURCE /* madvise */
#include "shards.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* More shards than this are opened again for every read, so that the process does not run out of descriptors. */
#define MAX_OPEN_SHARDS 500u

void sinq_shards_init(struct sinq_shards *shards, struct sinq_source *source) {
    *shards = (struct sinq_shards){.source = source};
    pthread_mutex_init(&shards->lock, NULL);
}

void sinq_shards_free(struct sinq_shards *shards) {
    struct sinq_source *const source = shards->source;
    for (size_t i = 0; i < source->shard_count; i++) {
        if (shards->maps[i] != NULL) munmap(shards->maps[i], (size_t)shards->inputs[i].bytes);
        if (shards->inputs[i].memory == NULL && shards->inputs[i].fd >= 0) close(shards->inputs[i].fd);
        free(source->shards[i].path);
    }
    free(shards->inputs);
    free(shards->maps);
    free(source->shards);
    pthread_mutex_destroy(&shards->lock);
}

/* ---- reading ---- */

/* A shard that is not kept open, opened anew; it must still be the file that was listed. */
static int reopen_shard(const struct sinq_shard *shard, struct sinq_input *input, struct sinq_error *error) {
    struct stat facts;
    const int status = sinq_open_file(shard->path, &input->fd, &input->bytes, error);
    if (status != SINQ_OK) return status;
    if (fstat(input->fd, &facts) == 0 && (uint64_t)facts.st_ino == shard->inode && input->bytes == shard->bytes) {
        return SINQ_OK;
    }
    close(input->fd);
    return sinq_fail(error, SINQ_FAILED, "%s: was replaced while it was being read", shard->path);
}

int sinq_shards_read(const struct sinq_shards *shards, size_t shard, uint64_t offset, uint64_t size, void *out,
                     struct sinq_error *error) {
    struct sinq_input input = shards->inputs[shard];
    if (input.memory != NULL || input.fd >= 0) return sinq_input_read(&input, offset, size, out, error);
    int status = reopen_shard(&shards->source->shards[shard], &input, error);
    if (status != SINQ_OK) return status;
    status = sinq_input_read(&input, offset, size, out, error);
    close(input.fd);
    return status;
}

/* Maps a shard's file, once. */
static int map_shard(struct sinq_shards *shards, size_t i, struct sinq_error *error) {
    struct sinq_input input = shards->inputs[i];
    const bool is_closed = input.fd < 0;
    int status = is_closed ? reopen_shard(&shards->source->shards[i], &input, error) : SINQ_OK;
    if (status != SINQ_OK) return status;
    void *const map = mmap(NULL, (size_t)input.bytes, PROT_READ, MAP_PRIVATE, input.fd, 0);
    if (map == MAP_FAILED) status = sinq_fail_errno(error, "%s: cannot be mapped into memory", input.path);
    if (map != MAP_FAILED) shards->maps[i] = map;
    if (is_closed) close(input.fd);
    return status;
}

int sinq_shards_map(struct sinq_shards *shards, size_t shard, const uint8_t **bytes, struct sinq_error *error) {
    const struct sinq_input *const input = &shards->inputs[shard];
    if (input->memory != NULL) {
        *bytes = input->memory;
        return SINQ_OK;
    }
    int status = SINQ_OK;
    pthread_mutex_lock(&shards->lock);
    if (shards->maps[shard] == NULL) status = map_shard(shards, shard, error);
    *bytes = shards->maps[shard];
    pthread_mutex_unlock(&shards->lock);
    return status;
}

/* Pages that are looked at again come back from the file: the maps are private and never written. */
void sinq_shards_forget(struct sinq_shards *shards) {
    pthread_mutex_lock(&shards->lock);
    for (size_t i = 0; i < shards->source->shard_count; i++) {
        if (shards->maps[i] != NULL) (void)madvise(shards->maps[i], (size_t)shards->inputs[i].bytes, MADV_DONTNEED);
    }
    pthread_mutex_unlock(&shards->lock);
}

/* ---- adding ---- */

/* Room for one more shard, whose path is a copy of `path`. */
static int reserve_shard(struct sinq_shards *list, const char *path, struct sinq_error *error) {
    struct sinq_source *const source = list->source;
    const size_t count = source->shard_count + 1;
    struct sinq_shard *const shards = realloc(source->shards, count * sizeof *shards);
    if (shards == NULL) return sinq_fail_memory(error, path, count * sizeof *shards);
    source->shards = shards;
    struct sinq_input *const inputs = realloc(list->inputs, count * sizeof *inputs);
    if (inputs == NULL) return sinq_fail_memory(error, path, count * sizeof *inputs);
    list->inputs = inputs;
    uint8_t **const maps = realloc(list->maps, count * sizeof *maps);
    if (maps == NULL) return sinq_fail_memory(error, path, count * sizeof *maps);
    list->maps = maps;
    maps[count - 1] = NULL;
    char *const copy = strdup(path);
    if (copy == NULL) return sinq_fail_memory(error, path, strlen(path));
    shards[count - 1] = (struct sinq_shard){.path = copy};
    inputs[count - 1] = (struct sinq_input){.path = copy, .fd = -1};
    source->shard_count = count;
    return SINQ_OK;
}

int sinq_shards_add_memory(struct sinq_shards *shards, const char *path, const uint8_t *bytes, size_t size,
                           struct sinq_error *error) {
    const int status = reserve_shard(shards, path, error);
    if (status != SINQ_OK) return status;
    const size_t i = shards->source->shard_count - 1;
    shards->inputs[i].memory = bytes;
    shards->inputs[i].bytes = shards->source->shards[i].bytes = size;
    return SINQ_OK;
}

int sinq_shards_add_file(struct sinq_shards *shards, const char *path, struct sinq_error *error) {
    int status = reserve_shard(shards, path, error);
    if (status != SINQ_OK) return status;
    const size_t i = shards->source->shard_count - 1;
    struct sinq_shard *const shard = &shards->source->shards[i];
    struct sinq_input *const input = &shards->inputs[i];
    status = sinq_open_file(path, &input->fd, &input->bytes, error);
    if (status != SINQ_OK) return status;
    struct stat facts;
    if (fstat(input->fd, &facts) != 0) return sinq_fail_errno(error, "%s: cannot stat", path);
    shard->bytes = input->bytes;
    shard->device = (uint64_t)facts.st_dev;
    shard->inode = (uint64_t)facts.st_ino;
    shard->modified_ns = (int64_t)facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec;
    return SINQ_OK;
}

void sinq_shards_settle(struct sinq_shards *shards) {
    const size_t i = shards->source->shard_count - 1;
    struct sinq_input *const input = &shards->inputs[i];
    if (i < MAX_OPEN_SHARDS || input->memory != NULL) return;
    close(input->fd);
    input->fd = -1;
}
