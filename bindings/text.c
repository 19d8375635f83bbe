/* text.c: texts: dlua.strings and dlua.to_strings, and what layers with a vocabulary do.
 *
 * Always true: the strings of a tensor under way stay in the Lua table that they came in, so their bytes stay too. */
#include "help.h"
#include "objects.h"
#include "tensor/tensor.h"
#include "tensors.h"
#include "values.h"

/* ---- texts to tensors ------------------------------------------------------------------------------------------ */

static void add_string(lua_State *L, dlua_strings *list, lua_Integer row, const char *function) {
    char text[160];
    if (lua_type(L, -1) != LUA_TSTRING)
        dlua_raise(L, "%s: entry %I must be a string, got %s", function, (LUAI_UACINT)row,
                   dlua_describe(L, -1, text, sizeof text));
    list->texts[list->filled] = lua_tolstring(L, -1, &list->lengths[list->filled]);
    list->filled++;
}

static void add_row(lua_State *L, dlua_strings *list, lua_Integer row, const char *function) {
    char text[160];
    int index = lua_gettop(L);
    if (lua_type(L, index) != LUA_TTABLE || (int64_t)lua_rawlen(L, index) != list->inner)
        dlua_raise(L, "%s: entry %I must be a list of %I strings like the first, got %s", function, (LUAI_UACINT)row,
                   (LUAI_UACINT)list->inner, dlua_describe(L, index, text, sizeof text));
    for (lua_Integer k = 1; k <= (lua_Integer)list->inner; k++) {
        lua_rawgeti(L, index, k);
        add_string(L, list, row, function);
        lua_pop(L, 1);
    }
}

dlua_strings dlua_read_strings(lua_State *L, int index, const char *function) {
    dlua_strings list = {.count = (int64_t)lua_rawlen(L, index)};
    if (lua_rawgeti(L, index, 1) == LUA_TTABLE)
        list.inner = (int64_t)lua_rawlen(L, -1);
    lua_pop(L, 1);
    size_t total = (size_t)list.count * (size_t)(list.inner ? list.inner : 1);
    list.texts = lua_newuserdatauv(L, total * (sizeof *list.texts + sizeof *list.lengths) + 1, 0);
    list.lengths = (size_t *)(list.texts + total);
    luaL_checkstack(L, 8, "too many arguments");
    for (lua_Integer k = 1; k <= (lua_Integer)list.count; k++) {
        lua_rawgeti(L, index, k);
        if (list.inner)
            add_row(L, &list, k, function);
        else
            add_string(L, &list, k, function);
        lua_pop(L, 1);
    }
    return list;
}

static dl_tensor *make_strings(dl_context *context, void *argument) {
    const dlua_strings *list = argument;
    dl_tensor *flat = dl_strings(context, list->texts, list->lengths, list->filled);
    if (flat == NULL || list->inner == 0)
        return flat;
    int64_t shape[3] = {list->count, list->inner, dl_tensor_shape(flat)[1]};
    return dl_reshape(context, flat, 3, shape);
}

/* strings {"one", "two"}: a uint8 tensor with a text in each row, zero bytes after its end. */
static int strings(lua_State *L) {
    char text[160];
    if (lua_type(L, 1) != LUA_TTABLE)
        dlua_raise(L, "strings: takes a list of strings, got %s", dlua_describe(L, 1, text, sizeof text));
    dlua_strings list = dlua_read_strings(L, 1, "strings");
    return dlua_make_tensor(L, make_strings, &list);
}

void dlua_take_texts(lua_State *L, const dl_layer *layer, int k, int index) {
    if (lua_type(L, index) != LUA_TTABLE)
        return;
    bool is_list = lua_rawgeti(L, index, 1) == LUA_TSTRING;
    lua_pop(L, 1);
    if (!is_list || !dl_layer_takes_text(layer, k))
        return;
    dlua_strings list = dlua_read_strings(L, index, layer->name);
    dlua_make_tensor(L, make_strings, &list);
    lua_replace(L, index);
    lua_pop(L, 1);
}

/* ---- tensors to texts ------------------------------------------------------------------------------------------ */

