/* tokenizers.c: tokenizers as Lua uses them.
 *
 *      local tokenizer = dlua.text.BytePairTokenizer { vocabulary_size = 1000, special_tokens = {"<s>"} }
 *      tokenizer:train(io.open "book.txt")
 *      local ids = tokenizer:encode "some text"      -- int64 {T}
 *      tokenizer:save "book.json"                    -- dlua.text.load "book.json"
 *
 * Always true: the bytes of texts stay in the Lua strings that came as arguments. */
#include <string.h>

#include "configs.h"
#include "dlua/text.h"
#include "help.h"
#include "objects.h"
#include "tensors.h"
#include "values.h"

static dl_tokenizer *check_tokenizer(lua_State *L, const char *method) {
    char text[160];
    if (dlua_class_of(L, 1) != DLUA_TOKENIZER)
        dlua_raise(L, "%s: call it as a method of a tokenizer, got %s", method, dlua_describe(L, 1, text, sizeof text));
    return *(dl_tokenizer **)lua_touserdata(L, 1);
}

static const char *check_text(lua_State *L, const char *method, size_t *length) {
    char text[160];
    if (lua_type(L, 2) != LUA_TSTRING)
        dlua_raise(L, "%s: takes a string, got %s", method, dlua_describe(L, 2, text, sizeof text));
    return lua_tolstring(L, 2, length);
}

/* The list of strings at index 2; pushes what holds the arrays. */
static dlua_strings check_texts(lua_State *L, const char *method, const char *takes) {
    char text[160];
    if (lua_type(L, 2) != LUA_TTABLE)
        dlua_raise(L, "%s: takes %s, got %s", method, takes, dlua_describe(L, 2, text, sizeof text));
    dlua_strings list = dlua_read_strings(L, 2, method);
    if (list.inner > 0)
        dlua_raise(L, "%s: takes a list of strings, got a list of lists", method);
    return list;
}

/* Replaces a file of Lua's at index 2 by all that is left of it. */
static void read_file(lua_State *L) {
    if (luaL_testudata(L, 2, LUA_FILEHANDLE) == NULL)
        return;
    lua_getfield(L, 2, "read");
    lua_pushvalue(L, 2);
    lua_pushliteral(L, "a");
    lua_call(L, 2, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        dlua_raise(L, "train: the file could not be read");
    lua_replace(L, 2);
}

/* tokenizer:train(text, or a list of texts, or a file of io.open) */
static int tokenizer_train(lua_State *L) {
    dl_tokenizer *tokenizer = check_tokenizer(L, "train");
    lua_settop(L, 2);
    read_file(L);
    dl_status status;
    if (lua_type(L, 2) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, 2, &length);
        status = dl_tokenizer_train(tokenizer, &text, &length, 1);
    } else {
        dlua_strings list = check_texts(L, "train", "a text, a list of texts, or a file");
        status = dl_tokenizer_train(tokenizer, list.texts, list.lengths, list.filled);
    }
    dlua_check(L, status);
    lua_settop(L, 1);
    return 1;
}

typedef struct encoding {
    dl_tokenizer *tokenizer;
    const char *text;
    size_t length;
    dlua_strings list;
} encoding;

static dl_tensor *make_ids(dl_context *context, void *argument) {
    (void)context;
    const encoding *e = argument;
    return dl_tokenizer_encode(e->tokenizer, e->text, e->length);
}

static dl_tensor *make_batch(dl_context *context, void *argument) {
    (void)context;
    const encoding *e = argument;
    return dl_tokenizer_encode_batch(e->tokenizer, e->list.texts, e->list.lengths, e->list.filled);
}

static int tokenizer_encode(lua_State *L) {
    encoding e = {.tokenizer = check_tokenizer(L, "encode")};
    e.text = check_text(L, "encode", &e.length);
    return dlua_make_tensor(L, make_ids, &e);
}

static int tokenizer_encode_batch(lua_State *L) {
    encoding e = {.tokenizer = check_tokenizer(L, "encode_batch")};
    lua_settop(L, 2);
    e.list = check_texts(L, "encode_batch", "a list of strings");
    return dlua_make_tensor(L, make_batch, &e);
}

/* What make_listed makes a tensor of. */
typedef struct id_list {
    int64_t count;
    int64_t *ids;
} id_list;

static dl_tensor *make_listed(dl_context *context, void *argument) {
    const id_list *list = argument;
    return dl_from_data(context, DL_INT64, 1, &list->count, list->ids);
}

/* Replaces a list of whole numbers at index 2 by the tensor of them. */
static void take_ids(lua_State *L) {
    char text[160];
    if (lua_type(L, 2) != LUA_TTABLE)
        return;
    id_list list = {.count = (int64_t)lua_rawlen(L, 2)};
    list.ids = lua_newuserdatauv(L, (size_t)list.count * sizeof *list.ids + 1, 0);
    for (int64_t k = 0; k < list.count; k++) {
        lua_rawgeti(L, 2, k + 1);
        if (!dlua_to_integer(L, lua_gettop(L), &list.ids[k]))
            dlua_raise(L, "decode: id %I must be a whole number, got %s", (LUAI_UACINT)(k + 1),
                       dlua_describe(L, -1, text, sizeof text));
        lua_pop(L, 1);
    }
    dlua_make_tensor(L, make_listed, &list);
    lua_replace(L, 2);
}

