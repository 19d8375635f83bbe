/* ops/conv.c: convolution and pooling of images (N, H, W, C), channels last. Padding follows Keras: "same" gives
 * ceil(size / stride) places and puts an odd zero at the end. */
#include <string.h>

#include "ops/ops.h"

/* ---- padding --------------------------------------------------------------------------------------------------- */

dl_alternative dl_padding_valid(void) {
    return (dl_alternative){.which = 0, .as.choice = DL_PADDING_VALID};
}

dl_alternative dl_padding_same(void) {
    return (dl_alternative){.which = 0, .as.choice = DL_PADDING_SAME};
}

dl_alternative dl_padding_sizes(int64_t height, int64_t width) {
    return (dl_alternative){.which = 1, .as.ints = {.count = 2, .at = {height, width}}};
}

static const dl_field padding_alternatives[] = {
    {.name = "name",
     .kind = DL_FIELD_ENUM,
     .choices = "valid|same",
     .help = "valid: none; same: as many places as the input, divided by the stride"},
    {.name = "sizes",
     .kind = DL_FIELD_INTS,
     .minimum = 0,
     .maximum = DL_HIGHEST,
     .help = "zeros at each side: one number, {height, width} or {top, bottom, left, right}"},
    DL_END,
};

/* One side of an image: where a window of `reach` cells starts, and how many places it has. */
typedef struct axis {
    int64_t before, out;
} axis;

/* {top, bottom, left, right} of an explicit padding. */
static dl_status explicit_padding(const dl_ints *sizes, int64_t around[4]) {
    int64_t first = sizes->at[0];
    if (sizes->count == 1)
        memcpy(around, (int64_t[]){first, first, first, first}, 4 * sizeof *around);
    else if (sizes->count == 2)
        memcpy(around, (int64_t[]){first, first, sizes->at[1], sizes->at[1]}, 4 * sizeof *around);
    else if (sizes->count == 4)
        memcpy(around, sizes->at, 4 * sizeof *around);
    else
        return dl_fail(DL_INVALID,
                       "padding has %d numbers; it takes 1, 2 {height, width} or 4 {top, bottom, left, right}",
                       sizes->count);
    for (int i = 0; i < 4; i++) {
        if (around[i] < 0 || around[i] > INT32_MAX)
            return dl_fail(DL_INVALID, "padding has the number %lld; it must be at least 0", (long long)around[i]);
    }
    return DL_OK;
}

/* The places of a window along the axis (0 height, 1 width) of an image of this size. */
static dl_status place_windows(const dl_alternative *padding, int which, int64_t size, int64_t reach, int64_t stride,
                               axis *out) {
    int64_t before = 0, total = 0;
    if (padding->which == 0 && padding->as.choice == DL_PADDING_SAME) {
        int64_t places = (size + stride - 1) / stride;
        total = DL_MAX((places - 1) * stride + reach - size, 0);
        *out = (axis){total / 2, places};
        return DL_OK;
    }
    if (padding->which == 1) {
        int64_t around[4];
        DL_TRY(explicit_padding(&padding->as.ints, around));
        before = around[2 * which];
        total = before + around[2 * which + 1];
    }
    if (size + total < reach)
        return dl_fail(DL_SHAPE,
                       "the window covers %lld cells, but the image with its padding has a %s of %lld; use a "
                       "smaller window or padding = \"same\"",
                       (long long)reach, which == 0 ? "height" : "width", (long long)(size + total));
    *out = (axis){before, (size + total - reach) / stride + 1};
    return DL_OK;
}

static dl_status check_image(const dl_tensor *x) {
    DL_TRY(dl_need_float(x, "x"));
    if (x->dims == 4)
        return DL_OK;
    return dl_fail(DL_SHAPE, "x has shape %s; images have four dimensions, {N, H, W, C}", dl_shape_text(x).at);
}

/* A dl_ints of one number or two that both lie in 1 .. limit. */
static dl_status pair_of(const dl_ints *ints, const char *name, int64_t pair[2]) {
    if (ints->count != 1 && ints->count != 2)
        return dl_fail(DL_INVALID, "%s has %d numbers; it takes {height, width}", name, ints->count);
    pair[0] = ints->at[0];
    pair[1] = ints->at[ints->count - 1];
    if (pair[0] < 1 || pair[1] < 1 || pair[0] > INT32_MAX || pair[1] > INT32_MAX)
        return dl_fail(DL_INVALID, "%s is {%lld, %lld}; both numbers must be at least 1", name, (long long)pair[0],
                       (long long)pair[1]);
    return DL_OK;
}

