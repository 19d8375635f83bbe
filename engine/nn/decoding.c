/* nn/decoding.c: a model asked for one step of a sequence after the other, as generation asks a decoder. What a layer
 * needs of the steps before, keys and values of attention or the state of a recurrent layer, is kept from call to call:
 *
 *      decoding --> entry { layer, its n-th call in a step, kept[] } ...
 *
 * What depends on sources alone, which stay the same, is kept too: entries of a model with the number of the value in
 * its graph, and those of the sources themselves.
 *
 * Always true: entries and the position change when a whole step has succeeded. A layer may write into a kept tensor
 * only at places that belong to steps after the position. */
#include <string.h>

#include "nn/nn.h"

enum { NO_VALUE = -1, SOURCE = -1 };

typedef struct entry {
    const dl_layer *layer;
    int occurrence;                  /* of the layer's call in a step, from 0; SOURCE: `value` counts sources */
    int value;                       /* of the layer's graph, with its mask; NO_VALUE: what the layer keeps */
    dl_tensor *kept[DL_MAX_KEPT];    /* counted */
    dl_tensor *pending[DL_MAX_KEPT]; /* counted; of the step under way */
} entry;

struct dl_decoding {
    dl_context *context;
    dl_model *model; /* counted */
    int64_t batch, max_length, position;
    int64_t steps; /* of the call under way */
    int source_count;
    dl_tensor **in; /* [source_count + inputs of a step], for the call under way */
    int in_room;
    int entry_count;
    int64_t entry_capacity;
    entry *entries;
    int call_count;
    int64_t call_capacity;
    const dl_layer **calls; /* that were made in the step under way: to count occurrences */
};

/* ---- which models ------------------------------------------------------------------------------------------------ */

static dl_status fail_mixes(const dl_layer *layer, const char *path) {
    return dl_fail(DL_UNSUPPORTED, "%s%s mixes the steps of a sequence, so the model cannot be asked step by step",
                   path, *path ? "" : layer->name);
}

static dl_status check_layer(void *argument, dl_layer *layer, const char *path) {
    (void)argument;
    if ((dl_layer_definition(layer)->flags & DL_LAYER_STEPWISE) || dl_layer_definition(layer)->states) /* or a cell */
        return DL_OK;
    return fail_mixes(layer, path);
}

/* Whether a value that stays the same has steps of its own, as far as is known. */
static bool is_sequence(const dl_graph_value *value) {
    return value->spec.dims > 2 || (value->spec.dims == 2 && value->spec.shape[1] == DL_NONE);
}

/* Attention may have whole sequences as its inputs but the first. */
static dl_status check_fixed_inputs(const dl_graph *graph, const dl_graph_node *node) {
    const dl_layer *layer = node->layer;
    int flags = dl_layer_definition(layer)->flags;
    for (int i = 0; i < node->inputs; i++) {
        const dl_graph_value *value = &graph->values[node->in[i]];
        bool first = !(flags & DL_LAYER_ATTENDS) || dl_role_of(layer, node->arguments, i) == 0;
        if (first && value->fixed && is_sequence(value))
            return dl_fail(DL_UNSUPPORTED, "%s joins steps and a whole sequence that depends on sources alone, so the "
                                           "model cannot be asked step by step", layer->name);
        if (!first && !value->fixed && !(flags & DL_LAYER_STEPWISE))
            return fail_mixes(layer, "");
    }
    return DL_OK;
}

static dl_status check_model(dl_layer *model, dl_graph *graph);

static dl_status check_node(dl_graph *graph, const dl_graph_node *node) {
    dl_graph *inner = dl_graph_of(node->layer);
    if (inner) {
        for (int i = 0; i < inner->input_count; i++)
            inner->values[inner->inputs[i]].fixed = graph->values[node->in[i]].fixed;
        return check_model(node->layer, inner);
    }
    DL_TRY(check_fixed_inputs(graph, node));
    bool attends_only = (dl_layer_definition(node->layer)->flags & (DL_LAYER_ATTENDS | DL_LAYER_STEPWISE)) ==
                        DL_LAYER_ATTENDS;
    return attends_only ? DL_OK : dl_layer_walk(node->layer, check_layer, NULL);
}

