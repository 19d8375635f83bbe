/* values.c: trees of the engine from Lua values and back.
 *
 * Always true: from Lua to a tree nothing raises, since a tree under way is memory that Lua's collector does not know;
 * from a tree to Lua the tree lies in a box. */
#include "values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "objects.h"

#define DEEPEST       64
/* Largest double up to which all whole numbers are exact. */
#define LARGEST_EXACT 9007199254740992.0

static dl_status convert(lua_State *L, dl_context *context, int index, dl_value *out, int depth);

static dl_value number_value(lua_State *L, int index) {
    if (lua_isinteger(L, index))
        return dl_value_int(lua_tointeger(L, index));
    double number = lua_tonumber(L, index);
    bool whole = number == floor(number) && fabs(number) <= LARGEST_EXACT && !(number == 0.0 && signbit(number));
    return whole ? dl_value_int((int64_t)number) : dl_value_real(number);
}

static dl_status string_value(lua_State *L, dl_context *context, int index, dl_value *out) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    if (strlen(text) != length)
        return dl_fail(DL_INVALID, "a string with a zero byte inside cannot be passed on");
    return dl_value_string(context, text, out);
}

/* Counts a table's entries by the kind of their keys; false with a failure if there are others. */
static dl_status count_entries(lua_State *L, int index, lua_Integer *highest, lua_Integer *whole, lua_Integer *named) {
    *highest = *whole = *named = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1) {
            ++*whole;
            if (lua_tointeger(L, -1) > *highest)
                *highest = lua_tointeger(L, -1);
        } else if (lua_type(L, -1) == LUA_TSTRING) {
            ++*named;
        } else {
            lua_pop(L, 1);
            return dl_fail(DL_INVALID, "a table has a key that is neither a name nor a whole number from 1 on");
        }
    }
    if (*whole > 0 && *named > 0)
        return dl_fail(DL_INVALID, "a table mixes names and positions where a list or a map is wanted");
    if (*whole != *highest)
        return dl_fail(DL_INVALID, "a list has holes: %lld entries, the last at %lld; write dlua.none for no value",
                       (long long)*whole, (long long)*highest);
    return DL_OK;
}

static dl_status map_value(lua_State *L, dl_context *context, int index, dl_value *out, int depth) {
    *out = dl_value_map();
    lua_pushnil(L);
    while (lua_next(L, index)) {
        dl_value item = {.kind = DL_VALUE_NONE};
        dl_status status = convert(L, context, lua_gettop(L), &item, depth + 1);
        if (status == DL_OK)
            status = dl_value_put(context, out, lua_tostring(L, -2), &item);
        if (status != DL_OK) {
            lua_pop(L, 2);
            return status;
        }
        lua_pop(L, 1);
    }
    return DL_OK;
}

static dl_status list_value(lua_State *L, dl_context *context, int index, lua_Integer count, dl_value *out, int depth) {
    *out = dl_value_list();
    for (lua_Integer place = 1; place <= count; place++) {
        dl_value item = {.kind = DL_VALUE_NONE};
        lua_rawgeti(L, index, place);
        dl_status status = convert(L, context, lua_gettop(L), &item, depth + 1);
        lua_pop(L, 1);
        if (status == DL_OK)
            status = dl_value_append(context, out, &item);
        if (status != DL_OK)
            return status;
    }
    return DL_OK;
}

static dl_status table_value(lua_State *L, dl_context *context, int index, dl_value *out, int depth) {
    lua_Integer highest, whole, named;
    if (depth >= DEEPEST || !lua_checkstack(L, 8))
        return dl_fail(DL_INVALID, "a table is nested more than %d deep, or contains itself", DEEPEST);
    dl_status status = count_entries(L, index, &highest, &whole, &named);
    if (status == DL_OK)
        status =
            named > 0 ? map_value(L, context, index, out, depth) : list_value(L, context, index, whole, out, depth);
    if (status != DL_OK)
        dl_value_clear(out);
    return status;
}

static dl_status userdata_value(lua_State *L, dl_context *context, int index, dl_value *out) {
    char text[96];
    dl_object *object = dlua_test_object(L, index);
    const dlua_definition *definition = dlua_test_definition(L, index);
    if (dlua_class_of(L, index) == DLUA_NONE)
        return DL_OK;
    if (object != NULL) {
        *out = dl_value_object(object);
        return DL_OK;
    }
    if (definition == NULL)
        return dl_fail(DL_INVALID, "%s cannot stand here", dlua_describe(L, index, text, sizeof text));
    dl_status status = dl_object_create(context, definition->family, definition->definition, NULL, &object);
    if (status == DL_OK) {
        *out = dl_value_object(object);
        dl_object_release(object);
    }
    return status;
}

