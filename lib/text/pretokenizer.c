#include "text/pretokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/byte_level.h"

/* Whitespace's \w+|[^\w\s]+, whose \w is that of UTS 18. */
#define WORD                                                                                                           \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200c}\\x{200d}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}" \
    "\\x{1f170}-\\x{1f189}"
static const char whitespace_words[] = "[" WORD "]+|[^" WORD "\\s]+";

/* ---- reading ---- */

static int set_regex(const struct sinq_place *place, const char *regex, struct sinq_pretokenizer_stage *stage,
                     struct sinq_error *error) {
    return sinq_compile_regex(place->path, place->section, regex, strlen(regex), &stage->pattern.regex, error);
}

static int set_string(const struct sinq_place *place, const char *type, const char *string,
                      struct sinq_pretokenizer_stage *stage, struct sinq_error *error) {
    if (string == NULL || string[0] == '\0') return sinq_fail_component(place, type, "a string", error);
    stage->pattern.string_size = strlen(string);
    stage->pattern.string = strdup(string);
    return stage->pattern.string != NULL ? SINQ_OK : sinq_fail_memory(error, "a pattern", stage->pattern.string_size);
}

/* The legacy add_prefix_space alone means "always" or "never". */
static int read_prepend(const struct sinq_place *place, const cJSON *json, struct sinq_pretokenizer_stage *stage,
                        struct sinq_error *error) {
    static const char *const names[] = {"never", "first", "always"};
    const char *const scheme = sinq_component_string(json, "prepend_scheme");
    if (scheme == NULL) {
        const bool adds = sinq_component_flag(json, "add_prefix_space", true);
        stage->prepend = adds ? SINQ_PREPEND_ALWAYS : SINQ_PREPEND_NEVER;
        return SINQ_OK;
    }
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(scheme, names[i]) != 0) continue;
        stage->prepend = (enum sinq_prepend)i;
        return SINQ_OK;
    }
    return sinq_fail_component(place, "Metaspace", "prepend_scheme always, first or never", error);
}

static int read_metaspace(const struct sinq_place *place, const cJSON *json, struct sinq_pretokenizer_stage *stage,
                          struct sinq_error *error) {
    const char *const mark = sinq_component_string(json, "replacement");
    size_t length = 0;
    if (mark != NULL && mark[0] != '\0') (void)sinq_decode_utf8(mark, &length);
    if (length == 0 || mark[length] != '\0') return sinq_fail_component(place, "Metaspace", "one character", error);
    stage->is_metaspace = true;
    stage->mark_size = length;
    memcpy(stage->mark, mark, length);
    stage->splits = sinq_component_flag(json, "split", true);
    stage->behavior = SINQ_MERGED_WITH_NEXT;
    int status = read_prepend(place, json, stage, error);
    return status == SINQ_OK ? set_string(place, "Metaspace", mark, stage, error) : status;
}

static int read_split(const struct sinq_place *place, const cJSON *json, struct sinq_pretokenizer_stage *stage,
                      struct sinq_error *error) {
    stage->invert = sinq_component_flag(json, "invert", false);
    const int status = sinq_read_pattern(place->path, place->section, cJSON_GetObjectItemCaseSensitive(json, "pattern"),
                                         &stage->pattern, error);
    if (status != SINQ_OK) return status;
    return sinq_read_behavior(place->path, place->section, cJSON_GetObjectItemCaseSensitive(json, "behavior"),
                              &stage->behavior, error);
}

static int read_punctuation(const struct sinq_place *place, const cJSON *json, struct sinq_pretokenizer_stage *stage,
                            struct sinq_error *error) {
    const cJSON *const behavior = cJSON_GetObjectItemCaseSensitive(json, "behavior");
    stage->pattern.characters = sinq_is_punctuation;
    stage->behavior = SINQ_ISOLATED;
    if (behavior == NULL) return SINQ_OK;
    return sinq_read_behavior(place->path, place->section, behavior, &stage->behavior, error);
}

