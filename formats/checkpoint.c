/* checkpoint.c: opening a checkpoint, whatever its format. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "directory.h"
#include "formats.h"
#include "gguf_source.h"
#include "weights.h"

/* A file that cannot be opened is left to the reader, which says why. */
static bool starts_as_gguf(const char *path) {
    uint8_t start[4];
    struct sinq_input input = {.path = path};
    if (sinq_open_file(path, &input.fd, &input.bytes, NULL) != SINQ_OK) return false;
    const bool is_read = sinq_input_read(&input, 0, sizeof start, start, NULL) == SINQ_OK;
    close(input.fd);
    return is_read && sinq_is_gguf(start, sizeof start);
}

static int open_single_file(const char *path, struct sinq_source **source, struct sinq_error *error) {
    struct sinq_weights *const weights = sinq_weights_create(path, "safetensors file", false);
    if (weights == NULL) return sinq_fail_memory(error, path, sizeof *weights);
    int status = sinq_weights_add_shard(weights, path, error);
    if (status == SINQ_OK) status = sinq_weights_finish(weights, error);
    if (status != SINQ_OK) {
        sinq_source_close(&weights->base);
        return status;
    }
    weights->base.quantization = weights->header_quantization;
    weights->header_quantization = NULL;
    *source = &weights->base;
    return SINQ_OK;
}

int sinq_open_checkpoint(const char *path, struct sinq_source **source, struct sinq_error *error) {
    struct stat facts;
    *source = NULL;
    if (error != NULL) *error = (struct sinq_error){0};
    if (stat(path, &facts) != 0) return sinq_fail_errno(error, "%s: cannot open", path);
    if (S_ISDIR(facts.st_mode)) return sinq_open_directory(path, source, error);
    if (starts_as_gguf(path)) return sinq_open_gguf(path, source, error);
    return open_single_file(path, source, error);
}
