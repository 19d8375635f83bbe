/* nn/layer_depthwise.c: convolutions that keep channels apart: DepthwiseConv2D, and SeparableConv2D, which mixes them
 * by a 1 x 1 convolution afterwards. Depthwise kernels are (height, width, channels, multiplier); output channel c *
 * multiplier + m is made of channel c. */
#include "nn/weight_fields.h"

/* ---- the part that both have ------------------------------------------------------------------------------------- */

/* What the two layers' options say of the depthwise part. */
typedef struct depthwise {
    const dl_ints *kernel_size, *strides, *dilation_rate;
    int padding;
    int64_t multiplier;
} depthwise;

static dl_status add_depthwise_kernel(dl_layer *layer, const char *name, const depthwise *d, int64_t channels,
                                      dl_object *initializer, dl_object *regularizer, dl_object *constraint) {
    int64_t shape[4] = {d->kernel_size->at[0], d->kernel_size->at[1], channels, d->multiplier};
    return dl_layer_add_constrained(layer, name, 4, shape, initializer, regularizer, constraint);
}

static dl_status infer_depthwise(const dl_layer *layer, const depthwise *d, const dl_spec *in, dl_spec *out) {
    if (in->shape[3] != layer->weights[0].value->shape[2])
        return dl_layer_fail_built(layer, in);
    DL_TRY(dl_layer_check_sizes(layer, in));
    *out = *in;
    for (int i = 0; i < 2; i++) {
        out->shape[1 + i] = dl_window_out(in->shape[1 + i], d->kernel_size->at[i], d->strides->at[i],
                                          d->dilation_rate->at[i], d->padding == DL_LAYER_PADDING_SAME);
        if (out->shape[1 + i] == 0)
            return dl_fail_window(layer, "kernel_size", in);
    }
    out->shape[3] = in->shape[3] * d->multiplier;
    return DL_OK;
}

static dl_tensor *run_depthwise(const dl_layer *layer, const depthwise *d, dl_tensor *x, dl_tensor *bias,
                                dl_object *activation) {
    const int64_t *own = layer->weights[0].value->shape;
    int64_t shape[4] = {own[0], own[1], 1, own[2] * own[3]};
    dl_convolution conv = {.stride = *d->strides, .dilation = *d->dilation_rate, .groups = own[2],
                           .padding = d->padding == DL_LAYER_PADDING_SAME ? dl_padding_same() : dl_padding_valid(),
                           .activation = activation};
    return dl_convolve(x, dl_reshape(x->context, layer->weights[0].value, 4, shape), bias, &conv);
}

/* ---- DepthwiseConv2D --------------------------------------------------------------------------------------------- */

static depthwise of_depthwise(const dl_layer *layer) {
    const dl_depthwise_conv2d_options *options = DL_OPTIONS(layer, dl_depthwise_conv2d_options);
    return (depthwise){&options->kernel_size, &options->strides, &options->dilation_rate, options->padding,
                       options->depth_multiplier};
}

static dl_status depthwise_init(dl_layer *layer) {
    const dl_depthwise_conv2d_options *options = DL_OPTIONS(layer, dl_depthwise_conv2d_options);
    DL_TRY(dl_check_data_format("DepthwiseConv2D", options->data_format));
    return dl_check_strides(layer, &options->strides, &options->dilation_rate);
}

static dl_status depthwise_build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_depthwise_conv2d_options *options = DL_OPTIONS(layer, dl_depthwise_conv2d_options);
    const dl_spec *in = inputs->specs;
    depthwise d = of_depthwise(layer);
    DL_TRY(dl_need_channels(layer, in));
    DL_TRY(add_depthwise_kernel(layer, "kernel", &d, in->shape[3], options->depthwise_initializer,
                                options->depthwise_regularizer, options->depthwise_constraint));
    int64_t filters = in->shape[3] * d.multiplier;
    if (!options->use_bias)
        return DL_OK;
    return dl_layer_add_constrained(layer, "bias", 1, &filters, options->bias_initializer, options->bias_regularizer,
                                    options->bias_constraint);
}

static dl_status depthwise_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    depthwise d = of_depthwise(layer);
    *outputs = 1;
    return infer_depthwise(layer, &d, inputs->specs, out);
}

