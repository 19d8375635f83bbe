-- Holds the recurrent layers and their wrappers to Keras's values (tests/golden/recurrent.py): outputs, last states and
-- all gradients, with masks, initial states and both directions.
local dlua = require "dlua"

local golden = dofile "tests/golden/golden.lua"

local layers = dlua.layers

--- A layer from {class = "LSTM", units = 3, ...}; options that are layers have that form too.
local function make(spec, dtype)
  if type(spec) ~= "table" then
    return spec
  end
  local options = {}
  for name, value in pairs(spec) do
    if name ~= "class" then
      options[name] = make(value, dtype)
    end
  end
  if not spec.class then
    return options
  end
  options.dtype = dtype
  return layers[spec.class](options)
end

describe("the recurrent layer", function()
  local function run(file, case, dtype)
    local leaves = { input = file:input(case.inputs[1], dtype):requires_grad_() }
    local call = { training = case.training, mask = case.mask and file:input(case.mask, dtype) }
    for i, name in ipairs(case.initial_state or {}) do
      leaves["state" .. i] = file:input(name, dtype):requires_grad_()
      call.initial_state = call.initial_state or {}
      call.initial_state[i] = leaves["state" .. i]
    end
    local layer = make(case.layer, dtype)
    layer(leaves.input:detach())
    assert.are.equal(#case.weights, #layer.weights)
    for i, weight in ipairs(layer.weights) do
      dlua.no_grad(function()
        weight:copy_(file:input(case.weights[i], dtype))
      end)
      leaves["weight" .. i] = weight
    end
    local outputs = { layer(leaves.input, call) }
    assert.are.equal(#case.outputs, #outputs)
    local total = 0
    for i, output in ipairs(outputs) do
      file:check(case, "output " .. i, output, case.outputs[i], dtype)
      total = total + (output * file:input(case.grad_outputs[i], dtype)):sum()
    end
    total:backward()
    for name, stored in pairs(case.grads) do
      file:check(case, "the gradient of " .. name, leaves[name].grad, stored, dtype)
    end
  end

  local file = golden.load "recurrent"
  for _, case in ipairs(file.cases) do
    for _, dtype in ipairs(case.dtypes) do
      it(case.id .. " in " .. dtype, function()
        run(file, case, dtype)
      end)
    end
  end
end)
