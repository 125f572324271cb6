#include "quant/absorb/absorb_groups.h"

#include <stdlib.h>

#include "base/error.h"
#include "model/graph_access.h"

/* Why a group cannot be folded. */
#define READS_STREAM    "it reads the residual stream, which no norm scales for it alone"
#define READ_BY_OTHERS  "what it reads is also read by what is no linear layer"
#define NOT_HOMOGENEOUS "the activation before it is not homogeneous"
#define USED_TWICE      "its weight is also used elsewhere in the model"
#define NO_PRODUCER     "no norm and no linear layer alone decides what it reads"

struct finder {
    const struct sinq_graph *graph;
    struct sinq_absorb_groups *groups;
    uint32_t *uses;   /* a want: operations that use it */
    uint32_t *writer; /* an operation: of a matrix reader, who made what it reads; else SINQ_NO_OPERATION */
};

static const struct sinq_operation *op_at(const struct finder *finder, uint32_t operation) {
    return &finder->graph->operations[operation];
}

/* ---- lists ---- */

static bool grow(void **list, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return true;
    const size_t wanted = *capacity == 0 ? 256 : 2 * *capacity;
    void *const more = realloc(*list, wanted * size);
    if (more == NULL) return false;
    *list = more;
    *capacity = wanted;
    return true;
}

static bool add_reader(struct sinq_absorb_groups *groups, struct sinq_absorb_group *group, uint32_t weight) {
    for (size_t i = 0; i < group->reader_count; i++) {
        if (groups->readers[group->first_reader + i] == weight) return true;
    }
    void *list = groups->readers;
    const bool has_room = grow(&list, groups->reader_count, &groups->reader_capacity, sizeof *groups->readers);
    groups->readers = list;
    if (!has_room) return false;
    groups->readers[groups->reader_count++] = weight;
    group->reader_count++;
    return true;
}

static bool add_group(struct sinq_absorb_groups *groups, const struct sinq_absorb_group *group) {
    void *list = groups->groups;
    const bool has_room = grow(&list, groups->count, &groups->capacity, sizeof *groups->groups);
    groups->groups = list;
    if (has_room) groups->groups[groups->count++] = *group;
    return has_room;
}

void sinq_absorb_groups_free(struct sinq_absorb_groups *groups) {
    free(groups->groups);
    free(groups->readers);
    *groups = (struct sinq_absorb_groups){.groups = NULL};
}

/* ---- operations that multiply with columns of a matrix ---- */

static bool is_reader(const struct sinq_operation *op) {
    return op->kind == SINQ_OP_LINEAR || op->kind == SINQ_OP_EXPERT_LINEAR ||
           (op->kind == SINQ_OP_HEAD_LINEAR && !op->head_linear.transposed);
}

static uint32_t first_weight(const struct sinq_operation *op) {
    if (op->kind == SINQ_OP_LINEAR) return op->linear.weight;
    return op->kind == SINQ_OP_HEAD_LINEAR ? op->head_linear.weight : op->expert_linear.first_weight;
}

static uint32_t count_weights(const struct sinq_operation *op) {
    return op->kind == SINQ_OP_EXPERT_LINEAR ? op->expert_linear.experts : 1;
}

/* All weights of the operation become readers of the group. */
static bool add_readers(struct finder *finder, struct sinq_absorb_group *group, uint32_t reader) {
    const struct sinq_operation *const op = op_at(finder, reader);
    for (uint32_t e = 0; e < count_weights(op); e++) {
        if (!add_reader(finder->groups, group, first_weight(op) + e)) return false;
    }
    return true;
}

static void count_uses(struct finder *finder) {
    for (uint32_t i = 0; i < finder->graph->operation_count; i++) {
        const struct sinq_operation *const op = op_at(finder, i);
        if (op->kind == SINQ_OP_EMBED) finder->uses[op->embed.weight]++;
        if (op->kind == SINQ_OP_NORM) finder->uses[op->norm.weight]++;
        /* The two halves of a head's rows are one use: latent attention. */
        if (!is_reader(op)) continue;
        for (uint32_t e = 0; e < count_weights(op); e++) finder->uses[first_weight(op) + e]++;
    }
}

static struct sinq_slot_range input_range(const struct finder *finder, uint32_t reader) {
    return sinq_find_access(finder->graph, reader).reads[0];
}

static struct sinq_slot_range output_range(const struct finder *finder, uint32_t operation) {
    return sinq_find_access(finder->graph, operation).write;
}

/* ---- norms ---- */

