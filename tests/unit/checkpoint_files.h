/* checkpoint_files.h: making checkpoints, good and bad, in a temporary folder. */
#ifndef SINQ_TESTS_CHECKPOINT_FILES_H
#define SINQ_TESTS_CHECKPOINT_FILES_H

#include <check.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "formats.h"
#include "unit.h"

static char scratch[64];

static inline void make_folder(void) {
    strcpy(scratch, "/tmp/sinq-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static inline void empty_folder(void) {
    DIR *const handle = opendir(scratch);
    ck_assert_ptr_nonnull(handle);
    for (const struct dirent *entry = readdir(handle); entry != NULL; entry = readdir(handle)) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", scratch, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) (void)remove(path);
    }
    closedir(handle);
}

static inline void remove_folder(void) {
    empty_folder();
    ck_assert_int_eq(rmdir(scratch), 0);
}

/* In static memory of its own for each of the last four calls. */
static inline const char *path_of(const char *name) {
    static char paths[4][512];
    static unsigned next;
    char *const path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline void write_bytes(const char *name, const void *bytes, size_t size) {
    FILE *const file = fopen(path_of(name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text) { write_bytes(name, text, strlen(text)); }

/* A safetensors file of that header and data. */
static inline void write_safetensors(const char *name, const char *header, const void *data, size_t size) {
    const size_t length = strlen(header);
    uint8_t *const bytes = malloc(8 + length + size);
    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    if (size > 0) memcpy(bytes + 8 + length, data, size);
    write_bytes(name, bytes, 8 + length + size);
    free(bytes);
}

static inline struct sinq_source *open_good(const char *path) {
    struct sinq_source *source = NULL;
    struct sinq_error error = {0};
    const int status = sinq_open_checkpoint(path, &source, &error);
    ck_assert_msg(status == SINQ_OK && source != NULL, "%s is refused: %s", path, error.message);
    ck_assert_str_eq(error.message, "");
    return source;
}

/* Opening must fail with one line that contains all of the `reasons` (NULL: none). */
static inline void expect_refused(const char *what, const char *path, const char *const reasons[3]) {
    struct sinq_source *source = NULL;
    struct sinq_error error = {0};
    const int status = sinq_open_checkpoint(path, &source, &error);
    ck_assert_msg(status == SINQ_FAILED, "%s: status %d", what, status);
    ck_assert_ptr_null(source);
    ck_assert_int_eq(error.status, SINQ_FAILED);
    ck_assert_ptr_null(strchr(error.message, '\n'));
    for (int i = 0; i < 3; i++) {
        if (reasons[i] == NULL) continue;
        ck_assert_msg(strstr(error.message, reasons[i]) != NULL, "%s: \"%s\" does not say \"%s\"", what, error.message,
                      reasons[i]);
    }
}

/* The next repetition, "%" in it replaced by eight digits of `number`. */
static inline size_t repeat_text(const char *repeated, uint64_t number, char *out) {
    size_t size = 0;
    for (const char *c = repeated; *c != '\0'; c++) {
        if (*c != '%') {
            out[size++] = *c;
            continue;
        }
        for (int i = 7; i >= 0; i--) out[size++] = "0123456789abcdef"[number >> 4 * i & 15];
    }
    return size;
}

/* `bytes` of text, behind a safetensors file's length field or not. */
static inline void write_large(const char *name, bool has_length, uint64_t bytes, const char *before,
                               const char *repeated, const char *after) {
    static char block[1 << 16];
    FILE *const file = fopen(path_of(name), "wb");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 8 && has_length; i++) (void)fputc((int)(bytes >> 8 * i & 0xff), file);
    uint64_t left = bytes - strlen(before) - strlen(after), number = 0;
    (void)fputs(before, file);
    while (left > 0) {
        size_t size = 0;
        while (size < sizeof block - 512) size += repeat_text(repeated, number++, block + size);
        const uint64_t now = size < left ? size : left;
        ck_assert_uint_eq(fwrite(block, 1, now, file), now);
        left -= now;
    }
    (void)fputs(after, file);
    ck_assert_int_eq(fclose(file), 0);
}

static inline long measure_peak_memory(void) {
    struct rusage usage;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Not under sanitizers, and not under valgrind or an emulator (make RUN=...). */
static inline bool can_measure_costs(void) {
    const char *const preload = getenv("LD_PRELOAD"), *const runner = getenv("RUN");
    if (!IS_SANITIZED && (runner == NULL || *runner == '\0') &&
        (preload == NULL || strstr(preload, "valgrind") == NULL)) {
        return true;
    }
    static bool is_said;
    if (!is_said) fprintf(stderr, "SKIPPED: bounds on time and memory are not tested under sanitizers and emulators\n");
    is_said = true;
    return false;
}

/* As expect_refused, within the second and the 100 MB that a bad file may cost. A machine that is busy gets three tries. */
static inline void expect_cheap_refusal(const char *what, const char *path, const char *const reasons[3]) {
    double seconds = 2;
    for (int i = 0; i < 3 && seconds >= 1.0; i++) {
        const clock_t begin = clock();
        expect_refused(what, path, reasons);
        seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (!can_measure_costs()) return;
    }
    ck_assert_msg(seconds < 1.0, "%s: %.2f s", what, seconds);
    ck_assert_msg(measure_peak_memory() < 100000, "%s: %ld kB", what, measure_peak_memory());
}

#endif
