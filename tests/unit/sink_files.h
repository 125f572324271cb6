/*
 * sink_files.h: what the tests of the sink share: a made-up source, a plan with tensors of every kind, one writing job with
 * its payload, and folders compared byte by byte. strict_safetensors.h reads what was written.
 */
#ifndef SINQ_TESTS_SINK_FILES_H
#define SINQ_TESTS_SINK_FILES_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/sink.h"
#include "checkpoint/source.h"
#include "formats.h"
#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_BYTES   1024

/* ---- tensors ---- */

#define PLAN(name_, dtype_, bytes_, ...)                                                                               \
    { .name = (name_), .dtype = (dtype_), .bytes = (bytes_), __VA_ARGS__ }
static const struct sinq_sink_tensor plan_tensors[] = {
    PLAN("layers.0.q.weight", SINQ_DUAL_SCALE, 1024, .rank = 2, .shape = {16, 96}),
    PLAN("layers.0.experts", SINQ_DUAL_SCALE, 4096, .rank = 3, .shape = {4, 16, 96}), /* grows, see real_bytes */
    PLAN("layers.1.q.weight", SINQ_DUAL_SCALE, 640, .rank = 2, .shape = {16, 32}),
    PLAN("norm \"quoted\" \\ \n \xc3\xa9 \xe4\xb8\xad", SINQ_F64, 24, .rank = 1, .shape = {3}),
    PLAN("layers.0.norm", SINQ_F32, 7 * 5 * 4, .rank = 2, .shape = {7, 5}),
    PLAN("a.scalar", SINQ_F32, 4, .rank = 0),
    PLAN("embed", SINQ_BF16, 33 * 31 * 2, .rank = 2, .shape = {33, 31}),
    PLAN("an.empty.one", SINQ_F16, 0, .rank = 2, .shape = {0, 4}),
    PLAN("mask", SINQ_BOOL, 5, .rank = 1, .shape = {5}),
};
#define PLAN_COUNT COUNT(plan_tensors)
static const char *const fingerprint_text = "00112233445566778899aabbccddeeff";
static const char *const quantization_text = "{\"quant_method\":\"dual-scale\",\"bits\":4.25}";

static inline uint64_t real_bytes(size_t tensor) { return plan_tensors[tensor].bytes + (tensor == 1 ? 192 : 0); }

static inline uint8_t payload_byte(size_t tensor, uint64_t at) {
    return (uint8_t)(tensor * 37 + at * 7 + (at >> 8) * 3 + 1);
}

static inline void fill_payload(size_t tensor, uint8_t *bytes) {
    for (uint64_t i = 0; i < real_bytes(tensor); i++) bytes[i] = payload_byte(tensor, i);
}

/* ---- files ---- */

static inline void print_path(char path[PATH_BYTES], const char *format, ...) SINQ_PRINTF(2, 3);
static inline void print_path(char path[PATH_BYTES], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(path, PATH_BYTES, format, arguments);
    va_end(arguments);
    ck_assert(size > 0 && size < PATH_BYTES);
}

