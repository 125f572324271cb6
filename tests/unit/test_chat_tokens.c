/* test_chat_tokens.c: conversations as ids, with real tokenizers; special tokens that someone writes into a message stay text. */
#include "checkpoint_files.h"
#include "text/chat.h"
#include "unit.h"

#define MAX_IDS 64

static const struct tokenizer_case {
    const char *folder, *injected; /* a control token written out */
    int32_t injected_id;
    int32_t ids[MAX_IDS]; /* of "Hello" from the user; ends with -1 */
} tokenizer_cases[] = {
    {"qwen3", "<|im_end|>", 151645, {151644, 872, 198, 9707, 151645, 198, 151644, 77091, 198, -1}},
    {"llama3", "<|eot_id|>", 128009, {128000, 128006, 882, 128007, 271, 9906, 128009, 128006, 78191, 128007, 271, -1}},
    {"deepseek_v3", "<｜Assistant｜>", 128804, {0, 128803, 19923, 128804, -1}},
};

struct opened {
    struct sinq_source *source;
    struct sinq_tokenizer *tokenizer;
    const struct sinq_chat_template *chat;
};

/* The tokenizer of a shared folder; its own template, or that of a name. False where the folder is absent. */
static bool open_tokenizer(const char *folder, const char *template, struct opened *opened) {
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json"};
    struct sinq_error error;
    make_folder();
    write_safetensors("model.safetensors", "{}", NULL, 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[100];
        (void)snprintf(name, sizeof name, "tokenizers/%s/%s", folder, files[i]);
        char *const path = find_shared(name);
        if (path == NULL) {
            remove_folder();
            return false;
        }
        ck_assert_int_eq(symlink(path, path_of(files[i])), 0);
        free(path);
    }
    opened->source = open_good(scratch);
    int status = sinq_open_tokenizer(opened->source, &opened->tokenizer, &error);
    ck_assert_msg(status == SINQ_OK, "%s: %s", folder, error.message);
    status = template == NULL ? sinq_find_chat_template(opened->source, &opened->chat, &error)
                              : sinq_name_chat_template(template, &opened->chat, &error);
    ck_assert_msg(status == SINQ_OK, "%s: %s", folder, error.message);
    return true;
}

static void close_tokenizer(struct opened *opened) {
    sinq_chat_template_free(opened->chat);
    sinq_tokenizer_free(opened->tokenizer);
    sinq_source_close(opened->source);
    remove_folder();
}

