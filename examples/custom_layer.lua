--- A layer written in Lua that works wherever the built-in ones do.
--
-- You learn: `dlua.layers.define`: options, weights made in `build`, the computation in `call`; then the layer is
-- trained, saved and loaded inside a model. `call(self, x, training)` gets the input and whether this is a step of
-- training; a layer of several inputs, layer { a, b }, gets them as one table and says `local a, b = x[1], x[2]`, and
-- `build` gets a table of their shapes.
-- This one has two paths through the network and a learned gate that mixes them, as in
-- highway networks (Srivastava, Greff and Schmidhuber, 2015).
local dlua = require "dlua"
require "dlua.strict"
local layers = dlua.layers

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil

local Highway = layers.define {
  name = "Highway",
  help = "y = t * relu(x W + b) + (1 - t) * x, with the gate t = sigmoid(x V + c).",
  fields = {
    { name = "gate_bias", kind = "real", default = -1.0, help = "first value of c: below 0 lets x pass at first" },
  },
  build = function(self, shape) -- shape: of the input, e.g. {dlua.none, 32}
    local units = shape[#shape]
    self:add_weight { name = "kernel", shape = { units, units }, initializer = "he_normal" }
    self:add_weight { name = "bias", shape = { units } }
    self:add_weight { name = "gate_kernel", shape = { units, units }, initializer = "glorot_uniform" }
    self:add_weight {
      name = "gate_bias", shape = { units }, initializer = dlua.initializers.Constant { self.gate_bias },
    }
  end,
  call = function(self, x)
    local weights = self.weights
    local path = (x:matmul(weights[1]) + weights[2]):relu()
    local gate = (x:matmul(weights[3]) + weights[4]):sigmoid()
    return gate * path + (1 - gate) * x
  end,
}

dlua.manual_seed(1)
local train, test = dlua.datasets.digits.load()
local x_train, x_test = train.x:float() / 16, test.x:float() / 16

local model = dlua.Sequential {
  layers.Flatten { input_shape = { 8, 8 } },
  layers.Dense { 32, activation = "relu" },
  Highway {},
  Highway { gate_bias = -2.0 },
  layers.Dense { 10, activation = "softmax" },
}
model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
model:fit { x_train, train.y, epochs = quick and 2 or 30, verbose = 0 }
model:summary()

local path = os.tmpname()
model:save(path)
local loaded = dlua.load_model(path) -- finds Highway, since it is defined above
os.remove(path)
local _, accuracy = loaded:evaluate { x_test, test.y, verbose = 0 }
print(("test accuracy %.3f"):format(accuracy))
