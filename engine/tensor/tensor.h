/* tensor/tensor.h: what the engine's upper layers see inside a tensor.
 *
 *   dl_tensor --storage--> dl_storage { bytes, version }     several tensors (views) may share one storage
 *       |  offset, shape, strides: element (i, j) is at data[offset + i * strides[0] + j * strides[1]]
 *       +--node--> dl_node: the operation that made it, or the leaf's place in the graph; NULL outside the graph
 *
 * Always true: sizes are >= 0; every reachable element lies in the storage; reference counts are atomic (a loader
 * thread may hand tensors over), everything else belongs to the context's thread. */
#ifndef DL_TENSOR_TENSOR_H
#define DL_TENSOR_TENSOR_H

#include <stdatomic.h>

#include "base/base.h"
#include "dlua/tensor.h"
#include "kernels/element.h"

/* The beginning of a node of the graph, which the autograd layer above defines: all that a tensor needs of it. */
typedef struct dl_node dl_node;
typedef struct dl_node_base {
    void (*release)(dl_node *node);
} dl_node_base;

typedef struct dl_storage {
    atomic_int references;
    uint32_t version; /* counts the writes */
    void *data;
    size_t bytes;
    dl_context *context;
    void (*release)(void *user); /* of host memory; NULL with owned == false: nothing to do */
    void *user;
    bool owned; /* data comes from the context */
} dl_storage;

struct dl_tensor {
    atomic_int references;
    dl_dtype dtype;
    int dims;
    bool requires_grad; /* a leaf that collects its gradient */
    int64_t shape[DL_MAX_DIMS];
    int64_t strides[DL_MAX_DIMS];
    int64_t offset; /* in elements */
    dl_storage *storage;
    dl_context *context;
    dl_node *node;     /* counted for results of ops; for a leaf: weak, the node holds the leaf */
    int output;        /* which output of the node */
    dl_tensor *grad;   /* counted */
    dl_tensor *logits; /* counted: what a softmax or sigmoid activation was given, for stable losses; or NULL */
    const void *logits_of; /* the definition of that activation */
    bool view;         /* made by dl_tensor_view: another tensor may name the same elements */
    uint32_t viewed;   /* the storage's version when the view was made */
};

/* A view of the same storage, outside the graph and in no scope. */
dl_tensor *dl_tensor_view(const dl_tensor *of, int dims, const int64_t *shape, const int64_t *strides, int64_t offset);
/* Same storage, shape and strides, no graph, never in a scope: for what the graph saves. */
dl_tensor *dl_tensor_alias(const dl_tensor *of);
/* A tensor that no scope owns (weights, gradients, states): as dl_empty otherwise. */
dl_tensor *dl_tensor_new(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape);
/* Hands a reference to the innermost open scope, if there is one. Returns tensor, or NULL (released) without memory. */
dl_tensor *dl_scope_add(dl_context *context, dl_tensor *tensor);
/* tensor itself (a new reference) if contiguous, else a contiguous copy; outside the graph; in no scope. */
dl_tensor *dl_tensor_contiguous(dl_tensor *tensor);
/* The tensor's elements converted and copied; outside the graph; in no scope. */
dl_tensor *dl_tensor_cast(dl_tensor *tensor, dl_dtype dtype);
/* Copies elements of `from` (broadcast to the shape of `to`, converted) into `to`; bumps its version. */
dl_status dl_tensor_copy(dl_tensor *to, const dl_tensor *from);
dl_status dl_tensor_fill(dl_tensor *to, double value);
/* out = a + b; all contiguous, of one shape and dtype. */
dl_status dl_tensor_add_into(dl_tensor *out, const dl_tensor *a, const dl_tensor *b);
/* The sum of a float tensor over the dimensions that are marked, which stay as 1; a new reference in no scope. */
dl_tensor *dl_tensor_sum(dl_tensor *tensor, const bool *reduced);
/* False if a float tensor has a NaN or infinite value. */
bool dl_tensor_is_finite(const dl_tensor *tensor);
bool dl_shape_equal(int dims_a, const int64_t *a, int dims_b, const int64_t *b);
bool dl_tensor_same_shape(const dl_tensor *a, const dl_tensor *b);
/* Checks a shape; the strides and the bytes of a row-major tensor of it. DL_SHAPE if it is larger than any memory. */
dl_status dl_tensor_layout(dl_dtype dtype, int dims, const int64_t *shape, int64_t *strides, size_t *bytes);
/* Row-major strides; returns the number of elements, or -1 if it overflows. */
int64_t dl_shape_strides(int dims, const int64_t *shape, int64_t *strides);
/* The common shape of a and b; DL_SHAPE with both shapes in the message if there is none. */
dl_status dl_shape_broadcast(int dims_a, const int64_t *a, int dims_b, const int64_t *b, int *dims, int64_t *shape);
/* Makes dim (maybe negative) 0 .. dims-1, or DL_INVALID. The message speaks of positions as Lua counts them. */
dl_status dl_dim_normalize(int64_t dim, int dims, int *out);

/* The loop of an element-wise kernel over `shape` for the tensors in the order of the kernel's pointers, each broadcast
 * to the shape. Pointers are dl_tensor_data of each. */
void dl_tensor_loop(dl_loop *loop, int dims, const int64_t *shape, const dl_tensor *const *tensors, int count);
/* The strides of a tensor broadcast to a shape: 0 where it repeats. */
void dl_broadcast_strides(const dl_tensor *tensor, int dims, const int64_t *shape, int64_t *strides);

/* The element at an offset (in elements, of the storage) as a real or whole number; floats are cut towards zero. */
double dl_read_real(const dl_tensor *tensor, int64_t offset);
int64_t dl_read_int(const dl_tensor *tensor, int64_t offset);

/* The same type for the kernels. */
static inline dl_element dl_element_of(const dl_tensor *tensor) {
    return (dl_element)tensor->dtype;
}

#define DL_DATA(tensor, type) ((type *)dl_tensor_data(tensor))

#endif
