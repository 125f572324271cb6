#include "base/hash.h"

#include <string.h>
#include <xxhash.h>
/* Where the library was built to choose among instruction sets, its header renames the functions to those that do. */
#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif
#endif

static struct sinq_hash to_canonical(XXH128_hash_t value) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, value);
    struct sinq_hash hash;
    memcpy(hash.bytes, canonical.digest, sizeof hash.bytes);
    return hash;
}

struct sinq_hash sinq_hash_bytes(const void *data, size_t size) {
    return to_canonical(XXH3_128bits(data, size));
}

struct sinq_hasher *sinq_hasher_create(void) {
    XXH3_state_t *const state = XXH3_createState();
    if (state != NULL) XXH3_128bits_reset(state);
    return (struct sinq_hasher *)state;
}

void sinq_hasher_update(struct sinq_hasher *hasher, const void *data, size_t size) {
    XXH3_128bits_update((XXH3_state_t *)hasher, data, size);
}

struct sinq_hash sinq_hasher_finish(struct sinq_hasher *hasher) {
    const struct sinq_hash hash = to_canonical(XXH3_128bits_digest((XXH3_state_t *)hasher));
    sinq_hasher_free(hasher);
    return hash;
}

void sinq_hasher_free(struct sinq_hasher *hasher) { XXH3_freeState((XXH3_state_t *)hasher); }

void sinq_hash_to_text(struct sinq_hash hash, char text[33]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof hash.bytes; i++) {
        text[2 * i] = digits[hash.bytes[i] >> 4];
        text[2 * i + 1] = digits[hash.bytes[i] & 15];
    }
    text[32] = '\0';
}

int sinq_hash_equal(struct sinq_hash a, struct sinq_hash b) { return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0; }
