/* help.h: functions of the binding with their help, and what is known of a value. */
#ifndef DLUA_HELP_H
#define DLUA_HELP_H

#include "binding.h"

/* A function and what help says of it. `arguments` has a line for each argument:
 *      "x: the input"                    must be given
 *      "dim = none: ..."                 may be left out; the default as a script writes it
 *      "{keepdim = false}: ..."          by name, in the table of options at the end
 *      "sizes...: ..."                   any number of them
 * and is "" for a function that takes none. */
typedef struct dlua_function {
    const char *name;
    lua_CFunction call;
    const char *arguments;
    const char *help;
} dlua_function;

/* Puts the functions, up to a row without a name, into the table at the top. `of` is what a script writes before the
 * name: "dlua.", "model:". Raises. */
void dlua_add_functions(lua_State *L, const char *of, const dlua_function *functions);
/* The function with this name, or NULL. Does not raise. */
lua_CFunction dlua_find_function(const dlua_function *functions, const char *name);
/* Notes what help says of the value at index; `arguments` is NULL for what is no function. Raises. */
void dlua_note_help(lua_State *L, int index, const char *of, const char *name, const char *arguments, const char *help);
/* Adds a property to what help says of the class table at index, which has help. Raises. */
void dlua_note_property(lua_State *L, int index, const char *name, const char *help);
/* Pops the table at the top into the field `name` of the table below it, with its help. Raises. */
void dlua_add_table(lua_State *L, const char *name, const char *help);

/* Pushes one field as help shows it: {name =, takes =, default =, required =, named =, help =}. Raises. */
void dlua_push_field_help(lua_State *L, const dl_definition *definition, const void *options, const dl_field *field);

/* Makes the table of help and adds describe, set_help and nearest to the module's table at the top. Raises. */
void dlua_open_help(lua_State *L);

#endif
