-- What the layers of noise do in training, by statistics; that they are quiet otherwise is in the golden values.
local dlua = require "dlua"
local layers = dlua.layers

local function mean_and_std(t)
  local mean = t:mean():item()
  return mean, math.sqrt(((t - mean) * (t - mean)):mean():item())
end

describe("in training", function()
  local x = dlua.ones(200, 100)

  it("GaussianNoise adds normal noise", function()
    local mean, std = mean_and_std(layers.GaussianNoise { 0.3, seed = 7 } (x, { training = true }))
    assert.is_near(1, mean, 0.01)
    assert.is_near(0.3, std, 0.01)
  end)

  it("GaussianDropout multiplies by normal noise around 1", function()
    local y = layers.GaussianDropout { 0.2, seed = 7 } (2 * x, { training = true })
    local mean, std = mean_and_std(y)
    assert.is_near(2, mean, 0.04)
    assert.is_near(2 * math.sqrt(0.2 / 0.8), std, 0.04)
  end)

  it("AlphaDropout keeps mean and variance", function()
    local normal = dlua.randn(400, 200)
    local mean, std = mean_and_std(layers.AlphaDropout { 0.3, seed = 7 } (normal, { training = true }))
    assert.is_near(0, mean, 0.02)
    assert.is_near(1, std, 0.02)
  end)

  it("SpatialDropout drops whole channels and scales the others", function()
    local cases = { { layers.SpatialDropout1D, { 40, 5, 10 } }, { layers.SpatialDropout2D, { 40, 3, 4, 10 } } }
    for _, case in ipairs(cases) do
      local shape = case[2]
      local y = case[1] { 0.25, seed = 7 } (dlua.ones(table.unpack(shape)), { training = true })
      local rows = y:reshape(shape[1], -1, 10)
      assert.are.same(rows:max(2):totable(), rows:min(2):totable())
      local dropped = y:eq(0):to("float32"):mean():item()
      assert.is_near(0.25, dropped, 0.08)
      assert.is_near(1 / 0.75, y:max():item(), 1e-6)
    end
  end)

  it("each layer draws anew at each call, and the same from the same seed", function()
    local layer, twin = layers.GaussianNoise { 0.3, seed = 7 }, layers.GaussianNoise { 0.3, seed = 7 }
    local first = layer(x, { training = true }):totable()
    assert.are.same(first, twin(x, { training = true }):totable())
    assert.are_not.same(first, layer(x, { training = true }):totable())
  end)
end)

describe("a wrong argument", function()
  local function message_of(f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    return message
  end

  it("of the layers around is explained", function()
    assert.matches("dims must have each of the numbers 1 to n once", message_of(layers.Permute, { { 1, 1 } }))
    assert.matches("output_padding must be below strides {1, 1}, got 1",
      message_of(layers.Conv2DTranspose, { 3, 3, output_padding = 1 }))
    assert.matches("strides above 1 do not go together with a dilation_rate above 1",
      message_of(layers.Conv1D, { 3, 3, strides = 2, dilation_rate = 2 }))
    assert.matches("padding takes one number, {height, width} or {{top, bottom}, {left, right}}, got 3 numbers",
      message_of(layers.ZeroPadding2D, { { 1, 2, 3 } }))
    assert.matches("channels_first", message_of(layers.UpSampling2D, { data_format = "channels_first" }))
  end)

  it("and a shape that does not fit names both", function()
    assert.matches("leaves nothing of dimension 2 of inputs {1, 3, 2}", message_of(layers.Cropping1D { { 1, 2 } },
      dlua.ones(1, 3, 2)))
    assert.matches("the pool_size is larger than the inputs {1, 2, 3}", message_of(layers.MaxPooling1D { 3 },
      dlua.ones(1, 2, 3)))
    assert.matches("the kernel_size is larger than the inputs {1, 2, 3}", message_of(layers.Conv1D { 4, 3 },
      dlua.ones(1, 2, 3)))
    assert.matches("dims orders 2 dimensions of a sample, got inputs {1, 2}", message_of(layers.Permute { { 2, 1 } },
      dlua.ones(1, 2)))
  end)
end)
