--- What a mistake is answered with: what to do.
local dlua = require "dlua"
local support = require "support"
local message_of = support.message_of
local layers, none = dlua.layers, dlua.none

describe("a message says what to do for", function()
  local x, y, model

  before_each(function()
    x, y = dlua.ones(3, 4), dlua.ones(3, 1)
    model = dlua.Sequential { layers.Dense { 1, input_shape = { 4 } } }
    model:compile { loss = "mse" }
  end)

  local function check(expected, f)
    local message = message_of(f)
    assert(message:find(expected, 1, true), ("%s\nshould hold: %s"):format(message, expected))
  end

  it("parts of a tensor that are outside it", function()
    check("narrow: start must be a position from 1 to 4, or from -1 to -4 at the end, got 5",
      function() x:narrow(2, 5, 1) end)
    check("narrow: length must be a whole number from 0 to 3, what is left of the dimension, got 2.5",
      function() x:narrow(2, 2, 2.5) end)
    check("split: size must be a whole number of at least 1, got the string 'x'", function() x:split("x") end)
  end)

  it("more shapes than a layer can have inputs", function()
    local shapes = {}
    for k = 1, 65 do
      shapes[k] = { none, 2 }
    end
    check("build: takes the shapes of at most 64 inputs, got 65", function() layers.Add {}:build(shapes) end)
    shapes[65] = nil
    layers.Add {}:build(shapes)
  end)

  it("a decoding of something else than a model, a batch and a length", function()
    check("new_decoding: takes a model first, got 3", function() dlua.new_decoding(3) end)
    check("new_decoding: batch must be a whole number of at least 1, got 0",
      function() dlua.new_decoding(model, 0, 4) end)
    check("new_decoding: max_length must be a whole number of at least 1, got nil",
      function() dlua.new_decoding(model, 1) end)
  end)

  it("functions on tensors", function()
    check("tensor: takes a number, a boolean or a list of them", function() dlua.tensor(nil) end)
    check("cat: tensors is an empty list; it needs at least one tensor", function() dlua.cat {} end)
    check("there is maximum(a, b)", function() dlua.max(x, x) end)
    check("no_grad(function() ... end), got nothing", function() dlua.no_grad() end)
    check("no_grad(function() ... end), got 3", function() dlua.no_grad(3) end)
    assert.equal(5, dlua.no_grad(setmetatable({}, { __call = function(_, value) return value end }), 5))
  end)

  it("layers and models", function()
    local other = dlua.Sequential { layers.Dense { 1 } }
    check("build: the shape counts the batch, such as {dlua.none, 784}", function() other:build { 2 } end)
    check("build: takes the shape of the input with its batch", function() other:build(2) end)
    check("trainable must be true or false, got the string 'x'", function() other.trainable = "x" end)
    check("trainable must be true or false, got the string 'x'", function() other.layers[1].trainable = "x" end)
  end)

  it("the inputs of a model", function()
    local input = dlua.Input { shape = { 2 } }
    check("Model: inputs is a symbolic tensor or a list of them, { a, b }, got a table with names; a name is given to "
      .. "the layer, Input { ..., name = \"a\" }, and then fit takes x = { a = ... }", function()
        return dlua.Model { { a = input }, input }
      end)
    check("Model: unknown argument 'output'; did you mean 'outputs'? It takes inputs, outputs, name", function()
      return dlua.Model { inputs = input, output = input }
    end)
    check("Model: 'inputs' is given twice", function() return dlua.Model { input, input, inputs = input } end)
  end)

  it("names that are nearly right", function()
    check("unknown loss 'msee'; did you mean 'MeanSquaredError'?", function() model:compile { loss = "msee" } end)
    check("to name a metric write metrics = { dlua.metrics.MeanMetricWrapper { f, name = 'own' } }", function()
      model:compile { loss = "mse", metrics = { own = function() end } }
    end)
    check("'trainble' cannot be set; did you mean 'trainable'?", function() model.trainble = false end)
    check("'optimizer' cannot be set", function() model.optimizer = "sgd" end)
    check("'name' cannot be set", function() model.name = "own" end)
    model.own, model.train = 1, 2
    assert.are.same({ 1, 2 }, { model.own, model.train })
    check("dlua.io has no 'load_safetensor'; did you mean 'load_safetensors'?", function()
      return dlua.io.load_safetensor
    end)
    check("dlua.data has no 'batch'", function() return dlua.data.batch end)
    check("dlua.json has no 'dump'", function() return dlua.json.dump end)
  end)

  it("targets that do not fit the loss", function()
    local losses = dlua.losses
    local scores = dlua.tensor { { 0.5, 0.5 }, { 0.5, 0.5 } }
    check("needs targets of the predictions' shape {2, 2}, got {2}; for labels there is "
      .. "sparse_categorical_crossentropy, and one_hot", function()
        losses.CategoricalCrossentropy {} (dlua.tensor { 1, 2 }, scores)
      end)
    check("needs whole numbers as labels, from 1 to the number of classes, got targets with others", function()
      losses.SparseCategoricalCrossentropy {} (dlua.tensor { 1.5, 1 }, scores)
    end)
    local whole = losses.SparseCategoricalCrossentropy {} (dlua.tensor { 1.0, 2.0 }, scores)
    assert.near(math.log(2), whole:item(), 1e-6)
    local wrong = dlua.tensor { { 1.5, -0.5 } }
    for _, f in ipairs {
      function() losses.BinaryCrossentropy {} (dlua.ones(1, 2), wrong) end,
      function() dlua.binary_cross_entropy(wrong, dlua.ones(1, 2)) end,
    } do
      check("predictions must be probabilities from 0 to 1, got values from -0.5 to 1.5; end the model with the "
        .. "activation sigmoid, or take the loss from logits", f)
    end
    assert.is_number(losses.BinaryCrossentropy { from_logits = true } (dlua.ones(1, 2), wrong):item())
  end)

  it("arguments of another kind", function()
    check("input 2 must be a tensor or a symbolic input, got true; options go by name, layer(x, { training = true })",
      function() layers.Dropout { 0.5 } (x, true) end)
    check("ids count from 1 to the rows of the table (input_dim of the layer; make it larger for more ids)",
      function() layers.Embedding { 19, 4 } (dlua.tensor { { 20 } }) end)
    check("set_weights: values must be a list of tensors, as get_weights gives it, got a float32 tensor",
      function() model:set_weights(x) end)
    check("save_safetensors: tensors must be a table of tensors by name, { name = ... }, got a float32 tensor",
      function() dlua.io.save_safetensors("never.safetensors", x) end)
    check("save_safetensors: metadata must be a table of strings by name, { name = ... }, got 3",
      function() dlua.io.save_safetensors("never.safetensors", { x = x }, 3) end)
    check("download: takes one table, download { url = ..., path = ... }, got the string 'url'",
      function() dlua.io.download "url" end)
    check("download: argument 'progress' must be a function(done, total), got 3",
      function() dlua.io.download { url = "http://localhost", path = "never", progress = 3 } end)
  end)

  it("fit and predict", function()
    check("predict: x is one tensor, or for several inputs a list of its own", function() model:predict { x, x } end)
    check("predict: argument 'x' holds 2 tensors, but the model takes 1", function() model:predict { { x, x } } end)
    check("fit: argument 'x' holds 2 tensors", function() model:fit { { x, x }, y, verbose = 0 } end)
    check("callback 1 is the class EarlyStopping; write EarlyStopping {}", function()
      model:fit { x, y, verbose = 0, callbacks = { dlua.callbacks.EarlyStopping } }
    end)
    check("callbacks is a list, also of one: callbacks = { EarlyStopping {...} }", function()
      model:fit { x, y, verbose = 0, callbacks = dlua.callbacks.EarlyStopping {} }
    end)
    model:compile {}
    check("was compiled without a loss: call compile with loss =", function() model:fit { x, y, verbose = 0 } end)
  end)
end)
