/* layout_entries.h: what a safetensors header says of one planned tensor: one entry, or several of a layer in the reference's layout. */
#ifndef SINQ_FORMATS_LAYOUT_ENTRIES_H
#define SINQ_FORMATS_LAYOUT_ENTRIES_H

#include "layout.h"

struct sinq_layout_entry {
    const char *suffix; /* in place of ".weight" of the tensor's name; NULL: it is called what its file_name says */
    enum sinq_dtype dtype;
    uint32_t rank;
    uint64_t shape[SINQ_MAX_RANK];
    uint64_t offset, bytes; /* within the tensor */
};

/* Their number, at most SINQ_MOST_REFERENCE_PARTS. Bytes and shape of a quantized tensor are known once it is finished. */
size_t sinq_list_layout_entries(const struct sinq_layout_tensor *tensor,
                                struct sinq_layout_entry entries[SINQ_MOST_REFERENCE_PARTS]);

/* Replaces *name; name->failed is set when out of memory. */
void sinq_name_layout_entry(const struct sinq_layout_tensor *tensor, const struct sinq_layout_entry *entry,
                            struct sinq_text *name);

#endif
