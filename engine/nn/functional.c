/* nn/functional.c: Functional, a model made of a graph of layer calls: several inputs and outputs, shared layers, skip
 * connections. From symbols the graph is written into the options (layers, nodes, inputs, outputs); the model is made
 * from the options alone, so a saved one is made the same way.
 *
 * Always true: the children are options->layers; node k of options->nodes is node k of the graph. */
#include <string.h>

#include "nn/symbol.h"

/* ---- from the options to the graph ------------------------------------------------------------------------------- */

static dl_status fail_graph(const char *what) {
    return dl_fail(DL_FORMAT,
                   "Functional: %s; nodes are lists {layer, {{node, output}, ...}, arguments} counted from 0", what);
}

static bool is_list(const dl_value *value, int64_t count) {
    return value->kind == DL_VALUE_LIST && (count < 0 || value->as.list.count == count);
}

/* A whole number in 0 .. limit-1. */
static bool read_place(const dl_value *value, int64_t limit, int *out) {
    if (value->kind != DL_VALUE_INT || value->as.integer < 0 || value->as.integer >= limit)
        return false;
    *out = (int)value->as.integer;
    return true;
}

/* The value that {node, output} names. */
static dl_status read_value(const dl_graph *graph, const dl_value *pair, int *out) {
    int node;
    int output;
    if (!is_list(pair, 2) || !read_place(&pair->as.list.items[0], graph->node_count, &node) ||
        !read_place(&pair->as.list.items[1], graph->nodes[node].outputs, &output))
        return fail_graph("a place is not {node, output} of a node before");
    *out = graph->nodes[node].out + output;
    return DL_OK;
}

/* Reads a list of {node, output} into a new array. */
static dl_status read_values(const dl_graph *graph, const dl_value *list, int **places, int *count) {
    if (!is_list(list, -1) || list->as.list.count > INT32_MAX)
        return fail_graph("a list of places is missing");
    *count = (int)list->as.list.count;
    *places = dl_alloc_array(graph->context, (size_t)DL_MAX(*count, 1), sizeof **places);
    if (!*places)
        return dl_last_status();
    for (int i = 0; i < *count; i++) {
        dl_status status = read_value(graph, &list->as.list.items[i], &(*places)[i]);
        if (status != DL_OK) {
            dl_free(*places);
            return status;
        }
    }
    return DL_OK;
}

static dl_status add_input_node(dl_graph *graph, dl_layer *layer) {
    dl_spec spec;
    int outputs;
    int value;
    if (layer->object.definition != &dl_layer_input.definition)
        return fail_graph("a node without inputs must be an InputLayer's");
    DL_TRY(dl_layer_infer(layer, &(dl_inputs){0}, &spec, &outputs));
    return dl_graph_input(graph, layer, &spec, &value);
}

static dl_status add_node(dl_layer *model, dl_graph *graph, const dl_value *node) {
    int place;
    int *in;
    int inputs;
    int first;
    if (!(is_list(node, 2) || is_list(node, 3)) || !read_place(&node->as.list.items[0], model->child_count, &place))
        return fail_graph("a node names no layer");
    dl_layer *layer = model->children[place];
    DL_TRY(read_values(graph, &node->as.list.items[1], &in, &inputs));
    dl_arguments *arguments = NULL;
    dl_status status = DL_OK;
    if (node->as.list.count == 3)
        status = dl_arguments_from_value(layer, &node->as.list.items[2], inputs, &arguments);
    if (status == DL_OK)
        status = inputs == 0 ? add_input_node(graph, layer)
                             : dl_graph_call(graph, layer, in, inputs, arguments, &first);
    dl_free(arguments);
    dl_free(in);
    return status;
}

static dl_status read_inputs(const dl_layer *model, dl_graph *graph, int **values, int *count) {
    const dl_value *list = &DL_OPTIONS(model, dl_functional_options)->inputs;
    if (!is_list(list, -1) || list->as.list.count == 0 || list->as.list.count > graph->node_count)
        return fail_graph("inputs must list the nodes of InputLayers");
    *count = (int)list->as.list.count;
    *values = dl_alloc_array(graph->context, (size_t)*count, sizeof **values);
    if (!*values)
        return dl_last_status();
    for (int i = 0; i < *count; i++) {
        int node;
        bool right = read_place(&list->as.list.items[i], graph->node_count, &node) && graph->nodes[node].inputs == 0;
        for (int j = 0; right && j < i; j++)
            right = (*values)[j] != graph->nodes[node].out;
        if (!right) {
            dl_free(*values);
            return fail_graph("inputs must list the nodes of InputLayers, each once");
        }
        (*values)[i] = graph->nodes[node].out;
    }
    return DL_OK;
}

/* Every input of the graph must be one of the model's, or it would have no data. */
static dl_status check_connected(const dl_graph *graph, const int *inputs, int count) {
    for (int n = 0; n < graph->node_count; n++) {
        bool found = graph->nodes[n].inputs > 0;
        for (int i = 0; !found && i < count; i++)
            found = inputs[i] == graph->nodes[n].out;
        if (!found)
            return dl_fail(DL_INVALID, "the outputs need the input '%s', which is not among the model's inputs",
                           graph->nodes[n].layer->name);
    }
    return DL_OK;
}

