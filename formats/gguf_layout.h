/* gguf_layout.h: what GGUF files hold besides tensors, for their layout (layout.h). */
#ifndef SINQ_FORMATS_GGUF_LAYOUT_H
#define SINQ_FORMATS_GGUF_LAYOUT_H

#include "checkpoint/gguf_values.h"
#include "layout.h"

struct sinq_gguf_layout_facts {
    const struct sinq_gguf_values *metadata;
    const char *stem; /* of the names of several files */
};

/*
 * export_metadata.c: all keys of the first file: general.*, the architecture's, tokenizer.*. `view` is of sinq_open_gguf_view, `type`
 * names what most weights become.
 */
int sinq_make_gguf_metadata(const struct sinq_source *view, const char *type, struct sinq_gguf_values *metadata,
                            struct sinq_error *error);

#endif
