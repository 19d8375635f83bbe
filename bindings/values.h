/* values.h: the engine's neutral trees (dl_value) and Lua values, one into the other. */
#ifndef DLUA_VALUES_H
#define DLUA_VALUES_H

#include "binding.h"

/* The Lua value at index as a tree: numbers that are whole become integers, dlua.none and nil NONE, a definition an
 * instance with its defaults. The caller clears *out, which is NONE after a failure. Does not raise. */
dl_status dlua_to_value(lua_State *L, int index, dl_value *out);

/* Pushes a box that frees its tree when it is collected; returns the tree, which is NONE. */
dl_value *dlua_new_value_box(lua_State *L);
/* Pushes a tree as Lua values; NONE as nil, or as dlua.none inside lists. */
void dlua_push_value(lua_State *L, const dl_value *value);

/* Pushes a box for a text of the engine, freed when it is collected. */
char **dlua_new_text_box(lua_State *L);

/* json.encode(value) -> string, json.decode(string) -> value. */
int dlua_json_encode(lua_State *L);
int dlua_json_decode(lua_State *L);

#endif
