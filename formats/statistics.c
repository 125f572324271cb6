/*
 * statistics.c: statistics of layers' inputs as a safetensors file: a matrix for each input, f32, named by the first weight that reads
 * it. The hash of all matrices is in the header, so that other statistics have other headers.
 */
#define _GNU_SOURCE /* mkostemp */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "formats.h"

#define HASH_DIGITS 32

struct output {
    const struct sinq_statistics_file *options;
    char *path; /* that it grows under; of a file without a name what leads to it */
    int fd;
    uint64_t size, hash_at;
    struct sinq_hasher *hasher;
};

/* ---- names ---- */

static bool exists(const char *path) {
    struct stat facts;
    return lstat(path, &facts) == 0;
}

static int open_named(struct output *output, struct sinq_error *error) {
    const char *const path = output->options->path;
    const size_t size = strlen(path) + sizeof ".partial";
    if (!output->options->force && exists(path)) {
        return sinq_fail(error, SINQ_FAILED, "%s: exists already; --force replaces it", path);
    }
    output->path = malloc(size);
    if (output->path == NULL) return sinq_fail_memory(error, "a path", size);
    (void)snprintf(output->path, size, "%s.partial", path);
    if (output->options->force) (void)unlink(output->path);
    output->fd = open(output->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (output->fd >= 0) return SINQ_OK;
    if (errno != EEXIST) return sinq_fail_errno(error, "%s: cannot create", output->path);
    return sinq_fail(error, SINQ_FAILED, "%s: exists, of a run that was killed or is at work; --force replaces it",
                     output->path);
}

/* The name goes before anything is written: whatever ends the program, nothing is left. */
static int open_nameless(struct output *output, struct sinq_error *error) {
    const char *const beside = output->options->beside;
    const size_t size = strlen(beside) + sizeof ".statistics-XXXXXX";
    size_t length = strlen(beside);
    while (length > 1 && beside[length - 1] == '/') length--;
    char *const name = malloc(size);
    output->path = malloc(40);
    if (name == NULL || output->path == NULL) {
        free(name);
        return sinq_fail_memory(error, "a path", size);
    }
    (void)snprintf(name, size, "%.*s.statistics-XXXXXX", (int)length, beside);
    output->fd = mkostemp(name, O_CLOEXEC);
    const int status =
        output->fd >= 0 && unlink(name) == 0 ? SINQ_OK : sinq_fail_errno(error, "%s: cannot create", name);
    (void)snprintf(output->path, 40, "/proc/self/fd/%d", output->fd);
    free(name);
    return status;
}

static int give_name(const struct output *output, struct sinq_error *error) {
    const char *const path = output->options->path;
    if (fsync(output->fd) != 0) return sinq_fail_errno(error, "%s: cannot sync", output->path);
    if (!output->options->force && exists(path)) {
        return sinq_fail(error, SINQ_FAILED, "%s: exists already; --force replaces it", path);
    }
    return rename(output->path, path) == 0 ? SINQ_OK : sinq_fail_errno(error, "%s: cannot rename", output->path);
}

/* ---- contents ---- */

static int append(struct output *output, const void *bytes, uint64_t size, struct sinq_error *error) {
    const int status = sinq_write_at(output->fd, output->path, output->size, size, bytes, error);
    output->size += size;
    return status;
}

static int write_values(void *writer, const void *bytes, uint64_t size, struct sinq_error *error) {
    struct output *const output = writer;
    sinq_hasher_update(output->hasher, bytes, (size_t)size);
    return append(output, bytes, size, error);
}

/* Room for the hash, which is known at the end. */
static uint64_t print_header(const struct sinq_layer_input *inputs, size_t count, size_t token_count, uint32_t window,
                             struct sinq_text *text) {
    uint64_t offset = 0;
    sinq_text_print(text,
                    "{\"__metadata__\":{\"sinq.statistics\":\"inputs\",\"sinq.tokens\":\"%zu\",\"sinq.window\":\"%u\","
                    "\"sinq.hash\":\"",
                    token_count, window);
    const uint64_t hash_at = text->size;
    sinq_text_print(text, "%0*d\"}", HASH_DIGITS, 0);
    for (size_t i = 0; i < count; i++) {
        const uint64_t width = inputs[i].width, matrices = inputs[i].count;
        const uint64_t end = offset + matrices * width * width * sizeof(float);
        sinq_text_add(text, ",");
        sinq_text_add_json(text, inputs[i].name);
        sinq_text_add(text, ":{\"dtype\":\"F32\",\"shape\":[");
        if (matrices > 1) sinq_text_print(text, "%llu,", (unsigned long long)matrices);
        sinq_text_print(text, "%llu,%llu],\"data_offsets\":[%llu,%llu]}", (unsigned long long)width,
                        (unsigned long long)width, (unsigned long long)offset, (unsigned long long)end);
        offset = end;
    }
    sinq_text_add(text, "}");
    while (!text->failed && text->size % 8 != 0) sinq_text_add(text, " ");
    return hash_at;
}

static int write_header(struct output *output, const struct sinq_layer_input *inputs, size_t count, size_t token_count,
                        uint32_t window, struct sinq_error *error) {
    struct sinq_text text = {0};
    uint8_t size[8];
    output->hash_at = sizeof size + print_header(inputs, count, token_count, window, &text);
    output->hasher = sinq_hasher_create();
    int status = text.failed || output->hasher == NULL ? sinq_fail_memory(error, "a header", text.size) : SINQ_OK;
    for (unsigned i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)text.size >> 8 * i);
    if (status == SINQ_OK) status = append(output, size, sizeof size, error);
    if (status == SINQ_OK) status = append(output, text.data, text.size, error);
    sinq_text_free(&text);
    return status;
}

