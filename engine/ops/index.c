/* ops/index.c: operations that take elements by whole numbers. These count from 1, in Lua and in C alike; what is out
 * of range is refused before anything is written where it would be. */
#include <string.h>

#include "ops/ops.h"

/* Adds the gradient of each element that was taken to where it came from; index {..., count at dim, ...} is saved. */
static dl_status add_back(dl_op_gradient *gradient, __typeof__(dl_kernel()->gather_backward) kernel, bool whole_rows) {
    const dl_dim_options *options = gradient->options;
    const dl_tensor *index = gradient->saved[0];
    dl_tensor *grad_in = dl_gradient_new(gradient, 0);
    DL_TRY(grad_in ? DL_OK : dl_last_status());
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, grad_in->dims, &dim));
    dl_around around = dl_around_dim(grad_in->dims, grad_in->shape, dim);
    return kernel(gradient->context, dl_element_of(grad_in), dl_tensor_data(grad_in),
                  dl_tensor_data(gradient->grad_out[0]), dl_element_of(index), dl_tensor_data(index), around.outer,
                  around.size, around.inner, index->shape[whole_rows ? 0 : dim]);
}

/* ---- index_select ---------------------------------------------------------------------------------------------- */

static dl_status index_select_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_whole(call->in[1], "index"));
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, x->dims, &dim));
    if (call->in[1]->dims != 1)
        return dl_fail(DL_SHAPE, "index has shape %s; it must have one dimension", dl_shape_text(call->in[1]).at);
    dl_tensor *dense = dl_dense(x);
    dl_tensor *index = dl_dense(call->in[1]);
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[dim] = call->in[1]->shape[0];
    dl_tensor *out = dense && index ? dl_call_output(call, 0, x->dtype, x->dims, shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_around around = dl_around_dim(x->dims, x->shape, dim);
    DL_TRY(dl_kernel()->index_select(call->context, dl_element_of(x), dl_tensor_data(out), dl_tensor_data(dense),
                                     dl_element_of(index), dl_tensor_data(index), false, around.outer, around.size,
                                     around.inner, shape[dim]));
    return dl_call_save(call, 0, index);
}

static dl_status index_select_backward(dl_op_gradient *gradient) {
    return add_back(gradient, dl_kernel()->index_select_backward, true);
}

static const dl_field dim_fields[] = {
    DL_INT(dl_dim_options, dim, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED, "the dimension to take from"),
    DL_END,
};

const dl_op dl_op_index_select = {
    .definition = {.name = "index_select",
                   .version = 1,
                   .help = "Slices along a dimension by their numbers, which count from 1 and may repeat.",
                   .formula = "out[i] = x[index[i]] for dim 1",
                   .shapes = "{a, b, c}, {n} -> {a, n, c} for dim 2",
                   .fields = dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x index",
    .order = "x dim index",
    .outputs = 1,
    .forward = index_select_forward,
    .backward = index_select_backward,
    .flags = DL_OP_METHOD,
};

/* ---- gather ---------------------------------------------------------------------------------------------------- */

static dl_status check_gather(const dl_tensor *x, const dl_tensor *index, int dim) {
    bool fits = x->dims == index->dims;
    for (int i = 0; fits && i < x->dims; i++)
        fits = i == dim || index->shape[i] == x->shape[i];
    if (fits)
        return DL_OK;
    return dl_fail(DL_SHAPE, "x has shape %s and index %s; they may differ in dimension %d only", dl_shape_text(x).at,
                   dl_shape_text(index).at, dim + 1);
}

static dl_status gather_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_whole(call->in[1], "index"));
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, x->dims, &dim));
    DL_TRY(check_gather(x, call->in[1], dim));
    dl_tensor *dense = dl_dense(x);
    dl_tensor *index = dl_dense(call->in[1]);
    dl_tensor *out = dense && index ? dl_call_output(call, 0, x->dtype, index->dims, index->shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_around around = dl_around_dim(x->dims, x->shape, dim);
    DL_TRY(dl_kernel()->gather(call->context, dl_element_of(x), dl_tensor_data(out), dl_tensor_data(dense),
                               dl_element_of(index), dl_tensor_data(index), around.outer, around.size, around.inner,
                               index->shape[dim]));
    return dl_call_save(call, 0, index);
}

