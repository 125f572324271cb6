/*
 * merge_queue.h: merges on their way from tokenizer.json into the table. Each needs three tokens looked up, which lie anywhere in megabytes:
 * a queue of them is looked up together.
 */
#ifndef SINQ_TEXT_MERGE_QUEUE_H
#define SINQ_TEXT_MERGE_QUEUE_H

#include "text/merges.h"
#include "text/vocabulary.h"

#define SINQ_QUEUED_MERGES 16u

struct sinq_queued_merge {
    size_t offset;            /* of its bytes: left, right, and joined where that is not both in a row */
    size_t left, right, more; /* sizes */
    bool is_left_literal, is_right_literal;
};

struct sinq_merge_queue {
    const struct sinq_vocabulary *vocabulary;
    struct sinq_merges *merges;
    const char *path;   /* for messages */
    uint64_t next_rank; /* of the first in the queue */
    struct sinq_queued_merge queued[SINQ_QUEUED_MERGES];
    size_t count;
    struct sinq_text bytes;
};

/* Tokens as written. SINQ_FAILED where this or an earlier merge is of unknown tokens. */
int sinq_merge_queue_add(struct sinq_merge_queue *queue, const struct sinq_text *left, const struct sinq_text *right,
                         struct sinq_error *error);
/* What is in the queue goes into the table. */
int sinq_merge_queue_flush(struct sinq_merge_queue *queue, struct sinq_error *error);
void sinq_merge_queue_free(struct sinq_merge_queue *queue);

#endif
