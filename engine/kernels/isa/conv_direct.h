/* kernels/isa/conv_direct.h: convolutions as microkernel products, tap by tap, for the element type of gemm_real.h. Any
 * kernel size, stride, dilation and groups.
 *
 * Forward, one row of output pixels: A's rows are the pixels (stride_w C elements apart in the frame), A's columns the
 * channels of one tap after the other (segments), B the weights as they lie:
 *
 *         taps x channels  ->                 filters
 *      +------+------+------+            +----------------+
 *      | r 0  | r 1  | r 2  |  pixel 0   | r 0: (kw C, K) |      With dilation_w 1 the taps of a kernel row lie beside
 *      |      |      |      |  pixel 1   | r 1            |      each other in the frame: one segment of kw C. Else
 *      |      |      |      |  ...       | r 2            |      (or with groups) every tap is a segment of C / groups.
 *      +------+------+------+            +----------------+
 *
 * Weights are copied once a call into panels of whole vectors. What is always true: the sum of an output element is cut
 * into chunks that follow from the kernel's shape alone, each a chain in the order of the weights. */
#ifndef DL_KERNELS_ISA_CONV_DIRECT_H
#define DL_KERNELS_ISA_CONV_DIRECT_H

#include "kernels/isa/conv_image.h"
#include "kernels/isa/gemm_micro.h"

enum {
    CONV_CHUNK = 352,        /* longest chain, as in the matrix product */
    CONV_TILE_WORK = 500000, /* multiply-adds of a tile */
    CONV_TILE_PIXELS = 512,  /* of a tile of the weights' gradient */
    CONV_CHUNKS = 16,        /* of the batch, for the weights' gradient */
    CONV_PARTIALS = 1 << 22  /* elements that their partial sums may take together */
};

/* The sums of one convolution cut into segments and chunks. */
typedef struct conv_taps {
    int64_t group_channels, group_filters;
    int64_t panels;           /* of a group's filters */
    int64_t segments, length; /* of all columns of A */
    int64_t chunk_segments;   /* whole segments in a chunk */
    int64_t pieces;           /* or chunks in a segment */
    int64_t chunks;
    int64_t *offset; /* of each segment in the frame, from a pixel's first tap */
} conv_taps;

static inline int64_t conv_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* The caller frees offset. */
static dl_status conv_taps_of(dl_context *context, const dl_conv2d_sizes *s, int64_t row, conv_taps *t) {
    bool joined = s->dilation_w == 1 && s->groups == 1;
    t->group_channels = s->C / s->groups;
    t->group_filters = s->K / s->groups;
    t->panels = conv_up(t->group_filters, PANEL);
    t->segments = s->kernel_h * (joined ? 1 : s->kernel_w);
    t->length = t->group_channels * (joined ? s->kernel_w : 1);
    t->pieces = conv_up(t->length, CONV_CHUNK);
    t->chunk_segments = DL_MAX(1, CONV_CHUNK / t->length);
    t->chunks = t->pieces > 1 ? t->segments * t->pieces : conv_up(t->segments, t->chunk_segments);
    t->offset = dl_alloc_array(context, (size_t)t->segments, sizeof *t->offset);
    if (!t->offset)
        return DL_MEMORY;
    for (int64_t i = 0; i < t->segments; i++) {
        int64_t r = joined ? i : i / s->kernel_w, column = joined ? 0 : i % s->kernel_w;
        t->offset[i] = r * s->dilation_h * row + column * s->dilation_w * s->C;
    }
    return DL_OK;
}

/* The part of a product that one chunk is, and where its columns of A and rows of B begin. */
static void conv_chunk(const conv_taps *t, int64_t chunk, product *p, int64_t *a_begin, int64_t *b_begin) {
    if (t->pieces > 1) {
        int64_t segment = chunk / t->pieces, piece = chunk % t->pieces;
        *a_begin = t->length * piece / t->pieces;
        *b_begin = segment * t->length + *a_begin;
        p->segments = 1;
        p->a_segment = t->offset + segment;
        p->k = t->length * (piece + 1) / t->pieces - *a_begin;
    } else {
        int64_t first = chunk * t->chunk_segments;
        *a_begin = 0;
        *b_begin = first * t->length;
        p->segments = DL_MIN(t->chunk_segments, t->segments - first);
        p->a_segment = t->offset + first;
        p->k = t->length;
    }
}

