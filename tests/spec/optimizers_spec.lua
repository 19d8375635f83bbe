--- What all optimizers can do: moving averages of the weights, gradients of several steps; and Ftrl.
local dlua = require "dlua"
local support = require "support"

local message_of = support.message_of

local x, y = dlua.randn(24, 3), dlua.randn(24, 1)

--- A model that was trained batch by batch; after(model, step) is called after each.
local function trained(options, steps, after)
  dlua.manual_seed(1)
  local model = dlua.Sequential { dlua.layers.Dense { 1, input_shape = { 3 }, name = "only" } }
  options.learning_rate = 0.1
  model:compile { optimizer = dlua.optimizers.SGD(options), loss = "mse" }
  for step = 1, steps do
    model:train_batch(x, y)
    if after then
      after(model, step)
    end
  end
  return model
end

local function close(a, b)
  return (a - b):abs():max():item() < 1e-6
end

--- The kernel's values after each step, and their moving averages.
local function follow(steps, momentum)
  local averages = {}
  trained({}, steps, function(model, step)
    local value = model.weights[1]:detach():clone()
    averages[step] = step == 1 and value or averages[step - 1] * momentum + value * (1 - momentum)
  end)
  return averages
end

describe("use_ema", function()
  it("takes the averages' place when it is told so, and only then", function()
    local averages = follow(5, 0.6)
    local plain, model = trained({}, 5), trained({ use_ema = true, ema_momentum = 0.6 }, 5)
    assert.is_true(plain.weights[1]:eq(model.weights[1]):all():item())
    model.optimizer:finalize_variable_values(model.trainable_weights)
    assert.is_true(close(averages[5], model.weights[1]))
    plain.optimizer:finalize_variable_values(plain.trainable_weights)
    assert.is_false(close(averages[5], plain.weights[1]))
  end)

  it("does so at the end of fit, and at no other", function()
    local averages = follow(4, 0.99)
    local model = trained({ use_ema = true }, 0)
    local seen = {}
    model:fit { x, y, batch_size = 24, epochs = 4, verbose = 0, callbacks = { {
      on_epoch_end = function() seen[#seen + 1] = model.weights[1]:detach():clone() end,
      on_train_end = function() seen[#seen + 1] = model.weights[1]:detach():clone() end,
    } } }
    local plain = trained({}, 4)
    assert.is_true(close(plain.weights[1], seen[4]))
    assert.is_true(close(averages[4], seen[5]))
    assert.is_true(close(averages[4], model.weights[1]))
    local before = model.weights[1]:detach():clone()
    model:fit { x, y, epochs = 0, verbose = 0 }
    assert.is_true(before:eq(model.weights[1]):all():item())
  end)

  it("does so every ema_overwrite_frequency steps", function()
    local averages = follow(3, 0.6)
    local model = trained({ use_ema = true, ema_momentum = 0.6, ema_overwrite_frequency = 3 }, 3)
    assert.is_true(close(averages[3], model.weights[1]))
  end)

  it("is saved with the model: training goes on with the same bits", function()
    local options = { use_ema = true, ema_momentum = 0.6, ema_overwrite_frequency = 4 }
    local path = os.tmpname()
    trained(options, 2):save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    assert.is_true(loaded.optimizer.use_ema)
    assert.equal(4, loaded.optimizer.ema_overwrite_frequency)
    for _ = 1, 3 do
      loaded:train_batch(x, y)
    end
    local whole = trained(options, 5)
    assert.is_true(support.same_weights(whole, loaded))
    for _, model in ipairs { whole, loaded } do
      model.optimizer:finalize_variable_values(model.trainable_weights)
    end
    assert.is_true(support.same_weights(whole, loaded))
  end)

  it("averages a variable that comes late from its own beginning, and leaves an unknown one", function()
    local optimizer = dlua.optimizers.SGD { 1, use_ema = true, ema_momentum = 0.5 }
    local early, late, unknown = dlua.zeros(2), dlua.full({ 2 }, 8.0), dlua.full({ 2 }, 3.0)
    local function step(...)
      for _, variable in ipairs { ... } do
        variable:requires_grad_().grad = dlua.ones(2)
      end
      optimizer:step { ... }
    end
    step(early)
    step(early, late)
    optimizer:finalize_variable_values { early, late, unknown }
    assert.same({ -1.5, -1.5 }, early:totable())
    assert.same({ 7.5, 7.5 }, late:totable())
    assert.same({ 3, 3 }, unknown:totable())
  end)

  it("refuses momenta and frequencies that mean nothing", function()
    assert.matches("ema_momentum", message_of(function() dlua.optimizers.Adam { ema_momentum = 1.5 } end))
    assert.matches("ema_overwrite_frequency", message_of(function()
      dlua.optimizers.Adam { use_ema = true, ema_overwrite_frequency = 0 }
    end))
    assert.matches("use_ema", message_of(function() dlua.optimizers.Adam { use_ema = 1 } end))
  end)
end)

describe("gradient_accumulation_steps", function()
  local function rows(from, to)
    return x[{ { from, to } }], y[{ { from, to } }]
  end

  local function stepped(model, ...)
    for _, range in ipairs { ... } do
      model:train_batch(rows(range[1], range[2]))
    end
    return model
  end

  it("makes one step of several, by the mean of their gradients", function()
    local whole = stepped(trained({ momentum = 0.9 }, 0), { 1, 12 }, { 13, 24 })
    local parts = trained({ momentum = 0.9, gradient_accumulation_steps = 3 }, 0)
    local first = parts.weights[1]:detach():clone()
    stepped(parts, { 1, 4 }, { 5, 8 })
    assert.is_true(first:eq(parts.weights[1]):all():item())
    assert.equal(0, parts.optimizer.iterations)
    stepped(parts, { 9, 12 }, { 13, 16 }, { 17, 20 }, { 21, 24 })
    assert.equal(2, parts.optimizer.iterations)
    assert.is_true(close(whole.weights[1], parts.weights[1]))
  end)

  it("is saved between two updates, and goes on with the same bits", function()
    local function make()
      return trained({ momentum = 0.9, gradient_accumulation_steps = 3, use_ema = true }, 0)
    end
    local whole = stepped(make(), { 1, 4 }, { 5, 8 }, { 9, 12 }, { 13, 16 }, { 17, 20 }, { 21, 24 })
    local path = os.tmpname()
    stepped(make(), { 1, 4 }, { 5, 8 }, { 9, 12 }, { 13, 16 }):save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    stepped(loaded, { 17, 20 }, { 21, 24 })
    assert.is_true(support.same_weights(whole, loaded))
    assert.equal(2, loaded.optimizer.iterations)
  end)

  it("is at least 2", function()
    assert.matches("gradient_accumulation_steps",
      message_of(function() dlua.optimizers.Adam { gradient_accumulation_steps = 1 } end))
  end)
end)

describe("Ftrl", function()
  it("makes weights without a use exactly 0", function()
    dlua.manual_seed(2)
    local features = dlua.randn(200, 6)
    local target = features[{ {}, { 1, 1 } }] * 2
    local model = dlua.Sequential { dlua.layers.Dense { 1, input_shape = { 6 }, use_bias = false } }
    model:compile { loss = "mse",
      optimizer = dlua.optimizers.Ftrl { 0.5, l1_regularization_strength = 5 } }
    model:fit { features, target, epochs = 20, verbose = 0 }
    local kernel = model.weights[1]:reshape(-1):totable()
    assert.is_true(kernel[1] > 1.5)
    for k = 2, 6 do
      assert.equal(0, kernel[k])
    end
    assert.matches("learning_rate_power", message_of(function()
      dlua.optimizers.Ftrl { learning_rate_power = 0.5 }
    end))
  end)
end)
