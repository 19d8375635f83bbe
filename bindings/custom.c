/* custom.c: layers written in Lua.
 *
 *      local Scale = dlua.layers.define {
 *        name = "Scale",
 *        fields = {{name = "factor", kind = "real", default = 1, help = "what x is multiplied by"}},
 *        build = function(self, shape) self:add_weight {name = "gain", shape = {shape[#shape]}} end,
 *        call = function(self, x, training) return x * self.gain * self.factor end,
 *        compute_output_shape = function(self, shape) return shape end,      -- if it differs and call cannot tell
 *        state_size = 32,     -- of a cell, which RNN runs: a number, a list of them, or a function of self
 *      }
 *
 * `training` is true in a step of training. A layer that is called on several inputs, layer {a, b}, gets them as one
 * table, {a, b}, and their shapes in build and compute_output_shape as a table of shapes; call may return several
 * tensors.
 *
 * The definition becomes one of the engine's, known to the context by its name, so the layer works in every model and
 * in saved files. The engine calls back through build, infer and call below:
 *
 *      engine -> custom_call -> lua_pcall(protected_call) -> the Lua function
 *
 * Always true: no Lua error crosses a frame of the engine; it becomes DL_CALLBACK with Lua's message, whose place waits
 * in the state until the error is raised again.
 * What a layer keeps (self.NAME) lies in the user value of its userdata, and that userdata hangs on the model or the
 * layer that is being run; the registry holds only what is common to all instances. */
#include "objects.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "fields.h"
#include "help.h"
#include "nn/nn.h"
#include "tensor/tensor.h"
#include "tensors.h"
#include "values.h"

static const char functions_key; /* table: light userdata of a definition -> the table given to define */
static const char owner_key;     /* what new userdata of layers hang on while the engine runs */
static const char shapes_key;    /* weak table: userdata of a layer -> what its calls gave, see push_known_shapes */

typedef struct custom_options {
    dl_layer_options layer;
} custom_options;

static const dl_field common_fields[] = {DL_LAYER_FIELDS(custom_options)};

/* A definition made by define. */
typedef struct custom {
    dl_layer_def definition;
    dlua_state *state;
} custom;

/* ---- entering the engine --------------------------------------------------------------------------------------- */

dlua_entry dlua_enter(lua_State *L, int owner) {
    dlua_state *state = dlua_get_state(L);
    luaL_checkstack(L, 4, "too many calls inside each other");
    owner = lua_absindex(L, owner);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &owner_key);
    lua_pushvalue(L, owner);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &owner_key);
    dlua_entry before = {.L = L, .caller = state->caller, .owner = lua_gettop(L)};
    state->caller = L;
    return before;
}

void dlua_leave(dlua_entry before) {
    lua_State *L = before.L;
    lua_pushvalue(L, before.owner);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &owner_key);
    dlua_get_state(L)->caller = before.caller;
}

/* Pushes the layer's userdata and hangs it on the owner. */
static void push_self(lua_State *L, dl_layer *layer) {
    dlua_push_object(L, &layer->object);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &owner_key) == LUA_TTABLE) {
        lua_pushvalue(L, -2);
        lua_rawsetp(L, -2, layer);
    }
    lua_pop(L, 1);
}

/* ---- calls from the engine into Lua ---------------------------------------------------------------------------- */

/* What one callback works on; protected functions get its address. */
typedef struct callback {
    dl_layer *layer;
    const dl_spec *in;
    int inputs;
    dl_spec *out;
    int *outputs;
    dl_layer_call *call;
} callback;

static custom *custom_of(const dl_layer *layer) {
    return layer->object.definition->user;
}

