#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/name_index.h"
#include "tensor/dtype.h"

#define LENGTH_BYTES ((uint64_t)8)

struct parser {
    struct sinq_json json;
    const struct sinq_input *input;
    struct sinq_tensor_list *list;
    size_t first; /* of this file's tensors in the list */
    uint32_t shard;
    uint64_t header_bytes, data_bytes;
    struct sinq_text key, field, value;       /* scratch */
    struct sinq_text checksums, quantization; /* kept from __metadata__ */
    bool has_metadata;
    struct sinq_error *error;
};

/* What a tensor's entry in the header says. */
struct entry {
    bool has_dtype, has_shape, has_offsets;
    enum sinq_dtype dtype;
    uint32_t rank;
    uint64_t shape[SINQ_MAX_RANK];
    uint64_t begin, end;
};

void sinq_tensor_list_free(struct sinq_tensor_list *list) {
    free(list->tensors);
    free(list->checksums);
    sinq_arena_free(&list->names);
    *list = (struct sinq_tensor_list){0};
}

/* ---- one tensor's entry ---- */

static int fail_json(struct parser *p, const char *expected) {
    (void)sinq_json_fail(&p->json, expected);
    return SINQ_FAILED;
}

static int read_dtype(struct parser *p, const char *name, struct entry *entry) {
    if (!sinq_json_read_string(&p->json, SINQ_MAX_NAME_BYTES, &p->value)) return SINQ_FAILED;
    const int dtype = sinq_dtype_from_name(p->value.data);
    if (dtype < 0) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: tensor %.300s: unknown dtype \"%.100s\"", p->input->path, name,
                         p->value.data);
    }
    entry->dtype = (enum sinq_dtype)dtype;
    return SINQ_OK;
}

static int read_shape(struct parser *p, const char *name, struct entry *entry) {
    if (!sinq_json_begin_array(&p->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_element(&p->json, &first); entry->rank++) {
        if (entry->rank == SINQ_MAX_RANK) {
            return sinq_fail(p->error, SINQ_FAILED, "%s: tensor %.300s: more than %d dimensions", p->input->path, name,
                             SINQ_MAX_RANK);
        }
        if (!sinq_json_read_u64(&p->json, &entry->shape[entry->rank])) return SINQ_FAILED;
    }
    return p->json.has_failed ? SINQ_FAILED : SINQ_OK;
}

static int read_offsets(struct parser *p, struct entry *entry) {
    uint64_t *const offsets[2] = {&entry->begin, &entry->end};
    size_t count = 0;
    if (!sinq_json_begin_array(&p->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_element(&p->json, &first); count++) {
        if (count == 2) return fail_json(p, "two data_offsets");
        if (!sinq_json_read_u64(&p->json, offsets[count])) return SINQ_FAILED;
    }
    return count == 2 && !p->json.has_failed ? SINQ_OK : fail_json(p, "two data_offsets");
}

static int read_field(struct parser *p, const char *name, struct entry *entry) {
    const char *const field = p->field.data;
    bool *const seen = strcmp(field, "dtype") == 0          ? &entry->has_dtype
                       : strcmp(field, "shape") == 0        ? &entry->has_shape
                       : strcmp(field, "data_offsets") == 0 ? &entry->has_offsets
                                                            : NULL;
    if (seen == NULL) return sinq_json_skip(&p->json) ? SINQ_OK : SINQ_FAILED;
    if (*seen) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: tensor %.300s: has \"%s\" twice", p->input->path, name, field);
    }
    *seen = true;
    if (seen == &entry->has_dtype) return read_dtype(p, name, entry);
    if (seen == &entry->has_shape) return read_shape(p, name, entry);
    return read_offsets(p, entry);
}

