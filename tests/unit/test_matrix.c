/* Quantizing whole matrices into the layout: odd shapes, extreme values, and the faults of the reference implementation. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "quant/matrix/matrix.h"
#include "quant/matrix/rounding.h"
#include "tensor/dtype.h"
#include "unit.h"

static uint32_t random_state = 99;
static uint32_t next_random(void) { return (random_state = random_state * 1664525u + 1013904223u) >> 8; }
static float random_normal(void) {
    float sum = -6.0f;
    for (int i = 0; i < 12; i++) sum += (float)next_random() / 16777216.0f;
    return sum;
}

struct made {
    size_t rows, cols;
    float *w, *back;
    struct sinq_dual_scale description;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_blob blob;
    struct sinq_matrix_outcome outcome;
};

static void make_matrix(struct made *m, size_t rows, size_t cols) {
    *m = (struct made){.rows = rows, .cols = cols};
    m->w = malloc(rows * cols * sizeof(float));
    m->back = malloc(rows * cols * sizeof(float));
    for (size_t i = 0; i < rows * cols; i++) m->w[i] = 0.02f * random_normal();
}

static void free_matrix(struct made *m) {
    free(m->w);
    free(m->back);
    free(m->blob.bytes);
}

static void load_units(const struct made *m, uint32_t group, bool is_bf16, struct sinq_unit_matrix *units) {
    struct sinq_error error;
    ck_assert_int_eq(sinq_shape_units(units, m->rows, m->cols, group, is_bf16, &error), SINQ_OK);
    uint16_t *const row = malloc(m->cols * sizeof(uint16_t));
    for (size_t r = 0; r < m->rows; r++) {
        for (size_t k = 0; k < m->cols; k++) {
            uint32_t bits;
            memcpy(&bits, &m->w[r * m->cols + k], sizeof bits);
            row[k] = (uint16_t)(bits >> 16);
            if (is_bf16) {
                bits &= 0xffff0000u;
                memcpy(&m->w[r * m->cols + k], &bits, sizeof bits);
            }
            units->largest = fmaxf(units->largest, fabsf(m->w[r * m->cols + k]));
        }
        sinq_put_row(units, r, is_bf16 ? (const void *)row : (const void *)(m->w + r * m->cols));
    }
    free(row);
    sinq_finish_units(units, 2);
}

static void quantize(struct made *m, enum sinq_method method, unsigned bits, uint32_t group, enum sinq_aux_type type,
                     double gate, bool is_bf16) {
    struct sinq_unit_matrix units = {0};
    struct sinq_error error;
    load_units(m, group, is_bf16, &units);
    const struct sinq_matrix_method how = {.method = method, .bits = bits, .kurtosis_gate = gate, .threads = 2};
    m->description = (struct sinq_dual_scale){
        .rows = m->rows, .cols = m->cols, .bits = bits, .group_size = group, .scale_type = type, .zero_type = type};
    ck_assert_int_eq(sinq_quantize_packed(&units, &how, &m->description, &m->blob, &m->outcome, &error), SINQ_OK);
    ck_assert(sinq_dual_scale_measure(&m->description, &m->sizes));
    ck_assert(sinq_dual_scale_check(m->blob.bytes, m->sizes.bytes));
    sinq_dual_scale_decode(&m->description, &m->sizes, m->blob.bytes, 0, m->rows, m->back);
    sinq_free_units(&units);
}

static double relative_error_of(const struct made *m, size_t first_row, size_t rows) {
    double error = 0, norm = 0;
    for (size_t i = first_row * m->cols; i < (first_row + rows) * m->cols; i++) {
        const double d = (double)m->w[i] - (double)m->back[i];
        error += d * d;
        norm += (double)m->w[i] * (double)m->w[i];
    }
    return norm > 0 ? sqrt(error / norm) : sqrt(error);
}

/* Every weight within a step of its group; the outcome's error is the real one; zeros are bounded. */
static void check_steps(const struct made *m, const char *name) {
    const size_t group = m->description.group_size == 0 ? m->cols : m->description.group_size;
    double error = 0;
    for (size_t r = 0; r < m->rows; r++) {
        for (size_t k = 0; k < m->cols; k++) {
            const double w = (double)m->w[r * m->cols + k], back = (double)m->back[r * m->cols + k];
            const float s = sinq_dual_scale_scale(&m->description, &m->sizes, m->blob.bytes, r, k / group);
            const float z = sinq_dual_scale_zero(&m->description, &m->sizes, m->blob.bytes, r, k / group);
            const uint8_t *const t = m->blob.bytes + m->sizes.column_scale_offset + 2 * k;
            const double column = m->description.has_column_scale ? 1.1 * ldexp(1.0, (t[1] >> 2 & 31) - 14) : 1.0;
            const double step = (double)s * (double)m->description.factor * column;
            check_often(isfinite(back), "%s: not finite at %zu, %zu", name, r, k);
            check_often(fabs(w - back) <= 1.1 * step + 1e-45, "%s: %g became %g at %zu, %zu, step %g", name, w, back, r,
                        k, step);
            check_often(fabsf(z) <= 2048.0f, "%s: zero point %g", name, (double)z);
            error += (w - back) * (w - back);
        }
    }
    ck_assert_msg(fabs(sqrt(m->outcome.error_square) - sqrt(error)) <=
                      0.01 * sqrt(error) + 5e-4 * sqrt(m->outcome.norm_square),
                  "%s: error %g reported, %g found", name, sqrt(m->outcome.error_square), sqrt(error));
}