/* How long the "file:line: " is that the message begins with; 0 if it begins with none. */
static size_t place_length(const char *message) {
    for (const char *colon = strchr(message, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        size_t digits = strspn(colon + 1, "0123456789");
        if (digits > 0 && strncmp(colon + 1 + digits, ": ", 2) == 0)
            return (size_t)(colon - message) + 1 + digits + 2;
    }
    return 0;
}

static int message_of_error(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

dl_status dlua_run_protected(dlua_state *state, const char *name, lua_CFunction function, void *argument) {
    lua_State *L = state->caller;
    if (L == NULL)
        return dl_fail(DL_STATE, "%s is written in Lua and can only run when Lua calls the model", name);
    if (!lua_checkstack(L, 8))
        return dl_fail(DL_MEMORY, "Lua's stack is full");
    lua_pushcfunction(L, message_of_error);
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, argument);
    if (lua_pcall(L, 1, 0, -3) == LUA_OK) {
        lua_pop(L, 1);
        return DL_OK;
    }
    const char *message = lua_tostring(L, -1);
    if (message == NULL)
        message = "error in code written in Lua";
    size_t place = place_length(message);
    snprintf(state->place, sizeof state->place, "%.*s", (int)place, message);
    dl_status status = dl_fail(DL_CALLBACK, "%s", message + place);
    lua_pop(L, 2);
    return status;
}

static dl_status run_protected(lua_CFunction function, callback *c) {
    return dlua_run_protected(custom_of(c->layer)->state, c->layer->object.definition->name, function, c);
}

/* Pushes the function `name` of the layer's definition; false pushes nothing. */
static bool push_function(lua_State *L, const dl_layer *layer, const char *name) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
    lua_rawgetp(L, -1, layer->object.definition);
    bool found = lua_getfield(L, -1, name) == LUA_TFUNCTION;
    lua_replace(L, -3);
    lua_pop(L, 1);
    if (!found)
        lua_pop(L, 1);
    return found;
}

/* The inputs' shapes: one table, or for several inputs a list of tables. */
static void push_shapes(lua_State *L, const callback *c) {
    if (c->inputs == 1) {
        dlua_push_spec(L, &c->in[0]);
        return;
    }
    lua_createtable(L, c->inputs, 0);
    for (int k = 0; k < c->inputs; k++) {
        dlua_push_spec(L, &c->in[k]);
        lua_rawseti(L, -2, k + 1);
    }
}

static int protected_build(lua_State *L) {
    callback *c = lua_touserdata(L, 1);
    if (!push_function(L, c->layer, "build"))
        return 0;
    push_self(L, c->layer);
    push_shapes(L, c);
    lua_call(L, 2, 0);
    return 0;
}

static dl_status custom_build(dl_layer *layer, const dl_inputs *inputs) {
    callback c = {.layer = layer, .in = inputs->specs, .inputs = inputs->count};
    return run_protected(protected_build, &c);
}

static int protected_call(lua_State *L) {
    char text[160];
    callback *c = lua_touserdata(L, 1);
    dl_layer_call *call = c->call;
    const char *name = c->layer->object.definition->name;
    push_function(L, c->layer, "call");
    push_self(L, c->layer);
    if (call->inputs == 1) {
        dlua_push_tensor(L, call->in[0]);
    } else {
        lua_createtable(L, call->inputs, 0);
        for (int k = 0; k < call->inputs; k++) {
            dlua_push_tensor(L, call->in[k]);
            lua_rawseti(L, -2, k + 1);
        }
    }
    lua_pushboolean(L, call->training);
    lua_call(L, 3, LUA_MULTRET);
    int count = lua_gettop(L) - 1;
    if (count < 1 || count > DL_MAX_LAYER_OUTPUTS)
        return luaL_error(L, "%s: call returned %d values; it must return 1 to %d tensors", name, count,
                          DL_MAX_LAYER_OUTPUTS);
    for (int k = 0; k < count; k++) {
        dl_tensor *tensor = dlua_test_tensor(L, k + 2);
        if (tensor == NULL)
            return luaL_error(L, "%s: call must return a tensor, got %s", name,
                              dlua_describe(L, k + 2, text, sizeof text));
        dl_retain(tensor);
        call->out[k] = dl_scope_add(call->context, tensor);
        if (call->out[k] == NULL)
            return luaL_error(L, "%s: %s", name, dl_last_error());
    }
    call->outputs = count;
    return 0;
}

static dl_status custom_call(dl_layer *layer, dl_layer_call *call) {
    callback c = {.layer = layer, .call = call};
    dlua_state *state = custom_of(layer)->state;
    dl_layer_call *before = state->layer_call;
    state->layer_call = call;
    dl_status status = run_protected(protected_call, &c);
    state->layer_call = before;
    return status;
}

