/* ops/conv_transpose.c: the transposed convolution of images: the gradient of a convolution, as an operation.
 *
 * Always true: `sizes` are those of the convolution from y (N, H', W', K) to x (N, H, W, C) whose gradient it is, so
 * each of forward and backward is one of that convolution's kernels. */
#include "ops/ops.h"

/* One side: the output's size and the padding of the convolution back, as in TensorFlow. */
static dl_status place_side(const dl_conv_transpose2d_options *options, int which, int64_t size, int64_t window,
                            int64_t *out, int64_t *before) {
    int64_t stride = options->stride.at[which % options->stride.count];
    int64_t dilation = options->dilation.at[which % options->dilation.count];
    int64_t reach;
    if (__builtin_mul_overflow(window - 1, dilation, &reach) || reach >= INT32_MAX || stride > INT32_MAX)
        return dl_fail(DL_INVALID, "dilation %lld or stride %lld is too large", (long long)dilation, (long long)stride);
    const dl_ints *extra = &options->output_padding;
    *out = dl_conv_transpose_size(size, window, stride, dilation, options->padding == DL_PADDING_SAME,
                                  extra->count ? extra->at[which % extra->count] : DL_NONE);
    int64_t total = (size - 1) * stride + reach + 1 - *out;
    *before = options->padding == DL_PADDING_SAME ? DL_MAX(total, 0) / 2 : 0;
    if (*out >= 1 || size == 0)
        return DL_OK;
    return dl_fail(DL_SHAPE, "an image of %lld pixels gives an output of %lld; use a larger kernel or output_padding",
                   (long long)size, (long long)*out);
}

int64_t dl_conv_transpose_size(int64_t size, int64_t window, int64_t stride, int64_t dilation, bool same,
                               int64_t output_padding) {
    int64_t reach = (window - 1) * dilation + 1;
    if (size == DL_NONE)
        return DL_NONE;
    if (same)
        return output_padding == DL_NONE ? size * stride : (size - 1) * stride + reach % 2 + output_padding;
    return (size - 1) * stride + reach + (output_padding == DL_NONE ? DL_MAX(stride - reach, 0) : output_padding);
}

static dl_status check_inputs(const dl_tensor *x, const dl_tensor *weight) {
    DL_TRY(dl_need_float(x, "x"));
    DL_TRY(dl_need_dtype(weight, "weight", x->dtype));
    if (x->dims != 4)
        return dl_fail(DL_SHAPE, "x has shape %s; images have four dimensions, {N, H, W, C}", dl_shape_text(x).at);
    if (weight->dims != 4 || weight->shape[0] < 1 || weight->shape[1] < 1 || weight->shape[3] != x->shape[3])
        return dl_fail(DL_SHAPE, "x has shape %s and weight %s; weight must be {height, width, K, C} with C = %lld",
                       dl_shape_text(x).at, dl_shape_text(weight).at, (long long)x->shape[3]);
    return DL_OK;
}

static dl_status find_sizes(const dl_tensor *x, const dl_tensor *weight, const dl_conv_transpose2d_options *options,
                            dl_conv2d_sizes *s) {
    *s = (dl_conv2d_sizes){.N = x->shape[0], .C = weight->shape[2], .out_h = x->shape[1], .out_w = x->shape[2],
                           .K = x->shape[3], .kernel_h = weight->shape[0], .kernel_w = weight->shape[1],
                           .stride_h = options->stride.at[0],
                           .stride_w = options->stride.at[options->stride.count - 1],
                           .dilation_h = options->dilation.at[0],
                           .dilation_w = options->dilation.at[options->dilation.count - 1], .groups = 1};
    DL_TRY(place_side(options, 0, x->shape[1], weight->shape[0], &s->H, &s->pad_top));
    return place_side(options, 1, x->shape[2], weight->shape[1], &s->W, &s->pad_left);
}

/* The gradients of the convolution: by its input (grad_x) and its weights, where they are not NULL. */
static dl_status run_gradients(dl_context *context, dl_dtype dtype, void *grad_x, void *grad_weight, const void *x,
                               const void *weight, const void *grad_y, const dl_conv2d_sizes *s) {
    if (dtype == DL_FLOAT32)
        return dl_kernel()->conv2d_backward_f32(context, grad_x, grad_weight, NULL, x, weight, grad_y, NULL, s, false);
    return dl_kernel()->conv2d_backward_f64(context, grad_x, grad_weight, NULL, x, weight, grad_y, NULL, s, false);
}

