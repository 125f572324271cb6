/*
 * y = W x of every form of weight, at every instruction set, against direct sums in f64.
 *
 * Bounds. Exact mode: sums in f32 run over 128 columns at most, and those of the parts over cols / 128: each addition may be off
 * by 2^-24 of the sum of magnitudes, whatever the order. int8 mode against the same formula in f64: (16 + sqrt cols) * 2^-23 of
 * the sum of the magnitudes of its terms, and where levels are numbers, besides half a step of 1/65535 of their range for
 * each. int8 mode against exact: each activation is off by half a step of its group; zero points' shares as they were rounded.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu_levels.h"
#include "guarded.h"
#include "kernels/matmul.h"
#include "random_blob.h"

enum { MOST_TOKENS = 65, MOST_COLUMNS = 8224 };

enum activations { GAUSSIAN, MIXED, TINY, LARGE, ZEROS, CONSTANT, ACTIVATION_KINDS };
static const char *const activation_names[ACTIVATION_KINDS] = {"gaussian", "mixed", "tiny",
                                                               "large",    "zeros", "constant"};

static float make_activation(enum activations kind) {
    const float value = random_value() * 2.0f - 1.0f + random_value();
    switch (kind) {
    case MIXED:
        return ldexpf(value, (int)(next_random() % 24) - 12);
    case TINY:
        return value * 1e-25f;
    case LARGE:
        return value * 1e20f;
    case ZEROS:
        return next_random() % 8 != 0 ? 0.0f : value;
    case CONSTANT:
        return -0.37f;
    default:
        return value;
    }
}

struct product {
    const struct sinq_weight *weight;
    const char *level, *kind;
    bool exact, accumulate;
    uint32_t tokens;
    size_t stride; /* of x and y */
    float *x, *bias, *y, *before;
    float *decoded; /* [rows][cols] */
};

/* Prepares and multiplies in uneven parts, as threads would. */
static void run_product(const struct product *p) {
    const struct sinq_weight *const w = p->weight;
    const uint64_t panels = (w->rows + 15) / 16;
    struct guarded prepared = make_guarded(sinq_prepared_bytes(w, p->tokens, p->exact));
    struct guarded scratch = make_guarded(sinq_multiply_scratch(w, p->tokens, p->exact));
    const uint32_t part = p->tokens > 5 ? 5 : p->tokens;
    sinq_prepare_input(w, p->x, p->stride, p->tokens, part, p->tokens - part, p->exact, prepared.bytes);
    sinq_prepare_input(w, p->x, p->stride, p->tokens, 0, part, p->exact, prepared.bytes);
    for (uint64_t panel = 0, count = 1; panel < panels; panel += count, count = count % 5 + 2) {
        if (count > panels - panel) count = panels - panel;
        sinq_multiply_panels(w, prepared.bytes, p->tokens, panel, count, p->bias, p->accumulate, p->exact, p->y,
                             p->stride, scratch.bytes);
    }
    release_guarded(prepared, "prepared input");
    release_guarded(scratch, "scratch");
}

/* What the product is added to; *magnitude is the sum of its parts' magnitudes, which round when they are added. */
static double start_value(const struct product *p, uint32_t token, uint64_t row, double *magnitude) {
    const double bias = p->bias == NULL ? 0.0 : (double)p->bias[row];
    const double before = p->accumulate ? (double)p->before[token * p->stride + row] : 0.0;
    *magnitude = fabs(bias) + fabs(before);
    return bias + before;
}

