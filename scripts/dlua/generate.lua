--- model:generate: sequences of token ids continued by a language model, a model that gives each step of {N, T} ids the
-- scores {N, T, K} of the next one.
--
-- A model whose layers can be asked step by step (dlua.is_stepwise) computes each token once and keeps keys, values and
-- states; any other is asked for the whole sequence again for every token.
local dlua = require "dlua"

local check = dlua.arguments("generate", {
  { name = "prompt", kind = "any", required = true, help = "ids from 1: a list, or a tensor {T} or {N, T}" },
  { name = "max_length", kind = "integer", none = true, min = 1, help = "of the whole sequence, the prompt counted" },
  { name = "max_new_tokens", kind = "integer", default = 64, min = 0, help = "without max_length: how many are added" },
  { name = "temperature", kind = "real", none = true, min = 0,
    help = "draws from softmax(scores / temperature); 0 takes the likeliest" },
  { name = "top_k", kind = "integer", none = true, min = 1, help = "draws among that many of the likeliest" },
  { name = "top_p", kind = "real", none = true, min = 0, max = 1,
    help = "draws among the likeliest that reach this share of the probability" },
  { name = "num_beams", kind = "integer", default = 1, min = 1, help = "above 1: beam search with that many beams" },
  { name = "length_penalty", kind = "real", default = 1,
    help = "beam search compares log probabilities divided by length ^ length_penalty" },
  { name = "stop_token_ids", kind = "table", none = true, help = "ids that end a sequence" },
  { name = "callback", kind = "function", none = true,
    help = "function(id, position), called for each new token; false ends. With several prompts id is a tensor" },
}, "Continues token ids: greedily, by draws if temperature, top_k or top_p is given, or by beam search. Returns the "
  .. "sequences with their prompts, {N, T} int64; what follows a stop token is 0.")

-- ---- asking the model -----------------------------------------------------------------------------------------------

