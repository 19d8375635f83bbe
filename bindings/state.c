/* state.c: the context of a lua_State, interrupts, and what drives Lua's collector by the engine's memory.
 *
 * Always true: the registry holds one dlua_state under the address of `key`; its context lives until the last tensor
 * or model of the state is gone, in whatever order lua_close frees them. */
#include "binding.h"

#include <stdint.h>
#include <string.h>

static const char key;

/* Growth in bytes below which the collector is left alone. */
#define SMALLEST_GROWTH ((size_t)32 << 20)

static void log_message(void *user, dl_log_level level, const char *message) {
    dlua_state *state = user;
    lua_State *L = state->main;
    if (state->log != NULL) {
        state->log(level, message);
        return;
    }
    /* lua_warning calls the host's function, as lua's own warn does; it takes the message in pieces. */
    lua_warning(L, level == DL_LOG_WARNING ? "dlua: warning: " : "dlua: ", 1);
    lua_warning(L, message, 0);
}

static int free_state(lua_State *L) {
    dlua_state *state = lua_touserdata(L, 1);
    dl_context_release(state->context);
    return 0;
}

dlua_state *dlua_make_state(lua_State *L, void (*log)(dl_log_level level, const char *message)) {
    dlua_state *state = lua_newuserdatauv(L, sizeof *state, 0);
    memset(state, 0, sizeof *state);
    state->log = log;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_state);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);

    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    state->main = lua_tothread(L, -1);
    lua_pop(L, 1);

    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.log = log_message;
    options.user = state;
    if (dl_context_create(&options, &state->context) != DL_OK)
        luaL_error(L, "the engine cannot start: %s", dl_last_error());
    state->collect_at = SMALLEST_GROWTH;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    return state;
}

dlua_state *dlua_get_state(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
    dlua_state *state = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return state != NULL ? state : dlua_make_state(L, NULL);
}

dl_context *dlua_context(lua_State *L) {
    return dlua_get_state(L)->context;
}

/* ---- interrupts ------------------------------------------------------------------------------------------------ */

static void stop_here(lua_State *L, lua_Debug *where) {
    (void)where;
    dlua_clear_interrupt(dlua_get_state(L));
    luaL_error(L, "interrupted");
}

void dlua_interrupt(dlua_state *state) {
    state->interrupted = 1;
    dl_cancel(state->context);
    lua_sethook(state->main, stop_here, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void dlua_clear_interrupt(dlua_state *state) {
    if (!state->interrupted)
        return;
    if (lua_gethook(state->main) == stop_here)
        lua_sethook(state->main, NULL, 0, 0);
    dl_poll(state->context); /* takes the cancel flag down */
    state->interrupted = 0;
}

/* ---- the collector --------------------------------------------------------------------------------------------- */

static size_t engine_bytes(const dlua_state *state) {
    dl_memory_info info;
    dl_memory(state->context, &info);
    return info.in_use;
}

static size_t lua_bytes(lua_State *L) {
    return (size_t)lua_gc(L, LUA_GCCOUNT) << 10;
}

/* A whole collection, then the next one when the engine's bytes have grown by half of what is left, by what Lua itself
 * holds (a collection takes time in proportion to that), and by no less than SMALLEST_GROWTH. */
static void collect(lua_State *L, dlua_state *state) {
    if (state->collecting)
        return;
    state->collecting = true;
    lua_gc(L, LUA_GCCOLLECT);
    size_t left = engine_bytes(state);
    size_t growth = left / 2;
    size_t lua_size = lua_bytes(L);
    if (growth < lua_size)
        growth = lua_size;
    if (growth < SMALLEST_GROWTH)
        growth = SMALLEST_GROWTH;
    state->collect_at = left <= SIZE_MAX - growth ? left + growth : SIZE_MAX;
    state->collecting = false;
}

void dlua_collect_if_grown(lua_State *L) {
    dlua_state *state = dlua_get_state(L);
    if (engine_bytes(state) >= state->collect_at)
        collect(L, state);
}

bool dlua_collect_for_memory(lua_State *L, dl_status status) {
    dlua_state *state = dlua_get_state(L);
    if (status != DL_MEMORY || state->collecting)
        return false;
    size_t before = engine_bytes(state);
    collect(L, state);
    return engine_bytes(state) < before;
}
