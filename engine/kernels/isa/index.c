/* kernels/isa/index.c: rows taken from a tensor and added back to it by index tensors whose values count from 1.
 *
 * Indices are checked before anything is written. Sums into one place run in the order of the indices, by one tile. */
#include <string.h>

#include "kernels/elementwise.h"
#include "kernels/isa/labels.h"
#include "kernels/kernels.h"

/* Elements of a parallel tile, about. */
#define TILE  16384
/* Parts of the places that index_select_backward splits, so that few large tables have several tiles. */
#define PARTS 8

typedef struct index_call {
    char *out;
    const char *in;
    dl_element element;
    int size; /* bytes of an element */
    dl_element index_element;
    const void *index;
    int64_t outer, n, inner, count;
    int64_t per_tile;
} index_call;

static dl_status check_indices(const index_call *call, int64_t count, bool zero_is_none) {
    if (!dl_is_index_element(call->index_element))
        return dl_fail(DL_DTYPE, "the index is %s; it must be int32, int64 or uint8",
                       dl_element_name(call->index_element));
    for (int64_t i = 0; i < count; i++) {
        int64_t at = dl_index_at(call->index_element, call->index, i);
        if ((at >= 1 && at <= call->n) || (at == 0 && zero_is_none))
            continue;
        return dl_fail(DL_INVALID, "element %lld of the index is %lld; allowed are %d to %lld (%s)", (long long)i + 1,
                       (long long)at, zero_is_none ? 0 : 1, (long long)call->n,
                       at == 0 ? "indices count from 1; 0 means none" : "the size of the dimension");
    }
    return DL_OK;
}

static dl_status run_rows(dl_context *context, index_call *call, int64_t rows, double row_work,
                          dl_tile_function function) {
    call->per_tile = DL_MAX(1, TILE / DL_MAX(1, call->inner));
    int64_t tiles = (rows + call->per_tile - 1) / call->per_tile;
    return dl_parallel(context, tiles, dl_threads_for(context, (double)rows * row_work), function, call);
}

/* ---- index_select ---------------------------------------------------------------------------------------------- */

static void select_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const index_call *call = argument;
    int64_t end = DL_MIN(call->outer * call->count, (tile + 1) * call->per_tile);
    size_t bytes = (size_t)(call->inner * call->size);
    for (int64_t row = tile * call->per_tile; row < end; row++) {
        int64_t at = dl_index_at(call->index_element, call->index, row % call->count);
        char *to = call->out + (size_t)row * bytes;
        if (at == 0)
            memset(to, 0, bytes);
        else
            memcpy(to, call->in + (size_t)(row / call->count * call->n + at - 1) * bytes, bytes);
    }
}

dl_status DL_KERNEL(index_select)(dl_context *context, dl_element element, void *out, const void *x,
                                  dl_element index_element, const void *index, bool zero_is_none, int64_t outer,
                                  int64_t n, int64_t inner, int64_t count) {
    index_call call = {out, x, element, dl_element_size(element), index_element, index, outer, n, inner, count, 0};
    DL_TRY(check_indices(&call, count, zero_is_none));
    return run_rows(context, &call, outer * count, 5 + 0.2 * (double)inner, select_tile);
}

#define ADD_ROW(type)                                                                                                  \
    for (int64_t i = 0; i < n; i++)                                                                                    \
        ((type *)to)[i] += ((const type *)from)[i];

static void add_row(dl_element element, int64_t n, void *to, const void *from) {
    if (element == DL_ELEMENT_FLOAT32) {
        ADD_ROW(float)
    } else {
        ADD_ROW(double)
    }
}

/* The places first .. last - 1 of one outer part. */
static void select_backward_part(const index_call *call, int64_t o, int64_t first, int64_t last) {
    size_t bytes = (size_t)(call->inner * call->size);
    memset(call->out + (size_t)(o * call->n + first) * bytes, 0, (size_t)(last - first) * bytes);
    for (int64_t j = 0; j < call->count; j++) {
        int64_t at = dl_index_at(call->index_element, call->index, j) - 1;
        if (at >= first && at < last)
            add_row(call->element, call->inner, call->out + (size_t)(o * call->n + at) * bytes,
                    call->in + (size_t)(o * call->count + j) * bytes);
    }
}

