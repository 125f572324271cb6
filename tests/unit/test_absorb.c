/*
 * test_absorb.c: a model computes the same once column scales are folded into the layers before. The reference pass, in f64, runs
 * on the weights before and after, so that nothing but their rounding to f32 is between the two: every architecture of the golden
 * checkpoints and every made-up model, with the scales that are found and with wild ones, with which a reader that was
 * missed could not hide. The engine, in f32, is held to what the reference pass makes of the weights before.
 */
#include "checkpoint/source.h"
#include "quant/absorb/absorb_plan.h"
#include "quant/absorb/absorb_scales.h"
#include "quant/absorb/folded_source.h"
#include "quant/recipe/recipe.h"
#include "reference_cases.h"

/* Worst difference of a logit, as a share of the logits' standard deviation. */
#define BOUND 1e-5
/*
 * The engine by itself is as far from the reference pass as that (1.4e-5 at worst, 2e-6 in the root of the mean square, before and after
 * alike): with folded weights it must be no farther from it than without, but for chance, which is 1.07 in the golden models.
 */
#define ENGINE_BOUND 1.25

static const char *const families[] = {"llama",      "llama3_rope", "mistral", "mixtral",     "qwen2",      "qwen3",
                                       "qwen3_yarn", "qwen3_moe",   "phi3",    "gemma3_text", "deepseek_v2"};

static double find_difference(const double *before, const double *after, size_t count) {
    double sum = 0, square = 0, worst = 0;
    for (size_t i = 0; i < count; i++) sum += before[i];
    for (size_t i = 0; i < count; i++) {
        square += pow(before[i] - sum / (double)count, 2.0);
        if (!(fabs(before[i] - after[i]) <= worst)) worst = fabs(before[i] - after[i]);
    }
    return worst / sqrt(square / (double)count);
}

/* The root of the mean square of the differences, as a share of the deviation. */
static double find_mean_difference(const double *expected, const double *logits, size_t count) {
    double sum = 0, square = 0, difference = 0;
    for (size_t i = 0; i < count; i++) sum += expected[i];
    for (size_t i = 0; i < count; i++) {
        square += pow(expected[i] - sum / (double)count, 2.0);
        difference += pow(expected[i] - logits[i], 2.0);
    }
    return sqrt(difference / square);
}

static struct sinq_recipe *make_recipe(const struct sinq_source *source) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_recipe *recipe;
    struct sinq_error error;
    options.absorb = true;
    options.method = SINQ_METHOD_SINQ;
    options.head_bits = 8;
    options.threads = 2;
    ck_assert_msg(sinq_make_recipe(source, &options, &recipe, &error) == SINQ_OK, "%s", error.message);
    return recipe;
}

/* Powers of ten from 1e-3 to 1e3, in no order. */
static void draw_scales(struct sinq_absorb_plan *plan) {
    uint64_t state = 88172645463325252u;
    for (size_t g = 0; g < plan->groups.count; g++) {
        for (uint32_t c = 0; plan->scales[g] != NULL && c < plan->groups.groups[g].width; c++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            plan->scales[g][c] = powf(10.0f, (float)(state >> 40) * 0x1p-24f * 6.0f - 3.0f);
        }
    }
}

static struct sinq_source *open_wild(const struct sinq_source *source, const struct sinq_recipe *recipe) {
    struct sinq_absorb_plan *plan;
    struct sinq_source *folded;
    struct sinq_error error;
    ck_assert_int_eq(sinq_plan_absorption(source, recipe->entries, &plan, &error), SINQ_OK);
    draw_scales(plan);
    ck_assert_int_eq(sinq_settle_norm_scales(source, plan, &error), SINQ_OK);
    ck_assert_int_eq(sinq_fold_source(source, plan, &folded, &error), SINQ_OK);
    return folded;
}

/* The pass's weights become those of the source, but for what it holds in codes. */
static void take_weights(struct reference *r, const struct sinq_source *source) {
    for (size_t i = 0; i < r->tensor_count; i++) {
        struct reference_tensor *const t = &r->tensors[i];
        struct sinq_error error;
        const int64_t index = sinq_source_find(source, t->name);
        if (index < 0) continue;
        float *const values = malloc(t->count * sizeof *values);
        ck_assert_ptr_nonnull(values);
        const uint64_t rows = t->count / t->shape[t->rank - 1];
        ck_assert_msg(sinq_read_rows(source, (size_t)index, 0, rows, values, &error) == SINQ_OK, "%s", error.message);
        for (size_t k = 0; k < t->count; k++) t->values[k] = (double)values[k];
        free(values);
    }
}