/* ---- conv2d ---------------------------------------------------------------------------------------------------- */

static dl_status check_weights(const dl_tensor *x, const dl_tensor *weight, const dl_tensor *bias, int64_t groups) {
    DL_TRY(check_image(x));
    DL_TRY(dl_need_dtype(weight, "weight", x->dtype));
    DL_TRY(dl_need_dtype(bias, "bias", x->dtype));
    int64_t channels = x->shape[3];
    if (weight->dims != 4)
        return dl_fail(DL_SHAPE, "weight has shape %s; it must have four dimensions, {height, width, C / groups, K}",
                       dl_shape_text(weight).at);
    if (weight->shape[0] < 1 || weight->shape[1] < 1)
        return dl_fail(DL_SHAPE, "weight has shape %s; a kernel has a height and a width of at least 1",
                       dl_shape_text(weight).at);
    if (groups < 1 || channels % groups != 0 || weight->shape[3] % groups != 0)
        return dl_fail(DL_SHAPE, "groups is %lld; it must divide the channels of x, %s, and the filters of weight, %s",
                       (long long)groups, dl_shape_text(x).at, dl_shape_text(weight).at);
    if (weight->shape[2] != channels / groups)
        return dl_fail(DL_SHAPE,
                       "x has shape %s and weight %s; with groups = %lld the third dimension of weight must be "
                       "%lld",
                       dl_shape_text(x).at, dl_shape_text(weight).at, (long long)groups,
                       (long long)(channels / groups));
    return dl_need_vector(bias, "bias", weight->shape[3], "one for each filter");
}

static dl_status conv_sizes(const dl_tensor *x, const dl_tensor *weight, const dl_conv2d_options *options,
                            dl_conv2d_sizes *s) {
    int64_t stride[2] = {1, 1}, dilation[2] = {1, 1};
    DL_TRY(pair_of(&options->stride, "stride", stride));
    DL_TRY(pair_of(&options->dilation, "dilation", dilation));
    int64_t reach[2];
    for (int i = 0; i < 2; i++) {
        if (__builtin_mul_overflow(weight->shape[i] - 1, dilation[i], &reach[i]) || reach[i] >= INT32_MAX)
            return dl_fail(DL_INVALID, "dilation {%lld, %lld} is too large for a kernel of shape %s",
                           (long long)dilation[0], (long long)dilation[1], dl_shape_text(weight).at);
    }
    axis height, width;
    DL_TRY(place_windows(&options->padding, 0, x->shape[1], reach[0] + 1, stride[0], &height));
    DL_TRY(place_windows(&options->padding, 1, x->shape[2], reach[1] + 1, stride[1], &width));
    *s = (dl_conv2d_sizes){.N = x->shape[0],
                           .H = x->shape[1],
                           .W = x->shape[2],
                           .C = x->shape[3],
                           .out_h = height.out,
                           .out_w = width.out,
                           .K = weight->shape[3],
                           .kernel_h = weight->shape[0],
                           .kernel_w = weight->shape[1],
                           .stride_h = stride[0],
                           .stride_w = stride[1],
                           .dilation_h = dilation[0],
                           .dilation_w = dilation[1],
                           .pad_top = height.before,
                           .pad_left = width.before,
                           .groups = options->groups};
    return DL_OK;
}

/* Contiguous inputs of a convolution, of the open scope. */
typedef struct conv_inputs {
    dl_tensor *x, *weight, *bias;
} conv_inputs;

static dl_status dense_inputs(const dl_op_call *call, conv_inputs *in) {
    dl_tensor *bias = call->inputs > 2 ? call->in[2] : NULL;
    *in = (conv_inputs){dl_dense(call->in[0]), dl_dense(call->in[1]), dl_dense(bias)};
    return in->x && in->weight && (in->bias || !bias) ? DL_OK : dl_last_status();
}

