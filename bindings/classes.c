/* classes.c: the kinds of userdata, and dlua.none.
 *
 * Always true: every metatable of ours holds its dlua_class under the address of `class_key`, and the registry holds
 * the metatable of class c under the address of metatable_keys[c]. */
#include "binding.h"

static const char class_key;
static const char metatable_keys[DLUA_CLASS_COUNT];
static const char none_key;

void dlua_new_class(lua_State *L, dlua_class class_, const char *name, const luaL_Reg *functions) {
    lua_newtable(L);
    lua_pushinteger(L, class_);
    lua_rawsetp(L, -2, &class_key);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    /* What getmetatable() shows, and setmetatable() refuses to change. */
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    luaL_setfuncs(L, functions, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_keys[class_]);
}

void dlua_set_class(lua_State *L, dlua_class class_) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_keys[class_]);
    lua_setmetatable(L, -2);
}

dlua_class dlua_class_of(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return DLUA_FOREIGN;
    lua_rawgetp(L, -1, &class_key);
    dlua_class class_ = (dlua_class)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return class_;
}

static int none_to_string(lua_State *L) {
    lua_pushliteral(L, "dlua.none");
    return 1;
}

bool dlua_is_none(lua_State *L, int index) {
    return lua_isnoneornil(L, index) || dlua_class_of(L, index) == DLUA_NONE;
}

void dlua_push_none(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &none_key);
}

void dlua_open_classes(lua_State *L) {
    static const luaL_Reg functions[] = {{"__tostring", none_to_string}, {NULL, NULL}};
    dlua_new_class(L, DLUA_NONE, "dlua.none", functions);
    lua_pop(L, 1);
    lua_newuserdatauv(L, 0, 0);
    dlua_set_class(L, DLUA_NONE);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &none_key);
}
