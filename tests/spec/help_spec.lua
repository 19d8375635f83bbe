--- Help: every public name has some, and it says what the function really takes.
local dlua = require "dlua"
local support = require "support"

local help = dlua.help
local none = dlua.none
local matches = support.message_of

--- What a call of help prints.
local function printed(...)
  local lines, print_before = {}, print
  _G.print = function(text)
    lines[#lines + 1] = text
  end
  local ok, message = pcall(help, ...)
  _G.print = print_before
  assert(ok, message)
  return table.concat(lines, "\n")
end

--- Names in dlua that are values and no things to explain.
local plain_values = { version = true, none = true }

--- Calls check(path, value) for all functions, definitions and tables that a script can reach from dlua by their names.
local function each_public_name(check)
  local seen = {}
  local function enter(table_, path)
    for name, value in pairs(table_) do
      local kind = type(value)
      if type(name) == "string" and not (table_ == dlua and plain_values[name]) then
        check(path .. name, value)
        local is_callback = kind == "table" and (getmetatable(value) or {}).__name == "dlua.Callback"
        if kind == "table" and not seen[value] and not is_callback then
          seen[value] = true
          enter(value, path .. name .. ".")
        end
      end
    end
  end
  for part in pairs(getmetatable(dlua).parts) do
    assert(dlua[part])
  end
  assert(dlua.Model.fit)
  enter(dlua, "dlua.")
end

--- The names of a Lua function's parameters, without those that hold a table of arguments.
local function parameters(f)
  local names = {}
  for place = 1, debug.getinfo(f, "u").nparams do
    local name = debug.getlocal(f, place)
    if name ~= "self" and name ~= "arguments" and name ~= "options" and name:sub(1, 1) ~= "_" then
      names[#names + 1] = name
    end
  end
  return names
end

describe("help", function()
  it("knows every public name, and says what it is for", function()
    local count = 0
    each_public_name(function(path, value)
      count = count + 1
      local description = dlua.describe(value)
      assert(description, path .. " has no help")
      assert(description.help and #description.help > 0, path .. " does not say what it is for")
      assert(help.text(value):find(description.help, 1, true), path .. ": its help does not show")
    end)
    assert.is_true(count > 400)
  end)

  it("names the arguments of every function, with a purpose for each", function()
    each_public_name(function(path, value)
      local description = dlua.describe(value)
      if type(value) == "function" or type(value) == "userdata" then
        assert(description.arguments or description.fields, path .. " does not name its arguments")
      end
      for line in (description.arguments or ""):gmatch("[^\n]+") do
        assert(line:match("^{?[%a_][%w_]*%.*[ }:]") and line:match(": ."), path .. ": cannot be read: " .. line)
      end
      for _, field in ipairs(description.fields or {}) do
        assert(field.help and #field.help > 0, path .. ": the argument " .. field.name .. " has no help")
      end
      if type(value) == "function" and debug.getinfo(value, "S").what == "Lua" then
        local text = help.text(value)
        for _, name in ipairs(parameters(value)) do
          assert(text:find("%f[%w_]" .. name .. "%f[^%w_]"), path .. " does not name its argument " .. name)
        end
      end
    end)
  end)

  it("would miss a public function without help", function()
    dlua.io.forgotten = function() end
    local ok = pcall(each_public_name, function(_, value)
      assert(dlua.describe(value))
    end)
    dlua.io.forgotten = nil
    assert.is_false(ok)
  end)

  it("finds every method of instances by the function", function()
    local layer, optimizer = dlua.layers.Dense { 1 }, dlua.optimizers.SGD {}
    assert.matches("^layer:build%(shape%)", help.text(layer.build))
    assert.matches("^optimizer:step%(variables%)", help.text(optimizer.step))
    assert.matches("^t:item%(%)", help.text(dlua.ones(1).item))
    assert.matches("^metric:result%(%)", help.text(dlua.metrics.Mean {}.result))
    assert.matches("^fit { x, y = none, batch_size = 32", help.text(dlua.Sequential {}.fit))
  end)

  it("has every property that it names", function()
    local x = dlua.Input { shape = { 2 } }
    local model = dlua.Model { inputs = x, outputs = dlua.layers.Dense { 1 } (x) }
    local instances = {
      Tensor = dlua.ones(2), Layer = dlua.layers.Dense { 1 }, Model = model, Optimizer = dlua.optimizers.SGD {},
    }
    for class, instance in pairs(instances) do
      for _, property in ipairs(dlua.describe(dlua[class]).properties) do
        assert(pcall(function() return instance[property.name] end), class .. "." .. property.name)
        assert.is_true(#property.help > 0)
      end
    end
  end)

  it("takes names, with and without what they belong to, and aliases", function()
    assert.equal(help.text(dlua.layers.Conv2D), help.text "Conv2D")
    assert.equal(help.text(dlua.layers.Conv2D), help.text "layers.Conv2D")
    assert.equal(help.text(dlua.layers.Conv2D), help.text "dlua.layers.Conv2D")
    assert.equal(help.text(dlua.layers.Conv2D), help.text "Convolution2D")
    assert.equal(help.text(dlua.Model.fit), help.text "model:fit")
    assert.equal(help.text(dlua.losses), help.text "losses")
    assert.matches("optimizer:zero_grad.*\n\nt:zero_grad", help.text "zero_grad")
    assert.matches("Tensor%.requires_grad: ", help.text "requires_grad")
  end)

  it("says what is near to a name that there is not", function()
    assert.equal("there is no 'Conv2DD'; did you mean 'Conv2D'? help() lists what there is.", printed "Conv2DD")
    assert.equal("there is no 'evaluat'; did you mean 'evaluate'? help() lists what there is.", printed "evaluat")
    assert.matches("^nothing is known of function", printed(function() end))
    assert.matches("^nothing is known of nil", printed(nil))
  end)

  it("lists what tables hold, and everything when it is asked nothing", function()
    local text = help.text(dlua.callbacks)
    for name in pairs(dlua.callbacks) do
      assert.matches("\n  " .. name .. " +%u", text)
    end
    assert.matches("\n  mnist +%u.*60,000", help.text(dlua.datasets))
    assert.matches("properties:\n.*  shape +the sizes.*methods:\n.*  item +The one element", help.text(dlua.Tensor))
    text = printed()
    for _, name in ipairs { "layers", "callbacks", "datasets", "Tensor", "Model", "matmul", "zeros", "load_model" } do
      assert.is_truthy(text:find(name, 1, true))
    end
  end)

  it("shows the class of a tensor, of a model and of a callback", function()
    assert.equal(help.text(dlua.Tensor), help.text(dlua.ones(2)))
    assert.equal(help.text(dlua.Model), help.text(dlua.Sequential {}))
    assert.equal(help.text(dlua.callbacks.TerminateOnNaN), help.text(dlua.callbacks.TerminateOnNaN {}))
    assert.equal(help.text(dlua.layers.Dense), help.text(dlua.layers.Dense { 1 }))
  end)

  it("shows defaults as a script writes them", function()
    assert.matches("^Adam { learning_rate = 0%.001, beta_1 = 0%.9,", help.text(dlua.optimizers.Adam))
    assert.matches('padding = "valid"', help.text(dlua.layers.Conv2D))
    assert.matches('^dlua%.zeros%(sizes%.%.%., {dtype = "float32", requires_grad = false}%)', help.text(dlua.zeros))
  end)

  it("shows arguments in the order in which they are taken", function()
    assert.matches('^cross_entropy%(logits, labels, ignore_class = none, label_smoothing = 0%.0, ' ..
      '{reduction = "mean"}%)', help.text(dlua.cross_entropy))
    assert.matches('^mse_loss%(prediction, target, {reduction = "mean"}%)', help.text(dlua.mse_loss))
    assert.matches("^gather%(x, dim, index%)", help.text(dlua.gather))
  end)

  it("names the options that functions of the binding read, as their errors do", function()
    local model, layer = dlua.Sequential {}, dlua.layers.Dense { 1 }
    local calls = {
      [dlua.zeros] = function(options) dlua.zeros(2, options) end,
      [dlua.Tensor.backward] = function(options) dlua.ones(1):backward(options) end,
      [dlua.gradients] = function(options) dlua.gradients(dlua.ones(1), {}, options) end,
      [model.compile] = function(options) model:compile(options) end,
      [model.load_weights] = function(options) model:load_weights("nowhere", options) end,
      [dlua.Sequential] = dlua.Sequential,
      [dlua.Model] = dlua.Model,
      [dlua.layers.define] = dlua.layers.define,
      [layer.add_weight] = function(options)
        dlua.layers.define {
          name = "Nothing", call = function(_, x) return x end, build = function(self) self:add_weight(options) end,
        } {}:build { none, 1 }
      end,
    }
    for f, call in pairs(calls) do
      local message, count = matches(call, { nonsense = 1 }), 0
      assert.matches("'nonsense'", message)
      for name in dlua.describe(f).arguments:gmatch("{([%w_]+)[ }]") do
        count = count + 1
        assert(message:find("%f[%w_]" .. name .. "%f[^%w_]"), message .. ": does not take " .. name)
      end
      assert.is_true(count > 0)
    end
  end)

  it("shows the arguments of models that their constructors take, and no others", function()
    for _, class in ipairs { dlua.Sequential, dlua.layers.Sequential } do
      local text = help.text(class)
      assert.matches("Sequential { layers%.%.%., name = none }", text)
      assert.is_nil(text:find("input_shape", 1, true))
    end
    assert.matches("^dlua%.Model { inputs, outputs, name = none }", help.text(dlua.Model))
  end)

  it("shows what scripts declare: functions by their readers, layers by their definitions", function()
    local read = dlua.arguments("greet", {
      { name = "who", kind = "string", default = "you", help = "whom to greet" },
      { name = "loudly", kind = "function", none = true, named = true, help = "is told the greeting" },
    }, "Says hello.")
    local function greet(arguments)
      return read(arguments)
    end
    assert.is_nil(help.text(greet))
    assert.equal(greet, dlua.set_help(greet, read))
    assert.equal('greet { who = "you", loudly = none }\nSays hello.\narguments:\n' ..
      "  who     whom to greet (a string)\n  loudly  is told the greeting (a function, or none)", help.text(greet))
    assert.equal(help.text(read), help.text(greet))
    assert.matches("set_help: a function, a table or an object has help, not 3", matches(dlua.set_help, 3, {}))
    assert.matches("set_help: the description is a table", matches(dlua.set_help, greet, "Says hello."))
  end)

  it("refuses arguments that help could not show", function()
    local function greet() end
    local function noted(arguments)
      return { of = "", name = "greet", help = "Says hello.", arguments = arguments }
    end
    assert.matches("set_help: each line of arguments must be 'name: what it is for', got the string 'who'",
      matches(dlua.set_help, greet, noted "who"))
    assert.matches("got the string 'who:whom'", matches(dlua.set_help, greet, noted "who:whom\nhow: how loud"))
    assert.matches("got the string 'loudly'", matches(dlua.set_help, greet, noted "who: whom\nloudly\n"))
    assert.matches("set_help: arguments must be a string", matches(dlua.set_help, greet, noted(3)))
    dlua.set_help(greet, noted "who: whom to greet\n\nhow = 'softly': how loud\n")
    assert.matches("who%s+whom to greet\n%s+how%s+how loud", help.text(greet))
    dlua.set_help(greet, noted "")
    assert.matches("^greet", help.text(greet))
  end)
end)

describe("a topic of help", function()
  it("has its text for each of its names, in any case, and is listed", function()
    assert.matches("^indexing: .*both ends of a range", help.text "indexing")
    assert.equal(help.text "indexing", help.text "Slicing")
    assert.matches("^strict: require", help.text "strict")
    assert.matches("^none: dlua.none stands", help.text "none")
    assert.matches("\n  indexing, strict, callback, none, extending$", printed())
    assert.matches("did you mean 'slicing'", printed "slicng")
  end)

  it("shows indexing that works", function()
    local t = dlua.arange(20):reshape(4, 5)
    local scope = { t = t, mask = t:gt(7), index = dlua.tensor { 1, 3 }, dlua = dlua }
    local shapes = {
      ["t[2]"] = { 5 }, ["t[{2, 3}]"] = {}, ["t[{2, {3, 5}}]"] = { 3 }, ["t[{{}, -1}]"] = { 4 },
      ["t[{{1, -1, 2}}]"] = { 2, 5 }, ["t[mask]"] = { 12 }, ["t[index]"] = { 2, 5 },
    }
    local count = 0
    for code in help.text("indexing"):gmatch("\n  (%S.-)  ") do
      if code:find("=", 1, true) then
        assert(load(code, code, "t", scope))()
        assert.same({ 0, 0, 0 }, t[{ 2, { 3, 5 } }]:totable())
      else
        assert.same(shapes[code], assert(load("return " .. code, code, "t", scope))().shape)
      end
      count = count + 1
    end
    assert.equal(8, count)
  end)

  it("names the events of a callback, all that fit tells", function()
    local heard, callback = {}, {}
    for event in help.text("on_epoch_end"):gmatch("(on_[%w_]+)%(self") do
      callback[event] = function() heard[event] = true end
    end
    local model = dlua.Sequential { dlua.layers.Dense { 1 } }
    model:compile { loss = "mse" }
    local x, y = dlua.ones(4, 2), dlua.ones(4, 1)
    model:fit { x, y, validation_data = { x, y }, verbose = 0, callbacks = { callback } }
    local count = 0
    for event in help.text("callback"):gmatch("(on_[%w_]+)%(self") do -- fit has added model and params
      assert(heard[event], event)
      assert.equal(help.text "callback", help.text(event))
      count = count + 1
    end
    assert.equal(8, count)
  end)

  it("names functions for libraries apart from those that scripts use", function()
    local listed = printed():match("and the functions\n(.*)\nThere is help on")
    for name in help.text("extending"):match("line%.\n(.*)"):gmatch("[%w_]+") do
      assert.is_function(dlua[name])
      assert(not listed:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
    end
    assert.matches("dlua%.raise%(message%)", help.text "raise")
    assert.matches("%f[%w_]matmul%f[^%w_]", listed)
  end)
end)

describe("what tensors and layers have besides", function()
  it("tells tensors from other values", function()
    assert.is_true(dlua.is_tensor(dlua.ones(2)))
    for _, value in ipairs { 1, "x", {}, none, dlua.layers.Dense, print } do
      assert.is_false(dlua.is_tensor(value))
    end
    assert.is_false(dlua.is_tensor(nil))
  end)

  it("transposes and multiplies matrices", function()
    local a = dlua.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, a:t():totable())
    assert.same({ 1, 2 }, dlua.tensor({ 1, 2 }):t():totable())
    assert.same({ { 14, 32 }, { 32, 77 } }, a:float():mm(a:t():float()):totable())
    assert.matches("t: is for at most two dimensions, but the tensor has 3", matches(function()
      dlua.ones(1, 2, 3):t()
    end))
    assert.matches("mm: takes matrices, but other has 1 dimensions", matches(function()
      dlua.ones(2, 2):mm(dlua.ones(2))
    end))
  end)

  it("cuts views out of a dimension", function()
    local a = dlua.arange(10):reshape(2, 5)
    assert.same({ { 1, 2 }, { 6, 7 } }, a:narrow(2, 2, 2):totable())
    assert.same({ { 3, 4 }, { 8, 9 } }, a:narrow(-1, -2, 2):totable())
    a:narrow(1, 2, 1):fill_(7)
    assert.same({ { 0, 1, 2, 3, 4 }, { 7, 7, 7, 7, 7 } }, a:totable())
    assert.matches("narrow: start must be a position from 1 to 5", matches(function() a:narrow(2, 0, 1) end))
    assert.matches("narrow: length must be a whole number from 0 to 2", matches(function() a:narrow(2, 4, 3) end))
  end)

  it("splits a dimension into parts, the last of them smaller", function()
    local parts = dlua.arange(5):split(2)
    assert.equal(3, #parts)
    assert.same({ { 0, 1 }, { 2, 3 }, { 4 } }, { parts[1]:totable(), parts[2]:totable(), parts[3]:totable() })
    assert.same({ 2, 1 }, dlua.ones(2, 3):split(2, 2)[2].shape)
    assert.matches("split: size must be a whole number of at least 1", matches(function() dlua.ones(2):split(0) end))
  end)

  it("passes gradients through its views", function()
    local x = dlua.arange(4, { dtype = "float32" }):requires_grad_()
    local parts = x:split(3);
    (parts[1]:sum() * 2 + parts[2]:sum() * 3 + x:narrow(1, 1, 1):sum()):backward()
    assert.same({ 3, 2, 2, 3 }, x.grad:totable())
  end)

  it("reads and writes the weights of one layer, all or none", function()
    local layer = dlua.layers.Dense { 2 }
    layer:build { none, 3 }
    local before = layer:get_weights()
    assert.same({ 3, 2 }, before[1].shape)
    assert.is_false(before[1].requires_grad)
    layer:set_weights { dlua.ones(3, 2), dlua.ones(2) }
    assert.same({ { 5, 5 } }, layer(dlua.tensor { { 1.0, 1.0, 2.0 } }):totable())
    assert.matches("set_weights: dense[_%d]* has 2 weights, the list 1", matches(function()
      layer:set_weights { dlua.ones(3, 2) }
    end))
    assert.matches("set_weights: bias has the shape {2}, but value 2 the shape {3}", matches(function()
      layer:set_weights { dlua.zeros(3, 2), dlua.ones(3) }
    end))
    assert.equal(6, layer.kernel:sum():item())
    layer:set_weights(before)
    assert.is_true(support.same_bits(before[1], layer.kernel))
    assert.is_true(layer.kernel.requires_grad)
    assert.matches("has 0 weights before it is built", matches(function()
      dlua.layers.Dense { 2 }:set_weights { dlua.ones(1) }
    end))
  end)

  it("gives the symbolic inputs and outputs of a graph back", function()
    local a, b = dlua.Input { shape = { 2 } }, dlua.Input { shape = { 3 } }
    local y = dlua.layers.Dense { 1 } (a)
    local model = dlua.Model { inputs = { a, b }, outputs = { y, b } }
    assert.same({ 2, 2 }, { #model.inputs, #model.outputs })
    assert.is_true(rawequal(b, model.inputs[2]) and rawequal(y, model.outputs[1]))
    local wider = dlua.Model { inputs = model.inputs, outputs = dlua.layers.Dense { 4 } (model.outputs[1]) }
    assert.same({ 5, 4 }, wider:predict { { dlua.ones(5, 2), dlua.ones(5, 3) } }.shape)
  end)
end)