static void select_backward_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const index_call *call = argument;
    int64_t part = tile % PARTS;
    select_backward_part(call, tile / PARTS, part * call->n / PARTS, (part + 1) * call->n / PARTS);
}

dl_status DL_KERNEL(index_select_backward)(dl_context *context, dl_element element, void *dx, const void *g,
                                           dl_element index_element, const void *index, int64_t outer, int64_t n,
                                           int64_t inner, int64_t count) {
    index_call call = {dx, g, element, dl_element_size(element), index_element, index, outer, n, inner, count, 0};
    DL_TRY(dl_need_real_element(element, "the gradient of index_select"));
    DL_TRY(check_indices(&call, count, true));
    if (inner == 0)
        return DL_OK;
    double work = (double)outer * ((double)n * (double)inner * 0.1 + (double)count * (5 + 0.3 * (double)inner));
    return dl_parallel(context, outer * PARTS, dl_threads_for(context, work), select_backward_tile, &call);
}

/* ---- gather ---------------------------------------------------------------------------------------------------- */

#define GATHER_ROW(type)                                                                                               \
    for (int64_t i = 0; i < call->inner; i++) {                                                                        \
        int64_t at = dl_index_at(call->index_element, call->index, row * call->inner + i) - 1;                         \
        ((type *)call->out)[row * call->inner + i] = ((const type *)call->in)[(first + at) * call->inner + i];         \
    }

static void gather_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const index_call *call = argument;
    int64_t end = DL_MIN(call->outer * call->count, (tile + 1) * call->per_tile);
    for (int64_t row = tile * call->per_tile; row < end; row++) {
        int64_t first = row / call->count * call->n;
        if (call->size == 1) {
            GATHER_ROW(uint8_t)
        } else if (call->size == 4) {
            GATHER_ROW(uint32_t)
        } else {
            GATHER_ROW(uint64_t)
        }
    }
}

dl_status DL_KERNEL(gather)(dl_context *context, dl_element element, void *out, const void *x, dl_element index_element,
                            const void *index, int64_t outer, int64_t n, int64_t inner, int64_t count) {
    index_call call = {out, x, element, dl_element_size(element), index_element, index, outer, n, inner, count, 0};
    DL_TRY(check_indices(&call, outer * count * inner, false));
    return run_rows(context, &call, outer * count, 2 + (double)inner, gather_tile);
}

#define SCATTER_ADD(type)                                                                                              \
    for (int64_t j = 0; j < call->count; j++)                                                                          \
        for (int64_t i = 0; i < call->inner; i++) {                                                                    \
            int64_t from = (o * call->count + j) * call->inner + i;                                                    \
            int64_t at = dl_index_at(call->index_element, call->index, from) - 1;                                      \
            ((type *)call->out)[(o * call->n + at) * call->inner + i] += ((const type *)call->in)[from];               \
        }

static void gather_backward_tile(void *argument, int64_t o, int worker) {
    (void)worker;
    const index_call *call = argument;
    int64_t part = call->n * call->inner;
    memset(call->out + o * part * call->size, 0, (size_t)(part * call->size));
    if (call->element == DL_ELEMENT_FLOAT32) {
        SCATTER_ADD(float)
    } else {
        SCATTER_ADD(double)
    }
}

dl_status DL_KERNEL(gather_backward)(dl_context *context, dl_element element, void *dx, const void *g,
                                     dl_element index_element, const void *index, int64_t outer, int64_t n,
                                     int64_t inner, int64_t count) {
    index_call call = {dx, g, element, dl_element_size(element), index_element, index, outer, n, inner, count, 0};
    DL_TRY(dl_need_real_element(element, "the gradient of gather"));
    DL_TRY(check_indices(&call, outer * count * inner, false));
    double work = (double)outer * (double)inner * ((double)n * 0.2 + (double)count * 2);
    return dl_parallel(context, outer, dl_threads_for(context, work), gather_backward_tile, &call);
}
