-- Models with several inputs and outputs, and models that take over the layers of others.
local dlua = require "dlua"
local support = require "support"
local layers = dlua.layers

describe("a model with several inputs and outputs", function()
  local function make()
    dlua.manual_seed(1)
    local a, b = dlua.Input { shape = { 4 }, name = "a" }, dlua.Input { shape = { 3 }, name = "b" }
    local h = layers.concatenate { layers.Dense { 8 } (a), layers.Dense { 8 } (b) }
    return dlua.Model { inputs = { a, b }, outputs = {
      layers.Dense { 1, name = "price" } (h), layers.Dense { 3, activation = "softmax", name = "kind" } (h) } }
  end
  local x = { a = dlua.randn(64, 4), b = dlua.randn(64, 3) }
  local y = { price = dlua.randn(64, 1), kind = dlua.randint(1, 3, { 64 }) }

  it("has losses, weights, metrics, targets and sample weights by the names of outputs", function()
    local model = make()
    model:compile { optimizer = "adam", loss = { price = "mse", kind = "sparse_categorical_crossentropy" },
      loss_weights = { price = 0.5, kind = 2 }, metrics = { kind = "accuracy", price = { "mae", "mse" } } }
    local history = model:fit { x, y, epochs = 2, verbose = 0, validation_split = 0.25,
      sample_weight = { kind = dlua.ones(64) } }.history
    for _, name in ipairs { "loss", "price_loss", "kind_loss", "price_mae", "price_mse", "kind_accuracy" } do
      assert.are.equal(2, #history[name], name)
      assert.are.equal(2, #history["val_" .. name], name)
    end
    local logs = model:evaluate { x, y, verbose = 0, return_dict = true }
    assert.is_near(logs.loss, 0.5 * logs.price_loss + 2 * logs.kind_loss, 1e-5)
    assert.is_near(logs.price_loss, logs.price_mse, 1e-5)
    local by_place = model:evaluate { { x.a, x.b }, { y.price, y.kind }, verbose = 0 }
    assert.are.equal(logs.loss, by_place)
  end)

  it("trains the outputs that have a loss, without targets for the others", function()
    local model = make()
    model:compile { optimizer = "sgd", loss = { kind = "sparse_categorical_crossentropy" } }
    local before = model:get_layer("price").kernel:clone()
    local history = model:fit { x, { kind = y.kind }, epochs = 3, verbose = 0 }.history
    assert.is_true(history.loss[3] < history.loss[1])
    assert.is_true(support.same_bits(before, model:get_layer("price").kernel))
  end)

  it("names what it does not know", function()
    local model = make()
    assert.matches("loss names the output 'prize', which the model has not",
      support.message_of(model.compile, model, { loss = { prize = "mse" } }))
    model:compile { loss = { price = "mse", kind = "sparse_categorical_crossentropy" } }
    assert.matches("has an entry 'prize' that the model does not know; it has price, kind",
      support.message_of(model.fit, model, { x, { prize = y.price } }))
    assert.matches("output 'price' has a loss and needs targets",
      support.message_of(model.fit, model, { x, { kind = y.kind }, verbose = 0 }))
  end)
end)

describe("a new head on a trained base", function()
  local function digits(first, last)
    local train = dlua.datasets.digits.load()
    local labels = train.y:totable()
    local rows = {}
    for row, label in ipairs(labels) do
      if label >= first and label <= last then
        rows[#rows + 1] = row
      end
    end
    local order = dlua.tensor(rows)
    local x = train.x:index_select(1, order):float():reshape(#rows, 8, 8, 1) / 16
    return x, train.y:to("int64"):index_select(1, order) - (first - 1)
  end

  local function base_model(classes)
    dlua.manual_seed(4)
    local model = dlua.Sequential {
      layers.Conv2D { 12, { 3, 3 }, activation = "relu", input_shape = { 8, 8, 1 }, name = "edges" },
      layers.BatchNormalization { name = "norm" },
      layers.MaxPooling2D { 2, name = "pool" },
      layers.Flatten { name = "features" },
      layers.Dense { classes, activation = "softmax", name = "old_head" },
    }
    model:compile { optimizer = dlua.optimizers.Adam { 0.01 }, loss = "sparse_categorical_crossentropy",
      metrics = { "accuracy" } }
    return model
  end

  local function new_head(base)
    local features = base:get_layer("features").output
    local out = layers.Dense { 5, activation = "softmax", name = "new_head" } (features)
    return dlua.Model { inputs = base.inputs, outputs = out }
  end

  it("learns other classes while the frozen layers keep their bits", function()
    local base = base_model(5)
    local x, y = digits(1, 5)
    base:fit { x, y, epochs = 2, verbose = 0 }
    base.trainable = false
    local kept = base:get_weights()
    local model = new_head(base)
    assert.are.equal(2, #model.trainable_weights)
    model:compile { optimizer = dlua.optimizers.Adam { 0.02 }, loss = "sparse_categorical_crossentropy",
      metrics = { "accuracy" } }
    x, y = digits(6, 10)
    local history = model:fit { x, y, epochs = 4, verbose = 0 }.history
    assert.is_true(history.accuracy[4] > 0.9, history.accuracy[4])
    for place, name in ipairs(base.weight_names) do -- the statistics of the normalization too
      assert.is_true(support.same_bits(kept[place], base.weights[place]), name)
    end
    model:get_layer("edges").trainable = true
    model:compile { optimizer = "sgd", loss = "sparse_categorical_crossentropy" }
    model:fit { x, y, verbose = 0 }
    assert.is_false(support.same_bits(kept[1], base.weights[1]))
  end)

  it("works on a model from a file, and comes back from one", function()
    local base = base_model(5)
    local path = os.tmpname()
    base:save(path)
    local model = new_head(dlua.load_model(path))
    model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy" }
    local x, y = digits(6, 10)
    model:fit { x, y, verbose = 0 }
    model:save(path)
    collectgarbage()
    local again = dlua.load_model(path)
    os.remove(path)
    assert.is_true(support.same_bits(model:predict(x), again:predict(x)))
  end)

  it("takes weights by name from a file of the base", function()
    local base, other = base_model(5), base_model(5)
    local path = os.tmpname()
    dlua.no_grad(function()
      base:get_layer("edges").bias:fill_(0.5)
    end)
    base:save_weights(path)
    local model = new_head(other)
    model:load_weights(path, { by_name = true })
    os.remove(path)
    assert.is_true(support.same_bits(base:get_layer("edges").bias, model:get_layer("edges").bias))
  end)

  it("says what to do where there is no symbol yet", function()
    assert.matches('its output is known in a model: model:get_layer%("d"%).output', support.message_of(function()
      return layers.Dense { 1, name = "d" }.output
    end))
    local model = dlua.Sequential { layers.Dense { 1 }, name = "m" }
    assert.matches("m has no symbolic inputs and outputs before it is built", support.message_of(function()
      return model.inputs
    end))
  end)
end)
