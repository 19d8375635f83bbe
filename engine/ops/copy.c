/* ops/copy.c: copies, conversions and writing in place. In-place forms go through dl_apply_inplace, so the graph sees
 * them: what was there before gets no gradient. */
#include "ops/ops.h"

/* ---- to, clone ------------------------------------------------------------------------------------------------- */

static dl_status pass_backward(dl_op_gradient *gradient) {
    return dl_gradient_set(gradient, 0, gradient->grad_out[0]);
}

static dl_status to_forward(dl_op_call *call) {
    const dl_to_options *options = call->options;
    dl_tensor *x = call->in[0];
    if ((int)x->dtype == options->dtype)
        return dl_call_view(call, x->dims, x->shape, x->strides, x->offset);
    dl_tensor *out = dl_call_output(call, 0, (dl_dtype)options->dtype, x->dims, x->shape);
    return out ? dl_tensor_copy(out, x) : dl_last_status();
}

static const dl_field to_fields[] = {
    DL_ENUM(dl_to_options, dtype, NULL, "float32|float64|int32|int64|uint8|bool", DL_REQUIRED, "the new dtype"),
    DL_END,
};

const dl_op dl_op_to = {
    .definition = {.name = "to",
                   .version = 1,
                   .help = "Converts to a dtype. Real numbers become whole ones by cutting the fraction off. A view if "
                           "nothing changes.",
                   .shapes = "any shape -> the same",
                   .fields = to_fields,
                   .options_size = sizeof(dl_to_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = to_forward,
    .backward = pass_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

static dl_status clone_forward(dl_op_call *call) {
    dl_tensor *x = call->in[0];
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, x->shape);
    return out ? dl_tensor_copy(out, x) : dl_last_status();
}

const dl_op dl_op_clone = {
    .definition = {.name = "clone",
                   .version = 1,
                   .help = "A copy with storage of its own, contiguous.",
                   .shapes = "any shape -> the same",
                   .fields = dl_no_fields},
    .inputs = "x",
    .outputs = 1,
    .forward = clone_forward,
    .backward = pass_backward,
    .flags = DL_OP_METHOD,
};

/* ---- copy, fill, zero: for their in-place forms ---------------------------------------------------------------- */

static dl_status copy_forward(dl_op_call *call) {
    dl_tensor *x = call->in[0];
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, x->shape);
    return out ? dl_tensor_copy(out, call->in[1]) : dl_last_status();
}

static dl_status copy_backward(dl_op_gradient *gradient) {
    return gradient->needs[1] ? dl_gradient_set(gradient, 1, gradient->grad_out[0]) : DL_OK;
}

const dl_op dl_op_copy = {
    .definition = {.name = "copy",
                   .version = 1,
                   .help = "x:copy_(from): the elements of `from`, broadcast to x's shape and converted to its dtype.",
                   .shapes = "x, from that broadcasts to x -> as x",
                   .fields = dl_no_fields},
    .inputs = "x from",
    .outputs = 1,
    .forward = copy_forward,
    .backward = copy_backward,
    .flags = DL_OP_INPLACE,
};

static dl_status no_gradient(dl_op_gradient *gradient) {
    (void)gradient;
    return DL_OK;
}

static dl_status filled(dl_op_call *call, double value) {
    dl_tensor *x = call->in[0];
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, x->shape);
    return out ? dl_tensor_fill(out, value) : dl_last_status();
}

static dl_status fill_forward(dl_op_call *call) {
    const dl_fill_options *options = call->options;
    return filled(call, options->value);
}

static const dl_field fill_fields[] = {
    DL_REAL(dl_fill_options, value, 0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED | DL_NONE_OK, "what every element becomes"),
    DL_END,
};

const dl_op dl_op_fill = {
    .definition = {.name = "fill",
                   .version = 1,
                   .help = "x:fill_(value): every element becomes the value.",
                   .shapes = "any shape -> the same",
                   .fields = fill_fields,
                   .options_size = sizeof(dl_fill_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = fill_forward,
    .backward = no_gradient,
    .flags = DL_OP_INPLACE,
};

static dl_status zero_forward(dl_op_call *call) {
    return filled(call, 0);
}

const dl_op dl_op_zero = {
    .definition = {.name = "zero",
                   .version = 1,
                   .help = "x:zero_(): every element becomes 0.",
                   .shapes = "any shape -> the same",
                   .fields = dl_no_fields},
    .inputs = "x",
    .outputs = 1,
    .forward = zero_forward,
    .backward = no_gradient,
    .flags = DL_OP_INPLACE,
};