/* Whether the entry's numbers fit each other and the file. */
static int check_entry(const struct parser *p, const char *name, const struct entry *e) {
    uint64_t bytes = 1;
    bool fits = true;
    for (uint32_t i = 0; i < e->rank; i++) fits = fits && sinq_multiply_u64(bytes, e->shape[i], &bytes);
    if (!fits || !sinq_multiply_u64(bytes, sinq_dtype_size(e->dtype), &bytes)) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: tensor %.300s: its shape has more elements than 64 bits can count",
                         p->input->path, name);
    }
    if (e->begin > e->end || e->end > p->data_bytes) {
        return sinq_fail(p->error, SINQ_FAILED,
                         "%s: tensor %.300s: data_offsets [%llu, %llu] out of range, the file holds %llu bytes of data",
                         p->input->path, name, (unsigned long long)e->begin, (unsigned long long)e->end,
                         (unsigned long long)p->data_bytes);
    }
    if (e->end - e->begin != bytes) {
        return sinq_fail(p->error, SINQ_FAILED,
                         "%s: tensor %.300s: data_offsets span %llu bytes, its shape and dtype %s need %llu",
                         p->input->path, name, (unsigned long long)(e->end - e->begin), sinq_dtype_name(e->dtype),
                         (unsigned long long)bytes);
    }
    return SINQ_OK;
}

static int reserve_tensor(const struct parser *p) {
    struct sinq_tensor_list *const list = p->list;
    if (list->count < list->capacity) return SINQ_OK;
    if (list->count >= SINQ_MAX_TENSORS) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: more than %zu tensors", p->input->path, SINQ_MAX_TENSORS);
    }
    const size_t wanted = list->capacity == 0 ? 64 : 2 * list->capacity;
    const size_t capacity = wanted < SINQ_MAX_TENSORS ? wanted : SINQ_MAX_TENSORS;
    struct sinq_tensor *const tensors = realloc(list->tensors, capacity * sizeof *tensors);
    if (tensors == NULL) return sinq_fail_memory(p->error, p->input->path, capacity * sizeof *tensors);
    list->tensors = tensors;
    uint8_t(*const checksums)[16] = realloc(list->checksums, capacity * sizeof *checksums);
    if (checksums == NULL) return sinq_fail_memory(p->error, p->input->path, capacity * sizeof *checksums);
    list->checksums = checksums;
    list->capacity = capacity;
    return SINQ_OK;
}

static int add_tensor(struct parser *p, const char *name, const struct entry *e) {
    const int status = reserve_tensor(p);
    if (status != SINQ_OK) return status;
    const size_t length = strlen(name);
    if (p->list->names.bytes + length >= SINQ_MAX_NAMES_BYTES) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: tensor names of more than %llu bytes", p->input->path,
                         (unsigned long long)SINQ_MAX_NAMES_BYTES);
    }
    const char *const kept = sinq_arena_add(&p->list->names, name, length);
    if (kept == NULL) return sinq_fail_memory(p->error, p->input->path, length);
    const size_t i = p->list->count++;
    struct sinq_tensor *const tensor = &p->list->tensors[i];
    *tensor = (struct sinq_tensor){
        .name = kept,
        .dtype = e->dtype,
        .rank = e->rank,
        .bytes = e->end - e->begin,
        .shard = p->shard,
        .offset = LENGTH_BYTES + p->header_bytes + e->begin,
        .scale_tensor = -1,
    };
    memcpy(tensor->shape, e->shape, sizeof tensor->shape);
    memset(p->list->checksums[i], 0, 16);
    return SINQ_OK;
}

static int read_tensor(struct parser *p) {
    struct entry entry = {0};
    const char *const name = p->key.data;
    p->json.item = name;
    if (!sinq_json_begin_object(&p->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(&p->json, &first, SINQ_MAX_NAME_BYTES, &p->field);) {
        const int status = read_field(p, name, &entry);
        if (status != SINQ_OK) return status;
    }
    if (p->json.has_failed) return SINQ_FAILED;
    p->json.item = NULL;
    if (!entry.has_dtype || !entry.has_shape || !entry.has_offsets) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: tensor %.300s: lacks dtype, shape or data_offsets", p->input->path,
                         name);
    }
    const int status = check_entry(p, name, &entry);
    return status != SINQ_OK ? status : add_tensor(p, name, &entry);
}

