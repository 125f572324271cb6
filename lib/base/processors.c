#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sinq.h"

/* Processors' worth of time that a cgroup grants (version 2: "max 100000" or "200000 100000"), 0 where it sets no limit. */
static unsigned read_cgroup_quota(void) {
    FILE *const file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file == NULL) return 0;
    char line[64] = "";
    const bool has_line = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    char *end;
    const double quota = has_line ? strtod(line, &end) : 0;
    if (!has_line || end == line || quota <= 0) return 0;
    const double period = strtod(end, NULL);
    if (period <= 0) return 0;
    const double processors = quota / period;
    return processors < 1 ? 1 : processors > 4096 ? 4096 : (unsigned)processors;
}

static unsigned count_affinity(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (unsigned)CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

unsigned sinq_count_processors(void) {
    const unsigned affinity = count_affinity(), quota = read_cgroup_quota();
    const unsigned processors = quota != 0 && quota < affinity ? quota : affinity;
    return processors == 0 ? 1 : processors;
}
