#include "shard_check.h"

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

static int check_header(const struct check *check, size_t shard, struct sinq_error *error) {
    const struct sinq_layout_shard *const part = &check->layout->shards[shard];
    struct shard_file file;
    struct stat facts;
    uint8_t *head = NULL;
    int status = open_shard(check, shard, &file, error);
    if (status != SINQ_OK) goto done;
    if (fstat(file.fd, &facts) != 0 || (uint64_t)facts.st_size != part->data_start + part->bytes) {
        status = sinq_fail(error, SINQ_FAILED, "%s: read back, its length is not what was written", file.path);
        goto done;
    }
    head = malloc((size_t)part->data_start + 1);
    if (head == NULL) {
        status = sinq_fail_memory(error, "a header", part->data_start);
        goto done;
    }
    status = sinq_read_at(file.fd, file.path, 0, part->data_start, head, error);
    if (status == SINQ_OK) status = check->layout->ops->check_head(check->layout, shard, file.path, head, error);
done:
    free(head);
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
