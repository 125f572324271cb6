/* What the sink refuses to write over, into or beside, and what --force and the lock do about it. */
#include <sys/file.h>

#include "sink_files.h"

/* ---- places: each case prepares one and says how a job there must end ---- */

typedef void prepare_fn(struct world *world, struct job *job);

static void nothing(struct world *world, struct job *job) {
    (void)world;
    (void)job;
}

static void slashes_at_the_end(struct world *world, struct job *job) {
    static char path[PATH_BYTES];
    print_path(path, "%s//", world->out);
    job->path = path;
}

static void existing_file(struct world *world, struct job *job) {
    (void)job;
    put_text(world->out, "old");
}

static void existing_checkpoint(struct world *world, struct job *job) {
    char path[PATH_BYTES];
    (void)job;
    MAKE_FOLDER(world->out);
    print_path(path, "%s/config.json", world->out);
    put_text(path, "{}");
    print_path(path, "%s/model.safetensors", world->out);
    put_text(path, "old");
}

static void existing_empty_folder(struct world *world, struct job *job) {
    (void)job;
    MAKE_FOLDER(world->out);
}

static void existing_foreign_folder(struct world *world, struct job *job) {
    char path[PATH_BYTES];
    (void)job;
    MAKE_FOLDER(world->out);
    print_path(path, "%s/thesis.txt", world->out);
    put_text(path, "years of work");
}

static void checkpoint_with_folder(struct world *world, struct job *job) {
    char path[PATH_BYTES];
    existing_checkpoint(world, job);
    print_path(path, "%s/images", world->out);
    MAKE_FOLDER(path);
}

static void dangling_link(struct world *world, struct job *job) {
    (void)job;
    ck_assert_int_eq(symlink("nowhere", world->out), 0);
}

static void link_to_source(struct world *world, struct job *job) {
    (void)job;
    ck_assert_int_eq(symlink(world->source_path, world->out), 0);
}

static void hard_link_to_source(struct world *world, struct job *job) {
    (void)job;
    ck_assert_int_eq(link(world->weights, world->out), 0);
}

static void the_source(struct world *world, struct job *job) { job->path = world->source_path; }

static void the_source_by_another_name(struct world *world, struct job *job) {
    static char path[PATH_BYTES];
    print_path(path, "%s/source/../source%s", world->root, world->source.is_directory ? "/." : "/model.safetensors");
    job->path = path;
}

static void inside_source(struct world *world, struct job *job) {
    static char path[PATH_BYTES];
    print_path(path, "%s/source/out", world->root);
    job->path = path;
}

static void inside_source_by_link(struct world *world, struct job *job) {
    static char path[PATH_BYTES];
    print_path(path, "%s/link", world->root);
    ck_assert_int_eq(symlink(world->source_path, path), 0);
    print_path(path, "%s/link/out", world->root);
    job->path = path;
}

static void above_source(struct world *world, struct job *job) { job->path = world->root; }

/* The source's weights are links into the folder that is to be replaced. */
static void holds_linked_weights(struct world *world, struct job *job) {
    static char target[PATH_BYTES], name[PATH_BYTES];
    existing_checkpoint(world, job);
    print_path(target, "%s/model.safetensors", world->out);
    print_path(name, "%s/linked.safetensors", world->root);
    ck_assert_int_eq(symlink(target, name), 0);
    world->shard.path = name;
}

/* The source is called what the unfinished output would be. */
static void partial_is_source(struct world *world, struct job *job) {
    (void)job;
    ck_assert_int_eq(symlink(world->source_path, world->partial), 0);
}

static void partial_is_foreign(struct world *world, struct job *job) {
    char path[PATH_BYTES];
    (void)job;
    MAKE_FOLDER(world->partial);
    print_path(path, "%s/thesis.txt", world->partial);
    put_text(path, "years of work");
}

static void partial_is_file(struct world *world, struct job *job) {
    (void)job;
    put_text(world->partial, "a file");
}

static void partial_is_stale(struct world *world, struct job *job) {
    (void)job;
    struct job earlier = {.stop = true, .stop_after = 3, .suspend = true};
    CHECK_JOB(world, &earlier);
    ck_assert(exists(world->partial));
}

static void partial_is_empty(struct world *world, struct job *job) {
    (void)job;
    MAKE_FOLDER(world->partial);
}

/* What a forced run leaves if it is killed between exchanging the folders and removing the old one. */
static void partial_is_old_output(struct world *world, struct job *job) {
    existing_checkpoint(world, job);
    ck_assert_int_eq(rename(world->out, world->partial), 0);
}

