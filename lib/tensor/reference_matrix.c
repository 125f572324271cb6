#include "tensor/reference_matrix.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/method.h"

#define AUX_ROWS         32u /* codes of scales that share a step */
#define LARGEST_BYTES    ((uint64_t)1 << 53)
#define HALF_LOWEST_BIT  (-24)
#define HALF_PRECISION   11    /* bits */
#define HALF_END         16    /* every finite one is less than 2^16 */
#define LEAST_SCALE_END  (-12) /* of scales that are rounded, the largest: smaller ones keep too few bits */
#define WISHED_SCALE_END (-8)
#define LEAST_COLUMN_END (-13) /* normal numbers */

static uint64_t count_groups(const struct sinq_reference_matrix *m) { return m->rows * (m->cols / m->group); }

const char *sinq_find_reference_obstacle(const struct sinq_reference_matrix *m) {
    const struct sinq_reference_packing *const packing = sinq_find_reference_packing(m->bits);
    uint64_t values;
    if (packing == NULL) return "it has no such width";
    if (sinq_method_has_byte_levels(m->method)) return "it has no levels but those of nf4 and nf3";
    if (m->rows == 0 || m->group == 0 || m->cols % m->group != 0) return "its groups divide the row";
    if (m->is_tiled && m->rows % m->group != 0) return "its tiles divide the rows, too";
    if (!sinq_multiply_u64(m->rows, m->cols, &values) || values > LARGEST_BYTES / 16) return "it is too large";
    const uint64_t groups = count_groups(m);
    if (packing->dtype == SINQ_U8 && groups % packing->slices != 0) {
        return packing->slices == 2 ? "it packs two groups at a time, and their number is odd"
                                    : "it packs four groups at a time, and four do not divide their number";
    }
    if (m->has_codes && groups % AUX_ROWS != 0) {
        return "its 8-bit scales need a number of groups that 32 divides (f16 scales do not)";
    }
    /* Safetensors files have no holes: one byte of a zero point would put the halves behind it where a mapped file has odd addresses. */
    if (m->has_codes && sinq_method_is_symmetric(m->method)) {
        return "one 8-bit zero point would leave halves at odd bytes (--scale-type f16 does not)";
    }
    return NULL;
}

/* ---- parts ---- */

static void add_part(struct sinq_reference_parts *parts, const char *suffix, enum sinq_dtype dtype, uint32_t rank,
                     uint64_t a, uint64_t b, uint64_t c) {
    const uint64_t values = a * b * c;
    parts->parts[parts->count++] = (struct sinq_reference_part){.suffix = suffix,
                                                                .dtype = dtype,
                                                                .rank = rank,
                                                                .shape = {a, b, c},
                                                                .offset = parts->bytes,
                                                                .bytes = values * sinq_dtype_size(dtype)};
    parts->bytes += values * sinq_dtype_size(dtype);
}

void sinq_measure_reference(const struct sinq_reference_matrix *m, struct sinq_reference_parts *parts) {
    const struct sinq_reference_packing *const packing = sinq_find_reference_packing(m->bits);
    const uint64_t groups = count_groups(m), tiles = groups / m->group, columns = groups / AUX_ROWS;
    *parts = (struct sinq_reference_parts){.count = 0};
    add_part(parts, ".W_q", packing->dtype, 2, sinq_count_packed_rows(packing, groups), m->group, 1);
    if (m->has_codes) {
        add_part(parts, ".meta.scale.x", SINQ_U8, 2, AUX_ROWS, columns, 1);
        add_part(parts, ".meta.scale.s", SINQ_F16, 2, 1, columns, 1);
        add_part(parts, ".meta.scale.m", SINQ_F16, 2, 1, columns, 1);
    } else if (m->is_tiled) {
        add_part(parts, ".meta.scale", SINQ_F16, 3, tiles, m->group, 1);
    } else {
        add_part(parts, ".meta.scale", SINQ_F16, 2, groups, 1, 1);
    }
    if (m->is_tiled) add_part(parts, ".meta.scale2", SINQ_F16, 3, tiles, 1, m->group);
    if (!m->is_tiled) add_part(parts, ".meta.scale2", SINQ_F16, 2, 1, m->cols, 1);
    if (m->has_codes) {
        add_part(parts, ".meta.zero.x", SINQ_U8, 2, groups, 1, 1);
        add_part(parts, ".meta.zero.s", SINQ_F16, 2, 1, 1, 1);
        add_part(parts, ".meta.zero.m", SINQ_F16, 2, 1, 1, 1);
    } else if (sinq_method_is_symmetric(m->method)) {
        add_part(parts, ".meta.zero", SINQ_F16, 0, 1, 1, 1);
    } else if (m->is_tiled) {
        add_part(parts, ".meta.zero", SINQ_F16, 3, tiles, m->group, 1);
    } else {
        add_part(parts, ".meta.zero", SINQ_F16, 2, groups, 1, 1);
    }
}

