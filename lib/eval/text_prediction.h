/*
 * text_prediction.h: one prediction of the next token, scored: from rows of logits to a few numbers, all in f64. Pure functions,
 * thread safe.
 */
#ifndef SINQ_EVAL_TEXT_PREDICTION_H
#define SINQ_EVAL_TEXT_PREDICTION_H

#include <stdbool.h>
#include <stdint.h>

struct sinq_text_prediction {
    double nll; /* -ln of the probability given to the token that came */
    /* With a reference: */
    double reference_nll;
    double kl;                 /* sum over tokens of P ln(P / Q), P the reference's probabilities and Q the model's */
    double probability_change; /* of the token that came: the model's less the reference's */
    bool same_top;             /* both find the same token the likeliest; of equal ones the first counts */
};

/*
 * Scores logits[0..vocabulary) and, unless it is NULL, the reference's, where `next` is the token that came. A logit of minus
 * infinity is a probability of zero: nll and kl can be infinite. False where a row is no distribution: it holds a NaN or plus
 * infinity, or nothing but minus infinity.
 */
bool sinq_score_prediction(const float *logits, const float *reference, uint32_t vocabulary, int32_t next,
                           struct sinq_text_prediction *prediction);

#endif
