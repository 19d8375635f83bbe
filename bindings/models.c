/* models.c: models as the Lua library builds on them: a step, a test, a prediction, files. What users call on top
 * (fit, evaluate, predict, summary) is written in Lua and added to the class table dlua.Model, which holds the methods
 * of all models.
 *
 *      model:compile {...}   model:train_batch(x, y, weights)   model:test_batch(x, y, weights)
 *      model:predict_batch(x, batch_size) -> y ...   model:logs() -> {"loss", loss = 0.3}   model:reset_metrics()
 *
 * Always true: the user value of a model holds the userdata of its layers, and what Lua code keeps on it
 * (model.stop_training = true). */
#include "objects.h"

#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "base/text.h"
#include "dlua/layers.h"
#include "help.h"
#include "tensors.h"

#define MOST_TENSORS 64

dl_model *dlua_check_model(lua_State *L, const char *method) {
    char text[160];
    if (dlua_class_of(L, 1) != DLUA_MODEL)
        dlua_raise(L, "%s: call it as a method of a model, model:%s(...), got %s", method, method,
                   dlua_describe(L, 1, text, sizeof text));
    return *(dl_model **)lua_touserdata(L, 1);
}

bool dlua_is_model(const dl_definition *definition) {
    return definition == &dl_layer_sequential.definition || definition == &dl_layer_functional.definition;
}

/* ---- construction ---------------------------------------------------------------------------------------------- */

/* The model's name in the table at 2, which stays on the stack; NULL: none. */
static const char *read_name(lua_State *L, const char *function) {
    char text[160];
    if (lua_getfield(L, 2, "name") == LUA_TNIL)
        return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        dlua_raise(L, "%s: name must be a string, got %s", function, dlua_describe(L, -1, text, sizeof text));
    return lua_tostring(L, -1);
}

/* Refuses names other than `name` in the table at 2, whose entries by place are layers. */
static void check_only_name(lua_State *L, const char *function) {
    static const char *const known[] = {"name"};
    dlua_check_names(L, 2, function, known, 1);
}

/* Makes an InputLayer of the symbol at the top, in its place on the stack: Sequential {Input {...}, ...}. */
static dl_layer *input_layer_of(lua_State *L) {
    const dl_definition *definition = &dl_layer_input.definition;
    const dl_spec *spec = dl_symbol_spec(dlua_test_symbol(L, -1));
    dl_object **place = dlua_new_object(L, &dl_layer_family, definition);
    dl_input_options options;
    dl_options_init(definition, &options, sizeof options);
    options.batch_size = spec->shape[0];
    options.dtype = spec->dtype;
    options.shape.count = spec->dims - 1;
    memcpy(options.shape.at, spec->shape + 1, (size_t)options.shape.count * sizeof spec->shape[0]);
    dlua_check(L, dl_object_create(dlua_context(L), &dl_layer_family, definition, &options, place));
    dlua_finish_object(L, place);
    lua_replace(L, -2);
    return (dl_layer *)*place;
}

/* The layer at the top of the stack, for place k of a Sequential. */
static dl_layer *check_member(lua_State *L, const char *function, int k) {
    char text[160];
    if (k == 1 && dlua_test_symbol(L, -1) != NULL)
        return input_layer_of(L);
    dl_layer *layer = dlua_test_layer(L, -1);
    if (layer == NULL)
        dlua_raise(L, "%s: layer %d must be a layer, got %s", function, k, dlua_describe(L, -1, text, sizeof text));
    return layer;
}

/* Sequential { layer, layer, ..., name = } */
static int construct_sequential(lua_State *L) {
    check_only_name(L, "Sequential");
    const char *name = read_name(L, "Sequential");
    lua_Integer count = 0;
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1))
            count++;
    }
    dl_layer **layers = lua_newuserdatauv(L, (size_t)count * sizeof *layers + 1, 0);
    dl_object **place = dlua_new_object(L, &dl_layer_family, &dl_layer_sequential.definition);
    int model = lua_gettop(L);
    dlua_push_user_table(L, model);
    for (int k = 1; k <= count; k++) {
        if (lua_rawgeti(L, 2, k) == LUA_TNIL)
            dlua_raise(L, "Sequential: layer %d is nil: is a variable misspelt?", k);
        layers[k - 1] = check_member(L, "Sequential", k);
        lua_rawseti(L, model + 1, k);
    }
    dlua_entry before = dlua_enter(L, model + 1);
    dl_model *made = NULL;
    dl_status status = dl_model_sequential(dlua_context(L), name, layers, (int)count, &made);
    dlua_leave(before);
    *place = (dl_object *)made;
    dlua_check(L, status);
    lua_settop(L, model);
    dlua_finish_object(L, place);
    return 1;
}

