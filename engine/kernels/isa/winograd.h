/* kernels/isa/winograd.h: 3x3 convolutions with stride 1 by Winograd's minimal filtering, for the element type of
 * gemm_real.h: Lavin and Gray 2015, "Fast algorithms for convolutional neural networks", F(4x4,3x3) and F(2x2,3x3).
 *
 *      y = A' [ (G w G') . (B' x B) ] A         for a tile of m x m outputs, which reads (m + 2) x (m + 2) inputs
 *
 * With m = 4, 36 multiplications take the place of 144; with m = 2, 16 that of 36. A block of tiles is one unit of work
 * and stays in the caches:
 *
 *      V[q][tile][C]  = B' x B         U[q][panel][C][PANEL] = G w G', once a call
 *      M[q][tile][PANEL] = V[q] U[q]   one product for each of the (m + 2)^2 points q
 *      y = A' M A, bias and relu       written straight to the pixels
 *
 * The gradient to the input is the same convolution with the taps flipped and channels and filters exchanged. That to
 * the weights: dM = A dy A', dU[q] += V[q]' dM[q], dw = G' dU G. Tiles at the border read zeros outside and write what
 * lies inside. Channels and filters are lanes. What is always true: the bits of a tile depend on its own pixels and the
 * weights alone. */
#ifndef DL_KERNELS_ISA_WINOGRAD_H
#define DL_KERNELS_ISA_WINOGRAD_H

#include "kernels/isa/conv_direct.h"

enum {
    MAX_POINTS = 36,
    PLANE_PAD = 16,        /* elements between planes: a stride of 4096 bytes would hit one set of the L1 cache */
    FORWARD_TILES = 16,    /* in a block of F(4x4) */
    WIDE_TILES = 32,       /* where U is large, and so worth using more often; and of the weights' gradient */
    LARGE_WEIGHTS = 65536, /* C K from which on it is */
    WINOGRAD_CHUNKS = 8    /* of the blocks, for the weights' gradient */
};

#define INLINE static inline __attribute__((always_inline))

/* ---- the transforms of one row or column; m is a constant after inlining --------------------------------------------
 * */

/* B' d */
INLINE void input_row(int m, const vector *d, vector *v, int step) {
    if (m == 2) {
        v[0] = d[0] - d[2 * step];
        v[step] = d[step] + d[2 * step];
        v[2 * step] = d[2 * step] - d[step];
        v[3 * step] = d[step] - d[3 * step];
        return;
    }
    vector d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    vector even = d4 - 4 * d2, odd = d3 - 4 * d1;
    vector even2 = d4 - d2, odd2 = 2 * (d3 - d1);
    v[0] = 4 * d0 - 5 * d2 + d4;
    v[step] = even + odd;
    v[2 * step] = even - odd;
    v[3 * step] = even2 + odd2;
    v[4 * step] = even2 - odd2;
    v[5 * step] = 4 * d1 - 5 * d3 + d5;
}

/* A' s */
INLINE void output_row(int m, const vector *s, vector *y, int step) {
    vector sum = s[step] + s[2 * step], difference = s[step] - s[2 * step];
    if (m == 2) {
        y[0] = s[0] + sum;
        y[step] = difference - s[3 * step];
        return;
    }
    vector sum2 = s[3 * step] + s[4 * step], difference2 = s[3 * step] - s[4 * step];
    y[0] = s[0] + sum + sum2;
    y[step] = difference + 2 * difference2;
    y[2 * step] = sum + 4 * sum2;
    y[3 * step] = difference + 8 * difference2 + s[5 * step];
}

/* A g */
INLINE void gradient_row(int m, const vector *g, vector *s, int step) {
    vector g0 = g[0], g1 = g[step];
    if (m == 2) {
        s[0] = g0;
        s[step] = g0 + g1;
        s[2 * step] = g0 - g1;
        s[3 * step] = -g1;
        return;
    }
    vector g2 = g[2 * step], g3 = g[3 * step];
    vector even = g0 + g2, odd = g1 + g3, even2 = g0 + 4 * g2, odd2 = 2 * g1 + 8 * g3;
    s[0] = g0;
    s[step] = even + odd;
    s[2 * step] = even - odd;
    s[3 * step] = even2 + odd2;
    s[4 * step] = even2 - odd2;
    s[5 * step] = g3;
}

