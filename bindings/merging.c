/* merging.c: short forms of the layers that make one tensor of several: x + y and x * 2 on symbolic inputs, and Keras's
 * functions, layers.add {x, y}.
 *
 * Always true: each makes a layer and calls it, so what comes out is as if the user had written the layer. */
#include "objects.h"

#include <stddef.h>

#include "dlua/layers.h"
#include "help.h"
#include "nn/nn.h"

/* ---- arithmetic of symbols --------------------------------------------------------------------------------------- */

/* Pushes layer(symbols at stack places 1 .. inputs); the layer is made of options. */
static int call_new_layer(lua_State *L, const dl_definition *definition, dl_layer_options *options, int inputs) {
    options->dtype = dl_symbol_spec(dlua_test_symbol(L, dlua_test_symbol(L, 1) ? 1 : 2))->dtype == DL_FLOAT64
                         ? DL_FLOAT64
                         : DL_FLOAT32;
    dl_object **place = dlua_new_object(L, &dl_layer_family, definition);
    dlua_check(L, dl_object_create(dlua_context(L), &dl_layer_family, definition, options, place));
    dlua_finish_object(L, place);
    for (int k = 1; k <= inputs; k++)
        lua_pushvalue(L, k);
    lua_call(L, inputs, 1);
    return 1;
}

/* The symbol (at stack place 1) times scale plus offset. */
static int rescale(lua_State *L, double scale, double offset) {
    dl_rescaling_options options;
    dl_options_init(&dl_layer_rescaling.definition, &options, sizeof options);
    options.scale = scale;
    options.offset = offset;
    return call_new_layer(L, &dl_layer_rescaling.definition, &options.layer, 1);
}

static int merge(lua_State *L, const dl_definition *definition) {
    dl_merging_options options;
    char text[160];
    for (int k = 1; k <= 2; k++)
        if (dlua_test_symbol(L, k) == NULL)
            dlua_raise(L, "arithmetic with a symbolic input takes another one, or a number, got %s; a layer of your "
                       "own (dlua.layers.define) can hold a tensor", dlua_describe(L, k, text, sizeof text));
    dl_options_init(definition, &options, sizeof options);
    return call_new_layer(L, definition, &options.layer, 2);
}

/* True if one operand is a number, *number; the symbol is moved to stack place 1. *swapped: the number came first. */
static bool has_number(lua_State *L, double *number, bool *swapped) {
    *swapped = lua_type(L, 1) == LUA_TNUMBER;
    if (!*swapped && lua_type(L, 2) != LUA_TNUMBER)
        return false;
    *number = lua_tonumber(L, *swapped ? 1 : 2);
    if (*swapped)
        lua_rotate(L, 1, 1);
    return true;
}

static int add_symbols(lua_State *L) {
    double number;
    bool swapped;
    return has_number(L, &number, &swapped) ? rescale(L, 1, number) : merge(L, &dl_layer_add.definition);
}

static int subtract_symbols(lua_State *L) {
    double number;
    bool swapped;
    if (!has_number(L, &number, &swapped))
        return merge(L, &dl_layer_subtract.definition);
    return swapped ? rescale(L, -1, number) : rescale(L, 1, -number);
}

static int multiply_symbols(lua_State *L) {
    double number;
    bool swapped;
    return has_number(L, &number, &swapped) ? rescale(L, number, 0) : merge(L, &dl_layer_multiply.definition);
}

static int divide_symbols(lua_State *L) {
    double number;
    bool swapped;
    if (!has_number(L, &number, &swapped) || swapped)
        dlua_raise(L, "a symbolic input can be divided by a number only; for other quotients write a layer "
                   "(dlua.layers.define)");
    return rescale(L, 1 / number, 0);
}

static int negate_symbol(lua_State *L) {
    return rescale(L, -1, 0);
}

void dlua_add_symbol_arithmetic(lua_State *L) {
    static const luaL_Reg functions[] = {{"__add", add_symbols},      {"__sub", subtract_symbols},
                                         {"__mul", multiply_symbols}, {"__div", divide_symbols},
                                         {"__unm", negate_symbol},    {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

/* ---- Keras's functions ------------------------------------------------------------------------------------------- */

/* The inputs of the table at index 1 have the places 1, 2, ... without a hole, and all other keys are names. */
static void check_inputs(lua_State *L, const dl_definition *definition) {
    lua_Integer count = 0, highest = 0;
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            continue;
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1)
            dlua_raise(L, "%s: a key must be the name of an option or the place of an input, from 1 on, got %s",
                       definition->name, luaL_tolstring(L, -1, NULL));
        highest = lua_tointeger(L, -1) > highest ? lua_tointeger(L, -1) : highest;
        count++;
    }
    for (lua_Integer place = 1; count < highest; place++) {
        if (lua_rawgeti(L, 1, place) == LUA_TNIL)
            dlua_raise(L, "%s: input %I of up to %I is nil: is a variable misspelt?", definition->name,
                       (LUAI_UACINT)place, (LUAI_UACINT)highest);
        lua_pop(L, 1);
    }
}

/* layers.concatenate {x, y, axis = 2} is layers.Concatenate {axis = 2} {x, y}. Upvalue: the definition. */
static int merge_function(lua_State *L) {
    char text[160];
    const dl_definition *definition = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_type(L, 1) != LUA_TTABLE || lua_gettop(L) > 1)
        dlua_raise(L, "%s: takes one table, the inputs first and options by name after them, got %s", definition->name,
                   lua_gettop(L) > 1 ? "several values" : dlua_describe(L, 1, text, sizeof text));
    check_inputs(L, definition);
    dlua_push_definition(L, &dl_layer_family, definition);
    lua_newtable(L); /* the layer's arguments */
    lua_newtable(L); /* the inputs */
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, lua_type(L, -2) == LUA_TSTRING ? 3 : 4);
    }
    lua_rotate(L, 2, -1);
    lua_rotate(L, 2, -1); /* inputs, definition, arguments */
    lua_call(L, 1, 1);
    lua_insert(L, 2);
    lua_call(L, 1, 1);
    return 1;
}

void dlua_add_merge_functions(lua_State *L) {
    static const struct {
        const char *name;
        const dl_layer_def *layer;
    } rows[] = {{"add", &dl_layer_add},         {"subtract", &dl_layer_subtract},
                {"multiply", &dl_layer_multiply}, {"average", &dl_layer_average},
                {"maximum", &dl_layer_maximum}, {"minimum", &dl_layer_minimum},
                {"concatenate", &dl_layer_concatenate}, {"dot", &dl_layer_dot}};
    lua_getfield(L, -1, "layers");
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        lua_pushlightuserdata(L, (void *)&rows[k].layer->definition);
        lua_pushcclosure(L, merge_function, 1);
        dlua_note_help(L, -1, "dlua.layers.", rows[k].name,
                       "arguments: the inputs in one table, {x, y}, and the layer's options by name",
                       rows[k].layer->definition.help);
        lua_setfield(L, -2, rows[k].name);
    }
    lua_pop(L, 1);
}
