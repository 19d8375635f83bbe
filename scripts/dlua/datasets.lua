--- Real data to train on. `load()` returns two tables, train and test, each with the fields `x` (images, uint8
-- {N, height, width}), `y` (labels 1..K, int64) and `classes` (the names of the labels, in their order).
--
-- A set's files are looked for in the folder `path`, in $DLUA_DATA, in the user's cache and where Debian's packages put
-- them; then they are downloaded into the cache and checked against the publisher's checksum. $DLUA_DATASETS_URL names
-- a mirror to download from in the publisher's place: it has FOLDER/FILE.gz, as the cache has.
local dlua = require "dlua"

local datasets = dlua.strict_table("dlua.datasets")

-- ---- finding files --------------------------------------------------------------------------------------------------

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

local function cache_folder()
  local base = os.getenv "XDG_CACHE_HOME"
  if not base or base == "" then
    local home = os.getenv "HOME"
    base = home and home .. "/.cache"
  end
  return base and base .. "/dlua"
end

--- The folders in which the files of a set may lie, in the order of looking.
local function folders(set, path)
  if path then
    return { path }
  end
  local list = {}
  local data = os.getenv "DLUA_DATA"
  if data and data ~= "" then
    list[#list + 1] = data .. "/" .. set.folder
    list[#list + 1] = data
  end
  local cache = cache_folder()
  if cache then
    list[#list + 1] = cache .. "/" .. set.folder
  end
  list[#list + 1] = "/usr/share/datasets/" .. set.folder
  return list
end

--- The file in one of the folders, compressed or not; nil if it is in none.
local function find(list, name)
  for _, folder in ipairs(list) do
    for _, ending in ipairs { ".gz", "" } do
      local path = folder .. "/" .. name .. ending
      if exists(path) then
        return path
      end
    end
  end
end

local function missing(set, looked, name, reason)
  local lines = { ("%s: the file %s was not found. Looked in:"):format(set.name, name) }
  for _, folder in ipairs(looked) do
    lines[#lines + 1] = "  " .. folder
  end
  if reason then
    lines[#lines + 1] = "and it could not be downloaded: " .. reason
  end
  lines[#lines + 1] = "What helps: " .. set.how_to_get
    .. ("put the files into a folder and pass it: dlua.datasets.%s.load { path = \"...\" }, or set DLUA_DATA.")
      :format(set.name)
  dlua.raise(table.concat(lines, "\n"))
end

-- ---- downloading ----------------------------------------------------------------------------------------------------

--- A function that draws the progress of a download on a terminal; nil elsewhere.
local function bar(name)
  if not dlua.is_terminal(io.stderr) then
    return nil
  end
  return function(done, total)
    local share = total > 0 and (" %3.0f %%"):format(100 * done / total) or ""
    io.stderr:write(("\r%s: %.1f MB%s"):format(name, done / 1e6, share), done == total and "\n" or "")
    io.stderr:flush()
  end
end

local function download(set, looked, name)
  local cache = cache_folder()
  if not cache then
    missing(set, looked, name, "there is no HOME to keep it in")
  end
  local file = name .. ".gz"
  local path = cache .. "/" .. set.folder .. "/" .. file
  local base = os.getenv("DLUA_DATASETS_URL")
  local url = (base and base ~= "" and base .. "/" .. set.folder .. "/" or set.url) .. file
  local ok, reason = pcall(dlua.io.download, {
    url = url, path = path, checksum = set.md5[file], progress = bar(file),
  })
  if not ok then
    missing(set, looked, name, tostring(reason))
  end
  return path
end

-- ---- MNIST and its like ---------------------------------------------------------------------------------------------

local idx_files = {
  train = { x = "train-images-idx3-ubyte", y = "train-labels-idx1-ubyte" },
  test = { x = "t10k-images-idx3-ubyte", y = "t10k-labels-idx1-ubyte" },
}

local sets = {
  mnist = {
    folder = "mnist",
    about = "Handwritten digits: 60,000 and 10,000 images of 28x28.",
    url = "https://ossci-datasets.s3.amazonaws.com/mnist/",
    how_to_get = "",
    classes = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" },
    md5 = {
      ["train-images-idx3-ubyte.gz"] = "f68b3c2dcbeaaa9fbdd348bbdeb94873",
      ["train-labels-idx1-ubyte.gz"] = "d53e105ee54ea40749a09fcbcd1e9432",
      ["t10k-images-idx3-ubyte.gz"] = "9fb629c4189551a2d022fa330f9573f3",
      ["t10k-labels-idx1-ubyte.gz"] = "ec29112dd5afa0611ce80d1b7f02629c",
    },
  },
  fashion_mnist = {
    folder = "fashion-mnist",
    about = "Clothes of ten kinds: 60,000 and 10,000 images of 28x28.",
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    how_to_get = "on Debian and Ubuntu, `apt-get install dataset-fashion-mnist`; or ",
    classes = {
      "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    },
    md5 = {
      ["train-images-idx3-ubyte.gz"] = "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
      ["train-labels-idx1-ubyte.gz"] = "25c81989df183df01b3e8a0aad5dffbe",
      ["t10k-images-idx3-ubyte.gz"] = "bef4ecab320f06d8554ea6380940ec79",
      ["t10k-labels-idx1-ubyte.gz"] = "bb300cfdad3c16e7a12a480ee83cd310",
    },
  },
}

--- Images and labels of one part, checked against each other. The file's labels 0..K-1 become 1..K.
local function part(set, images, labels)
  if images:dim() ~= 3 or labels:dim() ~= 1 or images:size(1) ~= labels:size(1) then
    dlua.raise(("%s: the files do not belong together: images of shape {%s}, labels of shape {%s}")
      :format(set.name, table.concat(images.shape, ", "), table.concat(labels.shape, ", ")))
  end
  return { x = images, y = labels:to("int64") + 1, classes = set.classes }
end

for name, set in pairs(sets) do
  set.name = name
  local check = dlua.arguments(name .. ".load", {
    { name = "path", kind = "string", none = true, help = "the folder with the four files" },
  }, set.about .. " Returns train and test, each with x, y and classes.")
  datasets[name] = {
    load = function(arguments)
      local looked = folders(set, check(arguments or {}).path)
      local function read(file)
        return dlua.io.load_idx(find(looked, file) or download(set, looked, file))
      end
      local train = part(set, read(idx_files.train.x), read(idx_files.train.y))
      local test = part(set, read(idx_files.test.x), read(idx_files.test.y))
      return train, test
    end,
  }
  dlua.set_help(datasets[name].load, check)
  dlua.set_help(datasets[name], { of = "dlua.datasets.", name = name, help = set.about })
end

-- ---- digits: inside the library -------------------------------------------------------------------------------------

-- The UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, CC BY 4.0): 1,797 images of 8x8
-- with values 0..16. The last 297 are the test part; all are of the original test file, written by other people than
-- those who wrote the original training file.
local DIGITS_TRAIN = 1500

datasets.digits = {
  load = function()
    local images = dlua.io.parse_idx(dlua.resource "datasets/digits/images-idx3-ubyte.gz", "digits images")
    local labels = dlua.io.parse_idx(dlua.resource "datasets/digits/labels-idx1-ubyte.gz", "digits labels")
    local all = part({ name = "digits", classes = sets.mnist.classes }, images, labels)
    local function rows(from, to)
      return { x = all.x[{ { from, to } }], y = all.y[{ { from, to } }], classes = all.classes }
    end
    return rows(1, DIGITS_TRAIN), rows(DIGITS_TRAIN + 1, all.x:size(1))
  end,
}

dlua.set_help(datasets.digits, {
  of = "dlua.datasets.", name = "digits", help = "Handwritten digits: 1,500 and 297 images of 8x8, inside the library.",
})
dlua.set_help(datasets.digits.load, {
  name = "digits.load", arguments = "", help = "Returns train and test, each with x, y and classes.",
})

return datasets
