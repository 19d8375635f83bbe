/* ops/binary.c: the element-wise functions of two tensors, made from the rows of kernels/binary_rows.h, and where.
 * Operands are broadcast to a common shape and promoted to a common dtype; a tensor without dimensions (a number) never
 * raises the dtype of the other within its kind. */
#include <math.h>

#include "ops/ops.h"
#include "ops/rows.h"

/* ---- dtypes ---------------------------------------------------------------------------------------------------- */

/* bool, whole numbers, real numbers: 0, 1, 2. */
static int kind_of(dl_dtype dtype) {
    return dl_dtype_is_float(dtype) ? 2 : dtype == DL_BOOLEAN ? 0 : 1;
}

dl_dtype dl_common_dtype(const dl_tensor *a, const dl_tensor *b) {
    if ((a->dims == 0) == (b->dims == 0))
        return dl_dtype_promote(a->dtype, b->dtype);
    const dl_tensor *number = a->dims == 0 ? a : b;
    const dl_tensor *other = a->dims == 0 ? b : a;
    if (kind_of(other->dtype) >= kind_of(number->dtype))
        return other->dtype;
    return kind_of(number->dtype) == 2 ? DL_FLOAT32 : number->dtype;
}

static const bool takes_whole_numbers[DL_BINARY_COUNT] = {
#define X(name, value) [DL_BINARY_##name] = true,
    DL_BINARY_INTEGER_ROWS(X) DL_BINARY_DIVISION_ROWS(X)
#undef X
};

/* The dtypes of the result and of the computation. Quotients of whole numbers are real; powers of whole numbers are
 * computed in float64 and stay whole; booleans are computed as uint8 and stay booleans. */
static dl_status result_dtype(dl_binary function, dl_dtype common, dl_dtype *result, dl_dtype *compute) {
    *result = common;
    *compute = common;
    if (dl_dtype_is_float(common))
        return DL_OK;
    if (function == DL_BINARY_pow && common != DL_BOOLEAN) {
        *compute = DL_FLOAT64;
    } else if (!takes_whole_numbers[function]) {
        *result = DL_FLOAT32;
        *compute = DL_FLOAT32;
    } else if (common == DL_BOOLEAN) {
        bool stays = function == DL_BINARY_add || function == DL_BINARY_mul || function == DL_BINARY_maximum ||
                     function == DL_BINARY_minimum;
        if (!stays)
            return dl_fail(DL_DTYPE, "both operands are bool; one must hold numbers (convert it with :to(\"int64\"), "
                                     "or use logical_xor)");
        *compute = DL_UINT8;
    }
    return DL_OK;
}

/* What the gradients of the common functions do not read is not kept. */
static dl_status save_operands(dl_op_call *call, dl_binary function, dl_tensor *a, dl_tensor *b) {
    if (function == DL_BINARY_add || function == DL_BINARY_sub)
        return DL_OK;
    bool crossed = function == DL_BINARY_mul;
    if (!crossed || dl_call_needs(call, 1))
        DL_TRY(dl_call_save(call, 0, a));
    if (!crossed || dl_call_needs(call, 0))
        DL_TRY(dl_call_save(call, 1, b));
    return DL_OK;
}

/* ---- powers with a plain number as their exponent, twenty times faster than in general ------------------------- */

/* The function that is x^exponent; NULL if there is none. */
static const dl_op *power_function(double exponent) {
    return exponent == 2 ? &dl_op_square : exponent == 0.5 ? &dl_op_sqrt : exponent == -1 ? &dl_op_reciprocal : NULL;
}

/* The exponent of a call of pow that power_function knows; NaN for any other call. */
static double simple_exponent(const dl_op_call *call) {
    const dl_tensor *a = call->in[0], *b = call->in[1];
    double exponent = NAN;
    bool constant = b->dims == 0 && !dl_call_needs(call, 1) && dl_dtype_is_float(a->dtype);
    if (!constant || dl_common_dtype(a, b) != a->dtype || dl_item(b, &exponent) != DL_OK)
        return NAN;
    return power_function(exponent) ? exponent : NAN;
}

