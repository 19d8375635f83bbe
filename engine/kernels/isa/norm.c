/* kernels/isa/norm.c: moments over the middle of (outer, n, inner), and batch normalization over rows of channels.
 *
 * n is cut into chunks that the sizes alone decide; the moments of the chunks are merged in order (Chan, Golub, LeVeque
 * 1979), so no sum depends on the number of threads, and a large mean does not spoil a small variance. */
#include "kernels/elementwise.h"
#include "kernels/isa/lanes.h"
#include "kernels/kernels.h"

/* Elements of a chunk, about; columns of a block; rows that sums are carried in the element type. */
#define CHUNK         16384
#define BLOCK_COLUMNS 256
#define SUM_ROWS      64
/* Fewer channels than this are repeated to make long loops. */
#define REPEATED      64

typedef struct moments_call {
    void *mean; /* may be NULL */
    void *variance;
    const void *x;
    bool single;
    int64_t outer, n, inner;
    double divisor;
    int64_t chunk, chunks, blocks;
    double *table; /* [2][outer][chunks][inner]: means, then squares */
} moments_call;

typedef struct variance_call {
    void *dx;
    const void *g, *x, *mean;
    double factor;
    int64_t n, inner;
} variance_call;

typedef struct channels_call {
    void *y; /* or dx */
    const void *x, *scale, *shift;
    const void *g, *mean, *inverse_deviation, *gamma;
    void *dgamma, *dbeta;
    bool single;
    int64_t rows, channels;
    int64_t rows_per_tile, chunks;
    double *table; /* [chunks][2][channels]: sums of g, sums of g (x - mean); the first chunk's become the totals */
} channels_call;

#define SOURCE "kernels/isa/norm_source.h"
#include "kernels/isa/both_reals.h"

/* ---- moments --------------------------------------------------------------------------------------------------- */

static void moments_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const moments_call *c = argument;
    int64_t block = tile % c->blocks, chunk = tile / c->blocks % c->chunks, o = tile / c->blocks / c->chunks;
    int64_t column = block * BLOCK_COLUMNS, columns = DL_MIN(c->inner - column, BLOCK_COLUMNS);
    int64_t first = chunk * c->chunk, n = DL_MIN(c->n - first, c->chunk);
    int64_t at = (o * c->n + first) * c->inner + column;
    double *mean = c->table + (o * c->chunks + chunk) * c->inner + column;
    double *squares = mean + c->outer * c->chunks * c->inner;
    if (c->single)
        moments_f32(c, columns, n, at, mean, squares);
    else
        moments_f64(c, columns, n, at, mean, squares);
}

static void merge_moments_tile(void *argument, int64_t o, int worker) {
    (void)worker;
    const moments_call *c = argument;
    double *mean = c->table + o * c->chunks * c->inner;
    double *squares = mean + c->outer * c->chunks * c->inner;
    for (int64_t chunk = 1; chunk < c->chunks; chunk++) {
        double before = (double)(chunk * c->chunk), more = (double)DL_MIN(c->n - chunk * c->chunk, c->chunk);
        double share = more / (before + more);
        for (int64_t i = 0; i < c->inner; i++) {
            double difference = mean[chunk * c->inner + i] - mean[i];
            mean[i] += difference * share;
            squares[i] += squares[chunk * c->inner + i] + difference * difference * before * share;
        }
    }
    if (c->single)
        moments_finish_f32(c, o * c->inner, c->inner, mean, squares);
    else
        moments_finish_f64(c, o * c->inner, c->inner, mean, squares);
}

