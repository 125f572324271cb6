/*
 * gguf_source.h: the source that reads a GGUF file, or all parts of a split one. It shows the model as a Hugging Face checkpoint
 * has it: names, shapes and the order of rows are Hugging Face's, stacks of experts are one tensor an expert where its checkpoints
 * have that, and config.json and tokenizer files are made from the metadata. Tensors of blocks are SINQ_DUAL_SCALE.
 *
 *   gguf_open.c      files, parts
 *   gguf_views.c     which tensors there are, and what each is made of
 *   gguf_rows.c      rows of a tensor, bytes of a tensor
 *   gguf_matrix.c    matrices in our layout
 *   gguf_sidecars.c  config.json, tokenizer files
 */
#ifndef SINQ_FORMATS_GGUF_SOURCE_H
#define SINQ_FORMATS_GGUF_SOURCE_H

#include "checkpoint/gguf_names.h"
#include "gguf_file.h"
#include "shards.h"

/* A tensor of one of the files. */
struct sinq_gguf_part {
    const struct sinq_gguf_tensor *tensor;
    uint32_t shard;
};

enum sinq_gguf_reading {
    SINQ_GGUF_IN_PLACE, /* stored bytes are the tensor's */
    SINQ_GGUF_COMPUTED, /* numbers, made when they are read */
    SINQ_GGUF_BLOCKS
};

/* What one of the source's tensors is made of. */
struct sinq_gguf_view {
    struct sinq_gguf_part parts[2]; /* gates and ups, keys and values; else one, and parts[1].tensor is NULL */
    enum sinq_gguf_change change;
    enum sinq_gguf_reading reading;
    uint64_t slice; /* of SINQ_GGUF_EXPERT: which matrix of the part */
    uint64_t heads; /* of SINQ_GGUF_QUERY_ROWS and SINQ_GGUF_KEY_ROWS */
};

struct sinq_gguf_source {
    struct sinq_source base;
    struct sinq_shards shards;
    struct sinq_gguf_file *files; /* one a shard */
    size_t file_count;
    struct sinq_gguf_part *parts; /* of all files, in their order */
    size_t part_count;
    struct sinq_name_index *part_names;
    const struct sinq_gguf_family *family; /* NULL: names are the file's */
    double heads, key_heads;               /* that the metadata counts where rows of heads change places; else 0 */
    struct sinq_gguf_view *views;          /* one for each of base.tensors */
    size_t capacity;
    struct sinq_arena names;
};

/* The part of that GGUF name; NULL where there is none. */
const struct sinq_gguf_part *sinq_find_gguf_part(const struct sinq_gguf_source *source, const char *name);

/* Fills base.tensors and views. */
int sinq_make_gguf_views(struct sinq_gguf_source *source, struct sinq_error *error);

/* ---- reading ---- */

/* Rows [first, first + count) of a tensor, as sinq_read_rows counts them, of any reading. */
int sinq_read_gguf_rows(const struct sinq_gguf_source *source, size_t tensor, uint64_t first, uint64_t count,
                        float *out, struct sinq_error *error);
/* Rows of one of the files' tensors, counted through all dimensions. */
int sinq_read_gguf_part(const struct sinq_gguf_source *source, const struct sinq_gguf_part *part, uint64_t first,
                        uint64_t count, float *out, struct sinq_error *error);
/* The operations of struct sinq_source_ops. */
int sinq_read_gguf_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                         struct sinq_error *error);
int sinq_read_gguf_matrix(const struct sinq_source *source, size_t tensor, uint64_t index, uint8_t **blob,
                          uint64_t *bytes, struct sinq_error *error);
int sinq_describe_gguf_matrix(const struct sinq_source *source, size_t tensor, uint64_t index,
                              struct sinq_matrix_info *info, struct sinq_error *error);

/* ---- sidecars ---- */

/* base.config, base.model_type and base.sidecars. */
int sinq_make_gguf_config_text(struct sinq_gguf_source *source, struct sinq_error *error);
int sinq_read_gguf_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                           struct sinq_error *error);

/* ---- opening ---- */

int sinq_open_gguf(const char *path, struct sinq_source **source, struct sinq_error *error);
/* One whole file in memory, which is borrowed. */
int sinq_open_gguf_memory(const char *path, const uint8_t *bytes, size_t size, struct sinq_source **source,
                          struct sinq_error *error);

#endif
