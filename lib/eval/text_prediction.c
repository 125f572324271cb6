#include "eval/text_prediction.h"

#include <math.h>
#include <stddef.h>

#define LANES 4u /* sums that run side by side */

struct peak {
    double logit;
    uint32_t token;
};

/* The largest logit and its first place. False where no distribution follows from the row. */
static bool find_peak(const float *logits, uint32_t vocabulary, struct peak *peak) {
    float largest = -INFINITY;
    bool has_nan = false;
    for (uint32_t i = 0; i < vocabulary; i++) {
        largest = logits[i] > largest ? logits[i] : largest;
        has_nan |= isnan(logits[i]) != 0;
    }
    if (has_nan || !isfinite(largest)) return false;
    uint32_t token = 0;
    while (logits[token] < largest) token++;
    *peak = (struct peak){largest, token};
    return true;
}

static double add_lanes(const double *lanes) { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); }

/* ln of the sum of exp(logit - peak). */
static double find_log_sum(const float *logits, uint32_t vocabulary, double peak) {
    double sum[LANES] = {0};
    for (uint32_t i = 0; i < vocabulary; i++) sum[i % LANES] += exp((double)logits[i] - peak);
    return log(add_lanes(sum));
}

/*
 * With x and y the model's and the reference's logits less their peaks, P = exp(y) / Y and Q = exp(x) / X:
 * sum P ln(P / Q) = sum exp(y) (y - x) / Y - ln Y + ln X. A token with P = 0 adds nothing, whatever Q is.
 */
struct log_sums {
    double model, reference, kl;
};

static struct log_sums find_log_sums(const float *logits, const float *reference, uint32_t vocabulary, double peak,
                                     double reference_peak) {
    double sum[LANES] = {0}, reference_sum[LANES] = {0}, product[LANES] = {0};
    for (uint32_t i = 0; i < vocabulary; i++) {
        const double x = (double)logits[i] - peak, y = (double)reference[i] - reference_peak;
        const double weight = exp(y);
        sum[i % LANES] += exp(x);
        reference_sum[i % LANES] += weight;
        product[i % LANES] += weight > 0.0 ? weight * (y - x) : 0.0;
    }
    const double weights = add_lanes(reference_sum);
    struct log_sums sums = {.model = log(add_lanes(sum)), .reference = log(weights)};
    const double kl = add_lanes(product) / weights - sums.reference + sums.model;
    sums.kl = kl < 0.0 ? 0.0 : kl; /* it is never negative but for rounding */
    return sums;
}

bool sinq_score_prediction(const float *logits, const float *reference, uint32_t vocabulary, int32_t next,
                           struct sinq_text_prediction *prediction) {
    struct peak peak, reference_peak;
    *prediction = (struct sinq_text_prediction){0};
    if (!find_peak(logits, vocabulary, &peak)) return false;
    const double x = (double)logits[next] - peak.logit;
    if (reference == NULL) {
        prediction->nll = find_log_sum(logits, vocabulary, peak.logit) - x;
        return true;
    }
    if (!find_peak(reference, vocabulary, &reference_peak)) return false;
    const double y = (double)reference[next] - reference_peak.logit;
    const struct log_sums sums = find_log_sums(logits, reference, vocabulary, peak.logit, reference_peak.logit);
    prediction->nll = sums.model - x;
    prediction->reference_nll = sums.reference - y;
    prediction->kl = sums.kl;
    prediction->probability_change = exp(-prediction->nll) - exp(-prediction->reference_nll);
    prediction->same_top = peak.token == reference_peak.token;
    return true;
}
