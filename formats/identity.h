/* identity.h: keeping the output apart from the input, whatever links and names lead to them. */
#ifndef SINQ_FORMATS_IDENTITY_H
#define SINQ_FORMATS_IDENTITY_H

#include "checkpoint/source.h"

/*
 * Fails with SINQ_USAGE where writing or replacing `path` could touch the source: the same file or directory (by inode), a
 * directory that holds the source or a file that the source links to, or a place inside the source directory. `path` need
 * not exist.
 */
int sinq_check_apart(const struct sinq_source *source, const char *path, struct sinq_error *error);

#endif
