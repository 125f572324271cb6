/* test_tokenizer_golden.c: the ids of Hugging Face's own library for real tokenizers, and the way back to the text. */
#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer_cases.h"

static const struct {
    const char *tokenizer, *golden;
    bool is_byte_level, is_nfc;
} files[] = {
    {"models/classics-3m/tokenizer.json", "golden/tokenizers/classics-3m.json", true, true},
    {"models/classics-45m/tokenizer.json", "golden/tokenizers/classics-45m.json", true, true},
    {"tokenizers/gpt2/tokenizer.json", "golden/tokenizers/gpt2.json", true, false},
    {"tokenizers/llama3/tokenizer.json", "golden/tokenizers/llama3.json", true, false},
    {"tokenizers/qwen3/tokenizer.json", "golden/tokenizers/qwen3.json", true, true},
    {"tokenizers/deepseek_v3/tokenizer.json", "golden/tokenizers/deepseek_v3.json", true, false},
    {"tokenizers/llama2-sp/tokenizer.json", "golden/tokenizers/llama2-sp.json", false, false},
    {"tokenizers/mistral-7b-v0.1/tokenizer.json", "golden/tokenizers/mistral-7b-v0.1.json", false, false},
};

struct golden {
    struct sinq_text text;
    struct sinq_tokens ids;
};

static bool read_ids(struct sinq_json *json, struct sinq_tokens *ids) {
    ids->count = 0;
    bool is_good = sinq_json_begin_array(json);
    for (bool first = true; is_good && sinq_json_next_element(json, &first);) {
        uint64_t id;
        is_good = sinq_json_read_u64(json, &id);
        if (ids->count == ids->capacity) {
            ids->capacity = ids->capacity == 0 ? 64 : 2 * ids->capacity;
            ids->ids = realloc(ids->ids, ids->capacity * sizeof *ids->ids);
            ck_assert_ptr_nonnull(ids->ids);
        }
        ids->ids[ids->count++] = (int32_t)id;
    }
    return is_good && !json->has_failed;
}

static bool read_golden(struct sinq_json *json, struct golden *golden) {
    struct sinq_text key = {0};
    bool is_good = sinq_json_begin_object(json);
    for (bool first = true; is_good && sinq_json_next_key(json, &first, 100, &key);) {
        is_good = strcmp(key.data, "text") == 0 ? sinq_json_read_string(json, 1 << 20, &golden->text)
                                                : read_ids(json, &golden->ids);
    }
    sinq_text_free(&key);
    return is_good && !json->has_failed;
}

static void check_ids(const struct sinq_tokenizer *tokenizer, const struct golden *golden, const char *name) {
    struct sinq_tokens tokens = tokenize(tokenizer, golden->text.data, golden->text.size, 0);
    struct sinq_text got = write_ids(&tokens), expected = write_ids(&golden->ids);
    ck_assert_msg(strcmp(got.data, expected.data) == 0, "%s: \"%s\"\n got      %s\n expected %s", name,
                  golden->text.data, got.data, expected.data);
    sinq_text_free(&got);
    sinq_text_free(&expected);
    sinq_tokens_free(&tokens);
}

static void check_round_trip(const struct sinq_tokenizer *tokenizer, const struct golden *golden, bool is_nfc) {
    struct sinq_text text = decode(tokenizer, &golden->ids, false);
    utf8proc_uint8_t *normal = NULL;
    const utf8proc_option_t options = is_nfc ? UTF8PROC_STABLE | UTF8PROC_COMPOSE : 0;
    const utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)golden->text.data,
                                               (utf8proc_ssize_t)golden->text.size, &normal, options);
    ck_assert_uint_eq(text.size, (size_t)size);
    ck_assert_mem_eq(text.data, normal, text.size);
    free(normal);
    sinq_text_free(&text);
}

static uint32_t next_random(void) {
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* Characters of all planes, the most of the first; marks and spaces often. */
static void make_text(struct sinq_text *text) {
    static const uint32_t limits[] = {0x80, 0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000};
    text->size = 0;
    sinq_text_add(text, "");
    for (uint32_t left = next_random() % 60; left > 0; left--) {
        char bytes[4];
        const uint32_t kind = next_random() % 10;
        uint32_t point = kind == 7 ? 0x300 + next_random() % 0x70 : kind >= 8 ? ' ' : next_random() % limits[kind];
        if (point >= 0xd800 && point < 0xe000) point = 'x';
        sinq_text_add_bytes(text, bytes, sinq_encode_utf8(point, bytes));
    }
}

/* decode(encode(x)) is the normal form of x, whatever it is made of. */
static void check_random_texts(const struct sinq_tokenizer *tokenizer, bool is_nfc) {
    struct golden made = {0};
    for (int i = 0; i < 300; i++) {
        make_text(&made.text);
        made.ids = tokenize(tokenizer, made.text.data, made.text.size, 0);
        check_round_trip(tokenizer, &made, is_nfc);
        sinq_tokens_free(&made.ids);
    }
    sinq_text_free(&made.text);
}

START_TEST(ids_are_those_of_the_reference) {
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        char *const tokenizer_path = find_shared(files[f].tokenizer), *const path = find_shared(files[f].golden);
        if (tokenizer_path != NULL && path != NULL) {
            struct sinq_tokenizer *const tokenizer = parse_file(tokenizer_path);
            struct sinq_error error = {0};
            struct sinq_json json;
            struct golden golden = {0};
            char *text = NULL;
            size_t size = 0, count = 0;
            ck_assert_int_eq(sinq_read_file(path, 1 << 24, &text, &size, &error), SINQ_OK);
            sinq_json_open_text(&json, path, text, size, &error);
            json.allow_nul = true;
            ck_assert(sinq_json_begin_array(&json));
            for (bool first = true; sinq_json_next_element(&json, &first); count++) {
                ck_assert_msg(read_golden(&json, &golden), "%s", error.message);
                check_ids(tokenizer, &golden, files[f].tokenizer);
                if (files[f].is_byte_level) check_round_trip(tokenizer, &golden, files[f].is_nfc);
            }
            ck_assert_msg(!json.has_failed, "%s", error.message);
            ck_assert_uint_gt(count, 100);
            if (files[f].is_byte_level) check_random_texts(tokenizer, files[f].is_nfc);
            sinq_json_close(&json);
            sinq_text_free(&golden.text);
            sinq_tokens_free(&golden.ids);
            sinq_tokenizer_free(tokenizer);
            free(text);
        }
        free(tokenizer_path);
        free(path);
    }
}
END_TEST

UNIT_MAIN("tokenizer_golden", ids_are_those_of_the_reference)
