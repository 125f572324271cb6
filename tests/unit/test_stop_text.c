/* test_stop_text.c: texts that end an answer, wherever its pieces are cut; and how much of a conversation was fed before. */
#include <string.h>

/* The program's files are no library: they are compiled into the test. */
#include "cmd/memory.c"
#include "cmd/stop_text.c"
#include "cmd/token_prefix.h"
#include "unit.h"

#define MOST 200

struct shown {
    char text[MOST];
    size_t size;
    bool is_stopped;
};

static void show(struct shown *shown, const char *text, size_t size) {
    ck_assert_uint_lt(shown->size + size, MOST);
    if (size > 0) memcpy(shown->text + shown->size, text, size);
    shown->size += size;
    shown->text[shown->size] = '\0';
}

/* Feeds `text` in pieces of `piece` bytes. */
static struct shown feed(struct sinq_stop_texts *stop, const char *text, size_t piece) {
    struct shown shown = {.size = 0};
    const char *out;
    size_t size;
    for (size_t at = 0; at < strlen(text) && !shown.is_stopped; at += piece) {
        const size_t rest = strlen(text) - at;
        shown.is_stopped = sinq_stop_add(stop, text + at, piece < rest ? piece : rest, &out, &size);
        show(&shown, out, size);
    }
    sinq_stop_end(stop, &out, &size);
    show(&shown, out, size);
    return shown;
}

START_TEST(cut_anywhere) {
    static const struct {
        const char *name, *stops[4], *text, *shown;
        bool is_stopped;
    } cases[] = {
        {"no stop texts", {NULL}, "abc", "abc", false},
        {"nothing to stop at", {"xyz"}, "abcabc", "abcabc", false},
        {"in the middle", {"xyz"}, "abcxyzdef", "abc", true},
        {"at the beginning", {"xyz"}, "xyzdef", "", true},
        {"at the end", {"xyz"}, "abcxyz", "abc", true},
        {"one byte", {"\n"}, "a line\nanother", "a line", true},
        {"begun and broken off", {"xyz"}, "axybxyc", "axybxyc", false},
        {"begun at the end", {"xyz"}, "abcxy", "abcxy", false},
        {"begun again inside itself", {"aab"}, "aaaab", "aa", true},
        {"overlapping itself", {"abab"}, "aababab", "a", true},
        {"the first of two", {"def", "bcd"}, "abcdef", "a", true},
        {"complete first, though begun later", {"abcd", "bc"}, "xabcd", "xa", true},
        {"the longest of those that end together", {"bc", "abc"}, "xabcd", "x", true},
        {"one the beginning of another", {"abcd", "ab"}, "xabcd", "x", true},
        {"several letters of several bytes", {"\u00e9\u00e8"}, "a\u00e9\u00e9\u00e8b", "a\u00e9", true},
        {"longer than everything", {"abcdefghijkl"}, "abcdefgh", "abcdefgh", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_stop_texts stop = {.texts = cases[i].stops};
        while (stop.count < 4 && cases[i].stops[stop.count] != NULL) stop.count++;
        for (size_t piece = 1; piece <= strlen(cases[i].text); piece++) {
            /* The same matcher again and again: each answer begins anew. */
            const struct shown shown = feed(&stop, cases[i].text, piece);
            ck_assert_msg(shown.is_stopped == cases[i].is_stopped, "%s, pieces of %zu: stopped %d", cases[i].name,
                          piece, shown.is_stopped);
            ck_assert_msg(strcmp(shown.text, cases[i].shown) == 0, "%s, pieces of %zu: shown '%s'", cases[i].name,
                          piece, shown.text);
        }
        sinq_stop_free(&stop);
    }
}
END_TEST

/* Only what may still become a stop text is held back, and no longer than needed. */
START_TEST(held_back) {
    static const char *const texts[] = {"</end>"};
    static const struct {
        const char *piece, *shown;
    } steps[] = {{"a", "a"}, {"b<", "b"}, {"/", ""}, {"en", ""}, {"x", "</enx"}, {"<</", "<"}, {"", ""}, {"end", ""}};
    struct sinq_stop_texts stop = {.texts = texts, .count = 1};
    const char *out;
    size_t size;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        ck_assert(!sinq_stop_add(&stop, steps[i].piece, strlen(steps[i].piece), &out, &size));
        ck_assert_msg(size == strlen(steps[i].shown) && memcmp(out, steps[i].shown, size) == 0, "step %zu: '%.*s'", i,
                      (int)size, out);
    }
    ck_assert(sinq_stop_add(&stop, ">more", 5, &out, &size));
    ck_assert_uint_eq(size, 0);
    sinq_stop_end(&stop, &out, &size);
    ck_assert_uint_eq(size, 0);
    sinq_stop_free(&stop);
}
END_TEST

/* A NUL is a byte like others. */
START_TEST(zero_bytes) {
    static const char *const texts[] = {"x"};
    struct sinq_stop_texts stop = {.texts = texts, .count = 1};
    const char *out;
    size_t size;
    ck_assert(sinq_stop_add(&stop, "a\0bxc", 5, &out, &size));
    ck_assert_uint_eq(size, 3);
    ck_assert_mem_eq(out, "a\0b", 3);
    sinq_stop_free(&stop);
}
END_TEST

START_TEST(common_tokens) {
    static const struct {
        const char *name;
        int32_t fed[4];
        size_t fed_count;
        int32_t prompt[5];
        size_t count, common;
    } cases[] = {
        {"nothing fed", {0}, 0, {1, 2}, 2, 0},
        {"goes on", {1, 2, 3}, 3, {1, 2, 3, 4, 5}, 5, 3},
        {"differs in the middle", {1, 2, 3}, 3, {1, 9, 3, 4}, 4, 1},
        {"differs at once", {1, 2}, 2, {3, 2}, 2, 0},
        {"the same: the last is fed again", {1, 2, 3}, 3, {1, 2, 3}, 3, 2},
        {"shorter than what was fed", {1, 2, 3, 4}, 4, {1, 2}, 2, 1},
        {"one token", {1}, 1, {1}, 1, 0},
        {"no prompt", {1}, 1, {0}, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t common =
            sinq_count_common_tokens(cases[i].fed, cases[i].fed_count, cases[i].prompt, cases[i].count);
        ck_assert_msg(common == cases[i].common, "%s: %zu", cases[i].name, common);
    }
}
END_TEST

UNIT_MAIN("stop_text", cut_anywhere, held_back, zero_bytes, common_tokens)