static inline bool exists(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

static inline void put_file(const char *path, const void *data, size_t size) {
    FILE *const file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s", path);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void put_text(const char *path, const char *text) { put_file(path, text, strlen(text)); }

static inline char *get_file(const char *path, size_t *size) {
    struct stat status;
    ck_assert_msg(stat(path, &status) == 0, "%s", path);
    *size = (size_t)status.st_size;
    char *const data = calloc(1, *size + 1);
    FILE *const file = fopen(path, "rb");
    ck_assert(data != NULL && file != NULL);
    ck_assert_uint_eq(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static inline bool has_text(const char *path, const char *expected) {
    size_t size;
    char *const data = get_file(path, &size);
    const bool equal = size == strlen(expected) && memcmp(data, expected, size) == 0;
    free(data);
    return equal;
}

/* Removes a tree of our own making. */
static inline void remove_tree(const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0) return;
    if (!S_ISDIR(status.st_mode)) {
        ck_assert_int_eq(unlink(path), 0);
        return;
    }
    (void)chmod(path, 0700);
    DIR *const folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char below[PATH_BYTES];
        print_path(below, "%s/%s", path, entry->d_name);
        remove_tree(below);
    }
    closedir(folder);
    ck_assert_int_eq(rmdir(path), 0);
}

static inline size_t count_entries(const char *path) {
    size_t count = 0;
    DIR *const folder = opendir(path);
    ck_assert_msg(folder != NULL, "%s", path);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(folder);
    return count;
}

/* Whether two files, or two flat folders, hold the same. */
static inline bool is_equal_tree(const char *a, const char *b) {
    struct stat status;
    if (!exists(a) || !exists(b)) return false;
    ck_assert_int_eq(stat(a, &status), 0);
    if (!S_ISDIR(status.st_mode)) {
        size_t a_size, b_size;
        char *const a_data = get_file(a, &a_size);
        char *const b_data = get_file(b, &b_size);
        const bool equal = a_size == b_size && memcmp(a_data, b_data, a_size) == 0;
        free(a_data);
        free(b_data);
        return equal;
    }
    if (count_entries(a) != count_entries(b)) return false;
    bool equal = true;
    DIR *const folder = opendir(a);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; equal && (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char a_below[PATH_BYTES], b_below[PATH_BYTES];
        print_path(a_below, "%s/%s", a, entry->d_name);
        print_path(b_below, "%s/%s", b, entry->d_name);
        equal = is_equal_tree(a_below, b_below);
    }
    closedir(folder);
    return equal;
}

/* ---- the made-up source ---- */

/* In memory where there is such a place: these tests sync often. */
static inline const char *temporary(void) {
    const char *const asked = getenv("TMPDIR");
    if (asked != NULL) return asked;
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

#define CONFIG_TEXT    "{\n  \"model_type\": \"made-up\",\n  \"rope_theta\": 1e6\n}\n"
#define WEIGHTS_TEXT   "the source's weights"
#define MAKE_FOLDER(p) ck_assert_msg(mkdir((p), 0777) == 0, "%s: %s", (p), strerror(errno))

struct world {
    char root[PATH_BYTES], source_path[PATH_BYTES], weights[PATH_BYTES], out[PATH_BYTES], partial[PATH_BYTES];
    struct sinq_source source;
    struct sinq_shard shard;
    char *sidecars[2];
};

static inline int read_fake_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                                    struct sinq_error *error) {
    char path[PATH_BYTES];
    print_path(path, "%s/%s", source->path, source->sidecars[index]);
    return sinq_read_file(path, 1 << 20, data, size, error);
}

static const struct sinq_source_ops fake_ops = {.read_sidecar = read_fake_sidecar};

/* A folder of its own under `base` with a source in it. */
static inline void make_world(struct world *world, const char *base, bool is_directory) {
    *world = (struct world){.sidecars = {(char *)(uintptr_t) "config.json", (char *)(uintptr_t) "tokenizer.json"}};
    print_path(world->root, "%s/sinq-sink-XXXXXX", base);
    ck_assert_msg(mkdtemp(world->root) != NULL, "%s", world->root);
    char path[PATH_BYTES];
    print_path(path, "%s/source", world->root);
    MAKE_FOLDER(path);
    print_path(world->weights, "%s/source/model.safetensors", world->root);
    put_text(world->weights, WEIGHTS_TEXT);
    print_path(path, "%s/source/config.json", world->root);
    put_text(path, CONFIG_TEXT);
    print_path(path, "%s/source/tokenizer.json", world->root);
    put_file(path, "{\0\xff binary is carried over as well", 34);
    print_path(world->source_path, "%s/source%s", world->root, is_directory ? "" : "/model.safetensors");
    print_path(world->out, "%s/out", world->root);
    print_path(world->partial, "%s/out.partial", world->root);
    world->shard.path = world->weights;
    world->source = (struct sinq_source){.ops = &fake_ops,
                                         .path = world->source_path,
                                         .format = "made up",
                                         .is_directory = is_directory,
                                         .shards = &world->shard,
                                         .shard_count = 1};
    if (!is_directory) return;
    world->source.config = (char *)(uintptr_t)CONFIG_TEXT;
    world->source.sidecars = world->sidecars;
    world->source.sidecar_count = COUNT(world->sidecars);
}

static inline bool is_source_unharmed(const struct world *world) {
    char path[PATH_BYTES];
    print_path(path, "%s/source/config.json", world->root);
    if (!has_text(path, CONFIG_TEXT) || !has_text(world->weights, WEIGHTS_TEXT)) return false;
    print_path(path, "%s/source", world->root);
    return count_entries(path) == 3;
}

static inline void drop_world(struct world *world) {
    ck_assert(is_source_unharmed(world));
    remove_tree(world->root);
}

/* ---- a writing job ---- */

struct job {
    const char *path;     /* NULL: the world's */
    uint64_t shard_bytes; /* 0: the default */
    bool force, resume;
    size_t tensors; /* of the plan; 0 is all */
    bool stop;      /* after `stop_after` tensors the sink is closed */
    size_t stop_after;
    bool suspend;             /* before that */
    size_t write_bytes;       /* of a write call; 0 is all at once */
    const char *fingerprint;  /* NULL: the usual */
    const char *quantization; /* NULL: the usual */
    sinq_progress_fn *progress;
    void *user;
    /* What came of it. */
    size_t resumed;
    struct sinq_error error;
};

static inline int write_tensor(struct sinq_sink *sink, size_t tensor, size_t at_once, struct sinq_error *error) {
    uint8_t bytes[8192];
    char note[64];
    ck_assert_uint_le(real_bytes(tensor), sizeof bytes);
    fill_payload(tensor, bytes);
    (void)snprintf(note, sizeof note, "{\"tensor\": %zu, \"text\": \"\\\"\"}", tensor);
    int status = sink->ops->begin_tensor(sink, tensor, error);
    for (uint64_t at = 0; at < real_bytes(tensor) && status == SINQ_OK;) {
        const uint64_t left = real_bytes(tensor) - at;
        const uint64_t size = at_once == 0 || left < at_once ? left : at_once;
        status = sink->ops->write(sink, bytes + at, size, error);
        at += size;
    }
    return status == SINQ_OK ? sink->ops->end_tensor(sink, note, error) : status;
}

static inline void check_notes(const struct sinq_sink *sink, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char note[64];
        (void)snprintf(note, sizeof note, "{\"tensor\": %zu, \"text\": \"\\\"\"}", i);
        ck_assert_str_eq(sink->ops->note(sink, i), note);
    }
}

static inline int run_plan(struct sinq_sink *sink, struct job *job) {
    struct sinq_error *const error = &job->error;
    const struct sinq_sink_plan plan = {.tensors = plan_tensors,
                                        .count = job->tensors == 0 ? PLAN_COUNT : job->tensors,
                                        .fingerprint = job->fingerprint == NULL ? fingerprint_text : job->fingerprint};
    int status = sink->ops->begin(sink, &plan, &job->resumed, error);
    if (status != SINQ_OK) return status;
    check_notes(sink, job->resumed);
    const size_t end = job->stop ? job->stop_after : plan.count;
    for (size_t i = job->resumed; i < end && status == SINQ_OK; i++) {
        status = write_tensor(sink, i, job->write_bytes, error);
    }
    if (job->stop && job->suspend && status == SINQ_OK) status = sink->ops->suspend(sink, error);
    if (job->stop || status != SINQ_OK) return status;
    check_notes(sink, plan.count);
    const struct sinq_sink_final final = {job->quantization == NULL ? quantization_text : job->quantization};
    return sink->ops->commit(sink, &final, job->progress, job->user, error);
}

static inline int run_job(const struct world *world, struct job *job) {
    const struct sinq_create_options options = {.path = job->path == NULL ? world->out : job->path,
                                                .source = &world->source,
                                                .max_shard_bytes = job->shard_bytes,
                                                .force = job->force,
                                                .resume = job->resume};
    struct sinq_sink *sink;
    job->error = (struct sinq_error){0};
    int status = sinq_create_checkpoint(&options, &sink, &job->error);
    ck_assert((status == SINQ_OK) == (sink != NULL));
    if (status == SINQ_OK) status = run_plan(sink, job);
    sinq_sink_close(sink);
    ck_assert((status == SINQ_OK) == (job->error.message[0] == '\0'));
    return status;
}

#define CHECK_JOB(world_, job_)                                                                                        \
    do {                                                                                                               \
        const int status_ = run_job((world_), (job_));                                                                 \
        ck_assert_msg(status_ == SINQ_OK, "%d: %s", status_, (job_)->error.message);                                   \
    } while (0)

#endif
