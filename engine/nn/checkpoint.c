/* nn/checkpoint.c: gradient checkpointing (Chen, Xu, Zhang and Guestrin 2016, "Training deep nets with sublinear memory
 * cost").
 *
 *      first run:  function(detached inputs) is recorded, to find the weights it uses; its graph is dropped at once
 *      graph:      one node, with edges to the inputs and to those weights; it keeps the inputs
 *      backward:   function runs again and is recorded; its gradients go to the node's edges
 *
 * Always true: the second run draws what the first drew (the context's stream and the layers' go back for it, and then
 * where they were), and has nodes of its own for the weights, so the pass around it is not disturbed. */
#include "nn/checkpoint.h"

#include <string.h>

typedef struct drawn_place {
    dl_layer *layer; /* counted */
    uint64_t position;
} drawn_place;

/* Hangs on the node as its options' one object. */
typedef struct dl_checkpoint_object {
    dl_object object;
    dl_checkpoint_function function;
    void *function_user;
    void (*free_function_user)(void *user);
    int inputs, outputs;
    dl_tensor **aliases; /* [inputs]: outside the graph, counted */
    int leaf_count;
    dl_tensor **leaves;  /* counted */
    dl_stream context_stream; /* before the first run */
    int place_count;
    int64_t place_capacity;
    drawn_place *places; /* of layers' streams, before the first run */
    struct dl_checkpoint_object *around;
    dl_tensor *results[DL_MAX_OUTPUTS]; /* of the first run, until the node is made; of an open scope */
} checkpoint;

static void finalize(dl_object *object) {
    checkpoint *c = (checkpoint *)object;
    if (c->free_function_user)
        c->free_function_user(c->function_user);
    for (int i = 0; c->aliases && i < c->inputs; i++)
        dl_release(c->aliases[i]);
    for (int i = 0; i < c->leaf_count; i++)
        dl_release(c->leaves[i]);
    for (int i = 0; i < c->place_count; i++)
        dl_object_release(&c->places[i].layer->object);
    dl_free(c->aliases);
    dl_free(c->leaves);
    dl_free(c->places);
}

static const dl_field no_fields[] = {DL_END};
static const dl_definition checkpoint_definition = {
    .name = "checkpoint", .version = 1, .help = "A call to be repeated.", .fields = no_fields,
    .options_size = sizeof(dl_no_options)};
static const dl_definition *const checkpoint_definitions[] = {&checkpoint_definition, NULL};
static const dl_family checkpoint_family = {.name = "checkpoint", .definitions = checkpoint_definitions,
                                            .object_size = sizeof(checkpoint), .finalize = finalize};

/* ---- places of random streams ------------------------------------------------------------------------------------ */

static dl_status note(checkpoint *c, dl_layer *layer) {
    for (int i = 0; i < c->place_count; i++)
        if (c->places[i].layer == layer)
            return DL_OK;
    DL_TRY(dl_grow(c->object.context, &c->places, c->place_count, &c->place_capacity, sizeof *c->places));
    dl_object_retain(&layer->object);
    c->places[c->place_count++] = (drawn_place){layer, layer->stream.position};
    return DL_OK;
}

dl_status dl_checkpoint_note_draw(dl_layer *layer) {
    checkpoint **under_way = dl_checkpoint_under_way(layer->object.context);
    if (!under_way)
        return dl_last_status();
    for (checkpoint *c = *under_way; c; c = c->around)
        DL_TRY(note(c, layer));
    return DL_OK;
}

/* Exchanges the streams' places with those that are kept. */
static void exchange_places(checkpoint *c) {
    dl_stream *stream = dl_context_stream(c->object.context), now = *stream;
    *stream = c->context_stream;
    c->context_stream = now;
    for (int i = 0; i < c->place_count; i++) {
        uint64_t position = c->places[i].layer->stream.position;
        c->places[i].layer->stream.position = c->places[i].position;
        c->places[i].position = position;
    }
}

/* ---- the node ---------------------------------------------------------------------------------------------------- */

typedef struct node_options {
    dl_object *checkpoint;
} node_options;
static const dl_field node_fields[] = {
    DL_OBJECT(node_options, checkpoint, NULL, &checkpoint_family, DL_REQUIRED, "what to repeat"), DL_END};

static checkpoint *checkpoint_of(const void *options) {
    return (checkpoint *)((const node_options *)options)->checkpoint;
}

