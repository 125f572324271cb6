/* processors.h: how many processors a process may use. */
#ifndef SINQ_BASE_PROCESSORS_H
#define SINQ_BASE_PROCESSORS_H

/*
 * Processors' worth of time that the process's cgroup and those around it grant, rounded up; 0 where none sets a limit. The
 * files /proc/self/cgroup and /sys/fs/cgroup/... are read below `root` ("" for the system's).
 *   version 2: cpu.max, "max 100000" or "200000 100000" (quota and period in microseconds)
 *   version 1: cpu.cfs_quota_us, -1 or a quota, and cpu.cfs_period_us
 */
unsigned sinq_read_processor_quota(const char *root);

#endif