static int read_stage(const struct sinq_place *place, const char *type, const cJSON *json,
                      struct sinq_pretokenizer_stage *stage, struct sinq_error *error) {
    stage->splits = true;
    stage->behavior = SINQ_REMOVED;
    if (strcmp(type, "Split") == 0) return read_split(place, json, stage, error);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(place, json, stage, error);
    if (strcmp(type, "Punctuation") == 0) return read_punctuation(place, json, stage, error);
    if (strcmp(type, "CharDelimiterSplit") == 0) {
        return set_string(place, type, sinq_component_string(json, "delimiter"), stage, error);
    }
    if (strcmp(type, "Whitespace") == 0) {
        stage->invert = true;
        return set_regex(place, whitespace_words, stage, error);
    }
    if (strcmp(type, "ByteLevel") == 0) {
        stage->behavior = SINQ_ISOLATED;
        stage->names_bytes = true;
        stage->adds_space = sinq_component_flag(json, "add_prefix_space", true);
        stage->splits = sinq_component_flag(json, "use_regex", true);
        return stage->splits ? set_regex(place, SINQ_GPT2_WORDS, stage, error) : SINQ_OK;
    }
    if (strcmp(type, "Digits") == 0) {
        const bool is_each = sinq_component_flag(json, "individual_digits", false);
        stage->pattern.characters = sinq_is_numeric;
        stage->behavior = is_each ? SINQ_ISOLATED : SINQ_CONTIGUOUS;
        return SINQ_OK;
    }
    if (strcmp(type, "WhitespaceSplit") == 0) {
        stage->pattern.characters = sinq_is_space;
        return SINQ_OK;
    }
    return sinq_fail_type(place, type, error);
}

static int add_stage(void *user, const struct sinq_place *place, const char *type, const cJSON *json,
                     struct sinq_error *error) {
    struct sinq_pretokenizer *const p = user;
    if (p->count == SINQ_MAX_STAGES) return sinq_fail_component(place, type, "a shorter sequence", error);
    p->is_byte_level = strcmp(type, "ByteLevel") == 0;
    return read_stage(place, type, json, &p->stages[p->count++], error);
}

int sinq_read_pretokenizer(const char *path, const cJSON *json, struct sinq_pretokenizer *pretokenizer,
                           struct sinq_error *error) {
    const struct sinq_place place = {path, "pre_tokenizer"};
    pretokenizer->stages = calloc(SINQ_MAX_STAGES, sizeof *pretokenizer->stages);
    if (pretokenizer->stages == NULL) return sinq_fail_memory(error, "a pre-tokenizer", SINQ_MAX_STAGES);
    return sinq_read_components(&place, json, "pretokenizers", add_stage, pretokenizer, error);
}

void sinq_pretokenizer_free(struct sinq_pretokenizer *pretokenizer) {
    for (size_t i = 0; i < pretokenizer->count; i++) sinq_pattern_free(&pretokenizer->stages[i].pattern);
    free(pretokenizer->stages);
    *pretokenizer = (struct sinq_pretokenizer){0};
}

/* ---- running ---- */

struct run {
    const struct sinq_pretokenizer *pretokenizer;
    struct sinq_pretokenizer_work *work;
    sinq_word_fn *word;
    void *user;
};

struct piece {
    const struct run *run;
    size_t stage;
    const char *text;
    size_t size;
    bool is_first;
};

static int run_stage(const struct piece *piece, struct sinq_error *error);

static int run_next(const struct piece *piece, size_t start, size_t end, struct sinq_error *error) {
    const struct run *const run = piece->run;
    if (piece->stage + 1 >= run->pretokenizer->count) {
        return run->word(run->user, piece->text + start, end - start, error);
    }
    struct piece next = {.run = run,
                         .stage = piece->stage + 1,
                         .text = piece->text + start,
                         .size = end - start,
                         .is_first = piece->is_first && start == 0};
    if (run->pretokenizer->stages[piece->stage].names_bytes) {
        struct sinq_text *const named = &run->work->scratches[piece->stage].named;
        named->size = 0;
        sinq_add_bytes_as_text(next.text, next.size, named);
        if (named->failed) return sinq_fail_memory(error, "a text", next.size);
        next.text = named->data;
        next.size = named->size;
    }
    return run_stage(&next, error);
}

