/* fields.c: functions and layers of the Lua side declare their arguments as the engine's definitions do, and are
 * checked by the same reader.
 *
 *      local read = dlua.arguments("EarlyStopping", {
 *        {name = "monitor", kind = "string", default = "val_loss", help = "the log value to watch"},
 *        {name = "patience", kind = "integer", default = 0, min = 0, help = "epochs without improvement"},
 *      }, "Stops training when a value no longer gets better.")
 *      local options = read {patience = 3}           --> {monitor = "val_loss", patience = 3}
 *
 * Always true: the texts that a field table points to are Lua strings which the userdata's user value keeps. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "help.h"
#include "objects.h"
#include "tensors.h"
#include "values.h"

/* The engine's own representation of each kind of the declarations. */
static const struct {
    const char *name;
    dl_field_kind kind;
    size_t size;
    dlua_lua_kind lua_kind;
} kinds[] = {
    {"integer", DL_FIELD_INT, sizeof(int64_t), DLUA_KIND_ENGINE},
    {"real", DL_FIELD_REAL, sizeof(double), DLUA_KIND_ENGINE},
    {"boolean", DL_FIELD_BOOL, sizeof(bool), DLUA_KIND_ENGINE},
    {"string", DL_FIELD_STRING, sizeof(char *), DLUA_KIND_ENGINE},
    {"enum", DL_FIELD_ENUM, sizeof(int), DLUA_KIND_ENGINE},
    {"ints", DL_FIELD_INTS, sizeof(dl_ints), DLUA_KIND_ENGINE},
    {"object", DL_FIELD_OBJECT, sizeof(dl_object *), DLUA_KIND_ENGINE},
    {"any", DL_FIELD_VALUE, sizeof(dl_value), DLUA_KIND_ANY},
    {"tensor", DL_FIELD_VALUE, sizeof(dl_value), DLUA_KIND_TENSOR},
    {"table", DL_FIELD_VALUE, sizeof(dl_value), DLUA_KIND_TABLE},
    {"function", DL_FIELD_VALUE, sizeof(dl_value), DLUA_KIND_FUNCTION},
    {"callable", DL_FIELD_VALUE, sizeof(dl_value), DLUA_KIND_CALLABLE},
    {"model", DL_FIELD_VALUE, sizeof(dl_value), DLUA_KIND_MODEL},
    {"layer", DL_FIELD_VALUE, sizeof(dl_value), DLUA_KIND_LAYER},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

/* A declaration being read: its table, and the table that keeps texts. */
typedef struct declaration {
    lua_State *L;
    const char *of;
    int table, kept;
} declaration;

/* Keeps the string at the top for as long as the field table lives, pops it, and returns its text. */
static const char *keep(const declaration *d) {
    const char *text = lua_tostring(d->L, -1);
    lua_rawseti(d->L, d->kept, (lua_Integer)lua_rawlen(d->L, d->kept) + 1);
    return text;
}

/* The string in the declaration's entry `key`; NULL if there is none. */
static const char *string_entry(const declaration *d, const char *key) {
    if (lua_getfield(d->L, d->table, key) == LUA_TNIL) {
        lua_pop(d->L, 1);
        return NULL;
    }
    if (lua_type(d->L, -1) != LUA_TSTRING)
        luaL_error(d->L, "%s: in a field's declaration, %s must be a string", d->of, key);
    return keep(d);
}

static bool flag_entry(const declaration *d, const char *key) {
    lua_getfield(d->L, d->table, key);
    bool set = lua_toboolean(d->L, -1);
    lua_pop(d->L, 1);
    return set;
}

static double number_entry(const declaration *d, const char *key, double otherwise) {
    lua_getfield(d->L, d->table, key);
    double number = lua_isnil(d->L, -1) ? otherwise : luaL_checknumber(d->L, -1);
    lua_pop(d->L, 1);
    return number;
}

static int kind_index(const declaration *d, const char *name, const char *field) {
    for (int k = 0; k < KIND_COUNT; k++)
        if (name != NULL && strcmp(kinds[k].name, name) == 0)
            return k;
    return luaL_error(d->L, "%s: the field '%s' has the unknown kind '%s'", d->of, field, name != NULL ? name : "nil");
}

static const dl_family *find_family(const declaration *d, const char *name) {
    for (const dl_family *const *row = dl_families; *row != NULL; row++)
        if (name != NULL && strcmp((*row)->name, name) == 0)
            return *row;
    luaL_error(d->L, "%s: there is no family of definitions named '%s'", d->of, name != NULL ? name : "nil");
    return NULL;
}

/* choices = {"a", "b"} as the engine's "a|b". */
static const char *choices_entry(const declaration *d) {
    luaL_Buffer buffer;
    lua_State *L = d->L;
    lua_getfield(L, d->table, "choices");
    int list = lua_gettop(L);
    if (lua_type(L, list) != LUA_TTABLE)
        luaL_error(L, "%s: an enum needs choices = {...}", d->of);
    int count = (int)lua_rawlen(L, list);
    luaL_buffinit(L, &buffer);
    for (int k = 1; k <= count; k++) {
        if (k > 1)
            luaL_addchar(&buffer, '|');
        lua_rawgeti(L, list, k);
        luaL_addvalue(&buffer);
    }
    luaL_pushresult(&buffer);
    const char *text = keep(d);
    lua_pop(L, 1);
    return text;
}

/* The default as the engine's text: "same", "1,1". */
static const char *default_text(const declaration *d, dl_field_kind kind) {
    lua_State *L = d->L;
    lua_getfield(L, d->table, "default");
    if (dlua_is_none(L, -1)) {
        lua_pop(L, 1);
        return NULL;
    }
    if (kind == DL_FIELD_INTS && lua_type(L, -1) == LUA_TTABLE) {
        luaL_Buffer buffer;
        int list = lua_gettop(L), count = (int)lua_rawlen(L, list);
        luaL_buffinit(L, &buffer);
        for (int k = 1; k <= count; k++) {
            if (k > 1)
                luaL_addchar(&buffer, ',');
            lua_rawgeti(L, list, k);
            luaL_addvalue(&buffer);
        }
        luaL_pushresult(&buffer);
        lua_remove(L, list);
    }
    if (lua_type(L, -1) == LUA_TNUMBER)
        lua_tostring(L, -1);
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: a field's default does not fit its kind", d->of);
    return keep(d);
}

static void read_default(const declaration *d, dl_field *field) {
    lua_State *L = d->L;
    if (field->kind == DL_FIELD_BOOL) {
        field->number = flag_entry(d, "default");
    } else if (field->kind == DL_FIELD_INT || field->kind == DL_FIELD_REAL) {
        lua_getfield(L, d->table, "default");
        bool is_none = dlua_is_none(L, -1);
        lua_pop(L, 1);
        double none = field->kind == DL_FIELD_INT ? (double)DL_NONE : NAN;
        field->number = is_none ? none : number_entry(d, "default", 0.0);
    } else if (field->kind != DL_FIELD_VALUE) {
        field->text = default_text(d, field->kind);
    }
}

static int read_flags(const declaration *d) {
    return (flag_entry(d, "required") ? DL_REQUIRED : 0) | (flag_entry(d, "none") ? DL_NONE_OK : 0) |
           (flag_entry(d, "named") ? DL_NAMED_ONLY : 0) | (flag_entry(d, "position") ? DL_POSITION : 0);
}

/* The declaration at d->table, as field k; returns the size of its place in the struct. */
static size_t read_field(const declaration *d, dlua_fields *out, int k, bool engine_only) {
    dl_field *field = &out->fields[k];
    field->name = string_entry(d, "name");
    if (field->name == NULL)
        luaL_error(d->L, "%s: field %d has no name", d->of, k + 1);
    int kind = kind_index(d, string_entry(d, "kind"), field->name);
    if (engine_only && kinds[kind].lua_kind != DLUA_KIND_ENGINE)
        luaL_error(d->L, "%s: the field '%s' cannot be of kind %s: a saved model must be able to hold it", d->of,
                   field->name, kinds[kind].name);
    field->kind = kinds[kind].kind;
    out->kinds[k] = kinds[kind].lua_kind;
    field->flags = read_flags(d);
    out->none_ok[k] = field->flags & DL_NONE_OK;
    field->minimum = number_entry(d, "min", DL_LOWEST);
    field->maximum = number_entry(d, "max", DL_HIGHEST);
    field->repeat = (int)number_entry(d, "repeat", 0.0);
    field->help = string_entry(d, "help");
    if (field->help == NULL)
        field->help = "";
    if (field->kind == DL_FIELD_ENUM)
        field->choices = choices_entry(d);
    if (field->kind == DL_FIELD_OBJECT)
        field->family = find_family(d, string_entry(d, "family"));
    read_default(d, field);
    return kinds[kind].size;
}

static size_t round_up(size_t bytes) {
    return (bytes + 15) / 16 * 16;
}

static int count_fields(const dl_field *fields) {
    int count = 0;
    while (fields != NULL && fields[count].kind != DL_FIELD_END)
        count++;
    return count;
}

dlua_fields *dlua_new_fields(lua_State *L, int index, const char *of, size_t base_size, const dl_field *more,
                             bool engine_only) {
    index = lua_absindex(L, index);
    int own = lua_type(L, index) == LUA_TTABLE ? (int)lua_rawlen(L, index) : 0, others = count_fields(more);
    size_t field_bytes = (size_t)(own + others + 1) * sizeof(dl_field);
    size_t bytes = round_up(sizeof(dlua_fields)) + round_up(field_bytes) +
                   round_up((size_t)(own + 1) * sizeof(dlua_lua_kind)) + (size_t)own + 1;
    char *room = lua_newuserdatauv(L, bytes, 1);
    memset(room, 0, bytes);
    dlua_fields *out = (dlua_fields *)(void *)room;
    room += round_up(sizeof(dlua_fields));
    out->fields = (dl_field *)(void *)room;
    room += round_up(field_bytes);
    out->kinds = (dlua_lua_kind *)(void *)room;
    out->none_ok = (bool *)(room + round_up((size_t)(own + 1) * sizeof(dlua_lua_kind)));
    out->count = own;
    lua_newtable(L);
    declaration d = {.L = L, .of = of, .kept = lua_gettop(L)};
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, 1);
    lua_pushstring(L, of);
    keep(&d);
    size_t offset = round_up(base_size);
    for (int k = 0; k < own; k++) {
        lua_rawgeti(L, index, k + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        d.table = lua_gettop(L);
        out->fields[k].offset = offset;
        offset += round_up(read_field(&d, out, k, engine_only));
        lua_settop(L, d.kept);
    }
    if (others > 0)
        memcpy(out->fields + own, more, (size_t)others * sizeof(dl_field));
    out->options_size = offset;
    lua_pop(L, 1);
    return out;
}

/* ---- arguments(name, fields) ----------------------------------------------------------------------------------- */

static const char *const lua_kind_names[] = {
    [DLUA_KIND_ENGINE] = "",
    [DLUA_KIND_ANY] = "a value",
    [DLUA_KIND_TENSOR] = "a tensor",
    [DLUA_KIND_TABLE] = "a table",
    [DLUA_KIND_FUNCTION] = "a function",
    [DLUA_KIND_CALLABLE] = "a function or a callable object",
    [DLUA_KIND_MODEL] = "a model",
    [DLUA_KIND_LAYER] = "a layer",
};

static bool is_callable(lua_State *L, int index) {
    if (lua_isfunction(L, index))
        return true;
    if (luaL_getmetafield(L, index, "__call") == LUA_TNIL)
        return false;
    lua_pop(L, 1);
    return true;
}

static bool is_of_kind(lua_State *L, int index, dlua_lua_kind kind) {
    switch (kind) {
    case DLUA_KIND_TENSOR:
        return dlua_class_of(L, index) == DLUA_TENSOR;
    case DLUA_KIND_TABLE:
        return lua_type(L, index) == LUA_TTABLE;
    case DLUA_KIND_FUNCTION:
        return lua_isfunction(L, index);
    case DLUA_KIND_CALLABLE:
        return is_callable(L, index);
    case DLUA_KIND_MODEL:
        return dlua_class_of(L, index) == DLUA_MODEL;
    case DLUA_KIND_LAYER:
        return dlua_test_layer(L, index) != NULL;
    default:
        return true;
    }
}

/* Copies the arguments that Lua checks into the table `result`, and all others into the table `rest`, under their
 * names. Raises. */
static void split_arguments(lua_State *L, const dl_definition *definition, const dlua_fields *fields, int arguments,
                            int result, int rest) {
    char text[160];
    int place = 0;
    for (int k = 0; k < fields->count; k++) {
        const dl_field *field = &fields->fields[k];
        bool by_place = !(field->flags & DL_NAMED_ONLY) && lua_rawgeti(L, arguments, ++place) != LUA_TNIL;
        if (!by_place) {
            lua_settop(L, rest);
            lua_getfield(L, arguments, field->name);
        }
        bool is_none = dlua_class_of(L, -1) == DLUA_NONE;
        if (lua_isnil(L, -1) || fields->kinds[k] == DLUA_KIND_ENGINE) {
            lua_setfield(L, rest, field->name);
        } else if (is_none && fields->none_ok[k]) {
            lua_pushboolean(L, true);
            lua_setfield(L, rest, field->name);
        } else if (!is_of_kind(L, lua_gettop(L), fields->kinds[k])) {
            dlua_raise(L, "%s: argument '%s' must be %s%s (got %s)", definition->name, field->name,
                       lua_kind_names[fields->kinds[k]], fields->none_ok[k] ? ", or none" : "",
                       dlua_describe(L, -1, text, sizeof text));
        } else {
            lua_setfield(L, result, field->name);
            lua_pushboolean(L, true);
            lua_setfield(L, rest, field->name);
        }
        lua_settop(L, rest);
    }
}

/* Names that no field has go to the engine's reader too, which refuses them. */
static void copy_unknown(lua_State *L, const dl_definition *definition, int arguments, int rest) {
    lua_pushnil(L);
    while (lua_next(L, arguments)) {
        if (lua_type(L, -2) == LUA_TSTRING && dl_find_field(definition->fields, lua_tostring(L, -2)) == NULL) {
            lua_pushvalue(L, -2);
            lua_pushboolean(L, true);
            lua_rawset(L, rest);
        }
        lua_pop(L, 1);
    }
}

/* The values of the engine's kinds, from the options into the table `result`; none is no entry. */
static void push_options(lua_State *L, const dl_definition *definition, const dlua_fields *fields, const void *options,
                         int result) {
    for (int k = 0; k < fields->count; k++)
        if (fields->kinds[k] == DLUA_KIND_ENGINE) {
            dlua_push_field(L, definition, options, &fields->fields[k]);
            lua_setfield(L, result, fields->fields[k].name);
        }
}

/* Options that clear themselves when they are collected: reading them raises. */
typedef struct options_box {
    const dl_definition *definition;
    _Alignas(double) char options[];
} options_box;

static int free_options_box(lua_State *L) {
    options_box *box = lua_touserdata(L, 1);
    dl_options_clear(box->definition, box->options);
    return 0;
}

static options_box *new_options_box(lua_State *L, const dl_definition *definition) {
    options_box *box = lua_newuserdatauv(L, sizeof *box + definition->options_size, 0);
    box->definition = definition;
    dl_options_init(definition, box->options, definition->options_size);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_options_box);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_checkstack(L, 16, "too many arguments");
    return box;
}

