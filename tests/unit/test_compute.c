/*
 * Entries of the kernel table by themselves, at every instruction set, with guard bytes: products of the largest codes and
 * activations, which must not saturate; conversions of every value; packing. What models do with them: test_matmul.c,
 * test_attention.c, test_rowwise.c.
 */
#include <math.h>
#include <string.h>

#include "cpu_levels.h"
#include "guarded.h"
#include "kernels/byte_levels.h"
#include "kernels/compute.h"
#include "random_blob.h"

/* WALKED: panels one behind the other, of each of two places; the last two of them or the first two are of one block of rows. */
enum { BLOCKS = 4, COLUMNS = 32 * BLOCKS, WALKED = 3, PANELS = 2 * WALKED, LINE_PANELS = 2, MOST_GROUPS = 8 };

static const char *level_name;
static const struct sinq_compute_kernels *kernels;

/* ---- products ---- */

enum codes { ALL_LARGEST, LARGEST_OR_ZERO, RANDOM_CODES, CODE_KINDS };
enum inputs { ALL_UP, ALL_DOWN, UP_OR_DOWN, RANDOM_INPUT, INPUT_KINDS };

struct case_of_products {
    unsigned bits;
    bool has_levels, has_byte_levels;
    size_t group_blocks;
    uint8_t codes[PANELS][16][COLUMNS];
    int8_t x[SINQ_MOST_TILE][COLUMNS];
    uint8_t high[16], low[16];
    _Alignas(64) uint8_t lines[PANELS][BLOCKS * 8 * 64];
};

