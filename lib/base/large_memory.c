#define _DEFAULT_SOURCE /* madvise */
#include "base/large_memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/checked.h"

#define LARGE_PAGE     ((uint64_t)2 << 20)
#define SMALL_ALIGN    ((uint64_t)64)
#define LEAST_OF_LARGE (LARGE_PAGE / 2)

void *sinq_allocate_large(uint64_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    const uint64_t alignment = bytes >= LEAST_OF_LARGE ? LARGE_PAGE : SMALL_ALIGN;
    void *const memory = aligned_alloc((size_t)alignment, (size_t)sinq_round_up(bytes, alignment));
#ifdef MADV_HUGEPAGE
    /* A wish: without large pages it is only slower. */
    if (memory != NULL && alignment == LARGE_PAGE) {
        (void)madvise(memory, (size_t)sinq_round_up(bytes, alignment), MADV_HUGEPAGE);
    }
#endif
    return memory;
}
