/* nn/sequential.c: Sequential, a chain of layers. It is built when the shape of its input is known: from an InputLayer
 * or input_shape at its beginning as the layers are added, else at the first call.
 *
 * Always true: the children are options->layers without an InputLayer at the beginning; once built, the graph has one
 * node for each child. */
#include <string.h>

#include "nn/nn.h"

static dl_layer *layer_at(const dl_sequential_options *options, int i) {
    return (dl_layer *)options->layers.at[i];
}

static bool is_input(const dl_layer *layer) {
    return layer->object.definition == &dl_layer_input.definition;
}

/* ---- shapes that are known in advance ---------------------------------------------------------------------------- */

static bool takes_text(const dl_layer *layer) {
    return dl_layer_definition(layer)->flags & DL_LAYER_TAKES_TEXT;
}

/* The spec of the first layer's input; texts are bytes, and as wide as each batch needs. */
static dl_spec spec_of_sample(const dl_ints *shape, const dl_layer *first) {
    bool ids = dl_layer_definition(first)->flags & DL_LAYER_TAKES_IDS;
    dl_spec spec = {.dtype = takes_text(first) ? DL_UINT8 : ids ? DL_INT64 : first->dtype, .dims = shape->count + 1};
    spec.shape[0] = DL_NONE;
    memcpy(spec.shape + 1, shape->at, (size_t)shape->count * sizeof *spec.shape);
    if (takes_text(first))
        spec.shape[spec.dims - 1] = DL_NONE;
    return spec;
}

