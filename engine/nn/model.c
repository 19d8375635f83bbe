/* nn/model.c: what can be asked of a model (of any layer): its layers, inputs and outputs, predictions, its config. */
#include <inttypes.h>
#include <string.h>

#include "nn/nn.h"

/* ---- parts ------------------------------------------------------------------------------------------------------- */

dl_layer *dl_model_layer(dl_model *model, int k) {
    return k >= 0 && k < model->child_count ? model->children[k] : NULL;
}

int dl_model_inputs(const dl_model *model) {
    const dl_graph *graph = dl_graph_of(model);
    if (graph)
        return graph->input_count;
    return model->built ? dl_layer_definition(model)->minimum_inputs : 0;
}

const dl_spec *dl_model_input_spec(const dl_model *model, int k) {
    const dl_graph *graph = dl_graph_of(model);
    if (k < 0 || k >= dl_model_inputs(model))
        return NULL;
    if (graph)
        return &graph->values[graph->inputs[k]].spec;
    return k == 0 ? &model->input : NULL;
}

int dl_model_outputs(const dl_model *model) {
    const dl_graph *graph = dl_graph_of(model);
    if (graph)
        return graph->output_count;
    return model->built ? 1 : 0;
}

const dl_spec *dl_model_output_spec(const dl_model *model, int k) {
    const dl_graph *graph = dl_graph_of(model);
    if (!graph || k < 0 || k >= graph->output_count)
        return NULL;
    return &graph->values[graph->outputs[k]].spec;
}

/* The name of the layer that makes a value; the model's own where the value is an input that is no layer. */
static const char *value_name(const dl_model *model, const dl_graph *graph, int value) {
    const dl_graph_node *node = &graph->nodes[graph->values[value].node];
    return node->layer ? node->layer->name : model->name;
}

const char *dl_model_input_name(const dl_model *model, int k) {
    const dl_graph *graph = dl_graph_of(model);
    if (k < 0 || k >= dl_model_inputs(model))
        return NULL;
    return graph ? value_name(model, graph, graph->inputs[k]) : model->name;
}

const char *dl_model_output_name(const dl_model *model, int k) {
    const dl_graph *graph = dl_graph_of(model);
    if (!graph)
        return model->name;
    if (k < 0 || k >= graph->output_count)
        return NULL;
    return value_name(model, graph, graph->outputs[k]);
}

/* The k-th node that stands for a layer; NULL past the last. */
static const dl_graph_node *layer_node(const dl_model *model, int k) {
    const dl_graph *graph = dl_graph_of(model);
    for (int n = 0; graph && n < graph->node_count; n++)
        if (graph->nodes[n].layer && k-- == 0)
            return &graph->nodes[n];
    return NULL;
}

bool dl_model_get_call(const dl_model *model, int k, dl_model_call *out) {
    const dl_graph_node *node = layer_node(model, k);
    if (!node)
        return false;
    *out = (dl_model_call){.layer = node->layer, .output = dl_graph_of(model)->values[node->out].spec};
    out->inputs = node->inputs;
    return true;
}

const dl_layer *dl_model_call_input(const dl_model *model, int k, int i) {
    const dl_graph_node *node = layer_node(model, k);
    const dl_graph *graph = dl_graph_of(model);
    return node && i < node->inputs ? graph->nodes[graph->values[node->in[i]].node].layer : NULL;
}

bool dl_layer_takes_text(const dl_layer *layer, int k) {
    if (layer->object.definition == &dl_layer_string_lookup.definition)
        return !DL_OPTIONS(layer, dl_string_lookup_options)->invert;
    if (dl_layer_definition(layer)->flags & DL_LAYER_TAKES_TEXT)
        return true;
    if (layer->object.definition == &dl_layer_sequential.definition && layer->child_count > 0)
        return dl_layer_takes_text(layer->children[0], 0);
    const dl_spec *spec = dl_graph_of(layer) ? dl_model_input_spec(layer, k) : NULL;
    return spec && spec->dtype == DL_UINT8;
}

/* ---- predictions ------------------------------------------------------------------------------------------------- */

typedef struct prediction {
    dl_model *model;
    dl_tensor *const *x;
    int inputs;
    int64_t rows, batch_size;
    dl_tensor **part; /* [inputs]: the rows of the running batch */
    dl_tensor *out[DL_MAX_LAYER_OUTPUTS];
    int outputs;
} prediction;

static dl_status check_rows(prediction *p) {
    if (p->batch_size < 1)
        return dl_fail(DL_INVALID, "batch_size must be a whole number of at least 1, got %lld",
                       (long long)p->batch_size);
    for (int i = 0; i < p->inputs; i++) {
        if (p->x[i]->dims == 0)
            return dl_fail(DL_SHAPE, "input %d has no dimension for the batch, got {}", i + 1);
        if (i > 0 && p->x[i]->shape[0] != p->rows)
            return dl_fail(DL_SHAPE, "all inputs must have the same number of samples, got %lld and %lld",
                           (long long)p->rows, (long long)p->x[i]->shape[0]);
        p->rows = p->x[i]->shape[0];
    }
    return DL_OK;
}

