--- Architectures that the field's papers made famous, as models that are trained and saved like any other:
--
--     local model = dlua.applications.ResNet50 { classes = 10, input_shape = {64, 64, 3} }
--
-- Each constructor takes one table of named arguments and returns a model that is not compiled. Weights are initialized
-- at random. The names and defaults are those of Keras's applications where Keras has the architecture.
local dlua = require "dlua"

local applications = dlua.strict_table("dlua.applications")

--- Makes a constructor of definition.build(options), where the options were checked against definition.fields.
local function define(definition)
  local help = definition.source and definition.help .. " " .. definition.source .. "." or definition.help
  local check = dlua.arguments(definition.name, definition.fields, help)
  local function construct(arguments)
    return definition.build(check(arguments or {}))
  end
  dlua.set_help(construct, check)
  applications[definition.name] = construct
end

for _, part in ipairs { "images", "resnet", "mobilenet", "sequences", "transformers" } do
  require("dlua.applications." .. part)(define)
end

return applications
