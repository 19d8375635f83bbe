--- require "dlua.strict": from then on, reading a global that was never given a value is an error, so that a
-- misspelt name shows where it stands; and so is giving a value, inside a function, to a global that does not exist: a
-- `local` is missing there. The main part of a script, and of a module, may make globals; so may
-- rawset(_G, name, value) anywhere.

local globals = _G
local metatable = getmetatable(globals) or {}
local index_before, newindex_before = metatable.__index, metatable.__newindex

function metatable.__index(_, name)
  if type(index_before) == "function" then
    local value = index_before(globals, name)
    if value ~= nil then
      return value
    end
  elseif index_before and index_before[name] ~= nil then
    return index_before[name]
  end
  error(string.format("undefined variable '%s'", tostring(name)), 2)
end

function metatable.__newindex(_, name, value)
  local caller = debug.getinfo(2, "S") -- nil where a host sets a global with no function running
  if caller and caller.what ~= "main" and caller.what ~= "C" then
    error(string.format("assignment to undefined variable '%s' inside a function: write `local %s`, or give it a value "
      .. "outside first", tostring(name), tostring(name)), 2)
  end
  if type(newindex_before) == "function" then
    newindex_before(globals, name, value)
  else
    rawset(newindex_before or globals, name, value)
  end
end

return setmetatable(globals, metatable)
