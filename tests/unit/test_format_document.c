/*
 * docs/format.md against the program: a reader written from the page (format_reader.h) must rebuild the same values, bit by
 * bit, from random matrices of every kind, and find its way through a whole checkpoint.
 */
#include "format_reader.h"

#include <cjson/cJSON.h>
#include <unistd.h>

#include "base/file.h"
#include "formats.h"
#include "random_blob.h"

static const uint64_t shapes[][2] = {{1, 1}, {3, 5}, {16, 32}, {17, 40}, {33, 130}, {70, 257}};
static const unsigned widths[] = {2, 3, 4, 5, 6, 8};
static const uint32_t group_sizes[] = {0, 16, 32, 64, 128};
enum {
    SHAPES = sizeof shapes / sizeof shapes[0],
    WIDTHS = sizeof widths / sizeof widths[0],
    GROUPS = sizeof group_sizes / sizeof group_sizes[0]
};

static const struct {
    const char *name;
    enum sinq_aux_type scale_type, zero_type;
    bool zero_per_block, has_minima, scale_signed;
} storages[] = {{"f16", SINQ_AUX_F16, SINQ_AUX_F16, false, false, false},
                {"u8", SINQ_AUX_U8, SINQ_AUX_U8, false, false, false},
                {"u8 with zero ranges", SINQ_AUX_U8, SINQ_AUX_U8, true, false, false},
                {"u8 with f16 zeros", SINQ_AUX_U8, SINQ_AUX_F16, false, false, false},
                {"f16 with u8 zeros", SINQ_AUX_F16, SINQ_AUX_U8, false, false, false},
                {"f16 with minima", SINQ_AUX_F16, SINQ_AUX_F16, false, true, false},
                {"i8 with minima", SINQ_AUX_I8, SINQ_AUX_I8, false, true, false},
                {"i8 with one zero", SINQ_AUX_I8, SINQ_AUX_NONE, false, false, false},
                {"u8 with i8 zeros", SINQ_AUX_U8, SINQ_AUX_I8, false, false, false},
                {"u6", SINQ_AUX_U6, SINQ_AUX_U6, false, false, false},
                {"u6 with zero ranges", SINQ_AUX_U6, SINQ_AUX_U6, true, false, false},
                {"u6 with u8 zeros", SINQ_AUX_U6, SINQ_AUX_U8, true, false, false},
                {"signed u6", SINQ_AUX_U6, SINQ_AUX_NONE, false, false, true},
                {"signed u8", SINQ_AUX_U8, SINQ_AUX_NONE, false, false, true}};
enum { STORAGES = sizeof storages / sizeof storages[0] };

/* Checks are plain ifs in inner loops: the test library writes a record of each assertion. */

/* Whether the page's reader and sinq_read_rows agree on every value of a tensor that is `blobs`. */
static void check_values(const char *what, const uint8_t *blobs, uint64_t bytes, const struct sinq_dual_scale *matrix) {
    struct memory_source *const memory = create_memory("memory");
    const size_t tensor = add_blobs(memory, "w", matrix, blobs, bytes);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&memory->tensors[tensor]);
    float *const values = malloc((size_t)(shape.count * shape.rows * shape.cols) * sizeof *values);
    struct sinq_error error = {0};
    const int status = sinq_read_rows(&memory->base, tensor, 0, shape.count * shape.rows, values, &error);
    ck_assert_msg(status == SINQ_OK, "%s: %s", what, error.message);
    const float *expected = values;
    for (uint64_t at = 0, n = 0; at < bytes; n++) {
        struct blob_header h;
        const char *const problem = read_header(blobs + at, bytes - at, &h);
        ck_assert_msg(problem == NULL, "%s: bad %s", what, problem);
        ck_assert_msg(has_right_checksum(blobs + at, &h), "%s: checksum", what);
        ck_assert_uint_eq(h.stack_index, n);
        for (uint64_t i = 0; i < shape.rows; i++) {
            for (uint64_t j = 0; j < shape.cols; j++, expected++) {
                const float value = h.flags & 8 ? read_weight(blobs + at, &h, j, i) : read_weight(blobs + at, &h, i, j);
                if (memcmp(&value, expected, sizeof value) == 0) continue;
                ck_abort_msg("%s: [%u][%u] is %g, the page says %g", what, (unsigned)i, (unsigned)j, (double)*expected,
                             (double)value);
            }
        }
        at += h.bytes;
    }
    free(values);
    sinq_source_close(&memory->base);
}