static const struct {
    size_t rows, cols;
} shapes[] = {{1, 1},   {1, 64},  {64, 1},   {1, 33},   {3, 5},    {2, 200},
              {31, 65}, {33, 63}, {48, 130}, {100, 16}, {17, 300}, {129, 257}};
static const uint32_t groups[] = {16, 32, 64, 128, 0};
static const unsigned widths[] = {2, 3, 4, 5, 6, 8};

START_TEST(any_shape_group_and_width_is_right) {
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
            for (size_t b = 0; b < sizeof widths / sizeof widths[0]; b++) {
                for (int variant = 0; variant < 4; variant++) {
                    /* Sanitizers are slow: one variant, another with the next width. */
                    if (IS_SANITIZED && (s + g + b) % 4 != (size_t)variant) continue;
                    struct made m;
                    char name[96];
                    (void)snprintf(name, sizeof name, "%zu x %zu, group %u, %u bits, variant %d", shapes[s].rows,
                                   shapes[s].cols, groups[g], widths[b], variant);
                    make_matrix(&m, shapes[s].rows, shapes[s].cols);
                    quantize(&m, (variant & 1) != 0 ? SINQ_METHOD_SINQ : SINQ_METHOD_RTN, widths[b], groups[g],
                             (variant & 2) != 0 ? SINQ_AUX_U8 : SINQ_AUX_F16, 0, variant == 1);
                    check_steps(&m, name);
                    free_matrix(&m);
                }
            }
        }
    }
}
END_TEST

static const struct {
    enum sinq_method method;
    unsigned bits;
    double most; /* relative error on Gaussian weights, group 64 */
} methods[] = {{SINQ_METHOD_SINQ, 4, 0.10},     {SINQ_METHOD_RTN, 4, 0.10},         {SINQ_METHOD_SINQ_NF4, 4, 0.10},
               {SINQ_METHOD_NF4, 4, 0.10},      {SINQ_METHOD_SINQ_NF3, 3, 0.21},    {SINQ_METHOD_NF3, 3, 0.21},
               {SINQ_METHOD_SINQ_HQQ, 4, 0.10}, {SINQ_METHOD_HQQ, 4, 0.10},         {SINQ_METHOD_HQQ, 2, 0.50},
               {SINQ_METHOD_SINQ, 8, 0.006},    {SINQ_METHOD_HQQ, 8, 0.006},        {SINQ_METHOD_SEARCH, 4, 0.09},
               {SINQ_METHOD_SEARCH, 2, 0.40},   {SINQ_METHOD_SINQ_SEARCH, 3, 0.18}, {SINQ_METHOD_SINQ_NOZ, 4, 0.14},
               {SINQ_METHOD_NOZ, 3, 0.42}};

