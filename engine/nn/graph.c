/* nn/graph.c: graphs of layer calls, as Sequential and Functional hold them, and how one is run.
 *
 *      values:  v0 --node 0 (Conv2D)--> v1 --node 1 (MaxPooling2D)--> v2 ...
 *
 * Always true: nodes are in order of computation; a value is released as soon as its last user has taken it; outside a
 * run no value holds a tensor. */
#include <stdio.h>
#include <string.h>

#include "nn/nn.h"

/* ---- making ------------------------------------------------------------------------------------------------------ */

dl_status dl_graph_create(dl_context *context, dl_graph **out) {
    *out = dl_alloc_zeroed(context, sizeof **out);
    if (!*out)
        return dl_last_status();
    (*out)->context = context;
    return DL_OK;
}

void dl_graph_free(dl_graph *graph) {
    if (!graph)
        return;
    for (int i = 0; i < graph->node_count; i++) {
        dl_free(graph->nodes[i].in);
        dl_free(graph->nodes[i].arguments);
    }
    dl_free(graph->nodes);
    dl_free(graph->values);
    dl_free(graph->inputs);
    dl_free(graph->outputs);
    dl_free(graph->in);
    dl_free(graph->masks);
    dl_free(graph->in_specs);
    dl_free(graph->specs);
    dl_free(graph);
}

void dl_graph_finalize(dl_layer *model) {
    dl_graph_free(model->state);
    model->state = NULL;
}

static dl_status add_value(dl_graph *graph, int node, const dl_spec *spec) {
    DL_TRY(dl_grow(graph->context, &graph->values, graph->value_count, &graph->value_capacity,
                   sizeof *graph->values));
    graph->values[graph->value_count++] = (dl_graph_value){.spec = *spec, .node = node};
    return DL_OK;
}

static dl_status add_node(dl_graph *graph, dl_layer *layer, const int *in, int inputs, const dl_spec *out,
                          int outputs) {
    DL_TRY(dl_grow(graph->context, &graph->nodes, graph->node_count, &graph->node_capacity, sizeof *graph->nodes));
    dl_graph_node node = {.layer = layer, .inputs = inputs, .outputs = outputs, .out = graph->value_count};
    if (inputs > 0) {
        node.in = dl_alloc_array(graph->context, (size_t)inputs, sizeof *node.in);
        if (!node.in)
            return dl_last_status();
        memcpy(node.in, in, (size_t)inputs * sizeof *in);
    }
    for (int i = 0; i < outputs; i++) {
        dl_status status = add_value(graph, graph->node_count, &out[i]);
        if (status != DL_OK) {
            graph->value_count = node.out;
            dl_free(node.in);
            return status;
        }
    }
    graph->nodes[graph->node_count++] = node;
    return DL_OK;
}

dl_status dl_graph_input(dl_graph *graph, dl_layer *layer, const dl_spec *spec, int *value) {
    *value = graph->value_count;
    return add_node(graph, layer, NULL, 0, spec, 1);
}

/* Makes room for the inputs of any node. */
static dl_status reserve_inputs(dl_graph *graph, int inputs) {
    if (inputs <= graph->most_inputs)
        return DL_OK;
    size_t count = (size_t)inputs;
    void *in = dl_realloc(graph->context, graph->in, count * sizeof *graph->in);
    if (!in)
        return dl_last_status();
    graph->in = in;
    void *masks = dl_realloc(graph->context, graph->masks, count * sizeof *graph->masks);
    if (!masks)
        return dl_last_status();
    graph->masks = masks;
    void *specs = dl_realloc(graph->context, graph->in_specs, count * sizeof *graph->in_specs);
    if (!specs)
        return dl_last_status();
    graph->in_specs = specs;
    graph->most_inputs = inputs;
    return DL_OK;
}

dl_status dl_graph_call(dl_graph *graph, dl_layer *layer, const int *in, int inputs, const dl_arguments *arguments,
                        int *first) {
    dl_spec out[DL_MAX_LAYER_OUTPUTS];
    int outputs = 0;
    DL_TRY(reserve_inputs(graph, inputs));
    for (int i = 0; i < inputs; i++)
        graph->in_specs[i] = graph->values[in[i]].spec;
    DL_TRY(dl_layer_infer(layer, &(dl_inputs){graph->in_specs, inputs, arguments}, out, &outputs));
    *first = graph->value_count;
    DL_TRY(add_node(graph, layer, in, inputs, out, outputs));
    return dl_arguments_copy(layer, arguments, inputs, &graph->nodes[graph->node_count - 1].arguments);
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

static void count_users(dl_graph *graph) {
    for (int v = 0; v < graph->value_count; v++)
        graph->values[v].users = 0;
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].inputs; i++)
            graph->values[graph->nodes[n].in[i]].users++;
    for (int i = 0; i < graph->output_count; i++)
        graph->values[graph->outputs[i]].users++;
}