/* What the first layer says of the input: itself an InputLayer, or with an input_shape, or a model that is built. */
static bool declared_input(const dl_layer *model, dl_spec *spec) {
    const dl_sequential_options *options = DL_OPTIONS(model, dl_sequential_options);
    if (options->layers.count == 0)
        return false;
    dl_layer *first = layer_at(options, 0);
    const dl_layer_options *common = is_input(first) || dl_layer_common(first)->input_shape.count == 0
                                         ? dl_layer_common(model)
                                         : dl_layer_common(first);
    int outputs;
    if (is_input(first))
        return dl_layer_infer(first, &(dl_inputs){0}, spec, &outputs) == DL_OK;
    if (common->input_shape.count > 0) {
        *spec = spec_of_sample(&common->input_shape, first);
        return true;
    }
    bool is_model = first->object.definition == &dl_layer_sequential.definition ||
                    first->object.definition == &dl_layer_functional.definition;
    const dl_spec *inner = is_model ? dl_model_input_spec(first, 0) : NULL;
    if (inner)
        *spec = *inner;
    return inner != NULL;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* Appends the layer to the graph and makes its first output what the model gives. */
static dl_status extend(dl_graph *graph, dl_layer *layer, int *last) {
    int value;
    DL_TRY(dl_graph_call(graph, layer, last, 1, NULL, &value));
    if (graph->nodes[graph->node_count - 1].outputs != 1)
        return dl_fail(DL_SHAPE, "Sequential: layer '%s' has %d outputs, and a chain takes layers of one", layer->name,
                       graph->nodes[graph->node_count - 1].outputs);
    *last = value;
    return DL_OK;
}

static dl_status make_graph(dl_layer *model, const dl_spec *spec) {
    dl_graph *graph;
    int input;
    DL_TRY(dl_graph_create(model->object.context, &graph));
    dl_status status = dl_graph_input(graph, NULL, spec, &input);
    int last = input;
    for (int i = 0; status == DL_OK && i < model->child_count; i++)
        status = extend(graph, model->children[i], &last);
    if (status == DL_OK)
        status = dl_graph_finish(graph, &input, 1, &last, 1);
    if (status != DL_OK) {
        dl_graph_free(graph);
        return status;
    }
    dl_graph_free(model->state);
    model->state = graph;
    return DL_OK;
}

/* Remembers the shape of a sample, so that the model's config makes it anew without data. */
static void remember_input(dl_layer *model, const dl_spec *spec) {
    dl_sequential_options *options = model->object.options;
    dl_spec declared;
    if (spec->dims < 2 || declared_input(model, &declared))
        return;
    options->layer.input_shape.count = spec->dims - 1;
    memcpy(options->layer.input_shape.at, spec->shape + 1, (size_t)(spec->dims - 1) * sizeof *spec->shape);
}

static dl_status build(dl_layer *model, const dl_inputs *inputs) {
    if (model->child_count == 0)
        return dl_fail(DL_STATE, "Sequential: there are no layers yet; add some");
    dl_spec spec;
    if (!declared_input(model, &spec)) {
        spec = inputs->specs[0];
        spec.shape[0] = DL_NONE;
        if (takes_text(layer_at(DL_OPTIONS(model, dl_sequential_options), 0)))
            spec.shape[spec.dims - 1] = DL_NONE;
    }
    DL_TRY(make_graph(model, &spec));
    remember_input(model, &spec);
    return DL_OK;
}

/* Builds the model as far as its layers go if its input is declared. */
static dl_status build_if_declared(dl_layer *model) {
    dl_spec spec;
    if (model->child_count == 0 || !declared_input(model, &spec))
        return DL_OK;
    DL_TRY(make_graph(model, &spec));
    model->input = spec;
    model->built = true;
    return DL_OK;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

static dl_status check_new_layer(const dl_layer *model, const dl_layer *layer, bool first) {
    if (layer == model)
        return dl_fail(DL_INVALID, "Sequential '%s' cannot hold itself", model->name);
    if (is_input(layer) && !first)
        return dl_fail(DL_INVALID, "Sequential: the InputLayer '%s' must be the first layer", layer->name);
    for (int i = 0; i < model->child_count; i++) {
        if (model->children[i] == layer)
            return dl_fail(DL_INVALID, "Sequential: layer '%s' is in it already", layer->name);
        if (strcmp(model->children[i]->name, layer->name) == 0)
            return dl_fail(DL_INVALID, "Sequential: there is a layer named '%s' already; give the new one another name",
                           layer->name);
    }
    return DL_OK;
}

static dl_status adopt(dl_layer *model, dl_layer *layer, bool first) {
    DL_TRY(check_new_layer(model, layer, first));
    return is_input(layer) ? DL_OK : dl_layer_add_child(model, layer);
}

static dl_status init(dl_layer *model) {
    const dl_sequential_options *options = DL_OPTIONS(model, dl_sequential_options);
    for (int i = 0; i < options->layers.count; i++)
        DL_TRY(adopt(model, layer_at(options, i), i == 0));
    return build_if_declared(model);
}

static void drop_last_child(dl_layer *model) {
    dl_object_release(&model->children[--model->child_count]->object);
}

dl_status dl_model_add(dl_model *model, dl_layer *layer) {
    if (model->object.definition != &dl_layer_sequential.definition)
        return dl_fail(DL_INVALID, "layers are added to a Sequential, and '%s' is a %s", model->name,
                       dl_layer_class(model));
    dl_sequential_options *options = model->object.options;
    size_t bytes = (size_t)(options->layers.count + 1) * sizeof *options->layers.at;
    dl_object **layers = dl_realloc(model->object.context, options->layers.at, bytes);
    if (!layers)
        return dl_last_status();
    options->layers.at = layers;
    DL_TRY(adopt(model, layer, options->layers.count == 0));
    dl_object_retain(&layer->object);
    layers[options->layers.count++] = &layer->object;
    dl_status status = model->built ? make_graph(model, &model->input) : build_if_declared(model);
    if (status == DL_OK)
        return DL_OK;
    status = dl_layer_fail_path(model);
    if (!is_input(layer))
        drop_last_child(model);
    dl_object_release(layers[--options->layers.count]);
    return status;
}

/* ---- the layer --------------------------------------------------------------------------------------------------- */

static const dl_field fields[] = {
    DL_OBJECTS(dl_sequential_options, layers, &dl_layer_family, DL_NONE_OK, "the chain, first to last"),
    DL_LAYER_FIELDS(dl_sequential_options)};

const dl_layer_def dl_layer_sequential = {
    .definition = {.name = "Sequential", .version = 1, .help = "A chain of layers as a model.",
                   .shapes = "what the first layer takes -> what the last gives", .fields = fields,
                   .options_size = sizeof(dl_sequential_options)},
    .minimum_inputs = 1, .maximum_inputs = 1,
    .init = init, .build = build, .infer = dl_graph_infer, .call = dl_graph_run, .finalize = dl_graph_finalize,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_STEPWISE};

dl_status dl_model_sequential(dl_context *context, const char *name, dl_layer *const *layers, int count,
                              dl_model **out) {
    dl_layer *model;
    dl_sequential_options options;
    dl_options_init(&dl_layer_sequential.definition, &options, sizeof options);
    options.layer.name = (char *)name;                       /* copied */
    options.layers = (dl_objects){count, (dl_object **)layers}; /* a dl_layer begins with its object; copied */
    DL_TRY(dl_layer_create(context, "Sequential", &options, &model));
    *out = model;
    return DL_OK;
}
