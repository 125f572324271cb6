/* chat_find.c: a checkpoint's own chat template: where it lies, and which of the known forms it has. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/chat.h"
#include "text/jinja.h"
#include "text/sidecar.h"

#define MAX_TEMPLATE ((size_t)1 << 20)
#define MAX_TOKEN    ((size_t)1000)
#define MAX_KEY      ((size_t)1000)

/* ---- recognition ---- */

static bool fits(const struct sinq_chat_form *form, const char *flat) {
    for (unsigned i = 0; i < sizeof form->marks / sizeof form->marks[0]; i++) {
        if (form->marks[i] != NULL && strstr(flat, form->marks[i]) == NULL) return false;
    }
    for (unsigned i = 0; i < sizeof form->lacks / sizeof form->lacks[0]; i++) {
        if (form->lacks[i] != NULL && strstr(flat, form->lacks[i]) != NULL) return false;
    }
    return true;
}

static bool replace(char **text, const char *value) {
    char *const copy = strdup(value);
    if (copy == NULL) return false;
    free(*text);
    *text = copy;
    return true;
}

/* Takes over what the template and the checkpoint say besides the form. */
static bool adopt(struct sinq_chat_template *chat, const char *flat, const char *bos, const char *eos) {
    const struct sinq_chat_form *const form = chat->form;
    const bool is_turn = form->system_place == SINQ_SYSTEM_TURN;
    struct sinq_text system = {0};
    bool is_whole = (bos == NULL || replace(&chat->bos, bos)) && (eos == NULL || replace(&chat->eos, eos));
    const bool writes_bos =
        strstr(flat, "bos_token") != NULL || (is_whole && chat->bos[0] != '\0' && strstr(flat, chat->bos) != NULL);
    if (!writes_bos) is_whole = is_whole && replace(&chat->bos, "");
    const int found =
        sinq_find_default_system(flat, is_turn ? form->system.before : "", form->system.after, SINQ_CHAT_DATE, &system);
    if (found == 1 && system.data != NULL) is_whole = is_whole && replace(&chat->default_system, system.data);
    chat->is_system_needed = found < 0;
    is_whole = is_whole && !system.failed;
    sinq_text_free(&system);
    return is_whole;
}

int sinq_recognise_chat(const char *path, const char *source_text, const char *bos, const char *eos,
                        struct sinq_chat_template **chat, struct sinq_error *error) {
    struct sinq_text flat = {0};
    *chat = NULL;
    sinq_flatten_jinja(source_text, &flat);
    if (flat.failed) return sinq_fail_memory(error, "a chat template", strlen(source_text));
    const struct sinq_chat_form *form = sinq_chat_forms;
    while (form->name != NULL && !fits(form, flat.data)) form++;
    int status = SINQ_OK;
    if (form->name == NULL) {
        struct sinq_text list = {0};
        sinq_list_chat_forms(&list);
        status = sinq_fail(error, SINQ_FAILED, "%s: its chat template is none of those known: give %s", path,
                           list.data != NULL ? list.data : "--template NAME or --raw");
        sinq_text_free(&list);
    } else {
        *chat = sinq_chat_template_create(form);
        if (*chat == NULL || !adopt(*chat, flat.data, bos, eos)) {
            sinq_chat_template_free(*chat);
            *chat = NULL;
            status = sinq_fail_memory(error, "a chat template", flat.size);
        }
    }
    sinq_text_free(&flat);
    return status;
}

/* ---- files ---- */

/* "text" or {"content": "text", ...} or anything else, which counts as none. */
static void read_token(struct sinq_json *json, struct sinq_text *token) {
    const char first = sinq_json_peek(json);
    if (first == '"') {
        (void)sinq_json_read_string(json, MAX_TOKEN, token);
        return;
    }
    if (first != '{') {
        (void)sinq_json_skip(json);
        return;
    }
    struct sinq_text key = {0};
    bool is_first = true;
    if (sinq_json_begin_object(json)) {
        while (sinq_json_next_key(json, &is_first, MAX_KEY, &key)) {
            const bool is_content = strcmp(key.data, "content") == 0 && sinq_json_peek(json) == '"';
            if (!(is_content ? sinq_json_read_string(json, MAX_TOKEN, token) : sinq_json_skip(json))) break;
        }
    }
    sinq_text_free(&key);
}

/* {"name": ..., "template": ...}: one of several. "default" wins, else the first. */
static void read_named_template(struct sinq_json *json, struct sinq_text *chat) {
    struct sinq_text key = {0}, name = {0}, text = {0};
    bool is_first = true;
    if (sinq_json_begin_object(json)) {
        while (sinq_json_next_key(json, &is_first, MAX_KEY, &key)) {
            const bool is_text = sinq_json_peek(json) == '"';
            struct sinq_text *const target = !is_text                            ? NULL
                                             : strcmp(key.data, "name") == 0     ? &name
                                             : strcmp(key.data, "template") == 0 ? &text
                                                                                 : NULL;
            if (!(target != NULL ? sinq_json_read_string(json, MAX_TEMPLATE, target) : sinq_json_skip(json))) break;
        }
    }
    const bool is_default = name.data != NULL && strcmp(name.data, "default") == 0;
    if (text.data != NULL && (chat->data == NULL || is_default)) {
        const struct sinq_text old = *chat;
        *chat = text;
        text = old;
    }
    sinq_text_free(&key);
    sinq_text_free(&name);
    sinq_text_free(&text);
}