static dl_status node_forward(dl_op_call *call) {
    checkpoint *c = checkpoint_of(call->options);
    for (int i = 0; i < c->outputs; i++)
        DL_TRY(dl_call_set(call, i, c->results[i]));
    return DL_OK;
}

/* One tensor whose gradient, started with *start, is that of all results: the one result that got a gradient, or the
 * sum of products, which passes each its own on as it is. */
static dl_tensor *join_results(dl_op_gradient *gradient, dl_tensor **results, int outputs, dl_tensor **start) {
    dl_context *context = gradient->context;
    dl_tensor *root = NULL;
    int started = 0;
    for (int i = 0; i < outputs; i++) {
        if (!gradient->grad_out[i] || !dl_requires_grad(results[i]))
            continue;
        *start = gradient->grad_out[i];
        root = results[i];
        started++;
    }
    if (started < 2)
        return root;
    *start = root = NULL;
    for (int i = 0; i < outputs; i++) {
        if (!gradient->grad_out[i] || !dl_requires_grad(results[i]))
            continue;
        dl_tensor *part = dl_sum_all(context, dl_mul(context, results[i], gradient->grad_out[i]));
        root = root ? dl_add(context, root, part) : part;
    }
    return root;
}

static dl_status repeat(dl_op_gradient *gradient, checkpoint *c, dl_tensor **wanted, dl_tensor **found,
                        dl_node *const *nodes) {
    dl_tensor *results[DL_MAX_OUTPUTS] = {NULL}, *start = NULL;
    int outputs = 0;
    bool recorded = dl_set_grad_enabled(gradient->context, true);
    exchange_places(c);
    dl_status status = c->function(c->function_user, c->aliases, c->inputs, results, &outputs);
    exchange_places(c);
    if (status == DL_OK && outputs != c->outputs)
        status =
            dl_fail(DL_STATE, "the function gave %d results, and %d when it was called first", outputs, c->outputs);
    dl_tensor *root = status == DL_OK ? join_results(gradient, results, outputs, &start) : NULL;
    dl_set_grad_enabled(gradient->context, recorded);
    if (status != DL_OK || !root)
        return status;
    dl_lend_gradients(c->leaves, c->leaf_count, nodes + c->inputs);
    status = dl_gradients(root, start, wanted, c->inputs + c->leaf_count, 0, found);
    dl_return_gradients(c->leaves, c->leaf_count, nodes + c->inputs);
    return status;
}

static dl_status node_backward(dl_op_gradient *gradient) {
    checkpoint *c = checkpoint_of(gradient->options);
    int count = c->inputs + c->leaf_count;
    dl_tensor **wanted = dl_alloc_zeroed(gradient->context, (size_t)DL_MAX(count, 1) * 3 * sizeof *wanted);
    if (!wanted)
        return dl_last_status();
    dl_tensor **found = wanted + count;
    dl_node **nodes = (dl_node **)(found + count);
    memcpy(wanted, c->aliases, (size_t)c->inputs * sizeof *wanted);
    memcpy(wanted + c->inputs, c->leaves, (size_t)c->leaf_count * sizeof *wanted);
    dl_set_leaves_apart(wanted, count, nodes);
    size_t scope = dl_scope_begin(gradient->context);
    dl_status status = repeat(gradient, c, wanted, found, nodes);
    for (int i = 0; i < count; i++) {
        if (status != DL_OK || !found[i] || !gradient->needs[i])
            continue;
        dl_retain(found[i]);
        gradient->grad_in[i] = found[i];
    }
    dl_scope_end(gradient->context, scope, NULL);
    dl_put_leaves_back(wanted, count, nodes);
    dl_free(wanted);
    return status;
}

#define NODE(count)                                                                                                    \
    {.definition = {.name = "checkpoint", .version = 1, .help = "A call to be repeated in the backward.",              \
                    .fields = node_fields, .options_size = sizeof(node_options)},                                      \
     .inputs = "tensors*", .outputs = (count), .forward = node_forward, .backward = node_backward}
static const dl_op nodes_of[DL_MAX_OUTPUTS] = {NODE(1), NODE(2), NODE(3), NODE(4)};

/* ---- the first run ----------------------------------------------------------------------------------------------- */

