/* optimizers.c: optimizers as Lua uses them by hand: optimizer:step {w, b}, optimizer:zero_grad {w, b}. */
#include "objects.h"

#include <stdio.h>
#include <string.h>

#include "configs.h"
#include "help.h"
#include "tensors.h"
#include "values.h"

static dl_optimizer *check_optimizer(lua_State *L, const char *method) {
    char text[160];
    if (dlua_class_of(L, 1) != DLUA_OPTIMIZER)
        dlua_raise(L, "%s: call it as a method of an optimizer, got %s", method,
                   dlua_describe(L, 1, text, sizeof text));
    return *(dl_optimizer **)lua_touserdata(L, 1);
}

/* The tensors of the list at index 2, on the stack as an array; *count of them. */
static dl_tensor **check_variables(lua_State *L, const char *method, int *count) {
    char text[160], place[64];
    if (lua_type(L, 2) != LUA_TTABLE)
        dlua_raise(L, "%s: takes a list of tensors, %s { w, b }, got %s", method, method,
                   dlua_describe(L, 2, text, sizeof text));
    *count = (int)lua_rawlen(L, 2);
    dl_tensor **variables = lua_newuserdatauv(L, (size_t)*count * sizeof *variables + 1, 0);
    for (int k = 0; k < *count; k++) {
        lua_rawgeti(L, 2, k + 1);
        snprintf(place, sizeof place, "variable %d", k + 1);
        variables[k] = dlua_check_tensor(L, -1, method, place);
        lua_pop(L, 1);
    }
    return variables;
}

static int optimizer_step(lua_State *L) {
    int count;
    dl_optimizer *optimizer = check_optimizer(L, "step");
    dl_tensor **variables = check_variables(L, "step", &count);
    dlua_check(L, dl_optimizer_step(optimizer, variables, count));
    return 0;
}

static int optimizer_zero_grad(lua_State *L) {
    int count;
    check_optimizer(L, "zero_grad");
    dl_tensor **variables = check_variables(L, "zero_grad", &count);
    dlua_check(L, dl_zero_grad(variables, count));
    return 0;
}

/* optimizer:finalize_variable_values(variables): the end of a training with use_ema. */
static int optimizer_finalize_values(lua_State *L) {
    int count;
    dl_optimizer *optimizer = check_optimizer(L, "finalize_variable_values");
    dl_tensor **variables = check_variables(L, "finalize_variable_values", &count);
    dl_optimizer_finalize_values(optimizer, variables, count);
    return 0;
}

static int optimizer_get_config(lua_State *L) {
    dlua_push_config(L, (dl_object *)check_optimizer(L, "get_config"));
    return 1;
}

static const dlua_function methods[] = {
    {"step", optimizer_step, "variables: a list of tensors that have gradients",
     "Changes each tensor by its gradient."},
    {"zero_grad", optimizer_zero_grad, "variables: a list of tensors",
     "Drops the gradients of the tensors, so that grad is nil until the next backward."},
    {"finalize_variable_values", optimizer_finalize_values, "variables: a list of tensors",
     "With use_ema, puts the moving averages of the tensors in their place, as fit does at its end."},
    {"get_config", optimizer_get_config, "",
     "The optimizer's class and arguments: {class_name =, version =, config =}; the class takes the config."},
    {NULL, NULL, NULL, NULL},
};

static int index_optimizer(lua_State *L) {
    dl_optimizer *optimizer = check_optimizer(L, "index");
    const char *name = luaL_checkstring(L, 2);
    lua_CFunction method = dlua_find_function(methods, name);
    if (method != NULL)
        lua_pushcfunction(L, method);
    else if (strcmp(name, "learning_rate") == 0)
        lua_pushnumber(L, dl_optimizer_learning_rate(optimizer));
    else if (strcmp(name, "iterations") == 0)
        lua_pushinteger(L, dl_optimizer_iterations(optimizer));
    else if (!dlua_index_options(L, (dl_object *)optimizer, name))
        dlua_refuse_name(L, ((dl_object *)optimizer)->definition->name, name);
    return 1;
}

static int set_optimizer(lua_State *L) {
    dl_optimizer *optimizer = check_optimizer(L, "assign");
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "learning_rate") != 0)
        dlua_raise(L, "%s: '%s' cannot be set; learning_rate can", ((dl_object *)optimizer)->definition->name, name);
    if (lua_type(L, 3) != LUA_TNUMBER)
        dlua_raise(L, "%s: learning_rate must be a number", ((dl_object *)optimizer)->definition->name);
    dlua_check(L, dl_optimizer_set_learning_rate(optimizer, lua_tonumber(L, 3)));
    return 0;
}

void dlua_open_optimizers(lua_State *L) {
    static const luaL_Reg functions[] = {{"__gc", dlua_release_object},
                                         {"__tostring", dlua_object_to_string},
                                         {"__index", index_optimizer},
                                         {"__newindex", set_optimizer},
                                         {NULL, NULL}};
    dlua_new_class(L, DLUA_OPTIMIZER, "dlua.Optimizer", functions);
    lua_pop(L, 1);
    lua_newtable(L);
    dlua_note_help(L, -1, "dlua.", "Optimizer", NULL,
                   "The methods and properties of optimizers; the optimizers themselves are in dlua.optimizers.");
    dlua_note_property(L, -1, "learning_rate", "of the next step, where a schedule has come to; a number may be set");
    dlua_note_property(L, -1, "iterations", "the number of updates so far");
    dlua_add_functions(L, "optimizer:", methods);
    lua_setfield(L, -2, "Optimizer");
}
