/* ops/reduce.c: operations that take dimensions away: sums, means, extremes, norms; and cumsum, which keeps them.
 *
 * A reduction runs over the middle of a contiguous (outer, n, inner). Dimensions that are neighbours are one such
 * middle; others are brought to the end by a permuted copy first. The order of every sum depends on the shape alone. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

/* ---- the plan of a reduction ----------------------------------------------------------------------------------- */

typedef struct reduction {
    dl_around around;
    int out_dims;
    int64_t out_shape[DL_MAX_DIMS];
    int64_t kept_shape[DL_MAX_DIMS]; /* with 1 for each reduced dimension */
    bool moved;                      /* x is permuted: kept dimensions first */
    int64_t order[DL_MAX_DIMS];
    int dims;
} reduction;

static dl_status mark_dims(const dl_ints *dim, int dims, bool *reduced) {
    for (int i = 0; i < dims; i++)
        reduced[i] = dim->count == 0;
    for (int i = 0; i < dim->count; i++) {
        int at;
        if (dims == 0 && (dim->at[i] == 0 || dim->at[i] == -1))
            continue; /* a number has one element along its only imaginable dimension, as in PyTorch */
        DL_TRY(dl_dim_normalize(dim->at[i], dims, &at));
        if (reduced[at])
            return dl_fail(DL_INVALID, "dim names dimension %d twice; each may be there once", at + 1);
        reduced[at] = true;
    }
    return DL_OK;
}

/* Without the reduced dimensions, or with 1 in their place. */
static void result_shape(reduction *plan, const int64_t *shape, const bool *reduced, bool keepdim) {
    plan->out_dims = 0;
    for (int i = 0; i < plan->dims; i++) {
        plan->kept_shape[i] = reduced[i] ? 1 : shape[i];
        if (!reduced[i] || keepdim)
            plan->out_shape[plan->out_dims++] = plan->kept_shape[i];
    }
}

static dl_status plan_reduction(int dims, const int64_t *shape, const dl_ints *dim, bool keepdim, reduction *plan) {
    bool reduced[DL_MAX_DIMS];
    memset(plan, 0, sizeof *plan);
    plan->dims = dims;
    DL_TRY(mark_dims(dim, dims, reduced));
    result_shape(plan, shape, reduced, keepdim);
    int runs = 0, kept = 0, at_end = 0;
    for (int i = 0; i < dims; i++) {
        runs += reduced[i] && (i == 0 || !reduced[i - 1]);
        kept += !reduced[i];
    }
    plan->moved = runs > 1;
    plan->around = (dl_around){1, 1, 1};
    bool passed = false;
    for (int i = 0, at_start = 0; i < dims; i++) {
        plan->order[reduced[i] ? kept + at_end++ : at_start++] = i;
        passed |= reduced[i];
        *(reduced[i]               ? &plan->around.size
          : passed && !plan->moved ? &plan->around.inner
                                   : &plan->around.outer) *= shape[i];
    }
    return DL_OK;
}

/* x as the plan's (outer, n, inner), contiguous; of the open scope. */
static dl_tensor *arranged(const reduction *plan, dl_tensor *x) {
    dl_tensor *seen = plan->moved ? dl_permute(x->context, x, plan->dims, plan->order) : x;
    return dl_dense(seen);
}

/* A gradient in the plan's arrangement, back in the order of x's dimensions. */
static dl_status set_arranged(dl_op_gradient *gradient, const reduction *plan, dl_tensor *grad) {
    if (!plan->moved)
        return dl_gradient_set(gradient, 0, grad);
    int64_t inverse[DL_MAX_DIMS];
    for (int i = 0; i < plan->dims; i++)
        inverse[plan->order[i]] = i;
    return dl_gradient_set(gradient, 0, dl_permute(gradient->context, grad, plan->dims, inverse));
}

