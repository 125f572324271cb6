/* unit.h: the main() that every unit test program shares. Each tests one file or noun, with tables of named cases. */
#ifndef SINQ_TESTS_UNIT_H
#define SINQ_TESTS_UNIT_H

#include <check.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Sanitizers are slow: a test may take fewer cases then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* Arithmetic that each thread does for itself says nothing to the thread sanitizer. */
#ifdef __SANITIZE_THREAD__
#define IS_THREAD_SANITIZED true
#else
#define IS_THREAD_SANITIZED false
#endif

/* Whether there are threads besides this one: OpenMP keeps those that it has started. */
static inline bool has_threads(void) {
    DIR *const tasks = opendir("/proc/self/task");
    size_t count = 0;
    if (tasks == NULL) return false;
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;) count += task->d_name[0] != '.';
    closedir(tasks);
    return count > 1;
}

/* The thread sanitizer leaves out the programs that tests.mk says start no threads: then they must start none. */
static inline bool is_listed_rightly(const char *name) {
    if (IS_SANITIZED || getenv("SINQ_UNTHREADED") == NULL || !has_threads()) return true;
    fprintf(stderr, "%s: has started threads, but is among tests.mk's UNTHREADED_TESTS\n", name);
    return false;
}

/* Runs one test case of tests; the program's exit status. */
static inline int run_unit_tests(const char *name, const TTest *const *tests, size_t count) {
    Suite *const suite = suite_create(name);
    TCase *const tcase = tcase_create(name);
    tcase_set_timeout(tcase, 300);
    for (size_t i = 0; i < count; i++) tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 && is_listed_rightly(name) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Path of a file in the shared data folder, or NULL with a loud line where the folder is absent. Free it. */
static inline char *find_shared(const char *name) {
    const char *const folder = getenv("SINQ_SHARED");
    char *path = malloc(4096);
    if (path == NULL || folder == NULL || snprintf(path, 4096, "%s/%s", folder, name) < 0) {
        free(path);
        return NULL;
    }
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "SKIPPED: %s is absent, what depends on it is not tested\n", path);
        free(path);
        return NULL;
    }
    fclose(file);
    return path;
}

/* For millions of checks: Check notes each assertion in a file, so only the one that fails is made. */
#define check_often(condition, ...)                                                                                    \
    do {                                                                                                               \
        if (!(condition)) ck_abort_msg(__VA_ARGS__);                                                                   \
    } while (0)

#define UNIT_MAIN(name, ...)                                                                                           \
    int main(void) {                                                                                                   \
        const TTest *const tests[] = {__VA_ARGS__};                                                                    \
        return run_unit_tests(name, tests, sizeof tests / sizeof tests[0]);                                            \
    }

#endif