static void fill_case(struct case_of_products *c, enum codes codes, enum inputs inputs) {
    const unsigned largest = (1u << c->bits) - 1;
    for (unsigned p = 0; p < PANELS; p++) {
        for (unsigned r = 0; r < 16; r++) {
            for (unsigned k = 0; k < COLUMNS; k++) {
                const unsigned random = next_random();
                c->codes[p][r][k] = (uint8_t)(codes == ALL_LARGEST       ? largest
                                              : codes == LARGEST_OR_ZERO ? random % 2 * largest
                                                                         : random & largest);
            }
        }
        for (unsigned b = 0; b < BLOCKS; b++) {
            sinq_pack_block(c->bits, 16, 32, &c->codes[p][0][32 * b], COLUMNS, c->lines[p] + 64 * c->bits * b);
        }
    }
    for (unsigned t = 0; t < SINQ_MOST_TILE; t++) {
        for (unsigned k = 0; k < COLUMNS; k++) {
            const int random = (int)(next_random() % 255) - 127;
            c->x[t][k] = (int8_t)(inputs == ALL_UP       ? 127
                                  : inputs == ALL_DOWN   ? -127
                                  : inputs == UP_OR_DOWN ? (random < 0 ? -127 : 127)
                                                         : random);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        c->high[i] = (uint8_t)(codes == RANDOM_CODES ? next_random() : 255);
        c->low[i] = (uint8_t)(codes == RANDOM_CODES ? next_random() : 255);
        if (c->has_byte_levels) c->low[i] &= 127;
    }
}

static int32_t level_of(const struct case_of_products *c, uint8_t code) {
    return c->has_levels ? 256 * c->high[code] + c->low[code] : c->has_byte_levels ? c->low[code] : code;
}

/* sum_g (dot - 3 sum(x)): scales are 1, zero points 3. Sums of a group are integers; those of levels are rounded once each. */
static void check_sums(const struct case_of_products *c, unsigned panel, unsigned token, const float sums[16],
                       const char *what) {
    for (unsigned r = 0; r < 16; r++) {
        double expected = 5, magnitude = 0;
        for (unsigned k = 0; k < COLUMNS; k++) {
            const double term = (double)(level_of(c, c->codes[panel][r][k]) - 3) * c->x[token][k];
            expected += term;
            magnitude += fabs(term) + 3.0 * abs(c->x[token][k]);
        }
        const double bound = c->has_levels ? 8 * 0x1p-24 * magnitude : 0;
        check_often(fabs((double)sums[r] - expected) <= bound,
                    "%s, %s, %u bits%s, %zu blocks a group: panel %u token %u row %u is %.9g, expected %.9g",
                    level_name, what, c->bits,
                    c->has_levels        ? " with levels"
                    : c->has_byte_levels ? " with byte levels"
                                         : "",
                    c->group_blocks, panel, token, r, (double)sums[r], expected);
    }
}

/* x as kernels want it, with sums of groups: returns the number of groups. */
static size_t place_input(const struct case_of_products *c, unsigned width, int8_t *x, float *scales, float *sums) {
    const size_t group = c->group_blocks == 0 ? 16 : 32 * c->group_blocks, groups = COLUMNS / group;
    for (unsigned t = 0; t < width; t++) {
        for (size_t g = 0; g < groups; g++) {
            scales[g * width + t] = 1.0f;
            sums[g * width + t] = 0.0f;
        }
        for (size_t k = 0; k < COLUMNS; k++) {
            x[(k / 4 * width + t) * 4 + k % 4] = c->x[t][k];
            sums[k / group * width + t] += (float)c->x[t][k];
        }
    }
    return groups;
}

/* Scales and zero points of one place's panels, as bytes: panel k is k + 2 - left panels behind the start of a block of rows. */
struct walked_aux {
    uint8_t scales[WALKED][16 * MOST_GROUPS], zeros[WALKED][16 * MOST_GROUPS];
    float scale_ranges[2][2 * MOST_GROUPS], zero_ranges[2][2 * MOST_GROUPS];
};

/* Entries are 1 or 2 by the panel's place in its block, steps are 1 or 2 by blocks. */
static float find_walked_scale(unsigned k, unsigned left) {
    return (float)((1 + (k + 2 - left) % 2) * (1 + (k + 2 - left) / 2));
}

/* Zero points are 3, by other entries and other ranges in the second block; ranges are `groups` groups apart. */
static struct sinq_packed_aux fill_walked(struct walked_aux *walked, size_t groups, unsigned left) {
    for (unsigned k = 0; k < WALKED; k++) {
        memset(walked->scales[k], (int)(1 + (k + 2 - left) % 2), sizeof walked->scales[k]);
        memset(walked->zeros[k], (int)(1 + (k + 2 - left) / 2), sizeof walked->zeros[k]);
    }
    float *const scales = walked->scale_ranges[0], *const zeros = walked->zero_ranges[0];
    for (size_t g = 0; g < 2 * groups; g++) {
        const float block = (float)(g / groups);
        scales[2 * g] = 0.0f;
        scales[2 * g + 1] = 1.0f + block;
        zeros[2 * g] = 2.0f - block;
        zeros[2 * g + 1] = 1.0f;
    }
    return (struct sinq_packed_aux){.scales = {.entries = walked->scales[0]},
                                    .zeros = {.entries = walked->zeros[0]},
                                    .scale_ranges = scales,
                                    .zero_ranges = zeros,
                                    .scale_bytes = sizeof walked->scales[0],
                                    .zero_bytes = sizeof walked->zeros[0],
                                    .scale_floats = 2 * groups,
                                    .zero_floats = 2 * groups,
                                    .left = left,
                                    .zero_factor = 1.0f};
}

/* Sums that began with 5 (odd rows: with 5 * odd_sign, and their scales have that sign). */
static void check_walked(const struct case_of_products *c, unsigned places, unsigned panels, const unsigned left[2],
                         float odd_sign, float *values, const char *what) {
    for (unsigned i = 0; i < panels * places; i++) {
        const unsigned k = i / places, p = i % places;
        for (unsigned r = 0; r < 16; r++) {
            float *const value = &values[16 * i + r];
            *value = (*value * (r % 2 == 0 ? 1.0f : odd_sign) - 5.0f) / find_walked_scale(k, left[p]) + 5.0f;
        }
        check_sums(c, p * WALKED + k, 0, values + 16 * i, what);
    }
}

/* Every second row's scale has a sign. */
static void set_signs(struct walked_aux *walked, bool is_packed) {
    for (unsigned k = 0; k < WALKED; k++) {
        uint8_t *const entries = walked->scales[k], packed[12 * MOST_GROUPS];
        for (unsigned i = 1; i < 16 * MOST_GROUPS; i += 2) entries[i] |= is_packed ? 32 : 128;
        if (!is_packed) continue;
        sinq_pack_entries(MOST_GROUPS, entries, packed);
        memcpy(entries, packed, sizeof packed);
    }
}

static void check_byte_levels(const struct case_of_products *c, const struct sinq_int8_part *whole, unsigned places,
                              unsigned panels, bool is_packed) {
    const struct sinq_byte_level_kernels *const byte_levels = sinq_get_byte_level_kernels();
    const unsigned left[2] = {1 + panels % 2, 2 - panels % 2};
    struct sinq_level_tables tables;
    struct walked_aux walked[2];
    struct sinq_packed_aux aux[2];
    float centres[MOST_GROUPS];
    byte_levels->place_levels[c->bits](c->low, &tables);
    for (size_t g = 0; g < whole->groups; g++) centres[g] = 3.0f * whole->x_sums[g];
    for (unsigned p = 0; p < 2; p++) {
        aux[p] = fill_walked(&walked[p], whole->groups, left[p]);
        aux[p].zeros.entries = NULL;
        aux[p].scales.is_packed = is_packed;
        set_signs(&walked[p], is_packed);
        for (unsigned b = 0; b < 2; b++) {
            byte_levels->fold_ranges(whole->groups, whole->x_scales,
                                     walked[p].scale_ranges[0] + b * aux[p].scale_floats);
        }
    }
    const struct sinq_byte_level_part part = {.lines = whole->lines,
                                              .line_stride = whole->line_stride,
                                              .panel_bytes = whole->panel_bytes,
                                              .tables = &tables,
                                              .x = whole->x,
                                              .blocks = whole->blocks,
                                              .groups = whole->groups,
                                              .group_blocks = whole->group_blocks,
                                              .centres = centres};
    struct guarded sums = make_guarded((size_t)panels * places * 16 * sizeof(float));
    float *const values = (float *)(void *)sums.bytes;
    for (unsigned i = 0; i < panels * places * 16; i++) values[i] = i % 2 == 0 ? 5.0f : -5.0f;
    byte_levels->multiply[c->bits](&part, aux, places, panels, values);
    check_walked(c, places, panels, left, -1.0f, values, is_packed ? "packed scales" : "scales of bytes");
    release_guarded(sums, "sums of byte levels");
}

static void check_uniform(const struct case_of_products *c, const struct sinq_int8_part *part, unsigned places,
                          unsigned panels) {
    const unsigned left[2] = {1 + panels % 2, 2 - panels % 2};
    struct walked_aux walked[2];
    const struct sinq_packed_aux aux[2] = {fill_walked(&walked[0], part->groups, left[0]),
                                           fill_walked(&walked[1], part->groups, left[1])};
    struct guarded sums = make_guarded((size_t)panels * places * 16 * sizeof(float));
    float *const values = (float *)(void *)sums.bytes;
    for (unsigned i = 0; i < panels * places * 16; i++) values[i] = 5.0f;
    kernels->multiply_packed[c->bits](part, aux, places, panels, values);
    check_walked(c, places, panels, left, 1.0f, values, "panels one behind the other");
    release_guarded(sums, "sums of panels one behind the other");
}

/* From one place and from two. */
static void check_walks(const struct case_of_products *c, struct sinq_int8_part part) {
    part.panel_bytes = sizeof c->lines[0];
    part.line_stride = WALKED * part.panel_bytes;
    for (unsigned i = 0; i < 2 * WALKED; i++) {
        const unsigned places = 1 + i % 2, panels = 1 + i / 2;
        if (c->has_byte_levels) {
            check_byte_levels(c, &part, places, panels, false);
            check_byte_levels(c, &part, places, panels, true);
        } else {
            check_uniform(c, &part, places, panels);
        }
    }
}

/* Scales and zero points that are halves. */
static void check_packed(const struct case_of_products *c, struct sinq_int8_part part) {
    uint8_t entries[2][2 * 16 * 8]; /* ones and threes */
    for (size_t i = 0; i < 16 * 8; i++) {
        put_half(entries[0] + 2 * i, 1.0f);
        put_half(entries[1] + 2 * i, 3.0f);
    }
    const struct sinq_packed_aux one = {.scales = {.entries = entries[0], .is_half = true},
                                        .zeros = {.entries = entries[1], .is_half = true},
                                        .left = 1,
                                        .zero_factor = 1.0f};
    const struct sinq_packed_aux aux[2] = {one, one};
    part.line_stride = sizeof c->lines[0];
    for (unsigned places = 1; places <= 2; places++) {
        struct guarded sums = make_guarded(places * 16 * sizeof(float));
        float *const values = (float *)(void *)sums.bytes;
        for (unsigned i = 0; i < places * 16; i++) values[i] = 5.0f;
        kernels->multiply_packed[c->bits](&part, aux, places, 1, values);
        for (unsigned p = 0; p < places; p++) check_sums(c, p, 0, values + 16 * p, "packed");
        release_guarded(sums, "sums of packed lines");
    }
}

static void check_lines(const struct case_of_products *c, struct sinq_int8_part part, unsigned width) {
    const size_t line_bytes = BLOCKS * 8 * 64 * (c->has_levels ? 2 : 1), stride = 16 * (size_t)width + 16;
    struct guarded lines = make_guarded(LINE_PANELS * line_bytes);
    struct guarded sums = make_guarded((stride * (LINE_PANELS - 1) + 16 * (size_t)width) * sizeof(float));
    float *const values = (float *)(void *)sums.bytes, scales[LINE_PANELS * 16 * 8], zeros[LINE_PANELS * 16 * 8];
    for (unsigned p = 0; p < LINE_PANELS; p++) {
        part.lines = c->lines[p];
        kernels->unpack[c->bits](&part, lines.bytes + p * line_bytes);
        for (unsigned i = 0; i < 16 * width; i++) values[p * stride + i] = 5.0f;
    }
    for (size_t i = 0; i < LINE_PANELS * 16 * 8; i++) {
        scales[i] = 1.0f;
        zeros[i] = 3.0f;
    }
    part.lines = lines.bytes;
    part.line_stride = line_bytes;
    const struct sinq_expanded_aux aux = {scales, zeros, 16, 16 * 8};
    kernels->multiply_lines(&part, &aux, LINE_PANELS, width, values, stride);
    for (unsigned p = 0; p < LINE_PANELS; p++) {
        for (unsigned t = 0; t < width; t++) check_sums(c, p, t, values + p * stride + 16 * t, "lines");
    }
    release_guarded(lines, "unpacked lines");
    release_guarded(sums, "sums of lines");
}

/* Small groups of byte levels whose sums begin with the share of the zero point, 3; some share an activation scale. */
static void check_starts(const struct case_of_products *c, struct sinq_int8_part part, unsigned width) {
    int32_t starts[SINQ_MOST_TILE * 8];
    for (size_t i = 0; i < part.groups * width; i++) starts[i] = -3 * (int32_t)part.x_sums[i];
    part.starts = starts;
    for (part.shared = 1; part.shared <= 4; part.shared *= 2) check_lines(c, part, width);
}

static void check_products(struct case_of_products *c) {
    const unsigned most = c->has_levels ? kernels->levels_tile : kernels->int8_tile;
    for (int kind = 0; kind < CODE_KINDS * INPUT_KINDS; kind++) {
        fill_case(c, (enum codes)(kind % CODE_KINDS), (enum inputs)(kind / CODE_KINDS));
        for (unsigned width = 1; width <= most; width++) {
            int8_t x[SINQ_MOST_TILE * COLUMNS];
            float scales[SINQ_MOST_TILE * 8], sums[SINQ_MOST_TILE * 8];
            const struct sinq_int8_part part = {.lines = c->lines[0],
                                                .x = x,
                                                .x_scales = scales,
                                                .x_sums = sums,
                                                .blocks = BLOCKS,
                                                .groups = place_input(c, width, x, scales, sums),
                                                .group_blocks = c->group_blocks,
                                                .bits = c->bits,
                                                .high = c->has_levels ? c->high : NULL,
                                                .low = c->has_levels || c->has_byte_levels ? c->low : NULL};
            if (width == 1) check_walks(c, part);
            if (width == 1 && !c->has_byte_levels) check_packed(c, part);
            check_lines(c, part, width);
            if (c->has_byte_levels && c->group_blocks < 2) check_starts(c, part, width);
        }
    }
}

START_TEST(largest_codes_and_activations_do_not_saturate) {
    static const unsigned widths[] = {2, 3, 4, 5, 6, 8};
    static const size_t group_blocks[] = {0, 1, 2, 4};
    static struct case_of_products c;
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        level_name = cpu_level_names[level];
        kernels = sinq_get_compute_kernels();
        for (int i = 0; i < 6 * 4 * 3; i++) {
            c.bits = widths[i % 6];
            c.group_blocks = group_blocks[i / 6 % 4];
            c.has_levels = i / 24 == 1;
            c.has_byte_levels = i / 24 == 2;
            if (c.bits <= 4 || i / 24 == 0) check_products(&c);
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

/* Each of the 64 entries at each place, by the sums of one group at a time, of ones. */
START_TEST(signed_entries_of_6_bits_are_spread) {
    enum { GROUPS = 12 };
    static const uint8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const float scales[GROUPS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, centres[GROUPS];
    static _Alignas(64) uint8_t lines[GROUPS / 2 * 2 * 64];
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        const struct sinq_byte_level_kernels *const byte_levels = sinq_get_byte_level_kernels();
        struct sinq_level_tables tables;
        float ranges[2 * GROUPS];
        uint8_t entries[GROUPS][16];
        struct guarded packed = make_guarded(sizeof entries / 4 * 3);
        byte_levels->place_levels[2](ones, &tables);
        for (unsigned i = 0; i < 2 * GROUPS; i++) ranges[i] = (float)(i % 2);
        byte_levels->fold_ranges(GROUPS, scales, ranges);
        for (unsigned turn = 0; turn < 64 * GROUPS; turn++) {
            const unsigned group = turn / 64;
            int8_t x[16 * GROUPS] = {0};
            float sums[16] = {0};
            x[16 * group] = 1;
            for (unsigned i = 0; i < sizeof entries; i++) entries[i / 16][i % 16] = (uint8_t)((i * 7 + turn) % 64);
            sinq_pack_entries(GROUPS, entries[0], packed.bytes);
            const struct sinq_packed_aux aux = {
                .scales = {.entries = packed.bytes, .is_packed = true}, .scale_ranges = ranges, .left = 1};
            const struct sinq_byte_level_part part = {
                .lines = lines, .tables = &tables, .x = x, .blocks = GROUPS / 2, .groups = GROUPS, .centres = centres};
            byte_levels->multiply[2](&part, &aux, 1, 1, sums);
            for (unsigned r = 0; r < 16; r++) {
                const int entry = entries[group][r], expected = (entry & 32) != 0 ? -(entry & 31) : entry;
                check_often(sums[r] == (float)expected, "%s: entry %u of group %u is %g, expected %d",
                            cpu_level_names[level], r, group, (double)sums[r], expected);
            }
        }
        release_guarded(packed, "packed entries");
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

/* ---- conversions ---- */

static const size_t counts[] = {1, 15, 16, 17, 31, 100, 128};
enum { COUNTS = sizeof counts / sizeof counts[0], MOST_COUNT = 128 };

static bool is_same(float a, float b) { return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)); }

static void check_floats(const char *what, const float *found, const float *expected, size_t count) {
    for (size_t i = 0; i < count; i++) {
        check_often(is_same(found[i], expected[i]), "%s, %s: value %zu of %zu is %.9g, expected %.9g", level_name, what,
                    i, count, (double)found[i], (double)expected[i]);
    }
}

typedef void widen_fn(const uint8_t *from, size_t count, float *out);

/* All values of a type, some at a time. */
static void check_widening(const char *what, widen_fn *widen, enum sinq_dtype dtype, size_t values) {
    const size_t size = sinq_dtype_size(dtype);
    size_t step;
    for (size_t first = 0, n = 0; first < values; first += step, n++) {
        step = counts[n % COUNTS] < values - first ? counts[n % COUNTS] : values - first;
        uint8_t bytes[2 * MOST_COUNT];
        float expected[MOST_COUNT];
        for (size_t i = 0; i < step; i++) {
            const uint16_t value = (uint16_t)(first + i);
            memcpy(bytes + size * i, &value, size); /* little endian */
        }
        sinq_convert_to_float(dtype, bytes, step, expected);
        struct guarded out = make_guarded(step * sizeof(float));
        widen(bytes, step, (float *)(void *)out.bytes);
        check_floats(what, (float *)(void *)out.bytes, expected, step);
        release_guarded(out, what);
    }
}

static float strange_value(void) {
    static const float strange[] = {0.0f,     -0.0f,    INFINITY,   -INFINITY, 65504.0f,  65519.9f, 65520.0f, 1e30f,
                                    0x1p-24f, 0x1p-25f, 0x1.8p-25f, 1e-30f,    -0x1p-14f, 2049.0f,  2051.0f,  1.0f};
    const unsigned random = next_random() % 32;
    return random < 16 ? strange[random] : ldexpf(random_value() - 0.5f, (int)(next_random() % 48) - 28);
}

static void check_narrowing(size_t count) {
    float values[MOST_COUNT], expected[MOST_COUNT];
    struct guarded halves = make_guarded(2 * count), codes = make_guarded(count);
    struct guarded wide = make_guarded(count * sizeof(float));
    for (size_t i = 0; i < count; i++) values[i] = strange_value();
    kernels->narrow_f16(values, count, halves.bytes);
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, halves.bytes + 2 * i, sizeof half);
        check_often(half == sinq_float_to_half(values[i]), "%s: %.9g becomes half %04x, expected %04x", level_name,
                    (double)values[i], half, sinq_float_to_half(values[i]));
        values[i] = (float)((int)(next_random() % 255) - 127) * 0.5f;
    }
    kernels->narrow_i8(values, count, 2.0f, codes.bytes);
    kernels->widen_i8(codes.bytes, count, 0.5f, (float *)(void *)wide.bytes);
    check_floats("int8 and back", (float *)(void *)wide.bytes, values, count);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)((int)(next_random() % 507) - 253) * 0.25f; /* halves are rounded to even */
        expected[i] = nearbyintf(values[i] * 2.0f);
    }
    kernels->narrow_i8(values, count, 2.0f, codes.bytes);
    kernels->widen_i8(codes.bytes, count, 1.0f, (float *)(void *)wide.bytes);
    for (size_t i = 0; i < count; i++) ((float *)(void *)wide.bytes)[i] += 0.0f; /* no -0 */
    for (size_t i = 0; i < count; i++) expected[i] += 0.0f;
    check_floats("rounding to int8", (float *)(void *)wide.bytes, expected, count);
    release_guarded(halves, "halves");
    release_guarded(codes, "int8 codes");
    release_guarded(wide, "widened int8");
}

