/* session.c: the interactive session on a terminal.
 *
 * A line that is an expression prints its values, a statement that is not finished asks for more lines, and an error is
 * printed and the session goes on. */
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resources.h"

/* Reads a line without its end and pushes it. False at the end of input; an interrupt gives an empty line and sets
 * *interrupted. */
static bool push_line(lua_State *L, const char *prompt, bool *interrupted) {
    char *line = NULL;
    size_t room = 0;
    *interrupted = false;
    fputs(prompt, stdout);
    fflush(stdout);
    errno = 0;
    ssize_t length = getline(&line, &room, stdin);
    if (length < 0 && errno == EINTR) {
        clearerr(stdin);
        fputc('\n', stdout);
        dlua_clear_interrupt(dlua_get_state(L));
        *interrupted = true;
        length = 0;
    }
    if (length > 0 && line[length - 1] == '\n')
        length--;
    if (length >= 0)
        lua_pushlstring(L, line != NULL ? line : "", (size_t)length);
    free(line);
    return length >= 0;
}

/* True if loading failed only because the text goes on; pops the message then. */
static bool is_incomplete(lua_State *L, int status) {
    static const char mark[] = "<eof>";
    size_t length;
    if (status != LUA_ERRSYNTAX)
        return false;
    const char *message = lua_tolstring(L, -1, &length);
    if (length < sizeof mark - 1 || strcmp(message + length - (sizeof mark - 1), mark) != 0)
        return false;
    lua_pop(L, 1);
    return true;
}

/* In place of the message at the top: what to do about an escape sequence, if the text holds one. */
static void explain_escape(lua_State *L, const char *text) {
    if (strchr(text, '\x1b') == NULL)
        return;
    lua_pop(L, 1);
    lua_pushliteral(L, "stdin: the line holds an escape sequence, as the arrow keys send; type it again without them");
}

/* In place of the text at the top: its chunk, or the message. The text may be an expression; it is never bytecode. */
static int load_text(lua_State *L) {
    const char *text = lua_tostring(L, -1);
    const char *expression = lua_pushfstring(L, "return %s", text);
    int status = luaL_loadbufferx(L, expression, strlen(expression), "=stdin", "t");
    lua_remove(L, -2);
    if (status != LUA_OK) {
        lua_pop(L, 1);
        status = luaL_loadbufferx(L, text, strlen(text), "=stdin", "t");
        if (status != LUA_OK)
            explain_escape(L, text);
    }
    return status;
}

/* Reads a whole statement and leaves its chunk or the message. False at the end of input. */
static bool read_statement(lua_State *L, int *status) {
    bool interrupted;
    lua_settop(L, 0);
    if (!push_line(L, "> ", &interrupted))
        return false;
    *status = load_text(L);
    while (is_incomplete(L, *status)) {
        lua_pushliteral(L, "\n");
        if (!push_line(L, ">> ", &interrupted))
            return false;
        if (interrupted) {
            lua_settop(L, 0);
            lua_pushliteral(L, "");
        } else
            lua_concat(L, 3);
        *status = load_text(L);
    }
    lua_remove(L, 1);
    return true;
}

static void print_results(lua_State *L) {
    int count = lua_gettop(L);
    if (count == 0)
        return;
    luaL_checkstack(L, 2, "too many results to print");
    lua_getglobal(L, "print");
    lua_insert(L, 1);
    int status = program_call(L, count, 0);
    program_report(L, status);
}

/* Names that a session knows without asking: dlua and help; and reading an undefined name is an error there. */
static void prepare(lua_State *L) {
    static const char text[] = "dlua = require 'dlua'; help = dlua.help; require 'dlua.strict'";
    int status = luaL_loadbuffer(L, text, sizeof text - 1, "=(session)");
    if (status == LUA_OK)
        status = program_call(L, 0, 0);
    program_report(L, status);
}

void session_run(lua_State *L) {
    int status;
    prepare(L);
    while (read_statement(L, &status)) {
        if (status == LUA_OK)
            status = program_call(L, 0, LUA_MULTRET);
        if (program_report(L, status) == LUA_OK)
            print_results(L);
    }
    lua_settop(L, 0);
    fputc('\n', stdout);
    fflush(stdout);
}
