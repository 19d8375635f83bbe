--- The module dlua as `require "dlua"` returns it: the C side's table. The library's files are its parts, loaded when
-- they are first asked for, so that a program which only needs tensors starts at once:
--
--   dlua.NAME is what the file NAME.lua or NAME/init.lua beside this one returns, for each NAME of `parts`;
--   the methods of models that are written in Lua come from model.lua, which adds them to dlua.Model.
local dlua = ...

--- The parts that a script may use, with what help says of them; the metatable of dlua shows them to help.
local parts = {
  applications = "Architectures that the field's papers made famous.",
  callbacks = "Objects that fit tells what happens: early stopping, checkpoints, learning rates.",
  datasets = "Real data to train on.",
  help = "help(x) shows what is known of x: a value, or a name in quotes. help.text(x) returns it as a string.",
}

local function library_has(name)
  return dlua.has_resource(name .. ".lua") or dlua.has_resource(name .. "/init.lua")
end

local function refuse(what, name, names)
  local nearest = type(name) == "string" and dlua.nearest(name, names)
  dlua.raise(string.format("%s has no '%s'%s", what, tostring(name),
    nearest and string.format("; did you mean '%s'?", nearest) or ""))
end

--- A table for named things whose missing names are errors that name the nearest.
function dlua.strict_table(what, names)
  names = names or {}
  return setmetatable(names, {
    __index = function(_, name)
      refuse(what, name, names)
    end,
  })
end
dlua.set_help(dlua.strict_table, {
  of = "dlua.", name = "strict_table",
  arguments = "what: the table's name, for messages\nnames = none: the table; a new one if none",
  help = "A table of which reading a name that it does not have is an error with the nearest one.",
})

for _, name in ipairs { "data", "io", "json" } do
  dlua.strict_table("dlua." .. name, dlua[name])
end

setmetatable(dlua, {
  __index = function(_, name)
    if parts[name] then
      local part = require("dlua." .. name)
      dlua.set_help(part, { of = "dlua.", name = name, help = parts[name] })
      rawset(dlua, name, part)
      return part
    end
    local names = {}
    for _, from in ipairs { dlua, parts } do
      for known in pairs(from) do
        names[known] = true
      end
    end
    refuse("dlua", name, names)
  end,
  parts = parts,
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