/* ---- shapes of outputs ----------------------------------------------------------------------------------------- */

/* The shape in the table at the top as output k. */
static void read_output_shape(lua_State *L, callback *c, int k) {
    char text[160];
    dl_spec *out = &c->out[k];
    const char *name = c->layer->object.definition->name;
    int64_t size;
    *out = (dl_spec){.dtype = c->layer->dtype};
    if (lua_type(L, k + 2) != LUA_TTABLE)
        luaL_error(L, "%s: compute_output_shape must return a shape, got %s", name,
                   dlua_describe(L, k + 2, text, sizeof text));
    lua_Integer count = luaL_len(L, k + 2);
    if (count > DL_MAX_DIMS)
        luaL_error(L, "%s: a shape has at most %d sizes", name, DL_MAX_DIMS);
    for (; out->dims < count; out->dims++) {
        lua_rawgeti(L, k + 2, out->dims + 1);
        bool is_none = dlua_class_of(L, -1) == DLUA_NONE;
        if (!is_none && (!dlua_to_integer(L, lua_gettop(L), &size) || size < 0))
            luaL_error(L, "%s: compute_output_shape gave %s for a size", name, dlua_describe(L, -1, text, sizeof text));
        out->shape[out->dims] = is_none ? DL_NONE : size;
        lua_pop(L, 1);
    }
}

/* A layer without compute_output_shape is called on zeros to see what comes, once for the same inputs: the shapes are
 * kept until Lua code sets a field of a built layer outside of a call. It may be a field of another layer, which this
 * one calls, so all are forgotten then. */
static void forget_shapes(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &shapes_key);
}

/* Pushes the layer's table of what its calls gave: from the inputs' specs to the outputs', both as bytes. */
static void push_known_shapes(lua_State *L, dl_layer *layer) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &shapes_key);
    push_self(L, layer);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Pushes the inputs' specs as bytes, without the room that shapes of fewer dimensions leave. */
static void push_specs_as_key(lua_State *L, const callback *c) {
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (int k = 0; k < c->inputs; k++)
        luaL_addlstring(&buffer, (const char *)&c->in[k],
                        offsetof(dl_spec, shape) + (size_t)c->in[k].dims * sizeof c->in[k].shape[0]);
    luaL_pushresult(&buffer);
}

/* Keeps what infer_by_call found. */
static int protected_note_shapes(lua_State *L) {
    callback *c = lua_touserdata(L, 1);
    push_known_shapes(L, c->layer);
    push_specs_as_key(L, c);
    lua_pushlstring(L, (const char *)c->out, (size_t)*c->outputs * sizeof *c->out);
    lua_rawset(L, -3);
    return 0;
}

static void recall_shapes(lua_State *L, callback *c) {
    push_known_shapes(L, c->layer);
    push_specs_as_key(L, c);
    lua_rawget(L, -2);
    size_t length = 0;
    const char *known = lua_tolstring(L, -1, &length);
    if (known != NULL)
        memcpy(c->out, known, length);
    *c->outputs = (int)(length / sizeof *c->out);
}

/* Leaves 0 outputs where only a call can tell. */
static int protected_infer(lua_State *L) {
    callback *c = lua_touserdata(L, 1);
    *c->outputs = 0;
    if (!push_function(L, c->layer, "compute_output_shape")) {
        recall_shapes(L, c);
        return 0;
    }
    push_self(L, c->layer);
    push_shapes(L, c);
    lua_call(L, 2, LUA_MULTRET);
    int count = lua_gettop(L) - 1;
    if (count < 1 || count > DL_MAX_LAYER_OUTPUTS)
        return luaL_error(L, "%s: compute_output_shape must return a shape for each output",
                          c->layer->object.definition->name);
    for (int k = 0; k < count; k++)
        read_output_shape(L, c, k);
    *c->outputs = count;
    return 0;
}

