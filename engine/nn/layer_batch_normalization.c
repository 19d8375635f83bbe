/* nn/layer_batch_normalization.c: BatchNormalization. Weights in order: gamma, beta (if any), moving_mean,
 * moving_variance; the last two change when a training step commits. */
#include "nn/weight_fields.h"

static int axis_of(const dl_layer *layer, int dims) {
    int64_t axis = DL_OPTIONS(layer, dl_batch_normalization_options)->axis;
    return (int)(axis < 0 ? axis + dims : axis);
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_batch_normalization_options *options = DL_OPTIONS(layer, dl_batch_normalization_options);
    int axis;
    DL_TRY(dl_layer_axis(layer, "axis", options->axis, in, &axis));
    if (axis == 0)
        return dl_fail(DL_INVALID, "BatchNormalization: axis cannot be the batch");
    int64_t features = in->shape[axis];
    if (features == DL_NONE)
        return dl_fail(DL_SHAPE, "BatchNormalization needs to know the size of its axis, got inputs %s",
                       dl_spec_text_of(in).at);
    DL_TRY(dl_layer_check_sizes(layer, in));
    if (options->scale)
        DL_TRY(dl_layer_add_constrained(layer, "gamma", 1, &features, options->gamma_initializer,
                                        options->gamma_regularizer, options->gamma_constraint));
    if (options->center)
        DL_TRY(dl_layer_add_constrained(layer, "beta", 1, &features, options->beta_initializer,
                                        options->beta_regularizer, options->beta_constraint));
    DL_TRY(dl_layer_add_weight(layer, "moving_mean", 1, &features, options->moving_mean_initializer, NULL, false));
    return dl_layer_add_weight(layer, "moving_variance", 1, &features, options->moving_variance_initializer, NULL,
                               false);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    if (in->dims != layer->input.dims ||
        in->shape[axis_of(layer, in->dims)] != layer->weights[layer->weight_count - 1].value->shape[0])
        return dl_layer_fail_built(layer, in);
    *out = *in;
    *outputs = 1;
    return DL_OK;
}

/* moving = moving * momentum + batch * (1 - momentum), at the end of the step. */
static dl_status move_statistic(dl_layer *layer, dl_layer_call *call, int index, dl_tensor *batch) {
    dl_context *context = call->context;
    double momentum = DL_OPTIONS(layer, dl_batch_normalization_options)->momentum;
    dl_tensor *kept = dl_mul_number(context, dl_layer_value(call, layer, index), momentum);
    return dl_layer_assign_later(call, layer, index,
                                 dl_add(context, kept, dl_mul_number(context, batch, 1 - momentum)));
}

static dl_tensor *normalize_batch(dl_layer *layer, dl_layer_call *call, dl_tensor *x, dl_tensor *gamma,
                                  dl_tensor *beta) {
    double epsilon = DL_OPTIONS(layer, dl_batch_normalization_options)->epsilon;
    dl_tensor *out[3];
    if (dl_batch_norm_training(call->context, x, gamma, beta, epsilon, out) != DL_OK)
        return NULL;
    bool recording = dl_set_grad_enabled(call->context, false);
    dl_status status = move_statistic(layer, call, layer->weight_count - 2, out[1]);
    if (status == DL_OK)
        status = move_statistic(layer, call, layer->weight_count - 1, out[2]);
    dl_set_grad_enabled(call->context, recording);
    return status == DL_OK ? out[0] : NULL;
}

static dl_status call_batch_normalization(dl_layer *layer, dl_layer_call *call) {
    const dl_batch_normalization_options *options = DL_OPTIONS(layer, dl_batch_normalization_options);
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    int axis = axis_of(layer, x->dims);
    int last = x->dims - 1;
    dl_tensor *gamma = options->scale ? layer->weights[0].value : NULL;
    dl_tensor *beta = options->center ? layer->weights[options->scale ? 1 : 0].value : NULL;
    if (axis != last)
        x = dl_transpose(context, x, axis, last);
    dl_tensor *y;
    if (call->training && layer->trainable)
        y = normalize_batch(layer, call, x, gamma, beta);
    else
        y = dl_batch_norm(context, x, dl_layer_value(call, layer, layer->weight_count - 2),
                          dl_layer_value(call, layer, layer->weight_count - 1), gamma, beta, options->epsilon);
    if (axis != last)
        y = dl_transpose(context, y, axis, last);
    return dl_call_return(call, y);
}

#define TYPE dl_batch_normalization_options
static const dl_field fields[] = {
    DL_INT(TYPE, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of the features"),
    DL_REAL(TYPE, momentum, 0.99, 0.0, 1.0, 0, "how much of the moving statistics stays at each step"),
    DL_REAL(TYPE, epsilon, 0.001, 0.0, DL_HIGHEST, 0, "added to the variance"),
    DL_BOOL(TYPE, center, true, 0, "add beta"),
    DL_BOOL(TYPE, scale, true, 0, "multiply by gamma"),
    DL_INITIALIZER_FIELD(TYPE, beta_initializer, "zeros", "of beta"),
    DL_INITIALIZER_FIELD(TYPE, gamma_initializer, "ones", "of gamma"),
    DL_INITIALIZER_FIELD(TYPE, moving_mean_initializer, "zeros", "of the moving mean"),
    DL_INITIALIZER_FIELD(TYPE, moving_variance_initializer, "ones", "of the moving variance"),
    DL_PENALTY_FIELD(TYPE, beta_regularizer, "penalty on beta"),
    DL_PENALTY_FIELD(TYPE, gamma_regularizer, "penalty on gamma"),
    DL_CONSTRAINT_FIELD(TYPE, beta_constraint, "what beta keeps to"),
    DL_CONSTRAINT_FIELD(TYPE, gamma_constraint, "what gamma keeps to"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_batch_normalization = {
    .definition = {.name = "BatchNormalization", .version = 1,
                   .help = "Normalizes each feature, in training by the batch's statistics, else by moving ones.",
                   .formula = "gamma * (x - mean) / sqrt(variance + epsilon) + beta",
                   .source = "Ioffe and Szegedy 2015", .shapes = "any shape -> the same", .fields = fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .build = build, .infer = infer, .call = call_batch_normalization,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};
