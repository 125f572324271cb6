/* Going on from where a run stopped gives the bytes of a run that was never stopped. */
#include <signal.h>
#include <sys/resource.h>

#include "journal.h"
#include "sink_files.h"

static const struct {
    const char *name;
    bool is_directory;
    uint64_t shard_bytes;
} shapes[] = {
    {"a lone file", false, 0}, {"one shard", true, 0}, {"some shards", true, 3000}, {"a shard a tensor", true, 1}};

static void make_reference(struct world *world, size_t shape) {
    make_world(world, temporary(), shapes[shape].is_directory);
    struct job job = {.shard_bytes = shapes[shape].shard_bytes};
    CHECK_JOB(world, &job);
}

/* ---- what may have happened to the unfinished output ---- */

typedef void damage_fn(struct world *world);

static void no_damage(struct world *world) { (void)world; }

static void print_journal(const struct world *world, char path[PATH_BYTES]) {
    print_path(path, "%s/journal", world->partial);
}

static void append_to(const char *path, const char *text) {
    FILE *const file = fopen(path, "ab");
    ck_assert_msg(file != NULL, "%s", path);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void torn_line(struct world *world) {
    char path[PATH_BYTES];
    print_journal(world, path);
    append_to(path, "{\"index\":99,\"na");
}

static void line_of_another_kind(struct world *world) {
    char path[PATH_BYTES];
    print_journal(world, path);
    append_to(path, "{\"index\":99,\"check\":\"00000000000000000000000000000000\"}\n");
}

static void zeros_behind(struct world *world) {
    char path[PATH_BYTES];
    struct stat status;
    print_journal(world, path);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(truncate(path, status.st_size + 5000), 0);
}

/* The last line lacks its end: that tensor is made again. */
static void last_line_cut(struct world *world) {
    char path[PATH_BYTES];
    struct stat status;
    print_journal(world, path);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(truncate(path, status.st_size - 3), 0);
}

/* A bit of the first tensor's line turned: nothing from there on counts. */
static void first_record_damaged(struct world *world) {
    char path[PATH_BYTES];
    size_t size;
    print_journal(world, path);
    char *const text = get_file(path, &size);
    const size_t line = strcspn(text, "\n");
    ck_assert_uint_lt(line + 20, size);
    text[line + 20] ^= 1;
    put_file(path, text, size);
    free(text);
}

/* The unfinished tensor's bytes, which no journal knows of. */
static void data_behind(struct world *world) {
    char path[PATH_BYTES];
    for (int i = 1; i < 20; i++) {
        print_path(path, "%s/shard-%05d", world->partial, i);
        if (exists(path)) append_to(path, "bytes of a tensor that was not finished");
    }
}

static void shards_behind(struct world *world) {
    char path[PATH_BYTES];
    print_path(path, "%s/shard-00077", world->partial);
    put_text(path, "a shard that was not finished");
}

static void sidecars_there(struct world *world) {
    char path[PATH_BYTES];
    print_path(path, "%s/tokenizer.json.new", world->partial);
    put_text(path, "left by a commit");
    print_path(path, "%s/shard-wide", world->partial);
    put_text(path, "left by a commit");
}

static void shard_cut(struct world *world) {
    char path[PATH_BYTES];
    print_path(path, "%s/shard-00001", world->partial);
    ck_assert_int_eq(truncate(path, 100), 0);
}

static void shard_gone(struct world *world) {
    char path[PATH_BYTES];
    print_path(path, "%s/shard-00001", world->partial);
    ck_assert_int_eq(unlink(path), 0);
}

static void lock_gone(struct world *world) {
    char path[PATH_BYTES];
    print_path(path, "%s/lock", world->partial);
    ck_assert_int_eq(unlink(path), 0);
}

static const struct {
    damage_fn *apply;
    const char *name;
    bool loses_all;
    size_t loses;
} damages[] = {
#define DAMAGE(apply, loses_all, loses)                                                                                \
    { apply, #apply, loses_all, loses }
    DAMAGE(no_damage, false, 0),    DAMAGE(torn_line, false, 0),     DAMAGE(line_of_another_kind, false, 0),
    DAMAGE(zeros_behind, false, 0), DAMAGE(last_line_cut, false, 1), DAMAGE(first_record_damaged, true, 0),
    DAMAGE(data_behind, false, 0),  DAMAGE(shards_behind, false, 0), DAMAGE(sidecars_there, false, 0),
    DAMAGE(shard_cut, true, 0),     DAMAGE(shard_gone, true, 0),     DAMAGE(lock_gone, false, 0),
};

static void check_boundary(const struct world *reference, size_t shape, size_t damage, size_t boundary) {
    struct world world;
    make_world(&world, temporary(), shapes[shape].is_directory);
    struct job job = {.shard_bytes = shapes[shape].shard_bytes,
                      .stop = true,
                      .stop_after = boundary,
                      .suspend = boundary % 2 == 0}; /* closing alone keeps as much */
    CHECK_JOB(&world, &job);
    ck_assert(!exists(world.out));
    ck_assert(exists(world.partial) == (boundary > 0));
    const size_t kept = damages[damage].loses_all ? 0 : boundary - (boundary > 0 ? damages[damage].loses : 0);
    if (boundary > 0) damages[damage].apply(&world);
    job.resume = true;
    /* One tensor more, and again: what is written behind damage must be found. */
    job.stop_after = kept + 1;
    job.stop = kept + 1 < PLAN_COUNT;
    CHECK_JOB(&world, &job);
    const size_t resumed = job.resumed;
    if (job.stop) {
        job.stop = false;
        CHECK_JOB(&world, &job);
        ck_assert_uint_eq(job.resumed, kept + 1);
    }
    ck_assert_msg(resumed == kept, "%s, %s, %zu: %zu resumed", shapes[shape].name, damages[damage].name, boundary,
                  resumed);
    ck_assert_msg(is_equal_tree(world.out, reference->out), "%s, %s, %zu: another output", shapes[shape].name,
                  damages[damage].name, boundary);
    ck_assert(!exists(world.partial));
    drop_world(&world);
}

START_TEST(test_every_boundary) {
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        struct world reference;
        make_reference(&reference, shape);
        for (size_t boundary = 0; boundary <= PLAN_COUNT; boundary++) check_boundary(&reference, shape, 0, boundary);
        drop_world(&reference);
    }
}
END_TEST

START_TEST(test_damages) {
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        struct world reference;
        make_reference(&reference, shape);
        for (size_t damage = 1; damage < COUNT(damages); damage++) {
            check_boundary(&reference, shape, damage, 1);
            check_boundary(&reference, shape, damage, 4);
        }
        drop_world(&reference);
    }
}
END_TEST

