/* Statistics of layers' inputs: against sums over an independent forward pass, as a file, and as others might have made that file. */
#include <math.h>
#include <string.h>

#include "checkpoint/source.h"
#include "formats.h"
#include "quant/statistics/gram_index.h"
#include "quant/statistics/point_sums.h"
#include "quant/statistics/sensitivity_index.h"
#include "reference_cases.h"

enum { WINDOW = 48, WINDOWS = 2, MOST_WATCHED = 200 };

/* ---- sums over the independent pass ---- */

struct watched {
    char name[REFERENCE_NAME];
    size_t width, count;
    double *sums;
};
struct watch {
    struct watched layers[MOST_WATCHED];
    size_t count;
};

static void add_input(struct reference *r, const char *name, const double *x, size_t width) {
    struct watch *const watch = r->watching;
    size_t i = 0;
    while (i < watch->count && strcmp(watch->layers[i].name, name) != 0) i++;
    ck_assert_uint_lt(i, MOST_WATCHED);
    struct watched *const layer = &watch->layers[i];
    if (i == watch->count) {
        watch->count++;
        write_name(layer->name, "%s.weight", name);
        layer->name[strlen(name)] = '\0';
        layer->width = width;
        layer->sums = allocate(width * width);
    }
    layer->count++;
    for (size_t a = 0; a < width; a++) {
        for (size_t b = 0; b < width; b++) layer->sums[a * width + b] += x[a] * x[b];
    }
}

/* Each window from an empty context. */
static void watch_windows(struct reference *r, const int32_t *tokens, struct watch *watch) {
    r->watch = add_input;
    r->watching = watch;
    for (int w = 0; w < WINDOWS; w++) free(run_reference(r, tokens + w * WINDOW, WINDOW));
    r->watch = NULL;
}

static void free_watch(struct watch *watch) {
    for (size_t i = 0; i < watch->count; i++) free(watch->layers[i].sums);
    free(watch);
}

/* ---- against them ---- */

static void make_file(const int32_t *tokens, bool is_named, struct sinq_source **source,
                      struct sinq_source **statistics) {
    struct sinq_model *model;
    struct sinq_error error;
    *source = open_good(scratch);
    ck_assert_msg(sinq_load_model(*source, &model, &error) == SINQ_OK, "%s", error.message);
    const struct sinq_statistics_file options = {
        .path = is_named ? path_of("statistics") : NULL, .beside = scratch, .window = WINDOW, .threads = 1};
    /* What fills no window is left out. */
    ck_assert_msg(sinq_make_statistics(*source, model, tokens, WINDOWS * WINDOW + 5, &options, statistics, &error) ==
                      SINQ_OK,
                  "%s", error.message);
    sinq_model_free(model);
}

/* Where an expert's number is in a layer's name, and what comes behind it; NULL: it is no expert's. */
static const char *find_expert(const char *name, char **behind) {
    const char *const found = strstr(name, ".experts.");
    if (found == NULL) return NULL;
    (void)strtoul(found + strlen(".experts."), behind, 10);
    return found + strlen(".experts.");
}

/* An expert's sums are mixed with those of all experts of its layer, as many rows of their mean as it has columns. */
static struct watched mix_experts(const struct watch *watch, const struct watched *layer) {
    const size_t n = layer->width;
    struct watched mixed = {.width = n, .count = layer->count + n, .sums = allocate(n * n)};
    char *behind, *others;
    size_t all = 0;
    memcpy(mixed.name, layer->name, sizeof mixed.name);
    const size_t length = (size_t)(find_expert(layer->name, &behind) - layer->name);
    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *const other = &watch->layers[i];
        if (find_expert(other->name, &others) == NULL || strcmp(others, behind) != 0) continue;
        if (strncmp(other->name, layer->name, length) != 0) continue;
        for (size_t k = 0; k < n * n; k++) mixed.sums[k] += other->sums[k];
        all += other->count;
    }
    for (size_t k = 0; k < n * n; k++) mixed.sums[k] = layer->sums[k] + mixed.sums[k] * (double)n / (double)all;
    return mixed;
}