/* A model in whose graph the inputs that stay the same are marked. */
static dl_status check_model(dl_layer *model, dl_graph *graph) {
    dl_graph_mark_fixed(graph);
    for (int n = 0; n < graph->node_count; n++) {
        const dl_graph_node *node = &graph->nodes[n];
        if (node->inputs > 0 && !dl_graph_node_is_fixed(graph, node) && check_node(graph, node) != DL_OK)
            return dl_layer_fail_path(model);
    }
    return DL_OK;
}

static dl_status check_stepwise(dl_model *model, int source_count) {
    dl_graph *graph = dl_graph_of(model);
    int inputs = graph ? graph->input_count : 1;
    if (source_count < 0 || source_count >= inputs)
        return dl_fail(DL_INVALID, "decoding: %s has %d input%s, so there can be 0 to %d sources, got %d", model->name,
                       inputs, inputs == 1 ? "" : "s", inputs - 1, source_count);
    if (!graph)
        return dl_layer_walk(model, check_layer, NULL);
    for (int i = 0; i < inputs; i++)
        graph->values[graph->inputs[i]].fixed = i < source_count;
    return check_model(model, graph);
}

bool dl_model_is_stepwise(dl_model *model, int source_count) {
    if (check_stepwise(model, source_count) == DL_OK)
        return true;
    dl_clear_error();
    return false;
}

static void drop(dl_tensor **tensors) {
    for (int k = 0; k < DL_MAX_KEPT; k++) {
        dl_release(tensors[k]);
        tensors[k] = NULL;
    }
}

void dl_decoding_free(dl_decoding *decoding) {
    if (!decoding)
        return;
    for (int i = 0; i < decoding->entry_count; i++) {
        drop(decoding->entries[i].kept);
        drop(decoding->entries[i].pending);
    }
    dl_free(decoding->entries);
    dl_free(decoding->calls);
    dl_free(decoding->in);
    dl_object_release(&decoding->model->object);
    dl_free(decoding);
}

int64_t dl_decoding_position(const dl_decoding *decoding) {
    return decoding->position;
}

int64_t dl_decoding_length(const dl_decoding *decoding) {
    return decoding->max_length;
}

/* ---- what layers keep -------------------------------------------------------------------------------------------- */

static int occurrences(const dl_decoding *decoding, const dl_layer *layer) {
    int count = 0;
    for (int i = 0; i < decoding->call_count; i++)
        count += decoding->calls[i] == layer;
    return count;
}

/* The place of an entry, or -1. */
static int find_entry(const dl_decoding *decoding, const dl_layer *layer, int occurrence, int value) {
    for (int i = 0; i < decoding->entry_count; i++) {
        const entry *e = &decoding->entries[i];
        if (e->layer == layer && e->occurrence == occurrence && e->value == value)
            return i;
    }
    return -1;
}

static dl_status make_entry(dl_decoding *decoding, const dl_layer *layer, int occurrence, int value, int *place) {
    *place = find_entry(decoding, layer, occurrence, value);
    if (*place >= 0)
        return DL_OK;
    DL_TRY(dl_grow(decoding->context, &decoding->entries, decoding->entry_count, &decoding->entry_capacity,
                   sizeof *decoding->entries));
    *place = decoding->entry_count++;
    decoding->entries[*place] = (entry){.layer = layer, .occurrence = occurrence, .value = value};
    return DL_OK;
}

dl_status dl_decoding_enter(dl_decoding *decoding, const dl_layer *layer, int *place) {
    int occurrence = occurrences(decoding, layer);
    DL_TRY(dl_grow(decoding->context, &decoding->calls, decoding->call_count, &decoding->call_capacity,
                   sizeof *decoding->calls));
    decoding->calls[decoding->call_count++] = layer;
    return make_entry(decoding, layer, occurrence, NO_VALUE, place);
}

dl_tensor *dl_call_kept(const dl_layer_call *call, int k) {
    return call->decoding->entries[call->decoding_place].kept[k];
}

static dl_status keep(dl_decoding *decoding, int place, int k, dl_tensor *tensor) {
    if (!tensor)
        return dl_last_status();
    dl_retain(tensor);
    dl_release(decoding->entries[place].pending[k]);
    decoding->entries[place].pending[k] = tensor;
    return DL_OK;
}

