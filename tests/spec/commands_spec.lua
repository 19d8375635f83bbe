--- `dlua NAME`: the commands of the program, as a shell runs them.
local program = os.getenv "DLUA_BUILD_DIR" .. "/dlua"

--- Runs a shell command in a folder, with PROGRAM for dlua; returns what it prints on both outputs, and its exit code.
local function run(folder, command)
  local pipe = assert(io.popen(("cd '%s' && { %s; } 2>&1 </dev/null"):format(folder,
    (command:gsub("PROGRAM", "'" .. program .. "'")))))
  local out = pipe:read "a"
  local _, _, code = pipe:close()
  return out, code
end

describe("a command", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
  end)

  teardown(function()
    os.execute("rm -r " .. folder)
  end)

  it("is listed by --help with what it does", function()
    local out, code = run(folder, "PROGRAM --help")
    assert.equal(0, code)
    for _, name in ipairs { "help %[NAME%]", "info", "new NAME", "summary FILE %[LUA%-FILE %.%.%.%]" } do
      assert.matches("\n  " .. name .. " +%l%l%l", out)
    end
  end)

  it("info tells what dlua runs on, and which settings hurt", function()
    local out, code = run(folder, "PROGRAM info")
    assert.equal(0, code)
    for _, name in ipairs { "version", "processor", "instruction set", "threads", "memory", "settings" } do
      assert.matches("\n" .. name .. ": +%S", "\n" .. out)
    end
    assert.is_nil(out:find("DLUA_", 1, true))
    out = run(folder, "DLUA_NUM_THREADS=77 PROGRAM info")
    assert.matches("some hurt:\n.*  DLUA_NUM_THREADS=77, but there are %d+ processors", out)
  end)

  it("help shows what help(name) does, and fails at a name that is not there", function()
    local out, code = run(folder, "PROGRAM help Dense")
    assert.equal(0, code)
    assert.equal(require("dlua.help").text "Dense" .. "\n", out)
    out, code = run(folder, "PROGRAM help Densse")
    assert.equal(1, code)
    assert.matches("did you mean 'Dense'", out)
    assert.matches("What dlua holds", (run(folder, "PROGRAM help")))
  end)

  it("new makes a project that trains, saves and predicts, and overwrites nothing", function()
    local out, code = run(folder, "PROGRAM new first && cd first && PROGRAM train.lua && PROGRAM predict.lua")
    assert.equal(0, code, out)
    assert.is_true(tonumber(out:match "test accuracy (%S+)") > 0.85)
    local _, images = out:gsub("image +%d+: a %d %(", "")
    assert.equal(10, images)
    out, code = run(folder, "PROGRAM new first")
    assert.equal(1, code)
    assert.matches("train%.lua is there already", out)
    assert.is_nil(out:find("traceback", 1, true))
  end)

  it("summary shows a saved model, and knows layers that a Lua file defines", function()
    local script = [[
      local dlua = require "dlua"
      local Twice = dlua.layers.define { name = "Twice", call = function(_, x) return 2 * x end }
      dlua.Sequential { dlua.layers.Dense { 3, input_shape = { 2 } }, Twice {} }:save "twice.safetensors"]]
    run(folder, "printf %s '" .. script .. "' >twice.lua && PROGRAM twice.lua")
    local out, code = run(folder, "PROGRAM summary twice.safetensors twice.lua")
    assert.equal(0, code, out)
    assert.matches("twice %(Twice%)", out)
    out, code = run(folder, "PROGRAM summary twice.safetensors")
    assert.equal(1, code)
    assert.matches("Twice", out)
    out, code = run(folder, "PROGRAM summary nothing.safetensors")
    assert.equal(1, code)
    assert.matches("nothing%.safetensors.*could not be opened", out)
  end)

  it("gives way to a file that is named with a path or after --", function()
    run(folder, "echo \"print 'the file'\" >info")
    assert.equal("the file\n", (run(folder, "PROGRAM ./info")))
    assert.equal("the file\n", (run(folder, "PROGRAM -- info")))
    assert.matches("^version:", (run(folder, "PROGRAM info")))
  end)
end)
