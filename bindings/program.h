/* program.h: what the dlua program's parts share. */
#ifndef DLUA_PROGRAM_H
#define DLUA_PROGRAM_H

#include "binding.h"

/* Calls the function below `arguments` values on the stack, with a traceback in the message if it fails; Ctrl-C
 * interrupts it. Returns Lua's status. */
int program_call(lua_State *L, int arguments, int results);
/* If status is a failure, prints the message on top of the stack on stderr and pops it. Returns status. */
int program_report(lua_State *L, int status);

/* The interactive session on stdin: reads lines, runs them, prints what expressions give, until the end of input. */
void session_run(lua_State *L);

#endif
