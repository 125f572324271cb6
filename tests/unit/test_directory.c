/* Hugging Face directories: index, shards, config.json, sidecars. */
#define _GNU_SOURCE
#include "checkpoint_files.h"
#include "tensor/dual_scale.h"
#include "unit.h"

#define INDEX            "model.safetensors.index.json"
#define T(name, offsets) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" offsets "}"

static const uint8_t data[4] = {1, 2, 3, 4};

static void write_two_shards(void) {
    empty_folder();
    write_safetensors("s-1.safetensors", "{" T("a", "[2,4]") "," T("b", "[0,2]") "}", data, 4);
    write_safetensors("s-2.safetensors", "{" T("c", "[0,2]") "}", data, 2);
}

static void expect_names(const struct sinq_source *source, const char *const *names, size_t count) {
    ck_assert_uint_eq(sinq_source_tensor_count(source), count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_eq(sinq_source_tensor(source, i)->name, names[i]);
        ck_assert_int_eq(sinq_source_find(source, names[i]), (int64_t)i);
    }
}

START_TEST(shards_are_read_with_and_without_an_index) {
    static const char *const indexes[] = {
        NULL,
        "{\"metadata\":{\"total_size\":6.0},\"weight_map\":{\"c\":\"s-2.safetensors\",\"a\":\"s-1.safetensors\","
        "\"b\":\"s-1.safetensors\"}}",
        " {\"weight_map\" : {\"b\":\"s-1.safetensors\" , \"a\":\"s-1.safetensors\",\n\"c\":\"s-2.safetensors\"},"
        "\"other\":[null,true,false,-0.5e+3,{}]} \n",
    };
    static const char *const names[] = {"b", "a", "c"};
    make_folder();
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        write_two_shards();
        if (indexes[i] != NULL) write_text(INDEX, indexes[i]);
        struct sinq_source *const source = open_good(scratch);
        expect_names(source, names, 3);
        ck_assert(sinq_source_is_directory(source));
        ck_assert_str_eq(sinq_source_format(source), "Hugging Face directory");
        ck_assert_uint_eq(sinq_source_shard_count(source), 2);
        ck_assert_str_eq(sinq_source_shard_path(source, 1), path_of("s-2.safetensors"));
        ck_assert_uint_eq(sinq_source_tensor(source, 2)->shard, 1);
        uint8_t bytes[2];
        ck_assert_int_eq(sinq_read_bytes(source, 1, 0, 2, bytes, NULL), SINQ_OK);
        ck_assert_mem_eq(bytes, data + 2, 2);
        ck_assert_int_eq(sinq_read_bytes(source, 2, 1, 1, bytes, NULL), SINQ_OK);
        ck_assert_uint_eq(bytes[0], 2);
        sinq_source_close(source);
    }
    remove_folder();
}
END_TEST

