-- Schedules beyond their golden values: the warm-up in front of any, wrong arguments, and what a saved model keeps.
local dlua = require "dlua"
local schedules = dlua.optimizers.schedules

local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

describe("WarmUp", function()
  it("grows along a line to the first rate of what follows", function()
    local decay = schedules.ExponentialDecay { 0.8, 10, 0.5 }
    local rate = schedules.WarmUp { decay, 4 }
    assert.are.equal(0, rate(0))
    assert.is_near(0.2, rate(1), 1e-12)
    assert.is_near(0.6, rate(3), 1e-12)
    for step = 0, 30 do
      assert.are.equal(decay(step), rate(step + 4))
    end
  end)

  it("takes a number, a rate to begin with, and no steps at all", function()
    local rate = schedules.WarmUp { 0.5, warmup_steps = 2, initial_learning_rate = 0.1 }
    assert.is_near(0.1, rate(0), 1e-12)
    assert.is_near(0.3, rate(1), 1e-12)
    assert.is_near(0.5, rate(100), 1e-12)
    assert.are.equal(0.5, schedules.WarmUp { 0.5, 0 } (0))
  end)

  it("sets an optimizer's rate, and comes back from a file with the schedule in it", function()
    local model = dlua.Sequential { dlua.layers.Dense { 1, input_shape = { 2 } } }
    local rate = schedules.WarmUp { schedules.CosineDecay { 0.2, 10, alpha = 0.1 }, 3 }
    model:compile { optimizer = dlua.optimizers.Lion { rate }, loss = "mse" }
    model:fit { dlua.ones(10, 2), dlua.ones(10, 1), batch_size = 2, verbose = 0 }
    assert.is_near(rate(5), model.optimizer.learning_rate, 1e-12)
    local path = os.tmpname()
    model:save(path)
    local again = dlua.load_model(path)
    os.remove(path)
    assert.is_near(rate(5), again.optimizer.learning_rate, 1e-12)
    again:fit { dlua.ones(10, 2), dlua.ones(10, 1), batch_size = 2, verbose = 0 }
    assert.is_near(rate(10), again.optimizer.learning_rate, 1e-12)
  end)
end)

describe("PiecewiseConstantDecay", function()
  it("refuses lists that do not fit each other", function()
    local make = schedules.PiecewiseConstantDecay
    assert.matches("one number more than boundaries, got 2 and 2", message_of(make, { { 1, 2 }, { 0.1, 0.2 } }))
    assert.matches("boundaries must grow, got 2 after 5", message_of(make, { { 5, 2 }, { 1, 2, 3 } }))
    assert.matches("lists of numbers", message_of(make, { { "x" }, { 1, 2 } }))
    assert.matches("values must be at least 0, got %-1", message_of(make, { { 5 }, { 1, -1 } }))
  end)
end)
