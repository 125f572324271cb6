/*
 * The sink when calls of the system fail, or the process is killed, at every point: each call that changes something goes
 * through this file, which lets the one with a given number fail or ends the process there. Nothing unfinished may ever stand
 * under the final name, and a run that resumes must give the bytes of an undisturbed one.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sink_files.h"

/* ---- the calls ---- */

enum mode { COUNTING, FAILING, KILLING };

static struct {
    bool on;
    enum mode mode;
    long number;       /* of the call to be hit, from 1 */
    int error_number;  /* what it fails with */
    bool no_exchange;  /* a file system that cannot exchange names */
    atomic_long calls; /* reading back is done by several threads */
} faults;

/* Whether this call is to fail. */
static bool is_hit(void) {
    if (!faults.on) return false;
    const long call = atomic_fetch_add(&faults.calls, 1) + 1;
    if (faults.mode == COUNTING || call != faults.number) return false;
    if (faults.mode == KILLING) (void)kill(getpid(), SIGKILL);
    errno = faults.error_number;
    return true;
}

/* Syncing is not needed to see what is written; the tests run faster without. */
int fsync(int fd) {
    (void)fd;
    return is_hit() ? -1 : 0;
}

int fdatasync(int fd) {
    (void)fd;
    return is_hit() ? -1 : 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return is_hit() ? -1 : syscall(SYS_pwrite64, fd, bytes, size, offset);
}

int ftruncate(int fd, off_t size) { return is_hit() ? -1 : (int)syscall(SYS_ftruncate, fd, size); }

int openat(int folder, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return is_hit() ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    return is_hit() ? -1 : (int)syscall(SYS_mkdirat, folder, path, mode);
}

int unlinkat(int folder, const char *path, int flags) {
    return is_hit() ? -1 : (int)syscall(SYS_unlinkat, folder, path, flags);
}

int linkat(int from, const char *old, int to, const char *name, int flags) {
    return is_hit() ? -1 : (int)syscall(SYS_linkat, from, old, to, name, flags);
}

int renameat2(int from, const char *old, int to, const char *name, unsigned flags) {
    if (is_hit()) return -1;
    if (faults.no_exchange) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from, old, to, name, flags);
}

int renameat(int from, const char *old, int to, const char *name) {
    return is_hit() ? -1 : (int)syscall(SYS_renameat2, from, old, to, name, 0);
}

/* ---- the runs ---- */

static const struct {
    const char *name;
    bool is_directory, force, no_exchange;
    uint64_t shard_bytes;
    size_t resume_from; /* tensors that an earlier, undisturbed run finished */
} shapes[] = {
    {"a lone file", false, false, false, 0, 0},
    {"a lone file in place of another", false, true, false, 0, 0},
    {"a lone file, resumed", false, false, false, 0, 6},
    {"one shard", true, false, false, 0, 0},
    {"some shards", true, false, false, 3000, 0},
    {"some shards in place of others", true, true, false, 3000, 0},
    {"some shards in place of others, names cannot be exchanged", true, true, true, 3000, 0},
    {"some shards, resumed", true, false, false, 3000, 6},
};

static const char old_text[] = "the old output";

static void print_old(const struct world *world, size_t shape, char path[PATH_BYTES]) {
    print_path(path, shapes[shape].is_directory ? "%s/model.safetensors" : "%s", world->out);
}

static void prepare(struct world *world, size_t shape) {
    char path[PATH_BYTES];
    make_world(world, temporary(), shapes[shape].is_directory);
    if (shapes[shape].force) {
        if (shapes[shape].is_directory) MAKE_FOLDER(world->out);
        print_old(world, shape, path);
        put_text(path, old_text);
    }
    if (shapes[shape].resume_from == 0) return;
    struct job job = {.shard_bytes = shapes[shape].shard_bytes, .stop = true, .stop_after = shapes[shape].resume_from};
    CHECK_JOB(world, &job);
}

/* Commit reports for the first time when all tensors are recorded. */
static int note_commit(void *user, const struct sinq_progress *progress) {
    (void)progress;
    *(bool *)user = true;
    return 0;
}

static int run_shape(const struct world *world, size_t shape, bool resume, struct job *job) {
    static bool committing;
    committing = false;
    *job = (struct job){.shard_bytes = shapes[shape].shard_bytes,
                        .force = shapes[shape].force,
                        .resume = resume || shapes[shape].resume_from > 0,
                        .progress = note_commit,
                        .user = &committing};
    faults.no_exchange = shapes[shape].no_exchange;
    const int status = run_job(world, job);
    job->user = committing ? job->user : NULL;
    return status;
}