static void compare(const struct product *p, uint32_t token, uint64_t row, double expected, double bound) {
    double magnitude;
    const double start = start_value(p, token, row, &magnitude), found = (double)p->y[token * p->stride + row];
    const double limit = bound + 0x1p-23 * (magnitude + fabs(expected)) + 1e-37;
    check_often(fabs(found - (start + expected)) <= limit,
                "%s, %s, %s, %s, %llu x %llu, %u bits, group %u, %u tokens: token %u row %llu is %.9g, expected %.9g "
                "(off %.3g, bound %.3g)",
                p->level, sinq_dtype_name(p->weight->dtype), p->exact ? "exact" : "int8", p->kind,
                (unsigned long long)p->weight->rows, (unsigned long long)p->weight->cols, p->weight->matrix.bits,
                p->weight->matrix.group_size, p->tokens, token, (unsigned long long)row, found, start + expected,
                fabs(found - (start + expected)), limit);
}

static void check_exact(const struct product *p) {
    const uint64_t cols = p->weight->cols;
    for (uint32_t t = 0; t < p->tokens; t++) {
        for (uint64_t r = 0; r < p->weight->rows; r++) {
            double sum = 0, magnitude = 0;
            for (uint64_t k = 0; k < cols; k++) {
                const double term = (double)p->decoded[r * cols + k] * (double)p->x[t * p->stride + k];
                sum += term;
                magnitude += fabs(term);
            }
            compare(p, t, r, sum, (fmin((double)cols, 128.0) + (double)cols / 128.0 + 8.0) * 0x1p-24 * magnitude);
        }
    }
}

/* One token's activations in int8, by the formula of matmul.h. */
struct quantized_input {
    int8_t codes[MOST_COLUMNS];
    float scaled[MOST_COLUMNS], scales[MOST_COLUMNS / 16];
};

/* Small groups of levels of bytes share a scale of 64 columns, where tokens come in tiles or scales need expanding. */
static bool shares_scales(const struct sinq_weight *w, uint32_t tokens) {
    const struct sinq_dual_scale *const m = &w->matrix;
    if (m->levels != SINQ_LEVELS_BYTES || m->group_size == 0 || m->group_size > 32 || m->zero_low > 65536.0f)
        return false;
    return tokens > 1 || !m->scale_signed;
}

static uint64_t activation_group(const struct sinq_weight *w, uint32_t tokens) {
    return w->matrix.group_size == 0 || shares_scales(w, tokens) ? 64 : w->matrix.group_size;
}

static void quantize_input(const struct sinq_weight *w, uint32_t tokens, const float *x, struct quantized_input *q) {
    const uint64_t group = activation_group(w, tokens);
    for (uint64_t first = 0; first < w->cols; first += group) {
        const uint64_t end = first + group < w->cols ? first + group : w->cols;
        float largest = 0;
        for (uint64_t k = first; k < end; k++) {
            q->scaled[k] = x[k];
            if (w->matrix.has_column_scale) {
                uint16_t half;
                memcpy(&half, w->bytes + w->sizes.column_scale_offset + 2 * k, sizeof half);
                q->scaled[k] *= sinq_half_to_float(half);
            }
            if (fabsf(q->scaled[k]) > largest) largest = fabsf(q->scaled[k]);
        }
        const float inverse = largest > 0 ? 127.0f / largest : 0;
        q->scales[first / group] = largest / 127.0f;
        for (uint64_t k = first; k < end; k++) q->codes[k] = (int8_t)nearbyintf(q->scaled[k] * inverse);
    }
}

struct int8_sums {
    double value, magnitude, steps;            /* of the formula; steps: what rounding levels may give */
    double exact, exact_magnitude, activation; /* with activations unrounded, and the bound for rounding them */
};

