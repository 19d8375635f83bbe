/* base/processor.c: how many processors this process may use: the affinity mask, and the quota of its control group
 * (version 2, or version 1) and of every group above it; and which instructions they have. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity and the CPU_ macros */
#endif
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/context.h"

/* The kernel's mask may be longer than ours; it says so with EINVAL, and we ask again with twice as much. */
int dl_affinity_count(void) {
    for (int processors = 1024; processors <= 1 << 20; processors *= 2) {
        cpu_set_t *mask = CPU_ALLOC(processors);
        if (!mask)
            break;
        size_t size = CPU_ALLOC_SIZE(processors);
        int count = sched_getaffinity(0, size, mask) == 0 ? CPU_COUNT_S(size, mask) : 0;
        bool too_short = count == 0 && errno == EINVAL;
        CPU_FREE(mask);
        if (count > 0)
            return count;
        if (!too_short)
            break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)DL_MIN(online, DL_MAX_THREADS) : 1;
}

/* Reads the first line of FOLDER/NAME into text; false if there is none. */
static bool first_line(const char *folder, const char *name, char *text, int size) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool found = fgets(text, size, file) != NULL;
    fclose(file);
    return found;
}

static int quota_count(long long quota, long long period) {
    if (quota <= 0 || period <= 0)
        return 0;
    long long count = (quota + period - 1) / period;
    return (int)DL_MIN(count, INT_MAX);
}

/* cpu.max holds "QUOTA PERIOD" or "max PERIOD", in microseconds. */
static int quota_v2(const char *folder) {
    char line[128];
    long long quota, period;
    if (!first_line(folder, "cpu.max", line, sizeof line) || sscanf(line, "%lld %lld", &quota, &period) != 2)
        return 0;
    return quota_count(quota, period);
}

static int quota_v1(const char *folder) {
    char quota[64], period[64];
    if (!first_line(folder, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !first_line(folder, "cpu.cfs_period_us", period, sizeof period))
        return 0;
    return quota_count(atoll(quota), atoll(period));
}

/* The smallest quota of the group MOUNT GROUP and of those above it, or 0. A container often sees its group's path but
 * has the group itself mounted: folders that do not exist are passed over. */
static int smallest_quota(const char *mount, const char *group, int (*quota_of)(const char *folder)) {
    char folder[PATH_MAX];
    int length = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (length < 0 || length >= (int)sizeof folder)
        return 0;
    int smallest = 0;
    size_t root = strlen(mount);
    for (;;) {
        int count = quota_of(folder);
        if (count && (!smallest || count < smallest))
            smallest = count;
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < root || strlen(folder) <= root)
            return smallest;
        *slash = '\0';
    }
}

/* True if the comma-separated list of controllers has "cpu". */
static bool lists_cpu(const char *controllers) {
    for (const char *word = controllers; *word;) {
        size_t length = strcspn(word, ",");
        if (length == 3 && strncmp(word, "cpu", 3) == 0)
            return true;
        word += length + (word[length] == ',');
    }
    return false;
}

/* Each line of the file is ID:CONTROLLERS:GROUP; version 2 has no controllers in it. */
int dl_cgroup_count(const char *cgroup_file, const char *mount) {
    FILE *file = fopen(cgroup_file, "re");
    if (!file)
        return 0;
    int smallest = 0;
    char line[PATH_MAX];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        if (strcmp(group, "/") == 0)
            group = "";
        char folder[PATH_MAX];
        int count = 0;
        if (!*controllers)
            count = smallest_quota(mount, group, quota_v2);
        else if (lists_cpu(controllers) && snprintf(folder, sizeof folder, "%s/%s", mount, controllers) < PATH_MAX)
            count = smallest_quota(folder, group, quota_v1);
        if (count && (!smallest || count < smallest))
            smallest = count;
    }
    fclose(file);
    return smallest;
}

int dl_processor_count(void) {
    int count = dl_affinity_count();
    int quota = dl_cgroup_count("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota)
        count = DL_MIN(count, quota);
    return DL_MAX(1, DL_MIN(count, DL_MAX_THREADS));
}

int dl_parse_threads(const char *text) {
    char *end;
    errno = 0;
    long threads = strtol(text, &end, 10);
    bool whole = end != text && *end == '\0' && errno == 0;
    return whole && threads >= 1 && threads <= DL_MAX_THREADS ? (int)threads : 0;
}

bool dl_processor_has(const char *isa) {
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (strcmp(isa, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return strcmp(isa, "baseline") == 0;
}
