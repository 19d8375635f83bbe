/* dlua/ops.h: the operations by name, for hosts in C.
 *
 * Each function is one call of dl_apply with the operation's definition; what an operation computes, its options and
 * its derivative stand there (engine/ops/, or help("matmul") in a session). All return a new tensor, or NULL after a
 * failure (see dl_last_error); a NULL operand makes a function return NULL and keep the first message, so that calls
 * nest. Ownership is that of dlua/tensor.h. Options NULL means the defaults; set a struct up with dl_options_init and
 * the operation's definition, then change what is needed:
 *
 *      dl_conv2d_options options;
 *      dl_options_init(&dl_op_conv2d.definition, &options, sizeof options);
 *      options.padding = dl_padding_same();
 *      y = dl_conv2d(context, x, weight, bias, &options);
 *
 * Dimensions count from 0, negative ones from the end. Index values inside tensors (labels, what argmax gives) count
 * from 1. Shapes: N batch, H W C image, F features, K filters or classes. "..." is any number of leading dimensions. */
#ifndef DLUA_OPS_H
#define DLUA_OPS_H

#include "dlua/attention.h"
#include "dlua/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* X(name): every operation but the element-wise functions of one and two tensors (exp, add, lt ...), which are rows of
 * tables of their own. dl_find_op knows them all. A new one needs its definition, `const dl_op dl_op_NAME`, and its row
 * here. */
#define DL_OP_TABLE(X)                                                                                                 \
    X(where) X(gelu)                                                                                                   \
    X(sum) X(mean) X(prod) X(max) X(min) X(var) X(std) X(logsumexp) X(argmax) X(argmin) X(any) X(all) X(norm)          \
    X(cumsum)                                                                                                          \
    X(matmul) X(linear)                                                                                                \
    X(reshape) X(view) X(flatten) X(permute) X(transpose) X(squeeze) X(unsqueeze) X(expand) X(slice) X(select)         \
    X(cat) X(stack) X(pad) X(flip) X(tril) X(triu)                                                                     \
    X(index_select) X(gather) X(masked_fill) X(one_hot)                                                                \
    X(topk) X(categorical_sample)                                                                                      \
    X(to) X(clone) X(copy) X(fill) X(zero)                                                                             \
    X(softmax) X(log_softmax) X(sparsemax) X(glu)                                                                      \
    X(conv2d) X(conv2d_relu_maxpool) X(max_pool2d) X(avg_pool2d)                                                       \
    X(conv_transpose2d)                                                                                                \
    X(batch_norm) X(batch_norm_training)                                                                               \
    X(layer_norm) X(rms_norm) X(group_norm) X(embedding)                                                               \
    X(lstm) X(gru) X(simple_rnn)                                                                                       \
    X(dot_product_attention) X(scaled_dot_product_attention)                                                           \
    X(dropout) X(uniform) X(normal) X(truncated_normal) X(bernoulli)                                                   \
    X(softmax_cross_entropy) X(softmax_cross_entropy_probabilities)                                                    \
    X(categorical_cross_entropy) X(sparse_categorical_cross_entropy)                                                   \
    X(binary_cross_entropy) X(binary_cross_entropy_with_logits) X(mse_loss) X(l1_loss) X(huber_loss)                   \
    X(ctc_loss)                                                                                                        \
    X(cross_entropy) X(nll_loss)

#define X(name) DL_API extern const dl_op dl_op_##name;
DL_OP_TABLE(X)
#undef X

/* ---- element-wise ---------------------------------------------------------------------------------------------- */

/* Any element-wise function of one tensor by its name: dl_apply_unary(context, "elu", x, &alpha). parameters are its
 * options in order, as numbers; NULL: the defaults. */
