/*
 * chat.h: how chats are written. A form is what a template writes around messages, as data; a chat template is a form with
 * what a checkpoint adds to it: its BOS and EOS and its default system message.
 */
#ifndef SINQ_TEXT_CHAT_H
#define SINQ_TEXT_CHAT_H

#include <time.h>

#include "base/text.h"
#include "text/literal.h"

/* In the strings of forms and in default system messages these stand for what is only known later. */
#define SINQ_CHAT_BOS  "\2"
#define SINQ_CHAT_EOS  "\3"
#define SINQ_CHAT_DATE "\4" /* 2024-07-26 */
#define SINQ_CHAT_DAY  "\5" /* 26 Jul 2024 */

/* What is written before and after a message's content. */
struct sinq_turn {
    const char *before, *after;
};

enum sinq_system_place {
    SINQ_SYSTEM_TURN,          /* a turn of its own */
    SINQ_SYSTEM_IN_FIRST_USER, /* inside the first user turn, before its content */
    SINQ_SYSTEM_IN_LAST_USER
};

enum {
    SINQ_TRIM_SYSTEM = 1, /* white space at both ends is dropped */
    SINQ_TRIM_USER = 2,
    SINQ_TRIM_ANSWER = 4,
    SINQ_TRIM_AFTER_SYSTEM = 8,   /* of a user's content behind a system message only the end is trimmed */
    SINQ_TRIM_THINKING_LINES = 16 /* line feeds behind dropped thinking are dropped as well */
};

struct sinq_chat_form {
    const char *name; /* of the kind */
    const char *id;   /* of the variant, unique: the kind's name for the one that --template KIND means */
    /* Recognition: a flattened template (jinja.h) that holds all of `marks` and none of `lacks`. The first form fits. */
    const char *marks[4];
    const char *lacks[4];
    const char *bos, *eos; /* where the checkpoint does not say */
    const char *opening;   /* always written first */
    struct sinq_turn system, user, answer;
    const char *prompt;         /* begins the answer */
    const char *default_system; /* where there is no system message; NULL: none */
    enum sinq_system_place system_place;
    unsigned trims;
    /* Earlier answers are written from behind the last of either on; NULL: whole. The second is for text that lost its special tokens. */
    const char *thinking_ends[2];
    bool alternates; /* after the system message turns are user, assistant, user, ... */
    bool skips_empty_system;
    const char *ends[3]; /* tokens that end an answer, besides EOS */
};

/* The table; its last entry has no name. Sorted so that the special come before the general. */
extern const struct sinq_chat_form sinq_chat_forms[];

struct sinq_chat_template {
    const struct sinq_chat_form *form;
    char *bos, *eos;       /* owned; bos is empty where the template writes none */
    char *default_system;  /* owned, or NULL */
    bool is_system_needed; /* it has a default system message that could not be read */
};

/* A template of that form with the form's own texts; NULL when out of memory. */
struct sinq_chat_template *sinq_chat_template_create(const struct sinq_chat_form *form);

/*
 * Finds the form that `source_text`, a Jinja template, has, and reads its default system message. bos and eos are the
 * checkpoint's tokens or NULL. SINQ_FAILED where it is none of the known; `path` begins the message.
 */
int sinq_recognise_chat(const char *path, const char *source_text, const char *bos, const char *eos,
                        struct sinq_chat_template **chat, struct sinq_error *error);

/* A conversation as text, and which parts of it are contents of messages. */
struct sinq_rendered_chat {
    struct sinq_text text;
    struct sinq_literal_range *literal;
    size_t literal_count, literal_capacity;
};

/* `now` is the date that templates write. */
int sinq_render_chat_at(const struct sinq_chat_template *chat, bool writes_bos,
                        const struct sinq_chat_message *messages, size_t count, time_t now,
                        struct sinq_rendered_chat *rendered, struct sinq_error *error);
void sinq_rendered_chat_free(struct sinq_rendered_chat *rendered);

/* "--template NAME" with all names, and "--raw": the ways out, for messages. */
void sinq_list_chat_forms(struct sinq_text *text);

/* What a checkpoint says of its chats: the template's own text, and its BOS and EOS. A text without data was not there. */
struct sinq_chat_texts {
    struct sinq_text chat, bos, eos;
};
/* Free them in any case. */
int sinq_find_chat_texts(const struct sinq_source *source, struct sinq_chat_texts *texts, struct sinq_error *error);
void sinq_free_chat_texts(struct sinq_chat_texts *texts);

#endif