/* Makes the whole output k for all rows from the shape of a batch's. */
static dl_status make_output(prediction *p, int k, const dl_tensor *batch) {
    int64_t shape[DL_MAX_DIMS];
    if (batch->dims == 0)
        return dl_fail(DL_SHAPE, "output %d has no dimension for the batch", k + 1);
    memcpy(shape, batch->shape, (size_t)batch->dims * sizeof *shape);
    shape[0] = p->rows;
    p->out[k] = dl_tensor_new(batch->context, batch->dtype, batch->dims, shape);
    return p->out[k] ? DL_OK : dl_last_status();
}

/* The rows of all batches go into one tensor, so they must be alike: dl_tensor_copy would repeat sizes of 1. */
static dl_status check_output(const prediction *p, int k, int64_t start, int64_t rows, const dl_tensor *batch) {
    const dl_tensor *out = p->out[k];
    if (batch->shape[0] != rows)
        return dl_fail(DL_SHAPE, "output %d has %" PRId64 " rows for a batch of %" PRId64 "; prediction needs one "
                       "for each sample", k + 1, batch->shape[0], rows);
    if (dl_shape_equal(out->dims - 1, out->shape + 1, batch->dims - 1, batch->shape + 1))
        return DL_OK;
    dl_spec got = dl_spec_of_tensor(batch), before = dl_spec_of_tensor(out);
    got.shape[0] = before.shape[0] = DL_NONE;
    return dl_fail(DL_SHAPE, "output %d is %s for the batch that begins with sample %" PRId64 ", and %s for those "
                   "before; one tensor cannot hold both: predict all samples in one batch (batch_size = %" PRId64
                   "), or make their outputs of one size", k + 1, dl_spec_text_of(&got).at, start + 1,
                   dl_spec_text_of(&before).at, p->rows);
}

static dl_status keep_rows(prediction *p, int64_t start, int64_t rows, dl_tensor *const *batch, int outputs) {
    for (int k = 0; k < outputs; k++) {
        if (!p->out[k])
            DL_TRY(make_output(p, k, batch[k]));
        DL_TRY(check_output(p, k, start, rows, batch[k]));
        dl_tensor *place = dl_slice(batch[k]->context, p->out[k], 0, start, start + rows, 1);
        DL_TRY(place ? dl_tensor_copy(place, batch[k]) : dl_last_status());
    }
    p->outputs = outputs;
    return DL_OK;
}

static dl_status predict_batch(prediction *p, int64_t start) {
    dl_context *context = p->model->object.context;
    int64_t end = DL_MIN(start + p->batch_size, p->rows);
    dl_tensor *batch[DL_MAX_LAYER_OUTPUTS];
    int outputs;
    size_t scope = dl_scope_begin(context);
    dl_status status = DL_OK;
    for (int i = 0; status == DL_OK && i < p->inputs; i++) {
        p->part[i] = dl_slice(context, p->x[i], 0, start, end, 1);
        status = p->part[i] ? DL_OK : dl_last_status();
    }
    if (status == DL_OK)
        status = dl_layer_apply(p->model, p->part, p->inputs, NULL, batch, &outputs);
    if (status == DL_OK) {
        status = keep_rows(p, start, end - start, batch, outputs);
        for (int k = 0; k < outputs; k++)
            dl_release(batch[k]);
    }
    dl_scope_end(context, scope, NULL);
    return status;
}

/* An empty input still gives outputs of the right shape: one batch of no rows. */
static dl_status predict_all(void *argument) {
    prediction *p = argument;
    int64_t start = 0;
    do {
        DL_TRY(predict_batch(p, start));
        DL_TRY(dl_poll(p->model->object.context));
        start += p->batch_size;
    } while (start < p->rows);
    return DL_OK;
}

dl_status dl_model_predict(dl_model *model, dl_tensor *const *x, int inputs, int64_t batch_size, dl_tensor **out) {
    dl_context *context = model->object.context;
    prediction p = {.model = model, .x = x, .inputs = inputs, .batch_size = batch_size};
    DL_TRY(check_rows(&p));
    p.part = dl_alloc_array(context, (size_t)DL_MAX(inputs, 1), sizeof *p.part);
    if (!p.part)
        return dl_last_status();
    bool recording = dl_set_grad_enabled(context, false);
    dl_status status = dl_run_step(predict_all, &p);
    dl_set_grad_enabled(context, recording);
    dl_free(p.part);
    for (int k = 0; k < DL_MAX_LAYER_OUTPUTS; k++) {
        if (status == DL_OK && k < p.outputs)
            out[k] = p.out[k];
        else
            dl_release(p.out[k]);
    }
    return status;
}

/* ---- config ------------------------------------------------------------------------------------------------------ */

static dl_status check_savable(void *argument, dl_layer *layer, const char *path) {
    (void)argument;
    (void)path;
    if (dl_layer_definition(layer)->flags & DL_LAYER_SAVED_NOT)
        return dl_fail(DL_UNSUPPORTED, "layer '%s' (%s) cannot be saved", layer->name, dl_layer_class(layer));
    return DL_OK;
}

dl_status dl_model_to_config(const dl_model *model, dl_value *out) {
    DL_TRY(dl_layer_walk((dl_layer *)model, check_savable, NULL)); /* the walk writes its marks only */
    return dl_object_to_value(model->object.context, &model->object, out);
}

dl_status dl_model_from_config(dl_context *context, const dl_value *config, dl_model **out) {
    dl_object *object = NULL;
    DL_TRY(dl_object_from_value(context, &dl_layer_family, config, &object));
    *out = (dl_model *)object;
    return DL_OK;
}
