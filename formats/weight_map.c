#include "weight_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "safetensors.h"

#define MAX_FILE_NAME_BYTES ((size_t)255)

struct reader {
    struct sinq_json json;
    const struct sinq_input *input;
    struct sinq_weight_map *map;
    struct sinq_name_index *shards;
    struct sinq_text key, value;
    bool has_map;
    struct sinq_error *error;
};

void sinq_weight_map_free(struct sinq_weight_map *map) {
    free(map->weights);
    free(map->shards);
    sinq_name_index_free(map->names);
    sinq_arena_free(&map->arena);
    *map = (struct sinq_weight_map){0};
}

/* Nothing that leads out of the directory. */
static bool is_plain_file_name(const char *name) {
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strpbrk(name, "/\\") == NULL;
}

static int fail_count(const struct reader *r, size_t limit, const char *what) {
    return sinq_fail(r->error, SINQ_FAILED, "%s: more than %zu %s", r->input->path, limit, what);
}

static const char *keep(struct reader *r, const struct sinq_text *text) {
    return sinq_arena_add(&r->map->arena, text->data, text->size);
}

/* The number of a shard that may be new. */
static int find_shard(struct reader *r, const char *weight, size_t *shard) {
    struct sinq_weight_map *const map = r->map;
    if (!is_plain_file_name(r->value.data)) {
        return sinq_fail(r->error, SINQ_FAILED, "%s: tensor %.300s: its file \"%.200s\" is not a plain file name",
                         r->input->path, weight, r->value.data);
    }
    const int64_t known = sinq_name_index_find(r->shards, r->value.data);
    *shard = known >= 0 ? (size_t)known : map->shard_count;
    if (known >= 0) return SINQ_OK;
    if (map->shard_count == SINQ_MAX_SHARDS) return fail_count(r, SINQ_MAX_SHARDS, "files");
    if (map->shard_count == map->shard_capacity) {
        const size_t capacity = map->shard_capacity == 0 ? 16 : 2 * map->shard_capacity;
        const char **const shards = realloc(map->shards, capacity * sizeof *shards);
        if (shards == NULL) return sinq_fail_memory(r->error, r->input->path, capacity * sizeof *shards);
        map->shards = shards;
        map->shard_capacity = capacity;
    }
    const char *const name = keep(r, &r->value);
    if (name == NULL) return sinq_fail_memory(r->error, r->input->path, r->value.size);
    map->shards[map->shard_count] = name;
    sinq_name_index_add(r->shards, name, map->shard_count++);
    return SINQ_OK;
}

static int add_weight(struct reader *r, size_t shard) {
    struct sinq_weight_map *const map = r->map;
    if (map->weight_count == SINQ_MAX_TENSORS) return fail_count(r, SINQ_MAX_TENSORS, "tensors");
    if (map->arena.bytes > SINQ_MAX_NAMES_BYTES) return fail_count(r, SINQ_MAX_NAMES_BYTES, "bytes of names");
    if (map->weight_count == map->weight_capacity) {
        const size_t capacity = map->weight_capacity == 0 ? 256 : 2 * map->weight_capacity;
        struct sinq_weight *const weights = realloc(map->weights, capacity * sizeof *weights);
        if (weights == NULL) return sinq_fail_memory(r->error, r->input->path, capacity * sizeof *weights);
        map->weights = weights;
        map->weight_capacity = capacity;
    }
    const char *const name = keep(r, &r->key);
    if (name == NULL) return sinq_fail_memory(r->error, r->input->path, r->key.size);
    map->weights[map->weight_count++] = (struct sinq_weight){name, shard, false};
    return SINQ_OK;
}

