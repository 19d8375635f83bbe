/* runtime.c: the functions of dlua about the engine as a whole: seeds, threads, memory, gradient mode, time; and what
 * help needs to know of a definition. */
#include "objects.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arguments.h"
#include "base/text.h"
#include "tensors.h"
#include "values.h"

/* ---- seeds, threads, memory, time ------------------------------------------------------------------------------ */

static int manual_seed(lua_State *L) {
    char text[160];
    int64_t seed;
    if (!dlua_to_integer(L, 1, &seed))
        dlua_raise(L, "manual_seed: the seed must be a whole number, got %s", dlua_describe(L, 1, text, sizeof text));
    dl_manual_seed(dlua_context(L), (uint64_t)seed);
    return 0;
}

static int initial_seed(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)dl_seed(dlua_context(L)));
    return 1;
}

/* set_num_threads(n): 1 or more; 0 is what the machine allows. */
static int set_num_threads(lua_State *L) {
    char text[160];
    int64_t count;
    if (!dlua_to_integer(L, 1, &count) || count < 0 || count > INT_MAX)
        dlua_raise(L, "set_num_threads: takes a whole number of 0 or more, got %s",
                   dlua_describe(L, 1, text, sizeof text));
    dlua_check(L, dl_set_threads(dlua_context(L), (int)count));
    return 0;
}

static int num_threads(lua_State *L) {
    lua_pushinteger(L, dl_threads(dlua_context(L)));
    return 1;
}

/* Seconds of a clock that only runs forward. */
static int monotonic_time(lua_State *L) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec * 1e-9);
    return 1;
}

static void set_bytes(lua_State *L, const char *name, size_t bytes) {
    lua_pushinteger(L, (lua_Integer)bytes);
    lua_setfield(L, -2, name);
}

/* memory() -> {in_use =, peak =, cached =, system_calls =, allocations =}, in bytes and counts. */
static int memory(lua_State *L) {
    dl_memory_info info;
    dl_memory(dlua_context(L), &info);
    lua_createtable(L, 0, 5);
    set_bytes(L, "in_use", info.in_use);
    set_bytes(L, "peak", info.peak);
    set_bytes(L, "cached", info.cached);
    set_bytes(L, "system_calls", info.system_calls);
    set_bytes(L, "allocations", info.allocations);
    return 1;
}

static int reset_peak_memory(lua_State *L) {
    dl_memory_reset_peak(dlua_context(L));
    return 0;
}

/* Gives cached memory back, after what Lua no longer uses has been collected. */
static int empty_cache(lua_State *L) {
    lua_gc(L, LUA_GCCOLLECT);
    dl_memory_trim(dlua_context(L));
    return 0;
}

static int isa(lua_State *L) {
    lua_pushstring(L, dl_isa());
    return 1;
}

/* ---- modes ----------------------------------------------------------------------------------------------------- */

static bool check_boolean(lua_State *L, int index, const char *function) {
    char text[160];
    if (!lua_isboolean(L, index))
        dlua_raise(L, "%s: takes true or false, got %s", function, dlua_describe(L, index, text, sizeof text));
    return lua_toboolean(L, index);
}

static int detect_anomaly(lua_State *L) {
    bool wanted = check_boolean(L, 1, "detect_anomaly");
    lua_pushboolean(L, dl_set_detect_anomaly(dlua_context(L), wanted));
    return 1;
}

/* set_grad_enabled(boolean) -> the mode before */
static int set_grad_enabled(lua_State *L) {
    bool wanted = check_boolean(L, 1, "set_grad_enabled");
    lua_pushboolean(L, dl_set_grad_enabled(dlua_context(L), wanted));
    return 1;
}

static int is_grad_enabled(lua_State *L) {
    lua_pushboolean(L, dl_grad_enabled(dlua_context(L)));
    return 1;
}

/* What no_grad puts back when its function ends, by an error too: a to-be-closed value. */
static int restore_grad(lua_State *L) {
    const bool *mode = lua_touserdata(L, 1);
    dl_set_grad_enabled(dlua_context(L), *mode);
    return 0;
}

