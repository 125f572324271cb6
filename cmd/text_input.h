/*
 * text_input.h: text that `run` and `eval` are given: a file, plain or compressed with gzip, or standard input; and token ids
 * in place of text. Files are recognised by content, never by suffix.
 */
#ifndef SINQ_CMD_TEXT_INPUT_H
#define SINQ_CMD_TEXT_INPUT_H

#include "sinq.h"

/* The most that is read, compressed or not: a gigabyte. */
#define SINQ_TEXT_LIMIT ((size_t)1 << 30)

/*
 * All of a file ("-" is standard input, a pipe will do), decompressed where it is gzip. *data is malloc'ed and NUL-terminated
 * behind its *size bytes, which may hold any value. SINQ_INTERRUPTED when a signal was caught while waiting for input.
 */
int sinq_read_text_file(const char *path, char **data, size_t *size, struct sinq_error *error);

/*
 * Appends the ids written in text[0..size), whole numbers separated by white space, commas or both. *tokens is zero or filled
 * before, and is the caller's to free whatever is returned. No ids at all are no error.
 */
int sinq_parse_token_ids(const char *text, size_t size, struct sinq_tokens *tokens, struct sinq_error *error);

/* Lines that end in CR LF: models have hardly seen such text, which makes nonsense of a perplexity. */
size_t sinq_count_crlf(const char *text, size_t size);

#endif
