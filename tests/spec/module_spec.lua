--- The module: what `require "dlua"` gives in plain Lua and in the program alike.

local build = os.getenv("DLUA_BUILD_DIR")
local is_sanitized = os.getenv("DLUA_SANITIZE") ~= ""
local dlua = require "dlua"

local function output_of(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  local _, _, code = pipe:close()
  return text, code
end

describe("the module", function()
  it("loads into plain Lua and leaves it without a crash", function()
    if is_sanitized then
      return pending("a sanitized module needs the sanitizer's library loaded before plain Lua")
    end
    local out, code = output_of(string.format("LUA_CPATH='%s/lua/?.so' lua5.4 -e " ..
      "'local d = require \"dlua\" print((d.ones(300, 300) + 1)[{2, 3}]:item())'", build))
    assert.equal("2.0\n", out)
    assert.equal(0, code)
  end)

  it("is one table however often it is required", function()
    assert.equal(dlua, require "dlua")
    assert.equal(dlua, package.loaded.dlua)
  end)

  it("names what it does not have, with the nearest name that it has", function()
    local ok, message = pcall(function() return dlua.matmull end)
    assert.is_false(ok)
    assert.matches("module_spec.lua:%d+: dlua has no 'matmull'; did you mean 'matmul'%?", message)
  end)

  it("tells its version, its instruction set and its threads", function()
    assert.equal("0.1.0", dlua.version)
    assert.is_truthy(("baseline avx2 avx512"):find(dlua.isa(), 1, true))
    local threads = dlua.num_threads()
    dlua.set_num_threads(1)
    assert.equal(1, dlua.num_threads())
    dlua.set_num_threads(threads)
    assert.equal(threads, dlua.num_threads())
  end)

  it("has a clock that runs forward", function()
    local before = dlua.time()
    assert.is_true(dlua.time() >= before)
  end)

  it("has one dlua.none, which shows itself", function()
    assert.equal("dlua.none", tostring(dlua.none))
  end)

  it("reads its own files as resources, and no others", function()
    assert.matches("dlua", dlua.resource("init.lua"))
    assert.is_true(dlua.has_resource("init.lua"))
    assert.is_false(dlua.has_resource("../../README.md"))
    assert.has_error(function() dlua.resource("no_such_file") end)
  end)

  it("encodes and decodes JSON", function()
    local text = dlua.json.encode { a = { 1, 2.5, dlua.none, true }, b = "x" }
    assert.same({ a = { 1, 2.5, dlua.none, true }, b = "x" }, dlua.json.decode(text))
    assert.has_error(function() dlua.json.decode("{") end)
    assert.has_error(function() dlua.json.encode(print) end)
  end)

  --- The most memory that a loop takes which makes `count` tensors of a MiB and drops them.
  local function growth(count)
    collectgarbage()
    dlua.reset_peak_memory()
    local before = dlua.memory().in_use
    for _ = 1, count do
      dlua.empty(262144)
    end
    return dlua.memory().peak - before
  end

  it("keeps memory flat in a loop that drops its tensors", function()
    assert.is_true(growth(10000) < 100 * 2 ^ 20)
  end)

  it("keeps memory flat in the collector's generational mode too", function()
    collectgarbage("generational")
    local bytes = growth(2000)
    collectgarbage("incremental")
    assert.is_true(bytes < 100 * 2 ^ 20)
  end)

  it("shows help of tensor functions by function, method and name", function()
    local text = dlua.help.text("matmul")
    assert.matches("^matmul%(a, b%)", text)
    assert.equal(text, dlua.help.text(dlua.matmul))
    assert.equal(text, dlua.help.text(dlua.Tensor.matmul))
    assert.is_nil(dlua.help.text({}))
  end)
end)
