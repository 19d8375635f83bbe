/* kernels/rows_math.h: the kernels over elements and rows: element-wise functions, copies and casts, reductions,
 * softmax, losses, normalization, random numbers, optimizers. X(name, arguments)
 *
 * Pointers to void point to elements of the type named beside them (kernels/element.h); kernels of real functions take
 * FLOAT32 and FLOAT64 and return DL_DTYPE for others. Functions are named by the enums of kernels/element.h. A dl_loop
 * lists the operands in the order of the pointers. Where an index is read from data it counts from 1, and a wrong one
 * is DL_INVALID with its value, its place and what is allowed. */
#ifndef DL_KERNELS_ROWS_MATH_H
#define DL_KERNELS_ROWS_MATH_H

#include "kernels/element.h"

#define DL_MATH_ROWS(X)                                                                                                \
    DL_ELEMENTWISE_ROWS(X)                                                                                             \
    DL_COPY_ROWS(X)                                                                                                    \
    DL_INDEX_ROWS(X)                                                                                                   \
    DL_REDUCTION_ROWS(X)                                                                                               \
    DL_SOFTMAX_ROWS(X)                                                                                                 \
    DL_NORMALIZATION_ROWS(X)                                                                                           \
    DL_RANDOM_ROWS(X)                                                                                                  \
    DL_OPTIMIZER_ROWS(X)                                                                                               \
    DL_CTC_ROWS(X)

/* unary: out = function(x). Integers too for the rows of DL_UNARY_INTEGER_ROWS (out has the type of x). parameters has
 *   the row's values in order; NULL if it has none.
 * unary_backward: dx = g * derivative, written in saved = x or y as dl_unary_needs_of(function) says (NULL: NOTHING).
 *   Loop: dx, g, saved.
 * predicate: out is boolean; x of any type.
 * binary: out = function(a, b); integers too for the rows of DL_BINARY_INTEGER_ROWS and DL_BINARY_DIVISION_ROWS; an
 *   integer divisor of 0 is DL_INVALID. BOOLEAN is not a number: cast it first.
 * binary_backward: the gradient of operand `which` (0: a, 1: b), element by element over the broadcast shape (sum it to
 *   the operand's shape after). Loop: grad, g, a, b.
 * compare: out is boolean; a and b of one type, any.
 * where: out = condition ? a : b, condition boolean, the others of one type, any. Its gradients are where itself with a
 *   zero as the other side (a pointer to one zero and strides 0). Loop: out, condition, a, b. */
#define DL_ELEMENTWISE_ROWS(X)                                                                                         \
    X(unary, (dl_context * context, dl_unary function, dl_element element, void *out, const void *x,                   \
              const dl_loop *loop, const double *parameters))                                                          \
    X(unary_backward, (dl_context * context, dl_unary function, dl_element element, void *dx, const void *g,           \
                       const void *saved, const dl_loop *loop, const double *parameters))                              \
    X(predicate, (dl_context * context, dl_predicate function, dl_element element, uint8_t *out, const void *x,        \
                  const dl_loop *loop))                                                                                \
    X(binary, (dl_context * context, dl_binary function, dl_element element, void *out, const void *a, const void *b,  \
               const dl_loop *loop, const double *parameters))                                                         \
    X(binary_backward, (dl_context * context, dl_binary function, int which, dl_element element, void *grad,           \
                        const void *g, const void *a, const void *b, const dl_loop *loop, const double *parameters))   \
    X(compare, (dl_context * context, dl_compare function, dl_element element, uint8_t *out, const void *a,            \
                const void *b, const dl_loop *loop))                                                                   \
    X(where, (dl_context * context, dl_element element, void *out, const uint8_t *condition, const void *a,            \
              const void *b, const dl_loop *loop))

/* copy: converts and copies. Floats to integers are cut towards zero and kept within the type's range (NaN gives 0), as
 *   are integers to narrower ones cut to their low bits, and anything to boolean is x != 0.
 * fill: value converted as in copy, over a strided output.
 * arange: out[i] = start + i * step for i < n, computed in float64. */
