--- A residual network on real product images: ResNet-20 (He et al. 2016) tells the ten kinds of Fashion-MNIST apart.
--
-- You learn: taking an architecture from dlua.applications, and a learning rate that falls along a cosine.
-- Measured: two epochs (6 minutes of processor time) reach 91.7 and 91.2 % on images that the network has not seen
-- (seeds 1 and 2); the same model in PyTorch 91.3 and 91.4 %.
local dlua = require "dlua"
require "dlua.strict"

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil -- a short run, to see that everything works
local epochs, batch_size = quick and 1 or 2, 128

dlua.manual_seed(1)
local train, test = dlua.datasets.fashion_mnist.load() -- uint8 images {N, 28, 28}, labels 1..10
if quick then
  train.x, train.y = train.x[{ { 1, 256 } }], train.y[{ { 1, 256 } }]
  test.x, test.y = test.x[{ { 1, 256 } }], test.y[{ { 1, 256 } }]
end
local x_train = train.x:reshape(-1, 28, 28, 1):float() / 255
local x_test = test.x:reshape(-1, 28, 28, 1):float() / 255

local model = dlua.applications.ResNet20 { input_shape = { 28, 28, 1 } }
print(("%d layers, %d weights to train"):format(#model.layers, model:count_params(true)))

-- The rate falls along a cosine from 0.002 to 0 over the whole training.
local steps = epochs * math.ceil(#x_train / batch_size)
model:compile {
  optimizer = dlua.optimizers.Adam { dlua.optimizers.schedules.CosineDecay { 0.002, steps } },
  loss = "sparse_categorical_crossentropy", metrics = { "accuracy" },
}
model:fit { x_train, train.y, epochs = epochs, batch_size = batch_size }
local _, accuracy = model:evaluate { x_test, test.y, batch_size = 256, verbose = 0 }
print(("test accuracy %.4f"):format(accuracy))