static dl_status finish_graph(dl_layer *model, dl_graph *graph) {
    int *inputs = NULL;
    int *outputs = NULL;
    int input_count = 0;
    int output_count = 0;
    DL_TRY(read_inputs(model, graph, &inputs, &input_count));
    dl_status status = check_connected(graph, inputs, input_count);
    if (status == DL_OK) {
        status = read_values(graph, &DL_OPTIONS(model, dl_functional_options)->outputs, &outputs, &output_count);
        if (status == DL_OK) {
            if (output_count == 0 || output_count > DL_MAX_LAYER_OUTPUTS)
                status = dl_fail(DL_INVALID, "a model has 1 to %d outputs, got %d", DL_MAX_LAYER_OUTPUTS, output_count);
            else
                status = dl_graph_finish(graph, inputs, input_count, outputs, output_count);
            dl_free(outputs);
        }
    }
    dl_free(inputs);
    return status;
}

static dl_status adopt_layers(dl_layer *model) {
    const dl_objects *layers = &DL_OPTIONS(model, dl_functional_options)->layers;
    for (int i = 0; i < layers->count; i++) {
        dl_layer *layer = (dl_layer *)layers->at[i];
        for (int j = 0; j < i; j++)
            if (strcmp(model->children[j]->name, layer->name) == 0)
                return dl_fail(DL_INVALID, "two layers of the model are named '%s'; give one another name",
                               layer->name);
        DL_TRY(dl_layer_add_child(model, layer));
    }
    return DL_OK;
}

static dl_status init(dl_layer *model) {
    const dl_value *nodes = &DL_OPTIONS(model, dl_functional_options)->nodes;
    dl_graph *graph;
    DL_TRY(adopt_layers(model));
    DL_TRY(dl_graph_create(model->object.context, &graph));
    model->state = graph;
    if (!is_list(nodes, -1))
        return fail_graph("nodes must be a list");
    for (int64_t i = 0; i < nodes->as.list.count; i++)
        DL_TRY(add_node(model, graph, &nodes->as.list.items[i]));
    DL_TRY(finish_graph(model, graph));
    model->input = graph->values[graph->inputs[0]].spec;
    model->built = true;
    return DL_OK;
}

/* ---- from symbols to the options --------------------------------------------------------------------------------- */

typedef struct visit {
    dl_symbol_call *call;
    int next; /* the input to look at */
} visit;

/* The graph as it is found. */
typedef struct trace {
    dl_context *context;
    int call_count;
    int64_t call_capacity;
    dl_symbol_call **calls; /* in order of computation; place is the index */
    int visit_count;
    int64_t visit_capacity;
    visit *visits; /* the way down to the call that is looked at */
    int layer_count;
    int64_t layer_capacity;
    dl_layer **layers;
    dl_value nodes, inputs, outputs;
} trace;

static dl_status place_call(trace *t, dl_symbol_call *call) {
    DL_TRY(dl_grow(t->context, &t->calls, t->call_count, &t->call_capacity, sizeof *t->calls));
    call->seen = true;
    call->place = t->call_count;
    t->calls[t->call_count++] = call;
    return DL_OK;
}

static dl_status go_down(trace *t, dl_symbol_call *call) {
    DL_TRY(dl_grow(t->context, &t->visits, t->visit_count, &t->visit_capacity, sizeof *t->visits));
    t->visits[t->visit_count++] = (visit){call, 0};
    return DL_OK;
}

/* Gives a place to the call and to all it needs, those first; without recursion. */
static dl_status trace_call(trace *t, dl_symbol_call *call) {
    if (call->seen)
        return DL_OK;
    DL_TRY(go_down(t, call));
    while (t->visit_count > 0) {
        visit *top = &t->visits[t->visit_count - 1];
        if (top->call->seen) {
            t->visit_count--;
        } else if (top->next == top->call->inputs) {
            DL_TRY(place_call(t, top->call));
        } else {
            dl_symbol_call *below = top->call->in[top->next++]->call;
            if (!below->seen)
                DL_TRY(go_down(t, below));
        }
    }
    return DL_OK;
}

static dl_status layer_place(trace *t, dl_layer *layer, int *place) {
    for (*place = 0; *place < t->layer_count; (*place)++)
        if (t->layers[*place] == layer)
            return DL_OK;
    DL_TRY(dl_grow(t->context, &t->layers, t->layer_count, &t->layer_capacity, sizeof *t->layers));
    t->layers[t->layer_count++] = layer;
    return DL_OK;
}

static dl_status append_int(trace *t, dl_value *list, int64_t number) {
    dl_value item = dl_value_int(number);
    return dl_value_append(t->context, list, &item);
}

