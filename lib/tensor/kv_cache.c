#include "tensor/kv_cache.h"

#include "base/checked.h"

/* Appends a section of heads x capacity x entry bytes; *end becomes its end, rounded up to a line. */
static bool place_section(const struct sinq_cache_layout *layout, uint64_t entry, uint64_t *offset, uint64_t *end) {
    uint64_t bytes;
    *offset = *end;
    if (!sinq_multiply_u64((uint64_t)layout->shape.kv_heads * layout->capacity, entry, &bytes)) return false;
    if (!sinq_add_u64(*end, bytes, end) || *end > UINT64_MAX - 64) return false;
    *end = sinq_round_up(*end, 64);
    return true;
}

bool sinq_cache_measure(struct sinq_cache_shape shape, enum sinq_kv_type type, uint32_t capacity,
                        struct sinq_cache_layout *layout) {
    *layout = (struct sinq_cache_layout){.shape = shape, .type = type, .capacity = capacity};
    const uint64_t element = sinq_kv_value_bytes(type);
    const uint64_t scale = type == SINQ_KV_I8 ? 4 : 0, has_values = shape.shared ? 0 : 1;
    return place_section(layout, shape.key_dim * element, &layout->key_offset, &layout->bytes) &&
           place_section(layout, scale, &layout->key_scale_offset, &layout->bytes) &&
           place_section(layout, has_values * shape.value_dim * element, &layout->value_offset, &layout->bytes) &&
           place_section(layout, has_values * scale, &layout->value_scale_offset, &layout->bytes);
}
