/*
 * generation.h: a model in use, and the tokens it writes, one by one.
 *
 * Calling sequence: sinq_open_generator, sinq_generate once or, in a dialogue, for each turn, sinq_close_generator. Tokens that
 * are the same as those of the turn before keep their keys and values.
 */
#ifndef SINQ_CMD_GENERATION_H
#define SINQ_CMD_GENERATION_H

#include "end_tokens.h"
#include "plan_report.h"
#include "run.h"
#include "stop_text.h"

struct sinq_generator {
    const struct sinq_run_arguments *arguments; /* this and the next three are borrowed */
    const struct sinq_source *source;
    const struct sinq_tokenizer *tokenizer; /* NULL: --token-ids */
    const struct sinq_chat_template *chat;  /* NULL: text is continued as it stands */
    struct sinq_end_tokens ends;            /* where there is no tokenizer */
    struct sinq_model *model;
    struct sinq_model_facts facts;
    struct sinq_plan_report plan;
    struct sinq_sampling sampling; /* with the seed that was drawn */
    struct sinq_session *session;
    struct sinq_sampler *sampler;
    float *logits;
    struct sinq_candidate *best; /* --logprobs of them */
    struct sinq_tokens tokens;   /* fed so far, and behind them what was chosen and not fed yet */
    struct sinq_stop_texts stop;
};

enum sinq_stop_reason {
    SINQ_STOP_END,      /* the model ended the text */
    SINQ_STOP_LENGTH,   /* --predict */
    SINQ_STOP_CONTEXT,  /* no position is left */
    SINQ_STOP_TEXT,     /* --stop */
    SINQ_STOP_SIGNAL,   /* somebody wants it to stop */
    SINQ_STOP_UNWANTED, /* nobody reads it any more */
};
/* "end", "length", "context", "stop", "interrupted", "closed": for JSON. */
const char *sinq_stop_reason_name(enum sinq_stop_reason reason);
/* "end of text", ...: for people. */
const char *sinq_describe_stop_reason(enum sinq_stop_reason reason);

/* One token, and the text that it completes: none where it may be the beginning of a stop text. The last step is text alone. */
struct sinq_step {
    int32_t id;     /* -1: no token, only what was held back */
    double logprob; /* where --logprobs is given; before sampling, as are the best ones */
    const struct sinq_candidate *best;
    size_t best_count;
    const char *text; /* not NUL-terminated */
    size_t size;
};
/* False: nobody reads it any more. */
typedef bool sinq_step_fn(void *user, const struct sinq_step *step);

struct sinq_answer {
    enum sinq_stop_reason reason;
    int32_t end_id;                     /* of SINQ_STOP_END, else -1 */
    uint64_t prompt_tokens, fed_tokens; /* what was not fed in an earlier turn, unless interrupted */
    uint64_t generated;                 /* tokens; the one that ends the text is not counted */
    uint64_t passes;                    /* through the model, one token each */
    double prompt_seconds, seconds;     /* of feeding the prompt, and of the passes */
};

/* Checks that there is memory before anything large is allocated. `ends` is filled where there is no tokenizer. */
int sinq_open_generator(const struct sinq_run_arguments *arguments, const struct sinq_source *source,
                        const struct sinq_tokenizer *tokenizer, const struct sinq_chat_template *chat,
                        struct sinq_generator *generator, struct sinq_error *error);
void sinq_close_generator(struct sinq_generator *generator);

/*
 * Feeds prompt[0..count), which is all that the model is to know, and lets it go on. A prompt that does not fit the context is
 * SINQ_FAILED and changes nothing.
 */
int sinq_generate(struct sinq_generator *generator, const int32_t *prompt, size_t count, sinq_step_fn *take, void *user,
                  struct sinq_answer *answer, struct sinq_error *error);

/* What --plan and -v tell, from headers alone. */
int sinq_plan_run(const struct sinq_run_arguments *arguments, const struct sinq_source *source,
                  struct sinq_plan_report *report, struct sinq_error *error);

#endif
