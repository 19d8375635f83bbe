-- lua5.4 tests/lint/layers.lua [FOLDER]
--
-- Everything points down: a file of the engine includes only from its own layer or from lower ones, the engine knows
-- no Lua, the public headers stand alone, and the bindings do no arithmetic. Prints each breach as file:line: text and
-- fails if there is one, or if it found no file to look at.

local root = arg[1] or "."

-- From the lowest to the highest. Within one layer any file may include any other.
local layers = { "base", "kernels", "tensor", "autograd", "ops", "io", "data", "text", "nn" }

local rank = {}
for position, name in ipairs(layers) do
  rank[name] = position
end

-- A public header (engine/include/dlua/NAME) stands in the layer of its name, or in the one given here.
local layer_of_public_header = { ["dlua.h"] = "nn", ["definition.h"] = "base", ["op.h"] = "autograd",
  ["layers.h"] = "nn", ["recurrent.h"] = "nn", ["attention.h"] = "ops", ["transformer.h"] = "nn",
  ["losses.h"] = "nn", ["optimizers.h"] = "nn" }
for _, name in ipairs(layers) do
  layer_of_public_header[name .. ".h"] = name
end

local lua_headers = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["luaconf.h"] = true,
  ["lua.hpp"] = true }

-- What only a kernel or an operation calls.
local kernel_work = { dl_parallel = true, dl_parallel_commit = true, dl_threads_for = true, dl_kernel = true }

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

--- The layer of an engine's file by its path, and whether the file is a public header.
local function layer_of_file(path)
  local public_name = path:match("^engine/include/dlua/([^/]+)$")
  if public_name then
    return layer_of_public_header[public_name], true
  end
  local layer = path:match("^engine/([%w_]+)/")
  return rank[layer] and layer, false
end

--- The engine's file that an include names, as a path from the root; nil for a header from elsewhere.
local function included_file(includer, name)
  local candidates = { "engine/include/" .. name, "engine/" .. name, includer:match("^(.*/)") .. name }
  for _, path in ipairs(candidates) do
    if exists(path) then
      return path
    end
  end
  return nil
end

local function check_include(path, line_number, delimiter, name)
  local own_layer, is_public = layer_of_file(path)
  if lua_headers[name:match("[^/]+$")] then
    report(path, line_number, "the engine knows no Lua, but includes %s", name)
    return
  elseif name:find("..", 1, true) then
    report(path, line_number, "%s climbs out of its folder; name the file from engine/ on", name)
    return
  end
  local target = included_file(path, name)
  if not target then
    if delimiter == '"' then
      report(path, line_number, "%s is no file of the engine; a header from elsewhere goes between < and >", name)
    end
    return
  end
  local layer, target_is_public = layer_of_file(target)
  if is_public and not target_is_public then
    report(path, line_number, "a public header includes the internal %s", name)
  elseif layer and rank[layer] > rank[own_layer] then
    report(path, line_number, "%s is in the layer %s, above this file's %s; allowed here: %s", name, layer, own_layer,
      table.concat(layers, ", ", 1, rank[own_layer]))
  end
end

local function check_engine_file(path)
  if not layer_of_file(path) then
    report(path, 1, "in no layer of the engine; the layers are %s; a public header of another name is " ..
      "listed in this check", table.concat(layers, ", "))
    return
  end
  local line_number = 0
  for line in lines_of(without_comments(read_file(path))) do
    line_number = line_number + 1
    local delimiter, name = line:match('^%s*#%s*include%s*([<"])([^>"]+)')
    if name then
      check_include(path, line_number, delimiter, name)
    end
  end
end

local function check_bindings_file(path)
  local line_number = 0
  for line in lines_of(without_comments(read_file(path))) do
    line_number = line_number + 1
    for word in line:gmatch("[%a_][%w_]*") do
      if kernel_work[word] then
        report(path, line_number, "the bindings do no arithmetic, but use %s; an operation of the engine does it", word)
      end
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
