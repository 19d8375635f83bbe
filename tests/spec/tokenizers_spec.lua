-- Tokenizers: exact round trips of any bytes, merges as a naive implementation learns and applies them, files.
local dlua = require "dlua"

local support = require "support"

local message_here = support.message_here

--- Numbers without a pattern, the same in each run.
local function generator(seed)
  local state = seed
  return function(limit)
    state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (state >> 33) % limit
  end
end

local function random_bytes(count, seed)
  local random = generator(seed)
  local bytes = {}
  for index = 1, count do
    bytes[index] = string.char(random(256))
  end
  return table.concat(bytes)
end

--- A text of words, some often and some seldom.
local function random_text(count, seed)
  local random = generator(seed)
  local words = {}
  for index = 1, count do
    local word = {}
    local pick = generator(random(random(60) + 1) + 1)
    for letter = 1, pick(8) + 1 do
      word[letter] = ("etaoinshrdlu"):sub(pick(12) + 1):sub(1, 1)
    end
    words[index] = table.concat(word) .. (random(9) == 0 and "," or "") .. (random(30) == 0 and "\n" or "")
  end
  return table.concat(words, " ")
end

local prose = [[
The quick brown fox doesn't jump over the lazy dog; the dog isn't lazy, it's we who're tired.  They'll've gone by 1984,
won't they?   Naïve façades: «日本語のテキスト» — Привет, мир! 😀👩‍👩‍👧 costs 3.14€ (or $99) ... 	tabs	too.
]]

