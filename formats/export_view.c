/*
 * export_view.c: a checkpoint's tensors as a GGUF file has them. Nothing is copied: rows are read from the source and turned into the file's
 * when they are asked for. Where columns become rows, the matrix in hand is kept, so that it is read once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "checkpoint/roles.h"
#include "export_view.h"
#include "formats.h"
#include "model/outline.h"

static int read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    return sinq_source_read_sidecar(sinq_to_export_view(source)->source, index, data, size, error);
}

static const struct sinq_tensor *find_tensor_origin(const struct sinq_source *source, size_t tensor) {
    const struct sinq_export_view *const view = sinq_to_export_view(source);
    const struct sinq_export_part *const part = &view->parts[tensor];
    return part->members == NULL ? &source->tensors[tensor] : sinq_export_member(view, part, 0);
}

static void close_view(struct sinq_source *source) {
    struct sinq_export_view *const view = sinq_to_export_view(source);
    for (size_t i = 0; i < view->count; i++) free(view->parts[i].members);
    for (uint32_t i = 0; i < view->rope_count; i++) free(view->ropes[i].factors);
    free(view->parts);
    free(view->turned.values);
    free(source->tensors);
    free(source->checksums);
    sinq_name_index_free(source->names);
    sinq_model_config_free(&view->config);
    pthread_mutex_destroy(&view->lock);
    free(view);
}

static const struct sinq_source_ops ops = {.read_bytes = sinq_read_export_bytes,
                                           .read_sidecar = read_sidecar,
                                           .close = close_view,
                                           .origin = find_tensor_origin};

/* ---- which tensors there are ---- */

static int fail_tensor(const struct sinq_export_view *view, const struct sinq_tensor *tensor, const char *why,
                       struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: %s", view->base.path, tensor->name, why);
}

static struct sinq_export_part *add_part(struct sinq_export_view *view) {
    if (view->count == view->capacity) {
        const size_t capacity = view->capacity == 0 ? 256 : 2 * view->capacity;
        struct sinq_export_part *const more = realloc(view->parts, capacity * sizeof *more);
        if (more == NULL) return NULL;
        view->parts = more;
        view->capacity = capacity;
    }
    struct sinq_export_part *const part = &view->parts[view->count++];
    *part = (struct sinq_export_part){.layer = -1};
    return part;
}

/* The stack of experts with that name, which is among the last ones: those of a layer stand together. Or a new part. */
static struct sinq_export_part *find_part(struct sinq_export_view *view, const struct sinq_gguf_match *match,
                                          const char *name) {
    for (size_t i = view->count; i-- > 0 && match->pattern->change == SINQ_GGUF_EXPERT;) {
        if (strcmp(view->parts[i].name, name) == 0) return &view->parts[i];
    }
    struct sinq_export_part *const part = add_part(view);
    if (part == NULL) return NULL;
    const bool is_stack = match->pattern->change == SINQ_GGUF_EXPERT;
    part->member_count = is_stack ? view->config.experts : 1;
    part->members = malloc((part->member_count + 1) * sizeof *part->members);
    if (part->members == NULL) return NULL;
    for (size_t i = 0; i < part->member_count; i++) part->members[i] = SIZE_MAX;
    memcpy(part->name, name, SINQ_GGUF_NAME_BYTES);
    part->change = match->pattern->change;
    part->is_bias = match->is_bias;
    part->layer = match->layer;
    return part;
}

static int place_tensor(struct sinq_export_view *view, size_t index, const struct sinq_gguf_match *match,
                        struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &view->source->tensors[index];
    const size_t member = match->expert < 0 ? 0 : (size_t)match->expert;
    char name[SINQ_GGUF_NAME_BYTES] = "";
    sinq_print_gguf_name(match, name);
    struct sinq_export_part *const part = find_part(view, match, name);
    if (part == NULL || part->members == NULL) return sinq_fail_memory(error, "a view", view->count);
    if (member >= part->member_count || part->members[member] != SIZE_MAX) {
        return fail_tensor(view, tensor, "more experts than config.json says", error);
    }
    if (part->found++ == 0) part->position = index;
    part->members[member] = index;
    return SINQ_OK;
}

