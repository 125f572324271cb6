/* The reference implementation's layout against what that implementation stores, and there and back again. */
#include "golden.h"
#include "reference_source.h"
#include "tensor/dtype.h"
#include "tensor/reference_matrix.h"

/* ---- what the reference stores ---- */

/* A golden tensor's bytes, f32 rounded to the f16 that files have; malloc'ed, NULL where there is none. */
static uint8_t *read_stored(const struct sinq_source *source, const char *stem, const char *suffix, uint64_t *bytes) {
    char name[128];
    struct sinq_error error;
    (void)snprintf(name, sizeof name, "%s%s", stem, suffix);
    const int64_t found = sinq_source_find(source, name);
    if (found < 0) return NULL;
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, (size_t)found);
    const uint64_t count = sinq_count_values(tensor);
    uint8_t *const stored = malloc((size_t)tensor->bytes);
    ck_assert_int_eq(sinq_read_bytes(source, (size_t)found, 0, tensor->bytes, stored, &error), SINQ_OK);
    *bytes = tensor->bytes;
    if (tensor->dtype != SINQ_F32) return stored;
    *bytes = 2 * count;
    for (uint64_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, stored + 4 * i, sizeof value);
        const uint16_t half = sinq_float_to_half(value);
        memcpy(stored + 2 * i, &half, sizeof half);
    }
    return stored;
}

/* ".meta.scale.x" is ".scale.x" in the golden file. */
static const char *golden_suffix(const char *suffix) { return strncmp(suffix, ".meta", 5) == 0 ? suffix + 5 : suffix; }

/* How many bytes of a part differ from the golden ones. */
static uint64_t count_differences(const struct sinq_source *source, const struct golden_case *c,
                                  const struct sinq_reference_part *part, const uint8_t *ours) {
    uint64_t bytes, differences = 0;
    uint8_t *const stored = read_stored(source, c->name, golden_suffix(part->suffix), &bytes);
    ck_assert_msg(stored != NULL && bytes == part->bytes, "%s%s: %llu bytes, not those of the reference", c->name,
                  part->suffix, (unsigned long long)part->bytes);
    for (uint64_t i = 0; i < bytes; i++) differences += stored[i] != ours[i];
    free(stored);
    return differences;
}

/* ---- quantized by us ---- */

static void quantize(const struct golden_case *c, struct sinq_plain_matrix *plain,
                     struct sinq_matrix_outcome *outcome) {
    struct sinq_unit_matrix units = {0};
    struct sinq_error error;
    ck_assert_int_eq(sinq_shape_units(&units, c->rows, c->cols, (uint32_t)c->group, false, &error), SINQ_OK);
    for (size_t r = 0; r < c->rows; r++) sinq_put_row(&units, r, c->weight + r * c->cols);
    for (size_t i = 0; i < c->rows * c->cols; i++) units.largest = fmaxf(units.largest, fabsf(c->weight[i]));
    sinq_finish_units(&units, 1);
    const struct sinq_matrix_method method = {
        .method = c->method, .bits = c->bits, .tiling_2d = c->is_2d, .kurtosis_gate = 5.0, .threads = 1};
    ck_assert_int_eq(sinq_quantize_plain(&units, &method, plain, outcome, &error), SINQ_OK);
    sinq_free_units(&units);
}

static struct sinq_reference_matrix describe(const struct golden_case *c) {
    return (struct sinq_reference_matrix){.rows = c->rows,
                                          .cols = c->cols,
                                          .bits = c->bits,
                                          .group = c->group,
                                          .group_size = c->group,
                                          .method = c->method,
                                          .has_codes = c->has_aux,
                                          .is_tiled = c->is_2d};
}

/* ---- ties ---- */

/*
 * What the reference's own arithmetic leaves to chance, value by value: all else must be equal. Without normalization it divides a
 * matrix by its column and row scales and multiplies it by them again, in f32, so that a weight exactly between two codes falls to
 * either side, and so does the zero point of a group; and a scale that f16 has no middle for may be off by the last bit of f32.
 */
