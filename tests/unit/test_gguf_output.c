/* test_gguf_output.c: GGUF files as they are written, read back by a parser of the test's own. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/source.h"
#include "formats.h"
#include "quant/matrix/column_scales.h"
#include "tensor/block_types.h"
#include "unit.h"

#include <math.h>
#include <string.h>

/* ---- a strict parser: what is not as the specification says fails the test ---- */

#define MOST_TENSORS 400
#define MOST_KEYS    80

struct key {
    const char *name; /* not NUL-terminated */
    uint64_t size;
    uint32_t type, element;
    uint64_t count;
    const uint8_t *value;
};

struct file {
    uint8_t *bytes;
    size_t size, at;
    struct key keys[MOST_KEYS];
    uint64_t key_count, tensor_count;
    struct tensor {
        char name[64];
        uint32_t rank, type;
        uint64_t shape[4], offset; /* innermost first */
    } tensors[MOST_TENSORS];
    uint64_t data;
};

static uint64_t take(struct file *file, size_t size) {
    uint64_t number = 0;
    ck_assert_uint_le(file->at + size, file->size);
    for (size_t i = 0; i < size; i++) number |= (uint64_t)file->bytes[file->at + i] << 8 * i;
    file->at += size;
    return number;
}

static const uint8_t *take_bytes(struct file *file, uint64_t size) {
    const uint8_t *const bytes = file->bytes + file->at;
    ck_assert_uint_le(size, file->size - file->at);
    file->at += (size_t)size;
    return bytes;
}

static void skip_value(struct file *file, uint32_t type) {
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    ck_assert_uint_lt(type, sizeof sizes);
    ck_assert_uint_ne(type, 9);
    (void)take_bytes(file, type == 8 ? take(file, 8) : sizes[type]);
}

static void take_key(struct file *file, struct key *key) {
    key->size = take(file, 8);
    key->name = (const char *)take_bytes(file, key->size);
    key->type = (uint32_t)take(file, 4);
    key->element = key->type == 9 ? (uint32_t)take(file, 4) : key->type;
    key->count = key->type == 9 ? take(file, 8) : 1;
    key->value = file->bytes + file->at;
    for (uint64_t i = 0; i < key->count; i++) skip_value(file, key->element);
}

static void take_tensor(struct file *file, struct tensor *tensor) {
    const uint64_t size = take(file, 8);
    ck_assert_uint_lt(size, 64);
    memcpy(tensor->name, take_bytes(file, size), (size_t)size);
    tensor->rank = (uint32_t)take(file, 4);
    ck_assert(tensor->rank >= 1 && tensor->rank <= 4);
    for (uint32_t i = 0; i < tensor->rank; i++) tensor->shape[i] = take(file, 8);
    tensor->type = (uint32_t)take(file, 4);
    tensor->offset = take(file, 8);
}

static uint64_t measure(const struct tensor *tensor) {
    const struct sinq_block_type *const type = sinq_find_block_type(tensor->type);
    uint64_t rows = 1, row;
    ck_assert_ptr_nonnull(type);
    for (uint32_t i = 1; i < tensor->rank; i++) rows *= tensor->shape[i];
    ck_assert(sinq_measure_block_row(type, tensor->shape[0], &row));
    return rows * row;
}

