/* sidecar.h: files that belong to a model, by name. */
#ifndef SINQ_TEXT_SIDECAR_H
#define SINQ_TEXT_SIDECAR_H

#include "sinq.h"

/* The index of the file with that name, or -1. */
int64_t sinq_find_sidecar(const struct sinq_source *source, const char *name);

/* What is called when there is such a file. `what` is its path for messages; `text` has a NUL behind its `size` bytes. */
typedef int sinq_sidecar_fn(void *user, const char *what, const char *text, size_t size, struct sinq_error *error);
int sinq_read_sidecar(const struct sinq_source *source, const char *name, sinq_sidecar_fn *read, void *user,
                      struct sinq_error *error);

#endif
