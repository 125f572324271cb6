#define _GNU_SOURCE /* renameat2 */
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "folder.h"

struct place {
    int fd; /* of the folder */
    const char *name;
};

struct swap {
    struct place from, to;
    struct place aside; /* what stood at `to` */
    bool has_aside, exchanged;
};

static bool is_unsupported(void) { return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP; }

static int rename_place(struct place from, struct place to) { return renameat(from.fd, from.name, to.fd, to.name); }

static int rename_new(struct place from, struct place to) {
    struct stat status;
    if (renameat2(from.fd, from.name, to.fd, to.name, RENAME_NOREPLACE) == 0) return 0;
    if (!is_unsupported()) return -1;
    if (fstatat(to.fd, to.name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename_place(from, to);
}

static int exchange(struct place a, struct place b) { return renameat2(a.fd, a.name, b.fd, b.name, RENAME_EXCHANGE); }

/* A file gets a second name first, so that its final name never vanishes, where the file system has such. */
static int set_aside(const struct swap *swap, bool is_directory) {
    if (!is_directory) {
        (void)unlinkat(swap->aside.fd, swap->aside.name, 0);
        if (linkat(swap->to.fd, swap->to.name, swap->aside.fd, swap->aside.name, 0) == 0) return 0;
    }
    return rename_place(swap->to, swap->aside);
}

/* -1 with errno after a failure, with everything as it was. */
static int swap_in(struct swap *swap, bool is_directory) {
    struct stat status;
    if (fstatat(swap->to.fd, swap->to.name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? rename_new(swap->from, swap->to) : -1;
    }
    if (is_directory && exchange(swap->from, swap->to) == 0) {
        swap->exchanged = swap->has_aside = true;
        swap->aside = swap->from;
        return 0;
    }
    if (is_directory && !is_unsupported()) return -1;
    if (set_aside(swap, is_directory) != 0) return -1;
    swap->has_aside = true;
    if (rename_place(swap->from, swap->to) == 0) return 0;
    const int error_number = errno;
    (void)rename_place(swap->aside, swap->to);
    swap->has_aside = false;
    errno = error_number;
    return -1;
}

static void swap_out(const struct swap *swap) {
    if (swap->exchanged) {
        (void)exchange(swap->from, swap->to);
        return;
    }
    (void)rename_place(swap->to, swap->from);
    if (swap->has_aside) (void)rename_place(swap->aside, swap->to);
}

static void drop_aside(const struct swap *swap, const struct sinq_staging *staging) {
    if (!swap->has_aside) return;
    if (!staging->is_directory) {
        (void)unlinkat(swap->aside.fd, swap->aside.name, 0);
        return;
    }
    (void)sinq_remove_folder(swap->aside.fd, swap->aside.name, staging->folder, NULL);
}

/* The journal leaves right after the rename, and last: a kill in between loses nothing, see take_back() in staging.c. */
static int settle_names(const struct sinq_staging *staging, struct sinq_journal *journal, struct sinq_error *error) {
    if (staging->is_directory) {
        if (unlinkat(staging->folder_fd, SINQ_LOCK_NAME, 0) != 0 && errno != ENOENT) {
            return sinq_fail_errno(error, "%s/lock: cannot remove", staging->final_path);
        }
        const int status = sinq_journal_remove(journal, staging->folder_fd, error);
        if (status != SINQ_OK) return status;
        if (fsync(staging->folder_fd) != 0) return sinq_fail_errno(error, "%s: cannot sync", staging->final_path);
    }
    return sinq_sync_directory(staging->parent, error);
}

int sinq_publish_output(struct sinq_staging *staging, struct sinq_journal *journal, const char *file,
                        struct sinq_error *error) {
    int status = sinq_staging_check_final(staging, error);
    if (status != SINQ_OK) return status;
    char *old = NULL;
    if (asprintf(&old, "%s.old-%ld", staging->name, (long)getpid()) < 0) {
        return sinq_fail_memory(error, "the output's name", 0);
    }
    const struct place folder = {staging->parent_fd, staging->partial_name};
    struct swap swap = {.to = {staging->parent_fd, staging->name}};
    swap.from = staging->is_directory ? folder : (struct place){staging->folder_fd, file};
    swap.aside = staging->is_directory ? (struct place){staging->parent_fd, old}
                                       : (struct place){staging->folder_fd, "replaced"};
    if (swap_in(&swap, staging->is_directory) != 0) {
        status = sinq_fail_errno(error, "%s: cannot get its final name", staging->final_path);
        goto done;
    }
    status = settle_names(staging, journal, error);
    if (status != SINQ_OK) {
        swap_out(&swap);
        if (staging->is_directory) sinq_journal_restore(journal, staging->folder_fd);
        goto done;
    }
    drop_aside(&swap, staging);
    if (!staging->is_directory) sinq_staging_remove(staging);
done:
    free(old);
    return status;
}