/* G w */
INLINE void weight_row(int m, const vector *w, vector *u, int step) {
    vector w0 = w[0], w1 = w[step], w2 = w[2 * step];
    if (m == 2) {
        vector ends = w0 + w2;
        u[0] = w0;
        u[step] = (ends + w1) * (real)0.5;
        u[2 * step] = (ends - w1) * (real)0.5;
        u[3 * step] = w2;
        return;
    }
    const real sixth = (real)1 / 6, twelfth = (real)1 / 12, part = (real)1 / 24;
    vector ends = w0 + w2, wide = w0 * part + w2 * sixth;
    u[0] = w0 * (real)0.25;
    u[step] = (ends + w1) * -sixth;
    u[2 * step] = (ends - w1) * -sixth;
    u[3 * step] = wide + w1 * twelfth;
    u[4 * step] = wide - w1 * twelfth;
    u[5 * step] = w2;
}

/* G' u */
INLINE void weight_gradient_row(int m, const vector *u, vector *w, int step) {
    vector sum = u[step] + u[2 * step], difference = u[step] - u[2 * step];
    if (m == 2) {
        w[0] = u[0] + sum * (real)0.5;
        w[step] = difference * (real)0.5;
        w[2 * step] = sum * (real)0.5 + u[3 * step];
        return;
    }
    const real sixth = (real)1 / 6, twelfth = (real)1 / 12, part = (real)1 / 24;
    vector sum2 = u[3 * step] + u[4 * step], difference2 = u[3 * step] - u[4 * step];
    w[0] = u[0] * (real)0.25 - sum * sixth + sum2 * part;
    w[step] = difference2 * twelfth - difference * sixth;
    w[2 * step] = sum2 * sixth - sum * sixth + u[5 * step];
}

/* A square of `from` x `from` vectors through a transform of its columns, then of its rows; squares are 6 wide. */
#define TRANSFORM(row_transform, m, from, to, square)                                                                  \
    do {                                                                                                               \
        vector between[MAX_POINTS];                                                                                    \
        DL_UNROLL(6) for (int column = 0; column < (from); column++) {                                                 \
            row_transform(m, (square) + column, between + column, 6);                                                  \
        }                                                                                                              \
        DL_UNROLL(6) for (int row = 0; row < (to); row++) {                                                            \
            row_transform(m, between + row * 6, (square) + row * 6, 1);                                                \
        }                                                                                                              \
    } while (0)

/* ---- one convolution ----------------------------------------------------------------------------------------------
 * */

typedef struct winograd {
    const dl_conv2d_sizes *s;
    int m, points;
    int64_t tiles_h, tiles_w, tiles; /* in an image's height and width, in the batch */
    int64_t block, blocks;           /* tiles in a unit of work, units */
    int64_t channels, filters;       /* C and K rounded up to whole vectors */
    int64_t panels;
    const real *x, *x_gate; /* x_gate: pixels of x where it is not positive read as zero; may be null */
    real *y;
    const real *bias; /* may be null */
    bool relu;
    const real *padded;        /* weights (9, C, filters), zero from K on */
    real *u;                   /* (points, panels, C, PANEL) */
    const real *grad_y, *gate; /* for the weights' gradient */
    real *partials;            /* (chunks, points, C, filters), then (chunks, filters) for the bias */
    int64_t chunks;
    real *grad_weights;
    real *room; /* of each worker */
    int64_t room_size;
} winograd;

static winograd winograd_of(const dl_conv2d_sizes *s, int m) {
    winograd g = {.s = s, .m = m, .points = (m + 2) * (m + 2)};
    g.tiles_h = conv_up(s->out_h, m);
    g.tiles_w = conv_up(s->out_w, m);
    g.tiles = s->N * g.tiles_h * g.tiles_w;
    g.block = m == 2 ? 4 * FORWARD_TILES : s->C * s->K < LARGE_WEIGHTS ? FORWARD_TILES : WIDE_TILES;
    g.blocks = conv_up(g.tiles, g.block);
    g.channels = conv_up(s->C, LANES) * LANES;
    g.filters = conv_up(s->K, LANES) * LANES;
    g.panels = conv_up(s->K, PANEL);
    return g;
}

/* The place of a tile: its image and its first output pixel. */
typedef struct tile_place {
    int64_t n, row, column;
} tile_place;

static tile_place place_of(const winograd *g, int64_t tile) {
    int64_t in_image = tile % (g->tiles_h * g->tiles_w);
    tile_place p = {tile / (g->tiles_h * g->tiles_w), in_image / g->tiles_w * g->m, in_image % g->tiles_w * g->m};
    return p;
}