/* Levels of bytes where they may be, else of f32. */
static enum sinq_levels_kind choose_levels(size_t width, size_t storage) {
    if (widths[width] > 4 || storages[storage].has_minima) return SINQ_LEVELS_UNIFORM;
    return storages[storage].zero_type == SINQ_AUX_NONE ? SINQ_LEVELS_BYTES : SINQ_LEVELS_F32;
}

static struct sinq_dual_scale describe(size_t shape, size_t width, size_t group, size_t storage, uint32_t variant) {
    return (struct sinq_dual_scale){
        .rows = shapes[shape][0],
        .cols = shapes[shape][1],
        .bits = widths[width],
        .group_size = group_sizes[group],
        .scale_type = storages[storage].scale_type,
        .zero_type = storages[storage].zero_type,
        .zero_per_block = storages[storage].zero_per_block,
        .has_minima = storages[storage].has_minima,
        .has_column_scale = (variant & 1) == 0,
        .transposed = (variant & 2) != 0,
        .scale_signed = storages[storage].scale_signed,
        .levels = (variant & 4) != 0 ? choose_levels(width, storage) : SINQ_LEVELS_UNIFORM,
        .method = (enum sinq_method)(variant % SINQ_METHOD_COUNT),
        .factor = 0.37f,
        .zero_low = -3.25f,
        .zero_step = 0.11f,
    };
}

START_TEST(the_page_reads_every_kind_of_matrix) {
    for (uint32_t i = 0; i < SHAPES * WIDTHS * GROUPS * STORAGES; i++) {
        const size_t shape = i % SHAPES, width = i / SHAPES % WIDTHS, group = i / SHAPES / WIDTHS % GROUPS;
        const size_t storage = i / SHAPES / WIDTHS / GROUPS;
        const bool has_supers =
            storages[storage].scale_type == SINQ_AUX_I8 || storages[storage].zero_type == SINQ_AUX_I8;
        if (has_supers && group_sizes[group] == 0) continue;
        for (uint32_t variant = 0; variant < 8; variant++) {
            if (IS_SANITIZED && variant != (i + i / 8) % 8) continue; /* sanitizers are slow */
            const struct sinq_dual_scale matrix = describe(shape, width, group, storage, variant);
            char what[200];
            (void)snprintf(what, sizeof what, "%u x %u, %u bits, group %u, %s, variant %u", (unsigned)matrix.rows,
                           (unsigned)matrix.cols, matrix.bits, matrix.group_size, storages[storage].name, variant);
            uint64_t bytes;
            uint8_t *const blob = make_random_blob(&matrix, &bytes);
            check_values(what, blob, bytes, &matrix);
            free(blob);
        }
    }
}
END_TEST

/* Weights at and beyond the end of f32: some finite, some clamped, some infinite. */
START_TEST(the_page_reads_weights_that_overflow) {
    struct sinq_dual_scale matrix = describe(SHAPES - 1, 2, 3, 0, 0);
    matrix.factor = 0x1p124f;
    uint64_t bytes;
    uint8_t *const blob = make_random_blob(&matrix, &bytes);
    struct blob_header h;
    ck_assert_ptr_null(read_header(blob, bytes, &h));
    unsigned infinite = 0, largest = 0, usual = 0;
    for (uint64_t row = 0; row < h.rows; row++) {
        for (uint64_t col = 0; col < h.cols; col++) {
            const float magnitude = fabsf(read_weight(blob, &h, row, col));
            infinite += isinf(magnitude) != 0;
            largest += magnitude >= FLT_MAX && !isinf(magnitude);
            usual += magnitude < FLT_MAX;
        }
    }
    ck_assert(infinite > 100 && largest > 100 && usual > 100);
    check_values("overflow", blob, bytes, &matrix);
    free(blob);
}
END_TEST

/* A stack whose matrices are stored differently, so that they differ in size. */
START_TEST(the_page_reads_stacks) {
    for (uint32_t transposed = 0; transposed < 2; transposed++) {
        uint8_t *all = NULL;
        uint64_t size = 0;
        struct sinq_dual_scale matrix;
        for (uint32_t n = 0; n < STORAGES; n++) {
            matrix = describe(4, 2, 3, n, 2 * transposed);
            matrix.stack_index = n;
            matrix.stack_count = STORAGES;
            uint64_t bytes;
            uint8_t *const blob = make_random_blob(&matrix, &bytes);
            all = realloc(all, (size_t)(size + bytes));
            ck_assert_ptr_nonnull(all);
            memcpy(all + size, blob, (size_t)bytes);
            size += bytes;
            free(blob);
        }
        check_values(transposed ? "transposed stack" : "stack", all, size, &matrix);
        free(all);
    }
}
END_TEST

