local dlua = require "dlua"

local file = assert(io.open "tests/golden/printing.json")
local cases = dlua.json.decode(file:read "a")
file:close()

local special = { inf = math.huge, ["-inf"] = -math.huge }

local function tensor_of(case)
  local shape = case.shape
  if case.make == "arange" then
    local count = 1
    for _, size in ipairs(shape) do
      count = count * size
    end
    return (dlua.arange(0, count, 1, { dtype = "float64" }) * case.scale):to(case.dtype):reshape(shape)
  elseif #case.values == 0 then
    return dlua.zeros(shape)
  end
  local values = {}
  for index = 1, #case.values do
    local value = case.values[index]
    values[index] = value == dlua.none and 0 / 0 or special[value] or value
  end
  return dlua.tensor(values, { dtype = case.dtype }):reshape(shape)
end

describe("A tensor is printed as PyTorch prints it:", function()
  for _, case in ipairs(cases) do
    it(case.name, function()
      local body, footer = tostring(tensor_of(case)):match "^(.*)\n(%[[^\n]*%])$"
      assert.are.equal(case.text, body)
      assert.are.equal(("[%s {%s}]"):format(case.dtype, table.concat(case.shape, ", ")), footer)
    end)
  end

  it("the footer tells of gradients", function()
    assert.matches("%[float32 {2}, requires_grad%]$", tostring(dlua.zeros(2):requires_grad_()))
  end)
end)