/* A square of pixels of an array of images (N, H, W, C), for one vector of channels: zero outside the image, and where
 * gate is not positive. */
typedef struct pixels {
    const real *from, *gate;
    int64_t H, W, C;
} pixels;

INLINE vector load_pixel(const pixels *p, int64_t place, int64_t there) {
    if (there >= LANES) {
        vector v = TYPED(dl_load)(p->from + place);
        return p->gate ? (vector)((TYPED(dl_load)(p->gate + place) > (vector){0}) & (mask_vector)v) : v;
    }
    real part[LANES] = {0};
    for (int64_t l = 0; l < there; l++)
        part[l] = p->gate && !(p->gate[place + l] > 0) ? 0 : p->from[place + l];
    return TYPED(dl_load)(part);
}

/* Column j of the square. */
INLINE void load_column(const pixels *p, const tile_place *at, int64_t channel, int side, int j, vector *square) {
    int64_t there = DL_MIN(LANES, p->C - channel), row_step = p->W * p->C;
    int64_t column = at->column + j;
    int64_t place = ((at->n * p->H + at->row) * p->W + column) * p->C + channel;
    if (there == LANES && !p->gate && at->row >= 0 && at->row + side <= p->H && column >= 0 && column < p->W) {
        DL_UNROLL(6) for (int i = 0; i < side; i++) {
            square[i * 6 + j] = TYPED(dl_load)(p->from + place + i * row_step);
        }
        return;
    }
    DL_UNROLL(6) for (int i = 0; i < side; i++) {
        int64_t row = at->row + i;
        bool inside = row >= 0 && row < p->H && column >= 0 && column < p->W;
        square[i * 6 + j] = inside ? load_pixel(p, place + i * row_step, there) : (vector){0};
    }
}

/* V of one tile: point q's row is v + q * plane. */
INLINE void input_tile(const winograd *g, int m, int64_t tile, real *v, int64_t plane) {
    pixels from = {g->x, g->x_gate, g->s->H, g->s->W, g->s->C};
    tile_place at = place_of(g, tile);
    at.row -= g->s->pad_top;
    at.column -= g->s->pad_left;
    for (int64_t c = 0; c < g->s->C; c += LANES) {
        /* A column is transformed as soon as it is loaded and a row stored as soon as it is ready: fewer registers. */
        vector square[MAX_POINTS], between[MAX_POINTS];
        DL_UNROLL(6) for (int j = 0; j < m + 2; j++) {
            load_column(&from, &at, c, m + 2, j, square);
            input_row(m, square + j, between + j, 6);
        }
        DL_UNROLL(6) for (int i = 0; i < m + 2; i++) {
            input_row(m, between + i * 6, square + i * 6, 1);
            DL_UNROLL(6) for (int j = 0; j < m + 2; j++) {
                TYPED(dl_store)(v + (i * (m + 2) + j) * plane + c, square[i * 6 + j]);
            }
        }
    }
}

/* The outputs of one tile for one vector of filters, `there` of which exist: from M, point q at sums + q * plane. */
INLINE void output_tile(const winograd *g, int m, const tile_place *at, int64_t filter, int64_t there, const real *bias,
                        const real *sums, int64_t plane) {
    const dl_conv2d_sizes *s = g->s;
    vector square[MAX_POINTS];
    DL_UNROLL(6) for (int i = 0; i < m + 2; i++) {
        DL_UNROLL(6) for (int j = 0; j < m + 2; j++) {
            square[i * 6 + j] = TYPED(dl_load)(sums + (i * (m + 2) + j) * plane);
        }
    }
    TRANSFORM(output_row, m, m + 2, m, square);
    int64_t rows = DL_MIN(m, s->out_h - at->row), columns = DL_MIN(m, s->out_w - at->column);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            real *y = g->y + ((at->n * s->out_h + at->row + i) * s->out_w + at->column + j) * s->K + filter;
            vector v = square[i * 6 + j] + TYPED(dl_load)(bias);
            v = g->relu ? relu_vector(v) : v;
            if (there >= LANES)
                TYPED(dl_store)(y, v);
            else
                memcpy(y, &v, (size_t)there * sizeof(real));
        }
    }
}

