/* safetensors_layout.c: the layout of safetensors files, and what their headers say. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "layout.h"
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

static const char *file_dtype(const struct sinq_layout_tensor *tensor) {
    return sinq_dtype_name(is_quantized(tensor) ? SINQ_U8 : tensor->planned.dtype);
}

static size_t count_digits(uint64_t number) {
    size_t digits = 1;
    while ((number /= 10) != 0) digits++;
    return digits;
}

static int prepare(const struct sinq_layout *layout, struct sinq_layout_tensor *tensor, struct sinq_error *error) {
    if (strcmp(tensor->name, "__metadata__") == 0) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: safetensors reserves that name", tensor->name);
    }
    if (tensor->planned.block != NULL) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: safetensors has no type %s", tensor->name,
                         tensor->planned.block->name);
    }
    struct sinq_text once = {0};
    struct sinq_text twice = {0};
    sinq_text_add_json(&once, tensor->file_name);
    sinq_text_add_json(&twice, once.failed ? "" : once.data);
    const bool failed = once.failed || twice.failed;
    uint64_t bound = once.size + strlen(":{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[,]},") + 2 * LONGEST_NUMBER;
    bound += strlen(file_dtype(tensor));
    if (is_quantized(tensor)) {
        bound += LONGEST_NUMBER;
    } else {
        for (uint32_t i = 0; i < tensor->planned.rank; i++) bound += count_digits(tensor->planned.shape[i]) + 1;
        bound += twice.size + strlen(":\\\"\\\",") + 2 * sizeof(struct sinq_hash);
    }
    if (layout->single_file) bound += twice.size + QUANTIZATION_TENSOR;
    tensor->header_bound = bound;
    sinq_text_free(&once);
    sinq_text_free(&twice);
    return failed ? sinq_fail_memory(error, "names of tensors", bound) : SINQ_OK;
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

static int begin_shard(struct sinq_layout *layout, struct sinq_error *error) {
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

static bool fits_shard(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                       const struct sinq_layout_tensor *tensor) {
    /* The second bound is what makes the header's room sufficient whatever the real sizes are. */
    return shard->data_start + shard->bytes + tensor->planned.bytes <= layout->max_shard_bytes &&
           data_start_for(shard->header_bound + tensor->header_bound) <= shard->data_start;
}

static uint64_t measure_shard(const struct sinq_layout *layout, size_t first, size_t *end) {
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

static void print_tensor(const struct sinq_layout_tensor *tensor, struct sinq_text *text) {
    sinq_text_add(text, ",");
    sinq_text_add_json(text, tensor->file_name);
    sinq_text_print(text, ":{\"dtype\":\"%s\",\"shape\":[", file_dtype(tensor));
    if (is_quantized(tensor)) sinq_text_print(text, "%llu", (unsigned long long)tensor->bytes);
    for (uint32_t i = 0; i < tensor->planned.rank && !is_quantized(tensor); i++) {
        sinq_text_print(text, "%s%llu", i == 0 ? "" : ",", (unsigned long long)tensor->planned.shape[i]);
    }
    sinq_text_print(text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)tensor->offset,
                    (unsigned long long)(tensor->offset + tensor->bytes));
}

static int print_header(const struct sinq_layout *layout, size_t shard, const char *quantization,
                        struct sinq_text *text, struct sinq_error *error) {
    const struct sinq_layout_shard *const part = &layout->shards[shard];
    struct sinq_text checksums = {0};
    print_checksums(layout, part, &checksums);
    sinq_text_add(text, "{\"__metadata__\":{\"format\":\"pt\"");
    if (checksums.size > 0) {
        sinq_text_add(text, ",\"checksums\":");
        sinq_text_add_json(text, checksums.data);
    }
    if (quantization != NULL && layout->single_file) {
        sinq_text_add(text, ",\"quantization_config\":");
        sinq_text_add_json(text, quantization);
    }
    sinq_text_add(text, "}");
    for (size_t i = part->first; i < part->first + part->count; i++) print_tensor(&layout->tensors[i], text);
    sinq_text_add(text, "}");
    const bool failed = checksums.failed || text->failed;
    sinq_text_free(&checksums);
    return failed ? sinq_fail_memory(error, "a header", part->data_start) : SINQ_OK;
}

