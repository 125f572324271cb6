#include "layout_entries.h"

#include <string.h>

#define WEIGHT_SUFFIX ".weight"

static struct sinq_layout_entry describe_whole(const struct sinq_layout_tensor *tensor) {
    const bool is_quantized = tensor->planned.dtype == SINQ_DUAL_SCALE;
    struct sinq_layout_entry entry = {.dtype = is_quantized ? SINQ_U8 : tensor->planned.dtype,
                                      .rank = is_quantized ? 1 : tensor->planned.rank,
                                      .bytes = tensor->bytes};
    if (is_quantized) {
        entry.shape[0] = tensor->bytes;
    } else {
        memcpy(entry.shape, tensor->planned.shape, sizeof entry.shape);
    }
    return entry;
}

size_t sinq_list_layout_entries(const struct sinq_layout_tensor *tensor,
                                struct sinq_layout_entry entries[SINQ_MOST_REFERENCE_PARTS]) {
    struct sinq_reference_parts parts;
    if (tensor->planned.reference == NULL) {
        entries[0] = describe_whole(tensor);
        return 1;
    }
    sinq_measure_reference(tensor->planned.reference, &parts);
    for (size_t i = 0; i < parts.count; i++) {
        const struct sinq_reference_part *const part = &parts.parts[i];
        entries[i] = (struct sinq_layout_entry){.suffix = part->suffix,
                                                .dtype = part->dtype,
                                                .rank = part->rank,
                                                .offset = part->offset,
                                                .bytes = part->bytes};
        memcpy(entries[i].shape, part->shape, sizeof part->shape);
    }
    return parts.count;
}

void sinq_name_layout_entry(const struct sinq_layout_tensor *tensor, const struct sinq_layout_entry *entry,
                            struct sinq_text *name) {
    name->size = 0;
    if (entry->suffix == NULL) {
        sinq_text_add(name, tensor->file_name);
        return;
    }
    sinq_text_add_bytes(name, tensor->name, strlen(tensor->name) - strlen(WEIGHT_SUFFIX));
    sinq_text_add(name, entry->suffix);
}