/* ---- the header ---- */

static int read_metadata(struct parser *p) {
    if (p->has_metadata) return sinq_fail(p->error, SINQ_FAILED, "%s: has __metadata__ twice", p->input->path);
    p->has_metadata = true;
    if (!sinq_json_begin_object(&p->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(&p->json, &first, SINQ_MAX_NAME_BYTES, &p->field);) {
        struct sinq_text *const kept = strcmp(p->field.data, "checksums") == 0             ? &p->checksums
                                       : strcmp(p->field.data, "quantization_config") == 0 ? &p->quantization
                                                                                           : NULL;
        if (kept != NULL && kept->data != NULL) {
            return sinq_fail(p->error, SINQ_FAILED, "%s: __metadata__ has \"%s\" twice", p->input->path, p->field.data);
        }
        if (sinq_json_peek(&p->json) != '"') return fail_json(p, "a string as value in __metadata__");
        const bool is_read =
            kept == NULL ? sinq_json_skip(&p->json) : sinq_json_read_string(&p->json, SINQ_MAX_METADATA_BYTES, kept);
        if (!is_read) return SINQ_FAILED;
    }
    return p->json.has_failed ? SINQ_FAILED : SINQ_OK;
}

static int read_header(struct parser *p) {
    if (!sinq_json_begin_object(&p->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(&p->json, &first, SINQ_MAX_NAME_BYTES, &p->key);) {
        const int status = strcmp(p->key.data, "__metadata__") == 0 ? read_metadata(p) : read_tensor(p);
        if (status != SINQ_OK) return status;
    }
    return !p->json.has_failed && sinq_json_end(&p->json) ? SINQ_OK : SINQ_FAILED;
}

/* The length field, and with it whether this is a safetensors file at all. */
static int read_length(struct parser *p, uint8_t length[8]) {
    uint8_t start[32] = {0};
    const struct sinq_input *const input = p->input;
    const size_t size = (size_t)sinq_min_u64(input->bytes, sizeof start);
    const int status = sinq_input_read(input, 0, size, start, p->error);
    if (status != SINQ_OK) return status;
    if (size == 0) return sinq_fail(p->error, SINQ_FAILED, "%s: the file is empty", input->path);
    for (int i = 7; i >= 0; i--) p->header_bytes = p->header_bytes << 8 | start[i];
    const bool fits = size > LENGTH_BYTES && p->header_bytes <= input->bytes - LENGTH_BYTES;
    if (fits && p->header_bytes <= SINQ_MAX_HEADER_BYTES && p->header_bytes >= 2 && start[8] == '{') {
        memcpy(length, start, 8);
        p->data_bytes = input->bytes - LENGTH_BYTES - p->header_bytes;
        return SINQ_OK;
    }
    const char *const content = sinq_describe_content(start, size);
    if (content != NULL) return sinq_fail(p->error, SINQ_FAILED, "%s: is %s", input->path, content);
    if (size > LENGTH_BYTES && p->header_bytes > SINQ_MAX_HEADER_BYTES) {
        return sinq_fail(p->error, SINQ_FAILED,
                         "%s: a header of %llu bytes, expected a safetensors file's of at most %llu", input->path,
                         (unsigned long long)p->header_bytes, (unsigned long long)SINQ_MAX_HEADER_BYTES);
    }
    if (!fits) {
        return sinq_fail(p->error, SINQ_FAILED,
                         "%s: a header of %llu bytes, but the file has %llu (no safetensors file, or cut off)",
                         input->path, (unsigned long long)p->header_bytes, (unsigned long long)input->bytes);
    }
    return sinq_fail(p->error, SINQ_FAILED, "%s: no safetensors file: its header does not begin with '{'", input->path);
}

static int parse_header(struct parser *p, struct sinq_header_facts *facts) {
    uint8_t length[8];
    int status = read_length(p, length);
    if (status != SINQ_OK) return status;
    struct sinq_hasher *const hasher = sinq_hasher_create();
    if (hasher == NULL) return sinq_fail_memory(p->error, p->input->path, 0);
    sinq_hasher_update(hasher, length, sizeof length);
    status = SINQ_FAILED;
    if (sinq_json_open_input(&p->json, p->input->path, p->input, LENGTH_BYTES, p->header_bytes, p->error)) {
        p->json.hasher = hasher;
        status = read_header(p);
    }
    sinq_json_close(&p->json);
    const struct sinq_hash hash = sinq_hasher_finish(hasher);
    memcpy(facts->hash, hash.bytes, sizeof facts->hash);
    return status;
}

/* ---- all tensors together ---- */

static int compare_places(const void *left, const void *right) {
    const struct sinq_tensor *const a = left, *const b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void sort_tensors(struct sinq_tensor *tensors, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (compare_places(&tensors[i - 1], &tensors[i]) <= 0) continue;
        qsort(tensors, count, sizeof *tensors, compare_places);
        return;
    }
}

/* Sorted tensors must follow each other without a gap, from the data's beginning to its end. */
static int check_coverage(const struct parser *p, const struct sinq_tensor *tensors, size_t count) {
    const uint64_t start = LENGTH_BYTES + p->header_bytes;
    uint64_t end = start;
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].offset < end) {
            return sinq_fail(
                p->error, SINQ_FAILED,
                "%s: tensor %.300s overlaps tensor %.300s: begins at byte %llu of the data, which goes on to %llu",
                p->input->path, tensors[i].name, tensors[i - 1].name, (unsigned long long)(tensors[i].offset - start),
                (unsigned long long)(end - start));
        }
        if (tensors[i].offset > end) {
            return sinq_fail(p->error, SINQ_FAILED,
                             "%s: bytes %llu to %llu of the data, before tensor %.300s, belong to no tensor",
                             p->input->path, (unsigned long long)(end - start),
                             (unsigned long long)(tensors[i].offset - start), tensors[i].name);
        }
        end += tensors[i].bytes;
    }
    if (end - start != p->data_bytes) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: the file holds %llu bytes of data, its tensors take %llu",
                         p->input->path, (unsigned long long)p->data_bytes, (unsigned long long)(end - start));
    }
    return SINQ_OK;
}