/* Tensors lie one behind the other, each on 32 bytes, up to the file's end. */
static void parse(struct file *file, const char *path) {
    struct sinq_error error = {0};
    char *text;
    memset(file, 0, sizeof *file);
    ck_assert_msg(sinq_read_file(path, 1 << 28, &text, &file->size, &error) == SINQ_OK, "%s", error.message);
    file->bytes = (uint8_t *)text;
    ck_assert_mem_eq(take_bytes(file, 4), "GGUF", 4);
    ck_assert_uint_eq(take(file, 4), 3);
    file->tensor_count = take(file, 8);
    file->key_count = take(file, 8);
    ck_assert(file->tensor_count <= MOST_TENSORS && file->key_count <= MOST_KEYS);
    for (uint64_t i = 0; i < file->key_count; i++) take_key(file, &file->keys[i]);
    for (uint64_t i = 0; i < file->tensor_count; i++) take_tensor(file, &file->tensors[i]);
    file->data = (file->at + 31) / 32 * 32;
    uint64_t end = 0;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        ck_assert_uint_eq(file->tensors[i].offset, end);
        end = (end + measure(&file->tensors[i]) + 31) / 32 * 32;
    }
    ck_assert_uint_eq(file->data + end, file->size);
}

static const struct key *find_key(const struct file *file, const char *name) {
    for (uint64_t i = 0; i < file->key_count; i++) {
        const struct key *const key = &file->keys[i];
        if (key->size == strlen(name) && memcmp(key->name, name, (size_t)key->size) == 0) return key;
    }
    ck_abort_msg("there is no key %s", name);
}

static uint64_t get_number(const struct file *file, const char *name, uint32_t type) {
    const struct key *const key = find_key(file, name);
    ck_assert_msg(key->type == type, "%s has type %u", name, key->type);
    return key->value[0] | (uint64_t)key->value[1] << 8 | (type == 4 ? (uint64_t)key->value[2] << 16 : 0);
}

static void check_string(const struct file *file, const char *name, const char *expected) {
    const struct key *const key = find_key(file, name);
    ck_assert_uint_eq(key->type, 8);
    ck_assert_uint_eq(key->value[0], strlen(expected));
    ck_assert_mem_eq(key->value + 8, expected, strlen(expected));
}

static const struct tensor *find_tensor(const struct file *file, const char *name) {
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    }
    ck_abort_msg("there is no tensor %s", name);
}

static float get_value(const struct file *file, const struct tensor *tensor, uint64_t index) {
    float value;
    ck_assert_uint_eq(tensor->type, SINQ_BLOCK_F32);
    memcpy(&value, file->bytes + file->data + tensor->offset + index * sizeof value, sizeof value);
    return value;
}

/* ---- writing ---- */

struct writing {
    const char *model, *out, *type, *fallback;
    uint64_t shard_bytes;
    unsigned threads;
    bool resume, weighs_columns;
    uint64_t stop_at; /* the tensor at which the user stops; 0: never */
    const struct sinq_rule *rules;
    size_t rule_count;
    struct sinq_error error;
    struct sinq_quantize_summary summary;
};

static int stop_there(void *user, const struct sinq_progress *progress) {
    const struct writing *const w = user;
    return w->stop_at != 0 && progress->item >= w->stop_at && strcmp(progress->activity, "resuming") != 0;
}

static int write_gguf(struct writing *w) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_source *source = NULL, *view = NULL;
    struct sinq_recipe *recipe = NULL;
    struct sinq_sink *sink = NULL;
    options.format = SINQ_FORMAT_GGUF;
    options.type = w->type;
    options.fallback = w->fallback;
    options.threads = w->threads;
    options.weighs_columns = w->weighs_columns;
    options.rules = w->rules;
    options.rule_count = w->rule_count;
    int status = sinq_open_checkpoint(w->model, &source, &w->error);
    if (status == SINQ_OK) status = sinq_open_gguf_view(source, &view, &w->error);
    if (status == SINQ_OK) status = sinq_make_recipe(view, &options, &recipe, &w->error);
    const struct sinq_create_options create = {.path = w->out,
                                               .format = SINQ_FORMAT_GGUF,
                                               .type = w->type,
                                               .source = view,
                                               .max_shard_bytes = w->shard_bytes,
                                               .resume = w->resume};
    if (status == SINQ_OK) status = sinq_create_checkpoint(&create, &sink, &w->error);
    if (status == SINQ_OK) status = sinq_quantize(view, recipe, sink, stop_there, w, &w->summary, &w->error);
    sinq_sink_close(sink);
    sinq_recipe_free(recipe);
    sinq_source_close(view);
    sinq_source_close(source);
    return status;
}

