#define _GNU_SOURCE
#include "staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "folder.h"
#include "identity.h"
#include "journal.h"

#define PARTIAL_SUFFIX ".partial"
/* How often a folder may vanish under our feet, by other runs that end, before that is an error. */
#define ATTEMPTS 10

/* ---- names ---- */

static int name_folders(struct sinq_staging *staging, const char *path, struct sinq_error *error) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    size_t start = length; /* of the last part */
    while (start > 0 && path[start - 1] != '/') start--;
    staging->final_path = strndup(path, length);
    staging->parent = start == 0 ? strdup(".") : strndup(path, start > 1 ? start - 1 : 1);
    if (staging->final_path == NULL || staging->parent == NULL ||
        asprintf(&staging->folder, "%s" PARTIAL_SUFFIX, staging->final_path) < 0) {
        staging->folder = NULL;
        return sinq_fail_memory(error, "the output's name", length);
    }
    staging->name = staging->final_path + start;
    staging->partial_name = staging->folder + start;
    if (staging->name[0] != '\0' && strcmp(staging->name, ".") != 0 && strcmp(staging->name, "..") != 0) return SINQ_OK;
    return sinq_fail(error, SINQ_USAGE, "\"%s\" cannot be an output, name a file or directory that can be made", path);
}

static int check_replaceable(const struct sinq_staging *staging, struct sinq_error *error) {
    struct sinq_folder_facts facts;
    const int fd = openat(staging->parent_fd, staging->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return sinq_fail_errno(error, "%s: cannot open", staging->final_path);
    const int status = sinq_look_into_folder(fd, staging->final_path, &facts, error);
    close(fd);
    if (status != SINQ_OK) return status;
    if (!facts.has_folder && (facts.entries == 0 || facts.has_checkpoint)) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: is no checkpoint made by this program (%s) and is not replaced",
                     staging->final_path,
                     facts.has_folder ? "it holds other folders" : "no config.json, no *.safetensors");
}

