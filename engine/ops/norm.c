/* ops/norm.c: batch normalization (Ioffe and Szegedy 2015) over all dimensions but the last, the channels. Both forms
 * come down to one sweep y = x * scale + shift with a scale and a shift for each channel. */
#include "ops/ops.h"

/* ---- what both forms share ------------------------------------------------------------------------------------- */

static dl_status check_channels(const dl_op_call *call, const char *const *names) {
    const dl_tensor *x = call->in[0];
    DL_TRY(dl_need_float(x, "x"));
    if (x->dims == 0)
        return dl_fail(DL_SHAPE, "x has no dimensions; its last dimension must be the channels");
    for (int i = 1; i < call->inputs; i++) {
        DL_TRY(dl_need_dtype(call->in[i], names[i], x->dtype));
        DL_TRY(dl_need_vector(call->in[i], names[i], x->shape[x->dims - 1], "one for each channel of x"));
    }
    return DL_OK;
}

static int64_t channels_of(const dl_tensor *x) {
    return x->shape[x->dims - 1];
}

static int64_t rows_of(const dl_tensor *x) {
    int64_t rows = 1;
    for (int i = 0; i < x->dims - 1; i++)
        rows *= x->shape[i];
    return rows;
}

/* 1 / sqrt(var + epsilon); of the open scope. */
static dl_tensor *inverse_deviation(dl_context *context, dl_tensor *var, double epsilon) {
    return dl_rsqrt(context, dl_add_number(context, var, epsilon));
}

/* y = (x - mean) * inverse * weight + bias; weight and bias may be NULL. */
static dl_status normalize(dl_tensor *y, dl_tensor *x, dl_tensor *mean, dl_tensor *inverse, dl_tensor *weight,
                           dl_tensor *bias) {
    dl_context *context = x->context;
    dl_tensor *scale = weight ? dl_mul(context, inverse, weight) : inverse;
    dl_tensor *shift = dl_mul(context, mean, scale);
    shift = bias ? dl_sub(context, bias, shift) : dl_neg(context, shift);
    scale = dl_dense(scale);
    DL_TRY(scale && shift ? DL_OK : dl_last_status());
    return dl_kernel()->channel_affine(context, dl_element_of(x), dl_tensor_data(y), dl_tensor_data(x),
                                       dl_tensor_data(scale), dl_tensor_data(shift), rows_of(x), channels_of(x));
}

/* saved: 0 x, 1 mean, 2 inverse deviation, 3 weight (maybe none). All contiguous. */
static dl_status save_all(dl_op_call *call, dl_tensor *x, dl_tensor *mean, dl_tensor *inverse, dl_tensor *weight) {
    DL_TRY(dl_call_save(call, 0, x));
    DL_TRY(dl_call_save(call, 1, mean));
    DL_TRY(dl_call_save(call, 2, inverse));
    return weight ? dl_call_save(call, 3, weight) : DL_OK;
}

/* The end of both forwards: y from these moments, and what their backward needs. */
static dl_status normalize_and_save(dl_op_call *call, dl_tensor *y, dl_tensor *x, dl_tensor *mean, dl_tensor *var,
                                    dl_tensor *weight, dl_tensor *bias) {
    const dl_batch_norm_options *options = call->options;
    bool recorded = dl_set_grad_enabled(call->context, false);
    dl_tensor *inverse = inverse_deviation(call->context, var, options->epsilon);
    dl_status status = inverse ? normalize(y, x, mean, inverse, weight, bias) : dl_last_status();
    dl_set_grad_enabled(call->context, recorded);
    DL_TRY(status);
    dl_tensor *dense = dl_dense(weight);
    DL_TRY(weight && !dense ? dl_last_status() : DL_OK);
    return save_all(call, x, mean, inverse, dense);
}

/* sum of g * xhat and sum of g for each channel, and the gradient of x through the batch's own moments (NULL: not
 * wanted). */
static dl_status channel_gradients(const dl_op_gradient *gradient, dl_tensor *grad_x, dl_tensor *grad_weight,
                                   dl_tensor *grad_bias) {
    const dl_tensor *x = gradient->saved[0];
    return dl_kernel()->batch_norm_backward(
        gradient->context, dl_element_of(x), dl_data_or_null(grad_x), dl_tensor_data(grad_weight),
        dl_tensor_data(grad_bias), dl_tensor_data(gradient->grad_out[0]), dl_tensor_data(x), dl_saved_data(gradient, 1),
        dl_saved_data(gradient, 2), dl_saved_data(gradient, 3), rows_of(x), channels_of(x));
}

static const dl_field batch_norm_fields[] = {
    DL_REAL(dl_batch_norm_options, epsilon, 0.001, 0, DL_HIGHEST, 0, "added to the variance"),
    DL_END,
};

/* ---- in training: the batch's own mean and variance ------------------------------------------------------------ */

