--- require "dlua.strict": from then on, reading a global that was never given a value is an error, so that a misspelt
-- name shows where it stands. Giving a global a value stays as it is.

local globals = _G
local metatable = getmetatable(globals) or {}
local index_before = metatable.__index

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

return setmetatable(globals, metatable)
