/* machine_memory.h: how much memory there is to have, and how much this process took. */
#ifndef SINQ_CMD_MACHINE_MEMORY_H
#define SINQ_CMD_MACHINE_MEMORY_H

#include <stdint.h>

/* Bytes that can be allocated without swapping: what the kernel says is available, or less where a cgroup limits; 0: unknown. */
uint64_t sinq_available_memory(void);

/* The most that was resident at once, mapped files included. */
uint64_t sinq_peak_memory(void);

#endif
