/* test_tokenizer_files.c: files that are wrong, each with one clear line; and what a checkpoint's other files say. */
#include "checkpoint_files.h"
#include "tokenizer_cases.h"

#define MODEL     "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define BPE(more) "{\"model\":{" more "}}"
#define NESTED    "{\"type\":\"Sequence\",\"pretokenizers\":["

static const struct {
    const char *name, *json, *message;
} wrong[] = {
    {"nothing", "", "'{'"},
    {"no object", "[]", "'{'"},
    {"no model", "{\"decoder\":null}", "t.json: there is no \"model\""},
    {"cut off", "{\"model\":{\"vocab\":{\"a\":0", "t.json: invalid JSON at byte 24"},
    {"something behind", "{" MODEL "}x", "nothing more"},
    {"no vocabulary", BPE("\"merges\":[]"), "model has no \"vocab\""},
    {"no merges", BPE("\"vocab\":{}"), "model has no \"merges\""},
    {"another type", BPE("\"type\":\"WordPiece\",\"vocab\":{},\"merges\":[]"),
     "model: type WordPiece is not supported"},
    {"Unigram", BPE("\"type\":\"Unigram\",\"vocab\":[[\"a\",-1.5]]"), "model: type Unigram is not supported"},
    {"WordLevel", BPE("\"type\":\"WordLevel\",\"vocab\":{}"), "model: type WordLevel is not supported"},
    {"Unigram that does not say so", BPE("\"vocab\":[[\"a\",-1.5]],\"merges\":[]"), "only BPE is supported"},
    {"an id twice", BPE("\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]"), "id 0 is that of two tokens, one of them \"b\""},
    {"a token twice", BPE("\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]"), "token \"a\" is in the vocabulary twice"},
    {"an id of 2^31", BPE("\"vocab\":{\"a\":2147483648},\"merges\":[]"), "token \"a\" has id 2147483648"},
    {"an id of 2^64", BPE("\"vocab\":{\"a\":18446744073709551616},\"merges\":[]"), "an integer below 2^64"},
    {"a negative id", BPE("\"vocab\":{\"a\":-1},\"merges\":[]"), "a non-negative integer"},
    {"an id in quotes", BPE("\"vocab\":{\"a\":\"0\"},\"merges\":[]"), "a non-negative integer"},
    {"a merge of unknown tokens", BPE("\"vocab\":{\"a\":0},\"merges\":[\"a z\"]"),
     "model: merge 0, \"a\" with \"z\": not in the vocabulary"},
    {"a merge into an unknown token", BPE("\"vocab\":{\"a\":0,\"b\":1},\"merges\":[[\"a\",\"b\"]]"),
     "the result is not in the vocabulary"},
    {"a merge of nothing", BPE("\"vocab\":{\"a\":0},\"merges\":[\"a \"]"), "a side is empty"},
    {"a merge of one", BPE("\"vocab\":{\"a\":0},\"merges\":[\"a\"]"), "a merge of two tokens"},
    {"a merge of three", BPE("\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"a\",\"a\"]]"), "a pair of tokens"},
    {"a merge of numbers", BPE("\"vocab\":{\"a\":0},\"merges\":[[0,0]]"), "the beginning of a string"},
    {"an unknown token that is none", BPE("\"unk_token\":\"?\",\"vocab\":{\"a\":0},\"merges\":[]"),
     "unk_token \"?\" is not in the vocabulary"},
    {"a prefix of subwords", BPE("\"continuing_subword_prefix\":\"##\",\"vocab\":{},\"merges\":[]"),
     "continuing_subword_prefix \"##\" is not supported"},
    {"a suffix of words", BPE("\"end_of_word_suffix\":\"</w>\",\"vocab\":{},\"merges\":[]"),
     "end_of_word_suffix \"</w>\" is not supported"},
    {"an added token without id", "{" MODEL ",\"added_tokens\":[{\"content\":\"x\"}]}", "an added token has no id"},
    {"an added token with another's id", "{" MODEL ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]}",
     "added token \"x\" has id 1, which is another token's"},
    {"two added tokens with one id",
     "{" MODEL ",\"added_tokens\":[{\"id\":3,\"content\":\"x\"},{\"id\":3,\"content\":\"y\"}]}",
     "id 3 is that of two added tokens"},
    {"an added token with a large id", "{" MODEL ",\"added_tokens\":[{\"id\":4294967296,\"content\":\"x\"}]}",
     "added token \"x\": an id below"},
    {"sequences in sequences",
     "{\"pre_tokenizer\":" NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED
         NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED
             NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED
                 NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED NESTED "}",
     "fewer nested values"},
    {"an unknown decoder", "{" MODEL ",\"decoder\":{\"type\":\"CTC\"}}", "decoder: type CTC is not supported"},
    {"bytes behind Fuse",
     "{" MODEL ",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"ByteFallback\"}]}}",
     "a place before Fuse or ByteLevel was expected"},
    {"a count that is none", "{" MODEL ",\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}}",
     "a count"},
    {"an unknown processor", "{" MODEL ",\"post_processor\":{\"type\":\"X\"}}",
     "post_processor: type X is not supported"},
    {"a template without the text",
     "{" MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[],\"special_tokens\":{}}}",
     "with one Sequence"},
    {"a template of unknown tokens",
     "{" MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],"
     "\"special_tokens\":{}}}",
     "an entry with ids"},
    {"an id in a template that is none",
     "{" MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],"
     "\"special_tokens\":{\"x\":{\"ids\":[-3]}}}}",
     "a token id was expected"},
    {"lone surrogates", BPE("\"vocab\":{\"\\ud800\":0},\"merges\":[]"), "surrogate"},
    {"bytes that are not UTF-8", BPE("\"vocab\":{\"\xff\":0},\"merges\":[]"), "valid UTF-8"},
};