/* ---- weights in panels ------------------------------------------------------------------------------------------- */

/* A convolution's weights, (groups, panels, taps * group_channels, PANEL): B of the products. */
static void pack_weights(const dl_conv2d_sizes *s, const conv_taps *t, real *to, const real *weights) {
    int64_t rows = s->kernel_h * s->kernel_w * t->group_channels;
    for (int64_t i = 0; i < s->groups * t->panels; i++) {
        int64_t group = i / t->panels, first = i % t->panels * PANEL;
        pack_rows(to + i * rows * PANEL, PANEL, weights + group * t->group_filters + first, s->K, rows,
                  DL_MIN(PANEL, t->group_filters - first));
    }
}

/* The same for the gradient to the input, whose filters are the channels of weights (kernel_h, kernel_w, C / groups,
 * K): channels and filters exchanged within each tap; flipped, the taps in reverse order. Here s is the gradient's
 * convolution: s->C is K of the weights and s->K is C. */
static void pack_exchanged_weights(const dl_conv2d_sizes *s, const conv_taps *t, real *to, const real *weights,
                                   bool flipped) {
    int64_t taps = s->kernel_h * s->kernel_w, in = t->group_channels, out = t->group_filters;
    for (int64_t i = 0; i < s->groups * t->panels; i++) {
        int64_t group = i / t->panels, first = i % t->panels * PANEL;
        for (int64_t tap = 0; tap < taps; tap++) {
            const real *from = weights + ((flipped ? taps - 1 - tap : tap) * out + first) * s->C + group * in;
            pack_transposed(to + (i * taps + tap) * in * PANEL, PANEL, from, s->C, in, DL_MIN(PANEL, out - first));
        }
    }
}

