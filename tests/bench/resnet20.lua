-- The residual network of compare.py in dlua: ResNet-20 as the paper has it for images of 32x32.
local dlua = require "dlua"
local measure = dofile((arg[0]:gsub("[^/]*$", "measure.lua")))

measure(dlua.applications.ResNet20 {}, {
  optimizer = dlua.optimizers.SGD { 0.01, momentum = 0.9 },
  data = function(_, labels)
    return dlua.rand(labels.shape[1], 32, 32, 3), labels
  end,
})
