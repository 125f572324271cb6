#include "machine_memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define PATH_SIZE 4200

/* The number behind `key` in a file of lines "key number"; false where there is none. */
static bool read_field(const char *path, const char *key, uint64_t *number) {
    FILE *const file = fopen(path, "re");
    if (file == NULL) return false;
    char line[256];
    bool is_found = false;
    const size_t length = strlen(key);
    while (!is_found && fgets(line, sizeof line, file) != NULL)
        is_found = strncmp(line, key, length) == 0 && sscanf(line + length, "%" SCNu64, number) == 1;
    fclose(file);
    return is_found;
}

/* What the cgroup at `folder` (version 2) leaves: its limit less what is used, but for pages of files, which can go. */
static uint64_t read_cgroup_rest(const char *folder) {
    char path[PATH_SIZE];
    uint64_t limit, used, pages = 0;
    snprintf(path, sizeof path, "%s/memory.max", folder);
    if (!read_field(path, "", &limit)) return UINT64_MAX; /* "max" is no number */
    snprintf(path, sizeof path, "%s/memory.current", folder);
    if (!read_field(path, "", &used)) return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    (void)read_field(path, "file ", &pages);
    used -= pages < used ? pages : used;
    return used < limit ? limit - used : 0;
}

/* The smallest rest of this process' cgroup and those around it. */
static uint64_t read_cgroups(void) {
    char line[4096] = "", folder[PATH_SIZE];
    FILE *const file = fopen("/proc/self/cgroup", "re");
    uint64_t least = read_cgroup_rest("/sys/fs/cgroup");
    if (file == NULL) return least;
    bool is_found = false;
    while (!is_found && fgets(line, sizeof line, file) != NULL) is_found = strncmp(line, "0::/", 4) == 0;
    fclose(file);
    if (!is_found) return least;
    line[strcspn(line, "\n")] = '\0';
    for (char *end = line + strlen(line); end > line + 4; end = strrchr(line, '/')) {
        *end = '\0';
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", line + 3);
        const uint64_t rest = read_cgroup_rest(folder);
        least = rest < least ? rest : least;
    }
    return least;
}

uint64_t sinq_available_memory(void) {
    uint64_t kilobytes;
    if (!read_field("/proc/meminfo", "MemAvailable:", &kilobytes)) return 0;
    const uint64_t machine = kilobytes * 1024, cgroups = read_cgroups();
    return machine < cgroups ? machine : cgroups;
}

uint64_t sinq_peak_memory(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < 0) return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}
