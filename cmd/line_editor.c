#include "line_editor.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "memory.h"
#include "printable.h"
#include "terminal.h"

#define HISTORY_SIZE 1000
#define REPLACEMENT  0xfffd

struct sinq_line_editor {
    EditLine *edit;
    History *history;
    char *line; /* as typed so far, over several lines */
    size_t size, capacity;
    bool is_dropped; /* the line in hand, by Ctrl-C */
};

static char *choose_prompt(EditLine *edit) {
    static char first[] = "> ", next[] = ". ";
    struct sinq_line_editor *editor = NULL;
    el_get(edit, EL_CLIENTDATA, &editor);
    return editor == NULL || editor->size == 0 ? first : next;
}

/* The terminal as it is now: its size, and how it hands on what is typed, which a shell may have changed. Draws the line anew. */
static void adopt_terminal(EditLine *edit) {
    putchar('\r'); /* where el_resize believes the cursor to be */
    fflush(stdout);
    el_set(edit, EL_PREP_TERM, 0);
    el_set(edit, EL_PREP_TERM, 1);
    el_resize(edit);
    el_set(edit, EL_REFRESH);
}

/* One byte of standard input: 1, 0 at its end, -1 after a signal. poll, unlike read, is never restarted after one. */
static int read_byte(EditLine *edit, char *byte) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        if (sinq_take_terminal_change()) adopt_terminal(edit);
        if (sinq_is_interrupted() || sinq_caught_signal() != 0) return -1;
        if (poll(&input, 1, -1) < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        const ssize_t got = read(STDIN_FILENO, byte, 1);
        if (got >= 0) return (int)got;
        if (errno != EINTR && errno != EAGAIN) return -1;
    }
}

/* What libedit reads characters with: UTF-8, whatever the locale. */
static int read_character(EditLine *edit, wchar_t *character) {
    char bytes[5] = "";
    uint32_t point = 0;
    int got = read_byte(edit, bytes);
    if (got == 1) {
        const unsigned char lead = (unsigned char)bytes[0];
        const int length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        for (int i = 1; i < length && got == 1; i++) got = read_byte(edit, bytes + i);
    }
    if (got == 1) {
        if (sinq_decode_utf8(bytes, &point) == 0 && bytes[0] != '\0') point = REPLACEMENT;
        *character = (wchar_t)point;
        return 1;
    }
    struct sinq_line_editor *editor = NULL;
    el_get(edit, EL_CLIENTDATA, &editor);
    const LineInfo *const info = el_line(edit);
    if (editor != NULL) editor->is_dropped = got < 0 && (editor->size > 0 || info->lastchar > info->buffer);
    return got;
}

int sinq_open_line_editor(struct sinq_line_editor **out, struct sinq_error *error) {
    struct sinq_line_editor *const editor = sinq_allocate(1, sizeof *editor);
    HistEvent event;
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    editor->edit = el_init("sinq", stdin, stdout, stderr);
    editor->history = history_init();
    if (editor->edit == NULL || editor->history == NULL) {
        sinq_close_line_editor(editor);
        snprintf(error->message, sizeof error->message, "the terminal cannot be used for editing lines");
        error->status = SINQ_FAILED;
        return SINQ_FAILED;
    }
    history(editor->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(editor->history, &event, H_SETUNIQUE, 1);
    el_set(editor->edit, EL_CLIENTDATA, editor);
    el_set(editor->edit, EL_PROMPT, choose_prompt);
    el_set(editor->edit, EL_EDITOR, "emacs");
    el_set(editor->edit, EL_HIST, history, editor->history);
    el_set(editor->edit, EL_GETCFN, read_character);
    el_set(editor->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(editor->edit, NULL);
    *out = editor;
    return SINQ_OK;
}

void sinq_close_line_editor(struct sinq_line_editor *editor) {
    if (editor == NULL) return;
    if (editor->edit != NULL) el_end(editor->edit);
    if (editor->history != NULL) history_end(editor->history);
    free(editor->line);
    free(editor);
}

static void add_text(struct sinq_line_editor *editor, const char *text, size_t size) {
    sinq_reserve(&editor->line, &editor->capacity, editor->size + size + 1, 1);
    memcpy(editor->line + editor->size, text, size);
    editor->size += size;
    editor->line[editor->size] = '\0';
}

static void remember(struct sinq_line_editor *editor, const char *line) {
    HistEvent event;
    if (strspn(line, " \t\n") != strlen(line)) history(editor->history, &event, H_ENTER, line);
}

enum sinq_line_result sinq_read_line(struct sinq_line_editor *editor, const char **line) {
    editor->size = 0;
    for (;;) {
        int count = 0;
        editor->is_dropped = false;
        el_resize(editor->edit);
        const char *const typed = el_gets(editor->edit, &count);
        if (typed == NULL || count <= 0) {
            putchar('\n');
            (void)sinq_take_interrupt();
            return editor->is_dropped && sinq_caught_signal() == 0 ? SINQ_LINE_DROPPED : SINQ_LINE_LEFT;
        }
        size_t size = (size_t)count;
        remember(editor, typed);
        if (size > 0 && typed[size - 1] == '\n') size--;
        const bool goes_on = size > 0 && typed[size - 1] == '\\';
        add_text(editor, typed, goes_on ? size - 1 : size);
        if (!goes_on) break;
        add_text(editor, "\n", 1);
    }
    *line = editor->line;
    return SINQ_LINE_READ;
}
