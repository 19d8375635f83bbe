/* layers.c: layers as Lua calls and reads them, and symbolic inputs.
 *
 * Always true: while the engine runs a layer it may call back into Lua (a layer written in Lua), so every such call
 * lies between dlua_enter and dlua_leave; the layers of a symbol hang on its user value. */
#include "objects.h"

#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "configs.h"
#include "dlua/layers.h"
#include "help.h"
#include "nn/nn.h"
#include "tensors.h"
#include "values.h"

#define MOST_INPUTS 64

/* ---- symbols --------------------------------------------------------------------------------------------------- */

dl_symbol *dlua_test_symbol(lua_State *L, int index) {
    return dlua_class_of(L, index) == DLUA_SYMBOL ? *(dl_symbol **)lua_touserdata(L, index) : NULL;
}

dl_symbol **dlua_new_symbol(lua_State *L) {
    dl_symbol **place = lua_newuserdatauv(L, sizeof *place, 1);
    *place = NULL;
    dlua_set_class(L, DLUA_SYMBOL);
    return place;
}

static int release_symbol(lua_State *L) {
    dl_symbol **place = lua_touserdata(L, 1);
    dl_symbol_release(*place);
    *place = NULL;
    return 0;
}

void dlua_push_spec(lua_State *L, const dl_spec *spec) {
    lua_createtable(L, spec->dims, 0);
    for (int dim = 0; dim < spec->dims; dim++) {
        if (spec->shape[dim] == DL_NONE)
            dlua_push_none(L);
        else
            lua_pushinteger(L, spec->shape[dim]);
        lua_rawseti(L, -2, dim + 1);
    }
}

static int index_symbol(lua_State *L) {
    const dl_spec *spec = dl_symbol_spec(dlua_test_symbol(L, 1));
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "shape") == 0)
        dlua_push_spec(L, spec);
    else if (strcmp(name, "dtype") == 0)
        lua_pushstring(L, dl_dtype_name(spec->dtype));
    else
        dlua_raise(L,
                   "a symbolic input has shape and dtype, but no '%s'; it stands for a tensor that is not there yet: "
                   "layers may be called on it",
                   name);
    return 1;
}

static int symbol_to_string(lua_State *L) {
    char shape[128];
    const dl_spec *spec = dl_symbol_spec(dlua_test_symbol(L, 1));
    dl_spec_describe(spec, shape, sizeof shape);
    lua_pushfstring(L, "symbolic %s %s", dl_dtype_name(spec->dtype), shape);
    return 1;
}

