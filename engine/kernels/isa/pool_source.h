/* kernels/isa/pool_source.h: pooling by plain loops, for the element type of gemm_real.h. */
#include <math.h>
#include <string.h>
#include "kernels/isa/gemm_real.h"

#define EACH(i, n) for (int64_t i = 0; i < (n); i++)
#define WINDOW EACH(u, s->window_h) EACH(v, s->window_w)
static int64_t cell(const dl_pool2d_sizes *s, int64_t p, int64_t q, int64_t u, int64_t v) {
    int64_t i = p * s->stride_h + u - s->pad_top, j = q * s->stride_w + v - s->pad_left;
    return i < 0 || j < 0 || i >= s->H || j >= s->W ? -1 : i * s->W + j;
}
dl_status KERNEL(maxpool2d)(dl_context *context, real *y, int32_t *index, const real *x, const dl_pool2d_sizes *s) {
    (void)context;
    EACH(n, s->N) EACH(p, s->out_h) EACH(q, s->out_w) EACH(c, s->C) {
        int64_t o = ((n * s->out_h + p) * s->out_w + q) * s->C + c, place = -1;
        real best = -INFINITY;
        WINDOW {
            int64_t at = cell(s, p, q, u, v);
            if (at < 0) continue;
            real value = x[(n * s->H * s->W + at) * s->C + c];
            if (place < 0 || value > best || (value != value && best == best)) { best = value; place = at; }
        }
        y[o] = best;
        if (index) index[o] = place;
    }
    return DL_OK;
}
dl_status KERNEL(maxpool2d_backward)(dl_context *context, real *grad_x, const real *grad_y, const int32_t *index, const dl_pool2d_sizes *s) {
    (void)context;
    memset(grad_x, 0, s->N * s->H * s->W * s->C * sizeof(real));
    EACH(n, s->N) EACH(o, s->out_h * s->out_w) EACH(c, s->C) {
        int64_t at = (n * s->out_h * s->out_w + o) * s->C + c;
        if (index[at] >= 0) grad_x[(n * s->H * s->W + index[at]) * s->C + c] += grad_y[at];
    }
    return DL_OK;
}
dl_status KERNEL(avgpool2d)(dl_context *context, real *y, const real *x, const dl_pool2d_sizes *s) {
    (void)context;
    EACH(n, s->N) EACH(p, s->out_h) EACH(q, s->out_w) EACH(c, s->C) {
        real sum = 0; int64_t count = 0;
        WINDOW {
            int64_t at = cell(s, p, q, u, v);
            if (at >= 0) { sum += x[(n * s->H * s->W + at) * s->C + c]; count++; }
        }
        y[((n * s->out_h + p) * s->out_w + q) * s->C + c] = count ? sum / count : 0;
    }
    return DL_OK;
}
dl_status KERNEL(avgpool2d_backward)(dl_context *context, real *grad_x, const real *grad_y, const dl_pool2d_sizes *s) {
    (void)context;
    memset(grad_x, 0, s->N * s->H * s->W * s->C * sizeof(real));
    EACH(n, s->N) EACH(p, s->out_h) EACH(q, s->out_w) EACH(c, s->C) {
        int64_t count = 0;
        WINDOW count += cell(s, p, q, u, v) >= 0;
        WINDOW {
            int64_t at = cell(s, p, q, u, v);
            if (at >= 0) grad_x[(n * s->H * s->W + at) * s->C + c] += grad_y[((n * s->out_h + p) * s->out_w + q) * s->C + c] / count;
        }
    }
    return DL_OK;
}
