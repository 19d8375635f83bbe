/* nn/symbol.c: symbolic tensors. Calling a layer on symbols records the call; dl_model_functional makes a model of what
 * lies between inputs and outputs.
 *
 *      symbol --counted--> call { layer, in[]: symbols } --counted--> symbol ...
 *
 * Always true: a call's inputs are older than the call, so there is no cycle. */
#include <string.h>

#include "nn/symbol.h"

/* ---- life -------------------------------------------------------------------------------------------------------- */

void dl_symbol_retain(dl_symbol *symbol) {
    symbol->references++;
}

static void release_call(dl_symbol_call *call, dl_symbol_call **pending) {
    if (--call->references > 0)
        return;
    call->next = *pending;
    *pending = call;
}

static void release_symbol(dl_symbol *symbol, dl_symbol_call **pending) {
    if (!symbol || --symbol->references > 0)
        return;
    release_call(symbol->call, pending);
    dl_free(symbol);
}

/* Works with a list of its own, so that a long chain does not overflow the stack. */
static void free_pending(dl_symbol_call *pending) {
    while (pending) {
        dl_symbol_call *call = pending;
        pending = call->next;
        for (int i = 0; i < call->inputs; i++)
            release_symbol(call->in[i], &pending);
        dl_free(call->in);
        dl_free(call->arguments);
        dl_object_release(&call->layer->object);
        dl_free(call);
    }
}

void dl_symbol_release(dl_symbol *symbol) {
    dl_symbol_call *pending = NULL;
    release_symbol(symbol, &pending);
    free_pending(pending);
}

const dl_spec *dl_symbol_spec(const dl_symbol *symbol) {
    return &symbol->spec;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* A call with one reference, which the caller drops. */
static dl_symbol_call *make_call(dl_layer *layer, dl_symbol *const *in, int inputs, const dl_arguments *arguments) {
    dl_context *context = layer->object.context;
    dl_symbol_call *call = dl_alloc_zeroed(context, sizeof *call);
    if (!call)
        return NULL;
    call->in = dl_alloc_array(context, (size_t)DL_MAX(inputs, 1), sizeof *call->in);
    if (!call->in || dl_arguments_copy(layer, arguments, inputs, &call->arguments) != DL_OK) {
        dl_free(call->in);
        dl_free(call);
        return NULL;
    }
    call->references = 1;
    call->layer = layer;
    call->inputs = inputs;
    dl_object_retain(&layer->object);
    for (int i = 0; i < inputs; i++) {
        dl_symbol_retain(in[i]);
        call->in[i] = in[i];
    }
    return call;
}

static dl_status make_symbols(dl_layer *layer, dl_symbol *const *in, int inputs, const dl_arguments *arguments,
                              const dl_spec *specs, int outputs, dl_symbol **out) {
    dl_symbol_call *call = make_call(layer, in, inputs, arguments);
    if (!call)
        return dl_last_status();
    dl_status status = DL_OK;
    int made = 0;
    while (status == DL_OK && made < outputs) {
        dl_symbol *symbol = dl_alloc(layer->object.context, sizeof *symbol);
        if (!symbol) {
            status = dl_last_status();
            break;
        }
        *symbol = (dl_symbol){.references = 1, .call = call, .output = made, .spec = specs[made]};
        call->references++;
        out[made++] = symbol;
    }
    if (status != DL_OK)
        while (made > 0)
            dl_symbol_release(out[--made]);
    dl_symbol_call *pending = NULL;
    release_call(call, &pending);
    free_pending(pending);
    return status;
}

dl_status dl_input(dl_context *context, const dl_spec *spec, const char *name, dl_symbol **out) {
    if (spec->dims < 1 || spec->dims > DL_MAX_DIMS)
        return dl_fail(DL_INVALID, "an input has 1 to %d dimensions (the batch counted), got %d", DL_MAX_DIMS,
                       spec->dims);
    dl_input_options options;
    dl_options_init(&dl_layer_input.definition, &options, sizeof options);
    options.layer.name = (char *)name; /* copied */
    options.shape.count = spec->dims - 1;
    memcpy(options.shape.at, spec->shape + 1, (size_t)(spec->dims - 1) * sizeof *spec->shape);
    options.batch_size = spec->shape[0];
    options.dtype = (int)spec->dtype;
    dl_layer *layer;
    DL_TRY(dl_layer_create(context, "InputLayer", &options, &layer));
    dl_status status = make_symbols(layer, NULL, 0, NULL, spec, 1, out);
    dl_object_release(&layer->object);
    return status;
}

dl_status dl_layer_symbolic(dl_layer *layer, dl_symbol *const *in, int inputs, const dl_arguments *arguments,
                            dl_symbol **out, int *outputs) {
    dl_spec out_specs[DL_MAX_LAYER_OUTPUTS];
    dl_spec *specs = dl_alloc_array(layer->object.context, (size_t)DL_MAX(inputs, 1), sizeof *specs);
    if (!specs)
        return dl_last_status();
    for (int i = 0; i < inputs; i++)
        specs[i] = in[i]->spec;
    dl_status status = dl_layer_infer(layer, &(dl_inputs){specs, inputs, arguments}, out_specs, outputs);
    dl_free(specs);
    DL_TRY(status);
    return make_symbols(layer, in, inputs, arguments, out_specs, *outputs, out);
}
