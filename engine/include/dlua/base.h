/* dlua/base.h: status codes, contexts, memory and random streams.
 *
 * Every call of the engine takes or knows a dl_context. A context belongs to one thread at a time; two contexts may
 * work in two threads at once. Nothing else in the library is mutable and global.
 *
 * Functions that can fail return a dl_status, or a pointer that is NULL on failure; the message is then in
 * dl_last_error() of the calling thread. */
#ifndef DLUA_BASE_H
#define DLUA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define DL_API __attribute__((visibility("default")))
#define DL_PRINTF(format_at, arguments_at) __attribute__((format(printf, format_at, arguments_at)))
#else
#define DL_API
#define DL_PRINTF(format_at, arguments_at)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DL_VERSION "0.1.0"

/* ---- status ---------------------------------------------------------------------------------------------------- */

/* X(name, meaning): the one table of status codes; the enum, the names and the texts come from it. */
#define DL_STATUS_TABLE(X)                                                                                             \
    X(OK, "success")                                                                                                   \
    X(INVALID, "an argument is wrong")                                                                                 \
    X(SHAPE, "shapes do not fit")                                                                                      \
    X(DTYPE, "the dtype is not supported here")                                                                        \
    X(STATE, "the object is not in a state that allows this")                                                          \
    X(MEMORY, "out of memory")                                                                                         \
    X(CANCELLED, "cancelled")                                                                                          \
    X(IO, "a file could not be read or written")                                                                       \
    X(FORMAT, "the bytes are not what the format says")                                                                \
    X(NOT_FOUND, "not found")                                                                                          \
    X(CALLBACK, "a function of the host failed")                                                                       \
    X(UNSUPPORTED, "this build or machine cannot do it")

typedef enum dl_status {
#define X(name, meaning) DL_##name,
    DL_STATUS_TABLE(X)
#undef X
} dl_status;

/* "DL_SHAPE" and the like; never NULL. */
DL_API const char *dl_status_name(dl_status status);
/* The table's text; never NULL. */
DL_API const char *dl_status_meaning(dl_status status);
/* The message and status of the calling thread's last failure ("" and DL_OK if there was none). The text is valid until
 * the next failing call in this thread. */
DL_API const char *dl_last_error(void);
DL_API dl_status dl_last_status(void);
/* Sets the calling thread's message and returns status: `return dl_fail(DL_SHAPE, "...", ...)`. For callbacks of a host
 * too. */
DL_API dl_status dl_fail(dl_status status, const char *format, ...) DL_PRINTF(2, 3);
/* Puts "PREFIX: " before the current message; returns the status that stands. */
DL_API dl_status dl_fail_prefix(const char *format, ...) DL_PRINTF(1, 2);
DL_API void dl_clear_error(void);

/* ---- context --------------------------------------------------------------------------------------------------- */

typedef struct dl_context dl_context;

typedef enum dl_log_level { DL_LOG_INFO, DL_LOG_WARNING } dl_log_level;

/* What a host gives a context. Set it up with dl_context_options_init, then change what is needed. */
typedef struct dl_context_options {
    size_t struct_size; /* sizeof(dl_context_options), set by dl_context_options_init */
    /* Host memory: like realloc with the old size (NULL: the C library's). bytes 0 frees. Must be thread-safe. */
    void *(*reallocate)(void *user, void *block, size_t old_bytes, size_t bytes);
    void (*log)(void *user, dl_log_level level, const char *message); /* NULL: dropped */
    bool (*cancel)(void *user); /* polled between tiles by the calling thread; true cancels; may be NULL */
    void *user;                 /* passed to the functions above */
    uint64_t seed;              /* of all streams of this context */
    int threads;                /* 0: DLUA_NUM_THREADS or the processors that this process may use */
    size_t memory_budget;       /* bytes that tensors and scratch may take; 0: no limit */
} dl_context_options;

DL_API void dl_context_options_init(dl_context_options *options, size_t struct_size);
/* options NULL: the defaults. The caller owns *out and ends it with dl_context_release. */
DL_API dl_status dl_context_create(const dl_context_options *options, dl_context **out);
/* Tensors and models keep their context alive; the last one to go frees it. */
DL_API void dl_context_retain(dl_context *context);
DL_API void dl_context_release(dl_context *context);

DL_API dl_status dl_set_threads(dl_context *context, int threads); /* 1 or more; 0: the default again */
DL_API int dl_threads(const dl_context *context);
/* Restarts the context's random streams: the same calls after the same seed give the same numbers. */
DL_API void dl_manual_seed(dl_context *context, uint64_t seed);
DL_API uint64_t dl_seed(const dl_context *context);
/* May be called from another thread or a signal handler: the running call returns DL_CANCELLED at its next tile. */
DL_API void dl_cancel(dl_context *context);
/* DL_CANCELLED if a cancel was asked for (and clears it), else DL_OK. Long loops of the engine poll it. */
DL_API dl_status dl_poll(dl_context *context);
DL_API bool dl_set_grad_enabled(dl_context *context, bool enabled); /* returns the old mode */
DL_API bool dl_grad_enabled(const dl_context *context);
/* Reports NaN and infinite values by the name of the operation that made them; returns the old mode. */
DL_API bool dl_set_detect_anomaly(dl_context *context, bool enabled);
DL_API bool dl_detect_anomaly(const dl_context *context);
DL_API void dl_log(dl_context *context, dl_log_level level, const char *format, ...) DL_PRINTF(3, 4);

typedef struct dl_memory_info {
    size_t in_use;       /* bytes that live objects hold */
    size_t peak;         /* the most that in_use was since the last dl_memory_reset_peak */
    size_t cached;       /* bytes kept for the next request */
    size_t system_calls; /* requests to the system or the host since the context was made */
    size_t allocations;  /* requests to the context since it was made */
} dl_memory_info;

DL_API void dl_memory(const dl_context *context, dl_memory_info *out);
DL_API void dl_memory_reset_peak(dl_context *context);
/* Gives the cached bytes back. */
DL_API void dl_memory_trim(dl_context *context);
/* For tests: the nth request from now on (1 is the next) fails, once; 0 turns it off. */
DL_API void dl_memory_fail_at(dl_context *context, uint64_t nth);

/* ---- random streams -------------------------------------------------------------------------------------------- */

/* A sequence of random numbers: a draw depends on seed, stream and its position alone. One block of four 32-bit words
 * is one position. */
typedef struct dl_stream {
    uint64_t seed;
    uint64_t stream;
    uint64_t position; /* the next unused block */
} dl_stream;

/* ---- the processor --------------------------------------------------------------------------------------------- */

/* "baseline", "avx2" or "avx512": what the kernels use; DLUA_ISA forces one at the first use. */
DL_API const char *dl_isa(void);
DL_API const char *dl_version(void);

#ifdef __cplusplus
}
#endif
#endif
