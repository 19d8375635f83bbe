/* nn/layer_conv2d.c: the convolution of images. Kernels are (height, width, channels / groups, filters). */
#include "nn/weight_fields.h"

static dl_status init(dl_layer *layer) {
    const dl_conv2d_layer_options *options = DL_OPTIONS(layer, dl_conv2d_layer_options);
    DL_TRY(dl_check_data_format("Conv2D", options->data_format));
    if (options->filters % options->groups != 0)
        return dl_fail(DL_INVALID, "Conv2D: groups must divide filters, got %lld filters in %lld groups",
                       (long long)options->filters, (long long)options->groups);
    return dl_check_strides(layer, &options->strides, &options->dilation_rate);
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_conv2d_layer_options *options = DL_OPTIONS(layer, dl_conv2d_layer_options);
    int64_t channels = in->shape[3];
    DL_TRY(dl_need_channels(layer, in));
    if (channels % options->groups != 0)
        return dl_fail(DL_SHAPE, "Conv2D: groups (%lld) must divide the channels of the inputs, got %s",
                       (long long)options->groups, dl_spec_text_of(in).at);
    int64_t shape[4] = {options->kernel_size.at[0], options->kernel_size.at[1], channels / options->groups,
                        options->filters};
    DL_TRY(dl_layer_add_constrained(layer, "kernel", 4, shape, options->kernel_initializer, options->kernel_regularizer,
                                    options->kernel_constraint));
    if (!options->use_bias)
        return DL_OK;
    return dl_layer_add_constrained(layer, "bias", 1, &options->filters, options->bias_initializer,
                                    options->bias_regularizer, options->bias_constraint);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_conv2d_layer_options *options = DL_OPTIONS(layer, dl_conv2d_layer_options);
    if (in->shape[3] != layer->weights[0].value->shape[2] * options->groups)
        return dl_layer_fail_built(layer, in);
    DL_TRY(dl_layer_check_sizes(layer, in));
    *out = *in;
    for (int i = 0; i < 2; i++) {
        out->shape[1 + i] = dl_window_out(in->shape[1 + i], options->kernel_size.at[i], options->strides.at[i],
                                          options->dilation_rate.at[i], options->padding == DL_LAYER_PADDING_SAME);
        if (out->shape[1 + i] == 0)
            return dl_fail(DL_SHAPE,
                           "Conv2D: the kernel {%lld, %lld} is larger than the inputs %s; use a smaller kernel_size or "
                           "padding = 'same'",
                           (long long)options->kernel_size.at[0], (long long)options->kernel_size.at[1],
                           dl_spec_text_of(in).at);
    }
    out->shape[3] = options->filters;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_conv2d(dl_layer *layer, dl_layer_call *call) {
    const dl_conv2d_layer_options *options = DL_OPTIONS(layer, dl_conv2d_layer_options);
    dl_convolution conv = {.stride = options->strides, .dilation = options->dilation_rate, .groups = options->groups,
                           .activation = options->activation};
    conv.padding = options->padding == DL_LAYER_PADDING_SAME ? dl_padding_same() : dl_padding_valid();
    dl_tensor *y = dl_convolve(call->in[0], layer->weights[0].value,
                               options->use_bias ? layer->weights[1].value : NULL, &conv);
    DL_TRY(dl_layer_add_activity_loss(call, options->activity_regularizer, y));
    return dl_call_return(call, y);
}

static const dl_field fields[] = {
    DL_INT(dl_conv2d_layer_options, filters, 0, 1, DL_HIGHEST, DL_REQUIRED, "channels of the output"),
    DL_INTS(dl_conv2d_layer_options, kernel_size, NULL, 2, 1, DL_HIGHEST, DL_REQUIRED, "{height, width} of the window"),
    DL_INTS(dl_conv2d_layer_options, strides, "1,1", 2, 1, DL_HIGHEST, 0, "{height, width} of a step"),
    DL_ENUM(dl_conv2d_layer_options, padding, "valid", "valid|same", 0, "same: the output has ceil(size / stride)"),
    DL_STRING(dl_conv2d_layer_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),
    DL_INTS(dl_conv2d_layer_options, dilation_rate, "1,1", 2, 1, DL_HIGHEST, 0, "distance of the window's cells"),
    DL_INT(dl_conv2d_layer_options, groups, 1, 1, DL_HIGHEST, 0, "parts of the channels that are convolved apart"),
    DL_OUTPUT_FIELDS(dl_conv2d_layer_options),
    DL_KERNEL_FIELDS(dl_conv2d_layer_options),
    DL_LAYER_FIELDS(dl_conv2d_layer_options)};

const dl_layer_def dl_layer_conv2d = {
    .definition = {.name = "Conv2D", .aliases = "Convolution2D", .version = 1, .help = "Convolution of images.",
                   .formula = "y[p, q, k] = activation(sum of x[p + r, q + s, c] kernel[r, s, c, k] + bias[k])",
                   .source = "LeCun et al. 1989", .shapes = "(N, H, W, C) -> (N, H', W', filters)", .fields = fields,
                   .options_size = sizeof(dl_conv2d_layer_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 4, .maximum_dims = 4,
    .init = init, .build = build, .infer = infer, .call = call_conv2d};
