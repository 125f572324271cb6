/*
 * What a model does to one row, at every instruction set, against the formulas in f64.
 *
 * Bounds, in units of 2^-24 of the expected magnitude unless said otherwise: exp 3, norm and rotation 4 (of the larger
 * value of the pair), activations 12 plus 2^-22 of |gate * up| where a factor cancels near zero, softmax 6 and softcap 8.
 */
#include <float.h>
#include <math.h>

#include "cpu_levels.h"
#include "guarded.h"
#include "kernels/rowwise.h"
#include "memory_source.h"

static const uint32_t row_widths[] = {1, 2, 15, 16, 17, 64, 100, 257, 1024};
enum { ROW_WIDTHS = sizeof row_widths / sizeof row_widths[0], MOST = 2048 };

static const char *level_name;
static float in[MOST], second[MOST], third[MOST];

enum spread { USUAL, SMALL, WIDE, SPREADS };

static void fill(enum spread spread) {
    for (int i = 0; i < MOST; i++) {
        const float value = random_value();
        in[i] = spread == USUAL   ? value * 4.0f
                : spread == SMALL ? value * 1e-4f
                                  : ldexpf(value, (int)(next_random() % 20) - 10);
        second[i] = random_value() * 2.0f;
        third[i] = random_value();
    }
}

static void expect(const char *what, uint32_t width, uint32_t i, double found, double expected, double bound) {
    ck_assert_msg(fabs(found - expected) <= bound + 1e-37,
                  "%s, %s of %u: value %u is %.9g, expected %.9g (off %.3g, bound %.3g)", level_name, what, width, i,
                  found, expected, fabs(found - expected), bound);
}

static void check_norm(uint32_t width) {
    struct guarded out = make_guarded(width * sizeof(float));
    float *const y = (float *)(void *)out.bytes;
    const double eps = (double)1e-6f;
    double sum = 0;
    for (uint32_t i = 0; i < width; i++) sum += (double)in[i] * (double)in[i];
    sinq_norm_row(in, second, width, 1e-6f, y);
    for (uint32_t i = 0; i < width; i++) {
        const double expected = (double)in[i] / sqrt(sum / width + eps) * (double)second[i];
        expect("norm", width, i, (double)y[i], expected, 4 * 0x1p-24 * fabs(expected));
    }
    memcpy(y, in, out.size);
    sinq_norm_row(y, second, width, 1e-6f, y); /* in place */
    for (uint32_t i = 0; i < width; i++) {
        const double expected = (double)in[i] / sqrt(sum / width + eps) * (double)second[i];
        expect("norm in place", width, i, (double)y[i], expected, 4 * 0x1p-24 * fabs(expected));
    }
    release_guarded(out, "norm");
}

static void check_rotation(uint32_t pairs, bool interleaved) {
    struct guarded out = make_guarded(2 * pairs * sizeof(float));
    float *const y = (float *)(void *)out.bytes;
    for (int in_place = 0; in_place < 2; in_place++) {
        memcpy(y, in, out.size);
        sinq_rotate_head(in_place != 0 ? y : in, second, third, 2 * pairs, interleaved, y);
        for (uint32_t i = 0; i < pairs; i++) {
            const uint32_t first = interleaved ? 2 * i : i, other = interleaved ? 2 * i + 1 : i + pairs;
            const double a = (double)in[first], b = (double)in[other], c = (double)second[i], s = (double)third[i];
            const double bound = 4 * 0x1p-24 * (fabs(a) + fabs(b)) * fmax(fabs(c), fabs(s));
            expect("rotation", pairs, first, (double)y[first], a * c - b * s, bound);
            expect("rotation", pairs, other, (double)y[other], b * c + a * s, bound);
        }
    }
    release_guarded(out, "rotation");
}

static double silu(double g, double u) { return g / (1 + exp(-g)) * u; }
static double gelu_tanh(double g, double u) {
    return 0.5 * g * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g))) * u;
}
static double gelu(double g, double u) { return 0.5 * g * (1 + erf(g / sqrt(2.0))) * u; }
static double gpt_oss(double g, double u) {
    const double gate = fmin(g, 7), up = fmax(-7, fmin(u, 7));
    return (up + 1) * gate / (1 + exp(-(double)1.702f * gate));
}

