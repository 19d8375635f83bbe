/* help.c: what is known of a value: of definitions, instances and operations by the engine's definitions, of functions
 * and tables by what was noted where they are registered.
 *
 * Always true: the registry holds, under the address of help_key, a table with weak keys from each value that has help
 * of its own to its description, or to the reader of its arguments (fields.c), which describes itself. */
#include "help.h"

#include <string.h>

#include "arguments.h"
#include "base/text.h"
#include "fields.h"
#include "objects.h"
#include "tensors.h"

static const char help_key;

/* ---- notes ----------------------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *key, const char *text) {
    if (text != NULL) {
        lua_pushstring(L, text);
        lua_setfield(L, -2, key);
    }
}

void dlua_note_help(lua_State *L, int index, const char *of, const char *name, const char *arguments,
                    const char *help) {
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &help_key);
    lua_pushvalue(L, index);
    lua_createtable(L, 0, 4);
    set_text(L, "of", of);
    set_text(L, "name", name);
    set_text(L, "arguments", arguments);
    set_text(L, "help", help);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void dlua_note_property(lua_State *L, int index, const char *name, const char *help) {
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &help_key);
    lua_pushvalue(L, index);
    lua_rawget(L, -2);
    luaL_getsubtable(L, -1, "properties");
    lua_createtable(L, 0, 2);
    set_text(L, "name", name);
    set_text(L, "help", help);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 3);
}

void dlua_add_functions(lua_State *L, const char *of, const dlua_function *functions) {
    for (const dlua_function *row = functions; row->name != NULL; row++) {
        lua_pushcfunction(L, row->call);
        dlua_note_help(L, -1, of, row->name, row->arguments, row->help);
        lua_setfield(L, -2, row->name);
    }
}

lua_CFunction dlua_find_function(const dlua_function *functions, const char *name) {
    for (const dlua_function *row = functions; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0)
            return row->call;
    return NULL;
}

void dlua_add_table(lua_State *L, const char *name, const char *help) {
    dlua_note_help(L, -1, "dlua.", name, NULL, help);
    lua_setfield(L, -2, name);
}

/* `arguments` in the description at index 2, if there are such: "name: what for" on each line, which help splits. */
static void check_help_arguments(lua_State *L) {
    char text[160];
    if (lua_type(L, 2) != LUA_TTABLE || lua_getfield(L, 2, "arguments") == LUA_TNIL)
        return;
    if (lua_type(L, -1) != LUA_TSTRING)
        dlua_raise(L, "set_help: arguments must be a string with a line for each, 'name: what it is for', got %s",
                   dlua_describe(L, -1, text, sizeof text));
    for (const char *line = lua_tostring(L, -1); *line != '\0'; line += strspn(line, "\n")) {
        size_t length = strcspn(line, "\n");
        const char *colon = strstr(line, ": ");
        if (colon == NULL || colon >= line + length) {
            lua_pushlstring(L, line, length);
            dlua_raise(L, "set_help: each line of arguments must be 'name: what it is for', got %s",
                       dlua_describe(L, -1, text, sizeof text));
        }
        line += length;
    }
}

/* set_help(value, description): see help_functions. */
static int set_help(lua_State *L) {
    char text[160];
    luaL_checkany(L, 2);
    int type = lua_type(L, 1);
    if (type != LUA_TFUNCTION && type != LUA_TTABLE && type != LUA_TUSERDATA)
        dlua_raise(L, "set_help: a function, a table or an object has help, not %s",
                   dlua_describe(L, 1, text, sizeof text));
    if (lua_type(L, 2) != LUA_TTABLE && !lua_isfunction(L, 2))
        dlua_raise(L, "set_help: the description is a table, or what dlua.arguments returned, got %s",
                   dlua_describe(L, 2, text, sizeof text));
    check_help_arguments(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &help_key);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rawset(L, -3);
    lua_settop(L, 1);
    return 1;
}

