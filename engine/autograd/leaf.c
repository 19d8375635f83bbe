/* autograd/leaf.c: what a user asks of and sets on a tensor about gradients. */
#include "autograd/node.h"

bool dl_requires_grad(const dl_tensor *tensor) {
    return tensor->requires_grad || (tensor->node && tensor->node->op);
}

bool dl_is_leaf(const dl_tensor *tensor) {
    return !tensor->node || tensor->node->leaf;
}

dl_status dl_requires_grad_(dl_tensor *tensor, bool requires_grad) {
    if (!dl_is_leaf(tensor))
        return dl_fail(DL_STATE, "requires_grad_: this tensor is the result of an operation that is recorded; detach() "
                                 "gives one that is not");
    if (requires_grad && !dl_dtype_is_float(tensor->dtype))
        return dl_fail(DL_DTYPE, "requires_grad_: only float32 and float64 tensors have gradients, this one is %s",
                       dl_dtype_name(tensor->dtype));
    tensor->requires_grad = requires_grad;
    return DL_OK;
}

dl_tensor *dl_grad(const dl_tensor *tensor) {
    return tensor->grad;
}

dl_status dl_set_grad(dl_tensor *tensor, dl_tensor *grad) {
    if (grad && (!dl_tensor_same_shape(tensor, grad) || tensor->dtype != grad->dtype))
        return dl_fail(DL_SHAPE, "grad: a gradient has the shape and dtype of its tensor");
    dl_tensor *own = grad ? dl_tensor_contiguous(grad) : NULL;
    if (grad && !own)
        return dl_last_status();
    dl_release(tensor->grad);
    tensor->grad = own;
    return DL_OK;
}
