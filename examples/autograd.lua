--- A network by hand: tensors, gradients and a loop, without layers or models.
--
-- You learn: what `fit` does underneath. Weights are tensors that require a gradient; `backward` computes how the loss
-- changes with each of them; the optimizer takes a step down.
local dlua = require "dlua"
require "dlua.strict"

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil

dlua.manual_seed(1)
local train, test = dlua.datasets.digits.load()
local x, y = train.x:reshape(-1, 64):float() / 16, train.y
local x_test, y_test = test.x:reshape(-1, 64):float() / 16, test.y

-- Two layers: 64 points in, 32 hidden units, 10 classes out. Small random weights break the symmetry between units.
local w1 = (dlua.randn(64, 32) * (2 / 64) ^ 0.5):requires_grad_()
local b1 = dlua.zeros(32):requires_grad_()
local w2 = (dlua.randn(32, 10) * (2 / 32) ^ 0.5):requires_grad_()
local b2 = dlua.zeros(10):requires_grad_()
local weights = { w1, b1, w2, b2 }

local function network(input)
  local hidden = (input:matmul(w1) + b1):relu()
  return hidden:matmul(w2) + b2 -- logits: one score for each class
end

local function accuracy(input, labels)
  return dlua.no_grad(function()
    return network(input):argmax(2):eq(labels):float():mean():item()
  end)
end

local optimizer = dlua.optimizers.Adam { learning_rate = 0.01 }
local batch, epochs = 50, quick and 2 or 20
for epoch = 1, epochs do
  local order = dlua.randperm(#x)
  local total = 0
  for first = 1, #x - batch + 1, batch do
    local rows = order[{ { first, first + batch - 1 } }]
    local loss = dlua.cross_entropy(network(x:index_select(1, rows)), y:index_select(1, rows))
    loss:backward()
    optimizer:step(weights)
    optimizer:zero_grad(weights)
    total = total + loss:item()
  end
  if epoch % 5 == 0 or epoch == epochs then
    print(("epoch %2d: loss %.4f, test accuracy %.3f"):format(epoch, total / (#x // batch), accuracy(x_test, y_test)))
  end
end
