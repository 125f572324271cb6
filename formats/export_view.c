/*
 * export_view.c: a checkpoint's tensors as a GGUF file has them. Nothing is copied: rows are read from the source and turned into the file's
 * when they are asked for. Where columns become rows, the matrix in hand is kept, so that it is read once.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "checkpoint/source.h"
#include "formats.h"
#include "model/gguf_config.h"

/* One tensor of the view. */
struct part {
    char name[SINQ_GGUF_NAME_BYTES];
    enum sinq_gguf_change change;
    bool is_bias;
    int layer;       /* -1 outside layers */
    size_t position; /* in the source */
    size_t *members; /* tensors of the source: one, or one an expert; NULL of a rope's factors */
    size_t member_count, found;
    const float *factors;
};

/* Columns of a matrix of the source that are the view's rows. */
struct turned {
    bool is_used;
    size_t tensor;
    uint64_t first_row;
    uint64_t column, step; /* the first column, and how far the next one is */
    float *values;
    uint64_t capacity;
};

struct view {
    struct sinq_source base;
    const struct sinq_source *source;
    struct sinq_model_config config;
    struct part *parts;
    size_t count, capacity;
    struct sinq_gguf_rope ropes[SINQ_GGUF_MOST_ROPES];
    uint32_t rope_count;
    pthread_mutex_t lock; /* of `turned` */
    struct turned turned;
};

static struct view *to_view(const struct sinq_source *source) { return (struct view *)(uintptr_t)source; }

static const struct sinq_tensor *get_member(const struct view *view, const struct part *part, uint64_t member) {
    return &view->source->tensors[part->members[member]];
}

/* ---- reading rows ---- */

/* Where a tensor's rows begin, and how many are wanted. */
struct range {
    const struct view *view;
    const struct part *part;
    const struct sinq_tensor *tensor; /* of the view */
    uint64_t first, count, cols;
};

static int read_member(const struct range *r, uint64_t member, uint64_t row, uint64_t count, float *out,
                       struct sinq_error *error) {
    return sinq_read_rows(r->view->source, r->part->members[member], row, count, out, error);
}

static uint64_t count_heads(const struct range *r) {
    return r->part->change == SINQ_GGUF_QUERY_ROWS ? r->view->config.heads : r->view->config.kv_heads;
}

/* Rows one by one, each from the place that `find` names. */
typedef uint64_t find_row_fn(const struct range *r, uint64_t row);
static int read_scattered(const struct range *r, find_row_fn *find, float *out, struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint64_t i = 0; i < r->count && status == SINQ_OK; i++) {
        status = read_member(r, 0, find(r, r->first + i), 1, out + i * r->cols, error);
    }
    return status;
}

static uint64_t find_rotated_row(const struct range *r, uint64_t row) {
    return sinq_gguf_to_hf_row(row, r->tensor->shape[0], count_heads(r));
}

static uint64_t find_half_row(const struct range *r, uint64_t row) {
    const uint64_t half = r->tensor->shape[r->tensor->rank - 2], stack = row / half;
    return stack * 2 * half + (r->part->change == SINQ_GGUF_SECOND_HALF ? half : 0) + row % half;
}

static uint64_t find_value_row(const struct range *r, uint64_t row) {
    const uint64_t nope = r->view->config.nope_dim, value = r->view->config.value_dim;
    return row / value * (nope + value) + nope + row % value;
}

/* Values of biases, of which a row of the source has all, or twice as many. */
static uint64_t find_bias_value(const struct range *r, uint64_t i) {
    switch (r->part->change) {
    case SINQ_GGUF_QUERY_ROWS:
    case SINQ_GGUF_KEY_ROWS:
        return sinq_gguf_to_hf_row(i, r->cols, count_heads(r));
    case SINQ_GGUF_SECOND_HALF:
        return r->cols + i;
    case SINQ_GGUF_EVEN_COLUMNS:
        return 2 * i;
    case SINQ_GGUF_ODD_COLUMNS:
        return 2 * i + 1;
    default:
        return i;
    }
}

