#include "base/name_index.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct slot {
    const char *name;
    size_t value;
};

struct sinq_name_index {
    size_t mask, used, capacity;
    struct slot slots[];
};

struct sinq_name_index *sinq_name_index_create(size_t capacity) {
    if (capacity > SIZE_MAX / 8 / sizeof(struct slot)) return NULL;
    size_t slots = 16;
    while (slots < 2 * capacity) slots *= 2;
    struct sinq_name_index *const index = calloc(1, sizeof *index + slots * sizeof(struct slot));
    if (index == NULL) return NULL;
    index->mask = slots - 1;
    index->capacity = capacity;
    return index;
}

/* The slot that holds `name`, or the free one where it belongs. */
static size_t find_slot(const struct sinq_name_index *index, const char *name) {
    size_t i = (size_t)XXH3_64bits(name, strlen(name)) & index->mask;
    while (index->slots[i].name != NULL && strcmp(index->slots[i].name, name) != 0) i = (i + 1) & index->mask;
    return i;
}

bool sinq_name_index_add(struct sinq_name_index *index, const char *name, size_t value) {
    const size_t i = find_slot(index, name);
    if (index->slots[i].name != NULL || index->used == index->capacity) return false;
    index->slots[i] = (struct slot){name, value};
    index->used++;
    return true;
}

int64_t sinq_name_index_find(const struct sinq_name_index *index, const char *name) {
    const size_t i = find_slot(index, name);
    return index->slots[i].name == NULL ? -1 : (int64_t)index->slots[i].value;
}

void sinq_name_index_free(struct sinq_name_index *index) { free(index); }
