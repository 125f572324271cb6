/* large_memory.h: memory for whole matrices. */
#ifndef SINQ_BASE_LARGE_MEMORY_H
#define SINQ_BASE_LARGE_MEMORY_H

#include <stdint.h>

/*
 * Uninitialized, aligned to 64 bytes at least, freed with free(); NULL when out of memory. From one MiB on the system is asked
 * for large pages: matrices are walked across their rows, which misses the table of small ones at every step.
 */
void *sinq_allocate_large(uint64_t bytes);

#endif
