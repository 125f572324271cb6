#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/unicode.h"

/* ---- templates ---- */

struct sinq_chat_template *sinq_chat_template_create(const struct sinq_chat_form *form) {
    struct sinq_chat_template *const chat = calloc(1, sizeof *chat);
    if (chat == NULL) return NULL;
    chat->form = form;
    chat->bos = strdup(form->bos != NULL ? form->bos : "");
    chat->eos = strdup(form->eos != NULL ? form->eos : "");
    chat->default_system = form->default_system != NULL ? strdup(form->default_system) : NULL;
    if (chat->bos != NULL && chat->eos != NULL && (chat->default_system != NULL || form->default_system == NULL)) {
        return chat;
    }
    sinq_chat_template_free(chat);
    return NULL;
}

void sinq_chat_template_free(const struct sinq_chat_template *chat) {
    if (chat == NULL) return;
    free(chat->bos);
    free(chat->eos);
    free(chat->default_system);
    free((void *)(uintptr_t)chat); /* made by create, const for its users alone */
}

const char *sinq_chat_template_name(const struct sinq_chat_template *chat) { return chat->form->name; }

static void list_ids(struct sinq_text *text, bool are_kinds) {
    const char *separator = "";
    for (const struct sinq_chat_form *form = sinq_chat_forms; form->name != NULL; form++) {
        if ((strcmp(form->id, form->name) == 0) != are_kinds) continue;
        sinq_text_print(text, "%s%s", separator, form->id);
        separator = ", ";
    }
}

void sinq_list_chat_forms(struct sinq_text *text) {
    sinq_text_add(text, "--template NAME (");
    list_ids(text, true);
    sinq_text_add(text, "; variants ");
    list_ids(text, false);
    sinq_text_add(text, ") or --raw");
}

int sinq_name_chat_template(const char *name, const struct sinq_chat_template **chat, struct sinq_error *error) {
    *chat = NULL;
    for (const struct sinq_chat_form *form = sinq_chat_forms; form->name != NULL; form++) {
        if (strcmp(form->id, name) != 0) continue;
        *chat = sinq_chat_template_create(form);
        return *chat != NULL ? SINQ_OK : sinq_fail_memory(error, "a chat template", sizeof **chat);
    }
    struct sinq_text list = {0};
    sinq_list_chat_forms(&list);
    const int status = sinq_fail(error, SINQ_USAGE, "unknown chat template '%s': expected %s", name,
                                 list.data != NULL ? list.data : "another");
    sinq_text_free(&list);
    return status;
}

/* ---- conversations ---- */

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_UNKNOWN };

static enum role find_role(const char *name) {
    static const char *const names[] = {"system", "user", "assistant"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) return (enum role)i;
    }
    return ROLE_UNKNOWN;
}

static int check_messages(const struct sinq_chat_template *chat, const struct sinq_chat_message *messages, size_t count,
                          struct sinq_error *error) {
    enum role before = ROLE_SYSTEM;
    for (size_t i = 0; i < count; i++) {
        const enum role role = find_role(messages[i].role);
        if (role == ROLE_UNKNOWN) {
            return sinq_fail(error, SINQ_USAGE, "message %zu: unknown role '%s', expected system, user or assistant",
                             i + 1, messages[i].role);
        }
        if (role == ROLE_SYSTEM && i > 0) {
            return sinq_fail(error, SINQ_USAGE, "message %zu: a system message can only come first, and once", i + 1);
        }
        if (chat->form->alternates && role != ROLE_SYSTEM && (role == ROLE_USER) == (before == ROLE_USER)) {
            return sinq_fail(error, SINQ_USAGE,
                             "message %zu (%s): in a %s chat, user and assistant take turns and the user begins", i + 1,
                             messages[i].role, chat->form->name);
        }
        before = role;
    }
    if (count == 0 || before != ROLE_USER) {
        return sinq_fail(error, SINQ_USAGE, "the last message must be the user's");
    }
    if (chat->is_system_needed && find_role(messages[0].role) != ROLE_SYSTEM) {
        return sinq_fail(error, SINQ_USAGE,
                         "the default system message of this chat template cannot be read: give one with --system");
    }
    return SINQ_OK;
}

/* ---- rendering ---- */

struct render {
    const struct sinq_chat_template *chat;
    struct sinq_rendered_chat *out;
    const char *bos;
    char date[16], day[16];
};

