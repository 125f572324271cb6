#include "shard_check.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "tensor/dual_scale.h"

#define CHUNK_BYTES ((uint64_t)1 << 20)
/* More do not read faster. */
#define MOST_THREADS 8u

struct check {
    const struct sinq_layout *layout;
    const struct sinq_staging *staging;
    char *const *names;
    sinq_progress_fn *progress;
    void *user;
    uint64_t total;
    atomic_size_t next, tensors_done;
    atomic_uint_fast64_t bytes_done;
    atomic_uint running;
    atomic_bool stop;
    pthread_mutex_t mutex; /* of what follows */
    int status;
    struct sinq_error error;
};

struct shard_file {
    int fd;
    char *path;
};

static int open_shard(const struct check *check, size_t shard, struct shard_file *file, struct sinq_error *error) {
    file->fd = -1;
    file->path = sinq_join_path(check->staging->folder, check->names[shard]);
    if (file->path == NULL) return sinq_fail_memory(error, "a shard's name", SINQ_SHARD_NAME_BYTES);
    file->fd = openat(check->staging->folder_fd, check->names[shard], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return file->fd >= 0 ? SINQ_OK : sinq_fail_errno(error, "%s: cannot open again", file->path);
}

static void close_shard(struct shard_file *file) {
    if (file->fd >= 0) close(file->fd);
    free(file->path);
}

/* ---- headers ---- */

static bool is_number(const cJSON *item, uint64_t expected) {
    return cJSON_IsNumber(item) && item->valuedouble == (double)expected;
}

static bool is_shape(const cJSON *shape, const struct sinq_layout_tensor *tensor) {
    const bool is_quantized = tensor->planned.dtype == SINQ_DUAL_SCALE;
    const uint32_t rank = is_quantized ? 1 : tensor->planned.rank;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) != (int)rank) return false;
    for (uint32_t i = 0; i < rank; i++) {
        const uint64_t expected = is_quantized ? tensor->bytes : tensor->planned.shape[i];
        if (!is_number(cJSON_GetArrayItem(shape, (int)i), expected)) return false;
    }
    return true;
}

static bool is_entry(const cJSON *entry, const struct sinq_layout_tensor *tensor) {
    const enum sinq_dtype dtype = tensor->planned.dtype == SINQ_DUAL_SCALE ? SINQ_U8 : tensor->planned.dtype;
    const char *const name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "dtype"));
    const cJSON *const offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    return entry != NULL && entry->string != NULL && strcmp(entry->string, tensor->file_name) == 0 && name != NULL &&
           strcmp(name, sinq_dtype_name(dtype)) == 0 &&
           is_shape(cJSON_GetObjectItemCaseSensitive(entry, "shape"), tensor) && cJSON_GetArraySize(offsets) == 2 &&
           is_number(cJSON_GetArrayItem(offsets, 0), tensor->offset) &&
           is_number(cJSON_GetArrayItem(offsets, 1), tensor->offset + tensor->bytes);
}

static int compare_header(const struct check *check, size_t shard, const char *path, const char *text, size_t size,
                          struct sinq_error *error) {
    const struct sinq_layout_shard *const part = &check->layout->shards[shard];
    cJSON *const header = cJSON_ParseWithLength(text, size);
    int status = SINQ_OK;
    const cJSON *entry = cJSON_IsObject(header) ? header->child : NULL;
    if (entry == NULL || strcmp(entry->string, "__metadata__") != 0) {
        status = sinq_fail(error, SINQ_FAILED, "%s: read back, its header is not what was written", path);
    }
    for (size_t i = part->first; i < part->first + part->count && status == SINQ_OK; i++) {
        entry = entry->next;
        if (entry != NULL && is_entry(entry, &check->layout->tensors[i])) continue;
        status = sinq_fail(error, SINQ_FAILED, "%s: tensor %s: read back, the header does not say what was written",
                           path, check->layout->tensors[i].name);
    }
    cJSON_Delete(header);
    return status;
}

static int check_header(const struct check *check, size_t shard, struct sinq_error *error) {
    const struct sinq_layout_shard *const part = &check->layout->shards[shard];
    struct shard_file file;
    struct stat facts;
    char *text = NULL;
    uint8_t length[8];
    uint64_t size = 0;
    int status = open_shard(check, shard, &file, error);
    if (status != SINQ_OK) goto done;
    status = sinq_read_at(file.fd, file.path, 0, sizeof length, length, error);
    if (status != SINQ_OK) goto done;
    for (size_t i = sizeof length; i-- > 0;) size = size << 8 | length[i];
    if (size != part->data_start - sizeof length || fstat(file.fd, &facts) != 0 ||
        (uint64_t)facts.st_size != part->data_start + part->bytes) {
        status = sinq_fail(error, SINQ_FAILED, "%s: read back, its length is not what was written", file.path);
        goto done;
    }
    text = malloc((size_t)size);
    if (text == NULL) {
        status = sinq_fail_memory(error, "a header", size);
        goto done;
    }
    status = sinq_read_at(file.fd, file.path, sizeof length, size, text, error);
    if (status == SINQ_OK) status = compare_header(check, shard, file.path, text, (size_t)size, error);
done:
    free(text);
    close_shard(&file);
    return status;
}

/* ---- bytes ---- */

