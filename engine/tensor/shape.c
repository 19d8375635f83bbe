/* tensor/shape.c: arithmetic on shapes and strides. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"

void dl_shape_describe(int dims, const int64_t *shape, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "{");
    for (int i = 0; i < dims && used < size; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (shape[i] == DL_NONE)
            used += (size_t)snprintf(text + used, size - used, "%s*", comma);
        else
            used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, comma, shape[i]);
    }
    if (used < size)
        snprintf(text + used, size - used, "}");
}

bool dl_shape_equal(int dims_a, const int64_t *a, int dims_b, const int64_t *b) {
    return dims_a == dims_b && (dims_a == 0 || memcmp(a, b, (size_t)dims_a * sizeof *a) == 0);
}

bool dl_tensor_same_shape(const dl_tensor *a, const dl_tensor *b) {
    return dl_shape_equal(a->dims, a->shape, b->dims, b->shape);
}

int64_t dl_shape_strides(int dims, const int64_t *shape, int64_t *strides) {
    int64_t count = 1;   /* elements */
    int64_t stride = 1;  /* as if sizes of 0 were 1, so that an empty tensor's strides stay meaningful */
    for (int i = dims - 1; i >= 0; i--) {
        if (shape[i] < 0)
            return -1;
        strides[i] = stride;
        if (__builtin_mul_overflow(stride, DL_MAX(shape[i], 1), &stride))
            return -1;
        count *= shape[i]; /* at most `stride`, which did not overflow */
    }
    return count;
}

dl_status dl_shape_broadcast(int dims_a, const int64_t *a, int dims_b, const int64_t *b, int *dims, int64_t *shape) {
    int longer = DL_MAX(dims_a, dims_b);
    for (int i = 0; i < longer; i++) {
        int at_a = i - (longer - dims_a);
        int at_b = i - (longer - dims_b);
        int64_t size_a = at_a >= 0 ? a[at_a] : 1;
        int64_t size_b = at_b >= 0 ? b[at_b] : 1;
        if (size_a != size_b && size_a != 1 && size_b != 1) {
            char text_a[160], text_b[160];
            dl_shape_describe(dims_a, a, text_a, sizeof text_a);
            dl_shape_describe(dims_b, b, text_b, sizeof text_b);
            return dl_fail(DL_SHAPE,
                           "shapes %s and %s do not broadcast: counted from the last dimension, sizes must be equal or "
                           "1 (here %" PRId64 " and %" PRId64 ")",
                           text_a, text_b, size_a, size_b);
        }
        shape[i] = size_a == 1 ? size_b : size_a;
    }
    *dims = longer;
    return DL_OK;
}

dl_status dl_dim_normalize(int64_t dim, int dims, int *out) {
    if (dim < -dims || dim >= dims) {
        if (dims == 0)
            return dl_fail(DL_INVALID, "a tensor of no dimensions has no dimension to name");
        int64_t shown = dim >= 0 && dim < INT64_MAX ? dim + 1 : dim;
        return dl_fail(DL_INVALID, "dimension %" PRId64 " does not exist: use 1 to %d, or -1 to -%d from the end",
                       shown, dims, dims);
    }
    *out = (int)(dim < 0 ? dim + dims : dim);
    return DL_OK;
}

void dl_broadcast_strides(const dl_tensor *tensor, int dims, const int64_t *shape, int64_t *strides) {
    int lead = dims - tensor->dims;
    for (int i = 0; i < dims; i++) {
        bool repeats = i < lead || (tensor->shape[i - lead] == 1 && shape[i] != 1);
        strides[i] = repeats ? 0 : tensor->strides[i - lead];
    }
}

void dl_tensor_loop(dl_loop *loop, int dims, const int64_t *shape, const dl_tensor *const *tensors, int count) {
    loop->dims = dims;
    for (int i = 0; i < dims; i++)
        loop->shape[i] = shape[i];
    for (int t = 0; t < count; t++)
        dl_broadcast_strides(tensors[t], dims, shape, loop->strides[t]);
}
