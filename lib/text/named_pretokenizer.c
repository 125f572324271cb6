#include "text/named_pretokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/pretokenizer.h"

/*
 * Parts of the expressions, which come from the models' own tokenizer.json; which name stands for which of them: llama.cpp,
 * src/llama-vocab.cpp, llm_tokenizer_bpe.
 */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES       "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SIGNS        "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(end)   "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" end
#define SLASHED      "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"

/* Letters of the scripts that have cases. */
/* clang-format off */
#define DEEPSEEK_LETTERS \
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ" \
    "-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯ" \
    "ꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
/* clang-format on */

/* Of two lines that a file fits the first is taken. */
static const struct sinq_named_pretokenizer table[] = {
    {.names = "gpt-2 gpt2 phi-2 jina-es jina-de jina-v2-es jina-v2-de mpt olmo jais trillion granite-docling "
              "exaone4 gigachat",
     .regexes = {SINQ_GPT2_WORDS}},
    {.names = "qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan grok-2",
     .regexes = {CONTRACTIONS "|" WORDS "|\\p{N}" SIGNS SPACES}},
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
     .regexes = {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" SIGNS SPACES},
     .ignores_merges = true,
     .adds_bos = true},
    {.names = "smaug-bpe dbrx glm4 chatglm-bpe", .regexes = {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" SIGNS SPACES}},
    {.names = "qwen35",
     .regexes = {CONTRACTIONS
                 "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES}},
    {.names = "deepseek-v3 hunyuan-dense",
     .regexes = {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                 "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
                 "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"}},
    {.names = "deepseek-llm",
     .regexes = {"[\r\n]", DEEPSEEK_LETTERS, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥ࠀ-一가-퟿]+",
                 "\\p{N}"}},
    {.names = "deepseek-coder",
     .regexes = {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"}},
    {.names = "tekken", .regexes = {CASED("") "|\\p{N}" SLASHED SPACES}, .ignores_merges = true, .adds_bos = true},
    {.names = "gpt-4o llama4", .regexes = {CASED(CONTRACTIONS "?") "|\\p{N}{1,3}" SLASHED SPACES}},
    {.names = "starcoder refact command-r smollm codeshell exaone minerva-7b", .regexes = {"\\p{N}", SINQ_GPT2_WORDS}},
    {.names = "falcon", .regexes = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", SINQ_GPT2_WORDS, "[0-9][0-9][0-9]"}},
    {.names = "default", .regexes = {"[\\p{P}\\$\\+<=>\\^~\\|]+", SINQ_GPT2_WORDS, "\\p{N}+", "[0-9][0-9][0-9]"}},
};
#define ROWS (sizeof table / sizeof table[0])

/* ---- by name ---- */

static bool has_name(const char *names, const char *name, size_t size) {
    for (const char *at = names; *at != '\0';) {
        const size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, name, size) == 0) return true;
        at += length;
        at += strspn(at, " ");
    }
    return false;
}

const struct sinq_named_pretokenizer *sinq_find_named_pretokenizer(const char *name, size_t size) {
    for (size_t i = 0; i < ROWS; i++) {
        if (has_name(table[i].names, size == 0 ? "default" : name, size == 0 ? strlen("default") : size)) {
            return &table[i];
        }
    }
    return NULL;
}

/* ---- by what it does ---- */

/* What a tokenizer.json's pre-tokenizer does, as a list of expressions. */
struct listing {
    const char *regexes[SINQ_NAMED_STAGES];
    size_t count;
    bool has_ended; /* ByteLevel has come */
};

static const char *find_split_regex(const cJSON *json) {
    const cJSON *const pattern = cJSON_GetObjectItemCaseSensitive(json, "pattern");
    const char *const behavior = sinq_component_string(json, "behavior");
    const bool is_isolated = behavior != NULL && strcmp(behavior, "Isolated") == 0;
    return is_isolated && !sinq_component_flag(json, "invert", false) ? sinq_component_string(pattern, "Regex") : NULL;
}

/* The expression that does the same as a stage; "" for one that only names bytes, NULL where there is none. */
static const char *find_regex(const char *type, const cJSON *json) {
    if (strcmp(type, "Split") == 0) return find_split_regex(json);
    if (strcmp(type, "Digits") == 0) {
        return sinq_component_flag(json, "individual_digits", false) ? "\\p{N}" : "\\p{N}+";
    }
    if (strcmp(type, "ByteLevel") != 0 || sinq_component_flag(json, "add_prefix_space", true)) return NULL;
    return sinq_component_flag(json, "use_regex", true) ? SINQ_GPT2_WORDS : "";
}

static int list_stage(void *user, const struct sinq_place *place, const char *type, const cJSON *json,
                      struct sinq_error *error) {
    struct listing *const list = user;
    const char *const regex = find_regex(type, json);
    const bool is_full = list->count == SINQ_NAMED_STAGES;
    if (regex == NULL || list->has_ended || (is_full && regex[0] != '\0')) {
        return sinq_fail(error, SINQ_FAILED, "%.300s: %s: GGUF has no name for a pre-tokenizer with this %.100s",
                         place->path, place->section, type);
    }
    list->has_ended = strcmp(type, "ByteLevel") == 0;
    if (regex[0] != '\0') list->regexes[list->count++] = regex;
    return SINQ_OK;
}

static bool fits(const struct sinq_named_pretokenizer *row, const struct listing *list) {
    size_t count = 0;
    while (count < SINQ_NAMED_STAGES && row->regexes[count] != NULL) count++;
    if (count != list->count) return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(row->regexes[i], list->regexes[i]) != 0) return false;
    }
    return true;
}

int sinq_name_pretokenizer(const char *path, const cJSON *json, bool ignores_merges,
                           const struct sinq_named_pretokenizer **named, struct sinq_error *error) {
    const struct sinq_place place = {path, "pre_tokenizer"};
    struct listing list = {.count = 0};
    const int status = sinq_read_components(&place, json, "pretokenizers", list_stage, &list, error);
    if (status != SINQ_OK) return status;
    for (size_t i = 0; i < ROWS; i++) {
        if (table[i].ignores_merges != ignores_merges || !fits(&table[i], &list)) continue;
        *named = &table[i];
        return SINQ_OK;
    }
    return sinq_fail(error, SINQ_FAILED, "%.300s: GGUF has no name for a pre-tokenizer that splits at %.300s%s%s", path,
                     list.count > 0 ? list.regexes[0] : "nothing", list.count > 1 ? ", ..." : "",
                     ignores_merges ? " and ignores merges" : "");
}

/* ---- as tokenizer.json ---- */

void sinq_print_named_pretokenizer(const struct sinq_named_pretokenizer *named, struct sinq_text *json) {
    sinq_text_add(json, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (size_t i = 0; i < SINQ_NAMED_STAGES && named->regexes[i] != NULL; i++) {
        sinq_text_add(json, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
        sinq_text_add_json(json, named->regexes[i]);
        sinq_text_add(json, "},\"behavior\":\"Isolated\",\"invert\":false},");
    }
    sinq_text_add(json,
                  "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}]}");
}