static int read_weights(struct reader *r) {
    if (r->has_map) return sinq_fail(r->error, SINQ_FAILED, "%s: has \"weight_map\" twice", r->input->path);
    r->has_map = true;
    if (!sinq_json_begin_object(&r->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(&r->json, &first, SINQ_MAX_NAME_BYTES, &r->key);) {
        r->json.item = r->key.data;
        if (!sinq_json_read_string(&r->json, MAX_FILE_NAME_BYTES, &r->value)) return SINQ_FAILED;
        r->json.item = NULL;
        size_t shard = 0;
        int status = find_shard(r, r->key.data, &shard);
        if (status == SINQ_OK) status = add_weight(r, shard);
        if (status != SINQ_OK) return status;
    }
    return r->json.has_failed ? SINQ_FAILED : SINQ_OK;
}

static int read_index(struct reader *r) {
    if (!sinq_json_begin_object(&r->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(&r->json, &first, SINQ_MAX_NAME_BYTES, &r->key);) {
        if (strcmp(r->key.data, "weight_map") == 0) {
            const int status = read_weights(r);
            if (status != SINQ_OK) return status;
        } else if (!sinq_json_skip(&r->json)) {
            return SINQ_FAILED;
        }
    }
    if (r->json.has_failed || !sinq_json_end(&r->json)) return SINQ_FAILED;
    if (r->has_map && r->map->weight_count > 0) return SINQ_OK;
    return sinq_fail(r->error, SINQ_FAILED, "%s: has no \"weight_map\" that names any tensor", r->input->path);
}

static int compare_names(const void *left, const void *right) {
    const char *const *const a = left, *const *const b = right;
    return strcmp(*a, *b);
}

/* Shards in the order of their names, and each weight's shard number accordingly. */
static int sort_shards(struct reader *r) {
    struct sinq_weight_map *const map = r->map;
    const char **const unsorted = malloc(map->shard_count * sizeof *unsorted);
    struct sinq_name_index *const places = sinq_name_index_create(map->shard_count);
    const bool has_memory = unsorted != NULL && places != NULL;
    if (has_memory) {
        memcpy(unsorted, map->shards, map->shard_count * sizeof *unsorted);
        qsort(map->shards, map->shard_count, sizeof *map->shards, compare_names);
        for (size_t i = 0; i < map->shard_count; i++) sinq_name_index_add(places, map->shards[i], i);
        for (size_t i = 0; i < map->weight_count; i++) {
            struct sinq_weight *const weight = &map->weights[i];
            weight->shard = (size_t)sinq_name_index_find(places, unsorted[weight->shard]);
        }
    }
    free(unsorted);
    sinq_name_index_free(places);
    return has_memory ? SINQ_OK : sinq_fail_memory(r->error, r->input->path, map->shard_count);
}

static int index_weights(struct reader *r) {
    struct sinq_weight_map *const map = r->map;
    map->names = sinq_name_index_create(map->weight_count);
    if (map->names == NULL) return sinq_fail_memory(r->error, r->input->path, map->weight_count);
    for (size_t i = 0; i < map->weight_count; i++) {
        if (!sinq_name_index_add(map->names, map->weights[i].name, i)) {
            return sinq_fail(r->error, SINQ_FAILED, "%s: names tensor %.300s twice", r->input->path,
                             map->weights[i].name);
        }
    }
    return SINQ_OK;
}

int sinq_read_weight_map(const struct sinq_input *input, struct sinq_weight_map *map, struct sinq_error *error) {
    struct reader reader = {.input = input, .map = map, .error = error};
    *map = (struct sinq_weight_map){0};
    int status = SINQ_FAILED;
    reader.shards = sinq_name_index_create(SINQ_MAX_SHARDS);
    if (reader.shards == NULL) return sinq_fail_memory(error, input->path, SINQ_MAX_SHARDS);
    if (input->bytes > SINQ_MAX_HEADER_BYTES) {
        status = fail_count(&reader, (size_t)SINQ_MAX_HEADER_BYTES, "bytes");
    } else if (sinq_json_open_input(&reader.json, input->path, input, 0, input->bytes, error)) {
        status = read_index(&reader);
    }
    if (status == SINQ_OK) status = sort_shards(&reader);
    if (status == SINQ_OK) status = index_weights(&reader);
    sinq_json_close(&reader.json);
    sinq_name_index_free(reader.shards);
    sinq_text_free(&reader.key);
    sinq_text_free(&reader.value);
    return status;
}