/* ---- how scales and column scales share their exponents ---- */

/* Of values that are not zero: 2^end is above all of them, 2^least_end above the smallest. */
struct span {
    int end, least_end, lowest_bit, widest; /* widest: bits from a value's highest to its lowest one */
    bool is_finite;
};

static void add_value(struct span *span, double value) {
    int end;
    if (!isfinite(value)) span->is_finite = false;
    if (value == 0 || !isfinite(value)) return;
    uint64_t bits = (uint64_t)(ldexp(fabs(frexp(value, &end)), 53));
    int lowest = end - 53;
    for (; (bits & 1) == 0; bits >>= 1) lowest++;
    span->end = end > span->end ? end : span->end;
    span->least_end = end < span->least_end ? end : span->least_end;
    span->lowest_bit = lowest < span->lowest_bit ? lowest : span->lowest_bit;
    span->widest = end - lowest > span->widest ? end - lowest : span->widest;
}

static struct span find_span(const float *values, uint64_t count, double factor) {
    struct span span = {.end = INT_MIN / 4, .least_end = INT_MAX / 4, .lowest_bit = INT_MAX / 4, .is_finite = true};
    for (uint64_t i = 0; i < count; i++) add_value(&span, (double)values[i] * factor);
    return span;
}

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

/* A shift with which all values are f16 numbers, nearest to 0; false where there is none. */
static bool find_exact_shift(const struct span *scales, const struct span *columns, int *shift) {
    int low = HALF_LOWEST_BIT - scales->lowest_bit, high = HALF_END - scales->end;
    const int column_low = columns->end - HALF_END, column_high = columns->lowest_bit - HALF_LOWEST_BIT;
    if (scales->widest > HALF_PRECISION || columns->widest > HALF_PRECISION) return false;
    low = low > column_low ? low : column_low;
    high = high < column_high ? high : column_high;
    *shift = clamp(0, low, high);
    return low <= high;
}

/* A shift with which they are rounded to normal numbers for the most part: 0 wherever that will do, as the reference has it. */
static bool find_shift(const struct span *scales, const struct span *columns, int *shift) {
    *shift = 0;
    if (scales->end < INT_MIN / 8) return true; /* all zeros */
    if (scales->end < LEAST_SCALE_END) *shift = WISHED_SCALE_END - scales->end;
    if (scales->end >= HALF_END) *shift = HALF_END - 1 - scales->end;
    const int low = columns->end - (HALF_END - 1), high = columns->least_end - LEAST_COLUMN_END;
    if (*shift != 0) *shift = clamp(*shift, low, high < low ? low : high);
    const int end = scales->end + *shift;
    return end >= LEAST_SCALE_END && end < HALF_END && columns->end - *shift < HALF_END;
}

/* ---- storing ---- */

struct packing {
    struct sinq_reference_matrix *matrix;
    struct sinq_plain_matrix *plain;
    struct sinq_reference_parts parts;
    uint64_t groups, columns;
    uint8_t *bytes;
    float *ordered; /* scales or zeros as they lie in the file */
    bool *is_free;
};

static uint8_t *find_part(const struct packing *p, const char *suffix) {
    for (size_t i = 0; i < p->parts.count; i++) {
        if (strcmp(p->parts.parts[i].suffix, suffix) == 0) return p->bytes + p->parts.parts[i].offset;
    }
    return NULL;
}