enum tie_kind { TIE_CODE, TIE_ZERO, TIE_SCALE };
static const struct tie {
    const char *name;
    enum tie_kind kind;
    size_t group, column; /* of all groups, row by row; the code's column within it */
} ties[] = {{"r127", TIE_ZERO, 63, 0},   {"r127", TIE_CODE, 459, 25}, {"r130", TIE_SCALE, 461, 0},
            {"r130", TIE_SCALE, 850, 0}, {"r136", TIE_CODE, 342, 39}, {"r136", TIE_CODE, 420, 9},
            {"r136", TIE_CODE, 468, 35}, {"r137", TIE_CODE, 98, 36}};

struct range {
    double lowest, highest;
};

static struct range find_range(const struct golden_case *c, size_t group) {
    struct range range = {INFINITY, -INFINITY};
    for (size_t k = 0; k < c->group; k++) {
        range.lowest = fmin(range.lowest, (double)c->weight[group * c->group + k]);
        range.highest = fmax(range.highest, (double)c->weight[group * c->group + k]);
    }
    return range;
}

/* Whether weight / step is an integer and a half, exactly: weights are bf16 numbers, of which f64 holds these products. */
static bool is_half_step(const struct golden_case *c, const struct range *range, double weight) {
    const double twice = 2 * (double)((1U << c->bits) - 1) * weight, width = range->highest - range->lowest;
    return fmod(twice, width) == 0 && fmod(twice / width, 2) != 0;
}

static void settle_code(const struct golden_case *c, const struct tie *tie, struct sinq_plain_matrix *plain) {
    const size_t i = tie->group * c->group + tie->column;
    const struct range range = find_range(c, tie->group);
    ck_assert_msg(abs((int)plain->codes[i] - (int)c->codes[i]) == 1, "%s: code %zu is no tie", c->name, i);
    ck_assert_msg(is_half_step(c, &range, (double)c->weight[i]), "%s: code %zu is no tie", c->name, i);
    plain->codes[i] = c->codes[i];
}

/* The group's codes follow from the zero point. */
static void settle_zero(const struct golden_case *c, const struct tie *tie, struct sinq_plain_matrix *plain) {
    float *const zero = &plain->zero[tie->group];
    const struct range range = find_range(c, tie->group);
    ck_assert_msg(fabsf(*zero - c->zero[tie->group]) == 1.0F, "%s: zero %zu is no tie", c->name, tie->group);
    ck_assert_msg(is_half_step(c, &range, range.lowest), "%s: zero %zu is no tie", c->name, tie->group);
    *zero = c->zero[tie->group];
    for (size_t i = tie->group * c->group; i < (tie->group + 1) * c->group; i++) {
        const float place = nearbyintf(c->weight[i] / plain->scale[tie->group] + *zero);
        plain->codes[i] = (uint8_t)fminf(fmaxf(place, 0.0F), (float)((1U << c->bits) - 1));
    }
}

/* The middle of two f16 numbers is between ours and theirs, or one of them, which are at most four steps of f32 from each other. */
static void settle_scale(const struct golden_case *c, const struct tie *tie, struct sinq_plain_matrix *plain) {
    float *const ours = &plain->scale[tie->group];
    const float theirs = c->scale[tie->group], low = fminf(*ours, theirs), high = fmaxf(*ours, theirs);
    const float below = sinq_half_to_float(sinq_float_to_half(low)),
                above = sinq_half_to_float(sinq_float_to_half(high));
    const float middle = below + (above - below) / 2;
    ck_assert_msg(below < above && low <= middle && middle <= high, "%s: scale %zu is no tie", c->name, tie->group);
    ck_assert_msg(high - low <= 4 * (nextafterf(low, INFINITY) - low), "%s: scale %zu is no tie", c->name, tie->group);
    *ours = theirs;
}

/* As the reference has settled them. */
static void settle_ties(const struct golden_case *c, struct sinq_plain_matrix *plain) {
    for (size_t i = 0; i < sizeof ties / sizeof ties[0]; i++) {
        if (strcmp(ties[i].name, c->name) != 0) continue;
        if (ties[i].kind == TIE_CODE) settle_code(c, &ties[i], plain);
        if (ties[i].kind == TIE_ZERO) settle_zero(c, &ties[i], plain);
        if (ties[i].kind == TIE_SCALE) settle_scale(c, &ties[i], plain);
    }
}

