/* resources.c: the files of the Lua library, embedded or, with DLUA_LUA_DIR, from a folder.
 *
 * Always true: a name never leads out of the library's folder, and every chunk of the library is named
 * "@[dlua]/NAME", wherever it comes from. */
#include "resources.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const dlua_resource *find_embedded(const char *name) {
    for (const dlua_resource *row = dlua_embedded; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static bool is_safe_name(const char *name) {
    return name[0] != '/' && strstr(name, "..") == NULL;
}

/* Pushes the content of FOLDER/name; false pushes nothing. */
static bool push_file_of_folder(lua_State *L, const char *folder, const char *name) {
    struct stat information;
    const char *path = lua_pushfstring(L, "%s/%s", folder, name);
    if (stat(path, &information) != 0 || !S_ISREG(information.st_mode)) {
        lua_pop(L, 1);
        return false;
    }
    /* The room comes first: nothing may raise an error while the file is open. */
    luaL_Buffer buffer;
    char *room = luaL_buffinitsize(L, &buffer, (size_t)information.st_size + 1);
    FILE *file = fopen(path, "rb");
    size_t length = file == NULL ? 0 : fread(room, 1, (size_t)information.st_size, file);
    if (file != NULL)
        fclose(file);
    luaL_pushresultsize(&buffer, length);
    lua_remove(L, -2);
    return true;
}

/* Pushes the bytes of a file of the library; false pushes nothing. */
static bool push_resource(lua_State *L, const char *name) {
    const char *folder = getenv("DLUA_LUA_DIR");
    if (!is_safe_name(name))
        return false;
    if (folder != NULL && folder[0] != '\0')
        return push_file_of_folder(L, folder, name);
    const dlua_resource *row = find_embedded(name);
    if (row == NULL)
        return false;
    lua_pushlstring(L, (const char *)row->bytes, row->length);
    return true;
}

bool dlua_has_library_file(lua_State *L, const char *name) {
    bool has = push_resource(L, name);
    if (has)
        lua_pop(L, 1);
    return has;
}

int dlua_load_library_file(lua_State *L, const char *name) {
    if (!push_resource(L, name)) {
        lua_pushfstring(L, "the library has no file '%s'", name);
        return false;
    }
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    const char *chunk_name = lua_pushfstring(L, DLUA_LIBRARY_PREFIX "%s", name);
    bool loaded = luaL_loadbufferx(L, text, length, chunk_name, "t") == LUA_OK;
    lua_replace(L, -3);
    lua_pop(L, 1);
    return loaded;
}

/* Pushes the file name for a module's name after "dlua." and tells whether the library has it. */
static bool push_module_file(lua_State *L, const char *rest, const char *ending) {
    const char *path = luaL_gsub(L, rest, ".", "/");
    const char *name = lua_pushfstring(L, "%s%s", path, ending);
    lua_remove(L, -2);
    if (dlua_has_library_file(L, name))
        return true;
    lua_pop(L, 1);
    return false;
}

/* The entry of package.searchers. */
static int search_library(lua_State *L) {
    const char *module = luaL_checkstring(L, 1);
    if (strncmp(module, "dlua.", 5) != 0)
        return 0;
    if (!push_module_file(L, module + 5, ".lua") && !push_module_file(L, module + 5, "/init.lua")) {
        lua_pushfstring(L, "no file for '%s' in the library of dlua", module);
        return 1;
    }
    const char *name = lua_tostring(L, -1);
    if (!dlua_load_library_file(L, name))
        return luaL_error(L, "error loading module '%s':\n\t%s", module, lua_tostring(L, -1));
    lua_insert(L, -2);
    return 2;
}

void dlua_install_searcher(lua_State *L) {
    static const char key;
    bool installed = lua_rawgetp(L, LUA_REGISTRYINDEX, &key) != LUA_TNIL;
    lua_pop(L, 1);
    if (installed)
        return;
    lua_pushboolean(L, true);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    /* Second, after package.preload: before folders are looked into. */
    for (lua_Integer place = luaL_len(L, -1); place >= 2; place--) {
        lua_rawgeti(L, -1, place);
        lua_rawseti(L, -2, place + 1);
    }
    lua_pushcfunction(L, search_library);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 2);
}

int dlua_has_resource_function(lua_State *L) {
    lua_pushboolean(L, dlua_has_library_file(L, luaL_checkstring(L, 1)));
    return 1;
}

int dlua_resource_function(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    if (!push_resource(L, name))
        return luaL_error(L, "resource(): the library has no file '%s'", name);
    return 1;
}
