-- Holds the arguments of layers, losses, metrics ... to Keras's: their names, their order and their defaults, as
-- tests/golden/defaults.json has them from Keras's own signatures.
local dlua = require "dlua"

--- What Keras takes and dlua does not, because it has no such thing (a list by name, so that a new one is noticed).
local NOT_TAKEN = {
  -- adapters and quantization of weights
  lora_rank = true, lora_alpha = true, quantization_config = true,
  -- batch normalization over several machines, and renormalization
  synchronized = true, renorm = true, renorm_clipping = true, renorm_momentum = true,
  -- sparse and ragged inputs, and inputs made of a tensor
  sparse = true, ragged = true, optional = true, input_tensor = true, batch_shape = true,
  -- other encodings of texts, and other ways to spread unknown tokens
  encoding = true, vocabulary_dtype = true, oov_method = true, salt = true,
  -- a library for graphics cards, and first weights of a pair of layers
  use_cudnn = true, weights = true,
  -- mixed precision
  loss_scale_factor = true,
  -- one way to attend: always in tiles, over all steps, without gates
  flash_attention = true, sliding_window = true, use_gate = true,
  -- fans over other axes than the usual ones, and labels sorted by score
  input_axes = true, output_axes = true, from_sorted_ids = true,
}

--- Losses and metrics compute in their inputs' dtype.
local NO_DTYPE = { losses = true, metrics = true }

--- Where dlua differs on purpose: an input's shape must be given, and its dtype has a name.
-- A constraint's axis counts from 1, so that 1 is Keras's 0. Cropping2D's default is Keras's, {{0, 0}, {0, 0}}, as one
-- list; layers name their dtype.
local DIFFERENT = {
  InputLayer = { shape = true, dtype = true }, Cropping2D = { cropping = true },
  SpatialDropout1D = { dtype = true }, SpatialDropout2D = { dtype = true },
  MaxNorm = { axis = true }, MinMaxNorm = { axis = true }, UnitNorm = { axis = true },
}

local FAMILIES = {
  "layers", "losses", "metrics", "optimizers", "optimizers.schedules", "initializers", "regularizers", "constraints",
  "activations",
}

local function read_defaults()
  local file <close> = assert(io.open "tests/golden/defaults.json")
  return dlua.json.decode(file:read "a")
end

--- Keras's spelling of a default in dlua's: None, tuples, and initializers with a capital.
local function same(theirs, ours)
  if theirs == dlua.none then
    return ours == nil or ours == dlua.none
  elseif type(theirs) == "table" then
    if type(ours) ~= "table" then
      -- One number stands for equal ones.
      return theirs[1] == ours and theirs[2] == ours
    end
    return #theirs == #ours and theirs[1] == ours[1] and theirs[2] == ours[2]
  elseif type(theirs) == "string" and type(ours) == "string" then
    return theirs:lower() == ours:lower()
  elseif type(theirs) == "number" and type(ours) == "table" then -- one number stands for equal ones
    for _, number in ipairs(ours) do
      if number ~= theirs then
        return false
      end
    end
    return #ours > 0
  elseif type(theirs) == "number" then
    return theirs == tonumber(ours) -- a description has the text where a number is one of several alternatives
  end
  return theirs == ours
end

--- The description's fields by name, and the place of each in the positional order.
local function index(description)
  local fields, places = {}, {}
  for place, field in ipairs(description.fields or {}) do
    fields[field.name] = field
    places[field.name] = not field.named and place or nil
  end
  return fields, places
end

local function is_not_taken(family, argument)
  return NOT_TAKEN[argument] or (argument == "dtype" and NO_DTYPE[family])
end

local function check(family, name, arguments)
  local group = family == "optimizers.schedules" and dlua.optimizers.schedules or dlua[family]
  local fields, places = index(dlua.describe(group[name]))
  local different = DIFFERENT[name] or {}
  local last = 0
  for _, argument in ipairs(arguments) do
    local field = fields[argument.name]
    local at = name .. "." .. argument.name
    if not field then
      assert.is_truthy(is_not_taken(family, argument.name), at .. " is missing")
    elseif not different[argument.name] then
      assert.are.equal(argument.required or false, field.required, at .. ": required")
      assert.is_true(argument.required or same(argument.default, field.default),
        string.format("%s is %s by default, Keras's is %s", at, field.default, argument.default))
    end
    if places[argument.name] then
      assert.is_true(places[argument.name] > last, at .. " stands elsewhere in the order")
      last = places[argument.name]
    end
    fields[argument.name] = nil
  end
  for field in pairs(fields) do
    assert.is_nil(places[field], name .. "." .. field .. " is not Keras's and may be given by name only")
  end
end

--- An activation's first argument is what it works on.
local function options_of(family, arguments)
  if family == "activations" then
    return table.move(arguments, 2, #arguments, 1, {})
  end
  return arguments
end

describe("the arguments as Keras has them:", function()
  local defaults = read_defaults()
  for _, family in ipairs(FAMILIES) do
    for name, arguments in pairs(defaults[family]) do
      it(family .. "." .. name, function()
        check(family, name, options_of(family, arguments))
      end)
    end
  end
end)