--- Does a layer with this config give probabilities, by a softmax at its end?
local function gives_probabilities(config)
  local inner = config.config
  if config.class_name == "Softmax" then
    return true
  elseif config.class_name == "Sequential" or config.class_name == "Functional" then
    return gives_probabilities(inner.layers[#inner.layers])
  elseif config.class_name == "TimeDistributed" then
    return gives_probabilities(inner.layer)
  end
  return type(inner.activation) == "table" and inner.activation.class_name == "softmax"
end

--- An asker for `batch` sequences: asker(ids) gives the scores {N, K} after the new ids {N, t}; asker.select(rows) goes
-- on with these sequences.
local function stepwise_asker(model, batch, max_length)
  local decoding = dlua.new_decoding(model, batch, max_length)
  return {
    scores = function(ids)
      return decoding:step(ids)[{ {}, -1 }]
    end,
    select = function(rows)
      decoding:select(rows)
    end,
  }
end

local function whole_asker(model)
  local all
  return {
    scores = function(ids)
      all = all and dlua.cat({ all, ids }, 2) or ids
      return model(all)[{ {}, -1 }]
    end,
    select = function(rows)
      all = all:index_select(1, rows)
    end,
  }
end

local function make_asker(model, batch, max_length)
  local asker = dlua.is_stepwise(model) and stepwise_asker(model, batch, max_length) or whole_asker(model)
  if gives_probabilities(model:get_config()) then
    local scores = asker.scores
    asker.scores = function(ids)
      return scores(ids):clamp(1e-30, dlua.none):log()
    end
  end
  return asker
end

-- ---- greedy, and by draws -------------------------------------------------------------------------------------------

--- The stop ids as a set, and how many they are.
local function stop_set(options)
  local set, count = {}, 0
  for _, id in pairs(options.stop_token_ids or {}) do
    if math.type(id) ~= "integer" or id < 1 then
      dlua.raise(("generate: stop_token_ids must be whole numbers from 1, got %s"):format(tostring(id)))
    end
    set[id], count = true, count + 1
  end
  return set, count
end

--- The next ids {N}.
local function choose(scores, options)
  if options.temperature or options.top_k or options.top_p then
    return dlua.categorical_sample(scores, {
      temperature = options.temperature or 1, top_k = options.top_k, top_p = options.top_p or 1,
    })
  end
  return scores:argmax(-1)
end

--- Marks the sequences that have ended, and gives 0 to those that had before; returns how many still go on.
local function note_ends(ids, ended, stops)
  local running = 0
  for row = 1, ids.shape[1] do
    if ended[row] then
      ids[row] = 0
    elseif stops[ids[row]:item()] then
      ended[row] = true
    else
      running = running + 1
    end
  end
  return running
end

local function continue_sequences(model, prompt, last, options)
  local count = prompt.shape[1]
  local asker = make_asker(model, count, last)
  local columns, ended, stops, new = { prompt }, {}, stop_set(options), prompt
  for position = prompt.shape[2] + 1, last do
    local ids = choose(asker.scores(new), options)
    local running = note_ends(ids, ended, stops)
    new = ids:unsqueeze(2)
    columns[#columns + 1] = new
    local go_on = not options.callback or options.callback(count == 1 and ids:item() or ids, position) ~= false
    if running == 0 or not go_on then
      break
    end
    new = new:clamp(1, dlua.none) -- an ended sequence is asked on with any id; what it gives is dropped
  end
  return dlua.cat(columns, 2)
end

-- ---- beam search ----------------------------------------------------------------------------------------------------

--- One prompt {1, T}. The scores of beams are sums of log probabilities; ended beams wait in `done`.
local function search_beams(model, prompt, last, options)
  local beams = options.num_beams
  local stops, stop_count = stop_set(options)
  local asker = make_asker(model, 1, last)
  local live, done = { { ids = {}, score = 0 } }, {}
  local scores = asker.scores(prompt)

  local function value(beam)
    return beam.score / math.max(#beam.ids, 1) ^ options.length_penalty
  end

  for position = prompt.shape[2] + 1, last do
    local sums = {}
    for k, beam in ipairs(live) do
      sums[k] = beam.score
    end
    local kinds = scores.shape[2]
    local total = scores:log_softmax(-1) + dlua.tensor(sums):to(scores.dtype):unsqueeze(2)
    local best, places = total:reshape(-1):topk(math.min((1 + stop_count) * beams, #live * kinds))
    local rows, ids, next_live = {}, {}, {}
    for k = 1, best.shape[1] do
      local place = places[k]:item() - 1
      local from, id = live[place // kinds + 1], place % kinds + 1
      local beam = { ids = table.move(from.ids, 1, #from.ids, 1, {}), score = best[k]:item() }
      beam.ids[#beam.ids + 1] = id
      if stops[id] then
        done[#done + 1] = beam
      elseif #next_live < beams then
        next_live[#next_live + 1] = beam
        rows[#rows + 1], ids[#ids + 1] = place // kinds + 1, { id }
      end
    end
    live = next_live
    if position == last then -- what has not ended by now counts as it is
      table.move(live, 1, #live, #done + 1, done)
    end
    if #live == 0 or #done >= beams or position == last then
      break
    end
    asker.select(dlua.tensor(rows))
    scores = asker.scores(dlua.tensor(ids))
  end
  local best = done[1]
  for _, beam in ipairs(done) do
    best = value(beam) > value(best) and beam or best
  end
  return dlua.cat({ prompt, dlua.tensor { best.ids } }, 2)
end

--- Sequences {1, T} of several lengths as one tensor, the shorter ones padded with 0.
local function pad(sequences)
  local longest = 0
  for _, ids in ipairs(sequences) do
    longest = math.max(longest, ids.shape[2])
  end
  for k, ids in ipairs(sequences) do
    sequences[k] = dlua.pad(ids, { 0, longest - ids.shape[2] })
  end
  return dlua.cat(sequences, 1)
end

-- ---- generate -------------------------------------------------------------------------------------------------------

--- The prompt as {N, T} int64.
local function read_prompt(prompt)
  if not dlua.is_tensor(prompt) then
    prompt = dlua.tensor(prompt)
  end
  if #prompt.shape == 1 then
    prompt = prompt:unsqueeze(1)
  end
  if #prompt.shape ~= 2 or prompt.shape[1] == 0 or prompt.shape[2] == 0 then
    dlua.raise "generate: prompt must be ids {T} or {N, T}, at least one"
  end
  if prompt.dtype ~= "int64" and prompt.dtype ~= "int32" and prompt.dtype ~= "uint8" then
    dlua.raise(("generate: prompt must be whole numbers, got %s"):format(prompt.dtype))
  end
  prompt = prompt:to "int64"
  if prompt:lt(1):any():item() then
    dlua.raise "generate: prompt has ids below 1; ids count from 1, and prompts of several lengths are generated apart"
  end
  return prompt
end

local generate = { check = check }

--- Continues the prompt of the checked options; returns the whole sequences, {N, T} int64.
function generate.run(model, options)
  local prompt = read_prompt(options.prompt)
  local last = options.max_length or prompt.shape[2] + options.max_new_tokens
  if last <= prompt.shape[2] then
    return prompt
  end
  return dlua.no_grad(function()
    if options.num_beams == 1 then
      return continue_sequences(model, prompt, last, options)
    end
    local found = {}
    for row = 1, prompt.shape[1] do
      found[row] = search_beams(model, prompt[{ { row, row } }], last, options)
    end
    return pad(found)
  end)
end

return generate
