/*
 * text_statistics.h: from scored predictions to the figures of a report. Predictions are added in the order of the text, so that
 * the figures do not depend on who computed them.
 *
 * Means have the standard error of independent values, deviation / sqrt(n) with n - 1 in the deviation, as llama.cpp reports;
 * it is NaN of one value. Neighbouring predictions are not quite independent, so real errors are somewhat larger.
 *
 * Calling sequence: sinq_open_text_statistics, sinq_add_prediction, sinq_report_text_statistics once, sinq_free_text_statistics.
 */
#ifndef SINQ_EVAL_TEXT_STATISTICS_H
#define SINQ_EVAL_TEXT_STATISTICS_H

#include "eval/text_prediction.h"
#include "sinq.h"

/* Mean and deviation, updated value by value (Welford). */
struct sinq_running_mean {
    uint64_t count;
    double mean, m2;
    double beyond; /* sum of values that are not finite, which the others leave out; the mean is then this */
};
void sinq_add_to_mean(struct sinq_running_mean *running, double value);
double sinq_find_mean(const struct sinq_running_mean *running);
double sinq_find_standard_error(const struct sinq_running_mean *running);

struct sinq_text_statistics {
    bool has_reference;
    struct sinq_running_mean nll, reference_nll, difference, kl, same_top, change_square;
    double *kls; /* one a prediction, for the percentiles; owned */
    uint64_t count, capacity;
};

/* Room for `capacity` predictions. */
int sinq_open_text_statistics(struct sinq_text_statistics *statistics, bool has_reference, uint64_t capacity,
                              struct sinq_error *error);
void sinq_add_prediction(struct sinq_text_statistics *statistics, const struct sinq_text_prediction *prediction);

/* Fills in `scored` and all that follows from the predictions. */
void sinq_report_text_statistics(struct sinq_text_statistics *statistics, struct sinq_text_report *report);

void sinq_free_text_statistics(struct sinq_text_statistics *statistics);

/* Linear interpolation between the two nearest of count > 0 sorted values, as llama.cpp and NumPy do it. */
double sinq_find_percentile(const double *sorted, uint64_t count, double share);

#endif
