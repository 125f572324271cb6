#include "text_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "memory.h"
#include "terminal.h"

#define STEP ((size_t)1 << 18) /* bytes that a buffer grows by at least */

static int fail(struct sinq_error *error, int status, const char *format, ...) SINQ_PRINTF(3, 4);

static int fail(struct sinq_error *error, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->status = status;
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------- */

/* A buffer being filled; one byte of its capacity is kept for the NUL at the end. */
struct buffer {
    char *data;
    size_t size, capacity;
};

static int make_room(struct buffer *buffer, const char *path, struct sinq_error *error) {
    if (buffer->size > SINQ_TEXT_LIMIT)
        return fail(error, SINQ_FAILED, "%.600s: more than %zu bytes of text", path, SINQ_TEXT_LIMIT);
    sinq_reserve(&buffer->data, &buffer->capacity, buffer->size + STEP + 1, 1);
    return SINQ_OK;
}

/* Waits until there is something to read, or a signal: poll, unlike read, is never restarted after one. */
static int wait_for_input(int fd, const char *path, struct sinq_error *error) {
    struct pollfd input = {.fd = fd, .events = POLLIN};
    while (sinq_caught_signal() == 0) {
        if (poll(&input, 1, -1) >= 0) return SINQ_OK;
        if (errno != EINTR) return fail(error, SINQ_FAILED, "%.600s: cannot read: %s", path, strerror(errno));
    }
    return fail(error, SINQ_INTERRUPTED, "%.600s: reading was interrupted", path);
}

static int read_bytes(int fd, const char *path, struct buffer *buffer, struct sinq_error *error) {
    for (;;) {
        int status = make_room(buffer, path, error);
        if (status == SINQ_OK) status = wait_for_input(fd, path, error);
        if (status != SINQ_OK) return status;
        const ssize_t got = read(fd, buffer->data + buffer->size, buffer->capacity - buffer->size - 1);
        if (got < 0 && errno != EINTR)
            return fail(error, SINQ_FAILED, "%.600s: cannot read: %s", path, strerror(errno));
        if (got == 0) return SINQ_OK;
        if (got > 0) buffer->size += (size_t)got;
    }
}

static int read_input(const char *path, struct buffer *buffer, struct sinq_error *error) {
    if (strcmp(path, "-") == 0) return read_bytes(STDIN_FILENO, "standard input", buffer, error);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(error, SINQ_FAILED, "%.600s: cannot open: %s", path, strerror(errno));
    const int status = read_bytes(fd, path, buffer, error);
    close(fd);
    return status;
}

/* ---- gzip (RFC 1952) --------------------------------------------------------------------------------------- */

static bool is_gzip(const struct buffer *buffer) {
    return buffer->size >= 2 && memcmp(buffer->data, "\x1f\x8b", 2) == 0;
}

/* What may follow a member: another one, or zeros that some tapes and tools pad with. */
static bool has_next_member(const z_stream *stream) { return stream->avail_in > 0 && *stream->next_in != 0; }

static bool is_padding(const z_stream *stream) {
    for (uInt i = 0; i < stream->avail_in; i++)
        if (stream->next_in[i] != 0) return false;
    return true;
}

static int inflate_members(z_stream *stream, const char *path, struct buffer *text, struct sinq_error *error) {
    for (;;) {
        const int room = make_room(text, path, error);
        if (room != SINQ_OK) return room;
        if (sinq_caught_signal() != 0) return fail(error, SINQ_INTERRUPTED, "%.600s: interrupted", path);
        const uInt space = (uInt)(text->capacity - text->size - 1);
        stream->next_out = (Bytef *)text->data + text->size;
        stream->avail_out = space;
        const int code = inflate(stream, Z_NO_FLUSH);
        text->size += space - stream->avail_out;
        if (code == Z_STREAM_END && is_padding(stream)) return SINQ_OK;
        if (code == Z_STREAM_END && has_next_member(stream) && inflateReset(stream) == Z_OK) continue;
        if (code == Z_BUF_ERROR || (code == Z_OK && stream->avail_in == 0 && stream->avail_out > 0))
            return fail(error, SINQ_FAILED, "%.600s: the gzip data end too early", path);
        if (code != Z_OK)
            return fail(error, SINQ_FAILED, "%.600s: damaged gzip data: %s", path,
                        stream->msg != NULL ? stream->msg : "it is not deflate");
    }
}

/* Replaces compressed bytes by what they hold. */
static int decompress(const char *path, struct buffer *buffer, struct sinq_error *error) {
    struct buffer text = {.size = 0};
    z_stream stream = {.next_in = (Bytef *)buffer->data, .avail_in = (uInt)buffer->size};
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return fail(error, SINQ_FAILED, "%.600s: out of memory", path);
    const int status = inflate_members(&stream, path, &text, error);
    inflateEnd(&stream);
    if (status != SINQ_OK) {
        free(text.data);
        return status;
    }
    free(buffer->data);
    *buffer = text;
    return SINQ_OK;
}

int sinq_read_text_file(const char *path, char **data, size_t *size, struct sinq_error *error) {
    struct buffer buffer = {.size = 0};
    int status = read_input(path, &buffer, error);
    if (status == SINQ_OK && is_gzip(&buffer)) status = decompress(path, &buffer, error);
    if (status != SINQ_OK) {
        free(buffer.data);
        return status;
    }
    buffer.data[buffer.size] = '\0';
    *data = buffer.data;
    *size = buffer.size;
    return SINQ_OK;
}

/* ---- token ids --------------------------------------------------------------------------------------------- */

static bool is_separator(char c) {
    return c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t' || c == '\v' || c == '\f';
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Reads the number at *at; false where there is none, or one that is no int32. */
static bool read_id(const char *text, size_t size, size_t *at, int32_t *id) {
    int64_t number = 0;
    const size_t first = *at;
    while (*at < size && is_digit(text[*at]) && number <= INT32_MAX) number = 10 * number + (text[(*at)++] - '0');
    const bool is_whole = *at > first && (*at == size || is_separator(text[*at]));
    *id = (int32_t)number;
    return is_whole && number <= INT32_MAX;
}

int sinq_parse_token_ids(const char *text, size_t size, struct sinq_tokens *tokens, struct sinq_error *error) {
    for (size_t at = 0; at < size;) {
        if (is_separator(text[at])) {
            at++;
            continue;
        }
        const size_t first = at;
        int32_t id;
        if (!read_id(text, size, &at, &id))
            return fail(error, SINQ_FAILED,
                        "token ids: byte %zu: expected whole numbers up to %ld, separated by blanks or commas", first,
                        (long)INT32_MAX);
        sinq_reserve(&tokens->ids, &tokens->capacity, tokens->count + 1, sizeof *tokens->ids);
        tokens->ids[tokens->count++] = id;
    }
    return SINQ_OK;
}

size_t sinq_count_crlf(const char *text, size_t size) {
    size_t count = 0;
    const char *at = text;
    const char *const end = text + size;
    while (at < end && (at = memchr(at, '\r', (size_t)(end - at))) != NULL) {
        at++;
        count += at < end && *at == '\n';
    }
    return count;
}
