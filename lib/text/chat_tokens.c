#include "text/chat.h"

#include <string.h>

#include "text/tokenizer.h"

/* Whether the tokenizer knows it as a token of its own: a vocabulary may hold "<s>" as a common piece of text as well. */
static bool has_token(const struct sinq_tokenizer *tokenizer, const char *token) {
    return sinq_added_tokens_find(&tokenizer->added, token, strlen(token)) != NULL;
}

int sinq_tokenize_chat(const struct sinq_tokenizer *tokenizer, const struct sinq_chat_template *chat,
                       const struct sinq_chat_message *messages, size_t count, struct sinq_tokens *tokens,
                       struct sinq_error *error) {
    struct sinq_rendered_chat rendered;
    const bool has_bos = has_token(tokenizer, chat->bos); /* else it would be written out as text */
    int status = sinq_render_chat_at(chat, has_bos, messages, count, time(NULL), &rendered, error);
    if (status != SINQ_OK) return status;
    status = sinq_tokenize_ranges(tokenizer, rendered.text.data, rendered.text.size, rendered.literal,
                                  rendered.literal_count, tokens, error);
    sinq_rendered_chat_free(&rendered);
    return status;
}

bool sinq_chat_is_end(const struct sinq_tokenizer *tokenizer, const struct sinq_chat_template *chat, int32_t id) {
    if (id < 0) return false;
    if (sinq_tokenizer_is_end(tokenizer, id)) return true;
    if (has_token(tokenizer, chat->eos) && sinq_tokenizer_find(tokenizer, chat->eos) == id) return true;
    for (unsigned i = 0; i < sizeof chat->form->ends / sizeof chat->form->ends[0]; i++) {
        const char *const end = chat->form->ends[i];
        if (end != NULL && sinq_tokenizer_find(tokenizer, end) == id) return true;
    }
    return false;
}