/* DeepSeek-V3's layers behind the last one, which predict further tokens, and which llama.cpp does not read. */
static bool is_behind_layers(const struct sinq_export_view *view, const struct sinq_tensor *tensor) {
    static const char prefix[] = "layers.";
    const char *const name = sinq_skip_wrappers(tensor->name);
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return false;
    return strtoul(name + sizeof prefix - 1, NULL, 10) >= view->config.layers;
}

/* Of several patterns for one name the first tells: several parts of a tensor, or all of it. */
static int place_all(struct sinq_export_view *view, const struct sinq_gguf_family *family, size_t index,
                     struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &view->source->tensors[index];
    struct sinq_gguf_match match = sinq_match_hf_name(family, tensor->name, NULL);
    if (match.pattern == NULL) {
        /* Frequencies that older checkpoints store and that follow from config.json. */
        if (strstr(tensor->name, "rotary_emb.inv_freq") != NULL) return SINQ_OK;
        return fail_tensor(view, tensor, "GGUF has no name for it in this architecture", error);
    }
    /* A head that repeats the embedding, which llama.cpp takes for it. */
    if (view->config.tied && strcmp(match.pattern->gguf, "output") == 0) return SINQ_OK;
    int status = place_tensor(view, index, &match, error);
    const enum sinq_gguf_change first = match.pattern->change;
    while (status == SINQ_OK && first != SINQ_GGUF_SAME && first != SINQ_GGUF_EXPERT) {
        match = sinq_match_hf_name(family, tensor->name, match.pattern);
        if (match.pattern == NULL || match.pattern->change == SINQ_GGUF_SAME) break;
        status = place_tensor(view, index, &match, error);
    }
    return status;
}

static int compare_parts(const void *left, const void *right) {
    const struct sinq_export_part *const a = left, *const b = right;
    if (a->layer != b->layer) return a->layer < b->layer ? -1 : 1;
    if (a->position != b->position) return a->position < b->position ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int list_parts(struct sinq_export_view *view, const struct sinq_gguf_family *family, struct sinq_error *error) {
    const struct sinq_source *const source = view->source;
    int status = SINQ_OK;
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) {
        const struct sinq_tensor *const tensor = &source->tensors[i];
        if (tensor->is_block_scale || is_behind_layers(view, tensor)) continue;
        status = place_all(view, family, i, error);
    }
    for (uint32_t i = 0; i < view->rope_count && status == SINQ_OK; i++) {
        struct sinq_export_part *const part = add_part(view);
        if (part == NULL) return sinq_fail_memory(error, "a view", view->count);
        (void)strncpy(part->name, view->ropes[i].name, sizeof part->name - 1);
        part->factors = view->ropes[i].factors;
        part->position = source->tensor_count + i;
    }
    if (status == SINQ_OK && view->count > 0) qsort(view->parts, view->count, sizeof *view->parts, compare_parts);
    return status;
}

/* ---- their shapes ---- */

static bool has_rank(const struct sinq_tensor *tensor, uint32_t rank) { return tensor->rank == rank; }

/* Halves a dimension; false where it is odd. */
static bool halve(uint64_t *size) {
    const bool is_even = *size % 2 == 0 && *size > 0;
    *size /= 2;
    return is_even;
}

static bool fits_heads(uint64_t rows, uint64_t heads) {
    return heads > 0 && rows % heads == 0 && rows / heads % 2 == 0;
}

static void swap_last(struct sinq_tensor *tensor) {
    uint64_t *const last = &tensor->shape[tensor->rank - 1], *const before = &tensor->shape[tensor->rank - 2];
    const uint64_t size = *last;
    *last = *before;
    *before = size;
}

/* The halves of latent attention's kv_b, [heads * (nope + value), rank]. */
static bool shape_latent(const struct sinq_model_config *c, bool is_key, struct sinq_tensor *tensor) {
    const uint64_t head = (uint64_t)c->nope_dim + c->value_dim, rank = tensor->shape[1];
    if (!has_rank(tensor, 2) || head == 0 || tensor->shape[0] != head * c->heads) return false;
    tensor->rank = 3;
    tensor->shape[0] = c->heads;
    tensor->shape[1] = is_key ? rank : c->value_dim;
    tensor->shape[2] = is_key ? c->nope_dim : rank;
    return true;
}

