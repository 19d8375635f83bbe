--- Constraints: what weights keep to after each step of training.
local dlua = require "dlua"
local support = require "support"

local layers, constraints = dlua.layers, dlua.constraints
local message_of = support.message_of

--- A small net of a layer that has constraints, for inputs of this shape.
local LAYERS = {
  Dense = { { 3 }, { 4 } }, Conv1D = { { 3, 2 }, { 6, 2 } }, Conv2D = { { 3, 2 }, { 5, 5, 2 } },
  Conv2DTranspose = { { 3, 2 }, { 4, 4, 2 } }, DepthwiseConv2D = { { 2 }, { 5, 5, 2 } },
  SeparableConv2D = { { 3, 2 }, { 5, 5, 2 } }, PReLU = { {}, { 4 } }, BatchNormalization = { {}, { 4 } },
  LayerNormalization = { {}, { 4 } }, GroupNormalization = { { 2 }, { 4 } }, SimpleRNN = { { 3 }, { 4, 2 } },
  LSTM = { { 3 }, { 4, 2 } }, GRU = { { 3 }, { 4, 2 } }, Embedding = { { 5, 3 }, { 4 }, ids = true },
  ReversibleEmbedding = { { 5, 3 }, { 4 }, ids = true }, SimpleRNNCell = { { 3 }, { 4, 2 }, cell = true },
  LSTMCell = { { 3 }, { 4, 2 }, cell = true }, GRUCell = { { 3 }, { 4, 2 }, cell = true },
  MultiHeadAttention = { { 2, 3 }, { 4, 4 }, attention = true },
  GroupQueryAttention = { { 3, 2, 1 }, { 4, 4 }, attention = true },
}

local function constraint_fields(name)
  local found = {}
  local description = dlua.describe(layers[name]) or {}
  for _, field in ipairs(description.name == name and description.fields or {}) do
    found[#found + 1] = field.name:match "^.*_constraint$"
  end
  return found
end

local function model_of(name, options)
  local sample = LAYERS[name]
  local arguments = { table.unpack(sample[1]) }
  for key, value in pairs(options) do
    arguments[key] = value
  end
  local input = dlua.Input { shape = sample[2], dtype = sample.ids and "int64" or "float32" }
  local layer = layers[name](arguments)
  layer = sample.cell and layers.RNN { layer } or layer
  local output = sample.attention and layer(input, input) or layer(input)
  return dlua.Model { input, output }
end

local function train(model, steps, ids)
  model:compile { optimizer = dlua.optimizers.SGD { 0.5 }, loss = "mse" }
  local shape = { 8, table.unpack(model.input_shapes[1], 2) }
  local x = ids and dlua.randint(1, 5, shape) or dlua.randn(shape)
  local y = dlua.randn(model(x).shape)
  for _ = 1, steps do
    model:train_batch(x, y)
  end
end

describe("constraints", function()
  it("are taken by every layer that has weights of its own", function()
    for name in pairs(layers) do
      assert.is_true(#constraint_fields(name) == 0 or LAYERS[name] ~= nil, name .. " has no sample here")
    end
    for name in pairs(LAYERS) do
      assert.is_true(#constraint_fields(name) > 0, name)
    end
  end)

  for name in pairs(LAYERS) do
    it("hold after each step of " .. name, function()
      dlua.manual_seed(3)
      local options = {}
      for _, field in ipairs(constraint_fields(name)) do
        options[field] = constraints.MinMaxNorm { 0.125, 0.25, axis = -1 }
      end
      local model = model_of(name, options)
      train(model, 1, LAYERS[name].ids)
      for k, weight in ipairs(model.weights) do
        local norms = weight:square():sum(-1):sqrt()
        if weight.requires_grad then
          assert.is_true(norms:max():item() < 0.25 + 1e-5, model.weight_names[k])
        end
      end
      local again = dlua.model_from_config(model:get_config())
      assert.same(model:get_config(), again:get_config())
    end)
  end

  it("go by name, are saved with the model, and hold in training that goes on", function()
    dlua.manual_seed(3)
    local model = dlua.Sequential {
      layers.Dense { 3, kernel_constraint = "non_neg", bias_constraint = constraints.UnitNorm {}, input_shape = { 4 } },
    }
    train(model, 2)
    assert.is_true(model.weights[1]:ge(0):all():item())
    assert.near(1, model.weights[2]:norm():item(), 1e-5)
    local path = os.tmpname()
    model:save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    assert.same(model:get_config(), loaded:get_config())
    local x, y = dlua.randn(8, 4), dlua.randn(8, 3)
    for _ = 1, 3 do
      model:train_batch(x, y)
      loaded:train_batch(x, y)
    end
    assert.is_true(loaded.weights[1]:ge(0):all():item())
    for k, weight in ipairs(model.weights) do
      assert.is_true(weight:eq(loaded.weights[k]):all():item())
    end
  end)

  it("leave frozen weights alone, and those that no step changes", function()
    local model = dlua.Sequential { layers.Dense { 3, kernel_constraint = "unit_norm", input_shape = { 4 } },
      layers.Dense { 3 } }
    local first = model.weights[1]:clone()
    model.layers[1].trainable = false
    train(model, 2)
    assert.is_true(first:eq(model.weights[1]):all():item())
    model.layers[1].trainable = true
    train(model, 1)
    assert.is_false(first:eq(model.weights[1]):all():item())
  end)

  it("are for weights of layers in Lua, too", function()
    local Scale = layers.define {
      name = "ConstrainedScale",
      build = function(self, shape)
        self:add_weight { name = "factor", shape = { shape[#shape] }, initializer = "ones", constraint = "max_norm" }
      end,
      call = function(self, x)
        return x * self.factor
      end,
    }
    local model = dlua.Sequential { Scale { input_shape = { 9 } } }
    train(model, 1)
    assert.is_true(model.weights[1]:norm():item() < 2 + 1e-5)
  end)

  it("work on large weights as on small ones", function()
    local w = dlua.randn(300, 200)
    local expected = w / (w:square():sum { dim = 1, keepdim = true }:sqrt() + 1e-7)
    assert.is_true((constraints.UnitNorm {}(w) - expected):abs():max():item() < 1e-6)
    assert.same({ 0, 3 }, constraints.NonNeg {}(dlua.zeros(0, 3)).shape)
    assert.same({ 0, 3 }, constraints.MaxNorm {}(dlua.zeros(0, 3)).shape)
  end)

  it("say what is wrong with them", function()
    assert.matches("min_value %(2%) must be at most max_value %(1%)",
      message_of(function() constraints.MinMaxNorm { 2, 1 } end))
    assert.matches("max_value", message_of(function() constraints.MaxNorm { -1 } end))
    assert.matches("MaxNorm: axis names dimension 3 of a weight {4, 3}, which has 2", message_of(function()
      dlua.Sequential { layers.Dense { 3, kernel_constraint = constraints.MaxNorm { axis = 3 }, input_shape = { 4 } } }
    end), 1, true)
    assert.matches("did you mean 'MaxNorm'", message_of(function()
      layers.Dense { 3, kernel_constraint = "MaxNrm" }
    end))
    assert.matches("UnitNorm is for float weights, got int64",
      message_of(function() constraints.UnitNorm {}(dlua.tensor { 1, 2 }) end))
  end)
end)