/* Input {shape = {28, 28, 1}, dtype =, batch_size =, name =}: a symbolic input, for a graph of layers. */
static int input_function(lua_State *L) {
    const dl_definition *definition = &dl_layer_input.definition;
    if (lua_type(L, 1) != LUA_TTABLE)
        dlua_raise(L, "Input: takes one table, Input {shape = {28, 28, 1}}");
    dl_symbol **place = dlua_new_symbol(L);
    dl_input_options *options = dlua_new_options(L, definition);
    luaL_checkstack(L, 16, "too many arguments");
    dl_status status = dlua_read_table(L, definition, options, 1);
    if (status == DL_OK && options->shape.count + 1 > DL_MAX_DIMS)
        status = dl_fail(DL_INVALID, "Input: shape may have %d sizes at most", DL_MAX_DIMS - 1);
    if (status == DL_OK) {
        dl_spec spec = {.dtype = (dl_dtype)options->dtype, .dims = options->shape.count + 1};
        spec.shape[0] = options->batch_size;
        memcpy(spec.shape + 1, options->shape.at, (size_t)options->shape.count * sizeof spec.shape[0]);
        status = dl_input(dlua_context(L), &spec, options->layer.name, place);
    }
    dl_options_clear(definition, options);
    dlua_check(L, status);
    lua_pop(L, 1);
    return 1;
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

typedef struct layer_call {
    dl_layer *layer;
    bool symbolic;
    int first, count;              /* stack places of the inputs */
    uint8_t roles[MOST_INPUTS];    /* where the layer names its inputs */
    dl_argument_room *room;        /* what the call says beside them */
    const dl_arguments *arguments; /* NULL: nothing */
} layer_call;

/* Pushes the inputs of one name: a tensor or a list of them. */
static void add_named_input(lua_State *L, layer_call *call, const char *name, int role, int index) {
    bool list = lua_type(L, index) == LUA_TTABLE;
    int count = list ? (int)lua_rawlen(L, index) : 1;
    if (list && !dl_takes_many(dl_layer_definition(call->layer)->input_names[role]))
        dlua_raise(L, "%s: %s takes one tensor, got a table", call->layer->name, name);
    if (call->count + count > MOST_INPUTS)
        dlua_raise(L, "%s: at most %d inputs", call->layer->name, MOST_INPUTS);
    luaL_checkstack(L, count + 8, "too many inputs");
    for (int k = 0; k < count; k++) {
        if (list)
            lua_rawgeti(L, index, k + 1);
        else
            lua_pushvalue(L, index);
        call->roles[call->count++] = (uint8_t)role;
    }
}

/* What a call of this layer takes by name, for messages: "training, use_causal_mask". */
static const char *push_call_names(lua_State *L, const dl_layer *layer) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    luaL_addstring(&buffer, "training");
    for (int role = 0; definition->input_names != NULL && definition->input_names[role] != NULL; role++) {
        char text[DL_MAX_INPUT_NAME];
        dl_input_name(layer, role, text);
        luaL_addstring(&buffer, ", ");
        luaL_addstring(&buffer, text);
    }
    if (definition->call_options != NULL)
        for (const dl_field *field = definition->call_options->fields; field->kind != DL_FIELD_END; field++) {
            luaL_addstring(&buffer, ", ");
            luaL_addstring(&buffer, field->name);
        }
    luaL_pushresult(&buffer);
    return lua_tostring(L, -1);
}

/* One entry of the table after the inputs; its value is at the top. */
static void read_call_option(lua_State *L, layer_call *call, const char *name) {
    const dl_definition *options = dl_layer_definition(call->layer)->call_options;
    const dl_field *field = options != NULL ? dl_find_field(options->fields, name) : NULL;
    if (strcmp(name, "training") == 0) {
        if (lua_type(L, -1) != LUA_TBOOLEAN)
            dlua_raise(L, "%s: training must be true or false, got %s", call->layer->name, luaL_typename(L, -1));
        call->room->arguments.training = lua_toboolean(L, -1);
    } else if (field != NULL) {
        dlua_check(L, dlua_set_field(L, options, call->room->options, field, lua_gettop(L)));
        call->room->arguments.options = call->room->options;
    } else if (dl_find_role(call->layer, name) < 0) {
        dlua_raise(L, "%s: a call takes no '%s'; it takes %s", call->layer->name, name,
                   push_call_names(L, call->layer));
    }
}

/* The table after the inputs: {training = true, attention_mask = mask}. */
static void read_call_table(lua_State *L, layer_call *call, int index) {
    const char *const *names = dl_layer_definition(call->layer)->input_names;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            dlua_raise(L, "%s: the options of a call are given by name; inputs come before them", call->layer->name);
        read_call_option(L, call, lua_tostring(L, -2));
        lua_pop(L, 1);
    }
    for (int role = 0; names != NULL && names[role] != NULL; role++) {
        char text[DL_MAX_INPUT_NAME];
        dl_input_name(call->layer, role, text);
        if (lua_getfield(L, index, text) != LUA_TNIL) {
            int value = lua_gettop(L);
            add_named_input(L, call, text, role, value);
            lua_remove(L, value);
            call->room->arguments.roles = call->roles;
        } else {
            lua_pop(L, 1);
        }
    }
    call->arguments = &call->room->arguments;
}

