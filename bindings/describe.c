/* describe.c: what a Lua value is, in a few words, for messages. Always true: nothing here raises. */
#include "binding.h"

#include <stdio.h>

#include "objects.h"
#include "tensors.h"

static void describe_userdata(lua_State *L, int index, char *text, size_t size) {
    char shape[128];
    dl_object *object = dlua_test_object(L, index);
    const dlua_definition *definition = dlua_test_definition(L, index);
    dl_tensor *tensor = dlua_test_tensor(L, index);
    if (tensor != NULL) {
        dl_shape_describe(dl_tensor_dims(tensor), dl_tensor_shape(tensor), shape, sizeof shape);
        snprintf(text, size, "a %s tensor of shape %s", dl_dtype_name(dl_tensor_dtype(tensor)), shape);
    } else if (object != NULL) {
        snprintf(text, size, "the %s %s", object->family->name, object->definition->name);
    } else if (definition != NULL) {
        snprintf(text, size, "the %s %s without its arguments", definition->family->name, definition->definition->name);
    } else if (dlua_class_of(L, index) == DLUA_NONE) {
        snprintf(text, size, "dlua.none");
    } else if (dlua_class_of(L, index) == DLUA_SYMBOL) {
        snprintf(text, size, "a symbolic input");
    } else {
        snprintf(text, size, "a userdata");
    }
}

const char *dlua_describe(lua_State *L, int index, char *text, size_t size) {
    int type = lua_type(L, index);
    switch (type) {
    case LUA_TNONE:
    case LUA_TNIL:
        snprintf(text, size, "nil");
        break;
    case LUA_TBOOLEAN:
        snprintf(text, size, "%s", lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            snprintf(text, size, "%lld", (long long)lua_tointeger(L, index));
        else
            snprintf(text, size, "%.14g", lua_tonumber(L, index));
        break;
    case LUA_TSTRING:
        snprintf(text, size, "the string '%.60s'", lua_tostring(L, index));
        break;
    case LUA_TUSERDATA:
        describe_userdata(L, index, text, size);
        break;
    default:
        snprintf(text, size, "a %s", lua_typename(L, type));
    }
    return text;
}