static void write_dates(struct render *r, time_t now) {
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm t;
    if (localtime_r(&now, &t) == NULL) t = (struct tm){.tm_mday = 1, .tm_year = 70};
    (void)strftime(r->date, sizeof r->date, "%Y-%m-%d", &t);
    (void)strftime(r->day, sizeof r->day, "%d ... %Y", &t);
    memcpy(r->day + 3, months[t.tm_mon], 3); /* strftime's would be the locale's */
}

/* What a placeholder stands for, NULL for all other bytes. */
static const char *find_meaning(const struct render *r, char c) {
    if (c == SINQ_CHAT_BOS[0]) return r->bos;
    if (c == SINQ_CHAT_EOS[0]) return r->chat->eos;
    if (c == SINQ_CHAT_DATE[0]) return r->date;
    if (c == SINQ_CHAT_DAY[0]) return r->day;
    return NULL;
}

/* Template text, with what its placeholders stand for. */
static void add_template(struct render *r, const char *text) {
    for (; *text != '\0'; text++) {
        const char *const meaning = find_meaning(r, *text);
        if (meaning != NULL) {
            sinq_text_add(&r->out->text, meaning);
        } else {
            sinq_text_add_bytes(&r->out->text, text, 1);
        }
    }
}

static void note_literal(struct sinq_rendered_chat *out, size_t begin) {
    if (out->text.failed) return;
    if (out->literal_count == out->literal_capacity) {
        const size_t capacity = 2 * out->literal_capacity + 8;
        struct sinq_literal_range *const more = realloc(out->literal, capacity * sizeof *more);
        if (more == NULL) {
            sinq_text_free(&out->text);
            out->text.failed = true;
            return;
        }
        out->literal = more;
        out->literal_capacity = capacity;
    }
    out->literal[out->literal_count++] = (struct sinq_literal_range){.begin = begin, .end = out->text.size};
}

/* What is not UTF-8 becomes U+FFFD. */
static void add_literal(struct render *r, const char *text, size_t size) {
    struct sinq_utf8_filter filter = {0};
    const size_t begin = r->out->text.size;
    sinq_filter_utf8(&filter, text, size, &r->out->text);
    sinq_finish_utf8(&filter, &r->out->text);
    note_literal(r->out, begin);
}

/* Bytes of the white space character at `text`, 0 where there is none: what Python's str.strip() takes away. */
static size_t measure_space(const unsigned char *text, size_t size) {
    if (size >= 1 && ((text[0] >= 9 && text[0] <= 13) || (text[0] >= 28 && text[0] <= 32))) return 1;
    if (size >= 2 && text[0] == 0xc2 && (text[1] == 0x85 || text[1] == 0xa0)) return 2;
    if (size < 3 || text[0] < 0xe1 || text[0] > 0xe3) return 0;
    const unsigned code = (text[0] & 15u) << 12 | (text[1] & 63u) << 6 | (text[2] & 63u);
    const bool is_space = code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
                          code == 0x202f || code == 0x205f || code == 0x3000;
    return is_space && (text[1] & 0xc0u) == 0x80 && (text[2] & 0xc0u) == 0x80 ? 3 : 0;
}

static const char *trim_front(const char *text, const char *end) {
    size_t bytes;
    while ((bytes = measure_space((const unsigned char *)text, (size_t)(end - text))) > 0) text += bytes;
    return text;
}

static const char *trim_back(const char *text, const char *end) {
    for (bool trimmed = true; trimmed;) {
        trimmed = false;
        for (size_t bytes = 1; bytes <= 3 && bytes <= (size_t)(end - text) && !trimmed; bytes++) {
            trimmed = measure_space((const unsigned char *)(end - bytes), bytes) == bytes;
            if (trimmed) end -= bytes;
        }
    }
    return end;
}

static void add_content(struct render *r, const char *text, bool trims_front, bool trims_back) {
    const char *end = text + strlen(text);
    if (trims_front) text = trim_front(text, end);
    if (trims_back) end = trim_back(text, end);
    add_literal(r, text, (size_t)(end - text));
}

static void add_system(struct render *r, const struct sinq_chat_message *message) {
    const struct sinq_chat_form *const form = r->chat->form;
    if (message != NULL && message->content[0] == '\0' && form->skips_empty_system) return;
    add_template(r, form->system.before);
    if (message != NULL) {
        const bool trims = (form->trims & SINQ_TRIM_SYSTEM) != 0;
        add_content(r, message->content, trims, trims);
    } else {
        const size_t begin = r->out->text.size;
        add_template(r, r->chat->default_system);
        note_literal(r->out, begin);
    }
    add_template(r, form->system.after);
}

