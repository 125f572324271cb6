#include "own_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

struct writer {
    uint32_t window, vocabulary;
    int64_t begin; /* -1: any token */
    struct sinq_session *session;
    struct sinq_sampler *sampler;
    float *logits;
    int32_t *ids; /* of the window in hand */
};

static int write_window(struct writer *w, struct sinq_error *error) {
    int status = SINQ_OK;
    sinq_session_reset(w->session);
    memset(w->logits, 0, w->vocabulary * sizeof *w->logits);
    w->ids[0] = w->begin >= 0 ? (int32_t)w->begin : sinq_sample(w->sampler, w->logits, w->ids, 0);
    for (uint32_t i = 1; i < w->window && status == SINQ_OK; i++) {
        status = sinq_session_feed(w->session, &w->ids[i - 1], 1, error);
        if (status == SINQ_OK) status = sinq_session_logits(w->session, 0, 1, w->logits, error);
        if (status == SINQ_OK) w->ids[i] = sinq_sample(w->sampler, w->logits, w->ids, i);
    }
    return status;
}

static int write_windows(struct writer *w, size_t count, struct sinq_meter *meter, struct sinq_tokens *tokens,
                         struct sinq_error *error) {
    struct sinq_progress progress = {
        .activity = "writing a text", .unit = "tokens", .items = count / w->window, .bytes_total = count};
    int status = SINQ_OK;
    for (; progress.item < progress.items && status == SINQ_OK; progress.item++) {
        status = write_window(w, error);
        if (status != SINQ_OK) break;
        sinq_reserve(&tokens->ids, &tokens->capacity, tokens->count + w->window, sizeof *tokens->ids);
        memcpy(tokens->ids + tokens->count, w->ids, w->window * sizeof *w->ids);
        tokens->count += w->window;
        progress.bytes += w->window;
        if (sinq_meter_report(meter, &progress) != 0) status = error->status = SINQ_INTERRUPTED;
    }
    return status;
}

int sinq_write_own_text(const struct sinq_model *model, size_t count, uint32_t window, unsigned threads,
                        struct sinq_meter *meter, struct sinq_tokens *tokens, struct sinq_error *error) {
    const struct sinq_model_facts facts = sinq_model_facts(model);
    const struct sinq_session_options options = {
        .context = window, .batch = 1, .kv_type = SINQ_KV_F32, .exact = true, .threads = threads};
    const struct sinq_sampling sampling = {
        .temperature = 1.0, .top_p = 1.0, .repeat_penalty = 1.0, .seed = SINQ_OWN_TEXT_SEED};
    struct writer w = {.window = window,
                       .vocabulary = facts.vocabulary,
                       .begin = facts.bos < (int64_t)facts.vocabulary ? facts.bos : -1,
                       .logits = sinq_allocate(facts.vocabulary, sizeof *w.logits),
                       .ids = sinq_allocate(window, sizeof *w.ids)};
    int status = sinq_open_session(model, &options, &w.session, error);
    if (status == SINQ_OK) status = sinq_open_sampler(&sampling, w.vocabulary, &w.sampler, error);
    if (status == SINQ_OK) status = write_windows(&w, count, meter, tokens, error);
    sinq_sampler_close(w.sampler);
    sinq_session_close(w.session);
    free(w.logits);
    free(w.ids);
    return status;
}
