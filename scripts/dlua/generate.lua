--- model:generate: sequences of token ids continued by a language model, a model that gives each step of {N, T} ids the
-- scores {N, T, K} of the next one. A model with several inputs continues the last; an encoder-decoder's first one is
-- the source.
--
-- A model whose layers can be asked step by step (dlua.is_stepwise) computes each token once and keeps keys, values and
-- states, and what depends on the sources alone; any other is asked for the whole sequence again for every token.
--
-- Prompts of several lengths go together: all are as long as the shortest, then the longer ones are given their own ids
-- as they come, so no model sees padding.
local dlua = require "dlua"

local check = dlua.arguments("generate", {
  { name = "prompt", kind = "any", required = true,
    help = "ids from 1: a list, or a tensor {T} or {N, T}, in which shorter prompts end with 0. For a model with "
      .. "several inputs a list of tensors, as fit takes them: {source, first ids}, of which the last is continued" },
  { name = "max_length", kind = "integer", none = true, min = 1, help = "of the whole sequence, the prompt counted" },
  { name = "max_new_tokens", kind = "integer", default = 64, min = 0,
    help = "without max_length: how many are added, to each" },
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
    help = "function(id, position), called for each new token; false ends. With several prompts id is a tensor, with 0 "
      .. "for those that have ended or whose prompt goes on. Beam search calls none" },
}, "Continues token ids: greedily, by draws if temperature, top_k or top_p is given, or by beam search. Returns the "
  .. "sequences with their prompts, {N, T} int64; what follows a stop token is 0. Greedily and by beam search each "
  .. "prompt gives what it gives alone.")

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

--- An asker for the sequences of these sources: asker.scores(ids) gives the scores {N, K} after the new ids {N, t};
-- asker.select(rows) goes on with these sequences.
local function stepwise_asker(model, sources, batch, max_length)
  local decoding = dlua.new_decoding(model, batch, max_length, table.unpack(sources))
  return {
    scores = function(ids)
      return decoding:step(ids)[{ {}, -1 }]
    end,
    select = function(rows)
      decoding:select(rows)
    end,
  }
end

local function whole_asker(model, sources)
  local inputs, place = { table.unpack(sources) }, #sources + 1
  return {
    scores = function(ids)
      inputs[place] = inputs[place] and dlua.cat({ inputs[place], ids }, 2) or ids
      return model(table.unpack(inputs))[{ {}, -1 }]
    end,
    select = function(rows)
      for k, input in ipairs(inputs) do
        inputs[k] = input:index_select(1, rows)
      end
    end,
  }
end