/* ---- HQQ ---- */

static double measure_group(const struct golden_case *c, size_t group, const uint8_t *codes, float scale, float zero) {
    double error = 0;
    for (size_t i = group * c->group; i < (group + 1) * c->group; i++) {
        const double rebuilt = (double)scale * ((double)codes[i] - (double)zero);
        const double difference = (double)c->weight[i] / (double)c->column[i] - rebuilt;
        error += difference * difference;
    }
    return error;
}

/*
 * By design ours are others: the reference keeps the zeros of one step for a whole tile, and with them the codes of the last one. Scales
 * and column scales are the same (compared as of all cases), and no group has a larger error.
 */
static void check_hqq(const struct golden_case *c, const struct sinq_plain_matrix *plain) {
    for (size_t g = 0; g < c->rows * c->groups; g++) {
        const double ours = measure_group(c, g, plain->codes, plain->scale[g], plain->zero[g]);
        const double theirs = measure_group(c, g, c->codes, c->scale[g], c->zero[g]);
        ck_assert_msg(ours <= theirs * (1 + 1e-5), "%s: group %zu has the squared error %g, the reference's %g",
                      c->name, g, ours, theirs);
    }
}

static bool is_compared(const struct golden_case *c, const char *suffix) {
    return c->method != SINQ_METHOD_SINQ_HQQ || (strcmp(suffix, ".W_q") != 0 && strcmp(suffix, ".meta.zero") != 0);
}

static void compare_with_golden(const struct sinq_source *source, const struct golden_case *c) {
    struct sinq_plain_matrix plain;
    struct sinq_reference_parts parts;
    struct sinq_matrix_outcome outcome;
    struct sinq_error error;
    struct sinq_reference_matrix matrix = describe(c);
    ck_assert_ptr_null(sinq_find_reference_obstacle(&matrix));
    sinq_measure_reference(&matrix, &parts);
    const uint64_t tiles = c->is_2d ? c->rows / c->group : 1;
    ck_assert_int_eq(sinq_allocate_plain(c->rows, c->cols, c->groups, tiles, c->name, &plain, &error), SINQ_OK);
    quantize(c, &plain, &outcome);
    matrix.method = outcome.method;
    settle_ties(c, &plain);
    if (c->method == SINQ_METHOD_SINQ_HQQ) check_hqq(c, &plain);
    uint8_t *const bytes = malloc((size_t)parts.bytes);
    ck_assert_int_eq(sinq_pack_reference(&matrix, &plain, 1.0F, false, c->name, bytes, &error), SINQ_OK);
    for (size_t i = 0; i < parts.count; i++) {
        const struct sinq_reference_part *const part = &parts.parts[i];
        if (!is_compared(c, part->suffix)) continue;
        const uint64_t differences = count_differences(source, c, part, bytes + part->offset);
        ck_assert_msg(differences == 0, "%s%s: %llu bytes differ", c->name, part->suffix,
                      (unsigned long long)differences);
    }
    free(bytes);
    sinq_free_plain(&plain);
}

/* ---- what the reference stores, read ---- */

/* A checkpoint in memory: one layer "l", or whatever is added. */
struct checkpoint {
    struct sinq_text header, data, file, sidecar;
    struct sinq_input input;
    struct sinq_source *source;
};

static void add_tensor(struct checkpoint *c, const char *name, const char *dtype, const char *shape, const void *bytes,
                       size_t size) {
    sinq_text_print(&c->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                    c->header.size == 0 ? "{" : ",", name, dtype, shape, c->data.size, c->data.size + size);
    sinq_text_add_bytes(&c->data, bytes, size);
}

static int open_reference(struct checkpoint *c, struct sinq_error *error) {
    *error = (struct sinq_error){0};
    sinq_text_add(&c->header, c->header.size == 0 ? "{}" : "}");
    const uint64_t size = c->header.size;
    sinq_text_add_bytes(&c->file, (const char *)&size, sizeof size);
    sinq_text_add_bytes(&c->file, c->header.data, c->header.size);
    if (c->data.size > 0) sinq_text_add_bytes(&c->file, c->data.data, c->data.size);
    c->input =
        (struct sinq_input){.path = "sidecar", .bytes = c->sidecar.size, .memory = (const uint8_t *)c->sidecar.data};
    struct sinq_weights *const weights = sinq_weights_create("memory", "test", true);
    ck_assert_int_eq(sinq_weights_add_memory(weights, "memory", (const uint8_t *)c->file.data, c->file.size, error),
                     SINQ_OK);
    ck_assert_int_eq(sinq_weights_finish(weights, error), SINQ_OK);
    return sinq_open_reference(weights, &c->input, &c->source, error);
}