static int64_t packed_size(const dl_conv2d_sizes *s, const conv_taps *t) {
    return s->groups * t->panels * s->kernel_h * s->kernel_w * t->group_channels * PANEL;
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

typedef struct direct {
    const dl_conv2d_sizes *s;
    conv_taps taps;
    frame f;
    real *y;
    const real *weights; /* in panels */
    const real *bias;    /* may be null */
    bool relu;
    int64_t bands; /* of output rows in an image, each a tile */
    real *room;    /* for the rows of a frame, one for each worker */
    int64_t room_size;
} direct;

/* One band of output rows for one group and panel of filters. x is the band's first row in the frame. */
static void direct_panel(const direct *g, int64_t rows, int64_t group, int64_t first, const real *weights,
                         const real *x, real *y) {
    const dl_conv2d_sizes *s = g->s;
    const conv_taps *t = &g->taps;
    int64_t filter = group * t->group_filters + first;
    int64_t columns = DL_MIN(PANEL, t->group_filters - first);
    product p = {.a_row = s->stride_w * s->C, .a_column = 1, .b_row = PANEL, .c_row = s->K};
    for (int64_t chunk = 0; chunk < t->chunks; chunk++) {
        int64_t a_begin, b_begin;
        bool last = chunk == t->chunks - 1;
        conv_chunk(t, chunk, &p, &a_begin, &b_begin);
        p.accumulate = chunk > 0;
        p.relu = last && g->relu;
        for (int64_t i = 0; i < rows; i++)
            product_columns(&p, s->out_w, columns, x + i * s->stride_h * g->f.row + group * t->group_channels + a_begin,
                            weights + b_begin * PANEL, y + i * s->out_w * s->K + filter,
                            last && g->bias ? g->bias + filter : NULL);
    }
}

static void direct_tile(void *argument, int64_t tile, int worker) {
    const direct *g = argument;
    const dl_conv2d_sizes *s = g->s;
    const conv_taps *t = &g->taps;
    int64_t n = tile / g->bands, band = tile % g->bands;
    int64_t first = s->out_h * band / g->bands, rows = s->out_h * (band + 1) / g->bands - first;
    const real *x = frame_rows(&g->f, g->room + worker * g->room_size, n, first * s->stride_h, rows_reached(s, rows));
    real *y = g->y + (n * s->out_h + first) * s->out_w * s->K;
    int64_t panel_size = s->kernel_h * s->kernel_w * t->group_channels * PANEL;
    for (int64_t i = 0; i < s->groups * t->panels; i++)
        direct_panel(g, rows, i / t->panels, i % t->panels * PANEL, g->weights + i * panel_size, x, y);
}

static double conv_work(const dl_conv2d_sizes *s) {
    return (double)(s->N * s->out_h * s->out_w) * (double)(s->kernel_h * s->kernel_w * (s->C / s->groups) * s->K);
}

/* Plans the bands and takes scratch: offsets, weights (to be packed by the caller into *packed), room. */
static dl_status direct_begin(dl_context *context, direct *g, int threads, real **packed) {
    const dl_conv2d_sizes *s = g->s;
    DL_TRY(conv_taps_of(context, s, g->f.row, &g->taps));
    double bands = conv_work(s) / (double)s->N / CONV_TILE_WORK;
    g->bands = bands < 1 ? 1 : DL_MIN(s->out_h, (int64_t)bands);
    g->room_size = g->f.whole ? 0 : rows_reached(s, conv_up(s->out_h, g->bands)) * g->f.row;
    int64_t size = packed_size(s, &g->taps);
    *packed = dl_alloc_array(context, (size_t)(size + threads * g->room_size), sizeof(real));
    if (!*packed) {
        dl_free(g->taps.offset);
        return DL_MEMORY;
    }
    g->weights = *packed;
    g->room = *packed + size;
    return DL_OK;
}

static dl_status direct_run(dl_context *context, direct *g, int threads, real *packed) {
    dl_status status = dl_parallel(context, g->s->N * g->bands, threads, direct_tile, g);
    dl_free(packed);
    dl_free(g->taps.offset);
    return status;
}

static int conv_threads(const dl_context *context, const dl_conv2d_sizes *s) {
    return dl_threads_for(context, conv_work(s) / (5.0 * LANES));
}

static dl_status direct_forward(dl_context *context, real *y, const real *x, const real *weights, const real *bias,
                                const dl_conv2d_sizes *s, bool relu) {
    direct g = {.s = s, .f = frame_of(s, x, NULL), .y = y, .bias = bias, .relu = relu};
    int threads = conv_threads(context, s);
    real *packed;
    DL_TRY(direct_begin(context, &g, threads, &packed));
    pack_weights(s, &g.taps, packed, weights);
    return direct_run(context, &g, threads, packed);
}

/* ---- gradient to the input -----------------------------------------------------------------------------------------
 * */

/* The convolution that computes the gradient to the input of one with stride 1: over grad_y, taps flipped, channels and
 * filters exchanged. */
static dl_conv2d_sizes exchanged_sizes(const dl_conv2d_sizes *s) {
    dl_conv2d_sizes e = *s;
    e.H = s->out_h;
    e.W = s->out_w;
    e.C = s->K;
    e.out_h = s->H;
    e.out_w = s->W;
    e.K = s->C;
    e.pad_top = (s->kernel_h - 1) * s->dilation_h - s->pad_top;
    e.pad_left = (s->kernel_w - 1) * s->dilation_w - s->pad_left;
    return e;
}

static dl_status direct_backward_input_stride1(dl_context *context, real *grad_x, const real *weights,
                                               const real *grad_y, const real *gate, const dl_conv2d_sizes *s) {
    dl_conv2d_sizes e = exchanged_sizes(s);
    direct g = {.s = &e, .f = frame_of(&e, grad_y, gate), .y = grad_x};
    int threads = conv_threads(context, &e);
    real *packed;
    DL_TRY(direct_begin(context, &g, threads, &packed));
    pack_exchanged_weights(&e, &g.taps, packed, weights, true);
    return direct_run(context, &g, threads, packed);
}

/* With strides: each tap's product is added to the pixels of the frame that the tap read. */
typedef struct spread {
    const dl_conv2d_sizes *s; /* of the forward convolution */
    conv_taps taps;           /* of the exchanged one */
    frame f;                  /* of x, for its shape */
    real *grad_x;
    const real *grad_y, *gate, *weights;
    real *room; /* a frame and a gated row for each worker */
} spread;

static void spread_row(const spread *g, real *to, const real *grad_y) {
    const dl_conv2d_sizes *s = g->s;
    const conv_taps *t = &g->taps;
    int64_t taps = s->kernel_h * s->kernel_w;
    product p = {.segments = 1,
                 .k = t->group_channels,
                 .a_row = s->K,
                 .a_column = 1,
                 .b_row = PANEL,
                 .c_row = s->stride_w * s->C,
                 .accumulate = true};
    for (int64_t i = 0; i < s->groups * t->panels; i++) {
        int64_t group = i / t->panels, first = i % t->panels * PANEL;
        int64_t channel = group * t->group_filters + first;
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t r = tap / s->kernel_w, column = tap % s->kernel_w;
            product_columns(&p, s->out_w, DL_MIN(PANEL, t->group_filters - first), grad_y + group * t->group_channels,
                            g->weights + (i * taps + tap) * t->group_channels * PANEL,
                            to + r * s->dilation_h * g->f.width * s->C + column * s->dilation_w * s->C + channel, NULL);
        }
    }
}