static dl_status power_forward(dl_op_call *call, double exponent) {
    bool recorded = dl_set_grad_enabled(call->context, false);
    dl_status status = dl_call_set(call, 0, dl_apply1(call->context, power_function(exponent), call->in, 1, NULL));
    dl_set_grad_enabled(call->context, recorded);
    DL_TRY(status);
    if (!call->node)
        return DL_OK;
    double *state = dl_call_state(call, sizeof *state);
    DL_TRY(state ? DL_OK : DL_MEMORY);
    *state = exponent;
    return dl_call_save(call, 0, call->in[0]);
}

/* g * exponent * x^(exponent - 1) */
static dl_status power_backward(dl_op_gradient *gradient, double exponent) {
    dl_context *context = gradient->context;
    dl_tensor *x = gradient->saved[0];
    dl_tensor *slope = exponent == 2     ? x
                       : exponent == 0.5 ? dl_rsqrt(context, x)
                                         : dl_square(context, dl_reciprocal(context, x));
    slope = dl_mul_number(context, slope, exponent);
    return dl_gradient_set(gradient, 0, dl_mul(context, gradient->grad_out[0], slope));
}

/* Whole numbers have no negative powers: 2^-1 is 1/2. */
static dl_status check_whole_power(dl_context *context, dl_tensor *exponents) {
    double lowest = 0;
    if (dl_tensor_numel(exponents) == 0)
        return DL_OK;
    dl_tensor *least = dl_min(context, exponents, 0, NULL, false);
    DL_TRY(least ? dl_item(least, &lowest) : dl_last_status());
    if (lowest >= 0)
        return DL_OK;
    return dl_fail(DL_INVALID, "integers to negative integer powers are not allowed (got the exponent %g); make the "
                               "base real with :float()", lowest);
}

/* ---- forward and backward -------------------------------------------------------------------------------------- */

static dl_status binary_forward(dl_op_call *call, dl_binary function) {
    if (function == DL_BINARY_pow) {
        double exponent = simple_exponent(call);
        if (!isnan(exponent))
            return power_forward(call, exponent);
    }
    dl_dtype result, compute;
    DL_TRY(result_dtype(function, dl_common_dtype(call->in[0], call->in[1]), &result, &compute));
    int dims;
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(
        dl_shape_broadcast(call->in[0]->dims, call->in[0]->shape, call->in[1]->dims, call->in[1]->shape, &dims, shape));
    if (function == DL_BINARY_pow && !dl_dtype_is_float(result))
        DL_TRY(check_whole_power(call->context, call->in[1]));
    dl_tensor *a = dl_as(call->in[0], compute);
    dl_tensor *b = dl_as(call->in[1], compute);
    dl_tensor *out = a && b ? dl_call_output(call, 0, result, dims, shape) : NULL;
    dl_tensor *computed = out && compute != result ? dl_scratch(call->context, compute, dims, shape) : out;
    DL_TRY(computed ? DL_OK : dl_last_status());
    dl_loop loop;
    dl_tensor_loop(&loop, dims, shape, (const dl_tensor *[]){computed, a, b}, 3);
    DL_TRY(dl_kernel()->binary(call->context, function, dl_element_of(computed), dl_tensor_data(computed),
                               dl_tensor_data(a), dl_tensor_data(b), &loop, call->options));
    if (computed != out)
        return dl_tensor_copy(out, computed);
    return save_operands(call, function, a, b);
}

/* The gradient of operand `which` over the broadcast shape, a tensor of the open scope. */
static dl_tensor *binary_gradient(dl_op_gradient *gradient, dl_binary function, int which) {
    dl_tensor *grad_out = gradient->grad_out[0];
    const dl_tensor *a = gradient->saved[0] ? gradient->saved[0] : gradient->saved[1];
    const dl_tensor *b = gradient->saved[1] ? gradient->saved[1] : gradient->saved[0];
    dl_tensor *grad = dl_scratch(gradient->context, grad_out->dtype, grad_out->dims, grad_out->shape);
    if (!grad)
        return NULL;
    dl_loop loop;
    dl_tensor_loop(&loop, grad->dims, grad->shape, (const dl_tensor *[]){grad, grad_out, a, b}, 4);
    dl_status status = dl_kernel()->binary_backward(gradient->context, function, which, dl_element_of(grad),
                                                    dl_tensor_data(grad), dl_tensor_data(grad_out), dl_tensor_data(a),
                                                    dl_tensor_data(b), &loop, gradient->options);
    return status == DL_OK ? grad : NULL;
}

