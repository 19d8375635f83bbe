/* graph_symbols.c: a built model's graph as symbols again: model.inputs, model.outputs, and the output of a layer in
 * it, for models that share layers (a new head on a trained base).
 *
 * Always true: a model's user table keeps its symbols under `symbols_key`, one for each value of the graph, and each
 * symbol holds the model's userdata, so that layers written in Lua live as long as what is made of them. */
#include "objects.h"

#include <string.h>

#include "dlua/layers.h"
#include "nn/nn.h"

static const char symbols_key; /* in a model's user table: the list of its symbols */
static const char output_key;  /* in a layer's user table: its output in the first graph */

/* Makes the symbols: a list of userdata at the top. */
static void make_symbols(lua_State *L, const dl_graph *graph) {
    lua_createtable(L, graph->value_count, 0);
    int list = lua_gettop(L);
    dl_symbol **made = lua_newuserdatauv(L, (size_t)graph->value_count * sizeof *made, 0);
    dl_symbol ***places = lua_newuserdatauv(L, (size_t)graph->value_count * sizeof *places, 0);
    for (int v = 0; v < graph->value_count; v++) {
        places[v] = dlua_new_symbol(L);
        lua_pushvalue(L, 1);
        lua_setiuservalue(L, -2, 1);
        lua_rawseti(L, list, v + 1);
    }
    dlua_push_user_table(L, 1);
    dlua_entry before = dlua_enter(L, lua_gettop(L));
    dl_status status = dl_graph_symbols(graph, made);
    dlua_leave(before);
    dlua_check(L, status);
    for (int v = 0; v < graph->value_count; v++)
        *places[v] = made[v];
    lua_settop(L, list);
}

/* Pushes the list of the model's symbols. */
static const dl_graph *push_symbols(lua_State *L, dl_model *model) {
    if (!model->built || model->state == NULL)
        dlua_raise(L, "%s has no symbolic inputs and outputs before it is built; give its first layer an input_shape",
                   model->name);
    luaL_checkstack(L, 16, "too many layers");
    dlua_push_user_table(L, 1);
    int table = lua_gettop(L);
    if (lua_rawgetp(L, table, &symbols_key) == LUA_TNIL) {
        lua_pop(L, 1);
        make_symbols(L, model->state);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, table, &symbols_key);
    }
    lua_remove(L, table);
    return model->state;
}

static int push_places(lua_State *L, const int *values, int count) {
    int symbols = lua_gettop(L);
    lua_createtable(L, count, 0);
    for (int k = 0; k < count; k++) {
        lua_rawgeti(L, symbols, values[k] + 1);
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

/* Pushes the list of symbols that the model was made of, in this field of its user table; or returns false. */
static bool push_own(lua_State *L, const char *name) {
    dlua_push_user_table(L, 1);
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) == LUA_TTABLE)
        return true;
    lua_pop(L, 2);
    return false;
}

int dlua_push_model_inputs(lua_State *L, dl_model *model) {
    if (push_own(L, "inputs"))
        return 1;
    const dl_graph *graph = push_symbols(L, model);
    return push_places(L, graph->inputs, graph->input_count);
}

int dlua_push_model_outputs(lua_State *L, dl_model *model) {
    if (push_own(L, "outputs"))
        return 1;
    const dl_graph *graph = push_symbols(L, model);
    return push_places(L, graph->outputs, graph->output_count);
}

/* A layer that is called several times has the output of its first call. */
void dlua_note_layer_outputs(lua_State *L, dl_model *model) {
    if (push_own(L, "inputs"))
        return;
    const dl_graph *graph = push_symbols(L, model);
    int symbols = lua_gettop(L);
    for (int n = graph->node_count - 1; n >= 0; n--) {
        if (graph->nodes[n].layer == NULL)
            continue;
        dlua_push_object(L, &graph->nodes[n].layer->object);
        dlua_push_user_table(L, -1);
        lua_rawgeti(L, symbols, graph->nodes[n].out + 1);
        lua_rawsetp(L, -2, &output_key);
        lua_pop(L, 1);
        /* The userdata of the layer, with its table, lives as long as the symbols. */
        lua_rawseti(L, symbols, graph->value_count + n + 1);
    }
    lua_pop(L, 1);
}

void dlua_note_output(lua_State *L) {
    int symbol = lua_gettop(L);
    dlua_push_user_table(L, 1);
    if (lua_rawgetp(L, -1, &output_key) == LUA_TNIL) {
        lua_pushvalue(L, symbol);
        lua_rawsetp(L, -3, &output_key);
    }
    lua_settop(L, symbol);
}

int dlua_push_layer_output(lua_State *L, const dl_layer *layer) {
    dlua_push_user_table(L, 1);
    bool known = lua_rawgetp(L, -1, &output_key) != LUA_TNIL;
    if (!known && !dlua_is_custom(layer->object.definition))
        dlua_raise(L, "%s: its output is known in a model: model:get_layer(\"%s\").output", layer->name, layer->name);
    return known;
}
