#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include "base/huge_memory.h"

#include <stddef.h>
#include <sys/mman.h>

void *sinq_map_memory(uint64_t bytes) {
    if (bytes == 0 || bytes > SIZE_MAX / 2) return NULL;
    void *const memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
#if defined(MADV_HUGEPAGE)
    (void)madvise(memory, (size_t)bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void sinq_unmap_memory(void *memory, uint64_t bytes) {
    if (memory != NULL) (void)munmap(memory, (size_t)bytes);
}
