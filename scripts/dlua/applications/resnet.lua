--- Residual networks (He et al. 2016): with bottleneck blocks as Keras builds ResNet50, 101 and 152, with basic blocks
-- as torchvision builds ResNet18 and 34, and the small ones of the paper's section 4.2 for CIFAR-10.
local dlua = require "dlua"
local fields = require "dlua.applications.fields"
local layers = dlua.layers

local source = "He et al. 2016, Deep residual learning for image recognition"

-- ---- for large images -----------------------------------------------------------------------------------------------

local function convolve(x, name, convolution, normalization)
  convolution.name = name .. "_conv"
  normalization.name = name .. "_bn"
  return layers.BatchNormalization(normalization)(layers.Conv2D(convolution)(x))
end

local function add_and_activate(shortcut, x, name)
  x = layers.Add { name = name .. "_add" } { shortcut, x }
  return layers.Activation { "relu", name = name .. "_out" } (x)
end

--- 1x1, 3x3, 1x1 convolutions, with biases and epsilon as Keras has them. The first block of a stack widens.
local function bottleneck(x, filters, stride, first, name)
  local shortcut = x
  if first then
    shortcut = convolve(x, name .. "_0", { 4 * filters, 1, strides = stride }, { epsilon = 1.001e-5 })
  end
  x = convolve(x, name .. "_1", { filters, 1, strides = stride }, { epsilon = 1.001e-5 })
  x = layers.Activation { "relu", name = name .. "_1_relu" } (x)
  x = convolve(x, name .. "_2", { filters, 3, padding = "same" }, { epsilon = 1.001e-5 })
  x = layers.Activation { "relu", name = name .. "_2_relu" } (x)
  x = convolve(x, name .. "_3", { 4 * filters, 1 }, { epsilon = 1.001e-5 })
  return add_and_activate(shortcut, x, name)
end

--- A 3x3 convolution that pads by one on each side, also where it strides: "same" would pad the end alone there.
local function convolve3(x, filters, stride, name)
  if stride > 1 then
    x = layers.ZeroPadding2D { 1, name = name .. "_pad" } (x)
  end
  return convolve(x, name, { filters, 3, strides = stride, padding = stride > 1 and "valid" or "same",
    use_bias = false, kernel_initializer = "he_normal" }, { momentum = 0.9, epsilon = 1e-5 })
end

--- Two 3x3 convolutions; a 1x1 convolution on the way past them where the shape changes.
local function basic(x, filters, stride, first, name)
  local shortcut = x
  if first and (stride > 1 or x.shape[4] ~= filters) then
    shortcut = convolve(x, name .. "_0", { filters, 1, strides = stride, use_bias = false,
      kernel_initializer = "he_normal" }, { momentum = 0.9, epsilon = 1e-5 })
  end
  x = convolve3(x, filters, stride, name .. "_1")
  x = layers.Activation { "relu", name = name .. "_1_relu" } (x)
  x = convolve3(x, filters, 1, name .. "_2")
  return add_and_activate(shortcut, x, name)
end

local function resnet(block, counts, stem)
  return function(options)
    local input = dlua.Input { shape = options.input_shape }
    local x = layers.ZeroPadding2D { 3, name = "conv1_pad" } (input)
    x = convolve(x, "conv1", { 64, 7, strides = 2, use_bias = stem.use_bias, kernel_initializer = stem.initializer },
      { epsilon = stem.epsilon })
    x = layers.Activation { "relu", name = "conv1_relu" } (x)
    x = layers.ZeroPadding2D { 1, name = "pool1_pad" } (x)
    x = layers.MaxPooling2D { 3, strides = 2, name = "pool1_pool" } (x)
    for stack, count in ipairs(counts) do
      for k = 1, count do
        local stride = (k == 1 and stack > 1) and 2 or 1
        x = block(x, 32 << stack, stride, k == 1, ("conv%d_block%d"):format(stack + 1, k))
      end
    end
    return dlua.Model { inputs = input, outputs = fields.pooled_top(x, options), name = options.name }
  end
end

-- ---- for CIFAR-10 ---------------------------------------------------------------------------------------------------

--- The paper's option A: every second pixel, and zeros for the channels that are new, so without weights.
local function shortcut_without_weights(x, filters, name)
  local new = filters - x.shape[4]
  x = layers.MaxPooling2D { 1, strides = 2, name = name .. "_skip" } (x)
  x = layers.Permute { { 3, 1, 2 }, name = name .. "_channels_first" } (x)
  x = layers.ZeroPadding2D { { { new // 2, new - new // 2 }, { 0, 0 } }, name = name .. "_channels" } (x)
  return layers.Permute { { 2, 3, 1 }, name = name .. "_channels_last" } (x)
end

local function small_block(x, filters, stride, name)
  local shortcut = stride > 1 and shortcut_without_weights(x, filters, name) or x
  x = convolve3(x, filters, stride, name .. "_1")
  x = layers.Activation { "relu", name = name .. "_1_relu" } (x)
  x = convolve3(x, filters, 1, name .. "_2")
  return add_and_activate(shortcut, x, name)
end

--- depth = 6 n + 2: three stacks of n blocks with 16, 32 and 64 filters.
local function cifar_resnet(depth)
  return function(options)
    local input = dlua.Input { shape = options.input_shape }
    local x = convolve3(input, 16, 1, "conv1")
    x = layers.Activation { "relu", name = "conv1_relu" } (x)
    for stack = 1, 3 do
      for k = 1, (depth - 2) // 6 do
        local stride = (k == 1 and stack > 1) and 2 or 1
        x = small_block(x, 8 << stack, stride, ("stack%d_block%d"):format(stack, k))
      end
    end
    x = layers.GlobalAveragePooling2D { name = "avg_pool" } (x)
    x = layers.Dense { options.classes, activation = options.classifier_activation, name = "predictions" } (x)
    return dlua.Model { inputs = input, outputs = x, name = options.name }
  end
end

return function(define)
  local keras_stem = { use_bias = true, epsilon = 1.001e-5, initializer = "glorot_uniform" }
  local torchvision_stem = { use_bias = false, epsilon = 1e-5, initializer = "he_normal" }
  for _, row in ipairs {
    { 18, basic, { 2, 2, 2, 2 }, torchvision_stem, "as torchvision's; 11,689,512 trainable weights" },
    { 34, basic, { 3, 4, 6, 3 }, torchvision_stem, "as torchvision's; 21,797,672 trainable weights" },
    { 50, bottleneck, { 3, 4, 6, 3 }, keras_stem, "as Keras's; 25,636,712 weights" },
    { 101, bottleneck, { 3, 4, 23, 3 }, keras_stem, "as Keras's; 44,707,176 weights" },
    { 152, bottleneck, { 3, 8, 36, 3 }, keras_stem, "as Keras's; 60,419,944 weights" },
  } do
    define {
      name = "ResNet" .. row[1], help = ("Residual network of %d layers, %s."):format(row[1], row[5]), source = source,
      fields = fields.image_classifier { 224, 224, 3 }, build = resnet(row[2], row[3], row[4]),
    }
  end
  for _, depth in ipairs { 20, 32, 44, 56, 110 } do
    define {
      name = "ResNet" .. depth, help = ("Residual network of %d layers for small images."):format(depth),
      source = source .. ", section 4.2",
      fields = { fields.input_shape { 32, 32, 3 }, fields.classes(10), fields.classifier_activation, fields.name },
      build = cifar_resnet(depth),
    }
  end
end
