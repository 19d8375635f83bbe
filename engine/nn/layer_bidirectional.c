/* nn/layer_bidirectional.c: Bidirectional (Schuster and Paliwal 1997): a recurrent layer over the sequence, another one
 * over it from its end, and their outputs put together.
 *
 * Always true: the children are two copies of their own, the forward one first; the layers given stay as they are. */
#include <stdio.h>
#include <string.h>

#include "nn/recurrent.h"

/* ---- the two layers ---------------------------------------------------------------------------------------------- */

static dl_status set_name(dl_layer *layer, const char *prefix, const char *name) {
    char text[256];
    dl_value value;
    snprintf(text, sizeof text, "%s_%s", prefix, name);
    DL_TRY(dl_value_string(layer->object.context, text, &value));
    dl_status status = dl_options_set(layer->object.context, layer->object.definition, layer->object.options, "name",
                                      &value);
    dl_value_clear(&value);
    layer->name = dl_layer_common(layer)->name;
    return status;
}

/* A bool option of a recurrent layer. */
static dl_status get_flag(const dl_layer *layer, const char *name, bool *out) {
    const dl_field *field = dl_find_field(layer->object.definition->fields, name);
    if (!field || field->kind != DL_FIELD_BOOL)
        return dl_fail(DL_INVALID, "Bidirectional takes a recurrent layer (LSTM, GRU, SimpleRNN, RNN), got %s",
                       dl_layer_class(layer));
    memcpy(out, (const char *)layer->object.options + field->offset, sizeof *out);
    return DL_OK;
}

static dl_status set_flag(dl_layer *layer, const char *name, bool flag) {
    dl_value value = dl_value_bool(flag);
    return dl_options_set(layer->object.context, layer->object.definition, layer->object.options, name, &value);
}

/* Masked steps give zeros where all steps are given, as in Keras: in the other direction "the output before" would be
 * one of the steps after. */
static dl_status zero_masked(dl_layer *layer) {
    bool sequences;
    DL_TRY(get_flag(layer, "return_sequences", &sequences));
    return set_flag(layer, "zero_output_for_mask", sequences);
}

/* Adds a copy of `from` as a child, which goes the other way if `turned`. */
static dl_status add_copy(dl_layer *layer, dl_object *from, const char *prefix, bool turned) {
    dl_context *context = layer->object.context;
    dl_value config;
    dl_object *copy = NULL;
    bool backwards;
    DL_TRY(get_flag((dl_layer *)from, "go_backwards", &backwards));
    DL_TRY(dl_object_to_value(context, from, &config));
    dl_status status = dl_object_from_value(context, &dl_layer_family, &config, &copy);
    dl_value_clear(&config);
    DL_TRY(status);
    if (turned)
        status = set_flag((dl_layer *)copy, "go_backwards", !backwards);
    if (status == DL_OK)
        status = zero_masked((dl_layer *)copy);
    if (status == DL_OK)
        status = set_name((dl_layer *)copy, prefix, ((dl_layer *)from)->name);
    if (status == DL_OK)
        status = dl_layer_add_child(layer, (dl_layer *)copy);
    dl_object_release(copy);
    return status;
}

static dl_status check_pair(const dl_layer *layer) {
    static const char *const equal[] = {"return_sequences", "return_state", "stateful"};
    const dl_layer *forward = layer->children[0], *backward = layer->children[1];
    bool a, b;
    DL_TRY(get_flag(forward, "go_backwards", &a));
    DL_TRY(get_flag(backward, "go_backwards", &b));
    if (a == b)
        return dl_fail(DL_INVALID, "Bidirectional: layer and backward_layer must differ in go_backwards");
    for (int i = 0; i < DL_COUNT(equal); i++) {
        DL_TRY(get_flag(forward, equal[i], &a));
        DL_TRY(get_flag(backward, equal[i], &b));
        if (a != b)
            return dl_fail(DL_INVALID, "Bidirectional: layer and backward_layer must have the same %s", equal[i]);
    }
    return DL_OK;
}

