--- What several specs use.
local dlua = require "dlua"

local support = {}

--- The message of an error that f raises; fails if it raises none.
function support.message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "an error was expected")
  return tostring(message)
end

--- The message of an error that f raises, without its place. Errors show the user's own line, so the place must be in
-- the file that asks, or in this one if f is a function in C, which is called from here.
function support.message_here(f, ...)
  local caller = debug.getinfo(f, "S").what == "C" and 1 or 2
  local file = debug.getinfo(caller, "S").short_src
  local place, rest = support.message_of(f, ...):match("^(.-):%d+: (.*)$")
  assert(place == file, "the error is placed in " .. tostring(place) .. ", not in " .. file)
  return rest
end

--- True if two tensors have the same shape and the same bits.
function support.same_bits(a, b)
  if a.dtype ~= b.dtype or table.concat(a.shape, ",") ~= table.concat(b.shape, ",") then
    return false
  end
  return dlua.no_grad(function()
    return a:detach():eq(b:detach()):all():item()
  end)
end

--- True if all weights of two models have the same bits.
function support.same_weights(a, b)
  local first, second = a:get_weights(), b:get_weights()
  if #first ~= #second then
    return false
  end
  for index, weight in ipairs(first) do
    if not support.same_bits(weight, second[index]) then
      return false
    end
  end
  return true
end

--- Images and labels of the digits, scaled to 0..1: x_train, y_train, x_test, y_test.
function support.digits(count)
  local train, test = dlua.datasets.digits.load()
  local rows = { { 1, count or train.x:size(1) } }
  return train.x[rows]:float() / 16, train.y[rows], test.x:float() / 16, test.y
end

--- A small dense network for the digits, compiled.
function support.dense_model(options)
  local layers = dlua.layers
  local model = dlua.Sequential {
    layers.Flatten { input_shape = { 8, 8 } },
    layers.Dense { 16, activation = "relu" },
    layers.Dropout { 0.2 },
    layers.Dense { 10, activation = "softmax" },
  }
  model:compile {
    optimizer = options and options.optimizer or "adam", loss = "sparse_categorical_crossentropy",
    metrics = { "accuracy" },
  }
  return model
end

--- A small convolutional network for the digits, with every kind of state: moving statistics, dropout, Adam.
function support.conv_model()
  local layers = dlua.layers
  local model = dlua.Sequential {
    layers.Reshape { { 8, 8, 1 }, input_shape = { 8, 8 } },
    layers.Conv2D { 8, { 3, 3 }, activation = "relu" },
    layers.MaxPooling2D { { 2, 2 } },
    layers.BatchNormalization {},
    layers.Flatten {},
    layers.Dropout { 0.3 },
    layers.Dense { 10, activation = "softmax" },
  }
  model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
  return model
end

--- The path of the interpreter that runs these specs.
function support.program()
  local pipe = assert(io.popen "readlink -f /proc/$PPID/exe")
  local path = pipe:read "l"
  pipe:close()
  return path
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end
support.quoted = quoted

--- Runs Lua code in a new process of the program; returns its output, and whether it ended well.
-- @param environment  a table of variables, or nil
function support.run(code, environment)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(code)
  file:close()
  local variables = {}
  for name, value in pairs(environment or {}) do
    variables[#variables + 1] = name .. "=" .. quoted(value)
  end
  local command = ("env %s %s %s 2>&1"):format(table.concat(variables, " "), quoted(support.program()), quoted(path))
  local pipe = assert(io.popen(command))
  local output = pipe:read "a"
  local ok = pipe:close()
  os.remove(path)
  return output, ok == true
end

--- A new empty folder; the caller removes it with support.remove_folder.
function support.folder()
  local pipe = assert(io.popen "mktemp -d")
  local path = pipe:read "l"
  pipe:close()
  return path
end

function support.remove_folder(path)
  os.execute("rm -rf " .. quoted(path))
end

return support