static dl_status gather_backward(dl_op_gradient *gradient) {
    return add_back(gradient, dl_kernel()->gather_backward, false);
}

const dl_op dl_op_gather = {
    .definition = {.name = "gather",
                   .version = 1,
                   .help = "Elements along a dimension by their numbers, which count from 1.",
                   .formula = "out[i][j] = x[i][index[i][j]] for dim 2",
                   .shapes = "{a, b, c}, {a, n, c} -> {a, n, c} for dim 2",
                   .fields = dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x index",
    .order = "x dim index",
    .outputs = 1,
    .forward = gather_forward,
    .backward = gather_backward,
    .flags = DL_OP_METHOD,
};

/* ---- one_hot --------------------------------------------------------------------------------------------------- */

static void write_one(dl_dtype dtype, void *to) {
    switch (dtype) {
    case DL_FLOAT32:
        *(float *)to = 1;
        break;
    case DL_FLOAT64:
        *(double *)to = 1;
        break;
    case DL_INT32:
        *(int32_t *)to = 1;
        break;
    case DL_INT64:
        *(int64_t *)to = 1;
        break;
    default:
        *(uint8_t *)to = 1;
    }
}

static dl_status one_hot_forward(dl_op_call *call) {
    const dl_one_hot_options *options = call->options;
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_whole(x, "labels"));
    if (x->dims == DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "labels have shape %s, and a tensor has %d dimensions at most", dl_shape_text(x).at,
                       DL_MAX_DIMS);
    dl_tensor *labels = dl_dense(dl_as(x, DL_INT64));
    DL_TRY(labels ? DL_OK : dl_last_status());
    int64_t count = dl_tensor_numel(labels);
    const int64_t *label = DL_DATA(labels, int64_t);
    for (int64_t i = 0; i < count; i++) {
        if (label[i] < 0 || label[i] > options->num_classes)
            return dl_fail(DL_INVALID,
                           "label %lld at place %lld; with num_classes = %lld labels are 1 to %lld, or 0 for "
                           "none (labels count from 1: a file's 0..K-1 needs + 1)",
                           (long long)label[i], (long long)i + 1, (long long)options->num_classes,
                           (long long)options->num_classes);
    }
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->dims] = options->num_classes;
    dl_dtype dtype = (dl_dtype)options->dtype;
    dl_tensor *out = dl_call_output(call, 0, dtype, x->dims + 1, shape);
    DL_TRY(out ? dl_tensor_fill(out, 0) : dl_last_status());
    char *data = dl_tensor_data(out);
    for (int64_t i = 0; i < count; i++) {
        if (label[i] > 0)
            write_one(dtype, data + (size_t)(i * options->num_classes + label[i] - 1) * dl_dtype_size(dtype));
    }
    return DL_OK;
}

static const dl_field one_hot_fields[] = {
    DL_INT(dl_one_hot_options, num_classes, 0, 1, DL_HIGHEST, DL_REQUIRED, "how many classes there are"),
    DL_ENUM(dl_one_hot_options, dtype, "float32", "float32|float64|int32|int64|uint8|bool", 0, "of the result"),
    DL_END,
};

const dl_op dl_op_one_hot = {
    .definition = {.name = "one_hot",
                   .version = 1,
                   .help = "A 1 at the place of each label, which counts from 1; label 0 (none) gives zeros.",
                   .formula = "out[i][k] = 1 if labels[i] == k, else 0",
                   .shapes = "{...} -> {..., num_classes}",
                   .fields = one_hot_fields,
                   .options_size = sizeof(dl_one_hot_options)},
    .inputs = "labels",
    .outputs = 1,
    .forward = one_hot_forward,
    .flags = DL_OP_METHOD,
};
