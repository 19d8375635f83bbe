/* kernels/isa/pool_source.h: max and average pooling over channels-last images, for the element type of gemm_real.h.
 * Channels are lanes: each cell of a window is one pass over its channels, in row order of the cells. A row of outputs
 * is a unit of work forward; backward, where windows may overlap, an image. */
#include <math.h>
#include <string.h>

#include "kernels/isa/gemm_real.h"

typedef struct pooling {
    const dl_pool2d_sizes *s;
    real *y;               /* forward */
    int32_t *index;        /* forward, may be null */
    const real *x;         /* forward */
    real *grad_x;          /* backward */
    const real *grad_y;    /* backward */
    const int32_t *winner; /* backward */
} pooling;

/* The part of a window that lies inside the image: rows top .. bottom - 1, columns left .. right - 1. */
typedef struct window {
    int64_t top, bottom, left, right;
} window;

static window window_of(const dl_pool2d_sizes *s, int64_t p, int64_t q) {
    int64_t row = p * s->stride_h - s->pad_top, column = q * s->stride_w - s->pad_left;
    window w = {DL_MAX(row, 0), DL_MIN(row + s->window_h, s->H), DL_MAX(column, 0), DL_MIN(column + s->window_w, s->W)};
    w.bottom = DL_MAX(w.bottom, w.top);
    w.right = DL_MAX(w.right, w.left);
    return w;
}

static int64_t cells_of(const window *w) {
    return (w->bottom - w->top) * (w->right - w->left);
}

/* For each place of a window, in row order. */
#define EACH_CELL(w, place)                                                                                            \
    for (int64_t row_ = (w).top; row_ < (w).bottom; row_++)                                                            \
        for (int64_t place = row_ * s->W + (w).left; place < row_ * s->W + (w).right; place++)

static int pool_threads(const dl_context *context, const dl_pool2d_sizes *s) {
    double work = (double)(s->N * s->out_h * s->out_w) * (double)(s->window_h * s->window_w * s->C);
    return dl_threads_for(context, work / LANES);
}

/* ---- max ------------------------------------------------------------------------------------------------------- */

/* best = the larger of best and x; NaN wins, and stays. */
static void larger(real *restrict best, const real *restrict x, int64_t C) {
    for (int64_t c = 0; c < C; c++)
        best[c] = !(x[c] <= best[c]) && best[c] == best[c] ? x[c] : best[c];
}

/* The same, keeping the winner's place. */
static void larger_place(real *restrict best, int32_t *restrict index, const real *restrict x, int32_t place,
                         int64_t C) {
    for (int64_t c = 0; c < C; c++) {
        bool take = !(x[c] <= best[c]) && best[c] == best[c];
        best[c] = take ? x[c] : best[c];
        index[c] = take ? place : index[c];
    }
}

static void max_window(const pooling *g, const real *image, int64_t p, int64_t q, real *y, int32_t *index) {
    const dl_pool2d_sizes *s = g->s;
    window w = window_of(s, p, q);
    int64_t first = w.top * s->W + w.left;
    bool empty = cells_of(&w) == 0;
    for (int64_t c = 0; c < s->C; c++)
        y[c] = empty ? -(real)INFINITY : image[first * s->C + c];
    for (int64_t c = 0; c < s->C && index; c++)
        index[c] = empty ? -1 : (int32_t)first;
    EACH_CELL(w, place) {
        if (place == first)
            continue;
        if (index)
            larger_place(y, index, image + place * s->C, (int32_t)place, s->C);
        else
            larger(y, image + place * s->C, s->C);
    }
}

static void max_row(void *argument, int64_t tile, int worker) {
    const pooling *g = argument;
    const dl_pool2d_sizes *s = g->s;
    (void)worker;
    int64_t n = tile / s->out_h, p = tile % s->out_h;
    for (int64_t q = 0; q < s->out_w; q++) {
        int64_t at = (tile * s->out_w + q) * s->C;
        max_window(g, g->x + n * s->H * s->W * s->C, p, q, g->y + at, g->index ? g->index + at : NULL);
    }
}

dl_status KERNEL(maxpool2d)(dl_context *context, real *y, int32_t *index, const real *x, const dl_pool2d_sizes *s) {
    pooling g = {.s = s, .y = y, .index = index, .x = x};
    return dl_parallel(context, s->N * s->out_h, pool_threads(context, s), max_row, &g);
}