/* Leaves the inputs on the stack from call->first: positional ones, or one table without names that lists them. */
static void read_positional(lua_State *L, layer_call *call, int last) {
    for (int k = 2; k <= last; k++)
        dlua_take_texts(L, call->layer, k - 2, k);
    bool list = last == 2 && lua_type(L, 2) == LUA_TTABLE;
    int count = list ? (int)lua_rawlen(L, 2) : last - 1;
    if (count > MOST_INPUTS)
        dlua_raise(L, "%s: at most %d inputs, got %d", call->layer->name, MOST_INPUTS, count);
    call->first = lua_gettop(L) + 1;
    luaL_checkstack(L, count + 8, "too many inputs");
    for (int k = 0; k < count; k++) {
        int role = 0;
        if (list)
            lua_rawgeti(L, 2, k + 1);
        else
            lua_pushvalue(L, k + 2);
        dlua_take_texts(L, call->layer, k, lua_gettop(L));
        if (dl_layer_definition(call->layer)->input_names != NULL)
            role = dl_role_of(call->layer, NULL, k);
        if (role < 0)
            dlua_raise(L, "%s: a call takes at most %d inputs without a name, got %d", call->layer->name, k, count);
        call->roles[call->count++] = (uint8_t)role;
    }
}

/* Finds the inputs, and what a table with names after them says. */
static void read_call(lua_State *L, layer_call *call) {
    char text[160];
    int last = lua_gettop(L);
    bool has_table = last >= 2 && lua_type(L, last) == LUA_TTABLE && dlua_table_has_names(L, last);
    read_positional(L, call, has_table ? last - 1 : last);
    if (has_table) {
        dlua_check(L, dl_complete_arguments(call->layer, NULL, call->room));
        read_call_table(L, call, last);
    }
    call->symbolic = call->count > 0 && dlua_test_symbol(L, call->first) != NULL;
    for (int k = 0; k < call->count; k++) {
        int index = call->first + k;
        bool fits = call->symbolic ? dlua_test_symbol(L, index) != NULL : dlua_test_tensor(L, index) != NULL;
        if (!fits)
            dlua_raise(L, "%s: input %d must be a %s, got %s%s", call->layer->name, k + 1,
                       call->symbolic ? "symbolic input as the first is" : "tensor or a symbolic input",
                       dlua_describe(L, index, text, sizeof text),
                       k > 0 && lua_isboolean(L, index) ? "; options go by name, layer(x, { training = true })" : "");
    }
}

/* Runs the layer; inside a layer written in Lua as part of the step that this one belongs to, so that what the step
 * changes at its end, or takes back, is complete. */
static dl_status run_layer(const dlua_state *state, const layer_call *call, dl_tensor *const *in, dl_tensor **out,
                           int *outputs) {
    dl_spec specs[MOST_INPUTS], out_specs[DL_MAX_LAYER_OUTPUTS];
    if (state->layer_call == NULL)
        return dl_layer_apply(call->layer, in, call->count, call->arguments, out, outputs);
    for (int k = 0; k < call->count; k++)
        specs[k] = dl_spec_of_tensor(in[k]);
    dl_layer_call inner = {.context = state->context,
                           .training = state->layer_call->training,
                           .in = in,
                           .inputs = call->count,
                           .arguments = call->arguments,
                           .deferred = state->layer_call->deferred};
    dl_status status =
        dl_layer_infer(call->layer, &(dl_inputs){specs, call->count, call->arguments}, out_specs, outputs);
    if (status == DL_OK)
        status = dl_layer_run(call->layer, &inner);
    if (status != DL_OK)
        return status;
    *outputs = inner.outputs;
    for (int k = 0; k < inner.outputs; k++) {
        out[k] = inner.out[k];
        dl_release(inner.out_masks[k]);
    }
    return DL_OK;
}

static int apply(lua_State *L, const layer_call *call) {
    dl_tensor *in[MOST_INPUTS];
    dl_tensor *out[DL_MAX_LAYER_OUTPUTS] = {NULL};
    for (int k = 0; k < call->count; k++)
        in[k] = dlua_test_tensor(L, call->first + k);
    luaL_checkstack(L, DL_MAX_LAYER_OUTPUTS + 8, "too many inputs");
    dlua_push_user_table(L, 1);
    int owner = lua_gettop(L), outputs = 0;
    for (int k = 0; k < DL_MAX_LAYER_OUTPUTS; k++)
        dlua_new_tensor(L);
    dl_context *context = dlua_context(L);
    dlua_entry before = dlua_enter(L, owner);
    dl_status status;
    do {
        size_t mark = dl_scope_begin(context);
        status = run_layer(dlua_get_state(L), call, in, out, &outputs);
        for (int k = 0; status == DL_OK && k < outputs; k++)
            *(dl_tensor **)lua_touserdata(L, owner + 1 + k) = out[k];
        dl_scope_end(context, mark, NULL);
    } while (dlua_collect_for_memory(L, status));
    dlua_leave(before);
    dlua_check(L, status);
    dlua_collect_if_grown(L);
    lua_settop(L, owner + outputs);
    return outputs;
}

