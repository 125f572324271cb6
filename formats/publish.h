/* publish.h: putting a finished output under its final name. */
#ifndef SINQ_FORMATS_PUBLISH_H
#define SINQ_FORMATS_PUBLISH_H

#include "journal.h"
#include "staging.h"

/*
 * Gives the folder its final name, without journal and lock, or its file `file` where OUT is a file; durable when it returns.
 * What stood there before is removed after that. After a failure the folder, journal included, and what stood under the
 * final name are as they were.
 */
int sinq_publish_output(struct sinq_staging *staging, struct sinq_journal *journal, const char *file,
                        struct sinq_error *error);

#endif
