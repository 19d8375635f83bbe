-- CTC: a case by hand, and what is wrong with labels. Its values and gradients are in the golden cases.
local dlua = require "dlua"

local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

describe("CTC", function()
  local loss = dlua.losses.CTC { reduction = "none" }

  it("sums over all ways to spell the labels", function()
    -- Two steps, equal scores for blank and label 1: "1" is spelled by 1-blank, blank-1 and 1-1, three of four.
    local value = loss(dlua.tensor { { 1 } }, dlua.zeros(1, 2, 2))
    assert.is_near(-math.log(3 / 4), value[1]:item(), 1e-6)
    assert.is_near(-math.log(1 / 4), loss(dlua.tensor { { 0 } }, dlua.zeros(1, 2, 2))[1]:item(), 1e-6)
  end)

  it("trains a model", function()
    dlua.manual_seed(1)
    local model = dlua.Sequential {
      dlua.layers.Conv1D { 8, 3, padding = "same", activation = "relu", input_shape = { 6, 4 } },
      dlua.layers.Dense { 4 },
    }
    model:compile { optimizer = dlua.optimizers.Adam { 0.02 }, loss = "ctc" }
    local x = dlua.randn(8, 6, 4)
    local y = dlua.tensor { { 1, 2 }, { 3, 0 }, { 2, 2 }, { 0, 0 }, { 3, 1 }, { 1, 0 }, { 2, 3 }, { 1, 1 } }
    local history = model:fit { x, y, epochs = 40, verbose = 0 }.history.loss
    assert.is_true(history[40] < history[1] / 2)
  end)

  it("says what is wrong with labels", function()
    local scores = dlua.zeros(2, 3, 4)
    assert.matches("sample 2 has the label 4; with 4 scores a step labels are 1 to 3",
      message_of(loss, dlua.tensor { { 1, 2 }, { 3, 4 } }, scores))
    assert.matches("sample 1 has 3 labels, of which 1 repeat the one before; it needs 4 steps or more, got 3",
      message_of(loss, dlua.tensor { { 1, 1, 2 }, { 1, 2, 3 } }, scores))
    assert.matches("must be {N, T, classes %+ 1} and {N, labels}", message_of(loss, dlua.tensor { 1, 2 }, scores))
  end)
end)