/* U of one channel. */
INLINE void weight_channel(const winograd *g, int m, int64_t c) {
    const int64_t C = g->s->C;
    for (int64_t k = 0; k < g->panels * PANEL; k += LANES) {
        vector square[MAX_POINTS] = {{0}};
        for (int tap = 0; tap < 9 && k < g->filters; tap++)
            square[tap / 3 * 6 + tap % 3] = TYPED(dl_load)(g->padded + (tap * C + c) * g->filters + k);
        TRANSFORM(weight_row, m, 3, m + 2, square);
        real *u = g->u + (k / PANEL * C + c) * PANEL + k % PANEL;
        DL_UNROLL(6) for (int i = 0; i < m + 2; i++) {
            DL_UNROLL(6) for (int j = 0; j < m + 2; j++) {
                TYPED(dl_store)(u + (i * (m + 2) + j) * g->panels * C * PANEL, square[i * 6 + j]);
            }
        }
    }
}

/* dM of one tile: point q's row is v + q * plane; adds the pixels themselves to bias (filters). */
INLINE void gradient_tile_points(const winograd *g, int m, int64_t tile, real *v, int64_t plane, real *bias) {
    pixels from = {g->grad_y, g->gate, g->s->out_h, g->s->out_w, g->s->K};
    tile_place at = place_of(g, tile);
    for (int64_t k = 0; k < g->s->K; k += LANES) {
        vector square[MAX_POINTS], total = TYPED(dl_load)(bias + k);
        DL_UNROLL(4) for (int j = 0; j < m; j++) {
            load_column(&from, &at, k, m, j, square);
        }
        DL_UNROLL(4) for (int i = 0; i < m; i++) {
            DL_UNROLL(4) for (int j = 0; j < m; j++) {
                total += square[i * 6 + j];
            }
        }
        TYPED(dl_store)(bias + k, total);
        TRANSFORM(gradient_row, m, m, m + 2, square);
        DL_UNROLL(6) for (int i = 0; i < m + 2; i++) {
            DL_UNROLL(6) for (int j = 0; j < m + 2; j++) {
                TYPED(dl_store)(v + (i * (m + 2) + j) * plane + k, square[i * 6 + j]);
            }
        }
    }
}

/* dw of one channel and vector of filters from dU, summed over the chunks in order. */
INLINE void weight_gradient_tile(const winograd *g, int m, int64_t c, int64_t k) {
    const int64_t size = g->s->C * g->filters;
    vector square[MAX_POINTS];
    DL_UNROLL(6) for (int i = 0; i < m + 2; i++) {
        DL_UNROLL(6) for (int j = 0; j < m + 2; j++) {
            const real *u = g->partials + (i * (m + 2) + j) * size + c * g->filters + k;
            vector sum = TYPED(dl_load)(u);
            for (int64_t chunk = 1; chunk < g->chunks; chunk++)
                sum += TYPED(dl_load)(u + chunk * g->points * size);
            square[i * 6 + j] = sum;
        }
    }
    TRANSFORM(weight_gradient_row, m, m + 2, 3, square);
    for (int tap = 0; tap < 9; tap++)
        memcpy(g->grad_weights + (tap * g->s->C + c) * g->s->K + k, square + tap / 3 * 6 + tap % 3,
               (size_t)DL_MIN(LANES, g->s->K - k) * sizeof(real));
}

/* Each transform for m = 2 and m = 4. */
static void input_tile_of(const winograd *g, int64_t tile, real *v, int64_t plane) {
    if (g->m == 2)
        input_tile(g, 2, tile, v, plane);
    else
        input_tile(g, 4, tile, v, plane);
}

static void output_tile_of(const winograd *g, const tile_place *at, int64_t filter, int64_t there, const real *bias,
                           const real *sums, int64_t plane) {
    if (g->m == 2)
        output_tile(g, 2, at, filter, there, bias, sums, plane);
    else
        output_tile(g, 4, at, filter, there, bias, sums, plane);
}

static void weight_channel_of(void *argument, int64_t c, int worker) {
    const winograd *g = argument;
    (void)worker;
    if (g->m == 2)
        weight_channel(g, 2, c);
    else
        weight_channel(g, 4, c);
}

static void gradient_points_of(const winograd *g, int64_t tile, real *v, int64_t plane, real *bias) {
    if (g->m == 2)
        gradient_tile_points(g, 2, tile, v, plane, bias);
    else
        gradient_tile_points(g, 4, tile, v, plane, bias);
}

static void weight_gradient_channel(void *argument, int64_t c, int worker) {
    const winograd *g = argument;
    (void)worker;
    for (int64_t k = 0; k < g->s->K; k += LANES) {
        if (g->m == 2)
            weight_gradient_tile(g, 2, c, k);
        else
            weight_gradient_tile(g, 4, c, k);
    }
}

/* ---- forward, and the gradient to the input -------------------------------------------------------------------------
 * */

