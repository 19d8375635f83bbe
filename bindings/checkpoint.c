/* checkpoint.c: dlua.checkpoint(f, ...), gradient checkpointing of a Lua function.
 *
 * The engine keeps the call of f and makes it again in the backward. Always true: f lies in a table of the registry,
 * under the address of its call, as long as the engine keeps that call, which is as long as the graph of its
 * results. */
#include "objects.h"

#include "help.h"
#include "nn/nn.h"
#include "tensors.h"

static const char functions_key; /* address: the table of functions in the registry */

typedef struct lua_call_of {
    dlua_state *state;
} lua_call_of;

/* What one run works on; protected_run gets its address. */
typedef struct run {
    lua_call_of *call;
    dl_tensor *const *in;
    int inputs;
    dl_tensor **out;
    int *outputs;
} run;

/* Pushes the table of functions. */
static void push_functions(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &functions_key);
}

static int protected_run(lua_State *L) {
    char text[160];
    run *r = lua_touserdata(L, 1);
    luaL_checkstack(L, r->inputs + 8, "too many tensors");
    push_functions(L);
    lua_rawgetp(L, -1, r->call);
    lua_remove(L, -2);
    int first = lua_gettop(L);
    for (int i = 0; i < r->inputs; i++)
        dlua_push_tensor(L, r->in[i]);
    lua_call(L, r->inputs, LUA_MULTRET);
    int outputs = lua_gettop(L) - first + 1;
    if (outputs < 1 || outputs > DL_MAX_OUTPUTS)
        return luaL_error(L, "the function of checkpoint must return 1 to %d tensors, got %d values", DL_MAX_OUTPUTS,
                          outputs);
    for (int i = 0; i < outputs; i++) {
        dl_tensor *result = dlua_test_tensor(L, first + i);
        if (result == NULL)
            return luaL_error(L, "the function of checkpoint must return tensors, got %s",
                              dlua_describe(L, first + i, text, sizeof text));
        dl_retain(result);
        r->out[i] = dl_scope_add(dlua_context(L), result);
        if (r->out[i] == NULL)
            return luaL_error(L, "%s", dl_last_error());
    }
    *r->outputs = outputs;
    lua_gc(L, LUA_GCCOLLECT); /* what the function made on its way is large, and kept by handles that are dead now */
    return 0;
}

static dl_status run_function(void *user, dl_tensor *const *in, int inputs, dl_tensor **out, int *outputs) {
    run r = {user, in, inputs, out, outputs};
    return dlua_run_protected(r.call->state, "the function of checkpoint", protected_run, &r);
}

static void free_call(void *user) {
    lua_call_of *call = user;
    lua_State *L = call->state->main;
    push_functions(L);
    lua_pushnil(L);
    lua_rawsetp(L, -2, call);
    lua_pop(L, 1);
    dl_free(call);
}

/* Notes the function at index 1 under a new call. */
static lua_call_of *make_call(lua_State *L) {
    push_functions(L);
    lua_call_of *call = dl_alloc(dlua_context(L), sizeof *call);
    if (call == NULL)
        dlua_check(L, DL_MEMORY);
    call->state = dlua_get_state(L);
    lua_pushvalue(L, 1);
    lua_rawsetp(L, -2, call);
    lua_pop(L, 1);
    return call;
}

/* checkpoint(f, ...): calls f(...), tensors, without keeping what its backward needs. */
static int checkpoint(lua_State *L) {
    char text[160];
    int inputs = lua_gettop(L) - 1;
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL};
    int outputs = 0;
    if (inputs < 0 || !lua_isfunction(L, 1))
        dlua_raise(L, "checkpoint: takes a function and the tensors to call it with, got %s",
                   inputs < 0 ? "nothing" : dlua_describe(L, 1, text, sizeof text));
    dl_tensor **in = lua_newuserdatauv(L, (size_t)(inputs + 1) * sizeof *in, 0);
    for (int i = 0; i < inputs; i++)
        in[i] = dlua_check_tensor(L, i + 2, "checkpoint", "...");
    luaL_checkstack(L, DL_MAX_OUTPUTS + 16, "too many tensors");
    lua_newtable(L);
    int owner = lua_gettop(L);
    for (int i = 0; i < DL_MAX_OUTPUTS; i++)
        dlua_new_tensor(L);
    lua_call_of *call = make_call(L);
    dlua_entry before = dlua_enter(L, owner);
    size_t mark = dl_scope_begin(dlua_context(L));
    dl_status status = dl_grad_enabled(dlua_context(L))
                           ? dl_checkpoint(dlua_context(L), run_function, call, free_call, in, inputs, out, &outputs)
                           : run_function(call, in, inputs, out, &outputs);
    if (!dl_grad_enabled(dlua_context(L)))
        free_call(call);
    for (int i = 0; status == DL_OK && i < outputs; i++) {
        dl_retain(out[i]);
        *(dl_tensor **)lua_touserdata(L, owner + 1 + i) = out[i];
    }
    dl_scope_end(dlua_context(L), mark, NULL);
    dlua_leave(before);
    dlua_check(L, status);
    dlua_collect_if_grown(L);
    lua_settop(L, owner + outputs);
    return outputs;
}

void dlua_open_checkpoint(lua_State *L) {
    static const dlua_function functions[] = {
        {"checkpoint", checkpoint,
         "f: a function of tensors that returns 1 to 4 tensors\n"
         "arguments...: tensors, passed to f",
         "Calls f and returns what it returns, without keeping what its backward needs: the backward calls f again, "
         "with the same random numbers, for bitwise the same gradients."},
        {NULL, NULL, NULL, NULL},
    };
    dlua_add_functions(L, "dlua.", functions);
}