static int read_bias(const struct range *r, float *out, struct sinq_error *error) {
    const struct sinq_tensor *const member = get_member(r->view, r->part, 0);
    const uint64_t width = member->shape[member->rank - 1];
    float *const row = malloc((size_t)width * sizeof *row);
    int status = row == NULL ? sinq_fail_memory(error, member->name, width * sizeof *row) : SINQ_OK;
    for (uint64_t i = 0; i < r->count && status == SINQ_OK; i++) {
        status = read_member(r, 0, r->first + i, 1, row, error);
        for (uint64_t k = 0; k < r->cols && status == SINQ_OK; k++) {
            out[i * r->cols + k] = row[find_bias_value(r, k)];
        }
    }
    free(row);
    return status;
}

/* Experts that are tensors of their own: a run of rows lies in one of them. */
static int read_experts(const struct range *r, float *out, struct sinq_error *error) {
    const uint64_t rows = r->part->is_bias ? 1 : r->tensor->shape[1];
    int status = SINQ_OK;
    for (uint64_t done = 0; done < r->count && status == SINQ_OK;) {
        const uint64_t row = r->first + done, within = row % rows;
        const uint64_t count = sinq_min_u64(r->count - done, rows - within);
        status = read_member(r, row / rows, within, count, out + done * r->cols, error);
        done += count;
    }
    return status;
}

/* ---- columns that become rows ---- */

/* The matrix of the view's row `row`: which rows of the source it is, which columns, and the row's number within it. */
struct origin {
    uint64_t first_row, rows, column, step, within;
};

static struct origin find_origin(const struct range *r, uint64_t row) {
    const struct sinq_model_config *const c = &r->view->config;
    const uint64_t height = r->tensor->shape[1], matrix = row / height, within = row % height;
    if (r->part->change == SINQ_GGUF_KEY_HALF) {
        return (struct origin){matrix * ((uint64_t)c->nope_dim + c->value_dim), c->nope_dim, 0, 1, within};
    }
    const bool is_whole = r->part->change == SINQ_GGUF_TRANSPOSED;
    return (struct origin){matrix * r->cols, r->cols, r->part->change == SINQ_GGUF_ODD_COLUMNS, is_whole ? 1 : 2,
                           within};
}

/* Rows of `source` (all its columns) into *turned, column by column. */
static int turn(const struct range *r, const struct origin *origin, struct turned *turned, struct sinq_error *error) {
    const struct sinq_tensor *const member = get_member(r->view, r->part, 0);
    const uint64_t width = member->shape[member->rank - 1], height = r->tensor->shape[1];
    const uint64_t values = height * origin->rows;
    turned->is_used = false;
    if (turned->capacity < values) {
        free(turned->values);
        turned->values = malloc((size_t)values * sizeof *turned->values);
        turned->capacity = turned->values == NULL ? 0 : values;
    }
    float *const row = malloc((size_t)width * sizeof *row);
    int status = SINQ_OK;
    if (turned->values == NULL || row == NULL) status = sinq_fail_memory(error, member->name, values * sizeof *row);
    for (uint64_t i = 0; i < origin->rows && status == SINQ_OK; i++) {
        status = read_member(r, 0, origin->first_row + i, 1, row, error);
        for (uint64_t k = 0; k < height && status == SINQ_OK; k++) {
            turned->values[k * origin->rows + i] = row[origin->column + k * origin->step];
        }
    }
    free(row);
    if (status != SINQ_OK) return status;
    turned->is_used = true;
    turned->tensor = r->part->members[0];
    turned->first_row = origin->first_row;
    turned->column = origin->column;
    turned->step = origin->step;
    return SINQ_OK;
}

static int read_turned(const struct range *r, float *out, struct sinq_error *error) {
    struct view *const view = to_view(&r->view->base);
    struct turned *const turned = &view->turned;
    int status = SINQ_OK;
    pthread_mutex_lock(&view->lock);
    for (uint64_t i = 0; i < r->count && status == SINQ_OK; i++) {
        const struct origin origin = find_origin(r, r->first + i);
        const bool is_there = turned->is_used && turned->tensor == r->part->members[0] &&
                              turned->first_row == origin.first_row && turned->column == origin.column &&
                              turned->step == origin.step;
        if (!is_there) status = turn(r, &origin, turned, error);
        if (status != SINQ_OK) break;
        memcpy(out + i * r->cols, turned->values + origin.within * r->cols, (size_t)r->cols * sizeof *out);
    }
    pthread_mutex_unlock(&view->lock);
    return status;
}