START_TEST(model_safetensors_alone_is_preferred_without_an_index) {
    static const char *const names[] = {"m"};
    make_folder();
    write_two_shards();
    write_safetensors("model.safetensors", "{" T("m", "[0,2]") "}", data, 2);
    struct sinq_source *const source = open_good(scratch);
    expect_names(source, names, 1);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

static const struct {
    const char *what, *index;
    const char *reasons[3];
} bad_indexes[] = {
    {"missing shard",
     "{\"weight_map\":{\"a\":\"s-1.safetensors\",\"b\":\"s-1.safetensors\",\"c\":\"s-3.safetensors\"}}",
     {"s-3.safetensors", "missing", INDEX}},
    {"shard with a path", "{\"weight_map\":{\"a\":\"../s-1.safetensors\"}}", {INDEX, "tensor a", "plain file name"}},
    {"absolute shard", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", {INDEX, "tensor a", "plain file name"}},
    {"shard in a folder", "{\"weight_map\":{\"a\":\"x/y\"}}", {INDEX, "tensor a", "plain file name"}},
    {"shard is the parent", "{\"weight_map\":{\"a\":\"..\"}}", {INDEX, "tensor a", "plain file name"}},
    {"shard is the folder", "{\"weight_map\":{\"a\":\".\"}}", {INDEX, "tensor a", "plain file name"}},
    {"shard without a name", "{\"weight_map\":{\"a\":\"\"}}", {INDEX, "tensor a", "plain file name"}},
    {"shard with backslashes", "{\"weight_map\":{\"a\":\"..\\\\x\"}}", {INDEX, "tensor a", "plain file name"}},
    {"path by escapes", "{\"weight_map\":{\"a\":\"\\u002e\\u002e\\u002fx\"}}", {INDEX, "tensor a", "plain file name"}},
    {"shard no string", "{\"weight_map\":{\"a\":1}}", {INDEX, "tensor a", "string"}},
    {"tensor the index does not know",
     "{\"weight_map\":{\"a\":\"s-1.safetensors\",\"c\":\"s-2.safetensors\"}}",
     {"s-1.safetensors", "tensor b", "does not know it"}},
    {"tensor its shard lacks",
     "{\"weight_map\":{\"a\":\"s-1.safetensors\",\"b\":\"s-1.safetensors\",\"c\":\"s-2.safetensors\",\"d\":\"s-2."
     "safetensors\"}}",
     {"s-2.safetensors", "tensor d", "is not in this file"}},
    {"tensor in another shard",
     "{\"weight_map\":{\"a\":\"s-1.safetensors\",\"b\":\"s-2.safetensors\",\"c\":\"s-2.safetensors\"}}",
     {"s-1.safetensors", "tensor b", "has it in s-2.safetensors"}},
    {"duplicate name",
     "{\"weight_map\":{\"a\":\"s-1.safetensors\",\"a\":\"s-1.safetensors\"}}",
     {INDEX, "tensor a twice"}},
    {"two maps", "{\"weight_map\":{},\"weight_map\":{}}", {INDEX, "\"weight_map\" twice"}},
    {"empty map", "{\"weight_map\":{}}", {INDEX, "names any tensor"}},
    {"no map", "{\"metadata\":{}}", {INDEX, "names any tensor"}},
    {"map no object", "{\"weight_map\":[]}", {INDEX, "object"}},
    {"invalid JSON", "{\"weight_map\":{\"a\":\"s-1.safetensors\"", {INDEX, "invalid JSON"}},
    {"empty file", "", {INDEX, "invalid JSON"}},
    {"invalid UTF-8", "{\"weight_map\":{\"\xfe\":\"s-1.safetensors\"}}", {INDEX, "UTF-8"}},
    {"trailing text", "{\"weight_map\":{\"a\":\"s-1.safetensors\"}}x", {INDEX, "nothing more"}},
    {"shard is the index", "{\"weight_map\":{\"a\":\"" INDEX "\"}}", {INDEX, "JSON text"}},
};

START_TEST(bad_indexes_are_refused_with_their_reason) {
    make_folder();
    for (size_t i = 0; i < sizeof bad_indexes / sizeof bad_indexes[0]; i++) {
        write_two_shards();
        write_text(INDEX, bad_indexes[i].index);
        expect_refused(bad_indexes[i].what, scratch, bad_indexes[i].reasons);
    }
    remove_folder();
}
END_TEST

START_TEST(hostile_indexes_cost_little_time_and_memory) {
    static const struct {
        const char *what, *before, *repeated, *after;
        const char *reasons[3];
    } cases[] = {
        {"brackets", "", "[", "", {INDEX, "object"}},
        {"nested values", "{\"x\":", "{\"\":", "", {INDEX, "nested"}},
        {"one name", "{\"weight_map\":{\"", "x", "\":\"s\"}}", {INDEX, "shorter string"}},
        {"one file name", "{\"weight_map\":{\"x\":\"", "x", "\"}}", {INDEX, "tensor x", "shorter string"}},
        {"tensors", "{\"weight_map\":{", "\"%\":\"s\",", "\"\":\"s\"}}", {INDEX, "more than 400000 tensors"}},
        {"files", "{\"weight_map\":{", "\"%\":\"%\",", "\"\":\"s\"}}", {INDEX, "more than 10000 files"}},
        {"white space", " ", " ", "", {INDEX, "object"}},
    };
    make_folder();
    write_two_shards();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_large(INDEX, false, 100000000, cases[i].before, cases[i].repeated, cases[i].after);
        expect_cheap_refusal(cases[i].what, scratch, cases[i].reasons);
    }
    write_large(INDEX, false, 100000001, "", " ", "");
    expect_refused("index over the limit", scratch, (const char *const[3]){INDEX, "more than 100000000 bytes"});
    write_large("config.json", false, 8 << 20, "{\"x\":\"", "x", "\"");
    expect_cheap_refusal("large config", scratch, (const char *const[3]){"config.json", "invalid JSON"});
    write_large("config.json", false, (8 << 20) + 1, "{\"x\":\"", "x", "\"}");
    expect_refused("config over the limit", scratch, (const char *const[3]){"config.json", "at most 8388608"});
    remove_folder();
}
END_TEST

START_TEST(bad_directories_are_refused_with_their_reason) {
    make_folder();
    expect_refused("empty directory", scratch, (const char *const[3]){scratch, "without weights", INDEX});
    write_text("config.json", "{}");
    expect_refused("config alone", scratch, (const char *const[3]){"without weights", ".safetensors"});
    write_text("pytorch_model.bin", "");
    expect_refused("PyTorch weights", scratch, (const char *const[3]){"cannot read pytorch_model.bin"});
    write_two_shards();
    write_safetensors("s-3.safetensors", "{" T("b", "[0,2]") "}", data, 2);
    expect_refused("name in two shards", scratch,
                   (const char *const[3]){"s-3.safetensors: tensor b", "s-1.safetensors has a tensor"});
    write_two_shards();
    ck_assert_int_eq(symlink("nowhere", path_of("tokenizer.json")), 0);
    expect_refused("dangling sidecar", scratch, (const char *const[3]){"tokenizer.json", "No such file"});
    write_two_shards();
    ck_assert_int_eq(mkdir(path_of("x.safetensors"), 0700), 0);
    expect_refused("folder as shard", scratch, (const char *const[3]){"x.safetensors", "not a regular file"});
    write_two_shards();
    write_text("s-2.safetensors", "version https://git-lfs.github.com/spec/v1\n");
    expect_refused("LFS pointer", scratch, (const char *const[3]){"s-2.safetensors", "git lfs pull"});
    remove_folder();
}
END_TEST

START_TEST(bad_configs_are_refused_with_their_reason) {
    static const struct {
        const char *what, *config;
        const char *reasons[3];
    } cases[] = {
        {"empty", "", {"config.json", "invalid JSON"}},
        {"no object", "[]", {"config.json", "object"}},
        {"cut off", "{\"model_type\":\"x\"", {"config.json", "invalid JSON"}},
        {"trailing text", "{}{}", {"config.json", "nothing more"}},
        {"invalid UTF-8", "{\"x\":\"\xc3(\"}", {"config.json", "UTF-8"}},
        {"NUL in a string", "{\"x\":\"\\u0000\"}", {"config.json", "\\u0000"}},
        {"model_type no string", "{\"model_type\":3}", {"config.json", "string"}},
        {"quantization no object", "{\"quantization_config\":\"x\"}", {"config.json", "object"}},
        {"two quantizations", "{\"quantization_config\":{},\"quantization_config\":{}}", {"config.json", "only one"}},
        {"block of one side", "{\"quantization_config\":{\"weight_block_size\":[128]}}", {"config.json", "two sides"}},
        {"empty block",
         "{\"quantization_config\":{\"weight_block_size\":[0,128]}}",
         {"config.json", "weight_block_size"}},
        {"bad number", "{\"x\":01}", {"config.json", "invalid JSON"}},
        {"bad word", "{\"x\":nul}", {"config.json", "invalid JSON"}},
    };
    make_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_two_shards();
        write_text("config.json", cases[i].config);
        expect_refused(cases[i].what, scratch, cases[i].reasons);
    }
    char *const deep = malloc(20000);
    ck_assert_ptr_nonnull(deep);
    strcpy(deep, "{\"x\":");
    memset(deep + 5, '[', 19000);
    deep[19005] = '\0';
    write_text("config.json", deep);
    free(deep);
    expect_refused("deep nesting", scratch, (const char *const[3]){"config.json", "nested"});
    remove_folder();
}
END_TEST

