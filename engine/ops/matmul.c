/* ops/matmul.c: matrix products. Operands are read through their strides, so a transposed or sliced matrix is not
 * copied; the derivatives are products again. M N K as in kernels/rows_dense.h. */
#include <string.h>

#include "ops/ops.h"

/* ---- one product of batches of matrices ------------------------------------------------------------------------ */

/* out = A B over a batch shape; the strides of A and B along the batch may be 0. */
typedef struct product {
    dl_gemm_sizes sizes;
    int batch_dims;
    int64_t batch[DL_MAX_DIMS];
    int64_t a_strides[DL_MAX_DIMS], b_strides[DL_MAX_DIMS];
} product;

/* Joins neighbouring batch dimensions along which both operands step evenly, and leaves the last one to the kernel. */
static void merge_batch(product *p) {
    int last = -1;
    for (int i = 0; i < p->batch_dims; i++) {
        if (p->batch[i] == 1)
            continue;
        bool joins = last >= 0 && p->a_strides[last] == p->a_strides[i] * p->batch[i] &&
                     p->b_strides[last] == p->b_strides[i] * p->batch[i];
        int64_t size = joins ? p->batch[last] * p->batch[i] : p->batch[i];
        last += !joins;
        p->batch[last] = size;
        p->a_strides[last] = p->a_strides[i];
        p->b_strides[last] = p->b_strides[i];
    }
    p->batch_dims = last + 1;
    dl_gemm_sizes *s = &p->sizes;
    s->batch = 1;
    s->a_batch = s->b_batch = 0;
    if (p->batch_dims > 0) {
        p->batch_dims--;
        s->batch = p->batch[p->batch_dims];
        s->a_batch = p->a_strides[p->batch_dims];
        s->b_batch = p->b_strides[p->batch_dims];
    }
    /* Rows of all the matrices of A in one product, where B is the same for all. */
    if (s->batch > 1 && s->b_batch == 0 && (s->M == 1 || s->a_batch == s->M * s->a_row)) {
        s->a_row = s->M == 1 ? s->a_batch : s->a_row;
        s->M *= s->batch;
        s->batch = 1;
    }
    s->c_batch = s->M * s->N;
    s->c_row = s->N;
}

static dl_status gemm(dl_tensor *out, int64_t c, const dl_tensor *a, int64_t a_at, const dl_tensor *b, int64_t b_at,
                      const void *bias, const dl_gemm_sizes *sizes, bool relu) {
    const dl_kernels *kernels = dl_kernel();
    if (out->dtype == DL_FLOAT32)
        return kernels->gemm_f32(out->context, DL_DATA(out, float) + c, DL_DATA(a, float) + a_at,
                                 DL_DATA(b, float) + b_at, bias, sizes, 0, relu);
    return kernels->gemm_f64(out->context, DL_DATA(out, double) + c, DL_DATA(a, double) + a_at,
                             DL_DATA(b, double) + b_at, bias, sizes, 0, relu);
}

static dl_status run_product(const product *p, dl_tensor *out, const dl_tensor *a, const dl_tensor *b) {
    int64_t index[DL_MAX_DIMS] = {0};
    int64_t calls = 1;
    for (int i = 0; i < p->batch_dims; i++)
        calls *= p->batch[i];
    int64_t block = p->sizes.batch * p->sizes.M * p->sizes.N;
    for (int64_t call = 0; call < calls; call++) {
        int64_t a_at = 0, b_at = 0;
        for (int i = 0; i < p->batch_dims; i++) {
            a_at += index[i] * p->a_strides[i];
            b_at += index[i] * p->b_strides[i];
        }
        DL_TRY(gemm(out, call * block, a, a_at, b, b_at, NULL, &p->sizes, false));
        for (int i = p->batch_dims - 1; i >= 0 && ++index[i] == p->batch[i]; i--)
            index[i] = 0;
    }
    return DL_OK;
}

/* ---- matmul ---------------------------------------------------------------------------------------------------- */

