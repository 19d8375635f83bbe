/* files.c: dlua.io, dlua.json and dlua.data: files of tensors, JSON, and the batches of an epoch. */
#include "objects.h"

#include <stdio.h>
#include <string.h>

#include "download.h"
#include "help.h"
#include "tensors.h"
#include "values.h"

static const char *check_path(lua_State *L, int index, const char *function) {
    char text[160];
    if (lua_type(L, index) != LUA_TSTRING)
        dlua_raise(L, "%s: takes the path of a file, got %s", function, dlua_describe(L, index, text, sizeof text));
    return lua_tostring(L, index);
}

/* ---- safetensors ----------------------------------------------------------------------------------------------- */

static int free_bundle_box(lua_State *L) {
    dl_bundle **place = lua_touserdata(L, 1);
    dl_bundle_free(*place);
    *place = NULL;
    return 0;
}

/* Pushes a box for a bundle, which is freed when it is collected. */
static dl_bundle **new_bundle_box(lua_State *L) {
    dl_bundle **place = lua_newuserdatauv(L, sizeof *place, 0);
    *place = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_bundle_box);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return place;
}

/* load_safetensors(path) -> tensors by name, metadata by key. */
static int load_safetensors(lua_State *L) {
    const char *path = check_path(L, 1, "load_safetensors");
    dl_bundle **bundle = new_bundle_box(L);
    dl_context *context = dlua_context(L);
    dl_status status;
    do
        status = dl_load_safetensors(context, path, bundle);
    while (dlua_collect_for_memory(L, status));
    dlua_check(L, status);
    int64_t count = dl_bundle_count(*bundle);
    lua_createtable(L, 0, (int)count);
    for (int64_t k = 0; k < count; k++) {
        dl_tensor *tensor;
        const char *name = dl_bundle_name(*bundle, k, &tensor);
        dlua_push_tensor(L, tensor);
        lua_setfield(L, -2, name);
    }
    lua_newtable(L);
    for (int64_t k = 0; dl_bundle_key(*bundle, k) != NULL; k++) {
        const char *key = dl_bundle_key(*bundle, k);
        lua_pushstring(L, dl_bundle_text(*bundle, key));
        lua_setfield(L, -2, key);
    }
    return 2;
}

/* The names of a table's entries, sorted, so that a file's bytes do not depend on the order of a Lua table. */
static int push_sorted_names(lua_State *L, int table, const char *function) {
    int count = 0;
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            dlua_raise(L, "%s: every tensor and every text needs a name; the table has a key that is none", function);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, ++count);
    }
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, -3);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
    return count;
}

static void check_table(lua_State *L, int index, const char *argument, const char *what) {
    char text[160];
    if (lua_type(L, index) != LUA_TTABLE)
        dlua_raise(L, "save_safetensors: %s must be a table of %s by name, { name = ... }, got %s", argument, what,
                   dlua_describe(L, index, text, sizeof text));
}

/* save_safetensors(path, tensors, metadata) */
static int save_safetensors(lua_State *L) {
    char text[160];
    const char *path = check_path(L, 1, "save_safetensors");
    check_table(L, 2, "tensors", "tensors");
    lua_settop(L, 3);
    dl_bundle **bundle = new_bundle_box(L);
    dlua_check(L, dl_bundle_create(dlua_context(L), bundle));
    int count = push_sorted_names(L, 2, "save_safetensors");
    for (int k = 1; k <= count; k++) {
        lua_rawgeti(L, -1, k);
        const char *name = lua_tostring(L, -1);
        lua_getfield(L, 2, name);
        dlua_check(L, dl_bundle_put(*bundle, name, dlua_check_tensor(L, -1, "save_safetensors", name)));
        lua_pop(L, 2);
    }
    if (!lua_isnil(L, 3)) {
        check_table(L, 3, "metadata", "strings");
        count = push_sorted_names(L, 3, "save_safetensors");
        for (int k = 1; k <= count; k++) {
            lua_rawgeti(L, -1, k);
            lua_getfield(L, 3, lua_tostring(L, -1));
            if (lua_type(L, -1) != LUA_TSTRING)
                dlua_raise(L, "save_safetensors: metadata '%s' must be a string, got %s", lua_tostring(L, -2),
                           dlua_describe(L, -1, text, sizeof text));
            dlua_check(L, dl_bundle_put_text(*bundle, lua_tostring(L, -2), lua_tostring(L, -1)));
            lua_pop(L, 2);
        }
    }
    dlua_check(L, dl_save_safetensors(*bundle, path));
    return 0;
}

/* ---- idx, whole files ------------------------------------------------------------------------------------------ */

/* An idx file, or one in memory with a name for messages. */
typedef struct idx_source {
    const char *name;
    const char *bytes;
    size_t length;
} idx_source;

static dl_tensor *make_idx(dl_context *context, void *argument) {
    idx_source *from = argument;
    dl_tensor *tensor = NULL;
    dl_status status = from->bytes != NULL ? dl_parse_idx(context, from->bytes, from->length, from->name, &tensor)
                                           : dl_load_idx(context, from->name, &tensor);
    return status == DL_OK ? tensor : NULL;
}

/* load_idx(path): an array in MNIST's format, plain or gzip. */
static int load_idx(lua_State *L) {
    idx_source from = {.name = check_path(L, 1, "load_idx")};
    return dlua_make_tensor(L, make_idx, &from);
}