/* Stopped, gone on with, stopped again, a tensor at a time. */
START_TEST(test_many_stops) {
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        struct world reference, world;
        make_reference(&reference, shape);
        make_world(&world, temporary(), shapes[shape].is_directory);
        for (size_t i = 1; i <= PLAN_COUNT + 1; i++) {
            struct job job = {
                .shard_bytes = shapes[shape].shard_bytes, .resume = true, .stop = i <= PLAN_COUNT, .stop_after = i};
            CHECK_JOB(&world, &job);
            ck_assert_uint_eq(job.resumed, i - 1);
        }
        ck_assert(is_equal_tree(world.out, reference.out));
        drop_world(&world);
        drop_world(&reference);
    }
}
END_TEST

/* ---- stopped while committing ---- */

struct stopper {
    int calls, stop_at;
};

static int stop_at_call(void *user, const struct sinq_progress *progress) {
    struct stopper *const stopper = user;
    ck_assert_ptr_nonnull(progress->activity);
    ck_assert_uint_le(progress->item, progress->items);
    return ++stopper->calls == stopper->stop_at;
}

START_TEST(test_stopped_while_committing) {
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        struct world reference;
        int stops = 0;
        make_reference(&reference, shape);
        for (int stop_at = 1;; stop_at++) {
            struct world world;
            struct stopper stopper = {.stop_at = stop_at};
            struct job job = {.shard_bytes = shapes[shape].shard_bytes, .progress = stop_at_call, .user = &stopper};
            make_world(&world, temporary(), shapes[shape].is_directory);
            const int status = run_job(&world, &job);
            ck_assert(status == SINQ_OK || status == SINQ_INTERRUPTED);
            if (status == SINQ_INTERRUPTED) {
                stops++;
                ck_assert(!exists(world.out));
                job = (struct job){.shard_bytes = shapes[shape].shard_bytes, .resume = true};
                CHECK_JOB(&world, &job);
                ck_assert_uint_eq(job.resumed, PLAN_COUNT);
            }
            ck_assert(is_equal_tree(world.out, reference.out));
            ck_assert(!exists(world.partial));
            drop_world(&world);
            /* How often it is asked depends on how the threads share the work. */
            if (status == SINQ_OK && stopper.calls < stop_at) break;
        }
        ck_assert_int_ge(stops, 3);
        drop_world(&reference);
    }
}
END_TEST