static dl_status binary_backward(dl_op_gradient *gradient, dl_binary function) {
    dl_tensor *grad_out = gradient->grad_out[0];
    if (gradient->state)
        return power_backward(gradient, *(const double *)gradient->state);
    for (int i = 0; i < 2; i++) {
        if (!gradient->needs[i])
            continue;
        dl_tensor *grad;
        if (function == DL_BINARY_add || (function == DL_BINARY_sub && i == 0))
            grad = grad_out;
        else if (function == DL_BINARY_sub)
            grad = dl_neg(gradient->context, grad_out);
        else
            grad = binary_gradient(gradient, function, i);
        DL_TRY(dl_gradient_set(gradient, i, grad));
    }
    return DL_OK;
}

#define X(name_, parameters_, formula_, domain_, value_, gradient_a_, gradient_b_, help_)                              \
    static dl_status name_##_forward(dl_op_call *call) {                                                               \
        return binary_forward(call, DL_BINARY_##name_);                                                                \
    }                                                                                                                  \
    static dl_status name_##_backward(dl_op_gradient *gradient) {                                                      \
        return binary_backward(gradient, DL_BINARY_##name_);                                                           \
    }                                                                                                                  \
    static const dl_field name_##_fields[] = {DL_ROW_LIST parameters_ DL_END};                                         \
    const dl_op dl_op_##name_ = {                                                                                      \
        .definition = DL_ROW_DEFINITION(name_, formula_, domain_,                                                      \
                                        "two shapes that broadcast -> their common shape", help_),                     \
        .inputs = "a b",                                                                                               \
        .outputs = 1,                                                                                                  \
        .forward = name_##_forward,                                                                                    \
        .backward = name_##_backward,                                                                                  \
        .flags = DL_OP_METHOD | DL_OP_INPLACE | DL_OP_SCALARS,                                                         \
    };
DL_BINARY_ROWS(X)
#undef X

/* ---- comparisons ----------------------------------------------------------------------------------------------- */

static dl_status compare_forward(dl_op_call *call, dl_compare function) {
    int dims;
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(
        dl_shape_broadcast(call->in[0]->dims, call->in[0]->shape, call->in[1]->dims, call->in[1]->shape, &dims, shape));
    dl_dtype dtype = dl_common_dtype(call->in[0], call->in[1]);
    dl_tensor *a = dl_as(call->in[0], dtype);
    dl_tensor *b = dl_as(call->in[1], dtype);
    dl_tensor *out = a && b ? dl_call_output(call, 0, DL_BOOLEAN, dims, shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_loop loop;
    dl_tensor_loop(&loop, dims, shape, (const dl_tensor *[]){out, a, b}, 3);
    return dl_kernel()->compare(call->context, function, dl_element_of(a), dl_tensor_data(out), dl_tensor_data(a),
                                dl_tensor_data(b), &loop);
}

#define X(name_, formula_, value_, help_)                                                                              \
    static dl_status name_##_forward(dl_op_call *call) {                                                               \
        return compare_forward(call, DL_COMPARE_##name_);                                                              \
    }                                                                                                                  \
    const dl_op dl_op_##name_ = {                                                                                      \
        .definition = {.name = #name_,                                                                                 \
                       .version = 1,                                                                                   \
                       .help = help_,                                                                                  \
                       .formula = formula_,                                                                            \
                       .shapes = "two shapes that broadcast -> their common shape, bool",                              \
                       .fields = dl_no_fields},                                                                        \
        .inputs = "a b",                                                                                               \
        .outputs = 1,                                                                                                  \
        .forward = name_##_forward,                                                                                    \
        .flags = DL_OP_METHOD | DL_OP_SCALARS,                                                                         \
    };
DL_COMPARE_ROWS(X)
#undef X

/* ---- where, masked_fill ---------------------------------------------------------------------------------------- */

static dl_status need_bool(const dl_tensor *x, const char *input) {
    if (x->dtype == DL_BOOLEAN)
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s is %s; it must be bool, as comparisons make it (x:ne(0))", input,
                   dl_dtype_name(x->dtype));
}