/* Every output's user value holds the layer and the inputs, so that layers written in Lua live as long as the graph. */
static int apply_symbolic(lua_State *L, const layer_call *call) {
    dl_symbol *in[MOST_INPUTS];
    dl_symbol *out[DL_MAX_LAYER_OUTPUTS] = {NULL};
    for (int k = 0; k < call->count; k++)
        in[k] = dlua_test_symbol(L, call->first + k);
    luaL_checkstack(L, DL_MAX_LAYER_OUTPUTS + 8, "too many inputs");
    lua_createtable(L, call->count + 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    for (int k = 0; k < call->count; k++) {
        lua_pushvalue(L, call->first + k);
        lua_rawseti(L, -2, k + 2);
    }
    int holds = lua_gettop(L), outputs = 0;
    dlua_push_user_table(L, 1);
    int owner = lua_gettop(L);
    for (int k = 0; k < DL_MAX_LAYER_OUTPUTS; k++) {
        dlua_new_symbol(L);
        lua_pushvalue(L, holds);
        lua_setiuservalue(L, -2, 1);
    }
    dlua_entry before = dlua_enter(L, owner);
    dl_status status = dl_layer_symbolic(call->layer, in, call->count, call->arguments, out, &outputs);
    for (int k = 0; status == DL_OK && k < outputs; k++)
        *(dl_symbol **)lua_touserdata(L, owner + 1 + k) = out[k];
    dlua_leave(before);
    dlua_check(L, status);
    lua_pushvalue(L, owner + 1);
    dlua_note_output(L);
    lua_settop(L, owner + outputs);
    return outputs;
}

int dlua_call_layer(lua_State *L) {
    dl_argument_room room;
    layer_call call = {.layer = dlua_test_layer(L, 1), .room = &room};
    read_call(L, &call);
    return call.symbolic ? apply_symbolic(L, &call) : apply(L, &call);
}

/* ---- reading and setting --------------------------------------------------------------------------------------- */

typedef enum weight_choice { ALL_WEIGHTS, TRAINABLE, NON_TRAINABLE, WEIGHT_NAMES } weight_choice;

static bool is_trainable(const dl_weight *weight) {
    return weight->trainable && dl_requires_grad(weight->value);
}

static void push_weights(lua_State *L, dl_layer *layer, weight_choice choice) {
    char path[512];
    int count = 0;
    lua_newtable(L);
    for (int64_t k = 0;; k++) {
        dl_weight *weight = dl_layer_weight(layer, k, path, sizeof path);
        if (weight == NULL)
            return;
        if ((choice == TRAINABLE && !is_trainable(weight)) || (choice == NON_TRAINABLE && is_trainable(weight)))
            continue;
        if (choice == WEIGHT_NAMES)
            lua_pushstring(L, path);
        else
            dlua_push_tensor(L, weight->value);
        lua_rawseti(L, -2, ++count);
    }
}

static void push_children(lua_State *L, dl_layer *layer) {
    lua_createtable(L, layer->child_count, 0);
    for (int k = 0; k < layer->child_count; k++) {
        dlua_push_object(L, &layer->children[k]->object);
        lua_rawseti(L, -2, k + 1);
    }
}

static dl_layer *check_layer(lua_State *L, const char *method) {
    char text[160];
    dl_layer *layer = dlua_test_layer(L, 1);
    if (layer == NULL)
        dlua_raise(L, "%s: call it as a method of a layer, got %s", method, dlua_describe(L, 1, text, sizeof text));
    return layer;
}

static int layer_count_params(lua_State *L) {
    lua_pushinteger(L, dl_layer_count_params(check_layer(L, "count_params"), lua_toboolean(L, 2)));
    return 1;
}

/* Reads a shape {dlua.none, 28, 28, 1}, batch included, at index. */
static dl_spec check_spec(lua_State *L, int index, dl_dtype dtype, const char *method) {
    char text[160];
    dl_spec spec = {.dtype = dtype};
    index = lua_absindex(L, index);
    if (lua_type(L, index) != LUA_TTABLE)
        dlua_raise(L, "%s: takes a shape such as {dlua.none, 28}, got %s", method,
                   dlua_describe(L, index, text, sizeof text));
    lua_Integer count = luaL_len(L, index);
    if (count > DL_MAX_DIMS)
        dlua_raise(L, "%s: a shape has at most %d sizes", method, DL_MAX_DIMS);
    for (; spec.dims < count; spec.dims++) {
        lua_rawgeti(L, index, spec.dims + 1);
        if (dlua_class_of(L, -1) == DLUA_NONE)
            spec.shape[spec.dims] = DL_NONE;
        else if (!dlua_to_integer(L, lua_gettop(L), &spec.shape[spec.dims]))
            dlua_raise(L, "%s: a size must be a whole number or dlua.none, got %s", method,
                       dlua_describe(L, -1, text, sizeof text));
        lua_pop(L, 1);
    }
    return spec;
}

/* The shapes at index 2: one, or a list of them. Returns how many. */
static int check_specs(lua_State *L, dl_layer *layer, const char *method, dl_spec specs[MOST_INPUTS]) {
    char text[160];
    if (lua_type(L, 2) != LUA_TTABLE)
        dlua_raise(L, "%s: takes the shape of the input with its batch, such as {dlua.none, 784}, got %s", method,
                   dlua_describe(L, 2, text, sizeof text));
    bool is_list = lua_rawgeti(L, 2, 1) == LUA_TTABLE;
    lua_pop(L, 1);
    if (!is_list) {
        specs[0] = check_spec(L, 2, layer->dtype, method);
        return 1;
    }
    lua_Unsigned length = lua_rawlen(L, 2);
    if (length > MOST_INPUTS)
        dlua_raise(L, "%s: takes the shapes of at most %d inputs, got %I", method, MOST_INPUTS, (LUAI_UACINT)length);
    int count = (int)length;
    for (int k = 0; k < count; k++) {
        lua_rawgeti(L, 2, k + 1);
        specs[k] = check_spec(L, -1, layer->dtype, method);
        lua_pop(L, 1);
    }
    return count;
}

/* layer:build {dlua.none, 784}: makes the weights for inputs of this shape. */
static int layer_build(lua_State *L) {
    dl_spec specs[MOST_INPUTS];
    dl_layer *layer = check_layer(L, "build");
    int count = check_specs(L, layer, "build", specs);
    dlua_push_user_table(L, 1);
    dlua_entry before = dlua_enter(L, lua_gettop(L));
    dl_status status = dl_layer_build(layer, &(dl_inputs){specs, count, NULL});
    if (status != DL_OK && count == 1 && specs[0].dims == 1)
        dl_fail_prefix("build: the shape counts the batch, such as {dlua.none, 784}");
    dlua_leave(before);
    dlua_check(L, status);
    return 0;
}

static int layer_compute_output_shape(lua_State *L) {
    dl_spec specs[MOST_INPUTS], out[DL_MAX_LAYER_OUTPUTS];
    dl_layer *layer = check_layer(L, "compute_output_shape");
    int count = check_specs(L, layer, "compute_output_shape", specs), outputs = 0;
    dlua_push_user_table(L, 1);
    dlua_entry before = dlua_enter(L, lua_gettop(L));
    dl_status status = dl_layer_infer(layer, &(dl_inputs){specs, count, NULL}, out, &outputs);
    dlua_leave(before);
    dlua_check(L, status);
    for (int k = 0; k < outputs; k++)
        dlua_push_spec(L, &out[k]);
    return outputs;
}

static int layer_get_config(lua_State *L) {
    dlua_push_config(L, &check_layer(L, "get_config")->object);
    return 1;
}

/* ---- the values of the weights --------------------------------------------------------------------------------- */

static dl_tensor *make_copy(dl_context *context, void *argument) {
    dl_tensor *values = dl_detach(argument);
    return values != NULL ? dl_clone(context, values) : NULL;
}

static int layer_reset_states(lua_State *L) {
    dl_layer_reset_states(check_layer(L, "reset_states"));
    return 0;
}

static int layer_get_weights(lua_State *L) {
    char path[512];
    dl_layer *layer = check_layer(L, "get_weights");
    lua_newtable(L);
    for (int64_t k = 0;; k++) {
        dl_weight *weight = dl_layer_weight(layer, k, path, sizeof path);
        if (weight == NULL)
            return 1;
        dlua_make_tensor(L, make_copy, weight->value);
        lua_rawseti(L, -2, k + 1);
    }
}

/* Checks value k (from 0) of the list at index 2 against the weight. */
static dl_tensor *check_weight_value(lua_State *L, int64_t k, const dl_weight *weight, const char *path) {
    char place[64], own[128], given[128];
    snprintf(place, sizeof place, "value %lld", (long long)k + 1);
    lua_rawgeti(L, 2, k + 1);
    dl_tensor *value = dlua_check_tensor(L, -1, "set_weights", place);
    lua_pop(L, 1);
    int dims = dl_tensor_dims(weight->value);
    const int64_t *shape = dl_tensor_shape(weight->value);
    if (dl_tensor_dims(value) != dims || memcmp(dl_tensor_shape(value), shape, (size_t)dims * sizeof *shape) != 0) {
        dl_shape_describe(dims, shape, own, sizeof own);
        dl_shape_describe(dl_tensor_dims(value), dl_tensor_shape(value), given, sizeof given);
        dlua_raise(L, "set_weights: %s has the shape %s, but %s the shape %s", path, own, place, given);
    }
    return value;
}

/* All values are checked before the first is copied. */
static int layer_set_weights(lua_State *L) {
    char path[512];
    dl_layer *layer = check_layer(L, "set_weights");
    if (lua_type(L, 2) != LUA_TTABLE)
        dlua_raise(L, "set_weights: values must be a list of tensors, as get_weights gives it, got %s",
                   dlua_describe(L, 2, path, sizeof path));
    int64_t count = 0, given = (int64_t)lua_rawlen(L, 2);
    while (dl_layer_weight(layer, count, path, sizeof path) != NULL)
        count++;
    if (given != count)
        dlua_raise(L, "set_weights: %s has %I weights%s, the list %I", layer->name, (LUAI_UACINT)count,
                   layer->built ? "" : " before it is built", (LUAI_UACINT)given);
    for (int64_t k = 0; k < count; k++)
        check_weight_value(L, k, dl_layer_weight(layer, k, path, sizeof path), path);
    dl_context *context = dlua_context(L);
    bool recorded = dl_set_grad_enabled(context, false);
    dl_status status = DL_OK;
    for (int64_t k = 0; status == DL_OK && k < count; k++) {
        lua_rawgeti(L, 2, k + 1);
        status = dl_copy_(dl_layer_weight(layer, k, path, sizeof path)->value, dlua_test_tensor(L, -1));
        lua_pop(L, 1);
    }
    dl_set_grad_enabled(context, recorded);
    dlua_check(L, status);
    return 0;
}

/* ---- methods and properties ------------------------------------------------------------------------------------ */

/* Of all layers, models among them. */
static const dlua_function layer_methods[] = {
    {"count_params", layer_count_params, "trainable_only = false: leaves out weights that training does not change",
     "The number of elements of all weights."},
    {"build", layer_build, "shape: of the input with its batch, such as {dlua.none, 784}; for several inputs a list",
     "Makes the weights for inputs of this shape."},
    {"compute_output_shape", layer_compute_output_shape,
     "shape: of the input with its batch; for several inputs a list",
     "The shape of the output for inputs of this shape."},
    {"reset_states", layer_reset_states, "",
     "Lets stateful recurrent layers in it begin the next batch with zeros, as they do after loading, and with a "
     "batch of any size."},
    {"get_weights", layer_get_weights, "", "Copies of all weights, in their order."},
    {"set_weights", layer_set_weights, "values: a list of tensors, as get_weights gives it",
     "Puts values into all weights, in their order."},
    {NULL, NULL, NULL, NULL},
};

/* Of layers that are no models. */
static const dlua_function more_methods[] = {
    {"get_config", layer_get_config, "",
     "The layer's class and arguments: {class_name =, version =, config =}; the class takes the config."},
    {"adapt", dlua_adapt, "data: a list of strings, or a tensor like the layer's inputs",
     "Learns the vocabulary from data, in place of the one before."},
    {"get_vocabulary", dlua_get_vocabulary, "special_tokens = true: false leaves out those for unknown tokens",
     "A list of the tokens by their ids."},
    {"set_vocabulary", dlua_set_vocabulary,
     "vocabulary: a list of tokens\n"
     "idf_weights = none: a list of their weights, for output_mode = \"tf_idf\"",
     "Sets the vocabulary."},
    {"vocabulary_size", dlua_vocabulary_size, "", "The highest id, which is an Embedding's input_dim."},
    {"add_weight", dlua_add_weight,
     "{name}: the weight is then self.NAME\n"
     "{shape}: a table of sizes\n"
     "{initializer = \"glorot_uniform\"}: what it is filled with\n"
     "{regularizer = none}: a penalty on it\n"
     "{constraint = none}: what it keeps to after each step of training\n"
     "{trainable = true}: whether training changes it",
     "Makes a weight, in the build of a layer written in Lua."},
    {"add_loss", dlua_add_loss, "penalty: a tensor of one element",
     "Adds a penalty to the loss of the step, in the call of a layer written in Lua."},
    {"assign_later", dlua_assign_later,
     "name: of the weight\n"
     "value: a tensor",
     "Gives a weight a value when the whole step has succeeded, in the call of a layer written in Lua."},
    {NULL, NULL, NULL, NULL},
};

static void push_name(lua_State *L, dl_layer *layer) {
    lua_pushstring(L, layer->name);
}

static void push_class_name(lua_State *L, dl_layer *layer) {
    lua_pushstring(L, layer->object.definition->name);
}

static void push_built(lua_State *L, dl_layer *layer) {
    lua_pushboolean(L, layer->built);
}

static void push_trainable(lua_State *L, dl_layer *layer) {
    lua_pushboolean(L, layer->trainable);
}

static void push_dtype(lua_State *L, dl_layer *layer) {
    lua_pushstring(L, dl_dtype_name(layer->dtype));
}

static void push_all_weights(lua_State *L, dl_layer *layer) {
    push_weights(L, layer, ALL_WEIGHTS);
}

static void push_trainable_weights(lua_State *L, dl_layer *layer) {
    push_weights(L, layer, TRAINABLE);
}

static void push_non_trainable_weights(lua_State *L, dl_layer *layer) {
    push_weights(L, layer, NON_TRAINABLE);
}

static void push_weight_names(lua_State *L, dl_layer *layer) {
    push_weights(L, layer, WEIGHT_NAMES);
}

/* What is read of a layer by name and is no field of its options. */
static const struct {
    const char *name;
    void (*push)(lua_State *L, dl_layer *layer);
    const char *help;
} properties[] = {
    {"name", push_name, "its name"},
    {"class_name", push_class_name, "the name of its class: 'Dense'"},
    {"built", push_built, "whether it has its weights"},
    {"trainable", push_trainable, "whether training changes its weights; may be set"},
    {"dtype", push_dtype, "of the weights and the computation"},
    {"weights", push_all_weights, "a list of all weights"},
    {"trainable_weights", push_trainable_weights, "a list of the weights that training changes"},
    {"non_trainable_weights", push_non_trainable_weights, "a list of the other weights"},
    {"weight_names", push_weight_names, "a list of the weights' paths, in the order of weights"},
    {"layers", push_children, "a list of the layers inside it"},
};
enum { PROPERTY_COUNT = sizeof properties / sizeof properties[0] };

static int push_property(lua_State *L, dl_layer *layer, const char *name) {
    for (int k = 0; k < PROPERTY_COUNT; k++)
        if (strcmp(name, properties[k].name) == 0) {
            properties[k].push(L, layer);
            return 1;
        }
    return 0;
}

void dlua_add_layer_properties(lua_State *L) {
    for (int k = 0; k < PROPERTY_COUNT; k++)
        dlua_note_property(L, -1, properties[k].name, properties[k].help);
}

void dlua_copy_layer_methods(lua_State *L) {
    for (const dlua_function *row = layer_methods; row->name != NULL; row++) {
        lua_pushcfunction(L, row->call);
        lua_setfield(L, -2, row->name);
    }
}

static int push_own_weight(lua_State *L, const dl_layer *layer, const char *name) {
    for (int k = 0; k < layer->weight_count; k++)
        if (strcmp(layer->weights[k].name, name) == 0) {
            dlua_push_tensor(L, layer->weights[k].value);
            return 1;
        }
    return 0;
}

int dlua_find_in_layer(lua_State *L, dl_layer *layer, const char *name) {
    lua_CFunction method = dlua_find_function(layer_methods, name);
    if (method == NULL)
        method = dlua_find_function(more_methods, name);
    if (method != NULL) {
        lua_pushcfunction(L, method);
        return 1;
    }
    if (push_property(L, layer, name) || push_own_weight(L, layer, name))
        return 1;
    if (dlua_is_custom(layer->object.definition) && lua_getiuservalue(L, 1, 1) == LUA_TTABLE) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, -2) != LUA_TNIL)
            return 1;
    }
    if (strcmp(name, "output") == 0 && dlua_push_layer_output(L, layer))
        return 1;
    return dlua_index_options(L, &layer->object, name);
}

