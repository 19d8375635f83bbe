/* kernels/isa/conv_pool.c: 3x3 convolution, bias, relu and 2x2 max pooling in one kernel, for images of few channels
 * (first layers), float32.
 *
 *      padded image, one channel            one pooled position reads a patch of 4x4 cells and computes
 *      +---+---+---+---+                    four outputs, BLOCK filters at a time:
 *      | . | . | . | . |
 *      +---+---+---+---+                      output (0,0)  rows 0..2, columns 0..2
 *      | . | . | . | . |                      output (0,1)  rows 0..2, columns 1..3
 *      +---+---+---+---+                      output (1,0)  rows 1..3, columns 0..2
 *      | . | . | . | . |                      output (1,1)  rows 1..3, columns 1..3
 *      +---+---+---+---+
 *      | . | . | . | . |                    The four stay in registers, so the convolution's output is never stored.
 *      +---+---+---+---+
 *
 * Pooling comes before the bias: rounding is monotone, so max(a) + b = max(a + b) exactly; only the winner may differ
 * from that of separate kernels, where the bias rounds two different values to one. Filters are lanes; weights and bias
 * are copied into blocks of whole vectors, zero beyond K. */
#include "kernels/isa/conv_image.h"

#define VECTORS 2
#define BLOCK   (VECTORS * LANES)

enum {
    CHUNKS = 16, /* of images, each a partial sum of the weights' gradient */
    DEAD = 128   /* bit of a winner where relu lets nothing pass */
};

typedef struct conv_pool {
    const dl_conv2d_sizes *s;
    int64_t rows, columns; /* of y */
    frame f;               /* of x */
    int64_t row;           /* cells from one row to the next in it */
    int64_t blocks;        /* of filters */
    float *y;              /* forward */
    uint8_t *winner;       /* forward, may be null */
    const float *weights;  /* forward: (blocks, 9 C, BLOCK) */
    const float *bias;     /* forward: (blocks, BLOCK) */
    const float *grad_y;   /* backward */
    const uint8_t *won;    /* backward */
    float *partials;       /* backward: (chunks, C + 1, blocks, 9, BLOCK): weights by channel, then the bias */
    int64_t chunks;
    float *images; /* a padded image for each worker */
} conv_pool;

static conv_pool describe(const dl_conv2d_sizes *s, const float *x) {
    conv_pool g = {.s = s, .rows = s->out_h / 2, .columns = s->out_w / 2, .f = frame_of(s, x, NULL)};
    g.blocks = (s->K + BLOCK - 1) / BLOCK;
    g.row = g.f.row / s->C;
    return g;
}

/* Elements of scratch for a frame and one channel of it. */
static int64_t image_size(const conv_pool *g) {
    return g->f.height * (g->f.row + g->row);
}

