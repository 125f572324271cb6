/*
 * sink_state.h: the insides of the sink that writes files, shared by sink.c (tensors come in) and sink_commit.c (the end of it).
 *
 * While it grows, an output is a folder OUT.partial with shards named shard-00001 and so on, each with room for its header
 * filled with spaces, and a journal. Headers are written, and names with the number of shards given, at commit.
 */
#ifndef SINQ_FORMATS_SINK_STATE_H
#define SINQ_FORMATS_SINK_STATE_H

#include "checkpoint/sink.h"
#include "checkpoint/source.h"
#include "gguf_layout.h"
#include "journal.h"
#include "layout.h"
#include "reference_layout.h"
#include "staging.h"

struct sinq_file_sink {
    struct sinq_sink base;
    const struct sinq_source *source; /* borrowed */
    struct sinq_staging staging;
    uint64_t max_shard_bytes;
    const struct sinq_layout_ops *layout_ops;
    const char *plain_dtype;            /* of a plain checkpoint: what config.json calls its numbers' type; else NULL */
    struct sinq_gguf_values metadata;   /* of GGUF */
    struct sinq_gguf_layout_facts gguf; /* likewise */
    struct sinq_reference_layout_facts reference;
    const void *layout_facts;   /* of these the one that the layout wants; or NULL */
    struct sinq_layout *layout; /* NULL before begin() */
    struct sinq_journal *journal;
    char **notes;    /* per tensor, or NULL */
    size_t recorded; /* finished tensors that the journal has */
    bool keep;       /* the folder holds what a later run can use */
    bool failed;     /* nothing more is recorded */
    /* The shard being written. */
    int shard_fd;
    size_t shard;
    char *shard_path;
    /* The tensor being written. */
    struct sinq_hasher *hasher; /* NULL between tensors */
    uint64_t written, flushed;
    /* Since the last group commit. */
    uint64_t unsynced;
    double last_sync;
    bool folder_changed;
};

/* Makes all finished tensors durable and records them. */
int sinq_sink_record(struct sinq_file_sink *sink, struct sinq_error *error);

/* fsync with its time counted. */
int sinq_sink_sync(struct sinq_file_sink *sink, int fd, const char *path, struct sinq_error *error);

/* sink_resume.c: takes over what the journal of an earlier run records, renames and removes what else it left. */
int sinq_sink_resume(struct sinq_file_sink *sink, struct sinq_error *error);

/* sink_commit.c */
int sinq_sink_commit(struct sinq_sink *sink, const struct sinq_sink_final *final, sinq_progress_fn *progress,
                     void *user, struct sinq_error *error);

#endif
