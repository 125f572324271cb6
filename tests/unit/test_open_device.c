/* test_open_device.c: names of devices, and what is said where a device is not there. Passes with and without plug-in and device. */
#include <string.h>

#include "model/open_device.h"
#include "unit.h"

static int open_named(const char *device, struct sinq_device_names *names, struct sinq_error *error) {
    struct sinq_backend *backend = NULL;
    const int status = sinq_open_device(&(struct sinq_device_options){.device = device}, &backend, names, error);
    ck_assert((status == SINQ_OK) == (backend != NULL));
    if (backend != NULL) backend->ops->close(backend);
    return status;
}

START_TEST(names_of_another_form_are_refused) {
    static const char *const bad[] = {"",        "gpu",      "CUDA",      "cpu:0",
                                      "cuda:",   "cuda:-1",  "cuda:+1",   "cuda: 1",
                                      "cuda:1x", "cuda:1:2", "cuda:1024", "cuda:99999999999999999999",
                                      "auto:0",  "cuda0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sinq_device_names names;
        struct sinq_error error = {.message = ""};
        ck_assert_msg(open_named(bad[i], &names, &error) == SINQ_USAGE, "'%s' is taken", bad[i]);
        ck_assert_msg(strstr(error.message, bad[i]) != NULL, "'%s': %s", bad[i], error.message);
    }
}
END_TEST

START_TEST(the_cpu_is_always_there) {
    static const char *const devices[] = {"cpu", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct sinq_device_names names;
        ck_assert_int_eq(open_named(devices[i], &names, NULL), SINQ_OK);
        ck_assert_str_eq(names.device, "cpu");
        ck_assert_str_eq(names.reason, "");
    }
}
END_TEST

START_TEST(auto_takes_what_is_there_and_says_why) {
    struct sinq_device_names first, names;
    struct sinq_error error = {.message = ""};
    const bool has_device = open_named("cuda", &first, &error) == SINQ_OK;
    ck_assert_int_eq(open_named("auto", &names, NULL), SINQ_OK);
    ck_assert_str_eq(names.device, has_device ? first.device : "cpu");
    if (has_device) {
        ck_assert_str_eq(names.reason, "");
    } else {
        ck_assert_int_eq(strncmp(names.reason, error.message, 300), 0);
    }
}
END_TEST

START_TEST(a_device_beyond_the_last_is_one_clear_line) {
    struct sinq_device_names names;
    struct sinq_error error = {.message = ""};
    ck_assert_int_eq(open_named("cuda:1023", &names, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "CUDA") != NULL && strchr(error.message, '\n') == NULL, "%s", error.message);
}
END_TEST

UNIT_MAIN("open_device", names_of_another_form_are_refused, the_cpu_is_always_there,
          auto_takes_what_is_there_and_says_why, a_device_beyond_the_last_is_one_clear_line)
