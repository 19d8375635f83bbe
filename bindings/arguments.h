/* arguments.h: Lua arguments into options structs, by the field tables of definitions. This is the one way in which
 * arguments are read: for constructors, tensor operations, and functions of the Lua library that declare fields. */
#ifndef DLUA_ARGUMENTS_H
#define DLUA_ARGUMENTS_H

#include "binding.h"

/* Sets one field from the value at index: shifts positions, checks type and range. Does not raise. */
dl_status dlua_set_field(lua_State *L, const dl_definition *definition, void *options, const dl_field *field,
                         int index);
/* As Lua sees a field's value in the options: positions count from 1. NONE is nil. */
void dlua_push_field(lua_State *L, const dl_definition *definition, const void *options, const dl_field *field);

/* Pushes room for the definition's options, with the defaults in it. Whoever asks clears them with dl_options_clear
 * before anything raises. */
void *dlua_new_options(lua_State *L, const dl_definition *definition);

/* Sets the fields from a constructor's table at index: positional entries first, in the order of the fields, then named
 * ones. Unknown names, holes, and what is missing are failures that name the argument. Does not raise. */
dl_status dlua_read_table(lua_State *L, const dl_definition *definition, void *options, int index);

/* Gives the userdata at the top a table of the fields' names as its user value: while a name is kept so, pushing it
 * takes no memory, which is what lets the readers here promise not to raise. */
void dlua_keep_names(lua_State *L, const dl_field *fields);

/* Checks of a table of arguments that every reader needs. `positional` names the positional arguments in order. None
 * raises. */
dl_status dlua_check_positions(lua_State *L, int index, const char *function, const char *const *positional, int count);
bool dlua_table_has_names(lua_State *L, int index);
/* "'units' is missing: ..." for a field without a value. */
dl_status dlua_missing(const char *function, const dl_field *field);

/* Refuses names in the table at index that are not known; other keys are not for here. Raises. */
void dlua_check_names(lua_State *L, int index, const char *function, const char *const *known, int count);
/* Puts the positional arguments in the table at stack index 2 under their names, so that one reader serves both:
 * compile {"adam", "mse"}. Refuses other names. Raises. */
void dlua_name_positions(lua_State *L, const char *function, const char *const *names, int count);

/* arguments(name, fields, help) -> function(table) -> table: see fields.c. */
int dlua_arguments_function(lua_State *L);

#endif
