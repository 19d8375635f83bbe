--- The loop of `model:fit` and `model:evaluate`. Each step is one call into the engine.
local dlua = require "dlua"
local Progress = require "dlua.progress"
local training_data = require "dlua.training_data"

local fit = {}

-- ---- callbacks ------------------------------------------------------------------------------------------------------

--- Calls one method of every callback that has it.
local function tell(callbacks, event, ...)
  for _, callback in ipairs(callbacks) do
    local method = callback[event]
    if method then
      method(callback, ...)
    end
  end
end

local events = {}
for _, event in ipairs {
  "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
  "on_test_begin", "on_test_end",
} do
  events[event] = true
end

--- A callback's class, or a table of the user's that stands where it would: the methods that it has not itself.
local function class_of(callback)
  local class = (getmetatable(callback) or {}).__index
  return type(class) == "table" and class or {}
end

--- Refuses methods that look like events and are none: nobody would ever call them.
local function check_events(callback, index, where)
  for _, methods in ipairs { callback, class_of(callback) } do
    for name, method in pairs(methods) do
      if type(name) == "string" and name:find "^on_" and type(method) == "function" and not events[name] then
        local nearest = dlua.nearest(name, events)
        dlua.raise(("%s: callback %d has a method '%s', which is no event%s"):format(where, index, name,
          nearest and ("; did you mean '%s'?"):format(nearest) or ""))
      end
    end
  end
end

--- Refuses a callback that stands where a list of them is needed.
local function check_is_list(callbacks, where)
  local name = class_of(callbacks).name
  local is_callback = name ~= nil
  for event in pairs(events) do
    is_callback = is_callback or rawget(callbacks, event) ~= nil
  end
  if is_callback then
    dlua.raise(("%s: callbacks is a list, also of one: callbacks = { %s }"):format(where,
      type(name) == "string" and name .. " {...}" or "callback"))
  end
end

--- Refuses what is no list of callbacks.
function fit.check_callbacks(callbacks, where)
  local count = 0
  check_is_list(callbacks, where)
  for key in pairs(callbacks) do
    if math.type(key) ~= "integer" then
      dlua.raise(("%s: callbacks is a list, { callback, ... }; '%s' is no place in it"):format(where, tostring(key)))
    end
    count = math.max(count, key)
  end
  for index = 1, count do
    local callback = callbacks[index]
    if callback == nil then
      dlua.raise(("%s: callback %d is nil (is a variable misspelt?)"):format(where, index))
    elseif type(callback) ~= "table" then
      dlua.raise(("%s: callback %d must be a table with methods such as on_epoch_end (got a %s)")
        :format(where, index, type(callback)))
    elseif (getmetatable(callback) or {}).__name == "dlua.Callback" then
      dlua.raise(("%s: callback %d is the class %s; write %s {} for a callback of it")
        :format(where, index, callback.name, callback.name))
    end
    check_events(callback, index, where)
  end
end

--- A copy of logs without the list of their names.
local function by_name(logs)
  local values = {}
  for _, name in ipairs(logs) do
    values[name] = logs[name]
  end
  return values
end

-- ---- weights of samples ---------------------------------------------------------------------------------------------

--- Refuses keys of class_weight that are no class: labels 1..K, or for one output unit the targets 0 and 1.
-- @param count  the number of output units; nil before the model is built
local function check_class_weight(weights, count, where)
  local first = count == 1 and 0 or 1
  local last = count == 1 and 1 or count or math.maxinteger
  for key, weight in pairs(weights) do
    local class = math.tointeger(key)
    if not class or class < first or class > last then
      dlua.raise(("%s: class_weight has the key %s, which is no class: %s"):format(where, tostring(key),
        count == 1 and "a model with one output unit has the targets 0 and 1"
          or ("labels count from 1%s"):format(count and " to " .. count or "")))
    elseif type(weight) ~= "number" or weight < 0 then
      dlua.raise(("%s: class_weight of %d must be a number of 0 or more (got %s)")
        :format(where, class, tostring(weight)))
    end
  end
end