/* M = V U for one point and panel, the sum over channels in chunks that follow from C alone. */
static void point_product(const winograd *g, int64_t tiles, const real *v, const real *u, real *sums) {
    int64_t C = g->s->C, chunks = conv_up(C, CONV_CHUNK);
    product p = {.segments = 1, .a_row = g->channels, .a_column = 1, .b_row = PANEL, .c_row = PANEL};
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int64_t first = C * chunk / chunks;
        p.k = C * (chunk + 1) / chunks - first;
        p.accumulate = chunk > 0;
        product_panel(&p, tiles, MICRO_VECTORS, v + first, u + first * PANEL, sums, NULL);
    }
}

/* One panel of filters of a block: products, then outputs. */
static void panel_outputs(const winograd *g, int64_t first, int64_t tiles, int64_t panel, const real *v,
                          int64_t v_plane, real *sums) {
    const dl_conv2d_sizes *s = g->s;
    int64_t plane = g->block * PANEL + PLANE_PAD;
    real bias[PANEL] = {0};
    if (g->bias)
        memcpy(bias, g->bias + panel * PANEL, (size_t)DL_MIN(PANEL, s->K - panel * PANEL) * sizeof(real));
    for (int q = 0; q < g->points; q++)
        point_product(g, tiles, v + q * v_plane, g->u + (q * g->panels + panel) * s->C * PANEL, sums + q * plane);
    for (int64_t t = 0; t < tiles; t++) {
        tile_place at = place_of(g, first + t);
        for (int64_t j = 0; j < PANEL && panel * PANEL + j < s->K; j += LANES)
            output_tile_of(g, &at, panel * PANEL + j, s->K - panel * PANEL - j, bias + j, sums + t * PANEL + j, plane);
    }
}

static void winograd_block(void *argument, int64_t block, int worker) {
    const winograd *g = argument;
    int64_t first = block * g->block, tiles = DL_MIN(g->block, g->tiles - first);
    int64_t plane = g->block * g->channels + PLANE_PAD;
    real *v = g->room + worker * g->room_size;
    for (int64_t t = 0; t < tiles; t++)
        input_tile_of(g, first + t, v + t * g->channels, plane);
    for (int64_t panel = 0; panel < g->panels; panel++)
        panel_outputs(g, first, tiles, panel, v, plane, v + g->points * plane);
}

/* Runs a planned convolution with weights (9, C, K) or, exchanged, those of the convolution whose gradient it is. */
static dl_status winograd_run(dl_context *context, winograd *g, const real *weights, bool exchanged) {
    const dl_conv2d_sizes *s = g->s;
    int threads = dl_threads_for(context, conv_work(s) / (10.0 * LANES));
    int64_t padded = 9 * s->C * g->filters, u = g->points * g->panels * s->C * PANEL;
    g->room_size = g->points * (g->block * (g->channels + PANEL) + 2 * PLANE_PAD);
    real *scratch = dl_alloc_array(context, (size_t)(padded + u + threads * g->room_size), sizeof(real));
    if (!scratch)
        return DL_MEMORY;
    for (int64_t tap = 0; tap < 9; tap++) {
        if (exchanged)
            pack_transposed(scratch + tap * s->C * g->filters, g->filters, weights + (8 - tap) * s->C * s->K, s->C,
                            s->C, s->K);
        else
            pack_rows(scratch + tap * s->C * g->filters, g->filters, weights + tap * s->C * s->K, s->K, s->C, s->K);
    }
    g->padded = scratch;
    g->u = scratch + padded;
    g->room = g->u + u;
    dl_status status = dl_parallel(context, s->C, threads, weight_channel_of, g);
    if (status == DL_OK)
        status = dl_parallel(context, g->blocks, threads, winograd_block, g);
    dl_free(scratch);
    return status;
}

static dl_status winograd_forward(dl_context *context, real *y, const real *x, const real *weights, const real *bias,
                                  const dl_conv2d_sizes *s, bool relu, int m) {
    winograd g = winograd_of(s, m);
    g.x = x;
    g.y = y;
    g.bias = bias;
    g.relu = relu;
    return winograd_run(context, &g, weights, false);
}

static dl_status winograd_backward_input(dl_context *context, real *grad_x, const real *weights, const real *grad_y,
                                         const real *gate, const dl_conv2d_sizes *s, int m) {
    dl_conv2d_sizes e = exchanged_sizes(s);
    winograd g = winograd_of(&e, m);
    g.x = grad_y;
    g.x_gate = gate;
    g.y = grad_x;
    return winograd_run(context, &g, weights, true);
}

