/* base/allocator.c: the memory of a context.
 *
 *      base                     block (64-aligned, staggered)
 *      | unused | header (64) | capacity bytes |
 *
 * Freed blocks are kept by size class and handed out again, so that a training step asks the system for nothing after
 * the first. Always true, under the heap's mutex: in_use is the sum of the capacities of live blocks and cached that of
 * kept ones; a kept block lies in the list of its class. The heap lives until its context and all its blocks are gone.
 *
 * Under AddressSanitizer nothing is kept and a block ends where the system's does, so that it sees every overflow. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/context.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    ALIGNMENT = 64,
    PAGE = 4096,
    STAGGER = 1088, /* 17 * 64: further starts visit all 64 places of a page */
    SMALL = 1024,   /* classes are multiples of 64 up to here, then eight to each doubling */
    SMALL_CLASSES = SMALL / ALIGNMENT,
    SMALL_BITS = 10,
    LARGEST_BITS = 47,
    CLASSES = SMALL_CLASSES + (LARGEST_BITS - SMALL_BITS) * 8,
    STALE_REQUESTS = 4096 /* a kept block that lay idle for so many requests may go when memory is needed */
};

/* Blocks of at least this size go back at once when freed: a whole data set, not a step's scratch. */
static const size_t never_kept = (size_t)128 << 20;
/* A request of at least this size that finds no kept block lets stale ones go first. */
static const size_t large = (size_t)1 << 20;

typedef struct header {
    dl_heap *heap;
    struct header *next; /* in the list of kept blocks */
    void *base;
    size_t base_bytes;
    size_t capacity;
    uint64_t freed_at; /* the heap's count of requests then */
    int size_class;
} header;
_Static_assert(sizeof(header) <= ALIGNMENT, "the header fits before an aligned block");

struct dl_heap {
    pthread_mutex_t mutex;
    void *(*reallocate)(void *user, void *block, size_t old_bytes, size_t bytes);
    void *user;
    size_t budget; /* 0: none */
    size_t in_use, peak, cached;
    uint64_t requests, system_calls;
    uint64_t fail_in; /* requests until one fails; 0: off */
    uint64_t live;    /* blocks in use */
    bool abandoned;   /* the context is gone */
    size_t stagger;   /* where in a page the next big block starts */
    header *kept[CLASSES];
};

static header *header_of(void *block) {
    return (header *)((char *)block - ALIGNMENT);
}

static void *block_of(header *head) {
    return (char *)head + ALIGNMENT;
}

/* The size class of a request and the bytes that its blocks hold, at most an eighth more than asked for. */
static int size_class(size_t bytes, size_t *capacity) {
    if (bytes <= SMALL) {
        size_t units = (bytes + ALIGNMENT - 1) / ALIGNMENT;
        *capacity = units * ALIGNMENT;
        return (int)units - 1;
    }
    int bits = 63 - __builtin_clzll((unsigned long long)bytes - 1);
    size_t step = (size_t)1 << (bits - 3);
    size_t eighth = (bytes - 1 - ((size_t)1 << bits)) / step;
    *capacity = ((size_t)1 << bits) + (eighth + 1) * step;
    return SMALL_CLASSES + (bits - SMALL_BITS) * 8 + (int)eighth;
}

/* ---- the heap -------------------------------------------------------------------------------------------------- */

dl_heap *dl_heap_create(const dl_context_options *options) {
    dl_heap *heap = options->reallocate(options->user, NULL, 0, sizeof *heap);
    if (!heap)
        return NULL;
    memset(heap, 0, sizeof *heap);
    if (pthread_mutex_init(&heap->mutex, NULL) != 0) {
        options->reallocate(options->user, heap, sizeof *heap, 0);
        return NULL;
    }
    heap->reallocate = options->reallocate;
    heap->user = options->user;
    heap->budget = options->memory_budget;
    return heap;
}

static void give_back(dl_heap *heap, header *head) {
    heap->system_calls++;
    heap->reallocate(heap->user, head->base, head->base_bytes, 0);
}

