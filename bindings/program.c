/* program.c: the dlua program. It runs scripts as the standalone lua does, with the same flags and the same table
 * `arg`, and with the engine and the Lua library inside. `dlua NAME` runs the library's file commands/NAME.lua, where
 * there is one.
 *
 * Always true: only this program handles signals. Ctrl-C is a request that the engine and Lua's own instructions answer
 * with an error; a second one, while the first has no answer, ends a script as it would any program. */
#include "program.h"

#include "resources.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct options {
    int script; /* place of the script in argv; 0: none */
    bool dash_is_stdin;
    bool is_file; /* the script came after "--": it is no command */
    bool interactive;
    bool version;
    bool executes; /* -e was there */
    bool ignore_environment;
    bool help;
    const char *wrong; /* an argument that is no option, or lacks its value; NULL: none */
} options;

static const char *program_name = "dlua";
static dlua_state *running; /* what Ctrl-C interrupts */
static bool is_session;

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void print_message(const char *message) {
    fprintf(stderr, "%s: %s\n", program_name, message);
    fflush(stderr);
}

int program_report(lua_State *L, int status) {
    if (status != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        print_message(message != NULL ? message : "(error message not a string)");
        lua_pop(L, 1);
    }
    return status;
}

/* The engine's warnings, which a library must not print itself. */
static void print_log(dl_log_level level, const char *message) {
    fprintf(stderr, "%s: %s%s\n", program_name, level == DL_LOG_WARNING ? "warning: " : "", message);
    fflush(stderr);
}

static void print_version(void) {
    printf("dlua %s (%s)\n", dl_version(), LUA_RELEASE);
    fflush(stdout);
}

static const char usage[] =
    "usage: dlua [options] [script [args]]\n"
    "       dlua command [args]\n"
    "  -e stat      execute string 'stat'\n"
    "  -i           enter the session after executing 'script'\n"
    "  -l mod       require library 'mod' into global 'mod'\n"
    "  -l g=mod     require library 'mod' into global 'g'\n"
    "  -v           show version information\n"
    "  -E           ignore environment variables\n"
    "  -W           turn warnings on\n"
    "  --           stop handling options\n"
    "  -            stop handling options and execute stdin\n"
    "  --help       show this text\n"
    "  --version    show version information\n"
    "Without a script, on a terminal, a session begins.\n"
    "Environment: LUA_INIT, LUA_PATH, LUA_CPATH (and with _5_4) as for lua; DLUA_NUM_THREADS, DLUA_ISA,\n"
    "DLUA_DATA (folder of data sets), DLUA_DATASETS_URL (mirror to download them from).\n";

/* The first line of each file in commands/ is "--- dlua NAME ARGUMENTS: what it does". */
static void print_commands(void) {
    static const char folder[] = "commands/", start[] = "--- dlua ";
    printf("Commands:\n");
    for (const dlua_resource *row = dlua_embedded; row->name != NULL; row++) {
        if (strncmp(row->name, folder, sizeof folder - 1) != 0)
            continue;
        const char *line = (const char *)row->bytes + sizeof start - 1;
        const char *purpose = strstr(line, ": ");
        printf("  %-29.*s %.*s\n", (int)(purpose - line), line, (int)strcspn(purpose + 2, "\n"), purpose + 2);
    }
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

static int add_traceback(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            return 1;
        message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    }
    luaL_traceback(L, L, message, 1);
    return 1;
}

static void on_interrupt(int number) {
    if (running->interrupted && !is_session) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    dlua_interrupt(running);
}

static void handle_interrupts(lua_State *L) {
    struct sigaction action;
    running = dlua_make_state(L, print_log);
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_interrupt; /* without SA_RESTART: a read that waits ends */
    sigaction(SIGINT, &action, NULL);
}

int program_call(lua_State *L, int arguments, int results) {
    int base = lua_gettop(L) - arguments;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, base);
    int status = lua_pcall(L, arguments, results, base);
    lua_remove(L, base);
    dlua_clear_interrupt(running);
    return status;
}

static int run_chunk(lua_State *L, int status) {
    if (status == LUA_OK)
        status = program_call(L, 0, 0);
    return program_report(L, status);
}

