/* autograd/apply.c: running an op, with or without recording it. */
#include <string.h>

#include "autograd/node.h"

/* Larger options structs than this would be a mistake in a definition. */
#define MAX_OPTIONS 512

/* ---- what forward sees ----------------------------------------------------------------------------------------- */

dl_tensor *dl_call_output(dl_op_call *call, int i, dl_dtype dtype, int dims, const int64_t *shape) {
    call->out[i] = dl_tensor_new(call->context, dtype, dims, shape);
    return call->out[i];
}

dl_status dl_call_set(dl_op_call *call, int i, dl_tensor *tensor) {
    if (!tensor)
        return dl_last_status();
    dl_retain(tensor);
    call->out[i] = tensor;
    return DL_OK;
}

bool dl_call_needs(const dl_op_call *call, int i) {
    return call->node && call->node->needs[i];
}

dl_status dl_call_save(dl_op_call *call, int slot, dl_tensor *tensor) {
    if (!call->node || !tensor)
        return DL_OK;
    dl_tensor *alias = dl_tensor_alias(tensor);
    if (!alias)
        return DL_MEMORY;
    call->node->saved[slot] = alias;
    call->node->versions[slot] = alias->storage->version;
    return DL_OK;
}

void *dl_call_state(dl_op_call *call, size_t bytes) {
    if (!call->node)
        return NULL;
    call->node->state = dl_alloc_zeroed(call->context, bytes);
    return call->node->state;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

/* Reads the next name of op->inputs; returns its suffix: '?' optional, '*' a list, ' ' plain, 0 at the end. */
static char next_input(const char **at) {
    const char *p = *at;
    while (*p == ' ')
        p++;
    if (!*p)
        return 0;
    while (*p && *p != ' ')
        p++;
    *at = p;
    return p[-1] == '?' || p[-1] == '*' ? p[-1] : ' ';
}

static dl_status check_inputs(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs) {
    const char *at = op->inputs;
    char kind = ' ';
    for (int i = 0; i < inputs; i++) {
        if (kind != '*')
            kind = next_input(&at);
        if (kind == 0)
            return dl_fail(DL_INVALID, "%s: takes fewer inputs (%s) than the %d given", op->definition.name,
                           op->inputs, inputs);
        if (!in[i] && kind != '?') {
            dl_status status = dl_last_status(); /* of the call whose result this input should have been */
            return status != DL_OK ? status
                                   : dl_fail(DL_INVALID, "%s: input %d is missing", op->definition.name, i + 1);
        }
        if (in[i] && in[i]->context != context)
            return dl_fail(DL_INVALID, "%s: input %d belongs to another context", op->definition.name, i + 1);
    }
    if (kind == '*' && inputs > 0)
        return DL_OK;
    while ((kind = next_input(&at)) != 0)
        if (kind != '?')
            return dl_fail(DL_INVALID, "%s: takes more inputs (%s) than the %d given", op->definition.name, op->inputs,
                           inputs);
    return DL_OK;
}

/* A view whose elements were overwritten since it was made would get the gradient of what they were before. */
static dl_status check_views(const dl_op *op, dl_tensor *const *in, int inputs) {
    for (int i = 0; i < inputs; i++)
        if (in[i] && in[i]->view && in[i]->node && in[i]->viewed != in[i]->storage->version)
            return dl_fail(DL_STATE,
                           "%s: input %d is a view of a tensor that was changed in place after the view was made; make "
                           "the view again, or clone the tensor before changing it",
                           op->definition.name, i + 1);
    return DL_OK;
}

static bool wants_gradient(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs) {
    if (!op->backward || !dl_grad_enabled(context))
        return false;
    for (int i = 0; i < inputs; i++)
        if (in[i] && dl_requires_grad(in[i]))
            return true;
    return false;
}

dl_status dl_check_finite(const dl_op *op, dl_tensor *const *tensors, int count, const char *what) {
    for (int i = 0; i < count; i++) {
        if (!tensors[i] || dl_tensor_is_finite(tensors[i]))
            continue;
        char shape[160];
        dl_shape_describe(tensors[i]->dims, tensors[i]->shape, shape, sizeof shape);
        return dl_fail(DL_STATE, "%s: its %s %d, of shape %s, has NaN or infinite values", op->definition.name, what,
                       i + 1, shape);
    }
    return DL_OK;
}

static void attach(dl_op_call *call) {
    for (int i = 0; i < call->op->outputs; i++) {
        dl_tensor *out = call->out[i];
        if (!out || !dl_dtype_is_float(out->dtype))
            continue;
        out->node = call->node;
        out->output = i;
        call->node->references++;
    }
}

static dl_status run(dl_op_call *call) {
    size_t mark = dl_scope_begin(call->context);
    dl_status status = call->op->forward(call);
    dl_scope_end(call->context, mark, NULL);
    if (status == DL_OK && dl_detect_anomaly(call->context))
        status = dl_check_finite(call->op, call->out, call->op->outputs, "output");
    else if (status != DL_OK)
        status = dl_fail_prefix("%s", call->op->definition.name);
    return status;
}

static dl_status hand_over(dl_op_call *call, dl_tensor **out) {
    dl_status status = DL_OK;
    for (int i = 0; i < call->op->outputs; i++) {
        out[i] = dl_scope_add(call->context, call->out[i]);
        call->out[i] = NULL;
        if (!out[i])
            status = dl_last_status();
    }
    return status;
}

static dl_status apply(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs, const void *options,
                       dl_tensor **out) {
    DL_TRY(dl_options_check(&op->definition, options));
    dl_op_call call = {.context = context, .op = op, .options = options, .in = in, .inputs = inputs};
    if (wants_gradient(context, op, in, inputs)) {
        DL_TRY(check_views(op, in, inputs));
        call.node = dl_node_create(context, op, in, inputs, options);
        if (!call.node)
            return dl_fail_prefix("%s", op->definition.name);
    }
    dl_status status = run(&call);
    if (status == DL_OK) {
        if (call.node)
            attach(&call);
        status = hand_over(&call, out);
    } else {
        for (int i = 0; i < op->outputs; i++)
            dl_release(call.out[i]);
    }
    if (call.node)
        dl_node_release(call.node);
    return status;
}

dl_status dl_apply(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs, const void *options,
                   dl_tensor **out) {
    for (int i = 0; i < op->outputs; i++)
        out[i] = NULL;
    DL_TRY(check_inputs(context, op, in, inputs));
    if (options || op->definition.options_size == 0)
        return apply(context, op, in, inputs, options, out);
    _Alignas(16) char defaults[MAX_OPTIONS];
    if (op->definition.options_size > sizeof defaults)
        return dl_fail(DL_INVALID, "%s: its options take more than %d bytes", op->definition.name, MAX_OPTIONS);
    dl_options_init(&op->definition, defaults, op->definition.options_size);
    dl_status status = apply(context, op, in, inputs, defaults, out);
    dl_options_clear(&op->definition, defaults);
    return status;
}

dl_tensor *dl_apply1(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs, const void *options) {
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL};
    if (dl_apply(context, op, in, inputs, options, out) != DL_OK)
        return NULL;
    return out[0];
}

