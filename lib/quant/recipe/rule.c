#include "quant/recipe/rule.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "base/text.h"

/* Enough for any sensible pattern on a name; a name costs milliseconds at worst. */
#define MATCH_LIMIT          100000u
#define HEAP_LIMIT_KIB       32768u
#define LONGEST_PATTERN      4096u
#define DEEPEST_PARENTHESES  50u
#define LONGEST_SETTING_WORD 64u

struct compiled_rule {
    pcre2_code *code;
    int kind; /* of struct sinq_rule */
    struct sinq_rule_setting setting;
    char *reason;
    const char *text; /* the part of reason that is the rule itself */
    size_t matches;
};

struct sinq_rule_set {
    struct compiled_rule *rules;
    size_t count;
    pcre2_match_data *match_data;
    pcre2_match_context *match_context;
    pcre2_compile_context *compile_context;
};

/* ---- settings ---- */

bool sinq_is_bits(int bits) { return bits >= 2 && bits <= 8 && bits != 7; }

bool sinq_is_group_size(int group_size) {
    return group_size == (int)SINQ_GROUP_ROW || group_size == 16 || group_size == 32 || group_size == 64 ||
           group_size == 128;
}

/* A number of at most three digits, or -1. */
static int parse_small_number(const char *text) {
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0') return -1;
    return atoi(text);
}

static const char *parse_bits(const char *value, struct sinq_rule_setting *setting) {
    const int bits = parse_small_number(value);
    if (!sinq_is_bits(bits)) return "bits:2, 3, 4, 5, 6 or 8";
    if (setting->bits != 0) return "bits once";
    setting->bits = bits;
    return NULL;
}

static const char *parse_group(const char *value, struct sinq_rule_setting *setting) {
    const int number = parse_small_number(value);
    const int group_size = strcmp(value, "row") == 0 ? (int)SINQ_GROUP_ROW : number == 0 ? -1 : number;
    if (!sinq_is_group_size(group_size)) return "group:16, 32, 64, 128 or row";
    if (setting->group_size >= 0) return "group once";
    setting->group_size = group_size;
    return NULL;
}

static const char *parse_method(const char *value, struct sinq_rule_setting *setting) {
    const int method = sinq_method_from_name(value);
    if (method < 0)
        return "method:sinq, sinq-search, sinq-levels, rtn, search, levels, sinq-nf4, sinq-nf3, sinq-hqq, sinq-noz, "
               "nf4, "
               "nf3, hqq or noz";
    if (setting->method >= 0) return "method once";
    setting->method = method;
    return NULL;
}

static const char *parse_scale(const char *value, struct sinq_rule_setting *setting) {
    const bool is_f16 = strcmp(value, "f16") == 0, is_u6 = strcmp(value, "u6") == 0;
    if (!is_f16 && !is_u6 && strcmp(value, "u8") != 0) return "scale:f16, u8 or u6";
    if (setting->scale_type >= 0) return "scale once";
    setting->scale_type = is_f16 ? SINQ_AUX_F16 : is_u6 ? SINQ_AUX_U6 : SINQ_AUX_U8;
    return NULL;
}

static const char *parse_type(const char *value, struct sinq_rule_setting *setting) {
    const struct sinq_block_type *const type = sinq_find_block_type_named(value);
    if (type == NULL || !type->is_written) return "type: and one of " SINQ_GGUF_TYPES;
    if (setting->type != NULL) return "type once";
    setting->type = type;
    return NULL;
}

/* What was expected in place of `word`, NULL if it was right. */
static const char *parse_word(const char *word, struct sinq_rule_setting *setting) {
    static const struct {
        const char *key;
        const char *(*parse)(const char *value, struct sinq_rule_setting *setting);
    } keys[] = {{"bits:", parse_bits},
                {"group:", parse_group},
                {"method:", parse_method},
                {"scale:", parse_scale},
                {"type:", parse_type}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const size_t size = strlen(keys[i].key);
        if (strncmp(word, keys[i].key, size) == 0) return keys[i].parse(word + size, setting);
    }
    return "keep or type: alone, or bits:, group:, method: and scale: separated by commas";
}

