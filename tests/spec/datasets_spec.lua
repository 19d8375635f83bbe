local dlua = require "dlua"
local support = require "support"

describe("datasets.digits", function()
  it("comes with the library", function()
    local train, test = dlua.datasets.digits.load()
    assert.are.same({ 1500, 8, 8 }, train.x.shape)
    assert.are.same({ 297, 8, 8 }, test.x.shape)
    assert.are.equal("uint8", train.x.dtype)
    assert.are.equal(16, train.x:max():item())
    assert.are.equal(1, train.y:min():item())
    assert.are.equal(10, train.y:max():item())
    assert.are.equal("0", train.classes[train.y[1]:item()]) -- the set begins with 0, 1, 2 ...
    assert.are.equal("1", train.classes[train.y[2]:item()])
  end)
end)

--- Runs code with a user who has no data but what the environment names.
local function with_home(home, code, environment)
  local variables = { HOME = home, XDG_CACHE_HOME = "", DLUA_DATA = "" }
  for name, value in pairs(environment or {}) do
    variables[name] = value
  end
  return support.run([[local dlua = require "dlua" ]] .. code, variables)
end

local describe_fashion = [[
  local train, test = dlua.datasets.fashion_mnist.load%s
  print(table.concat(train.x.shape, " "), table.concat(test.x.shape, " "))
  print(train.y:min():item(), train.y:max():item(), train.classes[train.y[1]:item()])
]]

describe("datasets.fashion_mnist", function()
  local folder

  --- Writes a tiny set of `rows` images into the folder; labels 0..9.
  local function write_set(where, rows)
    os.execute("mkdir -p " .. support.quoted(where))
    for _, part in ipairs { "train", "t10k" } do
      local images = assert(io.open(where .. "/" .. part .. "-images-idx3-ubyte", "wb"))
      images:write((">I4I4I4I4"):pack(2051, rows, 2, 3), ("\7"):rep(rows * 6))
      images:close()
      local labels = assert(io.open(where .. "/" .. part .. "-labels-idx1-ubyte", "wb"))
      labels:write((">I4I4"):pack(2049, rows))
      for row = 1, rows do
        labels:write(string.char((row - 1) % 10))
      end
      labels:close()
    end
  end

  before_each(function()
    folder = support.folder()
  end)

  after_each(function()
    support.remove_folder(folder)
  end)

  it("is read from Debian's package", function()
    local output = with_home(folder, describe_fashion:format "()")
    assert.are.equal("60000 28 28\t10000 28 28\n1\t10\tAnkle boot\n", output)
  end)

  it("is read from a folder that is given", function()
    write_set(folder .. "/mine", 20)
    local output = with_home(folder, describe_fashion:format(("{ path = %q }"):format(folder .. "/mine")))
    assert.are.equal("20 2 3\t20 2 3\n1\t10\tT-shirt/top\n", output)
  end)

  it("is read from DLUA_DATA before anything else", function()
    write_set(folder .. "/fashion-mnist", 10)
    local output = with_home(folder, describe_fashion:format "()", { DLUA_DATA = folder })
    assert.matches("^10 2 3\t10 2 3\n", output)
  end)

  it("is refused when images and labels do not belong together", function()
    write_set(folder .. "/a", 20)
    write_set(folder .. "/b", 10)
    os.execute(("cp %s/b/train-labels-idx1-ubyte %s/a/"):format(folder, folder))
    local output, ok = with_home(folder, describe_fashion:format(("{ path = %q }"):format(folder .. "/a")))
    assert.is_false(ok)
    assert.matches("do not belong together: images of shape {20, 2, 3}, labels of shape {10}", output, 1, true)
  end)

  it("names a file that is cut off", function()
    write_set(folder .. "/a", 20)
    os.execute(("truncate -s 100 %s/a/train-images-idx3-ubyte"):format(folder))
    local output, ok = with_home(folder, describe_fashion:format(("{ path = %q }"):format(folder .. "/a")))
    assert.is_false(ok)
    assert.matches("train-images-idx3-ubyte", output, 1, true)
  end)
end)

describe("Downloading a data set", function()
  local folder, server, port

  before_each(function()
    folder = support.folder()
    -- Real files of MNIST's kind, small: the checksums are those of these files.
    os.execute(("mkdir -p %s/files && cd %s/files && head -c 300000 /dev/urandom > data.bin"):format(folder, folder))
    -- The server ends when its standard input does: when this pipe is closed.
    server = assert(io.popen(("exec python3 tests/spec/data_server.py %s/files %s/log > %s/port")
      :format(folder, folder, folder), "w"))
    local file
    repeat
      file = io.open(folder .. "/port")
      port = file and file:read "l"
      if file then
        file:close()
      end
    until port
  end)

  after_each(function()
    server:close()
    support.remove_folder(folder)
  end)

  local function md5()
    local pipe = assert(io.popen("md5sum " .. folder .. "/files/data.bin"))
    local digest = pipe:read(32)
    pipe:close()
    return digest
  end

  local function download(mode, digest)
    dlua.io.download {
      url = ("http://127.0.0.1:%s/%s/data.bin"):format(port, mode), path = folder .. "/cache/data.bin",
      checksum = digest or md5(),
    }
  end

  local function is_whole()
    return os.execute(("cmp -s %s/files/data.bin %s/cache/data.bin"):format(folder, folder)) == true
  end

  local function requests()
    local list = {}
    for line in io.lines(folder .. "/log") do
      list[#list + 1] = line
    end
    return list
  end

  it("brings the whole file", function()
    download "whole"
    assert.is_true(is_whole())
  end)

  it("refuses wrong bytes and keeps none of them", function()
    local text = support.message_of(download, "wrong")
    assert.matches("checksum", text, 1, true)
    assert.is_nil(io.open(folder .. "/cache/data.bin"))
    download "whole"
    assert.is_true(is_whole())
    assert.are.same({ "wrong 0", "whole 0" }, requests())
  end)

  it("goes on where a cut connection ended", function()
    assert.is_string(support.message_of(download, "cut"))
    assert.is_nil(io.open(folder .. "/cache/data.bin"))
    download "whole"
    assert.is_true(is_whole())
    assert.are.same({ "cut 0", "whole 150000" }, requests())
  end)

  it("starts again with a server that ignores ranges", function()
    assert.is_string(support.message_of(download, "cut"))
    download "plain"
    assert.is_true(is_whole())
  end)

  it("says when the file is not there", function()
    assert.matches("404", support.message_of(download, "gone"), 1, true)
  end)

  it("says offline what was looked for and how to get it", function()
    local output, ok = with_home(folder, "dlua.datasets.mnist.load()", { DLUA_DATASETS_URL = "http://127.0.0.1:9" })
    assert.is_false(ok)
    for _, text in ipairs {
      "mnist: the file train-images-idx3-ubyte was not found", folder .. "/.cache/dlua/mnist",
      "could not be downloaded", "DLUA_DATA",
    } do
      assert.matches(text, output, 1, true)
    end
  end)
end)
