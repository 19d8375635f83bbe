--- The arguments that several architectures for images share, and the ends of their graphs.
local dlua = require "dlua"
local layers = dlua.layers

local fields = {}

fields.name = { name = "name", kind = "string", help = "the model's name; from the architecture if none", none = true }

function fields.classes(default)
  return { name = "classes", kind = "integer", default = default, min = 1, help = "size of the output" }
end

function fields.input_shape(default)
  return { name = "input_shape", kind = "ints", default = default, min = 1,
    help = "height, width and channels of an image" }
end

fields.classifier_activation = {
  name = "classifier_activation", kind = "object", family = "activation", default = "softmax", none = true,
  help = "activation of the output; none gives logits",
}

--- The arguments of Keras's image classifiers. default_shape: of their input.
function fields.image_classifier(default_shape, more)
  local list = {
    { name = "include_top", kind = "boolean", default = true, help = "add the layers that classify" },
    fields.input_shape(default_shape),
    { name = "pooling", kind = "enum", choices = { "avg", "max" }, none = true,
      help = "without the top: reduce each channel to one number" },
    fields.classes(1000),
    fields.classifier_activation,
    fields.name,
  }
  return table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

--- The output without a top: as it is, or pooled.
function fields.without_top(x, options)
  if options.pooling == "avg" then
    return layers.GlobalAveragePooling2D {} (x)
  elseif options.pooling == "max" then
    return layers.GlobalMaxPooling2D {} (x)
  end
  return x
end

--- A mean over each channel and a Dense layer on it; or what `without_top` gives.
function fields.pooled_top(x, options)
  if not options.include_top then
    return fields.without_top(x, options)
  end
  x = layers.GlobalAveragePooling2D { name = "avg_pool" } (x)
  return layers.Dense { options.classes, activation = options.classifier_activation, name = "predictions" } (x)
end

return fields
