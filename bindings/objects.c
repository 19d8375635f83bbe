/* objects.c: definitions (layers.Dense) and their instances, for all families.
 *
 * Always true: an instance has at most one living userdata; the registry's weak table `instances` finds it by the
 * instance's address. A userdata holds one reference of its instance. */
#include "objects.h"

#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "base/base.h"
#include "configs.h"
#include "help.h"
#include "tensors.h"
#include "values.h"

static const char instances_key;   /* weak table: light userdata of a dl_object -> its userdata */
static const char definitions_key; /* table: light userdata of a dl_definition -> its userdata */

/* ---- testing --------------------------------------------------------------------------------------------------- */

const dlua_definition *dlua_test_definition(lua_State *L, int index) {
    return dlua_class_of(L, index) == DLUA_DEFINITION ? lua_touserdata(L, index) : NULL;
}

dl_object *dlua_test_object(lua_State *L, int index) {
    switch (dlua_class_of(L, index)) {
    case DLUA_OBJECT:
    case DLUA_OPTIMIZER:
    case DLUA_TOKENIZER:
    case DLUA_LAYER:
    case DLUA_MODEL:
        return *(dl_object **)lua_touserdata(L, index);
    default:
        return NULL;
    }
}

dl_layer *dlua_test_layer(lua_State *L, int index) {
    dlua_class class_ = dlua_class_of(L, index);
    return class_ == DLUA_LAYER || class_ == DLUA_MODEL ? *(dl_layer **)lua_touserdata(L, index) : NULL;
}

/* ---- userdata of instances ------------------------------------------------------------------------------------- */

static dlua_class class_of_family(const dl_family *family, const dl_definition *definition) {
    if (family == &dl_layer_family)
        return dlua_is_model(definition) ? DLUA_MODEL : DLUA_LAYER;
    if (family == &dl_tokenizer_family)
        return DLUA_TOKENIZER;
    return family == &dl_optimizer_family ? DLUA_OPTIMIZER : DLUA_OBJECT;
}

dl_object **dlua_new_object(lua_State *L, const dl_family *family, const dl_definition *definition) {
    dl_object **place = lua_newuserdatauv(L, sizeof *place, 1);
    *place = NULL;
    dlua_set_class(L, class_of_family(family, definition));
    return place;
}

void dlua_finish_object(lua_State *L, dl_object **place) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &instances_key);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, *place);
    lua_pop(L, 1);
}

void dlua_push_object(lua_State *L, dl_object *object) {
    if (object == NULL) {
        lua_pushnil(L);
        return;
    }
    luaL_checkstack(L, 6, "too many objects");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &instances_key);
    if (lua_rawgetp(L, -1, object) == LUA_TUSERDATA) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 2);
    dl_object **place = dlua_new_object(L, object->family, object->definition);
    dl_object_retain(object);
    *place = object;
    dlua_finish_object(L, place);
}

int dlua_release_object(lua_State *L) {
    dl_object **place = lua_touserdata(L, 1);
    dl_object_release(*place);
    *place = NULL;
    return 0;
}

void dlua_push_user_table(lua_State *L, int index) {
    index = lua_absindex(L, index);
    if (lua_getiuservalue(L, index, 1) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, 1);
}

/* ---- making instances ------------------------------------------------------------------------------------------ */

int dlua_construct(lua_State *L, const dl_family *family, const dl_definition *definition) {
    char text[160];
    if (lua_type(L, 2) != LUA_TTABLE || lua_gettop(L) > 2)
        dlua_raise(L, "%s: takes one table of arguments, %s { ... }, got %s", definition->name, definition->name,
                   lua_gettop(L) > 2 ? "several values" : dlua_describe(L, 2, text, sizeof text));
    dl_context *context = dlua_context(L);
    dl_object **place = dlua_new_object(L, family, definition);
    int result = lua_gettop(L);
    void *options = dlua_new_options(L, definition);
    luaL_checkstack(L, 16, "too many arguments");
    dl_status status = dlua_read_table(L, definition, options, 2);
    if (status == DL_OK)
        status = dl_object_create(context, family, definition, options, place);
    dl_options_clear(definition, options);
    dlua_check(L, status);
    lua_settop(L, result);
    dlua_finish_object(L, place);
    return 1;
}