#define DL_COPY_ROWS(X)                                                                                                \
    X(copy, (dl_context * context, dl_element to_element, void *to, dl_element from_element, const void *from,         \
             const dl_loop *loop))                                                                                     \
    X(fill, (dl_context * context, dl_element element, void *out, double value, const dl_loop *loop))                  \
    X(arange, (dl_context * context, dl_element element, void *out, double start, double step, int64_t n))

/* index_select: out (outer, count, inner) = x (outer, n, inner) at index[j] - 1 in the middle dimension; index (count)
 *   is INT32, INT64 or UINT8. zero_is_none: index 0 gives zeros instead of an error.
 * index_select_backward: dx (outer, n, inner) = sum of the rows of g (outer, count, inner) that came from each place,
 *   added in the order of j; index 0 is skipped (forward has checked the range; it is checked again).
 * gather: out (outer, count, inner) = x (outer, n, inner) with index (outer, count, inner): out[o][j][i] =
 *   x[o][index[o][j][i] - 1][i].
 * gather_backward: dx (outer, n, inner), the sum of what went to each place, in the order of j. */
#define DL_INDEX_ROWS(X)                                                                                               \
    X(index_select, (dl_context * context, dl_element element, void *out, const void *x, dl_element index_element,     \
                     const void *index, bool zero_is_none, int64_t outer, int64_t n, int64_t inner, int64_t count))    \
    X(index_select_backward, (dl_context * context, dl_element element, void *dx, const void *g,                       \
                              dl_element index_element, const void *index, int64_t outer, int64_t n, int64_t inner,    \
                              int64_t count))                                                                          \
    X(gather, (dl_context * context, dl_element element, void *out, const void *x, dl_element index_element,           \
               const void *index, int64_t outer, int64_t n, int64_t inner, int64_t count))                             \
    X(gather_backward, (dl_context * context, dl_element element, void *dx, const void *g, dl_element index_element,   \
                        const void *index, int64_t outer, int64_t n, int64_t inner, int64_t count))

/* Reductions over the middle of contiguous x (outer, n, inner); results are (outer, inner). See dl_reduction for types
 * and empty cases. Several dimensions that are neighbours are one; others are reduced one after the other (means over
 * two groups of dimensions are a mean of means), or after a contiguous permuted copy.
 * reduce: any dl_reduction.
 * arg_reduce: positions (1 .. n, int64) of the first maximum (or minimum); a NaN counts as the extreme. n > 0.
 * extreme_backward: of max and min: dx = g shared evenly among the elements equal to y.
 * prod_backward: dx = g times the product of all others (right when some are zero).
 * logsumexp_backward: dx = g * exp(x - y).
 * variance: sum of squared differences from the mean over n - correction; mean (nullable) receives the means.
 * variance_backward: dx = g * 2 * (x - mean) / (n - correction).
 * cumsum: running sums along the middle; integers too; reverse runs from the end (the gradient of cumsum).
 * sum_squares: out[0], one float64, is the sum of squares of n contiguous elements (norms of gradients).
 * all_finite: out[0] is true if no element is NaN or infinite. */
#define DL_REDUCTION_ROWS(X)                                                                                           \
    X(reduce, (dl_context * context, dl_reduction reduction, dl_element element, void *out, const void *x,             \
               int64_t outer, int64_t n, int64_t inner))                                                               \
    X(arg_reduce, (dl_context * context, bool maximum, dl_element element, int64_t *out, const void *x, int64_t outer, \
                   int64_t n, int64_t inner))                                                                          \
    X(extreme_backward, (dl_context * context, dl_element element, void *dx, const void *g, const void *x,             \
                         const void *y, int64_t outer, int64_t n, int64_t inner))                                      \
    X(prod_backward, (dl_context * context, dl_element element, void *dx, const void *g, const void *x, int64_t outer, \
                      int64_t n, int64_t inner))                                                                       \
    X(logsumexp_backward, (dl_context * context, dl_element element, void *dx, const void *g, const void *x,           \
                           const void *y, int64_t outer, int64_t n, int64_t inner))                                    \
    X(variance, (dl_context * context, dl_element element, void *out, void *mean, const void *x, double correction,    \
                 int64_t outer, int64_t n, int64_t inner))                                                             \
    X(variance_backward, (dl_context * context, dl_element element, void *dx, const void *g, const void *x,            \
                          const void *mean, double correction, int64_t outer, int64_t n, int64_t inner))               \
    X(cumsum, (dl_context * context, dl_element element, void *out, const void *x, bool reverse, int64_t outer,        \
               int64_t n, int64_t inner))                                                                              \
    X(sum_squares, (dl_context * context, dl_element element, double *out, const void *x, int64_t n))                  \
    X(all_finite, (dl_context * context, dl_element element, bool *out, const void *x, int64_t n))

