/* dlua/tensor.h: tensors, views and the gradient graph.
 *
 * A dl_tensor is a counted handle on a strided window of a storage. Functions that make a tensor return a new reference
 * (NULL on failure, see dl_last_error). Who owns it: the caller, unless a scope is open in the context: then the scope
 * owns it and releases it at its end (see dl_scope_begin). Passing NULL as a tensor to a function that makes tensors
 * fails quietly and keeps the first message, so that calls can be nested and checked once.
 *
 * Dimensions count from 0 here; a negative one counts from the end. Index values inside tensors (labels, argmax) count
 * from 1, and 0 means none, everywhere. */
#ifndef DLUA_TENSOR_H
#define DLUA_TENSOR_H

#include "dlua/base.h"
#include "dlua/definition.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, c type, bytes) */
#define DL_DTYPE_TABLE(X)                                                                                              \
    X(FLOAT32, float32, 4)                                                                                             \
    X(FLOAT64, float64, 8)                                                                                             \
    X(INT32, int32, 4)                                                                                                 \
    X(INT64, int64, 8)                                                                                                 \
    X(UINT8, uint8, 1)                                                                                                 \
    X(BOOLEAN, bool, 1)

typedef enum dl_dtype {
#define X(name, text, bytes) DL_##name,
    DL_DTYPE_TABLE(X)
#undef X
    DL_DTYPE_COUNT
} dl_dtype;

DL_API const char *dl_dtype_name(dl_dtype dtype); /* "float32" */
DL_API size_t dl_dtype_size(dl_dtype dtype);
DL_API dl_status dl_dtype_from_name(const char *name, dl_dtype *out);
DL_API bool dl_dtype_is_float(dl_dtype dtype);
/* The dtype of an operation on both, as PyTorch promotes: bool < uint8 < int32 < int64 < float32 < float64. */
DL_API dl_dtype dl_dtype_promote(dl_dtype a, dl_dtype b);

typedef struct dl_tensor dl_tensor;

/* ---- making tensors -------------------------------------------------------------------------------------------- */

/* Contiguous, contents undefined. Sizes are checked for overflow and against the budget. */
DL_API dl_tensor *dl_empty(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape);
DL_API dl_tensor *dl_zeros(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape);
DL_API dl_tensor *dl_full(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape, double value);
/* Copies elements of the dtype from data, row-major. */
DL_API dl_tensor *dl_from_data(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape, const void *data);
/* Uses the host's memory without a copy, row-major and aligned to the dtype; release(user) is called when nothing uses
 * it any more (may be NULL: the host keeps it alive longer than the context). */
DL_API dl_tensor *dl_from_host(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape, void *data,
                               void (*release)(void *user), void *user);
DL_API dl_tensor *dl_scalar(dl_context *context, dl_dtype dtype, double value); /* 0 dimensions */
/* From start on, without the end. */
DL_API dl_tensor *dl_arange(dl_context *context, dl_dtype dtype, double start, double end, double step);
DL_API dl_tensor *dl_linspace(dl_context *context, dl_dtype dtype, double start, double end, int64_t steps);
DL_API dl_tensor *dl_eye(dl_context *context, dl_dtype dtype, int64_t rows, int64_t columns);
/* From the context's stream: uniform in [0, 1), standard normal, whole numbers in [low, high], a permutation of
 * 1..n. */
DL_API dl_tensor *dl_rand(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape);
DL_API dl_tensor *dl_randn(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape);
DL_API dl_tensor *dl_randint(dl_context *context, dl_dtype dtype, int64_t low, int64_t high, int dims,
                             const int64_t *shape);
DL_API dl_tensor *dl_randperm(dl_context *context, int64_t n); /* int64 */

DL_API void dl_retain(dl_tensor *tensor);
DL_API void dl_release(dl_tensor *tensor); /* NULL is ignored */

/* ---- asking ---------------------------------------------------------------------------------------------------- */

DL_API dl_context *dl_tensor_context(const dl_tensor *tensor);
DL_API dl_dtype dl_tensor_dtype(const dl_tensor *tensor);
DL_API int dl_tensor_dims(const dl_tensor *tensor);
DL_API const int64_t *dl_tensor_shape(const dl_tensor *tensor);
DL_API const int64_t *dl_tensor_strides(const dl_tensor *tensor); /* in elements */
DL_API int64_t dl_tensor_numel(const dl_tensor *tensor);
DL_API bool dl_tensor_is_contiguous(const dl_tensor *tensor);
/* The first element. Writing through it is seen by all views; call dl_tensor_bump after it if gradients may need the
 * old values. */
DL_API void *dl_tensor_data(const dl_tensor *tensor);
DL_API void dl_tensor_bump(dl_tensor *tensor);
/* The one element as a number. */
DL_API dl_status dl_item(const dl_tensor *tensor, double *out);
DL_API dl_status dl_item_int(const dl_tensor *tensor, int64_t *out);
/* Copies the elements, row-major, converted to the dtype, into data of dl_tensor_numel elements. */
DL_API dl_status dl_copy_out(const dl_tensor *tensor, dl_dtype dtype, void *data);
/* As PyTorch prints it: precision 4, summarized above 1000 elements with 3 at each edge, 80 columns; the text is freed
 * with dl_free_text. */
DL_API dl_status dl_tensor_print(const dl_tensor *tensor, char **text);
/* "{2, 3}" */
DL_API void dl_shape_describe(int dims, const int64_t *shape, char *text, size_t size);

/* ---- scopes ---------------------------------------------------------------------------------------------------- */

/* From begin to end every tensor that is made belongs to the scope, so that a composition of operations needs no
 * releases: y = dl_add(c, dl_matmul(c, x, w), b). dl_scope_end releases all but `keep` (may be NULL), whose ownership
 * passes to the scope around it or to the caller; it returns keep. Scopes nest. */
DL_API size_t dl_scope_begin(dl_context *context);
DL_API dl_tensor *dl_scope_end(dl_context *context, size_t mark, dl_tensor *keep);

/* ---- gradients ------------------------------------------------------------------------------------------------- */

DL_API dl_status dl_requires_grad_(dl_tensor *tensor, bool requires_grad); /* leaves of a float dtype only */
DL_API bool dl_requires_grad(const dl_tensor *tensor);                     /* leaf that asks, or made from such */
DL_API bool dl_is_leaf(const dl_tensor *tensor);
/* Borrowed; NULL if there is none. */
DL_API dl_tensor *dl_grad(const dl_tensor *tensor);
DL_API dl_status dl_set_grad(dl_tensor *tensor, dl_tensor *grad); /* takes a reference; NULL clears */
/* Shares the storage, outside the graph. */
DL_API dl_tensor *dl_detach(dl_tensor *tensor);

enum { DL_RETAIN_GRAPH = 1 };
/* Adds d tensor / d leaf, times grad_output, to the grad of each leaf that requires it. grad_output NULL: 1, for a
 * tensor of one element. Frees the graph as it goes unless DL_RETAIN_GRAPH. */
DL_API dl_status dl_backward(dl_tensor *tensor, dl_tensor *grad_output, int flags);
/* The gradients of `output` with respect to `inputs` (leaves or not) into out[] (new references; NULL where there is no
 * path) without touching any grad. */
DL_API dl_status dl_gradients(dl_tensor *output, dl_tensor *grad_output, dl_tensor **inputs, int count, int flags,
                              dl_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
