/* tensor/create.c: tensors made from numbers, host memory and random streams. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "tensor/tensor.h"

/* Releases a tensor that could not be filled. */
static dl_tensor *finished(dl_tensor *tensor, dl_status status) {
    if (!tensor || status == DL_OK)
        return tensor ? dl_scope_add(tensor->context, tensor) : NULL;
    dl_release(tensor);
    return NULL;
}

dl_tensor *dl_full(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape, double value) {
    dl_tensor *tensor = dl_tensor_new(context, dtype, dims, shape);
    return finished(tensor, tensor ? dl_tensor_fill(tensor, value) : DL_MEMORY);
}

dl_tensor *dl_zeros(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape) {
    return dl_full(context, dtype, dims, shape, 0.0);
}

dl_tensor *dl_scalar(dl_context *context, dl_dtype dtype, double value) {
    return dl_full(context, dtype, 0, NULL, value);
}

dl_tensor *dl_from_data(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape, const void *data) {
    dl_tensor *tensor = dl_tensor_new(context, dtype, dims, shape);
    if (tensor && tensor->storage->bytes > 0)
        memcpy(tensor->storage->data, data, tensor->storage->bytes);
    return finished(tensor, DL_OK);
}

/* start + i * step for i = 0 .. count-1 */
static dl_tensor *progression(dl_context *context, dl_dtype dtype, double start, double step, int64_t count) {
    dl_tensor *tensor = dl_tensor_new(context, dtype, 1, &count);
    if (!tensor)
        return NULL;
    return finished(tensor, dl_kernel()->arange(context, dl_element_of(tensor), tensor->storage->data, start, step,
                                                count));
}

dl_tensor *dl_arange(dl_context *context, dl_dtype dtype, double start, double end, double step) {
    double count = ceil((end - start) / step);
    if (step == 0 || !isfinite(count) || count < 0 || count > 0x1p53) {
        dl_fail(DL_INVALID, "arange: from %g to %g cannot be counted in steps of %g", start, end, step);
        return NULL;
    }
    return progression(context, dtype, start, step, (int64_t)count);
}

dl_tensor *dl_linspace(dl_context *context, dl_dtype dtype, double start, double end, int64_t steps) {
    if (steps < 0) {
        dl_fail(DL_INVALID, "linspace: the number of steps is %" PRId64 "; it is 0 or more", steps);
        return NULL;
    }
    double step = steps > 1 ? (end - start) / (double)(steps - 1) : 0.0;
    return progression(context, dtype, start, step, steps);
}

dl_tensor *dl_eye(dl_context *context, dl_dtype dtype, int64_t rows, int64_t columns) {
    size_t mark = dl_scope_begin(context);
    dl_tensor *eye = dl_zeros(context, dtype, 2, (int64_t[]){rows, columns});
    int64_t count = DL_MIN(rows, columns);
    if (eye && count > 0) {
        dl_tensor *diagonal = dl_tensor_view(eye, 1, &count, (int64_t[]){columns + 1}, 0);
        if (!diagonal || dl_tensor_fill(diagonal, 1.0) != DL_OK)
            eye = NULL;
        dl_release(diagonal);
    }
    return dl_scope_end(context, mark, eye);
}

/* A tensor of numbers drawn from the context's stream; the stream moves on only if all went well. */
static dl_tensor *random_tensor(dl_context *context, dl_distribution distribution, double a, double b, dl_dtype dtype,
                                int dims, const int64_t *shape) {
    dl_tensor *tensor = dl_tensor_new(context, dtype, dims, shape);
    if (!tensor)
        return NULL;
    int64_t count = dl_tensor_numel(tensor);
    int per_block = dl_random_per_block(distribution, dl_element_of(tensor));
    dl_stream *stream = dl_context_stream(context);
    dl_status status = dl_kernel()->random(context, distribution, dl_element_of(tensor), tensor->storage->data, stream,
                                           a, b, count);
    if (status == DL_OK)
        dl_stream_take(stream, (uint64_t)((count + per_block - 1) / per_block));
    return finished(tensor, status);
}

static bool check_float(const char *name, dl_dtype dtype) {
    if (dl_dtype_is_float(dtype))
        return true;
    dl_fail(DL_DTYPE, "%s: makes float32 or float64, not %s", name, dl_dtype_name(dtype));
    return false;
}

dl_tensor *dl_rand(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape) {
    return check_float("rand", dtype) ? random_tensor(context, DL_RANDOM_UNIFORM, 0, 1, dtype, dims, shape) : NULL;
}

dl_tensor *dl_randn(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape) {
    return check_float("randn", dtype) ? random_tensor(context, DL_RANDOM_NORMAL, 0, 1, dtype, dims, shape) : NULL;
}

dl_tensor *dl_randint(dl_context *context, dl_dtype dtype, int64_t low, int64_t high, int dims, const int64_t *shape) {
    if (low > high || low < -(1LL << 53) || high > 1LL << 53) {
        dl_fail(DL_INVALID, "randint: there is no whole number from %" PRId64 " to %" PRId64 " to draw", low, high);
        return NULL;
    }
    return random_tensor(context, DL_RANDOM_INTEGER, (double)low, (double)high, dtype, dims, shape);
}

dl_tensor *dl_randperm(dl_context *context, int64_t n) {
    if (n < 0) {
        dl_fail(DL_INVALID, "randperm: there is no permutation of %" PRId64 " things", n);
        return NULL;
    }
    dl_tensor *tensor = dl_tensor_new(context, DL_INT64, 1, &n);
    if (!tensor)
        return NULL;
    dl_stream *stream = dl_context_stream(context);
    dl_permutation(stream, dl_stream_take(stream, dl_permutation_blocks(n)), n, tensor->storage->data);
    return finished(tensor, DL_OK);
}
