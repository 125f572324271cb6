#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "text/byte_level.h"

/* ---- the index ---- */

static uint64_t hash_token(const char *bytes, size_t size, bool is_literal) {
    return XXH3_64bits_withSeed(bytes, size, is_literal);
}

/* The slot that holds the token, or the free one where it belongs. */
static struct sinq_vocabulary_slot *find_slot(const struct sinq_vocabulary *v, uint64_t hash, const char *bytes,
                                              size_t size, bool is_literal) {
    uint64_t i = hash & v->mask;
    for (; v->slots[i].id != 0; i = (i + 1) & v->mask) {
        const struct sinq_vocabulary_slot *const slot = &v->slots[i];
        if (slot->hash != hash >> 32 || slot->size != size || slot->is_literal != is_literal) continue;
        if (size == 0 || memcmp(v->bytes.data + slot->offset, bytes, size) == 0) break;
    }
    return &v->slots[i];
}

static struct sinq_vocabulary_slot make_slot(const struct sinq_token *token, uint32_t id, uint64_t hash) {
    return (struct sinq_vocabulary_slot){(uint32_t)(hash >> 32), id + 1, token->offset, token->size, token->is_literal};
}

static bool grow_index(struct sinq_vocabulary *v) {
    if (v->slots != NULL && 3 * ((uint64_t)v->used + 1) <= 2 * v->mask) return true;
    const uint64_t count = v->slots == NULL ? 1024 : 2 * (v->mask + 1);
    struct sinq_vocabulary_slot *const slots = calloc((size_t)count, sizeof *slots);
    if (slots == NULL) return false;
    free(v->slots);
    v->slots = slots;
    v->mask = count - 1;
    for (uint32_t id = 0; id < v->limit; id++) {
        const struct sinq_token *const token = &v->tokens[id];
        if (!token->is_used) continue;
        const uint64_t hash = hash_token(v->bytes.data + token->offset, token->size, token->is_literal);
        uint64_t i = hash & v->mask;
        while (slots[i].id != 0) i = (i + 1) & v->mask;
        slots[i] = make_slot(token, id, hash);
    }
    return true;
}

/* ---- adding ---- */

static bool grow_tokens(struct sinq_vocabulary *v, uint32_t id) {
    if (id < v->capacity) return true;
    const uint32_t capacity = id + 1 < 2 * v->capacity ? 2 * v->capacity : id + 1 < 256 ? 256 : id + 1;
    struct sinq_token *const tokens = realloc(v->tokens, capacity * sizeof *tokens);
    if (tokens == NULL) return false;
    memset(tokens + v->capacity, 0, (capacity - v->capacity) * sizeof *tokens);
    v->tokens = tokens;
    v->capacity = capacity;
    return true;
}

static int fail_memory(struct sinq_error *error) { return sinq_fail_memory(error, "a vocabulary", SINQ_TOKEN_BYTES); }

void sinq_vocabulary_add_kept(const struct sinq_vocabulary *v, const char *token, size_t size, struct sinq_text *bytes,
                              bool *is_literal) {
    const size_t offset = bytes->size;
    size_t count = size;
    *is_literal = false;
    sinq_text_add_bytes(bytes, token, size);
    if (bytes->failed || !v->is_byte_level) return;
    *is_literal = !sinq_text_to_bytes(token, size, bytes->data + offset, &count);
    if (*is_literal) memcpy(bytes->data + offset, token, count = size);
    bytes->size = offset + count;
}