static struct sinq_tokens tokenize(const struct opened *opened, const struct sinq_chat_message *messages,
                                   size_t count) {
    struct sinq_tokens tokens = {0};
    struct sinq_error error;
    const int status = sinq_tokenize_chat(opened->tokenizer, opened->chat, messages, count, &tokens, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    return tokens;
}

static size_t count_id(const struct sinq_tokens *tokens, int32_t id) {
    size_t count = 0;
    for (size_t i = 0; i < tokens->count; i++) count += tokens->ids[i] == id;
    return count;
}

START_TEST(ids_of_a_question) {
    for (size_t i = 0; i < sizeof tokenizer_cases / sizeof tokenizer_cases[0]; i++) {
        const struct tokenizer_case *const c = &tokenizer_cases[i];
        const struct sinq_chat_message message = {"user", "Hello"};
        struct opened opened;
        if (!open_tokenizer(c->folder, NULL, &opened)) continue;
        struct sinq_tokens tokens = tokenize(&opened, &message, 1);
        for (size_t k = 0; k < tokens.count; k++) {
            ck_assert_msg(tokens.ids[k] == c->ids[k], "%s: token %zu is %d, expected %d", c->folder, k,
                          (int)tokens.ids[k], (int)c->ids[k]);
        }
        ck_assert_int_eq(c->ids[tokens.count], -1);
        sinq_tokens_free(&tokens);
        close_tokenizer(&opened);
    }
}
END_TEST

/* Where nothing special is written into messages, ids are those of the rendered text. */
START_TEST(ids_are_those_of_the_text) {
    static const struct {
        const char *folder, *template;
    } cases[] = {{"qwen3", NULL},         {"llama3", NULL},      {"deepseek_v3", NULL},
                 {"llama2-sp", "llama2"}, {"llama2-sp", "phi3"}, {"mistral-7b-v0.1", "mistral"},
                 {"qwen3", "harmony"}};
    static const struct sinq_chat_message messages[] = {{"system", "Be brief.\n\n\n"},
                                                        {"user", "  What is 12 + 34?\n"},
                                                        {"assistant", "46 \u00e4\u4f60"},
                                                        {"user", "\tAnd < 2 > [x]?"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct opened opened;
        struct sinq_tokens plain = {0};
        struct sinq_error error;
        char *text;
        if (!open_tokenizer(cases[i].folder, cases[i].template, &opened)) continue;
        struct sinq_tokens tokens = tokenize(&opened, messages, 4);
        ck_assert_int_eq(sinq_render_chat(opened.chat, messages, 4, &text, &error), SINQ_OK);
        ck_assert_int_eq(sinq_tokenize(opened.tokenizer, text, strlen(text), 0, &plain, &error), SINQ_OK);
        ck_assert_msg(
            tokens.count == plain.count && memcmp(tokens.ids, plain.ids, plain.count * sizeof *plain.ids) == 0,
            "%s with %s: other ids than those of the text", cases[i].folder, sinq_chat_template_name(opened.chat));
        free(text);
        sinq_tokens_free(&plain);
        sinq_tokens_free(&tokens);
        close_tokenizer(&opened);
    }
}
END_TEST

START_TEST(contents_inject_no_special_tokens) {
    for (size_t i = 0; i < sizeof tokenizer_cases / sizeof tokenizer_cases[0]; i++) {
        const struct tokenizer_case *const c = &tokenizer_cases[i];
        const struct sinq_chat_message plain[] = {{"system", "x"}, {"user", "x"}};
        const struct sinq_chat_message injected[] = {{"system", c->injected}, {"user", c->injected}};
        struct opened opened;
        if (!open_tokenizer(c->folder, NULL, &opened)) continue;
        struct sinq_tokens harmless = tokenize(&opened, plain, 2), tokens = tokenize(&opened, injected, 2);
        ck_assert_int_eq(sinq_tokenizer_find(opened.tokenizer, c->injected), c->injected_id);
        ck_assert_msg(count_id(&tokens, c->injected_id) == count_id(&harmless, c->injected_id),
                      "%s: %s was taken for a token", c->folder, c->injected);
        ck_assert_uint_gt(tokens.count, harmless.count + 2);
        sinq_tokens_free(&tokens);
        sinq_tokens_free(&harmless);
        close_tokenizer(&opened);
    }
}
END_TEST

/* Each piece of a control token in another message, and one half of it the template's. */
START_TEST(a_range_ends_where_it_ends) {
    static const char text[] = "<|im_start|>user<|im_end|>";
    static const struct {
        struct sinq_literal_range ranges[2];
        size_t count, starts, ends;
    } cases[] = {
        {{{0, 0}, {0, 0}}, 0, 1, 1},   {{{12, 16}, {0, 0}}, 1, 1, 1}, {{{0, 12}, {0, 0}}, 1, 0, 1},
        {{{0, 1}, {25, 26}}, 2, 0, 0}, {{{11, 17}, {0, 0}}, 1, 0, 0}, {{{12, 12}, {16, 16}}, 2, 1, 1},
    };
    struct opened opened;
    if (!open_tokenizer("qwen3", NULL, &opened)) return;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_tokens tokens = {0};
        struct sinq_error error;
        ck_assert_int_eq(sinq_tokenize_ranges(opened.tokenizer, text, strlen(text), cases[i].ranges, cases[i].count,
                                              &tokens, &error),
                         SINQ_OK);
        ck_assert_uint_eq(count_id(&tokens, 151644), cases[i].starts);
        ck_assert_uint_eq(count_id(&tokens, 151645), cases[i].ends);
        sinq_tokens_free(&tokens);
    }
    close_tokenizer(&opened);
}
END_TEST

START_TEST(ends_of_answers) {
    static const struct {
        const char *folder, *template;
        const char *ends[2], *none;
    } cases[] = {
        {"qwen3", NULL, {"<|im_end|>", "<|endoftext|>"}, "<|im_start|>"},
        {"llama3", NULL, {"<|eot_id|>", "<|end_of_text|>"}, "<|start_header_id|>"},
        {"deepseek_v3", NULL, {"<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"}, "<｜User｜>"},
        {"mistral-7b-v0.1", "mistral", {"</s>", "</s>"}, "<s>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct opened opened;
        if (!open_tokenizer(cases[i].folder, cases[i].template, &opened)) continue;
        for (int k = 0; k < 2; k++) {
            const int32_t id = sinq_tokenizer_find(opened.tokenizer, cases[i].ends[k]);
            ck_assert_msg(sinq_chat_is_end(opened.tokenizer, opened.chat, id), "%s: %s", cases[i].folder,
                          cases[i].ends[k]);
        }
        const int32_t id = sinq_tokenizer_find(opened.tokenizer, cases[i].none);
        ck_assert(!sinq_chat_is_end(opened.tokenizer, opened.chat, id));
        ck_assert(!sinq_chat_is_end(opened.tokenizer, opened.chat, -1));
        close_tokenizer(&opened);
    }
}
END_TEST

START_TEST(any_bytes_are_accepted) {
    static const struct sinq_chat_message messages[] = {{"user", "\xff<|im_\xe4start|>\x80\xe3\x80"}};
    struct opened opened;
    if (!open_tokenizer("qwen3", NULL, &opened)) return;
    struct sinq_tokens tokens = tokenize(&opened, messages, 1);
    ck_assert_uint_eq(count_id(&tokens, 151644), 2);
    sinq_tokens_free(&tokens);
    close_tokenizer(&opened);
    /* A model without the template's BOS gets none, rather than its letters. */
    if (!open_tokenizer("qwen3", "llama2", &opened)) return;
    tokens = tokenize(&opened, messages, 1);
    ck_assert_int_eq(tokens.ids[0], sinq_tokenizer_find(opened.tokenizer, "["));
    sinq_tokens_free(&tokens);
    close_tokenizer(&opened);
}
END_TEST

UNIT_MAIN("chat_tokens", ids_of_a_question, ids_are_those_of_the_text, contents_inject_no_special_tokens,
          a_range_ends_where_it_ends, ends_of_answers, any_bytes_are_accepted)
