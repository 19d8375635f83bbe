/* arguments.c: from the Lua stack into options structs.
 *
 * A table of arguments has positional entries, told by whole-number keys, and named ones:
 *
 *      Conv2D { 32, {3, 3}, activation = "relu" }
 *               |     |     +-- by name
 *               +-----+-------- the fields in their order, but for those that are DL_NAMED_ONLY
 *
 * Always true: nothing here that has options raises, so that the caller clears them before it does; fields are set in
 * their order, so that the first error does not depend on the order of a Lua table. */
#include "arguments.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "configs.h"
#include "dlua/layers.h"
#include "nn/nn.h"
#include "objects.h"
#include "values.h"

#define MOST_POSITIONAL 32

/* ---- one field ------------------------------------------------------------------------------------------------- */

/* A list of cells is one cell for RNN, as it is in Keras: they are stacked, with the dtype of the first. */
static dl_status stack_cells(dl_context *context, dl_value *cells) {
    const dl_definition *definition = &dl_layer_stacked_rnn_cells.definition;
    dl_stacked_rnn_cells_options options;
    dl_object *stack = NULL;
    dl_options_init(definition, &options, sizeof options);
    dl_status status = dl_options_set(context, definition, &options, "cells", cells);
    if (status == DL_OK && options.cells.count > 0)
        options.layer.dtype = ((const dl_layer *)options.cells.at[0])->dtype;
    if (status == DL_OK)
        status = dl_object_create(context, &dl_layer_family, definition, &options, &stack);
    dl_options_clear(definition, &options);
    if (status != DL_OK)
        return status;
    dl_value_clear(cells);
    *cells = dl_value_object(stack);
    dl_object_release(stack);
    return DL_OK;
}

dl_status dlua_set_field(lua_State *L, const dl_definition *definition, void *options, const dl_field *field,
                         int index) {
    dl_value value;
    dl_context *context = dlua_get_state(L)->context;
    dl_status status = dlua_to_value(L, index, &value);
    if (status != DL_OK)
        return dl_fail_prefix("%s: %s", definition->name, field->name);
    status = dlua_lower_value(context, definition, field, &value);
    bool is_cell = definition == &dl_layer_rnn.definition && strcmp(field->name, "cell") == 0;
    if (status == DL_OK && is_cell && value.kind == DL_VALUE_LIST)
        status = stack_cells(context, &value);
    if (status == DL_OK)
        status = dl_options_set(context, definition, options, field->name, &value);
    dl_value_clear(&value);
    return status;
}

/* The object in a field, if it is one of those that hold an object; NULL otherwise. */
static dl_object *object_in(const void *options, const dl_field *field) {
    const char *slot = (const char *)options + field->offset;
    const dl_alternative *alternative = (const dl_alternative *)(const void *)slot;
    if (field->kind == DL_FIELD_OBJECT)
        return *(dl_object *const *)(const void *)slot;
    if (field->kind == DL_FIELD_ALTERNATIVE && alternative->which >= 0 &&
        field->alternatives[alternative->which].kind == DL_FIELD_OBJECT)
        return alternative->as.object;
    return NULL;
}

void dlua_push_field(lua_State *L, const dl_definition *definition, const void *options, const dl_field *field) {
    dl_object *object = object_in(options, field);
    if (object == DL_DEFAULT) {
        /* Not made yet: options that belong to no instance know their default objects by name. */
        lua_pushstring(L, field->text);
        dlua_check_object(L, lua_gettop(L), field->family, definition->name);
        lua_remove(L, -2);
        return;
    }
    if (object != NULL) {
        dlua_push_object(L, object);
        return;
    }
    dl_value *value = dlua_new_value_box(L);
    dlua_check(L, dl_options_get(dlua_context(L), definition, options, field->name, value));
    dlua_raise_value(dlua_context(L), definition, field, value);
    dlua_push_value(L, value);
    lua_remove(L, -2);
}

void *dlua_new_options(lua_State *L, const dl_definition *definition) {
    void *options = lua_newuserdatauv(L, definition->options_size + 1, 0);
    dl_options_init(definition, options, definition->options_size);
    return options;
}

dl_status dlua_missing(const char *function, const dl_field *field) {
    char kind[160];
    dl_field_describe(field, kind, sizeof kind);
    return dl_fail(DL_INVALID, "%s: argument '%s' is missing (%s)", function, field->name, kind);
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

bool dlua_table_has_names(lua_State *L, int index) {
    index = lua_absindex(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            lua_pop(L, 1);
            return true;
        }
    }
    return false;
}

/* "a, b, c" of the positional names. */
static const char *join_names(const char *const *names, int count, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < count && used < size; k++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", k > 0 ? ", " : "", names[k]);
    return text;
}