--- Weights of the samples out of weights by class: {[label] = weight}; classes that are not named weigh 1.
local function class_weights(model, weights, target, where)
  if not target then
    dlua.raise(where .. ": class_weight needs a model with one output and labels")
  end
  local output = model.output_shapes[1]
  local units = output and output[#output]
  check_class_weight(weights, math.type(units) and units or nil, where) -- dlua.none: of any size
  local one_hot = target:dim() == 2 and target:size(2) > 1
  local labels = one_hot and target:argmax(2) or target:reshape(target:size(1)):to("int64")
  -- Binary targets are the values 0 and 1; the table below counts from 1.
  local shift = not one_hot and labels:min():item() == 0 and 1 or 0
  local places = labels + shift
  local by_place = {}
  for place = 1, places:max():item() do
    by_place[place] = weights[place - shift] or 1.0
  end
  return dlua.tensor(by_place):index_select(1, places)
end

--- The list of per-sample weights by output, or nil.
local function sample_weights(model, options, y, names, where)
  local weights = training_data.list(options.sample_weight, names, "sample_weight", where, true)
  if options.class_weight then
    if #names > 1 then
      dlua.raise(where .. ": class_weight works for models with one output; pass sample_weight instead")
    end
    local by_class = class_weights(model, options.class_weight, y and y[1], where)
    weights = { weights and weights[1] * by_class or by_class }
  end
  return weights
end

-- ---- validation -----------------------------------------------------------------------------------------------------

--- Splits the last part off for validation, before any shuffling, as Keras does.
local function split(data, fraction, where)
  local kept = math.floor(data.count * (1 - fraction))
  if kept < 1 or kept >= data.count then
    dlua.raise(("%s: validation_split = %g leaves %d of %d samples to train on; give more data or another fraction")
      :format(where, fraction, kept, data.count))
  end
  local validation = { count = data.count - kept }
  local training = { count = kept }
  for _, part in ipairs { "x", "y", "weights" } do
    training[part] = training_data.rows(data[part], 1, kept)
    validation[part] = training_data.rows(data[part], kept + 1, data.count)
  end
  return training, validation
end

local function validation_data(model, given, where)
  local x, y, weights = given[1] or given.x, given[2] or given.y, given[3] or given.sample_weight
  if x == nil or y == nil then
    dlua.raise(where .. ": validation_data is {x, y} or {x, y, sample_weight}")
  end
  return fit.collect(model, { x = x, y = y, sample_weight = weights }, where)
end

--- x, y and weights as lists, and the number of samples.
function fit.collect(model, options, where)
  if options.y == nil then
    dlua.raise(where .. ": argument 'y' is missing: the targets that the loss compares with (is a variable misspelt?)")
  end
  local inputs = training_data.names(model.input_names, "x")
  local outputs = training_data.names(model.output_names, "y")
  local x = training_data.list(options.x, inputs, "x", where)
  local y = training_data.list(options.y, outputs, "y", where, true)
  local data = { x = x, y = y }
  data.weights = sample_weights(model, options, y, outputs, where)
  data.count = training_data.count(where, {
    { name = "x", tensors = x, names = inputs }, { name = "y", tensors = y, names = outputs },
    { name = "sample_weight", tensors = data.weights, names = outputs },
  })
  return data
end

-- ---- evaluate -------------------------------------------------------------------------------------------------------

--- Runs the test step over the data; returns the logs (see model:logs).
function fit.test(model, data, batch_size, steps, progress, callbacks)
  local batches = math.ceil(data.count / batch_size)
  steps = steps and math.min(steps, batches) or batches
  model:reset_metrics()
  tell(callbacks, "on_test_begin", {})
  for step = 1, steps do
    local from = (step - 1) * batch_size + 1
    local to = math.min(step * batch_size, data.count)
    model:test_batch(training_data.rows(data.x, from, to), training_data.rows(data.y, from, to),
      training_data.rows(data.weights, from, to))
    if progress then
      progress:step(step, function()
        return model:logs()
      end)
    end
  end
  local logs = model:logs()
  tell(callbacks, "on_test_end", by_name(logs))
  return logs
end

-- ---- fit ------------------------------------------------------------------------------------------------------------

--- Models that are in the middle of an epoch, whose loss and metrics are being added up.
local in_epoch = setmetatable({}, { __mode = "k" })

--- Refuses what would begin the running loss and metrics anew while an epoch adds them up.
function fit.check_idle(model, where)
  if in_epoch[model] then
    dlua.raise(where .. ": fit is in the middle of an epoch of this model, whose running loss and metrics would begin "
      .. "anew; call it in on_epoch_end, or use model:predict")
  end
end

local function train_step(run, step)
  local model, data, size = run.model, run.data, run.batch_size
  local first = (step - 1) * size
  local count = math.min(size, data.count - first)
  local batch = run.batch
  for _, part in ipairs { "x", "y", "weights" } do
    if run.order then
      batch[part] = training_data.gather(data[part], run.order, first + 1, count, batch[part])
    else
      batch[part] = training_data.rows(data[part], first + 1, first + count)
    end
  end
  model:train_batch(batch.x, batch.y, batch.weights)
end

local function train_epoch(run, epoch)
  local model, callbacks, progress = run.model, run.callbacks, run.progress
  local function logs_now()
    return model:logs()
  end
  local state = model.training_state
  run.order = nil
  if run.shuffle then
    run.order = dlua.data.shuffled_order(run.data.count, state.shuffle_seed, state.epochs_trained + 1)
  end
  model:reset_metrics()
  in_epoch[model] = true
  local first = run.steps_done + 1
  run.steps_done = 0
  for step = first, run.steps do
    tell(callbacks, "on_train_batch_begin", step, {})
    train_step(run, step)
    if run.wants_batch_logs then
      tell(callbacks, "on_train_batch_end", step, by_name(model:logs()))
    end
    progress:step(step, logs_now)
    if model.stop_training then
      break
    end
  end
  in_epoch[model] = nil
  state.epochs_trained = state.epochs_trained + 1
  local list = model:logs()
  if run.validation and epoch % run.validation_freq == 0 then
    local tested = fit.test(model, run.validation, run.validation_batch_size, run.validation_steps, nil, callbacks)
    for _, name in ipairs(tested) do
      list[#list + 1], list["val_" .. name] = "val_" .. name, tested[name]
    end
  end
  return list
end

local function wants_batch_logs(callbacks)
  for _, callback in ipairs(callbacks) do
    if callback.on_train_batch_end then
      return true
    end
  end
  return false
end

local function record(history, epoch, logs)
  history.epoch[#history.epoch + 1] = epoch
  for name, value in pairs(logs) do
    local series = history.history[name] or {}
    series[#series + 1] = value
    history.history[name] = series
  end
end

local function run_epochs(run, options, history)
  local model, callbacks = run.model, run.callbacks
  for epoch = run.initial_epoch + 1, options.epochs do
    run.progress:begin(("Epoch %d/%d"):format(epoch, options.epochs))
    tell(callbacks, "on_epoch_begin", epoch, {})
    local list = train_epoch(run, epoch)
    local logs = by_name(list)
    run.progress:finish(list)
    tell(callbacks, "on_epoch_end", epoch, logs)
    record(history, epoch, logs)
    if model.stop_training then
      break
    end
  end
end

--- What one call of fit works on, out of its checked options.
local function prepare(model, options)
  local where = "fit"
  local data, validation = fit.collect(model, options, where), nil
  if options.validation_data then
    validation = validation_data(model, options.validation_data, where)
  elseif options.validation_split > 0 then
    data, validation = split(data, options.validation_split, where)
  end
  local callbacks = options.callbacks
  fit.check_callbacks(callbacks, where)
  local steps = math.ceil(data.count / options.batch_size)
  steps = options.steps_per_epoch and math.min(options.steps_per_epoch, steps) or steps
  return {
    model = model,
    data = data,
    batch = {},
    validation = validation,
    validation_batch_size = options.validation_batch_size or options.batch_size,
    validation_steps = options.validation_steps,
    validation_freq = options.validation_freq,
    batch_size = options.batch_size,
    steps = steps,
    shuffle = options.shuffle,
    callbacks = callbacks,
    wants_batch_logs = wants_batch_logs(callbacks),
    initial_epoch = options.initial_epoch,
    steps_done = 0, -- of the first epoch: more than 0 where a backup goes on within it
    progress = Progress.new(steps, options.verbose, where),
  }
end

--- Begins where a callback says that an interrupted training was: resume_point() -> epochs and steps that are done.
local function resume(run)
  for _, callback in ipairs(run.callbacks) do
    if callback.resume_point then
      local epochs, steps = callback:resume_point()
      if epochs then
        run.initial_epoch, run.steps_done = epochs, steps
      end
    end
  end
end

--- Trains; returns the history: {epoch = {1, 2, ...}, history = {loss = {...}, ...}, params = {...}}.
function fit.run(model, options)
  local run = prepare(model, options)
  local params = {
    epochs = options.epochs, steps = run.steps, verbose = options.verbose, validation_freq = options.validation_freq,
  }
  local history = { epoch = {}, history = {}, params = params, model = model }
  for _, callback in ipairs(run.callbacks) do
    callback.model, callback.params = model, params
  end
  model.stop_training = false
  -- Saved with the model: training that goes on from a file shuffles as if it had not been interrupted.
  model.training_state = model.training_state or { shuffle_seed = dlua.initial_seed(), epochs_trained = 0 }
  tell(run.callbacks, "on_train_begin", {})
  resume(run)
  local ok, message = pcall(run_epochs, run, options, history)
  in_epoch[model] = nil
  if not ok then
    run.progress:abandon()
    error(message, 0) -- it names the user's line already
  end
  if options.epochs > 0 then
    model.optimizer:finalize_variable_values(model.trainable_weights)
  end
  local last = {}
  for name, series in pairs(history.history) do
    last[name] = series[#series]
  end
  tell(run.callbacks, "on_train_end", last)
  return history
end

return fit
