--- Gradients as Lua uses them.

local dlua = require "dlua"
local message_of = require("support").message_here

describe("gradients", function()
  it("flow back to the leaves that ask for them", function()
    local x = dlua.tensor({ 1.0, 2.0, 3.0 }, { requires_grad = true })
    local y = (x * x):sum()
    assert.is_true(y.requires_grad)
    assert.is_false(y.is_leaf)
    y:backward()
    assert.same({ 2.0, 4.0, 6.0 }, x.grad:totable())
  end)

  it("accumulate until they are dropped", function()
    local x = dlua.ones(2):requires_grad_()
    x:sum():backward()
    x:sum():backward()
    assert.same({ 2.0, 2.0 }, x.grad:totable())
    x:zero_grad()
    assert.is_nil(x.grad)
    x:sum():backward()
    assert.same({ 1.0, 1.0 }, x.grad:totable())
    x.grad = nil
    assert.is_nil(x.grad)
  end)

  it("take the gradient of an output that is no single number", function()
    local x = dlua.ones(3):requires_grad_()
    local y = x * 2
    assert.has_error(function() y:backward() end)
    y:backward(dlua.tensor { 1.0, 2.0, 3.0 })
    assert.same({ 2.0, 4.0, 6.0 }, x.grad:totable())
    local again = x * 2
    again:backward { gradient = dlua.tensor { 1.0, 1.0, 1.0 } }
    assert.same({ 4.0, 6.0, 8.0 }, x.grad:totable())
  end)

  it("of two leaves are two tensors", function()
    local a, b = dlua.ones(2):requires_grad_(), dlua.ones(2):requires_grad_()
    local sum = (a + b):sum()
    sum:backward()
    a.grad:mul_(2)
    assert.same({ 2, 2 }, a.grad:totable())
    assert.same({ 1, 1 }, b.grad:totable())
  end)

  it("stay out of a leaf that no longer asks for them and is changed in place", function()
    local w = dlua.tensor({ 1.0, 2.0 }):requires_grad_()
    local y = w * 2
    w:requires_grad_(false)
    local v = dlua.tensor({ 1.0, 2.0 }):requires_grad_()
    assert.matches("mul_", message_of(function() w:mul_(v) end))
    y:sum():backward()
    assert.same({ 2, 2 }, w.grad:totable())
  end)

  it("flow through the graph twice only with retain_graph", function()
    local x = dlua.ones(2):requires_grad_()
    local y = (x * x):sum()
    y:backward { retain_graph = true }
    y:backward()
    assert.same({ 4.0, 4.0 }, x.grad:totable())
    assert.matches("retain_graph", message_of(function() y:backward() end))
    assert.matches("unknown argument 'retain'", message_of(function() y:backward { retain = true } end))
  end)

  it("flow through indexing and numbers", function()
    local x = dlua.zeros(2, 3):requires_grad_()
    local y = x[{ 1, { 2, 3 } }]:sum() * 3 + x[dlua.tensor { { false, false, false }, { true, false, false } }]:sum()
    y:backward()
    assert.same({ { 0.0, 3.0, 3.0 }, { 1.0, 0.0, 0.0 } }, x.grad:totable())
  end)

  it("come as values of their own by dlua.gradients", function()
    local x, unused = dlua.ones(2):requires_grad_(), dlua.ones(1):requires_grad_()
    local grads = dlua.gradients((x * 5):sum(), { x, unused })
    assert.same({ 5.0, 5.0 }, grads[1]:totable())
    assert.equal(dlua.none, grads[2])
    assert.is_nil(x.grad)
  end)

  it("are not recorded inside no_grad, and are again after it, after an error too", function()
    local x = dlua.ones(2):requires_grad_()
    local y, count = dlua.no_grad(function(a, b) return x * a, b end, 2, "b")
    assert.is_false(y.requires_grad)
    assert.equal("b", count)
    assert.is_true(dlua.is_grad_enabled())
    local ok, message = pcall(dlua.no_grad, function() error("inside") end)
    assert.is_false(ok)
    assert.matches("inside", message)
    assert.is_true(dlua.is_grad_enabled())
    assert.is_true(dlua.set_grad_enabled(false))
    assert.is_false(dlua.set_grad_enabled(true))
  end)

  it("stop at detach", function()
    local x = dlua.ones(2):requires_grad_()
    assert.is_false((x * 2):detach().requires_grad)
  end)

  it("are refused for whole numbers and for changed values", function()
    assert.has_error(function() dlua.tensor({ 1, 2 }):requires_grad_() end)
    local x = dlua.ones(2):requires_grad_()
    local y = x * 1
    local z = (y * y):sum()
    y:add_(1)
    message_of(function() z:backward() end)
  end)

  it("train a line by hand", function()
    dlua.manual_seed(1)
    local x = dlua.randn(64, 1)
    local target = x * 3 + 2
    local w, b = dlua.zeros(1, 1):requires_grad_(), dlua.zeros(1):requires_grad_()
    local optimizer = dlua.optimizers.SGD { learning_rate = 0.1 }
    for _ = 1, 100 do
      local loss = dlua.mse_loss(x:matmul(w) + b, target)
      loss:backward()
      optimizer:step { w, b }
      optimizer:zero_grad { w, b }
    end
    assert.near(3, w:item(), 1e-3)
    assert.near(2, b:item(), 1e-3)
    assert.equal(100, optimizer.iterations)
  end)
end)

describe("an assignment to a part of a tensor", function()
  local x, v

  before_each(function()
    x = dlua.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { dtype = "float32" }):requires_grad_()
    v = dlua.tensor({ 10, 20 }, { dtype = "float32" }):requires_grad_()
  end)

  it("takes the gradient from what was there before, and gives it to the value", function()
    local t = x * 2
    t[{ 1, { 2, 3 } }] = v
    assert.same({ { 2, 10, 20 }, { 8, 10, 12 } }, t:totable())
    t:square():sum():backward()
    assert.same({ { 8, 0, 0 }, { 32, 40, 48 } }, x.grad:totable())
    assert.same({ 20, 40 }, v.grad:totable())
  end)

  it("records what is put into a tensor without a gradient", function()
    local t = dlua.zeros(3)
    for i = 1, 3 do
      t[i] = v[1] * i
    end
    assert.same({ 10, 20, 30 }, t:totable())
    t:sum():backward()
    assert.same({ 6, 0 }, v.grad:totable())
  end)

  it("spreads a value, and takes numbers, steps, positions and masks", function()
    local t = x * 1
    t[{ {}, dlua.tensor { 3, 1 } }] = v
    assert.same({ { 20, 2, 10 }, { 20, 5, 10 } }, t:totable())
    t[{ 2, { 1, 3, 2 } }] = 7
    t[t:eq(5)] = 0
    assert.same({ { 20, 2, 10 }, { 7, 0, 7 } }, t:totable())
    t:sum():backward()
    assert.same({ { 0, 1, 0 }, { 0, 0, 0 } }, x.grad:totable())
    assert.same({ 1, 1 }, v.grad:totable())
  end)

  it("is refused for a leaf, and for a view, with what to do", function()
    assert.matches("assign: a leaf that requires a gradient .* inside dlua.no_grad",
      message_of(function() x[1] = 0 end))
    local t = x * 1
    assert.matches("assign: a view cannot change .* t%[{i, j}%] = value", message_of(function() t[1][2] = 0 end))
    assert.matches("assign: .*{7}.*{3}", message_of(function() t[1] = dlua.ones(7) end))
    dlua.no_grad(function() x[1] = 0 end)
    assert.same({ { 0, 0, 0 }, { 4, 5, 6 } }, x:totable())
  end)
end)
