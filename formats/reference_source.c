#include "reference_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "config_splice.h"
#include "tensor/dtype.h"

#define CODES_SUFFIX ".W_q"
#define META_INFIX   ".meta."

/* ---- the source's operations ---- */

static const struct sinq_reference_source *to_reference(const struct sinq_source *source) {
    return (const struct sinq_reference_source *)(const void *)source;
}

/* Of a layer: its parts, one behind the other. */
static int read_bytes(const struct sinq_source *base, size_t tensor, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error) {
    const struct sinq_reference_source *const source = to_reference(base);
    const struct sinq_source *const files = &source->weights->base;
    const struct sinq_reference_tensor *const view = &source->views[tensor];
    if (view->layer == NULL) return sinq_read_bytes(files, view->tensor, offset, size, out, error);
    uint8_t *to = out;
    for (size_t i = 0; i < SINQ_REFERENCE_PARTS && size > 0; i++) {
        if (view->layer->parts[i] < 0) continue;
        const size_t part = (size_t)view->layer->parts[i];
        const uint64_t bytes = files->tensors[part].bytes;
        if (offset < bytes) {
            const uint64_t now = sinq_min_u64(size, bytes - offset);
            const int status = sinq_read_bytes(files, part, offset, now, to, error);
            if (status != SINQ_OK) return status;
            to += now;
            size -= now;
            offset += now;
        }
        offset -= bytes;
    }
    return SINQ_OK;
}

static int read_sidecar(const struct sinq_source *base, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    return sinq_source_read_sidecar(&to_reference(base)->weights->base, index, data, size, error);
}

static int map_tensor(const struct sinq_source *base, size_t tensor, const uint8_t **bytes, struct sinq_error *error) {
    const struct sinq_reference_source *const source = to_reference(base);
    *bytes = NULL;
    if (source->views[tensor].layer != NULL) return SINQ_OK;
    return sinq_map_tensor(&source->weights->base, source->views[tensor].tensor, bytes, error);
}

static void close_reference(struct sinq_source *base) {
    struct sinq_reference_source *const source = (struct sinq_reference_source *)(void *)base;
    sinq_name_index_free(base->names);
    sinq_arena_free(&source->names);
    sinq_source_close(&source->weights->base);
    free(base->tensors);
    free(base->checksums);
    free(source->layers);
    free(source->views);
    free(source);
}

static const struct sinq_source_ops reference_ops = {.read_bytes = read_bytes,
                                                     .read_sidecar = read_sidecar,
                                                     .close = close_reference,
                                                     .read_rows = sinq_read_reference_rows,
                                                     .matrix_info = sinq_describe_reference,
                                                     .map = map_tensor,
                                                     .read_matrix = sinq_read_reference_blob};

/* ---- which tensors are whose ---- */

/* Bytes of the layer's name where this is the tensor of its codes, else 0. */
static size_t measure_layer_name(const char *name) {
    const size_t size = strlen(name), suffix = strlen(CODES_SUFFIX);
    return size > suffix && strcmp(name + size - suffix, CODES_SUFFIX) == 0 ? size - suffix : 0;
}

bool sinq_is_reference(const struct sinq_weights *weights) {
    for (size_t i = 0; i < weights->base.tensor_count; i++) {
        if (measure_layer_name(weights->base.tensors[i].name) > 0) return true;
    }
    return false;
}

/* The buffer that a rotary embedding's module has: "model.rotary_emb.inv_freq". */
static bool is_rotary(const struct sinq_tensor *tensor) {
    return tensor->rank == 1 && tensor->dtype == SINQ_F32 && strstr(tensor->name, "rotary_emb") != NULL &&
           strstr(tensor->name, "inv_freq") != NULL;
}

static int list_layers(struct sinq_reference_source *source, struct sinq_name_index *layers, struct sinq_error *error) {
    const struct sinq_source *const files = &source->weights->base;
    for (size_t i = 0; i < files->tensor_count; i++) {
        const size_t size = measure_layer_name(files->tensors[i].name);
        if (size == 0) continue;
        struct sinq_reference_layer *const layer = &source->layers[source->layer_count];
        for (size_t p = 0; p < SINQ_REFERENCE_PARTS; p++) layer->parts[p] = -1;
        layer->parts[SINQ_REFERENCE_CODES] = (int64_t)i;
        const char *const name = sinq_arena_add(&source->names, files->tensors[i].name, size);
        if (name == NULL) return sinq_fail_memory(error, source->base.path, size);
        (void)sinq_name_index_add(layers, name, source->layer_count++); /* names of tensors differ, and so do these */
    }
    return SINQ_OK;
}

