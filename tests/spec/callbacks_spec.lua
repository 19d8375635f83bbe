local dlua = require "dlua"
local support = require "support"
local callbacks = dlua.callbacks

--- A model that a callback may be tried on: only what callbacks use.
local function fake_model()
  local model = { optimizer = { learning_rate = 1.0 }, weights = 0, saved = {} }
  function model:get_weights()
    return self.weights
  end
  function model:set_weights(weights)
    self.weights = weights
  end
  function model:save(path)
    self.saved[#self.saved + 1] = path
  end
  return model
end

--- Feeds epochs of logs to a callback until training would stop; returns the last epoch.
local function play(callback, model, series)
  callback.model = model
  local function tell(event, ...)
    if callback[event] then
      callback[event](callback, ...)
    end
  end
  tell("on_train_begin", {})
  local last = 0
  for epoch, logs in ipairs(series) do
    last = epoch
    tell("on_epoch_begin", epoch, {})
    model.weights = epoch
    tell("on_epoch_end", epoch, logs)
    if model.stop_training then
      break
    end
  end
  tell("on_train_end", {})
  return last
end

local function losses(...)
  local series = {}
  for index, value in ipairs { ... } do
    series[index] = { val_loss = value, val_accuracy = 1 - value }
  end
  return series
end

describe("EarlyStopping", function()
  it("stops after `patience` epochs without a better value", function()
    local stop = callbacks.EarlyStopping { patience = 2 }
    assert.are.equal(4, play(stop, fake_model(), losses(0.5, 0.4, 0.45, 0.41, 0.3)))
  end)

  it("puts the best weights back", function()
    local model = fake_model()
    play(callbacks.EarlyStopping { patience = 2, restore_best_weights = true }, model, losses(0.5, 0.4, 0.45, 0.41))
    assert.are.equal(2, model.weights)
  end)

  it("keeps the last weights otherwise", function()
    local model = fake_model()
    play(callbacks.EarlyStopping { patience = 2 }, model, losses(0.5, 0.4, 0.45, 0.41))
    assert.are.equal(4, model.weights)
  end)

  it("knows that accuracies grow", function()
    local stop = callbacks.EarlyStopping { monitor = "val_accuracy", patience = 1 }
    assert.are.equal(3, play(stop, fake_model(), losses(0.5, 0.4, 0.45, 0.3)))
  end)

  it("ignores changes below min_delta", function()
    local stop = callbacks.EarlyStopping { patience = 1, min_delta = 0.1 }
    assert.are.equal(2, play(stop, fake_model(), losses(0.5, 0.45, 0.2)))
  end)

  it("counts epochs that do not reach the baseline as no better", function()
    local stop = callbacks.EarlyStopping { patience = 3, baseline = 0.1 }
    assert.are.equal(3, play(stop, fake_model(), losses(0.5, 0.4, 0.45, 0.3)))
    local without = callbacks.EarlyStopping { patience = 3 }
    assert.are.equal(4, play(without, fake_model(), losses(0.5, 0.4, 0.45, 0.3)))
  end)

  it("waits for start_from_epoch", function()
    local stop = callbacks.EarlyStopping { patience = 1, start_from_epoch = 3 }
    assert.are.equal(5, play(stop, fake_model(), losses(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)))
  end)

  it("never stops after the first epoch, whose value may be none", function()
    assert.are.equal(2, play(callbacks.EarlyStopping {}, fake_model(), losses(0 / 0, 0 / 0, 0.5)))
  end)

  it("lists what there is when the value is missing", function()
    local text = support.message_of(function()
      play(callbacks.EarlyStopping { monitor = "val_lose" }, fake_model(), losses(0.5))
    end)
    assert.matches("no 'val_lose' to monitor, only val_accuracy, val_loss", text, 1, true)
  end)
end)

describe("ModelCheckpoint", function()
  it("fills epoch and values into the path", function()
    local model = fake_model()
    play(callbacks.ModelCheckpoint { "m-{epoch:02d}-{val_loss:.2f}.safetensors" }, model, losses(0.5, 0.25))
    assert.are.same({ "m-01-0.50.safetensors", "m-02-0.25.safetensors" }, model.saved)
  end)

  it("saves only what is better with save_best_only", function()
    local model = fake_model()
    play(callbacks.ModelCheckpoint { "{epoch}", save_best_only = true }, model, losses(0.5, 0.6, 0.4))
    assert.are.same({ "1", "3" }, model.saved)
  end)

  it("saves only what is better than initial_value_threshold", function()
    local model = fake_model()
    play(callbacks.ModelCheckpoint { "w{epoch}", save_best_only = true, initial_value_threshold = 0.4 }, model,
      losses(0.5, 0.45, 0.35, 0.38))
    assert.are.same({ "w3" }, model.saved)
  end)

  it("saves every so many batches", function()
    local x, y = support.digits(96)
    local folder = support.folder()
    local model = support.dense_model()
    model:fit {
      x, y, epochs = 2, batch_size = 32, verbose = 0,
      callbacks = { callbacks.ModelCheckpoint { folder .. "/{epoch}-{loss:.3f}.safetensors", save_freq = 2 } },
    }
    local pipe = assert(io.popen("ls " .. support.quoted(folder) .. " | cut -c1"))
    local listing = pipe:read "a"
    pipe:close()
    support.remove_folder(folder)
    assert.are.equal("1\n2\n2\n", listing)
  end)
end)

describe("Learning rates", function()
  it("are set at the beginning of each epoch by LearningRateScheduler", function()
    local model = fake_model()
    local seen = {}
    play(callbacks.LearningRateScheduler {
      function(epoch, rate)
        seen[epoch] = rate
        return rate / 2
      end,
    }, model, losses(1, 1, 1))
    assert.are.same({ 1.0, 0.5, 0.25 }, seen)
    assert.are.equal(0.125, model.optimizer.learning_rate)
  end)

  it("fall on a plateau, rest, and stay above min_lr", function()
    local model = fake_model()
    play(callbacks.ReduceLROnPlateau { factor = 0.5, patience = 1, min_lr = 0.3 }, model, losses(1, 1, 1, 1, 1))
    assert.are.equal(0.3, model.optimizer.learning_rate)
    local rested = fake_model()
    play(callbacks.ReduceLROnPlateau { factor = 0.5, patience = 1, cooldown = 2 }, rested, losses(1, 1, 1, 1))
    assert.are.equal(0.25, rested.optimizer.learning_rate)
  end)

  it("reach the optimizer of a real model", function()
    local x, y = support.digits(64)
    local model = support.dense_model()
    local history = model:fit {
      x, y, epochs = 3, verbose = 0,
      callbacks = { callbacks.LearningRateScheduler { function(epoch)
        return 0.1 / epoch
      end } },
    }
    assert.is_true(math.abs(model.optimizer.learning_rate - 0.1 / 3) < 1e-12)
    assert.are.equal(3, #history.history.learning_rate)
  end)
end)

describe("TerminateOnNaN", function()
  local function train(options)
    local x, y = support.digits(96)
    local model = support.dense_model()
    x[1] = 0 / 0
    return model:fit {
      x, y, epochs = 4, batch_size = 32, shuffle = false, verbose = 0,
      callbacks = { callbacks.TerminateOnNaN(options) },
    }
  end

  it("stops training", function()
    local real_print, said = print, nil
    _G.print = function(text)
      said = text
    end
    local ok, history = pcall(train, {})
    _G.print = real_print
    assert.is_true(ok)
    assert.are.same({ 1 }, history.epoch)
    assert.matches("Batch 1: the loss is NaN", said, 1, true)
  end)

  it("stops at infinities of both signs, and at nothing else", function()
    local callback = callbacks.TerminateOnNaN { raise_error = true }
    for _, loss in ipairs { math.huge, -math.huge } do
      assert.matches("Batch 3: the loss is infinite", support.message_of(function()
        callback:on_train_batch_end(3, { loss = loss })
      end), 1, true)
    end
    callback:on_train_batch_end(3, { loss = -1e300 })
  end)

  it("raises an error if asked to", function()
    assert.matches("loss is NaN", support.message_of(train, { raise_error = true }), 1, true)
  end)
end)

describe("CSVLogger", function()
  it("writes a header and a line for each epoch, and appends", function()
    local x, y = support.digits(64)
    local path = os.tmpname()
    local model = support.dense_model()
    model:fit { x, y, epochs = 2, verbose = 0, callbacks = { callbacks.CSVLogger { path } } }
    local history = model:fit {
      x, y, epochs = 1, verbose = 0, callbacks = { callbacks.CSVLogger { path, append = true } },
    }
    local lines = {}
    for line in io.lines(path) do
      lines[#lines + 1] = line
    end
    os.remove(path)
    assert.are.equal(4, #lines)
    assert.are.equal("epoch,accuracy,loss", lines[1])
    assert.are.equal(history.history.loss[1], tonumber(lines[4]:match "^1,[^,]+,(.+)$"))
  end)
end)

describe("CSVLogger", function()
  local x, y, path

  before_each(function()
    x, y = support.digits(64)
    path = os.tmpname()
  end)

  after_each(function()
    os.remove(path)
  end)

  --- The file as a list of columns by name, of strings.
  local function read()
    local names, columns = {}, {}
    for line in io.lines(path) do
      local place = 0
      for cell in line:gmatch "[^,]+" do
        place = place + 1
        if names[place] and not columns[names[place]] then
          columns[names[place]] = {}
        end
        if names[place] then
          table.insert(columns[names[place]], cell)
        else
          names[place] = cell
        end
      end
    end
    return columns, names
  end

  it("gives values that come later a column, with NA before", function()
    local history = support.dense_model():fit {
      x, y, epochs = 3, verbose = 0, validation_split = 0.25, validation_freq = 2,
      callbacks = { callbacks.CSVLogger { path } },
    }.history
    local columns, names = read()
    assert.are.same({ "epoch", "accuracy", "loss", "val_accuracy", "val_loss" }, names)
    assert.are.same({ "NA", ("%.17g"):format(history.val_loss[1]), "NA" }, columns.val_loss)
    assert.are.equal(history.loss[3], tonumber(columns.loss[3]))
  end)

  it("appends under the header that is there, whatever the new values are", function()
    local model = support.dense_model()
    local first = model:fit { x, y, verbose = 0, callbacks = { callbacks.CSVLogger { path } } }.history
    local second = model:fit {
      x, y, verbose = 0, callbacks = {
        callbacks.LearningRateScheduler { function() return 0.125 end }, callbacks.CSVLogger { path, append = true },
      },
    }.history
    model:fit { x, y, verbose = 0, callbacks = { callbacks.CSVLogger { path, append = true } } }
    local columns, names = read()
    assert.are.same({ "epoch", "accuracy", "loss", "learning_rate" }, names)
    assert.are.same({ "NA", "0.125", "NA" }, columns.learning_rate)
    assert.are.equal(first.loss[1], tonumber(columns.loss[1]))
    assert.are.equal(second.loss[1], tonumber(columns.loss[2]))
  end)

  it("reads its columns back with any separator", function()
    for _, separator in ipairs { "|", ".", "%", "+", "; " } do
      for epoch = 1, 2 do
        local log = callbacks.CSVLogger { path, separator = separator, append = epoch > 1 }
        log:on_train_begin {}
        log:on_epoch_end(epoch, { loss = 1, mae = 2 })
      end
      local file <close> = io.open(path)
      assert.are.equal("epoch,loss,mae\n1,1,2\n2,1,2\n", (file:read("a"):gsub("[%" .. separator .. "]+", ",")))
    end
  end)

  it("refuses a file that is no log, and a folder that is not there", function()
    local file <close> = assert(io.open(path, "w"))
    file:write("a,b\n")
    file:flush()
    local model = support.dense_model()
    local function fit(name)
      return support.message_here(function()
        model:fit { x, y, verbose = 0, callbacks = { callbacks.CSVLogger { name, append = true } } }
      end)
    end
    assert.matches("CSVLogger: '" .. path .. "' does not begin with a column 'epoch'", fit(path), 1, true)
    local missing = "/no/such/folder/log.csv"
    assert.matches("CSVLogger: cannot write the log: " .. missing .. ": No such file", fit(missing), 1, true)
  end)
end)

describe("Callbacks", function()
  it("are refused with a method that is no event, and without the braces of a list", function()
    local x, y = support.digits(40)
    local model = support.dense_model()
    local function message(list)
      return support.message_here(function()
        model:fit { x, y, verbose = 0, callbacks = list }
      end)
    end
    local own = { on_epoch_ends = function() end }
    assert.equal("fit: callback 2 has a method 'on_epoch_ends', which is no event; did you mean 'on_epoch_end'?",
      message { callbacks.TerminateOnNaN {}, own })
    assert.matches("'on_epoch_ends', which is no event", message { setmetatable({}, { __index = own }) }, 1, true)
    assert.equal("fit: callbacks is a list, also of one: callbacks = { EarlyStopping {...} }",
      message(callbacks.EarlyStopping {}))
    assert.equal("fit: callbacks is a list, also of one: callbacks = { callback }",
      message { on_epoch_end = function() end })
    assert.matches("evaluate: callback 1 has a method", support.message_here(function()
      model:evaluate { x, y, verbose = 0, callbacks = { own } }
    end), 1, true)
  end)

  it("cannot begin the running metrics anew in the middle of an epoch", function()
    local x, y = support.digits(64)
    local model = support.dense_model()
    local messages, after = {}, nil
    local function in_batch(_, batch)
      messages[1] = support.message_here(function() model:evaluate { x, y, verbose = 0 } end)
      messages[2] = support.message_here(function() model:train_on_batch(x, y) end)
      messages[3] = support.message_here(function() model:fit { x, y, verbose = 0 } end)
      assert(batch < 3, "an error of the callback")
    end
    local own = { on_train_batch_end = in_batch, on_epoch_end = function()
      after = model:evaluate { x, y, verbose = 0 }
    end }
    model:fit { x, y, verbose = 0, callbacks = { own } }
    for place, name in ipairs { "evaluate", "train_on_batch", "fit" } do
      assert.matches(name .. ": fit is in the middle of an epoch of this model", messages[place], 1, true)
    end
    assert.is_number(after)
    support.message_of(function() model:fit { x, y, batch_size = 16, verbose = 0, callbacks = { own } } end)
    assert.equal(after ~= nil, (model:evaluate { x, y, verbose = 0 }) ~= nil) -- an error leaves the model free
  end)

  it("are called in Keras's order", function()
    local x, y = support.digits(40)
    local called = {}
    local recorder = setmetatable({}, { __index = function(_, event)
      return type(event) == "string" and event:find "^on_" and function(_, at)
        called[#called + 1] = event .. (math.type(at) and at or "")
      end or nil
    end })
    support.dense_model():fit { x, y, batch_size = 32, validation_split = 0.2, verbose = 0, callbacks = { recorder } }
    assert.are.same({
      "on_train_begin", "on_epoch_begin1", "on_train_batch_begin1", "on_train_batch_end1", "on_test_begin",
      "on_test_end", "on_epoch_end1", "on_train_end",
    }, called)
  end)

  it("may be made of functions", function()
    local x, y = support.digits(64)
    local epochs = {}
    support.dense_model():fit {
      x, y, epochs = 2, verbose = 0,
      callbacks = { callbacks.LambdaCallback { on_epoch_end = function(epoch, logs)
        epochs[epoch] = logs.loss
      end } },
    }
    assert.is_number(epochs[1])
    assert.is_number(epochs[2])
  end)

  it("hear the end of a batch only where they need it", function()
    local function hears(callback)
      return callback.on_train_batch_end ~= nil
    end
    assert.is_false(hears(callbacks.ModelCheckpoint { "m.safetensors" }))
    assert.is_true(hears(callbacks.ModelCheckpoint { "m.safetensors", save_freq = 2 }))
    assert.is_false(hears(callbacks.LambdaCallback { on_epoch_end = print }))
    assert.is_true(hears(callbacks.LambdaCallback { on_train_batch_end = print }))
  end)

  it("check their arguments", function()
    local function refused(arguments)
      return support.message_of(function()
        callbacks.EarlyStopping(arguments)
      end)
    end
    assert.matches("EarlyStopping: unknown argument 'patiense'", refused { patiense = 3 }, 1, true)
    assert.matches("'maximum'", refused { mode = "maximum" }, 1, true)
    assert.matches("must be a table with methods", support.message_of(function()
      local x, y = support.digits(32)
      support.dense_model():fit { x, y, verbose = 0, callbacks = { "EarlyStopping" } }
    end), 1, true)
  end)
end)
