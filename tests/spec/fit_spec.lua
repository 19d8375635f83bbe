local dlua = require "dlua"
local support = require "support"
local layers = dlua.layers

describe("fit", function()
  local x, y, x_test, y_test

  before_each(function()
    dlua.manual_seed(7)
    x, y, x_test, y_test = support.digits(320)
  end)

  it("learns the digits", function()
    local model = support.dense_model { optimizer = dlua.optimizers.Adam { 0.01 } }
    local history = model:fit { x, y, epochs = 15, verbose = 0 }
    assert.are.equal(15, #history.history.loss)
    assert.are.equal(15, #history.epoch)
    assert.is_true(history.history.loss[15] < history.history.loss[1] / 2)
    local loss, accuracy = model:evaluate { x_test, y_test, verbose = 0 }
    assert.is_true(accuracy > 0.7 and loss < 1.5)
  end)

  it("keeps the last part for validation, before any shuffling", function()
    local model = support.dense_model()
    local history = model:fit { x, y, epochs = 1, validation_split = 0.25, verbose = 0 }
    local loss, accuracy = model:evaluate { x[{ { 241, 320 } }], y[{ { 241, 320 } }], verbose = 0 }
    assert.are.equal(loss, history.history.val_loss[1])
    assert.are.equal(accuracy, history.history.val_accuracy[1])
  end)

  it("takes validation_data before validation_split", function()
    local model = support.dense_model()
    local history = model:fit { x, y, verbose = 0, validation_data = { x_test, y_test } }
    assert.are.equal((model:evaluate { x_test, y_test, verbose = 0 }), history.history.val_loss[1])
  end)

  it("trains the same with a class weight as with the sample weights that it stands for", function()
    local by_class, by_sample = support.dense_model(), support.dense_model()
    by_sample:set_weights(by_class:get_weights())
    dlua.manual_seed(3)
    by_class:fit { x, y, verbose = 0, class_weight = { [2] = 5.0 } }
    dlua.manual_seed(3)
    by_sample:fit { x, y, verbose = 0, sample_weight = y:eq(2):float() * 4 + 1 }
    -- Their dropout layers have streams of their own, so compare a network without: the loss of one batch.
    by_sample:set_weights(by_class:get_weights())
    local a = by_class:test_on_batch(x, y, { class_weight = { [2] = 5.0 } })
    local b = by_sample:test_on_batch(x, y, { sample_weight = y:eq(2):float() * 4 + 1 })
    assert.are.equal(a, b)
    assert.are_not.equal(a, (by_class:test_on_batch(x, y)))
  end)

  it("numbers metrics that were given no names of their own, and refuses two that were given the same", function()
    local metrics = dlua.metrics
    local model = dlua.Sequential { layers.Dense { 3, activation = "softmax", input_shape = { 2 } } }
    model:compile { loss = "sparse_categorical_crossentropy", metrics = {
      metrics.SparseTopKCategoricalAccuracy { k = 1 }, metrics.SparseTopKCategoricalAccuracy { k = 3 },
      function(_, y_pred) return y_pred:sum(-1) * 0 + 5 end, function(_, y_pred) return y_pred:sum(-1) * 0 + 7 end,
    } }
    local data = { dlua.randn(8, 2), dlua.tensor { 1, 2, 3, 1, 2, 3, 1, 2 }, verbose = 0 }
    local _, first, third, five, seven = model:evaluate(data)
    assert.is_true(first < 1)
    assert.are.same({ 1, 5, 7 }, { third, five, seven })
    local history = model:fit(data).history
    assert.are.same({ { 5 }, { 7 }, { 1 } },
      { history.metric, history.metric_1, history.sparse_top_k_categorical_accuracy_1 })
    assert.matches("compile: the metric MeanSquaredError is named 'own', and so is another value of the logs; give it "
      .. "a name of its own, MeanSquaredError { ..., name = 'own_1' }", support.message_here(function()
        model:compile { loss = "mse", metrics = {
          metrics.MeanAbsoluteError { name = "own" }, metrics.MeanSquaredError { name = "own" },
        } }
      end), 1, true)
    local function loss(y_true, y_pred) return (y_true - y_pred):square() end
    model:compile { loss = loss, metrics = { loss } }
    assert.are.same({ "loss", "loss_1" }, { table.unpack(model:logs()) })
    assert.matches("is named 'loss'", support.message_here(function()
      model:compile { loss = "mse", metrics = { metrics.MeanSquaredError { name = "loss" } } }
    end), 1, true)
  end)

  it("takes targets and weights by name for the outputs that have a loss", function()
    local input = dlua.Input { shape = { 2 } }
    local model = dlua.Model { input, {
      layers.Dense { 1, name = "left" } (input), layers.Dense { 1, name = "right" } (input),
    }, name = "pair" }
    assert.equal("pair", model.name)
    model:compile { loss = { right = "mse" } }
    local inputs, targets = dlua.randn(6, 2), dlua.randn(6, 1)
    local plain = model:evaluate { inputs, { right = targets }, verbose = 0 }
    local weighted = model:evaluate {
      inputs, { right = targets }, sample_weight = { right = dlua.ones(6) * 3 }, verbose = 0,
    }
    assert.near(3 * plain, weighted, 1e-5 * weighted)
    assert.is_number(model:fit { inputs, { right = targets }, verbose = 0 }.history.right_loss[1])
    assert.matches("output 'right' has a loss and needs targets", support.message_here(function()
      model:fit { inputs, { left = targets }, verbose = 0 }
    end), 1, true)
  end)

  it("refuses lists of losses, their weights and metrics of another length than the outputs", function()
    local input = dlua.Input { shape = { 2 } }
    local model = dlua.Model { input, { layers.Dense { 1, name = "left" } (input), layers.Dense { 1 } (input) } }
    local function message(options)
      return support.message_here(function() model:compile(options) end)
    end
    assert.equal("compile: loss is a list for 1 output, but the model has 2; write dlua.none for an output without "
      .. "one, or name the outputs: loss = { left = ... }", message { loss = { "mse" } })
    for expected, options in pairs {
      ["loss is a list for 3 outputs, but the model has 2"] = { loss = { "mse", "mse", "mae" } },
      ["loss_weights is a list for 1 output,"] = { loss = "mse", loss_weights = { 1 } },
      ["metrics is a list for 3 outputs"] = { loss = "mse", metrics = { "mae", "mae", "mae" } },
    } do
      assert.matches(expected, message(options), 1, true)
    end
    model:compile { loss = { "mse", dlua.none }, loss_weights = { 1, 2 }, metrics = { { "mae", "mse" }, "mae" } }
  end)

  it("names the inputs whose numbers of samples differ", function()
    local a, b = dlua.Input { shape = { 2 }, name = "a" }, dlua.Input { shape = { 2 }, name = "b" }
    local model = dlua.Model { { a, b }, layers.Dense { 1 } (layers.Add {} { a, b }) }
    model:compile { loss = "mse" }
    local message = support.message_here(function()
      model:fit { { dlua.ones(4, 2), dlua.ones(3, 2) }, dlua.ones(4, 1), verbose = 0 }
    end)
    assert.equal("fit: 'x' for 'a' has 4 samples and 'x' for 'b' has 3; they must be equal", message)
  end)

  it("says to use the colon, and refuses other values of verbose", function()
    local model = support.dense_model()
    for _, name in ipairs { "fit", "evaluate", "predict", "train_on_batch", "generate", "summary" } do
      assert.matches(name .. ": call it with a colon, model:" .. name .. " (got a table in place of the model)",
        support.message_here(function() model[name] { x, y } end), 1, true)
    end
    for _, name in ipairs { "fit", "evaluate", "predict" } do
      local data = name == "predict" and { x, verbose = "no" } or { x, y, verbose = "no" }
      assert.equal(name .. ": argument 'verbose' must be 0 (nothing), 1 (a bar), 2 (lines) or 'auto' (got 'no')",
        support.message_here(function() model[name](model, data) end))
    end
  end)

  it("logs a metric under the name that it was given", function()
    local model = dlua.Sequential { layers.Dense { 1, input_shape = { 2 } } }
    model:compile { loss = "mse", metrics = { "mae", "accuracy", dlua.metrics.MeanSquaredError { name = "own" } } }
    local history = model:fit {
      dlua.ones(8, 2), dlua.ones(8, 1), verbose = 0, epochs = 3, validation_split = 0.5,
      callbacks = { dlua.callbacks.EarlyStopping { monitor = "val_mae", patience = 1, min_delta = 100 } },
    }
    for _, name in ipairs { "loss", "mae", "accuracy", "own", "val_loss", "val_mae", "val_accuracy", "val_own" } do
      assert.equal(2, #history.history[name])
    end
    assert.is_nil(history.history.mean_absolute_error)
  end)

  it("takes class_weight for outputs of any size", function()
    local input = dlua.Input { shape = { dlua.none } }
    local model = dlua.Model { inputs = input, outputs = dlua.layers.Activation { "linear" } (input) }
    model:compile { loss = "mse" }
    x, y = dlua.zeros(2, 3), dlua.tensor { { 1.0, 0.0, 0.0 }, { 0.0, 1.0, 0.0 } }
    assert.near(1 / 3, model:fit { x, y, verbose = 0 }.history.loss[1], 1e-6)
    assert.near(2 / 3, model:fit { x, y, verbose = 0, class_weight = { [2] = 3.0 } }.history.loss[1], 1e-6)
    assert.matches("class_weight has the key 0, which is no class: labels count from 1$",
      support.message_of(function() model:fit { x, y, verbose = 0, class_weight = { [0] = 2 } } end))
  end)

  it("refuses a class_weight for what is no class", function()
    local model = support.dense_model()
    local function message(weights)
      return support.message_of(function() model:fit { x, y, verbose = 0, class_weight = weights } end)
    end
    assert.matches("has the key 0, which is no class: labels count from 1 to 10", message { [0] = 2.0 }, 1, true)
    assert.matches("has the key 11", message { [11] = 2.0 }, 1, true)
    assert.matches("has the key two", message { two = 2.0 }, 1, true)
    assert.matches("must be a number of 0 or more", message { [2] = "x" }, 1, true)
  end)

  it("refuses binary targets that are neither no nor yes", function()
    local model = dlua.Sequential { layers.Dense { 1, activation = "sigmoid", input_shape = { 2 } } }
    model:compile { loss = "binary_crossentropy" }
    local function message(targets, weights)
      return support.message_of(function()
        model:fit { dlua.zeros(2, 2), dlua.tensor(targets), verbose = 0, class_weight = weights }
      end)
    end
    assert.matches("sequential.*: BinaryCrossentropy: needs targets from 0 %(no%) to 1 %(yes%), got values from 1 to 2",
      message { 1, 2 })
    assert.matches("got values from %-1 to 1", message { -1, 1 })
    assert.matches("class_weight has the key 2", message({ 0, 1 }, { [2] = 1 }))
    model:fit { dlua.zeros(2, 2), dlua.tensor { 0.25, 1 }, verbose = 0 }
  end)

  it("adds the regularization terms to the loss", function()
    local plain = dlua.Sequential { layers.Dense { 10, activation = "softmax", input_shape = { 64 } } }
    local penal = dlua.Sequential {
      layers.Dense {
        10, activation = "softmax", input_shape = { 64 }, kernel_regularizer = dlua.regularizers.L2 { 0.1 },
      },
    }
    penal:set_weights(plain:get_weights())
    for _, model in ipairs { plain, penal } do
      model:compile { optimizer = "sgd", loss = "sparse_categorical_crossentropy" }
    end
    local flat = x:reshape(-1, 64)
    local penalty = 0.1 * plain:get_weights()[1]:square():sum():item()
    local expected = plain:test_on_batch(flat, y) + penalty
    assert.is_true(math.abs(penal:test_on_batch(flat, y) - expected) < 1e-5 * expected)
  end)

  it("uses dropout in training only", function()
    local model = support.dense_model()
    local first, second = model:predict(x), model:predict(x)
    assert.is_true(support.same_bits(first, second))
  end)

  it("ends an epoch early with steps_per_epoch and starts later with initial_epoch", function()
    local model = support.dense_model()
    local history = model:fit { x, y, epochs = 5, initial_epoch = 3, steps_per_epoch = 2, verbose = 0 }
    assert.are.same({ 4, 5 }, history.epoch)
    assert.are.equal(2, history.params.steps)
    assert.are.equal(4, model.optimizer.iterations)
  end)

  it("trains a model with two inputs and two outputs by name", function()
    local a, b = dlua.Input { shape = { 8, 8 }, name = "a" }, dlua.Input { shape = { 64 }, name = "b" }
    local joined = layers.Dense { 16, activation = "relu" } (layers.Flatten {} (a))
    local other = layers.Dense { 16, activation = "relu" } (b)
    local model = dlua.Model {
      inputs = { a, b },
      outputs = {
        layers.Dense { 10, activation = "softmax", name = "digit" } (joined),
        layers.Dense { 1, activation = "sigmoid", name = "large" } (other),
      },
    }
    model:compile {
      optimizer = "adam",
      loss = { digit = "sparse_categorical_crossentropy", large = "binary_crossentropy" },
      loss_weights = { digit = 1.0, large = 0.5 },
      metrics = { digit = { "accuracy" } },
    }
    local large = y:gt(5):float():reshape(-1, 1)
    local history = model:fit {
      { a = x, b = x:reshape(-1, 64) }, { digit = y, large = large }, epochs = 5, verbose = 0,
    }
    local series = history.history
    assert.is_true(series.loss[5] < series.loss[1])
    assert.is_number(series.digit_accuracy[5])
    assert.is_true(math.abs(series.loss[5] - (series.digit_loss[5] + 0.5 * series.large_loss[5])) < 1e-4)
    local digit, is_large = model:predict { { a = x, b = x:reshape(-1, 64) } }
    assert.are.same({ 320, 10 }, digit.shape)
    assert.are.same({ 320, 1 }, is_large.shape)
  end)

  it("builds a Sequential that was not told its input's shape", function()
    local model = dlua.Sequential { layers.Flatten {}, layers.Dense { 10, activation = "softmax" } }
    model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy" }
    local history = model:fit { x, y, epochs = 2, verbose = 0 }
    assert.is_true(history.history.loss[2] < history.history.loss[1])
    assert.are.same({ 320, 10 }, model:predict(x).shape)
  end)

  it("validates every so many epochs, and callbacks wait for it", function()
    local history = support.dense_model():fit {
      x, y, epochs = 4, verbose = 0, validation_split = 0.2, validation_freq = 2,
      callbacks = { dlua.callbacks.EarlyStopping { patience = 3 } },
    }
    assert.are.equal(2, #history.history.val_loss)
    assert.are.equal(4, #history.history.loss)
  end)

  it("asks the system for no memory after the first steps", function()
    local model = support.dense_model()
    model:fit { x, y, epochs = 20, verbose = 0 }
    if dlua.memory().cached == 0 then
      return -- a build that keeps no memory, to find errors in its use
    end
    collectgarbage() -- the orders of the epochs wait for Lua's collector
    local before = dlua.memory().system_calls
    model:fit { x, y, epochs = 20, verbose = 0 }
    assert.is_true(dlua.memory().system_calls - before < 20)
  end)

  it("stops after an epoch when a callback asks for it", function()
    local model = support.dense_model()
    local history = model:fit {
      x, y, epochs = 10, verbose = 0,
      callbacks = { { on_epoch_end = function(self, epoch)
        self.model.stop_training = epoch == 2
      end } },
    }
    assert.are.same({ 1, 2 }, history.epoch)
  end)

  describe("with wrong arguments", function()
    local function message(arguments)
      local model = support.dense_model()
      arguments.verbose = 0
      return support.message_of(function()
        model:fit(arguments)
      end)
    end

    it("names the nearest argument", function()
      assert.matches("unknown argument 'epoch'", message { x, y, epoch = 5 }, 1, true)
      assert.matches("did you mean 'epochs'", message { x, y, epoch = 5 }, 1, true)
    end)

    it("says that labels count from 1", function()
      local text = message { x, y - 1 }
      assert.matches("the label of row %d+ is 0", text)
      assert.matches("labels count from 1 to 10", text, 1, true)
      assert.matches("the label of row %d+ is 11", message { x, y + 1 })
    end)

    it("names both counts when x and y differ", function()
      local text = message { x, y[{ { 1, 100 } }] }
      assert.matches("'x' has 320 samples and 'y' has 100", text, 1, true)
    end)

    it("refuses a tensor without a dimension of samples", function()
      assert.matches("argument 'x' is a single number; it needs a first dimension of samples",
        message { dlua.tensor(1.0), y }, 1, true)
    end)

    it("refuses an empty tensor", function()
      assert.matches("no samples", message { dlua.zeros(0, 8, 8), dlua.zeros(0, { dtype = "int64" }) }, 1, true)
    end)

    it("shows both shapes when the features do not fit", function()
      local text = message { x:reshape(-1, 4, 16), y }
      assert.matches("{*, 8, 8}", text, 1, true)
      assert.matches("4, 16}", text, 1, true)
    end)

    it("notices that y is missing and that a callback is nil", function()
      assert.matches("fit: argument 'y' is missing", message { x, nil }, 1, true)
      assert.matches("callback 1 is nil", message { x, y, callbacks = { nil, {} } }, 1, true)
      local text = support.message_of(function()
        return dlua.callbacks.EarlyStoping
      end)
      assert.matches("dlua.callbacks has no 'EarlyStoping'; did you mean 'EarlyStopping'?", text, 1, true)
    end)

    it("asks for compile first", function()
      local model = dlua.Sequential { layers.Dense { 10, input_shape = { 64 } } }
      assert.matches("not compiled", support.message_of(function()
        model:fit { x, y }
      end), 1, true)
    end)

    it("raises at the user's line", function()
      local output, ok = support.run [[
        local dlua = require "dlua"
        local model = dlua.Sequential { dlua.layers.Dense { 10, input_shape = { 64 } } }
        model:compile { optimizer = "sgd", loss = "mse" }
        model:fit { dlua.zeros(4, 64), dlua.zeros(4, 10), epoch = 1 }
      ]]
      assert.is_false(ok)
      assert.matches(":4: fit: unknown argument 'epoch'", output, 1, true)
    end)
  end)

  describe("printing", function()
    local program = [[
      local dlua = require "dlua"
      local train = dlua.datasets.digits.load()
      local model = dlua.Sequential {
        dlua.layers.Flatten { input_shape = { 8, 8 } }, dlua.layers.Dense { 10, activation = "softmax" },
      }
      model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
      model:fit { train.x:float() / 16, train.y, epochs = 2, validation_split = 0.2 }
    ]]

    it("gives one plain line an epoch where there is no terminal", function()
      local output = support.run(program)
      local lines = {}
      for line in output:gmatch "[^\n]+" do
        lines[#lines + 1] = line
      end
      assert.are.equal(2, #lines)
      assert.matches("^Epoch 2/2 %- %d+s %- %d+us/step %- loss: [%d.]+ %- accuracy: [%d.]+ %- val_loss: [%d.]+"
        .. " %- val_accuracy: [%d.]+$", lines[2]:gsub("%d+ms/step", "1us/step"))
    end)

    it("draws a bar on a terminal", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write(program)
      file:close()
      local pipe = assert(io.popen(("script -qec %s /dev/null < /dev/null"):format(
        support.quoted(support.quoted(support.program()) .. " " .. path))))
      local output = pipe:read "a"
      pipe:close()
      os.remove(path)
      assert.matches("Epoch 1/2", output, 1, true)
      assert.matches("38/38 ━━━━━━━━━━━━━━━━━━━━", output, 1, true)
      assert.matches("val_accuracy: ", output, 1, true)
    end)
  end)
end)

describe("evaluate and predict", function()
  it("give the loss and the metrics in the order of compile", function()
    local x, y = support.digits(100)
    local model = support.dense_model()
    local loss, accuracy, more = model:evaluate { x, y, verbose = 0 }
    local named = model:evaluate { x, y, verbose = 0, return_dict = true }
    assert.are.equal(loss, named.loss)
    assert.are.equal(accuracy, named.accuracy)
    assert.is_nil(more)
  end)

  it("do not depend on the batch size, bit for bit", function()
    local x = support.digits(256)
    local model = support.conv_model()
    local whole = model:predict { x, batch_size = 256 }
    for _, size in ipairs { 1, 7, 32, 33 } do
      assert.is_true(support.same_bits(whole, model:predict { x, batch_size = size }), "batch size " .. size)
    end
  end)
end)