START_TEST(configs_say_what_the_model_is) {
    static const struct {
        const char *config, *model_type, *quantization;
    } cases[] = {
        {NULL, NULL, NULL},
        {"{}", NULL, NULL},
        {"{\"model_type\":null,\"quantization_config\":null}", NULL, NULL},
        {"{\"model_type\":\"qwen3\",\"time_step_limit\":[0.0,Infinity,-Infinity,NaN]}", "qwen3", NULL},
        {"{\"model_type\":\"gemma3\",\"text_config\":{\"x\":[1],\"model_type\":\"gemma3_text\"}}", "gemma3_text", NULL},
        {"{\"text_config\":{\"model_type\":\"gemma3_text\"},\"model_type\":\"gemma3\"}", "gemma3_text", NULL},
        {"{\"text_config\":null,\"model_type\":\"gemma3\",\"vision_config\":{\"model_type\":\"v\"}}", "gemma3", NULL},
        {"{\"model_type\":\"x\", \"quantization_config\" : {\"a\": [1, {\"b\":\"}\"}]} , \"y\":1}", "x",
         "{\"a\": [1, {\"b\":\"}\"}]}"},
    };
    make_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_two_shards();
        if (cases[i].config != NULL) write_text("config.json", cases[i].config);
        struct sinq_source *const source = open_good(scratch);
        const char *const found[] = {sinq_source_config(source), sinq_source_model_type(source),
                                     sinq_source_quantization(source)};
        const char *const expected[] = {cases[i].config, cases[i].model_type, cases[i].quantization};
        for (size_t k = 0; k < 3; k++) {
            ck_assert_int_eq(found[k] == NULL, expected[k] == NULL);
            if (found[k] != NULL) ck_assert_str_eq(found[k], expected[k]);
        }
        sinq_source_close(source);
        /* One of the files alone is a bare file: what lies beside it is not its own. */
        struct sinq_source *const file = open_good(path_of("s-1.safetensors"));
        ck_assert(!sinq_source_is_directory(file) && sinq_source_config(file) == NULL);
        ck_assert(sinq_source_model_type(file) == NULL && sinq_source_sidecar_count(file) == 0);
        sinq_source_close(file);
    }
    remove_folder();
}
END_TEST

