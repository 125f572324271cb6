/* prompt.h: what a model is given to go on from. */
#ifndef SINQ_CMD_PROMPT_H
#define SINQ_CMD_PROMPT_H

#include "run.h"

struct sinq_prompt {
    char *text; /* owned, NUL-terminated behind its `size` bytes, which may hold NULs */
    size_t size;
    bool is_implied; /* standard input, which nobody asked for by name */
};

/* Text of --prompt or --file, else of standard input. A line feed at the end of the latter two is dropped. */
int sinq_read_prompt(const struct sinq_run_arguments *arguments, struct sinq_prompt *prompt, struct sinq_error *error);
void sinq_free_prompt(struct sinq_prompt *prompt);

/*
 * Its tokens: as ids where `tokenizer` is NULL, as a message where there is a template, else as text. A text that comes to
 * nothing is the beginning of one: `bos`, where it is not negative.
 */
int sinq_tokenize_prompt(const struct sinq_run_arguments *arguments, const struct sinq_tokenizer *tokenizer,
                         const struct sinq_chat_template *chat, int64_t bos, const struct sinq_prompt *prompt,
                         struct sinq_tokens *tokens, struct sinq_error *error);

#endif
