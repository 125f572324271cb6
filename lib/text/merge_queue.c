#include "text/merge_queue.h"

#include "base/error.h"
#include "text/byte_level.h"
#include "text/unicode.h"

/* ---- adding ---- */

int sinq_merge_queue_add(struct sinq_merge_queue *q, const struct sinq_text *left, const struct sinq_text *right,
                         struct sinq_error *error) {
    const struct sinq_vocabulary *const v = q->vocabulary;
    struct sinq_queued_merge *const m = &q->queued[q->count++];
    m->offset = q->bytes.size;
    sinq_vocabulary_add_kept(v, left->data, left->size, &q->bytes, &m->is_left_literal);
    m->left = q->bytes.size - m->offset;
    sinq_vocabulary_add_kept(v, right->data, right->size, &q->bytes, &m->is_right_literal);
    m->right = q->bytes.size - m->offset - m->left;
    if (m->is_left_literal != m->is_right_literal) { /* together they are literal */
        sinq_text_add_bytes(&q->bytes, left->data, left->size);
        sinq_text_add_bytes(&q->bytes, right->data, right->size);
    }
    m->more = q->bytes.size - m->offset - m->left - m->right;
    if (q->bytes.failed) return sinq_fail_memory(error, "merges", left->size);
    return q->count < SINQ_QUEUED_MERGES ? SINQ_OK : sinq_merge_queue_flush(q, error);
}

/* ---- flushing ---- */

/* Left, right and joined. */
static void fill_lookups(const struct sinq_merge_queue *q, const struct sinq_queued_merge *m,
                         struct sinq_lookup lookups[3]) {
    const char *const left = q->bytes.data + m->offset, *const right = left + m->left;
    lookups[0] = (struct sinq_lookup){.bytes = left, .size = m->left, .is_literal = m->is_left_literal};
    lookups[1] = (struct sinq_lookup){.bytes = right, .size = m->right, .is_literal = m->is_right_literal};
    lookups[2] = m->is_left_literal == m->is_right_literal
                     ? (struct sinq_lookup){.bytes = left, .size = m->left + m->right, .is_literal = m->is_left_literal}
                     : (struct sinq_lookup){.bytes = right + m->right, .size = m->more, .is_literal = true};
}

static void write_kept(const struct sinq_merge_queue *q, const struct sinq_lookup *token, struct sinq_text *text) {
    sinq_text_add(text, "\"");
    if (q->vocabulary->is_byte_level && !token->is_literal) {
        sinq_add_bytes_as_text(token->bytes, token->size, text);
    } else {
        sinq_text_add_bytes(text, token->bytes, token->size);
    }
    sinq_text_add(text, "\"");
}

static int fail_merge(const struct sinq_merge_queue *q, uint64_t rank, const struct sinq_lookup lookups[3],
                      const char *what, struct sinq_error *error) {
    struct sinq_text left = {0}, right = {0};
    write_kept(q, &lookups[0], &left);
    write_kept(q, &lookups[1], &right);
    const int status =
        sinq_fail(error, SINQ_FAILED, "%.300s: model: merge %llu, %.100s with %.100s: %s", q->path,
                  (unsigned long long)rank, left.failed ? "" : left.data, right.failed ? "" : right.data, what);
    sinq_text_free(&left);
    sinq_text_free(&right);
    return status;
}

/* What the boundaries of a token are known by: bytes in a byte-level vocabulary, else characters. */
static uint32_t first_unit(const struct sinq_vocabulary *v, const struct sinq_lookup *token) {
    size_t length;
    return v->is_byte_level ? (unsigned char)token->bytes[0] : sinq_decode_utf8(token->bytes, &length);
}

static uint32_t last_unit(const struct sinq_vocabulary *v, const struct sinq_lookup *token) {
    if (v->is_byte_level) return (unsigned char)token->bytes[token->size - 1];
    return sinq_last_character(token->bytes, token->size);
}

static int add_merge(struct sinq_merge_queue *q, uint64_t rank, const struct sinq_lookup lookups[3],
                     struct sinq_error *error) {
    const struct sinq_lookup *const left = &lookups[0], *const right = &lookups[1], *const joined = &lookups[2];
    if (left->size == 0 || right->size == 0) return fail_merge(q, rank, lookups, "a side is empty", error);
    if (rank >= SINQ_NO_MERGE) return fail_merge(q, rank, lookups, "too many merges", error);
    if (left->id < 0 || right->id < 0) return fail_merge(q, rank, lookups, "not in the vocabulary", error);
    if (joined->id < 0) return fail_merge(q, rank, lookups, "the result is not in the vocabulary", error);
    const bool has_memory =
        sinq_merges_add(q->merges, (uint32_t)left->id, (uint32_t)right->id, (uint32_t)rank, (uint32_t)joined->id) &&
        sinq_merges_join(q->merges, last_unit(q->vocabulary, left), first_unit(q->vocabulary, right));
    return has_memory ? SINQ_OK : sinq_fail_memory(error, "merges", rank);
}

int sinq_merge_queue_flush(struct sinq_merge_queue *q, struct sinq_error *error) {
    struct sinq_lookup lookups[3 * SINQ_QUEUED_MERGES];
    int status = SINQ_OK;
    for (size_t i = 0; i < q->count; i++) fill_lookups(q, &q->queued[i], &lookups[3 * i]);
    sinq_vocabulary_find_all(q->vocabulary, lookups, 3 * q->count);
    for (size_t i = 0; i < q->count; i++) {
        if (lookups[3 * i].id >= 0 && lookups[3 * i + 1].id >= 0) {
            sinq_merges_prefetch(q->merges, (uint32_t)lookups[3 * i].id, (uint32_t)lookups[3 * i + 1].id);
        }
    }
    for (size_t i = 0; i < q->count && status == SINQ_OK; i++) {
        status = add_merge(q, q->next_rank + i, &lookups[3 * i], error);
    }
    q->next_rank += q->count;
    q->count = q->bytes.size = 0;
    return status;
}

void sinq_merge_queue_free(struct sinq_merge_queue *q) { sinq_text_free(&q->bytes); }