/* Calls that a whole undisturbed run makes. */
static long count_calls(size_t shape) {
    struct world world;
    struct job job;
    prepare(&world, shape);
    faults.mode = COUNTING;
    faults.calls = 0;
    faults.on = true;
    const int status = run_shape(&world, shape, false, &job);
    faults.on = false;
    ck_assert_msg(status == SINQ_OK, "%s", job.error.message);
    drop_world(&world);
    return faults.calls;
}

static bool has_old(const struct world *world, size_t shape) {
    char path[PATH_BYTES];
    print_old(world, shape, path);
    return exists(path) && has_text(path, old_text) && (!shapes[shape].is_directory || count_entries(world->out) == 1);
}

/* How many tensors were resumed. */
static size_t check_resumed(const struct world *world, const struct world *reference, size_t shape, long number) {
    struct job job;
    const int status = run_shape(world, shape, true, &job);
    ck_assert_msg(status == SINQ_OK, "%s, call %ld, resumed: %s", shapes[shape].name, number, job.error.message);
    ck_assert_msg(is_equal_tree(world->out, reference->out), "%s, call %ld: another output", shapes[shape].name,
                  number);
    ck_assert(!exists(world->partial));
    ck_assert(is_source_unharmed(world));
    return job.resumed;
}

static void check_failure(const struct world *reference, size_t shape, long number, int error_number) {
    struct world world;
    struct job job;
    prepare(&world, shape);
    faults.mode = FAILING;
    faults.number = number;
    faults.error_number = error_number;
    faults.calls = 0;
    faults.on = true;
    const int status = run_shape(&world, shape, false, &job);
    faults.on = false;
    ck_assert(is_source_unharmed(&world));
    if (status == SINQ_OK) {
        /* What failed did not matter, such as removing what was replaced. */
        ck_assert_msg(is_equal_tree(world.out, reference->out), "%s, call %ld", shapes[shape].name, number);
    } else {
        ck_assert_int_eq(status, SINQ_FAILED);
        ck_assert_str_ne(job.error.message, "");
        ck_assert_msg(shapes[shape].force ? has_old(&world, shape) : !exists(world.out), "%s, call %ld (%s): %s",
                      shapes[shape].name, number, strerror(error_number), job.error.message);
        const size_t resumed = check_resumed(&world, reference, shape, number);
        /* What was recorded stays so. */
        ck_assert_msg(job.user == NULL || resumed == PLAN_COUNT, "%s, call %ld: %zu resumed", shapes[shape].name,
                      number, resumed);
    }
    drop_world(&world);
}

/* Returns how many tensors were resumed. */
static size_t check_kill(const struct world *reference, size_t shape, long number) {
    size_t resumed = PLAN_COUNT;
    struct world world;
    prepare(&world, shape);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct job job;
        faults.mode = KILLING;
        faults.number = number;
        faults.calls = 0;
        faults.on = true;
        _exit(run_shape(&world, shape, false, &job));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert(is_source_unharmed(&world));
    /* Killed behind the last step that matters, the output is simply complete. */
    const bool is_complete = is_equal_tree(world.out, reference->out);
    if (!is_complete) {
        const bool may_be_there = shapes[shape].force || shapes[shape].is_directory;
        ck_assert_msg(may_be_there || !exists(world.out), "%s, call %ld", shapes[shape].name, number);
        resumed = check_resumed(&world, reference, shape, number);
    }
    drop_world(&world);
    return resumed;
}

static void make_reference(struct world *reference, size_t shape) {
    struct job job = {.shard_bytes = shapes[shape].shard_bytes};
    make_world(reference, temporary(), shapes[shape].is_directory);
    CHECK_JOB(reference, &job);
}

START_TEST(test_every_call_fails) {
    static const int errors[] = {EIO, ENOSPC};
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        struct world reference;
        make_reference(&reference, shape);
        const long calls = count_calls(shape);
        ck_assert_int_gt(calls, 20);
        for (size_t i = 0; i < COUNT(errors); i++) {
            for (long number = 1; number <= calls; number++) check_failure(&reference, shape, number, errors[i]);
        }
        drop_world(&reference);
    }
}
END_TEST

START_TEST(test_killed_at_every_call) {
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        struct world reference;
        make_reference(&reference, shape);
        const long calls = count_calls(shape);
        size_t before = 0;
        for (long number = 1; number <= calls; number++) {
            /* A later kill never costs more than an earlier one. */
            const size_t resumed = check_kill(&reference, shape, number);
            ck_assert_msg(resumed >= before, "%s, call %ld: %zu resumed, %zu before", shapes[shape].name, number,
                          resumed, before);
            before = resumed;
        }
        drop_world(&reference);
    }
}
END_TEST

UNIT_MAIN("sink_faults", test_every_call_fails, test_killed_at_every_call)
