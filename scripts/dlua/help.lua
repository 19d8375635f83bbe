--- help(x): what is known of x, printed. x is a definition (dlua.layers.Dense), an instance of one, a function, a
-- method, a table of the library (dlua.losses), a name of any of them ("Dense", "fit", "dlua.losses"), or a topic
-- (topics.lua).
--
-- Nothing is described here: dlua.describe gives what definitions say, and what was noted beside each function, table
-- and property where it is registered. help.text(x) is the text that help prints.
local dlua = require "dlua"
local topics = require "dlua.topics"
require "dlua.model" -- adds what of models is written in Lua

local help = {}

-- ---- descriptions ---------------------------------------------------------------------------------------------------

--- "x: what", "dim = none: what", "{keepdim = false}: what" as a field.
local function parse_argument(line)
  local head, purpose = line:match("^(.-): (.*)$")
  local named = head:match("^{(.*)}$")
  local name, default = (named or head):match("^(%S+) = (.*)$")
  return {
    name = name or named or head, default_text = default, required = not default, named = named ~= nil, help = purpose,
  }
end

--- What dlua.describe knows of a value, with a list of `fields` if it is something that is called.
local function description_of(x)
  local description = dlua.describe(x)
  if description and description.arguments and not description.fields then
    local copy = setmetatable({ fields = {} }, { __index = description })
    for line in description.arguments:gmatch("[^\n]+") do
      table.insert(copy.fields, parse_argument(line))
    end
    return copy
  end
  return description
end

