/*
 * formats.h: opening and creating checkpoints on disk.
 *
 * The format of what is read is recognised by content, never by its name: one safetensors file, or a Hugging Face
 * directory with or without an index. Every length, offset, count and product in a file is checked before use; a bad file
 * is refused within a second, and without large allocations, by one line that names file, tensor and reason.
 */
#ifndef SINQ_FORMATS_H
#define SINQ_FORMATS_H

#include "sinq.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a file or a directory for reading. Close with sinq_source_close. Weights are read when asked for, not here. */
SINQ_API int sinq_open_checkpoint(const char *path, struct sinq_source **source, struct sinq_error *error);

struct sinq_create_options {
    const char *path;                 /* the final name: a directory if the source is one, else a file */
    const struct sinq_source *source; /* refused as the output, by inode; its sidecars are carried over */
    uint64_t max_shard_bytes;         /* of a directory's shards; 0 is 4 GiB. Does not apply to a file */
    bool force;                       /* an existing output is replaced once the new one is complete */
    bool resume;                      /* go on from path.partial if it is there and of the same source and recipe */
};

/*
 * Prepares an output: claims path.partial (locked against a second run) and checks names. Nothing appears under `path`
 * before the sink is committed, complete, checked and synced.
 */
SINQ_API int sinq_create_checkpoint(const struct sinq_create_options *options, struct sinq_sink **sink,
                                    struct sinq_error *error);

#ifdef __cplusplus
}
#endif
#endif
