/*
 * gguf_layout.c: the layout of GGUF files (ggml, docs/gguf.md, version 3): a head of metadata and tensor descriptions, then tensors, each
 * filled up to 32 bytes. All sizes are known beforehand, so that shards and heads are exact.
 */
#include "gguf_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define GGUF_VERSION   3u
#define GGUF_ALIGNMENT 32u /* where general.alignment does not say otherwise */
#define MOST_DIMS      4u
#define LONGEST_NAME   63u /* ggml.h, GGML_MAX_NAME */
#define MOST_SHARDS    UINT16_MAX
#define FIXED_HEAD     24u /* magic, version, two counts */

static const struct sinq_gguf_layout_facts *get_facts(const struct sinq_layout *layout) { return layout->facts; }

/* ---- sizes ---- */

static int prepare(const struct sinq_layout *layout, struct sinq_layout_tensor *tensor, struct sinq_error *error) {
    const struct sinq_sink_tensor *const planned = &tensor->planned;
    (void)layout;
    if (planned->block == NULL) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: GGUF has no type %s", tensor->name,
                         sinq_dtype_name(planned->dtype));
    }
    if (planned->rank == 0 || planned->rank > MOST_DIMS || strlen(tensor->name) > LONGEST_NAME) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: %u dimensions, GGUF holds 1 to %u, and names of %u bytes",
                         tensor->name, planned->rank, MOST_DIMS, LONGEST_NAME);
    }
    tensor->header_bound = 8 + strlen(tensor->name) + 4 + 8 * (uint64_t)planned->rank + 4 + 8;
    return SINQ_OK;
}

static uint64_t measure_value(const struct sinq_gguf_value *value) {
    return 8 + strlen(value->key) + 4 + (value->is_array ? 12 : 0) + value->size;
}

/* split.no, split.count and split.tensors.count: key, type and number each. */
static uint64_t measure_split(void) {
    return (8 + strlen("split.no") + 4 + 2) + (8 + strlen("split.count") + 4 + 2) +
           (8 + strlen("split.tensors.count") + 4 + 4);
}

/* A head without its tensors, unpadded. */
static uint64_t measure_metadata(const struct sinq_layout *layout, bool is_first) {
    const struct sinq_gguf_values *const metadata = get_facts(layout)->metadata;
    uint64_t bytes = FIXED_HEAD + (layout->single_file ? 0 : measure_split());
    for (size_t i = 0; i < metadata->count && is_first; i++) bytes += measure_value(&metadata->values[i]);
    return bytes;
}

static uint64_t measure_padded(const struct sinq_layout_tensor *tensor) {
    return sinq_round_up(tensor->planned.bytes, GGUF_ALIGNMENT);
}

/* A shard takes what fits it, one tensor at least. */
static uint64_t measure_parts(const struct sinq_layout *layout, size_t first, size_t *end, uint64_t *data_start) {
    uint64_t head = measure_metadata(layout, first == 0), data = 0;
    size_t i = first;
    for (; i < layout->count; i++) {
        const struct sinq_layout_tensor *const tensor = &layout->tensors[i];
        const uint64_t more = head + tensor->header_bound + data + measure_padded(tensor) + GGUF_ALIGNMENT;
        if (i > first && !layout->single_file && more > layout->max_shard_bytes) break;
        head += tensor->header_bound;
        data += measure_padded(tensor);
    }
    *end = i;
    *data_start = sinq_round_up(head, GGUF_ALIGNMENT);
    return data;
}

static uint64_t measure_shard(const struct sinq_layout *layout, size_t first, size_t *end) {
    uint64_t data_start;
    const uint64_t data = measure_parts(layout, first, end, &data_start);
    return data_start + data;
}

static int begin_shard(struct sinq_layout *layout, struct sinq_error *error) {
    struct sinq_layout_shard shard = {.first = layout->finished};
    if (layout->shard_count == MOST_SHARDS) {
        return sinq_fail(error, SINQ_FAILED, "the output would be more than %u files: give a larger size",
                         (unsigned)MOST_SHARDS);
    }
    (void)measure_parts(layout, layout->finished, &shard.end, &shard.data_start);
    shard.header_bound = measure_metadata(layout, layout->finished == 0);
    layout->shards[layout->shard_count++] = shard;
    return SINQ_OK;
}

