--- dlua new NAME: makes the folder NAME with a small project that trains at once
local dlua = require "dlua"
local folder = ...
if folder == nil then
  error("usage: dlua new NAME", 0)
end

local files = { "train.lua", "predict.lua" }
for _, name in ipairs(files) do
  local file <close> = io.open(folder .. "/" .. name)
  if file then
    error(("%s/%s is there already; give another name, or move it away"):format(folder, name), 0)
  end
end
dlua.io.make_folders(folder .. "/")
for _, name in ipairs(files) do
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  assert(file:write(dlua.resource("skeleton/" .. name)))
end
print(("made %s. Next:\n  cd %s\n  dlua train.lua      # trains, and writes model.safetensors\n"
  .. "  dlua predict.lua    # what the model says of images that it has not seen"):format(
  table.concat({ folder .. "/train.lua", folder .. "/predict.lua" }, " and "), folder))
