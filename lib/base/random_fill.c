#include "base/random_fill.h"

#include <string.h>

enum { LANES = 16 };

/* splitmix64 (Steele, Lea and Flood 2014), which spreads seeds. */
static uint64_t mix(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Sixteen of Marsaglia's xorshift generators (2003) side by side, which the compiler makes vectors of. */
void sinq_fill_random(uint64_t seed, void *out, size_t size) {
    uint32_t state[LANES];
    uint8_t *to = out;
    for (int l = 0; l < LANES; l++) state[l] = (uint32_t)mix(&seed) | 1u; /* never zero */
    while (size > 0) {
        const size_t now = size < sizeof state ? size : sizeof state;
        for (int l = 0; l < LANES; l++) {
            state[l] ^= state[l] << 13;
            state[l] ^= state[l] >> 17;
            state[l] ^= state[l] << 5;
        }
        memcpy(to, state, now);
        to += now;
        size -= now;
    }
}