int sinq_staging_check_final(const struct sinq_staging *staging, struct sinq_error *error) {
    struct stat status;
    const char *const path = staging->final_path;
    if (fstatat(staging->parent_fd, staging->name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? SINQ_OK : sinq_fail_errno(error, "%s: cannot be looked at", path);
    }
    /* A link is replaced itself, what it points to is not touched. */
    const bool is_link = S_ISLNK(status.st_mode);
    if (staging->is_directory && !S_ISDIR(status.st_mode) && !is_link) {
        return sinq_fail(error, SINQ_FAILED, "%s: exists and is not a directory, as the output is to be", path);
    }
    if (!staging->is_directory && !S_ISREG(status.st_mode) && !is_link) {
        return sinq_fail(error, SINQ_FAILED, "%s: exists and is not a regular file", path);
    }
    if (!staging->force) return sinq_fail(error, SINQ_FAILED, "%s: exists already; --force replaces it", path);
    return staging->is_directory && !is_link ? check_replaceable(staging, error) : SINQ_OK;
}

/* ---- the folder and its lock ---- */

/*
 * A run that was killed between giving a directory its final name and taking its journal out left its journal there:
 * the directory becomes the unfinished output again, and what it replaced comes back, which costs the caller no more than
 * another check.
 */
static void take_back(const struct sinq_staging *staging) {
    const int parent = staging->parent_fd;
    const int folder = openat(parent, staging->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return;
    const bool is_unfinished = faccessat(folder, SINQ_JOURNAL_NAME, F_OK, 0) == 0;
    if (is_unfinished && flock(folder, LOCK_EX | LOCK_NB) == 0 &&
        renameat(parent, staging->name, parent, staging->partial_name) != 0 && errno == ENOTEMPTY) {
        (void)renameat2(parent, staging->name, parent, staging->partial_name, RENAME_EXCHANGE);
    }
    close(folder);
}

static int open_folder(struct sinq_staging *staging, bool take_over, struct sinq_error *error) {
    struct sinq_folder_facts facts;
    const bool is_new = mkdirat(staging->parent_fd, staging->partial_name, (mode_t)0777) == 0;
    if (!is_new && errno != EEXIST) return sinq_fail_errno(error, "%s: cannot create", staging->folder);
    staging->folder_fd =
        openat(staging->parent_fd, staging->partial_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (staging->folder_fd < 0) return sinq_fail_errno(error, "%s: cannot open as a folder", staging->folder);
    if (is_new) return SINQ_OK;
    const int status = sinq_look_into_folder(staging->folder_fd, staging->folder, &facts, error);
    if (status != SINQ_OK) return status;
    if (!facts.has_folder && (facts.entries == 0 || facts.is_ours)) return SINQ_OK;
    /* What a replaced directory becomes if the run is killed before removing it. */
    if (!facts.has_folder && facts.has_checkpoint && take_over) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: exists and is no unfinished output of this program; remove it",
                     staging->folder);
}

/* Whether the lock file is still where others look for it. */
static bool is_lock_in_place(const struct sinq_staging *staging) {
    struct stat ours;
    struct stat theirs;
    struct stat folder;
    struct stat named;
    return fstat(staging->lock_fd, &ours) == 0 &&
           fstatat(staging->folder_fd, SINQ_LOCK_NAME, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == theirs.st_ino && fstat(staging->folder_fd, &folder) == 0 &&
           fstatat(staging->parent_fd, staging->partial_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           folder.st_ino == named.st_ino && folder.st_dev == named.st_dev;
}

static int take_lock(struct sinq_staging *staging, bool *is_gone, struct sinq_error *error) {
    staging->lock_fd =
        openat(staging->folder_fd, SINQ_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, (mode_t)0666);
    *is_gone = staging->lock_fd < 0 && errno == ENOENT;
    if (*is_gone) return SINQ_OK;
    if (staging->lock_fd < 0) return sinq_fail_errno(error, "%s/lock: cannot create", staging->folder);
    if (flock(staging->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return sinq_fail(error, SINQ_FAILED, "%s: another run is writing this output", staging->folder);
        }
        /* A file system without locks is used without. */
        if (errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOLCK) {
            return sinq_fail_errno(error, "%s/lock: cannot lock", staging->folder);
        }
    }
    /* The folder too, for take_back(): it stays locked when the lock file has gone. */
    (void)flock(staging->folder_fd, LOCK_EX | LOCK_NB);
    *is_gone = !is_lock_in_place(staging);
    return SINQ_OK;
}

static void release_folder(struct sinq_staging *staging) {
    if (staging->folder_fd >= 0) close(staging->folder_fd);
    if (staging->lock_fd >= 0) close(staging->lock_fd);
    staging->folder_fd = staging->lock_fd = -1;
}

static int claim_folder(struct sinq_staging *staging, bool take_over, struct sinq_error *error) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool is_gone;
        int status = open_folder(staging, take_over, error);
        if (status == SINQ_OK) status = take_lock(staging, &is_gone, error);
        if (status != SINQ_OK || !is_gone) return status;
        release_folder(staging);
    }
    return sinq_fail(error, SINQ_FAILED, "%s: other runs keep removing it", staging->folder);
}

/* Decides what becomes of what an earlier run left. */
static int settle_folder(struct sinq_staging *staging, const struct sinq_create_options *options,
                         struct sinq_error *error) {
    struct sinq_folder_facts facts;
    const int status = sinq_look_into_folder(staging->folder_fd, staging->folder, &facts, error);
    if (status != SINQ_OK) return status;
    const bool is_empty = facts.entries <= 1; /* the lock */
    if (!is_empty && !options->resume && !options->force) {
        return sinq_fail(error, SINQ_FAILED,
                         "%s: left by a run that did not finish; go on with --resume or begin anew with --force",
                         staging->folder);
    }
    staging->is_ours = true;
    return is_empty || options->resume ? SINQ_OK : sinq_staging_clear(staging, NULL, NULL, error);
}

int sinq_staging_open(const struct sinq_create_options *options, bool is_directory, struct sinq_staging *staging,
                      struct sinq_error *error) {
    *staging = (struct sinq_staging){.parent_fd = -1, .folder_fd = -1, .lock_fd = -1};
    staging->is_directory = is_directory;
    staging->force = options->force;
    int status = name_folders(staging, options->path, error);
    if (status != SINQ_OK) return status;
    status = sinq_check_apart(options->source, staging->final_path, error);
    if (status == SINQ_OK) status = sinq_check_apart(options->source, staging->folder, error);
    if (status != SINQ_OK) return status;
    staging->parent_fd = open(staging->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (staging->parent_fd < 0) {
        return sinq_fail_errno(error, "%s: cannot open the folder for the output", staging->parent);
    }
    if (options->resume && staging->is_directory) take_back(staging);
    status = sinq_staging_check_final(staging, error);
    if (status == SINQ_OK) status = claim_folder(staging, options->resume || options->force, error);
    return status == SINQ_OK ? settle_folder(staging, options, error) : status;
}

void sinq_staging_close(struct sinq_staging *staging) {
    release_folder(staging);
    if (staging->parent_fd >= 0) close(staging->parent_fd);
    free(staging->final_path);
    free(staging->folder);
    free(staging->parent);
    *staging = (struct sinq_staging){.parent_fd = -1, .folder_fd = -1, .lock_fd = -1};
}

/* ---- its files ---- */

struct clearing {
    const struct sinq_staging *staging;
    sinq_keep_fn *keep;
    void *user;
};

static int clear_entry(void *user, int folder_fd, const char *name, struct sinq_error *error) {
    const struct clearing *const clearing = user;
    if (strcmp(name, SINQ_LOCK_NAME) == 0) return SINQ_OK;
    if (clearing->keep != NULL && clearing->keep(clearing->user, name)) return SINQ_OK;
    if (unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT) return SINQ_OK;
    return sinq_fail_errno(error, "%s/%s: cannot remove", clearing->staging->folder, name);
}

int sinq_staging_clear(const struct sinq_staging *staging, sinq_keep_fn *keep, void *user, struct sinq_error *error) {
    struct clearing clearing = {staging, keep, user};
    return sinq_visit_folder(staging->folder_fd, staging->folder, clear_entry, &clearing, error);
}

void sinq_staging_remove(struct sinq_staging *staging) {
    if (!staging->is_ours || staging->folder_fd < 0) return;
    /* The lock last: until then the folder is known as ours. */
    if (sinq_staging_clear(staging, NULL, NULL, NULL) != SINQ_OK) return;
    (void)unlinkat(staging->folder_fd, SINQ_LOCK_NAME, 0);
    (void)unlinkat(staging->parent_fd, staging->partial_name, AT_REMOVEDIR);
}

int sinq_staging_check_space(const struct sinq_staging *staging, uint64_t bytes, struct sinq_error *error) {
    struct statvfs space;
    /* Where the file system cannot tell, writing will. */
    if (fstatvfs(staging->folder_fd, &space) != 0 || space.f_blocks == 0) return SINQ_OK;
    const double available = (double)space.f_bavail * (double)(space.f_frsize != 0 ? space.f_frsize : space.f_bsize);
    if ((double)bytes <= available) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED,
                     "%s: not enough space on the disk: %.1f MB (%llu bytes) needed, %.1f MB available",
                     staging->final_path, (double)bytes / 1e6, (unsigned long long)bytes, available / 1e6);
}

int sinq_staging_write_file(const struct sinq_staging *staging, const char *name, const void *data, size_t size,
                            struct sinq_error *error) {
    char *const path = sinq_join_path(staging->folder, name);
    if (path == NULL) return sinq_fail_memory(error, name, strlen(name));
    int status = SINQ_OK;
    const int fd =
        openat(staging->folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, (mode_t)0666);
    if (fd < 0) {
        status = sinq_fail_errno(error, "%s: cannot create", path);
        goto done;
    }
    status = sinq_write_at(fd, path, 0, size, data, error);
    if (status == SINQ_OK && fsync(fd) != 0) status = sinq_fail_errno(error, "%s: cannot sync", path);
    if (close(fd) != 0 && status == SINQ_OK) status = sinq_fail_errno(error, "%s: cannot close", path);
done:
    free(path);
    return status;
}
