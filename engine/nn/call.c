/* nn/call.c: calls of layers: the checks before a call, building, and the call itself.
 *
 * Always true: a definition's build, infer and call get arguments that are complete (dl_complete_arguments). */
#include <string.h>

#include "nn/checkpoint.h"

/* ---- building and checking --------------------------------------------------------------------------------------- */

static dl_status check_dtype(const dl_layer *layer, const dl_spec *in) {
    if ((dl_layer_definition(layer)->flags & DL_LAYER_ANY_DTYPE) || in->dtype == layer->dtype)
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s computes in %s, got inputs of %s %s; convert them first (x:to(\"%s\"))",
                   dl_layer_class(layer), dl_dtype_name(layer->dtype), dl_dtype_name(in->dtype),
                   dl_spec_text_of(in).at, dl_dtype_name(layer->dtype));
}

static dl_status check_one_input(const dl_layer *layer, const dl_spec *in) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    const char *name = dl_layer_class(layer);
    if (in->dims < definition->minimum_dims || (definition->maximum_dims && in->dims > definition->maximum_dims)) {
        if (definition->minimum_dims == definition->maximum_dims)
            return dl_fail(DL_SHAPE, "%s takes inputs of %d dimensions (the batch counted), got %s", name,
                           definition->minimum_dims, dl_spec_text_of(in).at);
        if (definition->maximum_dims)
            return dl_fail(DL_SHAPE, "%s takes inputs of %d to %d dimensions (the batch counted), got %s", name,
                           definition->minimum_dims, definition->maximum_dims, dl_spec_text_of(in).at);
        return dl_fail(DL_SHAPE, "%s takes inputs of %d or more dimensions (the batch counted), got %s", name,
                       definition->minimum_dims, dl_spec_text_of(in).at);
    }
    return check_dtype(layer, in);
}

static dl_status check_count(const dl_layer *layer, int inputs) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    bool many = definition->maximum_inputs && inputs > definition->maximum_inputs;
    if (inputs < definition->minimum_inputs || many)
        return dl_fail(DL_INVALID, "%s takes %d input%s%s, got %d", dl_layer_class(layer),
                       many ? definition->maximum_inputs : definition->minimum_inputs,
                       (many ? definition->maximum_inputs : definition->minimum_inputs) == 1 ? "" : "s",
                       definition->maximum_inputs == definition->minimum_inputs ? "" : many ? " at most" : " or more",
                       inputs);
    return DL_OK;
}

static bool is_mask(const char *name) {
    size_t length = strlen(name);
    return length >= 4 && strcmp(name + length - 4, "mask") == 0;
}

/* An input of a definition that names its inputs. Masks are bool; ranks beyond the first role's are the definition's to
 * check. */
static dl_status check_named_input(const dl_layer *layer, const dl_inputs *inputs, int i) {
    const char *const *names = dl_layer_definition(layer)->input_names;
    const dl_spec *in = &inputs->specs[i];
    int role = dl_role_of(layer, inputs->arguments, i);
    if (role < 0)
        return dl_fail(DL_INVALID, "%s takes %d inputs at most, got %d", dl_layer_class(layer), i, inputs->count);
    if (!dl_takes_many(names[role]) && dl_find_input(layer, inputs->arguments, i, role, 0) >= 0)
        return dl_fail(DL_INVALID, "%s: '%s' is given twice", dl_layer_class(layer), names[role]);
    if (role == 0)
        return check_one_input(layer, in);
    if (is_mask(names[role]) && in->dtype != DL_BOOLEAN)
        return dl_fail(DL_DTYPE, "%s: %s must be bool, got %s %s; compare, as in ids:ne(0)", dl_layer_class(layer),
                       names[role], dl_dtype_name(in->dtype), dl_spec_text_of(in).at);
    if (!is_mask(names[role]))
        return check_dtype(layer, in);
    return DL_OK;
}

static dl_status check_inputs(const dl_layer *layer, const dl_inputs *inputs) {
    bool named = dl_layer_definition(layer)->input_names != NULL;
    DL_TRY(check_count(layer, inputs->count));
    for (int i = 0; i < inputs->count; i++)
        DL_TRY(named ? check_named_input(layer, inputs, i) : check_one_input(layer, &inputs->specs[i]));
    if (named && inputs->count > 0 && dl_find_input(layer, inputs->arguments, inputs->count, 0, 0) < 0)
        return dl_fail(DL_INVALID, "%s: the input '%s' is missing", dl_layer_class(layer),
                       dl_layer_definition(layer)->input_names[0]);
    return DL_OK;
}

