/*
 * format_reader.h: a second reader of quantized matrices, written from docs/format.md alone. It includes nothing of the
 * library, so that it can only agree with it where the page is right. Plain and slow on purpose: one value at a time.
 */
#ifndef SINQ_TESTS_FORMAT_READER_H
#define SINQ_TESTS_FORMAT_READER_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

/* Section 4. */
struct blob_header {
    uint64_t bytes, rows, cols;
    uint32_t group_size, stack_index, stack_count;
    unsigned bits, scale_type, zero_type, flags, levels_kind, method;
    float factor, zero_low, zero_step;
    /* Section 3. */
    uint64_t panels, blocks, groups, supers;
    uint64_t codes_at, scales_at, scale_ranges_at, column_at, levels_at, zeros_at, zero_ranges_at, end;
};

static inline uint64_t read_number(const uint8_t *bytes, unsigned size) {
    uint64_t number = 0;
    for (unsigned i = size; i > 0; i--) number = number << 8 | bytes[i - 1];
    return number;
}

static inline float read_f32(const uint8_t *bytes) {
    const uint32_t bits = (uint32_t)read_number(bytes, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float read_f16(const uint8_t *bytes) {
    const unsigned bits = (unsigned)read_number(bytes, 2), exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double sign = bits >> 15 ? -1.0 : 1.0;
    if (exponent == 31) return mantissa != 0 ? NAN : (float)(sign * INFINITY);
    if (exponent == 0) return (float)(sign * ldexp(mantissa, -24));
    return (float)(sign * ldexp(1024 + mantissa, (int)exponent - 25));
}

static inline uint64_t ceil_divide(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/* Where a section of `bytes` begins; *end moves behind it. */
static inline uint64_t next_section(uint64_t bytes, uint64_t *end) {
    const uint64_t begin = ceil_divide(*end, 64) * 64;
    if (bytes > 0) *end = begin + bytes;
    return begin;
}

static inline void find_sections(struct blob_header *h) {
    h->panels = ceil_divide(h->rows, 16);
    h->blocks = ceil_divide(h->cols, 32);
    h->groups = h->group_size == 0 ? 1 : ceil_divide(h->blocks * 32, h->group_size);
    h->supers = ceil_divide(h->cols, 256);
    const uint64_t entries = h->panels * 16 * h->groups, ranges = ceil_divide(h->rows, 32) * h->groups;
    const uint64_t super_bytes = h->panels * h->supers * 16 * 4;
    uint64_t end = 128;
    h->codes_at = next_section(h->panels * h->blocks * h->bits * 64, &end);
    const uint64_t quad_bytes = h->panels * ceil_divide(h->groups, 4) * 48;
    h->scales_at = next_section(h->scale_type == 3 ? quad_bytes : entries * (h->scale_type == 1 ? 2 : 1), &end);
    h->scale_ranges_at = next_section(h->scale_type == 5 ? super_bytes : h->scale_type != 1 ? ranges * 4 : 0, &end);
    h->column_at = next_section(h->flags & 4 ? h->blocks * 32 * 2 : 0, &end);
    h->levels_at = next_section(h->levels_kind != 0 ? 64 : 0, &end);
    const uint64_t zero_bytes = h->zero_type == 0 ? 0 : h->zero_type == 3 ? quad_bytes : entries;
    h->zeros_at = next_section(h->zero_type == 1 ? 2 * zero_bytes : zero_bytes, &end);
    h->zero_ranges_at = next_section(h->zero_type == 5 ? super_bytes : h->flags & 1 ? ranges * 4 : 0, &end);
    h->end = ceil_divide(end, 64) * 64;
}

/* NULL, or what is wrong with the header. */
static inline const char *read_header(const uint8_t *blob, uint64_t available, struct blob_header *h) {
    memset(h, 0, sizeof *h);
    if (available < 128 || memcmp(blob, "DUALSCAL", 8) != 0) return "magic";
    if (read_number(blob + 8, 4) != 1) return "version";
    if (read_number(blob + 12, 4) != 128) return "header bytes";
    h->bytes = read_number(blob + 16, 8);
    h->rows = read_number(blob + 24, 8);
    h->cols = read_number(blob + 32, 8);
    h->group_size = (uint32_t)read_number(blob + 40, 4);
    h->stack_index = (uint32_t)read_number(blob + 44, 4);
    h->stack_count = (uint32_t)read_number(blob + 48, 4);
    h->bits = blob[52];
    h->scale_type = blob[53];
    h->zero_type = blob[54];
    h->flags = blob[55];
    h->levels_kind = blob[56];
    h->method = blob[57];
    h->factor = read_f32(blob + 60);
    h->zero_low = read_f32(blob + 64);
    h->zero_step = read_f32(blob + 68);
    if (h->rows == 0 || h->cols == 0) return "shape";
    if (h->bits < 2 || h->bits == 7 || h->bits > 8) return "bits";
    if (h->group_size != 0 && h->group_size != 16 && h->group_size != 32 && h->group_size != 64 && h->group_size != 128)
        return "group size";
    const bool has_scale_codes = h->scale_type == 2 || h->scale_type == 3;
    if (h->scale_type != 1 && h->scale_type != 5 && !has_scale_codes) return "scale type";
    if (h->zero_type > 3 && h->zero_type != 5) return "zero type";
    if ((h->scale_type == 5 || h->zero_type == 5) && h->group_size == 0) return "group size";
    if ((h->flags & ~31u) != 0 || ((h->flags & 1) != 0 && h->zero_type != 2 && h->zero_type != 3)) return "flags";
    if ((h->flags & 2) != 0 && (!has_scale_codes || h->zero_type != 0)) return "flags";
    if ((h->flags & 16) != 0 && h->zero_type != 1 && h->zero_type != 5) return "minima";
    if ((h->flags & 16) != 0 && h->levels_kind != 0) return "minima";
    if (h->levels_kind > 2 || (h->levels_kind != 0 && h->bits > 4)) return "levels";
    if (h->levels_kind == 2 && h->zero_type != 0) return "levels";
    if (h->method > 13) return "method";
    if (h->stack_count == 0 ? h->stack_index != 0 : h->stack_index >= h->stack_count) return "stack";
    if (!isfinite(h->factor) || !isfinite(h->zero_low) || !isfinite(h->zero_step)) return "factor";
    if (read_number(blob + 58, 2) != 0) return "reserved bytes";
    for (int i = 72; i < 112; i++) {
        if (blob[i] != 0) return "reserved bytes";
    }
    find_sections(h);
    return h->end == h->bytes && h->bytes <= available ? NULL : "size";
}

/* Section 6. */
static inline bool has_right_checksum(const uint8_t *blob, const struct blob_header *h) {
    XXH128_canonical_t parts[2], whole;
    XXH128_canonicalFromHash(&parts[0], XXH3_128bits(blob, 112));
    XXH128_canonicalFromHash(&parts[1], XXH3_128bits(blob + 128, (size_t)h->bytes - 128));
    XXH128_canonicalFromHash(&whole, XXH3_128bits(parts, 32));
    return memcmp(whole.digest, blob + 112, 16) == 0;
}

/* Section 5.1: the part of a code that a plane of `width` bits holds, whose lines begin at `line`. */
static inline unsigned read_plane(const uint8_t *line, unsigned width, unsigned r, unsigned column) {
    const unsigned q = column / 4, c = column % 4, quads = 8 / width;
    const uint8_t byte = line[64 * (q / quads) + 4 * r + c];
    return byte >> width * (q % quads) & ((1u << width) - 1u);
}

static inline unsigned read_code(const uint8_t *blob, const struct blob_header *h, uint64_t row, uint64_t col) {
    const uint8_t *const lines = blob + 128 + (row / 16 * h->blocks + col / 32) * h->bits * 64;
    const unsigned r = (unsigned)(row % 16), column = (unsigned)(col % 32);
    switch (h->bits) {
    case 3:
        return read_plane(lines, 2, r, column) + (read_plane(lines + 2 * 64, 1, r, column) << 2);
    case 5:
        return read_plane(lines, 4, r, column) + (read_plane(lines + 4 * 64, 1, r, column) << 4);
    case 6:
        return read_plane(lines, 4, r, column) + (read_plane(lines + 4 * 64, 2, r, column) << 4);
    default:
        return read_plane(lines, h->bits, r, column);
    }
}

/* Sections 5.2 and 5.3. */
static inline float read_ranged(const uint8_t *ranges, const struct blob_header *h, uint64_t row, uint64_t group,
                                unsigned q) {
    const uint8_t *const range = ranges + (row / 32 * h->groups + group) * 4;
    const float product = (float)q * read_f16(range + 2);
    return read_f16(range) + product;
}

static inline float read_super(const uint8_t *supers, const struct blob_header *h, uint64_t row, uint64_t group,
                               uint8_t byte) {
    const uint64_t super = group * h->group_size / 256;
    return read_f32(supers + ((row / 16 * h->supers + super) * 16 + row % 16) * 4) *
           (float)(byte < 128 ? byte : byte - 256);
}

/* Section 5.2: an entry of one byte or of six bits. */
static inline unsigned read_entry(const uint8_t *section, unsigned type, const struct blob_header *h, uint64_t row,
                                  uint64_t group) {
    if (type != 3) return section[(row / 16 * h->groups + group) * 16 + row % 16];
    const uint8_t *const quad = section + (row / 16 * ceil_divide(h->groups, 4) + group / 4) * 48;
    const unsigned r = (unsigned)(row % 16), place = (unsigned)(group % 4);
    const unsigned nibbles = quad[(place < 2 ? 0 : 16) + r];
    return (place % 2 == 0 ? nibbles % 16 : nibbles / 16) + ((quad[32 + r] >> 2 * place & 3u) << 4);
}

static inline float read_scale(const uint8_t *blob, const struct blob_header *h, uint64_t row, uint64_t group) {
    const uint8_t *const ranges = blob + h->scale_ranges_at;
    if (h->scale_type == 1) return read_f16(blob + h->scales_at + 2 * ((row / 16 * h->groups + group) * 16 + row % 16));
    const unsigned q = read_entry(blob + h->scales_at, h->scale_type, h, row, group);
    if (h->scale_type == 5) return read_super(ranges, h, row, group, (uint8_t)q);
    if ((h->flags & 2) == 0) return read_ranged(ranges, h, row, group, q);
    const unsigned sign = h->scale_type == 3 ? 32 : 128;
    const float magnitude = read_ranged(ranges, h, row, group, q % sign);
    return q < sign ? magnitude : -magnitude;
}

static inline float read_zero(const uint8_t *blob, const struct blob_header *h, uint64_t row, uint64_t group) {
    const uint8_t *const ranges = blob + h->zero_ranges_at;
    if (h->zero_type == 0) return h->zero_low;
    if (h->zero_type == 1) return read_f16(blob + h->zeros_at + 2 * ((row / 16 * h->groups + group) * 16 + row % 16));
    const unsigned q = read_entry(blob + h->zeros_at, h->zero_type, h, row, group);
    if (h->zero_type == 5) return read_super(ranges, h, row, group, (uint8_t)q);
    if (h->flags & 1) return read_ranged(ranges, h, row, group, q);
    const float product = (float)q * h->zero_step;
    return h->zero_low + product;
}

/* Section 5.5. */
static inline float read_level(const uint8_t *blob, const struct blob_header *h, unsigned code) {
    if (h->levels_kind == 0) return (float)code;
    return h->levels_kind == 1 ? read_f32(blob + h->levels_at + 4 * code) : (float)(blob[h->levels_at + code] % 128);
}

/* Section 1. */
static inline float read_weight(const uint8_t *blob, const struct blob_header *h, uint64_t row, uint64_t col) {
    const uint64_t group = h->group_size == 0 ? 0 : col / h->group_size;
    const float level = read_level(blob, h, read_code(blob, h, row, col));
    const float s = read_scale(blob, h, row, group), z = read_zero(blob, h, row, group);
    const float t = h->flags & 4 ? read_f16(blob + h->column_at + 2 * col) : 1.0f;
    const bool has_minima = (h->flags & 16) != 0;
    const float difference = level - z, product = s * level;
    const float scaled = has_minima ? product - z : s * difference;
    const float value = h->factor * scaled;
    const float weight = value * t;
    const double in_f64 = has_minima ? (double)h->factor * ((double)s * (double)level - (double)z) * (double)t
                                     : (double)h->factor * (double)s * ((double)level - (double)z) * (double)t;
    if (isinf(weight) && fabs(in_f64) < 2.0 * (double)FLT_MAX) return weight > 0 ? FLT_MAX : -FLT_MAX;
    return weight;
}

#endif