/* out[0] = condition ? a : b over the shape that all three are broadcast to. */
static dl_status choose(dl_op_call *call, const dl_tensor *condition, dl_tensor *a, dl_tensor *b) {
    int sides_dims, dims;
    int64_t sides[DL_MAX_DIMS], shape[DL_MAX_DIMS];
    DL_TRY(dl_shape_broadcast(a->dims, a->shape, b->dims, b->shape, &sides_dims, sides));
    DL_TRY(dl_shape_broadcast(sides_dims, sides, condition->dims, condition->shape, &dims, shape));
    dl_dtype dtype = dl_common_dtype(a, b);
    a = dl_as(a, dtype);
    b = dl_as(b, dtype);
    dl_tensor *out = a && b ? dl_call_output(call, 0, dtype, dims, shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_loop loop;
    dl_tensor_loop(&loop, dims, shape, (const dl_tensor *[]){out, condition, a, b}, 4);
    return dl_kernel()->where(call->context, dl_element_of(out), dl_tensor_data(out), dl_tensor_data(condition),
                              dl_tensor_data(a), dl_tensor_data(b), &loop);
}

static dl_status where_forward(dl_op_call *call) {
    DL_TRY(need_bool(call->in[0], "condition"));
    DL_TRY(choose(call, call->in[0], call->in[1], call->in[2]));
    return dl_call_save(call, 0, call->in[0]);
}

static dl_status where_backward(dl_op_gradient *gradient) {
    dl_context *context = gradient->context;
    dl_tensor *grad = gradient->grad_out[0];
    dl_tensor *zero = dl_number(context, 0, grad);
    if (gradient->needs[1])
        DL_TRY(dl_gradient_set(gradient, 1, dl_where(context, gradient->saved[0], grad, zero)));
    if (gradient->needs[2])
        DL_TRY(dl_gradient_set(gradient, 2, dl_where(context, gradient->saved[0], zero, grad)));
    return DL_OK;
}

const dl_op dl_op_where = {
    .definition = {.name = "where",
                   .version = 1,
                   .help = "Elements of a where the condition holds, else those of b.",
                   .formula = "condition ? a : b",
                   .shapes = "three shapes that broadcast -> their common shape",
                   .fields = dl_no_fields},
    .inputs = "condition a b",
    .outputs = 1,
    .forward = where_forward,
    .backward = where_backward,
    .flags = DL_OP_SCALARS,
};

static dl_status masked_fill_forward(dl_op_call *call) {
    const dl_masked_fill_options *options = call->options;
    dl_tensor *x = call->in[0];
    DL_TRY(need_bool(call->in[1], "mask"));
    dl_tensor *value = dl_number(call->context, options->value, x);
    dl_tensor *same = value ? dl_as(value, x->dtype) : NULL;
    DL_TRY(same ? choose(call, call->in[1], same, x) : dl_last_status());
    return dl_call_save(call, 0, call->in[1]);
}

static dl_status masked_fill_backward(dl_op_gradient *gradient) {
    if (!gradient->needs[0])
        return DL_OK;
    dl_tensor *grad = gradient->grad_out[0];
    dl_tensor *zero = dl_number(gradient->context, 0, grad);
    return dl_gradient_set(gradient, 0, dl_where(gradient->context, gradient->saved[0], zero, grad));
}

static const dl_field masked_fill_fields[] = {
    DL_REAL(dl_masked_fill_options, value, 0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED | DL_NONE_OK,
            "what stands where the mask is true"),
    DL_END,
};

const dl_op dl_op_masked_fill = {
    .definition = {.name = "masked_fill",
                   .version = 1,
                   .help = "One value where a bool mask is true, x elsewhere.",
                   .formula = "mask ? value : x",
                   .shapes = "x and mask broadcast -> their common shape",
                   .fields = masked_fill_fields,
                   .options_size = sizeof(dl_masked_fill_options)},
    .inputs = "x mask",
    .outputs = 1,
    .forward = masked_fill_forward,
    .backward = masked_fill_backward,
    .flags = DL_OP_METHOD | DL_OP_INPLACE,
};