static dl_status run_conv(dl_tensor *y, const conv_inputs *in, const dl_conv2d_sizes *s, bool relu, bool exact) {
    const dl_kernels *kernels = dl_kernel();
    if (y->dtype == DL_FLOAT32)
        return kernels->conv2d_f32(y->context, DL_DATA(y, float), DL_DATA(in->x, float), DL_DATA(in->weight, float),
                                   dl_data_or_null(in->bias), s, relu, exact);
    return kernels->conv2d_f64(y->context, DL_DATA(y, double), DL_DATA(in->x, double), DL_DATA(in->weight, double),
                               dl_data_or_null(in->bias), s, relu, exact);
}

/* saved: 0 x, 1 weight, 2 the output of a relu; state: the sizes. */
static dl_status save_conv(dl_op_call *call, const conv_inputs *in, const dl_conv2d_sizes *s) {
    if (!call->node)
        return DL_OK;
    dl_conv2d_sizes *state = dl_call_state(call, sizeof *state);
    DL_TRY(state ? DL_OK : DL_MEMORY);
    *state = *s;
    if (dl_call_needs(call, 1))
        DL_TRY(dl_call_save(call, 0, in->x));
    return dl_call_needs(call, 0) ? dl_call_save(call, 1, in->weight) : DL_OK;
}

static dl_status conv2d_forward(dl_op_call *call) {
    const dl_conv2d_options *options = call->options;
    dl_tensor *x = call->in[0], *weight = call->in[1];
    DL_TRY(check_weights(x, weight, call->inputs > 2 ? call->in[2] : NULL, options->groups));
    dl_conv2d_sizes s;
    DL_TRY(conv_sizes(x, weight, options, &s));
    conv_inputs in;
    DL_TRY(dense_inputs(call, &in));
    dl_tensor *y = dl_call_output(call, 0, x->dtype, 4, (int64_t[]){s.N, s.out_h, s.out_w, s.K});
    DL_TRY(y ? DL_OK : dl_last_status());
    bool relu = options->activation == DL_ACTIVATION_RELU;
    DL_TRY(run_conv(y, &in, &s, relu, options->exact));
    DL_TRY(save_conv(call, &in, &s));
    return relu ? dl_call_save(call, 2, y) : DL_OK;
}

/* Where the gradients of x, weight and bias go: NULL where none is wanted. */
static dl_status conv_gradients(dl_op_gradient *gradient, void *grads[3]) {
    for (int i = 0; i < 3; i++)
        DL_TRY(dl_gradient_data(gradient, i, &grads[i]));
    return DL_OK;
}

static dl_status run_conv_backward(dl_op_gradient *gradient, dl_tensor *grad_y, const void *y, bool exact) {
    void *grads[3];
    DL_TRY(conv_gradients(gradient, grads));
    const void *x = dl_saved_data(gradient, 0), *weight = dl_saved_data(gradient, 1);
    const void *g = dl_tensor_data(grad_y);
    const dl_kernels *kernels = dl_kernel();
    if (grad_y->dtype == DL_FLOAT32)
        return kernels->conv2d_backward_f32(gradient->context, grads[0], grads[1], grads[2], x, weight, g, y,
                                            gradient->state, exact);
    return kernels->conv2d_backward_f64(gradient->context, grads[0], grads[1], grads[2], x, weight, g, y,
                                        gradient->state, exact);
}

static dl_status conv2d_backward(dl_op_gradient *gradient) {
    const dl_conv2d_options *options = gradient->options;
    return run_conv_backward(gradient, gradient->grad_out[0], dl_saved_data(gradient, 2), options->exact);
}

static const dl_field conv2d_fields[] = {
    DL_INTS(dl_conv2d_options, stride, "1", 2, 1, DL_HIGHEST, 0, "steps between the windows, {height, width}"),
    DL_ALTERNATIVE(dl_conv2d_options, padding, "valid", padding_alternatives, 0, "zeros around the image"),
    DL_INTS(dl_conv2d_options, dilation, "1", 2, 1, DL_HIGHEST, 0, "distance of a window's cells, {height, width}"),
    DL_INT(dl_conv2d_options, groups, 1, 1, DL_HIGHEST, 0, "parts that channels and filters are cut into"),
    DL_ENUM(dl_conv2d_options, activation, "none", "none|relu", 0, "computed together with the convolution"),
    DL_BOOL(dl_conv2d_options, exact, false, 0, "true: the errors of a direct sum, at half the speed for 3 x 3"),
    DL_END,
};

