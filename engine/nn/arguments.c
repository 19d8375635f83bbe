/* nn/arguments.c: what a call of a layer says beside its inputs: which input is which, and options; kept with the calls
 * of a graph and in its config.
 *
 *      {"inputs": ["query", "value", "attention_mask"], "options": {"use_causal_mask": true}, "training": false}
 *
 * Always true: a copy is one block, which dl_free frees. */
#include <stdio.h>
#include <string.h>

#include "nn/nn.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

dl_status dl_complete_arguments(const dl_layer *layer, const dl_arguments *given, dl_argument_room *room) {
    const dl_definition *call_options = dl_layer_definition(layer)->call_options;
    room->arguments = given ? *given : (dl_arguments){.training = -1};
    if (!call_options || room->arguments.options)
        return DL_OK;
    if (call_options->options_size > sizeof room->options)
        return dl_fail(DL_STATE, "%s: the options of a call have %zu bytes, at most %zu are possible",
                       dl_layer_class(layer), call_options->options_size, sizeof room->options);
    dl_options_init(call_options, room->options, call_options->options_size);
    room->arguments.options = room->options;
    return DL_OK;
}

bool dl_takes_many(const char *name) {
    size_t length = strlen(name);
    return length > 3 && strcmp(name + length - 3, "...") == 0;
}

int dl_role_of(const dl_layer *layer, const dl_arguments *arguments, int i) {
    const char *const *names = dl_layer_definition(layer)->input_names;
    if (arguments && arguments->roles)
        return arguments->roles[i];
    for (int role = 0; names[role]; role++)
        if (role == i || dl_takes_many(names[role]))
            return role;
    return -1;
}

int dl_find_input(const dl_layer *layer, const dl_arguments *arguments, int inputs, int role, int n) {
    for (int i = 0; i < inputs; i++)
        if (dl_role_of(layer, arguments, i) == role && n-- == 0)
            return i;
    return -1;
}

dl_tensor *dl_call_input(const dl_layer *layer, const dl_layer_call *call, int role) {
    int place = dl_find_input(layer, call->arguments, call->inputs, role, 0);
    return place < 0 ? NULL : call->in[place];
}

dl_tensor *dl_call_mask(const dl_layer *layer, const dl_layer_call *call, int role) {
    int place = dl_find_input(layer, call->arguments, call->inputs, role, 0);
    return place < 0 || !call->masks ? NULL : call->masks[place];
}

void dl_input_name(const dl_layer *layer, int role, char text[DL_MAX_INPUT_NAME]) {
    const char *name = dl_layer_definition(layer)->input_names[role];
    snprintf(text, DL_MAX_INPUT_NAME, "%.*s", (int)strlen(name) - (dl_takes_many(name) ? 3 : 0), name);
}

