--- What the model that train.lua saved says of images that it has not seen.
local dlua = require "dlua"
require "dlua.strict"

local model = dlua.load_model "model.safetensors"
local _, test = dlua.datasets.digits.load()
local images, labels = test.x[{ { 1, 10 } }], test.y[{ { 1, 10 } }]
local probabilities = model:predict { images:reshape(-1, 8, 8, 1):float() / 16, verbose = 0 }
local answers = probabilities:argmax(2)
for i = 1, 10 do -- label 1 is the digit 0
  local answer, truth = answers[i]:item(), labels[i]:item()
  local sure = 100 * probabilities[{ i, answer }]:item()
  print(("image %2d: a %d (%.1f %% sure), in truth a %d"):format(i, answer - 1, sure, truth - 1))
end
