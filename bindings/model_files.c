/* model_files.c: models to files and back, and their architectures as tables. */
#include "objects.h"

#include <string.h>

#include "configs.h"
#include "dlua/layers.h"
#include "help.h"
#include "values.h"

static const char *check_path(lua_State *L, int index, const char *function) {
    char text[160];
    if (lua_type(L, index) != LUA_TSTRING)
        dlua_raise(L, "%s: takes the path of a file, got %s", function, dlua_describe(L, index, text, sizeof text));
    return lua_tostring(L, index);
}

/* model:save(path, extra): extra is a table of values that is kept in the file and comes back from load_model, as the
 * model's training_state does. */
static int model_save(lua_State *L) {
    dl_model *model = dlua_check_model(L, "save");
    const char *path = check_path(L, 2, "save");
    lua_settop(L, 3);
    dl_value *kept = dlua_new_value_box(L);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, "extra");
    dlua_push_user_table(L, 1);
    lua_getfield(L, -1, DLUA_TRAINING_STATE);
    lua_setfield(L, -3, DLUA_TRAINING_STATE);
    if (lua_getfield(L, -1, DLUA_FUNCTIONS) != LUA_TNIL) {
        lua_pushboolean(L, true);
        lua_setfield(L, -4, DLUA_FUNCTIONS);
    }
    lua_pop(L, 2);
    dlua_check(L, dlua_to_value(L, lua_gettop(L), kept));
    dlua_check(L, dl_model_save(model, path, kept->kind == DL_VALUE_MAP ? kept : NULL));
    return 0;
}

static int model_save_weights(lua_State *L) {
    dl_model *model = dlua_check_model(L, "save_weights");
    dlua_check(L, dl_model_save_weights(model, check_path(L, 2, "save_weights")));
    return 0;
}

/* The flags by name in the table of options at index 3, which may be missing. */
static void read_flags(lua_State *L, const char *function, const char *const *names, bool *flags, int count) {
    char text[160];
    if (lua_isnoneornil(L, 3))
        return;
    if (lua_type(L, 3) != LUA_TTABLE)
        dlua_raise(L, "%s: the options are a table, {%s = true}, got %s", function, names[0],
                   dlua_describe(L, 3, text, sizeof text));
    lua_pushnil(L);
    while (lua_next(L, 3)) {
        int k = 0;
        while (k < count && !(lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), names[k]) == 0))
            k++;
        if (k == count)
            dlua_raise(L, "%s: unknown option '%s'; it takes by_name and skip_mismatch", function,
                       luaL_tolstring(L, -2, NULL));
        if (!lua_isboolean(L, -1))
            dlua_raise(L, "%s: %s must be true or false, got %s", function, names[k],
                       dlua_describe(L, -1, text, sizeof text));
        flags[k] = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
}

/* model:load_weights(path, {by_name = true, skip_mismatch = true}) */
static int model_load_weights(lua_State *L) {
    static const char *const names[] = {"by_name", "skip_mismatch"};
    bool flags[] = {false, false};
    dl_model *model = dlua_check_model(L, "load_weights");
    const char *path = check_path(L, 2, "load_weights");
    read_flags(L, "load_weights", names, flags, 2);
    dl_status status = dl_model_load_weights(model, path, flags[0], flags[1]);
    if (status != DL_OK)
        dl_fail_prefix("load_weights");
    dlua_check(L, status);
    return 0;
}

/* Runs `make`, which creates a model, with a new table that the layers written in Lua hang on until the model does. */
static int push_made_model(lua_State *L, dl_status (*make)(dl_context *context, void *argument, dl_model **out),
                           void *argument) {
    dl_object **place = dlua_new_object(L, &dl_layer_family, &dl_layer_functional.definition);
    int model = lua_gettop(L);
    dlua_push_user_table(L, model);
    dl_model *made = NULL;
    dlua_entry before = dlua_enter(L, model + 1);
    dl_status status = make(dlua_context(L), argument, &made);
    dlua_leave(before);
    *place = (dl_object *)made;
    dlua_check(L, status);
    lua_settop(L, model);
    dlua_finish_object(L, place);
    return 1;
}

typedef struct loading {
    const char *path;
    dl_value *extra;
} loading;

static dl_status load_model(dl_context *context, void *argument, dl_model **out) {
    loading *from = argument;
    return dl_model_load(context, from->path, out, from->extra);
}