static int index_names(const struct parser *p, struct sinq_name_index **names) {
    *names = sinq_name_index_create(p->list->count - p->first);
    if (*names == NULL) return sinq_fail_memory(p->error, p->input->path, 32 * (p->list->count - p->first));
    for (size_t i = p->first; i < p->list->count; i++) {
        if (!sinq_name_index_add(*names, p->list->tensors[i].name, i)) {
            return sinq_fail(p->error, SINQ_FAILED, "%s: two tensors have the name %.300s", p->input->path,
                             p->list->tensors[i].name);
        }
    }
    return SINQ_OK;
}

/* ---- what our own files carry in __metadata__ ---- */

static bool parse_checksum(const char *text, uint8_t checksum[16]) {
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 32) return false;
    for (int i = 0; i < 32; i++) {
        const char *const digit = strchr(digits, text[i]);
        if (digit == NULL) return false;
        checksum[i / 2] = (uint8_t)(checksum[i / 2] << 4 | (digit - digits));
    }
    return true;
}

static int read_checksums(struct parser *p, const struct sinq_name_index *names) {
    static const char what[] = "checksums in __metadata__";
    if (p->checksums.data == NULL) return SINQ_OK;
    struct sinq_json *const json = &p->json;
    sinq_json_open_text(json, what, p->checksums.data, p->checksums.size, p->error);
    bool is_good = sinq_json_begin_object(json);
    for (bool first = true; is_good && sinq_json_next_key(json, &first, SINQ_MAX_NAME_BYTES, &p->key);) {
        if (!sinq_json_read_string(json, SINQ_MAX_NAME_BYTES, &p->value)) break;
        const int64_t i = sinq_name_index_find(names, p->key.data);
        is_good = i >= 0 && p->list->tensors[i].dtype != SINQ_DUAL_SCALE &&
                  parse_checksum(p->value.data, p->list->checksums[i]);
    }
    const bool is_json = !json->has_failed && (!is_good || sinq_json_end(json));
    sinq_json_close(json);
    if (is_json && is_good) return SINQ_OK;
    if (is_json) {
        return sinq_fail(
            p->error, SINQ_FAILED,
            "%s: tensor %.300s: its checksum in __metadata__ is not 32 hexadecimal digits for a tensor stored as it is",
            p->input->path, p->key.data);
    }
    return sinq_fail(p->error, SINQ_FAILED, "%s: \"checksums\" in __metadata__ is no JSON object of strings",
                     p->input->path);
}