/* What cannot be folded, of all that is quantized: a part of its name. */
static bool may_stay(const char *name, const char *tensor) {
    static const char *const of_olmo2[] = {"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"};
    if (strstr(name, "gpt_oss") != NULL && strstr(tensor, "down_proj") != NULL) return true;
    for (size_t i = 0; strstr(name, "olmo2") != NULL && i < sizeof of_olmo2 / sizeof of_olmo2[0]; i++) {
        if (strstr(tensor, of_olmo2[i]) != NULL) return true;
    }
    return false;
}

/* Everything that can be folded is; what cannot says why. */
static void check_entries(const char *name, const struct sinq_source *source, const struct sinq_recipe *recipe) {
    for (size_t i = 0; i < source->tensor_count; i++) {
        const struct sinq_recipe_entry *const entry = sinq_recipe_entry(recipe, i);
        const char *const tensor = source->tensors[i].name;
        if (entry->action != SINQ_QUANTIZE) continue;
        const bool is_carried = strstr(entry->reason, "column scale in the ") != NULL;
        const bool stays = strstr(entry->reason, "column scale not absorbed: ") != NULL;
        ck_assert_msg(is_carried != stays, "%s: %s: %s", name, tensor, entry->reason);
        ck_assert_msg(stays == may_stay(name, tensor), "%s: %s: %s", name, tensor, entry->reason);
        ck_assert_msg((entry->method == SINQ_METHOD_RTN) == is_carried, "%s: %s", name, tensor);
    }
}

/* How far the engine, all in f32, is from `expected`. */
static double measure_engine(const struct sinq_source *source, const int32_t *tokens, const double *expected,
                             size_t count) {
    const struct sinq_session_options options = {
        .exact = true, .kv_type = SINQ_KV_F32, .batch = POSITIONS, .context = POSITIONS, .threads = 1};
    float *const logits = malloc(count * sizeof *logits);
    double *const wide = malloc(count * sizeof *wide);
    struct sinq_model *model;
    struct sinq_session *session;
    struct sinq_error error;
    ck_assert(logits != NULL && wide != NULL);
    ck_assert_msg(sinq_load_model(source, &model, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_open_session(model, &options, &session, &error) == SINQ_OK, "%s", error.message);
    ck_assert_int_eq(sinq_session_feed(session, tokens, POSITIONS, &error), SINQ_OK);
    ck_assert_int_eq(sinq_session_logits(session, 0, POSITIONS, logits, &error), SINQ_OK);
    for (size_t i = 0; i < count; i++) wide[i] = (double)logits[i];
    const double difference = find_mean_difference(expected, wide, count);
    sinq_session_close(session);
    sinq_model_free(model);
    free(logits);
    free(wide);
    return difference;
}

static void check_engine(const char *name, const int32_t *tokens, const double *expected, size_t count,
                         const struct sinq_source *source) {
    struct sinq_recipe *const recipe = make_recipe(source);
    struct sinq_source *folded;
    struct sinq_error error;
    ck_assert_msg(sinq_open_absorbed(source, recipe, NULL, NULL, &folded, &error) == SINQ_OK, "%s", error.message);
    const double before = measure_engine(source, tokens, expected, count);
    const double after = measure_engine(folded, tokens, expected, count);
    if (getenv("SINQ_ERRORS") != NULL) printf("%-50s engine %.3g, folded %.3g\n", name, before, after);
    ck_assert_msg(after <= ENGINE_BOUND * before, "%s: %.3g deviations off, %.3g without folding", name, after, before);
    sinq_source_close(folded);
    sinq_recipe_free(recipe);
}

/* `r` holds the weights as they are in the source, `before` what the pass gives with them. */
static void check_model(const char *name, struct reference *r, const int32_t *tokens, const double *before,
                        const struct sinq_source *source) {
    struct sinq_recipe *const recipe = make_recipe(source);
    struct sinq_source *found;
    struct sinq_error error;
    check_entries(name, source, recipe);
    ck_assert_msg(sinq_open_absorbed(source, recipe, NULL, NULL, &found, &error) == SINQ_OK, "%s", error.message);
    struct sinq_source *const folded[2] = {found, open_wild(source, recipe)};
    for (int i = 0; i < 2; i++) {
        take_weights(r, folded[i]);
        double *const after = run_reference(r, tokens, POSITIONS);
        const double worst = find_difference(before, after, POSITIONS * r->vocabulary);
        if (getenv("SINQ_ERRORS") != NULL) printf("%-50s %s scales %.2g\n", name, i == 0 ? "found" : "wild", worst);
        ck_assert_msg(worst <= BOUND, "%s: logits are %.3g deviations off", name, worst);
        free(after);
        sinq_source_close(folded[i]);
    }
    sinq_recipe_free(recipe);
}

START_TEST(golden_models_compute_the_same) {
    struct reference *const r = malloc(sizeof *r);
    ck_assert_ptr_nonnull(r);
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        if (IS_SANITIZED && f % 4 != 0) continue; /* sanitizers are slow */
        if (IS_THREAD_SANITIZED && f > 0) break;
        char name[100];
        int32_t tokens[POSITIONS];
        struct sinq_source *source;
        struct sinq_error error;
        (void)snprintf(name, sizeof name, "golden/arch/%s/config.json", families[f]);
        char *const path = find_shared(name);
        if (path == NULL) break;
        *strrchr(path, '/') = '\0';
        ck_assert_int_eq(sinq_open_checkpoint(path, &source, &error), SINQ_OK);
        cJSON *const config = parse_config(sinq_source_config(source));
        *r = (struct reference){.config = config, .source = source};
        for (int i = 0; i < POSITIONS; i++) tokens[i] = i * 79 % 256;
        double *const logits = run_reference(r, tokens, POSITIONS);
        check_engine(families[f], tokens, logits, POSITIONS * r->vocabulary, source);
        check_model(families[f], r, tokens, logits, source);
        free(logits);
        close_reference(r);
        cJSON_Delete(config);
        sinq_source_close(source);
        free(path);
    }
    free(r);
}
END_TEST