static int tokenizer_decode(lua_State *L) {
    const dl_tokenizer *tokenizer = check_tokenizer(L, "decode");
    lua_settop(L, 2);
    take_ids(L);
    const dl_tensor *ids = dlua_check_tensor(L, 2, "decode", "the ids");
    char **text = dlua_new_text_box(L);
    size_t length;
    dlua_check(L, dl_tokenizer_decode(tokenizer, ids, text, &length));
    lua_pushlstring(L, *text, length);
    return 1;
}

static int tokenizer_token(lua_State *L) {
    int64_t id;
    size_t length;
    const dl_tokenizer *tokenizer = check_tokenizer(L, "token");
    if (!dlua_to_integer(L, 2, &id))
        dlua_raise(L, "token: takes an id, a whole number from 1 to %I", (LUAI_UACINT)dl_tokenizer_size(tokenizer));
    const char *token = dl_tokenizer_token(tokenizer, id, &length);
    if (token != NULL)
        lua_pushlstring(L, token, length);
    else
        lua_pushnil(L);
    return 1;
}

static int tokenizer_id(lua_State *L) {
    size_t length;
    const dl_tokenizer *tokenizer = check_tokenizer(L, "id");
    const char *token = check_text(L, "id", &length);
    int64_t id = dl_tokenizer_id(tokenizer, token, length);
    if (id > 0)
        lua_pushinteger(L, id);
    else
        lua_pushnil(L);
    return 1;
}

static int tokenizer_save(lua_State *L) {
    size_t length;
    const dl_tokenizer *tokenizer = check_tokenizer(L, "save");
    dlua_check(L, dl_tokenizer_save(tokenizer, check_text(L, "save", &length)));
    return 0;
}

static int tokenizer_get_config(lua_State *L) {
    dlua_push_config(L, (dl_object *)check_tokenizer(L, "get_config"));
    return 1;
}

static int tokenizer_length(lua_State *L) {
    lua_pushinteger(L, dl_tokenizer_size(check_tokenizer(L, "#")));
    return 1;
}

static const dlua_function methods[] = {
    {"train", tokenizer_train, "texts: a string, a list of strings, or a file as io.open gives it",
     "Learns from texts, in place of what it had learned."},
    {"encode", tokenizer_encode, "text: a string", "The ids of a text, an int64 tensor {T}."},
    {"encode_batch", tokenizer_encode_batch, "texts: a list of strings",
     "The ids of several texts, an int64 tensor {N, T} with zeros after those of each."},
    {"decode", tokenizer_decode, "ids: a tensor or a list of whole numbers; zeros are left out",
     "The text of ids: exactly the one that was encoded."},
    {"token", tokenizer_token, "id: a whole number", "The bytes of an id, or nil."},
    {"id", tokenizer_id, "token: a string", "The id of a token, or nil."},
    {"save", tokenizer_save, "path: of the file", "Writes a JSON file that dlua.text.load reads."},
    {"get_config", tokenizer_get_config, "",
     "The tokenizer's class and arguments: {class_name =, version =, config =}; the class takes the config."},
    {NULL, NULL, NULL, NULL},
};

static int index_tokenizer(lua_State *L) {
    dl_object *object = (dl_object *)check_tokenizer(L, "index");
    const char *name = luaL_checkstring(L, 2);
    lua_CFunction method = dlua_find_function(methods, name);
    if (method != NULL)
        lua_pushcfunction(L, method);
    else if (!dlua_index_options(L, object, name))
        dlua_refuse_name(L, object->definition->name, name);
    return 1;
}

/* load(path): a tokenizer that was saved. */
static int load(lua_State *L) {
    char text[160];
    if (lua_type(L, 1) != LUA_TSTRING)
        dlua_raise(L, "load: takes the path of a file, got %s", dlua_describe(L, 1, text, sizeof text));
    dl_object **place = dlua_new_object(L, &dl_tokenizer_family, dl_byte_pair_tokenizer);
    dl_tokenizer *loaded = NULL;
    dl_status status = dl_tokenizer_load(dlua_context(L), lua_tostring(L, 1), &loaded);
    *place = (dl_object *)loaded;
    dlua_check(L, status);
    dlua_finish_object(L, place);
    return 1;
}

void dlua_open_tokenizers(lua_State *L) {
    static const luaL_Reg metamethods[] = {{"__gc", dlua_release_object},
                                           {"__tostring", dlua_object_to_string},
                                           {"__index", index_tokenizer},
                                           {"__len", tokenizer_length},
                                           {NULL, NULL}};
    static const dlua_function functions[] = {
        {"load", load, "path: of a file that tokenizer:save has written", "A tokenizer that was saved."},
        {NULL, NULL, NULL, NULL},
    };
    dlua_new_class(L, DLUA_TOKENIZER, "dlua.Tokenizer", metamethods);
    lua_pop(L, 1);
    lua_newtable(L);
    dlua_note_help(L, -1, "dlua.", "Tokenizer", NULL,
                   "The methods of tokenizers; the tokenizers themselves are in dlua.text.");
    dlua_add_functions(L, "tokenizer:", methods);
    lua_setfield(L, -2, "Tokenizer");
    lua_getfield(L, -1, "text");
    dlua_add_functions(L, "dlua.text.", functions);
    lua_pop(L, 1);
}
