#include "safetensors_layout.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "layout_entries.h"
#include "tensor/dual_scale.h"

#define LONGEST_NUMBER 20u
/* Of a header without tensors: braces, "__metadata__", "format" and the empty texts. */
#define HEADER_BASE 128u
/*
 * A lone file's metadata holds the quantization_config, whose length is known last of all. Room is left for the common
 * facts and an exception for each tensor; where that is too little the file is copied once (see sink_commit.c).
 */
#define QUANTIZATION_BASE   4096u
#define QUANTIZATION_TENSOR 256u

static bool is_quantized(const struct sinq_layout_tensor *tensor) { return tensor->planned.dtype == SINQ_DUAL_SCALE; }

static size_t count_digits(uint64_t number) {
    size_t digits = 1;
    while ((number /= 10) != 0) digits++;
    return digits;
}

/* Bytes of the entry in a header, and of its checksum. */
static uint64_t measure_entry(const struct sinq_layout *layout, const struct sinq_layout_tensor *tensor,
                              const struct sinq_layout_entry *entry, struct sinq_text *name) {
    struct sinq_text once = {0};
    struct sinq_text twice = {0};
    sinq_name_layout_entry(tensor, entry, name);
    sinq_text_add_json(&once, name->failed ? "" : name->data);
    sinq_text_add_json(&twice, once.failed ? "" : once.data);
    name->failed |= once.failed || twice.failed;
    uint64_t bound = once.size + strlen(":{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[,]},") + 2 * LONGEST_NUMBER;
    bound += strlen(sinq_dtype_name(entry->dtype));
    if (is_quantized(tensor)) {
        bound += LONGEST_NUMBER;
    } else {
        for (uint32_t i = 0; i < entry->rank; i++) bound += count_digits(entry->shape[i]) + 1;
        if (layout->ops->has_metadata) bound += twice.size + strlen(":\\\"\\\",") + 2 * sizeof(struct sinq_hash);
    }
    if (layout->single_file) bound += twice.size + QUANTIZATION_TENSOR;
    sinq_text_free(&once);
    sinq_text_free(&twice);
    return bound;
}

int sinq_safetensors_prepare(const struct sinq_layout *layout, struct sinq_layout_tensor *tensor,
                             struct sinq_error *error) {
    if (strcmp(tensor->name, "__metadata__") == 0) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: safetensors reserves that name", tensor->name);
    }
    if (tensor->planned.block != NULL) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: safetensors has no type %s", tensor->name,
                         tensor->planned.block->name);
    }
    struct sinq_layout_entry entries[SINQ_MOST_REFERENCE_PARTS];
    const size_t count = sinq_list_layout_entries(tensor, entries);
    struct sinq_text name = {0};
    tensor->header_bound = 0;
    for (size_t i = 0; i < count; i++) tensor->header_bound += measure_entry(layout, tensor, &entries[i], &name);
    const bool failed = name.failed;
    sinq_text_free(&name);
    return failed ? sinq_fail_memory(error, "names of tensors", tensor->header_bound) : SINQ_OK;
}

static uint64_t header_base(const struct sinq_layout *layout) {
    return HEADER_BASE + (layout->single_file ? QUANTIZATION_BASE : 0);
}

static uint64_t data_start_for(uint64_t header_bytes) {
    return sinq_round_up(sizeof(uint64_t) + header_bytes, SINQ_SHARD_ALIGNMENT);
}

/* A shard that begins with tensor `first` gets a header for all tensors that could follow in it. */
static uint64_t measure_header(const struct sinq_layout *layout, size_t first, uint64_t *data_bytes, size_t *end) {
    uint64_t header = header_base(layout);
    size_t i = first;
    *data_bytes = 0;
    for (; i < layout->count; i++) {
        const struct sinq_layout_tensor *const tensor = &layout->tensors[i];
        const bool fits = *data_bytes + tensor->planned.bytes <= layout->max_shard_bytes &&
                          header + tensor->header_bound <= SINQ_HEADER_LIMIT - SINQ_SHARD_ALIGNMENT;
        if (i > first && !layout->single_file && !fits) break;
        header += tensor->header_bound;
        *data_bytes += tensor->planned.bytes;
    }
    *end = i;
    return header;
}

