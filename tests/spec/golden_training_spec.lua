-- Trains the networks of tests/golden/training.py from the same weights on the same batches as Keras did, and compares
-- the loss of every step and the norms of the weights after them.
local dlua = require "dlua"

local golden = dofile "tests/golden/golden.lua"

local FILES = {
  digits = "scripts/dlua/datasets/digits/",
  fashion_mnist = "/usr/share/datasets/fashion-mnist/train-", -- Debian's dataset-fashion-mnist
}

--- Element i (from 0) of variable k (from 0) before it is scaled: splitmix64's upper 24 bits, in [-1, 1).
local function formula(k, i)
  local z = ((k << 32) + i + 1) * 0x9E3779B97F4A7C15
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  z = z ~ (z >> 31)
  return ((z >> 40) - 0x800000) / 0x800000
end

--- Fills the variables of a model from the formula.
local function set_weights(model, limits)
  assert(#model.weights == #limits)
  for k, variable in ipairs(model.weights) do
    local values = {}
    for i = 0, variable:numel() - 1 do
      values[i + 1] = limits[k] * formula(k - 1, i)
    end
    dlua.no_grad(function()
      variable:copy_(dlua.tensor(values, { dtype = variable.dtype }):reshape(variable.shape))
    end)
  end
end

local function build(case, dtype)
  local model = dlua.Sequential {}
  for i, layer in ipairs(case.layers) do
    local options = golden.options { options = layer[2] }
    options.dtype = dtype
    options.input_shape = i == 1 and case.input_shape or nil
    model:add(dlua.layers[layer[1]](options))
  end
  set_weights(model, case.limits)
  local optimizer = case.optimizer
  if type(optimizer) == "table" then
    local options = {}
    for name, value in pairs(optimizer) do
      options[name] = name ~= "class" and value or nil
    end
    optimizer = dlua.optimizers[optimizer.class](options)
  end
  model:compile { optimizer = optimizer, loss = case.loss }
  return model
end

--- The images and labels of the case. Pixels are divided in float32, as for Keras; a file's labels begin at 0.
local function read(case, dtype)
  local first = { { 1, case.count } }
  local images = dlua.io.load_idx(FILES[case.data] .. "images-idx3-ubyte.gz")[first]:float() / case.scale
  local labels = dlua.io.load_idx(FILES[case.data] .. "labels-idx1-ubyte.gz")[first]:to("int64") + 1
  return images:reshape(case.count, table.unpack(case.input_shape)):to(dtype), labels
end

describe("training", function()
  local file = golden.load "training"

  for _, case in ipairs(file.cases) do
    for _, dtype in ipairs(case.dtypes) do
      it("follows Keras step by step in " .. case.def .. " in " .. dtype, function()
        local x, y = read(case, dtype)
        local model = build(case, dtype)
        local losses = {}
        for first = 1, case.count, case.batch_size do
          local batch = { { first, first + case.batch_size - 1 } }
          model:reset_metrics()
          model:train_batch(x[batch], y[batch])
          losses[#losses + 1] = model:logs().loss
        end
        file:check(case, "the losses", dlua.tensor(losses, { dtype = dtype }), case.outputs[1], dtype)
        model.optimizer:finalize_variable_values(model.trainable_weights)
        local norms = {}
        for k, variable in ipairs(model.weights) do
          norms[k] = variable:norm():item()
        end
        file:check(case, "the norms of the weights", dlua.tensor(norms, { dtype = dtype }), case.norms_after, dtype)
      end)
    end
  end
end)
