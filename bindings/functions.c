/* functions.c: losses and metrics that are Lua functions.
 *
 *      model:compile { loss = function(y_true, y_pred) return (y_true - y_pred):abs() end, metrics = { r2 } }
 *      dlua.losses.LossFunctionWrapper { f, name = "distance", reduction = "sum" }
 *      dlua.metrics.MeanMetricWrapper { f, name = "r2" }
 *
 * A function gives a value for each sample, which is weighted and reduced like any other loss, or one number for the
 * batch. Always true: the function lies in the user value of its object's userdata, which whoever uses the object
 * keeps; the definitions are not in the registry of the engine, since no file can hold a function. */
#include "objects.h"

#include <ctype.h>

#include "arguments.h"
#include "nn/nn.h"
#include "tensor/tensor.h"
#include "tensors.h"

/* What one call works on. */
typedef struct function_call {
    const dl_object *object;
    dl_tensor *target, *prediction;
    dl_tensor *result; /* of the open scope */
} function_call;

/* ---- calls from the engine ------------------------------------------------------------------------------------- */

static int protected_call(lua_State *L) {
    char text[160];
    function_call *call = lua_touserdata(L, 1);
    dlua_push_object(L, (dl_object *)call->object);
    dlua_push_user_table(L, -1);
    if (lua_rawgeti(L, -1, 1) != LUA_TFUNCTION)
        return luaL_error(L, "its function is gone; keep the object as long as it is used");
    dlua_push_tensor(L, call->target);
    dlua_push_tensor(L, call->prediction);
    lua_call(L, 2, 1);
    dl_tensor *result = dlua_test_tensor(L, -1);
    if (result == NULL)
        return luaL_error(L, "the function must return a tensor, got %s",
                          dlua_describe(L, -1, text, sizeof text));
    dl_retain(result);
    call->result = dl_scope_add(result->context, result);
    return call->result != NULL ? 0 : luaL_error(L, "%s", dl_last_error());
}

/* Calls the function on target and prediction, whose ranks are matched as for any loss. NULL after a failure. */
static dl_tensor *call_function(const dl_object *object, dl_tensor *target, dl_tensor *prediction) {
    function_call call = {object, target, prediction, NULL};
    if (dl_match_ranks(prediction->context, &call.target, &call.prediction) != DL_OK ||
        dlua_run_protected(object->user, object->definition->name, protected_call, &call) != DL_OK)
        return NULL;
    return call.result;
}

static dl_tensor *call_loss(const dl_object *loss, dl_tensor *target, dl_tensor *prediction, dl_tensor **mask) {
    (void)mask;
    dl_tensor *losses = call_function(loss, target, prediction);
    if (losses == NULL)
        return NULL;
    if (!dl_dtype_is_float(losses->dtype)) {
        dl_fail(DL_DTYPE, "the function must return float numbers, got %s", dl_dtype_name(losses->dtype));
        return NULL;
    }
    if (dl_requires_grad(prediction) && dl_grad_enabled(prediction->context) && !dl_requires_grad(losses)) {
        dl_fail(DL_STATE, "the function's result has no gradient: compute it from y_pred with operations on tensors, "
                          "without detach, item or comparisons");
        return NULL;
    }
    return losses;
}

static dl_status add_metric(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                            double *sums) {
    dl_tensor *values = call_function(metric, target, prediction);
    if (values == NULL)
        return dl_last_status();
    return dl_metric_mean.add(metric, NULL, values, weights, sums);
}

static int64_t metric_size(const dl_object *metric) {
    return dl_metric_mean.size(metric);
}

static double metric_result(const dl_object *metric, const double *sums) {
    return dl_metric_mean.result(metric, sums);
}

/* ---- definitions ----------------------------------------------------------------------------------------------- */

static const dl_field loss_fields[] = {
    {.name = "reduction", .kind = DL_FIELD_ENUM, .offset = offsetof(dl_loss_options, reduction),
     .text = "sum_over_batch_size", .choices = "sum_over_batch_size|sum|mean|none", .flags = DL_NAMED_ONLY,
     .help = "of the samples' losses to one number"},
    {.name = "name", .kind = DL_FIELD_STRING, .offset = offsetof(dl_loss_options, name),
     .flags = DL_NONE_OK | DL_NAMED_ONLY, .text = "function", .help = "of the loss in logs"},
    DL_END};
static const dl_loss_def loss_definition = {
    .definition = {.name = "LossFunctionWrapper", .version = 1,
                   .help = "A loss from a Lua function(y_true, y_pred) that gives a value for each sample.",
                   .fields = loss_fields, .options_size = sizeof(dl_loss_options)},
    .call = call_loss};

static const dl_field metric_fields[] = {
    {.name = "name", .kind = DL_FIELD_STRING, .offset = offsetof(dl_metric_options, name),
     .flags = DL_NONE_OK | DL_NAMED_ONLY, .text = "metric", .help = "of the metric in logs"},
    DL_END};
