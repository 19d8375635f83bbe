local dlua = require "dlua"
local support = require "support"

--- A program that trains a network with every kind of state and prints a digest of all its weights.
local training = [[
  package.path = %q
  local dlua = require "dlua"
  local support = require "support"
  dlua.manual_seed(11)
  local x, y = support.digits(320)
  local model
  if os.getenv "LOAD" then
    model = dlua.load_model(os.getenv "LOAD")
  else
    model = support.conv_model()
  end
  model:fit { x, y, epochs = tonumber(os.getenv "UNTIL"), initial_epoch = tonumber(os.getenv "FROM"), verbose = 0 }
  if os.getenv "SAVE" then
    model:save(os.getenv "SAVE")
    if os.getenv "DIE" then
      local pid = io.open("/proc/self/stat"):read "n"
      os.execute("kill -9 " .. pid)
    end
  end
  for _, weight in ipairs(model:get_weights()) do
    for _, value in ipairs(weight:reshape(-1):totable()) do
      io.write(("%%a "):format(value))
    end
  end
]]

local function train(environment)
  local output, ok = support.run(training:format(package.path), environment)
  return output, ok
end

describe("Training", function()
  it("gives the same bits for 1 and for 2 threads", function()
    local one = train { UNTIL = "2", FROM = "0", DLUA_NUM_THREADS = "1" }
    local two = train { UNTIL = "2", FROM = "0", DLUA_NUM_THREADS = "2" }
    assert.matches("^%-?0x", one)
    assert.are.equal(one, two)
  end)

  it("goes on from a saved model, after its process was killed, as if nothing had happened", function()
    local folder = support.folder()
    local path = folder .. "/model.safetensors"
    local whole = train { UNTIL = "4", FROM = "0" }
    local _, ended_well = train { UNTIL = "2", FROM = "0", SAVE = path, DIE = "1" }
    local resumed = train { UNTIL = "4", FROM = "2", LOAD = path }
    support.remove_folder(folder)
    assert.is_false(ended_well)
    assert.matches("^%-?0x", whole)
    assert.are.equal(whole, resumed)
  end)

  it("differs with another seed", function()
    local x, y = support.digits(64)
    dlua.manual_seed(1)
    local first = support.conv_model()
    first:fit { x, y, verbose = 0 }
    dlua.manual_seed(2)
    local second = support.conv_model()
    second:fit { x, y, verbose = 0 }
    assert.is_false(support.same_weights(first, second))
  end)
end)