/* Lets a node run together with the one before it where a fusion takes both and nobody else uses what lies between. */
static void plan_fusions(dl_graph *graph) {
    for (int n = 0; n < graph->node_count; n++) {
        graph->nodes[n].fusion = NULL;
        graph->nodes[n].skipped = false;
    }
    for (int n = 0; n < graph->node_count; n++) {
        dl_graph_node *second = &graph->nodes[n];
        if (second->inputs != 1 || graph->values[second->in[0]].users != 1)
            continue;
        int place = graph->values[second->in[0]].node;
        dl_graph_node *first = &graph->nodes[place];
        if (!first->layer || first->inputs != 1 || first->outputs != 1 || first->skipped || first->fusion)
            continue;
        second->fusion = dl_find_fusion(first->layer, second->layer, &graph->values[first->in[0]].spec);
        second->first = place;
        first->skipped = second->fusion != NULL;
    }
}

static dl_status copy_places(dl_context *context, const int *from, int count, int **to) {
    int *copy = dl_alloc_array(context, (size_t)count, sizeof *copy);
    if (!copy)
        return dl_last_status();
    memcpy(copy, from, (size_t)count * sizeof *copy);
    dl_free(*to);
    *to = copy;
    return DL_OK;
}

dl_status dl_graph_finish(dl_graph *graph, const int *inputs, int input_count, const int *outputs, int output_count) {
    void *specs = dl_realloc(graph->context, graph->specs, (size_t)graph->value_count * sizeof *graph->specs);
    if (!specs)
        return dl_last_status();
    graph->specs = specs;
    DL_TRY(copy_places(graph->context, inputs, input_count, &graph->inputs));
    graph->input_count = input_count;
    DL_TRY(copy_places(graph->context, outputs, output_count, &graph->outputs));
    graph->output_count = output_count;
    count_users(graph);
    plan_fusions(graph);
    return DL_OK;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static bool is_whole(dl_dtype dtype) {
    return dtype == DL_INT32 || dtype == DL_INT64 || dtype == DL_UINT8;
}

/* From dimension `first` on. */
static bool sizes_fit(const dl_spec *want, const dl_spec *got, int first) {
    for (int i = first; i < want->dims; i++)
        if (want->shape[i] != DL_NONE && want->shape[i] != got->shape[i])
            return false;
    return true;
}

/* The data must have the dtype and rank that the input was declared with; whole numbers may be of any width. The sizes
 * are binding too where a graph was made of inputs. A chain was made for the data that it saw first, and its layers say
 * whether they take others, as in Keras: sequences of another length, images of another size. But features stay: the
 * last size of what are no ids. */
static dl_status check_input(const dl_graph *graph, int k, const dl_spec *got, bool is_chain) {
    const dl_spec *want = &graph->values[graph->inputs[k]].spec;
    int first = is_chain ? want->dims - !is_whole(want->dtype) : 0;
    if (want->dims != got->dims || !sizes_fit(want, got, first))
        return dl_fail(DL_SHAPE, "input %d was made for %s, got %s", k + 1, dl_spec_text_of(want).at,
                       dl_spec_text_of(got).at);
    if (want->dtype != got->dtype && !(is_whole(want->dtype) && is_whole(got->dtype)))
        return dl_fail(DL_DTYPE, "input %d is %s, got %s %s; convert it first (x:to(\"%s\"))", k + 1,
                       dl_dtype_name(want->dtype), dl_dtype_name(got->dtype), dl_spec_text_of(got).at,
                       dl_dtype_name(want->dtype));
    return DL_OK;
}

/* graph->specs of all values from those of the inputs. */
static dl_status infer_nodes(dl_graph *graph) {
    for (int n = 0; n < graph->node_count; n++) {
        dl_graph_node *node = &graph->nodes[n];
        int made;
        if (node->inputs == 0)
            continue;
        for (int i = 0; i < node->inputs; i++)
            graph->in_specs[i] = graph->specs[node->in[i]];
        dl_inputs given = {graph->in_specs, node->inputs, node->arguments};
        dl_spec specs[DL_MAX_LAYER_OUTPUTS];
        DL_TRY(dl_layer_infer(node->layer, &given, specs, &made));
        if (made != node->outputs)
            return dl_fail(DL_STATE, "layer '%s' gave %d outputs when the model was made and %d now",
                           node->layer->name, node->outputs, made);
        memcpy(graph->specs + node->out, specs, (size_t)made * sizeof *specs);
    }
    return DL_OK;
}

/* Where a layer of a chain has failed: says first that the input has other sizes than the chain was made for, if so. */
static dl_status add_sizes(const dl_graph *graph, const dl_spec *got) {
    const dl_spec *want = &graph->values[graph->inputs[0]].spec;
    char reason[1024];
    if (sizes_fit(want, got, 0))
        return DL_SHAPE;
    snprintf(reason, sizeof reason, "%s", dl_last_error());
    return dl_fail(DL_SHAPE, "input 1 was made for %s, got %s; %s", dl_spec_text_of(want).at, dl_spec_text_of(got).at,
                   reason);
}

dl_status dl_graph_infer(const dl_layer *model, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    dl_graph *graph = model->state;
    bool is_chain = model->object.definition == &dl_layer_sequential.definition;
    if (inputs->count != graph->input_count)
        return dl_fail(DL_INVALID, "the model takes %d input%s, got %d", graph->input_count,
                       graph->input_count == 1 ? "" : "s", inputs->count);
    for (int i = 0; i < inputs->count; i++) {
        DL_TRY(check_input(graph, i, &inputs->specs[i], is_chain));
        graph->specs[graph->inputs[i]] = inputs->specs[i];
    }
    dl_status status = infer_nodes(graph);
    if (status == DL_SHAPE && is_chain)
        return add_sizes(graph, &inputs->specs[0]);
    DL_TRY(status);
    for (int i = 0; i < graph->output_count; i++)
        out[i] = graph->specs[graph->outputs[i]];
    *outputs = graph->output_count;
    return DL_OK;
}

/* ---- what stays the same from step to step ----------------------------------------------------------------------- */

dl_graph *dl_graph_of(const dl_layer *model) {
    const dl_definition *definition = model->object.definition;
    bool has = definition == &dl_layer_sequential.definition || definition == &dl_layer_functional.definition;
    return has ? model->state : NULL;
}

bool dl_graph_node_is_fixed(const dl_graph *graph, const dl_graph_node *node) {
    for (int i = 0; i < node->inputs; i++)
        if (!graph->values[node->in[i]].fixed)
            return false;
    return node->inputs > 0;
}

void dl_graph_mark_fixed(dl_graph *graph) {
    for (int v = 0; v < graph->value_count; v++)
        graph->values[v].crosses = false;
    for (int n = 0; n < graph->node_count; n++) {
        const dl_graph_node *node = &graph->nodes[n];
        if (node->inputs == 0)
            continue;
        bool fixed = dl_graph_node_is_fixed(graph, node);
        for (int i = 0; i < node->outputs; i++)
            graph->values[node->out + i].fixed = fixed;
        for (int i = 0; i < node->inputs; i++)
            graph->values[node->in[i]].crosses |= !fixed;
    }
    for (int i = 0; i < graph->output_count; i++)
        graph->values[graph->outputs[i]].crosses = true;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void drop_value(dl_graph_value *value) {
    dl_release(value->tensor);
    dl_release(value->mask);
    value->tensor = NULL;
    value->mask = NULL;
}

static void begin_values(dl_graph *graph, const dl_layer_call *call) {
    for (int v = 0; v < graph->value_count; v++)
        graph->values[v].left = graph->values[v].users;
    for (int i = 0; i < graph->input_count; i++) {
        dl_graph_value *value = &graph->values[graph->inputs[i]];
        value->tensor = call->in[i];
        dl_retain(value->tensor);
        value->mask = call->masks ? call->masks[i] : NULL;
        if (value->mask)
            dl_retain(value->mask);
        value->fixed = call->decoding && dl_decoding_holds(call->decoding, call->in[i]);
    }
    if (call->decoding)
        dl_graph_mark_fixed(graph);
}

/* Puts what a call of a node gave into its values; what nobody uses goes at once. */
static void keep_outputs(dl_graph *graph, const dl_graph_node *node, dl_layer_call *call) {
    for (int i = 0; i < call->outputs; i++) {
        dl_graph_value *value = &graph->values[node->out + i];
        value->tensor = call->out[i];
        value->mask = call->out_masks[i];
        if (value->left == 0)
            drop_value(value);
    }
}

static dl_status run_layers(dl_graph *graph, const dl_graph_node *node, dl_layer_call *call) {
    if (!node->fusion)
        return dl_layer_run(node->layer, call);
    dl_layer *first = graph->nodes[node->first].layer;
    size_t scope = dl_scope_begin(call->context);
    return dl_call_finish(first, call, scope, node->fusion->call(first, node->layer, call));
}

static dl_status run_node(dl_graph *graph, const dl_graph_node *node, const dl_layer_call *outer) {
    const dl_graph_node *source = node->fusion ? &graph->nodes[node->first] : node;
    dl_layer_call call = {.context = graph->context, .training = outer->training, .in = graph->in,
                          .inputs = source->inputs, .arguments = source->arguments, .masks = graph->masks,
                          .deferred = outer->deferred, .decoding = outer->decoding};
    for (int i = 0; i < source->inputs; i++) {
        graph->in[i] = graph->values[source->in[i]].tensor;
        graph->masks[i] = graph->values[source->in[i]].mask;
    }
    DL_TRY(run_layers(graph, node, &call));
    if (call.outputs != node->outputs) {
        int made = call.outputs;
        dl_call_release(&call);
        return dl_fail(DL_STATE, "%s: a call gave %d outputs, and %d are known from its shapes", node->layer->name,
                       made, node->outputs);
    }
    keep_outputs(graph, node, &call);
    for (int i = 0; i < source->inputs; i++) {
        dl_graph_value *value = &graph->values[source->in[i]];
        if (--value->left == 0)
            drop_value(value);
    }
    return DL_OK;
}

/* A node of a model that is asked step by step whose outputs stay the same: it runs in the first step, as a whole; in
 * later ones those of its outputs that the other nodes need are there. */
static dl_status run_fixed_node(dl_graph *graph, const dl_graph_node *node, const dl_layer_call *call) {
    bool first = dl_decoding_position(call->decoding) == 0;
    if (first) {
        dl_layer_call whole = *call;
        whole.decoding = NULL;
        DL_TRY(run_node(graph, node, &whole));
    }
    for (int v = node->out; v < node->out + node->outputs; v++) {
        dl_graph_value *value = &graph->values[v];
        if (!value->crosses)
            continue;
        if (first) {
            DL_TRY(dl_decoding_fix(call, v, value->tensor, value->mask));
            continue;
        }
        value->tensor = dl_decoding_fixed(call, v, &value->mask);
        dl_retain(value->tensor);
        if (value->mask)
            dl_retain(value->mask);
    }
    return DL_OK;
}

/* The fusions hide the value between two layers, which anomaly detection wants to see. */
static dl_status run_nodes(dl_graph *graph, dl_layer_call *call) {
    bool apart = call->deferred && call->deferred->anomaly;
    for (int n = 0; n < graph->node_count; n++) {
        dl_graph_node node = graph->nodes[n];
        if (node.inputs == 0 || (node.skipped && !apart))
            continue;
        if (apart)
            node.fusion = NULL;
        if (call->decoding && dl_graph_node_is_fixed(graph, &node))
            DL_TRY(run_fixed_node(graph, &node, call));
        else
            DL_TRY(run_node(graph, &node, call));
    }
    return DL_OK;
}

dl_status dl_graph_run(dl_layer *model, dl_layer_call *call) {
    dl_graph *graph = model->state;
    if (graph->running)
        return dl_fail(DL_STATE, "%s is running; a layer cannot call the model that it is called by", model->name);
    graph->running = true;
    begin_values(graph, call);
    dl_status status = run_nodes(graph, call);
    graph->running = false;
    for (int i = 0; status == DL_OK && i < graph->output_count; i++) {
        dl_graph_value *value = &graph->values[graph->outputs[i]];
        dl_retain(value->tensor);
        call->out[i] = dl_scope_add(call->context, value->tensor);
        if (!call->out[i])
            status = dl_last_status();
        if (status == DL_OK && value->mask) {
            dl_retain(value->mask);
            call->out_masks[i] = dl_scope_add(call->context, value->mask);
            status = call->out_masks[i] ? DL_OK : dl_last_status();
        }
    }
    call->outputs = graph->output_count;
    for (int v = 0; v < graph->value_count; v++)
        drop_value(&graph->values[v]);
    return status;
}

/* ---- symbols ----------------------------------------------------------------------------------------------------- */

static dl_status node_symbols(const dl_graph *graph, const dl_graph_node *node, dl_symbol **out) {
    int made;
    if (node->inputs == 0)
        return dl_input(graph->context, &graph->values[node->out].spec, node->layer ? node->layer->name : NULL,
                        &out[node->out]);
    dl_symbol **in = dl_alloc_array(graph->context, (size_t)node->inputs, sizeof *in);
    if (!in)
        return dl_last_status();
    for (int i = 0; i < node->inputs; i++)
        in[i] = out[node->in[i]];
    dl_status status = dl_layer_symbolic(node->layer, in, node->inputs, node->arguments, out + node->out, &made);
    dl_free(in);
    return status;
}

dl_status dl_graph_symbols(const dl_graph *graph, dl_symbol **out) {
    dl_status status = DL_OK;
    memset(out, 0, (size_t)graph->value_count * sizeof *out);
    for (int n = 0; status == DL_OK && n < graph->node_count; n++)
        status = node_symbols(graph, &graph->nodes[n], out);
    for (int v = 0; status != DL_OK && v < graph->value_count; v++) {
        dl_symbol_release(out[v]);
        out[v] = NULL;
    }
    return status;
}