static dl_status check_matmul(const dl_tensor *a, const dl_tensor *b) {
    DL_TRY(dl_need_float(a, "a"));
    DL_TRY(dl_need_dtype(b, "b", a->dtype));
    if (a->dims == 0 || b->dims == 0)
        return dl_fail(DL_SHAPE,
                       "operands of shapes %s and %s; both must have one dimension or more (use * for numbers)",
                       dl_shape_text(a).at, dl_shape_text(b).at);
    int64_t inner = b->shape[b->dims == 1 ? 0 : b->dims - 2];
    if (a->shape[a->dims - 1] == inner)
        return DL_OK;
    return dl_fail(DL_SHAPE,
                   "the inner sizes differ: %s x %s; the last dimension of the first must equal the %s of the "
                   "second",
                   dl_shape_text(a).at, dl_shape_text(b).at, b->dims == 1 ? "only one" : "second-to-last");
}

/* How an operand steps from matrix to matrix of the batch: 0 where it repeats. */
static void batch_strides(const dl_tensor *operand, int own_dims, const product *p, int64_t *strides) {
    int added = p->batch_dims - own_dims;
    for (int i = 0; i < p->batch_dims; i++)
        strides[i] = i < added || operand->shape[i - added] == 1 ? 0 : operand->strides[i - added];
}

static dl_status plan_matmul(const dl_tensor *a, const dl_tensor *b, product *p, int *dims, int64_t *shape) {
    int a_batch = DL_MAX(a->dims - 2, 0);
    int b_batch = DL_MAX(b->dims - 2, 0);
    DL_TRY(dl_shape_broadcast(a_batch, a->shape, b_batch, b->shape, &p->batch_dims, p->batch));
    memcpy(shape, p->batch, sizeof p->batch);
    *dims = p->batch_dims;
    dl_gemm_sizes *s = &p->sizes;
    *s = (dl_gemm_sizes){.M = 1, .N = 1, .K = a->shape[a->dims - 1]};
    s->a_column = a->strides[a->dims - 1];
    s->b_row = b->strides[b->dims == 1 ? 0 : b->dims - 2];
    s->b_column = 1;
    if (a->dims > 1) {
        shape[(*dims)++] = s->M = a->shape[a_batch];
        s->a_row = a->strides[a_batch];
    }
    if (b->dims > 1) {
        shape[(*dims)++] = s->N = b->shape[b->dims - 1];
        s->b_column = b->strides[b->dims - 1];
    }
    batch_strides(a, a_batch, p, p->a_strides);
    batch_strides(b, b_batch, p, p->b_strides);
    merge_batch(p);
    return DL_OK;
}

