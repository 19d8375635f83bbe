--- A convolutional network that tells ten kinds of clothing apart.
--
-- You learn: loading images, stacking layers, compiling, training with validation data, and testing.
-- The data are the 70,000 product photographs of Fashion-MNIST (28x28, grey). Five epochs take well under a minute on
-- two cores and reach about 90 % on images that the network has not seen.
local dlua = require "dlua"
require "dlua.strict"
local layers = dlua.layers

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil -- a short run, to see that everything works

dlua.manual_seed(1)
local train, test = dlua.datasets.fashion_mnist.load() -- uint8 images {N, 28, 28}, labels 1..10
if quick then
  train.x, train.y = train.x[{ { 1, 2000 } }], train.y[{ { 1, 2000 } }]
  test.x, test.y = test.x[{ { 1, 1000 } }], test.y[{ { 1, 1000 } }]
end

-- The network takes channels-last images with values from 0 to 1.
local x_train = train.x:reshape(-1, 28, 28, 1):float() / 255
local x_test = test.x:reshape(-1, 28, 28, 1):float() / 255

local model = dlua.Sequential {
  layers.Conv2D { 32, { 3, 3 }, activation = "relu", input_shape = { 28, 28, 1 } },
  layers.MaxPooling2D { { 2, 2 } },
  layers.Flatten {},
  layers.Dense { 64, activation = "relu" },
  layers.Dense { 10, activation = "softmax" },
}
model:summary()
model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
model:fit { x_train, train.y, epochs = quick and 1 or 5, batch_size = 32 }

local loss, accuracy = model:evaluate { x_test, test.y, verbose = 0 }
print(("test loss %.4f, test accuracy %.4f"):format(loss, accuracy))

-- Ask the model about single images: predict gives a probability for each class.
local probabilities = model:predict { x_test[{ { 1, 5 } }] }
local guesses = probabilities:argmax(2)
for i = 1, 5 do
  local guess = guesses[i]:item()
  print(("image %d: %s (%.0f %%), it is a %s"):format(i, train.classes[guess], 100 * probabilities[{ i, guess }]:item(),
    train.classes[test.y[i]:item()]))
end
