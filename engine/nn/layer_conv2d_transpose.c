/* nn/layer_conv2d_transpose.c: the transposed convolution of images. Kernels are (height, width, filters, channels). */
#include "nn/weight_fields.h"

static dl_status init(dl_layer *layer) {
    const dl_conv2d_transpose_options *options = DL_OPTIONS(layer, dl_conv2d_transpose_options);
    DL_TRY(dl_check_data_format("Conv2DTranspose", options->data_format));
    for (int i = 0; i < options->output_padding.count; i++)
        if (options->output_padding.at[i] >= options->strides.at[i])
            return dl_fail(DL_INVALID, "Conv2DTranspose: output_padding must be below strides {%lld, %lld}, got %lld",
                           (long long)options->strides.at[0], (long long)options->strides.at[1],
                           (long long)options->output_padding.at[i]);
    return dl_check_strides(layer, &options->strides, &options->dilation_rate);
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_conv2d_transpose_options *options = DL_OPTIONS(layer, dl_conv2d_transpose_options);
    DL_TRY(dl_need_channels(layer, in));
    int64_t shape[4] = {options->kernel_size.at[0], options->kernel_size.at[1], options->filters, in->shape[3]};
    DL_TRY(dl_layer_add_constrained(layer, "kernel", 4, shape, options->kernel_initializer, options->kernel_regularizer,
                                    options->kernel_constraint));
    if (!options->use_bias)
        return DL_OK;
    return dl_layer_add_constrained(layer, "bias", 1, &options->filters, options->bias_initializer,
                                    options->bias_regularizer, options->bias_constraint);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_conv2d_transpose_options *options = DL_OPTIONS(layer, dl_conv2d_transpose_options);
    if (in->shape[3] != layer->weights[0].value->shape[3])
        return dl_layer_fail_built(layer, in);
    DL_TRY(dl_layer_check_sizes(layer, in));
    *out = *in;
    for (int i = 0; i < 2; i++) {
        int64_t extra = options->output_padding.count ? options->output_padding.at[i] : DL_NONE;
        out->shape[1 + i] = dl_conv_transpose_size(in->shape[1 + i], options->kernel_size.at[i], options->strides.at[i],
                                                   options->dilation_rate.at[i],
                                                   options->padding == DL_LAYER_PADDING_SAME, extra);
        if (out->shape[1 + i] != DL_NONE && out->shape[1 + i] < 1)
            return dl_fail(DL_SHAPE, "Conv2DTranspose: the output of inputs %s has no pixels; use a larger kernel_size "
                           "or output_padding", dl_spec_text_of(in).at);
    }
    out->shape[3] = options->filters;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_transpose(dl_layer *layer, dl_layer_call *call) {
    const dl_conv2d_transpose_options *options = DL_OPTIONS(layer, dl_conv2d_transpose_options);
    dl_conv_transpose2d_options conv = {
        .stride = options->strides, .dilation = options->dilation_rate, .output_padding = options->output_padding,
        .padding = options->padding == DL_LAYER_PADDING_SAME ? DL_PADDING_SAME : DL_PADDING_VALID};
    dl_tensor *y = dl_conv_transpose2d(call->context, call->in[0], layer->weights[0].value, &conv);
    if (options->use_bias)
        y = dl_add(call->context, y, layer->weights[1].value);
    y = dl_activate(options->activation, y);
    DL_TRY(dl_layer_add_activity_loss(call, options->activity_regularizer, y));
    return dl_call_return(call, y);
}

static const dl_field fields[] = {
    DL_INT(dl_conv2d_transpose_options, filters, 0, 1, DL_HIGHEST, DL_REQUIRED, "channels of the output"),
    DL_INTS(dl_conv2d_transpose_options, kernel_size, NULL, 2, 1, DL_HIGHEST, DL_REQUIRED,
            "{height, width} of the window"),
    DL_INTS(dl_conv2d_transpose_options, strides, "1,1", 2, 1, DL_HIGHEST, 0, "{height, width}: times larger"),
    DL_ENUM(dl_conv2d_transpose_options, padding, "valid", "valid|same", 0, "same: the input's size times the strides"),
    DL_INTS(dl_conv2d_transpose_options, output_padding, NULL, 2, 0, DL_HIGHEST, DL_NONE_OK,
            "how much more the output has than the windows cover; none: what makes the usual size"),
    DL_STRING(dl_conv2d_transpose_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),
    DL_INTS(dl_conv2d_transpose_options, dilation_rate, "1,1", 2, 1, DL_HIGHEST, 0, "distance of the window's cells"),
    DL_OUTPUT_FIELDS(dl_conv2d_transpose_options),
    DL_KERNEL_FIELDS(dl_conv2d_transpose_options),
    DL_LAYER_FIELDS(dl_conv2d_transpose_options)};

const dl_layer_def dl_layer_conv2d_transpose = {
    .definition = {.name = "Conv2DTranspose", .aliases = "Convolution2DTranspose|Deconvolution2D", .version = 1,
                   .help = "Transposed convolution of images, which makes them larger.",
                   .formula = "y[stride * p + r, stride * q + s, k] += x[p, q, c] kernel[r, s, k, c], + bias[k]",
                   .source = "Zeiler et al. 2010", .shapes = "(N, H, W, C) -> (N, H', W', filters)", .fields = fields,
                   .options_size = sizeof(dl_conv2d_transpose_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 4, .maximum_dims = 4,
    .init = init, .build = build, .infer = infer, .call = call_transpose};