/* grad_x of image n from its frame. */
static void crop_frame(const frame *f, real *grad_x, const real *from, int64_t n) {
    for (int64_t i = 0; i < f->H; i++) {
        real *to = grad_x + (n * f->H + i) * f->W * f->C;
        int64_t row = i + f->pad_top;
        int64_t columns = row < f->height ? DL_MIN(f->W, f->width - f->pad_left) : 0;
        columns = DL_MAX(columns, 0);
        if (columns > 0)
            memcpy(to, from + (row * f->width + f->pad_left) * f->C, (size_t)(columns * f->C) * sizeof(real));
        memset(to + columns * f->C, 0, (size_t)((f->W - columns) * f->C) * sizeof(real));
    }
}

static void spread_image(void *argument, int64_t n, int worker) {
    const spread *g = argument;
    const dl_conv2d_sizes *s = g->s;
    int64_t frame_size = g->f.height * g->f.width * s->C, row_size = s->out_w * s->K;
    real *to = g->room + worker * (frame_size + row_size);
    real *row = to + frame_size;
    memset(to, 0, (size_t)frame_size * sizeof(real));
    for (int64_t i = 0; i < s->out_h; i++) {
        int64_t at = (n * s->out_h + i) * row_size;
        copy_gated(row, g->grad_y + at, g->gate ? g->gate + at : NULL, row_size);
        spread_row(g, to + i * s->stride_h * g->f.width * s->C, row);
    }
    crop_frame(&g->f, g->grad_x, to, n);
}

static dl_status direct_backward_input_strided(dl_context *context, real *grad_x, const real *weights,
                                               const real *grad_y, const real *gate, const dl_conv2d_sizes *s) {
    dl_conv2d_sizes e = exchanged_sizes(s);
    spread g = {.s = s, .f = frame_of(s, NULL, NULL), .grad_x = grad_x, .grad_y = grad_y, .gate = gate};
    DL_TRY(conv_taps_of(context, &e, 0, &g.taps));
    int threads = conv_threads(context, s);
    int64_t size = packed_size(&e, &g.taps);
    int64_t room_size = g.f.height * g.f.width * s->C + s->out_w * s->K;
    dl_status status = DL_MEMORY;
    real *packed = dl_alloc_array(context, (size_t)(size + threads * room_size), sizeof(real));
    if (packed) {
        pack_exchanged_weights(&e, &g.taps, packed, weights, false);
        g.weights = packed;
        g.room = packed + size;
        status = dl_parallel(context, s->N, threads, spread_image, &g);
    }
    dl_free(packed);
    dl_free(g.taps.offset);
    return status;
}

static dl_status direct_backward_input(dl_context *context, real *grad_x, const real *weights, const real *grad_y,
                                       const real *gate, const dl_conv2d_sizes *s) {
    dl_conv2d_sizes e = exchanged_sizes(s);
    bool plain = s->stride_h == 1 && s->stride_w == 1 && e.pad_top >= 0 && e.pad_left >= 0;
    return plain ? direct_backward_input_stride1(context, grad_x, weights, grad_y, gate, s)
                 : direct_backward_input_strided(context, grad_x, weights, grad_y, gate, s);
}