/* Default values that Lua checks, from the declarations in the table at index `defaults`. */
static void add_defaults(lua_State *L, const dlua_fields *fields, int defaults, int result, int rest) {
    for (int k = 0; k < fields->count; k++) {
        const char *name = fields->fields[k].name;
        if (fields->kinds[k] == DLUA_KIND_ENGINE)
            continue;
        lua_getfield(L, rest, name);
        bool given = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (!given) {
            lua_rawgeti(L, defaults, k + 1);
            lua_getfield(L, -1, "default");
            lua_setfield(L, result, name);
            lua_pop(L, 1);
        }
    }
}

static void check_places(lua_State *L, const dl_definition *definition, const dlua_fields *fields) {
    const char *positional[32];
    int count = 0;
    for (int k = 0; k < fields->count && count < 32; k++)
        if (!(fields->fields[k].flags & DL_NAMED_ONLY))
            positional[count++] = fields->fields[k].name;
    dlua_check(L, dlua_check_positions(L, 1, definition->name, positional, count));
}

/* Upvalues: the definition, the fields, the declarations. */
static int read_arguments(lua_State *L) {
    char text[160];
    const dl_definition *definition = lua_touserdata(L, lua_upvalueindex(1));
    const dlua_fields *fields = lua_touserdata(L, lua_upvalueindex(2));
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    if (lua_type(L, 1) != LUA_TTABLE)
        dlua_raise(L, "%s: takes one table of arguments, got %s", definition->name,
                   dlua_describe(L, 1, text, sizeof text));
    lua_settop(L, 1);
    check_places(L, definition, fields);
    lua_newtable(L); /* 2: the result */
    lua_newtable(L); /* 3: what the engine reads */
    split_arguments(L, definition, fields, 1, 2, 3);
    copy_unknown(L, definition, 1, 3);
    options_box *box = new_options_box(L, definition);
    dlua_check(L, dlua_read_table(L, definition, box->options, 3));
    push_options(L, definition, fields, box->options, 2);
    lua_pushvalue(L, lua_upvalueindex(3));
    add_defaults(L, fields, lua_gettop(L), 2, 3);
    lua_settop(L, 2);
    return 1;
}

