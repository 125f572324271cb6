/*
 * bench_tokenizer: how fast real tokenizers load and work. Usage: bench_tokenizer TOKENIZER.json... -- TEXT...
 * The texts are repeated to about 10 MB. One thread; processor time, best of some repetitions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/text.h"
#include "sinq.h"

#define REPETITIONS 5
#define TEXT_BYTES  ((size_t)10000000)

static _Noreturn void fail(const struct sinq_error *error) {
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static double seconds_since(clock_t begin) { return (double)(clock() - begin) / CLOCKS_PER_SEC; }

static void add_file(const char *path, struct sinq_text *text) {
    struct sinq_error error;
    char *data;
    size_t size;
    if (sinq_read_file(path, (uint64_t)1 << 30, &data, &size, &error) != SINQ_OK) fail(&error);
    sinq_text_add_bytes(text, data, size);
    free(data);
}

/* Whole files, one behind the other, until there is enough. */
static struct sinq_text make_text(char **paths, int count) {
    struct sinq_text text = {0};
    for (int i = 0; text.size < TEXT_BYTES; i = (i + 1) % count) add_file(paths[i], &text);
    return text;
}

static struct sinq_tokenizer *time_loading(const char *path, double *seconds) {
    struct sinq_text json = {0};
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_error error;
    add_file(path, &json);
    *seconds = 1e9;
    for (int i = 0; i < REPETITIONS; i++) {
        sinq_tokenizer_free(tokenizer);
        const clock_t begin = clock();
        if (sinq_parse_tokenizer(path, json.data, json.size, &tokenizer, &error) != SINQ_OK) fail(&error);
        const double now = seconds_since(begin);
        if (now < *seconds) *seconds = now;
    }
    sinq_text_free(&json);
    return tokenizer;
}

static double time_tokenizing(const struct sinq_tokenizer *tokenizer, const struct sinq_text *text,
                              struct sinq_tokens *tokens) {
    struct sinq_error error;
    double best = 1e9;
    for (int i = 0; i < REPETITIONS; i++) {
        sinq_tokens_free(tokens);
        const clock_t begin = clock();
        if (sinq_tokenize(tokenizer, text->data, text->size, 0, tokens, &error) != SINQ_OK) fail(&error);
        const double now = seconds_since(begin);
        if (now < best) best = now;
    }
    return best;
}

static double time_decoding(const struct sinq_tokenizer *tokenizer, const struct sinq_tokens *tokens) {
    struct sinq_text_stream *stream;
    struct sinq_error error;
    const char *bytes;
    size_t size;
    const clock_t begin = clock();
    if (sinq_open_text_stream(tokenizer, false, &stream, &error) != SINQ_OK) fail(&error);
    for (size_t i = 0; i < tokens->count; i++) {
        if (sinq_text_stream_add(stream, tokens->ids[i], &bytes, &size, &error) != SINQ_OK) fail(&error);
    }
    sinq_text_stream_free(stream);
    return seconds_since(begin);
}

int main(int count, char **arguments) {
    int texts = 1;
    while (texts < count && strcmp(arguments[texts], "--") != 0) texts++;
    if (texts + 1 >= count) return fprintf(stderr, "usage: %s TOKENIZER.json... -- TEXT...\n", arguments[0]), 2;
    struct sinq_text text = make_text(arguments + texts + 1, count - texts - 1);
    printf("%.1f MB of text\n%8s %12s %14s %14s  %s\n", (double)text.size / 1e6, "load", "tokenize", "tokens", "decode",
           "tokenizer");
    for (int i = 1; i < texts; i++) {
        struct sinq_tokens tokens = {0};
        double loading;
        struct sinq_tokenizer *const tokenizer = time_loading(arguments[i], &loading);
        const double seconds = time_tokenizing(tokenizer, &text, &tokens);
        const double decoding = time_decoding(tokenizer, &tokens);
        printf("%6.3f s %7.1f MB/s %14zu %9.1f MB/s  %s\n", loading, (double)text.size / 1e6 / seconds, tokens.count,
               (double)text.size / 1e6 / decoding, arguments[i]);
        sinq_tokens_free(&tokens);
        sinq_tokenizer_free(tokenizer);
    }
    sinq_text_free(&text);
    return 0;
}