/* Reads the symbols in field `name` of the table at 2, one or a list, into symbols[]; the user table at index `holds`
 * keeps them as a list under the same name. */
static int read_symbols(lua_State *L, const char *name, int holds, dl_symbol *symbols[MOST_TENSORS]) {
    char text[160];
    int count = 1;
    lua_newtable(L);
    lua_getfield(L, 2, name);
    bool is_list = lua_type(L, -1) == LUA_TTABLE;
    if (is_list && dlua_table_has_names(L, -1))
        dlua_raise(L, "Model: %s is a symbolic tensor or a list of them, { a, b }, got a table with names; a name is "
                   "given to the layer, Input { ..., name = \"a\" }, and then fit takes x = { a = ... }", name);
    if (is_list)
        count = (int)lua_rawlen(L, -1);
    if (count > MOST_TENSORS)
        dlua_raise(L, "Model: at most %d %s, got %d", MOST_TENSORS, name, count);
    for (int k = 0; k < count; k++) {
        if (is_list)
            lua_rawgeti(L, -1, k + 1);
        else
            lua_pushvalue(L, -1);
        symbols[k] = dlua_test_symbol(L, -1);
        if (symbols[k] == NULL)
            dlua_raise(L, "Model: %s must be symbolic, as dlua.Input {...} gives and layers called on it, got %s", name,
                       dlua_describe(L, -1, text, sizeof text));
        lua_rawseti(L, -3, k + 1);
    }
    lua_pop(L, 1);
    lua_setfield(L, holds, name);
    return count;
}

/* Model { inputs, outputs, name = } */
static int construct_functional(lua_State *L) {
    dl_symbol *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
    static const char *const names[] = {"inputs", "outputs", "name"};
    dlua_name_positions(L, "Model", names, 3);
    const char *name = read_name(L, "Model");
    dl_object **place = dlua_new_object(L, &dl_layer_family, &dl_layer_functional.definition);
    int model = lua_gettop(L);
    dlua_push_user_table(L, model);
    int input_count = read_symbols(L, "inputs", model + 1, inputs);
    int output_count = read_symbols(L, "outputs", model + 1, outputs);
    dlua_entry before = dlua_enter(L, model + 1);
    dl_model *made = NULL;
    dl_status status = dl_model_functional(dlua_context(L), name, inputs, input_count, outputs, output_count, &made);
    dlua_leave(before);
    *place = (dl_object *)made;
    dlua_check(L, status);
    lua_settop(L, model);
    dlua_finish_object(L, place);
    return 1;
}

int dlua_construct_model(lua_State *L, const dl_definition *definition) {
    char text[160];
    const char *name = definition == &dl_layer_sequential.definition ? "Sequential" : "Model";
    if (lua_type(L, 2) != LUA_TTABLE || lua_gettop(L) > 2)
        dlua_raise(L, "%s: takes one table, %s { ... }, got %s", name, name,
                   lua_gettop(L) > 2 ? "several values" : dlua_describe(L, 2, text, sizeof text));
    return definition == &dl_layer_sequential.definition ? construct_sequential(L) : construct_functional(L);
}

static int call_sequential(lua_State *L) {
    lua_pushnil(L);
    lua_insert(L, 1);
    return dlua_construct_model(L, &dl_layer_sequential.definition);
}

static int call_model_class(lua_State *L) {
    return dlua_construct_model(L, &dl_layer_functional.definition);
}