/* The one operation of that kind and cache; SINQ_NO_OPERATION where there is none or more than one. */
static uint32_t find_cache_user(const struct finder *finder, enum sinq_operation_kind kind, uint32_t cache) {
    uint32_t found = SINQ_NO_OPERATION;
    for (uint32_t i = 0; i < finder->graph->operation_count; i++) {
        const struct sinq_operation *const op = op_at(finder, i);
        if (op->kind != kind || (kind == SINQ_OP_STORE ? op->store.cache : op->attention.cache) != cache) continue;
        if (found != SINQ_NO_OPERATION) return SINQ_NO_OPERATION;
        found = i;
    }
    return found;
}

/*
 * Latent attention caches what a norm made, as keys and as values. Both sides multiply with columns of one matrix: queries came
 * through its transpose, and what attention found goes through it.
 */
static bool is_latent(const struct finder *finder, uint32_t norm, uint32_t store, uint32_t reader) {
    const struct sinq_operation *const op = op_at(finder, reader);
    const uint32_t cache = op_at(finder, store)->store.cache;
    const uint32_t attention = find_cache_user(finder, SINQ_OP_ATTENTION, cache);
    if (attention == SINQ_NO_OPERATION || op->kind != SINQ_OP_HEAD_LINEAR) return false;
    if (!finder->graph->caches[cache].shared || finder->writer[reader] != norm) return false;
    const struct sinq_view queries = op_at(finder, attention)->attention.queries;
    for (uint32_t i = norm; i < attention; i++) {
        const struct sinq_operation *const other = op_at(finder, i);
        if (other->kind != SINQ_OP_HEAD_LINEAR || !other->head_linear.transposed) continue;
        const struct sinq_view out = other->head_linear.out;
        if (other->head_linear.weight == op->head_linear.weight && out.slot == queries.slot &&
            out.offset == queries.offset && other->head_linear.out_stride == finder->graph->caches[cache].key_dim) {
            return true;
        }
    }
    return false;
}

/* What attention finds in a shared cache is a mean of what the norm made: its norm is that of the reader of what was found. */
static uint32_t look_through_cache(const struct finder *finder, uint32_t writer) {
    const struct sinq_operation *const op = op_at(finder, writer);
    if (op->kind != SINQ_OP_ATTENTION || !finder->graph->caches[op->attention.cache].shared) return writer;
    const uint32_t store = find_cache_user(finder, SINQ_OP_STORE, op->attention.cache);
    if (store == SINQ_NO_OPERATION) return writer;
    struct sinq_slot_range values = sinq_find_access(finder->graph, store).reads[0];
    values.end = values.first + finder->graph->caches[op->attention.cache].value_dim;
    return sinq_find_writer(finder->graph, store, values);
}

static const char *check_norm(const struct finder *finder, uint32_t norm, const struct sinq_absorb_group *group) {
    const struct sinq_operation *const op = op_at(finder, norm);
    const struct sinq_slot_range made = output_range(finder, norm);
    if (op->norm.groups != 1) return NO_PRODUCER;
    if (finder->uses[op->norm.weight] != 1) return USED_TWICE;
    for (uint32_t r = sinq_find_reader(finder->graph, norm, norm, made); r != SINQ_NO_OPERATION;
         r = sinq_find_reader(finder->graph, norm, r, made)) {
        const bool is_store = op_at(finder, r)->kind == SINQ_OP_STORE;
        bool is_known = is_reader(op_at(finder, r)) && sinq_ranges_equal(input_range(finder, r), made);
        for (uint32_t i = norm + 1; is_store && !is_known && i < finder->graph->operation_count; i++) {
            is_known = finder->writer[i] == norm && is_latent(finder, norm, r, i);
        }
        if (!is_known) return READ_BY_OTHERS;
    }
    for (size_t i = 0; i < group->reader_count; i++) {
        const uint32_t weight = finder->groups->readers[group->first_reader + i];
        if (finder->uses[weight] != 1) return USED_TWICE;
        if (finder->graph->wants[weight].cols != op->norm.width) return NO_PRODUCER;
    }
    return NULL;
}

static bool add_norm_group(struct finder *finder, uint32_t norm) {
    const struct sinq_operation *const op = op_at(finder, norm);
    struct sinq_absorb_group group = {.width = op->norm.width,
                                      .is_norm = true,
                                      .producer = op->norm.weight,
                                      .bias = SINQ_NO_WEIGHT,
                                      .run = op->norm.width,
                                      .step = 1,
                                      .repeat = 1,
                                      .first_reader = finder->groups->reader_count};
    for (uint32_t i = norm + 1; i < finder->graph->operation_count; i++) {
        if (finder->writer[i] == norm && !add_readers(finder, &group, i)) return false;
    }
    if (group.reader_count == 0) return true;
    group.obstacle = check_norm(finder, norm, &group);
    return add_group(finder->groups, &group);
}

/* ---- rows of another layer ---- */

static void set_obstacle(struct sinq_absorb_group *group, const char *obstacle) {
    if (group->obstacle == NULL) group->obstacle = obstacle;
}

