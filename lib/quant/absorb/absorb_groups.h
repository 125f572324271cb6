/*
 * absorb_groups.h: which column scales a model can do without, read off its graph.
 *
 * Linear layers W_1, W_2, ... that read the same values x compute the same with columns W_i[.][k] / t[k] from values t[k] x[k].
 * Where those values come from a norm, t goes into its weight; where they are linear in the rows of another layer (an up
 * projection behind a gate; values behind attention, shared by the heads of a group), into those rows and their biases. Such
 * readers, with who produces what they read, are a group. Whether it can be folded follows from the graph alone: all readers are
 * layers with columns, nothing but the producer decides the values, and no weight is also used elsewhere.
 *
 * Groups are immutable once made. Weights are named by their numbers in the graph.
 */
#ifndef SINQ_QUANT_ABSORB_GROUPS_H
#define SINQ_QUANT_ABSORB_GROUPS_H

#include "model/graph.h"

struct sinq_absorb_group {
    const char
        *obstacle;  /* static text: why t cannot go anywhere; NULL where it can. Then only the readers mean something */
    uint32_t width; /* channels: values of t */
    bool is_norm;
    uint32_t producer, bias; /* weights: a norm or a matrix, and the matrix's bias or SINQ_NO_WEIGHT */
    /* Channel c is row first_row + c / run * run_stride + c % run * step of the producer, and value c of a norm. */
    uint64_t first_row, run, run_stride, step;
    size_t first_reader, reader_count; /* in the list of readers */
    /* Column k of a reader takes channel k / run / repeat * run + k % run. */
    uint32_t repeat;
};

struct sinq_absorb_groups {
    struct sinq_absorb_group *groups;
    size_t count, capacity;
    uint32_t *readers; /* weights */
    size_t reader_count, reader_capacity;
};

/* Groups of every matrix that the graph multiplies with. sinq_absorb_groups_free in any case. */
int sinq_find_absorb_groups(const struct sinq_graph *graph, struct sinq_absorb_groups *groups,
                            struct sinq_error *error);
void sinq_absorb_groups_free(struct sinq_absorb_groups *groups);

static inline uint64_t sinq_absorb_row(const struct sinq_absorb_group *group, uint64_t channel) {
    return group->first_row + channel / group->run * group->run_stride + channel % group->run * group->step;
}

static inline uint64_t sinq_absorb_channel(const struct sinq_absorb_group *group, uint64_t column) {
    return column / group->run / group->repeat * group->run + column % group->run;
}

#endif
