#define _GNU_SOURCE
#include "base/processors.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sinq.h"

enum { MOST_PATH = 4096, MOST_LINE = 4096, MOST_PROCESSORS = 4096 };

/* Where controllers are found, and the files with their limits. */
static const struct mount {
    const char *folder;
    bool is_second; /* version 2 */
} mounts[] = {
    {"/sys/fs/cgroup", true},
    {"/sys/fs/cgroup/unified", true},
    {"/sys/fs/cgroup/cpu,cpuacct", false},
    {"/sys/fs/cgroup/cpu", false},
};

/* The first line of a file. */
static bool read_line(const char *path, char line[static MOST_LINE]) {
    FILE *const file = fopen(path, "re");
    if (file == NULL) return false;
    const bool has_line = fgets(line, MOST_LINE, file) != NULL;
    fclose(file);
    return has_line;
}

static double read_number(const char *folder, const char *name) {
    char path[MOST_PATH + 32], line[MOST_LINE];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_line(path, line) ? strtod(line, NULL) : 0;
}

/* 0: no limit. */
static unsigned round_up(double quota, double period) {
    if (!(quota > 0) || !(period > 0)) return 0;
    const double processors = quota / period;
    if (processors >= MOST_PROCESSORS) return MOST_PROCESSORS;
    const unsigned whole = (unsigned)processors;
    return whole + (processors > whole);
}

/* The limit that a cgroup's own folder sets. */
static unsigned read_quota(const char *folder, bool is_second) {
    char path[MOST_PATH + 32], line[MOST_LINE], *end;
    if (!is_second) return round_up(read_number(folder, "cpu.cfs_quota_us"), read_number(folder, "cpu.cfs_period_us"));
    (void)snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!read_line(path, line)) return 0;
    const double quota = strtod(line, &end);
    return end == line ? 0 : round_up(quota, strtod(end, NULL));
}

static unsigned find_smaller(unsigned a, unsigned b) { return a == 0 ? b : b == 0 || a < b ? a : b; }

/* The smallest limit of a cgroup and all around it. A container may not see the path: then its own is the mount's top. */
static unsigned read_quotas(const char *root, const struct mount *mount, const char *group) {
    char folder[MOST_PATH];
    const int top = snprintf(folder, sizeof folder, "%s%s", root, mount->folder);
    if (top < 0 || (size_t)top + strlen(group) >= sizeof folder) return 0;
    strcpy(folder + top, group);
    unsigned smallest = 0;
    for (;;) {
        smallest = find_smaller(smallest, read_quota(folder, mount->is_second));
        char *const slash = strrchr(folder + top, '/');
        if (slash == NULL) return smallest;
        *slash = '\0';
    }
}

/* Whether a comma-separated list has "cpu". */
static bool lists_cpu(const char *controllers, size_t size) {
    for (const char *at = controllers, *const end = controllers + size; at < end;) {
        const char *const comma = memchr(at, ',', (size_t)(end - at)), *const stop = comma == NULL ? end : comma;
        if (stop - at == 3 && memcmp(at, "cpu", 3) == 0) return true;
        at = stop + 1;
    }
    return false;
}

/* A line of /proc/self/cgroup: "0::/path" (version 2), "4:cpu,cpuacct:/path" (version 1). */
static unsigned read_line_quota(const char *root, char *line) {
    line[strcspn(line, "\n")] = '\0';
    const char *const first = strchr(line, ':'), *const second = first == NULL ? NULL : strchr(first + 1, ':');
    if (second == NULL || second[1] != '/') return 0;
    const bool is_second = second == first + 1;
    if (!is_second && !lists_cpu(first + 1, (size_t)(second - first - 1))) return 0;
    unsigned smallest = 0;
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        if (mounts[i].is_second == is_second) {
            smallest = find_smaller(smallest, read_quotas(root, &mounts[i], second + 1));
        }
    }
    return smallest;
}

unsigned sinq_read_processor_quota(const char *root) {
    char path[MOST_PATH], line[MOST_LINE];
    unsigned smallest = 0;
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path) return 0;
    FILE *const file = fopen(path, "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) smallest = find_smaller(smallest, read_line_quota(root, line));
    fclose(file);
    return smallest;
}

static unsigned count_affinity(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (unsigned)CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

unsigned sinq_count_processors(void) {
    const unsigned affinity = count_affinity(), quota = sinq_read_processor_quota("");
    const unsigned processors = quota != 0 && quota < affinity ? quota : affinity;
    return processors == 0 ? 1 : processors;
}