static void drop_checkpoint(struct checkpoint *c) {
    sinq_source_close(c->source);
    sinq_text_free(&c->header);
    sinq_text_free(&c->data);
    sinq_text_free(&c->file);
    sinq_text_free(&c->sidecar);
}

/* The golden parts as a checkpoint. */
static void add_golden(const struct sinq_source *source, const struct golden_case *c, struct checkpoint *out) {
    struct sinq_reference_parts parts;
    struct sinq_reference_matrix matrix = describe(c);
    sinq_measure_reference(&matrix, &parts);
    for (size_t i = 0; i < parts.count; i++) {
        const struct sinq_reference_part *const part = &parts.parts[i];
        char name[64], shape[64];
        uint64_t bytes;
        uint8_t *const stored = read_stored(source, c->name, golden_suffix(part->suffix), &bytes);
        (void)snprintf(name, sizeof name, "l%s", part->suffix);
        (void)snprintf(shape, sizeof shape,
                       part->rank == 3   ? "%llu,%llu,%llu"
                       : part->rank == 2 ? "%llu,%llu"
                                         : "",
                       (unsigned long long)part->shape[0], (unsigned long long)part->shape[1],
                       (unsigned long long)part->shape[2]);
        add_tensor(out, name, sinq_dtype_name(part->dtype), shape, stored, (size_t)bytes);
        free(stored);
    }
    sinq_text_add(&out->sidecar, "{\"l\":{\"meta\":");
    sinq_print_reference_meta(&matrix, "bfloat16", &out->sidecar);
    sinq_text_add(&out->sidecar, "}}");
}

/* Rebuilt from f16 scales, the weights are near those that the reference rebuilds from f32 ones; zeros of 8 bits are rounded in f16. */
static void compare_rebuilt(const struct golden_case *c, const struct sinq_source *source) {
    struct sinq_error error;
    double difference = 0, norm = 0;
    float *const row = malloc(2 * c->cols * sizeof *row);
    for (size_t r = 0; r < c->rows; r += 2) {
        ck_assert_int_eq(sinq_read_rows(source, 0, r, 2, row, &error), SINQ_OK);
        for (size_t k = 0; k < 2 * c->cols; k++) {
            const double theirs = (double)c->dequant[r * c->cols + k];
            difference += ((double)row[k] - theirs) * ((double)row[k] - theirs);
            norm += theirs * theirs;
        }
    }
    ck_assert_msg(sqrt(difference / norm) < (c->has_aux ? 1e-2 : 1e-3), "%s: rebuilt off by %g", c->name,
                  sqrt(difference / norm));
    free(row);
}

/* In our layout, and from there in the reference's again: of f16 scales the bytes are the same. */
static void go_there_and_back(const struct sinq_source *golden, const struct golden_case *c,
                              const struct sinq_source *source) {
    struct sinq_matrix_bytes found;
    struct sinq_plain_matrix plain;
    struct sinq_reference_parts parts;
    struct sinq_error error;
    struct sinq_reference_matrix matrix = describe(c);
    ck_assert_int_eq(sinq_fetch_matrix(source, 0, 0, NULL, &found, &error), SINQ_OK);
    ck_assert_msg((found.bytes == NULL) == c->is_2d, "%s: our layout has no 2-D tiling, and all else", c->name);
    if (found.bytes == NULL) return;
    matrix.has_codes = false;
    sinq_measure_reference(&matrix, &parts);
    uint8_t *const bytes = malloc((size_t)parts.bytes);
    ck_assert_int_eq(sinq_allocate_plain(c->rows, c->cols, c->groups, 1, c->name, &plain, &error), SINQ_OK);
    sinq_unpack_plain(&found.matrix, &found.sizes, found.bytes, &plain);
    ck_assert_int_eq(sinq_pack_reference(&matrix, &plain, found.matrix.factor, true, c->name, bytes, &error), SINQ_OK);
    for (size_t i = 0; i < parts.count; i++) {
        const bool is_stored = !c->has_aux || parts.parts[i].dtype != SINQ_F16 || i == 2; /* codes and scale2 */
        if (!is_stored) continue;
        ck_assert_msg(count_differences(golden, c, &parts.parts[i], bytes + parts.parts[i].offset) == 0,
                      "%s%s: changed", c->name, parts.parts[i].suffix);
    }
    sinq_free_plain(&plain);
    free(bytes);
    free(found.owned);
}