/* Gives kept blocks back that were freed before the given request. */
static void trim(dl_heap *heap, uint64_t freed_before) {
    for (int i = 0; i < CLASSES; i++) {
        header **link = &heap->kept[i];
        while (*link) {
            header *head = *link;
            if (head->freed_at >= freed_before) {
                link = &head->next;
                continue;
            }
            *link = head->next;
            heap->cached -= head->capacity;
            give_back(heap, head);
        }
    }
}

static void destroy(dl_heap *heap) {
    pthread_mutex_destroy(&heap->mutex);
    heap->reallocate(heap->user, heap, sizeof *heap, 0);
}

void dl_heap_abandon(dl_heap *heap) {
    pthread_mutex_lock(&heap->mutex);
    trim(heap, UINT64_MAX);
    heap->abandoned = true;
    bool last = heap->live == 0;
    pthread_mutex_unlock(&heap->mutex);
    if (last)
        destroy(heap);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

/* The first place at or after `from` that is aligned, and that begins at the given place of a page if `staggered`. */
static uintptr_t place_block(uintptr_t from, bool staggered, size_t at) {
    if (!staggered)
        return (from + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    uintptr_t place = (from & ~(uintptr_t)(PAGE - 1)) + at;
    return place < from ? place + PAGE : place;
}

/* A block from the system, or NULL. */
static header *take_from_system(dl_heap *heap, int class, size_t capacity) {
    bool staggered = capacity >= PAGE && !SANITIZED;
    size_t slack = staggered ? PAGE : ALIGNMENT - 1;
    size_t base_bytes = capacity + ALIGNMENT + slack;
    heap->system_calls++;
    char *base = heap->reallocate(heap->user, NULL, 0, base_bytes);
    if (!base)
        return NULL;
    uintptr_t place = place_block((uintptr_t)base + ALIGNMENT, staggered, heap->stagger);
    if (staggered)
        heap->stagger = (heap->stagger + STAGGER) % PAGE;
    header *head = header_of((void *)place);
    head->heap = heap;
    head->base = base;
    head->base_bytes = base_bytes;
    head->capacity = capacity;
    head->size_class = class;
    return head;
}

static bool over_budget(const dl_heap *heap, size_t more) {
    return heap->budget && (more > heap->budget || heap->in_use + heap->cached > heap->budget - more);
}

/* A kept block of the class or a new one; NULL if the budget or the system has no more. */
static header *take_block(dl_heap *heap, int class, size_t capacity) {
    header *head = heap->kept[class];
    if (head) {
        heap->kept[class] = head->next;
        heap->cached -= head->capacity;
        return head;
    }
    if (over_budget(heap, capacity))
        trim(heap, UINT64_MAX);
    else if (capacity >= large && heap->requests > STALE_REQUESTS)
        trim(heap, heap->requests - STALE_REQUESTS);
    if (over_budget(heap, capacity))
        return NULL;
    head = take_from_system(heap, class, capacity);
    if (!head && heap->cached) {
        trim(heap, UINT64_MAX);
        head = take_from_system(heap, class, capacity);
    }
    return head;
}

static void describe_bytes(double bytes, char *text, size_t size) {
    const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < DL_COUNT(units) - 1) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, size, "%.*f %s", unit ? 1 : 0, bytes, units[unit]);
}

static void *no_memory(size_t bytes, size_t in_use, size_t budget) {
    char wanted[32], used[32], allowed[32];
    describe_bytes((double)bytes, wanted, sizeof wanted);
    describe_bytes((double)in_use, used, sizeof used);
    describe_bytes((double)budget, allowed, sizeof allowed);
    if (budget && bytes > budget - DL_MIN(in_use, budget))
        dl_fail(DL_MEMORY, "out of memory: %s more would pass the memory budget of %s (%s are in use)", wanted, allowed,
                used);
    else
        dl_fail(DL_MEMORY, "out of memory: %s could not be had (%s are in use)", wanted, used);
    return NULL;
}

