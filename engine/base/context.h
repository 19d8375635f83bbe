/* base/context.h: the inside of a context, for the files of the base layer alone. */
#ifndef DL_BASE_CONTEXT_H
#define DL_BASE_CONTEXT_H

#include <stdatomic.h>

#include "base/base.h"

/* More threads than this are never used: the team's state word counts them in ten bits. */
#define DL_MAX_THREADS 1000

/* The memory of a context. It lives until the context and every block are gone, so a block may be freed after its
 * context. */
typedef struct dl_heap dl_heap;
dl_heap *dl_heap_create(const dl_context_options *options);
void dl_heap_abandon(dl_heap *heap); /* the context goes */

/* Ends the threads of a context that no loop uses. */
void dl_team_end(dl_context *context);

struct dl_context {
    atomic_int references;
    atomic_bool cancel;
    bool grad_enabled;
    bool detect_anomaly;
    int threads;
    dl_heap *heap;
    struct dl_team *team; /* of parallel.c; NULL before the first loop for several threads */
    dl_context_options options;
    dl_stream stream;     /* number 0 */
    uint64_t next_stream; /* number of the next dl_new_stream */
    uint64_t walks;       /* numbers that dl_next_walk has given */
    dl_scope_list scopes;
    struct {
        void *value;
        void (*free_slot)(void *value);
    } slots[DL_SLOT_COUNT];
};

/* Processors by the affinity mask alone. */
int dl_affinity_count(void);
/* Processors that the cgroup's quota allows (rounded up), or 0 without a quota. cgroup_file is /proc/self/cgroup and
 * mount is /sys/fs/cgroup, but for tests. */
int dl_cgroup_count(const char *cgroup_file, const char *mount);
/* The count that a text such as DLUA_NUM_THREADS holds, or 0 if it is no whole number in 1 .. DL_MAX_THREADS. */
int dl_parse_threads(const char *text);

#endif