/* ---- gradients to weights and bias ------------------------------------------------------------------------------- */

/* A transposed is the frame (rows: channels of a tap, columns: pixels), B the gated grad_y in panels. The batch is cut
 * into units (bands of images), these into chunks, each of which leaves a partial sum; filters into blocks of panels.
 * */
typedef struct weights_gradient {
    const dl_conv2d_sizes *s;
    conv_taps taps;
    frame f;
    const real *grad_y, *gate;
    int64_t bands, units, chunks, blocks;
    int64_t size;   /* of the weights */
    real *partials; /* (chunks, size + K): weights, then bias */
    real *room;     /* for each worker: rows of a frame, then one panel of grad_y */
    int64_t frame_room, panel_room;
    int64_t *segment; /* where each output row of a band begins in the frame */
} weights_gradient;

/* Pixels `first` .. of grad_y for one panel of filters, gated, into rows of PANEL; adds their sum to bias. */
static void gradient_panel(const weights_gradient *g, real *to, real *bias, int64_t first, int64_t pixels,
                           int64_t filter, int64_t columns) {
    int64_t K = g->s->K;
    if (columns < PANEL)
        memset(to, 0, (size_t)(pixels * PANEL) * sizeof(real));
    for (int64_t i = 0; i < pixels; i++) {
        int64_t at = (first + i) * K + filter;
        copy_gated(to + i * PANEL, g->grad_y + at, g->gate ? g->gate + at : NULL, columns);
        for (int64_t j = 0; j < columns; j++)
            bias[j] += to[i * PANEL + j];
    }
}

/* One panel of filters of one unit: products of every tap (or kernel row, where its taps lie together). */
static void gradient_products(const weights_gradient *g, real *partial, const real *x, const real *panel, int64_t rows,
                              int64_t group, int64_t filter, int64_t columns) {
    const dl_conv2d_sizes *s = g->s;
    const conv_taps *t = &g->taps;
    product p = {.segments = rows,
                 .a_segment = g->segment,
                 .k = s->out_w,
                 .a_row = 1,
                 .a_column = s->stride_w * s->C,
                 .b_row = PANEL,
                 .c_row = s->K,
                 .accumulate = true};
    for (int64_t i = 0; i < t->segments; i++)
        product_columns(&p, t->length, columns, x + t->offset[i] + group * t->group_channels, panel,
                        partial + i * t->length * s->K + filter, NULL);
}

static void gradient_unit(const weights_gradient *g, real *partial, int64_t unit, int64_t block, real *room) {
    const dl_conv2d_sizes *s = g->s;
    const conv_taps *t = &g->taps;
    int64_t n = unit / g->bands, band = unit % g->bands;
    int64_t first = s->out_h * band / g->bands, rows = s->out_h * (band + 1) / g->bands - first;
    int64_t all = s->groups * t->panels;
    const real *x = g->f.x ? frame_rows(&g->f, room, n, first * s->stride_h, rows_reached(s, rows)) : NULL;
    real *panel = room + g->frame_room;
    for (int64_t i = all * block / g->blocks; i < all * (block + 1) / g->blocks; i++) {
        int64_t group = i / t->panels, column = i % t->panels * PANEL;
        int64_t filter = group * t->group_filters + column, columns = DL_MIN(PANEL, t->group_filters - column);
        gradient_panel(g, panel, partial + g->size + filter, (n * s->out_h + first) * s->out_w, rows * s->out_w, filter,
                       columns);
        if (x)
            gradient_products(g, partial, x, panel, rows, group, filter, columns);
    }
}

static void gradient_tile(void *argument, int64_t tile, int worker) {
    const weights_gradient *g = argument;
    int64_t chunk = tile / g->blocks;
    real *partial = g->partials + chunk * (g->size + g->s->K);
    for (int64_t unit = g->units * chunk / g->chunks; unit < g->units * (chunk + 1) / g->chunks; unit++)
        gradient_unit(g, partial, unit, tile % g->blocks, g->room + worker * (g->frame_room + g->panel_room));
}

