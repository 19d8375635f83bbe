-- The convolutional network of compare.py in dlua.
local dlua = require "dlua"
local layers = dlua.layers
local measure = dofile((arg[0]:gsub("[^/]*$", "measure.lua")))

measure(dlua.Sequential {
  layers.Conv2D { 32, { 3, 3 }, activation = "relu", input_shape = { 28, 28, 1 } },
  layers.MaxPooling2D { { 2, 2 } },
  layers.Flatten {},
  layers.Dense { 64, activation = "relu" },
  layers.Dense { 10, activation = "softmax" },
})
