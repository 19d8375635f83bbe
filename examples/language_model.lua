--- A small GPT that learns to write, character by character, and shows what it writes while it trains.
--
-- You learn: a text as ids and windows of it as samples, a language model from dlua.applications, and `generate`.
-- The text is that of the file given as argument (any bytes, plain or .gz), or else the Jargon File of Debian's package
-- jargon-text, or else, where that is not installed, the Lua sources of dlua, which are short: it learns them by heart.
-- Measured on the Jargon File: one pass (2 minutes of processor time) leaves 3.10 and 3.22 bits per character of text
-- that it has not read (seeds 1 and 2); the same model in PyTorch 3.20 and 3.12. By then it writes short words and what
-- looks like them.
local dlua = require "dlua"
require "dlua.strict"

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil -- a short run, to see that everything works
local batch_size, window = 8, 128
io.stdout:setvbuf "line" -- what it writes is shown at once, also through a pipe
dlua.manual_seed(1)

local function quoted(path)
  return "'" .. path:gsub("'", "'\\''") .. "'"
end

--- The files' text, unpacked where they are packed; "" if there are none. files: as a shell takes them.
local function read_files(files)
  local pipe <close> = assert(io.popen("gzip -cdf " .. files .. " 2>/dev/null", "r"))
  return pipe:read "a"
end

local text = read_files(quoted(arg and arg[1] or "/usr/share/doc/jargon-text/jargon.txt.gz"))
if text == "" and not (arg and arg[1]) then
  local here = quoted(arg and arg[0]:match "^(.*/)" or "./")
  text = read_files(here .. "../scripts/dlua/*.lua " .. here .. "../scripts/dlua/*/*.lua")
end
if quick then
  text = text:sub(1, 20000)
end
assert(#text >= 20 * window, "this text is missing or too short to learn from; name another file")

-- Windows of 128 characters, and the same one character on; a tenth of them is kept for testing.
local tokenizer = dlua.text.CharTokenizer {}
tokenizer:train(text)
local ids = tokenizer:encode(text)
local count = (#ids - 1) // window
local x = ids[{ { 1, count * window } }]:reshape(count, window)
local y = ids[{ { 2, count * window + 1 } }]:reshape(count, window)
local order = dlua.randperm(count)
local test, train = order[{ { 1, count // 10 } }], order[{ { count // 10 + 1, -1 } }]

local model = dlua.applications.GPT {
  vocabulary_size = #tokenizer, max_sequence_length = 2 * window, num_layers = 3, hidden_dim = 128,
  intermediate_dim = 512, num_heads = 4, dropout = 0,
}
print(("%d characters, %d kinds of them; %d weights"):format(#ids, #tokenizer, model:count_params()))
local steps = math.ceil(#train / batch_size)
model:compile {
  optimizer = dlua.optimizers.AdamW { dlua.optimizers.schedules.CosineDecay {
    0, steps - steps // 20, warmup_target = 0.002, warmup_steps = steps // 20,
  }, global_clipnorm = 1 },
  loss = dlua.losses.SparseCategoricalCrossentropy { from_logits = true },
}

local function write(step)
  local prompt = tokenizer:encode "\n\n"
  local written = model:generate { prompt, max_length = 2 * window, temperature = 0.8, top_k = 40 }
  print(("---- after %d of %d steps it writes:%s"):format(step, steps, tokenizer:decode(written[1])))
end

local step = 0
local writer = dlua.callbacks.LambdaCallback {
  on_train_batch_end = function()
    step = step + 1
    if step % 200 == 0 or step == steps then
      write(step)
    end
  end,
}
model:fit { x:index_select(1, train), y:index_select(1, train), batch_size = batch_size, verbose = 2,
  callbacks = { writer } }
local loss = model:evaluate { x:index_select(1, test), y:index_select(1, test), batch_size = 100, verbose = 0 }
print(("%.3f bits per character of text that it has not read"):format(loss / math.log(2)))