/* to[i] = the sum of the chunks' partial sums, in order, for i in one of PARTS parts. */
typedef struct partial_sums {
    real *to;
    const real *partials;
    int64_t size, stride, chunks;
} partial_sums;

enum { PARTIAL_PART = 4096 };

static void add_part(void *argument, int64_t part, int worker) {
    const partial_sums *p = argument;
    (void)worker;
    int64_t begin = part * PARTIAL_PART, count = DL_MIN(PARTIAL_PART, p->size - begin);
    memcpy(p->to + begin, p->partials + begin, (size_t)count * sizeof(real));
    for (int64_t chunk = 1; chunk < p->chunks; chunk++)
        for (int64_t i = 0; i < count; i++)
            p->to[begin + i] += p->partials[chunk * p->stride + begin + i];
}

static dl_status add_partial_sums(dl_context *context, real *to, const real *partials, int64_t size, int64_t stride,
                                  int64_t chunks) {
    if (!to)
        return DL_OK;
    partial_sums p = {to, partials, size, stride, chunks};
    int threads = dl_threads_for(context, (double)(size * chunks) / LANES);
    return dl_parallel(context, conv_up(size, PARTIAL_PART), threads, add_part, &p);
}

static void gradient_plan(weights_gradient *g) {
    const dl_conv2d_sizes *s = g->s;
    int64_t band_rows = DL_MIN(s->out_h, DL_MAX(1, CONV_TILE_PIXELS / s->out_w));
    g->bands = conv_up(s->out_h, band_rows);
    g->units = s->N * g->bands;
    g->size = s->kernel_h * s->kernel_w * g->taps.group_channels * s->K;
    g->chunks = DL_MIN(DL_MIN(g->units, CONV_CHUNKS), DL_MAX(2, CONV_PARTIALS / g->size));
    g->blocks = DL_MIN(s->groups * g->taps.panels, conv_up(CONV_CHUNKS, g->chunks));
    band_rows = conv_up(s->out_h, g->bands);
    g->frame_room = g->f.whole ? 0 : rows_reached(s, band_rows) * g->f.row;
    g->panel_room = band_rows * s->out_w * PANEL;
}

/* Scratch of a planned gradient, partial sums zeroed; false without memory. */
static bool gradient_scratch(dl_context *context, weights_gradient *g, int threads) {
    const dl_conv2d_sizes *s = g->s;
    size_t partials = (size_t)(g->chunks * (g->size + s->K));
    size_t rooms = (size_t)(threads * (g->frame_room + g->panel_room));
    g->segment = dl_alloc_array(context, (size_t)s->out_h, sizeof *g->segment);
    g->partials = dl_alloc_array(context, partials + rooms, sizeof(real));
    if (!g->segment || !g->partials)
        return false;
    memset(g->partials, 0, partials * sizeof(real));
    g->room = g->partials + partials;
    for (int64_t i = 0; i < s->out_h; i++)
        g->segment[i] = i * s->stride_h * g->f.row;
    return true;
}

/* grad_weights and grad_bias may be null; x null: no gradient to the weights. */
static dl_status direct_backward_weights(dl_context *context, real *grad_weights, real *grad_bias, const real *x,
                                         const real *grad_y, const real *gate, const dl_conv2d_sizes *s) {
    weights_gradient g = {.s = s, .f = frame_of(s, x, NULL), .grad_y = grad_y, .gate = gate};
    DL_TRY(conv_taps_of(context, s, g.f.row, &g.taps));
    gradient_plan(&g);
    int threads = conv_threads(context, s);
    dl_status status = gradient_scratch(context, &g, threads) ? DL_OK : DL_MEMORY;
    int64_t stride = g.size + s->K;
    if (status == DL_OK)
        status = dl_parallel(context, g.chunks * g.blocks, threads, gradient_tile, &g);
    if (status == DL_OK)
        status = add_partial_sums(context, grad_weights, g.partials, g.size, stride, g.chunks);
    if (status == DL_OK)
        status = add_partial_sums(context, grad_bias, g.partials + g.size, s->K, stride, g.chunks);
    dl_free(g.partials);
    dl_free(g.segment);
    dl_free(g.taps.offset);
    return status;
}

#endif
