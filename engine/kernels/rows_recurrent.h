/* kernels/rows_recurrent.h: recurrent cells over whole sequences. X(name, arguments)
 *
 * Dimension letters: N batch, T steps, F features, U units, G gates: 4 for lstm, 3 for both kinds of gru, 1 for simple.
 * Steps are counted in the order of work: step s reads x at s, or at T - 1 - s with go_backwards.
 *
 * With a = h[s-1] times `drop`, where that is given (recurrent dropout):
 *
 *      simple   h = tanh(x W + b + a V)
 *      lstm     (i f g o) = x W + b + a V;  c = sigmoid(f) c[s-1] + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)
 *      gru      z, r = sigmoid(x W + b + a V + b');  g = tanh(x W + b + r (a V + b'));  h = z h[s-1] + (1 - z) g
 *      gru, reset before the product:  g = tanh(x W + b + (r a) V), without b'
 *
 * Where the mask is false, h and c stay and the output is the one of the step before (zero before the first valid
 * step), or zero with zero_masked.
 *
 * What holds: the bits of a sequence depend neither on the batch it is in nor on the number of threads; gradients of
 * weights are sums over steps and batch in an order that the sizes alone decide. */
#ifndef DL_KERNELS_ROWS_RECURRENT_H
#define DL_KERNELS_ROWS_RECURRENT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum dl_cell { DL_CELL_SIMPLE, DL_CELL_LSTM, DL_CELL_GRU, DL_CELL_GRU_RESET_BEFORE } dl_cell;

typedef struct dl_recurrent_sizes {
    dl_cell cell;
    int64_t N, T, F, U;
    bool go_backwards;
    bool sequences;   /* y has all steps, else the last output */
    bool zero_masked; /* outputs of masked steps are zero */
} dl_recurrent_sizes;

static inline int64_t dl_cell_gates(dl_cell cell) {
    return cell == DL_CELL_SIMPLE ? 1 : cell == DL_CELL_LSTM ? 4 : 3;
}
/* Columns of a row of `gates`, in multiples of U. */
static inline int64_t dl_cell_columns(dl_cell cell) {
    return cell == DL_CELL_SIMPLE ? 1 : 4;
}

/* Arrays of the kernel's element type; those marked ? may be null. */
typedef struct dl_recurrent_arrays {
    const void *x;         /* (N, T, F); backward does not read it */
    const void *kernel;    /* W (F, G U) */
    const void *recurrent; /* V (U, G U) */
    const void *bias;      /* ? b (G U); for DL_CELL_GRU b and b' (2, 3 U) */
    const void *initial_h; /* ? (N, U); null: zeros */
    const void *initial_c; /* ? lstm */
    const uint8_t *mask;   /* ? (N, T) */
    const void *drop;      /* ? (N, U) */
    /* Written by recurrent, read by recurrent_backward. */
    void *steps; /* (T, N, F): x in the order of work */
    void *gates; /* (T, N, columns): lstm i f g o; gru z r g and a V + b', or r a with the reset before */
    void *h;     /* (T + 1, N, U): the states before the first step and after each */
    void *c;     /* (T + 1, N, U): lstm */
} dl_recurrent_arrays;

typedef struct dl_recurrent_gradients {
    const void *grad_y; /* ? (N, T, U), or (N, U) without sequences */
    const void *grad_h; /* ? (N, U): of the last state */
    const void *grad_c; /* ? (N, U): lstm */
    /* Overwritten; null: not wanted. */
    void *grad_x, *grad_kernel, *grad_recurrent, *grad_bias, *grad_initial_h, *grad_initial_c;
} dl_recurrent_gradients;

/* recurrent: y (N, T, U) or (N, U), and what recurrent_backward needs; the last states are the last (N, U) of h and c.
 * recurrent_backward: the gradients. */
#define DL_RECURRENT_ROWS_OF(X, suffix, real)                                                                          \
    X(recurrent_##suffix,                                                                                              \
      (dl_context * context, real * y, const dl_recurrent_arrays *arrays, const dl_recurrent_sizes *sizes))            \
    X(recurrent_backward_##suffix, (dl_context * context, const dl_recurrent_gradients *gradients,                     \
                                    const dl_recurrent_arrays *arrays, const dl_recurrent_sizes *sizes))

#define DL_RECURRENT_ROWS(X)                                                                                           \
    DL_RECURRENT_ROWS_OF(X, f32, float)                                                                                \
    DL_RECURRENT_ROWS_OF(X, f64, double)

#endif
