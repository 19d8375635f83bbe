/* autograd/autograd.h: the graph that recorded operations make, and what an op's forward and backward see of it.
 *
 *        x (leaf) --- leaf node <---+
 *                                   | edges: node of each input, which output of it
 *        y = op(x) --- node(op) ----+   saved: what backward needs (aliases with the version at saving)
 *
 * Always true: a node's edges point to older nodes only, so the graph has no cycle; saved tensors are aliases outside
 * the graph; backward and freeing walk with a list of their own and never recurse over nodes. */
#ifndef DL_AUTOGRAD_AUTOGRAD_H
#define DL_AUTOGRAD_AUTOGRAD_H

#include "dlua/op.h"
#include "tensor/tensor.h"

#define DL_MAX_SAVED 8

/* A running call of an op. */
struct dl_op_call {
    dl_context *context;
    const dl_op *op;
    const void *options;
    dl_tensor *const *in;
    int inputs;
    dl_tensor *out[DL_MAX_OUTPUTS]; /* set by forward with dl_call_output or dl_call_set */
    dl_node *node;                  /* NULL: no gradient is wanted */
};

/* Makes output i: contiguous, contents undefined. NULL without memory. */
dl_tensor *dl_call_output(dl_op_call *call, int i, dl_dtype dtype, int dims, const int64_t *shape);
/* Takes a new reference to tensor (a view, or what a composition of ops has made) as output i. NULL passes a failure
 * on. */
dl_status dl_call_set(dl_op_call *call, int i, dl_tensor *tensor);
/* True if input i needs its gradient (then forward may save for it). */
bool dl_call_needs(const dl_op_call *call, int i);
/* Keeps an alias of tensor for backward, as saved[slot]. Nothing is kept when no gradient is wanted. Inputs and outputs
 * and scratch of forward alike. */
dl_status dl_call_save(dl_op_call *call, int slot, dl_tensor *tensor);
/* Keeps `bytes` of plain numbers for backward (gradient->state); returns where to write, or NULL (no memory). When no
 * gradient is wanted returns NULL too: check call->node first. */
void *dl_call_state(dl_op_call *call, size_t bytes);

/* A running backward of one node. */
struct dl_op_gradient {
    dl_context *context;
    const dl_op *op;
    const void *options;
    int inputs;
    dl_tensor *const *saved;
    const void *state;
    const bool *needs;                   /* [inputs] */
    dl_tensor *grad_out[DL_MAX_OUTPUTS]; /* borrowed; contiguous; NULL where no gradient came */
    dl_tensor **grad_in;                 /* [inputs]: set to new references that no scope owns (dl_tensor_new or, made
                                          * by ops inside the scope that is open around backward, dl_gradient_set) */
    const int64_t (*shapes)[DL_MAX_DIMS]; /* of the inputs */
    const int *dims;                     /* of the inputs */
    const dl_dtype *dtypes;              /* of the inputs */
};

/* Sets grad_in[i] to grad summed down to the input's shape and cast to its dtype (what broadcasting repeated is added).
 * grad may belong to the open scope; NULL passes a failure on. */
dl_status dl_gradient_set(dl_op_gradient *gradient, int i, dl_tensor *grad);
/* A new contiguous tensor with input i's shape and dtype, installed as grad_in[i]; contents undefined. */
dl_tensor *dl_gradient_new(dl_op_gradient *gradient, int i);

/* Sums `tensor` over the dimensions in which `shape` is broadcast; new reference in no scope. */
dl_tensor *dl_sum_to_shape(dl_tensor *tensor, int dims, const int64_t *shape);

/* The leaves that the graph of these tensors reaches, each once, as counted references in a list that dl_free frees. */
dl_status dl_graph_leaves(dl_context *context, dl_tensor *const *roots, int count, dl_tensor ***leaves, int *found);
/* Takes the leaves out of all graphs until they are put back: what is recorded in between has nodes of its own for
 * them. nodes has room for `count`. */
void dl_set_leaves_apart(dl_tensor *const *leaves, int count, dl_node **nodes);
void dl_put_leaves_back(dl_tensor *const *leaves, int count, dl_node *const *nodes);
/* Moves what the pass under way has added up for leaves that are set apart to their new nodes, so that a pass over
 * these goes on with the sums, in the order that one pass would have; what it did not reach is moved back. */
void dl_lend_gradients(dl_tensor *const *leaves, int count, dl_node *const *nodes);
void dl_return_gradients(dl_tensor *const *leaves, int count, dl_node *const *nodes);

/* Gives a reference to a node back; frees what no tensor reaches any more, without recursion. */
void dl_node_release(dl_node *node);

#endif
