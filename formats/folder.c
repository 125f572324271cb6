#define _XOPEN_SOURCE 700
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "journal.h"

int sinq_visit_folder(int folder_fd, const char *path, sinq_visit_fn *visit, void *user, struct sinq_error *error) {
    /* A second description, since reading moves the position that a duplicate would share. */
    const int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        const int status = sinq_fail_errno(error, "%s: cannot list", path);
        if (fd >= 0) close(fd);
        return status;
    }
    int status = SINQ_OK;
    while (status == SINQ_OK) {
        errno = 0;
        const struct dirent *const entry = readdir(stream);
        if (entry == NULL) {
            if (errno != 0) status = sinq_fail_errno(error, "%s: cannot list", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        status = visit(user, folder_fd, entry->d_name, error);
    }
    closedir(stream);
    return status;
}

static bool ends_with(const char *text, const char *ending) {
    const size_t length = strlen(text);
    return length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0;
}

static int look_at_entry(void *user, int folder_fd, const char *name, struct sinq_error *error) {
    struct sinq_folder_facts *const facts = user;
    struct stat status;
    (void)error;
    facts->entries++;
    if (fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return SINQ_OK;
    if (S_ISDIR(status.st_mode)) facts->has_folder = true;
    if (strcmp(name, SINQ_LOCK_NAME) == 0 || strcmp(name, SINQ_JOURNAL_NAME) == 0) facts->is_ours = true;
    if (strcmp(name, "config.json") == 0 || ends_with(name, ".safetensors")) facts->has_checkpoint = true;
    return SINQ_OK;
}

int sinq_look_into_folder(int folder_fd, const char *path, struct sinq_folder_facts *facts, struct sinq_error *error) {
    *facts = (struct sinq_folder_facts){0};
    return sinq_visit_folder(folder_fd, path, look_at_entry, facts, error);
}

static int remove_entry(void *user, int folder_fd, const char *name, struct sinq_error *error) {
    const char *const path = *(const char **)user;
    if (unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT) return SINQ_OK;
    return sinq_fail_errno(error, "%s/%s: cannot remove", path, name);
}

int sinq_remove_folder(int parent_fd, const char *name, const char *path, struct sinq_error *error) {
    const int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        return unlinkat(parent_fd, name, 0) == 0 ? SINQ_OK : sinq_fail_errno(error, "%s: cannot remove", path);
    }
    if (fd < 0) return errno == ENOENT ? SINQ_OK : sinq_fail_errno(error, "%s: cannot open", path);
    const int status = sinq_visit_folder(fd, path, remove_entry, &path, error);
    close(fd);
    if (status != SINQ_OK) return status;
    return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 ? SINQ_OK : sinq_fail_errno(error, "%s: cannot remove", path);
}