/* Section 8's table. */
START_TEST(bits_per_weight_are_what_the_page_says) {
    static const struct {
        size_t storage, group;
        uint64_t bytes;
    } cases[] = {{1, 3, 8953984}, {0, 3, 9445504}, {2, 3, 8953984 + 32768}, {12, 2, 8855744}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_dual_scale matrix = describe(0, 2, cases[i].group, cases[i].storage, 4);
        matrix.levels = matrix.levels == SINQ_LEVELS_BYTES ? SINQ_LEVELS_BYTES : SINQ_LEVELS_UNIFORM;
        matrix.rows = matrix.cols = 4096;
        struct sinq_dual_scale_sizes sizes;
        ck_assert(sinq_dual_scale_measure(&matrix, &sizes));
        ck_assert_uint_eq(sizes.bytes, cases[i].bytes);
        struct blob_header h = {.rows = 4096, .cols = 4096, .bits = 4, .flags = 4};
        h.group_size = matrix.group_size;
        h.scale_type = (unsigned)matrix.scale_type;
        h.zero_type = (unsigned)matrix.zero_type;
        h.levels_kind = (unsigned)matrix.levels;
        h.flags |= matrix.zero_per_block | (matrix.scale_signed ? 2 : 0);
        find_sections(&h);
        ck_assert_uint_eq(h.end, cases[i].bytes);
    }
}
END_TEST

/* ---- headers that the page calls wrong are refused by both ---- */

START_TEST(both_refuse_what_the_page_reserves) {
    static const struct {
        const char *what;
        unsigned offset;
        uint8_t value;
    } cases[] = {
        {"magic", 3, 'X'},
        {"version 2", 8, 2},
        {"version 257", 9, 1},
        {"header bytes", 12, 64},
        {"bytes", 16, 1},
        {"no rows", 24, 0},
        {"more columns", 33, 7},
        {"group 48", 40, 48},
        {"group 256", 41, 1},
        {"stack index", 44, 1},
        {"1 bit", 52, 1},
        {"7 bits", 52, 7},
        {"9 bits", 52, 9},
        {"no scales", 53, 0},
        {"u4 scales", 53, 4},
        {"u4 zeros", 54, 4},
        {"f16 zero ranges", 55, 5},
        {"signed f16 scales", 55, 6},
        {"unknown flag", 55, 0x24},
        {"byte levels with zeros", 56, 2},
        {"unknown levels", 56, 3},
        {"method", 57, 14},
        {"reserved", 58, 1},
        {"reserved", 59, 1},
        {"infinite factor", 63, 255},
        {"reserved", 72, 1},
        {"reserved", 111, 1},
    };
    const struct sinq_dual_scale matrix = describe(2, 2, 3, 0, 0);
    uint64_t bytes;
    uint8_t *const blob = make_random_blob(&matrix, &bytes);
    struct sinq_dual_scale parsed;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_error error;
    struct blob_header h;
    const uint8_t half_infinite[2] = {0x80, 0x7f};
    ck_assert_ptr_null(read_header(blob, bytes, &h));
    ck_assert_int_eq(sinq_dual_scale_parse(blob, bytes, "w", &parsed, &sizes, &error), SINQ_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t header[128];
        memcpy(header, blob, sizeof header);
        header[cases[i].offset] = cases[i].value;
        if (strcmp(cases[i].what, "infinite factor") == 0) memcpy(header + 62, half_infinite, 2);
        ck_assert_msg(read_header(header, bytes, &h) != NULL, "the page allows %s", cases[i].what);
        ck_assert_msg(sinq_dual_scale_parse(header, bytes, "w", &parsed, &sizes, &error) == SINQ_FAILED,
                      "the program allows %s", cases[i].what);
    }
    ck_assert_ptr_nonnull(read_header(blob, bytes - 1, &h));
    free(blob);
}
END_TEST

