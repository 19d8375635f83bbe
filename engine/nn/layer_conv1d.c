/* nn/layer_conv1d.c: the convolution of sequences, as that of images of height 1. Kernels are (steps, channels /
 * groups, filters). */
#include "nn/weight_fields.h"

static dl_status init(dl_layer *layer) {
    const dl_conv1d_options *options = DL_OPTIONS(layer, dl_conv1d_options);
    DL_TRY(dl_check_data_format("Conv1D", options->data_format));
    if (options->filters % options->groups != 0)
        return dl_fail(DL_INVALID, "Conv1D: groups must divide filters, got %lld filters in %lld groups",
                       (long long)options->filters, (long long)options->groups);
    return dl_check_strides(layer, &options->strides, &options->dilation_rate);
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_conv1d_options *options = DL_OPTIONS(layer, dl_conv1d_options);
    DL_TRY(dl_need_channels(layer, in));
    if (in->shape[2] % options->groups != 0)
        return dl_fail(DL_SHAPE, "Conv1D: groups (%lld) must divide the channels of the inputs, got %s",
                       (long long)options->groups, dl_spec_text_of(in).at);
    int64_t shape[3] = {options->kernel_size.at[0], in->shape[2] / options->groups, options->filters};
    DL_TRY(dl_layer_add_constrained(layer, "kernel", 3, shape, options->kernel_initializer, options->kernel_regularizer,
                                    options->kernel_constraint));
    if (!options->use_bias)
        return DL_OK;
    return dl_layer_add_constrained(layer, "bias", 1, &options->filters, options->bias_initializer,
                                    options->bias_regularizer, options->bias_constraint);
}

/* The steps that a window reaches back. */
static int64_t reach_back(const dl_conv1d_options *options) {
    return (options->kernel_size.at[0] - 1) * options->dilation_rate.at[0];
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_conv1d_options *options = DL_OPTIONS(layer, dl_conv1d_options);
    if (in->shape[2] != layer->weights[0].value->shape[1] * options->groups)
        return dl_layer_fail_built(layer, in);
    DL_TRY(dl_layer_check_sizes(layer, in));
    int64_t steps = in->shape[1];
    if (options->padding == DL_LAYER_PADDING_CAUSAL && steps != DL_NONE)
        steps += reach_back(options);
    *out = *in;
    out->shape[1] = dl_window_out(steps, options->kernel_size.at[0], options->strides.at[0],
                                  options->dilation_rate.at[0], options->padding == DL_LAYER_PADDING_SAME);
    if (out->shape[1] == 0)
        return dl_fail_window(layer, "kernel_size", in);
    out->shape[2] = options->filters;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_conv1d(dl_layer *layer, dl_layer_call *call) {
    const dl_conv1d_options *options = DL_OPTIONS(layer, dl_conv1d_options);
    dl_context *context = call->context;
    dl_convolution conv = {.stride = {2, {1, options->strides.at[0]}},
                           .dilation = {2, {1, options->dilation_rate.at[0]}},
                           .padding = dl_padding_valid(), .groups = options->groups,
                           .activation = options->activation};
    if (options->padding == DL_LAYER_PADDING_SAME)
        conv.padding = dl_padding_same();
    if (options->padding == DL_LAYER_PADDING_CAUSAL)
        conv.padding = (dl_alternative){.which = 1, .as.ints = {4, {0, 0, reach_back(options), 0}}};
    dl_tensor *y = dl_convolve(dl_unsqueeze(context, call->in[0], 1), dl_unsqueeze(context, layer->weights[0].value, 0),
                               options->use_bias ? layer->weights[1].value : NULL, &conv);
    y = y ? dl_squeeze(context, y, 1) : NULL;
    DL_TRY(dl_layer_add_activity_loss(call, options->activity_regularizer, y));
    return dl_call_return(call, y);
}

static const dl_field fields[] = {
    DL_INT(dl_conv1d_options, filters, 0, 1, DL_HIGHEST, DL_REQUIRED, "channels of the output"),
    DL_INTS(dl_conv1d_options, kernel_size, NULL, 1, 1, DL_HIGHEST, DL_REQUIRED, "steps in the window"),
    DL_INTS(dl_conv1d_options, strides, "1", 1, 1, DL_HIGHEST, 0, "steps between windows"),
    DL_ENUM(dl_conv1d_options, padding, "valid", "valid|same|causal", 0,
            "same: the output has ceil(size / stride); causal: no window sees later steps"),
    DL_STRING(dl_conv1d_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),
    DL_INTS(dl_conv1d_options, dilation_rate, "1", 1, 1, DL_HIGHEST, 0, "distance of the window's steps"),
    DL_INT(dl_conv1d_options, groups, 1, 1, DL_HIGHEST, 0, "parts of the channels that are convolved apart"),
    DL_OUTPUT_FIELDS(dl_conv1d_options),
    DL_KERNEL_FIELDS(dl_conv1d_options),
    DL_LAYER_FIELDS(dl_conv1d_options)};

const dl_layer_def dl_layer_conv1d = {
    .definition = {.name = "Conv1D", .aliases = "Convolution1D", .version = 1, .help = "Convolution of sequences.",
                   .formula = "y[t, k] = activation(sum of x[t + s, c] kernel[s, c, k] + bias[k])",
                   .source = "Waibel et al. 1989", .shapes = "(N, T, C) -> (N, T', filters)", .fields = fields,
                   .options_size = sizeof(dl_conv1d_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3,
    .init = init, .build = build, .infer = infer, .call = call_conv1d};