/* ---- definitions ----------------------------------------------------------------------------------------------- */

static void push_default(lua_State *L, const dl_definition *definition, const void *options, const dl_field *field) {
    bool is_text = field->kind == DL_FIELD_OBJECT || field->kind == DL_FIELD_ALTERNATIVE;
    if (!is_text)
        dlua_push_field(L, definition, options, field);
    else if (field->text == NULL || field->kind != DL_FIELD_ALTERNATIVE || lua_stringtonumber(L, field->text) == 0)
        lua_pushstring(L, field->text);
}

void dlua_push_field_help(lua_State *L, const dl_definition *definition, const void *options, const dl_field *field) {
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
    if (!(field->flags & DL_REQUIRED)) {
        push_default(L, definition, options, field);
        lua_setfield(L, -2, "default");
    }
}

static void push_definition_table(lua_State *L, const char *family, const dl_definition *definition) {
    void *options = dlua_new_options(L, definition);
    lua_createtable(L, 0, 12);
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
        dlua_push_field_help(L, definition, options, field);
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "fields");
}

static void push_operation_table(lua_State *L, const dl_op *op) {
    push_definition_table(L, "operation", &op->definition);
    set_text(L, "inputs", op->inputs);
    set_text(L, "order", op->order);
    lua_pushboolean(L, op->flags & DL_OP_METHOD);
    lua_setfield(L, -2, "method");
    lua_pushboolean(L, op->flags & DL_OP_INPLACE);
    lua_setfield(L, -2, "in_place");
}

static void push_function_class_table(lua_State *L, const dl_definition *definition) {
    push_definition_table(L, "function", definition);
    set_text(L, "inputs", "fn");
}

/* ---- describe, nearest ----------------------------------------------------------------------------------------- */

/* Pushes what was noted for the value at index 1; false pushes nothing. */
static bool push_noted(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &help_key);
    lua_pushvalue(L, 1);
    int type = lua_isnil(L, 1) ? LUA_TNIL : lua_rawget(L, -2);
    if (type == LUA_TFUNCTION && !dlua_push_reader_help(L, lua_gettop(L)))
        lua_pushnil(L);
    return !lua_isnil(L, -1);
}

/* describe(x): see help_functions. */
static int describe(lua_State *L) {
    lua_settop(L, 1);
    if (push_noted(L))
        return 1;
    const dlua_definition *definition = dlua_test_definition(L, 1);
    const dl_object *object = dlua_test_object(L, 1);
    const dl_definition *function_class = dlua_test_function_class(L, 1);
    const dl_op *op = lua_type(L, 1) == LUA_TSTRING ? dl_find_op(lua_tostring(L, 1)) : dlua_test_operation(L, 1);
    if (definition != NULL)
        push_definition_table(L, definition->family->name, definition->definition);
    else if (object != NULL)
        push_definition_table(L, object->family->name, object->definition);
    else if (function_class != NULL)
        push_function_class_table(L, function_class);
    else if (op != NULL)
        push_operation_table(L, op);
    else if (!dlua_push_reader_help(L, 1))
        lua_pushnil(L);
    return 1;
}

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

static const dlua_function help_functions[] = {
    {"describe", describe, "x: a definition, an instance, a function, a table, or the name of an operation",
     "What is known of a value, as a table {name =, help =, fields = {...}, ...}; nil if nothing is. help shows it."},
    {"set_help", set_help,
     "value: a function, a table or an object\n"
     "description: what dlua.arguments returned, or a table {name =, help =, fields =} with fields as it takes them",
     "Notes what help(value) shows; returns the value."},
    {"nearest", nearest,
     "name: a name, maybe misspelt\n"
     "names: a table with the right names as keys",
     "The key that is spelt most like the name, or nil if none is near."},
    {NULL, NULL, NULL, NULL},
};

void dlua_open_help(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &help_key);
    dlua_add_functions(L, "dlua.", help_functions);
}