static void read_golden(const struct sinq_source *source, const struct golden_case *c) {
    struct checkpoint checkpoint = {.source = NULL};
    struct sinq_error error;
    struct sinq_matrix_info info;
    add_golden(source, c, &checkpoint);
    ck_assert_msg(open_reference(&checkpoint, &error) == SINQ_OK, "%s: %s", c->name, error.message);
    ck_assert_uint_eq(sinq_source_tensor_count(checkpoint.source), 1);
    ck_assert_str_eq(sinq_source_tensor(checkpoint.source, 0)->name, "l.weight");
    ck_assert_int_eq(sinq_source_matrix_info(checkpoint.source, 0, 0, &info, &error), SINQ_OK);
    ck_assert(info.rows == c->rows && info.cols == c->cols && info.bits == c->bits && info.method == c->method);
    compare_rebuilt(c, checkpoint.source);
    go_there_and_back(source, c, checkpoint.source);
    drop_checkpoint(&checkpoint);
}

/* ---- hostile sidecars ---- */

/* One layer of 4 x 32 codes of 4 bits in groups of 16, which is right. */
static void add_small(struct checkpoint *c) {
    static const uint8_t zeros[64];
    add_tensor(c, "l.W_q", "U8", "4,16", zeros, 64);
    add_tensor(c, "l.meta.scale", "F16", "8,1", zeros, 16);
    add_tensor(c, "l.meta.zero", "F16", "8,1", zeros, 16);
    add_tensor(c, "l.meta.scale2", "F16", "1,32", zeros, 64);
}

#define GOOD "\"nbits\":4,\"shape\":[4,32],\"packing\":\"4bit_u8\",\"method\":\"sinq\""