/* Zeros of the spec, a free batch as one sample; of the open scope. NULL after a failure. */
static dl_tensor *sample_input(dl_layer *layer, const dl_spec *in) {
    int64_t shape[DL_MAX_DIMS];
    for (int dim = 0; dim < in->dims; dim++) {
        if (in->shape[dim] == DL_NONE && dim > 0) {
            dl_fail(DL_SHAPE, "%s: the inputs have free sizes, so the definition needs compute_output_shape",
                    layer->object.definition->name);
            return NULL;
        }
        shape[dim] = in->shape[dim] == DL_NONE ? 1 : in->shape[dim];
    }
    return dl_zeros(layer->object.context, in->dtype, in->dims, shape);
}

/* Without compute_output_shape: calls the layer on zeros and sees what comes. */
static dl_status infer_by_call(dl_layer *layer, const dl_spec *in, int inputs, dl_spec *out, int *outputs) {
    enum { MOST = 64 };
    dl_tensor *samples[MOST];
    dl_context *context = layer->object.context;
    dl_deferred deferred = {.context = context};
    dl_layer_call call = {.context = context, .in = samples, .inputs = inputs, .deferred = &deferred};
    dl_status status = inputs <= MOST ? DL_OK : dl_fail(DL_INVALID, "at most %d inputs", MOST);
    bool grad = dl_set_grad_enabled(context, false);
    size_t mark = dl_scope_begin(context);
    for (int k = 0; status == DL_OK && k < inputs; k++) {
        samples[k] = sample_input(layer, &in[k]);
        if (samples[k] == NULL)
            status = dl_last_status();
    }
    if (status == DL_OK)
        status = custom_call(layer, &call);
    for (int k = 0; status == DL_OK && k < call.outputs; k++) {
        out[k] = dl_spec_of_tensor(call.out[k]);
        if (out[k].dims > 0 && in[0].dims > 0 && in[0].shape[0] == DL_NONE)
            out[k].shape[0] = DL_NONE;
    }
    *outputs = call.outputs;
    dl_scope_end(context, mark, NULL);
    dl_set_grad_enabled(context, grad);
    dl_deferred_rollback(&deferred);
    dl_deferred_free(&deferred);
    return status;
}

static dl_status custom_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    dl_layer *own = (dl_layer *)layer; /* a callback sees the layer as any Lua code does */
    callback c = {.layer = own, .in = inputs->specs, .inputs = inputs->count, .out = out, .outputs = outputs};
    dl_status status = run_protected(protected_infer, &c);
    if (status != DL_OK || *outputs > 0)
        return status;
    status = infer_by_call(own, inputs->specs, inputs->count, out, outputs);
    return status == DL_OK ? run_protected(protected_note_shapes, &c) : status;
}

/* ---- cells of recurrent networks --------------------------------------------------------------------------------- */

/* What protected_states works on. */
typedef struct states_callback {
    dl_layer *layer;
    dl_cell_states *out;
} states_callback;

