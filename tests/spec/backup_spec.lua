-- BackupAndRestore: a training that is killed at random moments and run again ends with the bits of an undisturbed one.
-- DLUA_LONG=1 kills more often.
local dlua = require "dlua"
local support = require "support"

local KILLS = os.getenv "DLUA_LONG" and 20 or 3
local PROGRAM = os.getenv "DLUA_BUILD_DIR" .. "/dlua"

local function temporary_folder()
  local name = os.tmpname()
  os.remove(name)
  return name
end

local function remove_folder(folder)
  os.execute(("rm -rf '%s'"):format(folder))
end

local function command(folder, save_freq, threads)
  return ("%s tests/spec/backup_script.lua '%s' %s %d"):format(PROGRAM, folder, save_freq, threads)
end

local function run(folder, save_freq, threads)
  local pipe = assert(io.popen(command(folder, save_freq, threads)))
  local weights = pipe:read "a"
  assert(pipe:close())
  return weights
end

--- Runs the script until a moment after its first backup, and kills it there.
local function run_and_kill(folder, save_freq, threads, seconds)
  os.execute(("%s > /dev/null 2>&1 & pid=$!; tries=0; while [ ! -e '%s/backup.safetensors' ] && kill -0 $pid "
    .. "2> /dev/null; do sleep 0.01; done; sleep %.3f; kill -9 $pid 2> /dev/null; wait $pid 2> /dev/null")
    :format(command(folder, save_freq, threads), folder, seconds))
end

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

describe("BackupAndRestore", function()
  for _, threads in ipairs { 1, 2 } do
    for _, save_freq in ipairs { "epoch", 7 } do
      it(("saves every %s with %d threads, and a killed run ends with the same bits"):format(save_freq, threads),
        function()
          local folder, undisturbed = temporary_folder(), temporary_folder()
          local started = dlua.time()
          local expected = run(undisturbed, save_freq, threads)
          local seconds = dlua.time() - started
          assert.is_true(#expected > 1000)
          local interrupted = 0
          for kill = 1, KILLS do
            run_and_kill(folder, save_freq, threads, (kill * 0.37 % 1) * seconds / KILLS)
            interrupted = interrupted + (exists(folder .. "/backup.safetensors") and 1 or 0)
          end
          assert.is_true(interrupted > 0)
          assert.are.equal(expected, run(folder, save_freq, threads))
          assert.is_falsy(exists(folder .. "/backup.safetensors"))
          remove_folder(folder)
          remove_folder(undisturbed)
        end)
    end
  end

  it("goes on within an epoch, and keeps the backup if it is told to", function()
    local folder = temporary_folder()
    local x, y = dlua.randn(40, 3), dlua.randn(40, 1)
    local function make()
      dlua.manual_seed(2)
      local model = dlua.Sequential { dlua.layers.Dense { 1, input_shape = { 3 }, name = "only" } }
      model:compile { optimizer = "adam", loss = "mse" }
      return model
    end
    local function train(model, extra)
      local backup = dlua.callbacks.BackupAndRestore { folder .. "/deep", save_freq = 3, delete_checkpoint = false }
      return model:fit { x, y, epochs = 2, batch_size = 8, verbose = 0, callbacks = { backup, extra } }
    end
    local whole = make()
    whole:fit { x, y, epochs = 2, batch_size = 8, verbose = 0 }
    local steps = {}
    local stopped = make()
    assert.is_false(pcall(train, stopped, { on_train_batch_end = function(_, step)
      steps[#steps + 1] = step
      if #steps == 8 then
        error "interrupted"
      end
    end }))
    steps = {}
    local again = make()
    local history = train(again, { on_train_batch_end = function(_, step) steps[#steps + 1] = step end })
    assert.are.same({ 2, 3, 4, 5 }, steps) -- the sixth step of ten was the last that was saved
    assert.are.same({ 2 }, history.epoch)
    assert.is_true(support.same_weights(whole, again))
    assert.is_truthy(exists(folder .. "/deep/backup.safetensors"))
    remove_folder(folder)
  end)

  it("refuses a file that is no backup, another model's backup, and a wrong save_freq", function()
    local folder = temporary_folder() .. "/"
    dlua.io.make_folders(folder)
    local function fit(units)
      local model = dlua.Sequential { dlua.layers.Dense { units, input_shape = { 3 }, name = "only" } }
      model:compile { optimizer = "adam", loss = "mse" }
      model:fit { dlua.ones(4, 3), dlua.ones(4, units), verbose = 0, callbacks = {
        dlua.callbacks.BackupAndRestore { folder, delete_checkpoint = false } } }
      return model
    end
    fit(1):save(folder .. "backup.safetensors")
    assert.matches("is no backup", support.message_of(fit, 1))
    os.remove(folder .. "backup.safetensors")
    fit(1)
    assert.matches("'only/kernel' must be {3, 2}", support.message_of(fit, 2))
    assert.matches("must be 'epoch' or a whole number", support.message_of(dlua.callbacks.BackupAndRestore,
      { folder, save_freq = 0.5 }))
    remove_folder(folder)
  end)
end)
