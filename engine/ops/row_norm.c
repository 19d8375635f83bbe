/* ops/row_norm.c: normalization of a tensor by its own statistics: layer_norm, rms_norm, group_norm. The last
 * dimensions make the rows of one kernel; group_norm brings a group's elements together first. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ops/ops.h"

/* ---- what the forms share ---------------------------------------------------------------------------------------- */

/* x seen as rows of the normalized sizes. */
typedef struct rows {
    int64_t count, n;
} rows;

static dl_status check_shape(const dl_tensor *x, const dl_ints *shape) {
    DL_TRY(dl_need_float(x, "input"));
    bool fits = shape->count > 0 && shape->count <= x->dims;
    for (int i = 0; fits && i < shape->count; i++)
        fits = x->shape[x->dims - shape->count + i] == shape->at[i];
    if (fits)
        return DL_OK;
    return dl_fail(DL_SHAPE, "input has shape %s and normalized_shape is %s; it must be the last sizes of the input",
                   dl_shape_text(x).at, dl_sizes_text(shape->count, shape->at).at);
}

static dl_status check_parameter(const dl_tensor *p, const char *name, const dl_ints *shape, dl_dtype dtype) {
    DL_TRY(dl_need_dtype(p, name, dtype));
    if (!p || dl_shape_equal(p->dims, p->shape, shape->count, shape->at))
        return DL_OK;
    return dl_fail(DL_SHAPE, "%s has shape %s; it must have normalized_shape, %s", name, dl_shape_text(p).at,
                   dl_sizes_text(shape->count, shape->at).at);
}

static rows rows_of(const dl_tensor *x, int normalized) {
    rows r = {1, 1};
    for (int i = 0; i < x->dims; i++)
        *(i < x->dims - normalized ? &r.count : &r.n) *= x->shape[i];
    return r;
}

/* saved: 0 x, 1 weight (maybe none), 2 inverse deviation, 3 mean (layer_norm). All contiguous. */
static dl_status normalize(dl_op_call *call, dl_tensor *weight, dl_tensor *bias, bool centered, double eps) {
    const dl_layer_norm_options *options = call->options;
    dl_context *context = call->context;
    dl_tensor *x = dl_dense(call->in[0]);
    dl_tensor *dense_weight = dl_dense(weight), *dense_bias = dl_dense(bias);
    DL_TRY(!x || (weight && !dense_weight) || (bias && !dense_bias) ? dl_last_status() : DL_OK);
    rows r = rows_of(x, options->normalized_shape.count);
    dl_tensor *inverse = dl_scratch(context, x->dtype, 1, &r.count);
    dl_tensor *mean = centered ? dl_scratch(context, x->dtype, 1, &r.count) : NULL;
    dl_tensor *y = inverse && (mean || !centered) ? dl_call_output(call, 0, x->dtype, x->dims, x->shape) : NULL;
    DL_TRY(y ? DL_OK : dl_last_status());
    DL_TRY(dl_kernel()->row_norm(context, dl_element_of(x), dl_tensor_data(y), dl_data_or_null(mean),
                                 dl_tensor_data(inverse), dl_tensor_data(x), dl_data_or_null(dense_weight),
                                 dl_data_or_null(dense_bias), eps, r.count, r.n));
    DL_TRY(dl_call_save(call, 0, x));
    DL_TRY(dl_call_save(call, 1, dense_weight));
    DL_TRY(dl_call_save(call, 2, inverse));
    return dl_call_save(call, 3, mean);
}

static dl_status backward(dl_op_gradient *gradient) {
    const dl_layer_norm_options *options = gradient->options;
    dl_tensor *x = gradient->saved[0];
    void *grads[3];
    for (int i = 0; i < 3; i++)
        DL_TRY(dl_gradient_data(gradient, i, &grads[i]));
    rows r = rows_of(x, options->normalized_shape.count);
    return dl_kernel()->row_norm_backward(gradient->context, dl_element_of(x), grads[0], grads[1], grads[2],
                                          dl_tensor_data(gradient->grad_out[0]), dl_tensor_data(x),
                                          dl_saved_data(gradient, 3), dl_saved_data(gradient, 2),
                                          dl_saved_data(gradient, 1), r.count, r.n);
}

/* ---- layer_norm -------------------------------------------------------------------------------------------------- */