static void read_template(struct sinq_json *json, struct sinq_text *chat) {
    const char first = sinq_json_peek(json);
    if (first == '"') {
        (void)sinq_json_read_string(json, MAX_TEMPLATE, chat);
    } else if (first == '[' && sinq_json_begin_array(json)) {
        bool is_first = true;
        while (sinq_json_next_element(json, &is_first)) {
            if (sinq_json_peek(json) == '{') {
                read_named_template(json, chat);
            } else {
                (void)sinq_json_skip(json);
            }
            if (json->has_failed) break;
        }
    } else {
        (void)sinq_json_skip(json);
    }
}

/* tokenizer_config.json, or chat_template.json, which has the same key. */
static int read_json(const char *what, const char *text, size_t size, struct sinq_chat_texts *findings,
                     bool takes_template, struct sinq_error *error) {
    struct sinq_json json;
    struct sinq_text key = {0};
    bool is_first = true;
    sinq_json_open_text(&json, what, text, size, error);
    json.allow_nonfinite = true;
    if (sinq_json_begin_object(&json)) {
        while (sinq_json_next_key(&json, &is_first, MAX_KEY, &key)) {
            if (strcmp(key.data, "chat_template") == 0 && takes_template) {
                read_template(&json, &findings->chat);
            } else if (strcmp(key.data, "bos_token") == 0) {
                read_token(&json, &findings->bos);
            } else if (strcmp(key.data, "eos_token") == 0) {
                read_token(&json, &findings->eos);
            } else {
                (void)sinq_json_skip(&json);
            }
            if (json.has_failed) break;
        }
        if (!json.has_failed) (void)sinq_json_end(&json);
    }
    const int status = json.has_failed ? SINQ_FAILED : SINQ_OK;
    sinq_text_free(&key);
    sinq_json_close(&json);
    return status;
}

static int take_jinja(void *user, const char *what, const char *text, size_t size, struct sinq_error *error) {
    struct sinq_chat_texts *const findings = user;
    if (size > MAX_TEMPLATE || memchr(text, '\0', size) != NULL || !sinq_is_utf8(text, size)) {
        return sinq_fail(error, SINQ_FAILED, "%s: expected at most %zu bytes of UTF-8 text", what, MAX_TEMPLATE);
    }
    sinq_text_add_bytes(&findings->chat, text, size);
    return SINQ_OK;
}

static int take_json(void *user, const char *what, const char *text, size_t size, struct sinq_error *error) {
    struct sinq_chat_texts *const findings = user;
    return read_json(what, text, size, findings, findings->chat.data == NULL, error);
}

/* A file of its own comes before the key in tokenizer_config.json, as in transformers. */
int sinq_find_chat_texts(const struct sinq_source *source, struct sinq_chat_texts *texts, struct sinq_error *error) {
    *texts = (struct sinq_chat_texts){.chat = {0}};
    int status = sinq_read_sidecar(source, "chat_template.jinja", take_jinja, texts, error);
    if (status == SINQ_OK) status = sinq_read_sidecar(source, "tokenizer_config.json", take_json, texts, error);
    if (status == SINQ_OK && texts->chat.data == NULL) {
        status = sinq_read_sidecar(source, "chat_template.json", take_json, texts, error);
    }
    if (status == SINQ_OK && (texts->chat.failed || texts->bos.failed || texts->eos.failed)) {
        status = sinq_fail_memory(error, "a chat template", MAX_TEMPLATE);
    }
    return status;
}

void sinq_free_chat_texts(struct sinq_chat_texts *texts) {
    sinq_text_free(&texts->chat);
    sinq_text_free(&texts->bos);
    sinq_text_free(&texts->eos);
}

static int fail_absent(const struct sinq_source *source, struct sinq_error *error) {
    struct sinq_text list = {0};
    sinq_list_chat_forms(&list);
    const int status = sinq_fail(error, SINQ_FAILED, "%s: it has no chat template of its own: give %s",
                                 sinq_source_path(source), list.data != NULL ? list.data : "--template NAME or --raw");
    sinq_text_free(&list);
    return status;
}

int sinq_find_chat_template(const struct sinq_source *source, const struct sinq_chat_template **chat,
                            struct sinq_error *error) {
    struct sinq_chat_texts texts;
    struct sinq_chat_template *found = NULL;
    int status = sinq_find_chat_texts(source, &texts, error);
    if (status == SINQ_OK && texts.chat.data == NULL) status = fail_absent(source, error);
    if (status == SINQ_OK) {
        status = sinq_recognise_chat(sinq_source_path(source), texts.chat.data, texts.bos.data, texts.eos.data, &found,
                                     error);
    }
    sinq_free_chat_texts(&texts);
    *chat = found;
    return status;
}
