/* ops/softmax.c: functions that look at all elements along one dimension: softmax, log_softmax, sparsemax, glu. */
#include <stdlib.h>

#include "ops/ops.h"

/* ---- softmax, log_softmax -------------------------------------------------------------------------------------- */

static dl_status check_dim(const dl_tensor *x, int64_t wanted, int *dim) {
    DL_TRY(dl_need_float(x, "x"));
    *dim = 0;
    return x->dims == 0 && (wanted == 0 || wanted == -1) ? DL_OK : dl_dim_normalize(wanted, x->dims, dim);
}

typedef dl_status (*softmax_kernel)(dl_context *, dl_element, void *, const void *, int64_t, int64_t, int64_t);
typedef dl_status (*softmax_backward_kernel)(dl_context *, dl_element, void *, const void *, const void *, int64_t,
                                             int64_t, int64_t);

static dl_status along_dim(dl_op_call *call, softmax_kernel kernel) {
    const dl_dim_options *options = call->options;
    dl_tensor *x = call->in[0];
    int dim;
    DL_TRY(check_dim(x, options->dim, &dim));
    dl_tensor *dense = dl_dense(x);
    dl_tensor *out = dense ? dl_call_output(call, 0, x->dtype, x->dims, x->shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_around around = dl_around_dim(x->dims, x->shape, dim);
    DL_TRY(kernel(call->context, dl_element_of(x), dl_tensor_data(out), dl_tensor_data(dense), around.outer,
                  around.size, around.inner));
    return dl_call_save(call, 0, out);
}

static dl_status along_dim_backward(dl_op_gradient *gradient, softmax_backward_kernel kernel) {
    const dl_dim_options *options = gradient->options;
    dl_tensor *grad_in = dl_gradient_new(gradient, 0);
    DL_TRY(grad_in ? DL_OK : dl_last_status());
    int dim = (int)(options->dim < 0 ? options->dim + DL_MAX(grad_in->dims, 1) : options->dim);
    dl_around around = dl_around_dim(grad_in->dims, grad_in->shape, dim);
    return kernel(gradient->context, dl_element_of(grad_in), dl_tensor_data(grad_in),
                  dl_tensor_data(gradient->grad_out[0]), dl_saved_data(gradient, 0), around.outer, around.size,
                  around.inner);
}

static dl_status softmax_forward(dl_op_call *call) {
    return along_dim(call, dl_kernel()->softmax);
}

static dl_status softmax_backward(dl_op_gradient *gradient) {
    return along_dim_backward(gradient, dl_kernel()->softmax_backward);
}

const dl_op dl_op_softmax = {
    .definition = {.name = "softmax",
                   .version = 1,
                   .help = "Exponentials divided by their sum: positive, summing to 1.",
                   .formula = "e^x / (sum of e^x)",
                   .shapes = "any shape -> the same",
                   .fields = dl_last_dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = softmax_forward,
    .backward = softmax_backward,
    .flags = DL_OP_METHOD,
};

static dl_status log_softmax_forward(dl_op_call *call) {
    return along_dim(call, dl_kernel()->log_softmax);
}

static dl_status log_softmax_backward(dl_op_gradient *gradient) {
    return along_dim_backward(gradient, dl_kernel()->log_softmax_backward);
}

const dl_op dl_op_log_softmax = {
    .definition = {.name = "log_softmax",
                   .version = 1,
                   .help = "The logarithm of softmax, stable.",
                   .formula = "x - ln(sum of e^x)",
                   .shapes = "any shape -> the same",
                   .fields = dl_last_dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = log_softmax_forward,
    .backward = log_softmax_backward,
    .flags = DL_OP_METHOD,
};

/* ---- sparsemax ------------------------------------------------------------------------------------------------- */

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The threshold tau of one row (Martins and Astudillo 2016, algorithm 1): with x sorted, the last k at which
 * 1 + k x[k] > x[1] + ... + x[k] gives tau = (x[1] + ... + x[k] - 1) / k. */
static double sparsemax_threshold(const double *x, double *sorted, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        sorted[i] = x[i];
    qsort(sorted, (size_t)n, sizeof *sorted, falling);
    double sum = 0, tau = 0;
    for (int64_t k = 1; k <= n; k++) {
        sum += sorted[k - 1];
        if (1 + (double)k * sorted[k - 1] > sum)
            tau = (sum - 1) / (double)k;
    }
    return tau;
}

/* y = max(x - tau, 0) for contiguous rows of n. */
static dl_status sparsemax_rows(dl_context *context, double *y, const double *x, int64_t rows, int64_t n) {
    double *sorted = dl_alloc_array(context, (size_t)DL_MAX(n, 1), sizeof *sorted);
    if (!sorted)
        return DL_MEMORY;
    for (int64_t row = 0; row < rows; row++) {
        double tau = sparsemax_threshold(x + row * n, sorted, n);
        for (int64_t i = 0; i < n; i++)
            y[row * n + i] = DL_MAX(x[row * n + i] - tau, 0);
    }
    dl_free(sorted);
    return DL_OK;
}

static dl_status sparsemax_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    int dim;
    DL_TRY(check_dim(x, options->dim, &dim));
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, x->shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    bool recorded = dl_set_grad_enabled(context, false);
    dl_tensor *rows = dl_dense(dl_as(x->dims > 1 ? dl_transpose(context, x, dim, -1) : x, DL_FLOAT64));
    dl_tensor *y = rows ? dl_scratch(context, DL_FLOAT64, rows->dims, rows->shape) : NULL;
    int64_t n = x->dims > 0 ? x->shape[dim] : 1;
    dl_status status =
        y ? sparsemax_rows(context, DL_DATA(y, double), DL_DATA(rows, double), n > 0 ? dl_tensor_numel(x) / n : 0, n)
          : dl_last_status();
    dl_tensor *back = status == DL_OK && x->dims > 1 ? dl_transpose(context, y, dim, -1) : y;
    dl_set_grad_enabled(context, recorded);
    DL_TRY(status);
    DL_TRY(back ? dl_tensor_copy(out, back) : dl_last_status());
    return dl_call_save(call, 0, out);
}

/* dx = g - mean of g over the support, on the support; 0 elsewhere. */
static dl_status sparsemax_backward(dl_op_gradient *gradient) {
    const dl_dim_options *options = gradient->options;
    dl_context *context = gradient->context;
    dl_tensor *y = gradient->saved[0];
    int count = y->dims > 0 ? 1 : 0;
    dl_tensor *support = dl_to(context, dl_gt(context, y, dl_number(context, 0, y)), y->dtype);
    dl_tensor *grad = dl_mul(context, gradient->grad_out[0], support);
    dl_tensor *mean = dl_div(context, dl_sum(context, grad, count, &options->dim, true),
                             dl_sum(context, support, count, &options->dim, true));
    return dl_gradient_set(gradient, 0, dl_sub(context, grad, dl_mul(context, mean, support)));
}

const dl_op dl_op_sparsemax = {
    .definition = {.name = "sparsemax",
                   .version = 1,
                   .help = "The nearest point whose elements are positive or 0 and sum to 1: a softmax with zeros.",
                   .formula = "max(x - tau, 0), with tau such that the sum is 1",
                   .source = "Martins and Astudillo 2016, From Softmax to Sparsemax",
                   .shapes = "any shape -> the same",
                   .fields = dl_last_dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = sparsemax_forward,
    .backward = sparsemax_backward,
    .flags = DL_OP_METHOD,
};

/* ---- glu ------------------------------------------------------------------------------------------------------- */

static dl_status glu_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_float(x, "x"));
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, x->dims, &dim));
    int64_t size = x->shape[dim];
    if (size % 2 != 0)
        return dl_fail(DL_SHAPE, "dimension %d of x, of shape %s, must have an even size, to be halved", dim + 1,
                       dl_shape_text(x).at);
    dl_tensor *value = dl_slice(context, x, dim, 0, size / 2, 1);
    dl_tensor *gate = dl_slice(context, x, dim, size / 2, size, 1);
    return dl_call_set(call, 0, dl_mul(context, value, dl_sigmoid(context, gate)));
}

const dl_op dl_op_glu = {
    .definition = {.name = "glu",
                   .version = 1,
                   .help = "The first half of a dimension gated by the second.",
                   .formula = "a * sigmoid(b), x = a then b",
                   .source = "Dauphin et al. 2017",
                   .shapes = "{..., 2 n} -> {..., n}",
                   .fields = dl_last_dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = glu_forward,
    .flags = DL_OP_METHOD,
};
