/* kernels/isa/conv_depthwise.h: convolutions whose groups have one channel, for the element type of gemm_real.h.
 * Nothing is summed over channels, so filters are lanes and each tap is one multiply-add of a row of filters. A channel
 * with several filters is repeated when its frame is copied, after which filters and channels are the same. */
#ifndef DL_KERNELS_ISA_CONV_DEPTHWISE_H
#define DL_KERNELS_ISA_CONV_DEPTHWISE_H

#include "kernels/isa/conv_direct.h"

typedef struct depthwise {
    const dl_conv2d_sizes *s;
    frame f;
    int64_t times; /* filters of a channel */
    int64_t row;   /* K elements for each cell of a frame's row */
    int64_t bands, units, chunks;
    real *y;
    const real *weights, *bias;
    bool relu;
    const real *grad_y, *gate;
    real *grad_x, *partials;
    real *room;
    int64_t frame_room, expanded_room;
} depthwise;

static depthwise depthwise_of(const dl_conv2d_sizes *s, const real *x, const real *x_gate) {
    depthwise g = {.s = s, .f = frame_of(s, x, x_gate), .times = s->K / s->C};
    g.row = g.f.row * g.times;
    int64_t band_rows = DL_MIN(s->out_h, DL_MAX(1, 4 * CONV_TILE_PIXELS / s->out_w));
    g.bands = conv_up(s->out_h, band_rows);
    g.units = s->N * g.bands;
    int64_t rows = rows_reached(s, conv_up(s->out_h, g.bands));
    g.frame_room = g.f.whole ? 0 : rows * g.f.row;
    g.expanded_room = g.times > 1 ? rows * g.row : 0;
    return g;
}

/* The rows of a frame with each channel repeated for its filters. */
static const real *depthwise_rows(const depthwise *g, real *room, int64_t n, int64_t first_row, int64_t rows) {
    const real *x = frame_rows(&g->f, room, n, first_row, rows);
    if (g->times == 1)
        return x;
    real *to = room + g->frame_room;
    for (int64_t i = 0; i < rows * g->f.row; i++)
        for (int64_t j = 0; j < g->times; j++)
            to[i * g->times + j] = x[i];
    return to;
}

/* to += a * b */
static void multiply_add(real *restrict to, const real *restrict a, const real *restrict b, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        to[i] += a[i] * b[i];
}

/* Where tap (r, t) of output pixel q of output row i lies in the (expanded) frame. */
static inline int64_t depthwise_at(const depthwise *g, int64_t i, int64_t q, int64_t r, int64_t t) {
    const dl_conv2d_sizes *s = g->s;
    return (i * s->stride_h + r * s->dilation_h) * g->row + (q * s->stride_w + t * s->dilation_w) * s->K;
}

