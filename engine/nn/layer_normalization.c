/* nn/layer_normalization.c: layers that normalize each sample by its own statistics: LayerNormalization,
 * RMSNormalization, GroupNormalization, UnitNormalization. They are the same in training and in inference. */
#include <string.h>

#include "nn/weight_fields.h"

/* ---- axes -------------------------------------------------------------------------------------------------------- */

/* The axes of an input in rising order, and the order of dimensions that brings them to the end, and back. */
typedef struct axis_order {
    int count;
    int64_t axis[DL_MAX_DIMS], to_end[DL_MAX_DIMS], back[DL_MAX_DIMS];
    bool moves;
} axis_order;

static dl_status read_axes(const dl_layer *layer, const dl_ints *axes, const dl_spec *in, axis_order *out) {
    bool chosen[DL_MAX_DIMS] = {false};
    *out = (axis_order){.count = axes->count};
    if (axes->count == 0)
        return dl_fail(DL_INVALID, "%s: axis is empty; name at least one", dl_layer_class(layer));
    for (int i = 0; i < axes->count; i++) {
        int axis;
        DL_TRY(dl_layer_axis(layer, "axis", axes->at[i], in, &axis));
        if (chosen[axis])
            return dl_fail(DL_INVALID, "%s: axis names dimension %d twice", dl_layer_class(layer), axis + 1);
        chosen[axis] = true;
    }
    int kept = 0, named = 0;
    for (int d = 0; d < in->dims; d++) {
        if (chosen[d])
            out->axis[named++] = d;
        int place = chosen[d] ? in->dims - axes->count + named - 1 : kept++;
        out->to_end[place] = d;
        out->back[d] = place;
        out->moves = out->moves || place != d;
    }
    return DL_OK;
}

/* The sizes along the axes, which must be known. */
static dl_status axis_sizes(const dl_layer *layer, const dl_spec *in, const axis_order *order, int64_t *sizes) {
    for (int i = 0; i < order->count; i++) {
        sizes[i] = in->shape[order->axis[i]];
        if (sizes[i] == DL_NONE)
            return dl_fail(DL_SHAPE, "%s needs to know the sizes along its axis, got inputs %s", dl_layer_class(layer),
                           dl_spec_text_of(in).at);
    }
    return dl_layer_check_sizes(layer, in);
}

/* The inputs must have the sizes that the layer was built for along the axes. */
static dl_status infer_axes(const dl_layer *layer, const dl_ints *axes, const dl_inputs *inputs, dl_spec *out,
                            int *outputs) {
    const dl_spec *in = inputs->specs;
    axis_order order;
    if (layer->weight_count > 0 && in->dims != layer->input.dims)
        return dl_layer_fail_built(layer, in);
    DL_TRY(read_axes(layer, axes, in, &order));
    for (int i = 0; i < order.count && layer->weight_count > 0; i++)
        if (in->shape[order.axis[i]] != layer->input.shape[order.axis[i]])
            return dl_layer_fail_built(layer, in);
    *out = *in;
    *outputs = 1;
    return DL_OK;
}

static dl_tensor *move_axes(dl_layer_call *call, dl_tensor *x, const axis_order *order, bool back) {
    return order->moves && x ? dl_permute(call->context, x, x->dims, back ? order->back : order->to_end) : x;
}

/* Of layers with gamma and beta. */
#define CENTER_AND_SCALE_FIELDS                                                                                        \
    DL_REAL(TYPE, epsilon, 0.001, 0.0, DL_HIGHEST, 0, "added to the variance"),                                        \
    DL_BOOL(TYPE, center, true, 0, "add beta"),                                                                        \
    DL_BOOL(TYPE, scale, true, 0, "multiply by gamma"),                                                                \
    DL_INITIALIZER_FIELD(TYPE, beta_initializer, "zeros", "of beta"),                                                  \
    DL_INITIALIZER_FIELD(TYPE, gamma_initializer, "ones", "of gamma"),                                                 \
    DL_PENALTY_FIELD(TYPE, beta_regularizer, "penalty on beta"),                                                       \
    DL_PENALTY_FIELD(TYPE, gamma_regularizer, "penalty on gamma"),                                                     \
    DL_CONSTRAINT_FIELD(TYPE, beta_constraint, "what beta keeps to"),                                                  \
    DL_CONSTRAINT_FIELD(TYPE, gamma_constraint, "what gamma keeps to")

/* ---- LayerNormalization ------------------------------------------------------------------------------------------ */

