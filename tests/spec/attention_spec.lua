-- Embeddings, normalization, attention and transformer blocks as a Lua user meets them: held to the golden values of
-- Keras and PyTorch, saved and loaded, generated from step by step, checkpointed, and called wrongly.
local dlua = require "dlua"
local layers = dlua.layers

local golden = dofile "tests/golden/golden.lua"
local file = golden.load "attention"

local function cases_of(kind, run)
  for _, case in ipairs(file.cases) do
    if case.kind == kind then
      for _, dtype in ipairs(case.dtypes) do
        it(case.id .. " in " .. dtype, function()
          run(case, dtype)
        end)
      end
    end
  end
end

local function refuses(pattern, f)
  local ok, message = pcall(f)
  assert.is_false(ok, "no error: " .. pattern)
  assert.is_truthy(message:find(pattern), message)
end

local function bits(tensor)
  return table.concat(tensor:reshape(-1):totable(), " ")
end

local function assert_same(a, b)
  assert.are.same(a.shape, b.shape)
  assert.are.equal(bits(a), bits(b))
end

--- Weights of a layer by their paths.
local function weights_of(layer)
  local found = {}
  for place, name in ipairs(layer.weight_names) do
    found[name] = layer.weights[place]
  end
  return found
end

describe("the operation", function()
  cases_of("op", function(case, dtype)
    local arguments, leaves = file:arguments(case, dtype)
    local options = golden.options(case)
    local call = next(options) and { table.unpack(arguments) } or arguments
    local result
    if next(options) == nil then
      result = dlua[case.def](table.unpack(call))
    else
      for name, value in pairs(options) do
        call[name] = value
      end
      for place, name in ipairs(({ layer_norm = { "input", "weight", "bias" }, rms_norm = { "input", "weight" },
        group_norm = { "input", "weight", "bias" } })[case.def] or {}) do
        call[name], call[place] = call[place], nil
      end
      result = dlua[case.def](call)
    end
    file:check_call(case, dtype, { result }, leaves)
  end)

  it("attends over long sequences as a softmax of all scores does", function()
    local q, k, v = dlua.randn(1, 2, 100, 16), dlua.randn(1, 2, 200, 16), dlua.randn(1, 2, 200, 8)
    local scores = q:matmul(k:transpose(3, 4)) / 4
    local expected = scores:softmax(4):matmul(v)
    local got = dlua.scaled_dot_product_attention(q, k, v)
    assert.is_true((got - expected):abs():max():item() < 1e-5)
  end)

  it("draws the same weights to drop in any tiling as dropout of the whole does", function()
    local q, k = dlua.randn(1, 70, 2, 8):requires_grad_(), dlua.randn(1, 130, 2, 8)
    local v = dlua.randn(1, 130, 2, 8)
    local scores = q:permute(1, 3, 2, 4):matmul(k:permute(1, 3, 4, 2)) / 8 ^ 0.5
    local kept = dlua.dropout(scores:softmax(4), 0.3, true, { seed = 5 })
    local expected = kept:matmul(v:permute(1, 3, 2, 4)):permute(1, 3, 2, 4)
    local got = dlua.dot_product_attention(q, k, v, { dropout = 0.3, seed = 5 })
    assert.is_true((got - expected):abs():max():item() < 1e-5)
    expected:square():sum():backward()
    local want = q.grad:clone()
    q.grad = nil
    got:square():sum():backward()
    assert.is_true((q.grad - want):abs():max():item() < 1e-4)
  end)

  it("gives zeros to a query that sees no key", function()
    local x = dlua.randn(1, 1, 3, 4)
    local mask = dlua.tensor { { true, false, false }, { false, false, false }, { true, true, false } }
    local y = dlua.scaled_dot_product_attention(x, x, x, mask)
    assert.are.equal(0, y[{ 1, 1, 2 }]:abs():sum():item())
  end)

  it("draws anew in each call without a seed, and the same after the same seed of the context", function()
    local x = dlua.randn(1, 6, 2, 4)
    local function two()
      dlua.manual_seed(9)
      return bits(dlua.dot_product_attention(x, x, x, { dropout = 0.5 })),
        bits(dlua.dot_product_attention(x, x, x, { dropout = 0.5 }))
    end
    local first, second = two()
    assert.are_not.equal(first, second)
    assert.are.same({ first, second }, { two() })
  end)

  it("refuses a mask that would make more scores than there are", function()
    local x = dlua.randn(1, 3, 2, 4)
    refuses("mask has shape {2, 1, 3, 3}; it must be broadcastable to the scores' {1, 2, 3, 3}", function()
      dlua.dot_product_attention(x, x, x, dlua.ones(2, 1, 3, 3):bool())
    end)
    refuses("mask has shape {1, 1, 3, 2}; it must be broadcastable", function()
      dlua.dot_product_attention(x, x, x, dlua.ones(1, 1, 3, 2):bool())
    end)
    refuses("mask is int64; it must be bool", function()
      dlua.dot_product_attention(x, x, x, dlua.ones(1, 1, 3, 3, { dtype = "int64" }))
    end)
  end)

  it("keeps memory linear in the number of steps", function()
    local function peak(steps)
      local x = dlua.randn(1, steps, 1, 16):requires_grad_()
      collectgarbage()
      dlua.reset_peak_memory()
      local before = dlua.memory().in_use
      dlua.dot_product_attention(x, x, x, { is_causal = true }):sum():backward()
      return dlua.memory().peak - before
    end
    peak(256)
    assert.is_true(peak(4096) < 5 * peak(1024))
  end)
end)

