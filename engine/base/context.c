/* base/context.c: contexts. A context is counted; everything in it but the count and the cancel flag belongs to one
 * thread at a time. Its memory is a heap of its own (allocator.c). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* madvise */
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/context.h"

const char *dl_version(void) {
    return DL_VERSION;
}

/* Asks for pages of 2 MiB where they lie wholly in the block: filling a large array for the first time then takes one
 * page fault in place of 512. A wish only, so a refusal does not matter. */
static void prefer_huge_pages(void *block, size_t bytes) {
    const uintptr_t huge = (uintptr_t)2 << 20;
    uintptr_t from = ((uintptr_t)block + huge - 1) & ~(huge - 1), to = ((uintptr_t)block + bytes) & ~(huge - 1);
    if (from < to)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
}

static void *c_library_reallocate(void *user, void *block, size_t old_bytes, size_t bytes) {
    (void)user;
    (void)old_bytes;
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    void *moved = realloc(block, bytes);
    if (moved)
        prefer_huge_pages(moved, bytes);
    return moved;
}

void dl_context_options_init(dl_context_options *options, size_t struct_size) {
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

/* What the host gave, and the defaults for the rest: a host built with an older, shorter struct stays right. */
static dl_status take_options(const dl_context_options *given, dl_context_options *options) {
    dl_context_options_init(options, sizeof *options);
    if (given) {
        if (given->struct_size < sizeof given->struct_size)
            return dl_fail(DL_INVALID,
                           "dl_context_create: options.struct_size is %zu; set the options up with "
                           "dl_context_options_init first",
                           given->struct_size);
        memcpy(options, given, DL_MIN(given->struct_size, sizeof *options));
        options->struct_size = sizeof *options;
    }
    if (!options->reallocate)
        options->reallocate = c_library_reallocate;
    return DL_OK;
}

static int default_threads(dl_context *context) {
    const char *text = getenv("DLUA_NUM_THREADS");
    if (!text || !*text)
        return dl_processor_count();
    int threads = dl_parse_threads(text);
    if (threads)
        return threads;
    dl_log(context, DL_LOG_WARNING, "DLUA_NUM_THREADS must be a whole number in [1, %d] (got '%s'); it is ignored",
           DL_MAX_THREADS, text);
    return dl_processor_count();
}

/* The kernels are chosen without a context, so it is here that a wrong choice is told. */
static void check_isa(dl_context *context) {
    const char *text = getenv("DLUA_ISA");
    if (text && *text && !dl_processor_has(text))
        dl_log(context, DL_LOG_WARNING,
               "DLUA_ISA must be baseline, avx2 or avx512, and the processor must have it (got '%s'); it is ignored",
               text);
}

dl_status dl_context_create(const dl_context_options *given, dl_context **out) {
    *out = NULL;
    dl_context_options options;
    DL_TRY(take_options(given, &options));
    dl_context *context = options.reallocate(options.user, NULL, 0, sizeof *context);
    if (!context)
        return dl_fail(DL_MEMORY, "out of memory: a context could not be made");
    memset(context, 0, sizeof *context);
    atomic_init(&context->references, 1);
    atomic_init(&context->cancel, false);
    context->options = options;
    context->grad_enabled = true;
    context->heap = dl_heap_create(&options);
    if (!context->heap) {
        options.reallocate(options.user, context, sizeof *context, 0);
        return dl_fail(DL_MEMORY, "out of memory: a context could not be made");
    }
    dl_manual_seed(context, options.seed);
    dl_status status = dl_set_threads(context, options.threads);
    if (status != DL_OK) {
        dl_context_release(context);
        return status;
    }
    check_isa(context);
    *out = context;
    return DL_OK;
}

void dl_context_retain(dl_context *context) {
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void dl_context_release(dl_context *context) {
    if (!context || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < DL_SLOT_COUNT; i++)
        if (context->slots[i].value)
            context->slots[i].free_slot(context->slots[i].value);
    dl_free(context->scopes.items);
    dl_team_end(context);
    dl_heap_abandon(context->heap);
    dl_context_options options = context->options;
    options.reallocate(options.user, context, sizeof *context, 0);
}

void **dl_context_slot(dl_context *context, dl_slot slot, void (*free_slot)(void *value)) {
    context->slots[slot].free_slot = free_slot;
    return &context->slots[slot].value;
}

dl_scope_list *dl_context_scopes(dl_context *context) {
    return &context->scopes;
}

uint64_t dl_next_walk(dl_context *context) {
    return ++context->walks;
}

/* ---- settings -------------------------------------------------------------------------------------------------- */

dl_status dl_set_threads(dl_context *context, int threads) {
    if (threads < 0 || threads > DL_MAX_THREADS)
        return dl_fail(DL_INVALID,
                       "set_num_threads: argument 'threads' must be a whole number in [0, %d] (got %d); 0 "
                       "stands for the processors that this process may use",
                       DL_MAX_THREADS, threads);
    context->threads = threads ? threads : default_threads(context);
    return DL_OK;
}

int dl_threads(const dl_context *context) {
    return context->threads;
}

bool dl_set_grad_enabled(dl_context *context, bool enabled) {
    bool old = context->grad_enabled;
    context->grad_enabled = enabled;
    return old;
}

bool dl_grad_enabled(const dl_context *context) {
    return context->grad_enabled;
}

bool dl_set_detect_anomaly(dl_context *context, bool enabled) {
    bool old = context->detect_anomaly;
    context->detect_anomaly = enabled;
    return old;
}

bool dl_detect_anomaly(const dl_context *context) {
    return context->detect_anomaly;
}

/* ---- cancelling and logging ------------------------------------------------------------------------------------ */

void dl_cancel(dl_context *context) {
    atomic_store_explicit(&context->cancel, true, memory_order_relaxed);
}

dl_status dl_poll(dl_context *context) {
    bool asked = atomic_load_explicit(&context->cancel, memory_order_relaxed);
    if (!asked && context->options.cancel)
        asked = context->options.cancel(context->options.user);
    if (!asked)
        return DL_OK;
    atomic_store_explicit(&context->cancel, false, memory_order_relaxed);
    return dl_fail(DL_CANCELLED, "cancelled");
}

void dl_log(dl_context *context, dl_log_level level, const char *format, ...) {
    if (!context->options.log)
        return;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    context->options.log(context->options.user, level, text);
}
