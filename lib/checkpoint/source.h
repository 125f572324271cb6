/*
 * source.h: what a format implements so that a checkpoint can be read. The public half is in sinq.h.
 *
 * A format fills the struct (tensors sorted by shard and offset, block scales paired, names indexed) and is then only asked
 * for bytes. Everything in it is owned by the format and freed by its close().
 */
#ifndef SINQ_CHECKPOINT_SOURCE_H
#define SINQ_CHECKPOINT_SOURCE_H

#include "base/name_index.h"
#include "sinq.h"
#include "tensor/dual_scale.h"

struct sinq_source_ops {
    int (*read_bytes)(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error);
    int (*read_sidecar)(const struct sinq_source *source, size_t index, char **data, size_t *size,
                        struct sinq_error *error);
    void (*close)(struct sinq_source *source);
    /*
     * Of a source whose quantized tensors (SINQ_DUAL_SCALE) are not bytes in our layout: their rows rebuilt, and what they
     * are. NULL for all others.
     */
    int (*read_rows)(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count, float *out,
                     struct sinq_error *error);
    int (*matrix_info)(const struct sinq_source *source, size_t tensor, uint64_t index, struct sinq_matrix_info *info,
                       struct sinq_error *error);
    /*
     * A tensor's stored bytes where they can be used in place until the source is closed: *bytes, or NULL where they cannot
     * (then they are read). NULL where a format never can. Thread safe.
     */
    int (*map)(const struct sinq_source *source, size_t tensor, const uint8_t **bytes, struct sinq_error *error);
    /* Mapped pages that were read need not stay in this process's memory. NULL where a format maps no files. */
    void (*forget)(const struct sinq_source *source);
    /*
     * Of a source with read_rows: one of its quantized matrices in our layout, aligned_alloc'ed to 64 bytes; *blob is NULL where
     * the layout cannot hold it. May be NULL.
     */
    int (*read_matrix)(const struct sinq_source *source, size_t tensor, uint64_t index, uint8_t **blob, uint64_t *bytes,
                       struct sinq_error *error);
    /*
     * Of a source that shows another one's tensors in another form (sinq_open_gguf_view): the tensor, or the first of those, that
     * `tensor` is made of. NULL for all others.
     */
    const struct sinq_tensor *(*origin)(const struct sinq_source *source, size_t tensor);
};

struct sinq_shard {
    char *path;
    uint64_t bytes;
    /* What identifies the file's header in a fingerprint, taken when it was opened. */
    uint8_t header_hash[16];
    uint64_t device, inode;
    int64_t modified_ns;
};

/* A format embeds this as its first member. */
struct sinq_source {
    const struct sinq_source_ops *ops;
    char *path;
    const char *format;
    bool is_directory;
    struct sinq_tensor *tensors;
    size_t tensor_count;
    struct sinq_name_index *names;
    /* Per tensor: the checksum the checkpoint carries for it, or all zero. Quantized matrices carry theirs inside. */
    uint8_t (*checksums)[16];
    struct sinq_shard *shards;
    size_t shard_count;
    char **sidecars;
    size_t sidecar_count;
    char *config;       /* text of config.json or NULL */
    char *model_type;   /* or NULL */
    char *quantization; /* JSON text or NULL */
};

/* As ops->map, for any source. */
int sinq_map_tensor(const struct sinq_source *source, size_t tensor, const uint8_t **bytes, struct sinq_error *error);

/* A quantized matrix in our layout, aligned to 64 bytes: in place, or `owned` (free it). bytes is NULL where the layout cannot hold it. */
struct sinq_matrix_bytes {
    const uint8_t *bytes;
    uint64_t size;
    uint8_t *owned;
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
};
/* Where a matrix of a stack lies. They may differ in size: the way to one leads over all before it. */
struct sinq_stack_place {
    size_t tensor;
    uint64_t index, offset;
};
/*
 * Matrix `index` of the stack that tensor `tensor` (SINQ_DUAL_SCALE) is. `place` (or NULL) is where the last one that was
 * fetched with it lies, at first all zero: those of a stack are found in one walk.
 */
int sinq_fetch_matrix(const struct sinq_source *source, size_t tensor, uint64_t index, struct sinq_stack_place *place,
                      struct sinq_matrix_bytes *matrix, struct sinq_error *error);

/* Whether the tensor's values are in blocks of a format that is not ours. */
static inline bool sinq_is_in_blocks(const struct sinq_source *source, const struct sinq_tensor *tensor) {
    return tensor->dtype == SINQ_DUAL_SCALE && source->ops->read_rows != NULL;
}

#endif
