-- Texts in tensors, and the layers that have a vocabulary.
local dlua = require "dlua"

local support = require "support"

local layers = dlua.layers
local message_here = support.message_here

describe("texts in tensors", function()
  it("come back as they were", function()
    local texts = { "one", "", "drei", "\xff\xfe", "日本語", " end " }
    local tensor = dlua.strings(texts)
    assert.are.equal("uint8", tensor.dtype)
    assert.are.same({ 6, 9 }, tensor.shape)
    assert.are.same(texts, dlua.to_strings(tensor))
    assert.are.same({ "one", "drei" }, dlua.to_strings(dlua.strings { "one", "x", "drei" }[{ { 1, 3, 2 } }]))
    assert.are.same({ 1, 1 }, dlua.strings { "" }.shape)
  end)

  it("may be lists of lists", function()
    local texts = { { "a", "bc", "" }, { "d", "e", "fgh" } }
    assert.are.same({ 2, 3, 3 }, dlua.strings(texts).shape)
    assert.are.same(texts, dlua.to_strings(dlua.strings(texts)))
    assert.are.same({ { "", "" }, { "", "" } }, dlua.to_strings(dlua.strings { { "", "" }, { "", "" } }))
  end)

  it("refuse what they could not give back", function()
    assert.matches("text 2 has a zero byte at place 3", message_here(dlua.strings, { "a", "bc\0d" }))
    assert.matches("entry 2 must be a string, got 3", message_here(dlua.strings, { "a", 3 }))
    assert.matches("entry 2 must be a list of 2 strings", message_here(dlua.strings, { { "a", "b" }, { "c" } }))
    assert.matches("takes a list of strings, got the string 'a'", message_here(dlua.strings, "a"))
    assert.matches("takes a uint8 tensor", message_here(dlua.to_strings, dlua.zeros(2, 3)))
  end)
end)