/* "scale.x" holds codes, and takes the place of "scale". What is none of the parts, such as "awq_scale", decodes nothing. */
static int take_part(struct sinq_reference_source *source, struct sinq_reference_layer *layer, size_t tensor,
                     const char *meta, struct sinq_error *error) {
    static const struct {
        const char *name;
        enum sinq_reference_part_id id;
    } names[] = {{"scale", SINQ_REFERENCE_SCALE},         {"scale.x", SINQ_REFERENCE_SCALE},
                 {"scale.s", SINQ_REFERENCE_SCALE_STEPS}, {"scale.m", SINQ_REFERENCE_SCALE_LOWS},
                 {"scale2", SINQ_REFERENCE_COLUMN},       {"zero", SINQ_REFERENCE_ZERO},
                 {"zero.x", SINQ_REFERENCE_ZERO},         {"zero.s", SINQ_REFERENCE_ZERO_STEPS},
                 {"zero.m", SINQ_REFERENCE_ZERO_LOWS}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(meta, names[i].name) != 0) continue;
        if (layer->parts[names[i].id] >= 0)
            return sinq_fail_reference_layer(source, layer, "has its scales or zeros twice", error);
        layer->parts[names[i].id] = (int64_t)tensor;
    }
    return SINQ_OK;
}

/* Gives each tensor LAYER.meta.NAME to its layer. */
static int gather_parts(struct sinq_reference_source *source, const struct sinq_name_index *layers,
                        struct sinq_error *error) {
    const struct sinq_source *const files = &source->weights->base;
    struct sinq_text layer = {0};
    int status = SINQ_OK;
    for (size_t i = 0; i < files->tensor_count && status == SINQ_OK; i++) {
        const char *const name = files->tensors[i].name, *const infix = strstr(name, META_INFIX);
        if (infix == NULL) continue;
        layer.size = 0;
        sinq_text_add_bytes(&layer, name, (size_t)(infix - name));
        sinq_text_add(&layer, "");
        const int64_t found = layer.failed ? -1 : sinq_name_index_find(layers, layer.data == NULL ? "" : layer.data);
        if (layer.failed) {
            status = sinq_fail_memory(error, name, strlen(name));
        } else if (found < 0) {
            status = sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: its layer has no codes (W_q)",
                               source->base.shards[files->tensors[i].shard].path, name);
        } else {
            status = take_part(source, &source->layers[found], i, infix + strlen(META_INFIX), error);
        }
    }
    sinq_text_free(&layer);
    return status;
}

/* ---- what is shown ---- */

static int show_layer(struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                      struct sinq_tensor *tensor, struct sinq_error *error) {
    const struct sinq_tensor *const tensors = source->weights->base.tensors;
    struct sinq_text name = {0};
    sinq_text_add_bytes(&name, tensor->name, measure_layer_name(tensor->name));
    sinq_text_add(&name, ".weight");
    tensor->name = name.failed ? NULL : sinq_arena_add(&source->names, name.data, name.size);
    sinq_text_free(&name);
    if (tensor->name == NULL) return sinq_fail_memory(error, source->base.path, name.size);
    tensor->dtype = SINQ_DUAL_SCALE;
    tensor->rank = 2;
    tensor->shape[0] = layer->rows;
    tensor->shape[1] = layer->cols;
    tensor->bytes = 0;
    for (size_t i = 0; i < SINQ_REFERENCE_PARTS; i++) {
        if (layer->parts[i] >= 0) tensor->bytes += tensors[layer->parts[i]].bytes;
    }
    return SINQ_OK;
}

static int show_tensor(struct sinq_reference_source *source, size_t index, size_t *next_layer,
                       struct sinq_error *error) {
    struct sinq_source *const base = &source->base;
    const struct sinq_source *const files = &source->weights->base;
    const char *const stored = files->tensors[index].name;
    const bool is_layer = measure_layer_name(stored) > 0;
    if (strstr(stored, META_INFIX) != NULL || is_rotary(&files->tensors[index])) return SINQ_OK;
    struct sinq_tensor *const tensor = &base->tensors[base->tensor_count];
    struct sinq_reference_tensor *const view = &source->views[base->tensor_count];
    *tensor = files->tensors[index];
    *view = (struct sinq_reference_tensor){.tensor = index};
    if (is_layer) {
        view->layer = &source->layers[(*next_layer)++];
        const int status = show_layer(source, view->layer, tensor, error);
        if (status != SINQ_OK) return status;
    }
    if (!sinq_name_index_add(base->names, tensor->name, base->tensor_count)) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: there is a %.300s, too",
                         base->shards[tensor->shard].path, stored, tensor->name);
    }
    base->tensor_count++;
    return SINQ_OK;
}

