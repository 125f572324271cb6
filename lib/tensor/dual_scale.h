/*
 * dual_scale.h: the quantized matrix and its one layout, docs/format.md.
 *
 *   W[r][k] = factor * s[r][g] * (level(code[r][k]) - z[r][g]) * t[k],   g = k / group size
 *
 * or, where zeros are minima, factor * (s[r][g] * code[r][k] - z[r][g]) * t[k].
 *
 * A quantized matrix is one run of bytes ("blob"): a 128-byte header, then sections that each start on 64 bytes. Its codes
 * lie in panels of 16 rows and blocks of 32 columns; a block at b bits is b lines of 64 bytes. A stack of matrices (fused
 * experts) is their blobs one behind the other.
 */
#ifndef SINQ_TENSOR_DUAL_SCALE_H
#define SINQ_TENSOR_DUAL_SCALE_H

#include "sinq.h"

#define SINQ_DUAL_SCALE_VERSION      1u
#define SINQ_DUAL_SCALE_NAME         "dual-scale"
#define SINQ_DUAL_SCALE_HEADER_BYTES 128u
#define SINQ_DUAL_SCALE_SUFFIX       ".dual_scale" /* of the tensor's name in a safetensors file */
#define SINQ_PANEL_ROWS              16u
#define SINQ_BLOCK_COLUMNS           32u
#define SINQ_SCALE_BLOCK_ROWS        32u /* rows that share a second-level range */
#define SINQ_LINE_BYTES              64u
#define SINQ_SUPER_COLUMNS           256u /* columns of a row that share the factor of i8 scales */
#define SINQ_ENTRY_QUAD_BYTES        48u  /* 6-bit entries of four groups and a panel's rows */
#define SINQ_LEVEL_COUNT             16u
#define SINQ_MOST_LEVEL_BYTE         127u

enum sinq_levels_kind { SINQ_LEVELS_UNIFORM = 0, SINQ_LEVELS_F32 = 1, SINQ_LEVELS_BYTES = 2 };

/* What a header says. Everything else follows from it: see sinq_dual_scale_measure. */
struct sinq_dual_scale {
    uint64_t rows, cols;
    uint32_t group_size; /* 0: the whole row */
    uint32_t bits;
    uint32_t stack_index, stack_count; /* stack_count 0: a plain matrix, not a stack */
    enum sinq_method method;           /* for reports only */
    enum sinq_aux_type scale_type, zero_type;
    bool zero_per_block;
    bool has_minima;   /* zeros are taken off after scaling */
    bool scale_signed; /* the highest bit of a u8 or u6 scale is its sign */
    bool has_column_scale;
    bool transposed;
    enum sinq_levels_kind levels;
    float factor;
    float zero_low,
        zero_step; /* of the matrix, when zeros are codes and not per block; low alone, when there are none */
};

/* Sizes and places that follow from a struct sinq_dual_scale. Offsets in bytes from the blob's start. */
struct sinq_dual_scale_sizes {
    uint64_t panels;        /* of 16 rows */
    uint64_t column_blocks; /* of 32 columns */
    uint64_t groups;        /* per row, padding included */
    uint64_t supers;        /* per row: factors of i8 scales */
    uint64_t code_offset, scale_offset, scale_range_offset, column_scale_offset, levels_offset, zero_offset,
        zero_range_offset, bytes;
};

/* False if the description is not one this version can hold, or a size overflows. */
bool sinq_dual_scale_measure(const struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes);

/* The same with the offsets of a later panel and of a later range of 32 rows: what they are of that many fewer rows. */
struct sinq_dual_scale_sizes sinq_dual_scale_skip(const struct sinq_dual_scale *matrix,
                                                  const struct sinq_dual_scale_sizes *sizes, uint64_t panels,
                                                  uint64_t ranges);

