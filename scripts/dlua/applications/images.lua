--- The classic networks for images without skip connections: MLP, LeNet-5, AlexNet and VGG.
local dlua = require "dlua"
local fields = require "dlua.applications.fields"
local layers = dlua.layers

local function mlp(options)
  local list = { layers.Flatten { input_shape = options.input_shape } }
  for _, units in ipairs(options.units) do
    list[#list + 1] = layers.Dense { units, activation = options.activation }
    if options.dropout > 0 then
      list[#list + 1] = layers.Dropout { options.dropout }
    end
  end
  list[#list + 1] = layers.Dense { options.classes, activation = options.classifier_activation }
  list.name = options.name
  return dlua.Sequential(list)
end

--- Average pooling and full connections between the channels of the second convolution, as later descriptions have it;
-- the first convolution pads 28x28 images to the paper's 32x32.
local function lenet5(options)
  return dlua.Sequential {
    name = options.name,
    layers.Conv2D { 6, 5, padding = "same", activation = options.activation, input_shape = options.input_shape },
    layers.AveragePooling2D { 2 },
    layers.Conv2D { 16, 5, activation = options.activation },
    layers.AveragePooling2D { 2 },
    layers.Flatten {},
    layers.Dense { 120, activation = options.activation },
    layers.Dense { 84, activation = options.activation },
    layers.Dense { options.classes, activation = options.classifier_activation },
  }
end

local function alexnet(options)
  return dlua.Sequential {
    name = options.name,
    layers.ZeroPadding2D { 2, input_shape = options.input_shape },
    layers.Conv2D { 64, 11, strides = 4, activation = "relu" },
    layers.MaxPooling2D { 3, strides = 2 },
    layers.Conv2D { 192, 5, padding = "same", activation = "relu" },
    layers.MaxPooling2D { 3, strides = 2 },
    layers.Conv2D { 384, 3, padding = "same", activation = "relu" },
    layers.Conv2D { 256, 3, padding = "same", activation = "relu" },
    layers.Conv2D { 256, 3, padding = "same", activation = "relu" },
    layers.MaxPooling2D { 3, strides = 2 },
    layers.Flatten {},
    layers.Dropout { options.dropout },
    layers.Dense { 4096, activation = "relu" },
    layers.Dropout { options.dropout },
    layers.Dense { 4096, activation = "relu" },
    layers.Dense { options.classes, activation = options.classifier_activation },
  }
end

--- convolutions[k]: how many of 3x3 stand in block k, each block followed by a pooling.
local function vgg(convolutions)
  return function(options)
    local input = dlua.Input { shape = options.input_shape }
    local x = input
    for block, count in ipairs(convolutions) do
      local filters = math.min(32 << block, 512)
      for k = 1, count do
        x = layers.Conv2D { filters, 3, padding = "same", activation = "relu",
          name = ("block%d_conv%d"):format(block, k) } (x)
      end
      x = layers.MaxPooling2D { 2, name = ("block%d_pool"):format(block) } (x)
    end
    if options.include_top then
      x = layers.Flatten { name = "flatten" } (x)
      x = layers.Dense { 4096, activation = "relu", name = "fc1" } (x)
      x = layers.Dense { 4096, activation = "relu", name = "fc2" } (x)
      x = layers.Dense { options.classes, activation = options.classifier_activation, name = "predictions" } (x)
    else
      x = fields.without_top(x, options)
    end
    return dlua.Model { inputs = input, outputs = x, name = options.name }
  end
end

return function(define)
  define {
    name = "MLP", help = "Dense layers one after another.",
    fields = {
      { name = "units", kind = "ints", default = { 128 }, min = 1, help = "sizes of the hidden layers" },
      { name = "input_shape", kind = "ints", default = { 28, 28, 1 }, min = 1,
        help = "of a sample, which is flattened" },
      fields.classes(10),
      { name = "activation", kind = "object", family = "activation", default = "relu", help = "of the hidden layers" },
      { name = "dropout", kind = "real", default = 0, min = 0, max = 1, help = "rate after each hidden layer" },
      fields.classifier_activation,
      fields.name,
    },
    build = mlp,
  }
  define {
    name = "LeNet5", help = "The network that read handwritten digits; 61,706 weights.",
    source = "LeCun et al. 1998, Gradient-based learning applied to document recognition",
    fields = {
      fields.input_shape { 28, 28, 1 },
      fields.classes(10),
      { name = "activation", kind = "object", family = "activation", default = "tanh", help = "of the hidden layers" },
      fields.classifier_activation,
      fields.name,
    },
    build = lenet5,
  }
  define {
    name = "AlexNet", help = "AlexNet in one tower, without local response normalization; 61,100,840 weights.",
    source = "Krizhevsky et al. 2012; one tower as in Krizhevsky 2014, One weird trick for parallelizing "
      .. "convolutional neural networks",
    fields = {
      fields.input_shape { 224, 224, 3 },
      fields.classes(1000),
      { name = "dropout", kind = "real", default = 0.5, min = 0, max = 1,
        help = "rate before each hidden Dense layer" },
      fields.classifier_activation,
      fields.name,
    },
    build = alexnet,
  }
  local vgg_source = "Simonyan & Zisserman 2015, Very deep convolutional networks for large-scale image recognition"
  define {
    name = "VGG16", help = "16 layers with weights, all convolutions 3x3; 138,357,544 weights.", source = vgg_source,
    fields = fields.image_classifier { 224, 224, 3 }, build = vgg { 2, 2, 3, 3, 3 },
  }
  define {
    name = "VGG19", help = "19 layers with weights, all convolutions 3x3; 143,667,240 weights.", source = vgg_source,
    fields = fields.image_classifier { 224, 224, 3 }, build = vgg { 2, 2, 4, 4, 4 },
  }
end
