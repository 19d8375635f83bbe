-- What backup_spec.lua runs, kills and runs again: arg[1] the folder of the backup, arg[2] save_freq, arg[3] threads.
-- Prints the weights' sums of bits at the end.
local dlua = require "dlua"
local layers = dlua.layers

dlua.set_num_threads(math.tointeger(arg[3]))
dlua.manual_seed(11)
local train = dlua.datasets.digits.load()
local x, y = train.x[{ { 1, 700 } }]:float():reshape(700, 8, 8, 1) / 16, train.y[{ { 1, 700 } }]
local model = dlua.Sequential {
  layers.Conv2D { 8, { 3, 3 }, activation = "relu", input_shape = { 8, 8, 1 } },
  layers.BatchNormalization {},
  layers.Flatten {},
  layers.GaussianNoise { 0.1 },
  layers.Dense { 32, activation = "relu", kernel_constraint = "max_norm" },
  layers.Dropout { 0.3 },
  layers.Dense { 10, activation = "softmax" },
}
local schedules = dlua.optimizers.schedules
local rate = schedules.WarmUp { schedules.CosineDecay { 0.01, 400 }, 20 }
local optimizer = dlua.optimizers.Adam { rate, clipnorm = 1.0, use_ema = true, ema_overwrite_frequency = 30,
  gradient_accumulation_steps = 2 }
model:compile { optimizer = optimizer, loss = "sparse_categorical_crossentropy" }
model:fit { x, y, epochs = 12, batch_size = 16, verbose = 0,
  callbacks = { dlua.callbacks.BackupAndRestore { arg[1], save_freq = math.tointeger(arg[2]) or arg[2] } } }
for _, weight in ipairs(model:get_weights()) do
  for _, number in ipairs(weight:reshape(-1):totable()) do
    io.write(("%a "):format(number))
  end
end