/* One group for each pair of weights: layer e of `made`, which produces, and of `reader`. */
static bool add_row_groups(struct finder *finder, const struct sinq_absorb_group *form, uint32_t made,
                           uint32_t reader) {
    const struct sinq_operation *const from = op_at(finder, made), *const to = op_at(finder, reader);
    const uint32_t count = count_weights(to);
    const uint32_t bias = from->kind == SINQ_OP_LINEAR          ? from->linear.bias
                          : from->kind == SINQ_OP_EXPERT_LINEAR ? from->expert_linear.first_bias
                                                                : SINQ_NO_WEIGHT;
    for (uint32_t e = 0; e < count; e++) {
        struct sinq_absorb_group group = *form;
        const uint32_t reads = first_weight(to) + e, makes = first_weight(from) + e;
        group.producer = makes;
        group.bias = bias == SINQ_NO_WEIGHT ? bias : bias + e;
        group.first_reader = finder->groups->reader_count;
        if (count_weights(from) != count) set_obstacle(&group, NO_PRODUCER);
        if (finder->uses[reads] != 1 || finder->uses[makes] != 1) set_obstacle(&group, USED_TWICE);
        const uint64_t last = group.width == 0 ? 0 : sinq_absorb_row(&group, group.width - 1);
        if (group.obstacle == NULL && (last >= finder->graph->wants[makes].rows ||
                                       finder->graph->wants[reads].cols != (uint64_t)group.width * group.repeat)) {
            set_obstacle(&group, NO_PRODUCER);
        }
        if (!add_reader(finder->groups, &group, reads) || !add_group(finder->groups, &group)) return false;
    }
    return true;
}

/* Whether `reader` alone reads what `writer` left in the range. */
static bool is_only_reader(const struct finder *finder, uint32_t writer, uint32_t reader,
                           struct sinq_slot_range range) {
    return sinq_find_reader(finder->graph, writer, writer, range) == reader &&
           sinq_find_reader(finder->graph, writer, reader, range) == SINQ_NO_OPERATION;
}

/* Who makes the range for `operation`, and nothing but it: a plain product. SINQ_NO_OPERATION where that is not so. */
static uint32_t find_product(const struct finder *finder, uint32_t operation, struct sinq_slot_range range) {
    const uint32_t made = sinq_find_writer(finder->graph, operation, range);
    if (made == SINQ_NO_OPERATION || !is_reader(op_at(finder, made))) return SINQ_NO_OPERATION;
    const struct sinq_operation *const op = op_at(finder, made);
    const struct sinq_slot_range out = output_range(finder, made);
    if (op->kind == SINQ_OP_LINEAR && op->linear.accumulate) return SINQ_NO_OPERATION;
    if (out.first > range.first || out.end < range.end) return SINQ_NO_OPERATION;
    return is_only_reader(finder, made, operation, range) ? made : SINQ_NO_OPERATION;
}

/* A down projection: activation(gate) * up is linear in up. */
static bool add_activated_group(struct finder *finder, uint32_t activate, uint32_t reader) {
    const struct sinq_operation *const op = op_at(finder, activate);
    const bool is_per_choice = op_at(finder, reader)->kind == SINQ_OP_EXPERT_LINEAR;
    struct sinq_absorb_group form = {
        .width = op->activate.width, .run = op->activate.width, .step = op->activate.step, .repeat = 1};
    const uint32_t made = find_product(finder, activate, sinq_find_access(finder->graph, activate).reads[1]);
    if (op->activate.activation == SINQ_ACTIVATION_GPT_OSS) set_obstacle(&form, NOT_HOMOGENEOUS);
    if (!is_only_reader(finder, activate, reader, output_range(finder, activate))) set_obstacle(&form, READ_BY_OTHERS);
    if (made == SINQ_NO_OPERATION || (op->activate.segments != 1 && !is_per_choice)) set_obstacle(&form, NO_PRODUCER);
    if (made != SINQ_NO_OPERATION) form.first_row = op->activate.up.offset - output_range(finder, made).first;
    return add_row_groups(finder, &form, made == SINQ_NO_OPERATION ? reader : made, reader);
}

