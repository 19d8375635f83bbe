/* nn/decoding.c: a model asked for one step of a sequence after the other, as generation asks a decoder. What a layer
 * needs of the steps before, keys and values of attention or the state of a recurrent layer, is kept from call to call:
 *
 *      decoding --> entry { layer, its n-th call in a step, kept[] } ...
 *
 * Always true: entries and the position change when a whole step has succeeded. A layer may write into a kept tensor
 * only at places that belong to steps after the position. */
#include <string.h>

#include "nn/nn.h"

typedef struct entry {
    const dl_layer *layer;
    int occurrence;                  /* of the layer's call in a step, from 0 */
    dl_tensor *kept[DL_MAX_KEPT];    /* counted */
    dl_tensor *pending[DL_MAX_KEPT]; /* counted; of the step under way */
} entry;

struct dl_decoding {
    dl_context *context;
    dl_model *model; /* counted */
    int64_t batch, max_length, position;
    int64_t steps; /* of the call under way */
    int entry_count, entry_capacity;
    entry *entries;
    int call_count, call_capacity;
    const dl_layer **calls; /* that were made in the step under way: to count occurrences */
};

/* ---- which models ------------------------------------------------------------------------------------------------ */

static dl_status check_layer(void *argument, dl_layer *layer, const char *path) {
    (void)argument;
    if ((dl_layer_definition(layer)->flags & DL_LAYER_STEPWISE) || dl_layer_definition(layer)->states) /* or a cell */
        return DL_OK;
    return dl_fail(DL_UNSUPPORTED, "%s%s mixes the steps of a sequence, so the model cannot be asked step by step",
                   path, *path ? "" : layer->name);
}

bool dl_model_is_stepwise(dl_model *model) {
    if (dl_layer_walk(model, check_layer, NULL) == DL_OK)
        return true;
    dl_clear_error();
    return false;
}

dl_status dl_decoding_create(dl_model *model, int64_t batch, int64_t max_length, dl_decoding **out) {
    dl_context *context = model->object.context;
    *out = NULL;
    if (batch < 1 || max_length < 1)
        return dl_fail(DL_INVALID, "decoding: batch and max_length must be at least 1, got %lld and %lld",
                       (long long)batch, (long long)max_length);
    DL_TRY(dl_layer_walk(model, check_layer, NULL));
    dl_decoding *decoding = dl_alloc_zeroed(context, sizeof *decoding);
    if (!decoding)
        return dl_last_status();
    *decoding = (dl_decoding){.context = context, .model = model, .batch = batch, .max_length = max_length};
    dl_object_retain(&model->object);
    *out = decoding;
    return DL_OK;
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

dl_status dl_decoding_enter(dl_decoding *decoding, const dl_layer *layer, int *place) {
    int occurrence = occurrences(decoding, layer);
    DL_TRY(dl_grow(decoding->context, &decoding->calls, decoding->call_count, &decoding->call_capacity,
                   sizeof *decoding->calls));
    decoding->calls[decoding->call_count++] = layer;
    for (*place = 0; *place < decoding->entry_count; (*place)++)
        if (decoding->entries[*place].layer == layer && decoding->entries[*place].occurrence == occurrence)
            return DL_OK;
    DL_TRY(dl_grow(decoding->context, &decoding->entries, decoding->entry_count, &decoding->entry_capacity,
                   sizeof *decoding->entries));
    decoding->entries[decoding->entry_count++] = (entry){.layer = layer, .occurrence = occurrence};
    return DL_OK;
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

/* ---- steps ------------------------------------------------------------------------------------------------------- */

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

dl_status dl_decoding_step(dl_decoding *decoding, dl_tensor *const *x, int inputs, dl_tensor **out, int *outputs) {
    step s = {decoding, x, inputs, out, outputs};
    DL_TRY(check_step(decoding, x, inputs));
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