const dl_op dl_op_conv2d = {
    .definition = {.name = "conv2d",
                   .version = 1,
                   .help = "Convolution of images with a bank of filters, channels last.",
                   .formula =
                       "y[n, p, q, k] = bias[k] + sum over r, s, c of x[n, p + r, q + s, c] * weight[r, s, c, k]",
                   .shapes = "x {N, H, W, C}, weight {height, width, C / groups, K}, bias {K} -> {N, H', W', K}",
                   .fields = conv2d_fields,
                   .options_size = sizeof(dl_conv2d_options)},
    .inputs = "x weight bias?",
    .outputs = 1,
    .forward = conv2d_forward,
    .backward = conv2d_backward,
};

/* ---- pooling --------------------------------------------------------------------------------------------------- */

/* For images of a shape (N, H, W, C). */
static dl_status pool_sizes(const int64_t shape[4], const dl_pool2d_options *options, dl_pool2d_sizes *s) {
    int64_t window[2] = {1, 1}, stride[2] = {1, 1};
    DL_TRY(pair_of(&options->kernel_size, "kernel_size", window));
    DL_TRY(pair_of(options->stride.count > 0 ? &options->stride : &options->kernel_size, "stride", stride));
    axis height, width;
    DL_TRY(place_windows(&options->padding, 0, shape[1], window[0], stride[0], &height));
    DL_TRY(place_windows(&options->padding, 1, shape[2], window[1], stride[1], &width));
    *s = (dl_pool2d_sizes){.N = shape[0],
                           .H = shape[1],
                           .W = shape[2],
                           .C = shape[3],
                           .out_h = height.out,
                           .out_w = width.out,
                           .window_h = window[0],
                           .window_w = window[1],
                           .stride_h = stride[0],
                           .stride_w = stride[1],
                           .pad_top = height.before,
                           .pad_left = width.before};
    return DL_OK;
}

static dl_status run_max_pool(dl_tensor *y, int32_t *index, const dl_tensor *x, const dl_pool2d_sizes *s) {
    if (y->dtype == DL_FLOAT32)
        return dl_kernel()->maxpool2d_f32(y->context, DL_DATA(y, float), index, DL_DATA(x, float), s);
    return dl_kernel()->maxpool2d_f64(y->context, DL_DATA(y, double), index, DL_DATA(x, double), s);
}

static dl_status run_max_pool_backward(dl_tensor *grad_x, const dl_tensor *grad_y, const int32_t *index,
                                       const dl_pool2d_sizes *s) {
    if (grad_x->dtype == DL_FLOAT32)
        return dl_kernel()->maxpool2d_backward_f32(grad_x->context, DL_DATA(grad_x, float), DL_DATA(grad_y, float),
                                                   index, s);
    return dl_kernel()->maxpool2d_backward_f64(grad_x->context, DL_DATA(grad_x, double), DL_DATA(grad_y, double), index,
                                               s);
}

/* Makes the output and keeps the sizes as state. */
static dl_status begin_pool(dl_op_call *call, dl_tensor **x, dl_tensor **y, dl_pool2d_sizes *s) {
    DL_TRY(check_image(call->in[0]));
    DL_TRY(pool_sizes(call->in[0]->shape, call->options, s));
    *x = dl_dense(call->in[0]);
    *y = *x ? dl_call_output(call, 0, (*x)->dtype, 4, (int64_t[]){s->N, s->out_h, s->out_w, s->C}) : NULL;
    DL_TRY(*y ? DL_OK : dl_last_status());
    if (!call->node)
        return DL_OK;
    dl_pool2d_sizes *state = dl_call_state(call, sizeof *state);
    DL_TRY(state ? DL_OK : DL_MEMORY);
    *state = *s;
    return DL_OK;
}

static dl_status max_pool2d_forward(dl_op_call *call) {
    dl_tensor *x, *y;
    dl_pool2d_sizes s;
    DL_TRY(begin_pool(call, &x, &y, &s));
    dl_tensor *index = call->node ? dl_scratch(call->context, DL_INT32, 4, y->shape) : NULL;
    DL_TRY(call->node && !index ? dl_last_status() : DL_OK);
    DL_TRY(run_max_pool(y, index ? DL_DATA(index, int32_t) : NULL, x, &s));
    return dl_call_save(call, 0, index);
}

static dl_status max_pool2d_backward(dl_op_gradient *gradient) {
    dl_tensor *grad_x = dl_gradient_new(gradient, 0);
    DL_TRY(grad_x ? DL_OK : dl_last_status());
    return run_max_pool_backward(grad_x, gradient->grad_out[0], dl_saved_data(gradient, 0), gradient->state);
}

