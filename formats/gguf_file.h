/*
 * gguf_file.h: one GGUF file's header: metadata and list of tensors (ggml's docs/gguf.md; versions 2 and 3, little-endian).
 *
 * As strict as llama.cpp's reader, and stricter about values that contradict each other: every length, offset, count and product
 * is checked before it is used, no memory is taken for what the file only claims to hold, and the first fault is one line.
 */
#ifndef SINQ_FORMATS_GGUF_FILE_H
#define SINQ_FORMATS_GGUF_FILE_H

#include "arena.h"
#include "base/input.h"
#include "checkpoint/gguf_values.h"
#include "tensor/block_types.h"

#define SINQ_GGUF_MAGIC    "GGUF"
#define SINQ_GGUF_MAX_RANK 4u

struct sinq_gguf_tensor {
    const char *name;
    const struct sinq_block_type *type;
    uint32_t rank;
    uint64_t
        shape[SINQ_GGUF_MAX_RANK]; /* outermost first, as everywhere else here; the file has it the other way round */
    uint64_t bytes;
    uint64_t offset; /* in the file */
};

/* All zero when empty. */
struct sinq_gguf_file {
    uint32_t version;
    struct sinq_gguf_values values;   /* in the order of the file */
    struct sinq_gguf_tensor *tensors; /* ordered by offset */
    size_t tensor_count;
    uint8_t hash[16];          /* XXH3 of all that lies before the tensors' data */
    uint8_t *header;           /* what values point into */
    struct sinq_arena strings; /* keys and names */
};

/* Whether a file's first bytes are those of a GGUF file. */
bool sinq_is_gguf(const uint8_t *bytes, size_t size);

/* sinq_gguf_file_free in any case. */
int sinq_read_gguf_file(const struct sinq_input *input, struct sinq_gguf_file *file, struct sinq_error *error);

void sinq_gguf_file_free(struct sinq_gguf_file *file);

#endif