int sinq_vocabulary_add(struct sinq_vocabulary *v, const char *path, const char *token, size_t size, uint64_t id,
                        struct sinq_error *error) {
    if (id >= SINQ_TOKEN_LIMIT) {
        return sinq_fail(error, SINQ_FAILED, "%.300s: token \"%.100s\" has id %llu, ids below %llu were expected", path,
                         token, (unsigned long long)id, (unsigned long long)SINQ_TOKEN_LIMIT);
    }
    if (size > SINQ_TOKEN_BYTES) {
        return sinq_fail(error, SINQ_FAILED, "%.300s: a token of %zu bytes, at most %zu were expected", path, size,
                         SINQ_TOKEN_BYTES);
    }
    if (!grow_tokens(v, (uint32_t)id) || !grow_index(v)) return fail_memory(error);
    if (v->tokens[id].is_used) {
        return sinq_fail(error, SINQ_FAILED, "%.300s: id %llu is that of two tokens, one of them \"%.100s\"", path,
                         (unsigned long long)id, token);
    }
    const size_t offset = v->bytes.size;
    bool is_literal;
    sinq_vocabulary_add_kept(v, token, size, &v->bytes, &is_literal);
    if (v->bytes.failed || v->bytes.size > UINT32_MAX) return fail_memory(error);
    const size_t count = v->bytes.size - offset;
    const uint64_t hash = hash_token(v->bytes.data + offset, count, is_literal);
    struct sinq_vocabulary_slot *const slot = find_slot(v, hash, v->bytes.data + offset, count, is_literal);
    if (slot->id != 0) {
        return sinq_fail(error, SINQ_FAILED, "%.300s: token \"%.100s\" is in the vocabulary twice", path, token);
    }
    v->tokens[id] = (struct sinq_token){(uint32_t)offset, (uint16_t)count, true, is_literal};
    *slot = make_slot(&v->tokens[id], (uint32_t)id, hash);
    v->used++;
    if (id >= v->limit) v->limit = (uint32_t)id + 1;
    return SINQ_OK;
}

/* ---- finding ---- */

static int32_t find(const struct sinq_vocabulary *v, const char *bytes, size_t size, bool is_literal) {
    if (v->slots == NULL) return -1;
    return (int32_t)find_slot(v, hash_token(bytes, size, is_literal), bytes, size, is_literal)->id - 1;
}

int32_t sinq_vocabulary_find(const struct sinq_vocabulary *v, const char *bytes, size_t size) {
    return find(v, bytes, size, false);
}

void sinq_vocabulary_find_all(const struct sinq_vocabulary *v, struct sinq_lookup *lookups, size_t count) {
    for (size_t i = 0; i < count; i++) {
        lookups[i].id = -1;
        lookups[i].hash = hash_token(lookups[i].bytes, lookups[i].size, lookups[i].is_literal);
        if (v->slots != NULL) __builtin_prefetch(&v->slots[lookups[i].hash & v->mask]);
    }
    if (v->slots == NULL) return;
    for (size_t i = 0; i < count; i++) {
        __builtin_prefetch(v->bytes.data + v->slots[lookups[i].hash & v->mask].offset);
    }
    for (size_t i = 0; i < count; i++) {
        const struct sinq_lookup *const l = &lookups[i];
        lookups[i].id = (int32_t)find_slot(v, l->hash, l->bytes, l->size, l->is_literal)->id - 1;
    }
}

int32_t sinq_vocabulary_find_written(const struct sinq_vocabulary *v, const char *token, size_t size) {
    char bytes[SINQ_TOKEN_BYTES];
    size_t count;
    if (size > sizeof bytes) return -1;
    if (!v->is_byte_level) return find(v, token, size, false);
    return sinq_text_to_bytes(token, size, bytes, &count) ? find(v, bytes, count, false) : find(v, token, size, true);
}

bool sinq_vocabulary_write(const struct sinq_vocabulary *v, uint32_t id, struct sinq_text *text) {
    const struct sinq_token *const token = sinq_vocabulary_token(v, id);
    if (token == NULL) return false;
    if (v->is_byte_level && !token->is_literal) {
        sinq_add_bytes_as_text(v->bytes.data + token->offset, token->size, text);
    } else {
        sinq_text_add_bytes(text, v->bytes.data + token->offset, token->size);
    }
    return true;
}

void sinq_vocabulary_free(struct sinq_vocabulary *v) {
    sinq_text_free(&v->bytes);
    free(v->tokens);
    free(v->slots);
    *v = (struct sinq_vocabulary){0};
}
