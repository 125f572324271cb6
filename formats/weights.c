#include "weights.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* More shards than this are opened again for every read, so that the process does not run out of descriptors. */
#define MAX_OPEN_SHARDS   500u
#define MAX_SIDECAR_BYTES ((uint64_t)256 << 20)

/* ---- the source's operations ---- */

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

static int read_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error) {
    const struct sinq_weights *const weights = (const struct sinq_weights *)source;
    const struct sinq_tensor *const t = &source->tensors[tensor];
    struct sinq_input input = weights->inputs[t->shard];
    if (input.memory != NULL || input.fd >= 0) return sinq_input_read(&input, t->offset + offset, size, out, error);
    int status = reopen_shard(&source->shards[t->shard], &input, error);
    if (status != SINQ_OK) return status;
    status = sinq_input_read(&input, t->offset + offset, size, out, error);
    close(input.fd);
    return status;
}

static int read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    char *const path = sinq_join_path(source->path, source->sidecars[index]);
    if (path == NULL) return sinq_fail_memory(error, source->sidecars[index], 0);
    const int status = sinq_read_file(path, MAX_SIDECAR_BYTES, data, size, error);
    free(path);
    return status;
}

/* Maps a shard's file, once. */
static int map_shard(struct sinq_weights *weights, size_t i, struct sinq_error *error) {
    struct sinq_input input = weights->inputs[i];
    const bool is_closed = input.fd < 0;
    int status = is_closed ? reopen_shard(&weights->base.shards[i], &input, error) : SINQ_OK;
    if (status != SINQ_OK) return status;
    void *const map = mmap(NULL, (size_t)input.bytes, PROT_READ, MAP_PRIVATE, input.fd, 0);
    if (map == MAP_FAILED) status = sinq_fail_errno(error, "%s: cannot be mapped into memory", input.path);
    if (map != MAP_FAILED) weights->maps[i] = map;
    if (is_closed) close(input.fd);
    return status;
}

static int map_tensor(const struct sinq_source *source, size_t tensor, const uint8_t **bytes,
                      struct sinq_error *error) {
    /* A source is const to its readers; what changes here is only which files are mapped, under the lock. */
    struct sinq_weights *const weights = (struct sinq_weights *)(uintptr_t)source;
    const struct sinq_tensor *const t = &source->tensors[tensor];
    const struct sinq_input *const input = &weights->inputs[t->shard];
    if (input->memory != NULL) {
        *bytes = input->memory + t->offset;
        return SINQ_OK;
    }
    int status = SINQ_OK;
    pthread_mutex_lock(&weights->lock);
    if (weights->maps[t->shard] == NULL) status = map_shard(weights, t->shard, error);
    if (status == SINQ_OK) *bytes = weights->maps[t->shard] + t->offset;
    pthread_mutex_unlock(&weights->lock);
    return status;
}

static void close_weights(struct sinq_source *source) {
    struct sinq_weights *const weights = (struct sinq_weights *)source;
    for (size_t i = 0; i < source->shard_count; i++) {
        if (weights->maps[i] != NULL) munmap(weights->maps[i], (size_t)weights->inputs[i].bytes);
        if (weights->inputs[i].memory == NULL && weights->inputs[i].fd >= 0) close(weights->inputs[i].fd);
        free(source->shards[i].path);
    }
    for (size_t i = 0; i < source->sidecar_count; i++) free(source->sidecars[i]);
    sinq_tensor_list_free(&weights->list);
    sinq_name_index_free(source->names);
    free(weights->inputs);
    free(weights->maps);
    pthread_mutex_destroy(&weights->lock);
    free(weights->header_quantization);
    free(source->shards);
    free(source->sidecars);
    free(source->config);
    free(source->model_type);
    free(source->quantization);
    free(source->path);
    free(weights);
}

static const struct sinq_source_ops weights_ops = {
    .read_bytes = read_bytes, .read_sidecar = read_sidecar, .close = close_weights, .map = map_tensor};

/* ---- building it ---- */

struct sinq_weights *sinq_weights_create(const char *path, const char *format, bool is_directory) {
    struct sinq_weights *const weights = calloc(1, sizeof *weights);
    if (weights == NULL) return NULL;
    weights->base.ops = &weights_ops;
    weights->base.format = format;
    weights->base.is_directory = is_directory;
    weights->base.path = strdup(path);
    pthread_mutex_init(&weights->lock, NULL);
    if (weights->base.path != NULL) return weights;
    free(weights);
    return NULL;
}

