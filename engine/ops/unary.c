/* ops/unary.c: the element-wise functions of one tensor, made from the rows of kernels/unary_rows.h: a row there is all
 * that a new function needs. Whole numbers keep their dtype where the function maps them to whole numbers, and count as
 * float32 elsewhere. Options are the row's parameters, an array of doubles. */
#include "ops/ops.h"
#include "ops/rows.h"

static const bool takes_whole_numbers[DL_UNARY_COUNT] = {
#define X(name, value) [DL_UNARY_##name] = true,
    DL_UNARY_INTEGER_ROWS(X)
#undef X
};

/* The dtype in which the function is computed. */
static dl_status compute_dtype(dl_unary function, const dl_tensor *x, dl_dtype *dtype) {
    *dtype = x->dtype;
    if (dl_dtype_is_float(x->dtype))
        return DL_OK;
    if (!takes_whole_numbers[function]) {
        *dtype = DL_FLOAT32;
        return DL_OK;
    }
    if (x->dtype == DL_BOOLEAN)
        return dl_fail(DL_DTYPE, "x is bool; it must hold numbers (convert it with :to(\"int64\"))");
    return DL_OK;
}

static dl_status unary_forward(dl_op_call *call, dl_unary function) {
    dl_dtype dtype;
    DL_TRY(compute_dtype(function, call->in[0], &dtype));
    dl_tensor *x = dl_as(call->in[0], dtype);
    dl_tensor *out = x ? dl_call_output(call, 0, dtype, x->dims, x->shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_loop loop;
    dl_tensor_loop(&loop, x->dims, x->shape, (const dl_tensor *[]){out, x}, 2);
    DL_TRY(dl_kernel()->unary(call->context, function, dl_element_of(out), dl_tensor_data(out), dl_tensor_data(x),
                              &loop, call->options));
    dl_unary_needs needs = dl_unary_needs_of(function);
    return needs == DL_NEEDS_NOTHING ? DL_OK : dl_call_save(call, 0, needs == DL_NEEDS_X ? x : out);
}

static dl_status unary_backward(dl_op_gradient *gradient, dl_unary function) {
    const dl_tensor *grad_out = gradient->grad_out[0];
    const dl_tensor *saved = gradient->saved[0];
    dl_tensor *grad_in = dl_gradient_new(gradient, 0);
    DL_TRY(grad_in ? DL_OK : dl_last_status());
    dl_loop loop;
    dl_tensor_loop(&loop, grad_in->dims, grad_in->shape, (const dl_tensor *[]){grad_in, grad_out, saved},
                   saved ? 3 : 2);
    return dl_kernel()->unary_backward(gradient->context, function, dl_element_of(grad_in), dl_tensor_data(grad_in),
                                       dl_tensor_data(grad_out), dl_saved_data(gradient, 0), &loop, gradient->options);
}

#define X(name_, needs_, parameters_, formula_, domain_, value_, gradient_, help_)                                     \
    static dl_status name_##_forward(dl_op_call *call) {                                                               \
        return unary_forward(call, DL_UNARY_##name_);                                                                  \
    }                                                                                                                  \
    static dl_status name_##_backward(dl_op_gradient *gradient) {                                                      \
        return unary_backward(gradient, DL_UNARY_##name_);                                                             \
    }                                                                                                                  \
    static const dl_field name_##_fields[] = {DL_ROW_LIST parameters_ DL_END};                                         \
    const dl_op dl_op_##name_ = {                                                                                      \
        .definition = DL_ROW_DEFINITION(name_, formula_, domain_, "any shape -> the same", help_),                     \
        .inputs = "x",                                                                                                 \
        .outputs = 1,                                                                                                  \
        .forward = name_##_forward,                                                                                    \
        .backward = name_##_backward,                                                                                  \
        .flags = DL_OP_METHOD | DL_OP_INPLACE,                                                                         \
    };
DL_UNARY_ROWS(X)
#undef X

/* ---- predicates: any dtype to bool ----------------------------------------------------------------------------- */

static dl_status predicate_forward(dl_op_call *call, dl_predicate function) {
    dl_tensor *x = call->in[0];
    dl_tensor *out = dl_call_output(call, 0, DL_BOOLEAN, x->dims, x->shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_loop loop;
    dl_tensor_loop(&loop, x->dims, x->shape, (const dl_tensor *[]){out, x}, 2);
    return dl_kernel()->predicate(call->context, function, dl_element_of(x), dl_tensor_data(out), dl_tensor_data(x),
                                  &loop);
}

#define X(name_, formula_, value_, help_)                                                                              \
    static dl_status name_##_forward(dl_op_call *call) {                                                               \
        return predicate_forward(call, DL_PREDICATE_##name_);                                                          \
    }                                                                                                                  \
    const dl_op dl_op_##name_ = {                                                                                      \
        .definition = {.name = #name_,                                                                                 \
                       .version = 1,                                                                                   \
                       .help = help_,                                                                                  \
                       .formula = formula_,                                                                            \
                       .shapes = "any shape -> the same, bool",                                                        \
                       .fields = dl_no_fields},                                                                        \
        .inputs = "x",                                                                                                 \
        .outputs = 1,                                                                                                  \
        .forward = name_##_forward,                                                                                    \
        .flags = DL_OP_METHOD,                                                                                         \
    };
DL_PREDICATE_ROWS(X)
#undef X

/* ---- gelu: two formulas under one name ------------------------------------------------------------------------- */

static dl_status gelu_forward(dl_op_call *call) {
    const dl_gelu_op_options *options = call->options;
    const dl_op *op = options->approximate ? &dl_op_gelu_tanh : &dl_op_gelu_erf;
    return dl_call_set(call, 0, dl_apply1(call->context, op, call->in, 1, NULL));
}

static const dl_field gelu_fields[] = {
    DL_BOOL(dl_gelu_op_options, approximate, false, 0, "true: the approximation by tanh"),
    DL_END,
};

const dl_op dl_op_gelu = {
    .definition = {.name = "gelu",
                   .version = 1,
                   .help = "Gaussian error linear unit.",
                   .formula = "x * (1 + erf(x / sqrt(2))) / 2",
                   .source = "Hendrycks and Gimpel 2016",
                   .shapes = "any shape -> the same",
                   .fields = gelu_fields,
                   .options_size = sizeof(dl_gelu_op_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = gelu_forward,
    .flags = DL_OP_METHOD,
};