--- The pattern of words, by another way than the engine's: the longest of the alternatives in their order.
local function words_of(text)
  local letters, spaces = "[A-Za-z\x80-\xff]", " \t\n\v\f\r"
  local patterns = {
    "^'[stmd]", "^'re", "^'ve", "^'ll", "^ ?" .. letters .. "+", "^ ?%d+", "^ ?[^" .. spaces .. "%dA-Za-z\x80-\xff]+",
  }
  local words, at = {}, 1
  while at <= #text do
    local word
    for _, pattern in ipairs(patterns) do
      word = word or text:match(pattern, at)
    end
    if not word then
      word = text:match("^[" .. spaces .. "]+", at)
      if #word > 1 and at + #word <= #text then
        word = word:sub(1, -2)
      end
    end
    words[#words + 1] = word:sub(1, 256)
    at = at + #words[#words]
  end
  return words
end

local function byte_ids(word, first)
  local ids = { word:byte(1, -1) }
  for index, byte in ipairs(ids) do
    ids[index] = first + byte
  end
  return ids
end

--- Replaces the pair from the left.
local function merged(ids, left, right, id)
  local out, index = {}, 1
  while index <= #ids do
    local matches = ids[index] == left and ids[index + 1] == right
    out[#out + 1] = matches and id or ids[index]
    index = index + (matches and 2 or 1)
  end
  return out
end

--- Sennrich's algorithm as it is told: all pairs are counted anew for every merge.
local function naive_merges(text, first, most)
  local words, merges = {}, {}
  for index, word in ipairs(words_of(text)) do
    words[index] = byte_ids(word, first)
  end
  for id = first + 256, first + 255 + most do
    local counts, best = {}, nil
    for _, ids in ipairs(words) do
      for index = 1, #ids - 1 do
        local key = ids[index] << 32 | ids[index + 1]
        counts[key] = (counts[key] or 0) + 1
      end
    end
    for key, count in pairs(counts) do
      if count > 1 and (not best or count > counts[best] or count == counts[best] and key < best) then
        best = key
      end
    end
    if not best then
      break
    end
    local left, right = best >> 32, best & 0xffffffff
    merges[#merges + 1], merges[#merges + 2] = left, right
    for index, ids in ipairs(words) do
      words[index] = merged(ids, left, right, id)
    end
  end
  return merges
end

--- All merges in the order in which they were learned, one after another.
local function naive_encode(text, first, merges)
  local all = {}
  for _, word in ipairs(words_of(text)) do
    local ids = byte_ids(word, first)
    for index = 1, #merges, 2 do
      ids = merged(ids, merges[index], merges[index + 1], first + 256 + index // 2)
    end
    table.move(ids, 1, #ids, #all + 1, all)
  end
  return all
end

local function kinds()
  local text = random_text(2000, 1) .. prose
  return {
    ["byte pairs"] = dlua.text.BytePairTokenizer { vocabulary_size = 400, special_tokens = { "<s>", "é" } }:train(text),
    ["byte pairs, untrained"] = dlua.text.BytePairTokenizer { vocabulary_size = 256 },
    ["characters"] = dlua.text.CharTokenizer { special_tokens = { "<s>", "é" } }:train(prose),
    ["few characters"] = dlua.text.CharTokenizer { vocabulary_size = 260 }:train(prose),
  }
end

describe("a tokenizer", function()
  for name, tokenizer in pairs(kinds()) do
    local function check(text)
      local ids = tokenizer:encode(text)
      assert.are.equal("int64", ids.dtype)
      assert.is_true(tokenizer:decode(ids) == text)
      return ids
    end

    it("of " .. name .. " gives every text back", function()
      assert.are.same({ 0 }, check("").shape)
      check(prose)
      check(random_text(20000, 7))
      local random = generator(3)
      local points = {}
      for point = 0, 0x10ffff, 23 do
        if point < 0xd800 or point > 0xdfff then
          points[#points + 1] = utf8.char(point)
          if random(4) == 0 then
            points[#points + 1] = (" \n\t'a1."):sub(random(7) + 1):sub(1, 1)
          end
        end
      end
      check(table.concat(points))
    end)

    it("of " .. name .. " gives bytes back that are no UTF-8", function()
      for byte = 0, 255 do
        check(string.char(byte))
        check("a" .. string.char(byte, byte) .. "b")
      end
      for seed = 1, 60 do
        check(random_bytes(seed, seed))
      end
      check(random_bytes(20000, 99))
      check(("x"):rep(3000) .. (" "):rep(700) .. ("é"):rep(900))
    end)

    it("of " .. name .. " comes back from a file the same", function()
      local path = os.tmpname()
      tokenizer:save(path)
      local loaded = dlua.text.load(path)
      os.remove(path)
      assert.are.equal(#tokenizer, #loaded)
      for id = 1, #tokenizer do
        assert.are.equal(tokenizer:token(id), loaded:token(id))
      end
      assert.is_true(support.same_bits(tokenizer:encode(prose), loaded:encode(prose)))
      assert.are.same(tokenizer:get_config(), loaded:get_config())
    end)

    it("of " .. name .. " knows its tokens", function()
      for id = 1, #tokenizer do
        local first = tokenizer:id(tokenizer:token(id))
        assert.is_true(first <= id and tokenizer:token(first) == tokenizer:token(id))
      end
      assert.is_nil(tokenizer:token(0))
      assert.is_nil(tokenizer:token(#tokenizer + 1))
      assert.is_nil(tokenizer:id "no such token")
    end)

    it("of " .. name .. " pads a batch with zeros", function()
      local texts = { "the fox", "", "the lazy dog" }
      local batch = tokenizer:encode_batch(texts)
      local longest = tokenizer:encode(texts[3])
      assert.are.same({ 3, longest.shape[1] }, batch.shape)
      assert.are.same(longest:totable(), batch[3]:totable())
      for row, text in ipairs(texts) do
        assert.are.equal(text, tokenizer:decode(batch[row]))
      end
      assert.are.same({ { 0 } }, tokenizer:encode_batch({ "" }):totable())
    end)
  end

  it("refuses what it does not know", function()
    local tokenizer = dlua.text.CharTokenizer { byte_fallback = false }:train "abc"
    assert.are.equal(3, #tokenizer)
    assert.are.same({ 3, 1, 2 }, tokenizer:encode("cab"):totable())
    assert.matches("character at byte 3, 'é', has no token", message_here(function() tokenizer:encode "abé" end))
    assert.matches("text 2: CharTokenizer", message_here(function() tokenizer:encode_batch { "a", "x" } end))
    assert.matches("there is no token 4; ids are 1 to 3", message_here(function() tokenizer:decode { 1, 4 } end))
    assert.matches("id 2 must be a whole number, got 1.5", message_here(function() tokenizer:decode { 1, 1.5 } end))
    assert.matches("encode: takes a string, got 5", message_here(function() tokenizer:encode(5) end))
    assert.matches("train: takes a text, a list of texts, or a file, got 5",
      message_here(function() tokenizer:train(5) end))
    assert.matches("'vocabulary_size' is missing", message_here(function() dlua.text.BytePairTokenizer {} end))
    assert.matches("must be at least 257, for the 256 bytes",
      message_here(function() dlua.text.BytePairTokenizer { 256, { "<s>" } } end))
    assert.matches("did you mean 'BytePairTokenizer'", message_here(function() return dlua.text.BytePairTokeniser end))
    assert.are.equal("abc", tokenizer:decode { 1, 0, 2, 0, 0, 3 })
  end)

  it("trains on a file, a list or a text alike", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(prose)
    file:close()
    local function merges(texts)
      return dlua.text.BytePairTokenizer { vocabulary_size = 300 }:train(texts):get_config().config.merges
    end
    local opened <close> = assert(io.open(path))
    assert.are.same(merges(prose), merges(opened))
    assert.are.same(merges(prose), merges { prose })
    local cut = prose:find("; the", 1, true) -- between two words
    assert.are.same(merges(prose), merges { prose:sub(1, cut - 1), prose:sub(cut) })
    os.remove(path)
  end)

  it("learns anew, and forgets what it had learned", function()
    local tokenizer = dlua.text.BytePairTokenizer { vocabulary_size = 300 }
    tokenizer:train "aaaa aaaa"
    local before = tokenizer:encode "aaaa bbbb":totable()
    tokenizer:train "bbbb bbbb"
    assert.are_not.same(before, tokenizer:encode "aaaa bbbb":totable())
    assert.are.same(dlua.text.BytePairTokenizer { vocabulary_size = 300 }:train("bbbb bbbb"):get_config(),
      tokenizer:get_config())
  end)
end)

describe("BytePairTokenizer", function()
  for name, text in pairs {
    prose = prose:rep(3), words = random_text(400, 5), repeats = "aaa aaaa aaaaa " .. ("ab"):rep(40) .. (" "):rep(30),
    bytes = random_bytes(600, 8):rep(2),
  } do
    it("learns and applies merges as the naive algorithm does: " .. name, function()
      local tokenizer = dlua.text.BytePairTokenizer { vocabulary_size = 320, special_tokens = { "<s>" } }:train(text)
      local merges = tokenizer:get_config().config.merges
      assert.are.same(naive_merges(text, 2, 63), merges)
      assert.is_true(#merges > 4)
      for _, other in ipairs { text, prose, random_text(100, 6), random_bytes(400, 9) } do
        assert.are.same(naive_encode(other, 2, merges), tokenizer:encode(other):totable())
      end
    end)
  end

  it("makes frequent words one token", function()
    local tokenizer = dlua.text.BytePairTokenizer { vocabulary_size = 300 }:train(("hello world, "):rep(20))
    assert.is_true(tokenizer:id " world" ~= nil and tokenizer:id "hello" ~= nil)
    assert.are.equal(" world", tokenizer:token(tokenizer:encode("hello world")[2]:item()))
  end)
end)

describe("CharTokenizer", function()
  it("orders characters by their numbers, after special tokens and bytes", function()
    local tokenizer = dlua.text.CharTokenizer { special_tokens = { "<pad>", "Ω" } }:train "Ωbaé日 \xff"
    assert.are.equal(2 + 256 + 3, #tokenizer)
    assert.are.same({ "é", "Ω", "日" }, { tokenizer:token(259), tokenizer:token(260), tokenizer:token(261) })
    assert.are.equal(2, tokenizer:id "Ω")
    assert.are.same({ 260 }, tokenizer:encode("Ω"):totable()) -- the character, not the special token of its name
    local few = dlua.text.CharTokenizer { vocabulary_size = 3, byte_fallback = false }:train "zzyyyx\0\0\0\0"
    assert.are.same({ "\0", "y", "z" }, { few:token(1), few:token(2), few:token(3) })
  end)
end)
