--- MobileNetV2: inverted residual blocks around depthwise convolutions.
local dlua = require "dlua"
local fields = require "dlua.applications.fields"
local layers = dlua.layers

--- The nearest multiple of 8, never more than a tenth below.
local function divisible(value)
  local rounded = math.max(8, (value + 4) // 8 * 8)
  return math.tointeger(rounded < 0.9 * value and rounded + 8 or rounded)
end

local function normalize(x, name)
  return layers.BatchNormalization { epsilon = 1e-3, momentum = 0.999, name = name } (x)
end

local function pointwise(x, filters, name)
  x = layers.Conv2D { filters, 1, padding = "same", use_bias = false, name = name } (x)
  return normalize(x, name .. "_BN")
end

--- The padding that makes a 3x3 window of stride 2 end at the last pixel.
local function pad_for_stride(x, name)
  local function sides(size)
    return { size % 2 == 0 and 0 or 1, 1 }
  end
  return layers.ZeroPadding2D { { sides(x.shape[2]), sides(x.shape[3]) }, name = name } (x)
end

local function inverted_residual(x, filters, stride, expansion, name)
  local input, channels = x, x.shape[4]
  if expansion > 1 then
    x = pointwise(x, expansion * channels, name .. "_expand")
    x = layers.ReLU { 6, name = name .. "_expand_relu" } (x)
  end
  if stride == 2 then
    x = pad_for_stride(x, name .. "_pad")
  end
  x = layers.DepthwiseConv2D { 3, strides = stride, use_bias = false, padding = stride == 1 and "same" or "valid",
    name = name .. "_depthwise" } (x)
  x = normalize(x, name .. "_depthwise_BN")
  x = layers.ReLU { 6, name = name .. "_depthwise_relu" } (x)
  x = pointwise(x, filters, name .. "_project")
  if channels == filters and stride == 1 then
    return layers.Add { name = name .. "_add" } { input, x }
  end
  return x
end

-- Filters, stride of the first block, blocks, expansion: table 2 of the paper.
local stages = {
  { 16, 1, 1, 1 }, { 24, 2, 2, 6 }, { 32, 2, 3, 6 }, { 64, 2, 4, 6 }, { 96, 1, 3, 6 }, { 160, 2, 3, 6 },
  { 320, 1, 1, 6 },
}

local function mobilenet_v2(options)
  local input = dlua.Input { shape = options.input_shape }
  local x = layers.Conv2D { divisible(32 * options.alpha), 3, strides = 2, padding = "same", use_bias = false,
    name = "Conv1" } (input)
  x = layers.ReLU { 6, name = "Conv1_relu" } (normalize(x, "bn_Conv1"))
  local block = 0
  for _, stage in ipairs(stages) do
    local filters, stride, count, expansion = table.unpack(stage)
    for k = 1, count do
      local name = block == 0 and "expanded_conv" or "block_" .. block
      local wide = divisible(math.tointeger(filters * options.alpha // 1))
      x = inverted_residual(x, wide, k == 1 and stride or 1, expansion, name)
      block = block + 1
    end
  end
  x = layers.Conv2D { options.alpha > 1 and divisible(1280 * options.alpha) or 1280, 1, use_bias = false,
    name = "Conv_1" } (x)
  x = layers.ReLU { 6, name = "out_relu" } (normalize(x, "Conv_1_bn"))
  return dlua.Model { inputs = input, outputs = fields.pooled_top(x, options), name = options.name }
end

return function(define)
  define {
    name = "MobileNetV2", help = "Small network of inverted residual blocks; 3,538,984 weights at alpha 1.",
    source = "Sandler et al. 2018, MobileNetV2: inverted residuals and linear bottlenecks",
    fields = fields.image_classifier({ 224, 224, 3 }, {
      { name = "alpha", kind = "real", default = 1, min = 0, help = "width: every block's filters times alpha" },
    }),
    build = mobilenet_v2,
  }
end
