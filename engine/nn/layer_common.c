/* nn/layer_common.c: what several layers need: windows over images, activity penalties, the activation of a layer,
 * axes. */
#include <string.h>

#include "nn/nn.h"

int64_t dl_window_out(int64_t size, int64_t window, int64_t stride, int64_t dilation, bool same) {
    if (size == DL_NONE)
        return DL_NONE;
    if (same)
        return (size + stride - 1) / stride;
    int64_t reach = (window - 1) * dilation + 1;
    return size < reach ? 0 : (size - reach) / stride + 1;
}

dl_status dl_check_data_format(const char *class_name, const char *data_format) {
    if (!data_format || strcmp(data_format, "channels_last") == 0)
        return DL_OK;
    if (strcmp(data_format, "channels_first") == 0)
        return dl_fail(DL_UNSUPPORTED,
                       "%s: data_format 'channels_first' is not supported: images are {N, H, W, C} (from {N, C, H, W}: "
                       "x:permute(1, 3, 4, 2))",
                       class_name);
    return dl_fail(DL_INVALID, "%s: data_format must be 'channels_last', got '%s'", class_name, data_format);
}

dl_status dl_layer_axis(const dl_layer *layer, const char *argument, int64_t axis, const dl_spec *in, int *out) {
    if (axis >= -in->dims && axis < in->dims)
        return dl_dim_normalize(axis, in->dims, out);
    int64_t shown = axis >= 0 && axis < INT64_MAX ? axis + 1 : axis;
    return dl_fail(DL_SHAPE, "%s: %s names dimension %lld, got inputs %s; use 1 to %d, or -1 to -%d from the end",
                   dl_layer_class(layer), argument, (long long)shown, dl_spec_text_of(in).at, in->dims, in->dims);
}

const dl_object *dl_activation_of(const dl_layer *layer) {
    const dl_field *field = dl_find_field(layer->object.definition->fields, "activation");
    if (!field || field->kind != DL_FIELD_OBJECT || field->family != &dl_activation_family)
        return NULL;
    dl_object *activation;
    memcpy(&activation, (const char *)layer->object.options + field->offset, sizeof activation);
    return activation;
}

dl_status dl_layer_add_activity_loss(dl_layer_call *call, dl_object *regularizer, dl_tensor *y) {
    if (!regularizer || !y || !call->deferred)
        return DL_OK;
    double samples = y->dims > 0 && y->shape[0] > 0 ? (double)y->shape[0] : 1;
    return dl_layer_add_loss(call, dl_div_number(call->context, dl_regularize(regularizer, y), samples));
}

dl_tensor *dl_convolve(dl_tensor *x, dl_tensor *weight, dl_tensor *bias, const dl_convolution *convolution) {
    if (!x || !weight)
        return NULL;
    bool relu = dl_activation_is_relu(convolution->activation);
    dl_conv2d_options conv;
    dl_options_init(&dl_op_conv2d.definition, &conv, sizeof conv);
    conv.stride = convolution->stride;
    conv.dilation = convolution->dilation;
    conv.groups = convolution->groups;
    conv.padding = convolution->padding;
    conv.activation = relu ? DL_ACTIVATION_RELU : DL_ACTIVATION_NONE;
    dl_tensor *y = dl_conv2d(x->context, x, weight, bias, &conv);
    return relu ? y : dl_activate(convolution->activation, y);
}

dl_status dl_check_strides(const dl_layer *layer, const dl_ints *strides, const dl_ints *dilation) {
    bool strided = false;
    bool dilated = false;
    for (int i = 0; i < strides->count; i++)
        strided = strided || strides->at[i] > 1;
    for (int i = 0; i < dilation->count; i++)
        dilated = dilated || dilation->at[i] > 1;
    if (strided && dilated)
        return dl_fail(DL_INVALID, "%s: strides above 1 do not go together with a dilation_rate above 1",
                       dl_layer_class(layer));
    return DL_OK;
}

dl_status dl_need_channels(const dl_layer *layer, const dl_spec *in) {
    if (in->shape[in->dims - 1] == DL_NONE)
        return dl_fail(DL_SHAPE, "%s needs to know the channels of its inputs, got %s", dl_layer_class(layer),
                       dl_spec_text_of(in).at);
    return dl_layer_check_sizes(layer, in);
}

dl_status dl_fail_window(const dl_layer *layer, const char *argument, const dl_spec *in) {
    return dl_fail(DL_SHAPE, "%s: the %s is larger than the inputs %s; use a smaller one or padding = 'same'",
                   dl_layer_class(layer), argument, dl_spec_text_of(in).at);
}