static dl_status init(dl_layer *layer) {
    const dl_bidirectional_options *options = DL_OPTIONS(layer, dl_bidirectional_options);
    DL_TRY(add_copy(layer, options->wrapped, "forward", false));
    if (options->backward_layer)
        DL_TRY(add_copy(layer, options->backward_layer, "backward", false));
    else
        DL_TRY(add_copy(layer, options->wrapped, "backward", true));
    return check_pair(layer);
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

/* The inputs of one direction: the sequences, the first or the second half of the initial states, the mask. */
typedef struct half_inputs {
    int count;
    int places[3 + DL_MAX_STATES]; /* in the inputs of the whole */
    uint8_t roles[3 + DL_MAX_STATES];
    dl_arguments arguments;
} half_inputs;

static void add_place(half_inputs *half, int place, int role) {
    half->places[half->count] = place;
    half->roles[half->count++] = (uint8_t)role;
}

static dl_status take_half(const dl_layer *layer, const dl_arguments *arguments, int inputs, int which,
                           half_inputs *half) {
    int states = 0;
    *half = (half_inputs){.arguments = {.roles = half->roles, .training = -1}};
    while (dl_find_input(layer, arguments, inputs, DL_INITIAL_STATE, states) >= 0)
        states++;
    if (states % 2 || states > 2 * DL_MAX_STATES)
        return dl_fail(DL_INVALID, "Bidirectional: initial_state has the states of both directions, got %d", states);
    add_place(half, dl_find_input(layer, arguments, inputs, DL_SEQUENCES, 0), DL_SEQUENCES);
    for (int i = 0; i < states / 2; i++)
        add_place(half, dl_find_input(layer, arguments, inputs, DL_INITIAL_STATE, which * states / 2 + i),
                  DL_INITIAL_STATE);
    int mask = dl_find_input(layer, arguments, inputs, DL_SEQUENCE_MASK, 0);
    if (mask >= 0)
        add_place(half, mask, DL_SEQUENCE_MASK);
    return DL_OK;
}

static dl_status half_specs(const dl_layer *layer, const dl_inputs *inputs, int which, half_inputs *half,
                            dl_spec *specs) {
    DL_TRY(take_half(layer, inputs->arguments, inputs->count, which, half));
    for (int i = 0; i < half->count; i++)
        specs[i] = inputs->specs[half->places[i]];
    return DL_OK;
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    for (int which = 0; which < 2; which++) {
        half_inputs half;
        dl_spec specs[3 + DL_MAX_STATES];
        DL_TRY(half_specs(layer, inputs, which, &half, specs));
        DL_TRY(dl_layer_build(layer->children[which], &(dl_inputs){specs, half.count, &half.arguments}));
    }
    return DL_OK;
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    int mode = DL_OPTIONS(layer, dl_bidirectional_options)->merge_mode;
    dl_spec made[2][DL_MAX_LAYER_OUTPUTS];
    int count[2];
    for (int which = 0; which < 2; which++) {
        half_inputs half;
        dl_spec specs[3 + DL_MAX_STATES];
        DL_TRY(half_specs(layer, inputs, which, &half, specs));
        DL_TRY(dl_layer_infer(layer->children[which], &(dl_inputs){specs, half.count, &half.arguments}, made[which],
                              &count[which]));
    }
    int last = made[0][0].dims - 1;
    if (mode >= 0 && mode != DL_MERGE_CONCAT && !dl_spec_equal(&made[0][0], &made[1][0]))
        return dl_fail(DL_SHAPE, "Bidirectional: the outputs %s and %s do not fit for this merge_mode",
                       dl_spec_text_of(&made[0][0]).at, dl_spec_text_of(&made[1][0]).at);
    *outputs = 0;
    out[(*outputs)++] = made[0][0];
    if (mode < 0)
        out[(*outputs)++] = made[1][0];
    else if (mode == DL_MERGE_CONCAT)
        out[0].shape[last] += made[1][0].shape[last];
    if (*outputs + count[0] + count[1] - 2 > DL_MAX_LAYER_OUTPUTS)
        return dl_fail(DL_INVALID, "Bidirectional: the layers have more than %d outputs", DL_MAX_LAYER_OUTPUTS);
    for (int which = 0; which < 2; which++)
        for (int i = 1; i < count[which]; i++)
            out[(*outputs)++] = made[which][i];
    return DL_OK;
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static dl_status run_half(dl_layer *layer, dl_layer_call *call, int which, dl_layer_call *child) {
    half_inputs half;
    dl_tensor *in[3 + DL_MAX_STATES], *masks[3 + DL_MAX_STATES];
    DL_TRY(take_half(layer, call->arguments, call->inputs, which, &half));
    for (int i = 0; i < half.count; i++) {
        in[i] = call->in[half.places[i]];
        masks[i] = call->masks ? call->masks[half.places[i]] : NULL;
    }
    return dl_run_child(layer->children[which], call, in, half.count, masks, &half.arguments, child);
}

static dl_tensor *merge(dl_context *context, int mode, dl_tensor *forward, dl_tensor *backward) {
    dl_tensor *both[] = {forward, backward};
    switch (mode) {
    case DL_MERGE_CONCAT:
        return dl_cat(context, both, 2, -1);
    case DL_MERGE_SUM:
        return dl_add(context, forward, backward);
    case DL_MERGE_MUL:
        return dl_mul(context, forward, backward);
    default:
        return dl_mul_number(context, dl_add(context, forward, backward), 0.5);
    }
}

static dl_status call_bidirectional(dl_layer *layer, dl_layer_call *call) {
    int mode = DL_OPTIONS(layer, dl_bidirectional_options)->merge_mode;
    dl_layer_call forward, backward;
    bool sequences;
    DL_TRY(get_flag(layer->children[0], "return_sequences", &sequences));
    DL_TRY(run_half(layer, call, 0, &forward));
    DL_TRY(run_half(layer, call, 1, &backward));
    dl_tensor *turned = backward.out[0];
    if (sequences)
        turned = dl_flip(call->context, turned, 1, (int64_t[]){1});
    DL_TRY(dl_call_return(call, mode < 0 ? forward.out[0] : merge(call->context, mode, forward.out[0], turned)));
    call->out_masks[0] = forward.out_masks[0];
    if (mode < 0) {
        call->out_masks[1] = forward.out_masks[0];
        call->out[call->outputs++] = turned;
    }
    for (int i = 1; i < forward.outputs; i++)
        call->out[call->outputs++] = forward.out[i];
    for (int i = 1; i < backward.outputs; i++)
        call->out[call->outputs++] = backward.out[i];
    return turned ? DL_OK : dl_last_status();
}

#define TYPE dl_bidirectional_options
static const dl_field fields[] = {
    {.name = "layer", .kind = DL_FIELD_OBJECT, .offset = offsetof(TYPE, wrapped), .flags = DL_REQUIRED,
     .family = &dl_layer_family, .help = "a recurrent layer, which is copied for each direction"},
    DL_ENUM(TYPE, merge_mode, "concat", "concat|sum|mul|ave", DL_NONE_OK,
            "how the outputs are put together; none: both are given"),
    DL_OBJECT(TYPE, backward_layer, NULL, &dl_layer_family, DL_NONE_OK,
              "the layer for the other direction, with go_backwards = true; none: the first one, turned"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_bidirectional = {
    .definition = {.name = "Bidirectional", .version = 1,
                   .help = "A recurrent layer over a sequence in both directions. The backward outputs are put into "
                           "the order of the sequence; with return_sequences masked steps give zeros. initial_state "
                           "has the states of the forward layer, then those of the backward one.",
                   .source = "Schuster and Paliwal 1997",
                   .shapes = "as the layer's, with the last size doubled by concat; states of both",
                   .fields = fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3, .input_names = dl_sequence_inputs,
    .init = init, .build = build, .infer = infer, .call = call_bidirectional};
