/* gguf_views.c: a GGUF file's tensors as those of a Hugging Face checkpoint. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "gguf_source.h"
#include "safetensors.h"
#include "tensor/dtype.h"

/* ---- what a part is ---- */

const struct sinq_gguf_part *sinq_find_gguf_part(const struct sinq_gguf_source *source, const char *name) {
    const int64_t found = sinq_name_index_find(source->part_names, name);
    return found < 0 ? NULL : &source->parts[found];
}

static int fail_shape(const struct sinq_gguf_source *source, const struct sinq_gguf_part *part, const char *expected,
                      struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: its shape is not that of %s",
                     source->base.shards[part->shard].path, part->tensor->name, expected);
}

/* ---- one tensor of the source ---- */

/*
 * How it is read follows from what is done with it and from its parts' types. Numbers of 16 bits that only change places stay what
 * they are.
 */
static enum sinq_dtype choose_reading(struct sinq_gguf_view *view) {
    const struct sinq_block_type *const first = view->parts[0].tensor->type;
    const struct sinq_block_type *const second = view->parts[1].tensor == NULL ? first : view->parts[1].tensor->type;
    const enum sinq_dtype dtype = sinq_block_dtype(first);
    const uint32_t rank = view->parts[0].tensor->rank;
    const bool is_half = view->change == SINQ_GGUF_KEY_HALF;
    const bool is_heads = view->change == SINQ_GGUF_QUERY_ROWS || view->change == SINQ_GGUF_KEY_ROWS;
    const bool is_bias = (is_heads && rank == 1) || (view->change == SINQ_GGUF_EVEN_COLUMNS && rank == 2);
    view->reading = SINQ_GGUF_COMPUTED;
    if (view->change == SINQ_GGUF_PLUS_ONE || first != second) return SINQ_F32;
    /* Keys lie across the rows of kv_b_proj, and values of biases change places: blocks cannot. */
    if (!first->is_plain && (is_half || is_bias)) return SINQ_F32;
    if (!first->is_plain) {
        view->reading = SINQ_GGUF_BLOCKS;
    } else if (view->change == SINQ_GGUF_SAME || view->change == SINQ_GGUF_EXPERT) {
        view->reading = SINQ_GGUF_IN_PLACE;
    } else if (dtype != SINQ_F16 && dtype != SINQ_BF16) {
        return SINQ_F32;
    }
    return dtype;
}

static int reserve(struct sinq_gguf_source *source, struct sinq_error *error) {
    struct sinq_source *const base = &source->base;
    if (base->tensor_count < source->capacity) return SINQ_OK;
    if (base->tensor_count >= SINQ_MAX_TENSORS) {
        return sinq_fail(error, SINQ_FAILED, "%s: more than %zu tensors", base->path, SINQ_MAX_TENSORS);
    }
    const size_t capacity = source->capacity == 0 ? 256 : 2 * source->capacity;
    struct sinq_tensor *const tensors = realloc(base->tensors, capacity * sizeof *tensors);
    if (tensors == NULL) return sinq_fail_memory(error, base->path, capacity * sizeof *tensors);
    base->tensors = tensors;
    struct sinq_gguf_view *const views = realloc(source->views, capacity * sizeof *views);
    if (views == NULL) return sinq_fail_memory(error, base->path, capacity * sizeof *views);
    source->views = views;
    source->capacity = capacity;
    return SINQ_OK;
}

static int add_view(struct sinq_gguf_source *source, const char *name, struct sinq_gguf_view *view, uint32_t rank,
                    const uint64_t *shape, struct sinq_error *error) {
    const int status = reserve(source, error);
    if (status != SINQ_OK) return status;
    const char *const kept = sinq_arena_add(&source->names, name, strlen(name));
    if (kept == NULL) return sinq_fail_memory(error, source->base.path, strlen(name));
    const enum sinq_dtype dtype = choose_reading(view);
    const struct sinq_gguf_tensor *const first = view->parts[0].tensor, *const second = view->parts[1].tensor;
    const bool is_slice = view->change == SINQ_GGUF_EXPERT;
    const uint64_t stored = is_slice ? first->bytes / first->shape[0] : first->bytes;
    struct sinq_tensor tensor = {.name = kept,
                                 .dtype = dtype,
                                 .rank = rank,
                                 .bytes = stored + (second == NULL ? 0 : second->bytes),
                                 .shard = view->parts[0].shard,
                                 .offset = first->offset + view->slice * stored,
                                 .scale_tensor = -1};
    uint64_t count = sinq_dtype_size(dtype);
    for (uint32_t d = 0; d < rank; d++) {
        tensor.shape[d] = shape[d];
        count *= shape[d]; /* no more values than the parts have */
    }
    if (view->reading != SINQ_GGUF_BLOCKS) tensor.bytes = count;
    source->base.tensors[source->base.tensor_count] = tensor;
    source->views[source->base.tensor_count++] = *view;
    return SINQ_OK;
}

/* ---- by what is done with it ---- */

