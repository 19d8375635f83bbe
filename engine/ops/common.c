/* ops/common.c: checks, messages and scratch that the operations share. */
#include "ops/ops.h"

_Static_assert((int)DL_FLOAT32 == (int)DL_ELEMENT_FLOAT32 && (int)DL_BOOLEAN == (int)DL_ELEMENT_BOOLEAN,
               "dtypes and elements are in the same order");

const dl_field dl_no_fields[] = {DL_END};

const dl_field dl_last_dim_fields[] = {
    DL_INT(dl_dim_options, dim, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension to work along"),
    DL_END,
};

const dl_field dl_first_dim_fields[] = {
    DL_INT(dl_dim_options, dim, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension to work along"),
    DL_END,
};

dl_text dl_sizes_text(int dims, const int64_t *shape) {
    dl_text text;
    dl_shape_describe(dims, shape, text.at, sizeof text.at);
    return text;
}

dl_text dl_shape_text(const dl_tensor *tensor) {
    return dl_sizes_text(tensor->dims, tensor->shape);
}

dl_status dl_need_float(const dl_tensor *x, const char *input) {
    if (dl_dtype_is_float(x->dtype))
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s is %s; it must be float32 or float64 (convert it with :float())", input,
                   dl_dtype_name(x->dtype));
}

dl_status dl_need_dtype(const dl_tensor *x, const char *input, dl_dtype dtype) {
    if (!x || x->dtype == dtype)
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s is %s; it must be %s, as the first input is (convert it with :to(\"%s\"))", input,
                   dl_dtype_name(x->dtype), dl_dtype_name(dtype), dl_dtype_name(dtype));
}

dl_status dl_need_whole(const dl_tensor *x, const char *input) {
    if (x->dtype == DL_INT32 || x->dtype == DL_INT64 || x->dtype == DL_UINT8)
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s is %s; it must hold whole numbers that count from 1 (int32, int64 or uint8)", input,
                   dl_dtype_name(x->dtype));
}

dl_status dl_need_vector(const dl_tensor *x, const char *input, int64_t size, const char *meaning) {
    if (!x || (x->dims == 1 && x->shape[0] == size))
        return DL_OK;
    return dl_fail(DL_SHAPE, "%s has shape %s; it must be {%lld}: %s", input, dl_shape_text(x).at, (long long)size,
                   meaning);
}

dl_status dl_call_view(dl_op_call *call, int dims, const int64_t *shape, const int64_t *strides, int64_t offset) {
    call->out[0] = dl_tensor_view(call->in[0], dims, shape, strides, offset);
    return call->out[0] ? DL_OK : dl_last_status();
}

dl_tensor *dl_dense(dl_tensor *tensor) {
    if (!tensor || dl_tensor_is_contiguous(tensor))
        return tensor;
    dl_tensor *dense = dl_tensor_contiguous(tensor);
    return dense ? dl_scope_add(tensor->context, dense) : NULL;
}

dl_tensor *dl_scratch(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape) {
    dl_tensor *scratch = dl_tensor_new(context, dtype, dims, shape);
    return scratch ? dl_scope_add(context, scratch) : NULL;
}

dl_tensor *dl_as(dl_tensor *tensor, dl_dtype dtype) {
    if (!tensor || tensor->dtype == dtype)
        return tensor;
    dl_tensor *cast = dl_tensor_cast(tensor, dtype);
    return cast ? dl_scope_add(tensor->context, cast) : NULL;
}

dl_around dl_around_dim(int dims, const int64_t *shape, int dim) {
    dl_around around = {1, 1, 1};
    for (int i = 0; i < dims; i++)
        *(i < dim ? &around.outer : i == dim ? &around.size : &around.inner) *= shape[i];
    return around;
}

void *dl_data_or_null(const dl_tensor *tensor) {
    return tensor ? dl_tensor_data(tensor) : NULL;
}

const void *dl_saved_data(const dl_op_gradient *gradient, int slot) {
    return dl_data_or_null(gradient->saved[slot]);
}

dl_status dl_gradient_data(dl_op_gradient *gradient, int i, void **data) {
    *data = NULL;
    if (i >= gradient->inputs || !gradient->needs[i])
        return DL_OK;
    dl_tensor *grad = dl_gradient_new(gradient, i);
    *data = dl_data_or_null(grad);
    return grad ? DL_OK : dl_last_status();
}
