/* errors.c: how a failure becomes a Lua error at the user's line.
 *
 * Always true: a message begins with the file and line of the innermost running function that is not part of the Lua
 * library, so that the user reads a place in the user's own text; an error inside a layer or a loss written in Lua
 * keeps the place that it has there. */
#include "binding.h"

#include <stdarg.h>
#include <string.h>

#include "resources.h"

/* Pushes "file:line: " of the user's line, or "". */
static void push_user_line(lua_State *L) {
    lua_Debug frame;
    for (int level = 1; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        bool is_library = strncmp(frame.source, DLUA_LIBRARY_PREFIX, sizeof DLUA_LIBRARY_PREFIX - 1) == 0;
        if (frame.currentline > 0 && !is_library) {
            lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

void dlua_raise(lua_State *L, const char *format, ...) {
    va_list arguments;
    push_user_line(L);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 2);
    lua_error(L);
    __builtin_unreachable();
}

void dlua_raise_status(lua_State *L, dl_status status) {
    if (status == DL_CANCELLED) {
        dlua_clear_interrupt(dlua_get_state(L));
        dlua_raise(L, "interrupted");
    }
    const char *message = dl_last_error();
    const char *place = dlua_get_state(L)->place;
    if (status == DL_CALLBACK && place[0] != '\0') {
        lua_pushfstring(L, "%s%s", place, message);
        lua_error(L);
    }
    dlua_raise(L, "%s", message[0] != '\0' ? message : dl_status_meaning(status));
}

void dlua_check(lua_State *L, dl_status status) {
    if (status != DL_OK)
        dlua_raise_status(L, status);
}

int dlua_raise_function(lua_State *L) {
    dlua_raise(L, "%s", luaL_checkstring(L, 1));
}
