--- Trains a small convolutional network on handwritten digits and saves it.
--
-- Change the data, the layers and the epochs to your own: `dlua help Conv2D`, `dlua help fit` and so on say what each
-- takes. The best weights of the run are the ones that are saved.
local dlua = require "dlua"
require "dlua.strict"
local layers = dlua.layers

dlua.manual_seed(1)
local train, test = dlua.datasets.digits.load() -- uint8 images {N, 8, 8} of 0 to 16, labels 1..10
local function prepare(images)
  return images:reshape(-1, 8, 8, 1):float() / 16
end

local model = dlua.Sequential {
  layers.Conv2D { 32, { 3, 3 }, activation = "relu", input_shape = { 8, 8, 1 } },
  layers.MaxPooling2D { { 2, 2 } },
  layers.Flatten {},
  layers.Dropout { 0.3 },
  layers.Dense { 64, activation = "relu" },
  layers.Dense { 10, activation = "softmax" },
}
model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
model:summary()
model:fit { prepare(train.x), train.y, epochs = 20, validation_split = 0.1, callbacks = {
  dlua.callbacks.EarlyStopping { monitor = "val_loss", patience = 4, restore_best_weights = true },
} }
local loss, accuracy = model:evaluate { prepare(test.x), test.y, verbose = 0 }
print(("test loss %.4f, test accuracy %.4f"):format(loss, accuracy))
model:save "model.safetensors"
