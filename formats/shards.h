/*
 * shards.h: the files of a checkpoint, opened once and read or mapped when asked for. A source embeds this; the public half (paths,
 * sizes) lies in the source itself.
 *
 * Adding is for one thread; reading and mapping are thread safe.
 */
#ifndef SINQ_FORMATS_SHARDS_H
#define SINQ_FORMATS_SHARDS_H

#include <pthread.h>

#include "base/input.h"
#include "checkpoint/source.h"

struct sinq_shards {
    struct sinq_source *source; /* whose shards these are */
    struct sinq_input *inputs;  /* one a shard */
    uint8_t **maps;             /* one a shard: the file mapped into memory once it was asked for, under the lock */
    pthread_mutex_t lock;
};

void sinq_shards_init(struct sinq_shards *shards, struct sinq_source *source);

/* One more shard, at the end. More than some hundred are opened again for every read: see sinq_shards_settle. */
int sinq_shards_add_file(struct sinq_shards *shards, const char *path, struct sinq_error *error);
/* The same for a file in memory, which is borrowed. */
int sinq_shards_add_memory(struct sinq_shards *shards, const char *path, const uint8_t *bytes, size_t size,
                           struct sinq_error *error);
/* The last shard's header has been read: gives its descriptor back where there are too many. */
void sinq_shards_settle(struct sinq_shards *shards);

int sinq_shards_read(const struct sinq_shards *shards, size_t shard, uint64_t offset, uint64_t size, void *out,
                     struct sinq_error *error);
/* The whole file in memory, until the source is closed. */
int sinq_shards_map(struct sinq_shards *shards, size_t shard, const uint8_t **bytes, struct sinq_error *error);
/* Mapped pages that were read need not stay in memory. Thread safe. */
void sinq_shards_forget(struct sinq_shards *shards);

/* Frees the source's list of shards too. */
void sinq_shards_free(struct sinq_shards *shards);

#endif