START_TEST(wrong_files_are_refused_in_one_line) {
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sinq_tokenizer *tokenizer = NULL;
        struct sinq_error error = {0};
        const int status = sinq_parse_tokenizer("t.json", wrong[i].json, strlen(wrong[i].json), &tokenizer, &error);
        ck_assert_msg(status == SINQ_FAILED && tokenizer == NULL, "%s was accepted", wrong[i].name);
        ck_assert_msg(strstr(error.message, wrong[i].message) != NULL, "%s: %s", wrong[i].name, error.message);
        ck_assert_msg(strncmp(error.message, "t.json", 6) == 0, "%s: %s", wrong[i].name, error.message);
    }
}
END_TEST

/* A vocabulary whose hashes were made to meet would be slow; a token of many megabytes is refused before it is kept. */
START_TEST(a_huge_token_is_refused) {
    const size_t size = 1 << 20;
    struct sinq_text json = {0};
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_error error = {0};
    sinq_text_add(&json, "{\"model\":{\"vocab\":{\"");
    for (size_t i = 0; i < size; i++) sinq_text_add(&json, "a");
    sinq_text_add(&json, "\":0},\"merges\":[]}}");
    ck_assert_int_eq(sinq_parse_tokenizer("t.json", json.data, json.size, &tokenizer, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "a shorter string"));
    sinq_text_free(&json);
}
END_TEST

/* ---- checkpoints ---- */

#define TOKENIZER                                                                                                      \
    "{" MODEL ",\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true},{\"id\":4,\"content\":\"</s>\","     \
    "\"special\":true}],\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}}" \
    ",{\"SpecialToken\":{\"id\":\"</s>\"}}],\"special_tokens\":{\"</s>\":{\"ids\":[4]}}}}"
#define NAMES "\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\"}"

static const struct {
    const char *name, *config, *generation, *tokenizer_config;
    const char *ends; /* of ids 0 to 4 */
    const char *ids;  /* of "ab" with special tokens */
} checkpoints[] = {
    {"tokenizer.json alone", "{}", NULL, NULL, "00000", "2 4"},
    {"config.json", "{\"eos_token_id\":1}", NULL, NULL, "01000", "2 4"},
    {"a list, and NaN beside it", "{\"x\":NaN,\"eos_token_id\":[1,2]}", NULL, NULL, "01100", "2 4"},
    {"null", "{\"eos_token_id\":null}", NULL, NULL, "00000", "2 4"},
    {"ids that are none", "{\"eos_token_id\":[-1,\"2\",99999999,18446744073709551615]}", NULL, NULL, "00000", "2 4"},
    {"generation_config.json adds to it", "{\"eos_token_id\":1}", "{\"eos_token_id\":[2,1]}", NULL, "01100", "2 4"},
    {"eos_token adds to it", "{\"eos_token_id\":1}", NULL, "{" NAMES "}", "01001", "2 4"},
    {"an unknown eos_token", "{}", NULL, "{\"eos_token\":\"<end>\"}", "00000", "2 4"},
    {"add_bos_token means nothing to most classes", "{}", NULL,
     "{" NAMES ",\"add_bos_token\":true,\"tokenizer_class\":\"Qwen2Tokenizer\"}", "00001", "2 4"},
    {"Llama's puts BOS in front", "{}", NULL, "{" NAMES ",\"tokenizer_class\":\"LlamaTokenizerFast\"}", "00001", "3 2"},
    {"unless told otherwise", "{}", NULL, "{" NAMES ",\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":false}",
     "00001", "2"},
    {"and EOS if told", "{}", NULL, "{" NAMES ",\"tokenizer_class\":\"GemmaTokenizer\",\"add_eos_token\":true}",
     "00001", "3 2 4"},
    {"a class without names leaves it alone", "{}", NULL, "{\"tokenizer_class\":\"LlamaTokenizer\"}", "00000", "2 4"},
};

