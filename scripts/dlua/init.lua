--- The module dlua as `require "dlua"` returns it: the C side's table, to which the library's parts are added.
-- Parts are loaded when they are first asked for, so that a program which only needs tensors starts at once.
local dlua = ...

--- Parts of the library that are modules of their own: dlua.NAME is require "dlua.NAME".
local parts = {}

setmetatable(dlua, {
  __index = function(_, name)
    local file = parts[name]
    if not file then
      return nil
    end
    local part = require(file)
    rawset(dlua, name, part)
    return part
  end,
})
