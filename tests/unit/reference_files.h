/* reference_files.h: a made-up model of the reference pass as a checkpoint: config.json and model.safetensors. */
#ifndef SINQ_TESTS_REFERENCE_FILES_H
#define SINQ_TESTS_REFERENCE_FILES_H

#include "base/text.h"
#include "checkpoint_files.h"
#include "reference_model.h"

/* Tensors without bytes only stand for others (mxfp4) and are not written. */
static inline void describe_tensors(const struct reference *r, const char *wrapper, struct sinq_text *header) {
    size_t offset = 0;
    sinq_text_add(header, "{");
    for (size_t i = 0; i < r->tensor_count; i++) {
        const struct reference_tensor *const t = &r->tensors[i];
        if (t->bytes == NULL) continue;
        const bool is_wrapped = strncmp(t->name, "model.", 6) == 0;
        sinq_text_print(header, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", offset == 0 ? "" : ",",
                        is_wrapped ? wrapper : "", is_wrapped ? t->name + 6 : t->name, t->dtype);
        for (uint64_t d = 0; d < t->rank; d++) {
            sinq_text_print(header, "%s%llu", d == 0 ? "" : ",", (unsigned long long)t->shape[d]);
        }
        sinq_text_print(header, "],\"data_offsets\":[%zu,%zu]}", offset, offset + t->size);
        offset += t->size;
    }
    sinq_text_add(header, "}");
}

/* Into the scratch folder, with `wrapper` where names have "model.". */
static inline void write_wrapped(const struct reference *r, const char *wrapper, const char *config) {
    struct sinq_text header = {0};
    size_t size = 0;
    describe_tensors(r, wrapper, &header);
    ck_assert(!header.failed);
    for (size_t i = 0; i < r->tensor_count; i++) size += r->tensors[i].size;
    uint8_t *const data = malloc(size), *next = data;
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < r->tensor_count; i++) {
        if (r->tensors[i].bytes == NULL) continue;
        memcpy(next, r->tensors[i].bytes, r->tensors[i].size);
        next += r->tensors[i].size;
    }
    write_safetensors("model.safetensors", header.data, data, size);
    write_text("config.json", config);
    sinq_text_free(&header);
    free(data);
}

static inline void write_reference(const struct reference *r, const char *config) {
    write_wrapped(r, "model.", config);
}

#endif