static int run_string(lua_State *L, const char *text, const char *name) {
    return run_chunk(L, luaL_loadbufferx(L, text, strlen(text), name, "t"));
}

/* ---- what the command line asks for ---------------------------------------------------------------------------- */

/* Reads the option at argv[*place]; true if it is the last one. */
static bool read_option(char **argv, int *place, options *out) {
    const char *argument = argv[*place];
    char letter = argument[1];
    if (letter == '\0') {
        out->script = *place;
        out->dash_is_stdin = true;
        return true;
    }
    if (strcmp(argument, "--") == 0) {
        out->script = argv[*place + 1] != NULL ? *place + 1 : 0;
        out->is_file = true;
        return true;
    }
    if (strcmp(argument, "--help") == 0)
        out->help = true;
    else if (strcmp(argument, "--version") == 0)
        out->version = out->executes = true;
    else if (letter == 'e' || letter == 'l') {
        if (letter == 'e')
            out->executes = true;
        if (argument[2] == '\0') {
            const char *value = argv[++*place];
            if (value == NULL || value[0] == '-') {
                out->wrong = argument;
                return true;
            }
        }
    } else if (strchr("ivEW", letter) != NULL && argument[2] == '\0') {
        out->interactive |= letter == 'i';
        out->version |= letter == 'i' || letter == 'v';
        out->ignore_environment |= letter == 'E';
    } else {
        out->wrong = argument;
        return true;
    }
    return false;
}

static void read_options(char **argv, options *out) {
    memset(out, 0, sizeof *out);
    for (int place = 1; argv[place] != NULL; place++) {
        if (argv[place][0] != '-') {
            out->script = place;
            return;
        }
        if (read_option(argv, &place, out))
            return;
    }
}

/* arg[0] is the script, arg[1] ... its arguments, arg[-1] ... what stands before it; without a script arg[0] is the
 * program. */
static void set_arg_table(lua_State *L, char **argv, int argc, int script) {
    lua_createtable(L, argc, 0);
    for (int place = 0; place < argc; place++) {
        lua_pushstring(L, argv[place]);
        lua_rawseti(L, -2, place - script);
    }
    lua_setglobal(L, "arg");
}

static int run_init(lua_State *L) {
    const char *name = "=LUA_INIT" LUA_VERSUFFIX;
    const char *init = getenv(name + 1);
    if (init == NULL) {
        name = "=LUA_INIT";
        init = getenv(name + 1);
    }
    if (init == NULL)
        return LUA_OK;
    if (init[0] == '@')
        return run_chunk(L, luaL_loadfile(L, init + 1));
    return run_string(L, init, name);
}

/* -l MODULE or -l NAME=MODULE. */
static int run_require(lua_State *L, const char *text) {
    const char *equals = strchr(text, '=');
    lua_pushlstring(L, text, equals != NULL ? (size_t)(equals - text) : strlen(text));
    lua_getglobal(L, "require");
    lua_pushstring(L, equals != NULL ? equals + 1 : text);
    int status = program_call(L, 1, 1);
    if (status == LUA_OK) {
        lua_pushglobaltable(L);
        lua_insert(L, -3);
        lua_settable(L, -3);
        lua_pop(L, 1);
        return status;
    }
    lua_remove(L, -2);
    return program_report(L, status);
}

/* Runs -e, -l and -W in their order, up to the script. */
static bool run_options(lua_State *L, char **argv, const options *parsed) {
    for (int place = 1; argv[place] != NULL && place != parsed->script; place++) {
        char letter = argv[place][1];
        int status = LUA_OK;
        if (letter == 'W')
            lua_warning(L, "@on", 0);
        if (letter == 'e' || letter == 'l') {
            const char *value = argv[place][2] != '\0' ? argv[place] + 2 : argv[++place];
            status = letter == 'e' ? run_string(L, value, "=(command line)") : run_require(L, value);
        }
        if (status != LUA_OK)
            return false;
    }
    return true;
}

