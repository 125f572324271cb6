#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include "base/huge_memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/checked.h"

#define HUGE_PAGE     ((uint64_t)2 << 20)
#define LEAST_OF_HUGE (HUGE_PAGE / 4)
#define USUAL_ALIGN   ((uint64_t)64)

uint64_t sinq_huge_alignment(uint64_t bytes) { return bytes >= LEAST_OF_HUGE ? HUGE_PAGE : USUAL_ALIGN; }

/* A wish: without huge pages it is only slower. */
void sinq_ask_for_huge_pages(void *memory, uint64_t bytes) {
#if defined(MADV_HUGEPAGE)
    (void)madvise(memory, (size_t)bytes, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

static void *map_pages(uint64_t bytes) {
    if (bytes == 0 || bytes > SIZE_MAX / 2) return NULL;
    void *const memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void *sinq_map_memory(uint64_t bytes) {
    void *const memory = map_pages(bytes);
    if (memory != NULL) sinq_ask_for_huge_pages(memory, bytes);
    return memory;
}

void *sinq_map_small_pages(uint64_t bytes) {
    void *const memory = map_pages(bytes);
#if defined(MADV_NOHUGEPAGE)
    if (memory != NULL) (void)madvise(memory, (size_t)bytes, MADV_NOHUGEPAGE);
#endif
    return memory;
}

void sinq_unmap_memory(void *memory, uint64_t bytes) {
    if (memory != NULL) (void)munmap(memory, (size_t)bytes);
}

void *sinq_allocate_huge(uint64_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    const uint64_t alignment = sinq_huge_alignment(bytes);
    const uint64_t size = sinq_round_up(bytes, alignment);
    void *const memory = aligned_alloc((size_t)alignment, (size_t)size);
    if (memory != NULL && alignment == HUGE_PAGE) sinq_ask_for_huge_pages(memory, size);
    return memory;
}
