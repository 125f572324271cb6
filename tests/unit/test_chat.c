/* test_chat.c: chats as the templates of the models write them: texts here were written out by hand from those templates. */
#include <string.h>

#include "text/chat.h"
#include "unit.h"

#define S                                                                                                              \
    { "system", "Be brief." }
#define U                                                                                                              \
    { "user", " Hello\n" }
#define A                                                                                                              \
    { "assistant", " Hi there " }
#define U2                                                                                                             \
    { "user", "Who?" }

#define JULY_26 ((time_t)1721995200) /* 2024-07-26 12:00 UTC */

static char *render(const struct sinq_chat_template *chat, const struct sinq_chat_message *messages, size_t count) {
    struct sinq_rendered_chat rendered;
    struct sinq_error error;
    const int status = sinq_render_chat_at(chat, true, messages, count, JULY_26, &rendered, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    char *const text = strdup(rendered.text.data);
    sinq_rendered_chat_free(&rendered);
    return text;
}

static const struct sinq_chat_template *find_by_name(const char *name) {
    const struct sinq_chat_template *chat = NULL;
    struct sinq_error error;
    ck_assert_msg(sinq_name_chat_template(name, &chat, &error) == SINQ_OK, "%s", error.message);
    return chat;
}

/* ---- the forms ---- */

static const struct form_case {
    const char *name;
    struct sinq_chat_message messages[4];
    size_t count;
    const char *text;
} form_cases[] = {
    {"chatml",
     {S, U, A, U2},
     4,
     "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hello\n<|im_end|>\n<|im_start|>assistant\n Hi there "
     "<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"},
    {"chatml", {U2}, 1, "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"},
    {"qwen3",
     {U2, {"assistant", "<think>\nHm.\n</think>\n\n I."}, U2},
     3,
     "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n I.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
     "<|im_start|>assistant\n"},
    {"qwen-thinking", {U2}, 1, "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n<think>\n"},
    {"phi4",
     {S, U, A, U2},
     4,
     "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|> Hello\n<|im_end|><|im_start|>assistant"
     "<|im_sep|> Hi there <|im_end|><|im_start|>user<|im_sep|>Who?<|im_end|><|im_start|>assistant<|im_sep|>"},
    {"llama2",
     {S, U, A, U2},
     4,
     "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hello [/INST] Hi there </s><s>[INST] Who? [/INST]"},
    {"llama2", {U, A, U2}, 3, "<s>[INST] Hello [/INST] Hi there </s><s>[INST] Who? [/INST]"},
    {"llama3",
     {S, U, A, U2},
     4,
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user"
     "<|end_header_id|>\n\nHello<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"llama3.1",
     {S, U2},
     2,
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday "
     "Date: "
     "26 Jul 2024\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|><|start_header_id|>"
     "assistant<|end_header_id|>\n\n"},
    {"llama3.1",
     {U2},
     1,
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday "
     "Date: "
     "26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|><|start_header_id|>"
     "assistant<|end_header_id|>\n\n"},
    {"llama3.2",
     {U2},
     1,
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday "
     "Date: "
     "26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|><|start_header_id|>"
     "assistant<|end_header_id|>\n\n"},
    {"mistral", {S, U, A, U2}, 4, "<s> [INST] Be brief.\n\n Hello\n [/INST]  Hi there </s> [INST] Who? [/INST]"},
    {"mistral-v0.1", {U, A, U2}, 3, "<s>[INST]  Hello\n [/INST] Hi there </s> [INST] Who? [/INST]"},
    {"mistral-v0.2", {U, A, U2}, 3, "<s>[INST]  Hello\n [/INST] Hi there </s>[INST] Who? [/INST]"},
    {"mistral-v3", {S, U, A, U2}, 4, "<s>[INST]  Hello\n[/INST] Hi there</s>[INST] Be brief.\n\nWho?[/INST]"},
    {"mistral-v3-tekken", {S, U, A, U2}, 4, "<s>[INST] Hello\n[/INST] Hi there </s>[INST]Be brief.\n\nWho?[/INST]"},
    {"mistral-v7",
     {S, U, A, U2},
     4,
     "<s>[SYSTEM_PROMPT] Be brief.[/SYSTEM_PROMPT][INST]  Hello\n[/INST]  Hi there </s>[INST] Who?[/INST]"},
    {"mistral-v7-tekken",
     {S, U, A, U2},
     4,
     "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST] Hello\n[/INST] Hi there </s>[INST]Who?[/INST]"},
    {"gemma",
     {S, U, A, U2},
     4,
     "<bos><start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\nHi there<end_of_turn>\n"
     "<start_of_turn>user\nWho?<end_of_turn>\n<start_of_turn>model\n"},
    {"phi3",
     {S, U, A, U2},
     4,
     "<s><|system|>\nBe brief.<|end|>\n<|user|>\n Hello\n<|end|>\n<|assistant|>\n Hi there <|end|>\n<|user|>\nWho?"
     "<|end|>\n<|assistant|>\n"},
    {"phi3", {{"system", ""}, U2}, 2, "<s><|user|>\nWho?<|end|>\n<|assistant|>\n"},
    {"phi4-mini", {S, U2}, 2, "<s><|system|>Be brief.<|end|><|user|>Who?<|end|><|assistant|>"},
    {"deepseek",
     {S, U, A, U2},
     4,
     "<｜begin▁of▁sentence｜>Be brief.<｜User｜> Hello\n<｜Assistant｜> Hi there <｜end▁of▁sentence｜><｜User｜>Who?"
     "<｜Assistant｜>"},
    {"deepseek-r1",
     {U2, {"assistant", "<think>\nHm.\n</think>\n\nI."}, U2},
     3,
     "<｜begin▁of▁sentence｜><｜User｜>Who?<｜Assistant｜>\n\nI.<｜end▁of▁sentence｜><｜User｜>Who?<｜Assistant｜><"
     "think>\n"},
    {"deepseek-r1-plain", {U2}, 1, "<｜begin▁of▁sentence｜><｜User｜>Who?<｜Assistant｜>"},
    {"deepseek-v3.1",
     {U2, {"assistant", "I."}, U2},
     3,
     "<｜begin▁of▁sentence｜><｜User｜>Who?<｜Assistant｜></"
     "think>I.<｜end▁of▁sentence｜><｜User｜>Who?<｜Assistant｜></think>"},
    {"deepseek-v2",
     {S, U, A, U2},
     4,
     "<｜begin▁of▁sentence｜>Be brief.\n\nUser:  Hello\n\n\nAssistant:  Hi there <｜end▁of▁sentence｜>User: Who?\n\n"
     "Assistant:"},
    {"harmony",
     {U2, {"assistant", "analysisHm.assistantfinalI."}, U2},
     3,
     "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
     "Current date: 2024-07-26\n\nReasoning: medium\n\n# Valid channels: analysis, commentary, final. Channel must be "
     "included for every "
     "message.<|end|><|start|>user<|message|>Who?<|end|><|start|>assistant<|channel|>final<|message|>I."
     "<|end|><|start|>user<|message|>Who?<|end|><|start|>assistant"},
    {"harmony",
     {S,
      U,
      {"assistant", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>I."},
      U2},
     4,
     "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
     "Current date: 2024-07-26\n\nReasoning: medium\n\n# Valid channels: analysis, commentary, final. Channel must be "
     "included for every message.<|end|><|start|>developer<|message|># Instructions\n\nBe "
     "brief.\n\n<|end|><|start|>user"
     "<|message|> "
     "Hello\n<|end|><|start|>assistant<|channel|>final<|message|>I.<|end|><|start|>user<|message|>Who?<|end|>"
     "<|start|>assistant"},
};

START_TEST(forms_are_written_as_documented) {
    for (size_t i = 0; i < sizeof form_cases / sizeof form_cases[0]; i++) {
        const struct form_case *const c = &form_cases[i];
        const struct sinq_chat_template *const chat = find_by_name(c->name);
        char *const text = render(chat, c->messages, c->count);
        ck_assert_msg(strcmp(text, c->text) == 0, "%s:\n%s\nexpected:\n%s", c->name, text, c->text);
        free(text);
        sinq_chat_template_free(chat);
    }
}
END_TEST

/* Contents, and nothing else, are literal. */
START_TEST(contents_are_literal) {
    static const char *const names[] = {"chatml", "llama2", "mistral-v3", "gemma", "deepseek", "harmony"};
    static const struct sinq_chat_message messages[] = {S, U, A, U2};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct sinq_chat_template *const chat = find_by_name(names[i]);
        struct sinq_rendered_chat r;
        struct sinq_error error;
        ck_assert_int_eq(sinq_render_chat_at(chat, true, messages, 4, JULY_26, &r, &error), SINQ_OK);
        size_t place = 0, bytes = 0;
        ck_assert_uint_eq(r.literal_count, 4);
        for (size_t k = 0; k < r.literal_count; k++) {
            ck_assert(place <= r.literal[k].begin && r.literal[k].begin <= r.literal[k].end);
            place = r.literal[k].end;
            bytes += r.literal[k].end - r.literal[k].begin;
            for (size_t at = r.literal[k].begin; at < r.literal[k].end; at++) {
                ck_assert_msg(strchr("<>[]|", r.text.data[at]) == NULL, "%s: %s", names[i], r.text.data);
            }
        }
        ck_assert(place <= r.text.size && bytes >= strlen("Be brief.HelloHi thereWho?"));
        sinq_rendered_chat_free(&r);
        sinq_chat_template_free(chat);
    }
}
END_TEST

START_TEST(white_space_is_that_of_python) {
    const struct sinq_chat_template *const chat = find_by_name("gemma");
    static const struct {
        const char *content, *trimmed;
    } cases[] = {
        {"\t\n\v\f\r a \x1c\x1d\x1e\x1f", "a"},
        {"\u00a0\u3000a\u2003\xc2\x85", "a"},
        {"\u200ba\ufeff", "\u200ba\ufeff"},
        {" ", ""},
        {"", ""},
        {"\u2028 \u2029", ""},
        {"a b", "a b"},
        {"\xc2", "\ufffd"},
        {"a\x85", "a\ufffd"},
        {"\xe3\x80", "\ufffd"},
        {"\xa0", "\ufffd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_chat_message message = {"user", cases[i].content};
        char expected[100];
        (void)snprintf(expected, sizeof expected, "<bos><start_of_turn>user\n%s<end_of_turn>\n<start_of_turn>model\n",
                       cases[i].trimmed);
        char *const text = render(chat, &message, 1);
        ck_assert_str_eq(text, expected);
        free(text);
    }
    sinq_chat_template_free(chat);
}
END_TEST

/* ---- what cannot be ---- */

START_TEST(conversations_that_cannot_be) {
    static const struct {
        const char *form, *message;
        struct sinq_chat_message messages[4];
        size_t count;
    } cases[] = {
        {"chatml", "last message", {{0}}, 0},
        {"chatml", "last message", {S}, 1},
        {"chatml", "last message", {U, A}, 2},
        {"chatml", "message 2: unknown role 'tool'", {U, {"tool", "x"}, U2}, 3},
        {"chatml", "message 2: a system message", {S, S, U}, 3},
        {"chatml", "message 3: a system message", {U, A, S, U2}, 4},
        {"mistral", "message 2 (user)", {U, U2}, 2},
        {"llama2", "message 2 (assistant)", {S, A, U}, 3},
        {"gemma", "message 1 (assistant)", {A, U}, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_chat_template *const chat = find_by_name(cases[i].form);
        struct sinq_error error;
        char *text = NULL;
        ck_assert_int_eq(sinq_render_chat(chat, cases[i].messages, cases[i].count, &text, &error), SINQ_USAGE);
        ck_assert_ptr_null(text);
        ck_assert_msg(strstr(error.message, cases[i].message) != NULL, "%s", error.message);
        sinq_chat_template_free(chat);
    }
}
END_TEST

START_TEST(forms_are_complete) {
    for (const struct sinq_chat_form *form = sinq_chat_forms; form->name != NULL; form++) {
        ck_assert_msg(form->id != NULL && form->marks[0] != NULL && form->prompt != NULL, "%s", form->name);
        ck_assert_msg(form->system.before != NULL && form->system.after != NULL, "%s", form->id);
        ck_assert_msg(form->user.before != NULL && form->user.after != NULL, "%s", form->id);
        ck_assert_msg(form->answer.before != NULL && form->answer.after != NULL, "%s", form->id);
        for (const struct sinq_chat_form *other = form + 1; other->name != NULL; other++) {
            ck_assert_str_ne(form->id, other->id);
        }
    }
}
END_TEST

START_TEST(names_of_templates) {
    static const struct {
        const char *id, *name;
    } cases[] = {{"chatml", "chatml"},     {"llama2", "llama2"},
                 {"llama3", "llama3"},     {"mistral", "mistral"},
                 {"gemma", "gemma"},       {"phi3", "phi3"},
                 {"deepseek", "deepseek"}, {"harmony", "harmony"},
                 {"llama3.1", "llama3"},   {"mistral-v3-tekken", "mistral"}};
    const struct sinq_chat_template *chat = NULL;
    struct sinq_error error;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        chat = find_by_name(cases[i].id);
        ck_assert_str_eq(sinq_chat_template_name(chat), cases[i].name);
        sinq_chat_template_free(chat);
    }
    ck_assert_int_eq(sinq_name_chat_template("vicuna", &chat, &error), SINQ_USAGE);
    ck_assert_ptr_null(chat);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_ptr_nonnull(strstr(error.message, cases[i].id));
    }
    sinq_chat_template_free(NULL);
}
END_TEST

UNIT_MAIN("chat", forms_are_written_as_documented, contents_are_literal, white_space_is_that_of_python,
          conversations_that_cannot_be, forms_are_complete, names_of_templates)