/* Where the group of plain entry `entry` lies. */
static uint64_t find_place(const struct sinq_reference_matrix *m, uint64_t entry) {
    const uint64_t groups = m->cols / m->group, row = entry / groups, group = entry % groups;
    return m->is_tiled ? (row / m->group * groups + group) * m->group + row % m->group : entry;
}

static void store_halves(float *values, uint64_t count, uint8_t *halves) {
    for (uint64_t i = 0; i < count; i++) {
        const uint16_t half = sinq_float_to_half(values[i]);
        memcpy(halves + 2 * i, &half, sizeof half);
        values[i] = sinq_half_to_float(half);
    }
}

static void order_values(const struct packing *p, const float *values) {
    for (uint64_t i = 0; i < p->groups; i++) p->ordered[find_place(p->matrix, i)] = values[i];
}

static void take_back(const struct packing *p, float *values) {
    for (uint64_t i = 0; i < p->groups; i++) values[i] = p->ordered[find_place(p->matrix, i)];
}

/* A group of zeros is served by any scale where its zero point is stored exactly; such scales widen no range. */
static void find_free(const struct packing *p) {
    unsigned count;
    const float *const levels = sinq_method_levels(p->matrix->method, &count);
    for (uint64_t i = 0; i < p->groups; i++) {
        const uint8_t *const codes = p->plain->codes + i * p->matrix->group;
        bool is_zero = p->plain->scale[i] == 0;
        for (uint64_t k = 0; k < p->matrix->group && is_zero; k++) {
            is_zero = (levels != NULL ? levels[codes[k]] : (float)codes[k]) == p->plain->zero[i];
        }
        p->is_free[find_place(p->matrix, i)] = is_zero;
    }
}

static void store_codes_of(const struct packing *p, bool is_scale, uint64_t columns) {
    uint8_t *const codes = find_part(p, is_scale ? ".meta.scale.x" : ".meta.zero.x");
    uint16_t *const steps = (uint16_t *)(void *)find_part(p, is_scale ? ".meta.scale.s" : ".meta.zero.s");
    uint16_t *const lows = (uint16_t *)(void *)find_part(p, is_scale ? ".meta.scale.m" : ".meta.zero.m");
    sinq_encode_reference_aux(p->ordered, is_scale ? p->is_free : NULL, p->groups, columns, codes, steps, lows);
}

/* One for all where the method has one: any other then becomes it. */
static void store_zeros(const struct packing *p) {
    float *const zero = p->plain->zero;
    const bool is_one = sinq_method_is_symmetric(p->matrix->method);
    order_values(p, zero);
    if (p->matrix->has_codes) store_codes_of(p, false, 1);
    if (!p->matrix->has_codes) store_halves(p->ordered, is_one ? 1 : p->groups, find_part(p, ".meta.zero"));
    for (uint64_t i = 1; i < p->groups && is_one; i++) p->ordered[i] = p->ordered[0];
    take_back(p, zero);
}

/* Zeros first: which scales matter depends on what became of them. */
static void store_values(const struct packing *p) {
    struct sinq_plain_matrix *const plain = p->plain;
    store_zeros(p);
    order_values(p, plain->scale);
    if (p->matrix->has_codes) find_free(p);
    if (p->matrix->has_codes) store_codes_of(p, true, p->groups / AUX_ROWS);
    if (!p->matrix->has_codes) store_halves(p->ordered, p->groups, find_part(p, ".meta.scale"));
    take_back(p, plain->scale);
    store_halves(plain->column, p->columns, find_part(p, ".meta.scale2"));
    sinq_pack_reference_codes(sinq_find_reference_packing(p->matrix->bits), p->groups, p->matrix->group, plain->codes,
                              find_part(p, ".W_q"));
}

