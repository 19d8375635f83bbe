/* terminal.h: see terminal.c. */
#ifndef DLUA_TERMINAL_H
#define DLUA_TERMINAL_H

#include "binding.h"

/* Adds is_terminal and terminal_columns to the module's table at the top. */
void dlua_open_terminal(lua_State *L);

#endif
