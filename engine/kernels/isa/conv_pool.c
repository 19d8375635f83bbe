/* kernels/isa/conv_pool.c: convolution, relu and max pooling in one, by plain loops over the separate kernels. */
#include <string.h>
#include "kernels/isa/gemm_real.h"

#define EACH(i, n) for (int64_t i = 0; i < (n); i++)
dl_status DL_KERNEL(conv2d_relu_maxpool_f32)(dl_context *context, float *y, uint8_t *winner, const float *x,
                                             const float *weights, const float *bias, const dl_conv2d_sizes *s) {
    if (!dl_conv2d_relu_maxpool_fits(s))
        return dl_fail(DL_INVALID, "conv2d_relu_maxpool: the convolution does not fit");
    float *z = dl_alloc_array(context, s->N * s->out_h * s->out_w * s->K, sizeof *z);
    if (!z) return DL_MEMORY;
    DL_KERNEL(conv2d_f32)(context, z, x, weights, bias, s, true, true);
    int64_t ph = s->out_h / 2, pw = s->out_w / 2;
    EACH(n, s->N) EACH(p, ph) EACH(q, pw) EACH(k, s->K) {
        float best = -1; int place = 0;
        EACH(c, 4) {
            float v = z[((n * s->out_h + 2 * p + c / 2) * s->out_w + 2 * q + c % 2) * s->K + k];
            if (!(v <= best)) { best = v; place = c; }
        }
        int64_t o = ((n * ph + p) * pw + q) * s->K + k;
        y[o] = best;
        if (winner) winner[o] = place | (best > 0 ? 0 : 128);
    }
    dl_free(z);
    return DL_OK;
}

dl_status DL_KERNEL(conv2d_relu_maxpool_backward_f32)(dl_context *context, float *grad_x, float *grad_weights,
                                                      float *grad_bias, const float *x, const float *weights,
                                                      const float *grad_y, const uint8_t *winner,
                                                      const dl_conv2d_sizes *s) {
    if (!dl_conv2d_relu_maxpool_fits(s))
        return dl_fail(DL_INVALID, "conv2d_relu_maxpool_backward: the convolution does not fit");
    float *z = dl_alloc_array(context, s->N * s->out_h * s->out_w * s->K, sizeof *z);
    if (!z) return DL_MEMORY;
    memset(z, 0, s->N * s->out_h * s->out_w * s->K * sizeof *z);
    int64_t ph = s->out_h / 2, pw = s->out_w / 2;
    EACH(n, s->N) EACH(p, ph) EACH(q, pw) EACH(k, s->K) {
        int64_t o = ((n * ph + p) * pw + q) * s->K + k;
        int c = winner[o] & 3;
        if (winner[o] < 128) z[((n * s->out_h + 2 * p + c / 2) * s->out_w + 2 * q + c % 2) * s->K + k] = grad_y[o];
    }
    DL_KERNEL(conv2d_backward_f32)(context, grad_x, grad_weights, grad_bias, x, weights, z, NULL, s, true);
    dl_free(z);
    return DL_OK;
}
