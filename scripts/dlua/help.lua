--- help(x): what the definition of a thing says, printed. x is a definition (layers.Dense), an instance of one, a
-- function or method of tensors (dlua.matmul, or its name "matmul"), or a function of the library.
--
-- Functions written in Lua are described with help.register; help.text(x) is the text that help prints.
local dlua = require "dlua"

local help = {}

--- Descriptions of Lua functions and tables, of the form that dlua.describe gives.
local registered = setmetatable({}, { __mode = "k" })

--- Describes a Lua function or table: {name =, help =, fields = {...}, formula =, source =, shapes =}. The fields are
-- declarations as dlua.arguments takes them.
function help.register(value, description)
  registered[value] = description
  return value
end

--- A field's value as a reader would write it.
local function shown(value)
  if type(value) == "string" then
    return string.format("%q", value)
  elseif value == nil or value == dlua.none then
    return "none"
  elseif type(value) == "table" then
    local parts = {}
    for place, entry in ipairs(value) do
      parts[place] = shown(entry)
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return tostring(value)
end

--- "Dense { units, activation = none, ... }", broken into lines that fit.
local function signature(description, open, close)
  local parts = {}
  for input in (description.inputs or ""):gmatch("%S+") do
    local name, mark = input:match("^([%w_]+)([?*]?)$")
    parts[#parts + 1] = mark == "?" and name .. " = none" or mark == "*" and "{" .. name .. "}" or name
  end
  for _, field in ipairs(description.fields or {}) do
    parts[#parts + 1] = field.required and field.name or field.name .. " = " .. shown(field.default)
  end
  local lines, line = {}, description.name .. open
  for place, part in ipairs(parts) do
    local piece = part .. (place < #parts and ", " or "")
    if #line + #piece > 100 then
      lines[#lines + 1] = line:gsub("%s+$", "")
      line = "    "
    end
    line = line .. piece
  end
  lines[#lines + 1] = line .. close
  return table.concat(lines, "\n")
end

--- One line for each field: its name, what it takes, what it is for.
local function field_lines(fields)
  local width = 0
  for _, field in ipairs(fields) do
    width = math.max(width, #field.name)
  end
  local lines = {}
  for _, field in ipairs(fields) do
    local takes = field.takes or field.kind
    local purpose = field.help and field.help ~= "" and field.help or nil
    lines[#lines + 1] = string.format("  %-" .. width .. "s  %s%s%s", field.name, purpose or takes,
      purpose and " (" .. takes .. ")" or "", field.required and "; required" or "")
  end
  return lines
end

local function add(lines, label, text)
  if text then
    lines[#lines + 1] = string.format("%s: %s", label, text)
  end
end

local function render(description)
  local is_call = description.inputs or description.is_function
  local lines = { signature(description, is_call and "(" or " { ", is_call and ")" or " }") }
  lines[#lines + 1] = description.help
  add(lines, "formula", description.formula)
  add(lines, "shapes", description.shapes)
  add(lines, "source", description.source)
  add(lines, "also", description.aliases and description.aliases:gsub("|", ", "))
  if description.method then
    local first = description.inputs:match("^[%w_]+") or "t"
    add(lines, "method", string.format("%s:%s(...)%s", first, description.name,
      description.in_place and string.format(", and %s:%s_(...) in place", first, description.name) or ""))
  end
  if description.fields and #description.fields > 0 then
    lines[#lines + 1] = "arguments:"
    table.move(field_lines(description.fields), 1, #description.fields, #lines + 1, lines)
  end
  return table.concat(lines, "\n")
end

--- The name of an operation by its function, as a value of dlua or a method of tensors.
local function operation_name(value)
  for _, from in ipairs { dlua, dlua.Tensor } do
    for name, candidate in pairs(from) do
      if candidate == value and dlua.describe(name) then
        return name
      end
    end
  end
  return nil
end

--- The text that help(x) prints; nil if nothing is known of x.
function help.text(x)
  local description = registered[x]
  if not description then
    description = dlua.describe(type(x) == "function" and operation_name(x) or x)
  end
  return description and render(description)
end

local overview = [[
help(x) shows what is known of x: a layer (help(dlua.layers.Dense)), a loss, an optimizer, a tensor function
(help(dlua.matmul) or help "matmul") ... These tables hold them:
  dlua.layers, dlua.activations, dlua.losses, dlua.metrics, dlua.optimizers, dlua.optimizers.schedules,
  dlua.initializers, dlua.regularizers
dlua.Tensor holds the methods of tensors, dlua.Model those of models.]]

return setmetatable(help, {
  __call = function(_, ...)
    if select("#", ...) == 0 then
      print(overview)
      return
    end
    local x = ...
    print(help.text(x) or string.format("nothing is known of %s", tostring(x)))
  end,
})