static void check_made(const struct made_case *made, struct reference *r, const int32_t *tokens, const double *logits) {
    if (IS_SANITIZED && (made - made_cases) % 6 != 0) return; /* sanitizers are slow */
    struct sinq_source *const source = open_good(scratch);
    check_model(made->name, r, tokens, logits, source);
    sinq_source_close(source);
}

START_TEST(made_up_models_compute_the_same) {
    if (!IS_THREAD_SANITIZED) for_each_made_model(check_made);
}
END_TEST

/* Whole rows, parts of rows and single bytes of a folded tensor are parts of the same bytes. */
START_TEST(any_part_of_a_folded_tensor_can_be_read) {
    struct reference *const r = malloc(sizeof *r);
    struct sinq_error error;
    int32_t tokens[POSITIONS];
    make_folder();
    cJSON *const config = parse_config(made_cases[0].config);
    free(make_up(&made_cases[0], config, 1, r, tokens));
    write_reference(r, made_cases[0].config);
    struct sinq_source *const source = open_good(scratch);
    struct sinq_recipe *const recipe = make_recipe(source);
    struct sinq_source *const folded = open_wild(source, recipe);
    for (size_t i = 0; i < folded->tensor_count; i++) {
        const struct sinq_tensor *const t = &folded->tensors[i];
        uint8_t *const whole = malloc((size_t)t->bytes), *const parts = malloc((size_t)t->bytes);
        ck_assert_int_eq(sinq_read_bytes(folded, i, 0, t->bytes, whole, &error), SINQ_OK);
        for (uint64_t at = 0, size = 1; at < t->bytes; at += size, size = size * 3 + 1) {
            if (size > t->bytes - at) size = t->bytes - at;
            ck_assert_int_eq(sinq_read_bytes(folded, i, at, size, parts + at, &error), SINQ_OK);
        }
        ck_assert_msg(memcmp(whole, parts, (size_t)t->bytes) == 0, "%s", t->name);
        free(whole);
        free(parts);
    }
    sinq_source_close(folded);
    sinq_recipe_free(recipe);
    sinq_source_close(source);
    close_reference(r);
    cJSON_Delete(config);
    free(r);
    remove_folder();
}
END_TEST

UNIT_MAIN("absorb", golden_models_compute_the_same, made_up_models_compute_the_same,
          any_part_of_a_folded_tensor_can_be_read)
