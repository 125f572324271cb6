#include "directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "reference_source.h"
#include "tensor/dual_scale.h"
#include "weight_map.h"
#include "weights.h"

#define INDEX_NAME  "model.safetensors.index.json"
#define SINGLE_NAME "model.safetensors"
#define CONFIG_NAME "config.json"

static int add_shard(struct sinq_weights *weights, const char *name, struct sinq_error *error) {
    char *const path = sinq_join_path(weights->base.path, name);
    if (path == NULL) return sinq_fail_memory(error, name, 0);
    const int status = sinq_weights_add_shard(weights, path, error);
    free(path);
    return status;
}

/* ---- with an index ---- */

static int read_index(const char *folder, struct sinq_weight_map *map, struct sinq_error *error) {
    char *const path = sinq_join_path(folder, INDEX_NAME);
    if (path == NULL) return sinq_fail_memory(error, folder, 0);
    struct sinq_input input = {.path = path};
    int status = sinq_open_file(path, &input.fd, &input.bytes, error);
    if (status == SINQ_OK) {
        status = sinq_read_weight_map(&input, map, error);
        close(input.fd);
    }
    free(path);
    return status;
}

/* All files are looked for before any is read. */
static int check_shards_exist(const char *folder, const struct sinq_weight_map *map, struct sinq_error *error) {
    for (size_t i = 0; i < map->shard_count; i++) {
        char *const path = sinq_join_path(folder, map->shards[i]);
        if (path == NULL) return sinq_fail_memory(error, folder, 0);
        const bool is_missing = access(path, F_OK) != 0 && errno == ENOENT;
        free(path);
        if (is_missing) {
            return sinq_fail(error, SINQ_FAILED, "%s/%s: is missing, " INDEX_NAME " names it", folder, map->shards[i]);
        }
    }
    return SINQ_OK;
}

/* The index has names as they are stored: a quantized matrix's with its suffix. */
static const char *make_stored_name(const struct sinq_tensor *tensor, struct sinq_text *text) {
    if (tensor->dtype != SINQ_DUAL_SCALE) return tensor->name;
    text->size = 0;
    sinq_text_add(text, tensor->name);
    sinq_text_add(text, SINQ_DUAL_SCALE_SUFFIX);
    return text->data; /* NULL when out of memory */
}

/* Every tensor of the files is in the index, for that file. */
static int find_in_index(const struct sinq_weights *weights, struct sinq_weight_map *map, struct sinq_error *error) {
    struct sinq_text text = {0};
    int status = SINQ_OK;
    for (size_t i = 0; i < weights->list.count && status == SINQ_OK; i++) {
        const struct sinq_tensor *const tensor = &weights->list.tensors[i];
        const char *const path = weights->base.shards[tensor->shard].path;
        const char *const name = make_stored_name(tensor, &text);
        if (name == NULL) {
            status = sinq_fail_memory(error, path, strlen(tensor->name));
            break;
        }
        const int64_t found = sinq_name_index_find(map->names, name);
        if (found < 0) {
            status = sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: " INDEX_NAME " does not know it", path, name);
        } else if (map->weights[found].shard != tensor->shard) {
            status = sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: " INDEX_NAME " has it in %s", path, name,
                               map->shards[map->weights[found].shard]);
        } else {
            map->weights[found].is_found = true;
        }
    }
    sinq_text_free(&text);
    return status;
}

static int compare_with_index(const struct sinq_weights *weights, struct sinq_weight_map *map,
                              struct sinq_error *error) {
    const int status = find_in_index(weights, map, error);
    for (size_t i = 0; i < map->weight_count && status == SINQ_OK; i++) {
        if (map->weights[i].is_found) continue;
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: is not in this file, though " INDEX_NAME " says so",
                         weights->base.shards[map->weights[i].shard].path, map->weights[i].name);
    }
    return status;
}

static int add_indexed_shards(struct sinq_weights *weights, struct sinq_error *error) {
    struct sinq_weight_map map = {0};
    int status = read_index(weights->base.path, &map, error);
    if (status == SINQ_OK) status = check_shards_exist(weights->base.path, &map, error);
    for (size_t i = 0; i < map.shard_count && status == SINQ_OK; i++) status = add_shard(weights, map.shards[i], error);
    if (status == SINQ_OK) status = compare_with_index(weights, &map, error);
    sinq_weight_map_free(&map);
    return status;
}