dl_object *dlua_check_object(lua_State *L, int index, const dl_family *family, const char *where) {
    dl_object *own = dlua_test_object(L, index);
    if (own != NULL && own->family == family) {
        lua_pushvalue(L, index);
        return own;
    }
    dl_object *made = NULL;
    index = lua_absindex(L, index);
    dl_value *value = dlua_new_value_box(L);
    dl_status status = dlua_to_value(L, index, value);
    if (status == DL_OK)
        status = dlua_lower_config(dlua_context(L), family, value);
    if (status == DL_OK)
        status = dl_object_from_value(dlua_context(L), family, value, &made);
    if (status != DL_OK) {
        dl_fail_prefix("%s", where);
        dlua_raise_status(L, status);
    }
    /* The box keeps the reference until a userdata has its own. */
    dl_value_clear(value);
    *value = dl_value_object(made);
    dl_object_release(made);
    dlua_push_object(L, made);
    lua_remove(L, -2);
    return made;
}

/* ---- reading instances ----------------------------------------------------------------------------------------- */

int dlua_index_options(lua_State *L, const dl_object *object, const char *name) {
    const dl_field *field = dl_find_field(object->definition->fields, name);
    if (field == NULL)
        return 0;
    dlua_push_field(L, object->definition, object->options, field);
    return 1;
}

_Noreturn void dlua_refuse_name(lua_State *L, const char *of, const char *name) {
    dlua_raise(L, "%s has no '%s'", of, name);
}

int dlua_object_to_string(lua_State *L) {
    dl_object *object = dlua_test_object(L, 1);
    dl_layer *layer = dlua_test_layer(L, 1);
    if (layer != NULL)
        lua_pushfstring(L, "%s (%s)", object->definition->name, layer->name);
    else
        lua_pushfstring(L, "%s: %s", object->family->name, object->definition->name);
    return 1;
}

/* get_config() -> {class_name =, version =, config =}. */
static int object_get_config(lua_State *L) {
    dl_object *object = dlua_test_object(L, 1);
    luaL_argexpected(L, object != NULL, 1, "object");
    dlua_push_config(L, object);
    return 1;
}

/* ---- calls of instances ---------------------------------------------------------------------------------------- */

/* What a call of an instance works on. */
typedef struct object_call {
    lua_State *L;
    dl_object *object;
    dl_tensor *tensors[3];
    int dims;
    int64_t shape[DL_MAX_DIMS];
    dl_dtype dtype;
} object_call;

static dl_tensor *make_activated(dl_context *context, void *argument) {
    object_call *call = argument;
    (void)context;
    return dl_activate(call->object, call->tensors[0]);
}

/* A loss may be a Lua function, which is called in the thread that asks. */
static dl_tensor *make_loss(dl_context *context, void *argument) {
    object_call *call = argument;
    (void)context;
    dlua_state *state = dlua_get_state(call->L);
    lua_State *caller = state->caller;
    state->caller = call->L;
    dl_tensor *loss = dl_loss(call->object, call->tensors[0], call->tensors[1], NULL, call->tensors[2]);
    state->caller = caller;
    return loss;
}

static dl_tensor *make_penalty(dl_context *context, void *argument) {
    object_call *call = argument;
    (void)context;
    const dl_regularizer_def *definition = (const dl_regularizer_def *)(const void *)call->object->definition;
    return definition->call(call->object, call->tensors[0]);
}

static dl_tensor *make_constrained(dl_context *context, void *argument) {
    object_call *call = argument;
    (void)context;
    return dl_constrained(call->object, call->tensors[0]);
}

static dl_tensor *make_initialized(dl_context *context, void *argument) {
    object_call *call = argument;
    dl_tensor *tensor = dl_empty(context, call->dtype, call->dims, call->shape);
    dl_stream stream = dl_new_stream(context);
    if (tensor == NULL || dl_initialize(call->object, &stream, tensor) != DL_OK)
        return NULL;
    return tensor;
}