static void compare_layer(const struct made_case *made, const struct watched *layer, const float *gram) {
    const size_t n = layer->width;
    const double count = (double)layer->count;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            const double expected = layer->sums[i * n + j] / count;
            const double scale = sqrt(layer->sums[i * n + i] * layer->sums[j * n + j]) / count;
            check_often(fabs(expected - (double)gram[i * n + j]) <= 1e-4 * scale, "%s: %s: %g at %zu, %zu, expected %g",
                        made->name, layer->name, (double)gram[i * n + j], i, j, expected);
        }
    }
}

/* The tensor that is a layer's, or a stack with an expert's matrix in it. */
static int64_t find_layer(const struct sinq_source *source, const struct watched *layer, uint64_t *matrix) {
    char name[REFERENCE_NAME + 8], *behind;
    *matrix = 0;
    (void)snprintf(name, sizeof name, "%s.weight", layer->name);
    const int64_t found = sinq_source_find(source, name);
    const char *const number = find_expert(layer->name, &behind);
    if (found >= 0 || number == NULL) return found;
    *matrix = strtoul(number, NULL, 10);
    (void)snprintf(name, sizeof name, "%.*s%s", (int)(number - 1 - layer->name), layer->name, behind);
    return sinq_source_find(source, name);
}

/* How many layers are in the file. */
static size_t compare_layers(const struct made_case *made, const struct watch *watch, const struct sinq_source *source,
                             struct sinq_gram_index *index) {
    size_t compared = 0;
    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *const layer = &watch->layers[i];
        struct sinq_error error;
        const float *gram;
        uint64_t matrix;
        char *behind;
        const int64_t tensor = find_layer(source, layer, &matrix);
        if (tensor < 0) continue;
        ck_assert_msg(sinq_read_gram(index, (size_t)tensor, matrix, layer->width, &gram, &error) == SINQ_OK, "%s",
                      error.message);
        if (gram == NULL) continue;
        compared++;
        if (find_expert(layer->name, &behind) == NULL) {
            ck_assert_uint_eq(layer->count, WINDOWS * WINDOW);
            compare_layer(made, layer, gram);
            continue;
        }
        const struct watched mixed = mix_experts(watch, layer);
        compare_layer(made, &mixed, gram);
        free(mixed.sums);
    }
    return compared;
}

static const struct {
    const char *name;
    size_t layers; /* that must have been compared */
} models[] = {{"gemma3, as transformers 4 writes it", 3 * 7 + 1},
              {"phi3, of which a part turns", 3 * 4 + 1},
              {"qwen3_moe with dense layers", 3 * 4 + 3 + 2 * (1 + 6 * 3) + 1},
              {"mixtral with stacks of experts", 3 * (5 + 5 * 2) + 1},
              {"deepseek_v3 with stacks of experts", 10 + 2 * 8 * 2}};

static void check_model(const struct made_case *made, size_t least) {
    struct reference *const r = malloc(sizeof *r);
    struct watch *const watch = calloc(1, sizeof *watch);
    struct sinq_source *source, *statistics;
    struct sinq_gram_index index;
    struct sinq_error error;
    int32_t tokens[POSITIONS];
    cJSON *const config = parse_config(made->config);
    free(make_up(made, config, 7, r, tokens));
    write_reference(r, made->config);
    watch_windows(r, tokens, watch);
    make_file(tokens, false, &source, &statistics);
    ck_assert_msg(sinq_open_gram_index(source, statistics, &index, &error) == SINQ_OK, "%s", error.message);
    const size_t compared = compare_layers(made, watch, source, &index);
    if (getenv("SINQ_VERBOSE") != NULL) printf("%s: %zu layers\n", made->name, compared);
    ck_assert_msg(compared >= least, "%s: %zu layers compared, expected %zu", made->name, compared, least);
    sinq_free_gram_index(&index);
    sinq_source_close(statistics);
    sinq_source_close(source);
    free_watch(watch);
    close_reference(r);
    cJSON_Delete(config);
    free(r);
}

START_TEST(statistics_are_sums_over_a_plain_pass) {
    make_folder();
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        check_model(find_made_case(models[i].name), models[i].layers);
    }
    remove_folder();
}
END_TEST

/* ---- files ---- */

static const char *const plain_model = "phi3, of which a part turns";

