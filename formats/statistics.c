/* statistics.c: statistics of layers' inputs as a safetensors file: a matrix for each input, f32, named by the first weight that reads it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "formats.h"

struct output {
    FILE *file;
    char *path; /* of the partial file */
};

static int write_bytes(void *writer, const void *bytes, uint64_t size, struct sinq_error *error) {
    const struct output *const output = writer;
    if (fwrite(bytes, 1, (size_t)size, output->file) == size) return SINQ_OK;
    return sinq_fail_errno(error, "%s: cannot write", output->path);
}

/* What the text was is in the header, so that files of other texts have other headers. */
static void print_header(const struct sinq_layer_input *inputs, size_t count, const int32_t *tokens, size_t token_count,
                         struct sinq_text *text) {
    char hash[33];
    uint64_t offset = 0;
    sinq_hash_to_text(sinq_hash_bytes(tokens, token_count * sizeof *tokens), hash);
    sinq_text_print(text,
                    "{\"__metadata__\":{\"sinq.statistics\":\"inputs\",\"sinq.tokens\":\"%zu\",\"sinq.window\":\"%u\","
                    "\"sinq.text\":\"%s\"}",
                    token_count, SINQ_CALIBRATION_WINDOW, hash);
    for (size_t i = 0; i < count; i++) {
        const uint64_t width = inputs[i].width, end = offset + width * width * sizeof(float);
        sinq_text_add(text, ",");
        sinq_text_add_json(text, inputs[i].name);
        sinq_text_print(text, ":{\"dtype\":\"F32\",\"shape\":[%llu,%llu],\"data_offsets\":[%llu,%llu]}",
                        (unsigned long long)width, (unsigned long long)width, (unsigned long long)offset,
                        (unsigned long long)end);
        offset = end;
    }
    sinq_text_add(text, "}");
    while (!text->failed && text->size % 8 != 0) sinq_text_add(text, " ");
}

static int write_header(struct output *output, const struct sinq_text *text, struct sinq_error *error) {
    uint8_t size[8];
    if (text->failed) return sinq_fail_memory(error, "a header", text->size);
    for (unsigned i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)text->size >> 8 * i);
    const int status = write_bytes(output, size, sizeof size, error);
    return status == SINQ_OK ? write_bytes(output, text->data, text->size, error) : status;
}

static int open_output(const char *path, struct output *output, struct sinq_error *error) {
    const size_t size = strlen(path) + sizeof ".partial";
    output->path = malloc(size);
    if (output->path == NULL) return sinq_fail_memory(error, "a path", size);
    (void)snprintf(output->path, size, "%s.partial", path);
    output->file = fopen(output->path, "wb");
    return output->file != NULL ? SINQ_OK : sinq_fail_errno(error, "%s: cannot create", output->path);
}

/* Under its name once it is there as a whole; otherwise nothing is left. */
static int close_output(struct output *output, const char *path, int status, struct sinq_error *error) {
    if (output->file != NULL) {
        const bool is_written = fflush(output->file) == 0 && fsync(fileno(output->file)) == 0;
        if (status == SINQ_OK && !is_written) status = sinq_fail_errno(error, "%s: cannot write", output->path);
        (void)fclose(output->file);
        if (status == SINQ_OK && rename(output->path, path) != 0)
            status = sinq_fail_errno(error, "%s: cannot rename", path);
        if (status != SINQ_OK) (void)unlink(output->path);
    }
    free(output->path);
    return status;
}

int sinq_save_statistics(const struct sinq_source *source, const struct sinq_model *model, const int32_t *tokens,
                         size_t count, const struct sinq_save_options *options, struct sinq_error *error) {
    struct output output = {.file = NULL};
    struct sinq_text text = {0};
    struct sinq_layer_input *inputs = NULL;
    size_t input_count;
    int status = sinq_list_layer_inputs(model, &inputs, &input_count, error);
    if (status == SINQ_OK) status = open_output(options->path, &output, error);
    if (status == SINQ_OK) {
        print_header(inputs, input_count, tokens, count, &text);
        status = write_header(&output, &text, error);
    }
    const struct sinq_statistics_options collect = {.threads = options->threads,
                                                    .write = write_bytes,
                                                    .writer = &output,
                                                    .progress = options->progress,
                                                    .user = options->user};
    if (status == SINQ_OK) status = sinq_collect_statistics(source, model, tokens, count, &collect, error);
    sinq_text_free(&text);
    free(inputs);
    return close_output(&output, options->path, status, error);
}