static const struct {
    const char *name, *sidecar, *message; /* message: a part of the error, NULL: none */
} sidecars[] = {
    {"right", "{\"l\":{\"meta\":{" GOOD "}}}", NULL},
    {"unknown keys and layers",
     "{\"x\":{\"meta\":{\"shape\":\"\"}},\"l\":{\"a\":[1,{}],\"meta\":{" GOOD ",\"b\":null}}}", NULL},
    {"a code a byte in an older file", "{\"l\":{\"meta\":{\"nbits\":4,\"shape\":[2,32],\"packing\":\"4bit_u8\"}}}",
     "meta.scale: expected"},
    {"empty", "", "expected"},
    {"no object", "[]", "expected"},
    {"cut off", "{\"l\":{\"meta\":{\"nbits\":4", "expected"},
    {"the layer is missing", "{}", "does not say how it is quantized"},
    {"the layer has no meta", "{\"l\":{}}", "does not say how it is quantized"},
    {"the layer twice", "{\"l\":{\"meta\":{" GOOD "}},\"l\":{\"meta\":{" GOOD "}}}", "each layer once"},
    {"a shape of one side", "{\"l\":{\"meta\":{\"shape\":[4]}}}", "a shape of two sides"},
    {"a shape of three sides", "{\"l\":{\"meta\":{\"shape\":[4,32,1]}}}", "a shape of two sides"},
    {"a shape that overflows", "{\"l\":{\"meta\":{\"nbits\":4,\"shape\":[4611686018427387904,32]}}}",
     "shape: expected"},
    {"a shape of nothing", "{\"l\":{\"meta\":{\"nbits\":4,\"shape\":[0,32]}}}", "shape: expected"},
    {"a shape that the codes do not have", "{\"l\":{\"meta\":{\"nbits\":4,\"shape\":[4,64],\"packing\":\"4bit_u8\"}}}",
     "not what shape and packing give"},
    {"columns that groups do not divide", "{\"l\":{\"meta\":{\"nbits\":4,\"shape\":[4,33],\"packing\":\"4bit_u8\"}}}",
     "a part of the layer's columns"},
    {"negative bits", "{\"l\":{\"meta\":{\"nbits\":-4}}}", "expected"},
    {"7 bits", "{\"l\":{\"meta\":{\"nbits\":7,\"shape\":[4,32]}}}", "nbits: expected"},
    {"1 bit", "{\"l\":{\"meta\":{\"nbits\":1,\"shape\":[4,32],\"packing\":\"1bit_u8\"}}}", "a packing out of"},
    {"very many bits", "{\"l\":{\"meta\":{\"nbits\":4294967300,\"shape\":[4,32]}}}", "nbits: expected"},
    {"a packing of other bits", "{\"l\":{\"meta\":{\"nbits\":4,\"shape\":[4,32],\"packing\":\"2bit_u8\"}}}",
     "do not fit each other"},
    {"a packing in words", "{\"l\":{\"meta\":{\"nbits\":3,\"shape\":[4,32],\"packing\":\"3bit_32\"}}}",
     "not what shape and packing give"},
    {"fewer levels than codes", "{\"l\":{\"meta\":{\"nbits\":8,\"shape\":[2,32],\"method\":\"sinq_NF4\"}}}",
     "fewer levels"},
    {"groups along columns", "{\"l\":{\"meta\":{" GOOD ",\"axis\":0}}}", "axis 0"},
    {"codes as floats", "{\"l\":{\"meta\":{" GOOD ",\"view_as_float\":true}}}", "viewed as floats"},
    {"exponents of another kind", "{\"l\":{\"meta\":{" GOOD ",\"dual_scale_exponents\":\"1\"}}}", "two exponents"},
    {"exponents beyond f32", "{\"l\":{\"meta\":{" GOOD ",\"dual_scale_exponents\":\"200 0\"}}}", "no matrix has such"},
};

START_TEST(sidecars_are_hostile) {
    for (size_t i = 0; i < sizeof sidecars / sizeof sidecars[0]; i++) {
        struct checkpoint checkpoint = {.source = NULL};
        struct sinq_error error;
        add_small(&checkpoint);
        sinq_text_add(&checkpoint.sidecar, sidecars[i].sidecar);
        const int status = open_reference(&checkpoint, &error);
        ck_assert_msg((status == SINQ_OK) == (sidecars[i].message == NULL), "%s: %s", sidecars[i].name, error.message);
        ck_assert_msg(sidecars[i].message == NULL || strstr(error.message, sidecars[i].message) != NULL, "%s: %s",
                      sidecars[i].name, error.message);
        ck_assert_ptr_null(strchr(error.message, '\n'));
        drop_checkpoint(&checkpoint);
    }
}
END_TEST

/* Tensors that do not fit: in place of the one of that name, or added. */
static const struct {
    const char *name, *tensor, *dtype, *shape;
    size_t bytes;
    const char *message;
} parts_cases[] = {
    {"no scales", "l.meta.scale", NULL, NULL, 0, "meta.scale: expected"},
    {"no zeros", "l.meta.zero", NULL, NULL, 0, "meta.zero: expected"},
    {"no column scale", "l.meta.scale2", NULL, NULL, 0, NULL},
    {"one zero for all", "l.meta.zero", "F16", "", 2, NULL},
    {"scales in f32", "l.meta.scale", "F32", "8,1", 32, NULL},
    {"scales of integers", "l.meta.scale", "I32", "8,1", 32, "meta.scale: expected"},
    {"too few scales", "l.meta.scale", "F16", "7,1", 14, "meta.scale: expected"},
    {"codes of scales without steps", "l.meta.scale", "U8", "8,1", 8, "meta.scale: expected"},
    {"codes of zeros without steps", "l.meta.zero", "U8", "8,1", 8, "meta.zero: expected"},
    {"a column too few", "l.meta.scale2", "F16", "1,31", 62, "meta.scale2: expected"},
    {"tiles that do not divide the rows", "l.meta.scale2", "F16", "8,1,1", 16, "tiles do not divide"},
    {"codes in one dimension", "l.W_q", "U8", "64", 64, "expected two dimensions"},
    {"codes without columns", "l.W_q", "U8", "4,0", 0, "expected two dimensions"},
    {"codes in words", "l.W_q", "I32", "4,16", 256, "not what shape and packing give"},
    {"scales of a layer that is not there", "m.meta.scale", "F16", "8,1", 16, "has no codes"},
    {"scales twice", "l.meta.scale.x", "U8", "8,1", 8, "twice"},
    {"a weight beside the codes", "l.weight", "F16", "1", 2, "there is a l.weight, too"},
    {"what decodes nothing", "l.meta.awq_scale", "F16", "1", 2, NULL},
};

