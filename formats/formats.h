/*
 * formats.h: opening and creating checkpoints on disk.
 *
 * The format of what is read is recognised by content, never by its name: one safetensors file, a GGUF file (of a split one
 * the first part), a Hugging Face directory with or without an index, or one of the reference implementation's. Every length, offset, count and product in a file is
 * checked before use; a bad file is refused within a second, and without large allocations, by one line that names file, tensor
 * and reason.
 */
#ifndef SINQ_FORMATS_H
#define SINQ_FORMATS_H

#include "sinq.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a file or a directory for reading. Close with sinq_source_close. Weights are read when asked for, not here. */
SINQ_API int sinq_open_checkpoint(const char *path, struct sinq_source **source, struct sinq_error *error);

/*
 * A source that shows another one's tensors as a GGUF file has them: named, ordered, stacked and turned as llama.cpp expects, each
 * value in f32; sinq_source_origin tells what a tensor is made of. It is what is quantized to GGUF. SINQ_FAILED where GGUF cannot
 * hold the model, with the reason. `source` must outlive it; close it with sinq_source_close.
 */
SINQ_API int sinq_open_gguf_view(const struct sinq_source *source, struct sinq_source **view, struct sinq_error *error);

/*
 * The same for SINQ_FORMAT_REFERENCE: the source with the frequencies of its ropes, which that loader wants to find among the tensors.
 */
SINQ_API int sinq_open_reference_view(const struct sinq_source *source, struct sinq_source **view,
                                      struct sinq_error *error);

struct sinq_create_options {
    const char *path; /* the final name */
    /*
     * Safetensors: a directory for a directory, a file for a file; GGUF: one file, or with max_shard_bytes a directory; the reference's
     * layout: a directory
     */
    enum sinq_format format;
    const char *type; /* of GGUF and of a plain checkpoint: what most weights become */
    const struct sinq_source
        *source; /* refused as the output, by inode; its sidecars are carried over. For GGUF and the reference a view */
    uint64_t max_shard_bytes; /* of a directory's shards; 0 is 4 GiB, and of GGUF one file */
    bool force;               /* an existing output is replaced once the new one is complete */
    bool resume;              /* go on from path.partial if it is there and of the same source and recipe */
};

/*
 * Prepares an output: claims path.partial (locked against a second run) and checks names. Nothing appears under `path`
 * before the sink is committed, complete, checked and synced.
 */
SINQ_API int sinq_create_checkpoint(const struct sinq_create_options *options, struct sinq_sink **sink,
                                    struct sinq_error *error);

struct sinq_statistics_file {
    /*
     * What the file will be called: it grows as path.partial, and after a failure nothing is left. NULL: it has no name and is gone once
     * it is closed, however the program ends.
     */
    const char *path;
    const char *beside; /* without a path: its room is taken from the disk where this is, an output or model */
    bool force;         /* an existing file is replaced once the new one is complete */
    uint32_t window;    /* sinq_find_calibration_window */
    unsigned threads;
    sinq_progress_fn *progress;
    void *user;
};
/* Collects statistics of calibration tokens (sinq.h) into a safetensors file, and opens that. */
SINQ_API int sinq_make_statistics(const struct sinq_source *source, const struct sinq_model *model,
                                  const int32_t *tokens, size_t count, const struct sinq_statistics_file *options,
                                  struct sinq_source **statistics, struct sinq_error *error);

#ifdef __cplusplus
}
#endif
#endif
