/* kernels/isa/row_norm.c: normalization of each row by its own statistics: layer normalization (Ba, Kiros and Hinton
 * 2016) and root-mean-square normalization (Zhang and Sennrich 2019).
 *
 * A row is passed over several times while it lies in the first-level cache. Sums over the rows (gradients of weight
 * and bias) run within CHUNKS chunks of rows and then over the chunks in order, so nothing depends on the number of
 * threads, and a row's results on that row alone. */
#include "kernels/elementwise.h"
#include "kernels/isa/lanes.h"
#include "kernels/kernels.h"

/* Elements of a parallel tile, about; chunks of rows at most; rows that sums are carried in the element type. */
#define TILE     16384
#define CHUNKS   16
#define SUM_ROWS 64

typedef struct row_norm_call {
    void *out; /* y or dx; dx may be NULL */
    void *mean, *inverse;
    const void *x, *g, *weight, *bias;
    void *dweight, *dbias;
    double epsilon;
    int64_t rows, n;
    int64_t rows_per_tile, chunks;
    double *sums;   /* [chunks][2][n]: of g xhat, of g */
    void *partials; /* [chunks][3][n] of the element type: sums of the last rows, and one row of scratch */
    bool single;
} row_norm_call;

#define SOURCE "kernels/isa/row_norm_source.h"
#include "kernels/isa/both_reals.h"

dl_status DL_KERNEL(row_norm)(dl_context *context, dl_element element, void *y, void *mean, void *inverse,
                              const void *x, const void *weight, const void *bias, double epsilon, int64_t rows,
                              int64_t n) {
    DL_TRY(dl_need_real_element(element, "normalization of rows"));
    row_norm_call call = {.out = y,
                          .mean = mean,
                          .inverse = inverse,
                          .x = x,
                          .weight = weight,
                          .bias = bias,
                          .epsilon = epsilon,
                          .rows = rows,
                          .n = n};
    if (rows == 0 || n == 0)
        return DL_OK;
    call.rows_per_tile = DL_MAX(1, TILE / n);
    int64_t tiles = (rows + call.rows_per_tile - 1) / call.rows_per_tile;
    return dl_parallel(context, tiles, dl_threads_for(context, (double)rows * (double)n * 0.3),
                       element == DL_ELEMENT_FLOAT32 ? forward_tile_f32 : forward_tile_f64, &call);
}

/* Where chunk i of the rows begins; chunk `chunks` begins at the end. */
static int64_t chunk_begin(const row_norm_call *call, int64_t i) {
    return call->rows * i / call->chunks;
}

static void backward_tile(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const row_norm_call *call = argument;
    double *sums = call->sums + 2 * chunk * call->n;
    for (int64_t i = 0; i < 2 * call->n; i++)
        sums[i] = 0;
    int64_t end = chunk_begin(call, chunk + 1);
    for (int64_t row = chunk_begin(call, chunk); row < end; row += SUM_ROWS) {
        if (call->single)
            backward_rows_f32(call, chunk, row, DL_MIN(end, row + SUM_ROWS));
        else
            backward_rows_f64(call, chunk, row, DL_MIN(end, row + SUM_ROWS));
    }
}

static void total_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const row_norm_call *call = argument;
    int64_t first = tile * TILE, last = DL_MIN(call->n, first + TILE);
    for (int64_t chunk = 1; chunk < call->chunks; chunk++)
        for (int which = 0; which < 2; which++)
            for (int64_t i = first; i < last; i++)
                call->sums[which * call->n + i] += call->sums[(2 * chunk + which) * call->n + i];
    if (call->single)
        backward_finish_f32(call, first, last);
    else
        backward_finish_f64(call, first, last);
}

dl_status DL_KERNEL(row_norm_backward)(dl_context *context, dl_element element, void *dx, void *dweight, void *dbias,
                                       const void *g, const void *x, const void *mean, const void *inverse,
                                       const void *weight, int64_t rows, int64_t n) {
    DL_TRY(dl_need_real_element(element, "normalization of rows"));
    row_norm_call call = {.out = dx,
                          .dweight = dweight,
                          .dbias = dbias,
                          .g = g,
                          .x = x,
                          .mean = (void *)mean,
                          .inverse = (void *)inverse,
                          .weight = weight,
                          .rows = rows,
                          .n = n,
                          .chunks = DL_MAX(1, DL_MIN(rows, CHUNKS)),
                          .single = element == DL_ELEMENT_FLOAT32};
    if (n == 0)
        return DL_OK;
    size_t size = (size_t)dl_element_size(element);
    call.sums = dl_alloc_array(context, (size_t)(call.chunks * n), 2 * sizeof *call.sums + 3 * size);
    if (!call.sums)
        return DL_MEMORY;
    call.partials = call.sums + 2 * call.chunks * n;
    int threads = dl_threads_for(context, (double)rows * (double)n * 0.8);
    dl_status status = dl_parallel(context, call.chunks, threads, backward_tile, &call);
    if (status == DL_OK && (dweight || dbias))
        status = dl_parallel(context, (n + TILE - 1) / TILE, 1, total_tile, &call);
    dl_free(call.sums);
    return status;
}