/* An output projection: each head's values are means of its group's, which are rows of the value projection. */
static bool add_attended_group(struct finder *finder, uint32_t attention, uint32_t reader) {
    const struct sinq_operation *const op = op_at(finder, attention);
    const struct sinq_cache_shape *const cache = &finder->graph->caches[op->attention.cache];
    const uint32_t store = find_cache_user(finder, SINQ_OP_STORE, op->attention.cache);
    struct sinq_absorb_group form = {.width = cache->kv_heads * cache->value_dim,
                                     .run = cache->value_dim,
                                     .run_stride = cache->value_dim,
                                     .step = 1,
                                     .repeat = op->attention.heads / cache->kv_heads};
    uint32_t made = SINQ_NO_OPERATION;
    if (store != SINQ_NO_OPERATION && !cache->shared) {
        const struct sinq_slot_range values = sinq_find_access(finder->graph, store).reads[1];
        made = find_product(finder, store, values);
        if (made != SINQ_NO_OPERATION) form.first_row = values.first - output_range(finder, made).first;
    }
    const bool is_alone = find_cache_user(finder, SINQ_OP_ATTENTION, op->attention.cache) == attention &&
                          is_only_reader(finder, attention, reader, output_range(finder, attention));
    if (made == SINQ_NO_OPERATION) set_obstacle(&form, NO_PRODUCER);
    if (!is_alone) set_obstacle(&form, READ_BY_OTHERS);
    return add_row_groups(finder, &form, made == SINQ_NO_OPERATION ? reader : made, reader);
}

/* An output projection behind the value half of latent attention's second matrix: rows of each head. */
static bool add_latent_group(struct finder *finder, uint32_t heads, uint32_t reader) {
    const struct sinq_operation *const op = op_at(finder, heads);
    struct sinq_absorb_group form = {.width = op->head_linear.heads * op->head_linear.rows,
                                     .first_row = op->head_linear.first_row,
                                     .run = op->head_linear.rows,
                                     .run_stride = op->head_linear.row_stride,
                                     .step = 1,
                                     .repeat = 1};
    if (op->head_linear.out_stride != op->head_linear.rows) set_obstacle(&form, NO_PRODUCER);
    if (!is_only_reader(finder, heads, reader, output_range(finder, heads))) set_obstacle(&form, READ_BY_OTHERS);
    return add_row_groups(finder, &form, heads, reader);
}

/* ---- all ---- */

/* A reader of what is made by nothing that could be scaled. */
static bool add_stream_group(struct finder *finder, uint32_t reader) {
    struct sinq_absorb_group group = {
        .obstacle = READS_STREAM, .run = 1, .repeat = 1, .first_reader = finder->groups->reader_count};
    return add_readers(finder, &group, reader) && add_group(finder->groups, &group);
}

static bool add_reader_groups(struct finder *finder, uint32_t reader) {
    const uint32_t writer = finder->writer[reader];
    const struct sinq_operation *const op = op_at(finder, writer);
    if (!sinq_ranges_equal(input_range(finder, reader), output_range(finder, writer)) && op->kind != SINQ_OP_NORM) {
        return add_stream_group(finder, reader);
    }
    if (op->kind == SINQ_OP_ACTIVATE) return add_activated_group(finder, writer, reader);
    if (op->kind == SINQ_OP_ATTENTION) return add_attended_group(finder, writer, reader);
    if (op->kind == SINQ_OP_HEAD_LINEAR) return add_latent_group(finder, writer, reader);
    return op->kind == SINQ_OP_NORM || add_stream_group(finder, reader); /* norms have their groups */
}

static bool add_all_groups(struct finder *finder) {
    bool has_room = true;
    for (uint32_t i = 0; has_room && i < finder->graph->operation_count; i++) {
        if (op_at(finder, i)->kind == SINQ_OP_NORM) has_room = add_norm_group(finder, i);
        if (has_room && finder->writer[i] != SINQ_NO_OPERATION) has_room = add_reader_groups(finder, i);
    }
    return has_room;
}

static void find_writers(struct finder *finder) {
    for (uint32_t i = 0; i < finder->graph->operation_count; i++) {
        finder->writer[i] = SINQ_NO_OPERATION;
        if (!is_reader(op_at(finder, i))) continue;
        const uint32_t writer = sinq_find_writer(finder->graph, i, input_range(finder, i));
        finder->writer[i] = writer == SINQ_NO_OPERATION ? writer : look_through_cache(finder, writer);
    }
}

int sinq_find_absorb_groups(const struct sinq_graph *graph, struct sinq_absorb_groups *groups,
                            struct sinq_error *error) {
    *groups = (struct sinq_absorb_groups){.groups = NULL};
    struct finder finder = {.graph = graph, .groups = groups};
    finder.uses = calloc((size_t)graph->want_count + 1, sizeof *finder.uses);
    finder.writer = calloc((size_t)graph->operation_count + 1, sizeof *finder.writer);
    bool has_room = finder.uses != NULL && finder.writer != NULL;
    if (has_room) {
        count_uses(&finder);
        find_writers(&finder);
        has_room = add_all_groups(&finder);
    }
    free(finder.uses);
    free(finder.writer);
    return has_room ? SINQ_OK : sinq_fail_memory(error, "groups of linear layers", graph->want_count);
}
