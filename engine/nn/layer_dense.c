/* nn/layer_dense.c: the fully connected layer. */
#include "nn/weight_fields.h"

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_dense_options *options = DL_OPTIONS(layer, dl_dense_options);
    int64_t features = in->shape[in->dims - 1];
    if (features == DL_NONE)
        return dl_fail(DL_SHAPE, "Dense needs to know the last size of its inputs, got %s", dl_spec_text_of(in).at);
    DL_TRY(dl_layer_check_sizes(layer, in));
    DL_TRY(dl_layer_add_constrained(layer, "kernel", 2, (int64_t[]){features, options->units},
                                    options->kernel_initializer, options->kernel_regularizer,
                                    options->kernel_constraint));
    if (!options->use_bias)
        return DL_OK;
    return dl_layer_add_constrained(layer, "bias", 1, &options->units, options->bias_initializer,
                                    options->bias_regularizer, options->bias_constraint);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const int64_t *kernel = layer->weights[0].value->shape;
    if (in->shape[in->dims - 1] != kernel[0])
        return dl_layer_fail_built(layer, in);
    *out = *in;
    out->shape[in->dims - 1] = kernel[1];
    *outputs = 1;
    return DL_OK;
}

static dl_status call_dense(dl_layer *layer, dl_layer_call *call) {
    const dl_dense_options *options = DL_OPTIONS(layer, dl_dense_options);
    dl_tensor *bias = options->use_bias ? layer->weights[1].value : NULL;
    bool relu = dl_activation_is_relu(options->activation);
    dl_tensor *y = dl_linear(call->context, call->in[0], layer->weights[0].value, bias,
                             relu ? DL_ACTIVATION_RELU : DL_ACTIVATION_NONE);
    if (!relu)
        y = dl_activate(options->activation, y);
    DL_TRY(dl_layer_add_activity_loss(call, options->activity_regularizer, y));
    return dl_call_return(call, y);
}

static const dl_field fields[] = {
    DL_INT(dl_dense_options, units, 0, 1, DL_HIGHEST, DL_REQUIRED, "size of the output"),
    DL_OUTPUT_FIELDS(dl_dense_options),
    DL_KERNEL_FIELDS(dl_dense_options),
    DL_LAYER_FIELDS(dl_dense_options)};

const dl_layer_def dl_layer_dense = {
    .definition = {.name = "Dense", .version = 1, .help = "Fully connected layer.",
                   .formula = "y = activation(x kernel + bias)",
                   .shapes = "(N, ..., in) -> (N, ..., units)", .fields = fields,
                   .options_size = sizeof(dl_dense_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .build = build, .infer = infer, .call = call_dense, .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};