static dl_status call_depthwise(dl_layer *layer, dl_layer_call *call) {
    const dl_depthwise_conv2d_options *options = DL_OPTIONS(layer, dl_depthwise_conv2d_options);
    depthwise d = of_depthwise(layer);
    dl_tensor *y = run_depthwise(layer, &d, call->in[0], options->use_bias ? layer->weights[1].value : NULL,
                                 options->activation);
    DL_TRY(dl_layer_add_activity_loss(call, options->activity_regularizer, y));
    return dl_call_return(call, y);
}

/* ---- SeparableConv2D --------------------------------------------------------------------------------------------- */

static depthwise of_separable(const dl_layer *layer) {
    const dl_separable_conv2d_options *options = DL_OPTIONS(layer, dl_separable_conv2d_options);
    return (depthwise){&options->kernel_size, &options->strides, &options->dilation_rate, options->padding,
                       options->depth_multiplier};
}

static dl_status separable_init(dl_layer *layer) {
    const dl_separable_conv2d_options *options = DL_OPTIONS(layer, dl_separable_conv2d_options);
    DL_TRY(dl_check_data_format("SeparableConv2D", options->data_format));
    return dl_check_strides(layer, &options->strides, &options->dilation_rate);
}

static dl_status separable_build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_separable_conv2d_options *options = DL_OPTIONS(layer, dl_separable_conv2d_options);
    const dl_spec *in = inputs->specs;
    depthwise d = of_separable(layer);
    DL_TRY(dl_need_channels(layer, in));
    DL_TRY(add_depthwise_kernel(layer, "depthwise_kernel", &d, in->shape[3], options->depthwise_initializer,
                                options->depthwise_regularizer, options->depthwise_constraint));
    int64_t shape[4] = {1, 1, in->shape[3] * d.multiplier, options->filters};
    DL_TRY(dl_layer_add_constrained(layer, "pointwise_kernel", 4, shape, options->pointwise_initializer,
                                    options->pointwise_regularizer, options->pointwise_constraint));
    if (!options->use_bias)
        return DL_OK;
    return dl_layer_add_constrained(layer, "bias", 1, &options->filters, options->bias_initializer,
                                    options->bias_regularizer, options->bias_constraint);
}

static dl_status separable_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    depthwise d = of_separable(layer);
    *outputs = 1;
    DL_TRY(infer_depthwise(layer, &d, inputs->specs, out));
    out->shape[3] = DL_OPTIONS(layer, dl_separable_conv2d_options)->filters;
    return DL_OK;
}

