/* tensor/copy.c: writing elements: copies, casts, fills and the few sums that the gradient graph needs. Nothing here is
 * recorded in the graph. */
#include "kernels/kernels.h"
#include "tensor/tensor.h"

/* Copies without touching the version: for tensors that nobody has seen. */
static dl_status copy_elements(const dl_tensor *to, const dl_tensor *from) {
    dl_loop loop;
    dl_tensor_loop(&loop, to->dims, to->shape, (const dl_tensor *[]){to, from}, 2);
    return dl_kernel()->copy(to->context, dl_element_of(to), dl_tensor_data(to), dl_element_of(from),
                             dl_tensor_data(from), &loop);
}

/* A repeated element would be written from several places at once. */
static dl_status check_target(const dl_tensor *to) {
    for (int i = 0; i < to->dims; i++)
        if (to->strides[i] == 0 && to->shape[i] > 1)
            return dl_fail(DL_STATE, "a tensor that expand() made repeats its elements and cannot be written; clone it "
                                     "first");
    return DL_OK;
}

dl_status dl_tensor_copy(dl_tensor *to, const dl_tensor *from) {
    DL_TRY(check_target(to));
    int dims;
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(dl_shape_broadcast(to->dims, to->shape, from->dims, from->shape, &dims, shape));
    if (!dl_shape_equal(dims, shape, to->dims, to->shape)) {
        char text_from[160], text_to[160];
        dl_shape_describe(from->dims, from->shape, text_from, sizeof text_from);
        dl_shape_describe(to->dims, to->shape, text_to, sizeof text_to);
        return dl_fail(DL_SHAPE, "elements of shape %s do not fit into the shape %s", text_from, text_to);
    }
    /* Overlapping windows of one storage: read everything before anything is written. */
    if (to->storage == from->storage) {
        dl_tensor *apart = dl_tensor_cast((dl_tensor *)from, from->dtype);
        dl_status status = apart ? copy_elements(to, apart) : dl_last_status();
        dl_release(apart);
        DL_TRY(status);
    } else {
        DL_TRY(copy_elements(to, from));
    }
    dl_tensor_bump(to);
    return DL_OK;
}

dl_status dl_tensor_fill(dl_tensor *to, double value) {
    DL_TRY(check_target(to));
    dl_loop loop;
    dl_tensor_loop(&loop, to->dims, to->shape, (const dl_tensor *[]){to}, 1);
    DL_TRY(dl_kernel()->fill(to->context, dl_element_of(to), dl_tensor_data(to), value, &loop));
    dl_tensor_bump(to);
    return DL_OK;
}

dl_tensor *dl_tensor_cast(dl_tensor *tensor, dl_dtype dtype) {
    dl_tensor *cast = dl_tensor_new(tensor->context, dtype, tensor->dims, tensor->shape);
    if (cast && copy_elements(cast, tensor) != DL_OK) {
        dl_release(cast);
        return NULL;
    }
    return cast;
}

dl_tensor *dl_tensor_contiguous(dl_tensor *tensor) {
    if (!dl_tensor_is_contiguous(tensor))
        return dl_tensor_cast(tensor, tensor->dtype);
    dl_retain(tensor);
    return tensor;
}

dl_status dl_tensor_add_into(dl_tensor *out, const dl_tensor *a, const dl_tensor *b) {
    dl_loop loop;
    dl_tensor_loop(&loop, out->dims, out->shape, (const dl_tensor *[]){out, a, b}, 3);
    return dl_kernel()->binary(out->context, DL_BINARY_add, dl_element_of(out), dl_tensor_data(out), dl_tensor_data(a),
                               dl_tensor_data(b), &loop, NULL);
}

bool dl_tensor_is_finite(const dl_tensor *tensor) {
    if (!dl_dtype_is_float(tensor->dtype) || !dl_tensor_is_contiguous(tensor))
        return true;
    bool finite = true;
    dl_kernel()->all_finite(tensor->context, dl_element_of(tensor), &finite, dl_tensor_data(tensor),
                            dl_tensor_numel(tensor));
    return finite;
}

/* Sums one dimension of a contiguous tensor away, leaving a 1 there. */
static dl_tensor *sum_one(dl_tensor *tensor, int dim, int run) {
    int64_t shape[DL_MAX_DIMS];
    int64_t outer = 1, n = 1, inner = 1;
    for (int i = 0; i < tensor->dims; i++) {
        bool reduced = i >= dim && i < dim + run;
        shape[i] = reduced ? 1 : tensor->shape[i];
        *(i < dim ? &outer : reduced ? &n : &inner) *= tensor->shape[i];
    }
    dl_tensor *sum = dl_tensor_new(tensor->context, tensor->dtype, tensor->dims, shape);
    if (!sum)
        return NULL;
    dl_status status = dl_kernel()->reduce(tensor->context, DL_REDUCE_SUM, dl_element_of(tensor), dl_tensor_data(sum),
                                           dl_tensor_data(tensor), outer, n, inner);
    if (status == DL_OK)
        return sum;
    dl_release(sum);
    return NULL;
}

dl_tensor *dl_tensor_sum(dl_tensor *tensor, const bool *reduced) {
    dl_tensor *sum = dl_tensor_contiguous(tensor);
    /* From the last dimension on: each sum leaves less for the next. Neighbours go in one run. */
    for (int dim = tensor->dims - 1; sum && dim >= 0; dim--) {
        if (!reduced[dim])
            continue;
        int run = 1;
        while (dim > 0 && reduced[dim - 1]) {
            dim--;
            run++;
        }
        dl_tensor *next = sum_one(sum, dim, run);
        dl_release(sum);
        sum = next;
    }
    return sum;
}
