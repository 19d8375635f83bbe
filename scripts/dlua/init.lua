--- The module dlua as `require "dlua"` returns it: the C side's table. The library's files are its parts, loaded when
-- they are first asked for, so that a program which only needs tensors starts at once:
--
--   dlua.NAME is what the file NAME.lua or NAME/init.lua beside this one returns;
--   the methods of models that are written in Lua come from model.lua, which adds them to dlua.Model.
local dlua = ...

local function library_has(name)
  return dlua.has_resource(name .. ".lua") or dlua.has_resource(name .. "/init.lua")
end

local function refuse(what, name, names)
  local nearest = type(name) == "string" and dlua.nearest(name, names)
  dlua.raise(string.format("%s has no '%s'%s", what, tostring(name),
    nearest and string.format("; did you mean '%s'?", nearest) or ""))
end

--- A table for named things whose missing names are errors that name the nearest.
function dlua.strict_table(what)
  local names = {}
  return setmetatable(names, {
    __index = function(_, name)
      refuse(what, name, names)
    end,
  })
end

setmetatable(dlua, {
  __index = function(_, name)
    if type(name) == "string" and name:match("^%l[%w_]*$") and library_has(name) then
      local part = require("dlua." .. name)
      rawset(dlua, name, part)
      return part
    end
    refuse("dlua", name, dlua)
  end,
})

local model_class = getmetatable(dlua.Model)

function model_class.__index(class, name)
  model_class.__index = function(_, other)
    refuse("a model", other, class)
  end
  if library_has("model") then
    require "dlua.model"
  end
  return class[name]
end
