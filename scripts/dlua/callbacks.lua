--- Callbacks: objects that `fit` tells what happens.
--
-- A callback is any table with some of these methods; `epoch` and `batch` count from 1, `logs` is a table of numbers
-- by name:
--
--     on_train_begin(self, logs)           on_train_end(self, logs)
--     on_epoch_begin(self, epoch, logs)    on_epoch_end(self, epoch, logs)
--     on_train_batch_begin(self, batch, logs)  on_train_batch_end(self, batch, logs)
--     on_test_begin(self, logs)            on_test_end(self, logs)
--
-- Before training `fit` sets `self.model` and `self.params` (epochs, steps, verbose).
local dlua = require "dlua"

local callbacks = dlua.strict_table("dlua.callbacks")

--- Makes a constructor: a class whose instances hold the checked options and the methods.
local function define(definition)
  local check = dlua.arguments(definition.name, definition.fields, definition.help)
  definition.__index = definition
  callbacks[definition.name] = setmetatable(definition, {
    __call = function(class, arguments)
      local callback = setmetatable({ options = check(arguments or {}) }, class)
      if class.add_events then -- those that depend on the options: `fit` does no work for events that nobody hears
        class.add_events(callback)
      end
      return callback
    end,
    __name = "dlua.Callback",
  })
  dlua.set_help(definition, check)
end

-- ---- what several of them share -------------------------------------------------------------------------------------

local monitor_fields = {
  { name = "monitor", kind = "string", default = "val_loss", help = "the value of the logs that is watched" },
}

