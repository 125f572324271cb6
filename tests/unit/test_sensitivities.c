/* Measured sensitivities: against whole models in which one matrix is quantized. */
#include <math.h>
#include <string.h>

#include "checkpoint/source.h"
#include "formats.h"
#include "quant/calibrate/trial.h"
#include "quant/recipe/damage.h"
#include "quant/statistics/gram_index.h"
#include "quant/statistics/sensitivity_index.h"
#include "reference_cases.h"

enum { WINDOW = 48, WINDOWS = 2 };

static const char *const model_name = "mixtral with stacks of experts";

/* Statistics of that model, which have sensitivities. */
static void make_statistics(const int32_t *tokens, struct sinq_source **source, struct sinq_source **statistics) {
    struct sinq_model *model;
    struct sinq_error error;
    const struct sinq_statistics_file options = {.beside = scratch, .window = WINDOW, .threads = 1};
    *source = open_good(scratch);
    ck_assert_msg(sinq_load_model(*source, &model, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_make_statistics(*source, model, tokens, WINDOWS * WINDOW, &options, statistics, &error) ==
                      SINQ_OK,
                  "%s", error.message);
    sinq_model_free(model);
}

/* Logits of the first window. */
static float *find_logits(const struct sinq_source *source, const int32_t *tokens, size_t *vocabulary) {
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    const struct sinq_session_options options = {
        .context = WINDOW, .batch = WINDOW, .kv_type = SINQ_KV_F32, .exact = true, .threads = 1};
    ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_open_session(model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    *vocabulary = sinq_model_facts(model).vocabulary;
    float *const logits = malloc(WINDOW * *vocabulary * sizeof *logits);
    ck_assert_int_eq(sinq_session_feed(session, tokens, WINDOW, &error), SINQ_OK);
    ck_assert_int_eq(sinq_session_logits(session, 0, WINDOW, logits, &error), SINQ_OK);
    sinq_session_close(session);
    sinq_model_free(model);
    return logits;
}

/* Of a row, to second order: what small errors cost. */
static double find_damage(const float *exact, const float *other, size_t vocabulary) {
    double weights = 0, sum = 0, squares = 0;
    for (size_t i = 0; i < vocabulary; i++) {
        const double p = exp((double)exact[i]), d = (double)other[i] - (double)exact[i];
        weights += p;
        sum += p * d;
        squares += p * d * d;
    }
    return (squares / weights - sum * sum / (weights * weights)) / 2;
}

/* With that matrix alone as sensitivities.c quantizes it. */
static double measure_alone(const struct sinq_source *source, const char *name, const float *gram,
                            const int32_t *tokens) {
    const struct sinq_rule rules[] = {{".", SINQ_RULE_EXCLUDE, NULL}, {name, SINQ_RULE_INCLUDE, NULL}};
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_recipe *recipe;
    struct sinq_source *trial;
    struct sinq_error error;
    size_t vocabulary;
    double damage = 0;
    options.bits = options.head_bits = options.embed_bits = 3;
    options.group_size = 32;
    options.method = SINQ_METHOD_SINQ_LEVELS;
    options.scale_type = SINQ_AUX_U6;
    options.effort = SINQ_EFFORT_FAST;
    options.is_trial = true;
    options.rules = rules;
    options.rule_count = 2;
    ck_assert_msg(sinq_make_recipe(source, &options, &recipe, &error) == SINQ_OK, "%s", error.message);
    ck_assert_int_eq(sinq_open_trial(source, recipe, &trial, &error), SINQ_OK);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&source->tensors[sinq_source_find(source, name)]);
    if (gram != NULL) sinq_set_trial_gram(trial, gram, shape.cols);
    float *const exact = find_logits(source, tokens, &vocabulary), *const other =
                                                                       find_logits(trial, tokens, &vocabulary);
    for (size_t r = 0; r < WINDOW; r++) {
        damage += find_damage(exact + r * vocabulary, other + r * vocabulary, vocabulary) / WINDOW;
    }
    free(exact);
    free(other);
    sinq_source_close(trial);
    sinq_recipe_free(recipe);
    return damage / sinq_expect_error(SINQ_METHOD_SINQ_LEVELS, 3, 32);
}

START_TEST(sensitivities_are_those_of_matrices_quantized_alone) {
    static const char *const names[] = {"model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight",
                                        "model.layers.1.self_attn.o_proj.weight", "lm_head.weight"};
    struct sinq_source *source, *statistics;
    struct sinq_gram_index index;
    struct sinq_error error;
    int32_t tokens[POSITIONS];
    bool is_measured;
    make_folder();
    write_made_model(model_name, tokens);
    make_statistics(tokens, &source, &statistics);
    double *const measured = calloc(source->tensor_count, sizeof *measured);
    ck_assert_int_eq(sinq_open_gram_index(source, statistics, &index, &error), SINQ_OK);
    ck_assert_int_eq(sinq_read_sensitivities(source, statistics, measured, &is_measured, &error), SINQ_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const float *gram;
        const int64_t found = sinq_source_find(source, names[i]);
        ck_assert_msg(found >= 0, "%s: is not there", names[i]);
        const size_t tensor = (size_t)found;
        const uint64_t cols = source->tensors[tensor].shape[1];
        ck_assert_int_eq(sinq_read_gram(&index, tensor, 0, cols, &gram, &error), SINQ_OK);
        const double alone = measure_alone(source, names[i], gram, tokens);
        ck_assert_msg(fabs(measured[tensor] - alone) < 1e-3 * alone, "%s: %g, expected %g", names[i], measured[tensor],
                      alone);
    }
    free(measured);
    sinq_free_gram_index(&index);
    sinq_source_close(statistics);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

UNIT_MAIN("sensitivities", sensitivities_are_those_of_matrices_quantized_alone)
