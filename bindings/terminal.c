/* terminal.c: what the library must know of the terminal that it may write to. */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "help.h"
#include "terminal.h"

static int file_number(lua_State *L) {
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    if (stream->closef == NULL)
        luaL_argerror(L, 1, "the file is closed");
    return fileno(stream->f);
}

/* is_terminal(file) -> boolean */
static int is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty(file_number(L)));
    return 1;
}

/* terminal_columns(file) -> the width in columns, or nil where the file is no terminal or does not tell. */
static int terminal_columns(lua_State *L) {
    struct winsize size = {0};
    if (ioctl(file_number(L), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 0;
    lua_pushinteger(L, size.ws_col);
    return 1;
}

void dlua_open_terminal(lua_State *L) {
    static const dlua_function functions[] = {
        {"is_terminal", is_terminal, "file: an open file, such as io.stdout", "Whether the file is a terminal."},
        {"terminal_columns", terminal_columns, "file: an open file, such as io.stdout",
         "The width of the terminal in columns; nil where the file is none."},
        {NULL, NULL, NULL, NULL},
    };
    dlua_add_functions(L, "dlua.", functions);
}
