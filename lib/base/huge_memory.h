/* huge_memory.h: large memory in huge pages where the system has them: walking it is not bound by address translation. */
#ifndef SINQ_BASE_HUGE_MEMORY_H
#define SINQ_BASE_HUGE_MEMORY_H

#include <stdint.h>

/* Zeroed; NULL where there is none. Pages come when they are first written to. */
void *sinq_map_memory(uint64_t bytes);
/* The same in small pages, in which files usually lie that are mapped. */
void *sinq_map_small_pages(uint64_t bytes);
void sinq_unmap_memory(void *memory, uint64_t bytes); /* of as many bytes; NULL is nothing */

/* What so many bytes are best aligned to, and rounded up to: 64, or huge pages from half a MiB on. */
uint64_t sinq_huge_alignment(uint64_t bytes);
/* Asks for huge pages where memory, aligned like that, has not been written to yet. */
void sinq_ask_for_huge_pages(void *memory, uint64_t bytes);

/* As malloc, to be freed with free(): aligned to 64 bytes at least, in huge pages from half a MiB on. */
void *sinq_allocate_huge(uint64_t bytes);

#endif
