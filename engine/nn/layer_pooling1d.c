/* nn/layer_pooling1d.c: pooling of sequences (N, T, C), over windows and over the whole sequence; windows are those of
 * images of height 1. */
#include "nn/nn.h"

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static dl_status pooling_init(dl_layer *layer) {
    return dl_check_data_format(dl_layer_class(layer), DL_OPTIONS(layer, dl_pooling1d_options)->data_format);
}

static int64_t stride_of(const dl_pooling1d_options *options) {
    return options->strides.count ? options->strides.at[0] : options->pool_size.at[0];
}

static dl_status pooling_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_pooling1d_options *options = DL_OPTIONS(layer, dl_pooling1d_options);
    DL_TRY(dl_layer_check_sizes(layer, in));
    *out = *in;
    *outputs = 1;
    out->shape[1] = dl_window_out(in->shape[1], options->pool_size.at[0], stride_of(options), 1,
                                  options->padding == DL_LAYER_PADDING_SAME);
    return out->shape[1] == 0 ? dl_fail_window(layer, "pool_size", in) : DL_OK;
}

typedef dl_tensor *(*pool_function)(dl_context *context, dl_tensor *x, const dl_pool2d_options *options);

static dl_status pool(dl_layer *layer, dl_layer_call *call, pool_function function) {
    const dl_pooling1d_options *options = DL_OPTIONS(layer, dl_pooling1d_options);
    dl_pool2d_options pool_options = {
        .kernel_size = {2, {1, options->pool_size.at[0]}},
        .stride = {2, {1, stride_of(options)}},
        .padding = options->padding == DL_LAYER_PADDING_SAME ? dl_padding_same() : dl_padding_valid()};
    dl_tensor *y = function(call->context, dl_unsqueeze(call->context, call->in[0], 1), &pool_options);
    return dl_call_return(call, y ? dl_squeeze(call->context, y, 1) : NULL);
}

static dl_status call_max(dl_layer *layer, dl_layer_call *call) {
    return pool(layer, call, dl_max_pool2d);
}

static dl_status call_average(dl_layer *layer, dl_layer_call *call) {
    return pool(layer, call, dl_avg_pool2d);
}

#define POOLING_FIELDS                                                                                                 \
    DL_INTS(dl_pooling1d_options, strides, NULL, 1, 1, DL_HIGHEST, DL_NONE_OK,                                         \
            "steps between windows; none: as pool_size"),                                                              \
    DL_ENUM(dl_pooling1d_options, padding, "valid", "valid|same", 0, "same: the output has ceil(size / stride)"),      \
    DL_STRING(dl_pooling1d_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),                     \
    DL_LAYER_FIELDS(dl_pooling1d_options)

static const dl_field max_fields[] = {
    DL_INTS(dl_pooling1d_options, pool_size, "2", 1, 1, DL_HIGHEST, 0, "steps in the window"), POOLING_FIELDS};
static const dl_field average_fields[] = {
    DL_INTS(dl_pooling1d_options, pool_size, NULL, 1, 1, DL_HIGHEST, DL_REQUIRED, "steps in the window"),
    POOLING_FIELDS};

#define DEFINE_POOLING(symbol, name_, aliases_, fields_, call_, help_)                                                 \
    const dl_layer_def dl_layer_##symbol = {                                                                           \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_,                                \
                       .shapes = "(N, T, C) -> (N, T', C)", .fields = fields_,                                         \
                       .options_size = sizeof(dl_pooling1d_options)},                                                  \
        .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3,                                \
        .init = pooling_init, .infer = pooling_infer, .call = call_};

DEFINE_POOLING(max_pooling1d, "MaxPooling1D", "MaxPool1D", max_fields, call_max,
               "The largest value of each window of steps.")
DEFINE_POOLING(average_pooling1d, "AveragePooling1D", "AvgPool1D", average_fields, call_average,
               "The mean of each window of steps; padding is not counted.")

/* ---- the whole sequence ------------------------------------------------------------------------------------------ */

static const int64_t step_dim[1] = {1};

static dl_status global_init(dl_layer *layer) {
    return dl_check_data_format(dl_layer_class(layer), DL_OPTIONS(layer, dl_global_pooling1d_options)->data_format);
}

static dl_status global_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    DL_TRY(dl_layer_check_sizes(layer, in));
    *out = *in;
    *outputs = 1;
    if (DL_OPTIONS(layer, dl_global_pooling1d_options)->keepdims) {
        out->shape[1] = 1;
    } else {
        out->dims = 2;
        out->shape[1] = in->shape[2];
    }
    return DL_OK;
}

/* The mean of the steps that the mask leaves; NaN, as in Keras, where it leaves none. */
static dl_tensor *masked_mean(dl_context *context, dl_tensor *x, dl_tensor *mask, bool keepdims) {
    dl_tensor *valid = dl_unsqueeze(context, mask, -1);
    dl_tensor *kept = valid ? dl_where(context, valid, x, dl_scalar(context, x->dtype, 0)) : NULL;
    dl_tensor *count = kept ? dl_sum(context, dl_to(context, valid, x->dtype), 1, step_dim, keepdims) : NULL;
    return count ? dl_div(context, dl_sum(context, kept, 1, step_dim, keepdims), count) : NULL;
}

static dl_status call_global_average(dl_layer *layer, dl_layer_call *call) {
    bool keepdims = DL_OPTIONS(layer, dl_global_pooling1d_options)->keepdims;
    dl_tensor *mask = call->masks ? call->masks[0] : NULL;
    if (mask)
        return dl_call_return(call, masked_mean(call->context, call->in[0], mask, keepdims));
    return dl_call_return(call, dl_mean(call->context, call->in[0], 1, step_dim, keepdims));
}

static dl_status call_global_max(dl_layer *layer, dl_layer_call *call) {
    bool keepdims = DL_OPTIONS(layer, dl_global_pooling1d_options)->keepdims;
    return dl_call_return(call, dl_max(call->context, call->in[0], 1, step_dim, keepdims));
}

static const dl_field global_fields[] = {
    DL_STRING(dl_global_pooling1d_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),
    DL_BOOL(dl_global_pooling1d_options, keepdims, false, 0, "keep the steps with size 1"),
    DL_LAYER_FIELDS(dl_global_pooling1d_options)};

#define DEFINE_GLOBAL(symbol, name_, aliases_, call_, help_)                                                           \
    const dl_layer_def dl_layer_##symbol = {                                                                           \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_,                                \
                       .shapes = "(N, T, C) -> (N, C)", .fields = global_fields,                                       \
                       .options_size = sizeof(dl_global_pooling1d_options)},                                           \
        .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3,                                \
        .init = global_init, .infer = global_infer, .call = call_};

DEFINE_GLOBAL(global_average_pooling1d, "GlobalAveragePooling1D", "GlobalAvgPool1D", call_global_average,
              "The mean over the steps; masked steps are left out.")
DEFINE_GLOBAL(global_max_pooling1d, "GlobalMaxPooling1D", "GlobalMaxPool1D", call_global_max,
              "The largest value over the steps.")
