-- Recurrent layers as a user of Lua meets them: calls, kept states, dropout, cells written in Lua, padded sequences in
-- models, and what is said of wrong inputs. Their values are held to Keras's by golden_recurrent_spec.lua.
local dlua = require "dlua"

local support = dofile "tests/spec/support.lua"

local layers = dlua.layers

local function largest(tensor)
  return tensor:abs():max():item()
end

--- Keras's example of a cell, with a gate of its own for the bias.
local Minimal = layers.define {
  name = "MinimalCell",
  fields = { { name = "units", kind = "integer", required = true, help = "size" } },
  state_size = function(self) return self.units end,
  build = function(self, shapes)
    self:add_weight { name = "kernel", shape = { shapes[1][2], self.units } }
    self:add_weight { name = "recurrent_kernel", shape = { self.units, self.units } }
  end,
  call = function(self, inputs)
    local output = (inputs[1]:matmul(self.kernel) + inputs[2]:matmul(self.recurrent_kernel)):tanh()
    return output, output
  end,
}

describe("a recurrent layer", function()
  before_each(function() dlua.manual_seed(3) end)

  it("takes states by place and by name", function()
    local lstm = layers.LSTM { 3 }
    local x, h, c = dlua.randn(2, 4, 5), dlua.randn(2, 3), dlua.randn(2, 3)
    assert.are.equal(0, largest(lstm(x, h, c) - lstm(x, { initial_state = { h, c } })))
    assert.is_true(largest(lstm(x, h, c) - lstm(x)) > 1e-3)
  end)

  it("begins with a forget bias of one, and the gates in Keras's order", function()
    local lstm = layers.LSTM { 2, input_shape = { 4, 3 } }
    lstm(dlua.randn(1, 4, 3))
    assert.are.same({ 0, 0, 1, 1, 0, 0, 0, 0 }, lstm.bias:totable())
    assert.are.same({ 3, 8 }, lstm.kernel.shape)
  end)

  it("gives the same fused as step by step", function()
    local x, mask = dlua.randn(3, 5, 4), dlua.rand(3, 5):gt(0.4)
    for _, name in ipairs { "LSTM", "GRU", "SimpleRNN" } do
      local whole = layers[name] { 6, return_sequences = true }
      local cell = layers.RNN { layers[name .. "Cell"] { 6 }, return_sequences = true }
      whole(x)
      cell(x)
      cell:set_weights(whole:get_weights())
      assert.is_true(largest(whole(x, { mask = mask }) - cell(x, { mask = mask })) < 1e-6, name)
    end
  end)

  it("keeps its states from batch to batch, without a gradient, until they are reset", function()
    local options = { 3, stateful = true, return_sequences = true }
    local kept, whole = layers.GRU(options), layers.GRU { 3, return_sequences = true }
    local x = dlua.randn(2, 6, 4):requires_grad_()
    kept(x[{ {}, { 1, 3 } }])
    kept:reset_states()
    whole(x)
    whole:set_weights(kept:get_weights())
    kept(x[{ {}, { 1, 3 } }])
    local second = kept(x[{ {}, { 4, 6 } }])
    assert.is_true(largest(second - whole(x)[{ {}, { 4, 6 } }]) < 1e-6)
    second:sum():backward()
    assert.are.equal(0, largest(x.grad[{ {}, { 1, 3 } }])) -- truncated backpropagation through time
    assert.is_true(largest(x.grad[{ {}, { 4, 6 } }]) > 0)
    local message = support.message_of(kept, dlua.randn(5, 3, 4))
    assert.is_truthy(message:find("keeps states of shape {2, 3}, got sequences {5, 3, 4}", 1, true), message)
    kept:reset_states()
    kept(dlua.randn(5, 3, 4))
  end)

  it("drops inputs and states in training alone, the same in all steps", function()
    local x = dlua.ones(4, 6, 5)
    local rnn = layers.SimpleRNN { 40, dropout = 0.5, recurrent_dropout = 0.5, seed = 9, return_sequences = true,
                                   recurrent_initializer = "zeros" }
    assert.are.equal(0, largest(rnn(x) - rnn(x)))
    local y = rnn(x, { training = true })
    assert.is_true(largest(y - rnn(x)) > 1e-3)
    assert.is_true(largest(y:select(2, 1) - y:select(2, 6)) < 1e-6) -- no recurrence, so only the masks could differ
    assert.is_true(largest(y - rnn(x, { training = true })) > 1e-3) -- a new draw
  end)

  it("drops states before their product", function()
    local x, h = dlua.zeros(1, 1, 2), dlua.ones(1, 200)
    local rnn = layers.SimpleRNN { 200, recurrent_dropout = 0.25, recurrent_initializer = "identity", seed = 1 }
    local y = rnn(x, h, { training = true }):reshape(-1)
    local kept = y:gt(0):float()
    assert.is_near(0.75, kept:mean():item(), 0.12)
    assert.is_true(largest(y - (kept / 0.75):tanh()) < 1e-6)
  end)

  it("names the layer and both shapes when something does not fit", function()
    local lstm = layers.LSTM { 3, name = "reader" }
    local x = dlua.randn(2, 4, 5)
    lstm(x)
    local cases = {
      { { dlua.randn(2, 5) }, "3 dimensions", "{2, 5}" },
      { { dlua.randn(2, 4, 6) }, "{*, 4, 5}", "{2, 4, 6}" },
      { { dlua.zeros(2, 0, 5) }, "size of zero", "{2, 0, 5}" },
      { { x:to "float64" }, "float32", "float64" },
      { { x, dlua.zeros(2, 3), dlua.zeros(3, 3) }, "initial_state 2 must be {2, 3}", "{3, 3}" },
      { { x, dlua.zeros(2, 3) }, "2 states", "got 1" },
      { { x, { mask = dlua.ones(2, 5):gt(0) } }, "mask must be {2, 4}", "{2, 5}" },
      { { x, { mask = dlua.ones(2, 4) } }, "mask must be bool", "float32" },
    }
    for _, case in ipairs(cases) do
      local message = support.message_of(lstm, table.unpack(case[1]))
      assert.is_truthy(message:find("reader", 1, true), message)
      assert.is_truthy(message:find(case[2], 1, true), message)
      assert.is_truthy(message:find(case[3], 1, true), message)
    end
    assert.is_truthy(support.message_of(layers.Bidirectional, { layers.Dense { 3 } }):find "recurrent layer")
    local differing = support.message_of(layers.Bidirectional, {
      layers.GRU { 3 }, backward_layer = layers.GRU { 3, go_backwards = true, stateful = true },
    })
    assert.is_truthy(differing:find("must have the same stateful", 1, true), differing)
    assert.is_truthy(support.message_of(layers.RNN, { layers.Dense { 3 } }):find "Dense is no cell")
  end)
end)