static int take_quantization(struct parser *p, struct sinq_header_facts *facts) {
    if (p->quantization.data == NULL) return SINQ_OK;
    struct sinq_json *const json = &p->json;
    sinq_json_open_text(json, p->input->path, p->quantization.data, p->quantization.size, NULL);
    const bool is_object = sinq_json_peek(json) == '{' && sinq_json_skip(json) && sinq_json_end(json);
    sinq_json_close(json);
    if (!is_object) {
        return sinq_fail(p->error, SINQ_FAILED, "%s: \"quantization_config\" in __metadata__ is no JSON object",
                         p->input->path);
    }
    facts->quantization = p->quantization.data;
    p->quantization = (struct sinq_text){0};
    return SINQ_OK;
}

/* Exposing may change names, so that two become the same: then `names` is made anew. */
static int expose_quantized(struct parser *p, struct sinq_tensor *tensors, size_t count,
                            struct sinq_name_index **names) {
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const int status = sinq_expose_quantized(p->input, &p->list->names, &tensors[i], p->error);
        if (status != SINQ_OK) return status;
        any = any || tensors[i].dtype == SINQ_DUAL_SCALE;
    }
    if (!any) return SINQ_OK;
    sinq_name_index_free(*names);
    return index_names(p, names);
}

static int list_tensors(struct parser *p, struct sinq_header_facts *facts) {
    int status = parse_header(p, facts);
    const size_t count = p->list->count - p->first;
    if (status != SINQ_OK || count == 0) return status != SINQ_OK ? status : check_coverage(p, NULL, 0);
    struct sinq_tensor *const tensors = p->list->tensors + p->first;
    struct sinq_name_index *names = NULL;
    sort_tensors(tensors, count);
    status = index_names(p, &names);
    if (status == SINQ_OK) status = check_coverage(p, tensors, count);
    if (status == SINQ_OK) status = expose_quantized(p, tensors, count, &names);
    if (status == SINQ_OK) status = read_checksums(p, names);
    if (status == SINQ_OK) status = take_quantization(p, facts);
    sinq_name_index_free(names);
    return status;
}

int sinq_list_safetensors(const struct sinq_input *input, uint32_t shard, struct sinq_tensor_list *list,
                          struct sinq_header_facts *facts, struct sinq_error *error) {
    struct parser parser = {.input = input, .list = list, .first = list->count, .shard = shard, .error = error};
    *facts = (struct sinq_header_facts){0};
    const int status = list_tensors(&parser, facts);
    struct sinq_text *const texts[] = {&parser.key, &parser.field, &parser.value, &parser.checksums,
                                       &parser.quantization};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) sinq_text_free(texts[i]);
    return status;
}