describe("the layer", function()
  local function build(case, dtype, inputs)
    local options = golden.options(case)
    options.dtype = dtype
    local layer = layers[case.def](options)
    local named = {}
    for name, stored in pairs(case.named or {}) do
      named[name] = file:input(stored, dtype)
      if case.grads.named[name] then
        named[name]:requires_grad_()
      end
    end
    for name, value in pairs(case.call or {}) do
      named[name] = value
    end
    named.training = case.training
    local function call()
      local arguments = table.move(inputs, 1, #inputs, 1, {})
      arguments[#arguments + 1] = named
      return layer(table.unpack(arguments))
    end
    dlua.no_grad(call)
    local weights = weights_of(layer)
    for name, stored in pairs(case.weights) do
      dlua.no_grad(function()
        assert(weights[name], case.id .. ": no weight " .. name):copy_(file:input(stored, dtype))
      end)
    end
    return layer, weights, named, call
  end

  local function check_gradients(case, dtype, weights, named, inputs)
    for name, stored in pairs(case.grads.weights) do
      if file.tensors[stored]:abs():max():item() == 0 then -- nothing to be near to but the size of the others
        assert.is_true(weights[name].grad:abs():max():item() < (dtype == "float64" and 1e-13 or 1e-5))
      else
        file:check(case, "the gradient of " .. name, weights[name].grad, stored, dtype)
      end
    end
    for name, stored in pairs(case.grads.named) do
      file:check(case, "the gradient of " .. name, named[name].grad, stored, dtype)
    end
    for place, stored in ipairs(case.grads.inputs) do
      if golden.is_name(stored) then
        file:check(case, "the gradient of input " .. place, inputs[place].grad, stored, dtype)
      end
    end
  end

  cases_of("layer", function(case, dtype)
    local inputs = file:arguments(case, dtype)
    local layer, weights, named, call = build(case, dtype, inputs)
    assert.are.equal(#layer.weight_names, #layer.weights)
    local outputs = table.pack(call())
    assert.are.equal(#case.outputs, outputs.n)
    local loss
    for place, stored in ipairs(case.outputs) do
      file:check(case, "result " .. place, outputs[place], stored, dtype)
      if golden.is_name(case.grad_outputs[place]) then
        local part = (outputs[place] * file:input(case.grad_outputs[place], dtype)):sum()
        loss = loss and loss + part or part
      end
    end
    if loss and loss.requires_grad then
      loss:backward()
      check_gradients(case, dtype, weights, named, inputs)
    end
  end)
end)

describe("the dropout of attention in a layer", function()
  it("is drawn anew in each call of training, and none outside", function()
    local mha, x = layers.MultiHeadAttention { 2, 3, dropout = 0.5 }, dlua.randn(2, 5, 4)
    local first, second = bits(mha(x, x, { training = true })), bits(mha(x, x, { training = true }))
    assert.are_not.equal(first, second)
    assert_same(mha(x, x), mha(x, x))
  end)
end)

describe("a model of blocks", function()
  local function make(options)
    dlua.manual_seed(3)
    local ids = dlua.Input { shape = { dlua.none }, dtype = "int64" }
    local x = layers.TokenAndPositionEmbedding { 11, 16, 8, mask_zero = true }(ids)
    for _ = 1, 2 do
      local block = { 12, 2, dropout = 0.1, activation = "gelu", normalize_first = true }
      for name, value in pairs(options or {}) do
        block[name] = value
      end
      x = layers.TransformerDecoder(block)(x)
    end
    x = layers.LayerNormalization {}(x)
    return dlua.Model { inputs = ids, outputs = layers.Dense { 11 }(x) }
  end

  local function train(model, steps)
    model:compile { optimizer = dlua.optimizers.Adam { 0.01 },
                    loss = dlua.losses.SparseCategoricalCrossentropy { from_logits = true } }
    local x = dlua.tensor({ { 1, 2, 3, 4, 5, 6 }, { 4, 5, 6, 7, 0, 0 } }, { dtype = "int64" })
    local y = dlua.tensor({ { 2, 3, 4, 5, 6, 7 }, { 5, 6, 7, 8, 0, 0 } }, { dtype = "int64" })
    for _ = 1, steps do
      model:train_batch(x, y)
    end
    return model:logs().loss
  end

  it("learns, with padding left out of the loss", function()
    local model = make()
    local first = train(model, 1)
    assert.is_true(train(model, 60) < 0.5 * first)
  end)

  it("comes back from a file bit by bit", function()
    local model = make()
    train(model, 2)
    local path = os.tmpname()
    model:save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    local x = dlua.tensor({ { 3, 1, 2, 0 } }, { dtype = "int64" })
    assert_same(model(x), loaded(x))
  end)

  it("gets bitwise the same weights with checkpointed blocks", function()
    local plain, saved = make(), make { checkpoint = true }
    train(plain, 3)
    train(saved, 3)
    for place, weight in ipairs(plain.weights) do
      assert_same(weight, saved.weights[place])
    end
  end)

  it("gives the same bits for any number of threads", function()
    local threads = dlua.num_threads()
    local one, two = make(), make()
    dlua.set_num_threads(1)
    train(one, 2)
    dlua.set_num_threads(2)
    train(two, 2)
    dlua.set_num_threads(threads)
    for place, weight in ipairs(one.weights) do
      assert_same(weight, two.weights[place])
    end
  end)
end)

describe("a cache of keys and values", function()
  it("gives a decoder's steps one by one the bits of the whole sequence", function()
    local decoder = layers.TransformerDecoder { 24, 2, normalize_first = true, activation = "gelu" }
    local x = dlua.randn(2, 70, 16)
    dlua.no_grad(function()
      local whole = decoder(x)
      local cache = dlua.zeros(2, 2, 80, 2, 8)
      local out
      for step = 1, 70 do
        out, cache = decoder(x[{ {}, { step, step } }], { self_attention_cache = cache,
                                                           self_attention_cache_update_index = step })
        assert_same(out, whole[{ {}, { step, step } }])
      end
    end)
  end)

  it("keeps an encoder's keys and values too", function()
    local decoder = layers.TransformerDecoder { 12, 2 }
    local x, encoder = dlua.randn(2, 5, 8), dlua.randn(2, 4, 8)
    dlua.no_grad(function()
      local whole = decoder(x, encoder)
      local mine, theirs = dlua.zeros(2, 2, 5, 2, 4), dlua.zeros(2, 2, 4, 2, 4)
      local out
      for step = 1, 5 do
        out, mine, theirs = decoder(x[{ {}, { step, step } }], encoder,
          { self_attention_cache = mine, self_attention_cache_update_index = step, cross_attention_cache = theirs,
            cross_attention_cache_update_index = step == 1 and 1 or dlua.none })
        assert_same(out, whole[{ {}, { step, step } }])
      end
    end)
  end)

  it("is refused where it does not fit", function()
    local decoder = layers.TransformerDecoder { 12, 2, name = "block" }
    local x = dlua.randn(2, 3, 8)
    decoder(x)
    refuses("block/self_attention.*cache must be {2, 2, %*, 2, 4}.*got {2, 2, 5, 2, 3}", function()
      decoder(x, { self_attention_cache = dlua.zeros(2, 2, 5, 2, 3), self_attention_cache_update_index = 1 })
    end)
    refuses("do not fit into a cache of 5 steps", function()
      decoder(x, { self_attention_cache = dlua.zeros(2, 2, 5, 2, 4), self_attention_cache_update_index = 4 })
    end)
  end)
end)

describe("dlua.checkpoint", function()
  local function run(wrap)
    dlua.manual_seed(9)
    local w = dlua.randn(6, 6):requires_grad_()
    local x = dlua.randn(4, 6):requires_grad_()
    local drop = layers.Dropout { 0.4 }
    local function f(h)
      return dlua.dropout(drop(h:matmul(w):tanh(), { training = true }):matmul(w), 0.3)
    end
    local h = x * 2
    local y = wrap and dlua.checkpoint(f, h) or f(h)
    local z = (y * y + y:matmul(w)):sum()
    z:backward()
    return z, x.grad, w.grad, dlua.randn(3), drop(x:detach(), { training = true })
  end

  it("bears collections of garbage at any moment", function()
    local function gradient(wrap)
      dlua.manual_seed(1)
      local x = dlua.randn(3, 3):requires_grad_()
      local function f(t)
        local y = t:matmul(t)
        collectgarbage()
        return y:tanh()
      end
      local y = wrap and dlua.checkpoint(f, x) or f(x)
      y = wrap and dlua.checkpoint(f, y) or f(y)
      y:sum():backward()
      collectgarbage()
      return x.grad
    end
    assert.is_true(gradient(false):eq(gradient(true)):all():item())
    collectgarbage()
  end)

  it("gives bitwise the same results, gradients and draws after", function()
    local plain, again = table.pack(run(false)), table.pack(run(true))
    for place = 1, plain.n do
      assert_same(plain[place], again[place])
    end
  end)

  it("takes functions of several tensors that give several, and nests", function()
    local a, b = dlua.randn(3):requires_grad_(), dlua.randn(3):requires_grad_()
    local function f(x, y)
      local z = dlua.checkpoint(function(t) return t:exp() end, x * y)
      return z, x:sin()
    end
    local function total(p, q)
      return (p * 3):sum() + (q * q):sum()
    end
    total(f(a, b)):backward()
    local ga, gb = a.grad:clone(), b.grad:clone()
    a.grad, b.grad = nil, nil
    total(dlua.checkpoint(f, a, b)):backward()
    assert_same(ga, a.grad)
    assert_same(gb, b.grad)
  end)

  it("passes an error of the function on", function()
    refuses("broken", function()
      dlua.checkpoint(function() error "broken" end, dlua.ones(2))
    end)
    for _, enabled in ipairs { true, false } do
      refuses("must return 1 to 4 tensors, got 0 values", function()
        dlua.set_grad_enabled(enabled)
        dlua.checkpoint(function() end, dlua.ones(2))
      end)
    end
    dlua.set_grad_enabled(true)
    refuses("must return tensors, got 3", function()
      dlua.checkpoint(function() return 3 end, dlua.ones(2))
    end)
  end)
end)

describe("a wrong call", function()
  it("of Embedding names ids out of range and ids that are no whole numbers", function()
    local layer = layers.Embedding { 5, 2, name = "words" }
    refuses("words.*ids count from 1.*element 2 of the index is 6; allowed are 1 to 5", function()
      layer(dlua.tensor({ 1, 6 }, { dtype = "int64" }))
    end)
    refuses("words.*0 is padding.*element 1 of the index is 0", function()
      layer(dlua.tensor({ 0, 2 }, { dtype = "int64" }))
    end)
    refuses("words: Embedding takes ids, whole numbers from 1, got inputs of float32 {2}", function()
      layer(dlua.ones(2))
    end)
  end)

  it("of MultiHeadAttention names both shapes", function()
    local layer = layers.MultiHeadAttention { 2, 3, name = "mha" }
    local q, v = dlua.randn(2, 4, 6), dlua.randn(2, 5, 6)
    layer(q, v)
    refuses("mha: .*takes inputs of 3 to 5 dimensions.*got {2, 6}", function() layer(dlua.randn(2, 6), v) end)
    refuses("mha: .*'value' is missing", function() layer(q, { key = v }) end)
    refuses("mha: .*query {2, 4, 6}, key {3, 5, 6} and value {3, 5, 6}", function() layer(q, dlua.randn(3, 5, 6)) end)
    refuses("mha: .*size of zero, got {2, 0, 6}", function() layer(q, dlua.randn(2, 0, 6)) end)
    refuses("att: .*size of zero, got {2, 0, 6}", function()
      layers.Attention { name = "att" } (q, dlua.randn(2, 0, 6))
    end)
    refuses("mha: .*value_mask must be {2, 5}.*got {2, 4}", function()
      layer(q, v, { value_mask = dlua.ones(2, 4):bool() })
    end)
    refuses("mha: .*attention_mask must be {2, 4, 5}.*got {2, 5, 4}", function()
      layer(q, v, { attention_mask = dlua.ones(2, 5, 4):bool() })
    end)
    local mask = dlua.tensor { { { true, false, true, true, false } }, { { false, true, true, false, false } } }
    local whole = layer(q, v, { attention_mask = mask:expand(2, 4, 5) })
    assert.equal(bits(whole), bits(layer(q, v, { attention_mask = mask })))
    refuses("mha: .*attention_mask must be bool", function() layer(q, v, { attention_mask = dlua.ones(2, 4, 5) }) end)
    refuses("mha/query: .*built for inputs {%*, 4, 6}, got {2, 4, 7}", function() layer(dlua.randn(2, 4, 7), v) end)
    refuses("multiple of num_key_value_heads", function()
      layers.GroupQueryAttention { 3, 4, 3 }
    end)
  end)

  it("of MultiHeadAttention over chosen dimensions names what does not fit", function()
    local function call(options, query, value, more)
      return function()
        local layer = layers.MultiHeadAttention { 2, 3, attention_axes = options }
        layer(query, value or query, more or { return_attention_scores = false })
      end
    end
    local x = dlua.randn(2, 3, 4, 6)
    for _, axes in ipairs { { 1 }, { 4 }, { 5 }, { 2, 2 } } do
      refuses("attention_axes must name different dimensions of inputs of 4", call(axes, x))
    end
    refuses("query {2, 3, 4, 6}, key {2, 5, 4, 6} and value {2, 5, 4, 6} must be .* not in attention_axes",
      call({ 3 }, x, dlua.randn(2, 5, 4, 6)))
    refuses("use_causal_mask is for attention over one dimension, and attention_axes has 2",
      call(nil, x, x, { use_causal_mask = true }))
    refuses("attention_mask must be {2, 4, 4}.*got {2, 3, 3}",
      call({ 3 }, x, x, { attention_mask = dlua.ones(2, 3, 3):bool() }))
    refuses("a cache is for inputs %(batch, steps, features%)",
      call({ 3 }, x, x, { cache = dlua.zeros(2, 2, 4, 2, 3) }))
  end)

  it("of a block or a position layer names the layer and the shape", function()
    local block = layers.TransformerEncoder { 8, 2, name = "block" }
    block(dlua.randn(2, 3, 4))
    refuses("block: .*built for inputs {%*, 3, 4}, got {2, 3, 6}", function() block(dlua.randn(2, 3, 6)) end)
    refuses("block: .*padding_mask must be {2, 3}.*got {2, 4}", function()
      block(dlua.randn(2, 3, 4), { padding_mask = dlua.ones(2, 4):bool() })
    end)
    refuses("cross%-attention", function()
      local decoder = layers.TransformerDecoder { 8, 2 }
      decoder(dlua.randn(2, 3, 4))
      decoder(dlua.randn(2, 3, 4), dlua.randn(2, 3, 4))
    end)
    refuses("PositionEmbedding has 4 positions.*start_index 3 reach to 5", function()
      layers.PositionEmbedding { 4 }(dlua.randn(1, 3, 2), { start_index = 3 })
    end)
    refuses("RotaryEmbedding turns pairs.*got inputs {1, 3, 5}", function()
      layers.RotaryEmbedding {}(dlua.randn(1, 3, 5))
    end)
    refuses("groups = 4 does not divide the 6 channels", function()
      layers.GroupNormalization { 4 }(dlua.randn(1, 3, 6))
    end)
  end)
end)

describe("attention over chosen dimensions", function()
  local function attend(axes, query, value, more)
    dlua.manual_seed(6)
    return layers.MultiHeadAttention { 2, 3, attention_axes = axes, bias_initializer = "glorot_uniform" }
      (query, value, more or { return_attention_scores = false })
  end
  local x = dlua.randn(2, 3, 4, 6)

  it("is attention of each slice by itself", function()
    local y = attend({ 3 }, x, x)
    local each = attend(dlua.none, x:reshape(6, 4, 6), x:reshape(6, 4, 6)):reshape(2, 3, 4, 6)
    assert.is_true(y:eq(each):all():item())
    local turned = x:transpose(2, 3)
    assert.is_true(attend({ 2 }, turned, turned):eq(y:transpose(2, 3)):all():item())
    local flat = attend(dlua.none, x:reshape(2, 12, 6), x:reshape(2, 12, 6)):reshape(2, 3, 4, 6)
    assert.is_true(attend(dlua.none, x, x):eq(flat):all():item())
  end)

  it("leaves out what a mask of the first dimension does", function()
    local mask = dlua.tensor { { 1, 1, 0 }, { 1, 0, 0 } }:bool()
    local y = attend({ 2 }, x, x, { value_mask = mask })
    for row, count in ipairs { 2, 1 } do
      local part = { { row, row } }
      local expected = attend({ 2 }, x[part], x[{ { row, row }, { 1, count } }])
      assert.is_true((y[part] - expected):abs():max():item() < 1e-6)
    end
    local spread = attend(dlua.none, x, x, { value_mask = mask })
    local expected = attend(dlua.none, x[{ { 2, 2 } }], x[{ { 2, 2 }, { 1, 1 } }])
    assert.is_true((spread[{ { 2, 2 } }] - expected):abs():max():item() < 1e-6)
  end)

  it("is trained, saved and loaded in a model", function()
    dlua.manual_seed(1)
    local input = dlua.Input { shape = { 3, 4, 6 } }
    local y = layers.MultiHeadAttention { 2, 3, attention_axes = { 3 }, dropout = 0.2 } (input, input)
    local model = dlua.Model { input, layers.Dense { 1 } (layers.Flatten {} (y)) }
    model:compile { loss = "mse", optimizer = "adam" }
    model:fit { x, dlua.randn(2, 1), epochs = 2, verbose = 0 }
    local path = os.tmpname()
    model:save(path)
    local loaded = dlua.load_model(path)
    os.remove(path)
    assert.is_true(loaded(x):eq(model(x)):all():item())
    assert.same({ 3 }, loaded.layers[2].attention_axes)
  end)
end)