int sinq_safetensors_begin_shard(struct sinq_layout *layout, struct sinq_error *error) {
    uint64_t data_bytes;
    size_t end;
    const uint64_t header = measure_header(layout, layout->finished, &data_bytes, &end);
    if (data_start_for(header) - sizeof(uint64_t) > SINQ_HEADER_LIMIT) {
        return sinq_fail(error, SINQ_FAILED, "the output's header would take %llu bytes, safetensors allows %u",
                         (unsigned long long)header, SINQ_HEADER_LIMIT);
    }
    layout->shards[layout->shard_count++] = (struct sinq_layout_shard){
        .first = layout->finished, .data_start = data_start_for(header), .header_bound = header_base(layout)};
    return SINQ_OK;
}

bool sinq_safetensors_fits_shard(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                                 const struct sinq_layout_tensor *tensor) {
    /* The second bound is what makes the header's room sufficient whatever the real sizes are. */
    return shard->data_start + shard->bytes + tensor->planned.bytes <= layout->max_shard_bytes &&
           data_start_for(shard->header_bound + tensor->header_bound) <= shard->data_start;
}

uint64_t sinq_safetensors_measure_shard(const struct sinq_layout *layout, size_t first, size_t *end) {
    uint64_t data_bytes;
    const uint64_t start = data_start_for(measure_header(layout, first, &data_bytes, end));
    return start + data_bytes;
}

/* The checksums of quantized tensors are inside their bytes. */
static void print_checksums(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                            struct sinq_text *text) {
    for (size_t i = shard->first; i < shard->first + shard->count; i++) {
        const struct sinq_layout_tensor *const tensor = &layout->tensors[i];
        if (is_quantized(tensor)) continue;
        char digits[33];
        sinq_hash_to_text(tensor->checksum, digits);
        sinq_text_add(text, text->size == 0 && !text->failed ? "{" : ",");
        sinq_text_add_json(text, tensor->file_name);
        sinq_text_print(text, ":\"%s\"", digits);
    }
    if (text->size > 0) sinq_text_add(text, "}");
}

static void print_entry(const struct sinq_layout_tensor *tensor, const struct sinq_layout_entry *entry, bool is_first,
                        struct sinq_text *text) {
    struct sinq_text name = {0};
    const uint64_t offset = tensor->offset + entry->offset;
    sinq_name_layout_entry(tensor, entry, &name);
    sinq_text_add(text, is_first ? "" : ",");
    sinq_text_add_json(text, name.failed ? "" : name.data);
    text->failed |= name.failed;
    sinq_text_print(text, ":{\"dtype\":\"%s\",\"shape\":[", sinq_dtype_name(entry->dtype));
    for (uint32_t i = 0; i < entry->rank; i++) {
        sinq_text_print(text, "%s%llu", i == 0 ? "" : ",", (unsigned long long)entry->shape[i]);
    }
    sinq_text_print(text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)offset,
                    (unsigned long long)(offset + entry->bytes));
    sinq_text_free(&name);
}

static void print_metadata(const struct sinq_layout *layout, const struct sinq_layout_shard *part,
                           const char *quantization, struct sinq_text *text) {
    struct sinq_text checksums = {0};
    print_checksums(layout, part, &checksums);
    sinq_text_add(text, "\"__metadata__\":{\"format\":\"pt\"");
    if (checksums.size > 0) {
        sinq_text_add(text, ",\"checksums\":");
        sinq_text_add_json(text, checksums.data);
    }
    if (quantization != NULL && layout->single_file) {
        sinq_text_add(text, ",\"quantization_config\":");
        sinq_text_add_json(text, quantization);
    }
    sinq_text_add(text, "}");
    text->failed |= checksums.failed;
    sinq_text_free(&checksums);
}

