/* download.c: dlua.io.download. */
#include "download.h"

typedef struct download {
    lua_State *L; /* at the top: the function that is told the progress, or nil */
    bool failed;  /* its error is above it */
} download;

/* Calls the Lua function; false, with its error on the stack, if it raised one, and if it returned false. */
static bool tell_progress(void *user, int64_t done, int64_t total) {
    download *d = user;
    if (lua_isnil(d->L, -1))
        return true;
    lua_pushvalue(d->L, -1);
    lua_pushinteger(d->L, done);
    lua_pushinteger(d->L, total);
    if (lua_pcall(d->L, 2, 1, 0) != LUA_OK) {
        d->failed = true;
        return false;
    }
    bool go_on = lua_isnil(d->L, -1) || lua_toboolean(d->L, -1);
    lua_pop(d->L, 1);
    return go_on;
}

static const char *string_entry(lua_State *L, const char *name, bool required) {
    char text[160];
    int type = lua_getfield(L, 1, name);
    if (type == LUA_TSTRING || (type == LUA_TNIL && !required))
        return lua_tostring(L, -1);
    dlua_raise(L, "download: argument '%s' must be a string, got %s", name, dlua_describe(L, -1, text, sizeof text));
}

/* download { url =, path =, checksum =, progress = }: fetches a file; checksum is its SHA-256 or MD5 in hexadecimal,
 * progress a function(done, total) that is told the bytes so far and in all (-1: not known); false from it cancels. */
int dlua_download(lua_State *L) {
    char text[160];
    if (lua_type(L, 1) != LUA_TTABLE)
        dlua_raise(L, "download: takes one table, download { url = ..., path = ... }, got %s",
                   dlua_describe(L, 1, text, sizeof text));
    lua_settop(L, 1);
    const char *url = string_entry(L, "url", true);
    const char *path = string_entry(L, "path", true);
    const char *checksum = string_entry(L, "checksum", false);
    if (lua_getfield(L, 1, "progress") != LUA_TNIL && lua_type(L, -1) != LUA_TFUNCTION)
        dlua_raise(L, "download: argument 'progress' must be a function(done, total), got %s",
                   dlua_describe(L, -1, text, sizeof text));
    luaL_checkstack(L, LUA_MINSTACK, "download");
    download d = {.L = L};
    dl_status status = dl_download(dlua_context(L), url, path, checksum, tell_progress, &d);
    if (d.failed)
        return lua_error(L);
    dlua_check(L, status);
    return 0;
}
