/* Statistics of layers' inputs: against sums over an independent forward pass, as a file, and as others might have made that file. */
#include <math.h>
#include <string.h>

#include "checkpoint/source.h"
#include "formats.h"
#include "quant/gram_index.h"
#include "reference_cases.h"

enum { WINDOW = 48, WINDOWS = 2, MOST_WATCHED = 100 };

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

static void compare_layer(const struct made_case *made, const struct watched *layer, const float *gram) {
    const size_t n = layer->width;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            const double expected = layer->sums[i * n + j] / (WINDOWS * WINDOW);
            const double scale = sqrt(layer->sums[i * n + i] * layer->sums[j * n + j]) / (WINDOWS * WINDOW);
            check_often(fabs(expected - (double)gram[i * n + j]) <= 1e-4 * scale, "%s: %s: %g at %zu, %zu, expected %g",
                        made->name, layer->name, (double)gram[i * n + j], i, j, expected);
        }
    }
}

/* How many layers had all positions' inputs and are in the file. */
static size_t compare_layers(const struct made_case *made, const struct watch *watch, const struct sinq_source *source,
                             struct sinq_gram_index *index) {
    size_t compared = 0;
    for (size_t i = 0; i < watch->count; i++) {
        char name[REFERENCE_NAME + 8];
        struct sinq_error error;
        const float *gram;
        (void)snprintf(name, sizeof name, "%s.weight", watch->layers[i].name);
        const int64_t tensor = sinq_source_find(source, name);
        if (tensor < 0 || watch->layers[i].count != WINDOWS * WINDOW) continue;
        ck_assert_msg(sinq_read_gram(index, (size_t)tensor, watch->layers[i].width, &gram, &error) == SINQ_OK, "%s",
                      error.message);
        if (gram == NULL) continue;
        compare_layer(made, &watch->layers[i], gram);
        compared++;
    }
    return compared;
}

static const struct {
    const char *name;
    size_t layers; /* that must have been compared */
} models[] = {{"gemma3, as transformers 4 writes it", 3 * 7},
              {"phi3, of which a part turns", 3 * 4},
              {"mixtral with stacks of experts", 3 * 5},
              {"deepseek_v3 with stacks of experts", 10}};

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
        size_t found = 0;
        while (strcmp(made_cases[found].name, models[i].name) != 0) found++;
        check_model(&made_cases[found], models[i].layers);
    }
    remove_folder();
}
END_TEST

/* ---- files ---- */

static const char *const file_model = "phi3, of which a part turns";

/* The model in the scratch folder, and tokens for it. */
static void write_model(int32_t *tokens) {
    struct reference *const r = malloc(sizeof *r);
    size_t found = 0;
    while (strcmp(made_cases[found].name, file_model) != 0) found++;
    cJSON *const config = parse_config(made_cases[found].config);
    free(make_up(&made_cases[found], config, 7, r, tokens));
    write_reference(r, made_cases[found].config);
    close_reference(r);
    cJSON_Delete(config);
    free(r);
}

/* Opens statistics of that name and reads all that layers ask for. */
static int use_file(const char *name, struct sinq_error *error) {
    struct sinq_source *const source = open_good(scratch), *statistics = NULL;
    struct sinq_gram_index index = {.of_tensor = NULL};
    const float *gram;
    int status = sinq_open_checkpoint(path_of(name), &statistics, error);
    if (status == SINQ_OK) status = sinq_open_gram_index(source, statistics, &index, error);
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) {
        status = sinq_read_gram(&index, i, source->tensors[i].shape[source->tensors[i].rank - 1], &gram, error);
    }
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
    write_model(tokens);
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
    write_model(tokens);
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
          nothing_is_overwritten_and_nothing_is_left)
