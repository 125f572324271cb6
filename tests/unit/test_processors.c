/* test_processors.c: how many processors cgroups grant, on made-up files of both versions. */
#include "base/processors.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sinq.h"
#include "unit.h"

static char root[64];

/* Files of a case: path and content, one behind the other, up to NULL. */
enum { MOST_FILES = 6 };
#define CGROUP "/proc/self/cgroup"
#define TOP    "/sys/fs/cgroup"
static const struct {
    const char *name;
    const char *files[2 * MOST_FILES + 1];
    unsigned expected;
} cases[] = {
    {"no files", {NULL}, 0},
    {"version 2, no limit", {CGROUP, "0::/\n", TOP "/cpu.max", "max 100000\n"}, 0},
    {"version 2, two processors", {CGROUP, "0::/\n", TOP "/cpu.max", "200000 100000\n"}, 2},
    {"version 2, a half rounds up", {CGROUP, "0::/\n", TOP "/cpu.max", "250000 100000\n"}, 3},
    {"version 2, less than one", {CGROUP, "0::/\n", TOP "/cpu.max", "5000 100000\n"}, 1},
    {"version 2, a group of its own",
     {CGROUP, "0::/a/b\n", TOP "/a/b/cpu.max", "300000 100000\n", TOP "/a/cpu.max", "max 100000\n"},
     3},
    {"version 2, the group around it grants less",
     {CGROUP, "0::/a/b\n", TOP "/a/b/cpu.max", "800000 100000\n", TOP "/a/cpu.max", "400000 100000\n"},
     4},
    {"version 2, only the group around it has a limit",
     {CGROUP, "0::/a/b\n", TOP "/a/b/memory.max", "max\n", TOP "/a/cpu.max", "400000 100000\n"},
     4},
    {"version 2, a container that does not see its path",
     {CGROUP, "0::/docker/0123\n", TOP "/cpu.max", "150000 100000\n"},
     2},
    {"version 2 beside version 1", {CGROUP, "4:memory:/a\n0::/a\n", TOP "/unified/a/cpu.max", "200000 100000\n"}, 2},
    {"version 1, no limit",
     {CGROUP, "4:cpu,cpuacct:/\n", TOP "/cpu,cpuacct/cpu.cfs_quota_us", "-1\n", TOP "/cpu,cpuacct/cpu.cfs_period_us",
      "100000\n"},
     0},
    {"version 1, nested",
     {CGROUP, "5:cpuset:/x\n4:cpuacct,cpu:/a/b\n", TOP "/cpu/a/b/cpu.cfs_quota_us", "-1\n",
      TOP "/cpu/a/cpu.cfs_quota_us", "120000\n", TOP "/cpu/a/cpu.cfs_period_us", "50000\n"},
     3},
    {"version 1, of another controller",
     {CGROUP, "4:cpuset:/\n3:cpuacct:/\n", TOP "/cpu/cpu.cfs_quota_us", "100000\n", TOP "/cpu/cpu.cfs_period_us",
      "100000\n"},
     0},
    {"nonsense", {CGROUP, "0:/\n:::\n\n0::relative\n0::/\n", TOP "/cpu.max", "many few\n"}, 0},
    {"a period of nothing", {CGROUP, "0::/\n", TOP "/cpu.max", "100000 0\n"}, 0},
    {"a quota beyond all", {CGROUP, "0::/\n", TOP "/cpu.max", "1e300 1\n"}, 4096},
};

static void write_file(const char *name, const char *content) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *const file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(content, file);
    fclose(file);
}

static void remove_files(const char *const *files) {
    for (; *files != NULL; files += 2) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s%s", root, *files);
        for (char *slash = path + strlen(path); slash > path + strlen(root); slash = strrchr(path, '/')) {
            *slash = '\0';
            (void)remove(path);
        }
    }
    (void)rmdir(root);
}

START_TEST(limits_of_cgroups_are_found) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        strcpy(root, "/tmp/sinq-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(root));
        for (const char *const *file = cases[i].files; *file != NULL; file += 2) write_file(file[0], file[1]);
        const unsigned found = sinq_read_processor_quota(root);
        remove_files(cases[i].files);
        ck_assert_msg(found == cases[i].expected, "%s: %u, expected %u", cases[i].name, found, cases[i].expected);
    }
}
END_TEST

START_TEST(there_is_a_processor) { ck_assert_uint_ge(sinq_count_processors(), 1); }
END_TEST

UNIT_MAIN("processors", limits_of_cgroups_are_found, there_is_a_processor)