/* depthwise_NV: NV vectors of filters of one output pixel, from k on; x is its first tap. */
#define DEPTHWISE(NV)                                                                                                  \
    static void depthwise_##NV(const depthwise *g, real *y, const real *x, int64_t k) {                                \
        const dl_conv2d_sizes *s = g->s;                                                                               \
        const int64_t K = s->K, row = s->dilation_h * g->row, column = s->dilation_w * K;                              \
        const real *w = g->weights + k;                                                                                \
        vector sum[NV] = {{0}};                                                                                        \
        for (int64_t r = 0; r < s->kernel_h; r++) {                                                                    \
            const real *at = x + r * row + k;                                                                          \
            for (int64_t t = 0; t < s->kernel_w; t++, at += column, w += K) {                                          \
                DL_UNROLL(4) for (int j = 0; j < NV; j++) {                                                            \
                    sum[j] += TYPED(dl_load)(at + j * LANES) * TYPED(dl_load)(w + j * LANES);                          \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        DL_UNROLL(4) for (int j = 0; j < NV; j++) {                                                                    \
            vector v = g->bias ? sum[j] + TYPED(dl_load)(g->bias + k + j * LANES) : sum[j];                            \
            TYPED(dl_store)(y + k + j * LANES, g->relu ? relu_vector(v) : v);                                          \
        }                                                                                                              \
    }
DEPTHWISE(1)
DEPTHWISE(4)

/* One filter of one output pixel, where no whole vector is left. */
static void depthwise_filter(const depthwise *g, real *y, const real *x, int64_t k) {
    const dl_conv2d_sizes *s = g->s;
    real sum = 0;
    for (int64_t tap = 0; tap < s->kernel_h * s->kernel_w; tap++)
        sum += x[depthwise_at(g, 0, 0, tap / s->kernel_w, tap % s->kernel_w) + k] * g->weights[tap * s->K + k];
    sum = g->bias ? sum + g->bias[k] : sum;
    y[k] = g->relu && sum < 0 ? 0 : sum;
}

static void depthwise_pixel(const depthwise *g, real *y, const real *x) {
    int64_t K = g->s->K, k = 0;
    for (; k + 4 * LANES <= K; k += 4 * LANES)
        depthwise_4(g, y, x, k);
    for (; k + LANES <= K; k += LANES)
        depthwise_1(g, y, x, k);
    for (; k < K; k++)
        depthwise_filter(g, y, x, k);
}

static void depthwise_tile(void *argument, int64_t unit, int worker) {
    const depthwise *g = argument;
    const dl_conv2d_sizes *s = g->s;
    int64_t n = unit / g->bands, band = unit % g->bands;
    int64_t first = s->out_h * band / g->bands, rows = s->out_h * (band + 1) / g->bands - first;
    real *room = g->room + worker * (g->frame_room + g->expanded_room);
    const real *x = depthwise_rows(g, room, n, first * s->stride_h, rows_reached(s, rows));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t q = 0; q < s->out_w; q++)
            depthwise_pixel(g, g->y + ((n * s->out_h + first + i) * s->out_w + q) * s->K,
                            x + depthwise_at(g, i, q, 0, 0));
}

static int depthwise_threads(const dl_context *context, const dl_conv2d_sizes *s) {
    return dl_threads_for(context, conv_work(s) / LANES);
}

static dl_status depthwise_run(dl_context *context, depthwise *g) {
    int threads = depthwise_threads(context, g->s);
    g->room = dl_alloc_array(context, (size_t)(threads * (g->frame_room + g->expanded_room)), sizeof(real));
    if (!g->room)
        return DL_MEMORY;
    dl_status status = dl_parallel(context, g->units, threads, depthwise_tile, g);
    dl_free(g->room);
    return status;
}

static dl_status depthwise_forward(dl_context *context, real *y, const real *x, const real *weights, const real *bias,
                                   const dl_conv2d_sizes *s, bool relu) {
    depthwise g = depthwise_of(s, x, NULL);
    g.y = y;
    g.weights = weights;
    g.bias = bias;
    g.relu = relu;
    return depthwise_run(context, &g);
}

/* ---- gradient to the input -----------------------------------------------------------------------------------------
 * */

/* With stride 1 and one filter for each channel: the same convolution over grad_y, taps flipped. */
static dl_status depthwise_flipped(dl_context *context, real *grad_x, const real *weights, const real *grad_y,
                                   const real *gate, const dl_conv2d_sizes *e) {
    int64_t taps = e->kernel_h * e->kernel_w;
    depthwise g = depthwise_of(e, grad_y, gate);
    real *flipped = dl_alloc_array(context, (size_t)(taps * e->K), sizeof(real));
    if (!flipped)
        return DL_MEMORY;
    for (int64_t tap = 0; tap < taps; tap++)
        memcpy(flipped + tap * e->K, weights + (taps - 1 - tap) * e->K, (size_t)e->K * sizeof(real));
    g.y = grad_x;
    g.weights = flipped;
    dl_status status = depthwise_run(context, &g);
    dl_free(flipped);
    return status;
}

/* With one filter for each channel: a cell gathers from the outputs that read it. Where a row (or column) of cells is
 * read is listed once: taps[at * kernel + j] of the outputs places[at * kernel + j], for j below counts[at]. */
typedef struct readers {
    int64_t kernel;
    int64_t *counts, *taps, *places;
} readers;

static int64_t readers_size(int64_t cells, int64_t kernel) {
    return cells * (1 + 2 * kernel);
}

static readers readers_of(int64_t *room, int64_t cells, int64_t kernel, int64_t pad, int64_t stride, int64_t dilation,
                          int64_t outputs) {
    readers r = {kernel, room, room + cells, room + cells * (1 + kernel)};
    for (int64_t cell = 0; cell < cells; cell++) {
        r.counts[cell] = 0;
        for (int64_t tap = 0; tap < kernel; tap++) {
            int64_t from = cell + pad - tap * dilation;
            if (from < 0 || from % stride != 0 || from / stride >= outputs)
                continue;
            int64_t at = cell * kernel + r.counts[cell]++;
            r.taps[at] = tap;
            r.places[at] = from / stride;
        }
    }
    return r;
}

typedef struct gathering {
    const depthwise *g;
    readers rows, columns;
} gathering;

/* gather_NV: NV vectors of channels of cell (h, w) of image n, from channel k on. */
#define GATHER(NV)                                                                                                     \
    static void gather_##NV(const gathering *of, real *to, int64_t n, int64_t h, int64_t w, int64_t k) {               \
        const depthwise *g = of->g;                                                                                    \
        const dl_conv2d_sizes *s = g->s;                                                                               \
        const readers *rows = &of->rows, *columns = &of->columns;                                                      \
        vector sum[NV] = {{0}};                                                                                        \
        for (int64_t i = h * rows->kernel; i < h * rows->kernel + rows->counts[h]; i++) {                              \
            int64_t row = (n * s->out_h + rows->places[i]) * s->out_w, tap = rows->taps[i] * s->kernel_w;              \
            for (int64_t j = w * columns->kernel; j < w * columns->kernel + columns->counts[w]; j++) {                 \
                int64_t at = (row + columns->places[j]) * s->K + k;                                                    \
                const real *weights = g->weights + (tap + columns->taps[j]) * s->K + k;                                \
                DL_UNROLL(4) for (int v = 0; v < NV; v++) {                                                            \
                    vector grad = TYPED(dl_load)(g->grad_y + at + v * LANES);                                          \
                    if (g->gate)                                                                                       \
                        grad = TYPED(dl_select)(TYPED(dl_load)(g->gate + at + v * LANES) > 0, grad, (vector){0});      \
                    sum[v] += grad * TYPED(dl_load)(weights + v * LANES);                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        DL_UNROLL(4) for (int v = 0; v < NV; v++) TYPED(dl_store)(to + v * LANES, sum[v]);                             \
    }
GATHER(1)
GATHER(4)

/* One channel, where no whole vector is left. */
static real gather_channel(const gathering *of, int64_t n, int64_t h, int64_t w, int64_t k) {
    const depthwise *g = of->g;
    const dl_conv2d_sizes *s = g->s;
    real sum = 0;
    for (int64_t i = h * of->rows.kernel; i < h * of->rows.kernel + of->rows.counts[h]; i++)
        for (int64_t j = w * of->columns.kernel; j < w * of->columns.kernel + of->columns.counts[w]; j++) {
            int64_t at = ((n * s->out_h + of->rows.places[i]) * s->out_w + of->columns.places[j]) * s->K + k;
            int64_t tap = of->rows.taps[i] * s->kernel_w + of->columns.taps[j];
            if (!g->gate || g->gate[at] > 0)
                sum += g->grad_y[at] * g->weights[tap * s->K + k];
        }
    return sum;
}

/* One row of cells of one image. */
static void gather_tile(void *argument, int64_t unit, int worker) {
    (void)worker;
    const gathering *of = argument;
    const dl_conv2d_sizes *s = of->g->s;
    int64_t n = unit / s->H, h = unit % s->H;
    for (int64_t w = 0; w < s->W; w++) {
        real *to = of->g->grad_x + (unit * s->W + w) * s->K;
        int64_t k = 0;
        for (; k + 4 * LANES <= s->K; k += 4 * LANES)
            gather_4(of, to + k, n, h, w, k);
        for (; k + LANES <= s->K; k += LANES)
            gather_1(of, to + k, n, h, w, k);
        for (; k < s->K; k++)
            to[k] = gather_channel(of, n, h, w, k);
    }
}

static dl_status depthwise_gather(dl_context *context, const depthwise *g) {
    const dl_conv2d_sizes *s = g->s;
    int64_t rows_size = readers_size(s->H, s->kernel_h), size = rows_size + readers_size(s->W, s->kernel_w);
    int64_t *room = dl_alloc_array(context, (size_t)size, sizeof *room);
    if (!room)
        return DL_MEMORY;
    gathering of = {
        .g = g,
        .rows = readers_of(room, s->H, s->kernel_h, s->pad_top, s->stride_h, s->dilation_h, s->out_h),
        .columns = readers_of(room + rows_size, s->W, s->kernel_w, s->pad_left, s->stride_w, s->dilation_w, s->out_w)};
    dl_status status = dl_parallel(context, s->N * s->H, depthwise_threads(context, s), gather_tile, &of);
    dl_free(room);
    return status;
}

/* Else every output is spread over the cells that it read; grad_x (H, W, C) of one image from the expanded frame. */
static void depthwise_crop(const depthwise *g, const real *from, int64_t n) {
    const frame *f = &g->f;
    for (int64_t cell = 0; cell < f->H * f->W; cell++) {
        int64_t row = cell / f->W + f->pad_top, column = cell % f->W + f->pad_left;
        bool reached = row < f->height && column < f->width;
        for (int64_t c = 0; c < f->C; c++) {
            real sum = 0;
            for (int64_t j = 0; j < g->times && reached; j++)
                sum += from[(row * f->width + column) * g->s->K + c * g->times + j];
            g->grad_x[(n * f->H * f->W + cell) * f->C + c] = sum;
        }
    }
}

static void depthwise_spread(void *argument, int64_t n, int worker) {
    const depthwise *g = argument;
    const dl_conv2d_sizes *s = g->s;
    int64_t size = g->f.height * g->f.width * s->K;
    real *to = g->room + worker * (size + s->K), *gated = to + size;
    memset(to, 0, (size_t)size * sizeof(real));
    for (int64_t pixel = 0; pixel < s->out_h * s->out_w; pixel++) {
        int64_t at = (n * s->out_h * s->out_w + pixel) * s->K;
        copy_gated(gated, g->grad_y + at, g->gate ? g->gate + at : NULL, s->K);
        for (int64_t tap = 0; tap < s->kernel_h * s->kernel_w; tap++) {
            int64_t cell = depthwise_at(g, pixel / s->out_w, pixel % s->out_w, tap / s->kernel_w, tap % s->kernel_w);
            multiply_add(to + cell, gated, g->weights + tap * s->K, s->K);
        }
    }
    depthwise_crop(g, to, n);
}

static dl_status depthwise_backward_input(dl_context *context, real *grad_x, const real *weights, const real *grad_y,
                                          const real *gate, const dl_conv2d_sizes *s) {
    dl_conv2d_sizes e = exchanged_sizes(s);
    if (s->stride_h == 1 && s->stride_w == 1 && s->K == s->C && e.pad_top >= 0 && e.pad_left >= 0)
        return depthwise_flipped(context, grad_x, weights, grad_y, gate, &e);
    depthwise g = depthwise_of(s, NULL, NULL);
    g.row = g.f.width * s->K;
    g.grad_x = grad_x;
    g.weights = weights;
    g.grad_y = grad_y;
    g.gate = gate;
    if (g.times == 1)
        return depthwise_gather(context, &g);
    int threads = depthwise_threads(context, s);
    int64_t size = g.f.height * g.f.width * s->K + s->K;
    g.room = dl_alloc_array(context, (size_t)(threads * size), sizeof(real));
    if (!g.room)
        return DL_MEMORY;
    dl_status status = dl_parallel(context, s->N, threads, depthwise_spread, &g);
    dl_free(g.room);
    return status;
}

/* ---- gradients to weights and bias ------------------------------------------------------------------------------- */

static void depthwise_gradient_unit(const depthwise *g, real *partial, int64_t unit, real *room) {
    const dl_conv2d_sizes *s = g->s;
    int64_t taps = s->kernel_h * s->kernel_w;
    int64_t n = unit / g->bands, band = unit % g->bands;
    int64_t first = s->out_h * band / g->bands, rows = s->out_h * (band + 1) / g->bands - first;
    const real *x = g->f.x ? depthwise_rows(g, room, n, first * s->stride_h, rows_reached(s, rows)) : NULL;
    real *gated = room + g->frame_room + g->expanded_room;
    for (int64_t pixel = 0; pixel < rows * s->out_w; pixel++) {
        int64_t at = ((n * s->out_h + first) * s->out_w + pixel) * s->K;
        copy_gated(gated, g->grad_y + at, g->gate ? g->gate + at : NULL, s->K);
        for (int64_t k = 0; k < s->K; k++)
            partial[taps * s->K + k] += gated[k];
        for (int64_t tap = 0; tap < taps && x; tap++) {
            int64_t cell = depthwise_at(g, pixel / s->out_w, pixel % s->out_w, tap / s->kernel_w, tap % s->kernel_w);
            multiply_add(partial + tap * s->K, gated, x + cell, s->K);
        }
    }
}

static void depthwise_gradient_tile(void *argument, int64_t chunk, int worker) {
    const depthwise *g = argument;
    const dl_conv2d_sizes *s = g->s;
    int64_t size = (s->kernel_h * s->kernel_w + 1) * s->K;
    for (int64_t unit = g->units * chunk / g->chunks; unit < g->units * (chunk + 1) / g->chunks; unit++)
        depthwise_gradient_unit(g, g->partials + chunk * size, unit,
                                g->room + worker * (g->frame_room + g->expanded_room + s->K));
}

static dl_status depthwise_backward_weights(dl_context *context, real *grad_weights, real *grad_bias, const real *x,
                                            const real *grad_y, const real *gate, const dl_conv2d_sizes *s) {
    depthwise g = depthwise_of(s, x, NULL);
    g.grad_y = grad_y;
    g.gate = gate;
    g.chunks = DL_MIN(g.units, CONV_CHUNKS);
    int threads = depthwise_threads(context, s);
    int64_t size = s->kernel_h * s->kernel_w * s->K, stride = size + s->K;
    int64_t rooms = threads * (g.frame_room + g.expanded_room + s->K);
    g.partials = dl_alloc_array(context, (size_t)(g.chunks * stride + rooms), sizeof(real));
    if (!g.partials)
        return DL_MEMORY;
    memset(g.partials, 0, (size_t)(g.chunks * stride) * sizeof(real));
    g.room = g.partials + g.chunks * stride;
    dl_status status = dl_parallel(context, g.chunks, threads, depthwise_gradient_tile, &g);
    if (status == DL_OK)
        status = add_partial_sums(context, grad_weights, g.partials, size, stride, g.chunks);
    if (status == DL_OK)
        status = add_partial_sums(context, grad_bias, g.partials + size, s->K, stride, g.chunks);
    dl_free(g.partials);
    return status;
}

#endif
