/*
 * The loops that measure the machine's limits do all that they are said to do: what they return is compared with direct sums, at
 * every instruction set. Rates are only looked at for being there.
 */
#include <math.h>
#include <string.h>

#include "base/random_fill.h"
#include "cpu_levels.h"
#include "kernels/limits.h"

static uint8_t *make_random(size_t bytes) {
    uint8_t *const data = aligned_alloc(64, bytes);
    ck_assert_ptr_nonnull(data);
    sinq_fill_random(7, data, bytes);
    return data;
}

static void check_reading(const struct sinq_limit_kernels *kernels, const char *level) {
    static const size_t sizes[] = {0, 1, 2, 3, 5, 16, 40};
    static const size_t distances[] = {0, 64, 4096};
    uint8_t *const data = make_random(40 * SINQ_LIMIT_READ_BYTES);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t bytes = sizes[i] * SINQ_LIMIT_READ_BYTES;
        uint64_t expected = 0;
        for (size_t at = 0; at < bytes; at += sizeof expected) {
            uint64_t value;
            memcpy(&value, data + at, sizeof value);
            expected ^= value;
        }
        for (size_t k = 0; k < 4 * (sizeof distances / sizeof distances[0]); k++) {
            const size_t d = k / 4, way = k % 4;
            const uint64_t found =
                kernels->read(data, bytes, (struct sinq_read_way){distances[d], way % 2 == 1, way / 2 == 1});
            ck_assert_msg(found == expected, "%s: %zu bytes, %zu ahead: found %llx, expected %llx", level, bytes,
                          distances[d], (unsigned long long)found, (unsigned long long)expected);
        }
    }
    free(data);
}

static void check_int8(const struct sinq_limit_kernels *kernels, const char *level) {
    const unsigned quads = (unsigned)(kernels->int8_operations / (2.0 * SINQ_LIMIT_LINES * 64));
    uint8_t *const data = make_random(SINQ_LIMIT_DATA_BYTES);
    int32_t sum = 0;
    for (size_t i = 0; i < SINQ_LIMIT_DATA_BYTES; i++) data[i] &= 0x7f;
    for (unsigned q = 0; q < quads; q++) {
        for (unsigned i = 0; i < SINQ_LIMIT_LINES * 64; i++) sum += data[i] * (data[4 * q + i % 4] - 64);
    }
    for (int32_t rounds = 0; rounds < 3; rounds++) {
        const uint32_t found = kernels->multiply_int8(data, (size_t)rounds);
        ck_assert_msg(found == (uint32_t)(rounds * sum), "%s: %d rounds: found %u, expected %u", level, rounds, found,
                      (uint32_t)(rounds * sum));
    }
    ck_assert_uint_ge(quads, 1);
    free(data);
}

static void check_f32(const struct sinq_limit_kernels *kernels, const char *level) {
    const unsigned tile = (unsigned)(kernels->f32_operations / (2.0 * SINQ_LIMIT_LINES * 16));
    float *const data = aligned_alloc(64, SINQ_LIMIT_DATA_BYTES);
    ck_assert_ptr_nonnull(data);
    for (unsigned i = 0; i < SINQ_LIMIT_LINES * 16; i++) data[i] = (float)(i % 61 + 1) / 64.0f;
    for (int rounds = 0; rounds < 3; rounds++) {
        double expected = 0;
        for (unsigned t = 0; t < tile; t++) {
            for (unsigned i = 0; i < SINQ_LIMIT_LINES * 16; i++) expected += rounds * (double)data[i] * (double)data[t];
        }
        const double found = (double)kernels->multiply_f32(data, (size_t)rounds);
        ck_assert_msg(fabs(found - expected) <= 1e-4 * expected, "%s: %d rounds: found %g, expected %g", level, rounds,
                      found, expected);
    }
    ck_assert_uint_ge(tile, 1);
    free(data);
}

START_TEST(loops_do_what_they_say) {
    for (size_t i = 0; i < CPU_LEVEL_NAMES; i++) {
        if (!select_cpu_level(i)) continue;
        const struct sinq_limit_kernels *const kernels = sinq_get_limit_kernels();
        check_reading(kernels, cpu_level_names[i]);
        check_int8(kernels, cpu_level_names[i]);
        check_f32(kernels, cpu_level_names[i]);
    }
}
END_TEST

START_TEST(rates_are_there) {
    static const struct {
        struct sinq_limits_options options;
        uint64_t bytes; /* read */
    } cases[] = {
        {{.threads = 1, .buffer_bytes = 100000}, 97 * 1024},
        {{.threads = 3, .buffer_bytes = 1, .read_only = true}, 3 * 1024}, /* each has something to read */
    };
    ck_assert_int_eq(sinq_select_cpu(NULL, NULL), SINQ_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_limits limits;
        struct sinq_error error;
        ck_assert_int_eq(sinq_measure_limits(&cases[i].options, NULL, NULL, &limits, &error), SINQ_OK);
        ck_assert_uint_eq(limits.threads, cases[i].options.threads);
        ck_assert_uint_eq(limits.buffer_bytes, cases[i].bytes);
        ck_assert_double_gt(limits.read_bytes, 1e6);
        ck_assert(cases[i].options.read_only ? limits.int8_operations == 0 : limits.int8_operations > 1e6);
        ck_assert(cases[i].options.read_only ? limits.f32_operations == 0 : limits.f32_operations > 1e6);
    }
}
END_TEST

static int stop_at_once(void *user, const struct sinq_progress *progress) {
    (void)progress;
    ++*(int *)user;
    return 1;
}

START_TEST(a_probe_measures_again) {
    const struct sinq_limits_options options = {.threads = 2, .buffer_bytes = 100000};
    struct sinq_limit_probe *probe = NULL;
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_limit_probe(&options, &probe, &error), SINQ_OK);
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct sinq_limits limits;
        ck_assert_int_eq(sinq_probe_limits(probe, threads, false, NULL, NULL, &limits, &error), SINQ_OK);
        ck_assert_uint_eq(limits.threads, threads);
        ck_assert_uint_eq(limits.buffer_bytes, 97 * 1024);
        ck_assert_double_gt(limits.f32_operations, 1e6);
        for (int limit = SINQ_LIMIT_READ; limit <= SINQ_LIMIT_F32; limit++) {
            ck_assert_double_gt(sinq_probe_limit(probe, &limits, (enum sinq_limit)limit), 1e6);
        }
    }
    sinq_limit_probe_close(probe);
    sinq_limit_probe_close(NULL);
}
END_TEST

START_TEST(measuring_stops_when_asked_to) {
    const struct sinq_limits_options options = {.threads = 1, .buffer_bytes = 4096};
    struct sinq_limits limits;
    struct sinq_error error;
    int calls = 0;
    ck_assert_int_eq(sinq_measure_limits(&options, stop_at_once, &calls, &limits, &error), SINQ_INTERRUPTED);
    ck_assert_int_eq(calls, 1);
}
END_TEST

UNIT_MAIN("limits", loops_do_what_they_say, rates_are_there, a_probe_measures_again, measuring_stops_when_asked_to)