static bool fits_shard(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                       const struct sinq_layout_tensor *tensor) {
    return (size_t)(tensor - layout->tensors) < shard->end;
}

/* ---- the head ---- */

static void put_number(struct sinq_text *text, uint64_t number, size_t size) {
    char bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (char)(number >> 8 * i);
    sinq_text_add_bytes(text, bytes, size);
}

static void put_string(struct sinq_text *text, const char *string) {
    put_number(text, strlen(string), 8);
    sinq_text_add(text, string);
}

static void put_value(struct sinq_text *text, const struct sinq_gguf_value *value) {
    put_string(text, value->key);
    if (value->is_array) {
        put_number(text, SINQ_GGUF_ARRAY, 4);
        put_number(text, value->type, 4);
        put_number(text, value->count, 8);
    } else {
        put_number(text, value->type, 4);
    }
    sinq_text_add_bytes(text, (const char *)value->bytes, (size_t)value->size);
}

static void put_key(struct sinq_text *text, const char *key, enum sinq_gguf_type type, uint64_t number) {
    put_string(text, key);
    put_number(text, type, 4);
    put_number(text, number, sinq_gguf_type_size(type));
}

/* Dimensions run from the innermost on; offsets count from the data's start. */
static void put_tensor(struct sinq_text *text, const struct sinq_layout_tensor *tensor) {
    put_string(text, tensor->name);
    put_number(text, tensor->planned.rank, 4);
    for (uint32_t i = tensor->planned.rank; i-- > 0;) put_number(text, tensor->planned.shape[i], 8);
    put_number(text, tensor->planned.block->id, 4);
    put_number(text, tensor->offset, 8);
}

static int print_header(const struct sinq_layout *layout, size_t shard, const char *quantization,
                        struct sinq_text *text, struct sinq_error *error) {
    const struct sinq_gguf_values *const metadata = get_facts(layout)->metadata;
    const struct sinq_layout_shard *const part = &layout->shards[shard];
    const size_t values = shard == 0 ? metadata->count : 0;
    (void)quantization;
    sinq_text_add(text, "GGUF");
    put_number(text, GGUF_VERSION, 4);
    put_number(text, part->count, 8);
    put_number(text, values + (layout->single_file ? 0 : 3), 8);
    for (size_t i = 0; i < values; i++) put_value(text, &metadata->values[i]);
    if (!layout->single_file) {
        put_key(text, "split.no", SINQ_GGUF_U16, shard);
        put_key(text, "split.count", SINQ_GGUF_U16, layout->shard_count);
        put_key(text, "split.tensors.count", SINQ_GGUF_I32, layout->count);
    }
    for (size_t i = part->first; i < part->first + part->count; i++) put_tensor(text, &layout->tensors[i]);
    return text->failed ? sinq_fail_memory(error, "a header", part->data_start) : SINQ_OK;
}

static void fill_head(const struct sinq_layout_shard *shard, const struct sinq_text *text, uint8_t *head) {
    memset(head, 0, (size_t)shard->data_start);
    memcpy(head, text->data, text->size);
}

static int check_head(const struct sinq_layout *layout, size_t shard, const char *path, const uint8_t *head,
                      struct sinq_error *error) {
    struct sinq_text text = {0};
    int status = print_header(layout, shard, NULL, &text, error);
    if (status == SINQ_OK && memcmp(head, text.data, text.size) != 0) {
        status = sinq_fail(error, SINQ_FAILED, "%s: read back, its header is not what was written", path);
    }
    sinq_text_free(&text);
    return status;
}

/* llama.h, llama_split_path: the names by which the first file finds the others. */
static void name_shard(const struct sinq_layout *layout, size_t shard, size_t shard_count,
                       char name[SINQ_SHARD_NAME_BYTES]) {
    (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "%s-%05zu-of-%05zu.gguf", get_facts(layout)->stem, shard + 1,
                   shard_count);
}

const struct sinq_layout_ops sinq_gguf_layout = {.alignment = GGUF_ALIGNMENT,
                                                 .prepare = prepare,
                                                 .begin_shard = begin_shard,
                                                 .fits_shard = fits_shard,
                                                 .measure_shard = measure_shard,
                                                 .print_header = print_header,
                                                 .fill_head = fill_head,
                                                 .check_head = check_head,
                                                 .name_shard = name_shard};
