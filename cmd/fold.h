/*
 * fold.h: many alike names as one. "model.layers.0.mlp.up_proj.weight" to "model.layers.35.mlp.up_proj.weight" become
 * "model.layers.{0-35}.mlp.up_proj.weight".
 */
#ifndef SINQ_CMD_FOLD_H
#define SINQ_CMD_FOLD_H

#include <stddef.h>

struct sinq_fold {
    char *name;
    size_t *members; /* indices, ascending */
    size_t count;
};

struct sinq_fold_list {
    struct sinq_fold *folds; /* in the order of their first members */
    size_t count;
};

/*
 * Folds names that differ only in parts that are whole numbers, and whose traits are the same text. Every index is a member
 * of exactly one fold. Free with sinq_free_folds.
 */
struct sinq_fold_list sinq_fold_names(const char *const *names, const char *const *traits, size_t count);

void sinq_free_folds(struct sinq_fold_list *list);

#endif