/* no_grad(f, ...): calls f without recording operations and returns what it returns. */
static int no_grad(lua_State *L) {
    luaL_checkany(L, 1);
    bool *mode = lua_newuserdatauv(L, sizeof *mode, 0);
    *mode = dl_grad_enabled(dlua_context(L));
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, restore_grad);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    lua_insert(L, 1);
    lua_toclose(L, 1);
    dl_set_grad_enabled(dlua_context(L), false);
    lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
    return lua_gettop(L) - 1;
}

/* ---- help ------------------------------------------------------------------------------------------------------ */

/* nearest(name, table) -> the key of the table that is nearest to the name, or nil if none is near. */
static int nearest(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    dl_nearest search = dl_nearest_begin(name);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            dl_nearest_offer(&search, lua_tostring(L, -1));
    }
    lua_pushstring(L, search.best);
    return 1;
}

static void set_text(lua_State *L, const char *key, const char *text) {
    if (text != NULL) {
        lua_pushstring(L, text);
        lua_setfield(L, -2, key);
    }
}

/* One field as help shows it: {name =, takes =, default =, required =, named =, help =}. */
static void push_field(lua_State *L, const dl_definition *definition, const void *options, const dl_field *field) {
    char takes[400];
    lua_createtable(L, 0, 6);
    dl_field_describe(field, takes, sizeof takes);
    set_text(L, "name", field->name);
    set_text(L, "takes", takes);
    set_text(L, "help", field->help);
    lua_pushboolean(L, field->flags & DL_REQUIRED);
    lua_setfield(L, -2, "required");
    lua_pushboolean(L, field->flags & DL_NAMED_ONLY);
    lua_setfield(L, -2, "named");
    if (field->flags & DL_REQUIRED)
        return;
    if (field->kind == DL_FIELD_OBJECT || field->kind == DL_FIELD_ALTERNATIVE)
        set_text(L, "default", field->text);
    else
        dlua_push_field(L, definition, options, field), lua_setfield(L, -2, "default");
}

static void push_definition_table(lua_State *L, const char *family, const dl_definition *definition) {
    void *options = dlua_new_options(L, definition);
    lua_createtable(L, 0, 8);
    set_text(L, "family", family);
    set_text(L, "name", definition->name);
    set_text(L, "help", definition->help);
    set_text(L, "formula", definition->formula);
    set_text(L, "source", definition->source);
    set_text(L, "shapes", definition->shapes);
    set_text(L, "aliases", definition->aliases);
    lua_newtable(L);
    int count = 0;
    for (const dl_field *field = definition->fields; field != NULL && field->kind != DL_FIELD_END; field++) {
        push_field(L, definition, options, field);
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "fields");
}

/* describe(x) -> what the definition of x says, as a table: of a definition, an instance of one, or the name of an
 * operation; nil for what has none. */
static int describe(lua_State *L) {
    const dlua_definition *definition = dlua_test_definition(L, 1);
    const dl_object *object = dlua_test_object(L, 1);
    const dl_op *op = lua_type(L, 1) == LUA_TSTRING ? dl_find_op(lua_tostring(L, 1)) : NULL;
    if (definition != NULL) {
        push_definition_table(L, definition->family->name, definition->definition);
    } else if (object != NULL) {
        push_definition_table(L, object->family->name, object->definition);
    } else if (op != NULL) {
        push_definition_table(L, "operation", &op->definition);
        set_text(L, "inputs", op->inputs);
        lua_pushboolean(L, op->flags & DL_OP_METHOD);
        lua_setfield(L, -2, "method");
        lua_pushboolean(L, op->flags & DL_OP_INPLACE);
        lua_setfield(L, -2, "in_place");
    } else {
        lua_pushnil(L);
    }
    return 1;
}

void dlua_open_runtime(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"manual_seed", manual_seed},
        {"initial_seed", initial_seed},
        {"set_num_threads", set_num_threads},
        {"num_threads", num_threads},
        {"time", monotonic_time},
        {"memory", memory},
        {"reset_peak_memory", reset_peak_memory},
        {"empty_cache", empty_cache},
        {"isa", isa},
        {"detect_anomaly", detect_anomaly},
        {"set_grad_enabled", set_grad_enabled},
        {"is_grad_enabled", is_grad_enabled},
        {"no_grad", no_grad},
        {"nearest", nearest},
        {"describe", describe},
        {"arguments", dlua_arguments_function},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
