/* name_index.h: from a name to its index, in O(1). Names are borrowed and must outlive the index. */
#ifndef SINQ_BASE_NAME_INDEX_H
#define SINQ_BASE_NAME_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sinq_name_index;

/* An empty index with room for `capacity` names; NULL when out of memory. */
struct sinq_name_index *sinq_name_index_create(size_t capacity);

/* Adds a name; false if it is there already (nothing changes) or the capacity is used up. */
bool sinq_name_index_add(struct sinq_name_index *index, const char *name, size_t value);

/* The value of `name`, or -1. Thread safe once filled. */
int64_t sinq_name_index_find(const struct sinq_name_index *index, const char *name);

void sinq_name_index_free(struct sinq_name_index *index);

#endif