static dl_status matmul_forward(dl_op_call *call) {
    dl_tensor *a = call->in[0], *b = call->in[1];
    DL_TRY(check_matmul(a, b));
    product p;
    int dims;
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(plan_matmul(a, b, &p, &dims, shape));
    dl_tensor *out = dl_call_output(call, 0, a->dtype, dims, shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    if (dl_tensor_numel(out) > 0)
        DL_TRY(run_product(&p, out, a, b));
    if (dl_call_needs(call, 1))
        DL_TRY(dl_call_save(call, 0, a));
    return dl_call_needs(call, 0) ? dl_call_save(call, 1, b) : DL_OK;
}

/* x with its leading dimensions joined, (M, in); of the open scope, outside the graph. */
static dl_tensor *as_rows(dl_tensor *x) {
    if (x->dims == 2)
        return x;
    bool recorded = dl_set_grad_enabled(x->context, false);
    int64_t last = x->shape[x->dims - 1];
    int64_t rows = 1;
    for (int i = 0; i < x->dims - 1; i++)
        rows *= x->shape[i];
    dl_tensor *joined = dl_reshape(x->context, x, 2, (int64_t[]){rows, last});
    dl_set_grad_enabled(x->context, recorded);
    return joined;
}

/* dA = g B^T, for matrices; the caller brings the shapes together. */
static dl_tensor *grad_first(dl_context *context, dl_tensor *grad, dl_tensor *b) {
    return dl_matmul(context, grad, dl_transpose(context, b, -2, -1));
}

/* dB = A^T g. Where B was one matrix for a batch, the rows of all of A make one product. */
static dl_tensor *grad_second(dl_context *context, dl_tensor *grad, dl_tensor *a, bool one_matrix) {
    if (one_matrix && a && grad && a->dims > 2) {
        a = as_rows(a);
        grad = as_rows(grad);
    }
    return dl_matmul(context, dl_transpose(context, a, -2, -1), grad);
}

static dl_status matmul_backward(dl_op_gradient *gradient) {
    dl_context *context = gradient->context;
    bool a_vector = gradient->dims[0] == 1, b_vector = gradient->dims[1] == 1;
    dl_tensor *grad = gradient->grad_out[0];
    if (b_vector)
        grad = dl_unsqueeze(context, grad, -1);
    if (a_vector)
        grad = dl_unsqueeze(context, grad, -2);
    if (gradient->needs[0]) {
        dl_tensor *b = gradient->saved[1];
        dl_tensor *grad_a = grad_first(context, grad, b_vector ? dl_unsqueeze(context, b, 1) : b);
        DL_TRY(dl_gradient_set(gradient, 0, a_vector ? dl_squeeze(context, grad_a, -2) : grad_a));
    }
    if (gradient->needs[1]) {
        dl_tensor *a = gradient->saved[0];
        dl_tensor *grad_b = grad_second(context, grad, a_vector ? dl_unsqueeze(context, a, 0) : a,
                                        gradient->dims[1] <= 2 && grad && a->dims == grad->dims);
        DL_TRY(dl_gradient_set(gradient, 1, b_vector ? dl_squeeze(context, grad_b, -1) : grad_b));
    }
    return DL_OK;
}

const dl_op dl_op_matmul = {
    .definition = {.name = "matmul",
                   .version = 1,
                   .help = "Product of matrices, or of batches of them, which are broadcast. A vector on the left is a "
                           "row, on the right a column, and that dimension is taken away again.",
                   .formula = "out[i][j] = sum of a[i][k] * b[k][j]",
                   .shapes = "{..., M, K}, {..., K, N} -> {..., M, N}; {K}, {K} -> {}",
                   .fields = dl_no_fields},
    .inputs = "a b",
    .outputs = 1,
    .forward = matmul_forward,
    .backward = matmul_backward,
    .flags = DL_OP_METHOD,
};

/* ---- linear ---------------------------------------------------------------------------------------------------- */

static dl_status check_linear(const dl_op_call *call) {
    const dl_tensor *x = call->in[0], *weight = call->in[1], *bias = call->inputs > 2 ? call->in[2] : NULL;
    DL_TRY(dl_need_float(x, "x"));
    DL_TRY(dl_need_dtype(weight, "weight", x->dtype));
    DL_TRY(dl_need_dtype(bias, "bias", x->dtype));
    if (weight->dims != 2)
        return dl_fail(DL_SHAPE, "weight has shape %s; it must have two dimensions, {in, out}",
                       dl_shape_text(weight).at);
    if (x->dims == 0 || x->shape[x->dims - 1] != weight->shape[0])
        return dl_fail(DL_SHAPE, "x has shape %s and weight %s; the last dimension of x must be %lld",
                       dl_shape_text(x).at, dl_shape_text(weight).at, (long long)weight->shape[0]);
    return dl_need_vector(bias, "bias", weight->shape[1], "one for each column of weight");
}

static dl_gemm_sizes matrix_sizes(const dl_tensor *a, const dl_tensor *b) {
    return (dl_gemm_sizes){.batch = 1,
                           .M = a->shape[0],
                           .N = b->shape[1],
                           .K = a->shape[1],
                           .a_row = a->strides[0],
                           .a_column = a->strides[1],
                           .b_row = b->strides[0],
                           .b_column = b->strides[1],
                           .c_batch = a->shape[0] * b->shape[1],
                           .c_row = b->shape[1]};
}

static dl_status linear_forward(dl_op_call *call) {
    const dl_linear_options *options = call->options;
    DL_TRY(check_linear(call));
    dl_tensor *x = call->in[0], *weight = call->in[1];
    dl_tensor *bias = call->inputs > 2 ? dl_dense(call->in[2]) : NULL;
    DL_TRY(call->inputs > 2 && call->in[2] && !bias ? dl_last_status() : DL_OK);
    dl_tensor *rows = as_rows(x);
    DL_TRY(rows ? DL_OK : dl_last_status());
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->dims - 1] = weight->shape[1];
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    bool relu = options->activation == DL_ACTIVATION_RELU;
    dl_gemm_sizes sizes = matrix_sizes(rows, weight);
    DL_TRY(gemm(out, 0, rows, 0, weight, 0, dl_data_or_null(bias), &sizes, relu));
    if (dl_call_needs(call, 1))
        DL_TRY(dl_call_save(call, 0, rows));
    if (dl_call_needs(call, 0))
        DL_TRY(dl_call_save(call, 1, weight));
    return relu ? dl_call_save(call, 2, out) : DL_OK;
}

