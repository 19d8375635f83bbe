/* data/batch.c: the order of an epoch and the batches picked by it. Always true: the order depends on seed and epoch
 * alone; index values count from 1. */
#include <inttypes.h>
#include <string.h>

#include "dlua/data.h"
#include "tensor/tensor.h"

/* Streams with this bit shuffle epochs; those of layers are numbered from 1 and never reach it. */
static const uint64_t shuffle_streams = (uint64_t)1 << 63;

dl_tensor *dl_shuffled_order(dl_context *context, int64_t count, uint64_t seed, int64_t epoch) {
    if (count < 0) {
        dl_fail(DL_INVALID, "shuffled_order: argument 'count' must be a whole number of at least 0 (got %" PRId64 ")",
                count);
        return NULL;
    }
    dl_tensor *tensor = dl_tensor_new(context, DL_INT64, 1, &count);
    if (!tensor)
        return NULL;
    dl_stream stream = {.seed = seed, .stream = shuffle_streams | (uint64_t)epoch};
    dl_permutation(&stream, 0, count, dl_tensor_data(tensor));
    return dl_scope_add(context, tensor);
}

/* ---- gathering ------------------------------------------------------------------------------------------------- */

/* Rows are copied in tiles of about this many bytes; copying takes about a nanosecond for eight. */
static const int64_t tile_bytes = 1 << 17;

typedef struct gather {
    const int64_t *order; /* [count], from 1 */
    const char *from;
    char *to;
    int64_t count, row_bytes, rows_per_tile;
} gather;

static void gather_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const gather *work = argument;
    int64_t first = tile * work->rows_per_tile;
    int64_t end = DL_MIN(first + work->rows_per_tile, work->count);
    for (int64_t i = first; i < end; i++)
        memcpy(work->to + i * work->row_bytes, work->from + (work->order[i] - 1) * work->row_bytes,
               (size_t)work->row_bytes);
}

static dl_status copy_rows(dl_context *context, gather *work) {
    if (work->count == 0 || work->row_bytes == 0)
        return DL_OK;
    work->rows_per_tile = DL_MAX(1, tile_bytes / work->row_bytes);
    int64_t tiles = (work->count + work->rows_per_tile - 1) / work->rows_per_tile;
    int threads = dl_threads_for(context, (double)work->count * (double)work->row_bytes / 8);
    return dl_parallel(context, tiles, threads, gather_tile, work);
}

static dl_status check_rows(const dl_tensor *from, const dl_tensor *order, int64_t first, int64_t count) {
    if (dl_tensor_dims(from) == 0)
        return dl_fail(DL_SHAPE, "gather_batch: a tensor without dimensions has no rows");
    if (dl_tensor_dtype(order) != DL_INT64 || dl_tensor_dims(order) != 1)
        return dl_fail(DL_DTYPE, "gather_batch: the order must be int64 of one dimension (got %s of %d)",
                       dl_dtype_name(dl_tensor_dtype(order)), dl_tensor_dims(order));
    int64_t length = dl_tensor_numel(order), rows = dl_tensor_shape(from)[0];
    if (first < 0 || count < 0 || first > length || count > length - first)
        return dl_fail(DL_INVALID,
                       "gather_batch: %" PRId64 " entries from place %" PRId64 " on are not in an order of "
                       "%" PRId64,
                       count, first, length);
    int64_t stride = dl_tensor_strides(order)[0];
    const int64_t *at = (const int64_t *)dl_tensor_data(order) + first * stride;
    for (int64_t i = 0; i < count; i++)
        if (at[i * stride] < 1 || at[i * stride] > rows)
            return dl_fail(DL_INVALID,
                           "gather_batch: the order names row %" PRId64 " of %" PRId64 "; rows count from 1",
                           at[i * stride], rows);
    return DL_OK;
}

static dl_status gather_into(dl_tensor *to, dl_tensor *from, dl_tensor *order, int64_t first) {
    dl_status status = DL_OK;
    dl_tensor *rows = dl_tensor_contiguous(from), *places = dl_tensor_contiguous(order);
    if (rows && places) {
        int64_t count = dl_tensor_shape(to)[0];
        gather work = {
            .order = (const int64_t *)dl_tensor_data(places) + first,
            .from = dl_tensor_data(rows),
            .to = dl_tensor_data(to),
            .count = count,
            .row_bytes = count ? dl_tensor_numel(to) / count * (int64_t)dl_dtype_size(dl_tensor_dtype(to)) : 0,
        };
        status = copy_rows(dl_tensor_context(from), &work);
    } else {
        status = dl_last_status();
    }
    dl_release(rows);
    dl_release(places);
    return status;
}

/* `into` if it can take the batch, else a new tensor; a new reference that no scope owns. */
static dl_tensor *batch_tensor(const dl_tensor *from, const int64_t *shape, dl_tensor *into) {
    dl_dtype dtype = dl_tensor_dtype(from);
    int dims = dl_tensor_dims(from);
    if (into && into->dtype == dtype && into->storage != from->storage && dl_tensor_is_contiguous(into) &&
        dl_shape_equal(into->dims, into->shape, dims, shape)) {
        dl_retain(into);
        dl_tensor_bump(into);
        return into;
    }
    return dl_tensor_new(dl_tensor_context(from), dtype, dims, shape);
}

dl_tensor *dl_gather_batch(dl_tensor *from, dl_tensor *order, int64_t first, int64_t count, dl_tensor *into) {
    if (!from || !order || check_rows(from, order, first, count) != DL_OK)
        return NULL;
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, dl_tensor_shape(from), (size_t)dl_tensor_dims(from) * sizeof shape[0]);
    shape[0] = count;
    dl_tensor *to = batch_tensor(from, shape, into);
    if (!to)
        return NULL;
    if (gather_into(to, from, order, first) != DL_OK) {
        dl_release(to);
        return NULL;
    }
    return dl_scope_add(dl_tensor_context(from), to);
}