static dl_status run_moments(dl_context *context, moments_call *c) {
    if (c->outer == 0 || c->inner == 0)
        return DL_OK;
    c->blocks = (c->inner + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    c->chunk = DL_MAX(SUM_ROWS, CHUNK / DL_MIN(c->inner, BLOCK_COLUMNS));
    c->chunks = DL_MAX(1, (c->n + c->chunk - 1) / c->chunk);
    size_t entries = (size_t)(c->outer * c->chunks * c->inner);
    c->table = dl_alloc_array(context, entries, 2 * sizeof *c->table);
    if (!c->table)
        return DL_MEMORY;
    int threads = dl_threads_for(context, (double)c->outer * (double)c->n * (double)c->inner * 0.3);
    dl_status status = dl_parallel(context, c->outer * c->chunks * c->blocks, threads, moments_tile, c);
    if (status == DL_OK)
        status = dl_parallel(context, c->outer, threads, merge_moments_tile, c);
    dl_free(c->table);
    return status;
}

dl_status DL_KERNEL(variance)(dl_context *context, dl_element element, void *out, void *mean, const void *x,
                              double correction, int64_t outer, int64_t n, int64_t inner) {
    DL_TRY(dl_need_real_element(element, "the variance"));
    moments_call call = {.mean = mean,
                         .variance = out,
                         .x = x,
                         .single = element == DL_ELEMENT_FLOAT32,
                         .outer = outer,
                         .n = n,
                         .inner = inner,
                         .divisor = DL_MAX(0, (double)n - correction)};
    return run_moments(context, &call);
}

dl_status DL_KERNEL(channel_moments)(dl_context *context, dl_element element, void *mean, void *variance, const void *x,
                                     int64_t rows, int64_t channels) {
    return DL_KERNEL(variance)(context, element, variance, mean, x, 0, 1, rows, channels);
}

dl_status DL_KERNEL(variance_backward)(dl_context *context, dl_element element, void *dx, const void *g, const void *x,
                                       const void *mean, double correction, int64_t outer, int64_t n, int64_t inner) {
    DL_TRY(dl_need_real_element(element, "the gradient of the variance"));
    variance_call call = {.dx = dx,
                          .g = g,
                          .x = x,
                          .mean = mean,
                          .factor = 2 / DL_MAX(0, (double)n - correction),
                          .n = n,
                          .inner = inner};
    return dl_columnwise(context, outer, n, inner, 0.3,
                         element == DL_ELEMENT_FLOAT32 ? variance_backward_unit_f32 : variance_backward_unit_f64,
                         &call);
}

/* ---- batch normalization --------------------------------------------------------------------------------------- */

static void cut_rows(channels_call *c) {
    c->rows_per_tile = DL_MAX(SUM_ROWS, CHUNK / c->channels);
    c->chunks = DL_MAX(1, (c->rows + c->rows_per_tile - 1) / c->rows_per_tile);
}

static double work_of(const channels_call *c) {
    return (double)c->rows * (double)c->channels * 0.25;
}

dl_status DL_KERNEL(channel_affine)(dl_context *context, dl_element element, void *y, const void *x, const void *scale,
                                    const void *shift, int64_t rows, int64_t channels) {
    DL_TRY(dl_need_real_element(element, "batch normalization"));
    channels_call call = {.y = y, .x = x, .scale = scale, .shift = shift, .rows = rows, .channels = channels};
    if (rows == 0 || channels == 0)
        return DL_OK;
    cut_rows(&call);
    return dl_parallel(context, call.chunks, dl_threads_for(context, work_of(&call)),
                       element == DL_ELEMENT_FLOAT32 ? affine_tile_f32 : affine_tile_f64, &call);
}

static void sums_tile(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const channels_call *c = argument;
    int64_t first = chunk * c->rows_per_tile, rows = DL_MIN(c->rows - first, c->rows_per_tile);
    for (int64_t column = 0; column < c->channels; column += BLOCK_COLUMNS) {
        int64_t columns = DL_MIN(c->channels - column, BLOCK_COLUMNS);
        double *sums = c->table + 2 * chunk * c->channels + column;
        if (c->single)
            gradient_sums_f32(c, first, rows, column, columns, sums, sums + c->channels);
        else
            gradient_sums_f64(c, first, rows, column, columns, sums, sums + c->channels);
    }
}

/* Adds the chunks' sums, in order, and writes dbeta and dgamma. */
static void total_tile(void *argument, int64_t tile, int worker) {
    (void)tile;
    (void)worker;
    const channels_call *c = argument;
    for (int64_t chunk = 1; chunk < c->chunks; chunk++)
        for (int64_t i = 0; i < 2 * c->channels; i++)
            c->table[i] += c->table[2 * chunk * c->channels + i];
    if (c->single)
        gradient_finish_f32(c, c->table, c->table + c->channels);
    else
        gradient_finish_f64(c, c->table, c->table + c->channels);
}

dl_status DL_KERNEL(batch_norm_backward)(dl_context *context, dl_element element, void *dx, void *dgamma, void *dbeta,
                                         const void *g, const void *x, const void *mean, const void *inverse_deviation,
                                         const void *gamma, int64_t rows, int64_t channels) {
    DL_TRY(dl_need_real_element(element, "batch normalization"));
    channels_call call = {.y = dx,
                          .x = x,
                          .g = g,
                          .mean = mean,
                          .inverse_deviation = inverse_deviation,
                          .gamma = gamma,
                          .dgamma = dgamma,
                          .dbeta = dbeta,
                          .single = element == DL_ELEMENT_FLOAT32,
                          .rows = rows,
                          .channels = channels};
    if (channels == 0)
        return DL_OK;
    cut_rows(&call);
    call.table = dl_alloc_array(context, (size_t)(call.chunks * channels), 2 * sizeof *call.table);
    if (!call.table)
        return DL_MEMORY;
    int threads = dl_threads_for(context, work_of(&call));
    dl_status status = dl_parallel(context, call.chunks, threads, sums_tile, &call);
    if (status == DL_OK)
        status = dl_parallel(context, 1, 1, total_tile, &call);
    if (status == DL_OK && dx && rows > 0)
        status = dl_parallel(context, call.chunks, threads, call.single ? dx_tile_f32 : dx_tile_f64, &call);
    dl_free(call.table);
    return status;
}

dl_status DL_KERNEL(channel_sum)(dl_context *context, dl_element element, void *out, const void *x, int64_t rows,
                                 int64_t channels) {
    DL_TRY(dl_need_real_element(element, "the sum over channels"));
    return DL_KERNEL(reduce)(context, DL_REDUCE_SUM, element, out, x, 1, rows, channels);
}