/* The words of a list, one after the other; `who` begins the message. `tiling_2d` is NULL where tiling cannot be said. */
static int parse_words(const char *text, const char *who, struct sinq_rule_setting *setting, bool *tiling_2d,
                       struct sinq_error *error) {
    for (const char *at = text;; at++) {
        const size_t size = strcspn(at, ",");
        char word[LONGEST_SETTING_WORD] = "";
        if (size < sizeof word) memcpy(word, at, size);
        const bool is_tiling = tiling_2d != NULL && (strcmp(word, "tiling:1d") == 0 || strcmp(word, "tiling:2d") == 0);
        if (is_tiling) *tiling_2d = word[7] == '2';
        const char *const expected = is_tiling ? NULL : parse_word(word, setting);
        if (expected != NULL) {
            return sinq_fail(error, SINQ_USAGE, "%s: found \"%.*s\", expected %s%s", who,
                             (int)(size < 100 ? size : 100), at, expected,
                             tiling_2d != NULL ? ", or tiling:1d or tiling:2d" : "");
        }
        at += size;
        if (*at == '\0') return SINQ_OK;
    }
}

int sinq_parse_rule_setting(const char *pattern, const char *text, struct sinq_rule_setting *setting,
                            struct sinq_error *error) {
    *setting = (struct sinq_rule_setting){.group_size = -1, .method = -1, .scale_type = -1};
    if (strcmp(text, "keep") == 0) {
        setting->keep = true;
        return SINQ_OK;
    }
    struct sinq_text who = {0};
    sinq_text_print(&who, "--tensor '%s=%s'", pattern, text);
    const int status = parse_words(text, who.failed ? "--tensor" : who.data, setting, NULL, error);
    sinq_text_free(&who);
    return status;
}

int sinq_parse_quantize_setting(const char *text, struct sinq_quantize_options *options, struct sinq_error *error) {
    struct sinq_rule_setting setting = {.group_size = -1, .method = -1, .scale_type = -1};
    const int status = parse_words(text, text, &setting, &options->tiling_2d, error);
    if (status != SINQ_OK) return status;
    if (setting.type != NULL) return sinq_fail(error, SINQ_USAGE, "%s: type: is GGUF's, which is no trial", text);
    if (setting.bits != 0) options->bits = setting.bits;
    if (setting.group_size >= 0) options->group_size = setting.group_size;
    if (setting.method >= 0) options->method = setting.method;
    if (setting.scale_type >= 0) options->scale_type = setting.scale_type;
    return SINQ_OK;
}

/* ---- patterns ---- */

static const char *name_kind(int kind) {
    return kind == SINQ_RULE_INCLUDE ? "--include" : kind == SINQ_RULE_EXCLUDE ? "--exclude" : "--tensor";
}

static bool print_rule(const struct sinq_rule *rule, struct compiled_rule *compiled) {
    struct sinq_text text = {0};
    const bool is_tensor = rule->kind == SINQ_RULE_TENSOR;
    const char *const verb = rule->kind == SINQ_RULE_EXCLUDE ? "excluded by "
                             : compiled->setting.keep        ? "kept by "
                                                             : "asked for by ";
    sinq_text_print(&text, "%s%s '%s%s%s'", verb, name_kind((int)rule->kind), rule->pattern, is_tensor ? "=" : "",
                    is_tensor ? rule->setting : "");
    if (text.failed) return false;
    compiled->reason = text.data;
    compiled->text = text.data + strlen(verb);
    return true;
}

static int compile_rule(struct sinq_rule_set *set, const struct sinq_rule *rule, struct sinq_error *error) {
    struct compiled_rule *const compiled = &set->rules[set->count];
    const bool is_tensor = rule->kind == SINQ_RULE_TENSOR;
    if (rule->pattern == NULL || rule->pattern[0] == '\0' || (is_tensor && rule->setting == NULL)) {
        return sinq_fail(error, SINQ_USAGE, "%s: an empty rule, expected %s", name_kind((int)rule->kind),
                         is_tensor ? "REGEX=SETTING" : "a regular expression");
    }
    if (is_tensor) {
        const int status = sinq_parse_rule_setting(rule->pattern, rule->setting, &compiled->setting, error);
        if (status != SINQ_OK) return status;
    }
    int code;
    PCRE2_SIZE at;
    compiled->code = pcre2_compile((PCRE2_SPTR)rule->pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, set->compile_context);
    if (compiled->code == NULL) {
        PCRE2_UCHAR reason[256];
        if (pcre2_get_error_message(code, reason, sizeof reason) < 0) reason[0] = '\0';
        return sinq_fail(error, SINQ_USAGE, "%s '%s': not a regular expression: %s (at byte %llu)",
                         name_kind((int)rule->kind), rule->pattern, (const char *)reason, (unsigned long long)at);
    }
    compiled->kind = (int)rule->kind;
    set->count++; /* from here on sinq_rule_set_free knows it */
    return print_rule(rule, compiled) ? SINQ_OK : sinq_fail_memory(error, "a rule", strlen(rule->pattern));
}