dl_status dl_layer_check_sizes(const dl_layer *layer, const dl_spec *in) {
    for (int i = 1; i < in->dims; i++)
        if (in->shape[i] == 0)
            return dl_fail(DL_SHAPE, "%s cannot take inputs with a size of zero, got %s", dl_layer_class(layer),
                           dl_spec_text_of(in).at);
    return DL_OK;
}

dl_status dl_layer_check_text(const dl_layer *layer, const dl_spec *in) {
    if (in->dtype == DL_UINT8)
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s takes texts, as dlua.strings {...} makes them (uint8), got inputs of %s %s",
                   dl_layer_class(layer), dl_dtype_name(in->dtype), dl_spec_text_of(in).at);
}

dl_status dl_layer_fail_built(const dl_layer *layer, const dl_spec *in) {
    return dl_fail(DL_SHAPE, "%s built for inputs %s, got %s", dl_layer_class(layer),
                   dl_spec_text_of(&layer->input).at, dl_spec_text_of(in).at);
}

/* The place of the input that is meant where a layer has but one: that of the first role. */
static int first_of(const dl_layer *layer, const dl_arguments *arguments, int inputs) {
    bool named = dl_layer_definition(layer)->input_names != NULL;
    int place = named ? dl_find_input(layer, arguments, inputs, 0, 0) : 0;
    return place < 0 ? 0 : place;
}

static dl_status infer_built(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    DL_TRY(check_inputs(layer, inputs));
    if (definition->infer)
        return definition->infer(layer, inputs, out, outputs);
    out[0] = inputs->specs[first_of(layer, inputs->arguments, inputs->count)];
    *outputs = 1;
    return DL_OK;
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    if (layer->built)
        return DL_OK;
    const dl_layer_def *definition = dl_layer_definition(layer);
    dl_stream before = layer->initial;
    dl_status status = check_inputs(layer, inputs);
    if (status == DL_OK && inputs->count > 0) {
        layer->input = inputs->specs[first_of(layer, inputs->arguments, inputs->count)];
        layer->input.shape[0] = DL_NONE;
    }
    if (status == DL_OK && definition->build)
        status = definition->build(layer, inputs);
    if (status == DL_OK) {
        layer->built = true;
        return DL_OK;
    }
    dl_layer_drop_weights(layer);
    layer->initial = before;
    return status;
}

dl_status dl_layer_build(dl_layer *layer, const dl_inputs *inputs) {
    dl_argument_room room;
    dl_inputs whole = {inputs->specs, inputs->count, &room.arguments};
    dl_status status = dl_complete_arguments(layer, inputs->arguments, &room);
    if (status == DL_OK)
        status = build(layer, &whole);
    return status == DL_OK ? DL_OK : dl_layer_fail_path(layer);
}