/* A bias' shape is a matrix's without columns. */
static bool shape_bias(const struct sinq_export_part *part, const struct sinq_model_config *c,
                       struct sinq_tensor *tensor) {
    uint64_t *const last = &tensor->shape[tensor->rank - 1];
    switch (part->change) {
    case SINQ_GGUF_QUERY_ROWS:
        return has_rank(tensor, 1) && fits_heads(*last, c->heads);
    case SINQ_GGUF_KEY_ROWS:
        return has_rank(tensor, 1) && fits_heads(*last, c->kv_heads);
    case SINQ_GGUF_FIRST_HALF:
    case SINQ_GGUF_SECOND_HALF:
    case SINQ_GGUF_EVEN_COLUMNS:
    case SINQ_GGUF_ODD_COLUMNS:
        return has_rank(tensor, 2) && halve(last);
    default:
        return true;
    }
}

/* From the shape of a member to that of the view's tensor. */
static bool shape_tensor(const struct sinq_export_part *part, const struct sinq_model_config *c,
                         struct sinq_tensor *tensor) {
    if (tensor->rank == 0) return false;
    if (part->change == SINQ_GGUF_EXPERT) {
        if (tensor->rank != (part->is_bias ? 1u : 2u)) return false;
        memmove(tensor->shape + 1, tensor->shape, tensor->rank * sizeof *tensor->shape);
        tensor->shape[0] = part->member_count;
        tensor->rank++;
        return true;
    }
    if (part->is_bias) return shape_bias(part, c, tensor);
    switch (part->change) {
    case SINQ_GGUF_QUERY_ROWS:
        return has_rank(tensor, 2) && fits_heads(tensor->shape[0], c->heads);
    case SINQ_GGUF_KEY_ROWS:
        return has_rank(tensor, 2) && fits_heads(tensor->shape[0], c->kv_heads);
    case SINQ_GGUF_FIRST_HALF:
    case SINQ_GGUF_SECOND_HALF:
        return tensor->rank >= 2 && halve(&tensor->shape[tensor->rank - 2]);
    case SINQ_GGUF_EVEN_COLUMNS:
    case SINQ_GGUF_ODD_COLUMNS:
        if (!has_rank(tensor, 3) || !halve(&tensor->shape[2])) return false;
        swap_last(tensor);
        return true;
    case SINQ_GGUF_TRANSPOSED:
        if (!has_rank(tensor, 3)) return false;
        swap_last(tensor);
        return true;
    case SINQ_GGUF_KEY_HALF:
    case SINQ_GGUF_VALUE_HALF:
        return shape_latent(c, part->change == SINQ_GGUF_KEY_HALF, tensor);
    default:
        return true;
    }
}

static bool has_same_shape(const struct sinq_tensor *a, const struct sinq_tensor *b) {
    return a->rank == b->rank && memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0;
}

/* All members are there and alike; the file that changed last stands for all. */
static int check_members(const struct sinq_export_view *view, const struct sinq_export_part *part,
                         struct sinq_tensor *tensor, struct sinq_error *error) {
    if (part->found != part->member_count) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: %zu of %zu experts are there", view->base.path, part->name,
                         part->found, part->member_count);
    }
    const struct sinq_tensor *const first = sinq_export_member(view, part, 0);
    *tensor = *first;
    for (size_t i = 1; i < part->member_count; i++) {
        const struct sinq_tensor *const member = sinq_export_member(view, part, i);
        if (!has_same_shape(first, member)) return fail_tensor(view, member, "not of the first expert's shape", error);
        const struct sinq_shard *const shards = view->source->shards;
        if (shards[member->shard].modified_ns > shards[tensor->shard].modified_ns) tensor->shard = member->shard;
    }
    return SINQ_OK;
}