static int index_layer(lua_State *L) {
    dl_layer *layer = dlua_test_layer(L, 1);
    const char *name = luaL_checkstring(L, 2);
    if (dlua_find_in_layer(L, layer, name))
        return 1;
    if (dlua_is_custom(layer->object.definition)) {
        lua_pushnil(L);
        return 1;
    }
    if (!layer->built)
        dlua_raise(L, "%s has no '%s'; its weights come when it is built, by its first call or build {shape}",
                   layer->object.definition->name, name);
    dlua_refuse_name(L, layer->object.definition->name, name);
}

void dlua_set_trainable(lua_State *L, dl_layer *layer) {
    char text[160];
    if (!lua_isboolean(L, 3))
        dlua_raise(L, "%s: trainable must be true or false, got %s", layer->name,
                   dlua_describe(L, 3, text, sizeof text));
    dl_layer_set_trainable(layer, lua_toboolean(L, 3));
}

static int set_layer(lua_State *L) {
    dl_layer *layer = dlua_test_layer(L, 1);
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "trainable") == 0) {
        dlua_set_trainable(L, layer);
        return 0;
    }
    if (!dlua_is_custom(layer->object.definition))
        dlua_raise(L, "%s: '%s' cannot be set; trainable can", layer->name, name);
    dlua_set_custom_field(L, layer);
    return 0;
}