/* A scratch tensor of x's size in the plan's arrangement. */
static dl_tensor *arranged_scratch(dl_op_gradient *gradient, const reduction *plan) {
    int64_t shape[DL_MAX_DIMS];
    for (int i = 0; i < plan->dims; i++)
        shape[i] = gradient->shapes[0][plan->moved ? plan->order[i] : i];
    return dl_scratch(gradient->context, gradient->dtypes[0], plan->dims, shape);
}

/* ---- sum, mean, prod, max, min, any, all, logsumexp ------------------------------------------------------------ */

static dl_status check_reduction(dl_reduction function, const dl_tensor *x, const reduction *plan) {
    if (function == DL_REDUCE_MEAN || function == DL_REDUCE_LOGSUMEXP)
        return dl_need_float(x, "x");
    bool extreme = function == DL_REDUCE_MAX || function == DL_REDUCE_MIN;
    if (extreme && plan->around.size == 0 && plan->around.outer * plan->around.inner > 0)
        return dl_fail(DL_SHAPE, "x has shape %s: there is no largest or smallest of no elements", dl_shape_text(x).at);
    return DL_OK;
}

static dl_dtype reduced_dtype(dl_reduction function, dl_dtype dtype) {
    if (function == DL_REDUCE_ANY || function == DL_REDUCE_ALL)
        return DL_BOOLEAN;
    bool adds = function == DL_REDUCE_SUM || function == DL_REDUCE_PROD;
    return adds && !dl_dtype_is_float(dtype) ? DL_INT64 : dtype;
}