static int call_initializer(lua_State *L, object_call *call) {
    char text[160];
    if (lua_type(L, 2) != LUA_TTABLE)
        dlua_raise(L, "%s: call it with a shape, such as {3, 4}, got %s", call->object->definition->name,
                   dlua_describe(L, 2, text, sizeof text));
    lua_Integer count = luaL_len(L, 2);
    if (count > DL_MAX_DIMS)
        dlua_raise(L, "%s: a tensor has at most %d dimensions", call->object->definition->name, DL_MAX_DIMS);
    for (; call->dims < count; call->dims++) {
        lua_rawgeti(L, 2, call->dims + 1);
        if (!dlua_to_integer(L, lua_gettop(L), &call->shape[call->dims]))
            dlua_raise(L, "%s: a shape holds whole numbers, got %s", call->object->definition->name,
                       dlua_describe(L, -1, text, sizeof text));
        lua_pop(L, 1);
    }
    call->dtype = lua_isnoneornil(L, 3) ? DL_FLOAT32 : dlua_check_dtype(L, 3, call->object->definition->name);
    return dlua_make_tensor(L, make_initialized, call);
}

static int call_schedule(lua_State *L, const dl_object *object) {
    int64_t iteration;
    const dl_schedule_def *definition = (const dl_schedule_def *)(const void *)object->definition;
    if (!dlua_to_integer(L, 2, &iteration) || iteration < 0)
        dlua_raise(L, "%s: call it with the number of steps made so far, 0 or more", object->definition->name);
    lua_pushnumber(L, definition->rate(object, iteration));
    return 1;
}

/* object(...): an activation on x, a loss on target and prediction, an initializer on a shape, a regularizer or a
 * constraint on a weight, a schedule on a step's number. */
static int call_object(lua_State *L) {
    dl_object *object = dlua_test_object(L, 1);
    object_call call = {.L = L, .object = object};
    const char *name = object->definition->name;
    if (object->family == &dl_activation_family) {
        call.tensors[0] = dlua_check_tensor(L, 2, name, "x");
        return dlua_make_tensor(L, make_activated, &call);
    }
    if (object->family == &dl_loss_family) {
        call.tensors[0] = dlua_check_tensor(L, 2, name, "the target");
        call.tensors[1] = dlua_check_tensor(L, 3, name, "the prediction");
        call.tensors[2] = lua_isnoneornil(L, 4) ? NULL : dlua_check_tensor(L, 4, name, "the sample weights");
        return dlua_make_tensor(L, make_loss, &call);
    }
    if (object->family == &dl_regularizer_family) {
        call.tensors[0] = dlua_check_tensor(L, 2, name, "the weight");
        return dlua_make_tensor(L, make_penalty, &call);
    }
    if (object->family == &dl_constraint_family) {
        call.tensors[0] = dlua_check_tensor(L, 2, name, "the weight");
        return dlua_make_tensor(L, make_constrained, &call);
    }
    if (object->family == &dl_initializer_family)
        return call_initializer(L, &call);
    if (object->family == &dl_schedule_family)
        return call_schedule(L, object);
    dlua_raise(L, "%s: a %s is not called", name, object->family->name);
}

/* ---- metrics --------------------------------------------------------------------------------------------------- */

static dl_metric *check_metric(lua_State *L, const char *method) {
    char text[160];
    dl_object *object = dlua_test_object(L, 1);
    if (object == NULL || object->family != &dl_metric_family)
        dlua_raise(L, "%s: call it as a method of a metric, got %s", method, dlua_describe(L, 1, text, sizeof text));
    return (dl_metric *)object;
}

