/* Verifying: what is whole passes; every kind of damage is found, and named. */
#include <math.h>

#include "random_blob.h"

enum { LONG_VALUES = 3 << 20 }; /* several chunks, and several batches of them */

static const struct sinq_dual_scale usual = {.rows = 40,
                                             .cols = 70,
                                             .bits = 4,
                                             .group_size = 32,
                                             .scale_type = SINQ_AUX_U8,
                                             .zero_type = SINQ_AUX_U8,
                                             .zero_per_block = true,
                                             .has_column_scale = true,
                                             .levels = SINQ_LEVELS_F32,
                                             .factor = 0.5f};

static int verify(const struct memory_source *memory, unsigned threads, struct sinq_verify_summary *summary,
                  struct sinq_error *error) {
    *error = (struct sinq_error){0};
    return sinq_verify(&memory->base, threads, NULL, NULL, summary, error);
}

/* A checkpoint of one matrix of each kind that matters, all of them whole. */
struct sample {
    struct memory_source *memory;
    size_t floats, halves, integers, quantized, stack, fp8;
};

static struct sample make_sample(void) {
    struct sample s = {.memory = create_memory("model.safetensors")};
    const uint64_t shape[2] = {6, 8}, fp8_shape[2] = {4, 4}, scale_shape[2] = {1, 1};
    float floats[48];
    uint16_t halves[48];
    uint8_t bytes[48];
    const float scale = 0.5f;
    for (size_t i = 0; i < 48; i++) {
        floats[i] = random_value();
        halves[i] = (uint16_t)(0x3c00 + i);
        bytes[i] = (uint8_t)(i + 1);
    }
    s.floats = add_tensor(s.memory, "floats", SINQ_F32, 2, shape, floats, sizeof floats);
    s.halves = add_tensor(s.memory, "halves", SINQ_F16, 2, shape, halves, sizeof halves);
    s.integers = add_tensor(s.memory, "integers", SINQ_U8, 2, shape, bytes, sizeof bytes);
    uint64_t size;
    uint8_t *const blob = make_random_blob(&usual, &size);
    s.quantized = add_blobs(s.memory, "quantized", &usual, blob, size);
    free(blob);
    struct sinq_dual_scale expert = usual;
    uint8_t *stack = NULL;
    expert.stack_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        expert.stack_index = i;
        uint8_t *const next = make_random_blob(&expert, &size);
        stack = realloc(stack, (size_t)((i + 1) * size));
        ck_assert_ptr_nonnull(stack);
        memcpy(stack + i * size, next, (size_t)size);
        free(next);
    }
    s.stack = add_blobs(s.memory, "stack", &expert, stack, 2 * size);
    free(stack);
    s.fp8 = add_tensor(s.memory, "fp8", SINQ_F8_E4M3, 2, fp8_shape, bytes, 16);
    const size_t inverse = add_tensor(s.memory, "fp8_scale_inv", SINQ_F32, 2, scale_shape, &scale, sizeof scale);
    s.memory->tensors[s.fp8].scale_tensor = (int64_t)inverse;
    s.memory->tensors[s.fp8].scale_block[0] = s.memory->tensors[s.fp8].scale_block[1] = 128;
    s.memory->tensors[inverse].is_block_scale = true;
    set_checksum(s.memory, s.floats);
    set_checksum(s.memory, s.halves);
    set_checksum(s.memory, s.integers);
    return s;
}

START_TEST(what_is_whole_passes) {
    for (unsigned threads = 0; threads <= 3; threads++) {
        const struct sample s = make_sample();
        struct sinq_verify_summary summary;
        struct sinq_error error;
        const int status = verify(s.memory, threads, &summary, &error);
        ck_assert_msg(status == SINQ_OK, "%s", error.message);
        ck_assert_uint_eq(summary.tensors, 7);
        ck_assert_uint_eq(summary.checksums, 3 + 1 + 2);
        ck_assert_uint_eq(summary.bad_checksums, 0);
        ck_assert_uint_eq(summary.nonfinite_tensors, 0);
        sinq_source_close(&s.memory->base);
    }
}
END_TEST

