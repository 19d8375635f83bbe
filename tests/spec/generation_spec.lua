--- Language models that continue sequences: step by step and as a whole, greedily, by draws and by beam search.
local dlua = require "dlua"
local support = require "support"

local layers = dlua.layers
local message_of = support.message_of

local KINDS = 5

--- Scores of the next id that depend on the last one alone.
local function chain(activation)
  dlua.manual_seed(7)
  return dlua.Sequential {
    layers.Embedding { KINDS, 6, input_shape = { dlua.none }, embeddings_initializer = "glorot_normal" },
    layers.Dense { KINDS, activation = activation, kernel_initializer = dlua.initializers.RandomNormal { stddev = 2 } },
  }
end

local function small_gpt()
  dlua.manual_seed(2)
  return dlua.applications.GPT {
    vocabulary_size = KINDS, max_sequence_length = 12, num_layers = 2, hidden_dim = 8, intermediate_dim = 16,
    num_heads = 2, dropout = 0,
  }
end

--- A layer that mixes steps, so that the whole sequence is asked for again: the mean over the steps so far.
local MeanSoFar = layers.define {
  name = "MeanSoFar",
  call = function(_, x)
    local counts = dlua.arange(x.shape[2]):float() + 1
    return x:cumsum(2) / counts:reshape(1, -1, 1)
  end,
  compute_output_shape = function(_, shape)
    return shape
  end,
}

local function log_probabilities(model, ids)
  return model(dlua.tensor { ids }):log_softmax(-1)
end

--- The sum of the log probabilities of what follows the prompt.
local function score(model, ids, prompt_length)
  local logs, sum = log_probabilities(model, ids), 0
  for place = prompt_length + 1, #ids do
    sum = sum + logs[{ 1, place - 1, ids[place] }]:item()
  end
  return sum
end

