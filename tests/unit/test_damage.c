/* What damage.h expects: the table of errors against rounding itself, and how sensitivities follow from a tensor's place. */
#include "quant/recipe/damage.h"

#include <math.h>
#include <stdlib.h>

#include "quant/matrix/matrix.h"
#include "quant/recipe/recipe.h"
#include "unit.h"

#define ROWS 64
#define COLS 2048

static float weights[ROWS * COLS];

/* Box and Muller. */
static void fill_normal(void) {
    uint64_t state = 3;
    double uniform[2];
    for (size_t i = 0; i < ROWS * COLS; i++) {
        for (int k = 0; k < 2; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uniform[k] = ((double)(state >> 33) + 0.5) / 2147483648.0;
        }
        weights[i] = (float)(0.02 * sqrt(-2 * log(uniform[0])) * cos(6.283185307179586 * uniform[1]));
    }
}

static double measure_error(enum sinq_method method, int bits, uint32_t group, enum sinq_aux_type type) {
    const struct sinq_recipe_entry entry = {
        .action = SINQ_QUANTIZE, .bits = bits, .group_size = group, .method = method, .scale_type = type};
    const struct sinq_matrix_method how = {.method = method, .bits = (unsigned)bits, .threads = 1};
    struct sinq_unit_matrix units = {0};
    struct sinq_dual_scale description;
    struct sinq_blob blob = {0};
    struct sinq_matrix_outcome outcome;
    struct sinq_error error;
    ck_assert_int_eq(sinq_shape_units(&units, ROWS, COLS, group, false, &error), SINQ_OK);
    sinq_put_rows(&units, 0, ROWS, weights);
    for (size_t i = 0; i < ROWS * COLS; i++) units.largest = fmaxf(units.largest, fabsf(weights[i]));
    sinq_finish_units(&units, 1);
    sinq_describe_matrix(&entry, ROWS, COLS, &description);
    ck_assert_int_eq(sinq_quantize_packed(&units, &how, &description, &blob, &outcome, &error), SINQ_OK);
    sinq_free_units(&units);
    free(blob.bytes);
    return outcome.error_square / outcome.norm_square;
}

START_TEST(expected_errors_are_those_of_rounding) {
    static const struct {
        enum sinq_method method;
        enum sinq_aux_type type;
        int least, most;
    } forms[] = {{SINQ_METHOD_LEVELS, SINQ_AUX_U8, 2, 4},
                 {SINQ_METHOD_SEARCH, SINQ_AUX_U8, 2, 8},
                 {SINQ_METHOD_RTN, SINQ_AUX_U8, 2, 8}};
    static const uint32_t groups[] = {16, 32, 64, 128};
    fill_normal();
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        for (int bits = forms[f].least; bits <= forms[f].most; bits += bits == 6 ? 2 : 1) {
            for (size_t g = IS_SANITIZED ? 2 : 0; g < (IS_SANITIZED ? 3 : 4); g++) {
                const double found = measure_error(forms[f].method, bits, groups[g], forms[f].type);
                const double expected = sinq_expect_error(forms[f].method, bits, groups[g]);
                ck_assert_msg(fabs(found / expected - 1) < .05, "%s, %d bits, groups of %u: %g, expected %g",
                              sinq_method_name(forms[f].method), bits, groups[g], found, expected);
            }
        }
    }
}
END_TEST

static double find(enum sinq_role role, int layer, int layers, uint64_t experts, bool is_tied) {
    return sinq_expect_sensitivity(&(struct sinq_tensor_place){role, layer, layers, experts, is_tied});
}

START_TEST(sensitivities_follow_from_places) {
    for (int role = 0; role < SINQ_ROLE_COUNT; role++) {
        const enum sinq_role r = (enum sinq_role)role;
        const double middle = find(r, 5, 12, 1, false);
        ck_assert_msg(middle > 0 && isfinite(middle), "%s", sinq_role_name(r));
        if (r == SINQ_ROLE_EMBEDDING || r == SINQ_ROLE_LM_HEAD) continue;
        ck_assert_msg(find(r, 0, 12, 1, false) >= middle, "%s: the first layer", sinq_role_name(r));
        ck_assert_msg(find(r, 11, 12, 1, false) > middle, "%s: the last layer", sinq_role_name(r));
        ck_assert_double_eq_tol(find(r, 5, 24, 1, false), middle / 2, 1e-12);
        ck_assert_double_eq_tol(find(r, 5, 12, 8, false), middle / 8, 1e-12);
    }
    const struct {
        enum sinq_role whole;
        enum sinq_role parts[3];
        size_t count;
    } fused[] = {{SINQ_ROLE_QUERY_KEY_VALUE, {SINQ_ROLE_QUERY, SINQ_ROLE_KEY, SINQ_ROLE_VALUE}, 3},
                 {SINQ_ROLE_GATE_UP, {SINQ_ROLE_GATE, SINQ_ROLE_UP}, 2},
                 {SINQ_ROLE_KEY_VALUE_A, {SINQ_ROLE_KEY, SINQ_ROLE_VALUE}, 2}};
    for (size_t i = 0; i < sizeof fused / sizeof fused[0]; i++) {
        for (int layer = 0; layer < 12; layer++) {
            double sum = 0;
            for (size_t k = 0; k < fused[i].count; k++) sum += find(fused[i].parts[k], layer, 12, 1, false);
            const double found = find(fused[i].whole, layer, 12, 1, false);
            ck_assert_msg(fabs(found / sum - 1) < .03, "%s, layer %d: %g, its parts %g", sinq_role_name(fused[i].whole),
                          layer, found, sum);
        }
    }
    ck_assert_double_eq_tol(find(SINQ_ROLE_EMBEDDING, -1, 12, 1, true),
                            find(SINQ_ROLE_EMBEDDING, -1, 12, 1, false) + find(SINQ_ROLE_LM_HEAD, -1, 12, 1, false),
                            1e-12);
}
END_TEST

UNIT_MAIN("damage", expected_errors_are_those_of_rounding, sensitivities_follow_from_places)