static dl_status layer_norm_forward(dl_op_call *call) {
    const dl_layer_norm_options *options = call->options;
    dl_tensor *weight = call->inputs > 1 ? call->in[1] : NULL, *bias = call->inputs > 2 ? call->in[2] : NULL;
    DL_TRY(check_shape(call->in[0], &options->normalized_shape));
    DL_TRY(check_parameter(weight, "weight", &options->normalized_shape, call->in[0]->dtype));
    DL_TRY(check_parameter(bias, "bias", &options->normalized_shape, call->in[0]->dtype));
    return normalize(call, weight, bias, true, options->eps);
}

static const dl_field layer_norm_fields[] = {
    DL_INTS(dl_layer_norm_options, normalized_shape, NULL, 0, 0, DL_HIGHEST, DL_REQUIRED,
            "the last sizes of the input, over which it is normalized"),
    DL_REAL(dl_layer_norm_options, eps, 1e-5, 0, DL_HIGHEST, 0, "added to the variance"),
    DL_END,
};

const dl_op dl_op_layer_norm = {
    .definition = {.name = "layer_norm",
                   .version = 1,
                   .help = "Layer normalization: the last dimensions of each sample get mean 0 and variance 1.",
                   .formula = "(x - mean) / sqrt(var + eps) * weight + bias",
                   .source = "Ba, Kiros and Hinton 2016",
                   .shapes = "input {..., D}, weight {D}, bias {D} -> {..., D} for normalized_shape {D}",
                   .fields = layer_norm_fields,
                   .options_size = sizeof(dl_layer_norm_options)},
    .inputs = "input weight? bias?",
    .order = "input normalized_shape weight bias eps",
    .outputs = 1,
    .forward = layer_norm_forward,
    .backward = backward,
};

static bool last_sizes(const dl_tensor *x, int dims, dl_ints *shape) {
    if (!x)
        return false;
    if (dims < 1 || dims > x->dims) {
        dl_fail(DL_SHAPE, "%d dimensions to normalize over, and the input has the shape %s", dims, dl_shape_text(x).at);
        return false;
    }
    shape->count = dims;
    memcpy(shape->at, x->shape + x->dims - dims, (size_t)dims * sizeof *shape->at);
    return true;
}

dl_tensor *dl_layer_norm(dl_context *context, dl_tensor *x, int dims, dl_tensor *weight, dl_tensor *bias,
                         double eps) {
    dl_layer_norm_options options = {.eps = eps};
    if (!last_sizes(x, dims, &options.normalized_shape))
        return NULL;
    return dl_apply1(context, &dl_op_layer_norm, (dl_tensor *[]){x, weight, bias}, 3, &options);
}

/* ---- rms_norm ---------------------------------------------------------------------------------------------------- */

static dl_status rms_norm_forward(dl_op_call *call) {
    const dl_layer_norm_options *options = call->options;
    dl_tensor *weight = call->inputs > 1 ? call->in[1] : NULL;
    DL_TRY(check_shape(call->in[0], &options->normalized_shape));
    DL_TRY(check_parameter(weight, "weight", &options->normalized_shape, call->in[0]->dtype));
    double least = call->in[0]->dtype == DL_FLOAT32 ? FLT_EPSILON : DBL_EPSILON;
    return normalize(call, weight, NULL, false, isnan(options->eps) ? least : options->eps);
}

static const dl_field rms_norm_fields[] = {
    DL_INTS(dl_layer_norm_options, normalized_shape, NULL, 0, 0, DL_HIGHEST, DL_REQUIRED,
            "the last sizes of the input, over which it is normalized"),
    DL_REAL(dl_layer_norm_options, eps, NAN, 0, DL_HIGHEST, DL_NONE_OK,
            "added to the mean of the squares; none: the dtype's epsilon"),
    DL_END,
};

const dl_op dl_op_rms_norm = {
    .definition = {.name = "rms_norm",
                   .version = 1,
                   .help = "Root-mean-square normalization: the last dimensions of each sample get a mean square of 1.",
                   .formula = "x / sqrt(mean of x^2 + eps) * weight",
                   .source = "Zhang and Sennrich 2019",
                   .shapes = "input {..., D}, weight {D} -> {..., D} for normalized_shape {D}",
                   .fields = rms_norm_fields,
                   .options_size = sizeof(dl_layer_norm_options)},
    .inputs = "input weight?",
    .order = "input normalized_shape weight eps",
    .outputs = 1,
    .forward = rms_norm_forward,
    .backward = backward,
};

