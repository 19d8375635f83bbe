--- Files of tensors and models, through Lua.

local dlua = require "dlua"
local message_of = require("support").message_here
local layers = dlua.layers

local function with_file(ending, test)
  local base = os.tmpname()
  local name = base .. ending
  test(name)
  os.remove(name)
  os.remove(base)
end

describe("dlua.io", function()
  it("saves tensors and texts by name and loads them again", function()
    with_file(".safetensors", function(name)
      local tensors = { a = dlua.tensor { { 1, 2 }, { 3, 4 } }, b = dlua.tensor { 1.5 }, c = dlua.tensor { true } }
      dlua.io.save_safetensors(name, tensors, { author = "someone" })
      local loaded, texts = dlua.io.load_safetensors(name)
      for key, tensor in pairs(tensors) do
        assert.same(tensor:totable(), loaded[key]:totable())
        assert.equal(tensor.dtype, loaded[key].dtype)
      end
      assert.equal("someone", texts.author)
    end)
  end)

  it("refuses what is no tensor, and files that are not there", function()
    assert.matches("must be a tensor", message_of(dlua.io.save_safetensors, "/tmp/none", { a = 3 }))
    assert.matches("/nowhere/x", message_of(dlua.io.load_safetensors, "/nowhere/x"))
    assert.matches("takes the path of a file, got 5", message_of(dlua.io.load_safetensors, 5))
  end)

  it("replaces files whole and tells their SHA-256", function()
    with_file(".txt", function(name)
      dlua.io.write_file(name, "abc")
      assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", dlua.io.sha256(name))
    end)
  end)

  it("reads idx from a file's bytes", function()
    local labels = dlua.io.parse_idx(dlua.resource("datasets/digits/labels-idx1-ubyte.gz"))
    assert.same({ 1797 }, labels.shape)
    assert.equal("uint8", labels.dtype)
    assert.equal(9, labels:max():item())
  end)
end)

describe("dlua.data", function()
  it("shuffles by seed and epoch alone, and gathers rows", function()
    local order = dlua.data.shuffled_order(10, 3, 1)
    assert.same(order:totable(), dlua.data.shuffled_order(10, 3, 1):totable())
    assert.not_same(order:totable(), dlua.data.shuffled_order(10, 3, 2):totable())
    local x = dlua.arange(1, 11):reshape(10, 1)
    local batch = dlua.data.gather_batch(x, order, 3, 2)
    assert.same({ order[3]:item(), order[4]:item() }, batch:reshape(2):totable())
  end)
end)

describe("a model", function()
  it("is saved and loaded with its weights and what is kept with it", function()
    with_file(".safetensors", function(name)
      local model = dlua.Sequential { layers.Dense { 3, activation = "relu", input_shape = { 2 } }, layers.Dense { 1 } }
      model:compile { optimizer = "adam", loss = "mse" }
      local x = dlua.ones(4, 2)
      model:train_batch(x, dlua.zeros(4, 1))
      model:save(name, { epoch = 7 })
      local loaded, extra = dlua.load_model(name)
      assert.equal(7, extra.epoch)
      assert.same(model:predict_batch(x):totable(), loaded:predict_batch(x):totable())
      assert.equal(1, loaded.optimizer.iterations)
      loaded:train_batch(x, dlua.zeros(4, 1))
      model:train_batch(x, dlua.zeros(4, 1))
      assert.same(model:predict_batch(x):totable(), loaded:predict_batch(x):totable())
    end)
  end)

  it("is saved with layers written in Lua, if their definitions are there", function()
    local Double = layers.define {
      name = "Double",
      fields = { { name = "times", kind = "integer", default = 2, help = "how often" } },
      build = function(self) self.inner = layers.Dense { 2, kernel_initializer = "ones" } end,
      call = function(self, x) return self.inner(x) * self.times end,
    }
    with_file(".safetensors", function(name)
      local model = dlua.Sequential { Double { 3 } }
      local x = dlua.ones(1, 2)
      local y = model(x):totable()
      assert.same({ { 6.0, 6.0 } }, y)
      model:save(name)
      local loaded = dlua.load_model(name)
      collectgarbage()
      assert.same(y, loaded(x):totable())
      assert.equal(3, loaded.layers[1].times)
    end)
  end)

  local function two_layers(units, options)
    options = options or {}
    return dlua.Sequential {
      layers.Dense { 3, input_shape = { 3 }, name = options.first },
      layers.BatchNormalization {},
      layers.Dense { units, name = options.second },
    }
  end

  it("exchanges weights with a model of the same layers, by their order", function()
    with_file(".safetensors", function(name)
      local a, b = two_layers(2), two_layers(2)
      assert.not_equal(a.layers[1].name, b.layers[1].name)
      dlua.no_grad(function() a.layers[2].beta:fill_(3) end)
      a:save_weights(name)
      b:load_weights(name)
      assert.is_true(require("support").same_weights(a, b))
      a:save(name)
      dlua.no_grad(function() b.weights[1]:fill_(0) end)
      b:load_weights(name)
      assert.is_true(require("support").same_weights(a, b))
    end)
  end)

  it("refuses the weights of other layers and names both shapes", function()
    with_file(".safetensors", function(name)
      local a = two_layers(2, { first = "first", second = "second" })
      a:save_weights(name)
      local wide = two_layers(4, { second = "wide" })
      local before = wide.weights[1]:totable()
      assert.matches("'wide/kernel' must be {3, 4}, and 'second/kernel' of the file is float32 {3, 2}",
        message_of(function() wide:load_weights(name) end), 1, true)
      assert.same(before, wide.weights[1]:totable())
      local short = dlua.Sequential { layers.Dense { 3, input_shape = { 3 } } }
      assert.matches("the file has 8 weights and the model 2", message_of(function() short:load_weights(name) end))
      assert.matches("unknown option 'byname'",
        message_of(function() wide:load_weights(name, { byname = true }) end))
      wide:load_weights(name, { skip_mismatch = true })
      assert.same(a.weights[1]:totable(), wide.weights[1]:totable())
    end)
  end)

  it("takes weights by name for a model with another head", function()
    with_file(".safetensors", function(name)
      local a = two_layers(2, { first = "first", second = "second" })
      a:save_weights(name)
      local b = dlua.Sequential { layers.Dense { 3, input_shape = { 3 }, name = "first" }, layers.Dense { 7 } }
      b:load_weights(name, { by_name = true })
      assert.same(a.weights[1]:totable(), b.weights[1]:totable())
      local c = dlua.Sequential { layers.Dense { 4, input_shape = { 3 }, name = "first" } }
      assert.matches("'first/kernel' must be {3, 4}",
        message_of(function() c:load_weights(name, { by_name = true }) end))
    end)
  end)

  it("is made anew from its configuration", function()
    local model = dlua.Sequential { layers.Dense { 2, input_shape = { 3 } } }
    local again = dlua.model_from_config(model:get_config())
    assert.equal(8, again:count_params())
  end)

  it("refuses a file that is no model", function()
    with_file(".safetensors", function(name)
      dlua.io.write_file(name, "nonsense")
      message_of(dlua.load_model, name)
    end)
    message_of(dlua.load_model, "/nowhere/model.safetensors")
  end)
end)