/* Scales by 2^shift, column scales by 2^-shift; false where f16 numbers cannot hold them. */
static bool share_exponents(const struct packing *p, float factor, bool is_kept) {
    struct sinq_reference_matrix *const m = p->matrix;
    struct sinq_plain_matrix *const plain = p->plain;
    const struct span scales = find_span(plain->scale, p->groups, (double)factor);
    const struct span columns = find_span(plain->column, p->columns, 1.0), zeros = find_span(plain->zero, p->groups, 1);
    int exponent, shift = 0;
    const bool is_power = frexpf(factor, &exponent) == 0.5F;
    m->has_exponents = is_kept && is_power && !m->has_codes && find_exact_shift(&scales, &columns, &shift);
    if (!scales.is_finite || !columns.is_finite || !zeros.is_finite || zeros.end >= HALF_END) return false;
    if (!m->has_exponents && !find_shift(&scales, &columns, &shift)) return false;
    m->factor_exponent = m->has_exponents ? exponent - 1 : 0;
    m->shift = m->has_exponents ? shift : 0;
    for (uint64_t i = 0; i < p->groups; i++) {
        plain->scale[i] = (float)ldexp((double)plain->scale[i] * (double)factor, shift);
    }
    for (uint64_t i = 0; i < p->columns; i++) plain->column[i] = ldexpf(plain->column[i], -shift);
    return true;
}

int sinq_pack_reference(struct sinq_reference_matrix *matrix, struct sinq_plain_matrix *plain, float factor,
                        bool is_kept, const char *where, uint8_t *bytes, struct sinq_error *error) {
    struct packing p = {.matrix = matrix, .plain = plain, .groups = count_groups(matrix), .bytes = bytes};
    int status = SINQ_OK;
    sinq_measure_reference(matrix, &p.parts);
    p.columns = matrix->cols * (matrix->is_tiled ? matrix->rows / matrix->group : 1);
    p.ordered = malloc((size_t)p.groups * sizeof *p.ordered);
    p.is_free = calloc((size_t)p.groups, sizeof *p.is_free);
    if (p.ordered == NULL || p.is_free == NULL) {
        status = sinq_fail_memory(error, where, p.groups * sizeof *p.ordered);
    } else if (!share_exponents(&p, factor, is_kept)) {
        status = sinq_fail(error, SINQ_FAILED, "%s: its scales are too large or too small for the f16 of the reference",
                           where);
    } else {
        store_values(&p);
    }
    free(p.ordered);
    free(p.is_free);
    return status;
}

/* ---- the text beside ---- */

static void print_shape(struct sinq_text *text, const struct sinq_reference_matrix *m, const char *key) {
    const unsigned long long groups = count_groups(m);
    sinq_text_print(text, "\"%s\": ", key);
    if (m->is_tiled) {
        sinq_text_print(text, "[%llu, %llu, 1], ", groups / m->group, (unsigned long long)m->group);
    } else {
        sinq_text_print(text, "[%llu, 1], ", groups);
    }
}

static void print_method(struct sinq_text *text, const struct sinq_reference_matrix *m) {
    sinq_text_add(text, "\"method\": \"");
    for (const char *name = sinq_method_name(m->method); *name != '\0'; name++) {
        sinq_text_add_bytes(text, *name == '-' ? "_" : name, 1);
    }
    sinq_text_add(text, m->has_codes ? "_quantAux\", " : "\", ");
}

void sinq_print_reference_meta(const struct sinq_reference_matrix *m, const char *compute_dtype,
                               struct sinq_text *text) {
    const struct sinq_reference_packing *const packing = sinq_find_reference_packing(m->bits);
    sinq_text_print(text, "{\"nbits\": %u, \"group_size\": %llu, \"shape\": [%llu, %llu], ", (unsigned)m->bits,
                    (unsigned long long)m->group_size, (unsigned long long)m->rows, (unsigned long long)m->cols);
    if (m->has_codes) print_shape(text, m, "scale.shape");
    sinq_text_add(text, "\"awq_scale\": null, ");
    if (m->has_codes) print_shape(text, m, "zero.shape");
    sinq_text_print(text, "\"axis\": 1, \"packing\": \"%s\", ", packing->name);
    print_method(text, m);
    sinq_text_print(text, "\"compute_dtype\": \"torch.%s\", \"unpack_view_dtype\": \"torch.%s\", ", compute_dtype,
                    packing->dtype == SINQ_U8 ? "uint8" : "int32");
    if (m->has_exponents) {
        sinq_text_print(text, "\"" SINQ_REFERENCE_EXPONENTS "\": \"%d %d\", ", m->factor_exponent, m->shift);
    }
    sinq_text_add(text, "\"view_as_float\": false}");
}