static void add_user(struct render *r, const struct sinq_chat_message *message, const struct sinq_chat_message *system,
                     bool has_system) {
    const struct sinq_chat_form *const form = r->chat->form;
    const bool trims = (form->trims & SINQ_TRIM_USER) != 0;
    add_template(r, form->user.before);
    if (has_system) add_system(r, system);
    add_content(r, message->content, trims && !(has_system && (form->trims & SINQ_TRIM_AFTER_SYSTEM) != 0), trims);
    add_template(r, form->user.after);
}

/* Without what the model thought before it. */
static const char *skip_thinking(const struct sinq_chat_form *form, const char *text) {
    const char *answer = text;
    for (unsigned i = 0; i < sizeof form->thinking_ends / sizeof form->thinking_ends[0]; i++) {
        const char *const mark = form->thinking_ends[i];
        if (mark == NULL) break;
        for (const char *end = strstr(answer, mark); end != NULL; end = strstr(answer, mark)) {
            answer = end + strlen(mark);
        }
    }
    const bool skips_lines = answer != text && (form->trims & SINQ_TRIM_THINKING_LINES) != 0;
    return skips_lines ? answer + strspn(answer, "\n") : answer;
}

static void add_answer(struct render *r, const struct sinq_chat_message *message) {
    const struct sinq_chat_form *const form = r->chat->form;
    const bool trims = (form->trims & SINQ_TRIM_ANSWER) != 0;
    add_template(r, form->answer.before);
    add_content(r, skip_thinking(form, message->content), trims, trims);
    add_template(r, form->answer.after);
}

static void add_turns(struct render *r, const struct sinq_chat_message *messages, size_t count) {
    const struct sinq_chat_form *const form = r->chat->form;
    const struct sinq_chat_message *const system = find_role(messages[0].role) == ROLE_SYSTEM ? messages : NULL;
    const size_t first = system != NULL ? 1 : 0;
    const bool has_system = system != NULL || r->chat->default_system != NULL;
    const size_t system_at = form->system_place == SINQ_SYSTEM_IN_LAST_USER ? count - 1 : first;
    add_template(r, form->opening != NULL ? form->opening : "");
    if (has_system && form->system_place == SINQ_SYSTEM_TURN) add_system(r, system);
    for (size_t i = first; i < count; i++) {
        if (find_role(messages[i].role) == ROLE_ASSISTANT) {
            add_answer(r, &messages[i]);
        } else {
            add_user(r, &messages[i], system, has_system && form->system_place != SINQ_SYSTEM_TURN && i == system_at);
        }
    }
    add_template(r, form->prompt);
}

int sinq_render_chat_at(const struct sinq_chat_template *chat, bool writes_bos,
                        const struct sinq_chat_message *messages, size_t count, time_t now,
                        struct sinq_rendered_chat *rendered, struct sinq_error *error) {
    *rendered = (struct sinq_rendered_chat){0};
    const int status = check_messages(chat, messages, count, error);
    if (status != SINQ_OK) return status;
    struct render r = {.chat = chat, .out = rendered, .bos = writes_bos ? chat->bos : ""};
    write_dates(&r, now);
    add_turns(&r, messages, count);
    if (!rendered->text.failed) return SINQ_OK;
    sinq_rendered_chat_free(rendered);
    return sinq_fail_memory(error, "a chat", 0);
}

void sinq_rendered_chat_free(struct sinq_rendered_chat *rendered) {
    sinq_text_free(&rendered->text);
    free(rendered->literal);
    *rendered = (struct sinq_rendered_chat){0};
}

int sinq_render_chat(const struct sinq_chat_template *chat, const struct sinq_chat_message *messages, size_t count,
                     char **text, struct sinq_error *error) {
    struct sinq_rendered_chat rendered;
    *text = NULL;
    const int status = sinq_render_chat_at(chat, true, messages, count, time(NULL), &rendered, error);
    if (status != SINQ_OK) return status;
    *text = rendered.text.data;
    rendered.text.data = NULL;
    sinq_rendered_chat_free(&rendered);
    return SINQ_OK;
}