DL_API dl_tensor *dl_apply_unary(dl_context *context, const char *name, dl_tensor *x, const double *parameters);
DL_API dl_tensor *dl_neg(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_abs(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_sign(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_exp(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_ln(dl_context *context, dl_tensor *x); /* the operation "log"; dl_log writes to the host's log */
DL_API dl_tensor *dl_log1p(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_sqrt(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_rsqrt(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_square(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_reciprocal(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_relu(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_sigmoid(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_tanh(dl_context *context, dl_tensor *x);
DL_API dl_tensor *dl_softplus(dl_context *context, dl_tensor *x);

typedef struct dl_gelu_op_options {
    bool approximate; /* by tanh */
} dl_gelu_op_options;

/* Both operands are broadcast to a common shape and promoted to a common dtype; whole numbers divide as float32. */
DL_API dl_tensor *dl_add(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_sub(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_mul(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_div(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_pow(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_maximum(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_minimum(dl_context *context, dl_tensor *a, dl_tensor *b);
/* A plain number as an operand beside the tensor `like`: of its dtype, but a fraction beside whole numbers is float32;
 * so a number never raises a dtype within its kind. A tensor of 0 dimensions. */
DL_API dl_tensor *dl_number(dl_context *context, double number, dl_tensor *like);
/* The same with a number. */
DL_API dl_tensor *dl_add_number(dl_context *context, dl_tensor *a, double b);
DL_API dl_tensor *dl_sub_number(dl_context *context, dl_tensor *a, double b);
DL_API dl_tensor *dl_mul_number(dl_context *context, dl_tensor *a, double b);
DL_API dl_tensor *dl_div_number(dl_context *context, dl_tensor *a, double b);
DL_API dl_tensor *dl_pow_number(dl_context *context, dl_tensor *a, double b);

/* Comparisons give bool tensors of the common shape. */
DL_API dl_tensor *dl_eq(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_ne(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_lt(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_le(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_gt(dl_context *context, dl_tensor *a, dl_tensor *b);
DL_API dl_tensor *dl_ge(dl_context *context, dl_tensor *a, dl_tensor *b);
/* condition (bool) ? a : b, all three broadcast. */
DL_API dl_tensor *dl_where(dl_context *context, dl_tensor *condition, dl_tensor *a, dl_tensor *b);

/* min(max(x, low), high); infinite for no limit. */
DL_API dl_tensor *dl_clamp(dl_context *context, dl_tensor *x, double low, double high);

/* ---- reductions ------------------------------------------------------------------------------------------------ */

typedef struct dl_reduce_options {
    dl_ints dim; /* count 0: all dimensions */
    bool keepdim;
} dl_reduce_options;

/* Over `count` dimensions dims[]; count 0: over all. keepdim leaves them with size 1. */
DL_API dl_tensor *dl_sum(dl_context *context, dl_tensor *x, int count, const int64_t *dims, bool keepdim);
DL_API dl_tensor *dl_mean(dl_context *context, dl_tensor *x, int count, const int64_t *dims, bool keepdim);
DL_API dl_tensor *dl_max(dl_context *context, dl_tensor *x, int count, const int64_t *dims, bool keepdim);
DL_API dl_tensor *dl_min(dl_context *context, dl_tensor *x, int count, const int64_t *dims, bool keepdim);
DL_API dl_tensor *dl_any(dl_context *context, dl_tensor *x, int count, const int64_t *dims, bool keepdim);
DL_API dl_tensor *dl_all(dl_context *context, dl_tensor *x, int count, const int64_t *dims, bool keepdim);
DL_API dl_tensor *dl_sum_all(dl_context *context, dl_tensor *x);  /* a tensor of 0 dimensions */
DL_API dl_tensor *dl_mean_all(dl_context *context, dl_tensor *x); /* a tensor of 0 dimensions */

typedef struct dl_var_options {
    dl_ints dim;
    int64_t correction; /* divides by n - correction */
    bool keepdim;
} dl_var_options;

typedef struct dl_arg_options {
    int64_t dim; /* DL_NONE: over all elements */
    bool keepdim;
} dl_arg_options;
/* Places of the largest values along a dimension, from 1, the first of equal ones; int64. DL_NONE: over all. */
DL_API dl_tensor *dl_argmax(dl_context *context, dl_tensor *x, int64_t dim, bool keepdim);

typedef struct dl_norm_options {
    double p; /* of the norm: 1, 2, infinity ... */
    dl_ints dim;
    bool keepdim;
} dl_norm_options;

typedef struct dl_dim_options {
    int64_t dim;
} dl_dim_options; /* cumsum, cat, stack, softmax, log_softmax, sparsemax, glu, gather, index_select */

/* ---- matrix products ------------------------------------------------------------------------------------------- */

/* (..., M, K) x (..., K, N) -> (..., M, N); one-dimensional operands and broadcasting as in PyTorch. */
DL_API dl_tensor *dl_matmul(dl_context *context, dl_tensor *a, dl_tensor *b);

enum { DL_ACTIVATION_NONE, DL_ACTIVATION_RELU };
typedef struct dl_linear_options {
    int activation; /* DL_ACTIVATION_NONE or DL_ACTIVATION_RELU: fused into the product */
} dl_linear_options;
/* x (..., in) x weight (in, out) + bias (out, may be NULL) -> (..., out), then the activation. */
DL_API dl_tensor *dl_linear(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias, int activation);

/* ---- shapes: all but cat, stack, pad and flip are views where strides allow it --------------------------------- */

typedef struct dl_shape_options {
    dl_ints shape;
} dl_shape_options; /* reshape, view, expand */

/* One size may be -1: what is left. A view if the strides allow it, else a copy. */
DL_API dl_tensor *dl_reshape(dl_context *context, dl_tensor *x, int dims, const int64_t *shape);

typedef struct dl_flatten_options {
    int64_t start_dim, end_dim;
} dl_flatten_options;
/* Dimensions start_dim to end_dim (both included) become one. */
DL_API dl_tensor *dl_flatten(dl_context *context, dl_tensor *x, int64_t start_dim, int64_t end_dim);

typedef struct dl_dims_options {
    dl_ints dims;
} dl_dims_options; /* permute, flip */
DL_API dl_tensor *dl_permute(dl_context *context, dl_tensor *x, int dims, const int64_t *order);

typedef struct dl_transpose_options {
    int64_t dim0, dim1;
} dl_transpose_options;
DL_API dl_tensor *dl_transpose(dl_context *context, dl_tensor *x, int64_t dim0, int64_t dim1);

typedef struct dl_squeeze_options {
    dl_ints dim; /* count 0: all dimensions of size 1 */
} dl_squeeze_options;
DL_API dl_tensor *dl_squeeze(dl_context *context, dl_tensor *x, int64_t dim); /* DL_NONE: all of size 1 */
DL_API dl_tensor *dl_unsqueeze(dl_context *context, dl_tensor *x, int64_t dim);
/* Repeats dimensions of size 1 without copying; -1 keeps a size; new dimensions come first. */
DL_API dl_tensor *dl_expand(dl_context *context, dl_tensor *x, int dims, const int64_t *shape);

typedef struct dl_slice_options {
    dl_ints starts, ends; /* of the first dimensions: the first and the last element, both included */
    dl_ints steps;        /* 1 or more; those that are missing are 1 */
} dl_slice_options;
/* Elements start, start + step ... before end along one dimension, as a view. end DL_NONE: to the end. */
DL_API dl_tensor *dl_slice(dl_context *context, dl_tensor *x, int64_t dim, int64_t start, int64_t end, int64_t step);
typedef struct dl_select_options {
    int64_t dim, index;
} dl_select_options;
/* Element `index` along a dimension, which goes away. A view. */
DL_API dl_tensor *dl_select(dl_context *context, dl_tensor *x, int64_t dim, int64_t index);

/* Joins along an existing (cat) or a new (stack) dimension. */
DL_API dl_tensor *dl_cat(dl_context *context, dl_tensor *const *tensors, int count, int64_t dim);
DL_API dl_tensor *dl_stack(dl_context *context, dl_tensor *const *tensors, int count, int64_t dim);

typedef struct dl_pad_options {
    dl_ints pad; /* before, after of the last dimension, then of the one before it ...; negative cuts */
    double value;
} dl_pad_options;
DL_API dl_tensor *dl_pad(dl_context *context, dl_tensor *x, int count, const int64_t *pad, double value);
DL_API dl_tensor *dl_flip(dl_context *context, dl_tensor *x, int count, const int64_t *dims);

typedef struct dl_diagonal_options {
    int64_t diagonal; /* 0 the main one, above it positive */
} dl_diagonal_options; /* tril, triu */

/* ---- by index: values from 1 ----------------------------------------------------------------------------------- */

/* Slices index[i] along a dimension; index (n) of whole numbers. */
DL_API dl_tensor *dl_index_select(dl_context *context, dl_tensor *x, int64_t dim, dl_tensor *index);
/* out[i][j] = x[i][index[i][j]] for dim 1; index of the result's shape. */
DL_API dl_tensor *dl_gather(dl_context *context, dl_tensor *x, int64_t dim, dl_tensor *index);

typedef struct dl_topk_options {
    int64_t k, dim;
    bool largest; /* false: the smallest */
} dl_topk_options;
/* *values and *places (int64, from 1) of the k largest elements along a dimension, best first. */
DL_API dl_status dl_topk(dl_context *context, dl_tensor *x, int64_t k, int64_t dim, bool largest, dl_tensor **values,
                         dl_tensor **places);

typedef struct dl_categorical_sample_options {
    double temperature; /* 0: the likeliest */
    int64_t top_k;      /* DL_NONE: all */
    double top_p;
} dl_categorical_sample_options;

typedef struct dl_masked_fill_options {
    double value;
} dl_masked_fill_options;
/* value where mask (bool, broadcast) is true, x elsewhere. */
DL_API dl_tensor *dl_masked_fill(dl_context *context, dl_tensor *x, dl_tensor *mask, double value);

typedef struct dl_one_hot_options {
    int64_t num_classes;
    int dtype; /* a dl_dtype */
} dl_one_hot_options;
/* labels (...) of 1 .. num_classes -> (..., num_classes) of 0 and 1; label 0 (none) makes a row of zeros. */
DL_API dl_tensor *dl_one_hot(dl_context *context, dl_tensor *labels, int64_t num_classes, dl_dtype dtype);

/* ---- copies ---------------------------------------------------------------------------------------------------- */

typedef struct dl_to_options {
    int dtype; /* a dl_dtype */
} dl_to_options;
/* x itself (a view) if it has the dtype already. Gradients pass between float dtypes. */
DL_API dl_tensor *dl_to(dl_context *context, dl_tensor *x, dl_dtype dtype);
DL_API dl_tensor *dl_clone(dl_context *context, dl_tensor *x); /* contiguous */

typedef struct dl_fill_options {
    double value;
} dl_fill_options;
/* In place: x's elements become those of `from`, broadcast and converted; a number; 0. */
DL_API dl_status dl_copy_(dl_tensor *x, dl_tensor *from);
DL_API dl_status dl_fill_(dl_tensor *x, double value);
DL_API dl_status dl_zero_(dl_tensor *x);
DL_API dl_status dl_add_(dl_tensor *x, dl_tensor *y);
DL_API dl_status dl_mul_(dl_tensor *x, dl_tensor *y);

/* ---- softmax and its like -------------------------------------------------------------------------------------- */

DL_API dl_tensor *dl_softmax(dl_context *context, dl_tensor *x, int64_t dim);
DL_API dl_tensor *dl_log_softmax(dl_context *context, dl_tensor *x, int64_t dim);
DL_API dl_tensor *dl_sparsemax(dl_context *context, dl_tensor *x, int64_t dim);
/* The first half of the dimension times the sigmoid of the second. */
DL_API dl_tensor *dl_glu(dl_context *context, dl_tensor *x, int64_t dim);

/* ---- images ---------------------------------------------------------------------------------------------------- */

enum { DL_PADDING_VALID, DL_PADDING_SAME };
/* What a padding field holds: a name, or numbers of zeros {height, width} or {top, bottom, left, right}. */
DL_API dl_alternative dl_padding_valid(void);
DL_API dl_alternative dl_padding_same(void);
DL_API dl_alternative dl_padding_sizes(int64_t height, int64_t width);

typedef struct dl_conv2d_options {
    dl_ints stride;         /* {height, width} */
    dl_alternative padding; /* see dl_padding_same */
    dl_ints dilation;       /* {height, width} */
    int64_t groups;         /* divides the channels and the filters */
    int activation;         /* DL_ACTIVATION_NONE or DL_ACTIVATION_RELU: fused */
    bool exact;             /* Winograd F(2x2) at most: errors of a direct sum, half the speed for 3x3 */
} dl_conv2d_options;
/* x (N, H, W, C), weight (height, width, C / groups, K), bias (K) or NULL -> (N, H', W', K). */
DL_API dl_tensor *dl_conv2d(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias,
                            const dl_conv2d_options *options);
typedef struct dl_conv_transpose2d_options {
    dl_ints stride;
    int padding;            /* DL_PADDING_VALID or DL_PADDING_SAME */
    dl_ints output_padding; /* count 0: what makes the usual size */
    dl_ints dilation;
} dl_conv_transpose2d_options;
/* x (N, H, W, C), weight (height, width, K, C) -> (N, H', W', K). */
DL_API dl_tensor *dl_conv_transpose2d(dl_context *context, dl_tensor *x, dl_tensor *weight,
                                      const dl_conv_transpose2d_options *options);
/* H' for H = size: with padding same, size * stride, else as many as the windows cover; or with output_padding
 * (DL_NONE: none) added to the least that gives `size` windows. DL_NONE for DL_NONE. */
DL_API int64_t dl_conv_transpose_size(int64_t size, int64_t window, int64_t stride, int64_t dilation, bool same,
                                      int64_t output_padding);
/* max_pool2d(relu(conv2d(x, weight, bias)), 2) for a kernel of 3 x 3 with stride 1 and padding valid, in one pass. */
DL_API dl_tensor *dl_conv2d_relu_maxpool(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias);

typedef struct dl_pool2d_options {
    dl_ints kernel_size;
    dl_ints stride; /* count 0: the kernel's size */
    dl_alternative padding;
} dl_pool2d_options;
/* x (N, H, W, C) -> (N, H', W', C). Padding is never the largest, and the mean does not count it. */
DL_API dl_tensor *dl_max_pool2d(dl_context *context, dl_tensor *x, const dl_pool2d_options *options);
DL_API dl_tensor *dl_avg_pool2d(dl_context *context, dl_tensor *x, const dl_pool2d_options *options);

/* ---- normalization and noise ----------------------------------------------------------------------------------- */

typedef struct dl_batch_norm_options {
    double epsilon;
} dl_batch_norm_options;
/* (x - mean) / sqrt(var + epsilon) * weight + bias; x (..., C), the others (C), weight and bias may be NULL. */
DL_API dl_tensor *dl_batch_norm(dl_context *context, dl_tensor *x, dl_tensor *mean, dl_tensor *var, dl_tensor *weight,
                                dl_tensor *bias, double epsilon);
/* The same with the mean and the variance (divided by n) of x itself: out[0] is y, out[1] the mean (C), out[2] the
 * variance (C). No gradient flows through out[1] and out[2] alone. */
DL_API dl_status dl_batch_norm_training(dl_context *context, dl_tensor *x, dl_tensor *weight, dl_tensor *bias,
                                        double epsilon, dl_tensor *out[3]);

typedef struct dl_dropout_options {
    double rate;
    bool training;
    int64_t seed; /* of the stream to use, DL_NONE: the context's; then stream and position are not read */
    int64_t stream, position;
} dl_dropout_options;
/* Zeroes a fraction `rate` of the elements and divides the rest by 1 - rate. stream NULL: the context's; it moves on by
 * what was drawn. */
DL_API dl_tensor *dl_dropout(dl_context *context, dl_tensor *x, double rate, dl_stream *stream);

typedef struct dl_uniform_options {
    double from, to;
} dl_uniform_options;
typedef struct dl_normal_options {
    double mean, std;
} dl_normal_options; /* normal, truncated_normal */
typedef struct dl_bernoulli_options {
    double p;
} dl_bernoulli_options;
/* Fill a float tensor, contiguous or not, with draws from a stream (NULL: the context's), which moves on: uniform in
 * [from, to); normal; normal without what lies more than two standard deviations off; 1 with probability p, else 0. */
DL_API dl_status dl_uniform_(dl_tensor *x, dl_stream *stream, double from, double to);
DL_API dl_status dl_normal_(dl_tensor *x, dl_stream *stream, double mean, double std);
DL_API dl_status dl_truncated_normal_(dl_tensor *x, dl_stream *stream, double mean, double std);
DL_API dl_status dl_bernoulli_(dl_tensor *x, dl_stream *stream, double p);

/* ---- recurrent networks: layouts and order of the gates are Keras's: lstm i, f, c, o; gru z, r, h ---------------- */

typedef struct dl_recurrent_op_options {
    bool return_sequences, go_backwards, zero_output_for_mask;
    bool reset_after; /* gru */
} dl_recurrent_op_options; /* lstm, gru, simple_rnn */

/* What a recurrent operation takes; all but the first three may be NULL. */
typedef struct dl_recurrent_tensors {
    dl_tensor *x;                /* (N, T, F) */
    dl_tensor *kernel;           /* (F, G U) */
    dl_tensor *recurrent_kernel; /* (U, G U) */
    dl_tensor *bias;             /* (G U); for gru with reset_after (2, G U) */
    dl_tensor *initial_h;        /* (N, U); NULL: zeros */
    dl_tensor *initial_c;        /* (N, U); lstm */
    dl_tensor *mask;             /* (N, T) bool: false where a step is padding */
    dl_tensor *dropout_mask;     /* (N, U): multiplied to h before its product */
} dl_recurrent_tensors;

/* out[0] is y, (N, T, U) with return_sequences, else (N, U); out[1] the last h, out[2] (lstm) the last c, (N, U).
 * Ownership as for all operations. */
DL_API dl_status dl_lstm(dl_context *context, const dl_recurrent_tensors *tensors,
                         const dl_recurrent_op_options *options, dl_tensor *out[3]);
DL_API dl_status dl_gru(dl_context *context, const dl_recurrent_tensors *tensors,
                        const dl_recurrent_op_options *options, dl_tensor *out[2]);
DL_API dl_status dl_simple_rnn(dl_context *context, const dl_recurrent_tensors *tensors,
                               const dl_recurrent_op_options *options, dl_tensor *out[2]);

/* ---- losses ---------------------------------------------------------------------------------------------------- */

enum { DL_REDUCTION_NONE, DL_REDUCTION_MEAN, DL_REDUCTION_SUM };

typedef struct dl_softmax_cross_entropy_options {
    int64_t ignore_class;   /* this label's loss is 0; DL_NONE: no label is ignored */
    double label_smoothing; /* in [0, 1): the target's share that is spread over all classes */
} dl_softmax_cross_entropy_options;
/* -log softmax(logits)[label] of each sample: logits (..., K), labels (...) from 1 to K -> (...). Stable, fused. */
DL_API dl_tensor *dl_softmax_cross_entropy(dl_context *context, dl_tensor *logits, dl_tensor *labels,
                                           const dl_softmax_cross_entropy_options *options);

typedef struct dl_label_smoothing_options {
    double label_smoothing;
} dl_label_smoothing_options; /* softmax_cross_entropy_probabilities, categorical_cross_entropy */
/* -sum of target * log softmax(logits): both (..., K) -> (...). Stable, fused. */
DL_API dl_tensor *dl_softmax_cross_entropy_probabilities(dl_context *context, dl_tensor *logits, dl_tensor *target,
                                                         double label_smoothing);
/* The same from probabilities, as Keras computes them: normalized to sum 1, clipped to [1e-7, 1 - 1e-7]. */
DL_API dl_tensor *dl_categorical_cross_entropy(dl_context *context, dl_tensor *probabilities, dl_tensor *target,
                                               double label_smoothing);

typedef struct dl_ignore_class_options {
    int64_t ignore_class;
} dl_ignore_class_options; /* sparse_categorical_cross_entropy */
DL_API dl_tensor *dl_sparse_categorical_cross_entropy(dl_context *context, dl_tensor *probabilities, dl_tensor *labels,
                                                      int64_t ignore_class);

typedef struct dl_reduction_options {
    int reduction; /* DL_REDUCTION_NONE: the loss of each element; DL_REDUCTION_MEAN, DL_REDUCTION_SUM */
} dl_reduction_options; /* binary_cross_entropy, binary_cross_entropy_with_logits, mse_loss, l1_loss */
/* Element by element, prediction first; then the reduction. */
DL_API dl_tensor *dl_binary_cross_entropy(dl_context *context, dl_tensor *probabilities, dl_tensor *target,
                                          int reduction);
DL_API dl_tensor *dl_binary_cross_entropy_with_logits(dl_context *context, dl_tensor *logits, dl_tensor *target,
                                                      int reduction);
DL_API dl_tensor *dl_mse_loss(dl_context *context, dl_tensor *prediction, dl_tensor *target, int reduction);
DL_API dl_tensor *dl_l1_loss(dl_context *context, dl_tensor *prediction, dl_tensor *target, int reduction);

typedef struct dl_huber_loss_options {
    int reduction;
    double delta; /* where the square turns into a line */
} dl_huber_loss_options;
DL_API dl_tensor *dl_huber_loss(dl_context *context, dl_tensor *prediction, dl_tensor *target, double delta,
                                int reduction);

typedef struct dl_cross_entropy_options {
    int reduction;
    int64_t ignore_class;
    double label_smoothing;
} dl_cross_entropy_options;
/* softmax_cross_entropy with a reduction; the mean is over the labels that are not ignored. */
DL_API dl_tensor *dl_cross_entropy(dl_context *context, dl_tensor *logits, dl_tensor *labels,
                                   const dl_cross_entropy_options *options);

/* -log of the probability that log_probabilities (N, T, classes + 1) spell labels (N, L) -> (N). Label 0 is padding,
 * and the first place of a step is the blank's. */
DL_API dl_tensor *dl_ctc_loss(dl_context *context, dl_tensor *log_probabilities, dl_tensor *labels);

typedef struct dl_nll_loss_options {
    int reduction;
    int64_t ignore_class;
} dl_nll_loss_options;

#ifdef __cplusplus
}
#endif
#endif
