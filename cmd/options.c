#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "printable.h"
#include "suggestion.h"

#define FIRST_VALUE 256 /* getopt's values: this plus an option's index, letters below */

void sinq_free_rules(struct sinq_rule_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free((void *)(uintptr_t)list->rules[i].pattern);
        free((void *)(uintptr_t)list->rules[i].setting);
    }
    free(list->rules);
    memset(list, 0, sizeof *list);
}

void sinq_free_texts(struct sinq_text_list *list) {
    free(list->texts);
    memset(list, 0, sizeof *list);
}

/* ---- messages ---------------------------------------------------------------------------------------------- */

static int fail(struct sinq_error *error, const char *format, ...) SINQ_PRINTF(2, 3);

static int fail(struct sinq_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    char *const printable = sinq_copy_printable(error->message);
    snprintf(error->message, sizeof error->message, "%s", printable);
    free(printable);
    error->status = SINQ_USAGE;
    return SINQ_USAGE;
}

/* "-b/--bits" or "--json". */
static const char *name_option(const struct sinq_option *option, char buffer[64]) {
    if (option->letter != '\0') {
        snprintf(buffer, 64, "-%c/--%s", option->letter, option->name);
    } else {
        snprintf(buffer, 64, "--%s", option->name);
    }
    return buffer;
}

static int refuse_value(const struct sinq_option *option, const char *value, const char *expected,
                        struct sinq_error *error) {
    char name[64];
    return fail(error, "%s: '%s' is not %s", name_option(option, name), value, expected);
}

/* ---- values ------------------------------------------------------------------------------------------------ */

static int parse_number(const struct sinq_option *option, const char *value, unsigned *out, struct sinq_error *error) {
    char expected[80];
    snprintf(expected, sizeof expected, "a whole number from %.0f to %.0f", option->least, option->most);
    char *end = NULL;
    errno = 0;
    const unsigned long long number = value[0] >= '0' && value[0] <= '9' ? strtoull(value, &end, 10) : 0;
    if (end == NULL || *end != '\0' || errno != 0) return refuse_value(option, value, expected, error);
    if ((double)number < option->least || (double)number > option->most)
        return refuse_value(option, value, expected, error);
    *out = (unsigned)number;
    return SINQ_OK;
}

static int parse_real(const struct sinq_option *option, const char *value, double *out, struct sinq_error *error) {
    const bool is_plain = (value[0] >= '0' && value[0] <= '9') || value[0] == '.';
    char *end = NULL;
    double number = is_plain ? strtod(value, &end) : 0.0;
    if (end != NULL && end != value && *end == '%') {
        number /= 100.0;
        end++;
    }
    if (end == NULL || end == value || *end != '\0' || !isfinite(number))
        return refuse_value(option, value, "a number of zero or more", error);
    if (number < option->least || number > option->most) {
        char expected[80];
        snprintf(expected, sizeof expected, "a number from %g to %g", option->least, option->most);
        return refuse_value(option, value, expected, error);
    }
    *out = number;
    return SINQ_OK;
}

/* K, M, G, T and KiB, MiB, ... are powers of 1024; KB, MB, ... of 1000; B and nothing are bytes. */
static bool parse_unit(const char *text, uint64_t *factor) {
    static const char letters[] = "KMGT";
    *factor = 1;
    if (*text == '\0' || strcmp(text, "B") == 0) return true;
    const char letter = *text == 'k' ? 'K' : *text;
    const char *const place = strchr(letters, letter);
    if (place == NULL) return false;
    const bool is_decimal = strcmp(text + 1, "B") == 0;
    if (!is_decimal && text[1] != '\0' && strcmp(text + 1, "iB") != 0 && strcmp(text + 1, "i") != 0) return false;
    for (const char *step = letters; step <= place; step++) *factor *= is_decimal ? 1000u : 1024u;
    return true;
}

