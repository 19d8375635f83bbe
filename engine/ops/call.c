/* ops/call.c: the typed functions of dlua/ops.h: each fills an options struct in and applies one operation. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

/* ---- element-wise ---------------------------------------------------------------------------------------------- */

dl_tensor *dl_apply_unary(dl_context *context, const char *name, dl_tensor *x, const double *parameters) {
    static const dl_op *const functions[] = {
#define X(name, ...) &dl_op_##name,
        DL_UNARY_ROWS(X)
#undef X
    };
    for (int i = 0; i < DL_COUNT(functions); i++) {
        if (strcmp(functions[i]->definition.name, name) == 0)
            return dl_apply1(context, functions[i], &x, 1, parameters);
    }
    dl_fail(DL_NOT_FOUND, "there is no element-wise function '%s'", name);
    return NULL;
}

#define UNARY(function, op)                                                                                            \
    dl_tensor *function(dl_context *context, dl_tensor *x) {                                                           \
        return dl_apply1(context, &dl_op_##op, &x, 1, NULL);                                                           \
    }
UNARY(dl_neg, neg)
UNARY(dl_abs, abs)
UNARY(dl_sign, sign)
UNARY(dl_exp, exp)
UNARY(dl_ln, log)
UNARY(dl_log1p, log1p)
UNARY(dl_sqrt, sqrt)
UNARY(dl_rsqrt, rsqrt)
UNARY(dl_square, square)
UNARY(dl_reciprocal, reciprocal)
UNARY(dl_relu, relu)
UNARY(dl_sigmoid, sigmoid)
UNARY(dl_tanh, tanh)
UNARY(dl_softplus, softplus)
UNARY(dl_clone, clone)

#define BINARY(function, op)                                                                                           \
    dl_tensor *function(dl_context *context, dl_tensor *a, dl_tensor *b) {                                             \
        return dl_apply1(context, &dl_op_##op, (dl_tensor *[]){a, b}, 2, NULL);                                        \
    }
BINARY(dl_add, add)
BINARY(dl_sub, sub)
BINARY(dl_mul, mul)
BINARY(dl_div, div)
BINARY(dl_pow, pow)
BINARY(dl_maximum, maximum)
BINARY(dl_minimum, minimum)
BINARY(dl_eq, eq)
BINARY(dl_ne, ne)
BINARY(dl_lt, lt)
BINARY(dl_le, le)
BINARY(dl_gt, gt)
BINARY(dl_ge, ge)
BINARY(dl_matmul, matmul)

dl_tensor *dl_number(dl_context *context, double number, dl_tensor *like) {
    if (!like)
        return NULL;
    dl_dtype dtype = like->dtype;
    bool whole = number == trunc(number) && fabs(number) < 9007199254740992.0;
    if (!dl_dtype_is_float(dtype) && !whole)
        dtype = DL_FLOAT32;
    else if (dtype == DL_BOOLEAN && number != 0 && number != 1)
        dtype = DL_INT64;
    return dl_scalar(context, dtype, number);
}

/* The operation on a and a number, which lives as long as the call. */
static dl_tensor *with_number(dl_context *context, const dl_op *op, dl_tensor *a, double number) {
    size_t mark = dl_scope_begin(context);
    dl_tensor *b = dl_number(context, number, a);
    dl_tensor *out = b ? dl_apply1(context, op, (dl_tensor *[]){a, b}, 2, NULL) : NULL;
    return dl_scope_end(context, mark, out);
}

#define WITH_NUMBER(function, op)                                                                                      \
    dl_tensor *function(dl_context *context, dl_tensor *a, double b) {                                                 \
        return with_number(context, &dl_op_##op, a, b);                                                                \
    }
WITH_NUMBER(dl_add_number, add)
WITH_NUMBER(dl_sub_number, sub)
WITH_NUMBER(dl_mul_number, mul)
WITH_NUMBER(dl_div_number, div)
WITH_NUMBER(dl_pow_number, pow)

dl_tensor *dl_where(dl_context *context, dl_tensor *condition, dl_tensor *a, dl_tensor *b) {
    return dl_apply1(context, &dl_op_where, (dl_tensor *[]){condition, a, b}, 3, NULL);
}

dl_tensor *dl_clamp(dl_context *context, dl_tensor *x, double low, double high) {
    return dl_apply1(context, &dl_op_clamp, &x, 1, (double[]){low, high});
}

/* ---- reductions ------------------------------------------------------------------------------------------------ */

/* Copies a list of numbers into a field; false with a message if it is too long. */
static bool set_ints(dl_ints *ints, int count, const int64_t *at) {
    if (count < 0 || count > DL_MAX_DIMS) {
        dl_fail(DL_INVALID, "a list of %d numbers; there may be %d at most", count, DL_MAX_DIMS);
        return false;
    }
    ints->count = count;
    if (count > 0)
        memcpy(ints->at, at, (size_t)count * sizeof *at);
    return true;
}

static dl_tensor *reduce(dl_context *context, const dl_op *op, dl_tensor *x, int count, const int64_t *dims,
                         bool keepdim) {
    dl_reduce_options options = {.keepdim = keepdim};
    return set_ints(&options.dim, count, dims) ? dl_apply1(context, op, &x, 1, &options) : NULL;
}

#define REDUCE(function, op)                                                                                           \
    dl_tensor *function(dl_context *context, dl_tensor *x, int count, const int64_t *dims, bool keepdim) {             \
        return reduce(context, &dl_op_##op, x, count, dims, keepdim);                                                  \
    }
REDUCE(dl_sum, sum)
REDUCE(dl_mean, mean)
REDUCE(dl_max, max)
REDUCE(dl_min, min)
REDUCE(dl_any, any)
REDUCE(dl_all, all)

dl_tensor *dl_sum_all(dl_context *context, dl_tensor *x) {
    return reduce(context, &dl_op_sum, x, 0, NULL, false);
}

dl_tensor *dl_mean_all(dl_context *context, dl_tensor *x) {
    return reduce(context, &dl_op_mean, x, 0, NULL, false);
}

dl_tensor *dl_argmax(dl_context *context, dl_tensor *x, int64_t dim, bool keepdim) {
    return dl_apply1(context, &dl_op_argmax, &x, 1, &(dl_arg_options){dim, keepdim});
}

dl_tensor *dl_linear(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias, int activation) {
    return dl_apply1(context, &dl_op_linear, (dl_tensor *[]){x, weight, bias}, 3, &(dl_linear_options){activation});
}

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

dl_tensor *dl_reshape(dl_context *context, dl_tensor *x, int dims, const int64_t *shape) {
    dl_shape_options options = {0};
    return set_ints(&options.shape, dims, shape) ? dl_apply1(context, &dl_op_reshape, &x, 1, &options) : NULL;
}

dl_tensor *dl_expand(dl_context *context, dl_tensor *x, int dims, const int64_t *shape) {
    dl_shape_options options = {0};
    return set_ints(&options.shape, dims, shape) ? dl_apply1(context, &dl_op_expand, &x, 1, &options) : NULL;
}

dl_tensor *dl_flatten(dl_context *context, dl_tensor *x, int64_t start_dim, int64_t end_dim) {
    return dl_apply1(context, &dl_op_flatten, &x, 1, &(dl_flatten_options){start_dim, end_dim});
}

dl_tensor *dl_permute(dl_context *context, dl_tensor *x, int dims, const int64_t *order) {
    dl_dims_options options = {0};
    return set_ints(&options.dims, dims, order) ? dl_apply1(context, &dl_op_permute, &x, 1, &options) : NULL;
}

dl_tensor *dl_flip(dl_context *context, dl_tensor *x, int count, const int64_t *dims) {
    dl_dims_options options = {0};
    return set_ints(&options.dims, count, dims) ? dl_apply1(context, &dl_op_flip, &x, 1, &options) : NULL;
}

dl_tensor *dl_transpose(dl_context *context, dl_tensor *x, int64_t dim0, int64_t dim1) {
    return dl_apply1(context, &dl_op_transpose, &x, 1, &(dl_transpose_options){dim0, dim1});
}

dl_tensor *dl_squeeze(dl_context *context, dl_tensor *x, int64_t dim) {
    dl_squeeze_options options = {.dim = {.count = dim == DL_NONE ? 0 : 1, .at = {dim}}};
    return dl_apply1(context, &dl_op_squeeze, &x, 1, &options);
}

dl_tensor *dl_unsqueeze(dl_context *context, dl_tensor *x, int64_t dim) {
    return dl_apply1(context, &dl_op_unsqueeze, &x, 1, &(dl_dim_options){dim});
}

/* The operation's ranges name their last element, which an empty range does not have: such a one starts at the end. */
static void set_range(dl_slice_options *options, int dim, int64_t size, int64_t start, int64_t end) {
    int64_t first = start == DL_NONE ? 0 : start < 0 ? start + size : start;
    int64_t past = end == DL_NONE ? size : end < 0 ? end + size : end;
    first = DL_MIN(DL_MAX(first, 0), size);
    past = DL_MIN(DL_MAX(past, 0), size);
    options->starts.at[dim] = past > first ? first : size;
    options->ends.at[dim] = past > first ? past - 1 : -1;
}

dl_tensor *dl_slice(dl_context *context, dl_tensor *x, int64_t dim, int64_t start, int64_t end, int64_t step) {
    if (!x)
        return NULL;
    int at = 0;
    dl_status status = dl_dim_normalize(dim, x->dims, &at);
    if (status == DL_OK && step < 1)
        status = dl_fail(DL_INVALID, "step is %lld; it must be 1 or more", (long long)step);
    if (status != DL_OK) {
        dl_fail_prefix("slice");
        return NULL;
    }
    dl_slice_options options = {.starts.count = at + 1, .ends.count = at + 1, .steps.count = at + 1};
    for (int i = 0; i < at; i++) {
        options.starts.at[i] = 0;
        options.ends.at[i] = -1;
        options.steps.at[i] = 1;
    }
    options.steps.at[at] = step;
    set_range(&options, at, x->shape[at], start, end);
    return dl_apply1(context, &dl_op_slice, &x, 1, &options);
}

dl_tensor *dl_select(dl_context *context, dl_tensor *x, int64_t dim, int64_t index) {
    return dl_apply1(context, &dl_op_select, &x, 1, &(dl_select_options){dim, index});
}

dl_tensor *dl_cat(dl_context *context, dl_tensor *const *tensors, int count, int64_t dim) {
    return dl_apply1(context, &dl_op_cat, tensors, count, &(dl_dim_options){dim});
}

dl_tensor *dl_stack(dl_context *context, dl_tensor *const *tensors, int count, int64_t dim) {
    return dl_apply1(context, &dl_op_stack, tensors, count, &(dl_dim_options){dim});
}

dl_tensor *dl_pad(dl_context *context, dl_tensor *x, int count, const int64_t *pad, double value) {
    dl_pad_options options = {.value = value};
    return set_ints(&options.pad, count, pad) ? dl_apply1(context, &dl_op_pad, &x, 1, &options) : NULL;
}

/* ---- by index, copies ------------------------------------------------------------------------------------------ */

dl_status dl_topk(dl_context *context, dl_tensor *x, int64_t k, int64_t dim, bool largest, dl_tensor **values,
                  dl_tensor **places) {
    dl_tensor *out[2];
    DL_TRY(dl_apply(context, &dl_op_topk, &x, 1, &(dl_topk_options){k, dim, largest}, out));
    *values = out[0];
    *places = out[1];
    return DL_OK;
}

dl_tensor *dl_index_select(dl_context *context, dl_tensor *x, int64_t dim, dl_tensor *index) {
    return dl_apply1(context, &dl_op_index_select, (dl_tensor *[]){x, index}, 2, &(dl_dim_options){dim});
}

dl_tensor *dl_gather(dl_context *context, dl_tensor *x, int64_t dim, dl_tensor *index) {
    return dl_apply1(context, &dl_op_gather, (dl_tensor *[]){x, index}, 2, &(dl_dim_options){dim});
}

dl_tensor *dl_masked_fill(dl_context *context, dl_tensor *x, dl_tensor *mask, double value) {
    return dl_apply1(context, &dl_op_masked_fill, (dl_tensor *[]){x, mask}, 2, &(dl_masked_fill_options){value});
}

dl_tensor *dl_one_hot(dl_context *context, dl_tensor *labels, int64_t num_classes, dl_dtype dtype) {
    return dl_apply1(context, &dl_op_one_hot, &labels, 1, &(dl_one_hot_options){num_classes, (int)dtype});
}

dl_tensor *dl_to(dl_context *context, dl_tensor *x, dl_dtype dtype) {
    return dl_apply1(context, &dl_op_to, &x, 1, &(dl_to_options){(int)dtype});
}

/* x = op(x, y), with y left out if it is NULL for an operation of one input. */
static dl_status in_place(const dl_op *op, dl_tensor *x, dl_tensor *y, int inputs, const void *options) {
    return x ? dl_apply_inplace(x->context, op, (dl_tensor *[]){x, y}, inputs, options) : dl_last_status();
}

dl_status dl_copy_(dl_tensor *x, dl_tensor *from) {
    return in_place(&dl_op_copy, x, from, 2, NULL);
}

dl_status dl_fill_(dl_tensor *x, double value) {
    return in_place(&dl_op_fill, x, NULL, 1, &(dl_fill_options){value});
}

dl_status dl_zero_(dl_tensor *x) {
    return in_place(&dl_op_zero, x, NULL, 1, NULL);
}

dl_status dl_add_(dl_tensor *x, dl_tensor *y) {
    return in_place(&dl_op_add, x, y, 2, NULL);
}

dl_status dl_mul_(dl_tensor *x, dl_tensor *y) {
    return in_place(&dl_op_mul, x, y, 2, NULL);
}

/* ---- along one dimension --------------------------------------------------------------------------------------- */

#define ALONG(function, op)                                                                                            \
    dl_tensor *function(dl_context *context, dl_tensor *x, int64_t dim) {                                              \
        return dl_apply1(context, &dl_op_##op, &x, 1, &(dl_dim_options){dim});                                         \
    }
ALONG(dl_softmax, softmax)
ALONG(dl_log_softmax, log_softmax)
ALONG(dl_sparsemax, sparsemax)
ALONG(dl_glu, glu)

/* ---- images ---------------------------------------------------------------------------------------------------- */

dl_tensor *dl_conv2d(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias,
                     const dl_conv2d_options *options) {
    return dl_apply1(context, &dl_op_conv2d, (dl_tensor *[]){x, weight, bias}, 3, options);
}

dl_tensor *dl_conv_transpose2d(dl_context *context, dl_tensor *x, dl_tensor *weight,
                               const dl_conv_transpose2d_options *options) {
    return dl_apply1(context, &dl_op_conv_transpose2d, (dl_tensor *[]){x, weight}, 2, options);
}

dl_tensor *dl_conv2d_relu_maxpool(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias) {
    return dl_apply1(context, &dl_op_conv2d_relu_maxpool, (dl_tensor *[]){x, weight, bias}, 3, NULL);
}

dl_tensor *dl_max_pool2d(dl_context *context, dl_tensor *x, const dl_pool2d_options *options) {
    return dl_apply1(context, &dl_op_max_pool2d, &x, 1, options);
}

dl_tensor *dl_avg_pool2d(dl_context *context, dl_tensor *x, const dl_pool2d_options *options) {
    return dl_apply1(context, &dl_op_avg_pool2d, &x, 1, options);
}

/* ---- normalization and noise ----------------------------------------------------------------------------------- */

dl_tensor *dl_batch_norm(dl_context *context, dl_tensor *x, dl_tensor *mean, dl_tensor *var, dl_tensor *weight,
                         dl_tensor *bias, double epsilon) {
    return dl_apply1(context, &dl_op_batch_norm, (dl_tensor *[]){x, mean, var, weight, bias}, 5,
                     &(dl_batch_norm_options){epsilon});
}

dl_status dl_batch_norm_training(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias, double epsilon,
                                 dl_tensor *out[3]) {
    return dl_apply(context, &dl_op_batch_norm_training, (dl_tensor *[]){x, weight, bias}, 3,
                    &(dl_batch_norm_options){epsilon}, out);
}

dl_tensor *dl_dropout(dl_context *context, dl_tensor *x, double rate, dl_stream *stream) {
    dl_dropout_options options = {.rate = rate, .training = true, .seed = DL_NONE};
    if (!x)
        return NULL;
    if (!stream)
        return dl_apply1(context, &dl_op_dropout, &x, 1, &options);
    options.seed = (int64_t)stream->seed;
    options.stream = (int64_t)stream->stream;
    options.position = (int64_t)stream->position;
    dl_tensor *out = dl_apply1(context, &dl_op_dropout, &x, 1, &options);
    uint64_t numel = (uint64_t)dl_tensor_numel(x);
    if (out && rate > 0)
        dl_stream_take(stream, (numel + DL_DROPOUT_PER_BLOCK - 1) / DL_DROPOUT_PER_BLOCK);
    return out;
}

/* ---- losses ---------------------------------------------------------------------------------------------------- */

#define LOSS(function, op, type)                                                                                       \
    dl_tensor *function(dl_context *context, dl_tensor *scores, dl_tensor *labels, const type *options) {              \
        return dl_apply1(context, &dl_op_##op, (dl_tensor *[]){scores, labels}, 2, options);                           \
    }
LOSS(dl_softmax_cross_entropy, softmax_cross_entropy, dl_softmax_cross_entropy_options)
LOSS(dl_cross_entropy, cross_entropy, dl_cross_entropy_options)

#define TARGET_LOSS(function, op)                                                                                      \
    dl_tensor *function(dl_context *context, dl_tensor *scores, dl_tensor *target, double label_smoothing) {           \
        return dl_apply1(context, &dl_op_##op, (dl_tensor *[]){scores, target}, 2,                                     \
                         &(dl_label_smoothing_options){label_smoothing});                                              \
    }
TARGET_LOSS(dl_softmax_cross_entropy_probabilities, softmax_cross_entropy_probabilities)
TARGET_LOSS(dl_categorical_cross_entropy, categorical_cross_entropy)

dl_tensor *dl_sparse_categorical_cross_entropy(dl_context *context, dl_tensor *probabilities, dl_tensor *labels,
                                               int64_t ignore_class) {
    return dl_apply1(context, &dl_op_sparse_categorical_cross_entropy, (dl_tensor *[]){probabilities, labels}, 2,
                     &(dl_ignore_class_options){ignore_class});
}

#define ELEMENT_LOSS(function, op)                                                                                     \
    dl_tensor *function(dl_context *context, dl_tensor *prediction, dl_tensor *target, int reduction) {                \
        return dl_apply1(context, &dl_op_##op, (dl_tensor *[]){prediction, target}, 2,                                 \
                         &(dl_reduction_options){reduction});                                                          \
    }
ELEMENT_LOSS(dl_binary_cross_entropy, binary_cross_entropy)
ELEMENT_LOSS(dl_binary_cross_entropy_with_logits, binary_cross_entropy_with_logits)
ELEMENT_LOSS(dl_mse_loss, mse_loss)
ELEMENT_LOSS(dl_l1_loss, l1_loss)

dl_tensor *dl_huber_loss(dl_context *context, dl_tensor *prediction, dl_tensor *target, double delta, int reduction) {
    return dl_apply1(context, &dl_op_huber_loss, (dl_tensor *[]){prediction, target}, 2,
                     &(dl_huber_loss_options){reduction, delta});
}

dl_tensor *dl_ctc_loss(dl_context *context, dl_tensor *log_probabilities, dl_tensor *labels) {
    return dl_apply1(context, &dl_op_ctc_loss, (dl_tensor *[]){log_probabilities, labels}, 2, NULL);
}
