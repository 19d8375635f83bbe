--- The dlua program: it runs scripts as the standalone lua does, and holds a session.

local program = os.getenv("DLUA_BUILD_DIR") .. "/dlua"

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Runs a shell command; returns its standard output, its standard error and its exit code.
local function run(command)
  local out_name, error_name = os.tmpname(), os.tmpname()
  local _, _, code = os.execute(string.format("( %s ) >%s 2>%s", command, out_name, error_name))
  local texts = {}
  for place, name in ipairs { out_name, error_name } do
    local file <close> = assert(io.open(name, "rb"))
    texts[place] = file:read("a")
    os.remove(name)
  end
  return texts[1], texts[2], code
end

--- Runs the program with arguments, each quoted; input is its standard input, set its environment.
local function dlua(arguments, input, set)
  local words = { (set or "") .. " " .. quoted(program) }
  for _, argument in ipairs(arguments) do
    words[#words + 1] = quoted(argument)
  end
  local source = input and "printf %s " .. quoted(input) .. " | " or ""
  local redirect = input and "" or " </dev/null"
  return run(source .. table.concat(words, " ") .. redirect)
end

--- Writes a script to a temporary file for the time of a test.
local function with_script(text, test)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
  test(name)
  os.remove(name)
end

describe("the program", function()
  it("runs a script with its arguments in arg and in ...", function()
    with_script("print(arg[0], arg[1], arg[2], #arg, ...)", function(name)
      local out, errors, code = dlua { name, "one", "two words" }
      assert.equal(name .. "\tone\ttwo words\t2\tone\ttwo words\n", out)
      assert.equal("", errors)
      assert.equal(0, code)
    end)
  end)

  it("puts what stands before the script at negative places of arg", function()
    with_script("print(arg[-1], arg[-2], arg[-3])", function(name)
      local out = dlua { "-W", "-E", name }
      assert.equal("-E\t-W\t" .. program .. "\n", out)
    end)
  end)

  it("executes -e in order with -l", function()
    local out = dlua { "-e", "x = 1", "-l", "string", "-e", "print(x, string.rep('a', 2))", "-es=require'dlua'.version",
      "-e", "print(s)" }
    assert.equal("1\taa\n0.1.0\n", out)
  end)

  it("requires a module under another name by -l name=module", function()
    assert.equal("0.1.0\n", (dlua { "-l", "d=dlua", "-e", "print(d.version)" }))
  end)

  it("reads a script from stdin, with - and without", function()
    assert.equal("3\tx\n", (dlua({ "-", "x" }, "print(1 + 2, ...)")))
    assert.equal("7\n", (dlua({}, "print(3 + 4)")))
  end)

  it("takes what follows -- for a script, whatever its name", function()
    local _, errors, code = dlua { "--", "-e" }
    assert.matches("cannot open %-e", errors)
    assert.equal(1, code)
  end)

  it("prints an error with the script's line and a traceback on stderr, and exits with 1", function()
    with_script("local function f() error('bad thing') end\nf()", function(name)
      local out, errors, code = dlua { name }
      assert.equal("", out)
      assert.equal(1, code)
      assert.is_truthy(errors:find(name .. ":1: bad thing", 1, true))
      assert.is_truthy(errors:find("stack traceback:", 1, true))
      assert.equal(1, (errors:find(program .. ": ", 1, true)))
    end)
  end)

  it("shows error objects by their __tostring", function()
    local _, errors, code = dlua { "-e", "error(setmetatable({}, {__tostring = function() return 'an object' end}))" }
    assert.matches("an object", errors)
    assert.equal(1, code)
  end)

  it("exits with the code that os.exit is given", function()
    local _, _, code = dlua { "-e", "os.exit(7)" }
    assert.equal(7, code)
  end)

  it("refuses options that it does not know, and those that lack their value", function()
    local _, errors, code = dlua { "-x" }
    assert.matches("unrecognized option '%-x'", errors)
    assert.matches("usage: dlua", errors)
    assert.equal(1, code)
    _, errors, code = dlua { "-e" }
    assert.matches("a value is missing after '%-e'", errors)
    assert.equal(1, code)
  end)

  it("shows its version and its usage", function()
    assert.matches("^dlua 0%.1%.0 %(Lua 5%.4", (dlua { "-v" }))
    assert.matches("^dlua 0%.1%.0", (dlua { "--version" }))
    assert.matches("^usage: dlua", (dlua { "--help" }))
  end)

  it("runs LUA_INIT first, from text and from a file, and not with -E", function()
    assert.equal("init\nscript\n", (dlua({ "-e", "print 'script'" }, nil, "LUA_INIT='print(\"init\")'")))
    assert.equal("script\n", (dlua({ "-E", "-e", "print 'script'" }, nil, "LUA_INIT='print(\"init\")'")))
    with_script("print 'from a file'", function(name)
      assert.equal("from a file\n", (dlua({ "-e", "" }, nil, "LUA_INIT=@" .. name)))
    end)
  end)

  it("turns warnings on with -W", function()
    local _, errors = dlua { "-W", "-e", "warn('careful')" }
    assert.matches("careful", errors)
    _, errors = dlua { "-e", "warn('careful')" }
    assert.equal("", errors)
  end)

  it("has the library inside and finds no file for it", function()
    local out = dlua({ "-e", "package.path = '' package.cpath = '' print(require('dlua').zeros(1):item())" }, nil,
      "cd / &&")
    assert.equal("0.0\n", out)
  end)

  it("takes the library from the folder DLUA_LUA_DIR if that is set", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local file = assert(io.open(folder .. "/init.lua", "wb"))
    file:write("local dlua = ...\ndlua.mark = 'from the folder'\n")
    file:close()
    local out = dlua({ "-e", "print(require('dlua').mark)" }, nil, "DLUA_LUA_DIR=" .. folder)
    os.execute("rm -r " .. folder)
    assert.equal("from the folder\n", out)
  end)

  it("loads C modules that were built for plain Lua", function()
    assert.equal("directory\n", (dlua { "-e", "print(require('lfs').attributes('/', 'mode'))" }))
  end)

  --- Runs a script, sends it an interrupt when it has printed "ready", and returns its output and exit code.
  local function interrupted(text)
    local out, code
    with_script(text, function(name)
      local command = "PROGRAM SCRIPT >SCRIPT.out & p=$!; until grep -q ready SCRIPT.out; do sleep 0.05; done; " ..
        "kill -INT $p; wait $p; code=$?; cat SCRIPT.out; rm SCRIPT.out; exit $code"
      local _
      out, _, code = run((command:gsub("PROGRAM", quoted(program)):gsub("SCRIPT", name)))
    end)
    return out, code
  end

  it("stops Lua code at Ctrl-C with an error, and the script may go on", function()
    local out, code = interrupted("print(pcall(function() print 'ready' io.stdout:flush() " ..
      "while true do end end)) print 'goes on'")
    assert.matches("^ready\nfalse\t.*interrupted\ngoes on\n$", out)
    assert.equal(0, code)
  end)

  it("stops the engine at Ctrl-C with an error, and the engine works afterwards", function()
    local out, code = interrupted([[
      local dlua = require "dlua"
      local x = dlua.ones(300, 300)
      print(pcall(function() print 'ready' io.stdout:flush() while true do x:matmul(x) end end))
      print(dlua.ones(3):sum():item())]])
    assert.matches("^ready\nfalse\t.*interrupted\n3.0\n$", out)
    assert.equal(0, code)
  end)

  it("ends a script that catches no error with 1 at Ctrl-C", function()
    local _, code = interrupted("print 'ready' io.stdout:flush() while true do end")
    assert.equal(1, code)
  end)
end)

describe("a session", function()
  --- Runs lines in a session on a pseudo terminal, and returns what it shows.
  local function session(lines, arguments)
    local text = table.concat(lines, "\n") .. "\n"
    local command = string.format("printf %%s %s | script -qec %s /dev/null", quoted(text),
      quoted(quoted(program) .. " " .. (arguments or "")))
    return (run(command):gsub("\r", ""))
  end

  it("prints what expressions give and keeps what statements set", function()
    local out = session { "x = 20", "x + 1", "'a', nil" }
    assert.matches("> 21\n", out)
    assert.matches("> a\tnil\n", out)
  end)

  it("prints tensors", function()
    assert.matches("%[%[0%., 0%.%],\n %[0%., 0%.%]%]\n%[float32 {2, 2}%]", session { "dlua.zeros(2, 2)" })
  end)

  it("asks for more while a statement is not finished", function()
    -- Where the typing is shown among the prompts depends on who is faster, but for the last of them.
    assert.matches(">> >> 3\n", session { "for k = 3, 3 do", "print(k)", "end" })
  end)

  it("goes on after an error", function()
    local out = session { "error('first')", "1 + 1" }
    assert.matches("stdin:1: first", out)
    assert.matches("> 2\n", out)
  end)

  it("says what an arrow key leaves in a line, and takes no bytecode", function()
    local out = session { "\27[A", "1 + \27[A", "40 + 2" }
    local _, count = out:gsub("stdin: the line holds an escape sequence, as the arrow keys send", "")
    assert.equal(2, count)
    assert.matches("> 42\n", out)
    assert.is_nil(out:find("binary", 1, true))
    local _, message = dlua { "-e", "\27Lua" }
    assert.matches("mode is 't'", message)
  end)

  it("refuses to read an undefined global", function()
    assert.matches("undefined variable 'lossy'", session { "print(lossy)" })
  end)

  it("makes globals from the lines that are typed, and not inside functions", function()
    local out = session { "a = 1", "for k = 1, 2 do b = k end", "a + b", "function f() c = 1 end", "f()", "a" }
    assert.matches("> 3\n", out)
    assert.matches("> 1\n", out)
  end)

  it("knows dlua and help without asking", function()
    assert.matches("Fully connected layer", session { "help(dlua.layers.Dense)" })
  end)

  it("opens after a script with -i", function()
    with_script("y = 5", function(name)
      assert.matches("> 6\n", session({ "y + 1" }, "-i " .. name))
    end)
  end)
end)

describe("dlua.strict", function()
  it("makes reading an undefined global an error, and setting one is none", function()
    local out = dlua { "-e", "require 'dlua.strict' print(pcall(function() return misspelt end))",
      "-e", "z = 1 print(z, rawget(_G, 'other'))" }
    assert.matches("^false\t.*undefined variable 'misspelt'\n1\tnil\n$", out)
  end)

  it("refuses a new global inside a function, where a local is missing", function()
    local out = dlua { "-e", "require 'dlua.strict' known = 1 function f() known = 2 end f() print(known)",
      "-e", "print(pcall(function() forgotten = 1 end)) rawset(_G, 'made', 3) print(made)" }
    assert.matches("^2\nfalse\t.*assignment to undefined variable 'forgotten' inside a function: write `local .*\n3\n$",
      out)
  end)
end)