START_TEST(both_refuse_what_does_not_go_together) {
    static const struct {
        const char *what;
        uint8_t group_size, scale_type, zero_type, flags, levels_kind;
    } cases[] = {
        {"i8 scales of whole rows", 0, 5, 1, 0, 0},    {"i8 zeros of whole rows", 0, 1, 5, 0, 0},
        {"one minimum for all", 64, 5, 0, 16, 0},      {"u8 minima", 64, 2, 2, 16, 0},
        {"minima under levels", 64, 1, 1, 16, 1},      {"i8 zeros with ranges", 64, 2, 5, 1, 0},
        {"one zero with ranges", 64, 2, 0, 1, 0},      {"signed i8 scales", 64, 5, 0, 2, 0},
        {"signed scales with zeros", 64, 2, 2, 2, 0},  {"signed u6 scales with zeros", 64, 3, 3, 2, 0},
        {"byte levels with u8 zeros", 64, 2, 2, 0, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_dual_scale matrix = describe(2, 2, 3, 0, 0), parsed;
        struct sinq_dual_scale_sizes sizes;
        struct sinq_error error;
        struct blob_header h;
        uint64_t bytes;
        uint8_t *const blob = make_random_blob(&matrix, &bytes);
        blob[40] = cases[i].group_size;
        blob[53] = cases[i].scale_type;
        blob[54] = cases[i].zero_type;
        blob[55] = cases[i].flags;
        blob[56] = cases[i].levels_kind;
        ck_assert_msg(read_header(blob, UINT64_MAX, &h) != NULL, "the page allows %s", cases[i].what);
        const int status = sinq_dual_scale_parse(blob, UINT64_MAX, "w", &parsed, &sizes, &error);
        ck_assert_msg(status == SINQ_FAILED && strstr(error.message, "no matrix this version") != NULL,
                      "the program on %s: %s", cases[i].what, error.message);
        free(blob);
    }
}
END_TEST

START_TEST(a_flipped_bit_anywhere_breaks_the_checksum) {
    const struct sinq_dual_scale matrix = describe(3, 1, 2, 1, 0);
    uint64_t bytes;
    uint8_t *const blob = make_random_blob(&matrix, &bytes);
    struct blob_header h;
    ck_assert_ptr_null(read_header(blob, bytes, &h));
    for (uint64_t i = 0; i < bytes; i += IS_SANITIZED ? 13 : 1) {
        blob[i] ^= (uint8_t)(1u << i % 8);
        check_often(!has_right_checksum(blob, &h), "byte %u", (unsigned)i);
        check_often(!sinq_dual_scale_check(blob, bytes), "byte %u", (unsigned)i);
        blob[i] ^= (uint8_t)(1u << i % 8);
    }
    ck_assert(has_right_checksum(blob, &h));
    ck_assert(sinq_dual_scale_check(blob, bytes));
    free(blob);
}
END_TEST

/* ---- a whole checkpoint, from its bytes ---- */

struct checkpoint_file {
    char *bytes;
    size_t size;
    const uint8_t *data; /* the section behind the header */
    cJSON *header;
};

static struct checkpoint_file load_checkpoint_file(const char *folder, const char *name) {
    struct checkpoint_file file = {0};
    struct sinq_error error = {0};
    char *const path = sinq_join_path(folder, name);
    ck_assert_msg(sinq_read_file(path, (uint64_t)1 << 30, &file.bytes, &file.size, &error) == SINQ_OK, "%s",
                  error.message);
    free(path);
    const uint64_t length = read_number((const uint8_t *)file.bytes, 8);
    ck_assert_uint_lt(length, file.size);
    file.data = (const uint8_t *)file.bytes + 8 + length;
    file.header = cJSON_ParseWithLength(file.bytes + 8, (size_t)length);
    ck_assert_ptr_nonnull(file.header);
    return file;
}

static void free_checkpoint_file(struct checkpoint_file *file) {
    cJSON_Delete(file->header);
    free(file->bytes);
}

/* Quantizes the example model, a folder or its lone file, at 4 bits. */
static void quantize_example(const char *path, const char *output, size_t *quantized) {
    struct sinq_error error = {0};
    struct sinq_source *source = NULL;
    struct sinq_recipe *recipe = NULL;
    struct sinq_sink *sink = NULL;
    struct sinq_quantize_summary summary;
    ck_assert_msg(sinq_open_checkpoint(path, &source, &error) == SINQ_OK, "%s", error.message);
    struct sinq_quantize_options options = sinq_default_quantize_options();
    options.method = SINQ_METHOD_SINQ;
    ck_assert_msg(sinq_make_recipe(source, &options, &recipe, &error) == SINQ_OK, "%s", error.message);
    const struct sinq_create_options create = {.path = output, .source = source};
    ck_assert_msg(sinq_create_checkpoint(&create, &sink, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_quantize(source, recipe, sink, NULL, NULL, &summary, &error) == SINQ_OK, "%s", error.message);
    *quantized = summary.tensors_quantized;
    sinq_sink_close(sink);
    sinq_recipe_free(recipe);
    sinq_source_close(source);
}

/* A blob of the file against the program's reading of the same tensor. */
static void check_file_tensor(const struct sinq_source *source, const char *name, const uint8_t *blob, uint64_t bytes) {
    struct blob_header h;
    const char *const problem = read_header(blob, bytes, &h);
    ck_assert_msg(problem == NULL, "%s: bad %s", name, problem);
    ck_assert_uint_eq(h.bytes, bytes);
    ck_assert_msg(has_right_checksum(blob, &h), "%s: checksum", name);
    char logical[300];
    (void)snprintf(logical, sizeof logical, "%.*s", (int)(strlen(name) - strlen(".dual_scale")), name);
    const int64_t tensor = sinq_source_find(source, logical);
    ck_assert_msg(tensor >= 0, "%s", logical);
    float *const values = malloc((size_t)(h.rows * h.cols) * sizeof *values);
    struct sinq_error error = {0};
    ck_assert_int_eq(sinq_read_rows(source, (size_t)tensor, 0, h.rows, values, &error), SINQ_OK);
    for (uint64_t i = 0; i < h.rows; i++) {
        for (uint64_t k = 0; k < h.cols; k++) {
            const float value = read_weight(blob, &h, i, k), expected = values[i * h.cols + k];
            if (memcmp(&value, &expected, sizeof value) != 0)
                ck_abort_msg("%s [%u][%u]", name, (unsigned)i, (unsigned)k);
        }
    }
    free(values);
}

static void check_stored_checksum(const cJSON *checksums, const char *name, const uint8_t *bytes, uint64_t size) {
    const cJSON *const text = cJSON_GetObjectItemCaseSensitive(checksums, name);
    XXH128_canonical_t digest;
    char digits[33];
    XXH128_canonicalFromHash(&digest, XXH3_128bits(bytes, (size_t)size));
    for (int i = 0; i < 16; i++) (void)snprintf(digits + 2 * i, 3, "%02x", digest.digest[i]);
    ck_assert_msg(cJSON_IsString(text) && strcmp(text->valuestring, digits) == 0, "checksum of %s", name);
}

/* The keys of section 2. */
static void check_quantization(const cJSON *q) {
    static const struct {
        const char *key, *text; /* NULL: a number, given or positive */
        double number;
    } keys[] = {{"quant_method", "dual-scale", 0}, {"layout", "dual-scale", 0},
                {"layout_version", NULL, 1},       {"bits", NULL, 4},
                {"group_size", NULL, 64},          {"method", "sinq", 0},
                {"scale_type", "u8", 0},           {"bits_per_weight", NULL, 0},
                {"relative_error", NULL, 0}};
    ck_assert(cJSON_IsObject(q));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const cJSON *const value = cJSON_GetObjectItemCaseSensitive(q, keys[i].key);
        ck_assert_msg(keys[i].text != NULL ? cJSON_IsString(value) : cJSON_IsNumber(value), "%s", keys[i].key);
        if (keys[i].text != NULL) ck_assert_str_eq(value->valuestring, keys[i].text);
        if (keys[i].text == NULL) ck_assert_msg(value->valuedouble > 0, "%s", keys[i].key);
        if (keys[i].number > 0) ck_assert_double_eq(value->valuedouble, keys[i].number);
    }
    ck_assert(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(q, "producer")));
    ck_assert_uint_eq(strlen(cJSON_GetObjectItemCaseSensitive(q, "fingerprint")->valuestring), 32);
    ck_assert(cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(q, "exceptions")));
}

