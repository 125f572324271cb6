/* attention_store.c: keys and values into the cache. */
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/compute.h"

/* What is not finite must show: such a vector's scale is NaN. What is below 2^-100 counts as zero. */
static void store_int8(const float *values, uint32_t count, uint8_t *codes, uint8_t *scale_at) {
    const struct sinq_compute_kernels *const kernels = sinq_get_compute_kernels();
    const float largest = kernels->find_largest(values, count);
    const bool is_finite = largest < INFINITY, is_zero = !is_finite || largest < 0x1p-100f;
    const float scale = !is_finite ? NAN : is_zero ? 0.0f : largest / 127.0f;
    if (is_zero) {
        memset(codes, 0, count);
    } else {
        kernels->narrow_i8(values, count, 127.0f / largest, codes);
    }
    memcpy(scale_at, &scale, sizeof scale);
}

static void store_vector(enum sinq_kv_type type, const float *values, uint32_t count, uint64_t entry, uint8_t *section,
                         uint8_t *scales) {
    switch (type) {
    case SINQ_KV_F32:
        memcpy(section + entry * count * sizeof(float), values, count * sizeof(float));
        break;
    case SINQ_KV_F16:
        sinq_get_compute_kernels()->narrow_f16(values, count, section + entry * count * sizeof(uint16_t));
        break;
    default:
        store_int8(values, count, section + entry * count, scales + entry * sizeof(float));
        break;
    }
}

void sinq_store_key_value(const struct sinq_cache_layout *layout, uint8_t *cache, uint32_t kv_head, uint64_t position,
                          const float *key, const float *value) {
    const uint64_t entry = sinq_cache_entry(layout, kv_head, position);
    store_vector(layout->type, key, layout->shape.key_dim, entry, cache + layout->key_offset,
                 cache + layout->key_scale_offset);
    if (layout->shape.shared) return;
    store_vector(layout->type, value, layout->shape.value_dim, entry, cache + layout->value_offset,
                 cache + layout->value_scale_offset);
}
