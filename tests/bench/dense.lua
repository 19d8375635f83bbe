-- The dense network of compare.py in dlua.
local dlua = require "dlua"
local layers = dlua.layers
local measure = dofile((arg[0]:gsub("[^/]*$", "measure.lua")))

measure(dlua.Sequential {
  layers.Flatten { input_shape = { 28, 28, 1 } },
  layers.Dense { 128, activation = "relu" },
  layers.Dense { 10, activation = "softmax" },
})