static int parse_size(const struct sinq_option *option, const char *value, uint64_t *out, struct sinq_error *error) {
    char *end = NULL;
    errno = 0;
    const unsigned long long number = value[0] >= '0' && value[0] <= '9' ? strtoull(value, &end, 10) : 0;
    uint64_t factor = 1;
    if (end == NULL || errno != 0 || !parse_unit(end, &factor) || number == 0 ||
        __builtin_mul_overflow((uint64_t)number, factor, out))
        return refuse_value(option, value, "a size such as 4G, 500MB or 64KiB", error);
    return SINQ_OK;
}

/* "1,2,4" */
static int parse_numbers(const struct sinq_option *option, const char *value, struct sinq_number_list *list,
                         struct sinq_error *error) {
    char expected[120];
    snprintf(expected, sizeof expected, "a list of at most %d whole numbers from %.0f to %.0f, as in 1,2,4",
             SINQ_MOST_NUMBERS, option->least, option->most);
    list->count = 0;
    for (const char *at = value;; at++) {
        char *end = NULL;
        errno = 0;
        const unsigned long long number = *at >= '0' && *at <= '9' ? strtoull(at, &end, 10) : 0;
        if (end == NULL || errno != 0 || (*end != ',' && *end != '\0') || list->count == SINQ_MOST_NUMBERS ||
            (double)number < option->least || (double)number > option->most)
            return refuse_value(option, value, expected, error);
        list->numbers[list->count++] = (unsigned)number;
        if (*end == '\0') return SINQ_OK;
        at = end;
    }
}

/* The word of `choices` that equals `value`, or NULL. Words are separated by single blanks. */
static bool is_choice(const char *choices, const char *value) {
    const size_t length = strlen(value);
    if (length == 0 || strchr(value, ' ') != NULL) return false;
    for (const char *word = choices; word != NULL; word = strchr(word, ' ')) {
        if (*word == ' ') word++;
        if (strncmp(word, value, length) == 0 && (word[length] == ' ' || word[length] == '\0')) return true;
    }
    return false;
}

static int parse_choice(const struct sinq_option *option, const char *value, const char **out,
                        struct sinq_error *error) {
    if (!is_choice(option->choices, value)) {
        char name[64];
        return fail(error, "%s: '%s' is none of: %s", name_option(option, name), value, option->choices);
    }
    *out = value;
    return SINQ_OK;
}

/* --tensor 'REGEX=SETTING' splits at the last '=': a regex may hold one, a setting never does. */
static int parse_rule(const struct sinq_option *option, const char *value, struct sinq_rule_list *list,
                      struct sinq_error *error) {
    const bool has_setting = option->rule == SINQ_RULE_TENSOR;
    const char *const equals = has_setting ? strrchr(value, '=') : value + strlen(value);
    if (equals == NULL || equals == value || (has_setting && equals[1] == '\0'))
        return refuse_value(
            option, value,
            has_setting ? "REGEX=SETTING, as in 'q_proj=bits:3' or 'lm_head=keep'" : "a regular expression", error);
    sinq_reserve(&list->rules, &list->capacity, list->count + 1, sizeof *list->rules);
    struct sinq_rule *const rule = &list->rules[list->count++];
    memset(rule, 0, sizeof *rule);
    rule->pattern = sinq_format("%.*s", (int)(equals - value), value);
    rule->setting = has_setting ? sinq_format("%s", equals + 1) : NULL;
    if (option->rule == SINQ_RULE_INCLUDE)
        rule->kind = SINQ_RULE_INCLUDE;
    else if (option->rule == SINQ_RULE_EXCLUDE)
        rule->kind = SINQ_RULE_EXCLUDE;
    else
        rule->kind = SINQ_RULE_TENSOR;
    return SINQ_OK;
}

/* The second argument of a pair is the word behind the first, which getopt has not looked at yet. */
static int parse_pair(const struct sinq_option *option, int argc, char **argv, const char **pair,
                      struct sinq_error *error) {
    char name[64];
    if (optind >= argc) return fail(error, "%s needs two arguments: %s", name_option(option, name), option->argument);
    pair[0] = optarg;
    pair[1] = argv[optind++];
    return SINQ_OK;
}

