--- Layers, losses, metrics, optimizers and models as objects of Lua; layers written in Lua.

local dlua = require "dlua"
local message_of = require("support").message_here
local layers = dlua.layers

describe("a layer", function()
  it("is called on tensors and builds itself", function()
    local dense = layers.Dense { 4, kernel_initializer = "ones" }
    assert.is_false(dense.built)
    assert.matches("when it is built", message_of(function() return dense.kernel end))
    local y = dense(dlua.ones(2, 3))
    assert.same({ { 3.0, 3.0, 3.0, 3.0 }, { 3.0, 3.0, 3.0, 3.0 } }, y:totable())
    assert.is_true(dense.built)
    assert.same({ 3, 4 }, dense.kernel.shape)
    assert.same({ "kernel", "bias" }, { dense.weight_names[1], dense.weight_names[2] })
    assert.equal(16, dense:count_params())
  end)

  it("is built for a shape and tells its output's", function()
    local dense = layers.Dense { 4 }
    dense:build { dlua.none, 3 }
    assert.same({ 3, 4 }, dense.kernel.shape)
    local shape = dense:compute_output_shape { dlua.none, 3 }
    assert.equal(dlua.none, shape[1])
    assert.equal(4, shape[2])
  end)

  it("knows training from inference", function()
    local dropout = layers.Dropout { 0.5 }
    local x = dlua.ones(1000)
    assert.equal(1000, dropout(x):sum():item())
    assert.is_true(dropout(x, { training = true }):eq(0):sum():item() > 100)
    assert.matches("a call takes no 'trainin'; it takes training",
      message_of(function() dropout(x, { trainin = true }) end))
  end)

  it("freezes its weights", function()
    local dense = layers.Dense { 2 }
    dense:build { 1, 2 }
    dense.trainable = false
    assert.equal(0, #dense.trainable_weights)
    assert.equal(2, #dense.non_trainable_weights)
    assert.is_false(dense.kernel.requires_grad)
    assert.matches("'units' cannot be set", message_of(function() dense.units = 3 end))
  end)

  it("names itself and both shapes in an error", function()
    local dense = layers.Dense { 2, name = "head" }
    dense:build { dlua.none, 3 }
    local message = message_of(function() dense(dlua.ones(2, 5)) end)
    assert.matches("head", message)
    assert.matches("{2, 5}", message)
    assert.matches("3}", message)
  end)

  it("refuses inputs that are none", function()
    local dense = layers.Dense { 2 }
    assert.matches("input 1 must be a tensor or a symbolic input, got 5", message_of(function() dense(5) end))
  end)
end)

describe("a graph of layers", function()
  it("is made of symbolic inputs, and computes what its layers do", function()
    local x = dlua.Input { shape = { 3 } }
    local h = layers.Dense { 4, kernel_initializer = "ones" } (x)
    assert.equal("symbolic float32 {*, 4}", tostring(h))
    assert.equal(dlua.none, h.shape[1])
    local y = layers.Dense { 2, kernel_initializer = "ones" } (h)
    local model = dlua.Model { inputs = x, outputs = y, name = "small" }
    assert.equal("small", model.name)
    assert.same({ { 12.0, 12.0 } }, model:predict_batch(dlua.ones(1, 3)):totable())
    assert.same({ { 12.0, 12.0 } }, model(dlua.ones(1, 3)):totable())
  end)

  it("has several inputs and outputs, and shared layers", function()
    local a, b = dlua.Input { shape = { 2 } }, dlua.Input { shape = { 2 } }
    local shared = layers.Dense { 3, kernel_initializer = "ones" }
    local model = dlua.Model { inputs = { a, b }, outputs = { shared(a), shared(b) } }
    local y, z = model:predict_batch { dlua.ones(1, 2), dlua.zeros(1, 2) }
    assert.same({ { 2.0, 2.0, 2.0 } }, y:totable())
    assert.same({ { 0.0, 0.0, 0.0 } }, z:totable())
    assert.equal(9, model:count_params())
  end)

  it("refuses what is not symbolic", function()
    assert.matches("inputs must be symbolic", message_of(function() dlua.Model { inputs = 3, outputs = 4 } end))
    assert.matches("unknown argument 'input'", message_of(function() dlua.Model { input = 3 } end))
  end)
end)

describe("a Sequential", function()
  it("stacks layers, from a list or one after another", function()
    local model = dlua.Sequential { layers.Dense { 4, input_shape = { 3 } }, name = "stack" }
    model:add(layers.Dense { 2 })
    assert.equal(2, #model.layers)
    assert.equal("stack", model.name)
    assert.equal(26, model:count_params())
    assert.same({ 5, 2 }, model(dlua.ones(5, 3)).shape)
    assert.equal(model.layers[2], model:get_layer(2))
    assert.equal(model.layers[1], model:get_layer(model.layers[1].name))
    assert.matches("no layer named 'nothing'", message_of(function() model:get_layer "nothing" end))
  end)

  it("takes an Input first", function()
    local model = dlua.Sequential { dlua.Input { shape = { 3 } }, layers.Dense { 2 } }
    assert.equal(8, model:count_params())
  end)

  it("names a layer that is nil or none", function()
    assert.matches("layer 2 is nil", message_of(function()
      dlua.Sequential { layers.Flatten {}, nil, layers.Flatten {} }
    end))
    assert.matches("layer 1 must be a layer, got the string 'x'", message_of(function() dlua.Sequential { "x" } end))
    assert.matches("the layer Dense without its arguments", message_of(function() dlua.Sequential { layers.Dense } end))
  end)

  it("keeps values that Lua code hangs on it", function()
    local model = dlua.Sequential { layers.Flatten {} }
    model.stop_training = true
    assert.is_true(model.stop_training)
  end)

  it("is collected with closures that hold it", function()
    local kept = setmetatable({}, { __mode = "k" })
    do
      local model = dlua.Sequential { layers.Dense { 2, input_shape = { 2 } } }
      model.on_end = function() return model end
      kept[model] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
  end)
end)

describe("training steps", function()
  it("make the loss smaller, and the logs tell it", function()
    dlua.manual_seed(7)
    local x = dlua.randn(64, 4)
    local y = x[{ {}, 1 }]:gt(0):long() + 1
    local model = dlua.Sequential {
      layers.Dense { 8, activation = "relu" },
      layers.Dense { 2, activation = "softmax" },
    }
    model:compile { optimizer = dlua.optimizers.Adam { 0.01 }, loss = "sparse_categorical_crossentropy",
      metrics = { "accuracy" } }
    model:train_batch(x, y)
    local first = model:logs()
    assert.same({ "loss", "accuracy" }, { first[1], first[2] })
    for _ = 1, 200 do
      model:reset_metrics()
      model:train_batch(x, y)
    end
    local last = model:logs()
    assert.is_true(last.loss < first.loss / 2)
    assert.is_true(last.accuracy > 0.95)
    assert.equal(201, model.optimizer.iterations)
    model.optimizer.learning_rate = 0.5
    assert.equal(0.5, model.optimizer.learning_rate)
    model:reset_metrics()
    model:test_batch(x, y)
    assert.is_true(model:logs().accuracy > 0.95)
  end)

  it("take weights of samples, and lists for several outputs", function()
    local a = dlua.Input { shape = { 2 } }
    local model = dlua.Model { inputs = a, outputs = { layers.Dense { 1, name = "left" } (a),
      layers.Dense { 1, name = "right" } (a) } }
    model:compile { optimizer = "sgd", loss = { left = "mse", right = "mae" }, loss_weights = { 1, 0.5 },
      metrics = { left = "mae" } }
    local x, y = dlua.ones(4, 2), dlua.zeros(4, 1)
    model:train_batch(x, { y, y }, { dlua.ones(4), dlua.zeros(4) })
    assert.equal("loss", model:logs()[1])
    assert.matches("has 2 outputs, but y holds 1", message_of(function() model:train_batch(x, y) end))
    assert.matches("which the model has not", message_of(function() model:compile { loss = { middle = "mse" } } end))
  end)

  it("refuse unknown names with the nearest", function()
    local model = dlua.Sequential { layers.Dense { 1, input_shape = { 2 } } }
    assert.matches("unknown argument 'los'", message_of(function() model:compile { los = "mse" } end))
    assert.matches("compile: optimizer: unknown optimizer 'adma'; did you mean 'adam'",
      message_of(function() model:compile { optimizer = "adma", loss = "mse" } end):lower())
    message_of(function() model:train_batch(dlua.ones(1, 2), dlua.ones(1, 1)) end)
  end)
end)

describe("objects", function()
  it("are called: activations, losses, initializers, regularizers", function()
    local x = dlua.tensor { -1.0, 2.0 }
    assert.same({ 0.0, 2.0 }, dlua.activations.relu(x):totable())
    assert.same({ -0.5, 2.0 }, dlua.activations.leaky_relu { negative_slope = 0.5 } (x):totable())
    assert.equal(2.5, dlua.losses.MeanSquaredError {} (dlua.zeros(1, 2), x:reshape(1, 2)):item())
    assert.same({ { 3.0, 3.0 } }, dlua.initializers.Constant { 3 } ({ 1, 2 }):totable())
    assert.near(0.5, dlua.regularizers.L2 { 0.1 } (x):item(), 1e-6)
  end)

  it("sum up metrics", function()
    local metric = dlua.metrics.MeanSquaredError {}
    metric:update_state(dlua.zeros(2, 1), dlua.ones(2, 1))
    assert.equal(1, metric:result())
    metric:reset_state()
    metric:update_state(dlua.zeros(2, 1), dlua.zeros(2, 1))
    assert.equal(0, metric:result())
  end)

  it("give their configuration", function()
    local config = layers.Dense { 3, name = "d" }:get_config()
    assert.equal("Dense", config.class_name)
    assert.equal(3, config.config.units)
    assert.equal("d", config.config.name)
  end)

  it("give positions in their configuration as they take them, at every depth", function()
    local norm = layers.LayerNormalization { axis = { 2, -1 } }
    assert.same({ 2, -1 }, norm:get_config().config.axis)
    local each = layers.TimeDistributed { norm }:get_config().config
    assert.same({ 2, -1 }, each.layer.config.axis)
    local model = dlua.Sequential { layers.TimeDistributed(each), layers.Dense {
      1, kernel_constraint = { class_name = "MaxNorm", config = { max_value = 2, axis = 2 } },
    } }
    local x = dlua.Input { shape = { 3, 4 } }
    local graph = dlua.Model { inputs = x, outputs = layers.Softmax { axis = 2 } (x) }
    for place, config in ipairs { graph:get_config(), model:get_config() } do
      local list = config.config.layers
      assert.same(place == 1 and 2 or { 2, -1 }, place == 1 and list[2].config.axis or list[1].config.layer.config.axis)
    end
    local inside = dlua.model_from_config(model:get_config()).layers
    assert.same({ 2, -1 }, inside[1].layer.axis)
    assert.same({ 2 }, inside[2].kernel_constraint.axis)
    assert.same({ 2 }, inside[2]:get_config().config.kernel_constraint.config.axis)
    each.layer.config.axis = 0
    assert.matches("LayerNormalization: axis is 0, but positions count from 1", message_of(function()
      layers.TimeDistributed(each)
    end))
    assert.matches("axis is 0, but positions count from 1", message_of(function()
      model:compile { loss = { class_name = "CosineSimilarity", config = { axis = 0 } } }
    end))
  end)
end)

describe("a layer written in Lua", function()
  local Scale = layers.define {
    name = "Scale",
    help = "Multiplies by a weight for each feature and by a factor.",
    fields = { { name = "factor", kind = "real", default = 1, help = "what x is multiplied by" } },
    build = function(self, shape)
      self:add_weight { name = "gain", shape = { shape[#shape] }, initializer = "ones" }
    end,
    call = function(self, x)
      return x * self.gain * self.factor
    end,
  }

  it("is constructed, called and described as any other", function()
    local layer = Scale { 3 }
    assert.equal(3.0, layer.factor)
    assert.same({ { 3.0, 3.0 } }, layer(dlua.ones(1, 2)):totable())
    assert.same({ 2 }, layer.gain.shape)
    assert.equal(Scale, layers.Scale)
    assert.matches("what x is multiplied by", dlua.help.text(Scale))
    assert.matches("Scale: unknown argument 'facto'; did you mean 'factor'",
      message_of(function() Scale { facto = 2 } end))
  end)

  it("trains in a Sequential and in a graph", function()
    dlua.manual_seed(3)
    local x = dlua.randn(32, 2)
    local target = x * 2
    local input = dlua.Input { shape = { 2 } }
    local graph = dlua.Model { inputs = input, outputs = Scale {} (input) }
    for _, model in ipairs { dlua.Sequential { Scale {} }, graph } do
      model:compile { optimizer = dlua.optimizers.SGD { 0.5 }, loss = "mse" }
      for _ = 1, 100 do
        collectgarbage("step")
        model:train_batch(x, target)
      end
      assert.near(2, model.layers[#model.layers].gain[1]:item(), 1e-2)
    end
  end)

  it("holds layers, whose weights are the model's, and passes training on", function()
    local Block = layers.define {
      name = "Block",
      build = function(self)
        self.inner = layers.Dense { 3 }
        self.drop = { layers.Dropout { 0.5 } }
      end,
      call = function(self, x)
        return self.drop[1](self.inner(x))
      end,
    }
    local model = dlua.Sequential { Block { name = "block" }, layers.Dense { 1 } }
    local y = model(dlua.ones(1, 2))
    assert.same({ 1, 1 }, y.shape)
    assert.equal(4, #model.weights)
    assert.equal("block/inner/kernel", model.weight_names[1])
    assert.equal("drop_1", model.layers[1].drop[1].name)
    local block = model.layers[1]
    local zeros = block(dlua.ones(200, 2), { training = true }):eq(0):sum():item()
    assert.is_true(zeros > 100)
    assert.equal(0, block(dlua.ones(200, 2)):eq(0):sum():item())
  end)

  it("takes several inputs and returns several outputs", function()
    local Pair = layers.define {
      name = "Pair",
      call = function(_, inputs) return inputs[1] + inputs[2], inputs[1] - inputs[2] end,
    }
    local sum, difference = Pair {} (dlua.ones(1, 2), dlua.ones(1, 2))
    assert.same({ { 2.0, 2.0 } }, sum:totable())
    assert.same({ { 0.0, 0.0 } }, difference:totable())
    local a, b = dlua.Input { shape = { 2 } }, dlua.Input { shape = { 2 } }
    local s = Pair {} { a, b }
    assert.equal("symbolic float32 {*, 2}", tostring(s))
  end)

  it("says its output's shape, or has it found by a call on zeros", function()
    local Halve = layers.define { name = "Halve", call = function(_, x) return x[{ {}, { 1, 2 } }] end }
    assert.equal(2, Halve {} (dlua.Input { shape = { 4 } }).shape[2])
    local Said = layers.define {
      name = "Said",
      call = function(_, x) return x[{ {}, { 1, 2 } }] end,
      compute_output_shape = function(_, shape) return { shape[1], 2 } end,
    }
    assert.equal(2, Said {} (dlua.Input { shape = { 4 } }).shape[2])
  end)

  it("is tried on zeros once for inputs of a shape, until a field of a layer is set", function()
    local calls = 0
    local Take = layers.define {
      name = "Take",
      build = function(self) self.count = 2 end,
      call = function(self, x)
        calls = calls + 1
        self.last_rows = x:size(1) -- set in a call: changes nothing
        return x[{ {}, { 1, self.count } }]
      end,
    }
    local Around = layers.define {
      name = "Around",
      build = function(self) self.inner = Take {} end,
      call = function(self, x) return self.inner(x) end,
    }
    local layer, around = Take {}, Around {}
    local model = dlua.Sequential { layer, around }
    model(dlua.ones(8, 4))
    calls = 0
    assert.same({ 80, 2 }, model:predict({ dlua.ones(80, 4), batch_size = 8 }).shape)
    assert.equal(20, calls)
    calls = 0
    model:predict { dlua.ones(13, 4), batch_size = 8 } -- 8 and 5; the new shape is tried on both, and on `around`
    assert.equal(4 + 3, calls)
    calls = 0
    model:predict { dlua.ones(13, 4), batch_size = 8 }
    assert.equal(4, calls)

    assert.same({ dlua.none, 2 }, around:compute_output_shape { dlua.none, 4 })
    around.inner.count = 1
    assert.same({ dlua.none, 1 }, around:compute_output_shape { dlua.none, 4 })
    assert.same({ 3, 1 }, model(dlua.ones(3, 4)).shape)
  end)

  it("turns its errors into errors of the model, with the layer's path and Lua's own place", function()
    local Bad = layers.define {
      name = "Bad",
      call = function() error("it broke") end,
      compute_output_shape = function(_, shape) return shape end,
    }
    local message = message_of(function() dlua.Sequential { Bad { name = "bad" } } (dlua.ones(1, 2)) end)
    assert.matches("^sequential[_%d]*/bad: it broke$", message)
    local Wrong = layers.define { name = "Wrong", call = function() return 5 end,
      compute_output_shape = function(_, shape) return shape end }
    assert.matches("call must return a tensor, got 5", message_of(function() Wrong {} (dlua.ones(1)) end))
  end)

  it("is collected with what it holds, though its closures hold the model", function()
    local kept = setmetatable({}, { __mode = "k" })
    do
      local layer = Scale {}
      local model = dlua.Sequential { layer }
      layer.closure = function() return model end
      kept[model], kept[layer] = true, true
      model(dlua.ones(1, 2))
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
  end)

  it("is refused when its definition makes no sense", function()
    assert.matches("call must be a function", message_of(function() layers.define { name = "X" } end))
    assert.matches("there is a layer 'Dense' already",
      message_of(function() layers.define { name = "Dense", call = print } end))
    assert.matches("unknown argument 'cal'; did you mean 'call'%?",
      message_of(function() layers.define { name = "X", cal = print } end))
    assert.matches("define: got 1 positional", message_of(function() layers.define { "X" } end))
  end)

  it("written in Lua gives as many outputs as its shapes say, and cannot call its own model", function()
    local Many = layers.define {
      name = "Many",
      call = function(_, x) return x, x, x, x, x, x, x, x end,
      compute_output_shape = function(_, shape) return shape end,
    }
    local model = dlua.Sequential { Many {}, layers.Dense { 2 } }
    assert.matches("many: a call gave 8 outputs, and 1 are known", message_of(function() model(dlua.ones(1, 3)) end))

    local whole
    local Circle = layers.define {
      name = "Circle",
      call = function(_, x) return whole and whole(x) or x end,
      compute_output_shape = function(_, shape) return shape end,
    }
    local input = dlua.Input { shape = { 3 } }
    local circle = Circle {}
    whole = dlua.Model { inputs = input, outputs = { circle(input), input } }
    assert.matches("a layer cannot call the model that it is called by",
      message_of(function() whole(dlua.ones(1, 3)) end))
  end)
end)