START_TEST(an_empty_checkpoint_passes) {
    struct memory_source *const memory = create_memory("model.safetensors");
    const uint64_t shape[2] = {0, 5};
    struct sinq_verify_summary summary;
    struct sinq_error error;
    ck_assert_int_eq(verify(memory, 2, &summary, &error), SINQ_OK);
    set_checksum(memory, add_tensor(memory, "nothing", SINQ_F32, 2, shape, NULL, 0));
    ck_assert_int_eq(verify(memory, 2, &summary, &error), SINQ_OK);
    ck_assert_uint_eq(summary.checksums, 1);
    sinq_source_close(&memory->base);
}
END_TEST

START_TEST(a_flipped_bit_is_found_in_every_tensor_with_a_checksum) {
    for (size_t which = 0; which < 5; which++) {
        const struct sample s = make_sample();
        const size_t damaged[] = {s.floats, s.halves, s.integers, s.quantized, s.stack};
        const size_t t = damaged[which];
        struct sinq_verify_summary summary;
        struct sinq_error error;
        /* The last byte of a blob is padding: it counts too. */
        ((uint8_t *)s.memory->data[t])[s.memory->tensors[t].bytes - 1] ^= 1;
        ck_assert_int_eq(verify(s.memory, 2, &summary, &error), SINQ_CHECK_FAILED);
        ck_assert_uint_eq(summary.bad_checksums, 1);
        ck_assert_uint_eq(summary.nonfinite_tensors, 0);
        char expected[100];
        (void)snprintf(expected, sizeof expected, "model.safetensors: tensor %s: ", s.memory->tensors[t].name);
        ck_assert_msg(strncmp(error.message, expected, strlen(expected)) == 0, "%s", error.message);
        ck_assert_msg(strstr(error.message, "checksum") != NULL, "%s", error.message);
        ck_assert_ptr_null(strstr(error.message, "more tensor"));
        if (t == s.stack) ck_assert_ptr_nonnull(strstr(error.message, "matrix 1"));
        sinq_source_close(&s.memory->base);
    }
}
END_TEST

START_TEST(other_bad_tensors_are_counted) {
    static const char *const endings[] = {"", "; 1 more tensor is bad", "; 2 more tensors are bad"};
    for (size_t bad = 1; bad <= 3; bad++) {
        const struct sample s = make_sample();
        const size_t damaged[] = {s.halves, s.quantized, s.stack};
        struct sinq_verify_summary summary;
        struct sinq_error error;
        for (size_t i = 0; i < bad; i++) {
            ((uint8_t *)s.memory->data[damaged[i]])[s.memory->tensors[damaged[i]].bytes - 1] ^= 0x80;
        }
        ck_assert_int_eq(verify(s.memory, 1, &summary, &error), SINQ_CHECK_FAILED);
        ck_assert_uint_eq(summary.bad_checksums, bad);
        ck_assert_ptr_nonnull(strstr(error.message, "tensor halves"));
        const size_t length = strlen(error.message), ending = strlen(endings[bad - 1]);
        ck_assert_str_eq(error.message + length - ending, endings[bad - 1]);
        sinq_source_close(&s.memory->base);
    }
}
END_TEST

/* ---- values that are not finite ---- */

