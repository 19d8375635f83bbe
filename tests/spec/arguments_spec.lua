--- Arguments: one reader for constructors, tensor functions, and functions that declare their fields in Lua.

local dlua = require "dlua"
local message_of = require("support").message_here
local layers = dlua.layers

describe("a constructor", function()
  it("takes positional entries first and named ones after", function()
    local layer = layers.Dense { 5, "relu", use_bias = false }
    assert.equal(5, layer.units)
    assert.equal("activation: relu", tostring(layer.activation))
    assert.is_false(layer.use_bias)
    assert.equal(5, layers.Dense { units = 5 }.units)
  end)

  it("takes whole floats for whole numbers", function()
    assert.equal(8, layers.Dense { 64 / 8 }.units)
  end)

  it("spreads one number over a shape of a fixed length", function()
    assert.same({ 3, 3 }, layers.Conv2D { 4, 3 }.kernel_size)
    assert.same({ 3, 5 }, layers.Conv2D { 4, { 3, 5 } }.kernel_size)
  end)

  it("takes dlua.none where none is allowed", function()
    assert.is_nil(layers.Dense { 3, activation = dlua.none }.activation)
    assert.matches("use_bias", message_of(function() layers.Dense { 3, use_bias = dlua.none } end))
  end)

  it("takes an object, a definition or a name for an object", function()
    for _, activation in ipairs { "relu", dlua.activations.relu, dlua.activations.relu {} } do
      assert.equal("activation: relu", tostring(layers.Dense { 3, activation = activation }.activation))
    end
  end)

  it("gives the same instance back that it was given", function()
    local initializer = dlua.initializers.GlorotUniform { seed = 3 }
    assert.equal(initializer, layers.Dense { 3, kernel_initializer = initializer }.kernel_initializer)
  end)

  it("names an unknown argument and the nearest right one", function()
    local message = message_of(function() layers.Dense { 3, activaton = "relu" } end)
    assert.matches("Dense: unknown argument 'activaton'; did you mean 'activation'%?", message)
  end)

  it("names what is missing", function()
    assert.matches("Dense: argument 'units' is missing", message_of(function() layers.Dense {} end))
  end)

  it("names the argument, what came and what is allowed", function()
    local message = message_of(function() layers.Dense { 0 } end)
    assert.matches("'units' must be a whole number of at least 1 %(got 0%)", message)
    message = message_of(function() layers.Dense { "3" } end)
    assert.matches("'units' must be a whole number of at least 1 %(got '3'%)", message)
    message = message_of(function() layers.Dense { 2.5 } end)
    assert.matches("'units' must be a whole number of at least 1 %(got 2.5%)", message)
    message = message_of(function() layers.Dense { 3, activation = "rleu" } end)
    assert.matches("'activation' must be .*did you mean 'relu'%?", message)
    message = message_of(function() layers.Dropout { 1.5 } end)
    assert.matches("Dropout: argument 'rate' must be a number", message)
  end)

  it("names the argument at a hole, which a misspelt variable makes", function()
    local message = message_of(function() layers.Conv2D { 4, nil, "relu" } end)
    assert.matches("argument 2 %('kernel_size'%) is nil", message)
    assert.matches("dlua.none", message)
  end)

  it("refuses too many positional entries, and an argument that is given twice", function()
    assert.matches("Flatten: got 3 positional arguments, but there are at most",
      message_of(function() layers.Flatten { "channels_last", 2, 3 } end))
    assert.matches("'units' is given twice", message_of(function() layers.Dense { 3, units = 4 } end))
  end)

  it("refuses what is no table", function()
    assert.matches("Dense: takes one table of arguments, Dense { ... }, got 64",
      message_of(function() layers.Dense(64) end))
  end)

  it("names the nearest definition for one that does not exist", function()
    assert.matches("there is no layer 'Dens'; did you mean 'Dense'%?", message_of(function() return layers.Dens end))
  end)

  it("counts positions from 1", function()
    assert.equal(-1, layers.BatchNormalization {}.axis)
    assert.equal(4, layers.BatchNormalization { axis = 4 }.axis)
    assert.matches("positions count from 1", message_of(function() layers.BatchNormalization { axis = 0 } end))
  end)
end)

