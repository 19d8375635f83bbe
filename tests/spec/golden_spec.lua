-- Holds everything that is computed to the golden values of PyTorch and Keras (tests/golden/README.md). Each case is a
-- test of its own; a case whose definition dlua does not have fails.
local dlua = require "dlua"

local golden = dofile "tests/golden/golden.lua"

--- Declares a test for each case and dtype; run(file, case, dtype, is_exact) raises an error where a value is off.
-- Cases with masks of inputs, which only models pass on, are run by tests/engine/test_nn_golden.c.
local function cases_of(file, kind, run)
  for _, case in ipairs(file.cases) do
    if case.kind == kind and not case.masks then
      for _, dtype in ipairs(case.dtypes) do
        it(case.id .. " in " .. dtype, function()
          run(file, case, dtype)
        end)
      end
    end
  end
end

describe("the operation", function()
  local function call(case, arguments, exact)
    local options = golden.options(case)
    if case.def == "slice" then
      return arguments[1][options.index]
    end
    if case.def == "gather" or case.def == "index_select" then -- the dimension comes before the index
      return dlua[case.def](arguments[1], options.dim, arguments[2])
    end
    options.exact = exact
    if next(options) == nil then
      return dlua[case.def](table.unpack(arguments))
    end
    return dlua[case.def](table.move(arguments, 1, #arguments, 1, options))
  end

  cases_of(golden.load "ops", "op", function(file, case, dtype)
    local arguments, leaves = file:arguments(case, dtype)
    file:check_call(case, dtype, { call(case, arguments) }, leaves)
    if case.winograd then
      arguments, leaves = file:arguments(case, dtype)
      file:check_call(case, dtype, { call(case, arguments, true) }, leaves, true)
    end
  end)
end)

describe("the activation", function()
  cases_of(golden.load "activations", "activation", function(file, case, dtype)
    local arguments, leaves = file:arguments(case, dtype)
    local activation = dlua.activations[case.def](golden.options(case))
    file:check_call(case, dtype, { activation(arguments[1]) }, leaves)
  end)
end)

describe("the layer", function()
  --- The layer with the case's weights, built for the inputs.
  local function build(file, case, dtype, inputs)
    local options = golden.options(case)
    options.dtype = dtype
    local layer = dlua.layers[case.def](options)
    local shapes = {}
    for place, x in ipairs(inputs) do
      shapes[place] = { dlua.none, table.unpack(x.shape, 2) }
    end
    layer:build(#shapes == 1 and shapes[1] or shapes)
    for name, stored in pairs(case.weights) do
      dlua.no_grad(function()
        layer[name]:copy_(file:input(stored, dtype))
      end)
    end
    return layer
  end

  --- The penalty as training sees it: what the loss of a model is when its prediction is right.
  local function penalty(layer, x, y)
    local model = dlua.Sequential { layer }
    model:compile { loss = "mean_squared_error" }
    model:test_batch(x, y)
    return model:logs().loss
  end

  local function run(file, case, dtype)
    local arguments, leaves = file:arguments(case, dtype)
    local layer = build(file, case, dtype, arguments)
    assert.are.equal(#layer.weight_names, #layer.weights)
    file:check_call(case, dtype, { layer(arguments, { training = case.training }) }, leaves)
    for name, stored in pairs(case.grads.weights) do
      file:check(case, "the gradient of " .. name, layer[name].grad, stored, dtype)
    end
    for name, stored in pairs(case.weights_after or {}) do
      file:check(case, name .. " after the call", layer[name], stored, dtype)
    end
    if case.regularization_loss then
      local loss = penalty(layer, arguments[1]:detach(), file.tensors[case.outputs[1]]:to(dtype))
      assert.is_near(file.tensors[case.regularization_loss]:item(), loss, 1e-6)
    end
  end

  cases_of(golden.load "layers", "layer", run)
  cases_of(golden.load "around", "layer", run)
end)

describe("the loss", function()
  local file = golden.load "losses"

  local function run(from, case, dtype)
    local arguments, leaves = from:arguments(case, dtype)
    local loss = dlua.losses[case.class](golden.options(case))
    from:check_call(case, dtype, { loss(table.unpack(arguments)) }, leaves)
  end

  cases_of(file, "loss", run)
  cases_of(golden.load "around", "loss", run)

  it("is found by the name that compile takes", function()
    for _, case in ipairs(file.cases) do
      if case.kind == "loss" then
        assert.are.equal(dlua.losses[case.class], dlua.losses[case.def])
      end
    end
  end)

  describe("of the constraint", function()
    cases_of(file, "constraint", function(_, case, dtype)
      local arguments = file:arguments(case, dtype)
      local before = arguments[1]:clone()
      file:check(case, "the weight", dlua.constraints[case.def](golden.options(case))(arguments[1]), case.outputs[1],
        dtype)
      assert.is_true(before:eq(arguments[1]):all():item()) -- a new tensor comes back
    end)
  end)

  describe("of the regularizer", function()
    cases_of(file, "regularizer", function(_, case, dtype)
      local arguments, leaves = file:arguments(case, dtype)
      local regularizer = dlua.regularizers[case.def](golden.options(case))
      file:check_call(case, dtype, { regularizer(arguments[1]) }, leaves)
    end)
  end)
end)

describe("the metric", function()
  local function run(file, case, dtype)
    local metric = dlua.metrics[case.class](golden.options(case))
    local results = {}
    for i, batch in ipairs(case.batches) do
      local arguments = {}
      for k, name in ipairs(batch) do
        arguments[k] = file:input(name, dtype)
      end
      metric:update_state(table.unpack(arguments))
      local result = metric:result()
      results[i] = type(result) == "number" and result or result:reshape(-1):totable()
    end
    file:check(case, "the results", dlua.tensor(results, { dtype = dtype }), case.outputs[1], dtype)
    metric:reset_state()
    if type(results[1]) == "number" then
      assert.are.equal(0, metric:result())
    end
  end

  cases_of(golden.load "metrics", "metric", run)
  cases_of(golden.load "around", "metric", run)
end)

describe("the optimizer", function()
  local function run(file, case, dtype)
    local variables, gradients = {}, {}
    for k, name in ipairs(case.weights) do
      variables[k] = file:input(name, dtype):requires_grad_()
      gradients[k] = file:input(case.gradients[k], dtype)
    end
    local optimizer = dlua.optimizers[case.def](golden.options(case))
    for step = 1, gradients[1].shape[1] do
      for k, variable in ipairs(variables) do
        variable.grad = gradients[k][step]
      end
      optimizer:step(variables)
      for k, name in ipairs(case.outputs[tostring(step)] or {}) do
        file:check(case, string.format("variable %d after step %d", k, step), variables[k], name, dtype)
      end
    end
  end

  cases_of(golden.load "optimizers", "optimizer", run)
  cases_of(golden.load "around", "optimizer", run)
end)

describe("the schedule", function()
  cases_of(golden.load "around", "schedule", function(file, case, dtype)
    local schedule = dlua.optimizers.schedules[case.def](golden.options(case))
    local rates = {}
    for step = 1, file.tensors[case.outputs[1]]:size(1) do
      rates[step] = schedule(step - 1)
    end
    file:check(case, "the rates", dlua.tensor(rates, { dtype = dtype }), case.outputs[1], dtype)
  end)
end)

describe("the initializer", function()
  --- Mean, standard deviation, smallest and largest of a list of numbers.
  local function statistics(values)
    local sum, squares, low, high = 0, 0, math.huge, -math.huge
    for _, value in ipairs(values) do
      sum = sum + value
      low, high = math.min(low, value), math.max(high, value)
    end
    local mean = sum / #values
    for _, value in ipairs(values) do
      squares = squares + (value - mean) ^ 2
    end
    return mean, math.sqrt(squares / #values), low, high
  end

  local function check_statistics(tensor, expected)
    local mean, std, low, high = statistics(tensor:reshape(-1):to("float64"):totable())
    assert.is_near(expected.mean, mean, expected.mean_error)
    assert.is_near(expected.std, std, expected.std_error)
    if expected.min then
      local rounding = 1e-6 * math.max(math.abs(expected.min), math.abs(expected.max))
      assert.is_true(low >= expected.min - rounding and high <= expected.max + rounding)
    end
  end

  --- The shorter side of the matrix {product of the other dimensions, last dimension} must be orthogonal.
  local function check_orthogonal(tensor, gain, tolerance)
    local columns = tensor.shape[#tensor.shape]
    local matrix = tensor:to("float64"):reshape(-1, columns)
    if matrix.shape[1] < columns then
      matrix = matrix:transpose(1, 2)
    end
    local product = matrix:transpose(1, 2):matmul(matrix):totable()
    for i, row in ipairs(product) do
      for j, value in ipairs(row) do
        assert.is_near(i == j and gain * gain or 0, value, tolerance * gain * gain)
      end
    end
  end

  cases_of(golden.load "initializers", "initializer", function(file, case, dtype)
    dlua.manual_seed(20)
    local tensor = dlua.initializers[case.def](golden.options(case))(case.shape, dtype)
    assert.are.same(case.shape, tensor.shape)
    if case.outputs then
      file:check(case, "the result", tensor, case.outputs[1], dtype)
    elseif case.orthogonal then
      check_orthogonal(tensor, case.orthogonal, dtype == "float64" and 1e-10 or 1e-5)
    else
      check_statistics(tensor, case.statistics)
    end
  end)
end)