START_TEST(every_method_is_near_the_weights) {
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        static const enum sinq_aux_type types[] = {SINQ_AUX_F16, SINQ_AUX_U8, SINQ_AUX_U6};
        for (int type = 0; type < (sinq_method_is_searched(methods[i].method) ? 3 : 2); type++) {
            struct made m;
            make_matrix(&m, 128, 256);
            quantize(&m, methods[i].method, methods[i].bits, 64, types[type], 0, false);
            const double error = relative_error_of(&m, 0, m.rows);
            ck_assert_msg(error <= methods[i].most, "%s at %u bits: %g", sinq_method_name(methods[i].method),
                          methods[i].bits, error);
            ck_assert(fabs(sqrt(m.outcome.error_square / m.outcome.norm_square) - error) <= 0.01 * error);
            free_matrix(&m);
        }
    }
}
END_TEST

/* A value that bf16 and f16 both hold. */
static const float constants[] = {0.0f, 1.0f, -1.0f, 0.34375f, -3.25f, 100.0f, 0.0001220703125f};

START_TEST(constant_matrices_and_groups_are_exact) {
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        for (size_t c = 0; c < sizeof constants / sizeof constants[0]; c++) {
            struct made m;
            make_matrix(&m, 40, 128);
            for (size_t k = 0; k < m.rows * m.cols; k++) m.w[k] = constants[c];
            quantize(&m, methods[i].method, methods[i].bits, 64, SINQ_AUX_U8, 0, false);
            /* A constant matrix gets equal column scales, which need not be 1: f16 has 11 bits. */
            const double allowed = sinq_method_normalizes(methods[i].method) ? 1.0 / 1024 : 0.0;
            for (size_t k = 0; k < m.rows * m.cols; k++) {
                check_often(fabs((double)m.back[k] - (double)m.w[k]) <= allowed * fabs((double)m.w[k]),
                            "%s: %g became %g", sinq_method_name(methods[i].method), (double)m.w[k], (double)m.back[k]);
            }
            free_matrix(&m);

            make_matrix(&m, 40, 128); /* one constant group among others */
            for (size_t k = 64; k < 128; k++) m.w[17 * 128 + k] = constants[c];
            if (sinq_method_normalizes(methods[i].method)) {
                free_matrix(&m);
                continue;
            }
            quantize(&m, methods[i].method, methods[i].bits, 64, SINQ_AUX_U8, 0, false);
            for (size_t k = 64; k < 128; k++) {
                check_often(m.back[17 * 128 + k] == constants[c], "%s: %g became %g",
                            sinq_method_name(methods[i].method), (double)constants[c], (double)m.back[17 * 128 + k]);
            }
            free_matrix(&m);
        }
    }
}
END_TEST

