-- Trains a network on the first part of Fashion-MNIST and prints what compare.py reads: the same run, clock and figures
-- as peer.py has for the other frameworks.
local dlua = require "dlua"

local BYTES = { uint8 = 1, bool = 1, int32 = 4, int64 = 8, float32 = 4, float64 = 8 }

-- Options --steps, --epochs, --batch and --data as peer.py takes them; the thread count is DLUA_NUM_THREADS.
local function arguments()
  local options = { steps = 150, epochs = 4, batch = 32 }
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(%w+)$"
    if name == "steps" or name == "epochs" or name == "batch" then
      options[name] = math.tointeger(tonumber(arg[i + 1]))
    elseif name == "data" then
      options[name] = arg[i + 1]
    else
      error("unknown option " .. arg[i] .. "; there are --steps, --epochs, --batch and --data")
    end
    i = i + 2
  end
  return options
end

-- Minor page faults of this process so far: the tenth field of its stat file, counted after the name in parentheses.
local function page_faults()
  local file = assert(io.open("/proc/self/stat"))
  local after_name = file:read("a"):match "%) (.*)"
  file:close()
  local fields = {}
  for field in after_name:gmatch "%S+" do
    fields[#fields + 1] = field
  end
  return math.tointeger(tonumber(fields[8]))
end

local function peak_bytes()
  for line in io.lines "/proc/self/status" do
    local kibibytes = line:match "^VmHWM:%s+(%d+)"
    if kibibytes then return math.tointeger(tonumber(kibibytes)) * 1024 end
  end
  error "/proc/self/status has no VmHWM"
end

local function median(values)
  table.sort(values)
  local middle = #values // 2
  return #values % 2 == 1 and values[middle + 1] or (values[middle] + values[middle + 1]) / 2
end

local function bytes_of(...)
  local total = 0
  for _, tensor in ipairs { ... } do
    total = total + tensor:numel() * BYTES[tensor.dtype]
  end
  return total
end

--- Images and labels as the networks of images take them.
local function image_data(images, labels)
  return images:reshape(images.shape[1], 28, 28, 1):float() / 255, labels
end

--- task may have optimizer, loss, and data(images, labels), which gives x and y.
return function(model, task)
  local options = arguments()
  task = task or {}
  dlua.manual_seed(1)
  local train, test = dlua.datasets.fashion_mnist.load { path = options.data }
  local count = options.steps * options.batch
  local x, y = (task.data or image_data)(train.x[{ { 1, count } }], train.y[{ { 1, count } }])

  local seconds, faults = {}, {}
  local begin, faults_before
  local timer = {
    on_epoch_begin = function()
      faults_before = page_faults()
      begin = dlua.time()
    end,
    on_epoch_end = function(_, epoch)
      local elapsed = dlua.time() - begin
      if epoch > 1 then -- the first one is to warm up
        seconds[#seconds + 1] = elapsed
        faults[#faults + 1] = page_faults() - faults_before
      end
    end,
  }
  model:compile { optimizer = task.optimizer or "adam", loss = task.loss or "sparse_categorical_crossentropy" }
  local history = model:fit { x, y, batch_size = options.batch, epochs = options.epochs + 1, shuffle = false,
                              verbose = 0, callbacks = { timer } }
  local losses = history.history.loss
  print(string.format(
    '{"ms_per_step": %.6f, "faults_per_step": %.4f, "peak_bytes": %d, "data_bytes": %d, "loss": %.6f}',
    median(seconds) / options.steps * 1000, median(faults) / options.steps, peak_bytes(),
    bytes_of(train.x, train.y, test.x, test.y, x), losses[#losses]))
end
