--- Overfitting, seen and cured: dropout, early stopping, and penalties on large weights.
--
-- You learn: what it looks like when a network learns its training data by heart (the loss on the validation data rises
-- while that on the training data falls), and what three common remedies do to it. Each network is a dense one with 128
-- units, trained on a part of Fashion-MNIST small enough to overfit, with a fifth of it kept for validation.
local dlua = require "dlua"
require "dlua.strict"
local layers, regularizers = dlua.layers, dlua.regularizers

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil
local samples, epochs = quick and 600 or 6000, quick and 3 or 40

local train, test = dlua.datasets.fashion_mnist.load()
local x_train = train.x[{ { 1, samples } }]:float() / 255
local y_train = train.y[{ { 1, samples } }]
local x_test, y_test = test.x:float() / 255, test.y

--- Trains one network; returns what the table shows.
local function run(name, network, callbacks)
  dlua.manual_seed(1) -- the same first weights and order of samples for each
  local model = dlua.Sequential(network())
  model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
  local history = model:fit {
    x_train, y_train, epochs = epochs, validation_split = 0.2, verbose = 0, callbacks = callbacks,
  }
  local series = history.history
  local last = #series.loss
  local _, accuracy = model:evaluate { x_test, y_test, verbose = 0 }
  return {
    name = name, epochs = last, train = series.accuracy[last], validation = series.val_accuracy[last],
    val_loss = series.val_loss[last], test = accuracy,
  }
end

local function network(options)
  return function()
    local list = { layers.Flatten { input_shape = { 28, 28 } } }
    list[#list + 1] = layers.Dense { 128, activation = "relu", kernel_regularizer = options.regularizer }
    if options.dropout then
      list[#list + 1] = layers.Dropout { options.dropout }
    end
    list[#list + 1] = layers.Dense { 10, activation = "softmax" }
    return list
  end
end

local function early_stopping()
  return { dlua.callbacks.EarlyStopping { monitor = "val_loss", patience = 3, restore_best_weights = true } }
end

local rows = {
  run("plain", network {}),
  run("early stopping", network {}, early_stopping()),
  run("dropout 0.5", network { dropout = 0.5 }),
  run("dropout and early stopping", network { dropout = 0.5 }, early_stopping()),
  run("L2 weights", network { regularizer = regularizers.L2 { 1e-3 } }),
  run("L1 weights", network { regularizer = regularizers.L1 { 1e-4 } }),
}

print(("%-28s %6s %10s %10s %9s %9s"):format("", "epochs", "train acc", "valid acc", "val loss", "test acc"))
for _, row in ipairs(rows) do
  print(("%-28s %6d %10.4f %10.4f %9.4f %9.4f"):format(row.name, row.epochs, row.train, row.validation, row.val_loss,
    row.test))
end
