/* profile.h: the seconds of a graph's operations, summed up under names that people know. */
#ifndef SINQ_MODEL_PROFILE_H
#define SINQ_MODEL_PROFILE_H

#include "model/backend.h"

/* All zero; NULL when out of memory. Free it with sinq_profile_free. */
struct sinq_profile *sinq_profile_create(const struct sinq_graph *graph);
void sinq_profile_free(struct sinq_profile *profile);

/* As sinq_session_profile. */
size_t sinq_profile_take(struct sinq_profile *profile, const struct sinq_graph *graph,
                         struct sinq_profile_entry *entries, size_t most);

#endif