/* ---- gradients to weights and bias ------------------------------------------------------------------------------- */

/* A block's share of dU and of the bias. */
static void gradient_block(const winograd *g, int64_t block, real *partial, real *bias, real *v) {
    const dl_conv2d_sizes *s = g->s;
    int64_t first = block * g->block, tiles = DL_MIN(g->block, g->tiles - first);
    int64_t v_plane = g->block * g->channels + PLANE_PAD, m_plane = g->block * g->filters + PLANE_PAD;
    real *points = v + g->points * v_plane;
    for (int64_t t = 0; t < tiles; t++) {
        input_tile_of(g, first + t, v + t * g->channels, v_plane);
        gradient_points_of(g, first + t, points + t * g->filters, m_plane, bias);
    }
    product p = {.segments = 1,
                 .k = tiles,
                 .a_row = 1,
                 .a_column = g->channels,
                 .b_row = g->filters,
                 .c_row = g->filters,
                 .accumulate = true};
    for (int q = 0; q < g->points; q++)
        for (int64_t k = 0; k < g->filters; k += PANEL)
            product_panel(&p, s->C, (int)(DL_MIN(PANEL, g->filters - k) / LANES), v + q * v_plane,
                          points + q * m_plane + k, partial + q * s->C * g->filters + k, NULL);
}

static void gradient_chunk(void *argument, int64_t chunk, int worker) {
    const winograd *g = argument;
    int64_t size = g->points * g->s->C * g->filters;
    real *partial = g->partials + chunk * size;
    real *bias = g->partials + g->chunks * size + chunk * g->filters;
    memset(partial, 0, (size_t)size * sizeof(real));
    memset(bias, 0, (size_t)g->filters * sizeof(real));
    for (int64_t block = g->blocks * chunk / g->chunks; block < g->blocks * (chunk + 1) / g->chunks; block++)
        gradient_block(g, block, partial, bias, g->room + worker * g->room_size);
}

/* grad_weights must not be null. */
static dl_status winograd_backward_weights(dl_context *context, real *grad_weights, real *grad_bias, const real *x,
                                           const real *grad_y, const real *gate, const dl_conv2d_sizes *s, int m) {
    winograd g = winograd_of(s, m);
    int threads = dl_threads_for(context, conv_work(s) / (10.0 * LANES));
    g.x = x;
    g.grad_y = grad_y;
    g.gate = gate;
    g.grad_weights = grad_weights;
    g.block = WIDE_TILES;
    g.blocks = conv_up(g.tiles, g.block);
    int64_t size = g.points * s->C * g.filters;
    g.chunks = DL_MIN(DL_MIN(g.blocks, WINOGRAD_CHUNKS), DL_MAX(2, 2 * CONV_PARTIALS / size));
    g.room_size = g.points * (g.block * (g.channels + g.filters) + 2 * PLANE_PAD);
    g.partials = dl_alloc_array(context, (size_t)(g.chunks * (size + g.filters) + threads * g.room_size), sizeof(real));
    if (!g.partials)
        return DL_MEMORY;
    g.room = g.partials + g.chunks * (size + g.filters);
    dl_status status = dl_parallel(context, g.chunks, threads, gradient_chunk, &g);
    if (status == DL_OK)
        status = dl_parallel(context, s->C, threads, weight_gradient_channel, &g);
    if (status == DL_OK)
        status = add_partial_sums(context, grad_bias, g.partials + g.chunks * size, s->K, g.filters, g.chunks);
    dl_free(g.partials);
    return status;
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

/* Outputs that the tiles compute, those beyond the border included, over the outputs there are. */
static double winograd_waste(const dl_conv2d_sizes *s, int m) {
    return (double)(conv_up(s->out_h, m) * conv_up(s->out_w, m) * m * m) / (double)(s->out_h * s->out_w);
}

/* The tile's side for this convolution, 0 if it does not go by Winograd. exact keeps to F(2x2). */
static int winograd_side(const dl_conv2d_sizes *s, bool exact) {
    bool fits = s->kernel_h == 3 && s->kernel_w == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dilation_h == 1 &&
                s->dilation_w == 1 && s->groups == 1 && s->C >= 16 && s->K >= 16;
    if (!fits)
        return 0;
    if (!exact && winograd_waste(s, 4) <= 2)
        return 4;
    return winograd_waste(s, 2) <= 1.5 ? 2 : 0;
}

#endif