/* A group far from zero, or with a huge outlier, costs the other rows nothing. */
START_TEST(one_wild_group_does_not_coarsen_the_others) {
    static const struct {
        const char *name;
        float center, spread;
    } wild[] = {{"far above", 1000.0f, 0.5f},
                {"far below", -1000.0f, 0.5f},
                {"very far", 1e6f, 0.25f},
                {"near, thin", 0.05f, 1e-5f}};
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        for (size_t method = 0; method < sizeof methods / sizeof methods[0]; method++) {
            if (sinq_method_normalizes(methods[method].method)) continue; /* there a tile shares its columns */
            struct made calm, m;
            random_state = 5;
            make_matrix(&calm, 64, 128);
            random_state = 5;
            make_matrix(&m, 64, 128);
            for (size_t k = 64; k < 128; k++) m.w[20 * 128 + k] = wild[i].center + wild[i].spread * random_normal();
            quantize(&calm, methods[method].method, methods[method].bits, 64, SINQ_AUX_U8, 0, false);
            quantize(&m, methods[method].method, methods[method].bits, 64, SINQ_AUX_U8, 0, false);
            for (size_t r = 0; r < 64; r++) {
                if (r == 20) continue;
                const double before = relative_error_of(&calm, r, 1), after = relative_error_of(&m, r, 1);
                ck_assert_msg(after <= 1.15 * before, "%s, %s at %u bits: row %zu had error %g, has %g", wild[i].name,
                              sinq_method_name(methods[method].method), methods[method].bits, r, before, after);
            }
            free_matrix(&calm);
            free_matrix(&m);
        }
    }
}
END_TEST

START_TEST(extreme_magnitudes_are_right) {
    static const float sizes[] = {1e-44f, 1e-40f, 1e-30f, 1e-7f, 3e-5f, 1e5f, 1e20f, 2e37f};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t method = 0; method < sizeof methods / sizeof methods[0]; method++) {
            struct made m;
            make_matrix(&m, 64, 128);
            for (size_t k = 0; k < m.rows * m.cols; k++) m.w[k] = random_normal() * sizes[i];
            quantize(&m, methods[method].method, methods[method].bits, 64, SINQ_AUX_U8, 0, false);
            const double error = relative_error_of(&m, 0, m.rows);
            /* Subnormals have few bits of their own. */
            const double allowed = methods[method].most * 1.05 + (sizes[i] < 1e-37f ? 0.2 : 0.0);
            ck_assert_msg(error <= allowed, "%s at %u bits, size %g: %g", sinq_method_name(methods[method].method),
                          methods[method].bits, (double)sizes[i], error);
            free_matrix(&m);
        }
    }
    struct made m; /* the largest there is, of both signs */
    make_matrix(&m, 32, 64);
    for (size_t k = 0; k < m.rows * m.cols; k++) m.w[k] = (k % 3 == 0 ? 1.0f : -1.0f) * FLT_MAX;
    quantize(&m, SINQ_METHOD_SINQ, 4, 64, SINQ_AUX_F16, 0, false);
    ck_assert(relative_error_of(&m, 0, m.rows) < 0.1);
    free_matrix(&m);
}
END_TEST

/* The reference codes a gated nf4 layer uniformly and decodes it with the nf4 table. */
START_TEST(gated_nf4_decodes_right) {
    struct made m;
    make_matrix(&m, 128, 128);
    for (size_t k = 0; k < 40; k++) m.w[k * 401 % (128 * 128)] = 0.4f;
    quantize(&m, SINQ_METHOD_SINQ_NF4, 4, 64, SINQ_AUX_F16, 5.0, false);
    ck_assert(m.outcome.was_gated);
    ck_assert_int_eq(m.outcome.method, SINQ_METHOD_RTN);
    ck_assert_int_eq(m.description.levels, SINQ_LEVELS_UNIFORM);
    ck_assert(!m.description.has_column_scale);
    check_steps(&m, "gated nf4");
    free_matrix(&m);
}
END_TEST

/* The reference loses codes above 127 on reload at 8 bits, and its symmetric mode wastes codes: all of them are used here. */
/* ---- searched scales and zero points ---- */

