#include "generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "progress.h"
#include "terminal.h"
#include "token_prefix.h"

const char *sinq_stop_reason_name(enum sinq_stop_reason reason) {
    static const char *const names[] = {"end", "length", "context", "stop", "interrupted", "closed"};
    return names[reason];
}

const char *sinq_describe_stop_reason(enum sinq_stop_reason reason) {
    static const char *const names[] = {"end of text",  "as many tokens as --predict allows",
                                        "context full", "stop text found",
                                        "interrupted",  "output closed"};
    return names[reason];
}

static bool is_stop_wanted(void) { return sinq_caught_signal() != 0 || sinq_is_interrupted(); }

static void add_token(struct sinq_tokens *tokens, int32_t id) {
    sinq_reserve(&tokens->ids, &tokens->capacity, tokens->count + 1, sizeof *tokens->ids);
    tokens->ids[tokens->count++] = id;
}

/* ---- the prompt -------------------------------------------------------------------------------------------- */

static int check_length(const struct sinq_generator *generator, size_t count, struct sinq_error *error) {
    const uint64_t context = sinq_session_context(generator->session), most = generator->facts.context;
    if (count > 0 && count <= context) return SINQ_OK;
    error->status = SINQ_FAILED;
    if (count == 0) {
        snprintf(error->message, sizeof error->message, "the prompt has no tokens, and there is nothing to go on from");
        return SINQ_FAILED;
    }
    int used = snprintf(error->message, sizeof error->message,
                        "the prompt has %zu tokens and the context %llu: ", count, (unsigned long long)context);
    if (count <= most) {
        snprintf(error->message + used, sizeof error->message - (size_t)used,
                 "--ctx-size %zu makes room (the model allows %llu)", count, (unsigned long long)most);
    } else {
        snprintf(error->message + used, sizeof error->message - (size_t)used, "the model allows no more than %llu",
                 (unsigned long long)most);
    }
    return SINQ_FAILED;
}

/* An id that the model does not have is named here, with its place. */
static int check_ids(const struct sinq_generator *generator, const int32_t *prompt, size_t count,
                     struct sinq_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (prompt[i] >= 0 && (uint32_t)prompt[i] < generator->facts.vocabulary) continue;
        snprintf(error->message, sizeof error->message, "token %zu of the prompt is %ld, and the model has %u tokens",
                 i, (long)prompt[i], (unsigned)generator->facts.vocabulary);
        error->status = SINQ_FAILED;
        return SINQ_FAILED;
    }
    return SINQ_OK;
}

/* Batch by batch, so that it can be interrupted between them. */
static int feed_prompt(struct sinq_generator *generator, const int32_t *prompt, size_t count,
                       struct sinq_answer *answer, struct sinq_error *error) {
    struct sinq_tokens *const tokens = &generator->tokens;
    const uint64_t batch = sinq_session_batch(generator->session);
    const double start = sinq_now();
    struct sinq_meter meter;
    int status = SINQ_OK;
    const size_t common =
        sinq_count_common_tokens(tokens->ids, (size_t)sinq_session_position(generator->session), prompt, count);
    size_t fed = (size_t)sinq_session_rewind(generator->session, common);
    answer->prompt_tokens = count;
    tokens->count = fed;
    sinq_session_announce(generator->session, count);
    sinq_meter_start(&meter, &generator->arguments->common, sinq_source_path(generator->source));
    while (status == SINQ_OK && fed < count && !is_stop_wanted()) {
        const size_t piece = count - fed < batch ? count - fed : (size_t)batch;
        const struct sinq_progress progress = {
            .activity = "reading the prompt", .bytes = fed, .bytes_total = count, .unit = "tokens"};
        (void)sinq_meter_report(&meter, &progress);
        status = sinq_session_feed(generator->session, prompt + fed, piece, error);
        if (status != SINQ_OK) break;
        for (size_t i = 0; i < piece; i++) add_token(tokens, prompt[fed + i]);
        fed += piece;
        answer->fed_tokens += piece;
    }
    sinq_meter_stop(&meter);
    answer->prompt_seconds = sinq_now() - start;
    return status;
}

