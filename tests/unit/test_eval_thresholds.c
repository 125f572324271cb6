/* test_eval_thresholds.c: limits of `sinq eval`: what meets them, what does not, and that nothing undefined does. */
#include <math.h>
#include <string.h>

/* The program's files are no library: they are compiled into the test. */
#include "cmd/eval_options.c"
#include "cmd/eval_thresholds.c"
#include "cmd/quantity.c"
#include "unit.h"

static unsigned error_count;
static char last_error[1200];
void sinq_report_error(const char *message) {
    error_count++;
    snprintf(last_error, sizeof last_error, "%s", message);
}
double sinq_gated_error(const struct sinq_source *model, const struct sinq_weight_report *report) {
    (void)model;
    return report->quantized_relative_error;
}
const char *sinq_source_path(const struct sinq_source *source) {
    (void)source;
    return "small";
}

START_TEST(limits_are_met_at_the_limit_and_never_by_what_is_no_number) {
    static const struct {
        const char *name;
        double found, allowed;
        bool is_least, is_met;
    } cases[] = {
        {"below the most", 1, 2, false, true},
        {"at the most", 2, 2, false, true},
        {"above the most", 2.001, 2, false, false},
        {"infinite", INFINITY, 2, false, false},
        {"no number", NAN, 2, false, false},
        {"nothing lost, nothing allowed", 0, 0, false, true},
        {"negative", -1, 0, false, true},
        {"above the least", 3, 2, true, true},
        {"at the least", 2, 2, true, true},
        {"below the least", 1.999, 2, true, false},
        {"no number, at least", NAN, 2, true, false},
        {"no number, at least nothing", NAN, 0, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_threshold threshold = {
            .found = cases[i].found, .allowed = cases[i].allowed, .is_least = cases[i].is_least};
        ck_assert_msg(sinq_is_met(&threshold) == cases[i].is_met, "%s", cases[i].name);
    }
}
END_TEST

/* A result in which each measure has a value of its own. */
static struct sinq_eval_result make_result(const struct sinq_eval_arguments *arguments) {
    return (struct sinq_eval_result){
        .arguments = arguments,
        .text = {.perplexity = 20, .ratio = 1.03, .kl = 0.05, .same_top = 0.9},
        .weights = {.quantized_relative_error = 0.1},
    };
}

START_TEST(each_option_looks_at_its_measure) {
    static const struct {
        const char *option;
        size_t place;
        double met, unmet, found;
        const char *message;
    } cases[] = {
        {"max-ppl", offsetof(struct sinq_eval_arguments, max_ppl), 20, 19, 20,
         "small: the perplexity, 20, exceeds --max-ppl 19 by 1"},
        {"max-ppl-increase", offsetof(struct sinq_eval_arguments, max_ppl_increase), 0.031, 0.02, 0.03,
         "small: the increase of perplexity, 3.00 %, exceeds --max-ppl-increase 2.00 % by 1.00 %"},
        {"max-kl", offsetof(struct sinq_eval_arguments, max_kl), 0.05, 0, 0.05,
         "small: the mean KL divergence, 0.05, exceeds --max-kl 0 by 0.05"},
        {"min-same-top", offsetof(struct sinq_eval_arguments, min_same_top), 0.9, 0.95, 0.9,
         "small: the share of predictions with the same best token, 90.0 %, falls short of --min-same-top 95.0 % by "
         "5.00 %"},
        {"max-error", offsetof(struct sinq_eval_arguments, max_error), 0.1, 0.05, 0.1,
         "small: the relative error, 10.0 %, exceeds --max-error 5.00 % by 5.00 %"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int is_met = 0; is_met < 2; is_met++) {
            struct sinq_eval_arguments arguments = sinq_default_eval_arguments;
            arguments.text = "text";
            arguments.weights = true;
            *(double *)(void *)((char *)&arguments + cases[i].place) = is_met ? cases[i].met : cases[i].unmet;
            struct sinq_eval_result result = make_result(&arguments);
            error_count = 0;
            sinq_collect_thresholds(&result);
            ck_assert_uint_eq(result.threshold_count, 1);
            ck_assert_str_eq(result.thresholds[0].option, cases[i].option);
            ck_assert_msg(fabs(result.thresholds[0].found - cases[i].found) < 1e-12, "%s", cases[i].option);
            ck_assert_uint_eq(sinq_report_unmet(&result), is_met ? 0 : 1);
            ck_assert_uint_eq(error_count, is_met ? 0 : 1);
            if (!is_met) ck_assert_str_eq(last_error, cases[i].message);
        }
    }
}
END_TEST

START_TEST(without_options_there_are_no_thresholds_and_with_all_there_are_all) {
    struct sinq_eval_arguments arguments = sinq_default_eval_arguments;
    struct sinq_eval_result result = make_result(&arguments);
    sinq_collect_thresholds(&result);
    ck_assert_uint_eq(result.threshold_count, 0);
    arguments.max_ppl = arguments.max_ppl_increase = arguments.max_kl = arguments.max_error = 0;
    arguments.min_same_top = 1;
    arguments.weights = true;
    sinq_collect_thresholds(&result);
    ck_assert_uint_eq(result.threshold_count, SINQ_MOST_THRESHOLDS);
    ck_assert_uint_eq(sinq_report_unmet(&result), SINQ_MOST_THRESHOLDS);
}
END_TEST

UNIT_MAIN("eval thresholds", limits_are_met_at_the_limit_and_never_by_what_is_no_number,
          each_option_looks_at_its_measure, without_options_there_are_no_thresholds_and_with_all_there_are_all)
