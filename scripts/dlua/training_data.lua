--- What `fit`, `evaluate` and `predict` are given, in one form: lists of tensors by input and by output, cut into
-- batches of rows.
local dlua = require "dlua"

local training_data = {}

--- The name of a value's class or type: "dlua.Tensor", "string" ...
local function describe(value)
  local class = type(value) == "userdata" and getmetatable(value)
  return type(class) == "string" and class or type(value)
end

local function is_tensor(value)
  return describe(value) == "dlua.Tensor"
end

training_data.is_tensor = is_tensor

--- Refuses a method's self that is no model: the method was called with a dot.
function training_data.check_self(model, where)
  if describe(model) ~= "dlua.Model" then
    dlua.raise(("%s: call it with a colon, model:%s (got a %s in place of the model)"):format(where, where,
      describe(model)))
  end
end

--- The names of a model's inputs or outputs; a model that is not built yet has one, called `single`.
function training_data.names(names, single)
  return #names > 0 and names or { single }
end

--- Refuses entries of a table that are neither one of the names nor a place in their list.
function training_data.check_names(value, names, what, where)
  local known = {}
  for index, name in ipairs(names) do
    known[name], known[index] = true, true
  end
  for key in pairs(value) do
    if not known[key] and math.type(key) == "integer" then
      dlua.raise(("%s: argument '%s' holds %d tensors, but the model takes %d: %s")
        :format(where, what, #value, #names, table.concat(names, ", ")))
    elseif not known[key] then
      dlua.raise(("%s: argument '%s' has an entry '%s' that the model does not know; it has %s")
        :format(where, what, tostring(key), table.concat(names, ", ")))
    end
  end
end

--- A list of strings as the tensor of them (dlua.strings); other values as they are.
local function from_strings(value)
  if type(value) == "table" and type(value[1]) == "string" then
    return dlua.strings(value)
  end
  return value
end

--- Returns a list of `count` entries from one tensor, a list, or a table by name. Lists of strings become tensors.
-- @param value     what the user gave
-- @param names     the names of the model's inputs or outputs, in order
-- @param what      "x" or "y", for messages
-- @param where     the function, for messages
-- @param optional  entries may be missing (an output without a loss)
function training_data.list(value, names, what, where, optional)
  if value == nil then
    return nil
  end
  value = from_strings(value)
  if is_tensor(value) then
    value = { value }
  elseif type(value) ~= "table" then
    dlua.raise(("%s: argument '%s' must be a tensor, a list of tensors or a table of tensors by name (got a %s)")
      :format(where, what, describe(value)))
  end
  local list = {}
  for index, name in ipairs(names) do
    list[index] = value[index]
    if list[index] == nil then
      list[index] = value[name]
    end
    list[index] = from_strings(list[index])
    if list[index] == nil and not optional then
      dlua.raise(("%s: argument '%s' lacks an entry for '%s' (the model has %d: %s)")
        :format(where, what, name, #names, table.concat(names, ", ")))
    elseif list[index] ~= nil and not is_tensor(list[index]) then
      dlua.raise(("%s: argument '%s' for '%s' must be a tensor (got a %s)")
        :format(where, what, name, describe(list[index])))
    end
  end
  training_data.check_names(value, names, what, where)
  return list
end

--- "'x'", or of several tensors "'x' for 'name'".
local function label(entry, index)
  return entry.names and #entry.names > 1 and ("'%s' for '%s'"):format(entry.name, entry.names[index])
    or ("'%s'"):format(entry.name)
end

--- The number of rows that all tensors of the lists share.
-- @param lists  of {name = "x", tensors = {...}, names = of the inputs or outputs}
function training_data.count(where, lists)
  local count, first
  for _, entry in ipairs(lists) do
    for index = 1, entry.tensors and #entry.names or 0 do
      local tensor = entry.tensors[index]
      if tensor and tensor:dim() == 0 then
        dlua.raise(("%s: argument '%s' is a single number; it needs a first dimension of samples")
          :format(where, entry.name))
      end
      local rows = tensor and tensor:size(1)
      if count and rows and rows ~= count then
        dlua.raise(("%s: %s has %d samples and %s has %d; they must be equal")
          :format(where, first, count, label(entry, index), rows))
      end
      count, first = count or rows, first or label(entry, index)
    end
  end
  if count == 0 then
    dlua.raise(("%s: there are no samples: %s is empty"):format(where, first))
  end
  return count
end

--- Rows from..to of every tensor of a list, as views.
function training_data.rows(list, from, to)
  if not list then
    return nil
  end
  local part = {}
  for index, tensor in pairs(list) do
    part[index] = tensor[{ { from, to } }]
  end
  return part
end

--- Of every tensor of a list, the rows order[first] .. order[first + count - 1].
-- @param last  the list that the call before returned, whose memory is used again
function training_data.gather(list, order, first, count, last)
  if not list then
    return nil
  end
  local part = {}
  for index, tensor in pairs(list) do
    part[index] = dlua.data.gather_batch(tensor, order, first, count, last and last[index])
  end
  return part
end

return training_data