static void no_parent(struct world *world, struct job *job) {
    static char path[PATH_BYTES];
    print_path(path, "%s/no/such/out", world->root);
    job->path = path;
}

static void parent_is_file(struct world *world, struct job *job) {
    static char path[PATH_BYTES];
    print_path(path, "%s/source/config.json/out", world->root);
    job->path = path;
}

static void full_device(struct world *world, struct job *job) {
    (void)world;
    job->path = "/dev/full";
}

static void unwritable_file_system(struct world *world, struct job *job) {
    (void)world;
    job->path = "/proc/out";
}

static void a_dot(struct world *world, struct job *job) {
    (void)world;
    job->path = ".";
}

static void the_parent(struct world *world, struct job *job) {
    (void)world;
    job->path = "../";
}

static void the_root(struct world *world, struct job *job) {
    (void)world;
    job->path = "/";
}

static void no_name(struct world *world, struct job *job) {
    (void)world;
    job->path = "";
}

static void too_long_a_name(struct world *world, struct job *job) {
    static char path[PATH_BYTES];
    print_path(path, "%s/%0300d", world->root, 1);
    job->path = path;
}

enum { DIRECTORY = 1, ONE_FILE = 2, BOTH = 3, FORCE = 4, RESUME = 8 };

static const struct {
    prepare_fn *prepare;
    const char *name;
    int kinds; /* of source, and options */
    int status;
    const char *words; /* that the message has */
} places[] = {
#define PLACE(prepare, kinds, status, words)                                                                           \
    { prepare, #prepare, kinds, status, words }
    PLACE(nothing, BOTH, SINQ_OK, ""),
    PLACE(nothing, BOTH | FORCE, SINQ_OK, ""),
    PLACE(nothing, BOTH | RESUME, SINQ_OK, ""),
    PLACE(slashes_at_the_end, BOTH, SINQ_OK, ""),
    PLACE(existing_file, ONE_FILE, SINQ_FAILED, "--force"),
    PLACE(existing_file, ONE_FILE | FORCE, SINQ_OK, ""),
    PLACE(existing_file, ONE_FILE | RESUME, SINQ_FAILED, "--force"),
    PLACE(existing_file, DIRECTORY | FORCE, SINQ_FAILED, "not a directory"),
    PLACE(existing_checkpoint, DIRECTORY, SINQ_FAILED, "--force"),
    PLACE(existing_checkpoint, DIRECTORY | RESUME, SINQ_FAILED, "--force"),
    PLACE(existing_checkpoint, DIRECTORY | FORCE, SINQ_OK, ""),
    PLACE(existing_checkpoint, ONE_FILE | FORCE, SINQ_FAILED, "not a regular file"),
    PLACE(existing_empty_folder, DIRECTORY, SINQ_FAILED, "--force"),
    PLACE(existing_empty_folder, DIRECTORY | FORCE, SINQ_OK, ""),
    PLACE(existing_foreign_folder, DIRECTORY | FORCE, SINQ_FAILED, "no checkpoint"),
    PLACE(checkpoint_with_folder, DIRECTORY | FORCE, SINQ_FAILED, "other folders"),
    PLACE(dangling_link, BOTH, SINQ_FAILED, "--force"),
    PLACE(dangling_link, BOTH | FORCE, SINQ_OK, ""),
    PLACE(link_to_source, BOTH | FORCE, SINQ_USAGE, "the input itself"),
    PLACE(hard_link_to_source, ONE_FILE | FORCE, SINQ_USAGE, "the input itself"),
    PLACE(the_source, BOTH | FORCE, SINQ_USAGE, "the input itself"),
    PLACE(the_source, BOTH, SINQ_USAGE, "the input itself"),
    PLACE(the_source_by_another_name, ONE_FILE | FORCE, SINQ_USAGE, "the input itself"),
    PLACE(the_source_by_another_name, DIRECTORY | FORCE, SINQ_USAGE, ""),
    PLACE(inside_source, DIRECTORY | FORCE, SINQ_USAGE, "inside the input"),
    PLACE(inside_source_by_link, DIRECTORY, SINQ_USAGE, "inside the input"),
    PLACE(above_source, BOTH | FORCE, SINQ_USAGE, "files of the input"),
    PLACE(holds_linked_weights, DIRECTORY | FORCE, SINQ_USAGE, "files of the input"),
    PLACE(partial_is_source, DIRECTORY | FORCE, SINQ_USAGE, "the input itself"),
    PLACE(partial_is_foreign, BOTH, SINQ_FAILED, "no unfinished output"),
    PLACE(partial_is_foreign, BOTH | FORCE, SINQ_FAILED, "no unfinished output"),
    PLACE(partial_is_foreign, BOTH | RESUME, SINQ_FAILED, "no unfinished output"),
    PLACE(partial_is_file, BOTH | FORCE, SINQ_FAILED, "cannot open as a folder"),
    PLACE(partial_is_stale, BOTH, SINQ_FAILED, "--resume or begin anew with --force"),
    PLACE(partial_is_stale, BOTH | FORCE, SINQ_OK, ""),
    PLACE(partial_is_stale, BOTH | RESUME, SINQ_OK, ""),
    PLACE(partial_is_empty, BOTH, SINQ_OK, ""),
    PLACE(partial_is_old_output, DIRECTORY, SINQ_FAILED, "no unfinished output"),
    PLACE(partial_is_old_output, DIRECTORY | FORCE, SINQ_OK, ""),
    PLACE(no_parent, BOTH, SINQ_FAILED, "No such file"),
    PLACE(parent_is_file, ONE_FILE, SINQ_FAILED, "Not a directory"),
    PLACE(full_device, BOTH | FORCE, SINQ_FAILED, "/dev/full: exists and is not a"),
    PLACE(full_device, BOTH, SINQ_FAILED, "/dev/full: exists and is not a"),
    PLACE(unwritable_file_system, BOTH, SINQ_FAILED, "/proc/out.partial: cannot create"),
    PLACE(a_dot, BOTH | FORCE, SINQ_USAGE, "cannot be an output"),
    PLACE(the_parent, BOTH | FORCE, SINQ_USAGE, "cannot be an output"),
    PLACE(the_root, BOTH | FORCE, SINQ_USAGE, "cannot be an output"),
    PLACE(no_name, BOTH, SINQ_USAGE, "cannot be an output"),
    PLACE(too_long_a_name, BOTH, SINQ_FAILED, "File name too long"),
};

/* A list of all that is there, with sizes and times of files. */
static void list_tree(const char *path, char *list, size_t capacity) {
    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0);
    const size_t used = strlen(list);
    if (strstr(path, "out.partial/lock") == NULL) {
        (void)snprintf(list + used, capacity - used, "%s %o %ld\n", path, status.st_mode,
                       S_ISDIR(status.st_mode) ? 0 : (long)status.st_size);
    }
    if (!S_ISDIR(status.st_mode)) return;
    struct dirent **entries;
    const int count = scandir(path, &entries, NULL, alphasort);
    ck_assert_int_ge(count, 0);
    for (int i = 0; i < count; i++) {
        char below[PATH_BYTES];
        print_path(below, "%s/%s", path, entries[i]->d_name);
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0) {
            list_tree(below, list, capacity);
        }
        free(entries[i]);
    }
    free(entries);
}

