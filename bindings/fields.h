/* fields.h: fields declared in Lua, as the engine's field tables. */
#ifndef DLUA_FIELDS_H
#define DLUA_FIELDS_H

#include "binding.h"

/* What Lua itself checks: such a value cannot stand in an options struct. */
typedef enum dlua_lua_kind {
    DLUA_KIND_ENGINE, /* the engine checks it */
    DLUA_KIND_ANY,
    DLUA_KIND_TENSOR,
    DLUA_KIND_TABLE,
    DLUA_KIND_FUNCTION,
    DLUA_KIND_CALLABLE,
    DLUA_KIND_MODEL,
    DLUA_KIND_LAYER
} dlua_lua_kind;

typedef struct dlua_fields {
    int count;
    size_t options_size;
    dlua_lua_kind *kinds; /* [count] */
    bool *none_ok;        /* [count] */
    dl_field *fields;     /* [count + more], then an end */
} dlua_fields;

/* Reads the list of field declarations at index and pushes a userdata that keeps their memory and texts; `base_size`
 * bytes of the options struct come before them, and the `more` fields (may be NULL, ends with DL_END) follow in the
 * table. `of` is for messages. Each declaration is a table:
 *   name, kind = integer | real | boolean | string | enum | ints | object | tensor | table | function | callable |
 *   model | layer | any, default, min, max, choices = {...}, family = "initializer" ..., repeat, help,
 *   required = true, none = true (dlua.none is allowed), named = true (not by position), position = true. */
dlua_fields *dlua_new_fields(lua_State *L, int index, const char *of, size_t base_size, const dl_field *more,
                             bool engine_only);

/* If the value at index is what dlua.arguments returned, pushes its description and returns true; else pushes nothing.
 * Raises. */
bool dlua_push_reader_help(lua_State *L, int index);

#endif
