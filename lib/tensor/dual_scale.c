#include "tensor/dual_scale.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"

static const char magic[8] = {'D', 'U', 'A', 'L', 'S', 'C', 'A', 'L'};

/* Places of the header's fields. Bytes 72 to 111 are zero and free for later versions. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_HEADER_BYTES = 12,
    AT_BYTES = 16,
    AT_ROWS = 24,
    AT_COLS = 32,
    AT_GROUP_SIZE = 40,
    AT_STACK_INDEX = 44,
    AT_STACK_COUNT = 48,
    AT_BITS = 52,
    AT_SCALE_TYPE = 53,
    AT_ZERO_TYPE = 54,
    AT_FLAGS = 55,
    AT_LEVELS = 56,
    AT_METHOD = 57,
    AT_RESERVED_16 = 58,
    AT_FACTOR = 60,
    AT_ZERO_LOW = 64,
    AT_ZERO_STEP = 68,
    AT_RESERVED = 72,
    AT_CHECKSUM = 112
};
enum {
    FLAG_ZERO_PER_BLOCK = 1,
    FLAG_SCALE_SIGNED = 2,
    FLAG_COLUMN_SCALE = 4,
    FLAG_TRANSPOSED = 8,
    FLAG_MINIMA = 16,
    ALL_FLAGS = 31
};

#define LEVELS_BYTES 64u /* 16 f32, or 16 bytes and padding */

static uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t load_u32(const uint8_t *p) { return (uint32_t)load_u16(p) | (uint32_t)load_u16(p + 2) << 16; }
static uint64_t load_u64(const uint8_t *p) { return load_u32(p) | (uint64_t)load_u32(p + 4) << 32; }
static void store_u32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> 8 * i);
}
static void store_u64(uint8_t *p, uint64_t value) {
    store_u32(p, (uint32_t)value);
    store_u32(p + 4, (uint32_t)(value >> 32));
}
static float load_f32(const uint8_t *p) {
    const uint32_t bits = load_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static void store_f32(uint8_t *p, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    store_u32(p, bits);
}

/* ---- sizes ---- */

/* Codes under ranges. */
static bool is_code(enum sinq_aux_type type) { return type == SINQ_AUX_U8 || type == SINQ_AUX_U6; }

static bool is_stored(enum sinq_aux_type type) { return type == SINQ_AUX_F16 || type == SINQ_AUX_I8 || is_code(type); }

static bool are_zeros_supported(const struct sinq_dual_scale *m) {
    const bool is_minimum =
        m->levels == SINQ_LEVELS_UNIFORM && (m->zero_type == SINQ_AUX_F16 || m->zero_type == SINQ_AUX_I8);
    return (m->zero_type == SINQ_AUX_NONE || is_stored(m->zero_type)) && (!m->has_minima || is_minimum) &&
           (!m->zero_per_block || is_code(m->zero_type));
}

static bool are_levels_supported(const struct sinq_dual_scale *m) {
    if (m->levels == SINQ_LEVELS_UNIFORM) return true;
    if (m->bits > 4) return false;
    return m->levels == SINQ_LEVELS_F32 || (m->levels == SINQ_LEVELS_BYTES && m->zero_type == SINQ_AUX_NONE);
}

static bool is_supported(const struct sinq_dual_scale *m) {
    const bool is_width = m->bits >= 2 && m->bits <= 8 && m->bits != 7;
    const bool is_group =
        m->group_size == 0 || m->group_size == 16 || m->group_size == 32 || m->group_size == 64 || m->group_size == 128;
    const bool has_supers = m->scale_type == SINQ_AUX_I8 || m->zero_type == SINQ_AUX_I8;
    const bool is_stack = m->stack_count == 0 ? m->stack_index == 0 : m->stack_index < m->stack_count;
    const bool is_signed = is_code(m->scale_type) && m->zero_type == SINQ_AUX_NONE;
    return is_width && is_group && is_stored(m->scale_type) && (!m->scale_signed || is_signed) &&
           are_zeros_supported(m) && are_levels_supported(m) && is_stack && (!has_supers || m->group_size != 0) &&
           m->rows > 0 && m->cols > 0;
}

/* Bytes of a range of 32 rows, and of a panel, in the section behind the entries. */
struct range_bytes {
    uint64_t by_range, by_panel;
};

static struct range_bytes measure_ranges(const struct sinq_dual_scale_sizes *sizes, enum sinq_aux_type type,
                                         bool has_ranges) {
    return (struct range_bytes){has_ranges ? sizes->groups * 4 : 0,
                                type == SINQ_AUX_I8 ? sizes->supers * SINQ_PANEL_ROWS * sizeof(float) : 0};
}

static struct range_bytes measure_scale_ranges(const struct sinq_dual_scale *m, const struct sinq_dual_scale_sizes *s) {
    return measure_ranges(s, m->scale_type, is_code(m->scale_type));
}

static struct range_bytes measure_zero_ranges(const struct sinq_dual_scale *m, const struct sinq_dual_scale_sizes *s) {
    return measure_ranges(s, m->zero_type, m->zero_per_block);
}

/* Places a section of `count` entries of `size` bytes at *end, on 64 bytes. */
static bool place_section(uint64_t count, uint64_t size, uint64_t *offset, uint64_t *end) {
    uint64_t bytes;
    *offset = *end;
    if (!sinq_multiply_u64(count, size, &bytes) || bytes > UINT64_MAX / 2 - *end) return false;
    *end = sinq_round_up(*end + bytes, SINQ_LINE_BYTES);
    return true;
}

/* One of the two is there, or none. */
static bool place_ranges(struct range_bytes bytes, uint64_t ranges, uint64_t panels, uint64_t *offset, uint64_t *end) {
    return bytes.by_panel != 0 ? place_section(panels, bytes.by_panel, offset, end)
                               : place_section(ranges, bytes.by_range, offset, end);
}

bool sinq_dual_scale_measure(const struct sinq_dual_scale *m, struct sinq_dual_scale_sizes *sizes) {
    struct sinq_dual_scale_sizes s = {0};
    if (!is_supported(m) || m->rows > UINT64_MAX / 4 || m->cols > UINT64_MAX / 4) return false;
    s.panels = sinq_divide_up(m->rows, SINQ_PANEL_ROWS);
    s.column_blocks = sinq_divide_up(m->cols, SINQ_BLOCK_COLUMNS);
    s.groups = m->group_size == 0 ? 1 : sinq_divide_up(s.column_blocks * SINQ_BLOCK_COLUMNS, m->group_size);
    s.supers = sinq_divide_up(m->cols, SINQ_SUPER_COLUMNS);

    uint64_t blocks;
    const uint64_t range_rows = sinq_divide_up(m->rows, SINQ_SCALE_BLOCK_ROWS);
    const struct range_bytes scale_ranges = measure_scale_ranges(m, &s), zero_ranges = measure_zero_ranges(m, &s);
    if (!sinq_multiply_u64(s.panels, s.column_blocks, &blocks)) return false;

    uint64_t end = SINQ_DUAL_SCALE_HEADER_BYTES;
    const uint64_t column_scales = m->has_column_scale ? s.column_blocks * SINQ_BLOCK_COLUMNS : 0;
    const bool fits = place_section(blocks, m->bits * SINQ_LINE_BYTES, &s.code_offset, &end) &&
                      place_section(s.panels, sinq_measure_entries(m->scale_type, s.groups), &s.scale_offset, &end) &&
                      place_ranges(scale_ranges, range_rows, s.panels, &s.scale_range_offset, &end) &&
                      place_section(column_scales, 2, &s.column_scale_offset, &end) &&
                      place_section(m->levels != SINQ_LEVELS_UNIFORM, LEVELS_BYTES, &s.levels_offset, &end) &&
                      place_section(s.panels, sinq_measure_entries(m->zero_type, s.groups), &s.zero_offset, &end) &&
                      place_ranges(zero_ranges, range_rows, s.panels, &s.zero_range_offset, &end);
    if (!fits) return false;
    s.bytes = end;
    *sizes = s;
    return true;
}

struct sinq_dual_scale_sizes sinq_dual_scale_skip(const struct sinq_dual_scale *m,
                                                  const struct sinq_dual_scale_sizes *sizes, uint64_t panels,
                                                  uint64_t ranges) {
    const struct range_bytes scale = measure_scale_ranges(m, sizes), zero = measure_zero_ranges(m, sizes);
    struct sinq_dual_scale_sizes moved = *sizes;
    moved.panels -= panels;
    moved.code_offset += panels * sizes->column_blocks * m->bits * SINQ_LINE_BYTES;
    moved.scale_offset += panels * sinq_measure_entries(m->scale_type, sizes->groups);
    moved.scale_range_offset += panels * scale.by_panel + ranges * scale.by_range;
    moved.zero_offset += panels * sinq_measure_entries(m->zero_type, sizes->groups);
    moved.zero_range_offset += panels * zero.by_panel + ranges * zero.by_range;
    return moved;
}

/* ---- header ---- */

static bool is_zero_filled(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

static void read_fields(const uint8_t *header, struct sinq_dual_scale *m) {
    const uint8_t flags = header[AT_FLAGS];
    *m = (struct sinq_dual_scale){
        .rows = load_u64(header + AT_ROWS),
        .cols = load_u64(header + AT_COLS),
        .group_size = load_u32(header + AT_GROUP_SIZE),
        .bits = header[AT_BITS],
        .stack_index = load_u32(header + AT_STACK_INDEX),
        .stack_count = load_u32(header + AT_STACK_COUNT),
        .method = (enum sinq_method)header[AT_METHOD],
        .scale_type = (enum sinq_aux_type)header[AT_SCALE_TYPE],
        .zero_type = (enum sinq_aux_type)header[AT_ZERO_TYPE],
        .zero_per_block = (flags & FLAG_ZERO_PER_BLOCK) != 0,
        .scale_signed = (flags & FLAG_SCALE_SIGNED) != 0,
        .has_column_scale = (flags & FLAG_COLUMN_SCALE) != 0,
        .transposed = (flags & FLAG_TRANSPOSED) != 0,
        .has_minima = (flags & FLAG_MINIMA) != 0,
        .levels = (enum sinq_levels_kind)header[AT_LEVELS],
        .factor = load_f32(header + AT_FACTOR),
        .zero_low = load_f32(header + AT_ZERO_LOW),
        .zero_step = load_f32(header + AT_ZERO_STEP),
    };
}

int sinq_dual_scale_parse(const uint8_t header[SINQ_DUAL_SCALE_HEADER_BYTES], uint64_t available, const char *where,
                          struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes,
                          struct sinq_error *error) {
    if (memcmp(header + AT_MAGIC, magic, sizeof magic) != 0) {
        return sinq_fail(error, SINQ_FAILED, "%s: not a quantized matrix, expected it to begin with \"DUALSCAL\"",
                         where);
    }
    const uint32_t version = load_u32(header + AT_VERSION);
    if (version != SINQ_DUAL_SCALE_VERSION) {
        return sinq_fail(error, SINQ_FAILED,
                         "%s: layout " SINQ_DUAL_SCALE_NAME " version %u, this program knows version %u", where,
                         version, SINQ_DUAL_SCALE_VERSION);
    }
    read_fields(header, matrix);
    const bool is_known = load_u32(header + AT_HEADER_BYTES) == SINQ_DUAL_SCALE_HEADER_BYTES &&
                          header[AT_FLAGS] <= ALL_FLAGS && header[AT_METHOD] < SINQ_METHOD_COUNT &&
                          is_zero_filled(header + AT_RESERVED_16, 2) &&
                          is_zero_filled(header + AT_RESERVED, AT_CHECKSUM - AT_RESERVED);
    const bool is_finite = isfinite(matrix->factor) && isfinite(matrix->zero_low) && isfinite(matrix->zero_step);
    if (!is_known || !is_finite || !sinq_dual_scale_measure(matrix, sizes)) {
        return sinq_fail(error, SINQ_FAILED,
                         "%s: its header describes no matrix this version can hold (%llu x %llu, %u bits, group %u)",
                         where, (unsigned long long)matrix->rows, (unsigned long long)matrix->cols, matrix->bits,
                         matrix->group_size);
    }
    const uint64_t claimed = load_u64(header + AT_BYTES);
    if (claimed != sizes->bytes || sizes->bytes > available) {
        return sinq_fail(error, SINQ_FAILED, "%s: claims %llu bytes and has %llu, its shape needs %llu", where,
                         (unsigned long long)claimed, (unsigned long long)available, (unsigned long long)sizes->bytes);
    }
    return SINQ_OK;
}

static struct sinq_hash hash_blob(const uint8_t *blob, uint64_t bytes) {
    struct sinq_hash parts[2] = {
        sinq_hash_bytes(blob, AT_CHECKSUM),
        sinq_hash_bytes(blob + SINQ_DUAL_SCALE_HEADER_BYTES, (size_t)(bytes - SINQ_DUAL_SCALE_HEADER_BYTES))};
    return sinq_hash_bytes(parts, sizeof parts);
}

void sinq_dual_scale_seal(const struct sinq_dual_scale *m, uint8_t *blob) {
    struct sinq_dual_scale_sizes sizes;
    if (!sinq_dual_scale_measure(m, &sizes)) return;
    memset(blob, 0, SINQ_DUAL_SCALE_HEADER_BYTES);
    memcpy(blob + AT_MAGIC, magic, sizeof magic);
    store_u32(blob + AT_VERSION, SINQ_DUAL_SCALE_VERSION);
    store_u32(blob + AT_HEADER_BYTES, SINQ_DUAL_SCALE_HEADER_BYTES);
    store_u64(blob + AT_BYTES, sizes.bytes);
    store_u64(blob + AT_ROWS, m->rows);
    store_u64(blob + AT_COLS, m->cols);
    store_u32(blob + AT_GROUP_SIZE, m->group_size);
    store_u32(blob + AT_STACK_INDEX, m->stack_index);
    store_u32(blob + AT_STACK_COUNT, m->stack_count);
    blob[AT_BITS] = (uint8_t)m->bits;
    blob[AT_SCALE_TYPE] = (uint8_t)m->scale_type;
    blob[AT_ZERO_TYPE] = (uint8_t)m->zero_type;
    blob[AT_FLAGS] =
        (uint8_t)((m->zero_per_block ? FLAG_ZERO_PER_BLOCK : 0) | (m->scale_signed ? FLAG_SCALE_SIGNED : 0) |
                  (m->has_column_scale ? FLAG_COLUMN_SCALE : 0) | (m->transposed ? FLAG_TRANSPOSED : 0) |
                  (m->has_minima ? FLAG_MINIMA : 0));
    blob[AT_LEVELS] = (uint8_t)m->levels;
    blob[AT_METHOD] = (uint8_t)m->method;
    store_f32(blob + AT_FACTOR, m->factor);
    store_f32(blob + AT_ZERO_LOW, m->zero_low);
    store_f32(blob + AT_ZERO_STEP, m->zero_step);
    memcpy(blob + AT_CHECKSUM, hash_blob(blob, sizes.bytes).bytes, 16);
}

bool sinq_dual_scale_check(const uint8_t *blob, uint64_t bytes) {
    return bytes >= SINQ_DUAL_SCALE_HEADER_BYTES && memcmp(blob + AT_CHECKSUM, hash_blob(blob, bytes).bytes, 16) == 0;
}

struct sinq_matrix_info sinq_dual_scale_info(const struct sinq_dual_scale *matrix,
                                             const struct sinq_dual_scale_sizes *sizes) {
    return (struct sinq_matrix_info){
        .rows = matrix->rows,
        .cols = matrix->cols,
        .group_size = matrix->group_size,
        .bits = matrix->bits,
        .method = matrix->method,
        .scale_type = matrix->scale_type,
        .zero_type = matrix->zero_type,
        .zero_per_block = matrix->zero_per_block,
        .has_levels = matrix->levels != SINQ_LEVELS_UNIFORM,
        .has_byte_levels = matrix->levels == SINQ_LEVELS_BYTES,
        .scale_signed = matrix->scale_signed,
        .has_column_scale = matrix->has_column_scale,
        .transposed = matrix->transposed,
        .bytes = sizes->bytes,
        .bits_per_weight = 8.0 * (double)sizes->bytes / ((double)matrix->rows * (double)matrix->cols),
        .native_bytes = sizes->bytes,
    };
}
