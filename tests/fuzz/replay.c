/*
 * replay.c: runs a fuzz target over the files of a folder, each as it is, cut off at every length and with every byte changed,
 * so that past findings stay fixed on machines without libFuzzer.
 */
#include <dirent.h>
#include <stdio.h>

#include "base/file.h"
#include "fuzz.h"

#define MAX_SEED_BYTES ((uint64_t)1 << 20)
#define MAX_MUTATED    ((size_t)2048) /* of larger files only the beginning is varied */

/* In memory of its own size, so that a sanitizer sees a read beyond the end. */
static void run_copy(const char *data, size_t size, size_t changed, unsigned char value) {
    uint8_t *const copy = malloc(size == 0 ? 1 : size);
    require(copy != NULL);
    memcpy(copy, data, size);
    if (changed < size) copy[changed] = value;
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_variants(const char *data, size_t size) {
    static const unsigned char values[] = {0, '"', '{', '9', 0xff};
    run_copy(data, size, SIZE_MAX, 0);
    for (size_t i = 0; i < size && i < MAX_MUTATED; i++) {
        run_copy(data, i, SIZE_MAX, 0);
        for (size_t v = 0; v < sizeof values; v++) run_copy(data, size, i, values[v]);
        run_copy(data, size, i, (unsigned char)(data[i] ^ 1));
    }
}

int main(int count, char **arguments) {
    if (count != 2) return fprintf(stderr, "usage: %s FOLDER\n", arguments[0]), EXIT_FAILURE;
    DIR *const folder = opendir(arguments[1]);
    if (folder == NULL) return perror(arguments[1]), EXIT_FAILURE;
    size_t files = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char *data = NULL;
        size_t size = 0;
        struct sinq_error error = {0};
        if (entry->d_name[0] == '.') continue;
        char *const path = sinq_join_path(arguments[1], entry->d_name);
        if (path == NULL || sinq_read_file(path, MAX_SEED_BYTES, &data, &size, &error) != SINQ_OK) {
            fprintf(stderr, "%s\n", error.message);
            return EXIT_FAILURE;
        }
        run_variants(data, size);
        files++;
        free(data);
        free(path);
    }
    closedir(folder);
    printf("%s: %zu files replayed\n", arguments[1], files);
    return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
