-- lua5.4 tests/lint/layers.lua [FOLDER]
--
-- Everything points down: a file of the engine includes only from its own layer or from lower ones, the engine knows
-- no Lua, the public headers stand alone, and the bindings do no arithmetic. Prints each breach as file:line: text and
-- fails if there is one, or if it found no file to look at.

local root = arg[1] or "."

-- From the lowest to the highest. Within one layer any file may include any other.
local layers = { "include", "base", "kernels", "tensor", "autograd", "ops", "io", "data", "nn" }

local rank = {}
for position, name in ipairs(layers) do
  rank[name] = position
end

local lua_headers = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["luaconf.h"] = true,
  ["lua.hpp"] = true }

local breaches = 0

local function report(path, line_number, ...)
  breaches = breaches + 1
  io.stderr:write(path, ":", line_number, ": ", string.format(...), "\n")
end

local function quoted(path)
  return "'" .. path:gsub("'", "'\\''") .. "'"
end

--- The C sources and headers below a folder of the root, as paths from the root.
local function c_files(folder)
  local command = "cd " .. quoted(root) .. " && find " .. folder .. " -name '*.[ch]' -type f | LC_ALL=C sort"
  local listing <close> = assert(io.popen(command))
  local paths = {}
  for path in listing:lines() do
    paths[#paths + 1] = path
  end
  return paths
end

local function read_file(path)
  local file <close> = assert(io.open(root .. "/" .. path, "rb"))
  return file:read("a")
end

local function exists(path)
  local file <close> = io.open(root .. "/" .. path, "rb")
  return file ~= nil
end

--- The text with its comments blanked out, so that a word in a sentence is not taken for code; lines stay in place.
local function without_comments(text)
  local function blank(comment)
    return (comment:gsub("[^\n]", " "))
  end
  return (text:gsub("/%*.-%*/", blank):gsub("//[^\n]*", blank))
end

local function lines_of(text)
  return text:gmatch("([^\n]*)\n?")
end

--- The layer that an included name belongs to, nil for a header of the system or of another library.
local function layer_of_include(includer_folder, delimiter, name)
  if name:match("^dlua/") then
    return "include"
  elseif delimiter == "<" then
    return nil
  end
  local first = name:match("^([%w_]+)/")
  if first and rank[first] then
    return first
  elseif exists(includer_folder .. "/" .. name) then
    return includer_folder:match("^engine/([%w_]+)")
  end
  return nil
end

local function check_include(path, line_number, own_layer, delimiter, name)
  local folder = path:match("^(.*)/")
  if lua_headers[name:match("[^/]+$")] then
    report(path, line_number, "the engine knows no Lua, but includes %s", name)
    return
  end
  if name:find("..", 1, true) then
    report(path, line_number, "%s climbs out of its folder; name the file from engine/ on", name)
    return
  end
  local layer = layer_of_include(folder, delimiter, name)
  if layer and rank[layer] > rank[own_layer] then
    report(path, line_number, "%s is in the layer %s, above this file's %s; allowed here: %s", name, layer, own_layer,
      table.concat(layers, ", ", 1, rank[own_layer]))
  elseif not layer and delimiter == '"' then
    report(path, line_number, "%s is in no layer of the engine; a header of another library goes between < and >", name)
  elseif not layer and own_layer == "include" and exists("engine/" .. name) then
    report(path, line_number, "a public header includes the internal %s", name)
  end
end

local function check_engine_file(path)
  local own_layer = path:match("^engine/([%w_]+)/")
  if not own_layer or not rank[own_layer] then
    report(path, 1, "in no layer of the engine; the layers are %s", table.concat(layers, ", "))
    return
  end
  local line_number = 0
  for line in lines_of(without_comments(read_file(path))) do
    line_number = line_number + 1
    local delimiter, name = line:match('^%s*#%s*include%s*([<"])([^>"]+)')
    if name then
      check_include(path, line_number, own_layer, delimiter, name)
    end
  end
end

local function check_bindings_file(path)
  local line_number = 0
  for line in lines_of(without_comments(read_file(path))) do
    line_number = line_number + 1
    if line:find("cblas_", 1, true) then
      report(path, line_number, "the bindings do no arithmetic, but call BLAS")
    elseif line:match("^%s*#%s*pragma%s+omp") then
      report(path, line_number, "the bindings do no arithmetic, but open a parallel region")
    end
  end
end

local engine_files = c_files("engine")
local bindings_files = c_files("bindings")
for _, path in ipairs(engine_files) do
  check_engine_file(path)
end
for _, path in ipairs(bindings_files) do
  check_bindings_file(path)
end

if #engine_files == 0 or #bindings_files == 0 then
  io.stderr:write("found no C file below engine or below bindings in ", root, "\n")
  os.exit(1)
end
print(string.format("%d files of the engine and %d of the bindings: %d breaches", #engine_files, #bindings_files,
  breaches))
os.exit(breaches == 0 and 0 or 1)