void dlua_open_layers(lua_State *L) {
    static const dlua_function functions[] = {
        {"Input", input_function,
         "{shape}: of one sample, dlua.none where a size is free\n"
         "{batch_size = none}: samples in a batch\n"
         "{dtype = \"float32\"}: of the elements\n"
         "{name = none}: of the input",
         "A symbolic input: layers are called on it to make the graph of a model."},
        {NULL, NULL, NULL, NULL},
    };
    static const luaL_Reg symbol_functions[] = {
        {"__gc", release_symbol}, {"__tostring", symbol_to_string}, {"__index", index_symbol}, {NULL, NULL}};
    static const luaL_Reg layer_functions[] = {{"__gc", dlua_release_object}, {"__tostring", dlua_object_to_string},
                                               {"__call", dlua_call_layer},   {"__index", index_layer},
                                               {"__newindex", set_layer},     {NULL, NULL}};
    dlua_new_class(L, DLUA_SYMBOL, "dlua.Symbol", symbol_functions);
    dlua_add_symbol_arithmetic(L);
    dlua_new_class(L, DLUA_LAYER, "dlua.Layer", layer_functions);
    lua_pop(L, 2);
    dlua_add_functions(L, "dlua.", functions);
    lua_newtable(L);
    dlua_note_help(L, -1, "dlua.", "Layer", NULL,
                   "The methods and properties of layers; the layers themselves are in dlua.layers.");
    dlua_add_functions(L, "layer:", layer_methods);
    dlua_add_functions(L, "layer:", more_methods);
    dlua_add_layer_properties(L);
    lua_setfield(L, -2, "Layer");
    dlua_add_merge_functions(L);
}
