/* nn/layer_pooling2d.c: pooling of images (N, H, W, C), over windows and over the whole image. */
#include "nn/nn.h"

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static dl_status pooling_init(dl_layer *layer) {
    return dl_check_data_format(dl_layer_class(layer), DL_OPTIONS(layer, dl_pooling2d_options)->data_format);
}

static dl_ints strides_of(const dl_pooling2d_options *options) {
    return options->strides.count ? options->strides : options->pool_size;
}

static dl_status pooling_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_pooling2d_options *options = DL_OPTIONS(layer, dl_pooling2d_options);
    DL_TRY(dl_layer_check_sizes(layer, in));
    dl_ints strides = strides_of(options);
    *out = *in;
    for (int i = 0; i < 2; i++) {
        out->shape[1 + i] = dl_window_out(in->shape[1 + i], options->pool_size.at[i], strides.at[i], 1,
                                          options->padding == DL_LAYER_PADDING_SAME);
        if (out->shape[1 + i] == 0)
            return dl_fail(DL_SHAPE,
                           "%s: the pool {%lld, %lld} is larger than the inputs %s; use a smaller pool_size or padding "
                           "= 'same'",
                           dl_layer_class(layer), (long long)options->pool_size.at[0],
                           (long long)options->pool_size.at[1], dl_spec_text_of(in).at);
    }
    *outputs = 1;
    return DL_OK;
}

static dl_pool2d_options pool_options(const dl_layer *layer) {
    const dl_pooling2d_options *options = DL_OPTIONS(layer, dl_pooling2d_options);
    return (dl_pool2d_options){
        .kernel_size = options->pool_size,
        .stride = strides_of(options),
        .padding = options->padding == DL_LAYER_PADDING_SAME ? dl_padding_same() : dl_padding_valid()};
}

static dl_status call_max(dl_layer *layer, dl_layer_call *call) {
    dl_pool2d_options options = pool_options(layer);
    return dl_call_return(call, dl_max_pool2d(call->context, call->in[0], &options));
}

static dl_status call_average(dl_layer *layer, dl_layer_call *call) {
    dl_pool2d_options options = pool_options(layer);
    return dl_call_return(call, dl_avg_pool2d(call->context, call->in[0], &options));
}

#define POOLING_FIELDS                                                                                                 \
    DL_INTS(dl_pooling2d_options, strides, NULL, 2, 1, DL_HIGHEST, DL_NONE_OK,                                         \
            "{height, width} of a step; none: as pool_size"),                                                          \
    DL_ENUM(dl_pooling2d_options, padding, "valid", "valid|same", 0, "same: the output has ceil(size / stride)"),      \
    DL_STRING(dl_pooling2d_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),                     \
    DL_LAYER_FIELDS(dl_pooling2d_options)

static const dl_field max_fields[] = {
    DL_INTS(dl_pooling2d_options, pool_size, "2,2", 2, 1, DL_HIGHEST, 0, "{height, width} of the window"),
    POOLING_FIELDS};
static const dl_field average_fields[] = {
    DL_INTS(dl_pooling2d_options, pool_size, NULL, 2, 1, DL_HIGHEST, DL_REQUIRED, "{height, width} of the window"),
    POOLING_FIELDS};

#define DEFINE_POOLING(symbol, name_, aliases_, fields_, call_, help_)                                                 \
    const dl_layer_def dl_layer_##symbol = {                                                                           \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_,                                \
                       .shapes = "(N, H, W, C) -> (N, H', W', C)", .fields = fields_,                                  \
                       .options_size = sizeof(dl_pooling2d_options)},                                                  \
        .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 4, .maximum_dims = 4,                                \
        .init = pooling_init, .infer = pooling_infer, .call = call_};

DEFINE_POOLING(max_pooling2d, "MaxPooling2D", "MaxPool2D", max_fields, call_max, "The largest value of each window.")
DEFINE_POOLING(average_pooling2d, "AveragePooling2D", "AvgPool2D", average_fields, call_average,
               "The mean of each window; padding is not counted.")

/* ---- the whole image --------------------------------------------------------------------------------------------- */

static const int64_t image_dims[2] = {1, 2};

static dl_status global_init(dl_layer *layer) {
    return dl_check_data_format(dl_layer_class(layer), DL_OPTIONS(layer, dl_global_pooling2d_options)->data_format);
}

static dl_status global_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    DL_TRY(dl_layer_check_sizes(layer, in));
    *out = *in;
    if (DL_OPTIONS(layer, dl_global_pooling2d_options)->keepdims) {
        out->shape[1] = 1;
        out->shape[2] = 1;
    } else {
        out->dims = 2;
        out->shape[1] = in->shape[3];
    }
    *outputs = 1;
    return DL_OK;
}

static dl_status call_global_average(dl_layer *layer, dl_layer_call *call) {
    bool keepdims = DL_OPTIONS(layer, dl_global_pooling2d_options)->keepdims;
    return dl_call_return(call, dl_mean(call->context, call->in[0], 2, image_dims, keepdims));
}

static dl_status call_global_max(dl_layer *layer, dl_layer_call *call) {
    bool keepdims = DL_OPTIONS(layer, dl_global_pooling2d_options)->keepdims;
    return dl_call_return(call, dl_max(call->context, call->in[0], 2, image_dims, keepdims));
}

static const dl_field global_fields[] = {
    DL_STRING(dl_global_pooling2d_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),
    DL_BOOL(dl_global_pooling2d_options, keepdims, false, 0, "keep height and width with size 1"),
    DL_LAYER_FIELDS(dl_global_pooling2d_options)};

#define DEFINE_GLOBAL(symbol, name_, aliases_, call_, help_)                                                           \
    const dl_layer_def dl_layer_##symbol = {                                                                           \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_,                                \
                       .shapes = "(N, H, W, C) -> (N, C)", .fields = global_fields,                                    \
                       .options_size = sizeof(dl_global_pooling2d_options)},                                           \
        .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 4, .maximum_dims = 4,                                \
        .init = global_init, .infer = global_infer, .call = call_};

DEFINE_GLOBAL(global_average_pooling2d, "GlobalAveragePooling2D", "GlobalAvgPool2D", call_global_average,
              "The mean over height and width.")
DEFINE_GLOBAL(global_max_pooling2d, "GlobalMaxPooling2D", "GlobalMaxPool2D", call_global_max,
              "The largest value over height and width.")