/* Pushes what stands after the script; returns how many. */
static int push_arguments(lua_State *L, char **argv, const options *parsed) {
    int count = 0;
    for (char **argument = argv + parsed->script + 1; *argument != NULL; argument++, count++) {
        luaL_checkstack(L, 4, "too many arguments to script");
        lua_pushstring(L, *argument);
    }
    return count;
}

static int run_script(lua_State *L, char **argv, const options *parsed) {
    const char *file = parsed->dash_is_stdin ? NULL : argv[parsed->script];
    int status = luaL_loadfile(L, file);
    if (status == LUA_OK)
        status = program_call(L, push_arguments(L, argv, parsed), LUA_MULTRET);
    return program_report(L, status);
}

/* Pushes the file of the command that the script's place in the arguments names; false pushes nothing. */
static bool push_command(lua_State *L, char **argv, const options *parsed) {
    const char *name = argv[parsed->script];
    if (parsed->is_file || parsed->dash_is_stdin || name[strspn(name, "abcdefghijklmnopqrstuvwxyz")] != '\0')
        return false;
    if (dlua_has_library_file(L, lua_pushfstring(L, "commands/%s.lua", name)))
        return true;
    lua_pop(L, 1);
    return false;
}

/* Runs the command whose file's name is on the stack. What goes wrong there is an answer to its user, without a
 * traceback. */
static int run_command(lua_State *L, char **argv, const options *parsed) {
    int status = dlua_load_library_file(L, lua_tostring(L, -1)) ? LUA_OK : LUA_ERRSYNTAX;
    if (status == LUA_OK) {
        status = lua_pcall(L, push_arguments(L, argv, parsed), 0, 0);
        dlua_clear_interrupt(running);
    }
    return program_report(L, status);
}

static void start_session(lua_State *L) {
    is_session = true;
    session_run(L);
    is_session = false;
}

/* Everything, protected: (argc, argv) -> true if all went well. */
static int run_program(lua_State *L) {
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    options parsed;
    lua_settop(L, 0);
    read_options(argv, &parsed);
    if (parsed.wrong != NULL) {
        fprintf(stderr, "%s: %s '%s'\n%s", program_name,
                strlen(parsed.wrong) == 2 && strchr("el", parsed.wrong[1]) ? "a value is missing after"
                                                                           : "unrecognized option",
                parsed.wrong, usage);
        return 0;
    }
    if (parsed.help) {
        fputs(usage, stdout);
        print_commands();
        lua_pushboolean(L, true);
        return 1;
    }
    if (parsed.version)
        print_version();
    if (parsed.ignore_environment) {
        lua_pushboolean(L, true);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_dlua);
    lua_setfield(L, -2, "dlua");
    lua_pop(L, 1);
    dlua_install_searcher(L);
    set_arg_table(L, argv, argc, parsed.script);
    handle_interrupts(L);
    if (!parsed.ignore_environment && run_init(L) != LUA_OK)
        return 0;
    if (!run_options(L, argv, &parsed))
        return 0;
    bool is_command = parsed.script > 0 && push_command(L, argv, &parsed);
    if (is_command && run_command(L, argv, &parsed) != LUA_OK)
        return 0;
    if (!is_command && parsed.script > 0 && run_script(L, argv, &parsed) != LUA_OK)
        return 0;
    if (parsed.interactive)
        start_session(L);
    else if (parsed.script == 0 && !parsed.executes && !parsed.version) {
        if (isatty(STDIN_FILENO)) {
            print_version();
            start_session(L);
        } else if (run_chunk(L, luaL_loadfile(L, NULL)) != LUA_OK)
            return 0;
    }
    lua_pushboolean(L, true);
    return 1;
}

int main(int argc, char **argv) {
    if (argc > 0 && argv[0][0] != '\0')
        program_name = argv[0];
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        print_message("cannot create the state: not enough memory");
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, run_program);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int status = lua_pcall(L, 2, 1, 0);
    bool succeeded = status == LUA_OK && lua_toboolean(L, -1);
    program_report(L, status);
    signal(SIGINT, SIG_DFL);
    lua_close(L);
    return succeeded ? EXIT_SUCCESS : EXIT_FAILURE;
}