--- The arguments by position, then those by name only, with the inputs of an operation among the first.
local function arguments_of(description)
  local places, positional, named = {}, {}, {}
  for word in (description.order or ""):gmatch("%S+") do
    positional[#positional + 1] = false
    places[word] = #positional
  end
  local function place(argument)
    if argument.named then
      named[#named + 1] = argument
    elseif places[argument.name] then
      positional[places[argument.name]] = argument
    else
      positional[#positional + 1] = argument
    end
  end
  for input in (description.inputs or ""):gmatch("%S+") do
    local name, mark = input:match("^([%w_]+)([?*]?)$")
    place {
      name = name, shown = mark == "*" and "{" .. name .. "}" or name, required = mark ~= "?", default_text = "none",
    }
  end
  for _, field in ipairs(description.fields or {}) do
    place(field)
  end
  return positional, named
end

-- ---- text -----------------------------------------------------------------------------------------------------------

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

local function argument_text(argument)
  if argument.required then
    return argument.shown or argument.name
  end
  return argument.name .. " = " .. (argument.default_text or shown(argument.default))
end

--- Puts the parts after one another, broken into lines that fit.
local function wrap(line, parts, close)
  local lines = {}
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

--- "f(x, y, {option = 1})", or "Dense { units, activation = none, ... }" where one table takes all arguments.
local function signature(description)
  local positional, named = arguments_of(description)
  local is_call = description.family == "operation" or (description.arguments and #positional > 0)
    or #positional + #named == 0
  local parts = {}
  for _, list in ipairs { positional, named } do
    for place, argument in ipairs(list) do
      local text = argument_text(argument)
      if is_call and list == named then
        text = (place == 1 and "{" or "") .. text .. (place == #named and "}" or "")
      end
      parts[#parts + 1] = text
    end
  end
  local name = (description.of or "") .. description.name
  return wrap(name .. (is_call and "(" or " { "), parts, is_call and ")" or " }")
end

--- "  name  purpose" of each entry.
local function columns(entries)
  local width = 0
  for _, entry in ipairs(entries) do
    width = math.max(width, #entry[1])
  end
  local lines = {}
  for place, entry in ipairs(entries) do
    lines[place] = string.format("  %-" .. width .. "s  %s", entry[1], entry[2])
  end
  return lines
end

--- One line for each field: its name, what it is for, what it takes.
local function field_lines(fields)
  local entries = {}
  for place, field in ipairs(fields) do
    local purpose = field.help and field.help ~= "" and field.help
    local takes = field.takes and (purpose and " (" .. field.takes .. ")" or field.takes) or ""
    entries[place] = { field.name, (purpose or "") .. takes .. (field.takes and field.required and "; required" or "") }
  end
  return columns(entries)
end

--- The first line of what is known of a value.
local function one_line(x)
  local description = dlua.describe(x)
  return description and description.help and description.help:match("[^\n]*") or ""
end

--- The names of a table of the library and a line on each. Methods that work in place go with those that do not.
local function content_lines(content)
  local entries = {}
  for name, value in pairs(content) do
    local is_twin = type(name) == "string" and name:sub(-1) == "_" and rawget(content, name:sub(1, -2))
    if type(name) == "string" and not is_twin and dlua.describe(value) then
      entries[#entries + 1] = { name, one_line(value) }
    end
  end
  table.sort(entries, function(a, b)
    return a[1] < b[1]
  end)
  return columns(entries)
end

local function add(lines, label, text)
  if text then
    lines[#lines + 1] = label .. ": " .. text
  end
end

local function add_block(lines, label, block)
  if #block > 0 then
    lines[#lines + 1] = label .. ":"
    table.move(block, 1, #block, #lines + 1, lines)
  end
end

local function render(description, x)
  local name = (description.of or "") .. description.name
  local lines = { description.fields and signature(description) or name, description.help }
  add(lines, "formula", description.formula)
  add(lines, "shapes", description.shapes)
  add(lines, "source", description.source)
  add(lines, "also", description.aliases and description.aliases:gsub("|", ", "))
  if description.method then
    local first = description.inputs:match("^[%w_]+") or "t"
    add(lines, "method", string.format("%s:%s(...)%s", first, description.name,
      description.in_place and string.format(", and %s:%s_(...) in place", first, description.name) or ""))
  end
  add_block(lines, "arguments", field_lines(description.fields or {}))
  add_block(lines, "properties", field_lines(description.properties or {}))
  if type(x) == "table" and description.of then
    add_block(lines, description.properties and "methods" or "it holds", content_lines(x))
  end
  return table.concat(lines, "\n")
end

-- ---- names ----------------------------------------------------------------------------------------------------------

--- Makes every part of the library a field of dlua.
local function load_parts()
  for part in pairs(getmetatable(dlua).parts) do
    assert(dlua[part])
  end
end

--- Calls visit(path, name, value) for every public thing: dlua.X, what the tables of the library hold, other names of
-- definitions, and the properties of classes, whose value is a text.
local function walk(visit)
  load_parts()
  local function enter(from, prefix)
    for name, value in pairs(from) do
      if type(name) == "string" and dlua.describe(value) then
        local path = prefix .. name
        local description = dlua.describe(value)
        visit(path, name, value)
        for alias in (description.aliases or ""):gmatch("[^|]+") do
          visit(prefix .. alias, alias, value)
        end
        for _, property in ipairs(description.properties or {}) do
          visit(path .. "." .. property.name, property.name, path .. "." .. property.name .. ": " .. property.help)
        end
        if type(value) == "table" and description.of == prefix then
          enter(value, path .. ".")
        end
      end
    end
  end
  enter(dlua, "dlua.")
end

--- What has a name, as a list of {path =, value =}: "Dense", "layers.Dense", "model:fit", "dlua.losses"; a topic's
-- value is its text; and all names, as keys. Where nothing is spelt so, capitals do not matter.
local function find(text)
  local ending = "." .. text:gsub(":", "."):gsub("^dlua%.", ""):gsub("^model%.", "Model.")
  local found, alike, names = {}, {}, {}
  local function visit(path, name, value)
    names[name] = true
    local tail = ("." .. path):sub(-#ending)
    local list = tail == ending and found or tail:lower() == ending:lower() and alike
    if list then
      list[#list + 1] = { path = path, value = value }
    end
  end
  walk(visit)
  for _, topic in ipairs(topics) do
    local value = topic.functions and topic.text .. "\n" .. wrap("  ", topic.functions, "") or topic.text
    for _, name in ipairs(topic.names) do
      visit(name, name, value)
    end
  end
  found = found[1] and found or alike
  table.sort(found, function(a, b)
    return a.path < b.path
  end)
  return found, names
end

local texts_of_name

--- The object that stands for a value: the class of a tensor, of a model, of a callback.
local function stands_for(x)
  local class = getmetatable(x)
  if class == "dlua.Tensor" then
    return dlua.Tensor
  elseif class == "dlua.Model" then
    return dlua.Model
  end
  local is_instance = type(x) == "table" and type(class) == "table" and type(class.__index) == "table"
  return is_instance and not dlua.describe(x) and class.__index or x
end

--- The text that help(x) prints.
function help.text(x)
  if type(x) == "string" then
    return texts_of_name(x)
  end
  local value = stands_for(x)
  local description = description_of(value)
  return description and render(description, value)
end

--- The texts of all that has the name, each once.
function texts_of_name(name)
  local texts, seen = {}, {}
  for _, entry in ipairs((find(name))) do
    local text = type(entry.value) == "string" and entry.value or help.text(entry.value)
    if not seen[text] then
      seen[text] = true
      texts[#texts + 1] = text
    end
  end
  return texts[1] and table.concat(texts, "\n\n")
end

-- ---- help -----------------------------------------------------------------------------------------------------------

local introduction = [[
help(x) shows what is known of x: help(dlua.layers.Dense), help(dlua.matmul), help(model), or a name: help "fit".
What dlua holds:]]

--- The tables of dlua with a line on each, then the names of its functions and of the topics.
local function overview()
  local tables, functions, names, elsewhere = {}, {}, {}, {}
  load_parts()
  for place, topic in ipairs(topics) do
    names[place] = topic.names[1]
    for _, name in ipairs(topic.functions or {}) do
      elsewhere[name] = true
    end
  end
  for name, value in pairs(dlua) do
    if type(value) == "table" then
      tables[name] = value
    elseif dlua.describe(value) and not elsewhere[name] then
      functions[#functions + 1] = name
    end
  end
  table.sort(functions)
  local lines = content_lines(tables)
  return table.concat({
    introduction, table.concat(lines, "\n"), "and the functions", wrap("  ", functions, ""),
    "There is help on", wrap("  ", names, ""),
  }, "\n")
end

local function unknown(x)
  if type(x) ~= "string" then
    return string.format("nothing is known of %s", tostring(x))
  end
  local _, names = find(x)
  local wanted = x:match("[^.:]*$")
  local nearest = dlua.nearest(wanted, names)
  for name in pairs(names) do -- conv2d or Conv2D
    if nearest and name:lower() == nearest:lower() and name:sub(1, 1) == wanted:sub(1, 1) then
      nearest = name
    end
  end
  return string.format("there is no '%s'%s help() lists what there is.", x,
    nearest and string.format("; did you mean '%s'?", nearest) or ".")
end

dlua.set_help(help.text, {
  of = "dlua.help.", name = "text", arguments = "x: a value, or a name of something in dlua",
  help = "What help(x) prints, as a string; nil if nothing is known of x.",
})

return setmetatable(help, {
  __call = function(_, ...)
    if select("#", ...) == 0 then
      print(overview())
      return
    end
    local x = ...
    print(help.text(x) or unknown(x))
  end,
})