/* Softmax over the middle of contiguous (outer, n, inner); inner = 1 is the fast case.
 * softmax, log_softmax: y from x; their backwards: dx from g and y.
 * Cross-entropy over rows of `classes` scores, read as `scores` says (dl_scores):
 * cross_entropy: losses[row] = -log p(label), labels (rows) INT32, INT64 or UINT8 in 1 .. classes; a label equal to
 *   ignore_class (DL_IGNORE_NO_CLASS: none) has loss 0 and no gradient; any other is DL_INVALID with its row. With
 *   label_smoothing s the target is (1 - s) onehot + s / classes. normalizers (rows, nullable) receives what
 *   backward needs: the log-sum-exp of logits, or the sum of unnormalized probabilities.
 * cross_entropy_backward: dx (rows, classes) = g[row] * d losses[row] / d x; g has g_step 0 (one number for all rows)
 *   or 1; normalizers from forward.
 * cross_entropy_targets and its backward: the target of a row is a distribution (rows, classes): -sum t log p. */
#define DL_SOFTMAX_ROWS(X)                                                                                             \
    X(softmax, (dl_context * context, dl_element element, void *y, const void *x, int64_t outer, int64_t n,            \
                int64_t inner))                                                                                        \
    X(softmax_backward, (dl_context * context, dl_element element, void *dx, const void *g, const void *y,             \
                         int64_t outer, int64_t n, int64_t inner))                                                     \
    X(log_softmax, (dl_context * context, dl_element element, void *y, const void *x, int64_t outer, int64_t n,        \
                    int64_t inner))                                                                                    \
    X(log_softmax_backward, (dl_context * context, dl_element element, void *dx, const void *g, const void *y,         \
                             int64_t outer, int64_t n, int64_t inner))                                                 \
    X(cross_entropy, (dl_context * context, dl_scores scores, dl_element element, void *losses, void *normalizers,     \
                      const void *x, dl_element label_element, const void *labels, double label_smoothing,             \
                      int64_t ignore_class, int64_t rows, int64_t classes))                                            \
    X(cross_entropy_backward, (dl_context * context, dl_scores scores, dl_element element, void *dx, const void *g,    \
                               int g_step, const void *x, const void *normalizers, dl_element label_element,           \
                               const void *labels, double label_smoothing, int64_t ignore_class, int64_t rows,         \
                               int64_t classes))                                                                       \
    X(cross_entropy_targets, (dl_context * context, dl_scores scores, dl_element element, void *losses,                \
                              void *normalizers, const void *x, const void *targets, double label_smoothing,           \
                              int64_t rows, int64_t classes))                                                          \
    X(cross_entropy_targets_backward, (dl_context * context, dl_scores scores, dl_element element, void *dx,           \
                                       const void *g, int g_step, const void *x, const void *normalizers,              \
                                       const void *targets, double label_smoothing, int64_t rows, int64_t classes))

/* Batch normalization of contiguous x (rows, channels), rows = N * H * W (Ioffe and Szegedy 2015). Vectors have one
 * element a channel, of the type of x.
 * channel_moments: mean and variance (over rows, not rows - 1).
 * channel_affine: y = x * scale + shift: with scale = gamma / sqrt(variance + epsilon) and shift = beta - mean * scale
 *   this is the normalization, in training and in inference.
 * batch_norm_backward: with xhat = (x - mean) * inverse_deviation: dbeta = sum g, dgamma = sum g * xhat, dx = gamma *
 *   inverse_deviation * (g - (dbeta + xhat * dgamma) / rows). gamma, dx, dgamma, dbeta may be NULL (gamma: 1).
 * channel_sum: out (channels) = sum over rows: gradients of biases.
 * row_norm: each of `rows` rows of n elements by its own statistics: y = (x - mean) * inverse * weight + bias,
 *   inverse = 1 / sqrt(mean of (x - mean)^2 + epsilon); mean and inverse (rows) are outputs. mean NULL: it counts as 0
 *   (rms normalization). weight and bias (n) may be NULL.
 * row_norm_backward: dx, dweight and dbias (each may be NULL) of row_norm, from its mean (NULL as there) and
 *   inverse. */