START_TEST(sidecars_are_the_files_that_belong_to_the_model) {
    static const char *const sidecars[] = {"added_tokens.json",
                                           "chat_template.jinja",
                                           "chat_template.json",
                                           "config.json",
                                           "generation_config.json",
                                           "merges.txt",
                                           "preprocessor_config.json",
                                           "processor_config.json",
                                           "special_tokens_map.json",
                                           "spiece.model",
                                           "tokenizer.json",
                                           "tokenizer.model",
                                           "tokenizer_config.json",
                                           "vocab.json",
                                           "vocab.txt"};
    static const char *const others[] = {
        "README.md",         "LICENSE",         ".gitattributes",       "quantize_config.json",
        "pytorch_model.bin", ".tokenizer.json", "hf_quant_config.json", "modeling.py"};
    enum { SIDECARS = sizeof sidecars / sizeof sidecars[0] };
    make_folder();
    write_two_shards();
    write_text(INDEX,
               "{\"weight_map\":{\"c\":\"s-2.safetensors\",\"a\":\"s-1.safetensors\",\"b\":\"s-1.safetensors\"}}");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) write_text(others[i], "{}");
    /* As in a cache of downloads: links to files of other names. */
    for (size_t i = 0; i < SIDECARS; i++) {
        char blob[32];
        (void)snprintf(blob, sizeof blob, "blob%zu", i);
        write_text(blob, i == 3 ? "{}" : sidecars[i]);
        ck_assert_int_eq(symlink(blob, path_of(sidecars[i])), 0);
    }
    ck_assert_int_eq(mkdir(path_of("tokenizer"), 0700), 0);
    struct sinq_source *const source = open_good(scratch);
    ck_assert_uint_eq(sinq_source_sidecar_count(source), SIDECARS);
    for (size_t i = 0; i < SIDECARS; i++) {
        const char *const text = i == 3 ? "{}" : sidecars[i];
        char *bytes = NULL;
        size_t size = 0;
        ck_assert_str_eq(sinq_source_sidecar_name(source, i), sidecars[i]);
        ck_assert_int_eq(sinq_source_read_sidecar(source, i, &bytes, &size, NULL), SINQ_OK);
        ck_assert_uint_eq(size, strlen(text));
        ck_assert_str_eq(bytes, text);
        free(bytes);
    }
    char *bytes = NULL;
    size_t size = 0;
    ck_assert_ptr_null(sinq_source_sidecar_name(source, SIDECARS));
    ck_assert_int_ne(sinq_source_read_sidecar(source, SIDECARS, &bytes, &size, NULL), SINQ_OK);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