static struct int8_sums sum_int8(const struct sinq_weight *w, uint32_t tokens, uint64_t row, const uint8_t *codes,
                                 const float levels[256], const struct quantized_input *q) {
    const uint64_t group = activation_group(w, tokens), columns = w->matrix.group_size;
    const bool has_shared = shares_scales(w, tokens);
    struct int8_sums sums = {0};
    double sum = 0; /* of a group's codes */
    double low = INFINITY, high = -INFINITY;
    for (unsigned c = 0; c < 1u << w->matrix.bits; c++) {
        low = fmin(low, (double)levels[c]);
        high = fmax(high, (double)levels[c]);
    }
    for (uint64_t k = 0; k < w->cols; k++) {
        const uint64_t g = columns == 0 ? 0 : k / columns;
        const double scale =
            (double)sinq_dual_scale_scale(&w->matrix, &w->sizes, w->bytes, row, g) * (double)w->matrix.factor;
        const double zero = (double)sinq_dual_scale_zero(&w->matrix, &w->sizes, w->bytes, row, g);
        const double level = (double)levels[codes[k]], step = (double)q->scales[k / group];
        const double taken_off = (w->matrix.has_minima ? (double)w->matrix.factor : scale) * zero;
        const double weight = scale * level - taken_off, magnitude = fabs(scale * level) + fabs(taken_off);
        sums.value += step * weight * q->codes[k];
        sums.magnitude += step * magnitude * abs(q->codes[k]);
        if (w->matrix.levels == SINQ_LEVELS_F32) {
            sums.steps += fabs(scale) * step * (high - low + fabs(low)) / 65535.0 * abs(q->codes[k]);
        }
        if (has_shared) sum = k % columns == 0 ? q->codes[k] : sum + q->codes[k];
        if (has_shared &&
            (k + 1 == w->cols || (k + 1) % columns == 0)) { /* the zero point's share of a group is rounded */
            const double rounded_off = zero * sum - nearbyint(zero * sum);
            sums.value += scale * step * rounded_off;
            sums.activation += fabs(scale * step * rounded_off);
        }
        sums.exact += weight * (double)q->scaled[k];
        sums.exact_magnitude += magnitude * fabs((double)q->scaled[k]);
        sums.activation += fabs(weight) * step * 0.50001;
    }
    return sums;
}

static void check_int8(const struct product *p) {
    const struct sinq_weight *const w = p->weight;
    const uint64_t padded = (w->cols + 31) / 32 * 32;
    static uint8_t codes[16 * MOST_COLUMNS];
    static struct quantized_input input[MOST_TOKENS];
    float levels[256];
    for (unsigned c = 0; c < 256; c++) levels[c] = (float)c;
    sinq_dual_scale_levels(&w->matrix, &w->sizes, w->bytes, levels);
    for (uint32_t t = 0; t < p->tokens; t++) quantize_input(w, p->tokens, p->x + t * p->stride, &input[t]);
    for (uint64_t r = 0; r < w->rows; r++) {
        if (r % 16 == 0) {
            for (uint64_t b = 0; b < w->sizes.column_blocks; b++) {
                sinq_unpack_block(w->matrix.bits, 16, 32,
                                  w->bytes + sinq_block_offset(&w->matrix, &w->sizes, r / 16, b), codes + 32 * b,
                                  padded);
            }
        }
        for (uint32_t t = 0; t < p->tokens; t++) {
            const struct int8_sums s = sum_int8(w, p->tokens, r, codes + r % 16 * padded, levels, &input[t]);
            const double rounding = (16.0 + sqrt((double)w->cols)) * 0x1p-23;
            compare(p, t, r, s.value, rounding * s.magnitude + s.steps);
            compare(p, t, r, s.exact, s.activation + s.steps + rounding * (s.magnitude + s.exact_magnitude));
        }
    }
}

