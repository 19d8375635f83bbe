/* decoding.c: models asked step by step, as generation does.
 *
 *      local decoding = dlua.new_decoding(model, 1, 256) -- of one sequence, of at most 256 steps
 *      local decoding = dlua.new_decoding(model, 1, 256, source) -- of an encoder-decoder model
 *      local logits = decoding:step(ids)        -- the next steps {N, t}; {N, t, K}
 *      decoding:select(rows)                    -- goes on with these sequences
 *
 * Always true: the userdata's user value is the model's userdata, so the model lives as long as the decoding. */
#include <string.h>

#include "arguments.h"
#include "help.h"
#include "nn/nn.h"
#include "objects.h"
#include "tensors.h"

enum { MOST_INPUTS = 16 };

static dl_decoding *check_decoding(lua_State *L, const char *method) {
    char text[160];
    if (dlua_class_of(L, 1) != DLUA_DECODING)
        dlua_raise(L, "%s: call it as a method of a decoding, got %s", method, dlua_describe(L, 1, text, sizeof text));
    return *(dl_decoding **)lua_touserdata(L, 1);
}

static int release_decoding(lua_State *L) {
    dl_decoding **place = lua_touserdata(L, 1);
    dl_decoding_free(*place);
    *place = NULL;
    return 0;
}

/* The tensors from the stack's place `from` to its top; how many there are. what: names one, in errors. */
static int read_tensors(lua_State *L, int from, const char *what, dl_tensor *in[MOST_INPUTS]) {
    char text[160];
    int count = lua_gettop(L) - from + 1;
    if (count > MOST_INPUTS)
        dlua_raise(L, "%ss: %d at most, got %d", what, MOST_INPUTS, count);
    for (int k = 0; k < count; k++) {
        in[k] = dlua_test_tensor(L, from + k);
        if (in[k] == NULL)
            dlua_raise(L, "%s %d must be a tensor, got %s", what, k + 1,
                       dlua_describe(L, from + k, text, sizeof text));
    }
    return count < 0 ? 0 : count;
}

static int decoding_step(lua_State *L) {
    dl_tensor *in[MOST_INPUTS], *out[DL_MAX_LAYER_OUTPUTS] = {NULL};
    dl_decoding *decoding = check_decoding(L, "step");
    int inputs = read_tensors(L, 2, "step: input", in), outputs = 0;
    if (inputs < 1)
        dlua_raise(L, "step: takes the model's inputs, 1 to %d, got none", MOST_INPUTS);
    lua_getiuservalue(L, 1, 1);
    int model = lua_gettop(L);
    dlua_push_user_table(L, model);
    int owner = lua_gettop(L);
    luaL_checkstack(L, DL_MAX_LAYER_OUTPUTS + 8, "too many inputs");
    for (int k = 0; k < DL_MAX_LAYER_OUTPUTS; k++)
        dlua_new_tensor(L);
    dlua_entry before = dlua_enter(L, owner);
    dl_status status;
    do {
        status = dl_decoding_step(decoding, in, inputs, out, &outputs);
    } while (dlua_collect_for_memory(L, status));
    for (int k = 0; status == DL_OK && k < outputs; k++)
        *(dl_tensor **)lua_touserdata(L, owner + 1 + k) = out[k];
    dlua_leave(before);
    dlua_check(L, status);
    dlua_collect_if_grown(L);
    lua_settop(L, owner + outputs);
    return outputs;
}

static int decoding_select(lua_State *L) {
    char text[160];
    dl_decoding *decoding = check_decoding(L, "select");
    dl_tensor *rows = dlua_test_tensor(L, 2);
    if (rows == NULL || dl_tensor_dims(rows) != 1)
        dlua_raise(L, "select: rows must be a tensor {N} of whole numbers from 1, got %s",
                   dlua_describe(L, 2, text, sizeof text));
    dl_status status;
    do {
        status = dl_decoding_select(decoding, rows);
    } while (dlua_collect_for_memory(L, status));
    dlua_check(L, status);
    return 0;
}

static int decoding_position(lua_State *L) {
    lua_pushinteger(L, dl_decoding_position(check_decoding(L, "position")));
    return 1;
}

static const dlua_function methods[] = {
    {"step", decoding_step, "inputs...: the next steps of every sequence, {N, t, ...}; the sources are left out",
     "What the model gives for the next steps, each of which sees all before it."},
    {"select", decoding_select, "rows: numbers of sequences, {N}",
     "Goes on with these sequences, as beam search does."},
    {"position", decoding_position, "", "How many steps there were."},
    {NULL, NULL, NULL, NULL}};

static int64_t check_count(lua_State *L, int index, const char *name) {
    char text[160];
    int64_t count;
    if (!dlua_to_integer(L, index, &count) || count < 1)
        dlua_raise(L, "new_decoding: %s must be a whole number of at least 1, got %s", name,
                   dlua_describe(L, index, text, sizeof text));
    return count;
}

/* new_decoding(model, batch, max_length, sources...), which model:generate is made of. */
static int new_decoding(lua_State *L) {
    char text[160];
    dl_tensor *sources[MOST_INPUTS];
    dl_layer *model = dlua_test_layer(L, 1);
    if (model == NULL)
        dlua_raise(L, "new_decoding: takes a model first, got %s", dlua_describe(L, 1, text, sizeof text));
    int64_t batch = check_count(L, 2, "batch"), max_length = check_count(L, 3, "max_length");
    int source_count = read_tensors(L, 4, "new_decoding: source", sources);
    dl_decoding **place = lua_newuserdatauv(L, sizeof *place, 1);
    *place = NULL;
    dlua_set_class(L, DLUA_DECODING);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    dlua_check(L, dl_decoding_create(model, sources, source_count, batch, max_length, place));
    return 1;
}

static int is_stepwise(lua_State *L) {
    char text[160];
    dl_layer *model = dlua_test_layer(L, 1);
    if (model == NULL)
        dlua_raise(L, "is_stepwise: call it as a method of a model");
    int64_t sources = 0;
    if (!lua_isnoneornil(L, 2) && (!dlua_to_integer(L, 2, &sources) || sources < 0 || sources > MOST_INPUTS))
        dlua_raise(L, "is_stepwise: sources must be a whole number from 0 to %d, got %s", MOST_INPUTS,
                   dlua_describe(L, 2, text, sizeof text));
    lua_pushboolean(L, dl_model_is_stepwise(model, (int)sources));
    return 1;
}

static const dlua_function functions[] = {
    {"new_decoding", new_decoding, "model: asked step by step\nbatch: how many sequences\nmax_length: steps at most\n"
     "sources...: the model's first inputs, where they are whole sequences for an encoder",
     "A decoding, which asks a model for one step of sequences after the other: see its methods step, select and "
     "position. What depends on the sources alone is computed once; steps give the other inputs."},
    {"is_stepwise", is_stepwise, "model: any model\nsources: how many of its inputs are whole sequences; 0",
     "Whether a model can be asked step by step."},
    {NULL, NULL, NULL, NULL}};

void dlua_open_decoding(lua_State *L) {
    static const luaL_Reg metamethods[] = {{"__gc", release_decoding}, {NULL, NULL}};
    dlua_new_class(L, DLUA_DECODING, "dlua.Decoding", metamethods);
    lua_newtable(L);
    dlua_add_functions(L, "decoding:", methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    dlua_add_functions(L, "dlua.", functions);
}
