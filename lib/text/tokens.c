#include "text/tokens.h"

#include <stdlib.h>

#include "base/error.h"

int sinq_tokens_add(struct sinq_tokens *tokens, int32_t id, struct sinq_error *error) {
    if (tokens->count == tokens->capacity) {
        const size_t capacity = tokens->capacity < 32 ? 64 : 2 * tokens->capacity;
        int32_t *const ids = capacity > SIZE_MAX / sizeof *ids ? NULL : realloc(tokens->ids, capacity * sizeof *ids);
        if (ids == NULL) return sinq_fail_memory(error, "token ids", capacity);
        tokens->ids = ids;
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->count++] = id;
    return SINQ_OK;
}

void sinq_tokens_free(struct sinq_tokens *tokens) {
    if (tokens == NULL) return;
    free(tokens->ids);
    *tokens = (struct sinq_tokens){0};
}