static void check_weight(const struct sinq_weight *w, const char *level, uint32_t tokens, enum activations kind) {
    const size_t stride = (size_t)(w->rows > w->cols ? w->rows : w->cols) + 3;
    struct product p = {
        .weight = w, .level = level, .kind = activation_names[kind], .tokens = tokens, .stride = stride};
    p.accumulate = next_random() % 2 == 0;
    p.x = malloc(tokens * stride * sizeof(float));
    p.before = malloc(tokens * stride * sizeof(float));
    float *const bias = malloc((size_t)w->rows * sizeof(float));
    p.decoded = malloc((size_t)(w->rows * w->cols) * sizeof(float));
    ck_assert(p.x != NULL && p.before != NULL && bias != NULL && p.decoded != NULL);
    for (size_t i = 0; i < tokens * stride; i++) {
        p.x[i] = make_activation(kind);
        p.before[i] = random_value();
    }
    for (uint64_t r = 0; r < w->rows; r++) bias[r] = random_value() - 0.5f;
    p.bias = next_random() % 2 == 0 ? bias : NULL;
    sinq_weight_decode(w, 0, w->rows, p.decoded);
    for (int exact = 0; exact < 2; exact++) {
        struct guarded y = make_guarded(tokens * stride * sizeof(float));
        memcpy(y.bytes, p.before, y.size);
        p.y = (float *)(void *)y.bytes;
        p.exact = exact != 0;
        run_product(&p);
        if (exact != 0 || w->dtype != SINQ_DUAL_SCALE) {
            check_exact(&p);
        } else {
            check_int8(&p);
        }
        for (uint32_t t = 0; t < tokens; t++) {
            ck_assert_mem_eq(p.y + t * stride + w->rows, p.before + t * stride + w->rows,
                             (stride - w->rows) * sizeof(float));
        }
        release_guarded(y, "output");
    }
    free(p.x);
    free(p.before);
    free(bias);
    free(p.decoded);
}

static const uint32_t token_counts[] = {1, 2, 3, 17, 65};
enum { TOKEN_COUNTS = sizeof token_counts / sizeof token_counts[0] };

/* ---- quantized ---- */