static int add_text(const struct sinq_option *option, const char *value, struct sinq_text_list *list,
                    struct sinq_error *error) {
    if (*value == '\0') return refuse_value(option, value, "a text of at least one character", error);
    sinq_reserve(&list->texts, &list->capacity, list->count + 1, sizeof *list->texts);
    list->texts[list->count++] = value;
    return SINQ_OK;
}

static int store_value(const struct sinq_option *option, int argc, char **argv, void *values,
                       struct sinq_error *error) {
    void *const place = (char *)values + option->offset;
    switch (option->kind) {
    case SINQ_OPTION_END:
    case SINQ_OPTION_HEADING:
        break;
    case SINQ_OPTION_FLAG:
        *(bool *)place = true;
        break;
    case SINQ_OPTION_TEXT:
        *(const char **)place = optarg;
        break;
    case SINQ_OPTION_CHOICE:
        return parse_choice(option, optarg, place, error);
    case SINQ_OPTION_NUMBER:
        return parse_number(option, optarg, place, error);
    case SINQ_OPTION_REAL:
        return parse_real(option, optarg, place, error);
    case SINQ_OPTION_SIZE:
        return parse_size(option, optarg, place, error);
    case SINQ_OPTION_NUMBERS:
        return parse_numbers(option, optarg, place, error);
    case SINQ_OPTION_PAIR:
        return parse_pair(option, argc, argv, place, error);
    case SINQ_OPTION_TEXTS:
        return add_text(option, optarg, place, error);
    case SINQ_OPTION_RULE:
        return parse_rule(option, optarg, place, error);
    }
    return SINQ_OK;
}

/* ---- parsing ----------------------------------------------------------------------------------------------- */

/* What getopt_long wants, made from a table. */
struct getopt_tables {
    char letters[128];
    struct option *names;
    char **spellings; /* long names with '_' for '-' */
    size_t spelling_count;
};

static void add_name(struct getopt_tables *tables, size_t *used, const char *name, int has_argument, int value) {
    tables->names[(*used)++] = (struct option){.name = name, .has_arg = has_argument, .flag = NULL, .val = value};
}

static void make_getopt_tables(const struct sinq_option *options, size_t count, struct getopt_tables *tables) {
    size_t letters = 0, names = 0;
    tables->names = sinq_allocate(2 * count + 1, sizeof *tables->names);
    tables->spellings = sinq_allocate(count, sizeof *tables->spellings);
    tables->letters[letters++] = ':';
    for (size_t i = 0; i < count; i++) {
        if (options[i].kind == SINQ_OPTION_HEADING) continue;
        const int has_argument = options[i].kind == SINQ_OPTION_FLAG ? no_argument : required_argument;
        const int value = FIRST_VALUE + (int)i;
        add_name(tables, &names, options[i].name, has_argument, value);
        if (strchr(options[i].name, '-') != NULL) {
            char *const spelling = sinq_format("%s", options[i].name);
            for (char *c = spelling; *c != '\0'; c++) *c = *c == '-' ? '_' : *c;
            tables->spellings[tables->spelling_count++] = spelling;
            add_name(tables, &names, spelling, has_argument, value);
        }
        if (options[i].letter == '\0') continue;
        tables->letters[letters++] = options[i].letter;
        if (has_argument == required_argument) tables->letters[letters++] = ':';
    }
    tables->letters[letters] = '\0';
}

static void free_getopt_tables(struct getopt_tables *tables) {
    for (size_t i = 0; i < tables->spelling_count; i++) free(tables->spellings[i]);
    free(tables->spellings);
    free(tables->names);
}

static const struct sinq_option *find_option(const struct sinq_option *options, size_t count, int value) {
    if (value >= FIRST_VALUE) return &options[value - FIRST_VALUE];
    for (size_t i = 0; i < count; i++)
        if (options[i].kind != SINQ_OPTION_HEADING && options[i].letter == (char)value) return &options[i];
    return NULL;
}