static dl_status make_aliases(checkpoint *c, dl_tensor *const *in, int inputs) {
    c->aliases = dl_alloc_zeroed(c->object.context, (size_t)DL_MAX(inputs, 1) * sizeof *c->aliases);
    if (!c->aliases)
        return dl_last_status();
    c->inputs = inputs;
    for (int i = 0; i < inputs; i++) {
        c->aliases[i] = in[i] ? dl_tensor_alias(in[i]) : NULL;
        DL_TRY(c->aliases[i] ? DL_OK : dl_last_status());
        if (dl_requires_grad(in[i]))
            DL_TRY(dl_requires_grad_(c->aliases[i], true));
    }
    return DL_OK;
}

static dl_status run_first(checkpoint *c) {
    checkpoint **under_way = dl_checkpoint_under_way(c->object.context);
    if (!under_way)
        return dl_last_status();
    c->context_stream = *dl_context_stream(c->object.context);
    c->around = *under_way;
    *under_way = c;
    dl_status status = c->function(c->function_user, c->aliases, c->inputs, c->results, &c->outputs);
    *under_way = c->around;
    c->around = NULL;
    if (status == DL_OK && (c->outputs < 1 || c->outputs > DL_MAX_OUTPUTS))
        status = dl_fail(DL_INVALID, "checkpoint: the function must give 1 to %d tensors, got %d", DL_MAX_OUTPUTS,
                         c->outputs);
    return status;
}

static bool is_alias(const checkpoint *c, const dl_tensor *tensor) {
    for (int i = 0; i < c->inputs; i++)
        if (c->aliases[i] == tensor)
            return true;
    return false;
}

/* The leaves of the first run's graph but the inputs themselves. */
static dl_status find_leaves(checkpoint *c) {
    int found;
    DL_TRY(dl_graph_leaves(c->object.context, c->results, c->outputs, &c->leaves, &found));
    for (int i = 0; i < found; i++) {
        if (is_alias(c, c->leaves[i]))
            dl_release(c->leaves[i]);
        else
            c->leaves[c->leaf_count++] = c->leaves[i];
    }
    return DL_OK;
}

/* Results outside the graph of the first run, then the node over inputs and leaves. */
static dl_status make_node(checkpoint *c, dl_tensor *const *in, dl_tensor **out) {
    dl_context *context = c->object.context;
    int count = c->inputs + c->leaf_count;
    node_options options = {&c->object};
    for (int i = 0; i < c->outputs; i++) {
        c->results[i] = dl_detach(c->results[i]);
        DL_TRY(c->results[i] ? DL_OK : dl_last_status());
    }
    dl_tensor **all = dl_alloc_array(context, (size_t)DL_MAX(count, 1), sizeof *all);
    if (!all)
        return dl_last_status();
    memcpy(all, in, (size_t)c->inputs * sizeof *all);
    memcpy(all + c->inputs, c->leaves, (size_t)c->leaf_count * sizeof *all);
    dl_status status = dl_apply(context, &nodes_of[c->outputs - 1], all, count, &options, out);
    dl_free(all);
    return status;
}

static dl_status run_checkpoint(checkpoint *c, dl_tensor *const *in, int inputs, dl_tensor **out) {
    dl_context *context = c->object.context;
    size_t scope = dl_scope_begin(context);
    dl_status status = make_aliases(c, in, inputs);
    if (status == DL_OK)
        status = run_first(c);
    if (status == DL_OK)
        status = find_leaves(c);
    if (status == DL_OK)
        status = make_node(c, in, out);
    for (int i = 0; status == DL_OK && i < c->outputs; i++)
        dl_retain(out[i]);
    memset(c->results, 0, sizeof c->results);
    dl_scope_end(context, scope, NULL);
    return status;
}

dl_status dl_checkpoint(dl_context *context, dl_checkpoint_function function, void *user,
                        void (*free_user)(void *user), dl_tensor *const *in, int inputs, dl_tensor **out,
                        int *outputs) {
    dl_object *object = NULL;
    dl_status status = dl_object_create(context, &checkpoint_family, &checkpoint_definition, NULL, &object);
    if (status != DL_OK) {
        if (free_user)
            free_user(user);
        return status;
    }
    checkpoint *c = (checkpoint *)object;
    c->function = function;
    c->function_user = user;
    c->free_function_user = free_user;
    status = run_checkpoint(c, in, inputs, out);
    *outputs = c->outputs;
    dl_object_release(object);
    for (int i = 0; status == DL_OK && i < *outputs; i++) {
        out[i] = dl_scope_add(context, out[i]);
        if (!out[i])
            status = dl_last_status();
    }
    return status;
}
