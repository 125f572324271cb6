#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/name_index.h"
#include "tensor/dual_scale.h"

/* Sizes beyond it are nobody's; below it they pass through JSON numbers exactly. */
#define LARGEST_CHECKPOINT ((uint64_t)1 << 53)
#define LONGEST_NUMBER     20u
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

static int measure_entry(struct sinq_layout *layout, struct sinq_layout_tensor *tensor, struct sinq_error *error) {
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

static int check_planned(const struct sinq_sink_tensor *tensor, uint64_t *total, struct sinq_error *error) {
    if (tensor->rank > SINQ_MAX_RANK || (unsigned)tensor->dtype >= SINQ_DTYPE_COUNT) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: rank %u or type %u cannot be written", tensor->name,
                         (unsigned)tensor->rank, (unsigned)tensor->dtype);
    }
    if (strcmp(tensor->name, "__metadata__") == 0) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: safetensors reserves that name", tensor->name);
    }
    uint64_t bytes = sinq_dtype_size(tensor->dtype);
    bool fits = sinq_add_u64(*total, tensor->bytes, total) && *total < LARGEST_CHECKPOINT;
    for (uint32_t i = 0; i < tensor->rank; i++) fits = fits && sinq_multiply_u64(bytes, tensor->shape[i], &bytes);
    if (!fits || (tensor->dtype != SINQ_DUAL_SCALE && bytes != tensor->bytes)) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: %llu bytes planned, expected what its shape and type %s give",
                         tensor->name, (unsigned long long)tensor->bytes, sinq_dtype_name(tensor->dtype));
    }
    return SINQ_OK;
}

static int copy_tensor(struct sinq_layout *layout, const struct sinq_sink_tensor *planned, struct sinq_error *error) {
    struct sinq_layout_tensor *const tensor = &layout->tensors[layout->count];
    const char *const suffix = planned->dtype == SINQ_DUAL_SCALE ? SINQ_DUAL_SCALE_SUFFIX : "";
    const size_t size = strlen(planned->name) + 1;
    char *const names = malloc(2 * size + strlen(suffix));
    if (names == NULL) return sinq_fail_memory(error, "names of tensors", 2 * size);
    layout->count++;
    memcpy(names, planned->name, size);
    memcpy(names + size, planned->name, size);
    memcpy(names + 2 * size - 1, suffix, strlen(suffix) + 1);
    tensor->name = names;
    tensor->file_name = names + size;
    tensor->planned = *planned;
    tensor->planned.name = tensor->name;
    return measure_entry(layout, tensor, error);
}

static int check_names(const struct sinq_layout *layout, struct sinq_error *error) {
    struct sinq_name_index *const names = sinq_name_index_create(layout->count);
    int status = names == NULL ? sinq_fail_memory(error, "names of tensors", layout->count) : SINQ_OK;
    for (size_t i = 0; i < layout->count && status == SINQ_OK; i++) {
        const char *const name = layout->tensors[i].file_name;
        if (sinq_name_index_add(names, name, i)) continue;
        status = sinq_fail(error, SINQ_FAILED, "tensor %s: two tensors would have that name in the output", name);
    }
    sinq_name_index_free(names);
    return status;
}

int sinq_layout_create(const struct sinq_sink_plan *plan, uint64_t max_shard_bytes, bool single_file,
                       struct sinq_layout **layout, struct sinq_error *error) {
    struct sinq_layout *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "the output's layout", sizeof *made);
    made->max_shard_bytes = max_shard_bytes;
    made->single_file = single_file;
    /* Never more shards than tensors, but for the empty one. */
    made->tensors = calloc(plan->count + 1, sizeof *made->tensors);
    made->shards = calloc(plan->count + 1, sizeof *made->shards);
    int status = SINQ_OK;
    if (made->tensors == NULL || made->shards == NULL) {
        status = sinq_fail_memory(error, "the output's layout", plan->count * sizeof *made->tensors);
    }
    uint64_t total = 0;
    for (size_t i = 0; i < plan->count && status == SINQ_OK; i++) {
        status = check_planned(&plan->tensors[i], &total, error);
        if (status == SINQ_OK) status = copy_tensor(made, &plan->tensors[i], error);
    }
    if (status == SINQ_OK) status = check_names(made, error);
    if (status != SINQ_OK) {
        sinq_layout_free(made);
        return status;
    }
    *layout = made;
    return SINQ_OK;
}

void sinq_layout_free(struct sinq_layout *layout) {
    if (layout == NULL) return;
    for (size_t i = 0; layout->tensors != NULL && i < layout->count; i++) free((char *)layout->tensors[i].name);
    free(layout->tensors);
    free(layout->shards);
    free(layout);
}

static uint64_t header_base(const struct sinq_layout *layout) {
    return HEADER_BASE + (layout->single_file ? QUANTIZATION_BASE : 0);
}

static uint64_t data_start_for(uint64_t header_bytes) {
    return sinq_round_up(sizeof(uint64_t) + header_bytes, SINQ_SHARD_ALIGNMENT);
}