static void check_tensors(const struct checkpoint_file *file, const struct sinq_source *source, size_t expected) {
    const cJSON *const metadata = cJSON_GetObjectItemCaseSensitive(file->header, "__metadata__");
    const cJSON *const stored = cJSON_GetObjectItemCaseSensitive(metadata, "checksums");
    ck_assert(cJSON_IsString(stored));
    cJSON *const checksums = cJSON_Parse(stored->valuestring);
    size_t quantized = 0;
    const cJSON *tensor;
    cJSON_ArrayForEach(tensor, file->header) {
        if (tensor == metadata) continue;
        const cJSON *const offsets = cJSON_GetObjectItemCaseSensitive(tensor, "data_offsets");
        const uint64_t begin = (uint64_t)cJSON_GetArrayItem(offsets, 0)->valuedouble;
        const uint64_t end = (uint64_t)cJSON_GetArrayItem(offsets, 1)->valuedouble;
        const char *const suffix = strrchr(tensor->string, '.');
        if (suffix == NULL || strcmp(suffix, ".dual_scale") != 0) {
            check_stored_checksum(checksums, tensor->string, file->data + begin, end - begin);
            continue;
        }
        const cJSON *const shape = cJSON_GetObjectItemCaseSensitive(tensor, "shape");
        ck_assert_str_eq(cJSON_GetObjectItemCaseSensitive(tensor, "dtype")->valuestring, "U8");
        ck_assert_int_eq(cJSON_GetArraySize(shape), 1);
        ck_assert_double_eq(cJSON_GetArrayItem(shape, 0)->valuedouble, (double)(end - begin));
        ck_assert_uint_eq((uint64_t)(file->data + begin - (const uint8_t *)file->bytes) % 64, 0);
        check_file_tensor(source, tensor->string, file->data + begin, end - begin);
        quantized++;
    }
    ck_assert_uint_eq(quantized, expected);
    cJSON_Delete(checksums);
}

