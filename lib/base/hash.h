/* hash.h: XXH3 checksums (xxHash) as 16 bytes and as text. */
#ifndef SINQ_BASE_HASH_H
#define SINQ_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-128 in canonical (big-endian) byte order. */
struct sinq_hash {
    uint8_t bytes[16];
};

struct sinq_hash sinq_hash_bytes(const void *data, size_t size);

/* A running hash: create, update any number of times, finish (which frees it). NULL when out of memory. */
struct sinq_hasher;
struct sinq_hasher *sinq_hasher_create(void);
void sinq_hasher_update(struct sinq_hasher *hasher, const void *data, size_t size);
struct sinq_hash sinq_hasher_finish(struct sinq_hasher *hasher);
void sinq_hasher_free(struct sinq_hasher *hasher);

/* 32 lower-case hexadecimal digits and a NUL. */
void sinq_hash_to_text(struct sinq_hash hash, char text[33]);
int sinq_hash_equal(struct sinq_hash a, struct sinq_hash b);

#endif
