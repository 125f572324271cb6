/*
 * storage.h: group scales and zero points as the layout stores them: f16, or 8-bit codes under a range per 32 rows.
 */
#ifndef SINQ_QUANT_STORAGE_H
#define SINQ_QUANT_STORAGE_H

#include "sinq.h"
#include "tensor/dual_scale.h"

/* Up to 32 values of one group column as stored: `value` is what a reader makes of them. */
struct sinq_stored_column {
    float value[SINQ_SCALE_BLOCK_ROWS];
    uint16_t half[SINQ_SCALE_BLOCK_ROWS]; /* SINQ_AUX_F16 */
    uint8_t code[SINQ_SCALE_BLOCK_ROWS];  /* SINQ_AUX_U8 */
    uint16_t range[2];                    /* low and step, f16 */
};

/*
 * Stores `rows` values. Those with is_free take part in nothing: any value serves them. A code is the nearest one that does
 * not fall short of the value by more than `shortfall` of its magnitude (INFINITY: simply the nearest).
 */
void sinq_store_column(enum sinq_aux_type type, const float *values, const bool *is_free, size_t rows, float shortfall,
                       struct sinq_stored_column *stored);

/* To f16. */
void sinq_store_halves(const float *values, size_t rows, uint16_t *halves);

/* Low and step of the range that covers the values with codes from 0 to `most`; and its place in a blob. */
void sinq_choose_range(const float *values, const bool *is_free, size_t rows, float most, uint16_t range[2]);
void sinq_write_range(const struct sinq_dual_scale_sizes *sizes, const uint16_t range[2], uint64_t row, uint64_t group,
                      uint64_t range_offset, uint8_t *blob);

/* The nearest codes of 8 bits under a range that is given. */
void sinq_store_codes(const float *values, size_t rows, float low, float step, struct sinq_stored_column *stored);

/* Writes a stored column into a blob's section at `offset` (and its range at `range_offset`, if not SINQ_NO_RANGES). */
#define SINQ_NO_RANGES UINT64_MAX
void sinq_write_halves(const struct sinq_dual_scale_sizes *sizes, const uint16_t *halves, uint64_t first_row,
                       size_t rows, uint64_t group, uint64_t offset, uint8_t *blob);
void sinq_write_column(const struct sinq_dual_scale_sizes *sizes, enum sinq_aux_type type,
                       const struct sinq_stored_column *stored, uint64_t first_row, size_t rows, uint64_t group,
                       uint64_t offset, uint64_t range_offset, uint8_t *blob);

/* Codes of a column into entries[panel][group][16], which are packed later. */
void sinq_put_codes(const struct sinq_dual_scale_sizes *sizes, const uint8_t *code, uint64_t first_row, size_t rows,
                    uint64_t group, uint8_t *entries);

/*
 * Integer zeros that are to be SINQ_AUX_U8, zero[entry] for each entry of the section (panel, group, row), into the narrowest form
 * that holds them exactly: codes under the matrix's range, codes under ranges of their own, f16. Updates *matrix and *sizes.
 */
void sinq_write_integer_zeros(struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes, const int16_t *zero,
                              uint8_t *blob);

#endif