static dl_status call_separable(dl_layer *layer, dl_layer_call *call) {
    const dl_separable_conv2d_options *options = DL_OPTIONS(layer, dl_separable_conv2d_options);
    depthwise d = of_separable(layer);
    dl_convolution mix = {.stride = {2, {1, 1}}, .dilation = {2, {1, 1}}, .padding = dl_padding_valid(), .groups = 1,
                          .activation = options->activation};
    dl_tensor *y = run_depthwise(layer, &d, call->in[0], NULL, NULL);
    y = dl_convolve(y, layer->weights[1].value, options->use_bias ? layer->weights[2].value : NULL, &mix);
    DL_TRY(dl_layer_add_activity_loss(call, options->activity_regularizer, y));
    return dl_call_return(call, y);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define WINDOW(type)                                                                                                   \
    DL_INTS(type, kernel_size, NULL, 2, 1, DL_HIGHEST, DL_REQUIRED, "{height, width} of the window"),                  \
    DL_INTS(type, strides, "1,1", 2, 1, DL_HIGHEST, 0, "{height, width} of a step"),                                   \
    DL_ENUM(type, padding, "valid", "valid|same", 0, "same: the output has ceil(size / stride)")
#define MULTIPLIER(type) DL_INT(type, depth_multiplier, 1, 1, DL_HIGHEST, 0, "output channels of each input channel")
#define FORMAT(type) DL_STRING(type, data_format, NULL, DL_NONE_OK, "channels_last, the only one")
#define DILATION(type) DL_INTS(type, dilation_rate, "1,1", 2, 1, DL_HIGHEST, 0, "distance of the window's cells")

static const dl_field depthwise_fields[] = {
    WINDOW(dl_depthwise_conv2d_options),
    MULTIPLIER(dl_depthwise_conv2d_options),
    FORMAT(dl_depthwise_conv2d_options),
    DILATION(dl_depthwise_conv2d_options),
    DL_OUTPUT_FIELDS(dl_depthwise_conv2d_options),
    DL_INITIALIZER_FIELD(dl_depthwise_conv2d_options, depthwise_initializer, "glorot_uniform", "of the kernel"),
    DL_INITIALIZER_FIELD(dl_depthwise_conv2d_options, bias_initializer, "zeros", "of the bias"),
    DL_PENALTY_FIELD(dl_depthwise_conv2d_options, depthwise_regularizer, "penalty on the kernel"),
    DL_PENALTY_FIELD(dl_depthwise_conv2d_options, bias_regularizer, "penalty on the bias"),
    DL_PENALTY_FIELD(dl_depthwise_conv2d_options, activity_regularizer, "penalty on the output"),
    DL_CONSTRAINT_FIELD(dl_depthwise_conv2d_options, depthwise_constraint, "what the kernel keeps to"),
    DL_CONSTRAINT_FIELD(dl_depthwise_conv2d_options, bias_constraint, "what the bias keeps to"),
    DL_LAYER_FIELDS(dl_depthwise_conv2d_options)};

const dl_layer_def dl_layer_depthwise_conv2d = {
    .definition = {.name = "DepthwiseConv2D", .version = 1, .help = "Convolution of each channel of images by itself.",
                   .formula = "y[p, q, c, m] = activation(sum of x[p + r, q + s, c] kernel[r, s, c, m] + bias)",
                   .source = "Sifre 2014; Chollet 2016", .shapes = "(N, H, W, C) -> (N, H', W', C * depth_multiplier)",
                   .fields = depthwise_fields, .options_size = sizeof(dl_depthwise_conv2d_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 4, .maximum_dims = 4,
    .init = depthwise_init, .build = depthwise_build, .infer = depthwise_infer, .call = call_depthwise};

static const dl_field separable_fields[] = {
    DL_INT(dl_separable_conv2d_options, filters, 0, 1, DL_HIGHEST, DL_REQUIRED, "channels of the output"),
    WINDOW(dl_separable_conv2d_options),
    FORMAT(dl_separable_conv2d_options),
    DILATION(dl_separable_conv2d_options),
    MULTIPLIER(dl_separable_conv2d_options),
    DL_OUTPUT_FIELDS(dl_separable_conv2d_options),
    DL_INITIALIZER_FIELD(dl_separable_conv2d_options, depthwise_initializer,
                         "glorot_uniform", "of the depthwise kernel"),
    DL_INITIALIZER_FIELD(dl_separable_conv2d_options, pointwise_initializer, "glorot_uniform", "of the 1 x 1 kernel"),
    DL_INITIALIZER_FIELD(dl_separable_conv2d_options, bias_initializer, "zeros", "of the bias"),
    DL_PENALTY_FIELD(dl_separable_conv2d_options, depthwise_regularizer, "penalty on the depthwise kernel"),
    DL_PENALTY_FIELD(dl_separable_conv2d_options, pointwise_regularizer, "penalty on the 1 x 1 kernel"),
    DL_PENALTY_FIELD(dl_separable_conv2d_options, bias_regularizer, "penalty on the bias"),
    DL_PENALTY_FIELD(dl_separable_conv2d_options, activity_regularizer, "penalty on the output"),
    DL_CONSTRAINT_FIELD(dl_separable_conv2d_options, depthwise_constraint, "what the depthwise kernel keeps to"),
    DL_CONSTRAINT_FIELD(dl_separable_conv2d_options, pointwise_constraint, "what the 1 x 1 kernel keeps to"),
    DL_CONSTRAINT_FIELD(dl_separable_conv2d_options, bias_constraint, "what the bias keeps to"),
    DL_LAYER_FIELDS(dl_separable_conv2d_options)};

const dl_layer_def dl_layer_separable_conv2d = {
    .definition = {.name = "SeparableConv2D", .aliases = "SeparableConvolution2D", .version = 1,
                   .help = "Convolution of each channel of images by itself, then one of 1 x 1 that mixes them.",
                   .source = "Chollet 2016", .shapes = "(N, H, W, C) -> (N, H', W', filters)",
                   .fields = separable_fields, .options_size = sizeof(dl_separable_conv2d_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 4, .maximum_dims = 4,
    .init = separable_init, .build = separable_build, .infer = separable_infer, .call = call_separable};
