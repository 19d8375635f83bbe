--- What models do beyond the engine's own steps: `fit`, `evaluate`, `predict` and their like, with Keras's arguments.
-- Adds methods to the class of models that the engine's binding made.
local dlua = require "dlua"
local fit = require "dlua.fit"
local generate = require "dlua.generate"
local Progress = require "dlua.progress"
local summary_text = require "dlua.summary"
local training_data = require "dlua.training_data"

local Model = dlua.Model

-- ---- fit, evaluate, predict -----------------------------------------------------------------------------------------

local data_fields = {
  { name = "x", kind = "any", required = true, help = "input tensor, or a table of tensors by input" },
  { name = "y", kind = "any", none = true, help = "target tensor, or a table of tensors by output" },
}

local function with_data(fields)
  local all = { table.unpack(data_fields) }
  table.move(fields, 1, #fields, #all + 1, all)
  return all
end

local check_fit = dlua.arguments("fit", with_data {
  { name = "batch_size", kind = "integer", default = 32, min = 1, help = "samples in a step" },
  { name = "epochs", kind = "integer", default = 1, min = 0, help = "the epoch to stop after" },
  { name = "verbose", kind = "any", default = "auto", help = "0 nothing, 1 a bar, 2 a line an epoch, 'auto'" },
  { name = "callbacks", kind = "table", default = {}, help = "a list of callbacks" },
  { name = "validation_split", kind = "real", default = 0, min = 0, max = 1, help = "the last part, for validation" },
  { name = "validation_data", kind = "table", none = true, help = "{x, y} or {x, y, sample_weight}" },
  { name = "shuffle", kind = "boolean", default = true, help = "a new order of the samples in each epoch" },
  { name = "class_weight", kind = "table", none = true, help = "{[label] = weight}; others weigh 1" },
  { name = "sample_weight", kind = "any", none = true, help = "a weight for each sample" },
  { name = "initial_epoch", kind = "integer", default = 0, min = 0, help = "epochs done before this call" },
  { name = "steps_per_epoch", kind = "integer", none = true, min = 1, help = "ends an epoch early" },
  { name = "validation_steps", kind = "integer", none = true, min = 1, help = "ends a validation early" },
  { name = "validation_batch_size", kind = "integer", none = true, min = 1, help = "batch_size if none" },
  { name = "validation_freq", kind = "integer", default = 1, min = 1, help = "validate every so many epochs" },
}, "Trains the model; returns the history, {epoch = {...}, history = {loss = {...}, ...}}.")

local check_evaluate = dlua.arguments("evaluate", with_data {
  { name = "batch_size", kind = "integer", default = 32, min = 1, help = "samples in a step" },
  { name = "verbose", kind = "any", default = "auto", help = "0 nothing, 1 a bar, 2 a line, 'auto'" },
  { name = "sample_weight", kind = "any", none = true, help = "a weight for each sample" },
  { name = "steps", kind = "integer", none = true, min = 1, help = "ends early" },
  { name = "callbacks", kind = "table", default = {}, help = "a list of callbacks" },
  { name = "return_dict", kind = "boolean", default = false, help = "a table by name instead of several values" },
}, "Returns the loss and the metrics of compile, in their order.")

local check_predict = dlua.arguments("predict", {
  data_fields[1],
  { name = "batch_size", kind = "integer", default = 32, min = 1, help = "samples at a time" },
  { name = "verbose", kind = "any", default = 0, help = "accepted as in Keras; nothing is printed" },
}, "The outputs for x: a tensor, or one for each output. A tensor may stand alone: model:predict(x).")

local function check_compiled(model, where)
  training_data.check_self(model, where)
  if not model.optimizer and model.compiled_functions then
    dlua.raise(where .. ": the model was compiled with a Lua function as its loss or metric, which its file does not "
      .. "hold; call model:compile { optimizer = ..., loss = ... } again, with the function")
  elseif not model.optimizer then
    dlua.raise(where .. ": the model is not compiled; call model:compile { optimizer = ..., loss = ... } first")
  end
end

--- The values in their order, or as a table by name.
local function unpack_logs(logs, as_table)
  local values, by_name = {}, {}
  for index, name in ipairs(logs) do
    values[index], by_name[name] = logs[name], logs[name]
  end
  if as_table then
    return by_name
  end
  return table.unpack(values)
end

--- Trains the model; returns the history.
function Model:fit(arguments)
  check_compiled(self, "fit")
  fit.check_idle(self, "fit")
  return fit.run(self, check_fit(arguments))
end
dlua.set_help(Model.fit, check_fit)

--- Returns the loss and the metrics in the order of compile, or a table by name with return_dict.
function Model:evaluate(arguments)
  check_compiled(self, "evaluate")
  local options = check_evaluate(arguments)
  fit.check_idle(self, "evaluate")
  fit.check_callbacks(options.callbacks, "evaluate")
  local data = fit.collect(self, options, "evaluate")
  local batches = math.ceil(data.count / options.batch_size)
  local progress = Progress.new(math.min(options.steps or batches, batches), options.verbose, "evaluate")
  progress:begin()
  local logs = fit.test(self, data, options.batch_size, options.steps, progress, options.callbacks)
  progress:finish(logs)
  return unpack_logs(logs, options.return_dict)
end
dlua.set_help(Model.evaluate, check_evaluate)

--- The outputs for x: a tensor, or one for each output. A tensor or a list of texts may stand alone: model:predict(x).
function Model:predict(arguments)
  training_data.check_self(self, "predict")
  if type(arguments) == "table" and training_data.is_tensor(arguments[2]) then
    dlua.raise(("predict: x is one tensor, or for several inputs a list of its own, model:predict { { a, b } }; the "
      .. "model has %d: %s"):format(math.max(#self.input_names, 1),
      table.concat(training_data.names(self.input_names, "x"), ", ")))
  end
  local is_alone = type(arguments) == "userdata" or type(arguments) == "table" and type(arguments[1]) == "string"
  local options = check_predict(is_alone and { arguments } or arguments)
  Progress.check(options.verbose, "predict")
  local names = training_data.names(self.input_names, "x")
  local x = training_data.list(options.x, names, "x", "predict")
  training_data.count("predict", { { name = "x", tensors = x, names = names } })
  return self:predict_batch(x, options.batch_size)
end
dlua.set_help(Model.predict, check_predict)

local batch_arguments = [[
x: the inputs of the batch, as fit takes them
y: its targets
{sample_weight = none}: a weight for each sample
{class_weight = none}: {[label] = weight}
{return_dict = false}: a table by name instead of several values]]

local function one_batch(model, where, run, x, y, options)
  check_compiled(model, where)
  fit.check_idle(model, where)
  options = options or {}
  local data = fit.collect(model, {
    x = x, y = y, sample_weight = options.sample_weight, class_weight = options.class_weight,
  }, where)
  model:reset_metrics()
  run(model, data.x, data.y, data.weights)
  return unpack_logs(model:logs(), options.return_dict)
end

--- One training step on one batch; returns the loss and the metrics.
function Model:train_on_batch(x, y, options)
  return one_batch(self, "train_on_batch", self.train_batch, x, y, options)
end
dlua.set_help(Model.train_on_batch, {
  of = "model:", name = "train_on_batch", arguments = batch_arguments,
  help = "One step of training on one batch; returns the loss and the metrics.",
})

--- Loss and metrics of one batch.
function Model:test_on_batch(x, y, options)
  return one_batch(self, "test_on_batch", self.test_batch, x, y, options)
end
dlua.set_help(Model.test_on_batch, {
  of = "model:", name = "test_on_batch", arguments = batch_arguments,
  help = "The loss and the metrics of one batch.",
})

-- ---- sequences ------------------------------------------------------------------------------------------------------

--- Continues token ids; returns the whole sequences, {N, T} int64. See generate.lua.
function Model:generate(arguments)
  training_data.check_self(self, "generate")
  return generate.run(self, generate.check(arguments))
end
dlua.set_help(Model.generate, generate.check)

-- ---- structure ------------------------------------------------------------------------------------------------------

--- Prints a table of the layers. `print_fn` receives the text instead.
function Model:summary(print_fn)
  training_data.check_self(self, "summary")
  local show = print_fn or print
  show(summary_text(self))
end
dlua.set_help(Model.summary, {
  of = "model:", name = "summary", arguments = "print_fn = print: is called with the text",
  help = "Prints a table of the layers, their output shapes and their parameters.",
})

return Model