static dl_status reduce_forward(dl_op_call *call, dl_reduction function) {
    const dl_reduce_options *options = call->options;
    dl_tensor *x = call->in[0];
    reduction plan;
    DL_TRY(plan_reduction(x->dims, x->shape, &options->dim, options->keepdim, &plan));
    DL_TRY(check_reduction(function, x, &plan));
    dl_tensor *dense = arranged(&plan, x);
    dl_tensor *out =
        dense ? dl_call_output(call, 0, reduced_dtype(function, x->dtype), plan.out_dims, plan.out_shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    DL_TRY(dl_kernel()->reduce(call->context, function, dl_element_of(x), dl_tensor_data(out), dl_tensor_data(dense),
                               plan.around.outer, plan.around.size, plan.around.inner));
    if (function == DL_REDUCE_SUM || function == DL_REDUCE_MEAN)
        return DL_OK;
    DL_TRY(dl_call_save(call, 0, dense));
    return dl_call_save(call, 1, out);
}

static dl_status plan_of_gradient(const dl_op_gradient *gradient, const dl_ints *dim, reduction *plan) {
    return plan_reduction(gradient->dims[0], gradient->shapes[0], dim, false, plan);
}

/* Every element of a group takes the group's gradient (divided by the group's size for a mean). */
static dl_status spread_backward(dl_op_gradient *gradient, bool mean) {
    const dl_reduce_options *options = gradient->options;
    dl_context *context = gradient->context;
    reduction plan;
    DL_TRY(plan_of_gradient(gradient, &options->dim, &plan));
    dl_tensor *grad = gradient->grad_out[0];
    if (mean)
        grad = dl_div_number(context, grad, (double)plan.around.size);
    grad = dl_reshape(context, grad, plan.dims, plan.kept_shape);
    return dl_gradient_set(gradient, 0, dl_expand(context, grad, plan.dims, gradient->shapes[0]));
}

static dl_status reduce_backward(dl_op_gradient *gradient, dl_reduction function) {
    const dl_reduce_options *options = gradient->options;
    if (function == DL_REDUCE_SUM || function == DL_REDUCE_MEAN)
        return spread_backward(gradient, function == DL_REDUCE_MEAN);
    reduction plan;
    DL_TRY(plan_of_gradient(gradient, &options->dim, &plan));
    dl_tensor *grad = arranged_scratch(gradient, &plan);
    DL_TRY(grad ? DL_OK : dl_last_status());
    const dl_kernels *kernels = dl_kernel();
    dl_context *context = gradient->context;
    dl_element element = dl_element_of(grad);
    dl_around around = plan.around;
    const void *g = dl_tensor_data(gradient->grad_out[0]), *x = dl_saved_data(gradient, 0),
               *y = dl_saved_data(gradient, 1);
    void *dx = dl_tensor_data(grad);
    if (function == DL_REDUCE_PROD)
        DL_TRY(kernels->prod_backward(context, element, dx, g, x, around.outer, around.size, around.inner));
    else if (function == DL_REDUCE_LOGSUMEXP)
        DL_TRY(kernels->logsumexp_backward(context, element, dx, g, x, y, around.outer, around.size, around.inner));
    else
        DL_TRY(kernels->extreme_backward(context, element, dx, g, x, y, around.outer, around.size, around.inner));
    return set_arranged(gradient, &plan, grad);
}

static const dl_field reduce_fields[] = {
    DL_INTS(dl_reduce_options, dim, "", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_NONE_OK,
            "the dimensions to take away; none: all"),
    DL_BOOL(dl_reduce_options, keepdim, false, 0, "leaves the reduced dimensions with size 1"),
    DL_END,
};

/* X(name, aliases, FUNCTION, backward, formula, help) */
#define REDUCE_TABLE(X)                                                                                                \
    X(sum, NULL, SUM, sum_backward, "sum of x", "The sum; int64 for whole numbers and bool.")                          \
    X(mean, NULL, MEAN, mean_backward, "sum of x / n", "The mean.")                                                    \
    X(prod, NULL, PROD, prod_backward, "product of x", "The product; int64 for whole numbers and bool.")               \
    X(max, "amax", MAX, max_backward, NULL, "The largest element; equal ones share the gradient. NaN wins.")           \
    X(min, "amin", MIN, min_backward, NULL, "The smallest element; equal ones share the gradient. NaN wins.")          \
    X(logsumexp, NULL, LOGSUMEXP, logsumexp_backward, "ln(sum of e^x)", "Logarithm of the sum of exponentials, stable.")

#define X(name_, aliases_, function_, backward_, formula_, help_)                                                      \
    static dl_status name_##_forward(dl_op_call *call) {                                                               \
        return reduce_forward(call, DL_REDUCE_##function_);                                                            \
    }                                                                                                                  \
    static dl_status backward_(dl_op_gradient *gradient) {                                                             \
        return reduce_backward(gradient, DL_REDUCE_##function_);                                                       \
    }                                                                                                                  \
    const dl_op dl_op_##name_ = {                                                                                      \
        .definition = {.name = #name_,                                                                                 \
                       .aliases = aliases_,                                                                            \
                       .version = 1,                                                                                   \
                       .help = help_,                                                                                  \
                       .formula = formula_,                                                                            \
                       .shapes = "{a, b, c} -> {a, c} for dim 2, {a, 1, c} with keepdim, {} for all",                  \
                       .fields = reduce_fields,                                                                        \
                       .options_size = sizeof(dl_reduce_options)},                                                     \
        .inputs = "x",                                                                                                 \
        .outputs = 1,                                                                                                  \
        .forward = name_##_forward,                                                                                    \
        .backward = backward_,                                                                                         \
        .flags = DL_OP_METHOD,                                                                                         \
    };
REDUCE_TABLE(X)
#undef X

static dl_status any_forward(dl_op_call *call) {
    return reduce_forward(call, DL_REDUCE_ANY);
}

const dl_op dl_op_any = {
    .definition = {.name = "any",
                   .version = 1,
                   .help = "True where at least one element is not 0.",
                   .shapes = "as sum, bool",
                   .fields = reduce_fields,
                   .options_size = sizeof(dl_reduce_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = any_forward,
    .flags = DL_OP_METHOD,
};

static dl_status all_forward(dl_op_call *call) {
    return reduce_forward(call, DL_REDUCE_ALL);
}

const dl_op dl_op_all = {
    .definition = {.name = "all",
                   .version = 1,
                   .help = "True where no element is 0.",
                   .shapes = "as sum, bool",
                   .fields = reduce_fields,
                   .options_size = sizeof(dl_reduce_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = all_forward,
    .flags = DL_OP_METHOD,
};

/* ---- var, std -------------------------------------------------------------------------------------------------- */

static dl_status var_forward(dl_op_call *call) {
    const dl_var_options *options = call->options;
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_float(x, "x"));
    reduction plan;
    DL_TRY(plan_reduction(x->dims, x->shape, &options->dim, options->keepdim, &plan));
    dl_tensor *dense = arranged(&plan, x);
    dl_tensor *mean = dense ? dl_scratch(call->context, x->dtype, plan.out_dims, plan.out_shape) : NULL;
    dl_tensor *out = mean ? dl_call_output(call, 0, x->dtype, plan.out_dims, plan.out_shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    DL_TRY(dl_kernel()->variance(call->context, dl_element_of(x), dl_tensor_data(out), dl_tensor_data(mean),
                                 dl_tensor_data(dense), (double)options->correction, plan.around.outer,
                                 plan.around.size, plan.around.inner));
    DL_TRY(dl_call_save(call, 0, dense));
    return dl_call_save(call, 1, mean);
}

static dl_status var_backward(dl_op_gradient *gradient) {
    const dl_var_options *options = gradient->options;
    reduction plan;
    DL_TRY(plan_of_gradient(gradient, &options->dim, &plan));
    dl_tensor *grad = arranged_scratch(gradient, &plan);
    DL_TRY(grad ? DL_OK : dl_last_status());
    DL_TRY(dl_kernel()->variance_backward(gradient->context, dl_element_of(grad), dl_tensor_data(grad),
                                          dl_tensor_data(gradient->grad_out[0]), dl_saved_data(gradient, 0),
                                          dl_saved_data(gradient, 1), (double)options->correction, plan.around.outer,
                                          plan.around.size, plan.around.inner));
    return set_arranged(gradient, &plan, grad);
}

static const dl_field var_fields[] = {
    DL_INTS(dl_var_options, dim, "", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_NONE_OK,
            "the dimensions to take away; none: all"),
    DL_INT(dl_var_options, correction, 1, 0, DL_HIGHEST, 0, "taken from n in the divisor: 1 unbiased, 0 of the sample"),
    DL_BOOL(dl_var_options, keepdim, false, 0, "leaves the reduced dimensions with size 1"),
    DL_END,
};

const dl_op dl_op_var = {
    .definition = {.name = "var",
                   .version = 1,
                   .help = "The variance.",
                   .formula = "sum of (x - mean)^2 / (n - correction)",
                   .shapes = "as sum",
                   .fields = var_fields,
                   .options_size = sizeof(dl_var_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = var_forward,
    .backward = var_backward,
    .flags = DL_OP_METHOD,
};

static dl_status std_forward(dl_op_call *call) {
    dl_tensor *variance = dl_apply1(call->context, &dl_op_var, call->in, 1, call->options);
    return dl_call_set(call, 0, dl_sqrt(call->context, variance));
}

const dl_op dl_op_std = {
    .definition = {.name = "std",
                   .version = 1,
                   .help = "The standard deviation, the square root of var.",
                   .formula = "(sum of (x - mean)^2 / (n - correction))^(1/2)",
                   .shapes = "as sum",
                   .fields = var_fields,
                   .options_size = sizeof(dl_var_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = std_forward,
    .flags = DL_OP_METHOD,
};

/* ---- norm ------------------------------------------------------------------------------------------------------ */

/* The composition, recorded: right everywhere but where a norm is 0, whose gradient would be NaN. */
static dl_tensor *norm_of(dl_context *context, dl_tensor *x, const dl_norm_options *options) {
    int count = options->dim.count;
    const int64_t *dims = options->dim.at;
    double p = options->p;
    if (p == 2)
        return dl_sqrt(context, dl_sum(context, dl_square(context, x), count, dims, options->keepdim));
    dl_tensor *size = dl_abs(context, x);
    if (isinf(p))
        return (p > 0 ? dl_max : dl_min)(context, size, count, dims, options->keepdim);
    if (p == 1)
        return dl_sum(context, size, count, dims, options->keepdim);
    if (p == 0) {
        dl_tensor *counted = dl_to(context, dl_ne(context, x, dl_number(context, 0, x)), x->dtype);
        return dl_sum(context, counted, count, dims, options->keepdim);
    }
    dl_tensor *sum = dl_sum(context, dl_pow_number(context, size, p), count, dims, options->keepdim);
    return dl_pow_number(context, sum, 1 / p);
}

static dl_status norm_forward(dl_op_call *call) {
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_float(x, "x"));
    bool recorded = dl_set_grad_enabled(call->context, false);
    dl_tensor *y = norm_of(call->context, x, call->options);
    dl_set_grad_enabled(call->context, recorded);
    DL_TRY(dl_call_set(call, 0, y));
    DL_TRY(dl_call_save(call, 0, x));
    return dl_call_save(call, 1, y);
}

/* d norm / dx = sign(x) (|x| / norm)^(p - 1); the largest elements share the gradient for p = inf; 0 where norm is. */
static dl_tensor *norm_slope(dl_context *context, dl_tensor *x, dl_tensor *y, double p) {
    dl_tensor *sign = dl_sign(context, x);
    if (p == 1)
        return sign;
    if (p == 2)
        return dl_div(context, x, y);
    dl_tensor *size = dl_abs(context, x);
    if (isinf(p))
        return dl_mul(context, sign, dl_to(context, dl_eq(context, size, y), x->dtype));
    return dl_mul(context, sign, dl_pow_number(context, dl_div(context, size, y), p - 1));
}

static dl_status norm_backward(dl_op_gradient *gradient) {
    const dl_norm_options *options = gradient->options;
    dl_context *context = gradient->context;
    reduction plan;
    DL_TRY(plan_of_gradient(gradient, &options->dim, &plan));
    dl_tensor *x = gradient->saved[0];
    dl_tensor *y = dl_reshape(context, gradient->saved[1], plan.dims, plan.kept_shape);
    dl_tensor *grad = dl_reshape(context, gradient->grad_out[0], plan.dims, plan.kept_shape);
    if (options->p == 0)
        return dl_gradient_set(gradient, 0, dl_mul_number(context, dl_abs(context, x), 0));
    dl_tensor *slope = norm_slope(context, x, y, options->p);
    if (isinf(options->p)) {
        dl_tensor *winners = dl_sum(context, dl_abs(context, slope), options->dim.count, options->dim.at, true);
        winners = options->dim.count > 0 ? winners : dl_reshape(context, winners, plan.dims, plan.kept_shape);
        slope = dl_div(context, slope, winners);
    }
    dl_tensor *nothing = dl_eq(context, y, dl_number(context, 0, y));
    return dl_gradient_set(gradient, 0, dl_masked_fill(context, dl_mul(context, slope, grad), nothing, 0));
}

static const dl_field norm_fields[] = {
    DL_REAL(dl_norm_options, p, 2, DL_LOWEST, DL_HIGHEST, 0, "2 is Euclid's, 1 the sum of |x|, inf the largest |x|"),
    DL_INTS(dl_norm_options, dim, "", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_NONE_OK,
            "the dimensions to take away; none: all"),
    DL_BOOL(dl_norm_options, keepdim, false, 0, "leaves the reduced dimensions with size 1"),
    DL_END,
};

const dl_op dl_op_norm = {
    .definition = {.name = "norm",
                   .version = 1,
                   .help = "The norm of vectors. Its gradient where it is 0 is 0.",
                   .formula = "(sum of |x|^p)^(1/p)",
                   .shapes = "as sum",
                   .fields = norm_fields,
                   .options_size = sizeof(dl_norm_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = norm_forward,
    .backward = norm_backward,
    .flags = DL_OP_METHOD,
};

/* ---- argmax, argmin -------------------------------------------------------------------------------------------- */

static dl_status arg_forward(dl_op_call *call, bool maximum) {
    const dl_arg_options *options = call->options;
    dl_tensor *x = call->in[0];
    dl_ints dim = {.count = options->dim == DL_NONE ? 0 : 1, .at = {options->dim}};
    reduction plan;
    DL_TRY(plan_reduction(x->dims, x->shape, &dim, options->keepdim, &plan));
    DL_TRY(check_reduction(DL_REDUCE_MAX, x, &plan));
    dl_tensor *dense = dl_dense(x);
    dl_tensor *out = dense ? dl_call_output(call, 0, DL_INT64, plan.out_dims, plan.out_shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    return dl_kernel()->arg_reduce(call->context, maximum, dl_element_of(x), DL_DATA(out, int64_t),
                                   dl_tensor_data(dense), plan.around.outer, plan.around.size, plan.around.inner);
}

static dl_status argmax_forward(dl_op_call *call) {
    return arg_forward(call, true);
}

static dl_status argmin_forward(dl_op_call *call) {
    return arg_forward(call, false);
}

static const dl_field arg_fields[] = {
    DL_INT(dl_arg_options, dim, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_NONE_OK,
           "the dimension to take away; none: over all elements"),
    DL_BOOL(dl_arg_options, keepdim, false, 0, "leaves the reduced dimension with size 1"),
    DL_END,
};

const dl_op dl_op_argmax = {
    .definition = {.name = "argmax",
                   .version = 1,
                   .help = "Where the largest element is, counted from 1; the first of equal ones.",
                   .shapes = "{a, b, c} -> {a, c} for dim 2, int64",
                   .fields = arg_fields,
                   .options_size = sizeof(dl_arg_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = argmax_forward,
    .flags = DL_OP_METHOD,
};

const dl_op dl_op_argmin = {
    .definition = {.name = "argmin",
                   .version = 1,
                   .help = "Where the smallest element is, counted from 1; the first of equal ones.",
                   .shapes = "{a, b, c} -> {a, c} for dim 2, int64",
                   .fields = arg_fields,
                   .options_size = sizeof(dl_arg_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = argmin_forward,
    .flags = DL_OP_METHOD,
};

/* ---- cumsum ---------------------------------------------------------------------------------------------------- */

static dl_status cumsum_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    dl_tensor *x = call->in[0];
    int dim = 0;
    if (x->dims > 0 || (options->dim != 0 && options->dim != -1))
        DL_TRY(dl_dim_normalize(options->dim, x->dims, &dim));
    dl_tensor *dense = dl_dense(dl_as(x, dl_dtype_is_float(x->dtype) ? x->dtype : DL_INT64));
    dl_tensor *out = dense ? dl_call_output(call, 0, dense->dtype, x->dims, x->shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_around around = dl_around_dim(x->dims, x->shape, dim);
    return dl_kernel()->cumsum(call->context, dl_element_of(out), dl_tensor_data(out), dl_tensor_data(dense), false,
                               around.outer, around.size, around.inner);
}

static dl_status cumsum_backward(dl_op_gradient *gradient) {
    const dl_dim_options *options = gradient->options;
    dl_tensor *grad_in = dl_gradient_new(gradient, 0);
    DL_TRY(grad_in ? DL_OK : dl_last_status());
    int dim = (int)(options->dim < 0 ? options->dim + grad_in->dims : options->dim);
    dl_around around = dl_around_dim(grad_in->dims, grad_in->shape, dim);
    return dl_kernel()->cumsum(gradient->context, dl_element_of(grad_in), dl_tensor_data(grad_in),
                               dl_tensor_data(gradient->grad_out[0]), true, around.outer, around.size, around.inner);
}

static const dl_field cumsum_fields[] = {
    DL_INT(dl_dim_options, dim, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED, "the dimension to sum along"),
    DL_END,
};

const dl_op dl_op_cumsum = {
    .definition = {.name = "cumsum",
                   .version = 1,
                   .help = "Running sums along a dimension; int64 for whole numbers.",
                   .formula = "y[i] = x[1] + ... + x[i]",
                   .shapes = "any shape -> the same",
                   .fields = cumsum_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = cumsum_forward,
    .backward = cumsum_backward,
    .flags = DL_OP_METHOD,
};
