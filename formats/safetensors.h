/*
 * safetensors.h: parsing a safetensors file. As strict as the official parser, and stricter about duplicate names: offsets in
 * range, no holes, no overlaps, shape x dtype equal to the span, nothing behind the data.
 *
 * Memory stays bounded whatever the file claims: the header passes through a window, and names and tensors have limits far
 * above any known model's.
 */
#ifndef SINQ_FORMATS_SAFETENSORS_H
#define SINQ_FORMATS_SAFETENSORS_H

#include "arena.h"
#include "base/input.h"
#include "sinq.h"

#define SINQ_MAX_HEADER_BYTES   ((uint64_t)100000000) /* the official parser's */
#define SINQ_MAX_TENSORS        ((size_t)400000)      /* of a checkpoint */
#define SINQ_MAX_NAME_BYTES     ((size_t)4096)
#define SINQ_MAX_NAMES_BYTES    ((uint64_t)32 << 20) /* of all names together */
#define SINQ_MAX_METADATA_BYTES ((size_t)32 << 20)   /* of one metadata value that is kept */

/* Tensors of one file after the other, each file's ordered by offset. All zero when empty. */
struct sinq_tensor_list {
    struct sinq_tensor *tensors;
    uint8_t (*checksums)[16]; /* beside each tensor; zero: none */
    size_t count, capacity;
    struct sinq_arena names;
};

/* What a header says besides its tensors. */
struct sinq_header_facts {
    uint8_t hash[16];   /* XXH3 of the length and the header */
    char *quantization; /* __metadata__'s quantization_config, a JSON object's text, or NULL; the caller frees it */
};

/*
 * Appends the tensors of one file to the list, as shard `shard`. Quantized matrices (docs/format.md) get their logical name,
 * dtype and shape, for which their headers are read. On failure the list may hold some of them.
 */
int sinq_list_safetensors(const struct sinq_input *input, uint32_t shard, struct sinq_tensor_list *list,
                          struct sinq_header_facts *facts, struct sinq_error *error);

void sinq_tensor_list_free(struct sinq_tensor_list *list);

/* Puts SINQ_DUAL_SCALE, the logical name and shape into a tensor stored under a name with SINQ_DUAL_SCALE_SUFFIX. */
int sinq_expose_quantized(const struct sinq_input *input, struct sinq_arena *names, struct sinq_tensor *tensor,
                          struct sinq_error *error);

/* What a file that is no safetensors file looks like: "a GGUF file, ...". NULL where nothing is known. */
const char *sinq_describe_content(const uint8_t *bytes, size_t size);

#endif
