--- The smallest complete program on real data: handwritten digits of 8x8 points, which come with dlua.
--
-- You learn: the whole way from data to a saved model and back, in a few seconds and with nothing to download.
local dlua = require "dlua"
require "dlua.strict"
local layers = dlua.layers

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil

dlua.manual_seed(1)
local train, test = dlua.datasets.digits.load() -- images {N, 8, 8} with values 0..16, labels 1..10 for "0".."9"
local x_train, x_test = train.x:float() / 16, test.x:float() / 16

local model = dlua.Sequential {
  layers.Flatten { input_shape = { 8, 8 } },
  layers.Dense { 64, activation = "relu" },
  layers.Dense { 10, activation = "softmax" },
}
model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
model:fit { x_train, train.y, epochs = quick and 3 or 30, verbose = 0 }
local _, accuracy = model:evaluate { x_test, test.y, verbose = 0 }
print(("%d parameters, test accuracy %.3f"):format(model:count_params(), accuracy))

-- Save it, load it as another program would, and look at what it sees in one image.
local path = os.tmpname()
model:save(path)
local loaded = dlua.load_model(path)
os.remove(path)
local image = test.x[1]
for row = 1, 8 do
  local line = {}
  for column = 1, 8 do
    local ink = image[{ row, column }]:item()
    line[column] = ink > 10 and "##" or ink > 4 and "::" or "  "
  end
  print(table.concat(line))
end
local guess = loaded:predict { x_test[{ { 1, 1 } }] }:argmax(2):item()
print(("it looks like a %s and is a %s"):format(train.classes[guess], train.classes[test.y[1]:item()]))