void *dl_alloc(dl_context *context, size_t bytes) {
    dl_heap *heap = context->heap;
    if (bytes > (size_t)1 << LARGEST_BITS)
        return no_memory(bytes, 0, heap->budget);
    size_t asked = DL_MAX(bytes, 1);
    size_t capacity;
    int class = size_class(asked, &capacity);
    if (SANITIZED)
        capacity = asked;
    pthread_mutex_lock(&heap->mutex);
    heap->requests++;
    bool refused = heap->fail_in && --heap->fail_in == 0;
    header *head = refused ? NULL : take_block(heap, class, capacity);
    if (head) {
        heap->live++;
        heap->in_use += capacity;
        heap->peak = DL_MAX(heap->peak, heap->in_use);
    }
    size_t in_use = heap->in_use;
    pthread_mutex_unlock(&heap->mutex);
    return head ? block_of(head) : no_memory(bytes, in_use, heap->budget);
}

void dl_free(void *block) {
    if (!block)
        return;
    header *head = header_of(block);
    dl_heap *heap = head->heap;
    pthread_mutex_lock(&heap->mutex);
    heap->in_use -= head->capacity;
    heap->live--;
    if (SANITIZED || heap->abandoned || head->capacity >= never_kept) {
        give_back(heap, head);
    } else {
        head->freed_at = heap->requests;
        head->next = heap->kept[head->size_class];
        heap->kept[head->size_class] = head;
        heap->cached += head->capacity;
    }
    bool last = heap->abandoned && heap->live == 0;
    pthread_mutex_unlock(&heap->mutex);
    if (last)
        destroy(heap);
}

void *dl_alloc_zeroed(dl_context *context, size_t bytes) {
    void *block = dl_alloc(context, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

void *dl_alloc_array(dl_context *context, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        dl_fail(DL_MEMORY, "out of memory: %zu elements of %zu bytes are more than a pointer reaches", count, size);
        return NULL;
    }
    return dl_alloc(context, bytes);
}

void *dl_realloc(dl_context *context, void *block, size_t bytes) {
    if (!block)
        return dl_alloc(context, bytes);
    size_t capacity = header_of(block)->capacity;
    if (bytes <= capacity && bytes >= capacity / 2)
        return block;
    void *moved = dl_alloc(context, bytes);
    if (!moved)
        return NULL;
    memcpy(moved, block, DL_MIN(bytes, capacity));
    dl_free(block);
    return moved;
}

dl_status dl_grow(dl_context *context, void *array, int64_t count, int64_t *capacity, size_t size) {
    if (count < *capacity)
        return DL_OK;
    if (*capacity > INT64_MAX / 2 / (int64_t)size)
        return dl_fail(DL_MEMORY, "out of memory: a list of more than %lld entries", (long long)*capacity);
    void *old;
    memcpy(&old, array, sizeof old);
    int64_t larger = *capacity ? 2 * *capacity : 8;
    void *block = dl_realloc(context, old, (size_t)larger * size);
    if (!block)
        return DL_MEMORY;
    memcpy(array, &block, sizeof block);
    *capacity = larger;
    return DL_OK;
}

char *dl_strdup(dl_context *context, const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = dl_alloc(context, bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

void dl_memory(const dl_context *context, dl_memory_info *out) {
    dl_heap *heap = context->heap;
    pthread_mutex_lock(&heap->mutex);
    out->in_use = heap->in_use;
    out->peak = heap->peak;
    out->cached = heap->cached;
    out->system_calls = heap->system_calls;
    out->allocations = heap->requests;
    pthread_mutex_unlock(&heap->mutex);
}

void dl_memory_reset_peak(dl_context *context) {
    dl_heap *heap = context->heap;
    pthread_mutex_lock(&heap->mutex);
    heap->peak = heap->in_use;
    pthread_mutex_unlock(&heap->mutex);
}

void dl_memory_trim(dl_context *context) {
    dl_heap *heap = context->heap;
    pthread_mutex_lock(&heap->mutex);
    trim(heap, UINT64_MAX);
    pthread_mutex_unlock(&heap->mutex);
}

void dl_memory_fail_at(dl_context *context, uint64_t nth) {
    dl_heap *heap = context->heap;
    pthread_mutex_lock(&heap->mutex);
    heap->fail_in = nth;
    pthread_mutex_unlock(&heap->mutex);
}
