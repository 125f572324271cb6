/* test_bench.c: what `sinq bench` makes of its arguments and of what it measured. */
#include <string.h>

/* The program's files are no library: they are compiled into the test. */
#include "cmd/bench_limits.c"
#include "cmd/bench_options.c"
#include "cmd/machine_memory.c"
#include "cmd/memory.c"
#include "cmd/options.c"
#include "cmd/printable.c"
#include "cmd/spread.c"
#include "cmd/suggestion.c"
#include "unit.h"

/* bench_limits.c reports progress; nothing here measures. */
int sinq_meter_report(void *meter, const struct sinq_progress *progress) {
    (void)meter;
    (void)progress;
    return 0;
}

START_TEST(spreads) {
    static const struct {
        const char *name;
        double values[5];
        size_t count;
        struct sinq_spread spread;
    } cases[] = {
        {"none", {0}, 0, {0, 0, 0}},
        {"one", {3}, 1, {3, 3, 3}},
        {"odd", {9, 1, 4}, 3, {4, 1, 9}},
        {"even", {9, 1, 4, 2}, 4, {3, 1, 9}},
        {"equal", {2, 2, 2, 2, 2}, 5, {2, 2, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_spread found = sinq_find_spread(cases[i].values, cases[i].count);
        ck_assert_msg(memcmp(&found, &cases[i].spread, sizeof found) == 0, "%s: %g (%g to %g)", cases[i].name,
                      found.median, found.least, found.most);
    }
}
END_TEST

START_TEST(shares) {
    static const struct sinq_bench_arguments arguments = {.threads = {.numbers = {1, 4}, .count = 2}, .repeat = 3};
    static const struct sinq_bench bench = {
        .arguments = &arguments,
        .limits = {{{.read_bytes = 1000, .int8_operations = 5000, .f32_operations = 800}, .resident_bytes = 3000},
                   {{.read_bytes = 2000, .int8_operations = 9000, .f32_operations = 900}}},
    };
    const struct sinq_work decode = {.weight_bytes = 40, .kv_bytes = 8, .other_bytes = 2, .int8_operations = 60};
    const struct sinq_work prompt = {
        .weight_bytes = 1, .int8_operations = 60, .f32_operations = 10, .attention_operations = 1000};
    const struct sinq_work exact = {.weight_bytes = 1, .f32_operations = 10};
    double rates[] = {10, 12, 30}, beside[] = {1000, 800, 900}; /* shares of a half, three quarters and more than all */
    const struct {
        const char *name;
        struct sinq_bench_case measured;
        struct sinq_bench_share share;
    } cases[] = {
        {"decode", {SINQ_BENCH_DECODE, 1, .rate = {10, 1, 99}, .work = decode}, {500, 1000, 3000, 0}},
        {"decode with four", {SINQ_BENCH_DECODE, 4, .rate = {10, 1, 99}, .work = decode}, {500, 2000, 0, 0}},
        {"faster than the limit", {SINQ_BENCH_DECODE, 1, .rate = {50, 1, 99}, .work = decode}, {2500, 2500, 3000, 0}},
        {"prompt", {SINQ_BENCH_PROMPT, 4, .rate = {10, 1, 99}, .work = prompt}, {600, 9000, 0, 0}},
        {"exact prompt", {SINQ_BENCH_PROMPT, 4, .rate = {10, 1, 99}, .work = exact}, {100, 900, 0, 0}},
        {"limits beside repetitions",
         {SINQ_BENCH_DECODE, 4, .rate = {12, 10, 30}, .rates = rates, .limits = beside, .work = decode},
         {600, 2000, 0, 0.75}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_bench_share found = sinq_find_bench_share(&bench, &cases[i].measured);
        ck_assert_msg(memcmp(&found, &cases[i].share, sizeof found) == 0, "%s: %g of %g or %g", cases[i].name,
                      found.reached, found.limit, found.resident_limit);
    }
    struct sinq_bench on_device = bench;
    on_device.facts.device = "cuda:0, some card";
    const struct sinq_bench_share of_device = sinq_find_bench_share(&on_device, &cases[0].measured);
    ck_assert_double_eq(of_device.reached, 500);
    ck_assert_double_eq(of_device.limit, 0); /* the processor's limits are not its own */
    static const struct sinq_bench_arguments unmeasured = {.threads = {.numbers = {1}, .count = 1}};
    const struct sinq_bench without = {.arguments = &unmeasured};
    ck_assert_double_eq(sinq_find_bench_share(&without, &cases[0].measured).limit, 0);
}
END_TEST

START_TEST(conflicts) {
    static const struct {
        char *words[6];
        bool has_model;
        const char *message; /* how it begins; NULL: none */
    } cases[] = {
        {{"bench"}, false, NULL},
        {{"bench", "--no-limits"}, false, "--no-limits leaves nothing"},
        {{"bench", "--no-limits"}, true, NULL},
        {{"bench", "--shape", "4b", "--bits", "3"}, false, NULL},
        {{"bench", "--shape", "4b"}, true, "--shape takes the place"},
        {{"bench", "--scale-type", "f16"}, true, "--bits, "},
        {{"bench", "--head-bits", "keep"}, true, "--bits, "},
        {{"bench", "--buffer", "1M", "--no-limits"}, true, "--buffer is for limits"},
        {{"bench", "--buffer", "1M"}, false, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_bench_arguments arguments = sinq_default_bench_arguments;
        struct sinq_error error;
        char *words[6];
        int first, count = 0;
        memcpy(words, cases[i].words, sizeof words);
        while (count < 6 && words[count] != NULL) count++;
        ck_assert_int_eq(sinq_parse_options(sinq_bench_options, count, words, &arguments, &first, &error), SINQ_OK);
        const char *const found = sinq_find_bench_conflict(&arguments, cases[i].has_model);
        ck_assert_msg((found == NULL) == (cases[i].message == NULL) &&
                          (found == NULL || strncmp(found, cases[i].message, strlen(cases[i].message)) == 0),
                      "case %zu: %s", i, found == NULL ? "none" : found);
    }
}
END_TEST

START_TEST(defaults_and_what_the_library_is_told) {
    struct sinq_bench_arguments arguments = sinq_default_bench_arguments;
    arguments.common.threads = 3; /* OMP_NUM_THREADS */
    sinq_complete_bench_arguments(&arguments);
    ck_assert_uint_eq(arguments.threads.numbers[0], 3);
    ck_assert_uint_eq(sinq_read_bench_session(&arguments, 1).context, 512);
    arguments.depths = (struct sinq_number_list){.numbers = {0, 4096, 5}, .count = 3};
    ck_assert_uint_eq(sinq_read_bench_session(&arguments, 1).context, 4096 + 32);
    arguments.predict = 0;
    ck_assert_uint_eq(sinq_read_bench_session(&arguments, 1).context, 512);
    arguments.prompts.numbers[0] = 0;
    ck_assert_uint_eq(sinq_read_bench_session(&arguments, 1).context, 1);
    ck_assert_int_eq(sinq_read_bench_quantizing(&arguments).head_bits, 4);
    arguments.method = "sinq-nf3";
    ck_assert_int_eq(sinq_read_bench_quantizing(&arguments).head_bits, 3);
    arguments.bits = "5";
    arguments.head_bits = "keep";
    arguments.group_size = "row";
    const struct sinq_quantize_options options = sinq_read_bench_quantizing(&arguments);
    ck_assert_int_eq(options.bits, 5);
    ck_assert_int_eq(options.head_bits, 0);
    ck_assert_int_eq(options.embed_bits, 0);
    ck_assert_int_eq(options.group_size, SINQ_GROUP_ROW);
    ck_assert_int_eq(options.method, SINQ_METHOD_SINQ_NF3);
}
END_TEST

UNIT_MAIN("bench", spreads, shares, conflicts, defaults_and_what_the_library_is_told)
