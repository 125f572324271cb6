#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

struct sinq_pattern {
    pcre2_code *code;
    pcre2_match_data *match;
};

int sinq_compile_pattern(const char *text, struct sinq_pattern **pattern, struct sinq_error *error) {
    int number = 0;
    PCRE2_SIZE place = 0;
    pcre2_code *const code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &place, NULL);
    if (code == NULL) {
        PCRE2_UCHAR reason[200] = "";
        pcre2_get_error_message(number, reason, sizeof reason);
        snprintf(error->message, sizeof error->message, "'%.400s' is not a regular expression: %s at letter %zu", text,
                 (const char *)reason, (size_t)place + 1);
        return error->status = SINQ_USAGE;
    }
    *pattern = sinq_allocate(1, sizeof **pattern);
    (*pattern)->code = code;
    (*pattern)->match = pcre2_match_data_create_from_pattern(code, NULL);
    return SINQ_OK;
}

bool sinq_matches(const struct sinq_pattern *pattern, const char *name) {
    if (pattern == NULL) return true;
    return pattern->match != NULL &&
           pcre2_match(pattern->code, (PCRE2_SPTR)name, strlen(name), 0, 0, pattern->match, NULL) >= 0;
}

void sinq_free_pattern(struct sinq_pattern *pattern) {
    if (pattern == NULL) return;
    pcre2_match_data_free(pattern->match);
    pcre2_code_free(pattern->code);
    free(pattern);
}