static dl_status build_layer_normalization(dl_layer *layer, const dl_inputs *inputs) {
    const dl_layer_normalization_options *options = DL_OPTIONS(layer, dl_layer_normalization_options);
    axis_order order;
    int64_t sizes[DL_MAX_DIMS];
    DL_TRY(read_axes(layer, &options->axis, inputs->specs, &order));
    DL_TRY(axis_sizes(layer, inputs->specs, &order, sizes));
    if (options->scale) {
        DL_TRY(dl_layer_add_constrained(layer, "gamma", order.count, sizes, options->gamma_initializer,
                                        options->gamma_regularizer, options->gamma_constraint));
    }
    if (!options->center)
        return DL_OK;
    return dl_layer_add_constrained(layer, "beta", order.count, sizes, options->beta_initializer,
                                    options->beta_regularizer, options->beta_constraint);
}

static dl_status infer_layer_normalization(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out,
                                           int *outputs) {
    return infer_axes(layer, &DL_OPTIONS(layer, dl_layer_normalization_options)->axis, inputs, out, outputs);
}

static dl_status call_layer_normalization(dl_layer *layer, dl_layer_call *call) {
    const dl_layer_normalization_options *options = DL_OPTIONS(layer, dl_layer_normalization_options);
    dl_spec in = dl_spec_of_tensor(call->in[0]);
    axis_order order;
    DL_TRY(read_axes(layer, &options->axis, &in, &order));
    dl_tensor *gamma = options->scale ? layer->weights[0].value : NULL;
    dl_tensor *beta = options->center ? layer->weights[options->scale ? 1 : 0].value : NULL;
    dl_tensor *y = dl_layer_norm(call->context, move_axes(call, call->in[0], &order, false), order.count, gamma, beta,
                                 options->epsilon);
    return dl_call_return(call, move_axes(call, y, &order, true));
}