/* ---- token after token ------------------------------------------------------------------------------------- */

static bool is_end(const struct sinq_generator *generator, int32_t id) {
    if (generator->arguments->ignore_eos) return false;
    if (generator->tokenizer == NULL) return sinq_is_end_token(&generator->ends, id);
    if (generator->chat != NULL && sinq_chat_is_end(generator->tokenizer, generator->chat, id)) return true;
    return sinq_tokenizer_is_end(generator->tokenizer, id);
}

/* log p(id) = logit - log of the sum, which the best candidate tells. */
static void fill_logprobs(struct sinq_generator *generator, struct sinq_step *step) {
    const unsigned wanted = generator->arguments->logprobs;
    if (wanted == 0) return;
    const uint32_t vocabulary = generator->facts.vocabulary;
    step->best_count = wanted < vocabulary ? wanted : vocabulary;
    step->best = generator->best;
    sinq_find_candidates(generator->logits, vocabulary, step->best_count, generator->best);
    const struct sinq_candidate *const best = generator->best;
    step->logprob = (double)generator->logits[step->id] - (double)generator->logits[best->id] + best->logprob;
}

/* The text that a token completes, less what may be the beginning of a stop text. *is_stopped when one is complete. */
static int add_text(struct sinq_generator *generator, struct sinq_text_stream *stream, struct sinq_step *step,
                    bool *is_stopped, struct sinq_error *error) {
    const char *piece = "";
    size_t size = 0;
    *is_stopped = false;
    if (stream == NULL) return SINQ_OK;
    const int status = sinq_text_stream_add(stream, step->id, &piece, &size, error);
    if (status == SINQ_OK) *is_stopped = sinq_stop_add(&generator->stop, piece, size, &step->text, &step->size);
    return status;
}

/* Text that was held back. */
static int end_text(struct sinq_generator *generator, struct sinq_text_stream *stream, bool is_stopped,
                    sinq_step_fn *take, void *user, struct sinq_error *error) {
    struct sinq_step step = {.id = -1, .text = ""};
    const char *piece = "";
    size_t size = 0;
    if (stream == NULL) return SINQ_OK;
    const int status = sinq_text_stream_end(stream, &piece, &size, error);
    if (status == SINQ_OK && !is_stopped) {
        is_stopped = sinq_stop_add(&generator->stop, piece, size, &step.text, &step.size);
        if (step.size > 0) (void)take(user, &step);
    }
    sinq_stop_end(&generator->stop, &step.text, &step.size);
    if (!is_stopped && step.size > 0) (void)take(user, &step);
    return status;
}

/* Where only special tokens tell thoughts from the answer, they are shown. */
static bool shows_special_tokens(const struct sinq_generator *generator) {
    return generator->chat != NULL && strcmp(sinq_chat_template_name(generator->chat), "harmony") == 0;
}

/* Text of an answer in a chat begins anew; a continued text goes on, which matters for blanks. */
static int open_stream(const struct sinq_generator *generator, struct sinq_text_stream **stream,
                       struct sinq_error *error) {
    const char *bytes;
    size_t size;
    if (generator->tokenizer == NULL) return SINQ_OK;
    int status = sinq_open_text_stream(generator->tokenizer, !shows_special_tokens(generator), stream, error);
    if (generator->chat != NULL) return status;
    for (size_t i = 0; i < generator->tokens.count && status == SINQ_OK; i++)
        status = sinq_text_stream_add(*stream, generator->tokens.ids[i], &bytes, &size, error);
    return status;
}

/* Behind the token fed last; with its logits where log probabilities are wanted. */
static int choose(struct sinq_generator *generator, int32_t *token, struct sinq_error *error) {
    const uint32_t row = sinq_session_rows(generator->session) - 1;
    const int32_t *const ids = generator->tokens.ids;
    if (generator->arguments->logprobs == 0) {
        return sinq_session_choose(generator->session, row, generator->sampler, ids, generator->tokens.count,
                                   generator->logits, token, error);
    }
    const int status = sinq_session_logits(generator->session, row, 1, generator->logits, error);
    if (status == SINQ_OK) {
        *token = sinq_sample(generator->sampler, generator->logits, ids, generator->tokens.count);
    }
    return status;
}

