/* autograd/leaves.c: the leaves that a graph reaches, and a graph of their own for a computation inside a backward
 * pass: while a leaf is set apart, what is recorded makes a new node for it, so that the pass under way does not see
 * it. */
#include "autograd/node.h"

typedef struct leaf_search {
    dl_context *context;
    dl_node **nodes; /* seen, each once */
    int64_t count, capacity;
} leaf_search;

static dl_status visit(leaf_search *search, dl_node *node) {
    if (!node || node->seen)
        return DL_OK;
    DL_TRY(dl_grow(search->context, &search->nodes, search->count, &search->capacity, sizeof *search->nodes));
    node->seen = true;
    search->nodes[search->count++] = node;
    return DL_OK;
}

static dl_status visit_all(leaf_search *search, dl_tensor *const *roots, int count) {
    for (int i = 0; i < count; i++)
        DL_TRY(visit(search, roots[i]->node));
    for (int64_t at = 0; at < search->count; at++)
        for (int i = 0; i < search->nodes[at]->inputs; i++)
            DL_TRY(visit(search, search->nodes[at]->edges[i].node));
    return DL_OK;
}

dl_status dl_graph_leaves(dl_context *context, dl_tensor *const *roots, int count, dl_tensor ***leaves, int *found) {
    leaf_search search = {.context = context};
    *leaves = NULL;
    *found = 0;
    dl_status status = visit_all(&search, roots, count);
    if (status == DL_OK) {
        *leaves = dl_alloc_array(context, (size_t)DL_MAX(search.count, 1), sizeof **leaves);
        status = *leaves ? DL_OK : DL_MEMORY;
    }
    for (int64_t i = 0; i < search.count; i++) {
        search.nodes[i]->seen = false;
        if (status == DL_OK && search.nodes[i]->leaf) {
            (*leaves)[(*found)++] = search.nodes[i]->leaf;
            dl_retain(search.nodes[i]->leaf);
        }
    }
    dl_free(search.nodes);
    return status;
}

void dl_set_leaves_apart(dl_tensor *const *leaves, int count, dl_node **nodes) {
    for (int i = 0; i < count; i++) {
        nodes[i] = leaves[i]->node;
        leaves[i]->node = NULL;
        if (nodes[i]) /* the graph that holds it may go meanwhile, and a set apart leaf would not notice */
            nodes[i]->references++;
    }
}

void dl_put_leaves_back(dl_tensor *const *leaves, int count, dl_node *const *nodes) {
    for (int i = 0; i < count; i++) {
        leaves[i]->node = nodes[i];
        if (nodes[i])
            dl_node_release(nodes[i]);
    }
}

void dl_lend_gradients(dl_tensor *const *leaves, int count, dl_node *const *nodes) {
    for (int i = 0; i < count; i++) {
        if (!nodes[i] || !leaves[i]->node || leaves[i]->node->grads[0])
            continue;
        leaves[i]->node->grads[0] = nodes[i]->grads[0];
        nodes[i]->grads[0] = NULL;
    }
}

void dl_return_gradients(dl_tensor *const *leaves, int count, dl_node *const *nodes) {
    for (int i = 0; i < count; i++) {
        if (!nodes[i] || !leaves[i]->node || nodes[i]->grads[0])
            continue;
        nodes[i]->grads[0] = leaves[i]->node->grads[0];
        leaves[i]->node->grads[0] = NULL;
    }
}
