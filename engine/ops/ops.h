/* ops/ops.h: what the files of operations share. Each file holds relatives: their shape rules, forward, backward and
 * definitions side by side; the registry (ops/registry.c) lists them from the tables.
 *
 * Always true of an operation here: forward checks shapes and dtypes before it makes anything; a scope is open around
 * forward and backward, so scratch tensors go into it (dl_dense, or any function of dlua/ops.h) and need no release;
 * views share storage and never copy. */
#ifndef DL_OPS_OPS_H
#define DL_OPS_OPS_H

#include "autograd/autograd.h"
#include "dlua/ops.h"
#include "kernels/kernels.h"

/* Option tables that several operations share. */
extern const dl_field dl_no_fields[];
extern const dl_field dl_last_dim_fields[];  /* dl_dim_options, default: the last dimension */
extern const dl_field dl_first_dim_fields[]; /* dl_dim_options, default: the first dimension */

/* A shape as text, for messages: dl_shape_text(x).at. */
typedef struct dl_text {
    char at[192];
} dl_text;
dl_text dl_shape_text(const dl_tensor *tensor);
dl_text dl_sizes_text(int dims, const int64_t *shape);

/* DL_DTYPE with a message that names the input, unless x is float32 or float64. */
dl_status dl_need_float(const dl_tensor *x, const char *input);
/* DL_DTYPE unless x (an optional input; NULL passes) has the dtype of the first input. */
dl_status dl_need_dtype(const dl_tensor *x, const char *input, dl_dtype dtype);
/* DL_DTYPE unless x holds whole numbers (not bool). */
dl_status dl_need_whole(const dl_tensor *x, const char *input);
/* DL_SHAPE unless x (NULL passes) has exactly this one-dimensional shape; `meaning` says what the size must be. */
dl_status dl_need_vector(const dl_tensor *x, const char *input, int64_t size, const char *meaning);

/* Sets the one output to a view of the first input. */
dl_status dl_call_view(dl_op_call *call, int dims, const int64_t *shape, const int64_t *strides, int64_t offset);
/* The tensor itself, or a contiguous copy that belongs to the open scope. NULL without memory; NULL passes. */
dl_tensor *dl_dense(dl_tensor *tensor);
/* A new contiguous tensor of the open scope, contents undefined; NULL without memory. */
dl_tensor *dl_scratch(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape);
/* The tensor itself, or a copy in the dtype that belongs to the open scope, outside the graph. NULL without memory;
 * NULL passes. */
dl_tensor *dl_as(dl_tensor *tensor, dl_dtype dtype);
/* The dtype of an operation on both. A tensor without dimensions raises the other's dtype only to another kind (bool,
 * whole numbers, real numbers), and whole numbers to float32 then. */
dl_dtype dl_common_dtype(const dl_tensor *a, const dl_tensor *b);
/* The definition of a row of kernels/unary_rows.h or binary_rows.h, whose parameters are the fields NAME_fields. */
#define DL_ROW_DEFINITION(name_, formula_, domain_, shapes_, help_)                                                    \
    {.name = #name_,                                                                                                   \
     .version = 1,                                                                                                     \
     .help = help_,                                                                                                    \
     .formula = sizeof(domain_) > 1 ? formula_ ", for " domain_ : formula_,                                            \
     .shapes = shapes_,                                                                                                \
     .fields = name_##_fields,                                                                                         \
     .options_size = (sizeof name_##_fields / sizeof(dl_field) - 1) * sizeof(double)}
/* First element; NULL passes, for what is left out. */
void *dl_data_or_null(const dl_tensor *tensor);
/* First element of saved[slot], or NULL if nothing was saved there. */
const void *dl_saved_data(const dl_op_gradient *gradient, int slot);
/* *data: where a kernel writes the gradient of input i, contiguous; NULL if none is wanted or it was left out. */
dl_status dl_gradient_data(dl_op_gradient *gradient, int i, void **data);

/* A tensor seen as (outer, size, inner) around one dimension, when contiguous. */
typedef struct dl_around {
    int64_t outer, size, inner;
} dl_around;
dl_around dl_around_dim(int dims, const int64_t *shape, int dim);

/* The gradient before a relu whose result is y (contiguous, as grad), in the open scope. NULL on failure. */
dl_tensor *dl_relu_gradient(dl_context *context, dl_tensor *grad, const dl_tensor *y);
/* Backward of operations that only renamed dimensions: the gradient in the input's shape. */
dl_status dl_reshape_backward(dl_op_gradient *gradient);

/* The operations made from the tables of rows: dl_op_exp, dl_op_add, dl_op_lt ... */
#define X(name, ...) extern const dl_op dl_op_##name;
DL_UNARY_ROWS(X)
DL_PREDICATE_ROWS(X)
DL_BINARY_ROWS(X)
DL_COMPARE_ROWS(X)
#undef X

#endif