/* ---- in place -------------------------------------------------------------------------------------------------- */

static dl_status check_inplace(const dl_op *op, const dl_tensor *target, bool recording) {
    const char *name = op->definition.name;
    if (recording && (target->requires_grad || (target->node && target->node->leaf)))
        return dl_fail(DL_STATE,
                       "%s_: a leaf that requires a gradient cannot change in place while gradients are recorded; do "
                       "it inside no_grad, or on a clone",
                       name);
    if (recording && target->view)
        return dl_fail(DL_STATE, "%s_: a view cannot change in place while gradients are recorded; clone it first",
                       name);
    return DL_OK;
}

static dl_status check_fits(const dl_op *op, const dl_tensor *target, const dl_tensor *result) {
    if (result->dtype == target->dtype && dl_tensor_same_shape(result, target))
        return DL_OK;
    char shape[160], wanted[160];
    dl_shape_describe(target->dims, target->shape, wanted, sizeof wanted);
    dl_shape_describe(result->dims, result->shape, shape, sizeof shape);
    return dl_fail(DL_SHAPE, "%s_: the result is %s %s and does not fit into the %s %s that it should replace",
                   op->definition.name, dl_dtype_name(result->dtype), shape, dl_dtype_name(target->dtype), wanted);
}

/* The target's values before the change, with its place in the graph, so that backward may need them after it. */
static dl_tensor *before_change(dl_tensor *target) {
    dl_tensor *copy = dl_tensor_cast(target, target->dtype);
    if (copy && target->node) {
        copy->node = target->node;
        copy->output = target->output;
        copy->node->references++;
    }
    return copy ? dl_scope_add(target->context, copy) : NULL;
}

/* op on in[], with the copy in the place of the target. */
static dl_tensor *apply_to_copy(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs,
                                const void *options) {
    dl_tensor **changed = dl_alloc_array(context, (size_t)inputs, sizeof *changed);
    if (!changed)
        return NULL;
    memcpy(changed, in, (size_t)inputs * sizeof *in);
    changed[0] = before_change(in[0]);
    dl_tensor *result = changed[0] ? dl_apply1(context, op, changed, inputs, options) : NULL;
    dl_free(changed);
    return result;
}

dl_status dl_apply_inplace(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs,
                           const void *options) {
    dl_tensor *target = inputs > 0 ? in[0] : NULL;
    if (!target || op->outputs != 1)
        return dl_fail(DL_INVALID, "%s_: this operation has no in-place form", op->definition.name);
    bool recording = wants_gradient(context, op, in, inputs);
    DL_TRY(check_inplace(op, target, recording));
    size_t mark = dl_scope_begin(context);
    dl_tensor *result = recording ? apply_to_copy(context, op, in, inputs, options)
                                  : dl_apply1(context, op, in, inputs, options);
    dl_status status = result ? check_fits(op, target, result) : dl_last_status();
    if (status == DL_OK)
        status = dl_tensor_copy(target, result);
    if (status == DL_OK && recording) {
        dl_node *old = target->node;
        target->node = result->node;
        target->output = result->output;
        if (result->node)
            result->node->references++;
        if (old)
            dl_node_release(old);
    }
    dl_scope_end(context, mark, NULL);
    return status;
}