/* A shard that begins with tensor `first` gets a header for all tensors that could follow in it. */
static uint64_t measure_shard(const struct sinq_layout *layout, size_t first, uint64_t *data_bytes, size_t *end) {
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
    const uint64_t header = measure_shard(layout, layout->finished, &data_bytes, &end);
    if (data_start_for(header) - sizeof(uint64_t) > SINQ_HEADER_LIMIT) {
        return sinq_fail(error, SINQ_FAILED, "the output's header would take %llu bytes, safetensors allows %u",
                         (unsigned long long)header, SINQ_HEADER_LIMIT);
    }
    layout->shards[layout->shard_count++] = (struct sinq_layout_shard){
        .first = layout->finished, .data_start = data_start_for(header), .header_bound = header_base(layout)};
    return SINQ_OK;
}

int sinq_layout_require_shard(struct sinq_layout *layout, struct sinq_error *error) {
    return layout->shard_count > 0 ? SINQ_OK : begin_shard(layout, error);
}

static bool fits_shard(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                       const struct sinq_layout_tensor *tensor) {
    if (shard->count == 0 || layout->single_file) return true;
    /* The second bound is what makes the header's room sufficient whatever the real sizes are. */
    return shard->data_start + shard->bytes + tensor->planned.bytes <= layout->max_shard_bytes &&
           data_start_for(shard->header_bound + tensor->header_bound) <= shard->data_start;
}

int sinq_layout_place(struct sinq_layout *layout, struct sinq_error *error) {
    struct sinq_layout_tensor *const tensor = &layout->tensors[layout->finished];
    if (layout->shard_count == 0 || !fits_shard(layout, &layout->shards[layout->shard_count - 1], tensor)) {
        const int status = begin_shard(layout, error);
        if (status != SINQ_OK) return status;
    }
    const struct sinq_layout_shard *const shard = &layout->shards[layout->shard_count - 1];
    if (is_quantized(tensor) && shard->bytes % SINQ_SHARD_ALIGNMENT != 0) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: quantized tensors must come before others to be aligned",
                         tensor->name);
    }
    tensor->shard = layout->shard_count - 1;
    tensor->offset = shard->bytes;
    return SINQ_OK;
}

int sinq_layout_finish(struct sinq_layout *layout, uint64_t bytes, struct sinq_hash checksum,
                       struct sinq_error *error) {
    struct sinq_layout_tensor *const tensor = &layout->tensors[layout->finished];
    struct sinq_layout_shard *const shard = &layout->shards[tensor->shard];
    const bool right = is_quantized(tensor) ? bytes % SINQ_SHARD_ALIGNMENT == 0 : bytes == tensor->planned.bytes;
    uint64_t total;
    if (!right || !sinq_add_u64(shard->bytes, bytes, &total) || total >= LARGEST_CHECKPOINT) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: %llu bytes, expected %s%llu", tensor->name,
                         (unsigned long long)bytes, is_quantized(tensor) ? "a multiple of 64 near " : "",
                         (unsigned long long)tensor->planned.bytes);
    }
    tensor->bytes = bytes;
    tensor->checksum = checksum;
    shard->bytes = total;
    shard->header_bound += tensor->header_bound;
    shard->count++;
    layout->finished++;
    return SINQ_OK;
}

uint64_t sinq_layout_predict_bytes(const struct sinq_layout *layout) {
    uint64_t total = 0;
    for (size_t i = 0; i < layout->shard_count; i++) total += layout->shards[i].data_start + layout->shards[i].bytes;
    for (size_t i = layout->finished; i < layout->count;) {
        uint64_t data_bytes;
        total += data_start_for(measure_shard(layout, i, &data_bytes, &i));
        total += data_bytes;
    }
    return total;
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

int sinq_layout_print_header(const struct sinq_layout *layout, size_t shard, const char *quantization,
                             struct sinq_text *text, struct sinq_error *error) {
    const struct sinq_layout_shard *const part = &layout->shards[shard];
    struct sinq_text checksums = {0};
    print_checksums(layout, part, &checksums);
    sinq_text_add(text, "{\"__metadata__\":{\"format\":\"pt\"");
    if (checksums.size > 0) {
        sinq_text_add(text, ",\"checksums\":");
        sinq_text_add_json(text, checksums.data);
    }
    if (quantization != NULL) {
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
        sinq_shard_final_name(sorted[i]->shard, layout->shard_count, name);
        sinq_text_add(text, i == 0 ? "\n    " : ",\n    ");
        sinq_text_add_json(text, sorted[i]->file_name);
        sinq_text_print(text, ": \"%s\"", name);
    }
    sinq_text_add(text, "\n  }\n}\n");
    free(sorted);
    return text->failed ? sinq_fail_memory(error, "the index", layout->finished) : SINQ_OK;
}

void sinq_shard_growing_name(size_t shard, char name[SINQ_SHARD_NAME_BYTES]) {
    (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "shard-%05zu", shard + 1);
}

void sinq_shard_final_name(size_t shard, size_t shard_count, char name[SINQ_SHARD_NAME_BYTES]) {
    if (shard_count == 1) {
        (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "model.safetensors");
        return;
    }
    (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "model-%05zu-of-%05zu.safetensors", shard + 1, shard_count);
}
