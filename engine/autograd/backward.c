/* autograd/backward.c: the backward pass.
 *
 * Nodes wait in a heap by falling order; a node is taken out only after everything that uses it. Leaves have order 0
 * and come last. Gradients of leaves change only when the whole pass has succeeded. */
#include <string.h>

#include "autograd/node.h"

/* ---- the heap of waiting nodes --------------------------------------------------------------------------------- */

typedef struct backward_pass {
    dl_context *context;
    bool retain;
    dl_node **heap;
    int64_t count, capacity;
    dl_node **leaves; /* reached, with their gradients in grads[0] */
    int64_t leaf_count, leaf_capacity;
    /* What dl_gradients asks for; wanted NULL: the leaves' grads. */
    dl_tensor **wanted, **found;
    int wanted_count;
} backward_pass;

static dl_status push(backward_pass *pass, dl_node *node) {
    if (node->queued)
        return DL_OK;
    DL_TRY(dl_grow(pass->context, &pass->heap, pass->count, &pass->capacity, sizeof *pass->heap));
    node->queued = true;
    node->references++;
    int64_t at = pass->count++;
    for (int64_t parent; at > 0 && pass->heap[parent = (at - 1) / 2]->order < node->order; at = parent)
        pass->heap[at] = pass->heap[parent];
    pass->heap[at] = node;
    return DL_OK;
}

static dl_node *pop(backward_pass *pass) {
    dl_node *top = pass->heap[0];
    dl_node *last = pass->heap[--pass->count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= pass->count)
            break;
        if (child + 1 < pass->count && pass->heap[child + 1]->order > pass->heap[child]->order)
            child++;
        if (pass->heap[child]->order <= last->order)
            break;
        pass->heap[at] = pass->heap[child];
        at = child;
    }
    if (pass->count > 0)
        pass->heap[at] = last;
    top->queued = false;
    return top;
}

/* ---- sums of gradients ----------------------------------------------------------------------------------------- */

/* a + b as a new tensor in no scope; both contiguous, of one shape and dtype. */
static dl_tensor *add(dl_tensor *a, dl_tensor *b) {
    dl_tensor *sum = dl_tensor_new(a->context, a->dtype, a->dims, a->shape);
    if (sum && dl_tensor_add_into(sum, a, b) != DL_OK) {
        dl_release(sum);
        return NULL;
    }
    return sum;
}

/* Adds grad (whose reference is taken over) to what node's output has got so far. */
static dl_status accumulate(dl_node *node, int output, dl_tensor *grad) {
    dl_tensor *old = node->grads[output];
    if (!old) {
        node->grads[output] = grad;
        return DL_OK;
    }
    dl_tensor *sum = add(old, grad);
    dl_release(grad);
    if (!sum)
        return dl_last_status();
    dl_release(old);
    node->grads[output] = sum;
    return DL_OK;
}

dl_tensor *dl_sum_to_shape(dl_tensor *tensor, int dims, const int64_t *shape) {
    bool reduced[DL_MAX_DIMS] = {false};
    int lead = tensor->dims - dims;
    bool any = false;
    for (int i = 0; i < tensor->dims; i++) {
        reduced[i] = i < lead || (shape[i - lead] == 1 && tensor->shape[i] != 1);
        any = any || reduced[i];
    }
    if (!any)
        return dl_tensor_contiguous(tensor);
    dl_tensor *sum = dl_tensor_sum(tensor, reduced);
    if (!sum)
        return NULL;
    int64_t strides[DL_MAX_DIMS];
    dl_shape_strides(dims, shape, strides);
    dl_tensor *shaped = dl_tensor_view(sum, dims, shape, strides, 0);
    dl_release(sum);
    return shaped;
}

/* ---- what backward sees ---------------------------------------------------------------------------------------- */

dl_status dl_gradient_set(dl_op_gradient *gradient, int i, dl_tensor *grad) {
    if (!grad)
        return dl_last_status();
    dl_tensor *sum = dl_sum_to_shape(grad, gradient->dims[i], gradient->shapes[i]);
    if (sum && sum->dtype != gradient->dtypes[i]) {
        dl_tensor *cast = dl_tensor_cast(sum, gradient->dtypes[i]);
        dl_release(sum);
        sum = cast;
    }
    gradient->grad_in[i] = sum;
    return sum ? DL_OK : dl_last_status();
}

dl_tensor *dl_gradient_new(dl_op_gradient *gradient, int i) {
    gradient->grad_in[i] =
        dl_tensor_new(gradient->context, gradient->dtypes[i], gradient->dims[i], gradient->shapes[i]);
    return gradient->grad_in[i];
}

/* ---- one node -------------------------------------------------------------------------------------------------- */

