/* test_scales.c: the scales that sinq_read_scales gives are those that the weights were rounded by. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "formats.h"
#include "sinq.h"
#include "unit.h"

#define TENSOR "model.layers.0.mlp.down_proj.weight"

static struct sinq_source *open_source(const char *path) {
    struct sinq_source *source = NULL;
    struct sinq_error error;
    const int status = sinq_open_checkpoint(path, &source, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    return source;
}

/* Plain rounding with f16 scales: a weight is at most half a scale from where it was. */
static void quantize_example(const char *example, const char *output, int group_size) {
    struct sinq_source *const source = open_source(example);
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_recipe *recipe = NULL;
    struct sinq_sink *sink = NULL;
    struct sinq_quantize_summary summary;
    struct sinq_error error;
    options.method = SINQ_METHOD_RTN;
    options.scale_type = SINQ_AUX_F16;
    options.group_size = group_size;
    const struct sinq_create_options create = {.path = output, .source = source, .force = true};
    int status = sinq_make_recipe(source, &options, &recipe, &error);
    if (status == SINQ_OK) status = sinq_create_checkpoint(&create, &sink, &error);
    if (status == SINQ_OK) status = sinq_quantize(source, recipe, sink, NULL, NULL, &summary, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    sinq_sink_close(sink);
    sinq_recipe_free(recipe);
    sinq_source_close(source);
}

static float *read_all(const struct sinq_source *source, uint64_t *rows, uint64_t *cols) {
    struct sinq_error error;
    const int64_t tensor = sinq_source_find(source, TENSOR);
    ck_assert_int_ge(tensor, 0);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(sinq_source_tensor(source, (size_t)tensor));
    float *const values = malloc(shape.rows * shape.cols * sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_assert_int_eq(sinq_read_rows(source, (size_t)tensor, 0, shape.rows, values, &error), SINQ_OK);
    *rows = shape.rows;
    *cols = shape.cols;
    return values;
}

static void check_scales(const struct sinq_source *result, const struct sinq_source *source, uint64_t group_size) {
    struct sinq_error error;
    uint64_t rows, cols;
    float *const before = read_all(source, &rows, &cols);
    float *const after = read_all(result, &rows, &cols);
    const size_t tensor = (size_t)sinq_source_find(result, TENSOR);
    const uint64_t width = group_size == SINQ_GROUP_ROW ? cols : group_size, groups = (cols + width - 1) / width;
    float *const scales = malloc(rows * groups * sizeof *scales), *const zeros = malloc(rows * groups * sizeof *zeros);
    ck_assert(scales != NULL && zeros != NULL);
    ck_assert_int_eq(sinq_read_scales(result, tensor, 0, scales, zeros, &error), SINQ_OK);
    double largest = 0.0;
    for (uint64_t i = 0; i < rows * cols; i++) {
        const uint64_t group = i / cols * groups + i % cols / width;
        const double steps = fabs((double)before[i] - (double)after[i]) / (double)scales[group];
        /* A code plus the zero point is a whole number of scales. */
        const double code = (double)after[i] / (double)scales[group] + (double)zeros[group];
        ck_assert_msg(steps <= 0.52, "weight %llu is %g scales off", (unsigned long long)i, steps);
        ck_assert_msg(fabs(code - rint(code)) < 1e-3 && code > -0.5 && code < 15.5, "weight %llu: code %g",
                      (unsigned long long)i, code);
        largest = fmax(largest, steps);
    }
    ck_assert_msg(largest > 0.45, "no weight is more than %g scales off", largest);
    ck_assert_int_eq(sinq_read_scales(result, tensor, 1, scales, NULL, &error), SINQ_USAGE);
    ck_assert_ptr_nonnull(strstr(error.message, TENSOR));
    ck_assert_int_eq(sinq_read_scales(source, 0, 0, scales, NULL, &error), SINQ_USAGE);
    free(zeros);
    free(scales);
    free(after);
    free(before);
}

START_TEST(scales_are_those_of_the_rounding) {
    static const int group_sizes[] = {16, 64, 128, (int)SINQ_GROUP_ROW};
    const char *const example = getenv("SINQ_EXAMPLE");
    if (example == NULL) {
        fprintf(stderr, "SKIPPED: SINQ_EXAMPLE is not set, scales are not tested\n");
        return;
    }
    char folder[] = "/tmp/sinq-scales.XXXXXX", output[64], command[96];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(output, sizeof output, "%s/out", folder);
    struct sinq_source *const source = open_source(example);
    for (size_t i = 0; i < sizeof group_sizes / sizeof group_sizes[0]; i++) {
        quantize_example(example, output, group_sizes[i]);
        struct sinq_source *const result = open_source(output);
        check_scales(result, source, (uint64_t)group_sizes[i]);
        sinq_source_close(result);
    }
    sinq_source_close(source);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

UNIT_MAIN("scales", scales_are_those_of_the_rounding)