#define DL_NORMALIZATION_ROWS(X)                                                                                       \
    X(channel_moments, (dl_context * context, dl_element element, void *mean, void *variance, const void *x,           \
                        int64_t rows, int64_t channels))                                                               \
    X(channel_affine, (dl_context * context, dl_element element, void *y, const void *x, const void *scale,            \
                       const void *shift, int64_t rows, int64_t channels))                                             \
    X(batch_norm_backward, (dl_context * context, dl_element element, void *dx, void *dgamma, void *dbeta,             \
                            const void *g, const void *x, const void *mean, const void *inverse_deviation,             \
                            const void *gamma, int64_t rows, int64_t channels))                                        \
    X(channel_sum, (dl_context * context, dl_element element, void *out, const void *x, int64_t rows,                  \
                    int64_t channels))                                                                                 \
    X(row_norm, (dl_context * context, dl_element element, void *y, void *mean, void *inverse, const void *x,          \
                 const void *weight, const void *bias, double epsilon, int64_t rows, int64_t n))                       \
    X(row_norm_backward, (dl_context * context, dl_element element, void *dx, void *dweight, void *dbias,              \
                          const void *g, const void *x, const void *mean, const void *inverse, const void *weight,     \
                          int64_t rows, int64_t n))

/* Random numbers from a stream: elements depend on its seed, its number and the position alone, whatever the number of
 * threads is. The caller takes the positions: dl_stream_take(stream, ceil(n / dl_random_per_block(...))) and passes the
 * stream as it was before.
 * random: see dl_distribution for a and b.
 * dropout: y = x * scale where a draw keeps the element (probability 1 - rate), else 0; the same call with g for x is
 *   the gradient. n elements take ceil(n / DL_DROPOUT_PER_BLOCK) positions. y may be x. */
#define DL_RANDOM_ROWS(X)                                                                                              \
    X(random, (dl_context * context, dl_distribution distribution, dl_element element, void *out,                      \
               const dl_stream *stream, double a, double b, int64_t n))                                                \
    X(dropout, (dl_context * context, dl_element element, void *y, const void *x, const dl_stream *stream,             \
                double rate, double scale, int64_t n))

/* The float64 numbers that ctc needs for a sample of T steps and L labels at most. */
#define DL_CTC_SCRATCH(T, L) (((T) + 2) * (2 * (L) + 1))
/* ctc: losses[n] = -log of the probability that the steps log_p (n, T, C) spell labels (n, L), of which lengths[n]
 *   count; label 0 is the blank's place in log_p. occupancy (as log_p, nullable): the probability that a way through
 *   the labels is at a label at a step, which is minus the derivative by log_p. scratch: n * DL_CTC_SCRATCH numbers. */
#define DL_CTC_ROWS(X)                                                                                                 \
    X(ctc, (dl_context * context, dl_element element, void *losses, void *occupancy, const void *log_p,                \
            const int64_t *labels, const int64_t *lengths, double *scratch, int64_t n, int64_t T, int64_t C,           \
            int64_t L))