static const char example[] = "tests/data/classics-3m";

START_TEST(the_page_reads_a_directory) {
    char folder[] = "/tmp/sinq-format-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char *const output = sinq_join_path(folder, "out");
    size_t quantized;
    quantize_example(example, output, &quantized);
    ck_assert_uint_gt(quantized, 0);
    struct checkpoint_file file = load_checkpoint_file(output, "model.safetensors");
    struct sinq_source *source = NULL;
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_checkpoint(output, &source, &error), SINQ_OK);
    check_tensors(&file, source, quantized);
    char *text, *const config_path = sinq_join_path(output, "config.json");
    size_t size;
    ck_assert_int_eq(sinq_read_file(config_path, 1 << 20, &text, &size, &error), SINQ_OK);
    cJSON *const config = cJSON_Parse(text);
    check_quantization(cJSON_GetObjectItemCaseSensitive(config, "quantization_config"));
    cJSON_Delete(config);
    for (size_t i = 0; i < sinq_source_sidecar_count(source); i++) {
        char *const path = sinq_join_path(output, sinq_source_sidecar_name(source, i));
        (void)unlink(path);
        free(path);
    }
    (void)unlink(sinq_source_shard_path(source, 0));
    ck_assert_int_eq(rmdir(output) + rmdir(folder), 0);
    sinq_source_close(source);
    free_checkpoint_file(&file);
    free(text);
    free(config_path);
    free(output);
}
END_TEST

START_TEST(the_page_reads_a_lone_file) {
    char folder[] = "/tmp/sinq-format-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char *const output = sinq_join_path(folder, "out.safetensors"), *const input =
                                                                        sinq_join_path(example, "model.safetensors");
    size_t quantized;
    quantize_example(input, output, &quantized);
    struct checkpoint_file file = load_checkpoint_file(folder, "out.safetensors");
    struct sinq_source *source = NULL;
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_checkpoint(output, &source, &error), SINQ_OK);
    check_tensors(&file, source, quantized);
    const cJSON *const metadata = cJSON_GetObjectItemCaseSensitive(file.header, "__metadata__");
    const cJSON *const text = cJSON_GetObjectItemCaseSensitive(metadata, "quantization_config");
    ck_assert(cJSON_IsString(text));
    cJSON *const quantization = cJSON_Parse(text->valuestring);
    check_quantization(quantization);
    cJSON_Delete(quantization);
    ck_assert_int_eq(unlink(output) + rmdir(folder), 0);
    sinq_source_close(source);
    free_checkpoint_file(&file);
    free(output);
    free(input);
}
END_TEST

UNIT_MAIN("format_document", the_page_reads_every_kind_of_matrix, the_page_reads_weights_that_overflow,
          the_page_reads_stacks, bits_per_weight_are_what_the_page_says, both_refuse_what_the_page_reserves,
          both_refuse_what_does_not_go_together, a_flipped_bit_anywhere_breaks_the_checksum, the_page_reads_a_directory,
          the_page_reads_a_lone_file)