int sinq_safetensors_print_header(const struct sinq_layout *layout, size_t shard, const char *quantization,
                                  struct sinq_text *text, struct sinq_error *error) {
    const struct sinq_layout_shard *const part = &layout->shards[shard];
    bool is_first = !layout->ops->has_metadata;
    sinq_text_add(text, "{");
    if (layout->ops->has_metadata) print_metadata(layout, part, quantization, text);
    for (size_t i = part->first; i < part->first + part->count; i++) {
        struct sinq_layout_entry entries[SINQ_MOST_REFERENCE_PARTS];
        const size_t count = sinq_list_layout_entries(&layout->tensors[i], entries);
        for (size_t e = 0; e < count; e++, is_first = false) {
            print_entry(&layout->tensors[i], &entries[e], is_first, text);
        }
    }
    sinq_text_add(text, "}");
    return text->failed ? sinq_fail_memory(error, "a header", part->data_start) : SINQ_OK;
}

/* Length, text and spaces up to the data. */
void sinq_safetensors_fill_head(const struct sinq_layout_shard *shard, const struct sinq_text *text, uint8_t *head) {
    const uint64_t size = shard->data_start - sizeof(uint64_t);
    memset(head, ' ', (size_t)shard->data_start);
    for (unsigned i = 0; i < sizeof size; i++) head[i] = (uint8_t)(size >> 8 * i);
    memcpy(head + sizeof size, text->data, text->size);
}

static void name_shard(const struct sinq_layout *layout, size_t shard, size_t shard_count,
                       char name[SINQ_SHARD_NAME_BYTES]) {
    (void)layout;
    if (shard_count == 1) {
        (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "model.safetensors");
        return;
    }
    (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "model-%05zu-of-%05zu.safetensors", shard + 1, shard_count);
}

/* ---- the index ---- */

static int compare_names(const void *a, const void *b) {
    const struct sinq_layout_tensor *const *const x = a;
    const struct sinq_layout_tensor *const *const y = b;
    return strcmp((*x)->file_name, (*y)->file_name);
}

/* The file of each of a tensor's entries. */
static void print_places(const struct sinq_layout *layout, const struct sinq_layout_tensor *tensor, bool is_first,
                         struct sinq_text *text) {
    struct sinq_layout_entry entries[SINQ_MOST_REFERENCE_PARTS];
    const size_t count = sinq_list_layout_entries(tensor, entries);
    struct sinq_text name = {0};
    char shard[SINQ_SHARD_NAME_BYTES];
    layout->ops->name_shard(layout, tensor->shard, layout->shard_count, shard);
    for (size_t i = 0; i < count; i++) {
        sinq_name_layout_entry(tensor, &entries[i], &name);
        sinq_text_add(text, is_first && i == 0 ? "\n    " : ",\n    ");
        sinq_text_add_json(text, name.failed ? "" : name.data);
        sinq_text_print(text, ": \"%s\"", shard);
    }
    text->failed |= name.failed;
    sinq_text_free(&name);
}

int sinq_layout_print_index(const struct sinq_layout *layout, struct sinq_text *text, struct sinq_error *error) {
    const struct sinq_layout_tensor **const sorted = malloc((layout->finished + 1) * sizeof *sorted);
    if (sorted == NULL) return sinq_fail_memory(error, "the index", layout->finished * sizeof *sorted);
    uint64_t total = 0;
    for (size_t i = 0; i < layout->finished; i++) {
        sorted[i] = &layout->tensors[i];
        total += layout->tensors[i].bytes;
    }
    qsort(sorted, layout->finished, sizeof *sorted, compare_names);
    sinq_text_print(text, "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n  \"weight_map\": {",
                    (unsigned long long)total);
    for (size_t i = 0; i < layout->finished; i++) print_places(layout, sorted[i], i == 0, text);
    sinq_text_add(text, "\n  }\n}\n");
    free(sorted);
    return text->failed ? sinq_fail_memory(error, "the index", layout->finished) : SINQ_OK;
}

/* ---- reading back ---- */

static bool is_number(const cJSON *item, uint64_t expected) {
    return cJSON_IsNumber(item) && item->valuedouble == (double)expected;
}

