/* kernels/element.h: what the element-wise kernels are told about their operands: the element type, the strided loop,
 * and which function of the tables to compute. Knows no tensor. */
#ifndef DL_KERNELS_ELEMENT_H
#define DL_KERNELS_ELEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/binary_rows.h"
#include "kernels/unary_rows.h"

/* The types of elements, X(NAME, C type), in the order of dl_dtype (the tensor layer asserts it). A boolean is a
 * byte of 0 or 1. */
#define DL_ELEMENT_TABLE(X)                                                                                            \
    X(FLOAT32, float)                                                                                                  \
    X(FLOAT64, double)                                                                                                 \
    X(INT32, int32_t)                                                                                                  \
    X(INT64, int64_t)                                                                                                  \
    X(UINT8, uint8_t)                                                                                                  \
    X(BOOLEAN, uint8_t)

typedef enum dl_element {
#define X(name, type) DL_ELEMENT_##name,
    DL_ELEMENT_TABLE(X)
#undef X
    DL_ELEMENT_COUNT
} dl_element;

#define DL_LOOP_OPERANDS 4
#define DL_LOOP_DIMS 8

/* One loop over all elements of a shape, row-major, for up to four operands in the order of the kernel's pointers (the
 * output is operand 0). Strides count elements of the operand and may be zero (a broadcast input) or negative; the
 * pointers point to element (0, ..., 0). Dimensions need not be merged: kernels do that, so a contiguous tensor may be
 * given with its own shape or as one long dimension, and both take the fast path. dims 0 is one element. An output may
 * be the same memory as an input if their strides are the same. */
typedef struct dl_loop {
    int dims;
    int64_t shape[DL_LOOP_DIMS];
    int64_t strides[DL_LOOP_OPERANDS][DL_LOOP_DIMS];
} dl_loop;

/* One dimension of n elements, all operands contiguous. */
static inline dl_loop dl_loop_flat(int64_t n) {
    dl_loop loop = {.dims = 1, .shape = {n}, .strides = {{1}, {1}, {1}, {1}}};
    return loop;
}

/* Functions of the tables: DL_UNARY_exp, DL_BINARY_add, DL_PREDICATE_isnan ... */
typedef enum dl_unary {
#define X(name, needs, parameters, formula, domain, value, gradient, help) DL_UNARY_##name,
    DL_UNARY_ROWS(X)
#undef X
    DL_UNARY_COUNT
} dl_unary;

/* What the derivative is written in, and so what a forward pass must keep. */
typedef enum dl_unary_needs { DL_NEEDS_NOTHING, DL_NEEDS_X, DL_NEEDS_Y } dl_unary_needs;

static inline dl_unary_needs dl_unary_needs_of(dl_unary function) {
    static const uint8_t table[] = {
#define X(name, needs, parameters, formula, domain, value, gradient, help) DL_NEEDS_##needs,
        DL_UNARY_ROWS(X)
#undef X
    };
    return (dl_unary_needs)table[function];
}

typedef enum dl_binary {
#define X(name, parameters, formula, domain, value, gradient_a, gradient_b, help) DL_BINARY_##name,
    DL_BINARY_ROWS(X)
#undef X
    DL_BINARY_COUNT
} dl_binary;

typedef enum dl_predicate {
#define X(name, formula, value, help) DL_PREDICATE_##name,
    DL_PREDICATE_ROWS(X)
#undef X
    DL_PREDICATE_COUNT
} dl_predicate;

typedef enum dl_compare {
#define X(name, formula, value, help) DL_COMPARE_##name,
    DL_COMPARE_ROWS(X)
#undef X
    DL_COMPARE_COUNT
} dl_compare;

/* Reductions over the middle of (outer, n, inner). The result has the element type of x, except that integers and
 * booleans are summed and multiplied in int64, and that any and all give booleans. An empty sum is 0, an empty product
 * 1, an empty any false, an empty all true, an empty mean NaN, an empty logsumexp -inf; max and min need n > 0. NaN
 * goes through max and min. mean and logsumexp are for floats. */
typedef enum dl_reduction {
    DL_REDUCE_SUM,
    DL_REDUCE_MEAN,
    DL_REDUCE_PROD,
    DL_REDUCE_MAX,
    DL_REDUCE_MIN,
    DL_REDUCE_ANY,
    DL_REDUCE_ALL,
    DL_REDUCE_LOGSUMEXP
} dl_reduction;

/* No class is ignored (see the cross-entropy kernels). */
#define DL_IGNORE_NO_CLASS INT64_MIN

/* How a cross-entropy reads the classes' scores. */
typedef enum dl_scores {
    DL_SCORES_LOGITS,        /* a softmax is part of the loss */
    DL_SCORES_PROBABILITIES, /* clipped to [1e-7, 1 - 1e-7] */
    DL_SCORES_UNNORMALIZED   /* probabilities that are divided by their sum first, then clipped */
} dl_scores;

/* What random numbers are drawn. One position of a stream is one block of four 32-bit words. */
typedef enum dl_distribution {
    DL_RANDOM_UNIFORM,          /* [a, b), 24 random bits in float32 and 53 in float64 */
    DL_RANDOM_NORMAL,           /* mean a, standard deviation b (Box and Muller) */
    DL_RANDOM_TRUNCATED_NORMAL, /* the same, within two standard deviations (by the inverse distribution function) */
    DL_RANDOM_INTEGER,          /* whole numbers a .. b, both ends in; integer elements (and floats) */
    DL_RANDOM_BERNOULLI         /* 1 with probability a, else 0; any element type */
} dl_distribution;

/* Elements drawn from one position of a stream: n elements take ceil(n / this) positions. */
static inline int dl_random_per_block(dl_distribution distribution, dl_element element) {
    if (distribution == DL_RANDOM_BERNOULLI)
        return 4;
    if (distribution == DL_RANDOM_INTEGER || distribution == DL_RANDOM_TRUNCATED_NORMAL)
        return 2;
    return element == DL_ELEMENT_FLOAT32 ? 4 : 2;
}
/* Dropout keeps or drops four elements with one position. */
#define DL_DROPOUT_PER_BLOCK 4

/* What one step of an optimizer is told beside its arrays; the same for all weights. Every gradient is first multiplied
 * by gradient_scale, then clipped to +-clip_value (infinite: not clipped); then w -= w * learning_rate * weight_decay;
 * then the rule. */
typedef struct dl_update {
    double learning_rate;
    double gradient_scale;
    double clip_value;
    double weight_decay;
} dl_update;

/* What is Ftrl's own. */
typedef struct dl_ftrl {
    double power; /* minus the learning rate's */
    double l1, l2, shrinkage;
} dl_ftrl;

#endif
