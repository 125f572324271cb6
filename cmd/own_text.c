#include "own_text.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define MOST_SEQUENCES 96u
#define MOST_KV_BYTES  ((uint64_t)4 << 30)

static struct sinq_session_options describe_session(const struct sinq_own_text *text, unsigned threads) {
    return (struct sinq_session_options){.context = text->window,
                                         .batch = 1,
                                         .sequences = text->sequences,
                                         .kv_type = SINQ_KV_F32,
                                         .exact = true,
                                         .threads = threads};
}

/* Rounds of equal size. */
static uint32_t choose_sequences(size_t windows, uint64_t kv_bytes) {
    const uint64_t fitting = kv_bytes > 0 ? MOST_KV_BYTES / kv_bytes : MOST_SEQUENCES;
    const size_t most = fitting == 0 ? 1 : fitting < MOST_SEQUENCES ? (size_t)fitting : MOST_SEQUENCES;
    const size_t rounds = (windows + most - 1) / most;
    return rounds == 0 ? 1 : (uint32_t)((windows + rounds - 1) / rounds);
}

int sinq_plan_own_text(const struct sinq_source *source, uint32_t vocabulary, unsigned threads,
                       struct sinq_own_text *text, struct sinq_error *error) {
    struct sinq_plan plan;
    text->sequences = 1;
    struct sinq_session_options options = describe_session(text, threads);
    int status = sinq_plan_session(source, &options, &plan, error);
    if (status != SINQ_OK) return status;
    text->sequences = options.sequences = choose_sequences(text->windows, plan.kv_bytes);
    status = sinq_plan_session(source, &options, &plan, error);
    const uint64_t logits = (uint64_t)text->sequences * vocabulary * sizeof(float);
    if (status == SINQ_OK) text->memory = plan.owned_bytes + plan.kv_bytes + plan.scratch_bytes + logits;
    return status;
}

/* One round: windows [first, first + sequences), of which those beyond the last are written and forgotten. */
struct writer {
    const struct sinq_own_text *text;
    uint32_t vocabulary;
    int64_t begin; /* -1: any token */
    struct sinq_session *session;
    struct sinq_sampler *sampler;
    float *logits; /* [sequences][vocabulary] */
    int32_t *row;  /* a token of each */
    int32_t *ids;  /* [sequences][window] */
    size_t first;
    struct sinq_progress progress;
};

static int32_t draw_token(const struct writer *w, uint32_t sequence, uint32_t position, const float *logits) {
    const uint64_t draw = (w->first + sequence) * (uint64_t)w->text->window + position;
    sinq_sampler_reseed(w->sampler, (uint64_t)SINQ_OWN_TEXT_SEED << 40 | draw);
    return sinq_sample(w->sampler, logits, NULL, 0);
}

static void begin_windows(const struct writer *w) {
    memset(w->logits, 0, w->vocabulary * sizeof *w->logits);
    for (uint32_t s = 0; s < w->text->sequences; s++) {
        w->row[s] = w->begin >= 0 ? (int32_t)w->begin : draw_token(w, s, 0, w->logits);
        w->ids[(size_t)s * w->text->window] = w->row[s];
    }
}

static int write_position(const struct writer *w, uint32_t position, struct sinq_error *error) {
    const uint32_t sequences = w->text->sequences;
    int status = sinq_session_feed(w->session, w->row, sequences, error);
    if (status == SINQ_OK) status = sinq_session_logits(w->session, 0, sequences, w->logits, error);
    for (uint32_t s = 0; s < sequences && status == SINQ_OK; s++) {
        w->row[s] = draw_token(w, s, position, w->logits + (size_t)s * w->vocabulary);
        w->ids[(size_t)s * w->text->window + position] = w->row[s];
    }
    return status;
}

static int write_round(struct writer *w, struct sinq_meter *meter, struct sinq_error *error) {
    const size_t left = w->text->windows - w->first, wanted = left < w->text->sequences ? left : w->text->sequences;
    int status = SINQ_OK;
    sinq_session_reset(w->session);
    begin_windows(w);
    w->progress.bytes += wanted;
    for (uint32_t i = 1; i < w->text->window && status == SINQ_OK; i++) {
        status = write_position(w, i, error);
        w->progress.bytes += wanted;
        if (status == SINQ_OK && sinq_meter_report(meter, &w->progress) != 0) status = error->status = SINQ_INTERRUPTED;
    }
    w->progress.item += wanted;
    return status;
}

static int write_rounds(struct writer *w, struct sinq_meter *meter, struct sinq_tokens *tokens,
                        struct sinq_error *error) {
    const size_t window = w->text->window;
    int status = SINQ_OK;
    for (; w->first < w->text->windows && status == SINQ_OK; w->first += w->text->sequences) {
        status = write_round(w, meter, error);
        const size_t count = (size_t)(w->progress.item - w->first) * window;
        if (status != SINQ_OK) break;
        sinq_reserve(&tokens->ids, &tokens->capacity, tokens->count + count, sizeof *tokens->ids);
        memcpy(tokens->ids + tokens->count, w->ids, count * sizeof *w->ids);
        tokens->count += count;
    }
    return status;
}

int sinq_write_own_text(const struct sinq_model *model, const struct sinq_own_text *text, unsigned threads,
                        struct sinq_meter *meter, struct sinq_tokens *tokens, struct sinq_error *error) {
    const struct sinq_model_facts facts = sinq_model_facts(model);
    const struct sinq_session_options options = describe_session(text, threads);
    const struct sinq_sampling sampling = {.temperature = 1.0, .top_p = 1.0, .repeat_penalty = 1.0};
    struct writer w = {.text = text,
                       .vocabulary = facts.vocabulary,
                       .begin = facts.bos < (int64_t)facts.vocabulary ? facts.bos : -1,
                       .logits = sinq_allocate((size_t)text->sequences * facts.vocabulary, sizeof *w.logits),
                       .row = sinq_allocate(text->sequences, sizeof *w.row),
                       .ids = sinq_allocate((size_t)text->sequences * text->window, sizeof *w.ids)};
    w.progress = (struct sinq_progress){.activity = "writing a text",
                                        .unit = "tokens",
                                        .items = text->windows,
                                        .bytes_total = text->windows * text->window};
    int status = sinq_open_session(model, &options, &w.session, error);
    if (status == SINQ_OK) status = sinq_open_sampler(&sampling, w.vocabulary, &w.sampler, error);
    if (status == SINQ_OK) status = write_rounds(&w, meter, tokens, error);
    sinq_sampler_close(w.sampler);
    sinq_session_close(w.session);
    free(w.logits);
    free(w.row);
    free(w.ids);
    return status;
}
