-- The GRU over the rows of images of compare.py in dlua.
local dlua = require "dlua"
local layers = dlua.layers
local measure = dofile((arg[0]:gsub("[^/]*$", "measure.lua")))

measure(dlua.Sequential {
  layers.Reshape { { 28, 28 }, input_shape = { 28, 28, 1 } },
  layers.GRU { 128 },
  layers.Dense { 10, activation = "softmax" },
})