static dl_status check_saved(const dl_node *node) {
    const char *name = node->op->definition.name;
    if (node->consumed)
        return dl_fail(DL_STATE,
                       "backward has gone through this graph already (at %s) and freed it; compute the result again, "
                       "or pass retain_graph = true the first time",
                       name);
    for (int i = 0; i < DL_MAX_SAVED; i++)
        if (node->saved[i] && node->saved[i]->storage->version != node->versions[i])
            return dl_fail(DL_STATE,
                           "%s needs a value for its gradient that was changed in place after it was computed; use the "
                           "form that makes a new tensor, or clone before the change",
                           name);
    return DL_OK;
}

static dl_status spread(backward_pass *pass, dl_node *node, dl_tensor **grad_in) {
    for (int i = 0; i < node->inputs; i++) {
        if (!grad_in[i])
            continue;
        dl_tensor *grad = grad_in[i];
        grad_in[i] = NULL;
        edge to = node->edges[i];
        if (!to.node) {
            dl_release(grad);
            continue;
        }
        dl_status status = push(pass, to.node);
        if (status != DL_OK) {
            dl_release(grad);
            return status;
        }
        DL_TRY(accumulate(to.node, to.output, grad));
    }
    return DL_OK;
}

static dl_status run_backward(backward_pass *pass, dl_node *node, dl_tensor **grad_in) {
    dl_op_gradient gradient = {
        .context = pass->context,
        .op = node->op,
        .options = node->options,
        .inputs = node->inputs,
        .saved = node->saved,
        .state = node->state,
        .needs = node->needs,
        .grad_in = grad_in,
        .shapes = (const int64_t(*)[DL_MAX_DIMS])node->shapes,
        .dims = node->dims,
        .dtypes = node->dtypes,
    };
    memcpy(gradient.grad_out, node->grads, sizeof node->grads);
    size_t mark = dl_scope_begin(pass->context);
    dl_status status = node->op->backward(&gradient);
    dl_scope_end(pass->context, mark, NULL);
    return status == DL_OK ? DL_OK : dl_fail_prefix("backward of %s", node->op->definition.name);
}

static void drop_grads(dl_node *node) {
    for (int i = 0; i < node->outputs; i++) {
        dl_release(node->grads[i]);
        node->grads[i] = NULL;
    }
}

static dl_status visit(backward_pass *pass, dl_node *node) {
    DL_TRY(check_saved(node));
    DL_TRY(dl_poll(pass->context));
    dl_tensor **grad_in = dl_alloc_zeroed(pass->context, (size_t)DL_MAX(node->inputs, 1) * sizeof *grad_in);
    if (!grad_in)
        return DL_MEMORY;
    dl_status status = run_backward(pass, node, grad_in);
    if (status == DL_OK && dl_detect_anomaly(pass->context))
        status = dl_check_finite(node->op, grad_in, node->inputs, "gradient of input");
    if (status == DL_OK)
        status = spread(pass, node, grad_in);
    for (int i = 0; i < node->inputs; i++)
        dl_release(grad_in[i]);
    dl_free(grad_in);
    if (status == DL_OK && !pass->retain)
        dl_node_consume(node);
    return status;
}

/* ---- the whole pass -------------------------------------------------------------------------------------------- */

/* Keeps what dl_gradients asked for of this node's outputs. */
static void capture(backward_pass *pass, const dl_node *node) {
    for (int i = 0; i < pass->wanted_count; i++) {
        dl_tensor *tensor = pass->wanted[i];
        if (tensor->node != node || !node->grads[tensor->output])
            continue;
        pass->found[i] = node->grads[tensor->output];
        dl_retain(pass->found[i]);
    }
}

static dl_status walk(backward_pass *pass) {
    while (pass->count > 0) {
        dl_node *node = pop(pass);
        dl_status status = DL_OK;
        capture(pass, node);
        if (node->leaf) {
            status = dl_grow(pass->context, &pass->leaves, pass->leaf_count, &pass->leaf_capacity,
                             sizeof *pass->leaves);
            if (status == DL_OK) {
                pass->leaves[pass->leaf_count++] = node; /* keeps the heap's reference */
                continue;
            }
        } else {
            status = visit(pass, node);
        }
        drop_grads(node);
        dl_node_release(node);
        DL_TRY(status);
    }
    return DL_OK;
}