/* metric:update_state(target, prediction, sample_weight), or (values, sample_weight) of a metric without a target. */
static int metric_update_state(lua_State *L) {
    dl_metric *metric = check_metric(L, "update_state");
    bool values_only = ((const dl_metric_def *)(const void *)metric->object.definition)->values_only;
    int last = values_only ? 3 : 4;
    dl_tensor *target = values_only ? NULL : dlua_check_tensor(L, 2, "update_state", "the target");
    dl_tensor *prediction =
        dlua_check_tensor(L, last - 1, "update_state", values_only ? "the values" : "the prediction");
    dl_tensor *weights =
        lua_isnoneornil(L, last) ? NULL : dlua_check_tensor(L, last, "update_state", "the sample weights");
    dlua_state *state = dlua_get_state(L);
    lua_State *caller = state->caller;
    state->caller = L; /* a metric may be a Lua function */
    dl_status status = dl_metric_update(metric, target, prediction, weights);
    state->caller = caller;
    dlua_check(L, status);
    return 0;
}

void dlua_push_metric(lua_State *L, const dl_metric *metric) {
    dl_tensor **place = dlua_new_tensor(L);
    dlua_check(L, dl_metric_values(metric, place));
    if (*place != NULL)
        return;
    lua_pop(L, 1);
    lua_pushnumber(L, dl_metric_result(metric));
}

static int metric_result(lua_State *L) {
    dlua_push_metric(L, check_metric(L, "result"));
    return 1;
}

static int metric_reset_state(lua_State *L) {
    dl_metric_reset(check_metric(L, "reset_state"));
    return 0;
}

static const dlua_function metric_methods[] = {
    {"update_state", metric_update_state,
     "target: what is right; a metric without a target takes its values here\n"
     "prediction: what the model says\n"
     "sample_weight = none: a weight for each sample",
     "Adds samples to what is measured."},
    {"result", metric_result, "", "The metric over all samples since the last reset."},
    {"reset_state", metric_reset_state, "", "Forgets all samples."},
    {"get_config", object_get_config, "",
     "The class and the arguments: {class_name =, version =, config =}; the class takes the config."},
    {NULL, NULL, NULL, NULL},
};

static int index_object(lua_State *L) {
    dl_object *object = dlua_test_object(L, 1);
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "get_config") == 0) {
        lua_pushcfunction(L, object_get_config);
        return 1;
    }
    if (object->family == &dl_metric_family) {
        lua_CFunction method = dlua_find_function(metric_methods, name);
        if (method != NULL) {
            lua_pushcfunction(L, method);
            return 1;
        }
        if (strcmp(name, "name") == 0) {
            lua_pushstring(L, ((dl_metric *)object)->name);
            return 1;
        }
    }
    if (dlua_index_options(L, object, name))
        return 1;
    dlua_refuse_name(L, object->definition->name, name);
}

/* ---- definitions ----------------------------------------------------------------------------------------------- */

void dlua_push_definition(lua_State *L, const dl_family *family, const dl_definition *definition) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &definitions_key);
    if (lua_rawgetp(L, -1, definition) == LUA_TNIL) {
        lua_pop(L, 1);
        dlua_definition *made = lua_newuserdatauv(L, sizeof *made, 1);
        *made = (dlua_definition){.family = family, .definition = definition};
        dlua_keep_names(L, definition->fields);
        dlua_set_class(L, DLUA_DEFINITION);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, -3, definition);
    }
    lua_remove(L, -2);
}

/* layers.Dense {...}; an activation may also be called on a tensor: activations.relu(x). */
static int call_definition(lua_State *L) {
    const dlua_definition *self = dlua_test_definition(L, 1);
    if (dlua_is_model(self->definition) && self->family == &dl_layer_family)
        return dlua_construct_model(L, self->definition);
    bool on_value = lua_type(L, 2) == LUA_TUSERDATA || lua_gettop(L) > 2;
    if (on_value && self->family != &dl_layer_family && self->family != &dl_optimizer_family &&
        self->family != &dl_metric_family) {
        /* An instance with the defaults, called on the values. */
        lua_pushvalue(L, 1);
        dlua_check_object(L, lua_gettop(L), self->family, self->definition->name);
        lua_replace(L, 1);
        lua_pop(L, 1);
        return call_object(L);
    }
    return dlua_construct(L, self->family, self->definition);
}

static int definition_to_string(lua_State *L) {
    const dlua_definition *self = dlua_test_definition(L, 1);
    lua_pushfstring(L, "%s %s", self->family->name, self->definition->name);
    return 1;
}

