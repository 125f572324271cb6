/* shard_check.h: reading back what was written. */
#ifndef SINQ_FORMATS_SHARD_CHECK_H
#define SINQ_FORMATS_SHARD_CHECK_H

#include "layout.h"
#include "staging.h"

/*
 * Reads every shard (named by `names`, in the staging folder) again: its header must parse and say what the layout says, and
 * each tensor's bytes must have the checksum taken while they were written. Several threads, a few MB of memory; `progress` is
 * called from the calling thread and may stop it with SINQ_INTERRUPTED.
 */
int sinq_check_shards(const struct sinq_layout *layout, const struct sinq_staging *staging, char *const *names,
                      sinq_progress_fn *progress, void *user, struct sinq_error *error);

#endif