dl_status dl_call_keep(dl_layer_call *call, int k, dl_tensor *tensor) {
    return keep(call->decoding, call->decoding_place, k, tensor);
}

dl_status dl_decoding_fix(const dl_layer_call *call, int number, dl_tensor *value, dl_tensor *mask) {
    const entry *model = &call->decoding->entries[call->decoding_place];
    int place;
    DL_TRY(make_entry(call->decoding, model->layer, model->occurrence, number, &place));
    DL_TRY(keep(call->decoding, place, 0, value));
    return mask ? keep(call->decoding, place, 1, mask) : DL_OK;
}

dl_tensor *dl_decoding_fixed(const dl_layer_call *call, int number, dl_tensor **mask) {
    const entry *model = &call->decoding->entries[call->decoding_place];
    int place = find_entry(call->decoding, model->layer, model->occurrence, number);
    *mask = place < 0 ? NULL : call->decoding->entries[place].kept[1];
    return place < 0 ? NULL : call->decoding->entries[place].kept[0];
}

bool dl_decoding_holds(const dl_decoding *decoding, const dl_tensor *tensor) {
    for (int i = 0; i < decoding->entry_count; i++) {
        const entry *e = &decoding->entries[i];
        if (e->value != NO_VALUE && (e->kept[0] == tensor || e->pending[0] == tensor))
            return true;
    }
    return false;
}

static void drop_pending(dl_decoding *decoding) {
    for (int i = 0; i < decoding->entry_count; i++)
        drop(decoding->entries[i].pending);
}