static const struct {
    uint64_t rows, cols;
} shapes[] = {{16, 64}, {1, 1}, {1, 100}, {97, 40}, {17, 33}, {48, 257}, {5, 1030}, {1, 8200}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void check_quantized(struct sinq_dual_scale matrix, const char *level, size_t salt) {
    uint64_t bytes;
    uint8_t *const blob = make_random_blob(&matrix, &bytes);
    uint8_t *const aligned = aligned_alloc(64, (size_t)bytes);
    ck_assert_ptr_nonnull(aligned);
    memcpy(aligned, blob, (size_t)bytes);
    struct sinq_weight weight = {.dtype = SINQ_DUAL_SCALE,
                                 .rows = matrix.rows,
                                 .cols = matrix.cols,
                                 .bytes = aligned,
                                 .size = bytes,
                                 .matrix = matrix};
    ck_assert(sinq_dual_scale_measure(&matrix, &weight.sizes));
    check_weight(&weight, level, token_counts[salt % TOKEN_COUNTS], (enum activations)(salt / 5 % ACTIVATION_KINDS));
    free(aligned);
    free(blob);
}

static const uint32_t widths[] = {2, 3, 4, 5, 6, 8}, groups[] = {16, 32, 64, 128, 0};

/* Every width, group, kind of scale, zero, levels and column scale; shapes, tokens and activations take turns. */
START_TEST(quantized_weights_equal_direct_sums) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (size_t i = 0; i < 6 * 5 * 2 * 3 * 2 * 2; i++) {
            const size_t aux = i / 30;
            struct sinq_dual_scale matrix = {
                .rows = shapes[(i + i / 6) % SHAPES].rows,
                .cols = shapes[(i + i / 6) % SHAPES].cols,
                .group_size = groups[i / 6 % 5],
                .bits = widths[i % 6],
                .scale_type = aux % 2 == 0 ? SINQ_AUX_F16 : SINQ_AUX_U8,
                .zero_type = aux / 2 % 3 == 0 ? SINQ_AUX_F16 : SINQ_AUX_U8,
                .zero_per_block = aux / 2 % 3 == 2,
                .has_column_scale = aux / 6 % 2 != 0,
                .levels = aux / 12 % 2 != 0 ? SINQ_LEVELS_F32 : SINQ_LEVELS_UNIFORM,
                .factor = 0.37f,
                .zero_low = -3.0f,
                .zero_step = 0.25f,
            };
            if (matrix.levels == SINQ_LEVELS_F32 && matrix.bits > 4) continue;
            if (IS_SANITIZED && i % 5 >= 2) continue; /* sanitizers are slow */
            check_quantized(matrix, cpu_level_names[level], i + i / 30);
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

/* The forms that blocks of GGUF become: i8 scales under factors of 256 columns, minima, one zero point for all. */
START_TEST(other_scales_equal_direct_sums) {
    static const struct {
        enum sinq_aux_type scale_type, zero_type;
        bool has_minima;
    } forms[] = {{SINQ_AUX_F16, SINQ_AUX_F16, true},
                 {SINQ_AUX_I8, SINQ_AUX_I8, true},
                 {SINQ_AUX_I8, SINQ_AUX_NONE, false},
                 {SINQ_AUX_F16, SINQ_AUX_NONE, false},
                 {SINQ_AUX_U8, SINQ_AUX_I8, false}};
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (size_t i = 0; i < 5 * 6 * 4 * 2; i++) {
            struct sinq_dual_scale matrix = {
                .rows = shapes[(i + i / 6) % SHAPES].rows,
                .cols = shapes[(i + i / 6) % SHAPES].cols,
                .group_size = groups[i / 30 % 4],
                .bits = widths[i / 5 % 6],
                .scale_type = forms[i % 5].scale_type,
                .zero_type = forms[i % 5].zero_type,
                .has_minima = forms[i % 5].has_minima,
                .has_column_scale = i / 120 != 0,
                .factor = 0.37f,
                .zero_low = 4.0f,
            };
            if (matrix.bits <= 4 && i % 3 == 0 && !matrix.has_minima) matrix.levels = SINQ_LEVELS_F32;
            if (IS_SANITIZED && i % 7 >= 2) continue;
            check_quantized(matrix, cpu_level_names[level], i + i / 30);
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

/* Byte levels, signed scales, entries of 6 bits. */
START_TEST(narrow_scales_and_byte_levels_equal_direct_sums) {
    static const struct {
        enum sinq_aux_type scale_type, zero_type;
        bool scale_signed, zero_per_block, has_levels;
    } forms[] = {{SINQ_AUX_U6, SINQ_AUX_NONE, true, false, true},   {SINQ_AUX_U8, SINQ_AUX_NONE, true, false, true},
                 {SINQ_AUX_U6, SINQ_AUX_U6, false, false, false},   {SINQ_AUX_U6, SINQ_AUX_U6, false, true, false},
                 {SINQ_AUX_U6, SINQ_AUX_NONE, false, false, true},  {SINQ_AUX_U8, SINQ_AUX_NONE, false, false, true},
                 {SINQ_AUX_F16, SINQ_AUX_NONE, false, false, true}, {SINQ_AUX_I8, SINQ_AUX_NONE, false, false, true},
                 {SINQ_AUX_U6, SINQ_AUX_NONE, true, false, false},  {SINQ_AUX_U6, SINQ_AUX_F16, false, false, false},
                 {SINQ_AUX_U8, SINQ_AUX_U6, false, true, false}};
    enum { FORMS = sizeof forms / sizeof forms[0] };
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (size_t i = 0; i < FORMS * 6 * 5; i++) {
            struct sinq_dual_scale matrix = {
                .rows = shapes[(i + i / 6) % SHAPES].rows,
                .cols = shapes[(i + i / 6) % SHAPES].cols,
                .group_size = groups[i / FORMS % 5],
                .bits = widths[i / FORMS / 5],
                .scale_type = forms[i % FORMS].scale_type,
                .zero_type = forms[i % FORMS].zero_type,
                .scale_signed = forms[i % FORMS].scale_signed,
                .zero_per_block = forms[i % FORMS].zero_per_block,
                .has_column_scale = i % 2 != 0,
                .factor = 0.37f,
                .zero_low = forms[i % FORMS].has_levels ? (i % 13 == 0 ? 70000.0f : 61.25f) : 3.0f,
                .zero_step = 0.25f,
            };
            if (matrix.group_size == 0 && matrix.scale_type == SINQ_AUX_I8) continue;
            if (matrix.bits <= 4 && forms[i % FORMS].has_levels) matrix.levels = SINQ_LEVELS_BYTES;
            if (IS_SANITIZED && i % 7 >= 2) continue;
            check_quantized(matrix, cpu_level_names[level], i + i / 30);
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

enum { LONG_PANELS = 77, LONG_ROWS = 16 * LONG_PANELS - 5, LONG_COLUMNS = 160 };

/* One token: rows in shares of `most` panels. */
static void multiply_shares(const struct sinq_weight *w, const float *x, uint64_t most, float *y) {
    struct guarded prepared = make_guarded(sinq_prepared_bytes(w, 1, false));
    struct guarded scratch = make_guarded(sinq_multiply_scratch(w, 1, false));
    sinq_prepare_input(w, x, LONG_COLUMNS, 1, 0, 1, false, prepared.bytes);
    for (uint64_t panel = 0; panel < LONG_PANELS; panel += most) {
        const uint64_t some = most < LONG_PANELS - panel ? most : LONG_PANELS - panel;
        sinq_multiply_panels(w, prepared.bytes, 1, panel, some, NULL, false, false, y, LONG_ROWS, scratch.bytes);
    }
    release_guarded(prepared, "prepared input");
    release_guarded(scratch, "scratch");
}

static void check_long_shares(struct sinq_dual_scale matrix, const char *level) {
    static const uint64_t shares[] = {LONG_PANELS, 2, 3, 34};
    struct sinq_weight weight = {.dtype = SINQ_DUAL_SCALE, .rows = matrix.rows, .cols = matrix.cols, .matrix = matrix};
    uint8_t *const blob = make_random_blob(&matrix, &weight.size);
    uint8_t *const aligned = aligned_alloc(64, (size_t)(weight.size + 63) / 64 * 64);
    float x[LONG_COLUMNS], single[LONG_ROWS];
    ck_assert_ptr_nonnull(aligned);
    memcpy(aligned, blob, (size_t)weight.size);
    weight.bytes = aligned;
    ck_assert(sinq_dual_scale_measure(&matrix, &weight.sizes));
    for (size_t i = 0; i < LONG_COLUMNS; i++) x[i] = make_activation(MIXED);
    multiply_shares(&weight, x, 1, single);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        struct guarded y = make_guarded(LONG_ROWS * sizeof(float));
        multiply_shares(&weight, x, shares[i], (float *)(void *)y.bytes);
        check_often(memcmp(y.bytes, single, sizeof single) == 0,
                    "%s, %u bits, group %u, levels %d: shares of %llu panels differ from single panels", level,
                    matrix.bits, matrix.group_size, (int)matrix.levels, (unsigned long long)shares[i]);
        release_guarded(y, "output");
    }
    free(aligned);
    free(blob);
}

/* Panels that are multiplied two at once, from either half of a share, are the same to the last bit as each alone. */
START_TEST(long_shares_equal_single_panels) {
    static const struct {
        enum sinq_levels_kind levels;
        enum sinq_aux_type scale_type, zero_type;
    } forms[] = {{SINQ_LEVELS_UNIFORM, SINQ_AUX_U8, SINQ_AUX_U8}, {SINQ_LEVELS_UNIFORM, SINQ_AUX_F16, SINQ_AUX_F16},
                 {SINQ_LEVELS_UNIFORM, SINQ_AUX_U6, SINQ_AUX_U6}, {SINQ_LEVELS_F32, SINQ_AUX_U8, SINQ_AUX_NONE},
                 {SINQ_LEVELS_BYTES, SINQ_AUX_U6, SINQ_AUX_NONE}, {SINQ_LEVELS_BYTES, SINQ_AUX_U8, SINQ_AUX_NONE}};
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (size_t i = 0; i < 6 * 6 * 5; i++) {
            const bool has_bytes = forms[i % 6].levels == SINQ_LEVELS_BYTES;
            const struct sinq_dual_scale matrix = {.rows = LONG_ROWS,
                                                   .cols = LONG_COLUMNS,
                                                   .group_size = groups[i / 36],
                                                   .bits = widths[i / 6 % 6],
                                                   .scale_type = forms[i % 6].scale_type,
                                                   .zero_type = forms[i % 6].zero_type,
                                                   .scale_signed = has_bytes,
                                                   .levels = forms[i % 6].levels,
                                                   .factor = 0.37f,
                                                   .zero_low = has_bytes ? 61.25f : 3.0f,
                                                   .zero_step = 0.25f};
            if (matrix.levels != SINQ_LEVELS_UNIFORM && matrix.bits > 4) continue;
            if (IS_SANITIZED && i % 7 >= 2) continue;
            check_long_shares(matrix, cpu_level_names[level]);
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

/* ---- dense ---- */

static const enum sinq_dtype dense_types[] = {SINQ_F32, SINQ_F16, SINQ_BF16, SINQ_F8_E4M3, SINQ_F8_E5M2};

static void fill_dense(enum sinq_dtype dtype, uint8_t *bytes, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const float value = random_value() - 0.5f;
        const uint16_t half = sinq_float_to_half(value);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        const uint16_t bfloat = (uint16_t)(bits >> 16);
        switch (dtype) {
        case SINQ_F32:
            memcpy(bytes + 4 * i, &value, 4);
            break;
        case SINQ_F16:
            memcpy(bytes + 2 * i, &half, 2);
            break;
        case SINQ_BF16:
            memcpy(bytes + 2 * i, &bfloat, 2);
            break;
        default: /* all but the exponents of NaN and infinity */
            bytes[i] = (uint8_t)(next_random() & (dtype == SINQ_F8_E4M3 ? 0xf7u : 0xbbu));
            break;
        }
    }
}

static void check_dense(enum sinq_dtype dtype, uint64_t rows, uint64_t cols, bool has_scales, uint32_t tokens,
                        enum activations kind, const char *level) {
    const size_t element = sinq_dtype_size(dtype);
    /* Elements are aligned to their size and no more. */
    uint8_t *const memory = aligned_alloc(64, (size_t)(rows * cols * element + 127) / 64 * 64);
    ck_assert_ptr_nonnull(memory);
    struct sinq_weight weight = {
        .dtype = dtype, .rows = rows, .cols = cols, .bytes = memory + element, .size = rows * cols * element};
    fill_dense(dtype, memory + element, rows * cols);
    float scales[64];
    for (int i = 0; i < 64; i++) scales[i] = 0.5f + random_value();
    if (has_scales) {
        weight.block_scales = scales;
        weight.block_rows = 16;
        weight.block_cols = 130;
        weight.scale_cols = (cols + 129) / 130;
        ck_assert(weight.scale_cols * ((rows + 15) / 16) <= 64);
    }
    check_weight(&weight, level, tokens, kind);
    free(memory);
}

START_TEST(dense_weights_equal_direct_sums) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (size_t d = 0; d < sizeof dense_types / sizeof dense_types[0]; d++) {
            for (size_t i = 0; i < SHAPES * TOKEN_COUNTS; i++) {
                const bool is_f8 = sinq_dtype_size(dense_types[d]) == 1;
                check_dense(dense_types[d], shapes[i % SHAPES].rows, shapes[i % SHAPES].cols, is_f8 && i / 2 % 2 != 0,
                            token_counts[i / SHAPES], (enum activations)(i % ACTIVATION_KINDS), cpu_level_names[level]);
            }
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

UNIT_MAIN("products with weights", quantized_weights_equal_direct_sums, other_scales_equal_direct_sums,
          narrow_scales_and_byte_levels_equal_direct_sums, long_shares_equal_single_panels,
          dense_weights_equal_direct_sums)