static int describe(const struct sinq_export_view *view, const struct sinq_export_part *part,
                    struct sinq_tensor *tensor, struct sinq_error *error) {
    uint64_t bytes = sizeof(float);
    if (part->members == NULL) {
        *tensor = (struct sinq_tensor){.rank = 1, .scale_tensor = -1};
        for (uint32_t i = 0; i < view->rope_count; i++) {
            if (view->ropes[i].factors == part->factors) tensor->shape[0] = view->ropes[i].count;
        }
    } else {
        const int status = check_members(view, part, tensor, error);
        if (status != SINQ_OK) return status;
        if (!shape_tensor(part, &view->config, tensor)) {
            return fail_tensor(view, sinq_export_member(view, part, 0), "not of the shape that config.json says",
                               error);
        }
    }
    bool fits = true;
    for (uint32_t i = 0; i < tensor->rank; i++) fits = fits && sinq_multiply_u64(bytes, tensor->shape[i], &bytes);
    tensor->name = part->name;
    tensor->dtype = SINQ_F32;
    tensor->bytes = bytes;
    tensor->offset = 0;
    tensor->scale_tensor = -1;
    tensor->is_block_scale = false;
    if (fits && bytes > 0) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: GGUF holds no tensors of this size", view->base.path,
                     part->name);
}

static int describe_all(struct sinq_export_view *view, struct sinq_error *error) {
    struct sinq_source *const base = &view->base;
    base->tensors = calloc(view->count + 1, sizeof *base->tensors);
    base->checksums = calloc(view->count + 1, sizeof *base->checksums);
    base->names = sinq_name_index_create(view->count);
    if (base->tensors == NULL || base->checksums == NULL || base->names == NULL) {
        return sinq_fail_memory(error, "a view", view->count * sizeof *base->tensors);
    }
    int status = SINQ_OK;
    for (size_t i = 0; i < view->count && status == SINQ_OK; i++) {
        status = describe(view, &view->parts[i], &base->tensors[i], error);
        if (status == SINQ_OK && !sinq_name_index_add(base->names, view->parts[i].name, i)) {
            status = fail_tensor(view, &base->tensors[i], "two tensors would have that name", error);
        }
    }
    if (status == SINQ_OK) base->tensor_count = view->count;
    return status;
}

/* ---- the whole ---- */

/* Nothing is written that could not be loaded: a missing tensor, or one of another shape, is said now. */
static int check_model(struct sinq_export_view *view, struct sinq_error *error) {
    struct sinq_outline outline;
    const int status = sinq_outline_model(view->source, &outline, error);
    if (status == SINQ_OK) {
        view->config = outline.config;
        outline.config = (struct sinq_model_config){.layers = 0};
    }
    sinq_free_outline(&outline);
    return status;
}

static int fill_view(struct sinq_export_view *view, struct sinq_error *error) {
    const struct sinq_source *const source = view->source;
    const struct sinq_gguf_family *const family = sinq_find_gguf_family(source->model_type);
    if (source->config == NULL) {
        return sinq_fail(error, SINQ_FAILED, "%s: it has no config.json, from which GGUF's metadata come",
                         source->path);
    }
    if (family == NULL) {
        return sinq_fail(error, SINQ_FAILED, "%s: model_type %.100s: no architecture of GGUF is known for it",
                         source->path, source->model_type == NULL ? "(none)" : source->model_type);
    }
    int status = check_model(view, error);
    if (status == SINQ_OK) {
        status = sinq_make_gguf_ropes(&view->config, view->ropes, &view->rope_count, error);
    }
    if (status == SINQ_OK) status = list_parts(view, family, error);
    return status == SINQ_OK ? describe_all(view, error) : status;
}

int sinq_open_gguf_view(const struct sinq_source *source, struct sinq_source **view, struct sinq_error *error) {
    struct sinq_export_view *const made = calloc(1, sizeof *made);
    *view = NULL;
    if (made == NULL) return sinq_fail_memory(error, "a view", sizeof *made);
    made->base = *source;
    made->base.ops = &ops;
    made->base.tensors = NULL;
    made->base.tensor_count = 0;
    made->base.checksums = NULL;
    made->base.names = NULL;
    made->source = source;
    pthread_mutex_init(&made->lock, NULL);
    const int status = fill_view(made, error);
    if (status == SINQ_OK) {
        *view = &made->base;
    } else {
        close_view(&made->base);
    }
    return status;
}