/* Whether the value is what fit keeps: nothing, or a table of two whole numbers. */
static bool is_training_state(lua_State *L, int index) {
    if (lua_isnil(L, index))
        return true;
    if (!lua_istable(L, index))
        return false;
    bool right = lua_getfield(L, index, "shuffle_seed") == LUA_TNUMBER && lua_isinteger(L, -1);
    right = lua_getfield(L, index, "epochs_trained") == LUA_TNUMBER && lua_isinteger(L, -1) && right;
    lua_pop(L, 2);
    return right;
}

/* Puts the training state in `extra` (a table at the top) into the user table at index. */
static void take_training_state(lua_State *L, int user_table, const char *function, const char *path) {
    lua_getfield(L, -1, DLUA_TRAINING_STATE);
    if (!is_training_state(L, lua_gettop(L)))
        dlua_raise(L, "%s: '%s' has a training state that fit did not write", function, path);
    lua_setfield(L, user_table, DLUA_TRAINING_STATE);
}

/* model:restore(path) -> extra */
static int model_restore(lua_State *L) {
    dl_model *model = dlua_check_model(L, "restore");
    const char *path = check_path(L, 2, "restore");
    lua_settop(L, 2);
    dl_value *extra = dlua_new_value_box(L);
    dlua_push_user_table(L, 1);
    dlua_entry before = dlua_enter(L, 4);
    dl_status status = dl_model_restore(model, path, extra);
    dlua_leave(before);
    dlua_check(L, status);
    dlua_push_value(L, extra);
    if (!lua_istable(L, -1))
        return 0;
    take_training_state(L, 4, "restore", path);
    lua_getfield(L, -1, "extra");
    return 1;
}

/* load_model(path) -> model, extra */
static int load_model_function(lua_State *L) {
    loading from = {.path = check_path(L, 1, "load_model")};
    from.extra = dlua_new_value_box(L);
    push_made_model(L, load_model, &from);
    int model = lua_gettop(L);
    dlua_push_value(L, from.extra);
    if (!lua_istable(L, -1)) {
        lua_settop(L, model);
        return 1;
    }
    dlua_push_user_table(L, model);
    lua_pushvalue(L, model + 1);
    take_training_state(L, model + 2, "load_model", from.path);
    lua_pop(L, 1);
    lua_getfield(L, model + 1, DLUA_FUNCTIONS);
    lua_setfield(L, -2, DLUA_FUNCTIONS);
    lua_settop(L, model + 1);
    lua_getfield(L, model + 1, "extra");
    lua_replace(L, model + 1);
    return 2;
}

static dl_status make_from_config(dl_context *context, void *argument, dl_model **out) {
    return dl_model_from_config(context, argument, out);
}

/* model_from_config(config): the architecture with new weights. */
static int model_from_config_function(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    dl_value *config = dlua_new_value_box(L);
    dlua_check(L, dlua_to_value(L, 1, config));
    dlua_check(L, dlua_lower_config(dlua_context(L), &dl_layer_family, config));
    return push_made_model(L, make_from_config, config);
}

static int model_get_config(lua_State *L) {
    dlua_push_config(L, &dlua_check_model(L, "get_config")->object);
    return 1;
}

void dlua_open_model_files(lua_State *L) {
    static const dlua_function functions[] = {
        {"load_model", load_model_function, "path: of the file",
         "The model that model:save wrote, ready to go on training, and the table that save was given beside."},
        {"model_from_config", model_from_config_function, "config: what model:get_config returned",
         "A model of the same architecture with new weights."},
        {NULL, NULL, NULL, NULL},
    };
    static const dlua_function methods[] = {
        {"save", model_save,
         "path: of the safetensors file\n"
         "extra = none: a table that load_model gives back",
         "Writes architecture, weights, optimizer and training state into one file: whole, or not at all."},
        {"save_weights", model_save_weights, "path: of the safetensors file", "Writes the weights into a file."},
        {"load_weights", model_load_weights,
         "path: of the safetensors file\n"
         "{by_name = false}: finds weights by their layers' names instead of their order\n"
         "{skip_mismatch = false}: leaves weights of other shapes as they are",
         "Reads the weights of a file into the model."},
        {"restore", model_restore, "path: of a file that save wrote",
         "Puts weights, optimizer and training state of a file into the model, which is compiled as the saved one was; "
         "returns what save kept as extra."},
        {"get_config", model_get_config, "", "The architecture as a table, for model_from_config."},
        {NULL, NULL, NULL, NULL},
    };
    dlua_add_functions(L, "dlua.", functions);
    lua_getfield(L, -1, "Model");
    dlua_add_functions(L, "model:", methods);
    lua_pop(L, 1);
}