static void keep_pending(dl_decoding *decoding) {
    for (int i = 0; i < decoding->entry_count; i++)
        for (int k = 0; k < DL_MAX_KEPT; k++) {
            entry *e = &decoding->entries[i];
            if (!e->pending[k])
                continue;
            dl_release(e->kept[k]);
            e->kept[k] = e->pending[k];
            e->pending[k] = NULL;
        }
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static dl_status keep_sources(dl_decoding *decoding, dl_tensor *const *sources) {
    for (int k = 0; k < decoding->source_count; k++) {
        int place;
        if (sources[k]->dims < 1 || sources[k]->shape[0] != decoding->batch)
            return dl_fail(DL_SHAPE, "%s: decoding of %lld sequences takes as many rows of each source, got %s",
                           decoding->model->name, (long long)decoding->batch, dl_tensor_text(sources[k]).at);
        DL_TRY(make_entry(decoding, decoding->model, SOURCE, k, &place));
        DL_TRY(keep(decoding, place, 0, sources[k]));
    }
    keep_pending(decoding);
    return DL_OK;
}

dl_status dl_decoding_create(dl_model *model, dl_tensor *const *sources, int source_count, int64_t batch,
                             int64_t max_length, dl_decoding **out) {
    dl_context *context = model->object.context;
    *out = NULL;
    if (batch < 1 || max_length < 1)
        return dl_fail(DL_INVALID, "decoding: batch and max_length must be at least 1, got %lld and %lld",
                       (long long)batch, (long long)max_length);
    DL_TRY(check_stepwise(model, source_count));
    dl_decoding *decoding = dl_alloc_zeroed(context, sizeof *decoding);
    if (!decoding)
        return dl_last_status();
    *decoding = (dl_decoding){.context = context, .model = model, .batch = batch, .max_length = max_length,
                              .source_count = source_count};
    dl_object_retain(&model->object);
    dl_status status = keep_sources(decoding, sources);
    if (status == DL_OK)
        *out = decoding;
    else
        dl_decoding_free(decoding);
    return status;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static dl_status check_step(dl_decoding *decoding, dl_tensor *const *x, int inputs) {
    const char *name = decoding->model->name;
    if (inputs < 1 || x[0]->dims < 2)
        return dl_fail(DL_SHAPE, "%s: decoding takes inputs of 2 or more dimensions (N, steps, ...)", name);
    if (x[0]->shape[0] != decoding->batch)
        return dl_fail(DL_SHAPE, "%s: decoding was begun for %lld sequences, got inputs %s", name,
                       (long long)decoding->batch, dl_tensor_text(x[0]).at);
    decoding->steps = x[0]->shape[1];
    if (decoding->steps < 1 || decoding->steps > decoding->max_length - decoding->position)
        return dl_fail(DL_SHAPE, "%s: decoding has room for %lld of %lld steps, got inputs %s", name,
                       (long long)(decoding->max_length - decoding->position), (long long)decoding->max_length,
                       dl_tensor_text(x[0]).at);
    return DL_OK;
}

typedef struct step {
    dl_decoding *decoding;
    dl_tensor *const *x;
    int inputs;
    dl_tensor **out;
    int *outputs;
} step;

static dl_status run_step(void *argument) {
    step *s = argument;
    dl_decoding *decoding = s->decoding;
    dl_status status = dl_layer_decode(decoding->model, s->x, s->inputs, decoding, s->out, s->outputs);
    if (status != DL_OK) {
        drop_pending(decoding);
        return status;
    }
    keep_pending(decoding);
    decoding->position += decoding->steps;
    return DL_OK;
}

/* The sources and the inputs of a step, in the model's order. */
static dl_status join_inputs(dl_decoding *decoding, dl_tensor *const *x, int inputs) {
    int sources = decoding->source_count;
    if (decoding->in_room < sources + inputs) {
        dl_tensor **in = dl_realloc(decoding->context, decoding->in, (size_t)(sources + inputs) * sizeof *in);
        if (!in)
            return dl_last_status();
        decoding->in = in;
        decoding->in_room = sources + inputs;
    }
    for (int k = 0; k < sources; k++)
        decoding->in[k] = decoding->entries[find_entry(decoding, decoding->model, SOURCE, k)].kept[0];
    memcpy(decoding->in + sources, x, (size_t)inputs * sizeof *x);
    return DL_OK;
}

dl_status dl_decoding_step(dl_decoding *decoding, dl_tensor *const *x, int inputs, dl_tensor **out, int *outputs) {
    DL_TRY(check_step(decoding, x, inputs));
    DL_TRY(join_inputs(decoding, x, inputs));
    step s = {decoding, decoding->in, decoding->source_count + inputs, out, outputs};
    decoding->call_count = 0;
    bool recording = dl_set_grad_enabled(decoding->context, false);
    dl_status status = dl_run_step(run_step, &s);
    dl_set_grad_enabled(decoding->context, recording);
    return status;
}

static dl_status select_rows(dl_decoding *decoding, dl_tensor *rows) {
    for (int i = 0; i < decoding->entry_count; i++)
        for (int k = 0; k < DL_MAX_KEPT; k++)
            if (decoding->entries[i].kept[k])
                DL_TRY(keep(decoding, i, k, dl_index_select(decoding->context,
                                                                        decoding->entries[i].kept[k], 0, rows)));
    return DL_OK;
}

static dl_status check_rows(const dl_decoding *decoding, dl_tensor *rows) {
    dl_dtype dtype = rows->dtype;
    if (rows->dims != 1 || rows->shape[0] == 0 || dl_dtype_is_float(dtype) || dtype == DL_BOOLEAN)
        return dl_fail(DL_SHAPE, "decoding: rows must be whole numbers {N}, got %s %s", dl_dtype_name(dtype),
                       dl_tensor_text(rows).at);
    dl_tensor *dense = dl_clone(decoding->context, dl_to(decoding->context, rows, DL_INT64));
    const int64_t *numbers = dense ? dl_tensor_data(dense) : NULL;
    if (!numbers)
        return dl_last_status();
    for (int64_t i = 0; i < rows->shape[0]; i++)
        if (numbers[i] < 1 || numbers[i] > decoding->batch)
            return dl_fail(DL_INVALID, "decoding: row %lld is %lld; allowed are 1 to %lld", (long long)(i + 1),
                           (long long)numbers[i], (long long)decoding->batch);
    return DL_OK;
}

dl_status dl_decoding_select(dl_decoding *decoding, dl_tensor *rows) {
    bool recording = dl_set_grad_enabled(decoding->context, false);
    size_t scope = dl_scope_begin(decoding->context);
    dl_status status = check_rows(decoding, rows);
    if (status == DL_OK)
        status = select_rows(decoding, rows);
    dl_scope_end(decoding->context, scope, NULL);
    dl_set_grad_enabled(decoding->context, recording);
    if (status != DL_OK) {
        drop_pending(decoding);
        return status;
    }
    keep_pending(decoding);
    decoding->batch = rows->shape[0];
    return DL_OK;
}
