/* The binding under a host in C: several Lua states in several threads, and memory that runs out anywhere. */
#include <pthread.h>

#include <lualib.h>

#include "binding.h"
#include "check.h"

static lua_State *new_state(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "dlua", luaopen_dlua, 1);
    lua_pop(L, 1);
    return L;
}

/* Runs a chunk and leaves its one result, or the message if it fails; returns Lua's status. */
static int run(lua_State *L, const char *text) {
    lua_settop(L, 0);
    int status = luaL_loadstring(L, text);
    return status != LUA_OK ? status : lua_pcall(L, 0, 1, 0);
}

/* ---- several states ---------------------------------------------------------------------------------------------- */

static const char training[] =
    "dlua.manual_seed(1)\n"
    "local layers, x = dlua.layers, dlua.randn(64, 10)\n"
    "local model = dlua.Sequential { layers.Dense { 8, activation = 'relu' }, layers.Dense { 1 } }\n"
    "model:compile { optimizer = 'adam', loss = 'mse' }\n"
    "for _ = 1, 20 do model:train_batch(x, x[{ {}, { 1, 1 } }]) end\n"
    "return model:logs().loss";

static void *train(void *result) {
    lua_State *L = new_state();
    if (run(L, training) == LUA_OK)
        *(double *)result = lua_tonumber(L, -1);
    lua_close(L);
    return NULL;
}

static void test_states_in_threads_train_alike(void) {
    enum { COUNT = 3 };
    pthread_t threads[COUNT];
    double results[COUNT], alone = -1;
    train(&alone);
    CHECK(alone > 0);
    for (int k = 0; k < COUNT; k++) {
        results[k] = -2;
        CHECK_EQ_INT(pthread_create(&threads[k], NULL, train, &results[k]), 0);
    }
    for (int k = 0; k < COUNT; k++) {
        pthread_join(threads[k], NULL);
        CHECK(results[k] == alone);
    }
}

/* ---- strict globals ---------------------------------------------------------------------------------------------- */