static void report(struct check *check) {
    if (check->progress == NULL) return;
    const size_t done = atomic_load(&check->tensors_done);
    const struct sinq_progress now = {.activity = "verifying",
                                      .item = done,
                                      .items = check->layout->finished,
                                      .bytes = atomic_load(&check->bytes_done),
                                      .bytes_total = check->total};
    if (check->progress(check->user, &now) == 0 || atomic_exchange(&check->stop, true)) return;
    pthread_mutex_lock(&check->mutex);
    if (check->status == SINQ_OK) {
        check->status = sinq_fail(&check->error, SINQ_INTERRUPTED, "%s: stopped while verifying; go on with --resume",
                                  check->staging->final_path);
    }
    pthread_mutex_unlock(&check->mutex);
}

static int hash_tensor(struct check *check, size_t index, bool is_caller, uint8_t *chunk, struct sinq_error *error) {
    const struct sinq_layout_tensor *const tensor = &check->layout->tensors[index];
    const uint64_t start = check->layout->shards[tensor->shard].data_start + tensor->offset;
    struct sinq_hasher *const hasher = sinq_hasher_create();
    if (hasher == NULL) return sinq_fail_memory(error, "a checksum", sizeof(struct sinq_hash));
    struct shard_file file;
    int status = open_shard(check, tensor->shard, &file, error);
    uint64_t done = 0;
    while (done < tensor->bytes && status == SINQ_OK && !atomic_load(&check->stop)) {
        const uint64_t size = sinq_min_u64(CHUNK_BYTES, tensor->bytes - done);
        status = sinq_read_at(file.fd, file.path, start + done, size, chunk, error);
        if (status != SINQ_OK) break;
        sinq_hasher_update(hasher, chunk, (size_t)size);
        done += size;
        atomic_fetch_add(&check->bytes_done, size);
        if (is_caller) report(check);
    }
    const struct sinq_hash hash = sinq_hasher_finish(hasher);
    if (status == SINQ_OK && done == tensor->bytes && !sinq_hash_equal(hash, tensor->checksum)) {
        status = sinq_fail(error, SINQ_FAILED,
                           "%s: tensor %s: read back, its bytes are not those written; begin anew with --force",
                           file.path, tensor->name);
    }
    /* The pages have done their service. */
    if (file.fd >= 0) (void)posix_fadvise(file.fd, (off_t)start, (off_t)tensor->bytes, POSIX_FADV_DONTNEED);
    close_shard(&file);
    return status;
}

static void check_tensors(struct check *check, bool is_caller) {
    struct sinq_error error = {0};
    uint8_t *const chunk = malloc(CHUNK_BYTES);
    int status = chunk == NULL ? sinq_fail_memory(&error, "reading back", CHUNK_BYTES) : SINQ_OK;
    while (status == SINQ_OK && !atomic_load(&check->stop)) {
        const size_t index = atomic_fetch_add(&check->next, 1);
        if (index >= check->layout->finished) break;
        status = hash_tensor(check, index, is_caller, chunk, &error);
        atomic_fetch_add(&check->tensors_done, 1);
    }
    free(chunk);
    if (status == SINQ_OK) return;
    atomic_store(&check->stop, true);
    pthread_mutex_lock(&check->mutex);
    if (check->status == SINQ_OK) {
        check->status = status;
        check->error = error;
    }
    pthread_mutex_unlock(&check->mutex);
}

static void *run_worker(void *user) {
    struct check *const check = user;
    check_tensors(check, false);
    atomic_fetch_sub(&check->running, 1);
    return NULL;
}

/* Only the calling thread may report, so it goes on doing so while others finish their last tensors. */
static void wait_for_workers(struct check *check) {
    const struct timespec pause = {.tv_nsec = 1000000};
    while (atomic_load(&check->running) > 0) {
        report(check);
        nanosleep(&pause, NULL);
    }
}

static void check_in_parallel(struct check *check) {
    pthread_t workers[MOST_THREADS];
    const uint64_t wanted = sinq_min_u64(sinq_min_u64(sinq_count_processors(), MOST_THREADS), check->layout->finished);
    size_t started = 0;
    while (started + 1 < wanted) {
        atomic_fetch_add(&check->running, 1);
        if (pthread_create(&workers[started], NULL, run_worker, check) != 0) {
            atomic_fetch_sub(&check->running, 1);
            break;
        }
        started++;
    }
    check_tensors(check, true);
    wait_for_workers(check);
    for (size_t i = 0; i < started; i++) pthread_join(workers[i], NULL);
}

int sinq_check_shards(const struct sinq_layout *layout, const struct sinq_staging *staging, char *const *names,
                      sinq_progress_fn *progress, void *user, struct sinq_error *error) {
    struct check check = {.layout = layout,
                          .staging = staging,
                          .names = names,
                          .progress = progress,
                          .user = user,
                          .mutex = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < layout->finished; i++) check.total += layout->tensors[i].bytes;
    for (size_t i = 0; i < layout->shard_count; i++) {
        const int status = check_header(&check, i, error);
        if (status != SINQ_OK) return status;
    }
    report(&check);
    check_in_parallel(&check);
    if (check.status != SINQ_OK) return sinq_fail(error, check.status, "%s", check.error.message);
    return SINQ_OK;
}