/* Appends {node, output}. */
static dl_status append_symbol(trace *t, dl_value *list, const dl_symbol *symbol) {
    dl_value pair = dl_value_list();
    dl_status status = append_int(t, &pair, symbol->call->place);
    if (status == DL_OK)
        status = append_int(t, &pair, symbol->output);
    if (status == DL_OK)
        return dl_value_append(t->context, list, &pair);
    dl_value_clear(&pair);
    return status;
}

/* Appends what the call says beside its inputs, if it says something. */
static dl_status append_arguments(trace *t, dl_value *node, const dl_symbol_call *call) {
    dl_value map;
    if (!call->arguments)
        return DL_OK;
    DL_TRY(dl_arguments_to_value(call->layer, call->arguments, call->inputs, &map));
    return dl_value_append(t->context, node, &map);
}

static dl_status append_node(trace *t, const dl_symbol_call *call) {
    dl_value node = dl_value_list();
    dl_value in = dl_value_list();
    int place;
    dl_status status = layer_place(t, call->layer, &place);
    if (status == DL_OK)
        status = append_int(t, &node, place);
    for (int i = 0; status == DL_OK && i < call->inputs; i++)
        status = append_symbol(t, &in, call->in[i]);
    if (status == DL_OK)
        status = dl_value_append(t->context, &node, &in);
    if (status == DL_OK)
        status = append_arguments(t, &node, call);
    if (status == DL_OK)
        return dl_value_append(t->context, &t->nodes, &node);
    dl_value_clear(&in);
    dl_value_clear(&node);
    return status;
}

static dl_status trace_graph(trace *t, dl_symbol *const *inputs, int input_count, dl_symbol *const *outputs,
                             int output_count) {
    for (int i = 0; i < input_count; i++) {
        if (inputs[i]->call->inputs > 0)
            return dl_fail(DL_INVALID,
                           "input %d of the model is the output of layer '%s'; a model's inputs are made by Input",
                           i + 1, inputs[i]->call->layer->name);
        if (inputs[i]->call->seen)
            return dl_fail(DL_INVALID, "input %d of the model is listed twice", i + 1);
        DL_TRY(place_call(t, inputs[i]->call));
        DL_TRY(append_int(t, &t->inputs, i));
    }
    for (int i = 0; i < output_count; i++)
        DL_TRY(trace_call(t, outputs[i]->call));
    for (int i = 0; i < t->call_count; i++)
        DL_TRY(append_node(t, t->calls[i]));
    for (int i = 0; i < output_count; i++)
        DL_TRY(append_symbol(t, &t->outputs, outputs[i]));
    return DL_OK;
}

static void end_trace(trace *t) {
    for (int i = 0; i < t->call_count; i++)
        t->calls[i]->seen = false;
    dl_free(t->calls);
    dl_free(t->visits);
    dl_free(t->layers);
    dl_value_clear(&t->nodes);
    dl_value_clear(&t->inputs);
    dl_value_clear(&t->outputs);
}

dl_status dl_model_functional(dl_context *context, const char *name, dl_symbol *const *inputs, int input_count,
                              dl_symbol *const *outputs, int output_count, dl_model **out) {
    trace t = {.context = context, .nodes = dl_value_list(), .inputs = dl_value_list(), .outputs = dl_value_list()};
    dl_status status = trace_graph(&t, inputs, input_count, outputs, output_count);
    if (status == DL_OK) {
        dl_functional_options options;
        dl_options_init(&dl_layer_functional.definition, &options, sizeof options);
        options.layer.name = (char *)name; /* the options are copied */
        options.layers = (dl_objects){t.layer_count, (dl_object **)t.layers};
        options.nodes = t.nodes;
        options.inputs = t.inputs;
        options.outputs = t.outputs;
        status = dl_layer_create(context, "Functional", &options, out);
    }
    end_trace(&t);
    return status;
}

/* ---- the layer --------------------------------------------------------------------------------------------------- */

static const dl_field fields[] = {
    DL_OBJECTS(dl_functional_options, layers, &dl_layer_family, DL_REQUIRED, "the layers that are called"),
    DL_VALUE_FIELD(dl_functional_options, nodes, DL_REQUIRED,
                   "one entry a call, in order: {layer, {{node, output}, ...}, arguments} from 0"),
    DL_VALUE_FIELD(dl_functional_options, inputs, DL_REQUIRED, "the nodes of the InputLayers"),
    DL_VALUE_FIELD(dl_functional_options, outputs, DL_REQUIRED, "{node, output} of each output"),
    DL_LAYER_FIELDS(dl_functional_options)};

const dl_layer_def dl_layer_functional = {
    .definition = {.name = "Functional", .version = 1,
                   .help = "A model made of a graph of layer calls; made from symbolic inputs and outputs.",
                   .shapes = "as its inputs -> as its outputs", .fields = fields,
                   .options_size = sizeof(dl_functional_options)},
    .minimum_inputs = 1, .maximum_inputs = 0,
    .init = init, .infer = dl_graph_infer, .call = dl_graph_run, .finalize = dl_graph_finalize,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_STEPWISE};
