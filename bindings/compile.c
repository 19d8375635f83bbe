/* compile.c: model:compile { optimizer =, loss =, loss_weights =, metrics = }: what a script says for all outputs, for
 * each by its place or by its name, as the engine's lists.
 *
 * Always true: the model changes only at the end, by dl_model_compile; userdata of what is gathered lie on the stack
 * until then. */
#include <string.h>

#include "arguments.h"
#include "objects.h"

#define MOST_METRICS 64

/* What compile gathers; the userdata of the objects lie on the stack meanwhile. */
typedef struct compiling {
    dl_model *model;
    int outputs;
    dl_object *losses[DL_MAX_LAYER_OUTPUTS];
    double weights[DL_MAX_LAYER_OUTPUTS];
    dl_object *metrics[MOST_METRICS];
    int metric_counts[DL_MAX_LAYER_OUTPUTS];
    int metric_total;
} compiling;

/* Pushes what argument `name` of compile says of output k (from 0): the value itself if it is one for all, else its
 * entry by position or by the output's name. */
static void push_for_output(lua_State *L, const compiling *c, const char *name, int k) {
    lua_getfield(L, 2, name);
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_getfield(L, -1, "class_name");
    bool is_map_of_object = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (is_map_of_object)
        return;
    const char *output = dl_model_output_name(c->model, k);
    if (lua_rawgeti(L, -1, k + 1) == LUA_TNIL && output != NULL) {
        lua_pop(L, 1);
        lua_getfield(L, -1, output);
    }
    lua_remove(L, -2);
}

/* Refuses a list by outputs, in argument `name` of compile, that has another length; the list is at the top. */
static void check_output_count(lua_State *L, const compiling *c, const char *name) {
    lua_Integer last = 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > last)
            last = lua_tointeger(L, -1);
    }
    if (last != c->outputs)
        dlua_raise(L, "compile: %s is a list for %I output%s, but the model has %d; write dlua.none for an output "
                   "without one, or name the outputs: %s = { %s = ... }", name, (LUAI_UACINT)last,
                   last == 1 ? "" : "s", c->outputs, name, dl_model_output_name(c->model, 0));
}

/* The value under the name lies in the table below the name, which is at the top. */
static void refuse_output_name(lua_State *L, const char *argument, const char *name) {
    bool is_metric = strcmp(argument, "metrics") == 0 && lua_getfield(L, -2, name) == LUA_TFUNCTION;
    if (is_metric)
        dlua_raise(L, "compile: metrics names the output '%s', which the model has not; to name a metric write "
                   "metrics = { dlua.metrics.MeanMetricWrapper { f, name = '%s' } }", name, name);
    dlua_raise(L, "compile: %s names the output '%s', which the model has not", argument, name);
}

/* Refuses a table by outputs that names what is no output, or has another number of entries. */
static void check_by_output(lua_State *L, const compiling *c, const char *argument) {
    bool is_table = lua_getfield(L, 2, argument) == LUA_TTABLE;
    if (is_table && !dlua_table_has_names(L, -1))
        check_output_count(L, c, argument);
    else if (is_table) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            lua_pop(L, 1);
            bool known = lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "class_name") == 0 ||
                         strcmp(lua_tostring(L, -1), "config") == 0 || strcmp(lua_tostring(L, -1), "version") == 0;
            for (int k = 0; !known && k < c->outputs; k++) {
                const char *output = dl_model_output_name(c->model, k);
                known = output != NULL && strcmp(output, lua_tostring(L, -1)) == 0;
            }
            if (!known)
                refuse_output_name(L, argument, lua_tostring(L, -1));
        }
    }
    lua_pop(L, 1);
}

static void read_losses(lua_State *L, compiling *c) {
    char text[160];
    check_by_output(L, c, "loss");
    check_by_output(L, c, "loss_weights");
    for (int k = 0; k < c->outputs; k++) {
        push_for_output(L, c, "loss", k);
        if (lua_isfunction(L, -1))
            dlua_wrap_function(L, &dl_loss_family);
        if (!dlua_is_none(L, -1))
            c->losses[k] = dlua_check_object(L, -1, &dl_loss_family, "compile: loss");
        push_for_output(L, c, "loss_weights", k);
        c->weights[k] = 1.0;
        if (lua_type(L, -1) == LUA_TNUMBER)
            c->weights[k] = lua_tonumber(L, -1);
        else if (!dlua_is_none(L, -1))
            dlua_raise(L, "compile: loss_weights holds a number for each output, got %s",
                       dlua_describe(L, -1, text, sizeof text));
        lua_pop(L, 1);
    }
}