START_TEST(an_index_names_quantized_matrices_as_they_are_stored) {
    const struct sinq_dual_scale matrix = {
        .rows = 3, .cols = 5, .bits = 4, .factor = 1, .scale_type = SINQ_AUX_F16, .zero_type = SINQ_AUX_F16};
    struct sinq_dual_scale_sizes sizes;
    ck_assert(sinq_dual_scale_measure(&matrix, &sizes));
    uint8_t *const blob = calloc(1, (size_t)sizes.bytes);
    ck_assert_ptr_nonnull(blob);
    sinq_dual_scale_seal(&matrix, blob);
    char header[200];
    (void)snprintf(header, sizeof header,
                   "{\"w.dual_scale\":{\"dtype\":\"U8\",\"shape\":[%llu],\"data_offsets\":[0,%llu]}}",
                   (unsigned long long)sizes.bytes, (unsigned long long)sizes.bytes);
    make_folder();
    write_safetensors("s.safetensors", header, blob, (size_t)sizes.bytes);
    write_text(INDEX, "{\"weight_map\":{\"w.dual_scale\":\"s.safetensors\"}}");
    struct sinq_source *const source = open_good(scratch);
    ck_assert_int_eq(sinq_source_find(source, "w"), 0);
    ck_assert_int_eq((int)sinq_source_tensor(source, 0)->dtype, (int)SINQ_DUAL_SCALE);
    sinq_source_close(source);
    write_text(INDEX, "{\"weight_map\":{\"w\":\"s.safetensors\"}}");
    expect_refused("logical name in the index", scratch,
                   (const char *const[3]){"tensor w.dual_scale", "does not know"});
    free(blob);
    remove_folder();
}
END_TEST

/* More shards than are kept open. */
START_TEST(many_shards_are_read) {
    enum { SHARDS = 1100 };
    make_folder();
    for (int i = 0; i < SHARDS; i++) {
        char name[32], header[100];
        (void)snprintf(name, sizeof name, "s%04d.safetensors", i);
        (void)snprintf(header, sizeof header, "{\"t%d\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]}}", i);
        write_safetensors(name, header, &i, sizeof i);
    }
    struct sinq_source *const source = open_good(scratch);
    ck_assert_uint_eq(sinq_source_tensor_count(source), SHARDS);
    for (size_t i = 0; i < SHARDS; i++) {
        float value = -1;
        ck_assert_int_eq(sinq_read_rows(source, i, 0, 1, &value, NULL), SINQ_OK);
        ck_assert(value == (float)i);
    }
    /* One that is opened anew for every read must still be the same file. */
    write_text("new", "something else of another size");
    ck_assert_int_eq(rename(path_of("new"), path_of("s1099.safetensors")), 0);
    struct sinq_error error = {0};
    float value;
    ck_assert_int_eq(sinq_read_rows(source, 1099, 0, 1, &value, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "s1099.safetensors: was replaced"));
    sinq_source_close(source);
    remove_folder();
}
END_TEST

START_TEST(real_directories_are_read) {
    static const struct {
        const char *config, *model_type;
    } cases[] = {{"models/classics-3m/config.json", "qwen3"},
                 {"golden/arch/mixtral/config.json", "mixtral"},
                 {"golden/arch/gemma3_text/config.json", "gemma3_text"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *const path = find_shared(cases[i].config);
        if (path == NULL) continue;
        *strrchr(path, '/') = '\0';
        struct sinq_source *const source = open_good(path);
        ck_assert_str_eq(sinq_source_model_type(source), cases[i].model_type);
        ck_assert_str_eq(sinq_source_sidecar_name(source, 0), "config.json");
        ck_assert_uint_gt(sinq_source_tensor_count(source), 10);
        sinq_source_close(source);
        free(path);
    }
}
END_TEST

UNIT_MAIN("directory", shards_are_read_with_and_without_an_index, model_safetensors_alone_is_preferred_without_an_index,
          bad_indexes_are_refused_with_their_reason, hostile_indexes_cost_little_time_and_memory,
          bad_directories_are_refused_with_their_reason, bad_configs_are_refused_with_their_reason,
          configs_say_what_the_model_is, sidecars_are_the_files_that_belong_to_the_model,
          an_index_names_quantized_matrices_as_they_are_stored, many_shards_are_read, real_directories_are_read)
