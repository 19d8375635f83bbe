--- Reads golden cases and compares results with them; README.md beside this file describes the format.
local dlua = require "dlua"

local golden = {}

local FOLDER = "tests/golden/" -- specs run in the top folder

--- Tolerances by dtype; "stored" runs have results of float32 or whole numbers.
local TOLERANCE = { float32 = 1e-5, float64 = 1e-10, stored = 1e-5 }
local WINOGRAD_TOLERANCE = 1e-4
--- What a relative comparison still forgives: float32's smallest numbers are flushed to zero.
local TINY = 1e-35

local File = {}
File.__index = File

--- The file NAME.safetensors: its `cases`, and the tensors that they name.
function golden.load(name)
  local tensors, metadata = dlua.io.load_safetensors(FOLDER .. name .. ".safetensors")
  return setmetatable({ name = name, tensors = tensors, cases = dlua.json.decode(metadata.cases) }, File)
end

--- A copy of a tensor by its name; floats that inputs are stored as become those of the run's dtype.
function File:input(name, dtype)
  local tensor = assert(self.tensors[name], name)
  if dtype ~= "stored" and tensor.dtype == "float32" then
    return tensor:to(dtype):clone()
  end
  return tensor:clone()
end

local CONSTRAINTS = { MaxNorm = true, MinMaxNorm = true, NonNeg = true, UnitNorm = true }

--- The options as a Lua user gives them: infinite numbers, and instances of regularizers and constraints.
function golden.options(case)
  local options = {}
  for name, value in pairs(case.options) do
    if value == "inf" then
      value = math.huge
    elseif type(value) == "table" and value.class then
      local fields = {}
      for field, number in pairs(value) do
        fields[field] = field ~= "class" and number or nil
      end
      value = (CONSTRAINTS[value.class] and dlua.constraints or dlua.regularizers)[value.class](fields)
    end
    options[name] = value
  end
  return options
end

--- Whether an entry of a case names a tensor; what JSON's null became does not.
function golden.is_name(entry)
  return type(entry) == "string"
end

local function shape_text(tensor)
  return "{" .. table.concat(tensor.shape, ", ") .. "}"
end

local function is_float(tensor)
  return tensor.dtype == "float32" or tensor.dtype == "float64"
end

--- The elements as a list of numbers.
local function elements(tensor)
  return tensor:reshape(-1):to(is_float(tensor) and "float64" or "int64"):totable()
end

local function root_mean_square(values)
  local sum, count = 0, 0
  for _, value in ipairs(values) do
    if value == value and math.abs(value) ~= math.huge then
      sum = sum + value * value
      count = count + 1
    end
  end
  return count > 0 and math.sqrt(sum / count) or 0
end

--- The first element of `got` that is not near enough to `want`, as a message; nil if all are.
local function difference(got, want, tolerance, is_relative)
  local floor = is_relative and TINY or tolerance * root_mean_square(want)
  for i, b in ipairs(want) do
    local a = got[i]
    local is_near = a == b or (a ~= a and b ~= b) or math.abs(a - b) <= tolerance * math.abs(b) + floor
    if not is_near then
      return string.format("element %d is %.17g, expected %.17g (rms %.3g)", i, a, b, root_mean_square(want))
    end
  end
end

--- Raises an error unless the tensor `got` is what the case says. is_exact: no allowance for Winograd.
function File:check(case, what, got, name, dtype, is_exact)
  local want = assert(self.tensors[name], name)
  local tolerance = dtype == "float32" and case.tolerance or TOLERANCE[dtype]
  if case.winograd and dtype == "float32" and not is_exact then
    tolerance = WINOGRAD_TOLERANCE
  end
  if shape_text(got) ~= shape_text(want) then
    error(string.format("%s (%s): %s has shape %s, expected %s", case.id, dtype, what, shape_text(got),
      shape_text(want)), 2)
  end
  local expected_dtype = is_float(want) and dtype ~= "stored" and dtype or want.dtype
  if got.dtype ~= expected_dtype then
    error(string.format("%s (%s): %s is %s, expected %s", case.id, dtype, what, got.dtype, expected_dtype), 2)
  end
  local message
  if is_float(want) then
    message = difference(elements(got), elements(want:to(expected_dtype)), tolerance, case.relative)
  else
    message = difference(elements(got), elements(want), 0, true)
  end
  if message then
    error(string.format("%s (%s): %s: %s", case.id, dtype, what, message), 2)
  end
end

--- The tensors of a case's `inputs` for one run, and the arguments made of them: views, numbers and lists too.
-- leaves has the tensor that each name stands for; those that the case has a gradient for ask for it.
function File:arguments(case, dtype)
  local leaves = {}
  local function argument(entry, gradient)
    if type(entry) == "number" then
      return entry
    end
    local name = type(entry) == "table" and entry.tensor or entry
    if golden.is_name(name) then
      leaves[name] = self:input(name, dtype)
      if golden.is_name(gradient) then
        leaves[name]:requires_grad_()
      end
      return entry == name and leaves[name] or leaves[name]:permute(table.unpack(entry.permute))
    end
    local list = {}
    for i, item in ipairs(entry) do
      list[i] = argument(item, type(gradient) == "table" and gradient[i])
    end
    return list
  end
  local arguments = {}
  for i, entry in ipairs(case.inputs) do
    arguments[i] = argument(entry, case.grads and case.grads.inputs[i])
  end
  return arguments, leaves
end

--- Compares the outputs, a list, and, if the case has them, the gradients of the leaves.
function File:check_call(case, dtype, outputs, leaves, is_exact)
  for i, name in ipairs(case.outputs) do
    self:check(case, "result " .. i, assert(outputs[i], case.id), name, dtype, is_exact)
  end
  if not case.grad_outputs then
    return
  end
  for i, name in ipairs(case.grad_outputs) do
    if golden.is_name(name) then
      outputs[i]:backward(self:input(name, dtype))
    end
  end
  local function check(entry, gradient)
    local name = type(entry) == "table" and entry.tensor or entry
    if golden.is_name(gradient) then
      assert(leaves[name].grad, case.id .. ": no gradient of " .. name)
      self:check(case, "the gradient of " .. name, leaves[name].grad, gradient, dtype, is_exact)
    elseif type(gradient) == "table" then
      for i, item in ipairs(entry) do
        check(item, gradient[i])
      end
    end
  end
  for i, entry in ipairs(case.inputs) do
    check(entry, case.grads.inputs[i])
  end
end

return golden