static dl_status training_forward(dl_op_call *call) {
    static const char *const names[] = {"x", "weight", "bias"};
    DL_TRY(check_channels(call, names));
    dl_context *context = call->context;
    dl_tensor *x = dl_dense(call->in[0]);
    DL_TRY(x ? DL_OK : dl_last_status());
    int64_t channels = channels_of(x);
    dl_tensor *y = dl_call_output(call, 0, x->dtype, x->dims, x->shape);
    dl_tensor *mean = y ? dl_call_output(call, 1, x->dtype, 1, &channels) : NULL;
    dl_tensor *var = mean ? dl_call_output(call, 2, x->dtype, 1, &channels) : NULL;
    DL_TRY(var ? DL_OK : dl_last_status());
    DL_TRY(dl_kernel()->channel_moments(context, dl_element_of(x), dl_tensor_data(mean), dl_tensor_data(var),
                                        dl_tensor_data(x), rows_of(x), channels));
    dl_tensor *weight = call->inputs > 1 ? call->in[1] : NULL, *bias = call->inputs > 2 ? call->in[2] : NULL;
    return normalize_and_save(call, y, x, mean, var, weight, bias);
}

static dl_status training_backward(dl_op_gradient *gradient) {
    if (!gradient->grad_out[0])
        return DL_OK;
    int64_t channels = channels_of(gradient->saved[0]);
    dl_dtype dtype = gradient->dtypes[0];
    dl_tensor *grad_x = gradient->needs[0] ? dl_gradient_new(gradient, 0) : NULL;
    dl_tensor *grads[3] = {grad_x};
    for (int i = 1; i < 3; i++) {
        bool needed = i < gradient->inputs && gradient->needs[i];
        grads[i] = needed ? dl_gradient_new(gradient, i) : dl_scratch(gradient->context, dtype, 1, &channels);
    }
    DL_TRY((gradient->needs[0] && !grad_x) || !grads[1] || !grads[2] ? dl_last_status() : DL_OK);
    return channel_gradients(gradient, grad_x, grads[1], grads[2]);
}

const dl_op dl_op_batch_norm_training = {
    .definition = {.name = "batch_norm_training",
                   .version = 1,
                   .help = "Batch normalization with the mean and the variance of x itself, which it gives too. No "
                           "gradient flows back from those two results.",
                   .formula = "(x - mean) / sqrt(var + epsilon) * weight + bias",
                   .source = "Ioffe and Szegedy 2015",
                   .shapes = "x {..., C}, weight {C}, bias {C} -> {..., C}, mean {C}, var {C}",
                   .fields = batch_norm_fields,
                   .options_size = sizeof(dl_batch_norm_options)},
    .inputs = "x weight? bias?",
    .outputs = 3,
    .forward = training_forward,
    .backward = training_backward,
};

/* ---- in inference: given statistics ---------------------------------------------------------------------------- */

static dl_status inference_forward(dl_op_call *call) {
    static const char *const names[] = {"x", "mean", "var", "weight", "bias"};
    DL_TRY(check_channels(call, names));
    dl_tensor *x = dl_dense(call->in[0]), *mean = dl_dense(call->in[1]);
    dl_tensor *y = x && mean ? dl_call_output(call, 0, x->dtype, x->dims, x->shape) : NULL;
    DL_TRY(y ? DL_OK : dl_last_status());
    dl_tensor *weight = call->inputs > 3 ? call->in[3] : NULL, *bias = call->inputs > 4 ? call->in[4] : NULL;
    return normalize_and_save(call, y, x, mean, call->in[2], weight, bias);
}

/* With s = weight * inverse: dx = g s, dmean = -s sum(g), dvar = -s inverse / 2 * sum(g xhat). */
static dl_status inference_backward(dl_op_gradient *gradient) {
    dl_context *context = gradient->context;
    int64_t channels = channels_of(gradient->saved[0]);
    dl_tensor *inverse = gradient->saved[2], *weight = gradient->saved[3];
    dl_tensor *scale = weight ? dl_mul(context, weight, inverse) : inverse;
    if (gradient->needs[0])
        DL_TRY(dl_gradient_set(gradient, 0, dl_mul(context, gradient->grad_out[0], scale)));
    dl_tensor *sum_products = dl_scratch(context, gradient->dtypes[0], 1, &channels);
    dl_tensor *sum = dl_scratch(context, gradient->dtypes[0], 1, &channels);
    DL_TRY(sum_products && sum ? DL_OK : dl_last_status());
    DL_TRY(channel_gradients(gradient, NULL, sum_products, sum));
    if (gradient->needs[1])
        DL_TRY(dl_gradient_set(gradient, 1, dl_neg(context, dl_mul(context, scale, sum))));
    if (gradient->needs[2]) {
        dl_tensor *slope = dl_mul_number(context, dl_mul(context, scale, inverse), -0.5);
        DL_TRY(dl_gradient_set(gradient, 2, dl_mul(context, slope, sum_products)));
    }
    if (gradient->inputs > 3 && gradient->needs[3])
        DL_TRY(dl_gradient_set(gradient, 3, sum_products));
    if (gradient->inputs > 4 && gradient->needs[4])
        DL_TRY(dl_gradient_set(gradient, 4, sum));
    return DL_OK;
}

const dl_op dl_op_batch_norm = {
    .definition = {.name = "batch_norm",
                   .version = 1,
                   .help = "Batch normalization with given statistics, as in inference.",
                   .formula = "(x - mean) / sqrt(var + epsilon) * weight + bias",
                   .source = "Ioffe and Szegedy 2015",
                   .shapes = "x {..., C}, mean {C}, var {C}, weight {C}, bias {C} -> {..., C}",
                   .fields = batch_norm_fields,
                   .options_size = sizeof(dl_batch_norm_options)},
    .inputs = "x mean var weight? bias?",
    .outputs = 1,
    .forward = inference_forward,
    .backward = inference_backward,
};