static int add_experts(struct sinq_gguf_source *source, const struct sinq_gguf_part *part, struct sinq_gguf_match match,
                       struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = part->tensor;
    char name[SINQ_GGUF_NAME_BYTES];
    if (t->rank != (match.is_bias ? 2u : 3u)) return fail_shape(source, part, "a stack of experts", error);
    for (uint64_t e = 0; e < t->shape[0]; e++) {
        struct sinq_gguf_view view = {.parts = {*part}, .change = SINQ_GGUF_EXPERT, .slice = e};
        match.expert = (int)e;
        sinq_print_hf_name(&match, name);
        const int status = add_view(source, name, &view, t->rank - 1, t->shape + 1, error);
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

/* The part that the other half of the same Hugging Face tensor is. */
static const struct sinq_gguf_part *find_other(const struct sinq_gguf_source *source, struct sinq_gguf_match match,
                                               enum sinq_gguf_change change) {
    char name[SINQ_GGUF_NAME_BYTES];
    sinq_print_hf_name(&match, name);
    struct sinq_gguf_match other = sinq_match_hf_name(source->family, name, NULL);
    while (other.pattern != NULL && other.pattern->change != change) {
        other = sinq_match_hf_name(source->family, name, other.pattern);
    }
    if (other.pattern == NULL) return NULL;
    sinq_print_gguf_name(&other, name);
    return sinq_find_gguf_part(source, name);
}

/* Gates and ups of gpt_oss, [experts, n, in] each, are [experts, in, 2 n]. */
static int add_pairs(struct sinq_gguf_source *source, const struct sinq_gguf_part *part, struct sinq_gguf_match match,
                     struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = part->tensor;
    const struct sinq_gguf_part *const ups = find_other(source, match, SINQ_GGUF_ODD_COLUMNS);
    char name[SINQ_GGUF_NAME_BYTES];
    const bool fits = ups != NULL && t->rank == (match.is_bias ? 2u : 3u) && ups->tensor->rank == t->rank &&
                      memcmp(t->shape, ups->tensor->shape, sizeof t->shape) == 0;
    if (!fits) return fail_shape(source, part, "experts' gates with ups beside them", error);
    struct sinq_gguf_view view = {.parts = {*part, *ups}, .change = SINQ_GGUF_EVEN_COLUMNS};
    const uint64_t shape[3] = {t->shape[0], match.is_bias ? 2 * t->shape[1] : t->shape[2], 2 * t->shape[1]};
    sinq_print_hf_name(&match, name);
    return add_view(source, name, &view, t->rank, shape, error);
}

/* Keys [heads, rank, nope] and values [heads, value, rank] are [heads * (nope + value), rank]. */
static int add_halves(struct sinq_gguf_source *source, const struct sinq_gguf_part *part, struct sinq_gguf_match match,
                      struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = part->tensor;
    const struct sinq_gguf_part *const values = find_other(source, match, SINQ_GGUF_VALUE_HALF);
    char name[SINQ_GGUF_NAME_BYTES];
    const bool fits = values != NULL && !match.is_bias && t->rank == 3 && values->tensor->rank == 3 &&
                      t->shape[0] == values->tensor->shape[0] && t->shape[1] == values->tensor->shape[2];
    if (!fits) return fail_shape(source, part, "keys with values beside them", error);
    struct sinq_gguf_view view = {.parts = {*part, *values}, .change = SINQ_GGUF_KEY_HALF};
    const uint64_t shape[2] = {t->shape[0] * (t->shape[2] + values->tensor->shape[1]), t->shape[1]};
    sinq_print_hf_name(&match, name);
    return add_view(source, name, &view, 2, shape, error);
}

static int add_transposed(struct sinq_gguf_source *source, const struct sinq_gguf_part *part,
                          struct sinq_gguf_match match, struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = part->tensor;
    char name[SINQ_GGUF_NAME_BYTES];
    if (t->rank != 3) return fail_shape(source, part, "a stack of experts", error);
    struct sinq_gguf_view view = {.parts = {*part}, .change = SINQ_GGUF_TRANSPOSED};
    const uint64_t shape[3] = {t->shape[0], t->shape[2], t->shape[1]};
    sinq_print_hf_name(&match, name);
    return add_view(source, name, &view, 3, shape, error);
}

/* Heads whose rows are in another order must divide them into even numbers. */
static int add_heads(struct sinq_gguf_source *source, const struct sinq_gguf_part *part, struct sinq_gguf_match match,
                     struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = part->tensor;
    struct sinq_gguf_view view = {.parts = {*part}, .change = match.pattern->change};
    const double heads = view.change == SINQ_GGUF_KEY_ROWS ? source->key_heads : source->heads;
    char name[SINQ_GGUF_NAME_BYTES];
    const uint64_t rows = t->shape[0]; /* of a bias: its values */
    const bool is_count = heads >= 1.0 && heads <= (double)rows;
    view.heads = is_count ? (uint64_t)heads : 0;
    if (!is_count || rows % view.heads != 0 || rows / view.heads % 2 != 0 || t->rank != (match.is_bias ? 1u : 2u)) {
        return fail_shape(source, part, "heads as the metadata counts them", error);
    }
    sinq_print_hf_name(&match, name);
    return add_view(source, name, &view, t->rank, t->shape, error);
}

static int add_plain(struct sinq_gguf_source *source, const struct sinq_gguf_part *part, const char *name,
                     enum sinq_gguf_change change, struct sinq_error *error) {
    struct sinq_gguf_view view = {.parts = {*part}, .change = change};
    return add_view(source, name, &view, part->tensor->rank, part->tensor->shape, error);
}

static int add_match(struct sinq_gguf_source *source, const struct sinq_gguf_part *part, struct sinq_gguf_match match,
                     struct sinq_error *error) {
    char name[SINQ_GGUF_NAME_BYTES];
    switch (match.pattern->change) {
    case SINQ_GGUF_QUERY_ROWS:
    case SINQ_GGUF_KEY_ROWS:
        return add_heads(source, part, match, error);
    case SINQ_GGUF_EXPERT:
        return add_experts(source, part, match, error);
    case SINQ_GGUF_EVEN_COLUMNS:
        return add_pairs(source, part, match, error);
    case SINQ_GGUF_KEY_HALF:
        /* Some files have the whole besides. */
        if (find_other(source, match, SINQ_GGUF_SAME) != NULL) return SINQ_OK;
        return add_halves(source, part, match, error);
    case SINQ_GGUF_ODD_COLUMNS:
        if (find_other(source, match, SINQ_GGUF_EVEN_COLUMNS) != NULL) return SINQ_OK;
        return fail_shape(source, part, "experts' ups with gates beside them", error);
    case SINQ_GGUF_VALUE_HALF:
        if (find_other(source, match, SINQ_GGUF_KEY_HALF) != NULL) return SINQ_OK;
        return fail_shape(source, part, "values with keys beside them", error);
    case SINQ_GGUF_TRANSPOSED:
        if (!match.is_bias) return add_transposed(source, part, match, error);
        break;
    case SINQ_GGUF_SAME:
    case SINQ_GGUF_PLUS_ONE:
    case SINQ_GGUF_FIRST_HALF:
    case SINQ_GGUF_SECOND_HALF:
        break;
    }
    const bool is_norm = match.pattern->change == SINQ_GGUF_PLUS_ONE;
    sinq_print_hf_name(&match, name);
    return add_plain(source, part, name, is_norm ? SINQ_GGUF_PLUS_ONE : SINQ_GGUF_SAME, error);
}

/* The configuration says what these say. */
static bool is_rope(const char *name) {
    return strcmp(name, SINQ_GGUF_ROPE_FREQS) == 0 || strcmp(name, SINQ_GGUF_ROPE_LONG) == 0 ||
           strcmp(name, SINQ_GGUF_ROPE_SHORT) == 0;
}

static int add_part(struct sinq_gguf_source *source, const struct sinq_gguf_part *part, struct sinq_error *error) {
    const char *const name = part->tensor->name;
    struct sinq_gguf_match match = {NULL, -1, -1, false};
    if (source->family != NULL) {
        if (is_rope(name)) return SINQ_OK;
        match = sinq_match_gguf_name(source->family, name, NULL);
    }
    if (match.pattern == NULL) return add_plain(source, part, name, SINQ_GGUF_SAME, error);
    return add_match(source, part, match, error);
}

/* ---- all ---- */

static int index_names(struct sinq_gguf_source *source, struct sinq_error *error) {
    struct sinq_source *const base = &source->base;
    base->names = sinq_name_index_create(base->tensor_count);
    base->checksums = calloc(base->tensor_count + 1, sizeof *base->checksums);
    if (base->names == NULL || base->checksums == NULL) {
        return sinq_fail_memory(error, base->path, 48 * (uint64_t)base->tensor_count);
    }
    for (size_t i = 0; i < base->tensor_count; i++) {
        if (sinq_name_index_add(base->names, base->tensors[i].name, i)) continue;
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s stands for %.300s, as another tensor does", base->path,
                         source->views[i].parts[0].tensor->name, base->tensors[i].name);
    }
    return SINQ_OK;
}

/* Once, since looking for a key takes as long as there are keys. */
static void count_heads(struct sinq_gguf_source *source) {
    const struct sinq_gguf_values *const values = &source->files[0].values;
    (void)sinq_gguf_get_element(sinq_gguf_find(values, "llama.attention.head_count"), 0, &source->heads);
    source->key_heads = source->heads;
    (void)sinq_gguf_get_element(sinq_gguf_find(values, "llama.attention.head_count_kv"), 0, &source->key_heads);
}

int sinq_make_gguf_views(struct sinq_gguf_source *source, struct sinq_error *error) {
    count_heads(source);
    for (size_t i = 0; i < source->part_count; i++) {
        const int status = add_part(source, &source->parts[i], error);
        if (status != SINQ_OK) return status;
    }
    return index_names(source, error);
}
