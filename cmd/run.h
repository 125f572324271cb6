/* run.h: what the files of `sinq run` share: its arguments. */
#ifndef SINQ_CMD_RUN_H
#define SINQ_CMD_RUN_H

#include "catalogue.h"

#define SINQ_RANDOM_SEED 4294967295u /* where --seed is not given */

struct sinq_run_arguments {
    struct sinq_common_options common;
    const char *prompt, *file;
    bool token_ids;
    bool chat, raw;
    const char *system, *template_name;
    unsigned predict; /* tokens; 0: until the text or the context ends */
    struct sinq_text_list stops;
    bool ignore_eos;
    unsigned logprobs;
    double temperature, top_p, min_p, repeat_penalty;
    unsigned top_k, repeat_last, seed;
    unsigned context;
    const char *kv, *device;
    bool exact, plan;
    uint64_t memory, gpu_memory; /* 0 where not given */
};

/* run_options.c: the table, its defaults, and what the library is told. */
extern const struct sinq_option sinq_run_options[];
struct sinq_run_arguments sinq_default_run_arguments(void);
void sinq_free_run_arguments(struct sinq_run_arguments *arguments);

/* NULL, or why these options cannot be together. */
const char *sinq_find_run_conflict(const struct sinq_run_arguments *arguments);

/* Whether there is to be a conversation: asked for, or implied by an option that only one has. */
bool sinq_wants_chat(const struct sinq_run_arguments *arguments);

/* A seed that was not given is drawn here. */
struct sinq_sampling sinq_read_sampling(const struct sinq_run_arguments *arguments);
struct sinq_session_options sinq_read_session_options(const struct sinq_run_arguments *arguments);

#endif