describe("generate", function()
  it("takes the likeliest id after the last one", function()
    local model = chain()
    assert.is_true(dlua.is_stepwise(model))
    local ids = model:generate { { 2, 3 }, max_new_tokens = 6 }
    assert.same({ 1, 8 }, ids.shape)
    for place = 3, 8 do
      local before = ids[{ { 1, 1 }, { 1, place - 1 } }]
      assert.equal(model(before)[{ 1, -1 }]:argmax():item(), ids[{ 1, place }]:item())
    end
  end)

  it("gives the same for a model that cannot be asked step by step", function()
    local model = dlua.Sequential {
      layers.Embedding { KINDS, 6, input_shape = { dlua.none } }, MeanSoFar {}, layers.Dense { KINDS },
    }
    assert.is_false(dlua.is_stepwise(model))
    local ids = model:generate { dlua.tensor { { 2, 3 }, { 4, 1 } }, max_length = 6 }
    assert.same({ 2, 6 }, ids.shape)
    for place = 3, 6 do
      local likeliest = model(ids[{ {}, { 1, place - 1 } }])[{ {}, -1 }]:argmax(-1)
      assert.is_true(likeliest:eq(ids[{ {}, place }]):all():item())
    end
    assert.matches("mixes the steps", message_of(function() dlua.new_decoding(model, 1, 4) end))
  end)

  it("goes on from states, keys and values, as the whole sequence has them", function()
    for _, make in ipairs {
      function() return layers.LSTM { 8, return_sequences = true } end,
      function() return layers.GRU { 8, return_sequences = true, activation = "relu" } end,
      function()
        return layers.RNN { layers.StackedRNNCells { { layers.LSTMCell { 8 }, layers.GRUCell { 6 } } },
          return_sequences = true }
      end,
    } do
      dlua.manual_seed(5)
      local model = dlua.Sequential { layers.Embedding { KINDS, 6, input_shape = { dlua.none } }, make(), make(),
        layers.Dense { KINDS } }
      local ids = dlua.randint(1, KINDS, { 3, 7 })
      local whole, decoding = model(ids), dlua.new_decoding(model, 3, 7)
      assert.is_true((decoding:step(ids[{ {}, { 1, 4 } }]) - whole[{ {}, { 1, 4 } }]):abs():max():item() < 1e-6)
      decoding:select(dlua.tensor { 3, 1 })
      for place = 5, 7 do
        local step = decoding:step(ids[{ {}, { place, place } }]:index_select(1, dlua.tensor { 3, 1 }))
        local expected = whole[{ {}, { place, place } }]:index_select(1, dlua.tensor { 3, 1 })
        assert.is_true((step - expected):abs():max():item() < 1e-6)
      end
      assert.equal(7, decoding:position())
      assert.matches("row 2 is 3; allowed are 1 to 2",
        message_of(function() decoding:select(dlua.tensor { 1, 3 }) end), 1, true)
      assert.matches("has room for 0 of 7 steps", message_of(function() decoding:step(ids[{ { 1, 2 }, { 1, 1 } }]) end))
    end
    local gpt = small_gpt()
    local ids = dlua.randint(1, KINDS, { 2, 8 })
    local whole, decoding = gpt(ids), dlua.new_decoding(gpt, 2, 8)
    for _, range in ipairs { { 1, 3 }, { 4, 4 }, { 5, 8 } } do
      local step = decoding:step(ids[{ {}, range }])
      assert.is_true((step - whole[{ {}, range }]):abs():max():item() < 1e-5)
    end
    local backwards = dlua.Sequential {
      layers.LSTM { 4, return_sequences = true, go_backwards = true, input_shape = { dlua.none, 3 } },
    }
    assert.matches("without go_backwards",
      message_of(function() dlua.new_decoding(backwards, 1, 2):step(dlua.zeros(1, 1, 3)) end))
  end)

  it("asks transformers step by step, as far as their positions go", function()
    local model = small_gpt()
    assert.is_true(dlua.is_stepwise(model))
    local ids = model:generate { dlua.tensor { { 3, 1 }, { 2, 2 } }, max_length = 12 }
    for place = 3, 12 do
      local likeliest = model(ids[{ {}, { 1, place - 1 } }])[{ {}, -1 }]:argmax(-1)
      assert.is_true(likeliest:eq(ids[{ {}, place }]):all():item())
    end
    assert.matches("has 12 positions (sequence_length), and the steps reach to 13",
      message_of(function() model:generate { { 3 }, max_length = 14 } end), 1, true)
    local encoder = dlua.Sequential {
      layers.Embedding { KINDS, 8, input_shape = { dlua.none } },
      layers.TransformerEncoder { intermediate_dim = 8, num_heads = 2 }, layers.Dense { KINDS },
    }
    assert.is_false(dlua.is_stepwise(encoder))
    assert.same({ 1, 5 }, encoder:generate({ { 1, 2 }, max_length = 5 }).shape)
  end)

  it("draws the same ids from the same seed, and others from another", function()
    local model = chain()
    local function draw(seed)
      dlua.manual_seed(seed)
      return model:generate { { 1 }, max_new_tokens = 40, temperature = 1.5 }
    end
    assert.is_true(draw(1):eq(draw(1)):all():item())
    assert.is_false(draw(1):eq(draw(2)):all():item())
  end)

  it("draws with the model's probabilities, also when they come from a softmax", function()
    for _, activation in ipairs { "linear", "softmax" } do
      local model = chain(activation)
      local logits = model(dlua.tensor { { 4 } })[{ 1, 1 }]
      local expected = activation == "softmax" and logits or logits:softmax(-1)
      dlua.manual_seed(1)
      local count, draws = dlua.zeros(KINDS), 4000
      local prompts = dlua.full({ draws, 1 }, 4):to "int64"
      local ids = model:generate { prompts, max_new_tokens = 1, temperature = 1 }
      for kind = 1, KINDS do
        count[kind] = ids[{ {}, 2 }]:eq(kind):sum():item()
      end
      assert.is_true((count / draws - expected):abs():max():item() < 0.03)
    end
  end)

  it("finds with enough beams what no other sequence beats", function()
    local model, prompt = chain(), { 3 }
    local best, best_score
    for a = 1, KINDS do
      for b = 1, KINDS do
        for c = 1, KINDS do
          local value = score(model, { 3, a, b, c }, 1)
          if not best or value > best_score then
            best, best_score = { 3, a, b, c }, value
          end
        end
      end
    end
    local ids = model:generate { prompt, max_new_tokens = 3, num_beams = KINDS * KINDS }
    assert.same({ best }, ids:totable())
  end)

  it("searches on with beams until enough have ended, and never ends in mid-air", function()
    local model = chain()
    for _, stop in ipairs { 1, 2, 3, 4, 5 } do
      local ids = model:generate { { 3 }, max_new_tokens = 12, num_beams = 2, stop_token_ids = { stop } }
      local last = ids[{ 1, -1 }]:item()
      assert.is_true(ids.shape[2] == 13 or last == stop)
    end
    local function with_penalty(penalty)
      return model:generate {
        { 3 }, max_new_tokens = 12, num_beams = 3, stop_token_ids = { 2 }, length_penalty = penalty,
      }
    end
    local short, long = with_penalty(0), with_penalty(9)
    assert.is_true(short.shape[2] <= long.shape[2])
  end)

  --- A model whose next id depends on the last one with these probabilities, a row for each id.
  local function transitions(rows)
    local model = dlua.Sequential { layers.Embedding { KINDS, KINDS, input_shape = { dlua.none } } }
    model:build { dlua.none, dlua.none }
    model:set_weights { (dlua.tensor(rows) + 1e-9):log() }
    return model
  end

  it("ends a search when as many sequences have ended as there are beams, of which the best per length wins", function()
    -- from 1: the end (5) is likeliest; by way of 3 it is near; by way of 2 and 4 it is later, and surer
    local model = transitions {
      { 0, 0.3, 0.29, 0, 0.41 }, { 0, 0, 0, 0.99, 0.01 }, { 0.01, 0, 0, 0, 0.99 }, { 0.01, 0, 0, 0, 0.99 },
      { 1, 0, 0, 0, 0 },
    }
    local function search(beams, penalty)
      return model:generate({
        { 1 }, max_new_tokens = 6, num_beams = beams, stop_token_ids = { 5 }, length_penalty = penalty,
      }):totable()[1]
    end
    assert.same({ 1, 3, 5 }, search(2))
    assert.same({ 1, 5 }, search(2, 0))
  end)

  it("draws as temperature, top_k and top_p say, each alone too", function()
    local model = transitions {
      { 0.1, 0.2, 0.3, 0.4, 0 }, { 1, 0, 0, 0, 0 }, { 1, 0, 0, 0, 0 }, { 1, 0, 0, 0, 0 }, { 1, 0, 0, 0, 0 },
    }
    local prompts = dlua.ones(2000, 1):to "int64"
    local function shares(options)
      dlua.manual_seed(1)
      options[1], options.max_new_tokens = prompts, 1
      local ids, list = model:generate(options)[{ {}, 2 }], {}
      for kind = 1, 4 do
        list[kind] = ids:eq(kind):float():mean():item()
      end
      return list
    end
    local nucleus, two, cold = shares { top_p = 0.7 }, shares { top_k = 2 }, shares { temperature = 0.5 }
    for _, list in ipairs { nucleus, two } do
      assert.same({ 0, 0 }, { list[1], list[2] })
      assert.is_near(4 / 7, list[4], 0.05)
    end
    for kind = 1, 4 do -- p^2, normalized
      assert.is_near(kind * kind / 30, cold[kind], 0.05)
    end
    assert.same({ 0, 0, 0, 1 }, shares { temperature = 0, top_k = 3 })
  end)

  it("ends where one sequence stops and the other is full", function()
    local model = transitions {
      { 0, 1, 0, 0, 0 }, { 0, 0, 0, 0, 1 }, { 0, 0, 0, 1, 0 }, { 0, 0, 0, 1, 0 }, { 0, 0, 0, 1, 0 },
    }
    local calls = 0
    local ids = model:generate {
      { { 1, 2 }, { 3, 0 } }, max_new_tokens = 2, stop_token_ids = { 5 }, callback = function() calls = calls + 1 end,
    }
    assert.same({ { 1, 2, 5 }, { 3, 4, 4 } }, ids:totable())
    assert.equal(2, calls)
  end)

  it("knows the probabilities of a Softmax layer too", function()
    dlua.manual_seed(7)
    local logits = layers.Dense { KINDS, kernel_initializer = dlua.initializers.RandomNormal { stddev = 2 } }
    local table_ = layers.Embedding { KINDS, 6, embeddings_initializer = "glorot_normal" }
    local input = dlua.Input { shape = { dlua.none }, dtype = "int64" }
    local model = dlua.Model { inputs = input, outputs = layers.Softmax {} (logits(table_(input))) }
    local expected = model(dlua.tensor { { 4 } })[{ 1, 1 }]
    dlua.manual_seed(1)
    local ids = model:generate { dlua.full({ 4000, 1 }, 4):to "int64", max_new_tokens = 1, temperature = 1 }
    for kind = 1, KINDS do
      assert.is_true(math.abs(ids[{ {}, 2 }]:eq(kind):float():mean():item() - expected[kind]:item()) < 0.03)
    end
  end)

  it("ends at stop tokens and fills up with 0", function()
    local model = chain()
    local free = model:generate { dlua.tensor { { 1 }, { 2 }, { 3 } }, max_new_tokens = 6 }
    local stop = free[{ 1, 3 }]:item()
    local ids = model:generate { dlua.tensor { { 1 }, { 2 }, { 3 } }, max_new_tokens = 6, stop_token_ids = { stop } }
    for row = 1, 3 do
      local ended = false
      for place = 2, ids.shape[2] do
        local id = ids[{ row, place }]:item()
        assert.equal(ended and 0 or free[{ row, place }]:item(), id)
        ended = ended or id == stop
      end
    end
  end)

  it("tells a callback each id as it comes, and ends when it says so", function()
    local model, heard = chain(), {}
    local ids = model:generate { { 2, 2 }, max_new_tokens = 9, callback = function(id, position)
      heard[#heard + 1] = { id, position }
      return #heard < 4
    end }
    assert.same({ 1, 6 }, ids.shape)
    for k = 1, 4 do
      assert.same({ ids[{ 1, k + 2 }]:item(), k + 2 }, heard[k])
    end
  end)

  it("refuses prompts it cannot continue", function()
    local model = chain()
    assert.matches("ids count from 1", message_of(function() model:generate { { 0, 1 } } end))
    assert.matches("at least one", message_of(function() model:generate { dlua.zeros(1, 0):to "int64" } end))
    assert.matches("must be whole numbers, got float32", message_of(function() model:generate { { 1.7, 2.2 } } end))
    assert.matches("stop_token_ids must be whole numbers from 1, got a",
      message_of(function() model:generate { { 1 }, stop_token_ids = { "a" } } end))
    assert.matches("unknown argument 'temprature'; did you mean 'temperature'?",
      message_of(function() model:generate { { 1 }, temprature = 1 } end), 1, true)
  end)
end)

local function translator(name, more)
  dlua.manual_seed(4)
  local options = { num_layers = 2, hidden_dim = 16, intermediate_dim = 24, num_heads = 2, dropout = 0,
    vocabulary_size = KINDS }
  if name == "Seq2Seq" then
    options = { source_vocabulary_size = 7, target_vocabulary_size = KINDS, embedding_dim = 8, units = 12 }
  end
  for key, value in pairs(more or {}) do
    options[key] = value
  end
  return dlua.applications[name](options)
end

--- What asking for the whole sequence again and again gives.
local function greedily(model, source, ids, steps)
  for _ = 1, steps do
    ids = dlua.cat({ ids, model(source, ids)[{ {}, -1 }]:argmax(-1):unsqueeze(2) }, 2)
  end
  return ids
end

describe("generate with an encoder", function()
  local source = dlua.tensor { { 1, 2, 3, 4 }, { 4, 3, 0, 0 }, { 2, 2, 5, 0 } }
  local start = dlua.tensor { { 1 }, { 2 }, { 1 } }

  for _, name in ipairs { "Transformer", "Seq2Seq" } do
    it("continues the target of a " .. name, function()
      local model = translator(name)
      assert.is_true(dlua.is_stepwise(model, 1))
      local whole = greedily(model, source, start, 9)
      assert.same(whole:totable(), model:generate({ { source, start }, max_length = 10 }):totable())
      assert.same(whole[{ { 2, 2 } }]:totable(),
        model:generate({ { source[2], start[2] }, max_new_tokens = 9 }):totable())
      local short = dlua.tensor { { 4, 3 } } -- without the padding
      assert.same(whole[{ { 2, 2 } }]:totable(), model:generate({ { short, start[{ { 2, 2 } }] }, max_length = 10 })
        :totable())
    end)

    it("asks a " .. name .. " for the same bits step by step, its encoder once", function()
      local model = translator(name)
      local ids = dlua.randint(1, KINDS, { 3, 8 })
      local whole, decoding = model(source, ids), dlua.new_decoding(model, 3, 8, source)
      assert.is_true(decoding:step(ids[{ {}, { 1, 3 } }]):eq(whole[{ {}, { 1, 3 } }]):all():item())
      local rows = dlua.tensor { 3, 1 }
      decoding:select(rows)
      for place = 4, 8 do
        local step = decoding:step(ids[{ {}, { place, place } }]:index_select(1, rows))
        assert.is_true(step:eq(whole[{ {}, { place, place } }]:index_select(1, rows)):all():item())
      end
    end)
  end

  it("finds with enough beams what no other sequence beats", function()
    local model = translator "Transformer"
    local best, best_score
    for a = 1, KINDS do
      for b = 1, KINDS do
        local ids = dlua.tensor { { 3, a, b } }
        local logs = model(source[{ { 1, 1 } }], ids):log_softmax(-1)
        local value = logs[{ 1, 1, a }]:item() + logs[{ 1, 2, b }]:item()
        if not best or value > best_score then
          best, best_score = ids, value
        end
      end
    end
    local ids = model:generate { { source[{ { 1, 1 } }], dlua.tensor { { 3 } } }, max_new_tokens = 2, num_beams = 25 }
    assert.same(best:totable(), ids:totable())
  end)

  it("gives the same for a decoder that cannot be asked step by step", function()
    dlua.manual_seed(3)
    local first, second = dlua.Input { shape = { dlua.none }, dtype = "int64" },
      dlua.Input { shape = { dlua.none }, dtype = "int64" }
    local encoded = layers.GRU { 6 } (layers.Embedding { KINDS, 4, mask_zero = true } (first))
    local decoded = layers.GRU { 6, return_sequences = true } (layers.Embedding { KINDS, 4 } (second),
      { initial_state = { encoded } })
    local model = dlua.Model { { first, second }, layers.Dense { KINDS } (MeanSoFar {} (decoded)) }
    assert.is_false(dlua.is_stepwise(model, 1))
    assert.same(greedily(model, source, start, 4):totable(),
      model:generate({ { source, start }, max_new_tokens = 4 }):totable())
  end)

  it("keeps what a model inside makes of the source alone", function()
    dlua.manual_seed(3)
    local steps, whole = dlua.Input { shape = { dlua.none, 8 } }, dlua.Input { shape = { dlua.none, 8 } }
    local attended = layers.MultiHeadAttention { 2, 4 } (steps, layers.Bidirectional { layers.GRU { 3,
      return_sequences = true } } (whole))
    local decoder = dlua.Model { { steps, whole }, attended }
    local first, second = dlua.Input { shape = { dlua.none }, dtype = "int64" },
      dlua.Input { shape = { dlua.none }, dtype = "int64" }
    local embedding = layers.Embedding { KINDS, 8, mask_zero = true }
    local h = decoder { embedding(second), embedding(first) }
    local model = dlua.Model { { first, second }, layers.Dense { KINDS } (decoder { h, embedding(first) }) }
    assert.is_true(dlua.is_stepwise(model, 1))
    assert.is_false(dlua.is_stepwise(model)) -- as steps, both, they would pass through the Bidirectional
    assert.same(greedily(model, source, start, 6):totable(),
      model:generate({ { source, start }, max_new_tokens = 6 }):totable())
  end)

  it("runs the encoder once, which may be of any layers", function()
    local calls = 0
    local Counted = layers.define { name = "Counted", call = function(_, x)
      calls = calls + 1
      return x:flip(2)
    end, compute_output_shape = function(_, shape) return shape end }
    local first, second = dlua.Input { shape = { 4, 8 } }, dlua.Input { shape = { dlua.none }, dtype = "int64" }
    local attended = layers.TransformerDecoder { 8, 2 } (layers.Embedding { KINDS, 8 } (second), Counted {} (first))
    local model = dlua.Model { { first, second }, layers.Dense { KINDS } (attended) }
    local images = dlua.randn(3, 4, 8)
    calls = 0
    local ids = model:generate { { images, start }, max_new_tokens = 5 }
    assert.equal(1, calls)
    assert.same(greedily(model, images, start, 5):totable(), ids:totable())
  end)

  it("refuses to join steps with a whole sequence, which broadcasting might do", function()
    local first, second = dlua.Input { shape = { 1, 4 } }, dlua.Input { shape = { dlua.none, 4 } }
    local model = dlua.Model { { first, second }, layers.Add {} { first, second } }
    assert.is_false(dlua.is_stepwise(model, 1))
    assert.matches("add.* joins steps and a whole sequence",
      message_of(function() dlua.new_decoding(model, 2, 3, dlua.zeros(2, 1, 4)) end))
  end)

  it("refuses sources that do not fit", function()
    local model = translator "Transformer"
    assert.matches("the model has 2 inputs, so prompt must be a list of 2 tensors",
      message_of(function() model:generate { { 1, 2 } } end))
    assert.matches("got a list of 1", message_of(function() model:generate { { source } } end))
    assert.matches("the model has 1 input, so prompt must be ids",
      message_of(function() chain():generate { { source, start } } end))
    assert.matches("takes as many rows of each source, got {2, 4}",
      message_of(function() model:generate { { source[{ { 1, 2 } }], start } } end), 1, true)
    assert.matches("has 1 input, so there can be 0 to 0 sources, got 1",
      message_of(function() dlua.new_decoding(chain(), 1, 4, start) end))
    assert.matches("source 1 must be a tensor, got 7",
      message_of(function() dlua.new_decoding(model, 1, 4, 7) end))
    assert.matches("sources must be a whole number from 0",
      message_of(function() dlua.is_stepwise(model, -1) end))
  end)
end)

describe("prompts of several lengths", function()
  local prompts = { { 2 }, { 3, 1, 4, 4, 2 }, { 1, 5, 2 } }
  local padded = dlua.tensor { { 2, 0, 0, 0, 0 }, { 3, 1, 4, 4, 2 }, { 1, 5, 2, 0, 0 } }

  local function models()
    dlua.manual_seed(9)
    return { chain(), small_gpt(), dlua.Sequential { layers.Embedding { KINDS, 6, input_shape = { dlua.none } },
      layers.LSTM { 8, return_sequences = true }, layers.Dense { KINDS } },
      dlua.Sequential { layers.Embedding { KINDS, 6, input_shape = { dlua.none } }, MeanSoFar {},
        layers.Dense { KINDS } } }
  end

  --- A row without the zeros at its end.
  local function trimmed(ids)
    local list = ids:totable()
    while list[#list] == 0 do
      list[#list] = nil
    end
    return list
  end

  it("give what each gives alone", function()
    for _, model in ipairs(models()) do
      for _, more in ipairs { {}, { num_beams = 3 }, { stop_token_ids = { 2 } }, { max_length = 4 },
        { max_length = 2 } } do
        local function generate(prompt)
          local options = { prompt, max_new_tokens = 6 }
          for key, value in pairs(more) do
            options[key] = value
          end
          return model:generate(options)
        end
        local together = generate(padded)
        for row, prompt in ipairs(prompts) do
          assert.same(trimmed(generate(prompt)[1]), trimmed(together[row]))
        end
      end
    end
  end)

  it("tell a callback what is new, and can be ended before the longest begins", function()
    local heard = {}
    local ids = chain():generate { padded, max_new_tokens = 3, callback = function(new, position)
      heard[#heard + 1] = new:totable()
      return position < 4
    end }
    assert.same({ 3, 5 }, ids.shape)
    assert.same({ { ids[{ 1, 2 }]:item(), 0, 0 }, { ids[{ 1, 3 }]:item(), 0, 0 },
      { ids[{ 1, 4 }]:item(), 0, ids[{ 3, 4 }]:item() } }, heard)
    assert.same(prompts[2], ids[2]:totable())
  end)

  it("are padded at their end", function()
    for _, bad in ipairs { { { 0, 1 }, { 1, 1 } }, { { 1, 0, 1 }, { 1, 1, 1 } }, { { 0, 0 }, { 1, 1 } },
      { { -1, 1 }, { 1, 1 } } } do
      assert.matches("shorter prompts end with 0", message_of(function() chain():generate { bad } end))
    end
  end)
end)

describe("topk", function()
  it("gives the largest first and their places, the first of equal ones first", function()
    local values, places = dlua.tensor { { 3, 1, 3, 2 }, { 0, 5, 4, 5 } }:topk(3)
    assert.same({ { 3, 3, 2 }, { 5, 5, 4 } }, values:totable())
    assert.same({ { 1, 3, 4 }, { 2, 4, 3 } }, places:totable())
    local smallest = dlua.tensor { 3, 1, 2 }:topk { k = 2, largest = false }
    assert.same({ 1, 2 }, smallest:totable())
    assert.matches("k is 4, but dimension 1 of {3} has 3 elements",
      message_of(function() dlua.tensor({ 3, 1, 2 }):topk(4) end), 1, true)
  end)

  it("tells whole numbers apart that no float32 does", function()
    local values, places = dlua.tensor({ 16777216, 16777217 }, { dtype = "int32" }):topk(1)
    assert.are.same({ { 16777217 }, { 2 } }, { values:totable(), places:totable() })
    assert.are.equal("int32", values.dtype)
  end)

  it("passes gradients to what it chose", function()
    local x = dlua.tensor({ 3.0, 1.0, 2.0 }):requires_grad_()
    x:topk(2):sum():backward()
    assert.same({ 1, 0, 1 }, x.grad:totable())
  end)
end)

describe("categorical_sample", function()
  it("keeps to the likeliest that top_k and top_p allow", function()
    dlua.manual_seed(1)
    local logits = dlua.tensor({ { 0.1, 0.2, 0.3, 0.4 } }):log():expand(2000, -1)
    local function kinds(options)
      local ids = options and dlua.categorical_sample(logits, options) or dlua.categorical_sample(logits)
      local list = {}
      for kind = 1, 4 do
        list[kind] = ids:eq(kind):any():item()
      end
      return list
    end
    assert.same({ true, true, true, true }, kinds())
    assert.same({ false, false, true, true }, kinds { top_k = 2 })
    assert.same({ false, false, true, true }, kinds { top_p = 0.7 })
    assert.same({ false, false, false, true }, kinds { top_p = 0 })
    assert.same({ false, false, false, true }, kinds { temperature = 0 })
    assert.equal(1, dlua.categorical_sample(dlua.zeros(1, 1), { temperature = 0 }):item())
    assert.matches("not finite", message_of(function() dlua.categorical_sample(dlua.full({ 1, 2 }, 0 / 0)) end))
    assert.matches("division by the temperature",
      message_of(function() dlua.categorical_sample(logits, { temperature = 1e-320 }) end), 1, true)
  end)
end)
