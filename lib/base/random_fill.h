/* random_fill.h: much pseudo-random data, fast: as fast as memory takes it, nearly. Not for anything that must be secret. */
#ifndef SINQ_BASE_RANDOM_FILL_H
#define SINQ_BASE_RANDOM_FILL_H

#include <stddef.h>
#include <stdint.h>

/* The same seed gives the same bytes. */
void sinq_fill_random(uint64_t seed, void *out, size_t size);

#endif
