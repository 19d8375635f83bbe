/* nn/layer_activations.c: activations as layers of their own. */
#include <math.h>

#include "nn/families.h"

#define ACTIVATION_LAYER(name_, fields_, type, help_, formula_)                                                        \
    .definition = {.name = name_, .version = 1, .help = help_, .formula = formula_,                                    \
                   .shapes = "any shape -> the same", .fields = fields_, .options_size = sizeof(type)},                \
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1

/* ---- Activation -------------------------------------------------------------------------------------------------- */

static dl_status call_any(dl_layer *layer, dl_layer_call *call) {
    dl_object *activation = DL_OPTIONS(layer, dl_activation_layer_options)->activation;
    return dl_call_return(call, dl_activate(activation, call->in[0]));
}

/* Only glu changes the shape: it halves its axis. */
static dl_status infer_any(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_object *activation = DL_OPTIONS(layer, dl_activation_layer_options)->activation;
    *out = *in;
    *outputs = 1;
    if (!activation || activation->definition != &dl_activation_glu.definition)
        return DL_OK;
    int axis;
    DL_TRY(dl_layer_axis(layer, "axis", DL_OPTIONS(activation, dl_axis_activation_options)->axis, in, &axis));
    if (in->shape[axis] == DL_NONE)
        return DL_OK;
    if (in->shape[axis] % 2 != 0)
        return dl_fail(DL_SHAPE, "glu halves its axis, which must be even, got inputs %s", dl_spec_text_of(in).at);
    out->shape[axis] = in->shape[axis] / 2;
    return DL_OK;
}

static const dl_field activation_fields[] = {
    DL_OBJECT(dl_activation_layer_options, activation, NULL, &dl_activation_family, DL_REQUIRED, "the function"),
    DL_LAYER_FIELDS(dl_activation_layer_options)};

const dl_layer_def dl_layer_activation = {
    ACTIVATION_LAYER("Activation", activation_fields, dl_activation_layer_options, "An activation function as a layer.",
                     "activation(x)"),
    .infer = infer_any, .call = call_any, .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};

/* ---- ReLU and its relatives -------------------------------------------------------------------------------------- */

static dl_status call_relu(dl_layer *layer, dl_layer_call *call) {
    const dl_relu_layer_options *options = DL_OPTIONS(layer, dl_relu_layer_options);
    return dl_call_return(call, dl_general_relu(call->in[0], options->negative_slope, options->max_value,
                                                options->threshold));
}

static const dl_field relu_fields[] = {
    DL_REAL(dl_relu_layer_options, max_value, NAN, 0.0, DL_HIGHEST, DL_NONE_OK, "largest output; none: no limit"),
    DL_REAL(dl_relu_layer_options, negative_slope, 0.0, 0.0, DL_HIGHEST, 0, "slope below the threshold"),
    DL_REAL(dl_relu_layer_options, threshold, 0.0, 0.0, DL_HIGHEST, 0, "inputs at or below it become 0"),
    DL_LAYER_FIELDS(dl_relu_layer_options)};

const dl_layer_def dl_layer_relu = {
    ACTIVATION_LAYER("ReLU", relu_fields, dl_relu_layer_options, "Rectified linear unit.", "max(x, 0)"),
    .call = call_relu, .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};

static dl_status call_leaky_relu(dl_layer *layer, dl_layer_call *call) {
    double slope = DL_OPTIONS(layer, dl_leaky_relu_layer_options)->negative_slope;
    return dl_call_return(call, dl_apply_unary(call->context, "leaky_relu", call->in[0], &slope));
}

static const dl_field leaky_relu_fields[] = {
    DL_REAL(dl_leaky_relu_layer_options, negative_slope, 0.3, 0.0, DL_HIGHEST, 0, "slope where x < 0"),
    DL_LAYER_FIELDS(dl_leaky_relu_layer_options)};

const dl_layer_def dl_layer_leaky_relu = {
    ACTIVATION_LAYER("LeakyReLU", leaky_relu_fields, dl_leaky_relu_layer_options, "ReLU with a small slope below 0.",
                     "x if x > 0, else negative_slope * x"),
    .call = call_leaky_relu, .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};

static dl_status call_elu(dl_layer *layer, dl_layer_call *call) {
    double alpha = DL_OPTIONS(layer, dl_elu_layer_options)->alpha;
    return dl_call_return(call, dl_apply_unary(call->context, "elu", call->in[0], &alpha));
}

static const dl_field elu_fields[] = {
    DL_REAL(dl_elu_layer_options, alpha, 1.0, 0.0, DL_HIGHEST, 0, "the limit for x -> -inf is -alpha"),
    DL_LAYER_FIELDS(dl_elu_layer_options)};