/* No function runs while the host sets the global, so an error would not be caught: the state would abort. */
static void test_a_host_makes_globals_under_strict(void) {
    lua_State *L = new_state();
    CHECK_EQ_INT(run(L, "require 'dlua.strict'"), LUA_OK);
    lua_pushinteger(L, 7);
    lua_setglobal(L, "given_by_the_host");
    CHECK_EQ_INT(run(L, "return given_by_the_host"), LUA_OK);
    CHECK_EQ_INT(lua_tointeger(L, -1), 7);
    CHECK(run(L, "(function() forgotten = 1 end)()") != LUA_OK);
    lua_close(L);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void test_dead_tensors_are_collected_when_memory_is_short(void) {
    lua_State *L = new_state();
    CHECK_EQ_INT(run(L, "collectgarbage() for _ = 1, 20 do dlua.ones(1000) end"), LUA_OK);
    dl_memory_fail_at(dlua_context(L), 1);
    CHECK_EQ_INT(run(L, "return dlua.ones(3):sum():item()"), LUA_OK);
    CHECK(lua_tonumber(L, -1) == 3);
    lua_close(L);
}

static void test_selecting_sequences_collects_when_memory_is_short(void) {
    lua_State *L = new_state();
    CHECK_EQ_INT(run(L, "local input = dlua.Input { shape = { dlua.none, 3 } }\n"
                        "local lstm = dlua.layers.LSTM { 4, return_sequences = true }\n"
                        "model = dlua.Model { inputs = input, outputs = lstm(input) }\n"
                        "decoding, rows = dlua.new_decoding(model, 2, 8), dlua.tensor { 2, 1, 2 }\n"
                        "decoding:step(dlua.ones(2, 1, 3))\n"
                        "collectgarbage() for _ = 1, 20 do dlua.ones(1000) end"), LUA_OK);
    dl_memory_fail_at(dlua_context(L), 1);
    CHECK_EQ_INT(run(L, "decoding:select(rows) return decoding:step(dlua.ones(3, 1, 3)):size(1)"), LUA_OK);
    CHECK_EQ_INT(lua_tointeger(L, -1), 3);
    lua_close(L);
}

static void test_out_of_memory_is_an_error_of_lua(void) {
    lua_State *L = new_state();
    CHECK_EQ_INT(run(L, "kept = dlua.ones(3) collectgarbage()"), LUA_OK);
    dl_memory_fail_at(dlua_context(L), 1);
    CHECK(run(L, "return dlua.ones(3)") != LUA_OK);
    CHECK(lua_tostring(L, -1) != NULL && strstr(lua_tostring(L, -1), "memory") != NULL);
    CHECK_EQ_INT(run(L, "return dlua.ones(3):sum():item()"), LUA_OK);
    lua_close(L);
}

/* Something of everything that takes memory of the engine. */
static const char everything[] =
    "local layers = dlua.layers\n"
    "local x = dlua.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = 'float32' }):requires_grad_()\n"
    "local y = (x:matmul(x) + 1)[{ 1, { 1, 2 } }]:sum { dim = 1, keepdim = true }\n"
    "y:backward()\n"
    "x.grad[x.grad:gt(0)] = 5\n"
    "local text = tostring(dlua.cat({ x:detach(), x:detach() }, 1)) .. dlua.json.encode { a = { 1, 'b' } }\n"
    "local Scale = layers.define { name = 'Scale', fields = { { name = 'factor', kind = 'real', default = 2 } },\n"
    "  build = function(self, shape)\n"
    "    self.inner = layers.Dense { 2 }\n"
    "    self:add_weight { name = 'gain', shape = { shape[#shape] }, initializer = 'ones', regularizer = 'l2' }\n"
    "  end,\n"
    "  call = function(self, input) return self.inner(input * self.gain) * self.factor end }\n"
    "local input = dlua.Input { shape = { 2 } }\n"
    "local model = dlua.Model { inputs = input, outputs = layers.Dropout { 0.5 } (Scale { 3 } (input)) }\n"
    "model:compile { optimizer = dlua.optimizers.Adam { clipnorm = 1 }, loss = 'mse', metrics = { 'mae' } }\n"
    "model:train_batch(x:detach(), x:detach())\n"
    "model:predict_batch(x:detach())\n"
    "dlua.model_from_config(model:get_config())\n"
    "return #text + model:logs().loss";

static dl_memory_info memory_of(lua_State *L) {
    dl_memory_info info;
    dl_memory(dlua_context(L), &info);
    return info;
}

/* Runs everything and collects what it leaves; the bytes that stay in use. */
static size_t bytes_after_run(lua_State *L) {
    CHECK_EQ_INT(run(L, everything), LUA_OK);
    CHECK_EQ_INT(run(L, "collectgarbage() collectgarbage()"), LUA_OK);
    return memory_of(L).in_use;
}

static void test_every_allocation_may_fail(void) {
    lua_State *L = new_state();
    bytes_after_run(L);
    size_t before = memory_of(L).allocations;
    size_t bytes = bytes_after_run(L);
    size_t count = memory_of(L).allocations - before;
    int failures = 0;
    for (uint64_t nth = 1; nth <= count; nth++) {
        CHECK_EQ_INT(run(L, "collectgarbage()"), LUA_OK);
        dl_memory_fail_at(dlua_context(L), nth);
        /* A run passes if the collector makes room for a second try. */
        bool passed = run(L, everything) == LUA_OK;
        dl_memory_fail_at(dlua_context(L), 0);
        failures += !passed;
        CHECK(passed || (lua_tostring(L, -1) != NULL && strstr(lua_tostring(L, -1), "memory") != NULL));
    }
    CHECK(failures > 100);
    CHECK_EQ_INT((intmax_t)bytes_after_run(L), (intmax_t)bytes);
    lua_close(L);
}

CHECK_MAIN(CHECK_TEST(test_states_in_threads_train_alike), CHECK_TEST(test_a_host_makes_globals_under_strict),
           CHECK_TEST(test_dead_tensors_are_collected_when_memory_is_short),
           CHECK_TEST(test_selecting_sequences_collects_when_memory_is_short),
           CHECK_TEST(test_out_of_memory_is_an_error_of_lua), CHECK_TEST(test_every_allocation_may_fail))