/* FP8 tensors with scales of blocks keep theirs: the tensors before are renumbered. */
static void relink_scales(struct sinq_reference_source *source) {
    struct sinq_source *const base = &source->base;
    for (size_t i = 0; i < base->tensor_count; i++) {
        const int64_t scale = base->tensors[i].scale_tensor;
        if (scale < 0) continue;
        base->tensors[i].scale_tensor = sinq_name_index_find(base->names, source->weights->base.tensors[scale].name);
    }
}

static int show_tensors(struct sinq_reference_source *source, struct sinq_error *error) {
    const size_t count = source->weights->base.tensor_count;
    struct sinq_source *const base = &source->base;
    size_t next_layer = 0;
    int status = SINQ_OK;
    base->tensors = calloc(count + 1, sizeof *base->tensors);
    base->checksums = calloc(count + 1, sizeof *base->checksums);
    base->names = sinq_name_index_create(count);
    source->views = calloc(count + 1, sizeof *source->views);
    if (base->tensors == NULL || base->checksums == NULL || base->names == NULL || source->views == NULL) {
        return sinq_fail_memory(error, base->path, count * sizeof *base->tensors);
    }
    for (size_t i = 0; i < count && status == SINQ_OK; i++) status = show_tensor(source, i, &next_layer, error);
    if (status == SINQ_OK) relink_scales(source);
    return status;
}

/* ---- opening ---- */

/* The sidecar's text counts among what identifies the source: into the first file's hash. */
static void add_hash(struct sinq_reference_source *source, const struct sinq_hash *sidecar) {
    uint8_t both[32];
    struct sinq_shard *const first = &source->base.shards[0];
    memcpy(both, first->header_hash, 16);
    memcpy(both + 16, sidecar->bytes, 16);
    const struct sinq_hash hash = sinq_hash_bytes(both, sizeof both);
    memcpy(first->header_hash, hash.bytes, 16);
}

static int read_layers(struct sinq_reference_source *source, const struct sinq_input *sidecar,
                       struct sinq_error *error) {
    const size_t count = source->weights->base.tensor_count;
    struct sinq_name_index *const layers = sinq_name_index_create(count);
    struct sinq_reference_meta *const metas = calloc(count + 1, sizeof *metas);
    source->layers = calloc(count + 1, sizeof *source->layers);
    struct sinq_hash hash;
    int status = SINQ_OK;
    if (layers == NULL || metas == NULL || source->layers == NULL) {
        status = sinq_fail_memory(error, source->base.path, count * sizeof *source->layers);
    }
    for (size_t i = 0; i < count && status == SINQ_OK; i++) metas[i].axis = 1;
    if (status == SINQ_OK) status = list_layers(source, layers, error);
    if (status == SINQ_OK) status = gather_parts(source, layers, error);
    if (status == SINQ_OK) status = sinq_read_reference_sidecar(sidecar, layers, metas, &hash, error);
    for (size_t i = 0; i < source->layer_count && status == SINQ_OK; i++) {
        source->layers[i].meta = metas[i];
        status = sinq_check_reference_layer(source, &source->layers[i], error);
    }
    if (status == SINQ_OK) add_hash(source, &hash);
    sinq_name_index_free(layers);
    free(metas);
    return status;
}

/* By these the reference's loader knows its own checkpoints: what is made of this one is none. */
static int clean_config(struct sinq_weights *weights, struct sinq_error *error) {
    static const char *const marks[] = {"sinq", "is_sinq", "sinq_quantized", "sinq_version"};
    int status = SINQ_OK;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0] && weights->base.config != NULL && status == SINQ_OK; i++) {
        struct sinq_text text = {0};
        if (strstr(weights->base.config, marks[i]) == NULL) continue;
        status = sinq_splice_member(weights->base.config, marks[i], NULL, weights->base.path, &text, error);
        if (status != SINQ_OK) {
            sinq_text_free(&text);
            break;
        }
        free(weights->base.config);
        weights->base.config = text.data;
    }
    return status;
}

int sinq_open_reference(struct sinq_weights *weights, const struct sinq_input *sidecar, struct sinq_source **source,
                        struct sinq_error *error) {
    struct sinq_reference_source *const made = calloc(1, sizeof *made);
    if (made == NULL) {
        sinq_source_close(&weights->base);
        return sinq_fail_memory(error, "a checkpoint", sizeof *made);
    }
    int status = clean_config(weights, error);
    made->base = weights->base;
    made->base.ops = &reference_ops;
    made->base.format = "SINQ reference directory";
    made->base.tensors = NULL;
    made->base.tensor_count = 0;
    made->base.checksums = NULL;
    made->base.names = NULL;
    made->weights = weights;
    if (status == SINQ_OK) status = read_layers(made, sidecar, error);
    if (status == SINQ_OK) status = show_tensors(made, error);
    if (status == SINQ_OK) {
        *source = &made->base;
    } else {
        close_reference(&made->base);
    }
    return status;
}
