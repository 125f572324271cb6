#include "prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "text_input.h"

int sinq_read_prompt(const struct sinq_run_arguments *arguments, struct sinq_prompt *prompt, struct sinq_error *error) {
    *prompt = (struct sinq_prompt){.is_implied = arguments->prompt == NULL && arguments->file == NULL};
    if (arguments->prompt != NULL) {
        prompt->text = sinq_format("%s", arguments->prompt);
        prompt->size = strlen(prompt->text);
        return SINQ_OK;
    }
    const char *const path = arguments->file != NULL ? arguments->file : "-";
    const int status = sinq_read_text_file(path, &prompt->text, &prompt->size, error);
    if (status == SINQ_OK && prompt->size > 0 && prompt->text[prompt->size - 1] == '\n')
        prompt->text[--prompt->size] = '\0';
    return status;
}

void sinq_free_prompt(struct sinq_prompt *prompt) {
    free(prompt->text);
    prompt->text = NULL;
    prompt->size = 0;
}

static int tokenize_message(const struct sinq_run_arguments *arguments, const struct sinq_tokenizer *tokenizer,
                            const struct sinq_chat_template *chat, const struct sinq_prompt *prompt,
                            struct sinq_tokens *tokens, struct sinq_error *error) {
    const struct sinq_chat_message messages[] = {{"system", arguments->system}, {"user", prompt->text}};
    const size_t skipped = arguments->system == NULL;
    if (strlen(prompt->text) != prompt->size) {
        snprintf(error->message, sizeof error->message, "the prompt: byte %zu is a NUL, which no message can hold",
                 strlen(prompt->text));
        error->status = SINQ_FAILED;
        return SINQ_FAILED;
    }
    if (arguments->common.verbose) {
        char *text = NULL;
        if (sinq_render_chat(chat, messages + skipped, 2 - skipped, &text, error) == SINQ_OK)
            fprintf(stderr, "%s: %s\n", sinq_chat_template_name(chat), text);
        free(text);
    }
    return sinq_tokenize_chat(tokenizer, chat, messages + skipped, 2 - skipped, tokens, error);
}

int sinq_tokenize_prompt(const struct sinq_run_arguments *arguments, const struct sinq_tokenizer *tokenizer,
                         const struct sinq_chat_template *chat, int64_t bos, const struct sinq_prompt *prompt,
                         struct sinq_tokens *tokens, struct sinq_error *error) {
    if (tokenizer == NULL) return sinq_parse_token_ids(prompt->text, prompt->size, tokens, error);
    if (chat != NULL) return tokenize_message(arguments, tokenizer, chat, prompt, tokens, error);
    const int status = sinq_tokenize(tokenizer, prompt->text, prompt->size, SINQ_TOKENIZE_SPECIAL, tokens, error);
    if (status == SINQ_OK && tokens->count == 0 && bos >= 0 && bos <= INT32_MAX) {
        sinq_reserve(&tokens->ids, &tokens->capacity, 1, sizeof *tokens->ids);
        tokens->ids[tokens->count++] = (int32_t)bos;
    }
    return status;
}