static int index_definition(lua_State *L) {
    const dlua_definition *self = dlua_test_definition(L, 1);
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "name") == 0)
        lua_pushstring(L, self->definition->name);
    else if (strcmp(name, "family") == 0)
        lua_pushstring(L, self->family->name);
    else
        dlua_refuse_name(L, self->definition->name, name);
    return 1;
}

/* ---- families: dlua.layers and the like ------------------------------------------------------------------------ */

/* family[name]: aliases and definitions made at run time too; an unknown name is an error with the nearest. Upvalue:
 * the family. */
static int index_family(lua_State *L) {
    const dl_family *family = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tostring(L, 2);
    dl_context *context = dlua_context(L);
    const dl_definition *definition = dl_find_definition(context, family, name);
    if (definition != NULL) {
        dlua_push_definition(L, family, definition);
        return 1;
    }
    const char *nearest = dl_nearest_definition(context, family, name);
    if (nearest != NULL)
        dlua_raise(L, "there is no %s '%s'; did you mean '%s'?", family->name, name, nearest);
    dlua_raise(L, "there is no %s '%s'", family->name, name);
}

static void push_family(lua_State *L, const dl_family *family) {
    lua_newtable(L);
    for (const dl_definition *const *row = family->definitions; *row != NULL; row++) {
        dlua_push_definition(L, family, *row);
        lua_setfield(L, -2, (*row)->name);
    }
    lua_createtable(L, 0, 1);
    lua_pushlightuserdata(L, (void *)family);
    lua_pushcclosure(L, index_family, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

static void open_classes(lua_State *L) {
    static const luaL_Reg object_functions[] = {{"__gc", dlua_release_object},
                                                {"__tostring", dlua_object_to_string},
                                                {"__call", call_object},
                                                {"__index", index_object},
                                                {NULL, NULL}};
    static const luaL_Reg definition_functions[] = {
        {"__call", call_definition}, {"__tostring", definition_to_string}, {"__index", index_definition}, {NULL, NULL}};
    dlua_new_class(L, DLUA_OBJECT, "dlua.Object", object_functions);
    dlua_new_class(L, DLUA_DEFINITION, "dlua.Definition", definition_functions);
    lua_pop(L, 2);
}

void dlua_open_objects(lua_State *L) {
    static const struct {
        const char *name;
        const dl_family *family;
        const char *help;
    } families[] = {
        {"layers", &dl_layer_family, "The layers that models are made of, and define, which makes new ones."},
        {"activations", &dl_activation_family, "Functions that follow a layer, by name or on a tensor."},
        {"initializers", &dl_initializer_family, "What the weights of a new layer are filled with."},
        {"regularizers", &dl_regularizer_family, "Penalties on weights or outputs that are added to the loss."},
        {"constraints", &dl_constraint_family, "What weights keep to after each step of training."},
        {"losses", &dl_loss_family, "What training makes small: of a target and a prediction."},
        {"metrics", &dl_metric_family, "What is measured beside the loss."},
        {"text", &dl_tokenizer_family, "Tokenizers, which turn texts into ids and back, and load for saved ones."},
        {"optimizers", &dl_optimizer_family,
         "How a step changes the weights; their schedules are in dlua.optimizers.schedules."}};
    open_classes(L);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &instances_key);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &definitions_key);
    for (size_t k = 0; k < sizeof families / sizeof families[0]; k++) {
        push_family(L, families[k].family);
        dlua_add_table(L, families[k].name, families[k].help);
    }
    lua_getfield(L, -1, "optimizers");
    push_family(L, &dl_schedule_family);
    dlua_note_help(L, -1, "dlua.optimizers.", "schedules", NULL, "Learning rates that change with the steps.");
    lua_setfield(L, -2, "schedules");
    lua_pop(L, 1);
    lua_newtable(L);
    dlua_add_functions(L, "metric:", metric_methods);
    dlua_add_table(L, "Metric", "The methods of metrics; the metrics themselves are in dlua.metrics.");
}