/* ---- any rows ---- */

static int read_plus_one(const struct range *r, float *out, struct sinq_error *error) {
    const int status = read_member(r, 0, r->first, r->count, out, error);
    for (uint64_t i = 0; i < r->count * r->cols && status == SINQ_OK; i++) out[i] += 1.0F;
    return status;
}

static int read_range(const struct range *r, float *out, struct sinq_error *error) {
    const struct part *const part = r->part;
    if (part->factors != NULL) {
        memcpy(out, part->factors, (size_t)r->cols * sizeof *out);
        return SINQ_OK;
    }
    if (part->change == SINQ_GGUF_EXPERT) return read_experts(r, out, error);
    if (part->is_bias) return read_bias(r, out, error);
    switch (part->change) {
    case SINQ_GGUF_QUERY_ROWS:
    case SINQ_GGUF_KEY_ROWS:
        return read_scattered(r, find_rotated_row, out, error);
    case SINQ_GGUF_FIRST_HALF:
    case SINQ_GGUF_SECOND_HALF:
        return read_scattered(r, find_half_row, out, error);
    case SINQ_GGUF_VALUE_HALF:
        return read_scattered(r, find_value_row, out, error);
    case SINQ_GGUF_EVEN_COLUMNS:
    case SINQ_GGUF_ODD_COLUMNS:
    case SINQ_GGUF_TRANSPOSED:
    case SINQ_GGUF_KEY_HALF:
        return read_turned(r, out, error);
    case SINQ_GGUF_PLUS_ONE:
        return read_plus_one(r, out, error);
    default:
        return read_member(r, 0, r->first, r->count, out, error);
    }
}

/* Whole rows go where they are wanted, parts of them through a buffer. */
static int read_bytes(const struct sinq_source *source, size_t index, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error) {
    const struct view *const view = to_view(source);
    const struct sinq_tensor *const tensor = &source->tensors[index];
    const uint64_t cols = sinq_tensor_matrix_shape(tensor).cols, row = cols * sizeof(float);
    const uint64_t first = offset / row, end = sinq_divide_up(offset + size, row);
    const struct range range = {view, &view->parts[index], tensor, first, end - first, cols};
    if (offset % row == 0 && size % row == 0 && (uintptr_t)out % sizeof(float) == 0) {
        return read_range(&range, out, error);
    }
    float *const rows = malloc((size_t)((end - first) * row));
    if (rows == NULL) return sinq_fail_memory(error, tensor->name, (end - first) * row);
    const int status = read_range(&range, rows, error);
    if (status == SINQ_OK) memcpy(out, (const uint8_t *)rows + (offset - first * row), (size_t)size);
    free(rows);
    return status;
}

static int read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    return sinq_source_read_sidecar(to_view(source)->source, index, data, size, error);
}

static const struct sinq_tensor *find_tensor_origin(const struct sinq_source *source, size_t tensor) {
    const struct view *const view = to_view(source);
    const struct part *const part = &view->parts[tensor];
    return part->members == NULL ? &source->tensors[tensor] : get_member(view, part, 0);
}