static int take_part(void *user, size_t start, size_t end, struct sinq_error *error) {
    return run_next(user, start, end, error);
}

static bool starts_with(const struct piece *piece, const char *prefix, size_t size) {
    return piece->size >= size && memcmp(piece->text, prefix, size) == 0;
}

/* Spaces become marks; whether one is put in front is decided then. */
static void write_marks(const struct sinq_pretokenizer_stage *stage, const struct piece *piece, struct sinq_text *out) {
    const bool is_wanted =
        stage->prepend == SINQ_PREPEND_ALWAYS || (stage->prepend == SINQ_PREPEND_FIRST && piece->is_first);
    const bool is_there = piece->text[0] == ' ' || starts_with(piece, stage->mark, stage->mark_size);
    if (is_wanted && !is_there) sinq_text_add_bytes(out, stage->mark, stage->mark_size);
    const char *at = piece->text, *const end = piece->text + piece->size;
    while (at < end) {
        const char *const space = memchr(at, ' ', (size_t)(end - at));
        if (space == NULL) break;
        sinq_text_add_bytes(out, at, (size_t)(space - at));
        sinq_text_add_bytes(out, stage->mark, stage->mark_size);
        at = space + 1;
    }
    sinq_text_add_bytes(out, at, (size_t)(end - at));
}

static int run_stage(const struct piece *piece, struct sinq_error *error) {
    const struct sinq_pretokenizer_stage *const stage = &piece->run->pretokenizer->stages[piece->stage];
    struct sinq_pretokenizer_scratch *const scratch = &piece->run->work->scratches[piece->stage];
    struct sinq_text *const out = &scratch->text;
    struct piece changed = *piece;
    if (stage->is_metaspace || (stage->adds_space && piece->text[0] != ' ')) {
        out->size = 0;
        if (stage->is_metaspace) {
            write_marks(stage, piece, out);
        } else {
            sinq_text_add(out, " ");
            sinq_text_add_bytes(out, piece->text, piece->size);
        }
        if (out->failed) return sinq_fail_memory(error, "a text", piece->size);
        changed.text = out->data;
        changed.size = out->size;
    }
    if (!stage->splits) return run_next(&changed, 0, changed.size, error);
    return sinq_split(&stage->pattern, stage->behavior, stage->invert, &scratch->regex, changed.text, changed.size,
                      take_part, &changed, error);
}

int sinq_run_pretokenizer(const struct sinq_pretokenizer *pretokenizer, struct sinq_pretokenizer_work *work,
                          const char *text, size_t size, bool is_first, sinq_word_fn *word, void *user,
                          struct sinq_error *error) {
    if (size == 0) return SINQ_OK;
    if (pretokenizer->count == 0) return word(user, text, size, error);
    if (work->scratches == NULL) {
        work->scratches = calloc(pretokenizer->count, sizeof *work->scratches);
        if (work->scratches == NULL) return sinq_fail_memory(error, "a text", pretokenizer->count);
    }
    const struct run run = {pretokenizer, work, word, user};
    const struct piece piece = {.run = &run, .text = text, .size = size, .is_first = is_first};
    return run_stage(&piece, error);
}

void sinq_pretokenizer_work_free(const struct sinq_pretokenizer *pretokenizer, struct sinq_pretokenizer_work *work) {
    for (size_t i = 0; work->scratches != NULL && i < pretokenizer->count; i++) {
        sinq_regex_scratch_free(&work->scratches[i].regex);
        sinq_text_free(&work->scratches[i].text);
        sinq_text_free(&work->scratches[i].named);
    }
    free(work->scratches);
    work->scratches = NULL;
}
