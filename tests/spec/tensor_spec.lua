--- Tensors in Lua: making, reading, indexing, assigning, printing, arithmetic.

local dlua = require "dlua"
local support = require "support"
local message_of = support.message_here

describe("making tensors", function()
  it("from tables: whole numbers make int64, others float32, booleans bool", function()
    assert.equal("int64", dlua.tensor({ 1, 2 }).dtype)
    assert.equal("float32", dlua.tensor({ 1, 2.5 }).dtype)
    assert.equal("bool", dlua.tensor({ true, false }).dtype)
    assert.same({ { 1, 2 }, { 3, 4 } }, dlua.tensor({ { 1, 2 }, { 3, 4 } }):totable())
    assert.same({ 2, 2 }, dlua.tensor({ { 1, 2 }, { 3, 4 } }).shape)
    assert.same({}, dlua.tensor(3).shape)
    assert.equal(3, dlua.tensor(3):item())
    assert.same({ 0 }, dlua.tensor({}).shape)
  end)

  it("takes a dtype and requires_grad", function()
    local t = dlua.tensor({ 1, 2 }, { dtype = "float64", requires_grad = true })
    assert.equal("float64", t.dtype)
    assert.is_true(t.requires_grad)
    assert.equal("uint8", dlua.tensor { { 1, 2 }, dtype = "uint8" }.dtype)
  end)

  it("keeps whole numbers beyond what a double holds", function()
    local large = 9007199254740993
    assert.equal(large, dlua.tensor({ large }):totable()[1])
  end)

  it("names the place of what does not fit", function()
    assert.matches("%[2%] has 1 entries", message_of(dlua.tensor, { { 1, 2 }, { 3 } }))
    assert.matches("element %[1%]%[2%] must be a number or a boolean, got the string 'x'",
      message_of(dlua.tensor, { { 1, "x" } }))
    assert.matches("%[2%] is no table, but elements before it are nested 2 deep", message_of(dlua.tensor, { { 1 }, 2 }))
    assert.matches("the list has a hole", message_of(dlua.tensor, { 1, nil, 3 }))
    assert.matches("300.*uint8 cannot hold", message_of(dlua.tensor, { 300 }, { dtype = "uint8" }))
    assert.matches("but there are 2 entries", message_of(dlua.tensor, { { 1 }, { 2 }, dtype = "int32" }))
    assert.matches("unknown dtype 'float33'", message_of(dlua.tensor, { 1 }, { dtype = "float33" }))
    assert.matches("unknown argument 'dtpe'", message_of(dlua.tensor, { 1 }, { dtpe = "float32" }))
  end)

  it("of sizes given as numbers, as a table, or by name", function()
    assert.same({ 2, 3 }, dlua.zeros(2, 3).shape)
    assert.same({ 2, 3 }, dlua.zeros({ 2, 3 }).shape)
    assert.same({ 2, 3 }, dlua.zeros { 2, 3, dtype = "int32" }.shape)
    assert.same({ 2, 3 }, dlua.zeros { size = { 2, 3 }, dtype = "int32" }.shape)
    assert.equal("int32", dlua.zeros(2, 3, { dtype = "int32" }).dtype)
    assert.same({}, dlua.zeros({}).shape)
    assert.same({ 1.0, 1.0 }, dlua.ones(2):totable())
    assert.same({ 2, 0 }, dlua.empty(2, 0).shape)
    assert.matches("the sizes are missing", message_of(dlua.zeros))
    assert.matches("size 2 must be a whole number of 0 or more, got %-1", message_of(dlua.zeros, 2, -1))
  end)

  it("filled, counted and random", function()
    assert.same({ 0.5, 0.5 }, dlua.full({ 2 }, 0.5):totable())
    assert.same({ 7, 7 }, dlua.full({ 2 }, 7):totable())
    assert.same({ 0, 1, 2 }, dlua.arange(3):totable())
    assert.same({ 1, 3, 5 }, dlua.arange(1, 6, 2):totable())
    assert.same({ 0.0, 0.5, 1.0 }, dlua.linspace(0, 1, 3):totable())
    assert.same({ { 1.0, 0.0, 0.0 }, { 0.0, 1.0, 0.0 } }, dlua.eye(2, 3):totable())
    local drawn = dlua.randint(1, 6, 1000)
    assert.equal(1, drawn:min():item())
    assert.equal(6, drawn:max():item())
    local order = dlua.randperm(5):totable()
    table.sort(order)
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("like another tensor", function()
    local t = dlua.zeros(2, 3, { dtype = "float64" })
    assert.same({ 2, 3 }, dlua.ones_like(t).shape)
    assert.equal("float64", dlua.ones_like(t).dtype)
    assert.equal("float32", dlua.randn_like(t, { dtype = "float32" }).dtype)
    assert.same({ 4.0, 4.0, 4.0 }, dlua.full_like(t, 4)[1]:totable())
  end)

  it("gives the same numbers after the same seed", function()
    dlua.manual_seed(42)
    local first = dlua.randn(5):totable()
    dlua.manual_seed(42)
    assert.same(first, dlua.randn(5):totable())
    assert.not_same(first, dlua.randn(5):totable())
  end)
end)

describe("a tensor", function()
  local t = dlua.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { dtype = "float32" })

  it("tells its shape, dtype and strides", function()
    assert.same({ 2, 3 }, t.shape)
    assert.same({ 2, 3 }, t:size())
    assert.equal(3, t:size(2))
    assert.equal(3, t:size(-1))
    assert.equal(2, t:dim())
    assert.equal(6, t:numel())
    assert.equal("float32", t.dtype)
    assert.same({ 3, 1 }, t:stride())
    assert.equal(2, #t)
    assert.is_true(t:is_contiguous())
    local turned = t:transpose(1, 2)
    assert.is_false(turned:is_contiguous())
    assert.is_true(turned:contiguous():is_contiguous())
    assert.matches("dimension 3 does not exist", message_of(t.size, t, 3))
  end)

  it("is not written through an expanded view", function()
    assert.matches("expand", message_of(function() dlua.zeros(1):expand(5):copy_(dlua.ones(5)) end))
  end)

  it("is not expanded past what any memory holds", function()
    assert.matches("expand: a tensor of shape {4294967296, 4294967296} is larger than any memory",
      message_of(function() dlua.zeros(1, 1):expand(2 ^ 32, 2 ^ 32) end), 1, true)
  end)

  it("has operations under their other names", function()
    assert.same({ 1, 2 }, dlua.concat({ dlua.tensor { 1 }, dlua.tensor { 2 } }, 1):totable())
  end)

  it("prints as PyTorch does, with its dtype and shape below", function()
    assert.equal("[[1., 2., 3.],\n [4., 5., 6.]]\n[float32 {2, 3}]", tostring(t))
  end)

  it("converts its dtype", function()
    assert.equal("float64", t:double().dtype)
    assert.equal("int32", t:int().dtype)
    assert.equal("int64", t:long().dtype)
    assert.equal("uint8", t:byte().dtype)
    assert.equal("bool", t:bool().dtype)
    assert.equal("float32", t:double():float().dtype)
    assert.equal("int32", t:to("int32").dtype)
    assert.matches("float23", message_of(t.to, t, "float23"))
  end)

  it("gives its one element as a number or boolean", function()
    assert.equal(2.5, dlua.tensor({ 2.5 }):item())
    assert.equal("integer", math.type(dlua.tensor({ 2 }):item()))
    assert.is_true(dlua.tensor({ true }):item())
    assert.matches("one element", message_of(t.item, t))
  end)

  it("iterates over its rows", function()
    local rows = {}
    for place, row in t:iter() do
      rows[place] = row:totable()
    end
    assert.same({ { 1.0, 2.0, 3.0 }, { 4.0, 5.0, 6.0 } }, rows)
  end)

  it("refuses ipairs and pairs, and says what to write", function()
    assert.matches("t:iter", message_of(function() for _ in ipairs(t) do error("inside") end end))
    assert.matches("t:iter", message_of(function() for _ in pairs(t) do error("inside") end end))
  end)

  it("refuses Lua's comparison, and says what to write", function()
    assert.matches("t:lt%(u%)", message_of(function() return t < t end))
    assert.matches("t:le%(u%)", message_of(function() return t <= t end))
  end)

  it("is equal to itself alone", function()
    assert.is_true(t == t)
    assert.is_false(t == t:clone())
    assert.is_false(t == nil)
  end)

  it("names the nearest method for one that does not exist", function()
    assert.matches("a tensor has no 'summ'; did you mean 'sum'%?", message_of(function() return t:summ() end))
  end)

  it("computes with numbers and tensors by Lua's operators", function()
    local u = dlua.tensor({ 1.0, 2.0, 4.0 })
    assert.same({ 3.0, 4.0, 6.0 }, (u + 2):totable())
    assert.same({ 1.0, 0.0, -2.0 }, (2 - u):totable())
    assert.same({ 2.0, 4.0, 8.0 }, (2 * u):totable())
    assert.same({ 1.0, 0.5, 0.25 }, (1 / u):totable())
    assert.same({ 0.0, 1.0, 2.0 }, (u // 2):totable())
    assert.same({ 1.0, 0.0, 0.0 }, (u % 2):totable())
    assert.same({ 1.0, 4.0, 16.0 }, (u ^ 2):totable())
    assert.same({ -1.0, -2.0, -4.0 }, (-u):totable())
    assert.same({ 2.0, 4.0, 7.0 }, (t[1] + u):totable()[1] and (t[1] + u):totable())
    assert.has_error(function() return t + "a" end)
  end)

  it("keeps its dtype beside whole numbers and goes to float32 beside fractions", function()
    local whole = dlua.tensor { 1, 2 }
    assert.equal("int64", (whole + 1).dtype)
    assert.equal("float32", (whole + 1.5).dtype)
    assert.equal("float32", (t + 1.5).dtype)
    assert.equal("float64", (t:double() + 1.5).dtype)
    assert.equal("int32", (t:int() * 2).dtype)
  end)

  it("changes in place by methods with an underscore", function()
    local u = dlua.zeros(3)
    assert.equal(u, u:add_(2))
    assert.same({ 2.0, 2.0, 2.0 }, u:totable())
    u:mul_(dlua.tensor { 1.0, 2.0, 3.0 })
    assert.same({ 2.0, 4.0, 6.0 }, u:totable())
  end)

  it("describes shapes that do not fit in the error", function()
    local message = message_of(function() return t:matmul(t) end)
    assert.matches("{2, 3}", message)
  end)
end)

describe("operators", function()
  it("combine bool tensors as PyTorch's do", function()
    local a, b = dlua.tensor { true, true, false }, dlua.tensor { true, false, false }
    assert.same({ true, false, false }, (a & b):totable())
    assert.same({ true, true, false }, (a | b):totable())
    assert.same({ false, true, false }, (a ~ b):totable())
    assert.same({ false, false, true }, (~a):totable())
    assert.same({ true, true, false }, (a & true):totable())
    assert.matches("^&: combines bool tensors, got .*int64.*; compare first, as in t:gt%(0%), or see logical_and",
      message_of(function() return a & dlua.tensor { 1, 0, 1 } end))
  end)

  it("refuse a negative power of whole numbers", function()
    for _, f in ipairs { function() return dlua.tensor { 2 } ^ -1 end, function() return 2 ^ dlua.tensor { -1 } end } do
      assert.matches("^pow: integers to negative integer powers are not allowed", message_of(f))
    end
    assert.same({ 0.5 }, (dlua.tensor { 2.0 } ^ -1):totable())
    assert.same({ 8, 1 }, (dlua.tensor { 2, 2 } ^ dlua.tensor { 3, 0 }):totable())
  end)

  it("name the function once in an error", function()
    assert.matches("^floor_divide: the divisor has a 0", message_of(function() return dlua.tensor { 1 } // 0 end))
  end)

  it("leave a bound open with dlua.none", function()
    local t = dlua.tensor { -2.0, 0.5, 2.0 }
    assert.same({ -2, 0.5, 1 }, t:clamp(dlua.none, 1):totable())
    assert.same({ 0, 0.5, 2 }, t:clamp { min = 0, max = dlua.none }:totable())
    assert.matches("must be a number", message_of(function() t:clamp(0, "x") end))
  end)
end)

describe("indexing", function()
  local t = dlua.arange(1, 25):reshape(2, 3, 4)

  it("takes a position from 1, or from -1 at the end", function()
    assert.same(t:totable()[2], t[2]:totable())
    assert.same(t:totable()[2], t[-1]:totable())
    assert.equal(24, t[2][3][4]:item())
  end)

  it("takes a position for each dimension", function()
    assert.equal(7, t[{ 1, 2, 3 }]:item())
    assert.same({ 4 }, t[{ 1, 2 }].shape)
    assert.same({ 4, 8, 12 }, t[{ 1, {}, -1 }]:totable())
  end)

  it("takes ranges with both ends in them, and steps", function()
    assert.same({ 2, 3 }, t[{ 1, 1, { 2, 3 } }]:totable())
    assert.same({ 1, 3 }, t[{ 1, 1, { 1, 4, 2 } }]:totable())
    assert.same({ 3, 4 }, t[{ 1, 1, { -2, -1 } }]:totable())
    assert.same({ 2, 3, 4 }, t[{ 1, 1, { 2, dlua.none } }]:totable())
    assert.same({ 1, 2 }, t[{ 1, 1, { dlua.none, 2 } }]:totable())
    assert.same({ 0 }, t[{ 1, 1, { 3, 2 } }].shape)
  end)

  it("refuses what a misspelt variable leaves in a key", function()
    local typo = nil
    assert.matches("the key has no entries", message_of(function() return t[{ typo }] end))
    assert.matches("entry 1 of the key is nil", message_of(function() return t[{ typo, 2 }] end))
    assert.matches("got one entry for dimension 2", message_of(function() return t[{ 1, { 2, typo } }] end))
    assert.matches("entry 1 of a range is nil", message_of(function() return t[{ 1, { typo, 2 } }] end))
    assert.matches("a range has an entry 'from'", message_of(function() return t[{ 1, { from = 2 } }] end))
    assert.matches("entry 1 of the key is nil", message_of(function() t[{ typo, 2 }] = 0 end))
  end)

  it("takes masks", function()
    assert.same({ 23, 24 }, t[t:gt(22)]:totable())
    assert.same({ 1, 3, 4 }, t[dlua.tensor { true, false }].shape)
    assert.matches("a mask of shape {3}", message_of(function() return t[dlua.tensor { true, false, true }] end))
  end)

  it("takes tensors of positions", function()
    assert.same({ 3, 3, 4 }, t[dlua.tensor { 2, 1, 2 }].shape)
    assert.equal(13, t[dlua.tensor { 2, 1, 2 }][{ 1, 1, 1 }]:item())
    assert.same({ 2, 2, 3, 4 }, t[dlua.tensor { { 1, 2 }, { 2, 1 } }].shape)
    assert.same({ 4, 1 }, t[{ 1, 1, dlua.tensor { 4, 1 } }]:totable())
  end)

  it("shares its elements with what positions and ranges give", function()
    local u = dlua.zeros(2, 2)
    u[1]:fill_(5)
    assert.same({ { 5.0, 5.0 }, { 0.0, 0.0 } }, u:totable())
  end)

  it("refuses positions outside the tensor", function()
    assert.matches("position 3 is outside dimension 1, which has the size 2", message_of(function() return t[3] end))
    assert.matches("position 0 in dimension 1", message_of(function() return t[0] end))
    assert.matches("position 5 is outside dimension 3", message_of(function() return t[{ 1, 1, 5 }] end))
    assert.matches("4 entries for a tensor of 3 dimensions", message_of(function() return t[{ 1, 1, 1, 1 }] end))
    assert.matches("whole number", message_of(function() return t[1.5] end))
    assert.matches("no dimensions", message_of(function() return dlua.tensor(1)[1] end))
    assert.matches("entry 2 of the key is nil", message_of(function() return t[{ 1, nil, 2 }] end))
  end)
end)

describe("assigning", function()
  it("takes numbers and tensors for positions and ranges", function()
    local t = dlua.zeros(2, 3)
    t[1] = 1
    t[{ 2, 3 }] = 9
    t[{ {}, 2 }] = dlua.tensor { 5.0, 6.0 }
    assert.same({ { 1.0, 5.0, 1.0 }, { 0.0, 6.0, 9.0 } }, t:totable())
    t[{ 1, { 1, 3, 2 } }] = -1
    assert.same({ -1.0, 5.0, -1.0 }, t[1]:totable())
  end)

  it("takes masks", function()
    local t = dlua.tensor { 1.0, -2.0, 3.0, -4.0 }
    t[t:lt(0)] = 0
    assert.same({ 1.0, 0.0, 3.0, 0.0 }, t:totable())
    local rows = dlua.zeros(3, 2)
    rows[dlua.tensor { true, false, true }] = 7
    assert.same({ { 7.0, 7.0 }, { 0.0, 0.0 }, { 7.0, 7.0 } }, rows:totable())
  end)

  it("takes tensors of positions, with one value or one for each", function()
    local t = dlua.zeros(3, 2)
    t[dlua.tensor { 3, 1 }] = dlua.tensor { { 1.0, 2.0 }, { 3.0, 4.0 } }
    assert.same({ { 3.0, 4.0 }, { 0.0, 0.0 }, { 1.0, 2.0 } }, t:totable())
    t[{ {}, dlua.tensor { 2 } }] = 8
    assert.same({ { 3.0, 8.0 }, { 0.0, 8.0 }, { 1.0, 8.0 } }, t:totable())
    assert.matches("the index holds 4", message_of(function() t[dlua.tensor { 4 }] = 1 end))
  end)

  it("spreads a value over the shape of t[key] as it does in arithmetic, whether gradients are recorded or not",
    function()
      --- t[key] = value with positions in dimension `dim`, element after element.
      local function naive(shape, dim, positions, value)
        local t = dlua.zeros(table.unpack(shape))
        local chosen = { table.unpack(shape) }
        chosen[dim] = positions:size(1)
        local place = {}
        local function visit(depth)
          if depth <= #shape then
            for k = 1, chosen[depth] do
              place[depth] = k
              visit(depth + 1)
            end
            return
          end
          local from, to = {}, { table.unpack(place) }
          for k = 1, value:dim() do
            from[k] = value:size(k) == 1 and 1 or place[#shape - value:dim() + k]
          end
          to[dim] = positions[place[dim]]:item()
          t[to] = #from > 0 and value[from] or value
        end
        visit(1)
        return t
      end

      --- Every shape that is spread over `shape`: any number of its last sizes, each as it is or 1.
      local function shapes_for(shape)
        local found, from = { {} }, 1
        for k = #shape, 1, -1 do
          local last = #found
          for place = from, last do
            found[#found + 1] = { shape[k], table.unpack(found[place]) }
            if shape[k] ~= 1 then
              found[#found + 1] = { 1, table.unpack(found[place]) }
            end
          end
          from = last + 1
        end
        return found
      end

      local count = 0
      for _, shape in ipairs { { 5 }, { 4, 5 }, { 5, 4 }, { 2, 5, 6 }, { 5, 5, 5 }, { 2, 3, 4, 5 } } do
        for dim = 1, #shape do
          for _, list in ipairs { { 2 }, { shape[dim], 1 }, { 1, 2, 2 } } do
            if math.max(table.unpack(list)) <= shape[dim] then
              local positions, key, chosen = dlua.tensor(list), {}, { table.unpack(shape) }
              for k = 1, dim do
                key[k] = k < dim and {} or positions
              end
              chosen[dim] = #list
              for _, value_shape in ipairs(shapes_for(chosen)) do
                local value = dlua.randn(value_shape)
                local plain, recorded = dlua.zeros(table.unpack(shape)), dlua.zeros(table.unpack(shape))
                plain[key] = value
                recorded[key] = value:clone():requires_grad_()
                local expected = naive(shape, dim, positions, value)
                assert.is_true(support.same_bits(expected, plain))
                assert.is_true(support.same_bits(expected, recorded))
                count = count + 1
              end
            end
          end
        end
      end
      assert.is_true(count > 200)

      for _, case in ipairs { { { 2, 5, 6 }, 3, { 6 } }, { { 2, 5, 6 }, 3, { 2, 5 } }, { { 4, 5 }, 1, { 4, 5 } },
        { { 4, 5 }, 2, { 1, 4, 3 } } } do
        local t, key = dlua.zeros(table.unpack(case[1])), { {}, {}, {} }
        key[case[2]] = dlua.tensor { 1, 2, 2 }
        key = table.move(key, 1, case[2], 1, {})
        local value = dlua.randn(case[3])
        local unrecorded = message_of(function() t[key] = value end)
        assert.matches("assign: .*cannot be expanded", unrecorded)
        assert.equal(unrecorded, message_of(function() t[key] = value:requires_grad_() end))
        assert.equal(0, t:square():sum():item())
      end
    end)

  it("refuses values and shapes that do not fit", function()
    local t = dlua.zeros(2, 3)
    assert.matches("must be a number, a boolean or a tensor, got the string 'x'", message_of(function() t[1] = "x" end))
    assert.matches("{2}", message_of(function() t[1] = dlua.zeros(2) end))
    assert.matches("'shape' cannot be set", message_of(function() t.shape = { 1 } end))
    assert.same({ { 0.0, 0.0, 0.0 }, { 0.0, 0.0, 0.0 } }, t:totable())
  end)
end)