/* Room for one more shard, whose path is a copy of `path`. */
static int reserve_shard(struct sinq_weights *weights, const char *path, struct sinq_error *error) {
    struct sinq_source *const source = &weights->base;
    const size_t count = source->shard_count + 1;
    struct sinq_shard *const shards = realloc(source->shards, count * sizeof *shards);
    if (shards == NULL) return sinq_fail_memory(error, path, count * sizeof *shards);
    source->shards = shards;
    struct sinq_input *const inputs = realloc(weights->inputs, count * sizeof *inputs);
    if (inputs == NULL) return sinq_fail_memory(error, path, count * sizeof *inputs);
    weights->inputs = inputs;
    uint8_t **const maps = realloc(weights->maps, count * sizeof *maps);
    if (maps == NULL) return sinq_fail_memory(error, path, count * sizeof *maps);
    weights->maps = maps;
    maps[count - 1] = NULL;
    char *const copy = strdup(path);
    if (copy == NULL) return sinq_fail_memory(error, path, strlen(path));
    shards[count - 1] = (struct sinq_shard){.path = copy};
    inputs[count - 1] = (struct sinq_input){.path = copy, .fd = -1};
    source->shard_count = count;
    return SINQ_OK;
}

static int list_shard(struct sinq_weights *weights, struct sinq_error *error) {
    const size_t i = weights->base.shard_count - 1;
    struct sinq_shard *const shard = &weights->base.shards[i];
    struct sinq_header_facts facts;
    const int status = sinq_list_safetensors(&weights->inputs[i], (uint32_t)i, &weights->list, &facts, error);
    shard->bytes = weights->inputs[i].bytes;
    memcpy(shard->header_hash, facts.hash, sizeof shard->header_hash);
    free(weights->header_quantization);
    weights->header_quantization = facts.quantization;
    return status;
}

int sinq_weights_add_memory(struct sinq_weights *weights, const char *path, const uint8_t *bytes, size_t size,
                            struct sinq_error *error) {
    const int status = reserve_shard(weights, path, error);
    if (status != SINQ_OK) return status;
    struct sinq_input *const input = &weights->inputs[weights->base.shard_count - 1];
    input->memory = bytes;
    input->bytes = size;
    return list_shard(weights, error);
}

int sinq_weights_add_shard(struct sinq_weights *weights, const char *path, struct sinq_error *error) {
    int status = reserve_shard(weights, path, error);
    if (status != SINQ_OK) return status;
    const size_t i = weights->base.shard_count - 1;
    struct sinq_shard *const shard = &weights->base.shards[i];
    struct sinq_input *const input = &weights->inputs[i];
    status = sinq_open_file(path, &input->fd, &input->bytes, error);
    if (status != SINQ_OK) return status;
    struct stat facts;
    if (fstat(input->fd, &facts) != 0) return sinq_fail_errno(error, "%s: cannot stat", path);
    shard->device = (uint64_t)facts.st_dev;
    shard->inode = (uint64_t)facts.st_ino;
    shard->modified_ns = (int64_t)facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec;
    status = list_shard(weights, error);
    if (i >= MAX_OPEN_SHARDS) {
        close(input->fd);
        input->fd = -1;
    }
    return status;
}

int sinq_weights_finish(struct sinq_weights *weights, struct sinq_error *error) {
    struct sinq_source *const source = &weights->base;
    source->tensors = weights->list.tensors;
    source->tensor_count = weights->list.count;
    source->checksums = weights->list.checksums;
    source->names = sinq_name_index_create(source->tensor_count);
    if (source->names == NULL) return sinq_fail_memory(error, source->path, 32 * (uint64_t)source->tensor_count);
    for (size_t i = 0; i < source->tensor_count; i++) {
        const struct sinq_tensor *const tensor = &source->tensors[i];
        if (sinq_name_index_add(source->names, tensor->name, i)) continue;
        const int64_t other = sinq_name_index_find(source->names, tensor->name);
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: %s has a tensor of that name too",
                         source->shards[tensor->shard].path, tensor->name,
                         other < 0 ? "another file" : source->shards[source->tensors[other].shard].path);
    }
    return sinq_pair_block_scales(source, weights->scale_block, error);
}
