#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* The kernel moves at most this much in one call. */
#define LARGEST_TRANSFER ((uint64_t)1 << 30)

int sinq_read_at(int fd, const char *path, uint64_t offset, uint64_t size, void *out, struct sinq_error *error) {
    char *to = out;
    while (size > 0) {
        const size_t wanted = (size_t)(size < LARGEST_TRANSFER ? size : LARGEST_TRANSFER);
        const ssize_t got = pread(fd, to, wanted, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return sinq_fail_errno(error, "%s: cannot read at byte %llu", path, (unsigned long long)offset);
        if (got == 0) {
            return sinq_fail(error, SINQ_FAILED, "%s: ends at byte %llu, %llu more were expected", path,
                             (unsigned long long)offset, (unsigned long long)size);
        }
        to += got;
        offset += (uint64_t)got;
        size -= (uint64_t)got;
    }
    return SINQ_OK;
}

int sinq_write_at(int fd, const char *path, uint64_t offset, uint64_t size, const void *data,
                  struct sinq_error *error) {
    const char *from = data;
    while (size > 0) {
        const size_t wanted = (size_t)(size < LARGEST_TRANSFER ? size : LARGEST_TRANSFER);
        const ssize_t put = pwrite(fd, from, wanted, (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return sinq_fail_errno(error, "%s: cannot write at byte %llu", path, (unsigned long long)offset);
        from += put;
        offset += (uint64_t)put;
        size -= (uint64_t)put;
    }
    return SINQ_OK;
}

int sinq_open_file(const char *path, int *fd, uint64_t *size, struct sinq_error *error) {
    struct stat status;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return sinq_fail_errno(error, "%s: cannot open", path);
    if (fstat(*fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(*fd);
        *fd = -1;
        return sinq_fail(error, SINQ_FAILED, "%s: not a regular file", path);
    }
    *size = (uint64_t)status.st_size;
    return SINQ_OK;
}

int sinq_read_file(const char *path, uint64_t limit, char **data, size_t *size, struct sinq_error *error) {
    int fd;
    uint64_t bytes;
    int status = sinq_open_file(path, &fd, &bytes, error);
    if (status != SINQ_OK) return status;
    char *buffer = NULL;
    if (bytes > limit) {
        status = sinq_fail(error, SINQ_FAILED, "%s: %llu bytes, expected at most %llu", path, (unsigned long long)bytes,
                           (unsigned long long)limit);
        goto done;
    }
    buffer = malloc((size_t)bytes + 1);
    if (buffer == NULL) {
        status = sinq_fail_memory(error, path, bytes);
        goto done;
    }
    status = sinq_read_at(fd, path, 0, bytes, buffer, error);
    if (status != SINQ_OK) goto done;
    buffer[bytes] = '\0';
    *data = buffer;
    *size = (size_t)bytes;
    buffer = NULL;
done:
    free(buffer);
    close(fd);
    return status;
}

int sinq_sync_directory(const char *path, struct sinq_error *error) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return sinq_fail_errno(error, "%s: cannot open", path);
    /* Some file systems cannot sync a directory; the rename is then as safe as they make it. */
    const int failed = fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
    const int status = failed ? sinq_fail_errno(error, "%s: cannot sync", path) : SINQ_OK;
    close(fd);
    return status;
}

char *sinq_join_path(const char *folder, const char *name) {
    char *path;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}