/* to += from where place won. */
static void add_won(real *restrict to, const real *restrict from, const int32_t *restrict winner, int32_t place,
                    int64_t C) {
    for (int64_t c = 0; c < C; c++)
        to[c] += winner[c] == place ? from[c] : 0;
}

/* Windows of few cells by a pass for each cell, larger ones by writing to each winner: the same sums. */
enum { FEW_CELLS = 16 };

static void max_backward_image(void *argument, int64_t n, int worker) {
    const pooling *g = argument;
    const dl_pool2d_sizes *s = g->s;
    (void)worker;
    real *grad_x = g->grad_x + n * s->H * s->W * s->C;
    memset(grad_x, 0, (size_t)(s->H * s->W * s->C) * sizeof(real));
    for (int64_t pixel = 0; pixel < s->out_h * s->out_w; pixel++) {
        int64_t at = (n * s->out_h * s->out_w + pixel) * s->C;
        window w = window_of(s, pixel / s->out_w, pixel % s->out_w);
        if (cells_of(&w) <= FEW_CELLS) {
            EACH_CELL(w, place) {
                add_won(grad_x + place * s->C, g->grad_y + at, g->winner + at, (int32_t)place, s->C);
            }
            continue;
        }
        for (int64_t c = 0; c < s->C; c++)
            grad_x[g->winner[at + c] * s->C + c] += g->grad_y[at + c];
    }
}

dl_status KERNEL(maxpool2d_backward)(dl_context *context, real *grad_x, const real *grad_y, const int32_t *index,
                                     const dl_pool2d_sizes *s) {
    pooling g = {.s = s, .grad_x = grad_x, .grad_y = grad_y, .winner = index};
    return dl_parallel(context, s->N, pool_threads(context, s), max_backward_image, &g);
}

/* ---- average --------------------------------------------------------------------------------------------------- */

static void add_cells(real *restrict to, const real *restrict from, int64_t C) {
    for (int64_t c = 0; c < C; c++)
        to[c] += from[c];
}

static void average_row(void *argument, int64_t tile, int worker) {
    const pooling *g = argument;
    const dl_pool2d_sizes *s = g->s;
    (void)worker;
    const real *image = g->x + tile / s->out_h * s->H * s->W * s->C;
    for (int64_t q = 0; q < s->out_w; q++) {
        real *y = g->y + (tile * s->out_w + q) * s->C;
        window w = window_of(s, tile % s->out_h, q);
        real cells = (real)DL_MAX(cells_of(&w), 1);
        memset(y, 0, (size_t)s->C * sizeof(real));
        EACH_CELL(w, place) add_cells(y, image + place * s->C, s->C);
        for (int64_t c = 0; c < s->C; c++)
            y[c] /= cells;
    }
}

dl_status KERNEL(avgpool2d)(dl_context *context, real *y, const real *x, const dl_pool2d_sizes *s) {
    pooling g = {.s = s, .y = y, .x = x};
    return dl_parallel(context, s->N * s->out_h, pool_threads(context, s), average_row, &g);
}

static void add_share(real *restrict to, const real *restrict from, real cells, int64_t C) {
    for (int64_t c = 0; c < C; c++)
        to[c] += from[c] / cells;
}

static void average_backward_image(void *argument, int64_t n, int worker) {
    const pooling *g = argument;
    const dl_pool2d_sizes *s = g->s;
    (void)worker;
    real *grad_x = g->grad_x + n * s->H * s->W * s->C;
    memset(grad_x, 0, (size_t)(s->H * s->W * s->C) * sizeof(real));
    for (int64_t pixel = 0; pixel < s->out_h * s->out_w; pixel++) {
        const real *grad_y = g->grad_y + (n * s->out_h * s->out_w + pixel) * s->C;
        window w = window_of(s, pixel / s->out_w, pixel % s->out_w);
        EACH_CELL(w, place) add_share(grad_x + place * s->C, grad_y, (real)cells_of(&w), s->C);
    }
}

dl_status KERNEL(avgpool2d_backward)(dl_context *context, real *grad_x, const real *grad_y, const dl_pool2d_sizes *s) {
    pooling g = {.s = s, .grad_x = grad_x, .grad_y = grad_y};
    return dl_parallel(context, s->N, pool_threads(context, s), average_backward_image, &g);
}
