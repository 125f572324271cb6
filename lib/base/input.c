#include "base/input.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"

int sinq_input_read(const struct sinq_input *input, uint64_t offset, uint64_t size, void *out,
                    struct sinq_error *error) {
    if (offset > input->bytes || size > input->bytes - offset) {
        return sinq_fail(error, SINQ_FAILED, "%s: ends at byte %llu, %llu bytes at %llu were expected", input->path,
                         (unsigned long long)input->bytes, (unsigned long long)size, (unsigned long long)offset);
    }
    if (input->memory == NULL) return sinq_read_at(input->fd, input->path, offset, size, out, error);
    if (size > 0) memcpy(out, input->memory + offset, (size_t)size);
    return SINQ_OK;
}