/* ---- without an index ---- */

static int add_all_shards(struct sinq_weights *weights, const struct sinq_directory *directory,
                          struct sinq_error *error) {
    for (size_t i = 0; i < directory->weight_count; i++) {
        if (strcmp(directory->weights[i], SINGLE_NAME) == 0) return add_shard(weights, SINGLE_NAME, error);
    }
    for (size_t i = 0; i < directory->weight_count; i++) {
        const int status = add_shard(weights, directory->weights[i], error);
        if (status != SINQ_OK) return status;
    }
    if (directory->weight_count > 0) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED,
                     "%s: a directory without weights: neither " INDEX_NAME " nor any *.safetensors file%s%s",
                     weights->base.path, directory->other_weights == NULL ? "" : "; cannot read ",
                     directory->other_weights == NULL ? "" : directory->other_weights);
}

/* ---- the rest ---- */

static int add_config(struct sinq_weights *weights, struct sinq_error *error) {
    struct sinq_source *const source = &weights->base;
    struct sinq_config config = {0};
    size_t size = 0;
    char *const path = sinq_join_path(source->path, CONFIG_NAME);
    if (path == NULL) return sinq_fail_memory(error, source->path, 0);
    int status = sinq_read_file(path, SINQ_MAX_CONFIG_BYTES, &source->config, &size, error);
    if (status == SINQ_OK) status = sinq_read_config(path, source->config, size, &config, error);
    free(path);
    source->model_type = config.model_type;
    source->quantization = config.quantization;
    memcpy(weights->scale_block, config.scale_block, sizeof weights->scale_block);
    return status;
}

static int fill_weights(struct sinq_weights *weights, struct sinq_directory *directory, struct sinq_error *error) {
    int status = sinq_scan_directory(weights->base.path, directory, error);
    if (status == SINQ_OK && directory->has_config) status = add_config(weights, error);
    if (status != SINQ_OK) return status;
    status = directory->has_index ? add_indexed_shards(weights, error) : add_all_shards(weights, directory, error);
    if (status == SINQ_OK) status = sinq_weights_finish(weights, error);
    weights->base.sidecars = directory->sidecars;
    weights->base.sidecar_count = directory->sidecar_count;
    directory->sidecars = NULL;
    directory->sidecar_count = 0;
    return status;
}

/* Of the reference implementation; others have tensors of these names, too. */
static bool is_reference(const struct sinq_weights *weights, const struct sinq_directory *directory) {
    const char *const quantization = weights->base.quantization;
    const bool says_so = quantization != NULL && strstr(quantization, "\"sinq\"") != NULL;
    return (directory->has_reference_sidecar || says_so) && sinq_is_reference(weights);
}

/* Takes the weights over, whatever comes of it. */
static int open_reference(struct sinq_weights *weights, struct sinq_source **source, struct sinq_error *error) {
    char *const path = sinq_join_path(weights->base.path, SINQ_REFERENCE_SIDECAR);
    struct sinq_input sidecar = {.path = path};
    int status = path == NULL ? sinq_fail_memory(error, weights->base.path, 0)
                              : sinq_open_file(path, &sidecar.fd, &sidecar.bytes, error);
    if (status == SINQ_OK) {
        status = sinq_open_reference(weights, &sidecar, source, error);
        close(sidecar.fd);
    } else {
        sinq_source_close(&weights->base);
    }
    free(path);
    return status;
}

int sinq_open_directory(const char *path, struct sinq_source **source, struct sinq_error *error) {
    struct sinq_weights *const weights = sinq_weights_create(path, "Hugging Face directory", true);
    if (weights == NULL) return sinq_fail_memory(error, path, sizeof *weights);
    struct sinq_directory directory = {0};
    const int status = fill_weights(weights, &directory, error);
    const bool is_quantized = status == SINQ_OK && is_reference(weights, &directory);
    sinq_directory_free(&directory);
    if (status != SINQ_OK) {
        sinq_source_close(&weights->base);
        return status;
    }
    if (is_quantized) return open_reference(weights, source, error);
    *source = &weights->base;
    return SINQ_OK;
}