START_TEST(every_value_is_converted) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        level_name = cpu_level_names[level];
        kernels = sinq_get_compute_kernels();
        check_widening("f16", kernels->widen_f16, SINQ_F16, 65536);
        check_widening("e4m3", kernels->widen_e4m3, SINQ_F8_E4M3, 256);
        check_widening("e5m2", kernels->widen_e5m2, SINQ_F8_E5M2, 256);
        for (size_t i = 0; i < 20 * COUNTS; i++) check_narrowing(counts[i % COUNTS]);
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

/* ---- activations to int8 ---- */

enum activations { USUAL, WITH_NAN, WITH_INFINITY, NOTHING, TINY, HUGE_VALUES, ACTIVATION_KINDS };

static void check_group(size_t count, enum activations kind) {
    float x[MOST_COUNT], columns[MOST_COUNT], largest = 0, sum = 0, scale, found_sum;
    for (size_t i = 0; i < count; i++) {
        x[i] = kind == NOTHING ? 0.0f : random_value() - 0.5f;
        x[i] *= kind == TINY ? 0x1p-110f : kind == HUGE_VALUES ? 0x1p125f : 1.0f;
        columns[i] = 0.5f + random_value();
    }
    if (kind == WITH_NAN) x[next_random() % count] = NAN;
    if (kind == WITH_INFINITY) x[next_random() % count] = next_random() % 2 == 0 ? INFINITY : -INFINITY;
    struct guarded codes = make_guarded((count + 15) / 16 * 16);
    kernels->quantize_group(x, columns, count, (int8_t *)codes.bytes, &scale, &found_sum);
    for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(x[i] * columns[i]));
    const bool is_zero = kind == WITH_NAN || kind == WITH_INFINITY || largest < 0x1p-100f;
    for (size_t i = 0; i < count; i++) {
        const int expected = is_zero ? 0 : (int)nearbyintf(x[i] * columns[i] * (127.0f / largest));
        check_often(((int8_t *)codes.bytes)[i] == expected, "%s, %zu values of kind %d: code %zu is %d, expected %d",
                    level_name, count, (int)kind, i, ((int8_t *)codes.bytes)[i], expected);
        sum += (float)expected;
    }
    const float expected_scale = kind == WITH_NAN || kind == WITH_INFINITY ? NAN : is_zero ? 0.0f : largest / 127.0f;
    check_often(is_same(scale, expected_scale) && found_sum == sum, "%s, %zu values of kind %d: scale %g, sum %g",
                level_name, count, (int)kind, (double)scale, (double)found_sum);
    const float found = kernels->find_largest(x, count);
    if (kind == WITH_NAN || kind == WITH_INFINITY) {
        check_often(!(found < INFINITY), "%s: the largest hides what is not finite", level_name);
    } else {
        for (size_t i = 0; i < count; i++)
            check_often(fabsf(x[i]) <= found, "%s: the largest is too small", level_name);
    }
    release_guarded(codes, "activations' codes");
}

START_TEST(activations_are_quantized_alike_everywhere) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        level_name = cpu_level_names[level];
        kernels = sinq_get_compute_kernels();
        for (size_t i = 0; i < 20 * COUNTS * ACTIVATION_KINDS; i++) {
            check_group(counts[i % COUNTS], (enum activations)(i / COUNTS % ACTIVATION_KINDS));
        }
        for (size_t i = 0; i < 20; i++) check_group(64, (enum activations)(i % ACTIVATION_KINDS));
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

UNIT_MAIN("kernel table", largest_codes_and_activations_do_not_saturate, signed_entries_of_6_bits_are_spread,
          every_value_is_converted, activations_are_quantized_alike_everywhere)
