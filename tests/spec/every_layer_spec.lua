--- What every layer of the library does, by one sample of each (layer_samples.lua): it comes back from its config and
-- from a file with the same bits, and it refuses inputs that do not fit, saying where and what came.
local dlua = require "dlua"
local samples = require "layer_samples"
local support = require "support"
local layers, message_of = dlua.layers, support.message_of

--- Classes that are made of other layers or hold no computation of their own, which other specs test.
local OTHERS = { InputLayer = true, Sequential = true, Functional = true }

--- Layers whose inputs an inner layer sees in parts: it is the inner one that is named, with what it got.
local WRAPPERS = { TimeDistributed = true, RNN = true }

local function make_input(input)
  if input[1] == "ids" then
    return dlua.randint(1, 7, input[2])
  elseif input[1] == "text" then
    return dlua.strings(input[2])
  elseif input[1] == "mask" then
    return dlua.rand(input[2]):lt(0.7)
  end
  return dlua.randn(input)
end

local function inputs_of(sample)
  local inputs, named = {}, {}
  for k, input in ipairs(sample[2]) do
    inputs[k] = make_input(input)
  end
  for name, input in pairs(sample.named or {}) do
    named[name] = make_input(input)
  end
  return inputs, named
end

--- The first output of a call.
local function call(layer, inputs, named)
  local arguments = { table.unpack(inputs) }
  if named and next(named) then
    arguments[#arguments + 1] = named
  end
  return (layer(table.unpack(arguments)))
end

local function copy_weights(from, to)
  for k, weight in ipairs(from.weights) do
    dlua.no_grad(function()
      to.weights[k]:copy_(weight)
    end)
  end
end

local function text_of(tensor)
  return "{" .. table.concat(tensor.shape, ", ") .. "}"
end

--- Declares a test for each sample, in the order of names.
local function for_each_layer(test)
  local names = {}
  for name in pairs(samples) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    it(name, function()
      dlua.manual_seed(7)
      test(name, samples[name])
    end)
  end
end

describe("every layer", function()
  it("has a sample", function()
    for name, class in pairs(layers) do
      assert(type(class) == "function" or OTHERS[name] or samples[name], name .. " has none in layer_samples.lua")
    end
  end)

  describe("comes back from its config and computes the same bits:", function()
    for_each_layer(function(name, sample)
      local layer, inputs, named = layers[name](sample[1]), inputs_of(sample)
      call(layer, inputs, named)
      local config = layer:get_config()
      assert.equal(name, config.class_name)
      local again = layers[name](dlua.json.decode(dlua.json.encode(config.config)))
      assert.same(config, again:get_config())
      call(again, inputs, named)
      copy_weights(layer, again)
      for _, training in ipairs { false, true } do
        named.training = training
        assert.is_true(support.same_bits(call(layer, inputs, named), call(again, inputs, named)))
      end
    end)
  end)

  describe("comes back from the file of a model and computes the same bits:", function()
    for_each_layer(function(name, sample)
      local inputs, symbols = inputs_of(sample), {}
      for k, input in ipairs(inputs) do
        symbols[k] = dlua.Input { shape = { table.unpack(input.shape, 2) }, dtype = input.dtype }
      end
      local model = dlua.Model { inputs = symbols, outputs = call(layers[name](sample[1]), symbols) }
      local path = os.tmpname()
      model:save(path)
      local loaded = dlua.load_model(path)
      os.remove(path)
      assert.same(model:get_config(), loaded:get_config())
      assert.is_true(support.same_bits(call(model, inputs), call(loaded, inputs)))
      local again = dlua.model_from_config(model:get_config())
      copy_weights(model, again)
      assert.is_true(support.same_bits(call(model, inputs), call(again, inputs)))
    end)
  end)

  --- Calls what make gives with one input replaced: check(ok, message, name of the change, the input) for each change.
  local function for_each_change(make, inputs, place, check)
    local x = inputs[place]
    local function try(change, changed)
      local arguments = { table.unpack(inputs) }
      arguments[place] = changed
      local ok, message = pcall(call, make(), arguments)
      check(ok, tostring(message), change, changed)
    end
    try("more", x:unsqueeze(-1))
    try("fewer", x:select(x:dim(), 1))
    try("dtype", x:to(x.dtype == "float32" and "int64" or "float32"))
    for dim = 2, x:dim() do
      local shape = { table.unpack(x.shape) }
      shape[dim] = shape[dim] + 1
      try("size" .. dim, dlua.ones(shape):to(x.dtype))
      shape[dim] = 0
      try("zero" .. dim, dlua.zeros(shape):to(x.dtype))
    end
  end

  --- The message must name the layer's path and what came, beside what was right.
  local function check_message(name, layer, message, changed)
    local say = name .. ": " .. message
    assert(message:find("%f[%w_]" .. layer.name .. "[/:]"), say .. "\ndoes not name the layer")
    local shape = text_of(changed)
    local place, last = message:find(shape, 1, true)
    if WRAPPERS[name] and not place then
      place, last = message:find("got {[^}]*}")
    end
    assert(place, say .. "\ndoes not say what came, " .. shape)
    local rest = message:sub(1, place - 1) .. message:sub(last + 1)
    assert(rest:find("%d") or rest:find("size of zero") or rest:find("dtype") or rest:find("convert"),
      say .. "\ndoes not say what is right")
  end

  describe("refuses inputs that do not fit, with its path and the shapes:", function()
    for_each_layer(function(name, sample)
      local layer, inputs, named = layers[name](sample[1]), inputs_of(sample)
      local expected = call(layer, inputs, named)
      for place in ipairs(inputs) do
        local taken = {}
        for change in ((sample.takes or {})[place] or ""):gmatch("%S+") do
          taken[change] = true
        end
        for_each_change(function() return layer end, inputs, place, function(ok, message, change, changed)
          local what = ("%s, input %d, %s %s"):format(name, place, change, text_of(changed))
          assert(ok == (taken[change] or false), ok and what .. " is taken" or message)
          if not ok then
            check_message(name, layer, message, changed)
          end
        end)
        for_each_change(function() return layers[name](sample[1]) end, inputs, place, function(ok, message, _, changed)
          if not ok then
            assert(message:find(text_of(changed), 1, true) or WRAPPERS[name], name .. ": " .. message)
          end
        end)
      end
      assert.is_true(support.same_bits(expected, call(layer, inputs, named)))
    end)
  end)

  describe("refuses masks that do not fit, with its path and the shapes:", function()
    for_each_layer(function(name, sample)
      local layer, inputs, named = layers[name](sample[1]), inputs_of(sample)
      call(layer, inputs, named)
      for role, mask in pairs(named) do
        local function refused(changed)
          local message = message_of(call, layer, inputs, { [role] = changed })
          check_message(name, layer, message, changed)
          assert(message:find(role, 1, true), message)
        end
        refused(mask:float())
        refused(mask:unsqueeze(-1))
        for dim = 1, mask:dim() do
          local shape = { table.unpack(mask.shape) }
          shape[dim] = shape[dim] + 1
          refused(dlua.ones(shape, { dtype = "bool" }))
        end
      end
    end)
  end)
end)