/* model:add(layer), of a Sequential. */
static int model_add(lua_State *L) {
    dl_model *model = dlua_check_model(L, "add");
    lua_settop(L, 2);
    bool is_first = dl_model_layer(model, 0) == NULL;
    dl_layer *layer = check_member(L, "add", is_first ? 1 : 2);
    dlua_push_user_table(L, 1);
    dlua_entry before = dlua_enter(L, 3);
    dl_status status = dl_model_add(model, layer);
    dlua_leave(before);
    dlua_check(L, status);
    lua_pushvalue(L, 2);
    lua_rawseti(L, 3, (lua_Integer)lua_rawlen(L, 3) + 1);
    lua_settop(L, 1);
    return 1;
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

/* One tensor or a list of them at index, into tensors[]; returns how many. nil gives none. A list has `least` entries
 * or more; those that are nil or none are NULL. */
static int read_tensors(lua_State *L, int index, const char *function, const char *argument, int least,
                        dl_tensor *tensors[MOST_TENSORS]) {
    char place[64];
    if (lua_isnoneornil(L, index))
        return 0;
    if (lua_type(L, index) != LUA_TTABLE) {
        tensors[0] = dlua_check_tensor(L, index, function, argument);
        return 1;
    }
    int count = (int)lua_rawlen(L, index);
    count = count < least ? least : count;
    if (count > MOST_TENSORS)
        dlua_raise(L, "%s: at most %d tensors in %s, got %d", function, MOST_TENSORS, argument, count);
    for (int k = 0; k < count; k++) {
        lua_rawgeti(L, index, k + 1);
        snprintf(place, sizeof place, "%s[%d]", argument, k + 1);
        tensors[k] = dlua_is_none(L, -1) ? NULL : dlua_check_tensor(L, -1, function, place);
        lua_pop(L, 1);
    }
    return count;
}

typedef dl_status (*step_function)(dl_model *model, dl_tensor *const *x, dl_tensor *const *y,
                                   dl_tensor *const *weights);

static void check_step_counts(lua_State *L, const char *function, const dl_model *model, int inputs, int targets,
                              int weights) {
    int own_inputs = dl_model_inputs(model) > 0 ? dl_model_inputs(model) : 1;
    int own_outputs = dl_model_outputs(model) > 0 ? dl_model_outputs(model) : 1;
    if (inputs != own_inputs)
        dlua_raise(L, "%s: the model has %d inputs, but x holds %d tensors", function, own_inputs, inputs);
    if (targets != own_outputs)
        dlua_raise(L, "%s: the model has %d outputs, but y holds %d tensors", function, own_outputs, targets);
    if (weights != 0 && weights != own_outputs)
        dlua_raise(L, "%s: the model has %d outputs, but there are sample weights for %d", function, own_outputs,
                   weights);
}

/* model:train_batch(x, y, weights): tensors, or lists of them for several inputs and outputs. */
static int run_step(lua_State *L, const char *function, step_function step) {
    dl_tensor *x[MOST_TENSORS], *y[MOST_TENSORS], *weights[MOST_TENSORS];
    dl_model *model = dlua_check_model(L, function);
    int inputs = read_tensors(L, 2, function, "x", 0, x);
    int targets = read_tensors(L, 3, function, "y", dl_model_outputs(model), y);
    int weight_count = read_tensors(L, 4, function, "weights", dl_model_outputs(model), weights);
    check_step_counts(L, function, model, inputs, targets, weight_count);
    dlua_push_user_table(L, 1);
    dlua_entry before = dlua_enter(L, lua_gettop(L));
    dl_status status;
    do
        status = step(model, x, y, weight_count > 0 ? weights : NULL);
    while (dlua_collect_for_memory(L, status));
    dlua_leave(before);
    dlua_check(L, status);
    dlua_collect_if_grown(L);
    return 0;
}

static int model_train_batch(lua_State *L) {
    return run_step(L, "train_batch", dl_model_train_batch);
}

static int model_test_batch(lua_State *L) {
    return run_step(L, "test_batch", dl_model_test_batch);
}

static int model_reset_metrics(lua_State *L) {
    dl_model_reset_metrics(dlua_check_model(L, "reset_metrics"));
    return 0;
}

/* model:logs() -> {"loss", "accuracy", loss = 0.3, accuracy = 0.9}: the names in order, and the values since the last
 * reset by name. */
static int model_logs(lua_State *L) {
    double value;
    dl_model *model = dlua_check_model(L, "logs");
    lua_newtable(L);
    for (int k = 0;; k++) {
        const char *name = dl_model_log(model, k, &value);
        if (name == NULL)
            return 1;
        lua_pushstring(L, name);
        lua_rawseti(L, -2, k + 1);
        const dl_metric *metric = dl_model_log_metric(model, k);
        if (metric != NULL)
            dlua_push_metric(L, metric);
        else
            lua_pushnumber(L, value);
        lua_setfield(L, -2, name);
    }
}

/* model:predict_batch(x, batch_size) -> y ...: inference in batches of batch_size (32). */
static int model_predict_batch(lua_State *L) {
    dl_tensor *x[MOST_TENSORS];
    dl_tensor *out[MOST_TENSORS] = {NULL};
    int64_t batch_size = 32;
    dl_model *model = dlua_check_model(L, "predict_batch");
    int inputs = read_tensors(L, 2, "predict_batch", "x", 0, x);
    if (!lua_isnoneornil(L, 3) && (!dlua_to_integer(L, 3, &batch_size) || batch_size < 1))
        dlua_raise(L, "predict_batch: batch_size must be a whole number of at least 1");
    dlua_push_user_table(L, 1);
    int owner = lua_gettop(L);
    luaL_checkstack(L, DL_MAX_LAYER_OUTPUTS + 8, "too many outputs");
    for (int k = 0; k < DL_MAX_LAYER_OUTPUTS; k++)
        dlua_new_tensor(L);
    dl_context *context = dlua_context(L);
    dlua_entry before = dlua_enter(L, owner);
    dl_status status;
    do {
        size_t mark = dl_scope_begin(context);
        status = dl_model_predict(model, x, inputs, batch_size, out);
        for (int k = 0; status == DL_OK && k < dl_model_outputs(model); k++)
            *(dl_tensor **)lua_touserdata(L, owner + 1 + k) = out[k];
        dl_scope_end(context, mark, NULL);
    } while (dlua_collect_for_memory(L, status));
    dlua_leave(before);
    dlua_check(L, status);
    dlua_collect_if_grown(L);
    lua_settop(L, owner + dl_model_outputs(model));
    return dl_model_outputs(model);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static int push_layers(lua_State *L, dl_model *model) {
    lua_newtable(L);
    for (int k = 0;; k++) {
        dl_layer *layer = dl_model_layer(model, k);
        if (layer == NULL)
            return 1;
        dlua_push_object(L, &layer->object);
        lua_rawseti(L, -2, k + 1);
    }
}

/* model:get_layer(name or position) */
static int model_get_layer(lua_State *L) {
    int64_t place = 0;
    dl_model *model = dlua_check_model(L, "get_layer");
    bool by_place = dlua_to_integer(L, 2, &place);
    const char *name = by_place ? NULL : luaL_checkstring(L, 2);
    for (int k = 0;; k++) {
        dl_layer *layer = dl_model_layer(model, k);
        if (layer == NULL)
            break;
        if (by_place ? k + 1 == place : strcmp(layer->name, name) == 0) {
            if (model->built)
                dlua_note_layer_outputs(L, model);
            dlua_push_object(L, &layer->object);
            return 1;
        }
    }
    if (by_place)
        dlua_raise(L, "get_layer: there is no layer %I", (LUAI_UACINT)place);
    dlua_raise(L, "get_layer: there is no layer named '%s'", name);
}

/* The shapes of all inputs or outputs, in a list; none before a Sequential is built. */
static int push_specs(lua_State *L, dl_model *model, bool inputs) {
    int count = inputs ? dl_model_inputs(model) : dl_model_outputs(model);
    lua_createtable(L, count, 0);
    for (int k = 0; k < count; k++) {
        dlua_push_spec(L, inputs ? dl_model_input_spec(model, k) : dl_model_output_spec(model, k));
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

static int push_output_names(lua_State *L, dl_model *model) {
    int count = dl_model_outputs(model);
    lua_createtable(L, count, 0);
    for (int k = 0; k < count; k++) {
        lua_pushstring(L, dl_model_output_name(model, k));
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

static int push_input_names(lua_State *L, dl_model *model) {
    int count = dl_model_inputs(model);
    lua_createtable(L, count, 0);
    for (int k = 0; k < count; k++) {
        lua_pushstring(L, dl_model_input_name(model, k));
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

/* The graph's calls in their order, each {layer =, output_shape =, inputs = {names of layers}}. */
static int push_calls(lua_State *L, dl_model *model) {
    dl_model_call call;
    lua_newtable(L);
    for (int k = 0; dl_model_get_call(model, k, &call); k++) {
        lua_createtable(L, 0, 3);
        dlua_push_object(L, &call.layer->object);
        lua_setfield(L, -2, "layer");
        dlua_push_spec(L, &call.output);
        lua_setfield(L, -2, "output_shape");
        lua_createtable(L, call.inputs, 0);
        for (int i = 0; i < call.inputs; i++) {
            const dl_layer *from = dl_model_call_input(model, k, i);
            lua_pushstring(L, from != NULL ? from->name : "input");
            lua_rawseti(L, -2, i + 1);
        }
        lua_setfield(L, -2, "inputs");
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

static int push_input_specs(lua_State *L, dl_model *model) {
    return push_specs(L, model, true);
}

static int push_output_specs(lua_State *L, dl_model *model) {
    return push_specs(L, model, false);
}

static int push_optimizer(lua_State *L, dl_model *model) {
    dlua_push_object(L, (dl_object *)dl_model_optimizer(model));
    return 1;
}

/* What is read of a model by name; without a function: what lies on its user value. */
typedef struct property {
    const char *name;
    int (*push)(lua_State *L, dl_model *model);
    const char *help;
} property;

static const property properties[] = {
    {"layers", push_layers, NULL}, /* all layers have them, with help */
    {"inputs", dlua_push_model_inputs, "a list of the symbolic inputs, for another model that begins there"},
    {"outputs", dlua_push_model_outputs, "a list of the symbolic outputs, for more layers to be called on"},
    {"input_shapes", push_input_specs, "a list of the inputs' shapes"},
    {"output_shapes", push_output_specs, "a list of the outputs' shapes"},
    {"input_names", push_input_names, "a list of the inputs' names"},
    {"output_names", push_output_names, "a list of the outputs' names"},
    {"calls", push_calls, "a list of the graph's calls, {layer =, output_shape =, inputs = names of layers}"},
    {"optimizer", push_optimizer, "what compile was given, or nil"},
    {"stop_training", NULL, "set it to true in a callback to end fit"},
    {NULL, NULL, NULL},
};

static int push_property(lua_State *L, dl_model *model, const char *name) {
    for (const property *row = properties; row->name != NULL; row++)
        if (row->push != NULL && strcmp(row->name, name) == 0)
            return row->push(L, model);
    return 0;
}

/* Upvalue: the class table dlua.Model. */
static int index_model(lua_State *L) {
    dl_model *model = dlua_check_model(L, "index");
    const char *name = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (push_property(L, model, name))
        return 1;
    if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, -2) != LUA_TNIL)
            return 1;
    }
    if (dlua_find_in_layer(L, model, name))
        return 1;
    if (strcmp(name, DLUA_TRAINING_STATE) == 0 || strcmp(name, DLUA_FUNCTIONS) == 0 ||
        strcmp(name, "stop_training") == 0) {
        lua_pushnil(L); /* no fit has set it yet */
        return 1;
    }
    /* Methods that the library's files have not added yet, or the error that there is none. */
    lua_pushvalue(L, 2);
    lua_gettable(L, lua_upvalueindex(1));
    return 1;
}

/* Refuses to set what a model tells of itself, which would stay as it is, and a misspelt name of what can be set. */
static void check_settable(lua_State *L, dl_model *model, const char *name) {
    static const char *const settable[] = {"trainable", "stop_training", DLUA_TRAINING_STATE};
    dl_nearest nearest = dl_nearest_begin(name);
    for (size_t k = 0; k < sizeof settable / sizeof settable[0]; k++) {
        if (strcmp(name, settable[k]) == 0)
            return;
        dl_nearest_offer(&nearest, settable[k]);
    }
    int top = lua_gettop(L);
    if (push_property(L, model, name) || dlua_find_in_layer(L, model, name))
        dlua_raise(L, "%s: '%s' cannot be set", model->name, name);
    lua_settop(L, top);
    /* The beginning of a name, such as `train`, may be meant as it stands. */
    if (nearest.best != NULL && strncmp(nearest.best, name, strlen(name)) != 0)
        dlua_raise(L, "%s: '%s' cannot be set; did you mean '%s'?", model->name, name, nearest.best);
}

/* model.NAME = value: trainable, or a value that Lua code keeps on the model. */
static int set_model(lua_State *L) {
    dl_model *model = dlua_check_model(L, "assign");
    const char *name = luaL_checkstring(L, 2);
    check_settable(L, model, name);
    if (strcmp(name, "trainable") == 0) {
        dlua_set_trainable(L, model);
        return 0;
    }
    dlua_push_user_table(L, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, -3);
    return 0;
}

#define STEP_ARGUMENTS                                                                                                 \
    "x: the input, or a list of tensors for several\n"                                                                 \
    "y: the target, or a list of tensors for several outputs\n"                                                        \
    "weights = none: of the samples, one tensor an output"

static const dlua_function methods[] = {
    {"add", model_add, "layer: goes after the last one", "Adds a layer to a Sequential; returns the model."},
    {"compile", dlua_compile_model,
     "{optimizer = \"rmsprop\"}: a name or an optimizer\n"
     "{loss = none}: a name, a loss or a function(target, prediction); for several outputs a table\n"
     "{loss_weights = none}: a number for each output\n"
     "{metrics = none}: a list of names, metrics or functions; for several outputs a table of lists",
     "Says how the model is trained; returns it."},
    {"train_batch", model_train_batch, STEP_ARGUMENTS, "One step of training; logs() then has its loss and metrics."},
    {"test_batch", model_test_batch, STEP_ARGUMENTS, "Adds a batch to the loss and the metrics, without training."},
    {"predict_batch", model_predict_batch,
     "x: the input, or a list of tensors for several\n"
     "batch_size = 32: samples at a time",
     "The outputs for x, one value each; predict is this with named arguments."},
    {"reset_metrics", model_reset_metrics, "", "Begins loss and metrics anew."},
    {"logs", model_logs, "", "Loss and metrics since the last reset: their names in order, and the values by name."},
    {"get_layer", model_get_layer, "which: the layer's name, or its place from 1",
     "One of the model's layers; it has its symbolic output then, to call other layers on."},
    {NULL, NULL, NULL, NULL},
};
#undef STEP_ARGUMENTS

static const char sequential_arguments[] = "{layers...}: the layers in their order; the first may be an Input\n"
                                           "{name = none}: of the model; made from the class if none";
static const char sequential_help[] = "A model that is a chain of layers.";
static const char model_arguments[] = "{inputs}: a symbolic input of dlua.Input, or a list of them\n"
                                      "{outputs}: what layers called on them gave, or a list\n"
                                      "{name = none}: of the model; made from the class if none";
static const char model_help[] = "A model that is a graph of layers called on symbolic inputs. dlua.Model holds the "
                                 "methods of all models.";

/* The class table itself is called to make a model: dlua.Model { inputs =, outputs = }. */
static void add_model_class(lua_State *L) {
    dlua_note_help(L, -1, "dlua.", "Model", model_arguments, model_help);
    dlua_add_functions(L, "model:", methods);
    dlua_copy_layer_methods(L);
    dlua_add_layer_properties(L);
    for (const property *row = properties; row->name != NULL; row++)
        if (row->help != NULL)
            dlua_note_property(L, -1, row->name, row->help);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, call_model_class);
    lua_setfield(L, -2, "__call");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "Model");
}

/* In dlua.layers the two are called as dlua.Sequential and dlua.Model are. */
static void note_definitions(lua_State *L) {
    dlua_push_definition(L, &dl_layer_family, &dl_layer_sequential.definition);
    dlua_note_help(L, -1, "dlua.layers.", "Sequential", sequential_arguments, sequential_help);
    dlua_push_definition(L, &dl_layer_family, &dl_layer_functional.definition);
    dlua_note_help(L, -1, "dlua.layers.", "Functional", model_arguments, model_help);
    lua_pop(L, 2);
}

void dlua_open_models(lua_State *L) {
    static const luaL_Reg metamethods[] = {{"__gc", dlua_release_object},
                                           {"__tostring", dlua_object_to_string},
                                           {"__call", dlua_call_layer},
                                           {"__newindex", set_model},
                                           {NULL, NULL}};
    static const dlua_function functions[] = {
        {"Sequential", call_sequential, sequential_arguments, sequential_help},
        {NULL, NULL, NULL, NULL},
    };
    lua_newtable(L);
    dlua_new_class(L, DLUA_MODEL, "dlua.Model", metamethods);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, index_model, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    add_model_class(L);
    dlua_add_functions(L, "dlua.", functions);
    note_definitions(L);
}
