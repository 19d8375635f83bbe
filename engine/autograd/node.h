/* autograd/node.h: a node of the graph, for the files of this folder.
 *
 * A node stands for one recorded call of an op, or for a leaf (op NULL). `order` is greater than that of every node its
 * edges point to, so walking in falling order visits each node after all that use it. */
#ifndef DL_AUTOGRAD_NODE_H
#define DL_AUTOGRAD_NODE_H

#include "autograd/autograd.h"

typedef struct edge {
    dl_node *node; /* counted; NULL: no gradient is wanted there */
    int output;
} edge;

struct dl_node {
    dl_node_base base;
    int references; /* of result tensors and edges; the context's thread only */
    const dl_op *op;
    dl_context *context;
    int64_t order;  /* leaves: 0 */
    dl_tensor *leaf; /* counted; leaves only */
    int inputs;
    int outputs;
    bool consumed; /* backward has freed what it needed */
    bool queued;   /* waits in a running backward */
    bool seen;     /* by a running search for leaves */
    edge *edges;   /* [inputs] */
    bool *needs;   /* [inputs] */
    int *dims;
    dl_dtype *dtypes;
    int64_t (*shapes)[DL_MAX_DIMS];
    void *options; /* a copy */
    void *state;
    dl_tensor *saved[DL_MAX_SAVED];
    uint32_t versions[DL_MAX_SAVED];
    dl_tensor *grads[DL_MAX_OUTPUTS]; /* of a running backward */
    dl_node *next;                    /* in the list of nodes to free */
};

/* A node that will stand for a call, with edges to the nodes of its inputs; NULL without memory. */
dl_node *dl_node_create(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs, const void *options);
/* The node of a tensor that requires a gradient; makes a leaf's. Borrowed; NULL without memory. */
dl_node *dl_node_of(dl_tensor *tensor);
/* Frees what backward of this node needs: saved tensors, state, edges. */
void dl_node_consume(dl_node *node);

/* DL_STATE, naming the op and which of its tensors it is, if one has NaN or infinite values (detect_anomaly). */
dl_status dl_check_finite(const dl_op *op, dl_tensor *const *tensors, int count, const char *what);

#endif
