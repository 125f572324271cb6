/*
 * memory.h: allocation for the command line's own small needs. A program that cannot even hold a table of names has
 * nothing better to do than say so and stop: these never return NULL.
 */
#ifndef SINQ_CMD_MEMORY_H
#define SINQ_CMD_MEMORY_H

#include <stddef.h>

#include "sinq.h"

/* `count` zeroed elements, freed by free(). */
void *sinq_allocate(size_t count, size_t size);

/* Room for at least `needed` elements of `size` bytes in *array, which now has *capacity of them; grows by half. */
void sinq_reserve(void *array, size_t *capacity, size_t needed, size_t size);

/* A formatted string, freed by free(). */
char *sinq_format(const char *format, ...) SINQ_PRINTF(1, 2);

#endif