describe("a cell", function()
  before_each(function() dlua.manual_seed(4) end)

  it("makes one step", function()
    local cell = layers.LSTMCell { 3 }
    local output, h, c = cell(dlua.randn(2, 5), dlua.zeros(2, 3), dlua.zeros(2, 3))
    assert.are.equal(0, largest(output - h))
    assert.are.same({ 2, 3 }, c.shape)
  end)

  it("may be written in Lua, alone, in a stack and in both directions", function()
    local x = dlua.randn(2, 4, 5)
    local rnn = layers.RNN { Minimal { 3 }, return_sequences = true, return_state = true }
    local y, state = rnn(x)
    assert.are.same({ 2, 4, 3 }, y.shape)
    assert.are.equal(0, largest(y:select(2, 4) - state))
    local cells = layers.StackedRNNCells { { Minimal { 3 }, layers.LSTMCell { 2 } } }
    local stack = layers.RNN { cells, return_state = true }
    assert.are.equal(4, select("#", stack(x)))
    assert.are.same({ 2, 6 }, layers.Bidirectional { layers.RNN { Minimal { 3 } } } (x).shape)
  end)

  it("is a stack of cells where RNN takes a list of them", function()
    local x = dlua.randn(2, 4, 5)
    local function cells()
      return { layers.GRUCell { 3, seed = 1 }, layers.LSTMCell { 2, seed = 2 } }
    end
    local listed = layers.RNN { cells(), return_state = true }
    local stacked = layers.RNN { layers.StackedRNNCells { cells() }, return_state = true }
    local results = { listed(x) }
    stacked(x)
    assert.are.equal(4, #results)
    assert.are.equal(#stacked:get_weights(), #listed:get_weights())
    stacked:set_weights(listed:get_weights())
    for k, expected in ipairs { stacked(x) } do
      assert.are.equal(0, largest(results[k] - expected))
    end
    assert.are.equal("StackedRNNCells", listed:get_config().config.cell.class_name)
    local double = layers.RNN { { Minimal { 2, dtype = "float64" } }, dtype = "float64" }
    assert.are.equal("float64", double(x:double()).dtype)
    assert.is_truthy(support.message_of(layers.RNN, { {} }):find("cell", 1, true))
    assert.is_truthy(support.message_of(layers.RNN, { { layers.LSTMCell { 2 }, layers.Dense { 3 } } })
      :find("Dense is no cell", 1, true))
  end)

  it("written in Lua has the gradients that differences give", function()
    local x = dlua.randn({ 2, 3, 2 }, { dtype = "float64" }):requires_grad_()
    local rnn = layers.RNN { Minimal { 2, dtype = "float64" }, dtype = "float64" }
    local function loss(input) return rnn(input):sum() end
    loss(x):backward()
    local step = 1e-6
    local more, less = x:detach():clone(), x:detach():clone()
    more[{ 1, 2, 1 }] = more[{ 1, 2, 1 }]:item() + step
    less[{ 1, 2, 1 }] = less[{ 1, 2, 1 }]:item() - step
    assert.is_near((loss(more):item() - loss(less):item()) / (2 * step), x.grad[{ 1, 2, 1 }]:item(), 1e-8)
  end)

  it("must give the states that it says", function()
    local Wrong = layers.define { name = "WrongCell", state_size = { 3, 4 },
                                  call = function(_, inputs) return inputs[2], inputs[2] end }
    assert.is_truthy(support.message_of(layers.RNN { Wrong {} }, dlua.randn(2, 4, 5)):find "with 2 states")
    local Narrow = layers.define { name = "NarrowCell", state_size = 3,
                                   call = function(_, inputs) return inputs[2], inputs[1] end }
    local narrow = support.message_of(layers.RNN { Narrow {} }, dlua.randn(2, 4, 5))
    assert.is_truthy(narrow:find("is {*, 5}; by its state_size the last size must be 3", 1, true)
      or narrow:find("is {2, 5}; by its state_size the last size must be 3", 1, true), narrow)
    local Nothing = layers.define { name = "NothingCell", state_size = 0.5,
                                    call = function(_, inputs) return inputs[2], inputs[2] end }
    local message = support.message_of(layers.RNN { Nothing {} }, dlua.randn(2, 4, 5))
    assert.is_truthy(message:find "state_size must be a whole number", message)
  end)
end)

describe("padded sequences in a model", function()
  it("keep their mask in layers that keep steps apart, as in Keras, and in no others", function()
    local keep = {
      Activation = { "sigmoid" }, AlphaDropout = { 0.5 }, BatchNormalization = {}, Dense = { 2 }, Dropout = { 0.5 },
      ELU = {}, GaussianDropout = { 0.5 }, GaussianNoise = { 0.5 }, LayerNormalization = {}, LeakyReLU = {},
      PReLU = {}, Rescaling = { 2, offset = 1 }, ReLU = {}, Softmax = {}, SpatialDropout1D = { 0.5 },
      TimeDistributed = { layers.Dense { 2 } }, UnitNormalization = {},
    }
    local drop = {
      Conv1D = { 2, 1 }, Cropping1D = { 0 }, MaxPooling1D = { 1 }, Permute = { { 1, 2 } }, Reshape = { { 3, 2 } },
      UpSampling1D = { 1 }, ZeroPadding1D = { 0 },
    }
    local x = dlua.tensor { { { 1.0, 2 }, { 0, 0 }, { 3, 4 } } }
    for place, list in ipairs { keep, drop } do
      for name, options in pairs(list) do
        local input = dlua.Input { shape = { 3, 2 } }
        local y = layers[name](options)(layers.Masking {} (input) * 1 + 0.5)
        local all, mean = dlua.Model { input, { y, layers.GlobalAveragePooling1D {} (y) } } (x)
        local expected = place == 1 and (all[{ {}, 1 }] + all[{ {}, 3 }]) / 2 or all:mean(2)
        assert(largest(expected - mean) < 1e-6, name)
      end
    end
  end)

  it("pass their mask through both outputs of a Bidirectional that merges none", function()
    dlua.manual_seed(5)
    local ids = dlua.Input { shape = { 4 }, dtype = "int64" }
    local both = layers.Bidirectional { layers.GRU { 3, return_sequences = true }, merge_mode = dlua.none }
    local forward, backward = both(layers.Embedding { 6, 2, mask_zero = true } (ids))
    local model = dlua.Model { ids, { forward, backward, layers.GlobalAveragePooling1D {} (forward),
      layers.GlobalAveragePooling1D {} (backward) } }
    local f, b, f_mean, b_mean = model(dlua.tensor { { 2, 5, 0, 0 } })
    assert.is_true(largest(f:sum(2) / 2 - f_mean) < 1e-6)
    assert.is_true(largest(b:sum(2) / 2 - b_mean) < 1e-6)
  end)

  --- Sequences of different lengths, zeros behind; the target is the sum of the first feature.
  local function make_data(count, steps)
    local x = dlua.randn(count, steps, 2) * 0.5
    for n = 1, count do
      local length = 2 + n % (steps - 1)
      if length < steps then
        x[{ n, { length + 1, steps } }]:zero_()
      end
    end
    return x, x[{ {}, {}, 1 }]:sum { dim = 2, keepdim = true }
  end

  local function make_model()
    return dlua.Sequential {
      layers.Masking { input_shape = { dlua.none, 2 } },
      layers.Bidirectional { layers.LSTM { 8, return_sequences = true } },
      layers.GRU { 8, recurrent_dropout = 0.1 },
      layers.Dense { 1 },
    }
  end

  it("are left out: more padding changes nothing", function()
    dlua.manual_seed(5)
    local model = make_model()
    local x = make_data(6, 5)
    local longer = dlua.cat({ x, dlua.zeros(6, 3, 2) }, 2)
    assert.is_true(largest(model(x) - model(longer)) < 1e-6)
  end)

  it("are learned by fit, saved and loaded", function()
    dlua.manual_seed(5)
    local model = make_model()
    local x, y = make_data(64, 6)
    model:compile { optimizer = dlua.optimizers.Adam { 0.02 }, loss = "mse" }
    local first = model:evaluate { x, y, verbose = 0 }
    model:fit { x, y, epochs = 25, batch_size = 16, verbose = 0 }
    assert.is_true(model:evaluate { x, y, verbose = 0 } < 0.3 * first)
    local path = os.tmpname()
    model:save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    assert.are.equal(0, largest(model:predict { x } - loaded:predict { x }))
  end)

  it("have losses of the valid steps alone", function()
    dlua.manual_seed(6)
    local x = make_data(4, 5)
    local model = dlua.Sequential { layers.Masking { input_shape = { 5, 2 } },
                                    layers.LSTM { 3, return_sequences = true },
                                    layers.TimeDistributed { layers.Dense { 1, kernel_initializer = "zeros" } } }
    model:compile { loss = "mse" }
    local valid = x:ne(0):any { dim = 3 }:float()
    local target = valid:unsqueeze(3) * 2 + (1 - valid:unsqueeze(3)) * 1000
    assert.is_near(4, model:evaluate { x, target, verbose = 0 }, 1e-5)
  end)
end)

describe("states in a graph", function()
  it("go from an encoder to a decoder, also in a model that was loaded", function()
    dlua.manual_seed(7)
    local source = dlua.Input { shape = { dlua.none, 3 }, name = "source" }
    local target = dlua.Input { shape = { dlua.none, 2 }, name = "target" }
    local _, h, c = layers.LSTM { 4, return_state = true } (layers.Masking {} (source))
    local decoded = layers.LSTM { 4, return_sequences = true } (target, { initial_state = { h, c } })
    local model = dlua.Model { inputs = { source, target },
                               outputs = layers.TimeDistributed { layers.Dense { 2 } } (decoded) }
    model:compile { loss = "mse", optimizer = "adam" }
    local x, y = dlua.randn(6, 5, 3), dlua.randn(6, 4, 2)
    local before = model:evaluate { { x, y }, y, verbose = 0 }
    model:fit { { x, y }, y, epochs = 5, verbose = 0 }
    assert.is_true(model:evaluate { { x, y }, y, verbose = 0 } < before)
    local other = x:clone()
    other[{ {}, 1 }]:zero_() -- the encoder's first step, now padding
    assert.is_true(largest(model:predict { { x, y } } - model:predict { { other, y } }) > 1e-4)
    local path = os.tmpname()
    model:save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    assert.are.equal(0, largest(model:predict { { x, y } } - loaded:predict { { x, y } }))
  end)

  it("stay from batch to batch of fit and predict", function()
    dlua.manual_seed(7)
    local model = dlua.Sequential { layers.GRU { 4, stateful = true, input_shape = { 5, 3 } }, layers.Dense { 1 } }
    local x = dlua.randn(6, 5, 3)
    local first, second = model:predict { x }, model:predict { x }
    assert.is_true(largest(first - second) > 1e-4)
    model:reset_states()
    assert.are.equal(0, largest(first - model:predict { x }))
    local path = os.tmpname()
    model:save(path) -- which does not hold the states that the prediction left
    local loaded = dlua.load_model(path)
    os.remove(path)
    assert.are.equal(0, largest(first - loaded:predict { x }))
    model:reset_states()
    model:compile { loss = "mse", optimizer = "sgd" }
    model:fit { x, dlua.randn(6, 1), batch_size = 3, epochs = 2, shuffle = false, verbose = 0 }
    local message = support.message_of(model.predict, model, { x })
    assert.is_truthy(message:find("keeps states of shape {3, 4}, got sequences {6, 5, 3}", 1, true), message)
  end)
end)

describe("the operations of recurrent networks", function()
  local function refuses(message, name, inputs)
    local units = { simple_rnn = 4, gru = 12, lstm = 16 }
    local arguments = { x = dlua.randn(2, 5, 3), kernel = dlua.randn(3, units[name]),
                        recurrent_kernel = dlua.randn(4, units[name]) }
    assert.are.same({ 2, 4 }, dlua[name](arguments).shape)
    for key, value in pairs(inputs) do
      arguments[key] = value
    end
    local text = support.message_of(dlua[name], arguments)
    assert.is_truthy(text:find(message, 1, true), text)
  end

  it("name the input that does not fit, and both shapes", function()
    refuses("kernel has shape {2, 16}; for x of shape {2, 5, 3} it must be {3, 16}", "lstm",
      { kernel = dlua.randn(2, 16) })
    refuses("recurrent_kernel has shape {4, 12}; it must be {U, 4 U}", "lstm", { recurrent_kernel = dlua.randn(4, 12) })
    refuses("initial_h has shape {2, 5}; for x of shape {2, 5, 3} it must be {2, 4}", "simple_rnn",
      { initial_h = dlua.randn(2, 5) })
    refuses("initial_c has shape {3, 4}", "lstm", { initial_h = dlua.randn(2, 4), initial_c = dlua.randn(3, 4) })
    refuses("dropout_mask has shape {2, 3}", "lstm", { dropout_mask = dlua.ones(2, 3) })
    refuses("dropout_mask", "gru", { dropout_mask = dlua.ones(2, 4, { dtype = "float64" }) })
    refuses("mask has shape {2, 4}; for x of shape {2, 5, 3} it must be {2, 5}", "gru",
      { mask = dlua.ones(2, 4):bool() })
    refuses("mask is float32; it must be bool", "gru", { mask = dlua.ones(2, 5) })
    refuses("bias has shape {2, 4}; with reset_after it must be {2, 12}", "gru", { bias = dlua.ones(2, 4) })
    refuses("a sequence has one step at least", "simple_rnn", { x = dlua.zeros(2, 0, 3) })
  end)
end)

describe("a chain of layers", function()
  local function check(model, is_saved)
    local long = dlua.randn(4, 9, 3)
    local short = long[{ {}, { 1, 5 } }]
    if is_saved then
      local path = os.tmpname()
      model:save(path)
      model = dlua.load_model(path)
      os.remove(path)
    end
    local y = model:predict(long)
    assert.are.same({ 4, 9, 2 }, y.shape)
    assert.are.equal(0, largest(y[{ {}, { 1, 5 } }] - model:predict(short)))
    assert.is_truthy(support.message_of(model.predict, model, dlua.randn(4, 9, 4))
      :find("input 1 was made for {*, 5, 3}, got {4, 9, 4}", 1, true))
  end

  it("takes sequences of other lengths than it saw first", function()
    local model = dlua.Sequential { layers.GRU { 4, return_sequences = true }, layers.Dense { 2 } }
    model:predict(dlua.randn(2, 5, 3))
    check(model)
    check(model, true)
  end)

  it("takes sequences of other lengths than it was declared with", function()
    local model = dlua.Sequential { layers.GRU { 4, return_sequences = true, input_shape = { 5, 3 } },
                                    layers.Dense { 2 } }
    check(model)
    model:compile { loss = "mse", optimizer = "sgd" }
    model:train_on_batch(dlua.randn(3, 7, 3), dlua.randn(3, 7, 2))
    check(model, true)
  end)

  it("takes ids of other lengths, but no graph with declared sizes does", function()
    local embed = layers.Embedding { 9, 4, mask_zero = true, input_shape = { 5 } }
    local model = dlua.Sequential { embed, layers.LSTM { 2 } }
    assert.are.same({ 4, 2 }, model:predict(dlua.randint(1, 9, { 4, 7 })).shape)
    local x = dlua.Input { shape = { 5, 3 } }
    local graph = dlua.Model { inputs = x, outputs = layers.LSTM { 2 } (x) }
    assert.is_truthy(support.message_of(graph.predict, graph, dlua.randn(4, 9, 3))
      :find("input 1 was made for {*, 5, 3}, got {4, 9, 3}", 1, true))
  end)
end)

describe("the threads of a recurrent layer", function()
  it("do not change its bits", function()
    local code = [[
      local dlua = require "dlua"
      dlua.manual_seed(8)
      local layers = dlua.layers
      local model = dlua.Sequential { layers.LSTM { 40, return_sequences = true, input_shape = { 9, 30 } },
        layers.GRU { 24, dropout = 0.3, recurrent_dropout = 0.2 }, layers.Dense { 1 } }
      model:compile { optimizer = "adam", loss = "mse" }
      model:fit { dlua.randn(70, 9, 30), dlua.randn(70, 1), epochs = 2, batch_size = 35, verbose = 0 }
      print(string.format("%a", model:predict { dlua.ones(3, 9, 30) }:sum():item()))
    ]]
    local one, ended = support.run(code, { DLUA_NUM_THREADS = "1" })
    assert.is_true(ended, one)
    assert.are.equal(one, (support.run(code, { DLUA_NUM_THREADS = "2" })))
  end)
end)