static const struct {
    const char *name;
    void (*row)(const float *gate, const float *up, uint32_t width, uint32_t step, float *out);
    double (*formula)(double gate, double up);
    bool adds_one;
} activations[] = {{"silu", sinq_silu_row, silu, false},
                   {"gelu_tanh", sinq_gelu_tanh_row, gelu_tanh, false},
                   {"gelu", sinq_gelu_row, gelu, false},
                   {"gpt_oss", sinq_gpt_oss_row, gpt_oss, true}};

static void check_activation(size_t kind, uint32_t width, uint32_t step) {
    struct guarded out = make_guarded(width * sizeof(float));
    float *const y = (float *)(void *)out.bytes;
    activations[kind].row(in, second, width, step, y);
    for (uint32_t i = 0; i < width; i++) {
        const double g = (double)in[i * step], u = (double)second[i * step];
        const double expected = activations[kind].formula(g, u);
        const double factor = activations[kind].adds_one ? fabs(u) + 1 : fabs(u);
        expect(activations[kind].name, width, i, (double)y[i], expected,
               12 * 0x1p-24 * fabs(expected) + 0x1p-22 * fmin(fabs(g), 8.0) * factor);
    }
    release_guarded(out, activations[kind].name);
}

static void check_softmax(uint32_t width) {
    struct guarded out = make_guarded(width * sizeof(float));
    float *const y = (float *)(void *)out.bytes;
    double largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < width; i++) largest = fmax(largest, (double)in[i]);
    for (uint32_t i = 0; i < width; i++) sum += exp((double)in[i] - largest);
    memcpy(y, in, out.size);
    sinq_softmax_row(y, width);
    for (uint32_t i = 0; i < width; i++) {
        const double distance = largest - (double)in[i], expected = exp(-distance) / sum;
        /* The difference is rounded before exp sees it. */
        expect("softmax", width, i, (double)y[i], expected, (6 + distance) * 0x1p-24 * expected);
    }
    release_guarded(out, "softmax");
}

static void check_softcap_and_add(uint32_t width) {
    struct guarded out = make_guarded(width * sizeof(float));
    float *const y = (float *)(void *)out.bytes;
    memcpy(y, in, out.size);
    sinq_softcap_row(y, width, 5.0f);
    for (uint32_t i = 0; i < width; i++) {
        const double expected = 5 * tanh((double)in[i] / 5);
        expect("softcap", width, i, (double)y[i], expected, 8 * 0x1p-24 * fabs(expected));
    }
    memcpy(y, second, out.size);
    sinq_add_row(in, 0.3f, width, y);
    for (uint32_t i = 0; i < width; i++) {
        const double a = (double)second[i], b = (double)0.3f * (double)in[i];
        expect("add", width, i, (double)y[i], a + b, 2 * 0x1p-24 * (fabs(a) + fabs(b)));
    }
    release_guarded(out, "softcap");
}