START_TEST(nonfinite_values_are_found_in_every_float_type) {
    static const struct {
        enum sinq_dtype dtype;
        uint8_t bytes[8];
        bool is_bad;
    } cases[] = {
        {SINQ_F64, {0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, true},
        {SINQ_F64, {1, 0, 0, 0, 0, 0, 0xf0, 0xff}, true},
        {SINQ_F64, {255, 255, 255, 255, 255, 255, 0xef, 0x7f}, false},
        {SINQ_F32, {0, 0, 0x80, 0x7f}, true},
        {SINQ_F32, {0, 0, 0xc0, 0xff}, true},
        {SINQ_F32, {255, 255, 0x7f, 0x7f}, false},
        {SINQ_F16, {0, 0x7c}, true},
        {SINQ_F16, {1, 0xfe}, true},
        {SINQ_F16, {255, 0x7b}, false},
        {SINQ_BF16, {0x80, 0xff}, true},
        {SINQ_BF16, {0xc0, 0x7f}, true},
        {SINQ_BF16, {0x7f, 0x7f}, false},
        {SINQ_F8_E4M3, {0x7f}, true},
        {SINQ_F8_E4M3, {0xff}, true},
        {SINQ_F8_E4M3, {0x7e}, false},
        {SINQ_F8_E5M2, {0x7c}, true},
        {SINQ_F8_E5M2, {0xfd}, true},
        {SINQ_F8_E5M2, {0x7b}, false},
        {SINQ_I32, {0, 0, 0x80, 0x7f}, false},
        {SINQ_U8, {0x7f}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory_source *const memory = create_memory("model.safetensors");
        const uint64_t shape[2] = {5, 7};
        const size_t size = sinq_dtype_size(cases[i].dtype);
        uint8_t bytes[5 * 7 * 8] = {0};
        memcpy(bytes + (3 * 7 + 4) * size, cases[i].bytes, size);
        add_tensor(memory, "w", cases[i].dtype, 2, shape, bytes, 35 * size);
        struct sinq_verify_summary summary;
        struct sinq_error error;
        const int status = verify(memory, 1, &summary, &error);
        ck_assert_msg(status == (cases[i].is_bad ? SINQ_CHECK_FAILED : SINQ_OK), "case %zu: %s", i, error.message);
        ck_assert_uint_eq(summary.nonfinite_tensors, cases[i].is_bad);
        ck_assert_uint_eq(summary.checksums, 0);
        if (cases[i].is_bad) {
            ck_assert_str_eq(error.message, "model.safetensors: tensor w: the value at row 3, column 4 is not finite");
        }
        sinq_source_close(&memory->base);
    }
}
END_TEST

/* Damage to one part of a blob whose checksum then fits again: [row 33][column 69] and its like become infinite or NaN. */
enum part { SCALE, SCALE_STEP, ZERO, ZERO_LOW, COLUMN, LEVEL, FACTOR, PADDING_COLUMN, UNUSED_ROW, UNUSED_LEVEL };

static void damage_blob(enum part part, struct sinq_dual_scale *m, const struct sinq_dual_scale_sizes *z,
                        uint8_t *blob) {
    const uint64_t entry = (33 / 16 * z->groups + 2) * 16 + 33 % 16, range = (33 / 32 * z->groups + 2) * 4;
    const float level = -INFINITY;
    switch (part) {
    case SCALE:
        put_half(blob + z->scale_offset + 2 * entry, INFINITY);
        break;
    case SCALE_STEP:
        put_half(blob + z->scale_range_offset + range + 2, NAN);
        break;
    case ZERO:
        put_half(blob + z->zero_offset + 2 * entry, NAN);
        break;
    case ZERO_LOW:
        put_half(blob + z->zero_range_offset + range, INFINITY);
        break;
    case COLUMN:
        put_half(blob + z->column_scale_offset + 2 * 69, INFINITY);
        break;
    case LEVEL:
        memcpy(blob + z->levels_offset + 4 * 7, &level, sizeof level);
        break;
    case FACTOR:
        m->factor = 3e38f;
        break;
    case PADDING_COLUMN:
        put_half(blob + z->column_scale_offset + 2 * 70, INFINITY);
        break;
    case UNUSED_ROW:
        put_half(blob + z->scale_offset + 2 * ((40 / 16 * z->groups + 2) * 16 + 40 % 16), INFINITY);
        break;
    case UNUSED_LEVEL:
        memcpy(blob + z->levels_offset + 4 * 8, &level, sizeof level);
        break;
    }
}

START_TEST(nonfinite_values_of_quantized_matrices_are_found) {
    static const struct {
        const char *name;
        enum part part;
        enum sinq_aux_type type; /* of scales and zeros */
        unsigned bits;
        bool transposed, is_bad;
        const char *place; /* NULL: anywhere */
    } cases[] = {
        {"scale", SCALE, SINQ_AUX_F16, 4, false, true, "row 33, column 64"},
        {"scale, transposed", SCALE, SINQ_AUX_F16, 4, true, true, "row 64, column 33"},
        {"step of a scale range", SCALE_STEP, SINQ_AUX_U8, 4, false, true, "row 32, column 64"},
        {"zero", ZERO, SINQ_AUX_F16, 4, false, true, "row 33, column 64"},
        {"low of a zero range", ZERO_LOW, SINQ_AUX_U8, 4, false, true, "row 32, column 64"},
        {"column scale", COLUMN, SINQ_AUX_U8, 4, false, true, "row 0, column 69"},
        {"column scale, transposed", COLUMN, SINQ_AUX_U8, 4, true, true, "row 69, column 0"},
        {"level", LEVEL, SINQ_AUX_U8, 3, false, true, NULL},
        {"factor too large", FACTOR, SINQ_AUX_U8, 4, false, true, NULL},
        {"a column that is not there", PADDING_COLUMN, SINQ_AUX_U8, 4, false, false, NULL},
        {"a row that is not there", UNUSED_ROW, SINQ_AUX_F16, 4, false, false, NULL},
        {"a level that no code names", UNUSED_LEVEL, SINQ_AUX_U8, 3, false, false, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned threads = 1; threads <= 2; threads++) {
            struct sinq_dual_scale matrix = usual;
            matrix.bits = cases[i].bits;
            matrix.transposed = cases[i].transposed;
            matrix.scale_type = matrix.zero_type = cases[i].type;
            matrix.zero_per_block = cases[i].type == SINQ_AUX_U8;
            struct sinq_dual_scale_sizes sizes;
            ck_assert(sinq_dual_scale_measure(&matrix, &sizes));
            uint64_t bytes;
            uint8_t *const blob = make_random_blob(&matrix, &bytes);
            damage_blob(cases[i].part, &matrix, &sizes, blob);
            sinq_dual_scale_seal(&matrix, blob);
            struct memory_source *const memory = create_memory("model.safetensors");
            add_blobs(memory, "q", &matrix, blob, bytes);
            struct sinq_verify_summary summary;
            struct sinq_error error;
            const int status = verify(memory, threads, &summary, &error);
            ck_assert_msg(status == (cases[i].is_bad ? SINQ_CHECK_FAILED : SINQ_OK), "%s: %s", cases[i].name,
                          error.message);
            ck_assert_uint_eq(summary.bad_checksums, 0);
            ck_assert_uint_eq(summary.nonfinite_tensors, cases[i].is_bad);
            if (cases[i].place != NULL) {
                ck_assert_msg(strstr(error.message, cases[i].place) != NULL, "%s: %s", cases[i].name, error.message);
            }
            sinq_source_close(&memory->base);
            free(blob);
        }
    }
}
END_TEST

/* The rows of a stack run on: row 3 of matrix 1 is row 43 of the tensor. */
START_TEST(places_in_stacks_are_counted_through) {
    const struct sample s = make_sample();
    struct sinq_dual_scale_sizes sizes;
    struct sinq_dual_scale expert = usual;
    struct sinq_verify_summary summary;
    struct sinq_error error;
    expert.stack_count = 2;
    expert.stack_index = 1;
    ck_assert(sinq_dual_scale_measure(&expert, &sizes));
    uint8_t *const second = (uint8_t *)s.memory->data[s.stack] + sizes.bytes;
    put_half(second + sizes.column_scale_offset + 2 * 9, NAN);
    sinq_dual_scale_seal(&expert, second);
    ck_assert_int_eq(verify(s.memory, 1, &summary, &error), SINQ_CHECK_FAILED);
    ck_assert_str_eq(error.message, "model.safetensors: tensor stack: the value at row 40, column 9 is not finite");
    sinq_source_close(&s.memory->base);
}
END_TEST

START_TEST(scaled_values_that_overflow_are_found) {
    const struct sample s = make_sample();
    struct sinq_verify_summary summary;
    struct sinq_error error;
    const float huge = 3e38f;
    ((uint8_t *)s.memory->data[s.fp8])[6] = 0x7e;
    memcpy(s.memory->data[(size_t)s.memory->tensors[s.fp8].scale_tensor], &huge, sizeof huge);
    ck_assert_int_eq(verify(s.memory, 2, &summary, &error), SINQ_CHECK_FAILED);
    ck_assert_str_eq(error.message, "model.safetensors: tensor fp8: the value at row 1, column 2 is not finite");
    ck_assert_uint_eq(summary.nonfinite_tensors, 1);
    sinq_source_close(&s.memory->base);
}
END_TEST

/* ---- long tensors, progress, errors ---- */

START_TEST(long_tensors_are_checked_to_the_end) {
    static const uint64_t places[] = {0, (1 << 20) - 1, 1 << 20, LONG_VALUES - 1};
    float *const values = calloc(LONG_VALUES, sizeof *values);
    const uint64_t shape[2] = {LONG_VALUES / 1024, 1024};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            struct memory_source *const memory = create_memory("model.safetensors");
            const size_t t = add_tensor(memory, "w", SINQ_F32, 2, shape, values, LONG_VALUES * sizeof *values);
            set_checksum(memory, t);
            struct sinq_verify_summary summary;
            struct sinq_error error;
            ck_assert_int_eq(verify(memory, threads, &summary, &error), SINQ_OK);
            ((float *)memory->data[t])[places[i]] = NAN;
            ((float *)memory->data[t])[LONG_VALUES - 1] = NAN;
            ck_assert_int_eq(verify(memory, threads, &summary, &error), SINQ_CHECK_FAILED);
            ck_assert_uint_eq(summary.bad_checksums, 1);
            ck_assert_uint_eq(summary.nonfinite_tensors, 1);
            char place[60];
            (void)snprintf(place, sizeof place, "row %u, column %u ", (unsigned)(places[i] / 1024),
                           (unsigned)(places[i] % 1024));
            ck_assert_msg(strstr(error.message, place) != NULL, "%s, not %s", error.message, place);
            sinq_source_close(&memory->base);
        }
    }
    free(values);
}
END_TEST