/* Length, text and spaces up to the data. */
static void fill_head(const struct sinq_layout_shard *shard, const struct sinq_text *text, uint8_t *head) {
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
    for (size_t i = 0; i < layout->finished; i++) {
        char name[SINQ_SHARD_NAME_BYTES];
        name_shard(layout, sorted[i]->shard, layout->shard_count, name);
        sinq_text_add(text, i == 0 ? "\n    " : ",\n    ");
        sinq_text_add_json(text, sorted[i]->file_name);
        sinq_text_print(text, ": \"%s\"", name);
    }
    sinq_text_add(text, "\n  }\n}\n");
    free(sorted);
    return text->failed ? sinq_fail_memory(error, "the index", layout->finished) : SINQ_OK;
}

/* ---- reading back ---- */

static bool is_number(const cJSON *item, uint64_t expected) {
    return cJSON_IsNumber(item) && item->valuedouble == (double)expected;
}

static bool is_shape(const cJSON *shape, const struct sinq_layout_tensor *tensor) {
    const bool is_quantized = tensor->planned.dtype == SINQ_DUAL_SCALE;
    const uint32_t rank = is_quantized ? 1 : tensor->planned.rank;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) != (int)rank) return false;
    for (uint32_t i = 0; i < rank; i++) {
        const uint64_t expected = is_quantized ? tensor->bytes : tensor->planned.shape[i];
        if (!is_number(cJSON_GetArrayItem(shape, (int)i), expected)) return false;
    }
    return true;
}

static bool is_entry(const cJSON *entry, const struct sinq_layout_tensor *tensor) {
    const enum sinq_dtype dtype = tensor->planned.dtype == SINQ_DUAL_SCALE ? SINQ_U8 : tensor->planned.dtype;
    const char *const name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "dtype"));
    const cJSON *const offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    return entry != NULL && entry->string != NULL && strcmp(entry->string, tensor->file_name) == 0 && name != NULL &&
           strcmp(name, sinq_dtype_name(dtype)) == 0 &&
           is_shape(cJSON_GetObjectItemCaseSensitive(entry, "shape"), tensor) && cJSON_GetArraySize(offsets) == 2 &&
           is_number(cJSON_GetArrayItem(offsets, 0), tensor->offset) &&
           is_number(cJSON_GetArrayItem(offsets, 1), tensor->offset + tensor->bytes);
}

static int check_head(const struct sinq_layout *layout, size_t shard, const char *path, const uint8_t *head,
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
    if (entry == NULL || strcmp(entry->string, "__metadata__") != 0) {
        status = sinq_fail(error, SINQ_FAILED, "%s: read back, its header is not what was written", path);
    }
    for (size_t i = part->first; i < part->first + part->count && status == SINQ_OK; i++) {
        entry = entry->next;
        if (entry != NULL && is_entry(entry, &layout->tensors[i])) continue;
        status = sinq_fail(error, SINQ_FAILED, "%s: tensor %s: read back, the header does not say what was written",
                           path, layout->tensors[i].name);
    }
    cJSON_Delete(header);
    return status;
}

const struct sinq_layout_ops sinq_safetensors_layout = {.alignment = 1,
                                                        .head_overhead = sizeof(uint64_t),
                                                        .has_files_beside = true,
                                                        .prepare = prepare,
                                                        .begin_shard = begin_shard,
                                                        .fits_shard = fits_shard,
                                                        .measure_shard = measure_shard,
                                                        .print_header = print_header,
                                                        .fill_head = fill_head,
                                                        .check_head = check_head,
                                                        .name_shard = name_shard};