/* Adds the new gradients to the old ones: first all sums, which may fail, then all changes, which cannot. */
static dl_status commit(backward_pass *pass) {
    for (int64_t i = 0; i < pass->leaf_count; i++) {
        dl_node *node = pass->leaves[i];
        dl_tensor *grad = node->grads[0], *old = node->leaf->grad;
        /* One tensor may be the gradient of several, or the caller's: each leaf gets its own. */
        bool shared = atomic_load(&grad->references) > 1 || atomic_load(&grad->storage->references) > 1;
        if (!old && !shared)
            continue;
        dl_tensor *sum = old ? add(old, grad) : dl_tensor_cast(grad, grad->dtype);
        if (!sum)
            return dl_last_status();
        dl_release(node->grads[0]);
        node->grads[0] = sum;
    }
    for (int64_t i = 0; i < pass->leaf_count; i++) {
        dl_node *node = pass->leaves[i];
        dl_release(node->leaf->grad);
        node->leaf->grad = node->grads[0];
        node->grads[0] = NULL;
    }
    return DL_OK;
}

static void finish(backward_pass *pass) {
    for (int64_t i = 0; i < pass->count; i++) {
        pass->heap[i]->queued = false;
        drop_grads(pass->heap[i]);
        dl_node_release(pass->heap[i]);
    }
    for (int64_t i = 0; i < pass->leaf_count; i++) {
        drop_grads(pass->leaves[i]);
        dl_node_release(pass->leaves[i]);
    }
    dl_free(pass->heap);
    dl_free(pass->leaves);
}

/* The gradient that a pass starts with: 1, or the given one, contiguous; a new reference. */
static dl_tensor *first_gradient(dl_tensor *root, dl_tensor *grad_output) {
    char shape[160];
    dl_shape_describe(root->dims, root->shape, shape, sizeof shape);
    if (!grad_output) {
        if (dl_tensor_numel(root) != 1) {
            dl_fail(DL_SHAPE,
                    "backward: starts from one number, and this tensor has the shape %s; reduce it (sum, mean) or pass "
                    "a gradient of its shape",
                    shape);
            return NULL;
        }
        dl_tensor *one = dl_tensor_new(root->context, root->dtype, root->dims, root->shape);
        if (one && dl_tensor_fill(one, 1.0) != DL_OK) {
            dl_release(one);
            return NULL;
        }
        return one;
    }
    if (!dl_tensor_same_shape(root, grad_output) || root->dtype != grad_output->dtype) {
        char given[160];
        dl_shape_describe(grad_output->dims, grad_output->shape, given, sizeof given);
        dl_fail(DL_SHAPE, "backward: the gradient is %s %s but the tensor is %s %s",
                dl_dtype_name(grad_output->dtype), given, dl_dtype_name(root->dtype), shape);
        return NULL;
    }
    return dl_tensor_contiguous(grad_output);
}

static dl_status run_pass(backward_pass *pass, dl_tensor *root, dl_tensor *grad_output) {
    dl_node *node = dl_node_of(root);
    if (!node)
        return DL_MEMORY;
    node->references++;
    dl_tensor *grad = first_gradient(root, grad_output);
    dl_status status = grad ? accumulate(node, root->output, grad) : dl_last_status();
    if (status == DL_OK)
        status = push(pass, node);
    if (status == DL_OK)
        status = walk(pass);
    if (status == DL_OK && !pass->wanted)
        status = commit(pass);
    finish(pass);
    drop_grads(node);
    dl_node_release(node);
    return status;
}

static dl_status start(backward_pass *pass, dl_tensor *root, dl_tensor *grad_output) {
    if (!dl_requires_grad(root))
        return dl_fail(DL_STATE, "backward: this tensor was not computed from one that requires a gradient; call "
                                 "requires_grad_() on the weights before computing");
    bool recorded = dl_set_grad_enabled(pass->context, false);
    dl_status status = run_pass(pass, root, grad_output);
    dl_set_grad_enabled(pass->context, recorded);
    return status;
}

dl_status dl_backward(dl_tensor *tensor, dl_tensor *grad_output, int flags) {
    backward_pass pass = {.context = tensor->context, .retain = flags & DL_RETAIN_GRAPH};
    return start(&pass, tensor, grad_output);
}

dl_status dl_gradients(dl_tensor *output, dl_tensor *grad_output, dl_tensor **inputs, int count, int flags,
                       dl_tensor **out) {
    for (int i = 0; i < count; i++)
        out[i] = NULL;
    backward_pass pass = {
        .context = output->context,
        .retain = flags & DL_RETAIN_GRAPH,
        .wanted = inputs,
        .found = out,
        .wanted_count = count,
    };
    dl_status status = start(&pass, output, grad_output);
    for (int i = 0; i < count; i++) {
        if (status != DL_OK) {
            dl_release(out[i]);
            out[i] = NULL;
        } else if (out[i]) {
            out[i] = dl_scope_add(output->context, out[i]);
            if (!out[i])
                status = DL_MEMORY;
        }
    }
    return status;
}
