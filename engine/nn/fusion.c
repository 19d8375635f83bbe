/* nn/fusion.c: pairs of layers that one operation computes faster. A row is a pattern. */
#include <string.h>

#include "kernels/kernels.h"
#include "nn/nn.h"

/* ---- Conv2D (3x3, stride 1, valid, relu), then MaxPooling2D (2x2) ------------------------------------------------ */

static bool both_are(const dl_ints *ints, int64_t value) {
    return ints->at[0] == value && ints->at[1] == value;
}

static bool is_pool_of_two(const dl_layer *layer) {
    if (layer->object.definition != &dl_layer_max_pooling2d.definition)
        return false;
    const dl_pooling2d_options *options = DL_OPTIONS(layer, dl_pooling2d_options);
    return both_are(&options->pool_size, 2) && (options->strides.count == 0 || both_are(&options->strides, 2)) &&
           options->padding == DL_LAYER_PADDING_VALID;
}

static bool conv_pool_matches(const dl_layer *first, const dl_layer *second, const dl_spec *in) {
    if (first->object.definition != &dl_layer_conv2d.definition || !is_pool_of_two(second))
        return false;
    const dl_conv2d_layer_options *options = DL_OPTIONS(first, dl_conv2d_layer_options);
    dl_conv2d_sizes sizes = {.C = in->shape[3],
                             .K = options->filters,
                             .kernel_h = options->kernel_size.at[0],
                             .kernel_w = options->kernel_size.at[1],
                             .stride_h = options->strides.at[0],
                             .stride_w = options->strides.at[1],
                             .dilation_h = options->dilation_rate.at[0],
                             .dilation_w = options->dilation_rate.at[1],
                             .groups = options->groups};
    return first->dtype == DL_FLOAT32 && options->padding == DL_LAYER_PADDING_VALID && options->use_bias &&
           dl_activation_is_relu(options->activation) && !options->activity_regularizer &&
           dl_conv2d_relu_maxpool_fits(&sizes);
}

static dl_status conv_pool_call(dl_layer *first, dl_layer *second, dl_layer_call *call) {
    (void)second;
    return dl_call_return(call, dl_conv2d_relu_maxpool(call->context, call->in[0], first->weights[0].value,
                                                       first->weights[1].value));
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const dl_fusion fusions[] = {
    {"conv2d_relu_maxpool", conv_pool_matches, conv_pool_call},
};

const dl_fusion *dl_find_fusion(const dl_layer *first, const dl_layer *second, const dl_spec *in) {
    for (int i = 0; i < DL_COUNT(fusions); i++)
        if (fusions[i].matches(first, second, in))
            return &fusions[i];
    return NULL;
}
