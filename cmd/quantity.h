/* quantity.h: numbers as people read them. Each fills a buffer of SINQ_QUANTITY_SIZE bytes and returns it. */
#ifndef SINQ_CMD_QUANTITY_H
#define SINQ_CMD_QUANTITY_H

#include <stdint.h>

#define SINQ_QUANTITY_SIZE 48

/* "812 B", "6.75 MB": three digits, powers of 1000. */
const char *sinq_format_bytes(char *buffer, uint64_t bytes);

/* "812", "3.34 M", "8.19 B". */
const char *sinq_format_count(char *buffer, uint64_t count);

/* "0.42 s", "3 min 20 s", "1 h 02 min". */
const char *sinq_format_seconds(char *buffer, double seconds);

/* A share as "8.91 %", with three digits. */
const char *sinq_format_percent(char *buffer, double share);

#endif
