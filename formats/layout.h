/*
 * layout.h: which tensor lies where in which shard, and what the shards' headers say. Pure computation, no files. What a file
 * format makes of it is in its operations: safetensors_layout.c, gguf_layout.c.
 *
 * Shards are cut as tensors are placed, since a quantized one may turn out larger than planned. Everything follows from the
 * plan and the real sizes of the tensors before, so that a resumed run places each tensor where an uninterrupted one does.
 * A layout belongs to one thread.
 */
#ifndef SINQ_FORMATS_LAYOUT_H
#define SINQ_FORMATS_LAYOUT_H

#include "base/hash.h"
#include "base/text.h"
#include "checkpoint/sink.h"

#define SINQ_SHARD_ALIGNMENT 64u
/* What the official parser accepts. */
#define SINQ_HEADER_LIMIT 100000000u

struct sinq_layout_tensor {
    const char *name;      /* as in the plan */
    const char *file_name; /* in the file: quantized tensors have a suffix */
    struct sinq_sink_tensor planned;
    uint64_t header_bound; /* bytes that this tensor adds to a header: of safetensors at most, of GGUF exactly */
    /* Known once placed (shard, offset) and finished (bytes, checksum). The offset counts from the data's start. */
    size_t shard;
    uint64_t offset, bytes;
    struct sinq_hash checksum;
};

struct sinq_layout_shard {
    size_t first, count;   /* its tensors */
    size_t end;            /* of GGUF, where sizes are known: the tensor behind its last one */
    uint64_t data_start;   /* length field and header: a multiple of SINQ_SHARD_ALIGNMENT */
    uint64_t header_bound; /* of the header's text, with the tensors placed so far */
    uint64_t bytes;        /* of data */
};

struct sinq_layout;

#define SINQ_SHARD_NAME_BYTES 320

/* What a file format says; immutable. */
struct sinq_layout_ops {
    uint64_t alignment;      /* to which a tensor is filled up with zeros */
    uint64_t head_overhead;  /* bytes of a head beside the header's text */
    bool has_files_beside;   /* config.json, an index, ... */
    bool has_metadata;       /* __metadata__ in safetensors headers, with checksums */
    bool is_always_indexed;  /* also where there is one file */
    const char *config_mark; /* a member of config.json that becomes true; NULL: none */
    /* One more file beside the index; NULL: none. */
    const char *beside_name;
    int (*print_beside)(const struct sinq_layout *layout, struct sinq_text *text, struct sinq_error *error);
    /* Checks a planned tensor and measures what it adds to a header. */
    int (*prepare)(const struct sinq_layout *layout, struct sinq_layout_tensor *tensor, struct sinq_error *error);
    /* Opens a shard for tensor layout->finished. */
    int (*begin_shard)(struct sinq_layout *layout, struct sinq_error *error);
    /* Whether a tensor may follow in a shard that has one already. */
    bool (*fits_shard)(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                       const struct sinq_layout_tensor *tensor);
    /* Bytes of a shard that would begin with tensor `first`, heads included; *end is the first behind it. */
    uint64_t (*measure_shard)(const struct sinq_layout *layout, size_t first, size_t *end);
    /* The header's text, unpadded. `quantization` goes into its metadata where the format has it there; NULL for none. */
    int (*print_header)(const struct sinq_layout *layout, size_t shard, const char *quantization,
                        struct sinq_text *text, struct sinq_error *error);
    /* The head, data_start bytes, of that text. */
    void (*fill_head)(const struct sinq_layout_shard *shard, const struct sinq_text *text, uint8_t *head);
    /* Whether a head that was read back says what the layout says. */
    int (*check_head)(const struct sinq_layout *layout, size_t shard, const char *path, const uint8_t *head,
                      struct sinq_error *error);
    /* A shard's final name in a directory. */
    void (*name_shard)(const struct sinq_layout *layout, size_t shard, size_t shard_count,
                       char name[SINQ_SHARD_NAME_BYTES]);
};
extern const struct sinq_layout_ops sinq_safetensors_layout; /* `facts` is not used */
extern const struct sinq_layout_ops sinq_gguf_layout;        /* `facts`: struct sinq_gguf_layout_facts */
extern const struct sinq_layout_ops sinq_reference_layout;   /* `facts`: struct sinq_reference_layout_facts */

struct sinq_layout {
    const struct sinq_layout_ops *ops;
    const void *facts; /* of the format; borrowed */
    struct sinq_layout_tensor *tensors;
    size_t count, finished;
    struct sinq_layout_shard *shards;
    size_t shard_count;
    uint64_t max_shard_bytes;
    bool single_file;
};

/* How a layout is to be. */
struct sinq_layout_options {
    const struct sinq_layout_ops *ops;
    const void *facts;
    uint64_t max_shard_bytes;
    bool single_file;
};

/* Copies and checks the plan. */
int sinq_layout_create(const struct sinq_sink_plan *plan, const struct sinq_layout_options *options,
                       struct sinq_layout **layout, struct sinq_error *error);
void sinq_layout_free(struct sinq_layout *layout);

/* Decides shard and offset of the next tensor, number layout->finished; shard_count grows when a shard begins with it. */
int sinq_layout_place(struct sinq_layout *layout, struct sinq_error *error);

/* Records the tensor placed last. */
int sinq_layout_finish(struct sinq_layout *layout, uint64_t bytes, struct sinq_hash checksum, struct sinq_error *error);

/* Begins the one shard of a checkpoint without tensors; does nothing where there is a shard. */
int sinq_layout_require_shard(struct sinq_layout *layout, struct sinq_error *error);

/* Bytes of all shards if every unfinished tensor turns out as planned: an upper bound, headers included. */
uint64_t sinq_layout_predict_bytes(const struct sinq_layout *layout);

/* What follows a tensor's bytes up to the format's alignment. */
uint64_t sinq_layout_padding(const struct sinq_layout *layout, uint64_t bytes);

/* safetensors_layout.c: the text of model.safetensors.index.json. */
int sinq_layout_print_index(const struct sinq_layout *layout, struct sinq_text *text, struct sinq_error *error);

/* Name of a shard while the output grows. */
void sinq_shard_growing_name(size_t shard, char name[SINQ_SHARD_NAME_BYTES]);

#endif