/*
 * Parses a header. `available` is what is left of the tensor from this header on. A layout version this program does not
 * know is refused by name. `where` begins the message, e.g. "file.safetensors: tensor x".
 */
int sinq_dual_scale_parse(const uint8_t header[SINQ_DUAL_SCALE_HEADER_BYTES], uint64_t available, const char *where,
                          struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes,
                          struct sinq_error *error);

/* Writes the header into the first bytes of a complete blob, checksum included. */
void sinq_dual_scale_seal(const struct sinq_dual_scale *matrix, uint8_t *blob);

/* Whether a blob's checksum fits its bytes. */
bool sinq_dual_scale_check(const uint8_t *blob, uint64_t bytes);

/*
 * Codes of one block, up to 16 rows and 32 columns, to and from its `bits` lines: codes[r * stride + k]. Packing writes
 * zeros for rows and columns that are not there.
 */
void sinq_pack_block(unsigned bits, uint32_t rows, uint32_t cols, const uint8_t *codes, size_t stride, uint8_t *lines);
void sinq_unpack_block(unsigned bits, uint32_t rows, uint32_t cols, const uint8_t *lines, uint8_t *codes,
                       size_t stride);

/* Entry (row, group) of a section of scales or zeros: panel by panel, group by group, 16 rows. */
static inline uint64_t sinq_locate_entry(const struct sinq_dual_scale_sizes *sizes, uint64_t row, uint64_t group) {
    return (row / SINQ_PANEL_ROWS * sizes->groups + group) * SINQ_PANEL_ROWS + row % SINQ_PANEL_ROWS;
}

/* Bytes of one panel's entries. */
uint64_t sinq_measure_entries(enum sinq_aux_type type, uint64_t groups);

/*
 * 6-bit entries of one panel, [group][16], to and from the bytes of the section. Packing fills up the last quad of groups with
 * zeros; higher bits than six are lost.
 */
void sinq_pack_entries(uint64_t groups, const uint8_t *entries, uint8_t *packed);
void sinq_unpack_entries(uint64_t groups, const uint8_t *packed, uint8_t *entries);
unsigned sinq_load_entry(const uint8_t *packed, uint64_t group, unsigned row);

/* The highest code of u8 or u6 entries: of the magnitude, where they have a sign. */
unsigned sinq_most_entry(enum sinq_aux_type type, bool is_signed);

/* Where the lines of panel `panel`, column block `block` are. */
static inline uint64_t sinq_block_offset(const struct sinq_dual_scale *matrix,
                                         const struct sinq_dual_scale_sizes *sizes, uint64_t panel, uint64_t block) {
    return sizes->code_offset + (panel * sizes->column_blocks + block) * matrix->bits * SINQ_LINE_BYTES;
}

/* Rows [first, first + count) of a whole blob, rebuilt in f32: out[count][cols]. The plain reference of all kernels. */
void sinq_dual_scale_decode(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                            const uint8_t *blob, uint64_t first, uint64_t count, float *out);

/* One panel's rows and one block's columns of it, out[16][32]; 0 where there is no such row or column. */
void sinq_dual_scale_decode_block(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                                  const uint8_t *blob, uint64_t panel, uint64_t block,
                                  float out[SINQ_PANEL_ROWS * SINQ_BLOCK_COLUMNS]);

/* Scale and zero point of one row and group as the layout means them (factor not applied to the scale). */
float sinq_dual_scale_scale(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                            const uint8_t *blob, uint64_t row, uint64_t group);
float sinq_dual_scale_zero(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                           const uint8_t *blob, uint64_t row, uint64_t group);

/* What each code stands for, zero point aside: the first 2^bits of them are filled in. */
void sinq_dual_scale_levels(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                            const uint8_t *blob, float levels[256]);

/* The public description of it. */
struct sinq_matrix_info sinq_dual_scale_info(const struct sinq_dual_scale *matrix,
                                             const struct sinq_dual_scale_sizes *sizes);

#endif
