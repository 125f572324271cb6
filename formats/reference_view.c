/*
 * reference_view.c: a checkpoint as the reference implementation's directories have it: with the frequencies of its ropes, a buffer of the
 * module rotary_emb, which their loader wants to find. All else is passed through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "formats.h"
#include "model/config.h"

#define NAME_BYTES 200

struct view {
    struct sinq_source base;
    struct sinq_source_ops ops;
    const struct sinq_source *source;
    char names[SINQ_MAX_ROPES][NAME_BYTES];
    float *frequencies[SINQ_MAX_ROPES];
};

static const struct view *to_view(const struct sinq_source *source) {
    return (const struct view *)(const void *)source;
}

/* The frequencies that tensor `tensor` is; NULL: it is one of the source's. */
static const float *find_frequencies(const struct sinq_source *base, size_t tensor) {
    const size_t count = to_view(base)->source->tensor_count;
    return tensor < count ? NULL : to_view(base)->frequencies[tensor - count];
}

static int read_bytes(const struct sinq_source *base, size_t tensor, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error) {
    const float *const frequencies = find_frequencies(base, tensor);
    if (frequencies == NULL) return sinq_read_bytes(to_view(base)->source, tensor, offset, size, out, error);
    memcpy(out, (const uint8_t *)frequencies + offset, (size_t)size);
    return SINQ_OK;
}

static int read_sidecar(const struct sinq_source *base, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    return sinq_source_read_sidecar(to_view(base)->source, index, data, size, error);
}

/* These are asked of quantized tensors, which are the source's. */
static int read_rows(const struct sinq_source *base, size_t tensor, uint64_t first, uint64_t count, float *out,
                     struct sinq_error *error) {
    return sinq_read_rows(to_view(base)->source, tensor, first, count, out, error);
}

static int describe_matrix(const struct sinq_source *base, size_t tensor, uint64_t index, struct sinq_matrix_info *info,
                           struct sinq_error *error) {
    return sinq_source_matrix_info(to_view(base)->source, tensor, index, info, error);
}

static int read_matrix(const struct sinq_source *base, size_t tensor, uint64_t index, uint8_t **blob, uint64_t *bytes,
                       struct sinq_error *error) {
    const struct sinq_source *const source = to_view(base)->source;
    *blob = NULL;
    if (source->ops->read_matrix == NULL) return SINQ_OK;
    return source->ops->read_matrix(source, tensor, index, blob, bytes, error);
}

static int map_tensor(const struct sinq_source *base, size_t tensor, const uint8_t **bytes, struct sinq_error *error) {
    *bytes = NULL;
    return find_frequencies(base, tensor) != NULL ? SINQ_OK
                                                  : sinq_map_tensor(to_view(base)->source, tensor, bytes, error);
}

static void close_view(struct sinq_source *base) {
    struct view *const view = (struct view *)(void *)base;
    for (size_t i = 0; i < SINQ_MAX_ROPES; i++) free(view->frequencies[i]);
    sinq_name_index_free(base->names);
    free(base->tensors);
    free(base->checksums);
    free(view);
}

/* ---- what is added ---- */

/* What stands before "embed_tokens.weight": where transformers has the rotary embedding's module, too. */
static const char *find_prefix(const struct sinq_source *source, int *size) {
    static const char embedding[] = "embed_tokens.weight";
    for (size_t i = 0; i < source->tensor_count; i++) {
        const char *const name = source->tensors[i].name, *const found = strstr(name, embedding);
        if (found == NULL || strcmp(found, embedding) != 0 || found - name > 100) continue;
        *size = (int)(found - name);
        return name;
    }
    *size = 0;
    return NULL;
}

