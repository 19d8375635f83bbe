/* kernels/isa/conv_source.h: convolutions by plain loops, for the element type of gemm_real.h. */
#include <string.h>
#include "kernels/isa/gemm_real.h"

#define EACH(i, n) for (int64_t i = 0; i < (n); i++)
#define CELLS \
    EACH(n, s->N) EACH(p, s->out_h) EACH(q, s->out_w) EACH(k, s->K) EACH(r, s->kernel_h) EACH(t, s->kernel_w) EACH(c, s->C / s->groups)

static int64_t x_at(const dl_conv2d_sizes *s, int64_t n, int64_t p, int64_t q, int64_t r, int64_t t, int64_t c) {
    int64_t i = p * s->stride_h + r * s->dilation_h - s->pad_top, j = q * s->stride_w + t * s->dilation_w - s->pad_left;
    return i < 0 || j < 0 || i >= s->H || j >= s->W ? -1 : ((n * s->H + i) * s->W + j) * s->C + c;
}
#define PLACES \
    int64_t w = ((r * s->kernel_w + t) * (s->C / s->groups) + c) * s->K + k;\
    int64_t o = ((n * s->out_h + p) * s->out_w + q) * s->K + k;\
    int64_t i = x_at(s, n, p, q, r, t, k / (s->K / s->groups) * (s->C / s->groups) + c);

dl_status KERNEL(conv2d)(dl_context *context, real *y, const real *x, const real *weights, const real *bias,
                         const dl_conv2d_sizes *s, bool relu, bool exact) {
    (void)context, (void)exact;
    int64_t size = s->N * s->out_h * s->out_w * s->K;
    EACH(o, size) y[o] = bias ? bias[o % s->K] : 0;
    CELLS {
        PLACES
        if (i >= 0) y[o] += x[i] * weights[w];
    }
    EACH(o, size) y[o] = relu && y[o] < 0 ? 0 : y[o];
    return DL_OK;
}

dl_status KERNEL(conv2d_backward)(dl_context *context, real *grad_x, real *grad_weights, real *grad_bias, const real *x,
                                  const real *weights, const real *grad_y, const real *y, const dl_conv2d_sizes *s,
                                  bool exact) {
    (void)context, (void)exact;
    int64_t size = s->N * s->out_h * s->out_w * s->K;
    if (grad_x) memset(grad_x, 0, s->N * s->H * s->W * s->C * sizeof(real));
    if (grad_weights) memset(grad_weights, 0, s->kernel_h * s->kernel_w * s->C / s->groups * s->K * sizeof(real));
    if (grad_bias) memset(grad_bias, 0, s->K * sizeof(real));
    if (grad_bias) EACH(o, size) grad_bias[o % s->K] += y && !(y[o] > 0) ? 0 : grad_y[o];
    CELLS {
        PLACES
        real g = y && !(y[o] > 0) ? 0 : grad_y[o];
        if (i >= 0 && grad_x) grad_x[i] += g * weights[w];
        if (i >= 0 && grad_weights) grad_weights[w] += g * x[i];
    }
    return DL_OK;
}