static dl_status convert(lua_State *L, dl_context *context, int index, dl_value *out, int depth) {
    char text[96];
    *out = (dl_value){.kind = DL_VALUE_NONE};
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return DL_OK;
    case LUA_TBOOLEAN:
        *out = dl_value_bool(lua_toboolean(L, index));
        return DL_OK;
    case LUA_TNUMBER:
        *out = number_value(L, index);
        return DL_OK;
    case LUA_TSTRING:
        return string_value(L, context, index, out);
    case LUA_TTABLE:
        return table_value(L, context, index, out, depth);
    case LUA_TUSERDATA:
        return userdata_value(L, context, index, out);
    default:
        return dl_fail(DL_INVALID, "%s cannot stand here", dlua_describe(L, index, text, sizeof text));
    }
}

dl_status dlua_to_value(lua_State *L, int index, dl_value *out) {
    *out = (dl_value){.kind = DL_VALUE_NONE};
    if (!lua_checkstack(L, 8))
        return dl_fail(DL_MEMORY, "Lua's stack is full");
    return convert(L, dlua_get_state(L)->context, lua_absindex(L, index), out, 0);
}

/* ---- boxes ----------------------------------------------------------------------------------------------------- */

static int free_value_box(lua_State *L) {
    dl_value_clear(lua_touserdata(L, 1));
    return 0;
}

static int free_text_box(lua_State *L) {
    dl_free_text(*(char **)lua_touserdata(L, 1));
    return 0;
}

/* Gives the userdata at the top a metatable whose __gc is `free_box`. */
static void set_finalizer(lua_State *L, lua_CFunction free_box) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_box);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

dl_value *dlua_new_value_box(lua_State *L) {
    dl_value *value = lua_newuserdatauv(L, sizeof *value, 0);
    *value = (dl_value){.kind = DL_VALUE_NONE};
    set_finalizer(L, free_value_box);
    return value;
}

char **dlua_new_text_box(lua_State *L) {
    char **text = lua_newuserdatauv(L, sizeof *text, 0);
    *text = NULL;
    set_finalizer(L, free_text_box);
    return text;
}

/* ---- to Lua ---------------------------------------------------------------------------------------------------- */

static void push_items(lua_State *L, const dl_value *value) {
    bool is_map = value->kind == DL_VALUE_MAP;
    luaL_checkstack(L, 4, "a value is nested too deep");
    lua_newtable(L);
    for (int64_t k = 0; k < value->as.list.count; k++) {
        const dl_value *item = &value->as.list.items[k];
        if (item->kind == DL_VALUE_NONE)
            dlua_push_none(L);
        else
            dlua_push_value(L, item);
        if (is_map)
            lua_setfield(L, -2, value->as.list.keys[k]);
        else
            lua_rawseti(L, -2, k + 1);
    }
}

void dlua_push_value(lua_State *L, const dl_value *value) {
    switch (value->kind) {
    case DL_VALUE_NONE:
        lua_pushnil(L);
        break;
    case DL_VALUE_BOOL:
        lua_pushboolean(L, value->as.boolean);
        break;
    case DL_VALUE_INT:
        if (value->as.integer == DL_NONE)
            dlua_push_none(L);
        else
            lua_pushinteger(L, value->as.integer);
        break;
    case DL_VALUE_REAL:
        lua_pushnumber(L, value->as.real);
        break;
    case DL_VALUE_STRING:
        lua_pushstring(L, value->as.string);
        break;
    case DL_VALUE_LIST:
    case DL_VALUE_MAP:
        push_items(L, value);
        break;
    case DL_VALUE_OBJECT:
        dlua_push_object(L, value->as.object);
        break;
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

int dlua_json_encode(lua_State *L) {
    luaL_checkany(L, 1);
    dl_value *value = dlua_new_value_box(L);
    char **text = dlua_new_text_box(L);
    size_t length;
    dlua_check(L, dlua_to_value(L, 1, value));
    dlua_check(L, dl_value_to_json(dlua_context(L), value, text, &length));
    lua_pushlstring(L, *text, length);
    return 1;
}

int dlua_json_decode(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    dl_value *value = dlua_new_value_box(L);
    dlua_check(L, dl_value_from_json(dlua_context(L), text, length, value));
    dlua_push_value(L, value);
    return 1;
}