static int write_hash(struct output *output, struct sinq_error *error) {
    char hash[HASH_DIGITS + 1];
    sinq_hash_to_text(sinq_hasher_finish(output->hasher), hash);
    output->hasher = NULL;
    return sinq_write_at(output->fd, output->path, output->hash_at, HASH_DIGITS, hash, error);
}

static int fill_output(struct output *output, const struct sinq_source *source, const struct sinq_model *model,
                       const int32_t *tokens, size_t count, struct sinq_error *error) {
    const struct sinq_statistics_file *const options = output->options;
    struct sinq_layer_input *inputs = NULL;
    size_t input_count;
    int status = sinq_list_layer_inputs(model, &inputs, &input_count, error);
    if (status == SINQ_OK) status = write_header(output, inputs, input_count, count, options->window, error);
    const struct sinq_statistics_options collect = {.window = options->window,
                                                    .threads = options->threads,
                                                    .write = write_values,
                                                    .writer = output,
                                                    .progress = options->progress,
                                                    .user = options->user};
    if (status == SINQ_OK) status = sinq_collect_statistics(source, model, tokens, count, &collect, error);
    if (status == SINQ_OK) status = write_hash(output, error);
    free(inputs);
    return status;
}

int sinq_make_statistics(const struct sinq_source *source, const struct sinq_model *model, const int32_t *tokens,
                         size_t count, const struct sinq_statistics_file *options, struct sinq_source **statistics,
                         struct sinq_error *error) {
    struct output output = {.options = options, .fd = -1};
    *statistics = NULL;
    int status = options->path != NULL ? open_named(&output, error) : open_nameless(&output, error);
    if (status == SINQ_OK) status = fill_output(&output, source, model, tokens, count, error);
    if (status == SINQ_OK && options->path != NULL) status = give_name(&output, error);
    if (status != SINQ_OK && options->path != NULL && output.fd >= 0) (void)unlink(output.path);
    const char *const found = options->path != NULL ? options->path : output.path;
    if (status == SINQ_OK) status = sinq_open_checkpoint(found, statistics, error);
    sinq_hasher_free(output.hasher);
    if (output.fd >= 0) (void)close(output.fd);
    free(output.path);
    return status;
}