static float wild_value(size_t kind, size_t row, size_t group, size_t k) {
    const float normal = 0.02f * random_normal();
    switch (kind) {
    case 1: /* constant groups */
        return (row + group) % 3 == 0 ? -0.0137f * (float)(row + 1) : normal;
    case 2: /* one huge outlier */
        return row == 5 && group == 1 && k == 7 ? 1e6f : normal;
    case 3: /* all negative */
        return -fabsf(normal) - 0.01f;
    case 4: /* some all negative, far from zero */
        return (row + group) % 4 == 0 ? -1.0f - fabsf(normal) : normal;
    case 5: /* scales that f16 by itself holds as subnormals only */
        return normal * 1e-6f;
    case 6: /* groups of very different sizes */
        return ldexpf(normal, -(int)((row * 7 + group) % 12));
    default:
        return normal;
    }
}

static double column_scale_of(const struct made *m, size_t k) {
    uint16_t half;
    if (!m->description.has_column_scale) return 1;
    memcpy(&half, m->blob.bytes + m->sizes.column_scale_offset + 2 * k, sizeof half);
    return (double)sinq_half_to_float(half);
}

/* The squared error in the normalized domain. */
static double normalized_error(const struct made *m) {
    double error = 0;
    for (size_t i = 0; i < m->rows * m->cols; i++) {
        const double d = ((double)m->w[i] - (double)m->back[i]) / column_scale_of(m, i % m->cols);
        error += d * d;
    }
    return error;
}

static double largest_normalized(const struct made *m) {
    double largest = 0;
    for (size_t i = 0; i < m->rows * m->cols; i++) {
        largest = fmax(largest, fabs((double)m->w[i]) / column_scale_of(m, i % m->cols));
    }
    return largest;
}

START_TEST(searching_is_never_worse_than_the_range) {
    static const unsigned bits[] = {2, 3, 4, 6};
    static const uint32_t sizes[] = {16, 64, 0};
    for (size_t i = 0; i < 7 * 4 * 3; i++) {
        if (IS_SANITIZED && i % 3 != 0) continue;
        const size_t kind = i % 7, b = i / 7 % 4, g = i / 28;
        for (int normalizes = 0; normalizes < 2; normalizes++) {
            struct made range, search;
            make_matrix(&range, 40, 192);
            make_matrix(&search, 40, 192);
            for (size_t k = 0; k < 40 * 192; k++) range.w[k] = wild_value(kind, k / 192, k % 192 / 64, k % 64);
            memcpy(search.w, range.w, 40 * 192 * sizeof(float));
            quantize(&range, normalizes ? SINQ_METHOD_SINQ : SINQ_METHOD_RTN, bits[b], sizes[g], SINQ_AUX_F16, 0,
                     false);
            const enum sinq_aux_type type = (i / 7 + i) % 2 == 0 ? SINQ_AUX_U8 : SINQ_AUX_U6;
            quantize(&search, normalizes ? SINQ_METHOD_SINQ_SEARCH : SINQ_METHOD_SEARCH, bits[b], sizes[g], type, 0,
                     false);
            /* Both store an outlier's scale in f16: its rounding is a matter of luck. */
            const double rounding = ldexp(largest_normalized(&search), -11);
            const double allowed = normalized_error(&range) * 1.0001 + rounding * rounding;
            ck_assert_msg(normalized_error(&search) <= allowed,
                          "kind %zu, %u bits, group %u, scales %s, normalized %d: %g searched, %g by the range", kind,
                          bits[b], sizes[g], sinq_aux_type_name(type), normalizes, normalized_error(&search),
                          normalized_error(&range));
            free_matrix(&range);
            free_matrix(&search);
        }
    }
}
END_TEST

START_TEST(all_codes_are_used_and_reload) {
    for (size_t b = 0; b < sizeof widths / sizeof widths[0]; b++) {
        struct made m;
        bool used[256] = {false};
        make_matrix(&m, 256, 128);
        quantize(&m, SINQ_METHOD_SINQ, widths[b], 128, SINQ_AUX_F16, 0, false);
        for (uint64_t panel = 0; panel < m.sizes.panels; panel++) {
            for (uint64_t block = 0; block < m.sizes.column_blocks; block++) {
                uint8_t codes[16 * 32];
                sinq_unpack_block(widths[b], 16, 32,
                                  m.blob.bytes + sinq_block_offset(&m.description, &m.sizes, panel, block), codes, 32);
                for (size_t i = 0; i < sizeof codes; i++) used[codes[i]] = true;
            }
        }
        for (unsigned code = 0; code < 1u << widths[b]; code++) {
            ck_assert_msg(used[code], "code %u of %u bits is never used", code, widths[b]);
        }
        check_steps(&m, "all codes");
        free_matrix(&m);
    }
}
END_TEST