/* Pushes the texts below dimension `dim` from number *k on, as a list of lists ... */
static void push_texts(lua_State *L, const dl_tensor *texts, int dim, int64_t *k) {
    if (dim == dl_tensor_dims(texts) - 1) {
        size_t length;
        const char *text = dl_string_at(texts, (*k)++, &length);
        lua_pushlstring(L, text, length);
        return;
    }
    int64_t count = dl_tensor_shape(texts)[dim];
    luaL_checkstack(L, 4, "too many dimensions");
    lua_createtable(L, (int)count, 0);
    for (int64_t i = 1; i <= count; i++) {
        push_texts(L, texts, dim + 1, k);
        lua_rawseti(L, -2, i);
    }
}

static dl_tensor *make_contiguous(dl_context *context, void *argument) {
    return dl_scope_add(context, dl_tensor_contiguous(argument));
}

/* to_strings(tensor): the texts of a tensor as strings gives it, a list. */
static int to_strings(lua_State *L) {
    char text[160];
    dl_tensor *tensor = dlua_check_tensor(L, 1, "to_strings", "the tensor");
    if (dl_tensor_dtype(tensor) != DL_UINT8 || dl_tensor_dims(tensor) < 1)
        dlua_raise(L, "to_strings: takes a uint8 tensor with the bytes of a text in each row, got %s",
                   dlua_describe(L, 1, text, sizeof text));
    int64_t k = 0;
    dlua_make_tensor(L, make_contiguous, tensor);
    push_texts(L, dlua_test_tensor(L, -1), 0, &k);
    return 1;
}

/* ---- vocabularies of layers ------------------------------------------------------------------------------------ */

static dl_layer *check_layer(lua_State *L, const char *method) {
    char text[160];
    dl_layer *layer = dlua_test_layer(L, 1);
    if (layer == NULL)
        dlua_raise(L, "%s: call it as a method of a layer, got %s", method, dlua_describe(L, 1, text, sizeof text));
    return layer;
}

/* layer:adapt(data): a list of strings, or a tensor like the layer's inputs. */
int dlua_adapt(lua_State *L) {
    dl_layer *layer = check_layer(L, "adapt");
    lua_settop(L, 2);
    dlua_take_texts(L, layer, 0, 2);
    dl_tensor *data = dlua_check_tensor(L, 2, "adapt", "the data");
    dl_status status;
    do
        status = dl_layer_adapt(layer, data);
    while (dlua_collect_for_memory(L, status));
    dlua_check(L, status);
    lua_settop(L, 1);
    return 1;
}

/* layer:get_vocabulary(special_tokens): the tokens by their ids; false leaves the special ones out. */
int dlua_get_vocabulary(lua_State *L) {
    const dl_layer *layer = check_layer(L, "get_vocabulary");
    bool special_tokens = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
    dl_value *list = dlua_new_value_box(L);
    dlua_check(L, dl_layer_get_vocabulary(layer, special_tokens, list));
    dlua_push_value(L, list);
    return 1;
}

/* layer:set_vocabulary(list, idf_weights) */
int dlua_set_vocabulary(lua_State *L) {
    dl_layer *layer = check_layer(L, "set_vocabulary");
    lua_settop(L, 3);
    dl_value *words = dlua_new_value_box(L), *weights = dlua_new_value_box(L);
    dlua_check(L, dlua_to_value(L, 2, words));
    dlua_check(L, dlua_to_value(L, 3, weights));
    dlua_check(L, dl_layer_set_vocabulary(layer, words, weights));
    lua_settop(L, 1);
    return 1;
}

int dlua_vocabulary_size(lua_State *L) {
    int64_t size;
    dlua_check(L, dl_layer_vocabulary_size(check_layer(L, "vocabulary_size"), &size));
    lua_pushinteger(L, size);
    return 1;
}

void dlua_open_text(lua_State *L) {
    static const dlua_function functions[] = {
        {"strings", strings, "texts: a list of strings, or a list of lists of them",
         "A uint8 tensor with the bytes of a text in each row, and zero bytes after its end. Layers and models that "
         "take text take the list too."},
        {"to_strings", to_strings, "tensor: as strings gives it", "The texts of a tensor, a list of strings."},
        {NULL, NULL, NULL, NULL},
    };
    dlua_add_functions(L, "dlua.", functions);
}