--- Nested lists are equal, numbers up to `tolerance`.
local function same(got, want, tolerance, path)
  if type(want) == "table" then
    assert.are.equal(#want, #got, path)
    for index, entry in ipairs(want) do
      same(got[index], entry, tolerance, path .. "[" .. index .. "]")
    end
  else
    assert.is_near(want, got, tolerance * math.abs(want), path)
  end
end

describe("Keras's", function()
  local file <close> = assert(io.open "tests/golden/text.json")
  local golden = dlua.json.decode(file:read "a")

  local function input(list)
    return dlua.strings(list)
  end

  for _, case in ipairs(golden.cases) do
    it(case.def .. ": " .. case.id, function()
      local layer = layers[case.def](case.options)
      if case.adapt ~= dlua.none then
        layer:adapt(input(case.adapt))
      end
      local words = layer:get_vocabulary()
      assert.are.same(case.vocabulary, words)
      assert.are.equal(#words, layer:vocabulary_size())
      local texts = input(case.input ~= dlua.none and case.input or case.adapt)

      if case.def == "TextVectorization" and #texts.shape == 3 then
        texts = texts:reshape(texts.shape[1], texts.shape[3]) -- Keras's column of texts
      end
      local output = layer(texts)
      assert.are.equal((case.options.output_mode or "int") == "int" and "int64" or "float32", output.dtype)
      same(output:totable(), case.output, 1e-6, case.id)

      local again = layers[case.def](layer:get_config().config)
      assert.is_true(support.same_bits(output, again(texts)))
    end)
  end

  it("hash of unknown tokens", function()
    for _, pair in ipairs(golden.fingerprints) do
      local layer = layers.StringLookup { vocabulary = { "\1" }, num_oov_indices = 1000003 }
      assert.are.equal(pair[2] + 1, layer { pair[1] }:item(), #pair[1])
    end
  end)
end)

describe("TextVectorization", function()
  it("splits bytes that are no UTF-8 as TensorFlow does", function()
    local layer = layers.TextVectorization { split = "character", standardize = dlua.none }
    local first = "a\xffb\xe2\x82c\u{1F600}\xed\xa0\x80z\xc0\x80"
    local second = "\xf0\x9f\x98 \xe2\x82\xf4\x90\x80\x80\xe0\x80\x80!\xf0\x9f"
    layer:adapt { first, second }
    assert.are.same({ "[UNK]", "\u{FFFD}", "\u{1F600}", "z", "c", "b", "a", "!", " " }, layer:get_vocabulary())
    assert.are.same({ { 7, 2, 6, 2, 5, 3, 2, 2, 2, 4, 2, 2 } }, layer { first }:totable())
    assert.are.same({ { 2, 9, 2, 2, 2, 2, 2, 2, 2, 2, 8, 2 } }, layer { second }:totable())
  end)

  it("pads to the longest text of the batch, with one id at least", function()
    local layer = layers.TextVectorization { vocabulary = { "a", "b" } }
    assert.are.same({ { 2, 3, 1 }, { 2, 0, 0 } }, layer { "A, b? c", "a" }:totable())
    assert.are.same({ { 0 }, { 0 } }, layer { "", "?!" }:totable())
  end)

  it("learns anew, and keeps its vocabulary where that fails", function()
    local layer = layers.TextVectorization {}
    assert.matches("has no vocabulary yet; call adapt", message_here(function() layer { "a" } end))
    layer:adapt { "a" }
    layer:adapt { "b c", "c" }
    assert.are.same({ "[UNK]", "c", "b" }, layer:get_vocabulary())
    assert.are.same({ "c", "b" }, layer:get_vocabulary(false))
    assert.matches("adapt found no token", message_here(function() layer:adapt { "", "?" } end))
    assert.matches("vocabulary%[1%] is not UTF%-8", message_here(function() layer:adapt { "a\xff" } end))
    assert.matches("takes texts, as dlua.strings", message_here(function() layer:adapt(dlua.zeros(2, 2)) end))
    assert.are.same({ "[UNK]", "c", "b" }, layer:get_vocabulary())
  end)

  it("refuses vocabularies and settings that mean nothing", function()
    local function refused(options)
      return message_here(function() layers.TextVectorization(options) end)
    end
    assert.matches("vocabulary%[3%] stands in it twice", refused { vocabulary = { "a", "b", "a" } })
    assert.matches("vocabulary%[2%] must be a string, got 2", refused { vocabulary = { "a", 2 } })
    assert.matches("vocabulary%[2%] is the mask token", refused { vocabulary = { "a", "" } })
    assert.matches("must be a list of at least one token", refused { vocabulary = {} })
    assert.matches("max_tokens is 3", refused { vocabulary = { "a", "b" }, max_tokens = 3 })
    assert.matches("max_tokens = 2 leaves no room", refused { max_tokens = 2 })
    assert.matches("pad_to_max_tokens needs max_tokens", refused { output_mode = "count", pad_to_max_tokens = true })
    assert.matches("output_sequence_length goes with output_mode 'int' only",
      refused { output_mode = "count", output_sequence_length = 3 })
    assert.matches("needs idf_weights, a number for each of the 1",
      refused { vocabulary = { "a" }, output_mode = "tf_idf" })
    assert.matches("idf_weights are for output_mode 'tf_idf'", refused { vocabulary = { "a" }, idf_weights = { 1 } })
    assert.matches("'lower'", refused { standardize = "upper" })
    assert.matches("has no vocabulary; TextVectorization",
      message_here(function() layers.Dense { 2 }:get_vocabulary() end))
    assert.matches("has nothing to learn from data",
      message_here(function() layers.Dense { 2 }:adapt(dlua.ones(2)) end))
  end)
end)

describe("StringLookup and IntegerLookup", function()
  it("turn ids back into tokens", function()
    local words = { "one", "two", "drei" }
    local back = layers.StringLookup { vocabulary = words, invert = true }
    assert.are.same({ { "[UNK]", "one" }, { "two", "drei" }, { "[UNK]", "[UNK]" } },
      dlua.to_strings(back(dlua.tensor { { 1, 2 }, { 3, 4 }, { 5, 0 } })))
    local labels = layers.StringLookup { vocabulary = words, num_oov_indices = 0 }
    assert.are.same({ 2, 1, 3 }, labels { "two", "one", "drei" }:totable())
    assert.matches("'four' is not in the vocabulary, and num_oov_indices = 0",
      message_here(function() labels { "two", "four" } end))
    assert.matches("is the oov_token",
      message_here(function() layers.StringLookup { vocabulary = { "a", "[UNK]" }, invert = true } end))
    assert.matches("got the string 'one'", message_here(function() back { "one" } end))
    assert.matches("takes whole numbers", message_here(function() back(dlua.ones(2)) end))
  end)

  it("count whole numbers as Keras does", function()
    local layer = layers.IntegerLookup {}
    layer:adapt(dlua.tensor { 5, 7, 7, -3, 5, 12, 7, -1 })
    assert.are.same({ -1, 7, 5, 12, -3 }, layer:get_vocabulary())
    assert.are.same({ { 3, 2 }, { 1, 5 } }, layer(dlua.tensor { { 5, 7 }, { 9, -3 } }):totable())
    local several = layers.IntegerLookup { vocabulary = { 5, 7 }, num_oov_indices = 3 }
    assert.are.same({ 4, 5, 1, 3 }, several(dlua.tensor { 5, 7, 9, -4 }):totable())
    local back = layers.IntegerLookup { vocabulary = { 5, 7 }, invert = true }
    assert.are.same({ -1, 5, 7, -1 }, back(dlua.tensor { 1, 2, 3, 4 }):totable())
    local masked = layers.IntegerLookup { vocabulary = { 5, 7 }, mask_token = 0 }
    assert.are.same({ 0, 2, 1 }, masked(dlua.tensor { 0, 5, 6 }):totable())
  end)
end)

describe("a model that begins with texts", function()
  local texts = { "good film", "a very good one", "bad film", "so bad, so sad", "GOOD!", "sad" }
  local labels = dlua.tensor({ { 1 }, { 1 }, { 0 }, { 0 }, { 1 }, { 0 } }):float()
  local path = os.tmpname()

  teardown(function()
    os.remove(path)
  end)

  local function train(model)
    model:compile { optimizer = dlua.optimizers.Adam { 0.05 }, loss = "binary_crossentropy" }
    model:fit { texts, labels, epochs = 30, batch_size = 4, verbose = 0 }
    return model
  end

  local function check(model)
    local predictions = model:predict(texts)
    for row, label in ipairs(labels:totable()) do
      assert.is_near(label[1], predictions[row]:item(), 0.45)
    end
    assert.is_true(model:evaluate { texts, labels, verbose = 0 } < 0.4)
    model:save(path)
    local loaded = dlua.load_model(path)
    assert.is_true(support.same_bits(predictions, loaded:predict(texts)))
    assert.is_true(support.same_bits(predictions[{ { 2, 2 } }], loaded:predict { texts[2] }))
    loaded:train_on_batch(texts, labels)
    model:train_on_batch(texts, labels)
    assert.is_true(support.same_weights(model, loaded))
  end

  it("learns from counts of words, and comes back from a file", function()
    dlua.manual_seed(3)
    local vectorize = layers.TextVectorization { output_mode = "count" }
    vectorize:adapt(texts)
    check(train(dlua.Sequential { vectorize, layers.Dense { 1, activation = "sigmoid" } }))
  end)

  it("learns from embedded ids", function()
    dlua.manual_seed(3)
    local vectorize = layers.TextVectorization { output_sequence_length = 5 }
    vectorize:adapt(texts)
    check(train(dlua.Sequential {
      vectorize, layers.Embedding { vectorize:vocabulary_size(), 4, mask_zero = true }, layers.Flatten {},
      layers.Dense { 1, activation = "sigmoid" },
    }))
  end)

  it("takes lists of strings for several inputs", function()
    local first, second = dlua.Input { shape = { dlua.none }, dtype = "uint8" },
      dlua.Input { shape = { dlua.none }, dtype = "uint8" }
    local lookup = layers.StringLookup { vocabulary = { "a", "b" } }
    local model = dlua.Model { { first, second }, { lookup(first), lookup(second) } }
    local x, y = model:predict { { { "a", "b" }, { "b", "c" } } }
    assert.same({ { 2, 3 }, { 3, 1 } }, { x:totable(), y:totable() })
  end)

  it("may be a graph whose input is bytes", function()
    dlua.manual_seed(3)
    local vectorize = layers.TextVectorization { output_mode = "multi_hot" }
    vectorize:adapt(texts)
    local input = dlua.Input { shape = { dlua.none }, dtype = "uint8" }
    check(train(dlua.Model { inputs = input, outputs = layers.Dense { 1, activation = "sigmoid" } (vectorize(input)) }))
  end)

  describe("whose batches are as wide as their longest text", function()
    local vectorize, embed

    before_each(function()
      dlua.manual_seed(3)
      vectorize = layers.TextVectorization {}
      vectorize:adapt(texts)
      embed = layers.Embedding { vectorize:vocabulary_size(), 4, mask_zero = true }
    end)

    it("predicts the same in batches of any size where the outputs are of one size", function()
      local model = dlua.Sequential { vectorize, embed, layers.LSTM { 3 } }
      local whole = model:predict(texts)
      for size = 1, 5 do
        assert.is_true(support.same_bits(whole, model:predict { texts, batch_size = size }))
      end
    end)

    it("says what to do where the outputs are wider in one batch than in another, also where one is 1 wide", function()
      local model = dlua.Sequential { vectorize, embed, layers.Dense { 2 } }
      assert.are.same({ 6, 4, 2 }, model:predict(texts).shape)
      assert.matches("output 1 is {*, 4, 2} for the batch that begins with sample 2, and {*, 2, 2} for those before",
        message_here(function() model:predict { texts, batch_size = 1 } end), 1, true)
      assert.matches("output 1 is {*, 1, 2} for the batch that begins with sample 3, and {*, 4, 2} for those before; "
        .. "one tensor cannot hold both: predict all samples in one batch (batch_size = 3)",
        message_here(function() model:predict { { texts[4], "so", "sad" }, batch_size = 2 } end), 1, true)
    end)
  end)

  it("lets layers without text refuse strings", function()
    assert.matches("must be a tensor", message_here(function() layers.Dense { 2 } { "a", "b" } end))
  end)
end)