START_TEST(rows_equal_the_formulas) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        level_name = cpu_level_names[level];
        for (int spread = 0; spread < SPREADS; spread++) {
            fill((enum spread)spread);
            for (size_t w = 0; w < ROW_WIDTHS; w++) {
                check_norm(row_widths[w]);
                check_rotation(row_widths[w], false);
                check_rotation(row_widths[w], true);
                check_softmax(row_widths[w]);
                check_softcap_and_add(row_widths[w]);
                for (size_t kind = 0; kind < 4; kind++) {
                    check_activation(kind, row_widths[w], 1);
                    check_activation(kind, row_widths[w], 2);
                }
            }
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

/* exp and tanh over their whole range, seen through softmax of two values and softcap with cap 1. */
START_TEST(exp_and_tanh_are_as_exact_as_they_say) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        double worst_exp = 0, worst_tanh = 0;
        for (int i = 0; i < 200000; i++) {
            float pair[2] = {0.0f, -(float)i * 4.3e-4f},
                  x = ldexpf(1.0f + (float)(i % 1000) * 1e-3f, i / 1000 % 30 - 24);
            const double e = exp((double)pair[1]), t = tanh((double)x);
            sinq_softmax_row(pair, 2);
            worst_exp = fmax(worst_exp, fabs((double)pair[1] / (double)pair[0] / e - 1));
            sinq_softcap_row(&x, 1, 1.0f);
            worst_tanh = fmax(worst_tanh, fabs((double)x / t - 1));
        }
        /* The quotient adds two roundings to exp's own 1.5e-7. */
        ck_assert_msg(worst_exp < 1.5e-7 + 2 * 0x1p-24, "%s: exp is off by %.3g", cpu_level_names[level], worst_exp);
        ck_assert_msg(worst_tanh < 3e-7, "%s: tanh is off by %.3g", cpu_level_names[level], worst_tanh);
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

START_TEST(edges_are_as_documented) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        float row[5] = {-INFINITY, 0.0f, -200.0f, -88.0f, 0.0f};
        sinq_softmax_row(row, 5);
        ck_assert(row[0] == 0.0f && row[1] == 0.5f && row[2] == 0.0f && row[3] == 0.0f && row[4] == 0.5f);
        float gates[4] = {-1e38f, 1e38f, NAN, -90.0f}, ones[4] = {1, 1, 1, 1}, out[4];
        sinq_silu_row(gates, ones, 4, 1, out);
        ck_assert(out[0] == 0.0f && out[1] == 1e38f && isnan(out[2]) && fabsf(out[3]) < 1e-36f);
        float capped[4] = {1e30f, -1e30f, NAN, 0.0f};
        sinq_softcap_row(capped, 4, 30.0f);
        ck_assert(capped[0] == 30.0f && capped[1] == -30.0f && isnan(capped[2]) && capped[3] == 0.0f);
        float large[2] = {1e30f, -1e30f};
        sinq_norm_row(large, ones, 2, 1e-6f, out);
        ck_assert(fabsf(out[0] - 1.0f) < 1e-6f && fabsf(out[1] + 1.0f) < 1e-6f);
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

START_TEST(scores_are_finite_and_peaks_the_best_of_their_blocks) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (uint32_t count = 1; count < 300; count += count < 20 ? 1 : 7) {
            fill(USUAL);
            for (uint32_t i = count % 5; i < count; i += 11)
                in[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
            struct guarded out = make_guarded(count * sizeof(float));
            struct guarded best = make_guarded((count - 1) / SINQ_SCORE_BLOCK * sizeof(float) + sizeof(float));
            const float *const scores = (const float *)(void *)out.bytes;
            sinq_copy_scores(in, count, (float *)(void *)out.bytes, (float *)(void *)best.bytes);
            float peak = -INFINITY;
            for (uint32_t i = 0; i < count; i++) {
                const float expected = isnan(in[i]) ? -FLT_MAX : fmaxf(-FLT_MAX, fminf(in[i], FLT_MAX));
                ck_assert_msg(scores[i] == expected, "%s: score %u of %u is %g for %g", cpu_level_names[level], i,
                              count, (double)scores[i], (double)in[i]);
                peak = i % SINQ_SCORE_BLOCK == 0 ? expected : fmaxf(peak, expected);
                if (i + 1 < count && (i + 1) % SINQ_SCORE_BLOCK != 0) continue;
                const float found = ((const float *)(void *)best.bytes)[i / SINQ_SCORE_BLOCK];
                ck_assert_msg(found == peak, "%s: the best of block %u of %u", cpu_level_names[level],
                              i / SINQ_SCORE_BLOCK, count);
            }
            release_guarded(out, "scores");
            release_guarded(best, "peaks");
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

UNIT_MAIN("row functions", rows_equal_the_formulas, exp_and_tanh_are_as_exact_as_they_say, edges_are_as_documented,
          scores_are_finite_and_peaks_the_best_of_their_blocks)