#define TYPE dl_layer_normalization_options
static const dl_field layer_fields[] = {
    DL_INTS(TYPE, axis, "-1", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimensions that are normalized together"),
    CENTER_AND_SCALE_FIELDS,
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_layer_normalization = {
    .definition = {.name = "LayerNormalization", .version = 1,
                   .help = "Normalizes each sample over its features, by their own mean and variance.",
                   .formula = "gamma * (x - mean) / sqrt(variance + epsilon) + beta",
                   .source = "Ba, Kiros and Hinton 2016", .shapes = "any shape -> the same", .fields = layer_fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .build = build_layer_normalization, .infer = infer_layer_normalization, .call = call_layer_normalization,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};
#undef TYPE

/* ---- RMSNormalization -------------------------------------------------------------------------------------------- */

static dl_status build_rms_normalization(dl_layer *layer, const dl_inputs *inputs) {
    const dl_axis_normalization_options *options = DL_OPTIONS(layer, dl_axis_normalization_options);
    axis_order order;
    int64_t sizes[DL_MAX_DIMS];
    dl_object *ones = NULL;
    DL_TRY(read_axes(layer, &options->axis, inputs->specs, &order));
    DL_TRY(axis_sizes(layer, inputs->specs, &order, sizes));
    DL_TRY(dl_object_create(layer->object.context, &dl_initializer_family, &dl_initializer_ones.definition, NULL,
                            &ones));
    dl_status status = dl_layer_add_weight(layer, "scale", order.count, sizes, ones, NULL, true);
    dl_object_release(ones);
    return status;
}

static dl_status infer_axis_normalization(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    return infer_axes(layer, &DL_OPTIONS(layer, dl_axis_normalization_options)->axis, inputs, out, outputs);
}

static dl_status call_rms_normalization(dl_layer *layer, dl_layer_call *call) {
    const dl_axis_normalization_options *options = DL_OPTIONS(layer, dl_axis_normalization_options);
    dl_spec in = dl_spec_of_tensor(call->in[0]);
    axis_order order;
    DL_TRY(read_axes(layer, &options->axis, &in, &order));
    dl_tensor *y = dl_rms_norm(call->context, move_axes(call, call->in[0], &order, false), order.count,
                               layer->weights[0].value, options->epsilon);
    return dl_call_return(call, move_axes(call, y, &order, true));
}

#define TYPE dl_axis_normalization_options
static const dl_field rms_fields[] = {
    DL_INTS(TYPE, axis, "-1", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimensions that are normalized together"),
    DL_REAL(TYPE, epsilon, 1e-6, 0.0, DL_HIGHEST, 0, "added to the mean of the squares"), DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_rms_normalization = {
    .definition = {.name = "RMSNormalization", .version = 1,
                   .help = "Divides each sample's features by the root of their mean square.",
                   .formula = "scale * x / sqrt(mean of x^2 + epsilon)", .source = "Zhang and Sennrich 2019",
                   .shapes = "any shape -> the same", .fields = rms_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .build = build_rms_normalization, .infer = infer_axis_normalization, .call = call_rms_normalization,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};

/* ---- UnitNormalization ------------------------------------------------------------------------------------------- */

#define LEAST_SQUARE 1e-12 /* Keras's, against a division by zero */

static dl_status call_unit_normalization(dl_layer *layer, dl_layer_call *call) {
    dl_context *context = call->context;
    dl_spec in = dl_spec_of_tensor(call->in[0]);
    axis_order order;
    DL_TRY(read_axes(layer, &DL_OPTIONS(layer, dl_axis_normalization_options)->axis, &in, &order));
    dl_tensor *squares = dl_sum(context, dl_square(context, call->in[0]), order.count, order.axis, true);
    dl_tensor *least = dl_number(context, LEAST_SQUARE, squares);
    return dl_call_return(call, dl_mul(context, call->in[0], dl_rsqrt(context, dl_maximum(context, squares, least))));
}

static const dl_field unit_fields[] = {
    DL_INTS(TYPE, axis, "-1", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimensions that make one vector"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_unit_normalization = {
    .definition = {.name = "UnitNormalization", .version = 1, .help = "Scales each sample's features to length 1.",
                   .formula = "x / sqrt(sum of x^2)", .shapes = "any shape -> the same", .fields = unit_fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .infer = infer_axis_normalization, .call = call_unit_normalization, .flags = DL_LAYER_KEEPS_MASK};
#undef TYPE

/* ---- GroupNormalization ------------------------------------------------------------------------------------------ */

static int channel_axis(const dl_layer *layer, int dims) {
    int64_t axis = DL_OPTIONS(layer, dl_group_normalization_options)->axis;
    return (int)(axis < 0 ? axis + dims : axis);
}

static dl_status init_group_normalization(dl_layer *layer) {
    int64_t groups = DL_OPTIONS(layer, dl_group_normalization_options)->groups;
    return groups != 0 ? DL_OK : dl_fail(DL_INVALID, "GroupNormalization: groups must be at least 1, or -1 for one for "
                                                     "each channel, got 0");
}

static dl_status build_group_normalization(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_group_normalization_options *options = DL_OPTIONS(layer, dl_group_normalization_options);
    int axis;
    DL_TRY(dl_layer_axis(layer, "axis", options->axis, in, &axis));
    int64_t channels = in->shape[axis];
    if (axis == 0 || channels == DL_NONE)
        return dl_fail(DL_SHAPE, "GroupNormalization: axis must be a dimension of known size other than the batch, got "
                                 "inputs %s",
                       dl_spec_text_of(in).at);
    DL_TRY(dl_layer_check_sizes(layer, in));
    if (options->groups > 0 && channels % options->groups != 0)
        return dl_fail(DL_SHAPE, "GroupNormalization: groups = %lld does not divide the %lld channels of inputs %s",
                       (long long)options->groups, (long long)channels, dl_spec_text_of(in).at);
    if (options->scale) {
        DL_TRY(dl_layer_add_constrained(layer, "gamma", 1, &channels, options->gamma_initializer,
                                        options->gamma_regularizer, options->gamma_constraint));
    }
    if (!options->center)
        return DL_OK;
    return dl_layer_add_constrained(layer, "beta", 1, &channels, options->beta_initializer, options->beta_regularizer,
                                    options->beta_constraint);
}

static dl_status infer_group_normalization(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out,
                                           int *outputs) {
    const dl_spec *in = inputs->specs;
    int axis = channel_axis(layer, in->dims);
    if (in->dims != layer->input.dims || in->shape[axis] != layer->input.shape[axis])
        return dl_layer_fail_built(layer, in);
    *out = *in;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_group_normalization(dl_layer *layer, dl_layer_call *call) {
    const dl_group_normalization_options *options = DL_OPTIONS(layer, dl_group_normalization_options);
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    int axis = channel_axis(layer, x->dims), last = x->dims - 1;
    int64_t groups = options->groups < 0 ? x->shape[axis] : options->groups;
    dl_tensor *gamma = options->scale ? layer->weights[0].value : NULL;
    dl_tensor *beta = options->center ? layer->weights[options->scale ? 1 : 0].value : NULL;
    if (axis != last)
        x = dl_transpose(context, x, axis, last);
    dl_tensor *y = dl_group_norm(context, x, groups, gamma, beta, options->epsilon);
    return dl_call_return(call, axis != last ? dl_transpose(context, y, axis, last) : y);
}

#define TYPE dl_group_normalization_options
static const dl_field group_fields[] = {
    DL_INT(TYPE, groups, 32, -1, DL_HIGHEST, 0, "groups that the channels are cut into; -1: one for each channel"),
    DL_INT(TYPE, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of the channels"),
    CENTER_AND_SCALE_FIELDS,
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_group_normalization = {
    .definition = {.name = "GroupNormalization", .version = 1,
                   .help = "Normalizes groups of channels of each sample, over all its places.",
                   .formula = "gamma * (x - mean) / sqrt(variance + epsilon) + beta", .source = "Wu and He 2018",
                   .shapes = "(N, ..., C) -> the same", .fields = group_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .init = init_group_normalization, .build = build_group_normalization, .infer = infer_group_normalization,
    .call = call_group_normalization, .flags = DL_LAYER_KEEPS_MASK};
