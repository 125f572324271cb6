/*
 * staging.h: the folder OUT.partial in which an output grows. publish.h puts it under its final name.
 *
 * The folder is flat and ours alone: it is locked for the whole life of the struct, and only a folder that bears our marks
 * is ever emptied. Folders are emptied file by file without following links; one that holds another folder is left alone.
 * A staging belongs to one thread.
 */
#ifndef SINQ_FORMATS_STAGING_H
#define SINQ_FORMATS_STAGING_H

#include "formats.h"

struct sinq_staging {
    char *final_path; /* OUT, without slashes at its end */
    char *folder;     /* OUT.partial */
    const char *name; /* OUT's last part, in final_path */
    const char *partial_name;
    char *parent;
    int parent_fd, folder_fd, lock_fd;
    bool is_directory; /* OUT is one */
    bool force;
    bool is_ours; /* the folder may be emptied and removed */
};

/* Checks names, makes or takes over the folder and locks it. Close it after a failure too. */
int sinq_staging_open(const struct sinq_create_options *options, bool is_directory, struct sinq_staging *staging,
                      struct sinq_error *error);

/* Removes every file of the folder but the lock and those that `keep` (NULL: none) names. */
typedef bool sinq_keep_fn(void *user, const char *name);
int sinq_staging_clear(const struct sinq_staging *staging, sinq_keep_fn *keep, void *user, struct sinq_error *error);

/* Fails where fewer than `bytes` are free, saying how many are. */
int sinq_staging_check_space(const struct sinq_staging *staging, uint64_t bytes, struct sinq_error *error);

/* Writes and syncs a small file in the folder. */
int sinq_staging_write_file(const struct sinq_staging *staging, const char *name, const void *data, size_t size,
                            struct sinq_error *error);

/* Fails where something stands at OUT that may not be replaced. */
int sinq_staging_check_final(const struct sinq_staging *staging, struct sinq_error *error);

/* Removes the folder with all it holds, as far as that goes. */
void sinq_staging_remove(struct sinq_staging *staging);

/* Lets go of the folder: unlocks and frees. */
void sinq_staging_close(struct sinq_staging *staging);

#endif
