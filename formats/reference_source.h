/*
 * reference_source.h: the source that reads a directory of the reference implementation (huawei-csl/SINQ, also through transformers).
 * It shows the model as a Hugging Face checkpoint has it: the tensors of a quantized layer are one, LAYER.weight, a SINQ_DUAL_SCALE.
 * Rotary frequencies, which only the reference's loader asks for, are not shown.
 *
 *   reference_source.c   which tensors there are
 *   reference_check.c    whether they fit each other
 *   reference_rows.c     rows of a layer
 *   reference_blob.c     a layer in our layout
 */
#ifndef SINQ_FORMATS_REFERENCE_SOURCE_H
#define SINQ_FORMATS_REFERENCE_SOURCE_H

#include "reference_sidecar.h"
#include "weights.h"

enum sinq_reference_part_id {
    SINQ_REFERENCE_CODES,
    SINQ_REFERENCE_SCALE, /* values, or 8-bit codes under steps and minima */
    SINQ_REFERENCE_SCALE_STEPS,
    SINQ_REFERENCE_SCALE_LOWS,
    SINQ_REFERENCE_COLUMN,
    SINQ_REFERENCE_ZERO,
    SINQ_REFERENCE_ZERO_STEPS,
    SINQ_REFERENCE_ZERO_LOWS,
    SINQ_REFERENCE_PARTS
};

struct sinq_reference_layer {
    struct sinq_reference_meta meta;
    int64_t parts[SINQ_REFERENCE_PARTS]; /* tensors of the files, or -1 */
    uint64_t rows, cols, group;          /* group: the columns that share a scale */
    uint32_t bits;
    const struct sinq_reference_packing *packing; /* NULL: a code a byte */
    bool has_codes;                               /* of scales */
    bool is_tiled, has_one_zero;
    bool is_f16; /* what is no codes */
};

struct sinq_reference_source {
    struct sinq_source base;
    struct sinq_weights *weights; /* the files' tensors */
    struct sinq_reference_layer *layers;
    size_t layer_count;
    struct sinq_arena names;
    struct sinq_reference_tensor {
        size_t tensor;                            /* of the files; of a layer its codes */
        const struct sinq_reference_layer *layer; /* or NULL */
    } * views;                                    /* one for each of base.tensors */
};

/* Whether a checkpoint has tensors as only the reference writes them. */
bool sinq_is_reference(const struct sinq_weights *weights);

/* Takes the weights over, finished, whatever comes of it. */
int sinq_open_reference(struct sinq_weights *weights, const struct sinq_input *sidecar, struct sinq_source **source,
                        struct sinq_error *error);

/* ---- checking ---- */

/* Fills what the layer's parts and meta mean. SINQ_FAILED where they contradict each other. */
int sinq_check_reference_layer(const struct sinq_reference_source *source, struct sinq_reference_layer *layer,
                               struct sinq_error *error);
int sinq_fail_reference_layer(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                              const char *what, struct sinq_error *error);

/* ---- reading ---- */

/*
 * Scales, zeros and column scales of rows [first, first + count): scale and zero [count][groups], column [count][cols] in 2-D
 * tiling, else [cols]. Free them with sinq_free_plain; codes is NULL.
 */
int sinq_read_reference_values(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                               uint64_t first, uint64_t count, struct sinq_plain_matrix *plain,
                               struct sinq_error *error);
/* The column scale of a layer without 2-D tiling: cols values; 1 where it has none. */
int sinq_read_reference_column(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                               float *column, struct sinq_error *error);
/* All codes of a layer, [rows][cols]. */
int sinq_read_reference_codes(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                              uint8_t *codes, struct sinq_error *error);
/* The operations of struct sinq_source_ops. */
int sinq_read_reference_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count,
                             float *out, struct sinq_error *error);
int sinq_read_reference_blob(const struct sinq_source *source, size_t tensor, uint64_t index, uint8_t **blob,
                             uint64_t *bytes, struct sinq_error *error);
int sinq_describe_reference(const struct sinq_source *source, size_t tensor, uint64_t index,
                            struct sinq_matrix_info *info, struct sinq_error *error);

#endif