/* Replaces a name at the top by the map of a metric that is called so in the logs: "mae" is logged as "mae". */
static void keep_given_name(lua_State *L) {
    if (lua_type(L, -1) != LUA_TSTRING)
        return;
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "class_name");
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "name");
    lua_setfield(L, -2, "config");
    lua_replace(L, -2);
}

static void add_metric(lua_State *L, compiling *c, int k) {
    if (dlua_is_none(L, -1))
        return;
    if (lua_isfunction(L, -1))
        dlua_wrap_function(L, &dl_metric_family);
    keep_given_name(L);
    if (c->metric_total == MOST_METRICS)
        dlua_raise(L, "compile: at most %d metrics", MOST_METRICS);
    c->metrics[c->metric_total++] = dlua_check_object(L, -1, &dl_metric_family, "compile: metrics");
    c->metric_counts[k]++;
}

/* One metric or a list of them, at the top of the stack, for output k. */
static void add_metrics(lua_State *L, compiling *c, int k) {
    luaL_checkstack(L, MOST_METRICS * 2 + 8, "too many metrics");
    if (lua_type(L, -1) != LUA_TTABLE || dlua_table_has_names(L, -1)) {
        add_metric(L, c, k);
        return;
    }
    int list = lua_gettop(L);
    for (lua_Integer place = 1; place <= (lua_Integer)lua_rawlen(L, list); place++) {
        lua_rawgeti(L, list, place);
        add_metric(L, c, k);
    }
}

/* metrics: a list for the one output, or by output, each entry one metric or a list. */
static void read_metrics(lua_State *L, compiling *c) {
    if (c->outputs == 1 && lua_getfield(L, 2, "metrics") == LUA_TTABLE && !dlua_table_has_names(L, -1)) {
        bool by_output = lua_rawgeti(L, -1, 1) == LUA_TTABLE && !dlua_table_has_names(L, -1);
        lua_pop(L, 1);
        if (!by_output) {
            add_metrics(L, c, 0);
            return;
        }
    }
    check_by_output(L, c, "metrics");
    for (int k = 0; k < c->outputs; k++) {
        push_for_output(L, c, "metrics", k);
        add_metrics(L, c, k);
    }
}

/* Keeps the userdata of losses and metrics that are Lua functions on the model, in place of those of the compile
 * before; there are none if the table is nil. */
static void keep_functions(lua_State *L, const compiling *c) {
    int kept = 0;
    dlua_push_user_table(L, 1);
    lua_newtable(L);
    for (int k = 0; k < c->outputs + c->metric_total; k++) {
        dl_object *object = k < c->outputs ? c->losses[k] : c->metrics[k - c->outputs];
        if (!dlua_is_function(object))
            continue;
        dlua_push_object(L, object);
        lua_rawseti(L, -2, ++kept);
    }
    if (kept == 0) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    lua_setfield(L, -2, DLUA_FUNCTIONS);
    lua_pop(L, 1);
}

/* model:compile { optimizer = "rmsprop", loss =, loss_weights =, metrics = } */
int dlua_compile_model(lua_State *L) {
    char text[160];
    compiling c = {.model = dlua_check_model(L, "compile")};
    if (lua_type(L, 2) != LUA_TTABLE)
        dlua_raise(L, "compile: takes one table, model:compile { ... }, got %s",
                   dlua_describe(L, 2, text, sizeof text));
    static const char *const names[] = {"optimizer", "loss", "loss_weights", "metrics"};
    lua_settop(L, 2);
    dlua_name_positions(L, "compile", names, 4);
    c.outputs = dl_model_outputs(c.model) > 0 ? dl_model_outputs(c.model) : 1;
    luaL_checkstack(L, MOST_METRICS * 2 + 64, "too many arguments");
    if (lua_getfield(L, 2, "optimizer") == LUA_TNIL)
        lua_pushliteral(L, "rmsprop");
    dl_object *optimizer = dlua_check_object(L, -1, &dl_optimizer_family, "compile: optimizer");
    read_losses(L, &c);
    read_metrics(L, &c);
    dl_compile compile = {.struct_size = sizeof compile,
                          .optimizer = (dl_optimizer *)optimizer,
                          .losses = c.losses,
                          .loss_weights = c.weights,
                          .metrics = c.metrics,
                          .metric_counts = c.metric_counts};
    dlua_check(L, dl_model_compile(c.model, &compile));
    keep_functions(L, &c);
    lua_settop(L, 1);
    return 1;
}