/* What is stored in f16 is the paper's result: same codes, scales rounded. */
START_TEST(f16_storage_keeps_the_codes) {
    struct made m;
    make_matrix(&m, 96, 192);
    quantize(&m, SINQ_METHOD_SINQ, 4, 64, SINQ_AUX_F16, 0, false);
    struct sinq_unit_matrix units = {0};
    struct sinq_error error;
    load_units(&m, 64, false, &units);
    struct sinq_plain_matrix plain = {malloc(96 * 192), malloc(96 * 3 * sizeof(float)), malloc(96 * 3 * sizeof(float)),
                                      malloc(192 * sizeof(float))};
    const struct sinq_matrix_method how = {.method = SINQ_METHOD_SINQ, .bits = 4, .threads = 1};
    ck_assert_int_eq(sinq_quantize_plain(&units, &how, &plain, &m.outcome, &error), SINQ_OK);
    for (size_t r = 0; r < 96; r++) {
        for (size_t k = 0; k < 192; k++) {
            uint8_t codes[16 * 32];
            sinq_unpack_block(4, 16, 32, m.blob.bytes + sinq_block_offset(&m.description, &m.sizes, r / 16, k / 32),
                              codes, 32);
            ck_assert_uint_eq(codes[r % 16 * 32 + k % 32], plain.codes[r * 192 + k]);
        }
        for (size_t g = 0; g < 3; g++) {
            const float s = m.description.factor * sinq_dual_scale_scale(&m.description, &m.sizes, m.blob.bytes, r, g);
            ck_assert(fabsf(s / plain.scale[r * 3 + g] - 1.0f) <= 1.0f / 2048);
            ck_assert_float_eq(sinq_dual_scale_zero(&m.description, &m.sizes, m.blob.bytes, r, g),
                               plain.zero[r * 3 + g]);
        }
    }
    free(plain.codes);
    free(plain.scale);
    free(plain.zero);
    free(plain.column);
    sinq_free_units(&units);
    free_matrix(&m);
}
END_TEST

/* The column scale is what makes outliers in single columns harmless. */
START_TEST(normalization_helps_where_columns_differ) {
    struct made with, without;
    random_state = 11;
    make_matrix(&with, 256, 256);
    for (size_t i = 0; i < 256 * 256; i++) with.w[i] *= i % 32 == 5 ? 12.0f : 1.0f;
    random_state = 11;
    make_matrix(&without, 256, 256);
    memcpy(without.w, with.w, 256 * 256 * sizeof(float));
    quantize(&with, SINQ_METHOD_SINQ, 4, 64, SINQ_AUX_U8, 0, false);
    quantize(&without, SINQ_METHOD_RTN, 4, 64, SINQ_AUX_U8, 0, false);
    ck_assert(relative_error_of(&with, 0, 256) < 0.8 * relative_error_of(&without, 0, 256));
    free_matrix(&with);
    free_matrix(&without);
}
END_TEST

UNIT_MAIN("matrix", any_shape_group_and_width_is_right, every_method_is_near_the_weights,
          constant_matrices_and_groups_are_exact, one_wild_group_does_not_coarsen_the_others,
          extreme_magnitudes_are_right, gated_nf4_decodes_right, searching_is_never_worse_than_the_range,
          all_codes_are_used_and_reload, f16_storage_keeps_the_codes, normalization_helps_where_columns_differ)