/* One channel of a frame, (height, row), in `room` unless it is the only one. */
static const float *channel_plane(const conv_pool *g, float *room, const float *image, int64_t c) {
    int64_t C = g->s->C, cells = g->f.height * g->row;
    if (C == 1)
        return image;
    for (int64_t i = 0; i < cells; i++)
        room[i] = image[i * C + c];
    return room;
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* One vector of filters: the largest of four sums, its place, then bias and relu. The first wins on ties, NaN always.
 * */
static inline void pool_store(const dl_v_f32 sum[4], const float *bias, float *y, uint8_t *winner) {
    dl_v_f32 best = sum[0];
    dl_v_i32 place = {0};
    DL_UNROLL(4) for (int i = 1; i < 4; i++) {
        dl_v_i32 take = ~(sum[i] <= best) & (best == best);
        best = dl_select_f32(take, sum[i], best);
        place = dl_select_i32(take, dl_splat_i32(i), place);
    }
    best += dl_load_f32(bias);
    dl_v_i32 alive = best > (dl_v_f32){0};
    dl_v_i32 negative = best < (dl_v_f32){0};
    dl_store_f32(y, (dl_v_f32)(~negative & (dl_v_i32)best));
    place |= ~alive & dl_splat_i32(DEAD);
    dl_store_bytes(winner, place);
}

/* One row of pooled positions for one block of filters. x is the patch row's first cell, y and winner the first
 * position's first filter of the block; `there` filters of the block exist. C is a constant after inlining. */
static inline __attribute__((always_inline)) void pool_row(const conv_pool *g, const int C, const float *x,
                                                           const float *weights, const float *bias, float *y,
                                                           uint8_t *winner, int64_t there) {
    const int64_t row = g->row * C, K = g->s->K;
    const float *rows[4] = {x, x + row, x + 2 * row, x + 3 * row};
    for (int64_t q = 0; q < g->columns; q++, y += K) {
        dl_v_f32 sum[VECTORS][4] = {{{0}}};
        DL_UNROLL(4) for (int u = 0; u < 4; u++) DL_FORGET(rows[u]);
        DL_UNROLL(3) for (int r = 0; r < 3; r++) {
            DL_UNROLL(12) for (int k = 0; k < 3 * C; k++) {
                dl_v_f32 w[VECTORS];
                DL_UNROLL(2)
                for (int v = 0; v < VECTORS; v++)
                    w[v] = dl_load_f32(weights + (r * 3 * C + k) * BLOCK + v * LANES);
                DL_UNROLL(4) for (int i = 0; i < 4; i++) {
                    dl_v_f32 value = dl_splat_f32(rows[r + i / 2][k + (i % 2) * C]);
                    DL_UNROLL(2) for (int v = 0; v < VECTORS; v++) sum[v][i] += value * w[v];
                }
            }
        }
        float values[BLOCK];
        uint8_t places[BLOCK];
        bool whole = there == BLOCK;
        DL_UNROLL(2)
        for (int v = 0; v < VECTORS; v++)
            pool_store(sum[v], bias + v * LANES, (whole ? y : values) + v * LANES,
                       (whole && winner ? winner : places) + v * LANES);
        if (!whole) {
            memcpy(y, values, (size_t)there * sizeof(float));
            if (winner)
                memcpy(winner, places, (size_t)there);
        }
        winner = winner ? winner + K : NULL;
        DL_UNROLL(4) for (int u = 0; u < 4; u++) rows[u] += 2 * C;
    }
}

/* pool_row_C for each number of channels. */
#define POOL_ROW(C)                                                                                                    \
    static void pool_row_##C(const conv_pool *g, const float *x, const float *weights, const float *bias, float *y,    \
                             uint8_t *winner, int64_t there) {                                                         \
        pool_row(g, C, x, weights, bias, y, winner, there);                                                            \
    }
POOL_ROW(1)
POOL_ROW(2)
POOL_ROW(3)
POOL_ROW(4)

static void forward_image(void *argument, int64_t n, int worker) {
    static void (*const row_of[])(const conv_pool *, const float *, const float *, const float *, float *, uint8_t *,
                                  int64_t) = {pool_row_1, pool_row_2, pool_row_3, pool_row_4};
    const conv_pool *g = argument;
    const dl_conv2d_sizes *s = g->s;
    const float *x = frame_rows(&g->f, g->images + worker * image_size(g), n, 0, g->f.height);
    for (int64_t block = 0; block < g->blocks; block++) {
        const float *weights = g->weights + block * 9 * s->C * BLOCK;
        int64_t there = DL_MIN(s->K - block * BLOCK, BLOCK);
        for (int64_t p = 0; p < g->rows; p++) {
            int64_t at = (n * g->rows + p) * g->columns * s->K + block * BLOCK;
            row_of[s->C - 1](g, x + 2 * p * g->row * s->C, weights, g->bias + block * BLOCK, g->y + at,
                             g->winner ? g->winner + at : NULL, there);
        }
    }
}