static void close_view(struct sinq_source *source) {
    struct view *const view = to_view(source);
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

static const struct sinq_source_ops ops = {
    .read_bytes = read_bytes, .read_sidecar = read_sidecar, .close = close_view, .origin = find_tensor_origin};

/* ---- which tensors there are ---- */

static int fail_tensor(const struct view *view, const struct sinq_tensor *tensor, const char *why,
                       struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: %s", view->base.path, tensor->name, why);
}

static struct part *add_part(struct view *view) {
    if (view->count == view->capacity) {
        const size_t capacity = view->capacity == 0 ? 256 : 2 * view->capacity;
        struct part *const more = realloc(view->parts, capacity * sizeof *more);
        if (more == NULL) return NULL;
        view->parts = more;
        view->capacity = capacity;
    }
    struct part *const part = &view->parts[view->count++];
    *part = (struct part){.layer = -1};
    return part;
}

/* The stack of experts with that name, which is among the last ones: those of a layer stand together. Or a new part. */
static struct part *find_part(struct view *view, const struct sinq_gguf_match *match, const char *name) {
    for (size_t i = view->count; i-- > 0 && match->pattern->change == SINQ_GGUF_EXPERT;) {
        if (strcmp(view->parts[i].name, name) == 0) return &view->parts[i];
    }
    struct part *const part = add_part(view);
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

static int place_tensor(struct view *view, size_t index, const struct sinq_gguf_match *match,
                        struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &view->source->tensors[index];
    const size_t member = match->expert < 0 ? 0 : (size_t)match->expert;
    char name[SINQ_GGUF_NAME_BYTES] = "";
    sinq_print_gguf_name(match, name);
    struct part *const part = find_part(view, match, name);
    if (part == NULL || part->members == NULL) return sinq_fail_memory(error, "a view", view->count);
    if (member >= part->member_count || part->members[member] != SIZE_MAX) {
        return fail_tensor(view, tensor, "more experts than config.json says", error);
    }
    if (part->found++ == 0) part->position = index;
    part->members[member] = index;
    return SINQ_OK;
}

/* Of several patterns for one name the first tells: several parts of a tensor, or all of it. */
static int place_all(struct view *view, const struct sinq_gguf_family *family, size_t index, struct sinq_error *error) {
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
    const struct part *const a = left, *const b = right;
    if (a->layer != b->layer) return a->layer < b->layer ? -1 : 1;
    if (a->position != b->position) return a->position < b->position ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int list_parts(struct view *view, const struct sinq_gguf_family *family, struct sinq_error *error) {
    const struct sinq_source *const source = view->source;
    int status = SINQ_OK;
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) {
        if (!source->tensors[i].is_block_scale) status = place_all(view, family, i, error);
    }
    for (uint32_t i = 0; i < view->rope_count && status == SINQ_OK; i++) {
        struct part *const part = add_part(view);
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
static bool shape_bias(const struct part *part, const struct sinq_model_config *c, struct sinq_tensor *tensor) {
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
static bool shape_tensor(const struct part *part, const struct sinq_model_config *c, struct sinq_tensor *tensor) {
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
static int check_members(const struct view *view, const struct part *part, struct sinq_tensor *tensor,
                         struct sinq_error *error) {
    if (part->found != part->member_count) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: %zu of %zu experts are there", view->base.path, part->name,
                         part->found, part->member_count);
    }
    const struct sinq_tensor *const first = get_member(view, part, 0);
    *tensor = *first;
    for (size_t i = 1; i < part->member_count; i++) {
        const struct sinq_tensor *const member = get_member(view, part, i);
        if (!has_same_shape(first, member)) return fail_tensor(view, member, "not of the first expert's shape", error);
        const struct sinq_shard *const shards = view->source->shards;
        if (shards[member->shard].modified_ns > shards[tensor->shard].modified_ns) tensor->shard = member->shard;
    }
    return SINQ_OK;
}

static int describe(const struct view *view, const struct part *part, struct sinq_tensor *tensor,
                    struct sinq_error *error) {
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
            return fail_tensor(view, get_member(view, part, 0), "not of the shape that config.json says", error);
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

static int describe_all(struct view *view, struct sinq_error *error) {
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

static int fill_view(struct view *view, struct sinq_error *error) {
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
    int status = sinq_read_model_config(source->path, source->config, &view->config, error);
    if (status == SINQ_OK) {
        status = sinq_make_gguf_ropes(&view->config, view->ropes, &view->rope_count, error);
    }
    if (status == SINQ_OK) status = list_parts(view, family, error);
    return status == SINQ_OK ? describe_all(view, error) : status;
}

int sinq_open_gguf_view(const struct sinq_source *source, struct sinq_source **view, struct sinq_error *error) {
    struct view *const made = calloc(1, sizeof *made);
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