static const dl_metric_def metric_definition = {
    .definition = {.name = "MeanMetricWrapper", .version = 1,
                   .help = "The mean of what a Lua function(y_true, y_pred) gives for each sample.",
                   .fields = metric_fields, .options_size = sizeof(dl_metric_options)},
    .size = metric_size,
    .add = add_metric,
    .result = metric_result};

bool dlua_is_function(const dl_object *object) {
    return object != NULL &&
           (object->definition == &loss_definition.definition || object->definition == &metric_definition.definition);
}

/* ---- making them ----------------------------------------------------------------------------------------------- */

/* LossFunctionWrapper { f, name =, reduction = }, MeanMetricWrapper { f, name = }. Upvalue: the family. */
static int construct(lua_State *L) {
    char text[160];
    const dl_family *family = lua_touserdata(L, lua_upvalueindex(1));
    const dl_definition *definition =
        family == &dl_loss_family ? &loss_definition.definition : &metric_definition.definition;
    if (lua_type(L, 1) != LUA_TTABLE || lua_gettop(L) > 1)
        dlua_raise(L, "%s: takes one table, %s { f, name = ... }", definition->name, definition->name);
    lua_newtable(L); /* 2: the other arguments */
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    bool by_place = lua_rawgeti(L, 1, 1) != LUA_TNIL;
    if (!by_place)
        lua_getfield(L, 1, "fn");
    if (!lua_isfunction(L, -1))
        dlua_raise(L, "%s: fn must be a function(y_true, y_pred), got %s", definition->name,
                   dlua_describe(L, -1, text, sizeof text));
    lua_replace(L, 1);
    lua_pushnil(L);
    if (by_place)
        lua_rawseti(L, 2, 1);
    else
        lua_setfield(L, 2, "fn");
    lua_settop(L, 2);
    dlua_construct(L, family, definition);
    dlua_test_object(L, -1)->user = dlua_get_state(L);
    dlua_push_user_table(L, -1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    return 1;
}

const dl_definition *dlua_test_function_class(lua_State *L, int index) {
    if (lua_tocfunction(L, index) != construct)
        return NULL;
    lua_getupvalue(L, index, 1);
    const dl_family *family = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return family == &dl_loss_family ? &loss_definition.definition : &metric_definition.definition;
}

/* The name of the variable that holds the function at the top, in the function that called the running one: a local, an
 * upvalue or a global; NULL if none does. */
static const char *name_of_function(lua_State *L) {
    lua_Debug frame;
    const char *name, *found = NULL;
    int function = lua_gettop(L);
    if (!lua_getstack(L, 1, &frame))
        return NULL;
    for (int k = 1; (name = lua_getlocal(L, &frame, k)) != NULL; k++) {
        found = lua_rawequal(L, -1, function) ? name : found;
        lua_pop(L, 1);
    }
    lua_getinfo(L, "f", &frame);
    for (int k = 1; found == NULL && (name = lua_getupvalue(L, -1, k)) != NULL; k++) {
        found = lua_rawequal(L, -1, function) ? name : NULL;
        lua_pop(L, 1);
    }
    lua_pushglobaltable(L);
    lua_pushnil(L);
    while (found == NULL && lua_next(L, -2)) {
        found = lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, function) ? lua_tostring(L, -2) : NULL;
        lua_pop(L, 1);
    }
    lua_settop(L, function);
    return found != NULL && (found[0] == '_' || isalpha((unsigned char)found[0])) ? found : NULL;
}

void dlua_wrap_function(lua_State *L, const dl_family *family) {
    const char *name = family == &dl_metric_family ? name_of_function(L) : NULL;
    lua_pushlightuserdata(L, (void *)family);
    lua_pushcclosure(L, construct, 1);
    lua_createtable(L, 1, 1);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    if (name != NULL) {
        lua_pushstring(L, name);
        lua_setfield(L, -2, "name");
    }
    lua_call(L, 1, 1);
    if (family == &dl_metric_family) /* a variable's name is no choice of a name for the logs */
        ((dl_metric *)dlua_test_object(L, -1))->numbered = true;
    lua_replace(L, -2);
}

void dlua_open_functions(lua_State *L) {
    static const struct {
        const char *table, *name;
        const dl_family *family;
    } rows[] = {{"losses", "LossFunctionWrapper", &dl_loss_family},
                {"metrics", "MeanMetricWrapper", &dl_metric_family}};
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        lua_getfield(L, -1, rows[k].table);
        lua_pushlightuserdata(L, (void *)rows[k].family);
        lua_pushcclosure(L, construct, 1);
        lua_setfield(L, -2, rows[k].name);
        lua_pop(L, 1);
    }
}