/* parse_idx(bytes, name): the same from a string. */
static int parse_idx(lua_State *L) {
    idx_source from = {.name = luaL_optstring(L, 2, "idx data")};
    from.bytes = luaL_checklstring(L, 1, &from.length);
    return dlua_make_tensor(L, make_idx, &from);
}

/* write_file(path, bytes): replaces the file whole or not at all. */
static int write_file(lua_State *L) {
    size_t length;
    const char *path = check_path(L, 1, "write_file");
    const char *bytes = luaL_checklstring(L, 2, &length);
    dlua_check(L, dl_write_file(dlua_context(L), path, bytes, length));
    return 0;
}

static int make_folders(lua_State *L) {
    dlua_check(L, dl_make_folders(dlua_context(L), luaL_checkstring(L, 1)));
    return 0;
}

/* sha256(path) -> 64 hexadecimal digits. */
static int sha256(lua_State *L) {
    char hex[65];
    dlua_check(L, dl_file_sha256(dlua_context(L), check_path(L, 1, "sha256"), hex));
    lua_pushstring(L, hex);
    return 1;
}

/* ---- batches --------------------------------------------------------------------------------------------------- */

typedef struct batch_request {
    dl_tensor *from, *order, *into;
    int64_t first, count, epoch;
    uint64_t seed;
} batch_request;

static dl_tensor *make_batch(dl_context *context, void *argument) {
    batch_request *r = argument;
    (void)context;
    return dl_gather_batch(r->from, r->order, r->first, r->count, r->into);
}

static dl_tensor *make_order(dl_context *context, void *argument) {
    batch_request *r = argument;
    return dl_shuffled_order(context, r->count, r->seed, r->epoch);
}

/* gather_batch(from, order, first, count, into): rows order[first] ... of a tensor; first counts from 1. Written into
 * the tensor `into`, if it is given and fits. */
static int gather_batch(lua_State *L) {
    batch_request r = {.from = dlua_check_tensor(L, 1, "gather_batch", "from"),
                       .order = dlua_check_tensor(L, 2, "gather_batch", "order")};
    r.into = dlua_test_tensor(L, 5);
    r.first = luaL_checkinteger(L, 3) - 1;
    r.count = luaL_checkinteger(L, 4);
    return dlua_make_tensor(L, make_batch, &r);
}

/* shuffled_order(count, seed, epoch): a permutation of 1 .. count that depends on seed and epoch alone. */
static int shuffled_order(lua_State *L) {
    batch_request r = {.count = luaL_checkinteger(L, 1)};
    r.seed = (uint64_t)luaL_checkinteger(L, 2);
    r.epoch = luaL_checkinteger(L, 3);
    return dlua_make_tensor(L, make_order, &r);
}

static const dlua_function io_functions[] = {
    {"load_safetensors", load_safetensors, "path: of the file", "Returns the tensors by name and the metadata by key."},
    {"save_safetensors", save_safetensors,
     "path: of the file\n"
     "tensors: a table of tensors by name\n"
     "metadata = none: a table of strings by name",
     "Writes tensors into one safetensors file: whole, or not at all."},
    {"load_idx", load_idx, "path: of the file, plain or gzip", "Reads an array in the format of MNIST's files."},
    {"parse_idx", parse_idx,
     "bytes: what the file holds, as a string\n"
     "name = \"idx data\": for messages",
     "Reads an array in the format of MNIST's files from a string."},
    {"write_file", write_file,
     "path: of the file\n"
     "bytes: a string",
     "Replaces a file, whole or not at all."},
    {"make_folders", make_folders, "path: of a file, or of a folder with a slash at its end",
     "Makes the folders above a path, as far as they are missing."},
    {"sha256", sha256, "path: of the file", "The SHA-256 of a file, as 64 hexadecimal digits."},
    {"download", dlua_download,
     "{url}: where the file is\n"
     "{path}: where it shall be\n"
     "{checksum = none}: its SHA-256 or MD5 in hexadecimal\n"
     "{progress = none}: function(done, total) that is told the bytes; false from it cancels",
     "Fetches a file and checks it."},
    {NULL, NULL, NULL, NULL},
};

static const dlua_function json_functions[] = {
    {"encode", dlua_json_encode, "value: tables, strings, numbers, booleans, dlua.none", "The value as JSON text."},
    {"decode", dlua_json_decode, "text: JSON", "The value of a JSON text; null becomes dlua.none."},
    {NULL, NULL, NULL, NULL},
};

static const dlua_function data_functions[] = {
    {"gather_batch", gather_batch,
     "from: a tensor of samples\n"
     "order: an int64 tensor of sample numbers\n"
     "first: the place in order to begin at, from 1\n"
     "count: how many samples\n"
     "into = none: the tensor to write into, if it fits",
     "The samples order[first] to order[first + count - 1], as one batch."},
    {"shuffled_order", shuffled_order,
     "count: how many samples\n"
     "seed: a whole number\n"
     "epoch: the epoch's number",
     "A permutation of 1 to count that depends on seed and epoch alone."},
    {NULL, NULL, NULL, NULL},
};

void dlua_open_files(lua_State *L) {
    lua_newtable(L);
    dlua_add_functions(L, "dlua.io.", io_functions);
    dlua_add_table(L, "io", "Files of tensors, and other files.");
    lua_newtable(L);
    dlua_add_functions(L, "dlua.json.", json_functions);
    dlua_add_table(L, "json", "JSON texts.");
    lua_newtable(L);
    dlua_add_functions(L, "dlua.data.", data_functions);
    dlua_add_table(L, "data", "Batches of samples, as fit takes them.");
}
