/* folder.h: folders that hold files only, looked at and emptied through descriptors, without following links. */
#ifndef SINQ_FORMATS_FOLDER_H
#define SINQ_FORMATS_FOLDER_H

#include "sinq.h"

/* The file in an unfinished output that its run has locked. */
#define SINQ_LOCK_NAME "lock"

/* What a folder holds. */
struct sinq_folder_facts {
    size_t entries;
    bool has_folder;     /* one within it */
    bool is_ours;        /* bears the marks of an unfinished output: a lock or a journal */
    bool has_checkpoint; /* a config.json or *.safetensors */
};
int sinq_look_into_folder(int folder_fd, const char *path, struct sinq_folder_facts *facts, struct sinq_error *error);

/* Calls `visit` for each entry but "." and ".."; stops at the first status that is not SINQ_OK. */
typedef int sinq_visit_fn(void *user, int folder_fd, const char *name, struct sinq_error *error);
int sinq_visit_folder(int folder_fd, const char *path, sinq_visit_fn *visit, void *user, struct sinq_error *error);

/* Removes the files in the folder `name` of `parent_fd` and then the folder; a link is removed itself. */
int sinq_remove_folder(int parent_fd, const char *name, const char *path, struct sinq_error *error);

#endif
