/* kernels/isa/conv_source.h: which way a convolution goes, for the element type of gemm_real.h. The choice follows from
 * the sizes (and `exact`) alone, never from the batch. */
#include "kernels/isa/conv_depthwise.h"
#include "kernels/isa/conv_direct.h"
#include "kernels/isa/winograd.h"

/* A 1x1 convolution without strides and padding sees no neighbours: all images become one tall image, whose rows can be
 * shared out evenly. */
static dl_conv2d_sizes joined_images(const dl_conv2d_sizes *s) {
    dl_conv2d_sizes j = *s;
    if (s->kernel_h == 1 && s->kernel_w == 1 && s->stride_h == 1 && s->stride_w == 1 && s->pad_top == 0 &&
        s->pad_left == 0 && s->H == s->out_h && s->W == s->out_w) {
        j.H = j.out_h = s->N * s->H;
        j.N = 1;
    }
    return j;
}

static bool is_depthwise(const dl_conv2d_sizes *s) {
    return s->groups > 1 && s->groups == s->C;
}

/* No sum has a term. */
static bool is_empty(const dl_conv2d_sizes *s) {
    return s->N <= 0 || s->H <= 0 || s->W <= 0 || s->C <= 0 || s->K <= 0 || s->out_h <= 0 || s->out_w <= 0 ||
           s->kernel_h <= 0 || s->kernel_w <= 0;
}

static void zero(real *to, int64_t count) {
    if (to && count > 0)
        memset(to, 0, (size_t)count * sizeof(real));
}

dl_status KERNEL(conv2d)(dl_context *context, real *y, const real *x, const real *weights, const real *bias,
                         const dl_conv2d_sizes *sizes, bool relu, bool exact) {
    dl_conv2d_sizes s = joined_images(sizes);
    if (is_empty(&s)) {
        for (int64_t i = 0; s.K > 0 && i < s.N * s.out_h * s.out_w * s.K; i++)
            y[i] = !bias || (relu && bias[i % s.K] < 0) ? 0 : bias[i % s.K];
        return DL_OK;
    }
    int side = winograd_side(&s, exact);
    if (side)
        return winograd_forward(context, y, x, weights, bias, &s, relu, side);
    if (is_depthwise(&s))
        return depthwise_forward(context, y, x, weights, bias, &s, relu);
    return direct_forward(context, y, x, weights, bias, &s, relu);
}

static dl_status backward_weights(dl_context *context, real *grad_weights, real *grad_bias, const real *x,
                                  const real *grad_y, const real *gate, const dl_conv2d_sizes *s, bool exact) {
    int side = winograd_side(s, exact);
    if (side && grad_weights)
        return winograd_backward_weights(context, grad_weights, grad_bias, x, grad_y, gate, s, side);
    const real *images = grad_weights ? x : NULL;
    if (is_depthwise(s))
        return depthwise_backward_weights(context, grad_weights, grad_bias, images, grad_y, gate, s);
    return direct_backward_weights(context, grad_weights, grad_bias, images, grad_y, gate, s);
}

static dl_status backward_input(dl_context *context, real *grad_x, const real *weights, const real *grad_y,
                                const real *gate, const dl_conv2d_sizes *s, bool exact) {
    dl_conv2d_sizes e = exchanged_sizes(s);
    int side = winograd_side(&e, exact);
    if (side)
        return winograd_backward_input(context, grad_x, weights, grad_y, gate, s, side);
    if (is_depthwise(s))
        return depthwise_backward_input(context, grad_x, weights, grad_y, gate, s);
    return direct_backward_input(context, grad_x, weights, grad_y, gate, s);
}

dl_status KERNEL(conv2d_backward)(dl_context *context, real *grad_x, real *grad_weights, real *grad_bias, const real *x,
                                  const real *weights, const real *grad_y, const real *y, const dl_conv2d_sizes *sizes,
                                  bool exact) {
    dl_conv2d_sizes s = joined_images(sizes);
    if (is_empty(&s)) {
        zero(grad_x, s.N * s.H * s.W * s.C);
        zero(grad_weights, s.kernel_h * s.kernel_w * (s.C / s.groups) * s.K);
        zero(grad_bias, s.K);
        return DL_OK;
    }
    if (grad_weights || grad_bias)
        DL_TRY(backward_weights(context, grad_weights, grad_bias, x, grad_y, y, &s, exact));
    return grad_x ? backward_input(context, grad_x, weights, grad_y, y, &s, exact) : DL_OK;
}