dl_tensor *dl_rms_norm(dl_context *context, dl_tensor *x, int dims, dl_tensor *weight, double eps) {
    dl_layer_norm_options options = {.eps = eps};
    if (!last_sizes(x, dims, &options.normalized_shape))
        return NULL;
    return dl_apply1(context, &dl_op_rms_norm, (dl_tensor *[]){x, weight}, 2, &options);
}

/* ---- group_norm -------------------------------------------------------------------------------------------------- */

static dl_status check_groups(const dl_tensor *x, const dl_tensor *weight, const dl_tensor *bias, int64_t groups) {
    DL_TRY(dl_need_float(x, "input"));
    if (x->dims < 2)
        return dl_fail(DL_SHAPE, "input has shape %s; it must be {N, ..., C}", dl_shape_text(x).at);
    int64_t channels = x->shape[x->dims - 1];
    if (channels % groups != 0)
        return dl_fail(DL_SHAPE, "input has shape %s, and num_groups = %lld does not divide its %lld channels",
                       dl_shape_text(x).at, (long long)groups, (long long)channels);
    DL_TRY(dl_need_dtype(weight, "weight", x->dtype));
    DL_TRY(dl_need_dtype(bias, "bias", x->dtype));
    DL_TRY(dl_need_vector(weight, "weight", channels, "one for each channel"));
    return dl_need_vector(bias, "bias", channels, "one for each channel");
}

/* (N, places, groups, channels of a group) -> groups before places, normalized, and back. */
static dl_status group_norm_forward(dl_op_call *call) {
    static const int64_t swapped[4] = {0, 2, 1, 3};
    const dl_group_norm_options *options = call->options;
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    dl_tensor *weight = call->inputs > 1 ? call->in[1] : NULL, *bias = call->inputs > 2 ? call->in[2] : NULL;
    DL_TRY(check_groups(x, weight, bias, options->num_groups));
    int64_t channels = x->shape[x->dims - 1], places = 1;
    for (int i = 1; i < x->dims - 1; i++)
        places *= x->shape[i];
    int64_t parts[4] = {x->shape[0], places, options->num_groups, channels / options->num_groups};
    dl_tensor *y = dl_permute(context, dl_reshape(context, x, 4, parts), 4, swapped);
    y = dl_permute(context, dl_layer_norm(context, y, 2, NULL, NULL, options->eps), 4, swapped);
    y = dl_reshape(context, y, x->dims, x->shape);
    if (weight)
        y = dl_mul(context, y, weight);
    if (bias)
        y = dl_add(context, y, bias);
    return dl_call_set(call, 0, y);
}

static const dl_field group_norm_fields[] = {
    DL_INT(dl_group_norm_options, num_groups, 0, 1, DL_HIGHEST, DL_REQUIRED, "groups that the channels are cut into"),
    DL_REAL(dl_group_norm_options, eps, 1e-5, 0, DL_HIGHEST, 0, "added to the variance"),
    DL_END,
};

const dl_op dl_op_group_norm = {
    .definition = {.name = "group_norm",
                   .version = 1,
                   .help = "Group normalization: the channels, which come last, are cut into groups, each normalized "
                           "over all places of a sample.",
                   .formula = "(x - mean) / sqrt(var + eps) * weight + bias",
                   .source = "Wu and He 2018",
                   .shapes = "input {N, ..., C}, weight {C}, bias {C} -> {N, ..., C}",
                   .fields = group_norm_fields,
                   .options_size = sizeof(dl_group_norm_options)},
    .inputs = "input weight? bias?",
    .order = "input num_groups weight bias eps",
    .outputs = 1,
    .forward = group_norm_forward,
};

dl_tensor *dl_group_norm(dl_context *context, dl_tensor *x, int64_t num_groups, dl_tensor *weight, dl_tensor *bias,
                         double eps) {
    return dl_apply1(context, &dl_op_group_norm, (dl_tensor *[]){x, weight, bias}, 3,
                     &(dl_group_norm_options){num_groups, eps});
}