static bool create_contexts(struct sinq_rule_set *set) {
    set->match_data = pcre2_match_data_create(1, NULL);
    set->match_context = pcre2_match_context_create(NULL);
    set->compile_context = pcre2_compile_context_create(NULL);
    if (set->match_data == NULL || set->match_context == NULL || set->compile_context == NULL) return false;
    return pcre2_set_match_limit(set->match_context, MATCH_LIMIT) == 0 &&
           pcre2_set_heap_limit(set->match_context, HEAP_LIMIT_KIB) == 0 &&
           pcre2_set_max_pattern_length(set->compile_context, LONGEST_PATTERN) == 0 &&
           pcre2_set_parens_nest_limit(set->compile_context, DEEPEST_PARENTHESES) == 0;
}

int sinq_compile_rules(const struct sinq_rule *rules, size_t count, struct sinq_rule_set **set,
                       struct sinq_error *error) {
    int status = SINQ_OK;
    *set = NULL;
    struct sinq_rule_set *const made = calloc(1, sizeof *made);
    if (made != NULL) made->rules = calloc(count > 0 ? count : 1, sizeof *made->rules);
    if (made == NULL || made->rules == NULL || !create_contexts(made)) {
        status = sinq_fail_memory(error, "rules", count * sizeof *made->rules);
    }
    for (size_t i = 0; i < count && status == SINQ_OK; i++) status = compile_rule(made, &rules[i], error);
    if (status != SINQ_OK) {
        sinq_rule_set_free(made);
        return status;
    }
    *set = made;
    return SINQ_OK;
}

static int search(const struct sinq_rule_set *set, const struct compiled_rule *rule, const char *name) {
    return pcre2_match(rule->code, (PCRE2_SPTR)name, strlen(name), 0, 0, set->match_data, set->match_context);
}

int sinq_match_rules(struct sinq_rule_set *set, const char *name, const char *other, struct sinq_rule_match *match,
                     struct sinq_error *error) {
    *match = (struct sinq_rule_match){-1, -1};
    for (size_t i = 0; i < set->count; i++) {
        struct compiled_rule *const rule = &set->rules[i];
        int found = search(set, rule, name);
        if (found == PCRE2_ERROR_NOMATCH && other != NULL) found = search(set, rule, other);
        if (found == PCRE2_ERROR_NOMATCH) continue;
        if (found < 0) {
            PCRE2_UCHAR reason[256];
            if (pcre2_get_error_message(found, reason, sizeof reason) < 0) reason[0] = '\0';
            return sinq_fail(error, SINQ_USAGE, "%s: cannot be matched with tensor %s: %s", rule->text, name,
                             (const char *)reason);
        }
        rule->matches++;
        *(rule->kind == SINQ_RULE_TENSOR ? &match->tensor_rule : &match->filter_rule) = (int64_t)i;
    }
    return SINQ_OK;
}

int sinq_check_rules_used(const struct sinq_rule_set *set, const char *where, struct sinq_error *error) {
    for (size_t i = 0; i < set->count; i++) {
        if (set->rules[i].matches > 0) continue;
        return sinq_fail(error, SINQ_USAGE, "%s: matches no tensor of %s", set->rules[i].text, where);
    }
    return SINQ_OK;
}

/* ---- looking at a set ---- */

size_t sinq_rule_set_count(const struct sinq_rule_set *set) { return set->count; }

bool sinq_rule_set_has_include(const struct sinq_rule_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        if (sinq_rule_is_include(set, i)) return true;
    }
    return false;
}

bool sinq_rule_is_include(const struct sinq_rule_set *set, size_t rule) {
    return set->rules[rule].kind == SINQ_RULE_INCLUDE;
}

const struct sinq_rule_setting *sinq_rule_get_setting(const struct sinq_rule_set *set, size_t rule) {
    return &set->rules[rule].setting;
}

const char *sinq_rule_text(const struct sinq_rule_set *set, size_t rule) { return set->rules[rule].text; }

const char *sinq_rule_reason(const struct sinq_rule_set *set, size_t rule) { return set->rules[rule].reason; }

void sinq_rule_set_free(struct sinq_rule_set *set) {
    if (set == NULL) return;
    for (size_t i = 0; i < set->count; i++) {
        pcre2_code_free(set->rules[i].code);
        free(set->rules[i].reason);
    }
    pcre2_match_data_free(set->match_data);
    pcre2_match_context_free(set->match_context);
    pcre2_compile_context_free(set->compile_context);
    free(set->rules);
    free(set);
}