local function better_fields(fields)
  local all = { table.unpack(monitor_fields) }
  table.move(fields, 1, #fields, #all + 1, all)
  return all
end

local mode_field = {
  name = "mode", kind = "enum", choices = { "auto", "min", "max" }, default = "auto",
  help = "whether smaller or larger is better; auto tells from the name",
}

local verbose_field = {
  name = "verbose", kind = "integer", default = 0, min = 0, max = 1, help = "1 prints a line when something happens",
}

--- Is larger better? "auto" tells from the name of the value, as Keras does: accuracies and their like grow.
local function larger_is_better(mode, monitor)
  if mode ~= "auto" then
    return mode == "max"
  end
  for _, word in ipairs { "acc", "auc", "precision", "recall", "f1" } do
    if monitor:find(word, 1, true) then
      return true
    end
  end
  return false
end

--- A function better(value, best) with a smallest change that counts.
local function comparison(options, min_delta)
  if larger_is_better(options.mode, options.monitor) then
    return function(value, best)
      return value - min_delta > best
    end, -math.huge
  end
  return function(value, best)
    return value + min_delta < best
  end, math.huge
end

--- The watched value; nil in an epoch that validation_freq leaves without validation; an error that lists what there is
-- if it is missing otherwise.
local function watched(self, logs, epoch)
  local value = logs[self.options.monitor]
  local every = self.params and self.params.validation_freq or 1
  if value == nil and self.options.monitor:find "^val_" and epoch % every ~= 0 then
    return nil
  end
  if value == nil then
    local names = {}
    for name in pairs(logs) do
      names[#names + 1] = name
    end
    table.sort(names)
    local hint = self.options.monitor:find("^val_") and "; pass validation_split or validation_data to fit" or ""
    dlua.raise(("%s: there is no '%s' to monitor, only %s%s")
      :format(self.name, self.options.monitor, table.concat(names, ", "), hint))
  elseif type(value) ~= "number" then
    dlua.raise(("%s: '%s' has several values, and one number is needed to monitor"):format(self.name,
      self.options.monitor))
  end
  return value
end

local function say(self, format, ...)
  if self.options.verbose > 0 then
    print(format:format(...))
  end
end

-- ---- EarlyStopping --------------------------------------------------------------------------------------------------

define {
  name = "EarlyStopping",
  help = "Stops training when a watched value no longer gets better.",
  fields = better_fields {
    { name = "min_delta", kind = "real", default = 0, min = 0, help = "the smallest change that counts as better" },
    { name = "patience", kind = "integer", default = 0, min = 0, help = "epochs without a better value to stop" },
    verbose_field,
    mode_field,
    { name = "baseline", kind = "real", none = true, help = "stop if the value does not get better than this" },
    { name = "restore_best_weights", kind = "boolean", default = false, help = "put the best epoch's weights back" },
    { name = "start_from_epoch", kind = "integer", default = 0, min = 0, help = "epochs to wait before watching" },
  },
  on_train_begin = function(self)
    self.better, self.best = comparison(self.options, self.options.min_delta)
    self.wait, self.stopped_epoch, self.best_epoch, self.best_weights = 0, 0, 0, nil
  end,
  on_epoch_end = function(self, epoch, logs)
    local options = self.options
    local value = watched(self, logs, epoch)
    if not value or epoch <= options.start_from_epoch then
      return
    end
    if options.restore_best_weights and not self.best_weights then
      self.best_weights, self.best_epoch = self.model:get_weights(), epoch
    end
    self.wait = self.wait + 1
    if self.better(value, self.best) then
      self.best, self.best_epoch = value, epoch
      if options.restore_best_weights then
        self.best_weights = self.model:get_weights()
      end
      if options.baseline == nil or self.better(value, options.baseline) then
        self.wait = 0
      end
      return
    end
    if self.wait >= options.patience and epoch > 1 then
      self.stopped_epoch = epoch
      self.model.stop_training = true
    end
  end,
  on_train_end = function(self)
    if self.stopped_epoch > 0 then
      say(self, "Epoch %d: early stopping", self.stopped_epoch)
    end
    if self.best_weights then
      say(self, "Restoring the weights of epoch %d, the best", self.best_epoch)
      self.model:set_weights(self.best_weights)
    end
  end,
}

-- ---- ModelCheckpoint ------------------------------------------------------------------------------------------------

--- "{epoch:02d}-{val_loss:.2f}" as Keras's paths are written, filled in.
local function fill_in(pattern, values)
  return (pattern:gsub("{([%w_]+):?([^}]*)}", function(name, format)
    local value = values[name]
    if value == nil then
      dlua.raise(("ModelCheckpoint: filepath names '%s', which the logs do not have"):format(name))
    end
    if format == "" then
      return tostring(value)
    end
    return ("%" .. format):format(value)
  end))
end

define {
  name = "ModelCheckpoint",
  help = "Saves the model, or its weights, after epochs or every so many batches.",
  fields = {
    { name = "filepath", kind = "string", required = true, help = "may hold {epoch:02d} and {val_loss:.2f}" },
    monitor_fields[1],
    verbose_field,
    { name = "save_best_only", kind = "boolean", default = false, help = "only when the watched value got better" },
    { name = "save_weights_only", kind = "boolean", default = false, help = "without architecture and optimizer" },
    mode_field,
    { name = "save_freq", kind = "any", default = "epoch", help = "'epoch', or a number of batches" },
    { name = "initial_value_threshold", kind = "real", none = true, help = "the best value so far" },
  },
  on_train_begin = function(self)
    local options = self.options
    local frequency = options.save_freq
    if frequency ~= "epoch" and not (math.type(frequency) == "integer" and frequency >= 1) then
      dlua.raise("ModelCheckpoint: argument 'save_freq' must be 'epoch' or a whole number of batches")
    end
    if self.best == nil then
      local worst
      self.better, worst = comparison(options, 0)
      self.best = options.initial_value_threshold or worst
    end
    self.batches = 0
  end,
  on_epoch_begin = function(self, epoch)
    self.epoch = epoch
  end,
  add_events = function(self)
    if self.options.save_freq ~= "epoch" then
      self.on_train_batch_end = self.count_batch
    end
  end,
  count_batch = function(self, _, logs)
    self.batches = self.batches + 1
    if self.batches % self.options.save_freq == 0 then
      self:save(self.epoch, logs)
    end
  end,
  on_epoch_end = function(self, epoch, logs)
    if self.options.save_freq == "epoch" then
      self:save(epoch, logs)
    end
  end,
  save = function(self, epoch, logs)
    local options = self.options
    if options.save_best_only then
      local value = watched(self, logs, epoch)
      if not value or not self.better(value, self.best) then
        return
      end
      self.best = value
    end
    local values = setmetatable({ epoch = epoch }, { __index = logs })
    local path = fill_in(options.filepath, values)
    if options.save_weights_only then
      self.model:save_weights(path)
    else
      self.model:save(path)
    end
    say(self, "Epoch %d: saved %s", epoch, path)
  end,
}

-- ---- BackupAndRestore -----------------------------------------------------------------------------------------------

define {
  name = "BackupAndRestore",
  help = "Keeps a backup of a training, and goes on from it where the same script was interrupted before.",
  fields = {
    { name = "backup_dir", kind = "string", required = true, help = "the folder of the backup, made if it is missing" },
    { name = "save_freq", kind = "any", default = "epoch", help = "'epoch', or a number of batches" },
    { name = "delete_checkpoint", kind = "boolean", default = true, help = "remove the backup after the last epoch" },
  },
  add_events = function(self)
    local frequency = self.options.save_freq
    if frequency ~= "epoch" and not (math.type(frequency) == "integer" and frequency >= 1) then
      dlua.raise("BackupAndRestore: argument 'save_freq' must be 'epoch' or a whole number of batches")
    elseif frequency ~= "epoch" then
      self.on_train_batch_end = self.count_batch
    end
    self.path = self.options.backup_dir .. "/backup.safetensors"
  end,
  --- Puts the backup's state into the model, and remembers how far it was.
  on_train_begin = function(self)
    self.done = nil
    self.batches = 0
    local file = io.open(self.path, "rb")
    if file then
      file:close()
      local kept = self.model:restore(self.path)
      self.done = kept and kept.backup
      if not self.done then
        dlua.raise(("BackupAndRestore: '%s' is no backup; give backup_dir a folder of its own"):format(self.path))
      end
    else
      dlua.io.make_folders(self.path)
    end
  end,
  resume_point = function(self)
    if self.done then
      return self.done.epochs, self.done.steps
    end
  end,
  on_epoch_begin = function(self, epoch)
    self.epoch = epoch
  end,
  count_batch = function(self, batch)
    self.batches = self.batches + 1
    if self.batches % self.options.save_freq == 0 then
      self:back_up(self.epoch - 1, batch)
    end
  end,
  on_epoch_end = function(self, epoch)
    if self.options.save_freq == "epoch" then
      self:back_up(epoch, 0)
    end
  end,
  --- The file is replaced whole: one that is interrupted leaves the backup before.
  back_up = function(self, epochs, steps)
    self.model:save(self.path, { backup = { epochs = epochs, steps = steps } })
  end,
  on_train_end = function(self)
    if self.options.delete_checkpoint then
      os.remove(self.path)
    end
  end,
}

-- ---- learning rates -------------------------------------------------------------------------------------------------

define {
  name = "LearningRateScheduler",
  help = "Sets the learning rate at the beginning of each epoch by a function of the epoch and the rate so far.",
  fields = {
    { name = "schedule", kind = "function", required = true, help = "function(epoch, learning_rate) -> learning_rate" },
    verbose_field,
  },
  on_epoch_begin = function(self, epoch)
    local optimizer = self.model.optimizer
    local rate = self.options.schedule(epoch, optimizer.learning_rate)
    if type(rate) ~= "number" then
      dlua.raise(("LearningRateScheduler: the schedule must return a number (got a %s)"):format(type(rate)))
    end
    optimizer.learning_rate = rate
    say(self, "Epoch %d: learning rate %g", epoch, rate)
  end,
  on_epoch_end = function(self, _, logs)
    logs.learning_rate = self.model.optimizer.learning_rate
  end,
}

define {
  name = "ReduceLROnPlateau",
  help = "Lowers the learning rate when a watched value no longer gets better.",
  fields = better_fields {
    { name = "factor", kind = "real", default = 0.1, min = 0, max = 1, help = "the rate is multiplied by this" },
    { name = "patience", kind = "integer", default = 10, min = 0, help = "epochs without a better value to act" },
    verbose_field,
    mode_field,
    { name = "min_delta", kind = "real", default = 1e-4, min = 0, help = "the smallest change that counts as better" },
    { name = "cooldown", kind = "integer", default = 0, min = 0, help = "epochs to wait after a change" },
    { name = "min_lr", kind = "real", default = 0, min = 0, help = "the rate never goes below" },
  },
  on_train_begin = function(self)
    if self.options.factor >= 1 then
      dlua.raise("ReduceLROnPlateau: argument 'factor' must be below 1, or the rate would not fall")
    end
    self.better, self.best = comparison(self.options, self.options.min_delta)
    self.wait, self.resting = 0, 0
  end,
  on_epoch_end = function(self, epoch, logs)
    local options, optimizer = self.options, self.model.optimizer
    local value = watched(self, logs, epoch)
    logs.learning_rate = optimizer.learning_rate
    if not value then
      return
    end
    if self.resting > 0 then
      self.resting, self.wait = self.resting - 1, 0
    end
    if self.better(value, self.best) then
      self.best, self.wait = value, 0
    elseif self.resting == 0 then
      self.wait = self.wait + 1
      local old = optimizer.learning_rate
      if self.wait >= options.patience and old > options.min_lr then
        optimizer.learning_rate = math.max(old * options.factor, options.min_lr)
        self.resting, self.wait = options.cooldown, 0
        say(self, "Epoch %d: learning rate %g", epoch, optimizer.learning_rate)
      end
    end
  end,
}

-- ---- TerminateOnNaN, CSVLogger, LambdaCallback ----------------------------------------------------------------------

define {
  name = "TerminateOnNaN",
  help = "Stops training when the loss is NaN or infinite.",
  fields = {
    { name = "raise_error", kind = "boolean", default = false, help = "an error instead of a stop" },
  },
  on_train_batch_end = function(self, batch, logs)
    local loss = logs.loss
    if loss ~= loss or loss == math.huge or loss == -math.huge then
      local message = ("Batch %d: the loss is %s; training stops"):format(batch, loss ~= loss and "NaN" or "infinite")
      if self.options.raise_error then
        dlua.raise("TerminateOnNaN: " .. message)
      end
      print(message)
      self.model.stop_training = true
    end
  end,
}

--- Opens a file of CSVLogger to write to.
local function open_log(path, mode)
  local file, message = io.open(path, mode)
  if not file then
    dlua.raise(("CSVLogger: cannot write the log: %s"):format(message))
  end
  return file
end

--- The lines of a log, {header, line, ...}; none if there is no such file.
local function read_log(path)
  local lines = {}
  local file <close> = io.open(path, "r")
  for line in file and file:lines() or function() end do
    lines[#lines + 1] = line
  end
  return lines
end

--- The columns that a header names, after the epoch.
local function columns_of(header, separator, path)
  local names = {}
  for name in (header .. separator):gmatch("(.-)" .. separator:gsub("%W", "%%%0")) do
    names[#names + 1] = name
  end
  if table.remove(names, 1) ~= "epoch" then
    dlua.raise(("CSVLogger: '%s' does not begin with a column 'epoch' and the separator '%s', so it is no log to "
      .. "append to; give another filename or separator, or append = false"):format(path, separator))
  end
  return names
end

define {
  name = "CSVLogger",
  help = "Writes a line of the epoch's values into a CSV file. Each name has a column; one that comes later, as "
    .. "val_loss with validation_freq, gets a new column, with NA in the lines before.",
  fields = {
    { name = "filename", kind = "string", required = true, help = "the file" },
    { name = "separator", kind = "string", default = ",", help = "between the values" },
    { name = "append", kind = "boolean", default = false, help = "keeps what the file holds already" },
  },
  on_train_begin = function(self)
    local options = self.options
    open_log(options.filename, options.append and "a" or "w"):close()
    local header = read_log(options.filename)[1]
    self.keys = header and columns_of(header, options.separator, options.filename)
  end,
  -- Gives the names columns at the right of those that there are.
  widen = function(self, names)
    local options = self.options
    local lines = read_log(options.filename)
    lines[1] = table.concat({ lines[1] or "epoch", table.unpack(names) }, options.separator)
    for place = 2, #lines do
      lines[place] = lines[place] .. (options.separator .. "NA"):rep(#names)
    end
    local beside = options.filename .. ".part"
    local file = open_log(beside, "w")
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
    assert(os.rename(beside, options.filename))
    self.keys = table.move(names, 1, #names, #self.keys + 1, self.keys)
  end,
  on_epoch_end = function(self, epoch, logs)
    local known, new = {}, {}
    self.keys = self.keys or {}
    for _, name in ipairs(self.keys) do
      known[name] = true
    end
    for name in pairs(logs) do
      new[#new + 1] = not known[name] and name or nil
    end
    if #new > 0 then
      table.sort(new)
      self:widen(new)
    end
    local values = { tostring(epoch) }
    for _, name in ipairs(self.keys) do
      values[#values + 1] = type(logs[name]) == "number" and ("%.17g"):format(logs[name]) or "NA"
    end
    local file = open_log(self.options.filename, "a")
    file:write(table.concat(values, self.options.separator), "\n")
    file:close()
  end,
}

local lambda_events = {
  "on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_train_batch_begin", "on_train_batch_end",
}

do
  local lambda = {
    name = "LambdaCallback",
    help = "A callback made of functions, each called without the callback: on_epoch_end = function(epoch, logs).",
    fields = {},
    add_events = function(self)
      for _, event in ipairs(lambda_events) do
        local called = self.options[event]
        self[event] = called and function(_, ...)
          called(...)
        end
      end
    end,
  }
  for index, event in ipairs(lambda_events) do
    lambda.fields[index] = { name = event, kind = "function", none = true, help = "called at this event" }
  end
  define(lambda)
end

return callbacks