START_TEST(parts_do_not_fit) {
    static const uint8_t zeros[256];
    static const struct {
        const char *name, *dtype, *shape;
        size_t bytes;
    } usual[] = {{"l.W_q", "U8", "4,16", 64},
                 {"l.meta.scale", "F16", "8,1", 16},
                 {"l.meta.zero", "F16", "8,1", 16},
                 {"l.meta.scale2", "F16", "1,32", 64}};
    for (size_t i = 0; i < sizeof parts_cases / sizeof parts_cases[0]; i++) {
        struct checkpoint checkpoint = {.source = NULL};
        struct sinq_error error;
        for (size_t k = 0; k < sizeof usual / sizeof usual[0]; k++) {
            if (strcmp(usual[k].name, parts_cases[i].tensor) == 0) continue;
            add_tensor(&checkpoint, usual[k].name, usual[k].dtype, usual[k].shape, zeros, usual[k].bytes);
        }
        if (parts_cases[i].dtype != NULL) {
            add_tensor(&checkpoint, parts_cases[i].tensor, parts_cases[i].dtype, parts_cases[i].shape, zeros,
                       parts_cases[i].bytes);
        }
        sinq_text_add(&checkpoint.sidecar, "{\"l\":{\"meta\":{" GOOD "}}}");
        const int status = open_reference(&checkpoint, &error);
        ck_assert_msg((status == SINQ_OK) == (parts_cases[i].message == NULL), "%s: %s", parts_cases[i].name,
                      error.message);
        ck_assert_msg(parts_cases[i].message == NULL || strstr(error.message, parts_cases[i].message) != NULL, "%s: %s",
                      parts_cases[i].name, error.message);
        float row[32];
        if (status == SINQ_OK) ck_assert_int_eq(sinq_read_rows(checkpoint.source, 0, 3, 1, row, &error), SINQ_OK);
        drop_checkpoint(&checkpoint);
    }
}
END_TEST

/* ---- all cases ---- */

static void for_each_case(void (*check)(const struct sinq_source *source, const struct golden_case *c)) {
    char *const json_path = find_shared("golden/quant/reference.json");
    char *const data_path = find_shared("golden/quant/reference.safetensors");
    if (json_path == NULL || data_path == NULL) {
        free(json_path);
        free(data_path);
        return;
    }
    struct sinq_source *source;
    struct sinq_error error;
    char *text;
    size_t size, count = 0;
    ck_assert_int_eq(sinq_open_checkpoint(data_path, &source, &error), SINQ_OK);
    ck_assert_int_eq(sinq_read_file(json_path, 1 << 20, &text, &size, &error), SINQ_OK);
    cJSON *const cases = cJSON_Parse(text);
    const cJSON *description;
    cJSON_ArrayForEach(description, cases) {
        struct golden_case c;
        load_golden(source, description, &c);
        check(source, &c);
        free_golden(&c);
        count++;
    }
    ck_assert_uint_ge(count, 37);
    cJSON_Delete(cases);
    free(text);
    free(json_path);
    free(data_path);
    sinq_source_close(source);
}

START_TEST(stores_what_the_reference_stores) { for_each_case(compare_with_golden); }
END_TEST

START_TEST(reads_what_the_reference_stores) { for_each_case(read_golden); }
END_TEST

UNIT_MAIN("reference_layout", stores_what_the_reference_stores, reads_what_the_reference_stores, sidecars_are_hostile,
          parts_do_not_fit)