static const char *find_likely_name(const struct sinq_option *options, size_t count, const char *word) {
    const char *best = NULL;
    size_t least = 0;
    for (size_t i = 0; i < count; i++) {
        if (options[i].kind == SINQ_OPTION_HEADING || !sinq_is_likely(word, options[i].name)) continue;
        const size_t distance = sinq_word_distance(word, options[i].name);
        if (best != NULL && distance >= least) continue;
        best = options[i].name;
        least = distance;
    }
    return best;
}

/* How many options a shortened long name could mean; two of them are named. */
static size_t find_ambiguous(const struct sinq_option *options, size_t count, const char *word, const char *names[2]) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (options[i].kind == SINQ_OPTION_HEADING || strncmp(options[i].name, word, strlen(word)) != 0) continue;
        if (found < 2) names[found] = options[i].name;
        found++;
    }
    return found;
}

static int refuse_unknown(const struct sinq_option *options, size_t count, const char *argument,
                          struct sinq_error *error) {
    if (optopt >= FIRST_VALUE) {
        char name[64];
        return fail(error, "%s takes no argument", name_option(&options[optopt - FIRST_VALUE], name));
    }
    if (optopt != 0) return fail(error, "unknown option '-%c'", (char)optopt);
    char word[64];
    snprintf(word, sizeof word, "%s", argument + strspn(argument, "-"));
    word[strcspn(word, "=")] = '\0';
    for (char *c = word; *c != '\0'; c++) *c = *c == '_' ? '-' : *c;
    const char *names[2] = {NULL, NULL};
    if (find_ambiguous(options, count, word, names) >= 2)
        return fail(error, "option '%s' could mean --%s or --%s", argument, names[0], names[1]);
    const char *const likely = find_likely_name(options, count, word);
    if (likely != NULL) return fail(error, "unknown option '%s'; did you mean --%s?", argument, likely);
    return fail(error, "unknown option '%s'", argument);
}

static int take_option(const struct sinq_option *options, size_t count, int value, int argc, char **argv, void *values,
                       struct sinq_error *error) {
    if (value == '?') return refuse_unknown(options, count, argv[optind - 1], error);
    const struct sinq_option *const option = find_option(options, count, value == ':' ? optopt : value);
    if (option == NULL) return refuse_unknown(options, count, argv[optind - 1], error);
    if (value == ':') {
        char name[64];
        return fail(error, "%s needs %s: %s", name_option(option, name),
                    option->kind == SINQ_OPTION_PAIR ? "two arguments" : "an argument", option->argument);
    }
    return store_value(option, argc, argv, values, error);
}

int sinq_parse_options(const struct sinq_option *options, int argc, char **argv, void *values, int *first_operand,
                       struct sinq_error *error) {
    size_t count = 0;
    while (options[count].kind != SINQ_OPTION_END) count++;
    struct getopt_tables tables = {.names = NULL};
    int status = SINQ_OK;
    make_getopt_tables(options, count, &tables);
    opterr = 0;
    optind = 0; /* glibc: start anew, whatever was parsed before */
    while (status == SINQ_OK) {
        optopt = 0;
        const int value = getopt_long(argc, argv, tables.letters, tables.names, NULL);
        if (value == -1) break;
        status = take_option(options, count, value, argc, argv, values, error);
    }
    *first_operand = optind;
    free_getopt_tables(&tables);
    return status;
}

enum sinq_kv_type sinq_read_kv_type(const char *word) {
    if (word != NULL && strcmp(word, "f32") == 0) return SINQ_KV_F32;
    return word != NULL && strcmp(word, "i8") == 0 ? SINQ_KV_I8 : SINQ_KV_F16;
}

enum sinq_aux_type sinq_read_scale_type(const char *word) {
    if (strcmp(word, "f16") == 0) return SINQ_AUX_F16;
    return strcmp(word, "u6") == 0 ? SINQ_AUX_U6 : SINQ_AUX_U8;
}
