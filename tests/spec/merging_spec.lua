-- Layers that make one tensor of several, their short forms, and arithmetic of symbolic inputs.
local dlua = require "dlua"
local support = require "support"
local layers = dlua.layers

local function tensor(...)
  return dlua.tensor({ { ... } }, { dtype = "float32" })
end

local function values(t)
  return t:totable()[1]
end

describe("a merging layer", function()
  it("takes its inputs as values or as a list", function()
    assert.are.same({ 4, 6 }, values(layers.Add {} (tensor(1, 2), tensor(3, 4))))
    assert.are.same({ 4, 6 }, values(layers.Add {} { tensor(1, 2), tensor(3, 4) }))
  end)

  it("has a function as Keras has", function()
    assert.are.same({ 4, 6 }, values(layers.add { tensor(1, 2), tensor(3, 4) }))
    assert.are.same({ -2, -2 }, values(layers.subtract { tensor(1, 2), tensor(3, 4) }))
    assert.are.same({ 11 }, values(layers.dot { tensor(1, 2), tensor(3, 4), axes = 2 }))
    local joined = layers.concatenate { tensor(1, 2), tensor(3, 4), axis = 2, name = "joined" }
    assert.are.same({ 1, 2, 3, 4 }, values(joined))
    assert.has_error(function()
      layers.add(tensor(1, 2), tensor(3, 4))
    end, "Add: takes one table, the inputs first and options by name after them, got several values")
    local ok, message = pcall(layers.concatenate, { tensor(1), axes = 2 })
    assert.is_false(ok)
    assert.matches("axis", message)
  end)

  --- A model of one input of two features, which goes masked where it is 0 and plain into merge(masked, plain).
  local function with_masks(merge)
    local x = dlua.Input { shape = { 3, 2 } }
    return dlua.Model { x, merge(layers.Masking {} (x), x) }
  end

  it("has a mask where all of its inputs have one, and none otherwise", function()
    local x = dlua.tensor { { { 1.0, 2 }, { 0, 0 }, { 3, 4 } } }
    local some = with_masks(function(a, b) return layers.GlobalAveragePooling1D {} (layers.Add {} { a, b }) end)
    local all = with_masks(function(a) return layers.GlobalAveragePooling1D {} (layers.Add {} { a, a }) end)
    local both = some(x)
    assert.are.near(8 / 3, both[{ 1, 1 }]:item(), 1e-6)
    assert.are.same({ 4, 6 }, values(all(x)))
  end)

  it("compares a masked step with none of the steps that count", function()
    local x = dlua.tensor { { { -1.0, -2 }, { 0, 0 }, { -3, -4 } } }
    local maximum = with_masks(function(a, b) return layers.Maximum {} { a, b - 5, b - 9 } end)
    assert.are.same({ { -1, -2 }, { -5, -5 }, { -3, -4 } }, maximum(x):totable()[1])
    local minimum = with_masks(function(a, b) return layers.Minimum {} { a, b + 5, b + 9 } end)
    assert.are.same({ { -1, -2 }, { 5, 5 }, { -3, -4 } }, minimum(x):totable()[1])
  end)

  it("does not drop inputs behind a hole, or keys that are no place", function()
    local a, b = tensor(1, 2), tensor(3, 4)
    local message_of = support.message_of
    assert.matches("Add: input 2 of up to 3 is nil: is a variable misspelt%?", message_of(layers.add, { a, nil, b }))
    assert.matches("Add: input 1 of up to 2 is nil", message_of(layers.add, { nil, b }))
    assert.matches("Add: input 3 of up to 7 is nil", message_of(layers.add, { a, b, [7] = b }))
    assert.matches("Add: input 3 of up to %d+ is nil", message_of(layers.add, { a, b, [math.maxinteger] = b }))
    for _, key in ipairs { 1.5, true, 0, -1 } do
      assert.matches("Concatenate: a key must be .* got " .. tostring(key):gsub("%p", "%%%0"),
        message_of(layers.concatenate, { a, b, [key] = b }))
    end
  end)

  it("refuses shapes that do not fit, and the batch as an axis", function()
    local function message_of(...)
      local ok, message = pcall(...)
      assert.is_false(ok)
      return message
    end
    assert.matches("add_?%d*: Add: inputs {1, 2} and {1, 3} do not fit", message_of(layers.add,
      { tensor(1, 2), tensor(1, 2, 3) }))
    assert.matches("Subtract takes 2 inputs, got 1", message_of(layers.subtract, { tensor(1) }))
    assert.matches("axis 1 is the batch", message_of(layers.concatenate, { tensor(1), tensor(2), axis = 1 }))
    assert.matches("axis 3 is not one of the 2 dimensions", message_of(layers.concatenate,
      { tensor(1), tensor(2), axis = 3 }))
    assert.matches("may differ in dimension 2 only", message_of(layers.concatenate,
      { tensor(1), dlua.ones(2, 1) }))
    assert.matches("must have one size", message_of(layers.dot, { tensor(1, 2), tensor(1, 2, 3), axes = 2 }))
  end)

  it("merges branches of a model that trains and comes back from a file", function()
    dlua.manual_seed(3)
    local a, b = dlua.Input { shape = { 4 }, name = "a" }, dlua.Input { shape = { 4 }, name = "b" }
    local h = layers.concatenate { layers.Dense { 3 } (a), layers.Dense { 3 } (b) }
    local model = dlua.Model { inputs = { a, b }, outputs = layers.Dense { 1 } (layers.add { h, h }) }
    model:compile { optimizer = "sgd", loss = "mse" }
    local x = { a = dlua.randn(8, 4), b = dlua.randn(8, 4) }
    model:fit { x, dlua.randn(8, 1), epochs = 1, verbose = 0 }
    local path = os.tmpname()
    model:save(path)
    local again = dlua.load_model(path)
    os.remove(path)
    assert.are.same(model:predict { x }:totable(), again:predict { x }:totable())
  end)
end)

describe("arithmetic of symbolic inputs", function()
  local function evaluate(f, ...)
    local inputs = {}
    for k = 1, select("#", ...) do
      inputs[k] = dlua.Input { shape = { 2 } }
    end
    local model = dlua.Model { inputs = inputs, outputs = f(table.unpack(inputs)) }
    return values(model:predict { { ... } })
  end

  it("makes the layers that compute it", function()
    local x, y = tensor(1, 2), tensor(5, 8)
    assert.are.same({ 6, 10 }, evaluate(function(a, b) return a + b end, x, y))
    assert.are.same({ -4, -6 }, evaluate(function(a, b) return a - b end, x, y))
    assert.are.same({ 5, 16 }, evaluate(function(a, b) return a * b end, x, y))
    assert.are.same({ 3, 5 }, evaluate(function(a) return a * 2 + 1 end, x))
    assert.are.same({ 3, 2 }, evaluate(function(a) return 4 - a end, x))
    assert.are.same({ 0, 1 }, evaluate(function(a) return a - 1 end, x))
    assert.are.same({ -0.5, -1 }, evaluate(function(a) return -a / 2 end, x))
  end)

  it("refuses what no layer computes", function()
    local x = dlua.Input { shape = { 2 } }
    assert.has_error(function() return x / x end)
    local ok, message = pcall(function() return x + tensor(1, 2) end)
    assert.is_false(ok)
    assert.matches("takes another one, or a number", message)
  end)
end)
