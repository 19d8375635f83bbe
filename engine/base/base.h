/* base/base.h: what the engine itself uses of the base layer, beside the public dlua/base.h: memory of a context,
 * parallel loops, counter-based random numbers. */
#ifndef DL_BASE_BASE_H
#define DL_BASE_BASE_H

#include "dlua/base.h"

#define DL_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define DL_MAX(a, b)    ((a) > (b) ? (a) : (b))
#define DL_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Returns from the calling function if the status of the expression is not DL_OK. */
#define DL_TRY(expression)                                                                                             \
    do {                                                                                                               \
        dl_status dl_try_status = (expression);                                                                        \
        if (dl_try_status != DL_OK)                                                                                    \
            return dl_try_status;                                                                                      \
    } while (0)

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* bytes (at least 1) aligned to 64; NULL with DL_MEMORY and a message if there is none or the budget is spent. Blocks
 * of a page and more are staggered so that arrays streamed together do not alias modulo 4096. Thread-safe. */
void *dl_alloc(dl_context *context, size_t bytes);
void *dl_alloc_zeroed(dl_context *context, size_t bytes);
/* count * size with an overflow check. */
void *dl_alloc_array(dl_context *context, size_t count, size_t size);
/* Keeps the first min(old, new) bytes; block NULL allocates. On failure the old block stays. */
void *dl_realloc(dl_context *context, void *block, size_t bytes);
/* Makes room for one more entry in *(void **)array, which has `count` of `*capacity` entries of `size` bytes. On
 * failure the array stays as it is. */
dl_status dl_grow(dl_context *context, void *array, int64_t count, int64_t *capacity, size_t size);
char *dl_strdup(dl_context *context, const char *text);
/* The block knows its context; NULL is ignored. */
void dl_free(void *block);

/* ---- parallel loops -------------------------------------------------------------------------------------------- */

/* One tile of a loop. worker is in 0 .. threads-1 and names the scratch that this thread may use. */
typedef void (*dl_tile_function)(void *argument, int64_t tile, int worker);

/* Runs function(argument, i, worker) for i = 0 .. tiles-1 on at most `threads` threads of the context (see
 * dl_threads_for) and waits. The order is free, so every tile must write only its own part; tiles must be the same
 * whatever the number of threads is. Denormals are flushed to zero in every thread for the time of the call and the
 * host's mode is restored. Polls for cancellation between tiles: DL_CANCELLED then, with the output undefined; it fails
 * in no other way. Inside a tile a further dl_parallel runs on the calling thread alone. */
dl_status dl_parallel(dl_context *context, int64_t tiles, int threads, dl_tile_function function, void *argument);
/* The same without polling, so it runs all tiles and cannot fail: for the commit of a training step. */
void dl_parallel_commit(dl_context *context, int64_t tiles, int threads, dl_tile_function function, void *argument);
/* Threads that `work` pays for: work is in units of about a nanosecond of one core. 1 .. dl_threads(context). */
int dl_threads_for(const dl_context *context, double work);
/* Runs function(argument) as one step: the dl_parallel calls inside it follow one another closely, so that the
 * context's threads still spin when the next one comes and smaller loops are worth sharing; denormals are flushed all
 * the time. Nests. */
dl_status dl_run_step(dl_status (*function)(void *argument), void *argument);
/* Processors that this process may use: affinity mask and cgroup quota, at least 1. */
int dl_processor_count(void);
/* Whether this processor has the instruction set: "baseline", "avx2" (with FMA) or "avx512" (F, DQ, BW, VL). */
bool dl_processor_has(const char *isa);

/* ---- random numbers -------------------------------------------------------------------------------------------- */

/* Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): block `counter` of the sequence
 * that `key` names. */
void dl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The context's own stream, for dl_randn and the like. */
dl_stream *dl_context_stream(dl_context *context);
/* A stream of its own for a layer or a shuffle, numbered in the order of the calls since the last dl_manual_seed. */
dl_stream dl_new_stream(dl_context *context);
/* Takes `blocks` positions and returns the first. */
uint64_t dl_stream_take(dl_stream *stream, uint64_t blocks);
/* The four words at a position of a stream. */
void dl_stream_words(const dl_stream *stream, uint64_t position, uint32_t out[4]);

/* A permutation of 1 .. count, drawn from the stream's blocks from `position` on: dl_permutation_blocks(count) of
 * them. */
void dl_permutation(const dl_stream *stream, uint64_t position, int64_t count, int64_t *order);
uint64_t dl_permutation_blocks(int64_t count);

/* ---- what upper layers keep in a context ----------------------------------------------------------------------- */

/* The tensors of the open scopes, which tensor/tensor.c fills and empties. The list is there before the first scope, so
 * that opening one cannot fail. */
typedef struct dl_scope_list {
    struct dl_tensor **items;
    size_t count;
    int64_t capacity;
    int depth; /* open scopes */
} dl_scope_list;
dl_scope_list *dl_context_scopes(dl_context *context);

/* A number from 1 on that this context gave never before: a walk leaves it on what it has seen. */
uint64_t dl_next_walk(dl_context *context);

/* Slots of the context for upper layers; what is not NULL is freed by its own function when the context goes. */
typedef enum dl_slot { DL_SLOT_CUSTOM, DL_SLOT_NN, DL_SLOT_COUNT } dl_slot;
void **dl_context_slot(dl_context *context, dl_slot slot, void (*free_slot)(void *value));

#endif