static int add_rope(struct view *view, size_t number, const struct sinq_rope *rope, const char *prefix, int prefix_size,
                    struct sinq_error *error) {
    struct sinq_source *const base = &view->base;
    const uint64_t count = rope->dims / 2;
    double values[SINQ_MAX_ROPE_PAIRS];
    char *const name = view->names[number];
    (void)snprintf(name, NAME_BYTES, "%.*srotary_emb%s.inv_freq", prefix_size, prefix, number == 0 ? "" : "_local");
    if (sinq_name_index_find(view->source->names, name) >= 0) return SINQ_OK;
    float *const frequencies = malloc((size_t)count * sizeof *frequencies);
    if (frequencies == NULL) return sinq_fail_memory(error, name, count * sizeof *frequencies);
    sinq_rope_frequencies(rope, 0, values);
    for (uint64_t i = 0; i < count; i++) frequencies[i] = (float)values[i];
    view->frequencies[base->tensor_count - view->source->tensor_count] = frequencies;
    base->tensors[base->tensor_count] = (struct sinq_tensor){.name = name,
                                                             .dtype = SINQ_F32,
                                                             .rank = 1,
                                                             .shape = {count},
                                                             .bytes = count * sizeof *frequencies,
                                                             .shard = 0,
                                                             .scale_tensor = -1};
    (void)sinq_name_index_add(base->names, name, base->tensor_count++);
    return SINQ_OK;
}

/* Of a family that sinq does not know nothing is added: what its modules are called is not known either. */
static int add_ropes(struct view *view, struct sinq_error *error) {
    struct sinq_model_config config;
    struct sinq_error ignored;
    int prefix_size, status = SINQ_OK;
    const char *const prefix = find_prefix(view->source, &prefix_size);
    if (view->source->config == NULL || prefix == NULL) return SINQ_OK;
    if (sinq_read_model_config("config.json", view->source->config, &config, &ignored) != SINQ_OK) return SINQ_OK;
    for (uint32_t i = 0; i < config.rope_count && status == SINQ_OK; i++) {
        status = add_rope(view, i, &config.ropes[i], prefix, prefix_size, error);
    }
    sinq_model_config_free(&config);
    return status;
}

static int copy_tensors(struct view *view, struct sinq_error *error) {
    struct sinq_source *const base = &view->base;
    const struct sinq_source *const source = view->source;
    const size_t count = source->tensor_count + SINQ_MAX_ROPES;
    base->tensors = malloc(count * sizeof *base->tensors);
    base->checksums = calloc(count, sizeof *base->checksums);
    base->names = sinq_name_index_create(count);
    if (base->tensors == NULL || base->checksums == NULL || base->names == NULL) {
        return sinq_fail_memory(error, "a view", count * sizeof *base->tensors);
    }
    if (source->tensor_count > 0) {
        memcpy(base->tensors, source->tensors, source->tensor_count * sizeof *base->tensors);
    }
    base->tensor_count = source->tensor_count;
    for (size_t i = 0; i < base->tensor_count; i++) (void)sinq_name_index_add(base->names, base->tensors[i].name, i);
    return SINQ_OK;
}

int sinq_open_reference_view(const struct sinq_source *source, struct sinq_source **view, struct sinq_error *error) {
    struct view *const made = calloc(1, sizeof *made);
    *view = NULL;
    if (made == NULL) return sinq_fail_memory(error, "a view", sizeof *made);
    /* A source in our own layout has none of the operations by which others are told. */
    const bool is_ours = source->ops->read_rows == NULL;
    made->ops = (struct sinq_source_ops){.read_bytes = read_bytes,
                                         .read_sidecar = read_sidecar,
                                         .close = close_view,
                                         .read_rows = is_ours ? NULL : read_rows,
                                         .matrix_info = source->ops->matrix_info == NULL ? NULL : describe_matrix,
                                         .map = map_tensor,
                                         .read_matrix = is_ours ? NULL : read_matrix};
    made->base = *source;
    made->base.ops = &made->ops;
    made->source = source;
    int status = copy_tensors(made, error);
    if (status == SINQ_OK) status = add_ropes(made, error);
    if (status == SINQ_OK) {
        *view = &made->base;
    } else {
        close_view(&made->base);
    }
    return status;
}