/* weights (9 C, K) and bias (K, may be null) into blocks of whole vectors; `bias` follows `to`'s weights. */
static void block_weights(const conv_pool *g, float *to, const float *weights, const float *bias) {
    const dl_conv2d_sizes *s = g->s;
    int64_t taps = 9 * s->C;
    for (int64_t k = 0; k < g->blocks * BLOCK; k++) {
        int64_t block = k / BLOCK, lane = k % BLOCK;
        for (int64_t t = 0; t < taps; t++)
            to[(block * taps + t) * BLOCK + lane] = k < s->K ? weights[t * s->K + k] : 0;
        to[g->blocks * taps * BLOCK + k] = bias && k < s->K ? bias[k] : 0;
    }
}

/* Multiply-adds of one pass over the batch, at about 5 vectors a nanosecond. */
static double work_of(const conv_pool *g) {
    const dl_conv2d_sizes *s = g->s;
    return (double)(s->N * g->rows * g->columns) * (double)(36 * s->C * s->K) / (5.0 * LANES);
}

dl_status DL_KERNEL(conv2d_relu_maxpool_f32)(dl_context *context, float *y, uint8_t *winner, const float *x,
                                             const float *weights, const float *bias, const dl_conv2d_sizes *s) {
    if (!dl_conv2d_relu_maxpool_fits(s))
        return dl_fail(DL_INVALID, "conv2d_relu_maxpool: takes 3x3 convolutions of 1 to 4 channels, stride 1");
    conv_pool g = describe(s, x);
    g.y = y;
    g.winner = winner;
    int threads = dl_threads_for(context, work_of(&g));
    int64_t weight_size = g.blocks * (9 * s->C + 1) * BLOCK;
    float *scratch = dl_alloc_array(context, (size_t)(weight_size + threads * image_size(&g)), sizeof(float));
    if (!scratch)
        return DL_MEMORY;
    block_weights(&g, scratch, weights, bias);
    g.weights = scratch;
    g.bias = scratch + g.blocks * 9 * s->C * BLOCK;
    g.images = scratch + weight_size;
    dl_status status = dl_parallel(context, s->N, threads, forward_image, &g);
    dl_free(scratch);
    return status;
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

/* The gradient and the winner of one vector of filters, gradient zero where relu was dead. */
static inline dl_v_f32 load_gradient(const float *grad_y, const uint8_t *won, dl_v_i32 *place) {
    *place = dl_load_bytes(won);
    dl_v_i32 dead = *place << 24 >> 31;
    return (dl_v_f32)(~dead & (dl_v_i32)dl_load_f32(grad_y));
}

#ifdef DL_HAS_PERMUTE
/* sum[t] += gradient * the cell that tap t of the winning output reads. The patch of 4x4 cells is one vector, from
 * which each lane takes its own cell. */
static inline __attribute__((always_inline)) void add_taps(dl_v_f32 sum[9], dl_v_f32 gradient, dl_v_i32 place,
                                                           const float *x, int64_t row) {
    dl_v_f32 patch = dl_load_rows_f32(x, x + row, x + 2 * row, x + 3 * row);
    dl_v_i32 corner = (place & 1) + ((place & 2) << 1);
    DL_UNROLL(9) for (int t = 0; t < 9; t++) sum[t] += gradient * dl_permute_f32(patch, corner + (t / 3 * 4 + t % 3));
}
#else
/* The same without a permutation: row u of the patch serves tap row u of the upper outputs and tap row u - 1 of the
 * lower ones; within a row each lane chooses between the cells of the left and the right output. */
static inline __attribute__((always_inline)) void add_taps(dl_v_f32 sum[9], dl_v_f32 gradient, dl_v_i32 place,
                                                           const float *x, int64_t row) {
    dl_v_i32 right = place << 31 >> 31, lower = place << 30 >> 31;
    dl_v_f32 of_upper = (dl_v_f32)(~lower & (dl_v_i32)gradient), of_lower = (dl_v_f32)(lower & (dl_v_i32)gradient);
    DL_UNROLL(4) for (int u = 0; u < 4; u++) {
        DL_UNROLL(3) for (int t = 0; t < 3; t++) {
            const float *cell = x + u * row + t;
            dl_v_f32 value = dl_select_f32(right, dl_splat_f32(cell[1]), dl_splat_f32(cell[0]));
            if (u < 3)
                sum[u * 3 + t] += of_upper * value;
            if (u > 0)
                sum[u * 3 + t - 3] += of_lower * value;
        }
    }
}
#endif

/* Adds one image's share to the nine taps of one channel, and to the bias, for one vector of filters. plane is the
 * channel's padded image, grad_y and won begin at the vector's first filter. */
static void add_image(const conv_pool *g, float *taps, float *bias, const float *plane, const float *grad_y,
                      const uint8_t *won) {
    dl_v_f32 sum[9], total = dl_load_f32(bias);
    DL_UNROLL(9) for (int t = 0; t < 9; t++) sum[t] = dl_load_f32(taps + t * BLOCK);
    for (int64_t p = 0; p < g->rows; p++) {
        const float *x = plane + 2 * p * g->row;
        for (int64_t q = 0; q < g->columns; q++, x += 2, grad_y += g->s->K, won += g->s->K) {
            DL_FORGET(x);
            dl_v_i32 place;
            dl_v_f32 gradient = load_gradient(grad_y, won, &place);
            total += gradient;
            add_taps(sum, gradient, place, x, g->row);
        }
    }
    DL_UNROLL(9) for (int t = 0; t < 9; t++) dl_store_f32(taps + t * BLOCK, sum[t]);
    dl_store_f32(bias, total);
}

/* add_image for a vector of which only `there` filters exist: through copies filled up with dead ones. */
static void add_image_edge(const conv_pool *g, float *taps, float *bias, const float *plane, const float *grad_y,
                           const uint8_t *won, int64_t there) {
    dl_conv2d_sizes narrow = *g->s;
    conv_pool inner = *g;
    narrow.K = LANES;
    inner.s = &narrow;
    inner.rows = inner.columns = 1;
    for (int64_t p = 0; p < g->rows; p++) {
        for (int64_t q = 0; q < g->columns; q++) {
            float gradient[LANES] = {0};
            uint8_t place[LANES];
            memset(place, DEAD, sizeof place);
            memcpy(gradient, grad_y, (size_t)there * sizeof(float));
            memcpy(place, won, (size_t)there);
            add_image(&inner, taps, bias, plane + 2 * p * g->row + 2 * q, gradient, place);
            grad_y += g->s->K;
            won += g->s->K;
        }
    }
}

/* One chunk of images: the partial sums of all weights. */
static void backward_chunk(void *argument, int64_t chunk, int worker) {
    const conv_pool *g = argument;
    const dl_conv2d_sizes *s = g->s;
    int64_t part = g->blocks * 9 * BLOCK;
    float *partial = g->partials + chunk * (s->C + 1) * part;
    float *room = g->images + worker * image_size(g);
    memset(partial, 0, (size_t)((s->C + 1) * part) * sizeof(float));
    for (int64_t n = s->N * chunk / g->chunks; n < s->N * (chunk + 1) / g->chunks; n++) {
        const float *image = frame_rows(&g->f, room, n, 0, g->f.height);
        int64_t at = n * g->rows * g->columns * s->K;
        for (int64_t c = 0; c < s->C; c++) {
            const float *plane = channel_plane(g, room + g->f.height * g->f.row, image, c);
            for (int64_t k = 0; k < s->K; k += LANES) {
                int64_t lane = k / BLOCK * 9 * BLOCK + k % BLOCK;
                float other_total[LANES] = {0};
                float *total = c == 0 ? partial + s->C * part + lane : other_total;
                if (s->K - k >= LANES)
                    add_image(g, partial + c * part + lane, total, plane, g->grad_y + at + k, g->won + at + k);
                else
                    add_image_edge(g, partial + c * part + lane, total, plane, g->grad_y + at + k, g->won + at + k,
                                   s->K - k);
            }
        }
    }
}

/* grad_weights (9, C, K) and grad_bias (K), either may be null: the chunks' partial sums in order. */
static void add_chunks(const conv_pool *g, float *grad_weights, float *grad_bias) {
    const dl_conv2d_sizes *s = g->s;
    int64_t part = g->blocks * 9 * BLOCK;
    for (int64_t c = 0; c <= s->C; c++) {
        bool is_bias = c == s->C;
        float *to = is_bias ? grad_bias : grad_weights;
        for (int64_t t = 0; t < (is_bias ? 1 : 9) && to; t++) {
            for (int64_t k = 0; k < s->K; k++) {
                const float *from = g->partials + c * part + k / BLOCK * 9 * BLOCK + t * BLOCK + k % BLOCK;
                float sum = 0;
                for (int64_t chunk = 0; chunk < g->chunks; chunk++)
                    sum += from[chunk * (s->C + 1) * part];
                to[is_bias ? k : (t * s->C + c) * s->K + k] = sum;
            }
        }
    }
}

static dl_status backward_weights(dl_context *context, conv_pool *g, float *grad_weights, float *grad_bias) {
    const dl_conv2d_sizes *s = g->s;
    int threads = dl_threads_for(context, work_of(g));
    g->chunks = DL_MIN(s->N, CHUNKS);
    int64_t partials = g->chunks * (s->C + 1) * g->blocks * 9 * BLOCK;
    g->partials = dl_alloc_array(context, (size_t)(partials + threads * image_size(g)), sizeof(float));
    if (!g->partials)
        return DL_MEMORY;
    g->images = g->partials + partials;
    dl_status status = dl_parallel(context, g->chunks, threads, backward_chunk, g);
    if (status == DL_OK)
        add_chunks(g, grad_weights, grad_bias);
    dl_free(g->partials);
    return status;
}

/* grad_y spread out to the convolution's own output. */
static void spread_image(void *argument, int64_t n, int worker) {
    const conv_pool *g = argument;
    const dl_conv2d_sizes *s = g->s;
    (void)worker;
    int64_t K = s->K, at = n * g->rows * g->columns * K;
    float *to = g->partials + n * s->out_h * s->out_w * K;
    memset(to, 0, (size_t)(s->out_h * s->out_w * K) * sizeof(float));
    for (int64_t p = 0; p < g->rows; p++) {
        for (int64_t i = 0; i < g->columns * K; i++, at++) {
            int place = g->won[at];
            int64_t row = 2 * p + (place >> 1 & 1), column = 2 * (i / K) + (place & 1);
            if (place < DEAD)
                to[(row * s->out_w + column) * K + i % K] = g->grad_y[at];
        }
    }
}

/* Gradients to images are rarely wanted of a first layer: by the convolution's own backward. */
static dl_status backward_input(dl_context *context, conv_pool *g, float *grad_x, const float *weights) {
    const dl_conv2d_sizes *s = g->s;
    int64_t size = s->N * s->out_h * s->out_w * s->K;
    g->partials = dl_alloc_array(context, (size_t)size, sizeof(float));
    if (!g->partials)
        return DL_MEMORY;
    dl_status status = dl_parallel(context, s->N, dl_threads_for(context, (double)size), spread_image, g);
    if (status == DL_OK)
        status = DL_KERNEL(conv2d_backward_f32)(context, grad_x, NULL, NULL, NULL, weights, g->partials, NULL, s, true);
    dl_free(g->partials);
    return status;
}

dl_status DL_KERNEL(conv2d_relu_maxpool_backward_f32)(dl_context *context, float *grad_x, float *grad_weights,
                                                      float *grad_bias, const float *x, const float *weights,
                                                      const float *grad_y, const uint8_t *winner,
                                                      const dl_conv2d_sizes *s) {
    if (!dl_conv2d_relu_maxpool_fits(s))
        return dl_fail(DL_INVALID, "conv2d_relu_maxpool_backward: takes 3x3 convolutions of 1 to 4 channels, stride 1");
    conv_pool g = describe(s, x);
    g.grad_y = grad_y;
    g.won = winner;
    if (grad_weights || grad_bias)
        DL_TRY(backward_weights(context, &g, grad_weights, grad_bias));
    return grad_x ? backward_input(context, &g, grad_x, weights) : DL_OK;
}
