#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/regex_syntax.h"

#define LONGEST_PATTERN ((size_t)16384)
#define MATCH_LIMIT     10000000u /* steps of one match */
#define HEAP_KILOBYTES  65536u    /* of one match without the compiler */
#define SMALLEST_STACK  32768u
#define LARGEST_STACK   4194304u

struct sinq_regex {
    pcre2_code *code;
    bool is_compiled;  /* to machine code */
    char *description; /* "tokenizer.json: pre_tokenizer: the pattern ..." */
};

/* ---- compiling ---- */

static int describe(struct sinq_regex *regex, const char *path, const char *where, const char *pattern, size_t size,
                    struct sinq_error *error) {
    struct sinq_text text = {0};
    sinq_text_print(&text, "%.300s: %.100s: the pattern \"%.*s%s\"", path, where, size < 200 ? (int)size : 200, pattern,
                    size < 200 ? "" : "...");
    if (text.failed) return sinq_fail_memory(error, "a regular expression", size);
    regex->description = text.data;
    return SINQ_OK;
}

static int compile_code(struct sinq_regex *regex, const struct sinq_text *pattern, struct sinq_error *error) {
    pcre2_compile_context *const context = pcre2_compile_context_create(NULL);
    if (context == NULL) return sinq_fail_memory(error, "a regular expression", pattern->size);
    int number;
    PCRE2_SIZE offset;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    regex->code = pcre2_compile((PCRE2_SPTR)pattern->data, pattern->size, options, &number, &offset, context);
    pcre2_compile_context_free(context);
    if (regex->code != NULL) {
        regex->is_compiled = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0;
        return SINQ_OK;
    }
    PCRE2_UCHAR reason[128];
    if (pcre2_get_error_message(number, reason, sizeof reason) < 0) strcpy((char *)reason, "invalid");
    return sinq_fail(error, SINQ_FAILED, "%s: %s", regex->description, (const char *)reason);
}

int sinq_compile_regex(const char *path, const char *where, const char *pattern, size_t size,
                       struct sinq_regex **result, struct sinq_error *error) {
    if (size > LONGEST_PATTERN) {
        return sinq_fail(error, SINQ_FAILED, "%.300s: %.100s: a pattern of %zu bytes, at most %zu were expected", path,
                         where, size, LONGEST_PATTERN);
    }
    struct sinq_regex *const regex = calloc(1, sizeof *regex);
    struct sinq_text translated = {0};
    sinq_text_add(&translated, "");
    if (regex == NULL) return sinq_fail_memory(error, "a regular expression", sizeof *regex);
    int status = describe(regex, path, where, pattern, size, error);
    if (status == SINQ_OK) {
        const char *const wrong = sinq_translate_regex(pattern, size, &translated);
        if (wrong != NULL) {
            status = sinq_fail(error, SINQ_FAILED, "%s: %s is not supported", regex->description, wrong);
        } else if (translated.failed) {
            status = sinq_fail_memory(error, "a regular expression", size);
        } else {
            status = compile_code(regex, &translated, error);
        }
    }
    sinq_text_free(&translated);
    if (status == SINQ_OK) {
        *result = regex;
    } else {
        sinq_regex_free(regex);
    }
    return status;
}

void sinq_regex_free(struct sinq_regex *regex) {
    if (regex == NULL) return;
    pcre2_code_free(regex->code);
    free(regex->description);
    free(regex);
}

/* ---- matching ---- */

static int open_scratch(const struct sinq_regex *regex, struct sinq_regex_scratch *scratch, struct sinq_error *error) {
    scratch->match_data = pcre2_match_data_create_from_pattern(regex->code, NULL);
    scratch->match_context = pcre2_match_context_create(NULL);
    if (scratch->match_data == NULL || scratch->match_context == NULL) {
        return sinq_fail_memory(error, "a regular expression", SMALLEST_STACK);
    }
    pcre2_set_match_limit(scratch->match_context, MATCH_LIMIT);
    pcre2_set_heap_limit(scratch->match_context, HEAP_KILOBYTES);
    if (!regex->is_compiled) return SINQ_OK;
    scratch->stack = pcre2_jit_stack_create(SMALLEST_STACK, LARGEST_STACK, NULL);
    if (scratch->stack == NULL) return sinq_fail_memory(error, "a regular expression", LARGEST_STACK);
    pcre2_jit_stack_assign(scratch->match_context, NULL, scratch->stack);
    return SINQ_OK;
}

void sinq_regex_scratch_free(struct sinq_regex_scratch *scratch) {
    pcre2_match_data_free(scratch->match_data);
    pcre2_match_context_free(scratch->match_context);
    pcre2_jit_stack_free(scratch->stack);
    *scratch = (struct sinq_regex_scratch){0};
}

static int fail_match(const struct sinq_regex *regex, int number, size_t from, struct sinq_error *error) {
    PCRE2_UCHAR reason[128];
    if (pcre2_get_error_message(number, reason, sizeof reason) < 0) strcpy((char *)reason, "failed");
    return sinq_fail(error, SINQ_FAILED, "%s gives up at byte %zu of the text: %s", regex->description, from,
                     (const char *)reason);
}

int sinq_find_regex(const struct sinq_regex *regex, struct sinq_regex_scratch *scratch, const char *text, size_t size,
                    size_t from, struct sinq_match *match, bool *is_found, struct sinq_error *error) {
    if (scratch->match_data == NULL) {
        const int status = open_scratch(regex, scratch, error);
        if (status != SINQ_OK) return status;
    }
    const PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int count = PCRE2_ERROR_JIT_STACKLIMIT;
    if (regex->is_compiled) {
        count = pcre2_jit_match(regex->code, subject, size, from, PCRE2_NO_UTF_CHECK, scratch->match_data,
                                scratch->match_context);
    }
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) { /* the interpreter has more room */
        count = pcre2_match(regex->code, subject, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, scratch->match_data,
                            scratch->match_context);
    }
    *is_found = count != PCRE2_ERROR_NOMATCH;
    if (!*is_found) return SINQ_OK;
    if (count < 0) return fail_match(regex, count, from, error);
    const PCRE2_SIZE *const ends = pcre2_get_ovector_pointer(scratch->match_data);
    *match = (struct sinq_match){ends[0], ends[1]};
    if (match->start >= from && match->end >= match->start && match->end <= size) return SINQ_OK;
    return fail_match(regex, PCRE2_ERROR_INTERNAL, from, error);
}
