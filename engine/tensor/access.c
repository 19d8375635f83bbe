/* tensor/access.c: reading single elements, and whole tensors out into the host's memory. */

#include "tensor/tensor.h"

double dl_read_real(const dl_tensor *tensor, int64_t offset) {
    const void *data = tensor->storage->data;
    switch (tensor->dtype) {
    case DL_FLOAT32:
        return ((const float *)data)[offset];
    case DL_FLOAT64:
        return ((const double *)data)[offset];
    case DL_INT32:
        return ((const int32_t *)data)[offset];
    case DL_INT64:
        return (double)((const int64_t *)data)[offset];
    default:
        return ((const uint8_t *)data)[offset];
    }
}

int64_t dl_read_int(const dl_tensor *tensor, int64_t offset) {
    if (tensor->dtype == DL_INT64)
        return ((const int64_t *)tensor->storage->data)[offset];
    double value = dl_read_real(tensor, offset);
    if (!(value > -0x1p63)) /* NaN too */
        return value != value ? 0 : INT64_MIN;
    return value >= 0x1p63 ? INT64_MAX : (int64_t)value;
}

static dl_status check_item(const dl_tensor *tensor) {
    if (dl_tensor_numel(tensor) == 1)
        return DL_OK;
    char shape[200];
    dl_shape_describe(tensor->dims, tensor->shape, shape, sizeof shape);
    return dl_fail(DL_SHAPE, "item: needs a tensor of one element, this one has the shape %s", shape);
}

dl_status dl_item(const dl_tensor *tensor, double *out) {
    DL_TRY(check_item(tensor));
    *out = dl_read_real(tensor, tensor->offset);
    return DL_OK;
}

dl_status dl_item_int(const dl_tensor *tensor, int64_t *out) {
    DL_TRY(check_item(tensor));
    *out = dl_read_int(tensor, tensor->offset);
    return DL_OK;
}

static void nothing(void *user) {
    (void)user;
}

dl_status dl_copy_out(const dl_tensor *tensor, dl_dtype dtype, void *data) {
    if (dl_tensor_numel(tensor) == 0)
        return DL_OK;
    size_t mark = dl_scope_begin(tensor->context);
    dl_tensor *to = dl_from_host(tensor->context, dtype, tensor->dims, tensor->shape, data, nothing, NULL);
    dl_status status = to ? dl_tensor_copy(to, tensor) : dl_last_status();
    dl_scope_end(tensor->context, mark, NULL);
    return status;
}
