/*
 * config_reader.h: checked values out of one JSON object of a config.json. A key that is absent or null gives what the caller
 * falls back to.
 *
 * Errors are remembered: after the first fault every function gives its fallback, and `status` says so. A message names the
 * file, the key and what was expected. A reader belongs to one thread and borrows all it points to.
 */
#ifndef SINQ_MODEL_CONFIG_READER_H
#define SINQ_MODEL_CONFIG_READER_H

#include "sinq.h"

struct cJSON;

struct sinq_config_reader {
    const struct cJSON *object; /* the text model's, or a part of it; NULL: nothing is there */
    const char *path;           /* "config.json", for messages */
    const char *inside;         /* "rope_scaling." before keys in messages, or "" */
    int status;
    struct sinq_error *error;
};

#define SINQ_CONFIG_NEEDED UINT64_MAX /* in place of a fallback: the key must be there */

/* A member by name, the last of several; NULL where it is absent or null. */
const struct cJSON *sinq_config_member(const struct sinq_config_reader *reader, const char *key);

/* Whether it is there and null, for the few keys where that is not the same as absent. */
bool sinq_config_is_null(const struct sinq_config_reader *reader, const char *key);

/* A whole number from `least` to `most`. */
uint64_t sinq_config_count(struct sinq_config_reader *reader, const char *key, uint64_t least, uint64_t most,
                           uint64_t fallback);
double sinq_config_number(struct sinq_config_reader *reader, const char *key, double least, double most,
                          double fallback);
bool sinq_config_flag(struct sinq_config_reader *reader, const char *key, bool fallback);
/* A string; belongs to the JSON. */
const char *sinq_config_word(struct sinq_config_reader *reader, const char *key, const char *fallback);
/* An array of exactly `count` numbers from 1e-9 to 1e9, malloc'ed; NULL after a fault. */
double *sinq_config_numbers(struct sinq_config_reader *reader, const char *key, uint32_t count);

/* Fails with "PATH: " and the message, unless it has failed already. */
void sinq_config_fail(struct sinq_config_reader *reader, const char *format, ...) SINQ_PRINTF(2, 3);

#endif