/* A field that Lua checks, as help shows it; its declaration is at the top. */
static void push_lua_field_help(lua_State *L, const dlua_fields *fields, int k) {
    const dl_field *field = &fields->fields[k];
    lua_createtable(L, 0, 6);
    lua_pushstring(L, field->name);
    lua_setfield(L, -2, "name");
    lua_pushfstring(L, "%s%s", lua_kind_names[fields->kinds[k]], fields->none_ok[k] ? ", or none" : "");
    lua_setfield(L, -2, "takes");
    lua_pushstring(L, field->help);
    lua_setfield(L, -2, "help");
    lua_pushboolean(L, field->flags & DL_REQUIRED);
    lua_setfield(L, -2, "required");
    lua_pushboolean(L, field->flags & DL_NAMED_ONLY);
    lua_setfield(L, -2, "named");
    lua_getfield(L, -2, "default");
    lua_setfield(L, -2, "default");
}

bool dlua_push_reader_help(lua_State *L, int index) {
    if (lua_tocfunction(L, index) != read_arguments)
        return false;
    lua_getupvalue(L, index, 1);
    lua_getupvalue(L, index, 2);
    lua_getupvalue(L, index, 3);
    int declarations = lua_gettop(L);
    const dl_definition *definition = lua_touserdata(L, declarations - 2);
    const dlua_fields *fields = lua_touserdata(L, declarations - 1);
    void *options = dlua_new_options(L, definition);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, definition->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, definition->help);
    lua_setfield(L, -2, "help");
    lua_createtable(L, fields->count, 0);
    for (int k = 0; k < fields->count; k++) {
        lua_rawgeti(L, declarations, k + 1);
        if (fields->kinds[k] == DLUA_KIND_ENGINE)
            dlua_push_field_help(L, definition, options, &fields->fields[k]);
        else
            push_lua_field_help(L, fields, k);
        lua_rawseti(L, -3, k + 1);
        lua_pop(L, 1);
    }
    lua_setfield(L, -2, "fields");
    return true;
}

int dlua_arguments_function(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    const char *help = luaL_optstring(L, 3, NULL);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 3);
    dl_definition *definition = lua_newuserdatauv(L, sizeof *definition, 2);
    memset(definition, 0, sizeof *definition);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, 2);
    dlua_fields *fields = dlua_new_fields(L, 2, name, 0, NULL, false);
    definition->name = name;
    definition->help = help;
    definition->version = 1;
    definition->fields = fields->fields;
    definition->options_size = fields->options_size;
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, read_arguments, 3);
    return 1;
}
