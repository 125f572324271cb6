#include "eval/same_bytes.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define CHUNK_BYTES ((uint64_t)1 << 20)

int sinq_is_same_bytes(const struct sinq_source *a, size_t tensor_a, const struct sinq_source *b, size_t tensor_b,
                       bool *same, struct sinq_error *error) {
    const uint64_t bytes = sinq_source_tensor(a, tensor_a)->bytes;
    *same = bytes == sinq_source_tensor(b, tensor_b)->bytes;
    if (!*same) return SINQ_OK;
    const uint64_t room = sinq_max_u64(1, sinq_min_u64(CHUNK_BYTES, bytes));
    uint8_t *const buffers = malloc((size_t)(2 * room));
    if (buffers == NULL) return sinq_fail_memory(error, "comparing bytes", 2 * room);
    int status = SINQ_OK;
    for (uint64_t at = 0; at < bytes && *same && status == SINQ_OK; at += room) {
        const uint64_t now = sinq_min_u64(room, bytes - at);
        status = sinq_read_bytes(a, tensor_a, at, now, buffers, error);
        if (status == SINQ_OK) status = sinq_read_bytes(b, tensor_b, at, now, buffers + room, error);
        *same = status == SINQ_OK && memcmp(buffers, buffers + room, (size_t)now) == 0;
    }
    free(buffers);
    return status;
}