const dl_layer_def dl_layer_elu = {
    ACTIVATION_LAYER("ELU", elu_fields, dl_elu_layer_options, "Exponential linear unit.",
                     "x if x > 0, else alpha * (e^x - 1)"),
    .call = call_elu, .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};

/* ---- PReLU ------------------------------------------------------------------------------------------------------- */

static dl_status build_prelu(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_prelu_options *options = DL_OPTIONS(layer, dl_prelu_options);
    int64_t shape[DL_MAX_DIMS];
    for (int i = 1; i < in->dims; i++)
        shape[i - 1] = in->shape[i];
    for (int i = 0; i < options->shared_axes.count; i++) {
        int axis;
        DL_TRY(dl_layer_axis(layer, "shared_axes", options->shared_axes.at[i], in, &axis));
        if (axis == 0)
            return dl_fail(DL_INVALID, "PReLU: shared_axes cannot name the batch");
        shape[axis - 1] = 1;
    }
    for (int i = 0; i < in->dims - 1; i++)
        if (shape[i] == DL_NONE)
            return dl_fail(DL_SHAPE, "PReLU needs to know the sizes of its inputs that are not in shared_axes, got %s",
                           dl_spec_text_of(in).at);
    DL_TRY(dl_layer_check_sizes(layer, in));
    return dl_layer_add_constrained(layer, "alpha", in->dims - 1, shape, options->alpha_initializer,
                                    options->alpha_regularizer, options->alpha_constraint);
}

static dl_status infer_prelu(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_tensor *alpha = layer->weights[0].value;
    bool fits = in->dims == alpha->dims + 1;
    for (int i = 0; fits && i < alpha->dims; i++)
        fits = alpha->shape[i] == in->shape[i + 1] || (alpha->shape[i] == 1 && layer->input.shape[i + 1] != 1);
    if (!fits)
        return dl_layer_fail_built(layer, in);
    *out = *in;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_prelu(dl_layer *layer, dl_layer_call *call) {
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    dl_tensor *below = dl_mul(context, layer->weights[0].value, dl_relu(context, dl_neg(context, x)));
    return dl_call_return(call, dl_sub(context, dl_relu(context, x), below));
}

static const dl_field prelu_fields[] = {
    DL_OBJECT(dl_prelu_options, alpha_initializer, "zeros", &dl_initializer_family, 0, "of the slopes"),
    DL_OBJECT(dl_prelu_options, alpha_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the slopes"),
    DL_OBJECT(dl_prelu_options, alpha_constraint, NULL, &dl_constraint_family, DL_NONE_OK, "what the slopes keep to"),
    DL_INTS(dl_prelu_options, shared_axes, NULL, 0, DL_LOWEST, DL_HIGHEST, DL_NONE_OK | DL_POSITION,
            "dimensions along which a slope is shared, the batch counted"),
    DL_LAYER_FIELDS(dl_prelu_options)};

const dl_layer_def dl_layer_prelu = {
    ACTIVATION_LAYER("PReLU", prelu_fields, dl_prelu_options, "ReLU with a learned slope below 0.",
                     "max(x, 0) - alpha * max(-x, 0)"),
    .build = build_prelu, .infer = infer_prelu, .call = call_prelu, .flags = DL_LAYER_KEEPS_MASK};

/* ---- Softmax ----------------------------------------------------------------------------------------------------- */

/* The layer keeps the activation softmax with its axis, so that losses find the logits behind it. */
static dl_status init_softmax(dl_layer *layer) {
    dl_axis_activation_options options = {DL_OPTIONS(layer, dl_softmax_layer_options)->axis};
    dl_object *softmax = NULL;
    DL_TRY(dl_object_create(layer->object.context, &dl_activation_family, &dl_activation_softmax.definition, &options,
                            &softmax));
    layer->state = softmax;
    return DL_OK;
}

static void finalize_softmax(dl_layer *layer) {
    dl_object_release(layer->state);
    layer->state = NULL;
}

static dl_status call_softmax(dl_layer *layer, dl_layer_call *call) {
    return dl_call_return(call, dl_activate(layer->state, call->in[0]));
}

static dl_status infer_softmax(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    int axis;
    DL_TRY(dl_layer_axis(layer, "axis", DL_OPTIONS(layer, dl_softmax_layer_options)->axis, in, &axis));
    *out = *in;
    *outputs = 1;
    return DL_OK;
}

static const dl_field softmax_fields[] = {
    DL_INT(dl_softmax_layer_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension that sums to 1"),
    DL_LAYER_FIELDS(dl_softmax_layer_options)};

const dl_layer_def dl_layer_softmax = {
    ACTIVATION_LAYER("Softmax", softmax_fields, dl_softmax_layer_options, "Probabilities along an axis.",
                     "e^x / sum(e^x)"),
    .init = init_softmax, .infer = infer_softmax, .call = call_softmax, .finalize = finalize_softmax,
    .flags = DL_LAYER_KEEPS_MASK};