/* Opens statistics of that name and reads all that layers ask for. */
static int use_file(const char *name, struct sinq_error *error) {
    struct sinq_source *const source = open_good(scratch), *statistics = NULL;
    struct sinq_gram_index index = {.of_tensor = NULL};
    const float *gram;
    int status = sinq_open_checkpoint(path_of(name), &statistics, error);
    if (status == SINQ_OK) status = sinq_open_gram_index(source, statistics, &index, error);
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) {
        status = sinq_read_gram(&index, i, 0, source->tensors[i].shape[source->tensors[i].rank - 1], &gram, error);
    }
    double *const sensitivities = calloc(source->tensor_count, sizeof *sensitivities);
    bool is_measured;
    if (status == SINQ_OK) {
        status = sinq_read_sensitivities(source, statistics, sensitivities, &is_measured, error);
        ck_assert(status != SINQ_OK || is_measured);
    }
    free(sensitivities);
    sinq_free_gram_index(&index);
    sinq_source_close(statistics);
    sinq_source_close(source);
    return status;
}

static const struct {
    const char *what, *from, *to, *reason; /* `to` is as long */
} edits[] = {{"another layer", "layers.1.mlp.down_proj", "layers.7.mlp.down_proj", "has no statistics of the input of"},
             {"no floats", "\"F32\"", "\"I32\"", "is no f32 matrix of"},
             {"another shape", "[64,64]", "[32,128]", NULL},
             {"a vector", "[64,64]", "[4096] ", "is no f32 matrix of 64 rows and columns"},
             {"a sensitivity that is none", "sensitivity\":{\"dtype\":\"F32\"", "sensitivity\":{\"dtype\":\"I32\"",
              "is no sensitivity, expected one f32 number from 0"},
             {"bytes that are not there", "\"data_offsets\":[0,", "\"data_offsets\":[9,", NULL}};