static const dl_field pool2d_fields[] = {
    DL_INTS(dl_pool2d_options, kernel_size, NULL, 2, 1, DL_HIGHEST, DL_REQUIRED, "the window, {height, width}"),
    DL_INTS(dl_pool2d_options, stride, "", 2, 1, DL_HIGHEST, DL_NONE_OK,
            "steps between the windows; none: kernel_size"),
    DL_ALTERNATIVE(dl_pool2d_options, padding, "valid", padding_alternatives, 0, "cells around the image"),
    DL_END,
};

const dl_op dl_op_max_pool2d = {
    .definition = {.name = "max_pool2d",
                   .version = 1,
                   .help = "The largest value in each window, the first of equal ones; padding is never the largest.",
                   .shapes = "{N, H, W, C} -> {N, H', W', C}",
                   .fields = pool2d_fields,
                   .options_size = sizeof(dl_pool2d_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = max_pool2d_forward,
    .backward = max_pool2d_backward,
};

static dl_status avg_pool2d_forward(dl_op_call *call) {
    dl_tensor *x, *y;
    dl_pool2d_sizes s;
    DL_TRY(begin_pool(call, &x, &y, &s));
    if (y->dtype == DL_FLOAT32)
        return dl_kernel()->avgpool2d_f32(call->context, DL_DATA(y, float), DL_DATA(x, float), &s);
    return dl_kernel()->avgpool2d_f64(call->context, DL_DATA(y, double), DL_DATA(x, double), &s);
}

static dl_status avg_pool2d_backward(dl_op_gradient *gradient) {
    dl_tensor *grad_x = dl_gradient_new(gradient, 0);
    DL_TRY(grad_x ? DL_OK : dl_last_status());
    const dl_tensor *grad_y = gradient->grad_out[0];
    if (grad_x->dtype == DL_FLOAT32)
        return dl_kernel()->avgpool2d_backward_f32(gradient->context, DL_DATA(grad_x, float), DL_DATA(grad_y, float),
                                                   gradient->state);
    return dl_kernel()->avgpool2d_backward_f64(gradient->context, DL_DATA(grad_x, double), DL_DATA(grad_y, double),
                                               gradient->state);
}

const dl_op dl_op_avg_pool2d = {
    .definition = {.name = "avg_pool2d",
                   .version = 1,
                   .help = "The mean of each window; padding is not counted.",
                   .shapes = "{N, H, W, C} -> {N, H', W', C}",
                   .fields = pool2d_fields,
                   .options_size = sizeof(dl_pool2d_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = avg_pool2d_forward,
    .backward = avg_pool2d_backward,
};

/* ---- conv2d_relu_maxpool --------------------------------------------------------------------------------------- */

/* The sizes of the convolution and of the 2 x 2 pooling after it; the first are where conv2d's backward looks. */
typedef struct fused_sizes {
    dl_conv2d_sizes conv;
    dl_pool2d_sizes pool;
} fused_sizes;

static const dl_conv2d_options plain_conv = {
    .stride = {.count = 1, .at = {1}}, .dilation = {.count = 1, .at = {1}}, .groups = 1};
static const dl_pool2d_options plain_pool = {.kernel_size = {.count = 1, .at = {2}}};

static bool has_fused_kernel(const dl_tensor *x, const dl_conv2d_sizes *s) {
    return x->dtype == DL_FLOAT32 && dl_conv2d_relu_maxpool_fits(s);
}

/* Without a kernel of its own: the convolution and the pooling, kept for backward as saved 2 and 3. */
static dl_status conv_then_pool(dl_op_call *call, const conv_inputs *in, dl_tensor *y, const fused_sizes *s) {
    dl_tensor *middle =
        dl_scratch(call->context, y->dtype, 4, (int64_t[]){s->conv.N, s->conv.out_h, s->conv.out_w, s->conv.K});
    dl_tensor *index = middle && call->node ? dl_scratch(call->context, DL_INT32, 4, y->shape) : NULL;
    DL_TRY(!middle || (call->node && !index) ? dl_last_status() : DL_OK);
    DL_TRY(run_conv(middle, in, &s->conv, true, true));
    DL_TRY(run_max_pool(y, index ? DL_DATA(index, int32_t) : NULL, middle, &s->pool));
    DL_TRY(dl_call_save(call, 2, middle));
    return dl_call_save(call, 3, index);
}

static dl_status fused_forward(dl_op_call *call) {
    dl_tensor *x = call->in[0], *weight = call->in[1];
    fused_sizes s;
    DL_TRY(check_weights(x, weight, call->inputs > 2 ? call->in[2] : NULL, 1));
    DL_TRY(conv_sizes(x, weight, &plain_conv, &s.conv));
    int64_t middle[4] = {s.conv.N, s.conv.out_h, s.conv.out_w, s.conv.K};
    DL_TRY(pool_sizes(middle, &plain_pool, &s.pool));
    conv_inputs in;
    DL_TRY(dense_inputs(call, &in));
    dl_tensor *y = dl_call_output(call, 0, x->dtype, 4, (int64_t[]){s.pool.N, s.pool.out_h, s.pool.out_w, s.pool.C});
    DL_TRY(y ? DL_OK : dl_last_status());
    fused_sizes *state = call->node ? dl_call_state(call, sizeof *state) : &s;
    DL_TRY(state ? DL_OK : DL_MEMORY);
    *state = s;
    DL_TRY(dl_call_save(call, 0, in.x));
    DL_TRY(dl_call_save(call, 1, in.weight));
    if (!has_fused_kernel(x, &s.conv))
        return conv_then_pool(call, &in, y, &s);
    dl_tensor *winner = call->node ? dl_scratch(call->context, DL_UINT8, 4, y->shape) : NULL;
    DL_TRY(call->node && !winner ? dl_last_status() : DL_OK);
    DL_TRY(dl_kernel()->conv2d_relu_maxpool_f32(call->context, DL_DATA(y, float),
                                                dl_data_or_null(winner), DL_DATA(in.x, float),
                                                DL_DATA(in.weight, float), dl_data_or_null(in.bias), &s.conv));
    return dl_call_save(call, 2, winner);
}

/* The fused kernel can leave the gradient of x out, but not the other two. */
static dl_status scratch_if_unwanted(dl_op_gradient *gradient, void **grad, int dims, const int64_t *shape) {
    if (*grad)
        return DL_OK;
    dl_tensor *unwanted = dl_scratch(gradient->context, DL_FLOAT32, dims, shape);
    DL_TRY(unwanted ? DL_OK : dl_last_status());
    *grad = dl_tensor_data(unwanted);
    return DL_OK;
}

static dl_status fused_backward(dl_op_gradient *gradient) {
    const fused_sizes *s = gradient->state;
    dl_tensor *grad = gradient->grad_out[0];
    if (gradient->saved[3]) {
        dl_tensor *grad_middle = dl_scratch(gradient->context, grad->dtype, 4, gradient->saved[2]->shape);
        DL_TRY(grad_middle ? DL_OK : dl_last_status());
        DL_TRY(run_max_pool_backward(grad_middle, grad, dl_saved_data(gradient, 3), &s->pool));
        return run_conv_backward(gradient, grad_middle, dl_saved_data(gradient, 2), true);
    }
    void *grads[3];
    DL_TRY(conv_gradients(gradient, grads));
    const int64_t *weight_shape = gradient->saved[1]->shape;
    DL_TRY(scratch_if_unwanted(gradient, &grads[1], 4, weight_shape));
    DL_TRY(scratch_if_unwanted(gradient, &grads[2], 1, &weight_shape[3]));
    return dl_kernel()->conv2d_relu_maxpool_backward_f32(gradient->context, grads[0], grads[1], grads[2],
                                                         dl_saved_data(gradient, 0), dl_saved_data(gradient, 1),
                                                         DL_DATA(grad, float), dl_saved_data(gradient, 2), &s->conv);
}

const dl_op dl_op_conv2d_relu_maxpool = {
    .definition = {.name = "conv2d_relu_maxpool",
                   .version = 1,
                   .help = "A convolution with stride 1 and no padding, relu, and max pooling of 2 x 2, in one sweep.",
                   .formula = "max_pool2d(relu(conv2d(x, weight, bias)), 2)",
                   .shapes = "x {N, H, W, C}, weight {height, width, C, K}, bias {K} -> {N, H', W', K}",
                   .fields = dl_no_fields},
    .inputs = "x weight bias?",
    .outputs = 1,
    .forward = fused_forward,
    .backward = fused_backward,
};