/* The gradient before the activation, (M, out); of the open scope. */
dl_tensor *dl_relu_gradient(dl_context *context, dl_tensor *grad, const dl_tensor *y) {
    dl_tensor *masked = dl_scratch(context, grad->dtype, grad->dims, grad->shape);
    if (!masked)
        return NULL;
    dl_loop loop = dl_loop_flat(dl_tensor_numel(grad));
    dl_status status = dl_kernel()->unary_backward(context, DL_UNARY_relu, dl_element_of(grad), dl_tensor_data(masked),
                                                   dl_tensor_data(grad), dl_tensor_data(y), &loop, NULL);
    return status == DL_OK ? masked : NULL;
}

static dl_status linear_backward(dl_op_gradient *gradient) {
    dl_context *context = gradient->context;
    dl_tensor *grad = gradient->grad_out[0];
    if (gradient->saved[2])
        grad = dl_relu_gradient(context, grad, gradient->saved[2]);
    grad = grad ? as_rows(grad) : NULL;
    DL_TRY(grad ? DL_OK : dl_last_status());
    if (gradient->needs[0]) {
        dl_tensor *grad_x = dl_gradient_new(gradient, 0);
        dl_tensor *weight = dl_transpose(context, gradient->saved[1], 0, 1);
        DL_TRY(grad_x && weight ? DL_OK : dl_last_status());
        dl_gemm_sizes sizes = matrix_sizes(grad, weight);
        DL_TRY(gemm(grad_x, 0, grad, 0, weight, 0, NULL, &sizes, false));
    }
    if (gradient->needs[1]) {
        dl_tensor *grad_weight = dl_gradient_new(gradient, 1);
        dl_tensor *x = dl_transpose(context, gradient->saved[0], 0, 1);
        DL_TRY(grad_weight && x ? DL_OK : dl_last_status());
        dl_gemm_sizes sizes = matrix_sizes(x, grad);
        DL_TRY(gemm(grad_weight, 0, x, 0, grad, 0, NULL, &sizes, false));
    }
    if (gradient->inputs > 2 && gradient->needs[2]) {
        dl_tensor *grad_bias = dl_gradient_new(gradient, 2);
        DL_TRY(grad_bias ? DL_OK : dl_last_status());
        return dl_kernel()->channel_sum(context, dl_element_of(grad), dl_tensor_data(grad_bias), dl_tensor_data(grad),
                                        grad->shape[0], grad->shape[1]);
    }
    return DL_OK;
}

static const dl_field linear_fields[] = {
    DL_ENUM(dl_linear_options, activation, "none", "none|relu", 0, "computed together with the product"),
    DL_END,
};

const dl_op dl_op_linear = {
    .definition = {.name = "linear",
                   .version = 1,
                   .help = "A dense layer's product, with bias and relu in one sweep.",
                   .formula = "activation(x weight + bias)",
                   .shapes = "x {..., in}, weight {in, out}, bias {out} -> {..., out}",
                   .fields = linear_fields,
                   .options_size = sizeof(dl_linear_options)},
    .inputs = "x weight bias?",
    .outputs = 1,
    .forward = linear_forward,
    .backward = linear_backward,
};