/* ---- damage that only reading back can find ---- */

struct vandal {
    const struct world *world;
    const char *activity;
    long at; /* from the end */
    bool done;
};

static int flip_byte(void *user, const struct sinq_progress *progress) {
    struct vandal *const vandal = user;
    char path[PATH_BYTES];
    if (vandal->done || strcmp(progress->activity, vandal->activity) != 0) return 0;
    vandal->done = true;
    print_path(path, "%s/shard-00001", vandal->world->partial);
    FILE *const file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, -vandal->at, SEEK_END), 0);
    const int byte = fgetc(file);
    ck_assert_int_eq(fseek(file, -vandal->at, SEEK_END), 0);
    fputc(byte ^ 16, file);
    ck_assert_int_eq(fclose(file), 0);
    return 0;
}

START_TEST(test_reading_back_finds_damage) {
    static const long places[] = {1, 5, 6, 700, 3000, 7000};
    for (size_t shape = 0; shape < 2; shape++) {
        for (size_t i = 0; i < COUNT(places); i++) {
            struct world world;
            make_world(&world, temporary(), shapes[shape].is_directory);
            struct vandal vandal = {.world = &world, .activity = "syncing", .at = places[i]};
            struct job job = {.progress = flip_byte, .user = &vandal};
            ck_assert_int_eq(run_job(&world, &job), SINQ_FAILED);
            ck_assert_ptr_nonnull(strstr(job.error.message, "read back"));
            ck_assert_ptr_nonnull(strstr(job.error.message, "tensor"));
            ck_assert(!exists(world.out));
            /* Going on cannot heal it, beginning anew does. */
            job = (struct job){.resume = true};
            ck_assert_int_eq(run_job(&world, &job), SINQ_FAILED);
            job = (struct job){.force = true};
            CHECK_JOB(&world, &job);
            drop_world(&world);
        }
    }
}
END_TEST

/* ---- another run than the one that stopped ---- */

static const struct {
    const char *name;
    struct job job;
    const char *words;
} strangers[] = {
    {"another source, recipe or version",
     {.fingerprint = "ffff2233445566778899aabbccddeeff"},
     "another source, recipe"},
    {"another number of tensors", {.tensors = PLAN_COUNT - 1}, "another source, recipe"},
    {"another size of shards", {.shard_bytes = 5000}, "--max-shard-size"},
};

START_TEST(test_strangers_are_refused) {
    for (size_t i = 0; i < COUNT(strangers); i++) {
        for (int force = 0; force < 2; force++) {
            struct world world;
            make_world(&world, temporary(), true);
            struct job job = {.shard_bytes = 3000, .stop = true, .stop_after = 5};
            CHECK_JOB(&world, &job);
            job = strangers[i].job;
            if (job.shard_bytes == 0) job.shard_bytes = 3000;
            job.resume = true;
            job.force = force;
            ck_assert_msg(run_job(&world, &job) == SINQ_FAILED, "%s", strangers[i].name);
            ck_assert_msg(strstr(job.error.message, strangers[i].words) != NULL, "%s", job.error.message);
            /* What was there is still there. */
            job = (struct job){.shard_bytes = 3000, .resume = true};
            CHECK_JOB(&world, &job);
            ck_assert_uint_eq(job.resumed, 5);
            drop_world(&world);
        }
    }
}
END_TEST