dl_status dl_layer_infer(dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    dl_argument_room room;
    dl_inputs whole = {inputs->specs, inputs->count, &room.arguments};
    dl_status status = dl_complete_arguments(layer, inputs->arguments, &room);
    if (status == DL_OK)
        status = build(layer, &whole);
    if (status == DL_OK)
        status = infer_built(layer, &whole, out, outputs);
    return status == DL_OK ? DL_OK : dl_layer_fail_path(layer);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

dl_status dl_call_return(dl_layer_call *call, dl_tensor *out) {
    call->out[0] = out;
    call->outputs = 1;
    return out ? DL_OK : dl_last_status();
}

void dl_call_release(dl_layer_call *call) {
    for (int i = 0; i < call->outputs; i++) {
        dl_release(call->out[i]);
        dl_release(call->out_masks[i]);
    }
    call->outputs = 0;
}

dl_status dl_call_finish(dl_layer *layer, dl_layer_call *call, size_t scope, dl_status status) {
    for (int i = 0; status == DL_OK && i < call->outputs; i++)
        if (!call->out[i])
            status = dl_fail(DL_STATE, "%s made no output %d", dl_layer_class(layer), i + 1);
    if (status == DL_OK) {
        if (!call->out_masks[0] && (dl_layer_definition(layer)->flags & DL_LAYER_KEEPS_MASK) && call->masks)
            call->out_masks[0] = call->masks[first_of(layer, call->arguments, call->inputs)];
        for (int i = 0; i < call->outputs; i++) {
            dl_retain(call->out[i]);
            if (call->out_masks[i])
                dl_retain(call->out_masks[i]);
        }
    } else {
        call->outputs = 0;
    }
    dl_scope_end(call->context, scope, NULL);
    return status == DL_OK ? DL_OK : dl_layer_fail_path(layer);
}

static dl_status remember_place(dl_layer *layer, dl_deferred *deferred) {
    DL_TRY(dl_grow(deferred->context, &deferred->places, deferred->place_count, &deferred->place_capacity,
                   sizeof *deferred->places));
    deferred->places[deferred->place_count++] = (dl_old_place){layer, layer->stream.position};
    return DL_OK;
}

/* Notes what the call begins with, for a decoding, a checkpoint, and a step that fails. */
static dl_status begin_call(dl_layer *layer, dl_layer_call *call) {
    if (call->decoding)
        DL_TRY(dl_decoding_enter(call->decoding, layer, &call->decoding_place));
    if (!(dl_layer_definition(layer)->flags & DL_LAYER_RANDOM))
        return DL_OK;
    DL_TRY(dl_checkpoint_note_draw(layer));
    return call->deferred ? remember_place(layer, call->deferred) : DL_OK;
}

static dl_status run_definition(dl_layer *layer, dl_layer_call *call) {
    call->outputs = 0;
    memset(call->out_masks, 0, sizeof call->out_masks);
    if (begin_call(layer, call) != DL_OK)
        return dl_layer_fail_path(layer);
    size_t scope = dl_scope_begin(call->context);
    return dl_call_finish(layer, call, scope, dl_layer_definition(layer)->call(layer, call));
}

dl_status dl_layer_run(dl_layer *layer, dl_layer_call *call) {
    const dl_arguments *given = call->arguments;
    dl_argument_room room;
    if (dl_complete_arguments(layer, given, &room) != DL_OK)
        return dl_layer_fail_path(layer);
    call->arguments = &room.arguments;
    if (room.arguments.training >= 0)
        call->training = room.arguments.training;
    dl_status status = run_definition(layer, call);
    call->arguments = given;
    if (status != DL_OK || !call->deferred || !call->deferred->anomaly)
        return status;
    if (dl_anomaly_watch(call->deferred->anomaly, layer, call) == DL_OK)
        return DL_OK;
    dl_call_release(call);
    return dl_layer_fail_path(layer);
}

dl_status dl_run_child(dl_layer *layer, const dl_layer_call *parent, dl_tensor *const *in, int inputs,
                       dl_tensor *const *masks, const dl_arguments *arguments, dl_layer_call *child) {
    *child = (dl_layer_call){.context = parent->context, .training = parent->training, .in = in, .inputs = inputs,
                             .arguments = arguments, .masks = masks, .deferred = parent->deferred,
                             .decoding = parent->decoding};
    DL_TRY(dl_layer_run(layer, child));
    dl_status status = DL_OK;
    for (int i = 0; i < child->outputs; i++) {
        child->out[i] = dl_scope_add(parent->context, child->out[i]);
        if (!child->out[i])
            status = dl_last_status();
        if (child->out_masks[i] && !(child->out_masks[i] = dl_scope_add(parent->context, child->out_masks[i])))
            status = dl_last_status();
    }
    return status;
}

#define MOST_DIRECT_INPUTS 64

static dl_status apply(dl_layer *layer, dl_tensor *const *in, int inputs, const dl_arguments *arguments,
                       dl_decoding *decoding, dl_tensor **out, int *outputs) {
    dl_spec specs[MOST_DIRECT_INPUTS];
    dl_spec out_specs[DL_MAX_LAYER_OUTPUTS];
    if (inputs > MOST_DIRECT_INPUTS)
        return dl_fail(DL_INVALID, "%s takes at most %d tensors in a call, got %d", dl_layer_class(layer),
                       MOST_DIRECT_INPUTS, inputs);
    for (int i = 0; i < inputs; i++)
        specs[i] = dl_spec_of_tensor(in[i]);
    DL_TRY(dl_layer_infer(layer, &(dl_inputs){specs, inputs, arguments}, out_specs, outputs));
    dl_deferred deferred = {.context = layer->object.context};
    dl_layer_call call = {.context = deferred.context, .in = in, .inputs = inputs, .arguments = arguments,
                          .deferred = &deferred, .decoding = decoding};
    dl_status status = dl_layer_run(layer, &call);
    if (status == DL_OK) {
        for (int i = 0; i < call.outputs; i++) {
            out[i] = call.out[i];
            dl_release(call.out_masks[i]);
        }
        *outputs = call.outputs;
        dl_deferred_commit(&deferred);
    } else {
        dl_deferred_rollback(&deferred);
    }
    dl_deferred_free(&deferred);
    return status;
}

dl_status dl_layer_apply(dl_layer *layer, dl_tensor *const *in, int inputs, const dl_arguments *arguments,
                         dl_tensor **out, int *outputs) {
    return apply(layer, in, inputs, arguments, NULL, out, outputs);
}

dl_status dl_layer_decode(dl_layer *layer, dl_tensor *const *in, int inputs, dl_decoding *decoding, dl_tensor **out,
                          int *outputs) {
    return apply(layer, in, inputs, NULL, decoding, out, outputs);
}
