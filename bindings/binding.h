/* binding.h: what the files of the binding share.
 *
 * One lua_State has one dl_context; both hang on a userdata in the state's registry, so that several states may work in
 * several threads. Two rules keep the C side whole under Lua's errors, which are long jumps:
 *   - a userdata exists before what it will hold: it is made empty, then filled, so that the collector frees it;
 *   - between dl_scope_begin and dl_scope_end, and while a dl_value or an options struct holds memory, nothing is
 *     called that can raise. Functions that may raise are named so in their comments, all others do not. */
#ifndef DLUA_BINDING_H
#define DLUA_BINDING_H

#include <signal.h>
#include <stdbool.h>

#include <lauxlib.h>
#include <lua.h>

#include "dlua/dlua.h"

/* ---- the state (state.c) --------------------------------------------------------------------------------------- */

typedef struct dlua_state {
    dl_context *context;
    lua_State *main;                   /* the main thread of the Lua state */
    volatile sig_atomic_t interrupted; /* dlua_interrupt came and nothing has answered it yet */
    size_t collect_at;                 /* bytes in use at which Lua's collector runs next */
    bool collecting;
    /* While the engine runs layers: the thread that called it, and the call of the layer written in Lua that is under
     * way (else NULL), whose step the layers called inside it belong to. */
    lua_State *caller;
    dl_layer_call *layer_call;
    char place[LUA_IDSIZE + 24]; /* "file:line: " of the last error in Lua code that the engine called */
    /* Where the engine's messages go; NULL: to Lua's warn. */
    void (*log)(dl_log_level level, const char *message);
} dlua_state;

/* The state's own data; makes it at the first call, and may raise then. */
dlua_state *dlua_get_state(lua_State *L);
/* Makes it with a log of the program's own, which hears what there is to say from the beginning; before any other call
 * of the binding. Raises. */
dlua_state *dlua_make_state(lua_State *L, void (*log)(dl_log_level level, const char *message));
dl_context *dlua_context(lua_State *L);

/* Asks whatever runs in the state to stop: the engine at its next tile, Lua at its next instruction; both then raise
 * "interrupted". Safe in a signal handler. The library installs none: a program may. */
void dlua_interrupt(dlua_state *state);
/* Forgets an interrupt that has been answered. */
void dlua_clear_interrupt(dlua_state *state);

/* Lua's collector sees a tensor as a few bytes. Called after something of the engine was handed to Lua: runs the
 * collector when the engine's memory has grown by half, so that a loop which drops its tensors stays flat. Runs
 * finalizers; does not raise. */
void dlua_collect_if_grown(lua_State *L);
/* After a failure: true if it was for want of memory and the collector has run, so that one more try is worth it. */
bool dlua_collect_for_memory(lua_State *L, dl_status status);

/* ---- classes (classes.c) --------------------------------------------------------------------------------------- */

/* What a userdata of ours is. */
typedef enum dlua_class {
    DLUA_FOREIGN, /* not ours, or no userdata */
    DLUA_NONE,    /* dlua.none */
    DLUA_TENSOR,
    DLUA_DEFINITION,
    DLUA_OBJECT, /* an activation, a loss, an initializer ... */
    DLUA_OPTIMIZER,
    DLUA_LAYER,
    DLUA_MODEL,
    DLUA_SYMBOL,
    DLUA_DECODING,
    DLUA_TOKENIZER,
    DLUA_CLASS_COUNT
} dlua_class;

/* Makes the metatable of a class, with the metamethods of `functions`, and leaves it on the stack. Raises. */
void dlua_new_class(lua_State *L, dlua_class class_, const char *name, const luaL_Reg *functions);
/* Gives the userdata at the top its class. */
void dlua_set_class(lua_State *L, dlua_class class_);
dlua_class dlua_class_of(lua_State *L, int index);
/* Whether the value at index is nil, dlua.none or not there: nothing was given. */
bool dlua_is_none(lua_State *L, int index);
/* Pushes dlua.none. */
void dlua_push_none(lua_State *L);
void dlua_open_classes(lua_State *L);

/* ---- errors (errors.c); all of these raise --------------------------------------------------------------------- */

/* Raises at the user's line: the innermost running line that is not of the Lua library. */
_Noreturn void dlua_raise(lua_State *L, const char *format, ...);
/* Raises the engine's last error. */
_Noreturn void dlua_raise_status(lua_State *L, dl_status status);
void dlua_check(lua_State *L, dl_status status);
/* What a value is, for messages: "a string", "a tensor {2, 3}", "nil" ...; in room of `size` bytes; returns text. Does
 * not raise. */
const char *dlua_describe(lua_State *L, int index, char *text, size_t size);

/* raise(message): raises at the user's line, for the Lua library. */
int dlua_raise_function(lua_State *L);

/* ---- the module (module.c) ------------------------------------------------------------------------------------- */

DL_API int luaopen_dlua(lua_State *L);

#endif
