/* huge_memory.h: large zeroed memory in huge pages where the system has them: reading it is not bound by address translation. */
#ifndef SINQ_BASE_HUGE_MEMORY_H
#define SINQ_BASE_HUGE_MEMORY_H

#include <stdint.h>

/* NULL where there is none. Pages come when they are first written to. */
void *sinq_map_memory(uint64_t bytes);
void sinq_unmap_memory(void *memory, uint64_t bytes); /* of as many bytes; NULL is nothing */

#endif
