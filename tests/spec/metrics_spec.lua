-- Metrics that are our own, and results that are no single number.
local dlua = require "dlua"
local metrics = dlua.metrics

local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

describe("ConfusionMatrix", function()
  local scores = dlua.tensor { { 0.9, 0.1, 0 }, { 0.2, 0.7, 0.1 }, { 0.1, 0.8, 0.1 }, { 0, 0.4, 0.6 } }

  it("counts labels by row and predictions by column, over batches", function()
    local metric = metrics.ConfusionMatrix {}
    metric:update_state(dlua.tensor { 1, 1, 2, 3 }, scores)
    assert.are.same({ { 1, 1, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }, metric:result():totable())
    metric:update_state(dlua.tensor { 0, 3, 3, 3 }, scores) -- 0 is no class
    assert.are.same({ { 1, 1, 0 }, { 0, 1, 0 }, { 0, 2, 2 } }, metric:result():totable())
    metric:reset_state()
    assert.are.equal(0, metric:result():sum():item())
  end)

  it("takes one number a class, one score a sample, weights, and shares", function()
    local metric = metrics.ConfusionMatrix { normalize = "true" }
    metric:update_state(dlua.tensor { { 1, 0, 0 }, { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }, scores)
    assert.are.same({ { 0.5, 0.5, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }, metric:result():totable())
    local binary = metrics.ConfusionMatrix {}
    binary:update_state(dlua.tensor { 0, 1, 1 }, dlua.tensor { 0.2, 0.9, 0.3 }, dlua.tensor { 1, 2, 3 })
    assert.are.same({ { 1, 0 }, { 3, 2 } }, binary:result():totable())
  end)

  it("refuses another number of classes before it is reset", function()
    local metric = metrics.ConfusionMatrix {}
    metric:update_state(dlua.tensor { 1, 1, 2, 3 }, scores)
    assert.matches("another number of classes", message_of(metric.update_state, metric, dlua.tensor { 1 },
      dlua.ones(1, 4)))
  end)
end)

describe("Perplexity", function()
  it("is e to the power of the mean cross-entropy over the labels that count", function()
    local p = dlua.tensor { { { 0.5, 0.5 }, { 0.25, 0.75 }, { 0.1, 0.9 } } }
    local metric = metrics.Perplexity {}
    metric:update_state(dlua.tensor { { 1, 1, 2 } }, p)
    assert.is_near(math.exp(-(math.log(0.5) + math.log(0.25) + math.log(0.9)) / 3), metric:result(), 1e-5)
    metric = metrics.Perplexity { ignore_class = 0 }
    metric:update_state(dlua.tensor { { 1, 1, 0 } }, p)
    assert.is_near(math.exp(-(math.log(0.5) + math.log(0.25)) / 2), metric:result(), 1e-5)
    local plain = metrics.Perplexity { from_logits = true }
    plain:update_state(dlua.tensor { { 1, 2 } }, dlua.zeros(1, 2, 4))
    assert.is_near(4, plain:result(), 1e-5)
  end)
end)

describe("Precision of the top_k of a row", function()
  it("takes the first of equal predictions", function()
    local metric = metrics.Precision { top_k = 2 }
    metric:update_state(dlua.tensor { { 1, 0, 1, 0 } }, dlua.tensor { { 0.5, 0.2, 0.5, 0.5 } })
    assert.are.equal(1, metric:result())
    metric:update_state(dlua.tensor { { 1, 0, 0, 1 } }, dlua.tensor { { 0.5, 0.2, 0.5, 0.5 } })
    assert.are.equal(0.75, metric:result())
  end)
end)

describe("Accuracies of labels", function()
  it("refuse labels that are not whole, as the losses do, and take whole ones of every type", function()
    local scores = dlua.tensor { { 0.1, 0.9 }, { 0.8, 0.2 } }
    local accuracies = { metrics.SparseCategoricalAccuracy {}, metrics.SparseTopKCategoricalAccuracy { 1 } }
    for _, metric in ipairs { metrics.ConfusionMatrix {}, table.unpack(accuracies) } do
      local message = message_of(metric.update_state, metric, dlua.tensor { 1.5, 1.0 }, scores)
      assert.matches("needs whole numbers as labels", message, 1, true)
    end
    for _, metric in ipairs(accuracies) do
      metric:update_state(dlua.tensor { 2.0, 1.0 }, scores)
      metric:update_state(dlua.tensor { 2, 1 }, scores)
      assert.are.equal(1, metric:result())
    end
  end)
end)

describe("a result of several values", function()
  it("goes through fit, evaluate, CSVLogger and the history, and cannot be monitored", function()
    dlua.manual_seed(5)
    local model = dlua.Sequential { dlua.layers.Dense { 3, activation = "softmax", input_shape = { 4 } } }
    model:compile { optimizer = "sgd", loss = "sparse_categorical_crossentropy",
      metrics = { "accuracy", metrics.ConfusionMatrix {}, metrics.Perplexity {} } }
    local x, y = dlua.randn(20, 4), dlua.randint(1, 3, { 20 })
    local path = os.tmpname()
    local history = model:fit { x, y, epochs = 2, verbose = 0, validation_split = 0.2,
      callbacks = { dlua.callbacks.CSVLogger { path } } }.history
    assert.are.equal(16, history.confusion_matrix[2]:sum():item())
    assert.are.equal(4, history.val_confusion_matrix[2]:sum():item())
    local file <close> = assert(io.open(path))
    assert.matches("confusion_matrix", file:read "l")
    assert.matches("NA", file:read "l")
    os.remove(path)
    local loss, accuracy, matrix, perplexity = model:evaluate { x, y, verbose = 0 }
    local right = matrix[1][1]:item() + matrix[2][2]:item() + matrix[3][3]:item()
    assert.is_near(accuracy, right / 20, 1e-6)
    assert.is_near(math.exp(loss), perplexity, 1e-4)
    assert.matches("'confusion_matrix' has several values, and one number is needed", message_of(model.fit, model,
      { x, y, verbose = 0, callbacks = { dlua.callbacks.EarlyStopping { monitor = "confusion_matrix" } } }))
  end)

  it("comes of Precision with several thresholds", function()
    local metric = metrics.Precision { thresholds = { 0.1, 0.5 } }
    metric:update_state(dlua.tensor { 0, 1, 1 }, dlua.tensor { 0.2, 0.9, 0.3 })
    assert.are.equal("{2}", "{" .. table.concat(metric:result().shape, ", ") .. "}")
    assert.matches("a growing list", message_of(metrics.Recall, { thresholds = { 0.5, 0.1 } }))
    assert.matches("a growing list", message_of(metrics.Recall, { thresholds = { 0.5, 0.5 } }))
    assert.matches("class_id is 4, and the predictions have 3 classes", message_of(function()
      metrics.Precision { class_id = 4 }:update_state(dlua.ones(2, 3), dlua.ones(2, 3))
    end))
  end)
end)

describe("AUC of several labels", function()
  local target = dlua.tensor { { 1.0, 0 }, { 0, 1 }, { 1, 1 } }
  local prediction = dlua.tensor { { 0.9, 0.2 }, { 0.4, 0.3 }, { 0.8, 0.9 } }

  it("is the mean of the labels' own", function()
    local whole, sum = metrics.AUC { multi_label = true }, 0
    assert.equal(0, whole:result())
    whole:update_state(target, prediction)
    for label = 1, 2 do
      local one = metrics.AUC {}
      one:update_state(target[{ {}, label }], prediction[{ {}, label }])
      sum = sum + one:result()
    end
    assert.near(sum / 2, whole:result(), 1e-12)
    whole:reset_state()
    assert.equal(0, whole:result())
  end)

  it("is measured in training, and saved with its options", function()
    local model = dlua.Sequential { dlua.layers.Dense { 2, activation = "sigmoid", input_shape = { 2 } } }
    model:compile { loss = "binary_crossentropy",
      metrics = { metrics.AUC { multi_label = true, label_weights = { 1, 3 }, name = "area" } } }
    model:fit { prediction, target, verbose = 0 }
    local path = os.tmpname()
    model:save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    local _, area = model:evaluate { prediction, target, verbose = 0 }
    local _, again = loaded:evaluate { prediction, target, verbose = 0 }
    assert.equal(area, again)
    local direct = metrics.AUC { multi_label = true, label_weights = { 1, 3 } }
    direct:update_state(target, model(prediction))
    assert.near(direct:result(), area, 1e-12)
  end)

  it("refuses labels, weights and shapes that do not agree", function()
    local function update(options, y)
      return message_of(function() metrics.AUC(options):update_state(y or target, y or prediction) end)
    end
    local function check(text, options, y)
      assert.matches(text, update(options, y), 1, true)
    end
    check("num_labels is 3, and the predictions are {3, 2}", { multi_label = true, num_labels = 3 })
    check("there are 1 label_weights, and the predictions are {3, 2}", { label_weights = { 1 } })
    check("takes predictions (N, labels), got {3}", { multi_label = true }, dlua.zeros(3))
    check("num_labels is for multi_label = true", { num_labels = 2 })
    check("label_weights is a list of numbers of at least 0", { label_weights = { -1, 2 } })
    check("label_weights is a list of numbers of at least 0", { label_weights = "even" })
  end)
end)