/* A refused command changes nothing. */
static void check_place(size_t index, bool is_directory) {
    static char before[20000], after[20000];
    struct world world, reference;
    struct job usual = {0};
    make_world(&world, temporary(), is_directory);
    make_world(&reference, temporary(), is_directory);
    CHECK_JOB(&reference, &usual);
    struct job job = {.force = (places[index].kinds & FORCE) != 0, .resume = (places[index].kinds & RESUME) != 0};
    places[index].prepare(&world, &job);
    before[0] = after[0] = '\0';
    list_tree(world.root, before, sizeof before);
    const int status = run_job(&world, &job);
    list_tree(world.root, after, sizeof after);
    ck_assert_msg(status == places[index].status, "%s: status %d: %s", places[index].name, status, job.error.message);
    ck_assert_msg(strstr(job.error.message, places[index].words) != NULL, "%s: %s", places[index].name,
                  job.error.message);
    if (status == SINQ_OK) {
        ck_assert_msg(is_equal_tree(world.out, reference.out), "%s: another output", places[index].name);
        ck_assert(!exists(world.partial));
        struct stat facts;
        ck_assert_int_eq(lstat(world.out, &facts), 0);
        ck_assert(is_directory ? S_ISDIR(facts.st_mode) : S_ISREG(facts.st_mode));
    } else {
        ck_assert_msg(strcmp(before, after) == 0, "%s: changed\n%s\n%s", places[index].name, before, after);
    }
    drop_world(&reference);
    drop_world(&world);
}

START_TEST(test_places) {
    for (size_t i = 0; i < COUNT(places); i++) {
        if ((places[i].kinds & DIRECTORY) != 0) check_place(i, true);
        if ((places[i].kinds & ONE_FILE) != 0) check_place(i, false);
    }
}
END_TEST