local function make_asker(model, sources, batch, max_length)
  local stepwise = dlua.is_stepwise(model, #sources)
  local asker = stepwise and stepwise_asker(model, sources, batch, max_length) or whole_asker(model, sources)
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

--- What of the chosen ids is new at a position: 0 for a sequence that has ended, or whose prompt goes on. `ended` gets
-- those that end here. Returns how many still go on, too.
local function note_ends(chosen, position, prompts, ended, stops)
  local running, ids = 0, chosen:totable()
  for row, id in ipairs(ids) do
    if position <= prompts.lengths[row] then
      ids[row], running = 0, running + 1
    elseif ended[row] or position > prompts.limits[row] then
      ids[row] = 0
    elseif stops[id] or position == prompts.limits[row] then
      ended[row] = true
    else
      running = running + 1
    end
  end
  return dlua.tensor(ids), running
end

local function continue_sequences(model, prompts, options)
  local ids, count = prompts.ids, prompts.ids.shape[1]
  local shortest, longest = math.min(table.unpack(prompts.lengths)), ids.shape[2]
  local asker = make_asker(model, prompts.sources, count, prompts.last)
  local columns, ended, stops = { ids[{ {}, { 1, shortest } }] }, {}, stop_set(options)
  local new, position = columns[1], shortest
  repeat
    position = position + 1
    local made, running = note_ends(choose(asker.scores(new), options), position, prompts, ended, stops)
    new = made:unsqueeze(2)
    if position <= longest then
      new = new + ids[{ {}, { position, position } }] -- one of them is 0
    end
    columns[#columns + 1] = new
    local go_on = not options.callback or options.callback(count == 1 and made:item() or made, position) ~= false
    new = new:clamp(1, dlua.none) -- an ended sequence is asked on with any id; what it gives is dropped
  until running == 0 or not go_on or position == prompts.last
  if position < longest then
    columns[#columns + 1] = ids[{ {}, { position + 1, -1 } }]
  end
  return dlua.cat(columns, 2)
end

-- ---- beam search ----------------------------------------------------------------------------------------------------

--- One prompt {1, T}. The scores of beams are sums of log probabilities; ended beams wait in `done`.
local function search_beams(model, sources, prompt, last, options)
  local beams = options.num_beams
  local stops, stop_count = stop_set(options)
  local asker = make_asker(model, sources, 1, last)
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

--- The sources, and the ids {N, T} int64 to continue.
local function read_inputs(model, prompt)
  local inputs = math.max(#model.input_names, 1)
  local is_list = type(prompt) == "table" and dlua.is_tensor(prompt[1])
  if is_list and #prompt ~= inputs or not is_list and inputs > 1 then
    dlua.raise(("generate: the model has %d input%s, so prompt must be %s; got %s"):format(inputs,
      inputs == 1 and "" or "s", inputs == 1 and "ids" or ("a list of %d tensors, the last of which is continued")
        :format(inputs), is_list and ("a list of %d"):format(#prompt) or "no list of tensors"))
  end
  local sources = is_list and { table.unpack(prompt, 1, inputs - 1) } or {}
  local ids = is_list and prompt[inputs] or prompt
  if not dlua.is_tensor(ids) then
    ids = dlua.tensor(ids)
  end
  if #ids.shape == 1 then
    ids = ids:unsqueeze(1)
    for k, source in ipairs(sources) do
      sources[k] = source:unsqueeze(1)
    end
  end
  return sources, ids
end

local function check_ids(ids)
  if #ids.shape ~= 2 or ids.shape[1] == 0 or ids.shape[2] == 0 then
    dlua.raise "generate: prompt must be ids {T} or {N, T}, at least one"
  end
  if ids.dtype ~= "int64" and ids.dtype ~= "int32" and ids.dtype ~= "uint8" then
    dlua.raise(("generate: prompt must be whole numbers, got %s"):format(ids.dtype))
  end
  return ids:to "int64"
end

--- How many ids each row has before its padding.
local function lengths_of(ids)
  local lengths = ids:ne(0):sum(2):totable()
  local places = dlua.arange(1, ids.shape[2] + 1)
  local is_padding = places:gt(dlua.tensor(lengths):unsqueeze(2))
  if ids:lt(0):logical_or(ids:eq(0):ne(is_padding)):any():item() or math.min(table.unpack(lengths)) == 0 then
    dlua.raise "generate: prompt has ids below 1 before others; ids count from 1, and shorter prompts end with 0"
  end
  return lengths
end

--- What is to be continued: {sources =, ids = {N, T}, lengths =, limits =, last =}. limits are the lengths that each
-- may come to, and last is the longest of those.
local function read_prompts(model, options)
  local sources, ids = read_inputs(model, options.prompt)
  ids = check_ids(ids)
  local lengths, limits, last = lengths_of(ids), {}, 0
  for row, length in ipairs(lengths) do
    limits[row] = math.max(options.max_length or length + options.max_new_tokens, length)
    last = math.max(last, limits[row])
  end
  return { sources = sources, ids = ids, lengths = lengths, limits = limits, last = last }
end

--- Whether any prompt may become longer.
local function can_continue(prompts)
  for row, limit in ipairs(prompts.limits) do
    if limit > prompts.lengths[row] then
      return true
    end
  end
  return false
end

local generate = { check = check }

--- Continues the prompt of the checked options; returns the whole sequences, {N, T} int64.
function generate.run(model, options)
  local prompts = read_prompts(model, options)
  if not can_continue(prompts) then
    return prompts.ids
  end
  return dlua.no_grad(function()
    if options.num_beams == 1 then
      return continue_sequences(model, prompts, options)
    end
    local found = {}
    for row, length in ipairs(prompts.lengths) do
      local sources = {}
      for k, source in ipairs(prompts.sources) do
        sources[k] = source[{ { row, row } }]
      end
      local prompt, limit = prompts.ids[{ { row, row }, { 1, length } }], prompts.limits[row]
      found[row] = limit > length and search_beams(model, sources, prompt, limit, options) or prompt
    end
    return pad(found)
  end)
end

return generate
