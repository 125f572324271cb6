/* decode_blocks.c: blocks to f32. */
#include "tensor/block_parts.h"
#include "tensor/dtype.h"

static void decode_group(const struct sinq_block_form *form, const struct sinq_block_parts *parts, uint32_t group,
                         float *out) {
    const float scale = parts->scale * (float)parts->scale_codes[group];
    const uint8_t *const codes = parts->codes + group * form->group;
    if (form->levels != NULL) {
        for (uint32_t i = 0; i < form->group; i++) out[i] = scale * (float)form->levels[codes[i]];
        return;
    }
    for (uint32_t i = 0; i < form->group; i++) out[i] = scale * (float)((int32_t)codes[i] - form->zero);
    if (!form->has_minimum) return;
    const float minimum = parts->minimum * (float)parts->minimum_codes[group];
    for (uint32_t i = 0; i < form->group; i++) out[i] -= minimum;
}

void sinq_decode_blocks(const struct sinq_block_type *type, const uint8_t *bytes, size_t count, float *out) {
    if (type->is_plain) {
        sinq_convert_to_float(sinq_block_dtype(type), bytes, count, out);
        return;
    }
    const struct sinq_block_form *const form = sinq_block_form(type);
    for (size_t first = 0; first < count; first += type->values, bytes += type->bytes) {
        struct sinq_block_parts parts;
        sinq_read_block(type, bytes, &parts);
        for (uint32_t g = 0; g * form->group < type->values; g++) {
            decode_group(form, &parts, g, out + first + g * form->group);
        }
    }
}