describe("a tensor function", function()
  local t = dlua.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { dtype = "float32" })

  it("takes its arguments by position or in one table with a name in it", function()
    local expected = { { 6.0 }, { 15.0 } }
    assert.same(expected, t:sum(2, true):totable())
    assert.same(expected, t:sum { dim = 2, keepdim = true }:totable())
    assert.same(expected, t:sum { 2, keepdim = true }:totable())
    assert.same(expected, dlua.sum(t, 2, true):totable())
    assert.same(expected, dlua.sum { t, dim = 2, keepdim = true }:totable())
  end)

  it("takes the rest by name in a table at the end", function()
    local x = dlua.ones(2, 3)
    assert.same({ { 2, 2, 2 } }, x:sum(1, { keepdim = true }):totable())
    assert.same({ { 2, 2, 2 } }, dlua.sum(x, 1, { keepdim = true }):totable())
    assert.same({ 3, 3 }, dlua.sum(x, { dim = 2 }):totable())
    assert.same({ 2, 6 }, dlua.cat({ x, x }, { dim = 2 }).shape)
    assert.matches("sum: 'dim' is given twice: as argument 2", message_of(function() x:sum(1, { dim = 2 }) end))
    assert.matches("did you mean 'keepdim'", message_of(function() x:sum(1, { keepdims = true }) end))
    for _, key in ipairs { -1, 0, 2, math.mininteger, math.maxinteger } do
      local expected = ("sum: the table at the end has an entry [%d]; it holds arguments by name"):format(key)
      local message = message_of(function() x:sum(1, { [key] = 2, keepdim = true }) end)
      assert(message:find(expected, 1, true), message)
    end
    assert.matches("entry %[1%]; it holds arguments by name$", message_of(function()
      dlua.sum(x, 1, true, { [1] = 1, keepdim = true })
    end))
    assert.same({ { 2, 2, 2 } }, dlua.sum(x, { 1, keepdim = true }):totable())
    assert.matches("the argument 2 %('dim'%) is nil", message_of(function() x:sum(nil, { keepdim = true }) end))
  end)

  it("takes a lone table without names as its first argument", function()
    assert.same({ 2, 2, 3 }, dlua.stack { t, t }.shape)
    assert.same({ 3, 2 }, t:reshape({ 3, 2 }).shape)
  end)

  it("takes the numbers of a list one by one if nothing follows the list", function()
    assert.same({ 3, 2 }, t:reshape(3, 2).shape)
    assert.same({ 3, 2 }, t:permute(2, 1).shape)
  end)

  it("names unknown, missing and wrong arguments at the user's line", function()
    assert.matches("sum: unknown argument 'dmi'; did you mean 'dim'%?", message_of(function() t:sum { dmi = 1 } end))
    assert.matches("sum: argument 'dim' must be", message_of(function() t:sum("first") end))
    assert.matches("matmul: b must be a tensor, got nil", message_of(function() t:matmul() end))
    assert.matches("matmul: b must be a tensor, got the string 'x'", message_of(function() t:matmul("x") end))
    assert.matches("got 3 arguments, but there are at most 2", message_of(function() t:matmul(t, t) end))
  end)

  it("refuses nil, which a misspelt variable is", function()
    assert.matches("argument 2 %('dim'%) is nil", message_of(function() t:sum(nil) end))
  end)

  it("refuses dimension 0 and those that are not there", function()
    assert.matches("positions count from 1", message_of(function() t:sum(0) end))
    assert.matches("dimension 3 does not exist", message_of(function() t:sum(3) end))
  end)

  it("takes numbers for tensors where that makes sense", function()
    assert.same({ { 2.0, 3.0, 4.0 }, { 5.0, 6.0, 7.0 } }, (1 + t):totable())
    assert.same({ 0, 0, 1 }, dlua.where(dlua.tensor { false, false, true }, 1, 0):totable())
    assert.matches("reshape: x must be a tensor, got 5", message_of(function() dlua.reshape(5, { 1 }) end))
  end)
end)

describe("fields declared in Lua", function()
  local read = dlua.arguments("Stopper", {
    { name = "monitor", kind = "string", default = "val_loss", help = "what to watch" },
    { name = "patience", kind = "integer", default = 0, min = 0 },
    { name = "mode", kind = "enum", choices = { "auto", "min", "max" }, default = "auto" },
    { name = "baseline", kind = "real", none = true },
    { name = "when", kind = "function", none = true },
    { name = "data", kind = "tensor", none = true },
    { name = "sizes", kind = "ints", default = { 2, 3 }, named = true },
    { name = "activation", kind = "object", family = "activation", default = "relu", named = true },
    { name = "extra", kind = "table", default = {}, named = true },
  })

  it("give defaults", function()
    local options = read {}
    assert.equal("val_loss", options.monitor)
    assert.equal(0, options.patience)
    assert.equal("auto", options.mode)
    assert.is_nil(options.baseline)
    assert.is_nil(options.when)
    assert.same({ 2, 3 }, options.sizes)
    assert.equal("activation: relu", tostring(options.activation))
    assert.same({}, options.extra)
  end)

  it("take positions and names, functions and tensors", function()
    local x = dlua.zeros(2)
    local options = read { "loss", 3, baseline = 0.5, when = print, data = x, extra = { 1 } }
    assert.equal("loss", options.monitor)
    assert.equal(3, options.patience)
    assert.equal(0.5, options.baseline)
    assert.equal(print, options.when)
    assert.equal(x, options.data)
    assert.same({ 1 }, options.extra)
  end)

  it("are checked as the engine's are", function()
    assert.matches("Stopper: unknown argument 'patienc'; did you mean 'patience'%?",
      message_of(function() read { patienc = 1 } end))
    assert.matches("'patience' must be a whole number of at least 0 %(got %-1%)",
      message_of(function() read { patience = -1 } end))
    assert.matches("'mode' must be one of 'auto', 'min', 'max'", message_of(function() read { mode = "mix" } end))
    assert.matches("'when' must be a function, or none %(got 3%)", message_of(function() read { when = 3 } end))
    assert.matches("'data' must be a tensor", message_of(function() read { data = {} } end))
    assert.matches("takes one table of arguments, got 3", message_of(function() read(3) end))
  end)

  it("may be required", function()
    local strict = dlua.arguments("Need", { { name = "x", kind = "tensor", required = true } })
    assert.matches("Need: argument 'x' is missing", message_of(function() strict {} end))
  end)

  it("refuse a declaration that makes no sense", function()
    assert.has_error(function() dlua.arguments("Bad", { { name = "x", kind = "colour" } }) end)
    assert.has_error(function() dlua.arguments("Bad", { { kind = "real" } }) end)
  end)
end)