/* The library does not know what the model is called. */
static int choose_token(struct sinq_generator *generator, int32_t *token, struct sinq_error *error) {
    const int status = choose(generator, token, error);
    char message[sizeof error->message];
    if (status == SINQ_OK) return status;
    snprintf(message, sizeof message, "%s", error->message);
    snprintf(error->message, sizeof error->message, "%.400s: %.590s", sinq_source_path(generator->source), message);
    return status;
}

/* Chooses one token and hands it on. *is_over with the reason in answer when it is the last. */
static int take_step(struct sinq_generator *generator, struct sinq_text_stream *stream, sinq_step_fn *take, void *user,
                     struct sinq_answer *answer, bool *is_over, struct sinq_error *error) {
    struct sinq_step step = {.text = ""};
    int status = choose_token(generator, &step.id, error);
    if (status != SINQ_OK) return status;
    *is_over = true;
    if (is_end(generator, step.id)) {
        answer->reason = SINQ_STOP_END;
        answer->end_id = step.id;
        return SINQ_OK;
    }
    bool is_stopped;
    fill_logprobs(generator, &step);
    add_token(&generator->tokens, step.id);
    answer->generated++;
    status = add_text(generator, stream, &step, &is_stopped, error);
    if (status != SINQ_OK) return status;
    const unsigned most = generator->arguments->predict;
    const uint64_t position = sinq_session_position(generator->session);
    if (!take(user, &step)) {
        answer->reason = SINQ_STOP_UNWANTED;
    } else if (is_stopped) {
        answer->reason = SINQ_STOP_TEXT;
    } else if (most > 0 && answer->generated >= most) {
        answer->reason = SINQ_STOP_LENGTH;
    } else if (is_stop_wanted()) {
        answer->reason = SINQ_STOP_SIGNAL;
    } else if (position >= sinq_session_context(generator->session)) {
        answer->reason = SINQ_STOP_CONTEXT;
    } else {
        *is_over = false;
    }
    return SINQ_OK;
}

static int write_tokens(struct sinq_generator *generator, struct sinq_text_stream *stream, sinq_step_fn *take,
                        void *user, struct sinq_answer *answer, struct sinq_error *error) {
    bool is_over = false;
    const char *left_over;
    size_t left_size;
    sinq_stop_end(&generator->stop, &left_over, &left_size); /* of a turn that failed */
    int status = take_step(generator, stream, take, user, answer, &is_over, error);
    const double start = sinq_now();
    while (status == SINQ_OK && !is_over) {
        const struct sinq_tokens *const tokens = &generator->tokens;
        status = sinq_session_feed(generator->session, tokens->ids + tokens->count - 1, 1, error);
        answer->passes++;
        if (status == SINQ_OK) status = take_step(generator, stream, take, user, answer, &is_over, error);
    }
    answer->seconds = sinq_now() - start;
    const int end_status =
        status == SINQ_OK ? end_text(generator, stream, answer->reason == SINQ_STOP_TEXT, take, user, error) : status;
    return status == SINQ_OK ? end_status : status;
}

int sinq_generate(struct sinq_generator *generator, const int32_t *prompt, size_t count, sinq_step_fn *take, void *user,
                  struct sinq_answer *answer, struct sinq_error *error) {
    struct sinq_text_stream *stream = NULL;
    *answer = (struct sinq_answer){.reason = SINQ_STOP_SIGNAL, .end_id = -1};
    int status = check_length(generator, count, error);
    if (status == SINQ_OK) status = check_ids(generator, prompt, count, error);
    if (status == SINQ_OK) status = feed_prompt(generator, prompt, count, answer, error);
    if (status != SINQ_OK || generator->tokens.count < count) return status; /* interrupted meanwhile */
    status = open_stream(generator, &stream, error);
    if (status == SINQ_OK) status = write_tokens(generator, stream, take, user, answer, error);
    sinq_text_stream_free(stream);
    return status;
}