int dl_find_role(const dl_layer *layer, const char *name) {
    const char *const *names = dl_layer_definition(layer)->input_names;
    char text[DL_MAX_INPUT_NAME];
    for (int role = 0; names && names[role]; role++) {
        dl_input_name(layer, role, text);
        if (strcmp(name, text) == 0)
            return role;
    }
    return -1;
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

dl_status dl_arguments_copy(const dl_layer *layer, const dl_arguments *from, int inputs, dl_arguments **out) {
    const dl_definition *call_options = dl_layer_definition(layer)->call_options;
    size_t options_size = call_options ? call_options->options_size : 0;
    *out = NULL;
    if (!from)
        return DL_OK;
    char *block = dl_alloc_zeroed(layer->object.context, sizeof **out + DL_MAX_CALL_OPTIONS + (size_t)inputs);
    if (!block)
        return dl_last_status();
    *out = (dl_arguments *)(void *)block;
    (*out)->training = from->training;
    if (from->options && call_options) {
        memcpy(block + sizeof **out, from->options, options_size);
        (*out)->options = block + sizeof **out;
    }
    if (from->roles) {
        memcpy(block + sizeof **out + DL_MAX_CALL_OPTIONS, from->roles, (size_t)inputs);
        (*out)->roles = (const uint8_t *)block + sizeof **out + DL_MAX_CALL_OPTIONS;
    }
    return DL_OK;
}

/* ---- configs ----------------------------------------------------------------------------------------------------- */

static dl_status put_roles(const dl_layer *layer, const dl_arguments *arguments, int inputs, dl_value *map) {
    dl_context *context = layer->object.context;
    dl_value names = dl_value_list();
    for (int i = 0; i < inputs; i++) {
        dl_value name;
        char text[DL_MAX_INPUT_NAME];
        dl_input_name(layer, arguments->roles[i], text);
        dl_status status = dl_value_string(context, text, &name);
        if (status == DL_OK)
            status = dl_value_append(context, &names, &name);
        if (status != DL_OK) {
            dl_value_clear(&names);
            return status;
        }
    }
    return dl_value_put(context, map, "inputs", &names);
}

static dl_status put_options(const dl_layer *layer, const dl_arguments *arguments, dl_value *map) {
    dl_context *context = layer->object.context;
    dl_value options = dl_value_map();
    dl_status status =
        dl_options_get_all(context, dl_layer_definition(layer)->call_options, arguments->options, &options);
    if (status != DL_OK) {
        dl_value_clear(&options);
        return status;
    }
    return dl_value_put(context, map, "options", &options);
}

dl_status dl_arguments_to_value(const dl_layer *layer, const dl_arguments *arguments, int inputs, dl_value *map) {
    *map = dl_value_map();
    dl_status status = DL_OK;
    if (arguments->roles)
        status = put_roles(layer, arguments, inputs, map);
    if (status == DL_OK && arguments->options)
        status = put_options(layer, arguments, map);
    if (status == DL_OK && arguments->training >= 0) {
        dl_value training = dl_value_bool(arguments->training);
        status = dl_value_put(layer->object.context, map, "training", &training);
    }
    if (status != DL_OK)
        dl_value_clear(map);
    return status;
}

static dl_status fail_arguments(const dl_layer *layer, const char *what) {
    return dl_fail(DL_FORMAT, "%s: %s of a call are not as this version of %s takes them", layer->name, what,
                   dl_layer_class(layer));
}

static dl_status read_roles(const dl_layer *layer, const dl_value *names, int inputs, uint8_t *roles) {
    if (names->kind != DL_VALUE_LIST || names->as.list.count != inputs)
        return fail_arguments(layer, "the inputs");
    for (int i = 0; i < inputs; i++) {
        const dl_value *name = &names->as.list.items[i];
        int role = name->kind == DL_VALUE_STRING ? dl_find_role(layer, name->as.string) : -1;
        if (role < 0)
            return fail_arguments(layer, "the inputs");
        roles[i] = (uint8_t)role;
    }
    return DL_OK;
}

dl_status dl_arguments_from_value(const dl_layer *layer, const dl_value *map, int inputs, dl_arguments **out) {
    uint8_t roles[UINT8_MAX];
    dl_argument_room room;
    if (map->kind != DL_VALUE_MAP || inputs > UINT8_MAX)
        return fail_arguments(layer, "the arguments");
    const dl_value *names = dl_value_get(map, "inputs");
    const dl_value *options = dl_value_get(map, "options");
    const dl_value *training = dl_value_get(map, "training");
    if (map->as.list.count != (names != NULL) + (options != NULL) + (training != NULL))
        return fail_arguments(layer, "the arguments");
    if (training && training->kind != DL_VALUE_BOOL)
        return fail_arguments(layer, "training");
    DL_TRY(dl_complete_arguments(layer, NULL, &room));
    if (names)
        DL_TRY(read_roles(layer, names, inputs, roles));
    room.arguments.roles = names ? roles : NULL;
    if (options) {
        if (!room.arguments.options)
            return fail_arguments(layer, "the options");
        DL_TRY(dl_options_set_all(layer->object.context, dl_layer_definition(layer)->call_options, room.options,
                                  options));
    }
    if (training)
        room.arguments.training = training->as.boolean;
    return dl_arguments_copy(layer, &room.arguments, inputs, out);
}
