/* module.c: luaopen_dlua, which `require "dlua"` calls in plain Lua and in the dlua program alike.
 *
 * Always true: the table that require returns is filled by the C side first, then by the library's init.lua, which
 * receives it; package.loaded has it before, so that files of the library may require "dlua" themselves. */
#include "binding.h"

#include "help.h"
#include "objects.h"
#include "resources.h"
#include "tensors.h"
#include "terminal.h"

static void open_base(lua_State *L) {
    static const dlua_function functions[] = {
        {"raise", dlua_raise_function, "message: what went wrong, and what to do",
         "Raises an error at the user's line: the innermost one that is not of the library."},
        {"resource", dlua_resource_function, "name: the path inside the library",
         "The bytes of a file of the library, as a string."},
        {"has_resource", dlua_has_resource_function, "name: the path inside the library",
         "Whether the library has this file."},
        {NULL, NULL, NULL, NULL},
    };
    dlua_open_help(L);
    dlua_add_functions(L, "dlua.", functions);
    lua_pushstring(L, dl_version());
    lua_setfield(L, -2, "version");
    dlua_push_none(L);
    lua_setfield(L, -2, "none");
}

int luaopen_dlua(lua_State *L) {
    luaL_checkversion(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    dlua_get_state(L);
    dlua_open_classes(L);
    lua_newtable(L);
    int module = lua_gettop(L);
    lua_pushvalue(L, module);
    lua_setfield(L, -3, "dlua");
    open_base(L);
    dlua_open_runtime(L);
    dlua_open_checkpoint(L);
    dlua_open_terminal(L);
    dlua_open_creation(L);
    dlua_open_tensors(L);
    dlua_open_objects(L);
    dlua_open_layers(L);
    dlua_open_optimizers(L);
    dlua_open_models(L);
    dlua_open_decoding(L);
    dlua_open_model_files(L);
    dlua_open_custom_layers(L);
    dlua_open_functions(L);
    dlua_open_files(L);
    dlua_open_text(L);
    dlua_open_tokenizers(L);
    dlua_install_searcher(L);
    if (!dlua_load_library_file(L, "init.lua"))
        return lua_error(L);
    lua_pushvalue(L, module);
    lua_call(L, 1, 0);
    lua_settop(L, module);
    return 1;
}
