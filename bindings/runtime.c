/* runtime.c: the functions of dlua about the engine as a whole: seeds, threads, memory, gradient mode, time. */
#include "objects.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arguments.h"
#include "help.h"
#include "tensors.h"

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
    char text[160];
    bool callable = lua_isfunction(L, 1) || (!lua_isnone(L, 1) && luaL_getmetafield(L, 1, "__call") != LUA_TNIL);
    if (!callable)
        dlua_raise(L, "no_grad: takes a function that is called without recording, no_grad(function() ... end), got %s",
                   lua_isnone(L, 1) ? "nothing" : dlua_describe(L, 1, text, sizeof text));
    if (!lua_isfunction(L, 1))
        lua_pop(L, 1); /* the metafield */
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

void dlua_open_runtime(lua_State *L) {
    static const dlua_function functions[] = {
        {"manual_seed", manual_seed, "seed: a whole number", "Starts all random numbers anew from the seed."},
        {"initial_seed", initial_seed, "", "The seed that the random numbers started from."},
        {"set_num_threads", set_num_threads, "count: how many; 0: as many as the machine allows",
         "Sets the number of threads that the engine works with; results do not depend on it."},
        {"num_threads", num_threads, "", "The number of threads that the engine works with."},
        {"time", monotonic_time, "", "Seconds of a clock that only runs forward."},
        {"memory", memory, "",
         "The engine's memory, {in_use =, peak =, cached =} in bytes and {system_calls =, allocations =} in counts."},
        {"reset_peak_memory", reset_peak_memory, "", "Starts memory().peak anew from what is in use now."},
        {"empty_cache", empty_cache, "", "Collects what is no longer used and gives cached memory back to the system."},
        {"isa", isa, "", "The instruction set of the kernels: 'baseline', 'avx2' or 'avx512'."},
        {"detect_anomaly", detect_anomaly, "wanted: true or false",
         "Whether training stops with an error that names the layer when numbers go wrong; returns the mode before."},
        {"set_grad_enabled", set_grad_enabled, "wanted: true or false",
         "Whether operations are recorded for backward; returns the mode before."},
        {"is_grad_enabled", is_grad_enabled, "", "Whether operations are recorded for backward."},
        {"no_grad", no_grad,
         "f: a function\n"
         "arguments...: passed to f",
         "Calls f without recording operations for backward; returns what it returns."},
        {"arguments", dlua_arguments_function,
         "name: of the function, for messages\n"
         "fields: a list of declarations {name =, kind =, default =, min =, max =, help =, required =, none =}\n"
         "help = none: one line on what the function does",
         "A function that checks a table of arguments and returns them by name, with the defaults."},
        {NULL, NULL, NULL, NULL},
    };
    dlua_add_functions(L, "dlua.", functions);
}