static const char *example(void) {
    const char *const path = getenv("SINQ_EXAMPLE");
    return path != NULL ? path : "tests/data/classics-3m";
}

/* A new folder, and a path in it. Folders are left to the system's cleaning where a test fails. */
static char folder[64];
static void print_out(char path[256], const char *name) { (void)snprintf(path, 256, "%s/%s", folder, name); }

static void make_folder(void) {
    (void)snprintf(folder, sizeof folder, "/tmp/sinq-gguf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void write_good(struct writing *w) { ck_assert_msg(write_gguf(w) == SINQ_OK, "%s", w->error.message); }

static void check_same_file(const char *left, const char *right) {
    char *texts[2];
    size_t sizes[2];
    struct sinq_error error;
    ck_assert_int_eq(sinq_read_file(left, 1 << 28, &texts[0], &sizes[0], &error), SINQ_OK);
    ck_assert_int_eq(sinq_read_file(right, 1 << 28, &texts[1], &sizes[1], &error), SINQ_OK);
    ck_assert_msg(sizes[0] == sizes[1] && memcmp(texts[0], texts[1], sizes[0]) == 0, "%s is not %s", left, right);
    free(texts[0]);
    free(texts[1]);
}

/* ---- one file ---- */

static void compare_tensor(const struct file *file, const struct sinq_source *source, const char *gguf,
                           const char *name) {
    const struct tensor *const tensor = find_tensor(file, gguf);
    const int64_t index = sinq_source_find(source, name);
    ck_assert_msg(index >= 0, "%s", name);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(sinq_source_tensor(source, (size_t)index));
    float *const rows = malloc((size_t)(shape.rows * shape.cols) * sizeof *rows);
    struct sinq_error error;
    ck_assert_ptr_nonnull(rows);
    ck_assert_int_eq(sinq_read_rows(source, (size_t)index, 0, shape.rows, rows, &error), SINQ_OK);
    ck_assert_uint_eq(tensor->shape[0], shape.cols);
    ck_assert_msg(
        memcmp(rows, file->bytes + file->data + tensor->offset, (size_t)(shape.rows * shape.cols) * sizeof *rows) == 0,
        "%s", gguf);
    free(rows);
}

START_TEST(a_file_says_all_that_llama_cpp_asks) {
    static struct file file;
    char path[256];
    struct sinq_source *source;
    struct sinq_error error;
    make_folder();
    print_out(path, "m.gguf");
    struct writing w = {.model = example(), .out = path, .type = "f32"};
    write_good(&w);
    parse(&file, path);
    check_string(&file, "general.architecture", "qwen3");
    check_string(&file, "tokenizer.ggml.model", "gpt2");
    check_string(&file, "tokenizer.ggml.pre", "qwen2");
    ck_assert_uint_eq(get_number(&file, "general.file_type", 4), 0);
    ck_assert_uint_eq(get_number(&file, "general.quantization_version", 4), 2);
    ck_assert_uint_eq(get_number(&file, "qwen3.block_count", 4), 6);
    ck_assert_uint_eq(get_number(&file, "qwen3.attention.head_count_kv", 4), 2);
    ck_assert_uint_eq(get_number(&file, "tokenizer.ggml.eos_token_id", 4), 0);
    ck_assert_uint_eq(get_number(&file, "tokenizer.ggml.add_bos_token", 7) & 0xff, 0);
    ck_assert_uint_eq(find_key(&file, "tokenizer.ggml.tokens")->count, 4096);
    ck_assert_uint_eq(find_key(&file, "tokenizer.ggml.token_type")->count, 4096);
    ck_assert_uint_eq(find_key(&file, "tokenizer.ggml.merges")->count, 3837);
    ck_assert_uint_eq(file.tensor_count, 68);
    ck_assert_str_eq(file.tensors[0].name, "token_embd.weight");
    ck_assert_int_eq(sinq_open_checkpoint(example(), &source, &error), SINQ_OK);
    compare_tensor(&file, source, "token_embd.weight", "model.embed_tokens.weight");
    compare_tensor(&file, source, "blk.3.attn_q.weight", "model.layers.3.self_attn.q_proj.weight");
    compare_tensor(&file, source, "blk.5.ffn_down.weight", "model.layers.5.mlp.down_proj.weight");
    compare_tensor(&file, source, "output_norm.weight", "model.norm.weight");
    sinq_source_close(source);
    free(file.bytes);
    remove_folder();
}
END_TEST

START_TEST(types_follow_roles_and_rules) {
    static struct file file;
    char path[256];
    static const struct sinq_rule rules[] = {{"layers\\.1\\.", SINQ_RULE_TENSOR, "type:q5_1"},
                                             {"blk\\.2\\.ffn_up", SINQ_RULE_TENSOR, "keep"},
                                             {"layers\\.3\\.self_attn", SINQ_RULE_EXCLUDE, NULL}};
    static const struct {
        const char *name;
        enum sinq_block_type_id type;
    } cases[] = {{"token_embd.weight", SINQ_BLOCK_Q8_0},     {"blk.0.attn_q.weight", SINQ_BLOCK_Q4_1},
                 {"blk.0.ffn_down.weight", SINQ_BLOCK_Q4_1}, {"blk.0.attn_norm.weight", SINQ_BLOCK_F32},
                 {"blk.1.attn_k.weight", SINQ_BLOCK_Q5_1},   {"blk.1.attn_k_norm.weight", SINQ_BLOCK_F32},
                 {"blk.2.ffn_up.weight", SINQ_BLOCK_BF16},   {"blk.3.attn_v.weight", SINQ_BLOCK_BF16}};
    make_folder();
    print_out(path, "m.gguf");
    struct writing w = {.model = example(), .out = path, .type = "q4_1", .rules = rules, .rule_count = 3};
    write_good(&w);
    parse(&file, path);
    ck_assert_uint_eq(get_number(&file, "general.file_type", 4), 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(find_tensor(&file, cases[i].name)->type == cases[i].type, "%s", cases[i].name);
    }
    ck_assert(w.summary.relative_error > 0.03 && w.summary.relative_error < 0.12);
    free(file.bytes);
    remove_folder();
}
END_TEST

/* Of one layer of the example, as a file has it: squared errors that count by 1 / t^2 of their column, and that count alike. */
static void measure_errors(const char *path, double errors[2]) {
    struct sinq_source *original, *written;
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_checkpoint(example(), &original, &error), SINQ_OK);
    ck_assert_int_eq(sinq_open_checkpoint(path, &written, &error), SINQ_OK);
    const char *const name = "model.layers.2.mlp.down_proj.weight";
    const size_t tensor = (size_t)sinq_source_find(original, name), other = (size_t)sinq_source_find(written, name);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(sinq_source_tensor(original, tensor));
    const size_t count = (size_t)(shape.rows * shape.cols);
    float *const a = malloc(count * sizeof *a), *const b = malloc(count * sizeof *b);
    float *const importance = malloc((size_t)shape.cols * sizeof *importance);
    ck_assert_int_eq(sinq_read_rows(original, tensor, 0, shape.rows, a, &error), SINQ_OK);
    ck_assert_int_eq(sinq_read_rows(written, other, 0, shape.rows, b, &error), SINQ_OK);
    ck_assert_int_eq(sinq_find_importance(original, tensor, 1, false, importance, &error), SINQ_OK);
    errors[0] = errors[1] = 0;
    for (size_t i = 0; i < count; i++) {
        const double difference = pow((double)a[i] - (double)b[i], 2.0);
        errors[0] += difference * (double)importance[i % shape.cols];
        errors[1] += difference;
    }
    free(a);
    free(b);
    free(importance);
    sinq_source_close(original);
    sinq_source_close(written);
}

/* What is least is the error that counts, each way. */
START_TEST(columns_count_by_their_scales) {
    double errors[2][2];
    make_folder();
    for (int i = 0; i < 2; i++) {
        char path[256];
        print_out(path, i == 0 ? "plain.gguf" : "weighted.gguf");
        struct writing w = {.model = example(), .out = path, .type = "q4_0", .weighs_columns = i == 1};
        write_good(&w);
        measure_errors(path, errors[i]);
    }
    ck_assert_msg(errors[1][0] < errors[0][0], "%g, %g", errors[1][0], errors[0][0]);
    ck_assert_msg(errors[0][1] < errors[1][1], "%g, %g", errors[0][1], errors[1][1]);
    remove_folder();
}
END_TEST

/* ---- several files, several threads, several runs ---- */

START_TEST(split_files_hold_the_same_tensors) {
    static struct file whole, part;
    char path[256], directory[256], name[512];
    make_folder();
    print_out(path, "m.gguf");
    print_out(directory, "parts");
    struct writing one = {.model = example(), .out = path, .type = "q8_0"},
                   many = {.model = example(), .out = directory, .type = "q8_0", .shard_bytes = 1000000};
    write_good(&one);
    write_good(&many);
    parse(&whole, path);
    uint64_t next = 0, count = 0;
    for (uint64_t i = 0; i == 0 || i < count; i++) {
        struct stat facts;
        for (uint64_t n = i == 0 ? 1 : count; n < 20; n++) {
            (void)snprintf(name, sizeof name, "%s/parts-%05u-of-%05u.gguf", directory, (unsigned)i + 1, (unsigned)n);
            if (stat(name, &facts) == 0) break;
        }
        parse(&part, name);
        ck_assert_uint_le(part.size, 1000000 * (i == 0 ? 2 : 1));
        count = get_number(&part, "split.count", 2);
        ck_assert_uint_eq(get_number(&part, "split.no", 2), i);
        ck_assert_uint_eq(find_key(&part, "split.tensors.count")->type, 5);
        ck_assert_uint_eq(find_key(&part, "split.tensors.count")->value[0], whole.tensor_count);
        for (uint64_t k = 0; k < part.tensor_count; k++, next++) {
            const struct tensor *const got = &part.tensors[k], *const expected = &whole.tensors[next];
            ck_assert_str_eq(got->name, expected->name);
            ck_assert_mem_eq(part.bytes + part.data + got->offset, whole.bytes + whole.data + expected->offset,
                             measure(expected));
        }
        free(part.bytes);
    }
    ck_assert_uint_gt(count, 2);
    ck_assert_uint_eq(next, whole.tensor_count);
    free(whole.bytes);
    remove_folder();
}
END_TEST

START_TEST(runs_that_stop_go_on_to_the_same_bytes) {
    char expected[256], path[256];
    make_folder();
    print_out(expected, "expected.gguf");
    print_out(path, "m.gguf");
    struct writing once = {.model = example(), .out = expected, .type = "q4_0", .threads = 1};
    write_good(&once);
    static const uint64_t stops[] = {1, 30, 67};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        struct writing w = {
            .model = example(), .out = path, .type = "q4_0", .threads = 3, .stop_at = stops[i], .resume = i > 0};
        ck_assert_int_eq(write_gguf(&w), SINQ_INTERRUPTED);
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    /* The name in the metadata is not the one that the output was begun with. */
    char other[256];
    print_out(other, "classics");
    ck_assert_int_eq(symlink(example(), other), 0);
    struct writing wrong = {.model = other, .out = path, .type = "q4_0", .resume = true};
    ck_assert_int_eq(write_gguf(&wrong), SINQ_FAILED);
    ck_assert_msg(strstr(wrong.error.message, "made from another source") != NULL, "%s", wrong.error.message);
    struct writing last = {.model = example(), .out = path, .type = "q4_0", .threads = 2, .resume = true};
    write_good(&last);
    ck_assert_uint_ge(last.summary.tensors_resumed, 60);
    check_same_file(path, expected);
    remove_folder();
}
END_TEST

/* ---- what cannot be ---- */

START_TEST(what_cannot_be_is_named) {
    static const struct sinq_rule wrong[] = {{"q_proj", SINQ_RULE_TENSOR, "bits:3"}},
                                  norms[] = {{"layernorm", SINQ_RULE_TENSOR, "type:f16"}};
    static const struct {
        const char *type, *fallback;
        const struct sinq_rule *rules;
        const char *message;
    } cases[] = {
        {"q4_k", NULL, NULL,
         "values are no multiple of the 256 of q4_k; --fallback TYPE says what such tensors become"},
        {"q4_k", "q6_k", NULL, "no multiple of the 256 of q6_k, which is --fallback"},
        {"q9_k", NULL, NULL, "--type q9_k: expected one of f16 bf16"},
        {"q8_k", NULL, NULL, "--type q8_k: expected one of f16 bf16"},
        {"q4_0", "q7", NULL, "--fallback q7: expected one of"},
        {"q4_0", NULL, wrong, "--tensor 'q_proj=bits:3': GGUF has types instead"},
        {"q4_0", NULL, norms, "of one dimension"},
    };
    make_folder();
    char path[256];
    print_out(path, "m.gguf");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct writing w = {.model = example(),
                            .out = path,
                            .type = cases[i].type,
                            .fallback = cases[i].fallback,
                            .rules = cases[i].rules,
                            .rule_count = cases[i].rules != NULL};
        ck_assert_int_eq(write_gguf(&w), SINQ_USAGE);
        ck_assert_msg(strstr(w.error.message, cases[i].message) != NULL, "%s", w.error.message);
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    remove_folder();
}
END_TEST

/* ---- values that are turned on the way ---- */

static const struct {
    const char *model, *gguf, *name;
    uint64_t row, source_row; /* of the file's tensor and of the source's */
    float added;
} turned[] = {
    /* Heads of 32: rows 0, 1, 2 of a head are its rows 0, 16, 1. */
    {"llama", "blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight", 33, 48, 0},
    {"llama", "blk.0.attn_k.weight", "model.layers.0.self_attn.k_proj.weight", 2, 1, 0},
    {"qwen2", "blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight", 1, 1, 0},
    {"gemma3_text", "blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight", 0, 0, 1},
    {"qwen3_moe", "blk.0.ffn_gate_exps.weight", "model.layers.0.mlp.experts.0.gate_proj.weight", 3, 3, 0},
    {"qwen3_moe", "blk.0.ffn_gate_exps.weight", "model.layers.0.mlp.experts.2.gate_proj.weight", 2 * 64 + 3, 3, 0},
    {"phi3", "blk.0.ffn_up.weight", "model.layers.0.mlp.gate_up_proj.weight", 5, 5, 0},
};

START_TEST(rows_come_from_their_places) {
    static struct file file;
    char path[256], name[128];
    struct sinq_source *source;
    struct sinq_error error = {0};
    (void)snprintf(name, sizeof name, "golden/arch/%s/config.json", turned[_i].model);
    char *const model = find_shared(name);
    if (model == NULL) return;
    *strrchr(model, '/') = '\0';
    make_folder();
    print_out(path, "m.gguf");
    struct writing w = {.model = model, .out = path, .type = "f32"};
    write_good(&w);
    parse(&file, path);
    ck_assert_int_eq(sinq_open_checkpoint(model, &source, &error), SINQ_OK);
    const int64_t index = sinq_source_find(source, turned[_i].name);
    ck_assert_msg(index >= 0, "%s", turned[_i].name);
    const uint64_t cols = sinq_tensor_matrix_shape(sinq_source_tensor(source, (size_t)index)).cols;
    float *const row = malloc((size_t)cols * sizeof *row);
    ck_assert_int_eq(sinq_read_rows(source, (size_t)index, turned[_i].source_row, 1, row, &error), SINQ_OK);
    const struct tensor *const tensor = find_tensor(&file, turned[_i].gguf);
    for (uint64_t k = 0; k < cols; k++) {
        ck_assert(get_value(&file, tensor, turned[_i].row * cols + k) == row[k] + turned[_i].added);
    }
    free(row);
    free(model);
    free(file.bytes);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

/* Tensors of a checkpoint beside those that the model is made of: a layer for further tokens, as DeepSeek-V3 has; and any other. */
static void add_tensor(const char *directory, const char *name) {
    char path[300], header[200];
    static const char zeros[32];
    const int size =
        snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"BF16\",\"shape\":[4,4],\"data_offsets\":[0,32]}}", name);
    (void)snprintf(path, sizeof path, "%s/more.safetensors", directory);
    FILE *const file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    const uint8_t length[8] = {(uint8_t)size};
    ck_assert_uint_eq(fwrite(length, 1, 8, file) + fwrite(header, 1, (size_t)size, file) + fwrite(zeros, 1, 32, file),
                      40 + (size_t)size);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(layers_behind_the_last_are_left_out) {
    char *const config = find_shared("golden/arch/deepseek_v2/config.json");
    if (config == NULL) return;
    *strrchr(config, '/') = '\0';
    char model[256], command[1500];
    struct sinq_source *source, *view;
    struct sinq_error error;
    make_folder();
    print_out(model, "model");
    (void)snprintf(command, sizeof command,
                   "mkdir '%s' && ln -s '%s/config.json' '%s' && ln -s '%s/model.safetensors' '%s/a.safetensors'",
                   model, config, model, config, model);
    ck_assert_int_eq(system(command), 0);
    add_tensor(model, "model.layers.99.eh_proj.weight");
    ck_assert_int_eq(sinq_open_checkpoint(model, &source, &error), SINQ_OK);
    ck_assert_int_ge(sinq_source_find(source, "model.layers.99.eh_proj.weight"), 0);
    ck_assert_msg(sinq_open_gguf_view(source, &view, &error) == SINQ_OK, "%s", error.message);
    for (size_t i = 0; i < sinq_source_tensor_count(view); i++) {
        ck_assert_ptr_null(strstr(sinq_source_tensor(view, i)->name, "99"));
    }
    sinq_source_close(view);
    sinq_source_close(source);
    add_tensor(model, "model.layers.0.eh_proj.weight");
    ck_assert_int_eq(sinq_open_checkpoint(model, &source, &error), SINQ_OK);
    ck_assert_int_eq(sinq_open_gguf_view(source, &view, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "layers.0.eh_proj.weight: GGUF has no name for it"));
    sinq_source_close(source);
    free(config);
    remove_folder();
}
END_TEST

int main(void) {
    Suite *const suite = suite_create("gguf output");
    TCase *const tcase = tcase_create("gguf output");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, a_file_says_all_that_llama_cpp_asks);
    tcase_add_test(tcase, types_follow_roles_and_rules);
    tcase_add_test(tcase, split_files_hold_the_same_tensors);
    tcase_add_test(tcase, runs_that_stop_go_on_to_the_same_bytes);
    tcase_add_test(tcase, what_cannot_be_is_named);
    tcase_add_loop_test(tcase, rows_come_from_their_places, 0, (int)(sizeof turned / sizeof turned[0]));
    tcase_add_test(tcase, layers_behind_the_last_are_left_out);
    tcase_add_test(tcase, columns_count_by_their_scales);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