/* Pushes the entry of the definition, called with self if it is a function. */
static int push_size(lua_State *L, dl_layer *layer, const char *name) {
    if (push_function(L, layer, name)) {
        push_self(L, layer);
        lua_call(L, 1, 1);
        return lua_type(L, -1);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
    lua_rawgetp(L, -1, layer->object.definition);
    return lua_getfield(L, -1, name);
}

static int64_t check_size(lua_State *L, const dl_layer *layer, const char *name) {
    char text[160];
    int64_t size = 0;
    if (!dlua_to_integer(L, lua_gettop(L), &size) || size < 1)
        luaL_error(L, "%s: %s must be a whole number of at least 1, or a list of such, got %s",
                   layer->object.definition->name, name, dlua_describe(L, -1, text, sizeof text));
    return size;
}

static int protected_states(lua_State *L) {
    states_callback *c = lua_touserdata(L, 1);
    *c->out = (dl_cell_states){.count = 1};
    if (push_size(L, c->layer, "state_size") == LUA_TTABLE) {
        lua_Integer count = luaL_len(L, -1);
        if (count < 1 || count > DL_MAX_STATES)
            return luaL_error(L, "%s: state_size has %d sizes; a cell has 1 to %d states",
                              c->layer->object.definition->name, (int)count, DL_MAX_STATES);
        c->out->count = (int)count;
        for (int k = 0; k < (int)count; k++) {
            lua_rawgeti(L, -1, k + 1);
            c->out->sizes[k] = check_size(L, c->layer, "state_size");
            lua_pop(L, 1);
        }
    } else {
        c->out->sizes[0] = check_size(L, c->layer, "state_size");
    }
    bool has_output = push_size(L, c->layer, "output_size") != LUA_TNIL;
    c->out->output = has_output ? check_size(L, c->layer, "output_size") : c->out->sizes[0];
    return 0;
}

static dl_status custom_states(const dl_layer *layer, dl_cell_states *out) {
    states_callback c = {.layer = (dl_layer *)layer, .out = out};
    return dlua_run_protected(custom_of(layer)->state, layer->object.definition->name, protected_states, &c);
}

bool dlua_is_custom(const dl_definition *definition) {
    return ((const dl_layer_def *)(const void *)definition)->call == custom_call;
}

/* ---- self ------------------------------------------------------------------------------------------------------ */

static dl_layer *check_custom(lua_State *L, const char *method) {
    char text[160];
    dl_layer *layer = dlua_test_layer(L, 1);
    if (layer == NULL || !dlua_is_custom(layer->object.definition))
        dlua_raise(L, "%s: is a method of layers written in Lua, got %s", method,
                   dlua_describe(L, 1, text, sizeof text));
    return layer;
}

/* Whether the name is one that the engine made up: the class in snake case, "conv2d", or numbered, "conv2d_3". */
static bool is_made_up(const dl_layer *layer) {
    const char *name = layer->name;
    const char *class_ = layer->object.definition->name;
    size_t length = strlen(name), digits = length;
    while (digits > 0 && isdigit((unsigned char)name[digits - 1]))
        digits--;
    if (digits < length && digits > 0 && name[digits - 1] == '_')
        length = digits - 1;
    for (size_t k = 0; k < length; k++)
        if (name[k] != '_' && tolower((unsigned char)*class_++) != name[k])
            return false;
    return *class_ == '\0';
}

/* Makes the layer a child. Made-up names are numbered as layers come into being; so that weights have the same path in
 * a model that is loaded, such a child is called after the field that holds it. */
static void adopt(lua_State *L, dl_layer *layer, dl_layer *child, const char *field, int place) {
    char name[128];
    for (int k = 0; k < layer->child_count; k++)
        if (layer->children[k] == child)
            return;
    dlua_check(L, dl_layer_add_child(layer, child));
    if (!is_made_up(child))
        return;
    snprintf(name, sizeof name, place > 0 ? "%.100s_%d" : "%.100s", field, place);
    char *kept = dl_strdup(child->object.context, name);
    if (kept == NULL)
        dlua_raise_status(L, DL_MEMORY);
    dl_layer_options *options = child->object.options;
    dl_free(options->name);
    options->name = kept;
    child->name = kept;
}

void dlua_set_custom_field(lua_State *L, dl_layer *layer) {
    dl_layer *child = dlua_test_layer(L, 3);
    if (child != NULL)
        adopt(L, layer, child, lua_tostring(L, 2), 0);
    if (lua_type(L, 3) == LUA_TTABLE) {
        int count = (int)lua_rawlen(L, 3);
        for (int k = 1; k <= count; k++) {
            lua_rawgeti(L, 3, k);
            if (dlua_test_layer(L, -1) != NULL)
                adopt(L, layer, dlua_test_layer(L, -1), lua_tostring(L, 2), k);
            lua_pop(L, 1);
        }
    }
    dlua_push_user_table(L, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, -3);
    if (layer->built && dlua_get_state(L)->layer_call == NULL)
        forget_shapes(L);
}

/* The weight's shape in field `shape` of the table at 2. */
static int check_shape(lua_State *L, int64_t shape[DL_MAX_DIMS]) {
    char text[160];
    if (lua_getfield(L, 2, "shape") != LUA_TTABLE)
        dlua_raise(L, "add_weight: shape must be a table of sizes, got %s", dlua_describe(L, -1, text, sizeof text));
    int dims = (int)lua_rawlen(L, -1);
    if (dims > DL_MAX_DIMS)
        dlua_raise(L, "add_weight: at most %d dimensions", DL_MAX_DIMS);
    for (int dim = 0; dim < dims; dim++) {
        lua_rawgeti(L, -1, dim + 1);
        if (!dlua_to_integer(L, lua_gettop(L), &shape[dim]) || shape[dim] < 0)
            dlua_raise(L, "add_weight: a size of the shape must be a whole number that is known, got %s",
                       dlua_describe(L, -1, text, sizeof text));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return dims;
}

/* Refuses what is no name and names that are not known, in the table at index. */
static void check_all_named(lua_State *L, int index, const char *function, const char *const *known, int count) {
    dlua_check(L, dlua_check_positions(L, index, function, NULL, 0));
    dlua_check_names(L, index, function, known, count);
}

int dlua_add_weight(lua_State *L) {
    int64_t shape[DL_MAX_DIMS];
    dl_layer *layer = check_custom(L, "add_weight");
    luaL_checktype(L, 2, LUA_TTABLE);
    static const char *const known[] = {"name", "shape", "initializer", "regularizer", "constraint", "trainable"};
    check_all_named(L, 2, "add_weight", known, DL_COUNT(known));
    if (lua_getfield(L, 2, "name") != LUA_TSTRING)
        dlua_raise(L, "add_weight: name must be a string");
    const char *name = lua_tostring(L, -1);
    int dims = check_shape(L, shape);
    if (lua_getfield(L, 2, "initializer") == LUA_TNIL)
        lua_pushliteral(L, "glorot_uniform");
    dl_object *initializer = dlua_check_object(L, -1, &dl_initializer_family, "add_weight: initializer");
    dl_object *regularizer = NULL;
    lua_getfield(L, 2, "regularizer");
    if (!dlua_is_none(L, -1))
        regularizer = dlua_check_object(L, -1, &dl_regularizer_family, "add_weight: regularizer");
    bool trainable = lua_getfield(L, 2, "trainable") == LUA_TNIL || lua_toboolean(L, -1);
    dl_object *constraint = NULL;
    lua_getfield(L, 2, "constraint");
    if (!dlua_is_none(L, -1))
        constraint = dlua_check_object(L, -1, &dl_constraint_family, "add_weight: constraint");
    dlua_check(L, dl_layer_add_weight(layer, name, dims, shape, initializer, regularizer, trainable));
    dlua_check(L, dl_layer_constrain(layer, constraint));
    dlua_push_tensor(L, layer->weights[layer->weight_count - 1].value);
    return 1;
}

static dl_layer_call *check_call(lua_State *L, const char *method) {
    dl_layer_call *call = dlua_get_state(L)->layer_call;
    if (call == NULL)
        dlua_raise(L, "%s: only inside a layer's call", method);
    return call;
}

/* self:add_loss(penalty): added to the loss of the step. */
int dlua_add_loss(lua_State *L) {
    check_custom(L, "add_loss");
    dl_tensor *penalty = dlua_check_tensor(L, 2, "add_loss", "the penalty");
    dlua_check(L, dl_layer_add_loss(check_call(L, "add_loss"), penalty));
    return 0;
}

/* self:assign_later(name, value): the weight has this value when the whole step has succeeded (moving averages). */
int dlua_assign_later(lua_State *L) {
    dl_layer *layer = check_custom(L, "assign_later");
    const char *name = luaL_checkstring(L, 2);
    dl_tensor *value = dlua_check_tensor(L, 3, "assign_later", "the value");
    for (int k = 0; k < layer->weight_count; k++)
        if (strcmp(layer->weights[k].name, name) == 0) {
            dlua_check(L, dl_layer_assign_later(check_call(L, "assign_later"), layer, k, value));
            return 0;
        }
    dlua_raise(L, "assign_later: the layer has no weight named '%s'", name);
}

/* ---- define ---------------------------------------------------------------------------------------------------- */

static void check_function(lua_State *L, const char *name, bool required) {
    char text[160];
    int type = lua_getfield(L, 1, name);
    if (type != LUA_TFUNCTION && (required || type != LUA_TNIL))
        dlua_raise(L, "define: %s must be a function, got %s", name, dlua_describe(L, -1, text, sizeof text));
    lua_pop(L, 1);
}

/* The string in field `key` of the copy at index 2, which keeps it; NULL if there is none. */
static const char *text_of(lua_State *L, const char *key) {
    lua_getfield(L, 2, key);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1);
    return text;
}

/* Fills the definition from the copy of the user's table at index 2; the fields' userdata is at the top. */
static void fill_definition(lua_State *L, custom *made, const dlua_fields *fields) {
    lua_getfield(L, 2, "version");
    lua_getfield(L, 2, "any_dtype");
    made->definition = (dl_layer_def){
        .definition = {.name = text_of(L, "name"),
                       .version = lua_isinteger(L, -2) ? (int)lua_tointeger(L, -2) : 1,
                       .help = text_of(L, "help") != NULL ? text_of(L, "help") : "A layer written in Lua.",
                       .formula = text_of(L, "formula"),
                       .source = text_of(L, "source"),
                       .shapes = text_of(L, "shapes"),
                       .fields = fields->fields,
                       .options_size = fields->options_size,
                       .user = made},
        .minimum_inputs = 1,
        .build = custom_build,
        .infer = custom_infer,
        .call = custom_call,
        .flags = lua_toboolean(L, -1) ? DL_LAYER_ANY_DTYPE : 0,
    };
    if (lua_getfield(L, 2, "state_size") != LUA_TNIL)
        made->definition.states = custom_states;
    lua_pop(L, 3);
}

static int define_layer(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    static const char *const known[] = {
        "name", "call", "build", "compute_output_shape", "fields", "help", "formula", "source", "shapes", "version",
        "any_dtype", "state_size", "output_size"};
    check_all_named(L, 1, "define", known, DL_COUNT(known));
    check_function(L, "call", true);
    check_function(L, "build", false);
    check_function(L, "compute_output_shape", false);
    lua_getfield(L, 1, "name");
    if (lua_type(L, -1) != LUA_TSTRING)
        dlua_raise(L, "define: name must be a string, the class's name as Keras writes them: 'Scale'");
    dl_context *context = dlua_context(L);
    const dl_definition *other = dl_find_definition(context, &dl_layer_family, lua_tostring(L, -1));
    if (other != NULL && !dlua_is_custom(other))
        dlua_raise(L, "define: there is a layer '%s' already; choose another name", lua_tostring(L, -1));
    lua_settop(L, 1);
    lua_newtable(L); /* 2: a copy, so that later changes of the user's table do not matter */
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    lua_getfield(L, 2, "fields");
    dlua_fields *fields = dlua_new_fields(L, 3, text_of(L, "name"), sizeof(dl_layer_options), common_fields, true);
    lua_rawseti(L, 2, 1);
    custom *made = lua_newuserdatauv(L, sizeof *made, 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 2, 2);
    made->state = dlua_get_state(L);
    fill_definition(L, made, fields);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, &made->definition.definition);
    dlua_check(L, dl_add_definition(context, &dl_layer_family, &made->definition.definition));
    dlua_push_definition(L, &dl_layer_family, &made->definition.definition);
    return 1;
}

void dlua_open_custom_layers(lua_State *L) {
    static const dlua_function functions[] = {
        {"define", define_layer,
         "{name}: of the class, as Keras writes them: 'Scale'\n"
         "{call}: function(self, x, training) that returns the output; x is a table of tensors for several inputs\n"
         "{build = none}: function(self, shape) that makes weights with self:add_weight { ... }\n"
         "{compute_output_shape = none}: function(self, shape); without it call is tried on zeros\n"
         "{fields = none}: a list of the arguments {name =, kind =, default =, min =, max =, help =, required =}\n"
         "{help = none}: one line on what the layer does\n"
         "{formula = none}: how the output is computed\n"
         "{source = none}: the paper\n"
         "{shapes = none}: of inputs and outputs, in words\n"
         "{version = 1}: of the arguments, for saved models\n"
         "{any_dtype = false}: takes inputs of every dtype as they are",
         "A layer written in Lua; it works in every model and in saved files."},
        {NULL, NULL, NULL, NULL},
    };
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &functions_key);
    forget_shapes(L);
    lua_getfield(L, -1, "layers");
    dlua_add_functions(L, "dlua.layers.", functions);
    lua_pop(L, 1);
}
