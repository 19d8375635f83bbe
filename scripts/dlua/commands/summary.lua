--- dlua summary FILE [LUA-FILE ...]: the layers of a saved model; Lua files define layers of it
local dlua = require "dlua"
local path = ...
if path == nil then
  error("usage: dlua summary FILE [LUA-FILE ...]", 0)
end
for place = 2, select("#", ...) do
  dofile((select(place, ...)))
end
dlua.load_model(path):summary()