dl_status dlua_check_positions(lua_State *L, int index, const char *function, const char *const *positional,
                               int count) {
    char names[400];
    lua_Integer highest = 0, entries = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1) {
            entries++;
            if (lua_tointeger(L, -1) > highest)
                highest = lua_tointeger(L, -1);
        } else if (lua_type(L, -1) != LUA_TSTRING) {
            lua_pop(L, 1);
            return dl_fail(DL_INVALID, "%s: an argument's key must be a name or a position from 1 on", function);
        }
    }
    if (highest > count)
        return dl_fail(DL_INVALID, "%s: got %lld positional arguments, but there are at most %d%s%s%s", function,
                       (long long)highest, count, count > 0 ? " (" : "",
                       join_names(positional, count, names, sizeof names), count > 0 ? ")" : "");
    for (lua_Integer place = 1; entries < highest && place <= highest; place++) {
        bool is_hole = lua_rawgeti(L, index, place) == LUA_TNIL;
        lua_pop(L, 1);
        if (is_hole)
            return dl_fail(DL_INVALID,
                           "%s: the argument %lld ('%s') is nil: is a variable misspelt? write dlua.none for no value",
                           function, (long long)place, positional[place - 1]);
    }
    return DL_OK;
}

/* A name that no field has is a failure; the engine's message names the nearest. */
static dl_status check_names(lua_State *L, const dl_definition *definition, void *options, int index) {
    dl_value none = {.kind = DL_VALUE_NONE};
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING || dl_find_field(definition->fields, lua_tostring(L, -1)) != NULL)
            continue;
        dl_status status = dl_options_set(dlua_get_state(L)->context, definition, options, lua_tostring(L, -1), &none);
        lua_pop(L, 1);
        return status;
    }
    return DL_OK;
}

/* Pushes the argument for a field: by its place (0: none), or by its name; nil if there is none. */
static dl_status push_argument(lua_State *L, const char *function, const dl_field *field, int index, int place) {
    lua_pushstring(L, field->name);
    lua_rawget(L, index);
    if (place == 0)
        return DL_OK;
    if (lua_rawgeti(L, index, place) == LUA_TNIL) {
        lua_pop(L, 1);
        return DL_OK;
    }
    lua_remove(L, -2);
    lua_pushstring(L, field->name);
    bool twice = lua_rawget(L, index) != LUA_TNIL;
    lua_pop(L, 1);
    if (twice)
        return dl_fail(DL_INVALID, "%s: '%s' is given twice: as argument %d and by its name", function, field->name,
                       place);
    return DL_OK;
}

void dlua_keep_names(lua_State *L, const dl_field *fields) {
    lua_newtable(L);
    for (const dl_field *field = fields; field != NULL && field->kind != DL_FIELD_END; field++) {
        lua_pushstring(L, field->name);
        lua_pushboolean(L, true);
        lua_rawset(L, -3);
    }
    lua_setiuservalue(L, -2, 1);
}

static int positional_names(const dl_field *fields, const char **names) {
    int count = 0;
    for (const dl_field *field = fields; field->kind != DL_FIELD_END && count < MOST_POSITIONAL; field++)
        if (!(field->flags & DL_NAMED_ONLY))
            names[count++] = field->name;
    return count;
}

dl_status dlua_read_table(lua_State *L, const dl_definition *definition, void *options, int index) {
    const char *positional[MOST_POSITIONAL];
    int count = positional_names(definition->fields, positional), place = 0;
    dl_status status = dlua_check_positions(L, index, definition->name, positional, count);
    if (status == DL_OK)
        status = check_names(L, definition, options, index);
    for (const dl_field *field = definition->fields; status == DL_OK && field->kind != DL_FIELD_END; field++) {
        bool is_positional = !(field->flags & DL_NAMED_ONLY);
        status = push_argument(L, definition->name, field, index, is_positional ? ++place : 0);
        if (status == DL_OK && !lua_isnil(L, -1))
            status = dlua_set_field(L, definition, options, field, lua_gettop(L));
        else if (status == DL_OK && (field->flags & DL_REQUIRED))
            status = dlua_missing(definition->name, field);
        lua_pop(L, 1);
    }
    return status;
}

void dlua_check_names(lua_State *L, int index, const char *function, const char *const *known, int count) {
    char names[400];
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        const char *name = lua_tostring(L, -1);
        dl_nearest search = dl_nearest_begin(name);
        bool found = false;
        for (int k = 0; k < count; k++) {
            found = found || strcmp(known[k], name) == 0;
            dl_nearest_offer(&search, known[k]);
        }
        if (found)
            continue;
        dlua_raise(L, "%s: unknown argument '%s'%s%s%s %s", function, name,
                   search.best != NULL ? "; did you mean '" : "", search.best != NULL ? search.best : "",
                   search.best != NULL ? "'? It takes" : "; it takes", join_names(known, count, names, sizeof names));
    }
}

void dlua_name_positions(lua_State *L, const char *function, const char *const *names, int count) {
    dlua_check(L, dlua_check_positions(L, 2, function, names, count));
    dlua_check_names(L, 2, function, names, count);
    lua_newtable(L);
    int named = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        bool by_name = lua_type(L, -2) == LUA_TSTRING;
        const char *name = by_name ? lua_tostring(L, -2) : names[lua_tointeger(L, -2) - 1];
        if (lua_getfield(L, named, name) != LUA_TNIL)
            dlua_raise(L, "%s: '%s' is given twice: by its place and by its name", function, name);
        lua_pop(L, 1);
        lua_setfield(L, named, name);
    }
    lua_replace(L, 2);
}