static const struct {
    const char *name, *from, *to, *words;
} edits[] = {
    {"a journal of a later version", "{\"journal\":1,", "{\"journal\":2,", "version 2"},
    {"another program's version", "\"program\":\"" SINQ_VERSION, "\"program\":\"9.9.9", "damaged"},
    {"a first line that was changed", "\"tensors\":9", "\"tensors\":8", "damaged"},
    {"no journal at all", "{\"journal\"", "#\"journal\"", "damaged"},
};

static void replace_text(char *text, const char *from, const char *to) {
    char *const place = strstr(text, from);
    ck_assert_msg(place != NULL && strlen(from) == strlen(to), "%s", from);
    memcpy(place, to, strlen(to));
}

START_TEST(test_edited_journals_are_refused) {
    for (size_t i = 0; i < COUNT(edits); i++) {
        struct world world;
        char path[PATH_BYTES];
        size_t size;
        make_world(&world, temporary(), true);
        struct job job = {.stop = true, .stop_after = 5};
        CHECK_JOB(&world, &job);
        print_journal(&world, path);
        char *const text = get_file(path, &size);
        replace_text(text, edits[i].from, edits[i].to);
        put_file(path, text, size);
        free(text);
        job = (struct job){.resume = true};
        ck_assert_msg(run_job(&world, &job) == SINQ_FAILED, "%s", edits[i].name);
        ck_assert_msg(strstr(job.error.message, edits[i].words) != NULL, "%s: %s", edits[i].name, job.error.message);
        ck_assert(exists(path) && !exists(world.out));
        job = (struct job){.force = true};
        CHECK_JOB(&world, &job);
        drop_world(&world);
    }
}
END_TEST

/* A journal as another version of the program would have begun it. */
START_TEST(test_other_program_is_refused) {
    struct world world;
    struct sinq_error error = {0};
    struct sinq_journal *journal;
    const struct sinq_journal_run run = {"9.9.9", fingerprint_text, 3000, PLAN_COUNT};
    make_world(&world, temporary(), true);
    MAKE_FOLDER(world.partial);
    const int folder = open(world.partial, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(folder, 0);
    ck_assert_int_eq(sinq_journal_create(folder, world.partial, &run, &journal, &error), SINQ_OK);
    sinq_journal_close(journal);
    close(folder);
    struct job job = {.shard_bytes = 3000, .resume = true};
    ck_assert_int_eq(run_job(&world, &job), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(job.error.message, "version 9.9.9"));
    drop_world(&world);
}
END_TEST

/* ---- a full disk, played by a limit on the size of files ---- */

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void check_full_disk(const struct world *reference, size_t shape, rlim_t bytes, size_t *resumable) {
    struct world world;
    make_world(&world, temporary(), shapes[shape].is_directory);
    struct job job = {.shard_bytes = shapes[shape].shard_bytes, .write_bytes = 512};
    limit_files(bytes);
    const int status = run_job(&world, &job);
    limit_files(RLIM_INFINITY);
    if (status != SINQ_OK) {
        ck_assert_int_eq(status, SINQ_FAILED);
        ck_assert(!exists(world.out));
        const bool kept = exists(world.partial);
        *resumable += kept;
        ck_assert(kept == (strstr(job.error.message, "--resume") != NULL));
        job.resume = true;
        CHECK_JOB(&world, &job);
        ck_assert(kept == (job.resumed > 0));
    }
    ck_assert(is_equal_tree(world.out, reference->out));
    drop_world(&world);
}

START_TEST(test_full_disk) {
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    for (size_t shape = 0; shape < COUNT(shapes); shape++) {
        struct world reference;
        size_t resumable = 0;
        make_reference(&reference, shape);
        for (rlim_t bytes = 0; bytes < 18000; bytes += 617) check_full_disk(&reference, shape, bytes, &resumable);
        ck_assert_uint_ge(resumable, 3);
        drop_world(&reference);
    }
}
END_TEST

UNIT_MAIN("sink_resume", test_every_boundary, test_damages, test_many_stops, test_stopped_while_committing,
          test_reading_back_finds_damage, test_strangers_are_refused, test_edited_journals_are_refused,
          test_other_program_is_refused, test_full_disk)
