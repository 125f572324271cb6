/* eval_thresholds.c: limits that results of `sinq eval` are held to. */
#include <stdio.h>

#include "eval.h"
#include "quantity.h"
#include "terminal.h"
#include "weight_report.h"

bool sinq_is_met(const struct sinq_threshold *threshold) {
    /* Written so that a result that is not a number fails. */
    return threshold->is_least ? threshold->found >= threshold->allowed : threshold->found <= threshold->allowed;
}

static void add_threshold(struct sinq_eval_result *result, struct sinq_threshold threshold) {
    if (threshold.allowed >= 0.0) result->thresholds[result->threshold_count++] = threshold;
}

void sinq_collect_thresholds(struct sinq_eval_result *result) {
    const struct sinq_eval_arguments *const a = result->arguments;
    const struct sinq_text_report *const text = &result->text;
    const double error = a->weights ? sinq_gated_error(result->model, &result->weights) : 0.0;
    result->threshold_count = 0;
    add_threshold(result, (struct sinq_threshold){.option = "max-ppl",
                                                  .measure = "the perplexity",
                                                  .found = text->perplexity,
                                                  .allowed = a->max_ppl});
    add_threshold(result, (struct sinq_threshold){.option = "max-ppl-increase",
                                                  .measure = "the increase of perplexity",
                                                  .found = text->ratio - 1.0,
                                                  .allowed = a->max_ppl_increase,
                                                  .is_share = true});
    add_threshold(
        result, (struct sinq_threshold){
                    .option = "max-kl", .measure = "the mean KL divergence", .found = text->kl, .allowed = a->max_kl});
    add_threshold(result, (struct sinq_threshold){.option = "min-same-top",
                                                  .measure = "the share of predictions with the same best token",
                                                  .found = text->same_top,
                                                  .allowed = a->min_same_top,
                                                  .is_least = true,
                                                  .is_share = true});
    add_threshold(result, (struct sinq_threshold){.option = "max-error",
                                                  .measure = "the relative error",
                                                  .found = error,
                                                  .allowed = a->max_error,
                                                  .is_share = true});
}

static const char *format_figure(char *buffer, const struct sinq_threshold *threshold, double value) {
    if (threshold->is_share) return sinq_format_percent(buffer, value);
    snprintf(buffer, SINQ_QUANTITY_SIZE, "%.5g", value);
    return buffer;
}

unsigned sinq_report_unmet(const struct sinq_eval_result *result) {
    unsigned unmet = 0;
    for (unsigned i = 0; i < result->threshold_count; i++) {
        const struct sinq_threshold *const t = &result->thresholds[i];
        char found[SINQ_QUANTITY_SIZE], allowed[SINQ_QUANTITY_SIZE], excess[SINQ_QUANTITY_SIZE], message[1000];
        if (sinq_is_met(t)) continue;
        const double distance = t->is_least ? t->allowed - t->found : t->found - t->allowed;
        snprintf(message, sizeof message, "%.600s: %s, %s, %s --%s %s by %s", sinq_source_path(result->model),
                 t->measure, format_figure(found, t, t->found), t->is_least ? "falls short of" : "exceeds", t->option,
                 format_figure(allowed, t, t->allowed), format_figure(excess, t, distance));
        sinq_report_error(message);
        unmet++;
    }
    return unmet;
}