/* saved: 0 x, 1 weight; state: the sizes. */
static dl_status conv_transpose2d_forward(dl_op_call *call) {
    dl_conv2d_sizes s;
    DL_TRY(check_inputs(call->in[0], call->in[1]));
    DL_TRY(find_sizes(call->in[0], call->in[1], call->options, &s));
    dl_tensor *x = dl_dense(call->in[0]);
    dl_tensor *weight = x ? dl_dense(call->in[1]) : NULL;
    dl_tensor *y = weight ? dl_call_output(call, 0, x->dtype, 4, (int64_t[]){s.N, s.H, s.W, s.C}) : NULL;
    DL_TRY(y ? DL_OK : dl_last_status());
    DL_TRY(run_gradients(call->context, x->dtype, dl_tensor_data(y), NULL, NULL, dl_tensor_data(weight),
                         dl_tensor_data(x), &s));
    if (!call->node)
        return DL_OK;
    dl_conv2d_sizes *state = dl_call_state(call, sizeof *state);
    DL_TRY(state ? DL_OK : DL_MEMORY);
    *state = s;
    if (dl_call_needs(call, 1))
        DL_TRY(dl_call_save(call, 0, x));
    return dl_call_needs(call, 0) ? dl_call_save(call, 1, weight) : DL_OK;
}

static dl_status conv_transpose2d_backward(dl_op_gradient *gradient) {
    const dl_conv2d_sizes *s = gradient->state;
    const dl_tensor *grad = gradient->grad_out[0];
    const void *g = dl_tensor_data(grad);
    if (gradient->needs[0]) {
        dl_tensor *grad_x = dl_gradient_new(gradient, 0);
        DL_TRY(grad_x ? DL_OK : dl_last_status());
        const void *weight = dl_saved_data(gradient, 1);
        const dl_kernels *kernels = dl_kernel();
        if (grad->dtype == DL_FLOAT32)
            DL_TRY(kernels->conv2d_f32(gradient->context, DL_DATA(grad_x, float), g, weight, NULL, s, false, false));
        else
            DL_TRY(kernels->conv2d_f64(gradient->context, DL_DATA(grad_x, double), g, weight, NULL, s, false, false));
    }
    if (!gradient->needs[1])
        return DL_OK;
    dl_tensor *grad_weight = dl_gradient_new(gradient, 1);
    DL_TRY(grad_weight ? DL_OK : dl_last_status());
    return run_gradients(gradient->context, grad->dtype, NULL, dl_tensor_data(grad_weight), g, NULL,
                         dl_saved_data(gradient, 0), s);
}

static const dl_field conv_transpose2d_fields[] = {
    DL_INTS(dl_conv_transpose2d_options, stride, "1", 2, 1, DL_HIGHEST, 0, "steps between the windows"),
    DL_ENUM(dl_conv_transpose2d_options, padding, "valid", "valid|same", 0,
            "same: the input's size times the stride"),
    DL_INTS(dl_conv_transpose2d_options, output_padding, NULL, 2, 0, DL_HIGHEST, DL_NONE_OK,
            "how much more the output has than the windows cover; none: what makes the usual size"),
    DL_INTS(dl_conv_transpose2d_options, dilation, "1", 2, 1, DL_HIGHEST, 0, "distance of a window's cells"),
    DL_END,
};

const dl_op dl_op_conv_transpose2d = {
    .definition = {.name = "conv_transpose2d",
                   .version = 1,
                   .help = "Transposed convolution of images: the gradient of conv2d with respect to its input.",
                   .formula = "y[n, stride * p + r, stride * q + s, k] += x[n, p, q, c] * weight[r, s, k, c]",
                   .shapes = "x {N, H, W, C}, weight {height, width, K, C} -> {N, H', W', K}",
                   .fields = conv_transpose2d_fields,
                   .options_size = sizeof(dl_conv_transpose2d_options)},
    .inputs = "x weight",
    .outputs = 1,
    .forward = conv_transpose2d_forward,
    .backward = conv_transpose2d_backward,
};
