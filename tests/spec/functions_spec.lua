--- Losses and metrics that are Lua functions.
local dlua = require "dlua"
local support = require "support"
local layers = dlua.layers
local message_of = support.message_here

local function squares(y_true, y_pred)
  return (y_true - y_pred):square():mean(-1)
end

describe("a function as a loss", function()
  local x, y

  before_each(function()
    dlua.manual_seed(3)
    x, y = dlua.randn(32, 4), dlua.randn(32)
  end)

  local function model_of(loss, metrics)
    local model = dlua.Sequential { layers.Dense { 1, kernel_initializer = "ones", input_shape = { 4 } } }
    return model:compile { loss = loss, metrics = metrics }
  end

  it("trains as the engine's own loss does, ranks matched and weights taken", function()
    local own, ours = model_of(squares), model_of "mse"
    local weights = dlua.rand(32)
    for _, model in ipairs { own, ours } do
      model:fit { x, y, epochs = 3, verbose = 0, shuffle = false, sample_weight = weights }
    end
    for index, weight in ipairs(own:get_weights()) do
      assert.is_true((weight - ours:get_weights()[index]):abs():max():item() < 1e-6)
    end
    assert.is_true(math.abs((own:evaluate { x, y, verbose = 0 }) - (ours:evaluate { x, y, verbose = 0 })) < 1e-6)
  end)

  it("stays with the model when nothing else holds it, and is collected with it", function()
    local kept = setmetatable({}, { __mode = "v" })
    do
      local model
      local function loss(y_true, y_pred)
        return squares(y_true, y_pred) * #model.layers
      end
      model = model_of(loss)
      kept[1] = loss
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(kept[1])
    local model = model_of(function(y_true, y_pred) return squares(y_true, y_pred) end)
    collectgarbage()
    model:fit { x, y, verbose = 0 }
  end)

  it("is called on tensors, with its options", function()
    local loss = dlua.losses.LossFunctionWrapper { squares, reduction = "sum", name = "squares" }
    assert.equal(3.0, loss(dlua.ones(3, 1), dlua.zeros(3, 1)):item())
    assert.matches("unknown argument 'nme'",
      message_of(function() dlua.losses.LossFunctionWrapper { squares, nme = "x" } end))
    assert.matches("fn must be a function%(y_true, y_pred%), got 3",
      message_of(function() dlua.losses.LossFunctionWrapper { 3 } end))
  end)

  it("must give float numbers that have a gradient", function()
    local function message(loss)
      return support.message_of(function() model_of(loss):fit { x, y, verbose = 0 } end)
    end
    assert.matches("the function must return a tensor, got 3", message(function() return 3 end))
    assert.matches("the function must return float numbers, got bool",
      message(function(y_true, y_pred) return y_true:lt(y_pred) end))
    assert.matches("the function's result has no gradient",
      message(function(y_true, y_pred) return squares(y_true, y_pred:detach()) end))
  end)

  it("names its own line in an error, once, and without a traceback", function()
    local message = support.message_of(function()
      model_of(function(y_true, y_pred) return y_true:matmul(y_pred, 3, 4) end):fit { x, y, verbose = 0 }
    end)
    assert.matches("^tests/spec/functions_spec.lua:%d+: sequential[_%d]*: LossFunctionWrapper: matmul: got", message)
    assert.is_nil(message:find "traceback")
    assert.is_nil(message:find("functions_spec", 30, true))
  end)

  it("is left out of a saved model, which says so when it is to be trained", function()
    local base = os.tmpname()
    local name = base .. ".safetensors"
    local model = model_of(squares, { squares })
    model:fit { x, y, verbose = 0 }
    model:save(name)
    local loaded = dlua.load_model(name)
    os.remove(name)
    os.remove(base)
    assert.is_true(support.same_weights(model, loaded))
    assert.matches("fit: the model was compiled with a Lua function as its loss or metric",
      message_of(function() loaded:fit { x, y, verbose = 0 } end))
    loaded:compile { loss = squares }
    loaded:fit { x, y, verbose = 0 }
  end)
end)

describe("a function as a metric", function()
  it("is called in logs as its variable, or as it is told", function()
    local x, y = dlua.ones(8, 2), dlua.ones(8, 1)
    local model = dlua.Sequential { layers.Dense { 1, kernel_initializer = "ones", input_shape = { 2 } } }
    local function distance(y_true, y_pred)
      return (y_true - y_pred):abs()
    end
    model:compile {
      optimizer = dlua.optimizers.SGD { 0 },
      loss = "mse",
      metrics = {
        distance, squares, dlua.metrics.MeanMetricWrapper { distance, name = "own" },
        function(_, y_pred) return y_pred:max() end,
      },
    }
    local history = model:fit { x, y, verbose = 0, validation_split = 0.5 }.history
    assert.same({ 1.0 }, history.distance)
    assert.same({ 1.0 }, history.squares)
    assert.same({ 1.0 }, history.val_own)
    assert.same({ 2.0 }, history.val_metric)
  end)

  it("has a state of its own", function()
    local metric = dlua.metrics.MeanMetricWrapper { squares }
    metric:update_state(dlua.ones(2, 1), dlua.zeros(2, 1))
    metric:update_state(dlua.ones(2, 1), dlua.ones(2, 1))
    assert.equal(0.5, metric:result())
    assert.matches("^MeanMetricWrapper: a tensor has no 'nonsense'", message_of(function()
      dlua.metrics.MeanMetricWrapper { function(y_true) return y_true.nonsense end }:update_state(dlua.ones(2),
        dlua.ones(2))
    end))
  end)
end)