struct calls {
    unsigned count, stop_at;
    uint64_t last_bytes, total;
    bool has_gone_back;
};

static int count_call(void *user, const struct sinq_progress *progress) {
    struct calls *const calls = user;
    calls->has_gone_back = calls->has_gone_back || progress->bytes < calls->last_bytes || progress->name == NULL ||
                           progress->item >= progress->items;
    calls->last_bytes = progress->bytes;
    calls->total = progress->bytes_total;
    return ++calls->count == calls->stop_at;
}

START_TEST(progress_reaches_the_end_and_can_stop) {
    const struct sample s = make_sample();
    struct sinq_verify_summary summary;
    struct sinq_error error = {0};
    struct calls calls = {0};
    ck_assert_int_eq(sinq_verify(&s.memory->base, 2, count_call, &calls, &summary, &error), SINQ_OK);
    ck_assert_uint_eq(calls.last_bytes, calls.total);
    ck_assert(!calls.has_gone_back);
    ck_assert_uint_ge(calls.count, 7);
    const unsigned all = calls.count;
    for (unsigned stop = 1; stop <= all; stop++) {
        calls = (struct calls){.stop_at = stop};
        ck_assert_int_eq(sinq_verify(&s.memory->base, 2, count_call, &calls, &summary, &error), SINQ_INTERRUPTED);
        ck_assert_uint_eq(calls.count, stop);
    }
    sinq_source_close(&s.memory->base);
}
END_TEST

START_TEST(what_cannot_be_read_is_an_error) {
    const struct sample s = make_sample();
    for (size_t t = 0; t < s.memory->base.tensor_count; t++) {
        struct sinq_verify_summary summary;
        struct sinq_error error;
        s.memory->fail_at = (int64_t)t;
        ck_assert_int_eq(verify(s.memory, 2, &summary, &error), SINQ_FAILED);
        ck_assert_ptr_nonnull(strstr(error.message, "cannot be read"));
    }
    sinq_source_close(&s.memory->base);
}
END_TEST

UNIT_MAIN("verify", what_is_whole_passes, an_empty_checkpoint_passes,
          a_flipped_bit_is_found_in_every_tensor_with_a_checksum, other_bad_tensors_are_counted,
          nonfinite_values_are_found_in_every_float_type, nonfinite_values_of_quantized_matrices_are_found,
          places_in_stacks_are_counted_through, scaled_values_that_overflow_are_found,
          long_tensors_are_checked_to_the_end, progress_reaches_the_end_and_can_stop, what_cannot_be_read_is_an_error)