static void make_checkpoint(const char *config) {
    static const float weight = 1;
    make_folder();
    write_safetensors("model.safetensors", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", &weight,
                      sizeof weight);
    write_text("config.json", config);
}

START_TEST(a_checkpoints_files_are_followed) {
    for (size_t i = 0; i < sizeof checkpoints / sizeof checkpoints[0]; i++) {
        struct sinq_tokenizer *tokenizer = NULL;
        struct sinq_error error = {0};
        make_checkpoint(checkpoints[i].config);
        write_text("tokenizer.json", TOKENIZER);
        if (checkpoints[i].generation != NULL) write_text("generation_config.json", checkpoints[i].generation);
        if (checkpoints[i].tokenizer_config != NULL)
            write_text("tokenizer_config.json", checkpoints[i].tokenizer_config);
        struct sinq_source *const source = open_good(scratch);
        const int status = sinq_open_tokenizer(source, &tokenizer, &error);
        ck_assert_msg(status == SINQ_OK, "%s: %s", checkpoints[i].name, error.message);
        for (int32_t id = 0; id < 5; id++) {
            ck_assert_msg(sinq_tokenizer_is_end(tokenizer, id) == (checkpoints[i].ends[id] == '1'), "%s: end %d",
                          checkpoints[i].name, id);
        }
        struct sinq_tokens tokens = tokenize(tokenizer, "ab", 2, SINQ_TOKENIZE_SPECIAL);
        struct sinq_text ids = write_ids(&tokens);
        ck_assert_msg(strcmp(ids.data, checkpoints[i].ids) == 0, "%s: %s", checkpoints[i].name, ids.data);
        sinq_text_free(&ids);
        sinq_tokens_free(&tokens);
        sinq_tokenizer_free(tokenizer);
        sinq_source_close(source);
        remove_folder();
    }
}
END_TEST

static const struct {
    const char *name, *file, *text, *message;
} lacking[] = {
    {"no tokenizer", "README.md", "", "the model has no tokenizer.json; --token-ids takes ids instead of text"},
    {"SentencePiece's file", "tokenizer.model", "x",
     "no tokenizer.json (it has tokenizer.model, which is not read); --token-ids"},
    {"GPT-2's files", "vocab.json", "{}", "(it has vocab.json, which is not read)"},
    {"a broken tokenizer", "tokenizer.json", "{", "/tokenizer.json: invalid JSON at byte 1"},
};

START_TEST(a_checkpoint_without_a_tokenizer_names_the_way_out) {
    for (size_t i = 0; i < sizeof lacking / sizeof lacking[0]; i++) {
        struct sinq_tokenizer *tokenizer = NULL;
        struct sinq_error error = {0};
        make_checkpoint("{}");
        write_text(lacking[i].file, lacking[i].text);
        struct sinq_source *const source = open_good(scratch);
        ck_assert_int_eq(sinq_open_tokenizer(source, &tokenizer, &error), SINQ_FAILED);
        ck_assert_ptr_null(tokenizer);
        ck_assert_msg(strstr(error.message, lacking[i].message) != NULL, "%s: %s", lacking[i].name, error.message);
        sinq_source_close(source);
        remove_folder();
    }
}
END_TEST

/* config.json was checked when the checkpoint was opened. */
START_TEST(broken_files_beside_it_are_named) {
    static const char *const names[] = {"generation_config.json", "tokenizer_config.json"};
    for (size_t i = 0; i < 2; i++) {
        struct sinq_tokenizer *tokenizer = NULL;
        struct sinq_error error = {0};
        make_checkpoint("{}");
        write_text("tokenizer.json", TOKENIZER);
        write_text(names[i], "{\"eos_token_id\":[1");
        struct sinq_source *const source = open_good(scratch);
        ck_assert_int_eq(sinq_open_tokenizer(source, &tokenizer, &error), SINQ_FAILED);
        ck_assert_ptr_null(tokenizer);
        ck_assert_msg(strstr(error.message, names[i]) != NULL, "%s", error.message);
        sinq_source_close(source);
        remove_folder();
    }
}
END_TEST

UNIT_MAIN("tokenizer_files", wrong_files_are_refused_in_one_line, a_huge_token_is_refused,
          a_checkpoints_files_are_followed, a_checkpoint_without_a_tokenizer_names_the_way_out,
          broken_files_beside_it_are_named)
