/* autograd/node.c: the life of graph nodes. A graph may be 100,000 nodes deep, so releasing goes through a list of
 * nodes to free and never recurses. */
#include "autograd/node.h"

#include <string.h>

static dl_node *node_allocate(dl_context *context, int inputs) {
    size_t count = (size_t)inputs;
    size_t edges = count * sizeof(edge);
    size_t shapes = count * sizeof(int64_t[DL_MAX_DIMS]);
    size_t numbers = count * (sizeof(int) + sizeof(dl_dtype) + sizeof(bool));
    dl_node *node = dl_alloc_zeroed(context, sizeof *node + edges + shapes + numbers);
    if (!node)
        return NULL;
    char *at = (char *)(node + 1);
    node->edges = (edge *)at;
    node->shapes = (int64_t(*)[DL_MAX_DIMS])(at += edges);
    node->dims = (int *)(at += shapes);
    node->dtypes = (dl_dtype *)(at += count * sizeof(int));
    node->needs = (bool *)(at + count * sizeof(dl_dtype));
    node->base.release = dl_node_release;
    node->references = 1;
    node->context = context;
    node->inputs = inputs;
    return node;
}

dl_node *dl_node_of(dl_tensor *tensor) {
    if (tensor->node)
        return tensor->node;
    dl_node *node = node_allocate(tensor->context, 0);
    if (!node)
        return NULL;
    /* The tensor's pointer is weak and the node's is counted: the leaf lives as long as a graph leads to it. The first
     * reference is for the caller to take over with an edge. */
    node->references = 0;
    node->outputs = 1;
    node->leaf = tensor;
    dl_retain(tensor);
    tensor->node = node;
    return node;
}

static dl_status copy_options(dl_node *node, const void *options) {
    const dl_definition *definition = &node->op->definition;
    if (definition->options_size == 0)
        return DL_OK;
    node->options = dl_alloc(node->context, definition->options_size);
    if (!node->options)
        return DL_MEMORY;
    dl_status status = dl_options_copy(node->context, definition, options, node->options);
    if (status != DL_OK) {
        dl_free(node->options);
        node->options = NULL;
    }
    return status;
}

static dl_status connect(dl_node *node, int i, dl_tensor *in) {
    node->dims[i] = in->dims;
    node->dtypes[i] = in->dtype;
    memcpy(node->shapes[i], in->shape, sizeof in->shape);
    if (!dl_requires_grad(in))
        return DL_OK;
    dl_node *to = dl_node_of(in);
    if (!to)
        return DL_MEMORY;
    to->references++;
    node->edges[i] = (edge){to, in->output};
    node->needs[i] = true;
    node->order = DL_MAX(node->order, to->order + 1);
    return DL_OK;
}

dl_node *dl_node_create(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs, const void *options) {
    dl_node *node = node_allocate(context, inputs);
    if (!node)
        return NULL;
    node->op = op;
    node->outputs = op->outputs;
    dl_status status = copy_options(node, options);
    for (int i = 0; i < inputs && status == DL_OK; i++)
        if (in[i])
            status = connect(node, i, in[i]);
    if (status != DL_OK) {
        dl_node_release(node);
        return NULL;
    }
    return node;
}

static void drop_saved(dl_node *node) {
    for (int i = 0; i < DL_MAX_SAVED; i++) {
        dl_release(node->saved[i]);
        node->saved[i] = NULL;
    }
    dl_free(node->state);
    node->state = NULL;
}

/* Drops the edges; nodes that nobody refers to any more go to the front of the list. Returns the new front. */
static dl_node *drop_edges(dl_node *node, dl_node *list) {
    for (int i = 0; i < node->inputs; i++) {
        dl_node *to = node->edges[i].node;
        node->edges[i].node = NULL;
        if (to && --to->references == 0) {
            to->next = list;
            list = to;
        }
    }
    return list;
}

static void node_free(dl_node *node) {
    drop_saved(node);
    for (int i = 0; i < node->outputs; i++)
        dl_release(node->grads[i]);
    if (node->options) {
        dl_options_clear(&node->op->definition, node->options);
        dl_free(node->options);
    }
    if (node->leaf) {
        if (node->leaf->node == node) /* else the leaf was set apart and has another */
            node->leaf->node = NULL;
        dl_release(node->leaf);
    }
    dl_free(node);
}

static void free_list(dl_node *list) {
    while (list) {
        dl_node *node = list;
        list = drop_edges(node, node->next);
        node_free(node);
    }
}

void dl_node_release(dl_node *node) {
    if (--node->references > 0)
        return;
    node->next = NULL;
    free_list(node);
}

void dl_node_consume(dl_node *node) {
    drop_saved(node);
    free_list(drop_edges(node, NULL));
    node->consumed = true;
}
