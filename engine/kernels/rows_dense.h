/* kernels/rows_dense.h: the kernels over matrices and images: products, convolutions, pooling. X(name, arguments)
 *
 * Every kernel exists for float32 (_f32) and float64 (_f64) unless said. What holds for all of them: the bits of one
 * row of a product, or of one image of a batch, depend on that row or image and on the other operand alone, not on how
 * many rows or images there are, nor on the number of threads. Sums over a batch (gradients of weights) run in an order
 * that depends on the sizes alone. Outputs must not overlap inputs. A size of zero is allowed: sums over nothing are
 * zero. */
#ifndef DL_KERNELS_ROWS_DENSE_H
#define DL_KERNELS_ROWS_DENSE_H

#include <stdbool.h>
#include <stdint.h>

/* C[b] = beta C[b] + A[b] B[b] for b = 0 .. batch-1, with A (M, K), B (K, N), C (M, N). Element (i, j) of A[b] is
 * a[b * a_batch + i * a_row + j * a_column], so a transposed operand is the same memory with the two strides exchanged;
 * B likewise; the rows of C are contiguous: c[b * c_batch + i * c_row + j]. a_batch or b_batch 0: the same matrix for
 * the whole batch. c_batch 0 with batch > 1: the products of the batch are summed into the one C, b in order. */
typedef struct dl_gemm_sizes {
    int64_t batch, M, N, K;
    int64_t a_batch, a_row, a_column;
    int64_t b_batch, b_row, b_column;
    int64_t c_batch, c_row;
} dl_gemm_sizes;

/* A convolution of images x (N, H, W, C) with weights (kernel_h, kernel_w, C / groups, K) to y (N, out_h, out_w, K):
 *
 *      y[n, p, q, k] = sum over r, t, c of x[n, i, j, c] weights[r, t, c - first channel of k's group, k]
 *      i = p stride_h + r dilation_h - pad_top,  j = q stride_w + t dilation_w - pad_left
 *
 * with x = 0 outside the image. Filters and channels are cut into `groups` equal parts in order; groups = C is the
 * depthwise convolution. The padding at the bottom and the right follows from out_h and out_w. */
typedef struct dl_conv2d_sizes {
    int64_t N, H, W, C;
    int64_t out_h, out_w, K;
    int64_t kernel_h, kernel_w;
    int64_t stride_h, stride_w;
    int64_t dilation_h, dilation_w;
    int64_t pad_top, pad_left;
    int64_t groups;
} dl_conv2d_sizes;

/* Pooling of x (N, H, W, C) to y (N, out_h, out_w, C) over the cells of each window that lie inside the image. */
typedef struct dl_pool2d_sizes {
    int64_t N, H, W, C;
    int64_t out_h, out_w;
    int64_t window_h, window_w;
    int64_t stride_h, stride_w;
    int64_t pad_top, pad_left;
} dl_pool2d_sizes;

/* True if conv2d_relu_maxpool_f32 and its backward take this convolution. */
static inline bool dl_conv2d_relu_maxpool_fits(const dl_conv2d_sizes *s) {
    return s->kernel_h == 3 && s->kernel_w == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dilation_h == 1 &&
           s->dilation_w == 1 && s->groups == 1 && s->C >= 1 && s->C <= 4;
}

/* gemm: c as described at dl_gemm_sizes; then, if bias (N) is not null, bias is added to each row, and with relu
 *      negative values become zero (NaN stays). beta 0 does not read c. The sum over k is cut into chunks by a rule
 *      that knows K alone; each chunk is a chain of fused multiply-adds in ascending k, and the chunks are added in
 *      order.
 *
 * conv2d: y = conv(x, weights) + bias (K, may be null), with relu negative values become zero. exact false lets 3x3
 *      convolutions with stride 1 go by Winograd F(4x4,3x3) (max error about 3e-5 of the rms); exact true keeps to
 *      direct sums and F(2x2,3x3).
 *
 * conv2d_backward: gradients of conv2d for grad_y (N, out_h, out_w, K): grad_x (N, H, W, C), grad_weights (as weights),
 *      grad_bias (K); each is overwritten, and skipped if null. y is the output of a conv2d with relu, whose gradient
 *      passes where y > 0; null without relu. weights may be null if grad_x is, x if grad_weights is.
 *
 * maxpool2d: y = the largest cell of each window, the first one in row order on ties; NaN wins. index (as y, may be
 *      null) is the winner's place row * W + column in its image; -1, and y -infinity, for a window that lies wholly
 *      outside.
 * maxpool2d_backward: grad_x[winner] = sum of grad_y over the windows it won, in row order of the windows.
 *
 * avgpool2d: y = the mean of each window's cells inside the image (Keras's rule for padding "same"), 0 if none.
 * avgpool2d_backward: grad_x = the sum of grad_y / cells over the windows a cell lies in. */
#define DL_DENSE_ROWS_OF(X, suffix, real)                                                                              \
    X(gemm_##suffix, (dl_context * context, real * c, const real *a, const real *b, const real *bias,                  \
                      const dl_gemm_sizes *sizes, real beta, bool relu))                                               \
    X(conv2d_##suffix, (dl_context * context, real * y, const real *x, const real *weights, const real *bias,          \
                        const dl_conv2d_sizes *sizes, bool relu, bool exact))                                          \
    X(conv2d_backward_##suffix,                                                                                        \
      (dl_context * context, real * grad_x, real * grad_weights, real * grad_bias, const real *x, const real *weights, \
       const real *grad_y, const real *y, const dl_conv2d_sizes *sizes, bool exact))                                   \
    X(maxpool2d_##suffix,                                                                                              \
      (dl_context * context, real * y, int32_t * index, const real *x, const dl_pool2d_sizes *sizes))                  \
    X(maxpool2d_backward_##suffix,                                                                                     \
      (dl_context * context, real * grad_x, const real *grad_y, const int32_t *index, const dl_pool2d_sizes *sizes))   \
    X(avgpool2d_##suffix, (dl_context * context, real * y, const real *x, const dl_pool2d_sizes *sizes))               \
    X(avgpool2d_backward_##suffix,                                                                                     \
      (dl_context * context, real * grad_x, const real *grad_y, const dl_pool2d_sizes *sizes))

/* conv2d_relu_maxpool (float32 only, for convolutions that dl_conv2d_relu_maxpool_fits, DL_INVALID for others): y (N,
 *      out_h / 2, out_w / 2, K) = max pooling 2x2 with stride 2 of relu(conv(x, weights) + bias), equal bit for bit to
 *      conv2d with relu, then maxpool2d (the winner is chosen before the bias may round two values to one). winner (as
 *      y, may be null in inference) keeps what the backward needs: bits 0..1 the place of the winning cell in its
 *      window (row * 2 + column), bit 7 set where relu let nothing pass.
 * conv2d_relu_maxpool_backward: gradients for grad_y (as y), as in conv2d_backward; grad_x may be null. */
#define DL_DENSE_ROWS(X)                                                                                               \
    DL_DENSE_ROWS_OF(X, f32, float)                                                                                    \
    DL_DENSE_ROWS_OF(X, f64, double)                                                                                   \
    X(conv2d_relu_maxpool_f32, (dl_context * context, float *y, uint8_t *winner, const float *x, const float *weights, \
                                const float *bias, const dl_conv2d_sizes *sizes))                                      \
    X(conv2d_relu_maxpool_backward_f32,                                                                                \
      (dl_context * context, float *grad_x, float *grad_weights, float *grad_bias, const float *x,                     \
       const float *weights, const float *grad_y, const uint8_t *winner, const dl_conv2d_sizes *sizes))

#endif
