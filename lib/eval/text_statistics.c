#include "eval/text_statistics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"

/* ---- means ---- */

void sinq_add_to_mean(struct sinq_running_mean *running, double value) {
    running->count++;
    if (!isfinite(value)) {
        running->beyond += value;
        return;
    }
    const double before = value - running->mean;
    running->mean += before / (double)running->count;
    running->m2 += before * (value - running->mean);
}

/* Infinities add up to one, or to NaN: neither equals zero. */
static bool is_finite_mean(const struct sinq_running_mean *running) { return running->beyond == 0.0; }

double sinq_find_mean(const struct sinq_running_mean *running) {
    if (running->count == 0) return NAN;
    return is_finite_mean(running) ? running->mean : running->beyond;
}

double sinq_find_standard_error(const struct sinq_running_mean *running) {
    if (running->count < 2 || !is_finite_mean(running)) return NAN;
    const double n = (double)running->count;
    return sqrt(running->m2 / (n - 1.0) / n);
}

/* ---- percentiles ---- */

static int compare_values(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double sinq_find_percentile(const double *sorted, uint64_t count, double share) {
    const double place = share * (double)(count - 1);
    const uint64_t below = (uint64_t)place;
    const double weight = place - (double)below;
    /* The value above is not touched where it has no weight: it may be infinite. */
    if (weight <= 0.0 || below + 1 >= count) return sorted[below];
    return (1.0 - weight) * sorted[below] + weight * sorted[below + 1];
}

static void report_percentiles(struct sinq_text_statistics *s, struct sinq_text_report *report) {
    if (s->count == 0) return;
    qsort(s->kls, (size_t)s->count, sizeof *s->kls, compare_values);
    report->kl_median = sinq_find_percentile(s->kls, s->count, 0.5);
    report->kl_90 = sinq_find_percentile(s->kls, s->count, 0.9);
    report->kl_95 = sinq_find_percentile(s->kls, s->count, 0.95);
    report->kl_99 = sinq_find_percentile(s->kls, s->count, 0.99);
    report->kl_999 = sinq_find_percentile(s->kls, s->count, 0.999);
    report->kl_max = s->kls[s->count - 1];
}

/* ---- the whole ---- */

int sinq_open_text_statistics(struct sinq_text_statistics *statistics, bool has_reference, uint64_t capacity,
                              struct sinq_error *error) {
    *statistics = (struct sinq_text_statistics){.has_reference = has_reference, .capacity = capacity};
    if (!has_reference) return SINQ_OK;
    if (capacity <= SIZE_MAX / sizeof(double)) statistics->kls = malloc((size_t)capacity * sizeof(double));
    if (statistics->kls == NULL && capacity > 0)
        return sinq_fail_memory(error, "the divergences of all predictions", capacity * sizeof(double));
    return SINQ_OK;
}

void sinq_add_prediction(struct sinq_text_statistics *statistics, const struct sinq_text_prediction *prediction) {
    assert(statistics->count < statistics->capacity);
    sinq_add_to_mean(&statistics->nll, prediction->nll);
    if (statistics->has_reference) {
        const double change = prediction->probability_change;
        sinq_add_to_mean(&statistics->reference_nll, prediction->reference_nll);
        sinq_add_to_mean(&statistics->difference, prediction->nll - prediction->reference_nll);
        sinq_add_to_mean(&statistics->kl, prediction->kl);
        sinq_add_to_mean(&statistics->same_top, prediction->same_top ? 1.0 : 0.0);
        sinq_add_to_mean(&statistics->change_square, change * change);
        statistics->kls[statistics->count] = prediction->kl;
    }
    statistics->count++;
}

void sinq_report_text_statistics(struct sinq_text_statistics *statistics, struct sinq_text_report *report) {
    report->scored = statistics->count;
    report->nll = sinq_find_mean(&statistics->nll);
    report->nll_error = sinq_find_standard_error(&statistics->nll);
    report->perplexity = exp(report->nll);
    report->perplexity_error = report->perplexity * report->nll_error;
    report->has_reference = statistics->has_reference;
    if (!statistics->has_reference) return;
    report->reference_nll = sinq_find_mean(&statistics->reference_nll);
    report->reference_nll_error = sinq_find_standard_error(&statistics->reference_nll);
    report->reference_perplexity = exp(report->reference_nll);
    report->reference_perplexity_error = report->reference_perplexity * report->reference_nll_error;
    report->log_ratio = sinq_find_mean(&statistics->difference);
    report->log_ratio_error = sinq_find_standard_error(&statistics->difference);
    report->ratio = exp(report->log_ratio);
    report->ratio_error = report->ratio * report->log_ratio_error;
    report->kl = sinq_find_mean(&statistics->kl);
    report->kl_error = sinq_find_standard_error(&statistics->kl);
    report->same_top = sinq_find_mean(&statistics->same_top);
    report->same_top_error = sinq_find_standard_error(&statistics->same_top);
    report->rms_probability_change = sqrt(sinq_find_mean(&statistics->change_square));
    report_percentiles(statistics, report);
}

void sinq_free_text_statistics(struct sinq_text_statistics *statistics) {
    free(statistics->kls);
    *statistics = (struct sinq_text_statistics){0};
}