static bool is_shape(const cJSON *shape, const struct sinq_layout_entry *entry) {
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) != (int)entry->rank) return false;
    for (uint32_t i = 0; i < entry->rank; i++) {
        if (!is_number(cJSON_GetArrayItem(shape, (int)i), entry->shape[i])) return false;
    }
    return true;
}

static bool is_entry(const cJSON *found, const struct sinq_layout_tensor *tensor,
                     const struct sinq_layout_entry *entry) {
    struct sinq_text name = {0};
    const uint64_t offset = tensor->offset + entry->offset;
    const char *const dtype = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(found, "dtype"));
    const cJSON *const offsets = cJSON_GetObjectItemCaseSensitive(found, "data_offsets");
    sinq_name_layout_entry(tensor, entry, &name);
    const bool is_named =
        !name.failed && found != NULL && found->string != NULL && strcmp(found->string, name.data) == 0;
    sinq_text_free(&name);
    return is_named && dtype != NULL && strcmp(dtype, sinq_dtype_name(entry->dtype)) == 0 &&
           is_shape(cJSON_GetObjectItemCaseSensitive(found, "shape"), entry) && cJSON_GetArraySize(offsets) == 2 &&
           is_number(cJSON_GetArrayItem(offsets, 0), offset) &&
           is_number(cJSON_GetArrayItem(offsets, 1), offset + entry->bytes);
}

/* Goes on from *next, which is the header's entry of this tensor. */
static bool is_tensor(const cJSON **next, const struct sinq_layout_tensor *tensor) {
    struct sinq_layout_entry entries[SINQ_MOST_REFERENCE_PARTS];
    const size_t count = sinq_list_layout_entries(tensor, entries);
    for (size_t i = 0; i < count; i++) {
        if (*next == NULL || !is_entry(*next, tensor, &entries[i])) return false;
        *next = (*next)->next;
    }
    return true;
}

int sinq_safetensors_check_head(const struct sinq_layout *layout, size_t shard, const char *path, const uint8_t *head,
                                struct sinq_error *error) {
    const struct sinq_layout_shard *const part = &layout->shards[shard];
    const uint64_t expected = part->data_start - sizeof(uint64_t);
    uint64_t size = 0;
    for (size_t i = sizeof size; i-- > 0;) size = size << 8 | head[i];
    if (size != expected) {
        return sinq_fail(error, SINQ_FAILED, "%s: read back, its length is not what was written", path);
    }
    cJSON *const header = cJSON_ParseWithLength((const char *)head + sizeof size, (size_t)size);
    int status = SINQ_OK;
    const cJSON *entry = cJSON_IsObject(header) ? header->child : NULL;
    const bool has_metadata = entry != NULL && strcmp(entry->string, "__metadata__") == 0;
    if (!cJSON_IsObject(header) || has_metadata != layout->ops->has_metadata) {
        status = sinq_fail(error, SINQ_FAILED, "%s: read back, its header is not what was written", path);
    }
    if (has_metadata) entry = entry->next;
    for (size_t i = part->first; i < part->first + part->count && status == SINQ_OK; i++) {
        if (is_tensor(&entry, &layout->tensors[i])) continue;
        status = sinq_fail(error, SINQ_FAILED, "%s: tensor %s: read back, the header does not say what was written",
                           path, layout->tensors[i].name);
    }
    cJSON_Delete(header);
    return status;
}

const struct sinq_layout_ops sinq_safetensors_layout = {.alignment = 1,
                                                        .head_overhead = sizeof(uint64_t),
                                                        .has_files_beside = true,
                                                        .has_metadata = true,
                                                        .prepare = sinq_safetensors_prepare,
                                                        .begin_shard = sinq_safetensors_begin_shard,
                                                        .fits_shard = sinq_safetensors_fits_shard,
                                                        .measure_shard = sinq_safetensors_measure_shard,
                                                        .print_header = sinq_safetensors_print_header,
                                                        .fill_head = sinq_safetensors_fill_head,
                                                        .check_head = sinq_safetensors_check_head,
                                                        .name_shard = name_shard};