static uint8_t *read_whole(const char *name, size_t *size) {
    FILE *const file = fopen(path_of(name), "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    uint8_t *const bytes = malloc(*size);
    rewind(file);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static uint8_t *find_bytes(uint8_t *bytes, size_t size, const char *wanted) {
    for (size_t i = 0; i + strlen(wanted) <= size; i++) {
        if (memcmp(bytes + i, wanted, strlen(wanted)) == 0) return bytes + i;
    }
    ck_abort_msg("%s: not in the file", wanted);
    return NULL;
}

START_TEST(files_of_others_are_refused) {
    struct sinq_source *source, *statistics;
    struct sinq_error error;
    int32_t tokens[POSITIONS];
    size_t size;
    make_folder();
    write_made_model(plain_model, tokens);
    make_file(tokens, true, &source, &statistics);
    sinq_source_close(statistics);
    sinq_source_close(source);
    ck_assert_msg(use_file("statistics", &error) == SINQ_OK, "%s", error.message);
    uint8_t *const bytes = read_whole("statistics", &size), *const edited = malloc(size);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        memcpy(edited, bytes, size);
        memcpy(find_bytes(edited, size, edits[i].from), edits[i].to, strlen(edits[i].from));
        write_bytes("edited", edited, size);
        ck_assert_msg(use_file("edited", &error) == SINQ_FAILED, "%s: is taken", edits[i].what);
        ck_assert_msg(strstr(error.message, "edited") != NULL, "%s: %s", edits[i].what, error.message);
        ck_assert_msg(edits[i].reason == NULL || strstr(error.message, edits[i].reason) != NULL, "%s: %s",
                      edits[i].what, error.message);
    }
    write_bytes("edited", bytes, size - 1);
    ck_assert_int_eq(use_file("edited", &error), SINQ_FAILED);
    ck_assert_int_eq(use_file("model.safetensors", &error), SINQ_FAILED);
    /* Whatever a byte of the header becomes, it is read or refused. */
    for (size_t at = 0; at < 1200; at += IS_SANITIZED ? 97 : 13) {
        memcpy(edited, bytes, size);
        edited[at] ^= (uint8_t)(1u << at % 8);
        write_bytes("edited", edited, size);
        (void)use_file("edited", &error);
    }
    free(bytes);
    free(edited);
    remove_folder();
}
END_TEST

/* The file `from` with something in its header replaced by as much. */
static void edit_file(const char *from, const char *old, const char *new, const char *to) {
    size_t size;
    uint8_t *const bytes = read_whole(from, &size);
    ck_assert_uint_eq(strlen(old), strlen(new));
    memcpy(find_bytes(bytes, size, old), new, strlen(new));
    write_bytes(to, bytes, size);
    free(bytes);
}

static float *copy_gram(const char *file, const char *name, uint64_t matrix, size_t width) {
    struct sinq_source *const source = open_good(scratch), *statistics;
    struct sinq_gram_index index;
    struct sinq_error error;
    const float *gram;
    const int64_t tensor = sinq_source_find(source, name);
    ck_assert_int_ge(tensor, 0);
    ck_assert_int_eq(sinq_open_checkpoint(path_of(file), &statistics, &error), SINQ_OK);
    ck_assert_msg(sinq_open_gram_index(source, statistics, &index, &error) == SINQ_OK, "%s", error.message);
    ck_assert_int_eq(sinq_read_gram(&index, (size_t)tensor, matrix, width, &gram, &error), SINQ_OK);
    float *const copy = gram == NULL ? NULL : malloc(width * width * sizeof *copy);
    if (copy != NULL) memcpy(copy, gram, width * width * sizeof *copy);
    ck_assert(copy == NULL || sinq_read_gram(&index, (size_t)tensor, 1000, width, &gram, &error) ==
                                  (index.held.is_stack ? SINQ_FAILED : SINQ_OK));
    sinq_free_gram_index(&index);
    sinq_source_close(statistics);
    sinq_source_close(source);
    return copy;
}

START_TEST(files_without_statistics_of_experts_and_head_serve) {
    static const char experts[] = "model.layers.1.mlp.experts.gate_up_proj",
                      down[] = "model.layers.1.mlp.experts.down_proj";
    struct sinq_source *source, *statistics;
    struct sinq_error error;
    int32_t tokens[POSITIONS];
    make_folder();
    write_made_model("mixtral with stacks of experts", tokens);
    make_file(tokens, true, &source, &statistics);
    sinq_source_close(statistics);
    sinq_source_close(source);
    float *const router = copy_gram("statistics", "model.layers.1.mlp.gate.weight", 0, 64);
    float *const first = copy_gram("statistics", experts, 0, 64), *const third =
                                                                      copy_gram("statistics", experts, 2, 64);
    ck_assert(memcmp(first, third, 64 * 64 * sizeof *first) != 0);
    edit_file("statistics", "layers.1.mlp.experts.gate", "layers.1.mlp.expertz.gate", "older");
    edit_file("older", "layers.1.mlp.experts.down", "layers.1.mlp.expertz.down", "older");
    edit_file("older", "lm_head", "lm_hand", "older");
    float *const shared = copy_gram("older", experts, 2, 64);
    ck_assert(memcmp(shared, router, 64 * 64 * sizeof *shared) == 0);
    ck_assert_ptr_null(copy_gram("older", down, 0, 1));
    ck_assert_ptr_null(copy_gram("older", "lm_head.weight", 0, 64));
    edit_file("statistics", "[5,64,64]", "[64,5,64]", "edited");
    ck_assert_int_eq(use_file("edited", &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "is no stack of 5 f32 matrices of 64 rows") != NULL, "%s", error.message);
    free(router);
    free(first);
    free(third);
    free(shared);
    remove_folder();
}
END_TEST

/* ---- sums of few rows ---- */

START_TEST(experts_without_rows_have_the_mean_of_all) {
    enum { WIDTH = 5, ROWS = 4, CHOSEN = 2, EXPERTS = 4 };
    static const float choices[ROWS][2 * CHOSEN] = {{0, 1}, {1, 3}, {1, 0}, {3, 1}};
    float values[ROWS][1 + CHOSEN * WIDTH], gathered[ROWS * 16], row[WIDTH];
    float *const panels = aligned_alloc(64, ROWS * 16 * sizeof(float));
    struct sinq_error error;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < 1 + CHOSEN * WIDTH; i++) values[r][i] = (float)((r * 31 + i * 17) % 13) - 6.0f;
    }
    const struct sinq_point_rows rows = {values[0], choices[0], 1 + CHOSEN * WIDTH, 2 * CHOSEN, ROWS};
    for (int per_choice = 0; per_choice < 2; per_choice++) {
        struct sinq_input_point own = {.view = {0, 1},
                                       .width = WIDTH,
                                       .matrices = EXPERTS,
                                       .choices = {1, 0},
                                       .chosen = CHOSEN,
                                       .per_choice = per_choice != 0};
        struct sinq_input_point one = own;
        struct sinq_point_sums of_experts, of_all;
        one.matrices = 1;
        ck_assert_int_eq(sinq_make_point_sums(&own, &of_experts, &error), SINQ_OK);
        ck_assert_int_eq(sinq_make_point_sums(&one, &of_all, &error), SINQ_OK);
        sinq_add_point_rows(&of_experts, &rows, panels, gathered, 1);
        sinq_add_point_rows(&of_all, &rows, panels, gathered, 1);
        ck_assert_int_eq(sinq_finish_point_sums(&of_experts, &error), SINQ_OK);
        ck_assert_int_eq(sinq_finish_point_sums(&of_all, &error), SINQ_OK);
        ck_assert_uint_eq(of_experts.counts[1], 4);
        ck_assert_uint_eq(of_experts.counts[2], 0);
        for (size_t i = 0; i < WIDTH; i++) {
            double mean[WIDTH] = {0};
            for (int r = 0; r < ROWS; r++) {
                for (int c = 0; c < CHOSEN; c++) {
                    const float *const x = values[r] + 1 + (per_choice ? c * WIDTH : 0);
                    for (size_t j = 0; j < WIDTH; j++) mean[j] += (double)x[i] * x[j] / (ROWS * CHOSEN);
                }
            }
            sinq_read_point_row(&of_experts, 2, i, row);
            for (size_t j = 0; j < WIDTH; j++) ck_assert_double_eq_tol(row[j], mean[j], 1e-5);
            sinq_read_point_row(&of_all, 0, i, row);
            for (size_t j = 0; j < WIDTH; j++) ck_assert_double_eq_tol(row[j], mean[j], 1e-5);
        }
        sinq_free_point_sums(&of_experts);
        sinq_free_point_sums(&of_all);
    }
    free(panels);
}
END_TEST

