/*
 * past_caches.h: copies to memory that is read much later, if at all by this thread: stores that go past the caches need not fetch
 * first what they replace, and push nothing out.
 */
#ifndef SINQ_BASE_PAST_CACHES_H
#define SINQ_BASE_PAST_CACHES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* `to` and `bytes` are multiples of 16. sinq_settle_copies() before another thread reads. */
static inline void sinq_copy_past_caches(uint8_t *to, const uint8_t *from, size_t bytes) {
#ifdef __SSE2__
    for (size_t i = 0; i < bytes; i += sizeof(__m128i)) {
        _mm_stream_si128((__m128i *)(void *)(to + i), _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
    }
#else
    memcpy(to, from, bytes);
#endif
}

static inline void sinq_settle_copies(void) {
#ifdef __SSE2__
    _mm_sfence();
#endif
}

#endif