/* Optimizers, one sweep over contiguous arrays of n elements; nothing is allocated. The formulas are Keras's. First,
 * for all: g = clip(g * gradient_scale, +-clip_value) and w -= w * learning_rate * weight_decay (see dl_update).
 * sgd: without velocity (NULL) w -= lr * g; else velocity = momentum * velocity - lr * g, then w += velocity, or with
 *   nesterov w += momentum * velocity - lr * g.
 * adam: m += (g - m) * (1 - beta_1); v += (g^2 - v) * (1 - beta_2); w -= m * alpha / (sqrt(v) + epsilon), alpha =
 *   lr * sqrt(1 - beta_2^step) / (1 - beta_1^step), step counting from 1. v_max (nullable; amsgrad): v_max =
 *   max(v_max, v) stands for v in the last line.
 * rmsprop: velocity = rho * velocity + (1 - rho) * g^2; increment = lr * g / sqrt(velocity + epsilon), with average
 *   (nullable; centered): average = rho * average + (1 - rho) * g, increment = lr * g / sqrt(velocity - average^2 +
 *   epsilon); with momentum_buffer (nullable): buffer = momentum * buffer + increment, w -= buffer; else w -=
 *   increment.
 * nadam: m and v as in adam; u(t) = beta_1 * (1 - 0.96^t / 2), U(t) = u(1) ... u(t); w -= lr * (u(t + 1) * m / (1 - U(t
 *   + 1)) + (1 - u(t)) * g / (1 - U(t))) / (sqrt(v / (1 - beta_2^t)) + epsilon), t = step.
 * adamax: m as in adam; u = max(beta_2 * u, |g|); w -= lr * m / ((1 - beta_1^step) * (u + epsilon)).
 * adagrad: sum += g^2; w -= lr * g / sqrt(sum + epsilon).
 * adadelta: v = rho * v + (1 - rho) * g^2; d = g * sqrt(delta + epsilon) / sqrt(v + epsilon); delta = rho * delta +
 *   (1 - rho) * d^2; w -= lr * d.
 * lion: w -= lr * sign(beta_1 * m + (1 - beta_1) * g); m = beta_2 * m + (1 - beta_2) * g.
 * ftrl: s = sum + g^2; linear += g + 2 * shrinkage * w - (s^p - sum^p) / lr * w; sum = s; w = (clip(linear, +-l1) -
 *   linear) / (s^p / lr + 2 * l2), p = power.
 * moving_average: average = momentum * average + (1 - momentum) * x.
 * axpy: y += alpha * x. scale: x *= alpha. */
#define DL_OPTIMIZER_ROWS(X)                                                                                           \
    X(sgd, (dl_context * context, dl_element element, void *w, void *velocity, const void *g, const dl_update *update, \
            double momentum, bool nesterov, int64_t n))                                                                \
    X(adam, (dl_context * context, dl_element element, void *w, void *m, void *v, void *v_max, const void *g,          \
             const dl_update *update, double beta_1, double beta_2, double epsilon, int64_t step, int64_t n))          \
    X(rmsprop, (dl_context * context, dl_element element, void *w, void *velocity, void *average,                      \
                void *momentum_buffer, const void *g, const dl_update *update, double rho, double momentum,            \
                double epsilon, int64_t n))                                                                            \
    X(nadam, (dl_context * context, dl_element element, void *w, void *m, void *v, const void *g,                      \
              const dl_update *update, double beta_1, double beta_2, double epsilon, int64_t step, int64_t n))         \
    X(adamax, (dl_context * context, dl_element element, void *w, void *m, void *u, const void *g,                     \
               const dl_update *update, double beta_1, double beta_2, double epsilon, int64_t step, int64_t n))        \
    X(adagrad, (dl_context * context, dl_element element, void *w, void *sum, const void *g, const dl_update *update,  \
                double epsilon, int64_t n))                                                                            \
    X(adadelta, (dl_context * context, dl_element element, void *w, void *v, void *delta, const void *g,               \
                 const dl_update *update, double rho, double epsilon, int64_t n))                                      \
    X(lion, (dl_context * context, dl_element element, void *w, void *m, const void *g, const dl_update *update,       \
             double beta_1, double beta_2, int64_t n))                                                                 \
    X(ftrl, (dl_context * context, dl_element element, void *w, void *sum, void *linear, const void *g,                \
             const dl_update *update, const dl_ftrl *ftrl, int64_t n))                                                 \
    X(moving_average, (dl_context * context, dl_element element, void *average, double momentum, const void *x,        \
                       int64_t n))                                                                                     \
    X(axpy, (dl_context * context, dl_element element, void *y, double alpha, const void *x, int64_t n))               \
    X(scale, (dl_context * context, dl_element element, void *x, double alpha, int64_t n))

#endif