static int stop(void *user, const struct sinq_progress *progress) {
    (void)user;
    (void)progress;
    return 1;
}

START_TEST(nothing_is_overwritten_and_nothing_is_left) {
    struct sinq_source *source, *statistics = NULL;
    struct sinq_model *model;
    struct sinq_error error;
    int32_t tokens[POSITIONS];
    make_folder();
    write_made_model(plain_model, tokens);
    source = open_good(scratch);
    ck_assert_int_eq(sinq_load_model(source, &model, &error), SINQ_OK);
    struct sinq_statistics_file options = {
        .path = path_of("mine"), .beside = scratch, .window = WINDOW, .threads = 1, .progress = stop};
    const struct {
        const char *there, *reason;
        bool force, has_path;
        int status;
    } cases[] = {{"mine", "mine: exists already; --force replaces it", false, true, SINQ_FAILED},
                 {"mine.partial", "mine.partial: exists", false, true, SINQ_FAILED},
                 {"mine", "interrupted", true, true, SINQ_INTERRUPTED},
                 {"other", "interrupted", false, true, SINQ_INTERRUPTED},
                 {"other", "interrupted", false, false, SINQ_INTERRUPTED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char there[4096];
        size_t size;
        write_text(cases[i].there, "mine\n");
        options.path = cases[i].has_path ? path_of("mine") : NULL;
        options.force = cases[i].force;
        ck_assert_int_eq(sinq_make_statistics(source, model, tokens, POSITIONS, &options, &statistics, &error),
                         cases[i].status);
        ck_assert_msg(strstr(error.message, cases[i].reason) != NULL, "%zu: %s", i, error.message);
        uint8_t *const bytes = read_whole(cases[i].there, &size);
        ck_assert(size == 5 && memcmp(bytes, "mine\n", 5) == 0);
        free(bytes);
        (void)snprintf(there, sizeof there, "%s", path_of(cases[i].there));
        ck_assert_int_eq(remove(there), 0);
        (void)snprintf(there, sizeof there, "%s", path_of("mine.partial"));
        ck_assert_int_ne(remove(there), 0);
    }
    ck_assert_ptr_null(statistics);
    sinq_model_free(model);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

UNIT_MAIN("statistics of inputs", statistics_are_sums_over_a_plain_pass, files_of_others_are_refused,
          files_without_statistics_of_experts_and_head_serve, experts_without_rows_have_the_mean_of_all,
          nothing_is_overwritten_and_nothing_is_left)