/* Permissions do not bind the superuser. */
START_TEST(test_read_only_folder) {
    struct world world;
    char folder[PATH_BYTES], path[PATH_BYTES];
    make_world(&world, temporary(), true);
    print_path(folder, "%s/closed", world.root);
    print_path(path, "%s/closed/out", world.root);
    MAKE_FOLDER(folder);
    ck_assert_int_eq(chmod(folder, 0555), 0);
    struct job job = {.path = path};
    if (geteuid() == 0) {
        fprintf(stderr, "SKIPPED: as root every folder can be written\n");
    } else {
        ck_assert_int_eq(run_job(&world, &job), SINQ_FAILED);
        ck_assert_ptr_nonnull(strstr(job.error.message, "Permission denied"));
    }
    drop_world(&world);
}
END_TEST

START_TEST(test_second_run_is_locked_out) {
    static const struct { bool force, resume; } cases[] = {{false, false}, {true, false}, {false, true}, {true, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world;
        struct sinq_error error = {0};
        struct sinq_sink *sink;
        make_world(&world, temporary(), true);
        const struct sinq_create_options options = {.path = world.out, .source = &world.source};
        ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
        struct job first = {0};
        struct job second = {.force = cases[i].force, .resume = cases[i].resume};
        ck_assert_int_eq(run_job(&world, &second), SINQ_FAILED);
        ck_assert_ptr_nonnull(strstr(second.error.message, "another run"));
        ck_assert(exists(world.partial));
        ck_assert_msg(run_plan(sink, &first) == SINQ_OK, "%s", first.error.message);
        sinq_sink_close(sink);
        ck_assert(exists(world.out) && !exists(world.partial));
        drop_world(&world);
    }
}
END_TEST

/* The moment in which a run has renamed its folder but not yet taken the journal out: nobody may take it back then. */
START_TEST(test_output_being_published_is_left_alone) {
    struct world world;
    struct sinq_error error = {0};
    struct sinq_sink *sink;
    struct job first = {.stop = true, .stop_after = 3, .suspend = true};
    struct job second = {.resume = true};
    make_world(&world, temporary(), true);
    const struct sinq_create_options options = {.path = world.out, .source = &world.source};
    ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
    ck_assert_int_eq(run_plan(sink, &first), SINQ_OK);
    ck_assert_int_eq(rename(world.partial, world.out), 0);
    ck_assert_int_eq(run_job(&world, &second), SINQ_FAILED);
    ck_assert(exists(world.out) && !exists(world.partial));
    sinq_sink_close(sink);
    /* Once that run is gone, its work is taken up. */
    CHECK_JOB(&world, &second);
    ck_assert_uint_eq(second.resumed, 3);
    drop_world(&world);
}
END_TEST

/* What a caller stops before anything is finished leaves nothing behind. */
START_TEST(test_nothing_finished_leaves_nothing) {
    for (int is_directory = 0; is_directory < 2; is_directory++) {
        struct world world;
        make_world(&world, temporary(), is_directory);
        struct job job = {.stop = true, .stop_after = 0};
        CHECK_JOB(&world, &job);
        ck_assert(!exists(world.partial) && !exists(world.out));
        drop_world(&world);
    }
}
END_TEST

/* An output that another hand makes while ours grows is not written over. */
START_TEST(test_output_that_appears_meanwhile) {
    for (int is_directory = 0; is_directory < 2; is_directory++) {
        struct world world;
        struct sinq_error error = {0};
        struct sinq_sink *sink;
        struct job job = {0};
        make_world(&world, temporary(), is_directory);
        const struct sinq_create_options options = {.path = world.out, .source = &world.source};
        ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
        if (is_directory) {
            existing_empty_folder(&world, &job);
        } else {
            existing_file(&world, &job);
        }
        ck_assert_int_eq(run_plan(sink, &job), SINQ_FAILED);
        sinq_sink_close(sink);
        ck_assert(exists(world.partial));
        ck_assert(is_directory ? count_entries(world.out) == 0 : has_text(world.out, "old"));
        /* Nothing is lost. */
        remove_tree(world.out);
        job = (struct job){.resume = true};
        CHECK_JOB(&world, &job);
        ck_assert_uint_eq(job.resumed, PLAN_COUNT);
        drop_world(&world);
    }
}
END_TEST

UNIT_MAIN("sink_refusals", test_places, test_read_only_folder, test_second_run_is_locked_out,
          test_output_being_published_is_left_alone, test_nothing_finished_leaves_nothing,
          test_output_that_appears_meanwhile)
